"""What training shows in place of some values, so that no id which scoring may read is left to a chance row or two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from masknet.draws import keyed_uniform

__all__ = ["Counts", "Shown", "StandIns"]

_OF_MISSING = 0x6D697373  # apart from the keys of unseen values

_PRIOR_ROWS = 50
"""Rows at which a real unseen value counts half: what is known of its likes beforehand weighs as much as so many."""

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
        starts = np.cumsum([0, *(own.slots for own in fields)]).tolist()
        unseen, missing = [], []
        for start, own in zip(starts, fields, strict=False) if share else ():
            counts, slots = own.counts, range(start, start + own.slots)
            chance = trusted(counts.rare)
            if own.unseen >= 0 and (chance < 1 or counts.rare_share < share):
                unseen += [
                    (slot, own.unseen, own.missing, share - chance * counts.rare_share, chance) for slot in slots
                ]
            chance = trusted(counts.missing)
            if own.missing >= 0 and (chance < 1 or counts.missing_share < share):
                missing.append((slots, own.missing, share - chance * counts.missing_share, chance))
        self._slots = np.array([slot for slot, *_ in unseen], dtype=np.int64)
        self._unseen = np.array([own for _, own, *_ in unseen], dtype=np.int32)
        self._no_value = np.array([own for _, _, own, *_ in unseen], dtype=np.int32)
        self._lacking = np.array([lacking for *_, lacking, _ in unseen])
        self._chance = np.array([chance for *_, chance in unseen])
        self._spans = [slice(slots.start, slots.stop) for slots, *_ in missing]
        self._firsts = np.array([slots.start for slots, *_ in missing], dtype=np.int64)
        self._first_ids = np.array([own for _, own, *_ in missing], dtype=np.int32)
        self._absent = np.array([lacking for *_, lacking, _ in missing])
        self._first_chance = np.array([chance for *_, chance in missing])

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
        if len(self._slots):
            own = ids[:, self._slots]
            drawn = keyed_uniform(seed, epoch, numbers[:, None], self._slots[None, :])
            real = own == self._unseen
            known = (own != 0) & (own != self._no_value) & ~real  # the padding of a bag is no value
            shown = np.where(known & (drawn < self._lacking), self._unseen, own)
            distrusted = real & (drawn >= self._chance)
            ids[:, self._slots] = np.where(distrusted, 0, shown)
            if len(values) == len(ids) and distrusted.any():
                values[:, self._slots] = np.where(distrusted, 0, values[:, self._slots])
        if len(self._firsts):
            drawn = keyed_uniform(seed, epoch, numbers[:, None], self._firsts[None, :], _OF_MISSING)
            real = ids[:, self._firsts] == self._first_ids
            hidden = np.where(real, drawn >= self._first_chance, drawn < self._absent)
            for field_at in np.flatnonzero(hidden.any(axis=0)):
                at, span = np.flatnonzero(hidden[:, field_at]), self._spans[field_at]
                shown = np.where(real[at, field_at], 0, self._first_ids[field_at])
                ids[at, span] = 0
                ids[at, span.start] = shown
                if len(values) == len(ids):
                    values[at, span] = 0
                    values[at, span.start] = shown != 0
