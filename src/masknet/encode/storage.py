"""How the slots of each kind of field are kept: only what differs between rows is, and a bag only where it is filled.

Ids that are kept as columns lie in one matrix, values in another; the values of a bag lie ragged, beside both.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from typing import ClassVar, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["Column", "Knotted", "Layout", "Ragged", "Storage", "Vector"]

_Kind = TypeVar("_Kind", bound="Storage")
_Number = TypeVar("_Number", np.int32, np.float32)
_Runs = tuple[tuple[slice, slice], ...]


class Storage(Protocol):
    """How one field that a model sees is kept."""

    @property
    def slots(self) -> int:
        """How many slots of a row are its own."""

    @property
    def width(self) -> int:
        """How many columns of `dense` are its own."""

    @property
    def fixed_id(self) -> int | None:
        """Its id, where that is the same in every row."""

    @property
    def scaled(self) -> bool:
        """Whether its values are those of a number, and order the rows."""

    @property
    def unit(self) -> bool:
        """Whether its values are 1 wherever they are not those of padding."""

    @property
    def telling_slots(self) -> int:
        """How many of its slots, the first, hold an id in every row that tells something by itself."""

    @property
    def id_columns(self) -> tuple[bool, ...]:
        """For each slot whether its ids are kept as a column."""

    @property
    def value_columns(self) -> tuple[bool, ...]:
        """For each slot whether its values are kept as a column."""

    def row_bytes(self, length: float) -> float:
        """What a row takes on the disk; a bag has `length` values."""


@dataclass(frozen=True)
class Column:
    """One slot: a column of ids unless one is fixed, and a column of values where they are a scaled number's."""

    fixed_id: int | None = None
    scaled: bool = False

    slots: ClassVar = 1
    width: ClassVar = 0
    telling_slots: ClassVar = 1

    @property
    def unit(self) -> bool:
        return not self.scaled

    @property
    def id_columns(self) -> tuple[bool]:
        return (self.fixed_id is None,)

    @property
    def value_columns(self) -> tuple[bool]:
        return (self.scaled,)

    def row_bytes(self, length: float) -> float:
        return 4 * (self.fixed_id is None) + 4 * self.scaled


@dataclass(frozen=True)
class Knotted:
    """Two slots, a number between two of its knots: the lower one's id and the upper one's weight tell the others.

    Args:
        ids: of the knots, in the order of their numbers.
    """

    ids: tuple[int, ...]

    slots: ClassVar = 2
    width: ClassVar = 0
    fixed_id: ClassVar = None
    scaled: ClassVar = False
    unit: ClassVar = False
    telling_slots: ClassVar = 2
    id_columns: ClassVar = (True, False)
    value_columns: ClassVar = (False, True)

    def row_bytes(self, length: float) -> float:
        return 8


@dataclass(frozen=True)
class Ragged:
    """The slots of a bag, of which padding is not kept; the first one never is padding."""

    slots: int
    weighted: bool = False

    width: ClassVar = 0
    fixed_id: ClassVar = None
    scaled: ClassVar = False
    telling_slots: ClassVar = 1

    @property
    def unit(self) -> bool:
        return not self.weighted

    @property
    def id_columns(self) -> tuple[bool, ...]:
        return (False,) * self.slots

    @property
    def value_columns(self) -> tuple[bool, ...]:
        return (False,) * self.slots

    def row_bytes(self, length: float) -> float:
        return 8 + (8 if self.weighted else 4) * max(1.0, length)


@dataclass(frozen=True)
class Vector:
    """No slot, but columns of `dense`, all of them kept."""

    width: int

    slots: ClassVar = 0
    fixed_id: ClassVar = None
    scaled: ClassVar = False
    unit: ClassVar = True
    telling_slots: ClassVar = 0
    id_columns: ClassVar = ()
    value_columns: ClassVar = ()

    def row_bytes(self, length: float) -> float:
        return 4 * self.width


@dataclass(frozen=True)
class Layout:
    """The storages of all fields side by side, in the order of their slots.

    >>> layout = Layout((Column(), Knotted(ids=(5, 6, 9)), Ragged(slots=3)))
    >>> layout.spans
    (slice(0, 1, None), slice(1, 3, None), slice(3, 6, None))
    >>> layout.id_columns.tolist()
    [True, True, False, False, False, False]
    """

    storages: tuple[Storage, ...]

    @cached_property
    def spans(self) -> tuple[slice, ...]:
        """The slots of each storage."""
        ends = accumulate((storage.slots for storage in self.storages), initial=0)
        return tuple(slice(start, end) for start, end in pairwise(ends))

    @cached_property
    def fixed_ids(self) -> NDArray[np.int32]:
        """For each slot its id where that is the same in every row, else -1."""
        fixed = (-1 if s.fixed_id is None else s.fixed_id for s in self.storages for _ in range(s.slots))
        return np.array(list(fixed), dtype=np.int32)

    @cached_property
    def unit_values(self) -> NDArray[np.bool_]:
        """For each slot whether its value is 1 in every row that it is not padding in."""
        return np.array([s.unit for s in self.storages for _ in range(s.slots)], dtype=np.bool_)

    @cached_property
    def id_columns(self) -> NDArray[np.bool_]:
        """The slots whose ids are kept as columns."""
        return np.array([kept for s in self.storages for kept in s.id_columns], dtype=np.bool_)

    @cached_property
    def value_columns(self) -> NDArray[np.bool_]:
        """The slots whose values are kept as columns."""
        return np.array([kept for s in self.storages for kept in s.value_columns], dtype=np.bool_)

    @cached_property
    def bags(self) -> tuple[tuple[Ragged, slice], ...]:
        """The bags, and their slots."""
        return self._of(Ragged)

    @property
    def dense_width(self) -> int:
        """The columns of `dense`."""
        return sum(storage.width for storage in self.storages)

    def complete(
        self, columns: NDArray[np.int32], scaled: NDArray[np.float32]
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """All slots of some rows, those of bags to be filled, from the columns that are kept.

        Args:
            columns: `[rows, id columns]`.
            scaled: `[rows, value columns]`.

        Returns:
            ids and values, `[rows, slots]`; the values are `[1, slots]` where all are 1. Where all slots are kept as
            columns they are these themselves, and nothing is copied.
        """
        ids = _spread(columns, self._id_runs, self.fixed_ids)
        ones = np.ones(len(self.unit_values), dtype=np.float32)
        values = ones[None] if self.unit_values.all() else _spread(scaled, self._value_runs, ones)
        for _, lower in self._lower_runs:
            upper = slice(lower.start + 1, lower.stop + 1, lower.step)
            weight = values[:, upper]
            values[:, lower] = 1 - weight
            # A missing number's id is no knot's, and its upper weighs 0.
            ids[:, upper] = np.where(weight > 0, self._above.take(ids[:, lower], mode="clip"), 0)
        return ids, values

    def kept_ids(self, ids: NDArray[np.int32]) -> NDArray[np.int32]:
        """The columns that are kept, of the ids of all slots: what `complete` is given."""
        return _gathered(ids, self._id_runs)

    def kept_values(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """The same of values."""
        return _gathered(values, self._value_runs)

    # Asked for with every chunk of rows, and the same in all: to find them anew took a tenth of a chunk's time.
    @cached_property
    def _id_runs(self) -> _Runs:
        return _runs(np.flatnonzero(self.id_columns))

    @cached_property
    def _value_runs(self) -> _Runs:
        return _runs(np.flatnonzero(self.value_columns))

    @cached_property
    def _lower_runs(self) -> _Runs:
        """The first slot of each number that enters by knots."""
        return _runs(np.array([span.start for _, span in self._of(Knotted)], dtype=np.int64))

    @cached_property
    def _above(self) -> NDArray[np.int32]:
        """For each id that of the knot above; 0 where there is none."""
        chains = [knotted.ids for knotted, _ in self._of(Knotted)]
        above = np.zeros(2 + max(map(max, chains)), dtype=np.int32)
        for ids in chains:
            above[list(ids[:-1])] = ids[1:]
        return above

    def _of(self, kind: type[_Kind]) -> tuple[tuple[_Kind, slice], ...]:
        pairs = zip(self.storages, self.spans, strict=True)
        return tuple((storage, span) for storage, span in pairs if isinstance(storage, kind))


def _spread(columns: NDArray[_Number], kept: _Runs, others: NDArray[_Number]) -> NDArray[_Number]:
    """Columns in the places where they are kept, and in each other place one number for all rows."""
    if columns.shape[1] == len(others):
        return columns
    spread = np.repeat(others[None], len(columns), axis=0)
    for own, places in kept:
        _copy(columns[:, own], spread[:, places], places.step)
    return spread


def _gathered(slots: NDArray[_Number], kept: _Runs) -> NDArray[_Number]:
    """The columns in the places where they are kept: the inverse of `_spread`."""
    width = sum(own.stop - own.start for own, _ in kept)
    if width == slots.shape[1]:
        return slots
    columns = np.empty((len(slots), width), dtype=slots.dtype)
    for own, places in kept:
        _copy(slots[:, places], columns[:, own], places.step)
    return columns


def _copy(source: NDArray[_Number], into: NDArray[_Number], step: int) -> None:
    """NOTE[perf]: neighbouring columns as one item a row are copied in half the time of their numbers."""
    if step == 1:
        item = f"V{source.itemsize * source.shape[1]}"
        source, into = source.view(item), into.view(item)
    into[...] = source


def _runs(places: NDArray[np.int64]) -> _Runs:
    """Ascending places as few slices of equal steps, each with its own among the places: slices are copied fast.

    >>> _runs(np.array([0, 2, 4, 5]))
    ((slice(0, 3, None), slice(0, 5, 2)), (slice(3, 4, None), slice(5, 6, 1)))
    """
    runs, first, steps = [], 0, np.diff(places)
    while first < len(places):
        step = int(steps[first]) if first < len(steps) else 1
        last = first
        while last < len(steps) and steps[last] == step:
            last += 1
        runs.append((slice(first, last + 1), slice(int(places[first]), int(places[last]) + 1, step)))
        first = last + 1
    return tuple(runs)
