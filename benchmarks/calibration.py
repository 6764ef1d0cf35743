"""Is the mean prediction the click rate? A planted log of few clicks, whose true probabilities are known.

    python benchmarks/calibration.py --out benchmarks/results/calibration.json

Each run trains one member on 200,000 rows with 1.6 % clicks and predicts 50,000 others: the ratio is that of the mean
prediction to the mean of the planted probabilities of those rows. The rule: within 8 % in every seed, and within 4 % in
their mean. A cell that the JSON has already is not run again. The table is put into docs/defaults.md.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from cells import measured, probabilities_of_rate, with_table
from masknet.config import RunConfig
from masknet.datasets.planted import planted_log
from masknet.predict import predict_frame
from masknet.progress import LogProgress
from masknet.table import open_table
from masknet.train import fit

PAGE = Path(__file__).parent.parent / "docs" / "defaults.md"
MODELS = ("lr", "serial-masknet", "parallel-masknet")
NEGATIVE_RATES = (1.0, 0.1)
CLICKS, TRAIN, VALID = 0.016, 200_000, 50_000


def rare_clicks(rows: int, seed: int) -> tuple[pl.DataFrame, np.ndarray]:
    """The planted log with its logits moved down until the clicks are few, and the probabilities that this gives."""
    log, probability = planted_log(rows, seed)
    logit = np.log(probability) - np.log1p(-probability)
    true = probabilities_of_rate(logit, CLICKS)
    clicks = np.random.default_rng([seed, 1]).random(rows) < true
    return log.drop("timestamp").with_columns(click=pl.Series(clicks.astype(np.int8))), true


def ratio(model: str, negative_rate: float, seed: int) -> dict[str, Any]:
    log, true = rare_clicks(TRAIN + VALID, seed)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as cache:
        config = RunConfig(
            label="click",
            model=model,
            members=1,
            seed=seed,
            negative_rate=negative_rate,
            categorical=("user", "ad", "site", "device", "hour", "position"),
            cache_dir=cache,
            threads=1,
        )
        trained = fit(config, open_table(log[:TRAIN]), open_table(log[TRAIN:]), LogProgress())
    mean = float(predict_frame(trained, log[TRAIN:].drop("click")).mean())
    return {
        "ratio": mean / float(true[TRAIN:].mean()),
        "auc": trained.manifest.metrics["auc"]["value"],
        "best_epoch": trained.manifest.training["best_epoch"],
        "seconds": round(time.monotonic() - started, 1),
    }


def table(runs: list[dict[str, Any]]) -> str:
    lines = ["| model | negative rate | ratio in each seed | mean | rule |", "|---|---|---|---|---|"]
    for model in MODELS:
        for rate in NEGATIVE_RATES:
            ratios = [run["ratio"] for run in runs if (run["model"], run["negative_rate"]) == (model, rate)]
            if ratios:
                kept = max(abs(r - 1) for r in ratios) <= 0.08 and abs(np.mean(ratios) - 1) <= 0.04
                each = " ".join(f"{r:.3f}" for r in ratios)
                lines.append(
                    f"| {model} | {rate:g} | {each} | {np.mean(ratios):.3f} | {'kept' if kept else 'BROKEN'} |"
                )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--models", nargs="*", default=MODELS)
    options = parser.parse_args()
    cells = [
        {"model": model, "negative_rate": rate, "seed": seed}
        for seed in range(options.seeds)
        for model in options.models
        for rate in NEGATIVE_RATES
    ]
    runs = measured(options.out, cells, ratio)
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8"), "calibration", table(runs)), encoding="utf-8")
    print(table(runs))


if __name__ == "__main__":
    main()
