from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from masknet.compare.rows import Seen, held_out
from masknet.config import RunConfig
from masknet.errors import DataError
from masknet.progress import LogProgress
from masknet.table import Table, open_table


def column(table: Table, name: str) -> list[int]:
    return [value for chunk in table.chunks([name]) for value in chunk.frame[name]]


def log(rows: int, *, clicks: int) -> pl.DataFrame:
    return pl.DataFrame({"click": [int(i < clicks) for i in range(rows)], "at": range(rows), "x": range(rows)})


def test_a_random_tenth_of_each_class_is_held_out_the_same_each_time() -> None:
    table, config = open_table(log(400, clicks=100)), RunConfig(label="click")
    rest, test = held_out(table, config, LogProgress())
    assert sum(column(test, "click")) == 10
    assert len(column(test, "x")) == 40
    assert sorted(column(rest, "x") + column(test, "x")) == list(range(400))
    assert column(held_out(table, config, LogProgress())[1], "x") == column(test, "x")


def test_the_last_tenth_by_time_is_held_out() -> None:
    frame = log(400, clicks=100)
    frame = frame.with_columns(at=(399 - pl.col("at")) * 60 + 1_700_000_000, click=pl.col("x") % 2)
    _, test = held_out(open_table(frame), RunConfig(label="click", time="at"), LogProgress())
    assert column(test, "x") == list(range(40))


def test_of_the_first_rows_alone_a_tenth_is_held_out() -> None:
    rest, test = held_out(open_table(log(400, clicks=20)), RunConfig(label="click", limit_rows=50), LogProgress())
    assert sorted(column(rest, "x") + column(test, "x")) == list(range(50))


def test_one_row_cannot_be_parted() -> None:
    with pytest.raises(DataError):
        held_out(open_table(log(1, clicks=0)), RunConfig(label="click"), LogProgress())


def test_rows_that_are_alike_by_chance_are_no_sign_of_memory() -> None:
    rng = np.random.default_rng(0)
    few = rng.integers(50, size=(2, 1000)).astype(np.uint64)  # of 50 kinds, all of which come again and again
    chance = Seen.of(*few)
    assert (chance.rows, chance.share, chance.plain) == (1000, 1.0, False)
    known, new = np.arange(1000, dtype=np.uint64), np.arange(900, 1100, dtype=np.uint64)
    seen = Seen.of(known, new)
    assert (seen.rows, seen.share, seen.twice, seen.plain) == (100, 0.5, 0.0, True)
    assert not Seen.of(known, known[:10]).plain
