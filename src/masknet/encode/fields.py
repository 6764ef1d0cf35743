"""How each kind of field becomes ids, values and dense columns, by what was learned of it (`learning.py`).

Cells are read by `cells.reader`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any, ClassVar, Protocol, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from masknet.encode.bags import BagCells
from masknet.encode.moments import Moments
from masknet.encode.numeric import Knots, NumericScale
from masknet.encode.shown import Counts, Shown
from masknet.encode.storage import Column, Knotted, Ragged, Storage, Vector
from masknet.encode.vocabulary import Buckets, Vocabulary
from masknet.own_files import UnsoundError
from masknet.schema import Bag, Categorical, Datetime, Dense, FieldSchema, Numeric
from masknet.space import FieldSpace

__all__ = [
    "BagEncoding",
    "CategoricalEncoding",
    "DatetimeEncoding",
    "DenseEncoding",
    "Encoded",
    "EncodedRows",
    "Encoding",
    "KnotEncoding",
    "Lookup",
    "NumericEncoding",
    "hour_and_weekday",
    "parts_of",
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
        numbers: `[rows, numbered fields of the space]`, as they were read, NaN where missing; None where the encoder
            was not asked to keep them.
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
        """The numbers in the cells, NaN where missing, for each numbered field that a model sees."""

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
        return (FieldSpace(self.field.name, num_values=len(self.vocabulary)),)

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
        return (
            FieldSpace(field.name, "bag", self.slots, field.pooling, field.ordered, num_values=len(self.vocabulary)),
        )

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
        return (FieldSpace(self.field.name, "numeric", numbered=True),)

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
        return (FieldSpace(self.field.name, "numeric", slots=2, numbered=True),)

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
        return tuple(replace(space, numbered=True) for part in self._parts for space in part.spaces)

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
        parts = (*hour_and_weekday(cells.wall), self.latest - cells.days)
        encoded = [encoding.encode(part) for encoding, part in zip(self._parts, parts, strict=True)]
        weights = [np.ones(ids.shape, dtype=np.float32) if own is None else own for ids, own, _ in encoded]
        return np.hstack([ids for ids, _, _ in encoded]), np.hstack(weights), None

    def numbers(self, cells: Moments) -> tuple[Numbers, Numbers, Numbers]:
        hour, weekday = (part.cast(pl.Float64).to_numpy() for part in hour_and_weekday(cells.wall))
        return hour, weekday, self.latest - cells.days

    def to_json(self) -> dict[str, Any]:
        return {
            "latest": self.latest,
            "hour": self.hour.to_json(),
            "weekday": self.weekday.to_json(),
            "age": self.age.to_json(),
        }


def hour_and_weekday(wall: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Of each moment, as texts: 0 to 23, and 0 (Monday) to 6."""
    return wall.dt.hour().cast(pl.String), (wall.dt.weekday() - 1).cast(pl.String)


# Reading


def parts_of(field: Datetime) -> tuple[Categorical, Categorical, Numeric]:
    """The three fields that a moment is read as."""
    hour, weekday, age = field.parts
    return (
        Categorical(name=hour, values="integer"),
        Categorical(name=weekday, values="integer"),
        Numeric(name=age, encoding=field.encoding),
    )


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
    hour, weekday, age = parts_of(field)
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
