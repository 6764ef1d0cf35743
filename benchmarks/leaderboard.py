"""All models at equal budget on every set, by `masknet compare`: the tables of docs/leaderboard.md and ablations.md.

    python benchmarks/leaderboard.py run DATA --folder FOLDER             # every board that has no results yet
    python benchmarks/leaderboard.py run DATA --folder FOLDER --boards frappe-all census-income-tuned
    python benchmarks/leaderboard.py commands                             # what each board runs, and which are there
    python benchmarks/leaderboard.py table                                # puts the results into both pages

DATA holds a folder a set, each with train.parquet, valid.parquet and schema.json (label, extra). The valid file is the
test set of a board, and early stopping uses a tenth of train; "by time" the train file alone is used, and the last
tenth of its days is the test. A board is one comparison in a folder of its own below FOLDER: stopped, it goes on from
there with the same command. One that has ended lies in benchmarks/results/leaderboard, and is not run again.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from cells import with_table
from defaults import schema_of
from frappe import PUBLISHED
from frappe import RESULTS as AS_PUBLISHED
from machine import commit, hardware
from masknet.compare import Entry
from masknet.compare.folder import CompareFolder
from masknet.compare.statistics import LEVEL, Comparison, holm

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "leaderboard"
PAGES = {
    ROOT / "docs" / "leaderboard.md": ("tuned", "all"),
    ROOT / "docs" / "ablations.md": ("ablations", "blocks"),
}
"""The kinds of the boards that stand there."""

SETS = {"frappe": 3, "movielens-100k": 3, "nycflights13": 1, "nycflights13 by time": 1, "census-income": 1}
"""By set, how many seeds of all models are trained."""

FORMS = ("serial", "parallel")
"""The networks whose parts are taken out; a row that names one in its name is a variant of it."""

SEEDS_OF_PARTS = 3

TUNED = ("parallel-masknet", "serial-masknet", "finalmlp", "dcnv2", "dnn", "gbdt")
MINUTES = 4
"""The models that are tuned, and for how long each."""


@dataclass(frozen=True)
class Board:
    """One comparison.

    Args:
        set: the data, and how they are split.
        kind: what is compared.
        flags: of `masknet compare`, but those of the data.
    """

    set: str
    kind: str
    flags: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.set.replace(' ', '-')}-{self.kind}"

    @property
    def results(self) -> Path:
        return RESULTS / f"{self.name}.json"

    def read(self) -> dict[str, Any] | None:
        """What it came to; None while it has not ended."""
        return json.loads(self.results.read_text(encoding="utf-8")) if self.results.exists() else None

    def words(self, data: Path, folder: Path) -> list[str]:
        """The command line."""
        place, schema = schema_of(data, self.set)
        named = [str(place / "train.parquet"), "--label", schema["label"]]
        if self.set.endswith("by time"):
            split = ["--time", "date"]
        else:
            split = ["--test", str(place / "valid.parquet")]
            split += ["--ignore", ",".join(schema["extra"])] if schema["extra"] else []
        return ["compare", *named, *split, *self.flags, "--verify", "--threads", "1", "--out", str(folder / self.name)]


def boards() -> Iterator[Board]:
    for name, seeds in SETS.items():
        yield Board(name, "all", ("--models", "all", "--seeds", str(seeds)))
    for name in SETS:
        yield Board(name, "tuned", ("--models", ",".join(TUNED), "--tuned", str(MINUTES), "--seeds", "3"))
    for name in ("frappe", "nycflights13"):
        yield Board(name, "ablations", ("--experiment", "benchmarks/ablations.yaml", "--seeds", str(SEEDS_OF_PARTS)))
    yield Board("nycflights13", "blocks", ("--experiment", "benchmarks/blocks.yaml", "--seeds", "1"))


def run(board: Board, data: Path, folder: Path) -> None:
    """Run it to its end, and keep what it came to."""
    command = [sys.executable, "-c", "from masknet.cli import main; main()", *board.words(data, folder)]
    if code := subprocess.run(command, cwd=ROOT, check=False).returncode:
        raise SystemExit(f"{board.name} ended with exit code {code}; the same command goes on from where it was")
    keep(board, data, folder)


def keep(board: Board, data: Path, folder: Path) -> None:
    """Keep what a board that has ended in a folder came to."""
    found = json.loads((folder / board.name / "results.json").read_text(encoding="utf-8"))
    told = " ".join(["masknet", *board.words(data, folder)])
    for place in (data, folder):  # those of this machine
        told = told.replace(f"{place}/", "")
    kept = {
        "commit": commit(),
        "hardware": hardware(1),
        "command": told,
        "test": found["test"],
        "seeds": found["seeds"],
        "best": found["best"],
        "verdict": found["verdict"],
        "models": [_kept(model) for model in found["models"]],
        **({"parts": _parts(board, found["models"], data, folder)} if board.kind == "ablations" else {}),
    }
    RESULTS.mkdir(exist_ok=True)
    board.results.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


def _kept(model: dict[str, Any]) -> dict[str, Any]:
    """What a table tells of a model."""
    names = ("model", "status", "reason", "members", "parameters", "aucs", "difference", "tuned", "left_out")
    kept = {name: model[name] for name in names if model.get(name) is not None}
    if "metrics" in model:
        kept["metrics"] = {name: model["metrics"][name] for name in ("auc", "log_loss", "calibration_ratio")}
    return kept


def _parts(board: Board, models: Sequence[dict[str, Any]], data: Path, folder: Path) -> list[dict[str, Any]]:
    """Each variant of a network beside the network: by how much that ranks better, paired, over the seeds."""
    place, schema = schema_of(data, board.set)
    labels = pl.read_parquet(place / "valid.parquet", columns=[schema["label"]]).to_series().to_numpy()
    found = CompareFolder(folder / board.name)
    scores = {}
    for name in (model["model"] for model in models if model["status"] == "ok"):
        stem = Entry(name, "").stem
        scores[name] = [found.scores(stem, seed)[:, 0] for seed in range(SEEDS_OF_PARTS)]
    pairs = [(name, base) for base in FORMS for name in scores if name != base and base in name.split()]
    differences = {}
    for name, base in pairs:
        differences[name] = Comparison(labels, {base: scores[base], name: scores[name]}).difference(base, name)
    corrected = holm({name: one.p for name, one in differences.items()})
    parts = []
    for name, base in pairs:
        low, high = differences[name].interval() or (None, None)
        own = {"of": base, "variant": name, "value": differences[name].value, "low": low, "high": high}
        parts.append(own | {"p": differences[name].p, "p_corrected": corrected[name]})
    return parts


# The page


def _ranked(found: dict[str, Any]) -> list[dict[str, Any]]:
    ran = [model for model in found["models"] if model["status"] == "ok"]
    return sorted(ran, key=lambda model: -model["metrics"]["auc"]["value"])


def _cells(model: dict[str, Any]) -> list[str]:
    auc, loss = model["metrics"]["auc"], model["metrics"]["log_loss"]
    difference = model["difference"]
    apart = f"{difference['value']:+.4f}" + (" tie" if difference["tie"] else "")
    spread = max(model["aucs"]) - min(model["aucs"]) if len(model["aucs"]) > 1 else None
    return [
        f"`{model['model']}`",
        f"{auc['value']:.4f}",
        f"{auc['low']:.4f} to {auc['high']:.4f}",
        "" if spread is None else f"{spread:.4f}",
        "best" if difference["to"] == model["model"] else apart,
        f"{loss['value']:.4f}",
        f"{model['parameters']:,}",
    ]


_HEADS = ("model", "AUC", "95 % interval", "spread of the seeds", "to the best", "log loss", "parameters")


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(cells)} |" for cells in (heads, ["---"] * len(heads), *rows)]
    return "\n".join(lines) + "\n"


def _told(found: dict[str, Any]) -> str:
    """What a board is of, under its table."""
    seeds = "one seed" if found["seeds"] == 1 else f"{found['seeds']} seeds"
    left = [f"`{model['model']}` {model['status']}" for model in found["models"] if model["status"] != "ok"]
    without = f"; {', '.join(left)}" if left else ""
    return (
        f"\n{found['test']['rows']:,} test rows, {seeds}, one member each{without}. `{found['command']}` (commit "
        f"{found['commit']}).\n"
    )


def of_board(board: Board) -> str:
    """The table of a board, or the command that was not run to its end."""
    found = board.read()
    if found is None:
        command = f"python benchmarks/leaderboard.py run DATA --folder FOLDER --boards {board.name}"
        return f"Not run to its end yet: `{command}`.\n"
    return _table(_HEADS, [_cells(model) for model in _ranked(found)]) + _told(found)


def of_parts(board: Board) -> str:
    """By how much each network ranks better than its variants, or nothing where the board has not ended."""
    found = board.read()
    if found is None:
        return ""
    rows = []
    for part in found["parts"]:
        told = part["p_corrected"] is not None and part["p_corrected"] < LEVEL
        between = "" if part["low"] is None else f"{part['low']:+.4f} to {part['high']:+.4f}"
        rows.append(
            [f"`{part['of']}`", f"`{part['variant']}`", f"{part['value']:+.4f}", between, "yes" if told else "no"]
        )
    return _table(("network", "beside", "its AUC more", "95 % interval", "told apart"), rows)


def of_frappe(board: Board) -> str:
    """Beside the public leaderboard, and beside its configurations trained here."""
    found = board.read()
    if found is None:
        return of_board(board)
    published = json.loads(AS_PUBLISHED.read_text(encoding="utf-8"))["runs"]
    rows = []
    for model in _ranked(found):
        name = model["model"]
        runs = [run for run in published if run["model"] == name]
        rows.append(
            [
                *_cells(model),
                f"{PUBLISHED[name][2]:.4f} / {PUBLISHED[name][3]:.4f}" if name in PUBLISHED else "",
                " / ".join(f"{statistics.fmean(run[key] for run in runs):.4f}" for key in ("auc", "log_loss") if runs),
            ]
        )
    heads = (*_HEADS, "published, AUC / log loss", "its configuration here, stopped on these rows")
    return _table(heads, rows) + _told(found)


def of_ranks(tuned: Sequence[Board]) -> str:
    """The mean rank over the sets whose tuned board has ended."""
    found = {board.set: board.read() for board in tuned}
    ended = {name: [model["model"] for model in _ranked(one)] for name, one in found.items() if one is not None}
    if not ended:
        return "No tuned board has ended yet.\n"
    ranks = {model: [names.index(model) + 1 for names in ended.values() if model in names] for model in TUNED}
    order = sorted((model for model in TUNED if ranks[model]), key=lambda model: statistics.fmean(ranks[model]))
    rows = [
        [f"`{model}`", f"{statistics.fmean(ranks[model]):.1f}", *(str(rank) for rank in ranks[model])]
        for model in order
    ]
    return _table(("model", "mean rank", *ended), rows)


def page(text: str, kinds: Sequence[str]) -> str:
    """The page of these kinds of boards with all its tables anew."""
    found = [board for board in boards() if board.kind in kinds]
    for board in found:
        made = of_frappe(board) if board.name == "frappe-all" else of_board(board)
        text = with_table(text, board.name, made)
        if board.kind == "ablations":
            text = with_table(text, f"parts of {board.name}", of_parts(board))
    tuned = [board for board in found if board.kind == "tuned"]
    return with_table(text, "ranks", of_ranks(tuned)) if tuned else text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(required=True, dest="verb")
    running = verbs.add_parser("run")
    running.add_argument("data", type=Path)
    running.add_argument("--folder", type=Path, required=True)
    names = [board.name for board in boards()]
    running.add_argument("--boards", nargs="*", default=names, choices=names)
    verbs.add_parser("commands")
    verbs.add_parser("table")
    given = parser.parse_args()
    if given.verb == "table":
        for path, kinds in PAGES.items():
            path.write_text(page(path.read_text(encoding="utf-8"), kinds), encoding="utf-8")
        return
    for board in boards():
        if given.verb == "commands":
            print(f"{'ended' if board.read() else 'open '} {board.name}: masknet {' '.join(board.flags)}")
        elif board.name in given.boards and board.read() is None:
            given.folder.mkdir(parents=True, exist_ok=True)
            run(board, given.data.absolute(), given.folder.absolute())


if __name__ == "__main__":
    main()
