"""Artifact and table to probabilities: as an array, as a file, or held against the labels."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import polars as pl
import pyarrow.parquet as pq
from numpy.typing import NDArray

from masknet.artifact import Artifact, probabilities, probability_columns
from masknet.encode import read_roles
from masknet.errors import ConfigError, DataError, unknown
from masknet.metrics import Estimate, Sample
from masknet.places import temporary_folder
from masknet.progress import Progress
from masknet.schema import UNKNOWN, Schema
from masknet.slices import SliceColumn
from masknet.table import Source, Table, open_table
from masknet.threads import require_threads

__all__ = [
    "Evaluation",
    "GroupCounts",
    "SliceEvaluation",
    "evaluate_table",
    "evaluation_json",
    "predict_file",
    "predict_frame",
    "probabilities",
    "require_columns",
]

_Write = Callable[[pl.DataFrame], None]
_GROUP_RESAMPLES = 1000


def require_columns(artifact: Artifact, table: Table) -> None:
    """Refuse a table that lacks a column that the model reads.

    Raises:
        DataError: with the names of the columns that are missing.
    """
    names = artifact.encoder.schema.field_names
    lacking = table.lacks(names)
    if lacking:
        shown = ", ".join(f"'{name}'" for name in lacking[:5])
        shown += f" and {len(lacking) - 5} more" if len(lacking) > 5 else ""
        subject = f"column {shown} is" if len(lacking) == 1 else f"columns {shown} are"
        it = "it" if table.name == "the frame" else "this file"
        raise DataError(
            f"{subject} missing from {table.name}; the model was trained with {len(names)} columns, of which {it} has "
            f"{len(names) - len(lacking)}{_way_out(artifact, table)}",
            file=table.name,
            column=lacking[0],
        )


def _way_out(artifact: Artifact, table: Table) -> str:
    """What to pass where the model learned from a file without a header, and this one may have none either."""
    columns = artifact.run.get("columns")
    if table.typed or not columns:
        return ""
    return (
        f"; it was trained with names for a file without a header: if this one has none, --columns {','.join(columns)}"
    )


def predict_frame(artifact: Artifact, source: Source, *, columns: Sequence[str] = ()) -> NDArray[np.float64]:
    """The probability of each row of a path, a frame or a list of dicts, in their order.

    It is `[rows]`, or `[rows, tasks]` of a model for several labels. `columns` are names for a text file without a
    header, as in `open_table`.

    Raises:
        DataError: a column is missing, or a cell cannot be what its column means.
    """
    require_threads()
    table = open_table(source, columns=columns)
    require_columns(artifact, table)
    parts = [probabilities(artifact, chunk) for chunk in table.chunks(artifact.encoder.schema.field_names)]
    return np.concatenate([_no_rows(artifact), *parts])


def _no_rows(artifact: Artifact) -> NDArray[np.float64]:
    """The probabilities of a table without rows."""
    tasks = len(artifact.labels)
    return np.empty(0 if tasks < 2 else (0, tasks))


def predict_file(
    artifact: Artifact,
    table: Table,
    out: str | Path,
    *,
    append: Sequence[str] = (),
    overwrite: bool = False,
    limit: int | None = None,
    progress: Progress,
) -> int:
    """Write a row for each row of the table, in its order: the appended columns, then `probability`.

    Of a model for several labels, the last columns are `probability_<label>`, one a label.

    The file is written whole or not at all.

    Args:
        artifact: scores.
        table: raw rows; no label is needed, other columns are not read.
        out: ends in .parquet, .csv, .tsv, .csv.gz or .tsv.gz.
        append: columns of the table to copy, as they are.
        overwrite: replace a file that lies there.
        limit: score only the first so many rows.
        progress: told of the rows done.

    Returns:
        how many rows were written.

    Raises:
        ConfigError: `out` has another ending, or lies there already.
        DataError: a column is missing, or a cell cannot be what its column means.
        OSError: the disk is full, or the place not writable.
    """
    require_threads()
    path = Path(out).absolute()
    writer = _writer_for(path)
    if path.is_dir() or (os.path.lexists(path) and not overwrite):
        way_out = "name a file with --out" if path.is_dir() else "replace it with --overwrite, or name another"
        raise ConfigError(f"'{out}' exists already: {way_out}")
    append, scores = tuple(dict.fromkeys(append)), probability_columns(artifact.labels)
    for name in append:
        if name in scores:
            raise ConfigError(f"the last column written is '{name}', so none of that name can be appended")
        if name not in table.columns:
            raise DataError(f"--append copies columns of {table.name}: {unknown('column', name, table.columns)}")
    require_columns(artifact, table)

    frames = _scored(artifact, table, append, limit, progress)
    nothing = pl.DataFrame(schema=dict.fromkeys(append, pl.String) | dict.fromkeys(scores, pl.Float64))
    first = next(frames, nothing)
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = 0
    with temporary_folder(path) as temporary:
        made = temporary / path.name
        with writer(made, first) as write:
            frame: pl.DataFrame | None = first
            while frame is not None:
                write(frame)
                rows += len(frame)
                frame = next(frames, None)
        made.replace(path)
    return rows


def _scored(
    artifact: Artifact, table: Table, append: tuple[str, ...], limit: int | None, progress: Progress
) -> Iterator[pl.DataFrame]:
    done, total = 0, _rows_to_read(table, limit)
    for chunk in table.chunks((*artifact.encoder.schema.field_names, *append), limit=limit):
        found = probabilities(artifact, chunk).reshape(len(chunk.frame), -1).T
        scores = map(pl.Series, probability_columns(artifact.labels), found)
        yield pl.DataFrame([*(chunk.frame[name] for name in append), *scores])
        done += len(chunk.frame)
        progress.track("predict", done, total)


def _rows_to_read(table: Table, limit: int | None) -> int:
    rows = table.estimated_rows()
    return rows if limit is None else min(rows, limit)


# Writers: each takes the file to make and the first frame, and gives a function that writes a frame.


@contextmanager
def _write_parquet(file: Path, first: pl.DataFrame) -> Iterator[_Write]:
    schema = {name: pl.String() if t == pl.Int128 else t for name, t in first.schema.items()}  # Arrow has no Int128
    oldest = pl.CompatLevel.oldest()  # large strings, which every reader of Parquet knows

    def write(frame: pl.DataFrame) -> None:
        try:
            same = frame.cast(cast("Any", schema))
        except pl.exceptions.InvalidOperationError as error:
            raise DataError(
                f"a column of a Parquet file has one type; an appended one changes its type between the files read "
                f"({str(error).splitlines()[0]}): write CSV, or leave it out of --append"
            ) from error
        writer.write_table(same.to_arrow(compat_level=oldest))

    arrow = first.clear().cast(cast("Any", schema)).to_arrow(compat_level=oldest).schema
    with file.open("wb") as raw, pq.ParquetWriter(raw, arrow) as writer:
        yield write


@contextmanager
def _write_text(file: Path, first: pl.DataFrame, *, separator: str, compressed: bool) -> Iterator[_Write]:
    for column in first:
        if column.dtype.is_nested() or column.dtype in (pl.Binary, pl.Object):
            raise DataError(
                f"a text file holds plain values; column '{column.name}' holds {column.dtype}: write .parquet, or "
                f"leave it out of --append"
            )

    def write(frame: pl.DataFrame, *, header: bool = False) -> None:
        sink.write(frame.write_csv(separator=separator, include_header=header).encode())

    with file.open("wb") as raw, _compressed(raw) if compressed else nullcontext(cast("IO[bytes]", raw)) as sink:
        write(first.clear(), header=True)
        yield write


def _compressed(raw: Any) -> AbstractContextManager[IO[bytes]]:
    # Without a name and a time, so that equal rows are equal files.
    return cast("AbstractContextManager[IO[bytes]]", gzip.GzipFile("", "wb", fileobj=raw, mtime=0))


_WRITERS: dict[str, Callable[[Path, pl.DataFrame], AbstractContextManager[_Write]]] = {
    ".parquet": _write_parquet,
    ".csv": partial(_write_text, separator=",", compressed=False),
    ".tsv": partial(_write_text, separator="\t", compressed=False),
    ".csv.gz": partial(_write_text, separator=",", compressed=True),
    ".tsv.gz": partial(_write_text, separator="\t", compressed=True),
}


def _writer_for(path: Path) -> Callable[[Path, pl.DataFrame], AbstractContextManager[_Write]]:
    for suffix, writer in _WRITERS.items():
        if path.name.lower().endswith(suffix):
            return writer
    raise ConfigError(f"probabilities are written to a file that ends in {', '.join(_WRITERS)}; got '{path.name}'")


@dataclass(frozen=True)
class SliceEvaluation:
    """How good the probabilities of the rows of one value are.

    Args:
        value: the value, a range of numbers, "missing" or "other values".
        rows: how many.
        metrics: by name.
        below_overall: whether the whole interval of the AUC lies below the AUC of all rows.
    """

    value: str
    rows: int
    metrics: dict[str, Estimate]
    below_overall: bool

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready copy."""
        return {
            "value": self.value,
            "rows": self.rows,
            "metrics": _to_json(self.metrics),
            "below_overall": self.below_overall,
        }


@dataclass(frozen=True)
class GroupCounts:
    """The groups of an evaluation.

    Args:
        column: of the groups.
        count: how many groups there are.
        one_class: how many of them the grouped AUC leaves out.
        without_positive: how many of them NDCG leaves out.
        resamples: of groups, from which the intervals of the grouped metrics are.
    """

    column: str
    count: int
    one_class: int
    without_positive: int
    resamples: int

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready copy."""
        return {
            "column": self.column,
            "count": self.count,
            "one_class": self.one_class,
            "without_positive": self.without_positive,
            "interval": {"kind": "bootstrap", "resamples": self.resamples, "unit": "group"},
        }


@dataclass(frozen=True)
class Evaluation:
    """How good the probabilities of one label are.

    Args:
        rows: of the table whose label is known.
        metrics: by name.
        resamples: from which all intervals are, of groups where there are groups, else of rows; 0: theory's intervals.
        groups: where the rows have groups.
        slices: by column, in each the worst AUC first, where it is undefined last.
    """

    rows: int
    metrics: dict[str, Estimate]
    resamples: int = 0
    groups: GroupCounts | None = None
    slices: dict[str, list[SliceEvaluation]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """What `masknet evaluate --json` prints of the one label, or of each."""
        found: dict[str, Any] = {"metrics": _to_json(self.metrics), "rows": self.rows}
        if self.resamples:
            unit = "row" if self.groups is None else "group"
            found["interval"] = {"kind": "bootstrap", "resamples": self.resamples, "unit": unit}
        if self.groups is not None:
            found["groups"] = self.groups.to_json()
        if self.slices:
            found["slices"] = {name: [part.to_json() for part in parts] for name, parts in self.slices.items()}
        return found


def _to_json(found: dict[str, Estimate]) -> dict[str, Any]:
    return {name: estimate.to_json() for name, estimate in found.items()}


def evaluate_table(
    artifact: Artifact,
    table: Table,
    *,
    baseline: Artifact | None = None,
    group: str | None = None,
    slices: Sequence[str] = (),
    bootstrap: int = 0,
    seed: int = 0,
    limit: int | None = None,
    progress: Progress,
) -> dict[str, Evaluation]:
    """Score a labelled table and hold the probabilities against its labels; label and weight are those of training.

    Each label is measured on the rows where it is known: one for each of them, by its name.

    The intervals of grouped metrics are from resampled groups, 1,000 of them unless `bootstrap` says otherwise.

    Args:
        artifact: scores.
        table: rows with the fields, the label, and the weight and group where the model was trained with them.
        baseline: another model that scores the same rows; adds its AUC, `baseline_auc`, and `rela_imp` and
            `auc_difference` against it.
        group: the column of groups for the grouped metrics, instead of that of training.
        slices: columns by whose values the rows are evaluated too, fields or not.
        bootstrap: make all intervals from so many resamples, of groups where there are groups, else of rows; those of
            a slice from resamples of the slice.
        seed: of the resamples.
        limit: read only the first so many rows.
        progress: told of the rows done.

    Raises:
        ConfigError: the baseline predicts another label, or one resample is asked for.
        DataError: a column is missing, or a cell cannot be what its column means.
    """
    require_threads()
    schema = artifact.encoder.schema
    if group is not None:
        schema = schema.model_copy(update={"group": group})
    if baseline is not None and baseline.labels != artifact.labels:
        own, other_labels = (" and ".join(f"'{label}'" for label in one.labels) for one in (artifact, baseline))
        raise ConfigError(
            f"a baseline predicts the same label; the model's is {own}, the baseline's {other_labels}: name another "
            f"--baseline"
        )
    scorers = [artifact] if baseline is None else [artifact, baseline]
    for scorer in scorers:
        require_columns(scorer, table)
    _require_roles(schema, table)
    for name in slices:
        if name not in table.columns:
            raise DataError(f"a slice is by a column of {table.name}: {unknown('column', name, table.columns)}")
    by_name = {field.name: field for field in schema.fields}
    cut = {name: SliceColumn(name, by_name.get(name)) for name in slices}

    fields = [name for scorer in scorers for name in scorer.encoder.schema.field_names]
    roles: dict[str, list[NDArray[Any]]] = {"labels": [np.empty((0, len(schema.labels)), dtype=np.uint8)]}
    if schema.group is not None:
        roles["groups"] = [np.empty(0, dtype=np.uint64)]
    scores = [[_no_rows(scorer)] for scorer in scorers]
    done, total = 0, _rows_to_read(table, limit)
    for chunk in table.chunks((*fields, *schema.role_names, *cut), limit=limit):
        for name, array in read_roles(chunk, schema).items():
            roles.setdefault(name, []).append(array)
        for kept, scorer in zip(scores, scorers, strict=True):
            kept.append(probabilities(scorer, chunk))
        for column in cut.values():
            column.add(chunk)
        done += len(chunk.frame)
        progress.track("evaluate", done, total)

    columns = {name: np.concatenate(parts) for name, parts in roles.items()}
    labels = columns.pop("labels")
    of_tasks = [np.concatenate(kept).reshape(labels.shape) for kept in scores]
    sliced = {name: column.slices() for name, column in cut.items()}

    def measure(sample: Sample) -> dict[str, Estimate]:
        if bootstrap:
            return sample.bootstrap(bootstrap, seed=seed, progress=progress)
        return sample.estimates | sample.bootstrap(_GROUP_RESAMPLES, seed=seed, only_grouped=True, progress=progress)

    def of_task(task: int) -> Evaluation:
        known = labels[:, task] != UNKNOWN
        all_columns = columns | {"labels": labels[:, task], "probabilities": of_tasks[0][:, task]}
        own = {name: array[known] for name, array in all_columns.items()}
        sample = Sample(**own, baseline=None if baseline is None else of_tasks[1][known, task])
        found = measure(sample)
        groups = None
        if schema.group is not None:
            groups = GroupCounts(
                column=schema.group,
                count=sample.num_groups,
                one_class=sample.groups_of_one_class,
                without_positive=sample.groups_without_positive,
                resamples=bootstrap or _GROUP_RESAMPLES,
            )
        slices = {}
        for name, parts in sliced.items():
            measured = []
            for part in parts:
                rows = part.rows[known[part.rows]]
                of_part = measure(Sample(**{role: array[rows] for role, array in all_columns.items()}))
                high, overall = of_part["auc"].high, found["auc"].value
                below = high is not None and overall is not None and high < overall
                measured.append(SliceEvaluation(part.value, len(rows), of_part, below))
            slices[name] = sorted(measured, key=_worst_first)
        return Evaluation(int(known.sum()), found, bootstrap, groups, slices)

    return {label: of_task(task) for task, label in enumerate(schema.labels)}


def evaluation_json(tasks: Mapping[str, Evaluation]) -> dict[str, Any]:
    """What `masknet evaluate --json` prints: of one label its evaluation, of several `{"tasks": {label: ...}}`."""
    if len(tasks) == 1:
        return next(iter(tasks.values())).to_json()
    return {"tasks": {label: evaluation.to_json() for label, evaluation in tasks.items()}}


def _worst_first(part: SliceEvaluation) -> tuple[bool, float, int]:
    value = part.metrics["auc"].value
    return value is None, value or 0.0, -part.rows


def _require_roles(schema: Schema, table: Table) -> None:
    if not schema.labels:
        raise DataError("an evaluation needs a label; this model was trained without naming one")
    reasons = dict.fromkeys(schema.labels, "an evaluation compares probabilities with the labels") | {
        schema.weight: "the model was trained with this column of weights, and its evaluation reads it",
        schema.group: "the grouped metrics read it",
    }
    for name, reason in reasons.items():
        if name is not None and name not in table.columns:
            raise DataError(
                f"column '{name}' is missing from {table.name}; {reason}: name a table that has it",
                file=table.name,
                column=name,
            )
