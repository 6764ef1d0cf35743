"""Parquet files, which keep their types and know how many rows they hold."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet

from masknet.errors import DataError
from masknet.table.arrow import plain, plain_columns
from masknet.table.part import ROWS, NumberedPiece, Piece, Report, file_digest, reading

PARQUET = "Parquet"

_DICTIONARY = {"RLE_DICTIONARY", "PLAIN_DICTIONARY"}


@dataclass(frozen=True)
class ParquetFile:
    """A Parquet file, of which at first only the footer is read.

    Args:
        name: for messages.
        path: where it lies.
        columns: the names of its columns, in its order.
        num_rows: as the footer says.
        num_bytes: the size on disk.
        wide: it holds 128-bit integers, which only Polars writes, and pyarrow does not open.
    """

    name: str
    path: Path
    columns: tuple[str, ...]
    num_rows: int
    num_bytes: int
    wide: bool

    @classmethod
    def open(cls, path: Path, name: str) -> ParquetFile:
        """Read the footer."""
        size = path.stat().st_size
        with _whole(name):
            try:
                with pa.OSFile(os.fspath(path)) as raw:
                    file = pyarrow.parquet.ParquetFile(raw)
                    return cls(name, path, tuple(file.schema_arrow.names), file.metadata.num_rows, size, wide=False)
            except pa.ArrowNotImplementedError:
                scan = pl.scan_parquet(path.absolute(), glob=False)
                rows = scan.select(pl.len()).collect().item()
                return cls(name, path, tuple(scan.collect_schema().names()), rows, size, wide=True)

    def estimated_rows(self) -> int:
        """Exactly `num_rows`."""
        return self.num_rows

    def pieces(self, names: list[str], bad: Report | None) -> Iterator[NumberedPiece]:
        """The rows, at most 65,536 at a time; texts in the dictionaries that the file has of them. None is bad."""
        return ((piece, None) for piece in self._pieces(names))

    def _pieces(self, names: list[str]) -> Iterator[Piece]:
        with _whole(self.name):
            if self.wide:
                scan = pl.scan_parquet(self.path.absolute(), glob=False).select(names)
                for start in range(0, self.num_rows, ROWS):
                    yield plain(scan.slice(start, ROWS).collect(), self.name)
                return
            with pa.OSFile(os.fspath(self.path)) as raw:
                # A buffer makes pyarrow read pages as it goes, not a row group's whole columns at once.
                file = pyarrow.parquet.ParquetFile(raw, buffer_size=1 << 20)
                if coded := _coded_texts(file).intersection(names):
                    settings = {"metadata": file.metadata, "read_dictionary": list(coded)}
                    file = pyarrow.parquet.ParquetFile(raw, buffer_size=1 << 20, **settings)
                for batch in file.iter_batches(ROWS, columns=names):
                    yield plain_columns(pa.Table.from_batches([batch]).select(names), self.name, coded=coded)

    def digest(self, *, verify: bool) -> bytes:
        """A hash of the file's bytes."""
        return file_digest(self.path, self.name, PARQUET, verify=verify)


def _coded_texts(file: pyarrow.parquet.ParquetFile) -> set[str]:
    """The columns of texts that are read as the codes that the file has for them.

    NOTE[perf]: none where row groups are small, since each brings its dictionary, nor where a column has none: pyarrow
    would make one of it.
    """
    known = file.metadata
    if not known.num_row_groups or 2 * known.num_rows < ROWS * known.num_row_groups:
        return set()
    group, types = known.row_group(0), file.schema_arrow
    texts = {field.name for field in types if pa.types.is_string(field.type) or pa.types.is_large_string(field.type)}
    columns = (group.column(i) for i in range(known.num_columns))
    return texts & {one.path_in_schema for one in columns if not _DICTIONARY.isdisjoint(one.encodings)}


@contextmanager
def _whole(name: str) -> Iterator[None]:
    """Say in one sentence that a file is damaged, or is no Parquet."""
    try:
        with reading(name):
            yield
    except (pa.ArrowException, pl.exceptions.PolarsError, OSError) as error:
        why = " ".join(str(error).split()).rstrip(".")
        raise DataError(f"{name} is not a whole Parquet file ({why}); write it again", file=name) from error
