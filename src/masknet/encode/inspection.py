"""Decide what every column is, over all of it, and say why."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from masknet.encode import values
from masknet.encode.cells import bag_parts, moments, vector_parts
from masknet.errors import DataError, unknown
from masknet.progress import Progress
from masknet.schema import (
    Bag,
    Categorical,
    Datetime,
    Dense,
    FieldSchema,
    Label,
    Numeric,
    NumericEncodingName,
    Schema,
    TimeForm,
    ValueType,
    labels_of,
)
from masknet.space import Pooling
from masknet.table import Table

__all__ = ["ColumnReport", "Declared", "Inspection", "inspect_table"]

FEW_DISTINCT = 50
"""Integers with fewer distinct values than this are categorical."""

_COUNT_UP_TO = 10_000
SEPARATORS = ("|", ";", ",", " ")
"""What may separate the values of a bag of texts, where nothing is declared."""

_DATE = r"^\s*[0-9]{4}-[0-9]{2}-[0-9]{2}"
_OPTIONS_OF = {
    "hash": ("categorical", "bag"),
    "share": ("categorical", "bag"),
    "separator": ("bag",),
    "max_length": ("bag",),
    "pooling": ("bag",),
    "weighted": ("bag",),
    "ordered": ("bag",),
    "project": ("dense",),
}

# Words that make an integer column one of ids or codes, wherever they stand in its name, and the entities whose bare
# name stands for their id in click logs.
_ID_WORDS = frozenset(
    ("id", "ids", "idx", "uid", "uuid", "guid", "gid", "code", "codes", "key", "hash", "zip", "zipcode", "postcode")
)
# fmt: off
_ENTITIES = frozenset((
    "user", "item", "ad", "ads", "campaign", "creative", "advertiser", "publisher", "site", "app",
    "page", "product", "sku", "brand", "category", "device", "query", "country", "region", "state",
    "city", "movie", "song", "artist", "author", "store", "shop", "merchant",
))
# fmt: on


_DECLARED_KINDS = ("categorical", "numeric", "bag", "dense", "datetime", "ignore")


@dataclass(frozen=True)
class Declared:
    """What the user said about the columns; everything else is inferred.

    Args:
        label, weight, group, time: columns that play these parts.
        categorical, numeric, bag, dense, datetime, ignore: columns of that kind.
        hash: fields without a vocabulary, and how many buckets they have.
        share: fields that read the vocabulary of another one.
        separator: what stands between the values of a bag whose cells are texts.
        max_length: values of a bag that are kept in a row, the last ones.
        pooling: how the values of a bag become one embedding.
        weighted: bags whose texts are `value:weight`.
        ordered: bags whose order carries meaning.
        project: dense fields that enter through a learned projection.
    """

    label: Label = None
    weight: str | None = None
    group: str | None = None
    time: str | None = None
    categorical: tuple[str, ...] = ()
    numeric: tuple[str, ...] = ()
    bag: tuple[str, ...] = ()
    dense: tuple[str, ...] = ()
    datetime: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    hash: Mapping[str, int] = field(default_factory=dict)
    share: Mapping[str, str] = field(default_factory=dict)
    separator: Mapping[str, str] = field(default_factory=dict)
    max_length: Mapping[str, int] = field(default_factory=dict)
    pooling: Mapping[str, Pooling] = field(default_factory=dict)
    weighted: tuple[str, ...] = ()
    ordered: tuple[str, ...] = ()
    project: tuple[str, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """The columns to predict, one a task."""
        return labels_of(self.label)

    def kind_of(self, name: str) -> str | None:
        """The kind that a column is declared to be; None where it is not."""
        return next((kind for kind in _DECLARED_KINDS if name in getattr(self, kind)), None)

    def check(self, table: Table) -> None:
        """Refuse names that the table does not have, and columns with two parts.

        Raises:
            DataError: a column is not there, or is given two parts that exclude each other.
        """
        for option in ("hash", "share", "separator", "max_length", "pooling", "weighted", "ordered", "project"):
            for name in getattr(self, option):
                if name not in table.columns:
                    flag = option.replace("_", "-")
                    raise DataError(
                        f"--{flag} names a column of {table.name}: {unknown('column', name, table.columns)}"
                    )
        parts: dict[str, str] = {}
        roles = [(name, "label") for name in self.labels] + [(self.weight, "weight"), (self.time, "time")]
        fields = [(name, kind) for kind in _DECLARED_KINDS for name in getattr(self, kind)]
        group = [(self.group, "group")]
        for name, part in [pair for pair in roles + fields + group if pair[0] is not None]:
            if name not in table.columns:
                raise DataError(f"--{part} names a column of {table.name}: {unknown('column', name, table.columns)}")
            # A group may be a field too: a user is both.
            if name in parts and (part != "group" or parts[name] in ("label", "weight")):
                raise DataError(f"a column plays one part; '{name}' is given to --{parts[name]} and --{part}: keep one")
            parts.setdefault(name, part)


@dataclass(frozen=True)
class ColumnReport:
    """What was decided about one column, and why.

    Args:
        column: its name.
        kind: categorical, numeric, bag, dense, datetime, label, weight, group, time or ignored.
        why: the reason in a few words.
        distinct: distinct values, missing not counted; exact up to 10,000, else None (and None for lists and the like).
        missing: rows without a value.
        flagged: whether the user should look at the decision.
    """

    column: str
    kind: str
    why: str
    distinct: int | None
    missing: int
    flagged: bool = False


@dataclass(frozen=True)
class Inspection:
    """The schema of a table, a report on each column, and what must be known of all rows before they are split."""

    schema: Schema
    reports: tuple[ColumnReport, ...]
    rows: int
    warnings: tuple[str, ...] = ()
    labels: NDArray[np.uint8] | None = field(default=None, repr=False, compare=False)
    """`[rows, tasks]`."""
    times: NDArray[np.float64] | None = field(default=None, repr=False, compare=False)
    lengths: dict[str, float] = field(default_factory=dict, repr=False, compare=False)
    """The mean number of values a row, of each column that may be a bag."""

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready copy, without the rows."""
        return {
            "rows": self.rows,
            "schema": self.schema.model_dump(mode="json"),
            "columns": [asdict(report) for report in self.reports],
            "warnings": list(self.warnings),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Inspection:
        """The inverse of `to_json`."""
        return cls(
            schema=Schema.model_validate(data["schema"]),
            reports=tuple(ColumnReport(**report) for report in data["columns"]),
            rows=data["rows"],
            warnings=tuple(data["warnings"]),
        )


class _Distinct:
    """Distinct values of a stream, exact up to a bound; what is pending is merged when it outgrows what is known."""

    def __init__(self) -> None:
        self._known: pl.Series | None = None
        self._pending: list[pl.Series] = []
        self._num_pending = 0
        self.overflow = False

    def add(self, column: pl.Series) -> None:
        if self.overflow:
            return
        # As texts at once: three distinct numbers keep the memory of the whole chunk that they are from.
        fresh = column.drop_nulls().unique().cast(pl.String)
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

    def count(self, value_type: ValueType) -> int | None:
        """How many, where 7 and 7.0, or true and True, may be one value; None where there are too many to count."""
        self._merge()
        if self.overflow:
            return None
        return 0 if self._known is None else values.canonical(self._known, value_type).n_unique()


class Epoch:
    """Which numbers a column of moments holds: dates, dates with hours, or a count since 1970."""

    def __init__(self) -> None:
        self._words = self._numbers = 0
        self._low, self._high = np.inf, -np.inf
        self._dates = True

    def add(self, column: pl.Series) -> None:
        if column.dtype == pl.String:
            text = column.str.strip_chars()
            column = text.filter(~text.str.to_lowercase().is_in(["", *values.MISSING_NUMBERS]))
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
        """That of most cells: the others are refused where they are read, which tells where they stand."""
        if self._numbers <= self._words:
            return "iso"
        if self._low >= 10_000_000 and self._high < 100_000_000:
            return "yyyymmdd" if self._dates and 19_000_000 <= self._low <= self._high < 22_000_000 else "yymmddhh"
        size = max(abs(self._low), abs(self._high))
        return "seconds" if size < 1e11 else "milliseconds" if size < 1e14 else "microseconds"


class _ColumnFacts:
    """What all rows of one column say about it, gathered chunk by chunk."""

    def __init__(self, name: str, typed: bool) -> None:
        self.name = name
        self.typed = typed
        self.rows = self.missing = self.infinite = self.words = 0
        self.types: set[str] = set()
        self.all_integers = self.all_numbers = self.all_booleans = self.all_dates = self.all_moments = True
        self.zoned: set[bool] = set()
        self.distinct = _Distinct()
        self.bag: Bag | None = None
        """How to part the cells of a declared bag."""
        self.vector = False
        """Whether texts are to be read as vectors: the column is declared so."""
        self.epoch: Epoch | None = None
        """The forms that the numbers of a declared moment may have."""
        self.entries = 0
        self.lengths: Counter[int] = Counter()
        self.pairs = False

    def add(self, column: pl.Series) -> None:
        dtype = column.dtype
        if isinstance(dtype, pl.List | pl.Array) or (self.bag is not None and dtype != pl.Null):
            self._add_parts(bag_parts(column, None if self.bag is None else self.bag.separator))
            return
        if self.vector and dtype == pl.String:
            self._add_parts(vector_parts(column))
            return
        if self.epoch is not None and (dtype.is_numeric() or dtype == pl.String):
            self.epoch.add(column)
        self.rows += len(column)
        if values.is_nested(dtype):
            self.types.add("nested")
            self.missing += column.null_count()
            self.distinct.overflow = True
            return
        known = column.drop_nulls()
        if dtype == pl.String:
            known = known.filter(known != "")
            self._add_text(known)
        elif dtype.is_float():
            known = known.drop_nans()
            finite = known.filter(known.is_finite())
            self.infinite += len(known) - len(finite)
            self.types.add("float")
            self.all_integers &= len(finite) == len(known) and bool((finite == finite.floor()).all())
            self.all_booleans = False
        elif isinstance(dtype, pl.Decimal):
            self.types.add("float")
            self.all_integers &= dtype.scale == 0  # 7.00 is no integer's text
            self.all_booleans = False
        elif dtype == pl.Boolean:
            self.types.add("boolean")
            self.all_integers = self.all_numbers = False
        elif dtype.is_integer():
            self.types.add("integer")
            self.all_booleans = False
        elif isinstance(dtype, pl.Date | pl.Datetime):
            self.types.add("moment")
            self.zoned.add(getattr(dtype, "time_zone", None) is not None)
            self.all_integers = self.all_numbers = self.all_booleans = False
        elif dtype != pl.Null:
            self.types.add("temporal")
            self.all_integers = self.all_numbers = self.all_booleans = False
        self.missing += len(column) - len(known)
        self.distinct.add(known)

    def _add_parts(self, parts: pl.Series) -> None:
        """The values in the cells of a bag, or of a vector; each counts for the type of the values."""
        self.types.add("list")
        lengths = parts.list.len().fill_null(0)
        self.lengths.update(dict(lengths.filter(lengths > 0).value_counts().iter_rows()))
        self.entries += int(lengths.sum())
        rows, missing = self.rows + len(parts), self.missing + int((lengths == 0).sum())
        flat = parts.explode(empty_as_null=False, keep_nulls=False)
        if isinstance(flat.dtype, pl.Struct) and len(flat.dtype.fields) == 2:
            self.pairs = True
            flat = flat.struct.unnest().to_series(0)
        elif flat.dtype == pl.String and self.bag is not None and self.bag.weighted:
            flat = flat.str.replace(r":[^:]*$", "")
        if flat.dtype == pl.String:
            flat = flat.str.strip_chars()
        if values.is_nested(flat.dtype):
            self.types.add("nested")
        else:
            within, self.bag, self.vector = (self.bag, self.vector), None, False
            self.add(flat.alias(self.name))
            self.bag, self.vector = within
        self.rows, self.missing = rows, missing

    def _add_text(self, known: pl.Series) -> None:
        self.types.add("text")
        if self.all_dates:
            self.all_dates = bool(known.str.contains(_DATE).all())
            self.all_moments = self.all_moments and self.all_dates and self._are_moments(known)
        if self.all_integers:
            self.all_integers = bool(known.str.contains(values.CANONICAL_INTEGER).all())
        if self.all_booleans:
            self.all_booleans = bool(known.str.to_lowercase().is_in(["true", "false"]).all())
        if self.all_numbers:
            word = known.str.strip_chars().str.to_lowercase().is_in(values.MISSING_NUMBERS)
            self.words += int(word.sum())
            number = known.filter(~word).str.strip_chars()
            parsed = number.cast(pl.Float64, strict=False)
            self.all_numbers = not parsed.null_count() and not number.str.contains(values.ZERO_PADDED).any()
            self.infinite += int(parsed.is_infinite().sum() or 0) if self.all_numbers else 0

    @property
    def are_moments(self) -> bool:
        """Whether the column holds dates and times, typed or as ISO texts."""
        return bool(self.types) and self.types <= {"moment", "text"} and self.all_dates and self.all_moments

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
        if self.all_integers:
            return "integer"
        return "boolean" if self.all_booleans else "text"

    @property
    def named_like_an_id(self) -> bool:
        words = re.findall(r"[a-z]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", self.name).lower())
        return bool(_ID_WORDS.intersection(words)) or bool(words and words[-1] in _ENTITIES)

    def decide(self) -> tuple[str, str, bool]:
        """The kind, the reason, and whether to look at it."""
        distinct = self.distinct.count(self.value_type)
        if "nested" in self.types:
            return "ignored", "structs, bytes, durations and nested lists are not read", True
        if self.empty:
            return "ignored", "missing in every row", True
        if "list" in self.types:
            return self._decide_list()
        if "temporal" in self.types:
            return "ignored", "times of day are not read", True
        if self.are_moments:
            if len(self.zoned) > 1:
                return "ignored", "some moments name their zone, some do not", True
            return "datetime", "dates and times", False
        if "boolean" in self.types or self.all_booleans:
            return "categorical", "booleans", False
        if "text" in self.types and self.all_dates:
            return "categorical", "texts, many like moments; --datetime tells which is none", True
        if self.typed and "text" in self.types:
            return "categorical", "texts", False
        if self.all_integers:
            if self.named_like_an_id:
                return "categorical", "integers, named like an id or code", False
            if distinct is not None and distinct < FEW_DISTINCT:
                return "categorical", f"integers, under {FEW_DISTINCT} distinct", False
            return "numeric", "integers; if ids, --categorical", True
        if self.all_numbers and self.words < self.rows - self.missing:
            if self.named_like_an_id:
                return "numeric", "numbers; if ids, --categorical", True
            return "numeric", "numbers, not all of them integers", False
        return "categorical", "texts", False

    def _decide_list(self) -> tuple[str, str, bool]:
        if "float" in self.types and self.types <= {"list", "float", "integer"}:
            if len(self.lengths) == 1 and min(self.lengths) > 1 and not self.pairs:
                return "dense", f"lists of {min(self.lengths)} numbers", False
            return "ignored", "lists of fractional numbers, of several lengths; --bag or --dense", True
        mean = self.entries / max(1, self.rows - self.missing)
        return "bag", f"{'weighted ' if self.pairs else ''}lists, {mean:.3g} values a row", False

    def report(self, kind: str, why: str, flagged: bool = False) -> ColumnReport:
        missing = self.missing + (self.words if kind == "numeric" else 0)
        return ColumnReport(self.name, kind, why, self.distinct.count(self.value_type), missing, flagged)


def inspect_table(
    table: Table,
    declared: Declared,
    progress: Progress,
    *,
    limit: int | None = None,
    numeric_encoding: NumericEncodingName = "linear",
) -> Inspection:
    """Read a whole table once and decide what each of its columns is.

    Raises:
        DataError: a declared column is not there; a label is missing or not binary; the table has no rows, or no
            column that a model could read.
    """
    declared.check(table)
    facts = {name: _ColumnFacts(name, table.typed) for name in table.columns}
    separators = _separators(table, declared, limit)
    for name in declared.bag:
        facts[name].bag = _declared_bag(declared, name, separators)
    for name in declared.dense:
        facts[name].vector = True
    for name in declared.datetime:
        facts[name].epoch = Epoch()
    label_parts: list[NDArray[np.uint8]] = []
    time_parts: list[NDArray[np.float64]] = []
    total = table.estimated_rows() if limit is None else min(limit, table.estimated_rows())
    rows = 0
    zeros: dict[str, set[str]] = {name: set() for name in declared.labels}
    for chunk in table.chunks(limit=limit):
        rows += len(chunk.frame)
        label_parts.append(values.all_labels(chunk.frame, declared.labels, chunk.place))
        for name, seen in zeros.items():
            seen |= values.label_zeros(chunk.frame[name])
            if len(seen) > 1:
                raise DataError(
                    f"a label is 0 or 1, or it is -1 or 1; column '{name}' holds both 0 and -1 (seen by "
                    f"{chunk.place(len(chunk.frame) - 1)}): name another label, or map its values first"
                )
        if declared.weight is not None:
            values.weights(chunk.frame[declared.weight], chunk.place)
        if declared.time is not None:
            time_parts.append(values.times(chunk.frame[declared.time], chunk.place))
        for name, column in facts.items():
            column.add(chunk.frame[name])
        progress.track("inspect", rows, max(total, rows))
    if rows == 0:
        raise DataError(f"a table needs rows; {table.name} has a header and none")
    fields, reports = _decide(declared, list(facts.values()), numeric_encoding)
    if not fields:
        raise DataError(f"a model needs at least one field; {table.name} has none beside the label: name more columns")
    schema = Schema(
        label=declared.label,
        fields=tuple(fields),
        weight=declared.weight,
        group=declared.group,
        time=declared.time,
        ignored=tuple(report.column for report in reports if report.kind == "ignored"),
    )
    return Inspection(
        schema=schema,
        reports=tuple(reports),
        rows=rows,
        warnings=tuple(_warnings(reports, facts)),
        labels=np.concatenate(label_parts) if declared.labels else None,
        times=np.concatenate(time_parts) if time_parts else None,
        lengths={f.name: f.entries / f.rows for f in facts.values() if f.entries},
    )


def likely_separator(found: Mapping[str, int]) -> str:
    """The separator that stands in most cells, given how many each stands in; a blank only where no other does."""
    best = max(SEPARATORS[:-1], key=lambda separator: found[separator])
    return best if found[best] else " " if found[" "] else SEPARATORS[0]


def _separators(table: Table, declared: Declared, limit: int | None) -> dict[str, str]:
    """What separates the values of each declared bag of texts: what is declared, or else what stands there.

    Raises:
        DataError: a declared separator stands in no cell.
    """
    counts = {name: dict.fromkeys((*SEPARATORS, declared.separator.get(name, "|")), 0) for name in declared.bag}
    texts, bracketed = dict.fromkeys(counts, 0), dict.fromkeys(counts, 0)
    for chunk in table.chunks(list(counts), limit=limit) if counts else ():
        for name, found in counts.items():
            column = chunk.frame[name]
            if column.dtype == pl.String:
                known = column.filter(column != "")
                texts[name] += len(known)
                bracketed[name] += int(known.str.contains(r"^\s*\[.*\]\s*$").sum() or 0)
                for separator in found:
                    found[separator] += int(column.str.contains(separator, literal=True).sum() or 0)
    chosen = {}
    for name, found in counts.items():
        if texts[name] and bracketed[name] == texts[name]:
            raise DataError(
                f"the texts of a bag are values with a separator between them; all of column '{name}' of {table.name} "
                f"stand in brackets, as lists do: write them without, or as lists to Parquet"
            )
        best = likely_separator(found)
        chosen[name] = declared.separator.get(name, best)
        if name in declared.separator and texts[name] and not found[chosen[name]]:
            also = f" ('{best}' stands in {found[best] / texts[name]:.0%} of them)" if found[best] else ""
            raise DataError(
                f"the separator of a bag stands in some of its cells; '{chosen[name]}' stands in no cell of column "
                f"'{name}' of {table.name}{also}: pass --separator {name}=... with another, or leave it out"
            )
        if name in declared.separator and not texts[name]:
            raise DataError(
                f"--separator is for bags whose cells are texts; those of column '{name}' of {table.name} are not: "
                f"leave it out"
            )
    return chosen


def _decide(
    declared: Declared, all_facts: Sequence[_ColumnFacts], numeric_encoding: NumericEncodingName
) -> tuple[list[FieldSchema], list[ColumnReport]]:
    roles = dict.fromkeys(declared.labels, "label") | {declared.weight: "weight", declared.time: "time"}
    fields: list[FieldSchema] = []
    reports: list[ColumnReport] = []
    for facts in all_facts:
        name = facts.name
        if name in roles:
            reports.append(facts.report(roles[name], "declared"))
            continue
        kind = declared.kind_of(name)
        if name == declared.group and kind is None:
            reports.append(facts.report("group", "declared; name it in --categorical to make it a field too"))
            continue
        if kind is None:
            kind, why, flagged = facts.decide()
        else:
            kind, why, flagged = "ignored" if kind == "ignore" else kind, "declared", False
        reports.append(facts.report(kind, why, flagged))
        if kind != "ignored":
            fields.append(_field(kind, facts, declared, numeric_encoding))
    return _with_shared(fields, declared), reports


def _field(kind: str, facts: _ColumnFacts, declared: Declared, numeric_encoding: NumericEncodingName) -> FieldSchema:
    name = facts.name
    for option, kinds in _OPTIONS_OF.items():
        if name in getattr(declared, option) and kind not in kinds:
            raise DataError(
                f"--{option.replace('_', '-')} is for columns of the kind {' or '.join(kinds)}; '{name}' is {kind}: "
                f"leave it out, or declare the column with --{kinds[0]}"
            )
    if kind == "categorical":
        return Categorical(name=name, values=facts.value_type, buckets=declared.hash.get(name))
    if kind == "bag":
        bag = facts.bag or _declared_bag(declared, name, {})
        weighted = bag.weighted or facts.pairs
        pooling = declared.pooling.get(name, "sum" if weighted else "mean")
        return bag.model_copy(update={"values": facts.value_type, "weighted": weighted, "pooling": pooling})
    if kind == "dense":
        return Dense(name=name, width=_width(facts), projected=name in declared.project)
    if kind == "datetime":
        return Datetime(
            name=name,
            form="iso" if facts.epoch is None else facts.epoch.form,
            zoned=facts.zoned == {True} if facts.zoned else None,  # of two kinds, those with a zone are refused
            encoding=numeric_encoding,
        )
    return Numeric(name=name, encoding=numeric_encoding)


def _declared_bag(declared: Declared, name: str, separators: Mapping[str, str]) -> Bag:
    return Bag(
        name=name,
        buckets=declared.hash.get(name),
        separator=separators.get(name, "|"),
        weighted=name in declared.weighted,
        ordered=name in declared.ordered,
        max_length=declared.max_length.get(name, Bag.model_fields["max_length"].default),
    )


def _width(facts: _ColumnFacts) -> int:
    """The commonest number of numbers in a cell; encoding refuses the others, and says where they stand."""
    if not facts.lengths or facts.lengths.most_common(1)[0][0] < 1:
        raise DataError(
            f"a dense column holds lists of numbers; column '{facts.name}' holds none: leave it out of --dense"
        )
    return facts.lengths.most_common(1)[0][0]


def _with_shared(fields: Sequence[FieldSchema], declared: Declared) -> list[FieldSchema]:
    """The fields, those that share a vocabulary with one type of values between them."""
    by_name = {field.name: field for field in fields}
    for name, owner in declared.share.items():
        sharing = [by_name.get(n) for n in (name, owner)]
        for n, one in zip((name, owner), sharing, strict=True):
            if not isinstance(one, Categorical | Bag):
                what = "is no field" if one is None else f"is {one.kind}"
                raise DataError(
                    f"--share FIELD=OTHER joins the vocabularies of categorical fields and bags; '{n}' {what}: declare "
                    f"it with --categorical or --bag"
                )
        if owner in declared.share or name == owner:
            raise DataError(
                f"--share names the field that keeps the vocabulary; '{owner}' itself is to read that of "
                f"'{declared.share[owner]}': name a field that keeps its own"
            )
    for owner in dict.fromkeys(declared.share.values()):
        group = [owner, *(name for name, of in declared.share.items() if of == owner)]
        kinds = {by_name[name].values for name in group}  # type: ignore[union-attr]
        common = kinds.pop() if len(kinds) == 1 else "text"
        for name in group:
            update = {"values": common} | ({} if name == owner else {"shares": owner, "buckets": None})
            by_name[name] = by_name[name].model_copy(update=update)
    return list(by_name.values())


def _warnings(reports: Sequence[ColumnReport], facts: dict[str, _ColumnFacts]) -> Iterable[str]:
    for report in reports:
        column = facts[report.column]
        if report.why == "declared" and report.kind == "ignored":
            continue
        if report.missing == column.rows:
            yield f"column '{report.column}' is missing in every row"
        elif report.distinct == 1 and not report.missing and report.kind in ("categorical", "numeric", "datetime"):
            yield f"column '{report.column}' is constant: it tells the model nothing"
        if column.infinite and report.kind == "numeric":
            yield (
                f"column '{report.column}' holds {column.infinite} infinite values: "
                f"they are clipped to the finite range of training"
            )
