"""The encoded set: flat arrays on disk, memory-mapped, written once and keyed by a fingerprint of all that made it.

Ids and values that are the same in every row are not stored.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
import platformdirs
import polars as pl
from numpy.typing import NDArray

from masknet import __version__
from masknet.encode import values
from masknet.encode.encoder import Encoder, EncoderFit
from masknet.encode.inspection import Declared, Inspection, inspect_table
from masknet.encode.split import latest_rows, random_rows
from masknet.errors import DataError
from masknet.progress import Progress
from masknet.schema import Schema
from masknet.table import Chunk, Table

__all__ = ["EncodedSet", "EncodingPlan", "Prepared", "default_cache", "prepare"]

FORMAT = 1
"""Raised whenever the same table and settings would encode differently."""

_STALE_SECONDS = 24 * 3600


def default_cache() -> Path:
    """Where encoded sets lie unless told otherwise."""
    return platformdirs.user_cache_path("masknet")


@dataclass(frozen=True)
class EncodedSet:
    """Encoded rows, memory-mapped: nothing is read before it is asked for.

    Args:
        ids: `[rows, stored id slots]`; the other slots have one id in every row, `fixed_ids`.
        values: `[rows, stored value slots]`; the other slots have the value 1, `unit_values`.
        labels: 0 and 1.
        weights: sample weights, or None.
        groups: a number a group, or None.
        fixed_ids: for each slot its one id, or -1.
        unit_values: for each slot whether its value is always 1.
        untrained_unseen_ids: for each slot the unseen id that training rows never have, or -1.
    """

    ids: NDArray[np.int32]
    values: NDArray[np.float32]
    labels: NDArray[np.uint8]
    weights: NDArray[np.float64] | None
    groups: NDArray[np.uint64] | None
    fixed_ids: NDArray[np.int32]
    unit_values: NDArray[np.bool_]
    untrained_unseen_ids: NDArray[np.int32]

    def __len__(self) -> int:
        """Rows."""
        return len(self.labels)

    def expand(
        self, stored_ids: NDArray[np.int32], stored_values: NDArray[np.float32]
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Stored columns to all slots: ids `[rows, slots]`, values `[rows, slots]` or `[1, slots]` where all are 1."""
        varying = self.fixed_ids < 0
        if varying.all():
            ids = stored_ids
        else:
            ids = np.repeat(self.fixed_ids[None, :], len(stored_ids), axis=0)
            ids[:, varying] = stored_ids
        if self.unit_values.all():
            return ids, np.ones((1, len(self.unit_values)), dtype=np.float32)
        slot_values = np.ones((len(stored_values), len(self.unit_values)), dtype=np.float32)
        slot_values[:, ~self.unit_values] = stored_values
        return ids, slot_values

    @classmethod
    def open(cls, folder: Path, encoder: Encoder) -> EncodedSet:
        """Map the arrays that a `_Writer` left in `folder`."""

        def array(name: str) -> Any:
            file = folder / f"{name}.npy"
            # An array without rows or columns cannot be mapped.
            return np.load(file, mmap_mode="r" if file.stat().st_size > 128 else None, allow_pickle=False)

        return cls(
            ids=array("ids"),
            values=array("values"),
            labels=array("labels"),
            weights=array("weights") if encoder.schema.weight is not None else None,
            groups=array("groups") if encoder.schema.group is not None else None,
            fixed_ids=encoder.fixed_ids,
            unit_values=encoder.unit_values,
            untrained_unseen_ids=encoder.untrained_unseen_ids,
        )


class _Writer:
    """Appends encoded rows to the arrays of one set. Plain writes: a full disk is an error, not a bus fault."""

    def __init__(self, folder: Path, rows: int, encoder: Encoder) -> None:
        folder.mkdir(parents=True)
        self._encoder = encoder
        self._varying, self._scaled = encoder.fixed_ids < 0, ~encoder.unit_values
        shapes: dict[str, tuple[str, tuple[int, ...]]] = {
            "ids": ("<i4", (rows, int(self._varying.sum()))),
            "values": ("<f4", (rows, int(self._scaled.sum()))),
            "labels": ("|u1", (rows,)),
        }
        if encoder.schema.weight is not None:
            shapes["weights"] = ("<f8", (rows,))
        if encoder.schema.group is not None:
            shapes["groups"] = ("<u8", (rows,))
        self._files: dict[str, BinaryIO] = {}
        for name, (descr, shape) in shapes.items():
            file = self._files[name] = (folder / f"{name}.npy").open("wb")
            header = {"descr": descr, "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with ExitStack() as files:  # a full disk fails the closing of one: the others are closed all the same
            for file in self._files.values():
                files.callback(file.close)

    def add(self, arrays: dict[str, NDArray[Any]], keep: NDArray[np.bool_]) -> None:
        for name, file in self._files.items():
            array = arrays[name][keep]
            if name == "ids":
                array = array[:, self._varying]
            elif name == "values":
                array = array[:, self._scaled]
            file.write(np.ascontiguousarray(array).data)


@dataclass(frozen=True)
class EncodingPlan:
    """All that decides how a table is encoded and split, beside the table itself."""

    declared: Declared
    valid_fraction: float | None = None
    valid_after: str | None = None
    min_count: int = 1
    max_vocabulary: int | None = None
    limit_rows: int | None = None


@dataclass(frozen=True)
class Prepared:
    """Encoded training and validation rows; `valid` is None where both were joined for a refit."""

    encoder: Encoder
    inspection: Inspection
    train: EncodedSet
    valid: EncodedSet | None
    fingerprint: str


@dataclass(frozen=True)
class _Source:
    table: Table
    to_valid: NDArray[np.bool_]

    def chunks(self, columns: Sequence[str]) -> Iterator[tuple[Chunk, NDArray[np.bool_]]]:
        start = 0
        for chunk in self.table.chunks(columns, limit=len(self.to_valid)):
            end = start + len(chunk.frame)
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
    cache = (default_cache() if cache is None else cache) / "encoded"
    tables = [table.fingerprint(verify=verify), valid and valid.fingerprint(verify=verify)]
    parts = [tables, asdict(plan), join, FORMAT, __version__]
    fingerprint = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    folder = cache / fingerprint[:40]
    if folder.is_dir():
        try:
            prepared = _open(folder, fingerprint, join)
        except (OSError, ValueError, LookupError, pl.exceptions.PolarsError) as error:
            progress.warn(f"the encoded rows in '{folder}' are damaged ({type(error).__name__}): they are made again")
            shutil.rmtree(folder)
        else:
            progress.note(f"the encoded rows of {table.name} are taken from the cache")
            return prepared
    _make_room(cache)
    # Under the final name only once it is whole: a crash, or a second process, never leaves half a set.
    with tempfile.TemporaryDirectory(prefix=".writing-", dir=cache) as temporary:
        made = Path(temporary) / "set"
        _write(made, table, valid, plan, progress, join)
        try:
            os.replace(made, folder)
        except OSError:
            if not folder.is_dir():  # else another process was first, with the same set
                raise
    return _open(folder, fingerprint, join)


def _open(folder: Path, fingerprint: str, join: bool) -> Prepared:
    encoder = Encoder.load(folder)
    return Prepared(
        encoder=encoder,
        inspection=Inspection.from_json(json.loads((folder / "inspection.json").read_text(encoding="utf-8"))),
        train=EncodedSet.open(folder / "train", encoder),
        valid=None if join else EncodedSet.open(folder / "valid", encoder),
        fingerprint=fingerprint,
    )


def _make_room(cache: Path) -> None:
    """Create the cache, and drop what a killed process left half-written long ago."""
    cache.mkdir(parents=True, exist_ok=True)
    for left in cache.glob(".writing-*"):
        if time.time() - left.stat().st_mtime > _STALE_SECONDS:
            shutil.rmtree(left, ignore_errors=True)


def _write(folder: Path, table: Table, valid: Table | None, plan: EncodingPlan, progress: Progress, join: bool) -> None:
    started = time.perf_counter()
    progress.note(f"reading {table.name}: about {table.estimated_rows():,} rows, {table.num_bytes / 1e6:,.1f} MB")
    inspection = inspect_table(table, plan.declared, progress, limit=plan.limit_rows)
    assert inspection.labels is not None
    _check_classes(inspection.labels, f"rows of {table.name}", plan)
    sources = _sources(table, valid, plan, inspection, join)
    _check_classes(inspection.labels[~sources[0].to_valid], f"training rows split off {table.name}", plan)
    schema = inspection.schema
    rows = sum(len(source.to_valid) for source in sources)
    slot_bytes = sum(4 if f.kind == "categorical" else 8 for f in schema.fields)
    num_bytes = rows * (slot_bytes + 1 + 8 * ((schema.weight is not None) + (schema.group is not None)))
    cache = folder.parent.parent
    free = shutil.disk_usage(cache).free
    if num_bytes > free:
        raise DataError(
            f"the encoded rows need {num_bytes / 1e6:,.1f} MB; the disk of {cache} has {free / 1e6:,.1f} MB free: "
            f"make room, or name another folder with --cache-dir"
        )
    seconds = 3 * (time.perf_counter() - started) * rows / inspection.rows
    progress.note(f"encoding {rows:,} rows: {num_bytes / 1e6:,.1f} MB in the cache, about {max(1, round(seconds))} s")
    folder.mkdir(parents=True)
    encoder = _fit(sources, schema, plan, rows, progress)
    encoder.save(folder)
    (folder / "inspection.json").write_text(json.dumps(inspection.to_json()), encoding="utf-8")
    _encode(folder, sources, encoder, rows, progress)


def _check_classes(labels: NDArray[np.uint8], rows: str, plan: EncodingPlan) -> None:
    if labels.all() or not labels.any():
        raise DataError(
            f"training needs both classes; all {len(labels):,} {rows} have the label {int(labels[0])} in column "
            f"'{plan.declared.label}': name another label, add rows of the other class, or split otherwise"
        )


def _sources(
    table: Table, valid: Table | None, plan: EncodingPlan, inspection: Inspection, join: bool
) -> list[_Source]:
    if valid is not None:
        _check_columns(table, valid, inspection.schema)
        rows = valid.num_rows
        if rows is None:
            rows = sum(len(chunk.frame) for chunk in valid.chunks(inspection.schema.role_names))
        if rows == 0:
            raise DataError(f"validation needs rows; {valid.name} has a header and none")
        rows = rows if plan.limit_rows is None else min(rows, plan.limit_rows)
        return [
            _Source(table, np.zeros(inspection.rows, dtype=np.bool_)),
            _Source(valid, np.full(rows, not join, dtype=np.bool_)),
        ]
    if join:
        return [_Source(table, np.zeros(inspection.rows, dtype=np.bool_))]
    if inspection.times is not None and plan.valid_fraction is None:
        return [_Source(table, latest_rows(inspection.times, after=plan.valid_after))]
    assert inspection.labels is not None
    return [_Source(table, random_rows(inspection.labels, plan.valid_fraction or 0.1))]


def _check_columns(table: Table, valid: Table, schema: Schema) -> None:
    needed = (*schema.field_names, *schema.role_names)
    missing = valid.lacks(needed)
    if missing:
        raise DataError(
            f"column '{missing[0]}' is missing from {valid.name}; the training table {table.name} has it, and "
            f"validation reads {len(needed)} columns"
        )


def _fit(sources: Sequence[_Source], schema: Schema, plan: EncodingPlan, rows: int, progress: Progress) -> Encoder:
    fit = EncoderFit(schema, min_count=plan.min_count, max_vocabulary=plan.max_vocabulary)
    done = 0
    for source in sources:
        if source.to_valid.all():
            done += len(source.to_valid)
            continue
        for chunk, to_valid in source.chunks(schema.field_names):
            fit.add(chunk, ~to_valid if to_valid.any() else None)
            done += len(to_valid)
            progress.track("learn the vocabulary", done, rows)
    return fit.finish()


def _encode(folder: Path, sources: Sequence[_Source], encoder: Encoder, rows: int, progress: Progress) -> None:
    schema = encoder.schema
    columns = list(dict.fromkeys((*schema.field_names, *schema.role_names)))
    valid_rows = sum(int(source.to_valid.sum()) for source in sources)
    done = 0
    with (
        _Writer(folder / "train", rows - valid_rows, encoder) as train,
        _Writer(folder / "valid", valid_rows, encoder) as valid,
    ):
        for source in sources:
            for chunk, to_valid in source.chunks(columns):
                ids, slot_values = encoder.encode(chunk)
                arrays = {"ids": ids, "values": slot_values} | read_roles(chunk, schema)
                train.add(arrays, ~to_valid)
                valid.add(arrays, to_valid)
                done += len(to_valid)
                progress.track("encode", done, rows)
    if done != rows:
        raise DataError(
            f"a table stays as it is while it is read; {rows - done:,} of its {rows:,} rows are gone: try again"
        )


def read_roles(chunk: Chunk, schema: Schema) -> dict[str, NDArray[Any]]:
    """The `labels`, and the `weights` and `groups` where the schema names them, of a chunk.

    Raises:
        DataError: a label is missing or not binary, or a weight is missing or negative.
    """
    roles: dict[str, NDArray[Any]] = {}
    if schema.label is not None:
        roles["labels"] = values.labels(chunk.frame[schema.label], chunk.place)
    if schema.weight is not None:
        roles["weights"] = values.weights(chunk.frame[schema.weight], chunk.place)
    if schema.group is not None:
        roles["groups"] = values.groups(chunk.frame[schema.group])
    return roles
