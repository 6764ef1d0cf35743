"""Rows from anywhere: files, globs, folders and frames become one stream of Polars frames, in bounded memory.

CSV and TSV arrive as text, as written; Parquet and frames keep their types. A table is read anew on each pass, holds
no file open in between, and never changes what it was given.
"""

from __future__ import annotations

import codecs
import csv
import difflib
import glob
import hashlib
import io
import os
import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from masknet.errors import ConfigError, DataError, Where
from masknet.table.hive import Partitioned, is_key, keys_of
from masknet.table.memory import in_memory, refuse_arrays
from masknet.table.part import (
    FRAME,
    ROWS,
    BadRow,
    NumberedFrame,
    Part,
    Report,
    check_names,
    estimated_lines,
    file_digest,
    from_arrow,
    listed,
    normal,
    numbered,
    open_bytes,
    reading,
)
from masknet.table.sparse import LIBFFM, LIBSVM, is_own_field, open_sparse, sniff

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["BadRow", "Chunk", "Source", "Table", "open_table"]

Source: TypeAlias = (
    "str | os.PathLike[str] | pl.DataFrame | pd.DataFrame | pa.Table | pa.RecordBatch | np.ndarray[Any, Any]"
    " | Sequence[Mapping[str, Any]] | Sequence[str | os.PathLike[str]]"
)

# NOTE[perf]: 4 and 8 MiB parse at the same speed, with and without pyarrow's threads. The second size is for a value
# that does not fit in the first.
BLOCKS = (1 << 22, 1 << 28)
NOT_UTF8 = "\0not UTF-8\0"
PARQUET, CSV, TSV = "Parquet", "CSV", "TSV"
_DELIMITERS = {CSV: ",", TSV: "\t"}
_SNIFFED = "text"
_PLAIN_SUFFIXES = {
    **{".csv": CSV, ".tsv": TSV, ".txt": _SNIFFED},
    **dict.fromkeys((".libsvm", ".svm", ".libfm"), LIBSVM),
    **dict.fromkeys((".libffm", ".ffm"), LIBFFM),
}
_SUFFIXES = {".parquet": PARQUET, ".pq": PARQUET} | {
    s + gz: f for s, f in _PLAIN_SUFFIXES.items() for gz in ("", ".gz")
}
_KNOWN = ", ".join(suffix for suffix in _SUFFIXES if not suffix.endswith(".gz")) + " (or .gz of a text)"
_CRITEO = (*(f"I{i}" for i in range(1, 14)), *(f"C{i}" for i in range(1, 27)))
_NAMED = {"criteo": ("label", *_CRITEO), "criteo-test": _CRITEO}
# Bytes of bad rows that follow each other, kept until pyarrow comes to an end of a block with a good one.
HELD = 1 << 27


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

    def place(self, i: int) -> Where:
        """Where row `i` of the chunk (from 0) stands, for a message."""
        return Where("row", self.first_row + i if self.rows is None else int(self.rows[i]), self.source)


@dataclass(frozen=True)
class Table:
    """A re-iterable stream of rows; `open_table` makes one.

    Args:
        name: short, for messages and for the names of outputs ("train.parquet", "the frame").
        typed: False for CSV and TSV: all columns are text, as written.
        parts: the files in order, all with the same columns, or the one frame.
        open_ended: a libffm file's: `field_<number>` may be read for every number, null where no row has that field.
    """

    name: str
    typed: bool
    parts: tuple[Part, ...]
    open_ended: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns, in the order of the first file."""
        return self.parts[0].columns

    def lacks(self, columns: Iterable[str]) -> list[str]:
        """Those of the columns that cannot be read."""
        known = set(self.columns)
        return [name for name in columns if name not in known and not (self.open_ended and is_own_field(name))]

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
            bad: is told of each row of a text file that has too few or too many values, is not UTF-8 in a column that
                is read, or is none of libsvm or libffm; then such rows are left out, and a chunk may have no rows. By
                default the first is an error.

        Raises:
            DataError: a column is not there; while reading: a file is damaged, a row has too few or too many values,
                a byte is not UTF-8.
        """
        names = list(self.columns if columns is None else dict.fromkeys(columns))
        for name in self.lacks(names):
            raise DataError(_missing(name, self))
        return self._stream(names, limit, bad)

    def _stream(self, names: list[str], limit: int | None, bad: Report | None) -> Iterator[Chunk]:
        left = limit
        for part in self.parts:
            row = 1
            if left == 0:
                return
            for frame, numbers in numbered(part, names, bad):
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


def open_table(source: Source, *, columns: Sequence[str] = ()) -> Table:
    """Open a path, a glob (`logs/*.parquet`), a folder of shards, several paths, a frame or a list of dicts as a table.

    Only headers, footers and the names of columns are read (and a libffm file, for its fields). What a file is, its
    name's ending says; a .txt is sniffed: tabs, commas, libsvm or libffm. A folder's own folders are passed over but
    for those called `key=value`, whose key becomes a column of text; names that begin with `.` or `_` are passed over
    too. The columns of a NumPy array `[rows, columns]` are called x0, x1, ...; a structured array has its own names.

    >>> table = open_table([{"user": 7, "city": "Ulm"}, {"user": 8}])
    >>> table.columns, table.num_rows
    (('user', 'city'), 2)
    >>> [chunk.frame.rows() for chunk in table.chunks(["city", "user"])]
    [[('Ulm', 7), (None, 8)]]

    Args:
        source: the rows.
        columns: names for the columns of a text file without a header, or `("criteo",)` and `("criteo-test",)`, the
            names of Criteo's logs; for libsvm the fields by ranges of ids, `("user=0-942", "item=943-2624")`, for
            libffm by their numbers, `("user=0", "item=1")`.

    Raises:
        DataError: nothing is there, it is no table, names of columns repeat, or the files do not fit together.
        ConfigError: `columns` names the columns of what has names, or declares no fields.
    """
    if isinstance(source, str | os.PathLike):
        return _file_table(_table_name(os.fspath(source)), _find(os.fspath(source)), columns)
    refuse_arrays(source)
    memory = in_memory(source)
    if memory is not None:
        if columns:
            raise ConfigError("--columns names the columns of a file without a header; a frame has names of its own")
        return Table(FRAME, typed=True, parts=(memory,))
    if isinstance(source, Sequence) and source and all(isinstance(path, str | os.PathLike) for path in source):
        paths = [path for given in cast("Sequence[str]", source) for path in _find(os.fspath(given))]
        return _file_table(
            paths[0].name if len(paths) == 1 else f"{paths[0].name} and {len(paths) - 1} more", paths, columns
        )
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
    with reading(f"'{path}'"):
        if os.path.isdir(path):
            found = list(_shards(Path(path)))
            # A note beside the shards is none of them.
            found = [p for p in found if _ending(p) != _SNIFFED] or found
            if not found:
                raise DataError(f"a folder of shards holds files that end in {_KNOWN}; '{path}' holds none")
            return found
        if os.path.exists(path):
            return [Path(path)]
        if glob.has_magic(path):
            matches = [Path(p) for p in sorted(glob.glob(path))]
            folders = {p: list(_shards(p)) for p in matches if p.is_dir() and is_key(p.name)}
            found = [file for p in matches for file in folders.get(p, [p] if p.is_file() else [])]
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


def _shards(folder: Path) -> Iterator[Path]:
    """The files of a folder and of its folders `key=value`."""
    for path in sorted(folder.iterdir()):
        if path.name[0] in "._":
            continue
        if path.is_file() and _ending(path):
            yield path
        elif path.is_dir() and is_key(path.name):
            yield from _shards(path)


def _ending(path: Path) -> str | None:
    return next((kind for suffix, kind in _SUFFIXES.items() if path.name.lower().endswith(suffix)), None)


def _file_table(name: str, paths: list[Path], columns: Sequence[str]) -> Table:
    for path in paths:
        if not path.is_file():
            raise DataError(f"a table is read from files and folders; '{path}' is neither")
        if _ending(path) is None:
            raise DataError(f"a table's file ends in {_KNOWN}; '{path}' does not: rename or convert it")
        if path.stat().st_size == 0:
            rule = "a table holds rows" if columns else "a table begins with the names of its columns"
            raise DataError(f"{rule}; {path.name} is empty (0 bytes): write it again")
    count = Counter(path.name for path in paths)
    named = [(path, path.name if count[path.name] == 1 else os.fspath(path)) for path in paths]
    formats = {_format(path, short): path for path, short in reversed(named)}
    if len(formats) > 1:
        kinds = " and ".join(f"{kind} ({path.name})" for kind, path in sorted(formats.items()))
        raise DataError(f"the files of one table have one format; {name} holds {kinds}: name the files of one of them")
    (kind,) = formats
    parts = [
        part if not (keys := keys_of(path)) else Partitioned(part, keys)
        for path, part in zip(paths, _open_files(named, kind, columns), strict=True)
    ]
    headed = kind in _DELIMITERS and not columns
    way_out = "rename it, or name the columns with --columns where the file has no header" if headed else "rename it"
    way_out = "name each once in --columns" if kind in _DELIMITERS and columns else way_out
    for part in parts:
        check_names(part.columns, part.name, way_out)
        _check_same(parts[0], part)
    return Table(name, kind == PARQUET, parts=tuple(parts), open_ended=kind == LIBFFM and not columns)


def _format(path: Path, name: str) -> str:
    """The ending's format; for one that holds all texts, that of the first line."""
    kind = str(_ending(path))
    if kind != _SNIFFED:
        return kind
    with reading(name), open_bytes(path) as (stream, _):
        start = stream.read(1 << 20).decode("utf-8-sig", errors="replace")
    line = next((line for line in start.splitlines() if line.strip() and not line.startswith("#")), "")
    kind = sniff(line) or (TSV if "\t" in line else CSV)
    if kind == CSV and "," not in line:
        raise DataError(
            f"a .txt has tabs or commas between its values, or is libsvm or libffm; the first line of {name} is "
            f"'{line[:40]}': rename the file, or convert it"
        )
    return kind


def _open_files(named: list[tuple[Path, str]], kind: str, columns: Sequence[str]) -> Sequence[Part]:
    if kind in (LIBSVM, LIBFFM):
        return open_sparse(named, kind, columns)
    if kind == PARQUET:
        if columns:
            raise ConfigError(
                f"--columns names the columns of a file without a header; {named[0][1]} is Parquet, which has names: "
                f"leave --columns out"
            )
        return [_ParquetFile.open(path, name, path.stat().st_size) for path, name in named]
    if len(columns) == 1:
        columns = _NAMED.get(columns[0], columns)
    return [_TextFile.open(path, name, path.stat().st_size, _DELIMITERS[kind], tuple(columns)) for path, name in named]


def _check_same(first: Part, other: Part) -> None:
    lacks, besides = set(first.columns) - set(other.columns), set(other.columns) - set(first.columns)
    if lacks or besides:
        differences = [f"lacks '{c}'" for c in sorted(lacks)] + [f"has '{c}' besides" for c in sorted(besides)]
        raise DataError(
            f"the files of one table have the same columns; {other.name} {listed(differences)}, compared with "
            f"{first.name}: write the shards alike, or name the files that are"
        )


def _missing(name: str, table: Table) -> str:
    near = difflib.get_close_matches(name, table.columns, n=1)
    end = f"; did you mean '{near[0]}'?" if near else ""
    held = f"which has {len(table.columns)} columns: {listed(table.columns)}"
    return f"column '{name}' is missing from {table.name}, {held}{end}"


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
            with reading(name):
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
                    yield normal(scan.slice(start, ROWS).collect())
                return
            with pa.OSFile(os.fspath(self.path)) as raw:
                # A buffer makes pyarrow read pages as it goes, not a row group's whole columns at once.
                file = pyarrow.parquet.ParquetFile(raw, buffer_size=1 << 20)
                for batch in file.iter_batches(ROWS, columns=names):
                    yield from_arrow(pa.Table.from_batches([batch]).select(names), self.name)

    def digest(self, *, verify: bool) -> bytes:
        return file_digest(self.path, self.name, PARQUET, verify=verify)


@dataclass(frozen=True)
class _TextFile:
    """A CSV or TSV file, gzipped or not, with a header or with names given for it."""

    name: str
    path: Path
    columns: tuple[str, ...]
    num_bytes: int
    delimiter: str
    header: bool = True
    num_rows: None = None

    @classmethod
    def open(cls, path: Path, name: str, size: int, delimiter: str, names: tuple[str, ...] = ()) -> _TextFile:
        try:
            with reading(name), open_bytes(path) as (stream, _):
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
            rule = "a table holds rows" if names else "a table begins with the names of its columns"
            raise DataError(f"{rule}; {name} is blank: write it again")
        if names:
            _check_first_row(header, names, name)
        return cls(name, path, names or tuple(header), size, delimiter, header=not names)

    def estimated_rows(self) -> int:
        return max(estimated_lines(self.path, self.name) - self.header, 0)

    def digest(self, *, verify: bool) -> bytes:
        read_as = next(kind for kind, delimiter in _DELIMITERS.items() if delimiter == self.delimiter)
        return file_digest(self.path, self.name, read_as if self.header else f"{read_as}|{self.columns}", verify=verify)

    def frames(self, names: list[str]) -> Iterator[pl.DataFrame]:
        return (frame for frame, _ in self.numbered(names, None))

    def numbered(self, names: list[str], bad: Report | None) -> Iterator[NumberedFrame]:
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

    def _read(self, names: list[str], block: int, bad: Report | None) -> Iterator[NumberedFrame]:
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
            # pyarrow counts the header as a row, and neither blank lines nor quoted line breaks.
            row = row._replace(number=row.number - self.header)
            if bad is not None and held < HELD:
                left_out.append(row)
                held += _size(row)
                return "skip"
            ragged = row
            return "error"

        done = 0
        with reading(self.name), open_bytes(self.path) as (stream, _):
            marked = None if bad is None else _Marked(stream)
            checked = _Utf8(cast("IO[bytes]", marked or stream), f"\n{end}\n".encode())
            try:
                for batch in self._parse(checked, names, block, invalid):
                    frame = from_arrow(pa.Table.from_batches([batch]), self.name)
                    if bad is None or marked is None:
                        done += len(frame)
                        yield frame, None
                        continue
                    while left_out and left_out[0].number == done + 1:  # not kept until a good row comes
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
            header = "the header" if self.header else "--columns"
            raise DataError(
                f"bad rows are set aside where they are few; from row {done + 1} of {self.name} on, {len(left_out):,} "
                f"and more have other than {len(self.columns)} values, as {header} has: does {header} belong to them?"
            )
        if ragged is not None:
            raise DataError(self._mend(ragged.number, ragged.actual_columns, not_utf8=NOT_UTF8 in ragged.text))
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
    ) -> NumberedFrame:
        """Tell of the bad rows up to the last of a frame, and drop those that are in it."""
        found = []
        while len(numbers) and left_out and left_out[0].number < numbers[-1]:
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
        return BadRow(self.name, row.number, None, self._mend(row.number, row.actual_columns, not_utf8=False), cells)

    def _mend(self, row: int, width: int, *, not_utf8: bool) -> str:
        if not_utf8:
            column = self.columns[min(width, len(self.columns)) - 1]
            return (
                f"a text file is UTF-8; row {row} of {self.name} is not, in column '{column}': "
                f"save the file again as UTF-8"
            )
        names = "the header" if self.header else "--columns"
        return (
            f"each row has as many values as {names}; row {row} of {self.name} has {width}, {names} "
            f"{len(self.columns)}: mend the row, or quote the value that holds a "
            f"{'comma' if self.delimiter == ',' else 'tab'} or a quote"
        )

    def _parse(self, stream: _Utf8, names: list[str], block: int, invalid: Callable[[Any], str]) -> Any:
        # Without pyarrow's threads a bad row knows its number, and nothing is read behind our back.
        return pyarrow.csv.open_csv(
            pa.PythonFile(stream, mode="r"),
            read_options=pyarrow.csv.ReadOptions(
                use_threads=False, block_size=block, column_names=self.columns, skip_rows_after_names=int(self.header)
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


def _check_first_row(row: list[str], names: tuple[str, ...], source: str) -> None:
    # A header has no number; it may have names of its own for some columns.
    if any(map(str.__eq__, row, names)) and not any(re.fullmatch(r"\s*[-+]?[0-9.]+\s*", value) for value in row):
        raise DataError(f"--columns names the columns of a file without a header; {source} has one: leave it out")
    if len(row) != len(names):
        sets = " and ".join(f"'{name}' stands for {len(columns)}" for name, columns in _NAMED.items())
        raise DataError(
            f"--columns has a name for each value of a row; the first row of {source} has {len(row)} values, --columns "
            f"{len(names)} names ({sets})"
        )


class _TooLongError(Exception):
    """A row does not fit in a block."""


def _size(row: Any) -> int:
    return len(row.text) + 200


def _between(done: int, rows: int, left_out: Iterable[Any]) -> NDArray[np.int64]:
    """The numbers of the next so many rows, those of the rows left out passed over."""
    gaps = [row.number for row in left_out]
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
