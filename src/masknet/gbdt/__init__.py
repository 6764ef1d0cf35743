"""Gradient-boosted trees on the encoded rows: the baselines that a network has to answer to.

`TREES` names those that a run can train; each scores encoded rows as a network does, and is kept as LightGBM's text.
"""

from __future__ import annotations

from masknet.gbdt.boosting import (
    LEARNING_RATE,
    OF_LIGHTGBM,
    PATIENCE,
    SEARCH,
    TreeModel,
    by_own_names,
    train_lightgbm,
    tree_settings,
)
from masknet.gbdt.columns import TreeColumns
from masknet.gbdt.leaves import LeafRegression
from masknet.gbdt.trees import Trees

TREES: dict[str, type[Trees] | type[LeafRegression]] = {"gbdt": Trees, "gbdt-lr": LeafRegression}

__all__ = [
    "LEARNING_RATE",
    "OF_LIGHTGBM",
    "PATIENCE",
    "SEARCH",
    "TREES",
    "LeafRegression",
    "TreeColumns",
    "TreeModel",
    "Trees",
    "by_own_names",
    "train_lightgbm",
    "tree_settings",
]
