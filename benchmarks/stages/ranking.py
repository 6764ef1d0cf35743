"""Sides that measure probabilities: the exact AUC, that of groups, and one sort of as many numbers."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from stages.child import Measure


def made(rows: int, groups: int) -> tuple[Any, Any, Any]:
    """Labels, probabilities that know something of them, and groups."""
    draws = np.random.default_rng(0)
    logit = draws.normal(size=rows)
    probabilities = 1 / (1 + np.exp(-logit))
    return (draws.random(rows) < probabilities).astype(np.uint8), probabilities, draws.integers(0, groups, rows)


def auc(engine: Any, *, rows: int) -> Measure:
    labels, probabilities, _ = made(rows, 1)
    return _timed(lambda: engine.auc(labels, probabilities))


def grouped_auc(engine: Any, *, rows: int, groups: int) -> Measure:
    labels, probabilities, group = made(rows, groups)
    return _timed(lambda: engine.grouped_auc(labels, probabilities, group))


def sort(*, rows: int) -> Measure:
    _, probabilities, _ = made(rows, 1)
    return _timed(lambda: np.sort(probabilities))


def _timed(work: Callable[[], object]) -> Measure:
    def measure(seen: dict[str, Any]) -> dict[str, Any]:
        started = time.perf_counter()
        work()
        return {"seconds": time.perf_counter() - started}

    return measure
