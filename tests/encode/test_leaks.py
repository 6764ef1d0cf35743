"""Fields that tell a label by themselves, whatever their kind and whichever label."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl
import pytest

from masknet.encode import Declared, inspect_table
from masknet.encode.coded import Coded
from masknet.encode.leaks import LeakSearch
from masknet.progress import LogProgress
from masknet.table import open_table

ROWS = 600
CLICKS = (np.random.default_rng(0).random(ROWS) < 0.4).astype(np.int64)
NOISE = np.random.default_rng(1)


def told(frame: pl.DataFrame, **declared: Any) -> list[str]:
    inspection = inspect_table(open_table(frame), Declared(**{"label": "click"} | declared), LogProgress())
    return [warning for warning in inspection.warnings if "alone tells" in warning]


LEAKS: dict[str, list[Any]] = {
    "category": [f"v{click}" for click in CLICKS],
    "number": (CLICKS + NOISE.random(ROWS) / 2).tolist(),
    "number as text": [str(x) for x in CLICKS + NOISE.random(ROWS) / 2],
    "dwell seconds": [round(1 + NOISE.random() * 60, 2) if click else 0.0 for click in CLICKS],
    "falling number": (-100.0 * CLICKS + NOISE.random(ROWS)).tolist(),
    "middle": [float(click) if click else 2.0 * (i % 2) for i, click in enumerate(CLICKS)],
    "a range": [50 + NOISE.random() if click else NOISE.random() + 100 * (i % 2) for i, click in enumerate(CLICKS)],
    "missing number": [float(i) + 0.5 if click else None for i, click in enumerate(CLICKS)],
    "missing id": [f"order-{i}" if click else None for i, click in enumerate(CLICKS)],
    "missing moment": [dt.datetime(2026, 1, 1) + dt.timedelta(hours=i) if c else None for i, c in enumerate(CLICKS)],
    "late moment": [dt.date(2026, 1 + 6 * int(click), 1 + i % 28) for i, click in enumerate(CLICKS)],
    "moment as text": [f"2026-0{1 + 6 * click}-{1 + i % 28:02}" for i, click in enumerate(CLICKS)],
    "moment in UTC": [f"2026-0{1 + 6 * click}-{1 + i % 28:02} 12:00:00 UTC" for i, click in enumerate(CLICKS)],
    "decimal": [Decimal(f"{click}.{i % 9}") for i, click in enumerate(CLICKS)],
    "boolean": [bool(click) for click in CLICKS],
    "bag": [[f"v{click}", "x"] for click in CLICKS],
    "bag that is empty": [["x", "y"] if click else [] for click in CLICKS],
    "length of a bag": [["x"] * (1 + click) for click in CLICKS],
}


@pytest.mark.parametrize("kind", LEAKS)
def test_a_leak_of_any_kind_is_told(kind: str) -> None:
    frame = pl.DataFrame({"click": CLICKS, "sold": LEAKS[kind], "user": NOISE.integers(0, 9, ROWS)}, strict=False)
    (sentence,) = told(frame)
    assert sentence.startswith("column 'sold' alone tells the label (AUC ")
    assert sentence.endswith("leave it out with --ignore sold")


@pytest.mark.parametrize("declared", [{"categorical": ("sold",)}, {"hash": {"sold": 9}, "categorical": ("sold",)}])
def test_a_leak_is_told_whatever_the_column_is_declared(declared: dict[str, Any]) -> None:
    frame = pl.DataFrame({"click": CLICKS, "sold": LEAKS["dwell seconds"]})
    assert len(told(frame, **declared)) == 1
    assert len(told(pl.DataFrame({"click": CLICKS, "sold": [f"v{c}:2;x" for c in CLICKS]}), bag=("sold",),
                    weighted=("sold",))) == 1  # fmt: skip


def test_what_no_model_reads_is_no_leak() -> None:
    frame = pl.DataFrame({"click": CLICKS, "sold": LEAKS["category"], "user": NOISE.integers(0, 9, ROWS)})
    assert told(frame, ignore=("sold",)) == []
    assert told(frame, group="sold") == []


def test_a_label_that_nobody_knows_is_told_by_nothing() -> None:
    unknown = pl.Series([None] * ROWS, dtype=pl.Int64)
    frame = pl.DataFrame({"click": CLICKS, "like": unknown, "user": NOISE.integers(0, 9, ROWS)})
    assert told(frame, label=("click", "like")) == []


def test_chance_is_no_leak() -> None:
    """Of few clicks any of many columns may happen to come close, and an id of each row tells nothing."""
    few = np.zeros(2000, dtype=np.int64)
    few[:10] = 1
    noise = np.random.default_rng(5)
    columns: dict[str, Any] = {f"x{i}": noise.random(2000) for i in range(100)}
    columns |= {"sold": few, "id": [f"u{i}" for i in range(2000)], "user": noise.integers(0, 900, 2000)}
    assert told(pl.DataFrame({"click": few} | columns)) == []
    good = pl.DataFrame({"click": CLICKS, "score": CLICKS + noise.normal(0, 0.5, ROWS)})  # AUC .92
    assert told(good) == []


@pytest.mark.parametrize("order", ["sorted by label", "alternating"])
@pytest.mark.parametrize("estimated", [600, 5, 100_000])
def test_some_rows_are_enough_however_they_are_ordered(
    order: str, estimated: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that are kept are bounded, though a table has more rows than was thought."""
    monkeypatch.setattr("masknet.encode.leaks._ROWS", 400)
    rows = np.arange(60_000)
    clicks = (rows >= 40_000 if order == "sorted by label" else rows % 2 == 1).astype(np.uint8)[:, None]
    search = LeakSearch({"sold": None}, rows=estimated)
    for start in range(0, 60_000, 500):
        span = slice(start, start + 500)
        search.add({"sold": Coded(pl.Series("sold", clicks[span, 0]))}, clicks[span])
    assert sum(map(len, search._labels)) <= 1300
    (sentence,) = search.sentences(["sold"], ["click"])
    assert "AUC 1.0000" in sentence


def test_of_several_labels_the_one_that_is_told_is_named() -> None:
    """A label that is unknown in a row is neither a click nor none, and a label unknown everywhere tells nothing."""
    likes = [None if i % 3 == 0 else int(like) for i, like in enumerate(NOISE.integers(0, 2, ROWS))]
    frame = pl.DataFrame(
        {
            "click": CLICKS,
            "like": likes,
            "liked": [f"v{like}" if like is not None else f"v{i % 2}" for i, like in enumerate(likes)],
            "vector": [[float(i % 7), 1.0] for i in range(ROWS)],
        }
    )
    (sentence,) = told(frame, label=("click", "like"), dense=("vector",))
    assert sentence.startswith("column 'liked' alone tells the label 'like' (AUC 1.0")
