"""Every metric of a sample, and its interval by resampling."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from masknet.errors import ConfigError
from masknet.metrics.estimate import Estimate
from masknet.metrics.grouped import grouped_auc_of, groups_of, ndcg_of
from masknet.metrics.probability import (
    calibration_ratio_of,
    entropy_of,
    expected_calibration_error_of,
    log_loss_of,
    log_loss_value,
    normalized_entropy_of,
    predicted_of,
)
from masknet.metrics.ranking import auc_difference_of, auc_of, auc_value, pr_auc_of, pr_auc_value, rela_imp, rela_imp_of
from masknet.metrics.rows import Floats, checked_rows
from masknet.metrics.tally import Tally, ranking_of, sum_of
from masknet.progress import LogProgress, Progress
from masknet.schema import UNKNOWN

__all__ = ["Sample", "evaluate", "evaluate_tasks"]


_NDCG_AT = (5, 10)


def evaluate(
    labels: ArrayLike,
    probabilities: ArrayLike,
    weights: ArrayLike | None = None,
    groups: ArrayLike | None = None,
) -> dict[str, Estimate]:
    """Every metric by its name; with `groups`, `grouped_auc`, `ndcg_at_5` and `ndcg_at_10` too.

    >>> list(evaluate([0, 1], [0.2, 0.7]))[:3]
    ['auc', 'log_loss', 'normalized_entropy']
    """
    return Sample(labels, probabilities, weights, groups).estimates


def evaluate_tasks(
    labels: NDArray[np.uint8],
    probabilities: Floats,
    weights: Floats | None = None,
    groups: NDArray[Any] | None = None,
) -> list[dict[str, Estimate]]:
    """Every metric of each task, over the rows whose label of that task is known.

    >>> labels = np.array([[0, 1], [1, UNKNOWN], [1, 0]], dtype=np.uint8)
    >>> [found["auc"].value for found in evaluate_tasks(labels, np.array([[0.2, 0.9], [0.7, 0.1], [0.8, 0.3]]))]
    [1.0, 1.0]

    Args:
        labels: 0, 1 or `UNKNOWN`, shape `[rows, tasks]`.
        probabilities: in [0, 1], of the same shape; of one task also `[rows]`.
        weights: as for `auc`, of the rows.
        groups: as for `grouped_auc`, of the rows.
    """
    found = []
    for of_task, given in zip(labels.T, probabilities.reshape(labels.shape).T, strict=True):
        known = of_task != UNKNOWN
        beside = [None if of_row is None else of_row[known] for of_row in (weights, groups)]
        found.append(evaluate(of_task[known], given[known], *beside))
    return found


class Sample:
    """Labelled probabilities, checked and sorted once: every metric of them, and its interval by resampling.

    >>> sample = Sample([0, 0, 1, 1] * 5, [0.1, 0.4, 0.35, 0.8] * 5)
    >>> sample.estimates["pr_auc"].low is None
    True
    >>> sample.bootstrap(200)["pr_auc"].low < sample.estimates["pr_auc"].value
    True

    Args:
        labels: as for `auc`.
        probabilities: as for `auc`.
        weights: as for `auc`.
        groups: as for `grouped_auc`; adds the grouped metrics, and makes groups what is resampled.
        baseline: another model's probabilities of the same rows; adds its AUC, `baseline_auc`, and `rela_imp` and
            `auc_difference` against it.
    """

    def __init__(
        self,
        labels: ArrayLike,
        probabilities: ArrayLike,
        weights: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        *,
        baseline: ArrayLike | None = None,
    ) -> None:
        self._model = ranking_of(checked_rows(labels, probabilities, weights, groups))
        self._groups = None if groups is None else groups_of(self._model.rows, _NDCG_AT)
        self._baseline = None if baseline is None else ranking_of(checked_rows(labels, baseline, weights))

    @property
    def num_groups(self) -> int:
        """How many groups have rows that weigh something; 0 without groups."""
        return 0 if self._groups is None else len(self._groups.mass)

    @property
    def groups_of_one_class(self) -> int:
        """How many groups the grouped AUC leaves out."""
        return 0 if self._groups is None else int(np.isnan(self._groups.auc).sum())

    @property
    def groups_without_positive(self) -> int:
        """How many groups NDCG leaves out."""
        return 0 if self._groups is None else int(np.isnan(self._groups.ndcg[_NDCG_AT[0]]).sum())

    @cached_property
    def estimates(self) -> dict[str, Estimate]:
        """Every metric by its name, with the interval that theory gives."""
        tally = self._model.tally
        loss = log_loss_of(tally)
        found = {
            "auc": auc_of(tally),
            "log_loss": loss,
            "normalized_entropy": normalized_entropy_of(tally, loss),
            "calibration_ratio": calibration_ratio_of(tally),
            "expected_calibration_error": expected_calibration_error_of(tally, bins=20),
            "pr_auc": pr_auc_of(tally),
        }
        if self._groups is not None:
            found["grouped_auc"] = grouped_auc_of(self._groups)
            found |= {f"ndcg_at_{k}": ndcg_of(self._groups, k) for k in _NDCG_AT}
        if self._baseline is not None:
            base = auc_of(self._baseline.tally)
            found |= {
                "rela_imp": rela_imp_of(found["auc"], base),
                "baseline_auc": base,
                "auc_difference": auc_difference_of(self._model, self._baseline),
            }
        return found

    def bootstrap(
        self, resamples: int, *, seed: int = 0, only_grouped: bool = False, progress: Progress | None = None
    ) -> dict[str, Estimate]:
        """The same metrics; an interval is from the 2.5 % to the 97.5 % quantile of the metric over resamples.

        A resample draws as many rows as there are, with replacement, or as many groups, each with all its rows; model
        and baseline see the same draws. There is no interval where the resamples do not differ, or where the metric is
        undefined in more than one of twenty.

        Args:
            resamples: how many, at least 2; 1,000 is usual.
            seed: of the draws; equal seeds give equal intervals.
            only_grouped: only the grouped metrics, which cost a draw of groups and no pass over the rows.
            progress: told of the rows done.

        Raises:
            ConfigError: fewer than 2 resamples.
        """
        if resamples < 2:
            raise ConfigError(f"a bootstrap compares resamples; {resamples} were asked for: take 1000")
        kept = len(self._model.rows)
        units = kept if self._groups is None else self.num_groups
        wanted = {n: e for n, e in self.estimates.items() if not only_grouped or n.startswith(("grouped_auc", "ndcg"))}
        if not units or not wanted:
            return wanted
        rng, progress, values = np.random.default_rng(seed), progress or LogProgress(), np.empty((resamples, 0))
        for done in range(resamples):
            counts = np.bincount(rng.integers(units, size=units), minlength=units).astype(np.float64)
            drawn = self._resample(counts, only_grouped=only_grouped)
            if not done:
                values = np.empty((resamples, len(drawn)))
            values[done] = list(drawn.values())
            progress.track("bootstrap", (done + 1) * kept, resamples * kept)
        column = dict(zip(drawn, values.T, strict=True))
        return {name: _percentiles(estimate, column[name]) for name, estimate in wanted.items()}

    def _resample(self, counts: Floats, *, only_grouped: bool) -> dict[str, float]:
        """Every metric where row i, or group i, is there `counts[i]` times; NaN where it is undefined."""
        found: dict[str, float] = {}
        groups = self._groups
        if not only_grouped:
            of_rows = counts if groups is None else counts[groups.codes]
            found = _values(self._model.counted(of_rows))
        if groups is not None:
            found |= groups.counted(counts)
        if self._baseline is not None and not only_grouped:
            value, base = found["auc"], auc_value(self._baseline.counted(of_rows))
            gain = rela_imp(value, base)
            found |= {"rela_imp": math.nan if gain is None else gain, "baseline_auc": base}
            found["auc_difference"] = value - base
        return found


def _percentiles(estimate: Estimate, values: Floats) -> Estimate:
    defined = values[~np.isnan(values)]
    if estimate.value is None or len(defined) < 0.95 * len(values) or np.ptp(defined) < 1e-12:
        return Estimate(estimate.value, why=estimate.why)
    low, high = np.quantile(defined, (0.025, 0.975))
    return Estimate(estimate.value, float(low), float(high))


def _values(tally: Tally) -> dict[str, float]:
    """The metrics without their intervals, NaN where undefined."""
    both = bool(tally.positive.any()) and bool(tally.negative.any())
    loss = log_loss_value(tally)
    return {
        "auc": auc_value(tally),
        "log_loss": loss,
        "normalized_entropy": loss / entropy_of(tally) if both else math.nan,
        "calibration_ratio": predicted_of(tally) / sum_of(tally.positive) if tally.positive.any() else math.nan,
        "expected_calibration_error": expected_calibration_error_of(tally, bins=20).value or 0.0,
        "pr_auc": pr_auc_value(tally) if both else math.nan,
    }
