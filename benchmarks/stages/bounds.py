"""Sides that say what the machine allows: the products of a step alone, a memory copy, one sort."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from masknet.nn.dense import _aligned
from stages.child import Measure, threads
from stages.training import settle

Shape = tuple[int, int, int]
"""Rows, columns and the inner width of a product."""


def shapes_of(kind: str, batch: int, width: int, blocks: list[int], top: list[int], reduction: float) -> list[Shape]:
    """The products of a forward pass, the first layers of all masks that read the same embedding as one."""
    shapes, hidden, masked = [], width, []
    for d_out in blocks:
        masked.append(round(reduction * hidden))
        shapes += [(batch, hidden, masked[-1]), (batch, d_out, hidden)]
        hidden = width if kind == "parallel" else d_out
    shapes.append((batch, sum(masked), width))
    d_in = sum(blocks)
    for d_out in top:
        shapes.append((batch, d_out, d_in))
        d_in = d_out
    return shapes


def products(
    *,
    kind: str,
    batch: int,
    width: int,
    blocks: list[int],
    top: list[int],
    reduction: float,
    dtype: str,
    backward: bool,
    device: str = "cpu",
    seconds: float = 0.3,
) -> Measure:
    """Rows a second if a step were its matrix products alone, each by the fastest of the libraries that are here.

    They are those of the forward pass and, with `backward`, the two of each of them that its gradients need.
    """
    torch.set_num_threads(threads())
    kinds = {"fp32": torch.float32, "bf16": torch.bfloat16}
    pairs = []
    for rows, d_out, d_in in shapes_of(kind, batch, width, blocks, top, reduction):
        x = torch.randn(rows, d_in, device=device).to(kinds[dtype])
        w = torch.randn(d_out, d_in, device=device).to(kinds[dtype])
        y = torch.randn(rows, d_out, device=device).to(kinds[dtype])
        pairs += [(x, w.t())] + ([(y, w), (y.t(), x)] if backward else [])
    work = sum(2 * a.shape[0] * a.shape[1] * b.shape[1] for a, b in pairs)

    def measure(seen: dict[str, Any]) -> dict[str, Any]:
        spent = 0.0
        for a, b in pairs:
            spent += min(_seconds_of(way, seconds / len(pairs), device) for way in _ways(a, b))
        return {"rows_per_second": batch / spent, "gflops": work / spent / 1e9}

    return measure


def _ways(a: Tensor, b: Tensor) -> Iterator[Callable[[], object]]:
    """A product by the library that PyTorch picks, with rows side by side and each on a line of the cache of its own;
    on a processor, in fp32, by oneDNN and by NumPy's library too, which is OpenBLAS but on a Mac.
    """
    yield lambda: torch.mm(a, b)
    if a.dtype != torch.float32 or a.device.type != "cpu":
        return
    rows, columns = a.shape[0], b.shape[1]
    lines = _aligned(a, columns)
    yield lambda: torch.mm(a, b, out=lines)
    if torch.backends.mkldnn.is_available():
        weights = b.t()
        yield lambda: torch.ops.mkldnn._linear_pointwise(a, weights, None, "none", [], "")
    left, right, result = a.numpy(), b.numpy(), np.empty((rows, columns), dtype=np.float32)
    yield lambda: np.dot(left, right, out=result)


def _seconds_of(way: Callable[[], object], at_least: float, device: str) -> float:
    """Of one call, the least of as many as take so long."""
    way()
    best, until = float("inf"), time.perf_counter() + at_least
    while time.perf_counter() < until:
        settle(device)
        started = time.perf_counter()
        way()
        settle(device)
        best = min(best, time.perf_counter() - started)
    return best


def copy(*, row_bytes: int, megabytes: int, device: str = "cpu") -> Measure:
    """Rows a second if a row were a copy of its bytes in the memory of the device."""
    torch.set_num_threads(threads())
    source = torch.ones(megabytes << 20, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)

    def measure(seen: dict[str, Any]) -> dict[str, Any]:
        rate = len(source) / _seconds_of(lambda: target.copy_(source), 0.5, device)
        return {"rows_per_second": rate / row_bytes, "gb_per_second": rate / 1e9}

    return measure
