"""Freed memory: what the command line keeps is not faulted in again, and nobody else's process is changed."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from masknet.heap import _SAID

COMMAND = "from masknet.cli import main\ntry: main(['data', 'list'])\nexcept SystemExit: pass"
CALL = "from masknet.heap import keep_freed_memory; keep_freed_memory()"
REPEATS = 20
MEASURE = f"""
import resource
import numpy as np
def made():
    return [np.ones(400_000) for _ in range(3)]  # 9.6 MB in arrays too small for large pages
made()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range({REPEATS}):
    made()
print("faults", resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
PAGES = 9_600_000 // 4096

glibc = pytest.mark.skipif(
    "CS_GNU_LIBC_VERSION" not in getattr(os, "confstr_names", {}), reason="the C library is not glibc"
)


def faults(first: str, **said: str) -> int:
    """How often the system had to give a page to arrays that are made and freed again and again."""
    environment = {name: value for name, value in os.environ.items() if name not in _SAID} | said
    result = subprocess.run(
        [sys.executable, "-c", first + MEASURE], capture_output=True, text=True, check=True, env=environment
    )
    return int(result.stdout.rpartition("faults ")[2])


@glibc
@pytest.mark.parametrize("first", [CALL, COMMAND])
def test_what_was_freed_is_used_again(first: str) -> None:
    assert faults(first) < PAGES


@glibc
def test_a_process_of_others_is_left_as_it_is() -> None:
    assert faults("import masknet; masknet.load") > REPEATS * PAGES / 2


@glibc
def test_what_the_user_said_holds() -> None:
    assert faults(CALL, MALLOC_TRIM_THRESHOLD_="131072") > REPEATS * PAGES / 2


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_elsewhere_nothing_is_done(monkeypatch: pytest.MonkeyPatch, platform: str) -> None:
    from masknet.heap import keep_freed_memory

    monkeypatch.setattr(sys, "platform", platform)
    assert keep_freed_memory() is False
