"""Bad rows: every rule finds all of them, says where and why, and the rows that stay are read as if alone."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from masknet.encode import BadRows, Declared, EncodingPlan, Prepared, prepare, values
from masknet.encode.cells import reader
from masknet.encode.sift import Check, Quarantine, declared_checks, schema_checks, sift
from masknet.errors import DataError
from masknet.progress import LogProgress
from masknet.schema import Bag, Categorical, Numeric, Schema
from masknet.table import BadRow, Form, Table, open_table, text_pass
from masknet.table import table as table_module
from masknet.table import text as text_module

PLAN = EncodingPlan(Declared(label="click"), bad_rows="quarantine")
LABEL: dict[str, Check] = {"click": values.labels}


def sifted(source: Any, checks: dict[str, Check], limit: int | None = None) -> tuple[Table, list[BadRow], int]:
    """The table that stays, the bad rows, and the number of rows read."""
    found: list[BadRow] = []
    rows = 0

    def hear(read: int, bad: Any) -> None:
        nonlocal rows
        rows += read
        found.extend(bad)

    table = source if isinstance(source, Table) else open_table(source)
    return sift(table, checks, hear, limit=limit), found, rows


def rows_of(table: Table, columns: list[str] | None = None) -> list[tuple[Any, ...]]:
    return [row for chunk in table.chunks(columns) for row in chunk.frame.rows()]


def labels_of(file: Path) -> list[Any]:
    return [values.labels(chunk.frame["click"], chunk.place) for chunk in open_table(file).chunks()]


def places_of(table: Table) -> list[str]:
    return [chunk.place(i) for chunk in table.chunks() for i in range(len(chunk.frame))]


# What is found


@pytest.mark.parametrize(
    ("column", "cells", "bad", "why"),
    [
        ("click", ["0", "1", "2", "", "good"], [3, 4, 5], "a label is 0 or 1; column 'click' is missing in row 4"),
        ("w", ["1", "-1", "inf", "x", "0"], [2, 3, 4], "a sample weight is finite and at least 0; column 'w' holds"),
        (
            "at",
            ["2026-01-31", "7", "soon", "2026-02-01", "2026-02-01 12:00"],
            [2, 3],
            "a column of time holds moments of the years 1 to 9999, here an ISO",
        ),
        ("at", ["1", "2", "2026-02-01", "4", ""], [3, 5], "a time is known of every row; column 'at' holds '' in"),
        ("price", ["1", "", "nan", "1,5", "inf"], [4], "a numeric column holds numbers; column 'price' holds '1,5' in"),
    ],
)
def test_each_declared_column_finds_all_its_bad_rows(column: str, cells: list[str], bad: list[int], why: str) -> None:
    frame = pl.DataFrame({"click": ["0"] * 5, "w": ["1"] * 5, "at": ["3"] * 5, "price": ["1"] * 5, "n": range(5)})
    frame = frame.with_columns(pl.Series(column, cells))
    declared = Declared(label="click", weight="w", time="at", numeric=("price",))
    kept, found, rows = sifted(frame, declared_checks(declared))
    assert ([row.row for row in found], rows) == (bad, 5)
    assert {row.column for row in found} == {column}
    assert any(row.reason.startswith(why) for row in found), [row.reason for row in found]
    assert all(f"row {row.row} of the frame" in row.reason for row in found)
    assert [row.cells for row in found] == [frame.row(i - 1) for i in bad]
    good = [i for i in range(5) if i + 1 not in bad]
    assert rows_of(kept) == [frame.row(i) for i in good]
    assert places_of(kept) == [f"row {i + 1} of the frame" for i in good]
    assert kept.num_rows == len(good)


def test_a_row_has_the_reason_of_the_first_check_and_counts_once() -> None:
    frame = pl.DataFrame({"click": ["0", "7"], "w": ["-1", "-1"]})
    _, found, rows = sifted(frame, declared_checks(Declared(label="click", weight="w")))
    assert [(row.row, row.column) for row in found] == [(1, "w"), (2, "click")]
    assert rows == 2


def test_what_is_said_of_a_row_is_what_it_would_be_refused_with(tmp_path: Path) -> None:
    for name, data in {
        "ragged": b"click,b\n0,1\n1,2,3\n",
        "bytes": b"click,b\n0,1\n1,\xe4x\n",
        "label": b"click,b\n0,1\n2,x\n",
    }.items():
        file = tmp_path / f"{name}.csv"
        file.write_bytes(data)
        with pytest.raises(DataError) as refused:
            labels_of(file)
        _, found, _ = sifted(file, LABEL)
        assert [row.reason for row in found] == [str(refused.value)]
        assert found[0].row == 2


def test_a_training_schema_says_what_is_bad_in_the_validation_table() -> None:
    schema = Schema(label="click", fields=(Categorical(name="id", values="integer"), Numeric(name="x")), time="at")
    frame = pl.DataFrame(
        {"click": [0, 1, 3, 0], "id": [1.0, 2.0**60, 3.0, 4.5], "x": ["1", "2", "3", "four"], "at": [None] * 4}
    )
    _, found, _ = sifted(frame, schema_checks(schema))
    assert [(row.row, row.column) for row in found] == [(2, "id"), (3, "click"), (4, "x")]
    assert "loses its digits" in found[0].reason


def test_a_whole_column_of_another_type_is_no_bad_row() -> None:
    with pytest.raises(DataError, match="holds List"):
        sifted(pl.DataFrame({"click": [[0], [1]]}), LABEL)


def test_a_row_whose_bag_holds_several_wrong_values_is_told_of_by_the_first() -> None:
    frame = pl.DataFrame({"bag": ["a:1", "b:2|c|d:x", "e:3", "f"]})
    check = reader(Bag(name="bag", separator="|", weighted=True))
    _, found, _ = sifted(frame, {"bag": check})
    assert [(row.row, "'c'" in row.reason, "'f'" in row.reason) for row in found] == [
        (2, True, False),
        (4, False, True),
    ]


def test_times_of_another_kind_are_set_aside_though_they_fill_a_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_module, "ROWS", 4)
    times = ["2026-01-01", "2026-01-02", "3", "2026-01-04", *["20260105"] * 4, "2026-01-06"]
    kept, found, _ = sifted(pl.DataFrame({"at": times}), declared_checks(Declared(time="at")))
    assert [row.row for row in found] == [3, 5, 6, 7, 8]
    assert all("here an ISO date or time" in row.reason for row in found)
    assert [row[0] for row in rows_of(kept)] == ["2026-01-01", "2026-01-02", "2026-01-04", "2026-01-06"]


@pytest.mark.parametrize(
    ("limit", "bad", "rows", "kept"), [(1, [1], 2, 1), (2, [1, 3], 4, 2), (3, [1, 3], 5, 3), (4, [1, 3, 6, 7], 7, 3)]
)
@pytest.mark.parametrize("shards", [1, 7])
def test_a_limit_counts_good_rows(
    limit: int, bad: list[int], rows: int, kept: int, shards: int, tmp_path: Path
) -> None:
    lines = ["9,a", "0,b", "1", "1,d", "0,e", "1,f,g", "9,h"]
    for i in range(shards):
        part = lines if shards == 1 else lines[i : i + 1]
        (tmp_path / f"{i}.csv").write_text("click,x\n" + "".join(f"{line}\n" for line in part))
    table, found, read = sifted(tmp_path, LABEL, limit)
    numbers = [row.row if shards == 1 else int(row.source[0]) + 1 for row in found]
    assert (numbers, read) == (bad, rows)
    assert rows_of(table) == [("0", "b"), ("1", "d"), ("0", "e")][:kept]
    assert table.num_rows == kept


GOOD = st.tuples(st.sampled_from("01"), st.text("aä,\n\"'", max_size=5)).map(
    lambda cells: (None, [cells[0], cells[1] or "x"])
)
BAD = st.sampled_from([(None, ["1"]), (None, ["1", "2", "3"]), ("click", ["7", "x"]), ("x", ["0", "\udce9\udcff"])])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=60)
@given(rows=st.lists(st.one_of(GOOD, GOOD, BAD), max_size=300))
def test_the_good_rows_of_a_file_are_read_as_if_alone(
    rows: list[tuple[str | None, list[str]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_module, "BLOCKS", (1 << 7, 1 << 10))
    monkeypatch.setattr(table_module, "ROWS", 8)

    def written(some: list[list[str]]) -> bytes:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([["click", "x"], *some])
        return text.getvalue().encode("utf-8", "surrogateescape")

    is_good = [len(cells) == 2 and cells[0] != "7" and "\udce9" not in cells[1] for _, cells in rows]
    good = [i for i, ok in enumerate(is_good) if ok]
    (tmp_path / "x.csv").write_bytes(written([cells for _, cells in rows]))
    (tmp_path / "good.csv").write_bytes(written([rows[i][1] for i in good]))
    quoted = Form(quote='"')  # so that lines in quotes are not taken for rows
    table, found, read = sifted(open_table(tmp_path / "x.csv", form=quoted), LABEL)
    assert rows_of(table) == rows_of(open_table(tmp_path / "good.csv", form=quoted))
    assert rows_of(table, ["x"]) == rows_of(open_table(tmp_path / "good.csv", form=quoted), ["x"])
    assert places_of(table) == [f"row {i + 1} of x.csv" for i in good]
    expected = [(i + 1, rows[i][0] if len(rows[i][1]) == 2 else None) for i, ok in enumerate(is_good) if not ok]
    assert [(row.row, row.column) for row in found] == expected
    shown = [[cell.replace("\udce9\udcff", "\\xe9\\xff") for cell in rows[row - 1][1]] for row, _ in expected]
    assert [list(row.cells) for row in found] == shown
    assert read == len(rows)


def test_rows_torn_one_after_the_other_are_told_of_piece_by_piece(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_module, "BLOCKS", (1 << 8, 1 << 10))
    (tmp_path / "x.csv").write_text("click,x\n0,1\n" + "1\n" * 5_000)
    pieces: list[int] = []
    table = sift(open_table(tmp_path / "x.csv"), LABEL, lambda rows, bad: pieces.append(len(bad)))
    assert (sum(pieces), table.num_rows) == (5_000, 1)
    assert max(pieces) < 1_000


def test_a_header_of_another_width_than_all_rows_does_not_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_module, "BLOCKS", (1 << 8, 1 << 10))
    monkeypatch.setattr(text_pass, "HELD", 100_000)
    (tmp_path / "x.csv").write_text("click,x\n" + "1,2,3\n" * 5_000)
    with pytest.raises(
        DataError, match=r"from row 1 of .* have other than 2 values, as the header has: does the header"
    ):
        sifted(tmp_path / "x.csv", LABEL)


def test_a_row_too_long_for_a_block_is_told_of_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_module, "BLOCKS", (1 << 7, 1 << 12))
    lines = ["0,x", "1", "0,y"] * 50 + ["0," + "z" * 2_000, "1", "7,x", "1,last"]
    (tmp_path / "x.csv").write_text("click,x\n" + "".join(f"{line}\n" for line in lines))
    table, found, read = sifted(tmp_path / "x.csv", LABEL)
    assert [row.row for row in found] == [*range(2, 151, 3), 152, 153]
    assert read == len(lines)
    assert places_of(table)[-2:] == ["row 151 of x.csv", "row 154 of x.csv"]


def test_a_quote_that_is_never_closed_is_refused_all_the_same(tmp_path: Path) -> None:
    for tail in ('1,"x\n0,y\n', '"1,x\n0,y\n', '1,x,"y\n0,z\n'):
        (tmp_path / "x.csv").write_text("click,x\n0,a\n1\n" + tail)
        with pytest.raises(DataError, match=r"in row 3 of x\.csv one begins and is never closed"):
            sifted(tmp_path / "x.csv", LABEL)


# What is written


def log(rows: int = 200) -> pl.DataFrame:
    n = np.arange(rows)
    return pl.DataFrame(
        {
            "click": (n % 3 == 0).astype(np.int64),
            "user": [f"u{i % 7}" for i in n],
            "price": n * 0.5 + 0.25,
            "w": 1.0 + n % 2,
        }
    )


def prepared(source: Any, cache: Path, *, valid: Any = None, plan: EncodingPlan = PLAN, join: bool = False) -> Prepared:
    table, other = open_table(source), None if valid is None else open_table(valid)
    return prepare(table, other, plan, LogProgress(), cache=cache, join=join)


def written_rows(bad: BadRows | None) -> list[dict[str, str]]:
    assert bad is not None
    with bad.file.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def spoilt(path: Path, frame: pl.DataFrame, change: Callable[[list[bytes]], None]) -> Path:
    """A CSV file of the frame whose lines were changed, and beside it `clean-...`, the file without such lines."""
    text = frame.write_csv().encode().split(b"\n")
    header, lines = text[0], text[1:-1]
    before = list(lines)
    change(lines)
    path.write_bytes(b"\n".join([header, *lines, b""]))
    clean = [line for line, was in zip(lines, before, strict=True) if line == was]
    path.with_name(f"clean-{path.name}").write_bytes(b"\n".join([header, *clean, b""]))
    return path


def spoil(lines: list[bytes]) -> None:
    lines[1] = b"1,u1"
    lines[4] = b"1,u\xe9,2.5,1.0"
    lines[9] = b"maybe,u1,2.5,1.0"
    lines[50] = b"1,u1,2.5,-3"
    lines[120] = b"1,u1,cheap,1.0"
    lines[199] = b"1,u1,2.5,1.0,7"


FULL = replace(PLAN, declared=Declared(label="click", weight="w", numeric=("price",)))


def test_the_file_says_where_and_why(tmp_path: Path) -> None:
    found = prepared(spoilt(tmp_path / "log.csv", log(), spoil), tmp_path / "cache", plan=FULL)
    rows = written_rows(found.bad_rows)
    assert [(row["table"], row["source"], row["row"], row["column"]) for row in rows] == [
        ("train", "log.csv", "2", ""),
        ("train", "log.csv", "5", "user"),
        ("train", "log.csv", "10", "click"),
        ("train", "log.csv", "51", "w"),
        ("train", "log.csv", "121", "price"),
        ("train", "log.csv", "200", ""),
    ]
    assert "row 2 of log.csv has 2, the header 4" in rows[0]["reason"]
    assert "row 5 of log.csv is not, in column 'user'" in rows[1]["reason"]
    assert "column 'w' holds '-3' in row 51" in rows[3]["reason"]
    assert json.loads(rows[0]["cells"]) == ["1", "u1"]
    assert json.loads(rows[1]["cells"]) == ["1", "u\\xe9", "2.5", "1.0"]
    bad = found.bad_rows
    assert bad is not None
    assert len(bad) == 6
    assert list(bad.sentences(Path("x/bad_rows.csv"))) == [
        "6 of 200 rows of log.csv are bad and were set aside in x/bad_rows.csv: 2 as a whole, "
        "1 in column 'user', 1 in column 'click', 1 in column 'w', 1 in column 'price'"
    ]


@pytest.mark.parametrize("split", [{}, {"valid_fraction": 0.3}])
def test_the_rest_is_encoded_as_if_it_were_alone(split: dict[str, Any], tmp_path: Path) -> None:
    file = spoilt(tmp_path / "log.csv", log(), spoil)
    plan = replace(FULL, **split)
    one = prepared(file, tmp_path / "cache", plan=plan)
    other = prepared(tmp_path / "clean-log.csv", tmp_path / "cache", plan=replace(plan, bad_rows="refuse"))
    assert other.bad_rows is None
    assert one.inspection == other.inspection
    for a, b in ((one.train, other.train), (one.valid, other.valid)):
        assert a is not None
        assert b is not None
        for name in ("ids", "values", "labels", "weights"):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


def test_the_cache_remembers_them_and_knows_the_setting(tmp_path: Path) -> None:
    file = spoilt(tmp_path / "log.csv", log(), spoil)
    once, again = (prepared(file, tmp_path / "cache", plan=FULL) for _ in range(2))
    assert once.bad_rows == again.bad_rows
    assert once.fingerprint == again.fingerprint
    with pytest.raises(DataError, match="row 2 of log"):
        prepared(file, tmp_path / "cache", plan=replace(FULL, bad_rows="refuse"))


def test_bad_rows_of_the_validation_table_alone(tmp_path: Path) -> None:
    def change(lines: list[bytes]) -> None:
        lines[3], lines[7], lines[8] = b"1,u1,dear,1.0", b"2,u1,1,1.0", b"1"

    log().write_csv(tmp_path / "log.csv")
    valid = spoilt(tmp_path / "valid.csv", log(40), change)
    one = prepared(tmp_path / "log.csv", tmp_path / "cache", valid=valid)  # where the price is inferred
    rows = written_rows(one.bad_rows)
    assert [(row["table"], row["row"], row["column"]) for row in rows] == [
        ("valid", "4", "price"),
        ("valid", "8", "click"),
        ("valid", "9", ""),
    ]
    assert one.valid is not None
    assert (len(one.train), len(one.valid)) == (200, 37)
    assert one.bad_rows is not None
    assert [line.split(" are bad")[0] for line in one.bad_rows.sentences(Path("x"))] == ["3 of 40 rows of valid.csv"]
    both = prepared(tmp_path / "log.csv", tmp_path / "cache", valid=valid, join=True)
    assert len(both.train) == 237


def kinds(typed: bool) -> pl.DataFrame:
    """A weighted bag, a vector and moments; in each column one row in a hundred is bad."""
    n = range(200)
    frame = pl.DataFrame(
        {
            "click": [int(i % 3 == 0) for i in n],
            "weighed": ["a:1;b" if i in (3, 103) else "" if i % 5 == 0 else "a:1;b:0.5" for i in n],
            "vector": ["0.5 1 2" if i == 9 else "0.5 nan" if i == 109 else "0.5 1" for i in n],
            "at": ["soon" if i == 5 else "2026-02-30" if i == 105 else "2026-01-31T12:00:00Z" for i in n],
            "hour": ["14102199" if i in (6, 106) else "" if i % 3 == 1 else f"141021{i % 24:02}" for i in n],
        }
    )
    if typed:
        lists = pl.col("vector").str.split(" ").cast(pl.List(pl.Float64))
        weight = pl.element().str.extract(":(.*)$").cast(pl.Float64)
        pair = pl.struct(pl.element().str.extract(r"^(\w)").alias("v"), weight.alias("w"))
        frame = frame.with_columns(
            lists,
            pl.col("weighed").str.split(";").list.eval(pl.element().filter(pl.element() != "")).list.eval(pair),
            pl.col("hour").cast(pl.Int64, strict=False),
        )
    return frame


@pytest.mark.parametrize("typed", [False, True])
@pytest.mark.parametrize("part", ["train", "valid"])
def test_bad_weights_vectors_and_moments_are_set_aside(typed: bool, part: str, tmp_path: Path) -> None:
    declared = Declared(
        label="click", dense=("vector",), datetime=("at", "hour"),
        **({} if typed else {"bag": ("weighed",), "weighted": ("weighed",)}),
    )  # fmt: skip
    frame = kinds(typed)
    bad_rows = {5: "at", 6: "hour", 9: "vector", 105: "at", 106: "hour", 109: "vector"}
    if typed and part == "train":  # that a column of lists is a weighted bag is known only once all of it was read
        frame = frame.drop("weighed")
    else:
        bad_rows |= {3: "weighed", 103: "weighed"}
    good = frame.filter(~pl.int_range(pl.len()).is_in(list(bad_rows)))
    plan = replace(PLAN, declared=declared)
    train, valid = (frame, None) if part == "train" else (good, frame)
    found = prepared(train, tmp_path / "cache", plan=plan, valid=valid)
    rows = written_rows(found.bad_rows)
    assert {int(row["row"]) - 1: row["column"] for row in rows} == bad_rows
    assert all(f"row {row['row']} of the frame" in row["reason"] for row in rows)
    alone = prepared(
        good, tmp_path / "cache", plan=replace(plan, bad_rows="refuse"), valid=None if part == "train" else good
    )
    assert alone.inspection == found.inspection
    assert alone.encoder.schema == found.encoder.schema
    for own, other in ((found.train, alone.train), (found.valid, alone.valid)):
        assert own is not None
        assert other is not None
        for part in ("ids", "values", "dense"):
            np.testing.assert_array_equal(*(getattr(rows.take(slice(None)), part) for rows in (own, other)))


def test_frames_and_parquet_have_bad_rows_too(tmp_path: Path) -> None:
    frame = log().with_columns(click=pl.Series([None, 2, *log()["click"].to_list()[2:]]))
    frame.write_parquet(tmp_path / "log.parquet")
    for source, name in ((frame, "the frame"), (tmp_path / "log.parquet", "log.parquet")):
        found = prepared(source, tmp_path / "cache")
        assert [(row["source"], row["row"]) for row in written_rows(found.bad_rows)] == [(name, "1"), (name, "2")]
        assert found.inspection.rows == 198


def test_nothing_bad_is_an_empty_file(tmp_path: Path) -> None:
    found = prepared(log(), tmp_path / "cache")
    assert found.bad_rows is not None
    assert len(found.bad_rows) == 0
    assert written_rows(found.bad_rows) == []
    assert list(found.bad_rows.sentences(found.bad_rows.file)) == []


def test_a_table_that_is_mostly_bad_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    half = pl.DataFrame({"click": [0, 1, 2, 3] * 20, "x": [1.5, 2.5, 3.5, 4.5] * 20})
    assert prepared(half, tmp_path / "cache").bad_rows is not None
    plan = replace(PLAN, declared=Declared(label="x"))
    with pytest.raises(DataError, match=r"more than half of the first 200 rows of the frame are bad \(200 in column"):
        prepared(log().rename({"price": "x"}), tmp_path / "other", plan=plan)
    assert list((tmp_path / "other" / "encoded").iterdir()) == []


def test_a_long_table_that_is_mostly_bad_is_not_read_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("masknet.encode.sift._JUDGED_FROM", 10)
    monkeypatch.setattr(table_module, "ROWS", 16)
    table = open_table(pl.DataFrame({"click": [2] * 1_000}))
    with pytest.raises(DataError, match=r"first 16 rows .* name another label"):
        Quarantine(tmp_path / "set", LogProgress()).sift("train", table, LABEL)


def test_a_column_that_is_not_there_is_said_first(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--label names a column of the frame"):
        prepared(log(), tmp_path, plan=replace(PLAN, declared=Declared(label="clicks")))
    with pytest.raises(DataError, match="column 'user' is missing from the frame") as caught:
        prepared(log(), tmp_path, valid=log().drop("user"))
    assert (caught.value.file, caught.value.column) == ("the frame", "user")


def test_rows_without_a_header_and_in_partitions(tmp_path: Path) -> None:
    folder = tmp_path / "day=1"
    folder.mkdir()
    (folder / "x.csv").write_bytes(b"0,a\n1\n1,b\n0,\xff\n1,c\n")
    bad: list[BadRow] = []
    sifted = sift(
        open_table(tmp_path, columns=("click", "x")), {"click": values.labels}, lambda _, rows: bad.extend(rows)
    )
    assert [row for chunk in sifted.chunks() for row in chunk.frame.rows()] == [
        ("0", "a", "1"),
        ("1", "b", "1"),
        ("1", "c", "1"),
    ]
    assert [(row.row, row.column) for row in bad] == [(2, None), (4, "x")]
    assert bad[0].reason.startswith("each row has as many values as --columns; row 2 of x.csv has 1, --columns 2: mend")
    assert [chunk.place(2) for chunk in sifted.chunks(["day"])] == ["row 5 of x.csv"]
