"""The scale of one numeric field: what x is in the paper's `e_j = V_j x_j`."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

__all__ = ["MomentCounter", "NumericScale"]

_SKEWED = 1.0
_BLOCK = 65_536


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


class MomentCounter:
    """Range and moments of a stream of numbers, plain and bent, merged block by block (Chan et al., 1979).

    The blocks are our own: the moments are the same bits however a reader cut the stream.
    """

    def __init__(self) -> None:
        self.missing = 0
        self._low, self._high = math.inf, -math.inf
        self._plain, self._log = _Moments(), _Moments()
        self._pending: list[NDArray[np.float64]] = []
        self._num_pending = 0

    def add(self, numbers: NDArray[np.float64]) -> None:
        """Add a chunk; NaN counts as missing, infinities are left out of the moments."""
        self.missing += int(np.isnan(numbers).sum())
        self._pending.append(numbers[np.isfinite(numbers)])
        self._num_pending += len(self._pending[-1])
        if self._num_pending >= _BLOCK:
            self._merge(self._num_pending // _BLOCK * _BLOCK)

    def _merge(self, count: int) -> None:
        numbers = np.concatenate(self._pending)
        for start in range(0, count, _BLOCK):
            block = numbers[start : min(start + _BLOCK, count)]
            self._low, self._high = min(self._low, float(block.min())), max(self._high, float(block.max()))
            self._plain.add(block)
            self._log.add(_bend(block, "log"))
        self._pending, self._num_pending = [numbers[count:]], len(numbers) - count

    def scale(self) -> NumericScale:
        """The scale that the whole stream asks for: bent where it is skewed and bending makes it less so."""
        if self._pending:
            self._merge(self._num_pending)
        if not self._plain.count:
            return NumericScale(low=0.0, high=0.0, bend="none", mean=0.0, std=1.0)
        if self._low == self._high:  # its computed mean may be off by the last bit, which is 1e69 of 1e85
            return NumericScale(low=self._low, high=self._high, bend="none", mean=self._low, std=1.0)
        bent = abs(self._plain.skewness) > max(_SKEWED, abs(self._log.skewness))
        best = self._log if bent else self._plain
        return NumericScale(
            low=self._low, high=self._high, bend="log" if bent else "none", mean=float(best.mean), std=best.std or 1.0
        )


def _bend(numbers: NDArray[np.float64], bend: str) -> NDArray[np.float64]:
    if bend == "log":
        return np.sign(numbers) * np.log1p(np.abs(numbers))
    return numbers


class _Moments:
    """Of numbers so large that a square or a cube overflows, the skewness is infinite: the bent ones serve instead."""

    def __init__(self) -> None:
        self.count = 0
        self.mean = self.m2 = self.m3 = np.float64(0.0)

    def add(self, x: NDArray[np.float64]) -> None:
        with np.errstate(all="ignore"):
            mean = x.mean()
            d = x - mean
            m2, m3 = (d**2).sum(), (d**3).sum()
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
