"""In which numbers a network is trained."""

from __future__ import annotations

import platform

import torch

from masknet.gbdt import TREES
from masknet.models import learns_by_row

__all__ = ["default_precision", "has_bf16"]

_BF16_BY_DEFAULT = False
"""Whether a network is trained in bf16 where the device multiplies in it: not before it is shown to cost no quality."""


def default_precision(model: str, device: torch.device) -> str:
    """The precision of a run that names none.

    >>> default_precision("adpredictor", torch.device("cpu"))
    'fp32'

    Args:
        model: its name; what no gradient moves has nothing to lower.
        device: where it is trained.

    Raises:
        ConfigError: there is no such model.
    """
    by_gradient = model not in TREES and not learns_by_row(model)
    return "bf16" if _BF16_BY_DEFAULT and by_gradient and has_bf16(device) else "fp32"


def has_bf16(device: torch.device) -> bool:
    """Whether a device multiplies in bf16 itself, and does not go about it by fp32, which takes longer than fp32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if platform.machine().lower() in ("x86_64", "amd64"):
        # Not what oneDNN says, to which AVX-512 without bf16 is support too; an older PyTorch knows fewer units.
        units = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        return any(getattr(torch.cpu, unit)() for unit in units if hasattr(torch.cpu, unit))
    known = hasattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported")
    return known and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
