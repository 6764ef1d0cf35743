"""Tensors as a file takes them."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

__all__ = ["storable"]


def storable(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Each tensor detached, on the processor, contiguous, and in memory of its own.

    safetensors refuses memory that has two names, as a weight has that two modules share: here each name gets a copy,
    and `load_state_dict` puts both, which are equal, into the one weight.

    >>> import torch
    >>> shared = torch.nn.Linear(2, 2).weight
    >>> one, other = storable({"reads.weight": shared, "writes.weight": shared}).values()
    >>> torch.equal(one, other), one.data_ptr() == other.data_ptr()
    (True, False)

    Args:
        tensors: by name, on any device.
    """
    stored: dict[str, Tensor] = {}
    taken: set[int] = set()
    for name, tensor in tensors.items():
        own = tensor.detach().cpu().contiguous()
        if own.untyped_storage().data_ptr() in taken:
            own = own.clone()
        taken.add(own.untyped_storage().data_ptr())
        stored[name] = own
    return stored
