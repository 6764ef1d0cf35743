"""How texts part, quote, escape and encode their values: as it is said, or as they show."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from masknet.errors import ConfigError, DataError
from masknet.table import Form, Table, open_table, text
from masknet.table.style import PLAIN, Style


def rows(table: Table, columns: list[str] | None = None) -> list[tuple[Any, ...]]:
    return [row for chunk in table.chunks(columns) for row in chunk.frame.rows()]


def refusal(path: Path, form: Form = PLAIN, columns: list[str] | None = None) -> DataError:
    with pytest.raises(DataError) as caught:
        rows(open_table(path, form=form), columns)
    return caught.value


# The delimiter


@pytest.mark.parametrize("said", ["|", "tab", r"\t", r"\x01", "::", "~"])
def test_a_delimiter_that_is_said_is_not_looked_for(said: str, tmp_path: Path) -> None:
    delimiter = Form(delimiter=said).delimiter
    assert delimiter is not None
    (tmp_path / "log.csv").write_text(f"a,b{delimiter}c\n1,2{delimiter}3\n")
    table = open_table(tmp_path / "log.csv", form=Form(delimiter=said))
    assert (table.columns, rows(table), table.notes) == (("a,b", "c"), [("1,2", "3")], [])


def test_names_tell_decimal_commas_from_delimiters(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("1,5;2;a\n0,5;4;b\n")
    table = open_table(tmp_path / "log.csv", columns=("a", "b", "c"))
    assert rows(table) == [("1,5", "2", "a"), ("0,5", "4", "b")]
    assert table.notes == ["log.csv: ';' stands between the values, and not ','"]


def test_two_colons_are_found_and_told(tmp_path: Path) -> None:
    (tmp_path / "ratings.csv").write_text('user::title::rating\n7::Alien: "Director\'s cut"::5\n8::"Heat::4\n')
    table = open_table(tmp_path / "ratings.csv")
    assert rows(table) == [("7", 'Alien: "Director\'s cut"', "5"), ("8", '"Heat', "4")]
    assert table.notes == ["ratings.csv: '::' stands between the values, and not ','"]


@pytest.mark.parametrize("size", range(1, 9))
def test_a_long_delimiter_is_met_in_two_blocks(size: int) -> None:
    data = b"a::b:::c\n:d::::e\n1:"
    stream = Style("::").parted(io.BytesIO(data))
    found = b""
    while block := stream.read(size):
        found += block
    assert found == data.replace(b"::", b"\x1f")


@pytest.mark.parametrize("delimiter", ["", '"', 'a"', "\n"])
def test_what_no_delimiter_can_be(delimiter: str) -> None:
    with pytest.raises(ConfigError, match="a --delimiter is text between values"):
        Form(delimiter=delimiter)


def test_a_long_delimiter_goes_without_quotes() -> None:
    with pytest.raises(ConfigError, match="stands in files without quotes"):
        Form(delimiter="::", quote='"')


def test_the_models_delimiter_holds_unless_the_file_differs(tmp_path: Path) -> None:
    (tmp_path / "same.csv").write_text("a,b;c\n1,2;3\n")
    assert open_table(tmp_path / "same.csv", usual=Form(delimiter=";")).columns == ("a,b", "c")
    (tmp_path / "other.csv").write_text("a,c\n1,3\n")
    other = open_table(tmp_path / "other.csv", usual=Form(delimiter=";"))
    assert (other.columns, other.notes) == (("a", "c"), ["other.csv: ',' stands between the values, and not ';'"])
    flagged = open_table(tmp_path / "same.csv", form=Form(delimiter=","), usual=Form(delimiter=";"))
    assert flagged.columns == ("a", "b;c")


# Quotes


def swallowing(delimiter: str) -> str:
    """600 rows of three values; two titles begin with a quote, the second 59 rows behind the first."""
    lines = [delimiter.join(("click", "title", "price"))]
    for i in range(600):
        title = f'"Alien {i}' if i in (100, 159) else f"Alien {i}"
        lines.append(delimiter.join((str(i % 2), title, f"{i}.5")))
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(("name", "delimiter"), [("log.tsv", "\t"), ("log.csv", ","), ("log.txt", "|")])
def test_a_quote_that_swallows_rows_is_refused(name: str, delimiter: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(swallowing(delimiter))
    error = refusal(tmp_path / name)
    assert (error.row, error.column) == (101, "title")
    assert "holds 60 lines with as many values as the header" in str(error)
    assert "--quote none" in str(error)
    assert len(rows(open_table(tmp_path / name, form=Form(quote="none")))) == 600
    assert len(rows(open_table(tmp_path / name, form=Form(quote='"')))) == 541  # it was said that it is so


def test_rows_are_swallowed_where_nobody_reads_the_column_too(tmp_path: Path) -> None:
    (tmp_path / "log.tsv").write_text(swallowing("\t"))
    assert "holds 60 lines" in str(refusal(tmp_path / "log.tsv", columns=["click", "price"]))


def test_one_swallowed_row_is_enough(tmp_path: Path) -> None:
    (tmp_path / "log.tsv").write_text('a\tb\n1\t"x\n2\t"y\n3\tz\n')
    assert refusal(tmp_path / "log.tsv").row == 1


def test_values_of_several_lines_are_whole(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text('a,b,c\n1,"one\ntwo, and\nthree",2\n3,"four",5\n')
    assert rows(open_table(tmp_path / "log.csv")) == [("1", "one\ntwo, and\nthree", "2"), ("3", "four", "5")]
    assert rows(open_table(tmp_path / "log.csv"), ["a"]) == [("1",), ("3",)]


def test_a_quoted_file_of_a_model_without_quotes(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text('"a","b"\n"1","x ""y"""\n')
    table = open_table(tmp_path / "log.csv", usual=Form(quote="none"))
    assert (table.columns, rows(table)) == (("a", "b"), [("1", 'x "y"')])
    assert "stand in quotes" in table.notes[0]


def test_an_escape_is_said_or_found(tmp_path: Path) -> None:
    content = 'a,b\n1,"say \\"hi\\", he said"\n2,"no"\n'
    (tmp_path / "spark.csv").write_text(content)
    expected = [("1", 'say "hi", he said'), ("2", "no")]
    assert rows(open_table(tmp_path / "spark.csv", form=Form(escape="\\"))) == expected
    found = open_table(tmp_path / "spark.csv")
    assert rows(found) == expected
    assert found.notes == ["spark.csv: a backslash stands before the quotes in its values"]
    (tmp_path / "plain.csv").write_text('path,b\n"C:\\","x"\n')  # a backslash that escapes nothing
    assert rows(open_table(tmp_path / "plain.csv")) == [("C:\\", "x")]


@pytest.mark.parametrize("escape", ["", "ab", '"', "\n"])
def test_what_no_escape_can_be(escape: str) -> None:
    with pytest.raises(ConfigError, match="an --escape is one character"):
        Form(escape=escape)


# Encodings


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16", "utf-16-le", "utf-32", "utf-8-sig", "UTF8"])
def test_encodings_that_are_said(encoding: str, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_bytes("größe,b\nÄ,1\nö,2\n".encode(encoding))
    table = open_table(tmp_path / "log.csv", form=Form(encoding=encoding))
    assert (table.columns, rows(table)) == (("größe", "b"), [("Ä", "1"), ("ö", "2")])
    assert table.estimated_rows() == 2


@pytest.mark.parametrize("encoding", ["gb18030", "shift-jis"])
def test_characters_that_are_cut_by_a_block(encoding: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "BLOCKS", (1 << 7, 1 << 12))
    values = [("東京" * (i % 5), str(i)) for i in range(300)]
    (tmp_path / "log.csv").write_bytes(("city,b\n" + "".join(f"{a},{b}\n" for a, b in values)).encode(encoding))
    assert rows(open_table(tmp_path / "log.csv", form=Form(encoding=encoding))) == values


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_a_mark_at_the_start_tells_the_encoding(encoding: str, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_bytes("größe,b\nÄ,1\n".encode(encoding))
    table = open_table(tmp_path / "log.csv")
    assert (rows(table), table.notes) == ([("Ä", "1")], [f"log.csv: it is written in {encoding}"])


def test_the_models_encoding_holds_unless_the_file_differs(tmp_path: Path) -> None:
    (tmp_path / "same.csv").write_bytes("a,b\nÄ,1\n".encode("latin-1"))
    assert rows(open_table(tmp_path / "same.csv", usual=Form(encoding="latin-1"))) == [("Ä", "1")]
    (tmp_path / "other.csv").write_text("a,b\nÄ,1\n")
    other = open_table(tmp_path / "other.csv", usual=Form(encoding="latin-1"))
    assert (rows(other), other.notes) == ([("Ä", "1")], ["other.csv: it is written in utf-8"])


def test_a_byte_of_no_character(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_bytes(b"a,b\n1,2\n\x81,3\n")
    error = refusal(tmp_path / "log.csv", Form(encoding="cp1252"))
    assert "line 3 of log.csv holds the byte 0x81, which is none of cp1252" in str(error)


@pytest.mark.parametrize("encoding", ["latin-99", "base64", "rot13", "a\0b"])
def test_encodings_that_nobody_knows(encoding: str) -> None:
    with pytest.raises(ConfigError, match="an --encoding is one that Python knows"):
        Form(encoding=encoding)


# Headers


def test_without_a_header_columns_have_numbers(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("1,a\n0,b\n")
    table = open_table(tmp_path / "log.csv", form=Form(header=False))
    assert (table.columns, rows(table)) == (("x0", "x1"), [("1", "a"), ("0", "b")])
    (tmp_path / "log.csv").write_text("1,a\n0\n")
    assert "as many values as the first row; row 2" in str(refusal(tmp_path / "log.csv", Form(header=False)))
    with pytest.raises(ConfigError, match="leave --no-header out"):
        open_table(tmp_path / "log.csv", columns=("a", "b"), form=Form(header=False))


def test_how_it_is_read_is_part_of_the_fingerprint(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("a;b,c\n1;2,3\n")
    forms = [
        Form(),
        Form(delimiter=";"),
        Form(quote="none"),
        Form(escape="\\"),
        Form(encoding="latin-1"),
        Form(header=False),
    ]
    assert len({open_table(tmp_path / "log.csv", form=form).fingerprint() for form in forms}) == len(forms)
    assert open_table(tmp_path / "log.csv", form=Form(quote='"')).fingerprint() == (
        open_table(tmp_path / "log.csv").fingerprint()
    )
