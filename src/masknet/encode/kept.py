"""What the first pass over a table read, kept beside the cache for the passes that follow: a table is parsed once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from masknet.encode.coded import Coded, CodedChunk

__all__ = ["KeptRows"]


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
        self.num_rows = 0

    def add(self, chunk: CodedChunk) -> None:
        """Keep the next rows."""
        # One row, in which each column is one list: columns of several lengths in one file.
        lists = []
        for i, column in enumerate(chunk.columns.values()):
            lists.append(column.cells.implode().alias(f"{i}"))
            if column.codes is not None:
                lists.append(pl.Series(f"{i}.codes", column.codes.astype(np.uint16)).implode())  # of 65,536 rows
        if chunk.rows is not None:
            lists.append(pl.Series("rows", chunk.rows).implode())
        pl.DataFrame(lists).write_ipc(self._file(len(self._chunks)), compression="uncompressed")
        self._chunks.append((chunk.source, chunk.first_row, tuple(chunk.columns)))
        self.num_rows += len(chunk)

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
                codes = lists.get(f"{i}.codes")
                found[name] = Coded(lists[i].alias(name), None if codes is None else codes.to_numpy().astype(np.intp))
            rows = lists.get("rows")
            chunk = CodedChunk(found, source, first_row, None if rows is None else rows.to_numpy())
            yield from chunk.pieces(at_most)
