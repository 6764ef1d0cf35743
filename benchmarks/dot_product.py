"""Does a feed-forward network learn a dot product? Planted clicks that nothing but one decides, and more and more rows.

    python benchmarks/dot_product.py run      # into benchmarks/results/dot_product.json
    python benchmarks/dot_product.py chart    # docs/dot-product.svg

After Rendle et al., "Neural collaborative filtering vs. matrix factorization revisited" (RecSys 2020), section 4. 1,000
users and 1,000 items have vectors of 16 normal entries, and a click has the log-odds .75 <p_u, q_i>. Each model has
vectors of 16 entries too, and trains one member, seed 0, at most 40 epochs, with two learning rates and two strengths
of L2 on the vectors, of which the validation rows choose for each number of rows; the AUC is that of 50,000 other rows.
A run that is there already is not made again.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from cells import measured
from masknet import metrics
from masknet.config import RunConfig
from masknet.predict import predict_frame
from masknet.progress import LogProgress
from masknet.table import open_table
from masknet.train import fit

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "dot_product.json"
CHART = ROOT / "docs" / "dot-product.svg"
SIZES = (25_000, 50_000, 100_000, 200_000)
RATES, L2 = (1e-3, 1e-2), (1e-3, 1e-5)
DIM, USERS, ITEMS, OTHERS = 16, 1000, 1000, 50_000
MODELS: dict[str, dict[str, Any]] = {
    "mf": {"embedding_dim": DIM},
    "dnn": {"embedding_dim": DIM, "hidden_dims": [128, 64]},
    "serial-masknet": {"embedding_dim": DIM},
}
COLORS = {"mf": "#1b6ca8", "dnn": "#c2571a", "serial-masknet": "#2a7f3f"}


def planted(rows: int) -> tuple[pl.DataFrame, np.ndarray]:
    """Rows of pairs drawn at random, and the probability of a click in each."""
    draws = np.random.default_rng(0)
    users, items = draws.normal(size=(USERS, DIM)), draws.normal(size=(ITEMS, DIM))
    user, item = draws.integers(0, USERS, rows), draws.integers(0, ITEMS, rows)
    truth = 1 / (1 + np.exp(-0.75 * (users[user] * items[item]).sum(axis=1)))
    frame = pl.DataFrame(
        {
            "click": (draws.random(rows) < truth).astype(np.int8),
            "user": [f"u{i}" for i in user],
            "item": [f"i{i}" for i in item],
        }
    )
    return frame, truth


def measure(model: str, rows: int, rate: float, l2: float) -> dict[str, Any]:
    frame, truth = planted(2 * OTHERS + max(SIZES))
    test, valid, train = frame[:OTHERS], frame[OTHERS : 2 * OTHERS], frame[2 * OTHERS :][:rows]
    with tempfile.TemporaryDirectory() as cache:
        config = RunConfig(
            label="click",
            model=model,
            set=MODELS[model],
            members=1,
            epochs=40,
            learning_rate=rate,
            embedding_l2=l2,
            threads=1,
            cache_dir=cache,
        )
        started = time.perf_counter()
        trained = fit(config, open_table(train), open_table(valid), LogProgress())
        seconds = time.perf_counter() - started
    clicks = test["click"].to_numpy()
    return {
        "valid_auc": trained.manifest.metrics["auc"]["value"],
        "auc": metrics.evaluate(clicks, predict_frame(trained, test.drop("click")))["auc"].value,
        "auc_of_the_truth": metrics.evaluate(clicks, truth[:OTHERS])["auc"].value,
        "best_epoch": trained.manifest.training["best_epoch"],
        "seconds": round(seconds, 1),
    }


def chosen(runs: list[dict[str, Any]], model: str) -> list[dict[str, Any]]:
    """By number of rows the run that the validation rows like best."""
    own = [run for run in runs if run["model"] == model]
    return [
        max((run for run in own if run["rows"] == rows), key=lambda run: run["valid_auc"])
        for rows in sorted({run["rows"] for run in own})
    ]


def chart(runs: list[dict[str, Any]]) -> str:
    """Lines of the AUC over the rows, on a scale that doubles."""
    left, top, width, height = 60, 20, 520, 280
    bound = float(runs[0]["auc_of_the_truth"])
    low, high = 0.5, math.ceil(20 * bound) / 20

    def x(rows: int) -> float:
        return left + width * math.log(rows / SIZES[0]) / math.log(SIZES[-1] / SIZES[0])

    def y(auc: float) -> float:
        return top + height * (high - auc) / (high - low)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 130} {top + height + 60}" '
        f'font-family="sans-serif" font-size="13">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for step in range(round((high - low) / 0.1) + 1):
        auc = low + 0.1 * step
        parts.append(f'<line x1="{left}" x2="{left + width}" y1="{y(auc):.1f}" y2="{y(auc):.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{left - 8}" y="{y(auc) + 4:.1f}" text-anchor="end">{auc:.1f}</text>')
    parts += [f'<text x="{x(n):.1f}" y="{top + height + 20}" text-anchor="middle">{n:,}</text>' for n in SIZES]
    parts.append(f'<text x="{left + width / 2}" y="{top + height + 45}" text-anchor="middle">training rows</text>')
    parts.append(f'<text x="{left - 45}" y="{top - 6}">AUC</text>')
    parts.append(
        f'<line x1="{left}" x2="{left + width}" y1="{y(bound):.1f}" y2="{y(bound):.1f}" stroke="#888" '
        f'stroke-dasharray="5 4"/><text x="{left + width + 8}" y="{y(bound) + 4:.1f}" fill="#666">the truth</text>'
    )
    named = -math.inf  # how far down the last name stands
    for model, color in sorted(COLORS.items(), key=lambda item: -chosen(runs, item[0])[-1]["auc"]):
        points = [(x(run["rows"]), y(run["auc"])) for run in chosen(runs, model)]
        line = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="2.5"/>')
        parts += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3.5" fill="{color}"/>' for a, b in points]
        named = max(points[-1][1] + 4, named + 15)
        parts.append(f'<text x="{points[-1][0] + 8:.1f}" y="{named:.1f}" fill="{color}">{model}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=("run", "chart"))
    if parser.parse_args().verb == "run":
        cells = [
            {"model": model, "rows": rows, "rate": rate, "l2": l2}
            for rows in SIZES
            for model in MODELS
            for rate in RATES
            for l2 in L2
        ]
        measured(RESULTS, cells, measure)
        return
    runs = json.loads(RESULTS.read_text(encoding="utf-8"))["runs"]
    CHART.write_text(chart(runs), encoding="utf-8")
    for model in MODELS:
        print(model, [(run["rows"], run["rate"], run["l2"], round(run["auc"], 4)) for run in chosen(runs, model)])


if __name__ == "__main__":
    main()
