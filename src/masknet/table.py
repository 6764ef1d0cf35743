"""Rows from anywhere: files, globs, folders and frames become one stream of Polars frames, in bounded memory.

CSV and TSV arrive as text, as written; Parquet and frames keep their types. A table is read anew on each pass, holds
no file open in between, and never changes what it was given.
"""

from __future__ import annotations

import codecs
import csv
import datetime
import difflib
import functools
import glob
import gzip
import hashlib
import io
import os
import re
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol, TypeAlias, cast, runtime_checkable

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from masknet.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["BadRow", "Chunk", "Source", "Table", "open_table"]

Source: TypeAlias = (
    "str | os.PathLike[str] | pl.DataFrame | pd.DataFrame | pa.Table | pa.RecordBatch | np.ndarray[Any, Any]"
    " | Sequence[Mapping[str, Any]] | Sequence[str | os.PathLike[str]]"
)

ROWS = 65_536  # of a chunk, at most
# NOTE[perf]: 4 and 8 MiB parse at the same speed, with and without pyarrow's threads. The second size is for a value
# that does not fit in the first.
BLOCKS = (1 << 22, 1 << 28)
NOT_UTF8 = "\0not UTF-8\0"
# Bytes of bad rows that follow each other, kept until pyarrow comes to an end of a block with a good one.
HELD = 1 << 27
_SAMPLE = 1 << 20
_FINGERPRINT_BLOCK, _FINGERPRINT_BLOCKS = 1 << 16, 16
_TEXT_SUFFIXES = {".csv": ",", ".csv.gz": ",", ".tsv": "\t", ".tsv.gz": "\t"}
_PARQUET_SUFFIXES = (".parquet", ".pq")
_KNOWN = ", ".join((*_PARQUET_SUFFIXES, *_TEXT_SUFFIXES))
_FRAME = "the frame"


@dataclass(frozen=True)
class Chunk:
    """Some neighbouring rows of a table, and where they stand.

    >>> Chunk(pl.DataFrame({"a": [1, 2]}), "ads.csv", first_row=16).place(1)
    'row 17 of ads.csv'

    Args:
        frame: at most 65,536 rows, in order.
        source: the file's name, or "the frame".
        first_row: the number of the first row in that source, counted from 1 without the header and blank lines.
        rows: the number of each row, where some between them were left out; else None.
    """

    frame: pl.DataFrame
    source: str
    first_row: int
    rows: NDArray[np.int64] | None = None

    @property
    def numbers(self) -> NDArray[np.int64]:
        """The number of each row in the source."""
        if self.rows is not None:
            return self.rows
        return np.arange(self.first_row, self.first_row + len(self.frame), dtype=np.int64)

    def place(self, i: int) -> str:
        """Where row `i` of the chunk (from 0) stands, for a message."""
        return f"row {self.first_row + i if self.rows is None else self.rows[i]} of {self.source}"


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be used: where it stands, and why.

    Args:
        source: the file's name, or "the frame".
        row: its number there, counted as `Chunk.first_row` is.
        column: the column at fault, or None where the row as a whole is.
        reason: the sentence with which it would be refused.
        cells: its cells as they were read, in the order of the file; a byte that is not UTF-8 reads `\\xe9`.
    """

    source: str
    row: int
    column: str | None
    reason: str
    cells: Sequence[Any]


Report: TypeAlias = Callable[[BadRow], None]


class _Part(Protocol):
    """One file, or one frame: what a table is made of."""

    @property
    def name(self) -> str: ...
    @property
    def columns(self) -> tuple[str, ...]: ...
    @property
    def num_rows(self) -> int | None: ...
    @property
    def num_bytes(self) -> int: ...
    def estimated_rows(self) -> int: ...
    def frames(self, names: list[str]) -> Iterator[pl.DataFrame]: ...
    def digest(self, *, verify: bool) -> bytes: ...


@runtime_checkable
class _Numbered(Protocol):
    """A part that can leave rows out: each frame comes with the numbers of its rows, or None where they run on."""

    def numbered(self, names: list[str], bad: Report | None) -> Iterator[_NumberedFrame]: ...


_NumberedFrame: TypeAlias = tuple[pl.DataFrame, NDArray[np.int64] | None]


@dataclass(frozen=True)
class Table:
    """A re-iterable stream of rows; `open_table` makes one.

    Args:
        name: short, for messages and for the names of outputs ("train.parquet", "the frame").
        typed: False for CSV and TSV: all columns are text, as written.
        parts: the files in order, all with the same columns, or the one frame.
    """

    name: str
    typed: bool
    parts: tuple[_Part, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns, in the order of the first file."""
        return self.parts[0].columns

    @property
    def num_rows(self) -> int | None:
        """How many rows there are, where that is known without reading them; else None."""
        counts = [part.num_rows for part in self.parts]
        return None if None in counts else sum(cast("list[int]", counts))

    @property
    def num_bytes(self) -> int:
        """The size on disk, or in memory."""
        return sum(part.num_bytes for part in self.parts)

    def estimated_rows(self) -> int:
        """`num_rows` where it is known, else an estimate from the first MiB of each file."""
        return sum(part.estimated_rows() for part in self.parts)

    def chunks(
        self, columns: Sequence[str] | None = None, *, limit: int | None = None, bad: Report | None = None
    ) -> Iterator[Chunk]:
        """Stream the rows, in order.

        Args:
            columns: what to read, in this order; all columns by default.
            limit: read only the first so many rows.
            bad: is told of each row of a text file that has too few or too many values, or is not UTF-8 in a column
                that is read; then such rows are left out, and a chunk may have no rows. By default the first is an
                error.

        Raises:
            DataError: a column is not there; while reading: a file is damaged, a row has too few or too many values,
                a byte is not UTF-8.
        """
        names = list(self.columns if columns is None else dict.fromkeys(columns))
        for name in names:
            if name not in self.columns:
                raise DataError(_missing(name, self))
        return self._stream(names, limit, bad)

    def _stream(self, names: list[str], limit: int | None, bad: Report | None) -> Iterator[Chunk]:
        left = limit
        for part in self.parts:
            row = 1
            if left == 0:
                return
            for frame, numbers in _numbered(part, names, bad):
                for start in range(0, max(len(frame), 1), ROWS):
                    rows = frame.slice(start, ROWS if left is None else min(left, ROWS))
                    own = None if numbers is None else numbers[start : start + len(rows)]
                    chunk = Chunk(rows, part.name, row if own is None or not len(own) else int(own[0]), own)
                    row += len(chunk.frame)
                    if len(chunk.frame) or bad is not None:
                        yield chunk
                    if left is not None:
                        left -= len(chunk.frame)
                        if left == 0:
                            return

    def fingerprint(self, *, verify: bool = False) -> str:
        """A hexadecimal name for the data: other data, another name.

        Files give their number, order, size, time of change and sampled blocks; their names and places do not count.
        A frame gives its columns, types and values.

        Args:
            verify: hash every byte of the files, and not their time of change.
        """
        digest = hashlib.sha256(b"verified" if verify else b"sampled")
        for part in self.parts:
            digest.update(part.digest(verify=verify))
        return digest.hexdigest()


def _numbered(part: _Part, names: list[str], bad: Report | None) -> Iterator[_NumberedFrame]:
    if isinstance(part, _Numbered):
        return part.numbered(names, bad)
    return ((frame, None) for frame in part.frames(names))


def open_table(source: Source) -> Table:
    """Open a path, a glob (`logs/*.parquet`), a folder of shards, several paths, a frame or a list of dicts as a table.

    Only headers, footers and the names of columns are read. Files end in .parquet, .pq, .csv, .tsv, .csv.gz or
    .tsv.gz; frames are Polars, pandas or Arrow; a folder's own folders, and its names that begin with `.` or `_`, are
    passed over. The columns of a NumPy array `[rows, columns]` are called x0, x1, ...; those of a structured array
    have their own names.

    >>> table = open_table([{"user": 7, "city": "Ulm"}, {"user": 8}])
    >>> table.columns, table.num_rows
    (('user', 'city'), 2)
    >>> [chunk.frame.rows() for chunk in table.chunks(["city", "user"])]
    [[('Ulm', 7), (None, 8)]]

    Raises:
        DataError: nothing is there, it is no table, names of columns repeat, or the files do not fit together.
    """
    if isinstance(source, str | os.PathLike):
        return _file_table(_table_name(os.fspath(source)), _find(os.fspath(source)))
    _refuse_arrays(source)
    memory = _in_memory(source)
    if memory is not None:
        return Table(_FRAME, typed=True, parts=(memory,))
    if isinstance(source, Sequence) and source and all(isinstance(path, str | os.PathLike) for path in source):
        paths = [path for given in cast("Sequence[str]", source) for path in _find(os.fspath(given))]
        return _file_table(paths[0].name if len(paths) == 1 else f"{paths[0].name} and {len(paths) - 1} more", paths)
    what = (
        "an empty list"
        if isinstance(source, list) and not source
        else f"a {type(source).__module__}.{type(source).__name__}"
    )
    raise DataError(
        f"a table is a path, a list of paths, a Polars, pandas or Arrow frame, a NumPy array, or a list of dicts; it "
        f"was given {what}"
    )


# Files


def _table_name(path: str) -> str:
    """The file's or folder's own name; for a glob the text before its first wildcard, or else its folder."""
    folder, last = os.path.split(path)
    if os.path.exists(path) or not glob.has_magic(path):
        return os.path.basename(os.path.abspath(path))
    return re.split(r"[*?[]", last)[0].rstrip("-_.") or os.path.basename(os.path.abspath(folder))


def _find(path: str) -> list[Path]:
    with _reading(f"'{path}'"):
        if os.path.isdir(path):
            found = [p for p in sorted(Path(path).iterdir()) if p.is_file() and p.name[0] not in "._" and _suffix(p)]
            if not found:
                raise DataError(f"a folder of shards holds files that end in {_KNOWN}; '{path}' holds none")
            return found
        if os.path.exists(path):
            return [Path(path)]
        if glob.has_magic(path):
            found = [Path(p) for p in sorted(glob.glob(path)) if os.path.isfile(p)]
            if not found:
                raise DataError(f"no file matches '{path}'; check the folder and the pattern")
            return found
        folder = Path(path).parent
        if not folder.is_dir():
            raise DataError(f"no file at '{path}'; there is no folder '{folder}'")
        near = difflib.get_close_matches(Path(path).name, os.listdir(folder), n=1)
        raise DataError(
            f"no file at '{path}'; " + (f"did you mean '{folder / near[0]}'?" if near else "check the path")
        )


def _suffix(path: Path) -> str | None:
    known = (*_PARQUET_SUFFIXES, *_TEXT_SUFFIXES)
    return next((suffix for suffix in known if path.name.lower().endswith(suffix)), None)


def _file_table(name: str, paths: list[Path]) -> Table:
    for path in paths:
        if not path.is_file():
            raise DataError(f"a table is read from files and folders; '{path}' is neither")
        if _suffix(path) is None:
            raise DataError(f"a table's file ends in {_KNOWN}; '{path}' does not: rename or convert it")
    formats = {_format(path): path for path in reversed(paths)}
    if len(formats) > 1:
        kinds = " and ".join(f"{kind} ({path.name})" for kind, path in sorted(formats.items()))
        raise DataError(f"the files of one table have one format; {name} holds {kinds}: name the files of one of them")
    short = [path.name for path in paths]
    parts = [_open_file(p, p.name if short.count(p.name) == 1 else os.fspath(p)) for p in paths]
    for part in parts:
        _check_names(part.columns, part.name)
        _check_same(parts[0], part)
    return Table(name, typed="Parquet" in formats, parts=tuple(parts))


def _format(path: Path) -> str:
    suffix = _suffix(path)
    return "Parquet" if suffix in _PARQUET_SUFFIXES else "CSV" if _TEXT_SUFFIXES[str(suffix)] == "," else "TSV"


def _open_file(path: Path, name: str) -> _Part:
    size = path.stat().st_size
    if size == 0:
        raise DataError(f"a table begins with the names of its columns; {name} is empty (0 bytes): write it again")
    suffix = str(_suffix(path))
    if suffix in _PARQUET_SUFFIXES:
        return _ParquetFile.open(path, name, size)
    return _TextFile.open(path, name, size, _TEXT_SUFFIXES[suffix])


def _check_names(columns: tuple[str, ...], name: str) -> None:
    repeated = list(dict.fromkeys(f"'{c}'" for c in columns if columns.count(c) > 1))
    if repeated:
        raise DataError(f"the columns of a table have different names; {name} repeats {', '.join(repeated)}: rename it")
    if not columns:
        raise DataError(f"a table has at least one column; {name} has none")
    pattern = next((c for c in columns if c.startswith("^") and c.endswith("$")), None)
    if pattern is not None:  # Polars takes such a name for a regular expression, wherever it meets it
        raise DataError(f"a column's name does not begin with ^ and end with $; {name} has '{pattern}': rename it")


def _check_same(first: _Part, other: _Part) -> None:
    lacks, besides = set(first.columns) - set(other.columns), set(other.columns) - set(first.columns)
    if lacks or besides:
        differences = [f"lacks '{c}'" for c in sorted(lacks)] + [f"has '{c}' besides" for c in sorted(besides)]
        raise DataError(
            f"the files of one table have the same columns; {other.name} {_listed(differences)}, compared with "
            f"{first.name}: write the shards alike, or name the files that are"
        )


def _missing(name: str, table: Table) -> str:
    near = difflib.get_close_matches(name, table.columns, n=1)
    end = f"; did you mean '{near[0]}'?" if near else ""
    held = f"which has {len(table.columns)} columns: {_listed(table.columns)}"
    return f"column '{name}' is missing from {table.name}, {held}{end}"


def _listed(texts: Sequence[str], most: int = 20) -> str:
    return ", ".join(texts[:most]) + (f" and {len(texts) - most} more" if len(texts) > most else "")


@contextmanager
def _reading(name: str) -> Iterator[None]:
    """Turn what can go wrong between a disk and a file's bytes into one sentence."""
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{name} is not a whole gzip file ({error}); write it again") from error
    except PermissionError as error:
        raise DataError(f"{name} may not be read (permission denied); change its permissions") from error
    except OSError as error:
        if error.errno is None:  # pyarrow's word for damaged bytes, which the caller knows better
            raise
        raise DataError(f"{name} cannot be read ({error.strerror}); check the file and its disk") from error


def _file_digest(path: Path, name: str, *, verify: bool) -> bytes:
    digest = hashlib.sha256(_format(path).encode())
    with _reading(name), path.open("rb") as file:
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


@dataclass(frozen=True)
class _ParquetFile:
    name: str
    path: Path
    columns: tuple[str, ...]
    num_rows: int
    num_bytes: int
    wide: bool  # holds 128-bit integers, which only Polars writes, and pyarrow does not open

    @classmethod
    def open(cls, path: Path, name: str, size: int) -> _ParquetFile:
        with cls._checked(name):
            try:
                with pa.OSFile(os.fspath(path)) as raw:
                    file = pyarrow.parquet.ParquetFile(raw)
                    return cls(name, path, tuple(file.schema_arrow.names), file.metadata.num_rows, size, wide=False)
            except pa.ArrowNotImplementedError:
                scan = pl.scan_parquet(path.absolute(), glob=False)
                rows = scan.select(pl.len()).collect().item()
                return cls(name, path, tuple(scan.collect_schema().names()), rows, size, wide=True)

    @staticmethod
    @contextmanager
    def _checked(name: str) -> Iterator[None]:
        try:
            with _reading(name):
                yield
        except (pa.ArrowException, pl.exceptions.PolarsError, OSError) as error:
            why = " ".join(str(error).split()).rstrip(".")
            raise DataError(f"{name} is not a whole Parquet file ({why}); write it again") from error

    def estimated_rows(self) -> int:
        return self.num_rows

    def frames(self, names: list[str]) -> Iterator[pl.DataFrame]:
        with self._checked(self.name):
            if self.wide:
                scan = pl.scan_parquet(self.path.absolute(), glob=False).select(names)
                for start in range(0, self.num_rows, ROWS):
                    yield _normal(scan.slice(start, ROWS).collect())
                return
            with pa.OSFile(os.fspath(self.path)) as raw:
                # A buffer makes pyarrow read pages as it goes, not a row group's whole columns at once.
                file = pyarrow.parquet.ParquetFile(raw, buffer_size=1 << 20)
                for batch in file.iter_batches(ROWS, columns=names):
                    yield _from_arrow(pa.Table.from_batches([batch]).select(names), self.name)

    def digest(self, *, verify: bool) -> bytes:
        return _file_digest(self.path, self.name, verify=verify)


@dataclass(frozen=True)
class _TextFile:
    """A CSV or TSV file, gzipped or not, with a header."""

    name: str
    path: Path
    columns: tuple[str, ...]
    num_bytes: int
    delimiter: str
    num_rows: None = None

    @classmethod
    def open(cls, path: Path, name: str, size: int, delimiter: str) -> _TextFile:
        bare = cls(name, path, (), size, delimiter)
        try:
            with _reading(name), bare._bytes() as (stream, _):
                # The rows that the wrapper reads ahead are not the header's business: only its own bytes are checked.
                text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")
                header = next(filter(None, csv.reader(text, delimiter=delimiter, strict=True)), None)
            "".join(header or ()).encode()
        except UnicodeEncodeError as error:
            raise DataError(
                f"a text file is UTF-8; the header of {name} is not: save the file again as UTF-8"
            ) from error
        except csv.Error as error:
            raise DataError(
                f"a table begins with the names of its columns; the first row of {name} cannot be read ({error}): is a "
                f"quote never closed?"
            ) from error
        if header is None:
            raise DataError(f"a table begins with the names of its columns; {name} is blank: write it again")
        return cls(name, path, tuple(header), size, delimiter)

    @contextmanager
    def _bytes(self) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
        """The text's bytes, and the file below them."""
        with self.path.open("rb") as file:
            if self.path.name.lower().endswith(".gz"):
                with gzip.GzipFile(fileobj=file, mode="rb") as stream:
                    yield cast("IO[bytes]", stream), file
            else:
                yield file, file

    def estimated_rows(self) -> int:
        with _reading(self.name), self._bytes() as (stream, file):
            sample = stream.read(_SAMPLE)
            lines = sum(1 for line in sample.removeprefix(codecs.BOM_UTF8).splitlines() if line)
            share = 1.0 if len(sample) < _SAMPLE else file.tell() / self.num_bytes
        return max(round(lines / share) - 1, 0)

    def digest(self, *, verify: bool) -> bytes:
        return _file_digest(self.path, self.name, verify=verify)

    def frames(self, names: list[str]) -> Iterator[pl.DataFrame]:
        return (frame for frame, _ in self.numbered(names, None))

    def numbered(self, names: list[str], bad: Report | None) -> Iterator[_NumberedFrame]:
        done = left_out = last = 0

        def tell(row: BadRow) -> None:  # once, though a second size of block reads the rows again
            nonlocal left_out, last
            if bad is not None and row.row > last:
                bad(row)
                left_out, last = left_out + 1, row.row

        for block in BLOCKS:
            seen = 0
            try:
                for frame, numbers in self._read(names, block, None if bad is None else tell):
                    seen += len(frame)
                    fresh = max(seen - done, 0)
                    if fresh or not len(frame):
                        yield frame.tail(fresh), None if numbers is None else numbers[len(numbers) - fresh :]
                        done += fresh
                return
            except _TooLongError:
                continue
        raise DataError(
            f"a row is shorter than {BLOCKS[-1] >> 20} MiB; one after row {done + left_out} of {self.name} is longer: "
            f"is a quote never closed?"
        )

    def _read(self, names: list[str], block: int, bad: Report | None) -> Iterator[_NumberedFrame]:
        # A row of a width that no row may have ends what pyarrow reads. Where it does not come out as a row of its own,
        # a quote before it was never closed and has swallowed all rows that follow.
        end = "\0end of rows\0" + (self.delimiter if len(self.columns) == 1 else "")
        ended, ragged = False, None
        left_out: deque[Any] = deque()
        held = 0

        def invalid(row: Any) -> str:
            nonlocal ended, ragged, held
            if row.text == end:
                ended = True
                return "skip"
            if bad is not None and held < HELD:
                left_out.append(row)
                held += _size(row)
                return "skip"
            ragged = row
            return "error"

        done = 0
        with _reading(self.name), self._bytes() as (stream, _):
            marked = None if bad is None else _Marked(stream)
            checked = _Utf8(cast("IO[bytes]", marked or stream), f"\n{end}\n".encode())
            try:
                for batch in self._parse(checked, names, block, invalid):
                    frame = _from_arrow(pa.Table.from_batches([batch]), self.name)
                    if bad is None or marked is None:
                        done += len(frame)
                        yield frame, None
                        continue
                    while left_out and left_out[0].number - 1 == done + 1:  # not kept until a good row comes
                        bad(self._ragged(left_out.popleft()))
                        done += 1
                    numbers = _between(done, len(frame), left_out)
                    done = int(numbers[-1]) if len(numbers) else done
                    good = self._without(frame, numbers, left_out, bad, marked=marked.found)
                    held = sum(map(_size, left_out))
                    yield good
            except pa.ArrowInvalid as error:
                if ragged is None and "straddl" in str(error):
                    raise _TooLongError from error
                if ragged is None:
                    raise DataError(f"{self.name} cannot be read after row {done} ({error}); write it again") from error
        if ragged is not None and bad is not None:
            raise DataError(
                f"bad rows are set aside where they are few; from row {done + 1} of {self.name} on, {len(left_out):,} "
                f"and more have other than the header's {len(self.columns)} values: does the header belong to them?"
            )
        if ragged is not None:
            # pyarrow counts the header as a row, and neither blank lines nor quoted line breaks.
            raise DataError(self._mend(ragged.number - 1, ragged.actual_columns, not_utf8=NOT_UTF8 in ragged.text))
        if checked.broken:
            raise DataError(self._mend(done, len(self.columns), not_utf8=True))
        if not ended:
            raise DataError(
                f"a quoted value ends with a quote; in row {done + len(left_out)} of {self.name} one begins and is "
                f"never closed: close it, or double the quotes that belong to the value"
            )
        if bad is not None:
            for row in left_out:
                bad(self._ragged(row))

    def _without(
        self, frame: pl.DataFrame, numbers: NDArray[np.int64], left_out: deque[Any], bad: Report, *, marked: bool
    ) -> _NumberedFrame:
        """Tell of the bad rows up to the last of a frame, and drop those that are in it."""
        found = []
        while len(numbers) and left_out and left_out[0].number - 1 < numbers[-1]:
            found.append(self._ragged(left_out.popleft()))
        wrong = np.zeros(len(frame), dtype=np.bool_)
        for column in frame if marked else ():
            marks = column.str.contains(NOT_UTF8, literal=True).to_numpy()
            for i in np.flatnonzero(marks & ~wrong):
                number, cells = int(numbers[i]), [cell.replace(NOT_UTF8, "") for cell in frame.row(int(i))]
                reason = self._mend(number, self.columns.index(column.name) + 1, not_utf8=True)
                found.append(BadRow(self.name, number, column.name, reason, cells))
            wrong |= marks
        for row in sorted(found, key=lambda row: row.row):
            bad(row)
        return (frame.filter(pl.Series(~wrong)), numbers[~wrong]) if wrong.any() else (frame, numbers)

    def _ragged(self, row: Any) -> BadRow:
        text = row.text.replace(NOT_UTF8, "")
        try:
            cells = next(csv.reader(io.StringIO(text, newline=""), delimiter=self.delimiter), [])
        except csv.Error:
            cells = [text]
        number = row.number - 1
        return BadRow(self.name, number, None, self._mend(number, row.actual_columns, not_utf8=False), cells)

    def _mend(self, row: int, width: int, *, not_utf8: bool) -> str:
        if not_utf8:
            column = self.columns[min(width, len(self.columns)) - 1]
            return (
                f"a text file is UTF-8; row {row} of {self.name} is not, in column '{column}': "
                f"save the file again as UTF-8"
            )
        return (
            f"each row has as many values as the header; row {row} of {self.name} has {width}, the header "
            f"{len(self.columns)}: mend the row, or quote the value that holds a "
            f"{'comma' if self.delimiter == ',' else 'tab'} or a quote"
        )

    def _parse(self, stream: _Utf8, names: list[str], block: int, invalid: Callable[[Any], str]) -> Any:
        # Without pyarrow's threads a bad row knows its number, and nothing is read behind our back.
        return pyarrow.csv.open_csv(
            pa.PythonFile(stream, mode="r"),
            read_options=pyarrow.csv.ReadOptions(
                use_threads=False, block_size=block, column_names=self.columns, skip_rows_after_names=1
            ),
            parse_options=pyarrow.csv.ParseOptions(
                delimiter=self.delimiter, newlines_in_values=True, invalid_row_handler=invalid
            ),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(self.columns, pa.string()),
                include_columns=names,
                strings_can_be_null=False,
                check_utf8=False,
            ),
        )


class _TooLongError(Exception):
    """A row does not fit in a block."""


def _size(row: Any) -> int:
    return len(row.text) + 200


def _between(done: int, rows: int, left_out: Iterable[Any]) -> NDArray[np.int64]:
    """The numbers of the next so many rows, those of the rows left out passed over."""
    gaps = [row.number - 1 for row in left_out]
    numbers = np.arange(done + 1, done + 1 + rows + len(gaps), dtype=np.int64)
    return numbers[~np.isin(numbers, gaps)][:rows]


class _Marked:
    """A stream of UTF-8, whatever it is made of: a byte that is not becomes a mark and its number, `\\xe9`.

    So the row with that byte is parsed, is known by the mark, and spoils no other.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self.found = False
        self._stream = stream
        self._ready = b""
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")  # the byte \xe9 becomes U+DCE9

    def read(self, size: int) -> bytes:
        while len(self._ready) < size:
            data = self._stream.read(size)
            text = self._decoder.decode(data, final=not data)
            try:
                self._ready += text.encode()
            except UnicodeEncodeError:
                self.found = True
                self._ready += re.sub(
                    "[\udc80-\udcff]", lambda byte: f"{NOT_UTF8}\\x{ord(byte[0]) - 0xDC00:x}", text
                ).encode()
            if not data:
                break
        data, self._ready = self._ready[:size], self._ready[size:]
        return data


class _Utf8:
    """A stream of UTF-8 bytes followed by `end`; at the first byte that is not UTF-8 comes a mark, then `end`.

    So the row with that byte is parsed as far as it goes, and says where it stands. A character is never cut in two.
    """

    def __init__(self, stream: IO[bytes], end: bytes) -> None:
        self.broken = False
        self.closed = False
        self._stream = stream
        self._end = end
        self._over = False
        # What comes before the next block: half a character; at first the first bytes after a mark and blank lines,
        # since pyarrow would take a blank line for the header.
        start = stream.read(len(codecs.BOM_UTF8))
        self._cut = start.removeprefix(codecs.BOM_UTF8).lstrip(b"\r\n")
        while not self._cut and (start := stream.read(1)):
            self._cut = start.strip(b"\r\n")

    def read(self, size: int) -> bytes:
        data = b""
        if not self._over:
            data = self._cut + self._stream.read(size - len(self._cut))
            self._over = len(data) < size
            self._cut = b""
            try:
                data.decode()
            except UnicodeDecodeError as error:
                good = data[: error.start]
                if error.reason == "unexpected end of data" and not self._over:
                    self._cut, data = data[error.start :], good
                else:
                    self.broken = self._over = True
                    data, self._end = good, NOT_UTF8.encode() + self._end
            # pyarrow before 26 joins two rows where it has left out a row and a block ends just before a line break.
            if not self._over and (rows := data.rfind(b"\n") + 1):
                self._cut, data = data[rows:] + self._cut, data[:rows]
        if self._over:
            room = size - len(data)
            data, self._end = data + self._end[:room], self._end[room:]
        return data

    def close(self) -> None:
        self.closed = True


# Frames in memory


@dataclass(frozen=True)
class _Memory:
    """A frame: `read(names, start, length)` gives some of its columns and rows."""

    columns: tuple[str, ...]
    num_rows: int
    num_bytes: int
    read: Callable[[list[str], int, int], pl.DataFrame]
    name: str = _FRAME

    def estimated_rows(self) -> int:
        return self.num_rows

    def frames(self, names: list[str]) -> Iterator[pl.DataFrame]:
        for start in range(0, self.num_rows, ROWS):
            yield _normal(self.read(names, start, ROWS))

    def digest(self, *, verify: bool) -> bytes:
        """The hash of each value, so that neither the chunks nor what lies in memory behind a null count."""
        digest = hashlib.sha256(repr(_normal(self.read(list(self.columns), 0, 0)).schema).encode())
        for frame in self.frames(list(self.columns)):
            for column in frame:
                digest.update(column.hash().to_numpy().tobytes())
        return digest.digest()


def _in_memory(source: Any) -> _Memory | None:
    if isinstance(source, pl.DataFrame):
        return _of_polars(source)
    if isinstance(source, pa.RecordBatch):
        return _of_arrow(pa.Table.from_batches([source]))
    if isinstance(source, pa.Table):
        return _of_arrow(source)
    if type(source).__module__.partition(".")[0] == "pandas" and type(source).__name__ == "DataFrame":
        return _of_pandas(source)
    if isinstance(source, np.ndarray):
        return _of_numpy(np.asarray(source))
    if isinstance(source, Sequence) and source and all(isinstance(row, Mapping) for row in source):
        return _of_rows(source)
    return None


def _of_polars(frame: pl.DataFrame) -> _Memory:
    _check_names(tuple(frame.columns), _FRAME)
    objects = [_from_values(c.name, c, _dtype_of(c), 1) for c in frame if c.dtype == pl.Object]
    frame = frame.with_columns(objects)

    def read(names: list[str], start: int, length: int) -> pl.DataFrame:
        rows = frame.slice(start, length)
        return pl.DataFrame({name: rows[name] for name in names})  # `select` would read a name such as * as a pattern

    return _Memory(tuple(frame.columns), frame.height, int(frame.estimated_size()), read)


def _of_arrow(table: pa.Table) -> _Memory:
    _check_names(tuple(table.column_names), _FRAME)

    def read(names: list[str], start: int, length: int) -> pl.DataFrame:
        return _from_arrow(table.select(names).slice(start, length), _FRAME)

    # `nbytes` knows no string views.
    return _Memory(tuple(table.column_names), table.num_rows, table.get_total_buffer_size(), read)


def _of_pandas(frame: pd.DataFrame) -> _Memory:
    columns = tuple(str(name) for name in frame.columns)
    _check_names(columns, _FRAME)
    series = {name: frame.iloc[:, i] for i, name in enumerate(columns)}

    @functools.cache
    def dtype(name: str) -> pl.DataType | None:
        """The type of a column of Python values; None where Arrow knows it from pandas."""
        column = series[name]
        if column.dtype != object:
            try:
                arrow = pa.array(column.iloc[:0], from_pandas=True).type
            except pa.ArrowException:  # complex, sparse, categories of several types
                return _dtype_of(column)
            if not isinstance(arrow, pa.BaseExtensionType):  # periods and intervals, which Polars reads as numbers
                return None
        return _dtype_of(column)

    def column(name: str, start: int, length: int) -> pl.Series:
        rows = series[name].iloc[start : start + length]
        own = dtype(name)
        if own is None:
            return _arrow_series(name, pa.chunked_array(pa.array(rows, from_pandas=True)), _FRAME)
        return _from_values(name, rows, own, start + 1)

    def read(names: list[str], start: int, length: int) -> pl.DataFrame:
        return pl.DataFrame({name: column(name, start, length) for name in names})

    return _Memory(columns, len(frame), int(frame.memory_usage(index=False).sum()), read)


def _refuse_arrays(source: Any) -> None:
    """Refuse the arrays that are near to a table and are none."""
    kind = f"a {type(source).__module__}.{type(source).__name__}"
    if kind.startswith("a scipy.sparse"):
        raise DataError(f"a table is dense; it was given {kind}: convert it with .toarray(), or write it as libsvm")
    if isinstance(source, np.ma.MaskedArray):  # whose mask NumPy's own functions drop without a word
        raise DataError(f"a table marks what is missing with NaN; it was given {kind}: convert it with .filled(np.nan)")
    if isinstance(source, np.ndarray) and source.ndim != 2 and not (source.ndim == 1 and source.dtype.names):
        raise DataError(
            f"a NumPy array is a table if it is [rows, columns] or structured; it was given the shape {source.shape}"
            + (": one column is .reshape(-1, 1), one row .reshape(1, -1)" if source.ndim == 1 else ": reshape it")
        )


def _of_numpy(array: NDArray[Any]) -> _Memory:
    fields = array.dtype.names
    columns = tuple(fields or (f"x{i}" for i in range(array.shape[1])))
    _check_names(columns, _FRAME)
    series = {name: array[name] if fields else array[:, i] for i, name in enumerate(columns)}

    @functools.cache
    def dtype(name: str) -> pl.DataType:
        return _dtype_of(series[name].tolist())

    def column(name: str, start: int, length: int) -> pl.Series:
        values = series[name][start : start + length]
        if values.dtype.kind == "O":
            return _from_values(name, values.tolist(), dtype(name), start + 1)
        kind, wide = values.dtype.kind, values.dtype.itemsize
        if kind == "f" and wide not in (4, 8):  # halves, and what is longer than a double, which Polars does not hold
            values = values.astype(np.float32 if wide == 2 else np.float64)
        try:
            if kind not in "biufUM":
                raise TypeError
            return pl.Series(name, np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("=")))
        except (TypeError, ValueError, pl.exceptions.PolarsError) as error:
            raise DataError(
                f"an array holds numbers, booleans, texts or times; column '{name}' of {_FRAME} holds {values.dtype}: "
                f"convert it with .astype"
            ) from error

    def read(names: list[str], start: int, length: int) -> pl.DataFrame:
        return pl.DataFrame({name: column(name, start, length) for name in names})

    return _Memory(columns, len(array), array.nbytes, read)


def _of_rows(rows: Sequence[Mapping[str, Any]]) -> _Memory:
    columns = tuple(dict.fromkeys(name for row in rows for name in row))
    _check_names(columns, _FRAME)

    @functools.cache
    def dtype(name: str) -> pl.DataType:
        return _dtype_of([row.get(name) for row in rows])

    def read(names: list[str], start: int, length: int) -> pl.DataFrame:
        some = rows[start : start + length]
        return pl.DataFrame({n: _from_values(n, [row.get(n) for row in some], dtype(n), start + 1) for n in names})

    return _Memory(columns, len(rows), 8 * len(rows) * len(columns), read)


def _normal(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(c.cast(pl.String) for c in frame if isinstance(c.dtype, pl.Categorical | pl.Enum))


def _from_arrow(table: pa.Table, source: str) -> pl.DataFrame:
    return pl.DataFrame({n: _arrow_series(n, table.column(n), source) for n in table.column_names})


def _arrow_series(name: str, column: Any, source: str) -> pl.Series:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_decimal256(column.type):  # which Polars does not know
        column = column.cast(pa.string())
    try:
        series = pl.Series(name, column)
    except pl.exceptions.PolarsError as error:
        raise DataError(
            f"column '{name}' of {source} is of a type that cannot be read ({column.type}); convert it or leave it out"
        ) from error
    return series.cast(pl.String) if isinstance(series.dtype, pl.Categorical | pl.Enum) else series


# Columns of Python values

_PLAIN = (bool, int, float, str, Decimal, datetime.date, datetime.time, type(None))


def _plain(values: Iterable[Any]) -> list[Any]:
    """Python's values of NumPy's scalars; None where one is missing."""
    values = list(values)
    if set(map(type, values)) <= {str, int, bool, type(None)}:
        return values
    return [_plain_value(value) for value in values]


def _plain_value(value: Any) -> Any:
    if isinstance(value, np.bool_ | np.integer | np.floating):
        value = value.item()
    missing = value != value if isinstance(value, float) else type(value).__name__ in ("NAType", "NaTType")
    return None if missing else value


def _dtype_of(values: Iterable[Any]) -> pl.DataType:
    """The one type that holds all values as they are, else text; null and NaN are missing and fit everywhere."""
    present = [value for value in _plain(values) if value is not None]
    # A bool is an int to Python.
    kinds = {next((k for k in (bool, int, float) if issubclass(t, k)), str) for t in set(map(type, present))}
    if kinds == {bool}:
        return pl.Boolean()
    if kinds == {float} or (kinds == {int, float} and all(_exact(value) for value in present)):
        return pl.Float64()
    if kinds == {int}:
        low, high = min(present), max(present)
        return next((t() for t, n in ((pl.Int64, 63), (pl.Int128, 127)) if -(2**n) <= low and high < 2**n), pl.String())
    return pl.String() if kinds else pl.Null()


def _exact(value: float) -> bool:
    try:
        return isinstance(value, float) or int(float(value)) == value
    except OverflowError:
        return False


def _from_values(name: str, values: Iterable[Any], dtype: pl.DataType, first_row: int) -> pl.Series:
    plain = _plain(values)
    if not all(issubclass(kind, _PLAIN) for kind in set(map(type, plain))):
        row, value = next((i, v) for i, v in enumerate(plain, first_row) if not isinstance(v, _PLAIN))
        raise DataError(
            f"a column of Python objects holds numbers, texts and dates; column '{name}' of {_FRAME} holds a "
            f"{type(value).__name__} in row {row}: convert the column or leave it out"
        )
    if dtype == pl.Float64:
        plain = [None if value is None else float(value) for value in plain]
    if dtype == pl.String:
        plain = [value if value is None or isinstance(value, str) else _text(value) for value in plain]
    try:
        return pl.Series(name, plain, dtype=dtype)
    except UnicodeEncodeError as error:
        raise DataError(f"a text is Unicode; column '{name}' of {_FRAME} holds half a character ({error})") from error


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, float) else str(value)
