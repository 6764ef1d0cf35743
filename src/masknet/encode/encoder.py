"""Raw rows to ids and values, the same in training and in every way of scoring.

The id space: 0 is padding; then two reserved rows a field (categorical: missing and unseen; numeric: value and
missing); then the vocabularies, field after field, the commonest value first.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from masknet.encode import values
from masknet.encode.numeric import MomentCounter, NumericScale
from masknet.encode.vocabulary import ValueCounter, Vocabulary
from masknet.schema import Categorical, Schema
from masknet.space import FeatureSpace, FieldSpace
from masknet.table import Chunk

__all__ = ["Encoder", "EncoderFit"]

ENCODING_FILE, VOCABULARY_FILE = "encoding.json", "vocabulary.parquet"


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
    vocabulary: Vocabulary

    fixed_id = None
    fixed_value = True

    def encode(self, chunk: Chunk) -> tuple[NDArray[np.int32], NDArray[np.float32] | None]:
        text = values.categorical_text(chunk.frame[self.field.name], self.field.values, chunk.place)
        return self.vocabulary.ids(text, missing=self.missing, unseen=self.unseen), None

    def to_json(self) -> dict[str, Any]:
        return {
            "missing": self.missing,
            "unseen": self.unseen,
            "unseen_rows": self.unseen_rows,
            "vocabulary": len(self.vocabulary),
        }


@dataclass(frozen=True)
class NumericEncoding:
    """One numeric field: `(value, scaled x)`, or `(missing, 1)`.

    `missing` is None where no training row was missing: the field then reads a missing number as its mean.
    """

    name: str
    value: int
    missing: int | None
    scale: NumericScale

    fixed_value = False

    @property
    def fixed_id(self) -> int | None:
        return self.value if self.missing is None else None

    def encode(self, chunk: Chunk) -> tuple[NDArray[np.int32], NDArray[np.float32] | None]:
        numbers = values.numbers(chunk.frame[self.name], chunk.place)
        scaled = self.scale.apply(numbers)
        ids = np.full(len(numbers), self.value, dtype=np.int32)
        if self.missing is not None:
            absent = np.isnan(numbers)
            ids[absent], scaled[absent] = self.missing, 1.0
        return ids, scaled

    def to_json(self) -> dict[str, Any]:
        return {"value": self.value, "missing": self.missing, "scale": self.scale.model_dump()}


class Encoder:
    """A fitted encoding: what scoring needs to read raw rows.

    Args:
        schema: what the columns mean.
        encodings: one a field, in the schema's order.
        space: the id space that the encodings share.
    """

    def __init__(
        self, schema: Schema, encodings: Sequence[CategoricalEncoding | NumericEncoding], space: FeatureSpace
    ) -> None:
        self.schema = schema
        self.encodings = tuple(encodings)
        self.space = space

    @property
    def fixed_ids(self) -> NDArray[np.int32]:
        """For each slot its id where that is the same in every row, else -1."""
        return np.array([-1 if e.fixed_id is None else e.fixed_id for e in self.encodings], dtype=np.int32)

    @property
    def unit_values(self) -> NDArray[np.bool_]:
        """For each slot whether its value is 1 in every row."""
        return np.array([e.fixed_value for e in self.encodings], dtype=np.bool_)

    @property
    def value_ids(self) -> NDArray[np.int32]:
        """For each slot of a numeric field the id that carries its value, else -1."""
        return np.array([e.value if isinstance(e, NumericEncoding) else -1 for e in self.encodings], dtype=np.int32)

    @property
    def untrained_unseen_ids(self) -> NDArray[np.int32]:
        """For each slot its unseen id where no training row was rare, so that training must show it some, else -1."""
        return np.array(
            [e.unseen if isinstance(e, CategoricalEncoding) and not e.unseen_rows else -1 for e in self.encodings],
            dtype=np.int32,
        )

    def encode(self, chunk: Chunk) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Ids and values `[rows, slots]` of a chunk that has the schema's fields.

        Raises:
            DataError: a cell cannot be what its column means.
        """
        rows = len(chunk.frame)
        ids = np.empty((rows, self.space.num_slots), dtype=np.int32)
        slot_values = np.ones((rows, self.space.num_slots), dtype=np.float32)
        for slot, encoding in enumerate(self.encodings):
            ids[:, slot], scaled = encoding.encode(chunk)
            if scaled is not None:
                slot_values[:, slot] = scaled
        return ids, slot_values

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
                    "field": pl.Series([e.field.name], dtype=pl.String).new_from_index(0, len(e.vocabulary)),
                    "value": e.vocabulary.values.cast(pl.String),
                    "id": pl.Series(e.vocabulary.id_array, dtype=pl.Int32),
                }
            )
            for e in self.encodings
            if isinstance(e, CategoricalEncoding)
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
        nothing = Vocabulary(pl.Series([], dtype=pl.String), np.empty(0, dtype=np.int32))
        encodings: list[CategoricalEncoding | NumericEncoding] = []
        for field in schema.fields:
            saved = content["fields"][field.name]
            if isinstance(field, Categorical):
                vocabulary = vocabularies.get(field.name, nothing)
                encodings.append(
                    CategoricalEncoding(field, saved["missing"], saved["unseen"], saved["unseen_rows"], vocabulary)
                )
            else:
                scale = NumericScale.model_validate(saved["scale"])
                encodings.append(NumericEncoding(field.name, saved["value"], saved["missing"], scale))
        return cls(schema, encodings, _space(schema, content["num_ids"]))


def _space(schema: Schema, num_ids: int) -> FeatureSpace:
    return FeatureSpace(num_ids=num_ids, fields=tuple(FieldSpace(f.name, kind=f.kind) for f in schema.fields))


class EncoderFit:
    """Learns an encoding from chunks of training rows.

    Args:
        schema: what the columns mean.
        min_count: values seen in fewer rows than this share the unseen row.
        max_vocabulary: keep at most so many values of a field, the commonest; None for all.
    """

    def __init__(self, schema: Schema, *, min_count: int = 1, max_vocabulary: int | None = None) -> None:
        self._schema = schema
        self._min_count = min_count
        self._max_vocabulary = max_vocabulary
        self._missing = dict.fromkeys(schema.field_names, 0)
        self._counters = {f.name: ValueCounter() for f in schema.fields if isinstance(f, Categorical)}
        self._moments = {f.name: MomentCounter() for f in schema.fields if not isinstance(f, Categorical)}

    def add(self, chunk: Chunk, keep: NDArray[np.bool_] | None = None) -> None:
        """Learn from the rows of a chunk, or from those that `keep` marks."""
        for field in self._schema.fields:
            column = chunk.frame[field.name]
            if isinstance(field, Categorical):
                text = values.categorical_text(column, field.values, chunk.place)
                text = text if keep is None else text.filter(pl.Series(keep))
                self._missing[field.name] += text.null_count()
                self._counters[field.name].add(text)
            else:
                numbers = values.numbers(column, chunk.place)
                self._moments[field.name].add(numbers if keep is None else numbers[keep])

    def finish(self) -> Encoder:
        """The encoding of all rows that were added."""
        next_id = 1 + 2 * len(self._schema.fields)
        encodings: list[CategoricalEncoding | NumericEncoding] = []
        for index, field in enumerate(self._schema.fields):
            first, second = 1 + 2 * index, 2 + 2 * index
            if isinstance(field, Categorical):
                counts = self._counters[field.name].counts()
                kept = counts.filter(pl.col("count") >= self._min_count).head(self._max_vocabulary or len(counts))
                ids = np.arange(next_id, next_id + len(kept), dtype=np.int32)
                next_id += len(kept)
                rare = int(counts["count"].sum()) - int(kept["count"].sum())
                missing = first if self._missing[field.name] else second
                encodings.append(CategoricalEncoding(field, missing, second, rare, Vocabulary(kept["value"], ids)))
            else:
                moments = self._moments[field.name]
                encodings.append(
                    NumericEncoding(field.name, first, second if moments.missing else None, moments.scale())
                )
        return Encoder(self._schema, encodings, _space(self._schema, next_id))
