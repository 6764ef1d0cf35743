"""CSV and TSV: what is written is what is read, and a row that is none is named by its number."""

from __future__ import annotations

import gzip
import subprocess
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from masknet.errors import ConfigError, DataError
from masknet.table import Table, open_table, text_pass
from masknet.table import text as text_module

SMALL = pl.DataFrame({"user": [1, 2, 3, 4], "city": ["Ulm", None, "Köln", "a\0b😀"], "price": [0.5, 1.0, None, 2.5]})
TEXT = "user,city,price\n1,Ulm,0.5\n2,,1.0\n3,Köln,\n4,a\0b😀,2.5\n"


def rows(table: Table, columns: list[str] | None = None, limit: int | None = None) -> list[tuple[Any, ...]]:
    return [row for chunk in table.chunks(columns, limit=limit) for row in chunk.frame.rows()]


def write(path: Path, text: str | bytes) -> Path:
    data = text.encode() if isinstance(text, str) else text
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def refused(call: Callable[[], Any]) -> DataError:
    with pytest.raises(DataError) as caught:
        call()
    return caught.value


def refusal(call: Callable[[], Any]) -> str:
    return str(refused(call))


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_module, "BLOCKS", (1 << 10, 1 << 16))


# What is written


@pytest.mark.parametrize("suffix", ["csv", "tsv", "csv.gz", "tsv.gz", "CSV"])
@pytest.mark.parametrize("style", ["plain", "crlf", "bom", "no last newline", "blank lines", "bom and blank line"])
def test_text_files_give_what_is_written(suffix: str, style: str, tmp_path: Path) -> None:
    text = TEXT.replace(",", "\t") if "tsv" in suffix else TEXT
    text = {
        "plain": text,
        "crlf": text.replace("\n", "\r\n"),
        "bom": "\ufeff" + text,
        "no last newline": text.rstrip("\n"),
        "blank lines": "\n\r\n\n\n" + text + "\n\n",
        "bom and blank line": "\ufeff\n" + text,
    }[style]
    table = open_table(write(tmp_path / f"small.{suffix}", text))
    assert not table.typed
    assert (table.columns, table.num_rows, table.estimated_rows()) == (("user", "city", "price"), None, 4)
    expected = [("1", "Ulm", "0.5"), ("2", "", "1.0"), ("3", "Köln", ""), ("4", "a\0b😀", "2.5")]
    assert rows(table) == expected
    assert rows(table) == expected
    assert rows(table, ["price", "user"], limit=2) == [("0.5", "1"), ("1.0", "2")]
    assert set(next(table.chunks()).frame.dtypes) == {pl.String()}


def test_text_is_not_interpreted(tmp_path: Path) -> None:
    cells = ["007", "NA", "null", "nan", "1e5", "true", " x ", "2020-01-01", "-0.0", "N/A"]
    table = open_table(write(tmp_path / "raw.csv", "v,w\n" + "".join(f"{cell},\n" for cell in cells)))
    assert rows(table) == [(cell, "") for cell in cells]


def test_quotes_and_line_breaks_in_values(tmp_path: Path) -> None:
    table = open_table(write(tmp_path / "q.csv", '"a","b, c"\n"x ""y""","1\n2"\nz,"3,4"\n'))
    assert table.columns == ("a", "b, c")
    assert rows(table) == [('x "y"', "1\n2"), ("z", "3,4")]


def test_one_column(tmp_path: Path) -> None:
    assert rows(open_table(write(tmp_path / "one.csv", "a\n1\n2"))) == [("1",), ("2",)]


def test_characters_across_blocks_are_whole(tmp_path: Path, small_blocks: None) -> None:
    values = [("😀ä€" * (i % 7) + "x" * (i % 5), str(i)) for i in range(3_000)]
    table = open_table(write(tmp_path / "wide.csv", "a,b\n" + "".join(f"{a},{b}\n" for a, b in values)))
    assert rows(table) == values


def test_a_value_longer_than_a_block(tmp_path: Path, small_blocks: None) -> None:
    values = [(str(i), "x") for i in range(500)] + [("long", "y" * 20_000)] + [(str(i), "z") for i in range(500)]
    table = open_table(write(tmp_path / "long.csv", "a,b\n" + "".join(f"{a},{b}\n" for a, b in values)))
    assert rows(table) == values
    starts = [(chunk.first_row, chunk.frame["a"][0]) for chunk in table.chunks()]
    assert [values[row - 1][0] for row, _ in starts] == [first for _, first in starts]


def test_a_value_of_ten_million_characters(tmp_path: Path) -> None:
    table = open_table(write(tmp_path / "huge.csv", b"a,b\n1," + b"x" * 10_000_000 + b"\n2,y\n"))
    assert [(a, len(b)) for a, b in rows(table)] == [("1", 10_000_000), ("2", 1)]


def test_rows_are_numbered_by_file_and_not_by_line(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", 'n\n1\n\n"2\n"\n3\n')
    write(tmp_path / "b.csv", "n\n1\n2\n")
    places = [c.place(i) for c in open_table(tmp_path).chunks() for i in range(len(c.frame))]
    assert places == [f"row {n} of a.csv" for n in (1, 2, 3)] + [f"row {n} of b.csv" for n in (1, 2)]


def test_rows_are_read_only_when_asked_for(tmp_path: Path, small_blocks: None) -> None:
    table = open_table(write(tmp_path / "late.csv", "a,b\n" + "1,2\n" * 50_000 + "3\n"))
    first = next(table.chunks())
    assert first.first_row == 1
    assert 0 < len(first.frame) < 1_000
    assert len(rows(table, limit=40_000)) == 40_000
    assert "row 50001 of late.csv has 1" in refusal(lambda: rows(table))


def test_a_blank_file(tmp_path: Path) -> None:
    assert "x.csv is blank" in refusal(lambda: open_table(write(tmp_path / "x.csv", "\n\n")))
    assert "x.csv.gz is blank" in refusal(lambda: open_table(write(tmp_path / "x.csv.gz", "")))


@pytest.mark.parametrize("text", ["a,b", "a,b\n", "a,b\r\n\r\n", "a"])
def test_header_only_is_a_table_of_no_rows(text: str, tmp_path: Path) -> None:
    table = open_table(write(tmp_path / "x.csv", text))
    assert (table.columns, table.estimated_rows(), rows(table)) == (tuple(text.strip().split(",")), 0, [])


# Without a header


@pytest.mark.parametrize("suffix", ["csv", "tsv", "tsv.gz", "txt"])
def test_names_for_a_file_without_a_header(suffix: str, tmp_path: Path) -> None:
    text = TEXT.split("\n", 1)[1]
    text = text if suffix == "csv" else text.replace(",", "\t")
    table = open_table(write(tmp_path / f"x.{suffix}", "\n" + text + "\n"), columns=("user", "city", "price"))
    assert (table.columns, table.estimated_rows()) == (("user", "city", "price"), 4)
    assert rows(table) == [("1", "Ulm", "0.5"), ("2", "", "1.0"), ("3", "Köln", ""), ("4", "a\0b😀", "2.5")]
    assert rows(table, ["city"], limit=1) == [("Ulm",)]
    assert [chunk.first_row for chunk in table.chunks()] == [1]


@pytest.mark.parametrize("before", [1, 5_000])
def test_bad_rows_without_a_header_are_numbered(before: int, tmp_path: Path, small_blocks: None) -> None:
    for bad, words in (
        (b"3", "has 1, --columns 2: mend"),
        (b"3,\xff", "is not, in column 'b'"),
        (b'3,"', "never closed"),
    ):
        path = write(tmp_path / "x.csv", b"1,2\n" * before + bad + b"\n1,2\n")
        message = refusal(lambda path=path: rows(open_table(path, columns=("a", "b"))))
        assert f"row {before + 1} of x.csv" in message
        assert words in message


def test_names_that_do_not_fit(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", "1,2\n")
    assert "the first row of x.csv has 2 values, --columns 3 names" in refusal(
        lambda: open_table(path, columns=("a", "b", "c"))
    )
    assert "repeats 'a'" in refusal(lambda: open_table(path, columns=("a", "a")))
    plain = write(tmp_path / "w.csv", "1,,,1\n")
    assert (
        "w.csv repeats '1', '': write another name for each in its first line, or name them with --columns where"
        in refusal(lambda: open_table(plain))
    )
    headed = write(tmp_path / "y.csv", "a,b\n1,2\n")
    assert "y.csv has one: leave it out" in refusal(lambda: open_table(headed, columns=("a", "b")))
    assert "y.csv has one: leave it out" in refusal(lambda: open_table(headed, columns=("a", "c")))
    bare = write(tmp_path / "v.csv", "a,2\n")  # a number is no name: this is a row
    assert rows(open_table(bare, columns=("a", "c"))) == [("a", "2")]
    SMALL.write_parquet(tmp_path / "z.parquet")
    for source in (SMALL, tmp_path / "z.parquet"):
        with pytest.raises(ConfigError, match="--columns names the columns of a file without a header"):
            open_table(source, columns=("a", "b", "c"))
    assert "a table holds rows; e.csv is blank" in refusal(
        lambda: open_table(write(tmp_path / "e.csv", "\n"), columns=("a",))
    )


def test_names_count_in_the_fingerprint(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", "1,2\n3,4\n")
    tables = [open_table(path), open_table(path, columns=("a", "b")), open_table(path, columns=("b", "a"))]
    assert len({table.fingerprint(verify=True) for table in tables}) == 3


def test_criteo_as_it_comes(tmp_path: Path) -> None:
    line = "\t".join(["0", "1", "", "5", *[""] * 10, "68fd1e64", *["80e26c9b"] * 25])
    table = open_table(write(tmp_path / "train.txt", f"{line}\n{line}\n"), columns=("criteo",))
    assert len(table.columns) == 40
    assert (table.columns[:2], table.columns[13:15], table.columns[-1]) == (("label", "I1"), ("I13", "C1"), "C26")
    assert rows(table, ["label", "I2", "C1", "C26"]) == [("0", "", "68fd1e64", "80e26c9b")] * 2
    test = write(tmp_path / "test.txt", line.partition("\t")[2] + "\n")
    assert open_table(test, columns=("criteo-test",)).columns == table.columns[1:]
    message = refusal(lambda: open_table(test, columns=("criteo",)))
    assert "has 39 values, --columns 40 names ('criteo' stands for 40 and 'criteo-test' stands for 39)" in message


# Rows that are none


@pytest.mark.parametrize(("row", "width"), [("3", 1), ("3,4,5", 3), ('"x\ny"', 1)])
@pytest.mark.parametrize("before", [0, 2, 5_000])
@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "tsv"])
def test_ragged_rows(row: str, width: int, before: int, suffix: str, tmp_path: Path, small_blocks: None) -> None:
    text = "a,b\n" + '1,"2\n2"\n\n' * before + row + "\n" + "1,2\n" * 10
    name = f"x.{suffix}"
    table = open_table(write(tmp_path / name, text.replace(",", "\t") if suffix == "tsv" else text))
    for columns in (None, ["a"]):
        message = refusal(lambda columns=columns: rows(table, columns))
        assert f"row {before + 1} of {name} has {width}, the header 2" in message
        assert "mend the row" in message


@pytest.mark.parametrize("before", [0, 5_000])
@pytest.mark.parametrize(
    ("row", "column"),
    [(b"\xff,1,1", "a"), (b"1,x\xe4y,1", "b"), (b"1,2,\xc3", "c"), (b'1,"\n\xff",1', "b"), (b"1,2,\xf0\x9f\x98", "c")],
)
def test_not_utf8(before: int, row: bytes, column: str, tmp_path: Path, small_blocks: None) -> None:
    for rest in (b"", b"\n", b"\n1,2,3\n" * 1_000):
        table = open_table(write(tmp_path / "x.csv", b"a,b,c\n" + "ä,😀,3\n".encode() * before + row + rest))
        message = refusal(lambda table=table: rows(table, ["a"]))
        assert f"row {before + 1} of x.csv is not, in column '{column}'" in message
        assert "as UTF-8" in message


def test_a_ragged_row_before_a_byte_that_is_not_utf8(tmp_path: Path) -> None:
    table = open_table(write(tmp_path / "x.csv", b"a,b\n1,2\n3\n4,\xff\n"))
    assert "row 2 of x.csv has 1, the header 2" in refusal(lambda: rows(table))


@pytest.mark.parametrize(
    ("data", "column", "row"),
    [
        (b"a,b\n1,2\n3\n", None, 2),
        (b"a,b\n1,2\n3,4,5\n", None, 2),
        (b"a,b\n1,2\n3,\xff\n1,2\n", "b", 2),
        (b"a,b\n1,2\n\xff,4\n1,2\n", "a", 2),
        (b'a,b\n1,2\n3,"4\n', None, 2),
        (b"\xff,b\n1,2\n", None, None),
        (b"\n", None, None),
    ],
)
def test_an_error_knows_file_column_and_row(data: bytes, column: str | None, row: int | None, tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", data)
    error = refused(lambda: rows(open_table(path)))
    assert (error.file, error.column, error.row, error.value) == ("x.csv", column, row, None)


def test_header_not_utf8(tmp_path: Path) -> None:
    message = refusal(lambda: open_table(write(tmp_path / "x.csv", "ä,b\n".encode("latin-1"))))
    assert "the header of x.csv is not" in message
    assert "--encoding" in message


@pytest.mark.parametrize("rest", ["", "\n", "\n3,4\n5,6\n", '\n3,""\n', "\n3,4\n" * 100])
def test_a_quote_never_closed(rest: str, tmp_path: Path, small_blocks: None) -> None:
    table = open_table(write(tmp_path / "x.csv", 'a,b\n1,2\n1,"2' + rest))
    for columns in (None, ["a"]):
        message = refusal(lambda columns=columns: rows(table, columns))
        assert "in row 2 of x.csv one begins and is never closed" in message


def test_a_quote_never_closed_in_the_header(tmp_path: Path) -> None:
    message = refusal(lambda: open_table(write(tmp_path / "x.csv", 'a,"b\n1,2\n')))
    assert "the first row of x.csv cannot be read" in message
    assert "is a quote never closed?" in message


def test_a_row_longer_than_every_block(tmp_path: Path, small_blocks: None) -> None:
    table = open_table(write(tmp_path / "x.csv", 'a,b\n1,"2' + "\n3,4" * 100_000))
    assert "one after row 0 of x.csv is longer: is a quote never closed?" in refusal(lambda: rows(table))


# Sizes


def test_estimated_rows_of_large_text(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    text = "a,b\n" + "".join(f"{a},{b}\n" for a, b in generator.integers(0, 1 << 30, (200_000, 2)))
    for suffix in ("csv", "csv.gz"):
        table = open_table(write(tmp_path / f"x.{suffix}", text))
        assert table.num_rows is None
        assert table.num_bytes == (tmp_path / f"x.{suffix}").stat().st_size
        assert 0.8 < table.estimated_rows() / 200_000 < 1.25


# What pyarrow is lent


@pytest.fixture
def lent(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Weak references to all of Python's that pyarrow holds, or held."""
    refs: list[Any] = []
    lend = text_pass.Pass._lend

    def noted(self: Any, thing: Any) -> Any:
        refs.append(weakref.ref(thing))
        return lend(self, thing)

    monkeypatch.setattr(text_pass.Pass, "_lend", noted)
    return refs


@pytest.mark.parametrize("broken", ["ragged", "latin1", "unclosed", "cut gzip", "none"])
def test_after_a_pass_pyarrow_holds_nothing_of_pythons(
    broken: str, lent: list[Any], tmp_path: Path, small_blocks: None
) -> None:
    good = "user,city\n" + "".join(f"{i},Ulm\n" for i in range(400))
    data = good.encode()
    if broken == "cut gzip":
        path = tmp_path / "a.csv.gz"
        path.write_bytes(gzip.compress(data + b"1," + np.random.default_rng(0).bytes(80_000).hex().encode())[:-300])
    else:
        extra = {"ragged": b"1,2,3\n", "latin1": b"1,K\xf6ln\n", "unclosed": b'1,"Ulm\n', "none": b""}[broken]
        path = write(tmp_path / "a.csv", data + extra + data[10:] * 3)
    if broken == "none":
        rows(open_table(path))
    else:  # the error lives, and its traceback with it
        error = refused(lambda: rows(open_table(path)))
        assert error.__traceback__ is not None
    assert all(ref() is None for ref in lent)
    assert len(lent) > 2


def test_a_pass_that_is_given_up_halfway_ends_before_python_does(
    lent: list[Any], tmp_path: Path, small_blocks: None
) -> None:
    path = write(tmp_path / "a.csv", "user,city\n" + "".join(f"{i},Ulm\n" for i in range(4000)))
    chunks = open_table(path).chunks()
    next(chunks)
    assert any(ref() is not None for ref in lent)
    text_pass._end_passes()
    assert all(ref() is None for ref in lent)


def test_the_error_of_a_reader_does_not_abort_the_process(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "user,city\n" + "1,Ulm\n" * 16 + "1,Ulm,3\n" + "1,Ulm\n" * 300)
    program = f"""
from masknet.table import open_table
try:
    [*open_table({str(path)!r}).chunks()]
except ValueError:
    raise SystemExit(7)
"""
    codes = [subprocess.run([sys.executable, "-c", program], check=False).returncode for _ in range(4)]
    assert codes == [7] * 4
