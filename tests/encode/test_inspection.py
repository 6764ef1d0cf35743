from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from masknet.encode import Declared, Inspection, inspect_table
from masknet.encode.bags import bag_cells
from masknet.errors import ConfigError, DataError
from masknet.progress import LogProgress
from masknet.schema import Bag, Categorical, Datetime, Dense, FieldSchema, Numeric
from masknet.table import open_table


def inspect(source: Any, limit: int | None = None, **declared: Any) -> Inspection:
    return inspect_table(open_table(source), Declared(**declared), LogProgress(), limit=limit)


def report_of(inspection: Inspection, column: str = "x") -> Any:
    return next(report for report in inspection.reports if report.column == column)


def as_csv(folder: Path, frame: pl.DataFrame) -> str:
    path = folder / "x.csv"
    frame.write_csv(path)
    return str(path)


def frame_of(x: list[Any], name: str = "x", dtype: Any = None) -> pl.DataFrame:
    """A column under test beside one that is always a field."""
    return pl.DataFrame({"city": ["a", "b"] * (len(x) // 2) + ["a"] * (len(x) % 2)}).with_columns(
        pl.Series(name, x, dtype=dtype)
    )


FEW, MANY = list(range(49)), list(range(50))

# name, cells, kind, values (where categorical), flagged: the same from Parquet-like types as from CSV's texts.
RULES = [
    ("x", ["a", "b"], "categorical", "text", False),
    ("x", ["a", "7", None], "categorical", "text", False),
    ("x", ["07", "8"], "categorical", "text", False),
    ("x", ["nan", "None"], "categorical", "text", False),
    ("x", [True, False, None], "categorical", "boolean", False),
    ("x", [0.5, 1.0, None], "numeric", None, False),
    ("x", [0.5, float("inf")], "numeric", None, False),
    ("x", [1.0, 2.0, float("inf")], "numeric", None, False),  # infinity is no integer
    ("x", FEW, "categorical", "integer", False),
    ("x", MANY, "numeric", None, True),
    ("x", [float(n) for n in FEW] + [None], "categorical", "integer", False),
    ("x", [float(n) for n in MANY] + [None], "numeric", None, True),
    ("user_id", MANY, "categorical", "integer", False),
    ("user_id", [float(n) for n in MANY], "categorical", "integer", False),
    ("user_id", [n + 2**70 for n in MANY], "categorical", "integer", False),
    ("user_id", [0.5, 1.5], "numeric", None, True),
    ("x", [None, None], "ignored", None, True),
]


@pytest.mark.parametrize(("name", "cells", "kind", "value_type", "flagged"), RULES)
@pytest.mark.parametrize("typed", [True, False], ids=["typed", "csv"])
def test_the_rules_of_inference(
    name: str, cells: list[Any], kind: str, value_type: str | None, flagged: bool, typed: bool, tmp_path: Path
) -> None:
    frame = frame_of(cells, name, pl.Int128 if cells and isinstance(cells[0], int) and cells[0] > 2**63 else None)
    inspection = inspect(frame if typed else as_csv(tmp_path, frame))
    report = report_of(inspection, name)
    assert (report.kind, report.flagged) == (kind, flagged), report
    assert report.missing == frame[name].null_count()
    expected = {"categorical": Categorical(name=name, values=value_type or "text"), "numeric": Numeric(name=name)}
    assert inspection.schema.fields == (
        Categorical(name="city", values="text"),
        *([expected[kind]] if kind in expected else []),
    )


@pytest.mark.parametrize(
    ("cells", "value_type"), [([f"{n}.0" for n in MANY], "integer"), (["true", "FALSE"], "boolean")]
)
def test_typed_texts_stay_categorical_whatever_they_spell(cells: list[str], value_type: Any) -> None:
    assert inspect(frame_of(cells)).schema.fields[1] == Categorical(name="x", values=value_type)


@pytest.mark.parametrize(
    ("cells", "kind", "value_type"),
    [
        (["7", "8.0", "-9"], "categorical", "integer"),
        (["TRUE", "false", "True"], "categorical", "boolean"),
        (["1e-3", ".5", "+2", ""], "numeric", None),
        (["0.5", "nan", "None"], "numeric", None),
        (["0.5", "007.5"], "categorical", "text"),
        (["0.5", "1,5"], "categorical", "text"),
        (["7.00", "8.00"], "numeric", None),
        (["2026-01-01", "2026-01-02"], "datetime", None),
        (["2026-01-01 12:30", "2026-01-02T00:00:01.5", ""], "datetime", None),
        (["2026-01-01T12:30:00Z", "2026-01-02T00:00:01+02:00"], "datetime", None),
        (["2026-01-01", "2026-13-01"], "categorical", "text"),
        (["2026-01-01", "soon"], "categorical", "text"),
        (["2026-01-01", "2026"], "categorical", "text"),
    ],
)
def test_texts_of_a_csv(cells: list[str], kind: str, value_type: str | None, tmp_path: Path) -> None:
    inspection = inspect(as_csv(tmp_path, frame_of(cells)))
    assert report_of(inspection).kind == kind
    if value_type is not None:
        assert inspection.schema.fields[1] == Categorical(name="x", values=value_type)


def test_missing_numbers_written_as_texts_are_counted(tmp_path: Path) -> None:
    inspection = inspect(as_csv(tmp_path, frame_of(["0.5", "nan", "None", None])))
    assert report_of(inspection).missing == 3


@pytest.mark.parametrize(
    ("first", "last", "kind", "value_type"),
    [
        ("7", "x", "categorical", "text"),
        ("7", "07", "categorical", "text"),
        ("7", "0.5", "numeric", None),
        ("0.5", "x", "categorical", "text"),
        ("true", "maybe", "categorical", "text"),
        ("", "x", "categorical", "text"),
    ],
)
def test_what_a_column_is_is_decided_by_its_last_row_too(
    first: str, last: str, kind: str, value_type: str | None, tmp_path: Path
) -> None:
    path = tmp_path / "x.csv"
    path.write_text("city,x\n" + f"a,{first}\n" * 70_000 + f"b,{last}\n", encoding="utf-8")
    inspection = inspect(str(path))
    assert report_of(inspection).kind == kind
    if value_type is not None:
        assert inspection.schema.fields[1] == Categorical(name="x", values=value_type)
    assert inspection.rows == 70_001


def test_shards_of_different_types_are_one_column(tmp_path: Path) -> None:
    pl.DataFrame({"x": [1, 2]}).write_parquet(tmp_path / "1.parquet")
    pl.DataFrame({"x": [3.0, None]}).write_parquet(tmp_path / "2.parquet")
    assert inspect(str(tmp_path)).schema.fields == (Categorical(name="x", values="integer"),)
    pl.DataFrame({"x": ["07"]}).write_parquet(tmp_path / "3.parquet")
    assert inspect(str(tmp_path)).schema.fields == (Categorical(name="x", values="text"),)


@pytest.mark.parametrize(
    "name",
    [
        "id",
        "ID",
        "userId",
        "user_ids",
        "zip_code",
        "site-code",
        "ad",
        "item",
        "query",
        "AdvertiserId",
        "device.id",
        "key",
    ],
)
def test_names_of_ids(name: str) -> None:
    assert inspect(frame_of(MANY, name)).reports[1].kind == "categorical"


@pytest.mark.parametrize("name", ["paid", "width", "video", "hidden", "price", "item_price", "codec", "年齢", "1"])
def test_names_of_quantities(name: str) -> None:
    assert inspect(frame_of(MANY, name)).reports[1].kind == "numeric"


@pytest.mark.parametrize(
    "cells",
    [
        [{"a": 1}, None],
        [dt.time(12)] * 2,
        [[0.5], [0.5, 1.5]],
        [[[1]], [[2]]],
    ],
    ids=["struct", "time of day", "fractions of several lengths", "lists of lists"],
)
def test_what_cannot_be_read_is_ignored_and_flagged(cells: list[Any]) -> None:
    report = report_of(inspect(frame_of(cells)))
    assert (report.kind, report.flagged) == ("ignored", True)


@pytest.mark.parametrize("odd", ["2026-01-01T12:00Z", "2026-02-30"])
def test_texts_that_are_almost_all_moments_are_flagged(odd: str) -> None:
    report = report_of(inspect(frame_of(["2026-01-01 12:00", odd])))
    assert (report.kind, report.flagged) == ("categorical", True)
    assert "--datetime" in report.why


@pytest.mark.parametrize(
    ("cells", "field"),
    [
        ([[1], [2, 3], None], Bag(name="x", values="integer", max_length=50)),
        ([["a", "b"], []], Bag(name="x", max_length=50)),
        ([[{"v": "a", "w": 0.5}], [{"v": "b", "w": 2.0}]], Bag(name="x", weighted=True, pooling="sum")),
        ([[0.5, 1.0], [0.25, 2.0], None], Dense(name="x", width=2)),
        ([dt.date(2026, 1, 1)] * 2, Datetime(name="x", zoned=False)),
        ([dt.datetime(2026, 1, 1, 12)] * 2, Datetime(name="x", zoned=False)),
    ],
)
def test_lists_and_moments_of_a_frame(cells: list[Any], field: FieldSchema) -> None:
    inspection = inspect(frame_of(cells))
    found = inspection.schema.fields[1]
    if isinstance(found, Bag):
        found = found.model_copy(update={"separator": None})
    assert found == field


def test_moments_of_two_kinds_in_two_shards_are_refused_where_they_are_declared(tmp_path: Path) -> None:
    frame_of(["2026-01-31 12:00:00"] * 3).write_parquet(tmp_path / "1.parquet")
    frame_of(["2026-01-31 12:00:00Z"] * 3).write_parquet(tmp_path / "2.parquet")
    for declared in ({"datetime": ("x",)}, {"time": "x"}):
        with pytest.raises(DataError, match=r"'2026-01-31 12:00:00Z' in row 1 of 2\.parquet, unlike those of"):
            inspect(tmp_path, **declared)
    assert report_of(inspect(tmp_path)).kind == "ignored"


def test_written_lists_are_read_as_lists() -> None:
    cells = ["[3, 7, 9]", None, "", " ['a', \"b\"] ", "[]", "[5]"]
    (_, found) = inspect(frame_of(cells), bag=("x",)).schema.fields
    assert isinstance(found, Bag)
    assert (found.form, found.separator) == ("listed", ",")
    read = bag_cells(pl.Series("x", cells), found, "row {}".format)
    assert (read.text.to_list(), read.row.tolist()) == (["3", "7", "9", "a", "b", "5"], [0, 0, 0, 3, 3, 5])
    tricky = pl.Series("x", ["['a, x', \"it's\", 'c|z']", "[3, None]", "['b']"])
    assert bag_cells(tricky, found, "row {}".format).text.to_list() == ["a, x", "it's", "c|z", "3", "b"]
    (_, one) = inspect(frame_of(["['a|b']", "['c']"]), bag=("x",)).schema.fields
    assert bag_cells(pl.Series("x", ["['a|b', 'd']"]), one, "row {}".format).text.to_list() == ["a|b", "d"]
    (_, declared) = inspect(frame_of(["['a', 'b']", "['c']"]), bag=("x",), separator={"x": ","}).schema.fields
    assert isinstance(declared, Bag)
    assert declared.form == "listed"
    (_, numpy) = inspect(frame_of(["[3  7 9]", "[1 2]"]), bag=("x",)).schema.fields
    assert bag_cells(pl.Series("x", ["[3  7\n 9]"]), numpy, "row {}".format).text.to_list() == ["3", "7", "9"]


TITLES = [f"The {n}th Wonder of the World, told anew" for n in range(60)]


def test_the_words_of_prose_are_read_in_lower_case() -> None:
    (_, found) = inspect(frame_of([*TITLES, None]), bag=("x",)).schema.fields
    assert isinstance(found, Bag)
    assert found.form == "words"
    read = bag_cells(pl.Series("x", ["Don't Panic! 42", "", None]), found, "row {}".format)
    assert read.text.to_list() == ["don", "t", "panic", "42"]
    assert bag_cells(pl.Series("x", [["Don", "Panic"]]), found, "row {}".format).text.to_list() == ["don", "panic"]
    (_, told) = inspect(frame_of(TITLES), bag=("x",), separator={"x": " "}).schema.fields
    assert isinstance(told, Bag)
    assert told.form == "separated"


LOOKED_AT = [
    ("tags", ["a|b", "c", "a|c|d"] * 20, "texts, most with '|'; --bag reads the parts", [("bag", "tags")]),
    ("seen", ["[3, 7]", "[9]"] * 20, "texts, lists in brackets; --bag reads the parts", [("bag", "seen")]),
    ("title", TITLES, "texts, several words each; --bag reads the parts", [("bag", "title")]),
    ("num_visits", FEW, "integers, under 50 distinct; if counts, --numeric", [("numeric", "num_visits")]),
    ("bedrooms", FEW, "integers, under 50 distinct; if counts, --numeric", [("numeric", "bedrooms")]),
    ("n", MANY, "integers; if ids, --categorical", [("categorical", "n")]),
    ("at", ["6/19/2016 21:43", "NA"] * 9, "texts; dates as %m/%d/%Y %H:%M, with --datetime",
     [("datetime", "at=%m/%d/%Y %H:%M")]),
    ("x", ["31-Jul-18", "1-Aug-18", None], "texts; dates as %d-%b-%y, with --datetime", [("datetime", "x=%d-%b-%y")]),
    ("x", ["6/9/2016", "", "7/9/2016"], "texts; dates as %m/%d/%Y or %d/%m/%Y, with --datetime",
     [("datetime", "x=%m/%d/%Y")]),
    ("x", ["2026-01-31"] * 9 + ["soon"], "texts; 90% ISO dates; 'soon' with --missing?",
     [("datetime", "x"), ("missing", "soon")]),
    ("x", ["31.12.2019"] * 8 + ["soon", "never"], "texts; 80% dates as %d.%m.%Y; 'never' with --missing?",
     [("datetime", "x=%d.%m.%Y"), ("missing", "never")]),
    ("created_at", [1769860800000, None], "numbers; milliseconds since 1970, with --datetime",
     [("datetime", "created_at")]),
    ("eventTime", [1769860800 + n for n in MANY] + [None], "numbers; seconds since 1970, with --datetime",
     [("datetime", "eventTime")]),
    ("ts", [1769860800000000000, None], "numbers; nanoseconds since 1970, with --datetime", [("datetime", "ts")]),
    ("date", [20160609, 20160610, None], "numbers; dates in digits, with --datetime", [("datetime", "date")]),
    ("n", list(range(1_000)), "integers, another in each row; if ids, --ignore", [("ignore", "n")]),
    ("url", [f"u{n % 950}" for n in range(1_000)], "texts, nearly each its own; --ignore leaves out",
     [("ignore", "url")]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "cells", "why", "hint"), LOOKED_AT)
def test_what_may_be_something_else_is_marked_with_its_flag(
    name: str, cells: list[Any], why: str, hint: list[tuple[str, str]]
) -> None:
    report = report_of(inspect(frame_of(cells, name)), name)
    assert (report.why, report.flagged, list(report.hint)) == (why, True, hint)


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("user_id", [1769860800000, None]),  # an id
        ("n", [1769860800 + n for n in range(60)]),  # not named like a time
        ("time_spent", [86400, 1769860800, None]),
        ("timestamp", [0, 1769860800, None]),
        ("date", [20160609, 20161399, None]),
        ("version", ["10.4.11", "9.3.12"]),
        ("x", ["6/9/2016", "red", "green"]),
    ],
)
@pytest.mark.parametrize("typed", [True, False], ids=["typed", "csv"])
def test_what_is_no_moment_is_not_marked_as_one(name: str, cells: list[Any], typed: bool, tmp_path: Path) -> None:
    frame = frame_of(cells, name)
    report = report_of(inspect(frame if typed else as_csv(tmp_path, frame)), name)
    assert not {"datetime", "time"} & {option for option, _ in report.hint}


def days(*numbers: int) -> list[dt.date]:
    return [dt.date(2026, 1, 1 + n) for n in numbers]


@pytest.mark.parametrize(
    ("columns", "chosen", "hint"),
    [
        ({"at": days(0, 1, 2)}, "at", {"time": "at", "datetime": "at"}),
        ({"born": days(0, 0, 1), "at": days(0, 1, 2), "seen": days(2, 1, 0)}, "at", {"time": "at", "datetime": "at"}),
        ({"at": [*days(0, 1), None], "born": days(0, 0, 1)}, "born", {"time": "born", "datetime": "born"}),
        ({"at": ["2026-01-01", "2026-01-02", "NA"], "n": [0.5, 1.5, 2.5]}, None, {}),
        ({"at": ["1/13/2026", "1/14/2026", "NA"], "n": [0.5, 1.5, 2.5]}, None, {}),
        ({"at": days(0, 0, 0)}, None, {}),
        ({"n": [0.5, 1.5, 2.5]}, None, {}),
        ({"at": ["1/13/2026", "1/14/2026", "1/15/2026"]}, "at", {"datetime": "at=%m/%d/%Y", "time": "at=%m/%d/%Y"}),
        ({"ts": [1769860800, 1769860801, 1769860802]}, "ts", {"datetime": "ts", "time": "ts"}),
    ],
)
def test_a_moment_is_pointed_at_while_the_split_is_random(
    columns: dict[str, list[Any]], chosen: str | None, hint: dict[str, str], tmp_path: Path
) -> None:
    frame = pl.DataFrame({"city": ["a", "b", "a"], **columns})
    for source in (frame, as_csv(tmp_path, frame)):
        found = inspect(source)
        told = {report.column: report for report in found.reports if "time" in dict(report.hint)}
        assert list(told) == ([] if chosen is None else [chosen])
        for report in told.values():
            assert (dict(report.hint), report.flagged) == (hint, True)
            assert report.why.endswith("; --time splits by it")
            followed = inspect(source, time=hint["time"], datetime=(hint["datetime"],))
            assert [field.kind for field in followed.schema.fields if field.name == chosen] == ["datetime"]
            assert followed.schema.time == chosen
            assert followed.times is not None
            assert not any("time" in dict(report.hint) for report in followed.reports)
        others = inspect_table(open_table(source), Declared(), LogProgress(), by_chance=False)
        assert not any("time" in dict(report.hint) for report in others.reports)


def test_a_declared_moment_is_pointed_at_by_its_name() -> None:
    frame = frame_of(["13.1.2026", "14.1.2026"], "at")
    report = report_of(inspect(frame, datetime=("at=%d.%m.%Y",)), "at")
    assert (report.kind, report.why, report.hint) == (
        "datetime", "declared; --time splits by it", (("time", "at"),)
    )  # fmt: skip
    followed = inspect(frame, datetime=("at=%d.%m.%Y",), time="at")
    assert followed.schema.fields[1] == Datetime(name="at", form="%d.%m.%Y", zoned=False)
    assert (followed.schema.time, followed.time_form) == ("at", "%d.%m.%Y")
    assert followed.times is not None
    assert np.diff(followed.times).tolist() == [86_400e6]
    alone = inspect(frame, time="at=%d.%m.%Y")
    assert alone.schema.field_names == ("city",)
    assert report_of(alone, "at").why == "declared; name it in --datetime to make it a field too"


def test_a_format_holds_for_its_column(tmp_path: Path) -> None:
    frame = frame_of(["6/9/2016 21:43", "NULL", "6/10/2016 0:00"], "at")
    for source in (frame, as_csv(tmp_path, frame)):
        found = inspect(source, datetime=("at=%m/%d/%Y %H:%M",), missing=("never",))
        assert found.schema.fields[1] == Datetime(name="at", form="%m/%d/%Y %H:%M", zoned=False, missing=("never",))
        assert (report_of(found, "at").missing, report_of(found, "at").kind) == (1, "datetime")
        with pytest.raises(DataError, match=r"train with --datetime 'at=%m/%d/%Y %H:%M', or name the column in --cat"):
            inspect(source, datetime=("at",))
        with pytest.raises(DataError, match=r"here as %d/%m/%Y %H:%M:%S; .* '6/9/2016 21:43' in row 1 of"):
            inspect(source, datetime=("at=%d/%m/%Y %H:%M:%S",))


@pytest.mark.parametrize(
    ("declared", "sentence"),
    [
        ({"datetime": ("a=%H:%M",)}, "a format of moments names the year"),
        ({"time": "a=%H:%M"}, "a format of moments names the year"),
        ({"datetime": ("zzz=%d.%m.%Y",)}, "--datetime names a column of the frame: unknown column 'zzz'"),
        ({"time": "zzz=%d.%m.%Y"}, "--time names a column of the frame: unknown column 'zzz'"),
        ({"datetime": ("a=%d.%m.%Y",), "time": "a=%m.%d.%Y"}, "'a' is given '%d.%m.%Y' in --datetime and '%m.%d.%Y'"),
        ({"time": "a", "ignore": ("a",)}, "'a' is given to --ignore and --time: keep one"),
        ({"time": "a", "weight": "a"}, "'a' is given to --weight and --time: keep one"),
    ],
)
def test_impossible_moments_are_refused(declared: dict[str, Any], sentence: str) -> None:
    with pytest.raises((DataError, ConfigError)) as caught:
        inspect(pl.DataFrame({"a": ["1.1.2026"], "b": ["y"]}), **declared)
    assert sentence in str(caught.value)


@pytest.mark.parametrize("form", ["2026-01-31 12:00:00 UTC", "2026-01-31T12:00:00Z", "2026-01-31 12:00+00"])
def test_iso_moments_with_missing_ones_and_zones_are_moments(form: str, tmp_path: Path) -> None:
    cells = [form, "NA", r"\N", form.replace("12", "13"), "", None, " - "]
    for source in (frame_of(cells), as_csv(tmp_path, frame_of(cells))):
        found = inspect(source)
        assert found.schema.fields[1] == Datetime(name="x", zoned=True)
        assert (report_of(found).missing, report_of(found).flagged) == (5, False)
    assert report_of(inspect(frame_of(["NA", "-"]))).kind == "categorical", "which are no moments"


NOT_ASKED = [
    ("month_nights", MANY, "integers"),
    ("Daily Time Spent on Site", [68.95, *MANY], "numbers, not all of them integers"),
    ("fnlwgt", [f" {n}" for n in MANY], "numbers"),
]


@pytest.mark.parametrize(("name", "cells", "why"), NOT_ASKED)
def test_of_what_is_plainly_a_quantity_nothing_is_asked(name: str, cells: list[Any], why: str, tmp_path: Path) -> None:
    frame = pl.DataFrame({"click": [n % 2 for n in range(len(cells))], name: pl.Series(cells, strict=False)})
    report = report_of(inspect(as_csv(tmp_path, frame)), name)
    assert (report.kind, report.why, report.flagged) == ("numeric", why, False)


def test_texts_of_which_some_stand_often_are_categories() -> None:
    for cells in ([f"u{n % 850}" for n in range(1_000)], [f"u{n % 930}" for n in range(990)]):
        assert not report_of(inspect(frame_of(cells, "url")), "url").flagged


@pytest.mark.parametrize("name", ["ip", "os", "channel", "aid"])
def test_bare_names_of_ids_are_ids(name: str) -> None:
    assert report_of(inspect(frame_of(MANY, name)), name).kind == "categorical"


def test_a_value_of_its_own_in_each_row_is_left_out_unless_declared() -> None:
    for cells in ([f"r{n}" for n in range(1_000)], list(range(1_000))):
        report = report_of(inspect(frame_of(cells, "row_id")), "row_id")
        assert (report.kind, report.flagged) == ("ignored", True)
        kept = report_of(inspect(frame_of(cells, "row_id"), categorical=("row_id",)), "row_id")
        assert kept.kind == "categorical"
        hashed = report_of(inspect(frame_of(cells, "row_id"), hash={"row_id": 100}), "row_id")
        assert hashed.kind == "categorical", "an option of the column is not lost"
    for other in ([f"r{n}" for n in range(999)], [*(f"r{n}" for n in range(999)), "r0"], [None, *map(str, range(999))]):
        assert report_of(inspect(frame_of(other, "row_id")), "row_id").kind == "categorical"


@pytest.mark.parametrize("name", ["__index_level_0__", "Unnamed: 0"])
@pytest.mark.parametrize("typed", [True, False], ids=["typed", "csv"])
def test_the_index_that_pandas_saved_is_left_out(name: str, typed: bool, tmp_path: Path) -> None:
    frame = frame_of(list(range(60)), name)
    report = report_of(inspect(frame if typed else as_csv(tmp_path, frame)), name)
    assert (report.kind, report.why) == ("ignored", "the index that pandas saved")
    assert report_of(inspect(frame_of(list(range(59, -1, -1)), name)), name).kind == "ignored", "shuffled too"
    assert report_of(inspect(frame_of([5, 3] * 30, name)), name).kind == "categorical"


def test_one_line_follows_all_hints() -> None:
    columns = {"ip": list(range(60)), "price": ["1.5", "free", "2.5", "3.5", "4.5", "6.5"] * 10, "title": TITLES}
    found = inspect(pl.DataFrame({"click": [0, 1] * 30, "n": range(60), **columns}))
    assert found.hints == "--categorical n --numeric price --missing free --bag title"
    day = pl.date(2026, 1, 1) + pl.duration(days=pl.int_range(60))
    dated = pl.select(ts=day.dt.epoch("ms"), at=day.dt.strftime("%B %d, %Y"), day=day.dt.strftime("%d/%m/%Y"))
    assert inspect(dated.with_columns(a=pl.Series(["a", "b"] * 30))).hints == (
        "--datetime ts --datetime 'at=%B %d, %Y' --datetime day=%d/%m/%Y --time ts"
    )
    assert Inspection.from_json(json.loads(json.dumps(found.to_json()))).hints == found.hints


def test_decimals_are_integers_where_they_have_no_fraction() -> None:
    whole = frame_of([Decimal(2**100), None], dtype=pl.Decimal(38, 0))
    assert inspect(whole).schema.fields[1] == Categorical(name="x", values="integer")
    assert inspect(frame_of([Decimal("7.00")], dtype=pl.Decimal(10, 2))).schema.fields[1] == Numeric(name="x")


@pytest.mark.parametrize(
    ("cells", "count"),
    [
        (["7", "7.0", "8", ""], 2),
        (["true", "TRUE", "False"], 2),
        (["a", "A", "a"], 2),
        (["0.5", "nan", "0.25"], 3),
        ([""], 0),
    ],
)
def test_distinct_values_are_counted_by_the_one_rule(cells: list[str], count: int, tmp_path: Path) -> None:
    assert report_of(inspect(as_csv(tmp_path, frame_of(cells)))).distinct == count


def test_distinct_values_are_exact_up_to_ten_thousand() -> None:
    column = list(range(10_000)) * 8
    assert report_of(inspect(frame_of(column))).distinct == 10_000
    assert report_of(inspect(frame_of([*column, 10_000]))).distinct is None
    many = inspect(pl.DataFrame({"user_id": range(100_000), "x": [n % 49 for n in range(100_000)]}))
    assert [(r.kind, r.distinct) for r in many.reports] == [("ignored", None), ("categorical", 49)]


def test_declared_parts_win(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "click": [0, 1, 0],
            "w": [1.0, 2.0, 0.5],
            "at": [3, 1, 2],
            "user": ["a", "b", "a"],
            "session": [1, 2, 3],
            "n": [1, 2, 3],
            "f": [0.5, 1.5, None],
            "junk": ["x", "y", "z"],
        }
    )
    for source in (frame, as_csv(tmp_path, frame)):
        inspection = inspect(
            source, label="click", weight="w", time="at", group="session", numeric=("n",), categorical=("f",),
            ignore=("junk",),
        )  # fmt: skip
        schema = inspection.schema
        assert schema.fields == (
            Categorical(name="user", values="text"),
            Numeric(name="n"),
            Categorical(name="f", values="float"),
        )
        assert (schema.label, schema.weight, schema.group, schema.time) == ("click", "w", "session", "at")
        assert schema.ignored == ("junk",)
        assert [r.kind for r in inspection.reports] == [
            "label", "weight", "time", "categorical", "group", "numeric", "categorical", "ignored",
        ]  # fmt: skip
        assert inspection.labels is not None
        assert inspection.labels.tolist() == [[0], [1], [0]]
        assert inspection.times is not None
        assert inspection.times.tolist() == [3e6, 1e6, 2e6]


def test_a_group_may_be_a_field_too() -> None:
    schema = inspect(frame_of(["a", "b"]), group="x", categorical=("x",)).schema
    assert schema.group == "x"
    assert schema.field_names == ("city", "x")


@pytest.mark.parametrize(
    ("declared", "sentence"),
    [
        ({"label": "lick"}, "--label names a column of the frame: unknown column 'lick'; did you mean 'click'?"),
        ({"ignore": ("zzz",)}, "--ignore names a column of the frame: unknown column 'zzz'; known: a, b, click"),
        ({"label": "click", "numeric": ("click",)}, "'click' is given to --label and --numeric: keep one"),
        ({"categorical": ("a",), "ignore": ("a",)}, "'a' is given to --categorical and --ignore: keep one"),
        ({"label": "click", "group": "click"}, "'click' is given to --label and --group: keep one"),
    ],
)
def test_impossible_declarations_are_refused(declared: dict[str, Any], sentence: str) -> None:
    with pytest.raises(DataError) as caught:
        inspect(pl.DataFrame({"a": ["x"], "b": ["y"], "click": [1]}), **declared)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("flag", "declared"),
    [
        ("--hash", {"hash": {"a": 10}}),
        ("--max-length", {"max_length": {"a": 3}}),
        ("--ordered", {"ordered": ("a",)}),
        ("--pooling", {"pooling": {"a": "sum"}}),
        ("--project", {"project": ("a",)}),
        ("--separator", {"separator": {"a": ";"}}),
        ("--share", {"share": {"a": "b"}}),
        ("--share", {"share": {"b": "a"}}),
        ("--weighted", {"weighted": ("a",)}),
    ],
)
def test_an_option_of_a_column_that_is_left_out_is_refused(flag: str, declared: dict[str, Any]) -> None:
    for cells, ignore, why in ((["x"], ("a",), "it is given to --ignore"), ([None], (), "missing in every row")):
        frame = pl.DataFrame({"a": cells, "b": ["y"], "click": [1]})
        with pytest.raises(DataError) as caught:
            inspect(frame, label="click", ignore=ignore, **declared)
        assert str(caught.value) == (
            f"{flag} is for columns that are read; 'a' is left out ({why}): take it out of {flag}, or read the column"
        )
        assert caught.value.column == "a"


def test_a_column_that_is_left_out_is_not_read() -> None:
    odd = pa.array([(1, 2, 3)] * 3, pa.month_day_nano_interval())
    table = pa.table({"odd": odd, "x": ["a", "b", "c"], "click": [0, 1, 0]})
    rows = [{"odd": object(), "x": "a", "click": i % 2} for i in range(3)]
    for source in (table, rows):
        with pytest.raises(DataError, match="odd"):
            inspect(source, label="click")
        found = inspect(source, label="click", ignore=("odd",))
        report = report_of(found, "odd")
        assert (report.kind, report.distinct, report.missing) == ("ignored", None, None)
        assert found.schema.ignored == ("odd",)
        assert Inspection.from_json(json.loads(json.dumps(found.to_json()))).reports == found.reports
    with pytest.raises(DataError, match="at least one field"):
        inspect(table, ignore=("odd", "x", "click"))


def test_a_group_that_is_no_field_is_read() -> None:
    found = inspect(frame_of(["a", "b"]), group="x", ignore=("x",))
    assert (found.schema.group, found.schema.field_names) == ("x", ("city",))


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        ([[{"tag": "a", "w": 0.5}], []], "bag"),
        ([[{"weight": 0.5, "tag": "a"}], []], "bag"),
        ([[{"id": 7, "times": 2}], []], "bag"),
        ([[{"from": "a", "to": "b"}], []], "ignored"),
        ([[{"rank": 1, "tag": "a"}], []], "ignored"),
        ([[{"tag": ["a"], "w": 1}], []], "ignored"),
        ([[{}], []], "ignored"),
    ],
)
def test_lists_of_pairs_are_weighted_bags(cells: list[Any], kind: str) -> None:
    dtype = None if cells[0] != [{}] else pl.List(pl.Struct([]))
    inspection = inspect(frame_of(cells, dtype=dtype))
    assert report_of(inspection).kind == kind
    if kind == "bag":
        (_, field) = inspection.schema.fields
        assert isinstance(field, Bag)
        assert (field.weighted, field.pooling) == (True, "sum")


def test_lengths_of_time_are_numbers_and_bytes_are_values() -> None:
    frame = pl.DataFrame({"dwell": [dt.timedelta(seconds=1.5), None], "key": [b"\xff", b"\xfe"]})
    assert [field.kind for field in inspect(frame).schema.fields] == ["numeric", "categorical"]


def test_a_bad_label_or_weight_is_named_with_row_and_file(tmp_path: Path) -> None:
    path = tmp_path / "ads.csv"
    path.write_text("click,w,x\n1,1,a\n0,-2,a\n,1,a\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"column 'click' is missing in row 3 of ads\.csv"):
        inspect(str(path), label="click")
    with pytest.raises(DataError, match=r"column 'w' holds '-2' in row 2 of ads\.csv"):
        inspect(str(path), weight="w")
    assert inspect(str(path), label="click", limit=2).rows == 2


def test_a_table_without_rows_or_fields_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("click,x\n", encoding="utf-8")
    for source in (str(tmp_path / "x.csv"), pl.DataFrame({"click": [], "x": []})):
        with pytest.raises(DataError, match=r"a table needs rows; .* has a header and none"):
            inspect(source, label="click")
    with pytest.raises(DataError, match="at least one field; the frame has none"):
        inspect(pl.DataFrame({"click": [1, 0], "x": [None, None]}), label="click")


def test_what_the_user_should_know_is_warned_of(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "void": pl.Series([None, None, None], dtype=pl.Float64),
            "same": ["a", "a", "a"],
            "half": ["a", "a", None],
            "far": [0.5, float("inf"), float("-inf")],
            "left": ["b", "b", "b"],
        }
    )
    for source in (frame, as_csv(tmp_path, frame)):
        assert inspect(source, ignore=("left",)).warnings == (
            "column 'void' is missing in every row",
            "column 'same' is constant: it tells the model nothing",
            "column 'far' holds 2 infinite values: they are clipped to the finite range of training",
        )


def test_an_inspection_survives_json() -> None:
    inspection = inspect(frame_of([1.5, None]), label=None)
    copy = Inspection.from_json(json.loads(json.dumps(inspection.to_json())))
    assert copy == inspection


def test_labels_of_minus_one_and_zero_do_not_mix(tmp_path: Path) -> None:
    frame = frame_of([1, 2] * 50_000)
    signed = frame.with_columns(click=pl.when(pl.col("x") == 1).then(-1).otherwise(1))
    inspection = inspect(signed, label="click")
    assert inspection.labels is not None
    assert inspection.labels[:3].tolist() == [[0], [1], [0]]
    mixed = pl.concat([signed, signed.head(1).with_columns(click=pl.lit(0, pl.Int32))])
    with pytest.raises(DataError, match=r"column 'click' holds both 0 and -1 \(seen by row 100001 of the frame\)"):
        inspect(mixed, label="click")


@pytest.mark.parametrize(
    ("cells", "other", "kind", "values"),
    [
        ([7, 8], ["7", "9"], "categorical", "integer"),
        ([7, 8], ["07", "x"], "categorical", "text"),
        ([7, 8], [7.0, 9.0], "categorical", "integer"),
        ([True, False], ["true", "False"], "categorical", "boolean"),
        ([0.5, 7.0], [7, 8], "numeric", None),
    ],
)
def test_a_type_that_changes_between_shards_is_decided_over_all(
    cells: list[Any], other: list[Any], kind: str, values: str | None, tmp_path: Path
) -> None:
    for i, part in enumerate((cells, other)):
        frame_of(part).write_parquet(tmp_path / f"{i}.parquet")
    decided = []
    for order in (["0", "1"], ["1", "0"]):
        inspection = inspect([tmp_path / f"{name}.parquet" for name in order])
        decided.append((report_of(inspection).kind, getattr(inspection.schema.fields[-1], "values", None)))
    assert decided == [(kind, values)] * 2


@pytest.mark.parametrize("written", ["text", "number", "spaced"])
def test_the_form_of_moments_is_that_of_most_cells_that_are_there(written: str, tmp_path: Path) -> None:
    for numbers, form in (
        ([20141021, 20141130], "yyyymmdd"),
        ([14102100, 14102123], "yymmddhh"),
        ([1_700_000_000, 1], "seconds"),
        ([1_700_000_000_000, 1], "milliseconds"),
        ([1_700_000_000_000_000, 1], "microseconds"),
        ([1_700_000_000_000_000_000, 1], "nanoseconds"),
    ):
        cells = [*numbers, None, None, None, None]
        frame = frame_of(
            cells if written == "number" else [c and f"{c} " if written == "spaced" else c and str(c) for c in cells]
        )
        inspection = inspect(frame if written == "number" else as_csv(tmp_path, frame), datetime=("x",))
        assert inspection.schema.fields[1] == Datetime(name="x", form=form)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("cells", "row", "form"),
    [
        (["2026-01-31", "2026-02-01", "20260131"], 3, "an ISO date or time"),
        (["20141021", "20141099"], 2, "a date as 20260131"),  # no day is the 99th
        (["1700000000", "soon", "1700000001"], 2, "seconds since 1970"),
        (["31.12.2019", "30.12.2019"], 1, "an ISO date or time"),
    ],
)
def test_what_is_no_moment_is_refused_by_inspection_with_the_sentence_of_training(
    cells: list[str], row: int, form: str, tmp_path: Path
) -> None:
    frame = frame_of(["NA", *cells])
    for source in (as_csv(tmp_path, frame), frame):
        with pytest.raises(DataError, match=f"here {form}") as caught:
            inspect(source, datetime=("x",))
        assert (caught.value.column, caught.value.row, caught.value.value) == ("x", row + 1, cells[row - 1])
    assert inspect(as_csv(tmp_path, frame), datetime=("x",), limit=1).rows == 1, "what is not read is not judged"


def test_texts_are_parted_by_what_stands_in_most_cells(tmp_path: Path) -> None:
    for cells, separator in (
        (["a|b", "a", None], "|"),
        (["a;b|c", "a;b"], ";"),
        (["a b, c", "a,b"], ","),
        (["a b", "c"], " "),
        (["a", "b"], "|"),
    ):
        field = inspect(as_csv(tmp_path, frame_of(cells)), bag=("x",)).schema.fields[1]
        assert isinstance(field, Bag)
        assert (field.separator, field.values, field.weighted, field.pooling) == (separator, "text", False, "mean")
    weighted = inspect(as_csv(tmp_path, frame_of(["7:1,8:.5", "9:1"])), bag=("x",), weighted=("x",)).schema.fields[1]
    assert weighted == Bag(name="x", separator=",", values="integer", weighted=True, pooling="sum", max_length=None)


def test_options_reach_their_field(tmp_path: Path) -> None:
    frame = frame_of(["1 2", "3 4"]).with_columns(v=pl.Series(["[1,2,3]", "[4,5,6]"]), u=pl.Series(["1", "2"]))
    fields = inspect(
        as_csv(tmp_path, frame), bag=("x",), dense=("v",), project=("v",), hash={"x": 7}, max_length={"x": 3},
        pooling={"x": "sum"}, ordered=("x",), share={"u": "x"}, categorical=("u",),
    ).schema.fields  # fmt: skip
    assert fields[1:] == (
        Bag(name="x", values="integer", buckets=7, separator=" ", ordered=True, max_length=3, pooling="sum"),
        Dense(name="v", width=3, projected=True),
        Categorical(name="u", values="integer", shares="x"),
    )


def test_fields_that_share_a_vocabulary_are_texts_where_one_is() -> None:
    frame = frame_of(["07", "x"], "item").with_columns(seen=pl.Series([[1, 2], [3]]))
    fields = inspect(frame, share={"seen": "item"}).schema.fields
    assert [getattr(f, "values", None) for f in fields] == ["text", "text", "text"]


@pytest.mark.parametrize("part", ["hour", "weekday", "age"])
def test_a_column_named_as_a_part_of_a_moment_is_refused(part: str) -> None:
    frame = pl.DataFrame({"ts": [dt.datetime(2026, 1, 1), dt.datetime(2026, 1, 2)], f"ts.{part}": [0.5, 1.5]})
    with pytest.raises(DataError, match=f"'ts.{part}' would be one of 'ts' and is a column of the frame too") as caught:
        inspect(frame)
    assert (caught.value.file, caught.value.column) == ("the frame", "ts")
    assert "\n" not in str(caught.value)
    for ways_out in ({"ignore": (f"ts.{part}",)}, {"ignore": ("ts",)}, {"categorical": ("ts",)}):
        assert len(inspect(frame, **ways_out).schema.fields) == 2 - len(ways_out.get("ignore", ()))


def test_a_time_is_of_one_kind_over_all_chunks_and_shards(tmp_path: Path) -> None:
    days = [f"2026-01-{day:02}" for day in range(1, 29)]
    frame = frame_of((days * 2500)[:70_000], name="at")
    inspection = inspect(frame, time="at")
    assert inspection.times is not None
    late = pl.int_range(pl.len()) >= 65_536
    mixed = frame.with_columns(pl.when(late).then(pl.lit("20260102")).otherwise("at").alias("at"))
    with pytest.raises(DataError, match=r"an ISO date or time .*'20260102' in row 65537 of the frame") as caught:
        inspect(mixed, time="at")
    assert (caught.value.column, caught.value.row, caught.value.value) == ("at", 65_537, "20260102")
    first, second = frame_of([dt.datetime(2026, 1, 1)] * 2, name="at"), frame_of([20260102] * 2, name="at")
    first.write_parquet(tmp_path / "0.parquet")
    second.write_parquet(tmp_path / "1.parquet")
    for order, kind in (("01", "an ISO date"), ("10", "a date as 20260131")):
        shards = [tmp_path / f"{name}.parquet" for name in order]
        with pytest.raises(DataError, match=f"a column of time holds moments of .*, here {kind}") as caught:
            inspect(shards, time="at")
        assert (caught.value.file, caught.value.row) == (f"{order[1]}.parquet", 1)


def test_nanoseconds_are_moments_and_what_lies_far_outside_is_none() -> None:
    assert isinstance(inspect(frame_of([dt.date(9999, 12, 31)] * 2)).schema.fields[1], Datetime)
    far = frame_of([365 * 400_000, 0], dtype=pl.Int32).with_columns(pl.col("x").cast(pl.Date))
    assert report_of(inspect(far)).distinct == 2, "though no calendar holds it"
