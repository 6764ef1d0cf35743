"""Columns of types that are not read, and of some that are, on the command line."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

FLAGS = ("--label", "click", "--cache-dir", "kept")


def periods(rows: int) -> pa.Array:
    return pa.array(pd.period_range("2026-01", periods=rows, freq="M"))


def digits(rows: int) -> pa.Array:
    return pa.array([Decimal(10) ** 50] * rows, pa.decimal256(60, 2))


def latin(rows: int) -> pa.Array:
    offsets = np.arange(0, 2 * rows + 1, 2, dtype=np.int32)
    return pa.Array.from_buffers(pa.string(), rows, [None, pa.py_buffer(offsets), pa.py_buffer(b"a\xe9" * rows)])


def damaged(path: Path) -> None:
    """Overwrite the pages of the column `odd`, which stands last."""
    place = pq.ParquetFile(path).metadata.row_group(0).column(4)
    assert place.path_in_schema == "odd"
    start = place.dictionary_page_offset or place.data_page_offset
    data = bytearray(path.read_bytes())
    data[start : start + place.total_compressed_size] = b"\xff" * place.total_compressed_size
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("bad_rows", ["refuse", "quarantine"])
@pytest.mark.parametrize("odd", [periods, digits, latin, None], ids=["periods", "digits", "latin-1", "damaged"])
def test_a_column_that_is_left_out_is_never_read(
    odd: Callable[[int], pa.Array] | None, bad_rows: str, rows, masknet, tiny
) -> None:
    frame: pl.DataFrame = rows(200).select("click", "user_id", "site", "price")
    column = pa.array(["x"] * 200) if odd is None else odd(200)
    pq.write_table(frame.to_arrow().append_column("odd", column), "log.parquet")
    if odd is None:
        damaged(Path("log.parquet"))
    refused = masknet("inspect", "log.parquet", *FLAGS[:2]).error
    assert "log.parquet" in refused
    assert odd is None or ("column 'odd' of log.parquet" in refused and "--ignore" in refused)
    ignored = (*FLAGS, "--ignore", "odd", "--bad-rows", bad_rows)
    shown = masknet("inspect", "log.parquet", *FLAGS[:2], "--ignore", "odd")
    assert shown.code == 0
    assert ["odd", "ignored", "declared"] in [line.split() for line in shown.out.splitlines()]
    trained = masknet("train", "log.parquet", *ignored, "--valid", "log.parquet", "--out", "a.masknet", *tiny)
    assert trained.code == 0, trained.err
    assert masknet("evaluate", "a.masknet", "log.parquet", "--threads", 1).code == 0
    assert masknet("predict", "a.masknet", "log.parquet", "--out", "a.csv", "--threads", 1).code == 0
    assert len(pl.read_csv("a.csv")) == 200


def test_an_option_of_a_column_that_is_left_out(rows, masknet, tiny) -> None:
    rows().write_parquet("log.parquet")
    for verb, more in (("train", tiny), ("inspect", ())):
        result: Any = masknet(verb, "log.parquet", "--label", "click", "--ignore", "site", "--hash", "site=10", *more)
        assert result.error == (
            "--hash is for columns that are read; 'site' is left out (it is given to --ignore): take it out of --hash, "
            "or read the column"
        )


def test_columns_of_many_types_train_and_are_scored(rows, masknet, tiny) -> None:
    frame: pl.DataFrame = rows(200)
    count = range(200)
    table = frame.select("click", "site").to_arrow()
    columns: dict[str, pa.Array] = {
        "key": pa.array([bytes([i % 5 + 250, 255]) for i in count]),
        "name": pa.array([f"K\u00f6ln {i % 5}".encode() for i in count]),
        "dwell": pa.array([1000 * i for i in count], pa.duration("ms")),
        "paid": pa.array([Decimal(i) / 4 for i in count], pa.decimal256(50, 2)),
        "tags": pa.array([[("a", 0.5), (f"b{i % 3}", 1.0)] for i in count], pa.map_(pa.string(), pa.float64())),
        "seen": pa.array([[{"item": i % 4, "times": 2}] for i in count]),
        "age": pa.array(pd.arrays.IntervalArray.from_tuples([(10 * (i % 3), 10 * (i % 3) + 10) for i in count])),
    }
    for name, column in columns.items():
        table = table.append_column(name, column)
    pq.write_table(table, "log.parquet")
    found = masknet("inspect", "log.parquet", "--label", "click", "--json").json
    kinds = {column["column"]: column["kind"] for column in found["columns"]}
    assert {name: kinds[name] for name in columns} == {
        "key": "categorical", "name": "categorical", "dwell": "numeric", "paid": "numeric", "tags": "bag",
        "seen": "bag", "age": "categorical",
    }  # fmt: skip
    weighted = {field["name"]: field["weighted"] for field in found["schema"]["fields"] if field["kind"] == "bag"}
    assert weighted == {"tags": True, "seen": True}
    assert masknet("train", "log.parquet", *FLAGS, "--out", "a.masknet", *tiny).code == 0
    assert masknet("predict", "a.masknet", "log.parquet", "--out", "a.csv", "--append", "key,age").code == 0
    scores = pl.read_csv("a.csv")
    assert scores.row(0)[:2] == ("faff", "(0, 10]")
