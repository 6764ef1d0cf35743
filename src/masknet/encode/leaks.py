"""Columns that rank a label almost perfectly on their own: likely the label under another name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, takewhile
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from masknet.draws import keyed_uniform
from masknet.encode import values
from masknet.encode.bags import bag_parts, is_pair
from masknet.encode.coded import Coded, renumbered, sample_of_rows
from masknet.encode.moments import as_dates
from masknet.encode.number_texts import parse
from masknet.encode.workers import Each, in_turn
from masknet.errors import flag
from masknet.schema import UNKNOWN, Bag, Decimal
from masknet.table import Codes

__all__ = ["LeakSearch"]

_AUC = 0.99
_LEAST = 20
"""Rows of each class that an AUC is taken from: among fewer, chance comes close to one."""

_ROWS, _CELLS = 50_000, 4_000_000
_WAITING, _WAITING_BYTES = 8, 1 << 22  # of the cells of a column, chunks and bytes that are read at once
_BINS = 64
_KEPT_KEY, _HELD_KEY = 50_000, 200_000  # fixed: the same rows are looked at, and held out, in every run


class LeakSearch:
    """Keeps some rows of a table, drawn from all of it, and looks which columns alone tell a label.

    A column is looked at as it stands in the table, before anything is decided of it: as a number and as a value, both.

    >>> search = LeakSearch({"dwell": None}, rows=1000)
    >>> clicks = np.arange(1000) % 5 == 0
    >>> dwell = pl.Series("dwell", np.where(clicks, 3.5, 0.0))
    >>> search.add({"dwell": Coded.of(dwell)}, clicks[:, None].astype(np.uint8))
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
        form = {"missing": missing, "decimal": decimal}
        self._columns = {name: _SomeCells(bag, _NumbersInTexts(form)) for name, bag in columns.items()}
        self._most = max(1, min(_ROWS, _CELLS // max(1, len(columns))))
        self._share = min(1.0, self._most / max(1, rows))
        self._seen = self._kept = 0
        self._draws: list[NDArray[np.float64]] = []
        self._labels: list[NDArray[np.uint8]] = []

    def add(self, columns: Mapping[str, Coded], labels: NDArray[np.uint8]) -> None:
        """Take the next rows, and their labels, `[rows, tasks]`."""
        draws = keyed_uniform(_KEPT_KEY, np.arange(self._seen, self._seen + len(labels)))
        drawn = np.flatnonzero(draws < self._share)
        self._seen += len(labels)
        self._kept += len(drawn)
        self._draws.append(draws[drawn])
        self._labels.append(labels[drawn])
        for name, own in self._columns.items():
            own.take(columns[name].part(drawn))
        if self._kept > 2 * self._most:  # there are more rows than was thought
            self._thin()

    def _thin(self) -> None:
        self._share /= 2
        draws = np.concatenate(self._draws)
        stay = draws < self._share
        self._draws, self._labels = [draws[stay]], [np.concatenate(self._labels)[stay]]
        for column in self._columns.values():
            column.thin(stay)
        self._kept = int(stay.sum())

    def sentences(self, fields: Sequence[str], labels: Iterable[str], *, each: Each = in_turn) -> Iterator[str]:
        """A warning for each field and label, where the field's column alone tells the label.

        Args:
            fields: the columns that a model would read.
            labels: the names of the tasks.
            each: as in `Encoder.encode`.
        """
        if not self._labels:
            return
        names, of_tasks = list(labels), np.concatenate(self._labels)
        for label, of_task in zip(names, of_tasks.T, strict=True):
            known = of_task != UNKNOWN
            if np.bincount(of_task[known], minlength=2).min() < _LEAST:
                continue
            which = "the label" if len(names) == 1 else f"the label '{label}'"
            aucs = [0.0] * len(fields)

            def look(i: int, known: NDArray[np.bool_] = known, clicks: NDArray[np.uint8] = of_task[known]) -> None:
                aucs[i] = max(_rankings(self._columns[fields[i]].found().of(known), clicks))  # noqa: B023 -- at once

            each(look, range(len(fields)))
            for name, auc in zip(fields, aucs, strict=True):
                if auc > _AUC:
                    yield (
                        f"column '{name}' alone tells {which} (AUC {auc:.4f}): if it is the label under another name, "
                        f"leave it out with {flag('ignore', name)}"
                    )


@dataclass(frozen=True)
class _Read:
    """Cells, what each is by both ways to read it, and which of them each row has.

    Args:
        number: of each cell, NaN where it is none.
        value: of each cell a code of what stands there, 0 where that is missing.
        cell: of each row.
    """

    number: NDArray[np.float64]
    value: NDArray[np.uint64]
    cell: Codes

    def of(self, rows: NDArray[np.bool_]) -> _Read:
        """Some rows, with the cells that they have."""
        used, cell = renumbered(self.cell[rows], len(self.number))
        return _Read(self.number[used], self.value[used], cell)

    @classmethod
    def joined(cls, parts: Sequence[_Read]) -> _Read:
        """The rows of several, one behind the other."""
        starts = accumulate((len(part.number) for part in parts), initial=0)
        return cls(
            number=np.concatenate([part.number for part in parts]),
            value=np.concatenate([part.value for part in parts]),
            cell=np.concatenate([start + part.cell for start, part in zip(starts, parts, strict=False)]),
        )


class _SomeCells:
    """The cells of the rows that were drawn, of one column.

    NOTE[perf]: those of several chunks are read at once, since a query takes its time however few the cells are.
    """

    def __init__(self, bag: Bag | None, in_texts: _NumbersInTexts) -> None:
        self._bag, self._in_texts = bag, in_texts
        self._unread: list[Coded] = []
        self._parts: list[_Read] = []

    def take(self, column: Coded) -> None:
        """Take the rows of one more chunk."""
        self._unread.append(column)
        # The few cells that are drawn may keep the memory of all texts of their chunk.
        waiting = sum(one.cells.estimated_size() for one in self._unread)
        if len(self._unread) == _WAITING or waiting > _WAITING_BYTES:
            self._read()

    def _read(self) -> None:
        while self._unread:
            dtype, alike = self._unread[0].cells.dtype, 1
            if self._in_texts.told or not (dtype == pl.String or dtype.is_nested()):  # else the first texts tell it
                alike = sum(1 for _ in takewhile(lambda one: one.cells.dtype == dtype, self._unread))  # noqa: B023
            column = Coded.joined(self._unread[:alike])
            del self._unread[:alike]
            number, value = _read(column, self._bag, self._in_texts)
            self._parts.append(_Read(number, value, np.arange(len(number)) if column.codes is None else column.codes))

    def thin(self, stay: NDArray[np.bool_]) -> None:
        """Keep the rows that are marked."""
        self._parts = [self.found().of(stay)]

    def found(self) -> _Read:
        """All rows."""
        self._read()
        return _Read.joined(self._parts)


def _read(column: Coded, bag: Bag | None, in_texts: _NumbersInTexts) -> tuple[NDArray[np.float64], NDArray[np.uint64]]:
    """The cells as numbers, NaN where they are none, and a code a value, 0 where one is missing.

    Of a bag: how many values there are, and the first of them.
    """
    cells = column.cells
    if isinstance(cells.dtype, pl.List | pl.Array) or (bag is not None and cells.dtype == pl.String):
        parts = bag_parts(cells, bag)
        length = parts.list.len().cast(pl.Float64).fill_null(0.0).to_numpy()
        first = parts.list.get(0, null_on_oob=True)
        if is_pair(first.dtype, declared=True):
            first = first.struct.unnest().to_series(0)
        elif first.dtype == pl.String and bag is not None and bag.weighted:
            first = first.str.replace(r":[^:]*$", "")
        _, value = _read(Coded(first, column.codes), None, in_texts)
        return np.where(length > 0, length, np.nan), value
    if cells.dtype == pl.Null or values.is_nested(cells.dtype):
        return np.full(len(cells), np.nan), np.zeros(len(cells), dtype=np.uint64)
    if cells.dtype == pl.String:
        cells = cells.str.strip_chars()
        cells = cells.set(cells == "", None)
        number = in_texts(Coded(cells, column.codes))
    else:
        plain = cells.to_physical() if cells.dtype.is_temporal() else cells
        number = plain.cast(pl.Float64, strict=False)
    number = number.fill_nan(None)
    missing = cells.is_null() if cells.dtype == pl.String else number.is_null()
    value = cells.hash(seed=0).to_numpy() | np.uint64(1)
    return number.fill_null(float("nan")).to_numpy(), np.where(missing.to_numpy(), np.uint64(0), value)


class _NumbersInTexts:
    """The numbers, or the moments, of the texts of a column where most of the first that there are are such; else none.

    NOTE[perf]: to look for both in every chunk took longer than all else that is looked at here.
    """

    def __init__(self, form: Mapping[str, Any]) -> None:
        self._form = form
        self._read: Callable[[pl.Series], pl.Series] | None = None

    @property
    def told(self) -> bool:
        """Whether it is known what the texts hold."""
        return self._read is not None

    def __call__(self, column: Coded) -> pl.Series:
        """For each cell a Float64, null where there is none."""
        cells = column.cells
        if self._read is None and cells.null_count() < len(cells):
            sample = sample_of_rows(column.where(cells.is_not_null()))
            if 2 * int(parse(sample, **self._form).wrong.sum()) <= len(sample):
                self._read = self._numbers
            else:
                self._read = as_dates if _are_dates(sample) else _nothing
        return (self._read or _nothing)(cells)

    def _numbers(self, column: pl.Series) -> pl.Series:
        return parse(column, **self._form).numbers


def _are_dates(sample: pl.Series) -> bool:
    """Whether most of some texts are ISO dates or times."""
    # NOTE[perf]: one look at how each begins tells it of most columns, in a twentieth of the time.
    may_be = 2 * int(sample.str.contains(r"^\s*[0-9]{4}").sum()) >= len(sample)
    return may_be and 2 * as_dates(sample).null_count() <= len(sample)


def _nothing(column: pl.Series) -> pl.Series:
    return pl.Series(column.name, [None], dtype=pl.Float64).new_from_index(0, len(column))


def _rankings(column: _Read, labels: NDArray[np.uint8]) -> Iterator[float]:
    """How well a column ranks the rows, by each way to read it: its AUC, or that of its opposite."""
    number, cell = column.number, column.cell
    yield _auc((column.value == 0).astype(np.intp).take(cell), 2, labels)
    distinct_values, value = np.unique(column.value, return_inverse=True)
    yield _held_out(value.take(cell), len(distinct_values), labels)
    told = ~np.isnan(number)
    if told.any():
        distinct, rank = np.unique(number, return_inverse=True)  # NaN is the last
        rows = told.take(cell)
        rank, count, labels = rank.take(cell[rows]), len(distinct) - (not told.all()), labels[rows]
        yield _auc(rank, count, labels)
        # What is high in the middle, or in a range: a number as a value, in bins of about equal mass.
        before = np.cumsum(np.bincount(rank)) - 1
        yield _held_out((before * _BINS // len(rank))[rank], _BINS, labels)


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
    held, others = _halves(len(value))
    known = value.take(others)
    rows = np.bincount(known, minlength=count)
    clicks = np.bincount(known, weights=labels.take(others), minlength=count)
    distinct, rank = np.unique((clicks + labels.mean()) / (rows + 1.0), return_inverse=True)
    return _auc(rank.take(value.take(held)), len(distinct), labels.take(held))


@lru_cache(maxsize=4)
def _halves(rows: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The rows that are held out, drawn by chance, and the others: most columns have equally many."""
    held = keyed_uniform(_HELD_KEY, np.arange(rows)) < 0.5
    return np.flatnonzero(held), np.flatnonzero(~held)
