"""What a moment means, a date or a time, however it is written: in a field, in the column of time, in a setting."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from masknet.encode import values
from masknet.encode.bags import sample_of
from masknet.encode.number_texts import is_missing, parse, without
from masknet.encode.values import Place, refuse
from masknet.errors import ConfigError, DataError
from masknet.schema import TimeForm

__all__ = [
    "UNITS",
    "DateTexts",
    "Dated",
    "Epoch",
    "MomentReader",
    "Moments",
    "Times",
    "as_dates",
    "bound",
    "check_format",
    "form_of",
    "moments",
]

_DAY = 86_400_000_000  # microseconds
_DAYS_OF = {"ms": 86_400_000, "us": _DAY, "ns": 1000 * _DAY}
_YEAR_1, _YEAR_10000 = -719_162, 2_932_897  # days from 1970 to the first of January
_YEARS = (1990, 2050)
"""Numbers that are all moments of these years, and whose column's name says time, are likely to be moments."""

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

Part = Literal["datetime", "time"]
_RULES: dict[Part, str] = {"datetime": "a datetime column holds moments", "time": "a column of time holds moments"}

_T = TypeVar("_T", pl.Series, pl.Expr)


@dataclass(frozen=True)
class Moments:
    """The moments of a column.

    Args:
        wall: date and time as written, without a zone; null where missing.
        instants: microseconds since 1970 in UTC, NaN where missing.
        zoned: whether they name their zone; None where all are missing, or that is not theirs to say.
    """

    wall: pl.Series
    instants: NDArray[np.float64]
    zoned: bool | None

    @property
    def days(self) -> NDArray[np.float64]:
        """Since 1970 in UTC, NaN where missing."""
        return self.instants / _DAY


def moments(
    column: pl.Series,
    form: TimeForm,
    place: Place,
    *,
    zoned: bool | None = None,
    missing: Sequence[str] = (),
    part: Part = "datetime",
) -> Moments:
    """Read each cell as a moment. A zone (`Z`, `+02:00`) sets the instant; hour and weekday are those written.

    >>> moments(pl.Series("at", ["1/31/2026 1:00 +01:00", "NA"]), "%m/%d/%Y %H:%M", "row {}".format).days.tolist()
    [20484.0, nan]

    Args:
        column: the cells: texts, numbers, or typed moments.
        form: how they are written, where they are not typed.
        place: where they stand.
        zoned: whether those of training name their zone, where that is known.
        missing: texts that are a missing moment, beside those that are a missing number.
        part: what the column is declared to be.

    Raises:
        DataError: a cell is no moment of this form, or none of the years 1 to 9999; some name their zone and some do
            not, training's included.
    """
    dtype = column.dtype
    if not (dtype in (pl.String, pl.Date, pl.Datetime, pl.Null) or dtype.is_numeric()):
        raise DataError(
            f"{_RULES[part]}; column '{column.name}' holds {dtype}: convert it, or leave it out of --{part}",
            column=column.name,
        )
    read = _read(column, form, missing)
    # By its zone, an instant may lie in another year than its wall clock.
    days = read.instants / _DAY
    _refuse_moments(read.wrong | (days < _YEAR_1) | (days >= _YEAR_10000), column, form, place, part)
    if not read.may_name_zones:
        return Moments(read.wall, read.instants, zoned=None)
    known: NDArray[np.bool_] = read.wall.is_not_null().to_numpy()
    if read.named[known].any() and not read.named[known].all():
        rare: NDArray[np.bool_] = read.named if read.named[known].mean() < 0.5 else ~read.named
        _refuse_zones(known & rare, column, place, "its neighbours")
    _refuse_zones(known & (read.named != zoned) & (zoned is not None), column, place, "those of training")
    return Moments(read.wall, read.instants, bool(read.named[known].any()) if known.any() else None)


@dataclass(frozen=True)
class _Read:
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


def _read(column: pl.Series, form: TimeForm, missing: Sequence[str] = ()) -> _Read:
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
    texts = _whole_texts(numbers)
    if "%" in form:
        texts = texts.str.zfill(len(f"{_SOME:{form}}"))  # a number does not show the zeros before it
    found = _written(texts, form)
    return _of(found.wall.alias(column.name), wrong=(texts.is_null() & numbers.is_not_null()).to_numpy() | found.wrong)


def _none(column: pl.Series) -> _Read:
    """Cells of a type that holds no moments of the form: wrong where they are not missing."""
    wall = pl.Series(column.name, [None], dtype=pl.Datetime("us")).new_from_index(0, len(column))
    return _of(wall, wrong=column.is_not_null().to_numpy())


def _of(wall: pl.Series, *, wrong: NDArray[np.bool_]) -> _Read:
    """Moments that are numbers, which name no zone."""
    named = np.zeros(len(wall), dtype=np.bool_)
    return _Read(wall, _microseconds(wall), wrong, named, may_name_zones=False)


def _typed(column: pl.Series) -> _Read:
    zone = _zone_of(column)
    wrong = _outside(column)
    known = column.set(pl.Series(wrong), None)  # before they are cast, where what is far outside overflows
    if column.dtype == pl.Date:
        wall = instant = known.cast(pl.Datetime("us"))
    else:
        wall = known.dt.replace_time_zone(None).dt.cast_time_unit("us")
        instant = known if zone is None else known.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        instant = instant.dt.cast_time_unit("us")
    named = np.full(len(column), zone is not None)
    return _Read(wall, _microseconds(instant), wrong | _outside(wall), named)


def _zone_of(column: pl.Series) -> str | None:
    return column.dtype.time_zone if isinstance(column.dtype, pl.Datetime) else None


def _counted(column: pl.Series, form: TimeForm, missing: Sequence[str]) -> _Read:
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
    return _of(wall, wrong=wrong | _outside(wall))


def _written(column: pl.Series, form: TimeForm, missing: Sequence[str] = ()) -> _Read:
    """Moments that are texts: ISO forms, or a format."""
    text = column.str.strip_chars()
    bare, east = _without_zone(text, form)
    if form == "iso":
        wall = _iso(bare)
    elif form in _DIGITS:
        whole = bare.str.replace(r"\.0*$", "")
        wall = _by_format(whole.set(~whole.str.contains(r"^[0-9]+$"), None).str.zfill(8), _DIGITS[form])
    else:
        wall = _by_format(bare, form)
        # Polars reads 16 for %Y too, as a year long ago.
        wall = wall.set((wall.dt.year() < 1000).fill_null(value=False), None)
    absent = text.is_null().to_numpy()
    odd = (wall.is_null() & text.is_not_null()).arg_true()
    if len(odd):
        absent = absent.copy()
        absent[odd] = is_missing(text.gather(odd), missing).to_numpy()
    outside = _outside(wall)
    wall = wall.set(pl.Series(outside), None).alias(column.name)
    wrong: NDArray[np.bool_] = wall.is_null().to_numpy() & ~absent
    if form in _DIGITS:
        return _of(wall, wrong=wrong)
    instants = _microseconds(wall)
    if east is None:
        return _Read(wall, instants, wrong, np.zeros(len(wall), dtype=np.bool_))
    minutes = east.fill_null(0).to_numpy()
    return _Read(wall, instants - 60e6 * minutes, wrong, east.is_not_null().to_numpy())


def _without_zone(text: pl.Series, form: TimeForm) -> tuple[pl.Series, pl.Series | None]:
    """The texts without their zones, and how many minutes each zone lies east; None where no text names one."""
    pattern = _ZONE_WITHIN if _has_zone_within(form) else _ZONE
    named = text.str.contains(pattern)
    if not named.any():
        return text, None
    zone = text.str.extract(pattern, 2)
    bare = text.str.replace(pattern, "$1 ").str.strip_chars()
    # Z has no digits, and +02 no minutes: what is not there is 0.
    sign, hours, minutes = (zone.str.extract(r"^([+-])([0-9]{2}):?([0-9]{2})?$", group) for group in (1, 2, 3))
    east = hours.cast(pl.Int64).fill_null(0) * 60 + minutes.cast(pl.Int64).fill_null(0)
    return bare, east.zip_with((sign == "+").fill_null(value=True), -east).set(zone.is_null(), None)


def _has_zone_within(form: TimeForm) -> bool:
    return re.search(r"%[zZ](?!\s*$)", form) is not None


def _iso(text: pl.Series) -> pl.Series:
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


def _by_format(text: _T, format: str) -> _T:  # noqa: A002 -- strptime's own word
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
            found = _read(text, format).wall[0]
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


def _outside(moment: pl.Series) -> NDArray[np.bool_]:
    """The moments before the year 1 or after the year 9999, which Python's dates, and many tools, cannot hold."""
    day = moment.to_physical()
    if isinstance(moment.dtype, pl.Datetime):
        day //= _DAYS_OF[moment.dtype.time_unit]
    return ((day < _YEAR_1) | (day >= _YEAR_10000)).fill_null(value=False).to_numpy()


def _words(form: TimeForm) -> str:
    return {
        "iso": "an ISO date or time (2026-01-31, 2026-01-31 12:00:00, 2026-01-31T12:00:00+01:00)",
        "yyyymmdd": "a date as 20260131",
        "yymmddhh": "a date and hour as 26013112",
    }.get(form, f"as {form}" if "%" in form else f"{form} since 1970")


def _refuse_moments(wrong: NDArray[np.bool_], column: pl.Series, form: TimeForm, place: Place, part: Part) -> None:
    way_out = "name another column in --time" if part == "time" else "name the column in --categorical or --ignore"
    # Neither Python nor Polars can write all of these as dates: what is shown of such a one is its number.
    if isinstance(column.dtype, pl.Date | pl.Datetime) and (_zone_of(column) or _outside(column).any()):
        column = column.to_physical()

    cell = column[int(wrong.argmax())] if wrong.any() and part == "datetime" else None
    other = likely_format(cell) if isinstance(cell, str) else None  # once, though many rows may be told of
    reads = "" if other in (None, form) else f", say --datetime '{column.name}={other}'"

    def sentence(i: int, at: str) -> str:
        return (
            f"{_RULES[part]} of the years 1 to 9999, here {_words(form)}; column '{column.name}' holds "
            f"'{values.short(column[i])}' in {at}: mend the cell{reads}, or {way_out}"
        )

    refuse(wrong, column, place, sentence)


def _refuse_zones(wrong: NDArray[np.bool_], column: pl.Series, place: Place, others: str) -> None:
    refuse(
        wrong,
        column,
        place,
        lambda i, at: (
            f"the moments of a column all name their zone, or none does; column '{column.name}' holds "
            f"'{values.short(column[i])}' in {at}, unlike {others}: write them alike"
        ),
    )


class Epoch:
    """Tells how the moments of a column are written: as ISO texts, as digits of a date, or as a count since 1970.

    >>> epoch = Epoch()
    >>> epoch.add(pl.Series([1_769_817_600_000, 0]))
    >>> epoch.form
    'milliseconds'

    Args:
        missing: texts that are a missing moment, beside those that are a missing number.
    """

    def __init__(self, missing: Sequence[str] = ()) -> None:
        self._missing = missing
        self._words = self._numbers = self._large = 0
        self._votes: Counter[TimeForm] = Counter()
        self._recent: Counter[TimeForm] = Counter()

    def add(self, column: pl.Series) -> None:
        """Look at some of the next cells."""
        column = sample_of(column.drop_nulls())
        if column.dtype == pl.String:
            parsed = parse(column, missing=self._missing)
            self._words += int(parsed.wrong.sum())
            number = parsed.numbers.drop_nulls()
        elif column.dtype.is_numeric():
            number = without(column.cast(pl.Float64).drop_nans(), self._missing).drop_nulls()
        else:
            self._words += len(column)
            return
        self._numbers += len(number)
        if not len(number):
            return
        size = number.abs()
        self._large += int((size >= _LARGE).sum())
        units: Iterable[tuple[TimeForm, float, float]] = (  # each bound is about the year 5000, the first in 1973
            ("seconds", 1e8, 1e11),
            ("milliseconds", 1e11, 1e14),
            ("microseconds", 1e14, 1e17),
            ("nanoseconds", 1e17, np.inf),
        )
        for form, low, high in units:
            self._votes[form] += int(size.is_between(low, high, closed="left").sum())
            self._recent[form] += _recent(_counted(number, form, ()).wall)
        for form, low, high in _DIGIT_FORMS:
            some = number.filter(number.is_between(low, high))
            if len(some):
                wall = _read(some, form).wall
                self._votes[form] += len(wall) - wall.null_count()
                self._recent[form] += _recent(wall)

    @property
    def tells(self) -> bool:
        """Whether a cell was there that tells: a small number may be of any unit."""
        return self._words + self._large > 0

    @property
    def form(self) -> TimeForm:
        """The form of most cells: the others are refused where they are read, which tells where they stand."""
        if self._numbers <= self._words:
            return "iso"
        digits = next((form for form, *_ in _DIGIT_FORMS if 2 * self._votes[form] >= max(1, self._large)), None)
        return digits or max(UNITS, key=lambda unit: self._votes[unit])

    @property
    def likely(self) -> TimeForm | None:
        """The form by which all numbers are moments of our years; None where there is none."""
        forms = (*(form for form, *_ in _DIGIT_FORMS), *UNITS)
        all_recent = (form for form in forms if self._numbers and self._recent[form] == self._numbers)
        return None if self._words else next(all_recent, None)


_LARGE = 1e7

_DIGIT_FORMS: tuple[tuple[TimeForm, float, float], ...] = (
    ("yyyymmdd", 19_000_000, 21_999_999),
    ("yymmddhh", _LARGE, 99_999_999),
    ("%Y%m%d%H", 1.9e9, 2.2e9),
    ("%Y%m%d%H%M", 1.9e11, 2.2e11),
    ("%Y%m%d%H%M%S", 1.9e13, 2.2e13),
)
"""Dates and times in digits, and the numbers between which they lie."""


def _recent(wall: pl.Series) -> int:
    """How many moments are of our years."""
    return int(wall.dt.year().is_between(*_YEARS).sum())


def form_of(columns: Iterable[pl.Series], missing: Sequence[str] = ()) -> TimeForm:
    """The form of most cells of the first of these that tells it.

    >>> form_of([pl.Series([0, 0]), pl.Series([20260131])])
    'yyyymmdd'
    """
    epoch = Epoch(missing)
    for column in columns:
        epoch.add(column)
        if epoch.tells:
            break
    return epoch.form


class MomentReader:
    """Reads a column of moments chunk by chunk: all of one form, all with their zone or none.

    >>> read = MomentReader("seconds")
    >>> read(pl.Series("at", [1_769_817_600]), "row {}".format).wall.to_list()
    [datetime.datetime(2026, 1, 31, 0, 0)]

    Args:
        form: how they are written; None lets the first chunk say it that tells.
        missing: see `moments`.
    """

    part: Part = "datetime"

    def __init__(self, form: TimeForm | None = None, *, missing: Sequence[str] = ()) -> None:
        self._form = form
        self._missing = missing
        self._epoch = Epoch(missing)
        self.zoned: bool | None = None
        """Whether the moments so far name their zone; None where none was there."""

    def __call__(self, column: pl.Series, place: Place) -> Moments:
        """Read the next chunk.

        Raises:
            DataError: as in `moments`.
        """
        if self._form is None:
            self._epoch.add(column)
            self._form = self._epoch.form if self._epoch.tells else None
        form = self._form or self._epoch.form
        found = moments(column, form, place, zoned=self.zoned, missing=self._missing, part=self.part)
        self.zoned = found.zoned if self.zoned is None else self.zoned
        return found


class Times(MomentReader):
    """Reads a column of time, whose instants order the rows: as a `MomentReader`, but none may be missing.

    >>> Times()(pl.Series("at", ["2026-01-02", "2026-01-01"]), "row {}".format).instants.tolist()
    [1767312000000000.0, 1767225600000000.0]
    """

    part = "time"

    def __call__(self, column: pl.Series, place: Place) -> Moments:
        """Read the next chunk.

        Raises:
            DataError: a cell is missing, or as in `moments`.
        """
        found = super().__call__(column, place)
        refuse(
            np.isnan(found.instants),
            column,
            place,
            lambda i, at: (
                f"a time is known of every row; column '{column.name}' holds '{values.short(column[i])}' in {at}: "
                f"leave such rows out, or name another column in --time"
            ),
        )
        return found


def bound(text: str, form: TimeForm) -> float:
    """The microseconds since 1970 of a moment in a setting: written as a column's are, or in another form by itself.

    >>> bound("2026-01-31", "seconds") == bound("1769817600", "seconds") == bound("20260131", "iso")
    True

    Raises:
        DataError: it is no moment.
    """
    cell = pl.Series("valid_after", [text])
    for one in (form, "iso", form_of([cell])):
        read = _read(cell, one)
        if not (read.wrong[0] or np.isnan(read.instants[0])):
            return float(read.instants[0])
    raise DataError(
        f"--valid-after is a moment, {' or '.join(dict.fromkeys((_words(form), _words('iso'))))}; got '{text}'"
    )


def as_dates(text: pl.Series) -> pl.Series:
    """The microseconds since 1970 of the texts that are ISO dates or times, the others null."""
    bare, east = _without_zone(text.str.strip_chars(), "iso")
    wall = _iso(bare).to_physical().cast(pl.Float64)
    return wall if east is None else wall - 60e6 * east.fill_null(0)


# Dates in other forms


_DATES = (
    "%m/%d/%Y", "%d/%m/%Y", "%d.%m.%Y", "%m.%d.%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%Y.%m.%d",
    "%m/%d/%y", "%d/%m/%y", "%d.%m.%y", "%d-%b-%y", "%d-%b-%Y", "%d/%b/%Y", "%d %b %Y", "%d %B %Y", "%d%b%Y",
    "%b %d, %Y", "%B %d, %Y", "%b %d %Y", "%B %d %Y", "%Y-%b-%d", "%a, %d %b %Y", "%a %b %d %Y",
)  # fmt: skip
_CLOCKS = (
    "", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p", "T%H:%M:%S", "T%H:%M:%S.%f", ":%H:%M:%S",
    ", %H:%M", ", %I:%M %p",
)  # fmt: skip
_FORMATS = (
    *(day + clock for clock in _CLOCKS for day in _DATES),
    "%a %b %d %H:%M:%S %Y",
    "%a %b %d %H:%M:%S %z %Y",
)
_MONTH = "(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)"
_LIKE_A_DATE = rf"[0-9]{{1,4}}[-/.][0-9]{{1,2}}[-/.][0-9]{{1,4}}|[0-9].*{_MONTH}|{_MONTH}.*[0-9]"
_SHORT_YEAR = {"%d.%m.%y": r"^[0-9]{2}[.][0-9]{2}[.][0-9]{2}\b"}
"""10.4.11 is a version."""

_MOST = 0.8
"""Of the texts of a column so many in one form make it look like one of moments."""

_FEW, _ENOUGH = 20, 10_000


@dataclass(frozen=True)
class Dated:
    """The form that most texts of a column are dates in.

    Args:
        form: "iso", or a format.
        either: the format with day and month the other way round, where it reads as many.
        share: of the texts, missing ones aside, those that it reads.
        other: the commonest text that it does not read; None where it reads all.
    """

    form: TimeForm
    either: str | None
    share: float
    other: str | None


class DateTexts:
    """Looks for the form of the dates in texts, of which a sample is enough.

    >>> texts = DateTexts()
    >>> texts.add(pl.Series(["6/9/2016 21:43", "6/10/2016 7:05"]))
    >>> texts.found.form, texts.found.either
    ('%m/%d/%Y %H:%M', '%d/%m/%Y %H:%M')
    >>> texts.add(pl.Series(["6/13/2016 0:00"]))
    >>> texts.found.either is None
    True

    Args:
        missing: texts that are a missing moment, beside those that are a missing number.
    """

    def __init__(self, missing: Sequence[str] = ()) -> None:
        self._missing = missing
        self._read: dict[TimeForm, int] = {"iso": 0}
        self._others: dict[TimeForm, Counter[str]] = {}
        self._texts = 0

    def add(self, known: pl.Series) -> None:
        """Look at some of the next texts, as long as some form reads most."""
        if not self._read or self._texts >= _ENOUGH:
            return
        sample = sample_of(known).str.strip_chars()
        sample = sample.filter(~is_missing(sample, self._missing))
        if not len(sample):
            return
        if not self._texts:  # NOTE[perf]: of very many forms nearly all are out at once, and in most columns all
            like = sample.str.contains(_LIKE_A_DATE) & (sample.str.len_chars() <= 40)
            some = _forms_of(sample.head(_FEW)) if like.sum() >= _MOST * len(sample) else ()
            self._read = dict.fromkeys(some, 0)
        self._texts += len(sample)
        for form in list(self._read):
            bare = _without_zone(sample, form)[0]
            right = _are_recent(_iso(bare)) if form == "iso" else _are_dates(bare, form)
            self._read[form] += int(right.sum())
            others = self._others.setdefault(form, Counter())
            others.update(dict(sample.filter(~right).value_counts().iter_rows()))
            if self._read[form] < _MOST * self._texts:
                del self._read[form], self._others[form]

    @property
    def found(self) -> Dated | None:
        """The form of most texts; None where there is none."""
        if not self._texts or not self._read:
            return None
        form = max(self._read, key=lambda form: self._read[form])  # of equal ones the first
        either = form.translate(str.maketrans("dm", "md")) if "%d" in form and "%m" in form else None
        either = either if either is not None and self._read.get(either) == self._read[form] else None
        other = self._others[form].most_common(1)
        return Dated(form, either, self._read[form] / self._texts, other[0][0] if other else None)


def likely_format(text: str) -> str | None:
    """The first format that reads a text as a moment of the last or this century; None where there is none.

    >>> likely_format("31-Jul-18"), likely_format("soon")
    ('%d-%b-%y', None)
    """
    cell = pl.Series([text.strip()])
    return (
        next((form for form in _forms_of(cell) if form != "iso"), None) if cell.str.contains(_LIKE_A_DATE)[0] else None
    )


def _forms_of(some: pl.Series) -> list[TimeForm]:
    """The forms that read one of these texts at least."""
    bare = {place: _without_zone(some, form)[0] for place, form in (("end", "iso"), ("within", "%z %Y"))}
    # NOTE[perf]: all in one query, which takes a twentieth of one each.
    tried = pl.DataFrame(bare).select(
        _are_dates(pl.col("within" if _has_zone_within(form) else "end"), form).any().alias(form) for form in _FORMATS
    )
    found = [form for form in _FORMATS if tried[form][0]]
    return ["iso", *found] if _are_recent(_iso(bare["end"])).any() else found


def _are_dates(bare: _T, format: str) -> _T:  # noqa: A002
    right = _are_recent(_by_format(bare, format))
    short = next((pattern for start, pattern in _SHORT_YEAR.items() if format.startswith(start)), None)
    return right if short is None else right & bare.str.contains(short)


def _are_recent(wall: _T) -> _T:
    """Whether each is a moment of the last or this century."""
    return wall.dt.year().is_between(1900, 2100).fill_null(value=False)
