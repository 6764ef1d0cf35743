"""Several labels from the table to the printed figures; with one label nothing looks as if there could be others."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from masknet import CTRClassifier, load
from masknet.errors import DataError

Masknet = Callable[..., object]
LABELS = ("--label", "click", "--label", "like", "--ignore", "seconds")


@pytest.fixture(scope="module")
def both(rows: Callable[..., pl.DataFrame]) -> pl.DataFrame:
    """The log, with a second label that the other users give, unknown in two of five rows."""
    log = rows(600)
    rng = np.random.default_rng(5)
    like = (rng.random(600) < 0.2 + 0.6 * (log["user_id"].to_numpy() % 2 == 0)).astype(np.int64)
    return log.with_columns(pl.Series("like", like).set(pl.Series(rng.random(600) < 0.4), None))


@pytest.fixture
def table(both: pl.DataFrame) -> str:
    both.write_parquet("both.parquet")
    return "both.parquet"


def train_both(masknet: Masknet, table: str, model: str, tiny: tuple[str, ...], *more: str) -> dict:
    sizes = ("embedding_dim=4", "block_dims=[16]", *(["top_dims=[16]"] if model == "parallel-masknet" else []))
    small = [] if model == "lr" else [*(word for size in sizes for word in ("--set", size)), *tiny[6:]]
    flags = small or ["--epochs", "2", "--threads", "1"]
    learns = ("--epochs", "5", "--batch-size", "32", "--learning-rate", "0.03", "--average-weights", "0")
    return masknet(
        "train", table, *LABELS, "--model", model, *flags, *learns, "--out", "m.masknet", "--json", *more
    ).json


@pytest.mark.parametrize("model", ["parallel-masknet", "serial-masknet", "lr"])
def test_each_label_is_learned_measured_and_predicted(
    masknet: Masknet, table: str, both: pl.DataFrame, tiny: tuple[str, ...], model: str
) -> None:
    result = train_both(masknet, table, model, tiny, "--overwrite")
    assert "metrics" not in result
    assert list(result["tasks"]) == ["click", "like"]
    known = both["like"].is_not_null()

    masknet("predict", "m.masknet", table, "--out", "scores.parquet", "--overwrite")
    scores = pl.read_parquet("scores.parquet")
    assert scores.columns == ["probability_click", "probability_like"]
    evaluated = masknet("evaluate", "m.masknet", table, "--json").json
    assert set(evaluated) == {"model", "tasks", "skew", "mean_probability", "train_click_rate"}
    for name in ("click", "like"):
        mean = scores[f"probability_{name}"].mean()
        assert evaluated["mean_probability"][name] == pytest.approx(mean, abs=1e-12)
        assert 0 < evaluated["train_click_rate"][name] < 1
    assert [evaluated["tasks"][name]["rows"] for name in ("click", "like")] == [600, known.sum()]
    for name, some in (("click", pl.Series([True] * 600)), ("like", known)):
        auc = evaluated["tasks"][name]["metrics"]["auc"]["value"]
        labels, probability = both[name].filter(some), scores[f"probability_{name}"].filter(some)
        assert auc == pytest.approx(roc_auc_score(labels, probability), abs=1e-12)
        assert auc > 0.55
    assert masknet("check", "m.masknet", "--json").json["ok"]
    golden = pl.read_parquet("m.masknet/golden.parquet")
    assert golden.columns[-2:] == ["probability_click", "probability_like"]


def test_the_files_tell_of_tasks(masknet: Masknet, table: str, tiny: tuple[str, ...]) -> None:
    result = train_both(masknet, table, "parallel-masknet", tiny, "--members", "2")
    manifest = json.loads(Path("m.masknet/manifest.json").read_text(encoding="utf-8"))
    assert (manifest["metrics"], manifest["tasks"]) == ({}, result["tasks"])
    assert json.loads(Path("m.masknet/run.json").read_text(encoding="utf-8"))["label"] == ["click", "like"]
    card = Path("m.masknet/README.md").read_text(encoding="utf-8")
    assert "The probability of `click` = 1 and of `like` = 1 for a row" in card
    assert f"Of `like`, where it is known ({result['tasks']['like']['rows']:,} rows):" in card
    log = [json.loads(line) for line in Path("m.masknet.run/log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert set(log[-1]["tasks"]) == {"click", "like"}
    aucs = [log[-1]["tasks"][name]["auc"] for name in ("click", "like")]
    assert log[-1]["valid"]["auc"] == pytest.approx(np.mean(aucs))


def test_with_one_label_no_file_knows_of_tasks(trained: Path) -> None:
    for name in ("manifest.json", "metrics.json", "run.json", "encoding.json"):
        content = json.loads((trained / name).read_text(encoding="utf-8"))
        assert "tasks" not in content
        assert content.get("label", "click") == "click"


def test_for_people(masknet: Masknet, table: str, tiny: tuple[str, ...]) -> None:
    train_both(masknet, table, "parallel-masknet", tiny)
    said = masknet("evaluate", "m.masknet", table, "--slice", "site").out
    assert said.count("auc  ") >= 2
    assert "the label is click" in said
    assert "the label is like" in said
    assert said.count("by 'site', the worst auc first") == 2


def test_a_baseline_predicts_the_same_labels(
    masknet: Masknet, table: str, tiny: tuple[str, ...], trained: Path
) -> None:
    train_both(masknet, table, "parallel-masknet", tiny)
    result = masknet("evaluate", "m.masknet", table, "--baseline", "m.masknet", "--json").json
    assert result["tasks"]["like"]["metrics"]["auc_difference"]["value"] == 0
    error = masknet("evaluate", "m.masknet", table, "--baseline", trained).error
    assert error.startswith(
        "a baseline predicts the same label; the model's is 'click' and 'like', the baseline's 'click'"
    )


def test_a_label_alone_may_not_be_missing_and_no_label_may_hold_one_class(
    masknet: Masknet, table: str, both: pl.DataFrame
) -> None:
    error = masknet("train", table, "--label", "like", "--ignore", "click,seconds").error
    assert error.startswith("a label is 0 or 1; column 'like' is missing in row ")
    both.with_columns(like=pl.when(pl.col("like") == 1).then(1)).write_parquet("ones.parquet")
    error = masknet("train", "ones.parquet", *LABELS).error
    assert error.startswith("training needs both classes; all ")
    assert "whose label is known have the label 1 in column 'like'" in error
    both.with_columns(like=pl.lit(None, pl.Int64)).write_parquet("none.parquet")
    error = masknet("train", "none.parquet", *LABELS).error
    assert "have no label in column 'like'" in error
    error = masknet("train", table, "--label", "click", "--label", "click").error
    assert error == "each label is said once; 'click' is said twice: name another, or leave it out"


def test_a_table_has_no_column_that_is_predicted(masknet: Masknet, both: pl.DataFrame) -> None:
    both.with_columns(probability_like=0.5).write_parquet("both.parquet")
    error = masknet("train", "both.parquet", *LABELS).error
    assert error.startswith("'probability_like' is the column that predictions are written to")


def test_negatives_are_the_rows_without_any_positive(
    masknet: Masknet, both: pl.DataFrame, tiny: tuple[str, ...]
) -> None:
    both.write_parquet("both.parquet")
    result = train_both(
        masknet, "both.parquet", "serial-masknet", tiny, "--negative-rate", "0.5", "--valid", "both.parquet"
    )
    manifest = json.loads(Path("m.masknet/manifest.json").read_text(encoding="utf-8"))
    positives = int(((both["click"] == 1) | (both["like"] == 1).fill_null(value=False)).sum())
    assert positives < manifest["data"]["rows"] < 600
    assert result["tasks"]["click"]["rows"] == 600


def test_in_python_a_tuple_of_names_is_several_labels(both: pl.DataFrame) -> None:
    classifier = CTRClassifier("lr", epochs=2, ignore=("seconds",), cache_dir="cache", learning_rate=0.05)
    probabilities = classifier.fit(both, ("click", "like"), eval_set=both).predict_proba(both)
    assert probabilities.shape == (600, 2)
    known = both["like"].is_not_null().to_numpy()
    assert roc_auc_score(both["like"].to_numpy()[known], probabilities[known, 1]) > 0.6
    assert classifier.predict(both).shape == (600, 2)
    assert classifier.metrics_["like"]["metrics"]["auc"]["value"] > 0.6
    assert "valid auc of like" in classifier._repr_html_inner()
    classifier.save("two.masknet")
    again = load("two.masknet")
    assert np.array_equal(again.predict_proba(both), probabilities)
    with pytest.raises(DataError, match="did you mean 'like'"):
        classifier.fit(both, ("click", "lik"))


def test_labels_in_words_of_their_own_are_the_labels_that_they_are_zero_and_one_for(
    masknet: Masknet, both: pl.DataFrame, tiny: tuple[str, ...]
) -> None:
    words = both.with_columns(
        click=pl.when(pl.col("click") == 1).then(pl.lit("good")).otherwise(pl.lit("bad")),
        like=pl.when(pl.col("like") == 1).then(pl.lit("a=b")).when(pl.col("like") == 0).then(pl.lit("c")),
    )
    results = {}
    for name, frame, said in (
        ("numbers", both, ()),
        ("words", words, ("--positive", "click=good", "--positive", "like=a=b")),
    ):
        frame.write_parquet(f"{name}.parquet")
        small = ("--model", "lr", "--epochs", "1", "--threads", "1", "--out", f"{name}.masknet", "--json")
        results[name] = masknet("train", f"{name}.parquet", *LABELS, *small, *said).json["tasks"]
        results[name, "again"] = masknet("evaluate", f"{name}.masknet", f"{name}.parquet", "--json").json["tasks"]
    assert results["numbers"] == results["words"]
    assert results["numbers", "again"] == results["words", "again"]


def test_the_value_of_a_click_is_said_alone_where_there_is_one_label(masknet: Masknet, both: pl.DataFrame) -> None:
    frame = both.drop("like").with_columns(
        click=pl.when(pl.col("click") == 1).then(pl.lit("good")).otherwise(pl.lit("bad"))
    )
    frame.write_csv("words.csv")
    small = ("--ignore", "seconds", "--model", "lr", "--epochs", "1", "--threads", "1")
    error = masknet("train", "words.csv", "--label", "click", *small).err
    assert "or the value of a click with --positive" in error
    error = masknet("train", "words.csv", "--label", "click", "--positive", "goood", *small).err
    assert "no row has it: unknown value 'goood'; did you mean 'good'?" in error
    assert masknet("train", "words.csv", "--label", "click", "--positive", "good", *small).code == 0
    model = CTRClassifier(model="lr", epochs=1, threads=1, positive="good", ignore="seconds").fit(frame, "click")
    assert model.metrics_ == load("words.masknet").metrics_
