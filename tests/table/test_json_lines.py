"""JSON Lines: an object a row, one level of objects in it as columns, lists as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from masknet.errors import DataError
from masknet.table import BadRow, Form, Table, open_table, part


def rows(table: Table, columns: list[str] | None = None) -> list[tuple[Any, ...]]:
    return [row for chunk in table.chunks(columns) for row in chunk.frame.rows()]


def write(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def refusal(path: Path) -> DataError:
    with pytest.raises(DataError) as caught:
        rows(open_table(path))
    return caught.value


def test_types_are_kept_and_objects_become_columns(tmp_path: Path) -> None:
    path = write(
        tmp_path / "log.jsonl",
        '{"click": 1, "price": 2, "tags": ["a", "b"], "user": {"id": 7, "geo": {"city": "Ulm"}}}',
        "",
        '{"click": 0, "price": 2.5, "user": {"id": 8, "os": null}, "new": true}\r',
    )
    table = open_table(path)
    assert table.typed
    assert table.columns[:4] == ("click", "price", "tags", "user.id")
    names = ["click", "price", "tags", "user.id", "user.geo", "user.os", "new"]
    assert set(table.columns) == set(names)
    assert (table.num_rows, table.estimated_rows()) == (2, 2)
    assert rows(table, names) == [
        (1, 2.0, ["a", "b"], 7, '{"city": "Ulm"}', None, None),
        (0, 2.5, None, 8, None, None, True),
    ]
    assert rows(table, ["user.id", "click"]) == [(7, 1), (8, 0)]
    assert rows(table, ["click"]) == [(1,), (0,)]


def test_pairs_are_weighted_values(tmp_path: Path) -> None:
    path = write(
        tmp_path / "log.jsonl", '{"tags": [{"name": "a", "score": 0.5}, {"name": "b", "score": 1}]}', '{"tags": []}'
    )
    assert rows(open_table(path)) == [([{"value": "a", "weight": 0.5}, {"value": "b", "weight": 1.0}],), ([],)]


def test_types_are_those_of_all_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part, "BLOCK", 1 << 7)
    lines = [
        f'{{"a": {i if i < 50 else i + 0.5}, "b": {i if i < 90 else chr(34) + "x" + chr(34)}}}' for i in range(100)
    ]
    table = open_table(write(tmp_path / "log.ndjson", *lines))
    found = rows(table)
    assert [a for a, _ in found] == [float(i) if i < 50 else i + 0.5 for i in range(100)]
    assert [b for _, b in found] == [str(i) if i < 90 else "x" for i in range(100)]
    assert {chunk.frame.schema["a"] for chunk in table.chunks()} == {pl.Float64()}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("[1, 2]", "it is a list"),
        ("5", "it is 5"),
        ('{"a": 1', "Expecting"),
        ("{'a': 1}", "Expecting"),
        ("null", "None"),
    ],
)
def test_lines_that_are_no_objects(line: str, reason: str, tmp_path: Path) -> None:
    path = write(tmp_path / "log.jsonl", '{"a": 1}', "", line, '{"a": 3}')
    error = refusal(path)
    assert (error.row, error.file, error.value) == (2, "log.jsonl", line)
    assert reason in str(error)
    told: list[BadRow] = []
    chunks = list(open_table(path).chunks(bad=told.append))
    assert [(row.row, row.cells) for row in told] == [(2, [line])]
    assert [chunk.numbers.tolist() for chunk in chunks] == [[1, 3]]


def test_values_that_do_not_fit_together(tmp_path: Path) -> None:
    error = refusal(write(tmp_path / "log.jsonl", '{"a": 1}', '{"a": [1]}'))
    assert str(error) == (
        "a key of a JSON Lines file holds values of one kind; those of log.jsonl do not fit together ('a' is a number "
        "in row 1 and a list in row 2): write them alike"
    )
    assert "'u' is an object in row 2 and a number in row 3" in str(
        refusal(write(tmp_path / "log.jsonl", '{"u": null}', '{"u": {"x": 1}}', '{"u": 5}'))
    )


VALUES = ["null", "1", "1.5", '"x"', "true", "[1]", '["a"]', '{"x": 1}', '{"x": "s"}', '{"x": {"y": 1}}', '[{"x": 1}]']


@pytest.mark.parametrize("one", VALUES)
@pytest.mark.parametrize("other", VALUES)
def test_types_do_not_depend_on_where_blocks_end(
    one: str, other: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "log.jsonl", *[f'{{"u": {one}}}'] * 3, *[f'{{"u": {other}}}'] * 3)

    def read() -> object:
        try:
            table = open_table(path)
        except DataError as error:
            return type(error)
        return table.columns, rows(table)

    together = read()
    monkeypatch.setattr(part, "BLOCK", 4)
    assert read() == together


def test_nan_as_python_writes_it_is_missing(tmp_path: Path) -> None:
    path = write(tmp_path / "log.jsonl", '{"a": NaN, "b": "x"}', '{"a": 2.5, "b": "NaN"}', '{"a": 1}')
    assert rows(open_table(path)) == [(None, "x"), (2.5, "NaN"), (1.0, None)]
    error = refusal(write(tmp_path / "log.jsonl", '{"a": 1}', '{"a": -Infinity}'))
    assert (error.row, "it holds -Infinity" in str(error)) == (2, True)


def test_other_encodings(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_bytes('{"a": "größe"}\n'.encode("latin-1"))
    assert "is not UTF-8" in str(refusal(tmp_path / "log.jsonl"))
    assert rows(open_table(tmp_path / "log.jsonl", form=Form(encoding="latin-1"))) == [("größe",)]


def test_nothing_in_it(tmp_path: Path) -> None:
    assert "log.jsonl has none" in str(refusal(write(tmp_path / "log.jsonl", "", "")))
    assert "at least one column" in str(refusal(write(tmp_path / "log.jsonl", "{}", "{}")))


def test_other_bytes_are_another_fingerprint(tmp_path: Path) -> None:
    one = open_table(write(tmp_path / "a.jsonl", '{"a": 1}')).fingerprint(verify=True)
    assert open_table(write(tmp_path / "a.jsonl", '{"a": 2}')).fingerprint(verify=True) != one
