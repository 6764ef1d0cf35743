"""The bytes of a text, whatever it is packed in: gzip, Zstandard, bzip2, or a zip of that one file."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePath
from typing import IO, cast

import pyarrow as pa

from masknet.errors import DataError

__all__ = ["PACKINGS", "DamagedError", "name_inside", "open_bytes", "open_text_bytes"]

PACKINGS = {".gz": "gzip", ".zst": "zstd", ".bz2": "bzip2", ".zip": "zip"}
_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bzip2", b"PK\x03\x04": "zip"}


class DamagedError(EOFError):
    """A packed file was cut or changed.

    Args:
        packing: what it is packed in, such as gzip.
        why: in the words of what unpacks it.
    """

    def __init__(self, packing: str, why: object) -> None:
        self.packing = packing
        super().__init__(str(why))


def name_inside(path: Path) -> str:
    """The name of a file without what says how it is packed; of a zip that of the one file in it.

    >>> name_inside(Path("logs/ads.csv.gz"))
    'ads.csv'

    Raises:
        DataError: a zip holds no file, or several.
        DamagedError: what ends in .zip is none.
    """
    stem, suffix = path.stem, path.suffix.lower()
    if suffix == ".zip" and not PurePath(stem).suffix:
        with path.open("rb") as file, _unpacking("zip"):
            return _only_member(zipfile.ZipFile(file), path).filename
    return stem if suffix in PACKINGS else path.name


@contextmanager
def open_bytes(path: Path) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """The bytes of a text, unpacked, and the file below them.

    How it is packed its first bytes say, whatever its name is; what is named as packed and is not, is damaged.

    Raises:
        DataError: a zip holds no file, several, or one that asks for a password.
    """
    with ExitStack() as opened:
        file = opened.enter_context(path.open("rb"))
        start = file.read(4)
        file.seek(0)
        packing = next((name for magic, name in _MAGIC.items() if start.startswith(magic)), None)
        packing = packing or PACKINGS.get(path.suffix.lower())
        if packing is None:
            yield file, file
            return
        with _unpacking(packing):
            inner = opened.enter_context(cast("IO[bytes]", _unpacker(packing, file, path)))
        yield cast("IO[bytes]", _Unpacked(inner, packing)), file


@contextmanager
def open_text_bytes(path: Path, encoding: str = "utf-8") -> Iterator[IO[bytes]]:
    """The bytes of a text, unpacked and in UTF-8, whatever encoding it is written in; a mark at its start is kept.

    Args:
        path: of the file.
        encoding: it is written in; UTF-8 is passed on as it is, broken or not.
    """
    with open_bytes(path) as (stream, _):
        yield (
            stream
            if codecs.lookup(encoding).name == "utf-8"
            else cast("IO[bytes]", _Recoded(stream, encoding, path.name))
        )


def _unpacker(packing: str, file: IO[bytes], path: Path) -> object:
    match packing:
        case "gzip":
            return gzip.GzipFile(fileobj=file, mode="rb")
        case "bzip2":
            return bz2.BZ2File(file)
        case "zstd":
            return pa.CompressedInputStream(pa.PythonFile(file, mode="r"), "zstd")
        case _:
            archive = zipfile.ZipFile(file)
            member = _only_member(archive, path)
            if member.flag_bits & 1:
                raise DataError(f"a zip is read as it is; {path.name} asks for a password: unpack it", file=path.name)
            return archive.open(member)


def _only_member(archive: zipfile.ZipFile, path: Path) -> zipfile.ZipInfo:
    members = [
        member
        for member in archive.infolist()
        if not member.is_dir() and "__MACOSX" not in member.filename and PurePath(member.filename).name[0] not in "._"
    ]
    if len(members) != 1:
        names = ", ".join(member.filename for member in members[:3]) + (", ..." if len(members) > 3 else "")
        held = f"{len(members)} ({names}): unpack it, and name the file or the folder" if members else "none"
        raise DataError(f"a zip holds one table; {path.name} holds {held}", file=path.name)
    return members[0]


@contextmanager
def _unpacking(packing: str) -> Iterator[None]:
    """What the unpackers raise of damaged bytes, as one error; what the disk says is left as it is."""
    try:
        yield
    except DamagedError:
        raise
    except (EOFError, zlib.error, zipfile.BadZipFile, gzip.BadGzipFile) as error:
        raise DamagedError(packing, error) from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise DamagedError(packing, error) from error


class _Unpacked:
    """A stream that is unpacked while it is read."""

    def __init__(self, stream: IO[bytes], packing: str) -> None:
        self._stream = stream
        self._packing = packing

    def read(self, size: int = -1) -> bytes:
        """So many bytes, and fewer only at the end."""
        parts, left = [], size
        with _unpacking(self._packing):
            while left and (data := self._stream.read(left) if size >= 0 else self._stream.read()):
                parts.append(data)
                left -= len(data) if size >= 0 else 0
        return b"".join(parts)


class _Recoded:
    """A stream of text in any encoding, as UTF-8."""

    def __init__(self, stream: IO[bytes], encoding: str, name: str) -> None:
        self._stream = stream
        self._encoding = encoding
        self._name = name
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._ready = b""
        self._over = False
        self._lines = 1

    def read(self, size: int) -> bytes:
        """So many bytes, and fewer only at the end."""
        while len(self._ready) < size and not self._over:
            data = self._stream.read(max(size, io.DEFAULT_BUFFER_SIZE))
            self._over = not data
            try:
                text = self._decoder.decode(data, final=self._over)
            except UnicodeDecodeError as error:
                line = self._lines + error.object[: error.start].count(b"\n")
                raise DataError(
                    f"a text is in the encoding that --encoding names; line {line:,} of {self._name} holds the byte "
                    f"0x{error.object[error.start]:02x}, which is none of {self._encoding}: name another",
                    file=self._name,
                ) from error
            self._lines += text.count("\n")
            self._ready += text.encode()
        data, self._ready = self._ready[:size], self._ready[size:]
        return data
