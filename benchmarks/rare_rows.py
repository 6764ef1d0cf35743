"""What a value never seen, or a missing one, is scored at after few rare rows: near the click rate, whatever they did.

    python benchmarks/rare_rows.py --out benchmarks/results/rare_rows.json

Each run trains by the defaults (a MaskNet has four members) on 20,000 made rows, 5 % of them clicks. In every kind of
field so many rows are rare, that is, hold a value of their own or none; they all clicked, or none did, or they follow
the click rate. Then 2,000 other rows are scored with that field unseen, or missing, in all of them: the ratio is that
of the mean score to the click rate. The rule, for the mean of the seeds: between .8 and 1.25. A run that the JSON has
already is not made again. The table is put into docs/fields.md.
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
from masknet.predict import predict_frame
from masknet.progress import LogProgress
from masknet.table import open_table
from masknet.train import fit

PAGE = Path(__file__).parent.parent / "docs" / "fields.md"
MODELS = ("lr", "parallel-masknet", "serial-masknet")
CASES: tuple[tuple[int, int | None], ...] = ((0, None), (1, 0), (1, 1), (5, 0), (5, 1), (20, None), (100, None))
"""How many rare rows, and the label of all of them; None: as the click rate has it."""
PROBES = {
    "value, unseen": ("item", "never"),
    "value, missing": ("city", None),
    "bag, unseen": ("tags", ["never"]),
    "bag, missing": ("words", []),
    "hashed, missing": ("user", None),
    "number, missing": ("price", None),
}
"""The field, and what stands in it."""
CLICK_RATE, TRAIN, PROBED = 0.05, 20_000, 2_000


def made(rows: int, rng: np.random.Generator) -> pl.DataFrame:
    """A log whose every field matters, and no value of which is rare."""
    codes = {name: rng.integers(0, size, rows) for name, size in (("item", 150), ("city", 20), ("user", 400))}
    bags = {name: rng.integers(0, 12, (rows, 3)) for name in ("tags", "words")}
    price = rng.lognormal(0, 1, rows)
    logit = 0.4 * np.log(price) + sum(rng.normal(0, 0.5, code.max() + 1)[code] for code in codes.values())
    logit += sum(rng.normal(0, 0.3, 12)[bag].sum(axis=1) for bag in bags.values())
    clicks = rng.random(rows) < probabilities_of_rate(logit, CLICK_RATE)
    texts = {name: [f"{name}{i}" for i in code] for name, code in codes.items()}
    lists = {name: [[f"{name}{i}" for i in row] for row in bag] for name, bag in bags.items()}
    return pl.DataFrame({**texts, **lists, "price": price, "click": clicks.astype(np.int8)})


def with_rare_rows(log: pl.DataFrame, count: int, label: int | None, rng: np.random.Generator) -> pl.DataFrame:
    """The log with so many rare rows in every probed field, each field's elsewhere."""
    places = rng.permutation(len(log))[: count * len(PROBES)].reshape(len(PROBES), count)
    clicks = log["click"].to_numpy().copy()
    if label is not None:
        clicks[places.ravel()] = label
    for (name, probe), own in zip(PROBES.values(), places, strict=True):
        cells = log[name].to_list()
        for number, row in enumerate(own):
            rare = f"rare{number}"
            cells[row] = None if probe is None else [] if probe == [] else [rare] if probe == ["never"] else rare
        log = log.with_columns(pl.Series(name, cells, dtype=log.schema[name]))
    return log.with_columns(pl.Series("click", clicks))


def ratios(model: str, rare: int, label: int | None, seed: int) -> dict[str, Any]:
    rng = np.random.default_rng([seed, rare])
    log = made(TRAIN + PROBED, rng)
    train, others = with_rare_rows(log[:TRAIN], rare, label, rng), log[TRAIN:]
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as cache:
        config = RunConfig(
            label="click",
            model=model,
            seed=seed,
            min_count=2,
            hash={"user": 1 << 16},
            categorical=("item", "city", "user"),
            cache_dir=cache,
            threads=1,
        )
        trained = fit(config, open_table(train), open_table(others), LogProgress())
    rate = float(train["click"].mean())  # type: ignore[arg-type]
    found = {}
    for name, (field, probe) in PROBES.items():
        probed = others.with_columns(pl.Series(field, [probe] * len(others), dtype=log.schema[field])).drop("click")
        found[name] = float(predict_frame(trained, probed).mean()) / rate
    seconds = round(time.monotonic() - started, 1)
    return {"ratios": found, "seconds": seconds}


def table(runs: list[dict[str, Any]]) -> str:
    lines = [f"| model | rare rows | their labels | {' | '.join(PROBES)} |", "|---" * (3 + len(PROBES)) + "|"]
    for model in MODELS:
        for count, label in CASES:
            own = [run["ratios"] for run in runs if (run["model"], run["rare"], run["label"]) == (model, count, label)]
            if own:
                means = [float(np.mean([ratio[name] for ratio in own])) for name in PROBES]
                cells = [f"{mean:.2f}" + ("" if 0.8 <= mean <= 1.25 else " BROKEN") for mean in means]
                labels = "" if count == 0 else "as the click rate" if label is None else f"all {label}"
                lines.append(f"| {model} | {count} | {labels} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--models", nargs="*", default=MODELS)
    options = parser.parse_args()
    cells = [
        {"model": model, "rare": count, "label": label, "seed": seed}
        for model in options.models
        for seed in range(options.seeds)
        for count, label in CASES
    ]
    runs = measured(options.out, cells, ratios)
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8"), "rare rows", table(runs)), encoding="utf-8")
    print(table(runs))


if __name__ == "__main__":
    main()
