"""JSON Lines: an object a line. Its keys are columns, those of an object in it `key.inner`, and its lists bags."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from masknet.errors import DataError
from masknet.table.arrow import plain
from masknet.table.packed import open_text_bytes
from masknet.table.part import BadRow, NumberedPiece, Report, file_digest, reading, whole_lines

__all__ = ["JSONL", "JsonLines"]

JSONL = "JSON Lines"

_Schema = dict[str, pl.DataType]


@dataclass(frozen=True)
class JsonLines:
    """A file of JSON Lines, packed or not; lines that are blank do not count.

    The whole file is read once for the types of its columns: a key that holds numbers in one row and texts in another
    is text. A key that a row lacks, and null, are missing. What an object in an object holds is text, as it stands.

    Args:
        name: for messages.
        path: where it lies.
        types: of the keys, as Polars reads them; objects are not yet columns.
        encoding: of the text.
        num_bytes: the size on disk.
        num_rows: how many rows there are.
    """

    name: str
    path: Path
    types: _Schema
    encoding: str
    num_bytes: int
    num_rows: int

    @classmethod
    def open(cls, path: Path, name: str, encoding: str = "utf-8") -> JsonLines:
        """Read the file for its rows and their types; those who read the rows are told of the bad ones."""
        bare = cls(name, path, {}, encoding, path.stat().st_size, 0)
        types: _Schema = {}
        bad: list[BadRow] = []
        rows = 0
        for block, numbers in bare._blocks():
            frame, _ = bare._parse(block, numbers, None, bad.append)
            for key, of in frame.schema.items():
                try:
                    types[key] = _common(types.get(key, pl.Null()), of)
                except ValueError as error:
                    raise bare._mixed(f"'{key}' is {error}") from error
            rows += len(block)
        if rows == len(bad):
            why = bad[0].reason if bad else f"a JSON Lines file holds an object a line; {name} has none"
            raise DataError(why, file=name, row=bad[0].row if bad else None)
        return cls(name, path, {key: _read_as(of) for key, of in types.items()}, encoding, bare.num_bytes, rows)

    @property
    def columns(self) -> tuple[str, ...]:
        """The keys of all rows, in the order in which they appear, with those of objects in their place."""
        return tuple(
            f"{key}.{inner.name}" if inner else key
            for key, of in self.types.items()
            for inner in (of.fields if isinstance(of, pl.Struct) else (None,))
        )

    def estimated_rows(self) -> int:
        """How many rows there are."""
        return self.num_rows

    def digest(self, *, verify: bool) -> bytes:
        """A hash of the bytes and of the encoding."""
        return file_digest(self.path, self.name, f"{JSONL}|{self.encoding}", verify=verify)

    def pieces(self, names: list[str], bad: Report | None) -> Iterator[NumberedPiece]:
        """The rows without those that are no objects, of which `bad` is told, a block of the file at a time."""
        wanted = set(names)
        types = {
            key: of
            for key, of in self.types.items()
            if key in wanted or (isinstance(of, pl.Struct) and wanted & {f"{key}.{f.name}" for f in of.fields})
        }
        for block, all_numbers in self._blocks():
            frame, numbers = self._parse(block, all_numbers, types, bad)
            inner = {
                f"{key}.{field.name}": frame[key].struct.field(field.name)
                for key, of in types.items()
                if isinstance(of, pl.Struct)
                for field in of.fields
            }
            columns = {name: inner[name] if name in inner else frame[name] for name in names}
            yield plain(pl.DataFrame(columns), self.name), numbers

    def _blocks(self) -> Iterator[tuple[list[bytes], NDArray[np.int64]]]:
        """The lines of each block that are not blank, and their numbers."""
        with reading(self.name), open_text_bytes(self.path, self.encoding) as stream:
            row = 1
            for text in whole_lines(stream, self.name):
                lines = [line for line in text.split(b"\n") if line.strip()]
                if lines:
                    yield lines, np.arange(row, row + len(lines), dtype=np.int64)
                row += len(lines)

    def _parse(
        self, lines: list[bytes], numbers: NDArray[np.int64], types: _Schema | None, bad: Report | None
    ) -> tuple[pl.DataFrame, NDArray[np.int64]]:
        try:
            return self._read(lines, types), numbers
        except pl.exceptions.PolarsError as error:
            reasons = [_fault(line) for line in lines]
            if not any(reasons):
                plain = [_without_nan(line) for line in lines]
                if plain == lines:
                    raise self._mixed(_clash(lines, numbers) or str(error)) from error
                return self._parse(plain, numbers, types, bad)
        for row, line, reason in zip(numbers.tolist(), lines, reasons, strict=True):
            if reason is None:
                continue
            fault = DataError(
                f"each line of a JSON Lines file is an object; row {row} of {self.name} is none ({reason}): mend it",
                file=self.name,
                row=row,
                value=(shown := line.decode(errors="replace")),
            )
            if bad is None:
                raise fault
            bad(BadRow(self.name, row, None, str(fault), [shown]))
        good = [i for i, reason in enumerate(reasons) if reason is None]
        return self._parse([lines[i] for i in good], numbers[good], types, bad)

    @staticmethod
    def _read(lines: list[bytes], types: _Schema | None) -> pl.DataFrame:
        if not lines:
            return pl.DataFrame(schema=types)
        return pl.read_ndjson(io.BytesIO(b"\n".join(lines)), schema=types, infer_schema_length=None)

    def _mixed(self, why: str) -> DataError:
        return DataError(
            f"a key of a JSON Lines file holds values of one kind; those of {self.name} do not fit together "
            f"({why.splitlines()[0]}): write them alike",
            file=self.name,
        )


def _common(one: pl.DataType, other: pl.DataType) -> pl.DataType:
    """The type that holds the values of both; text holds all.

    Raises:
        ValueError: none does.
    """
    if one == other or isinstance(other, pl.Null):
        return one
    if isinstance(one, pl.Null):
        return other
    if isinstance(one, pl.String) or isinstance(other, pl.String):
        return pl.String()
    if isinstance(one, pl.List) and isinstance(other, pl.List):
        return pl.List(_common(_type(one.inner), _type(other.inner)))
    if isinstance(one, pl.Struct) and isinstance(other, pl.Struct):
        fields = {field.name: _type(field.dtype) for field in one.fields}
        for field in other.fields:
            fields[field.name] = _common(fields.get(field.name, pl.Null()), _type(field.dtype))
        return pl.Struct(fields)
    if one.is_numeric() and other.is_numeric():
        return pl.Float64() if one.is_float() or other.is_float() else pl.Int128()
    raise ValueError(f"{one} in some rows and {other} in others")


def _type(of: object) -> pl.DataType:
    """A type that Polars may give as its class."""
    return of if isinstance(of, pl.DataType) else of()  # type: ignore[operator]


_KINDS = {dict: "an object", list: "a list", bool: "true or false", int: "a number", float: "a number", str: "a text"}


def _clash(lines: list[bytes], numbers: NDArray[np.int64]) -> str | None:
    """The first key whose values do not fit together, and where they stand; None where none is found."""
    seen: dict[str, tuple[str, int]] = {}
    for line, row in zip(lines, numbers.tolist(), strict=True):
        for key, value in json.loads(line).items():
            kind = _KINDS.get(type(value))
            if kind is None:  # null fits everywhere
                continue
            other, where = seen.setdefault(key, (kind, row))
            if kind != other and {kind, other} & {"an object", "a list", "true or false"}:
                return f"'{key}' is {other} in row {where} and {kind} in row {row}"
    return None


def _read_as(of: pl.DataType) -> pl.DataType:
    """An object's own keys with their types; what is an object in it again is text."""
    if not isinstance(of, pl.Struct):
        return of
    return pl.Struct({f.name: pl.String() if isinstance(f.dtype, pl.Struct) else f.dtype for f in of.fields})


def _without_nan(line: bytes) -> bytes:
    """A line with null for NaN, which Python writes and JSON has not; any other as it is."""
    return json.dumps(json.loads(line, parse_constant=lambda name: None)).encode() if b"NaN" in line else line


def _finite(name: str) -> None:
    """NaN is missing; what is infinite is no number of JSON."""
    if name != "NaN":
        raise ValueError(f"it holds {name}")


def _fault(line: bytes) -> str | None:
    """Why a line is no object; None where it is one."""
    try:
        value: Any = json.loads(line, parse_constant=_finite)
    except UnicodeDecodeError:
        return "it is not UTF-8"
    except json.JSONDecodeError as error:
        return f"{error.msg} at its character {error.pos + 1}"
    except ValueError as error:
        return str(error)
    except RecursionError:
        return "it is nested too deeply"
    return None if isinstance(value, dict) else f"it is {'a list' if isinstance(value, list) else repr(value)[:40]}"
