"""How a network is trained where a run's settings leave it open: it lies beside the network, as `Class.recipe`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


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


CONVEX = Recipe(
    learning_rate=1e-2,
    epochs=50,
    evaluations=1,
    patience=2,
    schedule="plateau",
    embedding_l2=0.0,
    average_weights=0.0,
)
"""Of linear models, which start from zero: members would be one, and weights need no average."""


FACTORS = Recipe(embedding_l2=1e-4, several_members=True)
"""Of models that multiply vectors as they are: a penalty that suits what a norm rescales lets them learn nothing."""


def of_masks(**network: Any) -> Recipe:
    """The recipe of the MaskNets; a class by itself has the paper's blocks.

    >>> of_masks(top_dims=(128,)).network["block_dims"]
    (64, 64, 64)

    Args:
        network: keywords of the constructor beside those of its blocks.
    """
    blocks = {
        "embedding_dim": 10,
        "reduction": 1.0,
        "max_mask_weights": 2_000_000,  # those of 100 fields
        "embedding_norm": False,
        "block_dims": (64, 64, 64),
    }
    return Recipe(network={**blocks, **network}, yields_to={"max_mask_weights": "reduction"}, several_members=True)


def of_layers(**network: Any) -> Recipe:
    """The recipe of the networks whose body are feed-forward layers, the same for all.

    Args:
        network: keywords of the constructor beside those of its layers.
    """
    layers = {"hidden_dims": (128, 64), "norm": "layer", "dropout": 0.1}
    return Recipe(network={**layers, **network}, several_members=True)
