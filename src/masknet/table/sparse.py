"""libsvm (`label id:weight ...`) and libffm (`label field:id:weight ...`): rows of weighted ids, as columns of lists.

A list column is `List(Struct(value: String, weight: Float64))`, null where a row has nothing for it. A libsvm file has
one, `features`, or one a field where fields are declared by ranges of ids; a libffm file has `field_<number>` for each
field found in it, or the declared ones. Before them stand `label` and `qid`, texts as written, where rows have them.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from masknet.errors import ConfigError, DataError
from masknet.table.packed import open_bytes
from masknet.table.part import BadRow, NumberedPiece, Report, estimated_lines, file_digest, reading, whole_lines

LIBSVM, LIBFFM = "libsvm", "libffm"
FEATURES = "features"
"""The bag of all ids of a row of libsvm, where no fields are declared."""

_GRAMMAR = {LIBSVM: "label id:weight id:weight ...", LIBFFM: "label field:id:weight field:id:weight ..."}
_TOKENS = {
    LIBSVM: re.compile(r"(qid:\S+|\d+:[-+.\d][^:\s]*)"),
    LIBFFM: re.compile(r"(qid:\S+|\d+:\d+:[-+.\d][^:\s]*)"),
}
_OWN_FIELD = re.compile(r"field_(0|[1-9]\d*)")


@dataclass(frozen=True)
class _Fields:
    """Which list column a token of a row goes to, by a number in it: its id in libsvm, its field in libffm.

    Column `names[i]` takes the numbers from `lows[i]` to `highs[i]`, both included; the ranges rise and do not overlap.
    Without ranges there is one column, which takes all.
    """

    names: tuple[str, ...]
    lows: tuple[int, ...] = ()
    highs: tuple[int, ...] = ()

    @classmethod
    def declared(cls, texts: Sequence[str], kind: str) -> _Fields:
        """Read `user=0-942`, `item=943`."""
        ranges = []
        for text in texts:
            match = re.fullmatch(r"(.+)=(\d{1,18})(?:-(\d{1,18}))?", text)
            if match is None:
                numbers = "ids, as in user=0-942,item=943-2624" if kind == LIBSVM else "numbers, as in user=0,item=1"
                raise ConfigError(f"--columns declares the fields of a {kind} file by their {numbers}; got '{text}'")
            low, high = int(match[2]), int(match[3] or match[2])
            if low > high:
                raise ConfigError(f"a range of --columns goes upwards; got '{text}'")
            ranges.append((low, high, match[1]))
        ranges.sort()
        for (_, high, name), (low, _, other) in itertools.pairwise(ranges):
            if low <= high:
                raise ConfigError(
                    f"the ranges of --columns do not overlap; '{name}' and '{other}' share {low}: mend one"
                )
        return cls(tuple(n for *_, n in ranges), tuple(low for low, *_ in ranges), tuple(h for _, h, _ in ranges))

    @classmethod
    def numbered(cls, numbers: Sequence[int]) -> _Fields:
        """The fields of a libffm file, by their numbers."""
        numbers = tuple(sorted(numbers))
        return cls(tuple(f"field_{n}" for n in numbers), numbers, numbers)

    def codes(self, numbers: pl.Series) -> NDArray[np.int64]:
        """For each number the index of its column in `names`, -1 where it is in no range."""
        if not self.lows:
            return np.zeros(len(numbers), dtype=np.int64)
        value = numbers.cast(pl.Int64, strict=False).fill_null(-1).to_numpy()
        code = np.searchsorted(np.asarray(self.lows), value, side="right") - 1
        return np.where((code >= 0) & (value <= np.asarray(self.highs)[code]), code, -1)


@dataclass(frozen=True)
class _Tokens:
    """The parsed rows of a block, and all their tokens in one line.

    Args:
        number: of each row, its number in the file.
        label: of each row, its first token; meaningful where rows have labels.
        qid: of each row, its query's id; meaningful where rows have one.
        row: of each token, the index of its row in the block, rising.
        code: of each token, the index of its list column in `_Fields.names`.
        frame: of each token, its `id`, its `weight` and, in libffm, its `field`.
    """

    number: NDArray[np.int64]
    label: pl.Series
    qid: pl.Series
    row: NDArray[np.int64]
    code: NDArray[np.int64]
    frame: pl.DataFrame


def sniff(line: str) -> str | None:
    """Whether a file with this first line is libsvm or libffm; None where it is neither."""
    first, *tokens = line.partition("#")[0].split() or [""]
    if ":" in first:
        tokens = [first, *tokens]
    return next((kind for kind, token in _TOKENS.items() if tokens and all(map(token.fullmatch, tokens))), None)


def is_own_field(name: str) -> bool:
    """Whether this is a column `field_<number>`, as every libffm file has it, null where no row has that field."""
    return _OWN_FIELD.fullmatch(name) is not None


def open_sparse(paths: Sequence[tuple[Path, str]], kind: str, columns: Sequence[str]) -> list[SparseFile]:
    """The files of one table; those of libffm without declared columns are read once, for their fields.

    Args:
        paths: each with its name for messages.
        kind: libsvm or libffm.
        columns: the fields, by ranges of ids (libsvm) or of field numbers (libffm).
    """
    fields = _Fields.declared(columns, kind) if columns else _Fields((FEATURES,))
    files = [SparseFile.open(path, name, kind, fields) for path, name in paths]
    if kind == LIBFFM and not columns:
        found: set[int] = set()
        counted = []
        for file in files:
            rows = 0
            for tokens in file.tokens(bad=lambda row: None):  # those who read the rows are told of bad ones
                rows += len(tokens.number)
                found.update(tokens.frame["field"].unique().to_list())
            counted.append(rows)
        fields = _Fields.numbered(sorted(found))
        files = [replace(file, fields=fields, num_rows=rows) for file, rows in zip(files, counted, strict=True)]
    return files


@dataclass(frozen=True)
class SparseFile:
    """A libsvm or libffm file, gzipped or not; blank lines and comments (`# ...`) do not count."""

    name: str
    path: Path
    kind: str
    fields: _Fields
    labelled: bool
    queries: bool
    num_bytes: int
    num_rows: int | None = None

    @classmethod
    def open(cls, path: Path, name: str, kind: str, fields: _Fields) -> SparseFile:
        """Look at the first row: whether it has a label, and a query's id."""
        bare = cls(name, path, kind, fields, labelled=True, queries=False, num_bytes=path.stat().st_size)
        first = next((line for lines in bare._lines() for line in lines if len(line)), None)
        if first is None:
            raise DataError(f"a {kind} file holds rows of {_GRAMMAR[kind]}; {name} has none", file=name)
        tokens = first.split(" ")
        labelled = ":" not in tokens[0]
        queries = len(tokens) > labelled and tokens[labelled].startswith("qid:")
        return replace(bare, labelled=labelled, queries=queries)

    @property
    def columns(self) -> tuple[str, ...]:
        """The label and the query's id where the rows have them, and the list columns."""
        return (*(["label"] if self.labelled else []), *(["qid"] if self.queries else []), *self.fields.names)

    def estimated_rows(self) -> int:
        """`num_rows` where the file was read for its fields, else judged by the lines in the first MiB."""
        return estimated_lines(self.path, self.name) if self.num_rows is None else self.num_rows

    def digest(self, *, verify: bool) -> bytes:
        """A hash of the bytes and of the declared fields."""
        return file_digest(self.path, self.name, f"{self.kind}|{self.fields!r}", verify=verify)

    def pieces(self, names: list[str], bad: Report | None) -> Iterator[NumberedPiece]:
        """The rows without the bad ones, of which `bad` is told, a block of the file at a time, and their numbers."""
        for tokens in self.tokens(bad):
            order = np.argsort(tokens.code, kind="stable")
            row, values = tokens.row[order], tokens.frame[order].select(value="id", weight="weight")
            ends = np.searchsorted(tokens.code[order], np.arange(len(self.fields.names) + 1))
            columns = {"label": tokens.label, "qid": tokens.qid}
            for name in names:
                if name in self.fields.names:
                    i = self.fields.names.index(name)
                    part = slice(int(ends[i]), int(ends[i + 1]))
                    columns[name] = lists_of(row[part], values[part], len(tokens.number))
                elif name not in self.columns:  # a field of libffm that no row has
                    columns[name] = lists_of(row[:0], values[:0], len(tokens.number))
            yield pl.DataFrame({name: columns[name] for name in names}), tokens.number

    def tokens(self, bad: Report | None) -> Iterator[_Tokens]:
        """The rows of each block, parsed and checked."""
        first_row = 1
        for lines in self._lines():
            if len(lines):
                yield self._parse(lines, np.arange(first_row, first_row + len(lines)), bad)
            first_row += len(lines)

    def _lines(self) -> Iterator[pl.Series]:
        """The rows of each block, one space between their tokens."""
        with reading(self.name), open_bytes(self.path) as (stream, _):
            yield from map(self._clean, whole_lines(stream, self.name))

    @staticmethod
    def _clean(data: bytes) -> pl.Series:
        text = data.decode(errors="replace")  # what is not UTF-8 is no number either, and is shown in its place
        lines = pl.Series(text.split("\n"), dtype=pl.String)
        if "#" in text:
            lines = lines.str.replace(r"(^|\s)#.*$", "")
        lines = lines.str.strip_chars()
        if "  " in text or "\t" in text:
            lines = lines.str.replace_all(r"\s+", " ")
        return lines.filter(lines != "")

    def _parse(self, lines: pl.Series, number: NDArray[np.int64], bad: Report | None) -> _Tokens:
        tokens = lines.str.split(" ")
        head = tokens.list.get(0)
        misses_label = (head.str.contains(":", literal=True) == self.labelled).to_numpy()
        qid = tokens.list.get(int(self.labelled), null_on_oob=True)
        misses_query = np.zeros(len(lines), dtype=np.bool_)
        if self.queries:
            misses_query = ~qid.str.starts_with("qid:").fill_null(value=False).to_numpy()
            qid = qid.str.strip_prefix("qid:")
        pairs = tokens.list.slice(int(self.labelled) + int(self.queries))
        row = np.repeat(np.arange(len(lines), dtype=np.int64), pairs.list.len().to_numpy())
        token = pairs.explode(empty_as_null=False, keep_nulls=False)
        frame, unread = self._numbers(token)
        code = self.fields.codes(frame["field" if self.kind == LIBFFM else "id"])
        outside = (code < 0) & ~unread
        unfit = np.flatnonzero(unread | outside)
        wrong = misses_label | misses_query
        wrong[row[unfit]] = True
        if not wrong.any():
            return _Tokens(number, head, qid, row, code, frame)

        # Of each row; from the last on, so that the first one stays.
        first_unfit = dict(zip(row[unfit[::-1]].tolist(), unfit[::-1].tolist(), strict=True))

        def refusal(i: int) -> DataError:
            place, value = f"row {number[i]}", None
            if misses_label[i]:
                rule = "begins with its label" if self.labelled else "has no label, since the first has none"
                value = head[i]
                sentence = f"each row of {self.name} {rule}; {place} begins with '{value[:40]}': mend the row"
            elif misses_query[i]:
                sentence = f"each row of {self.name} has a qid, since the first has one; {place} has none: mend the row"
            elif unread[at := first_unfit[i]]:
                value = token[at]
                sentence = (
                    f"a row of a {self.kind} file is '{_GRAMMAR[self.kind]}', with whole numbers for ids and finite "
                    f"weights; {place} of {self.name} holds '{value[:40]}': mend the row"
                )
            else:
                value, what = token[at], "field" if self.kind == LIBFFM else "id"
                sentence = (
                    f"each {what} of a {self.kind} file belongs to one of the declared columns; {place} of {self.name} "
                    f"has {what} {frame[what][at]}: widen --columns"
                )
            return DataError(sentence, file=self.name, row=int(number[i]), value=value)

        if bad is None:
            raise refusal(int(wrong.argmax()))
        for i in np.flatnonzero(wrong).tolist():
            bad(BadRow(self.name, int(number[i]), None, str(refusal(i)), tokens[i].to_list()))
        return self._parse(lines.filter(pl.Series(~wrong)), number[~wrong], bad)

    def _numbers(self, token: pl.Series) -> tuple[pl.DataFrame, NDArray[np.bool_]]:
        """The id, the weight and in libffm the field of each token, and which tokens are not made of these."""
        names = ["id", "weight"] if self.kind == LIBSVM else ["field", "id", "weight"]
        pieces = token.str.split_exact(":", len(names)).struct.rename_fields([*names, "rest"]).struct.unnest()
        weight = pl.col("weight").cast(pl.Float64, strict=False)
        if self.kind == LIBSVM:  # an id alone weighs 1
            weight = pl.when(pl.col("weight").is_null()).then(1.0).otherwise(weight).alias("weight")
        read = pieces.select(
            pl.col("id").str.contains(r"^[0-9]+$").alias("known") & pl.col("rest").is_null(),
            *([pl.col("field").cast(pl.Int64, strict=False)] if self.kind == LIBFFM else []),
            # 007 is 7, whoever wrote the file
            pl.col("id").str.strip_chars_start("0").replace("", "0"),
            weight,
        )
        good = read["known"] & read["weight"].is_finite()
        if self.kind == LIBFFM:
            good &= pieces["field"].str.contains(r"^[0-9]+$") & read["field"].is_not_null()
        return read.drop("known"), ~good.fill_null(value=False).to_numpy()


def lists_of(row: NDArray[np.int64], values: pl.DataFrame, height: int) -> pl.Series:
    """A column of lists: cell `i` holds the values that have `i` in `row`, which rises, and is null without any."""
    counts = np.bincount(row, minlength=height)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    # Polars before 1.42 takes other texts than those of its own kind inside a list as they are, and crashes later.
    items = values.to_struct().to_arrow(compat_level=pl.CompatLevel.newest())
    absent = pl.Series(counts == 0).to_arrow()
    return pl.Series(pa.LargeListArray.from_arrays(pl.Series(offsets).to_arrow(), items, mask=absent))
