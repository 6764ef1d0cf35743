"""PyTorch's global generator, which every thread of a process draws from: they take turns."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["own_draws"]

_TURN = threading.RLock()  # again by the same thread: a network may be built within another's draws


@contextmanager
def own_draws(seed: int | None = None, device: torch.device | None = None) -> Iterator[None]:
    """Draw from the global generator as if nobody else did, and leave it as it was.

    Other threads that come here wait until it is over, so that fits in several threads draw what they would draw alone.

    >>> def drawn() -> float:
    ...     with own_draws(7):
    ...         return torch.rand(1).item()
    >>> drawn() == drawn()
    True

    Args:
        seed: what it begins with; None goes on from where it stands.
        device: where else is drawn, if it is a GPU.
    """
    gpus = [device] if device is not None and device.type == "cuda" else []
    with _TURN, torch.random.fork_rng(devices=gpus):
        if seed is not None:
            # NOTE[perf]: `torch.manual_seed` notes its caller's whole stack for a GPU that nobody uses: 1 ms a step.
            torch.default_generator.manual_seed(seed)
            if gpus:
                torch.cuda.manual_seed_all(seed)
        yield
