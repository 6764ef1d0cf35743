"""What a vector means: a list of numbers, or a text of them."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from masknet.encode import values
from masknet.encode.values import Place, refuse
from masknet.errors import DataError

__all__ = ["vector_parts", "vectors"]

_MARKS = r"[\[\]();,|\t]"


def vector_parts(column: pl.Series) -> pl.Series:
    """The numbers in each text, as texts: `[0.1, 0.2]`, `0.1 0.2`, `0.1;0.2` alike; null where there is none."""
    text = column.str.replace_all(_MARKS, " ").str.strip_chars()
    text = text.set(text == "", None)
    return text.str.replace_all(r"\s+", " ").str.split(" ")


def vectors(column: pl.Series, width: int, place: Place) -> NDArray[np.float32]:
    """Each cell as `width` finite numbers, `[rows, width]`; a missing or empty one is all zero.

    Raises:
        DataError: the column holds no vectors, or one is of another width or not finite.
    """
    dtype = column.dtype
    inner = dtype.inner if isinstance(dtype, pl.List | pl.Array) else None
    if dtype == pl.String:
        lists = vector_parts(column).cast(pl.List(pl.Float64), strict=False)
    # What is missing in all rows of a chunk has no type.
    elif pl.Null in (dtype, inner) or (inner is not None and inner.is_numeric()):
        lists = column.cast(pl.List(pl.Float64))
    else:
        raise DataError(
            f"a dense column holds lists of numbers; column '{column.name}' holds {dtype}: leave it out of --dense",
            column=column.name,
        )
    lengths = lists.list.len().fill_null(0).to_numpy()
    known = lengths > 0
    refuse(
        known & (lengths != width),
        column,
        place,
        lambda i, at: (
            f"the vectors of a dense column have one width; those of column '{column.name}' have {width} numbers, that "
            f"in {at} has {lengths[i]}: mend the cell"
        ),
    )
    flat = lists.filter(pl.Series(known)).explode(empty_as_null=False, keep_nulls=False)
    found = np.zeros((len(column), width), dtype=np.float64)
    if len(flat):
        found[known] = flat.fill_null(float("nan")).to_numpy().reshape(-1, width)
    with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, and refused
        narrow = found.astype(np.float32)
    infinite: NDArray[np.bool_] = np.logical_not(np.isfinite(narrow).all(axis=1))
    refuse(
        infinite,
        column,
        place,
        lambda i, at: (
            f"the vectors of a dense column are made of finite numbers; column '{column.name}' holds "
            f"{values.short(column[i])} in {at}: mend the cell"
        ),
    )
    return narrow
