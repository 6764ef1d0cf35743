"""What a cell of several values means: the values of a bag, the numbers of a vector, the parts of a moment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from masknet.encode import values
from masknet.encode.values import Place, refuse
from masknet.errors import DataError
from masknet.schema import Bag, TimeForm

__all__ = ["BagCells", "Moments", "bag_cells", "bag_parts", "moments", "vector_parts", "vectors"]

_DAY = 86_400_000_000  # microseconds
_VECTOR_MARKS = r"[\[\]();,|\t]"
_ZONE = r"(?:Z|[+-][0-9]{2}(?::?[0-9]{2})?)$"
_FORMS = ("%Y-%m-%d", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M")
_UNITS = {"seconds": 1_000_000, "milliseconds": 1_000, "microseconds": 1}


# Bags


@dataclass(frozen=True)
class BagCells:
    """The values of all bags of a chunk, one after the other.

    Args:
        text: the canonical text of each value; none is missing.
        weights: of each value, or None where all are 1.
        row: the row of each value, rising.
    """

    text: pl.Series
    weights: NDArray[np.float64] | None
    row: NDArray[np.int64]


def bag_parts(column: pl.Series, separator: str | None) -> pl.Series:
    """Each cell as a list, whatever it is: a list, a text with a separator, or one value."""
    if column.dtype == pl.String:
        if separator is None:
            return column.to_frame("v").select(pl.concat_list("v").alias(column.name)).to_series()
        return column.str.split(separator)
    if isinstance(column.dtype, pl.Array):
        return column.cast(pl.List(column.dtype.inner))
    if isinstance(column.dtype, pl.List):
        return column
    return column.to_frame("v").select(pl.concat_list("v").alias(column.name)).to_series()


def bag_cells(column: pl.Series, field: Bag, place: Place) -> BagCells:
    """The values of each bag, in their order; missing and empty ones are passed over.

    Raises:
        DataError: the column holds no bags; a weighted value has no weight, or an infinite one; values of an integer
            field have lost digits.
    """
    parts = bag_parts(column, field.separator)
    inner = parts.dtype.inner  # type: ignore[attr-defined]
    row = np.repeat(np.arange(len(parts)), parts.list.len().fill_null(0).to_numpy())
    flat = parts.explode(empty_as_null=False, keep_nulls=False) if len(row) else pl.Series(column.name, [], inner)

    def where(i: int) -> str:
        return place(int(row[i]))

    weights: NDArray[np.float64] | None = None
    if isinstance(inner, pl.Struct):
        if len(inner.fields) != 2:
            raise DataError(
                f"a weighted bag holds pairs of a value and a weight; column '{column.name}' holds {column.dtype}: "
                f"convert the column, or leave it out with --ignore"
            )
        pairs = flat.struct.unnest()
        flat, given = pairs.to_series(0).alias(column.name), pairs.to_series(1).alias(column.name)
        if field.weighted:
            weights = values.numbers(given, where)
    elif field.weighted:
        flat, weights = _weighted_texts(flat, field, where)
    if values.is_nested(flat.dtype):
        raise DataError(
            f"the values of a bag are plain; column '{column.name}' holds {column.dtype}: name it in --ignore, or "
            f"flatten its lists"
        )
    if flat.dtype == pl.String:
        flat = flat.str.strip_chars()
    text = values.categorical_text(flat.alias(column.name), field.values, where)
    known = text.is_not_null()
    if weights is not None:
        given_weights = weights
        refuse(
            known.to_numpy() & ~np.isfinite(weights),
            where,
            lambda i, at: (
                f"a weighted bag gives each value a finite weight; column '{column.name}' gives "
                f"'{values.short(text[i])}' {'none' if np.isnan(given_weights[i]) else given_weights[i]} in {at}: mend "
                f"the cell, or declare the bag without weights"
            ),
        )
        weights = weights[known.to_numpy()]
    return BagCells(text.filter(known), weights, row[known.to_numpy()])


def _weighted_texts(flat: pl.Series, field: Bag, where: Place) -> tuple[pl.Series, NDArray[np.float64]]:
    """`value:weight`, parted at the last colon; an empty text stays empty."""
    if flat.dtype == pl.Null:  # what is missing in all rows of a chunk has no type
        return flat, flat.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    if flat.dtype != pl.String:
        raise DataError(
            f"a weighted bag is a text of value:weight, or a list of pairs; column '{field.name}' holds lists of "
            f"{flat.dtype}: leave the column out of --weighted"
        )
    v = pl.col("v").str.strip_chars()
    halves = flat.to_frame("v").select(
        value=v.str.replace(r":[^:]*$", ""),
        weight=pl.when(v.str.contains(":", literal=True)).then(v.str.extract(r":([^:]*)$")),
    )
    weight = halves["weight"].str.strip_chars().cast(pl.Float64, strict=False)
    return halves["value"], weight.fill_null(float("nan")).to_numpy()


# Vectors


def vector_parts(column: pl.Series) -> pl.Series:
    """The numbers in each text, as texts: `[0.1, 0.2]`, `0.1 0.2`, `0.1;0.2` alike; null where there is none."""
    text = column.str.replace_all(_VECTOR_MARKS, " ").str.strip_chars()
    text = text.set(text == "", None)
    return text.str.replace_all(r"\s+", " ").str.split(" ")


def vectors(column: pl.Series, width: int, place: Place) -> NDArray[np.float32]:
    """Each cell as `width` finite numbers, `[rows, width]`; a missing or empty one is all zero.

    Raises:
        DataError: the column holds no vectors, or one is of another width or not finite.
    """
    dtype = column.dtype
    inner = dtype.inner if isinstance(dtype, pl.List | pl.Array) else None
    if dtype == pl.String:
        lists = vector_parts(column).cast(pl.List(pl.Float64), strict=False)
    # What is missing in all rows of a chunk has no type.
    elif pl.Null in (dtype, inner) or (inner is not None and inner.is_numeric()):
        lists = column.cast(pl.List(pl.Float64))
    else:
        raise DataError(
            f"a dense column holds lists of numbers; column '{column.name}' holds {dtype}: leave it out of --dense"
        )
    lengths = lists.list.len().fill_null(0).to_numpy()
    known = lengths > 0
    refuse(
        known & (lengths != width),
        place,
        lambda i, at: (
            f"the vectors of a dense column have one width; those of column '{column.name}' have {width} numbers, that "
            f"in {at} has {lengths[i]}: mend the cell"
        ),
    )
    flat = lists.filter(pl.Series(known)).explode(empty_as_null=False, keep_nulls=False)
    found = np.zeros((len(column), width), dtype=np.float64)
    if len(flat):
        found[known] = flat.fill_null(float("nan")).to_numpy().reshape(-1, width)
    with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, and refused
        narrow = found.astype(np.float32)
    infinite: NDArray[np.bool_] = np.logical_not(np.isfinite(narrow).all(axis=1))
    refuse(
        infinite,
        place,
        lambda i, at: (
            f"the vectors of a dense column are made of finite numbers; column '{column.name}' holds "
            f"{values.short(column[i])} in {at}: mend the cell"
        ),
    )
    return narrow


# Moments


@dataclass(frozen=True)
class Moments:
    """The moments of a column.

    Args:
        wall: date and time as written, without a zone; null where missing.
        days: since 1970 in UTC, NaN where missing.
        zoned: whether they name their zone; None where all are missing.
    """

    wall: pl.Series
    days: NDArray[np.float64]
    zoned: bool | None


def moments(column: pl.Series, form: TimeForm, place: Place, *, zoned: bool | None = None) -> Moments:
    """Read each cell as a moment. A zone (`Z`, `+02:00`) sets the instant; hour and weekday are those written.

    Args:
        column: the cells.
        form: how they are written.
        place: where they stand.
        zoned: whether those of training name their zone, where that is known.

    Raises:
        DataError: a cell is no moment of this form, or some name their zone and some do not, training's included.
    """
    if form == "iso":
        return _iso(column, place, zoned)
    if column.dtype.is_temporal():
        raise DataError(
            f"a column's moments have one form; those of '{column.name}' were numbers ({form}) in training and are "
            f"{column.dtype} now: convert the column"
        )
    numbers = values.numbers(column, place)
    known = ~np.isnan(numbers)
    if form in _UNITS:
        micros = numbers * _UNITS[form]
        wrong = known & ~(np.abs(micros) < 2.0**62)
        _refuse_moments(wrong, column, form, place)
        whole = pl.Series(np.where(known, micros, 0).astype(np.int64)).cast(pl.Datetime("us"))
    else:
        whole_numbers = (numbers >= 0) & (numbers < 1e9) & (numbers == np.floor(numbers))
        text = pl.Series(np.where(whole_numbers, numbers, 0).astype(np.int64)).cast(pl.String).str.zfill(8)
        written = "%Y%m%d%H %M" if form == "yyyymmdd" else "%y%m%d%H %M"
        text += "00 00" if form == "yyyymmdd" else " 00"
        whole = text.str.to_datetime(written, strict=False, time_unit="us")
        _refuse_moments(known & whole.is_null().to_numpy(), column, form, place)
    wall = whole.set(pl.Series(~known), None).alias(column.name)
    return Moments(wall, _days(wall), zoned=None)


def _iso(column: pl.Series, place: Place, zoned: bool | None) -> Moments:
    dtype = column.dtype

    def refuse_zones(wrong: NDArray[np.bool_]) -> None:
        refuse(
            wrong & (zoned is not None),
            place,
            lambda i, at: (
                f"the moments of a column all name their zone, or none does; column '{column.name}' holds "
                f"'{values.short(column[i])}' in {at}, unlike those of training: write them alike"
            ),
        )

    if dtype == pl.Date:
        wall = column.cast(pl.Datetime("us"))
        refuse_zones(wall.is_not_null().to_numpy() & bool(zoned))
        return Moments(wall, _days(wall), zoned=False if wall.null_count() < len(wall) else None)
    if isinstance(dtype, pl.Datetime):
        wall = column.dt.replace_time_zone(None).dt.cast_time_unit("us")
        instant = column if dtype.time_zone is None else column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        named = dtype.time_zone is not None
        refuse_zones(wall.is_not_null().to_numpy() & (named != zoned))
        return Moments(wall, _days(instant.dt.cast_time_unit("us")), named if wall.null_count() < len(wall) else None)
    if dtype == pl.Null:
        wall = column.cast(pl.Datetime("us"))
        return Moments(wall, _days(wall), zoned=None)
    if dtype != pl.String:
        raise DataError(
            f"a datetime column holds moments; column '{column.name}' holds {dtype}: convert it, or leave it out of "
            f"--datetime"
        )
    text = column.str.strip_chars()
    text = text.set(text == "", None)
    has_time = text.str.contains(r"[T ]", literal=False)
    zone = text.str.extract(f"({_ZONE})").set(~has_time.fill_null(value=False), None)
    bare = text.to_frame("t").select(
        pl.when(pl.lit(has_time)).then(pl.col("t").str.replace(_ZONE, "")).otherwise(pl.col("t"))
    ).to_series()  # fmt: skip
    plain = bare.str.strip_chars().str.replace("T", " ", literal=True).to_frame("v")
    wall = plain.select(
        pl.coalesce(pl.col("v").str.to_datetime(form, strict=False, time_unit="us") for form in _FORMS)
    ).to_series()
    known = text.is_not_null().to_numpy()
    _refuse_moments(known & wall.is_null().to_numpy(), column, "iso", place)
    with_zone: NDArray[np.bool_] = zone.is_not_null().to_numpy()
    if with_zone[known].any() and not with_zone[known].all():
        rare: NDArray[np.bool_] = with_zone if with_zone[known].mean() < 0.5 else ~with_zone
        refuse(
            known & rare,
            place,
            lambda i, at: (
                f"the moments of a column all name their zone, or none does; column '{column.name}' holds "
                f"'{values.short(column[i])}' in {at}, unlike its neighbours: write them alike"
            ),
        )
    refuse_zones(known & (with_zone != zoned))
    # Z has no digits, and +02 no minutes: what is not there is 0.
    sign, hours, minutes = (
        zone.str.extract(r"^([+-]?)([0-9]{2})?:?([0-9]{2})?$|^Z$", group).fill_null("") for group in (1, 2, 3)
    )
    east = hours.cast(pl.Int64, strict=False).fill_null(0) * 60 + minutes.cast(pl.Int64, strict=False).fill_null(0)
    minutes_east = np.where((sign == "-").to_numpy(), -east.to_numpy(), east.to_numpy())
    found = bool(with_zone[known].any()) if known.any() else None
    return Moments(wall.alias(column.name), _days(wall) - minutes_east / (24 * 60), found)


def _days(instant: pl.Series) -> NDArray[np.float64]:
    return instant.to_physical().cast(pl.Float64).fill_null(float("nan")).to_numpy() / _DAY


def _refuse_moments(wrong: NDArray[np.bool_], column: pl.Series, form: TimeForm, place: Place) -> None:
    form_words = {
        "iso": "an ISO date or time (2026-01-31, 2026-01-31 12:00:00, 2026-01-31T12:00:00+01:00)",
        "yyyymmdd": "a date as 20260131",
        "yymmddhh": "a date and hour as 26013112",
    }
    refuse(
        wrong,
        place,
        lambda i, at: (
            f"a datetime column holds moments, here {form_words.get(form, f'{form} since 1970')}; column "
            f"'{column.name}' holds '{values.short(column[i])}' in {at}: mend the cell, or name the column in "
            f"--categorical or --ignore"
        ),
    )
