"""Gradient-boosted trees on the encoded arrays: the baseline that a network has to answer to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, Integer, Shaped
from numpy.typing import NDArray

from masknet.encode import EncodedRows, EncodedSet
from masknet.errors import ConfigError, DataError
from masknet.space import FeatureSpace

__all__ = ["TreeModel", "Trees", "train_lightgbm", "train_trees"]

Labels = Integer[np.ndarray, "row"] | Float[np.ndarray, "row"]


@dataclass(frozen=True)
class TreeModel:
    """Trained trees; `rounds` is how many of them early stopping kept."""

    rounds: int
    _booster: Any = field(repr=False)

    def predict_proba(self, x: Float[np.ndarray, "row field"]) -> Float[np.ndarray, "row"]:
        """The click probability of each row, float64."""
        margins = self.margins(x)
        return np.asarray(1 / (1 + np.exp(-margins)))

    def margins(self, x: Float[np.ndarray, "row field"]) -> Float[np.ndarray, "row"]:
        """The log-odds of each row, float64: what the trees add up to."""
        if len(x) == 0:
            return np.empty(0)
        return np.asarray(self._booster.predict(x, num_iteration=self.rounds, raw_score=True), dtype=np.float64)

    @property
    def num_leaves(self) -> int:
        """The leaves of all trees that were kept: the numbers that the model has learned."""
        dumped = self._booster.dump_model(num_iteration=self.rounds)
        return sum(int(tree["num_leaves"]) for tree in dumped["tree_info"])

    def to_text(self) -> str:
        """LightGBM's own text of the trees that were kept, read back by `from_text`."""
        return str(self._booster.model_to_string(num_iteration=self.rounds))

    @classmethod
    def from_text(cls, text: str) -> TreeModel:
        """The inverse of `to_text`.

        Raises:
            ConfigError: LightGBM is not installed.
            ValueError: the text holds no trees.
        """
        lightgbm = _lightgbm()
        try:
            booster = lightgbm.Booster(model_str=text)
        except lightgbm.basic.LightGBMError as error:
            raise ValueError(f"no trees: {error}") from error
        return cls(rounds=booster.current_iteration(), _booster=booster)


@dataclass(frozen=True)
class Trees:
    """Trees as a scorer of encoded rows: `masknet.artifact.Artifact` holds and saves them as it does a network.

    Args:
        space: the fields of the rows.
        model: the trees, trained on `tree_columns` of such rows.
    """

    name: ClassVar = "gbdt"
    file: ClassVar = "trees.txt"

    space: FeatureSpace
    model: TreeModel

    def logits(self, rows: EncodedRows) -> NDArray[np.float32]:
        """The log-odds of each row, `[rows]`.

        Raises:
            DataError: as in `tree_columns`.
        """
        return self.model.margins(tree_columns(self.space, rows)).astype(np.float32)

    def files(self) -> dict[str, bytes]:
        """The trees as text."""
        return {self.file: self.model.to_text().encode()}

    @classmethod
    def load(cls, folder: Path, space: FeatureSpace) -> Trees:
        """Those that `files` left in a folder.

        Raises:
            ConfigError, ValueError: as in `TreeModel.from_text`.
        """
        return cls(space, TreeModel.from_text((folder / cls.file).read_text(encoding="utf-8")))


def tree_columns(space: FeatureSpace, rows: EncodedRows) -> NDArray[np.float64]:
    """Encoded rows as trees read them, `[rows, columns]`: numbers as they were, the ids of all other slots, vectors.

    An id is an integer code, the commoner values of a field the lower.

    Raises:
        DataError: the space has numeric fields, and their raw numbers were not kept.
    """
    numeric = space.numeric_fields
    if numeric and rows.numbers is None:
        raise DataError("trees read numbers as they are; these rows were encoded without them: encode them again")
    columns: list[NDArray[Any]] = []
    for i, own in enumerate(zip(space.field_slots, space.field_columns, strict=True)):
        slots, dense = (slice(span.start, span.stop) for span in own)
        if i in numeric and rows.numbers is not None:
            columns.append(rows.numbers[:, [numeric.index(i)]])
        else:
            columns.append(rows.ids[:, slots])
        if rows.dense is not None:
            columns.append(rows.dense[:, dense])
    return np.concatenate(columns, axis=1, dtype=np.float64)


def train_trees(
    space: FeatureSpace, train: EncodedSet, valid: EncodedSet, *, seed: int = 0, threads: int = 1, **settings: Any
) -> Trees:
    """Train on encoded rows of one label, as `train_lightgbm` does with the same settings.

    Args:
        space: the fields of the rows.
        train: rows to learn from; all of them are in memory at once.
        valid: rows that decide when to stop.
        seed: of LightGBM's draws.
        threads: of LightGBM.
        settings: further keywords of `train_lightgbm`.

    Raises:
        ConfigError: LightGBM is not installed.
        DataError: as in `tree_columns`.
    """
    (x, y), held_out = (
        (tree_columns(space, rows.take(slice(None))), rows.labels[:, 0].astype(np.int64)) for rows in (train, valid)
    )
    model = train_lightgbm(x, y, valid=held_out, weights=train.weights, seed=seed, threads=threads, **settings)
    return Trees(space, model)


def train_lightgbm(
    x: Float[np.ndarray, "row field"],
    y: Labels,
    *,
    valid: tuple[Float[np.ndarray, "row_valid field"], Shaped[np.ndarray, "row_valid"]],
    weights: Float[np.ndarray, "row"] | None = None,
    num_leaves: int = 31,
    learning_rate: float = 0.05,
    max_rounds: int = 2000,
    patience: int = 50,
    categorical: Sequence[int] = (),
    seed: int = 0,
    threads: int = 1,
) -> TreeModel:
    """Train LightGBM until its log loss on `valid` has not fallen for `patience` rounds.

    Categorical fields enter as integer codes, split like ordered numbers: with many ids this is LightGBM's stronger
    mode, and the one that the tables call "integer-coded categoricals"; or natively, as sets of values, where
    `categorical` names their columns. Same arrays, seed and threads: same trees.

    Args:
        x: a column a field: codes of categoricals, raw numerics, NaN where a numeric is missing.
        y: the clicks, 0 or 1.
        valid: `x` and `y` of the rows that decide when to stop.
        weights: of the rows of `x`, at least 0; all 1 unless given.
        num_leaves: of a tree, at least 2.
        learning_rate: the share of each tree that is added, in (0, 1].
        max_rounds: trees at most.
        patience: rounds without a gain, at least 1.
        categorical: the columns of `x` that hold codes of values without an order.
        seed: of LightGBM's draws.
        threads: of LightGBM.

    Raises:
        ConfigError: LightGBM is not installed.

    >>> x = np.arange(400.0)[:, None]
    >>> trees = train_lightgbm(x, (x[:, 0] > 150) * 1, valid=(x, (x[:, 0] > 150) * 1), max_rounds=40)
    >>> trees.predict_proba(np.array([[10.0], [390.0]])).round()
    array([0., 1.])
    """
    lightgbm = _lightgbm()
    parameters = {
        "objective": "binary",
        "metric": "binary_logloss",
        "num_leaves": num_leaves,
        "learning_rate": learning_rate,
        "seed": seed,
        "num_threads": threads,
        "deterministic": True,
        "force_row_wise": True,  # otherwise LightGBM times both layouts and takes the faster, which may change the sums
        "verbosity": -1,
    }
    train = lightgbm.Dataset(x, y, weight=weights, categorical_feature=list(categorical))
    booster = lightgbm.train(
        parameters,
        train,
        num_boost_round=max_rounds,
        valid_sets=[lightgbm.Dataset(*valid, reference=train)],
        callbacks=[lightgbm.early_stopping(patience, verbose=False)],
    )
    return TreeModel(rounds=booster.best_iteration or booster.current_iteration(), _booster=booster)


def _lightgbm() -> Any:
    try:
        import lightgbm
    except ImportError as error:
        raise ConfigError(
            "the LightGBM baseline needs the package lightgbm, which is not installed: pip install 'masknet[trees]'"
        ) from error
    return lightgbm
