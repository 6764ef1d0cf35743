"""Which metrics may choose an evaluation, and what to doubt of one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from masknet.metrics.estimate import Estimate

__all__ = ["FEW_CLICKS", "MONITORS", "Monitor", "doubts"]


FEW_CLICKS = 30
"""Below so many clicks intervals are told to be rough."""


@dataclass(frozen=True)
class Monitor:
    """A metric that can choose the best epoch.

    Args:
        direction: whether the best value is the largest or the smallest.
    """

    direction: Literal["max", "min"]

    def better(self, value: float, best: float) -> bool:
        """Whether `value` beats `best`.

        >>> MONITORS["log_loss"].better(0.4, 0.5)
        True
        """
        return value > best if self.direction == "max" else value < best


# The calibration ratio is best at 1, neither at its largest nor at its smallest: it monitors nothing.
MONITORS: dict[str, Monitor] = {
    "auc": Monitor("max"),
    "log_loss": Monitor("min"),
    "normalized_entropy": Monitor("min"),
    "expected_calibration_error": Monitor("min"),
    "pr_auc": Monitor("max"),
    "grouped_auc": Monitor("max"),
}


def doubts(estimates: Mapping[str, Estimate], clicks: int) -> list[str]:
    """What the reader of an evaluation should know before its numbers are believed, a sentence each.

    >>> doubts({"normalized_entropy": Estimate(1.02)}, clicks=7)[0]
    'there are 7 clicks, and below 30 an interval is a rough guess: measure on more rows'

    Args:
        estimates: by name, as `evaluate` gives them.
        clicks: how many rows are positive.
    """
    found = []
    if clicks < FEW_CLICKS:
        some = "is 1 click" if clicks == 1 else f"are {clicks} clicks"
        found.append(f"there {some}, and below {FEW_CLICKS} an interval is a rough guess: measure on more rows")
    entropy = estimates["normalized_entropy"].value
    if entropy is not None and entropy >= 1:
        found.append(
            f"the normalized entropy is {entropy:.4f}: the probabilities are no better than predicting the click rate "
            f"for everybody"
        )
    return found
