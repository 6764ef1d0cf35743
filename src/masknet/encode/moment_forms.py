"""How the moments of a column are likely to be written, which its cells tell, or a sample of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import polars as pl

from masknet.encode.bags import sample_of
from masknet.encode.moment_texts import UNITS, has_zone_within, iso_moments, moments_by_format, read_cells, without_zone
from masknet.encode.number_texts import is_missing, parse, without
from masknet.schema import TimeForm

__all__ = ["DateTexts", "Dated", "Epoch", "form_of", "likely_format"]

_T = TypeVar("_T", pl.Series, pl.Expr)

_YEARS = (1990, 2050)
"""Numbers that are all moments of these years, and whose column's name says time, are likely to be moments."""


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
            self._recent[form] += _recent(read_cells(number, form).wall)
        for form, low, high in _DIGIT_FORMS:
            some = number.filter(number.is_between(low, high))
            if len(some):
                wall = read_cells(some, form).wall
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

    @property
    def wants_more(self) -> bool:
        """Whether more texts may tell more: as long as some form reads most."""
        return bool(self._read) and self._texts < _ENOUGH

    def add(self, known: pl.Series) -> None:
        """Look at some of the next texts."""
        if not self.wants_more:
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
            bare = without_zone(sample, form)[0]
            right = _are_recent(iso_moments(bare)) if form == "iso" else _are_dates(bare, form)
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
        others = self._others[form]
        other = min(others, key=lambda text: (-others[text], text), default=None)
        return Dated(form, either, self._read[form] / self._texts, other)


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
    bare = {place: without_zone(some, form)[0] for place, form in (("end", "iso"), ("within", "%z %Y"))}
    # NOTE[perf]: all in one query, which takes a twentieth of one each.
    tried = pl.DataFrame(bare).select(
        _are_dates(pl.col("within" if has_zone_within(form) else "end"), form).any().alias(form) for form in _FORMATS
    )
    found = [form for form in _FORMATS if tried[form][0]]
    return ["iso", *found] if _are_recent(iso_moments(bare["end"])).any() else found


def _are_dates(bare: _T, format: str) -> _T:  # noqa: A002
    right = _are_recent(moments_by_format(bare, format))
    short = next((pattern for start, pattern in _SHORT_YEAR.items() if format.startswith(start)), None)
    return right if short is None else right & bare.str.contains(short)


def _are_recent(wall: _T) -> _T:
    """Whether each is a moment of the last or this century."""
    return wall.dt.year().is_between(1900, 2100).fill_null(value=False)
