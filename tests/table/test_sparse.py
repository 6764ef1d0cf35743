"""libsvm and libffm: what stands in a row comes out as lists of values and weights, or its row is named."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from masknet.errors import ConfigError, DataError
from masknet.table import BadRow, Table, open_table, part
from masknet.table.sparse import SparseFile

BAG = pl.List(pl.Struct({"value": pl.String, "weight": pl.Float64}))


def write(path: Path, text: str | bytes) -> Path:
    data = text.encode() if isinstance(text, str) else text
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def read(table: Table, columns: list[str] | None = None) -> dict[str, list[Any]]:
    """Each column's rows, a bag as pairs."""
    frame = pl.concat([chunk.frame for chunk in table.chunks(columns)])
    return {c.name: [pairs(cell) if c.dtype == BAG else cell for cell in c] for c in frame}


def pairs(cell: Any) -> Any:
    return None if cell is None else [(item["value"], item["weight"]) for item in cell]


def refusal(source: Any, columns: tuple[str, ...] = ()) -> str:
    with pytest.raises((DataError, ConfigError)) as caught:
        read(open_table(source, columns=columns))
    return str(caught.value)


@pytest.mark.parametrize("suffix", ["libsvm", "svm", "libfm", "libsvm.gz", "txt", "txt.gz"])
@pytest.mark.parametrize("style", ["plain", "crlf", "bom", "spaces", "comments", "blank", "no last newline"])
def test_libsvm_is_a_label_and_a_bag(suffix: str, style: str, tmp_path: Path) -> None:
    text = "-1 204:1 4798:0.5\n1 7:2.5e-1\n0\n"
    text = {
        "plain": text,
        "crlf": text.replace("\n", "\r\n"),
        "bom": "\ufeff" + text,
        "spaces": text.replace(" ", " \t ").replace("\n", "  \n"),
        "comments": "# a log\n" + text.replace("\n", " # id\n").replace("0 #", "0#1 #").replace("#1", " #1"),
        "blank": "\n\n" + text.replace("\n", "\n\r\n"),
        "no last newline": text.rstrip(),
    }[style]
    table = open_table(write(tmp_path / f"x.{suffix}", text))
    assert (table.columns, table.typed, table.num_rows) == (("label", "features"), False, None)
    expected = {"label": ["-1", "1", "0"], "features": [[("204", 1.0), ("4798", 0.5)], [("7", 0.25)], None]}
    assert read(table) == expected
    assert read(table, ["features"]) == {"features": expected["features"]}
    assert next(table.chunks()).frame.schema == {"label": pl.String(), "features": BAG}


def test_ids_are_canonical_and_may_stand_alone(tmp_path: Path) -> None:
    table = open_table(write(tmp_path / "x.libsvm", "1 007:1 000:2 99999999999999999999:3 5 5:-1\n"))
    assert read(table)["features"] == [[("7", 1), ("0", 2), ("99999999999999999999", 3), ("5", 1), ("5", -1)]]


def test_queries_and_rows_without_labels(tmp_path: Path) -> None:
    table = open_table(write(tmp_path / "x.libsvm", "2 qid:10 1:0.5\n0 qid:11 2:1\n"))
    assert read(table) == {"label": ["2", "0"], "qid": ["10", "11"], "features": [[("1", 0.5)], [("2", 1)]]}
    assert read(open_table(write(tmp_path / "y.libsvm", "1:0.5 2:1\n3:1\n"))) == {
        "features": [[("1", 0.5), ("2", 1)], [("3", 1)]]
    }
    assert read(open_table(write(tmp_path / "z.txt", "0:1:0.5\n"))) == {"field_0": [[("1", 0.5)]]}


def test_declared_ranges_are_fields(tmp_path: Path) -> None:
    path = write(tmp_path / "x.libsvm", "1 3:1 12:1 11:2\n0 10:1\n")
    table = open_table(path, columns=("item=10-12", "user=0-9", "site=13"))
    assert table.columns == ("label", "user", "item", "site")
    assert read(table) == {
        "label": ["1", "0"],
        "user": [[("3", 1)], None],
        "item": [[("12", 1), ("11", 2)], [("10", 1)]],
        "site": [None, None],
    }
    assert read(table, ["site", "user"])["user"] == [[("3", 1)], None]
    assert table.fingerprint() != open_table(path).fingerprint()
    message = refusal(path, ("user=0-9", "item=11-12"))
    assert message == (
        "each id of a libsvm file belongs to one of the declared columns; row 2 of x.libsvm has id 10: widen --columns"
    )
    huge = write(tmp_path / "huge.libsvm", "1 99999999999999999999:1\n")
    assert "has id 99999999999999999999" in refusal(huge, ("user=0-9",))


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (("user",), "by their ids, as in user=0-942,item=943-2624; got 'user'"),
        (("user=5-1",), "goes upwards; got 'user=5-1'"),
        (("user=0-5", "item=5-9"), "'user' and 'item' share 5"),
        (("a=0-5", "a=6-9"), "repeats 'a'"),
        (("label=0-5",), "repeats 'label'"),
    ],
)
def test_ranges_that_are_none(columns: tuple[str, ...], words: str, tmp_path: Path) -> None:
    assert words in refusal(write(tmp_path / "x.libsvm", "1 1:1\n"), columns)


@pytest.mark.parametrize("suffix", ["libffm", "ffm", "ffm.gz", "txt"])
def test_libffm_has_a_bag_a_field(suffix: str, tmp_path: Path) -> None:
    text = "1 0:5:0.5 10:7:1 0:6:2\n0 2:5:1\n"
    table = open_table(write(tmp_path / f"x.{suffix}", text))
    assert table.columns == ("label", "field_0", "field_2", "field_10")
    assert table.num_rows == 2
    assert read(table) == {
        "label": ["1", "0"],
        "field_0": [[("5", 0.5), ("6", 2)], None],
        "field_2": [None, [("5", 1)]],
        "field_10": [[("7", 1)], None],
    }


def test_libffm_fields_are_those_of_all_files(tmp_path: Path) -> None:
    write(tmp_path / "a.libffm", "1 0:5:1\n")
    write(tmp_path / "b.libffm", "0 3:5:1\n0\n")
    table = open_table(tmp_path)
    assert (table.columns, table.num_rows) == (("label", "field_0", "field_3"), 3)
    assert read(table)["field_3"] == [None, [("5", 1)], None]


def test_a_field_of_libffm_that_no_row_has_is_missing_everywhere(tmp_path: Path) -> None:
    table = open_table(write(tmp_path / "x.libffm", "1 0:5:1\n"))
    assert table.lacks(["field_7", "field_07", "field", "label"]) == ["field_07", "field"]
    assert read(table, ["field_7", "field_0"]) == {"field_7": [None], "field_0": [[("5", 1)]]}
    assert next(table.chunks(["field_7"])).frame.schema == {"field_7": BAG}
    svm = open_table(write(tmp_path / "x.libsvm", "1 5:1\n"))
    assert svm.lacks(["field_7", "features"]) == ["field_7"]


def test_declared_fields_of_libffm(tmp_path: Path) -> None:
    path = write(tmp_path / "x.libffm", "1 0:5:1 2:6:1\n")
    table = open_table(path, columns=("user=0", "item=1", "rest=2-9"))
    assert read(table) == {"label": ["1"], "user": [[("5", 1)]], "item": [None], "rest": [[("6", 1)]]}
    assert table.lacks(["field_0"]) == ["field_0"]
    assert "row 1 of x.libffm has field 2: widen --columns" in refusal(path, ("user=0",))
    assert "by their numbers, as in user=0,item=1; got 'user'" in refusal(path, ("user", "item"))


@pytest.mark.parametrize(
    ("name", "row", "token"),
    [
        ("x.libsvm", "1 a:1", "a:1"),
        ("x.libsvm", "1 1:1:1", "1:1:1"),
        ("x.libsvm", "1 1:", "1:"),
        ("x.libsvm", "1 1:x", "1:x"),
        ("x.libsvm", "1 1:nan", "1:nan"),
        ("x.libsvm", "1 1:inf", "1:inf"),
        ("x.libsvm", "1 -3:1", "-3:1"),
        ("x.libsvm", "1 2.0:1", "2.0:1"),
        ("x.libsvm", "1 :1", ":1"),
        ("x.libsvm", "1 2:1 2:1,3:4", "2:1,3:4"),
        ("x.libsvm", b"1 \xff:1", "\ufffd:1"),
        ("x.libsvm", "1 qid:3 1:1", "qid:3"),
        ("x.libffm", "1 5:1", "5:1"),
        ("x.libffm", "1 a:5:1", "a:5:1"),
        ("x.libffm", "1 0:5", "0:5"),
        ("x.libffm", "1 5", "5"),
        ("x.libffm", "1 0:5:1:1", "0:5:1:1"),
        ("x.libffm", "1 99999999999999999999:5:1", "99999999999999999999:5:1"),
    ],
)
@pytest.mark.parametrize("before", [1, 3_000])
def test_what_is_no_row_is_named(
    name: str, row: str | bytes, token: str, before: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(part, "BLOCK", 1 << 10)
    good = b"0 1:1\n" if name == "x.libsvm" else b"0 1:1:1\n"
    data = (row if isinstance(row, bytes) else row.encode()) + b"\n"
    message = refusal(write(tmp_path / name, good * before + b"\n# none\n" + data + good))
    assert f"row {before + 1} of {name} holds '{token}': mend the row" in message


@pytest.mark.parametrize(
    ("line", "columns", "value"),
    [("1 a:1", (), "a:1"), ("3:1", (), "3:1"), ("1 2:1 7:1", ("user=0-5",), "7:1"), ("1 qid:3", (), "qid:3")],
)
def test_an_error_knows_file_row_and_token(line: str, columns: tuple[str, ...], value: str, tmp_path: Path) -> None:
    path = write(tmp_path / "x.libsvm", f"0 1:1\n{line}\n")
    with pytest.raises(DataError) as caught:
        read(open_table(path, columns=columns))
    error = caught.value
    assert (error.file, error.column, error.row, error.value) == ("x.libsvm", None, 2, value)


def test_rows_are_of_one_kind(tmp_path: Path) -> None:
    message = refusal(write(tmp_path / "x.libsvm", "1 1:1\n2:1\n"))
    assert message == "each row of x.libsvm begins with its label; row 2 begins with '2:1': mend the row"
    assert "row 2 begins with '1'" in refusal(write(tmp_path / "x.libsvm", "1:1\n1 2:1\n"))
    assert "row 2 has none" in refusal(write(tmp_path / "x.libsvm", "1 qid:1 1:1\n1 2:1\n"))
    assert "x.libsvm has none" in refusal(write(tmp_path / "x.libsvm", "\n# nothing\n"))
    write(tmp_path / "y.libsvm", "1:1\n")
    write(tmp_path / "x.libsvm", "1 1:1\n")
    assert "lacks 'label'" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("name", "spoilt", "columns"),
    [
        ("x.libsvm", ["1 a:1", "1:1", "1 3:1 4:nan", "0 99:1 3:1"], ("all=0-20",)),
        ("x.libffm", ["1 0:5", "0:1:1", "1 0:1:x", "0 0:1:1 9:1:1"], ("user=0", "rest=1-2")),
        ("x.libffm", ["1 0:5", "0:1:1", "1 0:1:x", "7:7"], ()),
    ],
)
def test_rows_that_are_none_are_told_of_and_left_out(
    name: str, spoilt: list[str], columns: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(part, "BLOCK", 1 << 7)
    good = ["0 5:1 6:2", "1", "1 7:.5"] if name == "x.libsvm" else ["0 0:1:1 2:6:2", "1", "1 1:7:.5"]
    lines = [good[i % 3] for i in range(90)]
    places = [1, 40, 41, 90]
    for place, row in zip(places, spoilt, strict=True):
        lines.insert(place, row)
    table = open_table(write(tmp_path / name, "\n".join(lines)), columns=columns)
    told: list[BadRow] = []
    chunks = list(table.chunks(bad=told.append))
    kept = [line for i, line in enumerate(lines) if i not in places]
    alone = open_table(write(tmp_path / f"good-{name}", "\n".join(kept)), columns=columns)
    assert pl.concat([c.frame for c in chunks]).equals(pl.concat([c.frame for c in alone.chunks()]))
    assert [n for c in chunks for n in c.numbers] == [i + 1 for i in range(len(lines)) if i not in places]
    assert [(row.source, row.row, row.column) for row in told] == [(name, place + 1, None) for place in places]
    assert [" ".join(row.cells) for row in told] == spoilt
    assert all(f"row {row.row}" in row.reason for row in told)
    assert refusal(tmp_path / name, columns) == told[0].reason


def test_a_block_of_bad_rows_alone_is_a_chunk_without_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part, "BLOCK", 1 << 7)
    table = open_table(write(tmp_path / "x.libsvm", "1 1:1\n" + "1 bad\n" * 100 + "0 2:1\n"))
    told: list[BadRow] = []
    assert [c.numbers.tolist() for c in table.chunks(bad=told.append) if len(c.frame)] == [[1], [102]]
    assert [row.row for row in told] == [*range(2, 102)]


def test_a_line_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part, "BLOCK", 1 << 10)
    monkeypatch.setattr(part, "LONGEST_LINE", 1 << 20)
    long = "1 " + "5:1 " * 100_000
    assert len(read(open_table(write(tmp_path / "x.libsvm", long)))["features"][0]) == 100_000
    assert "a row is shorter than 1 MiB" in refusal(write(tmp_path / "x.libsvm", long * 4))


def test_chunks_are_small_and_know_their_rows(tmp_path: Path) -> None:
    path = write(tmp_path / "x.libsvm", "".join(f"{i} {i}:1\n" for i in range(1, 150_001)))
    table = open_table(path)
    for chunk in table.chunks():
        assert 0 < len(chunk.frame) <= 65_536
        assert chunk.place(0) == f"row {chunk.frame['label'][0]} of x.libsvm"
        assert chunk.frame["features"][-1][0]["value"] == chunk.frame["label"][-1]
    assert 0.8 < table.estimated_rows() / 150_000 < 1.25


@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from(["0", "1", "-1", "+1"]),
            st.lists(st.tuples(st.integers(0, 12), st.integers(0, 99), st.floats(-9, 9)), max_size=6),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_what_is_written_is_read(rows: list[tuple[str, list[tuple[int, int, float]]]], tmp_path_factory: Any) -> None:
    lines = [" ".join([label, *(f"{f}:{i}:{w}" for f, i, w in tokens)]) for label, tokens in rows]
    got = read(open_table(write(tmp_path_factory.mktemp("ffm") / "x.ffm", "\n".join(lines))))
    fields = sorted({f for _, tokens in rows for f, _, _ in tokens})
    assert [*got] == ["label", *(f"field_{f}" for f in fields)]
    assert got["label"] == [label for label, _ in rows]
    for f in fields:
        assert got[f"field_{f}"] == [[(str(i), w) for g, i, w in tokens if g == f] or None for _, tokens in rows]


def test_the_parser_reads_a_block_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part, "BLOCK", 1 << 10)
    table = open_table(write(tmp_path / "x.libsvm", "1 5:1\n" * 10_000 + "bad"))
    parsed: list[int] = []
    parse = SparseFile._parse

    def counted(self: SparseFile, lines: pl.Series, *others: Any) -> Any:
        parsed.append(len(lines))
        return parse(self, lines, *others)

    monkeypatch.setattr(SparseFile, "_parse", counted)
    next(table.chunks())
    assert len(parsed) == 1
    assert parsed[0] < 1_000
