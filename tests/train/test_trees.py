"""Trees through the door of every model: LightGBM on the encoded rows, by its own names, kept as its own text."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

import masknet
from masknet import CTRClassifier
from masknet.artifact import Artifact, check, load_artifact, probabilities
from masknet.config import RunConfig
from masknet.encode import prepare
from masknet.errors import ArtifactError, ConfigError, DataError
from masknet.gbdt import LeafRegression, TreeColumns, Trees
from masknet.gbdt import columns as gbdt_columns
from masknet.manifest import write_checksums
from masknet.progress import LogProgress
from masknet.space import FeatureSpace, FieldSpace
from masknet.table import open_table
from masknet.train import Interrupted, fit, train
from masknet.train.plan import encoding_plan

ROWS = 1200


class Notes(LogProgress):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A click depends on the user, on a price, on the hour, and on what is in the cart."""
    home = tmp_path_factory.mktemp("home")
    rng = np.random.default_rng(3)
    user, hour = rng.integers(0, 30, ROWS), rng.integers(0, 24, ROWS)
    price = rng.lognormal(size=ROWS)
    cart = [rng.choice(["a", "b", "c", "d"], n, replace=False).tolist() for n in rng.integers(0, 4, ROWS)]
    score = (user % 3 - 1) + 2.0 * (price > 1.5) + (hour > 15) - 2.0 * np.array(["c" in own for own in cart]) - 0.5
    pl.DataFrame(
        {
            "click": (rng.random(ROWS) < 1 / (1 + np.exp(-score))).astype(int),
            "user": [f"u{i}" for i in user],
            "price": pl.Series(price).set(pl.Series(rng.random(ROWS) < 0.1), None),
            "at": [f"2024-03-{1 + i % 28:02} {h:02}:30:00" for i, h in enumerate(hour)],
            "cart": pl.Series(cart, dtype=pl.List(pl.String)),
            "image": pl.Series(rng.normal(size=(ROWS, 2)).tolist(), dtype=pl.List(pl.Float64)),
        }
    ).write_parquet(home / "log.parquet")
    return home


def config_of(home: Path, out: Path, model: str = "gbdt", **more: Any) -> RunConfig:
    given: dict[str, Any] = {
        "data": home / "log.parquet",
        "label": "click",
        "datetime": ["at"],
        "cache_dir": home / "cache",
        "out": out,
        "model": model,
        "threads": 1,
        "set": {"num_iterations": 40},
    }
    return RunConfig(**given | more)


def grown(home: Path, out: Path, model: str = "gbdt", progress: Notes | None = None, **more: Any) -> Artifact:
    _, trained = train(config_of(home, out, model, **more), progress or Notes())
    assert trained is not None
    return trained


def test_they_are_lightgbms_bit_for_bit(home: Path, tmp_path: Path) -> None:
    """LightGBM called by hand on the same matrix, both ways, grows the same trees."""
    trained = grown(home, tmp_path / "m.masknet", learning_rate=0.1, patience=7, seed=5, set={"num_leaves": 9})
    table = open_table(home / "log.parquet")
    plan = encoding_plan(config_of(home, tmp_path / "m.masknet"))
    prepared = prepare(
        table, None, gbdt_plan := plan.__class__(**{**vars(plan), "raw_numbers": True}), Notes(), cache=home / "cache"
    )
    assert gbdt_plan.raw_numbers
    assert prepared.valid is not None
    columns = TreeColumns.of(prepared.encoder.space, prepared.train)
    x, x_valid = (columns.matrix(rows.take(slice(None))) for rows in (prepared.train, prepared.valid))
    parameters = {
        "objective": "binary",
        "num_leaves": 9,
        "learning_rate": 0.1,
        "seed": 5,
        "num_threads": 1,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }
    aucs, boosters = {}, {}
    for form, categories in (("ordered codes", []), ("native categories", [0])):
        data = lightgbm.Dataset(x, prepared.train.labels[:, 0], categorical_feature=categories, params=parameters)
        boosters[form] = lightgbm.train(
            parameters,
            data,
            2000,
            valid_sets=[data.create_valid(x_valid, prepared.valid.labels[:, 0])],
            callbacks=[lightgbm.early_stopping(7, verbose=False)],
        )
        best = boosters[form].best_iteration
        aucs[form] = roc_auc_score(prepared.valid.labels[:, 0], boosters[form].predict(x_valid, num_iteration=best))
    kept = max(aucs, key=lambda form: aucs[form])
    assert trained.manifest.training["ids"] == kept
    assert isinstance(trained.scorer, Trees)
    by_hand = boosters[kept].predict(x_valid, num_iteration=boosters[kept].best_iteration, raw_score=True)
    assert np.array_equal(trained.scorer.model.margins(x_valid), by_hand)
    assert trained.manifest.metrics["auc"]["value"] == pytest.approx(aucs[kept], abs=1e-12)


def test_the_better_form_is_kept_and_told(home: Path, tmp_path: Path) -> None:
    progress = Notes()
    trained = grown(home, tmp_path / "m.masknet", progress=progress)
    told = [note for note in progress.notes if " trees on " in note]
    assert len(told) == 3
    assert "ordered codes: valid auc" in told[0]
    assert "native categories: valid auc" in told[1]
    assert told[2] == f"kept: the trees on {trained.manifest.training['ids']}"
    best = max(trained.history, key=lambda record: record["valid"]["auc"])
    assert [record["best"] for record in trained.history] == [record is best for record in trained.history]
    assert trained.manifest.num_parameters["leaves"] > 40
    # What is monitored decides.
    by_loss = grown(home, tmp_path / "n.masknet", monitor="log_loss")
    best = min(by_loss.history, key=lambda record: record["valid"]["log_loss"])
    assert by_loss.manifest.training["ids"] == best["ids"]


def test_columns_are_numbers_codes_common_values_and_vectors(home: Path, tmp_path: Path) -> None:
    trained = grown(home, tmp_path / "m.masknet")
    assert isinstance(trained.scorer, Trees)
    columns = trained.scorer.columns
    frame = pl.read_parquet(home / "log.parquet").head(50)
    rows = trained.encoder.encode(next(open_table(frame).chunks(trained.encoder.schema.field_names)))
    found = columns.matrix(rows)
    names = [field.name for field in columns.space.fields]
    assert names == ["user", "price", "at.hour", "at.weekday", "at.age", "cart", "image"]
    assert columns.width == found.shape[1] == 5 + len(columns.common["cart"]) + 2
    assert np.array_equal(found[:, 0], rows.ids[:, 0])
    np.testing.assert_array_equal(found[:, 1], frame["price"].to_numpy())
    np.testing.assert_array_equal(found[:, 2], frame["at"].str.slice(11, 2).cast(pl.Float64).to_numpy())
    np.testing.assert_array_equal(found[:, -2:], np.stack(frame["image"].to_numpy()).astype(np.float32))
    vocabulary = trained.encoder.encodings[names.index("cart") - 2].vocabulary  # a moment is three fields of one
    ids = dict(zip(vocabulary.values.to_list(), vocabulary.id_array.tolist(), strict=True))
    for value, column in ((value, columns.common["cart"].index(ids[value])) for value in "abcd"):
        expected = [float(value in own) for own in frame["cart"].to_list()]
        assert found[:, 5 + column].tolist() == expected


def test_a_bag_has_a_column_for_each_of_its_commonest_values(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(gbdt_columns, "_OF_A_BAG", 2)
    log = pl.DataFrame(
        {"click": [0, 1] * 20, "tags": [["x:2", "y:1"], ["x:1", "z:3", "x:0.5"], ["w:1"], ["y:4"]] * 10}
    ).with_columns(pl.col("tags").list.join("|"))
    log.write_parquet(tmp_path / "log.parquet")
    trained = grown(
        tmp_path, tmp_path / "m.masknet", datetime=[], bag=["tags"], weighted=["tags"], set={"min_data_in_leaf": 1}
    )
    assert isinstance(trained.scorer, Trees)
    rows = trained.encoder.encode(next(open_table(log.head(4)).chunks(["tags"])))
    assert trained.scorer.columns.matrix(rows).tolist() == [[2.0, 1.0], [1.5, 0.0], [0.0, 0.0], [0.0, 4.0]]


def test_rows_without_raw_numbers_are_refused() -> None:
    space = FeatureSpace(5, (FieldSpace("price", kind="numeric", numbered=True),))
    from masknet.encode import EncodedRows

    rows = EncodedRows(np.ones((2, 1), dtype=np.int32), np.ones((2, 1), dtype=np.float32))
    with pytest.raises(DataError, match="were encoded without them: encode them again"):
        TreeColumns(space, {}).matrix(rows)


@pytest.mark.parametrize("model", ["gbdt", "gbdt-lr"])
def test_it_is_saved_loaded_and_checked(model: str, home: Path, tmp_path: Path) -> None:
    trained = grown(home, tmp_path / "m.masknet", model)
    again = load_artifact(tmp_path / "m.masknet")
    assert check(again).ok
    chunk = next(open_table(home / "log.parquet").chunks(trained.encoder.schema.field_names))
    assert np.array_equal(probabilities(again, chunk), probabilities(trained, chunk))
    face = masknet.load(tmp_path / "m.masknet")
    assert face.predict_proba(home / "log.parquet").shape == (ROWS, 2)
    assert face.metrics_["auc"]["value"] > 0.75
    with pytest.raises(AttributeError):
        _ = face.network_


def test_regression_on_leaves_is_a_weight_a_leaf(home: Path, tmp_path: Path) -> None:
    trained = grown(home, tmp_path / "m.masknet", "gbdt-lr")
    scorer = trained.scorer
    assert isinstance(scorer, LeafRegression)
    rows = trained.encoder.encode(next(open_table(home / "log.parquet").chunks(trained.encoder.schema.field_names)))
    leaves = scorer.model.leaf_indices(scorer.columns.matrix(rows))
    assert leaves.shape == (ROWS, scorer.model.rounds)
    first = np.concatenate([[1], 1 + np.cumsum(scorer.model.leaves)])
    expected = [
        float(scorer.bias) + sum(float(scorer.weights[first[tree] + leaf]) for tree, leaf in enumerate(row))
        for row in leaves
    ]
    np.testing.assert_allclose(scorer.logits(rows), expected, rtol=1e-5, atol=1e-5)
    assert scorer.weights[0] == 0
    assert [record.get("stage") for record in trained.history][:3] == [None, None, "regression on leaves"]
    assert sum(trained.manifest.num_parameters.values()) == 2 * sum(scorer.model.leaves) + 1


def test_weights_of_rows_reach_the_trees(home: Path, tmp_path: Path) -> None:
    log = pl.read_parquet(home / "log.parquet")
    twice = pl.concat([log, log.filter(pl.col("user") == "u1")])
    weighted = log.with_columns(w=pl.when(pl.col("user") == "u1").then(2.0).otherwise(1.0))
    for name, frame in (("twice", twice), ("weighted", weighted)):
        frame.write_parquet(tmp_path / f"{name}.parquet")
    log.write_parquet(tmp_path / "plain.parquet")
    log.with_columns(w=pl.lit(1.0)).write_parquet(tmp_path / "valid.parquet")
    same = {"num_iterations": 20, "min_data_in_leaf": 1, "min_sum_hessian_in_leaf": 1.0, "max_bin": 4000}
    found = [
        grown(
            home,
            tmp_path / f"{name}.masknet",
            data=tmp_path / f"{name}.parquet",
            set=same,
            **more,
        ).manifest.metrics["log_loss"]["value"]
        for name, more in (
            ("twice", {"valid": tmp_path / "plain.parquet"}),
            ("weighted", {"weight": "w", "valid": tmp_path / "valid.parquet"}),
        )
    ]
    assert found[0] == pytest.approx(found[1], rel=2e-3)


SAID = [
    ({"model": "gbtd"}, "unknown model 'gbtd'; did you mean 'gbdt'"),
    ({"model": "gbdt_lr"}, "unknown model 'gbdt_lr'; did you mean 'gbdt-lr'"),
    ({"set": {"num_leafs": 3}}, "unknown option of gbdt 'num_leafs'; did you mean 'num_leaves'"),
    ({"set": {"learning_rate": 0.1}}, "'learning_rate' is said once: set it with --learning-rate"),
    ({"set": {"eta": 0.1}}, "'eta' is LightGBM's learning_rate, which is said once: set it with --learning-rate"),
    ({"set": {"early_stopping_rounds": 5}}, "set it with --patience"),
    ({"set": {"random_state": 5}}, "set it with --seed"),
    ({"set": {"n_jobs": 5}}, "set it with --threads"),
    ({"set": {"boosting": "rf", "bagging_freq": 1}}, "it is gbdt here"),
    ({"set": {"sigmoid": 2}}, "it is 1 here"),
    ({"set": {"predict_raw_score": True}}, "unknown option of gbdt 'predict_raw_score'"),
    ({"set": {"num_iterations": 0}}, "num_iterations of gbdt is an int of at least 1; got 0"),
    ({"set": {"num_iterations": "abc"}}, "num_iterations of gbdt is an int of at least 1; got 'abc'"),
    ({"learning_rate": 1e308}, r"the learning rate of trees is a number in \(0, 1\]"),
    ({"numeric_encoding": "linear"}, "gbdt reads numbers as they are: leave --numeric-encoding out"),
    ({"set": {"objective": "rmse"}}, "it is the log loss here"),
    ({"set": {"input_model": "other.txt"}}, "unknown option of gbdt 'input_model'"),
    ({"set": {"max_depth": 3, "max_dep": 4}}, "unknown option of gbdt 'max_dep'; did you mean 'max_depth'"),
    ({"set": {"num_leaves": 3, "num_leaf": 4}}, "'num_leaves' of gbdt stands twice, also as 'num_leaf'"),
    ({"set": {"num_leaves": 1}}, "LightGBM refuses its settings"),
    ({"epochs": 3}, "a setting has an effect; gbdt grows trees: leave --epochs out"),
    ({"members": 3}, "gbdt is moved by no gradient: leave --members out"),
    ({"embedding_l2": 0.1}, "leave --embedding-l2 out"),
    ({"embedding_updates": "sparse"}, "gbdt is moved by no gradient: leave --embedding-updates out"),
    ({"refit": True}, "leave --refit out"),
    ({"monitor": "auk"}, "unknown metric 'auk'; did you mean 'auc'"),
]


@pytest.mark.parametrize(("more", "sentence"), SAID, ids=[sentence for _, sentence in SAID])
def test_a_setting_that_means_nothing_is_refused(
    more: dict[str, Any], sentence: str, home: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        grown(home, tmp_path / "m.masknet", **{"model": "gbdt"} | more)
    assert not (tmp_path / "m.masknet").exists()


def test_they_are_validated_by_time_and_shown_in_a_notebook(home: Path, tmp_path: Path) -> None:
    trained = grown(home, tmp_path / "m.masknet", time="at", datetime=[])
    assert trained.manifest.versions["lightgbm"] == lightgbm.__version__
    assert (trained.run["learning_rate"], trained.run["patience"]) == (0.05, 50)
    assert trained.manifest.settings == {"num_leaves": 31, "num_iterations": 40}
    shown = CTRClassifier.load(tmp_path / "m.masknet")._repr_html_inner()
    assert f"{trained.manifest.training['trees']}, on {trained.manifest.training['ids']}" in shown


def test_without_lightgbm_it_is_said_before_the_table_is_read(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with pytest.raises(ConfigError, match=r"pip install 'masknet\[trees\]'"):
        grown(home, tmp_path / "m.masknet", set={}, cache_dir=tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_whoever_is_told_of_a_form_may_leave_the_other_out(home: Path, tmp_path: Path) -> None:
    told = []
    table = open_table(home / "log.parquet")
    ended = fit(config_of(home, tmp_path / "m"), table, None, Notes(), goes_on=lambda record: bool(told.append(record)))
    assert ended.history == told
    assert [form["ids"] for form in told] == ["ordered codes"]
    both = grown(home, tmp_path / "n.masknet")
    assert [form["ids"] for form in both.history] == ["ordered codes", "native categories"]
    assert both.history[0]["valid"] == told[0]["valid"]


def test_of_trees_below_a_regression_nobody_is_told(home: Path, tmp_path: Path) -> None:
    told = []
    table = open_table(home / "log.parquet")
    fit(
        config_of(home, tmp_path / "m", "gbdt-lr"),
        table,
        None,
        Notes(),
        goes_on=lambda record: bool(told.append(record)),
    )
    assert told == []


def test_a_wish_to_stop_is_heard_at_each_tree(home: Path, tmp_path: Path) -> None:
    class Stopping(Notes):
        def stopping(self) -> bool:
            return True

    table = open_table(home / "log.parquet")
    with pytest.raises(Interrupted, match="stopped after 1 trees on ordered codes"):
        fit(config_of(home, tmp_path / "m"), table, None, Stopping())


def test_a_setting_reaches_lightgbm_by_its_own_name(home: Path, tmp_path: Path) -> None:
    trained = grown(home, tmp_path / "m.masknet", set={"max_leaves": 3, "n_estimators": 4})
    assert trained.manifest.settings == {"num_leaves": 3, "num_iterations": 4}
    assert isinstance(trained.scorer, Trees)
    assert set(trained.scorer.model.leaves) <= {2, 3}
    assert len(trained.scorer.model.leaves) <= 4
    again = grown(home, tmp_path / "n.masknet", **{"set": trained.run["set"]})  # the run that is kept can be repeated
    assert again.manifest.metrics == trained.manifest.metrics


DAMAGES: dict[str, Any] = {
    "trees.txt": lambda file: file.write_text("no trees"),
    "trees.json": lambda file: file.write_text("{}"),
    "weights.safetensors": lambda file: file.write_bytes(b"12345678"),
}


@pytest.mark.parametrize("name", DAMAGES)
@pytest.mark.parametrize("resealed", [False, True])
def test_a_damaged_file_is_one_sentence(name: str, resealed: bool, home: Path, tmp_path: Path) -> None:
    grown(home, tmp_path / "m.masknet", "gbdt-lr")
    DAMAGES[name](tmp_path / "m.masknet" / name)
    if resealed:  # whoever can write the files can write their checksums
        (tmp_path / "m.masknet" / "checksums.json").unlink()
        write_checksums(tmp_path / "m.masknet")
    for verify in (True, False):
        with pytest.raises(ArtifactError, match="is damaged"):
            load_artifact(tmp_path / "m.masknet", verify=verify)


@pytest.mark.parametrize(
    "change",
    [
        {"native": "yes"},
        {"common": {}},
        {"common": {"cart": [0]}},
        {"common": {"cart": [1, 1]}},
        {"common": {"cart": [10**9]}},
        {"common": {"cart": []}},
        {"common": {"kart": [1]}},
    ],
)
def test_columns_that_were_altered_are_refused(change: dict[str, Any], home: Path, tmp_path: Path) -> None:
    grown(home, tmp_path / "m.masknet")
    file = tmp_path / "m.masknet" / "trees.json"
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | change), encoding="utf-8")
    (tmp_path / "m.masknet" / "checksums.json").unlink()
    write_checksums(tmp_path / "m.masknet")
    with pytest.raises(ArtifactError, match=r"trees\.txt or trees\.json"):
        load_artifact(tmp_path / "m.masknet")
