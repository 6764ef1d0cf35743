"""To build a network whose weights will be loaded, or only counted: its random draws are passed over."""

from __future__ import annotations

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


@contextmanager
def undrawn(fill: Callable[[Tensor], Tensor] = Tensor.zero_) -> Iterator[None]:
    """Make zeros of every random fill of a parameter from PyTorch's global generator, and leave that as it was.

    All else happens: tensors are real, buffers have their values, and a generator of the network's own draws.

    Args:
        fill: what happens to such a parameter instead; what is never written to takes no memory.

    >>> with undrawn():
    ...     layer = nn.Linear(2, 3)
    >>> layer.weight.tolist()
    [[0.0, 0.0], [0.0, 0.0], [0.0, 0.0]]
    """
    with own_draws(), _InsteadOfDraws(fill):
        yield


class _InsteadOfDraws(TorchFunctionMode):
    # NOTE[perf]: a mode below the dispatcher would catch the same calls, and imports SymPy for it: as long as torch.
    def __init__(self, fill: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self._fill = fill

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in _DRAWS:
            filled = args[0] if args else kwargs["tensor"]
            if isinstance(filled, nn.Parameter) and kwargs.get("generator") is None:
                with torch.no_grad():
                    return self._fill(filled)
        return func(*args, **kwargs)
