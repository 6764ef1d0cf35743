"""The rows that a comparison is measured on: another table, or a tenth of the data that no model sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from masknet.config import RunConfig
from masknet.encode import EncodedRows, EncodedSet, Encoder, Prepared, inspect_table, read_roles, values
from masknet.encode.skew import far_above, percent
from masknet.encode.split import latest_rows, random_rows
from masknet.errors import DataError, unknown
from masknet.progress import Progress
from masknet.schema import UNKNOWN, Schema
from masknet.slices import Slice, SliceColumn
from masknet.table import Table, split_rows
from masknet.train import declared_of

__all__ = ["MeasuredRows", "Seen", "held_out", "overlap", "read_test", "table_hashes"]

_SHARE = 0.1
_KEPT = 1_000_000
"""Hashes of rows that are compared, about."""
_LEAST = 20
_AT_ONCE = 8192


def held_out(table: Table, config: RunConfig, progress: Progress) -> tuple[Table, Table]:
    """The rows to train and validate on, and those to test on: the last tenth by `--time`, or a random one.

    The same rows in every comparison of the table; by chance they are drawn of each class alike.

    Raises:
        DataError: the label or the time is not what it has to be, or there are too few rows.
    """
    declared = declared_of(config)
    declared.check(table)
    if config.time is not None:
        inspection = inspect_table(table, declared, progress, limit=config.limit_rows)
        assert inspection.times is not None
        marked = latest_rows(inspection.times, form=inspection.time_form or "iso", share=_SHARE)
    else:
        parts = [
            values.all_labels(chunk, declared.labels, declared.positive)
            for chunk in table.chunks(declared.labels, limit=config.limit_rows)
        ]
        if not parts:
            raise DataError(f"a table needs rows; {table.name} has a header and none", file=table.name)
        marked = random_rows(np.concatenate(parts), _SHARE)
    return split_rows(table, marked)


@dataclass(frozen=True)
class MeasuredRows:
    """What is known of the test rows beside their fields.

    Args:
        labels: `[rows, labels]`: 0, 1, or `UNKNOWN` where there are several.
        weights: `[rows]`, or None.
        groups: `[rows]`, or None.
        slices: by column.
        baseline: the scores of a model in production, `[rows]`, or None.
    """

    labels: NDArray[np.uint8]
    weights: NDArray[np.float64] | None
    groups: NDArray[np.uint64] | None
    slices: dict[str, list[Slice]]
    baseline: NDArray[np.float64] | None

    def __len__(self) -> int:
        """Rows."""
        return len(self.labels)

    def known(self, task: int) -> NDArray[np.bool_]:
        """Which rows have a label of a task."""
        known: NDArray[np.bool_] = self.labels[:, task] != UNKNOWN
        return known


def read_test(
    table: Table,
    encoder: Encoder,
    config: RunConfig,
    *,
    slices: Sequence[str] = (),
    baseline: str | None = None,
    probabilities: bool = True,
) -> MeasuredRows:
    """Read what a comparison needs of its test rows, and refuse those that tell nothing.

    Args:
        table: the test rows.
        encoder: of the models.
        config: the settings of all.
        slices: columns by whose values to measure too.
        baseline: the column of a production model's scores.
        probabilities: whether they are probabilities.

    Raises:
        DataError: a column is missing, a cell is not what it has to be, or a label has one class.
    """
    schema = encoder.schema
    _require(table, schema, slices, baseline)
    fields = {field.name: field for field in schema.fields}
    form: dict[str, Any] = {"missing": config.missing, "decimal": config.decimal}
    cut = {name: SliceColumn(name, fields.get(name), **form) for name in slices}
    roles: dict[str, list[NDArray[Any]]] = {"labels": [np.empty((0, len(schema.labels)), dtype=np.uint8)]}
    scores: list[NDArray[np.float64]] = []
    wanted = (*schema.role_names, *cut, *(() if baseline is None else (baseline,)))
    for chunk in table.chunks(list(dict.fromkeys(wanted)), limit=config.limit_rows):
        for name, array in read_roles(chunk, schema).items():
            roles.setdefault(name, []).append(array)
        for column in cut.values():
            column.add(chunk)
        if baseline is not None:
            numbers = _numbers(chunk.frame[baseline], chunk.place, **form)
            scores.append(_scores(numbers, chunk.place, baseline, probabilities=probabilities))
    columns = {name: np.concatenate(parts) for name, parts in roles.items()}
    labels = columns["labels"]
    weights = columns.get("weights")
    for name, of_label in zip(schema.labels, labels.T, strict=True):
        heavy = np.ones(len(labels), dtype=np.bool_) if weights is None else weights > 0
        counted = [int(np.count_nonzero((of_label == label) & heavy)) for label in (0, 1)]
        if not all(counted):
            none = f"there is none{'' if weights is None else ' with a weight above 0'}"
            have = f"all {sum(counted):,} are {int(counted[1] > 0)}" if any(counted) else none
            raise DataError(
                f"a comparison needs test rows of both classes; of '{name}' in {table.name} {have}: name other rows "
                f"with --test",
                file=table.name,
                column=name,
            )
    return MeasuredRows(
        labels=labels,
        weights=weights,
        groups=columns.get("groups"),
        slices={name: column.slices() for name, column in cut.items()},
        baseline=np.concatenate(scores) if scores else None,
    )


def _require(table: Table, schema: Schema, slices: Sequence[str], baseline: str | None) -> None:
    reasons = dict.fromkeys(schema.field_names, "the models read it")
    reasons |= dict.fromkeys(filter(None, schema.role_names), "a comparison reads it of its test rows")
    reasons |= {} if baseline is None else {baseline: "--baseline-score names it"}
    for name in table.lacks(reasons):
        raise DataError(
            f"column '{name}' is missing from {table.name}; {reasons[name]}: name test rows that have it",
            file=table.name,
            column=name,
        )
    for name in slices:
        if name not in table.columns:
            raise DataError(f"a slice is by a column of {table.name}: {unknown('column', name, table.columns)}")


def _numbers(column: pl.Series, place: values.Place, **form: Any) -> NDArray[np.float64]:
    try:
        return values.numbers(column, place, **form)
    except values.BadCellsError as error:
        wrong = int(error.wrong.argmax())
        held = f"'{values.short(column[wrong])}' in {place(wrong)}"
    except DataError:  # no column of numbers or texts
        held = str(column.dtype)
    raise DataError(
        f"the scores of a baseline are numbers; column '{column.name}' holds {held}: name another --baseline-score, or "
        f"mend the column",
        column=column.name,
    )


def _scores(
    found: NDArray[np.float64], place: values.Place, column: str, *, probabilities: bool
) -> NDArray[np.float64]:
    lacking = ~np.isfinite(found)
    if lacking.any():
        row = int(lacking.argmax())
        raise DataError(
            f"a baseline has a finite score for every test row; {place(row)} has "
            f"{'none' if np.isnan(found[row]) else f'{found[row]:g}'} in column '{column}': fill them, or leave those "
            f"rows out",
            column=column,
        )
    outside = (found < 0) | (found > 1)
    if probabilities and outside.any():
        row = int(outside.argmax())
        raise DataError(
            f"the scores of a baseline are probabilities; {place(row)} has {found[row]:g} in column '{column}': pass "
            f"--baseline-is score where they are logits, or rank alone",
            column=column,
        )
    return found


def overlap(prepared: Prepared, table: Table, limit: int | None) -> str | None:
    """What to tell where many test rows are rows that were trained or validated on, else None."""
    sets = [_hashes_of(part) for part in (prepared.train, prepared.valid) if part is not None]
    seen = Seen.of(np.concatenate(sets), table_hashes(prepared.encoder, table, limit))
    if not seen.plain:
        return None
    return (
        f"{percent(seen.share)} of the test rows are training or validation rows too, label and all fields alike (of "
        f"those {percent(seen.twice)} come twice): they measure what was learned by heart; name other rows with --test"
    )


@dataclass(frozen=True)
class Seen:
    """How many test rows a model has seen in training.

    Args:
        rows: how many of them are training rows too, label and all fields alike.
        share: of the test rows.
        twice: the share of training rows that come twice, so that equal rows are no surprise.
        plain: whether that is more than chance.
    """

    rows: int
    share: float
    twice: float
    plain: bool

    @classmethod
    def of(cls, known: NDArray[np.uint64], test: NDArray[np.uint64]) -> Seen:
        """By the hashes of training rows and of test rows."""
        every = max(1, -(-len(known) // _KEPT))
        known, kept = _kept(known, every), _kept(test, every)
        if min(len(known), len(kept)) < _LEAST:
            return cls(0, 0.0, 0.0, plain=False)
        distinct, counts = np.unique(known, return_counts=True)
        twice, share = float(counts[counts > 1].sum() / len(known)), float(np.isin(kept, distinct).mean())
        return cls(round(share * len(test)), share, twice, plain=far_above(share, twice))


def table_hashes(encoder: Encoder, table: Table, limit: int | None) -> NDArray[np.uint64]:
    """A number a row, equal where what a model reads of it and its labels are."""
    schema = encoder.schema
    columns = list(dict.fromkeys((*schema.field_names, *schema.role_names)))
    parts = [
        _hashes(encoder.encode(piece), read_roles(piece, schema)["labels"])
        for chunk in table.chunks(columns, limit=limit)
        for piece in chunk.pieces(encoder.rows_at_once)
    ]
    return np.concatenate([np.empty(0, dtype=np.uint64), *parts])


def _kept(hashes: NDArray[np.uint64], every: int) -> NDArray[np.uint64]:
    few: NDArray[np.uint64] = hashes[hashes % np.uint64(every) == 0]
    return few


def _hashes_of(rows: EncodedSet) -> NDArray[np.uint64]:
    parts = [np.empty(0, dtype=np.uint64)]
    for start in range(0, len(rows), _AT_ONCE):
        span = slice(start, start + _AT_ONCE)
        parts.append(_hashes(rows.take(span), np.asarray(rows.labels[span])))
    return np.concatenate(parts)


def _hashes(rows: EncodedRows, labels: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """A number a row: equal where ids, values, vectors and labels are."""
    words = [rows.ids, np.broadcast_to(rows.values, rows.ids.shape).view(np.int32), labels.astype(np.int32)]
    if rows.dense is not None:
        words.append(rows.dense.view(np.int32))
    hashed: NDArray[np.uint64] = pl.from_numpy(np.hstack(words)).hash_rows().to_numpy()
    return hashed
