"""What a column is read as, by its Arrow type: one rule for files, Arrow tables, pandas and Polars frames.

`docs/types.md` has the table. Each type becomes one that Polars holds and the encoder knows; no column of a type that
is not read, and no value that cannot be, leaves here but as one sentence that names the column.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from masknet.errors import DataError

__all__ = [
    "FLAT",
    "arrow_series",
    "column_of",
    "converting",
    "frame_of",
    "from_arrow",
    "interval_text",
    "null_mask",
    "plain",
    "plain_columns",
    "text_of",
    "weight_at",
]

_Metadata = Mapping[bytes, bytes] | None
_NAME, _SAID = b"ARROW:extension:name", b"ARROW:extension:metadata"
_PER_SECOND = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
_DIGITS = 38  # that a decimal of Polars has at most
_BETWEEN_HOURS = re.compile(r"[+-]\d\d:?(?!00)\d\d")  # of these offsets Polars knows the whole hours
_OLDEST, _AS_IT_LIES = pl.CompatLevel.oldest(), pl.CompatLevel.newest()

FLAT = (
    *(pl.String, pl.Boolean, pl.Date, pl.Datetime, pl.Float32, pl.Float64),
    *(pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64),
)
"""The types of most columns, which Arrow has as Polars has them."""


class _UnreadableError(Exception):
    """A type is not read."""


# Columns


def from_arrow(table: pa.Table, source: str) -> pl.DataFrame:
    """An Arrow table as a frame, each column as `arrow_series` gives it.

    Raises:
        DataError: a column is of a type, or holds a value, that cannot be read.
    """
    return frame_of(plain_columns(table, source), source)


def plain_columns(table: pa.Table, source: str, *, coded: Collection[str] = ()) -> pa.Table:
    """An Arrow table with each column of one of the types that the encoder knows, of which `frame_of` makes a frame.

    Args:
        table: of any types.
        source: the file's name, or "the frame".
        coded: columns of texts, of which each is in a dictionary: they stay so.

    Raises:
        DataError: a column is of a type, or holds a value, that cannot be read.
    """
    read = {
        field.name: _read_column(field.name, column, source, field.metadata, coded=field.name in coded)
        for field, column in zip(table.schema, table.columns, strict=True)
    }
    return pa.table(read)


def frame_of(table: pa.Table, source: str) -> pl.DataFrame:
    """The frame of a table that `plain_columns` gave.

    Raises:
        DataError: a column holds a value that cannot be read.
    """
    names = table.column_names
    return pl.DataFrame({name: _series(name, table.column(i), source) for i, name in enumerate(names)})


def arrow_series(name: str, column: pa.ChunkedArray, source: str, metadata: _Metadata = None) -> pl.Series:
    """An Arrow column as a series of plain values, or of lists of them.

    >>> seconds = pa.chunked_array([pa.array([90, None], pa.duration("s"))])
    >>> arrow_series("dwell", seconds, "ads.parquet").to_list()
    [90.0, None]

    Args:
        name: of the column.
        column: all its chunks.
        source: the file's name, or "the frame".
        metadata: of the field, which names an extension type whose class is not there.

    Raises:
        DataError: it is of a type, or holds a value, that cannot be read.
    """
    return _series(name, _read_column(name, column, source, metadata), source, column.type)


def _read_column(
    name: str, column: pa.ChunkedArray, source: str, metadata: _Metadata, *, coded: bool = False
) -> pa.ChunkedArray:
    with converting(name, source, column.type.value_type if coded else column.type):
        parts = column.chunks or [column.combine_chunks()]
        return pa.chunked_array([_coded_texts(part) if coded else _read(part, metadata) for part in parts])


def _series(name: str, read: pa.ChunkedArray, source: str, kind: object = None) -> pl.Series:
    coded = pa.types.is_dictionary(read.type)
    with converting(name, source, kind or (read.type.value_type if coded else read.type)):
        if coded:
            return pl.concat([_gathered(part.dictionary, part.indices) for part in read.chunks]).alias(name)
        # Not as a Series: Polars before 1.42 then keeps the texts of structs in lists as they are, and crashes on them.
        series = pl.DataFrame(pa.table({name: read})).to_series()
        return series.cast(pl.String) if isinstance(series.dtype, pl.Categorical | pl.Enum) else series


def null_mask(column: pl.Series | pa.Array) -> NDArray[np.bool_]:
    """Which cells are null.

    NOTE[perf]: `is_null` is a query, for which threads are woken: .1 ms, and some ms on a busy machine. The bits take a
    fifth of it, and a column without nulls needs none.

    >>> null_mask(pl.Series(["Ulm", None])).tolist()
    [False, True]

    Args:
        column: a series, or an array of Arrow that has nulls.
    """
    if isinstance(column, pl.Series):
        if not column.null_count():
            return np.zeros(len(column), dtype=np.bool_)
        if column.dtype not in FLAT:
            return column.is_null().to_numpy()
        column = column.to_arrow(compat_level=_AS_IT_LIES)
    first, bits = column.offset, np.frombuffer(column.buffers()[0], dtype=np.uint8)
    nulls: NDArray[np.bool_] = np.unpackbits(bits, count=first + len(column), bitorder="little")[first:] == 0
    return nulls


def column_of(table: pa.Table, name: str, source: str) -> pl.Series:
    """A column of a table that `plain_columns` gave.

    Raises:
        DataError: it holds a value that cannot be read.
    """
    return _series(name, table.column(name), source)


def plain(frame: pl.DataFrame, source: str) -> pl.DataFrame:
    """A frame whose columns are read as those of an Arrow table are.

    >>> plain(pl.DataFrame({"key": [b"Ulm", b"\\xff"]}), "the frame")["key"].to_list()
    ['Ulm', 'ff']

    Raises:
        DataError: as in `arrow_series`.
    """
    odd = [i for i, dtype in enumerate(frame.dtypes) if not _is_plain(dtype)]
    if not odd:
        return frame
    columns = {column.name: column for column in frame}
    for i in odd:
        name = frame.columns[i]
        with converting(name, source, frame.dtypes[i]):
            table = pl.DataFrame({name: columns[name]}).to_arrow()
            columns[name] = arrow_series(name, table.column(0), source, table.schema.field(0).metadata)
    return pl.DataFrame(columns)


@contextmanager
def converting(name: str, source: str, kind: object) -> Iterator[None]:
    """Turn whatever pandas, Arrow, Polars or a value's own class raises into one sentence that names the column.

    >>> with converting("at", "ads.parquet", "time"):
    ...     raise OverflowError("too late")
    Traceback (most recent call last):
    masknet.errors.DataError: column 'at' of ads.parquet cannot be read as what it is, time (too late): convert it, or \
leave it out with --ignore

    Args:
        name: of the column that is converted within.
        source: the file's name, or "the frame".
        kind: what the column is.
    """
    try:
        yield
    except (DataError, MemoryError):
        raise
    except _UnreadableError as error:
        raise DataError(
            f"column '{name}' of {source} is of a type that cannot be read ({error}): convert it, or leave it out with "
            f"--ignore",
            file=source,
            column=name,
        ) from error
    except (Exception, pl.exceptions.PanicException) as error:
        why = " ".join(str(error).split())[:120].rstrip(". ") or type(error).__name__
        raise DataError(
            f"column '{name}' of {source} cannot be read as what it is, {kind} ({why}): convert it, or leave it out "
            f"with --ignore",
            file=source,
            column=name,
        ) from error


# Values


def text_of(cell: bytes) -> str:
    """Bytes as a text: what they say in UTF-8, else their hexadecimal digits; the neighbours do not count.

    >>> text_of("Köln".encode()), text_of(b"\\xff\\x00")
    ('Köln', 'ff00')
    """
    try:
        return cell.decode()
    except UnicodeDecodeError:
        return cell.hex()


def interval_text(left: object, right: object, closed: str) -> str:
    """An interval as pandas writes it.

    >>> interval_text(0.5, 2.0, "right")
    '(0.5, 2.0]'
    """
    return f"{'[' if closed in ('left', 'both') else '('}{left}, {right}{']' if closed in ('right', 'both') else ')'}"


def weight_at(names: Sequence[str], numbers: Sequence[bool]) -> int | None:
    """Which of the two parts of a pair is its weight; None where they are no value and weight.

    It is the second, which then is a number; or the first, where that is a number called `weight`.

    >>> weight_at(["tag", "score"], [False, True]), weight_at(["weight", "tag"], [True, False])
    (1, 0)
    >>> weight_at(["rank", "tag"], [True, False])

    Args:
        names: of both.
        numbers: which of them are numbers.
    """
    if len(names) != 2:
        return None
    if names[0] == "weight" and numbers[0]:
        return 0
    return 1 if numbers[1] else None


# Types


_PLAIN = frozenset((pl.Float32, pl.Float64, pl.Decimal, pl.String, pl.Boolean, pl.Date, pl.Datetime, pl.Time, pl.Null))


def _is_plain(dtype: pl.DataType) -> bool:
    """Whether a column of a Polars frame is as it is read."""
    if type(dtype) in _PLAIN or dtype.is_integer():  # NOTE[perf]: of each column of each single row
        return True
    if isinstance(dtype, pl.List):
        inner = dtype.inner
        if isinstance(inner, pl.Struct) and weight_at(*_pair(inner)) is not None:
            value, weight = inner.fields
            in_place = (value.name, weight.name, weight.dtype) == ("value", "weight", pl.Float64)
            return in_place and _is_plain(value.dtype)  # type: ignore[arg-type]
        return _is_plain(inner)  # type: ignore[arg-type]
    return isinstance(dtype, pl.Struct) and all(_is_plain(field.dtype) for field in dtype.fields)  # type: ignore[arg-type]


def _pair(struct: pl.Struct) -> tuple[list[str], list[bool]]:
    dtypes = [field.dtype for field in struct.fields]
    nested = any(dtype.is_nested() for dtype in dtypes)
    return [f.name for f in struct.fields], [not nested and (t.is_numeric() or t == pl.Null) for t in dtypes]


def _read(array: pa.Array, metadata: _Metadata = None) -> pa.Array:
    """An array of any type as one of those that the encoder knows; what comes of it depends on the type alone."""
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType) or (metadata and _NAME in metadata):
        return _read_extension(array, metadata or {})
    if kind.id not in _READERS:
        raise _UnreadableError(str(kind))
    return _READERS[kind.id](array)


def _read_extension(array: pa.Array, metadata: Mapping[bytes, bytes]) -> pa.Array:
    """An array of an extension type; where its class is not registered, as pandas' without pandas, a field tells it."""
    if isinstance(array.type, pa.BaseExtensionType):
        name, said, array = array.type.extension_name, _said(array.type), array.storage
    else:
        name, said = metadata[_NAME].decode(), metadata.get(_SAID, b"")
    if name == "arrow.uuid":
        return _uuids(array)
    if name == "arrow.bool8":
        return _compute().not_equal(array, 0)
    if name == "pandas.interval":
        left, right = (_to_polars(_read(side)).to_list() for side in array.flatten())
        closed = json.loads(said)["closed"]
        texts = [None if a is None else interval_text(a, b, closed) for a, b in zip(left, right, strict=True)]
        return pl.Series(texts, dtype=pl.String).to_arrow(compat_level=_OLDEST)
    if name == "pandas.period":
        raise _UnreadableError(f"periods of pandas, {json.loads(said)['freq']}")
    return _read(array)


def _said(kind: Any) -> bytes:
    serialize: Callable[[], bytes] | None = getattr(kind, "__arrow_ext_serialize__", None)
    return b"" if serialize is None else serialize()


def _compute() -> Any:
    """Arrow's functions; they take longer to import than a row takes to score, which needs none."""
    import pyarrow.compute

    return pyarrow.compute


def _to_polars(array: pa.Array) -> pl.Series:
    return pl.DataFrame(pa.table({"v": array})).to_series()


def _uuids(array: pa.Array) -> pa.Array:
    """The 36 characters of each."""
    digits = _to_polars(array).bin.encode("hex").str
    parts = [digits.slice(start, length) for start, length in ((0, 8), (8, 4), (12, 4), (16, 4), (20, 12))]
    return (parts[0] + "-" + parts[1] + "-" + parts[2] + "-" + parts[3] + "-" + parts[4]).to_arrow(compat_level=_OLDEST)


def _bytes(array: pa.Array) -> pa.Array:
    cells = _to_polars(array)
    try:
        texts = cells.cast(pl.String)
    except pl.exceptions.PolarsError:  # some are not UTF-8
        texts = pl.Series([None if cell is None else text_of(cell) for cell in cells.to_list()], dtype=pl.String)
    return texts.to_arrow(compat_level=_OLDEST)


def _texts(array: pa.Array) -> pa.Array:
    """Texts whose bytes are UTF-8, which Arrow and Polars take for granted."""
    if not _is_ascii(array):
        try:
            array.validate(full=True)
        except pa.ArrowInvalid as error:
            raise ValueError("a text of it is not UTF-8") from error
    return array


def _is_ascii(array: pa.Array) -> bool:
    """Whether all texts are, as far as that can be told at a glance.

    NOTE[perf]: to validate them takes as long as all else that is done here.
    """
    if not len(array) or not (pa.types.is_string(array.type) or pa.types.is_large_string(array.type)):
        return False
    _, offsets, data = array.buffers()
    at = np.frombuffer(offsets, dtype=np.int32 if pa.types.is_string(array.type) else np.int64)
    start, end = int(at[array.offset]), int(at[array.offset + len(array)])
    return data is None or bool((np.frombuffer(data, dtype=np.int8)[start:end] >= 0).all())


def _coded_texts(array: pa.Array) -> pa.Array:
    _texts(array.dictionary)
    return array


def _decoded(array: pa.Array) -> pa.Array:
    """What the codes of a dictionary stand for."""
    return _gathered(_read(array.dictionary), array.indices).to_arrow(compat_level=_OLDEST)


def _gathered(values: pa.Array, indices: pa.Array) -> pl.Series:
    """The values at some places; by Polars, since Arrow does not take from all that there is."""
    return _to_polars(values).gather(_to_polars(indices).cast(pl.Int64))


def _decimals(array: pa.Array) -> pa.Array:
    """Decimals of at most 38 digits, which is what Polars holds."""
    kind = array.type
    if kind.scale > _DIGITS:
        raise _UnreadableError(f"{kind}, of more than {_DIGITS} digits")
    wide = pa.types.is_decimal256(kind) or kind.scale < 0
    return array.cast(pa.decimal128(_DIGITS, max(kind.scale, 0))) if wide else array


def _seconds(array: pa.Array) -> pa.Array:
    return _compute().divide(array.view(pa.int64()).cast(pa.float64(), safe=False), _PER_SECOND[array.type.unit])


def _moments(array: pa.Array) -> pa.Array:
    """Moments; those whose offset from UTC is no whole number of hours, of which Polars knows none, as ISO texts."""
    kind = array.type
    if kind.tz is not None and _BETWEEN_HOURS.fullmatch(kind.tz):
        return _compute().strftime(array, "%Y-%m-%dT%H:%M:%S%z")
    # Polars makes milliseconds of seconds without a look at the largest.
    return array.cast(pa.timestamp("ms", kind.tz)) if kind.unit == "s" else array


def _lists(array: pa.Array) -> pa.Array:
    """Lists of any make as lists of what their values are read as."""
    lengths = pl.Series(_compute().list_value_length(array)).fill_null(0).to_numpy()
    # Not by a cast: of views, whose lists may lie in any order, it makes lists that end before they begin.
    return _lists_of(array, _read(array.flatten(), array.type.value_field.metadata), lengths)


def _maps(array: pa.Array) -> pa.Array:
    """Maps as lists of their pairs."""
    offsets = pl.Series(array.offsets).to_numpy()
    entries = array.values.slice(offsets[0], offsets[-1] - offsets[0])
    return _lists_of(array, _read(entries), np.diff(offsets))


def _lists_of(array: pa.Array, values: pa.Array, lengths: NDArray[np.integer]) -> pa.Array:
    offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    return pa.LargeListArray.from_arrays(pl.Series(offsets).to_arrow(), _pairs(values), mask=array.is_null())


def _pairs(values: pa.Array) -> pa.Array:
    """The values of lists: where they are pairs, the value first and its weight second."""
    kind = values.type
    if not pa.types.is_struct(kind):
        return values
    dtype = _to_polars(values[:0]).dtype
    weight = weight_at(*_pair(dtype)) if isinstance(dtype, pl.Struct) else None
    if weight is None:
        return values
    sides = values.flatten()
    both = [sides[1 - weight], sides[weight].cast(pa.float64(), safe=False)]
    return pa.StructArray.from_arrays(both, names=["value", "weight"], mask=values.is_null())


def _structs(array: pa.Array) -> pa.Array:
    fields = list(array.type)
    sides = [_read(side, field.metadata) for side, field in zip(array.flatten(), fields, strict=True)]
    return pa.StructArray.from_arrays(sides, names=[field.name for field in fields], mask=array.is_null())


def _same(array: pa.Array) -> pa.Array:
    return array


_READERS: dict[int, Callable[[pa.Array], pa.Array]] = {
    getattr(pa.lib, f"Type_{name}"): read
    for names, read in (
        ("NA BOOL INT8 INT16 INT32 INT64 UINT8 UINT16 UINT32 UINT64 FLOAT DOUBLE DATE32 TIME32 TIME64", _same),
        ("HALF_FLOAT", lambda array: array.cast(pa.float32())),
        ("STRING LARGE_STRING STRING_VIEW", _texts),
        ("BINARY LARGE_BINARY BINARY_VIEW FIXED_SIZE_BINARY", _bytes),
        ("DECIMAL32 DECIMAL64 DECIMAL128 DECIMAL256", _decimals),
        ("DATE64", lambda array: array.cast(pa.date32())),
        ("TIMESTAMP", _moments),
        ("DURATION", _seconds),
        ("LIST LARGE_LIST FIXED_SIZE_LIST LIST_VIEW LARGE_LIST_VIEW", _lists),
        ("MAP", _maps),
        ("STRUCT", _structs),
        ("DICTIONARY", _decoded),
        ("RUN_END_ENCODED", lambda array: _read(_compute().run_end_decode(array))),
    )
    for name in names.split()
    if hasattr(pa.lib, f"Type_{name}")  # decimals of 32 and 64 bits came later than what we ask for
}
"""How an array of a type is read, by the type's number; one that has no reader is not read."""
