from __future__ import annotations

import re
import sys

import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from masknet.errors import ConfigError
from masknet.gbdt import OF_LIGHTGBM, SEARCH, TreeModel, train_lightgbm


def threshold(rows: int, *, seed: int, flipped: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """Codes 0 to 99 and a numeric with missing values; a click is a code above 60, unless the numeric is missing."""
    rng = np.random.default_rng(seed)
    code = rng.integers(100, size=rows)
    numeric = np.where(rng.random(rows) < 0.2, np.nan, rng.normal(size=rows))
    click = (code > 60) & ~np.isnan(numeric)
    return np.stack([code, numeric], axis=1), (click ^ (rng.random(rows) < flipped)).astype(np.int64)


def fit(*, rounds: int = 200, patience: int = 10, seed: int = 0, weights: np.ndarray | None = None) -> TreeModel:
    return train_lightgbm(
        *threshold(4000, seed=1),
        valid=threshold(1000, seed=2),
        weights=weights,
        max_rounds=rounds,
        patience=patience,
        seed=seed,
    )


def test_a_planted_threshold_and_a_missing_value_are_learned() -> None:
    x, y = threshold(2000, seed=3)
    p = fit().predict_proba(x)
    assert p.dtype == np.float64
    assert p.shape == (2000,)
    truth = np.where(threshold(2000, seed=3, flipped=0)[1] == 1, 0.9, 0.1)
    assert log_loss(y, p) < log_loss(y, truth) + 0.03
    edge = np.array([[60, 0.0], [61, 0.0], [61, np.nan]])
    assert (fit().predict_proba(edge) > 0.5).tolist() == [False, True, False]


def test_float32_is_read_too() -> None:
    x, y = threshold(2000, seed=3)
    trees = train_lightgbm(x.astype(np.float32), y.astype(np.float32), valid=(x.astype(np.float32), y), max_rounds=20)
    assert roc_auc_score(y, trees.predict_proba(x.astype(np.float32))) > 0.85


def test_same_seed_same_predictions() -> None:
    x, _ = threshold(500, seed=3)
    assert (fit(seed=5).predict_proba(x) == fit(seed=5).predict_proba(x)).all()


def test_it_stops_when_valid_stops_gaining() -> None:
    model = fit(rounds=400, patience=10)
    assert 1 < model.rounds < 300
    x, y = threshold(1000, seed=2)
    kept = log_loss(y, model.predict_proba(x))
    assert kept <= log_loss(y, fit(rounds=model.rounds + 10, patience=400).predict_proba(x)) + 1e-12


def test_where_nothing_stops_it_all_rounds_are_kept() -> None:
    assert fit(rounds=5).rounds == 5


def test_weights_count_rows() -> None:
    x, _ = threshold(4000, seed=1)
    without_missing = np.where(np.isnan(x[:, 1]), 0.0, 1.0)
    missing = np.array([[80, np.nan]])
    assert fit(weights=without_missing).predict_proba(missing) > fit().predict_proba(missing) + 0.1


def test_no_rows_no_predictions() -> None:
    assert fit(rounds=2).predict_proba(np.empty((0, 2))).shape == (0,)


def test_it_is_silent(capfd: pytest.CaptureFixture[str]) -> None:
    fit(rounds=20)
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""


def test_without_lightgbm_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with pytest.raises(ConfigError, match=r"pip install 'masknet\[trees\]'"):
        fit()


def test_lightgbm_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    """Its warnings go to standard output, where a result as JSON stands; only one of its threads knows to be quiet."""
    rng = np.random.default_rng(0)
    x = rng.choice(10**6, 30, replace=False)[rng.integers(0, 30, (5000, 8))].astype(np.float64)  # far between
    y = rng.integers(0, 2, 5000)
    train_lightgbm(x, y, valid=(x, y), categorical=range(8), max_rounds=3, threads=2).predict_proba(x)
    printed = capfd.readouterr()
    assert printed.out == printed.err == ""


def test_what_a_search_takes_for_lightgbms_defaults_they_are() -> None:
    said = dict(re.findall(r"^\[(\w+): (.*)\]$", fit(rounds=2).to_text(), flags=re.M))
    for name, value in OF_LIGHTGBM.items():
        assert float(said[name]) == value, name
    assert set(SEARCH) - set(OF_LIGHTGBM) == {"learning_rate", "num_leaves"}  # which a run says itself
