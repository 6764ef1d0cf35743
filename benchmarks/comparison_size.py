"""How often `masknet compare` calls a difference: where there is none, and where one of known size is planted.

    python benchmarks/comparison_size.py --out benchmarks/results/comparison_size.json [--check] [--sets 200]

*drawn*: scores are normal, those of clicks moved up; a model adds noise of its own to what all models know, and each
seed a little more or less of it. *planted*: the difference is as large as should be found in .2, .5 or .8 of the sets,
and is the AUC's on all the rows in the world. *trained*: seeds of one network that is trained on a planted log are
counted as two models, others of 24 in each set, which has rows of its own.

The rule: of 200 sets without a difference at most 18 are called, and a planted one is found as often as stated, within
.1. Of trained networks it holds for three seeds a model. One seed compares two networks, which do differ in what they
learned, and the table says that it does: how often that is called stands beside.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from machine import commit, hardware
from masknet.compare.statistics import Comparison, power
from masknet.config import RunConfig
from masknet.datasets import planted_log
from masknet.predict import predict_frame
from masknet.progress import LogProgress
from masknet.table import open_table
from masknet.train import fit

ROWS, SHARE, SHIFT, NOISE, OF_SEEDS = 3000, 0.2, 1.2, 0.5, 0.02
TRAINED_ROWS, TEST_ROWS, NETWORKS = 3000, 1000, 24
MOST_CALLED, WITHIN = 18, 0.1


def true_auc(noise: float) -> float:
    """On all rows in the world: clicks and the rest are normal, both of variance 1 plus that of the noise."""
    return NormalDist().cdf(SHIFT / math.sqrt(2 * (1 + noise**2)))


def noise_of(auc: float) -> float:
    """The noise that gives an AUC."""
    return math.sqrt((SHIFT / NormalDist().inv_cdf(auc)) ** 2 / 2 - 1)


def drawn(rng: np.random.Generator, noises: Sequence[float], seeds: int) -> Comparison:
    """Models of these noises on rows of one draw."""
    labels = (rng.random(ROWS) < SHARE).astype(np.uint8)
    known = SHIFT * labels + rng.standard_normal(ROWS)

    def scores(noise: float) -> list[NDArray[np.float64]]:
        own = rng.standard_normal(ROWS) / math.sqrt(2)  # half of it is the model's, half the seed's
        levels = noise + (OF_SEEDS * rng.standard_normal(seeds) if seeds > 1 else np.zeros(1))
        logits = [known + level * (own + rng.standard_normal(ROWS) / math.sqrt(2)) for level in levels]
        return [1 / (1 + np.exp(-one)) for one in logits]

    return Comparison(labels, {str(i): scores(noise) for i, noise in enumerate(noises)})


def without(sets: int, seeds: int, models: int) -> dict[str, Any]:
    called = 0
    for i in range(sets):
        found = drawn(np.random.default_rng([1, seeds, models, i]), [NOISE] * models, seeds)
        called += any(not found.difference(name).tie for name in found.names if name != found.best)
    return {"arm": "drawn", "models": models, "seeds": seeds, "sets": sets, "called": called}


def planted(sets: int, seeds: int, share: float) -> dict[str, Any]:
    """A difference that is stated to be found in this share of the sets."""
    trial = [drawn(np.random.default_rng([2, seeds, i]), [NOISE, NOISE], seeds).difference("0", "1") for i in range(40)]
    error = float(np.median([one.error for one in trial]))
    size = error * (1.959964 + NormalDist().inv_cdf(share))
    other = noise_of(true_auc(NOISE) - size)
    found, stated = 0, []
    for i in range(sets):
        difference = drawn(np.random.default_rng([3, seeds, round(100 * share), i]), [NOISE, other], seeds).difference(
            "0", "1"
        )
        found += not difference.tie and difference.value > 0
        stated.append(power(size, difference.error, freedom=difference.freedom))
    return {
        "arm": "planted",
        "seeds": seeds,
        "sets": sets,
        "difference": round(size, 5),
        "stated": round(float(np.mean(stated)), 4),
        "found": round(found / sets, 4),
    }


def networks(count: int) -> tuple[NDArray[np.uint8], list[NDArray[np.float64]]]:
    """Many seeds of one network, and their probabilities of many rows; the labels of these."""
    log, _ = planted_log(TRAINED_ROWS + TEST_ROWS * 200, seed=0)
    train, valid, test = (
        log[start:end]
        for start, end in ((0, TRAINED_ROWS - 300), (TRAINED_ROWS - 300, TRAINED_ROWS), (TRAINED_ROWS, None))
    )
    scores = []
    with tempfile.TemporaryDirectory() as cache:
        for seed in range(count):
            config = RunConfig(
                label="click", ignore=["timestamp"], model="fm", epochs=3, members=1, seed=seed, threads=1,
                golden_rows=0, cache_dir=cache,
            )  # fmt: skip
            artifact = fit(config, open_table(train), open_table(valid), LogProgress())
            scores.append(predict_frame(artifact, test))
    return test["click"].to_numpy().astype(np.uint8), scores


def trained(sets: int, seeds: int, labels: NDArray[np.uint8], scores: list[NDArray[np.float64]]) -> dict[str, Any]:
    """Seeds of one network counted as two models, others in each set, on rows of their own."""
    called = 0
    for i in range(sets):
        rows = slice(i * TEST_ROWS, (i + 1) * TEST_ROWS)
        chosen = np.random.default_rng([4, seeds, i]).permutation(len(scores))
        models = {str(half): [scores[k][rows] for k in chosen[half * seeds : (half + 1) * seeds]] for half in (0, 1)}
        called += not Comparison(labels[rows], models).difference("0", "1").tie
    return {"arm": "trained", "models": 2, "seeds": seeds, "sets": sets, "called": called}


def broken(record: dict[str, Any]) -> bool:
    if record["arm"] == "trained" and record["seeds"] == 1:  # networks, which differ indeed: the table says so
        return False
    if "called" in record:
        return bool(record["called"] > MOST_CALLED * record["sets"] / 200)
    return abs(float(record["found"]) - float(record["stated"])) > WITHIN


def markdown(result: dict[str, Any]) -> str:
    """The table in the docs."""
    lines = ["| what | models | seeds | called, of sets | stated |", "|---|---:|---:|---:|---:|"]
    for record in result["records"]:
        sets = record["sets"]
        if record["arm"] == "planted":
            what, stated = f"a difference of {record['difference']:.4f}", f"{100 * record['stated']:.0f} %"
            lines.append(f"| {what} | 2 | {record['seeds']} | {100 * record['found']:.0f} % | {stated} |")
            continue
        what = {"drawn": "none: drawn scores", "trained": "none: one network, seeds counted as models"}[record["arm"]]
        lines.append(f"| {what} | {record['models']} | {record['seeds']} | {record['called']} of {sets} | |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sets", type=int, default=200)
    parser.add_argument("--check", action="store_true", help="fail where the rule is broken")
    asked = parser.parse_args()
    records = [without(asked.sets, seeds, models) for seeds in (1, 3) for models in (2, 6)]
    records += [planted(asked.sets, seeds, share) for seeds in (1, 3) for share in (0.2, 0.5, 0.8)]
    labels, scores = networks(NETWORKS)
    records += [trained(asked.sets, seeds, labels, scores) for seeds in (1, 3)]
    for record in records:
        print(json.dumps(record) + (" BROKEN" if broken(record) else ""))
    result: dict[str, Any] = {"commit": commit(), "hardware": hardware(1), "rows": ROWS, "records": records}
    print(markdown(result))
    asked.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    if asked.check and any(map(broken, records)):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
