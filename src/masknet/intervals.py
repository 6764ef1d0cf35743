"""95 % intervals of metrics that keep their promise where clicks are few: `benchmarks/coverage.py` counts how often."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Interval",
    "auc_interval",
    "normal_interval",
    "positive_interval",
    "student_quantile",
    "student_tails",
]

Interval = tuple[float, float] | None
"""Low and high; None where the rows tell nothing of the spread."""

_Z = 1.959963984540054  # the normal distribution's 97.5 % quantile

_PRIOR_ROWS = 10.0
"""Rows of the rarer class that the variance expected of an AUC counts for, beside the one that was measured."""


def normal_interval(value: float, variance: float, *, low: float, high: float) -> Interval:
    """The value and 1.96 standard errors on either side, cut to [low, high]; None where the variance is NaN.

    >>> normal_interval(0.5, 0.01, low=0.0, high=0.6)
    (0.3040036015459946, 0.6)
    """
    if math.isnan(variance):
        return None
    half = _Z * math.sqrt(variance)
    return max(value - half, low), min(value + half, high)


def positive_interval(value: float, variance: float, freedom: float) -> Interval:
    """The interval of a positive number, symmetric in its logarithm, by Student's t.

    The spread of a loss, or of what is predicted for a click, is as well known as the rarer class is large: the degrees
    of freedom are its rows less one, and not those of all rows.

    >>> [round(end, 3) for end in positive_interval(1.0, 0.01, freedom=1e9)]
    [0.822, 1.217]

    Args:
        value: above 0.
        variance: of the value; None is the answer where it is NaN.
        freedom: degrees of freedom; from below 1 they count as 1.
    """
    if math.isnan(variance) or value <= 0:
        return None
    factor = math.exp(_student(max(freedom, 1.0)) * math.sqrt(variance) / value)
    return value / factor, value * factor


def auc_interval(value: float, variance: float, positives: float, negatives: float) -> Interval:
    """The AUCs that the rows do not speak against: those whose distance is within 1.96 of their own standard errors.

    How the variance depends on the AUC is method 5 of Newcombe (Confidence intervals for an effect size measure based
    on the Mann-Whitney statistic, part 2, Statistics in Medicine 2006), which is Hanley and McNeil's with both classes
    of the mean size. How large it is, is DeLong's variance over it, taken together with ten rows' worth of 1: with 25
    clicks and an AUC of .98 DeLong's own interval covers 80 %, since a sample that ranks well shows little spread.

    There is one at 0 and at 1 too, where DeLong's variance is 0.

    >>> [round(end, 4) for end in auc_interval(1.0, 0.0, positives=25, negatives=475)]
    [0.9588, 1.0]

    Args:
        value: in [0, 1].
        variance: DeLong's; NaN where a class has one row, or where nothing but rounding is left of it.
        positives: how many rows there are, of weighted ones the effective number (Kish).
        negatives: alike.
    """

    def expected(auc: float) -> float:
        more = (positives + negatives) / 2 - 1
        terms = (1 - auc) / (2 - auc) + auc / (1 + auc)
        return auc * (1 - auc) * (1 + more * terms) / (positives * negatives)

    rarer, own = min(positives, negatives), expected(value)
    scale = variance / own if own > 0 and not math.isnan(variance) else 1.0
    scale = (rarer * scale + _PRIOR_ROWS) / (rarer + _PRIOR_ROWS)

    def spoken_against(auc: float) -> bool:
        return (value - auc) ** 2 > _Z * _Z * scale * expected(auc)

    return _edge(spoken_against, 0.0, value), _edge(spoken_against, 1.0, value)


def _edge(out: Callable[[float], bool], far: float, near: float) -> float:
    """Where, between a point that is in and one at the end of the range, the interval ends."""
    if far == near:
        return near
    for _ in range(60):
        middle = (far + near) / 2
        far, near = (middle, near) if out(middle) else (far, middle)
    return near


def _student(freedom: float) -> float:
    """Student's 97.5 % quantile, by its expansion around the normal one (Fisher and Cornish, 1960)."""
    z, n = _Z, freedom
    return (
        z
        + (z**3 + z) / (4 * n)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * n**3)
    )


_NORMAL_FROM = 1e6
"""Degrees of freedom from which Student's distribution is the normal one to all digits that matter."""


def student_tails(t: float, freedom: float) -> float:
    """The probability of a value at least as far from 0 as `t`, on either side, by Student's distribution.

    It is the share of `cos(u) ** (freedom - 1)` beyond `atan(|t| / sqrt(freedom))`, up to a right angle.

    >>> round(student_tails(4.302653, 2.0), 6), round(student_tails(1.959964, math.inf), 6)
    (0.05, 0.05)

    Args:
        t: of any size.
        freedom: degrees of freedom; from below 1 they count as 1, and infinity gives the normal distribution.
    """
    if freedom >= _NORMAL_FROM:
        return 2 * NormalDist().cdf(-abs(t))
    freedom = max(freedom, 1.0)
    beyond, whole = (_cosines(math.atan(x / math.sqrt(freedom)), freedom - 1) for x in (abs(t), 0.0))
    return beyond / whole


def student_quantile(tails: float, freedom: float) -> float:
    """The inverse of `student_tails`: how far from 0 a value lies with that probability or more.

    >>> round(student_quantile(0.05, 2.0), 4), round(student_quantile(0.05, math.inf), 4)
    (4.3027, 1.96)

    Args:
        tails: in (0, 1).
        freedom: as for `student_tails`.
    """
    if freedom >= _NORMAL_FROM:
        return -NormalDist().inv_cdf(tails / 2)
    high = 1.0
    while student_tails(high, freedom) > tails:
        high *= 2
    return _edge(lambda t: student_tails(t, freedom) < tails, high, 0.0)


def _cosines(start: float, power: float) -> float:
    """The integral of `cos(u) ** power` from `start` to a right angle, by Gauss and Legendre."""
    # Where the power is large only the first part counts: cos(u) ** power is below exp(-power u ** 2 / 2).
    end = min(math.pi / 2, start + 12 / math.sqrt(1 + power))
    nodes, weights = _nodes()
    u = start + (end - start) * (nodes + 1) / 2
    return float((weights @ np.cos(u) ** power) * (end - start) / 2)


@functools.cache
def _nodes() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return np.polynomial.legendre.leggauss(200)
