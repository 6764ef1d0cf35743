"""Sides that train with masknet: steps of one network, whole runs, the batches alone, and where a step's time goes."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from stages.child import Measure, threads


def settle(device: str) -> None:
    """Wait until the device has done what it was told."""
    if device != "cpu":
        torch.cuda.synchronize(device)


def steps(
    engine: Any,
    *,
    data: str,
    settings: dict[str, Any],
    count: int,
    warmup: int,
    device: str = "cpu",
    times: int = 1,
) -> Measure:
    """Rows a second of `count` steps by the engine's own path: its batches and its step."""
    torch.set_num_threads(threads())
    prepared = engine.encoded(data, settings)
    config = engine.decided(settings, len(prepared.train), device)
    take = engine.steps(prepared, config, device, **({} if times == 1 else {"times": times}))
    assert config.batch_size is not None
    return rate_of(take, batch_size=config.batch_size, count=count, warmup=warmup, device=device)


def rate_of(take: Callable[[int], float], *, batch_size: int, count: int, warmup: int, device: str) -> Measure:
    """Rows a second of `count` steps, which `take` takes and gives the mean loss of."""
    take(warmup)

    def measure(seen: dict[str, Any]) -> dict[str, Any]:
        settle(device)
        started = time.perf_counter()
        loss = take(count)
        settle(device)
        seconds = time.perf_counter() - started
        return {"rows_per_second": count * batch_size / seconds, "ms": 1000 * seconds / count, "loss": loss}

    return measure


def pipeline(engine: Any, *, data: str, settings: dict[str, Any], count: int, warmup: int) -> Measure:
    """Rows a second of the batches alone, with no model to take them."""
    torch.set_num_threads(threads())
    prepared = engine.encoded(data, settings)
    batches = engine.batches(prepared.train, engine.decided(settings, len(prepared.train)))
    for _ in islice(batches, warmup):
        pass

    def measure(seen: dict[str, Any]) -> dict[str, Any]:
        started = time.perf_counter()
        rows = sum(len(batch) for batch in islice(batches, count))
        return {"rows_per_second": rows / (time.perf_counter() - started)}

    return measure


def runs(engine: Any, *, data: str, settings: list[dict[str, Any]], kept: bool, rows: int) -> Measure:
    """Whole runs, one after the other: from encoded rows that are `kept` in the cache, or from the file."""
    torch.set_num_threads(threads())
    if kept:
        engine.encoded(data, settings[0])

    def measure(seen: dict[str, Any]) -> dict[str, Any]:
        with tempfile.TemporaryDirectory(dir=engine.cache) as empty:
            started = time.perf_counter()
            for one in settings:
                engine.run(data, one, into=engine.cache if kept else Path(empty))
            seconds = time.perf_counter() - started
        return {"seconds": seconds, "rows_per_second": rows / seconds}

    return measure


def until(engine: Any, *, data: str, valid: str, settings: dict[str, Any]) -> Measure:
    """Seconds from the file, its encoding included, until the validation rows say what LightGBM's trees reached."""
    torch.set_num_threads(threads())

    def measure(seen: dict[str, Any]) -> dict[str, Any]:
        goal = seen["lightgbm"]["auc"]
        with tempfile.TemporaryDirectory(dir=engine.cache) as empty:
            seconds, best = engine.until(data, {**settings, "valid": valid}, goal, Path(empty))
        why = {} if seconds else {"why": f"its best AUC was {best:.4f}, that of LightGBM {goal:.4f}"}
        return {"seconds": seconds, "auc": best, "goal": goal} | why

    return measure
