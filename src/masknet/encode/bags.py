"""What a bag means, a cell of several values: a list, or a text with a separator between them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from masknet.encode import values
from masknet.encode.values import BadCellsError, Place, refuse
from masknet.errors import DataError
from masknet.schema import Bag

__all__ = [
    "SEPARATORS",
    "BagCells",
    "TextShapes",
    "bag_cells",
    "bag_parts",
    "is_pair",
    "likely_separator",
    "sample_of",
    "sampled_rows",
]

SEPARATORS = ("|", ";", ",", " ")
"""What may separate the values of a bag of texts, where nothing is declared."""


_WORD = r"[\p{L}\p{N}]+"
_PROSE = r"\p{L}{2,}\s+\p{L}+\s+\p{L}+"
_SAMPLE, _ENOUGH = 1_000, 10_000
_QUOTED = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\""
_LISTED = r"^\s*\[.*\]\s*$"


def sample_of(known: pl.Series) -> pl.Series:
    """Some of the texts of a chunk, which are enough to say "most"; the same ones each time."""
    some = sampled_rows(len(known))
    return known if some is None else known[some]


@lru_cache(maxsize=8)
def sampled_rows(rows: int) -> NDArray[np.int64] | None:
    """Which of so many rows are in a sample; None where all are."""
    return None if rows <= _SAMPLE else pl.arange(rows, eager=True).sample(_SAMPLE, seed=7).to_numpy()


@dataclass
class TextShapes:
    """How many texts are written as lists are, or as sentences.

    Args:
        texts: how many there are.
        listed: in brackets.
        prose: three words in a row.
        different: distinct ones.
        separated: by separator, the texts that it stands in.
    """

    separated: dict[str, int]
    texts: int = 0
    listed: int = 0
    prose: int = 0
    different: int = 0

    @property
    def wants_more(self) -> bool:
        """Whether more texts may tell more: until there were very many."""
        return self.texts < _ENOUGH

    def add(self, sample: pl.Series) -> None:
        """Look at some more texts."""
        self.texts += len(sample)
        self.different += sample.n_unique()
        # NOTE[perf]: in most columns none holds a separator, and one look at all texts together tells it.
        together = "\0".join(sample.to_list())
        v = pl.col("v")
        looks = {f"with {s}": v.str.contains(s, literal=True) for s in self.separated if s in together}
        if "[" in together:
            looks["listed"] = v.str.contains(_LISTED)
        if re.search(r"\s", together):  # in Python's eyes more is blank than in those of Polars
            looks["prose"] = v.str.contains(_PROSE)
        if not looks:
            return
        seen = sample.to_frame("v").select(**{name: x.sum() for name, x in looks.items()}).row(0, named=True)
        self.listed += seen.get("listed", 0)
        self.prose += seen.get("prose", 0)
        for separator in self.separated:
            self.separated[separator] += seen.get(f"with {separator}", 0)

    @property
    def are_listed(self) -> bool:
        """Whether most are."""
        return 2 * self.listed > self.texts

    @property
    def are_prose(self) -> bool:
        """Whether most are sentences or titles, and different ones."""
        return 2 * self.prose > self.texts and 2 * self.different > self.texts

    def parting(self, declared: str | None = None) -> dict[str, Any]:
        """The `separator` and the `form` of a bag of such texts, where a separator is declared with that one."""
        if declared is not None:
            return {"separator": declared, "form": "listed" if self.are_listed else "separated"}
        if self.are_listed:
            blank = self.separated[" "] and not self.separated[","]
            return {"separator": " " if blank else ",", "form": "listed"}
        prose = self.are_prose and self.separator in (None, ",", " ")
        return {"separator": likely_separator(self.separated), "form": "words" if prose else "separated"}

    @property
    def separator(self) -> str | None:
        """What stands in most of them; None where nothing does."""
        best = max(self.separated, key=lambda separator: self.separated[separator])
        return best if 2 * self.separated[best] > self.texts else None


def likely_separator(found: Mapping[str, int]) -> str:
    """The separator that stands in most cells, given how many each stands in; a blank only where no other does."""
    best = max(SEPARATORS[:-1], key=lambda separator: found[separator])
    return best if found[best] else " " if found[" "] else SEPARATORS[0]


@dataclass(frozen=True)
class BagCells:
    """The values of all bags of a chunk, one after the other.

    Args:
        text: the canonical text of each value; none is missing.
        weights: of each value, or None where all are 1.
        row: the row of each value, rising.
        rows: how many rows there are, those without a value too.
    """

    text: pl.Series
    weights: NDArray[np.float64] | None
    row: NDArray[np.int64]
    rows: int

    @property
    def lengths(self) -> NDArray[np.int64]:
        """How many values each row has."""
        return np.bincount(self.row, minlength=self.rows)


def is_pair(dtype: pl.DataType, *, declared: bool) -> bool:
    """Whether a bag's values are pairs of a value and its weight, which is a number, as tables give them.

    >>> is_pair(pl.Struct({"value": pl.String, "weight": pl.Float64}), declared=False)
    True

    Args:
        dtype: of the values.
        declared: whether the column is said to be a bag; then weights that are texts are read as numbers.
    """
    if not isinstance(dtype, pl.Struct) or len(dtype.fields) != 2:
        return False
    weight = dtype.fields[1].dtype
    return declared or weight.is_numeric() or weight == pl.Null


def bag_parts(column: pl.Series, bag: Bag | None) -> pl.Series:
    """Each cell as a list, whatever it is: a list, a text that the bag says how to part, or one value."""
    if column.dtype == pl.String and bag is not None and bag.form == "words":
        return column.str.to_lowercase().str.extract_all(_WORD)
    if column.dtype == pl.String and bag is not None and bag.separator is not None:
        if bag.form == "separated":
            return column.str.split(bag.separator)
        return _listed(column, bag.separator)
    if column.dtype == pl.String:
        return column.to_frame("v").select(pl.concat_list("v").alias(column.name)).to_series()
    if isinstance(column.dtype, pl.Array):
        return column.cast(pl.List(column.dtype.inner))
    if isinstance(column.dtype, pl.List):
        lowered = bag is not None and bag.form == "words" and column.dtype.inner == pl.String
        return column.list.eval(pl.element().str.to_lowercase()) if lowered else column
    return column.to_frame("v").select(pl.concat_list("v").alias(column.name)).to_series()


def _listed(column: pl.Series, separator: str) -> pl.Series:
    """The values of lists as Python and NumPy write them; what stands in quotes is one value, `None` is none."""
    inner = column.str.strip_chars().str.strip_prefix("[").str.strip_suffix("]")
    own = re.escape(separator)
    parts = inner.str.extract_all(rf"{_QUOTED}|[^{own}\s'\"][^{own}]*")
    bare = pl.element().str.strip_chars()
    quoted = bare.str.contains(r"^'.*'$|^\".*\"$")
    value = pl.when(quoted).then(bare.str.slice(1, bare.str.len_chars() - 2)).otherwise(bare)
    lacking = ~quoted & bare.str.to_lowercase().is_in(["none", "nan", "null"])
    return parts.list.eval(pl.when(~lacking).then(value))


def bag_cells(column: pl.Series, field: Bag, place: Place) -> BagCells:
    """The values of each bag, in their order; missing and empty ones are passed over.

    Raises:
        DataError: the column holds no bags; a weighted value has no weight, or an infinite one; values of an integer
            field have lost digits.
    """
    parts = bag_parts(column, field)
    row = np.repeat(np.arange(len(parts)), parts.list.len().fill_null(0).to_numpy())
    try:
        text, weights = _read_values(parts, row, field, place)
    except BadCellsError as bad:
        raise bad.of_whole(column, row, place) from None
    known = text.is_not_null().to_numpy()
    return BagCells(text.filter(known), None if weights is None else weights[known], row[known], len(parts))


def _read_values(
    parts: pl.Series, row: NDArray[np.int64], field: Bag, place: Place
) -> tuple[pl.Series, NDArray[np.float64] | None]:
    """The text and the weight of each value in lists; the text is null where the value is missing."""
    inner = parts.dtype.inner  # type: ignore[attr-defined]
    name = parts.name
    flat = parts.explode(empty_as_null=False, keep_nulls=False) if len(row) else pl.Series(name, [], inner)

    def where(i: int) -> str:
        return place(int(row[i]))

    weights: NDArray[np.float64] | None = None
    if isinstance(inner, pl.Struct):
        if len(inner.fields) != 2:
            raise DataError(
                f"a weighted bag holds pairs of a value and a weight; column '{name}' holds {parts.dtype}: "
                f"convert the column, or leave it out with --ignore",
                column=name,
            )
        pairs = flat.struct.unnest()
        flat, given = pairs.to_series(0).alias(name), pairs.to_series(1).alias(name)
        if field.weighted:
            weights = values.numbers(given, where)
    elif field.weighted:
        flat, weights = _weighted_texts(flat, field)
    if values.is_nested(flat.dtype):
        raise DataError(
            f"the values of a bag are plain; column '{name}' holds {parts.dtype}: name it in --ignore, or flatten its "
            f"lists",
            column=name,
        )
    if flat.dtype == pl.String:
        flat = flat.str.strip_chars()
    text = values.categorical_text(flat.alias(name), field.values, where)
    if weights is not None:
        given_weights = weights
        refuse(
            text.is_not_null().to_numpy() & ~np.isfinite(weights),
            flat,
            where,
            lambda i, at: (
                f"a weighted bag gives each value a finite weight; column '{name}' gives '{values.short(text[i])}' "
                f"{'none' if np.isnan(given_weights[i]) else given_weights[i]} in {at}: mend the cell, or declare the "
                f"bag without weights"
            ),
        )
    return text, weights


def _weighted_texts(flat: pl.Series, field: Bag) -> tuple[pl.Series, NDArray[np.float64]]:
    """`value:weight`, parted at the last colon; an empty text stays empty."""
    if flat.dtype == pl.Null:  # what is missing in all rows of a chunk has no type
        return flat, flat.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    if flat.dtype != pl.String:
        raise DataError(
            f"a weighted bag is a text of value:weight, or a list of pairs; column '{field.name}' holds lists of "
            f"{flat.dtype}: leave the column out of --weighted",
            column=field.name,
        )
    v = pl.col("v").str.strip_chars()
    halves = flat.to_frame("v").select(
        value=v.str.replace(r":[^:]*$", ""),
        weight=pl.when(v.str.contains(":", literal=True)).then(v.str.extract(r":([^:]*)$")),
    )
    weight = halves["weight"].str.strip_chars().cast(pl.Float64, strict=False)
    return halves["value"], weight.fill_null(float("nan")).to_numpy()
