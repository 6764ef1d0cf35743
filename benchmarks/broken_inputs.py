"""Broken and odd inputs, and what the command line prints of each; the table of docs/broken-inputs.md.

    python benchmarks/broken_inputs.py        # runs them all, writes the page

Each case makes its files in an empty folder and runs one command there. The tests run the same cases.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "broken-inputs.md"
N = 60
QUICK = "--epochs 1 --members 1 --threads 1 --valid-fraction .2 --cache-dir cache"


@dataclass(frozen=True)
class Case:
    """An input, the command it is given to, and what is expected: the exit code, and words of what is printed."""

    what: str
    make: Callable[[], None]
    command: str
    code: int
    says: str


def log(**columns: object) -> pl.DataFrame:
    """A log of 60 rows, with these columns beside or in the place of the usual ones."""
    base = {
        "click": [i % 3 == 0 for i in range(N)],
        "user": [f"u{i % 7}" for i in range(N)],
        "x": [i * 0.5 for i in range(N)],
    }
    return pl.DataFrame({**{k: v for k, v in base.items() if k not in columns}, **columns}, strict=False).with_columns(
        pl.col("click").cast(pl.Int8) if "click" not in columns else []
    )


def table(name: str = "a.parquet", **columns: object) -> Callable[[], None]:
    def make() -> None:
        frame = log(**columns)
        frame.write_csv(name) if name.endswith("csv") else frame.write_parquet(name)

    return make


def text(content: str | bytes, name: str = "a.csv") -> Callable[[], None]:
    return lambda: Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())


def both(*makers: Callable[[], None]) -> Callable[[], None]:
    return lambda: [make() for make in makers] and None


def shards(first: pl.DataFrame, second: pl.DataFrame, kind: str = "parquet") -> Callable[[], None]:
    def make() -> None:
        Path("s").mkdir()
        for name, frame in (("1", first), ("2", second)):
            path = f"s/{name}.{kind}"
            frame.write_parquet(path) if kind == "parquet" else frame.write_csv(path)

    return make


def rows(cell: Callable[[int], object]) -> list[object]:
    return [cell(i) for i in range(N)]


def csv(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"


TRAIN = f"train a.parquet --label click {QUICK} --out m.masknet"
TRAIN_CSV = f"train a.csv --label click {QUICK} --out m.masknet"
PAIRS = rows(lambda i: f"a:0.5|b:{i}.5" if i != 7 else "a|b:2")
VEC = rows(lambda i: [0.1, 0.2, 0.3] if i != 11 else [0.1, 0.2])
MOMENT = dt.datetime(2026, 1, 1)
PLAIN_CSV = csv(["click,user", *(f"{i % 2},u{i % 5}" for i in range(N))])
MODEL = f"train t.parquet --label click {QUICK} --out m.masknet"

CASES: tuple[Case, ...] = (
    Case("a bag with a wrong separator", table(tags=rows(lambda i: "a,b" if i % 2 else "c")),
         f"{TRAIN} --bag tags --separator tags=;", 1, "stands in no cell of column 'tags'"),
    Case("a separator for a bag of lists", table(tags=rows(lambda i: ["a", "b"])),
         f"{TRAIN} --bag tags --separator tags=;", 1, "is for bags whose cells are texts"),
    Case("a weighted bag, one value without a weight", table(tags=PAIRS),
         f"{TRAIN} --bag tags --weighted tags", 1, "row 8"),
    Case("a weighted bag with an infinite weight", table(tags=rows(lambda i: "a:inf|b:1")),
         f"{TRAIN} --bag tags --weighted tags", 1, "finite weight"),
    Case("a length for a column that is no bag", table(), f"{TRAIN} --max-length user=3", 1, "is for columns of the kind bag"),
    Case("a vector of another width", table(v=VEC), f"{TRAIN} --dense v", 1, "row 12"),
    Case("a vector with a NaN", table(v=rows(lambda i: [0.1, float("nan") if i == 5 else 0.2])),
         f"{TRAIN} --dense v", 1, "finite numbers"),
    Case("a dense column of words", table(v=rows(lambda i: "soft warm")), f"{TRAIN} --dense v", 1, "finite numbers"),
    Case("a vector of another width in the valid file only",
         both(table(v=rows(lambda i: [0.5, 1.5])), table("v.parquet", v=rows(lambda i: [0.5, 1.5, 2.5]))),
         "train a.parquet --label click --valid v.parquet --epochs 1 --members 1 --cache-dir cache --out m.masknet", 1,
         "row 1 of v.parquet"),
    Case("timestamps in two zones, some without one",
         table("a.csv", at=rows(lambda i: f"2026-01-{i % 28 + 1:02}T10:00:00" + ("Z" if i % 9 == 0 else ""))),
         f"{TRAIN_CSV} --datetime at", 1, "all name their zone"),
    Case("timestamps that name two zones, each of them its own",
         table("a.csv", at=rows(lambda i: f"2026-01-{i % 28 + 1:02}T10:00:00" + ("Z" if i % 9 == 0 else "+02:00"))),
         TRAIN_CSV, 0, "dates and times"),
    Case("a moment that is none", table("a.csv", at=rows(lambda i: "2026-02-30" if i == 3 else "2026-02-03")),
         f"{TRAIN_CSV} --datetime at", 1, "row 4"),
    Case("times of day as moments", table(at=rows(lambda i: dt.time(i % 24))), f"{TRAIN} --datetime at", 1, "holds Time"),
    Case("naive moments in training, zoned ones in the valid file",
         both(table(at=rows(lambda i: MOMENT)), table("v.csv", at=rows(lambda i: "2026-01-01T00:00:00Z"))),
         "train a.parquet --label click --valid v.csv --epochs 1 --members 1 --cache-dir cache --out m.masknet", 1,
         "named no zone in training"),
    Case("a label column in the valid file only",
         both(lambda: log().drop("click").write_parquet("a.parquet"), table("v.parquet")),
         "train a.parquet --label click --valid v.parquet --epochs 1 --cache-dir cache --out m.masknet", 1,
         "unknown column 'click'"),
    Case("a shard with another schema", shards(log(), log().rename({"x": "y"})),
         f"train s --label click {QUICK} --out m.masknet", 1, "lacks 'x', has 'y' besides"),
    Case("a column whose type changes between shards", shards(log(x=rows(lambda i: i)), log(x=rows(lambda i: f"n{i}"))),
         f"train s --label click {QUICK} --out m.masknet", 0, "lies in m.masknet"),
    Case("an empty shard among others", shards(log(), log().head(0)),
         f"train s --label click {QUICK} --out m.masknet", 0, "lies in m.masknet"),
    Case("shards of two formats", both(shards(log(), log()), lambda: log().write_csv("s/3.csv")),
         f"train s --label click {QUICK} --out m.masknet", 1, "have one format"),
    Case("partitions of two kinds", lambda: [
        Path("h", part).mkdir(parents=True) or log().write_parquet(f"h/{part}/p.parquet") for part in ("day=1", "hour=1")
    ] and None, f"train h --label click {QUICK} --out m.masknet", 1, "lacks 'day'"),
    Case("a field named like the output column", table(probability=rows(lambda i: i)), TRAIN, 1,
         "'probability' is the column that predictions are written to"),
    Case("emoji, NUL and quotes in values", table(user=rows(lambda i: f"🙂\0\"',{i % 3}")), TRAIN, 0, "lies in m.masknet"),
    Case("a name of a column with a line break", table(**{"a\nb": rows(lambda i: i % 2)}), TRAIN, 0, "lies in m.masknet"),
    Case("a row of 10 MB", text(csv(["click,user", "1," + "z" * 10_000_000, *(f"{i % 2},u{i % 5}" for i in range(N))])),
         TRAIN_CSV, 0, "lies in m.masknet"),
    Case("a byte-order mark and carriage returns", text(b"\xef\xbb\xbf" + PLAIN_CSV.replace("\n", "\r\n").encode()),
         TRAIN_CSV, 0, "lies in m.masknet"),
    Case("a name too few for a file without a header", text(csv([f"{i % 2},u{i % 5},7" for i in range(N)])),
         f"{TRAIN_CSV} --columns click,user", 1, "3"),
    Case("names for a file that has a header", text(PLAIN_CSV), f"{TRAIN_CSV} --columns click,user", 1, "header"),
    Case("names for a Parquet file", table(), f"{TRAIN} --columns click,user,x", 1, "--columns"),
    Case("labels of 0 and -1", text(csv(["click,user", *(f"{(i % 2) - 1},u{i % 5}" for i in range(N - 1)), "1,u1"])),
         TRAIN_CSV, 1, "-1"),
    Case("libsvm, an entry that is no number", text(csv(["1 3:1 4:1", "0 3:x", *(["0 4:1", "1 5:1"] * 20)]), "a.libsvm"),
         f"train a.libsvm --label label {QUICK} --out m.masknet", 1, "row 2"),
    Case("libsvm, an id outside the declared ranges", text(csv(["1 3:1", *(["0 4:1", "1 50:1"] * 20)]), "a.libsvm"),
         f"train a.libsvm --label label --columns f=0-9 {QUICK} --out m.masknet", 1, "row 3"),
    Case("libffm, a token of two parts", text(csv(["1 0:3:1 1:4:1", "0 0:3", *(["0 0:4:1", "1 1:5:1"] * 20)]), "a.libffm"),
         f"train a.libffm --label label {QUICK} --out m.masknet", 1, "row 2"),
    Case("hashing a numeric field", table(), f"{TRAIN} --numeric x --hash x=10", 1, "is for columns that are categorical or bag"),
    Case("no buckets", table(), f"{TRAIN} --hash user=0", 1, "hash.user"),
    Case("sharing the vocabulary of a number", table(), f"{TRAIN} --numeric x --share user=x", 1, "'x' is numeric"),
    Case("sharing in a chain", table(b=rows(lambda i: "u1"), c=rows(lambda i: "u2")),
         f"{TRAIN} --share b=user --share c=b", 1, "itself reads another's"),
    Case("an option for a column that is not there", table(), f"{TRAIN} --hash usr=10", 1, "did you mean 'user'?"),
    Case("a pair without its value", table(), f"{TRAIN} --hash user", 1, "FIELD=BUCKETS"),
    Case("pretrained vectors of another width", both(table(), lambda: pl.DataFrame(
        {"v": ["u1"], "e": [[1.0, 2.0, 3.0]]}).write_parquet("e.parquet")),
        f"{TRAIN} --pretrained user=e.parquet", 1, "embedding_dim"),
    Case("pretrained vectors of no known value", both(table(), lambda: pl.DataFrame(
        {"v": ["nobody"], "e": [[0.5] * 10]}).write_parquet("e.parquet")),
        f"{TRAIN} --pretrained user=e.parquet", 1, "user"),
    Case("freezing without vectors", table(), f"{TRAIN} --freeze user", 1, "pretrained"),
    Case("a share of the negatives above 1", table(), f"{TRAIN} --negative-rate 1.5", 1, "negative_rate"),
    Case("no members", table(), f"{TRAIN} --members 0", 1, "the 'members' setting"),
    Case("a quarantine of most rows", table(click=rows(lambda i: 7 if i % 3 else i % 2)), f"{TRAIN} --bad-rows quarantine", 1,
         "more than half"),
    Case("a quarantine of a few rows", table(click=rows(lambda i: 7 if i == 9 else i % 2)), f"{TRAIN} --bad-rows quarantine", 0,
         "1 of 60 rows of a.parquet are bad"),
    Case("lists declared categorical", table(tags=rows(lambda i: ["a"])), f"{TRAIN} --categorical tags", 1, "plain values"),
    Case("a network whose module has a slip", both(table(), text("class Net(:\n", "net.py")), f"{TRAIN} --model net:Net", 1, "net"),
    Case("a network that is nowhere", table(), f"{TRAIN} --model nowhere:Net", 1, "nowhere"),
)  # fmt: skip


def run(case: Case, folder: Path) -> tuple[int, str]:
    """The exit code, and the last line that was printed (of a success, the last that says so)."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        case.make()
    finally:
        os.chdir(before)
    command = [sys.executable, "-c", "from masknet.cli import main; main()", *shlex.split(case.command)]
    environment = os.environ | {"COLUMNS": "1000", "NO_COLOR": "1", "TERM": "dumb"}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=environment)
    printed = done.stdout + done.stderr
    assert "Traceback" not in printed, f"{case.what}: {printed}"
    lines = [line.strip(" │") for line in printed.splitlines() if line.strip(" │─╭╮╰╯")]
    said = [line for line in lines if case.says in line]
    assert done.returncode == case.code, f"{case.what}: exit code {done.returncode}: {printed}"
    assert said, f"{case.what}: {case.says!r} is not in: {printed}"
    return done.returncode, said[-1]


def main() -> None:
    found, failures = [], 0
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            try:
                code, said = run(case, Path(folder))
            except AssertionError as error:
                failures += 1
                print(f"NOT AS EXPECTED: {error}", flush=True)
                continue
        found.append((case, code, said))
        print(json.dumps([case.what, code, said], ensure_ascii=False), flush=True)
    if failures:
        sys.exit(f"{failures} cases are not as expected; the page is not written")
    PAGE.write_text(page(found), encoding="utf-8")


def page(found: list[tuple[Case, int, str]]) -> str:
    def cell(words: str) -> str:
        return words.replace("|", "\\|").replace("\n", " ")

    lines = [
        "# What broken input prints",
        "",
        "Made by `python benchmarks/broken_inputs.py`, which runs every case; the tests run them too. 1 is a user's error,",
        "2 wrong usage; where the code is 0 the input is odd, and read all the same. `QUICK` stands for",
        f"`{QUICK}`.",
        "",
        "| input | command | code | what it printed |",
        "|---|---|---|---|",
    ]
    for case, code, said in found:
        command = case.command.replace(QUICK, "QUICK").replace(" --out m.masknet", "")
        shown = said if len(said) < 400 else said[:397] + "..."
        lines.append(f"| {cell(case.what)} | `{cell(command)}` | {code} | {cell(shown)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
