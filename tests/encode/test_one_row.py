"""A row that comes alone is read as in a table: the same ids, values and vectors, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from masknet.encode import Encoder, EncoderLearner
from masknet.encode import vocabulary as vocabulary_module
from masknet.encode.vocabulary import Vocabulary
from masknet.errors import DataError
from masknet.schema import Bag, Categorical, Datetime, Dense, Numeric, Schema
from masknet.table import open_table

TEXTS = st.sampled_from(
    [
        "",
        "7",
        "7.0",
        "-0.0",
        "007",
        "+7",
        "7\n",
        " 7",
        "True",
        "TRUE",
        "false",
        "Köln",
        "KÖLN",
        "\u017f",
        "İ",
        "nan",
        "a|b",
    ]
) | st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=4)
CELLS: dict[str, st.SearchStrategy[Any]] = {
    "integer": st.none() | TEXTS | st.integers(-20, 20).map(str),
    "boolean": st.none() | TEXTS,
    "text": st.none() | TEXTS,
    "hashed": st.none() | TEXTS,
    "shared": st.none() | TEXTS,
    "typed": st.none() | st.integers(-5, 5),
    "typed_text": st.none() | st.integers(-(2**62), 2**62),
    "typed_float": st.none() | st.integers(-5, 5) | st.integers(2**53, 2**60),
    "typed_boolean": st.none() | st.integers(-1, 2),
    "typed_moment": st.none() | st.integers(-5, 3000),
    "price": st.none() | st.floats(allow_nan=True, allow_infinity=True, width=32),
    "scaled": st.none() | st.floats(-1e6, 1e6),
    "bag": st.none() | st.lists(TEXTS, max_size=4).map("|".join),
    "dense": st.none() | st.lists(st.floats(-9, 9, width=32), min_size=2, max_size=2),
    "at": st.none() | st.sampled_from(["2026-01-31", "2026-01-31T12:00:00", "1969-12-31 23:59:59.5"]),
}
TYPED = ("typed", "typed_text", "typed_float", "typed_boolean", "typed_moment")
DTYPES = dict.fromkeys(TYPED, pl.Int64) | {"price": pl.Float64, "scaled": pl.Float64, "dense": pl.List(pl.Float64)}
FIELDS = (
    Categorical(name="integer", values="integer"),
    Categorical(name="boolean", values="boolean"),
    Categorical(name="text"),
    Categorical(name="hashed", buckets=7),
    Categorical(name="shared", shares="text"),
    Categorical(name="typed", values="integer"),
    Categorical(name="typed_text"),
    Categorical(name="typed_float", values="float"),
    Categorical(name="typed_boolean", values="boolean"),
    Categorical(name="typed_moment", values="moment"),
    Numeric(name="price", encoding="knots"),
    Numeric(name="scaled"),
    Bag(name="bag", separator="|"),
    Dense(name="dense", width=2),
    Datetime(name="at"),
)


def framed(rows: list[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame({name: pl.Series([r[name] for r in rows], dtype=DTYPES.get(name, pl.String)) for name in CELLS})


def learned(frame: pl.DataFrame) -> Encoder:
    learner = EncoderLearner(Schema(label=None, fields=FIELDS))
    for chunk in open_table(frame).chunks():
        learner.add(chunk)
    return learner.finish()


@given(
    rows=st.lists(st.fixed_dictionaries(CELLS), min_size=2, max_size=6),
    known=st.lists(st.fixed_dictionaries(CELLS), min_size=1, max_size=6),
)
def test_one_at_a_time_gives_what_the_table_gives(rows: list[dict[str, Any]], known: list[dict[str, Any]]) -> None:
    encoder, frame = learned(framed([*known, *rows[:1]])), framed(rows)
    whole = encoder.encode(next(open_table(pl.concat([frame] * 5)).chunks()))  # more than a dict is asked for
    for i in range(len(rows)):
        alone = encoder.encode(next(open_table(frame[i : i + 1]).chunks()))
        np.testing.assert_array_equal(alone.ids[0], whole.ids[i])
        np.testing.assert_array_equal(alone.values[0], whole.values[i])
        assert alone.dense is not None
        assert whole.dense is not None
        np.testing.assert_array_equal(alone.dense[0], whole.dense[i])


@pytest.mark.parametrize("small", [0, 1 << 17])
def test_few_texts_are_looked_up_as_many(small: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocabulary_module, "_SMALL", small)
    known = Vocabulary(pl.Series(["b", "a", "ü"]), np.array([7, 9, 300], dtype=np.int32))
    cells = ["ü", None, "zz", "b", "a", "", None, "b"]
    expected = [300, 1, 2, 7, 9, 2, 1, 7]
    for times in (1, 40):
        found = known.ids(pl.Series(cells * times), missing=1, unseen=2)
        assert found.dtype == np.int32
        assert found.tolist() == expected * times
    assert known.ids(pl.Series([], dtype=pl.String), missing=1, unseen=2).tolist() == []
    nothing = Vocabulary(pl.Series([], dtype=pl.String), np.empty(0, dtype=np.int32))
    assert nothing.ids(pl.Series(cells * 3), missing=1, unseen=2).tolist() == [1 if c is None else 2 for c in cells * 3]


def test_a_row_alone_is_refused_by_the_column_at_fault() -> None:
    encoder = learned(framed([dict.fromkeys(CELLS) | {"price": 1.0, "at": "2026-01-01"}]))
    row = dict.fromkeys(CELLS) | {"text": "a", "typed": "b", "price": "much"}
    with pytest.raises(DataError, match="column 'price' holds 'much' in row 1 of the frame"):
        encoder.encode(next(open_table([row]).chunks()))
