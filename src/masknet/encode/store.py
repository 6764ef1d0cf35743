"""The encoded set: flat arrays on disk, memory-mapped.

Ids and values that are the same in every row are not stored, nor is the padding of bags: `storage.py` says what is.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from masknet.encode.encoder import EncodedRows, Encoder
from masknet.encode.shown import Shown
from masknet.encode.storage import Layout
from masknet.schema import UNKNOWN

__all__ = ["EncodedSet", "SetWriter", "StoredBag"]

_Kind = TypeVar("_Kind", bound=np.generic)

_ROWS_AT_ONCE = 1_000_000


@dataclass(frozen=True)
class StoredBag:
    """The slots of one bag, ragged: only what is no padding is stored.

    Args:
        slots: where they lie in a row.
        ends: `[rows + 1]`: row `i` has the entries from `ends[i]` to `ends[i + 1]`.
        ids: `[entries]`.
        values: `[entries]`, or None where all are 1.
    """

    slots: slice
    ends: NDArray[np.int64]
    ids: NDArray[np.int32]
    values: NDArray[np.float32] | None

    def fill(self, index: NDArray[np.int64] | slice, ids: NDArray[np.int32], slot_values: NDArray[np.float32]) -> None:
        """Write the slots of some rows into all slots of those rows."""
        first, last = self.ends[:-1][index], self.ends[1:][index]
        lengths = last - first
        row = np.repeat(np.arange(len(lengths)), lengths)
        place = np.arange(len(row)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        entries = np.repeat(first, lengths) + place
        at = row, self.slots.start + place
        ids[:, self.slots] = 0
        ids[at] = self.ids[entries]
        if self.values is not None:
            slot_values[:, self.slots] = 0
            slot_values[at] = self.values[entries]


@dataclass(frozen=True)
class EncodedSet:
    """Encoded rows, memory-mapped: nothing is read before it is asked for; `take` gives rows as a network reads them.

    Args:
        ids: `[rows, id columns of the layout]`.
        values: `[rows, value columns of the layout]`.
        labels: `[rows, tasks]`: 0, 1, or `UNKNOWN` where there are several tasks.
        weights: sample weights, or None.
        groups: a number a group, or None.
        layout: which slots these columns, and the bags, belong to; it tells the rest of each row.
        shown: for each field what it reads in place of a value; none where training is to show nothing of the kind.
        bags: the slots that are stored ragged, in the order of the layout.
        dense: `[rows, dense columns]`, or None where there are none.
        numbers: `[rows, numbered fields of the space]`, NaN where missing, or None where they were not asked for.
        order: `[rows]`, the rows by time, those of equal times as they stand; None where it was not asked for.
    """

    ids: NDArray[np.int32]
    values: NDArray[np.float32]
    labels: NDArray[np.uint8]
    weights: NDArray[np.float64] | None
    groups: NDArray[np.uint64] | None
    layout: Layout
    shown: tuple[Shown, ...] = ()
    bags: tuple[StoredBag, ...] = ()
    dense: NDArray[np.float32] | None = None
    numbers: NDArray[np.float64] | None = None
    order: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        """Rows."""
        return len(self.labels)

    @cached_property
    def click_rates(self) -> NDArray[np.float64]:
        """For each task the weighted share of clicks among the rows whose label is known; NaN where none weighs."""
        clicks, known = np.zeros((2, self.labels.shape[1]))
        for start in range(0, len(self), _ROWS_AT_ONCE):
            span = slice(start, start + _ROWS_AT_ONCE)
            labels = np.asarray(self.labels[span])
            weights = np.ones(len(labels)) if self.weights is None else np.asarray(self.weights[span])
            clicks += weights @ (labels == 1)
            known += weights @ (labels != UNKNOWN)
        with np.errstate(invalid="ignore"):
            rates: NDArray[np.float64] = clicks / known
        return rates

    def take(self, index: NDArray[np.int64] | slice) -> EncodedRows:
        """Some rows, as copies; the values are `[1, slots]` where all are 1."""
        ids, values = self.layout.complete(_copied(self.ids, index), _copied(self.values, index))
        for bag in self.bags:
            bag.fill(index, ids, values)
        return EncodedRows(
            ids=ids,
            values=values,
            dense=None if self.dense is None else _copied(self.dense, index),
            numbers=None if self.numbers is None else _copied(self.numbers, index),
        )

    def labels_of(self, index: NDArray[np.int64] | slice) -> NDArray[np.uint8]:
        """The labels of some rows, as a copy."""
        return _copied(self.labels, index)

    @classmethod
    def open(cls, folder: Path, encoder: Encoder) -> EncodedSet:
        """Map the arrays that a `SetWriter` left in `folder`."""

        def array(name: str) -> Any:
            file = folder / f"{name}.npy"
            if not file.exists():
                return None
            # An array without rows or columns cannot be mapped.
            return np.load(file, mmap_mode="r" if file.stat().st_size > 128 else None, allow_pickle=False)

        names = ("ids", "values", "labels", "weights", "groups", "dense", "numbers", "order")
        arrays = {name: array(name) for name in names}
        needed = ("ids", "values", "labels", *(("numbers",) if encoder.raw_numbers else ()))
        lost = [name for name in needed if arrays[name] is None]
        if lost:
            raise FileNotFoundError(f"no {lost[0]}.npy in {folder}")
        return cls(
            **arrays,
            layout=encoder.layout,
            shown=encoder.shown,
            bags=tuple(
                StoredBag(slots, *(array(f"bag{i}.{part}") for part in ("ends", "ids", "values")))
                for i, (_, slots) in enumerate(encoder.layout.bags)
            ),
        )


def _copied(array: NDArray[_Kind], index: NDArray[np.int64] | slice) -> NDArray[_Kind]:
    """Some rows of an array, whether it is mapped or not, as a copy in memory.

    NOTE[perf]: `take` copies a row at once, a third of the time of `array[index]`, which copies its numbers.
    """
    return np.array(array[index]) if isinstance(index, slice) else np.asarray(array).take(index, axis=0)


class _ArrayFile:
    """Appends rows to an array on disk, its length unknown until it is closed.

    Plain writes: a full disk is an error, not a bus fault.
    """

    def __init__(self, path: Path, descr: str, width: tuple[int, ...] = ()) -> None:
        self._file = path.open("wb")
        self._descr, self._width, self._rows = descr, width, 0
        self._header()

    def _header(self) -> None:
        # NumPy leaves room in a header for the length to grow in place.
        header = {"descr": self._descr, "fortran_order": False, "shape": (self._rows, *self._width)}
        np.lib.format.write_array_header_1_0(self._file, header)

    def add(self, array: NDArray[Any]) -> None:
        self._file.write(np.ascontiguousarray(array).astype(self._descr, copy=False).data)
        self._rows += len(array)

    def close(self) -> None:
        try:
            self._file.seek(0)
            self._header()
        finally:
            self._file.close()


class SetWriter:
    """Appends encoded rows to the arrays of one set.

    Args:
        folder: to be made.
        encoder: whose rows they are.
        weighted, grouped: whether they come with weights, and with groups.
    """

    def __init__(self, folder: Path, encoder: Encoder, *, weighted: bool, grouped: bool) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self._layout = encoder.layout
        self._files: dict[str, _ArrayFile] = {}
        self._open("ids", "<i4", int(self._layout.id_columns.sum()))
        self._open("values", "<f4", int(self._layout.value_columns.sum()))
        self._open("labels", "|u1", encoder.space.num_tasks)
        if weighted:
            self._open("weights", "<f8")
        if grouped:
            self._open("groups", "<u8")
        if self._layout.dense_width:
            self._open("dense", "<f4", self._layout.dense_width)
        if encoder.raw_numbers:
            self._open("numbers", "<f8", len(encoder.space.numbered_fields))
        self._ends = [0] * len(self._layout.bags)
        for i, (bag, _) in enumerate(self._layout.bags):
            self._open(f"bag{i}.ends", "<i8")
            self._files[f"bag{i}.ends"].add(np.zeros(1, dtype=np.int64))
            self._open(f"bag{i}.ids", "<i4")
            if bag.weighted:
                self._open(f"bag{i}.values", "<f4")

    def _open(self, name: str, descr: str, *width: int) -> None:
        self._files[name] = _ArrayFile(self._folder / f"{name}.npy", descr, width)

    def __enter__(self) -> SetWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with ExitStack() as files:  # a full disk fails the closing of one: the others are closed all the same
            for file in self._files.values():
                files.callback(file.close)

    def add(self, rows: EncodedRows, roles: dict[str, NDArray[Any]], keep: NDArray[np.bool_]) -> None:
        """Append the rows that `keep` marks."""
        index, layout = np.flatnonzero(keep), self._layout
        arrays: dict[str, Any] = {
            "ids": _part(rows.ids, index, layout.kept_ids),
            "values": _part(rows.values, index, layout.kept_values),
            "dense": rows.dense if rows.dense is None else rows.dense.take(index, axis=0),
            "numbers": rows.numbers if rows.numbers is None else rows.numbers.take(index, axis=0),
        }
        arrays |= {name: array.take(index, axis=0) for name, array in roles.items()}
        for i, (_, slots) in enumerate(layout.bags):
            ids = rows.ids[:, slots].take(index, axis=0)
            present = ids != 0
            ends = self._ends[i] + np.cumsum(present.sum(axis=1))
            arrays |= {f"bag{i}.ends": ends, f"bag{i}.ids": ids[present]}
            arrays[f"bag{i}.values"] = rows.values[:, slots].take(index, axis=0)[present]
            self._ends[i] = int(ends[-1]) if len(ends) else self._ends[i]
        for name, file in self._files.items():
            file.add(arrays[name])


def _part(
    slots: NDArray[_Kind], rows: NDArray[np.intp], kept: Callable[[NDArray[_Kind]], NDArray[_Kind]]
) -> NDArray[_Kind]:
    """Some rows of the columns that are kept; first what leaves less to be copied, and to be held in memory."""
    few = 2 * len(rows) < len(slots)
    return kept(slots.take(rows, axis=0)) if few else kept(slots).take(rows, axis=0)
