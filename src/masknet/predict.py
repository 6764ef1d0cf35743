"""Artifact and table to probabilities: as an array, or as a file."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import IO, Any, Literal, TypeAlias, cast

import numpy as np
import polars as pl
import pyarrow.parquet as pq
from numpy.typing import NDArray

from masknet.artifact import Artifact, probabilities, probability_columns
from masknet.encode import BadRows, FieldSkew, ValueCounts
from masknet.encode.sift import BAD_ROWS_FILE, BadRowsWriter, field_checks, judge
from masknet.errors import ConfigError, DataError, flag, unknown
from masknet.places import temporary_folder
from masknet.progress import Progress
from masknet.table import PLAIN, BadRow, Chunk, Form, Source, Table, open_table
from masknet.threads import require_threads

__all__ = [
    "Watch",
    "Written",
    "no_rows",
    "predict_file",
    "predict_frame",
    "predict_stream",
    "probabilities",
    "require_columns",
    "tracked",
]

_Write = Callable[[pl.DataFrame], None]
_Rows: TypeAlias = tuple[pl.DataFrame, Sequence[BadRow]]
"""Some rows of what is written, and the bad ones among them."""


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
        self._sums += found.reshape(len(chunk), -1).sum(axis=0)
        self._rows += len(chunk)
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
        return f"where it has no header, name its columns with {flag('columns', ','.join(columns))}"
    if artifact.run.get("no_header") and not table.typed:
        return "where it has no header, as the training table, say so with --no-header"
    they = "it" if len(lacking) == 1 else "them"
    return f"add {they}, or train again without {they}"


def predict_frame(
    artifact: Artifact,
    source: Source,
    *,
    columns: Sequence[str] = (),
    form: Form = PLAIN,
    watch: Watch | None = None,
) -> NDArray[np.float64]:
    """The probability of each row of a path, a frame or a list of dicts, in their order.

    It is `[rows]`, or `[rows, tasks]` of a model for several labels.

    Args:
        artifact: scores.
        source: raw rows.
        columns: names for a text file without a header, as in `open_table`.
        form: what is said of how a file is written; the rest is found in it, or is as that of the training was.
        watch: knows afterwards how far the rows are from those of training.

    Raises:
        DataError: a column is missing, or a cell cannot be what its column means.
    """
    require_threads()
    table = open_table(source, columns=columns, form=form, usual=artifact.form)
    require_columns(artifact, table)
    score = partial(probabilities, artifact) if watch is None else watch.probabilities
    parts = [score(chunk) for chunk in table.chunks(artifact.encoder.schema.field_names)]
    return np.concatenate([no_rows(artifact), *parts])


def no_rows(artifact: Artifact) -> NDArray[np.float64]:
    """The probabilities of a table without rows."""
    tasks = len(artifact.labels)
    return np.empty(0 if tasks < 2 else (0, tasks))


@dataclass(frozen=True)
class Written:
    """What `predict_file` wrote.

    Args:
        rows: of the output.
        bad: those of them that have no probability, and the file that says why; None where they were not looked for.
    """

    rows: int
    bad: BadRows | None = None


def predict_file(
    artifact: Artifact,
    table: Table,
    out: str | Path,
    *,
    append: Sequence[str] = (),
    overwrite: bool = False,
    bad_rows: Literal["refuse", "quarantine"] = "refuse",
    limit: int | None = None,
    watch: Watch | None = None,
    progress: Progress,
) -> Written:
    """Write a row for each row of the table, in its order: the appended columns, then `probability`.

    Of a model for several labels, the last columns are `probability_<label>`, one a label.

    The file is written whole or not at all.

    Args:
        artifact: scores.
        table: raw rows; no label is needed, other columns are not read.
        out: ends in .parquet, .csv, .tsv, .csv.gz or .tsv.gz.
        append: columns of the table to copy, as they are.
        overwrite: replace a file that lies there.
        bad_rows: "quarantine" leaves the probability of a bad row empty, and writes its place, the reason and its cells
            to a CSV file beside the output, `scores.bad_rows.csv` beside `scores.parquet`; "refuse" stops at the first.
            Of a row that cannot be read at all the appended columns are empty too.
        limit: score only the first so many rows.
        watch: knows afterwards how far the rows are from those of training; a strict one makes that an error.
        progress: told of the rows done, and warned of skews.

    Raises:
        ConfigError: `out` has another ending, or something lies there, or in the place of the bad rows, already.
        DataError: a column is missing, a cell cannot be what its column means, most rows are bad, or a strict watch
            found a skew.
        OSError: the disk is full, or the place not writable.
    """
    out = os.path.expanduser(out)
    path = Path(out).absolute()
    suffix = _suffix_of(path)
    kept = Path(f"{os.fspath(out).removesuffix(suffix)}.{BAD_ROWS_FILE}") if bad_rows == "quarantine" else None
    for place in (out, kept):
        if place is not None:
            _require_free(place, table, overwrite=overwrite)
    if artifact.path is not None and path.parent.resolve().is_relative_to(artifact.path.resolve()):
        raise ConfigError(
            f"a model's folder holds nothing but the model; '{out}' lies in '{artifact.path}': name another"
        )
    watch = Watch(artifact) if watch is None else watch
    job = _Job(watch, table, tuple(dict.fromkeys(append)), limit, progress)
    frames = job.scored() if kept is None else job.aligned()
    first = next(frames, job.nothing)  # what cannot be scored is mostly seen in it, before anything is written
    path.parent.mkdir(parents=True, exist_ok=True)
    with temporary_folder(path) as temporary:
        made, noted = temporary / path.name, temporary / BAD_ROWS_FILE
        writer = partial(_WRITERS[suffix.lower()], made)
        if kept is None:
            written = Written(_write_all(first, frames, writer))
        else:
            with noted.open("w", encoding="utf-8", newline="") as file:
                found = BadRowsWriter(file, "scored", table.name)
                rows = _write_all(first, frames, writer, found.add)
            found.require_few()
            written = Written(rows, BadRows(kept, (found.count,)))
        watch.tell(progress)
        if written.bad:
            noted.replace(written.bad.file)
        elif kept is not None:
            kept.unlink(missing_ok=True)
        made.replace(path)
    return written


def predict_stream(
    artifact: Artifact,
    table: Table,
    stream: IO[bytes],
    *,
    append: Sequence[str] = (),
    limit: int | None = None,
    watch: Watch | None = None,
    progress: Progress,
) -> Written:
    """Write as `predict_file` does, as CSV, to a stream: what was written before an error stays written."""
    watch = Watch(artifact) if watch is None else watch
    job = _Job(watch, table, tuple(dict.fromkeys(append)), limit, progress)
    frames = job.scored()
    rows = _write_all(next(frames, job.nothing), frames, partial(_lines, stream))
    watch.tell(progress)
    return Written(rows)


def _require_free(place: str | Path, table: Table, *, overwrite: bool) -> None:
    if os.path.isdir(place) or (os.path.lexists(place) and not overwrite):
        way_out = "name a file with --out" if os.path.isdir(place) else "replace it with --overwrite, or name another"
        raise ConfigError(f"'{place}' exists already: {way_out}")
    if os.path.exists(place) and any(os.path.samefile(place, read) for read in table.paths):
        raise ConfigError(
            f"the rows to score are read while the scores are written; '{place}' holds them: name another"
        )


def _write_all(
    first: _Rows,
    others: Iterator[_Rows],
    writer: Callable[[pl.DataFrame], AbstractContextManager[_Write]],
    hear: Callable[[int, Sequence[BadRow]], None] = lambda rows, bad: None,
) -> int:
    """Write all frames and count their rows; `hear` is told of how many there are in each, and of the bad ones."""
    rows = 0
    with writer(first[0]) as write:
        for frame, bad in chain([first], others):
            write(frame)
            hear(len(frame), bad)
            rows += len(frame)
    return rows


class _Job:
    """The rows of a table as frames to be written: the appended columns, then the probabilities.

    Raises:
        ConfigError: a column of the table that would be appended has the name of a probability.
        DataError: the table lacks a column.
    """

    def __init__(
        self, watch: Watch, table: Table, append: tuple[str, ...], limit: int | None, progress: Progress
    ) -> None:
        require_threads()
        self._watch, self._table, self._append = watch, table, append
        self._limit, self._progress = limit, progress
        self._scores = probability_columns(watch.artifact.labels)
        self._schema = watch.artifact.encoder.schema
        for name in append:
            if name in self._scores:
                raise ConfigError(f"the last column written is '{name}', so none of that name can be appended")
            if name not in table.columns:
                raise DataError(f"--append copies columns of {table.name}: {unknown('column', name, table.columns)}")
        require_columns(watch.artifact, table)
        table.tell(progress)

    @property
    def _columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self._schema.field_names, *self._append)))

    @property
    def nothing(self) -> _Rows:
        """What is written of no rows."""
        return pl.DataFrame(schema=dict.fromkeys(self._append, pl.String) | dict.fromkeys(self._scores, pl.Float64)), ()

    def scored(self) -> Iterator[_Rows]:
        """Every row has its probability; the first that cannot have one is an error."""
        for chunk in tracked(self._table, self._columns, "predict", self._progress, limit=self._limit):
            yield self._frame(chunk.frame, self._watch.probabilities(chunk)), ()

    def aligned(self) -> Iterator[_Rows]:
        """A bad row has none."""
        left, done, total = self._limit, 0, rows_to_read(self._table, self._limit)
        self._progress.track("predict", 0, total)
        for judged in judge(self._table, field_checks(self._schema), self._columns):
            chunk, good, bad = judged.chunk, judged.good, judged.bad
            numbers = np.union1d(chunk.numbers, np.array([row.row for row in bad], dtype=np.int64))
            if left is not None:
                numbers = numbers[:left]
                left -= len(numbers)
                good = good[np.isin(chunk.numbers[good], numbers)]
                bad = [row for row in bad if row.row <= numbers[-1]]
            probabilities = np.full((len(numbers), len(self._scores)), np.nan)
            if len(good):
                some = replace(chunk, piece=chunk.pick(good), rows=chunk.numbers[good])
                at = np.searchsorted(numbers, chunk.numbers[good])
                probabilities[at] = self._watch.probabilities(some).reshape(len(good), -1)
            places = pl.Series(np.searchsorted(chunk.numbers, numbers))
            places = places.set(pl.Series(~np.isin(numbers, chunk.numbers)), None)  # rows that could not be read
            yield self._frame({name: chunk.frame[name].gather(places) for name in self._append}, probabilities), bad
            done += len(numbers)
            self._progress.track("predict", done, max(total, done))
            if left == 0:
                return

    def _frame(self, cells: pl.DataFrame | Mapping[str, pl.Series], probabilities: NDArray[np.float64]) -> pl.DataFrame:
        """The appended columns of some rows beside their probabilities, where NaN stands for none."""
        of_tasks = probabilities.reshape(-1, len(self._scores)).T
        scores = {n: pl.Series(task, nan_to_null=True) for n, task in zip(self._scores, of_tasks, strict=True)}
        # By name: of a list of series, Polars would call one that has no name by a name of its own.
        return pl.DataFrame({**{name: cells[name] for name in self._append}, **scores})


def tracked(
    table: Table, columns: Sequence[str], phase: str, progress: Progress, *, limit: int | None = None
) -> Iterator[Chunk]:
    """The rows of a table, chunk by chunk; how far they are is told from before the first on."""
    done, total = 0, rows_to_read(table, limit)
    progress.track(phase, 0, total)
    for chunk in table.chunks(columns, limit=limit):
        yield chunk
        done += len(chunk)
        progress.track(phase, done, max(total, done))


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
    _require_plain(first)
    with (
        file.open("wb") as raw,
        _compressed(raw) if compressed else nullcontext(cast("IO[bytes]", raw)) as sink,
        _lines(sink, first, separator=separator) as write,
    ):
        yield write


@contextmanager
def _lines(sink: IO[bytes], first: pl.DataFrame, *, separator: str = ",") -> Iterator[_Write]:
    empty = '""' if first.width == 1 else ""  # a row that is blank would be passed over by whoever reads it

    def write(frame: pl.DataFrame, *, header: bool = False) -> None:
        sink.write(frame.write_csv(separator=separator, include_header=header, null_value=empty).encode())

    _require_plain(first)
    write(first.clear(), header=True)
    yield write
    sink.flush()


def _require_plain(frame: pl.DataFrame) -> None:
    for column in frame:
        if column.dtype.is_nested():
            raise DataError(
                f"a text file holds plain values; column '{column.name}' holds {column.dtype}: write .parquet, or "
                f"leave it out of --append"
            )


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


def _suffix_of(path: Path) -> str:
    """The ending of a file's name, as it is written there, by which a writer is chosen."""
    for suffix in _WRITERS:
        if path.name.lower().endswith(suffix):
            return path.name[-len(suffix) :]
    raise ConfigError(f"probabilities are written to a file that ends in {', '.join(_WRITERS)}; got '{path.name}'")
