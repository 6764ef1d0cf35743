"""The networks: one file a model, one name a model.

Each maps `(ids [B, S], values [B, S], dense [B, D] or None)` to logits `[B]` and is built from a `FeatureSpace`; the
rest of its constructor is its configuration. For a network of your own, write such a class, and let `masknet.testing`
check it.
"""

from __future__ import annotations

import inspect
from typing import Any

from torch import nn

from masknet.errors import ConfigError, unknown
from masknet.models.logistic_regression import LogisticRegression
from masknet.models.parallel_masknet import ParallelMaskNet
from masknet.models.serial_masknet import SerialMaskNet
from masknet.space import FeatureSpace

MODELS: dict[str, type[nn.Module]] = {
    "serial-masknet": SerialMaskNet,
    "parallel-masknet": ParallelMaskNet,
    "lr": LogisticRegression,
}

__all__ = ["MODELS", "LogisticRegression", "ParallelMaskNet", "SerialMaskNet", "build_network", "resolve_settings"]


def resolve_settings(model: str, given: dict[str, Any]) -> dict[str, Any]:
    """All keywords of a model's constructor: what is given, and its defaults for the rest, JSON-ready.

    >>> resolve_settings("serial-masknet", {"reduction": 4})["reduction"]
    4
    >>> resolve_settings("serial-masknet", {"reducton": 4})
    Traceback (most recent call last):
    masknet.errors.ConfigError: unknown option of serial-masknet 'reducton'; did you mean 'reduction'?

    Raises:
        ConfigError: there is no such model, or it has no such keyword.
    """
    if model not in MODELS:
        raise ConfigError(unknown("model", model, MODELS))
    parameters = list(inspect.signature(MODELS[model]).parameters.values())[1:]  # the first is the feature space
    known = [p.name for p in parameters]
    for name in given:
        if not known:
            raise ConfigError(f"the model {model} has no options; '{name}' was set")
        if name not in known:
            raise ConfigError(unknown(f"option of {model}", name, known))
    settings = {p.name: given.get(p.name, p.default) for p in parameters}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in settings.items()}


def build_network(model: str, space: FeatureSpace, settings: dict[str, Any]) -> nn.Module:
    """The network of that name, its weights drawn from torch's global generator.

    Raises:
        ConfigError: a setting is out of range.
    """
    try:
        return MODELS[model](space, **settings)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{model}: {error}") from None
    except (RuntimeError, MemoryError) as error:
        if "alloc" not in str(error) and not isinstance(error, MemoryError):
            raise
        raise ConfigError(
            f"the weights of {model} must fit in memory; with {settings} and {space.num_ids:,} ids they do not: choose "
            f"smaller widths, or fewer ids with --min-count or --max-vocabulary"
        ) from None
