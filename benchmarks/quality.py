"""What a faster way to train costs in quality: the defaults, one member, each way, on validation rows.

    python benchmarks/quality.py run DATA --seeds 0..4 --jobs 2
    python benchmarks/quality.py run DATA --ways bf16 --sets frappe
    python benchmarks/quality.py show     # prints the tables
    python benchmarks/quality.py table    # puts them into docs/sparse-updates.md and docs/defaults.md

DATA holds a folder a set, as for `benchmarks/defaults.py`. A line a run is appended to the results as it ends; what is
there already is not run again. The reference is dense updates in fp32; another way may be a default only where its mean
lies within the spread of the reference's seeds.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from cells import with_table
from defaults import ALONE, one_network, train_flags

DOCS = Path(__file__).parent.parent / "docs"
PAGES = {"sparse": DOCS / "sparse-updates.md", "bf16": DOCS / "defaults.md"}
"""Where the figures of each way stand beside those of the reference."""
RESULTS = Path(__file__).parent / "results" / "quality.jsonl"
SETS = ("frappe", "nycflights13")
WAYS: dict[str, tuple[str, ...]] = {
    "reference": ("--precision", "fp32", "--embedding-updates", "dense"),
    "sparse": ("--precision", "fp32", "--embedding-updates", "sparse"),
    "bf16": ("--precision", "bf16", "--embedding-updates", "dense"),
}


def seeds_of(text: str) -> list[int]:
    first, _, last = text.partition("..")
    return list(range(int(first), int(last or first) + 1))


def read() -> list[dict[str, Any]]:
    return [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []


def run(data: Path, ways: list[str], seeds: list[int], sets: list[str], jobs: int) -> None:
    done, todo = read(), []
    for name, seed, way in itertools.product(sets, seeds, ways):
        key = {"set": name, "way": way, "seed": seed}
        if not any(key.items() <= line.items() for line in done):
            todo.append((key, [*train_flags(data, name), "--seed", str(seed), *ALONE, *WAYS[way]]))
    with tempfile.TemporaryDirectory() as cache, ThreadPoolExecutor(jobs) as pool:
        for result in pool.map(lambda item: one_network(*item, cache), todo):
            with RESULTS.open("a") as file:
                file.write(json.dumps(result) + "\n")
            print(json.dumps(result), flush=True)


def table(way: str) -> str:
    """The figures of a way beside those of the reference, on the same seeds."""
    lines = [
        "| set | way | seeds | AUC, mean | least to most | log loss, mean | best epoch |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    runs = {(x["set"], x["way"], x["seed"]): x for x in read()}
    for name in SETS:
        seeds = sorted(seed for set_, way_, seed in runs if (set_, way_) == (name, way))
        for one in ("reference", way) if seeds else ():
            found = [runs[name, one, seed] for seed in seeds if (name, one, seed) in runs]
            aucs = [x["auc"] for x in found]
            means = {what: statistics.fmean(x[what] for x in found) for what in ("auc", "log_loss", "best_epoch")}
            lines.append(
                f"| {name} | {one} | {len(found)} | {means['auc']:.4f} | {min(aucs):.4f} to {max(aucs):.4f} | "
                f"{means['log_loss']:.4f} | {means['best_epoch']:.1f} |"
            )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    running = verbs.add_parser("run")
    running.add_argument("data", type=Path)
    running.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    running.add_argument("--seeds", type=seeds_of, default=seeds_of("0..4"), help="FIRST..LAST")
    running.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    running.add_argument("--jobs", type=int, default=1)
    verbs.add_parser("show")
    verbs.add_parser("table")
    given = parser.parse_args()
    if given.verb == "table":
        for way, page in PAGES.items():
            text = page.read_text(encoding="utf-8")
            page.write_text(with_table(text, f"quality of {way}", table(way)), encoding="utf-8")
        return
    if given.verb == "run":
        run(given.data, given.ways, given.seeds, given.sets, given.jobs)
    for way in PAGES:
        print(way, table(way), sep="\n")


if __name__ == "__main__":
    main()
