"""JSON and Parquet that masknet itself wrote, read as if a stranger had altered them: checked, then believed.

Checksums guard against damage alone, since whoever can alter a file can write its checksum too.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeGuard

import polars as pl
import pyarrow.parquet as pq

__all__ = ["UnsoundError", "is_count", "is_finite", "parse_json", "read_frame", "read_json"]


class UnsoundError(ValueError):
    """A file holds what masknet never writes."""


def read_json(file: Path) -> dict[str, Any]:
    """The table in a file of JSON.

    Raises:
        UnsoundError: as in `parse_json`.
        OSError: the file cannot be read.
    """
    return parse_json(file.read_bytes())


def parse_json(text: bytes) -> dict[str, Any]:
    """The table that JSON holds.

    >>> parse_json(b'{"a": [1, null]}')
    {'a': [1, None]}

    Raises:
        UnsoundError: it is no JSON, or no table; it holds a name twice, NaN or an infinity, or is nested without end.
    """
    try:
        content = json.loads(text, parse_constant=_no_number, object_pairs_hook=_once)
    except RecursionError:
        raise UnsoundError("it is nested too deeply") from None
    except ValueError as error:
        raise UnsoundError(f"it is no JSON ({error})") from None
    if not isinstance(content, dict):
        raise UnsoundError("it is no table")
    return content


def _no_number(name: str) -> NoReturn:
    raise UnsoundError(f"{name} is no number")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        raise UnsoundError("a name stands twice")
    return content


def read_frame(file: Path, schema: Mapping[str, pl.DataType | type[pl.DataType]] | None = None) -> pl.DataFrame:
    """The rows of a Parquet file.

    Args:
        file: to read.
        schema: the columns, in their order, that it must have, none of them with nulls; None takes any.

    Raises:
        UnsoundError: the columns are others, or have nulls.
        ValueError: it is no Parquet file.
        OSError: the file cannot be read.
    """
    # pyarrow answers to broken pages with an error, where Polars may panic. `read_table` would import pandas.
    with pq.ParquetFile(file) as parquet:
        frame = pl.from_arrow(parquet.read())
    assert isinstance(frame, pl.DataFrame)
    if schema is not None:
        if dict(frame.schema) != dict(schema):
            raise UnsoundError(f"its columns are {', '.join(f'{n} ({t})' for n, t in frame.schema.items())}")
        lacking = [name for name in frame.columns if frame[name].null_count()]
        if lacking:
            raise UnsoundError(f"the column '{lacking[0]}' has nulls")
    return frame


def is_count(value: object, *, least: int = 0, most: int = 2**31 - 1) -> TypeGuard[int]:
    """Whether it is a whole number in a range; `True` is none.

    >>> is_count(7), is_count(7.0), is_count(True), is_count(10**12)
    (True, False, False, False)
    """
    return type(value) is int and least <= value <= most


def is_finite(value: object) -> TypeGuard[float]:
    """Whether it is a number, and neither NaN nor infinite.

    >>> is_finite(7), is_finite(0.5), is_finite(float("nan")), is_finite("7"), is_finite(10**400)
    (True, True, False, False, False)
    """
    try:
        return type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type]
    except OverflowError:
        return False
