"""How each kind of field becomes ids, values and dense columns: what it learns from training rows, and what it keeps.

A fit sees the training rows chunk by chunk; once all vocabularies are known, `finish` takes the field's reserved ids
and makes the encoding, which is all that scoring needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, ClassVar, Protocol, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from masknet.encode import values
from masknet.encode.cells import bag_cells, moments, vectors
from masknet.encode.numeric import Knots, KnotSample, MomentCounter, NumericScale
from masknet.encode.vocabulary import Buckets, ValueCounter, Vocabulary
from masknet.schema import Bag, Categorical, Datetime, Dense, FieldSchema, Numeric
from masknet.space import FieldSpace
from masknet.table import Chunk

__all__ = [
    "BagEncoding",
    "CategoricalEncoding",
    "DatetimeEncoding",
    "DenseEncoding",
    "EncodedRows",
    "Encoding",
    "KnotEncoding",
    "Lookup",
    "NumericEncoding",
    "fit_of",
    "restore",
]

Lookup: TypeAlias = Vocabulary | Buckets
Ids: TypeAlias = NDArray[np.int32]
Values: TypeAlias = NDArray[np.float32]


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
    """One field of the schema, fitted."""

    @property
    def spaces(self) -> tuple[FieldSpace, ...]:
        """The fields that a model sees, one or several."""

    @property
    def fixed_ids(self) -> tuple[int, ...]:
        """For each slot its id where that is the same in every row, else -1."""

    @property
    def unit_values(self) -> tuple[bool, ...]:
        """For each slot whether its value is 1 in every row that it is not padding in."""

    @property
    def unseen_ids(self) -> tuple[int, ...]:
        """For each slot its unseen id where no training row was rare, so that training must show it some, else -1."""

    @property
    def known(self) -> str:
        """What it knows of the field, in words."""

    def encode(self, chunk: Chunk) -> tuple[Ids, Values | None, Values | None]:
        """Ids and values `[rows, slots]` (None: all 1) and dense columns `[rows, width]` (None: the field has none).

        Raises:
            DataError: a cell cannot be what its column means.
        """

    def to_json(self) -> dict[str, Any]:
        """All but the vocabulary."""


@dataclass(frozen=True)
class CategoricalEncoding:
    """One categorical field: its reserved ids and its vocabulary.

    `missing` equals `unseen` where no training row was missing: an id that was never trained is never read.
    `unseen_rows` counts the training rows that were rare, and so trained the unseen row.
    """

    field: Categorical
    missing: int
    unseen: int
    unseen_rows: int
    vocabulary: Lookup

    fixed_ids: ClassVar = (-1,)
    unit_values: ClassVar = (True,)

    @property
    def spaces(self) -> tuple[FieldSpace, ...]:
        return (FieldSpace(self.field.name),)

    @property
    def unseen_ids(self) -> tuple[int, ...]:
        return (-1 if self.unseen_rows else self.unseen,)

    @property
    def known(self) -> str:
        return _known_values(self.vocabulary)

    def ids_of(self, text: pl.Series) -> Ids:
        """The ids of canonical texts."""
        return self.vocabulary.ids(text, missing=self.missing, unseen=self.unseen)

    def encode(self, chunk: Chunk) -> tuple[Ids, None, None]:
        text = values.categorical_text(chunk.frame[self.field.name], self.field.values, chunk.place)
        return self.ids_of(text)[:, None], None, None

    def to_json(self) -> dict[str, Any]:
        return _reserved(self)


@dataclass(frozen=True)
class BagEncoding:
    """One bag: as a categorical field, but for its slots. A row without a value is missing."""

    field: Bag
    missing: int
    unseen: int
    unseen_rows: int
    vocabulary: Lookup
    slots: int

    @property
    def spaces(self) -> tuple[FieldSpace, ...]:
        field = self.field
        return (FieldSpace(field.name, "bag", self.slots, field.pooling, field.ordered),)

    @property
    def fixed_ids(self) -> tuple[int, ...]:
        return (-1,) * self.slots

    @property
    def unit_values(self) -> tuple[bool, ...]:
        return (not self.field.weighted,) * self.slots

    @property
    def unseen_ids(self) -> tuple[int, ...]:
        return (-1 if self.unseen_rows else self.unseen,) * self.slots

    @property
    def known(self) -> str:
        return f"{_known_values(self.vocabulary)}, at most {self.slots} a row"

    def encode(self, chunk: Chunk) -> tuple[Ids, Values | None, None]:
        rows = len(chunk.frame)
        cells = bag_cells(chunk.frame[self.field.name], self.field, chunk.place)
        found = self.vocabulary.ids(cells.text, missing=self.missing, unseen=self.unseen)
        lengths = np.bincount(cells.row, minlength=rows)
        # The place of each value in its bag, counted so that the last `slots` values have places from 0 on.
        place = np.arange(len(found)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        place -= np.repeat(np.maximum(lengths - self.slots, 0), lengths)
        kept = place >= 0
        at = cells.row[kept], place[kept]
        ids = np.zeros((rows, self.slots), dtype=np.int32)
        ids[at] = found[kept]
        ids[lengths == 0, 0] = self.missing
        if not self.field.weighted:
            return ids, None, None
        weights = np.zeros((rows, self.slots), dtype=np.float32)
        weights[at] = 1.0 if cells.weights is None else cells.weights[kept]
        weights[lengths == 0, 0] = 1.0
        return ids, weights, None

    def to_json(self) -> dict[str, Any]:
        return _reserved(self) | {"slots": self.slots}


def _known_values(vocabulary: Lookup) -> str:
    return f"{len(vocabulary):,} {'buckets' if isinstance(vocabulary, Buckets) else 'values'}"


def _reserved(encoding: CategoricalEncoding | BagEncoding) -> dict[str, Any]:
    vocabulary = encoding.vocabulary
    return {
        "missing": encoding.missing,
        "unseen": encoding.unseen,
        "unseen_rows": encoding.unseen_rows,
        "vocabulary": len(vocabulary),
    } | ({"first_bucket": vocabulary.first_id} if isinstance(vocabulary, Buckets) else {})


@dataclass(frozen=True)
class NumericEncoding:
    """One numeric field, linear: `(value, scaled x)`, or `(missing, 1)`.

    `missing` is None where no training row was missing: the field then reads a missing number as its mean.
    """

    name: str
    value: int
    missing: int | None
    scale: NumericScale

    unit_values: ClassVar = (False,)
    unseen_ids: ClassVar = (-1,)

    @property
    def spaces(self) -> tuple[FieldSpace, ...]:
        return (FieldSpace(self.name, "numeric"),)

    @property
    def fixed_ids(self) -> tuple[int, ...]:
        return (self.value if self.missing is None else -1,)

    @property
    def known(self) -> str:
        return f"{self.scale.low:.6g} to {self.scale.high:.6g}"

    def of_numbers(self, numbers: NDArray[np.float64]) -> tuple[Ids, Values]:
        """Ids and values of numbers, NaN where missing."""
        scaled = self.scale.apply(numbers)
        ids = np.full(len(numbers), self.value, dtype=np.int32)
        if self.missing is not None:
            absent = np.isnan(numbers)
            ids[absent], scaled[absent] = self.missing, 1.0
        return ids[:, None], scaled[:, None]

    def encode(self, chunk: Chunk) -> tuple[Ids, Values, None]:
        return *self.of_numbers(values.numbers(chunk.frame[self.name], chunk.place)), None

    def to_json(self) -> dict[str, Any]:
        return {"value": self.value, "missing": self.missing, "scale": self.scale.model_dump()}


@dataclass(frozen=True)
class KnotEncoding:
    """One numeric field, by knots: `(lower knot, 1 - w), (upper knot, w)`, or `(missing, 1), padding`.

    `missing` is None where no training row was missing: the field then reads a missing number as its median.
    """

    name: str
    missing: int | None
    first_knot: int
    knots: Knots

    fixed_ids: ClassVar = (-1, -1)
    unit_values: ClassVar = (False, False)
    unseen_ids: ClassVar = (-1, -1)

    @property
    def spaces(self) -> tuple[FieldSpace, ...]:
        return (FieldSpace(self.name, "numeric", slots=2),)

    @property
    def known(self) -> str:
        return f"{self.knots.at[0]:.6g} to {self.knots.at[-1]:.6g}, {len(self.knots)} knots"

    def of_numbers(self, numbers: NDArray[np.float64]) -> tuple[Ids, Values]:
        """Ids and values of numbers, NaN where missing."""
        index, weight = self.knots.apply(numbers)
        lower = self.first_knot + index.astype(np.int32)
        ids = np.stack([lower, np.where(weight > 0, lower + 1, 0)], axis=1)
        weights = np.stack([1 - weight, weight], axis=1)
        if self.missing is not None:
            absent = np.isnan(numbers)
            ids[absent], weights[absent] = (self.missing, 0), (1.0, 0.0)
        return ids.astype(np.int32), weights

    def encode(self, chunk: Chunk) -> tuple[Ids, Values, None]:
        return *self.of_numbers(values.numbers(chunk.frame[self.name], chunk.place)), None

    def to_json(self) -> dict[str, Any]:
        return {"missing": self.missing, "first_knot": self.first_knot, "knots": self.knots.model_dump()}


@dataclass(frozen=True)
class DenseEncoding:
    """One vector, as it is; a missing one is all zero."""

    field: Dense

    fixed_ids: ClassVar = ()
    unit_values: ClassVar = ()
    unseen_ids: ClassVar = ()

    @property
    def spaces(self) -> tuple[FieldSpace, ...]:
        field = self.field
        return (FieldSpace(field.name, "dense", slots=0, width=field.width, projected=field.projected),)

    @property
    def known(self) -> str:
        return f"{self.field.width} numbers"

    def encode(self, chunk: Chunk) -> tuple[Ids, None, Values]:
        found = vectors(chunk.frame[self.field.name], self.field.width, chunk.place)
        return np.empty((len(found), 0), dtype=np.int32), None, found

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

    def _parts(self) -> tuple[CategoricalEncoding, CategoricalEncoding, NumericEncoding | KnotEncoding]:
        return self.hour, self.weekday, self.age

    @property
    def spaces(self) -> tuple[FieldSpace, ...]:
        return tuple(space for part in self._parts() for space in part.spaces)

    @property
    def fixed_ids(self) -> tuple[int, ...]:
        return tuple(i for part in self._parts() for i in part.fixed_ids)

    @property
    def unit_values(self) -> tuple[bool, ...]:
        return tuple(unit for part in self._parts() for unit in part.unit_values)

    @property
    def unseen_ids(self) -> tuple[int, ...]:
        return tuple(i for part in self._parts() for i in part.unseen_ids)

    @property
    def known(self) -> str:
        return f"until {date(1970, 1, 1) + timedelta(days=int(self.latest // 1))}"

    def encode(self, chunk: Chunk) -> tuple[Ids, Values, None]:
        found = moments(chunk.frame[self.field.name], self.field.form, chunk.place, zoned=self.field.zoned)
        hour, weekday = _hour_and_weekday(found.wall)
        ids, scaled = self.age.of_numbers(self.latest - found.days)
        both = np.stack([self.hour.ids_of(hour), self.weekday.ids_of(weekday)], axis=1)
        return np.hstack([both, ids]), np.hstack([np.ones_like(both, dtype=np.float32), scaled]), None

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

    def ids(self, count: int) -> int:
        """The first of `count` neighbouring ids."""
        self._next += count
        return self._next - count

    @property
    def num_ids(self) -> int:
        """All ids so far, padding included."""
        return self._next


class Fit(Protocol):
    """Learns one field of the schema."""

    reserved: int
    """How many reserved ids the field has."""

    def add(self, chunk: Chunk, keep: NDArray[np.bool_] | None) -> None:
        """Learn from the rows of a chunk, or from those that `keep` marks."""

    def counts(self) -> pl.DataFrame | None:
        """How often each value occurred, where the field reads a vocabulary."""

    def finish(self, reserve: Reserve, lookup: Callable[[], Lookup]) -> Encoding:
        """The encoding; `lookup` gives the field's vocabulary."""


class _ValueFit:
    """A categorical field, or a bag."""

    reserved = 2

    def __init__(self, field: Categorical | Bag) -> None:
        self.field = field
        self._missing = 0
        self._longest = 1
        self._counter = ValueCounter()

    def add(self, chunk: Chunk, keep: NDArray[np.bool_] | None) -> None:
        column = chunk.frame[self.field.name]
        if isinstance(self.field, Categorical):
            text = values.categorical_text(column, self.field.values, chunk.place)
            text = text if keep is None else text.filter(pl.Series(keep))
            self._missing += text.null_count()
        else:
            cells = bag_cells(column, self.field, chunk.place)
            lengths = np.bincount(cells.row, minlength=len(column))
            text = cells.text if keep is None else cells.text.filter(pl.Series(keep[cells.row]))
            lengths = lengths if keep is None else lengths[keep]
            self._missing += int((lengths == 0).sum())
            self._longest = max(self._longest, int(lengths.max(initial=0)))
        if self.field.buckets is None:
            self._counter.add(text)

    def counts(self) -> pl.DataFrame | None:
        return self._counter.counts() if self.field.buckets is None else None

    def finish(self, reserve: Reserve, lookup: Callable[[], Lookup]) -> CategoricalEncoding | BagEncoding:
        missing, unseen = reserve.pair()
        missing = missing if self._missing else unseen
        vocabulary = lookup()
        rare = 0
        if isinstance(vocabulary, Vocabulary):
            own = self._counter.counts()
            rare = int(own.join(vocabulary.values.to_frame("value"), on="value", how="anti")["count"].sum())
        if isinstance(self.field, Categorical):
            return CategoricalEncoding(self.field, missing, unseen, rare, vocabulary)
        slots = min(self._longest, self.field.max_length)
        return BagEncoding(self.field, missing, unseen, rare, vocabulary, slots)


class _NumberFit:
    reserved = 2

    def __init__(self, field: Numeric | Datetime) -> None:
        self._field = field
        self._moments = MomentCounter()
        self._sample = KnotSample()

    def add(self, chunk: Chunk, keep: NDArray[np.bool_] | None) -> None:
        numbers = values.numbers(chunk.frame[self._field.name], chunk.place)
        self.add_numbers(numbers if keep is None else numbers[keep])

    def add_numbers(self, numbers: NDArray[np.float64]) -> None:
        self._moments.add(numbers)
        if self._field.encoding == "knots":
            self._sample.add(numbers)

    def counts(self) -> None:
        return None

    @property
    def range(self) -> tuple[float, float]:
        return self._moments.range

    def finish(self, reserve: Reserve, lookup: Callable[[], Lookup]) -> NumericEncoding | KnotEncoding:
        return self.encoding(self._field.name, reserve)

    def encoding(self, name: str, reserve: Reserve, *, before: float | None = None) -> NumericEncoding | KnotEncoding:
        """The encoding of the numbers, or of how far they lie before a number."""
        first, second = reserve.pair()
        missing = second if self._moments.missing else None
        if self._field.encoding == "knots":
            knots = self._sample.knots(*self._moments.range)
            if before is not None:
                knots = Knots(at=tuple(before - at for at in reversed(knots.at)))
            return KnotEncoding(name, missing, reserve.ids(len(knots)), knots)
        if before is None:
            return NumericEncoding(name, first, missing, self._moments.scale())
        return NumericEncoding(name, first, missing, self._moments.scale(bent=False).mirrored(before))


class _DenseFit:
    reserved = 0

    def __init__(self, field: Dense) -> None:
        self._field = field

    def add(self, chunk: Chunk, keep: NDArray[np.bool_] | None) -> None:
        pass

    def counts(self) -> None:
        return None

    def finish(self, reserve: Reserve, lookup: Callable[[], Lookup]) -> DenseEncoding:
        return DenseEncoding(self._field)


class _DatetimeFit:
    reserved = 6

    def __init__(self, field: Datetime) -> None:
        self._field = field
        self._missing = False
        self._hours, self._weekdays = ValueCounter(), ValueCounter()
        self._age = _NumberFit(field)

    def add(self, chunk: Chunk, keep: NDArray[np.bool_] | None) -> None:
        found = moments(chunk.frame[self._field.name], self._field.form, chunk.place, zoned=self._field.zoned)
        wall, days = (
            (found.wall, found.days) if keep is None else (found.wall.filter(pl.Series(keep)), found.days[keep])
        )
        hour, weekday = _hour_and_weekday(wall)
        self._hours.add(hour)
        self._weekdays.add(weekday)
        self._missing |= wall.null_count() > 0
        self._age.add_numbers(days)

    def counts(self) -> None:
        return None

    def finish(self, reserve: Reserve, lookup: Callable[[], Lookup]) -> DatetimeEncoding:
        hour, weekday = (
            self._part(name, counter, reserve) for name, counter in (("hour", self._hours), ("weekday", self._weekdays))
        )
        latest = self._age.range[1]
        age = self._age.encoding(f"{self._field.name}.age", reserve, before=latest)
        return DatetimeEncoding(self._field, latest, hour, weekday, age)

    def _part(self, name: str, counter: ValueCounter, reserve: Reserve) -> CategoricalEncoding:
        missing, unseen = reserve.pair()
        known = counter.counts()["value"]
        ids = np.arange(len(known), dtype=np.int32) + np.int32(reserve.ids(len(known)))
        field = Categorical(name=f"{self._field.name}.{name}", values="integer")
        return CategoricalEncoding(field, missing if self._missing else unseen, unseen, 0, Vocabulary(known, ids))


def fit_of(field: FieldSchema) -> Fit:
    """What learns a field of this kind."""
    if isinstance(field, Categorical | Bag):
        return _ValueFit(field)
    if isinstance(field, Numeric):
        return _NumberFit(field)
    return _DenseFit(field) if isinstance(field, Dense) else _DatetimeFit(field)


def restore(field: FieldSchema, saved: Mapping[str, Any], vocabularies: Mapping[str, Vocabulary]) -> Encoding:
    """The inverse of `to_json`: the encoding of a field, with the vocabularies by name."""
    if isinstance(field, Categorical | Bag):
        return _restore_values(field, saved, vocabularies)
    if isinstance(field, Dense):
        return DenseEncoding(field)
    if isinstance(field, Numeric):
        return _restore_number(field.name, saved)
    parts = [
        _restore_values(Categorical(name=f"{field.name}.{name}", values="integer"), saved[name], vocabularies)
        for name in ("hour", "weekday")
    ]
    age = _restore_number(f"{field.name}.age", saved["age"])
    return DatetimeEncoding(field, saved["latest"], parts[0], parts[1], age)  # type: ignore[arg-type]


def _restore_values(
    field: Categorical | Bag, saved: Mapping[str, Any], vocabularies: Mapping[str, Vocabulary]
) -> CategoricalEncoding | BagEncoding:
    nothing = Vocabulary(pl.Series([], dtype=pl.String), np.empty(0, dtype=np.int32))
    lookup: Lookup = vocabularies.get(field.shares or field.name, nothing)
    if "first_bucket" in saved:
        lookup = Buckets(saved["vocabulary"], first_id=saved["first_bucket"])
    reserved = (saved["missing"], saved["unseen"], saved["unseen_rows"], lookup)
    if isinstance(field, Categorical):
        return CategoricalEncoding(field, *reserved)
    return BagEncoding(field, *reserved, saved["slots"])


def _restore_number(name: str, saved: Mapping[str, Any]) -> NumericEncoding | KnotEncoding:
    if "knots" in saved:
        return KnotEncoding(name, saved["missing"], saved["first_knot"], Knots.model_validate(saved["knots"]))
    return NumericEncoding(name, saved["value"], saved["missing"], NumericScale.model_validate(saved["scale"]))


def vocabularies_of(encoding: Encoding) -> Iterator[tuple[str, Vocabulary]]:
    """The vocabularies that an encoding keeps, by the name that they are saved under; a shared one is its owner's."""
    if isinstance(encoding, CategoricalEncoding | BagEncoding):
        if encoding.field.shares is None and isinstance(encoding.vocabulary, Vocabulary):
            yield encoding.field.name, encoding.vocabulary
    elif isinstance(encoding, DatetimeEncoding):
        for part in (encoding.hour, encoding.weekday):
            yield from vocabularies_of(part)
