"""The values of one field, or of several that share them, and the ids they go by."""

from __future__ import annotations

from functools import cached_property
from itertools import count
from typing import ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from masknet.encode.murmur import murmur3
from masknet.table import null_mask

__all__ = ["Buckets", "ValueCounter", "Vocabulary"]

_FEW, _SMALL = 8, 1 << 17
"""NOTE[perf]: so few texts are looked up in a dict, which takes a µs where queries take 200, if the values are so few
that it takes less than 20 MB."""


class ValueCounter:
    """How often each value of a stream occurs; pending counts are merged when they outgrow what is known."""

    def __init__(self) -> None:
        self._known = pl.DataFrame(schema={"value": pl.String, "count": pl.Int64})
        self._pending: list[pl.DataFrame] = []
        self._num_pending = 0
        self._sorted = True

    def add(self, text: pl.Series, times: NDArray[np.int64] | None = None) -> None:
        """Count canonical texts, each so many times, or once; nulls are passed over."""
        often = pl.Series("count", np.ones(len(text), dtype=np.int64) if times is None else times, dtype=pl.Int64)
        counts = pl.DataFrame([text.alias("value"), often])
        # A text of its own for each value: those of a chunk keep the memory of the whole chunk.
        known = counts.filter(text.is_not_null() & (often > 0)).with_columns(pl.col("value") + "")
        self._pending.append(known)
        self._num_pending += len(known)
        self._sorted = False
        if self._num_pending > max(100_000, len(self._known)):
            self._merge()

    def _merge(self) -> None:
        parts = pl.concat([self._known, *self._pending])
        self._known = parts.group_by("value").agg(pl.col("count").sum())
        self._pending, self._num_pending = [], 0

    def counts(self) -> pl.DataFrame:
        """Columns `value` and `count`, the commonest first, ties by value."""
        if not self._sorted:
            self._merge()
            self._known = self._known.sort(["count", "value"], descending=[True, False])
            self._sorted = True
        return self._known


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
    def _hashed(self) -> tuple[int, NDArray[np.uint64], NDArray[np.intp]]:
        """A seed by which all values have different hashes, the hashes in their order, and the value of each."""
        for seed in count():
            hashes = self.values.hash(seed).to_numpy()
            order = np.argsort(hashes)
            hashes = hashes[order]
            if (hashes[1:] != hashes[:-1]).all():
                break
        return seed, hashes, order

    @cached_property
    def _ids(self) -> dict[str, int]:
        return dict(zip(self.values.to_list(), self.id_array.tolist(), strict=True))

    def ids(self, text: pl.Series, *, missing: int, unseen: int) -> NDArray[np.int32]:
        """The id of each text; `unseen` where the vocabulary has none, `missing` where the text is null."""
        if len(text) <= _FEW and len(self) <= _SMALL:
            known_ids = self._ids
            few = [missing if cell is None else known_ids.get(cell, unseen) for cell in text.to_list()]
            return np.array(few, dtype=np.int32)
        ids = np.full(len(text), unseen, dtype=np.int32)
        if len(self):
            # NOTE[perf]: a join, and a cast to an Enum too, hash the whole vocabulary anew for every chunk.
            seed, hashes, order = self._hashed
            value = order[np.searchsorted(hashes[:-1], text.hash(seed).to_numpy())]
            same = self.values[value] == text  # null where the text is
            known = (same.fill_null(value=False) if same.null_count() else same).to_numpy()
            ids[known] = self.id_array[value[known]]
        ids[null_mask(text)] = missing
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
        return np.where(null_mask(text), np.int32(missing), hashed)
