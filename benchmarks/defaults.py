"""The defaults alone against LightGBM, and the candidates that chose them, on validation rows.

    python benchmarks/defaults.py run DATA --what defaults --jobs 2     # networks of `masknet train`, 3 seeds a set
    python benchmarks/defaults.py run DATA --what lightgbm
    python benchmarks/defaults.py run DATA --what candidates --jobs 2   # one network each, one setting changed
    python benchmarks/defaults.py run DATA --what frappe-best --jobs 2
    python benchmarks/defaults.py run DATA --what again                 # the defaults, after a change of rules
    python benchmarks/defaults.py table        # puts the tables of benchmarks/results/defaults.jsonl into the docs

DATA holds a folder a set, each with train.parquet, valid.parquet and schema.json (label, categorical, numeric, extra).
A line a run is appended to the results as it ends; what is there already is not run again.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from cells import with_table
from masknet import metrics
from masknet.encode.moments import Times
from masknet.encode.split import latest_rows
from masknet.gbdt import train_lightgbm

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "defaults.jsonl"
PAGE = ROOT / "docs" / "defaults.md"
SETS = ("frappe", "movielens-100k", "nycflights13", "census-income", "nycflights13 by time")
SEEDS = (0, 1, 2)
ALONE = ("--members", "1")
CANDIDATES: dict[str, tuple[str, ...]] = {
    "the defaults, one member": (),
    "numeric encoding linear": ("--numeric-encoding", "linear"),
    "no average of the weights": ("--average-weights", "0"),
    "embedding L2 0": ("--embedding-l2", "0"),
    "embedding L2 .01": ("--embedding-l2", ".01"),
    "embedding L2 .1": ("--embedding-l2", ".1"),
    "LN_EMB on": ("--set", "embedding_norm=true"),
    "embedding 20": ("--set", "embedding_dim=20"),
    "widths 128, top 200, reduction 2": (
        *("--set", "block_dims=[128,128,128]", "--set", "top_dims=[200]"),
        *("--set", "reduction=2"),
    ),
    "dropout .1": ("--set", "dropout=.1"),
    "one evaluation an epoch, patience 2": ("--evaluations", "1", "--patience", "2"),
}
BY_TIME_ONLY: dict[str, tuple[str, ...]] = {"learning rate .001": ("--learning-rate", ".001")}
BINS_ARE_SAMPLED = 200_000
"""Rows above which LightGBM looks at a sample of them, so that a seed matters."""
_NUMERIC_ONLY = ("nycflights13", "census-income")


FORMS = [(codes, leaves) for codes in ("frequency", "sorted", "native") for leaves in (31, 255)]


def schema_of(data: Path, name: str) -> tuple[Path, dict[str, Any]]:
    folder = data / name.split()[0]
    return folder, json.loads((folder / "schema.json").read_text(encoding="utf-8"))


def train_flags(data: Path, name: str) -> list[str]:
    """Data, label and ignored columns: nothing else is said of a set."""
    folder, schema = schema_of(data, name)
    by_time = name.endswith("by time")
    flags = [str(folder / "train.parquet"), "--label", schema["label"]]
    if by_time:
        return [*flags, "--time", "date"]
    ignored = ["--ignore", ",".join(schema["extra"])] if schema["extra"] else []
    return [*flags, "--valid", str(folder / "valid.parquet"), *ignored]


def runs(data: Path, what: str) -> Iterator[tuple[dict[str, Any], list[str]]]:
    if what == "frappe-best":
        folder, _ = schema_of(data, "frappe")
        flags = [str(folder / "train.parquet"), "--valid", str(folder / "valid.parquet")]
        for seed in SEEDS:
            config = ["--config", str(ROOT / "examples" / "frappe-best.yaml"), "--seed", str(seed)]
            yield {"what": what, "set": "frappe", "candidate": what, "seed": seed}, [*flags, *config]
        return
    table = {"": ()} if what in ("defaults", "again") else CANDIDATES | BY_TIME_ONLY
    for (candidate, changes), name in itertools.product(table.items(), SETS):
        if candidate in BY_TIME_ONLY and not name.endswith("by time"):
            continue
        if name not in _NUMERIC_ONLY and "numeric" in candidate:
            continue  # no numeric field
        alone = ALONE if what == "candidates" else ()
        for seed in SEEDS:
            key = {"what": what, "set": name, "candidate": candidate, "seed": seed}
            yield key, [*train_flags(data, name), "--seed", str(seed), *alone, *changes]


def one_network(key: dict[str, Any], flags: list[str], cache: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", "from masknet.cli import main; main()", "train", *flags, "--json"]
        command += ["--threads", "1", "--cache-dir", cache, "--out", f"{folder}/m.masknet"]
        started = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{key}: {done.stderr}")
        result = json.loads(done.stdout)
        manifest = json.loads(Path(f"{folder}/m.masknet/manifest.json").read_text(encoding="utf-8"))
    found = {name: result["metrics"][name]["value"] for name in ("auc", "log_loss")}
    training = manifest["training"]
    return key | found | {
        "members": manifest["members"],
        "parameters": sum(manifest["num_parameters"].values()),
        "seconds": training["seconds"],
        "wall_seconds": round(time.perf_counter() - started, 1),
        "best_epoch": training["best_epoch"],
        "members_alone": training.get("members_alone"),
    }  # fmt: skip


def coded(train: pl.DataFrame, other: pl.DataFrame, schema: dict[str, Any], codes: str) -> tuple[Any, Any]:
    """Both tables as trees read them: codes by frequency or in the order of the values, numbers as they are."""
    parts: list[list[np.ndarray]] = [[], []]
    for name in schema["categorical"]:
        counts = train[name].drop_nulls().value_counts(sort=True)
        known = counts[name] if codes == "frequency" else counts[name].sort()
        table = pl.DataFrame({name: known, "code": np.arange(len(known), dtype=np.float64)})
        for part, frame in zip(parts, (train, other), strict=True):
            joined = frame.select(name).join(table, on=name, how="left", maintain_order="left")
            part.append(joined["code"].fill_null(float("nan")).to_numpy())
    for name in schema["numeric"]:
        for part, frame in zip(parts, (train, other), strict=True):
            part.append(frame[name].cast(pl.Float64).fill_null(float("nan")).to_numpy())
    return tuple(np.column_stack(part) for part in parts)


def trees(data: Path, threads: int) -> Iterator[tuple[dict[str, Any], Any]]:
    for name in SETS:
        folder, schema = schema_of(data, name)
        train = pl.read_parquet(folder / "train.parquet")
        valid = pl.read_parquet(folder / "valid.parquet")
        if name.endswith("by time"):
            late = latest_rows(Times()(train["date"], lambda row: f"row {row}"))
            train, valid = train.filter(pl.Series(~late)), train.filter(pl.Series(late))
        for codes, leaves, seed in itertools.product(("frequency", "sorted", "native"), (31, 255), SEEDS):
            if seed == 0 or len(train) > BINS_ARE_SAMPLED:
                key = {"what": "lightgbm", "set": name, "codes": codes, "leaves": leaves, "seed": seed}
                yield key, functools.partial(one_forest, train, valid, schema, codes, leaves, seed, threads)


def one_forest(
    train: pl.DataFrame,
    valid: pl.DataFrame,
    schema: dict[str, Any],
    codes: str,
    leaves: int,
    seed: int,
    threads: int,
) -> dict[str, Any]:
    x, valid_x = coded(train, valid, schema, codes)
    y, valid_y = train[schema["label"]].to_numpy(), valid[schema["label"]].to_numpy()
    native = tuple(range(len(schema["categorical"]))) if codes == "native" else ()
    started = time.perf_counter()
    model = train_lightgbm(
        x, y, valid=(valid_x, valid_y), num_leaves=leaves, categorical=native, seed=seed, threads=threads
    )
    scores = metrics.evaluate(valid_y, model.predict_proba(valid_x))
    return {
        "auc": scores["auc"].value,
        "log_loss": scores["log_loss"].value,
        "rounds": model.rounds,
        "wall_seconds": round(time.perf_counter() - started, 1),
    }


def read() -> list[dict[str, Any]]:
    return [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []


def append(result: dict[str, Any]) -> None:
    with RESULTS.open("a") as file:
        file.write(json.dumps(result) + "\n")
    print(json.dumps(result), flush=True)


def run(data: Path, what: str, jobs: int, sets: list[str]) -> None:
    done = read()

    def is_there(key: dict[str, Any]) -> bool:
        return any(key.items() <= line.items() for line in done)

    if what == "lightgbm":
        for key, fit in trees(data, threads=jobs):
            if not is_there(key) and key["set"] in sets:
                append(key | fit())
        return
    with tempfile.TemporaryDirectory() as cache, ThreadPoolExecutor(jobs) as pool:
        todo = [(key, flags) for key, flags in runs(data, what) if not is_there(key) and key["set"] in sets]
        for result in pool.map(lambda item: one_network(*item, cache), todo):
            append(result)


# The tables of docs/defaults.md


def mean(lines: list[dict[str, Any]], name: str) -> float:
    return statistics.fmean(line[name] for line in lines)


def figures(lines: list[dict[str, Any]]) -> str:
    return f"{mean(lines, 'auc'):.4f} / {mean(lines, 'log_loss'):.4f}"


def form_name(form: tuple[str, int]) -> str:
    return f"{form[0]}, {form[1]} leaves"


def against_lightgbm(lines: list[dict[str, Any]]) -> list[str]:
    rows = [
        "| set | defaults, AUC / log loss | by seed | members | parameters | seconds | LightGBM, codes | its best |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in SETS:
        ours = [line for line in lines if line["what"] == "defaults" and line["set"] == name]
        theirs = [line for line in lines if line["what"] == "lightgbm" and line["set"] == name]
        if not ours or not theirs:
            continue
        forms = {form: [line for line in theirs if (line["codes"], line["leaves"]) == form] for form in FORMS}
        codes, leaves = max((f for f in FORMS if forms[f]), key=lambda f: mean(forms[f], "auc"))
        whole = [f for f in FORMS if f[0] != "native" and forms[f]]
        integer = max(whole, key=lambda f: mean(forms[f], "auc"))
        spread = ", ".join(f"{line['auc']:.4f}" for line in sorted(ours, key=lambda line: line["seed"]))
        rows.append(
            f"| {name} | {figures(ours)} | {spread} | {ours[0]['members']} | {ours[0]['parameters']:,} | "
            f"{mean(ours, 'seconds'):.0f} | {figures(forms[integer])} ({form_name(integer)}) | "
            f"{figures(forms[codes, leaves])} ({form_name((codes, leaves))}) |"
        )
    return rows


def again(lines: list[dict[str, Any]]) -> list[str]:
    rows = ["| set | AUC by seed, before | now | log loss by seed, before | now | parameters |", "|---" * 6 + "|"]
    for name in SETS:
        before, now = ([x for x in lines if (x["what"], x["set"]) == (what, name)] for what in ("defaults", "again"))
        if before and now:
            cells = [
                f"{min(x[of] for x in before):.4f} to {max(x[of] for x in before):.4f} | {mean(now, of):.4f}"
                for of in ("auc", "log_loss")
            ]
            rows.append(f"| {name} | {' | '.join(cells)} | {now[0]['parameters']:,} |")
    return rows


def all_lightgbm(lines: list[dict[str, Any]]) -> list[str]:
    rows = ["| set | " + " | ".join(form_name(form) for form in FORMS) + " |", "|---" * 7 + "|"]
    for name in SETS:
        cells = []
        for codes, leaves in FORMS:
            key = {"what": "lightgbm", "set": name, "codes": codes, "leaves": leaves}
            found = [line for line in lines if key.items() <= line.items()]
            cells.append(figures(found) if found else "")
        rows.append(f"| {name} | " + " | ".join(cells) + " |")
    return rows


def candidates(lines: list[dict[str, Any]]) -> list[str]:
    rows = ["| candidate | " + " | ".join(SETS) + " |", "|---" * (len(SETS) + 1) + "|"]
    for candidate in CANDIDATES | BY_TIME_ONLY:
        cells = []
        for name in SETS:
            key = {"what": "candidates", "set": name, "candidate": candidate}
            found = [line for line in lines if key.items() <= line.items()]
            cell = ""
            if found:
                cell = f"{figures(found)}, {mean(found, 'seconds'):.0f} s, {found[0]['parameters'] / 1e3:,.0f} k"
            cells.append(cell + ("" if len(found) in (0, len(SEEDS)) else f" ({len(found)} seeds)"))
        if any(cells):
            rows.append(f"| {candidate} | " + " | ".join(cells) + " |")
    return rows


def screening(lines: list[dict[str, Any]]) -> list[str]:
    rows = [
        "| set | candidate | AUC / log loss | without the average | seeds | parameters | seconds |",
        "|---" * 7 + "|",
    ]
    screened = [line for line in lines if line["what"] == "screening"]
    for name in SETS:
        for candidate in dict.fromkeys(line["candidate"] for line in screened if line["set"] == name):
            found = [line for line in screened if line["set"] == name and line["candidate"] == candidate]
            raw = f"{mean(found, 'auc_without_average'):.4f} / {mean(found, 'log_loss_without_average'):.4f}"
            seeds = len({line["seed"] for line in found})
            rows.append(
                f"| {name} | {candidate} | {figures(found)} | {raw} | {seeds} | {found[0]['parameters']:,} | "
                f"{mean(found, 'seconds'):.0f} |"
            )
    return rows


def members(lines: list[dict[str, Any]]) -> list[str]:
    rows = ["| set | one member, mean | the members together |", "|---|---|---|"]
    for name in SETS:
        found = [line for line in lines if line["what"] == "defaults" and line["set"] == name and line["members_alone"]]
        if found:
            alone = statistics.fmean(auc for line in found for auc in line["members_alone"])
            rows.append(f"| {name} | {alone:.4f} | {mean(found, 'auc'):.4f} ({found[0]['members']}) |")
    return rows


def best_on_frappe(lines: list[dict[str, Any]]) -> list[str]:
    rows = ["| seed | AUC | log loss | each member alone | members | parameters | seconds |", "|---" * 7 + "|"]
    found = [line for line in lines if line["what"] == "frappe-best"]
    for line in sorted(found, key=lambda line: line["seed"]):
        alone = ", ".join(f"{auc:.4f}" for auc in line["members_alone"])
        rows.append(
            f"| {line['seed']} | {line['auc']:.5f} | {line['log_loss']:.5f} | {alone} | {line['members']} | "
            f"{line['parameters']:,} | {line['seconds']:.0f} |"
        )
    if found:
        rows.append(f"| mean | {mean(found, 'auc'):.5f} | {mean(found, 'log_loss'):.5f} | | | | |")
    return rows


TABLES = {
    "against LightGBM": against_lightgbm,
    "again": again,
    "LightGBM": all_lightgbm,
    "members": members,
    "screening": screening,
    "candidates": candidates,
    "frappe-best": best_on_frappe,
}


def with_tables(page: str) -> str:
    """The page with each table between its marks."""
    lines = read()
    for title, table in TABLES.items():
        page = with_table(page, title, "\n".join(table(lines)) + "\n")
    return page


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    runner = verbs.add_parser("run")
    runner.add_argument("data", type=Path)
    runner.add_argument("--what", choices=("defaults", "lightgbm", "candidates", "frappe-best", "again"), required=True)
    runner.add_argument("--jobs", type=int, default=1)
    runner.add_argument("--sets", nargs="*", default=list(SETS))
    verbs.add_parser("table")
    arguments = parser.parse_args()
    if arguments.verb == "run":
        run(arguments.data, arguments.what, arguments.jobs, arguments.sets)
        return
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
