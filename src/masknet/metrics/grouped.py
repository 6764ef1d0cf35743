"""How well each group's rows are ranked, and the mean over the groups."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from masknet.errors import ConfigError
from masknet.intervals import normal_interval
from masknet.metrics.estimate import Estimate, estimate_of
from masknet.metrics.rows import Floats, Rows, checked_rows
from masknet.metrics.tally import masses_of, ratio_of, running_totals, starts_of, sum_of, tally_of, variance_of_mean

__all__ = ["grouped_auc", "grouped_auc_of", "groups_of", "ndcg", "ndcg_of"]


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
    codes: NDArray[np.intp]  # the group of each row, in the order in which the rows were given
    mass: Floats  # of a group's rows: its weight in the grouped AUC
    importance: Floats  # its weight in NDCG
    auc: Floats  # NaN where a class is absent
    ndcg: dict[int, Floats]  # by k; NaN where there is no positive

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
    order = np.argsort(rows.groups, kind="stable")  # keeps the order by probability inside each group
    groups, probabilities, is_positive = rows.groups[order], rows.probabilities[order], rows.positive[order]
    weights = None if rows.weights is None else rows.weights[order]
    starts = starts_of(groups, probabilities)
    positive, negative = masses_of(is_positive, weights, starts)
    firsts = starts_of(groups[starts])
    runs = np.diff(firsts, append=len(starts))
    positives, negatives = np.add.reduceat(positive, firsts), np.add.reduceat(negative, firsts)
    negatives_below = running_totals(negative)
    negatives_below -= np.repeat(negatives_below[firsts] - negative[firsts], runs) + negative / 2
    wins = np.add.reduceat(positive * negatives_below, firsts)
    pairs = positives * negatives

    # For NDCG rows are counted, not weighed. A run of equal probability takes the places from `above` to `below`.
    sizes = np.diff(starts, append=len(order))
    ends = np.append(starts[firsts[1:]], len(order))[: len(firsts)]
    above = np.repeat(ends, runs) - starts - sizes
    below = above + sizes
    clicks = positive if weights is None else np.add.reduceat(is_positive, starts, dtype=np.float64)
    clicked = np.add.reduceat(clicks, firsts).astype(np.intp)
    ndcg: dict[int, Floats] = {}
    for k in ks:
        gains = np.append(0.0, np.cumsum(1 / np.log2(np.arange(2.0, k + 2))))
        gained = clicks / sizes * (gains[np.minimum(below, k)] - gains[np.minimum(above, k)])
        ndcg[k] = ratio_of(np.add.reduceat(gained, firsts), gains[np.minimum(clicked, k)])

    mass = positives + negatives
    codes = np.empty(len(order), dtype=np.intp)
    codes[rows.unit[order]] = np.repeat(np.arange(len(firsts)), np.add.reduceat(sizes, firsts))
    return _Groups(
        why_empty=None if len(order) else tally_of(rows).why_empty,
        codes=codes,
        mass=mass,
        importance=np.ones(len(mass)) if weights is None else mass,
        auc=ratio_of(wins, pairs),
        ndcg=ndcg,
    )


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
