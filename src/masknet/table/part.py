"""What a table is made of: a file or a frame, and the rules that all of them keep."""

from __future__ import annotations

import codecs
import hashlib
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from masknet.errors import DataError
from masknet.table.packed import DamagedError, open_bytes

ROWS = 65_536  # of a chunk, at most
FRAME = "the frame"
BLOCK = 1 << 22  # bytes of lines read at once
LONGEST_LINE = 1 << 28
_SAMPLE = 1 << 20
_FINGERPRINT_BLOCK, _FINGERPRINT_BLOCKS = 1 << 16, 16


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be used: where it stands, and why.

    Args:
        source: the file's name, or "the frame".
        row: its number in that source, counted from 1 without the header and blank lines.
        column: the column at fault, or None where the row as a whole is.
        reason: the sentence that the error would have, were the row not set aside.
        cells: its cells as they were read, in the order of the file; a byte that is not UTF-8 reads `\\xe9`.
    """

    source: str
    row: int
    column: str | None
    reason: str
    cells: Sequence[Any]


Report: TypeAlias = Callable[[BadRow], None]
"""Is told of each bad row, in the order of the file."""


Piece: TypeAlias = pl.DataFrame | pa.Table
"""Some rows, as a frame, or as the columns of Arrow that `plain_columns` gives, of which a frame is made on demand."""

NumberedPiece: TypeAlias = tuple[Piece, NDArray[np.int64] | None]
"""Some rows, and the number of each in its file; None where they follow on those before, none left out."""


class Part(Protocol):
    """One file, or one frame: what a table is made of."""

    @property
    def name(self) -> str:
        """For messages: the file's name, or "the frame"."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns, in their order."""

    @property
    def num_rows(self) -> int | None:
        """How many rows there are, where that is known without reading them; else None."""

    @property
    def num_bytes(self) -> int:
        """The size on disk, or in memory."""

    def estimated_rows(self) -> int:
        """`num_rows` where it is known, else an estimate."""

    def pieces(self, names: list[str], bad: Report | None) -> Iterator[NumberedPiece]:
        """All rows in their order, with the columns `names`, in pieces of any size that fits in memory.

        Args:
            names: of the columns.
            bad: is told of the bad rows, which are left out; with None the first of them is an error.
        """

    def digest(self, *, verify: bool) -> bytes:
        """A hash of the data and of how it is read; with `verify` of every byte of a file, else of samples."""


@runtime_checkable
class Valued(Protocol):
    """A part that is known by the values of its columns, and not by the bytes of a file."""

    def digest_without(self, columns: Collection[str], *, verify: bool) -> bytes:
        """The digest, for which some columns are not read."""


def check_names(columns: tuple[str, ...], name: str, way_out: str = "rename it") -> None:
    """Refuse names that repeat, or that Polars takes for patterns, and a table without columns."""
    repeated = list(dict.fromkeys(c for c in columns if columns.count(c) > 1))
    if repeated == [""]:
        raise DataError(
            f"the columns of a table have different names; {name} has {columns.count('')} without one: {way_out}",
            file=name,
            column="",
        )
    if repeated:
        shown = listed([f"'{c}'" for c in repeated], 5)
        raise DataError(
            f"the columns of a table have different names; {name} repeats {shown}: {way_out}",
            file=name,
            column=repeated[0],
        )
    if not columns:
        raise DataError(f"a table has at least one column; {name} has none", file=name)
    # Wherever Polars meets such a name, it takes * for all columns, and ^...$ for those that match the expression.
    pattern = next((c for c in columns if c == "*" or (c.startswith("^") and c.endswith("$"))), None)
    if pattern is not None:
        raise DataError(
            f"a column's name is not * and does not begin with ^ and end with $; {name} has '{pattern}': rename it",
            file=name,
            column=pattern,
        )


def listed(texts: Sequence[str], most: int = 20) -> str:
    """The texts with commas between them, the first so many."""
    return ", ".join(texts[:most]) + (f" and {len(texts) - most} more" if len(texts) > most else "")


@contextmanager
def reading(name: str, *, file: str | None = None) -> Iterator[None]:
    """Turn what can go wrong between a disk and a file's bytes into one sentence.

    Args:
        name: what the sentence calls the file.
        file: the file's name for `DataError.file`, where that is another.
    """
    file = file or name
    try:
        yield
    except DamagedError as error:
        raise DataError(f"{name} is not a whole {error.packing} file ({error}); write it again", file=file) from error
    except PermissionError as error:
        raise DataError(f"{name} may not be read (permission denied); change its permissions", file=file) from error
    except OSError as error:
        if error.errno is None:  # pyarrow's word for damaged bytes, which the caller knows better
            raise
        raise DataError(f"{name} cannot be read ({error.strerror}); check the file and its disk", file=file) from error


def estimated_lines(path: Path, name: str, encoding: str = "utf-8") -> int:
    """How many lines that are not blank a text has, judged by its first MiB."""
    with reading(name), open_bytes(path) as (stream, file):
        sample = stream.read(_SAMPLE)
        lines = sum(1 for line in sample.decode(encoding, errors="ignore").lstrip("\ufeff").splitlines() if line)
        share = 1.0 if len(sample) < _SAMPLE else file.tell() / path.stat().st_size
    return round(lines / share)


def whole_lines(stream: IO[bytes], name: str) -> Iterator[bytes]:
    """A text in blocks that end with a line, without the mark at its start and the last line break of each block."""
    cut = stream.read(len(codecs.BOM_UTF8)).removeprefix(codecs.BOM_UTF8)
    while block := stream.read(BLOCK):
        whole, newline, rest = block.rpartition(b"\n")
        if newline:
            yield cut + whole
            cut = rest
            continue
        cut += block
        if len(cut) > LONGEST_LINE:
            most = LONGEST_LINE >> 20
            raise DataError(f"a row is shorter than {most} MiB; {name} has a longer one: is it text?", file=name)
    yield cut


def file_digest(path: Path, name: str, read_as: str, *, verify: bool) -> bytes:
    """A hash of a file's bytes (sampled, or all of them) and of how they are read."""
    digest = hashlib.sha256(read_as.encode())
    with reading(name), path.open("rb") as file:
        if verify:
            while block := file.read(_SAMPLE):
                digest.update(block)
            return digest.digest()
        status = os.fstat(file.fileno())
        digest.update(f"|{status.st_size}|{status.st_mtime_ns}|".encode())
        last = max(status.st_size - _FINGERPRINT_BLOCK, 0)
        for i in range(_FINGERPRINT_BLOCKS):
            file.seek(last * i // (_FINGERPRINT_BLOCKS - 1))
            digest.update(file.read(_FINGERPRINT_BLOCK))
    return digest.digest()
