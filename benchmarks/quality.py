"""What a faster way to train costs in quality: the defaults, one member, each way, on validation rows.

    python benchmarks/quality.py run DATA --what sparse --seeds 0..4 --jobs 2
    python benchmarks/quality.py run DATA --what bf16
    python benchmarks/quality.py show

DATA holds a folder a set, as for `benchmarks/defaults.py`. A line a run is appended to the results as it ends; what is
there already is not run again. Then, and with `show`, the mean of each way's seeds is printed with their spread.
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

from defaults import ALONE, one_network, train_flags

RESULTS = Path(__file__).parent / "results" / "quality.jsonl"
SETS = ("frappe", "nycflights13")
WAYS: dict[str, dict[str, tuple[str, ...]]] = {
    "sparse": {"dense": (), "sparse": ("--embedding-updates", "sparse")},
    "bf16": {"fp32": ("--precision", "fp32"), "bf16": ("--precision", "bf16")},
}


def seeds_of(text: str) -> list[int]:
    first, _, last = text.partition("..")
    return list(range(int(first), int(last or first) + 1))


def read() -> list[dict[str, Any]]:
    return [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []


def run(data: Path, what: str, seeds: list[int], sets: list[str], jobs: int) -> None:
    done, todo = read(), []
    for name, seed, (way, flags) in itertools.product(sets, seeds, WAYS[what].items()):
        key = {"what": what, "set": name, "way": way, "seed": seed}
        if not any(key.items() <= line.items() for line in done):
            todo.append((key, [*train_flags(data, name), "--seed", str(seed), *ALONE, *flags]))
    with tempfile.TemporaryDirectory() as cache, ThreadPoolExecutor(jobs) as pool:
        for result in pool.map(lambda item: one_network(*item, cache), todo):
            with RESULTS.open("a") as file:
                file.write(json.dumps(result) + "\n")
            print(json.dumps(result), flush=True)


def show() -> None:
    lines = read()
    for (what, ways), name in itertools.product(WAYS.items(), SETS):
        for way in ways:
            found = [x for x in lines if (x["what"], x["set"], x["way"]) == (what, name, way)]
            if found:
                figures = (f"{metric} {spread([x[metric] for x in found])}" for metric in ("auc", "log_loss"))
                print(f"{name}, {way}, {len(found)} seeds: {', '.join(figures)}")


def spread(values: list[float]) -> str:
    return f"{statistics.fmean(values):.4f} ({min(values):.4f} to {max(values):.4f})"


def main() -> None:
    parser = argparse.ArgumentParser(description="The quality of the defaults, each way to train.")
    commands = parser.add_subparsers(dest="command", required=True)
    running = commands.add_parser("run")
    running.add_argument("data", type=Path)
    running.add_argument("--what", choices=WAYS, required=True)
    running.add_argument("--seeds", type=seeds_of, default=seeds_of("0..4"), help="FIRST..LAST")
    running.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    running.add_argument("--jobs", type=int, default=1)
    commands.add_parser("show")
    given = parser.parse_args()
    if given.command == "run":
        run(given.data, given.what, given.seeds, given.sets, given.jobs)
    show()


if __name__ == "__main__":
    main()
