"""The different texts of a whole column, each with a number: what a text means is then found out once a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
import polars as pl
from numpy.typing import NDArray

from masknet.encode.values import BadCellsError, Place

__all__ = ["Dictionary", "Known", "PerCell", "Times", "times_of"]

_Found = TypeVar("_Found")


@runtime_checkable
class PerCell(Protocol[_Found]):
    """Reads the cells of a column, each by itself: what it makes of one depends on no other."""

    def __call__(self, column: pl.Series, place: Place, /) -> _Found:
        """What it makes of some cells."""

    def take(self, found: _Found, cells: NDArray[np.integer], /) -> _Found:
        """What it made of some of them."""

    def __hash__(self) -> int:
        """Equal readers make the same of a cell."""


class Dictionary:
    """Texts and their numbers, in the order in which they come; it grows by the texts that it has not.

    >>> dictionary = Dictionary()
    >>> [dictionary.numbers(pl.Series(texts)).tolist() for texts in (["Ulm", "Bonn"], [None, "Bonn", "Kiel"])]
    [[1, 2], [0, 2, 3]]
    >>> dictionary.texts.to_list()
    [None, 'Ulm', 'Bonn', 'Kiel']
    """

    def __init__(self) -> None:
        self._type = pl.Categorical(pl.Categories.random())
        self._holder = pl.Series([], dtype=self._type)  # Polars forgets numbers that no series is of
        self._parts = [pl.Series([None], dtype=pl.String)]
        self._found: dict[PerCell[Any], Any] = {}
        self._size = 1
        self.num_bytes = 0
        """What the texts take of the memory."""

    def __len__(self) -> int:
        """How many texts there are, the missing one among them."""
        return self._size

    def numbers(self, texts: pl.Series) -> NDArray[np.uint32]:
        """The number of each text, 0 of a missing one.

        Args:
            texts: each once.
        """
        codes = texts.cast(self._type).to_physical().to_numpy()
        if texts.null_count():  # then they are floats, with NaN
            codes = np.where(np.isnan(codes), -1, codes)
        numbers = (codes + 1).astype(np.uint32, copy=False)
        fresh = np.flatnonzero(numbers >= self._size)
        if len(fresh):
            fresh = fresh[np.argsort(numbers[fresh])]
            # Texts of their own: those of a chunk keep the memory of the whole chunk.
            own = texts[fresh] + ""
            self._parts.append(own)
            self._size += len(own)
            self.num_bytes += int(own.estimated_size())
            self._found.clear()
        return numbers

    @property
    def texts(self) -> pl.Series:
        """Each by its number."""
        if len(self._parts) > 1:
            self._parts = [pl.concat(self._parts, rechunk=True)]
        return self._parts[0]

    def found(self, read: PerCell[_Found]) -> _Found | None:
        """What a reader makes of all texts; None where it refuses one of them."""
        if read not in self._found:
            try:
                self._found[read] = read(self.texts, lambda i: "")
            except BadCellsError:
                self._found[read] = None
        found: _Found | None = self._found[read]
        return found


@dataclass(frozen=True)
class Known:
    """Cells of some rows, by their numbers in a dictionary.

    Args:
        numbers: of the cells, each once.
        codes: for each row which of them it has.
    """

    dictionary: Dictionary
    numbers: NDArray[np.uint32]
    codes: NDArray[np.intp]

    def found(self, read: PerCell[_Found]) -> _Found | None:
        """What a reader makes of the cells; None where it refuses one of the dictionary."""
        found = self.dictionary.found(read)
        return None if found is None else read.take(found, self.numbers)


class Times:
    """How often each text of a dictionary that grows no more is met.

    >>> dictionary = Dictionary()
    >>> city = Known(dictionary, dictionary.numbers(pl.Series(["Ulm", "Bonn"])), codes=np.array([0, 0, 1, 0]))
    >>> times = Times(dictionary)
    >>> times.add(city)
    >>> times.add(city, keep=np.array([True, False, False, False]))
    >>> times.of_each.tolist()
    [0, 4, 1]
    """

    def __init__(self, dictionary: Dictionary) -> None:
        self.of_each = np.zeros(len(dictionary), dtype=np.int64)

    def add(self, cells: Known, keep: NDArray[np.bool_] | None = None) -> None:
        """Count the cells of the rows, or of those that `keep` marks."""
        self.of_each[cells.numbers] += times_of(cells.codes, keep, len(cells.numbers))


def times_of(codes: NDArray[np.intp], keep: NDArray[np.bool_] | None, cells: int) -> NDArray[np.int64]:
    """How many of the rows, or of those that `keep` marks, have each of so many cells.

    >>> times_of(np.array([1, 0, 1]), np.array([True, True, False]), 3).tolist()
    [1, 1, 0]
    """
    # NOTE[perf]: to weigh all rows takes half the time of taking some.
    return np.bincount(codes, weights=keep, minlength=cells).astype(np.int64, copy=False)
