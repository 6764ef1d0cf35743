"""Each model with its published configuration on Frappe, beside the figures of the public leaderboard.

    python benchmarks/frappe.py run DATA --seeds 0 1 2
    python benchmarks/frappe.py table      # puts the figures into docs/models.md

DATA is a folder with train.parquet and valid.parquet (label, and Frappe's ten fields), where valid is Frappe_x1's and
train is rebuilt from the raw log. A configuration is the leaderboard's (reczoo/BARS): batches of 4,096, Adam at 1e-3, a
tenth of it after an epoch that is no better, and after two the end; its L2 on the embeddings; no average of the
weights, no values shown as unseen. Better is there the AUC less the log loss: here the AUC, and of models without
layers, whose log loss falls for long after their AUC has wavered, the log loss. Those keep their rate, and wait for
five epochs: a tenth of it after one that wavers ended a seed of `fm` in epoch 33, at .936. The public figures are those
of Frappe_x1's test rows, ours of its validation rows, which also chose the epoch, as they did there. A run that is
there already is not made again.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

from cells import measured, trained, with_table
from masknet.config import RunConfig

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "frappe.json"
PAGE = ROOT / "docs" / "models.md"

WITHOUT_LAYERS = ("lr", "fm", "ffm", "afm")
LAYERS: dict[str, Any] = {"embedding_dim": 10, "hidden_dims": [400, 400, 400], "norm": "batch"}

PUBLISHED: dict[str, tuple[float, dict[str, Any], float, float]] = {
    "lr": (1e-5, {}, 0.935584, 0.307643),
    "fm": (5e-6, {"embedding_dim": 10}, 0.967108, 0.206515),
    "afm": (1e-5, {"attention_dim": 128, "attention_dropout": 0.1, "dropout": 0.1}, 0.969733, 0.226424),
    "ffm": (1e-6, {"embedding_dim": 10}, 0.97862, 0.186032),
    "autoint": (
        0.05,
        {"attention_dim": 128, "attention_layers": 6, "num_heads": 4, "project_residual": False},
        0.983085,
        0.163684,
    ),
    "fibinet": (0.05, LAYERS | {"reduction": 2, "bilinear": "all", "dropout": 0.3}, 0.983182, 0.194074),
    "dnn": (0.05, LAYERS | {"dropout": 0.2}, 0.983323, 0.162229),
    "parallel-masknet": (
        0.1,
        {"block_dims": [50, 50, 50], "reduction": 2, "max_mask_weights": None, "top_dims": [400, 400, 400]}
        | {"embedding_norm": False, "dropout": 0.1},
        0.983683,
        0.16958,
    ),
    "dcn": (0.05, LAYERS | {"cross_layers": 3, "dropout": 0.2}, 0.983907, 0.15266),
    "wide-deep": (0.1, LAYERS | {"dropout": 0.6}, 0.984124, 0.148974),
    "deepfm": (0.05, LAYERS | {"dropout": 0.2}, 0.984243, 0.148174),
    "dcnv2": (0.05, LAYERS | {"cross_layers": 4, "dropout": 0.4}, 0.984478, 0.149149),
    "xdeepfm": (0.1, LAYERS | {"cin_dims": [64], "cin_bias": True, "dropout": 0.2}, 0.984507, 0.146604),
    "finalmlp": (
        0.05,
        {"first_dims": [400], "second_dims": [100], "gate_dim": 400, "num_heads": 5, "norm": "batch", "dropout": 0.4}
        | {"first_context": ["user"], "second_context": ["item"]},
        0.986072,
        0.148415,
    ),
}
"""By model its L2, its settings, and the AUC and log loss that were published, in the order of that AUC."""


def measure(data: Path, cache: Path, model: str, seed: int) -> dict[str, Any]:
    l2, settings, _, _ = PUBLISHED[model]
    return trained(
        RunConfig(
            data=data / "train.parquet",
            valid=data / "valid.parquet",
            label="label",
            categorical=("user", "item"),
            min_count=1,
            unseen_rate=0.0,
            model=model,
            set=settings,
            members=1,
            seed=seed,
            epochs=100,
            evaluations=1,
            patience=5 if model in WITHOUT_LAYERS else 2,
            monitor="log_loss" if model in WITHOUT_LAYERS else "auc",
            schedule="constant" if model in WITHOUT_LAYERS else "plateau",
            batch_size=4096,
            learning_rate=1e-3,
            embedding_l2=l2,
            average_weights=0.0,
            threads=1,
            cache_dir=cache,
        )
    )


def table() -> str:
    runs = json.loads(RESULTS.read_text(encoding="utf-8"))["runs"]
    lines = ["| model | published, AUC / log loss | ours | spread of the AUC | seeds | of the published |\n"]
    lines.append("|---|---|---|---|---|---|\n")
    for model, (_, _, auc, log_loss) in PUBLISHED.items():
        own = [run for run in runs if run["model"] == model]
        if own:
            aucs, losses = [run["auc"] for run in own], [run["log_loss"] for run in own]
            mean = statistics.fmean(aucs)
            lines.append(
                f"| `{model}` | {auc:.4f} / {log_loss:.4f} | {mean:.4f} / {statistics.fmean(losses):.4f} "
                f"| {max(aucs) - min(aucs):.4f} | {len(own)} | {mean - auc:+.4f} |\n"
            )
    return "".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(required=True, dest="verb")
    run = verbs.add_parser("run")
    run.add_argument("data", type=Path)
    run.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    run.add_argument("--models", nargs="*", default=list(PUBLISHED), choices=list(PUBLISHED))
    verbs.add_parser("table")
    options = parser.parse_args()
    if options.verb == "table":
        PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8"), "frappe", table()), encoding="utf-8")
        return
    cells = [{"model": model, "seed": seed} for seed in options.seeds for model in options.models]
    with tempfile.TemporaryDirectory() as cache:
        measured(RESULTS, cells, lambda **cell: measure(options.data, Path(cache), **cell))


if __name__ == "__main__":
    main()
