"""What of an evaluation is watched: a metric, of all labels or of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from masknet.errors import ConfigError, unknown
from masknet.figures import metric_name
from masknet.metrics import MONITORS

__all__ = ["Watched", "parse_monitor"]


@dataclass(frozen=True)
class Watched:
    """A metric on the validation rows, which picks the best weights.

    Args:
        metric: its name, one of `masknet.metrics.MONITORS`.
        label: the label whose metric it is; None for the one label's, or the mean over several.
    """

    metric: str
    label: str | None = None

    def __str__(self) -> str:
        """As a run names it: `auc`, `like.auc`."""
        return self.metric if self.label is None else f"{self.label}.{self.metric}"

    def value(self, record: dict[str, Any]) -> float:
        """What a record of an evaluation says of it.

        >>> record = {"valid": {"auc": 0.5}, "tasks": {"click": {"auc": 0.25}, "like": {"auc": 0.75}}}
        >>> Watched("auc").value(record), Watched("auc", "like").value(record)
        (0.5, 0.75)
        """
        found: float = (record["valid"] if self.label is None else record["tasks"][self.label])[self.metric]
        return found

    def said(self, record: dict[str, Any]) -> str:
        """What a record of an evaluation says of the validation rows, in words.

        >>> Watched("auc").said({"valid": {"auc": 0.5, "log_loss": 0.25}})
        'auc 0.5000, log loss 0.2500'
        """
        valid = record["valid"]
        names = dict.fromkeys(("auc", "log_loss", self.metric))
        shown = [f"{metric_name(name)} {valid[name]:.4f}" for name in names if valid.get(name) is not None]
        of = f"mean of {len(record['tasks'])} labels: " if "tasks" in record else ""
        if self.label is not None:
            shown.append(f"{self} {self.value(record):.4f}")
        return f"{of}{', '.join(shown)}"

    def better(self, value: float, best: float) -> bool:
        """Whether `value` beats `best`."""
        return MONITORS[self.metric].better(value, best)


def parse_monitor(monitor: str, labels: Sequence[str]) -> Watched:
    """What a run's `monitor` means: `auc`, or with several labels also `LABEL.auc`.

    >>> parse_monitor("like.auc", ["click", "like"])
    Watched(metric='auc', label='like')
    >>> parse_monitor("lke.auc", ["click", "like"])
    Traceback (most recent call last):
    masknet.errors.ConfigError: unknown label 'lke'; did you mean 'like'?

    Args:
        monitor: the setting.
        labels: of the run.

    Raises:
        ConfigError: there is no such metric, or no such label.
    """
    label, dot, metric = monitor.rpartition(".")
    if metric not in MONITORS:
        raise ConfigError(unknown("metric", metric, MONITORS))
    if not dot:
        return Watched(metric)
    if label not in labels:
        raise ConfigError(unknown("label", label, labels))
    return Watched(metric, label if len(labels) > 1 else None)
