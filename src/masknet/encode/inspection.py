"""Decide what every column is, over all of it, and say why."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from masknet.encode import values
from masknet.errors import DataError, unknown
from masknet.progress import Progress
from masknet.schema import Categorical, FieldSchema, Numeric, Schema, ValueType
from masknet.table import Table

__all__ = ["ColumnReport", "Declared", "Inspection", "inspect_table"]

FEW_DISTINCT = 50
"""Integers with fewer distinct values than this are categorical."""

_COUNT_UP_TO = 10_000

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


@dataclass(frozen=True)
class Declared:
    """What the user said about the columns; everything else is inferred."""

    label: str | None = None
    weight: str | None = None
    group: str | None = None
    time: str | None = None
    categorical: tuple[str, ...] = ()
    numeric: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()

    def check(self, table: Table) -> None:
        """Refuse names that the table does not have, and columns with two parts.

        Raises:
            DataError: a column is not there, or is given two parts that exclude each other.
        """
        parts: dict[str, str] = {}
        roles = [(getattr(self, role), role) for role in ("label", "weight", "time")]
        fields = [(name, kind) for kind in ("categorical", "numeric", "ignore") for name in getattr(self, kind)]
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
        kind: categorical, numeric, label, weight, group, time or ignored.
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
    times: NDArray[np.float64] | None = field(default=None, repr=False, compare=False)

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
        fresh = column.drop_nulls().unique()
        self._pending.append(fresh)
        self._num_pending += len(fresh)
        if self._num_pending > max(4 * _COUNT_UP_TO, 0 if self._known is None else len(self._known)):
            self._merge()

    def _merge(self) -> None:
        parts = self._pending if self._known is None else [self._known, *self._pending]
        if parts:
            self._known = pl.concat([part.cast(pl.String) for part in parts]).unique()
        self._pending, self._num_pending = [], 0
        if self._known is not None and len(self._known) > _COUNT_UP_TO:
            self.overflow, self._known = True, None

    def count(self, value_type: ValueType) -> int | None:
        """How many, where 7 and 7.0, or true and True, may be one value; None where there are too many to count."""
        self._merge()
        if self.overflow:
            return None
        return 0 if self._known is None else values.canonical(self._known, value_type).n_unique()


class _ColumnFacts:
    """What all rows of one column say about it, gathered chunk by chunk."""

    def __init__(self, name: str, typed: bool) -> None:
        self.name = name
        self.typed = typed
        self.rows = self.missing = self.infinite = self.words = 0
        self.types: set[str] = set()
        self.all_integers = self.all_numbers = self.all_booleans = True
        self.distinct = _Distinct()

    def add(self, column: pl.Series) -> None:
        dtype = column.dtype
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
        elif dtype != pl.Null:
            self.types.add("temporal")
            self.all_integers = self.all_numbers = self.all_booleans = False
        self.missing += len(column) - len(known)
        self.distinct.add(known)

    def _add_text(self, known: pl.Series) -> None:
        self.types.add("text")
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
            return "ignored", "lists, structs, bytes and durations are not read yet", True
        if self.empty:
            return "ignored", "missing in every row", True
        if "temporal" in self.types:
            return "ignored", "dates and times are not read yet", True
        if "boolean" in self.types or self.all_booleans:
            return "categorical", "booleans", False
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

    def report(self, kind: str, why: str, flagged: bool = False) -> ColumnReport:
        missing = self.missing + (self.words if kind == "numeric" else 0)
        return ColumnReport(self.name, kind, why, self.distinct.count(self.value_type), missing, flagged)


def inspect_table(table: Table, declared: Declared, progress: Progress, *, limit: int | None = None) -> Inspection:
    """Read a whole table once and decide what each of its columns is.

    Raises:
        DataError: a declared column is not there; a label is missing or not binary; the table has no rows, or no
            column that a model could read.
    """
    declared.check(table)
    facts = {name: _ColumnFacts(name, table.typed) for name in table.columns}
    label_parts: list[NDArray[np.uint8]] = []
    time_parts: list[NDArray[np.float64]] = []
    total = table.estimated_rows() if limit is None else min(limit, table.estimated_rows())
    rows = 0
    zeros: set[str] = set()
    for chunk in table.chunks(limit=limit):
        rows += len(chunk.frame)
        if declared.label is not None:
            label_parts.append(values.labels(chunk.frame[declared.label], chunk.place))
            zeros |= values.label_zeros(chunk.frame[declared.label])
            if len(zeros) > 1:
                raise DataError(
                    f"a label is 0 or 1, or it is -1 or 1; column '{declared.label}' holds both 0 and -1 (seen by "
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
    fields, reports = _decide(declared, facts.values())
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
        labels=np.concatenate(label_parts) if label_parts else None,
        times=np.concatenate(time_parts) if time_parts else None,
    )


def _decide(declared: Declared, all_facts: Iterable[_ColumnFacts]) -> tuple[list[FieldSchema], list[ColumnReport]]:
    roles = {declared.label: "label", declared.weight: "weight", declared.time: "time"}
    fields: list[FieldSchema] = []
    reports: list[ColumnReport] = []
    for facts in all_facts:
        name = facts.name
        if name in roles:
            reports.append(facts.report(roles[name], "declared"))
            continue
        if name == declared.group and name not in declared.categorical + declared.numeric + declared.ignore:
            reports.append(facts.report("group", "declared; name it in --categorical to make it a field too"))
            continue
        if name in declared.categorical:
            kind, why, flagged = "categorical", "declared", False
        elif name in declared.numeric:
            kind, why, flagged = "numeric", "declared", False
        elif name in declared.ignore:
            kind, why, flagged = "ignored", "declared", False
        else:
            kind, why, flagged = facts.decide()
        reports.append(facts.report(kind, why, flagged))
        if kind == "categorical":
            fields.append(Categorical(name=name, values=facts.value_type))
        elif kind == "numeric":
            fields.append(Numeric(name=name))
    return fields, reports


def _warnings(reports: Sequence[ColumnReport], facts: dict[str, _ColumnFacts]) -> Iterable[str]:
    for report in reports:
        column = facts[report.column]
        if report.why == "declared" and report.kind == "ignored":
            continue
        if report.missing == column.rows:
            yield f"column '{report.column}' is missing in every row"
        elif report.distinct == 1 and not report.missing and report.kind in ("categorical", "numeric"):
            yield f"column '{report.column}' is constant: it tells the model nothing"
        if column.infinite and report.kind == "numeric":
            yield (
                f"column '{report.column}' holds {column.infinite} infinite values: "
                f"they are clipped to the finite range of training"
            )
