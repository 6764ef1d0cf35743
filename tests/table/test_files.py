"""Which files a path, a glob, a folder and standard input mean, how they are packed, and what they hold."""

from __future__ import annotations

import bz2
import gzip
import io
import os
import sys
import zipfile
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from masknet.errors import ConfigError, DataError
from masknet.table import Form, Table, open_table
from masknet.table.style import PLAIN

FRAME = pl.DataFrame({"a": ["1", "2"], "b": ["x", "y"]})
TEXT = FRAME.write_csv()


def rows(table: Table) -> list[tuple[Any, ...]]:
    return [row for chunk in table.chunks() for row in chunk.frame.rows()]


def refusal(source: Any, form: Form = PLAIN) -> str:
    with pytest.raises(DataError) as caught:
        rows(open_table(source, form=form))
    return str(caught.value)


def zipped(**files: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return content.getvalue()


def packed(suffix: str, text: str) -> bytes:
    data = text.encode()
    pack = {
        "gz": gzip.compress,
        "bz2": bz2.compress,
        "zst": lambda data: pa.compress(data, "zstd", asbytes=True),
        "zip": lambda data: zipped(**{"__MACOSX/._log.csv": "", "log.csv": data.decode()}),
    }
    return pack[suffix](data)


# Packed


@pytest.mark.parametrize("suffix", ["gz", "bz2", "zst", "zip"])
def test_packed_texts(suffix: str, tmp_path: Path) -> None:
    (tmp_path / f"log.csv.{suffix}").write_bytes(packed(suffix, TEXT))
    table = open_table(tmp_path / f"log.csv.{suffix}")
    assert rows(table) == rows(table) == FRAME.rows()
    (tmp_path / "log.csv").write_bytes(packed(suffix, TEXT))  # its name does not say it
    assert rows(open_table(tmp_path / "log.csv")) == FRAME.rows()


@pytest.mark.parametrize("suffix", ["gz", "bz2", "zst", "zip"])
@pytest.mark.parametrize("kind", ["libsvm", "jsonl"])
def test_packed_texts_of_other_formats(suffix: str, kind: str, tmp_path: Path) -> None:
    text = "1 2:1\n0 3:1\n" if kind == "libsvm" else '{"label": 1}\n{"label": 0}\n'
    (tmp_path / f"log.{kind}.{suffix}").write_bytes(packed(suffix, text))
    assert len(rows(open_table(tmp_path / f"log.{kind}.{suffix}"))) == 2


@pytest.mark.parametrize(("suffix", "name"), [("gz", "gzip"), ("bz2", "bzip2"), ("zst", "zstd"), ("zip", "zip")])
def test_packed_files_that_are_cut(suffix: str, name: str, tmp_path: Path) -> None:
    data = packed(suffix, TEXT + "3,z\n" * 50_000)
    path = tmp_path / f"log.csv.{suffix}"
    for cut in (len(data) // 2, len(data) - 5):
        path.write_bytes(data[:cut])
        assert f"log.csv.{suffix} is not a whole {name} file" in refusal(path)
    path.write_text(TEXT)
    assert f"log.csv.{suffix} is not a whole {name} file" in refusal(path)


def test_several_members_of_gzip_and_zstandard(tmp_path: Path) -> None:
    for suffix in ("gz", "zst", "bz2"):
        (tmp_path / f"log.csv.{suffix}").write_bytes(packed(suffix, TEXT) + packed(suffix, "3,z\n"))
        assert len(rows(open_table(tmp_path / f"log.csv.{suffix}"))) == 3


def test_a_zip_holds_one_table(tmp_path: Path) -> None:
    (tmp_path / "log.zip").write_bytes(zipped(**{"folder/log.tsv": TEXT.replace(",", "\t")}))
    assert rows(open_table(tmp_path / "log.zip")) == FRAME.rows()
    (tmp_path / "log.zip").write_bytes(zipped(**{"a.csv": TEXT, "b.csv": TEXT}))
    assert "a zip holds one table; log.zip holds 2 (a.csv, b.csv): unpack it" in refusal(tmp_path / "log.zip")
    (tmp_path / "log.zip").write_bytes(zipped())
    assert "log.zip holds none" in refusal(tmp_path / "log.zip")
    (tmp_path / "log.zip").write_bytes(b"PK\x03\x04 and no more")
    assert "log.zip is not a whole zip file" in refusal(tmp_path / "log.zip")
    (tmp_path / "log.zip").write_bytes(zipped(**{"readme.doc": TEXT}))
    assert "a table's file ends in" in refusal(tmp_path / "log.zip")


# Without an ending, or with another one


@pytest.mark.parametrize("name", ["part-00000", "000000_0", "log.train", "log.dat", "log.parq", "log.parquet.gzip"])
def test_a_format_that_is_said(name: str, tmp_path: Path) -> None:
    if "parq" in name:
        FRAME.write_parquet(tmp_path / name)
        form = "parquet"
    else:
        (tmp_path / name).write_text(TEXT)
        form = "csv"
    assert f"its first bytes look like --format {form}" in refusal(tmp_path / name)
    assert rows(open_table(tmp_path / name, form=Form(format=form))) == FRAME.rows()
    assert rows(open_table(tmp_path, form=Form(format=form))) == FRAME.rows()


def test_a_delimiter_says_that_it_is_text(tmp_path: Path) -> None:
    (tmp_path / "ratings.dat").write_text("7::1\n8::0\n")
    table = open_table(tmp_path / "ratings.dat", columns=("user", "click"), form=Form(delimiter="::"))
    assert rows(table) == [("7", "1"), ("8", "0")]


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_text(TEXT)
    with pytest.raises(ConfigError, match="did you mean 'parquet'"):
        open_table(tmp_path / "x", form=Form(format="parqet"))


@pytest.mark.parametrize(
    ("flag", "form"),
    [
        ("delimiter", Form(format="parquet", delimiter=";")),
        ("quote", Form(format="parquet", quote="none")),
        ("escape", Form(format="parquet", escape="\\")),
        ("encoding", Form(format="parquet", encoding="latin-1")),
        ("no-header", Form(format="parquet", header=False)),
    ],
)
def test_what_has_no_effect_is_refused(flag: str, form: Form, tmp_path: Path) -> None:
    FRAME.write_parquet(tmp_path / "x.parquet")
    with pytest.raises(ConfigError, match=f"leave --{flag} out"):
        open_table(tmp_path / "x.parquet", form=form)
    with pytest.raises(ConfigError, match="the rows are in none"):
        open_table(FRAME, form=form)


def test_vowpals_format_is_told_how_to_convert(tmp_path: Path) -> None:
    for name in ("log.txt", "log.vw"):
        (tmp_path / name).write_text("1 |user age:0.5 male |ad shoes:1\n-1 |user x\n")
        message = refusal(tmp_path / name)
        assert "Vowpal Wabbit's format is not read" in message
        assert "libsvm" in message


def test_bars_between_values_are_not_vowpals(tmp_path: Path) -> None:
    (tmp_path / "u.txt").write_text("1|Toy Story (1995)|01-Jan-1995||x\n2|GoldenEye (1995)|01-Jan-1995||y\n")
    assert len(rows(open_table(tmp_path / "u.txt", form=Form(header=False)))) == 2


# Folders


def test_what_a_folder_passes_over_is_told(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    (logs / "old" / "older").mkdir(parents=True)
    FRAME.write_parquet(logs / "a.parquet")
    for name in ("b.md", "c.log", "d.doc", "_SUCCESS", ".hidden.csv"):
        (logs / name).write_text("")
    for i in range(3):
        FRAME.write_parquet(logs / "old" / ("older" if i else "") / f"{i}.parquet")
    table = open_table(logs)
    assert len(rows(table)) == 2
    assert table.notes == [
        f"logs: 1 of 4 files are read, without b.md, c.log, d.doc; 1 folder with 3 such files is not read (old); "
        f"'{logs}/**' reads all"
    ]
    everything = open_table(f"{logs}/**")
    assert (len(rows(everything)), everything.name, everything.notes) == (8, "logs", [])
    assert len(rows(open_table(f"{logs}/**/*.parquet"))) == 8
    (logs / "_temporary").mkdir()
    FRAME.write_parquet(logs / "_temporary" / "half.parquet")
    assert len(rows(open_table(f"{logs}/**"))) == 8


def test_a_folder_that_is_whole_tells_nothing(tmp_path: Path) -> None:
    FRAME.write_parquet(tmp_path / "a.parquet")
    (tmp_path / "_SUCCESS").write_text("")
    assert open_table(tmp_path).notes == []


def test_folders_that_a_glob_matches_are_told(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    FRAME.write_parquet(tmp_path / "a.parquet")
    FRAME.write_parquet(tmp_path / "old" / "b.parquet")
    (note,) = open_table(str(tmp_path / "*")).notes
    assert "are not read (old)" in note


@pytest.mark.parametrize("made", ["_delta_log", ".hoodie", "metadata"])
def test_tables_whose_log_says_what_counts_are_refused(made: str, tmp_path: Path) -> None:
    (tmp_path / made).mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / made / "v1.metadata.json").write_text("{}")
    FRAME.write_parquet(tmp_path / "a.parquet")
    (tmp_path / "day=1").mkdir()
    FRAME.write_parquet(tmp_path / "day=1" / "a.parquet")
    for source in (tmp_path, tmp_path / "a.parquet", tmp_path / "*.parquet", tmp_path / "day=1", f"{tmp_path}/**"):
        assert "whose log says which of them count" in refusal(str(source))
    if made == "metadata":
        FRAME.write_parquet(tmp_path / "data" / "a.parquet")
        assert "is an Iceberg table" in refusal(tmp_path / "data")


def test_a_column_of_folders_is_told(tmp_path: Path) -> None:
    for rate in ("0.01", "0.1"):
        (tmp_path / f"lr={rate}").mkdir()
        FRAME.write_parquet(tmp_path / f"lr={rate}" / "a.parquet")
    (note,) = open_table(tmp_path).notes
    assert note == "the names of folders give the column 'lr' (lr=0.1): --ignore leaves it out"


# Other places


@pytest.mark.parametrize("address", ["s3://bucket/x.parquet", "gs://b/x.csv", "hdfs:///x", "https://example.com/x.csv"])
def test_addresses(address: str) -> None:
    assert f"'{address}' is an address: copy it here first" in refusal(address)
    assert "leave out file://" in refusal("file:///tmp/x.csv")


def test_the_users_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "log.csv").write_text(TEXT)
    assert rows(open_table("~/log.csv")) == FRAME.rows()
    assert len(rows(open_table("~/*.csv"))) == 2


class _Input:
    def __init__(self, data: bytes) -> None:
        self.buffer = io.BytesIO(data)


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "libsvm", "parquet", "csv.gz"])
def test_standard_input(kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if kind == "parquet":
        FRAME.write_parquet(tmp_path / "x")
        data = (tmp_path / "x").read_bytes()
    else:
        texts = {"tsv": TEXT.replace(",", "\t"), "jsonl": FRAME.write_ndjson(), "libsvm": "1 2:1\n0 3:1\n"}
        text = texts.get(kind, TEXT)
        data = packed("gz", text) if kind == "csv.gz" else text.encode()
    monkeypatch.setattr(sys, "stdin", _Input(data))
    table = open_table("-")
    assert table.name == "stdin"
    assert len(rows(table)) == len(rows(table)) == 2
    (path,) = table.paths
    os.unlink(path)


def test_an_empty_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", _Input(b""))
    assert "stdin is empty (0 bytes)" in refusal("-")
