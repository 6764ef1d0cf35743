"""Processor threads: how many a run may use, and that a fork leaves them behind."""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from masknet.errors import ArtifactError

__all__ = ["available_processors", "require_threads"]

# How many


def available_processors(root: str = "/") -> int:
    """How many processors this process may use at once: by its affinity, and by the CPU quota of its container.

    The quota is the least of those of its control group and of all above, in version 2 (`cpu.max`) or 1
    (`cpu.cfs_quota_us` over `cpu.cfs_period_us`); a part of a processor counts as one.

    Args:
        root: the folder in which `proc` and `sys` are looked for.

    Returns:
        at least 1.
    """
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([usable, *(math.ceil(quota) for quota in _quotas(Path(root)))]))


def _quotas(root: Path) -> Iterator[float]:
    """Processors, as fractions, that the control groups of this process allow; none where nothing bounds them."""
    mounts = root / "sys" / "fs" / "cgroup"
    for line in (_text(root / "proc" / "self" / "cgroup") or "").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        # Inside a container the path may be that on the host, and the mount shows no more than the group itself.
        steps = [step for step in path.split("/") if step and step != ".."]
        for mount in (mounts / controllers, mounts / "cpu") if controllers else (mounts, mounts / "unified"):
            for depth in range(len(steps) + 1):
                quota = _quota(mount.joinpath(*steps[:depth]))
                if quota is not None:
                    yield quota


def _quota(group: Path) -> float | None:
    both = (_text(group / "cpu.max") or "").split()
    if not both:
        both = [_text(group / f"cpu.cfs_{name}_us") or "" for name in ("quota", "period")]
    if len(both) == 2 and all(re.fullmatch(r"[0-9]+\s*", number) for number in both) and int(both[1]):
        return int(both[0]) / int(both[1])
    return None  # "max" and -1 are no bound


def _text(file: Path) -> str | None:
    try:
        return file.read_text(encoding="ascii")
    except OSError:  # another system, or another version of control groups
        return None


# Forks: of all threads a child has the one that forked it, and whoever waits there for another waits for ever


class _Process:
    """What a fork copies into the child with everything else."""

    at_work = False  # pools of threads were used here
    lost = False  # they were, in a process that this one was forked from
    torch_before = False  # PyTorch was imported there


def require_threads() -> None:
    """Refuse to work in a process that was forked from one whose threads were at work, since it would hang.

    Whatever scores, loads or trains calls it before anything else: Polars, which reads every row, and PyTorch both keep
    pools of threads. A fork before they are first used harms nothing. PyTorch's use by others cannot be seen; after a
    fork it scores with one thread, which needs no pool.

    Raises:
        ArtifactError: this process is such a fork.
    """
    if _Process.lost:
        raise ArtifactError(
            "a forked process lacks the threads that score, and would wait for them for ever; masknet's model, or a "
            "table of Polars, was loaded before a fork: load in the worker and nowhere before, or spawn (gunicorn "
            "without --preload, multiprocessing.get_context('spawn'))"
        )
    if _Process.torch_before:
        _Process.torch_before = False
        sys.modules["torch"].set_num_threads(1)
    _Process.at_work = True


def _before_fork() -> None:
    # Whoever used Polars, its pool is seen by the names of its threads; but on Linux alone.
    with suppress(OSError):
        tasks = Path("/proc/self/task").iterdir()
        _Process.at_work |= any(re.fullmatch(r"polars-[0-9]+\s*", _text(task / "comm") or "") for task in tasks)


def _after_fork() -> None:
    _Process.lost |= _Process.at_work
    _Process.at_work, _Process.torch_before = False, "torch" in sys.modules


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_child=_after_fork)
