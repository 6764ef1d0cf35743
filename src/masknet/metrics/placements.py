"""How the rows of each class are placed among those of the other: the AUC, and the variance that DeLong gives it.

Rows are taken by rising probability, a block of them at a time that stays in the processor's cache, and of a block only
sums are kept.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from masknet.metrics.order import bits_of
from masknet.metrics.rows import Floats
from masknet.metrics.tally import Tally, variance_of_mean

__all__ = ["Block", "Placements", "blocks_of_rows", "blocks_of_tally", "placements_of"]

_BLOCK_ROWS = 1 << 13  # NOTE[perf]: from 10,000 numbers on OpenBLAS takes threads for a dot product, which then wait
_BLOCK_WEIGHTS = 1 << 12  # fewer: the error of running totals of weights grows with the block


@dataclass(frozen=True)
class Block:
    """Some neighbouring probabilities, and what their rows weigh, as running totals that begin with 0.

    Args:
        positives: the totals of w over positives, `[probabilities + 1]`.
        negatives: alike.
        squares: at each probability the sum of w^2 over positives and over negatives; None where every w is 1.
    """

    positives: Floats
    negatives: Floats
    squares: tuple[Floats, Floats] | None = None


def blocks_of_rows(
    positive: NDArray[np.bool_], probabilities: NDArray[np.floating[Any]], *, at_once: int = _BLOCK_ROWS
) -> Iterator[Block]:
    """The blocks of rows that all weigh 1, in any order.

    NOTE[perf]: one number that tells probability and label is sorted with vector instructions; nothing is gathered.

    >>> block, = blocks_of_rows(np.array([True, False, False]), np.array([0.5, 0.5, 0.2]))
    >>> block.positives.tolist(), block.negatives.tolist()
    ([0.0, 0.0, 1.0], [0.0, 1.0, 2.0])

    Args:
        positive: whether a row is, `[rows]`.
        probabilities: float32 or float64, in [0, 1], `[rows]`.
        at_once: rows of a block, more where they are of one probability.
    """
    keys = bits_of(probabilities)
    keys |= positive
    keys.view(np.dtype(f"i{keys.itemsize}")).sort()  # NOTE[perf]: AVX2 compares numbers with a sign alone
    stop = 0
    while stop < len(keys):
        start, stop = stop, min(stop + at_once, len(keys))
        stop += int(np.searchsorted(keys[stop:], keys[stop - 1] | 1, side="right"))  # no probability is split
        some = keys[start:stop]
        new = np.ones(len(some) + 1, dtype=bool)
        np.greater(some[1:] ^ some[:-1], 1, out=new[1:-1])
        rows = np.flatnonzero(new)  # where a probability begins, and last how many rows there are
        totals = np.zeros(len(some) + 1, dtype=some.dtype)
        np.cumsum(some & 1, dtype=some.dtype, out=totals[1:])
        positives = (totals if len(rows) == len(totals) else totals[rows]).astype(np.float64)
        yield Block(positives, rows - positives)


def blocks_of_tally(tally: Tally) -> Iterator[Block]:
    """The blocks of a tally."""

    def totals(weights: Floats) -> Floats:
        found = np.zeros(len(weights) + 1)
        np.cumsum(weights, out=found[1:])
        return found

    for start in range(0, len(tally.positive), _BLOCK_WEIGHTS):
        some = slice(start, start + _BLOCK_WEIGHTS)
        squares = tally.positive_squares[some], tally.negative_squares[some]
        yield Block(totals(tally.positive[some]), totals(tally.negative[some]), squares)


@dataclass
class _OfClass:
    """The rows of a class: what they weigh, and where they stand among the other's rows. Places are counted in halves.

    Args:
        total: the sum of w.
        wins: the sum of w times the place.
        parts: of each block the sum of w^2, the mean place by w^2, and the sum of `w^2 (place - mean)^2`.
    """

    total: float = 0.0
    wins: float = 0.0
    parts: list[tuple[float, float, float]] = field(default_factory=list)

    def add(self, totals: Floats, squares: Floats | None, others: Floats, others_below: float) -> None:
        """Add a block: the running totals of the class and of the other, and what of the other lies below the block."""
        total = float(totals[-1])
        if not total:
            return
        weights = totals[1:] - totals[:-1]
        places = others[1:] + others[:-1]  # halfway through the other's rows of the same probability
        before, wins = 2 * others_below, float(weights @ places)
        self.total += total
        self.wins += wins + before * total
        if squares is None:
            squares, of_squares, mean = weights, total, wins / total
        else:
            of_squares = float(squares.sum())
            mean = float(squares @ places) / of_squares
        places -= mean
        self.parts.append((of_squares, before + mean, float((squares * places) @ places)))

    @property
    def squares(self) -> float:
        """The sum of w^2."""
        return math.fsum(squares for squares, _, _ in self.parts)

    @property
    def spread(self) -> float:
        """The variance of the mean place."""
        mean = self.wins / self.total
        spread = math.fsum(within + squares * (place - mean) ** 2 for squares, place, within in self.parts)
        return variance_of_mean(self.total, self.squares, spread)


@dataclass(frozen=True)
class Placements:
    """What the places of the rows of both classes say together.

    Args:
        auc: the weighted share of pairs ranked rightly; NaN where a class is absent.
        variance: of the AUC, from the weighted placement values; NaN where a class is absent or has one row.
        effective: how many positives and negatives count, `(sum w)^2 / sum w^2` (Kish).
    """

    auc: float
    variance: float
    effective: tuple[float, float]


def placements_of(blocks: Iterable[Block]) -> Placements:
    """Compare the rows of both classes, given by rising probability."""
    positives, negatives = _OfClass(), _OfClass()
    for block in blocks:
        squares = block.squares or (None, None)
        below, above = positives.total, negatives.total
        positives.add(block.positives, squares[0], block.negatives, above)
        negatives.add(block.negatives, squares[1], block.positives, below)
    if not positives.total or not negatives.total:
        return Placements(math.nan, math.nan, (0.0, 0.0))
    auc = min(positives.wins / 2 / (positives.total * negatives.total), 1.0)
    variance = positives.spread / (2 * negatives.total) ** 2 + negatives.spread / (2 * positives.total) ** 2
    effective = positives.total**2 / positives.squares, negatives.total**2 / negatives.squares
    return Placements(auc, variance, effective)
