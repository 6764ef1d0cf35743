"""Sides of the conventional implementation, on the rows that masknet encoded, which they have in memory.

PyTorch is imported before masknet: so its threads wait for each other as PyTorch has it, and not as masknet does.
"""

from __future__ import annotations

import time
from itertools import islice
from pathlib import Path
from typing import Any

import torch

import conventional
from stages import today
from stages.child import Measure, threads
from stages.training import rate_of


def columns_of(rows: today.EncodedSet, times: int = 1) -> conventional.Columns:
    """All rows as tensors."""
    taken = rows.take(slice(0, len(rows)))
    ids = torch.from_numpy(taken.ids).long() * times
    values = torch.from_numpy(taken.values).expand(len(ids), -1).contiguous()
    return conventional.Columns(ids, values, torch.from_numpy(rows.labels[:, 0].astype("float32")))


def network_of(kind: str, num_ids: int, num_fields: int, network: dict[str, Any]) -> torch.nn.Module:
    torch.manual_seed(0)
    if kind == "fm":
        return conventional.FactorizationMachine(num_ids, **network)
    kinds = {"parallel": conventional.ParallelMaskNet, "serial": conventional.SerialMaskNet}
    return kinds[kind](num_ids, num_fields, **network)


def steps(
    *,
    data: str,
    cache: str,
    settings: dict[str, Any],
    kind: str,
    network: dict[str, Any],
    count: int,
    warmup: int,
    device: str = "cpu",
    times: int = 1,
) -> Measure:
    """Rows a second of `count` steps."""
    torch.set_num_threads(threads())
    prepared = today.Masknet(Path(cache)).encoded(data, settings)
    columns = columns_of(prepared.train, times)
    size = settings["batch_size"]
    built = network_of(kind, times * prepared.encoder.space.num_ids, columns.ids.shape[1], network).to(device)
    training = conventional.Training(built, learning_rate=settings["learning_rate"])
    batches = conventional.shuffled_batches(columns, size, seed=0)

    def take(count: int) -> float:
        return sum(training.step(batch.to(device)) for batch in islice(batches, count)) / count

    return rate_of(take, batch_size=size, count=count, warmup=warmup, device=device)


def scores(*, data: str, cache: str, settings: dict[str, Any], network: dict[str, Any], device: str = "cpu") -> Measure:
    """Rows a second of the logits of the same rows, in memory."""
    torch.set_num_threads(threads())
    prepared = today.Masknet(Path(cache)).encoded(data, settings)
    columns = columns_of(prepared.valid)
    built = network_of("parallel", prepared.encoder.space.num_ids, columns.ids.shape[1], network).to(device)

    def measure(seen: dict[str, Any]) -> dict[str, Any]:
        started = time.perf_counter()
        conventional.scores(built, columns, 8192, device)
        return {"rows_per_second": len(columns) / (time.perf_counter() - started)}

    return measure
