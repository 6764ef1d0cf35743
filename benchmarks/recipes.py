"""How each model is best trained where nothing is said: at most four candidates a model, on two public logs.

    python benchmarks/recipes.py run --data movielens-100k=FOLDER --data nycflights13=FOLDER
    python benchmarks/recipes.py table      # puts the figures into docs/models.md

A folder has train.parquet, valid.parquet and schema.json (label, extra). Of a larger log 80,000 training rows are
drawn, by a fixed seed. One member each, seed 0, one thread, at most ten epochs. What is told is measured on the
validation rows, which also stop the training: candidates are compared with each other, and with nothing else. A run
that is there already is not made again.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import polars as pl

from cells import measured, trained, with_table
from masknet.config import RunConfig
from masknet.models import MODELS

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "recipes.json"
PAGE = ROOT / "docs" / "models.md"
ROWS = 80_000

FACTORS: dict[str, dict[str, Any]] = {
    "L2 .03": {"embedding_l2": 0.03},
    "L2 1e-3": {"embedding_l2": 1e-3},
    "L2 1e-4": {"embedding_l2": 1e-4},
    "L2 1e-5": {"embedding_l2": 1e-5},
}
LAYERS: dict[str, dict[str, Any]] = {
    "batch norm, L2 .03": {"embedding_l2": 0.03, "set": {"norm": "batch"}},
    "batch norm, L2 1e-3": {"embedding_l2": 1e-3, "set": {"norm": "batch"}},
    "batch norm, L2 1e-4, dropout .3": {"embedding_l2": 1e-4, "set": {"norm": "batch", "dropout": 0.3}},
    "layer norm, L2 .03": {"embedding_l2": 0.03, "set": {"norm": "layer"}},
}
NORMS = {name: candidate for name, candidate in LAYERS.items() if name.endswith("L2 .03")}
"""Weaker penalties lost far more on two networks than the norms differ: of the others only the norms are tried."""

CANDIDATES: dict[str, dict[str, dict[str, Any]]] = {
    "poly2": {
        "no L2": {"embedding_l2": 0.0},
        "L2 1e-5": {"embedding_l2": 1e-5},
        "L2 1e-4": {"embedding_l2": 1e-4},
        "rate 1e-3": {"learning_rate": 1e-3},
    },
    **dict.fromkeys(("fm", "ffm", "mf", "afm"), FACTORS),
    **dict.fromkeys(("dnn", "deepfm"), LAYERS),
    **dict.fromkeys(("fnn", "wide-deep", "xdeepfm", "dcn", "dcnv2", "autoint", "fibinet", "finalmlp"), NORMS),
    "mmoe": {
        "no norm, L2 .03": {"embedding_l2": 0.03, "set": {"norm": None}},
        "layer norm, L2 .03": {"embedding_l2": 0.03, "set": {"norm": "layer"}},
    },
    "adpredictor": {f"prior variance {v}": {"set": {"prior_variance": v}} for v in (1.0, 0.3, 0.1, 0.03)},
}


def drawn(folder: Path, at: Path) -> Path:
    """The training rows, of many a part."""
    rows = pl.read_parquet(folder / "train.parquet")
    file = at / f"{folder.name}.parquet"
    rows.sample(min(len(rows), ROWS), seed=0).write_parquet(file)
    return file


def measure(folders: dict[str, Path], cache: Path, data: str, model: str, candidate: str) -> dict[str, Any]:
    schema = json.loads((folders[data] / "schema.json").read_text(encoding="utf-8"))
    return trained(
        RunConfig(
            data=drawn(folders[data], cache),
            valid=folders[data] / "valid.parquet",
            label=schema["label"],
            ignore=schema["extra"],
            model=model,
            members=1,
            threads=1,
            cache_dir=cache,
            **({} if model == "adpredictor" else {"epochs": 10}),
            **CANDIDATES[model][candidate],
        )
    )


def table() -> str:
    runs = json.loads(RESULTS.read_text(encoding="utf-8"))["runs"]
    lines = [
        "| model | candidate | MovieLens-100K, AUC / log loss | nycflights13, AUC / log loss |\n",
        "|---|---|---|---|\n",
    ]
    for model in CANDIDATES:
        for candidate in CANDIDATES[model]:
            cells = []
            for data in ("movielens-100k", "nycflights13"):
                own = [r for r in runs if (r["model"], r["candidate"], r["data"]) == (model, candidate, data)]
                cells.append(f"{own[0]['auc']:.4f} / {own[0]['log_loss']:.4f}" if own else "")
            lines.append(f"| `{model}` | {candidate} | {' | '.join(cells)} |\n")
    return "".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(required=True, dest="verb")
    run = verbs.add_parser("run")
    run.add_argument("--data", action="append", required=True, metavar="NAME=FOLDER")
    run.add_argument("--models", nargs="*", default=list(CANDIDATES), choices=list(MODELS))
    verbs.add_parser("table")
    options = parser.parse_args()
    if options.verb == "table":
        PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8"), "recipes", table()), encoding="utf-8")
        return
    folders = {name: Path(folder) for name, _, folder in (pair.partition("=") for pair in options.data)}
    cells = [
        {"data": data, "model": model, "candidate": candidate}
        for model in options.models
        for candidate in CANDIDATES[model]
        for data in folders
    ]
    with tempfile.TemporaryDirectory() as cache:
        measured(RESULTS, cells, lambda **cell: measure(folders, Path(cache), **cell))


if __name__ == "__main__":
    main()
