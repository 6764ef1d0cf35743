"""A search that is killed at any moment, and the same command again, find what the undisturbed one finds."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from masknet.datasets import planted_log

pytest.importorskip("optuna")

FLAGS = (
    "--label",
    "click",
    "--ignore",
    "timestamp",
    "--model",
    "fm",
    "--trials",
    "5",
    "--epochs",
    "2",
    "--threads",
    "1",
)


def start(folder: Path, out: str) -> subprocess.Popen[bytes]:
    main = "from masknet.cli import main; main()"
    command = [sys.executable, "-c", main, "tune", "log.parquet", *FLAGS, "--out", out]
    environment = os.environ | {"XDG_CACHE_HOME": str(folder / "cache")}
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def begun(file: Path) -> int:
    """How many evaluations of trials are in the file, those of the defaults too."""
    if not file.exists():
        return 0
    connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
    try:
        (count,) = connection.execute("select count(*) from trial_intermediate_values").fetchone()
    except sqlite3.OperationalError:  # it is just being written to
        return 0
    finally:
        connection.close()
    return int(count)


def figures(folder: Path) -> list[Any]:
    found = json.loads((folder / "results.json").read_text())
    trials = [{name: value for name, value in trial.items() if name != "seconds"} for trial in found["trials"]]
    return [trials, *(found[name] for name in ("defaults", "best", "gain", "importance"))]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs a signal that cannot be caught")
def test_kill_9_and_the_same_command_find_what_the_undisturbed_search_finds(tmp_path: Path) -> None:
    planted_log(800, 0)[0].write_parquet(tmp_path / "log.parquet")
    assert start(tmp_path, "whole").wait(timeout=300) == 0
    for evaluations in (9, 19):  # in the first trial after the defaults, which have 8, and in one after it
        running = start(tmp_path, "cut")
        deadline = time.monotonic() + 300
        while begun(tmp_path / "cut" / "trials.sqlite") < evaluations and time.monotonic() < deadline:
            assert running.poll() is None
            time.sleep(0.01)
        running.send_signal(signal.SIGKILL)
        running.wait()
    assert not (tmp_path / "cut" / "results.json").exists()
    assert start(tmp_path, "cut").wait(timeout=300) == 0
    assert figures(tmp_path / "cut") == figures(tmp_path / "whole")
    connection = sqlite3.connect(tmp_path / "cut" / "trials.sqlite")
    states = [state for (state,) in connection.execute("select state from trials")]
    connection.close()
    assert (states.count("FAIL"), states.count("RUNNING")) == (2, 0)
    assert [file.name for file in tmp_path.rglob("*") if "writing" in file.name] == []
