"""A comparison that is killed at any moment, and the same command again, end with the same figures."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from masknet.datasets import planted_log

FLAGS = (
    "--label",
    "click",
    "--ignore",
    "timestamp",
    "--models",
    "lr,fm",
    "--seeds",
    "2",
    "--epochs",
    "1",
    "--threads",
    "1",
)


def start(folder: Path, out: str) -> subprocess.Popen[bytes]:
    command = [
        sys.executable,
        "-c",
        "from masknet.cli import main; main()",
        "compare",
        "log.parquet",
        *FLAGS,
        "--out",
        out,
    ]
    environment = os.environ | {"XDG_CACHE_HOME": str(folder / "cache")}
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def figures(folder: Path) -> list[Any]:
    models = json.loads((folder / "results.json").read_text())["models"]
    return [[model[name] for name in ("model", "status", "metrics", "difference", "aucs", "curve")] for model in models]


def finished(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.glob("runs/*.json") if json.loads(file.read_text())["status"] == "ok")


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs a signal that cannot be caught")
def test_kill_9_and_the_same_command_give_the_figures_of_the_undisturbed_run(tmp_path: Path) -> None:
    planted_log(1000, 0)[0].write_parquet(tmp_path / "log.parquet")
    assert start(tmp_path, "whole").wait(timeout=300) == 0
    for at in (1, 3):
        running = start(tmp_path, "cut")
        deadline = time.monotonic() + 300
        while len(finished(tmp_path / "cut")) < at and running.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        running.send_signal(signal.SIGKILL)
        running.wait()
    kept = {name: (tmp_path / "cut" / "runs" / name).read_bytes() for name in finished(tmp_path / "cut")}
    assert len(kept) >= 3
    assert start(tmp_path, "cut").wait(timeout=300) == 0
    assert figures(tmp_path / "cut") == figures(tmp_path / "whole")
    for name, record in kept.items():  # what was finished was not done again
        assert (tmp_path / "cut" / "runs" / name).read_bytes() == record
    left = [file.name for file in (tmp_path / "cut").rglob("*") if "writing" in file.name]
    assert left == []
