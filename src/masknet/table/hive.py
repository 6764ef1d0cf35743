"""Folders that say something of their rows: `day=2026-01-31/part-0.parquet` has a column `day` besides its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import polars as pl
import pyarrow as pa

from masknet.table.part import NumberedPiece, Part, Piece, Report

_MISSING = "__HIVE_DEFAULT_PARTITION__"

Keys = tuple[tuple[str, str | None], ...]


def is_key(folder: str) -> bool:
    """Whether a folder's name is `key=value`."""
    return folder.find("=") > 0


def keys_of(path: Path) -> Keys:
    """What the folders right above a file say of its rows, the outermost first; None where a value is missing.

    >>> keys_of(Path("/logs/country=DE/day=2026-01-31/part-0.parquet"))
    (('country', 'DE'), ('day', '2026-01-31'))
    """
    keys: list[tuple[str, str | None]] = []
    for folder in reversed(Path(os.path.abspath(path)).parent.parts):
        if not is_key(folder):
            break
        key, _, value = folder.partition("=")
        keys.insert(0, (unquote(key), None if value == _MISSING else unquote(value)))
    return tuple(keys)


@dataclass(frozen=True)
class Partitioned:
    """A file with its own columns and those that its folders give, as text.

    Where the file has a column of a key's name, the file's column is read.
    """

    part: Part
    keys: Keys

    @property
    def name(self) -> str:
        """The file's name."""
        return self.part.name

    @property
    def note(self) -> str | None:
        """What the file tells of how it is read."""
        note: str | None = getattr(self.part, "note", None)
        return note

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the file's own columns, then those of the keys."""
        return (*self.part.columns, *(key for key, _ in self.keys if key not in self.part.columns))

    @property
    def given(self) -> dict[str, str | None]:
        """The columns that the folders give, and their values."""
        return {key: value for key, value in self.keys if key not in self.part.columns}

    @property
    def num_rows(self) -> int | None:
        """How many rows the file holds, where that is known without reading them; else None."""
        return self.part.num_rows

    @property
    def num_bytes(self) -> int:
        """The file's size on disk; its folders' names take none."""
        return self.part.num_bytes

    def estimated_rows(self) -> int:
        """How many rows the file holds, or about how many where `num_rows` is None."""
        return self.part.estimated_rows()

    def pieces(self, names: list[str], bad: Report | None) -> Iterator[NumberedPiece]:
        """The rows of the file without the bad ones, of which `bad` is told, each with the same keys."""
        given = self.given
        own = [name for name in names if name not in given]
        for piece, numbers in self.part.pieces(own or [self.part.columns[0]], bad):
            yield self._with_keys(piece, names), numbers

    def _with_keys(self, piece: Piece, names: list[str]) -> Piece:
        given = self.given
        if isinstance(piece, pl.DataFrame):
            said = {key: pl.repeat(value, len(piece), dtype=pl.String, eager=True) for key, value in given.items()}
            return pl.DataFrame({name: said[name] if name in said else piece[name] for name in names})
        keys = {key: pa.repeat(pa.scalar(value, pa.string()), len(piece)) for key, value in given.items()}
        return pa.table({name: keys[name] if name in keys else piece.column(name) for name in names})

    def digest(self, *, verify: bool) -> bytes:
        """A hash of the file's bytes, followed by the keys: the same file in another folder is another part."""
        return self.part.digest(verify=verify) + repr(self.keys).encode()
