"""Numbers as files have them: what stands for a missing one, signs at the ends, thousands, decimals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from masknet.encode import Declared, inspect_table, values
from masknet.encode.coded import Coded
from masknet.encode.facts import ColumnFacts
from masknet.encode.leaks import LeakSearch
from masknet.encode.number_texts import parse
from masknet.encode.reports import ColumnReport
from masknet.progress import LogProgress
from masknet.schema import Categorical, Numeric
from masknet.table import open_table

MISSING = [r"\N", "NULL", "NA", "N/A", "-", "\u2014", "?", "#N/A", "<NA>", "(null)", "  ", "", "nan", "None", " null "]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("7", 7.0), ("-1.5", -1.5), ("1e-7", 1e-7), (" 7 ", 7.0), ("+3", 3.0), ("-.5", -0.5),
        ("$1,234.50", 1234.5), ("-$3", -3.0), ("€ 20", 20.0), ("20 €", 20.0), ("12%", 12.0), ("12.5 %", 12.5),
        ("1,234", 1234.0), ("12,345,678.9", 12345678.9), ("1 234.5", 1234.5), ("1'000", 1000.0),
        ("1,23", None), ("1,2345", None), ("$", None), ("%", None), ("1.2.3", None), ("12 apples", None),
        ("true", None), ("--", None), ("1-2", None),
    ],
)  # fmt: skip
def test_a_number_with_a_point(text: str, number: float | None) -> None:
    found = parse(pl.Series([text]))
    assert found.numbers.to_list() == [number]
    assert found.wrong.to_list() == [number is None]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("7", 7.0), ("0,5", 0.5), ("-1,25", -1.25), ("1.234,5", 1234.5), ("1.234", 1234.0), ("1 234,5", 1234.5),
        ("3,5 %", 3.5), ("20,00 €", 20.0), ("1.5", None), ("1,234.5", None), ("1,2,3", None),
    ],
)  # fmt: skip
def test_a_number_with_a_comma(text: str, number: float | None) -> None:
    found = parse(pl.Series([text]), decimal=",")
    assert found.numbers.to_list() == [number]
    assert found.wrong.to_list() == [number is None]


@pytest.mark.parametrize("text", MISSING)
def test_the_usual_markers_are_missing(text: str) -> None:
    found = parse(pl.Series(["1", text, None]))
    assert found.numbers.to_list() == [1.0, None, None]
    assert not found.wrong.any()


def test_a_marker_of_ones_own_is_as_it_is_written_and_may_be_a_number() -> None:
    found = parse(pl.Series(["-9", "9", " nil ", "Nil", "-9.0"]), missing=["-9", "nil "])
    assert found.numbers.to_list() == [None, 9.0, None, None, None]
    assert found.wrong.to_list() == [False, False, False, True, False]
    typed = values.numbers(pl.Series([-9.0, 9.0, None]), "row {}".format, missing=["-9", "nil"])
    assert np.isnan(typed).tolist() == [True, False, True], "whoever read the table"


# What a column is taken for


def reports(tmp_path: Path, cells: list[str], **declared: object) -> tuple[ColumnReport, object]:
    file = tmp_path / "log.csv"
    quoted = [f'"{cell}"' for cell in cells]
    file.write_text("label,x\n" + "".join(f"{i % 2},{cell}\n" for i, cell in enumerate(quoted)))
    found = inspect_table(open_table(file), Declared(label="label", **declared), LogProgress())  # type: ignore[arg-type]
    return found.reports[1], found.schema.fields[0]


def numbers(count: int) -> list[str]:
    return [f"{x:.3f}" for x in np.random.default_rng(0).normal(size=count)]


def test_a_few_markers_leave_a_column_one_of_numbers(tmp_path: Path) -> None:
    report, field = reports(tmp_path, [*numbers(4990), *["NA"] * 10])
    assert (report.kind, report.missing, report.flagged) == ("numeric", 10, False)
    assert isinstance(field, Numeric)


def test_prices_and_shares_are_numbers(tmp_path: Path) -> None:
    for cells in ([f"${1000 + i:,}.50" for i in range(200)], [f"{i / 10} %" for i in range(200)]):
        assert reports(tmp_path, cells)[0].kind == "numeric"


@pytest.mark.parametrize("markers", [[], ["NULL"]])
def test_ids_and_few_integers_stay_categories_and_so_do_their_markers(tmp_path: Path, markers: list[str]) -> None:
    report, field = reports(tmp_path, [*["1", "2", "3"] * 50, *markers])
    assert (report.kind, report.flagged, report.missing) == ("categorical", False, 0)
    assert isinstance(field, Categorical)
    assert field.values == "integer", "what another reader makes a float of is the same integer"


def test_many_integers_with_markers_are_looked_at_as_integers_are(tmp_path: Path) -> None:
    report, _ = reports(tmp_path, [*map(str, range(200)), "?"])
    assert (report.kind, report.why, report.flagged) == ("numeric", "integers; if ids, --categorical", True)


def test_what_is_mostly_numbers_is_marked_with_the_commonest_other(tmp_path: Path) -> None:
    report, _ = reports(tmp_path, [*numbers(90), *["unknown"] * 7, *["low"] * 3])
    assert (report.kind, report.flagged) == ("categorical", True)
    assert report.why == "texts; 90% are numbers; 'unknown' (7) with --missing?"
    assert not reports(tmp_path, [*numbers(70), *["unknown"] * 30])[0].flagged


def test_one_flag_makes_it_one_of_numbers(tmp_path: Path) -> None:
    report, field = reports(tmp_path, [*numbers(90), *["unknown"] * 10], missing=("unknown",))
    assert (report.kind, report.missing) == ("numeric", 10)
    assert isinstance(field, Numeric)
    assert field.missing == ("unknown",)


def test_decimal_commas_are_marked_and_read(tmp_path: Path) -> None:
    cells = [cell.replace(".", ",") for cell in numbers(100)]
    report, _ = reports(tmp_path, cells)
    assert (report.kind, report.why, report.flagged) == ("categorical", "texts; numbers with --decimal ,", True)
    report, field = reports(tmp_path, cells, decimal=",")
    assert (report.kind, report.flagged) == ("numeric", False)
    assert isinstance(field, Numeric)
    assert field.decimal == ","


def test_decimal_commas_are_no_hint_where_others_have_points(tmp_path: Path) -> None:
    rows = "".join(f"{i % 2}\t{i % 9},{i % 7}\t{i / 8}\n" for i in range(100))
    (tmp_path / "log.tsv").write_text(f"label\tseen\tprice\n{rows}")
    found = inspect_table(open_table(tmp_path / "log.tsv"), Declared(label="label"), LogProgress())
    assert [report.kind for report in found.reports] == ["label", "categorical", "numeric"]
    assert found.hints == "--bag seen"
    found = inspect_table(open_table(tmp_path / "log.tsv"), Declared(label="label", decimal=","), LogProgress())
    assert found.reports[2].why == "texts; numbers with a point, where --decimal is ,"


def test_missing_integers_are_counted_however_the_table_is_cut() -> None:
    cells = [*["-9"] * 30, *map(str, range(40)), "NA"]
    for cut in (1, 20, 71):
        facts = ColumnFacts("x", typed=False, missing=["-9"])
        for start in range(0, 71, cut):
            facts.add(Coded.of(pl.Series("x", cells[start : start + cut])))
        assert (facts.words, facts.are_integers) == (31, True)


def test_a_leak_is_found_however_its_numbers_are_written() -> None:
    clicks = np.arange(400) % 4 == 0
    leak = [f"${1000 + 500 * click + i / 1000:,.3f}" for i, click in enumerate(clicks)]
    search = LeakSearch({"x": None}, rows=400)
    search.add({"x": Coded(pl.Series("x", leak))}, clicks[:, None].astype(np.uint8))
    assert list(search.sentences(["x"], ["click"]))


@pytest.mark.parametrize("cells", [["007", "123"] * 50, ["DE", "NA"] * 50, ["a1", "b2"] * 50])
def test_codes_and_words_are_categories_and_not_marked(tmp_path: Path, cells: list[str]) -> None:
    report, _ = reports(tmp_path, cells)
    assert (report.kind, report.flagged) == ("categorical", False)
