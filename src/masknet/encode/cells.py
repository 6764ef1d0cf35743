"""What the cells of a column mean, by what the schema says of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from masknet.encode import values
from masknet.encode.bags import BagCells, bag_cells
from masknet.encode.moments import Moments, moments
from masknet.encode.values import Place
from masknet.encode.vectors import vectors
from masknet.schema import Bag, Categorical, Datetime, Dense, FieldSchema, Numeric

__all__ = ["Cells", "Reader", "reader"]

Cells: TypeAlias = pl.Series | NDArray[np.float64] | NDArray[np.float32] | BagCells | Moments
"""Canonical texts, numbers (NaN where missing), vectors, the values of bags, or moments."""

Reader: TypeAlias = Callable[[pl.Series, Place], Cells]


@dataclass(frozen=True)
class _FieldReader:
    field: Bag | Dense | Datetime

    def __call__(self, column: pl.Series, place: Place) -> Cells:
        field = self.field
        if isinstance(field, Bag):
            return bag_cells(column, field, place)
        if isinstance(field, Dense):
            return vectors(column, field.width, place)
        return moments(column, field.form, place, zoned=field.zoned, missing=field.missing)


@dataclass(frozen=True)
class _TextReader:
    """It reads each cell by itself, as a `PerCell` does; so does the reader of numbers."""

    field: Categorical

    def __call__(self, column: pl.Series, place: Place) -> pl.Series:
        return values.categorical_text(column, self.field.values, place)

    def take(self, found: pl.Series, cells: NDArray[np.integer]) -> pl.Series:
        return found[cells]


@dataclass(frozen=True)
class _NumberReader:
    field: Numeric

    def __call__(self, column: pl.Series, place: Place) -> NDArray[np.float64]:
        return values.numbers(column, place, missing=self.field.missing, decimal=self.field.decimal)

    def take(self, found: NDArray[np.float64], cells: NDArray[np.integer]) -> NDArray[np.float64]:
        return found.take(cells)


def reader(field: FieldSchema) -> Reader:
    """What reads the cells of a field: in training, in scoring, and wherever else a column of it is met.

    >>> reader(Categorical(name="user", values="integer"))(pl.Series("user", ["7.0", ""]), "row {}".format).to_list()
    ['7', None]

    It raises `BadCellsError` where cells are not what the field asks for, and `DataError` where the column is not.
    """
    if isinstance(field, Categorical):
        return _TextReader(field)
    return _NumberReader(field) if isinstance(field, Numeric) else _FieldReader(field)
