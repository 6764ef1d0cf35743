"""Gradient-boosted trees on the encoded arrays: the baseline that a network has to answer to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float, Integer, Shaped

from masknet.errors import ConfigError

Labels = Integer[np.ndarray, "row"] | Float[np.ndarray, "row"]


@dataclass(frozen=True)
class TreeModel:
    """Trained trees; `rounds` is how many of them early stopping kept."""

    rounds: int
    _booster: Any = field(repr=False)

    def predict_proba(self, x: Float[np.ndarray, "row field"]) -> Float[np.ndarray, "row"]:
        """The click probability of each row, float64."""
        if len(x) == 0:
            return np.empty(0)
        return np.asarray(self._booster.predict(x, num_iteration=self.rounds), dtype=np.float64)


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
    try:
        import lightgbm
    except ImportError as error:
        raise ConfigError(
            "the LightGBM baseline needs the package lightgbm, which is not installed: pip install 'masknet[trees]'"
        ) from error
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
