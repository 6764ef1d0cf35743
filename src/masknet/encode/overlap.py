"""Whether validation rows are training rows: what is measured on them is memory, not skill."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from masknet.encode.fields import EncodedRows
from masknet.encode.skew import far_above, percent

__all__ = ["Overlap"]

_ROWS = 1_000_000  # that are kept, about: 8 bytes each
_LEAST = 20
_LEAST_SHARE = 0.2


class Overlap:
    """Compares rows by what a model reads of them, and their labels.

    Rows are kept by their hashes, of many rows those whose hash falls into a share of all: of two equal rows both or
    none. Tables of few columns have equal rows by chance, so the share of validation rows that training has is held
    against the share of training rows that training has twice.

    Args:
        rows: how many there are of both.
    """

    def __init__(self, rows: int) -> None:
        self._every = np.uint64(max(1, -(-rows // _ROWS)))
        self._kept: dict[str, list[NDArray[np.uint64]]] = {"train": [], "valid": []}

    def add(self, part: str, rows: EncodedRows, labels: NDArray[np.uint8], keep: NDArray[np.bool_]) -> None:
        """Take the rows that `keep` marks, of the part "train" or "valid"."""
        if keep.any():
            hashed = _hashes(rows, labels)[keep]
            self._kept[part].append(hashed[hashed % self._every == 0])

    def sentence(self) -> str | None:
        """What to tell where many validation rows are training rows, else None."""
        train, valid = (np.concatenate([np.empty(0, dtype=np.uint64), *parts]) for parts in self._kept.values())
        if min(len(train), len(valid)) < _LEAST:
            return None
        distinct, counts = np.unique(train, return_counts=True)
        twice = float(counts[counts > 1].sum() / len(train))
        shared = float(np.isin(valid, distinct).mean())
        if shared < _LEAST_SHARE or not far_above(shared, twice):
            return None
        return (
            f"{percent(shared)} of the validation rows are training rows too, label and all fields alike (of the "
            f"training rows {percent(twice)} come twice): they measure what was learned by heart; name other rows with "
            f"--valid"
        )


def _hashes(rows: EncodedRows, labels: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """A number a row: equal where ids, values, vectors and labels are."""
    words: list[NDArray[Any]] = [rows.ids, np.broadcast_to(rows.values, rows.ids.shape).view(np.int32), labels]
    if rows.dense is not None:
        words.append(rows.dense.view(np.int32))
    factors = np.random.default_rng(0)  # fixed: a chunk's hashes are compared with another's
    total = np.zeros(len(rows), dtype=np.uint64)
    for array in words:
        for column in array.T:
            factor = factors.integers(1 << 63, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
            total += column.astype(np.int64).view(np.uint64) * factor
    total ^= total >> np.uint64(32)
    total *= np.uint64(0x9E3779B97F4A7C15)
    return total ^ (total >> np.uint64(29))
