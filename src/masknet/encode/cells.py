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
from masknet.schema import Bag, Categorical, Dense, FieldSchema, Numeric

__all__ = ["Cells", "Reader", "reader"]

Cells: TypeAlias = pl.Series | NDArray[np.float64] | NDArray[np.float32] | BagCells | Moments
"""Canonical texts, numbers (NaN where missing), vectors, the values of bags, or moments."""

Reader: TypeAlias = Callable[[pl.Series, Place], Cells]


@dataclass(frozen=True)
class _FieldReader:
    field: FieldSchema

    def __call__(self, column: pl.Series, place: Place) -> Cells:
        field = self.field
        if isinstance(field, Categorical):
            return values.categorical_text(column, field.values, place)
        if isinstance(field, Numeric):
            return values.numbers(column, place, missing=field.missing, decimal=field.decimal)
        if isinstance(field, Bag):
            return bag_cells(column, field, place)
        if isinstance(field, Dense):
            return vectors(column, field.width, place)
        return moments(column, field.form, place, zoned=field.zoned, missing=field.missing)


def reader(field: FieldSchema) -> Reader:
    """What reads the cells of a field: in training, in scoring, and wherever else a column of it is met.

    >>> reader(Categorical(name="user", values="integer"))(pl.Series("user", ["7.0", ""]), "row {}".format).to_list()
    ['7', None]

    It raises `BadCellsError` where cells are not what the field asks for, and `DataError` where the column is not.
    """
    return _FieldReader(field)
