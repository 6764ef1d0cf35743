"""What a trained thing scores with, and its logits of encoded rows, however many."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from masknet.encode import EncodedRows, EncodedSet
from masknet.errors import ConfigError

__all__ = ["NetworkScorer", "Scorer", "probabilities_of", "resolve_device", "score"]

BATCH_ROWS = 8192


class Scorer(Protocol):
    """Turns encoded rows into log-odds: what a network, trees, or a model that learns online have in common."""

    def logits(self, rows: EncodedRows) -> NDArray[np.float32]:
        """The logit of each row, `[rows]`; of each row and task, `[rows, tasks]`, where there are several."""


class NetworkScorer:
    """A network as a scorer: on the device where its weights are, in eval mode, `BATCH_ROWS` rows at a time.

    Args:
        network: scores; it is left in the mode that it was in.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = network

    def logits(self, rows: EncodedRows) -> NDArray[np.float32]:
        """The network's logits, `[rows]` or `[rows, tasks]`."""
        device = next(self.network.parameters()).device

        def moved(array: NDArray[np.generic]) -> Tensor:
            return torch.from_numpy(array).to(device, non_blocking=True)

        training = self.network.training
        self.network.eval()
        parts = []
        with torch.inference_mode():
            for start in range(0, max(len(rows), 1), BATCH_ROWS):  # of no rows too, which have a shape
                some = rows.some(slice(start, start + BATCH_ROWS))
                ids, dense = moved(some.ids), None if some.dense is None else moved(some.dense)
                values = moved(some.values).expand(ids.shape[0], -1)
                parts.append(self.network(ids, values, dense).float().cpu().numpy())
        self.network.train(training)
        return np.concatenate(parts)


def score(
    scorer: Scorer, rows: EncodedSet, *, advance: Callable[[int], None] = lambda done: None
) -> NDArray[np.float32]:
    """The logits of a whole set, in the rows' order: `[rows]`, or `[rows, tasks]` where there are several tasks."""
    if not len(rows):
        return scorer.logits(rows.take(slice(0)))  # which have a shape
    parts = []
    for start in range(0, len(rows), BATCH_ROWS):
        parts.append(scorer.logits(rows.take(slice(start, start + BATCH_ROWS))))
        advance(min(start + BATCH_ROWS, len(rows)))
    return np.concatenate(parts)


def resolve_device(name: str) -> torch.device:
    """The device that a setting names; `auto` takes a GPU where there is one.

    Raises:
        ConfigError: there is no such device, or this machine has none.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in ("cpu", "cuda"):
        raise ConfigError(f"a device is auto, cpu, cuda or cuda:0; got '{name}'")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(
            f"the device '{name}' is not there; this PyTorch sees {torch.cuda.device_count()} GPUs: pass --device cpu"
        )
    return device


def probabilities_of(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """`1 / (1 + exp(-logit))` in float64.

    >>> probabilities_of(np.array([0.0, -100.0], dtype=np.float32)).round(3)
    array([0.5, 0. ])
    """
    wide = logits.astype(np.float64)
    small = np.exp(-np.abs(wide))
    return np.where(wide >= 0, 1 / (1 + small), small / (1 + small))
