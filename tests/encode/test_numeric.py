from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from masknet.encode import numeric
from masknet.encode.numeric import MomentCounter, NumericScale


def fitted(*chunks: NDArray[np.float64] | list[float]) -> NumericScale:
    counter = MomentCounter()
    for chunk in chunks:
        counter.add(np.array(chunk, dtype=np.float64))
    return counter.scale()


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numeric, "_BLOCK", 7)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("offset", [0.0, 1e9])
def test_streamed_moments_are_those_of_the_whole(offset: float) -> None:
    x = np.random.default_rng(0).normal(size=500) + offset
    scale = fitted(*np.array_split(x, 13))
    assert (scale.low, scale.high, scale.bend) == (x.min(), x.max(), "none")
    assert scale.mean == pytest.approx(x.mean(), rel=1e-12)
    assert scale.std == pytest.approx(x.std(), rel=1e-8)
    bent = np.log1p(np.abs(y := np.exp(2 * (x - offset)))) * np.sign(y)
    scale = fitted(*np.array_split(y, 13))
    assert scale.bend == "log"
    assert (scale.mean, scale.std) == pytest.approx((bent.mean(), bent.std()), rel=1e-12)


@pytest.mark.usefixtures("small_blocks")
def test_streamed_skewness_is_that_of_the_whole() -> None:
    x = np.random.default_rng(1).exponential(size=500) - 3
    counter = MomentCounter()
    for chunk in np.array_split(x, 13):
        counter.add(chunk)
    counter.scale()
    d = x - x.mean()
    assert counter._plain.skewness == pytest.approx((d**3).mean() / (d**2).mean() ** 1.5, rel=1e-10)


@pytest.mark.usefixtures("small_blocks")
@given(st.lists(st.integers(0, 60), max_size=6))
def test_the_scale_is_the_same_bits_however_the_stream_is_cut(cuts: list[int]) -> None:
    x = np.random.default_rng(2).lognormal(sigma=2, size=60)
    x[::9] = np.nan
    assert fitted(*np.split(x, sorted(cuts))) == fitted(x)


@pytest.mark.usefixtures("small_blocks")
@given(
    arrays(np.float64, st.integers(0, 30), elements=st.floats(allow_subnormal=True)),
    arrays(np.float64, 8, elements=st.floats(allow_subnormal=True)),
)
def test_whatever_comes_the_scaled_numbers_are_finite(train: NDArray[np.float64], later: NDArray[np.float64]) -> None:
    scale = fitted(train)
    for numbers in (train, later):
        scaled = scale.apply(numbers)
        assert scaled.dtype == np.float32
        assert np.isfinite(scaled).all()
        assert (scaled[np.isnan(numbers)] == 0).all()
    assert NumericScale.model_validate_json(scale.model_dump_json()) == scale


@pytest.mark.parametrize(
    "x",
    [
        [1e300, 2e300, -1e300],
        [1e200, 2e200, 9e200],
        [1.7e308, -1.7e308, 1.6e308, 1e308],
        [1e110, 2e110, 5e110],
        [1e-150, 2e-150, 9e-150],
        [5e-160, 1e-159, 2e-159],
    ],
    ids=str,
)
def test_huge_and_tiny_numbers_keep_their_order(x: list[float]) -> None:
    scaled = fitted(*[[v] for v in x]).apply(np.array(x))
    assert np.argsort(scaled).tolist() == np.argsort(x).tolist()
    assert 0.1 < np.abs(scaled).max() < 10


def test_log_normal_numbers_are_tamed() -> None:
    x = np.random.default_rng(3).lognormal(sigma=4, size=20_000)
    scale = fitted(x)
    scaled = scale.apply(x)
    assert scale.bend == "log"
    assert abs(scaled.mean()) < 1e-5
    assert scaled.std() == pytest.approx(1, abs=1e-4)
    assert np.abs(scaled).max() < 10


def test_a_symmetric_field_is_not_bent() -> None:
    scale = fitted(np.random.default_rng(4).normal(50, 3, size=5000))
    assert scale.bend == "none"


def test_negative_skew_is_bent_too() -> None:
    x = -np.random.default_rng(5).lognormal(sigma=3, size=5000)
    scale = fitted(x)
    assert scale.bend == "log"
    assert (np.diff(scale.apply(np.sort(x))) >= 0).all()


@pytest.mark.parametrize("value", [0.1, 0.0, -3.0, 5.26938400501801e84, 1e308, 1e-310])
@pytest.mark.parametrize("rows", [1, 3, 1000])
def test_a_constant_is_zero(value: float, rows: int) -> None:
    scale = fitted([value] * rows)
    assert scale.apply(np.array([value, -value, 0.0, np.inf, -np.inf, np.nan])).tolist() == [0.0] * 6


@pytest.mark.parametrize("x", [[], [np.nan, np.nan], [np.inf, -np.inf]], ids=str)
def test_a_field_without_a_finite_number_is_zero(x: list[float]) -> None:
    assert fitted(x).apply(np.array([0.0, 5.0, np.inf, np.nan])).tolist() == [0, 0, 0, 0]


def test_what_lies_outside_the_range_of_training_is_clipped_to_it() -> None:
    scale = fitted([1.0, 2.0, 3.0, np.inf, -np.inf])
    assert (scale.low, scale.high) == (1.0, 3.0)
    low, high = scale.apply(np.array([1.0, 3.0]))
    assert scale.apply(np.array([-np.inf, -1e9, 1e9, np.inf])).tolist() == [low, low, high, high]


def test_missing_numbers_are_counted_and_left_out() -> None:
    counter = MomentCounter()
    counter.add(np.array([np.nan, 1.0]))
    counter.add(np.array([3.0, np.nan]))
    assert counter.missing == 2
    assert counter.scale().mean == 2.0
