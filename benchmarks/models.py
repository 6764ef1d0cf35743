"""Every model after one epoch of its defaults on MovieLens-100K: that none is broken, not which is best.

    python benchmarks/models.py run DATA    # one epoch of each, into benchmarks/results/models.json
    python benchmarks/models.py table       # puts the table of the registry, with these figures, into docs/models.md

DATA is a folder with train.parquet, valid.parquet and schema.json (label, extra). One member each, seed 0, one thread.
A run is written as it ends, and one that is there already is not run again.
"""

from __future__ import annotations

import argparse
import inspect
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import polars as pl
import torch

from cells import measured, with_table
from masknet import load, metrics
from masknet.config import RunConfig
from masknet.gbdt import TREES
from masknet.models import MODELS, build_network
from masknet.progress import LogProgress
from masknet.space import FeatureSpace, FieldSpace
from masknet.train import train
from masknet.train.defaults import network_defaults

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "models.json"
PAGE = ROOT / "docs" / "models.md"
FRAPPE = FeatureSpace(5_389, tuple(FieldSpace(name) for name in "abcdefghij"))


def one_epoch(data: Path, cache: Path, model: str) -> dict[str, Any]:
    """One epoch of a network; trees have none, and grow to their end."""
    of_networks = {} if model in TREES else {"epochs": 1, "members": 1}
    schema = json.loads((data / "schema.json").read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as at:
        config = RunConfig(
            data=data / "train.parquet",
            valid=data / "valid.parquet",
            label=schema["label"],
            ignore=schema["extra"],
            model=model,
            threads=1,
            **of_networks,
            cache_dir=cache,
            out=Path(at, "m.masknet"),
        )
        started = time.perf_counter()
        train(config, LogProgress())
        seconds = time.perf_counter() - started
        trained = load(Path(at, "m.masknet"))
        rows = pl.read_parquet(data / "valid.parquet")
        found = metrics.evaluate(rows[schema["label"]].to_numpy(), trained.predict_proba(rows)[:, 1])
        parameters = sum(trained.artifact.manifest.num_parameters.values())
    return {name: found[name].value for name in ("auc", "log_loss")} | {
        "parameters": parameters,
        "seconds": round(seconds, 1),
    }


# The table of docs/models.md


def parameters(model: str) -> str:
    if model in TREES:
        return "its leaves"
    try:
        with torch.device("meta"):  # the shapes alone
            network = build_network(model, FRAPPE, network_defaults(model))
    except ValueError:
        return "needs a sequence"
    return f"{sum(parameter.numel() for parameter in network.parameters()):,}"


def table() -> str:
    runs = json.loads(RESULTS.read_text(encoding="utf-8"))["runs"]
    after_an_epoch = {run["model"]: f"{run['auc']:.4f}" for run in runs}
    rows = [
        "| `--model` | from | what it is | parameters on Frappe | exports | one epoch |",
        "|---|---|---|---|---|---|",
    ]
    for name, model in {**MODELS, **TREES}.items():
        summary = inspect.getdoc(model).splitlines()[0].removesuffix(".").replace("|", "\\|")
        exports = "LightGBM's text" if name in TREES else "yes"  # of a network the contract asks it
        told = (f"`{name}`", model.paper, summary, parameters(name), exports, after_an_epoch.get(name, ""))
        rows.append(f"| {' | '.join(told)} |")
    return "\n".join(rows) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("run").add_argument("data", type=Path)
    verbs.add_parser("table")
    given = parser.parse_args()
    if given.verb == "table":
        PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8"), "models", table()), encoding="utf-8")
        return
    with tempfile.TemporaryDirectory() as cache:
        names = [*MODELS, *TREES]
        cells = [{"model": model} for model in names if model != "latent-cross"]  # these rows have no sequence
        measured(RESULTS, cells, lambda model: one_epoch(given.data, Path(cache), model))


if __name__ == "__main__":
    main()
