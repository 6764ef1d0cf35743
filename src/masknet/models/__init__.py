"""The networks: one file a model, one name a model.

Each maps `(ids [B, S], values [B, S], dense [B, D] or None)` to logits, `[B]` for one task and `[B, T]` for several,
and is built from a `FeatureSpace`; the rest of its constructor is its configuration, and its `recipe` how a run trains
it. A network of your own is such a class, named `package.module:Class`, that `masknet.testing` finds to behave.

What else a run asks of a network, if it has it: a `note`, a sentence on what it chose from the space, to be told;
`pretraining()`, a network over some of its weights that is trained first; and `learn(ids, values, dense, labels)`,
which takes the place of the gradient, in one epoch and for one label.
"""

from __future__ import annotations

import importlib
import inspect
import json
import re
from collections.abc import Callable, Iterable
from typing import Any

from torch import nn

from masknet.errors import ConfigError, unknown
from masknet.models.adpredictor import AdPredictor
from masknet.models.afm import AttentionalFM
from masknet.models.autoint import AutoInt
from masknet.models.dcn import DCN
from masknet.models.dcnv2 import DCNv2
from masknet.models.deepfm import DeepFM
from masknet.models.dnn import DNN
from masknet.models.ffm import FieldAwareFactorizationMachine
from masknet.models.fibinet import FiBiNET
from masknet.models.finalmlp import FinalMLP
from masknet.models.fm import FactorizationMachine
from masknet.models.fnn import FNN
from masknet.models.latent_cross import LatentCross
from masknet.models.logistic_regression import LogisticRegression
from masknet.models.mf import MatrixFactorization
from masknet.models.mmoe import MMoE
from masknet.models.multitask_masknet import MultitaskMaskNet
from masknet.models.parallel_masknet import ParallelMaskNet
from masknet.models.poly2 import Poly2
from masknet.models.recipe import Recipe
from masknet.models.serial_masknet import SerialMaskNet
from masknet.models.wide_deep import WideDeep
from masknet.models.xdeepfm import XDeepFM
from masknet.space import FeatureSpace

MODELS: dict[str, type[nn.Module]] = {
    "serial-masknet": SerialMaskNet,
    "parallel-masknet": ParallelMaskNet,
    "lr": LogisticRegression,
    "poly2": Poly2,
    "fm": FactorizationMachine,
    "ffm": FieldAwareFactorizationMachine,
    "mf": MatrixFactorization,
    "dnn": DNN,
    "fnn": FNN,
    "afm": AttentionalFM,
    "wide-deep": WideDeep,
    "deepfm": DeepFM,
    "xdeepfm": XDeepFM,
    "dcn": DCN,
    "dcnv2": DCNv2,
    "autoint": AutoInt,
    "fibinet": FiBiNET,
    "finalmlp": FinalMLP,
    "adpredictor": AdPredictor,
    "latent-cross": LatentCross,
    "mmoe": MMoE,
    "multitask-masknet": MultitaskMaskNet,
}

__all__ = [
    "DCN",
    "DNN",
    "FNN",
    "MODELS",
    "AdPredictor",
    "AttentionalFM",
    "AutoInt",
    "DCNv2",
    "DeepFM",
    "FactorizationMachine",
    "FiBiNET",
    "FieldAwareFactorizationMachine",
    "FinalMLP",
    "LatentCross",
    "LogisticRegression",
    "MMoE",
    "MatrixFactorization",
    "MultitaskMaskNet",
    "ParallelMaskNet",
    "Poly2",
    "Recipe",
    "SerialMaskNet",
    "WideDeep",
    "XDeepFM",
    "as_lists",
    "build_network",
    "is_code",
    "learns_by_row",
    "model_name",
    "network_class",
    "recipe_of",
    "resolve_settings",
]


def is_code(model: str) -> bool:
    """Whether a model is `package.module:Class`, which has to be imported, and not a name in `MODELS`."""
    return ":" in model


def network_class(model: str) -> type[nn.Module]:
    """The class of a model: one of `MODELS`, or `package.module:Class`, whose module this imports.

    >>> network_class("lr").__name__, network_class("masknet.models:SerialMaskNet").__name__
    ('LogisticRegression', 'SerialMaskNet')
    >>> network_class("torch.nn:Linear")
    Traceback (most recent call last):
    masknet.errors.ConfigError: ... torch.nn:Linear takes 'out_features' by position: write a * before it

    Raises:
        ConfigError: there is no such model, module or class, or the class is no network built as ours are.
    """
    if not is_code(model):
        if model not in MODELS:
            raise ConfigError(unknown("model", model, MODELS))
        return MODELS[model]
    as_file = re.fullmatch(r"(.+)\.py:(\w+)", model)
    if as_file:
        module = as_file[1].removeprefix("./").replace("/", ".")
        raise ConfigError(
            f"a network of your own is named by its module, not by its file; got '{model}': pass {module}:{as_file[2]}"
        )
    if not re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*", model):
        raise ConfigError(f"a network of your own is named package.module:Class; got '{model}'")
    place, _, name = model.partition(":")
    try:
        module = importlib.import_module(place)
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name and f"{place}.".startswith(f"{error.name}."):
            raise ConfigError(
                f"a network's module lies in the current folder or is installed; there is no module '{error.name}' for "
                f"{model}"
            ) from None
        raise ConfigError(
            f"a network's module must import; '{place}' raised {type(error).__name__}: {' '.join(str(error).split())}"
        ) from error
    found = getattr(module, name, None)
    if found is None and place == "__main__":
        raise ConfigError(
            f"a network is found again by its name, in the other processes of n_jobs too; {model} was defined in a "
            f"script or a notebook, which they do not run: put it in a module, and import it from there"
        )
    if found is None:
        networks = [n for n, value in vars(module).items() if inspect.isclass(value) and issubclass(value, nn.Module)]
        known = unknown(f"class of {place}", name, networks) if networks else f"the module {place} holds no network"
        raise ConfigError(f"{model} names no class: {known}")
    if not (inspect.isclass(found) and issubclass(found, nn.Module)):
        raise ConfigError(f"a network is a subclass of torch.nn.Module; {model} is {found!r}")
    _require_keywords(model, found)
    return found


def model_name(network: type[nn.Module]) -> str:
    """What a run calls a class: its name in `MODELS`, or else `package.module:Class`.

    >>> model_name(LogisticRegression)
    'lr'

    Raises:
        ConfigError: the class cannot be found under its own name, as one that was made inside a function.
    """
    name = next((name for name, known in MODELS.items() if known is network), None)
    if name is not None:
        return name
    name = f"{network.__module__}:{network.__qualname__}"
    if "." in network.__qualname__ or network_class(name) is not network:
        raise ConfigError(f"a network is found again by its name; {name} is not: define it at the top of a module")
    return name


def _require_keywords(model: str, network: type[nn.Module]) -> None:
    """Refuse a constructor that is not the model's whole configuration, by keywords that JSON can hold."""
    rule = "a network's constructor takes the feature space first and keywords after"
    parameters = list(inspect.signature(network).parameters.values())
    if not parameters or parameters[0].kind not in (parameters[0].POSITIONAL_ONLY, parameters[0].POSITIONAL_OR_KEYWORD):
        raise ConfigError(f"{rule}; {model} takes nothing by position")
    for parameter in parameters[1:]:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise ConfigError(f"{rule}, each by its name; {model} takes '{parameter}': name what it may be")
        if parameter.kind != parameter.KEYWORD_ONLY:
            raise ConfigError(f"{rule}; {model} takes '{parameter.name}' by position: write a * before it")
        try:
            json.dumps(None if parameter.default is parameter.empty else parameter.default)
        except (TypeError, ValueError):
            raise ConfigError(
                f"a network's keywords are numbers, texts, true, false, null or lists, since they are written to the "
                f"model; '{parameter.name}' of {model} is {parameter.default!r}"
            ) from None


def resolve_settings(model: str, given: dict[str, Any]) -> dict[str, Any]:
    """All keywords of a model's constructor: what is given, and its defaults for the rest, JSON-ready.

    >>> resolve_settings("serial-masknet", {"reduction": 4})["reduction"]
    4
    >>> resolve_settings("serial-masknet", {"reducton": 4})
    Traceback (most recent call last):
    masknet.errors.ConfigError: unknown option of serial-masknet 'reducton'; did you mean 'reduction'?

    Raises:
        ConfigError: there is no such model, it has no such keyword, or one that has no default is not given.
    """
    parameters = list(inspect.signature(network_class(model)).parameters.values())[1:]  # the first is the space
    known = [p.name for p in parameters]
    for name in given:
        if not known:
            raise ConfigError(f"the model {model} has no options; '{name}' was set")
        if name not in known:
            raise ConfigError(unknown(f"option of {model}", name, known))
    settings = {p.name: given.get(p.name, p.default) for p in parameters}
    lacking = [name for name, value in settings.items() if value is inspect.Parameter.empty]
    if lacking:
        raise ConfigError(f"the option '{lacking[0]}' of {model} has no default: set it")
    return {name: as_lists(value) for name, value in settings.items()}


def learns_by_row(model: str) -> bool:
    """Whether a model learns from rows itself, in their order, and is moved by no gradient.

    >>> learns_by_row("adpredictor"), learns_by_row("fm")
    (True, False)

    Raises:
        ConfigError: there is no such model.
    """
    return hasattr(network_class(model), "learn")


def recipe_of(model: str) -> Recipe:
    """How a run trains a model where its settings leave it open: the `recipe` of its class, or else the general one.

    One that a class inherits does not count: a subclass is another network, with other keywords.

    >>> recipe_of("lr").epochs
    50

    Raises:
        ConfigError: there is no such model, or its recipe is none.
    """
    recipe = vars(network_class(model)).get("recipe", Recipe())
    if not isinstance(recipe, Recipe):
        raise ConfigError(f"a network's recipe is a masknet.models.Recipe; that of {model} is {recipe!r}")
    return recipe


def as_lists(value: Any) -> Any:
    """A setting as JSON holds it: tuples are lists, at any depth.

    >>> as_lists({"widths": (64, (32, 16))})
    {'widths': [64, [32, 16]]}
    """
    return _with_sequences(value, list)


def _with_sequences(value: Any, kind: Callable[[Iterable[Any]], Any]) -> Any:
    if isinstance(value, list | tuple):
        return kind(_with_sequences(entry, kind) for entry in value)
    if isinstance(value, dict):
        return {key: _with_sequences(entry, kind) for key, entry in value.items()}
    return value


_TOO_LARGE = re.compile(r"DefaultCPUAllocator|Overflow when unpacking|calculation overflowed")
"""What PyTorch says of tensors that no memory holds, and of sizes that no tensor has."""


def build_network(model: str, space: FeatureSpace, settings: dict[str, Any]) -> nn.Module:
    """The network of that name, its weights drawn from PyTorch's global generator.

    >>> from masknet.space import FieldSpace
    >>> space = FeatureSpace(num_ids=9, fields=(FieldSpace("user"),))
    >>> build_network("serial-masknet", space, {"block_dims": [8, 4]}).head.weight.shape
    torch.Size([1, 4])

    Args:
        model: its name.
        space: what the network may know of the data.
        settings: keywords of its constructor. Lists, which is what JSON and YAML make of tuples, reach it as tuples, at
            any depth: in training, in loading, and in the contract alike.

    Raises:
        ConfigError: there is no such model, or a setting is out of range.
    """
    network = network_class(model)
    keywords = {name: _with_sequences(value, tuple) for name, value in settings.items()}
    try:
        return network(space, **keywords)
    except (TypeError, ValueError, RuntimeError, MemoryError) as error:
        too_large = isinstance(error, MemoryError) or _TOO_LARGE.search(str(error))
        if not too_large and isinstance(error, RuntimeError):
            raise
        if not too_large:
            raise ConfigError(f"{model}: {error}") from None
        raise ConfigError(
            f"the weights of {model} must fit in memory; with {settings} and {space.num_ids:,} ids they do not: choose "
            f"smaller widths, or fewer ids with --min-count or --max-vocabulary"
        ) from None
