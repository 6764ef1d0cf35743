"""Every type of Arrow, by every way it comes: the same column, or the same sentence; and `docs/types.md` says which."""

from __future__ import annotations

import datetime
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from masknet.errors import DataError
from masknet.table import null_mask, open_table

PAGE = Path(__file__).parents[2] / "docs" / "types.md"
NOON = datetime.datetime(2026, 1, 31, 12)
BERLIN = datetime.timezone(datetime.timedelta(hours=1))
ONE, TWO = UUID(int=1 << 127), UUID(int=5)


@dataclass(frozen=True)
class Case:
    """Two cells of a type, the values that they are read as, and the ways in which they come as something else.

    Args:
        array: two cells, none of them missing.
        expected: their values; None where the type is not read.
        lost: the ways on which pandas, or Polars, makes another column of it before it is given to us.
    """

    array: pa.Array
    expected: list[Any] | None
    lost: tuple[str, ...] = ()


def extension(kind: Any, storage: pa.Array) -> pa.Array:
    return pa.ExtensionArray.from_storage(kind, storage)


def uuids() -> pa.Array:
    return extension(pa.uuid(), pa.array([ONE.bytes, TWO.bytes], pa.binary(16)))


def lists_of(values: pa.Array) -> pa.Array:
    return pa.ListArray.from_arrays([0, 2, 2], values)


def cases() -> Iterator[tuple[str, Case]]:
    """By the name that the page has for it; a type that is not there in this version of pyarrow is left out."""
    yield "null", Case(pa.nulls(2), [None, None])
    yield "bool", Case(pa.array([True, False]), [True, False])
    for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"):
        yield name, Case(pa.array([1, 2], getattr(pa, name)()), [1, 2])
    yield "halffloat", Case(pa.array(np.array([1, 2.5], dtype=np.float16)), [1.0, 2.5])
    yield "float", Case(pa.array([1, 2.5], pa.float32()), [1.0, 2.5])
    yield "double", Case(pa.array([1, 2.5]), [1.0, 2.5])
    money = [Decimal("1.50"), Decimal("-20.25")]
    for bits, digits in ((32, 9), (64, 18), (128, 38), (256, 76)):
        if hasattr(pa, f"decimal{bits}"):
            lost = ("polars",) if bits == 256 else ("objects",) if digits < 38 else ()
            yield f"decimal{bits}", Case(pa.array(money, getattr(pa, f"decimal{bits}")(digits, 2)), money, lost)
    for name in ("string", "large_string", "string_view"):
        yield name, Case(pa.array(["Köln", ""], getattr(pa, name)()), ["Köln", ""])
    for name in ("binary", "large_binary", "binary_view"):
        yield name, Case(pa.array(["Köln".encode(), b"\xff\x00"], getattr(pa, name)()), ["Köln", "ff00"])
    yield "fixed_size_binary", Case(pa.array([b"ab", b"\xff\x00"], pa.binary(2)), ["ab", "ff00"])
    for name in ("date32", "date64"):
        days = [datetime.date(2026, 1, 31), datetime.date(1, 1, 1)]
        yield name, Case(pa.array(days, getattr(pa, name)()), days, ("polars",) if name == "date64" else ())
    times = [datetime.time(12, 30), datetime.time(0)]
    for name, units in (("time32", ("s", "ms")), ("time64", ("us", "ns"))):
        for unit in units:
            yield f"{name}[{unit}]", Case(pa.array(times, getattr(pa, name)(unit)), times)
    for unit in ("s", "ms", "us", "ns"):
        yield f"timestamp[{unit}]", Case(pa.array([NOON, NOON], pa.timestamp(unit)), [NOON, NOON])
        zoned = pa.array([NOON, NOON], pa.timestamp(unit, "Europe/Berlin"))
        at_one = NOON.replace(hour=13, tzinfo=BERLIN)
        yield f"timestamp[{unit}, zone]", Case(zoned, [at_one, at_one])
        minutes = pa.array([datetime.timedelta(minutes=1), datetime.timedelta(0)], pa.duration(unit))
        yield f"duration[{unit}]", Case(minutes, [60.0, 0.0])
    between = pa.array([NOON, NOON], pa.timestamp("us", "+05:30"))
    yield "timestamp[us, +05:30]", Case(between, ["2026-01-31T17:30:00.000000+0530"] * 2, ("polars",))
    yield (
        "month_day_nano_interval",
        Case(pa.array([(1, 2, 3)] * 2, pa.month_day_nano_interval()), None, ("polars", "objects")),
    )
    yield "list", Case(pa.array([[1, 2], []]), [[1, 2], []])
    yield "large_list", Case(pa.array([[1, 2], []], pa.large_list(pa.int64())), [[1, 2], []])
    for name in ("list_view", "large_list_view"):
        yield name, Case(pa.array([[1, 2], []], getattr(pa, name)(pa.int64())), [[1, 2], []], ("polars",))
    yield "fixed_size_list", Case(pa.array([[1, 2], [3, 4]], pa.list_(pa.int64(), 2)), [[1, 2], [3, 4]])
    yield "list of binary", Case(lists_of(pa.array([b"a", b"\xff"])), [["a", "ff"], []])
    yield "list of duration", Case(lists_of(pa.array([1, 2], pa.duration("s"))), [[1.0, 2.0], []])
    yield "list of dictionary", Case(lists_of(pa.array(["a", "b"]).dictionary_encode()), [["a", "b"], []])
    yield "struct", Case(pa.array([{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]), [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}])
    pairs = [[{"value": "a", "weight": 0.5}, {"value": "b", "weight": 2.0}], []]
    yield "map to numbers", Case(pa.array([[("a", 0.5), ("b", 2)], []], pa.map_(pa.string(), pa.float64())), pairs)
    yield "list of pairs", Case(pa.array([[{"tag": "a", "w": 0.5}, {"tag": "b", "w": 2.0}], []]), pairs)
    texts = pa.array([[("a", "x")], []], pa.map_(pa.string(), pa.string()))
    yield "map to texts", Case(texts, [[{"key": "a", "value": "x"}], []], ("objects",))
    yield "dictionary", Case(pa.array(["a", "b"]).dictionary_encode(), ["a", "b"])
    yield "run_end_encoded", Case(pa.RunEndEncodedArray.from_arrays([1, 2], [7, 8]), [7, 8], ("polars",))
    of_each = [pa.array([1, 2]), pa.array(["x", "y"])]
    which = pa.array([0, 1], pa.int8())
    yield "sparse_union", Case(pa.UnionArray.from_sparse(which, of_each), None, ("polars", "objects"))
    dense = pa.UnionArray.from_dense(which, pa.array([0, 0], pa.int32()), of_each)
    yield "dense_union", Case(dense, None, ("polars", "objects"))
    if hasattr(pa, "uuid"):
        yield "arrow.uuid", Case(uuids(), [str(ONE), str(TWO)], ("polars",))
        yield "list of uuid", Case(lists_of(uuids()), [[str(ONE), str(TWO)], []], ("polars", "objects"))
        opaque = pa.opaque(pa.binary(), "row", "a database")
        yield "arrow.opaque", Case(extension(opaque, pa.array([b"a", b"\xff"])), ["a", "ff"])
        yield "arrow.bool8", Case(extension(pa.bool8(), pa.array([1, 0], pa.int8())), [True, False], ("objects",))
    if hasattr(pa, "json_"):
        yield "arrow.json", Case(extension(pa.json_(), pa.array(['{"a":1}', "[]"])), ['{"a":1}', "[]"])
    tensors = pa.array([[1, 2, 3, 4], [5, 6, 7, 8]], pa.list_(pa.float32(), 4))
    tensor = extension(pa.fixed_shape_tensor(pa.float32(), [2, 2]), tensors)
    yield "arrow.fixed_shape_tensor", Case(tensor, [[1, 2, 3, 4], [5, 6, 7, 8]], ("objects", "pandas"))
    intervals = pa.array(pd.arrays.IntervalArray.from_breaks([0, 1.5, 2]))
    yield "pandas.interval", Case(intervals, ["(0.0, 1.5]", "(1.5, 2.0]"], ("pandas",))
    yield "pandas.period", Case(pa.array(pd.period_range("2026-01", periods=2, freq="M")), None)


CASES = dict(cases())


def read(source: Any) -> pl.Series:
    return pl.concat([chunk.frame["x"] for chunk in open_table(source).chunks(["x"])])


def as_arrow(table: pa.Table, folder: Path) -> Any:
    return table


def as_parquet(table: pa.Table, folder: Path) -> Any:
    try:
        pq.write_table(table, folder / "x.parquet")
    except pa.ArrowNotImplementedError:  # of unions, intervals and run ends, which no Parquet file holds
        pytest.skip("no Parquet file holds it")
    return folder / "x.parquet"


def as_pandas(table: pa.Table, folder: Path) -> Any:
    return table.to_pandas(types_mapper=pd.ArrowDtype)


def as_objects(table: pa.Table, folder: Path) -> Any:
    return table.to_pandas()


def as_polars(table: pa.Table, folder: Path) -> Any:
    return pl.from_arrow(table)


WAYS: dict[str, Callable[[pa.Table, Path], Any]] = {
    "arrow": as_arrow,
    "parquet": as_parquet,
    "pandas": as_pandas,
    "objects": as_objects,
    "polars": as_polars,
}


def shown(dtype: pl.DataType) -> str:
    """A type as the page writes it."""
    if isinstance(dtype, pl.Decimal):
        return f"Decimal({dtype.precision}, {dtype.scale})"
    if isinstance(dtype, pl.Datetime):
        zone = "" if dtype.time_zone is None else f", '{dtype.time_zone}'"
        return f"Datetime('{dtype.time_unit}'{zone})"
    return str(dtype)


def rows_of_the_page() -> dict[str, str]:
    """By each type of the first table, the column that it is read as."""
    lines = PAGE.read_text(encoding="utf-8").partition("## ")[0].splitlines()
    found: dict[str, str] = {}
    for line in lines:
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("| `"):
            names, columns = (re.findall(r"`([^`]+)`", cell) for cell in (cells[0], cells[2]))
            found |= dict(
                zip(names, columns * len(names) if len(columns) == 1 else columns or [""] * len(names), strict=False)
            )
    return found


# The table


def test_the_page_has_each_type_once() -> None:
    missing = set(rows_of_the_page()) - set(CASES)
    # What pyarrow has from 18 or 19 on.
    later = {"arrow.uuid", "list of uuid", "arrow.opaque", "arrow.bool8", "decimal32", "decimal64", "arrow.json"}
    assert missing <= later
    assert set(CASES) <= set(rows_of_the_page())


def test_the_cases_are_all_types_that_arrow_has() -> None:
    every = {name: getattr(pa.lib, name) for name in dir(pa.lib) if re.fullmatch(r"Type_[A-Z0-9_]+", name)}
    # Two intervals of Arrow that pyarrow knows by number and cannot make.
    known = {name: number for name, number in every.items() if name.removeprefix("Type_") not in (
        "INTERVAL_MONTHS", "INTERVAL_DAY_TIME", "MAX_ID")}  # fmt: skip
    ids = {case.array.type.id for case in CASES.values()}
    assert {name for name, number in known.items() if number not in ids} == set()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", CASES)
def test_a_type_is_read_alike_by_every_way(name: str, way: str, tmp_path: Path) -> None:
    case = CASES[name]
    if way in case.lost:
        pytest.skip("pandas or Polars makes something else of it")
    source = WAYS[way](pa.table({"x": case.array}), tmp_path)
    if case.expected is None:
        with pytest.raises(
            DataError, match=r"^column 'x' of (the frame|x.parquet) is of a type that cannot be read \("
        ):
            read(source)
        return
    column = read(source)
    if way == "objects" and name in ("halffloat", "float", "fixed_size_list"):  # NumPy's own, or Python's, numbers
        assert column.to_list() == case.expected
        return
    assert (shown(column.dtype), column.to_list()) == (rows_of_the_page()[name], case.expected)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.expected is not None])
def test_a_type_is_read_alike_in_any_pieces_and_beside_missing_cells(name: str) -> None:
    case = CASES[name]
    array, expected = case.array, case.expected
    assert expected is not None
    if name == "run_end_encoded":  # Arrow cannot join them
        whole = pa.chunked_array([pa.RunEndEncodedArray.from_arrays([1, 2, 3, 4, 5, 6], [7, 8, None, 7, None, 8])])
    else:
        missing = pa.nulls(1, array.type)
        whole = pa.chunked_array([pa.concat_arrays([array, missing, array[:1], missing, array[1:]])])
    wanted = [expected[0], expected[1], None, expected[0], None, expected[1]]
    pieces = pa.chunked_array([whole.slice(0, 1).chunk(0), *whole.slice(1, 4).chunks, *whole.slice(5, 1).chunks])
    for column in (whole, pieces, whole.slice(1), whole.slice(2, 3)):
        start = len(wanted) - len(column) if column.length() != 3 else 2
        got = read(pa.table({"x": column}))
        assert got.to_list() == wanted[start : start + len(column)]
    empty = open_table(pa.table({"x": whole.slice(0, 0)}))
    assert list(empty.chunks()) == []
    assert empty.fingerprint() != open_table(pa.table({"x": whole})).fingerprint()


# Bytes, intervals, zones


def test_a_cell_of_bytes_is_read_by_itself() -> None:
    cells = [b"a", "Köln".encode(), b"\xff", b"", None, b"\xc3"]
    expected = ["a", "Köln", "ff", "", None, "c3"]
    assert read(pl.DataFrame({"x": cells})).to_list() == expected
    for cell, one in zip(cells, expected, strict=True):
        assert read(pl.DataFrame({"x": pl.Series([cell], dtype=pl.Binary)})).to_list() == [one]


@pytest.mark.skipif(not hasattr(pa, "uuid"), reason="pyarrow 17 has no UUIDs")
def test_a_uuid_that_only_parquet_knows(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": uuids()}), tmp_path / "x.parquet", store_schema=False)
    assert read(tmp_path / "x.parquet").to_list() == [str(ONE), str(TWO)]


@pytest.mark.parametrize("closed", ["left", "right", "both", "neither"])
def test_intervals_are_what_pandas_writes(closed: Any, tmp_path: Path) -> None:
    for breaks in ([0, 1, 3], [1e-7, 0.5, 1e16], pd.date_range("2026-01-31", periods=3, freq="D")):
        series = pd.Series(pd.arrays.IntervalArray.from_breaks(breaks, closed=closed))
        frame = pd.DataFrame({"x": series})
        frame.to_parquet(tmp_path / "x.parquet")
        for source in (frame, tmp_path / "x.parquet", frame.astype("category"), frame.astype(object)):
            assert read(source).to_list() == [*map(str, series)]


def test_what_pandas_cuts() -> None:
    ages = pd.DataFrame({"x": pd.cut(pd.Series([1.0, 30, None, 70]), [0, 18, 65, 99])})
    assert read(ages).to_list() == ["(0, 18]", "(18, 65]", None, "(65, 99]"]
    assert read(ages.iloc[1:2]).to_list() == ["(18, 65]"]


def test_an_extension_whose_class_is_not_there(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": pd.arrays.IntervalArray.from_breaks([0, 1, 3]), "p": pd.period_range("2026", periods=2)})
    frame.to_parquet(tmp_path / "x.parquet")
    code = (
        "import sys; from masknet.table import open_table; table = open_table('x.parquet')\n"
        "print('pandas' in sys.modules, [chunk.frame.rows() for chunk in table.chunks(['x'])])\n"
        "try: list(table.chunks(['p']))\n"
        "except ValueError as error: print(error)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    found, refused = run.stdout.splitlines()
    assert found == "False [[('(0, 1]',), ('(1, 3]',)]]"
    assert "column 'p' of x.parquet is of a type that cannot be read (periods of pandas, D)" in refused


def test_bytes_in_pairs_that_are_in_place_already() -> None:
    frame = pl.DataFrame({"x": [[{"value": b"\xff", "weight": 0.5}]]})
    assert read(frame).to_list() == [[{"value": "ff", "weight": 0.5}]]


# What no conversion holds


def texts(data: bytes, width: int) -> pa.Array:
    """Texts whose bytes nobody has looked at."""
    offsets = np.arange(0, len(data) + 1, width, dtype=np.int32)
    return pa.Array.from_buffers(pa.string(), len(offsets) - 1, [None, pa.py_buffer(offsets), pa.py_buffer(data)])


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (texts(b"ab\xff\xfe", 2), "a text of it is not UTF-8"),
        (lists_of(texts(b"ab\xff\xfe", 2)), "a text of it is not UTF-8"),
        (texts("ü".encode() * 2, 1), "a text of it is not UTF-8"),
        (pa.array([Decimal(10) ** 50], pa.decimal256(60, 2)), "does not fit in precision"),
        (pa.array([Decimal("1e-40")], pa.decimal256(76, 50)), "of more than 38 digits"),
        (pa.array([NOON], pa.timestamp("us", "Mars/Base")), "unable to parse time zone"),
        (pa.array([2**62], pa.timestamp("s")), "out of bounds timestamp"),
        (pa.array([[(1, 2, 3)]], pa.list_(pa.month_day_nano_interval())), "cannot be read"),
        (pa.StructArray.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"]), "cannot be read as what it is"),
    ],
    ids=["texts", "lists of texts", "half characters", "digits", "scale", "zone", "far moment", "nested", "names"],
)
def test_what_cannot_be_converted_is_one_sentence(array: pa.Array, words: str, tmp_path: Path) -> None:
    table = pa.table({"x": array, "y": pa.array([1] * len(array))})
    sources = [(table, "the frame")]
    if not pa.types.is_nested(array.type) and array.type != pa.timestamp("s"):  # which no Parquet file holds
        pq.write_table(table, tmp_path / "t.parquet")
        sources.append((tmp_path / "t.parquet", "t.parquet"))
    for source, name in sources:
        with pytest.raises(DataError, match=words) as caught:
            read(source)
        assert (caught.value.file, caught.value.column) == (name, "x")
        assert f"column 'x' of {name} " in str(caught.value)
        assert "leave it out with --ignore" in str(caught.value)
        assert "\n" not in str(caught.value)
        assert [chunk.frame.rows() for chunk in open_table(source).chunks(["y"])] == [[(1,)] * len(array)]


def test_a_panic_and_an_error_of_another_library_are_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(error: BaseException) -> Callable[..., Any]:
        def raised(*args: Any, **kwargs: Any) -> Any:
            raise error

        return raised

    for error in (
        pl.exceptions.PanicException("index out of bounds"),
        ZeroDivisionError("by zero"),
        pa.ArrowInvalid("odd"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr("pyarrow.compute.divide", fail(error))
            source = pa.table({"x": pa.array([1], pa.duration("s"))})
            with pytest.raises(
                DataError, match=rf"column 'x' of the frame cannot be read as what it is, .* \({error}\)"
            ):
                read(source)


def test_pandas_columns_that_are_nearly_something_else() -> None:
    frame = pd.DataFrame(
        {
            "sparse": pd.arrays.SparseArray([0, 1, 1]),
            "mixed": pd.Categorical(["a", 7, None]),
            "bytes": pd.Categorical([b"\xff", b"a", b"a"]),
            "lengths": pd.to_timedelta([1, None, 3], unit="s"),
            "zone": pd.date_range(
                "2026-01-31", periods=3, tz=datetime.timezone(datetime.timedelta(hours=5, minutes=30))
            ),
        }
    )
    (chunk,) = open_table(frame).chunks()
    assert chunk.frame["mixed"].to_list() == ["a", "7", None]
    assert chunk.frame["bytes"].to_list() == ["ff", "a", "a"]
    assert chunk.frame["lengths"].to_list() == [1.0, None, 3.0]
    assert chunk.frame["zone"][0] == "2026-01-31T00:00:00.000000+0530"
    assert chunk.frame["sparse"].to_list() == [0, 1, 1]
    with pytest.raises(DataError, match="holds a complex in row 1"):
        read(pd.DataFrame({"x": [1j]}))


@pytest.mark.parametrize("ending", ["parquet", "csv", "libsvm"])
def test_pandas_is_left_where_it_is(ending: str, tmp_path: Path) -> None:
    """It is installed in many an environment, and takes a third of a second to import."""
    days = [datetime.date(2026, 1, 1), None]
    frame = pl.DataFrame({"city": ["a", "b", None, "a"] * 9, "n": [1, None, 3, 3] * 9, "day": days * 18})
    if ending == "parquet":
        tags = pl.Series("tags", [["x", "y"], None, [], ["y"]] * 9)
        frame.with_columns(tags, code=pl.col("city").cast(pl.Categorical)).write_parquet(tmp_path / "x.parquet")
    elif ending == "csv":
        frame.write_csv(tmp_path / "x.csv")
    else:
        (tmp_path / "x.libsvm").write_text("1 3:1 7:.5\n0\n" * 18)
    code = (
        "import sys, numpy as np; from masknet.table import open_table; table = open_table(sys.argv[1])\n"
        "for chunk in table.chunks():\n"
        "    chunk.pick(np.array([0, 2]))\n"
        "    [chunk.different(name) for name in chunk.columns]\n"
        "    print('pandas' in sys.modules, len(chunk.frame))"
    )
    words = [sys.executable, "-c", code, f"x.{ending}"]
    run = subprocess.run(words, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert run.stdout == "False 36\n"


OF_A_TYPE = {
    pl.String: "a text of more than twelve bytes",
    pl.Boolean: False,
    pl.Int8: -1,
    pl.UInt64: 2**63,
    pl.Int128: 2**100,
    pl.Float32: float("nan"),
    pl.Float64: 0.0,
    pl.Date: NOON.date(),
    pl.Datetime("us"): NOON,
    pl.List(pl.Int64): [None],
    pl.Null: None,
}


@pytest.mark.parametrize("dtype", OF_A_TYPE, ids=str)
def test_the_null_cells_of_every_type_are_found_wherever_a_column_begins(dtype: pl.DataType) -> None:
    draws = np.random.default_rng(0)
    column = pl.Series([None if draws.random() < 0.3 else OF_A_TYPE[dtype] for _ in range(70)], dtype=dtype)
    parts = [column[a:b] for a, b in ((0, 70), (0, 0), (1, 9), (8, 70), (13, 14), (64, 66))]
    for part in (*parts, pl.concat(parts, rechunk=False), pl.Series([OF_A_TYPE[dtype]] * 3, dtype=dtype)):
        assert null_mask(part).tolist() == [cell is None for cell in part.to_list()]
