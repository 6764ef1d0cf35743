"""Figures for people: what a metric is called, as many digits as mean something, and what the metrics say in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

__all__ = ["in_time", "in_words", "metric_name", "metric_rows", "printable", "shown"]

_PLAIN, _FEWEST, _MOST = 4, 2, 6
"""Decimals where no interval tells how many mean something, and where one does, at least and at most."""


def metric_name(name: str) -> str:
    """What people read for the name that a metric has in JSON; one rule, so that there is one name everywhere.

    >>> metric_name("calibration_ratio")
    'calibration ratio'
    """
    return name.replace("_", " ")


def shown(estimate: Mapping[str, Any], *, like: Mapping[str, Any] | None = None) -> tuple[str, str]:
    """A metric's value and its interval: as many decimals as show two digits of the interval's width.

    >>> shown({"value": 0.699049, "low": 0.644182, "high": 0.747851})
    ('0.70', '0.64 to 0.75')
    >>> shown({"value": 0.803112, "low": 0.802951, "high": 0.803273})
    ('0.80311', '0.80295 to 0.80327')
    >>> shown({"value": None, "why": "there are no rows"})
    ('undefined', 'there are no rows')

    Args:
        estimate: as `masknet.metrics.Estimate.to_json` gives it.
        like: another of the same rows, whose digits it takes where that has an interval.
    """
    if estimate["value"] is None:
        return "undefined", str(estimate["why"])
    low, high = estimate.get("low"), estimate.get("high")
    width = _width(like or {}) or _width(estimate)
    digits = min(max(_decimals(width), _FEWEST), _MOST) if width else _PLAIN
    interval = "" if low is None or high is None else f"{low:.{digits}f} to {high:.{digits}f}"
    return f"{estimate['value']:.{digits}f}", interval


def printable(text: str) -> str:
    """A text from the data in one line, and without what a terminal would take for a command.

    >>> printable("red\\nand \\x1b[1mbold")
    'red\ufffdand \ufffd[1mbold'
    """
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def metric_rows(
    metrics: Mapping[str, Mapping[str, Any]], *, like: Mapping[str, Mapping[str, Any]] | None = None
) -> list[tuple[str, str, str]]:
    """Name, value and interval of each metric; one without an interval has the digits of the AUC.

    >>> metric_rows({"auc": {"value": 0.7, "low": 0.65, "high": 0.75}, "pr_auc": {"value": 0.34781, "low": None}})
    [('auc', '0.70', '0.65 to 0.75'), ('pr auc', '0.35', '')]

    Args:
        metrics: by name, as JSON tells of them.
        like: those of the model beside which they stand, whose digits they have.
    """
    digits = metrics if like is None else like

    def of(name: str) -> Mapping[str, Any] | None:
        own = digits.get(name, {})
        return own if _width(own) else digits.get("auc")

    return [(metric_name(name), *shown(estimate, like=of(name))) for name, estimate in metrics.items()]


def in_words(metrics: Mapping[str, Mapping[str, Any]]) -> str:
    """What the two figures that need a yardstick come to; empty where neither is defined.

    >>> loss, clicks = {"value": 0.9541, "low": 0.94, "high": 0.97}, {"value": 0.9366, "low": 0.82, "high": 1.05}
    >>> in_words({"normalized_entropy": loss, "calibration_ratio": clicks})
    'log loss 4.6 % below predicting the click rate; clicks predicted 6 % low'

    Args:
        metrics: by name, as JSON tells of them.
    """
    said = []
    entropy, ratio = (metrics.get(name, {}) for name in ("normalized_entropy", "calibration_ratio"))
    if entropy.get("value") is not None:
        percent, below = _percent(entropy)
        where = f"{percent} % {'below' if below else 'above'}" if percent else "no lower than"
        said.append(f"log loss {where} predicting the click rate")
    if ratio.get("value") is not None:
        percent, below = _percent(ratio)
        said.append(f"clicks predicted {f'{percent} % ' + ('low' if below else 'high') if percent else 'as they came'}")
    return "; ".join(said)


def in_time(seconds: float) -> str:
    """A time that nobody needs to the second.

    >>> in_time(8.4), in_time(95), in_time(4000)
    ('8 s', '2 min', '67 min')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _percent(ratio: Mapping[str, Any]) -> tuple[str, bool]:
    """How far a ratio lies from 1, in percent, empty where the digits that mean something do not tell; and if below."""
    away, width = 100 * (ratio["value"] - 1), 100 * _width(ratio)
    text = f"{abs(away):.{min(max(_decimals(width), 0), 2) if width else 1}f}"
    return (text if float(text) else ""), away < 0


def _width(estimate: Mapping[str, Any]) -> float:
    """Of the interval; 0 where there is none."""
    low, high = estimate.get("low"), estimate.get("high")
    return 0.0 if low is None or high is None else float(high - low)


def _decimals(width: float) -> int:
    return 1 - math.floor(math.log10(width))
