"""MurmurHash3_x86_32 (Appleby, public domain), of many texts at once.

The same numbers as scikit-learn's `murmurhash3_32` and onnxruntime's `com.microsoft.MurmurHash3`, both with seed 0 and
read as unsigned.
"""

from __future__ import annotations

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

__all__ = ["murmur3"]

_C1, _C2 = np.uint32(0xCC9E2D51), np.uint32(0x1B873593)


def murmur3(text: pl.Series) -> NDArray[np.uint32]:
    """The hash of the UTF-8 bytes of each text, with seed 0; that of the empty text where it is null.

    >>> murmur3(pl.Series(["hello", "", None])).tolist()
    [613153351, 0, 0]
    """
    # Arrow's plain layout: the bytes of all texts one after the other, and where each begins.
    array = text.fill_null("").to_arrow(compat_level=pl.CompatLevel.oldest())
    array = pa.concat_arrays(array.chunks) if isinstance(array, pa.ChunkedArray) else array
    if array.type != pa.large_string():  # a cast, even to the same type, imports pyarrow.compute, which takes long
        array = array.cast(pa.large_string())
    _, ends, data = array.buffers()
    offsets = np.frombuffer(ends, dtype=np.int64, count=len(array) + 1, offset=8 * array.offset)
    # Padded, so that the last word of the last text can be read whole.
    content = np.concatenate([np.frombuffer(data or b"", dtype=np.uint8), np.zeros(4, dtype=np.uint8)])
    starts, lengths = offsets[:-1], np.diff(offsets)
    state = np.zeros(len(array), dtype=np.uint32)
    with np.errstate(over="ignore"):  # the arithmetic is modulo 2^32 by intent
        words = lengths // 4
        # The texts that still have a word: ever fewer, longest first.
        order = np.argsort(-words, kind="stable")
        left = np.searchsorted(-words[order], -np.arange(int(words.max(initial=0))), side="left")
        for index, count in enumerate(left.tolist()):
            rows = order[:count]
            state[rows] = _rotate(state[rows] ^ _scrambled(_word(content, starts[rows] + 4 * index)), 13) * np.uint32(
                5
            ) + np.uint32(0xE6546B64)
        tail = lengths % 4
        rest = _word(content, starts + 4 * words) & ((np.uint32(1) << (8 * tail).astype(np.uint32)) - np.uint32(1))
        state ^= np.where(tail > 0, _scrambled(rest), np.uint32(0))
        state ^= lengths.astype(np.uint32)
        for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
            state = (state ^ (state >> np.uint32(shift))) * np.uint32(factor)
        return state ^ (state >> np.uint32(16))


def _word(content: NDArray[np.uint8], at: NDArray[np.int64]) -> NDArray[np.uint32]:
    """Four bytes from each place, the first the lowest."""
    word = content[at].astype(np.uint32)
    for i in (1, 2, 3):
        word |= content[at + i].astype(np.uint32) << np.uint32(8 * i)
    return word


def _scrambled(word: NDArray[np.uint32]) -> NDArray[np.uint32]:
    return _rotate(word * _C1, 15) * _C2


def _rotate(x: NDArray[np.uint32], by: int) -> NDArray[np.uint32]:
    return (x << np.uint32(by)) | (x >> np.uint32(32 - by))
