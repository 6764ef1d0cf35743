"""What is learned of a stream takes memory for its values, not for the chunks that they came in."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from masknet.encode.facts import _Distinct
from masknet.encode.vocabulary import ValueCounter

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="anonymous memory is read from /proc")

ROWS = 65_536
CODES = np.arange(ROWS, dtype=np.int32) % 3


def anonymous_mb() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("RssAnon:")) / 1024


def long_texts() -> pl.Series:
    texts = pa.DictionaryArray.from_arrays(pa.array(CODES), pa.array([letter * 100 for letter in "abc"]))
    return pl.Series("v", texts.cast(pa.string()))  # 6.5 MB of text, none of it shared with another chunk


def numbers() -> pl.Series:
    return pl.Series("v", CODES + 0.5)  # 0.5 MB


@pytest.mark.parametrize(
    ("learner", "chunk", "chunks"),
    [(ValueCounter, long_texts, 80), (_Distinct, long_texts, 80), (_Distinct, numbers, 1000)],
    ids=["counts", "distinct texts", "distinct numbers"],
)
def test_few_values_of_many_chunks_take_little(
    learner: type[ValueCounter | _Distinct], chunk: Callable[[], pl.Series], chunks: int
) -> None:
    kept = learner()
    for _ in range(3):
        kept.add(chunk())
    before = anonymous_mb()
    for _ in range(chunks):
        kept.add(chunk())
    assert anonymous_mb() - before < 150, "all chunks are about 500"
