"""A network and encoded rows to logits: validation and the evaluation of a run use it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from masknet.batches import ordered_batches
from masknet.encode import EncodedSet

__all__ = ["probabilities_of", "score"]

BATCH_ROWS = 8192


def score(
    network: nn.Module,
    rows: EncodedSet,
    *,
    device: torch.device,
    advance: Callable[[int], None] = lambda done: None,
) -> NDArray[np.float32]:
    """The logit of every row, in the rows' order; the network is left in the mode that it was in."""
    training = network.training
    network.eval()
    logits = np.empty(len(rows), dtype=np.float32)
    done = 0
    with torch.inference_mode():
        for batch in ordered_batches(rows, batch_size=BATCH_ROWS):
            moved = batch.to(device)
            logits[done : done + len(batch)] = network(moved.ids, moved.values, moved.dense).float().cpu().numpy()
            done += len(batch)
            advance(done)
    network.train(training)
    return logits


def probabilities_of(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """`1 / (1 + exp(-logit))` in float64.

    >>> probabilities_of(np.array([0.0, -100.0], dtype=np.float32)).round(3)
    array([0.5, 0. ])
    """
    wide = logits.astype(np.float64)
    small = np.exp(-np.abs(wide))
    return np.where(wide >= 0, 1 / (1 + small), small / (1 + small))
