"""On what and of what a benchmark's figures are: the machine, what its processor can, and the commit."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

_BF16 = {"amx_bf16": "matrix unit", "avx512_bf16": "vector unit"}
"""What multiplies numbers of 16 bits, by the flag of the processor that tells of it; the stronger one first."""


def hardware(threads: int) -> dict[str, Any]:
    """The machine, as the results of all benchmarks name it."""
    return {
        "processor": _of_processor("model name") or "unknown",
        "cores": os.cpu_count(),
        "threads": threads,
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def commit() -> str:
    """The commit of this checkout, `-dirty` where anything but the results that benchmarks write was changed since."""
    head = _git("rev-parse", "--short", "HEAD")
    written = (f":(top,exclude){place}" for place in ("benchmarks/results", "docs/speed.md"))
    changed = _git("diff", "--name-only", "HEAD", "--", ":(top)", *written)
    return f"{head}-dirty" if changed else head or "unknown"


def _git(*told: str) -> str:
    """What git says of this checkout; nothing where there is none."""
    command = ["git", "-C", str(Path(__file__).parent), *told]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def bf16_unit(device: str = "cpu") -> str | None:
    """What multiplies bf16 numbers here faster than fp32 ones: "matrix unit", "vector unit", or None for nothing."""
    if device != "cpu":
        return "matrix unit" if torch.cuda.is_bf16_supported() else None
    flags = _of_processor("flags").split()
    return next((unit for flag, unit in _BF16.items() if flag in flags), None)


def _of_processor(name: str) -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == name), "")


def family(pid: int) -> Iterator[int]:
    """A process and all that it started."""
    yield pid
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield from family(int(child))


def resident(pid: int, kind: str) -> int:
    """MiB of a kind of a process's memory in RAM."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(f"{kind}:")) // 1024
