"""The scale of one numeric field: what x is in the paper's `e_j = V_j x_j`."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

__all__ = ["MomentCounter", "NumericScale"]

_SKEWED = 1.0


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
    """Range and moments of a stream of numbers, plain and bent, merged chunk by chunk (Chan et al., 1979)."""

    def __init__(self) -> None:
        self.missing = 0
        self._low, self._high = math.inf, -math.inf
        self._moments = {"none": _Moments(), "log": _Moments()}

    def add(self, numbers: NDArray[np.float64]) -> None:
        """Add a chunk; NaN counts as missing, infinities are left out of the moments."""
        self.missing += int(np.isnan(numbers).sum())
        finite = numbers[np.isfinite(numbers)]
        if len(finite):
            self._low, self._high = min(self._low, float(finite.min())), max(self._high, float(finite.max()))
            for bend, moments in self._moments.items():
                moments.add(_bend(finite, bend))

    def scale(self) -> NumericScale:
        """The scale that the stream asks for: bent where it is skewed and bending makes it less so."""
        plain, log = self._moments["none"], self._moments["log"]
        bend: Literal["none", "log"] = "none"
        if abs(plain.skewness) > _SKEWED and abs(log.skewness) < abs(plain.skewness):
            bend = "log"
        best = self._moments[bend]
        if not best.count:
            return NumericScale(low=0.0, high=0.0, bend="none", mean=0.0, std=1.0)
        return NumericScale(low=self._low, high=self._high, bend=bend, mean=best.mean, std=best.std or 1.0)


def _bend(numbers: NDArray[np.float64], bend: str) -> NDArray[np.float64]:
    if bend == "log":
        return np.sign(numbers) * np.log1p(np.abs(numbers))
    return numbers


class _Moments:
    def __init__(self) -> None:
        self.count = 0
        self.mean = self.m2 = self.m3 = 0.0

    def add(self, x: NDArray[np.float64]) -> None:
        with np.errstate(
            over="ignore", invalid="ignore"
        ):  # cubes of numbers above 1e102: the skewness is then infinite
            n, mean = len(x), float(x.mean())
            d = x - mean
            m2, m3 = float((d**2).sum()), float((d**3).sum())
            total, delta = self.count + n, mean - self.mean
            a, b = self.count / total, n / total
            self.m3 += m3 + delta**3 * self.count * b * (a - b) + 3 * delta * (self.count * m2 - n * self.m2) / total
            self.m2 += m2 + delta**2 * self.count * b
            self.mean += delta * b
            self.count = total

    @property
    def std(self) -> float:
        return math.sqrt(self.m2 / self.count) if self.count else 0.0

    @property
    def skewness(self) -> float:
        if not self.count or self.m2 <= 0:
            return 0.0
        skewness = math.sqrt(self.count) * self.m3 / self.m2**1.5
        return skewness if math.isfinite(skewness) else math.inf
