"""Places that are written to: their names, one process at a time, whole or not at all, no leavings of killed ones."""

from __future__ import annotations

import glob
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

__all__ = ["REPLACED", "locked", "stem_of", "sweep", "temporary_folder"]

REPLACED = ".replaced"
"""In a temporary folder: what lay at the place before. It is swept only where something lies there again."""

_LOCK = ".lock"
_UNLOCKED_SECONDS = 24 * 3600
_LETTERS = 200  # of a place's name, which may be as long as a name can be


def stem_of(table: str) -> str:
    """What the output of a table is called, before its ending.

    >>> stem_of("train.v2.parquet"), stem_of("logs/part-*.csv"), stem_of("*")
    ('train', 'part', 'model')

    Args:
        table: its name.
    """
    first = Path(table.rstrip("/*")).name.split("*")[0].rstrip("-_.")
    return first.split(".")[0] or "model"


@contextmanager
def locked(path: Path, busy: Callable[[], object]) -> Iterator[None]:
    """Hold the lock that the file `path` is. The system takes it from a process that is killed.

    Args:
        path: is made, and gone afterwards.
        busy: is called where somebody else holds it: it raises, or returns, and then the lock is waited for.
    """
    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        busy()
        lock.acquire()
    try:
        yield
    finally:
        # Who waits has the file open already. Who comes later makes another, and meets at most one that still waits.
        with suppress(OSError):
            path.unlink()
        lock.release()


@contextmanager
def temporary_folder(place: Path) -> Iterator[Path]:
    """A hidden folder beside `place`, to make in it what will be moved there; it is gone afterwards.

    Those that killed processes left for the same place are swept first. A lock inside tells who is alive, since ids of
    processes mean nothing to another container on the same disk.

    Args:
        place: lies in a folder that exists.
    """
    sweep(place.parent, place.name)
    made, lock = _made_and_locked(place)
    try:
        yield made
    finally:
        lock.release()
        shutil.rmtree(made, ignore_errors=True)  # what stays is swept by the next
    sweep(place.parent, place.name)


def _made_and_locked(place: Path) -> tuple[Path, FileLock]:
    """Another process may take the lock first, take the folder for one that was left, and sweep it: then one more."""
    while True:
        made = Path(tempfile.mkdtemp(prefix=f".writing-{place.name[:_LETTERS]}-", dir=place.parent))
        lock = FileLock(made / _LOCK)
        try:
            lock.acquire()
        except FileNotFoundError:
            continue
        except BaseException:  # a full disk, or Ctrl-C: what was made goes too
            shutil.rmtree(made, ignore_errors=True)
            raise
        if (made / _LOCK).exists():
            return made, lock
        lock.release()


def sweep(folder: Path, name: str | None = None) -> None:
    """Remove the temporary folders that killed processes left in a folder.

    Args:
        folder: where to look.
        name: only those for the place of this name.
    """
    # Eight letters are drawn by `mkdtemp`.
    for left in folder.glob(".writing-*" if name is None else f".writing-{glob.escape(name[:_LETTERS])}-????????"):
        with suppress(OSError):  # another process sweeps it too
            _remove(left, left.parent / left.name.removeprefix(".writing-")[:-9])


def _remove(left: Path, place: Path) -> None:
    if (left / REPLACED).exists() and not os.path.lexists(place):
        return  # killed between two renames: this is the only copy
    if not (left / _LOCK).exists():
        # Of an older masknet, or just being made.
        if time.time() - left.stat().st_mtime > _UNLOCKED_SECONDS:
            shutil.rmtree(left, ignore_errors=True)
        return
    lock = FileLock(left / _LOCK)
    with suppress(Timeout):  # its process is alive
        lock.acquire(blocking=False)
        shutil.rmtree(left, ignore_errors=True)
        lock.release()
