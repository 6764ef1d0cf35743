from __future__ import annotations

import io
import itertools
import math
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from masknet.errors import DataError
from masknet.schema import Bag, Categorical, Datetime, FieldSchema, Numeric
from masknet.slices import Slice, SliceColumn
from masknet.table import Source, open_table


def cut(source: Source, name: str = "v", field: FieldSchema | None = None) -> list[Slice]:
    column = SliceColumn(name, field)
    for chunk in open_table(source).chunks((name,)):
        column.add(chunk)
    return column.slices()


def named(values: list[object], field: FieldSchema | None = None, dtype: pl.DataType | None = None) -> dict[str, int]:
    return {
        part.value: len(part.rows) for part in cut(pl.DataFrame({"v": pl.Series(values, dtype=dtype)}), field=field)
    }


CASES = {
    "texts, most rows first, then by name": (["b", "a", "c", "a"], {"a": 2, "b": 1, "c": 1}),
    "missing is a value of its own": (["a", None, "", "a"], {"a": 2, "missing": 2}),
    "a text that reads missing": (
        ["missing", None, "other values"],
        {"'missing'": 1, "'other values'": 1, "missing": 1},
    ),
    "few numbers by value, rising": (["10", "9", "9.0", "x"[:0]], {"9": 2, "10": 1, "missing": 1}),
    "numbers of two spellings": ([0.5, 7.0, -0.0, 0.0, float("nan")], {"0": 2, "0.5": 1, "7": 1, "missing": 1}),
    "the word nan in a numeric column": (["1.5", "NaN", "none"], {"1.5": 1, "missing": 2}),
    "the word nan in a text column": (["x", "nan"], {"nan": 1, "x": 1}),
    "padded codes are texts": (["07", "7"], {"07": 1, "7": 1}),
    "ids that no float holds": (
        ["9007199254740993", "9007199254740992.0"],
        {"9007199254740992": 1, "9007199254740993": 1},
    ),
    "booleans in any case": (["True", "false", "TRUE"], {"true": 2, "false": 1}),
    "nothing but missing": ([None, ""], {"missing": 2}),
    "infinite": (["inf", "1", "-inf"], {"-inf": 1, "1": 1, "inf": 1}),
    "no rows": ([], {}),
}


def test_numbers_of_a_column_that_no_field_reads_are_written_as_the_model_says() -> None:
    def found(values: list[object]) -> dict[str, int]:
        column = SliceColumn("v", missing=["-9", "gone"], decimal=",")
        column.add(next(open_table(pl.DataFrame({"v": values})).chunks()))
        return {part.value: len(part.rows) for part in column.slices()}

    assert found(["0,5", "1.000,5", "-9", "gone", "0,50"]) == {"0.5": 2, "1000": 1, "missing": 2}
    assert found([0.5, 1000.25, -9.0, 0.5]) == {"0.5": 2, "1000": 1, "missing": 1}
    assert found(["0.5", "1,5"]) == {"0.5": 1, "1,5": 1}, "texts"


@pytest.mark.parametrize("case", CASES)
def test_rows_are_divided_by_value(case: str) -> None:
    values, expected = CASES[case]
    found = named(values, dtype=pl.String() if not values else None)
    assert found == expected
    assert list(found) == list(expected)


def test_of_many_texts_the_twenty_of_most_rows_are_shown() -> None:
    values = [f"v{i:02}" for i in range(30) for _ in range(40 - i)] + [None]
    found = named(values)
    assert list(found) == [f"v{i:02}" for i in range(20)] + ["other values", "missing"]
    assert found["other values"] == sum(40 - i for i in range(20, 30))
    assert "other values" not in named(values[: 40 * 20 - 190])


def test_many_numbers_are_cut_at_their_deciles() -> None:
    order = np.random.default_rng(0).permutation(1000)
    parts = cut(pl.DataFrame({"v": order}))
    assert [part.value for part in parts] == [f"{i * 100} to {i * 100 + 99}" for i in range(10)]
    for i, part in enumerate(parts):
        assert (np.diff(part.rows) > 0).all()
        assert sorted(order[part.rows]) == list(range(i * 100, i * 100 + 100))


def test_a_heavy_value_is_in_one_slice() -> None:
    values = np.concatenate([np.zeros(700), np.arange(1, 301)])
    parts = cut(pl.DataFrame({"v": values}))
    assert [part.value for part in parts] == ["0", "1 to 100", "101 to 200", "201 to 300"]
    assert [len(part.rows) for part in parts] == [700, 100, 100, 100]


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e12])
def test_ranges_have_as_many_digits_as_tell_them_apart(scale: float) -> None:
    parts = cut(pl.DataFrame({"v": scale * (1 + np.arange(100) / 1e7)}))
    assert len({part.value for part in parts}) == 10
    assert cut(pl.DataFrame({"v": [1_700_000_000 + i for i in range(50)]}))[0].value == "1700000000 to 1700000004"


@settings(max_examples=60)
@given(
    st.lists(
        st.one_of(
            st.none(),
            st.floats(-(2**53), 2**53, exclude_min=True, exclude_max=True),  # larger ones are integers, and so ids
            st.sampled_from([math.nan, math.inf, -math.inf]),
            st.integers(-50, 50).map(float),
        ),
        max_size=120,
    )
)
def test_every_row_is_in_one_slice_and_ranges_do_not_overlap(values: list[float | None]) -> None:
    column = pl.Series(values, dtype=pl.Float64)
    parts = cut(pl.DataFrame({"v": column}))
    assert sorted(np.concatenate([np.empty(0), *(part.rows for part in parts)])) == list(range(len(values)))
    known = [column.to_numpy()[part.rows] for part in parts if part.value != "missing"]
    for low, high in itertools.pairwise(known):
        assert low.max() < high.min()


def test_every_reader_gives_the_same_slices(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    frame = pl.DataFrame(
        {
            "whole": pl.Series(rng.integers(0, 90, 400)).set(pl.Series(rng.random(400) < 0.1), None),
            "real": pl.Series(rng.lognormal(size=400)).set(pl.Series(rng.random(400) < 0.1), None),
            "text": pl.Series(rng.choice(["a", "Köln", "07"], 400)).set(pl.Series(rng.random(400) < 0.1), None),
            "few": pl.Series(rng.integers(0, 4, 400)).set(pl.Series(rng.random(400) < 0.1), None),
            "flag": rng.random(400) < 0.5,
        }
    )
    frame.write_csv(tmp_path / "a.csv")
    frame.write_parquet(tmp_path / "a.parquet")
    pandas = pd.read_csv(io.StringIO(frame.write_csv()))
    assert pandas["few"].dtype == "float64"
    for name in frame.columns:
        expected = [(part.value, part.rows.tolist()) for part in cut(frame, name)]
        for source in (tmp_path / "a.csv", tmp_path / "a.parquet", pandas, frame.to_dicts()):
            assert [(part.value, part.rows.tolist()) for part in cut(source, name)] == expected, (name, type(source))


def test_a_field_is_read_as_the_model_reads_it() -> None:
    user = Categorical(name="v", values="integer")
    found = named([float(i) for i in range(30)] * 2 + [29.0], field=user)
    assert next(iter(found)) == "29"
    assert len(found) == 21
    assert named(["1", "true", "x"[:0]], field=Numeric(name="v")) == {"1": 2, "missing": 1}
    assert named(["7", "7.0"], field=Categorical(name="v")) == {"7": 1, "7.0": 1}
    with pytest.raises(DataError, match="column 'v' holds 'dear' in row 1"):
        named(["dear"], field=Numeric(name="v"))


def test_lists_make_no_slices() -> None:
    with pytest.raises(DataError, match="a slice is of plain values; column 'v' holds List"):
        cut(pl.DataFrame({"v": [[1], [2]]}))


def test_a_bag_or_a_moment_that_the_model_reads_is_divided_by_its_cells() -> None:
    assert named(["a|b", "a|b", "c"], field=Bag(name="v")) == {"a|b": 2, "c": 1}
    assert named(["2026-01-31", "2026-01-31"], field=Datetime(name="v")) == {"2026-01-31": 2}


def test_a_cell_that_the_model_could_not_read_is_named() -> None:
    with pytest.raises(DataError, match="holds 'x' in row 2") as caught:
        named(["1", "x"], field=Numeric(name="v"))
    assert (caught.value.column, caught.value.row, caught.value.value) == ("v", 2, "x")
