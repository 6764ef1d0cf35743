"""Sides whose imports are what is measured; so this module imports nothing else."""

import importlib
import time
from typing import Any

from stages import STARTED
from stages.child import Measure, engine_of, require

_IMPORTS = 11
"""Of which the median is taken."""


def torch() -> Measure:
    """Seconds to import PyTorch."""
    importlib.import_module("torch")
    seconds = time.perf_counter() - STARTED
    return lambda seen: {"seconds": seconds}


def masknet(source: str) -> Measure:
    """Milliseconds to import masknet in an interpreter that has imported nothing, as a user has it: its median."""
    import statistics  # here, since the other sides time all that is imported
    import subprocess
    import sys

    timed = "import time; started = time.perf_counter(); import masknet; print(time.perf_counter() - started)"

    def measure(seen: dict[str, Any]) -> dict[str, Any]:
        require(source)
        found = (subprocess.check_output([sys.executable, "-c", timed]) for _ in range(_IMPORTS))
        return {"ms": 1000 * statistics.median(map(float, found))}

    return measure


def first_step(*, source: str, engine: str, cache: str, data: str, settings: dict[str, Any]) -> Measure:
    """Seconds from the start of the process to a run's first step, beyond those that importing PyTorch takes."""
    engine_of(source=source, module=engine, cache=cache).first_step(data, settings)
    seconds = time.perf_counter() - STARTED
    return lambda seen: {"seconds": seconds - seen["torch"]["seconds"]}
