"""What the cells of a moment mean, however they are written, and what orders rows by time."""

from __future__ import annotations

import datetime as dt
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from masknet.encode.moments import Epoch, Times, moments
from masknet.encode.values import BadCellsError
from masknet.errors import DataError, Where
from masknet.schema import TimeForm
from masknet.table import open_table

PLACE = "row {}".format


def moment(cells: Any, form: TimeForm = "iso", dtype: Any = None, **options: Any) -> list[tuple[Any, Any]]:
    """For each cell the wall clock, and the seconds since 1970; None where it is missing."""
    column = cells if isinstance(cells, pl.Series) else pl.Series("t", cells, dtype=dtype, strict=False)
    found = moments(column, form, PLACE, **options)
    seconds = [None if np.isnan(day) else round(day * 86400, 4) for day in found.days]
    return list(zip(found.wall.to_list(), seconds, strict=True))


NOON = dt.datetime(2026, 1, 31, 12)
AT = NOON.replace(tzinfo=dt.UTC).timestamp()
MIDNIGHT = NOON.replace(hour=0), AT - 12 * 3600
NOTHING = (None, None)


@pytest.mark.parametrize(
    ("cells", "form", "expected"),
    [
        (
            ["2026-01-31", "2026-01-31 12:00", "2026-01-31T12:00:00", " 2026-01-31 12:00:00.000 ", "", None],
            "iso",
            [MIDNIGHT, (NOON, AT), (NOON, AT), (NOON, AT), NOTHING, NOTHING],
        ),
        (["2026-01-31T12:00:00.25"], "iso", [(NOON.replace(microsecond=250_000), AT + 0.25)]),
        (
            [f"2026-01-31T12:00:00{zone}" for zone in ("Z", "+02:00", "-0530", "+02", " +01:00", "-00:30")],
            "iso",
            [(NOON, AT + 3600 * hours) for hours in (0, -2, 5.5, -2, -1, 0.5)],
        ),
        (["2026-01-31 12:00+14:00"], "iso", [(NOON, AT - 14 * 3600)]),
        (["1969-12-31T23:00:00"], "iso", [(dt.datetime(1969, 12, 31, 23), -3600)]),
        ([dt.date(2026, 1, 31), None], "iso", [MIDNIGHT, NOTHING]),
        ([NOON, None], "iso", [(NOON, AT), NOTHING]),
        ([None, None], "iso", [NOTHING, NOTHING]),
        ([20260131, None], "yyyymmdd", [MIDNIGHT, NOTHING]),
        (["20260131", "", "nan"], "yyyymmdd", [MIDNIGHT, NOTHING, NOTHING]),
        ([26013112.0, float("nan")], "yymmddhh", [(NOON, AT), NOTHING]),
        (["05010123"], "yymmddhh", [(dt.datetime(2005, 1, 1, 23), 1104620400)]),
        ([AT, AT + 0.5, -1, None], "seconds", [(NOON, AT), (NOON.replace(microsecond=500_000), AT + 0.5),
                                               (dt.datetime(1969, 12, 31, 23, 59, 59), -1), NOTHING]),
        ([AT * 1000], "milliseconds", [(NOON, AT)]),
        ([int(AT) * 1_000_000 + 7], "microseconds", [(NOON.replace(microsecond=7), AT)]),
        ([int(AT) * 1_000_000_000, "nan"], "nanoseconds", [(NOON, AT), NOTHING]),
        ([], "seconds", []),
    ],
)  # fmt: skip
def test_a_moment_however_it_is_written(cells: list[Any], form: TimeForm, expected: list[Any]) -> None:
    assert moment(cells, form) == expected


@pytest.mark.parametrize(
    ("cells", "form", "sentence"),
    [
        (["2026-01-31", "soon"], "iso", "here an ISO date or time .* column 't' holds 'soon' in row 1"),
        (["2026-02-30"], "iso", "'2026-02-30' in row 0"),
        (["2026-01-31T25:00:00"], "iso", "'2026-01-31T25:00:00' in row 0"),
        (["2026-01-31-05:00"], "iso", "'2026-01-31-05:00' in row 0"),
        (["20260131"], "iso", "'20260131' in row 0"),
        (["2026-01-31T12:00Z", "2026-01-31T12:00"], "iso", "all name their zone, or none does; .* in row 1"),
        ([20260131, 20261331], "yyyymmdd", "here a date as 20260131; column 't' holds '20261331' in row 1"),
        ([20260131.5], "yyyymmdd", "'20260131.5' in row 0"),
        ([-20260131], "yyyymmdd", "'-20260131' in row 0"),
        ([26013124], "yymmddhh", "here a date and hour as 26013112"),
        ([1e300], "seconds", "here seconds since 1970"),
        ([float("inf")], "milliseconds", "here milliseconds since 1970"),
        (["soon"], "seconds", "'soon' in row 0"),
        ([AT * 1e9], "microseconds", "of the years 1 to 9999, here microseconds since 1970"),
        ([0, 253402300800], "seconds", "column 't' holds '253402300800' in row 1"),
        (["10110", "00000101"], "yyyymmdd", "'00000101' in row 1"),
        (["0000-12-31"], "iso", "'0000-12-31' in row 0"),
        (["0001-01-01T00:00+00:00", "0001-01-01T00:00+02:00"], "iso", r"'0001-01-01T00:00\+02:00' in row 1"),
        (["9999-12-31T23:00-02:00"], "iso", "'9999-12-31T23:00-02:00' in row 0"),
    ],
)
def test_what_is_no_moment_is_named_with_its_row(cells: list[Any], form: TimeForm, sentence: str) -> None:
    with pytest.raises(BadCellsError, match=sentence):
        moment(cells, form)


@pytest.mark.parametrize(
    ("cells", "form", "sentence"),
    [
        ([1.5], "iso", "a datetime column holds moments; column 't' holds Float64"),
        ([dt.time(12)], "iso", "a datetime column holds moments; column 't' holds Time"),
        ([NOON], "seconds", r"were numbers \(seconds\) in training and are Datetime"),
        ([[1]], "seconds", "a numeric column holds numbers; column 't' holds List"),
    ],
)
def test_a_column_of_another_type_is_refused(cells: list[Any], form: TimeForm, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence) as caught:
        moment(cells, form)
    assert not isinstance(caught.value, BadCellsError)


@pytest.mark.parametrize("zoned", [True, False])
def test_moments_name_their_zone_as_those_of_training_did(zoned: bool) -> None:
    typed = pl.Series("t", [NOON])
    for right, wrong in (
        (["2026-01-31T12:00Z"], ["2026-01-31T12:00"]),
        (typed.dt.replace_time_zone("UTC"), typed),
    ):
        right, wrong = (right, wrong) if zoned else (wrong, right)
        assert moment(right, zoned=zoned) == [(NOON, AT)]
        with pytest.raises(BadCellsError, match="unlike those of training"):
            moment(wrong, zoned=zoned)
    assert moment([None], zoned=zoned) == [NOTHING]


BERLIN = ZoneInfo("Europe/Berlin")
AROUND_A_CHANGE = [
    dt.datetime(2026, 3, 29, 1, 59, tzinfo=BERLIN),
    dt.datetime(2026, 3, 29, 3, 0, tzinfo=BERLIN),
    dt.datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN),
    dt.datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=BERLIN),
    None,
]


def test_summer_time_is_the_wall_clock_for_the_hour_and_the_instant_for_the_age() -> None:
    expected = [NOTHING if at is None else (at.replace(tzinfo=None, fold=0), at.timestamp()) for at in AROUND_A_CHANGE]
    assert expected[3][1] - expected[2][1] == 3600, "half past two comes twice"
    instants = [None if at is None else at.astimezone(dt.UTC) for at in AROUND_A_CHANGE]
    polars = pl.Series("t", instants, dtype=pl.Datetime("us", "UTC")).dt.convert_time_zone("Europe/Berlin")
    frame = pl.DataFrame({"t": polars})
    pandas = pd.DataFrame({"t": pd.Series(pd.DatetimeIndex(instants).tz_convert("Europe/Berlin"))})
    arrow = pa.table({"t": pa.array(instants, pa.timestamp("ms", "Europe/Berlin"))})
    for source in (frame, pandas, arrow):
        cells = next(open_table(source).chunks()).frame["t"]
        assert moment(cells) == expected, type(source)
    for unit in ("ns", "ms"):
        assert moment(polars.dt.cast_time_unit(unit)) == expected
    texts = [None if at is None else at.isoformat(sep=sep) for sep in "T " for at in AROUND_A_CHANGE]
    assert moment(texts) == expected * 2


@settings(deadline=None)
@given(
    st.lists(st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(2200, 1, 1)) | st.none(), min_size=1, max_size=5),
    st.integers(-14 * 4, 14 * 4),
)
def test_texts_and_types_are_the_same_moments(cells: list[dt.datetime | None], quarters: int) -> None:
    typed = pl.Series("t", cells, dtype=pl.Datetime("us"))
    epoch = dt.datetime(1970, 1, 1)
    expected = [NOTHING if at is None else (at, round((at - epoch).total_seconds(), 4)) for at in cells]
    for column in (typed, [at and at.isoformat() for at in cells], [at and str(at) for at in cells]):
        for (wall, seconds), (right, at) in zip(moment(column, dtype=pl.String), expected, strict=True):
            assert wall == right
            assert seconds == pytest.approx(at, abs=2e-3)
    zone = dt.timezone(dt.timedelta(minutes=15 * quarters))
    for (wall, seconds), (right, at) in zip(
        moment([at and at.replace(tzinfo=zone).isoformat() for at in cells], dtype=pl.String), expected, strict=True
    ):
        assert wall == right
        assert seconds == (None if at is None else pytest.approx(at - 900 * quarters, abs=2e-3))


FAR = 400_000  # years: what neither Polars' calendar nor, in microseconds, 64 bits hold


@pytest.mark.parametrize(
    ("physical", "dtype"),
    [
        (2_932_897, pl.Date),
        (-719_163, pl.Date),
        (365 * FAR, pl.Date),
        (253_402_300_800_000, pl.Datetime("ms")),
        (365 * 86_400_000 * FAR, pl.Datetime("ms")),
        (253_402_300_800_000_000, pl.Datetime("us")),
        (-62_135_596_800_000_001, pl.Datetime("us")),
        (365 * 86_400_000 * FAR, pl.Datetime("ms", "Europe/Berlin")),
        (253_402_300_799_999, pl.Datetime("ms", "Europe/Berlin")),  # there it is New Year already
    ],
)
def test_a_typed_moment_outside_the_years_1_to_9999_is_refused(physical: int, dtype: Any) -> None:
    column = pl.Series("t", [0, physical]).cast(pl.Int32 if dtype == pl.Date else pl.Int64).cast(dtype)
    with pytest.raises(BadCellsError, match=r"moments of the years 1 to 9999, .* in row 1"):
        moments(column, "iso", PLACE)


def test_the_first_and_the_last_moment_are_read() -> None:
    ends = [dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31, 23, 59, 59)]
    expected = [(at, (at - dt.datetime(1970, 1, 1)).total_seconds()) for at in ends]
    assert moment(ends) == moment([at.isoformat() for at in ends]) == expected
    assert moment([seconds for _, seconds in expected], "seconds") == expected


@pytest.mark.parametrize(
    ("cells", "form"),
    [
        ([1.7e9, 1.6e9], "seconds"),
        ([1.7e12], "milliseconds"),
        ([1.7e15], "microseconds"),
        ([1.7e18, 1.6e18], "nanoseconds"),
        (["1700000000000000000"], "nanoseconds"),
        ([20260131, 20251231], "yyyymmdd"),
        ([14102100], "yymmddhh"),
        (["2026-01-31"], "iso"),
    ],
)
def test_the_form_of_moments_is_told_by_their_size(cells: list[Any], form: TimeForm) -> None:
    epoch = Epoch()
    epoch.add(pl.Series("t", cells))
    assert epoch.form == form


# Times


def ads(i: int) -> Where:
    return Where("row", i + 1, "ads.csv")


def test_times_in_every_form_are_one_order() -> None:
    moments = [dt.datetime(2026, 1, 31), dt.datetime(2026, 1, 31, 12), dt.datetime(2026, 1, 31, 12, 0, 0, 500000)]
    texts = [
        ["2026-01-31", "2026-01-31 12:00", "2026-01-31 12:00:00.5"],
        ["2026-01-31T00:00:00", "2026-01-31T12:00:00Z", "2026-01-31 12:00:00.500000+00:00"],
    ]
    expected = Times()(pl.Series(moments), ads).tolist()
    assert expected == [1769817600e6, 1769860800e6, 1769860800.5e6]
    for form in texts:
        assert Times()(pl.Series(form), ads).tolist() == expected
    assert Times()(pl.Series(moments).cast(pl.Datetime("ns", "UTC")), ads).tolist() == expected
    assert Times()(pl.Series(moments).cast(pl.Date), ads).tolist() == [expected[0]] * 3
    assert Times()(pl.Series([3, 1]), ads).tolist() == Times()(pl.Series(["3", " 1"]), ads).tolist()


@pytest.mark.parametrize(
    ("cells", "row", "shown"),
    [
        (["2026-01-01", "yesterday"], 2, "yesterday"),
        (["5", "6", ""], 3, ""),  # the row that is wrong, not the first that is a number
        (["5", "2026-01-01"], 2, "2026-01-01"),
        (["2026-02-30"], 1, "2026-02-30"),
        ([1.0, None], 2, "None"),
    ],
)
def test_a_wrong_time_is_named_with_its_row(cells: list[Any], row: int, shown: str) -> None:
    with pytest.raises(DataError, match=rf"column 'at' holds '{shown}' in row {row} of ads\.csv"):
        Times()(pl.Series("at", cells), ads)


def test_a_boolean_is_no_time() -> None:
    with pytest.raises(DataError, match="column 'at' holds Boolean"):
        Times()(pl.Series("at", [True]), ads)


LATER = {
    "dates": [["2026-01-01"], ["2026-01-02 12:00"], [dt.date(2026, 1, 3)], [dt.datetime(2026, 1, 4)]],
    "numbers": [["1.5"], [20260102], [20260103.0], ["20260104"]],
}


@pytest.mark.parametrize(("kind", "other"), [("dates", "numbers"), ("numbers", "dates")])
def test_a_column_of_time_is_of_one_kind_however_it_is_cut(kind: str, other: str) -> None:
    read = Times()
    found = [read(pl.Series("at", cells), ads)[0] for cells in LATER[kind]]
    assert found == sorted(found)
    for cells in LATER[other]:
        first = pl.Series("at", LATER[kind][0] if isinstance(cells[0], str) else [])
        column = pl.concat([first, pl.Series("at", cells)]) if len(first) else pl.Series("at", cells)
        with pytest.raises(BadCellsError, match=f"are all numbers or all dates; .* other rows {kind}") as caught:
            read(column, ads)
        error = caught.value
        assert (error.file, error.column, error.row) == ("ads.csv", "at", len(column))
        assert error.value == cells[0]


def test_a_column_of_time_is_of_the_kind_of_most_cells_of_its_first_chunk() -> None:
    with pytest.raises(BadCellsError, match=r"'7' in row 2 of ads\.csv, and other rows dates: write them alike"):
        Times()(pl.Series("at", ["2026-01-31", "7", "2026-02-01"]), ads)
    read = Times()
    with pytest.raises(BadCellsError, match="column 'at' holds 'soon' in row 1"):
        read(pl.Series("at", ["soon", ""]), ads)
    assert read(pl.Series("at", ["5", "3"]), ads).tolist() == [5, 3], "cells of no kind decide nothing"
