"""How long a server waits: for the import and the load, and for one row from a dict.

    python benchmarks/one_row.py --out benchmarks/results/one_row.json

The model is of 10 fields, as `masknet train` makes it of a planted log of 20,000 rows. An import is timed in processes
of their own, beside one that imports PyTorch alone; a row in one thread, each row another.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import polars as pl
import torch

import masknet
from machine import commit, hardware
from masknet.config import RunConfig
from masknet.datasets.planted import planted_log
from masknet.progress import LogProgress
from masknet.table import open_table
from masknet.train import fit

TORCH = "import torch"
LOAD = "from masknet import load; load({path!r})"


def seconds_of(program: str) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", program], check=True)
    return time.perf_counter() - started


def saved(folder: Path, members: int) -> Path:
    log, _ = planted_log(20_000, seed=0)
    log = log.drop("timestamp").with_columns(
        *(pl.col(name).alias(f"{name}_{i}") for i in (1, 2) for name in ("user", "site"))
    )
    config = RunConfig(label="click", members=members, epochs=1, cache_dir=str(folder / "cache"), threads=1)
    trained = fit(config, open_table(log), None, LogProgress())
    path = folder / f"{members}.masknet"
    trained.save(path)
    log.drop("click").head(2000).write_parquet(folder / "rows.parquet")
    return path


def measure(repeats: int) -> dict[str, Any]:
    torch.set_num_threads(1)
    found: dict[str, Any] = {"load": [], "row_ms": {}}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for members in (1, 4):
            path = saved(folder, members)
            model = masknet.load(path)
            rows = pl.read_parquet(folder / "rows.parquet").to_dicts()
            for row in rows[:100]:
                model.predict_proba([row])
            times = []
            for row in rows:
                started = time.perf_counter()
                model.predict_proba([row])
                times.append(1000 * (time.perf_counter() - started))
            cuts = statistics.quantiles(times, n=100)
            found["row_ms"][members] = {"fields": len(rows[0]), "median": cuts[49], "p95": cuts[94], "p99": cuts[98]}
            print(members, found["row_ms"][members], flush=True)
        for _ in range(repeats):
            found["load"].append(
                {"torch": seconds_of(TORCH), "load": seconds_of(LOAD.format(path=str(folder / "1.masknet")))}
            )
            print(found["load"][-1], flush=True)
    found["beyond_torch_s"] = statistics.median(run["load"] - run["torch"] for run in found["load"])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args()
    found = measure(options.repeats)
    print(f"import and load beyond torch: {found['beyond_torch_s']:.2f} s (median of {options.repeats})")
    if options.out is not None:
        report = {"commit": commit(), "hardware": hardware(1), **found}
        options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
