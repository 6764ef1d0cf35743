"""The values of one field, or of several that share them, and the ids they go by."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from masknet.encode.murmur import murmur3

__all__ = ["Buckets", "ValueCounter", "Vocabulary"]

_FEW, _SMALL = 8, 1 << 17
"""NOTE[perf]: so few texts are looked up in a dict, which takes a µs where an Enum takes 60, if the values are so few
that it takes less than 20 MB."""


class ValueCounter:
    """How often each value of a stream occurs; pending counts are merged when they outgrow what is known."""

    def __init__(self) -> None:
        self._known = pl.DataFrame(schema={"value": pl.String, "count": pl.Int64})
        self._pending: list[pl.DataFrame] = []
        self._num_pending = 0

    def add(self, text: pl.Series) -> None:
        """Count a chunk of canonical texts; nulls are passed over."""
        counts = text.alias("value").drop_nulls().value_counts().cast({"count": pl.Int64})
        # A text of its own for each value: those of value_counts keep the memory of the whole chunk.
        counts = counts.with_columns(pl.col("value") + "")
        self._pending.append(counts)
        self._num_pending += len(counts)
        if self._num_pending > max(100_000, len(self._known)):
            self._merge()

    def _merge(self) -> None:
        parts = pl.concat([self._known, *self._pending])
        self._known = parts.group_by("value").agg(pl.col("count").sum())
        self._pending, self._num_pending = [], 0

    def counts(self) -> pl.DataFrame:
        """Columns `value` and `count`, the commonest first, ties by value."""
        self._merge()
        return self._known.sort(["count", "value"], descending=[True, False])


class Vocabulary:
    """A look-up from canonical text to id. Ids are given, not computed: growth may add some anywhere.

    >>> vocabulary = Vocabulary(pl.Series(["b", "a"]), np.array([7, 9], dtype=np.int32))
    >>> vocabulary.ids(pl.Series(["a", "zz", None]), missing=1, unseen=2)
    array([9, 2, 1], dtype=int32)
    """

    has_unseen: ClassVar = True
    """Whether some values are unseen to it."""

    def __init__(self, values: pl.Series, ids: NDArray[np.int32]) -> None:
        self.values = values
        self.id_array = ids

    def __len__(self) -> int:
        """How many values have an id."""
        return len(self.values)

    @cached_property
    def _enum(self) -> pl.Enum:
        return pl.Enum(self.values)

    @cached_property
    def _ids(self) -> dict[str, int]:
        return dict(zip(self.values.to_list(), self.id_array.tolist(), strict=True))

    def ids(self, text: pl.Series, *, missing: int, unseen: int) -> NDArray[np.int32]:
        """The id of each text; `unseen` where the vocabulary has none, `missing` where the text is null."""
        if len(text) <= _FEW and len(self) <= _SMALL:
            known_ids = self._ids
            few = [missing if cell is None else known_ids.get(cell, unseen) for cell in text.to_list()]
            return np.array(few, dtype=np.int32)
        # NOTE[perf]: an Enum keeps its hash table between chunks; a join would build one a chunk.
        codes = text.cast(self._enum, strict=False).to_physical()
        found = codes.to_numpy()  # floats where some are null, which hold every code, and NaN
        if not codes.null_count():
            all_known: NDArray[np.int32] = self.id_array[found]
            return all_known
        ids = np.full(len(text), unseen, dtype=np.int32)
        if text.null_count():
            ids[text.is_null().to_numpy()] = missing
        known = ~np.isnan(found)
        ids[known] = self.id_array[found[known].astype(np.intp)]
        return ids

    def extended(self, values: pl.Series, first_id: int) -> Vocabulary:
        """This vocabulary and new values behind it, their ids from `first_id` on; no id moves."""
        ids = np.arange(first_id, first_id + len(values), dtype=np.int32)
        return Vocabulary(pl.concat([self.values, values]), np.concatenate([self.id_array, ids]))


class Buckets:
    """Ids by hash, for values without end: MurmurHash3 of the canonical text, modulo the number of buckets.

    >>> Buckets(10, first_id=100).ids(pl.Series(["a", None]), missing=1, unseen=2)
    array([100,   1], dtype=int32)
    """

    has_unseen: ClassVar = False

    def __init__(self, buckets: int, *, first_id: int) -> None:
        self.first_id = first_id
        self._buckets = buckets

    def __len__(self) -> int:
        """How many ids there are."""
        return self._buckets

    def ids(self, text: pl.Series, *, missing: int, unseen: int) -> NDArray[np.int32]:
        """The id of each text, `missing` where it is null; no value is unseen."""
        hashed = self.first_id + (murmur3(text) % np.uint32(self._buckets)).astype(np.int32)
        return np.where(text.is_null().to_numpy(), np.int32(missing), hashed)
