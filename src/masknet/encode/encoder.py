"""Raw rows to ids, values and dense columns, the same in training and in every way of scoring.

The id space: 0 is padding; then two reserved rows a field (categorical and bag: missing and unseen; numeric: value and
missing); then the vocabularies, field after field, the commonest value first. What is added later stands at the end.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from masknet.encode.fields import (
    BagEncoding,
    CategoricalEncoding,
    EncodedRows,
    Encoding,
    KnotEncoding,
    Lookup,
    Reserve,
    fit_of,
    restore,
    vocabularies_of,
)
from masknet.encode.values import canonical
from masknet.encode.vocabulary import Buckets, Vocabulary
from masknet.errors import ConfigError, unknown
from masknet.schema import Bag, Categorical, Schema
from masknet.space import FeatureSpace
from masknet.table import Chunk

__all__ = ["EncodedRows", "Encoder", "EncoderFit"]

ENCODING_FILE, VOCABULARY_FILE = "encoding.json", "vocabulary.parquet"


class Encoder:
    """A fitted encoding: what scoring needs to read raw rows.

    Args:
        schema: what the columns mean.
        encodings: one a field, in the schema's order.
        num_ids: of the id space that the encodings share, padding included.
    """

    def __init__(self, schema: Schema, encodings: Sequence[Encoding], num_ids: int) -> None:
        self.schema = schema
        self.encodings = tuple(encodings)
        self.space = FeatureSpace(
            num_ids=num_ids,
            fields=tuple(s for e in self.encodings for s in e.spaces),
            num_tasks=max(1, len(schema.labels)),
        )

    @property
    def fixed_ids(self) -> NDArray[np.int32]:
        """For each slot its id where that is the same in every row, else -1."""
        return np.array([i for e in self.encodings for i in e.fixed_ids], dtype=np.int32)

    @property
    def unit_values(self) -> NDArray[np.bool_]:
        """For each slot whether its value is 1 in every row."""
        return np.array([unit for e in self.encodings for unit in e.unit_values], dtype=np.bool_)

    @property
    def untrained_unseen_ids(self) -> NDArray[np.int32]:
        """For each slot its unseen id where no training row was rare, so that training must show it some, else -1."""
        return np.array([i for e in self.encodings for i in e.unseen_ids], dtype=np.int32)

    @property
    def bags(self) -> tuple[slice, ...]:
        """The slots of each field that is a bag."""
        ends = np.cumsum([len(e.fixed_ids) for e in self.encodings]).tolist()
        return tuple(
            slice(end - e.slots, end) for e, end in zip(self.encodings, ends, strict=True) if isinstance(e, BagEncoding)
        )

    @property
    def knots(self) -> tuple[int, ...]:
        """The lower slot of each numeric field that enters by knots."""
        found, slot = [], 0
        for encoding in self.encodings:
            slot += len(encoding.fixed_ids)
            if isinstance(getattr(encoding, "age", encoding), KnotEncoding):  # the age is a moment's last part
                found.append(slot - 2)
        return tuple(found)

    def encode(self, chunk: Chunk) -> EncodedRows:
        """Ids, values and dense columns of a chunk that has the schema's fields.

        Raises:
            DataError: a cell cannot be what its column means.
        """
        rows = len(chunk.frame)
        ids = np.empty((rows, self.space.num_slots), dtype=np.int32)
        slot_values = np.ones((rows, self.space.num_slots), dtype=np.float32)
        dense = np.empty((rows, self.space.dense_width), dtype=np.float32) if self.space.dense_width else None
        slot = column = 0
        for encoding in self.encodings:
            own_ids, own_values, own_dense = encoding.encode(chunk)
            width = own_ids.shape[1]
            ids[:, slot : slot + width] = own_ids
            if own_values is not None:
                slot_values[:, slot : slot + width] = own_values
            slot += width
            if own_dense is not None and dense is not None:
                dense[:, column : column + own_dense.shape[1]] = own_dense
                column += own_dense.shape[1]
        return EncodedRows(ids, slot_values, dense)

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
        return Encoder(self.schema, encodings, self.space.num_ids + len(fresh))

    def save(self, folder: Path) -> None:
        """Write `encoding.json` (schema, reserved ids, scales) and `vocabulary.parquet` (field, value, id)."""
        content = {
            "schema": self.schema.model_dump(mode="json"),
            "num_ids": self.space.num_ids,
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
        empty = pl.DataFrame(schema={"field": pl.String, "value": pl.String, "id": pl.Int32})
        pl.concat([empty, *parts]).write_parquet(folder / VOCABULARY_FILE)

    @classmethod
    def load(cls, folder: Path) -> Encoder:
        """The inverse of `save`."""
        content = json.loads((folder / ENCODING_FILE).read_text(encoding="utf-8"))
        schema = Schema.model_validate(content["schema"])
        vocabularies = {
            str(name[0]): Vocabulary(part["value"], part["id"].to_numpy())
            for name, part in pl.read_parquet(folder / VOCABULARY_FILE).group_by("field", maintain_order=True)
        }
        encodings = [restore(field, content["fields"][field.name], vocabularies) for field in schema.fields]
        return cls(schema, encodings, content["num_ids"])


class EncoderFit:
    """Learns an encoding from chunks of training rows.

    Args:
        schema: what the columns mean.
        min_count: values seen in fewer rows than this share the unseen row; fields that share values count together.
        max_vocabulary: keep at most so many values of a field, the commonest; None for all.
    """

    def __init__(self, schema: Schema, *, min_count: int = 1, max_vocabulary: int | None = None) -> None:
        self._schema = schema
        self._min_count = min_count
        self._max_vocabulary = max_vocabulary
        self._fits = {field.name: fit_of(field) for field in schema.fields}

    def add(self, chunk: Chunk, keep: NDArray[np.bool_] | None = None) -> None:
        """Learn from the rows of a chunk, or from those that `keep` marks."""
        for fit in self._fits.values():
            fit.add(chunk, keep)

    def finish(self) -> Encoder:
        """The encoding of all rows that were added."""
        reserve = Reserve(sum(fit.reserved for fit in self._fits.values()))
        lookups: dict[str, Lookup] = {}

        def lookup(owner: str) -> Lookup:
            if owner not in lookups:
                lookups[owner] = self._lookup(owner, reserve)
            return lookups[owner]

        encodings: list[Encoding] = []
        for field in self._schema.fields:
            owner = getattr(field, "shares", None) or field.name
            encodings.append(self._fits[field.name].finish(reserve, lambda owner=owner: lookup(owner)))  # type: ignore[misc]
        return Encoder(self._schema, encodings, reserve.num_ids)

    def _lookup(self, owner: str, reserve: Reserve) -> Lookup:
        field = next(f for f in self._schema.fields if f.name == owner)
        buckets = getattr(field, "buckets", None)
        if buckets is not None:
            return Buckets(buckets, first_id=reserve.ids(buckets))
        sharing = [f.name for f in self._schema.fields if owner in (f.name, getattr(f, "shares", None))]
        counts = self._fits[owner].counts()
        assert counts is not None  # a field that reads a vocabulary counts
        if len(sharing) > 1:
            parts = [part for part in (self._fits[name].counts() for name in sharing) if part is not None]
            counts = pl.concat(parts).group_by("value").agg(pl.col("count").sum())
            counts = counts.sort(["count", "value"], descending=[True, False])
        kept = counts.filter(pl.col("count") >= self._min_count).head(self._max_vocabulary or len(counts))["value"]
        first = reserve.ids(len(kept))
        return Vocabulary(kept, np.arange(first, first + len(kept), dtype=np.int32))
