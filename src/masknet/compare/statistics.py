"""Which of several models ranks better, and whether the test rows can tell: paired tests of AUCs over seeds.

A model is one or more trained networks, one a seed. Their predictions are never averaged: a difference of two models is
the mean over seeds of the differences of their AUCs. Its variance has two parts. That of the rows is DeLong's, of the
mean of the placement values over seeds (DeLong, DeLong and Clarke-Pearson, Biometrics 1988), or that of resamples of
rows or of groups. That of the seeds is the variance of the differences over their number; its degrees of freedom are so
few that the sum is tested by Student's distribution with those of Satterthwaite (Biometrics Bulletin 1946). One seed
tells nothing of the second part: then two trained networks are compared, and not two models.

The best model is found on the rows that test it, so that any of all pairs might have become one of the pairs that are
looked at: p-values are corrected by Holm (1979) for all of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from masknet.intervals import student_quantile, student_tails
from masknet.metrics import Estimate
from masknet.metrics.ranking import auc_value, row_placements
from masknet.metrics.rows import Floats, checked_rows
from masknet.metrics.tally import Ranking, ranking_of
from masknet.progress import LogProgress, Progress

__all__ = ["LEVEL", "POWER", "Comparison", "Difference", "holm", "over_seeds", "power"]

LEVEL, POWER = 0.05, 0.8
"""How often a difference is called where there is none, at most, and how often one is found that is `detectable`."""

_NOTHING = 1e-20
"""A variance of nothing but rounding."""


@dataclass(frozen=True)
class Difference:
    """The AUC of a model less that of another.

    Args:
        value: the mean over seeds.
        error: its standard error; NaN where the rows tell nothing of it.
        freedom: degrees of freedom of the error; infinite where the rows make most of it.
        p: the probability of one so large where there is none; None where that cannot be told.
        corrected: the same, corrected for all that was compared.
        comparisons: how many those were.
    """

    value: float
    error: float
    freedom: float
    p: float | None
    corrected: float | None
    comparisons: int

    @property
    def tie(self) -> bool:
        """Whether the rows do not tell the two apart."""
        return self.corrected is None or self.corrected >= LEVEL

    def interval(self, level: float = LEVEL) -> tuple[float, float] | None:
        """The differences that the rows do not speak against; None where they tell nothing.

        Args:
            level: how often it misses the truth.
        """
        if math.isnan(self.error) or (self.error == 0 and self.value != 0):
            return None
        half = student_quantile(level, self.freedom) * self.error
        return max(self.value - half, -1.0), min(self.value + half, 1.0)

    @property
    def detectable(self) -> float | None:
        """The difference that would have been found in 4 of 5 such comparisons; None where none can be told."""
        if math.isnan(self.error):
            return None
        far = student_quantile(LEVEL / self.comparisons, self.freedom) + NormalDist().inv_cdf(POWER)
        return far * self.error

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready copy."""
        low, high = self.interval() or (None, None)
        return {
            "value": self.value,
            "low": low,
            "high": high,
            "p": self.p,
            "p_corrected": self.corrected,
            "comparisons": self.comparisons,
            "tie": self.tie,
            "detectable": self.detectable,
        }


def power(difference: float, error: float, *, comparisons: int = 1, freedom: float = math.inf) -> float:
    """How often a difference of known size is found.

    >>> round(power(2.8, 1.0), 2), round(power(0.0, 1.0), 2)
    (0.8, 0.05)

    Args:
        difference: of the AUCs.
        error: its standard error.
        comparisons: how many it is corrected for.
        freedom: as of a `Difference`.
    """
    normal, far = NormalDist(), student_quantile(LEVEL / comparisons, freedom)
    return normal.cdf(abs(difference) / error - far) + normal.cdf(-abs(difference) / error - far)


def holm(p: Mapping[Any, float | None]) -> dict[Any, float | None]:
    """P-values corrected so that among all of them a wrong call has at most the probability asked for (Holm, 1979).

    >>> holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": None})
    {'a': 0.04, 'b': 0.09, 'c': 0.09, 'd': None}

    Args:
        p: by what was tested; None, of what cannot be told, counts among the tests.
    """
    corrected: dict[Any, float | None] = dict.fromkeys(p)
    least = 0.0
    told = sorted((value, i, name) for i, (name, value) in enumerate(p.items()) if value is not None)
    for rank, (value, _, name) in enumerate(told):
        least = max(least, min(1.0, value * (len(p) - rank)))
        corrected[name] = least
    return corrected


def over_seeds(found: Sequence[Estimate], *, most: float = math.inf) -> Estimate:
    """The mean of a metric over seeds: each half of its interval is the mean one, widened by the seeds' spread.

    >>> over_seeds([Estimate(0.7, 0.6, 0.8), Estimate(0.7, 0.6, 0.8)])
    Estimate(value=0.7, low=0.6, high=0.8, why=None)

    Args:
        found: one a seed.
        most: the largest value that there can be; the least is 0.
    """
    lacking = next((one for one in found if one.value is None), None)
    if lacking is not None:
        return lacking
    if len(found) == 1:
        return found[0]
    values = np.array([one.value for one in found], dtype=np.float64)
    value, of_seeds = float(values.mean()), float(values.var(ddof=1)) / len(values)
    if any(one.low is None or one.high is None for one in found):
        return Estimate(value)
    ends = np.array([(one.low, one.high) for one in found], dtype=np.float64)
    if not of_seeds:
        return Estimate(value, float(ends[:, 0].mean()), float(ends[:, 1].mean()))
    z = student_quantile(LEVEL, math.inf)
    halves = []
    for half in np.abs(ends - values[:, None]).mean(axis=0).tolist():
        of_rows = (half / z) ** 2
        freedom = (of_rows + of_seeds) ** 2 * (len(values) - 1) / of_seeds**2
        halves.append(student_quantile(LEVEL, freedom) * math.sqrt(of_rows + of_seeds))
    return Estimate(value, max(value - halves[0], 0.0), min(value + halves[1], most))


class Comparison:
    """Models that scored the same labelled rows, each as often as it has seeds.

    >>> rng = np.random.default_rng(0)
    >>> labels = rng.integers(2, size=400)
    >>> good, chance = labels * 0.3 + rng.random(400) * 0.7, rng.random(400)
    >>> found = Comparison(labels, {"good": [good], "chance": [chance]})
    >>> found.best, found.difference("chance").tie
    ('good', False)

    Args:
        labels: 0 or 1, `[rows]`, both of them.
        scores: by model the scores in [0, 1] of each seed, `[rows]`; as many seeds of each, or one.
        weights: as for `masknet.metrics.auc`.
        groups: `[rows]`; the variance is then that of resamples of groups.
        resamples: of groups, or of rows; 0 for DeLong's variance.
        seed: of the resamples.
        progress: told how far resampling is.
    """

    def __init__(
        self,
        labels: NDArray[Any],
        scores: Mapping[str, Sequence[NDArray[np.float64]]],
        *,
        weights: NDArray[np.float64] | None = None,
        groups: NDArray[Any] | None = None,
        resamples: int = 0,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> None:
        self.names = tuple(scores)
        self.num_seeds = max(map(len, scores.values()))
        self.aucs: dict[str, list[float]] = {}
        heavy = np.ones(len(labels), dtype=np.bool_) if weights is None else weights > 0
        self._weights = np.ones(int(heavy.sum())) if weights is None else weights[heavy].astype(np.float64)
        self._positive = labels[heavy] == 1
        draws = _Draws(resamples, seed, None if groups is None else groups[heavy])
        total, progress = sum(map(len, scores.values())), progress or LogProgress()
        placements, resampled = [], []
        for name, of_seeds in scores.items():
            placed, drawn, self.aucs[name] = np.zeros(len(self._weights)), np.zeros(resamples), []
            for one in of_seeds:  # one at a time, since all of them together may not fit in memory
                ranking = ranking_of(checked_rows(labels, one, weights))
                value, of_rows = row_placements(ranking)
                self.aucs[name].append(value)
                placed += of_rows / len(of_seeds)
                drawn += draws.aucs(ranking) / len(of_seeds)
                progress.track("compare", sum(map(len, self.aucs.values())), total, unit="runs")
            placements.append(placed)
            resampled.append(drawn)
        self._covariance = draws.covariance(np.array(resampled)) if resamples else self._delong(np.array(placements))

    def auc(self, name: str) -> float:
        """The mean over seeds."""
        return float(np.mean(self.aucs[name]))

    @cached_property
    def best(self) -> str:
        """The model of the highest AUC; of equal ones the first."""
        return max(self.names, key=self.auc)

    def difference(self, model: str, other: str | None = None) -> Difference:
        """The AUC of a model less that of another, by default of the best."""
        pair = model, self.best if other is None else other
        value, error, freedom, p = self._raw(*pair)
        corrected = self._corrected.get(pair, self._corrected.get(pair[::-1]))
        return Difference(value, error, freedom, p, corrected, max(1, len(self._corrected)))

    @cached_property
    def _corrected(self) -> dict[Any, float | None]:
        pairs = [(a, b) for i, a in enumerate(self.names) for b in self.names[i + 1 :]]
        return holm({pair: self._raw(*pair)[3] for pair in pairs})

    def _raw(self, model: str, other: str) -> tuple[float, float, float, float | None]:
        """Value, standard error, degrees of freedom and p-value of a difference."""
        i, j = self.names.index(model), self.names.index(other)
        own, of_other = np.array(self.aucs[model]), np.array(self.aucs[other])
        differences = own - of_other
        value = float(differences.mean())
        covariance = self._covariance
        of_rows = float(covariance[i, i] + covariance[j, j] - 2 * covariance[i, j])
        of_rows = 0.0 if of_rows < _NOTHING else of_rows
        seeds = len(differences)
        of_seeds = float(differences.var(ddof=1)) / seeds if seeds > 1 else 0.0
        variance = of_rows + of_seeds
        if math.isnan(variance):
            return value, math.nan, math.inf, None
        if variance == 0:
            return value, 0.0, math.inf, 1.0 if value == 0 else None
        freedom = math.inf if of_seeds == 0 else variance**2 * (seeds - 1) / of_seeds**2
        return value, math.sqrt(variance), freedom, student_tails(value / math.sqrt(variance), freedom)

    def _delong(self, placements: Floats) -> Floats:
        """The covariance of the models' AUCs, `[models, models]`; NaN where one row makes a class."""
        found = np.zeros((len(placements), len(placements)))
        for of_class in (self._positive, ~self._positive):
            w = self._weights[of_class]
            share = float((w**2).sum() / w.sum() ** 2)
            if share >= 1:
                return np.full(found.shape, math.nan)
            weighted = placements[:, of_class] * w
            found += weighted @ weighted.T / w.sum() ** 2 / (1 - share)
        return found


class _Draws:
    """Resamples of rows, or of groups: the same for every ranking."""

    def __init__(self, resamples: int, seed: int, groups: NDArray[Any] | None) -> None:
        self._resamples, self._seed = resamples, seed
        self._groups = None if groups is None else np.unique(groups, return_inverse=True)[1]

    def aucs(self, ranking: Ranking) -> Floats:
        """The AUC in each; NaN where a class was not drawn."""
        groups, rng = self._groups, np.random.default_rng(self._seed)
        units = len(ranking.rows) if groups is None else int(groups.max()) + 1
        found = np.empty(self._resamples)
        for i in range(self._resamples):
            counts = np.bincount(rng.integers(units, size=units), minlength=units).astype(np.float64)
            found[i] = auc_value(ranking.counted(counts if groups is None else counts[groups]))
        return found

    def covariance(self, aucs: Floats) -> Floats:
        """Of the models' AUCs, `[models, models]`, given those in each resample, `[models, resamples]`.

        NaN where more than one resample of twenty lacks a class.
        """
        defined = aucs[:, ~np.isnan(aucs).any(axis=0)]
        if defined.shape[1] < 0.95 * self._resamples:
            return np.full((len(aucs), len(aucs)), math.nan)
        return np.atleast_2d(np.cov(defined))
