"""How well each group's rows are ranked, and the mean over the groups."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from masknet.errors import ConfigError
from masknet.intervals import normal_interval
from masknet.metrics.estimate import Estimate, estimate_of
from masknet.metrics.order import bits_of, ordered
from masknet.metrics.rows import Floats, Rows, checked_rows
from masknet.metrics.tally import masses_of, ratio_of, running_totals, starts_of, sum_of, variance_of_mean

__all__ = ["grouped_auc", "grouped_auc_of", "groups_of", "ndcg", "ndcg_of"]

_BLOCK_ROWS = 1 << 16


def grouped_auc(
    labels: ArrayLike, probabilities: ArrayLike, groups: ArrayLike, weights: ArrayLike | None = None
) -> Estimate:
    """The mean of the groups' AUCs, each weighing what its rows weigh; groups of one class are left out.

    With users as groups, the GAUC of Zhou et al., KDD 2018, section 6.2. The interval is the normal approximation for
    a weighted mean over groups; there is none with a single group.

    >>> grouped_auc([0, 1, 0, 1, 1], [0.1, 0.2, 0.9, 0.8, 0.7], ["a", "a", "b", "b", "c"]).value
    0.5

    Args:
        labels: as for `auc`.
        probabilities: as for `auc`.
        groups: each row's group, shape `[rows]`: integers, texts, anything NumPy can sort.
        weights: as for `auc`.
    """
    return grouped_auc_of(groups_of(checked_rows(labels, probabilities, weights, groups), ()))


def ndcg(
    labels: ArrayLike, probabilities: ArrayLike, groups: ArrayLike, weights: ArrayLike | None = None, *, k: int = 10
) -> Estimate:
    """The mean over groups of `DCG@k / ideal DCG@k`, where DCG sums `1 / log2(place + 1)` over the clicks in the top k.

    Rows of equal probability share the mean gain of their places, as in scikit-learn's `ndcg_score`. Groups without a
    positive have no ideal and are left out. All groups weigh alike, or, with weights, what their rows weigh together;
    inside a group weights play no part. The interval is the grouped AUC's.

    >>> ndcg([0, 1, 1, 0, 0], [0.9, 0.8, 0.3, 0.1, 0.1], ["a", "a", "b", "b", "c"], k=1).value
    0.5

    Args:
        labels: as for `auc`.
        probabilities: as for `auc`.
        groups: as for `grouped_auc`.
        weights: as for `auc`.
        k: how many places count.

    Raises:
        ConfigError: `k` is below 1.
    """
    if k < 1:
        raise ConfigError(f"NDCG looks at the first place at least; k is {k}; 10 is the default")
    return ndcg_of(groups_of(checked_rows(labels, probabilities, weights, groups), (k,)), k)


@dataclass(frozen=True)
class _Groups:
    """What each group says, by rising group: all that grouped metrics need."""

    why_empty: str | None
    order: NDArray[np.intp]  # of the rows, by rising group
    ends: NDArray[np.intp]  # where in it a group ends
    mass: Floats  # of a group's rows: its weight in the grouped AUC
    importance: Floats  # its weight in NDCG
    auc: Floats  # NaN where a class is absent
    ndcg: dict[int, Floats]  # by k; NaN where there is no positive

    @cached_property
    def codes(self) -> NDArray[np.intp]:
        """The group of each row, in the order in which the rows were given."""
        codes = np.empty(len(self.order), dtype=np.intp)
        codes[self.order] = np.repeat(np.arange(len(self.ends)), np.diff(self.ends, prepend=0))
        return codes

    @cached_property
    def _sums(self) -> Floats:
        """Of each group a row: each metric times its weight, and the weight, both 0 where it is undefined."""
        pairs = [(self.auc, self.mass), *((values, self.importance) for values in self.ndcg.values())]
        columns = [np.stack([mass * values, mass]) * ~np.isnan(values) for values, mass in pairs]
        return np.ascontiguousarray(np.nan_to_num(np.concatenate(columns)).T)

    def counted(self, counts: Floats) -> dict[str, float]:
        """The grouped metrics where group i is there `counts[i]` times."""
        sums: Floats = counts @ self._sums
        names = ["grouped_auc", *(f"ndcg_at_{k}" for k in self.ndcg)]
        return dict(zip(names, ratio_of(sums[::2], sums[1::2]).tolist(), strict=True))


def groups_of(rows: Rows, ks: tuple[int, ...]) -> _Groups:
    """What each group says, with NDCG at each of `ks`."""
    assert rows.groups is not None
    order, starts, groups = ordered(bits_of(rows.probabilities), rows.groups)
    assert groups is not None
    firsts = np.append(starts_of(groups), len(groups))
    ends = starts[firsts]  # where in `order` each group starts, and the last one ends
    cuts = np.unique(np.searchsorted(ends, np.arange(0, len(order) + _BLOCK_ROWS, _BLOCK_ROWS)).clip(0, len(ends) - 1))
    parts = [np.empty((3 + len(ks), 0))]
    for first, last in pairwise(cuts):
        own = order[ends[first] : ends[last]]
        block = _Block(
            positive=rows.positive[own],
            weights=None if rows.weights is None else rows.weights[own],
            runs=starts[firsts[first] : firsts[last] + 1] - ends[first],
            groups=firsts[first : last + 1] - firsts[first],
        )
        parts.append(np.stack([*block.pairs(), *(block.ndcg(k) for k in ks)]))
    positives, negatives, wins, *ndcgs = np.concatenate(parts, axis=1)
    mass = positives + negatives
    return _Groups(
        why_empty=rows.why_empty,
        order=order,
        ends=ends[1:],
        mass=mass,
        importance=np.ones(len(mass)) if rows.weights is None else mass,
        auc=ratio_of(wins, positives * negatives),
        ndcg=dict(zip(ks, ndcgs, strict=True)),
    )


@dataclass(frozen=True)
class _Block:
    """The rows of some groups, by rising group and probability, few enough to stay in the processor's cache.

    Args:
        positive: whether a row is.
        weights: None where all weigh alike.
        runs: where in the rows a new probability or group begins, and how many rows there are.
        groups: where in `runs` a new group begins, and how many runs there are.
    """

    positive: NDArray[np.bool_]
    weights: Floats | None
    runs: NDArray[np.intp]
    groups: NDArray[np.intp]

    def pairs(self) -> tuple[Floats, Floats, Floats]:
        """What each group's positives weigh, its negatives, and its pairs that are ranked rightly, ties half."""
        firsts = self.groups[:-1]
        if self.weights is None:  # whole numbers, whose running totals tell all
            totals = np.zeros(len(self.positive) + 1, dtype=np.int64)
            np.cumsum(self.positive, out=totals[1:])
            positives = totals[self.runs]
            negatives = self.runs - positives
            twice = np.add.reduceat((positives[1:] - positives[:-1]) * (negatives[1:] + negatives[:-1]), firsts)
            of_groups, before = np.diff(positives[self.groups]), negatives[firsts]
            return of_groups, np.diff(negatives[self.groups]), twice / 2 - of_groups * before
        positive, negative = masses_of(self.positive, self.weights, self.runs[:-1])
        below = running_totals(negative)
        below -= np.repeat(below[firsts] - negative[firsts], np.diff(self.groups)) + negative / 2
        of_groups = np.add.reduceat(positive, firsts)
        return of_groups, np.add.reduceat(negative, firsts), np.add.reduceat(positive * below, firsts)

    @cached_property
    def _clicks(self) -> Floats:
        return np.add.reduceat(self.positive, self.runs[:-1], dtype=np.float64)

    def ndcg(self, k: int) -> Floats:
        """NDCG of each group: rows are counted, not weighed."""
        ends = np.repeat(self.runs[self.groups[1:]], np.diff(self.groups))
        above, below = ends - self.runs[1:], ends - self.runs[:-1]  # a run takes the places between
        clicked = np.add.reduceat(self._clicks, self.groups[:-1]).astype(np.intp)
        gains = np.append(0.0, np.cumsum(1 / np.log2(np.arange(2.0, k + 2))))
        gained = self._clicks / (below - above) * (gains[np.minimum(below, k)] - gains[np.minimum(above, k)])
        return ratio_of(np.add.reduceat(gained, self.groups[:-1]), gains[np.minimum(clicked, k)])


def grouped_auc_of(groups: _Groups) -> Estimate:
    """As `grouped_auc`."""
    return _mean_of_groups(groups, groups.auc, groups.mass, "has both classes")


def ndcg_of(groups: _Groups, k: int) -> Estimate:
    """As `ndcg`, of a `k` that the groups were asked for."""
    return _mean_of_groups(groups, groups.ndcg[k], groups.importance, "has a positive")


def _mean_of_groups(groups: _Groups, values: Floats, mass: Floats, rule: str) -> Estimate:
    if groups.why_empty:
        return Estimate(None, why=groups.why_empty)
    defined = ~np.isnan(values)
    if not defined.any():
        return Estimate(None, why=f"none of the {len(values)} groups {rule}")
    mass, values = mass[defined], values[defined]
    value = min(sum_of(mass * values) / sum_of(mass), 1.0)
    variance = variance_of_mean(sum_of(mass), sum_of(mass**2), sum_of((mass * (values - value)) ** 2))
    return estimate_of(value, normal_interval(value, variance, low=0.0, high=1.0))
