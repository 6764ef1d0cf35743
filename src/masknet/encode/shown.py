"""What training shows in place of some values, so that no id which scoring may read is left to a chance row or two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from masknet.draws import keyed_uniform

__all__ = ["Counts", "Shown", "StandIns"]

_OF_MISSING = 0x6D697373  # apart from the keys of unseen values


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

    >>> Shown(slots=2, missing=7, missing_share=0.2)
    Shown(slots=2, unseen=-1, unseen_share=0.0, missing=7, missing_share=0.2)

    Args:
        slots: of the field.
        unseen: the id, or -1 where scoring never reads one.
        unseen_share: of the training values, in [0, 1].
        missing: the id, or -1 where scoring never reads one.
        missing_share: of the training rows, in [0, 1].
    """

    slots: int = 1
    unseen: int = -1
    unseen_share: float = 0.0
    missing: int = -1
    missing_share: float = 0.0


class StandIns:
    """Shows some values of training rows as unseen or as missing, where fewer than a share of them are so themselves.

    What is drawn depends on seed, epoch, row and slot, and on nothing else.

    Args:
        fields: in the order of their slots.
        share: of values, in [0, 1); what training rows have of themselves is topped up to it.
    """

    def __init__(self, fields: Sequence[Shown], share: float) -> None:
        slots = [field for field in fields for _ in range(field.slots)]
        lacking = np.array([share - field.unseen_share if field.unseen >= 0 else 0.0 for field in slots])
        self._slots = np.flatnonzero(lacking > 0)
        self._lacking = lacking[self._slots]
        self._unseen = np.array([field.unseen for field in slots], dtype=np.int32)[self._slots]
        starts = np.cumsum([0, *(field.slots for field in fields)])
        owns = [(int(start), field) for start, field in zip(starts, fields, strict=False)]
        owns = [(start, field) for start, field in owns if field.missing >= 0 and field.missing_share < share]
        self._firsts = np.array([start for start, _ in owns], dtype=np.int64)
        self._missing = [field.missing for _, field in owns]
        self._spans = [slice(start, start + field.slots) for start, field in owns]
        self._absent = np.array([share - field.missing_share for _, field in owns])

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
            hidden = keyed_uniform(seed, epoch, numbers[:, None], self._slots[None, :]) < self._lacking
            hidden &= own != 0  # the padding of a bag is no value
            ids[:, self._slots] = np.where(hidden, self._unseen, own)
        if len(self._firsts):
            drawn = keyed_uniform(seed, epoch, numbers[:, None], self._firsts[None, :], _OF_MISSING) < self._absent
            for field in np.flatnonzero(drawn.any(axis=0)):
                at, span = np.flatnonzero(drawn[:, field]), self._spans[field]
                ids[at, span] = 0
                ids[at, span.start] = self._missing[field]
                if len(values) == len(ids):
                    values[at, span] = 0
                    values[at, span.start] = 1
