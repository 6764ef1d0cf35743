"""How a text file parts and quotes its values: as it is said, or as its first lines show."""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, cast

from masknet.errors import ConfigError
from masknet.table.packed import open_bytes
from masknet.table.part import reading

__all__ = ["CSV", "DELIMITERS", "PLAIN", "TSV", "Form", "Style", "find_style", "lines_of"]

CSV, TSV = "CSV", "TSV"
DELIMITERS = {CSV: ",", TSV: "\t"}
_FOUND = (",", ";", "\t", "|", "\x01", "::")
_NAMES = {"tab": "\t", r"\t": "\t", "comma": ","}
_UNIT = "\x1f"  # ASCII's own separator of values, which stands for a delimiter of several characters
_START = 1 << 16
_MARKS = {  # the longest first: that of UTF-32 begins with that of UTF-16
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


@dataclass(frozen=True)
class Form:
    r"""What is said of how files are written. What is None is found: by the file's name, or in its first lines.

    >>> Form(delimiter=r"\x01").delimiter
    '\x01'

    Args:
        format: csv, tsv, jsonl, libsvm, libffm or parquet, where a file's name does not end so.
        delimiter: what stands between the values of a row of text; also "tab", and `\t` or `\x01` spelled out. One of
            several characters, such as `::`, stands in files without quotes.
        quote: `"`, or none, where a quote is a character like any other.
        escape: what stands before a quote or a delimiter that belongs to a value.
        encoding: a name that Python knows.
        header: whether the first row of a text names the columns; without, they are x0, x1, ... or those of `columns`.

    Raises:
        ConfigError: a delimiter is empty or a quote, an escape no single character, an encoding unknown.
    """

    format: str | None = None
    delimiter: str | None = None
    quote: Literal['"', "none"] | None = None
    escape: str | None = None
    encoding: str | None = None
    header: bool = True

    def __post_init__(self) -> None:
        if self.delimiter is not None:
            plain = _NAMES.get(self.delimiter) or _spelled(self.delimiter)
            object.__setattr__(self, "delimiter", plain)
            if not plain or set(plain) & set('"\r\n'):
                raise ConfigError(f"a --delimiter is text between values, and no quote or end of line; got {plain!r}")
            if len(plain) > 1 and '"' in (self.quote, self.escape):
                raise ConfigError(f"a --delimiter of several characters stands in files without quotes; got {plain!r}")
        if self.escape is not None and (len(self.escape) != 1 or self.escape in ('"', "\r", "\n", self.delimiter)):
            raise ConfigError(f"an --escape is one character, such as a backslash, and no quote; got {self.escape!r}")
        if self.encoding is not None:
            try:
                known = codecs.lookup(self.encoding)
            except (LookupError, ValueError):
                known = None
            if known is None or not getattr(known, "_is_text_encoding", True):
                raise ConfigError(
                    f"an --encoding is one that Python knows, such as latin-1, cp1252, utf-16, gb18030 or shift-jis; "
                    f"got '{self.encoding}'"
                )


PLAIN = Form()
"""Nothing is said."""


def _spelled(text: str) -> str:
    r"""`\x01` and the like as the characters that they spell."""
    return re.sub(r"\\x([0-9a-fA-F]{2})|\\t", lambda found: chr(int(found[1], 16)) if found[1] else "\t", text)


@dataclass(frozen=True)
class Style:
    """How a text file is written; nothing is left open.

    Args:
        delimiter: between two values of a row.
        quotes: whether a value may stand in double quotes.
        escape: before a quote or a delimiter of a value; None for none.
        encoding: of the text.
        sure: whether somebody said what quotes are, so that a quoted value may hold whatever looks like rows.
    """

    delimiter: str
    quotes: bool = True
    escape: str | None = None
    encoding: str = "utf-8"
    sure: bool = False

    @property
    def separator(self) -> str:
        """The one character that stands between two values of what `parted` gives."""
        return self.delimiter if len(self.delimiter) == 1 else _UNIT

    def parted(self, stream: IO[bytes]) -> IO[bytes]:
        """The same text in UTF-8 with `separator` for the delimiter."""
        if len(self.delimiter) == 1:
            return stream
        return cast("IO[bytes]", _Replaced(stream, self.delimiter.encode(), _UNIT.encode()))

    def rows(self, text: Any, *, strict: bool = True) -> Iterator[list[str]]:
        """The rows of a text that `parted` gave, or of its lines."""
        return csv.reader(
            text,
            delimiter=self.separator,
            quoting=csv.QUOTE_MINIMAL if self.quotes else csv.QUOTE_NONE,
            escapechar=self.escape,
            strict=strict,
        )

    def key(self, kind: str) -> str:
        """What of it a fingerprint has to know, beside what the kind of file says: nothing for the usual."""
        plain = self.delimiter, self.quotes, self.escape, self.encoding
        if plain[1:] == (True, None, "utf-8"):
            return "" if self.delimiter == DELIMITERS[kind] else self.delimiter
        return repr(plain)


class _Replaced:
    """A stream with one separator in place of another."""

    def __init__(self, stream: IO[bytes], old: bytes, new: bytes) -> None:
        self._stream = stream
        self._old, self._new = old, new
        self._cut = self._ready = b""
        self._over = False

    def read(self, size: int) -> bytes:
        """So many bytes, and fewer only at the end."""
        while len(self._ready) < size and not self._over:
            data = self._stream.read(size)
            self._over = not data
            *whole, last = (self._cut + data).split(self._old)
            half = next((n for n in range(len(self._old) - 1, 0, -1) if last.endswith(self._old[:n])), 0)
            half = 0 if self._over else half  # the beginning of a separator that the next block may end
            self._cut = last[len(last) - half :]
            self._ready += self._new.join([*whole, last[: len(last) - half]])
        data, self._ready = self._ready[:size], self._ready[size:]
        return data


def lines_of(text: str) -> list[str]:
    """The lines that are not blank."""
    return [line for line in re.split(r"\r\n|\r|\n", text) if line.strip()]


def find_style(
    path: Path, name: str, kind: str, form: Form, usual: Form, *, width: int = 0
) -> tuple[Style, str | None]:
    """The style of a text file, and what to tell of it where it is neither said nor that of its kind.

    Args:
        path, name: of the file, and for messages.
        kind: CSV or TSV, which say the delimiter that is expected.
        form: what is said; it holds.
        usual: how the model's own table was written: it holds unless the file plainly differs.
        width: how many values a row has, where there are names for them; else 0.
    """
    with reading(name), open_bytes(path) as (stream, _):
        data = stream.read(_START)
    encoding, notes = form.encoding or _encoding_of(data, usual.encoding), []
    if form.encoding is None and codecs.lookup(encoding) != codecs.lookup(usual.encoding or "utf-8"):
        notes.append(f"it is written in {encoding}")
    text = data.decode(encoding, errors="replace").removeprefix("\ufeff")
    lines = lines_of(text)
    lines = lines[:-1] if len(data) == _START and len(lines) > 1 else lines  # none that is cut
    quotes = (form.quote or usual.quote) != "none"
    if form.quote is None and usual.quote == "none" and lines and _all_quoted(lines[0]):
        quotes = True
        notes.append("its values stand in quotes, and those of the training table do not: --quote none keeps them")
    expected = usual.delimiter or DELIMITERS[kind]
    delimiter = form.delimiter or _delimiter_of(lines[:2], expected, quotes, width)
    if form.delimiter is None and delimiter != expected:
        notes.append(f"{delimiter!r} stands between the values, and not {expected!r}")
    quotes = quotes and len(delimiter) == 1
    escape = form.escape or usual.escape
    if escape is None and quotes and form.quote is None and _is_escaped(lines, Style(delimiter)):
        escape = "\\"
        notes.append("a backslash stands before the quotes in its values")
    sure = form.quote is not None or usual.quote is not None
    told = f"{name}: {'; '.join(notes)}" if notes else None
    return Style(delimiter, quotes, escape, encoding, sure), told


def _encoding_of(data: bytes, usual: str | None) -> str:
    """What a mark at the start says, else the usual one, but for UTF-8 where others would not read so by chance."""
    marked = next((encoding for mark, encoding in _MARKS.items() if data.startswith(mark)), None)
    if marked is not None or usual is None:
        return marked or "utf-8"
    with suppress(UnicodeDecodeError):
        decoder = codecs.getincrementaldecoder("utf-8")()  # which lets the last character be cut
        if not data.isascii() and decoder.decode(data):
            return "utf-8"
    return usual


def _delimiter_of(lines: list[str], expected: str, quotes: bool, width: int) -> str:
    """What is expected, unless another one parts the lines alike: where that parts nothing, or not into `width`."""

    def values(delimiter: str) -> int:
        if len(delimiter) > 1:
            counts = {line.count(delimiter) + 1 for line in lines}
        else:
            try:
                counts = {len(row) for row in Style(delimiter, quotes).rows(lines)}
            except csv.Error:
                return 1
        return counts.pop() if len(counts) == 1 else 1

    if not lines or width == 1 or (width and values(expected) == width):
        return expected
    if width and (fitting := next((other for other in _FOUND if values(other) == width), None)):
        return fitting
    if expected in lines[0]:
        return expected
    best = max(_FOUND, key=values)
    return best if values(best) > 1 else expected


def _all_quoted(line: str) -> bool:
    return re.fullmatch(r'"[^"]*"(.)"[^"]*"(\1"[^"]*")*', line) is not None


def _is_escaped(lines: list[str], style: Style) -> bool:
    """Whether the rows are whole only where a backslash belongs to the quote behind it."""
    if not any('\\"' in line for line in lines):
        return False

    def widths(escape: str | None) -> set[int]:
        try:
            return {len(row) for row in Style(style.delimiter, escape=escape).rows(lines) if row}
        except csv.Error:
            return set()

    return len(widths("\\")) == 1 and len(widths(None)) != 1
