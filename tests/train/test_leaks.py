"""Fields that tell a label by themselves, whatever their kind and whichever label."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from masknet.encode import Declared, EncodingPlan, prepare
from masknet.progress import LogProgress
from masknet.table import open_table
from masknet.train.leaks import leaks

ROWS = 600
CLICKS = (np.random.default_rng(0).random(ROWS) < 0.4).astype(np.int64)
NOISE = np.random.default_rng(1)


def told(frame: pl.DataFrame, cache: Path, **settings: Any) -> list[str]:
    declared = Declared(**{"label": "click"} | settings.pop("declared", {}))
    return list(leaks(prepare(open_table(frame), None, EncodingPlan(declared, **settings), LogProgress(), cache=cache)))


@pytest.mark.parametrize("encoding", ["linear", "knots"])
@pytest.mark.parametrize(
    "sold",
    [
        [f"v{click}" for click in CLICKS],
        (CLICKS + NOISE.random(ROWS) / 2).tolist(),
        [float(i) + 0.5 if click else None for i, click in enumerate(CLICKS)],
        [[f"v{click}", "x"] for click in CLICKS],
    ],
    ids=["category", "number", "missing number", "bag"],
)
def test_a_leak_of_any_kind_is_told(sold: list[Any], encoding: str, tmp_path: Path) -> None:
    frame = pl.DataFrame({"click": CLICKS, "sold": sold, "user": NOISE.integers(0, 9, ROWS), "x": NOISE.random(ROWS)})
    (sentence,) = told(frame, tmp_path, numeric_encoding=encoding)
    assert sentence.startswith("column 'sold' alone tells the label (AUC ")
    assert sentence.endswith("leave it out with --ignore sold")


def test_of_several_labels_the_one_that_is_told_is_named(tmp_path: Path) -> None:
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
    (sentence,) = told(frame, tmp_path, declared={"label": ("click", "like"), "dense": ("vector",)})
    assert sentence.startswith("column 'liked' alone tells the label 'like' (AUC 1.0")
