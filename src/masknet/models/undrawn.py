"""To build a network whose weights will be loaded, or only counted: its draws are passed over, its size is bounded."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from masknet.generator import own_draws

_DRAWS = {
    *(getattr(Tensor, f"{name}_") for name in ("bernoulli", "cauchy", "exponential", "geometric", "log_normal")),
    *(getattr(Tensor, f"{name}_") for name in ("normal", "random", "uniform")),
    *(getattr(nn.init, f"kaiming_{name}_") for name in ("normal", "uniform")),
    *(getattr(nn.init, f"xavier_{name}_") for name in ("normal", "uniform")),
    *(getattr(nn.init, f"{name}_") for name in ("normal", "trunc_normal", "uniform")),
}
"""Whatever draws into a tensor: the methods, and PyTorch's functions for initial weights, which call them."""

_NEW = {getattr(torch, name) for name in ("empty", "full", "ones", "rand", "randn", "zeros")}
"""What makes a tensor of a shape."""

_LEAST = 1024
"""Numbers that a tensor counts as, at least: it takes time too."""


@contextmanager
def undrawn(fill: Callable[[Tensor], Tensor] = Tensor.zero_, *, at_most: int | None = None) -> Iterator[None]:
    """Make zeros of every random fill of a parameter from PyTorch's global generator, and leave that as it was.

    All else happens: tensors are real, buffers have their values, and a generator of the network's own draws.

    Args:
        fill: what happens to such a parameter instead; what is never written to takes no memory.
        at_most: refuse, before memory is taken for it, the tensor with which all that are made would hold more numbers
            than this, where a small one counts as 1,024. None knows no bound.

    Raises:
        ValueError: the bound is reached.

    >>> with undrawn():
    ...     layer = nn.Linear(2, 3)
    >>> layer.weight.tolist()
    [[0.0, 0.0], [0.0, 0.0], [0.0, 0.0]]
    >>> with undrawn(at_most=10_000):
    ...     layer = nn.Linear(10**6, 10**6)
    Traceback (most recent call last):
    ValueError: the tensors would hold more than 10,000 numbers
    """
    with own_draws(), _InsteadOfDraws(fill, at_most):
        yield


class _InsteadOfDraws(TorchFunctionMode):
    # NOTE[perf]: a mode below the dispatcher would catch the same calls, and imports SymPy for it: as long as torch.
    def __init__(self, fill: Callable[[Tensor], Tensor], at_most: int | None) -> None:
        super().__init__()
        self._fill = fill
        self._at_most = at_most
        self._numbers = 0

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in _DRAWS:
            filled = args[0] if args else kwargs["tensor"]
            if isinstance(filled, nn.Parameter) and kwargs.get("generator") is None:
                with torch.no_grad():
                    return self._fill(filled)
        if self._at_most is not None and func in _NEW:
            self._numbers += max(_LEAST, _numbers(*args, **kwargs))
            if self._numbers > self._at_most:
                raise ValueError(f"the tensors would hold more than {self._at_most:,} numbers")
        return func(*args, **kwargs)


def _numbers(*shape: Any, size: Any = None, **_: Any) -> int:
    """How many a new tensor holds; its shape is given as one argument or as several."""
    first = shape[0] if size is None and shape else size
    return math.prod(first if isinstance(first, list | tuple) else shape)
