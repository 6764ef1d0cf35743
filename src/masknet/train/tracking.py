"""The curves of a run for TensorBoard; the one file that imports it, when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from masknet.errors import ConfigError

__all__ = ["Tracker", "summary_writer"]


def summary_writer() -> Callable[..., Any]:
    """TensorBoard's writer of events.

    Raises:
        ConfigError: the package is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ConfigError(
            "--tensorboard needs the package tensorboard, which is not installed: pip install 'masknet[tensorboard]'"
        ) from error
    return SummaryWriter


class Tracker:
    """Writes the scalars of one member's training, an epoch a step; resumed, it goes on after the checkpoint's last.

    Args:
        folder: of this training alone; made with the first epoch.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._make = summary_writer()
        self._writer: Any = None

    def write(self, record: dict[str, Any]) -> None:
        """Add the losses, rates and metrics of an epoch; of several labels the means, and each label's own."""
        step = record["epoch"]
        if self._writer is None:
            # What an older run left of this epoch and later ones shall not be drawn.
            self._writer = self._make(log_dir=str(self._folder), purge_step=step)
        scalars = {name: record[name] for name in ("train_log_loss", "learning_rate")}
        scalars |= {f"valid/{name}": value for name, value in record.get("valid", {}).items()}
        for label, of_task in record.get("tasks", {}).items():
            scalars |= {f"valid/{label}/{name}": value for name, value in of_task.items()}
        for name, value in scalars.items():
            if value is not None:
                self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self) -> None:
        """Let go of the file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
