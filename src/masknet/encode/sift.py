"""Bad rows set aside: one pass finds them by the rules that training would refuse them by, later passes skip them."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from masknet.encode import values
from masknet.encode.bags import SEPARATORS, BagCells, TextShapes, bag_cells
from masknet.encode.cells import reader
from masknet.encode.declared import Declared
from masknet.encode.moments import MomentReader, Times
from masknet.encode.values import BadCellsError, Place
from masknet.encode.vectors import vector_parts, vectors
from masknet.errors import DataError
from masknet.progress import Progress
from masknet.schema import Bag, Schema
from masknet.table import BadRow, Chunk, Kept, Table, without_rows

__all__ = [
    "BAD_ROWS_FILE",
    "BadRows",
    "BadRowsWriter",
    "Check",
    "Judged",
    "Quarantine",
    "declared_checks",
    "field_checks",
    "judge",
    "schema_checks",
    "sift",
]

Check: TypeAlias = Callable[[pl.Series, Place], object]
"""Reads the cells of a column and raises `BadCellsError` where some break its rule."""

BAD_ROWS_FILE = "bad_rows.csv"
_COUNTS_FILE = "bad_rows.json"
_COLUMNS = ("table", "source", "row", "column", "reason", "cells")
_JUDGED_FROM = 1_000_000  # rows: a table that is mostly bad is refused before all of it is copied


def declared_checks(declared: Declared) -> dict[str, Check]:
    """What is known of a training table before it is inspected: a check for each column."""
    checks: dict[str, Check] = {}
    checks |= _label_checks(declared.labels, declared.positive)
    if declared.weight is not None:
        checks[declared.weight] = values.weights
    checks |= dict.fromkeys(
        declared.numeric, partial(values.numbers, missing=declared.missing, decimal=declared.decimal)
    )
    checks |= {name: _Vectors() for name in declared.dense}
    for name, form in declared.moments.items():
        kind = Times if name == declared.time_column else MomentReader
        checks[name] = kind(form, missing=declared.missing)
    return checks | {name: _WeightedBags(name, declared.separator.get(name)) for name in declared.weighted}


def schema_checks(schema: Schema) -> dict[str, Check]:
    """What is known of a validation table once training has said what its columns mean."""
    checks: dict[str, Check] = {}
    checks |= _label_checks(schema.labels, schema.positive)
    if schema.weight is not None:
        checks[schema.weight] = values.weights
    return checks | field_checks(schema)


def field_checks(schema: Schema) -> dict[str, Check]:
    """What is known of rows to score: that a model reads them."""
    return {field.name: reader(field) for field in schema.fields}


def _label_checks(names: Sequence[str], positive: Mapping[str, str]) -> dict[str, Check]:
    several = len(names) > 1
    return {name: partial(values.labels, positive=positive.get(name), may_lack=several) for name in names}


class _Vectors:
    """Vectors have the width that is the commonest in the first chunk."""

    def __init__(self) -> None:
        self._width = 0

    def __call__(self, column: pl.Series, place: Place) -> NDArray[np.float32]:
        if not self._width:
            lists = vector_parts(column) if column.dtype == pl.String else column
            if isinstance(lists.dtype, pl.List | pl.Array):
                lengths = lists.cast(pl.List(lists.dtype.inner)).list.len().drop_nulls()
                self._width = int(lengths.mode().max() or 0) if len(lengths) else 0  # type: ignore[arg-type]
        return vectors(column, max(1, self._width), place)


class _WeightedBags:
    """The values of weighted bags are parted as in most of the first chunk, where nothing is declared."""

    def __init__(self, name: str, separator: str | None) -> None:
        self._name, self._separator = name, separator
        self._bag: Bag | None = None

    def __call__(self, column: pl.Series, place: Place) -> BagCells:
        if self._bag is None:
            shapes = TextShapes(dict.fromkeys(SEPARATORS, 0))
            if column.dtype == pl.String:
                shapes.add(column.filter(column != ""))
            self._bag = Bag(name=self._name, weighted=True, **shapes.parting(self._separator))
        return bag_cells(column, self._bag, place)


def sift(
    table: Table,
    checks: Mapping[str, Check],
    hear: Callable[[int, Sequence[BadRow]], None] = lambda rows, bad: None,
    *,
    but: Collection[str] = (),
    limit: int | None = None,
) -> Table:
    """Read a table once and find its bad rows: the same table without them, as often as it is read.

    >>> from masknet.table import open_table
    >>> frame = pl.DataFrame({"click": ["0", "7", "1"]})
    >>> sifted = sift(open_table(frame), {"click": values.labels}, lambda rows, bad: print(rows, bad[0].row))
    3 2
    >>> [(chunk.frame.rows(), chunk.place(1)) for chunk in sifted.chunks()]
    [([('0',), ('1',)], 'row 3 of the frame')]

    Args:
        table: what to read; rows of a text file that cannot be read are bad too.
        checks: for each column what its cells must pass. A row is bad for the first that it fails.
        hear: is told, piece by piece, how many rows were read and which of them are bad.
        but: columns that are not read, and not shown of a bad row.
        limit: stop at so many good rows; the sifted table ends there.

    Raises:
        DataError: a file or a whole column cannot be read.
    """
    columns = [name for name in table.columns if name not in but]
    kept: list[Kept] = []
    left = limit
    for whole in (replace(table, parts=(part,)) for part in table.parts):
        skip = [np.empty(0, dtype=np.int64)]
        rows, last = 0, None
        for found in judge(whole, checks, columns):
            good, bad = found.good, found.bad
            if left is not None and len(good) >= left:
                good = good[:left]
                last = int(found.chunk.numbers[good[-1]])
                bad = [row for row in bad if row.row < last]
            skip.append(np.array([row.row for row in bad], dtype=np.int64))
            rows += len(good)
            hear(len(good) + len(bad), bad)
            if left is not None:
                left -= len(good)
            if last is not None:
                break
        kept.append(Kept(rows, np.concatenate(skip), last))
        if left == 0:
            break
    return without_rows(table, kept)


@dataclass(frozen=True)
class Judged:
    """Some neighbouring rows of a file, the good ones told from the bad.

    Args:
        chunk: those that can be read.
        good: where in it the good ones stand, from 0, rising.
        bad: all others, those that cannot be read included, by rising number.
    """

    chunk: Chunk
    good: NDArray[np.intp]
    bad: Sequence[BadRow]


def judge(table: Table, checks: Mapping[str, Check], columns: Sequence[str] | None = None) -> Iterator[Judged]:
    """Read a table once, and tell of every row whether it is good; arguments and errors are those of `sift`.

    Args:
        columns: what to read, the columns of all checks among them; all by default.
    """
    for whole in (replace(table, parts=(part,)) for part in table.parts):
        unread: list[BadRow] = []
        names = list(table.columns if columns is None else columns)
        chunk = Chunk(pl.DataFrame(schema=dict.fromkeys(names, pl.String)), whole.parts[0].name, 1)
        for chunk in whole.chunks(names, bad=unread.append):
            failed, numbers = _failed(chunk, checks), chunk.numbers
            good = np.setdiff1d(np.arange(len(chunk)), list(failed), assume_unique=True)
            # Those of chunks to come are known already, where they lie in one block of the file.
            until = numbers[-1] if len(numbers) else np.inf
            bad = [row for row in unread if row.row < until]
            unread[:] = [row for row in unread if row.row >= until]
            bad += [
                BadRow(chunk.source, int(numbers[i]), column, reason, tuple(values.cell_of(c, i) for c in chunk.frame))
                for i, (column, reason) in failed.items()
            ]
            yield Judged(chunk, good, sorted(bad, key=lambda row: row.row))
        if unread:
            none = replace(chunk, piece=chunk.frame.clear(), rows=None)
            yield Judged(none, np.empty(0, dtype=np.intp), unread)


def _failed(chunk: Chunk, checks: Mapping[str, Check]) -> dict[int, tuple[str, str]]:
    """The rows of a chunk that fail a check, with the column and the sentence."""
    found: dict[int, tuple[str, str]] = {}
    rows = np.arange(len(chunk))

    def place(i: int) -> str:
        return chunk.place(int(rows[i]))

    for column, check in checks.items():
        while len(rows):  # a check stops at its first rule that is broken: the rows that keep it go on
            cells = chunk.frame[column]
            try:
                check(cells[rows] if found else cells, place)
                break
            except BadCellsError as bad:
                failed = np.flatnonzero(bad.wrong)
                found |= {int(rows[i]): (column, bad.sentence(int(i))) for i in failed}
                rows = np.delete(rows, failed)
    return found


# The file of bad rows


@dataclass
class _Count:
    """What became of one table: the rows read, and the bad ones by column, "" where the row as a whole is bad."""

    name: str
    rows: int = 0
    bad: dict[str, int] = field(default_factory=dict)

    @property
    def whys(self) -> str:
        return ", ".join(
            f"{count:,} in column '{column}'" if column else f"{count:,} as a whole"
            for column, count in sorted(self.bad.items(), key=lambda item: -item[1])
        )


@dataclass(frozen=True)
class BadRows:
    """The bad rows of a training table and of a validation table.

    Args:
        file: a CSV file of them: table (train or valid), source, row, column, reason, and the cells as JSON.
        counts: of each table that was sifted.
    """

    file: Path
    counts: tuple[_Count, ...]

    def __len__(self) -> int:
        """Rows."""
        return sum(sum(count.bad.values()) for count in self.counts)

    def sentences(self, file: Path) -> Iterator[str]:
        """What to tell of each table that has bad rows, which lie in `file`."""
        for count in self.counts:
            if count.bad:
                yield (
                    f"{sum(count.bad.values()):,} of {count.rows:,} rows of {count.name} are bad and were set aside in "
                    f"{file}: {count.whys}"
                )

    @classmethod
    def open(cls, folder: Path) -> BadRows | None:
        """Those that a `Quarantine` left in `folder`; None where there was none."""
        try:
            counts = json.loads((folder / _COUNTS_FILE).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return cls(folder / BAD_ROWS_FILE, tuple(_Count(**count) for count in counts))


class BadRowsWriter:
    """Writes the bad rows of one table into a CSV file as they are found, and counts them.

    Args:
        file: to write to.
        part: what to call the table in the file: "train", "valid" or "scored".
        name: of the table.
        header: whether to begin with the names of the columns.
    """

    def __init__(self, file: IO[str], part: str, name: str, *, header: bool = True) -> None:
        self.count = _Count(name)
        self._part = part
        self._writer = csv.writer(file, lineterminator="\n")
        self._first: dict[str, str] = {}  # the reason of each column's first
        if header:
            self._writer.writerow(_COLUMNS)

    def add(self, rows: int, bad: Sequence[BadRow]) -> None:
        """Take the next `rows` rows, among which are these.

        Raises:
            DataError: many rows were read, and more than half of them are bad.
        """
        self.count.rows += rows
        for row in bad:
            self._writer.writerow((self._part, row.source, row.row, row.column, row.reason, _json(row.cells)))
            column = row.column or ""
            self.count.bad[column] = self.count.bad.get(column, 0) + 1
            self._first.setdefault(column, row.reason)
        if self.count.rows >= _JUDGED_FROM:
            self.require_few()

    def require_few(self) -> None:
        """Refuse a table that is mostly bad.

        Raises:
            DataError: more than half of the rows are bad.
        """
        count, bad = self.count, sum(self.count.bad.values())
        if 2 * bad > count.rows:
            worst = max(count.bad, key=lambda column: count.bad[column])
            raise DataError(
                f"bad rows are set aside where they are few; more than half of the first {count.rows:,} rows of "
                f"{count.name} are bad ({count.whys}), such as this one: {self._first[worst]}",
                column=worst or None,
            )


class Quarantine:
    """Sifts tables, and writes what it finds into a folder, for `BadRows.open`.

    Args:
        folder: made where it is not there.
        progress: who hears how far it is.
    """

    def __init__(self, folder: Path, progress: Progress) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._progress = progress
        self._counts: list[_Count] = []

    def sift(
        self,
        part: str,
        table: Table,
        checks: Mapping[str, Check],
        *,
        but: Collection[str] = (),
        limit: int | None = None,
    ) -> Table:
        """The table without its bad rows.

        Args:
            part: what to call the table in the file: "train" or "valid".
            table, checks, but, limit: as in `sift`.

        Raises:
            DataError: more than half of the rows are bad, or as in `sift`.
        """
        total = table.estimated_rows() if limit is None else min(limit, table.estimated_rows())
        with (self._folder / BAD_ROWS_FILE).open("a", encoding="utf-8", newline="") as file:
            writer = BadRowsWriter(file, part, table.name, header=not self._counts)

            def hear(rows: int, bad: Sequence[BadRow]) -> None:
                writer.add(rows, bad)
                self._progress.track("look for bad rows", writer.count.rows, max(total, writer.count.rows))

            sifted = sift(table, checks, hear, but=but, limit=limit)
        writer.require_few()
        self._counts.append(writer.count)
        (self._folder / _COUNTS_FILE).write_text(json.dumps([asdict(c) for c in self._counts]), encoding="utf-8")
        return sifted


def _json(cells: Sequence[Any]) -> str:
    plain = (str, bool, int, type(None))
    return json.dumps([cell if isinstance(cell, plain) else str(cell) for cell in cells], ensure_ascii=False)
