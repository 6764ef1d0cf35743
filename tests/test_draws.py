from __future__ import annotations

import math

import numpy as np
import pytest

from masknet.draws import Draws, keyed_number, keyed_uniform


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


def test_draws_of_further_keys_are_those_of_all_keys() -> None:
    rows = np.arange(1000)
    of_rows = Draws(5, 2, rows)
    np.testing.assert_array_equal(of_rows.of(7).of(-3).uniform(), keyed_uniform(5, 2, rows, 7, -3))
    np.testing.assert_array_equal(of_rows.uniform(), keyed_uniform(5, 2, rows))
    np.testing.assert_array_equal(of_rows.at(rows[::-2]).of(9).uniform(), keyed_uniform(5, 2, rows[::-2], 9))


@pytest.mark.parametrize("share", [-1.0, 0.0, 2.0**-53, 0.01, 0.3, 0.5, 1 - 2.0**-53, 1.0, 2.0])
def test_what_is_below_a_share_is_told_to_the_last_bit(share: float) -> None:
    draws = Draws(1, np.arange(5000))
    np.testing.assert_array_equal(draws.below(share), draws.uniform() < share)


def test_a_draw_is_not_below_itself() -> None:
    draws = Draws(1, np.arange(200))
    for at, drawn in enumerate(draws.uniform()):
        assert not draws.below(drawn)[at]
        assert draws.below(math.nextafter(drawn, 1))[at]


@pytest.mark.parametrize("keys", [(0,), (7, 1), (2**63 - 1, 5, 2**40), (3, -2)])
def test_a_number_is_the_uniform_draw_of_its_keys(keys: tuple[int, ...]) -> None:
    assert keyed_number(*keys) == int(keyed_uniform(*keys)[0] * 2**53)
