"""Gradient-boosted trees as a scorer of encoded rows."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from masknet.encode import EncodedRows
from masknet.gbdt.boosting import TreeModel
from masknet.gbdt.columns import TreeColumns
from masknet.own_files import UnsoundError, read_json
from masknet.space import FeatureSpace

__all__ = ["COLUMNS_FILE", "TREES_FILE", "Trees", "load_trees"]

TREES_FILE, COLUMNS_FILE = "trees.txt", "trees.json"


@dataclass(frozen=True)
class Trees:
    """Trees whose sum is the score: the model `gbdt`.

    Friedman, "Greedy function approximation: a gradient boosting machine" (2001), by LightGBM (Ke et al., NIPS 2017).

    Args:
        columns: how they read rows.
        model: the trees, grown on such columns.
    """

    name: ClassVar = "gbdt"
    paper: ClassVar = "Friedman 2001; Ke et al., NIPS 2017"

    columns: TreeColumns
    model: TreeModel

    def logits(self, rows: EncodedRows) -> NDArray[np.float32]:
        """The log-odds of each row, `[rows]`.

        Raises:
            DataError: as in `TreeColumns.matrix`.
        """
        return self.model.margins(self.columns.matrix(rows)).astype(np.float32)

    def files(self) -> dict[str, bytes]:
        """The trees as text, and how they read rows."""
        return {TREES_FILE: self.model.to_text().encode(), COLUMNS_FILE: json.dumps(self.columns.to_json()).encode()}

    @property
    def num_parameters(self) -> dict[str, int]:
        """What it learned: the leaves."""
        return {"leaves": sum(self.model.leaves)}

    @classmethod
    def load(cls, folder: Path, space: FeatureSpace) -> Trees:
        """Those that `files` left in a folder.

        Raises:
            ConfigError: LightGBM is not installed.
            ValueError: a file is not as `files` gave it.
        """
        return cls(*load_trees(folder, space))


def load_trees(folder: Path, space: FeatureSpace) -> tuple[TreeColumns, TreeModel]:
    """Trees that lie in a folder, and how they read rows.

    Raises:
        ConfigError, ValueError: as in `Trees.load`.
    """
    columns = TreeColumns.from_json(space, read_json(folder / COLUMNS_FILE))
    model = TreeModel.from_text((folder / TREES_FILE).read_text(encoding="utf-8"))
    width = columns.width
    if model.num_columns != width:
        raise UnsoundError(f"its trees read {model.num_columns} columns, and rows have {width}")
    return columns, model
