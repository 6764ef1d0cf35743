"""The one rule for when two values are the same, and for what a cell means, whoever read the table.

Null, NaN and the empty text are one thing: missing. A categorical value is text, and what another reader or writer
makes of it is the same one: a field of integers reads 7, 7.0, "7" and "007" alike, one of floats 1e-7 and "1e-07", one
of moments "2026-01-31" and midnight, one of booleans true, "True", 1 and "yes". Which of these a field is, all of its
training rows say; a field of texts compares letter by letter. Numbers are float64 with NaN where missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from types import MappingProxyType
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from masknet.encode.moment_texts import is_outside
from masknet.encode.number_texts import parse, without
from masknet.errors import DataError, Where, flag
from masknet.schema import UNKNOWN, Decimal, Schema, ValueType
from masknet.table import Rows, null_mask, spread

Place = Callable[[int], str]
"""Says where row `i` of a chunk stands: "row 17 of ads.csv"."""

# An integer as it is written by every reader: 7, -7, and 7.0 where a missing value made pandas widen the column.
CANONICAL_INTEGER = r"^(?:-?[1-9][0-9]*|0)(?:\.0)?$|^-0\.0$"
# The same with blanks or zeros around it, as it may be read where training had none so.
_PADDED_INTEGER = r"^\s*([-+]?)0*([0-9]+)(?:\.0*)?\s*$"
# A float as some writer of them writes it: in the fewest digits (2.5, 2.0, 2, 1e-07), or with so many decimals (2.50).
# Of a version, 1.10 is not 1.1: a column where both stand is one of texts.
_SHORTEST = r"^-?(?:0|[1-9][0-9]{0,14})(?:\.0|\.[0-9]*[1-9])?$|^-?[1-9](?:\.0|\.[0-9]*[1-9])?[eE][-+]?[0-9]{1,3}$"
_FIXED = r"^-?(?:0|[1-9][0-9]{0,14})\.[0-9]+$"
_MOST_DIGITS = 17  # of a float64: texts of more digits may differ and be one float
_TRUE, _FALSE = ("true", "t", "yes", "y", "1", "1.0"), ("false", "f", "no", "n", "0", "0.0", "-0.0")
_MOMENT = (
    r"^\s*([0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[T ]([0-9]{2}:[0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]+))?)?\s*((?i:Z|UTC|GMT)|[+-][0-9]{2}(?::?[0-9]{2})?)?)?\s*$"
)
_FEW_OTHERS = 0.01  # of a label's cells: so few beside 0 and 1 are slips, and no grades
_FEW = 64  # cells: fewer are looked at one by one sooner than by a query


class BadCellsError(DataError):
    """Cells of a column that break a rule; the message, the place and the value are those of the first.

    Args:
        wrong: marks them among the cells of `column`.
        column: the cells that were looked at.
        place: where cell `i` stands.
        sentence: what to say of cell `i`, which stands at that place.
    """

    def __init__(
        self, wrong: NDArray[np.bool_], column: pl.Series, place: Place, sentence: Callable[[int, str], str]
    ) -> None:
        self.wrong = wrong
        self._place, self._sentence = place, sentence
        first = int(wrong.argmax())
        at = place(first)
        super().__init__(
            sentence(first, at),
            file=at.file if isinstance(at, Where) else None,
            column=column.name,
            row=at.row if isinstance(at, Where) else None,
            value=cell_of(column, first),
        )

    def sentence(self, i: int) -> str:
        """What to say of cell `i`."""
        return self._sentence(i, self._place(i))

    def of_whole(self, column: pl.Series, cells: NDArray[np.integer], place: Place) -> BadCellsError:
        """The same error of cells that hold several values each, the wrong ones among them.

        Args:
            column: the whole cells.
            cells: for each value the cell of `column` that it is from.
            place: where those cells stand.
        """
        found, first = np.unique(cells[self.wrong], return_index=True)
        blamed = dict(zip(found.tolist(), np.flatnonzero(self.wrong)[first].tolist(), strict=True))
        wrong = np.zeros(len(column), dtype=np.bool_)
        wrong[found] = True
        return BadCellsError(wrong, column, place, lambda i, at: self.sentence(blamed[i]))


def refuse(wrong: NDArray[np.bool_], column: pl.Series, place: Place, sentence: Callable[[int, str], str]) -> None:
    """Raise where a cell is wrong.

    >>> refuse(np.array([False, True]), pl.Series([5, 7]), "row {}".format, lambda i, at: f"7 is wrong in {at}")
    Traceback (most recent call last):
    masknet.encode.values.BadCellsError: 7 is wrong in row 1

    Args:
        wrong: marks the cells that break a rule.
        column: the cells as they were read.
        place: where cell `i` stands.
        sentence: what to say of cell `i`, which stands at that place.

    Raises:
        BadCellsError: some cells are wrong.
    """
    if wrong.any():
        raise BadCellsError(wrong, column, place, sentence)


def is_nested(dtype: pl.DataType) -> bool:
    """Whether a column of this type holds no plain value (a list, a struct, raw bytes, a duration, ...)."""
    return dtype.is_nested() or dtype in (pl.Binary, pl.Object, pl.Duration)


def cell_of(column: pl.Series, i: int) -> Any:
    """A cell as an object of Python; of a moment outside the calendar, which none holds, its number.

    >>> cell_of(pl.Series([[1, 2], None]), 0), cell_of(pl.Series([2**31 - 1], dtype=pl.Int32).cast(pl.Date), 0)
    ([1, 2], 2147483647)
    """
    one = column[i : i + 1]
    parts = one.explode() if isinstance(one.dtype, pl.List) else one
    if isinstance(parts.dtype, pl.Date | pl.Datetime) and is_outside(parts).any():
        one = one.to_physical()
    return one.to_list()[0]


def canonical(text: pl.Series, values: ValueType) -> pl.Series:
    """The one text of each value that may be written in several ways; null for the empty one.

    >>> canonical(pl.Series(["7.0", "007", " 7", "7.5", ""]), "integer").to_list()
    ['7', '7', '7', '7.5', None]
    >>> canonical(pl.Series(["1e-7", "1E-07", "-0.0", "0", "n/a"]), "float").to_list()
    ['1e-07', '1e-07', '0.0', '0.0', 'n/a']
    >>> canonical(pl.Series(["2026-01-31", "2026-01-31T00:00:00.000", "2026-01-31 01:00+01:00"]), "moment").to_list()
    ['2026-01-31', '2026-01-31', '2026-01-31Z']
    """
    if len(text) <= _FEW:  # NOTE[perf]: of a single row, a query takes a tenth of what scores it
        known = pl.Series([cell or None for cell in text.to_list()], dtype=pl.String)
    else:
        known = text.set(text == "", None)
    if values == "integer":
        known = _integers(_without_nan(known))
    elif values == "boolean":
        known = _booleans(known)
    elif values == "float":
        known = _without_nan(known)
        found = _float_text(known.str.strip_chars().cast(pl.Float64, strict=False))
        known = found.zip_with(found.is_not_null(), known)
    elif values == "moment":
        known = _moment_text(known)
    return known.alias(text.name)


def _without_nan(known: pl.Series) -> pl.Series:
    """What is missing as writers of floats write it, who may hold integers too, is missing."""
    bare = known.str.strip_chars()
    return known.set(((bare == "") | (bare.str.to_lowercase() == "nan")).fill_null(value=False), None)


def _integers(known: pl.Series) -> pl.Series:
    v = pl.col("v")
    bare = pl.when(v == "-0.0").then(pl.lit("0")).otherwise(v.str.strip_suffix(".0"))
    plain = v.str.contains(CANONICAL_INTEGER)
    found = known.to_frame("v").select(pl.when(plain).then(bare).otherwise(v).alias("v"), plain=plain)
    if found["plain"].all():  # nulls aside
        return found["v"]
    sign, digits = v.str.extract(_PADDED_INTEGER, 1), v.str.extract(_PADDED_INTEGER, 2)
    number = pl.when((sign == "-") & (digits != "0")).then(pl.lit("-") + digits).otherwise(digits)
    return found.select(pl.when(pl.col("plain")).then(v).otherwise(pl.coalesce(number, v))).to_series()


def _booleans(known: pl.Series) -> pl.Series:
    v = pl.col("v")
    bare = v.str.strip_chars().str.to_lowercase()
    found = pl.when(bare.is_in(_TRUE)).then(pl.lit("true")).when(bare.is_in(_FALSE)).then(pl.lit("false"))
    return known.to_frame("v").select(found.otherwise(v.str.to_lowercase())).to_series()


def _float_text(number: pl.Series) -> pl.Series:
    """Python's text of each float64, which is the same everywhere; null where there is none."""
    array = number.fill_null(0.0).to_numpy() + 0.0  # -0 is 0
    distinct, code = np.unique(array, return_inverse=True)
    text = pl.Series(list(map(repr, distinct.tolist())), dtype=pl.String).gather(code)
    return text.set(number.is_null(), None)


def _moment_text(known: pl.Series) -> pl.Series:
    """Date, then the time unless it is midnight, to the last digit that is not 0; `Z`, and in UTC, where a zone stands.

    The text is taken apart and not read as a number: its digits may go beyond a microsecond, its year beyond 2262.
    """
    v = pl.col("v")
    day, minute, second, digits, zone = (v.str.extract(_MOMENT, group) for group in range(1, 6))
    parts = known.to_frame("v").select(
        v,
        wall=day + " " + minute.fill_null("00:00") + ":" + second.fill_null("00"),
        digits=digits.fill_null("").str.strip_chars_end("0"),
        zone=zone,
    )
    wall, zone_text = parts["wall"], parts["zone"]
    if zone_text.null_count() < len(zone_text):
        sign, hours, minutes = (zone_text.str.extract(r"^([+-])([0-9]{2}):?([0-9]{2})?$", g) for g in (1, 2, 3))
        east = 60 * hours.cast(pl.Int64).fill_null(0) + minutes.cast(pl.Int64).fill_null(0)
        east = east.zip_with((sign == "+").fill_null(value=True), -east)
        instant = wall.str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False, time_unit="us")
        utc = (instant - (60_000_000 * east).cast(pl.Duration("us"))).dt.strftime("%Y-%m-%d %H:%M:%S")
        parts = parts.with_columns(wall=utc.zip_with(zone_text.is_not_null(), wall))
    fraction = pl.when(pl.col("digits") != "").then(pl.lit(".") + pl.col("digits")).otherwise(pl.lit(""))
    time = (pl.col("wall") + fraction).str.strip_suffix(" 00:00:00")
    suffix = pl.when(pl.col("zone").is_null()).then(pl.lit("")).otherwise(pl.lit("Z"))
    return parts.select(pl.coalesce(time + suffix, v)).to_series()


class FloatTexts:
    """Whether the texts of a column are floats, and alike enough that two of one value are one value.

    >>> texts = FloatTexts()
    >>> texts.add(pl.Series(["1e-07", "0", "2.5"]))
    >>> texts.add(pl.Series(["nan", "-0.0"]))
    >>> texts.are_floats
    True
    >>> texts.add(pl.Series(["2.50"]))
    >>> texts.are_floats
    False
    """

    def __init__(self) -> None:
        self._shortest = self._fixed = True
        self._decimals: set[int] = set()
        self._fractions = False

    @property
    def are_floats(self) -> bool:
        """Whether all are in the fewest digits, or all have one number of decimals; not all are integers."""
        return self._fractions and (self._shortest or (self._fixed and len(self._decimals) == 1))

    def add(self, known: pl.Series) -> None:
        """Look at the next texts."""
        if not (self._shortest or self._fixed):
            return
        number = known.filter(~known.str.to_lowercase().is_in(["nan", "inf", "-inf"]))
        digits = number.str.replace(r"^-?0*\.?0*", "").str.replace(r"[eE].*$", "").str.replace(".", "", literal=True)
        short = bool((digits.str.len_chars() <= _MOST_DIGITS).all())
        self._shortest = self._shortest and short and bool(number.str.contains(_SHORTEST).all())
        self._fixed = self._fixed and short and bool(number.str.contains(_FIXED).all())
        if self._fixed:
            self._decimals.update(number.str.extract(r"\.([0-9]+)$").str.len_chars().unique())
        self._fractions |= not number.str.contains(CANONICAL_INTEGER).all()


def categorical_text(column: pl.Series, values: ValueType, place: Place) -> pl.Series:
    """The canonical text of every cell, null where it is missing.

    Raises:
        DataError: the column holds lists or bytes, a moment lies outside the calendar, or an integer field holds an
            integral float above 2^53, whose digits are lost.
    """
    dtype = column.dtype
    if is_nested(dtype):
        raise DataError(
            f"a categorical column holds plain values; column '{column.name}' holds {dtype}: "
            f"{'name it in --bag, or ' if isinstance(dtype, pl.List | pl.Array) else ''}leave it out with --ignore",
            column=column.name,
        )
    if dtype == pl.String:
        return canonical(column, values)
    if dtype.is_float():
        known = column.fill_nan(None)
        return canonical(known.cast(pl.String), values) if values != "integer" else _integral(known, place)
    if isinstance(dtype, pl.Date | pl.Datetime):
        refuse(
            is_outside(column),
            column.to_physical(),  # the moment itself can be no object of Python
            place,
            lambda i, at: (
                f"a moment lies in the years 1 to 9999; that of column '{column.name}' in {at} does not: mend the "
                f"cell, or leave the column out with --ignore"
            ),
        )
    if values == "moment" and isinstance(dtype, pl.Datetime) and dtype.time_zone is not None:
        column = column.dt.convert_time_zone("UTC")
    text = column.cast(pl.String)  # booleans as true and false; dates and times in ISO order
    if values in ("boolean", "float", "moment"):
        return canonical(text, values)
    if dtype == pl.Datetime:
        return text.str.replace(r"\.0+([+-].*)?$", "$1")  # whatever its unit
    if dtype.is_decimal() and values == "integer":
        return text.str.replace(r"\.0+$", "")
    return text


def _integral(known: pl.Series, place: Place) -> pl.Series:
    digits = int(np.finfo(known.head(0).to_numpy().dtype).nmant) + 1
    frame, v = known.to_frame("v"), pl.col("v").cast(pl.Float64)
    integral = v.is_finite() & (v == v.floor())
    lost = frame.select((integral & (v.abs() > 2.0**digits)).fill_null(value=False)).to_series()
    refuse(
        lost.to_numpy(),
        known,
        place,
        lambda i, at: (
            f"an integer above 2^{digits} loses its digits as a {known.dtype}; column "
            f"'{known.name}' holds {known[i]!r} in {at}: store the column as integers or texts, or name it "
            f"in --numeric if it holds quantities"
        ),
    )
    text = pl.when(integral).then(v.cast(pl.Int64, strict=False).cast(pl.String)).otherwise(v.cast(pl.String))
    return frame.select(text.alias(known.name)).to_series()


def numbers(
    column: pl.Series, place: Place, *, missing: Sequence[str] = (), decimal: Decimal = "."
) -> NDArray[np.float64]:
    """The column as float64, NaN where it is missing; of texts see `number_texts.parse`; true is 1.

    Raises:
        DataError: a cell is no number.
    """
    dtype = column.dtype
    if dtype == pl.String:
        cells, parsed = column, parse(column, missing=missing, decimal=decimal)
        if parsed.wrong.any():
            bits = column.str.strip_chars().str.to_lowercase().replace({"true": "1", "false": "0"})
            parsed = parse(bits.zip_with(parsed.wrong, column), missing=missing, decimal=decimal)
        refuse(
            parsed.wrong.to_numpy(),
            cells,
            place,
            lambda i, at: (
                f"a numeric column holds numbers; column '{cells.name}' holds '{short(cells[i])}' in {at}: mend the "
                f"value, or train with {_as_missing(cells[i])}the column in --categorical or --ignore"
            ),
        )
        column = parsed.numbers
    elif not (dtype.is_numeric() or dtype in (pl.Boolean, pl.Null)):
        raise DataError(
            f"a numeric column holds numbers; column '{column.name}' holds {dtype}: "
            f"name it in --categorical or --ignore",
            column=column.name,
        )
    else:
        column = without(column.cast(pl.Float64), missing, decimal)
    return column.cast(pl.Float64).to_numpy().astype(np.float64, copy=False)  # where a null is NaN


_LABELS = (0.0, 1.0, -1.0)


def labels(
    column: pl.Series, place: Place, *, positive: str | None = None, may_lack: bool = False
) -> NDArray[np.uint8]:
    """The label as 0 and 1; -1 is read as 0, booleans and the texts of 0, 1, -1, true, t, yes and y are read too.

    >>> labels(pl.Series(["yes", "No", "t", "-1"]), "row {}".format).tolist()
    [1, 0, 1, 0]
    >>> labels(pl.Series(["good", "bad"]), "row {}".format, positive="bad").tolist()
    [0, 1]

    Args:
        column: the cells.
        place: where they stand.
        positive: the text of a click, where the label is written otherwise; every other text then is 0.
        may_lack: whether a label may be missing, and then is `UNKNOWN`, as it may where there are several.

    Raises:
        DataError: a label is not one of the two, or is missing and may not be.
    """
    absent = np.zeros(len(column), dtype=np.bool_)
    if positive is not None and not is_nested(column.dtype):
        # As columns of its type are read: 2.0 is 2, and a typed true is True and 1.
        kind: ValueType = "boolean" if column.dtype == pl.Boolean else "float" if column.dtype.is_float() else "integer"
        text = categorical_text(column, kind, place).str.strip_chars()
        absent = (text.is_null() | (text == "")).fill_null(value=True).to_numpy()
        wanted = canonical(pl.Series([positive.strip()], dtype=pl.String), kind)[0]
        if wanted is None:
            raise DataError(f"--positive names the value of a click; '{positive}' is a missing one: name another")
        known = (text == wanted).cast(pl.UInt8).set(pl.Series(absent), None)
    elif column.dtype == pl.String:
        text = column.str.strip_chars().str.to_lowercase()
        absent = (text.is_null() | (text == "")).fill_null(value=True).to_numpy()
        known = text.replace_strict(
            dict.fromkeys((*_FALSE, "-1", "-1.0"), 0) | dict.fromkeys((*_TRUE, "+1"), 1),
            default=None,
            return_dtype=pl.UInt8,
        )
    elif column.dtype.is_numeric() or column.dtype in (pl.Boolean, pl.Null):
        number = column.cast(pl.Float64).to_numpy()  # where a null is NaN
        absent = np.isnan(number)
        known = pl.Series((number == 1).astype(np.uint8)).set(pl.Series(~np.isin(number, _LABELS)), None)
    else:
        raise DataError(
            f"a label is 0 or 1; column '{column.name}' holds {column.dtype}: name another label", column=column.name
        )

    def sentence(i: int, at: str) -> str:
        cell = column[i]
        if cell is None or cell == "" or cell != cell:
            return f"a label is 0 or 1; column '{column.name}' is missing in {at}: drop such rows"
        among, way_out = told()
        return f"a label is 0 or 1; column '{column.name}' holds '{short(cell)}' in {at}{among}: {way_out}"

    @cache
    def told() -> tuple[str, str]:
        grades = _grades(column)
        if not grades:
            return "", "name another label, or the value of a click with --positive"
        one = f"{column.name}={grades[-1]:g}" if may_lack else f"{grades[-1]:g}"
        return f", among {len(grades)} numbers from {grades[0]:g} to {grades[-1]:g}", (
            f"make a click of them first, in a column that is 1 where '{column.name}' is at least "
            f"{grades[3 * len(grades) // 5]:g} and else 0, or take one of them for it, as {flag('positive', one)}"
        )

    refuse(null_mask(known) & ~(absent & may_lack), column, place, sentence)
    found: NDArray[np.uint8] = known.fill_null(UNKNOWN).to_numpy()
    return found


def _grades(column: pl.Series) -> list[float]:
    """The different numbers of a label that is graded, rising; none where it is a pair, or a few cells are others."""
    numbers = column.cast(pl.Float64, strict=False).fill_nan(None).drop_nulls()
    others = numbers.filter(~numbers.is_in([-1.0, 0.0, 1.0]))
    grades: list[float] = numbers.unique().sort().to_list()
    return grades if len(grades) > 2 and len(others) > _FEW_OTHERS * len(column) else []


def all_labels(
    chunk: Rows, names: Sequence[str], positive: Mapping[str, str] = MappingProxyType({})
) -> NDArray[np.uint8]:
    """The labels of all tasks, `[rows, tasks]`; where there are several, one that is missing is `UNKNOWN`.

    `positive` says for some of them which text is a click.

    Raises:
        DataError: as in `labels`.
    """
    several = len(names) > 1
    readers = {name: partial(labels, positive=positive.get(name), may_lack=several) for name in names}
    columns = [spread(*chunk.read(name, read)) for name, read in readers.items()]
    return np.stack(columns, axis=1) if columns else np.empty((len(chunk), 0), dtype=np.uint8)


def label_zeros(column: pl.Series) -> set[str]:
    """How the label of a row that is not clicked is written here: as 0, as -1, or both, which no column may do."""
    signed = {"-1", "-1.0"}
    known = column.cast(pl.String).str.strip_chars().unique().drop_nulls()
    return {"-1" if text in signed else "0" for text in known if text in signed | {"0", "0.0"}}


def weights(column: pl.Series, place: Place) -> NDArray[np.float64]:
    """The sample weights; in texts plain numbers with a point, since `1,500` may be two of them.

    Raises:
        DataError: a weight is missing, negative, infinite, or no plain number.
    """
    plain = column.str.strip_chars().cast(pl.Float64, strict=False) if column.dtype == pl.String else column
    weight = numbers(plain.alias(column.name), place)
    refuse(
        ~(np.isfinite(weight) & (weight >= 0)),
        column,
        place,
        lambda i, at: (
            f"a sample weight is finite and at least 0; column '{column.name}' holds '{column[i]}' in {at}: mend the "
            f"value, or leave the row out"
        ),
    )
    return weight


def groups(column: pl.Series, place: Place = lambda row: "") -> NDArray[np.uint64]:
    """A number a group: equal where the cells are equal, all missing ones together."""
    return categorical_text(column, "text", place).hash(seed=0).to_numpy()


def read_roles(chunk: Rows, schema: Schema) -> dict[str, NDArray[Any]]:
    """The `labels` `[rows, tasks]`, and the `weights` and `groups` where the schema names them, of a chunk.

    Raises:
        DataError: a label is missing or not binary, or a weight is missing or negative.
    """
    roles: dict[str, NDArray[Any]] = {}
    if schema.labels:
        roles["labels"] = all_labels(chunk, schema.labels, schema.positive)
    if schema.weight is not None:
        roles["weights"] = spread(*chunk.read(schema.weight, weights))
    if schema.group is not None:
        roles["groups"] = spread(*chunk.read(schema.group, groups))
    return roles


def _as_missing(cell: str) -> str:
    """How to call a cell missing, where the command line can say it."""
    return f"--missing '{cell}' where it stands for none, or " if cell == short(cell) and "'" not in cell else ""


def short(cell: object, most: int = 40) -> str:
    """A cell as a message shows it."""
    text = " ".join(str(cell.to_list() if isinstance(cell, pl.Series) else cell).split())
    return text if len(text) <= most else text[: most - 3] + "..."
