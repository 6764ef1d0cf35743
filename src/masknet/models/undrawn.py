"""To build a network whose weights will be loaded: its random draws are passed over."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from masknet.generator import own_draws


@contextmanager
def undrawn() -> Iterator[None]:
    """Make zeros of every random fill of a parameter from PyTorch's global generator, and leave that as it was.

    All else happens: tensors are real, buffers have their values, and a generator of the network's own draws.

    >>> with undrawn():
    ...     layer = nn.Linear(2, 3)
    >>> layer.weight.tolist()
    [[0.0, 0.0], [0.0, 0.0], [0.0, 0.0]]
    """
    with own_draws(), _ZerosForDraws():  # type: ignore[no-untyped-call]
        yield


class _ZerosForDraws(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        is_fill = torch.Tag.nondeterministic_seeded in func.tags and _writes_into_first(func)
        if is_fill and isinstance(args[0], nn.Parameter) and kwargs.get("generator") is None:
            return args[0].zero_()
        return func(*args, **kwargs)


def _writes_into_first(func: Any) -> bool:
    first = next(iter(func._schema.arguments), None)
    return first is not None and first.alias_info is not None and first.alias_info.is_write
