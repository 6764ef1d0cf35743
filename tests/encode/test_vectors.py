"""What the cells of a vector mean, however they are written."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from masknet.encode.values import BadCellsError
from masknet.encode.vectors import vectors
from masknet.errors import DataError

PLACE = "row {}".format


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


@given(st.lists(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=3, max_size=3)))
def test_texts_of_vectors_give_their_bits_back(cells: list[list[float]]) -> None:
    assert vector([str(cell) for cell in cells], 3, pl.String) == vector(cells, 3, pl.List(pl.Float32))
