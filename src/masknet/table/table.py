"""Rows from anywhere: files, globs, folders and frames become one stream of Polars frames, in bounded memory.

CSV and TSV arrive as text, as written; Parquet and frames keep their types. A table is read anew on each pass, holds
no file open in between, and never changes what it was given.
"""

from __future__ import annotations

import difflib
import hashlib
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar, cast

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from masknet.errors import ConfigError, DataError, Where
from masknet.progress import Progress
from masknet.table.arrow import frame_of
from masknet.table.different import Codes, Different, different_in_arrow, different_in_series
from masknet.table.files import Found, find_files, format_of, require_known
from masknet.table.hive import Partitioned, keys_of
from masknet.table.json_lines import JSONL, JsonLines
from masknet.table.memory import in_memory, refuse_arrays
from masknet.table.parquet import PARQUET, ParquetFile
from masknet.table.part import FRAME, ROWS, BadRow, Part, Piece, Report, Valued, check_names, listed
from masknet.table.sparse import LIBFFM, LIBSVM, is_own_field, open_sparse
from masknet.table.style import DELIMITERS, PLAIN, Form
from masknet.table.text import open_text

if TYPE_CHECKING:
    import pandas as pd
    import scipy.sparse

__all__ = ["BadRow", "Chunk", "Form", "Rows", "Source", "Table", "open_table", "spread", "table_name"]

Source: TypeAlias = (
    "str | os.PathLike[str] | pl.DataFrame | pd.DataFrame | pa.Table | pa.RecordBatch | np.ndarray[Any, Any]"
    " | scipy.sparse.spmatrix | scipy.sparse.sparray | Sequence[Mapping[str, Any]] | Sequence[str | os.PathLike[str]]"
)


_T = TypeVar("_T")
_Kind = TypeVar("_Kind", bound=np.generic)


def spread(found: NDArray[_Kind], codes: Codes | None) -> NDArray[_Kind]:
    """For each row what was found of its cell.

    >>> spread(np.array([7.0, 9.0]), np.array([1, 1, 0]))
    array([9., 9., 7.])
    """
    return found if codes is None else found.take(codes, axis=0)


class Rows(Protocol):
    """Some neighbouring rows, of which columns are read."""

    def __len__(self) -> int:
        """How many."""

    def read(self, name: str, read: Callable[[pl.Series, Callable[[int], str]], _T]) -> tuple[_T, Codes | None]:
        """What a reader makes of the cells of a column, and which of these each row has; None: each has its own."""


@dataclass(frozen=True)
class Chunk:
    """Some neighbouring rows of a table, and where they stand.

    >>> Chunk(pl.DataFrame({"a": [1, 2]}), "ads.csv", first_row=16).place(1)
    'row 17 of ads.csv'

    Args:
        piece: at most 65,536 rows, in order, as a frame or as columns of Arrow.
        source: the file's name, or "the frame".
        first_row: the number of the first row in that source, counted from 1 without the header and blank lines.
        rows: the number of each row, where some between them were left out; else None.
    """

    piece: Piece
    source: str
    first_row: int
    rows: NDArray[np.int64] | None = None

    @cached_property
    def frame(self) -> pl.DataFrame:
        """The rows as a frame."""
        return self.piece if isinstance(self.piece, pl.DataFrame) else frame_of(self.piece, self.source)

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return self.piece.columns if isinstance(self.piece, pl.DataFrame) else self.piece.column_names

    def different(self, name: str) -> Different:
        """The different cells of a column, and which of them each row has."""
        if isinstance(self.piece, pl.DataFrame):
            return different_in_series(self.piece[name])
        return different_in_arrow(self.piece, name, self.source)

    @property
    def num_bytes(self) -> int:
        """What the rows take of the memory."""
        return int(self.piece.estimated_size()) if isinstance(self.piece, pl.DataFrame) else self.piece.nbytes

    @property
    def numbers(self) -> NDArray[np.int64]:
        """The number of each row in the source."""
        if self.rows is not None:
            return self.rows
        return np.arange(self.first_row, self.first_row + len(self), dtype=np.int64)

    def pieces(self, rows: int) -> Iterator[Chunk]:
        """The chunk in pieces of so many rows at most, in order.

        >>> [len(piece.frame) for piece in Chunk(pl.DataFrame({"a": range(5)}), "ads.csv", first_row=1).pieces(2)]
        [2, 2, 1]
        """
        return (self.part(start, rows) for start in range(0, max(len(self), 1), rows))

    def part(self, start: int, most: int) -> Chunk:
        """So many rows at most, from one of them on."""
        if len(self) <= most and not start:
            return self
        rows = None if self.rows is None else self.rows[start : start + most]
        first = self.first_row + start if rows is None else int(rows[0])
        return Chunk(self.piece.slice(start, most), self.source, first, rows)

    def pick(self, some: NDArray[np.intp]) -> Piece:
        """Some rows, by their places in the chunk.

        >>> Chunk(pl.DataFrame({"a": [7, 8, 9]}), "ads.csv", first_row=1).pick(np.array([0, 2])).rows()
        [(7,), (9,)]
        """
        return self.piece[some] if isinstance(self.piece, pl.DataFrame) else self.piece.take(pl.Series(some).to_arrow())

    @classmethod
    def joined(cls, chunks: Sequence[Chunk]) -> Chunk:
        """The rows of several that have the same columns, behind each other."""
        if len(chunks) == 1:
            return chunks[0]
        gaps = any(chunk.rows is not None for chunk in chunks)
        rows = np.concatenate([chunk.numbers for chunk in chunks]) if gaps else None
        pieces: list[Any] = [chunk.piece for chunk in chunks]  # of one kind, since their columns are of the same types
        piece = pl.concat(pieces) if isinstance(pieces[0], pl.DataFrame) else pa.concat_tables(pieces)
        return cls(piece, chunks[0].source, chunks[0].first_row, rows)

    def __len__(self) -> int:
        """Rows."""
        return len(self.piece)

    def place(self, i: int) -> Where:
        """Where row `i` of the chunk (from 0) stands, for a message."""
        return Where("row", self.first_row + i if self.rows is None else int(self.rows[i]), self.source)

    def read(self, name: str, read: Callable[[pl.Series, Callable[[int], str]], _T]) -> tuple[_T, Codes | None]:
        """What a reader makes of the cells of a column, of which each row has its own."""
        return read(self.frame[name], self.place), None


@dataclass(frozen=True)
class Table:
    """A re-iterable stream of rows; `open_table` makes one.

    Args:
        name: short, for messages and for the names of outputs ("train.parquet", "the frame").
        typed: False for CSV, TSV, libsvm and libffm: what is no list is text, as written.
        parts: the files in order, all with the same columns, or the one frame.
        open_ended: True for libffm without declared fields: `field_<number>` may be read for every number, and is null
            where no row has that field.
        paths: the files, where there are some.
        passed: what to tell of how the files were found.
    """

    name: str
    typed: bool
    parts: tuple[Part, ...]
    open_ended: bool = False
    paths: tuple[Path, ...] = ()
    passed: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns, in the order of the first file."""
        return self.parts[0].columns

    def lacks(self, columns: Iterable[str]) -> list[str]:
        """Those of `columns` that the table does not have, in their order."""
        known = set(self.columns)
        return [name for name in columns if name not in known and not (self.open_ended and is_own_field(name))]

    @property
    def notes(self) -> list[str]:
        """What to tell of which files are read, and how, where it is not what their endings say."""
        found = (getattr(part, "note", None) for part in self.parts)
        return [*self.passed, *list(dict.fromkeys(note for note in found if note))[:3]]

    def tell(self, progress: Progress) -> None:
        """Say so: whoever reads the rows does it once, before the first."""
        for note in self.notes:
            progress.note(note)

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

    def count_rows(self) -> int:
        """`num_rows` where it is known, else counted in a pass over one column."""
        if self.num_rows is not None:
            return self.num_rows
        return sum(len(chunk) for chunk in self.chunks(self.columns[:1]))

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
            raise _missing(name, self)
        return self._stream(names, limit, bad)

    def _stream(self, names: list[str], limit: int | None, bad: Report | None) -> Iterator[Chunk]:
        left = limit
        for part in self.parts:
            row = 1
            if left == 0:
                return
            for piece, numbers in part.pieces(names, bad):
                for start in range(0, max(len(piece), 1), ROWS):
                    rows = piece.slice(start, ROWS if left is None else min(left, ROWS))
                    own = None if numbers is None else numbers[start : start + len(rows)]
                    chunk = Chunk(rows, part.name, row if own is None or not len(own) else int(own[0]), own)
                    row += len(chunk)
                    if len(chunk) or bad is not None:
                        yield chunk
                    if left is not None:
                        left -= len(chunk)
                        if left == 0:
                            return

    def fingerprint(self, *, verify: bool = False, but: Collection[str] = ()) -> str:
        """A hexadecimal name for the data: other data, another name.

        Files give their number, order, size, time of change and sampled blocks; their names and places do not count.
        A frame gives its columns, types and values.

        Args:
            verify: hash every byte of the files, and not their time of change.
            but: columns of a frame that are not read.
        """
        digest = hashlib.sha256(b"verified" if verify else b"sampled")
        for part in self.parts:
            if isinstance(part, Valued):
                digest.update(part.digest_without(but, verify=verify))
            else:
                digest.update(part.digest(verify=verify))
        return digest.hexdigest()


def open_table(source: Source, *, columns: Sequence[str] = (), form: Form = PLAIN, usual: Form = PLAIN) -> Table:
    """Open a path, a glob (`logs/*.parquet`), a folder of shards, several paths, a frame or a list of dicts as a table.

    Only headers, footers and the names of columns are read (and libffm and JSON Lines whole, for fields and types).
    What a file is, its name's ending says; a .txt and standard input (`-`) are sniffed. A folder's own folders are
    passed over but for those called `key=value`, whose key becomes a column of text; `logs/**` reads all of them. Names
    that begin with `.` or `_` are passed over too. The columns of a NumPy array `[rows, columns]` are called x0, x1,
    ...; a structured array has its own names. A sparse matrix of SciPy is what a libsvm file of it is: one bag a row,
    `features`.

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
        form: what is said of how the files are written; the rest is found in them.
        usual: how the model's own table was written, which holds for a text that does not plainly differ.

    Raises:
        DataError: nothing is there, it is no table, names of columns repeat, or the files do not fit together.
        ConfigError: `columns` names the columns of what has names, or declares no fields; `form` says of a file what
            such a file has not.
    """
    if isinstance(source, str | os.PathLike):
        return _file_table(find_files(os.fspath(source), form), columns, form, usual)
    refuse_arrays(source)
    memory = in_memory(source)
    if memory is not None:
        if columns:
            raise ConfigError("--columns names the columns of a file without a header; a frame has names of its own")
        if form != PLAIN:
            raise ConfigError("a format, a delimiter and the like say how a file is written; the rows are in none")
        return Table(FRAME, typed=True, parts=(memory,))
    if isinstance(source, Sequence) and source and all(isinstance(path, str | os.PathLike) for path in source):
        several = [find_files(os.fspath(given), form) for given in cast("Sequence[str]", source)]
        paths = [path for found in several for path in found.paths]
        name = paths[0].name if len(paths) == 1 else f"{paths[0].name} and {len(paths) - 1} more"
        notes = tuple(note for found in several for note in found.notes)
        return _file_table(Found(name, paths, notes), columns, form, usual)
    raise DataError(
        f"a table is a path, a list of paths, a Polars, pandas or Arrow frame, a NumPy array, a sparse matrix of "
        f"SciPy, or a list of dicts; it was given {_described(source)}"
    )


def table_name(source: str, form: Form = PLAIN) -> str:
    """What the table of a path, a glob or a folder is called, found without reading it.

    Raises:
        DataError: nothing is there, or it is no table.
        ConfigError: `form` names a format that there is not.
    """
    return find_files(source, form).name


def _described(source: object) -> str:
    """What is no table, and what makes one of it."""
    kind = f"{type(source).__module__}.{type(source).__name__}"
    if isinstance(source, list) and not source:
        return "an empty list"
    if isinstance(source, Mapping):
        return f"a {kind}: one row is a list of one dict, [row]"
    if kind.startswith("pandas") and kind.endswith("Series"):
        return f"a {kind}: one row of a frame is X.iloc[[0]], one column X[['name']]"
    if isinstance(source, pl.Series):
        return f"a {kind}: one row of a frame is X[:1], one column X.select('name')"
    return f"a {kind}"


# Files


def _file_table(found: Found, columns: Sequence[str], form: Form, usual: Form) -> Table:
    name, paths = found.name, found.paths
    for path in paths:
        if not path.is_file():
            raise DataError(f"a table is read from files and folders; '{path}' is neither", file=str(path))
        require_known(path, form, usual)
        if path.stat().st_size == 0:
            rule = (
                "a table begins with the names of its columns" if form.header and not columns else "a table holds rows"
            )
            raise DataError(f"{rule}; {path.name} is empty (0 bytes): write it again", file=path.name)
    count = Counter(path.name for path in paths)
    named = [(path, path.name if count[path.name] == 1 else os.fspath(path)) for path in paths]
    formats = {format_of(path, short, form, usual): path for path, short in reversed(named)}
    if len(formats) > 1:
        kinds = " and ".join(f"{kind} ({path.name})" for kind, path in sorted(formats.items()))
        raise DataError(
            f"the files of one table have one format; {name} holds {kinds}: name the files of one of them", file=name
        )
    (kind,) = formats
    _require_effect(kind, named[0][1], columns, form)
    parts = [
        part if not (keys := keys_of(path)) else Partitioned(part, keys)
        for path, part in zip(paths, _open_files(named, kind, columns, form, usual), strict=True)
    ]
    headed = kind in DELIMITERS and form.header and not columns
    in_file = "write another name for each in its first line, or name them with --columns where that line is a row"
    way_out = in_file if headed else "rename it"
    way_out = "name each once in --columns" if kind in DELIMITERS and columns else way_out
    for part in parts:
        check_names(part.columns, part.name, way_out)
        _check_same(parts[0], part)
    notes = (*found.notes, *_of_folders(parts))
    typed, open_ended = kind in (PARQUET, JSONL), kind == LIBFFM and not columns
    return Table(name, typed, tuple(parts), open_ended, tuple(paths), notes)


def _of_folders(parts: Sequence[Part]) -> list[str]:
    """What the names of folders say of the rows is told: they may hold what somebody meant for nobody but herself."""
    keys = {name: value for part in parts if isinstance(part, Partitioned) for name, value in part.given.items()}
    return [
        f"the names of folders give the column '{name}' ({name}={value}): --ignore leaves it out"
        for name, value in keys.items()
    ]


def _require_effect(kind: str, name: str, columns: Sequence[str], form: Form) -> None:
    """Refuse what is said of a text where the file is none."""
    said = {"delimiter": form.delimiter, "quote": form.quote, "escape": form.escape}
    said |= {"no-header": None if form.header else "", "encoding": None if kind == JSONL else form.encoding}
    flag = next((flag for flag, value in said.items() if value is not None), None)
    if kind not in DELIMITERS and flag is not None:
        raise ConfigError(f"--{flag} says how CSV and TSV are written; {name} is {kind}: leave --{flag} out")
    if columns and not form.header:
        raise ConfigError("--columns says that a file has no header, and names its columns: leave --no-header out")
    if columns and kind in (PARQUET, JSONL):
        raise ConfigError(
            f"--columns names the columns of a file without a header; {name} is {kind}, which has names: leave "
            f"--columns out"
        )


def _open_files(
    named: list[tuple[Path, str]], kind: str, columns: Sequence[str], form: Form, usual: Form
) -> Sequence[Part]:
    if kind in (LIBSVM, LIBFFM):
        return open_sparse(named, kind, columns)
    if kind == PARQUET:
        return [ParquetFile.open(path, name) for path, name in named]
    if kind == JSONL:
        return [JsonLines.open(path, name, form.encoding or "utf-8") for path, name in named]
    return open_text(named, kind, columns, form, usual)


def _check_same(first: Part, other: Part) -> None:
    lacks, besides = set(first.columns) - set(other.columns), set(other.columns) - set(first.columns)
    if lacks or besides:
        differences = [f"lacks '{c}'" for c in sorted(lacks)] + [f"has '{c}' besides" for c in sorted(besides)]
        raise DataError(
            f"the files of one table have the same columns; {other.name} {listed(differences)}, compared with "
            f"{first.name}: write the shards alike, or name the files that are",
            file=other.name,
            column=min(lacks or besides),
        )


def _missing(name: str, table: Table) -> DataError:
    near = difflib.get_close_matches(name, table.columns, n=1)
    end = f"; did you mean '{near[0]}'?" if near else ""
    held = f"which has {len(table.columns)} columns: {listed(table.columns)}"
    return DataError(f"column '{name}' is missing from {table.name}, {held}{end}", file=table.name, column=name)
