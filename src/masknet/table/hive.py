"""Folders that say something of their rows: `day=2026-01-31/part-0.parquet` has a column `day` besides its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import polars as pl

from masknet.table.part import NumberedFrame, Part, Report, numbered

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
    """A file with the columns that its folders give, as text; a column of its own wins over one of that name."""

    part: Part
    keys: Keys

    @property
    def name(self) -> str:
        """The file's name."""
        return self.part.name

    @property
    def columns(self) -> tuple[str, ...]:
        """The file's own, then the keys."""
        return (*self.part.columns, *(key for key, _ in self.keys if key not in self.part.columns))

    @property
    def num_rows(self) -> int | None:
        """The file's."""
        return self.part.num_rows

    @property
    def num_bytes(self) -> int:
        """The file's."""
        return self.part.num_bytes

    def estimated_rows(self) -> int:
        """The file's."""
        return self.part.estimated_rows()

    def frames(self, names: list[str]) -> Iterator[pl.DataFrame]:
        """The file's rows, each with the same keys."""
        return (frame for frame, _ in self.numbered(names, None))

    def numbered(self, names: list[str], bad: Report | None) -> Iterator[NumberedFrame]:
        """Those of the file that can be read, with their numbers."""
        given = {key: value for key, value in self.keys if key not in self.part.columns}
        own = [name for name in names if name not in given]
        for frame, numbers in numbered(self.part, own or [self.part.columns[0]], bad):
            said = {key: pl.repeat(value, len(frame), dtype=pl.String, eager=True) for key, value in given.items()}
            yield pl.DataFrame({name: said[name] if name in said else frame[name] for name in names}), numbers

    def digest(self, *, verify: bool) -> bytes:
        """The file's, with the keys."""
        return self.part.digest(verify=verify) + repr(self.keys).encode()
