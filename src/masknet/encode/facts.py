"""What all rows of a column say about it, and what it is taken for where nobody said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from masknet.encode import values
from masknet.encode.bags import SEPARATORS, TextShapes, bag_parts, is_pair
from masknet.encode.coded import Coded, sample_of_rows
from masknet.encode.moment_forms import DateTexts, Epoch
from masknet.encode.moments import moments
from masknet.encode.number_texts import ZERO_PADDED, NumberTexts, is_missing, of_other_decimal, parse
from masknet.encode.vectors import vector_parts
from masknet.errors import DataError
from masknet.schema import Bag, Decimal, TimeForm, ValueType
from masknet.table import null_mask

__all__ = ["NO_CHANCE", "ColumnFacts"]

_COUNT_UP_TO = 10_000
_OTHERS = 1_000
_ENOUGH = 10_000
_LOOKED_AT = 1 << 20
NO_CHANCE = 1_000
"""Texts of which so many are different are so by no chance."""
_FEW = 100
_INDEX_NAMES = ("__index_level_0__", "Unnamed: 0", "")
_DATE = r"^\s*[0-9]{4}-[0-9]{2}-[0-9]{2}"


class _Distinct:
    """Distinct values of a stream, exact up to a bound; what is pending is merged when it outgrows what is known."""

    def __init__(self) -> None:
        self._known: pl.Series | None = None
        self._pending: list[pl.Series] = []
        self._num_pending = 0
        self._counts: dict[ValueType, int] = {}
        self.overflow = False

    def add(self, cells: pl.Series, *, told_apart: bool = False) -> None:
        """Take the next cells; `told_apart` where it is known that they differ."""
        if self.overflow:
            return
        self._counts = {}
        # As texts at once: three distinct numbers keep the memory of the whole chunk that they are from.
        # A moment as a number: not all that a column may hold can be written as a date.
        distinct = cells if told_apart else cells.drop_nulls().unique()
        fresh = (distinct.to_physical() if distinct.dtype.is_temporal() else distinct).cast(pl.String)
        self._pending.append(fresh)
        self._num_pending += len(fresh)
        if self._num_pending > max(4 * _COUNT_UP_TO, 0 if self._known is None else len(self._known)):
            self._merge()

    def _merge(self) -> None:
        parts = self._pending if self._known is None else [self._known, *self._pending]
        if parts:
            self._known = pl.concat(parts).unique()
        self._pending, self._num_pending = [], 0
        if self._known is not None and len(self._known) > _COUNT_UP_TO:
            self.overflow, self._known = True, None

    @property
    def some(self) -> list[str]:
        """The first hundred in their order; none where there are too many to count."""
        self._merge()
        return [] if self._known is None else self._known.sort().head(100).to_list()

    def count(self, value_type: ValueType) -> int | None:
        """How many, where 7 and 7.0, or true and True, may be one value; None where there are too many to count."""
        self._merge()
        if self.overflow:
            return None
        if value_type not in self._counts:
            known = self._known
            self._counts[value_type] = 0 if known is None else values.canonical(known, value_type).n_unique()
        return self._counts[value_type]


class _AllDifferent:
    """Whether no value of a stream stands twice; after the first million it is taken for granted."""

    def __init__(self) -> None:
        self._hashes: list[NDArray[np.uint64]] | None = []
        self._seen = 0

    def add(self, known: Coded) -> None:
        if self._hashes is None or self._seen >= _LOOKED_AT:
            return
        self._seen += len(known)
        hashes = np.unique(known.cells.hash(seed=0).to_numpy())
        self._hashes = [*self._hashes, hashes] if len(hashes) == len(known) else None

    def __bool__(self) -> bool:
        if self._hashes is None or not self._seen:
            return False
        return len(np.unique(np.concatenate(self._hashes))) == self._seen


class TextNumbers:
    """How many texts of a column are numbers, and what the others are.

    Args:
        missing, decimal: see `number_texts.parse`.
    """

    def __init__(self, missing: Sequence[str] = (), decimal: Decimal = ".") -> None:
        self.decimal = decimal
        self._form: dict[str, Any] = {"missing": missing, "decimal": decimal}
        self.numbers = self.missing = self.infinite = self.others_decimal = self.wrong = 0
        self.fractions = False
        """Whether a number has decimals, as they are declared."""
        self.padded = False
        """Whether zeros stand before a number, which then is a code."""
        self.whole = True
        """Whether all numbers are written as integers, none of them padded."""
        self.fractional = False
        """Whether a number is no integer, however it is written."""
        self.others: Counter[str] = Counter()
        """The texts that are neither numbers nor missing; of a chunk where they are many, none."""

    def add(self, known: Coded) -> None:
        # NOTE[perf]: where most of a sample are no numbers, it speaks for the chunk, and where most of very many are
        # none, for all that follows: texts take a third of an inspection otherwise.
        if self.wrong >= _ENOUGH and self.share < 0.5 and not self.others_decimal:
            self.wrong += len(known)
            return
        times = max(1, len(known) // 1_000)
        if times > 1:
            sample = sample_of_rows(known)
            found = parse(sample, **self._form)
            if 2 * int(found.wrong.sum()) > len(sample):
                self._add(Coded(sample), found, times)
                return
        self._add(known, parse(known.cells, **self._form), 1)

    def _add(self, known: Coded, found: NumberTexts, times: int) -> None:
        numbers = found.numbers.to_numpy()  # where a null is NaN
        written = ~np.isnan(numbers)
        there, wrong = known.count(pl.Series(written)), known.count(found.wrong)
        self.numbers += times * there
        self.wrong += times * wrong
        self.missing += times * (len(known) - there - wrong)
        self.infinite += times * known.count(pl.Series(np.isinf(numbers)))
        self.fractional = self.fractional or _has_fractions(numbers[written])
        self._look_at(known.cells.filter(pl.Series(written)))
        if wrong:
            self._add_others(known.where(found.wrong), times)

    def _look_at(self, written: pl.Series) -> None:
        """How numbers are written."""
        v = pl.col("v")
        looks = {
            "padded": v.str.strip_chars().str.contains(ZERO_PADDED).any(),
            "odd": (~v.str.contains(values.CANONICAL_INTEGER)).any(),
            "fractions": v.str.contains(rf"[{self.decimal}]").any(),
        }
        seen = written.to_frame("v").select(**looks).row(0, named=True)
        self.padded = self.padded or seen["padded"]
        self.whole = self.whole and not seen["odd"]
        self.fractions = self.fractions or (not self.whole and seen["fractions"])

    def _add_others(self, wrong: Coded, times: int) -> None:
        self.others_decimal += times * wrong.count(of_other_decimal(wrong.cells, self.decimal))
        if times == 1:
            for text, count in zip(wrong.cells.to_list(), wrong.times.tolist(), strict=True):
                self.others[text] += count
            self.others = Counter(dict(self.others.most_common(_OTHERS)))

    @property
    def share(self) -> float:
        """Of the texts that are not missing those that are numbers."""
        return self.numbers / max(1, self.numbers + self.wrong)


class ColumnFacts:
    """What all rows of one column say about it, gathered chunk by chunk.

    Args:
        name: of the column.
        typed: whether the table's types tell what a column is.
        missing, decimal: how numbers are written in texts; see `number_texts.parse`.
    """

    def __init__(self, name: str, typed: bool, *, missing: Sequence[str] = (), decimal: Decimal = ".") -> None:
        self.name = name
        self.typed = typed
        self.rows = self.missing = 0
        self.types: set[str] = set()
        self.all_integers = self.all_booleans = self.all_dates = self.all_moments = True
        self.some_dates = False
        self.text_numbers = TextNumbers(missing, decimal)
        self.dates = DateTexts(missing)
        self.is_wanted = False
        """Whether an option names the column, so that it is not left out."""
        self._missing = missing
        self._infinite = 0
        self._fractional = False
        self._within = False  # whether what is added are the values of cells
        self._other_types = False
        self.zoned: set[bool] = set()
        self._exact = True  # whether no number would lose digits as a float64
        self.float_texts: values.FloatTexts | None = None
        """Tells whether texts are floats, where the column is declared to be one of values."""
        self.distinct = _Distinct()
        self._all_different = _AllDifferent()
        self.shapes = TextShapes(dict.fromkeys(SEPARATORS[:-1], 0))
        self.bag: Bag | None = None
        """How to part the cells of a declared bag."""
        self.vector = False
        """Whether texts are to be read as vectors: the column is declared so."""
        self.form: TimeForm | None = None
        """How the moments of a declared column are written, which is read elsewhere."""
        self.blank_moments = 0
        """Texts that stand for a missing moment."""
        self.epoch: Epoch | None = None
        """The form that numbers would have as moments, where the column's name says that they may be some."""
        self.entries = 0
        self.lengths: Counter[int] = Counter()
        self.pairs = False

    def add(self, column: Coded) -> None:
        dtype = column.cells.dtype
        if isinstance(dtype, pl.List | pl.Array) or (self.bag is not None and dtype != pl.Null):
            self._add_parts(bag_parts(column.rows(), self.bag))
            return
        if self.vector and dtype == pl.String:
            self._add_parts(vector_parts(column.rows()))
            return
        if self.epoch is not None and self.rows < _ENOUGH * 10:
            self.epoch.add(column.rows())
        self.rows += len(column)
        if values.is_nested(dtype):
            self.types.add("nested")
            self.missing += column.cells.null_count()
            self.distinct.overflow = True
            return
        told_apart = column.codes is not None  # each cell stands there once
        known = column.where(pl.Series(~null_mask(column.cells))) if column.cells.null_count() else column
        if dtype == pl.String:
            known = known.where(known.cells != "")
            self._add_text(known)
        elif dtype.is_float():
            known = known.where(pl.Series(~np.isnan(known.cells.to_numpy())))
            numbers = known.cells.to_numpy()
            told_apart &= not (np.signbit(numbers) & (numbers == 0)).any()  # -0.0 and 0.0 are one
            finite = np.isfinite(numbers)
            self._infinite += known.count(pl.Series(~finite))
            self.types.add("float")
            fractional = _has_fractions(numbers[finite])
            self.all_integers &= bool(finite.all()) and not fractional
            self._fractional = self._fractional or fractional
            self.all_booleans = False
        elif isinstance(dtype, pl.Decimal):
            self.types.add("float")
            self._fractional = self._fractional or _has_fractions(known.cells.cast(pl.Float64).to_numpy())
            self.all_integers &= dtype.scale == 0  # 7.00 is no integer's text
            self._exact &= _within(known.cells, 2.0**53 / 10.0**dtype.scale)
            self.all_booleans = False
        elif dtype == pl.Boolean:
            self.types.add("boolean")
            self.all_integers = False
            self._other_types = True
        elif dtype.is_integer():
            self.types.add("integer")
            self._exact &= _within(known.cells, 2.0**53)
            self.all_booleans = False
        elif isinstance(dtype, pl.Date | pl.Datetime):
            self.types.add("moment")
            self.zoned.add(getattr(dtype, "time_zone", None) is not None)
            self.all_integers = self.all_booleans = False
            self._other_types = True
        elif dtype != pl.Null:
            self.types.add("temporal")
            self.all_integers = self.all_booleans = False
            self._other_types = True
        self.missing += len(column) - len(known)
        self.distinct.add(known.cells, told_apart=told_apart)
        if not self._within and (dtype == pl.String or dtype.is_integer()):
            self._all_different.add(known)

    def _add_parts(self, parts: pl.Series) -> None:
        """The values in the cells of a bag, or of a vector; each counts for the type of the values."""
        self.types.add("list")
        lengths = parts.list.len().fill_null(0)
        self.lengths.update(dict(lengths.filter(lengths > 0).value_counts().iter_rows()))
        self.entries += int(lengths.sum())
        rows, missing = self.rows + len(parts), self.missing + int((lengths == 0).sum())
        flat = parts.explode(empty_as_null=False, keep_nulls=False)
        if is_pair(flat.dtype, declared=self.bag is not None):
            self.pairs = True
            flat = flat.struct.unnest().to_series(0)
        elif flat.dtype == pl.String and self.bag is not None and self.bag.weighted:
            flat = flat.str.replace(r":[^:]*$", "")
        if flat.dtype == pl.String:
            flat = flat.str.strip_chars()
        if values.is_nested(flat.dtype):
            self.types.add("nested")
        else:
            outer, self.bag, self.vector, self._within = (self.bag, self.vector), None, False, True
            self.add(Coded(flat.alias(self.name)))
            (self.bag, self.vector), self._within = outer, False
        self.rows, self.missing = rows, missing

    def _add_text(self, known: Coded) -> None:
        self.types.add("text")
        texts = known.cells
        if self.shapes.wants_more:
            self.shapes.add(sample_of_rows(known))
        if self.form is None:
            if self.all_dates:
                self._add_dates(known)
            if not self._within and self.dates.wants_more:
                self.dates.add(sample_of_rows(known))
        if self.all_integers:
            self.all_integers = _all_are(texts, lambda t: t.str.contains(values.CANONICAL_INTEGER))
        if self.float_texts is not None:
            self.float_texts.add(texts)
        if self.all_booleans:
            self.all_booleans = _all_are(texts, lambda t: t.str.to_lowercase().is_in(["true", "false"]))
        if self.all_integers and not self._missing:
            self.text_numbers.numbers += len(known)
        else:
            self.text_numbers.add(known)

    def _add_dates(self, known: Coded) -> None:
        like = known.cells.str.contains(_DATE)
        dates = known.cells.filter(like)
        if len(dates) < len(known.cells):
            self.all_dates = _all_are(known.cells.filter(~like), lambda others: is_missing(others, self._missing))
            self.blank_moments += known.count(~like)
        self.some_dates = self.some_dates or len(dates) > 0
        self.all_moments = self.all_moments and self.all_dates and self._are_moments(dates)

    @property
    def each_row_differs(self) -> bool:
        """Whether each row has a value of its own, and they are so many that this is no chance."""
        return self.rows >= NO_CHANCE and not (self.missing or self.is_wanted) and bool(self._all_different)

    @property
    def is_saved_index(self) -> bool:
        """Whether it is the index of a data frame that was saved as a column: integers, each of them once."""
        named = self.name in _INDEX_NAMES and not self.is_wanted
        return named and self.all_integers and not self.missing and bool(self._all_different)

    @property
    def all_numbers(self) -> bool:
        """Whether all that is not missing is a number, and none of them a code."""
        return not (self._other_types or self.text_numbers.wrong or self.text_numbers.padded)

    @property
    def fractional(self) -> bool:
        """Whether a number is no integer, however it is written."""
        return self._fractional or self.text_numbers.fractional

    @property
    def infinite(self) -> int:
        """Numbers that are infinite."""
        return self._infinite + self.text_numbers.infinite

    @property
    def words(self) -> int:
        """Texts that stand for a missing number."""
        return self.text_numbers.missing

    @property
    def are_integers(self) -> bool:
        """Whether all numbers are integers, whatever stands for the missing ones."""
        texts = self.text_numbers
        return self.all_integers or (self.types == {"text"} and self.all_numbers and texts.whole and texts.numbers > 0)

    @property
    def are_moments(self) -> bool:
        """Whether the column holds dates and times, typed or as ISO texts."""
        return "list" not in self.types and self._holds_moments

    @property
    def _holds_moments(self) -> bool:
        types = self.types - {"list"}
        there = "moment" in types or self.some_dates
        return there and types <= {"moment", "text"} and self.all_dates and self.all_moments

    def _are_moments(self, known: pl.Series) -> bool:
        try:
            found = moments(known, "iso", lambda row: "")
        except DataError:
            return False
        if found.zoned is not None:
            self.zoned.add(found.zoned)
        return True

    @property
    def empty(self) -> bool:
        return self.missing == self.rows

    @property
    def value_type(self) -> ValueType:
        if self.empty:
            return "text"
        if self.are_integers:
            return "integer"
        if self.all_booleans:
            return "boolean"
        if self._holds_moments and len(self.zoned) == 1:
            return "moment"
        return "float" if self._holds_floats else "text"

    @property
    def _holds_floats(self) -> bool:
        numbers, texts = self.types - {"list", "text"}, "text" in self.types
        if texts:
            alike = self.float_texts is not None and self.float_texts.are_floats
            return self._exact and alike and numbers <= {"integer", "float"}
        return self._exact and numbers in ({"float"}, {"integer", "float"})


def _all_are(texts: pl.Series, right: Callable[[pl.Series], pl.Series]) -> bool:
    """Whether all texts are right."""
    # NOTE[perf]: of a column where they are not, a few texts tell.
    return all(bool(right(some).all()) for some in (texts.head(_FEW), texts[_FEW:]) if len(some))


def _has_fractions(numbers: NDArray[np.floating]) -> bool:
    """Whether one of the floats is no integer."""
    return bool((numbers != np.floor(numbers)).any())


def _within(numbers: pl.Series, limit: float) -> bool:
    """Whether all lie between minus and plus the limit."""
    wide = numbers.cast(pl.Float64)
    return bool((wide.abs() <= limit).all())
