"""The encoded set as a stream of batches: here arrays become tensors.

The order of an epoch is a function of seed and epoch alone, so that any batch can be had without those before it.
Rows are shuffled by blocks, then within buffers of many blocks: up to a million rows that is one uniform shuffle, and
beyond it only one buffer's rows are near at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from masknet.encode import EncodedRows, EncodedSet, StandIns
from masknet.schema import UNKNOWN

__all__ = ["Batch", "EpochOrder", "num_batches", "ordered_batches", "training_batches"]

BLOCK_ROWS = 4096
BUFFER_BLOCKS = 256

_CHUNK_ROWS = 1 << 13
"""Read at once, so that batches of a thousand rows do not cost as many calls as those of a hundred thousand.

NOTE[perf]: of twice as many, what is made on the way went back to the system and came again, page by page: 4 million
rows/s where these make 6, with 39 slots and one thread. Threads that read ahead made 3 to 4 on two cores.
"""

_LABELS = np.where(np.arange(256) == UNKNOWN, np.nan, np.arange(256)).astype(np.float32)
"""What a loss reads for each label as it is stored."""


@dataclass(frozen=True)
class Batch:
    """Some rows as a network reads them, and what a loss needs beside."""

    ids: Int[Tensor, "batch slots"]
    values: Float[Tensor, "batch slots"]
    dense: Float[Tensor, "batch dense"] | None
    labels: Float[Tensor, "batch tasks"]
    """0, 1, or NaN where unknown."""
    weights: Float[Tensor, " batch"] | None

    def __len__(self) -> int:
        """Rows."""
        return len(self.labels)

    def some(self, span: slice) -> Batch:
        """Neighbouring rows, as views."""
        return Batch(
            ids=self.ids[span],
            values=self.values[span],
            dense=None if self.dense is None else self.dense[span],
            labels=self.labels[span],
            weights=None if self.weights is None else self.weights[span],
        )

    def to(self, device: torch.device) -> Batch:
        """The same rows on another device."""
        return Batch(
            ids=self.ids.to(device, non_blocking=True),
            values=self.values.to(device, non_blocking=True),
            dense=None if self.dense is None else self.dense.to(device, non_blocking=True),
            labels=self.labels.to(device, non_blocking=True),
            weights=None if self.weights is None else self.weights.to(device, non_blocking=True),
        )


class EpochOrder:
    """The order of all rows in one epoch, made buffer by buffer.

    >>> order = EpochOrder(10, seed=0, epoch=0)
    >>> sorted(order[0:4].tolist() + order[4:10].tolist())
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    """

    def __init__(self, rows: int, *, seed: int, epoch: int) -> None:
        self._rows = rows
        self._key = (seed, epoch)
        blocks = np.random.default_rng([seed, epoch, 0]).permutation(-(-rows // BLOCK_ROWS))
        # The last block of the table may be short: buffers are cut by the rows they really hold.
        sizes = np.minimum(BLOCK_ROWS, rows - blocks * BLOCK_ROWS)
        self._buffers = [blocks[i : i + BUFFER_BLOCKS] for i in range(0, len(blocks), BUFFER_BLOCKS)]
        counts = [int(sizes[i : i + BUFFER_BLOCKS].sum()) for i in range(0, len(blocks), BUFFER_BLOCKS)]
        self._starts = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
        self._held: tuple[int, NDArray[np.int64]] | None = None

    def _buffer(self, index: int) -> NDArray[np.int64]:
        if self._held is None or self._held[0] != index:
            spans = [
                np.arange(block * BLOCK_ROWS, min((block + 1) * BLOCK_ROWS, self._rows))
                for block in self._buffers[index]
            ]
            shuffled = np.random.default_rng([*self._key, 1, index]).permutation(np.concatenate(spans))
            self._held = (index, shuffled)
        return self._held[1]

    def __getitem__(self, span: slice) -> NDArray[np.int64]:
        """The rows at positions `span.start` to `span.stop` of the epoch."""
        start, stop = span.start, min(span.stop, self._rows)
        first = int(np.searchsorted(self._starts, start, side="right")) - 1
        last = int(np.searchsorted(self._starts, stop, side="left"))
        parts = [self._buffer(b)[max(0, start - self._starts[b]) : stop - self._starts[b]] for b in range(first, last)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)


def num_batches(rows: int, batch_size: int) -> int:
    """Batches an epoch, the last one short."""
    return -(-rows // batch_size)


def training_batches(
    rows: EncodedSet,
    *,
    batch_size: int,
    seed: int,
    epoch: int,
    start: int = 0,
    unseen_rate: float = 0.0,
    shuffled: bool = True,
) -> Iterator[Batch]:
    """The batches of one training epoch, from batch `start` on.

    Args:
        rows: the training rows.
        batch_size: rows a batch.
        seed, epoch: together they fix the order of shuffled rows, and which values are shown as unseen.
        start: skip so many batches, at no cost.
        unseen_rate: the share of values that are shown as unseen, and as missing where a field knows missing ones, with
            those that are so themselves.
        shuffled: or else in the order of the log, or of its times where the rows know it.
    """
    order = EpochOrder(len(rows), seed=seed, epoch=epoch) if shuffled else _LogOrder(rows)
    stand_ins = StandIns(rows.shown, unseen_rate)
    at_once = max(1, _CHUNK_ROWS // batch_size) * batch_size
    for begin in range(start * batch_size, len(rows), at_once):
        picked = order[begin : begin + at_once]
        taken = rows.take(picked)
        stand_ins.show(taken.ids, taken.values, seed=seed, epoch=epoch, numbers=picked)
        chunk = _batch(rows, picked, taken)
        for first in range(0, len(chunk), batch_size):
            yield chunk.some(slice(first, first + batch_size))


class _LogOrder:
    """The order of the log, or of its times where the rows know it."""

    def __init__(self, rows: EncodedSet) -> None:
        self._rows = rows

    def __getitem__(self, span: slice) -> NDArray[np.int64]:
        if self._rows.order is None:
            return np.arange(span.start, min(span.stop, len(self._rows)))
        return np.asarray(self._rows.order[span])


def ordered_batches(rows: EncodedSet, *, batch_size: int) -> Iterator[Batch]:
    """All rows in their order."""
    for start in range(0, len(rows), batch_size):
        span = slice(start, start + batch_size)
        yield _batch(rows, span, rows.take(span))


def _batch(rows: EncodedSet, picked: NDArray[np.int64] | slice, taken: EncodedRows) -> Batch:
    weights = None if rows.weights is None else torch.from_numpy(rows.weights[picked].astype(np.float32))
    return Batch(
        ids=torch.from_numpy(taken.ids),
        values=torch.from_numpy(taken.values).expand(len(taken), -1),
        dense=None if taken.dense is None else torch.from_numpy(taken.dense),
        labels=torch.from_numpy(_LABELS.take(rows.labels_of(picked))),
        weights=weights,
    )
