"""A network and encoded rows to logits: validation and the evaluation of a run use it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from masknet.batches import ordered_batches
from masknet.encode import EncodedRows, EncodedSet
from masknet.errors import ConfigError

__all__ = ["probabilities_of", "resolve_device", "score", "score_encoded"]

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


def score_encoded(network: nn.Module, rows: EncodedRows) -> NDArray[np.float64]:
    """The probability of each row as an encoder gives them, `[rows]`; the network is in eval mode, on its device."""
    device = next(network.parameters()).device
    ids, values, dense = (torch.from_numpy(array) for array in rows)
    logits = np.empty(len(ids), dtype=np.float32)
    with torch.inference_mode():
        for start in range(0, len(ids), BATCH_ROWS):
            some = slice(start, start + BATCH_ROWS)
            beside = dense[some].to(device) if dense.shape[1] else None
            logits[some] = network(ids[some].to(device), values[some].to(device), beside).float().cpu().numpy()
    return probabilities_of(logits)


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
