from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from masknet.encode import values
from masknet.encode.cells import reader
from masknet.encode.moments import Times
from masknet.errors import DataError, Where
from masknet.schema import UNKNOWN, Bag, Categorical, Datetime, Dense, Numeric, ValueType


def place(row: int) -> str:
    return f"row {row + 1} of ads.csv"


def text_of(cells: pl.Series, kind: ValueType = "text") -> list[str | None]:
    return values.categorical_text(cells, kind, place).to_list()


def numbers_of(cells: pl.Series) -> list[float | None]:
    return [None if np.isnan(x) else float(x) for x in values.numbers(cells, place)]


# Categorical values


@given(st.integers())
def test_an_integer_of_any_size_is_one_value_however_it_is_written(n: int) -> None:
    writings = [pl.Series([str(n)]), pl.Series([f"{n}.0"])]
    if -(2**127) <= n < 2**127:
        writings.append(pl.Series([n], dtype=pl.Int128))
    if abs(n) < 10**38:
        writings.append(pl.Series([Decimal(n)], dtype=pl.Decimal(38, 0)))
    if -(2**63) <= n < 2**63:
        writings.append(pl.Series([n], dtype=pl.Int64))
    if 0 <= n < 2**64:
        writings.append(pl.Series([n], dtype=pl.UInt64))
    if abs(n) <= 2**53:
        writings.append(pl.Series([float(n)]))
    for cells in writings:
        assert text_of(cells, "integer") == [str(n)], cells.dtype


@pytest.mark.parametrize("other", ["7.5", "7e0", "7 7", "0x7", "--7", "7-", "seven", "\u0667", "None"])
def test_another_text_in_an_integer_field_is_no_integer(other: str) -> None:
    assert text_of(pl.Series([other]), "integer") == [other]


@given(
    st.integers(), st.integers(0, 5), st.sampled_from(["", ".", ".0", ".00"]), st.sampled_from(["", " ", "\t", "\n"])
)
def test_a_padded_integer_is_the_integer_where_training_had_none_padded(
    n: int, zeros: int, end: str, blank: str
) -> None:
    sign, digits = "-" if n < 0 else "", str(abs(n))
    cells = [f"{blank}{sign}{'0' * zeros}{digits}{end}{blank}", f"{n}", ""]
    assert text_of(pl.Series(cells), "integer") == [str(n), str(n), None]
    assert text_of(pl.Series(cells), "text") == [*cells[:2], None]


def test_a_missing_number_is_missing_in_a_field_of_them() -> None:
    """As Polars and Arrow write the NaN of a widened column; in a field of texts, it may be a name."""
    for kind in ("integer", "float"):
        assert text_of(pl.Series(["nan", "NaN", " ", "", "7"]), kind)[:4] == [None] * 4
    assert text_of(pl.Series(["nan", " "])) == ["nan", " "]


def test_a_zero_or_a_sign_does_not_make_another_integer() -> None:
    assert text_of(pl.Series(["000", "-0", "-00.0", "+7", "-007"]), "integer") == ["0", "0", "0", "7", "-7"]


def test_a_zero_is_one_value() -> None:
    assert text_of(pl.Series(["0", "0.0", "-0.0"]), "integer") == ["0"] * 3
    assert text_of(pl.Series([0.0, -0.0]), "integer") == ["0"] * 2


def test_texts_are_compared_letter_by_letter() -> None:
    cells = ["07", "7", "7.0", "nan", "None", "NULL", " ", "True", "a\0b", "\0", "🙂", "e\u0301", "\u00e9"]
    assert text_of(pl.Series(cells)) == cells


def test_null_nan_and_the_empty_text_are_missing() -> None:
    for kind in ("text", "integer", "boolean"):
        assert text_of(pl.Series(["", None, "7"]), kind) == [None, None, "7"]
    for kind in ("text", "integer"):
        assert text_of(pl.Series([float("nan"), None]), kind) == [None, None]
    assert text_of(pl.Series([None, None])) == [None, None]


def test_booleans_are_read_in_any_case() -> None:
    assert text_of(pl.Series(["TRUE", "False", "true", ""]), "boolean") == ["true", "false", "true", None]
    assert text_of(pl.Series([True, False, None]), "boolean") == ["true", "false", None]


@pytest.mark.parametrize(
    ("yes", "no"), [("1", "0"), ("1.0", "0.0"), ("t", "F"), ("T", "f"), ("Yes", "NO"), ("y", "N"), (" true", "false ")]
)
def test_a_boolean_is_one_value_however_it_is_written(yes: str, no: str) -> None:
    assert text_of(pl.Series([yes, no, "", "Maybe"]), "boolean") == ["true", "false", None, "maybe"]
    assert text_of(pl.Series([yes, no]), "text") == [yes, no]


@pytest.mark.parametrize("dtype", [pl.Int64, pl.UInt8, pl.Float64, pl.Float32])
def test_a_boolean_may_be_a_number(dtype: Any) -> None:
    assert text_of(pl.Series([1, 0, None, 2], dtype=dtype), "boolean")[:3] == ["true", "false", None]


@given(st.floats(allow_nan=False))
def test_a_float_is_one_value_however_it_is_written(x: float) -> None:
    """By Python and pandas (`repr`), by Polars, by Arrow (no `.0`), with blanks, a capital, a plus, more digits."""
    polars = pl.Series([x]).cast(pl.String)[0]
    written = {repr(x), repr(x).upper(), f" {x!r}", f"{x:+.17g}", f"{x:g}" if float(f"{x:g}") == x else repr(x), polars}
    written |= {repr(x).removesuffix(".0"), str(int(x))} if abs(x) < 2**53 and x == int(x) else set()
    same = repr(x + 0.0)
    assert set(text_of(pl.Series(sorted(written)), "float")) == {same}
    assert text_of(pl.Series([x, None, float("nan")]), "float") == [same, None, None]


def test_floats_of_every_type_are_one_value() -> None:
    assert text_of(pl.Series(["1e-7", "1e-07", "1E-7", "0.0000001"]), "float") == ["1e-07"] * 4
    assert text_of(pl.Series(["0.0", "0", "-0.0", "-0", ".0"]), "float") == ["0.0"] * 5
    assert text_of(pl.Series([0.0, -0.0]), "float") == ["0.0"] * 2
    assert text_of(pl.Series([0.1, 2.5], dtype=pl.Float32), "float") == text_of(pl.Series(["0.1", "2.50"]), "float")
    assert text_of(pl.Series([Decimal("2.50"), None], dtype=pl.Decimal(10, 2)), "float") == ["2.5", None]
    assert text_of(pl.Series([2, 0]), "float") == ["2.0", "0.0"]
    assert text_of(pl.Series(["nan", "NaN", "", " ", "n/a", "2.5x"]), "float") == [None] * 4 + ["n/a", "2.5x"]


NOON = dt.datetime(2026, 1, 31, 12, 30, 5, 120000)
WRITTEN = ["2026-01-31 12:30:05.12", "2026-01-31T12:30:05.120000", " 2026-01-31 12:30:05.120000000 "]
MIDNIGHT = ["2026-01-31", "2026-01-31 00:00", "2026-01-31 00:00:00", "2026-01-31T00:00:00.000000"]
ZONED = [
    "2026-01-31 12:00:00Z", "2026-01-31T12:00+00:00", "2026-01-31 13:00:00.000+0100", "2026-01-31 06:30:00 -05:30",
    "2026-01-31 12:00:00 UTC", "2026-01-31 12:00 GMT", "2026-01-31 12:00:00,000+00",
]  # fmt: skip


def test_a_moment_is_one_value_however_it_is_written() -> None:
    """By pandas, Polars and Arrow, typed or as a text; a date is its midnight, and a zone sets the instant."""
    assert text_of(pl.Series(WRITTEN), "moment") == ["2026-01-31 12:30:05.12"] * 3
    assert text_of(pl.Series(MIDNIGHT), "moment") == ["2026-01-31"] * 4
    assert text_of(pl.Series(ZONED), "moment") == ["2026-01-31 12:00:00Z"] * 7
    assert text_of(pl.Series(["2026-01-31 01:00:00.5+01:00", "2026-01-31 00:00Z"]), "moment") == [
        "2026-01-31 00:00:00.5Z",
        "2026-01-31Z",
    ]
    typed = pl.Series([NOON, dt.datetime(2026, 1, 31), None])
    for unit in ("ms", "us", "ns"):
        cells = typed.cast(pl.Datetime(unit))
        assert text_of(cells, "moment") == ["2026-01-31 12:30:05.12", "2026-01-31", None]
        berlin = cells.dt.replace_time_zone("Europe/Berlin")
        assert text_of(berlin, "moment") == ["2026-01-31 11:30:05.12Z", "2026-01-30 23:00:00Z", None]
    assert text_of(typed.cast(pl.Date), "moment") == ["2026-01-31", "2026-01-31", None]


def test_what_is_no_moment_stays_the_text_that_it_is() -> None:
    cells = ["soon", "2026-13-41Z", "20260131", "2026-01-31 12", "31.01.2026"]
    assert text_of(pl.Series(cells), "moment") == cells
    far = ["2600-01-31 12:00:00.000000001", "9999-12-31", "0001-01-01"]
    assert text_of(pl.Series(far), "moment") == far


def test_floats_in_an_integer_field() -> None:
    cells = pl.Series([7.0, 2.5, float("inf"), float("nan"), None, -(2.0**53)])
    assert text_of(cells, "integer") == ["7", "2.5", "inf", None, None, "-9007199254740992"]


@pytest.mark.parametrize(("dtype", "digits"), [(pl.Float64, 53), (pl.Float32, 24)])
def test_an_integral_float_that_may_have_lost_digits_is_refused(dtype: Any, digits: int) -> None:
    largest = float(2**digits)
    assert text_of(pl.Series([largest, -largest], dtype=dtype), "integer") == [str(2**digits), str(-(2**digits))]
    for beyond in (2 * largest, -2 * largest):
        cells = pl.Series("user", [1.0, None, beyond], dtype=dtype)
        with pytest.raises(DataError, match=rf"above 2\^{digits} .* column 'user' .* in row 3 of ads\.csv: store"):
            text_of(cells, "integer")
    assert text_of(pl.Series([4 * largest], dtype=dtype)) != [None], "a field of texts has no such rule"


def test_a_decimal_with_a_fraction_is_the_text_that_a_csv_shows() -> None:
    cells = pl.Series([Decimal("7.00"), Decimal("7.50"), None], dtype=pl.Decimal(10, 2))
    assert text_of(cells) == ["7.00", "7.50", None]
    assert text_of(cells, "integer") == ["7", "7.50", None]


def test_a_moment_is_one_text_in_every_unit() -> None:
    noon = pl.Series([dt.datetime(2026, 1, 31, 12), None])
    for unit in ("ms", "us", "ns"):
        assert text_of(noon.cast(pl.Datetime(unit))) == ["2026-01-31 12:00:00", None]
    assert text_of(noon.dt.replace_time_zone("Europe/Berlin")) == ["2026-01-31 12:00:00+01:00", None]
    assert text_of(noon.cast(pl.Date)) == ["2026-01-31", None]


@pytest.mark.parametrize(
    "cells", [[[1, 2]], [{"a": 1}], [b"x"], [dt.timedelta(1)]], ids=["list", "struct", "bytes", "duration"]
)
def test_what_is_no_plain_value_is_refused(cells: list[Any]) -> None:
    with pytest.raises(DataError, match=r"column 'tags' holds .*leave it out with --ignore"):
        text_of(pl.Series("tags", cells))


@pytest.mark.parametrize("name", ["*", "^.*$", "", "v"])
def test_a_column_may_have_any_name(name: str) -> None:
    for kind in ("text", "integer", "boolean"):
        cells = values.categorical_text(pl.Series(name, ["7", ""]), kind, place)
        assert (cells.name, cells.to_list()) == (name, ["7", None])
    assert text_of(pl.Series(name, [7.0, None]), "integer") == ["7", None]


# Numbers


def test_numbers_are_read_from_every_type() -> None:
    assert numbers_of(pl.Series(["1.5", " 2 ", "1e3", "-.5", "+7", "07", "inf", "-Infinity"])) == [
        1.5, 2, 1000, -0.5, 7, 7, np.inf, -np.inf,
    ]  # fmt: skip
    assert numbers_of(pl.Series([Decimal("0.1"), None], dtype=pl.Decimal(20, 5))) == [0.1, None]
    assert numbers_of(pl.Series([2**70 + 1, None], dtype=pl.Int128)) == [float(2**70), None]
    assert numbers_of(pl.Series([True, False, None])) == numbers_of(pl.Series(["True", "false", ""])) == [1, 0, None]


def test_a_missing_number_is_written_in_many_ways() -> None:
    cells = ["", " ", "nan", "NaN", "-nan", "None", "none", None]
    assert numbers_of(pl.Series(cells, dtype=pl.String)) == [None] * 8
    assert numbers_of(pl.Series([None, None])) == [None, None]
    assert numbers_of(pl.Series([None, float("nan")])) == [None, None]


@given(st.lists(st.floats(allow_nan=False)))
def test_a_number_is_the_same_as_text(cells: list[float]) -> None:
    column = pl.Series(cells, dtype=pl.Float64)
    assert numbers_of(column.cast(pl.String)) == numbers_of(pl.Series(map(repr, cells), dtype=pl.String)) == cells


def test_a_text_in_a_numeric_column_is_named_with_its_row() -> None:
    cells = pl.Series("price", ["1", "", "N/A", "x"])
    wanted = r"column 'price' holds 'x' in row 4 of ads\.csv: mend .*, or train with --missing 'x' .* --categorical"
    with pytest.raises(DataError, match=wanted):
        values.numbers(cells, place)
    assert np.isnan(values.numbers(cells, place, missing=["x"])[1:]).all()
    with pytest.raises(DataError, match=r"column 'price' holds 'x{37}\.\.\.' in row 1"):
        values.numbers(pl.Series("price", ["x" * 1000]), place)


def test_a_date_is_no_number() -> None:
    with pytest.raises(DataError, match="column 'day' holds Date: name it in --categorical or --ignore"):
        values.numbers(pl.Series("day", [dt.date(2026, 1, 1)]), place)


# Label, weight, time, group


@pytest.mark.parametrize(
    "cells",
    [
        ["0", "1.0", " TRUE", "False"],
        ["no", "Yes", "T", "f"],
        [0, 1, 1, 0],
        [0.0, 1.0, 1.0, -0.0],
        [False, True, True, False],
    ],
    ids=["texts", "words", "integers", "floats", "booleans"],
)
def test_labels_are_read_from_every_type(cells: list[Any]) -> None:
    labels = values.labels(pl.Series(cells), place)
    assert labels.dtype == np.uint8
    assert labels.tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize("cells", [["-1", "+1", " 1.0", "-1.0"], [-1, 1, 1, -1], [-1.0, 1.0, 1.0, -1.0]])
def test_a_label_of_minus_one_is_zero(cells: list[Any]) -> None:
    assert values.labels(pl.Series(cells), place).tolist() == [0, 1, 1, 0]
    assert values.label_zeros(pl.Series(cells)) == {"-1"}
    assert values.label_zeros(pl.Series(["0", "1", "-1.0", None])) == {"0", "-1"}
    assert values.label_zeros(pl.Series([True, False])) == set()


@pytest.mark.parametrize("absent", [[1, 0, None], ["1", "0", ""], [1.0, 0.0, float("nan")], [True, False, None]])
def test_a_missing_label_is_named_with_its_row(absent: list[Any]) -> None:
    with pytest.raises(DataError, match=r"column 'click' is missing in row 3 of ads\.csv"):
        values.labels(pl.Series("click", absent), place)


@pytest.mark.parametrize(
    ("cells", "positive"),
    [
        (["good", "bad ", " good", "none"], "good"),
        ([2, 1, 2, 3], "2"),
        ([2.0, 1.0, 2.0, 0.5], "2"),
        (["2", "1", "2.0", "x"], "2.0"),
        ([2.5, 1.0, 2.5, 0.5], "2.50"),
        ([False, True, False, True], "false"),
        ([True, False, True, False], "True"),
        ([True, False, True, False], "1"),
    ],
)
def test_the_value_of_a_click_may_be_said(cells: list[Any], positive: str) -> None:
    assert values.labels(pl.Series(cells), place, positive=positive).tolist() == [1, 0, 1, 0]
    with pytest.raises(DataError, match="is missing in row 5"):
        values.labels(pl.Series([*cells, None]), place, positive=positive)
    lacking = values.labels(pl.Series([*cells, None]), place, positive=positive, may_lack=True)
    assert lacking.tolist() == [1, 0, 1, 0, UNKNOWN]


@pytest.mark.parametrize("positive", ["nan", " "])
def test_a_missing_value_is_no_click(positive: str) -> None:
    with pytest.raises(DataError, match="--positive names the value of a click"):
        values.labels(pl.Series(["1", "0"]), place, positive=positive)


@pytest.mark.parametrize("other", [[1, 2], ["1", "good"], [1.0, 0.5], [1.0, float("inf")], ["1", "01"], [1, -2]])
def test_a_label_that_is_not_binary_is_named_with_its_row(other: list[Any]) -> None:
    sentence = rf"0 or 1; column 'click' holds '{other[1]}' in row 2 of ads\.csv: name another label, or the value of a"
    with pytest.raises(DataError, match=sentence):
        values.labels(pl.Series("click", other), place)


@pytest.mark.parametrize(
    ("grades", "among", "from_", "best"),
    [
        ([1, 2, 3, 4, 5], "5 numbers from 1 to 5", "4", "5"),
        (["0", "1", "2", "3", "4"], "5 numbers from 0 to 4", "3", "4"),
        ([0, 1, 2], "3 numbers from 0 to 2", "1", "2"),
        ([0.5, 3.0, 4.5, None], "3 numbers from 0.5 to 4.5", "3", "4.5"),
    ],
)
def test_a_graded_label_is_told_how_to_become_a_click(grades: list[Any], among: str, from_: str, best: str) -> None:
    column = pl.Series("stars", grades * 3)
    with pytest.raises(DataError) as caught:
        values.labels(column, "row {}".format, may_lack=True)
    assert str(caught.value).endswith(
        f", among {among}: make a click of them first, in a column that is 1 where 'stars' is at least {from_} and "
        f"else 0, or take one of them for it, as --positive stars={best}"
    )
    with pytest.raises(DataError, match=f"for it, as --positive {best}$"):
        values.labels(column.drop_nulls(), "row {}".format)
    known = values.labels(column, "row {}".format, positive=best, may_lack=True)
    assert (known == 1).sum() == 3


@pytest.mark.parametrize("pair", [["good", "bad"], ["1", "2"], [1, 2], [0, 1, *[0] * 200, 2], ["clicked", "1", "2"]])
def test_another_pair_or_a_slip_is_told_of_positive(pair: list[Any]) -> None:
    with pytest.raises(DataError, match=r"name another label, or the value of a click with --positive$"):
        values.labels(pl.Series("y", pair), "row {}".format)


def test_a_date_is_no_label() -> None:
    with pytest.raises(DataError, match="column 'click' holds Date"):
        values.labels(pl.Series("click", [dt.date(2026, 1, 1)]), place)


def test_weights_are_finite_and_not_negative() -> None:
    assert values.weights(pl.Series(["0", "2.5"]), place).tolist() == [0.0, 2.5]
    with pytest.raises(DataError, match=r"weight is finite .* holds '1,500' in row 2"):
        values.weights(pl.Series("w", ["1", "1,500"]), place)
    for wrong in (-1.0, float("inf"), float("nan"), None):
        with pytest.raises(DataError, match=r"weight is finite .* column 'w' holds .* in row 2 of ads\.csv"):
            values.weights(pl.Series("w", [1.0, wrong]), place)


def test_groups_are_equal_where_the_cells_are() -> None:
    groups = values.groups(pl.Series(["a", None, "b", "a", ""]))
    assert groups.dtype == np.uint64
    assert (groups[:, None] == groups[None, :]).tolist() == [
        [True, False, False, True, False],
        [False, True, False, False, True],
        [False, False, True, False, False],
        [True, False, False, True, False],
        [False, True, False, False, True],
    ]
    # Chunks of one column, and the same column in another file, agree.
    assert values.groups(pl.Series(["7"])) == values.groups(pl.Series([1, 7]))[1]


# Wrong cells


@pytest.mark.parametrize(
    ("read", "cells", "wrong"),
    [
        (values.numbers, pl.Series("c", ["1", "x", "", "y"]), [1, 3]),
        (values.labels, pl.Series("c", [0.0, None, 1.0, 0.5]), [1, 3]),
        (values.weights, pl.Series("c", [-1.0, 0.0, float("inf"), None]), [0, 2, 3]),
        (Times(), pl.Series("c", ["2026-01-31", "x", "2026-13-01"]), [1, 2]),
        (lambda c, p: values.categorical_text(c, "integer", p), pl.Series("c", [2.0**54, 1.5, None, 2.0**60]), [0, 3]),
    ],
)
def test_all_wrong_cells_are_known_and_the_message_is_of_the_first(
    read: Any, cells: pl.Series, wrong: list[int]
) -> None:
    with pytest.raises(values.BadCellsError) as caught:
        read(cells, place)
    assert np.flatnonzero(caught.value.wrong).tolist() == wrong
    assert str(caught.value) == caught.value.sentence(wrong[0])
    for i in wrong:
        assert place(i) in caught.value.sentence(i)


@pytest.mark.parametrize(
    ("read", "cells", "row"),
    [
        (values.labels, ["0", "7"], 2),
        (values.labels, [0, None], 2),
        (values.numbers, ["1", "dear", "x"], 2),
        (values.weights, [1.0, -1.0], 2),
        (lambda c, p: values.categorical_text(c, "integer", p), [2.0**60], 1),
        (reader(Bag(name="c", separator="|", weighted=True)), ["a:1", "", "a:1|b|c"], 3),
        (reader(Bag(name="c", values="integer")), [[1.0], [0.5, 2.0**60]], 2),
        (reader(Dense(name="c", width=2)), [[1.0, 2.0], [1.0]], 2),
        (reader(Dense(name="c", width=2)), ["1 2", "1 nan"], 2),
        (reader(Datetime(name="c")), ["2026-01-31", "soon"], 2),
        (reader(Datetime(name="c", form="seconds")), [0, 10**15], 2),
        (reader(Datetime(name="c", zoned=True)), ["2026-01-31T12:00"], 1),
    ],
)
def test_an_error_knows_file_column_row_and_the_cell_as_it_was_read(read: Any, cells: list[Any], row: int) -> None:
    with pytest.raises(values.BadCellsError) as caught:
        read(pl.Series("c", cells), lambda i: Where("row", i + 1, "ads.csv"))
    error = caught.value
    assert (error.file, error.column, error.row, error.value) == ("ads.csv", "c", row, cells[row - 1])
    assert "column 'c'" in str(error)
    assert f"row {row} of ads.csv" in str(error)


def test_a_bag_is_wrong_once_whatever_is_wrong_in_it() -> None:
    cells = pl.Series("c", ["a|b", "a:1", "x|y:2|z"])
    with pytest.raises(values.BadCellsError) as caught:
        reader(Bag(name="c", separator="|", weighted=True))(cells, place)
    assert caught.value.wrong.tolist() == [True, False, True]
    assert "gives 'a' none in row 1" in caught.value.sentence(0)
    assert "gives 'x' none in row 3" in caught.value.sentence(2)


def test_an_error_of_a_whole_column_names_it() -> None:
    for field in (
        Categorical(name="c"),
        Numeric(name="c"),
        Dense(name="c", width=1),
        Datetime(name="c", form="seconds"),
    ):
        with pytest.raises(DataError) as caught:
            reader(field)(pl.Series("c", [{"a": 1}]), place)
        assert (caught.value.column, caught.value.row) == ("c", None)


@pytest.mark.parametrize("dtype", [pl.Date(), pl.Datetime("ms"), pl.Datetime("us", "Europe/Berlin")])
def test_moments_outside_the_calendar_are_no_values(dtype: pl.DataType) -> None:
    whole = pl.Int32 if dtype == pl.Date else pl.Int64
    far = 2**31 - 1 if dtype == pl.Date else 2**60
    column = pl.Series("at", [0, None, far], dtype=whole).cast(dtype)
    lists = pl.Series("at", [[0], None, [far]], dtype=pl.List(whole)).cast(pl.List(dtype))
    bag = Bag(name="at", values="moment", separator="|")
    for cells, field, cell in ((column, Categorical(name="at", values="moment"), far), (lists, bag, [far])):
        with pytest.raises(values.BadCellsError, match="years 1 to 9999; that of column 'at' in row 2 does not") as bad:
            reader(field)(cells, "row {}".format)
        assert bad.value.wrong.tolist() == [False, False, True]
        assert bad.value.value == cell
