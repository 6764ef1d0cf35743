"""Every model after one epoch of its defaults on MovieLens-100K: that none is broken, not which is best.

    python benchmarks/models.py DATA --out benchmarks/results/models.json

DATA is a folder with train.parquet, valid.parquet and schema.json (label, extra). One member each, seed 0, one thread.
A run is written as it ends, and one that is there already is not run again.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import polars as pl

from cells import measured
from masknet import load, metrics
from masknet.config import RunConfig
from masknet.models import MODELS
from masknet.progress import LogProgress
from masknet.train import train


class Quiet(LogProgress):
    def note(self, text: str) -> None:
        pass


def one_epoch(data: Path, cache: Path, model: str) -> dict[str, Any]:
    schema = json.loads((data / "schema.json").read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as at:
        config = RunConfig(
            data=data / "train.parquet",
            valid=data / "valid.parquet",
            label=schema["label"],
            ignore=schema["extra"],
            model=model,
            epochs=1,
            members=1,
            threads=1,
            cache_dir=cache,
            out=Path(at, "m.masknet"),
        )
        started = time.perf_counter()
        train(config, Quiet())
        seconds = time.perf_counter() - started
        trained = load(Path(at, "m.masknet"))
        rows = pl.read_parquet(data / "valid.parquet")
        found = metrics.evaluate(rows[schema["label"]].to_numpy(), trained.predict_proba(rows)[:, 1])
        parameters = sum(trained.artifact.manifest.num_parameters.values())
    return {name: found[name].value for name in ("auc", "log_loss")} | {
        "parameters": parameters,
        "seconds": round(seconds, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        cells = [{"model": model} for model in MODELS if model != "latent-cross"]  # these rows have no sequence
        runs = measured(given.out, cells, lambda model: one_epoch(given.data, Path(cache), model))
    for run in runs:
        print(f"{run['model']:20} {run['auc']:.4f} / {run['log_loss']:.4f}")


if __name__ == "__main__":
    main()
