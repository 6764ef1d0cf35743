"""Parquet: types are kept, and a damaged file is known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
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


def test_truncated_parquet(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pl.DataFrame({"a": range(10_000)}).write_parquet(path)
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:3], b"a,b\n1,2\n" * 10):
        path.write_bytes(damaged)
        assert "x.parquet is not a whole Parquet file" in refusal(lambda: open_table(path))
        error = refused(lambda: open_table(path))
        assert (error.file, error.column, error.row) == ("x.parquet", None, None)


def test_parquet_damaged_inside(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pl.DataFrame({"a": np.random.default_rng(0).integers(0, 1 << 40, 10_000)}).write_parquet(path)
    table = open_table(path)
    path.write_bytes(path.read_bytes()[:8] + b"\xff" * 2_000 + path.read_bytes()[2_008:])
    assert "x.parquet is not a whole Parquet file" in refusal(lambda: rows(table))


def test_dictionaries_in_parquet(tmp_path: Path) -> None:
    arrow = pa.table(
        {"c": pa.array(["x", None, "y"]).dictionary_encode(), "n": pa.array([7, 7, 8]).dictionary_encode()}
    )
    pq.write_table(arrow, tmp_path / "x.parquet")
    for source in (arrow, tmp_path / "x.parquet"):
        got = next(open_table(source).chunks()).frame
        assert (got.dtypes, got.rows()) == ([pl.String, pl.Int64], [("x", 7), (None, 7), ("y", 8)])


def test_integers_of_128_bits(tmp_path: Path) -> None:
    values = [2**70 + i if i % 3 else None for i in range(70_000)]
    frame = pl.DataFrame({"i": pl.Series(values, dtype=pl.Int128), "n": range(70_000)})
    frame.write_parquet(tmp_path / "x.parquet")
    for source in (frame, tmp_path / "x.parquet"):
        table = open_table(source)
        assert (table.num_rows, table.columns) == (70_000, ("i", "n"))
        assert pl.concat([chunk.frame for chunk in table.chunks()]).equals(frame)
        assert rows(table, ["n", "i"], limit=2) == [(0, None), (1, 2**70 + 1)]
