"""Folders called key=value are columns of the files in them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from masknet.errors import DataError
from masknet.table import open_table
from masknet.table.hive import keys_of


def tree(root: Path, *folders: str, suffix: str = "parquet") -> Path:
    """A shard of one row in each folder: the number of the folder."""
    for i, folder in enumerate(folders):
        path = root / folder
        path.mkdir(parents=True)
        frame = pl.DataFrame({"n": [i]})
        frame.write_parquet(path / "part-0.parquet") if suffix == "parquet" else frame.write_csv(path / "part-0.csv")
    return root


def rows(source: Any, columns: list[str] | None = None) -> list[tuple[Any, ...]]:
    return [row for chunk in open_table(source).chunks(columns) for row in chunk.frame.rows()]


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_keys_are_columns_of_text(suffix: str, tmp_path: Path) -> None:
    tree(tmp_path / "log", "day=2026-01-02/hour=7", "day=2026-01-01/hour=07", suffix=suffix)
    table = open_table(tmp_path / "log")
    assert table.columns == ("n", "day", "hour")
    assert table.num_rows == (2 if suffix == "parquet" else None)
    n = (0, 1) if suffix == "parquet" else ("0", "1")
    assert rows(tmp_path / "log") == [(n[1], "2026-01-01", "07"), (n[0], "2026-01-02", "7")]
    assert rows(tmp_path / "log", ["hour", "n"]) == [("07", n[1]), ("7", n[0])]
    assert rows(tmp_path / "log", ["day"]) == [("2026-01-01",), ("2026-01-02",)]  # no column of the file itself
    assert next(table.chunks(["day"])).frame.schema == {"day": pl.String()}


@given(key=st.text(min_size=1), value=st.text(min_size=1))
def test_names_are_decoded(key: str, value: str) -> None:
    from urllib.parse import quote

    folder = f"{quote(key, safe='')}={quote(value, safe='')}"
    assert keys_of(Path("/x") / folder / "part.csv") == ((key, value),)


def test_the_default_partition_is_missing(tmp_path: Path) -> None:
    tree(tmp_path, "city=__HIVE_DEFAULT_PARTITION__", "city=K%C3%B6ln%2FDom", "city=")
    assert rows(tmp_path, ["city", "n"]) == [("", 2), ("Köln/Dom", 1), (None, 0)]


def test_globs_leaves_and_files_have_the_keys_of_the_whole(tmp_path: Path) -> None:
    tree(tmp_path / "log", "day=1", "day=2", "day=31")
    assert rows(str(tmp_path / "log" / "day=?")) == [(0, "1"), (1, "2")]
    assert rows(str(tmp_path / "log" / "day=3*" / "*.parquet")) == [(2, "31")]
    assert rows(tmp_path / "log" / "day=2") == [(1, "2")]
    assert rows(tmp_path / "log" / "day=2" / "part-0.parquet") == [(1, "2")]


def test_only_the_folders_right_above_count(tmp_path: Path) -> None:
    tree(tmp_path / "run=5" / "ads", "day=1")
    assert open_table(tmp_path / "run=5" / "ads").columns == ("n", "day")


def test_other_folders_are_passed_over(tmp_path: Path) -> None:
    tree(tmp_path, "day=1", "old", "_day=2", ".day=3", "=4")
    (tmp_path / "day=1" / "_SUCCESS").touch()
    assert rows(tmp_path) == [(0, "1")]


def test_a_column_of_the_file_wins(tmp_path: Path) -> None:
    tree(tmp_path, "n=99")
    assert rows(tmp_path) == [(0,)]


def test_all_files_lie_in_the_same_keys(tmp_path: Path) -> None:
    tree(tmp_path, "day=1", "day=2/hour=3")
    with pytest.raises(DataError, match=r"have the same columns; .* has 'hour' besides, compared with"):
        open_table(tmp_path)
    (tmp_path / "day=2" / "hour=3" / "part-0.parquet").unlink()
    pl.DataFrame({"n": [1]}).write_parquet(tmp_path / "top.parquet")
    with pytest.raises(DataError, match=r"lacks 'day'|has 'day' besides"):
        open_table(tmp_path)


def test_a_key_twice(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=re.escape("repeats 'day'")):
        open_table(tree(tmp_path, "day=1/day=2"))


def test_the_keys_count_in_the_fingerprint(tmp_path: Path) -> None:
    tree(tmp_path, "a/day=1", "b/day=2")
    first, second = (
        open_table(tmp_path / name / f"day={i}").fingerprint(verify=True) for i, name in ((1, "a"), (2, "b"))
    )
    (tmp_path / "b" / "day=2" / "part-0.parquet").write_bytes((tmp_path / "a/day=1/part-0.parquet").read_bytes())
    assert open_table(tmp_path / "b").fingerprint(verify=True) not in (first, second)
    (tmp_path / "b" / "day=2").rename(tmp_path / "b" / "day=1")
    assert open_table(tmp_path / "b").fingerprint(verify=True) == first
