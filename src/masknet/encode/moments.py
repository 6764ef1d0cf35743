"""What a moment means, a date or a time, and what orders the rows of a table by time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from masknet.encode import values
from masknet.encode.number_texts import is_missing
from masknet.encode.values import Place, refuse
from masknet.errors import DataError
from masknet.schema import TimeForm

__all__ = ["Epoch", "Moments", "Times", "as_dates", "moments"]

_DAY = 86_400_000_000  # microseconds
_ZONE = r"(?:Z|[+-][0-9]{2}(?::?[0-9]{2})?)$"
_FORMS = ("%Y-%m-%d", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M")
_MICROSECONDS = {
    "seconds": (1_000_000, 1),
    "milliseconds": (1_000, 1),
    "microseconds": (1, 1),
    "nanoseconds": (1, 1000),
}
"""A unit as a fraction of whole numbers: a float would move some moments by a microsecond."""


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
        DataError: a cell is no moment of this form, or none of the years 1 to 9999; some name their zone and some do
            not, training's included.
    """
    found = _iso(column, place, zoned) if form == "iso" else _counted(column, form, place)
    # By its zone, an instant may lie in another year than its wall clock.
    instant_outside = (found.days < values.YEAR_1) | (found.days >= values.YEAR_10000)
    # Neither Python nor Polars can write all of these as dates: what is shown of a typed one is its number.
    _refuse_moments(instant_outside | values.outside_calendar(found.wall), column.to_physical(), form, place)
    return found


def _counted(column: pl.Series, form: TimeForm, place: Place) -> Moments:
    """Moments that are numbers: a count since 1970, or the digits of a date."""
    if column.dtype.is_temporal():
        raise DataError(
            f"a column's moments have one form; those of '{column.name}' were numbers ({form}) in training and are "
            f"{column.dtype} now: convert the column",
            column=column.name,
        )
    numbers = values.numbers(column, place)
    known = ~np.isnan(numbers)
    if form in _MICROSECONDS:
        times, parts = _MICROSECONDS[form]
        micros = numbers * times / parts
        _refuse_moments(known & ~(np.abs(micros) < 2.0**62), column, form, place)
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
    if isinstance(dtype, pl.Date | pl.Datetime):  # before they are cast, where what is far outside overflows
        _refuse_moments(values.outside_calendar(column), column.to_physical(), "iso", place)

    def refuse_zones(wrong: NDArray[np.bool_]) -> None:
        refuse(
            wrong & (zoned is not None),
            column,
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
            f"--datetime",
            column=column.name,
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
            column,
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
    words = {
        "iso": "an ISO date or time (2026-01-31, 2026-01-31 12:00:00, 2026-01-31T12:00:00+01:00)",
        "yyyymmdd": "a date as 20260131",
        "yymmddhh": "a date and hour as 26013112",
    }.get(form, f"{form} since 1970")
    refuse(
        wrong,
        column,
        place,
        lambda i, at: (
            f"a datetime column holds moments of the years 1 to 9999, here {words}; column '{column.name}' holds "
            f"'{values.short(column[i])}' in {at}: mend the cell, or name the column in --categorical or --ignore"
        ),
    )


class Epoch:
    """Tells how the moments of a column are written: as ISO texts, as dates in digits, or as a count since 1970."""

    def __init__(self) -> None:
        self._words = self._numbers = 0
        self._low, self._high = np.inf, -np.inf
        self._dates = True

    def add(self, column: pl.Series) -> None:
        """Look at the next cells, texts or numbers."""
        if column.dtype == pl.String:
            text = column.drop_nulls().str.strip_chars()
            column = text.filter(~is_missing(text))
            self._words += column.cast(pl.Float64, strict=False).null_count() - column.null_count()
        number = column.cast(pl.Float64, strict=False).drop_nulls().drop_nans()
        self._numbers += len(number)
        if len(number):
            self._low, self._high = min(self._low, float(number.min())), max(self._high, float(number.max()))  # type: ignore[arg-type]
            self._dates &= bool(((number // 100 % 100).is_between(1, 12) & (number % 100).is_between(1, 31)).all())

    @property
    def seen(self) -> bool:
        """Whether any cell was there."""
        return self._numbers + self._words > 0

    @property
    def form(self) -> TimeForm:
        """The form of most cells: the others are refused where they are read, which tells where they stand."""
        if self._numbers <= self._words:
            return "iso"
        if self._low >= 10_000_000 and self._high < 100_000_000:
            return "yyyymmdd" if self._dates and 19_000_000 <= self._low <= self._high < 22_000_000 else "yymmddhh"
        size = max(abs(self._low), abs(self._high))
        if size < 1e11:  # each bound is about the year 5000
            return "seconds"
        return "milliseconds" if size < 1e14 else "microseconds" if size < 1e17 else "nanoseconds"


class Times:
    """Reads a column of time, chunk by chunk, as something that orders the rows.

    Numbers stay as they are; dates, typed or as ISO texts, are microseconds since 1970. A column is of one kind, that
    of most cells of the first chunk that has some.

    >>> read = Times()
    >>> read(pl.Series("at", ["2026-01-02", "2026-01-01"]), "row {}".format).tolist()
    [1767312000000000.0, 1767225600000000.0]
    >>> read(pl.Series("at", ["20260103"]), "row {}".format)
    Traceback (most recent call last):
    masknet.encode.values.BadCellsError: the times of a column are all numbers or all dates; column 'at' holds \
    '20260103' in row 0, and other rows dates: write them alike
    """

    def __init__(self) -> None:
        self._dates: bool | None = None

    def __call__(self, column: pl.Series, place: Place) -> NDArray[np.float64]:
        """Read the next chunk.

        Raises:
            DataError: a cell is missing, is neither a number nor a date, or is not of the column's kind.
        """
        if not (column.dtype in (pl.String, pl.Date, pl.Datetime) or column.dtype.is_numeric()):
            raise DataError(
                f"a time is a number or a date; column '{column.name}' holds {column.dtype}: name another column",
                column=column.name,
            )
        if self._dates is None:
            dates, numbers = as_dates(column).count(), _as_numbers(column).count()
            self._dates = dates > numbers if dates or numbers else None
        read, read_other = (as_dates, _as_numbers) if self._dates else (_as_numbers, as_dates)
        kind, found = "dates" if self._dates else "numbers", read(column)
        absent: NDArray[np.bool_] = found.is_null().to_numpy()

        def sentence(i: int, at: str) -> str:
            cell = values.short(column[i])
            if read_other(column[i : i + 1]).count():
                return (
                    f"the times of a column are all numbers or all dates; column '{column.name}' holds '{cell}' in "
                    f"{at}, and other rows {kind}: write them alike"
                )
            return (
                f"a time is a number or an ISO date (2026-01-31, 2026-01-31 12:00:00); column '{column.name}' holds "
                f"'{cell}' in {at}"
            )

        refuse(absent, column, place, sentence)
        return found.to_numpy().astype(np.float64, copy=False)


def _as_numbers(column: pl.Series) -> pl.Series:
    """The cells that are numbers, the others null."""
    if column.dtype in (pl.Date, pl.Datetime):
        return pl.Series(column.name, [None], dtype=pl.Float64).new_from_index(0, len(column))
    text = column.str.strip_chars() if column.dtype == pl.String else column
    return text.cast(pl.Float64, strict=False).fill_nan(None)


def as_dates(column: pl.Series) -> pl.Series:
    """The microseconds since 1970 of the cells that are dates, the others null."""
    if column.dtype == pl.String:
        plain = column.str.strip_chars().str.replace("T", " ", literal=True).str.replace(r"(Z|[+-]00:?00)$", "")
        read = [pl.col("v").str.to_datetime(form, strict=False, time_unit="us") for form in _FORMS]
        moment = plain.to_frame("v").select(pl.coalesce(read)).to_series()
    elif isinstance(column.dtype, pl.Datetime):
        moment = column.dt.cast_time_unit("us")
    else:
        moment = column.cast(pl.Datetime("us")) if column.dtype == pl.Date else column.clear(len(column))
    return moment.to_physical().cast(pl.Float64)
