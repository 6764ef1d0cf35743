"""What a data set is: where its columns come from, on which terms, and the three files that it becomes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from masknet.progress import Progress


@dataclass(frozen=True)
class DatasetFiles:
    """The Parquet files of a data set, all with the same columns."""

    train: Path
    valid: Path
    test: Path

    @classmethod
    def under(cls, folder: Path) -> DatasetFiles:
        """The three files as they are named in `folder`, whether or not they exist.

        >>> DatasetFiles.under(Path("log")).valid.name
        'valid.parquet'
        """
        return cls(folder / "train.parquet", folder / "valid.parquet", folder / "test.parquet")

    def exist(self) -> bool:
        """Whether all three are there."""
        return self.train.is_file() and self.valid.is_file() and self.test.is_file()


@dataclass(frozen=True)
class Dataset:
    """A click log that `masknet data` can put on this machine, with what a model must know of its columns.

    Args:
        name: how it is asked for.
        description: one line.
        rows: rows of train, valid and test together.
        terms: on which terms the data may be used; to be shown whenever it is fetched.
        label: the column with the clicks, 0 or 1.
        categorical: fields that are ids.
        numeric: fields that are measured.
        ignore: columns that are no fields, the time among them.
        time: the column with Unix seconds by which rows may be ordered.
        build: writes the three files into an empty folder, or raises DataError.
        revision: raised when `build` comes to write other rows, so that an old cache is not taken for the new one.
    """

    name: str
    description: str
    rows: int
    terms: str
    label: str
    categorical: tuple[str, ...]
    numeric: tuple[str, ...]
    ignore: tuple[str, ...]
    time: str
    build: Callable[[Path, Progress], None]
    revision: int = 1


def write_split(log: pl.DataFrame, folder: Path, *, seed: int) -> None:
    """Deal the rows 8:1:1 at random into train, valid and test; each keeps the order of the log."""
    part = np.random.default_rng(seed).permutation(log.height) * 10 // max(log.height, 1)
    files = DatasetFiles.under(folder)
    log.filter(part < 8).write_parquet(files.train)
    log.filter(part == 8).write_parquet(files.valid)
    log.filter(part == 9).write_parquet(files.test)
