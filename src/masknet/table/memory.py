"""Frames in memory: Polars, pandas, Arrow, NumPy and lists of dicts, as one kind of part."""

from __future__ import annotations

import datetime
import functools
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from masknet.errors import DataError
from masknet.table.part import FRAME, ROWS, arrow_series, check_names, from_arrow, normal

if TYPE_CHECKING:
    import pandas as pd


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

    def frames(self, names: list[str]) -> Iterator[pl.DataFrame]:
        for start in range(0, self.num_rows, ROWS):
            yield normal(self.read(names, start, ROWS))

    def digest(self, *, verify: bool) -> bytes:
        """A hash of the names, types and values: how a frame is chunked does not count, nor what a null hides."""
        digest = hashlib.sha256(repr(normal(self.read(list(self.columns), 0, 0)).schema).encode())
        for frame in self.frames(list(self.columns)):
            for column in frame:
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
    if isinstance(source, Sequence) and source and all(isinstance(row, Mapping) for row in source):
        return _of_rows(source)
    return None


def _of_polars(frame: pl.DataFrame) -> _Memory:
    check_names(tuple(frame.columns), FRAME)
    objects = [_from_values(c.name, c, _dtype_of(c), 1) for c in frame if c.dtype == pl.Object]
    frame = frame.with_columns(objects)

    def read(names: list[str], start: int, length: int) -> pl.DataFrame:
        return frame.select(names).slice(start, length)

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
                arrow = pa.array(column.iloc[:0], from_pandas=True).type
            except pa.ArrowException:  # complex, sparse, categories of several types
                return _dtype_of(column)
            if not isinstance(arrow, pa.BaseExtensionType):  # periods and intervals, which Polars reads as numbers
                return None
        return _dtype_of(column)

    def column(name: str, start: int, length: int) -> pl.Series:
        rows = series[name].iloc[start : start + length]
        own = dtype(name)
        if own is None:
            return arrow_series(name, pa.chunked_array(pa.array(rows, from_pandas=True)), FRAME)
        return _from_values(name, rows, own, start + 1)

    def read(names: list[str], start: int, length: int) -> pl.DataFrame:
        return pl.DataFrame({name: column(name, start, length) for name in names})

    return _Memory(columns, len(frame), int(frame.memory_usage(index=False).sum()), read)


def refuse_arrays(source: Any) -> None:
    """Refuse the arrays that are near to a table and are none."""
    kind = f"a {type(source).__module__}.{type(source).__name__}"
    if kind.startswith("a scipy.sparse"):
        raise DataError(f"a table is dense; it was given {kind}: convert it with .toarray(), or write it as libsvm")
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
        return _dtype_of(series[name].tolist())

    def column(name: str, start: int, length: int) -> pl.Series:
        values = series[name][start : start + length]
        if values.dtype.kind == "O":
            return _from_values(name, values.tolist(), dtype(name), start + 1)
        kind, wide = values.dtype.kind, values.dtype.itemsize
        if kind == "f" and wide not in (4, 8):  # halves, and what is longer than a double, which Polars does not hold
            values = values.astype(np.float32 if wide == 2 else np.float64)
        try:
            if kind not in "biufUM":
                raise TypeError
            return pl.Series(name, np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("=")))
        except (TypeError, ValueError, pl.exceptions.PolarsError) as error:
            raise DataError(
                f"an array holds numbers, booleans, texts or times; column '{name}' of {FRAME} holds {values.dtype}: "
                f"convert it with .astype",
                file=FRAME,
                column=name,
            ) from error

    def read(names: list[str], start: int, length: int) -> pl.DataFrame:
        return pl.DataFrame({name: column(name, start, length) for name in names})

    return _Memory(columns, len(array), array.nbytes, read)


def _of_rows(rows: Sequence[Mapping[str, Any]]) -> _Memory:
    columns = tuple(dict.fromkeys(name for row in rows for name in row))
    check_names(columns, FRAME)

    @functools.cache
    def dtype(name: str) -> pl.DataType:
        return _dtype_of([row.get(name) for row in rows])

    def read(names: list[str], start: int, length: int) -> pl.DataFrame:
        some = rows[start : start + length]
        schema = {name: dtype(name) for name in names}
        if len(some) == 1 and all(isinstance(own, _ONE_BY_ONE) for own in schema.values()):
            # NOTE[perf]: a column made by itself takes 12 microseconds, which for a row are half of what scores it.
            cells = {name: _cells(name, [some[0].get(name)], own, start + 1)[0] for name, own in schema.items()}
            with suppress(UnicodeEncodeError):  # half a character, of a column that is named below
                return pl.from_dicts([cells], schema=schema)
        return pl.DataFrame({n: _from_values(n, [row.get(n) for row in some], schema[n], start + 1) for n in names})

    return _Memory(columns, len(rows), 8 * len(rows) * len(columns), read)


# Columns of Python values

_ONE_BY_ONE = (pl.Boolean, pl.Float64, pl.Int64, pl.String)
"""The types whose single cells Polars reads from a row as it does from a column."""
_PLAIN = (bool, int, float, str, Decimal, datetime.date, datetime.time, type(None))


def _plain(values: Iterable[Any]) -> list[Any]:
    """The values with NumPy's scalars and arrays as Python's numbers and lists, and None for what is missing."""
    values = list(values)
    if set(map(type, values)) <= {str, int, bool, type(None)}:
        return values
    return [_plain_value(value) for value in values]


def _plain_value(value: Any) -> Any:
    if isinstance(value, np.bool_ | np.integer | np.floating):
        value = value.item()
    if isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim):
        return _plain(value)
    if isinstance(value, dict):
        return dict(zip(map(str, value), _plain(value.values()), strict=True))
    missing = value != value if isinstance(value, float) else type(value).__name__ in ("NAType", "NaTType")
    return None if missing else value


def _dtype_of(values: Iterable[Any]) -> pl.DataType:
    """The type that holds all the values unchanged, or text where none does; None and NaN, missing, fit in any."""
    present = [value for value in _plain(values) if value is not None]
    if present and all(isinstance(value, list) for value in present):
        return pl.List(_dtype_of(part for value in present for part in value))
    if present and all(isinstance(value, dict) for value in present):
        names = dict.fromkeys(name for value in present for name in value)
        return pl.Struct({name: _dtype_of(value.get(name) for value in present) for name in names})
    # A bool is an int to Python.
    kinds = {next((k for k in (bool, int, float) if issubclass(t, k)), str) for t in set(map(type, present))}
    if kinds == {bool}:
        return pl.Boolean()
    if kinds == {float} or (kinds == {int, float} and all(_exact(value) for value in present)):
        return pl.Float64()
    if kinds == {int}:
        low, high = min(present), max(present)
        return next((t() for t, n in ((pl.Int64, 63), (pl.Int128, 127)) if -(2**n) <= low and high < 2**n), pl.String())
    return pl.String() if kinds else pl.Null()


def _exact(value: float) -> bool:
    try:
        return isinstance(value, float) or int(float(value)) == value
    except OverflowError:
        return False


def _from_values(name: str, values: Iterable[Any], dtype: pl.DataType, first_row: int) -> pl.Series:
    """A column of the values.

    Raises:
        DataError: one of them is of a type that no column holds, or a text that is not Unicode.
    """
    try:
        return pl.Series(name, _cells(name, values, dtype, first_row), dtype=dtype)
    except UnicodeEncodeError as error:
        raise DataError(
            f"a text is Unicode; column '{name}' of {FRAME} holds half a character ({error})", file=FRAME, column=name
        ) from error


def _cells(name: str, values: Iterable[Any], dtype: pl.DataType, first_row: int) -> list[Any]:
    """The values as Polars takes them for the type.

    Raises:
        DataError: one of them is of a type that no column holds.
    """
    plain = _plain(values)
    if not all(issubclass(kind, _PLAIN) for kind in set(map(type, plain))):
        odd = next(((i, v) for i, v in enumerate(plain, first_row) if not _fits(v, dtype)), None)
        if odd is not None:
            row, value = odd
            raise DataError(
                f"a column of Python objects holds numbers, texts and dates, or lists of them; column '{name}' of "
                f"{FRAME} holds a {type(value).__name__} in row {row}: convert the column or leave it out",
                file=FRAME,
                column=name,
                row=row,
                value=value,
            )
    if dtype.is_nested():
        plain = [_converted(value, dtype) for value in plain]
    if isinstance(dtype, pl.Float64):  # NOTE[perf]: a type is compared with == ten times as slowly, of every cell
        plain = [None if value is None else float(value) for value in plain]
    if isinstance(dtype, pl.String):
        plain = [value if value is None or isinstance(value, str) else _text(value) for value in plain]
    return plain


def _fits(value: Any, dtype: pl.DataType) -> bool:
    if value is None:
        return True
    if isinstance(dtype, pl.List):
        return isinstance(value, list) and all(_fits(part, dtype.inner) for part in value)  # type: ignore[arg-type]
    if isinstance(dtype, pl.Struct):
        return isinstance(value, dict) and all(_fits(value.get(f.name), f.dtype) for f in dtype.fields)  # type: ignore[arg-type]
    return isinstance(value, _PLAIN)


def _converted(value: Any, dtype: Any) -> Any:
    if value is None:
        return None
    if isinstance(dtype, pl.List):
        return [_converted(part, dtype.inner) for part in value]
    if isinstance(dtype, pl.Struct):
        return {f.name: _converted(value.get(f.name), f.dtype) for f in dtype.fields}
    if dtype == pl.Float64:
        return float(value)
    return _text(value) if dtype == pl.String and not isinstance(value, str) else value


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, float) else str(value)
