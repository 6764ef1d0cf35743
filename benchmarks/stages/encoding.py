"""Sides that read a file: to an encoded set on disk, and its plain reading by Polars."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import polars as pl

from stages.child import Measure


def encode(engine: Any, *, data: str, settings: dict[str, Any], rows: int) -> Measure:
    """Rows a second from the file to an encoded set on disk: inspected, split, learned from, and written."""

    def measure(seen: dict[str, Any]) -> dict[str, Any]:
        with tempfile.TemporaryDirectory(dir=engine.cache) as place:
            started = time.perf_counter()
            engine.encoded(data, settings, into=Path(place))
            return {"rows_per_second": rows / (time.perf_counter() - started)}

    return measure


def read(*, data: str, rows: int) -> Measure:
    """Rows a second of the file as a Polars frame."""
    reading = pl.read_csv if Path(data).suffix == ".csv" else pl.read_parquet

    def measure(seen: dict[str, Any]) -> dict[str, Any]:
        started = time.perf_counter()
        reading(data)
        return {"rows_per_second": rows / (time.perf_counter() - started)}

    return measure


class Phases:
    """Hears the progress of an encoding, and knows how long each of its phases was."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._now, self._since = "opening, and the first rows", time.perf_counter()

    def track(self, phase: str, done: int, total: int | None, detail: str = "", unit: str = "rows") -> None:
        if phase != self._now:
            self.end()
            self._now = phase

    def end(self) -> None:
        now = time.perf_counter()
        self.seconds[self._now] = self.seconds.get(self._now, 0.0) + now - self._since
        self._since = now

    def note(self, text: str) -> None:
        pass

    def warn(self, text: str) -> None:
        pass


def phases(engine: Any, *, data: str, settings: dict[str, Any], rows: int) -> Measure:
    """What share of an encoding each of its phases takes."""

    def measure(seen: dict[str, Any]) -> dict[str, Any]:
        heard = Phases()
        with tempfile.TemporaryDirectory(dir=engine.cache) as place:
            engine.encoded(data, settings, into=Path(place), progress=heard)
        heard.end()
        seconds = sum(heard.seconds.values())
        return {
            "rows_per_second": rows / seconds,
            "shares": {phase: spent / seconds for phase, spent in heard.seconds.items()},
        }

    return measure
