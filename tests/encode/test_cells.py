"""What a cell of several values means: bags, vectors and moments, however they are written."""

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

from masknet.encode.cells import bag_cells, moments, vectors
from masknet.encode.values import BadCellsError
from masknet.errors import DataError
from masknet.schema import Bag, TimeForm
from masknet.table import open_table

PLACE = "row {}".format


# Bags


def bag(cells: Any, dtype: Any = None, **options: Any) -> tuple[list[str], list[float] | None, list[int]]:
    """The values of all cells, their weights, and the row of each."""
    column = cells if isinstance(cells, pl.Series) else pl.Series("b", cells, dtype=dtype, strict=False)
    found = bag_cells(column, Bag(name="b", **options), PLACE)
    return found.text.to_list(), None if found.weights is None else found.weights.tolist(), found.row.tolist()


@pytest.mark.parametrize(
    ("cells", "options", "values", "rows"),
    [
        ([["a", None, ""], [], None, ["b", " c "]], {}, ["a", "b", "c"], [0, 3, 3]),
        (["a| b||c", "", None, " ", "d"], {"separator": "|"}, ["a", "b", "c", "d"], [0, 0, 0, 4]),
        (["a b  c"], {"separator": " "}, ["a", "b", "c"], [0, 0, 0]),
        (["a, b;c"], {"separator": ", "}, ["a", "b;c"], [0, 0]),
        (["日.本.🙂"], {"separator": "."}, ["日", "本", "🙂"], [0, 0, 0]),
        (["a|b"], {"separator": ";"}, ["a|b"], [0]),
        (["a|b"], {}, ["a|b"], [0]),
        (["07|7|7.0|x"], {"separator": "|", "values": "integer"}, ["07", "7", "7", "x"], [0, 0, 0, 0]),
        (["07|7.0"], {"separator": "|"}, ["07", "7.0"], [0, 0]),
        ([[7, None, 2**60]], {"values": "integer"}, ["7", str(2**60)], [0, 0]),
        ([[7.0, float("nan"), -0.0]], {"values": "integer"}, ["7", "0"], [0, 0]),
        ([[True, False]], {"values": "boolean"}, ["true", "false"], [0, 0]),
        ([7, None], {"values": "integer"}, ["7"], [0]),
        ([dt.date(2026, 1, 31)], {}, ["2026-01-31"], [0]),
        ([None, None], {}, [], []),
        ([[None], [None]], {}, [], []),
        ([], {}, [], []),
    ],
)
def test_the_values_of_a_bag(cells: list[Any], options: dict[str, Any], values: list[str], rows: list[int]) -> None:
    assert bag(cells, **options) == (values, None, rows)


def test_an_array_is_a_bag_too() -> None:
    assert bag([[1, 2], None, [3, 4]], pl.Array(pl.Int64, 2), values="integer") == (list("1234"), None, [0, 0, 2, 2])


@pytest.mark.parametrize(
    ("cells", "options", "values", "weights"),
    [
        (["a:1|b:-2.5e-1", "a: 3"], {"separator": "|"}, ["a", "b", "a"], [1, -0.25, 3]),
        (["http://x:1:0.5"], {"separator": "|"}, ["http://x:1"], [0.5]),
        (["a:1|:3|", "", None], {"separator": "|"}, ["a"], [1]),
        ([["a:1", "b:2"]], {}, ["a", "b"], [1, 2]),
        ([None, None], {}, [], []),
        ([[None], []], {"separator": "|"}, [], []),
        ([[{"v": "a", "w": 1}, {"v": None, "w": None}], None], {}, ["a"], [1]),
        ([[{"v": 7.0, "w": "0.5"}]], {"values": "integer"}, ["7"], [0.5]),
    ],
)
def test_the_weights_of_a_bag(cells: list[Any], options: dict[str, Any], values: list[str], weights: Any) -> None:
    assert bag(cells, weighted=True, **options)[:2] == (values, weights)


def test_the_weights_of_pairs_are_passed_over_where_a_bag_has_none() -> None:
    assert bag([[{"v": "a", "w": float("nan")}]]) == (["a"], None, [0])


@pytest.mark.parametrize(
    ("cells", "options", "sentence"),
    [
        (["a:1", "b:1|c"], {"separator": "|", "weighted": True}, "column 'b' gives 'c' none in row 1"),
        (["a:1", "b:x"], {"separator": "|", "weighted": True}, "column 'b' gives 'b' none in row 1"),
        (["a:1", "b:inf"], {"separator": "|", "weighted": True}, "column 'b' gives 'b' inf in row 1"),
        ([None, [{"v": "a", "w": None}]], {"weighted": True}, "column 'b' gives 'a' none in row 1"),
        ([[1.0], [0.0, 2.0**53 + 2]], {"values": "integer"}, r"above 2\^53 loses its digits .* in row 1"),
    ],
)
def test_a_bad_value_is_named_with_its_row(cells: list[Any], options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadCellsError, match=sentence):
        bag(cells, **options)


@pytest.mark.parametrize(
    ("cells", "options", "sentence"),
    [
        ([[1, 2]], {"weighted": True}, "a weighted bag is a text of value:weight, or a list of pairs"),
        ([[{"v": "a", "w": 1.0, "z": 1}]], {"weighted": True}, "holds pairs of a value and a weight"),
        ([[["a"]]], {}, "the values of a bag are plain"),
        ([[b"a"]], {}, "the values of a bag are plain"),
    ],
)
def test_a_column_that_holds_no_bags_is_refused(cells: list[Any], options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(DataError, match=sentence) as caught:
        bag(cells, **options)
    assert not isinstance(caught.value, BadCellsError)


words = st.text(st.characters(blacklist_characters="|:", blacklist_categories=["Cs"]), max_size=5).map(str.strip)


@settings(deadline=None)
@given(st.lists(st.lists(words, max_size=4) | st.none(), max_size=6))
def test_lists_and_texts_are_the_same_bags(cells: list[list[str] | None]) -> None:
    lists = pl.Series("b", cells, dtype=pl.List(pl.String))
    expected = [(word, i) for i, cell in enumerate(cells) for word in cell or () if word]
    values, _, rows = bag(lists)
    assert list(zip(values, rows, strict=True)) == expected
    assert bag(lists.list.join("|"), separator="|") == (values, None, rows)
    weighted = [cell and [f"{word}:{i}" for i, word in enumerate(cell)] for cell in cells]
    pairs = [cell and [{"v": word, "w": i} for i, word in enumerate(cell)] for cell in cells]
    kind = pl.List(pl.Struct({"v": pl.String, "w": pl.Float64}))
    assert bag(pl.Series("b", weighted, dtype=pl.List(pl.String)).list.join("|"), separator="|", weighted=True) == bag(
        pairs, kind, weighted=True
    )


# Vectors


def vector(cells: Any, width: int = 2, dtype: Any = None) -> list[list[float]]:
    found = vectors(pl.Series("v", cells, dtype=dtype, strict=False), width, PLACE)
    assert (found.dtype, found.shape) == (np.float32, (len(cells), width))
    return found.tolist()


@pytest.mark.parametrize(
    ("cells", "dtype", "expected"),
    [
        ([[1, -2], None, []], pl.List(pl.Int8), [[1, -2], [0, 0], [0, 0]]),
        ([[0.5, 1e-3]], pl.Array(pl.Float32, 2), np.float32([[0.5, 1e-3]]).tolist()),
        (["[0.5, 2]", "0.5 2.0", " 0.5;2", "(.5|2)", "0.5\t2e0"], None, [[0.5, 2]] * 5),
        (["", " ", "[]", None], None, [[0, 0]] * 4),
        ([None, None], None, [[0, 0], [0, 0]]),
        ([[], None], None, [[0, 0], [0, 0]]),
        ([], pl.List(pl.Float64), []),
    ],
)  # fmt: skip
def test_a_vector_however_it_is_written(cells: list[Any], dtype: Any, expected: list[list[float]]) -> None:
    assert vector(cells, dtype=dtype) == expected


@pytest.mark.parametrize(
    ("cells", "sentence"),
    [
        ([[1.0, 2.0], [1.0]], "have 2 numbers, that in row 1 has 1"),
        (["1 2", "1 2 3"], "have 2 numbers, that in row 1 has 3"),
        (["1,5 2,5"], "that in row 0 has 4"),
        ([None, [1.0, None]], r"column 'v' holds \[1.0, None\] in row 1"),
        ([[1.0, float("nan")]], "made of finite numbers"),
        ([[1.0, 1e39]], r"column 'v' holds \[1.0, 1e\+39\] in row 0"),
        (["1 nan"], "column 'v' holds 1 nan in row 0"),
        (["a b"], "column 'v' holds a b in row 0"),
    ],
)
def test_a_vector_of_another_width_or_not_finite_is_refused(cells: list[Any], sentence: str) -> None:
    with pytest.raises(BadCellsError, match=sentence):
        vector(cells)


@pytest.mark.parametrize("cells", [[1.0], [[True, False]], [["1", "2"]], [[[1.0, 2.0]]], [{"a": 1.0, "b": 2.0}]])
def test_a_column_without_vectors_is_refused(cells: list[Any]) -> None:
    with pytest.raises(DataError, match="a dense column holds lists of numbers; column 'v' holds"):
        vector(cells)


@settings(deadline=None)
@given(st.lists(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=3, max_size=3)))
def test_texts_of_vectors_give_their_bits_back(cells: list[list[float]]) -> None:
    assert vector([str(cell) for cell in cells], 3, pl.String) == vector(cells, 3, pl.List(pl.Float32))


# Moments


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
