"""Columns of Python values, as pandas, Polars and NumPy hold where they know no better, and rows as JSON has them."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np
import polars as pl

from masknet.errors import DataError
from masknet.table.arrow import converting, interval_text, text_of
from masknet.table.part import FRAME

__all__ = ["cells_of", "from_values", "type_of"]

_OF_ONE = {
    bool: pl.Boolean(),
    int: pl.Int64(),
    float: pl.Float64(),
    str: pl.String(),
    type(None): pl.Null(),
}
"""The types of cells that Polars reads from a row as it does from a column."""
_PLAIN = (bool, int, float, str, Decimal, datetime.date, datetime.time, type(None))


def _plain(values: Iterable[Any]) -> list[Any]:
    """The values as Python's own, lists and pairs of them, and None for what is missing."""
    values = list(values)
    if set(map(type, values)) <= {str, int, bool, type(None)}:
        return values
    return [_plain_value(value) for value in values]


def _plain_value(value: Any) -> Any:
    if isinstance(value, np.bool_ | np.integer | np.floating):
        value = value.item()
    if isinstance(value, list) or (isinstance(value, np.ndarray) and value.ndim):
        return _plain(value)
    if isinstance(value, tuple):
        return tuple(_plain(value))
    if isinstance(value, dict):
        return dict(zip(map(str, value), _plain(value.values()), strict=True))
    if isinstance(value, bytes | bytearray | memoryview):
        return text_of(bytes(value))
    if type(value).__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    if isinstance(value, np.datetime64 | np.timedelta64):
        return _plain_time(value)
    if isinstance(value, UUID):
        return str(value)
    if type(value).__name__ == "Interval" and type(value).__module__.startswith("pandas"):
        return interval_text(value.left, value.right, value.closed)
    missing = value.is_nan() if isinstance(value, Decimal) else isinstance(value, float) and value != value
    return None if missing else value


def _plain_time(value: np.datetime64 | np.timedelta64) -> Any:
    """A moment as its text, a length of time in seconds."""
    if np.isnat(value):
        return None
    return str(value) if isinstance(value, np.datetime64) else float(value / np.timedelta64(1, "s"))


def type_of(name: str, values: Iterable[Any]) -> pl.DataType:
    """The type of a column of Python values.

    Raises:
        DataError: one of them cannot even be looked at.
    """
    with converting(name, FRAME, "Python objects"):
        return _dtype_of(values)


def _dtype_of(values: Iterable[Any]) -> pl.DataType:
    """The type that holds all the values unchanged, or text where none does; None and NaN, missing, fit in any."""
    present = [value for value in _plain(values) if value is not None]
    if present and all(isinstance(value, list | tuple) for value in present):
        parts = [part for value in present for part in value if part is not None]
        return pl.List(_pair_of(parts) or _dtype_of(parts))
    if present and all(isinstance(value, dict) for value in present):
        names = dict.fromkeys(name for value in present for name in value)
        return pl.Struct({name: _dtype_of(value.get(name) for value in present) for name in names})
    kinds = {_kind(value) for value in present}
    if kinds == {bool}:
        return pl.Boolean()
    if kinds == {float} or (kinds == {int, float} and all(_exact(value) for value in present)):
        return pl.Float64()
    if kinds == {int}:
        low, high = min(present), max(present)
        return next((t() for t, n in ((pl.Int64, 63), (pl.Int128, 127)) if -(2**n) <= low and high < 2**n), pl.String())
    if kinds in ({Decimal}, {Decimal, int}):
        return _decimal_of(present)
    if kinds == {datetime.date}:
        return pl.Date()
    if kinds == {datetime.time}:
        return pl.Time()
    return pl.String() if kinds else pl.Null()


def _kind(value: Any) -> type:
    """Which of Python's types a value is of; `str` where it is read as a text."""
    # A bool is an int to Python, and a moment a date.
    kinds = (bool, int, float, Decimal, datetime.datetime, datetime.date, datetime.time)
    found = next((kind for kind in kinds if isinstance(value, kind)), str)
    zoned = found is datetime.time and value.tzinfo is not None
    return str if found is datetime.datetime or zoned else found


def _pair_of(parts: Sequence[Any]) -> pl.Struct | None:
    """The type of the values of lists of (value, weight), as tuples or lists of a text and a number, or tuples of two
    numbers whose first is an integer; None where they are something else.
    """
    if not parts or not all(isinstance(part, list | tuple) and len(part) == 2 for part in parts):
        return None
    values, weights = ([part[i] for part in parts] for i in (0, 1))
    ids = (str, int) if all(isinstance(part, tuple) for part in parts) else (str,)
    if not all(isinstance(v, ids) and not isinstance(v, bool) for v in values):
        return None
    if not all(w is None or (isinstance(w, int | float | Decimal) and not isinstance(w, bool)) for w in weights):
        return None
    return pl.Struct({"value": _dtype_of(values), "weight": pl.Float64()})


def _decimal_of(values: Sequence[Decimal | int]) -> pl.DataType:
    """The decimal type that holds all the values, or text where none does."""
    tuples = [Decimal(value).as_tuple() for value in values]
    if not all(isinstance(one.exponent, int) for one in tuples):  # infinite
        return pl.String()
    scale = max(max(0, -int(one.exponent)) for one in tuples)
    before = max(max(0, len(one.digits) + int(one.exponent)) for one in tuples)
    return pl.Decimal(38, scale) if before + scale <= 38 else pl.String()


def _exact(value: float) -> bool:
    try:
        return isinstance(value, float) or int(float(value)) == value
    except OverflowError:
        return False


def types_of_row(cells: Iterable[Any]) -> list[pl.DataType] | None:
    """The types of single cells, each as `type_of` finds it; None where a cell has to be looked at more closely.

    NOTE[perf]: a type for each cell takes a quarter of what scores the row.

    >>> types_of_row([1, "Ulm", None]), types_of_row([1, float("nan")])
    ([Int64, String, Null], None)
    """
    found = []
    for cell in cells:
        dtype = _OF_ONE.get(type(cell))
        if dtype is None or cell != cell or (isinstance(dtype, pl.Int64) and not -(2**63) <= cell < 2**63):
            return None
        found.append(dtype)
    return found


def from_values(name: str, values: Iterable[Any], dtype: pl.DataType, first_row: int) -> pl.Series:
    """A column of the values.

    Raises:
        DataError: one of them is of a type that no column holds, or a text that is not Unicode.
    """
    with converting(name, FRAME, "Python objects"):
        try:
            return pl.Series(name, cells_of(name, values, dtype, first_row), dtype=dtype)
        except UnicodeEncodeError as error:
            raise DataError(
                f"a text is Unicode; column '{name}' of {FRAME} holds half a character ({error})",
                file=FRAME,
                column=name,
            ) from error


def cells_of(name: str, values: Iterable[Any], dtype: pl.DataType, first_row: int) -> list[Any]:
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
                f"{FRAME} holds a {type(value).__name__} in row {row}: convert the column, or leave it out with "
                f"--ignore",
                file=FRAME,
                column=name,
                row=row,
                value=value,
            )
    if dtype.is_nested() or isinstance(dtype, pl.Decimal):
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
        return isinstance(value, list | tuple) and all(_fits(part, dtype.inner) for part in value)  # type: ignore[arg-type]
    if isinstance(dtype, pl.Struct):
        if isinstance(value, list | tuple):  # a pair
            return all(_fits(part, field.dtype) for part, field in zip(value, dtype.fields, strict=True))  # type: ignore[arg-type]
        return isinstance(value, dict) and all(_fits(value.get(f.name), f.dtype) for f in dtype.fields)  # type: ignore[arg-type]
    return isinstance(value, _PLAIN)


def _converted(value: Any, dtype: Any) -> Any:
    if value is None:
        return None
    if isinstance(dtype, pl.List):
        return [_converted(part, dtype.inner) for part in value]
    if isinstance(dtype, pl.Struct):
        names = [field.name for field in dtype.fields]
        cells = dict(zip(names, value, strict=True)) if isinstance(value, list | tuple) else value
        return {f.name: _converted(cells.get(f.name), f.dtype) for f in dtype.fields}
    if isinstance(dtype, pl.Decimal):
        return Decimal(value)
    if dtype == pl.Float64:
        return float(value)
    return _text(value) if dtype == pl.String and not isinstance(value, str) else value


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, float) else str(value)
