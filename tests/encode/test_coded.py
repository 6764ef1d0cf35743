"""Columns as their different cells: nothing is lost, and an error still knows its row."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from polars.testing import assert_series_equal

from masknet.encode import Declared, inspect_table, values
from masknet.encode.bags import sample_of
from masknet.encode.coded import Coded, CodedChunk, coded_chunks, sample_of_rows
from masknet.encode.values import BadCellsError
from masknet.encode.workers import Workers
from masknet.errors import DataError
from masknet.progress import LogProgress
from masknet.table import Chunk, open_table

COLUMNS = [
    pl.Series("x", ["b", "", None, "a", "b"] * 9),
    pl.Series("x", [0.5, -0.0, 0.0, None, float("nan")] * 9),
    pl.Series("x", [0.5, float("inf"), None], dtype=pl.Float32).new_from_index(0, 9),
    pl.Series("x", [2**63 - 1, -1, None] * 9),
    pl.Series("x", [2**100, None] * 9, dtype=pl.Int128),
    pl.Series("x", [True, None, False] * 9),
    pl.Series("x", [date(2026, 1, 31), None] * 9),
    pl.Series("x", [datetime(2026, 1, 31, 1), None] * 9, dtype=pl.Datetime("ns", "Europe/Berlin")),
    pl.Series("x", [["a", "b"], [], None] * 9),
    pl.Series("x", [None] * 9),
    pl.Series("x", [f"{i}" for i in range(50)]),
]


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: str(column.dtype))
def test_the_rows_are_those_of_the_column(column: pl.Series) -> None:
    coded = Coded.of(column)
    assert len(coded) == len(column) == coded.times.sum()
    assert_series_equal(coded.rows(), column)
    some = np.array([4, 0, 2])
    assert_series_equal(coded.rows(some), column.gather(some))
    assert list(map(repr, coded.rows().to_list())) == list(map(repr, column.to_list()))  # -0.0 is not 0.0
    if coded.codes is not None:
        assert list(map(repr, coded.cells.to_list())) == list(dict.fromkeys(map(repr, column.to_list())))


def by_arrow(column: pl.Series, path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Chunk]:
    """The chunks of a Parquet file of it, of twelve rows each, whose texts keep the codes that they have there."""
    monkeypatch.setattr("masknet.table.parquet.ROWS", 12)
    pl.DataFrame({"x": column}).write_parquet(path, row_group_size=24)
    return list(open_table(path).chunks())


@pytest.mark.parametrize(
    "column",
    [column for column in COLUMNS if column.dtype != pl.Int128]
    + [pl.Series("x", [None, "b", "a", "", "b", "a", "ü", "a", "c", "c", "a", "a"] * 5), pl.Series("x", ["a"] * 50)],
    ids=lambda column: str(column.dtype),
)
def test_a_column_of_arrow_is_told_apart_as_its_series_is(
    column: pl.Series, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chunks = by_arrow(column, tmp_path / "x.parquet", monkeypatch)
    assert_series_equal(pl.concat([chunk.frame["x"] for chunk in chunks]), column)
    for chunk in (*chunks, Chunk.joined(chunks)):
        assert isinstance(chunk.piece, pa.Table)
        assert pa.types.is_dictionary(chunk.piece.column("x").type) == (column.dtype == pl.String)
        ours, expected = Coded(*chunk.different("x")), Coded.of(chunk.frame["x"])
        assert list(map(repr, ours.cells.to_list())) == list(map(repr, expected.cells.to_list()))
        assert ours.cells.dtype == expected.cells.dtype
        assert (ours.codes is None) == (expected.codes is None)
        if ours.codes is not None:
            np.testing.assert_array_equal(ours.codes, expected.codes)


@pytest.mark.parametrize("cells", [pa.array(["a"]), pa.array(["a"]).dictionary_encode(), pa.array([1.5])], ids=str)
def test_a_column_without_rows_has_no_cells(cells: pa.Array) -> None:
    found, codes = Chunk(pa.table({"x": cells}).slice(1), "x.parquet", 1).different("x")
    assert (len(found), codes) == (0, None)


def test_codes_of_a_file_whose_texts_are_no_texts_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("masknet.table.parquet.ROWS", 12)
    cells = pa.array([b"Ulm", b"K\xf6ln"] * 12).view(pa.string())
    pq.write_table(pa.table({"city": cells}), tmp_path / "x.parquet")
    with pytest.raises(
        DataError, match=r"'city' of x.parquet cannot be read as what it is, string \(a text of it is not UTF-8"
    ):
        next(open_table(tmp_path / "x.parquet").chunks())


@pytest.mark.parametrize("column", [COLUMNS[0], COLUMNS[-1]], ids=["coded", "as it is"])
def test_rows_are_left_out_and_cut(column: pl.Series) -> None:
    coded = Coded.of(column)
    stay = coded.cells.is_in(["b", "7"]).fill_null(value=False)
    assert_series_equal(coded.where(stay).rows(), column.filter(column.is_in(["b", "7"])))
    assert coded.count(stay) == len(coded.where(stay))
    assert coded.where(coded.cells.is_in(coded.cells.implode(), nulls_equal=True)) is coded
    piece = coded.part(slice(3, 9))
    assert_series_equal(piece.rows(), column[3:9])
    assert set(piece.cells) == set(column[3:9])
    some = np.array([8, 1, 3])
    assert_series_equal(coded.part(some).rows(), column[some])
    assert set(coded.part(some).cells) == set(column[some])


def test_columns_are_joined_whether_coded_or_not() -> None:
    column = COLUMNS[0]
    both = Coded.joined([Coded.of(column), Coded(column[:4]), Coded.of(column)])
    assert_series_equal(both.rows(), pl.concat([column, column[:4], column]))
    assert Coded.joined([both]) is both


def test_the_sample_is_that_of_the_rows() -> None:
    column = pl.Series("x", np.random.default_rng(0).integers(0, 90, 5_000)).cast(pl.String)
    assert Coded.of(column).codes is not None
    assert_series_equal(sample_of_rows(Coded.of(column)), sample_of(column))
    assert_series_equal(sample_of_rows(Coded(column)), sample_of(column))


def test_an_error_is_that_of_the_rows() -> None:
    labels = pl.Series("click", ["1", "0", "?", "0", "?", "1"] * 3)
    frame = pl.DataFrame({"click": labels})
    chunk = CodedChunk({"click": Coded.of(labels)}, "ads.csv", first_row=101, rows=None)
    assert chunk.columns["click"].codes is not None
    found = []
    for rows in (chunk, Chunk(frame, "ads.csv", 101)):
        with pytest.raises(BadCellsError) as caught:
            rows.read("click", values.labels)
        found.append((str(caught.value), caught.value.row, caught.value.wrong.tolist()))
    assert found[0] == found[1]
    assert found[0][1] == 103


def test_neighbouring_chunks_are_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of one file with the same types; each row keeps its place."""
    monkeypatch.setattr("masknet.encode.coded.ROWS", 5)
    frame = pl.DataFrame({"x": range(3)})
    chunks = [
        *(Chunk(frame, "a", 1), Chunk(frame, "a", 4), Chunk(frame, "a", 7)),
        *(Chunk(frame, "b", 1), Chunk(frame.cast(pl.String), "b", 4)),
        *(Chunk(frame, "b", 7, np.array([7, 9, 12])), Chunk(frame, "b", 13, np.array([13, 14, 18]))),
    ]
    with Workers() as workers:
        found = list(coded_chunks(iter(chunks), workers))
    assert list(map(len, found)) == [5, 4, 3, 3, 5, 1]
    places = [chunk.place(i) for chunk in found for i in range(len(chunk))]
    assert places == [chunk.place(i) for chunk in chunks for i in range(3)]
    assert [str(cell) for chunk in found for cell in chunk.columns["x"].rows()] == [*"012"] * 7


def test_chunks_of_wide_rows_are_not_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("masknet.encode.coded._JOINED_BYTES", 5_000)
    chunks = [Chunk(pl.DataFrame({"x": ["y" * 500] * 4}), "a", 1 + 4 * i) for i in range(5)]
    with Workers() as workers:
        assert list(map(len, coded_chunks(iter(chunks), workers))) == [8, 8, 4]


def test_a_table_is_coded_as_it_stands() -> None:
    frame = pl.DataFrame({"x": ["a", "b", "a"] * 30_000, "y": range(90_000)})
    with Workers() as workers:
        chunks = list(coded_chunks(open_table(frame).chunks(), workers))
    assert list(map(len, chunks)) == [65_536, 24_464]
    assert_series_equal(pl.concat([chunk.columns["x"].rows() for chunk in chunks]), frame["x"])
    assert chunks[1].place(0) == "row 65537 of the frame"


def dirty_log(rows: int = 2_500) -> pl.DataFrame:
    """Columns of all kinds as texts, with what logs hold that is none of them."""
    r = np.random.default_rng(5)
    words = np.array(["red", "big", "new", "shoe", "coat"])
    return pl.DataFrame(
        {
            "click": r.integers(0, 2, rows).astype(str),
            "user_id": r.zipf(1.4, rows).astype(str),
            "padded": [f"{i:04}" for i in r.integers(0, 90, rows)],
            "price": [("", "$1,234.5", "NA", f"{i}.25")[i % 4] for i in r.integers(0, 300, rows)],
            "count": ["" if i < 9 else f"{i}.0" if i < 20 else f"{i}" for i in r.integers(0, 99, rows)],
            "mostly": ["n/k" if i % 9 == 0 else f"x{i}" if i < 3 else f"{i}" for i in r.integers(0, 99, rows)],
            "infinite": [("inf", "nan", "1e-3", "2.5")[i] for i in r.integers(0, 4, rows)],
            "yes": [("True", "false", "")[i] for i in r.integers(0, 3, rows)],
            "day": [f"2026-01-{i:02}" if i else "-" for i in r.integers(0, 31, rows)],
            "us_time": [f"{i % 12 + 1}/{i % 28 + 1}/2026 {i % 24}:00" for i in r.integers(0, 999, rows)],
            "unix_time": [f"{1_769_817_600 + i}" for i in r.integers(0, 999, rows)],
            "tags": ["|".join(words[r.integers(0, 5, i % 4)]) for i in range(rows)],
            "title": [" ".join(words[r.integers(0, 5, 4)]) for _ in range(rows)],
            "vector": [f"[{i}.5, {i}]" for i in r.integers(0, 9, rows)],
            "decimal": [f"{i},5" for i in r.integers(0, 99, rows)],
            "own": [f"{i:x}" for i in r.integers(2**60, 2**62, rows)],
            "none": [""] * rows,
        }
    )


@pytest.mark.parametrize("declared", [{}, {"bag": ("tags",), "dense": ("vector",), "categorical": ("count", "price")}])
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_table_is_taken_for_the_same_cell_by_cell(
    ending: str, declared: dict[str, tuple[str, ...]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame, file = dirty_log(), tmp_path / f"log.{ending}"
    if ending == "csv":
        frame.write_csv(file)
    else:
        numbers = pl.col("price", "count", "infinite").cast(pl.Float64, strict=False)
        frame.with_columns(numbers, pl.col("day").str.to_date(strict=False)).write_parquet(file)

    def inspected() -> dict[str, Any]:
        said = Declared(label="click", **declared)  # type: ignore[arg-type]
        return inspect_table(open_table(file), said, LogProgress()).to_json()

    coded = inspected()
    monkeypatch.setattr(Coded, "of", classmethod(lambda cls, column: cls(column)))
    assert coded == inspected()
