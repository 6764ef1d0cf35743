"""Sides that score: encoded rows, files, and one row as a server does it."""

from __future__ import annotations

import statistics
import time
from typing import Any

import polars as pl
import torch

from stages.child import Measure, threads
from stages.training import settle


def rows(engine: Any, *, data: str, settings: dict[str, Any], device: str = "cpu") -> Measure:
    """Rows a second of the logits of encoded rows, as an evaluation and a batch prediction compute them."""
    torch.set_num_threads(threads())
    prepared = engine.encoded(data, settings)
    config = engine.decided(settings, len(prepared.train), device)
    score = engine.scoring(engine.network(prepared, config, device), prepared.valid)

    def measure(seen: dict[str, Any]) -> dict[str, Any]:
        settle(device)
        started = time.perf_counter()
        score()
        return {"rows_per_second": len(prepared.valid) / (time.perf_counter() - started)}

    return measure


def file(engine: Any, *, work: str, data: str, settings: dict[str, Any], trained_on: str, rows: int) -> Measure:
    """Rows a second of a Parquet file by a model of the defaults: evaluated, or predicted into another Parquet file."""
    torch.set_num_threads(threads())
    place = engine.cache / "file.masknet"
    if not place.exists():
        engine.run(trained_on, settings, out=place)
    score = engine.of_file(work, place, data)

    def measure(seen: dict[str, Any]) -> dict[str, Any]:
        started = time.perf_counter()
        score()
        return {"rows_per_second": rows / (time.perf_counter() - started)}

    return measure


def one_row(engine: Any, *, data: str, settings: dict[str, Any], count: int) -> Measure:
    """The median milliseconds of `predict_proba` of one row, a dict, on one thread; each row another."""
    place = engine.cache / "one_row.masknet"
    if not place.exists():
        engine.run(data, settings, out=place)
    torch.set_num_threads(1)
    model = engine.load(place)
    some = pl.read_parquet(data).drop(settings["label"]).head(count).to_dicts()
    for row in some[:50]:
        model.predict_proba([row])

    def measure(seen: dict[str, Any]) -> dict[str, Any]:
        spent = []
        for row in some:
            started = time.perf_counter()
            model.predict_proba([row])
            spent.append(1000 * (time.perf_counter() - started))
        return {"ms": statistics.median(spent)}

    return measure
