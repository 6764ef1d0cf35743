"""Artifact and table to probabilities: as an array, or as a file."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import polars as pl
import pyarrow.parquet as pq
from numpy.typing import NDArray

from masknet.artifact import Artifact, probabilities, probability_columns
from masknet.encode import FieldSkew, ValueCounts
from masknet.errors import ConfigError, DataError, unknown
from masknet.places import temporary_folder
from masknet.progress import Progress
from masknet.table import Chunk, Source, Table, open_table
from masknet.threads import require_threads

__all__ = [
    "Watch",
    "no_rows",
    "predict_file",
    "predict_frame",
    "probabilities",
    "require_columns",
    "rows_to_read",
]

_Write = Callable[[pl.DataFrame], None]


class Watch:
    """Scores the rows of one table chunk by chunk, and looks whether they are like those of training.

    A field that is missing, or unseen, far more often than in training and validation is a *skew*: mostly it is
    written otherwise than it was. An artifact of a format before 3 knows nothing of that, and nothing is told.

    Args:
        artifact: scores.
        strict: whether a skew is an error.
        name: what to call the model in a sentence, where there are two.

    Raises:
        ConfigError: it is strict, and the artifact does not know what was usual.
    """

    def __init__(self, artifact: Artifact, *, strict: bool = False, name: str | None = None) -> None:
        self.artifact = artifact
        self.counts = ValueCounts()
        self._strict, self._name = strict, name
        if strict and not artifact.manifest.fields:
            raise ConfigError(
                f"--strict compares the rows with those of training; this model, of format {artifact.manifest.format}, "
                f"does not tell how often those were missing or unseen: train it again, or leave out --strict"
            )
        self._sums, self._rows = np.zeros(max(1, len(artifact.labels))), 0

    def probabilities(self, chunk: Chunk) -> NDArray[np.float64]:
        """As `artifact.probabilities`; the rows are counted."""
        found = probabilities(self.artifact, chunk, self.counts.where())
        self._sums += found.reshape(len(chunk.frame), -1).sum(axis=0)
        self._rows += len(chunk.frame)
        return found

    @property
    def skews(self) -> list[FieldSkew]:
        """The fields that are far more often missing, or unseen, than they were."""
        return list(self.counts.skews(self.artifact.manifest.fields))

    @property
    def mean_probability(self) -> dict[str, float | None]:
        """The mean over the rows so far, by label; None of no rows."""
        labels = self.artifact.labels or ("label",)
        return {
            name: float(one) / self._rows if self._rows else None for name, one in zip(labels, self._sums, strict=True)
        }

    @property
    def train_click_rate(self) -> dict[str, float | None]:
        """What the mean probability stands beside, by label; None where the artifact is too old to know."""
        known = self.artifact.manifest.data.get("click_rate")
        labels = self.artifact.labels or ("label",)
        return {name: known.get(name) if isinstance(known, dict) else known for name in labels}

    def tell(self, progress: Progress) -> None:
        """Warn of each skew.

        Raises:
            DataError: there is one, and it is strict.
        """
        for skew in self.skews:
            sentence = skew.sentence if self._name is None else f"{self._name}: {skew.sentence}"
            if self._strict:
                raise DataError(
                    f"{sentence}: write them as the training table does, or leave out --strict", column=skew.field
                )
            progress.warn(sentence)
        for sentence in self.counts.cuts():
            progress.note(sentence)

    def to_json(self) -> dict[str, Any]:
        """What `--json` tells of it; of several labels the rates by label."""
        rates = {"mean_probability": self.mean_probability, "train_click_rate": self.train_click_rate}
        alone = len(self.artifact.labels) < 2
        return {
            "skew": [skew.to_json() for skew in self.skews],
            **{name: next(iter(rate.values())) if alone else rate for name, rate in rates.items()},
        }

    @property
    def sentence(self) -> str:
        """The mean probability beside training's click rate, in words."""
        parts = []
        for label, mean in self.mean_probability.items():
            rate = self.train_click_rate[label]
            of_label = f" of '{label}'" if len(self.artifact.labels) > 1 else ""
            beside = "" if rate is None else f"; the click rate of training was {rate:.5f}"
            parts.append("" if mean is None else f"mean probability{of_label} {mean:.5f}{beside}")
        return "\n".join(part for part in parts if part)


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
            f"{len(names) - len(lacking)}: {_way_out(artifact, table, lacking)}",
            file=table.name,
            column=lacking[0],
        )


def _way_out(artifact: Artifact, table: Table, lacking: Sequence[str]) -> str:
    """What to pass where the model learned from a file without a header, else to train without the columns."""
    columns = artifact.run.get("columns")
    if columns and not table.typed:
        return f"where it has no header, name its columns with --columns {','.join(columns)}"
    they = "it" if len(lacking) == 1 else "them"
    return f"add {they}, or retrain without {they} (--ignore {','.join(lacking[:5])})"


def predict_frame(
    artifact: Artifact, source: Source, *, columns: Sequence[str] = (), watch: Watch | None = None
) -> NDArray[np.float64]:
    """The probability of each row of a path, a frame or a list of dicts, in their order.

    It is `[rows]`, or `[rows, tasks]` of a model for several labels.

    Args:
        artifact: scores.
        source: raw rows.
        columns: names for a text file without a header, as in `open_table`.
        watch: knows afterwards how far the rows are from those of training.

    Raises:
        DataError: a column is missing, or a cell cannot be what its column means.
    """
    require_threads()
    table = open_table(source, columns=columns)
    require_columns(artifact, table)
    score = partial(probabilities, artifact) if watch is None else watch.probabilities
    parts = [score(chunk) for chunk in table.chunks(artifact.encoder.schema.field_names)]
    return np.concatenate([no_rows(artifact), *parts])


def no_rows(artifact: Artifact) -> NDArray[np.float64]:
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
    watch: Watch | None = None,
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
        watch: knows afterwards how far the rows are from those of training; a strict one makes that an error.
        progress: told of the rows done, and warned of skews.

    Returns:
        how many rows were written.

    Raises:
        ConfigError: `out` has another ending, or lies there already.
        DataError: a column is missing, a cell cannot be what its column means, or a strict watch found a skew.
        OSError: the disk is full, or the place not writable.
    """
    require_threads()
    path = Path(out).absolute()
    writer = _writer_for(path)
    if path.is_dir() or (os.path.lexists(path) and not overwrite):
        way_out = "name a file with --out" if path.is_dir() else "replace it with --overwrite, or name another"
        raise ConfigError(f"'{out}' exists already: {way_out}")
    if path.exists() and any(path.samefile(read) for read in table.paths):
        raise ConfigError(f"the rows to score are read while the scores are written; '{out}' holds them: name another")
    append, scores = tuple(dict.fromkeys(append)), probability_columns(artifact.labels)
    for name in append:
        if name in scores:
            raise ConfigError(f"the last column written is '{name}', so none of that name can be appended")
        if name not in table.columns:
            raise DataError(f"--append copies columns of {table.name}: {unknown('column', name, table.columns)}")
    require_columns(artifact, table)

    for note in table.notes:
        progress.note(note)
    watch = Watch(artifact) if watch is None else watch
    frames = _scored(watch, table, append, limit, progress)
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
        watch.tell(progress)
        made.replace(path)
    return rows


def _scored(
    watch: Watch, table: Table, append: tuple[str, ...], limit: int | None, progress: Progress
) -> Iterator[pl.DataFrame]:
    artifact = watch.artifact
    done, total = 0, rows_to_read(table, limit)
    for chunk in table.chunks((*artifact.encoder.schema.field_names, *append), limit=limit):
        found = watch.probabilities(chunk).reshape(len(chunk.frame), -1).T
        scores = map(pl.Series, probability_columns(artifact.labels), found)
        yield pl.DataFrame([*(chunk.frame[name] for name in append), *scores])
        done += len(chunk.frame)
        progress.track("predict", done, total)


def rows_to_read(table: Table, limit: int | None) -> int:
    """How many rows will be read, or an estimate of it: what the progress counts up to."""
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
        if column.dtype.is_nested():
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
