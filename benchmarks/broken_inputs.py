"""Inputs that people bring and that are broken, or look so: what `masknet` says of each, and what it leaves behind.

    python benchmarks/broken_inputs.py

runs every case in a folder of its own, prints the table of `docs/broken-inputs.md` and writes it there, and writes
`benchmarks/results/broken_inputs.json`. `tests/cli/test_broken_inputs.py` runs the same cases, and holds both to them.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

ROOT = Path(__file__).parent.parent
RESULT = ROOT / "benchmarks" / "results" / "broken_inputs.json"
PAGE = ROOT / "docs" / "broken-inputs.md"

TINY = "--set embedding_dim=2 --set block_dims=[4] --set top_dims=[4] --epochs 1 --members 1 --threads 1"
ROWS = 200
DISKS = {
    "full": "import resource as r; r.setrlimit(r.RLIMIT_FSIZE, (1000, r.RLIM_INFINITY))",
    "short": "import shutil, types; shutil.disk_usage = lambda path: types.SimpleNamespace(free=100)",
}
"""What a process does to itself so that it finds such a disk."""


@dataclass(frozen=True)
class Case:
    """One input.

    Args:
        what: what is wrong with it, or seems so.
        command: the verb and its arguments; `TINY` stands before those of `train`.
        write: makes the files in the current folder.
        after: a command that is run first: the one that trains the model to be used.
        read: a text that the output holds where the input is read on purpose; "" where it is refused.
        happens: for such an input, what became of it.
        disk: what is wrong with the disk: "full" or "short".
    """

    what: str
    command: str
    write: Callable[[], object]
    after: str = ""
    read: str = ""
    happens: str = ""
    disk: str = ""

    def arguments(self) -> list[list[str]]:
        """Of the commands to run in their order; the last is the case's own."""
        commands = [shlex.split(text) for text in (self.after, self.command) if text]
        return [["train", *shlex.split(TINY), *words[1:]] if words[0] == "train" else words for words in commands]


def log() -> pl.DataFrame:
    """A click log: a user, a site, a price, the seconds."""
    rng = np.random.default_rng(0)
    user = rng.integers(20, size=ROWS)
    return pl.DataFrame(
        {
            "click": (rng.random(ROWS) < 0.2 + 0.5 * (user % 2)).astype(np.int64),
            "user_id": user,
            "site": rng.choice(["north", "south", "east"], ROWS),
            "price": rng.lognormal(size=ROWS).round(3),
        }
    )


def cells(name: str, value: object, odd: object = None, row: int = 17, dtype: Any = None) -> pl.Series:
    """A column of one value, but for one row (counted from 1)."""
    return pl.Series(name, [odd if i == row - 1 else value for i in range(ROWS)], dtype=dtype, strict=False)


def csv(*columns: pl.Series, name: str = "log.csv", **options: Any) -> Callable[[], object]:
    """Writes the log with more columns, or other ones."""
    return lambda: _folder(name) and log().with_columns(*columns).write_csv(name, **options)


def parquet(*columns: pl.Series, name: str = "log.parquet") -> Callable[[], object]:
    """Writes the log with more columns, or other ones, as Parquet."""
    return lambda: _folder(name) and log().with_columns(*columns).write_parquet(name)


def text(*lines: str, name: str = "log.libsvm", times: int = 1) -> Callable[[], object]:
    """Writes lines, so many times over."""
    content = "".join(f"{line}\n" for line in lines * times)
    return lambda: _folder(name) and Path(name).write_text(content, encoding="utf-8")


def both(*writers: Callable[[], object]) -> Callable[[], object]:
    """All of them."""
    return lambda: [write() for write in writers]


def _folder(name: str) -> bool:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    return True


def libsvm(odd: str, *, name: str = "log.libsvm", row: str = "{} 3:1 7:0.5") -> Callable[[], object]:
    """A sparse log with one other line, the 17th."""
    return text(*(odd if i == 16 else row.format(i % 2) for i in range(ROWS)), name=name)


def table(edit: Callable[[str], str]) -> Callable[[], object]:
    """The log as CSV, edited as a text."""
    return lambda: Path("log.csv").write_bytes(edit(log().write_csv()).encode())


def delimited(delimiter: str, name: str) -> Callable[[], object]:
    """The log with another delimiter."""
    return lambda: Path(name).write_text(log().write_csv().replace(",", delimiter), encoding="utf-8")


def quoted_titles(name: str) -> Callable[[], object]:
    """A log with tabs, two of whose titles begin with a quote."""
    titles = pl.Series("title", ['"Alien' if i in (100, 140) else "Alien" for i in range(ROWS)])
    return lambda: log().with_columns(titles).write_csv(name, separator="\t", quote_style="never")


def latin(name: str) -> Callable[[], object]:
    """A log in Latin-1."""
    return lambda: Path(name).write_bytes(log().write_csv().replace("south", "s\u00fcd").encode("latin-1"))


def zipped(name: str, *members: str) -> Callable[[], object]:
    """The log several times in a zip."""

    def write() -> None:
        with zipfile.ZipFile(name, "w") as archive:
            for member in members:
                archive.writestr(member, log().write_csv())

    return write


def cut_gzip() -> None:
    """A packed log without its end."""
    Path("log.csv.gz").write_bytes(gzip.compress(log().write_csv().encode(), mtime=0)[:-200])


def columns_of(name: str, kind: str) -> Callable[[], object]:
    """A module with a network of the user's own."""
    return text(kind, name=name)


def looked_at(train: str) -> str:
    """The command that shows every column as this one reads it."""
    return train.replace("train ", "inspect ", 1)


TRAIN = "train log.csv --label click"
PARQUET = "train log.parquet --label click"
SPARSE = "train log.libsvm --label label"
TRAINED = f"{TRAIN} --out ads.masknet"
TAGS = csv(cells("tags", "a|b", "b|c"))
SEEN = parquet(cells("seen", [1, 2], [3]))
VECTOR = cells("vector", [0.5, 1.5], [0.5, 2.5])

CASES = [
    # Bags
    Case("a bag with a separator that stands nowhere", f"{TRAIN} --bag tags --separator tags=;", TAGS),
    Case("an empty separator", f"{TRAIN} --bag tags --separator tags=", TAGS),
    Case("a separator for a bag of lists", f"{PARQUET} --separator 'seen=|' --bag seen", SEEN),
    Case(
        "a weighted bag, one value of it without a weight",
        f"{TRAIN} --bag tags --weighted tags",
        csv(cells("tags", "a:1|b:0.5", "a:1|b")),
    ),
    Case(
        "a weighted bag with an infinite weight",
        f"{TRAIN} --bag tags --weighted tags",
        csv(cells("tags", "a:1|b:0.5", "a:1|b:inf")),
    ),
    Case("a weighted bag whose lists have no weights", f"{PARQUET} --weighted seen --bag seen", SEEN),
    Case("a column declared weighted that is no bag", f"{TRAIN} --weighted site", TAGS),
    Case("--max-length of a column that is no bag", f"{TRAIN} --max-length site=3", TAGS),
    Case("--max-length of 0", f"{TRAIN} --bag tags --max-length tags=0", TAGS),
    Case("a pooling that is none", f"{TRAIN} --bag tags --pooling tags=max", TAGS),
    Case("a column of lists declared categorical", f"{PARQUET} --categorical seen", SEEN),
    Case("a list of lists declared a bag", f"{PARQUET} --bag seen", parquet(cells("seen", [[1], [2]], [[3]]))),
    Case(
        "lists written as text",
        f"{TRAIN} --bag seen",
        csv(cells("seen", "[1, 2]", "[2, 3]")),
        happens="they are read as lists",
        read="lies in",
    ),
    # Vectors
    Case("a vector of another width", f"{PARQUET} --dense vector", parquet(cells("vector", [0.5, 1.5], [0.5]))),
    Case("NaN in a vector", f"{PARQUET} --dense vector", parquet(cells("vector", [0.5, 1.5], [0.5, float("nan")]))),
    Case("a vector beyond float32", f"{PARQUET} --dense vector", parquet(cells("vector", [0.5, 1.5], [0.5, 1e300]))),
    Case("a dense column of words", f"{TRAIN} --dense site", csv()),
    Case("a word in a vector of text", f"{TRAIN} --dense vector", csv(cells("vector", "0.5 1.5", "0.5 west"))),
    Case(
        "a vector of another width in the valid file only",
        f"{PARQUET} --dense vector --valid valid.parquet",
        both(parquet(VECTOR), parquet(cells("vector", [0.5, 1.5], [1.0]), name="valid.parquet")),
    ),
    Case(
        "all vectors of another width in the valid file",
        f"{PARQUET} --valid valid.parquet",
        both(parquet(VECTOR), parquet(cells("vector", [1.0, 2.0, 3.0]), name="valid.parquet")),
    ),
    Case("--project of a column that is no vector", f"{TRAIN} --project price", csv()),
    # Moments
    Case(
        "a timestamp in two zones",
        looked_at(TRAIN),
        csv(cells("at", "2026-01-31T12:00:00+01:00", "2026-01-31T12:00:00+05:30")),
        after=TRAIN,
        read="at datetime ? dates and times",
        happens="each is its own instant; hour and weekday are those written",
    ),
    Case(
        "a moment that names its zone among such that do not",
        f"{TRAIN} --datetime at",
        csv(cells("at", "2026-01-31T12:00:00", "2026-01-31T12:00:00Z")),
    ),
    Case(
        "the same, with nothing declared",
        TRAIN,
        csv(cells("at", "2026-01-31T12:00:00", "2026-01-31T12:00:00Z")),
        read="at categorical ? texts, many like moments",
        happens="the column is categorical, and is marked with a ?",
    ),
    Case(
        "moments without a zone in training, with one in the valid file",
        f"{TRAIN} --valid valid.csv",
        both(csv(cells("at", "2026-01-31 12:00:00")), csv(cells("at", "2026-02-01 12:00:00Z"), name="valid.csv")),
    ),
    Case("a datetime column of times of day", f"{TRAIN} --datetime at", csv(cells("at", "12:30:00", "7:00"))),
    Case(
        "times of day in Parquet",
        f"{PARQUET} --datetime at",
        parquet(cells("at", time(12, 30), time(7))),
    ),
    Case("a day that is not in the calendar", f"{TRAIN} --datetime at", csv(cells("at", "2026-01-31", "2026-02-30"))),
    # Tables and shards
    Case(
        "a label in the valid file only",
        f"{TRAIN} --valid valid.csv",
        both(lambda: log().drop("click").write_csv("log.csv"), csv(name="valid.csv")),
    ),
    Case(
        "a second label in the valid file only",
        f"{TRAIN} --valid valid.csv",
        both(csv(), csv(cells("bought", 1), log()["price"] * 2, name="valid.csv")),
        read="measured on 200 validation rows",
        happens="the model reads the columns of training; one more in the valid file is not read",
    ),
    Case(
        "a shard with another schema",
        "train logs --label click",
        both(csv(name="logs/a.csv"), csv(cells("sight", "x"), name="logs/b.csv")),
    ),
    Case(
        "a shard in which a column has another name",
        "train logs --label click",
        both(csv(name="logs/a.csv"), lambda: log().rename({"site": "sight"}).write_csv("logs/b.csv")),
    ),
    Case(
        "integers in one shard, texts in the next",
        looked_at("train logs --label click"),
        both(
            parquet(name="logs/a.parquet"),
            parquet(log()["user_id"].cast(pl.String), name="logs/b.parquet"),
        ),
        after="train logs --label click",
        read="user_id categorical texts 20 ",
        happens="7 and '7' are one value: 20 distinct",
    ),
    Case(
        "fractions in one shard, lists of them in the next",
        "train logs --label click",
        both(parquet(cells("x", 1.5), name="logs/a.parquet"), parquet(cells("x", [1.5]), name="logs/b.parquet")),
        read="x ignored ? lists of fractional numbers",
        happens="the column is left out, and is marked with a ?",
    ),
    Case(
        "texts in one shard, lists of them in the next",
        looked_at("train logs --label click --bag x"),
        both(parquet(cells("x", "a", "b"), name="logs/a.parquet"), parquet(cells("x", ["a"]), name="logs/b.parquet")),
        after="train logs --label click --bag x",
        read="x bag declared",
        happens="a text without a separator is a bag of one value",
    ),
    Case(
        "texts in one shard, structs in the next",
        "train logs --label click --categorical x",
        both(
            parquet(cells("x", "a", "b"), name="logs/a.parquet"), parquet(cells("x", {"a": 1}), name="logs/b.parquet")
        ),
    ),
    Case(
        "a declared number that is a date in the next shard",
        "train logs --label click --numeric x",
        both(
            parquet(cells("x", 1.5), name="logs/a.parquet"),
            parquet(cells("x", "2026-01-31", "2026-01-31").str.to_date(), name="logs/b.parquet"),
        ),
    ),
    Case(
        "a level of partitions that one shard lacks",
        "train logs --label click",
        both(csv(name="logs/day=1/hour=2/a.csv"), csv(name="logs/day=2/a.csv")),
    ),
    Case(
        "a folder with Parquet and CSV",
        "train logs --label click",
        both(csv(name="logs/a.csv"), parquet(name="logs/b.parquet")),
    ),
    Case(
        "a shard of 0 bytes",
        "train logs --label click",
        both(csv(name="logs/a.csv"), lambda: Path("logs/b.csv").touch()),
    ),
    Case(
        "a shard with a header and no row",
        looked_at("train logs --label click"),
        both(csv(name="logs/a.csv"), lambda: log().head(0).write_csv("logs/b.csv")),
        after="train logs --label click",
        read=": 200 rows",
        happens="its rows, none, are read",
    ),
    Case("--columns with a name too few", f"{TRAIN} --columns click,user_id,site", csv(include_header=False)),
    Case("--columns with a name twice", f"{TRAIN} --columns click,site,site,price", csv(include_header=False)),
    Case("--columns on a file with a header", f"{TRAIN} --columns click,user_id,site,price", csv()),
    Case("--columns on a Parquet file", f"{PARQUET} --columns click,user_id,site,price", parquet()),
    Case("--columns on a file with another header", f"{TRAIN} --columns click,u,s,p", csv()),
    Case(
        "a header with BOM, and CRLF",
        looked_at(TRAIN),
        table(lambda rows: "\ufeff" + rows.replace("\n", "\r\n")),
        after=TRAIN,
        read="click label declared",
        happens="neither is part of a name or a value",
    ),
    Case(
        "names that differ in case only",
        looked_at(TRAIN),
        csv(cells("Site", "x", "y")),
        after=TRAIN,
        read="Site categorical texts 2 ",
        happens="they are two columns",
    ),
    Case(
        "a column without a name",
        looked_at(TRAIN),
        table(lambda rows: rows.replace("user_id", "", 1)),
        after=TRAIN,
        read="categorical integers, under 50 distinct",
        happens="the empty text is its name",
    ),
    Case("a column named like an output column", TRAIN, csv(cells("probability", 0.5))),
    Case("a name with a line break, misspelt", f"{TRAIN} --numeric page_site", csv(cells("page\nsite", "x", "y"))),
    Case(
        "a name with a line break",
        TRAIN,
        csv(cells("page\nsite", "x", "y")),
        read="measured on 20 validation rows",
        happens="it is a name as any other",
    ),
    # Values
    Case(
        "emoji in values",
        looked_at(TRAIN),
        csv(cells("mood", "\U0001f600", "\U0001f468\u200d\U0001f469\u200d\U0001f467")),
        after=TRAIN,
        read="mood categorical texts 2 ",
        happens="they are texts as any other",
    ),
    Case(
        "NUL in a value",
        looked_at(TRAIN),
        csv(cells("mood", "a", "a\0b")),
        after=TRAIN,
        read="mood categorical texts 2 ",
        happens="it is part of the text",
    ),
    Case(
        "a row of 10 MB",
        looked_at(TRAIN),
        csv(cells("page", "x", "y" * 10_000_000)),
        after=TRAIN,
        read="page categorical texts 2 ",
        happens="it is read: a row may have 256 MiB",
    ),
    Case(
        "an integer id beyond 2^53 as a float",
        PARQUET,
        parquet(cells("ad_id", 2.0**60, 2.0**61)),
    ),
    Case("a label of -1 among 0 and 1", TRAIN, csv(log()["click"].set(log()["price"] < 1, -1))),
    Case("a label that is a probability", TRAIN, csv(cells("click", 1, 0.5))),
    Case("a negative weight", f"{TRAIN} --weight w", csv(cells("w", 1.0, -1.0))),
    Case(
        "quarantine where most rows are bad",
        f"{TRAIN} --bad-rows quarantine --numeric site",
        csv(),
    ),
    Case(
        "quarantine of one row",
        f"{TRAIN} --bad-rows quarantine",
        csv(cells("click", 0, 7).set(pl.Series(range(ROWS)) % 3 == 0, 1)),
        read="1 of 200 rows of log.csv are bad",
        happens="it lies in a file, with its place and the reason",
    ),
    Case("a word for --bad-rows that is none", f"{TRAIN} --bad-rows skip", csv()),
    # libsvm and libffm
    Case("libsvm: an id with a colon and no value", SPARSE, libsvm("1 3: 7:0.5")),
    Case(
        "libsvm: an id alone",
        looked_at(SPARSE),
        libsvm("1 3 7:0.5"),
        after=SPARSE,
        read="features bag weighted lists",
        happens="it weighs 1",
    ),
    Case(
        "libsvm: ids that do not ascend",
        looked_at(SPARSE),
        libsvm("1 7:0.5 3:1"),
        after=SPARSE,
        read="features bag weighted lists",
        happens="they are read in the order of the file",
    ),
    Case("libsvm: a token that is none", SPARSE, libsvm("1 3:1 user:7")),
    Case("libsvm: a row without a label", SPARSE, libsvm("3:1 7:0.5")),
    Case("libsvm: an id outside of all ranges", f"{SPARSE} --columns user=0-5,item=6-6", libsvm("1 3:1")),
    Case("libsvm: ranges that overlap", f"{SPARSE} --columns user=0-5,item=5-9", libsvm("1 3:1")),
    Case("libsvm: names without ranges", f"{SPARSE} --columns user,item", libsvm("1 3:1")),
    Case(
        "libffm: a token with the field missing",
        "train log.ffm --label label",
        libsvm("1 3:1", name="log.ffm", row="{} 0:3:1 1:7:0.5"),
    ),
    Case(
        "libffm: a row that lacks a field",
        looked_at("train log.ffm --label label"),
        libsvm("1 0:3:1", name="log.ffm", row="{} 0:3:1 1:7:0.5"),
        after="train log.ffm --label label",
        read="field_1 bag weighted lists, 1 values a row 1 1",
        happens="the field is missing in that row",
    ),
    Case(
        "libffm: a field that --columns does not name",
        "train log.ffm --label label --columns user=0",
        libsvm("1 0:3:1", name="log.ffm", row="{} 0:3:1 1:7:0.5"),
    ),
    # Files as they come
    Case(
        "semicolons in a .csv",
        TRAIN,
        csv(separator=";"),
        read="stands between the values",
        happens="they are found, and told",
    ),
    Case(
        "two colons between the values",
        "train log.dat --label click --delimiter ::",
        delimited("::", "log.dat"),
        read="lies in",
        happens="a delimiter may have several characters",
    ),
    Case(
        "a quote at the start of a value, and one 40 rows below",
        "train log.tsv --label click",
        quoted_titles("log.tsv"),
    ),
    Case(
        "the same, where quotes are said to be characters",
        "train log.tsv --label click --quote none",
        quoted_titles("log.tsv"),
        read="measured on 20 validation rows",
        happens="all 200 rows are read",
    ),
    Case("a quote that is none", f'{TRAIN} --quote "\'"', csv()),
    Case(
        "quotes with a backslash before them, as Spark writes them",
        TRAIN,
        table(lambda rows: rows.replace("north", '"the \\"north\\", they say"')),
        read="a backslash stands before the quotes",
        happens="it is found, and told",
    ),
    Case("an --escape of two characters", f"{TRAIN} --escape ab", csv()),
    Case("a text in Latin-1", TRAIN, latin("log.csv")),
    Case(
        "the same with --encoding",
        f"{TRAIN} --encoding latin-1",
        latin("log.csv"),
        read="lies in",
        happens="it is read",
    ),
    Case("an encoding that nobody knows", f"{TRAIN} --encoding latin-99", csv()),
    Case("a byte that the encoding has not", f"{TRAIN} --encoding ascii", latin("log.csv")),
    Case(
        "UTF-16 with its mark",
        TRAIN,
        lambda: Path("log.csv").write_text(log().write_csv(), encoding="utf-16"),
        read="it is written in utf-16",
        happens="it is read, and told",
    ),
    Case("a .gz that was cut", "train log.csv.gz --label click", cut_gzip),
    Case("a zip of two tables", "train logs.zip --label click", zipped("logs.zip", "a.csv", "b.csv")),
    Case(
        "a zip of one",
        "train logs.zip --label click",
        zipped("logs.zip", "a.csv"),
        read="lies in",
        happens="it is unpacked while it is read",
    ),
    Case("a file without an ending", "train part-00000 --label click", csv(name="part-00000")),
    Case(
        "the same with --format",
        "train part-00000 --label click --format csv",
        csv(name="part-00000"),
        read="lies in",
        happens="it is read",
    ),
    Case("Parquet with another ending", "train log.parq --label click", parquet(name="log.parq")),
    Case("a format that is none", f"{TRAIN} --format xlsx", csv()),
    Case("--delimiter of a Parquet file", f"{PARQUET} --delimiter ;", parquet()),
    Case("--no-header beside --columns", f"{TRAIN} --no-header --columns click,user_id,site,price", csv()),
    Case(
        "JSON Lines with a line that is no JSON",
        "train log.jsonl --label click",
        text('{"click": 1, "site": "a"}', '{"click": 0, "site": "b"', name="log.jsonl", times=100),
    ),
    Case(
        "JSON Lines, a key of numbers and lists",
        "train log.jsonl --label click",
        text('{"click": 1, "site": 1}', '{"click": 0, "site": [2]}', name="log.jsonl", times=100),
    ),
    Case(
        "JSON Lines with objects in the objects",
        "inspect log.jsonl --label click",
        text('{"click": 1, "user": {"os": "a"}}', '{"click": 0, "user": null}', name="log.jsonl", times=100),
        read="user.os categorical",
        happens="their keys are columns",
    ),
    Case(
        "Vowpal Wabbit's format",
        "train log.txt --label label",
        text("1 |user age:0.5 |ad shoes", "-1 |user x", name="log.txt", times=100),
    ),
    Case("an address", "train s3://bucket/log.parquet --label click", csv()),
    Case(
        "a Delta table",
        "train log --label click",
        both(parquet(name="log/a.parquet"), text("{}", name="log/_delta_log/0.json")),
    ),
    Case(
        "a folder with a folder of tables in it",
        "train log --label click",
        both(parquet(name="log/a.parquet"), parquet(name="log/old/b.parquet")),
        read="is not read",
        happens="it is told, and how to read it",
    ),
    Case(
        "a folder lr=0.01",
        "train runs --label click",
        parquet(name="runs/lr=0.01/a.parquet"),
        read="give the column",
        happens="it is a column, and told",
    ),
    Case("standard input twice", "train - --valid - --label click", csv()),
    # Settings that contradict the table
    Case("--hash of a numeric field", f"{TRAIN} --hash price=100", csv()),
    Case("--hash into 0 buckets", f"{TRAIN} --hash site=0", csv()),
    Case("--hash without a number", f"{TRAIN} --hash site", csv()),
    Case("--share with a field that is ignored", f"{TRAIN} --share site=user_id --ignore user_id", csv()),
    Case("--share in a chain", f"{TRAIN} --share site=user_id --share tags=site", TAGS),
    Case("--share with itself", f"{TRAIN} --share site=site", csv()),
    Case(
        "pretrained vectors of another width than the embedding",
        f"{TRAIN} --pretrained site=vectors.txt",
        both(csv(), text("north 1 2 3", "south 1 2 3", name="vectors.txt")),
    ),
    Case(
        "pretrained vectors of two widths",
        f"{TRAIN} --pretrained site=vectors.txt",
        both(csv(), text("north 1 2", "south 1", name="vectors.txt")),
    ),
    Case(
        "pretrained vectors, none of them of a known value",
        f"{TRAIN} --pretrained site=vectors.txt",
        both(csv(), text("up 1 2", "down 1 2", name="vectors.txt")),
    ),
    Case("pretrained vectors that are not there", f"{TRAIN} --pretrained site=vectors.txt", csv()),
    Case(
        "pretrained vectors of a numeric field",
        f"{TRAIN} --pretrained price=vectors.txt",
        both(csv(), text("north 1 2", name="vectors.txt")),
    ),
    Case("--freeze without --pretrained", f"{TRAIN} --freeze site", csv()),
    Case("--negative-rate 0", f"{TRAIN} --negative-rate 0", csv()),
    Case("--negative-rate 1.5", f"{TRAIN} --negative-rate 1.5", csv()),
    Case("--members 0", f"{TRAIN} --members 0", csv()),
    Case("--numeric-encoding of a word that is none", f"{TRAIN} --numeric-encoding bins", csv()),
    Case(
        "a network of one's own with a syntax error",
        f"{TRAIN} --model mine:Net",
        both(csv(), text("class Net(:", name="mine.py")),
    ),
    Case("a network of one's own in a module that is not there", f"{TRAIN} --model yours:Net", csv()),
    Case(
        "a network of one's own that is no network",
        f"{TRAIN} --model ours:Net",
        both(csv(), text("class Net:", "    pass", name="ours.py")),
    ),
    Case("a disk with 100 bytes left", f"{TRAIN} --cache-dir kept", csv(), disk="short"),
    Case("a disk that is full while the rows are encoded", f"{TRAIN} --cache-dir kept", csv(), disk="full"),
    # Scoring
    Case("--slice by a column that is not there", "evaluate ads.masknet log.csv --slice sight", csv(), after=TRAINED),
    Case("--bootstrap 1", "evaluate ads.masknet log.csv --bootstrap 1", csv(), after=TRAINED),
    Case(
        "rows to evaluate without their label",
        "evaluate ads.masknet today.csv",
        both(csv(), lambda: log().drop("click").write_csv("today.csv")),
        after=TRAINED,
    ),
    Case(
        "rows to score without a column of the model",
        "predict ads.masknet today.csv --out scores.csv",
        both(csv(), lambda: log().drop("site").write_csv("today.csv")),
        after=TRAINED,
    ),
    Case(
        "rows to score with lists where training had texts",
        "predict ads.masknet today.parquet --out scores.csv",
        both(csv(), parquet(cells("site", ["north"], ["south"]), name="today.parquet")),
        after=TRAINED,
    ),
    Case(
        "a vector of another width among the rows to score",
        "predict ads.masknet today.parquet --out scores.csv",
        both(parquet(VECTOR), parquet(cells("vector", [0.5, 1.5], [0.5]), name="today.parquet")),
        after=f"{PARQUET} --out ads.masknet",
    ),
    Case(
        "moments with a zone among the rows to score, trained without",
        "predict ads.masknet today.csv --out scores.csv",
        both(csv(cells("at", "2026-01-31 12:00:00")), csv(cells("at", "2026-02-01T12:00:00Z"), name="today.csv")),
        after=TRAINED,
    ),
    Case(
        "scores asked for in a format that is none",
        "predict ads.masknet log.csv --out scores.xlsx",
        csv(),
        after=TRAINED,
    ),
]


def printed(case: Case, code: int, out: str, err: str) -> str:
    """What of the output concerns the case: the error, or the lines that say what became of the input."""
    if code == 0:
        lines = [" ".join(line.split()) for line in (out + err).splitlines()]
        return "\n".join(line for line in lines if line.startswith("warning: ") or case.read in line)
    boxed = re.findall(r"^\u2502 (.*?) *\u2502$", err, flags=re.M)  # wrong usage stands in a frame
    return " ".join(boxed) if code == 2 else error_of(err).replace(f"{os.getcwd()}/", "")


def error_of(err: str) -> str:
    """The sentence in the last line, where what stands before it is what a run says on its way; else everything."""
    *way, last = err.splitlines() or [""]
    return last if last.startswith("error: ") and not any("Traceback" in line for line in way) else err


def files() -> set[str]:
    """All files below the current folder, but for what Python keeps of the modules there."""
    found = ((at, name) for at, _, names in os.walk(".") if "__pycache__" not in at for name in names)
    return {os.path.relpath(os.path.join(at, name)) for at, name in found}


def record(case: Case, code: int, out: str, err: str, left: set[str]) -> dict[str, Any]:
    """The result of a case, without any place of this machine."""
    return {
        "input": case.what,
        "command": f"masknet {case.command}",
        "exit": code,
        "printed": printed(case, code, out, err),
        "left": sorted({path.split("/")[0] for path in left}),
        **({"happens": case.happens} if case.happens else {}),
    }


def markdown(records: list[dict[str, Any]]) -> str:
    """The page of the docs."""
    refused = sum(one["exit"] != 0 for one in records)
    lines = [
        "# Broken inputs, and what is said of each",
        "",
        f"{len(records)} inputs that are broken, or look so: {refused} are refused with one sentence (the rule, the "
        f"value, the way out) and leave nothing behind; {len(records) - refused} are read on purpose, and the table "
        f"says what became of them. `log.csv` has the columns `click,user_id,site,price` and those that the row "
        f"speaks of; `{TINY}` is left out of the commands. Exit code 2 is wrong usage. The table is made by "
        f"`python benchmarks/broken_inputs.py`, and a test holds it to what the program says.",
        "",
        "| input | command | exit code | what it printed |",
        "|---|---|---|---|",
    ]
    for one in records:
        said = "<br>".join(f"`` {_cell(line)} ``" for line in one["printed"].splitlines() if line)
        said = "; ".join(filter(None, (one.get("happens", ""), said)))
        lines.append(f"| {_cell(one['input'])} | `` {_cell(one['command'])} `` | {one['exit']} | {said} |")
    return "\n".join(lines) + "\n"


def _cell(words: str) -> str:
    """A text that a cell can hold."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in words).replace("|", "\\|")


def run(case: Case, folder: Path, cache: Path) -> dict[str, Any]:
    """Run a case in a folder, in processes of its own."""
    os.chdir(folder)
    case.write()
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache), "COLUMNS": "1000"}
    environment |= {"PYTHONPATH": str(ROOT / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    program = "\n".join(filter(None, (DISKS.get(case.disk), "from masknet.cli import main; main()")))
    *first, last = case.arguments()
    for arguments in first:
        subprocess.run([sys.executable, "-c", program, *arguments], env=environment, check=True, capture_output=True)
    before = files()
    done = subprocess.run(
        [sys.executable, "-c", program, *last], env=environment, check=False, capture_output=True, encoding="utf-8"
    )
    return record(case, done.returncode, done.stdout, done.stderr, files() - before)


def main() -> None:
    records = []
    with tempfile.TemporaryDirectory() as scratch:
        for i, case in enumerate(CASES):
            folder = Path(scratch) / f"{i:03d}"
            folder.mkdir()
            records.append(run(case, folder, Path(scratch) / "cache"))
            assert scratch not in json.dumps(records[-1]), records[-1]
            print(f"{i} {case.what}: {records[-1]['exit']}\n    {records[-1]['printed'][:600]}", file=sys.stderr)
        os.chdir(ROOT)
    RESULT.write_text(json.dumps(records, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    PAGE.write_text(markdown(records), encoding="utf-8")


if __name__ == "__main__":
    main()
