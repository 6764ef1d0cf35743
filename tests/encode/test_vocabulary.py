from __future__ import annotations

from collections import Counter

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from masknet.encode.vocabulary import ValueCounter, Vocabulary

texts = st.text(st.sampled_from("ab\0é🙂"), max_size=3)


@given(st.lists(st.lists(texts | st.none(), max_size=8), max_size=5))
def test_counts_are_exact_and_sorted(chunks: list[list[str | None]]) -> None:
    counter = ValueCounter()
    for chunk in chunks:
        counter.add(pl.Series(chunk, dtype=pl.String))
    exact = Counter(text for chunk in chunks for text in chunk if text is not None)
    assert counter.counts().rows() == sorted(exact.items(), key=lambda pair: (-pair[1], pair[0].encode()))


def test_counts_outlive_many_merges() -> None:
    counter = ValueCounter()
    for start in range(0, 120_000, 30_000):
        counter.add(pl.Series(range(start, start + 60_000)).cast(pl.String))
    counts = counter.counts()
    assert len(counts) == 150_000
    assert Counter(counts["count"]) == {1: 60_000, 2: 90_000}


def test_counts_are_sorted_where_the_last_chunk_was_merged_at_once() -> None:
    counter = ValueCounter()
    counter.add(pl.Series(range(120_000)).cast(pl.String))
    assert counter.counts()["value"].is_sorted()


@given(st.dictionaries(texts, st.integers(3, 2**31 - 1), max_size=8), st.lists(texts | st.none(), max_size=12))
def test_a_look_up_finds_ids_wherever_they_are(known: dict[str, int], asked: list[str | None]) -> None:
    vocabulary = Vocabulary(pl.Series(list(known), dtype=pl.String), np.array(list(known.values()), dtype=np.int32))
    ids = vocabulary.ids(pl.Series(asked, dtype=pl.String), missing=1, unseen=2)
    assert ids.dtype == np.int32
    assert ids.tolist() == [1 if text is None else known.get(text, 2) for text in asked]


def test_an_empty_vocabulary_knows_nothing() -> None:
    vocabulary = Vocabulary(pl.Series([], dtype=pl.String), np.empty(0, dtype=np.int32))
    assert len(vocabulary) == 0
    assert vocabulary.ids(pl.Series(["a", None]), missing=5, unseen=6).tolist() == [6, 5]


@pytest.mark.parametrize("size", [255, 256, 65_536])
def test_a_large_vocabulary_keeps_every_id(size: int) -> None:
    names = pl.Series(range(size)).cast(pl.String)
    ids = np.arange(size, dtype=np.int32)[::-1] + 3
    asked = pl.concat([names, pl.Series([str(size), None])])
    assert Vocabulary(names, ids).ids(asked, missing=1, unseen=2).tolist() == [*ids.tolist(), 2, 1]


def test_texts_of_one_hash_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two values that have one hash are hashed otherwise; a text that is no value may have the hash of one."""
    of_seed = {"a": (7, 7), "b": (7, 9), "like a": (7, 7), None: (0, 0)}
    monkeypatch.setattr(
        pl.Series, "hash", lambda self, seed=0: pl.Series([of_seed[t][seed] for t in self.to_list()], dtype=pl.UInt64)
    )
    vocabulary = Vocabulary(pl.Series(["a", "b"]), np.array([5, 6], dtype=np.int32))
    found = vocabulary.ids(pl.Series(["b", "like a", None, "a"] * 3), missing=1, unseen=2)
    assert found.tolist() == [6, 2, 1, 5] * 3
