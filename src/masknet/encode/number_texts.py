"""How numbers are written in texts: what stands for a missing one, the signs around them, thousands and decimals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from masknet.schema import Decimal

__all__ = ["ZERO_PADDED", "NumberTexts", "is_missing", "of_other_decimal", "parse", "without"]

_MISSING = ("", "nan", "none", "null", r"\n", "na", "n/a", "#n/a", "<na>", "(null)", "-", "\u2014", "\u2013", "?")
"""Texts, in any case, that are a missing number; in a categorical field they are texts."""

ZERO_PADDED = r"^[-+]?0[0-9]"
"""The start of what is written as a number and is a code."""

_CURRENCY = "[$€£¥₹]"
_GROUPED = r"^[-+]?[1-9][0-9]{0,2}(?:%s[0-9]{3})+(?:%s[0-9]*)?$"
_BLANKS = "[ \u00a0\u202f']"
_GROUPS = {  # a number in groups of three digits, by what stands before its decimals
    ".": f"{_GROUPED % (',', '[.]')}|{_GROUPED % (_BLANKS, '[.]')}",
    ",": f"{_GROUPED % ('[.]', ',')}|{_GROUPED % (_BLANKS, ',')}",
}
_BETWEEN = {".": "[, \u00a0\u202f']", ",": "[. \u00a0\u202f']"}
_POINT = r"^[-+]?[0-9]*[.][0-9]+$"
_COMMA = r"^[-+]?(?:[0-9]+(?:[.][0-9]{3})*)?,[0-9]+(?:[eE][-+]?[0-9]+)?$"


@dataclass(frozen=True)
class NumberTexts:
    """Texts as numbers.

    Args:
        numbers: float64; null where there is none.
        wrong: marks the texts that are neither a number nor missing.
    """

    numbers: pl.Series
    wrong: pl.Series


def parse(text: pl.Series, *, missing: Sequence[str] = (), decimal: Decimal = ".") -> NumberTexts:
    """Read texts as numbers.

    A currency's sign may stand before or behind a number, a percent sign behind it; neither counts. Thousands may be
    set apart by the other of comma and point, by a blank or an apostrophe.

    >>> parse(pl.Series(["7", " 1,234.5", "$3", "12 %", "NA", None])).numbers.to_list()
    [7.0, 1234.5, 3.0, 12.0, None, None]
    >>> parse(pl.Series(["1.234,5", "0,5", "x", "-9"]), decimal=",", missing=["-9"]).numbers.to_list()
    [1234.5, 0.5, None, None]

    Args:
        text: the cells.
        missing: texts that are a missing number beside the usual ones, blanks around them aside; one that is a number
            stands for that number, however it is written.
        decimal: what stands before the decimals.
    """
    # NOTE[perf]: most cells are plain or empty, and only the others are looked at as texts.
    text = text.set(text == "", None)
    plain = text if decimal == "." else text.set(text.str.contains(".", literal=True), None)
    numbers = plain.cast(pl.Float64, strict=False)
    wrong = pl.Series([False]).new_from_index(0, len(text))
    if numbers.null_count() > text.null_count():
        odd = (numbers.is_null() & text.is_not_null()).arg_true()
        cells = text.gather(odd)
        found = _odd_numbers(cells, decimal)
        lacking = is_missing(cells, missing)
        numbers = numbers.scatter(odd, found.set(lacking, None))
        wrong = wrong.scatter(odd, found.is_null() & ~lacking)
    return NumberTexts(without(numbers, missing, decimal).fill_nan(None).alias(text.name), wrong)


def without(numbers: pl.Series, missing: Sequence[str], decimal: Decimal = ".") -> pl.Series:
    """The numbers, null where one of `missing` is that number."""
    if not missing:
        return numbers
    markers = parse(pl.Series(missing, dtype=pl.String), decimal=decimal).numbers.drop_nulls()
    return numbers.set(numbers.is_in(markers.implode()).fill_null(value=False), None)


def is_missing(text: pl.Series, missing: Sequence[str] = ()) -> pl.Series:
    """Whether each text, none of which is null, stands for a missing number."""
    bare = pl.col("text").str.strip_chars()
    found = bare.str.to_lowercase().is_in(_MISSING) | bare.is_in([marker.strip() for marker in missing])
    return text.to_frame("text").select(found).to_series().alias(text.name)


def of_other_decimal(text: pl.Series, decimal: Decimal) -> pl.Series:
    """Whether each text, which is no number, would be one with the other of comma and point before its decimals."""
    found = _bare(pl.col("text").str.strip_chars()).str.contains(_COMMA if decimal == "." else _POINT)
    return text.to_frame("text").select(found).to_series().alias(text.name)


def _bare(text: pl.Expr) -> pl.Expr:
    """The texts without the signs at their ends."""
    before = text.str.replace(rf"^([-+]?)\s*{_CURRENCY}\s*", "$1")
    return before.str.replace(rf"\s*(?:%|{_CURRENCY})$", "")


def _odd_numbers(text: pl.Series, decimal: Decimal) -> pl.Series:
    bare = _bare(pl.col("text").str.strip_chars())
    grouped = bare.str.contains(_GROUPS[decimal])
    bare = pl.when(grouped).then(bare.str.replace_all(_BETWEEN[decimal], "")).otherwise(bare)
    if decimal == ",":
        bare = pl.when(~bare.str.contains(".", literal=True)).then(bare.str.replace(",", ".", literal=True))
    return text.to_frame("text").select(bare.cast(pl.Float64, strict=False)).to_series()
