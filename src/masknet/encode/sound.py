"""An encoding that was read, held against what every learned one keeps: no id, slot or number out of its range."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from masknet.encode.fields import (
    BagEncoding,
    CategoricalEncoding,
    DatetimeEncoding,
    Encoding,
    KnotEncoding,
    NumericEncoding,
)
from masknet.encode.vocabulary import Buckets, Vocabulary
from masknet.own_files import UnsoundError, is_count, is_finite

__all__ = ["require_sound"]

_MOST_CELLS = 1 << 24
"""Slots, and columns of vectors, that a row may have."""

_MOST_DAYS = 4_000_000
"""Days since 1970, or before, that lie in the years 1 to 9999."""


def require_sound(encodings: tuple[Encoding, ...], num_ids: object) -> None:
    """Refuse what `EncoderLearner` never makes.

    Raises:
        UnsoundError: with the field.
    """
    if not is_count(num_ids, least=1):
        raise UnsoundError(f"num_ids is {num_ids!r}")
    for encoding in encodings:
        name = encoding.field.name
        for fault in _faults(encoding, num_ids):
            raise UnsoundError(f"field '{name}': {fault}")
    cells = sum(space.slots + space.width for encoding in encodings for space in encoding.spaces)
    if cells > _MOST_CELLS:
        raise UnsoundError(f"a row has {cells:,} slots and columns")


def _faults(encoding: Encoding, num_ids: int) -> Iterator[str]:
    if isinstance(encoding, DatetimeEncoding):
        if not (is_finite(encoding.latest) and abs(encoding.latest) <= _MOST_DAYS):
            yield f"its latest day is {encoding.latest!r}"
        for part in (encoding.hour, encoding.weekday, encoding.age):
            yield from _faults(part, num_ids)
        return
    if not isinstance(encoding, CategoricalEncoding | BagEncoding | NumericEncoding | KnotEncoding):
        return  # a vector, of which nothing is learned
    for name, count in vars(encoding.counts).items():
        if not is_count(count, most=2**63 - 1):
            yield f"its count of {name} is {count!r}"
    if isinstance(encoding, CategoricalEncoding | BagEncoding):
        yield from _no_ids((encoding.missing, encoding.unseen), num_ids)
        yield from _faults_of_values(encoding.vocabulary, num_ids)
        if isinstance(encoding, BagEncoding) and not is_count(encoding.slots, least=1, most=_MOST_CELLS):
            yield f"it has {encoding.slots!r} slots"
        return
    yield from _no_ids(() if encoding.missing is None else (encoding.missing,), num_ids)
    if isinstance(encoding, KnotEncoding):
        yield from _no_ids(encoding.ids, num_ids)
        at = encoding.knots.at
        if not (len(at) == len(encoding.ids) > 0 and all(map(is_finite, at))):
            yield "it has an id a knot, and its knots are numbers"
        if any(low >= high for low, high in pairwise(at)):
            yield "its knots do not rise"
    else:
        yield from _no_ids((encoding.value,), num_ids)
        scale = encoding.scale
        if not (all(map(is_finite, (scale.low, scale.high, scale.mean, scale.std))) and scale.low <= scale.high):
            yield "its scale is no range of numbers"
        if scale.std <= 0:
            yield f"its standard deviation is {scale.std!r}"


def _no_ids(ids: tuple[object, ...], num_ids: int) -> Iterator[str]:
    for own in ids:
        if not is_count(own, least=1, most=num_ids - 1):
            yield f"{own!r} is none of the ids 1 to {num_ids - 1}"


def _faults_of_values(vocabulary: object, num_ids: int) -> Iterator[str]:
    if isinstance(vocabulary, Buckets):
        if not is_count(len(vocabulary), least=1):
            yield f"it has {len(vocabulary)!r} buckets"
        yield from _no_ids((vocabulary.first_id, vocabulary.first_id + len(vocabulary) - 1), num_ids)
    elif isinstance(vocabulary, Vocabulary) and len(vocabulary):
        ids = vocabulary.id_array
        yield from _no_ids((int(ids.min()), int(ids.max())), num_ids)
        if len(np.unique(ids)) < len(ids):
            yield "an id of its vocabulary stands twice"
        if vocabulary.values.n_unique() < len(vocabulary):
            yield "a value of its vocabulary stands twice"
