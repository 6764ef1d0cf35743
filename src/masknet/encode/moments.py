"""What a moment means, a date or a time, however it is written: in a field, in the column of time, in a setting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from masknet.encode import values
from masknet.encode.moment_forms import Epoch, form_of, likely_format
from masknet.encode.moment_texts import DAY, in_words, is_outside, iso_moments, read_cells, without_zone
from masknet.encode.values import Place, refuse
from masknet.errors import DataError
from masknet.schema import TimeForm

__all__ = ["MomentReader", "Moments", "Times", "as_dates", "bound", "moments"]

Part = Literal["datetime", "time"]
_RULES: dict[Part, str] = {"datetime": "a datetime column holds moments", "time": "a column of time holds moments"}


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
        return self.instants / DAY


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
    read = read_cells(column, form, missing)
    _refuse_moments(read.wrong, column, form, place, part)
    if not read.may_name_zones:
        return Moments(read.wall, read.instants, zoned=None)
    known: NDArray[np.bool_] = read.wall.is_not_null().to_numpy()
    if read.named[known].any() and not read.named[known].all():
        rare: NDArray[np.bool_] = read.named if read.named[known].mean() < 0.5 else ~read.named
        _refuse_zones(known & rare, column, place, "its neighbours")
    _refuse_zones(known & (read.named != zoned) & (zoned is not None), column, place, "those of training")
    return Moments(read.wall, read.instants, bool(read.named[known].any()) if known.any() else None)


def _refuse_moments(wrong: NDArray[np.bool_], column: pl.Series, form: TimeForm, place: Place, part: Part) -> None:
    way_out = "name another column in --time" if part == "time" else "name the column in --categorical or --ignore"
    # Neither Python nor Polars can write all of these as dates: what is shown of such a one is its number.
    typed = isinstance(column.dtype, pl.Date | pl.Datetime)
    if typed and (getattr(column.dtype, "time_zone", None) is not None or is_outside(column).any()):
        column = column.to_physical()
    cell = column[int(wrong.argmax())] if wrong.any() and part == "datetime" else None
    other = likely_format(cell) if isinstance(cell, str) else None  # once, though many rows may be told of
    reads = "" if other in (None, form) else f", train with --datetime '{column.name}={other}'"

    def sentence(i: int, at: str) -> str:
        return (
            f"{_RULES[part]} of the years 1 to 9999, here {in_words(form)}; column '{column.name}' holds "
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
        read = read_cells(cell, one)
        if not (read.wrong[0] or np.isnan(read.instants[0])):
            return float(read.instants[0])
    raise DataError(
        f"--valid-after is a moment, {' or '.join(dict.fromkeys((in_words(form), in_words('iso'))))}; got '{text}'"
    )


def as_dates(text: pl.Series) -> pl.Series:
    """The microseconds since 1970 of the texts that are ISO dates or times, the others null."""
    bare, east = without_zone(text.str.strip_chars(), "iso")
    wall = iso_moments(bare).to_physical().cast(pl.Float64)
    return wall if east is None else wall - 60e6 * east.fill_null(0)
