"""Decide what every column is, over all of it, and say why."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from masknet.encode import values
from masknet.encode.bags import SEPARATORS, TextShapes, likely_separator
from masknet.encode.declared import Declared
from masknet.encode.facts import ColumnFacts
from masknet.encode.leaks import LeakSearch
from masknet.encode.moments import Epoch, Times
from masknet.errors import DataError, unknown
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

_NEARLY_ALL, _NO_CHANCE = 0.9, 1_000
"""Where so many of at least so many texts are different, they are not categories."""

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
    "city", "movie", "song", "artist", "author", "store", "shop", "merchant", "ip", "os", "channel", "aid",
))
_COUNT_WORDS = frozenset((
    "count", "counts", "cnt", "num", "number", "total", "totals", "sum", "past", "times", "days", "hours", "minutes",
    "visits", "clicks", "views", "quantity", "qty", "weeks", "months", "years", "nights", "age", "calls",
    "reviews", "accounts", "rooms", "bedrooms", "beds", "amount", "price", "income", "balance", "limit", "length",
    "duration",
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
        hint: the settings that would decide otherwise, pairs of a setting's name and what to give it.
    """

    column: str
    kind: str
    why: str
    distinct: int | None
    missing: int
    flagged: bool = False
    hint: tuple[tuple[str, str], ...] = ()


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

    @property
    def hints(self) -> str:
        """The flags that would follow all hints; empty where there are none.

        >>> report = ColumnReport("ip", "numeric", "integers", 70, 0, flagged=True, hint=(("categorical", "ip"),))
        >>> Inspection(Schema(label="click", fields=()), (report,), rows=100).hints
        '--categorical ip'
        """
        asked: dict[str, list[str]] = {}
        for option, value in (pair for report in self.reports for pair in report.hint):
            if option in ("missing", "decimal") or (value == value.strip() and "," not in value):
                asked.setdefault(option, []).append(value)  # other names cannot be said among several
        lines = []
        for option, given in asked.items():
            several = dict.fromkeys(given) if option in ("missing", "decimal") else [",".join(given)]
            lines += [f"--{option.replace('_', '-')} {shlex.quote(value)}" for value in several]
        return " ".join(lines)

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
            reports=tuple(ColumnReport(**{**r, "hint": tuple(map(tuple, r.get("hint", ())))}) for r in data["columns"]),
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
    parting = _parting(table, declared, limit)
    for name in declared.bag:
        facts[name].bag = _declared_bag(declared, name, parting[name])
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
    search = LeakSearch(
        {name: column.bag for name, column in facts.items() if name not in aside},
        rows=total,
        missing=declared.missing,
        decimal=declared.decimal,
    )
    rows = 0
    zeros: dict[str, set[str]] = {name: set() for name in declared.labels if name not in declared.positive}
    for chunk in table.chunks(limit=limit):
        rows += len(chunk.frame)
        label_parts.append(values.all_labels(chunk.frame, declared.labels, chunk.place, declared.positive))
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
    _check_positive(declared, facts, np.concatenate(label_parts), table)
    fields, reports = _decide(declared, list(facts.values()), numeric_encoding)
    if not fields:
        raise DataError(
            f"a model needs at least one field; {table.name} has none beside the label: name more columns",
            file=table.name,
        )
    _check_parts(fields, table)
    schema = Schema(
        label=declared.label,
        positive=dict(declared.positive),
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


def _check_positive(
    declared: Declared, facts: Mapping[str, ColumnFacts], labels: NDArray[np.uint8], table: Table
) -> None:
    """Refuse a value of a click that no row has."""
    for task, name in enumerate(declared.labels):
        if name in declared.positive and not (labels[:, task] == 1).any():
            values_there = facts[name].distinct.some
            raise DataError(
                f"--positive names a value of the label; in column '{name}' of {table.name} no row has it: "
                f"{unknown('value', declared.positive[name], values_there)}",
                file=table.name,
                column=name,
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


def _parting(table: Table, declared: Declared, limit: int | None) -> dict[str, dict[str, Any]]:
    """How the texts of each declared bag are parted: as is declared, or else by what stands there.

    Raises:
        DataError: a declared separator stands in no cell.
    """
    shapes = {
        name: TextShapes(dict.fromkeys((*SEPARATORS, declared.separator.get(name, "|")), 0)) for name in declared.bag
    }
    for chunk in table.chunks(list(shapes), limit=limit) if shapes else ():
        for name, found in shapes.items():
            column = chunk.frame[name]
            if column.dtype == pl.String:
                found.add(column.filter(column != ""))
    parting: dict[str, dict[str, Any]] = {}
    for name, found in shapes.items():
        parting[name] = found.parting(declared.separator.get(name))
        if name not in declared.separator:
            continue
        if found.texts and not found.separated[declared.separator[name]]:
            best = likely_separator(found.separated)
            often = found.separated[best]
            also = f" ('{best}' stands in {often / found.texts:.0%} of them)" if often else ""
            raise DataError(
                f"the separator of a bag stands in some of its cells; '{declared.separator[name]}' stands in no cell "
                f"of column '{name}' of {table.name}{also}: pass --separator {name}=... with another, or leave it out",
                file=table.name,
                column=name,
            )
        if not found.texts:
            raise DataError(
                f"--separator is for bags whose cells are texts; those of column '{name}' of {table.name} are not: "
                f"leave it out",
                file=table.name,
                column=name,
            )
    return parting


def _decide(
    declared: Declared, all_facts: Sequence[ColumnFacts], numeric_encoding: NumericEncodingName
) -> tuple[list[FieldSchema], list[ColumnReport]]:
    roles = dict.fromkeys(declared.labels, "label") | {declared.weight: "weight", declared.time: "time"}
    fields: list[FieldSchema] = []
    reports: list[ColumnReport] = []
    other_decimal = not any(facts.text_numbers.fractions for facts in all_facts)
    for facts in all_facts:
        name = facts.name
        if name in roles:
            reports.append(_report(facts, _Taken(roles[name], "declared")))
            continue
        kind = declared.kind_of(name)
        if name == declared.group and kind is None:
            why = "declared; name it in --categorical to make it a field too"
            reports.append(_report(facts, _Taken("group", why)))
            continue
        if kind is None and (name in declared.hash or name in declared.share or name in declared.share.values()):
            facts.is_wanted = True
        taken = (
            _kind_of(facts, other_decimal)
            if kind is None
            else _Taken("ignored" if kind == "ignore" else kind, "declared")
        )
        reports.append(_report(facts, taken))
        if taken.kind != "ignored":
            fields.append(_field(taken.kind, facts, declared, numeric_encoding))
    return _with_shared(fields, declared), reports


@dataclass(frozen=True)
class _Taken:
    """What a column is taken for where nobody said: the kind, the reason, whether to look, and the flags against it."""

    kind: str
    why: str
    flagged: bool = False
    hint: tuple[tuple[str, str], ...] = ()


_OF_EACH_ROW = _Taken("ignored", "a value of its own in each row; --categorical keeps it", True)
"""An id of the row tells nothing of any other row."""


def _kind_of(facts: ColumnFacts, other_decimal: bool) -> _Taken:
    """What a column is taken for where nobody said.

    Args:
        facts: of the column.
        other_decimal: whether no column has decimals as they are declared, so that all may have the other ones.
    """
    name, distinct = facts.name, facts.distinct.count(facts.value_type)
    if "nested" in facts.types:
        return _Taken("ignored", "structs, bytes, durations and nested lists are not read", True)
    if facts.empty:
        return _Taken("ignored", "missing in every row", True)
    if "list" in facts.types:
        return _kind_of_lists(facts)
    if "temporal" in facts.types:
        return _Taken("ignored", "times of day are not read", True)
    if facts.are_moments:
        if len(facts.zoned) > 1:
            return _Taken("ignored", "some moments name their zone, some do not", True)
        return _Taken("datetime", "dates and times")
    if "boolean" in facts.types or facts.all_booleans:
        return _Taken("categorical", "booleans")
    if facts.is_saved_index:
        return _Taken("ignored", "the index that pandas saved")
    if "text" in facts.types and facts.all_dates:
        why = "texts, many like moments; --datetime tells which is none"
        return _Taken("categorical", why, True, (("datetime", name),))
    if facts.typed and "text" in facts.types:
        return _kind_of_texts(facts, other_decimal)
    if facts.are_integers:
        if _named_like_an_id(name):
            if facts.each_row_differs:
                return _OF_EACH_ROW
            return _Taken("categorical", "integers, named like an id or code")
        if distinct is not None and distinct < FEW_DISTINCT:
            if _named_like_a_count(name):
                why = f"integers, under {FEW_DISTINCT} distinct; if counts, --numeric"
                return _Taken("categorical", why, True, (("numeric", name),))
            return _Taken("categorical", f"integers, under {FEW_DISTINCT} distinct")
        if _named_like_a_count(name):
            return _Taken("numeric", "integers")
        if facts.each_row_differs:
            return _Taken("numeric", "integers, another in each row; if ids, --ignore", True, (("ignore", name),))
        return _Taken("numeric", "integers; if ids, --categorical", True, (("categorical", name),))
    if facts.all_numbers and facts.words < facts.rows - facts.missing:
        if _has_an_id_word(name) or (_named_like_an_id(name) and not facts.fractional):
            return _Taken("numeric", "numbers; if ids, --categorical", True, (("categorical", name),))
        return _Taken("numeric", "numbers, not all of them integers" if facts.fractional else "numbers")
    return _kind_of_texts(facts, other_decimal)


def _kind_of_texts(facts: ColumnFacts, other_decimal: bool) -> _Taken:
    """Texts are categories; where most of them look like something else, that is to be looked at."""
    texts, name, shapes = facts.text_numbers, facts.name, facts.shapes
    if texts.others_decimal and texts.numbers + texts.others_decimal >= _MOST * (texts.numbers + texts.wrong):
        if texts.decimal == ",":
            return _Taken("categorical", "texts; numbers with a point, where --decimal is ,", True)
        if other_decimal:
            return _Taken("categorical", "texts; numbers with --decimal ,", True, (("decimal", ","),))
    own = facts.each_row_differs
    if texts.wrong and (shapes.are_prose or shapes.are_listed or shapes.separator):
        what = f"most with '{shapes.separator}'"
        what = "lists in brackets" if shapes.are_listed else "several words each" if shapes.are_prose else what
        read = "each its own; --bag reads parts" if own else "--bag reads the parts"
        return _Taken("ignored" if own else "categorical", f"texts, {what}; {read}", True, (("bag", name),))
    if own:
        return _OF_EACH_ROW
    if texts.padded or "text" not in facts.types or _named_like_an_id(name):
        return _Taken("categorical", "texts")
    if texts.numbers and texts.share >= _MOST:
        if not texts.wrong:
            hint = () if texts.whole else (("numeric", name),)
            return _Taken("categorical", "texts" if texts.whole else "texts, all numbers; --numeric", bool(hint), hint)
        (other, times), *_ = texts.others.most_common(1) or [("", texts.wrong)]
        why = f"texts; {texts.share:.0%} are numbers; '{values.short(other, 20)}' ({times:,}) with --missing?"
        hint = (("missing", other),) if other else ()
        return _Taken("categorical", why, True, (("numeric", name), *hint) if facts.typed and hint else hint)
    distinct, known = facts.distinct.count(facts.value_type), facts.rows - facts.missing
    if distinct is not None and known >= _NO_CHANCE and distinct >= _NEARLY_ALL * known:
        return _Taken("categorical", "texts, nearly each its own; --ignore leaves out", True, (("ignore", name),))
    return _Taken("categorical", "texts")


def _kind_of_lists(facts: ColumnFacts) -> _Taken:
    if "float" in facts.types and facts.types <= {"list", "float", "integer"}:
        if len(facts.lengths) == 1 and min(facts.lengths) > 1 and not facts.pairs:
            return _Taken("dense", f"lists of {min(facts.lengths)} numbers")
        return _Taken("ignored", "lists of fractional numbers, of several lengths; --bag or --dense", True)
    mean = facts.entries / max(1, facts.rows - facts.missing)
    return _Taken("bag", f"{'weighted ' if facts.pairs else ''}lists, {mean:.3g} values a row")


def _words(name: str) -> list[str]:
    """The words of a name, whether blanks, underscores or capitals part them."""
    return re.findall(r"[a-z]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).lower())


def _has_an_id_word(name: str) -> bool:
    return bool(_ID_WORDS.intersection(_words(name)))


def _named_like_an_id(name: str) -> bool:
    words = _words(name)
    return _has_an_id_word(name) or bool(words and words[-1] in _ENTITIES)


def _named_like_a_count(name: str) -> bool:
    return bool(_COUNT_WORDS.intersection(_words(name)))


def _report(facts: ColumnFacts, taken: _Taken) -> ColumnReport:
    missing = facts.missing + (facts.words if taken.kind == "numeric" else 0)
    distinct = facts.distinct.count(facts.value_type)
    return ColumnReport(facts.name, taken.kind, taken.why, distinct, missing, taken.flagged, taken.hint)


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


def _declared_bag(declared: Declared, name: str, parting: Mapping[str, Any]) -> Bag:
    return Bag(
        name=name,
        buckets=declared.hash.get(name),
        separator=parting.get("separator", "|"),
        form=parting.get("form", "separated"),
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
