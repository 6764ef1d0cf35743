"""How a column divides the rows of an evaluation: by value, or at its deciles, with what is missing for itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from masknet.encode import values
from masknet.encode.cells import reader
from masknet.encode.number_texts import ZERO_PADDED, parse, without
from masknet.errors import DataError
from masknet.schema import Categorical, Decimal, FieldSchema, Numeric
from masknet.table import Chunk

__all__ = ["Slice", "SliceColumn"]

_MOST = 20  # values that are shown each by itself
_MISSING, _OTHER = "missing", "other values"
_EXACT = 2.0**53  # an integer of this size is an id, not a quantity: a float would not tell it from the next


@dataclass(frozen=True)
class Slice:
    """Some rows of a table, and what they have in common.

    Args:
        value: the text of the value, a range ("10 to 20"), "missing" or "other values".
        rows: their places in the table, from 0, rising.
    """

    value: str
    rows: NDArray[np.intp]


class SliceColumn:
    """Reads a column chunk by chunk, then divides its rows; every row is in one slice.

    A field of one value a row is read as the model reads it. Of another column all rows decide: it is one of
    quantities if each value is a number, none of them is padded with zeros (`07`), and none is an integer from 2^53 on.
    Quantities of more than 20 values are cut at their deciles, each slice named by its least and its greatest value. Of
    other columns the 20 values of most rows are shown, the rest together. The slices are named alike for every reader.

    >>> column = SliceColumn("ad")
    >>> column.add(Chunk(pl.DataFrame({"ad": ["b", "a", "", "b"]}), "ads.csv", 1))
    >>> [(part.value, part.rows.tolist()) for part in column.slices()]
    [('b', [0, 3]), ('a', [1]), ('missing', [2])]

    Args:
        name: of the column.
        field: what the model reads in it, if it does.
        missing, decimal: how numbers are written in texts; see `number_texts.parse`. A field says so itself.
    """

    def __init__(
        self,
        name: str,
        field: FieldSchema | None = None,
        *,
        missing: Sequence[str] = (),
        decimal: Decimal = ".",
    ) -> None:
        self._name = name
        self._missing, self._decimal = missing, decimal
        self._written = True  # in texts, and not as numbers
        meant = field if isinstance(field, Categorical | Numeric) else None
        self._meant = meant is not None
        self._read: Callable[[pl.Series, values.Place], Any] = reader(meant or Categorical(name=name))
        self._parts: list[pl.Series] = []

    def add(self, chunk: Chunk) -> None:
        """Take the next rows.

        Raises:
            DataError: the column holds no plain values, or a cell is not what the model reads there.
        """
        column = chunk.frame[self._name]
        if values.is_nested(column.dtype):
            raise DataError(
                f"a slice is of plain values; column '{self._name}' holds {column.dtype}: name another column, or make "
                f"one of plain values of it",
                column=self._name,
            )
        self._written = self._written and column.dtype == pl.String
        self._parts.append(pl.Series(self._read(column, chunk.place), nan_to_null=True))

    def slices(self) -> list[Slice]:
        """The slices that have rows: by falling number of rows, or by rising value of a quantity; missing last."""
        if not self._parts:
            return []
        column = pl.concat([part.alias("v") for part in self._parts])
        if self._meant:
            return _by_size(column) if column.dtype == pl.Float64 else _by_value(column)
        numbers = self._quantities(column)
        return _by_value(_alike(column)) if numbers is None else _by_size(numbers)

    def _quantities(self, text: pl.Series) -> pl.Series | None:
        """The numbers, null where missing, or None where some value is none."""
        form: dict[str, Any] = {"missing": self._missing, "decimal": self._decimal}
        parsed = parse(text, **form) if self._written else parse(text)
        numbers = parsed.numbers if self._written else without(parsed.numbers, **form)
        if parsed.wrong.any() or numbers.null_count() == len(numbers):
            return None
        known = text.set(numbers.is_null(), None).str.strip_chars()
        ids = known.filter(numbers.abs() >= _EXACT).str.contains(values.CANONICAL_INTEGER)
        return None if ids.any() or known.str.contains(ZERO_PADDED).any() else numbers


def _alike(text: pl.Series) -> pl.Series:
    """Canonical texts, where all values are booleans, or all are integers."""
    known = text.drop_nulls()
    if known.str.to_lowercase().is_in(["true", "false"]).all():
        return values.canonical(text, "boolean")
    if known.str.contains(values.CANONICAL_INTEGER).all():
        return values.canonical(text, "integer")
    return text


def _by_value(text: pl.Series) -> list[Slice]:
    counts = text.drop_nulls().value_counts(name="rows").sort(["rows", "v"], descending=[True, False])
    shown = counts["v"].head(_MOST).to_list()
    codes = text.replace_strict(shown, range(len(shown)), default=_MOST, return_dtype=pl.UInt8) if shown else None
    missing = text.is_null().to_numpy()
    found = np.full(len(text), _MOST, dtype=np.uint8) if codes is None else codes.fill_null(_MOST).to_numpy()
    labels = [f"'{value}'" if value in (_MISSING, _OTHER) else value for value in shown]
    return _divide(np.where(missing, _MOST + 1, found), {**dict(enumerate(labels)), _MOST: _OTHER})


def _by_size(column: pl.Series) -> list[Slice]:
    missing = column.is_null().to_numpy()
    numbers = column.fill_null(0.0).to_numpy() + 0.0  # -0 is 0
    known = np.unique(numbers[~missing])
    if len(known) <= _MOST:
        lows = highs = known
    else:
        cuts = np.quantile(numbers[~missing], np.arange(1, 10) / 10, method="inverted_cdf")
        first = np.unique(np.searchsorted(known, np.unique(cuts), side="right"))
        first = np.concatenate([[0], first[first < len(known)]])  # of each slice, among the known
        lows, highs = known[first], known[np.append(first[1:], len(known)) - 1]
    codes = np.searchsorted(lows, numbers, side="right") - 1
    return _divide(np.where(missing, len(lows), codes), dict(enumerate(_ranges(lows, highs))))


def _ranges(lows: NDArray[np.float64], highs: NDArray[np.float64]) -> list[str]:
    """The ends of each range in as few digits as tell all of them apart; whole numbers whole."""
    ends = np.unique(np.concatenate([lows, highs]))
    written: dict[float, str] = {}
    for digits in (4, 6, 9, 17):
        written = {x: f"{x:.0f}" if x.is_integer() and abs(x) < _EXACT else f"{x:.{digits}g}" for x in ends.tolist()}
        if len(set(written.values())) == len(ends):
            break
    pairs = [(written[low], written[high]) for low, high in zip(lows.tolist(), highs.tolist(), strict=True)]
    return [low if low == high else f"{low} to {high}" for low, high in pairs]


def _divide(codes: NDArray[np.integer], labels: dict[int, str]) -> list[Slice]:
    """The rows of each code; a code without a label is that of what is missing."""
    order = np.argsort(codes.astype(np.uint8), kind="stable")  # at most 22 codes: a radix sort
    found, starts = np.unique(codes[order], return_index=True)
    parts = np.split(order, starts[1:])
    return [Slice(labels.get(int(code), _MISSING), rows) for code, rows in zip(found, parts, strict=True)]
