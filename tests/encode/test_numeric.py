from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from masknet.encode import EncodingPlan, numeric, prepare
from masknet.encode.declared import Declared
from masknet.encode.numeric import MAX_KNOTS, Knots, KnotSample, NumberStatistics, NumericScale
from masknet.progress import LogProgress
from masknet.table import open_table


def fitted(*chunks: NDArray[np.float64] | list[float]) -> NumericScale:
    counter = NumberStatistics()
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
    counter = NumberStatistics()
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
    counter = NumberStatistics()
    counter.add(np.array([np.nan, 1.0]))
    counter.add(np.array([3.0, np.nan]))
    assert counter.missing == 2
    assert counter.scale().mean == 2.0


# Knots


def sampled(*chunks: NDArray[np.float64] | list[float]) -> KnotSample:
    sample = KnotSample()
    for chunk in chunks:
        sample.add(np.array(chunk, dtype=np.float64))
    return sample


finite = st.floats(allow_nan=False, allow_infinity=False)


@given(
    st.lists(finite.map(lambda x: x + 0.0), min_size=1, max_size=8, unique=True).map(sorted),
    st.lists(st.floats(), max_size=8),
)
@example([0.0, 5e-324], [])  # whose halves are one number
@example([-1.7e308, 1.7e308], [0.5])  # whose distance is none
def test_knots_against_a_slow_copy(at: list[float], numbers: list[float]) -> None:
    index, weight = Knots(at=tuple(at)).apply(np.array([*numbers, *at]))
    for x, i, w in zip([*numbers, *at], index, weight, strict=True):
        x = min(max(at[(len(at) - 1) // 2] if np.isnan(x) else x, at[0]), at[-1])
        lower = max(k for k in range(max(1, len(at) - 1)) if at[k] <= x)
        assert i == lower
        # As fractions: the distance between two floats may be none itself.
        gap = Fraction(at[lower + 1]) - Fraction(at[lower]) if len(at) > 1 else Fraction(0)
        assert w == pytest.approx(float((Fraction(x) - Fraction(at[lower])) / gap) if gap else 0, abs=1e-7)
        assert 0 <= w <= 1


@given(st.lists(st.integers(-1000, 1000).map(lambda x: x / 8), min_size=2, max_size=200), st.lists(finite, max_size=20))
def test_the_weighted_knots_are_the_number(train: list[float], later: list[float]) -> None:
    knots = sampled(train).knots(min(train), max(train), most=16)
    at = np.array(knots.at)
    index, weight = knots.apply(np.array(train + later))
    upper = np.minimum(index + 1, len(at) - 1)
    found = (1 - weight.astype(np.float64)) * at[index] + weight * at[upper]
    np.testing.assert_allclose(found, np.interp(train + later, at, at), atol=1e-4)


@pytest.mark.parametrize("distinct", [1, 2, MAX_KNOTS, MAX_KNOTS + 1, 5000])
def test_few_values_have_a_knot_each_and_many_share(distinct: int) -> None:
    numbers = np.repeat(np.arange(distinct) ** 2.0, 3)
    at = np.array(sampled(numbers).knots(0.0, float(numbers.max())).at)
    assert len(at) <= MAX_KNOTS
    assert (np.diff(at) > 0).all()
    assert np.isin(at, numbers).all()
    assert (at[0], at[-1]) == (0, numbers[-1])
    if distinct <= MAX_KNOTS:
        assert at.tolist() == np.unique(numbers).tolist()
    else:  # half of them are quantiles: no two neighbours lie further apart than those would
        shares = np.searchsorted(numbers, at) / len(numbers)
        assert np.diff(shares).max() < 2 / (MAX_KNOTS // 2 - 1)


def test_a_long_tail_has_knots_too() -> None:
    numbers = np.concatenate([np.zeros(9_900), np.arange(1.0, 101.0)])
    at = np.array(sampled(numbers).knots(0.0, 100.0).at)
    assert (at > 50).sum() > 10, "though they are half a hundredth of the rows"


@given(st.lists(st.integers(0, 300), max_size=6))
def test_the_sample_is_the_same_however_the_stream_is_cut(cuts: list[int]) -> None:
    x = np.random.default_rng(3).lognormal(size=300)
    x[::7] = np.nan
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numeric, "_SAMPLE", 100)
        assert sampled(*np.split(x, sorted(cuts))).knots(0, 50, 16) == sampled(x).knots(0, 50, 16)
        assert len(sampled(x).numbers()) == 100
        assert sampled(x).knots(0, 50, 16) != sampled(x[1:]).knots(0, 50, 16), "a number's place draws its key"


@given(st.lists(finite, min_size=1, max_size=80).map(sorted), st.integers(1, 70))
def test_quantiles_of_what_rises_are_those_that_numpy_finds(rising: list[float], parts: int) -> None:
    numbers, shares = np.array(rising), np.linspace(0, 1, parts)
    np.testing.assert_array_equal(numeric._quantiles(numbers, shares), np.quantile(numbers, shares, method="nearest"))


def test_the_sample_is_a_fair_one() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numeric, "_SAMPLE", 2000)
        at = np.array(sampled(*np.split(np.arange(50_000.0), 50)).knots(0, 49_999).at)
    np.testing.assert_allclose(at[::2] / 50_000, np.linspace(0, 1, len(at))[::2], atol=0.06)


def test_what_is_not_finite_is_no_knot() -> None:
    sample = sampled([np.nan, 1.0, np.inf, 3.0, -np.inf, 0.0, -0.0])
    assert str(sample.knots(0.0, 3.0)) == "at=(0.0, 1.0, 3.0)"
    assert sampled([np.nan]).knots(0.0, 0.0).at == (0.0,)


def test_the_scale_of_an_age_is_mirrored() -> None:
    counter = NumberStatistics()
    counter.add(np.array([1.0, 2.0, 6.0]))
    scale = counter.scale(bent=False)
    x = np.array([1.0, 2.0, 6.0, 9.0, -4.0])
    np.testing.assert_allclose(scale.mirrored(6.0).apply(6.0 - x), -scale.apply(x), atol=1e-6)


@pytest.mark.parametrize(("rows", "knots"), [(300, 2), (3_000, 6), (20_000, 32)])
def test_few_numbers_have_few_knots(rows: int, knots: int, tmp_path: Path) -> None:
    """Half of the most: of numbers that all differ, the quantiles of values and of distinct values are the same."""
    numbers = np.random.default_rng(0).normal(size=rows)
    table = open_table(pl.DataFrame({"click": np.arange(rows) % 2, "x": numbers}))
    plan = EncodingPlan(Declared(label="click"), numeric_encoding="knots")
    prepared = prepare(table, None, plan, LogProgress(), cache=tmp_path)
    (field,) = prepared.encoder.encodings
    assert len(field.knots) == knots
