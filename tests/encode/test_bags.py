"""What the cells of a bag mean, however they are written."""

from __future__ import annotations

import datetime as dt
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from masknet.encode.bags import bag_cells
from masknet.encode.values import BadCellsError
from masknet.errors import DataError
from masknet.schema import Bag

PLACE = "row {}".format


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
        (["07|7|7.0|x"], {"separator": "|", "values": "integer"}, ["7", "7", "7", "x"], [0, 0, 0, 0]),
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
