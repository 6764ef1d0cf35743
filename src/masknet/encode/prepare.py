"""From a table to encoded rows, once: inspected, split, learned from and encoded, or taken from the cache.

A set in the cache is keyed by a fingerprint of all that made it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import platformdirs
import polars as pl
from numpy.typing import NDArray

from masknet import __version__
from masknet.draws import keyed_uniform
from masknet.encode import values
from masknet.encode.coded import CodedChunk, coded_chunks
from masknet.encode.declared import Declared
from masknet.encode.encoder import Encoder, EncoderLearner
from masknet.encode.fields import EncodedRows
from masknet.encode.inspection import inspect_table
from masknet.encode.kept import KeptRows
from masknet.encode.overlap import Overlap
from masknet.encode.reports import Inspection
from masknet.encode.sift import BadRows, Quarantine, declared_checks, schema_checks
from masknet.encode.skew import FieldCount, ValueCounts
from masknet.encode.split import latest_rows, random_rows
from masknet.encode.store import EncodedSet, SetWriter
from masknet.encode.workers import Workers, ahead
from masknet.errors import DataError
from masknet.places import locked, sweep, temporary_folder
from masknet.progress import Progress
from masknet.schema import UNKNOWN, NumericEncodingName, Schema
from masknet.table import ROWS, Table

__all__ = ["EncodingPlan", "Prepared", "default_cache", "prepare"]

FORMAT = 10
"""Raised whenever the same table and settings would encode differently."""

_COUNTS_FILE = "counts.json"
_NEGATIVES_KEY = 20210217  # fixed, as the split is: runs of several seeds are compared on the same rows


def default_cache() -> Path:
    """Where encoded sets lie unless told otherwise."""
    return platformdirs.user_cache_path("masknet")


@dataclass(frozen=True)
class EncodingPlan:
    """All that decides how a table is encoded and split, beside the table itself.

    The settings of a run of the same names say what each means. Two are none of them: `raw_numbers` asks for
    `EncodedRows.numbers`, for models that want the number as it was read, and not its knots, and `by_time` for
    `EncodedSet.order`, for models that learn from the rows in the order of their times.
    """

    declared: Declared
    valid_fraction: float | None = None
    valid_after: str | None = None
    min_count: int = 1
    max_vocabulary: int | None = None
    numeric_encoding: NumericEncodingName = "linear"
    negative_rate: float = 1.0
    limit_rows: int | None = None
    bad_rows: Literal["refuse", "quarantine"] = "refuse"
    raw_numbers: bool = False
    by_time: bool = False


@dataclass(frozen=True)
class Prepared:
    """Encoded training and validation rows; `valid` is None where both were joined for a refit.

    `counts` are those of the parts `train` and `valid`; `warnings` are of the columns, and of a validation table.
    """

    encoder: Encoder
    inspection: Inspection
    train: EncodedSet
    valid: EncodedSet | None
    fingerprint: str
    counts: Mapping[str, ValueCounts]
    warnings: tuple[str, ...] = ()
    bad_rows: BadRows | None = None

    @property
    def shares(self) -> dict[str, dict[str, dict[str, float]]]:
        """Of each field how often it is missing, and its values unseen, in training and in validation rows."""
        parts = {part: counts.shares() for part, counts in self.counts.items()}
        return {
            name: {part: shares[name] for part, shares in parts.items() if name in shares}
            for name in self.encoder.schema.field_names
        }


@dataclass(frozen=True)
class _Source:
    """Rows to encode, and which of them are to validate."""

    kept: KeptRows
    to_valid: NDArray[np.bool_]

    def chunks(self, columns: Sequence[str], at_most: int = ROWS) -> Iterator[tuple[CodedChunk, NDArray[np.bool_]]]:
        start = 0
        for chunk in self.kept.chunks(columns, at_most):
            end = start + len(chunk)
            yield chunk, self.to_valid[start:end]
            start = end


def prepare(
    table: Table,
    valid: Table | None,
    plan: EncodingPlan,
    progress: Progress,
    *,
    cache: Path | None = None,
    verify: bool = False,
    join: bool = False,
) -> Prepared:
    """Inspect, split and encode, or open what an earlier call with the same table and plan left in the cache.

    Args:
        table: the training table.
        valid: the validation table, or None to split one off as the plan says.
        plan: how to encode and split.
        cache: the folder of encoded sets.
        verify: read data files whole to see whether they changed.
        join: encode all rows of both tables as training rows, for a refit.

    Raises:
        DataError: the tables, their columns or values are not what the plan asks for, or the disk is too small.
    """
    for one in () if join else filter(None, (table, valid)):
        one.tell(progress)
    cache = (default_cache() if cache is None else cache) / "encoded"
    tables = [one and one.fingerprint(verify=verify, but=_unread(one, table, plan)) for one in (table, valid)]
    same = valid is not None and tables[0] == tables[1]
    parts = [tables, asdict(plan), join, FORMAT, __version__]
    fingerprint = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    folder = cache / fingerprint[:40]
    cache.mkdir(parents=True, exist_ok=True)
    sweep(cache)
    waiting = partial(progress.note, f"another process is encoding {table.name}: waiting for it")
    with locked(cache / f".{folder.name}.lock", waiting):
        prepared = _made(folder, fingerprint, table, valid, plan, progress, join=join)
    if valid is None or not same:
        return prepared
    told = (
        f"the validation rows are the training rows: {valid.name} is the table that is trained on, and measures what "
        f"was learned by heart; name other rows with --valid, or let some be split off"
    )
    return replace(prepared, warnings=(*prepared.inspection.warnings, told))  # whatever else was compared is its own


def _unread(one: Table, table: Table, plan: EncodingPlan) -> list[str]:
    """The columns that are not read: those that are left out, and what a validation table has besides training's."""
    return [name for name in one.columns if name in plan.declared.unread or name not in table.columns]


def _made(
    folder: Path,
    fingerprint: str,
    table: Table,
    valid: Table | None,
    plan: EncodingPlan,
    progress: Progress,
    *,
    join: bool,
) -> Prepared:
    if folder.is_dir():
        try:
            prepared = _open(folder, fingerprint, join)
            if plan.by_time and prepared.train.order is None:
                raise FileNotFoundError("no order.npy")
        except (OSError, ValueError, LookupError, pl.exceptions.PolarsError) as error:
            progress.warn(f"the encoded rows in '{folder}' are damaged ({type(error).__name__}): they are made again")
            shutil.rmtree(folder)
        else:
            progress.note(f"the encoded rows of {table.name} are taken from the cache")
            return prepared
    # Under the final name only once it is whole: a crash never leaves half a set.
    with temporary_folder(folder) as temporary:
        made = temporary / "set"
        _write(made, table, valid, plan, progress, join)
        try:
            os.replace(made, folder)
        except OSError:
            if not folder.is_dir():  # else another process made the same set
                raise
    return _open(folder, fingerprint, join)


def _open(folder: Path, fingerprint: str, join: bool) -> Prepared:
    encoder = Encoder.load(folder)
    inspection = Inspection.from_json(json.loads((folder / "inspection.json").read_text(encoding="utf-8")))
    counted = json.loads((folder / _COUNTS_FILE).read_text(encoding="utf-8"))
    counts = {part: ValueCounts.from_json(counted[part]) for part in ("train", "valid")}
    return Prepared(
        encoder=encoder,
        inspection=inspection,
        train=EncodedSet.open(folder / "train", encoder),
        valid=None if join else EncodedSet.open(folder / "valid", encoder),
        fingerprint=fingerprint,
        counts=counts,
        warnings=(*inspection.warnings, *counted["warnings"]),
        bad_rows=BadRows.open(folder),
    )


def _write(folder: Path, table: Table, valid: Table | None, plan: EncodingPlan, progress: Progress, join: bool) -> None:
    started = time.perf_counter()
    progress.note(f"reading {table.name}: about {table.estimated_rows():,} rows, {table.num_bytes / 1e6:,.1f} MB")
    cache = folder.parent.parent
    least = table.estimated_rows() if plan.limit_rows is None else min(table.estimated_rows(), plan.limit_rows)
    # At least: an id of 4 bytes a cell, and while the table is encoded a code of 2, of what is kept of it.
    _require_room(6 * least * max(1, len(table.columns) - len(plan.declared.ignore) - 1), cache)
    quarantine = None
    if plan.bad_rows == "quarantine":
        plan.declared.check(table)
        quarantine = Quarantine(folder, progress)
        checks, unread = declared_checks(plan.declared), _unread(table, table, plan)
        table = quarantine.sift("train", table, checks, but=unread, limit=plan.limit_rows)
    kept = KeptRows(folder.parent / "rows")
    inspection = inspect_table(
        table,
        plan.declared,
        progress,
        limit=plan.limit_rows,
        numeric_encoding=plan.numeric_encoding,
        by_chance=valid is None and plan.valid_fraction is None,
        keep=kept,
    )
    schema = inspection.schema
    if quarantine is not None and valid is not None:
        _check_columns(table, valid, schema)
        unread = [*schema.ignored, *_unread(valid, table, plan)]
        valid = quarantine.sift("valid", valid, schema_checks(schema), but=unread, limit=plan.limit_rows)
    assert inspection.labels is not None
    _check_classes(inspection.labels, f"rows of {table.name}", plan)
    kept_valid = None
    if valid is not None:
        kept_valid = _keep_valid(folder.parent / "valid rows", table, valid, schema, plan.limit_rows)
    sources = _sources(kept, kept_valid, plan, inspection, join)
    _check_classes(inspection.labels[~sources[0].to_valid], f"training rows split off {table.name}", plan)
    learner = EncoderLearner(
        schema, min_count=plan.min_count, max_vocabulary=plan.max_vocabulary, raw_numbers=plan.raw_numbers
    )
    rows = sum(len(source.to_valid) for source in sources)
    roles = len(schema.labels) + 8 * ((schema.weight is not None) + (schema.group is not None))
    num_bytes = round(rows * (roles + learner.row_bytes(inspection.lengths)))
    _require_room(num_bytes, cache)
    seconds = 3 * (time.perf_counter() - started) * rows / inspection.rows
    progress.note(f"encoding {rows:,} rows: {num_bytes / 1e6:,.1f} MB in the cache, about {max(1, round(seconds))} s")
    folder.mkdir(parents=True, exist_ok=True)
    encoder = _learn(learner, sources, schema, plan, rows, progress)
    encoder.save(folder)
    (folder / "inspection.json").write_text(json.dumps(inspection.to_json()), encoding="utf-8")
    trained = _encode(folder, sources, encoder, plan, rows, progress)
    if plan.by_time and inspection.times is not None:
        # Rows of a validation table, joined for a refit, have no times here: they come behind.
        times = np.pad(inspection.times, (0, rows - len(inspection.times)), constant_values=np.inf)
        np.save(folder / "train" / "order.npy", np.argsort(times[trained], kind="stable"))


def _require_room(num_bytes: int, cache: Path) -> None:
    free = shutil.disk_usage(cache).free
    if num_bytes > free:
        raise DataError(
            f"the encoded rows need {num_bytes / 1e6:,.1f} MB; the disk of {cache} has {free / 1e6:,.1f} MB free: "
            f"make room, or name another folder with --cache-dir"
        )


def _check_classes(labels: NDArray[np.uint8], rows: str, plan: EncodingPlan) -> None:
    for name, of_task in zip(plan.declared.labels, labels.T, strict=True):
        found = [label for label in (0, 1) if (of_task == label).any()]
        if len(found) < 2:
            all_rows = f"all {np.count_nonzero(of_task != UNKNOWN):,} {rows}"
            have = f"have the label {found[0]}" if found else "have no label"
            known = " whose label is known" if found and (of_task == UNKNOWN).any() else ""
            raise DataError(
                f"training needs both classes; {all_rows}{known} {have} in column '{name}': name another label, add "
                f"rows of the other class, or split otherwise",
                column=name,
            )


def _check_weights(weighs: NDArray[np.bool_], schema: Schema) -> None:
    """Refuse weights that leave nothing to tell apart.

    Args:
        weighs: for each label whether rows of 0, and rows of 1, weigh something.
        schema: of the rows.
    """
    if not weighs.any():
        raise DataError(
            f"at least one sample weight is above zero; all of the training rows are zero in column '{schema.weight}': "
            f"name another column with --weight, or leave it out",
            column=schema.weight,
        )
    for name, (zeros, ones) in zip(schema.labels, weighs.tolist(), strict=True):
        if not (zeros and ones):
            have = f"1 class, {int(ones)}" if zeros or ones else "none"
            raise DataError(
                f"a classifier learns two classes; the training rows whose sample weight is above zero hold {have} in "
                f"column '{name}': mend the weights of column '{schema.weight}', or name another with --weight",
                column=schema.weight,
            )


def _sources(
    kept: KeptRows, valid: KeptRows | None, plan: EncodingPlan, inspection: Inspection, join: bool
) -> list[_Source]:
    if valid is not None:
        return [
            _Source(kept, np.zeros(inspection.rows, dtype=np.bool_)),
            _Source(valid, np.full(valid.num_rows, not join, dtype=np.bool_)),
        ]
    if join:
        return [_Source(kept, np.zeros(inspection.rows, dtype=np.bool_))]
    if inspection.times is not None and plan.valid_fraction is None:
        form = inspection.time_form or "iso"
        return [_Source(kept, latest_rows(inspection.times, after=plan.valid_after, form=form))]
    assert inspection.labels is not None
    return [_Source(kept, random_rows(inspection.labels, plan.valid_fraction or 0.1))]


def _keep_valid(folder: Path, table: Table, valid: Table, schema: Schema, limit: int | None) -> KeptRows:
    """What the rows of a validation table are encoded from."""
    _check_columns(table, valid, schema)
    kept = KeptRows(folder)
    columns = list(dict.fromkeys((*schema.field_names, *schema.role_names)))
    with Workers() as workers, closing(coded_chunks(valid.chunks(columns, limit=limit), workers)) as chunks:
        for chunk in chunks:
            kept.add(chunk)
    if kept.num_rows == 0:
        raise DataError(f"validation needs rows; {valid.name} has a header and none", file=valid.name)
    return kept


def _check_columns(table: Table, valid: Table, schema: Schema) -> None:
    needed = (*schema.field_names, *schema.role_names)
    missing = valid.lacks(needed)
    if missing:
        raise DataError(
            f"column '{missing[0]}' is missing from {valid.name}; the training table {table.name} has it, and "
            f"validation reads {len(needed)} columns",
            file=valid.name,
            column=missing[0],
        )


def _learn(
    learner: EncoderLearner,
    sources: Sequence[_Source],
    schema: Schema,
    plan: EncodingPlan,
    rows: int,
    progress: Progress,
) -> Encoder:
    columns = (*schema.field_names, *(schema.labels if plan.negative_rate < 1 else ()))
    done = 0
    with Workers() as workers:
        for source in sources:
            if source.to_valid.all():
                done += len(source.to_valid)
                continue
            for chunk, to_valid in ahead(source.chunks(columns)):
                kept = ~to_valid
                if plan.negative_rate < 1:
                    kept &= _drawn(values.all_labels(chunk, schema.labels, schema.positive), plan.negative_rate, done)
                learner.add(chunk, None if kept.all() else kept, each=workers.each)
                done += len(to_valid)
                progress.track("learn the vocabulary", done, rows)
        return learner.finish(each=workers.each)


def _drawn(labels: NDArray[np.uint8], negative_rate: float, first_row: int) -> NDArray[np.bool_]:
    """Mark the rows with a positive label, and a share of the others: the same in every run over the same tables."""
    rows = np.arange(first_row, first_row + len(labels))
    marked: NDArray[np.bool_] = _positive(labels) | (keyed_uniform(_NEGATIVES_KEY, rows) < negative_rate)
    return marked


def _positive(labels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """The rows of which some label is known to be 1."""
    found: NDArray[np.bool_] = (labels == 1).any(axis=1)
    return found


@dataclass(frozen=True)
class _Encoded:
    """Some rows of a source, encoded: those to train on and those to validate with, and what they play a part by."""

    rows: EncodedRows
    marks: dict[str, NDArray[np.bool_]]
    roles: dict[str, dict[str, NDArray[Any]]]
    left_out: int


class _RowEncoder:
    """Encodes the rows of sources, one after the other, and counts what is met."""

    def __init__(self, encoder: Encoder, plan: EncodingPlan, workers: Workers) -> None:
        self._encoder, self._rate, self._workers = encoder, plan.negative_rate, workers
        names = encoder.schema.field_names
        self.counts = {part: ValueCounts({name: FieldCount() for name in names}) for part in ("train", "valid")}

    def encode(self, sources: Sequence[_Source]) -> Generator[_Encoded, None, None]:
        """The rows in their order, those of a chunk at a time."""
        encoder, schema, rate, done = self._encoder, self._encoder.schema, self._rate, 0
        columns = list(dict.fromkeys((*schema.field_names, *schema.role_names)))
        for source in sources:
            for chunk, to_valid in source.chunks(columns, encoder.rows_at_once):
                roles = values.read_roles(chunk, schema)
                labels, to_train, train_roles, left_out = roles["labels"], ~to_valid, roles, 0
                if rate < 1:
                    drawn = _drawn(labels, rate, done)
                    left_out = int((to_train & ~drawn).sum())
                    to_train &= drawn
                    # Each that stays stands for 1 / rate of them, so that the probabilities stay calibrated.
                    own = roles.get("weights", np.ones(len(labels)))
                    train_roles = roles | {"weights": np.where(_positive(labels), own, own / rate)}
                marks = {"train": to_train, "valid": to_valid}
                counts = (self.counts[part].where(marked) for part, marked in marks.items())
                rows = encoder.encode(chunk, *counts, each=self._workers.each)
                yield _Encoded(rows, marks, {"train": train_roles, "valid": roles}, left_out)
                done += len(to_valid)


def _encode(
    folder: Path, sources: Sequence[_Source], encoder: Encoder, plan: EncodingPlan, rows: int, progress: Progress
) -> NDArray[np.bool_]:
    """Write both sets, and mark the rows of all sources that are trained on."""
    trained = np.zeros(rows, dtype=np.bool_)
    schema = encoder.schema
    weighted, grouped = schema.weight is not None, schema.group is not None
    rate = plan.negative_rate
    weighs = np.zeros((len(schema.labels), 2), dtype=np.bool_)  # whether a training row of each class does
    done = left_out = 0
    # Of a validation table, and not of rows that were split off, it is asked whether it is training's, and like it.
    overlap = Overlap(rows) if len(sources) > 1 and sources[1].to_valid.any() else None
    with ExitStack() as stack:
        weighted_parts = {"train": weighted or rate < 1, "valid": weighted}
        writers = {
            part: stack.enter_context(SetWriter(folder / part, encoder, weighted=own, grouped=grouped))
            for part, own in weighted_parts.items()
        }
        row_encoder = _RowEncoder(encoder, plan, stack.enter_context(Workers()))
        for found in stack.enter_context(closing(ahead(row_encoder.encode(sources)))):
            to_train, labels = found.marks["train"], found.roles["train"]["labels"]
            for part, writer in writers.items():
                if overlap is not None:
                    overlap.add(part, found.rows, labels, found.marks[part])
                writer.add(found.rows, found.roles[part], found.marks[part])
            if weighted:
                heavy = to_train & (found.roles["train"]["weights"] > 0)
                for task, of_task in zip(weighs, labels.T, strict=True):
                    task |= [(of_task[heavy] == label).any() for label in (0, 1)]
            trained[done : done + len(to_train)] = to_train
            left_out += found.left_out
            done += len(to_train)
            progress.track("encode", done, rows)
    counts = row_encoder.counts
    if weighted:
        _check_weights(weighs, schema)
    if left_out:
        progress.note(f"{left_out:,} negatives are left out of training; each that stays weighs {1 / rate:g}")
    warnings = list(counts["train"].cuts())
    if overlap is not None:
        usual = {name: {"train": shares} for name, shares in counts["train"].shares().items()}
        warnings += [skew.sentence for skew in counts["valid"].skews(usual)]
        warnings += filter(None, [overlap.sentence()])
    content = {part: count.to_json() for part, count in counts.items()} | {"warnings": warnings}
    (folder / _COUNTS_FILE).write_text(json.dumps(content), encoding="utf-8")
    return trained
