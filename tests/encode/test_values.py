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
from masknet.schema import Bag, Categorical, Datetime, Dense, Numeric, ValueType


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


@pytest.mark.parametrize("other", ["07", "+7", "7.00", "7.", "7.5", " 7", "7\n", "7e0", "-0", "seven", "\u0667", "nan"])
def test_another_text_in_an_integer_field_is_no_integer(other: str) -> None:
    assert text_of(pl.Series([other]), "integer") == [other]


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
    with pytest.raises(DataError, match=r"column 'price' holds 'N/A' in row 3 of ads\.csv: mend .* --categorical"):
        values.numbers(cells, place)
    with pytest.raises(DataError, match=r"column 'price' holds 'x{37}\.\.\.' in row 1"):
        values.numbers(pl.Series("price", ["x" * 1000]), place)


def test_a_date_is_no_number() -> None:
    with pytest.raises(DataError, match="column 'day' holds Date: name it in --categorical or --ignore"):
        values.numbers(pl.Series("day", [dt.date(2026, 1, 1)]), place)


# Label, weight, time, group


@pytest.mark.parametrize(
    "cells",
    [["0", "1.0", " TRUE", "False"], [0, 1, 1, 0], [0.0, 1.0, 1.0, -0.0], [False, True, True, False]],
    ids=["texts", "integers", "floats", "booleans"],
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


@pytest.mark.parametrize("other", [[1, 2], ["1", "yes"], [1.0, 0.5], [1.0, float("inf")], ["1", "01"], [1, -2]])
def test_a_label_that_is_not_binary_is_named_with_its_row(other: list[Any]) -> None:
    with pytest.raises(DataError, match=rf"0 or 1; column 'click' holds '{other[1]}' in row 2 of ads\.csv"):
        values.labels(pl.Series("click", other), place)


def test_a_date_is_no_label() -> None:
    with pytest.raises(DataError, match="column 'click' holds Date"):
        values.labels(pl.Series("click", [dt.date(2026, 1, 1)]), place)


def test_weights_are_finite_and_not_negative() -> None:
    assert values.weights(pl.Series(["0", "2.5"]), place).tolist() == [0.0, 2.5]
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
