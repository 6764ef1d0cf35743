"""Bad rows set aside: one pass finds them by the rules that training would refuse them by, later passes skip them."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from masknet.encode import values
from masknet.encode.bags import SEPARATORS, BagCells, TextShapes, bag_cells
from masknet.encode.cells import reader
from masknet.encode.declared import Declared
from masknet.encode.moments import Epoch, Moments, Times, moments
from masknet.encode.values import BadCellsError, Place
from masknet.encode.vectors import vector_parts, vectors
from masknet.errors import DataError
from masknet.progress import Progress
from masknet.schema import Bag, Schema, TimeForm
from masknet.table import BadRow, Chunk, Kept, Table, without_rows

__all__ = ["BAD_ROWS_FILE", "BadRows", "Check", "Quarantine", "declared_checks", "schema_checks", "sift"]

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
    if declared.time is not None:
        checks[declared.time] = Times()
    checks |= dict.fromkeys(
        declared.numeric, partial(values.numbers, missing=declared.missing, decimal=declared.decimal)
    )
    checks |= {name: _Vectors() for name in declared.dense} | {name: _Moments() for name in declared.datetime}
    return checks | {name: _WeightedBags(name, declared.separator.get(name)) for name in declared.weighted}


def schema_checks(schema: Schema) -> dict[str, Check]:
    """What is known of a validation table once training has said what its columns mean."""
    checks: dict[str, Check] = {}
    checks |= _label_checks(schema.labels, schema.positive)
    if schema.weight is not None:
        checks[schema.weight] = values.weights
    return checks | {field.name: reader(field) for field in schema.fields}


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


class _Moments:
    """Moments have the form that most have in the first chunk."""

    def __init__(self) -> None:
        self._form: TimeForm | None = None

    def __call__(self, column: pl.Series, place: Place) -> Moments:
        if self._form is None and len(column):
            epoch = Epoch()
            if column.dtype == pl.String or column.dtype.is_numeric():
                epoch.add(column)
            self._form = epoch.form if epoch.seen else None
        return moments(column, self._form or "iso", place)


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
        unread: list[BadRow] = []
        skip = [np.empty(0, dtype=np.int64)]
        rows, last = 0, None
        for chunk in whole.chunks(columns, bad=unread.append):
            failed, numbers = _failed(chunk, checks), chunk.numbers
            good = np.setdiff1d(np.arange(len(chunk.frame)), list(failed), assume_unique=True)
            end = len(chunk.frame)
            if left is not None and len(good) >= left:
                good = good[:left]
                end = int(good[-1]) + 1
                last = int(numbers[end - 1])
            bad = [
                BadRow(
                    chunk.source, int(numbers[i]), column, reason, tuple(values.cell_of(one, i) for one in chunk.frame)
                )
                for i, (column, reason) in failed.items()
                if i < end
            ]
            # Those of chunks to come are known already, where they lie in one block of the file.
            until = numbers[end - 1] if end else np.inf
            bad += [row for row in unread if row.row < until]
            unread[:] = [row for row in unread if row.row >= until]
            skip.append(np.array([row.row for row in bad], dtype=np.int64))
            rows += len(good)
            hear(len(good) + len(bad), sorted(bad, key=lambda row: row.row))
            if left is not None:
                left -= len(good)
            if last is not None:
                break
        else:
            skip.append(np.array([row.row for row in unread], dtype=np.int64))
            if unread:
                hear(len(unread), unread)
        kept.append(Kept(rows, np.sort(np.concatenate(skip)), last))
        if left == 0:
            break
    return without_rows(table, kept)


def _failed(chunk: Chunk, checks: Mapping[str, Check]) -> dict[int, tuple[str, str]]:
    """The rows of a chunk that fail a check, with the column and the sentence."""
    found: dict[int, tuple[str, str]] = {}
    rows = np.arange(len(chunk.frame))

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
        with (folder / BAD_ROWS_FILE).open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerow(_COLUMNS)

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
        count = _Count(table.name)
        first: dict[str, str] = {}  # the reason of each column's first
        total = table.estimated_rows() if limit is None else min(limit, table.estimated_rows())
        with (self._folder / BAD_ROWS_FILE).open("a", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")

            def hear(rows: int, bad: Sequence[BadRow]) -> None:
                count.rows += rows
                for row in bad:
                    writer.writerow((part, row.source, row.row, row.column, row.reason, _json(row.cells)))
                    column = row.column or ""
                    count.bad[column] = count.bad.get(column, 0) + 1
                    first.setdefault(column, row.reason)
                if count.rows >= _JUDGED_FROM:
                    _refuse_most(count, first)
                self._progress.track("look for bad rows", count.rows, max(total, count.rows))

            sifted = sift(table, checks, hear, but=but, limit=limit)
        _refuse_most(count, first)
        self._counts.append(count)
        (self._folder / _COUNTS_FILE).write_text(json.dumps([asdict(c) for c in self._counts]), encoding="utf-8")
        return sifted


def _refuse_most(count: _Count, first: Mapping[str, str]) -> None:
    bad = sum(count.bad.values())
    if 2 * bad > count.rows:
        worst = max(count.bad, key=lambda column: count.bad[column])
        raise DataError(
            f"bad rows are set aside where they are few; more than half of the first {count.rows:,} rows of "
            f"{count.name} are bad ({count.whys}), such as this one: {first[worst]}",
            column=worst or None,
        )


def _json(cells: Sequence[Any]) -> str:
    plain = (str, bool, int, type(None))
    return json.dumps([cell if isinstance(cell, plain) else str(cell) for cell in cells], ensure_ascii=False)
