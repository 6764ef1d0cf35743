"""Logistic regression on the leaves of gradient-boosted trees."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from masknet.encode import EncodedRows
from masknet.gbdt.boosting import TreeModel
from masknet.gbdt.columns import TreeColumns
from masknet.gbdt.trees import Trees, load_trees
from masknet.own_files import UnsoundError
from masknet.space import FeatureSpace, FieldSpace

__all__ = ["LeafRegression"]

_FILE = "weights.safetensors"


@dataclass(frozen=True)
class LeafRegression:
    """One weight a leaf, for the leaf that a row falls in of each tree: the model `gbdt-lr`.

    He et al., "Practical lessons from predicting clicks on ads at Facebook" (ADKDD 2014), section 3.1.

    Args:
        columns: how the trees read rows.
        model: the trees.
        weights: one a leaf, in the order of `leaf_space`, that of padding first and zero.
        bias: what is added to every row's.
    """

    name: ClassVar = "gbdt-lr"
    paper: ClassVar = "He et al., ADKDD 2014"

    columns: TreeColumns
    model: TreeModel
    weights: NDArray[np.float32]
    bias: np.float32

    def logits(self, rows: EncodedRows) -> NDArray[np.float32]:
        """The log-odds of each row, `[rows]`.

        Raises:
            DataError: as in `TreeColumns.matrix`.
        """
        ids = self.leaf_ids(self.model, self.columns.matrix(rows))
        logits: NDArray[np.float32] = self.weights[ids].sum(axis=1, dtype=np.float32) + self.bias
        return logits

    @staticmethod
    def leaf_space(model: TreeModel) -> FeatureSpace:
        """The leaves as a space of ids: a field a tree, and behind padding its leaves, tree by tree."""
        fields = tuple(FieldSpace(f"tree {i}", num_values=leaves) for i, leaves in enumerate(model.leaves))
        return FeatureSpace(num_ids=1 + sum(model.leaves), fields=fields)

    @staticmethod
    def leaf_ids(model: TreeModel, x: NDArray[np.float64]) -> NDArray[np.int32]:
        """The id of the leaf that each row falls in of each tree, `[rows, trees]`."""
        first = np.cumsum([1, *model.leaves[:-1]])
        ids: NDArray[np.int32] = (model.leaf_indices(x) + first).astype(np.int32)
        return ids

    def files(self) -> dict[str, bytes]:
        """The trees as text, how they read rows, and the weights."""
        weights = {"weights": self.weights, "bias": np.array([self.bias], dtype=np.float32)}
        return Trees(self.columns, self.model).files() | {_FILE: safetensors.numpy.save(weights)}

    @cached_property
    def num_parameters(self) -> dict[str, int]:
        """What it learned: the leaves, and their weights with the bias."""
        return {"leaves": sum(self.model.leaves), "network": len(self.weights)}  # padding's weight is none, the bias is

    @classmethod
    def load(cls, folder: Path, space: FeatureSpace) -> LeafRegression:
        """What `files` left in a folder.

        Raises:
            ConfigError, ValueError: as in `Trees.load`.
        """
        columns, model = load_trees(folder, space)
        found = safetensors.numpy.load_file(folder / _FILE)
        shapes = {name: array.shape for name, array in found.items()}
        expected = {"weights": (1 + sum(model.leaves),), "bias": (1,)}
        sound = shapes == expected and all(array.dtype == np.float32 for array in found.values())
        if not (sound and all(np.isfinite(array).all() for array in found.values())):
            raise UnsoundError("its weights are not those of the leaves")
        return cls(columns, model, found["weights"], found["bias"][0])
