"""Rows a second of encoding, training, evaluation and prediction, as JSON with hardware and commit.

    python benchmarks/throughput.py --rows 200000 --repeats 3 --out benchmarks/results/throughput.json

Data is the planted log of `masknet.datasets`: 6 categorical and 2 numeric fields. Each figure is the median of the
repeats; the smallest and largest stand beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

import masknet
from masknet.artifact import load_artifact
from masknet.config import RunConfig
from masknet.datasets import planted_log
from masknet.encode import prepare
from masknet.evaluate import evaluate_table
from masknet.predict import predict_file
from masknet.progress import LogProgress
from masknet.table import open_table
from masknet.train import fit
from masknet.train.plan import encoding_plan


def measure(rows: int, repeats: int, work: Callable[[], object]) -> dict[str, float]:
    rates = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        rates.append(rows / (time.perf_counter() - started))
    return {"median": statistics.median(rates), "low": min(rates), "high": max(rates)}


def hardware(threads: int) -> dict[str, Any]:
    model = "unknown"
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = lines[0].partition(":")[2].strip() if lines else model
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "threads": threads,
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def commit() -> str:
    found = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return found.stdout.strip() or "unknown"


def run(folder: Path, rows: int, repeats: int, threads: int, device: str) -> dict[str, Any]:
    log, _ = planted_log(rows, 0)
    parquet, csv, valid = folder / "log.parquet", folder / "log.csv", folder / "valid.parquet"
    log.write_parquet(parquet)
    log.write_csv(csv)
    log.head(min(rows, 1000)).write_parquet(valid)
    config = RunConfig(
        label="click",
        ignore=("timestamp",),
        cache_dir=str(folder / "cache"),
        epochs=1,
        batch_size=4096,
        threads=threads,
        device=device,
    )
    progress = LogProgress()
    results: dict[str, Any] = {}
    for name, path in (("encode Parquet", parquet), ("encode CSV", csv)):
        caches = iter(range(repeats))

        def encode(path: Path = path, name: str = name, caches: Any = caches) -> None:
            cache = folder / f"{name}-{next(caches)}"
            prepare(open_table(path), open_table(valid), encoding_plan(config), progress, cache=cache)

        results[name] = measure(rows, repeats, encode)
    fitted = fit(config, open_table(parquet), open_table(valid), progress)  # warm: the encoded rows are cached now
    epochs = [
        fit(config, open_table(parquet), open_table(valid), progress).history[0]["train_seconds"]
        for _ in range(repeats)
    ]
    rates = [rows / seconds for seconds in epochs]
    results["train, parallel 3 x 400"] = {"median": statistics.median(rates), "low": min(rates), "high": max(rates)}
    fitted.save(folder / "model.masknet")
    artifact = load_artifact(folder / "model.masknet", device=device)
    table = open_table(parquet)
    results["evaluate Parquet"] = measure(rows, repeats, lambda: evaluate_table(artifact, table, progress=progress))
    results["predict Parquet to Parquet"] = measure(
        rows,
        repeats,
        lambda: predict_file(artifact, table, folder / "scores.parquet", overwrite=True, progress=progress),
    )
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description="Rows a second of encoding, training, evaluation and prediction.")
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "throughput.json")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    with tempfile.TemporaryDirectory() as folder:
        results = run(Path(folder), given.rows, given.repeats, given.threads, given.device)
    report = {
        "benchmark": "throughput",
        "unit": "rows a second",
        "rows": given.rows,
        "repeats": given.repeats,
        "masknet": masknet.__version__,
        "commit": commit(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "hardware": hardware(given.threads),
        "results": results,
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(report, indent=1) + "\n")
    for name, rate in results.items():
        print(f"{name:28} {rate['median']:>12,.0f} rows/s  ({rate['low']:,.0f} to {rate['high']:,.0f})")
    print(f"written to {given.out}")


if __name__ == "__main__":
    main()
