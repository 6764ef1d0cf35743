"""The different cells of a column, and which of them each row has: most cells of a log are repeats.

NOTE[perf]: what a file keeps in a dictionary is neither written out nor looked up again, and of other cells only the
different ones leave Arrow: 39 columns of a million rows of Parquet take .9 s of a processor, 2.8 by way of frames.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from masknet.table.arrow import FLAT, column_of, converting, null_mask

__all__ = ["Codes", "Different", "different_in_arrow", "different_in_series"]

Codes: TypeAlias = NDArray[np.intp]
"""For each row of a chunk which of some cells it has."""

Different: TypeAlias = tuple[pl.Series, Codes | None]
"""The cells, each once and as they come, a missing one too, and the codes of the rows; None where each has its own."""

_NAMES = "BOOL INT8 INT16 INT32 INT64 UINT8 UINT16 UINT32 UINT64 FLOAT DOUBLE DATE32 TIMESTAMP STRING LARGE_STRING"
_TYPES = {getattr(pa.lib, f"Type_{name}") for name in _NAMES.split()}
"""Arrow's types of cells that are told apart at less cost than it saves; of Polars they are `FLAT`."""


def different_in_series(column: pl.Series) -> Different:
    """Of a column of at most 65,536 rows; as it is where most cells come once, or are of another type.

    >>> cells, codes = different_in_series(pl.Series(["Ulm", None, None, "Ulm"]))
    >>> cells.to_list(), codes.tolist()
    (['Ulm', None], [0, 1, 1, 0])
    """
    found = _repeated(pa.chunked_array([column.to_arrow()])) if column.dtype in FLAT else None
    if found is None:
        return column, None
    cells, codes = found
    return pl.Series(column.name, cells, dtype=column.dtype), codes


def different_in_arrow(table: pa.Table, name: str, source: str) -> Different:
    """The same of a column of a table that `plain_columns` gave.

    Args:
        table: at most 65,536 rows.
        name: of the column.
        source: the file's name.

    Raises:
        DataError: a cell cannot be read.
    """
    column = table.column(name)
    if not (pa.types.is_dictionary(column.type) or column.type.id in _TYPES):
        return different_in_series(column_of(table, name, source))
    found = _repeated(column)
    if found is None:
        return column_of(table, name, source), None
    cells, codes = found
    with converting(name, source, cells.type):
        return pl.Series(name, cells), codes


def _repeated(column: pa.ChunkedArray) -> tuple[pa.Array, Codes] | None:
    """The different cells of a column and its codes; None where most cells come once."""
    if not len(column):
        return None
    if pa.types.is_dictionary(column.type):
        cells, codes = _as_they_come(column.unify_dictionaries())
    else:
        encoded = column.dictionary_encode(null_encoding="encode")
        cells, codes = encoded.chunk(encoded.num_chunks - 1).dictionary, _indices(encoded)
    return None if 2 * len(cells) > len(codes) else (cells, codes)


def _as_they_come(column: pa.ChunkedArray) -> tuple[pa.Array, Codes]:
    """The cells of a dictionary that are there, in the order in which they come, and the codes."""
    dictionary = column.chunk(0).dictionary
    absent = len(dictionary)
    codes = _indices(column, absent)
    first = np.full(absent + 1, len(codes))
    first[codes[::-1]] = np.arange(len(codes) - 1, -1, -1)  # of several that one place is given, the last stays
    met = np.flatnonzero(first < len(codes))
    met = met[np.argsort(first[met])]
    number = np.empty(absent + 1, dtype=np.intp)
    number[met] = np.arange(len(met))
    return dictionary.take(pl.Series(met).set(pl.Series(met == absent), None).to_arrow()), number.take(codes)


def _indices(column: pa.ChunkedArray, absent: int = -1) -> Codes:
    """Of each row its place in the one dictionary of all chunks; `absent` where it has none."""
    parts = [_filled(part.indices, absent) for part in column.chunks if len(part)]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _filled(indices: pa.Array, absent: int) -> Codes:
    # NOTE[perf]: Arrow's own ways to and from NumPy import pandas where it is installed, which takes .3 s; and to fill
    # nulls as a query of Polars, of 1,000 columns of chunks, took .8 of 10 s.
    dtype = np.dtype(f"{indices.type}")
    lying = np.frombuffer(indices.buffers()[1], dtype, count=len(indices), offset=indices.offset * dtype.itemsize)
    found = lying.astype(np.intp)
    if indices.null_count:
        found[null_mask(indices)] = absent
    return found
