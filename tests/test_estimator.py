"""`CTRClassifier`: one engine behind every face, and settings that mean what they mean on the command line."""

from __future__ import annotations

import inspect
import json
import logging
import re
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
import pytest
import scipy.sparse
import torch
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.datasets import dump_svmlight_file
from sklearn.exceptions import NotFittedError
from torch import nn

from masknet import ArtifactError, ConfigError, CTRClassifier, DataError, load
from masknet.config import RunConfig
from masknet.datasets import planted_log
from masknet.progress import LogProgress
from masknet.train import train

ROWS = 2500
SMALL = {"embedding_dim": 4, "block_dims": [8, 8], "top_dims": [8], "reduction": 1.0}


@pytest.fixture(scope="module")
def log() -> pl.DataFrame:
    return planted_log(ROWS, seed=1)[0].drop("timestamp")


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., CTRClassifier]:
    """A classifier that is quick to train; settings may be changed."""
    cache = tmp_path_factory.mktemp("cache")

    def make(model: str = "lr", **settings: Any) -> CTRClassifier:
        plain = {"epochs": 1, "members": 1, "evaluations": 1, "device": "cpu", "threads": 1, "cache_dir": cache}
        return CTRClassifier(model, **plain | settings)

    return make


@pytest.fixture(scope="module")
def fitted(log: pl.DataFrame, make: Callable[..., CTRClassifier]) -> CTRClassifier:
    return make("parallel-masknet", model_settings=SMALL, epochs=2, batch_size=64, learning_rate=0.01).fit(log, "click")


def click_probabilities(classifier: CTRClassifier, rows: Any) -> NDArray[np.float64]:
    return classifier.predict_proba(rows)[:, 1]


def assert_same_network(a: CTRClassifier, b: CTRClassifier) -> None:
    assert a.network_.state_dict().keys() == b.network_.state_dict().keys()
    for name, tensor in a.network_.state_dict().items():
        assert torch.equal(tensor, b.network_.state_dict()[name]), name


# Settings


def test_the_settings_are_those_of_a_run_file() -> None:
    parameters = dict(inspect.signature(CTRClassifier).parameters)
    assert parameters.pop("model_settings").default is None
    assert parameters.pop("pretrained").default is None  # as a mapping would be one for all
    one_value = {
        name
        for name, field in RunConfig.model_fields.items()
        for choice in (field.annotation, *typing.get_args(field.annotation))
        if typing.get_origin(choice) is Literal and len(typing.get_args(choice)) == 1
    }
    said_otherwise = {"data", "label", "valid", "set", "pretrained"}  # X, y, eval_set, model_settings
    of_a_folder = {"out", "overwrite", "resume", "json_output", "checkpoint_minutes", "tensorboard"}
    assert set(parameters) == set(RunConfig.model_fields) - one_value - said_otherwise - of_a_folder
    for name, parameter in parameters.items():
        default = RunConfig.model_fields[name].default
        default = None if default == {} else default
        assert parameter.default == default, name
        assert type(parameter.default) is type(default), name


@pytest.mark.parametrize("said", [["price, EUR"], "price, EUR"])
def test_names_of_columns_are_said_verbatim(said: Any, make: Callable[..., CTRClassifier]) -> None:
    log = planted_log(300, seed=1)[0].rename({"price": "price, EUR", "device": " device"})
    fitted = make(ignore=said, hash={" device": 5}).fit(log, "click")
    assert set(log.columns) - set(fitted.feature_names_in_) == {"click", "price, EUR"}
    with pytest.raises(DataError, match="unknown column 'device'; did you mean ' device'"):
        make(ignore="user, device").fit(log, "click")


def test_pretrained_vectors_are_settings_too(log: pl.DataFrame, tmp_path: Path) -> None:
    users = log["user"].unique().to_list()
    vectors = tmp_path / "users.parquet"
    pl.DataFrame({"user": users, "vector": [[0.5, -0.25]] * len(users)}).write_parquet(vectors)
    classifier = CTRClassifier(
        model_settings={"embedding_dim": 2, "block_dims": [4], "top_dims": [4]},
        pretrained={"user": vectors},
        freeze="user",
        epochs=1,
        members=1,
        cache_dir=tmp_path / "cache",
        threads=1,
    ).fit(log, "click")
    classifier.save(tmp_path / "m")
    assert CTRClassifier.load(tmp_path / "m").pretrained == {"user": str(vectors)}
    table = classifier.network_.embedding.table.weight
    assert (table == torch.tensor([0.5, -0.25])).all(dim=1).sum() > 5


def test_the_constructor_stores_what_it_is_given_and_checks_nothing() -> None:
    ignored = ["a", "b"]
    classifier = CTRClassifier("no-such-model", ignore=ignored, epochs=-1)
    assert classifier.ignore is ignored
    assert classifier.get_params()["epochs"] == -1


def test_settings_are_checked_when_fitting(log: pl.DataFrame, make: Callable[..., CTRClassifier]) -> None:
    with pytest.raises(ConfigError, match=r"'epochs' setting must be .* got -1"):
        make(epochs=-1).fit(log, "click")
    with pytest.raises(ConfigError, match="did you mean 'parallel-masknet'"):
        make("paralel-masknet").fit(log, "click")
    with pytest.raises(ConfigError, match="did you mean 'reduction'"):
        make("parallel-masknet", model_settings={"reducton": 2.0}).fit(log, "click")


def test_clone_and_params(fitted: CTRClassifier, log: pl.DataFrame) -> None:
    twin = clone(fitted)
    assert twin.get_params() == fitted.get_params()
    with pytest.raises(NotFittedError):
        twin.predict_proba(log)
    assert twin.set_params(seed=7, learning_rate=0.1) is twin
    assert (twin.seed, twin.learning_rate, fitted.seed) == (7, 0.1, 0)


def test_model_settings_reach_the_network(fitted: CTRClassifier) -> None:
    from masknet.models import ParallelMaskNet

    assert isinstance(fitted.network_, ParallelMaskNet)
    assert fitted.network_.embedding.table.weight.shape[1] == SMALL["embedding_dim"]
    assert [block.d_out for block in fitted.network_.blocks] == SMALL["block_dims"]
    assert fitted.network_.head.in_features == 8


# Fitting


def test_what_is_known_after_fit(fitted: CTRClassifier, log: pl.DataFrame) -> None:
    assert fitted.classes_.tolist() == [0, 1]
    assert fitted.feature_names_in_.tolist() == [name for name in log.columns if name != "click"]
    assert fitted.n_features_in_ == 8
    assert [record["epoch"] for record in fitted.history_] == [1, 2]
    assert 0.5 < fitted.metrics_["auc"]["value"] < 1
    assert not fitted.network_.training
    shape = fitted.predict_proba(log)
    assert shape.dtype == np.float64
    assert shape.shape == (ROWS, 2)
    np.testing.assert_allclose(shape.sum(axis=1), 1)


def test_a_path_and_a_frame_train_the_same_network(
    log: pl.DataFrame, make: Callable[..., CTRClassifier], fitted: CTRClassifier, tmp_path: Path
) -> None:
    file = tmp_path / "train.parquet"
    log.write_parquet(file)
    from_path = clone(fitted).fit(file, "click")
    assert_same_network(from_path, fitted)
    assert click_probabilities(from_path, str(file)).tolist() == click_probabilities(fitted, log).tolist()


@pytest.mark.parametrize("kind", ["polars", "pandas", "numpy", "list", "arrow"])
def test_labels_beside_the_table_and_in_it_train_the_same_network(
    log: pl.DataFrame, make: Callable[..., CTRClassifier], kind: str
) -> None:
    series = log["click"]
    labels: Any = {
        "polars": lambda: series,
        "pandas": lambda: series.to_pandas(),
        "numpy": lambda: series.to_numpy(),
        "list": lambda: series.to_list(),
        "arrow": lambda: series.to_arrow(),
    }[kind]()
    beside = make().fit(log.drop("click"), labels)
    assert_same_network(beside, make().fit(log, "click"))
    assert beside.classes_.tolist() == [0, 1]


def test_labels_may_lie_beside_files(log: pl.DataFrame, make: Callable[..., CTRClassifier], tmp_path: Path) -> None:
    for i, part in enumerate(log.iter_slices(ROWS // 2)):
        part.drop("click").write_csv(tmp_path / f"part-{i}.csv")
    assert_same_network(make().fit(tmp_path, log["click"]), make().fit(log, "click"))


def test_a_column_called_label_is_no_label(log: pl.DataFrame, make: Callable[..., CTRClassifier]) -> None:
    table = log.drop("click").rename({"ad": "label", "user": "sample_weight"})
    fitted = make().fit(table, log["click"].to_list(), sample_weight=np.ones(ROWS))
    assert fitted.feature_names_in_.tolist() == table.columns
    assert len(click_probabilities(fitted, table)) == ROWS


def test_an_eval_set_is_a_path_a_frame_or_a_pair(
    log: pl.DataFrame, make: Callable[..., CTRClassifier], tmp_path: Path
) -> None:
    rows, valid = log[:2000], log[2000:]
    file = tmp_path / "valid.parquet"
    valid.write_parquet(file)
    first = make().fit(rows, "click", eval_set=file)
    pair = (valid.drop("click"), valid["click"].to_numpy())
    for other in (
        make().fit(rows, "click", eval_set=valid),
        make().fit(rows, "click", eval_set=pair),
        make().fit(rows, "click", eval_set=(valid, "click")),
        make().fit(rows.drop("click"), rows["click"], eval_set=pair),
        make().fit(rows.drop("click"), rows["click"], eval_set=valid),
        make().fit(rows.drop("click"), rows["click"].to_list(), eval_set=pair),
    ):
        assert_same_network(other, first)
        assert other.metrics_ == first.metrics_
    assert first.metrics_ != make().fit(rows, "click").metrics_


@pytest.mark.parametrize(
    ("values", "kind"), [(np.array([False, True]), "b"), (np.array(["buy", "leave"]), "U"), (np.array([-1, 1]), "i")]
)
def test_any_two_labels(
    log: pl.DataFrame, make: Callable[..., CTRClassifier], values: NDArray[Any], kind: str, tmp_path: Path
) -> None:
    table, labels = log.drop("click"), values[log["click"].to_numpy()]
    fitted = make().fit(table, labels.tolist())
    fitted.save(tmp_path / "m")
    for classifier in (fitted, CTRClassifier.load(tmp_path / "m"), load(tmp_path / "m")):
        assert classifier.classes_.tolist() == values.tolist()
        predicted = classifier.predict(table)
        assert predicted.dtype.kind == kind
        expected = values[(click_probabilities(classifier, table) > 0.5).astype(int)]
        assert predicted.tolist() == expected.tolist()
    assert_same_network(fitted, make().fit(log, "click"))


def test_sample_weights_count(log: pl.DataFrame, make: Callable[..., CTRClassifier]) -> None:
    weights = np.where(log["click"] == 1, 5.0, 1.0)
    plain = make(learning_rate=0.02).fit(log, "click")
    weighted = make(learning_rate=0.02).fit(log, "click", sample_weight=weights)
    assert click_probabilities(weighted, log).mean() > click_probabilities(plain, log).mean() + 0.05
    column = make(learning_rate=0.02, weight="w").fit(log.with_columns(w=weights), "click")
    assert_same_network(weighted, column)
    valid = log[2000:]
    beside = make(learning_rate=0.02).fit(log[:2000], "click", sample_weight=weights[:2000], eval_set=valid)
    ones = log[:2000].with_columns(w=weights[:2000])
    column = make(learning_rate=0.02, weight="w").fit(ones, "click", eval_set=valid.with_columns(w=1.0))
    assert_same_network(beside, column)


def test_a_model_trained_with_sample_weights_needs_no_weights_later(
    log: pl.DataFrame, make: Callable[..., CTRClassifier], tmp_path: Path
) -> None:
    fitted = make().fit(log, "click", sample_weight=np.linspace(0, 2, ROWS))
    fitted.save(tmp_path / "m")
    loaded = CTRClassifier.load(tmp_path / "m")
    assert loaded.weight is None
    assert json.loads((tmp_path / "m" / "encoding.json").read_text())["schema"]["weight"] is None
    assert_same_network(loaded.fit(log, "click", sample_weight=np.linspace(0, 2, ROWS)), fitted)


def test_frames_and_arrays_are_left_as_they_were(log: pl.DataFrame, make: Callable[..., CTRClassifier]) -> None:
    frame, labels, weights = log.drop("click").to_pandas(), log["click"].to_numpy().copy(), np.ones(ROWS)
    before = frame.copy(), labels.copy(), weights.copy()
    make().fit(frame, labels, sample_weight=weights, eval_set=(frame, labels)).predict(frame)
    assert frame.equals(before[0])
    assert labels.tolist() == before[1].tolist()
    assert weights.tolist() == before[2].tolist()


def test_fit_prints_nothing(log: pl.DataFrame, make: Callable[..., CTRClassifier], capfd: Any) -> None:
    make().fit(log, "click")
    assert capfd.readouterr() == ("", "")


def test_settings_of_fields_reach_the_encoding(
    log: pl.DataFrame, make: Callable[..., CTRClassifier], tmp_path: Path
) -> None:
    tagged = log.with_columns(tags=pl.Series(["a;b" if i % 3 else "c" for i in range(ROWS)]))
    fitted = make(bag="tags", separator={"tags": ";"}, hash={"user": 16}, numeric_encoding="knots").fit(tagged, "click")
    kinds = {field.name: field.kind for field in fitted._model.encoder.schema.fields}
    assert kinds["tags"] == "bag"
    fitted.save(tmp_path / "m")
    loaded = CTRClassifier.load(tmp_path / "m")
    assert (loaded.separator, loaded.hash, loaded.share) == ({"tags": ";"}, {"user": 16}, None)
    assert click_probabilities(loaded, tagged).tolist() == click_probabilities(fitted, tagged).tolist()
    assert_same_network(loaded.fit(tagged, "click"), fitted)


# Scoring


def test_every_kind_of_rows_scores_alike(fitted: CTRClassifier, log: pl.DataFrame, tmp_path: Path) -> None:
    rows = log.drop("click")
    expected = click_probabilities(fitted, rows)
    rows.write_csv(tmp_path / "rows.csv")
    shuffled = rows.select(reversed(rows.columns)).with_columns(another=1)
    for other in (rows.to_pandas(), rows.to_arrow(), rows.to_dicts(), tmp_path / "rows.csv", shuffled, log):
        assert click_probabilities(fitted, other).tolist() == expected.tolist(), type(other)


def test_unseen_and_missing_values_are_scored(fitted: CTRClassifier, log: pl.DataFrame) -> None:
    row = log.drop("click").row(0, named=True)
    known, unseen, missing, empty = click_probabilities(
        fitted, [row, {**row, "user": 10**30, "site": "nowhere"}, {**row, "price": None}, dict.fromkeys(row)]
    )
    assert all(0 < p < 1 for p in (known, unseen, missing, empty))
    assert unseen != known != missing


def test_no_rows_give_no_probabilities(fitted: CTRClassifier, log: pl.DataFrame) -> None:
    assert fitted.predict_proba(log[:0]).shape == (0, 2)
    assert fitted.predict(log[:0]).shape == (0,)


def test_a_missing_column_is_named(fitted: CTRClassifier, log: pl.DataFrame) -> None:
    with pytest.raises(DataError, match="'price' is missing from the frame"):
        fitted.predict_proba(log.drop("price"))


def test_before_fit_there_is_nothing_to_score_or_save(log: pl.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(NotFittedError):
        CTRClassifier().predict_proba(log)
    with pytest.raises(NotFittedError):
        CTRClassifier().predict(log)
    with pytest.raises(NotFittedError):
        CTRClassifier().save(tmp_path / "m")
    assert not list(tmp_path.iterdir())


def test_values_that_training_never_saw_are_told_once(fitted: CTRClassifier, log: pl.DataFrame, tmp_path: Path) -> None:
    other = log.head(100).with_columns(user=pl.col("user").cast(pl.String) + "x", ad=pl.col("ad").cast(pl.String) + "x")
    fitted.save(tmp_path / "m")
    for classifier in (fitted, load(tmp_path / "m")):
        with pytest.warns(UserWarning, match=r"100 % of the values were never seen in training \(") as told:
            classifier.predict_proba(other)
        assert len(told) == 1
        assert [line.split(":")[0] for line in str(told[0].message).splitlines()] == ["user", "ad"]
        assert told[0].filename == __file__
        classifier.predict_proba(other.head(1))  # by itself, a row that is unlike is no sign of anything
        classifier.predict_proba(other.head(19).to_dicts())
        with pytest.warns(UserWarning, match="100 % of the values were never seen in training"):
            classifier.predict_proba(other.head(20).to_dicts())
        classifier.predict_proba(log)


@pytest.mark.parametrize("said", ["at=%d.%m.%Y %H:%M", ["at=%d.%m.%Y %H:%M"], {"at": "%d.%m.%Y %H:%M"}])
def test_moments_of_a_format(said: Any, log: pl.DataFrame, make: Callable[..., CTRClassifier], tmp_path: Path) -> None:
    at = pl.datetime(2026, 1, 1) + pl.duration(minutes=7 * pl.int_range(pl.len()))
    typed = log.with_columns(at=at)
    written = typed.with_columns(pl.col("at").dt.strftime("%d.%m.%Y %H:%M"))
    classifier = make(datetime=said).fit(written, "click")
    classifier.save(tmp_path / "m")
    loaded = CTRClassifier.load(tmp_path / "m")
    assert loaded.datetime == ("at=%d.%m.%Y %H:%M",)
    assert click_probabilities(loaded, written).tolist() == click_probabilities(classifier, typed).tolist()
    with pytest.raises(DataError, match=r"here as %d\.%m\.%Y %H:%M; column 'at' holds '1/2/2026'"):
        loaded.predict_proba(written.with_columns(at=pl.lit("1/2/2026")))


def test_fit_warns_of_moments_beside_a_random_split(
    log: pl.DataFrame, make: Callable[..., CTRClassifier], caplog: pytest.LogCaptureFixture
) -> None:
    dated = log.with_columns(at=pl.datetime(2026, 1, 1) + pl.duration(minutes=7 * pl.int_range(pl.len())))
    with caplog.at_level("WARNING", logger="masknet"):
        make().fit(dated, "click")
        assert "'at' is taken for datetime (dates and times; time splits by it): look whether it is" in caplog.text
        caplog.clear()
        make(time="at", datetime="at").fit(dated, "click")
        make().fit(dated, "click", eval_set=dated)
        assert "'at'" not in caplog.text


# Saving


def test_a_loaded_model_is_the_saved_one(fitted: CTRClassifier, log: pl.DataFrame, tmp_path: Path) -> None:
    fitted.save(tmp_path / "ads.masknet")
    loaded = CTRClassifier.load(tmp_path / "ads.masknet")
    assert click_probabilities(loaded, log).tolist() == click_probabilities(fitted, log).tolist()
    assert_same_network(loaded, fitted)
    assert loaded.metrics_ == fitted.metrics_
    assert loaded.history_ == fitted.history_
    assert loaded.feature_names_in_.tolist() == fitted.feature_names_in_.tolist()
    assert_decided(loaded, fitted)


def assert_decided(loaded: CTRClassifier, fitted: CTRClassifier) -> None:
    """What was said is kept, and what was left open is decided."""
    said = {name: value for name, value in fitted.get_params().items() if value is not None}
    said |= {"cache_dir": str(fitted.cache_dir)}
    decided = loaded.get_params()
    assert decided.pop("model_settings").items() >= said.pop("model_settings").items()
    assert {name: decided[name] for name in said if not name.startswith("model__")} == {
        name: value for name, value in said.items() if not name.startswith("model__")
    }
    assert (decided["members"], decided["patience"], decided["embedding_l2"]) == (1, 8, 0.03)
    assert decided["model__embedding_norm"] is False  # the run's default, where the class has the paper's


def test_a_loaded_model_trains_again_to_the_same_weights(
    fitted: CTRClassifier, log: pl.DataFrame, tmp_path: Path
) -> None:
    fitted.save(tmp_path / "m")
    assert_same_network(CTRClassifier.load(tmp_path / "m").fit(log, "click"), fitted)


def test_a_loaded_model_saves_the_same_files(fitted: CTRClassifier, tmp_path: Path) -> None:
    fitted.save(tmp_path / "a" / "m")
    CTRClassifier.load(tmp_path / "a" / "m").save(tmp_path / "b" / "m")
    names = sorted(file.name for file in (tmp_path / "a" / "m").iterdir())
    assert "golden.parquet" in names
    assert names == sorted(file.name for file in (tmp_path / "b" / "m").iterdir())
    for name in names:
        assert (tmp_path / "a" / "m" / name).read_bytes() == (tmp_path / "b" / "m" / name).read_bytes(), name


def test_the_command_line_and_python_train_the_same_network(
    fitted: CTRClassifier, log: pl.DataFrame, tmp_path: Path
) -> None:
    log.write_parquet(tmp_path / "train.parquet")
    settings = {**fitted.get_params(deep=False), "set": SMALL, "out": tmp_path / "m"}
    del settings["model_settings"]
    settings = {name: value for name, value in settings.items() if value is not None}
    train(RunConfig(**settings, data=tmp_path / "train.parquet", label="click"), LogProgress())
    loaded = CTRClassifier.load(tmp_path / "m")
    assert_same_network(loaded, fitted)
    assert_decided(loaded, fitted)


def test_nothing_is_overwritten_by_chance(fitted: CTRClassifier, tmp_path: Path) -> None:
    fitted.save(tmp_path / "m")
    with pytest.raises(ArtifactError):
        fitted.save(tmp_path / "m")
    fitted.save(tmp_path / "m", overwrite=True)
    with pytest.raises(ArtifactError, match="no artifact"):
        CTRClassifier.load(tmp_path / "n")


def test_the_run_of_files_can_be_run_again(
    log: pl.DataFrame, make: Callable[..., CTRClassifier], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log[:2000].write_parquet(tmp_path / "train.parquet")
    log[2000:].write_parquet(tmp_path / "valid.parquet")
    monkeypatch.chdir(tmp_path)
    make().fit("train.parquet", "click", eval_set="valid.parquet").save("m")
    run = json.loads((tmp_path / "m" / "run.json").read_text())
    assert (run["data"], run["valid"]) == (str(tmp_path / "train.parquet"), str(tmp_path / "valid.parquet"))
    assert RunConfig(**run).label == "click"
    make().fit("train.parquet", "click", eval_set=log[2000:]).save("n")
    assert json.loads((tmp_path / "n" / "run.json").read_text())["data"] is None


# Wrong input


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (None, "training requires y"),
        ([0, 1], r"'label' has 2, the frame 2,500 rows"),
        ([], "y holds 0"),
        (np.linspace(0, 1, ROWS), r"y is continuous \(0\.0, "),
        ([0] * ROWS, r"y holds 1 class \(0\)"),
        (
            list(range(ROWS)),
            r"Only binary .* y holds 2,500 classes \(0, 1, 2, \.\.\.\): make a click of them, such as y >= 1500",
        ),
        (["yes", None] * (ROWS // 2), "none is in row 2"),
        ([1.0, float("nan")] * (ROWS // 2), "none is in row 2"),
        (np.zeros((ROWS, 2)), "shape"),
        (np.full(ROWS, b"a"), "numbers, booleans or texts"),
    ],
)
def test_labels_that_are_none(log: pl.DataFrame, make: Callable[..., CTRClassifier], labels: Any, message: str) -> None:
    with pytest.raises((DataError, ConfigError), match=message):
        make().fit(log.drop("click"), labels)


def test_a_label_in_both_x_and_y_is_refused(log: pl.DataFrame, make: Callable[..., CTRClassifier]) -> None:
    with pytest.raises(DataError, match="'click' is in both"):
        make().fit(log, log["click"])


def test_eval_sets_that_are_none(log: pl.DataFrame, make: Callable[..., CTRClassifier]) -> None:
    rows, labels = log.drop("click"), log["click"].to_list()
    with pytest.raises(ConfigError, match=r"the frame has no such column"):
        make().fit(rows, labels, eval_set=rows)
    with pytest.raises(ConfigError, match="'clicked' is another column"):
        make().fit(log, "click", eval_set=(log, "clicked"))
    with pytest.raises(ConfigError, match="validation rows are said once"):
        make(valid_fraction=0.2).fit(log, "click", eval_set=log)
    with pytest.raises(DataError, match="eval_set holds 2 in row 1"):
        make().fit(rows, labels, eval_set=(rows, [2] * ROWS))


def test_weights_that_are_none(log: pl.DataFrame, make: Callable[..., CTRClassifier]) -> None:
    with pytest.raises(ConfigError, match="weights are said once"):
        make(weight="price").fit(log, "click", sample_weight=np.ones(ROWS))
    with pytest.raises(DataError, match="'sample_weight' has 3"):
        make().fit(log, "click", sample_weight=[1, 1, 1])
    with pytest.raises(DataError, match="all of them are zero"):
        make().fit(log, "click", sample_weight=np.zeros(ROWS))
    with pytest.raises(DataError, match="hold 1 class"):
        make().fit(log.drop("click"), log["click"], sample_weight=log["click"])
    with pytest.raises(DataError, match="at least 0"):
        make().fit(log, "click", sample_weight=np.full(ROWS, -1.0))


# Bad rows


def test_bad_rows_are_set_aside_and_told(
    log: pl.DataFrame, make: Callable[..., CTRClassifier], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    click = pl.Series("click", [None, 2, *log["click"].to_list()[2:]])
    frame = log.with_columns(click)
    settings = {"bad_rows": "quarantine", "cache_dir": tmp_path}
    with pytest.raises(DataError, match="column 'click' is missing in row 1 of the frame"):
        make().fit(frame, "click")
    with caplog.at_level("INFO", logger="masknet"):
        quarantined = make(**settings).fit(frame, "click")
    said = next(text for text in caplog.messages if "are bad" in text)
    assert said.startswith(f"2 of {ROWS:,} rows of the frame are bad and were set aside in {tmp_path}")
    file = next(tmp_path.rglob("bad_rows.csv"))
    assert str(file) in said
    assert pl.read_csv(file)["row"].to_list() == [1, 2]
    assert_same_network(quarantined, make().fit(log[2:], "click"))


@pytest.mark.parametrize(
    ("one", "way_out"),
    [
        (lambda frame: frame.to_pandas().iloc[0], "one row of a frame is X.iloc[[0]]"),
        (lambda frame: frame.to_pandas()["user"], "one column X[['name']]"),
        (lambda frame: frame["user"], "one row of a frame is X[:1]"),
        (lambda frame: frame.row(0, named=True), "one row is a list of one dict, [row]"),
    ],
)
def test_one_row_is_a_frame_of_one_row(one: Callable[[pl.DataFrame], object], way_out: str) -> None:
    frame = planted_log(200, 0)[0]
    clf = CTRClassifier("lr", epochs=1, threads=1, ignore=["timestamp"]).fit(frame, "click")
    with pytest.raises(DataError, match=re.escape(way_out)):
        clf.predict_proba(one(frame))  # type: ignore[arg-type]


def test_a_class_that_another_process_does_not_find_belongs_in_a_module(make: Callable[..., CTRClassifier]) -> None:
    class OfANotebook(nn.Module):  # as `n_jobs` hands it over: the class itself, and a `__main__` that lacks it
        __module__ = "__main__"
        __qualname__ = "OfANotebook"

    with pytest.raises(ConfigError, match=r"in the other processes of n_jobs too; .*: put it in a module"):
        make(model=OfANotebook).fit(pl.DataFrame({"click": [0, 1], "ad": ["a", "b"]}), "click")


def test_verbose_tells_each_evaluation_where_no_logger_listens(
    log: pl.DataFrame, make: Callable[..., CTRClassifier], capfd: Any, caplog: pytest.LogCaptureFixture
) -> None:
    make(verbose=True, epochs=2).fit(log, "click")
    told = capfd.readouterr()
    assert told.out == ""
    assert len(re.findall(r"^epoch [12]: train log loss", told.err, flags=re.M)) == 2
    with caplog.at_level(logging.INFO, logger="masknet"):
        make(verbose=True, epochs=1).fit(log, "click")
    assert capfd.readouterr().err == ""
    assert any(message.startswith("epoch 1: train log loss") for message in caplog.messages)


def test_what_a_network_has_no_number_for_is_said() -> None:
    clf = CTRClassifier()
    assert not hasattr(clf, "feature_importances_")
    with pytest.raises(AttributeError, match="permutation_importance"):
        _ = clf.feature_importances_


def test_what_the_command_line_marks_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    frame = planted_log(400, 0)[0].with_columns(ages=pl.int_range(pl.len()))
    CTRClassifier("lr", epochs=1, threads=1, ignore=["timestamp"]).fit(frame, "click")
    marked = "'ages' is taken for numeric (integers; if ids, categorical): look whether it is, or pass "
    assert f'{marked}categorical=["ages"]\n' in caplog.text


def test_what_is_told_and_refused_is_said_in_keywords(
    make: Callable[..., CTRClassifier], caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    log = planted_log(400, 0)[0].drop("timestamp").with_columns(dwell=pl.col("click") * 1.5)
    fitted = make().fit(log, "click")
    assert 'under another name, leave it out with ignore=["dwell"]\n' in caplog.text
    with pytest.raises(DataError) as caught:
        make(numeric=["site"], missing="NA").fit(log, "click")
    assert re.search(
        r"or train with missing=\[\"site-\d+\"\] where it .* the column in categorical or ignore$", str(caught.value)
    )
    assert caught.value.column == "site"
    with pytest.raises(DataError, match=re.escape(": name it in bag, or leave it out with ignore")):
        make(categorical=["site"]).fit(log.with_columns(site=pl.concat_list("site")), "click")
    wrong = log.with_columns(dwell=pl.lit("long"))
    fitted.save(tmp_path / "m")
    for model in (fitted, load(tmp_path / "m")):
        with pytest.raises(DataError) as caught:
            model.predict_proba(wrong)
        assert str(caught.value).endswith(
            "the column in categorical or ignore (missing, categorical and ignore are settings of the training)"
        )
    assert "--" not in caplog.text


def test_the_names_of_a_file_without_a_header_are_a_keyword(make: Callable[..., CTRClassifier], tmp_path: Path) -> None:
    log = planted_log(300, 0)[0].select("click", "user", "ad")
    log.write_csv(tmp_path / "log.csv", include_header=False)
    fitted = make(columns=log.columns).fit(tmp_path / "log.csv", "click")
    fitted.save(tmp_path / "m")
    with pytest.raises(DataError) as caught:
        load(tmp_path / "m").predict_proba(tmp_path / "log.csv", columns=())
    assert str(caught.value).endswith("no header, name its columns with columns=['click', 'user', 'ad']")


# Sparse matrices


def weighted_bags() -> tuple[Any, Any]:
    """A CSR matrix, whose first columns tell the labels, and the labels."""
    rng = np.random.default_rng(0)
    dense = np.where(rng.random((400, 12)) < 0.3, rng.normal(size=(400, 12)), 0.0)
    labels = (dense[:, :3].sum(axis=1) + rng.normal(size=400) > 0).astype(int)
    given = scipy.sparse.csr_matrix(dense)
    given.data[::9] = 0.0
    return given, labels


def test_a_sparse_matrix_trains_as_the_libsvm_file_of_it(make: Callable[..., CTRClassifier], tmp_path: Path) -> None:
    given, labels = weighted_bags()
    file = tmp_path / "log.libsvm"
    dump_svmlight_file(given, labels, str(file))
    of_matrix, of_file = make().fit(given, labels), make().fit(file, "label")
    assert_same_network(of_matrix, of_file)
    assert (of_matrix.predict_proba(given) == of_file.predict_proba(file)).all()
    assert (of_matrix.predict_proba(file) == of_file.predict_proba(given)).all()
    assert of_matrix.n_features_in_ == 12
    assert not hasattr(of_matrix, "feature_names_in_")
    of_matrix.save(tmp_path / "a.masknet")
    loaded = CTRClassifier.load(tmp_path / "a.masknet")
    assert loaded.n_features_in_ == 12
    assert (loaded.predict_proba(given) == of_matrix.predict_proba(given)).all()


def test_a_sparse_matrix_has_the_width_of_the_training(make: Callable[..., CTRClassifier]) -> None:
    given, labels = weighted_bags()
    model = make().fit(given, labels, eval_set=(given[:100], labels[:100]))
    with pytest.raises(DataError, match="X has 5 features, but CTRClassifier is expecting 12 features"):
        model.predict(given[:, :5])
    with pytest.raises(DataError, match="X has 5 features, but CTRClassifier is expecting 12 features"):
        make().fit(given, labels, eval_set=(given[:, :5], labels))
    with pytest.raises(DataError, match=r"trained on a sparse matrix, and X is a dense array: .*csr_array\(X\)"):
        model.predict(given.toarray())
    with pytest.raises(DataError, match=r"trained on a dense array, and X is a sparse matrix: .*X\.toarray\(\)"):
        make().fit(given.toarray(), labels).predict(given)
