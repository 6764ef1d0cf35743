"""Differences of AUCs against a slow copy of their definitions: pair by pair, row by row."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from masknet.compare.statistics import LEVEL, Comparison, holm, over_seeds, power
from masknet.metrics import Estimate, Sample

Floats = NDArray[np.float64]


def log(rows: int, models: int, seeds: int, *, seed: int = 0, ties: bool = True) -> tuple[Floats, dict[str, list]]:
    """Labels, and the scores of models that are alike but for their noise; rounded, so that some are equal."""
    rng = np.random.default_rng(seed)
    labels = (rng.random(rows) < 0.3).astype(np.float64)
    known = labels + rng.normal(size=rows)
    scores: dict[str, list] = {}
    for i in range(models):
        own = known + 0.3 * rng.normal(size=rows)
        drawn = [1 / (1 + np.exp(-(own + (0.3 + 0.1 * i) * rng.normal(size=rows)))) for _ in range(seeds)]
        scores[f"m{i}"] = [one.round(2) if ties else one for one in drawn]
    return labels, scores


def slow(
    labels: Floats, own: Sequence[Floats], other: Sequence[Floats], weights: Floats | None = None
) -> tuple[float, float, float]:
    """The difference, the variance of the rows and that of the seeds, from the equations."""
    w = np.ones(len(labels)) if weights is None else weights
    clicks, rest = np.flatnonzero((labels == 1) & (w > 0)), np.flatnonzero((labels == 0) & (w > 0))

    def wins(scores: Floats, i: int, j: int) -> float:
        return 1.0 if scores[i] > scores[j] else 0.5 if scores[i] == scores[j] else 0.0

    differences, of_click, of_rest = [], np.zeros(len(clicks)), np.zeros(len(rest))
    for a, b in zip(own, other, strict=True):
        gap = np.array([[wins(a, i, j) - wins(b, i, j) for j in rest] for i in clicks])
        rows, columns = w[clicks] / w[clicks].sum(), w[rest] / w[rest].sum()
        differences.append(float(rows @ gap @ columns))
        of_click += gap @ columns / len(own)
        of_rest += rows @ gap / len(own)
    mean = sum(differences) / len(differences)
    variance = 0.0
    for placed, share in ((of_click, w[clicks] / w[clicks].sum()), (of_rest, w[rest] / w[rest].sum())):
        squares = float((share**2).sum())
        variance += sum(float(s**2 * (p - mean) ** 2) for s, p in zip(share, placed, strict=True)) / (1 - squares)
    spread = sum((d - mean) ** 2 for d in differences) / (len(differences) - 1) / len(differences)
    return mean, variance, spread


@pytest.mark.parametrize("weighted", [False, True])
def test_a_difference_and_its_variance_are_those_of_the_equations(weighted: bool) -> None:
    labels, scores = log(60, 3, 3)
    weights = np.random.default_rng(1).choice([0.0, 0.5, 1.0, 2.0], len(labels)) if weighted else None
    found = Comparison(labels, scores, weights=weights)
    for a, b in itertools.permutations(scores, 2):
        mean, of_rows, of_seeds = slow(labels, scores[a], scores[b], weights)
        difference = found.difference(a, b)
        assert difference.value == pytest.approx(mean, abs=1e-12)
        assert difference.error == pytest.approx(math.sqrt(of_rows + of_seeds), rel=1e-9)
        assert difference.freedom == pytest.approx((of_rows + of_seeds) ** 2 * 2 / of_seeds**2, rel=1e-6)


def test_predictions_are_not_averaged_over_seeds() -> None:
    labels, scores = log(300, 2, 3)
    found = Comparison(labels, scores)
    aucs = [Sample(labels, one).estimates["auc"].value for one in scores["m0"]]
    assert found.auc("m0") == pytest.approx(np.mean(aucs))
    averaged = Sample(labels, np.mean(scores["m0"], axis=0)).estimates["auc"].value
    assert averaged is not None
    assert averaged > found.auc("m0") + 0.003


def test_of_one_seed_the_test_is_delongs_own() -> None:
    labels, scores = log(400, 2, 1)
    found = Comparison(labels, scores).difference("m0", "m1")
    of_rows = Sample(labels, scores["m0"][0], baseline=scores["m1"][0]).estimates["auc_difference"]
    assert found.interval() == pytest.approx((of_rows.low, of_rows.high))
    assert found.freedom == math.inf


def test_a_model_in_production_has_one_seed_beside_several() -> None:
    labels, scores = log(200, 2, 3)
    one = {"m0": scores["m0"], "m1": scores["m1"][:1]}
    many = {"m0": scores["m0"], "m1": scores["m1"][:1] * 3}
    alone, repeated = (Comparison(labels, given).difference("m0", "m1") for given in (one, many))
    assert alone.error == pytest.approx(repeated.error)
    assert alone.value == pytest.approx(repeated.value)


def test_resamples_give_the_variance_of_delong() -> None:
    labels, scores = log(400, 2, 1)
    exact, drawn = (Comparison(labels, scores, resamples=n).difference("m0", "m1") for n in (0, 1500))
    assert drawn.value == exact.value
    assert drawn.error == pytest.approx(exact.error, rel=0.1)


def test_rows_of_one_group_are_drawn_together() -> None:
    labels, scores = log(200, 2, 1)
    often = {name: [np.tile(one, 4) for one in seeds] for name, seeds in scores.items()}
    apart = Comparison(np.tile(labels, 4), often).difference("m0", "m1")
    together = Comparison(np.tile(labels, 4), often, groups=np.tile(np.arange(200), 4), resamples=1500).difference(
        "m0", "m1"
    )
    once = Comparison(labels, scores).difference("m0", "m1")
    assert together.error == pytest.approx(once.error, rel=0.1)
    assert apart.error == pytest.approx(once.error / 2, rel=0.05)


def test_the_best_is_held_against_all_and_corrected_for_all_pairs() -> None:
    labels, scores = log(400, 4, 1)
    found = Comparison(labels, scores)
    best = max(scores, key=found.auc)
    assert found.best == best
    raw = {pair: found.difference(*pair).p for pair in itertools.combinations(scores, 2)}
    corrected = holm(raw)
    for name in set(scores) - {best}:
        pair = (name, best) if (name, best) in raw else (best, name)
        difference = found.difference(name)
        assert difference.comparisons == 6
        assert difference.corrected == pytest.approx(corrected[pair])
        assert difference.tie == (difference.corrected >= LEVEL)


def test_two_equal_rankings_are_a_tie() -> None:
    labels, scores = log(100, 1, 2)
    found = Comparison(labels, {"a": scores["m0"], "b": [one / 2 for one in scores["m0"]]}).difference("b", "a")
    assert (found.value, found.error, found.p, found.tie) == (0.0, 0.0, 1.0, True)


def test_of_one_row_a_class_nothing_is_told() -> None:
    found = Comparison(np.array([1, 0, 0]), {"a": [np.array([0.9, 0.1, 0.2])], "b": [np.array([0.1, 0.5, 0.2])]})
    difference = found.difference("b", "a")
    assert difference.tie
    assert difference.interval() is None
    assert difference.detectable is None
    assert difference.to_json()["p"] is None


def test_a_detectable_difference_is_one_that_power_finds_in_four_of_five() -> None:
    labels, scores = log(400, 3, 1)
    difference = Comparison(labels, scores).difference("m0", "m1")
    assert difference.detectable is not None
    assert power(difference.detectable, difference.error, comparisons=3) == pytest.approx(0.8, abs=1e-6)


def test_a_metric_over_seeds_is_the_mean_with_the_spread_of_the_seeds() -> None:
    found = over_seeds([Estimate(0.70, 0.68, 0.72), Estimate(0.74, 0.72, 0.76), Estimate(0.72, 0.70, 0.74)])
    assert found.value == pytest.approx(0.72)
    assert found.low is not None
    assert found.low < 0.70
    near = [Estimate(0.99, 0.97, 1.0), Estimate(0.95, 0.94, 0.97)]
    assert over_seeds(near, most=1.0).high == 1.0
    assert over_seeds([Estimate(0.5, 0.4, 0.6)]) == Estimate(0.5, 0.4, 0.6)
    assert over_seeds([Estimate(0.5), Estimate(0.7)]) == Estimate(0.6)
    assert over_seeds([Estimate(0.5), Estimate(None, why="there are no rows")]).why == "there are no rows"
