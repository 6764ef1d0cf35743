"""How trees read encoded rows: a column a number, a value, or a common value of a bag."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from masknet.encode import EncodedRows, EncodedSet
from masknet.errors import DataError
from masknet.own_files import UnsoundError, is_count
from masknet.space import FeatureSpace

__all__ = ["TreeColumns"]

_OF_A_BAG = 100
_ROWS_AT_ONCE = 65_536


@dataclass(frozen=True)
class TreeColumns:
    """The columns of a matrix that trees are grown on.

    Numbers are columns as they were read, an hour and a weekday too; an id is an integer code, the commoner values of a
    field the lower; a bag is a column for each of its commonest values, which holds the value's weight in the row; and
    a dense field is its columns.

    Args:
        space: the fields of the rows.
        common: for each bag, by its name, the ids that have a column.
        native: whether ids are values without an order, and not codes with one.
    """

    space: FeatureSpace
    common: Mapping[str, tuple[int, ...]]
    native: bool = False

    @classmethod
    def of(cls, space: FeatureSpace, rows: EncodedSet) -> TreeColumns:
        """Those of training rows, which tell what is common: at most 100 values of a bag.

        Args:
            space: the fields of the rows.
            rows: read in parts.
        """
        slots = _bags(space)
        counts = {name: np.zeros(space.num_ids, dtype=np.int64) for name in slots}
        for start in range(0, len(rows) if slots else 0, _ROWS_AT_ONCE):
            ids = rows.take(slice(start, start + _ROWS_AT_ONCE)).ids
            for name, own in slots.items():
                counts[name] += np.bincount(ids[:, own.start : own.stop].ravel(), minlength=space.num_ids)
        common = {}
        for name, found in counts.items():
            found[0] = 0  # padding
            most = np.argsort(-found, kind="stable")[:_OF_A_BAG]
            common[name] = tuple(most[found[most] > 0].tolist())
        return cls(space, common)

    @property
    def width(self) -> int:
        """How many columns there are."""
        return sum(self._widths)

    @property
    def _widths(self) -> list[int]:
        """How many columns each field has."""
        return [f.width if f.kind == "dense" else len(self.common.get(f.name, (0,))) for f in self.space.fields]

    @property
    def categories(self) -> tuple[int, ...]:
        """The columns that hold values without an order; none where their codes are to have one."""
        firsts = accumulate(self._widths, initial=0)
        return tuple(
            first
            for first, field in zip(firsts, self.space.fields, strict=False)
            if self.native and field.kind == "categorical" and not field.numbered
        )

    def matrix(self, rows: EncodedRows) -> NDArray[np.float64]:
        """The columns of some rows, `[rows, columns]`, NaN where a number is missing.

        Raises:
            DataError: the space has numbered fields, and their raw numbers were not kept.
        """
        numbered = self.space.numbered_fields
        if numbered and rows.numbers is None:
            raise DataError("trees read numbers as they are; these rows were encoded without them: encode them again")
        columns: list[NDArray[Any]] = []
        for i, field in enumerate(self.space.fields):
            slots, dense = self.space.field_slots[i], self.space.field_columns[i]
            if i in numbered and rows.numbers is not None:
                columns.append(rows.numbers[:, [numbered.index(i)]])
            elif field.kind == "bag":
                columns.append(self._of_bag(rows, field.name, slice(slots.start, slots.stop)))
            elif field.kind == "dense" and rows.dense is not None:
                columns.append(rows.dense[:, dense.start : dense.stop])
            else:
                columns.append(rows.ids[:, slots.start : slots.stop])
        return np.concatenate(columns, axis=1, dtype=np.float64)

    def _of_bag(self, rows: EncodedRows, name: str, slots: slice) -> NDArray[np.float64]:
        column = np.full(self.space.num_ids, -1)
        column[list(self.common[name])] = np.arange(len(self.common[name]))
        at = column[rows.ids[:, slots]]
        row, slot = np.nonzero(at >= 0)
        values = np.broadcast_to(rows.values, rows.ids.shape)[:, slots]
        found = np.zeros((len(rows), len(self.common[name])))
        np.add.at(found, (row, at[row, slot]), values[row, slot])
        return found

    def to_json(self) -> dict[str, Any]:
        """All but the space."""
        return {"common": {name: list(ids) for name, ids in self.common.items()}, "native": self.native}

    @classmethod
    def from_json(cls, space: FeatureSpace, content: Any) -> TreeColumns:
        """The inverse of `to_json`.

        Raises:
            UnsoundError: it is not what `to_json` gave for this space.
        """
        if not (isinstance(content, dict) and content.keys() == {"common", "native"}):
            raise UnsoundError("it holds no columns")
        common, native = content["common"], content["native"]
        sound = isinstance(native, bool) and isinstance(common, dict) and common.keys() == _bags(space).keys()
        if not (sound and all(_are_ids(ids, space.num_ids) for ids in common.values())):
            raise UnsoundError("its columns are not those of the fields")
        return cls(space, {name: tuple(ids) for name, ids in common.items()}, native)


def _bags(space: FeatureSpace) -> dict[str, range]:
    return {f.name: slots for f, slots in zip(space.fields, space.field_slots, strict=True) if f.kind == "bag"}


def _are_ids(ids: object, num_ids: int) -> bool:
    return (
        isinstance(ids, Sequence)
        and len(ids) <= _OF_A_BAG
        and all(is_count(one, least=1, most=num_ids - 1) for one in ids)
        and len(set(ids)) == len(ids)
    )
