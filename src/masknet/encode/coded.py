"""Columns as their different cells, and which of these each row has: most cells of a log are repeats.

What a cell means is then found out once, however many rows have it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from masknet.encode.bags import sampled_rows
from masknet.encode.dictionary import Known, PerCell
from masknet.encode.values import BadCellsError, Place
from masknet.encode.workers import Workers, ahead
from masknet.errors import Where
from masknet.table import ROWS, Chunk, Codes, different_in_series

__all__ = ["Coded", "CodedChunk", "coded_chunks", "renumbered", "sample_of_rows"]

_Found = TypeVar("_Found")

_JOINED_BYTES = 3 << 24


@dataclass(frozen=True)
class Coded:
    """The cells of neighbouring rows of one column.

    >>> city = Coded.of(pl.Series("city", ["Ulm", "Ulm", None, "Bonn", "Ulm", "Ulm"]))
    >>> city.cells.to_list(), city.codes.tolist(), city.times.tolist()
    (['Ulm', None, 'Bonn'], [0, 0, 1, 2, 0, 0], [4, 1, 1])
    >>> known = city.where(city.cells.is_not_null())
    >>> known.cells.to_list(), known.rows().to_list()
    (['Ulm', 'Bonn'], ['Ulm', 'Ulm', 'Bonn', 'Ulm', 'Ulm'])

    Args:
        cells: those of the rows, each once, missing ones too.
        codes: for each row which of them it has; None where the cells are the rows', one by one.
        known: the cells by their numbers in the dictionary of the whole column; None where they stand in none.
    """

    cells: pl.Series
    codes: Codes | None = None
    known: Known | None = None

    @classmethod
    def of(cls, column: pl.Series) -> Coded:
        """A column of at most 65,536 rows: its cells in the order in which they come; as it is where most come once."""
        return cls(*different_in_series(column))

    @classmethod
    def joined(cls, columns: Sequence[Coded]) -> Coded:
        """The rows of several, whose types are one, behind each other; a cell may then stand there several times."""
        if len(columns) == 1:
            return columns[0]
        starts = accumulate((len(one.cells) for one in columns), initial=0)
        codes = [
            start + (np.arange(len(one)) if one.codes is None else one.codes)
            for start, one in zip(starts, columns, strict=False)
        ]
        return cls(pl.concat([one.cells for one in columns]), np.concatenate(codes))

    def __len__(self) -> int:
        """Rows."""
        return len(self.cells) if self.codes is None else len(self.codes)

    @cached_property
    def times(self) -> NDArray[np.int64]:
        """How many rows have each cell."""
        if self.codes is None:
            return np.ones(len(self.cells), dtype=np.int64)
        return np.bincount(self.codes, minlength=len(self.cells))

    def count(self, marked: pl.Series) -> int:
        """How many rows have one of the marked cells."""
        return int(marked.sum()) if self.codes is None else int(self.times[marked.to_numpy()].sum())

    def rows(self, some: NDArray[np.intp] | None = None) -> pl.Series:
        """The cell of each row, or of some rows."""
        if self.codes is None:
            return self.cells if some is None else self.cells[some]
        return self.cells[self.codes if some is None else self.codes.take(some)]

    def where(self, stay: pl.Series) -> Coded:
        """The rows whose cells `stay` marks."""
        if stay.all():
            return self
        if self.codes is None:
            return Coded(self.cells.filter(stay))
        marks = stay.to_numpy()
        codes = self.codes[marks.take(self.codes)]
        return Coded(self.cells.filter(stay), (np.cumsum(marks) - 1).take(codes))

    def part(self, some: slice | NDArray[np.intp]) -> Coded:
        """Some rows, with the cells that they have."""
        if self.codes is None:
            return Coded(self.cells[some])
        used, codes = renumbered(self.codes[some], len(self.cells))
        known = self.known and Known(self.known.dictionary, self.known.numbers[used], codes)
        return Coded(self.cells.filter(pl.Series(used)), codes, known)


def renumbered(codes: Codes, count: int) -> tuple[NDArray[np.bool_], Codes]:
    """Which of so many cells some rows have, and their codes where the others are left out.

    >>> used, codes = renumbered(np.array([4, 1, 4]), 6)
    >>> used.nonzero()[0].tolist(), codes.tolist()
    ([1, 4], [1, 0, 1])
    """
    used = np.zeros(count, dtype=np.bool_)
    used[codes] = True
    return used, (np.cumsum(used) - 1).take(codes)


def sample_of_rows(column: Coded) -> pl.Series:
    """The cells of some rows of a chunk: those that `sample_of` gives of the cells of all."""
    some = sampled_rows(len(column))
    return column.rows() if some is None else column.rows(some)


@dataclass(frozen=True)
class CodedChunk:
    """Some neighbouring rows of a table with their columns coded, and where they stand.

    Args:
        columns: by name.
        source, first_row, rows: as of a `Chunk`.
    """

    columns: Mapping[str, Coded]
    source: str
    first_row: int
    rows: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        """Rows."""
        return len(next(iter(self.columns.values())))

    def pieces(self, rows: int) -> Iterator[CodedChunk]:
        """The chunk in pieces of so many rows at most, in order."""
        if len(self) <= rows:
            yield self
            return
        for start in range(0, len(self), rows):
            span = slice(start, start + rows)
            columns = {name: column.part(span) for name, column in self.columns.items()}
            numbers = None if self.rows is None else self.rows[span]
            yield CodedChunk(columns, self.source, self.first_row + start, numbers)

    def place(self, i: int) -> Where:
        """Where row `i` of the chunk (from 0) stands, for a message."""
        return Where("row", self.first_row + i if self.rows is None else int(self.rows[i]), self.source)

    def read(self, name: str, read: Callable[[pl.Series, Place], _Found]) -> tuple[_Found, Codes | None]:
        """What a reader makes of the cells of a column, and which of these each row has; as of a `Chunk`.

        Raises:
            DataError: the reader refuses a cell, or the column.
        """
        column = self.columns[name]
        if column.known is not None and isinstance(read, PerCell):
            found = column.known.found(read)
            if found is not None:
                return found, column.codes
        try:
            return read(column.cells, self.place), column.codes
        except BadCellsError:
            if column.codes is not None:
                read(column.rows(), self.place)  # which says in what row the cell stands, and how many are like it
            raise


def coded_chunks(chunks: Iterator[Chunk], workers: Workers) -> Generator[CodedChunk, None, None]:
    """The rows of a table with their columns coded, read ahead; small chunks are joined, to 65,536 rows at most."""
    with closing(ahead(_joined(chunks))) as joined:
        for chunk in joined:
            names, different = chunk.columns, workers.each(chunk.different, chunk.columns)
            columns = {name: Coded(*found) for name, found in zip(names, different, strict=True)}
            yield CodedChunk(columns, chunk.source, chunk.first_row, chunk.rows)


def _joined(chunks: Iterator[Chunk]) -> Iterator[Chunk]:
    """NOTE[perf]: a query takes its time however few the rows are, and a cell that comes again takes none."""
    waiting: list[Chunk] = []
    for chunk in chunks:
        if waiting and not _fits(waiting, chunk):
            yield Chunk.joined(waiting)
            waiting = []
        room = ROWS - sum(map(len, waiting))
        waiting.append(chunk.part(0, room))
        if len(chunk) >= room:
            yield Chunk.joined(waiting)
            waiting = [chunk.part(room, len(chunk) - room)] if len(chunk) > room else []
    if waiting:
        yield Chunk.joined(waiting)


def _fits(waiting: Sequence[Chunk], chunk: Chunk) -> bool:
    """Whether the rows of a chunk stand behind those that wait, have the same types, and leave the memory bounded."""
    last = waiting[-1]
    beside = last.source == chunk.source and (chunk.rows is not None or chunk.first_row == last.numbers[-1] + 1)
    alike = last.piece.schema == chunk.piece.schema
    return beside and alike and sum(one.num_bytes for one in (*waiting, chunk)) <= _JOINED_BYTES
