"""scikit-learn's own checks, and its tools at work on `CTRClassifier`."""

from __future__ import annotations

import pickle
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.exceptions import DataConversionWarning
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from masknet import ConfigError, CTRClassifier, DataError, load
from masknet.datasets import planted_log
from masknet.figures import shown as as_shown

SCRIPT = runpy.run_path(str(Path(__file__).parents[1] / "benchmarks" / "sklearn_checks.py"))
SMALL = {"embedding_dim": 2, "block_dims": (4,), "top_dims": (4,)}
ROWS = 600


@parametrize_with_checks(
    list(SCRIPT["ESTIMATORS"].values()), expected_failed_checks=lambda _: SCRIPT["EXPECTED_FAILURES"]
)
def test_the_checks_of_scikit_learn(
    estimator: CTRClassifier, check: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    check(estimator)


@pytest.fixture(scope="module")
def log() -> pl.DataFrame:
    return planted_log(ROWS, seed=1)[0].drop("timestamp")


@pytest.fixture(scope="module")
def frame(log: pl.DataFrame) -> pd.DataFrame:
    return log.drop("click").to_pandas()


@pytest.fixture(scope="module")
def labels(log: pl.DataFrame) -> NDArray[np.int64]:
    return log["click"].to_numpy().astype(np.int64)


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., CTRClassifier]:
    cache = str(tmp_path_factory.mktemp("cache"))

    def make(model: Any = "parallel-masknet", **settings: Any) -> CTRClassifier:
        own = {"epochs": 1, "members": 1, "batch_size": 128, "device": "cpu", "threads": 1, "cache_dir": cache}
        return CTRClassifier(
            model, **{"model_settings": SMALL if model == "parallel-masknet" else None, **own, **settings}
        )

    return make


Make = Callable[..., CTRClassifier]


# The tools


def test_in_a_pipeline_behind_arrays(make: Make) -> None:
    numbers = np.random.default_rng(0).normal(5, 3, size=(300, 3))
    classes = np.where(numbers[:, 0] > 5, "yes", "no")
    pipeline = make_pipeline(StandardScaler(), make("lr", epochs=10, batch_size=16, learning_rate=0.05))
    assert pipeline.fit(numbers, classes).score(numbers, classes) > 0.8
    assert pipeline[-1].n_features_in_ == 3
    assert not hasattr(pipeline[-1], "feature_names_in_")


def test_cross_validation(make: Make, frame: pd.DataFrame, labels: NDArray[np.int64]) -> None:
    more = planted_log(5000, seed=1)[0].drop("timestamp")  # most of it is in products: of 600 rows a sum sees nothing
    rows, clicks = more.drop("click").to_pandas(), more["click"].to_numpy()
    scores = cross_val_score(make("lr", epochs=3, numeric_encoding="linear"), rows, clicks, cv=3, scoring="roc_auc")
    assert scores.shape == (3,)
    assert (scores > 0.5).all()
    assert len(cross_val_score(make("lr"), pl.from_pandas(frame), labels, cv=2)) == 2


def test_a_grid_search_over_the_network_in_two_processes(
    make: Make, frame: pd.DataFrame, labels: NDArray[np.int64]
) -> None:
    search = GridSearchCV(
        make(), {"model__reduction": [0.5, 2.0]}, cv=2, n_jobs=2, scoring="roc_auc", error_score="raise"
    ).fit(frame, labels)
    assert [p["model__reduction"] for p in search.cv_results_["params"]] == [0.5, 2.0]
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    best = search.best_estimator_
    assert best.model_settings == {**SMALL, **{k.removeprefix("model__"): v for k, v in search.best_params_.items()}}
    narrow, wide = (clone(search.estimator).set_params(model__reduction=r).fit(frame, labels) for r in (0.5, 2.0))
    parameters = [sum(p.numel() for p in c.network_.parameters()) for c in (narrow, wide)]
    assert parameters[0] < parameters[1]
    assert search.predict_proba(frame).shape == (ROWS, 2)


def test_numbers_of_numpy_are_numbers(make: Make, frame: pd.DataFrame, labels: NDArray[np.int64]) -> None:
    drawn = {"seed": np.int64(3), "learning_rate": np.float64(0.01), "model__embedding_dim": np.int64(3)}
    fitted = make().set_params(**drawn).fit(frame, labels)
    assert fitted.network_.embedding.table.weight.shape[1] == 3
    assert fitted._model.run["seed"] == 3


def test_a_calibrated_classifier(make: Make, frame: pd.DataFrame, labels: NDArray[np.int64]) -> None:
    weights = np.linspace(0.5, 2, ROWS)
    calibrated = CalibratedClassifierCV(make("lr", epochs=2), cv=2).fit(frame, labels, sample_weight=weights)
    probabilities = calibrated.predict_proba(frame)[:, 1]
    assert 0 < probabilities.min() < probabilities.max() < 1
    assert abs(np.average(probabilities, weights=weights) - np.average(labels, weights=weights)) < 0.1


def test_a_fitted_classifier_survives_pickling(
    make: Make, frame: pd.DataFrame, labels: NDArray[np.int64], tmp_path: Path
) -> None:
    fitted = make().fit(frame, labels)
    copy = pickle.loads(pickle.dumps(fitted))  # noqa: S301 -- our own, just made
    assert copy.predict_proba(frame).tolist() == fitted.predict_proba(frame).tolist()
    copy.save(tmp_path / "m")
    assert load(tmp_path / "m").predict_proba(frame).tolist() == fitted.predict_proba(frame).tolist()


# The keywords of the network as settings


def test_the_keywords_of_the_network_are_settings() -> None:
    classifier = CTRClassifier("parallel-masknet", model_settings={"dropout": 0.5})
    params = classifier.get_params()
    assert (params["model__dropout"], params["model__reduction"]) == (0.5, 2.0)
    assert not [name for name in classifier.get_params(deep=False) if "__" in name]
    classifier.set_params(model__reduction=3.0, seed=4)
    assert classifier.model_settings == {"dropout": 0.5, "reduction": 3.0}
    classifier.set_params(model_settings={"reduction": 5.0}, model__dropout=0.1)
    assert classifier.get_params()["model__reduction"] == 5.0
    assert clone(classifier).get_params() == classifier.get_params()
    assert clone(classifier).model_settings == {"reduction": 5.0, "dropout": 0.1}


def test_the_settings_given_are_not_written_into() -> None:
    given = {"dropout": 0.5}
    CTRClassifier(model_settings=given).set_params(model__dropout=0.1)
    assert given == {"dropout": 0.5}


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"model__reducton": 1.0}, "option of parallel-masknet 'reducton'; did you mean 'reduction'"),
        ({"epoch": 1}, "setting 'epoch'; did you mean 'epochs'"),
        ({"model": "lr", "model__reduction": 1.0}, "unknown option of lr .reduction.; known: bias"),
    ],
)
def test_an_unknown_setting_changes_nothing(params: dict[str, Any], message: str) -> None:
    classifier = CTRClassifier()
    with pytest.raises(ConfigError, match=message):
        classifier.set_params(seed=9, **params)
    assert classifier.get_params() == CTRClassifier().get_params()


def test_settings_of_an_unknown_network_wait_for_fit() -> None:
    classifier = CTRClassifier("no-such-model").set_params(model__depth=3)
    assert classifier.get_params()["model__depth"] == 3


# Arrays


def test_an_array_counts_by_place(make: Make, tmp_path: Path) -> None:
    numbers = np.random.default_rng(0).normal(size=(200, 4))
    numbers[:, 2] = 1  # constant: read by no model, and counted all the same
    numbers[5, 1] = np.nan
    classes = (numbers[:, 0] > 0).astype(int)
    fitted = make("lr").fit(numbers, classes, eval_set=(numbers, classes))
    expected = fitted.predict_proba(numbers)
    assert fitted.predict_proba(numbers.tolist()).tolist() == expected.tolist()
    assert fitted.predict_proba(pd.DataFrame(numbers)).tolist() == expected.tolist()
    fitted.save(tmp_path / "m")
    for classifier in (fitted, CTRClassifier.load(tmp_path / "m"), load(tmp_path / "m")):
        assert classifier.n_features_in_ == 4
        assert not hasattr(classifier, "feature_names_in_")
        assert classifier.predict_proba(numbers).tolist() == expected.tolist()
        with pytest.raises(DataError, match="X has 3 features, but CTRClassifier is expecting 4 features"):
            classifier.predict(numbers[:, :3])
    with pytest.raises(DataError, match="X has 3 features"):
        make("lr").fit(numbers, classes, eval_set=(numbers[:, :3], classes))


def test_names_of_columns_come_and_go_with_the_last_fit(
    make: Make, frame: pd.DataFrame, labels: NDArray[np.int64]
) -> None:
    classifier = make("lr").fit(frame, labels)
    assert classifier.feature_names_in_.tolist() == list(frame.columns)
    with pytest.raises(DataError, match="give X as a frame with the columns user, "):
        classifier.predict(frame.to_numpy())
    classifier.fit(frame.to_numpy(), labels)
    assert not hasattr(classifier, "feature_names_in_")
    assert len(classifier.predict(frame.to_numpy())) == ROWS


def test_lists_of_texts_and_numbers_keep_both(make: Make) -> None:
    rows = [[i % 7, "a" if i % 2 else "b", i / 10] for i in range(100)]
    fitted = make("lr").fit(rows, ["yes" if i % 2 else "no" for i in range(100)])
    kinds = [field.kind for field in fitted._model.encoder.schema.fields]
    assert kinds == ["categorical", "categorical", "numeric"]
    assert fitted.predict(rows).tolist() == fitted.predict(np.array(rows, dtype=object)).tolist()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([1.0, 2.0], "Reshape your data"),
        (np.zeros((2, 2, 2)), "Reshape your data"),
        ([[1, 2], [3]], "equally many columns"),
        (np.zeros((2, 0)), r"0 feature\(s\) \(shape=\(2, 0\)\)"),
        (np.zeros((2, 1), dtype=complex), "Complex data not supported"),
    ],
)
def test_arrays_that_are_no_table(make: Make, rows: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        make("lr").fit(rows, [0, 1])


def test_a_column_of_labels_warns(make: Make, frame: pd.DataFrame, labels: NDArray[np.int64]) -> None:
    with pytest.warns(DataConversionWarning, match="A column-vector y was passed"):
        column = make("lr").fit(frame, labels[:, None])
    assert column.predict_proba(frame).tolist() == make("lr").fit(frame, labels).predict_proba(frame).tolist()


# The notebook


def test_a_notebook_shows_what_was_trained(make: Make, frame: pd.DataFrame, labels: NDArray[np.int64]) -> None:
    classifier = make(members=2)
    assert "masknet-facts" not in classifier._repr_html_()
    fitted = classifier.fit(frame.rename(columns={"site": "<b>"}), labels)
    parameters = sum(p.numel() for p in fitted.network_.parameters())
    for shown in (fitted._repr_html_(), fitted._repr_mimebundle_()["text/html"]):
        assert "CTRClassifier" in shown
        facts = shown[shown.index('<table class="masknet-facts">') :]
        assert f"{parameters:,} (" in facts
        assert '">2</td>' in facts
        for name in ("auc", "log_loss"):
            value, interval = as_shown(fitted.metrics_[name])
            assert f"{value} ({interval})" in facts
        assert "540 to train on, 60 to validate on" in facts
