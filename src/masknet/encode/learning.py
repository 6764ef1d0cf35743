"""What each kind of field learns from training rows: its learner, which makes its encoding.

A learner sees the cells of a chunk, and which of them each training row has; once all vocabularies are known, `finish`
takes its own reserved ids and makes the encoding, which is all that scoring needs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from masknet.encode.bags import BagCells
from masknet.encode.fields import (
    BagEncoding,
    CategoricalEncoding,
    DatetimeEncoding,
    DenseEncoding,
    Encoding,
    KnotEncoding,
    Lookup,
    Numbers,
    NumericEncoding,
    Values,
    hour_and_weekday,
    parts_of,
)
from masknet.encode.moments import Moments
from masknet.encode.numeric import Knots, KnotSample, NumberStatistics, most_knots
from masknet.encode.shown import Counts
from masknet.encode.storage import Column, Ragged, Storage
from masknet.encode.vocabulary import ValueCounter, Vocabulary
from masknet.schema import Bag, Categorical, Datetime, Dense, FieldSchema, Numeric
from masknet.table import null_mask

__all__ = ["CategoricalLearner", "FieldLearner", "Reserve", "learner_of"]


class Reserve:
    """Hands out the ids: two reserved ones a field from 1 on, and behind all of those the vocabularies."""

    def __init__(self, reserved: int) -> None:
        self._reserved, self._next = 1, 1 + reserved

    def pair(self) -> tuple[int, int]:
        """Two reserved ids."""
        self._reserved += 2
        return self._reserved - 2, self._reserved - 1

    def ids(self, count: int) -> range:
        """The next `count` ids."""
        self._next += count
        return range(self._next - count, self._next)

    @property
    def num_ids(self) -> int:
        """All ids so far, padding included."""
        return self._next


class FieldLearner(Protocol):
    """Learns the encoding of one field of the schema."""

    @property
    def reserved(self) -> int:
        """How many reserved ids the field has."""

    @property
    def expected(self) -> tuple[Storage, ...]:
        """How it will be kept at the most, as far as that is known before anything is learned."""

    def add(self, cells: Any, rows: NDArray[np.integer]) -> None:
        """Learn from some rows of a chunk, given its cells, and for each of the rows which of them it has."""

    def counts(self) -> pl.DataFrame | None:
        """How often each value occurred, where the field reads a vocabulary."""

    def finish(self, reserve: Reserve, lookup: Callable[[], Lookup]) -> Encoding:
        """The encoding; `lookup` gives the field's vocabulary."""


class _Occurrences:
    """What a field of values learns: how often each occurs, and how often none does."""

    def __init__(self, field: Categorical | Bag) -> None:
        self._counter = None if field.buckets is not None else ValueCounter()
        self._rows = self._missing = self._values = 0

    def add(self, text: pl.Series, times: NDArray[np.int64], *, rows: int, missing: int, values: int) -> None:
        self._rows += rows
        self._missing += missing
        self._values += values
        if self._counter is not None:
            self._counter.add(text, times)

    def counts(self) -> pl.DataFrame | None:
        return None if self._counter is None else self._counter.counts()

    def finish(self, reserve: Reserve, lookup: Callable[[], Lookup]) -> tuple[int, int, Counts, Lookup]:
        """The missing id, the unseen id, what the rows held, and the vocabulary."""
        missing, unseen = reserve.pair()
        vocabulary = lookup()
        rare = 0
        if self._counter is not None and isinstance(vocabulary, Vocabulary):
            own = self._counter.counts()
            rare = int(own.join(vocabulary.values.to_frame("value"), on="value", how="anti")["count"].sum())
        counts = Counts(self._rows, self._missing, self._values, rare)
        return missing if self._missing else unseen, unseen, counts, vocabulary


class CategoricalLearner:
    """Learns the vocabulary of a field of values."""

    reserved = 2
    expected = CategoricalEncoding.storages

    def __init__(self, field: Categorical) -> None:
        self._field = field
        self._found = _Occurrences(field)
        self.counts = self._found.counts

    def add(self, cells: pl.Series, rows: NDArray[np.integer]) -> None:
        self.add_cells(cells, np.bincount(rows, minlength=len(cells)))

    def add_cells(self, cells: pl.Series, times: NDArray[np.int64]) -> None:
        """Learn from cells that so many rows have each: of values no more than that counts."""
        rows, missing = int(times.sum()), _missing(cells, times)
        self._found.add(cells, times, rows=rows, missing=missing, values=rows - missing)

    def finish(self, reserve: Reserve, lookup: Callable[[], Lookup]) -> CategoricalEncoding:
        return CategoricalEncoding(self._field, *self._found.finish(reserve, lookup))


class _BagLearner:
    reserved = 2

    def __init__(self, field: Bag) -> None:
        self._field = field
        self._found = _Occurrences(field)
        self._longest = 1
        self.counts = self._found.counts
        self.expected = (Ragged(field.max_length or 1, field.weighted),)  # what a row takes is told by its length

    def add(self, cells: BagCells, rows: NDArray[np.integer]) -> None:
        times = np.bincount(rows, minlength=cells.rows)
        lengths = cells.lengths
        missing, values = int(times[lengths == 0].sum()), int((times * lengths).sum())
        self._found.add(cells.text, times[cells.row], rows=len(rows), missing=missing, values=values)
        self._longest = max(self._longest, int(lengths[times > 0].max(initial=0)))

    def finish(self, reserve: Reserve, lookup: Callable[[], Lookup]) -> BagEncoding:
        slots = min(self._longest, self._field.max_length or self._longest)
        return BagEncoding(self._field, *self._found.finish(reserve, lookup), slots)


class _NumberLearner:
    reserved = 2
    expected = (Column(scaled=True),)  # knots take as much: an id and a value

    def __init__(self, field: Numeric) -> None:
        self._field = field
        self._statistics = NumberStatistics()
        self._sample = KnotSample()

    def add(self, cells: Numbers, rows: NDArray[np.integer]) -> None:
        self._statistics.add(cells, rows)
        if self._field.encoding == "knots":
            self._sample.add(cells.take(rows))

    def counts(self) -> None:
        return None

    @property
    def highest(self) -> float:
        """The greatest finite number; 0 where there is none."""
        return self._statistics.range[1]

    def finish(self, reserve: Reserve, lookup: Callable[[], Lookup]) -> NumericEncoding | KnotEncoding:
        return self.encoding(reserve)

    def encoding(self, reserve: Reserve, *, before: float | None = None) -> NumericEncoding | KnotEncoding:
        """The encoding of the numbers, or of how far they lie before a number."""
        first, second = reserve.pair()
        missing = second if self._statistics.missing else None
        rows, absent = self._statistics.rows, self._statistics.missing
        counts = Counts(rows, absent, rows - absent)
        if self._field.encoding == "knots":
            knots = self._sample.knots(*self._statistics.range, most_knots(rows - absent))
            if before is not None:
                knots = Knots(at=tuple(before - at for at in reversed(knots.at)))
            return KnotEncoding(self._field, missing, tuple(reserve.ids(len(knots))), knots, counts)
        scale = self._statistics.scale() if before is None else self._statistics.scale(bent=False).mirrored(before)
        return NumericEncoding(self._field, first, missing, scale, counts)


class _DenseLearner:
    reserved = 0

    def __init__(self, field: Dense) -> None:
        self._encoding = DenseEncoding(field)
        self.expected = self._encoding.storages

    def add(self, cells: Values, rows: NDArray[np.integer]) -> None:
        pass

    def counts(self) -> None:
        return None

    def finish(self, reserve: Reserve, lookup: Callable[[], Lookup]) -> DenseEncoding:
        return self._encoding


class _DatetimeLearner:
    reserved = 6

    def __init__(self, field: Datetime) -> None:
        self._field = field
        self._rows = self._missing = 0
        self._hours, self._weekdays = ValueCounter(), ValueCounter()
        hour, weekday, age = parts_of(field)
        self._parts = hour, weekday
        self._days = _NumberLearner(age)
        self.expected = (Column(), Column(), *self._days.expected)

    def add(self, cells: Moments, rows: NDArray[np.integer]) -> None:
        times = np.bincount(rows, minlength=len(cells.wall))
        hour, weekday = hour_and_weekday(cells.wall)
        self._hours.add(hour, times)
        self._weekdays.add(weekday, times)
        self._rows += len(rows)
        self._missing += _missing(cells.wall, times)
        self._days.add(cells.days, rows)

    def counts(self) -> None:
        return None

    def finish(self, reserve: Reserve, lookup: Callable[[], Lookup]) -> DatetimeEncoding:
        hour, weekday = (
            self._part(field, counter, reserve)
            for field, counter in zip(self._parts, (self._hours, self._weekdays), strict=True)
        )
        latest = self._days.highest
        return DatetimeEncoding(self._field, latest, hour, weekday, self._days.encoding(reserve, before=latest))

    def _part(self, field: Categorical, counter: ValueCounter, reserve: Reserve) -> CategoricalEncoding:
        missing, unseen = reserve.pair()
        known = counter.counts()["value"]
        ids = np.array(reserve.ids(len(known)), dtype=np.int32)
        counts = Counts(self._rows, self._missing, self._rows - self._missing)
        return CategoricalEncoding(field, missing if self._missing else unseen, unseen, counts, Vocabulary(known, ids))


def _missing(cells: pl.Series, times: NDArray[np.int64]) -> int:
    """How many rows have no value."""
    return int(times[null_mask(cells)].sum())


def learner_of(field: FieldSchema) -> FieldLearner:
    """What learns a field of this kind."""
    if isinstance(field, Categorical):
        return CategoricalLearner(field)
    if isinstance(field, Bag):
        return _BagLearner(field)
    if isinstance(field, Numeric):
        return _NumberLearner(field)
    return _DenseLearner(field) if isinstance(field, Dense) else _DatetimeLearner(field)
