"""What stands between the values of a text file, where its ending says something else."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from masknet.errors import DataError
from masknet.table import open_table

ROWS = [["click", "user", "price"], ["1", "a b", "2.5"], ["0", "", "x y"]]


def text(delimiter: str) -> str:
    return "".join(delimiter.join(row) + "\n" for row in ROWS)


@pytest.mark.parametrize("name", ["log.csv", "log.tsv", "log.txt", "log.csv.gz"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", "\x01"])
def test_it_is_found_and_told(delimiter: str, name: str, tmp_path: Path) -> None:
    content = text(delimiter).encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    table = open_table(tmp_path / name)
    (chunk,) = table.chunks()
    assert list(table.columns) == ROWS[0]
    assert [list(row) for row in chunk.frame.rows()] == ROWS[1:]
    usual = "\t" if name.endswith(".tsv") or (name.endswith(".txt") and delimiter == "\t") else ","
    told = f"{name}: {delimiter!r} stands between the values, and not {usual!r}"
    assert table.notes == ([] if delimiter == usual else [told])


def test_the_delimiter_of_the_ending_comes_first(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("click,a;b;c\n1,2;3;4\n")
    assert open_table(tmp_path / "log.csv").columns == ("click", "a;b;c")


def test_one_column_is_one_column(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("user;city\n7\n")  # what parts the header does not part the row
    assert open_table(tmp_path / "log.csv").columns == ("user;city",)
    (tmp_path / "one.csv").write_text("user\n7\n8\n")
    assert open_table(tmp_path / "one.csv").columns == ("user",)


def test_quoted_values_may_hold_it(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text('"click";"a;b"\n1;"x;y"\n')
    (chunk,) = open_table(tmp_path / "log.csv").chunks()
    assert (chunk.frame.columns, chunk.frame.rows()) == (["click", "a;b"], [("1", "x;y")])


def test_a_file_without_a_header_is_parted_alike(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("1;a\n0;b\n")
    (chunk,) = open_table(tmp_path / "log.csv", columns=("click", "user")).chunks()
    assert chunk.frame.rows() == [("1", "a"), ("0", "b")]


def test_wide_headers_are_parted_too(tmp_path: Path) -> None:
    names = [f"column_{i}" for i in range(900)]
    (tmp_path / "log.csv").write_text(";".join(names) + "\n" + ";".join(map(str, range(900))) + "\n")
    assert open_table(tmp_path / "log.csv").columns == tuple(names)


def test_one_name_is_one_column(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("a|b\nb|c\n")
    (chunk,) = open_table(tmp_path / "log.csv", columns=("tags",)).chunks()
    assert chunk.frame.rows() == [("a|b",), ("b|c",)]


def test_words_that_nothing_parts_are_no_table_of_text(tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_text("a word\nanother\n")
    with pytest.raises(DataError, match=r"tabs, commas, ; or \|"):
        open_table(tmp_path / "log.txt")
