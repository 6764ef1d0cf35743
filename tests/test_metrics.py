from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.optimize import brentq
from scipy.stats import norm
from scipy.stats import t as student
from sklearn import metrics as reference

from masknet import metrics
from masknet.errors import ConfigError, DataError
from masknet.metrics import MONITORS, Estimate, evaluate
from masknet.metrics.order import _places, bits_of, ordered, ranks_of
from masknet.metrics.placements import blocks_of_rows, blocks_of_tally, placements_of
from masknet.metrics.rows import checked_rows
from masknet.metrics.tally import tally_of

NAMES = ["auc", "log_loss", "normalized_entropy", "calibration_ratio", "expected_calibration_error", "pr_auc"]
GROUPED = ["grouped_auc", "ndcg_at_5", "ndcg_at_10"]
Rows = tuple[np.ndarray, np.ndarray, np.ndarray]
WEIGHTS = st.floats(0.01, 10.0)
LABEL = st.integers(0, 1)
BOTH = (st.just(0), st.just(1))


@st.composite
def rows(
    draw: st.DrawFn, *, weight: st.SearchStrategy[float] = WEIGHTS, sure: tuple[st.SearchStrategy[int], ...] = BOTH
) -> Rows:
    """Labels, probabilities and weights; heavy ties, the ends 0 and 1, and weights of 0 among them.

    `sure` draws the labels of rows, somewhere among the others, whose weight is not 0.
    """
    probability = st.one_of(st.sampled_from([0.0, 0.1, 0.5, 0.50000001, 1.0]), st.floats(0, 1))
    any_row = st.tuples(LABEL, probability, st.one_of(st.just(0.0), weight))
    drawn = draw(st.lists(any_row, min_size=2 - len(sure), max_size=40 - len(sure)))
    for label in sure:
        drawn.insert(draw(st.integers(0, len(drawn))), draw(st.tuples(label, probability, weight)))
    y, p, w = (np.array(column) for column in zip(*drawn, strict=True))
    return y, p, w


def simulated(seed: int, n: int = 400, *, ties: bool = True) -> Rows:
    rng = np.random.default_rng(seed)
    p = rng.beta(1, 3, n)
    y = (rng.random(n) < p).astype(int)
    return y, np.round(p, 2) if ties else p, rng.exponential(size=n)


def same(left: Estimate, right: Estimate, tolerance: float = 1e-12) -> None:
    """Value and interval agree."""
    assert left.why == right.why
    for a, b in ((left.value, right.value), (left.low, right.low), (left.high, right.high)):
        assert (a is None) == (b is None)
        if a is not None:
            assert_allclose(a, b, rtol=tolerance, atol=tolerance)


# --- parity with scikit-learn -----------------------------------------------------------------------------------------

PARITY = {
    "auc": reference.roc_auc_score,
    "log_loss": reference.log_loss,
    "pr_auc": reference.average_precision_score,
}


@pytest.mark.parametrize("name", PARITY)
@given(data=rows())
def test_agrees_with_scikit_learn_weighted(name: str, data: Rows) -> None:
    y, p, w = data
    ours = getattr(metrics, name)(y, p, w).value
    assert_allclose(ours, PARITY[name](y, p, sample_weight=w), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", PARITY)
@given(data=rows(weight=st.just(1.0)))
def test_agrees_with_scikit_learn_unweighted(name: str, data: Rows) -> None:
    y, p, w = data
    y, p = y[w > 0], p[w > 0]
    assert_allclose(getattr(metrics, name)(y, p).value, PARITY[name](y, p), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", PARITY)
@pytest.mark.parametrize("ties", [True, False])
def test_agrees_with_scikit_learn_on_many_rows(name: str, ties: bool) -> None:
    y, p, w = simulated(0, 50_000, ties=ties)
    for weights in (None, w):
        ours = getattr(metrics, name)(y, p, weights).value
        assert_allclose(ours, PARITY[name](y, p, sample_weight=weights), rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_log_loss_clips_at_the_eps_of_the_dtype(dtype: type) -> None:
    y, p = [0, 1, 1], np.array([1.0, 0.0, 1.0], dtype=dtype)
    expected = -2 / 3 * math.log(np.finfo(dtype).eps)
    assert_allclose(metrics.log_loss(y, p).value, expected, rtol=1e-6)
    assert_allclose(metrics.log_loss(y, p).value, reference.log_loss(y, p), rtol=1e-6)


@pytest.mark.parametrize("convert", [np.asarray, list, lambda a: np.asarray(a, dtype=bool), lambda a: a.astype(float)])
def test_labels_may_be_of_any_numeric_type(convert: Callable[[Any], Any]) -> None:
    y, p, w = simulated(1)
    assert evaluate(convert(y), list(p), list(w)) == evaluate(y, p, w)


# --- AUC and DeLong against slow copies -------------------------------------------------------------------------------


def placements(y: np.ndarray, p: np.ndarray, w: np.ndarray) -> tuple[list[float], list[float]]:
    """Each positive's weighted share of negatives below it, each negative's share of positives above it."""

    def share(others: list[int], wins: Callable[[int], float]) -> float:
        return math.fsum(w[k] * wins(k) for k in others) / math.fsum(w[k] for k in others)

    def psi(high: float, low: float) -> float:
        return 1.0 if high > low else 0.5 if high == low else 0.0

    positives = [i for i in range(len(y)) if y[i] == 1]
    negatives = [j for j in range(len(y)) if y[j] == 0]
    return (
        [share(negatives, lambda j, i=i: psi(p[i], p[j])) for i in positives],
        [share(positives, lambda i, j=j: psi(p[i], p[j])) for j in negatives],
    )


@settings(max_examples=50)
@given(data=rows())
def test_auc_is_the_share_of_weighted_pairs(data: Rows) -> None:
    y, p, w = (column[data[2] > 0] for column in data)
    wins = total = 0.0
    for i in np.flatnonzero(y == 1):
        for j in np.flatnonzero(y == 0):
            total += w[i] * w[j]
            wins += w[i] * w[j] * (1.0 if p[i] > p[j] else 0.5 if p[i] == p[j] else 0.0)
    assert_allclose(metrics.auc(y, p, w).value, wins / total, rtol=1e-12, atol=1e-12)


def delong(y: np.ndarray, p: np.ndarray, w: np.ndarray) -> tuple[float, float, float, float]:
    """The weighted AUC, DeLong's variance of it, and the effective numbers of positives and negatives."""
    value, variance, sizes = metrics.auc(y, p, w).value, 0.0, []
    assert value is not None
    for label, values in zip((1, 0), placements(y, p, w), strict=True):
        shares = w[y == label] / w[y == label].sum()
        spread = sum(a**2 * (v - value) ** 2 for a, v in zip(shares, values, strict=True))
        variance += spread / (1 - sum(shares**2))
        sizes.append(1 / sum(shares**2))
    return value, variance, sizes[0], sizes[1]


def newcombe(value: float, variance: float, m: float, n: float) -> Estimate:
    """Where the distance of an AUC from the measured one is 1.96 of its standard errors, found by a root finder."""

    def of(auc: float) -> float:
        half = (m + n) / 2 - 1
        return auc * (1 - auc) / (m * n) * (1 + half * (1 - auc) / (2 - auc) + half * auc / (1 + auc))

    least = min(m, n)
    scale = (least * variance / of(value) + 10) / (least + 10)

    def gap(auc: float) -> float:
        return (value - auc) ** 2 - norm.ppf(0.975) ** 2 * scale * of(auc)

    return Estimate(value, brentq(gap, 0, value, xtol=1e-14), brentq(gap, value, 1, xtol=1e-14))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("ties", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
def test_the_interval_of_the_auc_is_newcombes_with_delongs_variance(seed: int, ties: bool, weighted: bool) -> None:
    y, p, w = simulated(seed, 80, ties=ties)
    if not weighted:
        same(metrics.auc(y, p), metrics.auc(y, p, np.full(len(y), 3.7)))  # a common weight changes nothing
        w = np.ones(len(y))
    same(metrics.auc(y, p, w), newcombe(*delong(y, p, w)))


def test_a_perfect_ranking_has_an_interval_as_wide_as_its_rows_are_few() -> None:
    few = metrics.auc([0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4])
    assert (few.value, few.high) == (1.0, 1.0)
    more = metrics.auc([0, 0, 1, 1] * 50, [0.1, 0.2, 0.3, 0.4] * 50)
    assert few.low < 0.6 < 0.98 < more.low < 1
    wrong = metrics.auc([1, 1, 0, 0], [0.1, 0.2, 0.3, 0.4])
    assert_allclose([wrong.value, wrong.low, wrong.high], [0, 0, 1 - few.low])
    one = metrics.auc([0, 1, 0, 0], [0.1, 0.2, 0.3, 0.1])  # one positive
    assert one.low < 0.25 < 2 / 3 < one.high


def test_intervals_stay_in_the_range_of_their_metric() -> None:
    y, p = [0, 0, 0, 1, 0, 1, 1], [0.001, 0.002, 0.003, 0.2, 0.3, 0.95, 0.99]
    assert metrics.auc(y, p).high <= 1.0
    assert metrics.log_loss(y, p).low > 0.0
    assert all(e.low <= e.value <= e.high for e in evaluate(y, p).values() if e.low is not None)


@pytest.mark.parametrize("scale", [1e-200, 1e160, 5e-310])
def test_weights_of_any_size_change_nothing(scale: float) -> None:
    y, p, w = simulated(1, 200)
    w = np.round(w * 64) + 1
    groups = np.arange(200) % 7
    for name, estimate in evaluate(y, p, w * scale, groups).items():
        same(estimate, evaluate(y, p, w, groups)[name], 1e-9)


def test_what_to_know_before_the_numbers_are_believed() -> None:
    assert metrics.doubts(evaluate([0, 1] * 30, [0.4, 0.6] * 30), 30) == []
    few, useless = metrics.doubts(evaluate([0, 1], [0.9, 0.1]), 1)
    assert few == "there is 1 click, and below 30 an interval is a rough guess: measure on more rows"
    assert useless.endswith("the probabilities are no better than predicting the click rate for everybody")
    assert "is 3.3219" in useless
    assert metrics.doubts({"normalized_entropy": Estimate(None, why="all 9 rows are negatives")}, 40) == []


# --- the order of rows, and blocks of them ----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.uint32, np.uint64])
@pytest.mark.parametrize("distinct", [1, 3, 700, None])
@pytest.mark.parametrize("groups", [None, 1, 40, 5000])
def test_rows_are_ordered_as_a_plain_sort_orders_them(dtype: type, distinct: int | None, groups: int | None) -> None:
    rng = np.random.default_rng(0)
    high = rng.integers(0, 5, 2000, dtype=dtype) << (8 * np.dtype(dtype).itemsize - 4)
    values = high + rng.integers(0, distinct or 2**30, 2000, dtype=dtype)  # alike in their leading bits
    of_groups = None if groups is None else rng.integers(0, groups, 2000, dtype=np.uint64)
    found = ordered(values, of_groups)
    keys = np.zeros(2000) if of_groups is None else of_groups
    expected = np.lexsort((values, keys))
    assert (found.rows == expected).all()
    pairs = list(zip(keys[expected], values[expected], strict=True))
    assert found.starts.tolist() == [i for i in range(2000) if not i or pairs[i] != pairs[i - 1]] + [2000]
    if of_groups is not None:
        assert found.groups is not None
        assert (found.groups == of_groups[expected][found.starts[:-1]]).all()


def test_no_row_and_one_row_have_an_order() -> None:
    nothing = ordered(np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.uint64))
    assert (len(nothing.rows), nothing.starts.tolist()) == (0, [0])
    one = ordered(np.array([2**63], dtype=np.uint64), np.array([7], dtype=np.uint64))
    assert (one.rows.tolist(), one.starts.tolist(), one.groups) == ([0], [0, 1], [7])


@pytest.mark.parametrize("distinct", [1, 2, 500, 20_000, 70_000])
@pytest.mark.parametrize("often", [1, 2, 40])
@pytest.mark.parametrize("far", [True, False])
def test_ranks_are_those_of_the_distinct_values(distinct: int, often: int, far: bool) -> None:
    rng = np.random.default_rng(1)
    values = rng.integers(0, 2**64, distinct, dtype=np.uint64) if far else np.arange(distinct, dtype=np.uint64) << 40
    values = rng.permutation(np.tile(values, often)[:100_000])
    assert (ranks_of(values) == np.unique(values, return_inverse=True)[1]).all()


def test_values_that_share_their_place_have_ranks() -> None:
    places = _places(np.arange(5000, dtype=np.uint64), 10)  # of a table for 1,000 rows
    crowd = np.flatnonzero(places == places[0]).astype(np.uint64)
    assert len(crowd) > 3
    for first in crowd:
        values = np.append(first, np.tile(crowd, 1000 // len(crowd)))
        assert (ranks_of(values) == np.unique(values, return_inverse=True)[1]).all()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_bits_are_in_the_order_of_the_probabilities(dtype: type) -> None:
    p = np.concatenate([[0.0, -0.0, 1.0, 5e-324], np.random.default_rng(2).beta(1, 3, 300) ** 9]).astype(dtype)
    if dtype is not np.float16:
        order = np.argsort(bits_of(p), kind="stable")
        assert (order == np.argsort(p, kind="stable")).all()
    y = np.arange(304) % 3 == 0
    same(metrics.auc(y, p), metrics.auc(y, p.astype(np.float64)))
    assert metrics.auc([1, 0], [0.0, -0.0]).value == 0.5


@pytest.mark.parametrize("at_once", [1, 2, 7, 100, 5000])
@pytest.mark.parametrize("ties", [True, False])
def test_an_auc_is_the_same_in_blocks_of_any_size(at_once: int, ties: bool) -> None:
    y, p, _ = simulated(3, 3000, ties=ties)
    whole = placements_of(blocks_of_tally(tally_of(checked_rows(y, p, None))))
    found = placements_of(blocks_of_rows(y == 1, p, at_once=at_once))
    assert (found.auc, found.effective) == (whole.auc, whole.effective)  # whole numbers, exact
    assert_allclose(found.variance, whole.variance, rtol=1e-13)
    assert_allclose(found.variance, delong_by_sorting(y, p)[1], rtol=1e-12)


def test_the_variance_of_a_ranking_that_is_nearly_perfect_keeps_its_digits() -> None:
    y = np.arange(40_000) >= 20_000
    p = y * 0.5 + np.random.default_rng(4).random(40_000) / 4
    p[0] = 0.7
    found = metrics.auc(y, p)
    _, variance, m, n = delong_by_sorting(y, p)
    same(found, newcombe(found.value or 0, variance, m, n), 1e-11)


def delong_by_sorting(y: np.ndarray, p: np.ndarray) -> tuple[float, float, float, float]:
    """As `delong`, of rows that all weigh alike, without a loop over pairs."""
    above, below = np.sort(p[y == 1]), np.sort(p[y == 0])
    of_positives = (np.searchsorted(below, above, "left") + np.searchsorted(below, above, "right")) / 2 / len(below)
    of_negatives = 1 - (np.searchsorted(above, below, "left") + np.searchsorted(above, below, "right")) / 2 / len(above)
    variance = of_positives.var(ddof=1) / len(above) + of_negatives.var(ddof=1) / len(below)
    return float(of_positives.mean()), variance, len(above), len(below)


def test_groups_that_are_far_apart_are_those_that_are_near() -> None:
    y, p, w = simulated(8, 3000)
    near = np.random.default_rng(8).integers(0, 300, 3000)
    far = np.random.default_rng(9).integers(-(2**62), 2**62, 300)
    far.sort()
    for weights in (None, w):
        expected = metrics.Sample(y, p, weights, near).bootstrap(20, only_grouped=True)
        assert metrics.Sample(y, p, weights, far[near]).bootstrap(20, only_grouped=True) == expected
        assert metrics.Sample(y, p, weights, (near - 150).astype(np.int8)).estimates.keys() >= expected.keys()


# --- coverage of the intervals ----------------------------------------------------------------------------------------


def binormal(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels and probabilities whose AUC is Phi(1 / sqrt 2)."""
    y = rng.random(n) < 0.4
    return y, norm.cdf(rng.normal(size=n) + y)


def auc_case(rng: np.random.Generator) -> Estimate:
    return metrics.auc(*binormal(rng, 150))


def weighted_auc_case(rng: np.random.Generator) -> Estimate:
    return metrics.auc(*binormal(rng, 800), rng.exponential(size=800))


def grouped_auc_case(rng: np.random.Generator) -> Estimate:
    return metrics.grouped_auc(*binormal(rng, 600), rng.integers(0, 60, 600))


def calibrated(rng: np.random.Generator, n: int) -> Rows:
    """Uniform probabilities that tell the truth: the expected log loss is 1/2, the calibration ratio 1."""
    p = rng.random(n)
    return rng.random(n) < p, p, rng.exponential(size=n)


def log_loss_case(rng: np.random.Generator) -> Estimate:
    return metrics.log_loss(*calibrated(rng, 200)[:2])


def weighted_log_loss_case(rng: np.random.Generator) -> Estimate:
    return metrics.log_loss(*calibrated(rng, 500))


def calibration_case(rng: np.random.Generator) -> Estimate:
    return metrics.calibration_ratio(*calibrated(rng, 200)[:2])


def weighted_calibration_case(rng: np.random.Generator) -> Estimate:
    return metrics.calibration_ratio(*calibrated(rng, 500))


BINORMAL_AUC = float(norm.cdf(1 / math.sqrt(2)))


@pytest.mark.parametrize(
    ("case", "truth"),
    [
        (auc_case, BINORMAL_AUC),
        (weighted_auc_case, BINORMAL_AUC),
        (grouped_auc_case, BINORMAL_AUC),
        (log_loss_case, 0.5),
        (weighted_log_loss_case, 0.5),
        (calibration_case, 1.0),
        (weighted_calibration_case, 1.0),
    ],
)
def test_intervals_cover_the_truth_19_times_in_20(
    case: Callable[[np.random.Generator], Estimate], truth: float
) -> None:
    rng = np.random.default_rng(7)
    estimates = [case(rng) for _ in range(600)]
    covered = np.mean([e.low <= truth <= e.high for e in estimates])
    assert 0.92 < covered < 0.975  # a standard error 20 % too small covers .88, 20 % too large .98


# --- the other metrics ------------------------------------------------------------------------------------------------


def test_normalized_entropy_is_log_loss_over_that_of_the_base_rate() -> None:
    y, p, w = simulated(2)
    loss = metrics.log_loss(y, p, w)
    entropy = reference.log_loss(y, np.full(len(y), np.average(y, weights=w)), sample_weight=w)
    assert loss.value is not None
    found, rate = metrics.normalized_entropy(y, p, w), np.average(y, weights=w)
    assert_allclose(found.value, loss.value / entropy, rtol=1e-12)
    # The delta method: how each row moves log loss and entropy of the base rate together.
    clipped = np.clip(p, 2.3e-16, 1 - 2.3e-16)
    own = -np.where(y == 1, np.log(clipped), np.log1p(-clipped))
    gap = (own + loss.value / entropy * np.where(y == 1, np.log(rate), np.log1p(-rate))) / entropy
    assert_allclose(np.average(gap, weights=w), 0, atol=1e-12)
    share = w / w.sum()
    error = math.sqrt((share**2 * gap**2).sum() / (1 - (share**2).sum()))
    rarer = min(w[y == label].sum() ** 2 / (w[y == label] ** 2).sum() for label in (0, 1))
    factor = math.exp(student.ppf(0.975, rarer - 1) * error / found.value)
    same(found, Estimate(found.value, found.value / factor, found.value * factor), 1e-6)


def test_calibration_ratio_is_predicted_over_observed() -> None:
    y, p, w = simulated(3)
    assert_allclose(metrics.calibration_ratio(y, p, w).value, (w * p).sum() / (w * y).sum(), rtol=1e-12)
    ratio, n = p.sum() / y.sum(), len(y)
    error = np.std(p - ratio * y, ddof=1) / math.sqrt(n) / y.mean()
    factor = math.exp(student.ppf(0.975, min(y.sum(), n - y.sum()) - 1) * error / ratio)
    same(metrics.calibration_ratio(y, p), Estimate(ratio, ratio / factor, ratio * factor), 1e-6)


def test_calibration_error_of_distinct_probabilities_uses_equal_bins() -> None:
    y, p, _ = simulated(4, 200, ties=False)
    order = np.argsort(p)
    for bins in (1, 8, 20):
        parts = zip(np.array_split(y[order], bins), np.array_split(p[order], bins), strict=True)
        expected = np.mean([abs(part_y.mean() - part_p.mean()) for part_y, part_p in parts])
        ours = metrics.expected_calibration_error(y, p, bins=bins)
        assert_allclose(ours.value, expected, rtol=1e-12)
        assert ours.low is ours.high is None


def test_calibration_error_never_splits_ties() -> None:
    # Half the rows share 0.5 and are right on average; a split by the order of the rows would call them wrong.
    y = [0] * 50 + [1] * 50 + [0] * 50 + [1] * 50
    p = [0.5] * 100 + [0.0] * 50 + [1.0] * 50
    assert metrics.expected_calibration_error(y, p, bins=20).value == 0.0
    assert metrics.expected_calibration_error(y, p, bins=400).value == 0.0


def test_calibration_error_needs_a_bin() -> None:
    with pytest.raises(ConfigError, match=r"at least 1 bin; bins is 0"):
        metrics.expected_calibration_error([0, 1], [0.5, 0.5], bins=0)


def test_rela_imp_is_the_papers() -> None:
    assert metrics.rela_imp(0.75, 0.625) == 1.0
    assert metrics.rela_imp(0.5, 0.625) == -1.0
    assert metrics.rela_imp(0.7, 0.5) is None


# --- grouped AUC ------------------------------------------------------------------------------------------------------


def grouped_by_loop(y: np.ndarray, p: np.ndarray, groups: np.ndarray, w: np.ndarray) -> tuple[float, np.ndarray]:
    """The mean, and a row (mass, AUC) for each group with both classes."""
    parts = []
    for group in np.unique(groups):
        at = (groups == group) & (w > 0)
        if len(np.unique(y[at])) == 2:
            parts.append((w[at].sum(), reference.roc_auc_score(y[at], p[at], sample_weight=w[at])))
    table = np.array(parts)
    return float(np.average(table[:, 1], weights=table[:, 0])), table


@pytest.mark.parametrize("kind", ["int", "negative", "text", "object", "float"])
def test_grouped_auc_is_the_mean_over_groups(kind: str) -> None:
    y, p, w = simulated(5, 600)
    numbers = np.random.default_rng(5).integers(0, 120, 600)
    w[numbers == 3] = 0
    convert: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "int": lambda g: g,
        "negative": lambda g: g * -(10**15),
        "text": lambda g: g.astype(str),
        "object": lambda g: np.array([f"user {i}" for i in g], dtype=object),
        "float": lambda g: g / 7,
    }
    groups = convert[kind](numbers)
    for weights in (None, w):
        expected, table = grouped_by_loop(y, p, groups, np.ones(600) if weights is None else w)
        shares = table[:, 0] / table[:, 0].sum()
        half = norm.ppf(0.975) * math.sqrt((shares**2 * (table[:, 1] - expected) ** 2).sum() / (1 - (shares**2).sum()))
        same(metrics.grouped_auc(y, p, groups, weights), Estimate(expected, expected - half, expected + half))


def test_grouped_auc_of_one_group_is_the_auc() -> None:
    y, p, w = simulated(6)
    assert_allclose(metrics.grouped_auc(y, p, np.zeros(400, int), w).value, metrics.auc(y, p, w).value, rtol=1e-12)
    assert metrics.grouped_auc(y, p, np.zeros(400, int), w).low is None


def test_grouped_auc_has_no_loop_over_groups() -> None:
    y, p, _ = simulated(7, 100_000)
    groups = np.random.default_rng(7).integers(0, 5_000, 100_000)
    seconds = []
    for _ in range(3):
        start = time.process_time()  # what others do meanwhile does not count
        metrics.grouped_auc(y, p, groups)
        seconds.append(time.process_time() - start)
    assert min(seconds) < 0.3  # about 0.03 s; a loop over 5,000 groups takes seconds


# --- NDCG ------------------------------------------------------------------------------------------------------------


def ndcg_by_loop(y: np.ndarray, p: np.ndarray, groups: np.ndarray, k: int) -> dict[int, float]:
    """The NDCG of each group with a positive; a row's gain is the mean over the places that its ties could take."""
    found = {}
    for group in np.unique(groups):
        rows = [int(i) for i in np.flatnonzero(groups == group)]
        gain = ideal = 0.0
        for place in range(1, min(k, int(y[rows].sum())) + 1):
            ideal += 1 / math.log2(place + 1)
        for i in rows:
            if y[i] == 1:
                first = sum(1 for j in rows if p[j] > p[i])
                places = range(first + 1, first + sum(1 for j in rows if p[j] == p[i]) + 1)
                gain += math.fsum(1 / math.log2(place + 1) for place in places if place <= k) / len(places)
        if ideal:
            found[int(group)] = gain / ideal
    return found


@pytest.mark.parametrize("k", [1, 2, 5, 10, 1000])
@pytest.mark.parametrize("ties", [True, False])
def test_ndcg_is_the_mean_of_a_slow_loop(k: int, ties: bool) -> None:
    y, p, w = simulated(11, 600, ties=ties)
    groups = np.random.default_rng(11).integers(0, 90, 600)
    w[groups == 3] = 0
    alone = ndcg_by_loop(y, p, groups, k)
    assert len(alone) < 90
    values = np.array(list(alone.values()))
    half = norm.ppf(0.975) * values.std(ddof=1) / math.sqrt(len(values))
    found = metrics.ndcg(y, p, groups, k=k)
    same(found, Estimate(values.mean(), max(values.mean() - half, 0), min(values.mean() + half, 1)), 1e-12)
    kept = w > 0
    weighted = ndcg_by_loop(y[kept], p[kept], groups[kept], k)
    masses = [w[groups == group].sum() for group in weighted]
    assert_allclose(
        metrics.ndcg(y, p, groups, w, k=k).value, np.average(list(weighted.values()), weights=masses), rtol=1e-12
    )


@given(data=rows(weight=st.just(1.0), sure=(st.just(1), LABEL)), k=st.integers(1, 12))
def test_ndcg_of_a_group_agrees_with_scikit_learn(data: Rows, k: int) -> None:
    y, p, w = data
    y, p = y[w > 0], p[w > 0]
    expected = reference.ndcg_score([y], [p], k=k)
    assert_allclose(metrics.ndcg(y, p, np.zeros(len(y)), k=k).value, expected, rtol=1e-12, atol=1e-12)


def test_groups_that_a_metric_leaves_out_are_counted() -> None:
    sample = metrics.Sample([0, 1, 0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4, 0.5, 0.6], groups=[7, 7, 8, 8, 9, 9])
    assert (sample.num_groups, sample.groups_of_one_class, sample.groups_without_positive) == (3, 2, 1)
    assert metrics.Sample([0, 1], [0.1, 0.2]).num_groups == 0
    assert metrics.ndcg([0, 0], [0.1, 0.2], [1, 2]).why == "none of the 2 groups has a positive"


def test_ndcg_needs_a_place() -> None:
    with pytest.raises(ConfigError, match="k is 0"):
        metrics.ndcg([0, 1], [0.1, 0.2], [0, 0], k=0)


# --- two models on the same rows --------------------------------------------------------------------------------------


def two_models(seed: int, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Labels, two related probabilities, weights."""
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < 0.4).astype(int)
    shared = rng.normal(size=n) + y
    first, second = (norm.cdf(shared + rng.normal(size=n) * scale) for scale in (0.3, 0.8))
    return y, np.round(first, 2), np.round(second, 2), rng.exponential(size=n)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_difference_of_aucs_has_delongs_paired_interval(weighted: bool) -> None:
    y, p, q, w = two_models(0, 90)
    w = w if weighted else np.ones(90)
    variance, values = 0.0, [metrics.auc(y, scores, w).value or 0 for scores in (p, q)]
    for cls, of_p, of_q in zip((1, 0), placements(y, p, w), placements(y, q, w), strict=True):
        v = w[y == cls] / w[y == cls].sum()
        d = np.array(of_p) - np.array(of_q)
        variance += (v**2 * (d - (v * d).sum()) ** 2).sum() / (1 - (v**2).sum())
    value, half = values[0] - values[1], norm.ppf(0.975) * math.sqrt(variance)
    found = metrics.Sample(y, p, w if weighted else None, baseline=q).estimates
    same(found["auc_difference"], Estimate(value, value - half, value + half))
    same(found["baseline_auc"], metrics.auc(y, q, w))
    assert found["rela_imp"] == Estimate(metrics.rela_imp(values[0], values[1]))
    narrower = (found["auc"].high or 0) - (found["auc"].low or 0)
    assert 2 * half < narrower  # the models share their luck with the rows


def test_a_model_beside_itself_differs_by_nothing() -> None:
    y, p, _, w = two_models(1, 200)
    sample = metrics.Sample(y, p, w, baseline=p**2)  # the same ranking
    assert sample.estimates["auc_difference"] == Estimate(0.0)
    assert sample.bootstrap(20)["auc_difference"] == Estimate(0.0)
    swapped = [metrics.Sample(y, a, w, baseline=b).estimates["auc_difference"] for a, b in ((p, w / 99), (w / 99, p))]
    assert_allclose(swapped[0].low, -(swapped[1].high or 0), rtol=1e-9)


# --- the bootstrap ----------------------------------------------------------------------------------------------------


def draws(units: int, resamples: int, seed: int) -> list[np.ndarray]:
    """How often each unit is drawn, as the code promises to draw."""
    rng = np.random.default_rng(seed)
    return [np.bincount(rng.integers(units, size=units), minlength=units) for _ in range(resamples)]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("grouped", [False, True])
def test_the_bootstrap_is_a_plain_loop_over_weighted_metrics(weighted: bool, grouped: bool) -> None:
    y, p, q, w = two_models(2, 300)
    w[5:9] = 0
    w = w if weighted else np.ones(300)
    groups = np.random.default_rng(2).integers(0, 40, 300) * 3 if grouped else None
    sample = metrics.Sample(y, p, w if weighted else None, groups, baseline=q)
    kept = w > 0
    codes = np.zeros(300, dtype=int)
    codes[kept] = np.unique(groups[kept], return_inverse=True)[1] if groups is not None else np.arange(kept.sum())
    expected: dict[str, list[float]] = {}
    for counts in draws(codes.max() + 1, 60, seed=4):
        times = counts[codes] * w
        looped = {name: e.value for name, e in evaluate(y, p, times, groups).items() if name[:4] != "ndcg"}
        base = metrics.auc(y, q, times).value or 0
        looped |= {"baseline_auc": base, "auc_difference": (looped["auc"] or 0) - base}
        looped["rela_imp"] = metrics.rela_imp(looped["auc"] or 0, base)
        if groups is not None:  # a group drawn twice is two groups, of one copy of its rows each
            of_group = np.bincount(codes[kept], w[kept]) if weighted else np.ones(len(counts))
            for k in (5, 10):
                by_group = ndcg_by_loop(y[kept], p[kept], codes[kept], k)
                at = list(by_group)
                looped[f"ndcg_at_{k}"] = np.average(list(by_group.values()), weights=(counts * of_group)[at])
        for name, value in looped.items():
            expected.setdefault(name, []).append(float(value or 0))
    found = sample.bootstrap(60, seed=4)
    assert list(found) == list(sample.estimates)
    assert set(found) == set(expected)
    for name, values in expected.items():
        low, high = np.percentile(values, [2.5, 97.5])
        same(found[name], Estimate(sample.estimates[name].value, low, high), 1e-11)
    some = sample.bootstrap(60, seed=4, only_grouped=True)
    assert some == ({name: found[name] for name in GROUPED} if grouped else {})


def test_the_bootstrap_repeats_by_its_seed() -> None:
    y, p, w = simulated(13)
    sample = metrics.Sample(y, p, w)
    assert sample.bootstrap(30, seed=1) == sample.bootstrap(30, seed=1)
    assert sample.bootstrap(30, seed=1)["auc"].low != sample.bootstrap(30, seed=2)["auc"].low


def test_the_bootstrap_of_independent_rows_is_about_the_interval_of_theory() -> None:
    y, p, w = simulated(14, 4000)
    for weights in (None, w):
        sample = metrics.Sample(y, p, weights, np.arange(4000))
        by_row = metrics.Sample(y, p, weights).bootstrap(400)
        by_group = sample.bootstrap(400)  # a row a group: the same draws
        for name in ("auc", "log_loss", "calibration_ratio"):
            theory = sample.estimates[name]
            width = (theory.high or 0) - (theory.low or 0)
            same(by_row[name], by_group[name])
            assert_allclose([by_row[name].low, by_row[name].high], [theory.low, theory.high], atol=0.12 * width)


def test_resampling_groups_sees_that_rows_of_a_group_are_alike() -> None:
    y, p, _ = simulated(15, 300, ties=False)
    copies = np.repeat(np.arange(300), 20)
    by_row = metrics.Sample(y[copies], p[copies]).bootstrap(200)["auc"]
    by_group = metrics.Sample(y[copies], p[copies], groups=copies).bootstrap(200)["auc"]
    alone = metrics.Sample(y, p).bootstrap(200)["auc"]
    assert_allclose([by_group.low, by_group.high], [alone.low, alone.high], rtol=1e-12)
    assert (by_group.high or 0) - (by_group.low or 0) > 3 * ((by_row.high or 0) - (by_row.low or 0))


def test_grouped_intervals_by_resampling_cover_the_truth() -> None:
    rng, hits = np.random.default_rng(16), 0
    truth = []
    for _ in range(120):
        bias = np.repeat(rng.normal(size=60), 10)
        y = (rng.random(600) < 0.4).astype(int)
        p = norm.cdf(bias + y + rng.normal(size=600))
        sample = metrics.Sample(y, p, groups=np.repeat(np.arange(60), 10))
        truth.append((sample.estimates["ndcg_at_5"].value or 0, sample.bootstrap(100)["ndcg_at_5"]))
    mean = float(np.mean([value for value, _ in truth]))
    hits = sum((e.low or 0) <= mean <= (e.high or 0) for _, e in truth)
    assert 0.88 <= hits / len(truth) <= 0.995


def test_a_metric_that_most_resamples_define_has_an_interval() -> None:
    y = np.array([1] + [0] * 99)
    p = np.linspace(1, 0, 100) ** 2
    found = metrics.Sample(y, p).bootstrap(100)
    assert found["auc"] == Estimate(1.0)  # a third of the resamples miss the only positive
    assert found["log_loss"].low is not None
    assert metrics.Sample([0, 0], [0.1, 0.2]).bootstrap(10)["auc"].why == "all 2 rows are negatives"
    assert metrics.Sample([1], [0.2]).bootstrap(10)["log_loss"].low is None
    nothing = metrics.Sample([], [], groups=[])
    assert nothing.bootstrap(10) == nothing.estimates


def test_a_bootstrap_needs_two_resamples() -> None:
    with pytest.raises(ConfigError, match="1 were asked for"):
        metrics.Sample([0, 1], [0.2, 0.3]).bootstrap(1)


# --- undefined metrics ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("label", "why"),
    [(0, "all 120 rows are negatives"), (1, "all 120 rows are positives")],
    ids=["negative", "positive"],
)
def test_one_class_leaves_metrics_undefined(label: int, why: str) -> None:
    found = evaluate([label] * 120, np.linspace(0, 1, 120), groups=[0, 1, 2] * 40)
    for name in ("auc", "normalized_entropy", "pr_auc"):
        assert found[name] == Estimate(None, why=why)
    assert found["grouped_auc"] == Estimate(None, why="none of the 3 groups has both classes")
    assert found["calibration_ratio"].why == (why if label == 0 else None)
    assert found["log_loss"].value is not None
    assert found["expected_calibration_error"].value is not None


@pytest.mark.parametrize(
    ("rows", "why"), [(([], [], []), "there are no rows"), (([0, 1], [0.1, 0.9], [0, 0]), "all 2 rows have weight 0")]
)
def test_no_rows_leave_every_metric_undefined(rows: tuple[list[float], ...], why: str) -> None:
    found = evaluate(*rows, groups=rows[0])
    assert set(found) == {*NAMES, *GROUPED}
    assert all(estimate == Estimate(None, why=why) for estimate in found.values())


def test_zero_weights_can_take_a_class_away() -> None:
    assert metrics.auc([0, 1, 0], [0.1, 0.2, 0.3], [1, 0, 1]).why == "all 2 rows are negatives"


def test_one_row_has_a_loss_but_no_interval() -> None:
    assert metrics.log_loss([1], [0.5]) == Estimate(math.log(2))
    assert metrics.log_loss([1, 0], [0.5, 0.1], [0.3, 0]) == Estimate(math.log(2))


# --- properties of all metrics ----------------------------------------------------------------------------------------


@given(data=rows(sure=()), seed=st.integers(0, 2**32 - 1))
def test_the_order_of_rows_does_not_matter(data: Rows, seed: int) -> None:
    y, p, w = data
    groups = np.arange(len(y)) % 3
    order = np.random.default_rng(seed).permutation(len(y))
    shuffled = evaluate(y[order], p[order], w[order], groups[order])
    for name, estimate in evaluate(y, p, w, groups).items():
        same(shuffled[name], estimate, 1e-9 if estimate.low is not None else 1e-12)


@given(data=rows(sure=(LABEL,)))
def test_rows_of_weight_zero_are_as_if_absent(data: Rows) -> None:
    y, p, w = data
    groups = np.arange(len(y)) % 3
    kept = w > 0
    assert evaluate(y, p, w, groups) == evaluate(y[kept], p[kept], w[kept], groups[kept])


@given(data=rows(weight=st.integers(1, 4).map(float), sure=(LABEL,)))
def test_a_whole_weight_is_worth_as_many_rows(data: Rows) -> None:
    y, p, w = data
    groups = np.arange(len(y)) % 3
    copies = np.repeat(np.arange(len(y)), w.astype(int))
    replicated = evaluate(y[copies], p[copies], groups=groups[copies])
    for name, estimate in evaluate(y, p, w, groups).items():
        if estimate.value is None:
            assert replicated[name].value is None
        elif not name.startswith("ndcg"):  # a copy takes a place of its own
            assert_allclose(estimate.value, replicated[name].value, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
def test_evaluate_is_every_metric_by_itself(weighted: bool) -> None:
    y, p, w = simulated(8)
    weights = w if weighted else None
    groups = np.arange(400) % 7
    found = evaluate(y, p, weights, groups)
    assert list(found) == [*NAMES, *GROUPED]
    assert list(evaluate(y, p, weights)) == NAMES
    assert {name: getattr(metrics, name)(y, p, weights) for name in NAMES} == evaluate(y, p, weights)
    assert metrics.grouped_auc(y, p, groups, weights) == found["grouped_auc"]


def test_inputs_are_not_modified() -> None:
    given_rows = (*simulated(9), np.arange(400) % 7)
    copies = [column.copy() for column in given_rows]
    evaluate(*given_rows)
    assert all((before == after).all() for before, after in zip(copies, given_rows, strict=True))


def test_an_estimate_becomes_json() -> None:
    y, p, w = simulated(10)
    for estimate in evaluate(y, p, w).values():
        found = json.loads(json.dumps(estimate.to_json()))
        assert found == {"value": estimate.value, "low": estimate.low, "high": estimate.high}
    assert metrics.auc([0], [0.5]).to_json() == {"value": None, "why": "all 1 rows are negatives"}


@pytest.mark.parametrize("arguments", [{"value": None}, {"value": 0.5, "why": "no reason"}])
def test_an_estimate_is_a_value_or_a_reason(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="a value or a reason"):
        Estimate(**arguments)


@pytest.mark.parametrize("name", MONITORS)
def test_a_monitor_prefers_the_better_model(name: str) -> None:
    y, p, _ = simulated(11, 2_000, ties=False)
    noise = np.random.default_rng(11).random(2_000)
    groups = np.arange(2_000) % 50
    monitor = MONITORS[name]
    good, bad = (evaluate(y, given, groups=groups)[name].value for given in (p, noise))
    assert good is not None
    assert bad is not None
    assert monitor.better(good, bad)
    assert not monitor.better(bad, good)
    assert not monitor.better(good, good)


# --- two defects of public implementations ----------------------------------------------------------------------------


def rare_clicks() -> tuple[np.ndarray, np.ndarray]:
    """Calibrated probabilities at a click rate of about 0.3 %."""
    rng = np.random.default_rng(12)
    p = 1 / (1 + np.exp(-rng.normal(-6.3, 1.0, 200_000)))
    return rng.random(len(p)) < p, p


def test_auc_is_not_binned_at_200_thresholds() -> None:
    y, p = rare_clicks()
    assert 0.002 < y.mean() < 0.004
    thresholds = np.linspace(0, 1, 200)
    hits = [(p[y] >= t).mean() for t in thresholds]
    alarms = [(p[~y] >= t).mean() for t in thresholds]
    binned = -np.trapezoid(hits, alarms)
    exact = metrics.auc(y, p).value
    assert exact is not None
    assert_allclose(exact, reference.roc_auc_score(y, p), rtol=1e-12)
    assert exact - binned > 0.01


def test_auc_is_not_averaged_over_batches() -> None:
    rng = np.random.default_rng(13)
    hour = np.repeat(np.arange(20), 500)  # rows come by time, and the click rate drifts
    p = 1 / (1 + np.exp(-rng.normal(hour / 4 - 4, 0.5)))
    y = rng.random(len(p)) < p
    averaged = np.mean([metrics.auc(y[hour == h], p[hour == h]).value for h in range(20)])
    whole = metrics.auc(y, p).value
    assert whole is not None
    assert_allclose(whole, reference.roc_auc_score(y, p), rtol=1e-12)
    assert whole - averaged > 0.05


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0, 1], [0.1]), r"one entry a row .* there are 2 labels, 1 probabilities; give arrays of one length"),
        (([0, 1], [0.1, 0.2], [1.0]), r"2 labels, 2 probabilities, 1 weights"),
        (([0, 1], [0.1, 0.2], None, ["a"]), r"2 labels, 2 probabilities, 1 groups"),
        (([0, 2], [0.1, 0.2]), r"labels are 0 or 1; row 1 \(the first is 0\) has 2; map them"),
        (([0.0, math.nan], [0.1, 0.2]), r"labels are 0 or 1; row 1 .* has nan"),
        (([-1, 1], [0.1, 0.2]), r"labels are 0 or 1; row 0 .* has -1"),
        ((["no", "yes"], [0.1, 0.2]), r"labels are a one-dimensional array of numbers; got an array of <U3"),
        (([0, 1], [[0.1, 0.2]]), r"probabilities are a one-dimensional .* shape \(1, 2\)"),
        (([0, 1], [0.1, 1.5]), r"probabilities lie in \[0, 1\]; row 1 .* has 1.5; apply the sigmoid"),
        (([0, 1], [-0.1, 0.5]), r"probabilities lie in \[0, 1\]; row 0 .* has -0.1"),
        (([0, 1], [0.1, math.nan]), r"probabilities lie in \[0, 1\]; row 1 .* has nan"),
        (([0, 1], [0.1, 0.2], [1, -1]), r"weights are finite and not negative; row 1 .* has -1; use 0"),
        (([0, 1], [0.1, 0.2], [math.nan, 1]), r"weights are finite and not negative; row 0 .* has nan"),
        (([0, 1], [0.1, 0.2], [1, math.inf]), r"weights are finite and not negative; row 1 .* has inf"),
        (([0, 1], [0.1, 0.2], None, ["a", None]), r"groups must be comparable with each other"),
        (([0, 1], [0.1, 0.2], None, [["a", "b"]]), r"groups are a one-dimensional array; got the shape \(1, 2\)"),
    ],
)
def test_what_breaks_a_rule_is_named(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(DataError, match=message):
        evaluate(*arguments)
