"""To build a network whose weights will be loaded: its random draws are passed over, and its size is bounded."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode


@contextmanager
def undrawn(*, at_most: int | None = None) -> Iterator[None]:
    """Make zeros of every random fill of a parameter from PyTorch's global generator, and leave that as it was.

    All else happens: tensors are real, buffers have their values, and a generator of the network's own draws.

    >>> with undrawn():
    ...     layer = nn.Linear(2, 3)
    >>> layer.weight.tolist()
    [[0.0, 0.0], [0.0, 0.0], [0.0, 0.0]]
    >>> with undrawn(at_most=10_000):
    ...     layer = nn.Linear(10**6, 10**6)
    Traceback (most recent call last):
    ValueError: they ask for more numbers than are there

    Args:
        at_most: refuse, before memory is taken for it, what would make the tensors hold more numbers than this; a
            small tensor counts as 1,024, since it takes time too. None knows no bound.

    Raises:
        ValueError: the bound is reached.
    """
    with torch.random.fork_rng(devices=[]), _ZerosForDraws(at_most):
        yield


class _Rule:
    """What the mode does; in a class of its own, since PyTorch imports its compiler for a mode that defines it."""

    def __init__(self, at_most: int | None) -> None:
        super().__init__()
        self._left = at_most

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        is_fill = torch.Tag.nondeterministic_seeded in func.tags and _writes_into_first(func)
        if is_fill and isinstance(args[0], nn.Parameter) and kwargs.get("generator") is None:
            return args[0].zero_()
        if self._left is not None and args and isinstance(args[0], list | tuple) and "device" in kwargs:  # a new one
            self._left -= max(math.prod(args[0]), 1024)
            if self._left < 0:
                raise ValueError("they ask for more numbers than are there")
        return func(*args, **kwargs)


class _ZerosForDraws(_Rule, TorchDispatchMode):
    pass


def _writes_into_first(func: Any) -> bool:
    first = next(iter(func._schema.arguments), None)
    return first is not None and first.alias_info is not None and first.alias_info.is_write
