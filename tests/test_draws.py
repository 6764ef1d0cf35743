from __future__ import annotations

import numpy as np

from masknet.draws import keyed_uniform


def test_draws_are_uniform_and_depend_on_their_key_alone() -> None:
    rows = np.arange(100_000)
    draws = keyed_uniform(0, 1, rows)
    assert draws.min() >= 0
    assert draws.max() < 1
    counts, _ = np.histogram(draws, bins=20, range=(0, 1))
    assert ((counts - 5000) ** 2 / 5000).sum() < 50  # chi-square, 19 degrees of freedom
    np.testing.assert_array_equal(keyed_uniform(0, 1, rows[500:])[:10], draws[500:510])


def test_neighbouring_keys_are_not_alike() -> None:
    rows = np.arange(10_000)
    streams = [keyed_uniform(0, 0, rows), keyed_uniform(1, 0, rows), keyed_uniform(0, 1, rows), keyed_uniform(0, rows)]
    correlations = np.corrcoef([*streams, np.roll(streams[0], 1)]) - np.eye(5)
    assert np.abs(correlations).max() < 0.05


def test_a_seed_may_be_as_large_as_63_bits() -> None:
    assert keyed_uniform(2**63 - 1, 0) != keyed_uniform(2**63 - 2, 0)
