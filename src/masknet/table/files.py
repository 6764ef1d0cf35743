"""Which files a path, a glob, a folder or `-` means, and what format each has."""

from __future__ import annotations

import atexit
import difflib
import glob
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from masknet.errors import ConfigError, DataError, unknown
from masknet.table.hive import is_key
from masknet.table.json_lines import JSONL
from masknet.table.packed import PACKINGS, name_inside, open_bytes
from masknet.table.parquet import PARQUET
from masknet.table.part import listed, reading
from masknet.table.sparse import LIBFFM, LIBSVM, sniff
from masknet.table.style import CSV, PLAIN, TSV, Form, find_style, lines_of

__all__ = ["FORMATS", "KNOWN", "Found", "find_files", "format_of", "is_known", "require_known"]

STDIN, STDIN_NAME = "-", "stdin"
FORMATS = {"csv": CSV, "tsv": TSV, "jsonl": JSONL, "libsvm": LIBSVM, "libffm": LIBFFM, "parquet": PARQUET}
"""What `Form.format` may be."""

_SNIFFED = "text"
_TEXTS = {
    **{".csv": CSV, ".tsv": TSV, ".txt": _SNIFFED, ".jsonl": JSONL, ".ndjson": JSONL},
    **dict.fromkeys((".libsvm", ".svm", ".libfm"), LIBSVM),
    **dict.fromkeys((".libffm", ".ffm"), LIBFFM),
}
_PARQUETS = (".parquet", ".pq")
KNOWN = f"{', '.join((*_PARQUETS, *_TEXTS))} (texts also with {', '.join(PACKINGS)})"

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_VOWPAL = re.compile(r"-?\d+(\.\d+)?( \d+(\.\d+)?)* ('\S+ ?)?\|\S*(\s|$)")
_LOG_TABLES = {"_delta_log": "a Delta table", ".hoodie": "a Hudi table"}


@dataclass(frozen=True)
class Found:
    """The files of one table.

    Args:
        name: short, for messages and for the names of outputs.
        paths: in their order.
        notes: what to tell of what is passed over.
    """

    name: str
    paths: list[Path]
    notes: tuple[str, ...] = ()


def find_files(source: str, form: Form) -> Found:
    """The files that a path, a glob, a folder, or `-` for standard input, means.

    Args:
        source: as it was given; `~` is the user's folder.
        form: with a `format`, files of any ending are taken.

    Raises:
        DataError: nothing is there, it is an address, or a table whose log says which files count.
    """
    if form.format is not None and form.format not in FORMATS:
        raise ConfigError(unknown("format", form.format, FORMATS))
    if source == STDIN:
        return Found(STDIN_NAME, [_standard_input()])
    if address := _ADDRESS.match(source):
        way_out = "copy it here first, or open it as a frame in Python and give that to the estimator"
        if address[0].lower() == "file://":
            way_out = "leave out file://"
        raise DataError(f"a table is a path on this machine; '{source}' is an address: {way_out}", file=source)
    path = os.path.expanduser(source)
    with reading(f"'{path}'", file=path):
        if os.path.isdir(path):
            found = _of_folder(Path(path), form)
        elif os.path.exists(path):
            found = Found(_name(path), [Path(path)])
        elif glob.has_magic(path):
            found = _of_glob(path, form)
        else:
            raise _nothing_at(path)
    for folder in dict.fromkeys(path.parent for path in found.paths):
        _refuse_log_table(folder)
    return found


def _name(path: str) -> str:
    """The file's or folder's own name; for a glob the text before its first wildcard, or else its folder."""
    folder, last = os.path.split(path)
    if os.path.exists(path) or not glob.has_magic(path):
        return os.path.basename(os.path.abspath(path))
    return re.split(r"[*?[]", last)[0].rstrip("-_.") or os.path.basename(os.path.abspath(re.split(r"[*?[]", folder)[0]))


def _standard_input() -> Path:
    """What stands at standard input, as a file: a table is read more than once."""
    folder = tempfile.mkdtemp(prefix="masknet-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = Path(folder) / STDIN_NAME
    with path.open("wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
    return path


def _of_folder(path: Path, form: Form) -> Found:
    _refuse_log_table(path)
    found = _without_notes(_shards(path, form), form)
    if not found:
        raise DataError(
            f"a folder of shards holds files that end in {KNOWN}; '{path}' holds none: say what they are (--format)",
            file=str(path),
        )
    return Found(_name(str(path)), found, _passed_over(path, found, form))


def _without_notes(files: Iterable[Path], form: Form) -> list[Path]:
    """The files without each .txt that lies beside others: a note is no shard."""
    files = list(files)
    return files if form.format else [path for path in files if _ending(path) != _SNIFFED] or files


def _passed_over(folder: Path, found: Sequence[Path], form: Form) -> tuple[str, ...]:
    """What of a folder's own files and folders is not read, but for what begins with `.` or `_`."""
    there = [path for path in sorted(folder.iterdir()) if path.name[0] not in "._"]
    files = [path for path in there if path.is_file()]
    read = set(found)
    left = [path.name for path in files if path not in read]
    folders = {
        path.name: count
        for path in there
        if path.is_dir() and not is_key(path.name) and (count := len(list(_shards(path, form, deep=True))))
    }
    parts = []
    if left:
        parts.append(f"{len(files) - len(left)} of {len(files)} files are read, without {listed(left, 3)}")
    if folders:
        count = sum(folders.values())
        these = "1 folder" if len(folders) == 1 else f"{len(folders)} folders"
        are = "is" if len(folders) == 1 else "are"
        parts.append(
            f"{these} with {count} such file{'s' * (count > 1)} {are} not read ({listed(list(folders), 3)}); "
            f"'{folder}/**' reads all"
        )
    return (f"{folder.name or folder}: {'; '.join(parts)}",) if parts else ()


def _of_glob(path: str, form: Form) -> Found:
    above, last = os.path.split(path)
    if last == "**":  # a folder and all below it, by the rules of folders
        tops = [above or "."] if os.path.isdir(above or ".") else sorted(glob.glob(above, recursive=True))
        below = (file for top in tops if os.path.isdir(top) for file in _shards(Path(top), form, deep=True))
        return _some(path, _without_notes(below, form), ())
    matches = [Path(p) for p in sorted(glob.glob(path, recursive=True))]
    folders = [p for p in matches if p.is_dir()]
    shards = {p: list(_shards(p, form)) for p in folders if is_key(p.name)}
    found = [file for p in matches for file in shards.get(p, [p] if p.is_file() else [])]
    skipped = [p.name for p in folders if p not in shards and any(_shards(p, form, deep=True))]
    note = f"{_name(path)}: the folders that '{path}' matches are not read ({listed(skipped, 3)}); '{path}/**' does"
    return _some(path, found, (note,) if skipped else ())


def _some(path: str, found: list[Path], notes: tuple[str, ...]) -> Found:
    if not found:
        raise DataError(f"no file matches '{path}'; check the folder and the pattern", file=path)
    return Found(_name(path), found, notes)


def _nothing_at(path: str) -> DataError:
    if os.path.islink(path):
        return DataError(f"no file at '{path}': it is a link to '{os.readlink(path)}', which is not there", file=path)
    folder = Path(path).parent
    if not folder.is_dir():
        return DataError(f"no file at '{path}'; there is no folder '{folder}'", file=path)
    there = [other for other in os.listdir(folder) if other[0] != "." and (folder / other).exists()]
    near = difflib.get_close_matches(Path(path).name, there, n=1)
    way_out = f"did you mean '{folder / near[0]}'?" if near else "check the path"
    return DataError(f"no file at '{path}'; {way_out}", file=path)


def _refuse_log_table(folder: Path) -> None:
    """Refuse a folder, or one within it by keys, of a table whose own log says which of its files count."""
    while True:
        kind = next((kind for name, kind in _LOG_TABLES.items() if (folder / name).is_dir()), None)
        if kind is None and any((folder / "metadata").glob("*.metadata.json")):
            kind = "an Iceberg table"
        if kind is None and folder.name == "data" and any((folder.parent / "metadata").glob("*.metadata.json")):
            kind = "an Iceberg table"
        if kind is not None:
            raise DataError(
                f"all files of a folder are its rows; '{folder}' is {kind}, whose log says which of them count: write "
                f"its rows to Parquet first (Polars, Spark and DuckDB read it), and name those files",
                file=str(folder),
            )
        if not is_key(folder.name):
            return
        folder = folder.parent


def _shards(folder: Path, form: Form, *, deep: bool = False) -> Iterator[Path]:
    """The files of a folder and of its folders `key=value`, or `deep` of all its folders."""
    for path in sorted(folder.iterdir()):
        if path.name[0] in "._":
            continue
        if path.is_file() and is_known(path, form):
            yield path
        elif path.is_dir() and (deep or is_key(path.name)):
            yield from _shards(path, form, deep=deep)


# Formats


def is_known(path: Path, form: Form) -> bool:
    """Whether a file of a folder is one of a table: by its ending, or any where the format is said."""
    return path.name[0] not in "._" if form.format else _ending(path) is not None


def require_known(path: Path, form: Form, usual: Form) -> None:
    """Refuse a file whose ending is no table's and of which nothing is said, nor was of the model's own."""
    said = form.format or form.delimiter or usual.delimiter
    if said is None and path.name != STDIN_NAME and _ending(path) is None:
        guess = _looks_like(path)
        what = f"its first bytes look like --format {guess}" if guess else "say what it is (--format), or convert it"
        raise DataError(f"a table's file ends in {KNOWN}; '{path}' does not: {what}", file=str(path))


def _ending(path: Path) -> str | None:
    """The format that a file's name tells; None where its ending is no table's."""
    if path.name.lower().endswith(_PARQUETS):
        return PARQUET
    with reading(path.name):  # a zip is looked into
        name = (name_inside(path) if path.suffix.lower() in PACKINGS else path.name).lower()
    return next((kind for suffix, kind in _TEXTS.items() if name.endswith(suffix)), None)


def format_of(path: Path, name: str, form: Form, usual: Form) -> str:
    """The format of a file: as it is said, or by the ending of its name, or of a text by its first lines."""
    if form.format is not None:
        return FORMATS[form.format]
    kind = _ending(path)
    if kind not in (_SNIFFED, None):
        return str(kind)
    if delimiter := form.delimiter or usual.delimiter:
        return TSV if delimiter == "\t" else CSV
    guess = _looks_like(path)
    if guess is None:
        lines = _first_lines(path, form)
        raise DataError(
            f"a text has tabs, commas, ; or | between its values, or is JSON Lines, libsvm or libffm; the first line "
            f"of {name} is '{lines[0][:40] if lines else ''}': say what it is (--format, --delimiter), or convert it",
            file=name,
        )
    return FORMATS[guess]


def _first_lines(path: Path, form: Form = PLAIN) -> list[str]:
    with reading(path.name), open_bytes(path) as (stream, _):
        text = stream.read(1 << 20).decode(form.encoding or "utf-8", errors="replace").removeprefix("\ufeff")
    return [line for line in lines_of(text)[:50] if not line.startswith("#")]


def _looks_like(path: Path) -> str | None:
    """The format that a file's first bytes show; None where they show none."""
    with reading(path.name), open_bytes(path) as (stream, _):
        if stream.read(4) == b"PAR1":
            return "parquet"
    lines = _first_lines(path)
    if not lines:
        return "csv"
    if _VOWPAL.match(lines[0]):
        raise DataError(
            f"Vowpal Wabbit's format is not read; the first row of {path.name} is '{lines[0][:40]}': write each row as "
            f"libsvm (label id:weight ..., numbers for ids), or as CSV with a column of 'name:weight name:weight' and "
            f"--bag and --weighted for it",
            file=path.name,
        )
    if lines[0].lstrip().startswith("{"):
        return "jsonl"
    sparse = sniff(lines[0])
    if sparse is not None:
        return "libsvm" if sparse == LIBSVM else "libffm"
    if "\t" in lines[0]:
        return "tsv"
    style, _ = find_style(path, path.name, CSV, PLAIN, PLAIN)
    return "csv" if "," in lines[0] or style.delimiter != "," else None
