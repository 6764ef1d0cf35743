"""What the first pass keeps is what it read."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_series_equal

from masknet.encode.coded import Coded, CodedChunk
from masknet.encode.kept import KeptRows

FRAME = pl.DataFrame(
    {
        "text": ["a", None, "", "a", "b", "b"] * 4,
        "list": [["x", "y"], [], None, [None], ["z"], ["z"]] * 4,
        "pair": [[{"value": "x", "weight": 0.5}], None] * 12,
        "wide": pl.Series([2**100, None] * 12, dtype=pl.Int128),
        "at": pl.Series([datetime(2026, 1, 31), None] * 12, dtype=pl.Datetime("us", "UTC")),
        "none": [None] * 24,
        "*.codes": range(24),
    }
)


@pytest.mark.parametrize("at_most", [65_536, 7, 1])
def test_the_rows_come_back_as_they_were(at_most: int, tmp_path: Path) -> None:
    kept = KeptRows(tmp_path / "rows")
    gaps = np.arange(100, 148, 2)
    for rows in (None, gaps):
        kept.add(CodedChunk({column.name: Coded.of(column) for column in FRAME}, "ads.csv", 1, rows))
    assert kept.num_rows == 48
    names = ["list", "*.codes", "text", "none", "at", "wide", "pair"]
    found = list(kept.chunks(names, at_most))
    assert max(map(len, found)) <= at_most
    for name in names:
        cells = pl.concat([chunk.columns[name].rows() for chunk in found])
        assert_series_equal(cells, pl.concat([FRAME[name], FRAME[name]]))
    places = [chunk.place(i) for chunk in found for i in range(len(chunk))]
    assert [place.row for place in places] == [*range(1, 25), *gaps]
