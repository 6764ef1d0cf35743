"""The hash is that of scikit-learn, text by text, however the texts lie in memory."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from sklearn.utils import murmurhash3_32

from masknet.encode.murmur import murmur3
from masknet.encode.vocabulary import Buckets


def slowly(texts: list[str | None]) -> list[int]:
    return [murmurhash3_32(text or "", seed=0, positive=True) for text in texts]


@pytest.mark.parametrize("letter", ["a", "é", "日", "🙂", "\0", "\x7f"])
def test_every_length(letter: str) -> None:
    texts = [letter * n for n in range(41)] + [f"{letter * n}x" for n in range(41)]
    found = murmur3(pl.Series(texts))
    assert found.dtype == np.uint32
    assert found.tolist() == slowly(texts)
    assert len(set(slowly(texts))) == 82


def test_nulls_slices_and_chunks() -> None:
    texts = [None, "ab", "", "a long text of several words", None, "é", "xyz"] * 9
    whole = pl.Series(texts)
    assert murmur3(whole).tolist() == slowly(texts)
    assert murmur3(whole.slice(3, 11)).tolist() == slowly(texts[3:14])
    assert murmur3(whole.gather_every(2)).tolist() == slowly(texts[::2])
    pieces = pl.concat([whole.slice(0, 5), whole.slice(5)], rechunk=False)
    assert pieces.n_chunks() == 2
    assert murmur3(pieces).tolist() == slowly(texts)
    assert murmur3(whole.filter(pl.Series([False] * 63))).tolist() == []
    assert murmur3(pl.Series([None, None], dtype=pl.String)).tolist() == [0, 0]


def test_buckets_are_the_hash_modulo_their_number() -> None:
    texts = [f"u{i}" for i in range(500)]
    for buckets in (1, 7, 2**31 - 2**20):
        ids = Buckets(buckets, first_id=100).ids(pl.Series([*texts, None]), missing=1, unseen=2)
        assert ids.tolist() == [100 + h % buckets for h in slowly(texts)] + [1]  # type: ignore[arg-type]
