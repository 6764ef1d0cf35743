"""Decide what every column is, over all of it, and say why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from masknet.encode import values
from masknet.encode.bags import SEPARATORS, TextShapes, likely_separator
from masknet.encode.coded import coded_chunks
from masknet.encode.declared import Declared
from masknet.encode.facts import ColumnFacts
from masknet.encode.kept import KeptRows
from masknet.encode.leaks import LeakSearch
from masknet.encode.moment_forms import Epoch, form_of
from masknet.encode.moments import MomentReader, Times
from masknet.encode.reports import ColumnReport, Inspection
from masknet.encode.taken import Taken, named_like_a_time, taken_for
from masknet.encode.workers import Workers
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
)
from masknet.table import Table, spread

__all__ = ["inspect_table"]

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

LONGEST_LIST = 50
"""Values of a list that are kept unless --max-length says otherwise: a history's last ones tell most. The pairs of a
weighted bag, which have no order, are all kept: libsvm rows that were cut at 50 lost up to .01 of AUC."""


def inspect_table(
    table: Table,
    declared: Declared,
    progress: Progress,
    *,
    limit: int | None = None,
    numeric_encoding: NumericEncodingName = "linear",
    by_chance: bool = True,
    keep: KeptRows | None = None,
) -> Inspection:
    """Read a whole table once and decide what each of its columns is.

    Args:
        table: what to read.
        declared: what is said of its columns.
        progress: who hears how far it is.
        limit: read only the first so many rows.
        numeric_encoding: of the numbers.
        by_chance: whether the validation rows are drawn by chance where no time is declared, which then is told.
        keep: keeps what is read.

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
        if named_like_a_time(name) and name not in readers and declared.kind_of(name) is None:
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
    with Workers() as workers, closing(coded_chunks(table.chunks(list(facts), limit=limit), workers)) as chunks:
        for coded in chunks:
            rows += len(coded)
            label_parts.append(values.all_labels(coded, declared.labels, declared.positive))
            for name, seen in zeros.items():
                seen |= values.label_zeros(coded.columns[name].cells)
                if len(seen) > 1:
                    raise DataError(
                        f"a label is 0 or 1, or it is -1 or 1; column '{name}' holds both 0 and -1 (seen by "
                        f"{coded.place(len(coded) - 1)}): name another label, or map its values first",
                        file=coded.source,
                        column=name,
                    )
            if declared.weight is not None:
                coded.read(declared.weight, values.weights)
            for name, read in readers.items():
                found, codes = coded.read(name, read)
                if name == declared.time_column:
                    time_parts.append(spread(found.instants, codes))
                absent[name] += coded.columns[name].count(found.wall.is_null())
            tasks: list[Callable[[], None]] = [] if keep is None else [partial(keep.add, coded)]
            if declared.labels:
                tasks.append(partial(search.add, coded.columns, label_parts[-1]))
            tasks += [partial(column.add, coded.columns[name]) for name, column in facts.items()]
            workers.each(lambda task: task(), tasks)
            progress.track("inspect", rows, max(total, rows))
    if rows == 0:
        raise DataError(f"a table needs rows; {table.name} has a header and none", file=table.name)
    labels = np.concatenate(label_parts)
    label_parts.clear()  # of ten million rows as much again
    _check_positive(declared, facts, labels, table)
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
    with Workers() as workers:
        leaks = list(search.sentences(schema.field_names, declared.labels, each=workers.each))
    return Inspection(
        schema=schema,
        reports=tuple(reports),
        rows=rows,
        warnings=(*_warnings(reports, facts), *leaks),
        labels=labels if declared.labels else None,
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
            reports.append(_report(facts, Taken(roles[name], "declared")))
            continue
        kind = declared.kind_of(name)
        if name in beside and kind is None:
            other = "datetime" if beside[name] == "time" else "categorical"
            why = f"declared; name it in --{other} to make it a field too"
            reports.append(_report(facts, Taken(beside[name], why)))
            continue
        if kind is None and (name in declared.hash or name in declared.share or name in declared.share.values()):
            facts.is_wanted = True
        taken = (
            taken_for(facts, other_decimal)
            if kind is None
            else Taken("ignored" if kind == "ignore" else kind, "declared")
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


def _report(facts: ColumnFacts, taken: Taken) -> ColumnReport:
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
