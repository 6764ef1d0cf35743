"""Every source gives the same rows, says where they stand, and refuses what is no table in one sentence."""

from __future__ import annotations

import gzip
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest

from masknet.errors import DataError
from masknet.table import Table, open_table

SMALL = pl.DataFrame({"user": [1, 2, 3, 4], "city": ["Ulm", None, "Köln", "a\0b😀"], "price": [0.5, 1.0, None, 2.5]})


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


def test_files_with_one_name_are_told_apart(tmp_path: Path) -> None:
    paths = []
    for day in ("mon", "tue"):
        (tmp_path / day).mkdir()
        paths.append(write(tmp_path / day / "ads.csv", "a\n1\n"))
    assert [chunk.source for chunk in open_table(paths).chunks()] == [str(path) for path in paths]
    assert [chunk.source for chunk in open_table(str(tmp_path / "*" / "ads.csv")).chunks()] == [str(p) for p in paths]


def test_unknown_column_offers_the_nearest() -> None:
    error = refused(lambda: open_table(SMALL).chunks(["user", "prize"]))
    assert str(error) == (
        "column 'prize' is missing from the frame, which has 3 columns: user, city, price; did you mean 'price'?"
    )
    assert (error.file, error.column, error.row) == ("the frame", "prize", None)


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
    error = refused(lambda: open_table(tmp_path))
    assert (error.file, error.column) == ("3.csv", "b")


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
    assert refused(lambda: open_table(tmp_path / "todays.csv")).file == f"{tmp_path}/todays.csv"
    assert message == f"no file at '{tmp_path}/todays.csv'; did you mean '{tmp_path}/today.csv'?"
    assert "check the path" in refusal(lambda: open_table(tmp_path / "zzz.parquet"))
    assert "there is no folder" in refusal(lambda: open_table(tmp_path / "none" / "x.csv"))


def test_nothing_found(tmp_path: Path) -> None:
    assert "no file matches" in refusal(lambda: open_table(str(tmp_path / "*.csv")))
    assert "holds none" in refusal(lambda: open_table(tmp_path))


def test_unknown_suffix_lists_the_known(tmp_path: Path) -> None:
    message = refusal(lambda: open_table(write(tmp_path / "a.xls", "a\n1\n")))
    assert ".parquet, .pq, .csv, .tsv, .txt, .jsonl, .ndjson, .libsvm, .svm, .libfm, .libffm, .ffm (texts" in message
    assert "a.xls" in message


@pytest.mark.parametrize("name", ["x.csv", "x.parquet", "x.tsv.gz"])
def test_zero_bytes(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"")
    assert f"{name} is empty (0 bytes)" in refusal(lambda: open_table(tmp_path / name))


@pytest.mark.parametrize("source", [[], [{}], 3, [[1, 2]], pl.DataFrame(), ["a.csv", {"a": 1}], None])
def test_other_objects(source: Any) -> None:
    assert refusal(lambda: open_table(source)).startswith("a table ")


def test_a_txt_is_what_its_first_line_is(tmp_path: Path) -> None:
    assert rows(open_table(write(tmp_path / "a.txt", "a,b\n1,2\n"))) == [("1", "2")]
    assert rows(open_table(write(tmp_path / "a.txt.gz", "a,\tb\n1\t2\n"))) == [("1", "2")]
    message = refusal(lambda: open_table(write(tmp_path / "b.txt", "click:0 dense:0.5\n")))
    assert message == (
        "a text has tabs, commas, ; or | between its values, or is JSON Lines, libsvm or libffm; the first line of "
        "b.txt is 'click:0 dense:0.5': say what it is (--format, --delimiter), or convert it"
    )


def test_a_note_beside_the_shards_is_none_of_them(tmp_path: Path) -> None:
    write(tmp_path / "README.txt", "a log, of ads\n")
    write(tmp_path / "part.csv", "a,b\n1,2\n")
    assert rows(open_table(tmp_path)) == [("1", "2")]
    (tmp_path / "part.csv").unlink()
    assert open_table(tmp_path).columns == ("a log", " of ads")


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
