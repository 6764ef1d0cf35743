"""How often an interval holds the truth: 1,000 draws of rows whose AUC, log loss and click rate are known.

    python benchmarks/coverage.py --out benchmarks/results/coverage.json [--check]

Scores are normal, those of clicks moved up by as much as the AUC asks for; the probabilities are Bayes' own, so that
they are calibrated and the true log loss is an integral. The rule: where 25 clicks are expected or more, every interval
covers 92 to 97 % up to an AUC of .95, and at least 88 % above; `--check` fails where it is broken.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np

from machine import commit, hardware
from masknet import metrics

ROWS, AUCS, SHARES, DRAWS = (500, 5000), (0.75, 0.92, 0.98), (0.01, 0.05, 0.5), 1000
NAMES = ("auc", "log_loss", "normalized_entropy", "calibration_ratio")


def truth(auc: float, share: float) -> dict[str, float]:
    """What the metrics would be on all the rows in the world."""
    apart = math.sqrt(2) * NormalDist().inv_cdf(auc)
    z = np.linspace(-10, 10, 40001)
    density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi) * (z[1] - z[0])
    loss = 0.0
    for clicked, part in ((1, share), (0, 1 - share)):
        odds = math.log(share / (1 - share)) + apart * (z + apart * clicked) - apart**2 / 2
        loss += part * float((density * np.logaddexp(0, -odds if clicked else odds)).sum())
    entropy = -share * math.log(share) - (1 - share) * math.log(1 - share)
    return {"auc": auc, "log_loss": loss, "normalized_entropy": loss / entropy, "calibration_ratio": 1.0}


def cell(rows: int, auc: float, share: float, draws: int) -> dict[str, Any]:
    rng = np.random.default_rng([rows, round(1000 * auc), round(1000 * share)])
    apart = math.sqrt(2) * NormalDist().inv_cdf(auc)
    true, hits, measured = truth(auc, share), dict.fromkeys(NAMES, 0), 0
    for _ in range(draws):
        clicks = rng.random(rows) < share
        if not clicks.any():
            continue
        score = rng.standard_normal(rows) + apart * clicks
        odds = math.log(share / (1 - share)) + apart * score - apart**2 / 2
        found = metrics.evaluate(clicks, 1 / (1 + np.exp(-odds)))
        measured += 1
        for name in NAMES:
            estimate = found[name]
            hits[name] += estimate.low is not None and estimate.low <= true[name] <= estimate.high
    return {"rows": rows, "true_auc": auc, "share": share, "draws": measured} | {
        name: round(hits[name] / measured, 4) for name in NAMES
    }


def kept(one: dict[str, Any]) -> bool:
    if one["rows"] * one["share"] < 25:
        return True
    low, high = (0.92, 0.97) if one["true_auc"] <= 0.95 else (0.88, 1.0)
    return all(low <= one[name] <= high for name in NAMES)


def table(cells: list[dict[str, Any]]) -> str:
    lines = ["| rows | clicks | AUC | " + " | ".join(f"`{name}`" for name in NAMES) + " |", "|---" * 7 + "|"]
    for one in cells:
        shares = " | ".join(f"{100 * one[name]:.1f}" for name in NAMES)
        clicks = f"{one['rows'] * one['share']:,.0f}"
        lines.append(f"| {one['rows']:,} | {clicks} | {one['true_auc']} | {shares} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--draws", type=int, default=DRAWS)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    cells = [cell(rows, auc, share, options.draws) for rows in ROWS for share in SHARES for auc in AUCS]
    if options.out:
        content = {"commit": commit(), "hardware": hardware(1), "draws": options.draws, "cells": cells}
        options.out.write_text(json.dumps(content, indent=1) + "\n")
    print(table(cells))
    if options.check and not all(map(kept, cells)):
        raise SystemExit("an interval breaks the rule: " + ", ".join(map(str, (c for c in cells if not kept(c)))))


if __name__ == "__main__":
    main()
