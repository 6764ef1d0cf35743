"""Two labels of census-income by one network, beside one network a label: what does sharing cost or give?

    python benchmarks/two_labels.py FOLDER --out benchmarks/results/two_labels.json

FOLDER holds census-income's train.parquet and valid.parquet. A third of the training rows, drawn by seed 0, lose their
label `never_married`; `marital_status`, which tells it, is left out. A run of that label alone trains on the rows that
keep it. Every run has the defaults but for `--members 1`.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from machine import commit, hardware
from masknet.cli import main as masknet

LABELS = ("label", "never_married")
MODELS = ("parallel-masknet", "serial-masknet")


def train(
    data: Path, valid: Path, folder: Path, model: str, labels: tuple[str, ...], more: list[str]
) -> dict[str, Any]:
    """The metrics of each label on the validation rows."""
    ignored = ["marital_status", *(name for name in LABELS if name not in labels)]
    flags = [*(f"--label={name}" for name in labels), *(f"--ignore={name}" for name in ignored)]
    flags += ["--model", model, "--members", "1", "--overwrite", "--json", *more]
    flags += ["--valid", str(valid), "--out", str(folder / "two.masknet"), "--cache-dir", str(folder / "cache")]
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
        masknet(["train", str(data), *flags])
    result = json.loads(said.getvalue())
    tasks = result.get("tasks") or {labels[0]: {"metrics": result["metrics"], "rows": result["rows"]}}
    return {"seconds": result["training"]["seconds"], "parameters": result["model"]["parameters"], "tasks": tasks}


def measure(source: Path, folder: Path, seeds: int, epochs: int | None) -> list[dict[str, Any]]:
    rows = pl.read_parquet(source / "train.parquet")
    lost = np.random.default_rng(0).random(len(rows)) < 1 / 3
    both, kept = folder / "both.parquet", folder / "kept.parquet"
    married = pl.when(pl.Series(lost)).then(None).otherwise(pl.col("never_married")).alias("never_married")
    rows.with_columns(married).write_parquet(both)
    rows.filter(pl.Series(~lost)).write_parquet(kept)
    valid, found = source / "valid.parquet", []
    for model in MODELS:
        for seed in range(seeds):
            more = ["--seed", str(seed), *([] if epochs is None else ["--epochs", str(epochs)])]
            runs = (("both", both, LABELS), ("label", both, LABELS[:1]), ("never_married", kept, LABELS[1:]))
            for name, data, labels in runs:
                result = train(data, valid, folder, model, labels, more)
                found.append({"model": model, "seed": seed, "epochs": epochs, "run": name, **result})
                print(json.dumps(found[-1]["tasks"])[:200], flush=True)
    return found


def table(found: list[dict[str, Any]]) -> str:
    def mean(model: str, run: str, label: str, metric: str) -> float:
        own = [r for r in found if (r["model"], r["run"]) == (model, run)]
        return float(np.mean([r["tasks"][label]["metrics"][metric]["value"] for r in own]))

    lines = ["| model | label | AUC, both labels | alone | log loss, both | alone |", "|---|---|---|---|---|---|"]
    for model in MODELS:
        for label in LABELS:
            figures = [mean(model, run, label, metric) for metric in ("auc", "log_loss") for run in ("both", label)]
            lines.append(f"| {model} | {label} | " + " | ".join(f"{figure:.4f}" for figure in figures) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int, help="at most; by default those of the recipe")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(arguments.folder, Path(folder), arguments.seeds, arguments.epochs)
    print(table(found))
    if arguments.out is not None:
        report = {"commit": commit(), "hardware": hardware(2), "runs": found}
        arguments.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
