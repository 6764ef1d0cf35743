"""Every source gives the same rows, says where they stand, and refuses what is no table in one sentence."""

from __future__ import annotations

import datetime
import gzip
import io
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.sparse

from masknet.errors import ConfigError, DataError
from masknet.table import Table, open_table
from masknet.table import text as text_module

SMALL = pl.DataFrame({"user": [1, 2, 3, 4], "city": ["Ulm", None, "Köln", "a\0b😀"], "price": [0.5, 1.0, None, 2.5]})
TEXT = "user,city,price\n1,Ulm,0.5\n2,,1.0\n3,Köln,\n4,a\0b😀,2.5\n"


def rows(table: Table, columns: list[str] | None = None, limit: int | None = None) -> list[tuple[Any, ...]]:
    return [row for chunk in table.chunks(columns, limit=limit) for row in chunk.frame.rows()]


def write(path: Path, text: str | bytes) -> Path:
    data = text.encode() if isinstance(text, str) else text
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def refusal(call: Callable[[], Any]) -> str:
    with pytest.raises(DataError) as caught:
        call()
    return str(caught.value)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_module, "BLOCKS", (1 << 10, 1 << 16))


# The same rows from everywhere


@pytest.mark.parametrize("make", ["parquet", "pq", "polars", "pandas", "arrow", "batch", "rows"])
def test_typed_sources_give_the_same_rows(make: str, tmp_path: Path) -> None:
    source: Any = tmp_path / f"small.{make}"
    if make in ("parquet", "pq"):
        SMALL.write_parquet(source)
    else:
        source = {
            "polars": lambda: SMALL,
            "pandas": lambda: pd.DataFrame({name: SMALL[name].to_list() for name in SMALL.columns}),
            "arrow": SMALL.to_arrow,
            "batch": lambda: SMALL.to_arrow().to_batches()[0],
            "rows": lambda: [{k: v for k, v in row.items() if v is not None} for row in SMALL.to_dicts()],
        }[make]()
    table = open_table(source)
    assert table.typed
    assert (table.columns, table.num_rows, table.estimated_rows()) == (("user", "city", "price"), 4, 4)
    assert table.num_bytes > 0
    assert rows(table) == SMALL.rows()
    assert rows(table) == SMALL.rows()  # and again
    assert next(table.chunks()).frame.schema == SMALL.schema


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


# Which rows, which columns, and where they stand


def test_projection_and_limit(tmp_path: Path) -> None:
    frame = pl.DataFrame({"a": range(100_000), "b": range(100_000, 200_000), "c": [0] * 100_000})
    frame.write_parquet(tmp_path / "p.parquet", row_group_size=30_000)
    frame.write_csv(tmp_path / "p.csv")
    for source in (tmp_path / "p.parquet", tmp_path / "p.csv", frame, frame.to_arrow()):
        table = open_table(source)
        for limit in (0, 1, 65_536, 70_000, 100_000, 200_000, None):
            got = pl.concat(
                [pl.DataFrame({"b": [], "a": []}, schema={"b": pl.Int64, "a": pl.Int64})]
                + [chunk.frame.cast(pl.Int64) for chunk in table.chunks(["b", "a"], limit=limit)]
            )
            assert got.equals(frame.select("b", "a").head(100_000 if limit is None else limit))


def test_limit_counts_over_files(tmp_path: Path) -> None:
    for i in range(3):
        write(tmp_path / f"{i}.csv", f"a\n{i}\n{i}\n")
    assert rows(open_table(tmp_path), limit=3) == [("0",), ("0",), ("1",)]


def test_chunks_are_small_and_know_their_rows(tmp_path: Path) -> None:
    frame = pl.DataFrame({"n": range(1, 150_001)})
    frame.write_parquet(tmp_path / "n.parquet", row_group_size=150_000)
    for suffix in ("csv", "csv.gz"):
        write(tmp_path / f"n.{suffix}", frame.write_csv())
    sources: list[Any] = [tmp_path / "n.parquet", tmp_path / "n.csv", tmp_path / "n.csv.gz", frame, frame.to_arrow()]
    sources += [frame.to_pandas(), frame.to_dicts()]
    for source in sources:
        place = source.name if isinstance(source, Path) else "the frame"
        count = 0
        for chunk in open_table(source).chunks():
            assert 0 < len(chunk.frame) <= 65_536
            for i in (0, len(chunk.frame) - 1):
                assert chunk.place(i) == f"row {chunk.frame['n'][i]} of {place}"
            count += len(chunk.frame)
        assert count == 150_000


def test_rows_are_numbered_by_file_and_not_by_line(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", 'n\n1\n\n"2\n"\n3\n')
    write(tmp_path / "b.csv", "n\n1\n2\n")
    places = [c.place(i) for c in open_table(tmp_path).chunks() for i in range(len(c.frame))]
    assert places == [f"row {n} of a.csv" for n in (1, 2, 3)] + [f"row {n} of b.csv" for n in (1, 2)]


def test_files_with_one_name_are_told_apart(tmp_path: Path) -> None:
    paths = []
    for day in ("mon", "tue"):
        (tmp_path / day).mkdir()
        paths.append(write(tmp_path / day / "ads.csv", "a\n1\n"))
    assert [chunk.source for chunk in open_table(paths).chunks()] == [str(path) for path in paths]
    assert [chunk.source for chunk in open_table(str(tmp_path / "*" / "ads.csv")).chunks()] == [str(p) for p in paths]


def test_rows_are_read_only_when_asked_for(tmp_path: Path, small_blocks: None) -> None:
    table = open_table(write(tmp_path / "late.csv", "a,b\n" + "1,2\n" * 50_000 + "3\n"))
    first = next(table.chunks())
    assert first.first_row == 1
    assert 0 < len(first.frame) < 1_000
    assert len(rows(table, limit=40_000)) == 40_000
    assert "row 50001 of late.csv has 1" in refusal(lambda: rows(table))


def test_unknown_column_offers_the_nearest() -> None:
    message = refusal(lambda: open_table(SMALL).chunks(["user", "prize"]))
    assert message == (
        "column 'prize' is missing from the frame, which has 3 columns: user, city, price; did you mean 'price'?"
    )


# Several files


def test_globs_folders_and_lists(tmp_path: Path) -> None:
    for i in (2, 0, 1):
        pl.DataFrame({"a": [i]}).write_parquet(tmp_path / f"part-{i}.parquet")
    for name in ("_SUCCESS", ".part.parquet", "_x.parquet", "schema.json"):
        write(tmp_path / name, "no data")
    (tmp_path / "sub.parquet").mkdir()
    pattern = str(tmp_path / "part-*.parquet")
    for source in (tmp_path, str(tmp_path), pattern):
        table = open_table(source)
        assert rows(table) == [(0,), (1,), (2,)]
        assert table.num_rows == 3
    assert open_table(tmp_path).name == tmp_path.name
    assert open_table(pattern).name == "part"
    assert open_table(str(tmp_path / "[p]*.parquet")).name == tmp_path.name
    assert open_table(tmp_path / "part-0.parquet").name == "part-0.parquet"
    two = open_table([tmp_path / "part-2.parquet", str(tmp_path / "part-0.parquet")])
    assert rows(two) == [(2,), (0,)]
    assert two.name == "part-2.parquet and 1 more"


def test_a_file_whose_name_looks_like_a_glob(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", "v\n0\n")
    table = open_table(write(tmp_path / "[a].csv", "v\n1\n"))
    assert (table.name, rows(table)) == ("[a].csv", [("1",)])


def test_shards_have_the_same_columns_in_any_order(tmp_path: Path) -> None:
    write(tmp_path / "1.csv", "a,b\n1,2\n")
    write(tmp_path / "2.csv", "b,a\n4,3\n")
    assert rows(open_table(tmp_path)) == [("1", "2"), ("3", "4")]
    write(tmp_path / "3.csv", "a,c\n4,3\n")
    assert re.search(r"3\.csv lacks 'b', has 'c' besides, compared with 1\.csv", refusal(lambda: open_table(tmp_path)))


def test_one_format_a_table(tmp_path: Path) -> None:
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "1.parquet")
    write(tmp_path / "2.csv", "a\n1\n")
    message = refusal(lambda: open_table(tmp_path))
    assert "CSV (2.csv) and Parquet (1.parquet)" in message
    assert "one format" in message
    assert "one format" in refusal(lambda: open_table([tmp_path / "1.parquet", tmp_path / "2.csv"]))


def test_gzip_and_plain_shards_are_one_format(tmp_path: Path) -> None:
    write(tmp_path / "1.csv", "a\n1\n")
    write(tmp_path / "2.csv.gz", "a\n2\n")
    assert rows(open_table(tmp_path)) == [("1",), ("2",)]


# What is no table


def test_a_missing_file_offers_its_neighbour(tmp_path: Path) -> None:
    write(tmp_path / "today.csv", "a\n1\n")
    message = refusal(lambda: open_table(tmp_path / "todays.csv"))
    assert message == f"no file at '{tmp_path}/todays.csv'; did you mean '{tmp_path}/today.csv'?"
    assert "check the path" in refusal(lambda: open_table(tmp_path / "zzz.parquet"))
    assert "there is no folder" in refusal(lambda: open_table(tmp_path / "none" / "x.csv"))
    assert "no file at 'https://example.com/x.csv'" in refusal(lambda: open_table("https://example.com/x.csv"))


def test_nothing_found(tmp_path: Path) -> None:
    assert "no file matches" in refusal(lambda: open_table(str(tmp_path / "*.csv")))
    assert "holds none" in refusal(lambda: open_table(tmp_path))


def test_unknown_suffix_lists_the_known(tmp_path: Path) -> None:
    message = refusal(lambda: open_table(write(tmp_path / "a.xls", "a\n1\n")))
    assert ".parquet, .pq, .csv, .tsv, .txt, .libsvm, .svm, .libfm, .libffm, .ffm (or .gz of a text)" in message
    assert "a.xls" in message


@pytest.mark.parametrize("name", ["x.csv", "x.parquet", "x.tsv.gz"])
def test_zero_bytes(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"")
    assert f"{name} is empty (0 bytes)" in refusal(lambda: open_table(tmp_path / name))


def test_a_blank_file(tmp_path: Path) -> None:
    assert "x.csv is blank" in refusal(lambda: open_table(write(tmp_path / "x.csv", "\n\n")))
    assert "x.csv.gz is blank" in refusal(lambda: open_table(write(tmp_path / "x.csv.gz", "")))


@pytest.mark.parametrize("text", ["a,b", "a,b\n", "a,b\r\n\r\n", "a"])
def test_header_only_is_a_table_of_no_rows(text: str, tmp_path: Path) -> None:
    table = open_table(write(tmp_path / "x.csv", text))
    assert (table.columns, table.estimated_rows(), rows(table)) == (tuple(text.strip().split(",")), 0, [])


def test_repeated_names(tmp_path: Path) -> None:
    assert "x.csv repeats 'a', 'b'" in refusal(lambda: open_table(write(tmp_path / "x.csv", "a,b,a,c,b\n1,2,3,4,5\n")))
    arrow = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    pq.write_table(arrow, tmp_path / "x.parquet")
    frame = pd.DataFrame([[1, 2]], columns=[0, "0"])
    assert "the frame repeats 'a'" in refusal(lambda: open_table(arrow))
    assert "x.parquet repeats 'a'" in refusal(lambda: open_table(tmp_path / "x.parquet"))
    assert "the frame repeats '0'" in refusal(lambda: open_table(frame))


@pytest.mark.parametrize("source", [[], [{}], 3, [[1, 2]], pl.DataFrame(), ["a.csv", {"a": 1}], None])
def test_other_objects(source: Any) -> None:
    assert refusal(lambda: open_table(source)).startswith("a table ")


# Without a header, and .txt


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
    assert "w.csv repeats '1', '': rename it, or name the columns with --columns where" in refusal(
        lambda: open_table(plain)
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


def test_a_txt_is_what_its_first_line_is(tmp_path: Path) -> None:
    assert rows(open_table(write(tmp_path / "a.txt", "a,b\n1,2\n"))) == [("1", "2")]
    assert rows(open_table(write(tmp_path / "a.txt.gz", "a,\tb\n1\t2\n"))) == [("1", "2")]
    message = refusal(lambda: open_table(write(tmp_path / "b.txt", "click:0 dense:0.5\n")))
    assert message == (
        "a .txt has tabs or commas between its values, or is libsvm or libffm; the first line of b.txt is "
        "'click:0 dense:0.5': rename the file, or convert it"
    )


def test_a_note_beside_the_shards_is_none_of_them(tmp_path: Path) -> None:
    write(tmp_path / "README.txt", "a log, of ads\n")
    write(tmp_path / "part.csv", "a,b\n1,2\n")
    assert rows(open_table(tmp_path)) == [("1", "2")]
    (tmp_path / "part.csv").unlink()
    assert open_table(tmp_path).columns == ("a log", " of ads")


# Damaged files


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


@pytest.mark.parametrize("data", ["ä,b\n".encode("latin-1"), "a,b\n1,2\n".encode("utf-16")])
def test_header_not_utf8(data: bytes, tmp_path: Path) -> None:
    assert "the header of x.csv is not" in refusal(lambda: open_table(write(tmp_path / "x.csv", data)))


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


def test_truncated_parquet(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pl.DataFrame({"a": range(10_000)}).write_parquet(path)
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:3], b"a,b\n1,2\n" * 10):
        path.write_bytes(damaged)
        assert "x.parquet is not a whole Parquet file" in refusal(lambda: open_table(path))


def test_parquet_damaged_inside(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pl.DataFrame({"a": np.random.default_rng(0).integers(0, 1 << 40, 10_000)}).write_parquet(path)
    table = open_table(path)
    path.write_bytes(path.read_bytes()[:8] + b"\xff" * 2_000 + path.read_bytes()[2_008:])
    assert "x.parquet is not a whole Parquet file" in refusal(lambda: rows(table))


def test_truncated_gzip(tmp_path: Path) -> None:
    path = tmp_path / "x.csv.gz"
    whole = gzip.compress(b"a,b\n" + b"".join(b"%d,%d\n" % (i, i * 7919 % 1000003) for i in range(100_000)))
    for damaged in (whole[: len(whole) // 2], whole[:-4], whole[:-8] + b"\0" * 8):
        path.write_bytes(damaged)
        assert "x.csv.gz is not a whole gzip file" in refusal(lambda: rows(open_table(path)))
    path.write_bytes(b"a,b\n1,2\n")
    assert "x.csv.gz is not a whole gzip file" in refusal(lambda: open_table(path))


def test_permission_denied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "x.csv", "a\n1\n")

    def denied(*_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    assert "x.csv may not be read (permission denied)" in refusal(lambda: open_table(path))


def test_a_file_that_went_away(tmp_path: Path) -> None:
    for path in (tmp_path / "x.csv", tmp_path / "x.parquet"):
        pl.DataFrame({"a": [1]}).write_csv(path) if path.suffix == ".csv" else SMALL.write_parquet(path)
        table = open_table(path)
        path.unlink()
        assert f"{path.name} cannot be read (" in refusal(lambda table=table: rows(table))


# Types


def test_dictionaries_become_text() -> None:
    frame = pl.DataFrame({"c": ["x", None, "y"], "e": ["a", "b", None]}).with_columns(
        pl.col("c").cast(pl.Categorical), pl.col("e").cast(pl.Enum(["a", "b"]))
    )
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    for source in (frame, frame.to_arrow(), frame.to_pandas()):
        got = next(open_table(source).chunks()).frame
        assert got.dtypes == [pl.String, pl.String]
        assert got.rows() == [("x", "a"), (None, "b"), ("y", None)]
    assert frame.dtypes == [pl.Categorical, pl.Enum(["a", "b"])]


def test_dictionaries_in_parquet(tmp_path: Path) -> None:
    arrow = pa.table(
        {"c": pa.array(["x", None, "y"]).dictionary_encode(), "n": pa.array([7, 7, 8]).dictionary_encode()}
    )
    pq.write_table(arrow, tmp_path / "x.parquet")
    for source in (arrow, tmp_path / "x.parquet"):
        got = next(open_table(source).chunks()).frame
        assert (got.dtypes, got.rows()) == ([pl.String, pl.Int64], [("x", 7), (None, 7), ("y", 8)])


def test_arrow_types() -> None:
    arrow = pa.table(
        {
            "large": pa.array(["x", None], pa.large_string()),
            "view": pa.array(["x", None], pa.string_view()),
            "decimal": pa.array([1, None], pa.decimal128(10, 2)),
            "wide": pa.array([1, None], pa.decimal256(50, 2)),
            "null": pa.nulls(2),
            "list": pa.array([[1], None]),
        }
    )
    got = next(open_table(arrow).chunks()).frame
    assert got.dtypes == [pl.String, pl.String, pl.Decimal(10, 2), pl.String, pl.Null, pl.List(pl.Int64)]
    assert got["wide"].to_list() == ["1.00", None]
    interval = pa.table({"a": [1], "i": pa.array([(1, 2, 3)], pa.month_day_nano_interval())})
    assert rows(open_table(interval), ["a"]) == [(1,)]
    assert "column 'i' of the frame is of a type that cannot be read" in refusal(lambda: rows(open_table(interval)))


def test_integers_of_128_bits(tmp_path: Path) -> None:
    values = [2**70 + i if i % 3 else None for i in range(70_000)]
    frame = pl.DataFrame({"i": pl.Series(values, dtype=pl.Int128), "n": range(70_000)})
    frame.write_parquet(tmp_path / "x.parquet")
    for source in (frame, tmp_path / "x.parquet"):
        table = open_table(source)
        assert (table.num_rows, table.columns) == (70_000, ("i", "n"))
        assert pl.concat([chunk.frame for chunk in table.chunks()]).equals(frame)
        assert rows(table, ["n", "i"], limit=2) == [(0, None), (1, 2**70 + 1)]


def test_mixed_objects_are_text_value_by_value() -> None:
    values = ["007", 7, 7.0, 0.1, True, np.float64("nan"), None, pd.NA, pd.NaT, np.int64(3), np.bool_(False), 2**200]
    expected = ["007", "7", "7.0", "0.1", "true", None, None, None, None, "3", "false", str(2**200)]
    frame = pd.DataFrame({"v": pd.Series(values, dtype=object), "w": range(len(values))})
    polars = pl.DataFrame({"v": pl.Series(values, dtype=pl.Object)})
    for source in (frame, polars, [{"v": v} for v in values]):
        table = open_table(source)
        assert [value for (value,) in rows(table, ["v"])] == expected
        assert next(table.chunks(["v"])).frame.dtypes == [pl.String]


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([1, None, -3], pl.Int64),
        ([2**63, 1], pl.Int128),
        ([-(2**127), 2**127 - 1], pl.Int128),
        ([2**127], pl.String),
        ([1.5, None, float("nan")], pl.Float64),
        ([1, 2.5], pl.Float64),
        ([2**53 + 1, 2.5], pl.String),
        ([10**400, 2.5], pl.String),
        ([True, None, False], pl.Boolean),
        ([True, 1], pl.String),
        (["a", float("nan")], pl.String),
        ([None, float("nan")], pl.Null),
        ([datetime.date(2024, 2, 29)], pl.String),
    ],
)
def test_types_of_python_values(values: list[Any], dtype: type[pl.DataType]) -> None:
    for source in ([{"v": v} for v in values], pd.DataFrame({"v": pd.Series(values, dtype=object)})):
        column = next(open_table(source).chunks()).frame["v"]
        assert column.dtype == dtype
        known = [None if v is None or v != v else v for v in values]
        assert column.to_list() == ([None if v is None else as_text(v) for v in known] if dtype == pl.String else known)


def as_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def test_the_type_of_objects_is_that_of_all_rows() -> None:
    values = [1] * 70_000 + ["x"]
    for source in ([{"v": v} for v in values], pd.DataFrame({"v": pd.Series(values, dtype=object)})):
        assert {chunk.frame["v"].dtype for chunk in open_table(source).chunks()} == {pl.String()}


def test_objects_that_are_no_values() -> None:
    nested = [{"a": 1, "v": "x"}, {"a": 2, "v": ["y"]}]
    for source in (nested, pd.DataFrame(nested)):
        table = open_table(source)
        assert rows(table, ["a"]) == [(1,), (2,)]  # a column that nobody asks for hurts nobody
        assert "column 'v' of the frame holds a list in row 2" in refusal(lambda table=table: rows(table))
    assert "half a character" in refusal(lambda: rows(open_table([{"a": "\ud800"}])))


@pytest.mark.parametrize(
    ("cells", "dtype", "expected"),
    [
        ([["a", None, 7], None, [], ("b",)], pl.List(pl.String), [["a", None, "7"], None, [], ["b"]]),
        ([[1, 2], [2.5, np.float32("nan")]], pl.List(pl.Float64), [[1, 2], [2.5, None]]),
        ([np.array([1, 2]), np.array([], dtype=np.int64)], pl.List(pl.Int64), [[1, 2], []]),
        ([[2**70], float("nan"), [7]], pl.List(pl.Int128), [[2**70], None, [7]]),
        ([[], None], pl.List(pl.Null), [[], None]),
        ([[datetime.date(2026, 1, 31)]], pl.List(pl.String), [["2026-01-31"]]),
        (
            [[{"v": "a", "w": 1}], [{"v": 7, "w": 0.5}, {"v": "b"}]],
            pl.List(pl.Struct({"v": pl.String, "w": pl.Float64})),
            [[{"v": "a", "w": 1.0}], [{"v": "7", "w": 0.5}, {"v": "b", "w": None}]],
        ),
        ([{"a": 1}, None], pl.Struct({"a": pl.Int64}), [{"a": 1}, None]),
        ([[[1]], [[2, 3]]], pl.List(pl.List(pl.Int64)), [[[1]], [[2, 3]]]),
    ],
)
def test_lists_of_python_values(cells: list[Any], dtype: pl.DataType, expected: list[Any]) -> None:
    for source in ([{"v": v} for v in cells], pd.DataFrame({"v": pd.Series(cells, dtype=object)})):
        column = next(open_table(source).chunks()).frame["v"]
        assert column.dtype == dtype
        assert column.to_list() == expected
        assert open_table(source).fingerprint() == open_table(source).fingerprint()


@pytest.mark.parametrize("odd", ["b", [["b"]], [b"b"], {"a"}, {"b": 1}], ids=str)
def test_lists_beside_something_else_are_refused(odd: Any) -> None:
    for source in ([{"v": ["a"]}, {"v": odd}], pd.DataFrame({"v": pd.Series([["a"], odd], dtype=object)})):
        assert "column 'v' of the frame holds a" in refusal(lambda source=source: rows(open_table(source)))


def test_pandas_types() -> None:
    frame = pd.DataFrame(
        {
            "nullable": pd.Series([1, None], dtype="Int64"),
            "boolean": pd.Series([True, None], dtype="boolean"),
            "string": pd.Series(["a", None], dtype="string"),
            "arrow": pd.Series([1, None], dtype="int64[pyarrow]"),
            "category": pd.Series(pd.Categorical(["a", None])),
            "numbers": pd.Series(pd.Categorical([7, None])),
            "mixed": pd.Series(pd.Categorical(["a", 7])),
            "float": [1.5, np.nan],
            "sparse": pd.arrays.SparseArray([0, 1]),
            "time": pd.to_datetime(["2024-02-29", None]),
            5: [1, 2],
        }
    ).set_axis(["x", "y"])
    before = frame.copy(deep=True)
    got = next(open_table(frame).chunks()).frame
    assert got.columns == [*map(str, frame.columns)]
    assert got.rows()[0] == (1, True, "a", 1, "a", 7, "a", 1.5, 0, datetime.datetime(2024, 2, 29), 1)
    assert got.rows()[1] == (None, None, None, None, None, None, "7", None, 1, None, 2)
    pd.testing.assert_frame_equal(frame, before)
    periods = pd.DataFrame({"p": pd.period_range("2024", periods=2, freq="D")})
    assert "column 'p' of the frame holds a Period in row 1" in refusal(lambda: rows(open_table(periods)))


@pytest.mark.parametrize(
    "dtype", ["?", "i1", "u8", "i8", "f2", "f4", "f8", "g", ">f8", ">i4", "U3", "M8[D]", "M8[ns]", "O"]
)
@pytest.mark.parametrize("order", ["C", "F"])
def test_numpy_arrays(dtype: str, order: Any) -> None:
    array = np.array([[0, 1], [1, 0], [1, 1]], order=order).astype("i8" if dtype.startswith("M8") else dtype)
    array = array.astype(dtype, order=order)
    before = array.copy()
    table = open_table(array)
    assert (table.name, table.typed, table.columns, table.num_rows) == ("the frame", True, ("x0", "x1"), 3)
    got = next(table.chunks(["x1", "x0"])).frame
    expected = {
        "?": pl.Boolean, "i1": pl.Int8, "u8": pl.UInt64, "f2": pl.Float32, "f4": pl.Float32, ">i4": pl.Int32,
        "U3": pl.String, "i8": pl.Int64, "O": pl.Int64, "M8[D]": pl.Date, "M8[ns]": pl.Datetime("ns"),
    }  # fmt: skip
    assert got.dtypes == [expected.get(dtype, pl.Float64)] * 2
    assert [list(row) for row in got.rows()] == array[:, ::-1].astype("M8[us]" if "M8[n" in dtype else dtype).tolist()
    assert (array == before).all()


def test_numpy_objects_and_nan() -> None:
    array = np.array([["a", 7, 1.5], [None, np.nan, 2]], dtype=object)
    got = next(open_table(array).chunks()).frame
    assert (got.dtypes, got.rows()) == ([pl.String, pl.Int64, pl.Float64], [("a", 7, 1.5), (None, None, 2.0)])
    assert np.isnan(rows(open_table(np.array([[np.nan]])))[0][0])  # as in a Polars frame


def test_structured_numpy_arrays() -> None:
    array = np.array([(7, "Ulm", 0.5), (8, "", np.nan)], dtype=[("user", "i4"), ("city", "U5"), ("price", "f4")])
    for source in (array, array.view(np.recarray)):
        table = open_table(source)
        assert (table.columns, table.num_rows) == (("user", "city", "price"), 2)
        assert rows(table, ["city", "user"]) == [("Ulm", 7), ("", 8)]
        assert next(table.chunks()).frame.dtypes == [pl.Int32, pl.String, pl.Float32]


def test_numpy_arrays_are_known_by_their_values() -> None:
    array = np.arange(8.0).reshape(4, 2)
    first = open_table(array).fingerprint()
    assert open_table(np.asfortranarray(array)).fingerprint() == first
    assert open_table(pl.DataFrame({"x0": array[:, 0], "x1": array[:, 1]})).fingerprint() == first
    assert open_table(array[::-1]).fingerprint() != first


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros(3), r"given the shape \(3,\): one column is \.reshape"),
        (np.zeros(()), r"given the shape \(\)"),
        (np.zeros((2, 2, 2)), r"given the shape \(2, 2, 2\): reshape it"),
        (np.zeros((2, 0)), "at least one column"),
        (np.ma.masked_array(np.zeros((2, 2)), mask=[[0, 1], [0, 0]]), r"\.filled"),
        (scipy.sparse.csr_matrix(np.eye(2)), r"scipy\.sparse.*\.toarray"),
    ],
)
def test_arrays_that_are_no_tables(array: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        open_table(array)


@pytest.mark.parametrize("dtype", ["c16", "S3", "m8[s]"])
def test_arrays_of_what_is_no_value(dtype: str) -> None:
    message = refusal(lambda: rows(open_table(np.zeros((2, 2), dtype=dtype))))
    assert "an array holds numbers, booleans, texts or times; column 'x0' of the frame holds" in message


def test_the_input_is_not_changed() -> None:
    data: list[dict[str, Any]] = [{"a": 1, "b": None}, {"a": "x", "c": 2.5}]
    before = [dict(row) for row in data]
    assert rows(open_table(data)) == [("1", None, None), ("x", None, 2.5)]
    assert data == before


# Fingerprints


def test_fingerprints_of_files(tmp_path: Path) -> None:
    a, b = write(tmp_path / "a.csv", "a\n1\n"), write(tmp_path / "b.csv", "a\n2\n")
    table = open_table(a)
    first, verified = table.fingerprint(), table.fingerprint(verify=True)
    assert re.fullmatch("[0-9a-f]{64}", first)
    assert rows(table) == [("1",)]
    assert (table.fingerprint(), open_table(a).fingerprint()) == (first, first)
    assert first != verified

    os.rename(a, tmp_path / "c.csv")
    assert open_table(tmp_path / "c.csv").fingerprint() == first  # the name does not count
    os.rename(tmp_path / "c.csv", tmp_path / "c.tsv")
    assert open_table(tmp_path / "c.tsv").fingerprint(verify=True) != verified  # but how it is read does
    os.rename(tmp_path / "c.tsv", a)

    prints = [open_table(s).fingerprint(verify=True) for s in ([a], [b], [a, b], [b, a], [a, a])]
    assert len(set(prints)) == 5

    os.utime(a, ns=(0, 0))
    assert table.fingerprint() != first
    assert table.fingerprint(verify=True) == verified
    write(a, "a\n1\n1\n")
    assert open_table(a).fingerprint(verify=True) != verified


def test_verify_reads_every_byte(tmp_path: Path) -> None:
    path = write(tmp_path / "big.csv", b"a\n" + b"1\n" * 2_000_000)
    table = open_table(path)
    time = path.stat().st_mtime_ns

    def change(offset: int) -> tuple[str, str]:
        with path.open("r+b") as file:
            file.seek(offset)
            file.write(b"2")
        os.utime(path, ns=(time, time))
        return table.fingerprint(), table.fingerprint(verify=True)

    first = table.fingerprint(), table.fingerprint(verify=True)
    between = change(2 + 2 * 70_000)  # behind the first sampled block and before the second
    assert between[0] == first[0]
    assert between[1] != first[1]
    for offset in (2, 4_000_000):  # in the first and the last block
        changed = change(offset)
        assert changed[0] != between[0]
        between = changed


def test_fingerprints_of_frames() -> None:
    frame = pl.DataFrame({"a": range(100_000), "b": ["x", None] * 50_000})
    first = open_table(frame).fingerprint()
    chunked = pl.concat([frame.head(10), frame.slice(10)], rechunk=False)
    assert open_table(chunked).fingerprint() == first
    assert open_table(frame.to_arrow()).fingerprint(verify=True) == open_table(frame).fingerprint(verify=True)
    others = [
        frame.head(99_999),
        frame.rename({"a": "c"}),
        frame.with_columns(pl.col("a").cast(pl.Int32)),
        frame.select("b", "a"),
        frame.reverse(),
        frame.with_columns(b=pl.col("b").fill_null("")),
        frame.with_columns(a=pl.when(pl.col("a") == 99_999).then(0).otherwise(pl.col("a"))),
        frame.clear(),
    ]
    assert len({first, *(open_table(other).fingerprint() for other in others)}) == 1 + len(others)


# Sizes


def test_estimated_rows_of_large_text(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    text = "a,b\n" + "".join(f"{a},{b}\n" for a, b in generator.integers(0, 1 << 30, (200_000, 2)))
    for suffix in ("csv", "csv.gz"):
        table = open_table(write(tmp_path / f"x.{suffix}", text))
        assert table.num_rows is None
        assert table.num_bytes == (tmp_path / f"x.{suffix}").stat().st_size
        assert 0.8 < table.estimated_rows() / 200_000 < 1.25


@pytest.mark.parametrize("name", ["", "**", "*a", "^", "$", "a b", ".*", "$x^"])
def test_a_column_may_have_any_name_but_a_pattern(name: str, tmp_path: Path) -> None:
    frame = pl.DataFrame({name: [1, 2], "b": [3, 4]})
    frame.write_parquet(tmp_path / "t.parquet")
    frame.write_csv(tmp_path / "t.csv")
    rows = [{name: 1, "b": 3}, {name: 2, "b": 4}]
    sources = [str(tmp_path / "t.parquet"), str(tmp_path / "t.csv"), frame, frame.to_arrow(), frame.to_pandas(), rows]
    for source in sources:
        (chunk,) = open_table(source).chunks()
        assert chunk.frame.columns == [name, "b"]
        (chunk,) = open_table(source).chunks([name])
        assert [int(value) for value in chunk.frame[name]] == [1, 2]


@pytest.mark.parametrize("name", ["*", "^x$", "^$"])
def test_a_name_that_is_a_pattern_is_refused(name: str, tmp_path: Path) -> None:
    frame = pl.DataFrame({"a": [1], name: [2]})
    frame.write_csv(tmp_path / "t.csv")
    frame.write_parquet(tmp_path / "t.parquet")
    folder = tmp_path / f"{name}=1"
    folder.mkdir()
    SMALL.write_parquet(folder / "k.parquet")
    sources: list[Any] = [tmp_path / "t.csv", tmp_path / "t.parquet", folder / "k.parquet"]
    sources += [frame, frame.to_arrow(), frame.to_pandas(), frame.to_dicts()]
    for source in sources:
        file = source.name if isinstance(source, Path) else "the frame"
        with pytest.raises(DataError) as caught:
            open_table(source)
        assert str(caught.value) == (
            f"a column's name is not * and does not begin with ^ and end with $; {file} has '{name}': rename it"
        )
    with pytest.raises(DataError, match=r"has '.*': rename it"):
        open_table(write(tmp_path / "bare.csv", "1,2\n"), columns=("a", name))
