"""Sides whose imports are what is measured; so this module imports nothing else."""

import importlib
import time
from typing import Any

from stages import STARTED
from stages.child import Measure, engine_of, require


def torch() -> Measure:
    """Seconds to import PyTorch."""
    importlib.import_module("torch")
    seconds = time.perf_counter() - STARTED
    return lambda seen: {"seconds": seconds}


def masknet(source: str) -> Measure:
    """Milliseconds to import masknet alone."""
    started = time.perf_counter()
    require(source)
    ms = 1000 * (time.perf_counter() - started)
    return lambda seen: {"ms": ms}


def first_step(*, source: str, engine: str, cache: str, data: str, settings: dict[str, Any]) -> Measure:
    """Seconds from the start of the process to a run's first step, beyond those that importing PyTorch takes."""
    engine_of(source=source, module=engine, cache=cache).first_step(data, settings)
    seconds = time.perf_counter() - STARTED
    return lambda seen: {"seconds": seconds - seen["torch"]["seconds"]}
