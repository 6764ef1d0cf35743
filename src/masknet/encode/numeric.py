"""How a number enters: scaled, as x in the paper's `e_j = V_j x_j`, or as two of the field's quantile knots."""

from __future__ import annotations

import math
from functools import cached_property, lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from masknet.draws import keyed_uniform

__all__ = ["KnotSample", "Knots", "NumberStatistics", "NumericScale", "most_knots"]

_SKEWED = 1.0
_BLOCK = 65_536
_SAMPLE = 100_000
_SAMPLE_KEY = 20210216
MAX_KNOTS = 64
"""Of a field: half of them quantiles of its values, half of its distinct values, so that a long tail has some too."""

_LEAST_KNOTS = 4
_NUMBERS_A_KNOT = 200


def most_knots(numbers: int) -> int:
    """The most knots of a field: one for every 200 numbers that training has of it, but 4 at least and 64 at most.

    A knot has a vector of its own, and few numbers say little of each: on small logs 64 lose to a straight line.
    `docs/defaults.md` has the figures.

    >>> most_knots(300), most_knots(3_000), most_knots(12_800)
    (4, 15, 64)
    """
    return max(_LEAST_KNOTS, min(MAX_KNOTS, numbers // _NUMBERS_A_KNOT))


class NumericScale(BaseModel):
    """Clip, bend where the field is skewed, centre and scale: `(bend(clip(x)) - mean) / std`.

    NOTE[paper]: eq. 3 multiplies by the raw number; unscaled, a log-normal field drives the network to AUC 0.5 or NaN.

    >>> scale = NumericScale(low=0.0, high=10.0, bend="none", mean=5.0, std=2.0)
    >>> scale.apply(np.array([5.0, 9.0, np.inf, np.nan]))
    array([0. , 2. , 2.5, 0. ], dtype=float32)

    Args:
        low, high: the finite range of training; what lies outside, infinities too, is clipped to it.
        bend: "log" is `sign(x) log(1 + |x|)`.
        mean, std: of the bent values in training.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    low: float
    high: float
    bend: Literal["none", "log"]
    mean: float
    std: float

    def apply(self, numbers: NDArray[np.float64]) -> NDArray[np.float32]:
        """The scaled numbers; a missing one (NaN) is 0, the mean."""
        bent = _bend(np.clip(numbers, self.low, self.high), self.bend)
        return np.nan_to_num((bent - self.mean) / self.std, nan=0.0).astype(np.float32)

    def mirrored(self, at: float) -> NumericScale:
        """The scale of `at - x`, where this one is not bent."""
        return self.model_copy(update={"low": at - self.high, "high": at - self.low, "mean": at - self.mean})


class Knots(BaseModel):
    """The quantile knots of one field: a number becomes its two neighbours, weighted `1 - w` and `w`.

    What lies outside the knots, infinities too, is clipped to them.

    >>> index, weight = Knots(at=(0.0, 10.0, 20.0)).apply(np.array([-5.0, 2.5, 20.0]))
    >>> index.tolist(), weight.tolist()
    ([0, 0, 1], [0.0, 0.25, 1.0])

    Args:
        at: the knots, rising; at least one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    at: tuple[float, ...]

    def __len__(self) -> int:
        """How many knots there are."""
        return len(self.at)

    def apply(self, numbers: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """The index of each number's lower knot, and the weight of the one above; a missing number (NaN) is the median.

        The lower knot is never the last, where there are two.
        """
        at = self._array
        known = np.where(np.isnan(numbers), at[(len(at) - 1) // 2], numbers)
        clipped = np.minimum(np.maximum(known, at[0]), at[-1])
        if len(at) == 1:
            return np.zeros(len(numbers), dtype=np.intp), np.zeros(len(numbers), dtype=np.float32)
        index = np.minimum(np.searchsorted(at[1:], clipped, side="right"), len(at) - 2)
        scale = self._scales[index]
        low, high = at[index] * scale, at[index + 1] * scale
        return index, ((clipped * scale - low) / (high - low)).astype(np.float32)

    @cached_property
    def _array(self) -> NDArray[np.float64]:
        return np.array(self.at)

    @cached_property
    def _scales(self) -> NDArray[np.float64]:
        """Halves where the distance of two finite numbers is infinite; elsewhere the halves of two may be one number.

        NOTE[perf]: kept, since to compute them again takes as long as a number of a single row.
        """
        with np.errstate(over="ignore"):
            return np.where(np.isinf(np.diff(self._array)), 0.5, 1.0)


class KnotSample:
    """Up to 100,000 numbers of a stream, the same ones however a reader cut it; exact up to there.

    Each number draws a key from its place in the stream, and the lowest keys stay.
    """

    def __init__(self) -> None:
        self._seen = 0
        self._parts = [(np.empty(0), np.empty(0))]  # keys, and their numbers
        self._kept = 0
        self._below = math.inf  # a key that is not below stays no more

    def add(self, numbers: NDArray[np.float64]) -> None:
        """Take in a chunk; NaN and infinities count for the places, and are not kept."""
        keys = _keys(self._seen, self._seen + len(numbers))
        self._seen += len(numbers)
        stays = np.isfinite(numbers) & (keys < self._below)
        self._parts.append((keys[stays], numbers[stays]))
        self._kept += len(self._parts[-1][0])
        if self._kept > 2 * _SAMPLE:
            self.numbers()

    def numbers(self) -> NDArray[np.float64]:
        """Those that are kept: of the lowest keys, in no order."""
        keys, numbers = (np.concatenate(parts) for parts in zip(*self._parts, strict=True))
        if len(keys) > _SAMPLE:
            lowest = np.argpartition(keys, _SAMPLE)[: _SAMPLE + 1]
            self._below = keys[lowest[-1]]
            keys, numbers = keys[lowest[:-1]], numbers[lowest[:-1]]
        self._parts, self._kept = [(keys, numbers)], len(keys)
        return numbers

    def knots(self, low: float, high: float, most: int = MAX_KNOTS) -> Knots:
        """The knots that the numbers ask for, `low` and `high` among them; every distinct number where they are few."""
        numbers = np.sort(self.numbers())
        distinct = np.unique(np.append(numbers, [low, high]))
        if len(distinct) > most:
            shares = np.linspace(0, 1, most // 2)
            parts = [_quantiles(x, shares) for x in (numbers, distinct)]
            distinct = np.unique(np.concatenate([*parts, [low, high]]))
        distinct = distinct + 0.0  # -0.0 and 0.0 are one knot
        return Knots(at=tuple(np.unique(distinct).tolist()))


def _quantiles(rising: NDArray[np.float64], shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """The number nearest to each share, as `np.quantile` has it, which takes four times as long."""
    places = np.rint((len(rising) - 1) * shares).astype(np.intp)
    return rising[places]


@lru_cache(maxsize=2)
def _keys(start: int, stop: int) -> NDArray[np.float64]:
    """NOTE[perf]: of the rows of one chunk, the numbers of all columns have the same keys."""
    return keyed_uniform(_SAMPLE_KEY, np.arange(start, stop))


class NumberStatistics:
    """Range, mean, deviation and skewness of a stream of numbers, plain and bent, block by block (Chan et al., 1979).

    The blocks are our own: the results are the same bits however a reader cut the stream.
    """

    def __init__(self) -> None:
        self.rows = self.missing = 0
        self._low, self._high = math.inf, -math.inf
        self._plain, self._log = _PowerSums(), _PowerSums()
        self._pending: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []
        self._num_pending = 0

    def add(self, cells: NDArray[np.float64], rows: NDArray[np.integer] | None = None) -> None:
        """Add a chunk; NaN counts as missing, infinities are left out.

        Args:
            cells: numbers.
            rows: for each row which of them it has; None where they are the rows'.
        """
        # NOTE[perf]: each cell is bent once, however many rows have it.
        numbers, bent = cells, _bend(cells, "log")
        if rows is not None:
            numbers, bent = cells.take(rows), bent.take(rows)
        self.rows += len(numbers)
        self.missing += int(np.isnan(numbers).sum())
        finite = np.isfinite(numbers)
        self._pending.append((numbers, bent) if finite.all() else (numbers[finite], bent[finite]))
        self._num_pending += len(self._pending[-1][0])
        if self._num_pending >= _BLOCK:
            self._merge(self._num_pending // _BLOCK * _BLOCK)

    def _merge(self, count: int) -> None:
        numbers, bent = (np.concatenate(parts) for parts in zip(*self._pending, strict=True))
        for start in range(0, count, _BLOCK):
            block = slice(start, min(start + _BLOCK, count))
            low, high = float(numbers[block].min()), float(numbers[block].max())
            self._low, self._high = min(self._low, low), max(self._high, high)
            self._plain.add(numbers[block])
            self._log.add(bent[block])
        self._pending, self._num_pending = [(numbers[count:], bent[count:])], len(numbers) - count

    @property
    def range(self) -> tuple[float, float]:
        """The least and the greatest finite number; zeros where there is none."""
        if self._num_pending:
            self._merge(self._num_pending)
        return (self._low, self._high) if self._plain.count else (0.0, 0.0)

    def scale(self, *, bent: bool = True) -> NumericScale:
        """The scale that the whole stream asks for: bent where that is allowed and makes a skewed field less so."""
        if self._num_pending:
            self._merge(self._num_pending)
        if not self._plain.count:
            return NumericScale(low=0.0, high=0.0, bend="none", mean=0.0, std=1.0)
        if self._low == self._high:  # its computed mean may be off by the last bit, which is 1e69 of 1e85
            return NumericScale(low=self._low, high=self._high, bend="none", mean=self._low, std=1.0)
        bent = bent and abs(self._plain.skewness) > max(_SKEWED, abs(self._log.skewness))
        best = self._log if bent else self._plain
        return NumericScale(
            low=self._low, high=self._high, bend="log" if bent else "none", mean=float(best.mean), std=best.std or 1.0
        )


def _bend(numbers: NDArray[np.float64], bend: str) -> NDArray[np.float64]:
    if bend == "log":
        return np.sign(numbers) * np.log1p(np.abs(numbers))
    return numbers


class _PowerSums:
    """Mean, deviation and skewness of the numbers so far, from the sums of their second and third powers.

    Where a square or a cube overflows, the skewness is infinite, and the bent numbers serve instead.
    """

    def __init__(self) -> None:
        self.count = 0
        self.mean = self.m2 = self.m3 = np.float64(0.0)

    def add(self, x: NDArray[np.float64]) -> None:
        with np.errstate(all="ignore"):
            mean = x.mean()
            d = x - mean
            squares = d**2
            m2, m3 = squares.sum(), (squares * d).sum()  # NOTE[perf]: NumPy takes 20 times as long for d**3
            total, delta = self.count + len(x), mean - self.mean
            a, b = self.count / total, len(x) / total
            self.m3 += m3 + delta**3 * self.count * b * (a - b) + 3 * delta * (a * m2 - b * self.m2)
            self.m2 += m2 + delta**2 * self.count * b
            self.mean += delta * b
            self.count = total

    @property
    def std(self) -> float:
        return math.sqrt(self.m2 / self.count)

    @property
    def skewness(self) -> float:
        if self.m2 == 0:
            return 0.0
        with np.errstate(all="ignore"):
            skewness = math.sqrt(self.count) * (self.m3 / self.m2) / np.sqrt(self.m2)
        return float(skewness) if np.isfinite(skewness) else math.inf
