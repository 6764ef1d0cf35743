"""Columns that rank a label almost perfectly on their own: likely the label under another name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from masknet.draws import keyed_uniform
from masknet.encode import values
from masknet.encode.bags import bag_parts, is_pair, sample_of
from masknet.encode.moments import as_dates
from masknet.encode.number_texts import parse
from masknet.errors import flag
from masknet.schema import UNKNOWN, Bag, Decimal

__all__ = ["LeakSearch"]

_AUC = 0.99
_LEAST = 20
"""Rows of each class that an AUC is taken from: among fewer, chance comes close to one."""

_ROWS, _CELLS = 50_000, 4_000_000
_BINS = 64
_KEPT_KEY, _HELD_KEY = 50_000, 200_000  # fixed: the same rows are looked at, and held out, in every run


class LeakSearch:
    """Keeps some rows of a table, drawn from all of it, and looks which columns alone tell a label.

    A column is looked at as it stands in the table, before anything is decided of it: as a number and as a value, both.

    >>> search = LeakSearch({"dwell": None}, rows=1000)
    >>> clicks = np.arange(1000) % 5 == 0
    >>> search.add(pl.DataFrame({"dwell": np.where(clicks, 3.5, 0.0)}), clicks[:, None].astype(np.uint8))
    >>> list(search.sentences(["dwell"], ["click"]))
    ["column 'dwell' alone tells the label (AUC 1.0000): if it is the label under another name, leave it out with \
--ignore dwell"]

    Args:
        columns: those to look at, and how the cells of each are parted where it is declared a bag; else None.
        rows: about how many rows there are.
        missing, decimal: how numbers are written in texts; see `number_texts.parse`.
    """

    def __init__(
        self,
        columns: Mapping[str, Bag | None],
        *,
        rows: int,
        missing: Sequence[str] = (),
        decimal: Decimal = ".",
    ) -> None:
        self._columns = columns
        form = {"missing": missing, "decimal": decimal}
        self._in_texts = {name: _NumbersInTexts(form) for name in columns}
        self._most = max(1, min(_ROWS, _CELLS // max(1, len(columns))))
        self._share = min(1.0, self._most / max(1, rows))
        self._seen = self._kept = 0
        self._draws: list[NDArray[np.float64]] = []
        self._labels: list[NDArray[np.uint8]] = []
        self._numbers: dict[str, list[NDArray[np.float64]]] = {name: [] for name in columns}
        self._codes: dict[str, list[NDArray[np.uint64]]] = {name: [] for name in columns}

    def add(self, frame: pl.DataFrame, labels: NDArray[np.uint8]) -> None:
        """Take the next rows, and their labels, `[rows, tasks]`."""
        draws = keyed_uniform(_KEPT_KEY, np.arange(self._seen, self._seen + len(frame)))
        drawn = draws < self._share
        self._seen += len(frame)
        self._kept += int(drawn.sum())
        self._draws.append(draws[drawn])
        self._labels.append(labels[drawn])
        some = frame.filter(pl.Series(drawn))
        for name, bag in self._columns.items():
            number, code = _read(some[name], bag, self._in_texts[name])
            self._numbers[name].append(number)
            self._codes[name].append(code)
        if self._kept > 2 * self._most:  # there are more rows than was thought
            self._thin()

    def _thin(self) -> None:
        self._share /= 2
        draws = np.concatenate(self._draws)
        stay = draws < self._share
        self._draws, self._labels = [draws[stay]], [np.concatenate(self._labels)[stay]]
        for name in self._columns:
            self._numbers[name] = [np.concatenate(self._numbers[name])[stay]]
            self._codes[name] = [np.concatenate(self._codes[name])[stay]]
        self._kept = int(stay.sum())

    def sentences(self, fields: Iterable[str], labels: Iterable[str]) -> Iterator[str]:
        """A warning for each field and label, where the field's column alone tells the label.

        Args:
            fields: the columns that a model would read.
            labels: the names of the tasks.
        """
        if not self._labels:
            return
        names, of_tasks = list(labels), np.concatenate(self._labels)
        columns = [(name, np.concatenate(self._numbers[name]), np.concatenate(self._codes[name])) for name in fields]
        for label, of_task in zip(names, of_tasks.T, strict=True):
            known = of_task != UNKNOWN
            if np.bincount(of_task[known], minlength=2).min() < _LEAST:
                continue
            which = "the label" if len(names) == 1 else f"the label '{label}'"
            for name, number, code in columns:
                auc = max(_rankings(number[known], code[known], of_task[known]))
                if auc > _AUC:
                    yield (
                        f"column '{name}' alone tells {which} (AUC {auc:.4f}): if it is the label under another name, "
                        f"leave it out with {flag('ignore', name)}"
                    )


def _read(
    column: pl.Series, bag: Bag | None, in_texts: _NumbersInTexts
) -> tuple[NDArray[np.float64], NDArray[np.uint64]]:
    """The cells as numbers, NaN where they are none, and a code a value, 0 where one is missing.

    Of a bag: how many values there are, and the first of them.
    """
    if isinstance(column.dtype, pl.List | pl.Array) or (bag is not None and column.dtype == pl.String):
        parts = bag_parts(column, bag)
        length = parts.list.len().cast(pl.Float64).fill_null(0.0).to_numpy()
        first = parts.list.get(0, null_on_oob=True)
        if is_pair(first.dtype, declared=True):
            first = first.struct.unnest().to_series(0)
        elif first.dtype == pl.String and bag is not None and bag.weighted:
            first = first.str.replace(r":[^:]*$", "")
        _, code = _read(first, None, in_texts)
        return np.where(length > 0, length, np.nan), code
    if column.dtype == pl.Null or values.is_nested(column.dtype):
        return np.full(len(column), np.nan), np.zeros(len(column), dtype=np.uint64)
    if column.dtype == pl.String:
        column = column.str.strip_chars()
        column = column.set(column == "", None)
        number = in_texts(column)
    else:
        plain = column.to_physical() if column.dtype.is_temporal() else column
        number = plain.cast(pl.Float64, strict=False)
    number = number.fill_nan(None)
    missing = column.is_null() if column.dtype == pl.String else number.is_null()
    code = column.hash(seed=0).to_numpy() | np.uint64(1)
    return number.fill_null(float("nan")).to_numpy(), np.where(missing.to_numpy(), np.uint64(0), code)


class _NumbersInTexts:
    """The numbers, or the moments, of the texts of a column where most of the first that there are are such; else none.

    NOTE[perf]: to look for both in every chunk took longer than all else that is looked at here.
    """

    def __init__(self, form: Mapping[str, Any]) -> None:
        self._form = form
        self._read: Callable[[pl.Series], pl.Series] | None = None

    def __call__(self, column: pl.Series) -> pl.Series:
        """Float64, null where there is none."""
        sample = sample_of(column.drop_nulls()) if self._read is None else column
        if self._read is None and len(sample):
            if 2 * int(parse(sample, **self._form).wrong.sum()) <= len(sample):
                self._read = self._numbers
            else:
                self._read = as_dates if 2 * as_dates(sample).null_count() <= len(sample) else _nothing
        return (self._read or _nothing)(column)

    def _numbers(self, column: pl.Series) -> pl.Series:
        return parse(column, **self._form).numbers


def _nothing(column: pl.Series) -> pl.Series:
    return pl.Series(column.name, [None], dtype=pl.Float64).new_from_index(0, len(column))


def _rankings(number: NDArray[np.float64], code: NDArray[np.uint64], labels: NDArray[np.uint8]) -> Iterator[float]:
    """How well a column ranks the rows, by each way to read it: its AUC, or that of its opposite."""
    yield _auc((code == 0).astype(np.intp), 2, labels)
    distinct_codes, value = np.unique(code, return_inverse=True)
    yield _held_out(value, len(distinct_codes), labels)
    told = ~np.isnan(number)
    if told.any():
        distinct, rank = np.unique(number[told], return_inverse=True)
        yield _auc(rank, len(distinct), labels[told])
        # What is high in the middle, or in a range: a number as a value, in bins of about equal mass.
        before = np.cumsum(np.bincount(rank)) - 1
        yield _held_out((before * _BINS // len(rank))[rank], _BINS, labels[told])


def _auc(rank: NDArray[np.intp], count: int, labels: NDArray[np.uint8]) -> float:
    """The AUC of ranks below `count`, ties half, or of their opposite; 0.5 of too few rows of a class."""
    clicks = np.bincount(rank, weights=labels, minlength=count)
    others = np.bincount(rank, minlength=count) - clicks
    positives, negatives = clicks.sum(), others.sum()
    if min(positives, negatives) < _LEAST:
        return 0.5
    below = np.cumsum(others) - others
    auc = float((clicks * (below + others / 2)).sum() / (positives * negatives))
    return max(auc, 1 - auc)


def _held_out(value: NDArray[np.intp], count: int, labels: NDArray[np.uint8]) -> float:
    """The AUC of the click rate of a row's value among other rows, for a random half: of a value seen once, none."""
    if 2 * count > len(value):
        return 0.5  # hardly a value comes twice
    held = keyed_uniform(_HELD_KEY, np.arange(len(value))) < 0.5
    rows = np.bincount(value[~held], minlength=count)
    clicks = np.bincount(value[~held], weights=labels[~held], minlength=count)
    distinct, rank = np.unique((clicks + labels.mean()) / (rows + 1.0), return_inverse=True)
    return _auc(rank[value[held]], len(distinct), labels[held])
