"""What training shows in place of some values, so that no id which scoring may read is left to a chance row or two."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from masknet.draws import Draws

__all__ = ["Counts", "Shown", "StandIns"]

_OF_MISSING = 0x6D697373  # apart from the keys of unseen values

_PRIOR_ROWS = 50
"""Rows at which a real unseen value counts half: what is known of its likes beforehand weighs as much as so many."""

_ROWS_AT_ONCE = 1 << 13
"""NOTE[perf]: the draws of so many rows for one slot stay in a processor's cache."""

_SURE = 0.95
"""From here on every real row is trained on: to draw for each would cost more than it gives."""


@dataclass(frozen=True)
class Counts:
    """What the training rows held of one field; `rows` is 0 where that was not kept.

    Args:
        rows: in all.
        missing: of them, those without a value.
        values: of all rows; a bag has several a row.
        rare: of the values, those that share the unseen row.
    """

    rows: int = 0
    missing: int = 0
    values: int = 0
    rare: int = 0

    def to_json(self) -> dict[str, int]:
        """Nothing, where it was not kept."""
        return {"rows": self.rows, "missing_rows": self.missing, "values": self.values} if self.rows else {}

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Counts:
        """The inverse of `to_json`; the rare ones have been `unseen_rows` from the first format on."""
        found = (saved.get(name, 0) for name in ("rows", "missing_rows", "values", "unseen_rows"))
        return cls(*found)

    @property
    def missing_share(self) -> float:
        """Of the rows."""
        return self.missing / self.rows if self.rows else 0.0

    @property
    def rare_share(self) -> float:
        """Of the values."""
        return self.rare / self.values if self.values else 0.0


@dataclass(frozen=True)
class Shown:
    """What one field reads in place of a value, and how often training rows had it of themselves.

    An unseen value is one id in its slot. A missing one is one id in the first slot of the field, and nothing else.

    >>> Shown(slots=2, missing=7, counts=Counts(rows=10, missing=2, values=8))
    Shown(slots=2, unseen=-1, missing=7, counts=Counts(rows=10, missing=2, values=8, rare=0))

    Args:
        slots: of the field.
        unseen: the id, or -1 where scoring never reads one.
        missing: the id, or -1 where scoring never reads one.
        counts: how many values are unseen, and rows missing, of themselves.
    """

    slots: int = 1
    unseen: int = -1
    missing: int = -1
    counts: Counts = field(default_factory=Counts)


def trusted(rows: int) -> float:
    """With which chance a real row, one of so many that are unseen or missing, stands for what is to come.

    A few rows that happen to have clicked are no sign of what a value never seen will do. Without this, five of 20,000
    rows moved the score of every such value by half.

    >>> [round(trusted(rows), 2) for rows in (1, 5, 50, 1_000)]
    [0.02, 0.09, 0.5, 1.0]
    """
    chance = rows / (rows + _PRIOR_ROWS)
    return chance if chance < _SURE else 1.0


class StandIns:
    """Shows some values of training rows as unseen or as missing, where fewer than a share of them are so themselves.

    Where the real ones are few, most of them are padding in turn: see `trusted`.

    What is drawn depends on seed, epoch, row and slot, and on nothing else.

    Args:
        fields: in the order of their slots.
        share: of values, in [0, 1); what training rows have of themselves is topped up to it. At 0 nothing is changed.
    """

    def __init__(self, fields: Sequence[Shown], share: float) -> None:
        num_slots = sum(own.slots for own in fields)
        self._unseen, self._missing = _OfSlots(num_slots), _OfSlots(num_slots)
        starts = accumulate((own.slots for own in fields), initial=0)
        for start, own in zip(starts, fields, strict=False) if share else ():
            slots, counts = slice(start, start + own.slots), own.counts
            self._unseen.set(slots, own.unseen, share, counts.rare_share, trusted(counts.rare))
            self._missing.set(
                slice(start, start + 1), own.missing, share, counts.missing_share, trusted(counts.missing)
            )
        self._no_value = np.array([own.missing for own in fields for _ in range(own.slots)], dtype=np.int32)
        self._widths = np.array([own.slots for own in fields for _ in range(own.slots)], dtype=np.int64)
        self._topped_up = np.flatnonzero((self._unseen.lacking > 0) | (self._missing.lacking > 0)).tolist()

    def show(
        self,
        ids: NDArray[np.int32],
        values: NDArray[np.float32],
        *,
        seed: int,
        epoch: int,
        numbers: NDArray[np.int64],
    ) -> None:
        """Write the stand-ins into some rows.

        Args:
            ids: `[rows, slots]`, changed in place.
            values: `[rows, slots]`, changed in place, or `[1, slots]` where all are 1.
            seed, epoch: what is drawn depends on them,
            numbers: and on the number of each row in its set, `[rows]`.
        """
        if not (self._unseen.any or self._missing.any):
            return
        own_values = values if len(values) == len(ids) else None
        for start in range(0, len(ids), _ROWS_AT_ONCE):
            span = slice(start, start + _ROWS_AT_ONCE)
            rows = Draws(seed, epoch, numbers[span])
            self._show(ids[span], None if own_values is None else own_values[span], rows)

    def _show(self, ids: NDArray[np.int32], values: NDArray[np.float32] | None, rows: Draws) -> None:
        unseen, missing = _Places(), _Places()
        for slot in self._topped_up:
            draws = rows.of(slot)  # those for missing values have one key more: the work is shared
            unseen.add(draws.below(self._unseen.lacking[slot]), slot)
            if self._missing.lacking[slot] > 0:
                missing.add(draws.of(_OF_MISSING).below(self._missing.lacking[slot]), slot)
        self._show_unseen(ids, values, rows, *unseen.arrays())
        self._show_missing(ids, values, rows, *missing.arrays())

    def _show_unseen(
        self,
        ids: NDArray[np.int32],
        values: NDArray[np.float32] | None,
        rows: Draws,
        row: NDArray[np.int64],
        slot: NDArray[np.int64],
    ) -> None:
        own, shown = ids[row, slot], self._unseen.ids[slot]
        known = (own != 0) & (own != self._no_value[slot]) & (own != shown)  # the padding of a bag is no value
        doubted = self._unseen.doubted(ids, lambda row, slot: rows.at(row).of(slot))
        ids[row[known], slot[known]] = shown[known]
        ids[doubted] = 0
        if values is not None:
            values[doubted] = 0

    def _show_missing(
        self,
        ids: NDArray[np.int32],
        values: NDArray[np.float32] | None,
        rows: Draws,
        row: NDArray[np.int64],
        first: NDArray[np.int64],
    ) -> None:
        present = ids[row, first] != self._missing.ids[first]
        doubted = self._missing.doubted(ids, lambda row, slot: rows.at(row).of(slot).of(_OF_MISSING))
        shown = np.concatenate([self._missing.ids[first[present]], np.zeros(len(doubted[0]), dtype=np.int32)])
        row, first = np.concatenate([row[present], doubted[0]]), np.concatenate([first[present], doubted[1]])
        widths = self._widths[first]
        place = np.arange(widths.sum()) - np.repeat(np.cumsum(widths) - widths, widths)
        of_field = np.repeat(row, widths), np.repeat(first, widths) + place
        ids[of_field] = 0
        ids[row, first] = shown
        if values is not None:
            values[of_field] = 0
            values[row, first] = shown != 0


class _OfSlots:
    """For each slot what is shown there of one kind of stand-in, and how often."""

    def __init__(self, num_slots: int) -> None:
        self.ids = np.full(num_slots, -1, dtype=np.int32)
        self.lacking = np.zeros(num_slots)
        self._chance = np.ones(num_slots)

    def set(self, slots: slice, own: int, share: float, real: float, chance: float) -> None:
        """Top up a share of real ones, of which a chance is left; an id of -1 is never shown."""
        if own >= 0 and (chance < 1 or real < share):
            self.ids[slots], self.lacking[slots], self._chance[slots] = own, share - chance * real, chance

    @property
    def any(self) -> bool:
        """Whether there is something to show."""
        return bool((self.ids >= 0).any())

    def doubted(
        self, ids: NDArray[np.int32], draws: Callable[[NDArray[np.int64], NDArray[np.int64]], Draws]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The rows and slots of the real ones that are not to be trained on."""
        row, slot = np.divmod(np.flatnonzero(ids == np.where(self._chance < 1, self.ids, -1)), ids.shape[1])
        doubted = draws(row, slot).uniform() >= self._chance[slot]
        return row[doubted], slot[doubted]


class _Places:
    """Rows and slots, gathered slot by slot."""

    def __init__(self) -> None:
        self._rows: list[NDArray[np.int64]] = [np.empty(0, dtype=np.int64)]
        self._slots = [0]

    def add(self, marked: NDArray[np.bool_], slot: int) -> None:
        self._rows.append(np.flatnonzero(marked))
        self._slots.append(slot)

    def arrays(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return np.concatenate(self._rows), np.repeat(self._slots, [len(rows) for rows in self._rows])
