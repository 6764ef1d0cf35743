"""Decide what every column is, over all of it, and say why."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from masknet.encode import values
from masknet.encode.bags import SEPARATORS, TextShapes, likely_separator
from masknet.encode.declared import Declared
from masknet.encode.facts import ColumnFacts
from masknet.encode.leaks import LeakSearch
from masknet.encode.moment_forms import Dated, Epoch, form_of
from masknet.encode.moment_texts import UNITS
from masknet.encode.moments import MomentReader, Times
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
    TimeForm,
    moment_column,
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
_TIME_WORDS = frozenset((
    "time", "timestamp", "ts", "date", "datetime", "dt", "day", "hour", "at", "when", "moment", "created", "updated",
    "unix", "epoch",
))
# fmt: on

LONGEST_LIST = 50
"""Values of a list that are kept unless --max-length says otherwise: a history's last ones tell most. The pairs of a
weighted bag, which have no order, are all kept: libsvm rows that were cut at 50 lost up to .01 of AUC."""


def _is_said_alone(option: str, value: str) -> bool:
    """Whether a flag of this option takes one text, or this one cannot stand among several with commas between."""
    among = value != "" and value == value.strip() and "," not in value and moment_column(value)[1] is None
    return option in ("missing", "decimal", "time") or not among


@dataclass(frozen=True)
class ColumnReport:
    """What was decided about one column, and why.

    Args:
        column: its name.
        kind: categorical, numeric, bag, dense, datetime, label, weight, group, time or ignored.
        why: the reason in a few words.
        distinct: distinct values, missing not counted; exact up to 10,000, else None (and None for lists and the like).
        missing: rows without a value; None of a column that was not read.
        flagged: whether the user should look at the decision.
        hint: the settings that would decide otherwise, pairs of a setting's name and what to give it.
    """

    column: str
    kind: str
    why: str
    distinct: int | None
    missing: int | None
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
    time_form: TimeForm | None = field(default=None, repr=False, compare=False)
    """How the times are written."""
    lengths: dict[str, float] = field(default_factory=dict, repr=False, compare=False)
    """The mean number of values a row, of each column that may be a bag."""

    @property
    def hints(self) -> str:
        """The flags that would follow all hints; empty where there are none.

        >>> report = ColumnReport("ip", "numeric", "integers", 70, 0, flagged=True, hint=(("categorical", "ip"),))
        >>> Inspection(Schema(label="click", fields=()), (report,), rows=100).hints
        '--categorical ip'
        """
        asked: dict[str, dict[str, None]] = {}
        for option, value in (pair for report in self.reports for pair in report.hint):
            asked.setdefault(option, {})[value] = None
        lines = []
        for option, values_of in asked.items():
            together = [value for value in values_of if not _is_said_alone(option, value)]
            texts = [",".join(together)] if together else []
            texts += [value for value in values_of if value not in together]
            lines += [f"--{option.replace('_', '-')} {shlex.quote(text)}" for text in texts]
        return " ".join(lines)

    @property
    def surprises(self) -> tuple[ColumnReport, ...]:
        """What nobody asked for: the flagged, those left out of themselves, and the fields that a warning names."""
        fields = set(self.schema.field_names)

        def surprises(report: ColumnReport) -> bool:
            if report.flagged or report.kind == "ignored":
                return report.why != "declared"
            return report.column in fields and any(f"'{report.column}'" in warning for warning in self.warnings)

        return tuple(filter(surprises, self.reports))

    @property
    def summary(self) -> str:
        """How many columns of each kind there are.

        >>> reports = [ColumnReport(name, "numeric", "numbers", 70, 0) for name in "ab"]
        >>> Inspection(Schema(label="click", fields=()), (*reports, ColumnReport("y", "label", "", 2, 0)), 9).summary
        '3 columns: 2 numeric, 1 label'
        """
        kinds = Counter(report.kind for report in self.reports)
        return f"{len(self.reports):,} columns: {', '.join(f'{n:,} {kind}' for kind, n in kinds.most_common())}"

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
    by_chance: bool = True,
) -> Inspection:
    """Read a whole table once and decide what each of its columns is.

    Args:
        table: what to read.
        declared: what is said of its columns.
        progress: who hears how far it is.
        limit: read only the first so many rows.
        numeric_encoding: of the numbers.
        by_chance: whether the validation rows are drawn by chance where no time is declared, which then is told.

    Raises:
        DataError: a declared column is not there; a label is missing or not binary; a declared moment is none; the
            table has no rows, or no column that a model could read.
    """
    declared.check(table)
    facts = {
        name: ColumnFacts(name, table.typed, missing=declared.missing, decimal=declared.decimal)
        for name in table.columns
        if name not in declared.unread
    }
    _require_fields(facts, table)
    parting = _parting(table, declared, limit)
    for name in declared.bag:
        facts[name].bag = _declared_bag(declared, name, parting[name])
    for name in declared.dense:
        facts[name].vector = True
    readers: dict[str, MomentReader] = {}
    absent: Counter[str] = Counter()
    for name, form in _forms(table, declared, limit).items():
        facts[name].form = form
        kind = Times if name == declared.time_column else MomentReader
        readers[name] = kind(form, missing=declared.missing)
    for name, column in facts.items():
        if _named_like_a_time(name) and name not in readers and declared.kind_of(name) is None:
            column.epoch = Epoch(declared.missing)
    for name in (*declared.categorical, *declared.bag, *declared.hash):
        facts[name].float_texts = values.FloatTexts()
    label_parts: list[NDArray[np.uint8]] = []
    time_parts: list[NDArray[np.float64]] = []
    total = table.estimated_rows() if limit is None else min(limit, table.estimated_rows())
    aside = {*declared.labels, *declared.ignore, declared.weight}
    if declared.time_column is not None and declared.kind_of(declared.time_column) is None:
        aside.add(declared.time_column)
    search = LeakSearch(
        {name: column.bag for name, column in facts.items() if name not in aside},
        rows=total,
        missing=declared.missing,
        decimal=declared.decimal,
    )
    rows = 0
    zeros: dict[str, set[str]] = {name: set() for name in declared.labels if name not in declared.positive}
    for chunk in table.chunks(list(facts), limit=limit):
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
        for name, read in readers.items():
            found = read(chunk.frame[name], chunk.place)
            if name == declared.time_column:
                time_parts.append(found.instants)
            absent[name] += found.wall.null_count()
        for name, column in facts.items():
            column.add(chunk.frame[name])
        if declared.labels:
            search.add(chunk.frame, label_parts[-1])
        progress.track("inspect", rows, max(total, rows))
    if rows == 0:
        raise DataError(f"a table needs rows; {table.name} has a header and none", file=table.name)
    _check_positive(declared, facts, np.concatenate(label_parts), table)
    for name, read in readers.items():
        facts[name].blank_moments = absent[name] - facts[name].missing
        facts[name].zoned = set() if read.zoned is None else {read.zoned}
    fields, reports = _decide(declared, table.columns, facts, numeric_encoding, by_chance=by_chance)
    _require_fields(fields, table)
    _check_parts(fields, table)
    schema = Schema(
        label=declared.label,
        positive=dict(declared.positive),
        fields=tuple(fields),
        weight=declared.weight,
        group=declared.group,
        time=declared.time_column,
        ignored=tuple(report.column for report in reports if report.kind == "ignored"),
    )
    return Inspection(
        schema=schema,
        reports=tuple(reports),
        rows=rows,
        warnings=(*_warnings(reports, facts), *search.sentences(schema.field_names, declared.labels)),
        labels=np.concatenate(label_parts) if declared.labels else None,
        times=np.concatenate(time_parts) if time_parts else None,
        time_form=None if declared.time_column is None else facts[declared.time_column].form,
        lengths={f.name: f.entries / f.rows for f in facts.values() if f.entries},
    )


def _require_fields(fields: Collection[object], table: Table) -> None:
    if not fields:
        raise DataError(
            f"a model needs at least one field; {table.name} has none beside the label: name more columns",
            file=table.name,
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


def _forms(table: Table, declared: Declared, limit: int | None) -> dict[str, TimeForm]:
    """How the moments of each declared column are written: as is declared, or else as the first cells tell."""
    return {
        name: form or form_of((chunk.frame[name] for chunk in table.chunks([name], limit=limit)), declared.missing)
        for name, form in declared.moments.items()
    }


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
    declared: Declared,
    columns: Sequence[str],
    all_facts: Mapping[str, ColumnFacts],
    numeric_encoding: NumericEncodingName,
    *,
    by_chance: bool,
) -> tuple[list[FieldSchema], list[ColumnReport]]:
    roles = dict.fromkeys(declared.labels, "label") | {declared.weight: "weight"}
    beside = {declared.group: "group", declared.time_column: "time"}
    fields: list[FieldSchema] = []
    reports: list[ColumnReport] = []
    moments: list[int] = []
    other_decimal = not any(facts.text_numbers.fractions for facts in all_facts.values())
    for name in columns:
        if name not in all_facts:
            reports.append(ColumnReport(name, "ignored", "declared", distinct=None, missing=None))
            continue
        facts = all_facts[name]
        if name in roles:
            reports.append(_report(facts, _Taken(roles[name], "declared")))
            continue
        kind = declared.kind_of(name)
        if name in beside and kind is None:
            other = "datetime" if beside[name] == "time" else "categorical"
            why = f"declared; name it in --{other} to make it a field too"
            reports.append(_report(facts, _Taken(beside[name], why)))
            continue
        if kind is None and (name in declared.hash or name in declared.share or name in declared.share.values()):
            facts.is_wanted = True
        taken = (
            _kind_of(facts, other_decimal)
            if kind is None
            else _Taken("ignored" if kind == "ignore" else kind, "declared")
        )
        reports.append(_report(facts, taken))
        if (taken.kind == "datetime" or taken.are_moments) and not (reports[-1].missing or facts.words):
            moments.append(len(reports) - 1)
        if taken.kind == "ignored":
            declared.refuse_options(name, taken.why)
        else:
            fields.append(_field(taken.kind, facts, declared, numeric_encoding))
    if by_chance and declared.time is None:
        _hint_at_time(reports, moments, declared)
    return _with_shared(fields, declared), reports


def _hint_at_time(reports: list[ColumnReport], moments: Iterable[int], declared: Declared) -> None:
    """Mark the column that could order the rows: of those whose moments are all known the one with the most distinct.

    The time of an event differs more than when a user was born or signed up. Of equal columns it is the first.
    """
    could = [i for i in moments if reports[i].distinct != 1]
    if not could:
        return
    best = max(could, key=lambda i: reports[i].distinct or np.inf)  # None where they are too many to count
    report = reports[best]
    said = dict(report.hint).get("datetime", report.column)
    also = () if report.column in declared.moments else (("datetime", said),)  # else it would be a field no more
    hint = dict((*report.hint, ("time", said), *also))
    why = f"{report.why}; --time splits by it"
    reports[best] = replace(report, why=why, flagged=True, hint=tuple(hint.items()))


@dataclass(frozen=True)
class _Taken:
    """What a column is taken for where nobody said: the kind, the reason, whether to look, and the flags against it."""

    kind: str
    why: str
    flagged: bool = False
    hint: tuple[tuple[str, str], ...] = ()
    are_moments: bool = False
    """Whether they look like moments, all of them."""


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
        return _Taken("ignored", "structs and nested lists are not read", True)
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
    if "text" in facts.types and facts.all_dates and facts.some_dates:
        why = "texts, many like moments; --datetime tells which is none"
        return _Taken("categorical", why, True, (("datetime", name),))
    likely = None if facts.epoch is None or _named_like_an_id(name) else facts.epoch.likely
    if likely is not None:
        few = distinct is not None and distinct < FEW_DISTINCT
        kind = "categorical" if few or (facts.typed and "text" in facts.types) else "numeric"
        since = f"{likely} since 1970" if likely in UNITS else "dates in digits"
        return _Taken(kind, f"numbers; {since}, with --datetime", True, (("datetime", name),), are_moments=True)
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
    own, dated = facts.each_row_differs, facts.dates.found
    if dated is not None:
        return _dated(name, dated, own)
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


def _dated(name: str, dated: Dated, own: bool) -> _Taken:
    """Texts that are dates, most of them, but none that are read as such by themselves."""
    kind, iso = "ignored" if own else "categorical", dated.form == "iso"
    hint = (("datetime", name if iso else f"{name}={dated.form}"),)
    what = "ISO dates" if iso else f"dates as {dated.form}" + (f" or {dated.either}" if dated.either else "")
    if dated.other is not None:
        why = f"texts; {dated.share:.0%} {what}; '{values.short(dated.other, 20)}' with --missing?"
        return _Taken(kind, why, True, (*hint, ("missing", dated.other)))
    return _Taken(kind, f"texts; {what}, with --datetime", True, hint, are_moments=True)


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


def _named_like_a_time(name: str) -> bool:
    words = _words(name)
    return bool(_TIME_WORDS.intersection(words)) or any(word.endswith(("time", "date", "stamp")) for word in words)


def _report(facts: ColumnFacts, taken: _Taken) -> ColumnReport:
    words = {"numeric": facts.words, "datetime": facts.blank_moments}.get(taken.kind, 0)
    missing = facts.missing + words
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
            form=facts.form or "iso",
            zoned=facts.zoned == {True} if facts.zoned else None,
            missing=declared.missing,
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
        if report.why == "declared" and report.kind == "ignored":
            continue
        column = facts[report.column]
        if report.missing == column.rows:
            yield f"column '{report.column}' is missing in every row"
        elif report.distinct == 1 and not report.missing and report.kind in ("categorical", "numeric", "datetime"):
            yield f"column '{report.column}' is constant: it tells the model nothing"
        if column.infinite and report.kind == "numeric":
            yield (
                f"column '{report.column}' holds {column.infinite} infinite values: "
                f"they are clipped to the finite range of training"
            )
