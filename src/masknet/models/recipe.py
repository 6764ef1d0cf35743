"""How a network is trained where a run's settings leave it open: it lies beside the network, as `Class.recipe`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from masknet.ranges import Floats, Ints, OneOf, Range, Times

_BATCHES = Times((1, 2, 4))  # smaller ones take as many times as long, and a higher rate does much the same

TRAINING: Mapping[str, Range] = MappingProxyType(
    {
        "learning_rate": Floats(1e-4, 1e-2, log=True),
        "embedding_l2": OneOf((0.0, 1e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0)),
        "network_l2": OneOf((0.0, 1e-6, 1e-5, 1e-4, 1e-3)),
        "batch_size": _BATCHES,
    }
)
"""Within what `masknet tune` moves the settings of a run, where a recipe says nothing of it."""

_DIMS = Ints(4, 32, log=True)
_DROPOUT = Floats(0.0, 0.5)
LAYERS = OneOf(((64,), (128,), (64, 32), (128, 64), (256, 128), (128, 64, 32), (400, 400, 400)))
"""Widths of feed-forward layers."""

IN_LAYERS: Mapping[str, Range] = MappingProxyType(
    {"embedding_dim": _DIMS, "norm": OneOf(("layer", "batch")), "dropout": _DROPOUT}
)
"""What networks of feed-forward layers have beside their widths."""


@dataclass(frozen=True)
class Recipe:
    """The settings of a run of one network; `masknet.train.defaults` adds those that the rows decide.

    A class without one of its own is trained by `Recipe()`, with its constructor's defaults.

    >>> Recipe(network={"embedding_dim": 16}, several_members=True).epochs
    20

    Args:
        network: keywords of the constructor, where a run's differ from the defaults of the class.
        yields_to: keywords of `network` that are left out where another one, named here, is given.
        several_members: whether the mean of several networks is better than one: while rows are few there are several.
        learning_rate: the first one; None lets the split of the rows decide.
        epochs, evaluations, patience, schedule, embedding_l2, average_weights: the run's settings of these names.
        search: within what `masknet tune` moves keywords of the constructor and settings of the run, by their names.
    """

    network: Mapping[str, Any] = field(default_factory=dict)
    yields_to: Mapping[str, str] = field(default_factory=dict)
    several_members: bool = False
    learning_rate: float | None = None
    epochs: int = 20
    evaluations: int = 4
    patience: int = 8
    schedule: Literal["plateau", "constant"] = "constant"
    embedding_l2: float = 0.03
    average_weights: float = 0.999
    search: Mapping[str, Range] = field(default_factory=lambda: TRAINING)


CONVEX = Recipe(
    learning_rate=1e-2,
    epochs=50,
    evaluations=1,
    patience=2,
    schedule="plateau",
    embedding_l2=0.0,
    average_weights=0.0,
    search={
        "learning_rate": Floats(3e-4, 0.1, log=True),
        "embedding_l2": OneOf((0.0, 1e-5, 1e-4, 1e-3, 1e-2)),
        "batch_size": _BATCHES,
    },
)
"""Of linear models, which start from zero: members would be one, and weights need no average."""


OF_FACTORS: Mapping[str, Range] = MappingProxyType(
    {
        "learning_rate": Floats(1e-4, 3e-2, log=True),
        "embedding_l2": OneOf((0.0, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2)),
        "batch_size": _BATCHES,
        "embedding_dim": Ints(2, 64, log=True),
    }
)
"""Within what models that multiply vectors as they are are searched."""

FACTORS = Recipe(embedding_l2=1e-4, several_members=True, search=OF_FACTORS)
"""Of models that multiply vectors as they are: a penalty that suits what a norm rescales lets them learn nothing."""


_NOTHING: Mapping[str, Range] = MappingProxyType({})


def of_masks(*, search: Mapping[str, Range] = _NOTHING, **network: Any) -> Recipe:
    """The recipe of the MaskNets; a class by itself has the paper's blocks.

    >>> of_masks(top_dims=(128,)).network["block_dims"]
    (64, 64, 64)

    Args:
        search: of the keywords beside those of its blocks.
        network: keywords of the constructor beside those of its blocks.
    """
    blocks = {
        "embedding_dim": 10,
        "reduction": 1.0,
        "max_mask_weights": 2_000_000,  # those of 100 fields
        "embedding_norm": False,
        "block_dims": (64, 64, 64),
    }
    space = {
        **TRAINING,
        "embedding_dim": _DIMS,
        "reduction": OneOf((0.5, 1.0, 2.0)),
        "embedding_norm": OneOf((False, True)),
        "block_dims": OneOf(((64,), (32,) * 3, (64,) * 3, (128,) * 3, (256,) * 3, (64,) * 5)),
        "dropout": _DROPOUT,
    }
    return Recipe(
        network={**blocks, **network},
        yields_to={"max_mask_weights": "reduction"},
        several_members=True,
        search={**space, **search},
    )


def of_layers(*, search: Mapping[str, Range] = _NOTHING, **network: Any) -> Recipe:
    """The recipe of the networks whose body are feed-forward layers, the same for all.

    Args:
        search: of the keywords beside those of its layers.
        network: keywords of the constructor beside those of its layers.
    """
    layers = {"hidden_dims": (128, 64), "norm": "layer", "dropout": 0.1}
    space = {**TRAINING, **IN_LAYERS, "hidden_dims": LAYERS}
    return Recipe(network={**layers, **network}, several_members=True, search={**space, **search})
