"""Rows in memory: Polars, pandas and Arrow frames, NumPy and SciPy arrays, lists of dicts, as one kind of part."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from masknet.errors import DataError
from masknet.table.arrow import arrow_series, converting, from_arrow, plain
from masknet.table.objects import from_values, type_of, types_of_row
from masknet.table.part import FRAME, ROWS, NumberedPiece, Report, check_names
from masknet.table.sparse import FEATURES, lists_of

if TYPE_CHECKING:
    import pandas as pd

_UNITS = {"Y": "D", "M": "D", "W": "D", "h": "ms", "m": "ms", "s": "ms"}
"""The units of NumPy's moments that Polars does not hold, and what it holds instead."""


@dataclass(frozen=True)
class _Memory:
    """A frame: `read(names, start, length)` gives some of its columns and rows."""

    columns: tuple[str, ...]
    num_rows: int
    num_bytes: int
    read: Callable[[list[str], int, int], pl.DataFrame]
    name: str = FRAME

    def estimated_rows(self) -> int:
        return self.num_rows

    def pieces(self, names: list[str], bad: Report | None) -> Iterator[NumberedPiece]:
        return ((frame, None) for frame in self._frames(names))

    def _frames(self, names: list[str]) -> Iterator[pl.DataFrame]:
        for start in range(0, self.num_rows, ROWS):
            yield plain(self.read(names, start, ROWS), FRAME)

    def digest(self, *, verify: bool) -> bytes:
        """A hash of the names, types and values: how a frame is chunked does not count, nor what a null hides."""
        return self.digest_without((), verify=verify)

    def digest_without(self, columns: Collection[str], *, verify: bool) -> bytes:
        """The hash without some columns, which are not read."""
        names = [name for name in self.columns if name not in columns]
        digest = hashlib.sha256(repr(plain(self.read(names, 0, 0), FRAME).schema).encode())
        for frame in self._frames(names):
            for column in frame:
                with converting(column.name, FRAME, column.dtype):
                    digest.update(column.hash().to_numpy().tobytes())
        return digest.digest()


def in_memory(source: Any) -> _Memory | None:
    """A frame, an array or a list of dicts as a part; None where it is something else."""
    if isinstance(source, pl.DataFrame):
        return _of_polars(source)
    if isinstance(source, pa.RecordBatch):
        return _of_arrow(pa.Table.from_batches([source]))
    if isinstance(source, pa.Table):
        return _of_arrow(source)
    if type(source).__module__.partition(".")[0] == "pandas" and type(source).__name__ == "DataFrame":
        return _of_pandas(source)
    if isinstance(source, np.ndarray):
        return _of_numpy(np.asarray(source))
    if is_matrix(source):
        return _of_matrix(source)
    if isinstance(source, Sequence) and source and all(isinstance(row, Mapping) for row in source):
        return _of_rows(source)
    return None


def _of_polars(frame: pl.DataFrame) -> _Memory:
    check_names(tuple(frame.columns), FRAME)

    @functools.cache
    def dtype(name: str) -> pl.DataType:
        return type_of(name, frame[name])

    def column(name: str, start: int, length: int) -> pl.Series:
        rows = frame[name].slice(start, length)
        return from_values(name, rows, dtype(name), start + 1) if rows.dtype == pl.Object else rows

    def read(names: list[str], start: int, length: int) -> pl.DataFrame:
        return pl.DataFrame({name: column(name, start, length) for name in names})

    return _Memory(tuple(frame.columns), frame.height, int(frame.estimated_size()), read)


def _of_arrow(table: pa.Table) -> _Memory:
    check_names(tuple(table.column_names), FRAME)

    def read(names: list[str], start: int, length: int) -> pl.DataFrame:
        return from_arrow(table.select(names).slice(start, length), FRAME)

    # `nbytes` knows no string views.
    return _Memory(tuple(table.column_names), table.num_rows, table.get_total_buffer_size(), read)


def _of_pandas(frame: pd.DataFrame) -> _Memory:
    columns = tuple(str(name) for name in frame.columns)
    check_names(columns, FRAME)
    series = {name: frame.iloc[:, i] for i, name in enumerate(columns)}

    @functools.cache
    def dtype(name: str) -> pl.DataType | None:
        """The type of a column of Python values; None where Arrow knows it from pandas."""
        column = series[name]
        if column.dtype != object:
            try:
                pa.array(column.iloc[:0], from_pandas=True)
            except pa.ArrowException:  # complex, sparse
                return type_of(name, column)
            return None
        return type_of(name, column)

    @functools.cache
    def categories(name: str) -> pl.Series:
        """What the codes of a categorical column stand for, of any type, or of several."""
        own = series[name].cat.categories.to_frame(name=name)
        return _of_pandas(own).read([name], 0, len(own))[name]

    def column(name: str, start: int, length: int) -> pl.Series:
        rows = series[name].iloc[start : start + length]
        with converting(name, FRAME, rows.dtype):
            if rows.dtype.name == "category":
                codes = pl.Series(np.asarray(rows.cat.codes), dtype=pl.Int64)
                return categories(name).gather(codes.set(codes < 0, None)).alias(name)
            own = dtype(name)
            if own is None:
                return arrow_series(name, pa.chunked_array(pa.array(rows, from_pandas=True)), FRAME)
            return from_values(name, rows, own, start + 1)

    def read(names: list[str], start: int, length: int) -> pl.DataFrame:
        return pl.DataFrame({name: column(name, start, length) for name in names})

    return _Memory(columns, len(frame), int(frame.memory_usage(index=False).sum()), read)


def refuse_arrays(source: Any) -> None:
    """Refuse the arrays that are near to a table and are none."""
    kind = f"a {type(source).__module__}.{type(source).__name__}"
    if is_matrix(source) and (source.ndim != 2 or source.dtype.kind not in "biuf"):
        raise DataError(
            f"a sparse matrix is a table if it is [rows, columns] of numbers; it was given {kind} of the shape "
            f"{source.shape} and {source.dtype}: convert it"
        )
    if isinstance(source, np.ma.MaskedArray):  # whose mask NumPy's own functions drop without a word
        raise DataError(f"a table marks what is missing with NaN; it was given {kind}: convert it with .filled(np.nan)")
    if isinstance(source, np.ndarray) and source.ndim != 2 and not (source.ndim == 1 and source.dtype.names):
        raise DataError(
            f"a NumPy array is a table if it is [rows, columns] or structured; it was given the shape {source.shape}"
            + (": one column is .reshape(-1, 1), one row .reshape(1, -1)" if source.ndim == 1 else ": reshape it")
        )


def _of_numpy(array: NDArray[Any]) -> _Memory:
    fields = array.dtype.names
    columns = tuple(fields or (f"x{i}" for i in range(array.shape[1])))
    check_names(columns, FRAME)
    series = {name: array[name] if fields else array[:, i] for i, name in enumerate(columns)}

    @functools.cache
    def dtype(name: str) -> pl.DataType:
        return pl.String() if series[name].dtype.kind == "S" else type_of(name, series[name].tolist())

    def column(name: str, start: int, length: int) -> pl.Series:
        values = series[name][start : start + length]
        kind, wide = values.dtype.kind, values.dtype.itemsize
        if kind not in "biufUMmSO":
            raise DataError(
                f"an array holds numbers, booleans, texts or times; column '{name}' of {FRAME} holds {values.dtype}: "
                f"convert it with .astype",
                file=FRAME,
                column=name,
            )
        with converting(name, FRAME, values.dtype):
            if kind in "OS":
                return from_values(name, values.tolist(), dtype(name), start + 1)
            if kind == "f" and wide not in (4, 8):  # halves, and what is longer than a double: Polars holds none
                values = values.astype(np.float32 if wide == 2 else np.float64)
            elif kind == "m":
                values = values / np.timedelta64(1, "s")
            elif kind == "M":
                unit = np.datetime_data(values.dtype)[0]
                values = values.astype(f"M8[{_UNITS.get(unit, unit)}]")
            own = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("="))
            return pl.Series(name, own, nan_to_null=kind == "m")

    def read(names: list[str], start: int, length: int) -> pl.DataFrame:
        return pl.DataFrame({name: column(name, start, length) for name in names})

    return _Memory(columns, len(array), array.nbytes, read)


def is_matrix(source: object) -> bool:
    """Whether this is one of SciPy's sparse matrices or arrays; SciPy need not be there to ask."""
    return type(source).__module__.startswith("scipy.sparse")


def _of_matrix(matrix: Any) -> _Memory:
    """A sparse matrix as the table of a libsvm file of it: one bag a row, of column numbers and weights.

    What is stored is in the bag: a zero too, and a column twice where it is stored twice.
    """
    csr = matrix.tocsr().sorted_indices()
    starts = csr.indptr.astype(np.int64)

    def read(names: list[str], start: int, length: int) -> pl.DataFrame:
        counts = np.diff(starts[start : start + length + 1])
        stored = slice(starts[start], starts[start] + counts.sum())
        pairs = {"value": csr.indices[stored].astype(np.int64), "weight": csr.data[stored].astype(np.float64)}
        values = pl.DataFrame(pairs).with_columns(pl.col("value").cast(pl.String))
        bags = lists_of(np.repeat(np.arange(len(counts)), counts), values, len(counts))
        return pl.DataFrame(dict.fromkeys(names, bags))

    return _Memory((FEATURES,), csr.shape[0], csr.data.nbytes + csr.indices.nbytes + starts.nbytes, read)


def _of_rows(rows: Sequence[Mapping[str, Any]]) -> _Memory:
    columns = tuple(dict.fromkeys(name for row in rows for name in row))
    check_names(columns, FRAME)

    @functools.cache
    def dtype(name: str) -> pl.DataType:
        return type_of(name, [row.get(name) for row in rows])

    def read(names: list[str], start: int, length: int) -> pl.DataFrame:
        some = rows[start : start + length]
        if len(rows) == len(some) == 1:
            # NOTE[perf]: a column made by itself takes 12 microseconds, which for a row are half of what scores it.
            cells = {name: rows[0].get(name) for name in names}
            types = types_of_row(cells.values())
            with suppress(UnicodeEncodeError):  # half a character, of a column that is named below
                if types is not None:
                    return pl.from_dicts([cells], schema=dict(zip(names, types, strict=True)))
        schema = {name: dtype(name) for name in names}
        return pl.DataFrame({n: from_values(n, [row.get(n) for row in some], schema[n], start + 1) for n in names})

    return _Memory(columns, len(rows), 8 * len(rows) * len(columns), read)
