"""Tables made of tables: the rows that stay keep their numbers, the columns beside them their order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from masknet.errors import DataError
from masknet.table import Kept, Table, open_table, split_rows, with_columns, without_rows
from masknet.table import table as table_module


def rows(table: Table, columns: list[str] | None = None) -> list[tuple[Any, ...]]:
    return [row for chunk in table.chunks(columns) for row in chunk.frame.rows()]


def numbers(table: Table) -> list[tuple[str, int]]:
    return [(chunk.source, int(n)) for chunk in table.chunks() for n in chunk.numbers]


def kept(num_rows: int, left_out: list[int], last: int | None = None) -> Kept:
    return Kept(num_rows, np.array(left_out, dtype=np.int64), last)


@pytest.fixture
def logs(tmp_path: Path) -> Table:
    (tmp_path / "a.csv").write_text("n,c\n" + "".join(f"{i},a\n" for i in range(1, 7)))
    (tmp_path / "b.csv").write_text("n,c\n1,b\n2\n3,b\n4,b\n")
    return open_table(tmp_path)


@pytest.mark.parametrize("size", [2, 3, 65_536])
def test_rows_that_stay_keep_their_numbers(size: int, logs: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_module, "ROWS", size)
    table = without_rows(logs, [kept(4, [1, 4]), kept(2, [2, 4])])
    assert (table.name, table.columns, table.typed) == (logs.name, logs.columns, logs.typed)
    assert (table.num_rows, table.estimated_rows(), table.num_bytes) == (6, 6, logs.num_bytes)
    expected = [("a.csv", 2), ("a.csv", 3), ("a.csv", 5), ("a.csv", 6), ("b.csv", 1), ("b.csv", 3)]
    for _ in range(2):  # as often as it is read
        assert numbers(table) == expected
    assert rows(table, ["n"]) == [(str(n),) for _, n in expected]


@pytest.mark.parametrize("size", [2, 65_536])
def test_nothing_is_read_after_the_last_row(size: int, logs: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_module, "ROWS", size)
    assert numbers(without_rows(logs, [kept(3, [2], last=4)])) == [("a.csv", 1), ("a.csv", 3), ("a.csv", 4)]


def test_a_table_without_rows_is_another(logs: Table) -> None:
    assert without_rows(logs, [kept(6, []), kept(3, [2])]).fingerprint() != logs.fingerprint()


def test_columns_beside_a_table(logs: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_module, "ROWS", 4)
    first = Table(logs.name, logs.typed, logs.parts[:1])
    beside = pl.DataFrame({"click": [0, 1, 0, 1, 1, 0], "c": list("uvwxyz")})
    table = with_columns(first, beside)
    assert (table.name, table.columns, table.num_rows) == (logs.name, ("n", "c", "click"), 6)
    expected = [(str(i + 1), c, click) for i, (click, c) in enumerate(beside.rows())]
    assert rows(table) == expected  # c, of the same name, in the place of the table's own
    assert rows(table, ["click", "n"]) == [(click, n) for n, _, click in expected]
    assert rows(table, ["click"]) == [(click,) for *_, click in expected]  # and the file is not read
    assert numbers(table) == [(logs.name, i) for i in range(1, 7)]
    assert table.num_bytes > first.num_bytes
    others = [first, with_columns(first, beside.reverse()), with_columns(first, beside.select("click"))]
    assert len({table.fingerprint(), *(other.fingerprint() for other in others)}) == 4


@pytest.mark.parametrize("name", ["*", "^x$"])
def test_columns_beside_a_table_have_names_that_a_table_may_have(name: str) -> None:
    with pytest.raises(DataError, match=r"the frame has '.*': rename it"):
        with_columns(open_table([{"a": 1}]), pl.DataFrame({name: [0]}))


def test_rows_are_counted_where_their_number_is_not_known(logs: Table) -> None:
    first = Table(logs.name, logs.typed, logs.parts[:1])
    assert (first.num_rows, first.count_rows()) == (None, 6)
    assert open_table([{"a": 1}, {"a": 2}]).count_rows() == 2
    with pytest.raises(DataError, match=r"row 2 of b\.csv has 1"):
        logs.count_rows()


@pytest.mark.parametrize("names", [["a.csv"], ["a.csv", "b.csv"]])
def test_the_two_parts_of_a_table_have_its_rows_and_their_numbers(tmp_path: Path, names: list[str]) -> None:
    for i, name in enumerate(names):
        pl.DataFrame({"x": range(10 * i, 10 * i + 10)}).write_csv(tmp_path / name)
    table = open_table([tmp_path / name for name in names])
    marked = np.arange(10 * len(names)) % 3 == 0
    parts = split_rows(table, marked)
    for part, rows in zip(parts, (~marked, marked), strict=True):
        assert part.num_rows == rows.sum()
        for _ in range(2):  # as often as it is read
            found = [int(x) for chunk in part.chunks(["x"]) for x in chunk.frame["x"]]
            assert found == np.flatnonzero(rows).tolist()
    last = list(parts[1].chunks(["x"]))[-1]
    assert last.place(0) == f"row {1 if len(names) == 1 else 3} of {names[-1]}"
    assert len({part.fingerprint() for part in (table, *parts, *split_rows(table, ~marked[:5]))}) == 5


def test_rows_beyond_the_marks_are_in_neither_part() -> None:
    table = open_table(pl.DataFrame({"x": range(9)}))
    parts = split_rows(table, np.array([True, False, False, True]))
    assert [[x for chunk in part.chunks() for x in chunk.frame["x"]] for part in parts] == [[1, 2], [0, 3]]
