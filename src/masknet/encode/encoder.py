"""Raw rows to ids, values and dense columns, the same in training and in every way of scoring.

The id space: 0 is padding; then two reserved rows a field (categorical and bag: missing and unseen; numeric: value and
missing); then the vocabularies, field after field, the commonest value first. What is added later stands at the end.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from masknet.encode.cells import Cells, Reader, reader
from masknet.encode.coded import CodedChunk
from masknet.encode.dictionary import Dictionary, PerCell, Times
from masknet.encode.fields import (
    BagEncoding,
    CategoricalEncoding,
    Encoded,
    EncodedRows,
    Encoding,
    Lookup,
    restore,
    vocabularies_of,
)
from masknet.encode.learning import CategoricalLearner, Reserve, learner_of
from masknet.encode.shown import Shown
from masknet.encode.skew import Count
from masknet.encode.sound import require_sound
from masknet.encode.storage import Layout
from masknet.encode.values import Place, canonical
from masknet.encode.vocabulary import Buckets, Vocabulary
from masknet.encode.workers import Each, in_turn
from masknet.errors import ConfigError, unknown
from masknet.own_files import read_frame, read_json
from masknet.schema import Bag, Categorical, Schema, ValueType
from masknet.space import FeatureSpace
from masknet.table import Chunk, Rows, spread

__all__ = ["EncodedRows", "Encoder", "EncoderLearner"]

_VOCABULARY = {"field": pl.String, "value": pl.String, "id": pl.Int32}
_CELLS_AT_ONCE = 1 << 25  # ids and values of 4 bytes each: 256 MB

ENCODING_FILE, VOCABULARY_FILE = "encoding.json", "vocabulary.parquet"


class Encoder:
    """A learned encoding: what scoring needs to read raw rows.

    Args:
        schema: what the columns mean.
        encodings: one a field, in the schema's order.
        num_ids: of the id space that the encodings share, padding included.
        raw_numbers: whether to give the numbers as they were read too, for models that want no knots.
    """

    def __init__(
        self, schema: Schema, encodings: Sequence[Encoding], num_ids: int, *, raw_numbers: bool = False
    ) -> None:
        self.schema = schema
        self.encodings = tuple(encodings)
        self.raw_numbers = raw_numbers
        self.space = FeatureSpace(
            num_ids=num_ids,
            fields=tuple(s for e in self.encodings for s in e.spaces),
            num_tasks=max(1, len(schema.labels)),
        )
        self.layout = Layout(tuple(storage for e in self.encodings for storage in e.storages))
        self._readers = [_encoding_reader(e) for e in self.encodings]
        self._slots = _spans(sum(storage.slots for storage in e.storages) for e in self.encodings)
        self._columns = _spans(sum(storage.width for storage in e.storages) for e in self.encodings)

    @property
    def shown(self) -> tuple[Shown, ...]:
        """For each field of the space what it reads in place of a value, so that training can show it."""
        return tuple(shown for e in self.encodings for shown in e.shown)

    @property
    def rows_at_once(self) -> int:
        """Rows that may be encoded at once: fewer than a chunk has where a bag is long, so that they fit the memory."""
        return max(1, _CELLS_AT_ONCE // max(1, self.space.num_slots))

    def encode(self, chunk: Rows, *counts: Count, each: Each = in_turn) -> EncodedRows:
        """The rows of a chunk that has the schema's fields, as a model reads them.

        Args:
            chunk: raw rows.
            counts: are told of the cells and ids of each field.
            each: does the fields, one after the other or several at once.

        Raises:
            DataError: a cell cannot be what its column means.
        """
        rows, space, names = len(chunk), self.space, self.schema.field_names
        joined = self._joined(chunk.frame) if isinstance(chunk, Chunk) and rows == 1 else {}
        ids = np.empty((rows, space.num_slots), dtype=np.int32)
        values = np.ones((rows, space.num_slots), dtype=np.float32)
        dense = np.empty((rows, space.dense_width), dtype=np.float32) if space.dense_width else None
        numbers: list[Sequence[NDArray[np.float64]]] = [()] * len(names)

        def encode(i: int) -> None:
            name, encoding = names[i], self.encodings[i]
            read: _Encoded
            if name in joined:
                read, codes = (joined[name], encoding.encode(joined[name])), None
            else:
                read, codes = chunk.read(name, self._readers[i])
            cells, (own_ids, own_values, own_dense) = read
            for count in counts:
                count(encoding, cells, own_ids, codes)
            ids[:, self._slots[i]] = spread(own_ids, codes)
            if own_values is not None:
                values[:, self._slots[i]] = spread(own_values, codes)
            if own_dense is not None and dense is not None:
                dense[:, self._columns[i]] = spread(own_dense, codes)
            if self.raw_numbers:
                numbers[i] = [spread(own, codes) for own in encoding.numbers(cells)]

        each(encode, range(len(names)))
        columns = [column for own in numbers for column in own]
        raw = np.stack(columns, axis=1) if columns else np.empty((rows, 0))
        return EncodedRows(ids, values, dense, raw if self.raw_numbers else None)

    def _joined(self, row: pl.DataFrame) -> dict[str, pl.Series]:
        """The canonical texts of one row's texts and integers, by the name of the field.

        NOTE[perf]: a query takes 0.1 ms however few the cells are: those of all fields with one type of values are read
        as one column. Neither can be refused, so that no error would name that column.
        """
        of_type: dict[ValueType, list[str]] = {}
        dtypes = row.schema
        for field in self.schema.fields:
            if isinstance(field, Categorical) and isinstance(dtypes[field.name], pl.String | pl.Int64):
                of_type.setdefault(field.values, []).append(field.name)
        cells = row.row(0, named=True) if of_type else {}
        joined: dict[str, pl.Series] = {}
        for values, names in of_type.items():
            own = [str(cell) if isinstance(cell, int) else cell for cell in map(cells.get, names)]
            text = canonical(pl.Series(own, dtype=pl.String), values)
            joined |= {name: text.slice(i, 1) for i, name in enumerate(names)}
        return joined

    def extended(self, field: str, values: Sequence[str] | pl.Series) -> Encoder:
        """An encoder that also knows `values` of a field: their ids come behind all others, and no row of ids moves.

        Values that it knows already are passed over, so are missing ones; fields that share the vocabulary know the
        new values too.

        Raises:
            ConfigError: there is no such field, or it keeps no vocabulary.
        """
        names = self.schema.field_names
        if field not in names:
            raise ConfigError(unknown("field", field, names))
        meant = self.schema.fields[names.index(field)]
        old = getattr(self.encodings[names.index(field)], "vocabulary", None)
        if not isinstance(meant, Categorical | Bag) or not isinstance(old, Vocabulary):
            raise ConfigError(f"values are added to a field that keeps a vocabulary; '{field}' keeps none")
        text = canonical(pl.Series(values, dtype=pl.String), meant.values).drop_nulls().unique(maintain_order=True)
        fresh = text.filter(~text.is_in(old.values.implode()))
        grown = old.extended(fresh, self.space.num_ids)
        encodings = [
            dataclasses.replace(e, vocabulary=grown)
            if isinstance(e, CategoricalEncoding | BagEncoding) and e.vocabulary is old
            else e
            for e in self.encodings
        ]
        return Encoder(self.schema, encodings, self.space.num_ids + len(fresh), raw_numbers=self.raw_numbers)

    def save(self, folder: Path) -> None:
        """Write `encoding.json` (schema, reserved ids, scales) and `vocabulary.parquet` (field, value, id)."""
        content = {
            "schema": self.schema.model_dump(mode="json"),
            "num_ids": self.space.num_ids,
            **({"raw_numbers": True} if self.raw_numbers else {}),
            "fields": {
                field.name: encoding.to_json()
                for field, encoding in zip(self.schema.fields, self.encodings, strict=True)
            },
        }
        (folder / ENCODING_FILE).write_text(json.dumps(content, indent=1, ensure_ascii=False), encoding="utf-8")
        parts = [
            pl.DataFrame(
                {
                    "field": pl.Series([name], dtype=pl.String).new_from_index(0, len(vocabulary)),
                    "value": vocabulary.values.cast(pl.String),
                    "id": pl.Series(vocabulary.id_array, dtype=pl.Int32),
                }
            )
            for e in self.encodings
            for name, vocabulary in vocabularies_of(e)
        ]
        empty = pl.DataFrame(schema=_VOCABULARY)
        pl.concat([empty, *parts]).write_parquet(folder / VOCABULARY_FILE)

    @classmethod
    def load(cls, folder: Path) -> Encoder:
        """The inverse of `save`.

        Raises:
            ValueError, KeyError, TypeError, AttributeError: a file is not as `save` writes it.
            OSError: a file cannot be read.
        """
        content = read_json(folder / ENCODING_FILE)
        schema = Schema.model_validate(content["schema"])
        vocabularies = {
            str(name[0]): Vocabulary(part["value"], part["id"].to_numpy())
            for name, part in read_frame(folder / VOCABULARY_FILE, _VOCABULARY).group_by("field", maintain_order=True)
        }
        encodings = tuple(restore(field, content["fields"][field.name], vocabularies) for field in schema.fields)
        require_sound(encodings, content["num_ids"])
        return cls(schema, encodings, content["num_ids"], raw_numbers=content.get("raw_numbers") is True)


_Encoded: TypeAlias = tuple[Cells, Encoded]


@dataclasses.dataclass(frozen=True, eq=False)
class _EncodingReader:
    """What the cells of a field mean, and what a network reads of them."""

    encoding: Encoding
    reader: Reader

    def __call__(self, column: pl.Series, place: Place) -> _Encoded:
        cells = self.reader(column, place)
        return cells, self.encoding.encode(cells)


@dataclasses.dataclass(frozen=True, eq=False)
class _CellEncodingReader:
    """The same of cells that are read each by itself: a `PerCell`."""

    encoding: Encoding
    reader: PerCell[Any]

    def __call__(self, column: pl.Series, place: Place) -> _Encoded:
        return _EncodingReader(self.encoding, self.reader)(column, place)

    def take(self, found: _Encoded, which: NDArray[np.integer]) -> _Encoded:
        cells, (ids, weights, _) = found  # what is read cell by cell has no dense columns
        weights = None if weights is None else weights.take(which, axis=0)
        return self.reader.take(cells, which), (ids.take(which, axis=0), weights, None)


def _encoding_reader(encoding: Encoding) -> _EncodingReader | _CellEncodingReader:
    read = reader(encoding.field)
    return _CellEncodingReader(encoding, read) if isinstance(read, PerCell) else _EncodingReader(encoding, read)


def _spans(widths: Iterable[int]) -> list[slice]:
    """Where each of the fields stands, side by side."""
    return [slice(*ends) for ends in pairwise(accumulate(widths, initial=0))]


class EncoderLearner:
    """Learns an encoding from chunks of training rows.

    Args:
        schema: what the columns mean.
        min_count: values seen in fewer rows than this share the unseen row; fields that share values count together.
        max_vocabulary: keep at most so many values of a field, the commonest; None for all.
        raw_numbers: whether the encoder is to give the numbers as they were read too.
    """

    def __init__(
        self,
        schema: Schema,
        *,
        min_count: int = 1,
        max_vocabulary: int | None = None,
        raw_numbers: bool = False,
    ) -> None:
        self._schema = schema
        self._min_count = min_count
        self._max_vocabulary = max_vocabulary
        self._raw_numbers = raw_numbers
        self._readers = [reader(field) for field in schema.fields]
        self._learners = {field.name: learner_of(field) for field in schema.fields}
        self._times: list[dict[Dictionary, Times]] = [{} for _ in schema.fields]

    def row_bytes(self, lengths: Mapping[str, float]) -> float:
        """What a row of the fields will take on the disk, at the most.

        Args:
            lengths: the mean number of values a row, by the name of the field.
        """
        total = 0.0
        for name, learner in self._learners.items():
            length, stored = lengths.get(name, 1.0), learner.expected
            total += sum(storage.row_bytes(length) for storage in stored)
            if self._raw_numbers and any(storage.scaled for storage in stored):
                total += 8 * len(stored)  # of a moment its hour and weekday too
        return total

    def add(self, chunk: Rows, keep: NDArray[np.bool_] | None = None, *, each: Each = in_turn) -> None:
        """Learn from the rows of a chunk, or from those that `keep` marks; `each` as in `Encoder.encode`."""
        rows = np.arange(len(chunk)) if keep is None else np.flatnonzero(keep)
        names = self._schema.field_names

        def add(i: int) -> None:
            learner = self._learners[names[i]]
            known = chunk.columns[names[i]].known if isinstance(chunk, CodedChunk) else None
            if known is None or not isinstance(learner, CategoricalLearner):
                cells, codes = chunk.read(names[i], self._readers[i])
                learner.add(cells, rows if codes is None else codes.take(rows))
            else:  # how often each is met is all that counts, and what it means is found out at the end
                if known.dictionary not in self._times[i]:
                    self._times[i][known.dictionary] = Times(known.dictionary)
                self._times[i][known.dictionary].add(known, keep)

        each(add, range(len(names)))

    def finish(self, *, each: Each = in_turn) -> Encoder:
        """The encoding of all rows that were added; `each` as in `Encoder.encode`."""
        learners = list(self._learners.values())

        def count(i: int) -> None:
            for dictionary, times in self._times[i].items():
                learner, cells = learners[i], self._readers[i](dictionary.texts, lambda row: "")
                assert isinstance(learner, CategoricalLearner)
                assert isinstance(cells, pl.Series)
                learner.add_cells(cells, times.of_each)
            self._times[i].clear()
            learners[i].counts()  # which takes long the first time

        each(count, range(len(learners)))
        reserve = Reserve(sum(learner.reserved for learner in self._learners.values()))
        lookups: dict[str, Lookup] = {}

        def lookup(owner: str) -> Lookup:
            if owner not in lookups:
                lookups[owner] = self._lookup(owner, reserve)
            return lookups[owner]

        encodings: list[Encoding] = []
        for field in self._schema.fields:
            owner = getattr(field, "shares", None) or field.name
            encodings.append(self._learners[field.name].finish(reserve, lambda owner=owner: lookup(owner)))  # type: ignore[misc]
        return Encoder(self._schema, encodings, reserve.num_ids, raw_numbers=self._raw_numbers)

    def _lookup(self, owner: str, reserve: Reserve) -> Lookup:
        field = next(f for f in self._schema.fields if f.name == owner)
        buckets = getattr(field, "buckets", None)
        if buckets is not None:
            return Buckets(buckets, first_id=reserve.ids(buckets).start)
        sharing = [f.name for f in self._schema.fields if owner in (f.name, getattr(f, "shares", None))]
        counts = self._learners[owner].counts()
        assert counts is not None  # a field that reads a vocabulary counts
        if len(sharing) > 1:
            parts = [part for part in (self._learners[name].counts() for name in sharing) if part is not None]
            counts = pl.concat(parts).group_by("value").agg(pl.col("count").sum())
            counts = counts.sort(["count", "value"], descending=[True, False])
        kept = counts.filter(pl.col("count") >= self._min_count).head(self._max_vocabulary or len(counts))["value"]
        return Vocabulary(kept, np.array(reserve.ids(len(kept)), dtype=np.int32))
