"""Decide what every column is, over all of it, and say why."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from masknet.encode import values
from masknet.encode.bags import SEPARATORS, likely_separator
from masknet.encode.declared import Declared
from masknet.encode.facts import ColumnFacts
from masknet.encode.leaks import LeakSearch
from masknet.encode.moments import Epoch, Times
from masknet.errors import DataError
from masknet.progress import Progress
from masknet.schema import (
    Bag,
    Categorical,
    Datetime,
    Dense,
    FieldSchema,
    Numeric,
    NumericEncodingName,
    Schema,
)
from masknet.table import Table

__all__ = ["ColumnReport", "Inspection", "inspect_table"]

_MOST = 0.8
"""Of the texts of a column so many numbers make it look like one of numbers."""

FEW_DISTINCT = 50
"""Integers with fewer distinct values than this are categorical."""

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

LONGEST_LIST = 50
"""Values of a list that are kept unless --max-length says otherwise: a history's last ones tell most. The pairs of a
weighted bag, which have no order, are all kept: libsvm rows that were cut at 50 lost up to .01 of AUC."""


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
    facts = {
        name: ColumnFacts(name, table.typed, missing=declared.missing, decimal=declared.decimal)
        for name in table.columns
    }
    separators = _separators(table, declared, limit)
    for name in declared.bag:
        facts[name].bag = _declared_bag(declared, name, separators)
    for name in declared.dense:
        facts[name].vector = True
    for name in declared.datetime:
        facts[name].epoch = Epoch()
    for name in (*declared.categorical, *declared.bag, *declared.hash):
        facts[name].float_texts = values.FloatTexts()
    label_parts: list[NDArray[np.uint8]] = []
    time_parts: list[NDArray[np.float64]] = []
    read_time = Times()
    total = table.estimated_rows() if limit is None else min(limit, table.estimated_rows())
    aside = {*declared.labels, *declared.ignore, declared.weight, declared.time}
    search = LeakSearch({name: column.bag for name, column in facts.items() if name not in aside}, rows=total)
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
                    f"{chunk.place(len(chunk.frame) - 1)}): name another label, or map its values first",
                    file=chunk.source,
                    column=name,
                )
        if declared.weight is not None:
            values.weights(chunk.frame[declared.weight], chunk.place)
        if declared.time is not None:
            time_parts.append(read_time(chunk.frame[declared.time], chunk.place))
        for name, column in facts.items():
            column.add(chunk.frame[name])
        if declared.labels:
            search.add(chunk.frame, label_parts[-1])
        progress.track("inspect", rows, max(total, rows))
    if rows == 0:
        raise DataError(f"a table needs rows; {table.name} has a header and none", file=table.name)
    fields, reports = _decide(declared, list(facts.values()), numeric_encoding)
    if not fields:
        raise DataError(
            f"a model needs at least one field; {table.name} has none beside the label: name more columns",
            file=table.name,
        )
    _check_parts(fields, table)
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
        warnings=(*_warnings(reports, facts), *search.sentences(schema.field_names, declared.labels)),
        labels=np.concatenate(label_parts) if declared.labels else None,
        times=np.concatenate(time_parts) if time_parts else None,
        lengths={f.name: f.entries / f.rows for f in facts.values() if f.entries},
    )


def _check_parts(fields: Sequence[FieldSchema], table: Table) -> None:
    """Refuse a moment one of whose parts is named as another field is."""
    names = {one.name for one in fields}
    for moment in (one for one in fields if isinstance(one, Datetime)):
        taken = [part for part in moment.parts if part in names]
        if taken:
            raise DataError(
                f"a moment is read as three fields, named after it; '{taken[0]}' would be one of '{moment.name}' and "
                f"is a column of {table.name} too: rename it, leave one of them out with --ignore, or declare "
                f"'{moment.name}' with --categorical",
                file=table.name,
                column=moment.name,
            )


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
                f"stand in brackets, as lists do: write them without, or as lists to Parquet",
                file=table.name,
                column=name,
            )
        best = likely_separator(found)
        chosen[name] = declared.separator.get(name, best)
        if name in declared.separator and texts[name] and not found[chosen[name]]:
            also = f" ('{best}' stands in {found[best] / texts[name]:.0%} of them)" if found[best] else ""
            raise DataError(
                f"the separator of a bag stands in some of its cells; '{chosen[name]}' stands in no cell of column "
                f"'{name}' of {table.name}{also}: pass --separator {name}=... with another, or leave it out",
                file=table.name,
                column=name,
            )
        if name in declared.separator and not texts[name]:
            raise DataError(
                f"--separator is for bags whose cells are texts; those of column '{name}' of {table.name} are not: "
                f"leave it out",
                file=table.name,
                column=name,
            )
    return chosen


def _decide(
    declared: Declared, all_facts: Sequence[ColumnFacts], numeric_encoding: NumericEncodingName
) -> tuple[list[FieldSchema], list[ColumnReport]]:
    roles = dict.fromkeys(declared.labels, "label") | {declared.weight: "weight", declared.time: "time"}
    fields: list[FieldSchema] = []
    reports: list[ColumnReport] = []
    for facts in all_facts:
        name = facts.name
        if name in roles:
            reports.append(_report(facts, roles[name], "declared"))
            continue
        kind = declared.kind_of(name)
        if name == declared.group and kind is None:
            reports.append(_report(facts, "group", "declared; name it in --categorical to make it a field too"))
            continue
        if kind is None:
            kind, why, flagged = _kind_of(facts)
        else:
            kind, why, flagged = "ignored" if kind == "ignore" else kind, "declared", False
        reports.append(_report(facts, kind, why, flagged))
        if kind != "ignored":
            fields.append(_field(kind, facts, declared, numeric_encoding))
    return _with_shared(fields, declared), reports


def _kind_of(facts: ColumnFacts) -> tuple[str, str, bool]:
    """What a column is taken for where nobody said: the kind, the reason, and whether to look at it."""
    distinct = facts.distinct.count(facts.value_type)
    named_like_an_id = _named_like_an_id(facts.name)
    if "nested" in facts.types:
        return "ignored", "structs, bytes, durations and nested lists are not read", True
    if facts.empty:
        return "ignored", "missing in every row", True
    if "list" in facts.types:
        return _kind_of_lists(facts)
    if "temporal" in facts.types:
        return "ignored", "times of day are not read", True
    if facts.are_moments:
        if len(facts.zoned) > 1:
            return "ignored", "some moments name their zone, some do not", True
        return "datetime", "dates and times", False
    if "boolean" in facts.types or facts.all_booleans:
        return "categorical", "booleans", False
    if "text" in facts.types and facts.all_dates:
        return "categorical", "texts, many like moments; --datetime tells which is none", True
    if facts.typed and "text" in facts.types:
        return _kind_of_texts(facts)
    if facts.are_integers:
        if named_like_an_id:
            return "categorical", "integers, named like an id or code", False
        if distinct is not None and distinct < FEW_DISTINCT:
            return "categorical", f"integers, under {FEW_DISTINCT} distinct", False
        return "numeric", "integers; if ids, --categorical", True
    if facts.all_numbers and facts.words < facts.rows - facts.missing:
        if named_like_an_id:
            return "numeric", "numbers; if ids, --categorical", True
        return "numeric", "numbers, not all of them integers", False
    return _kind_of_texts(facts)


def _kind_of_texts(facts: ColumnFacts) -> tuple[str, str, bool]:
    """Texts are categories; where most of them are written as numbers are, that is to be looked at."""
    texts = facts.text_numbers
    if texts.padded or "text" not in facts.types or _named_like_an_id(facts.name):
        return "categorical", "texts", False
    if texts.commas and texts.numbers + texts.commas >= _MOST * (texts.numbers + texts.wrong):
        return "categorical", "texts; numbers with --decimal ,", True
    if texts.numbers and texts.share >= _MOST:
        if not texts.wrong:
            return "categorical", "texts" if texts.whole else "texts, all numbers; --numeric", not texts.whole
        (other, times), *_ = texts.others.most_common(1) or [("", texts.wrong)]
        shown = values.short(other, 20)
        return "categorical", f"texts; {texts.share:.0%} are numbers; '{shown}' ({times:,}) with --missing?", True
    return "categorical", "texts", False


def _kind_of_lists(facts: ColumnFacts) -> tuple[str, str, bool]:
    if "float" in facts.types and facts.types <= {"list", "float", "integer"}:
        if len(facts.lengths) == 1 and min(facts.lengths) > 1 and not facts.pairs:
            return "dense", f"lists of {min(facts.lengths)} numbers", False
        return "ignored", "lists of fractional numbers, of several lengths; --bag or --dense", True
    mean = facts.entries / max(1, facts.rows - facts.missing)
    return "bag", f"{'weighted ' if facts.pairs else ''}lists, {mean:.3g} values a row", False


def _named_like_an_id(name: str) -> bool:
    words = re.findall(r"[a-z]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).lower())
    return bool(_ID_WORDS.intersection(words)) or bool(words and words[-1] in _ENTITIES)


def _report(facts: ColumnFacts, kind: str, why: str, flagged: bool = False) -> ColumnReport:
    missing = facts.missing + (facts.words if kind == "numeric" else 0)
    return ColumnReport(facts.name, kind, why, facts.distinct.count(facts.value_type), missing, flagged)


def _field(kind: str, facts: ColumnFacts, declared: Declared, numeric_encoding: NumericEncodingName) -> FieldSchema:
    name = facts.name
    for option, kinds in _OPTIONS_OF.items():
        if name in getattr(declared, option) and kind not in kinds:
            raise DataError(
                f"--{option.replace('_', '-')} is for columns of the kind {' or '.join(kinds)}; '{name}' is {kind}: "
                f"leave it out, or declare the column with --{kinds[0]}",
                column=name,
            )
    if kind == "categorical":
        return Categorical(name=name, values=facts.value_type, buckets=declared.hash.get(name))
    if kind == "bag":
        bag = facts.bag or _declared_bag(declared, name, {})
        weighted = bag.weighted or facts.pairs
        pooling = declared.pooling.get(name, "sum" if weighted else "mean")
        update: dict[str, Any] = {"values": facts.value_type, "weighted": weighted, "pooling": pooling}
        if bag.max_length is None and not weighted:
            update["max_length"] = LONGEST_LIST
        return bag.model_copy(update=update)
    if kind == "dense":
        return Dense(name=name, width=_width(facts), projected=name in declared.project)
    if kind == "datetime":
        return Datetime(
            name=name,
            form="iso" if facts.epoch is None else facts.epoch.form,
            zoned=facts.zoned == {True} if facts.zoned else None,  # of two kinds, those with a zone are refused
            encoding=numeric_encoding,
        )
    return Numeric(name=name, encoding=numeric_encoding, missing=declared.missing, decimal=declared.decimal)


def _declared_bag(declared: Declared, name: str, separators: Mapping[str, str]) -> Bag:
    return Bag(
        name=name,
        buckets=declared.hash.get(name),
        separator=separators.get(name, "|"),
        weighted=name in declared.weighted,
        ordered=name in declared.ordered,
        max_length=declared.max_length.get(name),
    )


def _width(facts: ColumnFacts) -> int:
    """The commonest number of numbers in a cell; encoding refuses the others, and says where they stand."""
    if not facts.lengths or facts.lengths.most_common(1)[0][0] < 1:
        raise DataError(
            f"a dense column holds lists of numbers; column '{facts.name}' holds none: leave it out of --dense",
            column=facts.name,
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
                    f"it with --categorical or --bag",
                    column=n,
                )
        if owner in declared.share or name == owner:
            raise DataError(
                f"--share names the field that keeps the vocabulary; '{owner}' itself is to read that of "
                f"'{declared.share[owner]}': name a field that keeps its own",
                column=name,
            )
    for owner in dict.fromkeys(declared.share.values()):
        group = [owner, *(name for name, of in declared.share.items() if of == owner)]
        kinds = {by_name[name].values for name in group}  # type: ignore[union-attr]
        common = kinds.pop() if len(kinds) == 1 else "text"
        for name in group:
            update = {"values": common} | ({} if name == owner else {"shares": owner, "buckets": None})
            by_name[name] = by_name[name].model_copy(update=update)
    return list(by_name.values())


def _warnings(reports: Sequence[ColumnReport], facts: dict[str, ColumnFacts]) -> Iterable[str]:
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
