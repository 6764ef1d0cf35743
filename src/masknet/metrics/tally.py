"""Rows of one probability merged, and what they weigh together: all that metrics without groups are sums over."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from masknet.metrics.order import bits_of, ordered
from masknet.metrics.rows import Floats, Rows

__all__ = [
    "Ranking",
    "Tally",
    "masses_of",
    "ranking_of",
    "ratio_of",
    "running_totals",
    "starts_of",
    "sum_of",
    "tally_of",
    "variance_of_mean",
]


@dataclass(frozen=True)
class _Scores:
    """The distinct probabilities, rising, and what a click and none cost at each: the same in every resample."""

    probability: Floats
    eps: float

    @cached_property
    def losses(self) -> tuple[Floats, Floats]:
        p = np.clip(self.probability, self.eps, 1 - self.eps)
        return -np.log(p), -np.log1p(-p)


@dataclass(frozen=True)
class Tally:
    """What the rows of one probability weigh together, by rising probability: all that ungrouped metrics need."""

    rows: Rows
    scores: _Scores
    positive: Floats  # sum of w over positives
    negative: Floats
    positive_squares: Floats  # sum of w^2 over positives: the intervals need it
    negative_squares: Floats

    @cached_property
    def total(self) -> float:
        return sum_of(self.positive + self.negative)

    @cached_property
    def squares(self) -> float:
        return sum_of(self.positive_squares + self.negative_squares)

    @cached_property
    def effective(self) -> tuple[float, float]:
        """How many positives and negatives count, `(sum w)^2 / sum w^2` (Kish); 0 of a class that is absent."""
        sums = ((self.positive, self.positive_squares), (self.negative, self.negative_squares))
        found = [(sum_of(weights), sum_of(squares)) for weights, squares in sums]
        positives, negatives = (total**2 / squares if squares else 0.0 for total, squares in found)
        return positives, negatives

    @property
    def freedom(self) -> float:
        """How well a spread is known: the rows of the rarer class less one, of all where there is one class."""
        return (min(self.effective) or max(self.effective)) - 1


def tally_of(rows: Rows) -> Tally:
    """The rows of one probability merged."""
    return ranking_of(rows).tally


def ranking_of(rows: Rows) -> Ranking:
    """The rows, with their tally."""
    order, starts, _ = ordered(bits_of(rows.probabilities))
    positive_rows, starts = rows.positive[order], starts[:-1]
    weights = None if rows.weights is None else rows.weights[order]
    positive, negative = masses_of(positive_rows, weights, starts)
    positive_squares, negative_squares = positive, negative
    if weights is not None:
        positive_squares, negative_squares = masses_of(positive_rows, weights**2, starts)
    tally = Tally(
        rows=rows,
        scores=_Scores(rows.probabilities[order[starts]].astype(np.float64), rows.eps),
        positive=positive,
        negative=negative,
        positive_squares=positive_squares,
        negative_squares=negative_squares,
    )
    return Ranking(rows, order, starts, tally)


@dataclass(frozen=True)
class Ranking:
    """Rows, their order by rising probability, where in it the next one begins, and their tally."""

    rows: Rows
    order: NDArray[np.intp]
    starts: NDArray[np.intp]
    tally: Tally

    @cached_property
    def _positive(self) -> NDArray[np.bool_]:
        return self.rows.positive[self.order]

    def counted(self, counts: Floats) -> Tally:
        """The tally where row i is there `counts[i]` times; the squares, which intervals read, stay."""
        weights = counts if self.rows.weights is None else counts * self.rows.weights
        positive, negative = masses_of(self._positive, weights[self.order], self.starts)
        return replace(self.tally, positive=positive, negative=negative)

    def by_row(self, of_positive: Floats, of_negative: Floats) -> Floats:
        """What the tally says of the class of each row."""
        sizes = np.diff(self.starts, append=len(self.order))
        found = np.empty(len(self.order))
        found[self.order] = np.where(self._positive, np.repeat(of_positive, sizes), np.repeat(of_negative, sizes))
        return found


def starts_of(keys: NDArray[Any]) -> NDArray[np.intp]:
    """Where, in keys that are sorted, a new one begins."""
    new = np.ones(len(keys), dtype=bool)
    np.not_equal(keys[1:], keys[:-1], out=new[1:])
    return np.flatnonzero(new)


def masses_of(positive: NDArray[np.bool_], weights: Floats | None, starts: NDArray[np.intp]) -> tuple[Floats, Floats]:
    """What the positives and the negatives of each run of rows weigh."""
    if weights is None:
        ends = np.append(starts[1:], len(positive))[: len(starts)]
        positives = np.diff(np.cumsum(positive)[ends - 1], prepend=0)
        return positives.astype(np.float64), (ends - starts - positives).astype(np.float64)
    return (
        np.add.reduceat(np.where(positive, weights, 0.0), starts),
        np.add.reduceat(np.where(positive, 0.0, weights), starts),
    )


def running_totals(values: Floats) -> Floats:
    """Running totals, summed in about sqrt(n) blocks: `np.cumsum` alone would err by up to `n 2^-53`."""
    width = math.isqrt(len(values)) + 1
    blocks = np.zeros((width, width))
    blocks.reshape(-1)[: len(values)] = values
    np.cumsum(blocks, axis=1, out=blocks)
    blocks[1:] += np.cumsum(blocks[:-1, -1])[:, None]
    return blocks.reshape(-1)[: len(values)]


def variance_of_mean(total: float, squares: float, spread: float) -> float:
    """The variance of a weighted mean from `sum w`, `sum w^2` and `sum w^2 d^2`, `d` the deviations from the mean.

    It is `spread / total^2`, times `n / (n - 1)` with `n = total^2 / squares` the effective number of rows (Kish), so
    that equal weights give the textbook's formula. NaN where a single row carries all the weight.
    """
    share = squares / total**2
    return spread / total**2 / (1 - share) if share < 1 else math.nan


def ratio_of(above: Floats, below: Floats) -> Floats:
    """The quotient, NaN where it is one by 0."""
    quotient = np.full(len(below), math.nan)
    np.divide(above, below, out=quotient, where=below > 0)
    return quotient


def sum_of(values: Floats) -> float:
    """The sum, in pairs: the error grows with log n."""
    return float(values.sum())
