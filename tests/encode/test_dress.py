"""The same value in another dress: what a column is trained on, and what scores it, need not be written alike."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest

from masknet.encode import Declared, Encoder, EncoderLearner, inspect_table
from masknet.errors import DataError
from masknet.progress import LogProgress
from masknet.table import Source, open_table

ROWS = 60


def learned(source: Source, kind: str = "categorical", **declared: Any) -> Encoder:
    """An encoder of the column `c`, declared to be of a kind."""
    table = open_table(source)
    inspection = inspect_table(table, Declared(label="click", **{kind: ("c",)}, **declared), LogProgress())
    learner = EncoderLearner(inspection.schema)
    for chunk in table.chunks():
        learner.add(chunk)
    return learner.finish()


def ids(encoder: Encoder, source: Source) -> list[Any]:
    return np.concatenate([encoder.encode(chunk).ids for chunk in open_table(source).chunks(("c",))]).tolist()


def value_type(cells: Any, kind: str = "categorical", **declared: Any) -> str:
    clicks = [i % 2 for i in range(len(cells))]
    (field,) = learned(pl.DataFrame({"click": clicks, "c": cells}, strict=False), kind, **declared).schema.fields
    return str(field.values)


MOMENTS = {
    "moments": pd.date_range("2026-01-02 03:04:05", periods=ROWS, freq="1h"),
    "dates": pd.date_range("2026-01-02", periods=ROWS, freq="D"),
    "microseconds": pd.date_range("2026-01-02", periods=ROWS, freq="1001us"),
    "zoned": pd.date_range("2026-01-02", periods=ROWS, freq="1h", tz="UTC"),
}
FLOATS = {
    "floats": [0.0, 1e-7, 2.5, 1e16, 0.1, 7.0] * 10,
    "missing": [0.0, -0.0, 2.5, float("nan"), 0.25, 1e-7] * 10,
    "prices": [0.5, 1.25, 2.0, 3.75, 10.5, 99.0] * 10,
}
INTEGERS = {"integers": [1, 2, 3, 10, 20, 30] * 10, "widened": [1.0, 2.0, float("nan"), 10.0, 20.0, 30.0] * 10}
BOOLEANS = {"booleans": [True, False] * 30}


@pytest.mark.parametrize("name", [*MOMENTS, *FLOATS, *INTEGERS, *BOOLEANS])
def test_a_frame_and_what_any_writer_makes_of_it_agree(name: str, tmp_path: Path) -> None:
    cells = (MOMENTS | FLOATS | INTEGERS | BOOLEANS)[name]
    frame = pd.DataFrame({"click": [0, 1] * (ROWS // 2), "c": cells})
    frame.to_csv(tmp_path / "pandas.csv", index=False)
    # A NaN among texts of integers is a text, as the name Nan would be; Polars makes it null unless told otherwise.
    pl.from_pandas(frame, nan_to_null=name not in FLOATS).write_csv(tmp_path / "polars.csv")
    pa_csv.write_csv(pa.Table.from_pandas(frame), tmp_path / "arrow.csv")
    frame.to_parquet(tmp_path / "pandas.parquet")
    sources: list[Source] = [frame, *sorted(tmp_path.iterdir())]
    for trained_on in sources:
        encoder = learned(trained_on)
        expected = ids(encoder, trained_on)
        assert len({i for (i,) in expected}) == len(set(map(str, pd.Series(cells).replace(-0.0, 0.0))))
        for scored in sources:
            assert ids(encoder, scored) == expected, (trained_on, scored)


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["0", "1", "-1", "7.0"], "integer"),
        (["0", "07"], "text"),
        (["0", " 7"], "text"),
        (["0", "nan"], "integer"),
        (["7", "NA", "?"], "integer"),
        (["0", "other"], "text"),
        (["0", "0.5", "1e-07", "-0.0"], "float"),
        (["0.50", "1.25", "-0.00"], "float"),
        (["1.1", "1.10"], "text"),
        (["1.0", "1.10"], "text"),
        (["0.5", "00.5"], "text"),
        (["0.5", "12345678901234567"], "text"),
        (["0.123456789012345678", "0.5"], "text"),
        (["12e4", "1.5"], "text"),
        (["0.5", "1.5.2"], "text"),
        ([0.5, 1.0], "float"),
        ([1.0, 2.0], "integer"),
        ([Decimal("0.50"), Decimal("1.00")], "float"),
        (pl.Series(["0.1", "99999999999999999.5"]).cast(pl.Decimal(38, 1)), "text"),
        (["2026-01-02", "2026-01-03"], "moment"),
        (["2026-01-02", "2026-01-02 00:00:00"], "moment"),
        (["2026-01-02", "soon"], "text"),
        (["2026-01-02 00:00Z", "2026-01-02 00:00"], "text"),
        ([dt.date(2026, 1, 2), dt.date(2026, 1, 3)], "moment"),
        (["True", "false"], "boolean"),
        (["yes", "no"], "text"),
    ],
)  # fmt: skip
def test_what_a_column_is_all_of_its_values_say(cells: Any, kind: str) -> None:
    assert value_type(cells) == kind


def test_the_values_of_a_bag_are_of_a_type_too() -> None:
    assert value_type(["0.5|1e-07", "0|2.5"], "bag") == "float"
    assert value_type(["1.1|1.10", "2.0"], "bag") == "text"
    assert value_type([[0.5], [1.0, 2.0]], "bag") == "float"
    assert value_type([[dt.date(2026, 1, 2)], [dt.date(2026, 1, 3)]], "bag") == "moment"
    assert value_type(["0.5", "2.5"], hash={"c": 5}) == "float"


def test_padded_integers_are_seen_where_training_had_none_padded() -> None:
    encoder = learned(pl.DataFrame({"click": [0, 1, 1], "c": ["7", "12", "0"]}))
    seen = ids(encoder, pl.DataFrame({"c": ["7", "12", "0"]}))
    assert ids(encoder, pl.DataFrame({"c": ["007", " 12", "00"]})) == seen
    assert ids(encoder, pl.DataFrame({"c": [7, 12, 0]})) == seen
    texts = learned(pl.DataFrame({"click": [0, 1, 1], "c": ["07", "7", "12"]}))
    assert len({i for (i,) in ids(texts, pl.DataFrame({"c": ["07", "7", "007"]}))}) == 3


def test_an_integer_that_lost_its_digits_is_still_an_error() -> None:
    encoder = learned(pl.DataFrame({"click": [0, 1], "c": [7, 2**60]}))
    with pytest.raises(DataError, match=r"above 2\^53 loses its digits"):
        ids(encoder, pl.DataFrame({"c": [float(2**60)]}))
