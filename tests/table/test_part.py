"""The rules that hold for every file and frame: names of columns, and what a disk may do to bytes."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from masknet.errors import DataError
from masknet.table import Table, open_table

SMALL = pl.DataFrame({"user": [1, 2, 3, 4], "city": ["Ulm", None, "Köln", "a\0b😀"], "price": [0.5, 1.0, None, 2.5]})


def rows(table: Table, columns: list[str] | None = None, limit: int | None = None) -> list[tuple[Any, ...]]:
    return [row for chunk in table.chunks(columns, limit=limit) for row in chunk.frame.rows()]


def write(path: Path, text: str | bytes) -> Path:
    data = text.encode() if isinstance(text, str) else text
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def refused(call: Callable[[], Any]) -> DataError:
    with pytest.raises(DataError) as caught:
        call()
    return caught.value


def refusal(call: Callable[[], Any]) -> str:
    return str(refused(call))


def test_repeated_names(tmp_path: Path) -> None:
    assert "x.csv repeats 'a', 'b'" in refusal(lambda: open_table(write(tmp_path / "x.csv", "a,b,a,c,b\n1,2,3,4,5\n")))
    assert "x.csv has 3 without one: write another" in refusal(lambda: open_table(write(tmp_path / "x.csv", "a,,,\n")))
    arrow = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    pq.write_table(arrow, tmp_path / "x.parquet")
    frame = pd.DataFrame([[1, 2]], columns=[0, "0"])
    assert "the frame repeats 'a'" in refusal(lambda: open_table(arrow))
    assert "x.parquet repeats 'a'" in refusal(lambda: open_table(tmp_path / "x.parquet"))
    assert "the frame repeats '0'" in refusal(lambda: open_table(frame))
    error = refused(lambda: open_table(arrow))
    assert (error.file, error.column) == ("the frame", "a")


def test_truncated_gzip(tmp_path: Path) -> None:
    path = tmp_path / "x.csv.gz"
    whole = gzip.compress(b"a,b\n" + b"".join(b"%d,%d\n" % (i, i * 7919 % 1000003) for i in range(100_000)))
    for damaged in (whole[: len(whole) // 2], whole[:-4], whole[:-8] + b"\0" * 8):
        path.write_bytes(damaged)
        assert "x.csv.gz is not a whole gzip file" in refusal(lambda: rows(open_table(path)))
    path.write_bytes(b"a,b\n1,2\n")
    assert "x.csv.gz is not a whole gzip file" in refusal(lambda: open_table(path))
    assert refused(lambda: open_table(path)).file == "x.csv.gz"


def test_permission_denied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "x.csv", "a\n1\n")

    def denied(*_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    assert "x.csv may not be read (permission denied)" in refusal(lambda: open_table(path))


def test_a_file_that_went_away(tmp_path: Path) -> None:
    for path in (tmp_path / "x.csv", tmp_path / "x.parquet"):
        pl.DataFrame({"a": [1]}).write_csv(path) if path.suffix == ".csv" else SMALL.write_parquet(path)
        table = open_table(path)
        path.unlink()
        assert f"{path.name} cannot be read (" in refusal(lambda table=table: rows(table))


@pytest.mark.parametrize("name", ["", "**", "*a", "^", "$", "a b", ".*", "$x^"])
def test_a_column_may_have_any_name_but_a_pattern(name: str, tmp_path: Path) -> None:
    frame = pl.DataFrame({name: [1, 2], "b": [3, 4]})
    frame.write_parquet(tmp_path / "t.parquet")
    frame.write_csv(tmp_path / "t.csv")
    rows = [{name: 1, "b": 3}, {name: 2, "b": 4}]
    sources = [str(tmp_path / "t.parquet"), str(tmp_path / "t.csv"), frame, frame.to_arrow(), frame.to_pandas(), rows]
    for source in sources:
        (chunk,) = open_table(source).chunks()
        assert chunk.frame.columns == [name, "b"]
        (chunk,) = open_table(source).chunks([name])
        assert [int(value) for value in chunk.frame[name]] == [1, 2]


@pytest.mark.parametrize("name", ["*", "^x$", "^$"])
def test_a_name_that_is_a_pattern_is_refused(name: str, tmp_path: Path) -> None:
    frame = pl.DataFrame({"a": [1], name: [2]})
    frame.write_csv(tmp_path / "t.csv")
    frame.write_parquet(tmp_path / "t.parquet")
    folder = tmp_path / f"{name}=1"
    folder.mkdir()
    SMALL.write_parquet(folder / "k.parquet")
    sources: list[Any] = [tmp_path / "t.csv", tmp_path / "t.parquet", folder / "k.parquet"]
    sources += [frame, frame.to_arrow(), frame.to_pandas(), frame.to_dicts()]
    for source in sources:
        file = source.name if isinstance(source, Path) else "the frame"
        with pytest.raises(DataError) as caught:
            open_table(source)
        assert (caught.value.file, caught.value.column) == (file, name)
        assert str(caught.value) == (
            f"a column's name is not * and does not begin with ^ and end with $; {file} has '{name}': rename it"
        )
    with pytest.raises(DataError, match=r"has '.*': rename it"):
        open_table(write(tmp_path / "bare.csv", "1,2\n"), columns=("a", name))
