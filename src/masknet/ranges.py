"""Within what a search may move a setting: plain values, declared beside what they are settings of."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

__all__ = ["Drawn", "Floats", "Ints", "OneOf", "Range", "Times"]


@dataclass(frozen=True)
class Floats:
    """Numbers from `low` to `high`, both included.

    >>> Floats(1e-4, 1e-2, log=True).holding(0.05)
    Floats(low=0.0001, high=0.05, log=True)

    Args:
        low, high: the ends; `low` is the smaller one.
        log: whether it is the order of magnitude that matters; then `low` is above 0.

    Raises:
        ValueError: the ends are none of such a range.
    """

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        """Check the ends."""
        _require_ends(self.low, self.high, self.log)

    def holding(self, default: float) -> Floats:
        """The range, wider where the default lies outside: a search starts there."""
        return Floats(min(self.low, default), max(self.high, default), self.log)


@dataclass(frozen=True)
class Ints:
    """Whole numbers from `low` to `high`, both included; the arguments are those of `Floats`."""

    low: int
    high: int
    log: bool = False

    def __post_init__(self) -> None:
        """Check the ends."""
        _require_ends(self.low, self.high, self.log)

    def holding(self, default: int) -> Ints:
        """The range, wider where the default lies outside."""
        return Ints(min(self.low, default), max(self.high, default), self.log)


@dataclass(frozen=True)
class OneOf:
    """Some values, whatever they are: widths of layers, names, 0 beside what has an order of magnitude.

    Args:
        values: two or more, of what JSON can hold.

    Raises:
        ValueError: there are fewer.
    """

    values: tuple[Any, ...]

    def __post_init__(self) -> None:
        """Check that there is a choice."""
        if len(self.values) < 2:
            raise ValueError(f"a search has two values to choose from, or more; got {self.values!r}")

    def holding(self, default: Any) -> OneOf:
        """The values, and the default where it is none of them."""
        return self if default in self.values else OneOf((default, *self.values))


@dataclass(frozen=True)
class Times:
    """The default times one of these factors: of a whole number that the rows decide, as the batch size is.

    >>> Times((0.5, 1, 2)).holding(64)
    OneOf(values=(32, 64, 128))

    Args:
        factors: above 0, 1 among them.

    Raises:
        ValueError: they are not so.
    """

    factors: tuple[float, ...]

    def __post_init__(self) -> None:
        """Check the factors."""
        if 1 not in self.factors or not all(factor > 0 for factor in self.factors):
            raise ValueError(f"factors of a default are above 0, and 1 is one of them; got {self.factors!r}")

    def holding(self, default: int) -> OneOf:
        """The values that they make of a default."""
        return OneOf(tuple(dict.fromkeys(max(1, round(default * factor)) for factor in self.factors)))


Drawn = Floats | Ints | OneOf
"""What a value is drawn from, once it is known to hold the default."""

Range = Drawn | Times
"""What is declared."""


def _require_ends(low: float, high: float, log: bool) -> None:
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError(f"a range runs from a smaller number to a larger one; got {low} to {high}")
    if log and low <= 0:
        raise ValueError(f"a range of orders of magnitude begins above 0; got {low}")
