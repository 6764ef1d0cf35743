"""Pretrained vectors as the start of a field's rows: which file holds them, and which rows they become."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from masknet.config import RunConfig
from masknet.encode import Encoder
from masknet.encode.values import Place, categorical_text
from masknet.encode.vocabulary import Vocabulary
from masknet.errors import ConfigError, DataError, unknown
from masknet.nn import id_tables
from masknet.progress import Progress
from masknet.schema import ValueType
from masknet.table import open_table

__all__ = ["Vectors", "digests", "read_vectors", "start_from"]

_TEXT_ENDINGS = (".vec", ".txt")
_BLOCK_LINES = 20_000


@dataclass(frozen=True)
class Vectors:
    """The rows that a file gives to the values of a field.

    Args:
        field: its name.
        file: the file's name, without its folder.
        sha256: of the file's content.
        ids: of the values that have a vector, `[n]`.
        rows: their vectors, `[n, width]`.
        num_values: how many values the field's vocabulary has.
        frozen: whether the rows stay as they are.
    """

    field: str
    file: str
    sha256: str
    ids: Tensor
    rows: Tensor
    num_values: int
    frozen: bool

    def to_json(self) -> dict[str, Any]:
        """What a manifest keeps of it."""
        counts = {"values": len(self.ids), "of": self.num_values, "width": self.rows.shape[1]}
        return {"file": self.file, "sha256": self.sha256, **counts, "frozen": self.frozen}


def digests(files: Mapping[str, str]) -> dict[str, str]:
    """The SHA-256 of each field's file of vectors.

    Raises:
        ConfigError: there is no such file.
    """
    found = {}
    for field, path in files.items():
        if not Path(path).is_file():
            raise ConfigError(f"the vectors of '{field}' are read from one file; there is none at '{path}'")
        with Path(path).open("rb") as stream:
            found[field] = hashlib.file_digest(stream, "sha256").hexdigest()
    return found


def read_vectors(config: RunConfig, encoder: Encoder, progress: Progress) -> list[Vectors]:
    """The vectors of all fields with `--pretrained`; says how many of each field's values have one.

    A value is matched as the field reads it. Where a file holds a value twice, the first one counts.

    Raises:
        ConfigError: there is no such field, or it has no vocabulary.
        DataError: a file holds no vectors, or none for any value of the field.
    """
    found = []
    pairs = zip(encoder.schema.fields, encoder.encodings, strict=True)
    fields = {field.name: (field, encoding) for field, encoding in pairs}
    checked = digests(config.pretrained)
    for name, path in config.pretrained.items():
        if name not in fields:
            raise ConfigError(f"--pretrained names a field of the model: {unknown('field', name, fields)}")
        field, encoding = fields[name]
        vocabulary = getattr(encoding, "vocabulary", None)
        if not isinstance(vocabulary, Vocabulary):
            hashed = vocabulary is not None
            raise ConfigError(
                f"--pretrained gives vectors to the values of a vocabulary; the field '{name}' is "
                f"{'hashed' if hashed else field.kind} and has none: name another, or "
                f"{'leave it out of --hash' if hashed else 'give the column in --categorical'}"
            )
        ids, rows = _matched(Path(path), vocabulary, getattr(field, "values", "text"))
        if not len(ids):
            raise DataError(
                f"a file of vectors holds some of the field's values; {Path(path).name} holds none of the "
                f"{len(vocabulary):,} of '{name}': its first column must be the values as they stand in the table"
            )
        vectors = Vectors(
            field=name,
            file=Path(path).name,
            sha256=checked[name],
            ids=torch.from_numpy(ids.astype(np.int64)),
            rows=torch.from_numpy(rows),
            num_values=len(vocabulary),
            frozen=name in config.freeze,
        )
        progress.note(
            f"pretrained: {len(ids):,} of the {len(vocabulary):,} values of '{name}' have a vector in {vectors.file}"
            + (", and are not trained" if vectors.frozen else "")
        )
        found.append(vectors)
    return found


def start_from(vectors: Sequence[Vectors], network: nn.Module) -> dict[str, Tensor]:
    """Write the vectors into every id table of their width.

    Returns:
        For each parameter with frozen rows, by its name, their ids.

    Raises:
        ConfigError: no table is as wide.
    """
    frozen: dict[str, list[Tensor]] = {}
    for given in vectors:
        width = given.rows.shape[1]
        tables = {name: table for name, table in id_tables(network).items() if table.embedding_dim == width}
        if not tables:
            raise ConfigError(
                f"pretrained vectors are as wide as a table of the network; those of '{given.field}' have {width} "
                f"numbers, and no table has: pass --set embedding_dim={width}, or vectors of another width"
            )
        for name, table in tables.items():
            with torch.no_grad():
                table.weight[given.ids] = given.rows
            if given.frozen:
                frozen.setdefault(name, []).append(given.ids)
    return {name: torch.cat(ids) for name, ids in frozen.items()}


_Block = tuple[pl.Series, Callable[[NDArray[np.bool_]], NDArray[np.float64]], Place]
"""Some values, their vectors (of those that are asked for), and where a row stands."""


def _matched(path: Path, vocabulary: Vocabulary, kind: ValueType) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The ids of the values that have a vector, and the vectors."""
    all_ids: list[NDArray[np.int32]] = [np.empty(0, dtype=np.int32)]
    all_rows: list[NDArray[np.float32]] = []
    for column, vectors_of, place in _text_blocks(path) if _is_text(path) else _table_blocks(path):
        ids = vocabulary.ids(categorical_text(column, kind, place), missing=-1, unseen=-1)
        known = ids >= 0
        if not known.any():
            continue
        with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, and refused below
            rows = vectors_of(known).astype(np.float32)
        if all_rows and rows.shape[1] != all_rows[0].shape[1]:
            raise DataError(_another_width(place(int(known.argmax())), rows.shape[1], all_rows[0].shape[1]))
        wrong = ~np.isfinite(rows).all(axis=1)
        if wrong.any():
            at = place(int(np.flatnonzero(known)[wrong.argmax()]))
            raise DataError(
                f"a vector is made of numbers that float32 can hold; that in {at} is not: mend it, or leave it out"
            )
        all_ids.append(ids[known])
        all_rows.append(rows)
    ids, first = np.unique(np.concatenate(all_ids), return_index=True)
    return ids, np.concatenate(all_rows)[first] if all_rows else np.empty((0, 0), dtype=np.float32)


def _is_text(path: Path) -> bool:
    return path.name.lower().endswith(_TEXT_ENDINGS)


def _another_width(at: str, found: int, expected: int) -> str:
    return f"all vectors of a file are of one width; that in {at} has {found} numbers, the first {expected}"


def _table_blocks(path: Path) -> Iterator[_Block]:
    table = open_table(str(path))
    key, *others = table.columns
    if not others:
        raise DataError(f"a file of vectors has a column of values, then numbers or a list; {path.name} has one column")
    for chunk in table.chunks(table.columns):
        frame = chunk.frame
        lists = len(others) == 1 and isinstance(frame[others[0]].dtype, pl.List | pl.Array)

        def vectors_of(
            known: NDArray[np.bool_], frame: pl.DataFrame = frame, lists: bool = lists, place: Place = chunk.place
        ) -> NDArray[np.float64]:
            picked, rows = frame.filter(pl.Series(known)), np.flatnonzero(known)
            if not lists:
                columns = [_numbers(picked[name], lambda i: place(int(rows[i]))) for name in others]
                return np.column_stack(columns)
            column = picked[others[0]].cast(pl.List(pl.Float64))
            widths = column.list.len().fill_null(0)
            if (widths != widths[0]).any():
                at = int((widths != widths[0]).arg_max() or 0)
                raise DataError(_another_width(place(int(rows[at])), widths[at], widths[0]))
            numbers = _numbers(column.explode(), lambda i: place(int(rows[i // widths[0]])))
            return numbers.reshape(len(picked), widths[0])

        yield frame[key], vectors_of, chunk.place


def _numbers(column: pl.Series, place: Place) -> NDArray[np.float64]:
    if not (column.dtype == pl.String or column.dtype.is_numeric() or column.dtype == pl.Null):
        raise DataError(f"a vector is made of numbers; column '{column.name}' holds {column.dtype}: leave it out")
    numbers = column.cast(pl.Float64, strict=False)
    if numbers.null_count():
        row = int(numbers.is_null().arg_max() or 0)
        raise DataError(f"a vector is made of numbers; column '{column.name}' holds {column[row]!r} in {place(row)}")
    return numbers.to_numpy()


def _text_blocks(path: Path) -> Iterator[_Block]:
    """Of word2vec's and GloVe's text: a value, then numbers, blanks between; a value may itself hold blanks."""
    # Texts that are damaged match no value; they are no reason to refuse a file of a million others.
    with path.open(encoding="utf-8", errors="replace", newline="\n") as file:
        head = file.readline().split()
        has_head = len(head) == 2 and all(part.isascii() and part.isdigit() for part in head)
        width = int(head[1]) if has_head else len(head) - 1
        if width < 1:
            raise DataError(f"a line of vectors is a value, then numbers; the first one of {path.name} has no number")
        if not has_head:
            file.seek(0)
        start = 2 if has_head else 1
        while lines := list(islice(file, _BLOCK_LINES)):

            def place(row: int, start: int = start) -> str:
                return f"line {start + row} of {path.name}"

            parts = [line.rsplit(None, width) for line in lines]
            for row, (line, split) in enumerate(zip(lines, parts, strict=True)):
                if len(split) <= width and not line[:1].isspace():  # a value made of blanks alone matches nothing
                    raise DataError(_another_width(place(row), max(len(split) - 1, 0), width))

            def vectors_of(
                known: NDArray[np.bool_], parts: list[list[str]] = parts, place: Place = place
            ) -> NDArray[np.float64]:
                rows = []
                for row in np.flatnonzero(known):
                    try:
                        rows.append([float(number) for number in parts[row][1:]])
                    except ValueError:
                        at = place(int(row))
                        raise DataError(f"a line of vectors is a value, then numbers; {at} is not: mend it") from None
                return np.array(rows)

            texts = [split[0] if len(split) > width else None for split in parts]
            yield pl.Series("value", texts, dtype=pl.String), vectors_of, place
            start += len(lines)
