"""What the first pass over a table read, kept beside the cache for the passes that follow: a table is parsed once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from masknet.encode.coded import Coded, CodedChunk
from masknet.encode.dictionary import Dictionary, Known

__all__ = ["KeptRows"]

_DICTIONARY_BYTES = 1 << 27
"""Of the texts of all columns; where there are more, the cells of the chunks that follow are kept as they are."""


class KeptRows:
    """Coded chunks in a folder, a file each.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     kept = KeptRows(Path(folder) / "rows")
    ...     kept.add(CodedChunk({"city": Coded(pl.Series("city", ["Ulm", "Bonn"]))}, "ads.csv", first_row=1))
    ...     [(chunk.columns["city"].cells.to_list(), chunk.place(0)) for chunk in kept.chunks(["city"], at_most=1)]
    [(['Ulm'], 'row 1 of ads.csv'), (['Bonn'], 'row 2 of ads.csv')]

    Args:
        folder: is made.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self._chunks: list[tuple[str, int, tuple[str, ...]]] = []
        self._dictionaries: dict[str, Dictionary] = {}
        self._room = _DICTIONARY_BYTES
        self.num_rows = 0

    def add(self, chunk: CodedChunk) -> None:
        """Keep the next rows."""
        # One row, in which each column is one list: columns of several lengths in one file.
        lists = []
        for i, (name, column) in enumerate(chunk.columns.items()):
            numbers = self._numbers(name, column)
            if numbers is None:
                lists.append(column.cells.implode().alias(f"{i}"))
            else:
                lists.append(_listed(f"{i}.numbers", numbers))
            if column.codes is not None:
                lists.append(_listed(f"{i}.codes", column.codes.astype(np.uint16)))  # of 65,536 rows
        if chunk.rows is not None:
            lists.append(_listed("rows", chunk.rows))
        pl.DataFrame(lists).write_ipc(self._file(len(self._chunks)), compression="uncompressed")
        self._chunks.append((chunk.source, chunk.first_row, tuple(chunk.columns)))
        self.num_rows += len(chunk)

    def _numbers(self, name: str, column: Coded) -> NDArray[np.uint32] | None:
        """The numbers of the cells in the column's dictionary; None of cells that are kept as they are."""
        if column.codes is None or column.cells.dtype != pl.String or self._room <= 0:
            return None
        dictionary = self._dictionaries.setdefault(name, Dictionary())
        before = dictionary.num_bytes
        numbers = dictionary.numbers(column.cells)
        self._room -= dictionary.num_bytes - before
        return numbers

    def _file(self, number: int) -> Path:
        return self._folder / f"{number}.arrow"

    def chunks(self, columns: Sequence[str], at_most: int) -> Iterator[CodedChunk]:
        """The rows in their order.

        Args:
            columns: what to read, in this order.
            at_most: rows of a chunk.
        """
        for number, (source, first_row, names) in enumerate(self._chunks):
            frame = pl.read_ipc(self._file(number))
            lists = {name: frame[name][0] for name in frame.columns}
            found = {}
            for name in columns:
                i = f"{names.index(name)}"
                codes = lists[f"{i}.codes"].to_numpy().astype(np.intp) if f"{i}.codes" in lists else None
                if f"{i}.numbers" in lists:
                    assert codes is not None  # only coded cells have numbers
                    known = Known(self._dictionaries[name], lists[f"{i}.numbers"].to_numpy(), codes)
                    found[name] = Coded(known.dictionary.texts[known.numbers].alias(name), codes, known)
                else:
                    found[name] = Coded(lists[i].alias(name), codes)
            rows = lists.get("rows")
            chunk = CodedChunk(found, source, first_row, None if rows is None else rows.to_numpy())
            yield from chunk.pieces(at_most)


def _listed(name: str, numbers: NDArray[np.integer]) -> pl.Series:
    """One list that holds all. NOTE[perf]: `implode` is a query, and takes twice as long; of texts less."""
    return pl.Series(name, [pl.Series(numbers)])
