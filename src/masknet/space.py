"""What a model may know of the data: how many ids there are, which slots belong to which field, and how many labels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Any, Literal

Kind = Literal["categorical", "numeric", "bag", "dense"]
Pooling = Literal["sum", "mean"]


@dataclass(frozen=True)
class FieldSpace:
    """One field as a model sees it: `slots` neighbouring `(id, value)` pairs of every row, or columns of `dense`.

    Args:
        name: the column's name.
        kind: what the field holds; a model may treat kinds differently, an embedding does not.
        slots: how many `(id, value)` pairs the field owns in a row, at least 1; a dense field owns none.
        pooling: how several slots become one embedding.
        ordered: whether the order of the slots carries meaning.
        width: how many neighbouring columns of `dense` the field owns, at least 1; 0 for a field of slots.
        projected: whether a dense field enters through a learned projection, and not as it is.
        num_values: how many values of it have an id, or a bucket, of their own; 0 where it holds no values but numbers.
        numbered: whether it has a column of its own where raw numbers are kept: a quantity, or what counts as one, such
            as an hour.
    """

    name: str
    kind: Kind = "categorical"
    slots: int = 1
    pooling: Pooling = "sum"
    ordered: bool = False
    width: int = 0
    projected: bool = False
    num_values: int = 0
    numbered: bool = False

    def __post_init__(self) -> None:
        if self.kind == "dense":
            if self.slots != 0 or self.width < 1:
                raise ValueError(
                    f"a dense field owns at least 1 column and no slot; field '{self.name}' was given {self.width} "
                    f"columns and {self.slots} slots"
                )
            return
        if self.width != 0 or self.projected:
            raise ValueError(f"only a dense field owns columns; field '{self.name}' is {self.kind}")
        if self.slots < 1:
            raise ValueError(f"a field owns at least 1 slot; field '{self.name}' was given {self.slots}")


@dataclass(frozen=True)
class FeatureSpace:
    """The one id space of all fields, and the fields in the order of their slots.

    Id 0 is padding: its embedding is zero and stays zero. No code may assume that the ids of a field are contiguous.

    >>> space = FeatureSpace(num_ids=10, fields=(FieldSpace("user"), FieldSpace("price", kind="numeric")))
    >>> space.num_fields, space.num_slots, space.slot_fields, space.field_slots
    (2, 2, (0, 1), (range(0, 1), range(1, 2)))

    Args:
        num_ids: rows of an embedding table over this space, padding included (at least 1).
        fields: the fields; their slots, and their columns of `dense`, lie one after the other in this order.
        num_tasks: labels that are predicted, at least 1: a network gives `[rows]` logits for one, `[rows, tasks]` for
            several.
    """

    num_ids: int
    fields: tuple[FieldSpace, ...] = field(default=())
    num_tasks: int = 1

    def __post_init__(self) -> None:
        if self.num_ids < 1:
            raise ValueError(f"a feature space holds at least the padding id; num_ids is {self.num_ids}")
        if not self.fields:
            raise ValueError("a feature space needs at least one field; it was given none")
        if self.num_tasks < 1:
            raise ValueError(f"a feature space is of at least one task; num_tasks is {self.num_tasks}")
        names = [f.name for f in self.fields]
        if len(set(names)) != len(names):
            raise ValueError(f"field names must differ; they are {names}")

    @property
    def num_fields(self) -> int:
        """The paper's `f`."""
        return len(self.fields)

    @property
    def num_slots(self) -> int:
        """The width of `ids` and `values`."""
        return sum(f.slots for f in self.fields)

    @property
    def dense_width(self) -> int:
        """The width of `dense`; 0 where no field is dense."""
        return sum(f.width for f in self.fields)

    @property
    def slot_fields(self) -> tuple[int, ...]:
        """For each slot, the index of the field that owns it."""
        return tuple(i for i, f in enumerate(self.fields) for _ in range(f.slots))

    @property
    def field_slots(self) -> tuple[range, ...]:
        """For each field, its slots; none of a dense one."""
        return _side_by_side(f.slots for f in self.fields)

    @property
    def field_columns(self) -> tuple[range, ...]:
        """For each field, its columns of `dense`; none of one that is not dense."""
        return _side_by_side(f.width for f in self.fields)

    @property
    def numbered_fields(self) -> tuple[int, ...]:
        """The indices of the fields that have a column of their own where raw numbers are kept."""
        return tuple(i for i, f in enumerate(self.fields) if f.numbered)

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready copy, read back by `from_json`."""
        return {
            "num_ids": self.num_ids,
            "fields": [vars(f).copy() for f in self.fields],
            "num_tasks": self.num_tasks,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> FeatureSpace:
        """The inverse of `to_json`."""
        return cls(data["num_ids"], tuple(FieldSpace(**f) for f in data["fields"]), data["num_tasks"])


def _side_by_side(widths: Iterable[int]) -> tuple[range, ...]:
    ends = list(accumulate(widths, initial=0))
    return tuple(range(start, end) for start, end in pairwise(ends))
