"""A metric's value with its interval, or why it has none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from masknet.intervals import Interval

__all__ = ["Estimate", "estimate_of"]


@dataclass(frozen=True)
class Estimate:
    """A metric's value with its 95 % interval, or the reason why it has no value.

    >>> Estimate(0.7, 0.6, 0.8).to_json()
    {'value': 0.7, 'low': 0.6, 'high': 0.8}
    >>> Estimate(None, why="there are no rows").to_json()
    {'value': None, 'why': 'there are no rows'}

    Args:
        value: the metric; None where it is undefined.
        low: the interval's lower end; None where there is no interval.
        high: its upper end.
        why: why the metric is undefined, a fragment of a sentence.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    why: str | None = None

    def __post_init__(self) -> None:
        if (self.value is None) != (self.why is not None):
            raise ValueError(f"an estimate has a value or a reason why not; value is {self.value}, why is {self.why}")

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready copy."""
        if self.value is None:
            return {"value": None, "why": self.why}
        return {"value": self.value, "low": self.low, "high": self.high}


def estimate_of(value: float, interval: Interval) -> Estimate:
    """The value with its interval, where there is one."""
    return Estimate(value) if interval is None else Estimate(value, *interval)
