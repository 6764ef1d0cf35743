"""A made click log like that of Criteo, of any number of rows: 13 numbers, 26 categories, and a rule that decides.

    python benchmarks/made_log.py log.csv log.parquet --rows 1000000 --vocabulary 100000

It comes in chunks, each a function of the seed and of its number alone, so that no number of rows takes memory. A
category is a rank, drawn by a power law, and stands in the log as 8 hexadecimal digits; numbers are skewed counts; some
of both are missing. What a rank does to a click is drawn by its key: there is no table of it, however many there are.
The log-odds of a click are the sum of an effect a cell, of products of two fields' vectors, and of gates: the product
of two effects, passed or not by a third one. So additive models learn a part, products more, and masks all of it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet
from numpy.typing import NDArray

from cells import shift_to_rate
from masknet.draws import keyed_uniform

LABEL = "label"
NUMERIC = tuple(f"I{i}" for i in range(1, 14))
CATEGORICAL = tuple(f"C{i}" for i in range(1, 27))
CHUNK = 100_000
_RATE = 0.25
_ENOUGH = 10_000
"""Rows that tell the rate."""

_SMALLEST = 3
_FLATNESS = 0.85
"""The exponent of the power law: rank r is drawn about r to the power of minus this."""

_OF_EFFECT, _OF_VECTOR, _OF_GATE, _OF_TEXT = 1, 2, 3, 4
_WELL_KNOWN = 18
"""The first so many fields have few categories; those of the others are rare, and matter less."""

_PAIRED = (0, 3, 5, 8, 10, 12, 14, 16)
"""The fields whose vectors are multiplied; the commonest fields, so that few rows teach them."""
_GATES = ((1, 4, 6), (2, 9, 7), (11, 5, 3), (13, 8, 15), (10, 12, 4))
_WIDTH = 4


class MadeLog:
    """The log of a vocabulary and a seed.

    >>> log = MadeLog(vocabulary=5000, seed=0)
    >>> frame = next(log.chunks(1000))
    >>> frame.shape, sum(log.sizes)
    ((1000, 40), 5000)

    Args:
        vocabulary: how many categories there are in all fields together, at least 1,000; few rows do not show all.
        seed: of the draws; the rule is the same for all seeds.
    """

    def __init__(self, *, vocabulary: int, seed: int = 0) -> None:
        self.seed = seed
        self.sizes = _sizes(vocabulary)

    def chunks(self, rows: int, *, first: int = 0) -> Iterator[pl.DataFrame]:
        """The rows from those of chunk `first` on."""
        for number in range(-(-rows // CHUNK)):
            frame, logit = self._chunk(first + number, min(CHUNK, rows - number * CHUNK))
            clicks = 1 / (1 + np.exp(-logit - self._shift))
            drawn = np.random.default_rng([self.seed, first + number, 1]).random(len(logit)) < clicks
            yield frame.select(pl.Series(LABEL, drawn.astype(np.int8)), pl.all())

    @cached_property
    def _shift(self) -> float:
        """What moves all log-odds so that a quarter of the rows are clicks."""
        return shift_to_rate(self._chunk(0, _ENOUGH)[1], _RATE)

    def _chunk(self, number: int, rows: int) -> tuple[pl.DataFrame, NDArray[np.float64]]:
        draws = np.random.default_rng([self.seed, number, 0])
        columns: dict[str, pl.Series] = {}
        numbers = []
        for index, name in enumerate(NUMERIC):
            normal = draws.normal(size=rows)
            count = np.floor(np.exp(1 + index / 4 + (0.8 + index / 20) * normal))
            missing = draws.random(rows) < 0.05 * (index % 5)
            numbers.append(np.where(missing, 0, normal))
            columns[name] = pl.Series(name, count).set(pl.Series(missing), None)
        ranks = []
        for index, name in enumerate(CATEGORICAL):
            rank = _power_law(draws.random(rows), self.sizes[index])
            rank[draws.random(rows) < 0.04 * (index % 4)] = -1
            ranks.append(rank)
            columns[name] = pl.Series(name, _texts(index, rank))
        return pl.DataFrame(columns), _logit(numbers, ranks)


def _sizes(vocabulary: int) -> tuple[int, ...]:
    """From 3 categories in the first field to the most in the last one, each so many times those of the one before."""
    low, high = 1.0, float(vocabulary)
    for _ in range(100):
        growth = (low + high) / 2
        total = sum(_SMALLEST * growth**i for i in range(len(CATEGORICAL)))
        low, high = (growth, high) if total < vocabulary else (low, growth)
    sizes = [int(_SMALLEST * low**i) for i in range(len(CATEGORICAL))]
    return (*sizes[:-1], vocabulary - sum(sizes[:-1]))


def _power_law(uniform: NDArray[np.float64], size: int) -> NDArray[np.int64]:
    """Ranks below a size, by the inverse of the continuous law: no table of a size."""
    exponent = 1 - _FLATNESS
    place = (1 + uniform * ((size + 1) ** exponent - 1)) ** (1 / exponent)
    return np.minimum(place.astype(np.int64) - 1, size - 1)


def _texts(field: int, ranks: NDArray[np.int64]) -> list[str | None]:
    found, place = np.unique(ranks, return_inverse=True)
    codes = (keyed_uniform(_OF_TEXT, field, found) * 2**32).astype(np.int64)
    texts = np.array([f"{code:08x}" for code in codes.tolist()], dtype=object)
    texts[found < 0] = None
    return list(texts[place])


def _effect(kind: int, field: int, ranks: NDArray[np.int64], entry: int = 0) -> NDArray[np.float64]:
    """What a rank does, uniform with variance 1; a missing one does nothing."""
    return np.where(ranks < 0, 0, (keyed_uniform(kind, field, entry, ranks) - 0.5) * np.sqrt(12))


def _logit(numbers: Sequence[NDArray[np.float64]], ranks: Sequence[NDArray[np.int64]]) -> NDArray[np.float64]:
    logit = sum(0.3 * np.tanh(number) for number in numbers)
    for field, rank in enumerate(ranks):
        logit += (0.2 if field < _WELL_KNOWN else 0.08) * _effect(_OF_EFFECT, field, rank)
    for entry in range(_WIDTH):
        vectors = [_effect(_OF_VECTOR, field, ranks[field], entry) for field in _PAIRED]
        logit += 0.05 * (sum(vectors) ** 2 - sum(vector**2 for vector in vectors))
    for number, (left, right, gate) in enumerate(_GATES):
        passed = np.tanh(1.5 * _effect(_OF_GATE, gate, ranks[gate], number) + numbers[number])
        product = _effect(_OF_GATE, left, ranks[left], number) * _effect(_OF_GATE, right, ranks[right], number)
        logit += 0.4 * product * passed
    return np.asarray(logit)


def write(log: MadeLog, rows: int, *paths: Path, first: int = 0) -> None:
    """Write the rows from those of chunk `first` on as CSV or Parquet, by the ending of each path."""
    with ExitStack() as files:
        sinks = [_sink(files, path) for path in paths]
        for frame in log.chunks(rows, first=first):
            for sink in sinks:
                sink(frame)


def _sink(files: ExitStack, path: Path) -> Callable[[pl.DataFrame], None]:
    if path.suffix == ".csv":
        file = files.enter_context(path.open("wb"))
        return lambda frame: frame.write_csv(file, include_header=file.tell() == 0)
    numbers, texts = dict.fromkeys(NUMERIC, pa.float64()), dict.fromkeys(CATEGORICAL, pa.large_string())
    schema = pa.schema({LABEL: pa.int8(), **numbers, **texts})
    writer = files.enter_context(pyarrow.parquet.ParquetWriter(path, schema))
    return lambda frame: writer.write_table(frame.to_arrow().cast(schema))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, nargs="+", help="files that end in .csv or .parquet")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--vocabulary", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--first", type=int, default=0, help=f"the first chunk of {CHUNK:,} rows; others are other rows"
    )
    given = parser.parse_args()
    write(MadeLog(vocabulary=given.vocabulary, seed=given.seed), given.rows, *given.out, first=given.first)


if __name__ == "__main__":
    main()
