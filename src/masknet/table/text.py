"""Texts with a delimiter, packed or not: every value is text, as written, and every row knows its number."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from masknet.errors import DataError
from masknet.table.packed import open_text_bytes
from masknet.table.part import BadRow, NumberedPiece, Report, estimated_lines, file_digest, reading
from masknet.table.style import PLAIN, Form, Style, find_style
from masknet.table.text_pass import Pass, TooLongError

# NOTE[perf]: 4 and 8 MiB parse at the same speed, with and without pyarrow's threads. The second size is for a value
# that does not fit in the first.
BLOCKS = (1 << 22, 1 << 28)
_CRITEO = (*(f"I{i}" for i in range(1, 14)), *(f"C{i}" for i in range(1, 27)))
_NAMED = {"criteo": ("label", *_CRITEO), "criteo-test": _CRITEO}


def open_text(
    paths: Sequence[tuple[Path, str]], kind: str, columns: Sequence[str], form: Form, usual: Form
) -> list[TextFile]:
    """The files of one table; of each only the first rows are read.

    Args:
        paths: each with its name for messages.
        kind: CSV or TSV.
        columns: names for the columns of files without a header, or one of `criteo` and `criteo-test`.
        form: what is said of how they are written.
        usual: how the model's own table was written.
    """
    if len(columns) == 1:
        columns = _NAMED.get(columns[0], columns)
    return [TextFile.open(path, name, kind, tuple(columns), form, usual) for path, name in paths]


@dataclass(frozen=True)
class TextFile:
    """A text file of values with a delimiter, packed or not.

    Args:
        name: for messages.
        path: where it lies.
        kind: CSV or TSV.
        columns: the names in its header, those that were given for it, or x0, x1, ...
        num_bytes: the size on disk.
        header: whether its first row names the columns.
        style: how its values are parted, quoted and encoded.
        named_by: what says how many columns there are, for messages.
        note: what to tell of its style; None where it is as its ending says.
        num_rows: not known before the file is read.
    """

    name: str
    path: Path
    kind: str
    columns: tuple[str, ...]
    num_bytes: int
    header: bool
    style: Style
    named_by: str = "the header"
    note: str | None = None
    num_rows: None = None

    @classmethod
    def open(
        cls,
        path: Path,
        name: str,
        kind: str,
        names: tuple[str, ...] = (),
        form: Form = PLAIN,
        usual: Form = PLAIN,
    ) -> TextFile:
        """Read the first row: the header, or where there are names for the columns, a row that they must fit."""
        style, note = find_style(path, name, kind, form, usual, width=len(names))
        headed = form.header and not names
        first = _first_row(path, name, style, headed=headed)
        if names:
            _check_first_row(first, names, name)
        columns = names or (tuple(first) if headed else tuple(f"x{i}" for i in range(len(first))))
        named_by = "the header" if headed else "--columns" if names else "the first row"
        return cls(name, path, kind, columns, path.stat().st_size, headed, style, named_by, note)

    def estimated_rows(self) -> int:
        """Judged by the lines in the first MiB."""
        return max(estimated_lines(self.path, self.name, self.style.encoding) - self.header, 0)

    def digest(self, *, verify: bool) -> bytes:
        """A hash of the file's bytes, of how they are read, and of the names that were given for its columns."""
        read_as = self.kind if self.header else f"{self.kind}|{self.columns}"
        return file_digest(self.path, self.name, read_as + self.style.key(self.kind), verify=verify)

    def pieces(self, names: list[str], bad: Report | None) -> Iterator[NumberedPiece]:
        """The rows that are not bad, a block of the file at a time, each with its number where `bad` is given."""
        once = None if bad is None else _Once(bad)
        done = 0
        for block in BLOCKS:
            seen = 0
            try:
                for piece, numbers in Pass(self, block, once).pieces(names):
                    seen += len(piece)
                    fresh = max(seen - done, 0)
                    if fresh or not len(piece):
                        known = len(piece) - fresh
                        yield piece.slice(known), None if numbers is None else numbers[known:]
                        done += fresh
                return
            except TooLongError:
                continue
        raise DataError(
            f"a row is shorter than {BLOCKS[-1] >> 20} MiB; one after row {done + (once.told if once else 0)} of "
            f"{self.name} is longer: is a quote never closed?",
            file=self.name,
        )


def _first_row(path: Path, name: str, style: Style, *, headed: bool) -> list[str]:
    rule = "a table begins with the names of its columns" if headed else "a table holds rows"
    try:
        with reading(name), open_text_bytes(path, style.encoding) as stream:
            # The rows that the wrapper reads ahead are not the header's business: only its own bytes are checked.
            raw = io.BufferedReader(_Readable(style.parted(stream)))
            text = io.TextIOWrapper(raw, encoding="utf-8-sig", errors="surrogateescape", newline="")
            first = next(filter(None, style.rows(text)), None)
        "".join(first or ()).encode()
    except UnicodeEncodeError as error:
        what = "header" if headed else "first row"
        raise DataError(
            f"a text file is UTF-8; the {what} of {name} is not: name its encoding (--encoding latin-1), or save the "
            f"file again as UTF-8",
            file=name,
        ) from error
    except csv.Error as error:
        raise DataError(
            f"{rule}; the first row of {name} cannot be read ({error}): is a quote never closed?", file=name
        ) from error
    if first is None:
        raise DataError(f"{rule}; {name} is blank: write it again", file=name)
    return first


class _Readable(io.RawIOBase):
    """What can only `read`, for those who ask for more."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _check_first_row(row: list[str], names: tuple[str, ...], source: str) -> None:
    # A header has no number; it may have names of its own for some columns.
    if any(map(str.__eq__, row, names)) and not any(re.fullmatch(r"\s*[-+]?[0-9.]+\s*", value) for value in row):
        raise DataError(
            f"--columns names the columns of a file without a header; {source} has one: leave it out", file=source
        )
    if len(row) != len(names):
        sets = " and ".join(f"'{name}' stands for {len(columns)}" for name, columns in _NAMED.items())
        raise DataError(
            f"--columns has a name for each value of a row; the first row of {source} has {len(row)} values, --columns "
            f"{len(names)} names ({sets})",
            file=source,
        )


class _Once:
    """Tells of each bad row once, though a second pass, with larger blocks, meets the first rows again."""

    def __init__(self, bad: Report) -> None:
        self.told = 0
        self._bad = bad
        self._last = 0

    def __call__(self, row: BadRow) -> None:
        if row.row > self._last:
            self._bad(row)
            self._last = row.row
            self.told += 1
