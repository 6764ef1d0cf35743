"""How each kind of field becomes ids, values and dense columns: what it learns from training rows, and what it keeps.

A learner sees the cells of the training rows chunk by chunk; once all vocabularies are known, `finish` takes the
field's reserved ids and makes the encoding, which is all that scoring needs. Cells are read by `cells.reader`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, ClassVar, Protocol, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from masknet.encode.bags import BagCells
from masknet.encode.moments import Moments
from masknet.encode.numeric import Knots, KnotSample, NumberStatistics, NumericScale
from masknet.encode.shown import Counts, Shown
from masknet.encode.storage import Column, Knotted, Ragged, Storage, Vector
from masknet.encode.vocabulary import Buckets, ValueCounter, Vocabulary
from masknet.own_files import UnsoundError
from masknet.schema import Bag, Categorical, Datetime, Dense, FieldSchema, Numeric
from masknet.space import FieldSpace

__all__ = [
    "BagEncoding",
    "CategoricalEncoding",
    "DatetimeEncoding",
    "DenseEncoding",
    "EncodedRows",
    "Encoding",
    "FieldLearner",
    "KnotEncoding",
    "Lookup",
    "NumericEncoding",
    "learner_of",
    "restore",
    "vocabularies_of",
]

Lookup: TypeAlias = Vocabulary | Buckets
Ids: TypeAlias = NDArray[np.int32]
Values: TypeAlias = NDArray[np.float32]
Numbers: TypeAlias = NDArray[np.float64]
Encoded: TypeAlias = tuple[Ids, Values | None, Values | None]
"""Ids and values `[rows, slots]` (None: all 1) and dense columns `[rows, width]` (None: the field has none)."""


@dataclass(frozen=True)
class EncodedRows:
    """Rows as a model reads them.

    Args:
        ids: `[rows, slots]`; 0 is padding.
        values: `[rows, slots]`, or `[1, slots]` where they are the same in all rows.
        dense: `[rows, dense columns]`; None where no field is dense.
        numbers: `[rows, numeric fields of the space]`, as they were read, NaN where missing; None where the encoder was
            not asked to keep them.
    """

    ids: Ids
    values: Values
    dense: Values | None = None
    numbers: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        """Rows."""
        return len(self.ids)

    def some(self, span: slice) -> EncodedRows:
        """Neighbouring rows, as views."""
        return EncodedRows(
            ids=self.ids[span],
            values=self.values if len(self.values) != len(self) else self.values[span],
            dense=None if self.dense is None else self.dense[span],
            numbers=None if self.numbers is None else self.numbers[span],
        )


class Encoding(Protocol):
    """One field of the schema, once it is learned."""

    @property
    def field(self) -> FieldSchema:
        """What the field means, and so how its cells are read."""

    @property
    def spaces(self) -> tuple[FieldSpace, ...]:
        """The fields that a model sees, one or several."""

    @property
    def storages(self) -> tuple[Storage, ...]:
        """How each of these is kept."""

    @property
    def shown(self) -> tuple[Shown, ...]:
        """What each of these reads in place of a value, so that training can show it."""

    @property
    def known(self) -> str:
        """What it knows of the field, in words."""

    def encode(self, cells: Any) -> Encoded:
        """What a network reads of the cells, as `cells.reader` gives them."""

    def numbers(self, cells: Any) -> tuple[Numbers, ...]:
        """The numbers in the cells, NaN where missing, for each numeric field that a model sees."""

    def to_json(self) -> dict[str, Any]:
        """All but the vocabulary."""


@dataclass(frozen=True)
class CategoricalEncoding:
    """One categorical field: its reserved ids and its vocabulary.

    `missing` equals `unseen` where no training row was missing: an id that was never trained is never read.
    """

    field: Categorical
    missing: int
    unseen: int
    counts: Counts
    vocabulary: Lookup

    storages: ClassVar = (Column(),)

    @property
    def spaces(self) -> tuple[FieldSpace, ...]:
        return (FieldSpace(self.field.name),)

    @property
    def shown(self) -> tuple[Shown]:
        return (_shown_values(self, slots=1),)

    @property
    def known(self) -> str:
        return _known_values(self.vocabulary)

    def encode(self, cells: pl.Series) -> Encoded:
        return self.vocabulary.ids(cells, missing=self.missing, unseen=self.unseen)[:, None], None, None

    def numbers(self, cells: pl.Series) -> tuple[()]:
        return ()

    def to_json(self) -> dict[str, Any]:
        return _reserved(self)


@dataclass(frozen=True)
class BagEncoding:
    """One bag: as a categorical field, but for its slots. A row without a value is missing."""

    field: Bag
    missing: int
    unseen: int
    counts: Counts
    vocabulary: Lookup
    slots: int

    @property
    def spaces(self) -> tuple[FieldSpace, ...]:
        field = self.field
        return (FieldSpace(field.name, "bag", self.slots, field.pooling, field.ordered),)

    @property
    def storages(self) -> tuple[Storage, ...]:
        return (Ragged(self.slots, self.field.weighted),)

    @property
    def shown(self) -> tuple[Shown]:
        return (_shown_values(self, slots=self.slots),)

    @property
    def known(self) -> str:
        return f"{_known_values(self.vocabulary)}, at most {self.slots} a row"

    def encode(self, cells: BagCells) -> Encoded:
        found = self.vocabulary.ids(cells.text, missing=self.missing, unseen=self.unseen)
        lengths = cells.lengths
        # The place of each value in its bag, counted so that the last `slots` values have places from 0 on.
        place = np.arange(len(found)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        place -= np.repeat(np.maximum(lengths - self.slots, 0), lengths)
        kept = place >= 0
        at = cells.row[kept], place[kept]
        ids = np.zeros((cells.rows, self.slots), dtype=np.int32)
        ids[at] = found[kept]
        ids[lengths == 0, 0] = self.missing
        if not self.field.weighted:
            return ids, None, None
        weights = np.zeros((cells.rows, self.slots), dtype=np.float32)
        weights[at] = 1.0 if cells.weights is None else cells.weights[kept]
        weights[lengths == 0, 0] = 1.0
        return ids, weights, None

    def numbers(self, cells: BagCells) -> tuple[()]:
        return ()

    def to_json(self) -> dict[str, Any]:
        return _reserved(self) | {"slots": self.slots}


def _shown_values(encoding: CategoricalEncoding | BagEncoding, *, slots: int) -> Shown:
    """No value is unseen to a hashed field: its unseen id is read only for a missing one that training never had."""
    counts, ever_missing = encoding.counts, encoding.missing != encoding.unseen
    return Shown(
        slots,
        unseen=encoding.unseen if encoding.vocabulary.has_unseen or not ever_missing else -1,
        missing=encoding.missing if ever_missing else -1,
        counts=counts,
    )


def _shown_number(encoding: NumericEncoding | KnotEncoding, *, slots: int) -> Shown:
    missing = -1 if encoding.missing is None else encoding.missing
    return Shown(slots, missing=missing, counts=encoding.counts)


def _known_values(vocabulary: Lookup) -> str:
    return f"{len(vocabulary):,} {'buckets' if isinstance(vocabulary, Buckets) else 'values'}"


def _reserved(encoding: CategoricalEncoding | BagEncoding) -> dict[str, Any]:
    vocabulary = encoding.vocabulary
    return {
        "missing": encoding.missing,
        "unseen": encoding.unseen,
        "unseen_rows": encoding.counts.rare,
        **encoding.counts.to_json(),
        "vocabulary": len(vocabulary),
    } | ({"first_bucket": vocabulary.first_id} if isinstance(vocabulary, Buckets) else {})


@dataclass(frozen=True)
class NumericEncoding:
    """One numeric field, linear: `(value, scaled x)`, or `(missing, 1)`.

    `missing` is None where no training row was missing: the field then reads a missing number as its mean.
    """

    field: Numeric
    value: int
    missing: int | None
    scale: NumericScale
    counts: Counts

    @property
    def spaces(self) -> tuple[FieldSpace, ...]:
        return (FieldSpace(self.field.name, "numeric"),)

    @property
    def storages(self) -> tuple[Storage, ...]:
        return (Column(fixed_id=self.value if self.missing is None else None, scaled=True),)

    @property
    def shown(self) -> tuple[Shown]:
        return (_shown_number(self, slots=1),)

    @property
    def known(self) -> str:
        return f"{self.scale.low:.6g} to {self.scale.high:.6g}"

    def encode(self, cells: Numbers) -> Encoded:
        scaled = self.scale.apply(cells)
        ids = np.full(len(cells), self.value, dtype=np.int32)
        if self.missing is not None:
            absent = np.isnan(cells)
            ids[absent], scaled[absent] = self.missing, 1.0
        return ids[:, None], scaled[:, None], None

    def numbers(self, cells: Numbers) -> tuple[Numbers]:
        return (cells,)

    def to_json(self) -> dict[str, Any]:
        kept = {"value": self.value, "missing": self.missing, "scale": self.scale.model_dump()}
        return kept | self.counts.to_json()


@dataclass(frozen=True)
class KnotEncoding:
    """One numeric field, by knots: `(lower knot, 1 - w), (upper knot, w)`, or `(missing, 1), padding`.

    `missing` is None where no training row was missing: the field then reads a missing number as its median.
    `ids` are those of the knots, one each; they need not be neighbours.
    """

    field: Numeric
    missing: int | None
    ids: tuple[int, ...]
    knots: Knots
    counts: Counts

    @property
    def spaces(self) -> tuple[FieldSpace, ...]:
        return (FieldSpace(self.field.name, "numeric", slots=2),)

    @property
    def storages(self) -> tuple[Storage, ...]:
        return (Knotted(self.ids),)

    @property
    def shown(self) -> tuple[Shown]:
        return (_shown_number(self, slots=2),)

    @property
    def known(self) -> str:
        return f"{self.knots.at[0]:.6g} to {self.knots.at[-1]:.6g}, {len(self.knots)} knots"

    def encode(self, cells: Numbers) -> Encoded:
        index, weight = self.knots.apply(cells)
        own = np.array((*self.ids, 0), dtype=np.int32)  # above the last knot, whose upper weighs 0, is padding
        ids = np.stack([own[index], np.where(weight > 0, own[index + 1], 0)], axis=1)
        weights = np.stack([1 - weight, weight], axis=1)
        if self.missing is not None:
            absent = np.isnan(cells)
            ids[absent], weights[absent] = (self.missing, 0), (1.0, 0.0)
        return ids, weights, None

    def numbers(self, cells: Numbers) -> tuple[Numbers]:
        return (cells,)

    def to_json(self) -> dict[str, Any]:
        neighbours = self.ids == tuple(range(self.ids[0], self.ids[0] + len(self.ids)))
        ids = {"first_knot": self.ids[0]} if neighbours else {"knot_ids": list(self.ids)}
        return {"missing": self.missing, **ids, "knots": self.knots.model_dump()} | self.counts.to_json()


@dataclass(frozen=True)
class DenseEncoding:
    """One vector, as it is; a missing one is all zero."""

    field: Dense

    shown: ClassVar = (Shown(slots=0),)

    @property
    def spaces(self) -> tuple[FieldSpace, ...]:
        field = self.field
        return (FieldSpace(field.name, "dense", slots=0, width=field.width, projected=field.projected),)

    @property
    def storages(self) -> tuple[Storage, ...]:
        return (Vector(self.field.width),)

    @property
    def known(self) -> str:
        return f"{self.field.width} numbers"

    def encode(self, cells: Values) -> Encoded:
        return np.empty((len(cells), 0), dtype=np.int32), None, cells

    def numbers(self, cells: Values) -> tuple[()]:
        return ()

    def to_json(self) -> dict[str, Any]:
        return {}


@dataclass(frozen=True)
class DatetimeEncoding:
    """One moment, as three fields: hour, weekday, and age, counted back in days from `latest`, in days since 1970."""

    field: Datetime
    latest: float
    hour: CategoricalEncoding
    weekday: CategoricalEncoding
    age: NumericEncoding | KnotEncoding

    @property
    def _parts(self) -> tuple[Encoding, Encoding, Encoding]:
        return self.hour, self.weekday, self.age

    @property
    def spaces(self) -> tuple[FieldSpace, ...]:
        return tuple(space for part in self._parts for space in part.spaces)

    @property
    def storages(self) -> tuple[Storage, ...]:
        return tuple(storage for part in self._parts for storage in part.storages)

    @property
    def shown(self) -> tuple[Shown, ...]:
        return tuple(shown for part in self._parts for shown in part.shown)

    @property
    def known(self) -> str:
        return f"until {date(1970, 1, 1) + timedelta(days=int(self.latest // 1))}"

    def encode(self, cells: Moments) -> Encoded:
        parts = (*_hour_and_weekday(cells.wall), self.latest - cells.days)
        encoded = [encoding.encode(part) for encoding, part in zip(self._parts, parts, strict=True)]
        weights = [np.ones(ids.shape, dtype=np.float32) if own is None else own for ids, own, _ in encoded]
        return np.hstack([ids for ids, _, _ in encoded]), np.hstack(weights), None

    def numbers(self, cells: Moments) -> tuple[Numbers]:
        return (self.latest - cells.days,)

    def to_json(self) -> dict[str, Any]:
        return {
            "latest": self.latest,
            "hour": self.hour.to_json(),
            "weekday": self.weekday.to_json(),
            "age": self.age.to_json(),
        }


def _hour_and_weekday(wall: pl.Series) -> tuple[pl.Series, pl.Series]:
    return wall.dt.hour().cast(pl.String), (wall.dt.weekday() - 1).cast(pl.String)


# Learning


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

    def add(self, cells: Any, keep: NDArray[np.bool_] | None) -> None:
        """Learn from the cells of a chunk, or from those of the rows that `keep` marks."""

    def counts(self) -> pl.DataFrame | None:
        """How often each value occurred, where the field reads a vocabulary."""

    def finish(self, reserve: Reserve, lookup: Callable[[], Lookup]) -> Encoding:
        """The encoding; `lookup` gives the field's vocabulary."""


class _Occurrences:
    """What a field of values learns: how often each occurs, and how often none does."""

    def __init__(self, field: Categorical | Bag) -> None:
        self._counter = None if field.buckets is not None else ValueCounter()
        self._rows = self._missing = self._values = 0

    def add(self, text: pl.Series, *, rows: int, missing: int) -> None:
        self._rows += rows
        self._missing += missing
        self._values += len(text) - text.null_count()
        if self._counter is not None:
            self._counter.add(text)

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


class _CategoricalLearner:
    reserved = 2
    expected = CategoricalEncoding.storages

    def __init__(self, field: Categorical) -> None:
        self._field = field
        self._found = _Occurrences(field)
        self.counts = self._found.counts

    def add(self, cells: pl.Series, keep: NDArray[np.bool_] | None) -> None:
        text = cells if keep is None else cells.filter(pl.Series(keep))
        self._found.add(text, rows=len(text), missing=text.null_count())

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

    def add(self, cells: BagCells, keep: NDArray[np.bool_] | None) -> None:
        text = cells.text if keep is None else cells.text.filter(pl.Series(keep[cells.row]))
        lengths = cells.lengths if keep is None else cells.lengths[keep]
        self._found.add(text, rows=len(lengths), missing=int((lengths == 0).sum()))
        self._longest = max(self._longest, int(lengths.max(initial=0)))

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

    def add(self, cells: Numbers, keep: NDArray[np.bool_] | None) -> None:
        numbers = cells if keep is None else cells[keep]
        self._statistics.add(numbers)
        if self._field.encoding == "knots":
            self._sample.add(numbers)

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
            knots = self._sample.knots(*self._statistics.range)
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

    def add(self, cells: Values, keep: NDArray[np.bool_] | None) -> None:
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
        hour, weekday, age = _parts_of(field)
        self._parts = hour, weekday
        self._days = _NumberLearner(age)
        self.expected = (Column(), Column(), *self._days.expected)

    def add(self, cells: Moments, keep: NDArray[np.bool_] | None) -> None:
        wall = cells.wall if keep is None else cells.wall.filter(pl.Series(keep))
        hour, weekday = _hour_and_weekday(wall)
        self._hours.add(hour)
        self._weekdays.add(weekday)
        self._rows += len(wall)
        self._missing += wall.null_count()
        self._days.add(cells.days, keep)

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


def _parts_of(field: Datetime) -> tuple[Categorical, Categorical, Numeric]:
    """The three fields that a moment is read as."""
    hour, weekday, age = field.parts
    return (
        Categorical(name=hour, values="integer"),
        Categorical(name=weekday, values="integer"),
        Numeric(name=age, encoding=field.encoding),
    )


def learner_of(field: FieldSchema) -> FieldLearner:
    """What learns a field of this kind."""
    if isinstance(field, Categorical):
        return _CategoricalLearner(field)
    if isinstance(field, Bag):
        return _BagLearner(field)
    if isinstance(field, Numeric):
        return _NumberLearner(field)
    return _DenseLearner(field) if isinstance(field, Dense) else _DatetimeLearner(field)


def restore(field: FieldSchema, saved: Mapping[str, Any], vocabularies: Mapping[str, Vocabulary]) -> Encoding:
    """The inverse of `to_json`: the encoding of a field, with the vocabularies by name."""
    if isinstance(field, Categorical):
        return _restore_categorical(field, saved, vocabularies)
    if isinstance(field, Bag):
        return BagEncoding(field, *_restore_values(field, saved, vocabularies), saved["slots"])
    if isinstance(field, Dense):
        return DenseEncoding(field)
    if isinstance(field, Numeric):
        return _restore_number(field, saved)
    hour, weekday, age = _parts_of(field)
    return DatetimeEncoding(
        field,
        saved["latest"],
        _restore_categorical(hour, saved["hour"], vocabularies),
        _restore_categorical(weekday, saved["weekday"], vocabularies),
        _restore_number(age, saved["age"]),
    )


def _restore_categorical(
    field: Categorical, saved: Mapping[str, Any], vocabularies: Mapping[str, Vocabulary]
) -> CategoricalEncoding:
    return CategoricalEncoding(field, *_restore_values(field, saved, vocabularies))


def _restore_values(
    field: Categorical | Bag, saved: Mapping[str, Any], vocabularies: Mapping[str, Vocabulary]
) -> tuple[int, int, Counts, Lookup]:
    nothing = Vocabulary(pl.Series([], dtype=pl.String), np.empty(0, dtype=np.int32))
    lookup: Lookup = vocabularies.get(field.shares or field.name, nothing)
    if "first_bucket" in saved:
        lookup = Buckets(saved["vocabulary"], first_id=saved["first_bucket"])
    elif len(lookup) != saved["vocabulary"]:
        raise UnsoundError(
            f"field '{field.name}': {saved['vocabulary']!r} values were written, {len(lookup)} are there"
        )
    return saved["missing"], saved["unseen"], Counts.from_json(saved), lookup


def _restore_number(field: Numeric, saved: Mapping[str, Any]) -> NumericEncoding | KnotEncoding:
    if "knots" not in saved:
        scale = NumericScale.model_validate(saved["scale"])
        return NumericEncoding(field, saved["value"], saved["missing"], scale, Counts.from_json(saved))
    knots = Knots.model_validate(saved["knots"])
    first = saved.get("first_knot")
    ids = saved["knot_ids"] if first is None else range(first, first + len(knots))
    return KnotEncoding(field, saved["missing"], tuple(ids), knots, Counts.from_json(saved))


def vocabularies_of(encoding: Encoding) -> Iterator[tuple[str, Vocabulary]]:
    """The vocabularies that an encoding keeps, by the name that they are saved under; a shared one is its owner's."""
    if isinstance(encoding, CategoricalEncoding | BagEncoding):
        if encoding.field.shares is None and isinstance(encoding.vocabulary, Vocabulary):
            yield encoding.field.name, encoding.vocabulary
    elif isinstance(encoding, DatetimeEncoding):
        for part in (encoding.hour, encoding.weekday):
            yield from vocabularies_of(part)
