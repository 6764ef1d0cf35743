"""How well clicks are told from the rest: metrics that only the order of the probabilities matters to."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike

from masknet.intervals import auc_interval, normal_interval
from masknet.metrics.estimate import Estimate, estimate_of
from masknet.metrics.placements import Block, blocks_of_rows, blocks_of_tally, placements_of
from masknet.metrics.rows import Floats, Rows, checked_rows
from masknet.metrics.tally import Ranking, Tally, running_totals, sum_of, tally_of, variance_of_mean

__all__ = [
    "auc",
    "auc_difference_of",
    "auc_of",
    "auc_value",
    "pr_auc",
    "pr_auc_of",
    "pr_auc_value",
    "rela_imp",
    "rela_imp_of",
    "row_placements",
]


def auc(labels: ArrayLike, probabilities: ArrayLike, weights: ArrayLike | None = None) -> Estimate:
    """The share of (positive, negative) pairs ranked rightly, ties counted half, each pair weighing `w_i w_j`.

    The interval is that of `masknet.intervals.auc_interval`: Newcombe's, with the variance of the weighted placement
    values (DeLong, DeLong and Clarke-Pearson, Biometrics 1988).

    >>> auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]).value
    0.75

    Args:
        labels: 0 or 1 (int, bool or float), shape `[rows]`.
        probabilities: in [0, 1], shape `[rows]`.
        weights: finite and not negative, shape `[rows]`; None weighs all rows alike.

    Raises:
        DataError: an array breaks these rules. The same holds for every metric here.
    """
    return auc_of_rows(checked_rows(labels, probabilities, weights))


def pr_auc(labels: ArrayLike, probabilities: ArrayLike, weights: ArrayLike | None = None) -> Estimate:
    """Average precision, the sum over thresholds of the step in recall times the precision; arguments as for `auc`.

    As scikit-learn's `average_precision_score`: no interpolation. No interval.

    >>> round(pr_auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]).value, 12)
    0.833333333333
    """
    return pr_auc_of(tally_of(checked_rows(labels, probabilities, weights)))


def rela_imp(auc_value: float, base_auc: float) -> float | None:
    """The paper's RelaImp, `(AUC - 0.5) / (base AUC - 0.5) - 1`; None where the base ranks like chance.

    >>> round(rela_imp(0.8124, 0.7895), 4)
    0.0791
    """
    return None if base_auc == 0.5 else (auc_value - 0.5) / (base_auc - 0.5) - 1


def auc_value(tally: Tally) -> float:
    """As `auc`, without an interval; NaN of one class."""
    return placements_of(blocks_of_tally(tally)).auc


def _placements(tally: Tally, value: float) -> tuple[Floats, Floats]:
    """At each probability, a positive's share of wins and a negative's of losses, less their mean, the AUC."""
    negatives_below, positives_below = running_totals(tally.negative), running_totals(tally.positive)
    negatives, positives = float(negatives_below[-1]), float(positives_below[-1])
    negatives_below -= tally.negative / 2
    positives_below -= tally.positive / 2
    return negatives_below / negatives - value, 1 - positives_below / positives - value


def auc_of_rows(rows: Rows) -> Estimate:
    """As `auc`."""
    if rows.weights is None:
        return _auc(rows, blocks_of_rows(rows.positive, rows.probabilities))
    return auc_of(tally_of(rows))


def row_placements(ranking: Ranking) -> tuple[float, Floats]:
    """The AUC, and DeLong's placement of each row that weighs something, in the order given, less that AUC.

    The variance of an AUC, and of any sum of AUCs of the same rows, is that of the mean of these in each class.
    """
    value = auc_value(ranking.tally)
    return value, ranking.by_row(*_placements(ranking.tally, value))


def auc_of(tally: Tally) -> Estimate:
    """As `auc`."""
    return _auc(tally.rows, blocks_of_tally(tally))


def _auc(rows: Rows, blocks: Iterable[Block]) -> Estimate:
    if rows.why_one_class:
        return Estimate(None, why=rows.why_one_class)
    found = placements_of(blocks)
    variance = math.nan if _is_end(found.auc) else found.variance
    return estimate_of(found.auc, auc_interval(found.auc, variance, *found.effective))


def _is_end(auc_value: float) -> bool:
    """Whether DeLong's variance collapses there."""
    return not 1e-12 < auc_value < 1 - 1e-12


def auc_difference_of(model: Ranking, baseline: Ranking) -> Estimate:
    """The model's AUC less the baseline's, with DeLong's interval for two rankings of the same rows."""
    why = model.tally.rows.why_one_class
    if why:
        return Estimate(None, why=why)
    value, base = auc_value(model.tally), auc_value(baseline.tally)
    if _is_end(value) or _is_end(base):
        return Estimate(value - base)
    gap = model.by_row(*_placements(model.tally, value)) - baseline.by_row(*_placements(baseline.tally, base))
    variance = 0.0
    for of_class in (model.rows.positive, ~model.rows.positive):
        d = gap[of_class]
        w = np.ones(len(d)) if model.rows.weights is None else model.rows.weights[of_class]
        variance += variance_of_mean(sum_of(w), sum_of(w**2), sum_of((w * d) ** 2))
    if variance < 1e-24:
        return Estimate(value - base)
    return estimate_of(value - base, normal_interval(value - base, variance, low=-1.0, high=1.0))


def rela_imp_of(auc_estimate: Estimate, base: Estimate) -> Estimate:
    """As `rela_imp`, of two estimates; no interval."""
    if auc_estimate.value is None or base.value is None:
        return Estimate(None, why=auc_estimate.why or base.why)
    value = rela_imp(auc_estimate.value, base.value)
    return Estimate(value, why="the baseline's AUC is 0.5" if value is None else None)


def pr_auc_value(tally: Tally) -> float:
    """As `pr_auc`; of two classes."""
    falling = tally.positive[::-1]
    above = running_totals(falling)
    every = above + running_totals(tally.negative[::-1])
    precision = np.divide(above, every, out=np.zeros(len(every)), where=every > 0)  # a resample may lack the topmost
    return min(sum_of(falling * precision) / float(above[-1]), 1.0)


def pr_auc_of(tally: Tally) -> Estimate:
    """As `pr_auc`."""
    return Estimate(None, why=tally.rows.why_one_class) if tally.rows.why_one_class else Estimate(pr_auc_value(tally))
