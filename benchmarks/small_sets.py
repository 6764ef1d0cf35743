"""Few rows of numbers: how they should enter a network, and LightGBM beside it, on made and real small sets.

    pip download --no-deps river statsmodels -d WHEELS    # packages that ship real sets; they are read, not installed
    python benchmarks/small_sets.py collect SETS --wheels WHEELS --physics binary.train
    python benchmarks/small_sets.py run SETS --seeds 0
    python benchmarks/small_sets.py table                 # puts the table into docs/defaults.md

`binary.train` is the example of LightGBM's repository, 7,000 rows of a Higgs search. Every set is cut once into train,
valid and test (60, 20 and 20 %); one network a run, the defaults otherwise. A line a run is appended to the results as
it ends, and what is there already is not run again.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import statistics
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn import datasets

from cells import with_table
from masknet import load, metrics
from masknet.config import RunConfig
from masknet.gbdt import train_lightgbm
from masknet.progress import LogProgress
from masknet.train import train

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "small_sets.jsonl"
PAGE = ROOT / "docs" / "defaults.md"
PARTS = ("train", "valid", "test")

# How many knots a field of so many numbers has; None for the linear encoding.
CANDIDATES: dict[str, Callable[[int], int] | None] = {
    "linear": None,
    "64 knots": lambda numbers: 64,
    "16 knots": lambda numbers: 16,
    "a knot for 200 numbers": lambda numbers: max(4, min(64, numbers // 200)),
    "a knot for 400 numbers": lambda numbers: max(4, min(64, numbers // 400)),
}
LIGHTGBM = "LightGBM"


# The sets


def frame(numbers: NDArray[np.float64]) -> pl.DataFrame:
    return pl.DataFrame(numbers, schema=[f"x{i}" for i in range(numbers.shape[1])])


def real(wheels: Path, physics: Path) -> Iterator[tuple[str, pl.DataFrame, Any]]:
    """Each set's name, its columns, and its labels."""
    archives = {path.name.split("-")[0]: zipfile.ZipFile(path) for path in wheels.glob("*.whl")}

    def shipped(package: str, name: str) -> bytes:
        content = archives[package].read(f"{package}/datasets/{name}")
        if name.endswith(".gz"):
            return gzip.decompress(content)
        if name.endswith(".zip"):
            inner = zipfile.ZipFile(io.BytesIO(content))
            return inner.read(inner.namelist()[0])
        return content

    def table(content: bytes, **options: Any) -> pl.DataFrame:
        return pl.read_csv(io.BytesIO(content), infer_schema_length=None, **options)

    cancer = datasets.load_breast_cancer()
    yield "breast-cancer", frame(cancer.data), cancer.target
    lines = [line.split() for line in shipped("river", "banana.zip").decode().splitlines() if line]
    numbers = np.array([[float(cell.partition(":")[2]) for cell in line[1:]] for line in lines])
    yield "bananas", frame(numbers), [line[0] == "1" for line in lines]
    found = table(shipped("river", "segment.csv.zip"))
    yield "segment", found.drop("category").cast(pl.Float64), found["category"].is_in(["grass", "path"])
    found = table(shipped("river", "phishing.csv.gz"))
    yield "phishing", found.drop("is_phishing"), found["is_phishing"]
    found = table(shipped("statsmodels", "fair/fair.csv"))
    yield "affairs", found.drop("affairs").cast(pl.Float64), found["affairs"] > 0
    found = table(shipped("statsmodels", "randhie/randhie.csv"))[:8000]
    yield "doctor-visits", found.drop("mdvis").cast(pl.Float64), found["mdvis"] > 2
    found = table(physics.read_bytes(), separator="\t", has_header=False)
    yield "physics", found[:, 1:], found[:, 0]


def made() -> Iterator[tuple[str, pl.DataFrame, Any]]:
    rng = np.random.default_rng(1)

    def clicks(logits: NDArray[np.float64]) -> NDArray[np.bool_]:
        return rng.random(len(logits)) < 1 / (1 + np.exp(-logits))

    x = rng.normal(size=(4000, 15))
    yield "made: a sum", frame(x), clicks(x @ rng.normal(size=15) * 0.5)
    x = rng.lognormal(size=(4000, 12))
    steps = 1.0 * (x[:, 0] > 2) + (x[:, 1] < 0.5) - (x[:, 2] > 1) * (x[:, 3] > 1)
    yield "made: steps", frame(x), clicks(2 * (steps + (np.abs(np.log(x[:, 4])) < 0.5) - 1))
    x = rng.uniform(-2, 2, size=(3000, 12))
    products = x[:, 0] * x[:, 1] + np.sin(2 * x[:, 2]) + 0.7 * x[:, 3] * x[:, 4] + 0.5 * x[:, 5]
    yield "made: products", frame(x), clicks(products)
    x, y = datasets.make_classification(
        2500, 30, n_informative=10, n_redundant=10, flip_y=0.1, class_sep=0.7, random_state=3
    )
    yield "made: clusters", frame(x), y
    x, y = datasets.make_moons(2000, noise=0.35, random_state=0)
    yield "made: moons", frame(x), y


def collect(sets: Path, wheels: Path, physics: Path) -> None:
    for name, columns, labels in (*real(wheels, physics), *made()):
        whole = columns.with_columns(pl.Series("label", np.asarray(labels).astype(np.int64)))
        order = np.random.default_rng(7).permutation(len(whole))
        folder = sets / name.replace(": ", "-").replace(" ", "-")
        folder.mkdir(parents=True, exist_ok=True)
        ends = (0, int(0.6 * len(whole)), int(0.8 * len(whole)), len(whole))
        for part, start, end in zip(PARTS, ends, ends[1:], strict=False):
            whole[order[start:end]].write_parquet(folder / f"{part}.parquet")


# The runs


def figures(parts: dict[str, pl.DataFrame], score: Callable[[pl.DataFrame], Any]) -> dict[str, float]:
    result = {}
    for prefix, part in (("", "valid"), ("test_", "test")):
        found = metrics.evaluate(parts[part]["label"].to_numpy(), score(parts[part].drop("label")))
        result |= {f"{prefix}{name}": found[name].value for name in ("auc", "log_loss")}
    return result


def one_network(folder: Path, knots: Callable[[int], int] | None, seed: int) -> dict[str, float]:
    parts = {part: pl.read_parquet(folder / f"{part}.parquet") for part in PARTS}
    rule = knots or (lambda numbers: 64)
    with tempfile.TemporaryDirectory() as at, patch("masknet.encode.learning.most_knots", rule):
        out = Path(at, "m.masknet")
        config = RunConfig(
            data=folder / "train.parquet",
            valid=folder / "valid.parquet",
            label="label",
            numeric_encoding="linear" if knots is None else "knots",
            members=1,
            seed=seed,
            threads=1,
            cache_dir=Path(at, "cache"),
            out=out,
        )
        train(config, LogProgress())
        model = load(out)
        return figures(parts, lambda rows: np.asarray(model.predict_proba(rows))[:, 1])


def one_forest(folder: Path, seed: int) -> dict[str, float]:
    """The better of 31 and 255 leaves by its AUC on the validation rows."""
    parts = {part: pl.read_parquet(folder / f"{part}.parquet") for part in PARTS}

    def numbers(rows: pl.DataFrame) -> NDArray[np.float64]:
        return rows.cast(pl.Float64).to_numpy()

    found = []
    for leaves in (31, 255):
        rows, labels = zip(
            *((numbers(parts[p].drop("label")), parts[p]["label"].to_numpy()) for p in ("train", "valid")), strict=True
        )
        model = train_lightgbm(rows[0], labels[0], valid=(rows[1], labels[1]), num_leaves=leaves, seed=seed, threads=1)
        found.append(figures(parts, lambda rows, model=model: model.predict_proba(numbers(rows))))
    return max(found, key=lambda result: result["auc"])


def read() -> list[dict[str, Any]]:
    return [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []


def run(sets: Path, seeds: list[int]) -> None:
    done = read()
    for seed in seeds:
        for folder in sorted(sets.iterdir()):
            for candidate in (*CANDIDATES, LIGHTGBM):
                key = {"set": folder.name, "candidate": candidate, "seed": seed}
                if any(key.items() <= line.items() for line in done):
                    continue
                if candidate == LIGHTGBM:
                    result = key | one_forest(folder, seed)
                else:
                    result = key | one_network(folder, CANDIDATES[candidate], seed)
                with RESULTS.open("a") as file:
                    file.write(json.dumps(result) + "\n")
                print(json.dumps(result), flush=True)


# The table of docs/defaults.md


def table() -> str:
    lines = read()
    names = [*CANDIDATES, LIGHTGBM]
    rows = ["| set | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    means: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for of_set in sorted({line["set"] for line in lines}):
        cells = []
        for name in names:
            found = [line for line in lines if (line["set"], line["candidate"]) == (of_set, name)]
            auc, test = (statistics.fmean(line[key] for line in found) for key in ("auc", "test_auc"))
            means[name].append((auc, test))
            cells.append(f"{auc:.4f} / {test:.4f}")
        rows.append(f"| {of_set} | " + " | ".join(cells) + " |")
    ends = [" / ".join(f"{statistics.fmean(part):.4f}" for part in zip(*means[name], strict=True)) for name in names]
    rows.append("| mean | " + " | ".join(ends) + " |")
    return "\n".join(rows) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    collecting = verbs.add_parser("collect")
    collecting.add_argument("sets", type=Path)
    collecting.add_argument("--wheels", type=Path, required=True)
    collecting.add_argument("--physics", type=Path, required=True)
    running = verbs.add_parser("run")
    running.add_argument("sets", type=Path)
    running.add_argument("--seeds", type=int, nargs="+", default=[0])
    verbs.add_parser("table")
    given = parser.parse_args()
    if given.verb == "collect":
        collect(given.sets, given.wheels, given.physics)
    elif given.verb == "run":
        run(given.sets, given.seeds)
    else:
        PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8"), "small sets", table()), encoding="utf-8")


if __name__ == "__main__":
    main()
