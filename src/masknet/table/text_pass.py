"""One pass over a text file: pyarrow's parser, fed and watched so that every row knows its number."""

from __future__ import annotations

import atexit
import codecs
import csv
import io
import re
import weakref
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import IO, TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.csv
from numpy.typing import NDArray

from masknet.errors import DataError, MasknetError
from masknet.table.arrow import frame_of
from masknet.table.packed import open_text_bytes
from masknet.table.part import BadRow, NumberedPiece, Report, reading

if TYPE_CHECKING:
    from masknet.table.text import TextFile

__all__ = ["Pass", "TooLongError"]

T = TypeVar("T")

# Bytes of bad rows that follow each other, kept until pyarrow comes to an end of a block with a good one.
HELD = 1 << 27
# How long pyarrow is waited for at the end of a pass: for one read at most, unless the disk hangs.
_LEAVE_SECONDS = 60.0
_NOT_UTF8 = "\0not UTF-8\0"
_SPOKEN = {",": "comma", "\t": "tab"}


class TooLongError(Exception):
    """A row does not fit in a block."""


class Pass:
    """One pass over a text file, with blocks of one size.

    Where bad rows are told of, a row that is not UTF-8 is parsed like any other and known by a mark in its text. A row
    with too few or too many values is left out by pyarrow, which shows it to us before it gives out the rows around it.
    So it waits here until they come: then they get their right numbers, and it is told of in the order of the file.

    Args:
        file: what to read.
        block: bytes that are parsed at once.
        bad: is told of the bad rows; by default the first is an error.
    """

    def __init__(self, file: TextFile, block: int, bad: Report | None) -> None:
        self._file = file
        self._block = block
        self._bad = bad
        # A row of a width that no row may have ends what pyarrow reads. Where it does not come out as a row of its own,
        # a quote before it was never closed and has swallowed all rows that follow.
        self._end = "\0end of rows\0" + (file.style.separator if len(file.columns) == 1 else "")
        self._ended = False
        self._done = 0  # the number of the last row that was given out or told of
        self._waiting: deque[Any] = deque()  # pyarrow's invalid rows that are left out and not yet told of
        self._held = 0  # their bytes
        self._refused: Any = None  # the invalid row at which the pass broke off
        self._failed: Exception | None = None  # what the disk said, or what unpacks and decodes the file
        self._over = False  # nothing more is read
        self._lent: list[object] = []  # what pyarrow holds of Python's, as weak references
        self._returned: SimpleQueue[object] = SimpleQueue()  # those of them that it has let go of

    def pieces(self, names: list[str]) -> Iterator[NumberedPiece]:
        """The good rows of each block."""
        found = self._pieces(names)
        _PASSES.add(found)
        return found

    def _pieces(self, names: list[str]) -> Generator[NumberedPiece, None, None]:
        file = self._file
        with reading(file.name), open_text_bytes(file.path, file.style.encoding) as stream:
            parted = file.style.parted(stream)
            marked = None if self._bad is None else _Marked(parted)
            utf8 = _Utf8(cast("IO[bytes]", marked or parted), f"\n{self._end}\n".encode())
            try:
                for batch in self._batches(utf8, names):
                    if self._failed is not None:
                        break
                    texts = pa.Table.from_batches([batch])  # whose bytes are checked already
                    if utf8.quoted and _holds_lines(batch):
                        self._refuse_swallowed_rows(frame_of(texts, file.name))
                    if self._bad is None or marked is None:
                        self._done += len(texts)
                        yield texts, None
                    else:
                        yield self._without_bad_rows(frame_of(texts, file.name), self._bad, marked=marked.found)
            except pa.ArrowInvalid as error:
                if self._failed is None and self._refused is None:  # the file's own fault, and not our answer to a row
                    if "straddl" in str(error):
                        raise TooLongError from error
                    raise DataError(
                        f"{file.name} cannot be read after row {self._done} ({error}); write it again", file=file.name
                    ) from error
            finally:
                self._take_back()
            if self._failed is not None:
                raise self._failed
        self._check_end(broken=utf8.broken)
        if self._bad is not None:
            for row in self._waiting:
                self._bad(self._bad_row(row))
        rows = self._done + len(self._waiting) + file.header
        if utf8.quoted and utf8.lines > rows and len(names) < len(file.columns):  # a value that is not read holds lines
            told = None if self._bad is None else lambda row: None
            deque(Pass(file, self._block, told).pieces(list(file.columns)), maxlen=0)

    def _batches(self, stream: _Utf8, names: list[str]) -> Any:
        columns, style = self._file.columns, self._file.style
        # Without pyarrow's threads a bad row knows its number. One thread reads ahead all the same.
        return pyarrow.csv.open_csv(
            pa.PythonFile(self._lend(_Lent(partial(self._read, stream))), mode="r"),
            read_options=pyarrow.csv.ReadOptions(
                use_threads=False,
                block_size=self._block,
                column_names=columns,
                skip_rows_after_names=int(self._file.header),
            ),
            parse_options=pyarrow.csv.ParseOptions(
                delimiter=style.separator,
                quote_char='"' if style.quotes else False,
                escape_char=style.escape or False,
                newlines_in_values=True,
                invalid_row_handler=self._lend(partial(self._of_another_width)),
            ),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(columns, pa.string()),
                include_columns=names,
                strings_can_be_null=False,
                check_utf8=False,
            ),
        )

    def _read(self, stream: _Utf8, size: int) -> memoryview:
        """What pyarrow reads; an error waits here, since pyarrow would keep it for longer than its reader lives."""
        data: bytes | memoryview = b""
        try:
            if not self._over:
                data = stream.read(size)
        except (OSError, EOFError, MasknetError) as error:
            self._failed, self._over = error, True
        return self._lend(memoryview(data))

    def _lend(self, thing: T) -> T:
        """Give pyarrow something of Python, to which nothing else refers."""
        # The queue's own `put`: a callback in Python could be interrupted, and come to its end too late.
        self._lent.append(weakref.ref(thing, self._returned.put))
        return thing

    def _take_back(self) -> None:
        """End the stream, and wait until pyarrow has let go of all that it was lent.

        A thread of its own reads ahead and may outlive the reader, whose `close` ends nothing. It needs Python to let
        go of what is Python's; where Python is being left meanwhile, the process ends in an abort.
        """
        self._over = True
        returned = 0
        with suppress(Empty):
            while returned < len(self._lent):
                self._returned.get(timeout=_LEAVE_SECONDS)
                returned += 1

    def _of_another_width(self, row: Any) -> str:
        """What pyarrow is to do with a row that has too few or too many values."""
        if row.text == self._end:
            self._ended = True
            return "skip"
        # pyarrow counts the header as a row, and neither blank lines nor quoted line breaks.
        row = row._replace(number=row.number - self._file.header)
        if self._bad is None or self._held >= HELD:
            self._refused = row
            return "error"
        self._waiting.append(row)
        self._held += _size(row)
        return "skip"

    def _without_bad_rows(self, frame: pl.DataFrame, bad: Report, *, marked: bool) -> NumberedPiece:
        """Number the rows of a frame, tell of all bad rows up to its last, and drop those that are in it."""
        while self._waiting and self._waiting[0].number == self._done + 1:  # not kept until a good row comes
            bad(self._bad_row(self._waiting.popleft()))
            self._done += 1
        numbers = self._numbers(len(frame))
        self._done = int(numbers[-1]) if len(numbers) else self._done
        found = []
        while self._waiting and self._waiting[0].number < self._done:
            found.append(self._bad_row(self._waiting.popleft()))
        self._held = sum(map(_size, self._waiting))
        wrong = np.zeros(len(frame), dtype=np.bool_)
        for column in frame if marked else ():
            marks = column.str.contains(_NOT_UTF8, literal=True).to_numpy()
            for i in np.flatnonzero(marks & ~wrong):
                number, cells = int(numbers[i]), [cell.replace(_NOT_UTF8, "") for cell in frame.row(int(i))]
                reason = str(self._not_utf8(number, column.name))
                found.append(BadRow(self._file.name, number, column.name, reason, cells))
            wrong |= marks
        for row in sorted(found, key=lambda row: row.row):
            bad(row)
        return (frame.filter(pl.Series(~wrong)), numbers[~wrong]) if wrong.any() else (frame, numbers)

    def _refuse_swallowed_rows(self, frame: pl.DataFrame) -> None:
        """Refuse a quoted value with lines that are rows themselves: its quote may be a character, which took them in.

        Such a value joins the row in which the quote stands to the one where the next quote does, and both have as many
        values as all rows. So each of its lines, the first and the last with what stands beside them, is a whole row.
        """
        file = self._file
        width = len(file.columns)
        if file.style.sure or width < 2:
            return
        for column in frame:
            at = file.columns.index(column.name)
            for i in column.str.contains("\n", literal=True).arg_true():
                first, *between, last = (line.count(file.style.separator) for line in column[i].split("\n"))
                if (first, last) == (width - 1 - at, at) and set(between) <= {width - 1}:
                    row = self._done + i + 1
                    raise DataError(
                        f"a quoted value holds no rows; in row {row} of {file.name} that of column '{column.name}' "
                        f"holds {len(between) + 2} lines with as many values as {file.named_by}: where a quote is a "
                        f"character like any other, say --quote none, and where these lines are one value --quote '\"'",
                        file=file.name,
                        column=column.name,
                        row=row,
                    )

    def _numbers(self, rows: int) -> NDArray[np.int64]:
        """The numbers of the next so many rows, which run past those of the waiting rows."""
        gaps = [row.number for row in self._waiting]
        numbers = np.arange(self._done + 1, self._done + 1 + rows + len(gaps), dtype=np.int64)
        return numbers[~np.isin(numbers, gaps)][:rows]

    def _check_end(self, *, broken: bool) -> None:
        """Refuse a file whose end was not reached, and say what was met instead.

        Args:
            broken: the stream broke off at a byte that is not UTF-8, in the last row that was read.
        """
        file, row = self._file, self._refused
        if row is not None and self._bad is not None:
            header = file.named_by
            raise DataError(
                f"bad rows are set aside where they are few; from row {self._done + 1} of {file.name} on, "
                f"{len(self._waiting):,} and more have other than {len(file.columns)} values, as {header} has: does "
                f"{header} belong to them?",
                file=file.name,
            )
        if row is not None and _NOT_UTF8 in row.text:
            raise self._not_utf8(row.number, file.columns[min(row.actual_columns, len(file.columns)) - 1])
        if row is not None:
            raise self._other_width(row)
        if broken:
            raise self._not_utf8(self._done, file.columns[-1])
        if not self._ended:
            last = self._done + len(self._waiting)
            raise DataError(
                f"a quoted value ends with a quote; in row {last} of {file.name} one begins and is never closed: close "
                f"it, or double the quotes that belong to the value",
                file=file.name,
                row=last,
            )

    def _bad_row(self, row: Any) -> BadRow:
        text = row.text.replace(_NOT_UTF8, "")
        try:
            cells = next(self._file.style.rows(io.StringIO(text, newline=""), strict=False), [])
        except csv.Error:
            cells = [text]
        return BadRow(self._file.name, row.number, None, str(self._other_width(row)), cells)

    def _other_width(self, row: Any) -> DataError:
        names = self._file.named_by
        delimiter = _SPOKEN.get(self._file.style.delimiter, self._file.style.delimiter)
        return DataError(
            f"each row has as many values as {names}; row {row.number} of {self._file.name} has {row.actual_columns}, "
            f"{names} {len(self._file.columns)}: mend the row, or quote the value that holds a {delimiter} or a quote",
            file=self._file.name,
            row=row.number,
        )

    def _not_utf8(self, row: int, column: str) -> DataError:
        return DataError(
            f"a text file is UTF-8; row {row} of {self._file.name} is not, in column '{column}': "
            f"name its encoding (--encoding latin-1), or save the file again as UTF-8",
            file=self._file.name,
            column=column,
            row=row,
        )


def _holds_lines(batch: pa.RecordBatch) -> bool:
    """Whether a value holds a line break, which only a quoted one can."""
    # NOTE[perf]: one look at the bytes of a column takes a fifth of the time of one at each of its values.
    texts = (column.buffers()[2] for column in batch.columns)
    return any((np.frombuffer(text, dtype=np.uint8) == ord("\n")).any() for text in texts if text is not None)


def _size(row: Any) -> int:
    """About how many bytes one of pyarrow's invalid rows takes: its text, and the objects around it."""
    return len(row.text) + 200


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
                    "[\udc80-\udcff]", lambda byte: f"{_NOT_UTF8}\\x{ord(byte[0]) - 0xDC00:x}", text
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
        self.quoted = False  # whether a quote came by, so that a value may hold lines
        self.lines = 0
        self._stream = stream
        self._end = end
        self._over = False
        # What comes before the next block: half a character; at first the first bytes after a mark and blank lines,
        # since pyarrow would take a blank line for the header.
        start = stream.read(len(codecs.BOM_UTF8))
        self._cut = start.removeprefix(codecs.BOM_UTF8).lstrip(b"\r\n")
        while not self._cut and (start := stream.read(1)):
            self._cut = start.strip(b"\r\n")

    def read(self, size: int) -> bytes | memoryview:
        data = b""
        if not self._over:
            data = self._cut + self._stream.read(size - len(self._cut))
            self._over = len(data) < size
            self._cut = b""
            try:
                if not data.isascii():  # NOTE[perf]: to tell that makes no text
                    data.decode()
            except UnicodeDecodeError as error:
                good = data[: error.start]
                if error.reason == "unexpected end of data" and not self._over:
                    self._cut, data = data[error.start :], good
                else:
                    self.broken = self._over = True
                    data, self._end = good, _NOT_UTF8.encode() + self._end
            # pyarrow before 26 joins two rows where it has left out a row and a block ends just before a line break.
            end = len(data)
            if not self._over and (rows := data.rfind(b"\n") + 1):
                self._cut, end = data[rows:] + self._cut, rows
            self.quoted = self.quoted or data.find(b'"', 0, end) >= 0
            self.lines += data.count(b"\n", 0, end)
            if end < len(data):
                return memoryview(data)[:end]
        if self._over:
            room = size - len(data)
            data, self._end = data + self._end[:room], self._end[room:]
        return data


class _Lent:
    """A file by its `read` alone: an error that is raised there leads to no file."""

    __slots__ = ("__weakref__", "closed", "read")

    def __init__(self, read: Callable[[int], memoryview]) -> None:
        self.read = read
        self.closed = False

    def close(self) -> None:
        self.closed = True


_PASSES: weakref.WeakSet[Generator[NumberedPiece, None, None]] = weakref.WeakSet()


@atexit.register
def _end_passes() -> None:
    """Before Python is left, end the passes that were given up halfway: an error that was raised keeps them alive."""
    for running in list(_PASSES):
        with suppress(ValueError):  # another thread is in it
            running.close()
