"""The dense layer that every network here is built of, and its products at the speed of the processor."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F  # noqa: N812 -- the name by which all of PyTorch's users know it

_FEW_ROWS, _FEW_COLUMNS = 64, 16
"""Below, a product takes no longer than to choose how it is computed."""

_LINE = 64
"""Bytes of a line of the processor's cache."""

ONEDNN = torch.backends.cpu.get_cpu_capability() == "AVX512" and hasattr(torch.ops.mkldnn, "_linear_pointwise")
"""Whether oneDNN multiplies here. NOTE[perf]: with AVX-512 it made 180 GFLOP/s where PyTorch's own choice made 80 to
107; with AVX2 that choice is faster, 81 to 91 against 74 to 86 on one core, once its results are `_aligned`."""


LIFTED = not (ONEDNN or torch.ops.mkldnn._is_mkldnn_bf16_supported())
"""Whether numbers of bf16 are multiplied as fp32 here and the sum is rounded, which is what a unit for bf16 does.

NOTE[perf]: PyTorch's own product of 1,024 rows by 390 x 390 weights takes 38 ms on a core with AVX2, its gradients 140
and 17; this one 5.5.
"""


class Linear(nn.Linear):
    """`torch.nn.Linear` with its weights and numbers, faster on a processor, and in one with a ReLU where asked.

    >>> layer = Linear(6, 4, relu=True)
    >>> hidden = layer(torch.randn(3, 6))
    >>> hidden.shape, bool((hidden >= 0).all())
    (torch.Size([3, 4]), True)
    """

    def __init__(self, d_in: int, d_out: int, *, bias: bool = True, relu: bool = False) -> None:
        """Draw the weights as `torch.nn.Linear` does.

        Args:
            d_in: width of the input.
            d_out: width of the output.
            bias: whether it has one.
            relu: whether it gives `ReLU(W x + b)` and not `W x + b`.
        """
        super().__init__(d_in, d_out, bias=bias)
        self.has_relu = relu

    def forward(self, rows: Float[Tensor, "*batch in"]) -> Float[Tensor, "*batch out"]:
        """Return the product, and its ReLU where the layer has one."""
        return dense(rows, self.weight, self.bias, relu=self.has_relu)

    def extra_repr(self) -> str:
        """What `print` shows of it."""
        return f"{super().extra_repr()}, relu={self.has_relu}"


def dense(
    rows: Float[Tensor, "*batch in"],
    weight: Float[Tensor, "out in"],
    bias: Float[Tensor, " out"] | None = None,
    *,
    relu: bool = False,
) -> Float[Tensor, "*batch out"]:
    """Return `rows weight^T + bias`, and its ReLU where asked; under autocast in its type.

    Which kernel computes it is a rule of shapes, device and type, so that equal runs give equal bits.

    >>> dense(torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 1.0], [-1.0, -1.0]]), relu=True).tolist()
    [[3.0, 0.0]]
    """
    if not (rows.dim() == 2 and min(weight.shape) >= _FEW_COLUMNS and is_ours(rows)):
        product = F.linear(rows, weight, bias)
        return product.relu() if relu else product
    rows, weight = lowered(rows), lowered(weight)
    own = None if bias is None else lowered(bias)
    result: Tensor = _Dense.apply(rows, weight, own, relu)  # type: ignore[no-untyped-call]
    return result


def lowered(tensor: Tensor) -> Tensor:
    """The numbers in the type of the products: bf16 where autocast says so, else as they are.

    >>> with torch.autocast("cpu", torch.bfloat16):
    ...     lowered(torch.ones(2)).dtype
    torch.bfloat16
    """
    device = tensor.device.type
    return tensor.to(torch.get_autocast_dtype(device)) if torch.is_autocast_enabled(device) else tensor


def is_ours(rows: Tensor) -> bool:
    """Whether a function of our own takes the rows: many of plain numbers on a processor.

    Whoever traces, exports or transforms a network sees nothing but PyTorch's own.
    """
    if torch.compiler.is_compiling() or torch._C._get_tracing_state() or torch._C._are_functorch_transforms_active():
        return False
    plain = rows.device.type == "cpu" and rows.dtype in (torch.float32, torch.bfloat16)
    return plain and rows.shape[0] >= _FEW_ROWS


class _Dense(torch.autograd.Function):
    """The layer; of its result it keeps only what the ReLU passed."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, bias: Tensor | None, relu: bool) -> Tensor:
        result = _product(rows, weight, bias, relu=relu)
        ctx.save_for_backward(rows, weight, result if relu else None)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        rows, weight, passed = ctx.saved_tensors
        of_rows, of_weight, of_bias, _ = ctx.needs_input_grad
        if passed is not None:
            gradient = torch.ops.aten.threshold_backward(gradient, passed, 0)
        return (
            _product(gradient, weight.t()) if of_rows else None,
            _of_weight(gradient, rows) if of_weight else None,
            gradient.sum(0) if of_bias else None,
            None,
        )


def _product(rows: Tensor, weight: Tensor, bias: Tensor | None = None, *, relu: bool = False) -> Tensor:
    """`rows weight^T + bias`, and its ReLU where asked."""
    if ONEDNN:
        product: Tensor = torch.ops.mkldnn._linear_pointwise(rows, weight, bias, "relu" if relu else "none", [], "")
        return product
    if LIFTED and rows.dtype == torch.bfloat16:
        own = None if bias is None else bias.float()
        return _product(rows.float(), weight.float(), own, relu=relu).to(rows.dtype)
    result = _aligned(rows, weight.shape[0])
    if bias is None:
        torch.mm(rows, weight.t(), out=result)
    else:
        torch.addmm(bias, rows, weight.t(), out=result)
    return result.relu_() if relu else result


def _of_weight(gradient: Tensor, rows: Tensor) -> Tensor:
    """The gradient of the weights, `gradient^T rows`."""
    if LIFTED and rows.dtype == torch.bfloat16:
        return _of_weight(gradient.float(), rows.float()).to(rows.dtype)
    return torch.mm(gradient.t(), rows, out=_aligned(gradient.t(), rows.shape[1]))


def _aligned(like: Tensor, width: int) -> Tensor:
    """Room for a product, in which every row begins with a line of the cache.

    NOTE[perf]: MKL made 60 to 68 GFLOP/s on one core where rows of 390 and 780 numbers lay side by side, 81 to 91 so.
    """
    each = _LINE // like.element_size()
    return like.new_empty_strided((like.shape[0], width), (-(-width // each) * each, 1))
