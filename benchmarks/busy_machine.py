"""How a run's threads wait for each other: what that costs on an idle machine, and on one that others use too.

    python benchmarks/busy_machine.py --out benchmarks/results/busy_machine.json

Each run is a process of its own that trains one member for an epoch. `as installed` sets nothing: masknet then lets
threads wait briefly and then sleep. `passive` sleeps at once; `torch's own` is what PyTorch's OpenMP does by itself:
it waits actively for a while, and `active` for as long as it takes; `one thread` needs no waiting. Beside the busy runs
two processes only count. The ways take turns, and the medians of their turns are told, and put into docs/serving.md.
Equal numbers of threads must give equal weights.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cells import with_table
from machine import commit, hardware
from masknet import _WAITING
from masknet.datasets.planted import planted_log

PAGE = Path(__file__).parent.parent / "docs" / "serving.md"
WAYS: dict[str, tuple[int, dict[str, str]]] = {
    "one thread": (1, {}),
    "as installed": (0, {}),
    "passive": (0, {"OMP_WAIT_POLICY": "passive"}),
    "torch's own": (0, {"GOMP_SPINCOUNT": "300000"}),  # GNU's default, said so that masknet leaves it alone
    "active": (0, {"OMP_WAIT_POLICY": "active"}),
}
MASKNET = "from masknet.cli import main; main()"
LOADS = {"idle": 0, "two busy loops": 2}


@contextmanager
def loops(count: int) -> Iterator[None]:
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def train(data: Path, folder: Path, threads: int, said: dict[str, str]) -> tuple[float, str]:
    """Seconds of the training itself, and the digest of the weights."""
    inherited = {name: value for name, value in os.environ.items() if name not in (*_WAITING, "OMP_NUM_THREADS")}
    command = [sys.executable, "-c", MASKNET, "train", str(data), "--label=click", "--members=1", "--epochs=1"]
    command += [f"--out={folder / 'busy.masknet'}", f"--cache-dir={folder / 'cache'}", "--overwrite", "--json"]
    command += [f"--threads={threads}"] if threads else []
    ran = subprocess.run(command, env=inherited | said, capture_output=True, text=True, check=True)
    weights = (folder / "busy.masknet" / "weights.safetensors").read_bytes()
    return json.loads(ran.stdout)["training"]["seconds"], hashlib.sha256(weights).hexdigest()[:16]


def measure(rows: int, repeats: int) -> list[dict[str, Any]]:
    found = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        log, _ = planted_log(rows, seed=0)
        log.drop("timestamp").write_parquet(folder / "log.parquet")
        train(folder / "log.parquet", folder, 1, {})  # encodes
        for load, count in LOADS.items():
            for repeat in range(repeats):
                for way, (threads, said) in WAYS.items():
                    with loops(count):
                        time.sleep(0.5)
                        seconds, digest = train(folder / "log.parquet", folder, threads, said)
                    run = {"load": load, "way": way, "repeat": repeat, "seconds": seconds, "weights": digest}
                    found.append(run)
                    print(run, flush=True)
    return found


def table(runs: list[dict[str, Any]]) -> str:
    lines = [f"| | {' | '.join(LOADS)} |", "|---" * (1 + len(LOADS)) + "|"]
    for way in WAYS:
        cells = []
        for load in LOADS:
            own = [run["seconds"] for run in runs if (run["load"], run["way"]) == (load, way)]
            cells.append(f"{statistics.median(own):.1f} s ({min(own):.1f} to {max(own):.1f})")
        lines.append(f"| {way} | {' | '.join(cells)} |")
    alike = {run["weights"] for run in runs if run["way"] != "one thread"}
    lines.append(f"\nWeights of the ways with all threads: {'equal' if len(alike) == 1 else 'NOT EQUAL'}.")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    runs = measure(options.rows, options.repeats)
    print(table(runs))
    if options.out is not None:
        report = {"commit": commit(), "hardware": hardware(len(os.sched_getaffinity(0))), "runs": runs}
        options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8"), "busy machine", table(runs)), encoding="utf-8")


if __name__ == "__main__":
    main()
