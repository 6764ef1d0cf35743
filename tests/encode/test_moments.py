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
from hypothesis import given
from hypothesis import strategies as st

from masknet.encode.moment_forms import form_of
from masknet.encode.moments import MomentReader, Times, bound, moments
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
        (["20260131", "00000101"], "yyyymmdd", "'00000101' in row 1"),
        ([20260131, 10110], "yyyymmdd", "'10110' in row 1"),
        (["0000-12-31"], "iso", "'0000-12-31' in row 0"),
        (["0001-01-01T00:00+00:00", "0001-01-01T00:00+02:00"], "iso", r"'0001-01-01T00:00\+02:00' in row 1"),
        (["9999-12-31T23:00-02:00"], "iso", "'9999-12-31T23:00-02:00' in row 0"),
        ([None, 1.5], "iso", "here an ISO date or time .* holds '1.5' in row 1"),
        ([NOON], "seconds", "here seconds since 1970; column 't' holds '2026-01-31 12:00:00' in row 0"),
        (["1769860800", "2026-01-31"], "seconds", "here seconds since 1970; column 't' holds '2026-01-31' in row 1"),
        (["1/31/2026", "31/1/2026"], "%m/%d/%Y", "here as %m/%d/%Y; column 't' holds '31/1/2026' in row 1"),
        (["1/31/26"], "%m/%d/%Y", "'1/31/26' in row 0"),  # not the year 26
        (
            ["1/31/2026"],
            "iso",
            "mend the cell, train with --datetime 't=%m/%d/%Y', or name the column in --categorical",
        ),
        ([20260131.5], "%Y%m%d", "'20260131.5' in row 0"),
    ],
)
def test_what_is_no_moment_is_named_with_its_row(cells: list[Any], form: TimeForm, sentence: str) -> None:
    with pytest.raises(BadCellsError, match=sentence):
        moment(cells, form)


@pytest.mark.parametrize(
    ("cells", "form", "sentence"),
    [
        ([dt.time(12)], "iso", "a datetime column holds moments; column 't' holds Time"),
        ([[1]], "seconds", "a datetime column holds moments; column 't' holds List"),
        ([True], "seconds", "a datetime column holds moments; column 't' holds Boolean"),
    ],
)
def test_a_column_of_another_type_is_refused(cells: list[Any], form: TimeForm, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence) as caught:
        moment(cells, form)
    assert not isinstance(caught.value, BadCellsError)


def test_a_boolean_is_no_time() -> None:
    with pytest.raises(DataError, match="column 'at' holds Boolean: convert it, or leave it out of --time"):
        Times()(pl.Series("at", [True]), ads)


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


# One reader

EARLY, LATE = dt.datetime(2026, 1, 30, 23), dt.datetime(2026, 1, 31, 12)

FORMS: dict[str, tuple[str | None, list[Any]]] = {  # a format, and the late and the early moment
    "T": (None, ["2026-01-31T12:00:00", "2026-01-30T23:00:00"]),
    "minutes": (None, ["2026-01-31 12:00", "2026-01-30 23:00"]),
    "fraction": (None, ["2026-01-31 12:00:00.000", "2026-01-30 23:00:00,000"]),
    "UTC": (None, ["2026-01-31 12:00:00 UTC", "2026-01-30 23:00:00 utc"]),
    "GMT": (None, ["2026-01-31 12:00:00 GMT", "2026-01-30 23:00:00GMT"]),
    "Z": (None, ["2026-01-31T12:00:00Z", "2026-01-30T23:00:00.000 Z"]),
    "+01:00": (None, ["2026-01-31T13:00:00+01:00", "2026-01-31T00:00:00 +01:00"]),
    "+00": (None, ["2026-01-31 12:00:00+00", "2026-01-30 23:00:00.5+00"]),
    "+0530": (None, ["2026-01-31 17:30:00+0530", "2026-01-31 04:30:00 +0530"]),
    "basic": (None, ["20260131T120000Z", "20260130T230000Z"]),
    "seconds": (None, [1769860800, 1769814000]),
    "seconds in texts": (None, ["1769860800.0", "1769814000"]),
    "milliseconds": (None, [1769860800000, 1769814000000]),
    "microseconds": (None, [1769860800000000, 1769814000000000]),
    "nanoseconds": (None, [1769860800000000000, 1769814000000000000]),
    "yymmddhh": (None, [26013112, 26013023]),
    "digits": (None, [20260131120000, 20260130230000]),
    "typed": (None, [LATE, EARLY]),
    "American": ("%m/%d/%Y %H:%M", ["1/31/2026 12:00", "1/30/2026 23:00"]),
    "with a zone": ("%m/%d/%Y %H:%M", ["1/31/2026 13:00 +0100", "1/31/2026 0:00+01:00"]),
    "twelve hours": ("%m/%d/%y %I:%M:%S %p", ["01/31/26 12:00:00 PM", "01/30/26 11:00:00 pm"]),
    "German": ("%d.%m.%Y %H:%M:%S.%f", ["31.01.2026 12:00:00.5", "30.01.2026 23:00:00"]),
    "months": ("%d-%b-%y %H:%M", ["31-Jan-26 12:00", "30-JAN-26 23:00"]),
    "long months": ("%B %d, %Y %H:%M", ["January 31, 2026 12:00", "Jan 30, 2026 23:00"]),
    "posts": ("%a %b %d %H:%M:%S %z %Y", ["Sat Jan 31 12:00:00 +0000 2026", "Sat Jan 31 00:00:00 +0100 2026"]),
    "a zone within": ("%H:%M:%S%z %d.%m.%Y", ["13:00:00+0100 31.01.2026", "23:00:00Z 30.01.2026"]),
    "logs": ("%d/%b/%Y:%H:%M:%S %z", ["31/Jan/2026:12:00:00 +0000", "31/Jan/2026:04:30:00 +0530"]),
    "an hour": ("%Y-%m-%d %H", ["2026-01-31 12", "2026-01-30 23"]),
    "digits by a format": ("%Y%m%d%H%M", [202601311200, 202601302300]),
}  # fmt: skip


def ads(i: int) -> Where:
    return Where("row", i + 1, "ads.csv")


@pytest.mark.parametrize("name", FORMS)
def test_datetime_time_and_valid_after_read_the_same_forms(name: str) -> None:
    form, cells = FORMS[name]
    column = pl.Series("at", cells)
    late, early = (at.replace(tzinfo=dt.UTC).timestamp() for at in (LATE, EARLY))
    for read in (MomentReader(form), Times(form), MomentReader(form or form_of([column]))):
        found = read(column, ads)
        assert found.days.tolist() == (found.instants / 86_400e6).tolist()
        assert [second // 1e6 for second in found.instants.tolist()] == [late, early]
    of_time = form or form_of([column])
    assert [bound(str(cell), of_time) // 1e6 for cell in cells] == [late, early]
    texts = pl.Series("at", [str(cell) for cell in cells])
    assert Times(form)(texts, ads).instants.tolist() == Times(form)(column, ads).instants.tolist(), "as CSV has them"


@pytest.mark.parametrize("form", ["iso", "seconds", "yyyymmdd", "%m/%d/%Y"])
def test_a_bound_is_written_as_the_column_is_or_by_itself(form: TimeForm) -> None:
    midnight = MIDNIGHT[1] * 1e6
    for text in ("2026-01-31", "2026-01-31T01:00+01:00", " 2026-01-31 00:00 UTC"):
        assert bound(text, form) == midnight
    if form != "seconds":  # where it is a number of them
        assert bound("20260131", form) == midnight
    assert bound("1769817600", form) == bound("1769817600000", "milliseconds") == midnight
    for wrong in ("yesterday", "2026-02-30", "", "NA"):
        with pytest.raises(DataError, match=f"--valid-after is a moment, .*an ISO date or time .*; got '{wrong}'"):
            bound(wrong, form)


@pytest.mark.parametrize("form", ["iso", "seconds", "milliseconds", "yyyymmdd", "yymmddhh", "%d.%m.%Y"])
def test_what_is_missing_in_numbers_is_missing_in_moments(form: TimeForm) -> None:
    there = {"iso": "2026-01-31", "seconds": "1769817600", "milliseconds": "1769817600000", "yyyymmdd": "20260131",
             "yymmddhh": "26013100", "%d.%m.%Y": "31.01.2026"}[form]  # fmt: skip
    cells = [there, "NA", r"\N", "NULL", "null", "-", "\u2014", "?", "#N/A", "<NA>", "n/a", "(null)", " ", "nan", None]
    assert moment(cells, form) == [MIDNIGHT] + [NOTHING] * 14
    assert moment([there, "never"], form, missing=("never",)) == [MIDNIGHT, NOTHING]
    with pytest.raises(BadCellsError, match="holds 'never' in row 1"):
        moment([there, "never"], form)


def test_a_number_may_be_a_missing_moment() -> None:
    for cells in ([20260131, -1], ["20260131", "-1"], [20260131.0, -1.0]):
        assert moment(cells, "yyyymmdd", missing=("-1",)) == [MIDNIGHT, NOTHING]
        assert form_of([pl.Series(cells)], ("-1",)) == "yyyymmdd"


def test_typed_moments_are_read_by_a_model_of_written_ones() -> None:
    assert moment([NOON, None], "%d.%m.%Y %H:%M", zoned=False) == [(NOON, AT), NOTHING]
    assert moment([dt.date(2026, 1, 31)], "%d.%m.%Y") == [MIDNIGHT]


def test_whether_moments_name_their_zone_holds_for_all_chunks() -> None:
    for form, plain, zoned in (
        (None, "2026-01-31 12:00", "2026-01-31 12:00 UTC"),
        ("%d.%m.%Y %H:%M", "31.01.2026 12:00", "31.01.2026 12:00 +0100"),
    ):
        for kind in (MomentReader, Times):
            read = kind(form)
            read(pl.Series("at", [plain]), ads)
            with pytest.raises(BadCellsError, match=r"in row 3 of ads\.csv, unlike its neighbours"):
                read(pl.Series("at", [plain, plain, zoned]), ads)
            with pytest.raises(BadCellsError, match="unlike those of training"):
                read(pl.Series("at", [zoned]), ads)


# A column of time


def test_small_numbers_are_of_the_unit_that_larger_ones_tell() -> None:
    small, large = pl.Series("at", [0, 0]), pl.Series("at", [1769860800000, 0])
    assert form_of([small, large]) == "milliseconds"
    read = Times()
    assert read(small, ads).instants.tolist() == [0, 0]
    assert read(large, ads).instants.tolist() == [AT * 1e6, 0]
    assert Times()(pl.Series("week", [52, 1, 3]), ads).instants.tolist() == [52e6, 1e6, 3e6]


@pytest.mark.parametrize(
    ("cells", "row", "shown", "words"),
    [
        (["2026-01-01", "yesterday"], 2, "yesterday", "here an ISO date or time"),
        (["5", "6", ""], 3, "", "a time is known of every row"),
        (["5", "6", "NA"], 3, "NA", "a time is known of every row"),
        (["5", "6", "2026-01-01"], 3, "2026-01-01", "here seconds since 1970"),
        (["2026-01-31", "7", "2026-02-01"], 2, "7", "here an ISO date or time"),
        (["2026-02-30"], 1, "2026-02-30", "a column of time holds moments of the years 1 to 9999"),
        ([1.0, None], 2, "None", "a time is known of every row"),
    ],
)
def test_a_wrong_time_is_named_with_its_row(cells: list[Any], row: int, shown: str, words: str) -> None:
    with pytest.raises(
        BadCellsError, match=rf"{words}.* column 'at' holds '{shown}' in row {row} of ads\.csv"
    ) as error:
        Times()(pl.Series("at", cells), ads)
    assert "name another column in --time" in str(error.value)


LATER: dict[str, list[list[Any]]] = {
    "iso": [["2026-01-01"], ["2026-01-02 12:00"], [dt.date(2026, 1, 3)], [dt.datetime(2026, 1, 4)]],
    "seconds": [["1.5"], [20260102], [20260103.0], ["20260104"]],
}


@pytest.mark.parametrize(("form", "other"), [("iso", "seconds"), ("seconds", "iso")])
def test_a_column_of_time_is_of_one_form_however_it_is_cut(form: str, other: str) -> None:
    read = Times(form)
    found = [read(pl.Series("at", cells), ads).instants[0] for cells in LATER[form]]
    assert found == sorted(found)
    for cells in LATER[other]:
        with pytest.raises(BadCellsError, match="a column of time holds moments") as caught:
            read(pl.Series("at", cells), ads)
        error = caught.value
        assert (error.file, error.column, error.row) == ("ads.csv", "at", 1)
        assert error.value == cells[0]
