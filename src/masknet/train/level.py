"""The level of the predictions: after training the biases of the logits are moved towards the validation click rate.

NOTE[paper]: none does it. The weights that rank best are taken before, or after, the moment when their mean is right:
with few clicks, or a share of the negatives, the mean prediction was off by up to 23 % (docs/defaults.md).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from masknet.encode import EncodedSet
from masknet.nn import output_biases
from masknet.schema import UNKNOWN
from masknet.scoring import NetworkScorer, score

__all__ = ["level_of", "move_biases"]

_SPREAD = 0.1
"""How far, in log-odds, training usually leaves the mean off: what is measured on few clicks is believed less."""

_SAME_RATE = 0.3
"""Validation rows whose click rate has other log-odds than training's, by more than this, say nothing of the level."""


def level_of(network: nn.Module, valid: EncodedSet, train_rates: NDArray[np.float64]) -> list[float]:
    """For each task how far its bias should be moved; none where the network has no such biases.

    It is the shift of all log-odds with which the mean prediction on the validation rows is their click rate, times the
    trust in it: the share of `_SPREAD`'s variance in the sum of that and the shift's own. Zero where those rows have
    one class, or another click rate than training.

    Args:
        network: in eval mode, on any device.
        valid: the rows that did not move its weights.
        train_rates: the click rate of each task in training.
    """
    if not output_biases(network, valid.labels.shape[1]):
        return []
    logits = score(NetworkScorer(network), valid).reshape(valid.labels.shape).astype(np.float64)
    weights = np.ones(len(valid)) if valid.weights is None else np.asarray(valid.weights, dtype=np.float64)
    return [
        _shift(logits[known, task], labels[known] == 1, weights[known], float(rate))
        for task, (labels, rate) in enumerate(zip(np.asarray(valid.labels).T, train_rates, strict=True))
        for known in [labels != UNKNOWN]
    ]


def move_biases(network: nn.Module, shifts: Sequence[float]) -> None:
    """Add a shift to the bias of each task's logit.

    Args:
        network: changed in place.
        shifts: as `level_of` gives them.
    """
    biases = output_biases(network, len(shifts))
    at = 0
    with torch.no_grad():
        for bias in biases:
            own = torch.tensor(shifts[at : at + bias.numel()], dtype=bias.dtype, device=bias.device)
            bias.add_(own.reshape(bias.shape))
            at += bias.numel()


def _shift(
    logits: NDArray[np.float64], clicks: NDArray[np.bool_], weights: NDArray[np.float64], train_rate: float
) -> float:
    total = weights.sum()
    rate = float(weights @ clicks / total) if total > 0 else 0.0
    if not (0 < rate < 1 and 0 < train_rate < 1):
        return 0.0
    if abs(_odds(rate) - _odds(train_rate)) > _SAME_RATE:
        return 0.0
    low, high = -20.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        predicted = 1 / (1 + np.exp(-np.clip(logits + middle, -500, 500)))
        low, high = (middle, high) if weights @ predicted < rate * total else (low, middle)
    # The variance of the shift: one over the information that rows of unequal weights hold of it.
    information = float((weights @ (predicted * (1 - predicted))) ** 2 / (weights**2 @ (predicted * (1 - predicted))))
    return middle * _SPREAD**2 / (_SPREAD**2 + 1 / information) if information > 0 else 0.0


def _odds(rate: float) -> float:
    return float(np.log(rate) - np.log1p(-rate))
