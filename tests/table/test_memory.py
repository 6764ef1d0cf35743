"""Frames, arrays and lists of dicts: every cell has the value that it had in memory."""

from __future__ import annotations

import datetime
import io
import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from masknet.errors import DataError
from masknet.table import Table, open_table


def rows(table: Table, columns: list[str] | None = None, limit: int | None = None) -> list[tuple[Any, ...]]:
    return [row for chunk in table.chunks(columns, limit=limit) for row in chunk.frame.rows()]


def refused(call: Callable[[], Any]) -> DataError:
    with pytest.raises(DataError) as caught:
        call()
    return caught.value


def refusal(call: Callable[[], Any]) -> str:
    return str(refused(call))


def as_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


# Polars and Arrow


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
    decimals = [pl.Decimal(10, 2), pl.Decimal(38, 2)]
    assert got.dtypes == [pl.String, pl.String, *decimals, pl.Null, pl.List(pl.Int64)]
    assert got["wide"].to_list() == [1, None]


# Python's values


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
        ([datetime.date(2024, 2, 29), None], pl.Date),
        ([datetime.time(12, 30)], pl.Time),
        ([datetime.datetime(2024, 2, 29, 12, 30)], pl.String),
        ([datetime.date(2024, 2, 29), "soon"], pl.String),
        ([Decimal("1.50"), None, Decimal("-20")], pl.Decimal(38, 2)),
        ([Decimal("1.5"), 7], pl.Decimal(38, 1)),
        ([Decimal("1E+3"), Decimal("0.001")], pl.Decimal(38, 3)),
        ([Decimal(10) ** 40, Decimal("1.5")], pl.String),
        ([Decimal("Infinity")], pl.String),
        ([Decimal("1.5"), 2.5], pl.String),
    ],
)
def test_types_of_python_values(values: list[Any], dtype: type[pl.DataType]) -> None:
    for source in ([{"v": v} for v in values], pd.DataFrame({"v": pd.Series(values, dtype=object)})):
        column = next(open_table(source).chunks()).frame["v"]
        assert column.dtype == dtype
        known = [None if v is None or v != v else v for v in values]
        assert column.to_list() == ([None if v is None else as_text(v) for v in known] if dtype == pl.String else known)


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
        error = refused(lambda table=table: rows(table))
        assert (error.file, error.column, error.row, error.value) == ("the frame", "v", 2, ["y"])
    assert "half a character" in refusal(lambda: rows(open_table([{"a": "\ud800"}])))


@pytest.mark.parametrize(
    ("cells", "dtype", "expected"),
    [
        ([["a", None, 7], None, [], ("b",)], pl.List(pl.String), [["a", None, "7"], None, [], ["b"]]),
        ([[1, 2], [2.5, np.float32("nan")]], pl.List(pl.Float64), [[1, 2], [2.5, None]]),
        ([np.array([1, 2]), np.array([], dtype=np.int64)], pl.List(pl.Int64), [[1, 2], []]),
        ([[2**70], float("nan"), [7]], pl.List(pl.Int128), [[2**70], None, [7]]),
        ([[], None], pl.List(pl.Null), [[], None]),
        ([[datetime.date(2026, 1, 31)]], pl.List(pl.Date), [[datetime.date(2026, 1, 31)]]),
        ([[Decimal("1.5"), None], [2]], pl.List(pl.Decimal(38, 1)), [[Decimal("1.5"), None], [Decimal(2)]]),
        (
            [[{"v": "a", "w": 1}], [{"v": 7, "w": 0.5}, {"v": "b"}]],
            pl.List(pl.Struct({"value": pl.String, "weight": pl.Float64})),
            [[{"value": "a", "weight": 1.0}], [{"value": "7", "weight": 0.5}, {"value": "b", "weight": None}]],
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


WEIGHTED = pl.List(pl.Struct({"value": pl.String, "weight": pl.Float64}))
NUMBERED = pl.List(pl.Struct({"value": pl.Int64, "weight": pl.Float64}))


@pytest.mark.parametrize(
    ("cells", "dtype", "expected"),
    [
        (
            [[("a", 1), ("b", 0.5)], None, [], [("c", None)]],
            WEIGHTED,
            [[("a", 1.0), ("b", 0.5)], None, [], [("c", None)]],
        ),
        ([[["a", 1], ["b", Decimal("0.5")]]], WEIGHTED, [[("a", 1.0), ("b", 0.5)]]),
        ([[(7, 1), (2**70, 2)]], None, [[(7, 1.0), (2**70, 2.0)]]),
        ([[(7, 1), ("a", 2)]], WEIGHTED, [[("7", 1.0), ("a", 2.0)]]),
        ([[{"weight": 2, "id": 7}]], NUMBERED, [[(7, 2.0)]]),
        ([[{"id": 7, "times": 2}]], NUMBERED, [[(7, 2.0)]]),
    ],
)
def test_pairs_of_python_values(cells: list[Any], dtype: pl.DataType | None, expected: list[Any]) -> None:
    for source in ([{"v": v} for v in cells], pd.DataFrame({"v": pd.Series(cells, dtype=object)})):
        column = next(open_table(source).chunks()).frame["v"]
        assert dtype in (None, column.dtype)
        got = [cell and [tuple(p.values()) if isinstance(p, dict) else p for p in cell] for cell in column.to_list()]
        assert got == expected


@pytest.mark.parametrize(
    "cells",
    [
        [("a", 1)],  # two values, and no pair
        [[(1.5, 2.5)]],
        [[[1, 2], [3, 4]]],
        [[("a", "b")]],
        [[("a", 1), ("b",)]],
        [[("a", True)]],
        [[{"rank": 1, "tag": "a"}]],
        [[{"a": "x", "b": 1, "c": 2}]],
    ],
    ids=str,
)
def test_what_are_no_pairs(cells: list[Any]) -> None:
    dtype = next(open_table([{"v": v} for v in cells]).chunks()).frame["v"].dtype
    assert not (isinstance(dtype, pl.List) and isinstance(dtype.inner, pl.Struct) and dtype in (WEIGHTED, NUMBERED))


def test_bytes_lengths_of_time_and_the_like_are_read_as_they_are_in_columns_of_their_own() -> None:
    cells: list[tuple[list[Any], pl.DataType, list[Any]]] = [
        ([b"K\xc3\xb6ln", b"\xff\x00", bytearray(b"x"), None], pl.String(), ["Köln", "ff00", "x", None]),
        (
            [datetime.timedelta(minutes=1), pd.NaT, np.timedelta64(5, "s"), np.timedelta64("NaT")],
            pl.Float64(),
            [60, None, 5, None],
        ),
        ([pd.Timedelta(1, "ns")], pl.Float64(), [1e-9]),
        ([UUID(int=5), None], pl.String(), [str(UUID(int=5)), None]),
        ([np.datetime64("2026-01-31T12:00"), np.datetime64("NaT")], pl.String(), ["2026-01-31T12:00", None]),
        ([pd.Interval(0, 1.5), pd.Interval(1, 2, closed="left"), None], pl.String(), ["(0, 1.5]", "[1, 2)", None]),
        ([[b"\xff"], [datetime.timedelta(1)]], pl.List(pl.String), [["ff"], ["86400.0"]]),
    ]
    for values, dtype, expected in cells:
        for source in ([{"v": v} for v in values], pd.DataFrame({"v": pd.Series(values, dtype=object)})):
            column = next(open_table(source).chunks()).frame["v"]
            assert (column.dtype, column.to_list()) == (dtype, expected)


@pytest.mark.parametrize(
    "odd", ["b", [["b"]], {"a"}, {"b": 1}, [object()]], ids=["text", "list of lists", "set", "dict", "object"]
)
def test_lists_beside_something_else_are_refused(odd: Any) -> None:
    for source in ([{"v": ["a"]}, {"v": odd}], pd.DataFrame({"v": pd.Series([["a"], odd], dtype=object)})):
        assert "column 'v' of the frame holds a" in refusal(lambda source=source: rows(open_table(source)))


# pandas and NumPy


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
    ],
)
def test_arrays_that_are_no_tables(array: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        open_table(array)


@pytest.mark.parametrize("dtype", ["c16", "V3"])
def test_arrays_of_what_is_no_value(dtype: str) -> None:
    message = refusal(lambda: rows(open_table(np.zeros((2, 2), dtype=dtype))))
    assert "an array holds numbers, booleans, texts or times; column 'x0' of the frame holds" in message


def test_bytes_and_times_of_numpy() -> None:
    array = np.array([(b"K\xc3\xb6ln", 90, "2026-01-31", [1, 2]), (b"\xff", "NaT", "NaT", [3, 4])],
        dtype=[("b", "S8"), ("d", "m8[m]"), ("m", "M8[W]"), ("v", "f4", 2)])  # fmt: skip
    got = next(open_table(array).chunks()).frame
    assert got.dtypes == [pl.String, pl.Float64, pl.Date, pl.List(pl.Float32)]
    assert got.rows() == [("Köln", 5400.0, datetime.date(2026, 1, 29), [1, 2]), ("ff", None, None, [3, 4])]
    for unit in ("s", "m", "h"):
        moment = np.array([["2026-01-31T12"]], dtype=f"M8[{unit}]")
        assert rows(open_table(moment)) == [(datetime.datetime(2026, 1, 31, 12),)]
    for odd in ("m8[M]", "M8[as]", "M8"):
        message = refusal(lambda odd=odd: rows(open_table(np.zeros((2, 1), dtype="i8").astype(odd))))
        assert "column 'x0' of the frame cannot be read as what it is" in message


# What is given


def test_the_input_is_not_changed() -> None:
    data: list[dict[str, Any]] = [{"a": 1, "b": None}, {"a": "x", "c": 2.5}]
    before = [dict(row) for row in data]
    assert rows(open_table(data)) == [("1", None, None), ("x", None, 2.5)]
    assert data == before


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


@pytest.mark.parametrize(
    "cell",
    ["Ulm", "", 7, -(2**63), 2**63, 2**80, 1.5, math.nan, math.inf, None, True, np.float64(1.5), np.int32(3), b"x"],
)
def test_a_row_alone_is_read_as_in_a_table(cell: Any) -> None:
    row = {"a": cell, "b": "x"}
    alone, several = (next(open_table(rows).chunks()).frame for rows in ([row], [row, row]))
    assert alone.schema == several.schema
    assert alone.equals(several.head(1), null_equal=True)
