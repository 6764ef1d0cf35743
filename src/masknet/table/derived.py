"""Tables made of other tables: without some of their rows, in two parts, or with more columns beside their own."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from masknet.table.part import FRAME, NumberedPiece, Report, check_names
from masknet.table.table import Table, open_table


@dataclass(frozen=True)
class Kept:
    """The rows of one file, or of the one frame, that stay.

    Args:
        num_rows: how many stay.
        left_out: the numbers of those before `last` that do not, rising.
        last: the number of the last row that stays, after which nothing is read; None where all that follow stay.
    """

    num_rows: int
    left_out: NDArray[np.int64] = field(repr=False)
    last: int | None = None


def without_rows(table: Table, kept: Sequence[Kept]) -> Table:
    """The table without some of its rows, as often as it is read; those that stay keep their numbers.

    >>> table = open_table([{"city": "Ulm"}, {"city": "?"}, {"city": "Köln"}])
    >>> known = without_rows(table, [Kept(num_rows=2, left_out=np.array([2]))])
    >>> [(chunk.frame.rows(), chunk.place(1)) for chunk in known.chunks()]
    [([('Ulm',), ('Köln',)], 'row 3 of the frame')]

    Args:
        table: whose rows they are; those of a text file that cannot be read are left out too.
        kept: the rows that stay of each file, in the order of the files; files beyond the last of `kept` are left out.
    """
    alone = [replace(table, parts=(part,)) for part in table.parts[: len(kept)]]
    return replace(table, parts=tuple(_WithoutRows(part, rows) for part, rows in zip(alone, kept, strict=True)))


@dataclass(frozen=True)
class _SomeRows(ABC):
    """Some rows of a part; `whole` is a table of that part alone."""

    whole: Table

    @property
    def name(self) -> str:
        return self.whole.parts[0].name

    @property
    def columns(self) -> tuple[str, ...]:
        return self.whole.columns

    @property
    @abstractmethod
    def num_rows(self) -> int: ...

    @property
    def num_bytes(self) -> int:
        return self.whole.num_bytes

    def estimated_rows(self) -> int:
        return self.num_rows

    @abstractmethod
    def pieces(self, names: list[str], bad: Report | None) -> Iterator[NumberedPiece]: ...


@dataclass(frozen=True)
class _WithoutRows(_SomeRows):
    """Those that stay."""

    kept: Kept

    @property
    def num_rows(self) -> int:
        return self.kept.num_rows

    def pieces(self, names: list[str], bad: Report | None) -> Iterator[NumberedPiece]:
        left_out, last = self.kept.left_out, self.kept.last
        for chunk in self.whole.chunks(names, bad=lambda row: None):  # who left the rows out was told of these
            numbers = chunk.numbers
            if not len(numbers):
                continue
            end = len(numbers) if last is None else int(np.searchsorted(numbers, last, "right"))
            near = left_out[slice(*np.searchsorted(left_out, [numbers[0], numbers[-1] + 1]))]
            stay = np.flatnonzero(~np.isin(numbers[:end], near))
            yield chunk.pick(stay), numbers[stay]
            if last is not None and numbers[-1] >= last:
                return

    def digest(self, *, verify: bool) -> bytes:
        return self.whole.parts[0].digest(verify=verify) + b"sifted"


def split_rows(table: Table, marked: NDArray[np.bool_]) -> tuple[Table, Table]:
    """The rows of a table as two tables, those that are not marked and those that are; all keep their numbers.

    >>> rest, chosen = split_rows(open_table([{"city": "Ulm"}, {"city": "Köln"}]), np.array([False, True]))
    >>> [(chunk.frame.rows(), chunk.place(0)) for chunk in chosen.chunks()]
    [([('Köln',)], 'row 2 of the frame')]

    Args:
        table: every row of it can be read.
        marked: of each row, in order; rows beyond the last of them are in neither table.
    """
    parts: tuple[list[_Chosen], list[_Chosen]] = [], []
    start = 0
    for part in table.parts:
        whole = replace(table, parts=(part,))
        end = min(start + whole.count_rows(), len(marked))
        for chosen, rows in zip(parts, (~marked[start:end], marked[start:end]), strict=True):
            chosen.append(_Chosen(whole, rows))
        start = end
    return replace(table, parts=tuple(parts[0])), replace(table, parts=tuple(parts[1]))


@dataclass(frozen=True)
class _Chosen(_SomeRows):
    """Those that are marked; `rows` has a mark for each of the part's first rows."""

    rows: NDArray[np.bool_] = field(repr=False)

    @property
    def num_rows(self) -> int:
        return int(np.count_nonzero(self.rows))

    def pieces(self, names: list[str], bad: Report | None) -> Iterator[NumberedPiece]:
        start = 0
        if not len(self.rows):
            return
        for chunk in self.whole.chunks(names, limit=len(self.rows)):
            end = start + len(chunk)
            chosen = np.flatnonzero(self.rows[start:end])
            yield chunk.pick(chosen), chunk.numbers[chosen]
            start = end

    def digest(self, *, verify: bool) -> bytes:
        rows = hashlib.sha256(np.packbits(self.rows).tobytes()).digest()
        return self.whole.parts[0].digest(verify=verify) + rows + len(self.rows).to_bytes(8, "little")


def with_columns(table: Table, beside: pl.DataFrame) -> Table:
    """The table with more columns beside its own, or in their place where the names are the same.

    >>> table = with_columns(open_table([{"city": "Ulm"}, {"city": "Köln"}]), pl.DataFrame({"click": [0, 1]}))
    >>> [chunk.frame.rows() for chunk in table.chunks(["click", "city"])]
    [[(0, 'Ulm'), (1, 'Köln')]]

    Args:
        table: what to add to.
        beside: as many rows as the table has, in its order; see `Table.count_rows`.

    Raises:
        DataError: a name of a column is none that a table may have.
    """
    check_names(tuple(beside.columns), FRAME)
    return Table(table.name, table.typed, parts=(_WithColumns(table, beside),))


@dataclass(frozen=True)
class _WithColumns:
    """The whole of a table as one part, with the columns of a frame."""

    table: Table
    beside: pl.DataFrame

    @property
    def name(self) -> str:
        return self.table.name

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.table.columns, *self.beside.columns)))

    @property
    def num_rows(self) -> int:
        return len(self.beside)

    @property
    def num_bytes(self) -> int:
        return self.table.num_bytes + int(self.beside.estimated_size())

    def estimated_rows(self) -> int:
        return self.num_rows

    def pieces(self, names: list[str], bad: Report | None) -> Iterator[NumberedPiece]:
        own = [name for name in names if name not in self.beside.columns]
        if not own:
            yield self.beside.select(names), None
            return
        beside = self.beside.select(name for name in names if name in self.beside.columns)
        row = 0
        for chunk in self.table.chunks(own):
            rows = len(chunk)
            yield chunk.frame.with_columns(beside.slice(row, rows).get_columns()).select(names), None
            row += rows

    def digest(self, *, verify: bool) -> bytes:
        return self.digest_without((), verify=verify)

    def digest_without(self, columns: Collection[str], *, verify: bool) -> bytes:
        beside = open_table(self.beside).fingerprint(but=columns)
        return hashlib.sha256((self.table.fingerprint(verify=verify, but=columns) + beside).encode()).digest()
