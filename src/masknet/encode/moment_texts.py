"""How moments are written, as texts, numbers or typed, and what stands in each cell; nothing is refused here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from masknet.encode.number_texts import is_missing, parse, without
from masknet.errors import ConfigError
from masknet.schema import TimeForm
from masknet.table import null_mask

__all__ = [
    "DAY",
    "UNITS",
    "CellMoments",
    "check_format",
    "has_zone_within",
    "in_words",
    "is_outside",
    "iso_moments",
    "moments_by_format",
    "read_cells",
    "without_zone",
]

DAY = 86_400_000_000  # microseconds
_DAYS_OF = {"ms": 86_400_000, "us": DAY, "ns": 1000 * DAY}
_YEAR_1, _YEAR_10000 = -719_162, 2_932_897  # days from 1970 to the first of January
_SOME = datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC)

_OFFSET = "(?i:Z|UTC|GMT)|[+-][0-9]{2}(?::?[0-9]{2})?"
# A zone stands behind a time: -18 is one in 12:00-18, and none in 31-07-18.
_ZONE = rf"([:T][0-9]{{2,6}}(?:[.,][0-9]+)?(?:\s*[AaPp][Mm])?)\s*({_OFFSET})$"
_ZONE_WITHIN = rf"(\s|:[0-9]{{2}})({_OFFSET})\s"
_ISO = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y%m%d %H%M%S", "%Y%m%d %H%M")
_DIGITS = {"yyyymmdd": "%Y%m%d", "yymmddhh": "%y%m%d%H"}
"""The names of formats that older models know."""

UNITS = {
    "seconds": (1_000_000, 1),
    "milliseconds": (1_000, 1),
    "microseconds": (1, 1),
    "nanoseconds": (1, 1000),
}
"""A unit as a fraction of whole numbers: a float would move some moments by a microsecond."""

_T = TypeVar("_T", pl.Series, pl.Expr)


@dataclass(frozen=True)
class CellMoments:
    """What stands in the cells of a column, before anything is refused.

    Args:
        wall: as of `Moments`, null where there is no moment.
        instants: as of `Moments`.
        wrong: marks the cells that are neither a moment nor missing.
        named: marks those that name a zone.
        may_name_zones: whether such cells can.
    """

    wall: pl.Series
    instants: NDArray[np.float64]
    wrong: NDArray[np.bool_]
    named: NDArray[np.bool_]
    may_name_zones: bool = True


def read_cells(column: pl.Series, form: TimeForm, missing: Sequence[str] = ()) -> CellMoments:
    """What stands in each cell: a moment of the form or typed, nothing, or something else.

    >>> read_cells(pl.Series(["1.2.2026 0:00 UTC", "-", "soon"]), "%d.%m.%Y %H:%M").wrong.tolist()
    [False, False, True]

    Args:
        column: texts, numbers, or typed moments.
        form: how they are written, where they are not typed.
        missing: texts that are a missing moment, beside those that are a missing number.
    """
    found = _read(column, form, missing)
    # By its zone, an instant may lie in another year than its wall clock.
    days = found.instants / DAY
    return replace(found, wrong=found.wrong | (days < _YEAR_1) | (days >= _YEAR_10000))


def _read(column: pl.Series, form: TimeForm, missing: Sequence[str]) -> CellMoments:
    dtype = column.dtype
    if isinstance(dtype, pl.Date | pl.Datetime):
        return _typed(column) if form not in UNITS and form not in _DIGITS else _none(column)
    if dtype == pl.Null:
        return _none(column)
    if form in UNITS:
        return _counted(column, form, missing)
    if dtype == pl.String:
        return _written(column, form, missing)
    if form == "iso":
        return _none(column.cast(pl.Float64).fill_nan(None).alias(column.name))
    numbers = without(column.cast(pl.Float64, strict=False).fill_nan(None), missing)
    width = len(f"{_SOME:{_DIGITS.get(form, form)}}")
    wall = _by_format(_whole_texts(numbers).str.zfill(width), form)  # a number does not show the zeros before it
    return _of(wall.alias(column.name), wrong=null_mask(wall) & ~null_mask(numbers))


def _none(column: pl.Series) -> CellMoments:
    """Cells of a type that holds no moments of the form: wrong where they are not missing."""
    wall = pl.Series(column.name, [None], dtype=pl.Datetime("us")).new_from_index(0, len(column))
    return _of(wall, wrong=column.is_not_null().to_numpy())


def _of(wall: pl.Series, *, wrong: NDArray[np.bool_]) -> CellMoments:
    """Moments that are numbers, which name no zone."""
    named = np.zeros(len(wall), dtype=np.bool_)
    return CellMoments(wall, _microseconds(wall), wrong, named, may_name_zones=False)


def _typed(column: pl.Series) -> CellMoments:
    zone = _zone_of(column)
    wrong = is_outside(column)
    known = column.set(pl.Series(wrong), None)  # before they are cast, where what is far outside overflows
    if column.dtype == pl.Date:
        wall = instant = known.cast(pl.Datetime("us"))
    else:
        wall = known.dt.replace_time_zone(None).dt.cast_time_unit("us")
        instant = known if zone is None else known.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        instant = instant.dt.cast_time_unit("us")
    named = np.full(len(column), zone is not None)
    return CellMoments(wall, _microseconds(instant), wrong | is_outside(wall), named)


def _zone_of(column: pl.Series) -> str | None:
    return column.dtype.time_zone if isinstance(column.dtype, pl.Datetime) else None


def _counted(column: pl.Series, form: TimeForm, missing: Sequence[str]) -> CellMoments:
    """Moments that are a count since 1970."""
    if column.dtype == pl.String:
        parsed = parse(column, missing=missing)
        numbers, wrong = parsed.numbers, parsed.wrong.to_numpy()
    else:
        numbers = without(column.cast(pl.Float64).fill_nan(None), missing)
        wrong = np.zeros(len(column), dtype=np.bool_)
    known: NDArray[np.bool_] = numbers.is_not_null().to_numpy()
    times, parts = UNITS[form]
    with np.errstate(over="ignore"):  # then it is wrong
        micros = numbers.fill_null(0.0).to_numpy() * times / parts
    wrong = wrong | (known & ~(np.abs(micros) < 2.0**62))
    wall = pl.Series(np.where(wrong, 0, micros).astype(np.int64)).cast(pl.Datetime("us"))
    wall = wall.set(pl.Series(~known | wrong), None).alias(column.name)
    return _of(wall, wrong=wrong | is_outside(wall))


def _written(column: pl.Series, form: TimeForm, missing: Sequence[str] = ()) -> CellMoments:
    """Moments that are texts: ISO forms, or a format."""
    text = column.str.strip_chars()
    bare, east = (text, None) if form in _DIGITS else without_zone(text, form)
    if form == "iso":
        wall = iso_moments(bare)
    elif form in _DIGITS:
        whole = bare.str.replace(r"\.0*$", "")
        wall = _by_format(whole.set(~whole.str.contains("^[0-9]+$"), None).str.zfill(8), form)
    else:
        wall = _by_format(bare, form)
    outside = is_outside(wall)
    wall = (wall.set(pl.Series(outside), None) if outside.any() else wall).alias(column.name)
    wrong = null_mask(wall) & ~null_mask(text)
    if wrong.any():
        odd = np.flatnonzero(wrong)
        wrong[odd] = ~is_missing(text.gather(odd), missing).to_numpy()
    if form in _DIGITS:
        return _of(wall, wrong=wrong)
    instants = _microseconds(wall)
    if east is None:
        return CellMoments(wall, instants, wrong, np.zeros(len(wall), dtype=np.bool_))
    minutes = east.fill_null(0).to_numpy()
    return CellMoments(wall, instants - 60e6 * minutes, wrong, east.is_not_null().to_numpy())


def _by_format(text: pl.Series, form: TimeForm) -> pl.Series:
    wall = moments_by_format(text, _DIGITS.get(form, form))
    # Polars reads 16 for %Y too, as a year long ago.
    return wall.set((wall.dt.year() < 1000).fill_null(value=False), None)


def without_zone(text: pl.Series, form: TimeForm) -> tuple[pl.Series, pl.Series | None]:
    """The texts without their zones, and how many minutes each zone lies east; None where no text names one."""
    pattern = _ZONE_WITHIN if has_zone_within(form) else _ZONE
    named = text.str.contains(pattern)
    if not named.any():
        return text, None
    zone = text.str.extract(pattern, 2)
    bare = text.str.replace(pattern, "$1 ").str.strip_chars()
    # Z has no digits, and +02 no minutes: what is not there is 0.
    sign, hours, minutes = (zone.str.extract(r"^([+-])([0-9]{2}):?([0-9]{2})?$", group) for group in (1, 2, 3))
    east = hours.cast(pl.Int64).fill_null(0) * 60 + minutes.cast(pl.Int64).fill_null(0)
    return bare, east.zip_with((sign == "+").fill_null(value=True), -east).set(zone.is_null(), None)


def has_zone_within(form: TimeForm) -> bool:
    """Whether a format has the zone before something else."""
    return re.search(r"%[zZ](?!\s*$)", form) is not None


def iso_moments(text: pl.Series) -> pl.Series:
    """Each text as a date, or a date and a time, null where it is neither."""
    wall = pl.Series(text.name, [None], dtype=pl.Datetime("us")).new_from_index(0, len(text))
    left = text.str.contains("^[0-9]{4}").fill_null(value=False).arg_true()
    plain = text.gather(left).str.replace(r"([0-9])T([0-9])", "$1 $2").str.replace(",", ".", literal=True)
    for form in _ISO:  # NOTE[perf]: most columns are of one form, and another is tried where cells are left
        if not len(left):
            break
        found = plain.str.to_datetime(form, strict=False, time_unit="us")
        wall = found if len(left) == len(wall) else wall.scatter(left, found)
        plain, left = plain.filter(found.is_null()), left.filter(found.is_null())
    return wall


def moments_by_format(text: _T, format: str) -> _T:  # noqa: A002 -- strptime's own word
    """Each text as strptime's notation says, null where it is not so written; English names, whatever the locale."""
    rust = re.sub(r"\s*%[zZ]", "", format.replace(".%f", "%.f"))  # zones are taken off the texts
    if re.search("%[HI]", rust) and "%M" not in rust:  # Polars reads no hour alone
        rust, text = f"{rust} %M", text + pl.lit(" 00") if isinstance(text, pl.Expr) else text + " 00"
    return text.str.to_datetime(rust, strict=False, time_unit="us")


def check_format(format: str) -> None:  # noqa: A002
    """Refuse what is no format of a moment.

    >>> check_format("%H:%M")
    Traceback (most recent call last):
    masknet.errors.ConfigError: a format of moments names the year, in strptime's notation, as %m/%d/%Y %H:%M:%S.%f \
does; '%H:%M' does not

    Raises:
        ConfigError: a moment that is written so is not read again.
    """
    found = None
    if not re.search(r"(?<!\.)%f", format):  # without its point Polars would read another fraction
        try:
            text = pl.Series([_SOME]).dt.strftime(format.replace(".%f", "%.f"))
            found = read_cells(text, format).wall[0]
        except pl.exceptions.PolarsError:
            found = None
    if found is None or found.year != _SOME.year:
        raise ConfigError(
            f"a format of moments names the year, in strptime's notation, as %m/%d/%Y %H:%M:%S.%f does; '{format}' "
            f"does not"
        )


def _whole_texts(numbers: pl.Series) -> pl.Series:
    """Numbers that are whole, as digits; the others null."""
    whole = numbers.is_finite() & (numbers == numbers.floor()) & numbers.is_between(0, 1e15)
    return numbers.set(~whole, None).cast(pl.Int64).cast(pl.String)


def _microseconds(instant: pl.Series) -> NDArray[np.float64]:
    return instant.to_physical().cast(pl.Float64).fill_null(float("nan")).to_numpy()


def is_outside(moment: pl.Series) -> NDArray[np.bool_]:
    """The moments before the year 1 or after the year 9999, which Python's dates, and many tools, cannot hold."""
    day = moment.to_physical()
    if isinstance(moment.dtype, pl.Datetime):
        day //= _DAYS_OF[moment.dtype.time_unit]
    return ((day < _YEAR_1) | (day >= _YEAR_10000)).fill_null(value=False).to_numpy()


def in_words(form: TimeForm) -> str:
    """What moments of this form look like."""
    return {
        "iso": "an ISO date or time (2026-01-31, 2026-01-31 12:00:00, 2026-01-31T12:00:00+01:00)",
        "yyyymmdd": "a date as 20260131",
        "yymmddhh": "a date and hour as 26013112",
    }.get(form, f"as {form}" if "%" in form else f"{form} since 1970")
