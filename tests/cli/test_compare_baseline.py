"""What is there already: `--baseline-score`, `--baseline`, and the verdict."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

QUICK = ("--label", "click", "--ignore", "seconds", "--epochs", 1, "--evaluations", 1, "--threads", 1, "--seeds", 1)
LR = ("--models", "lr", "--out", "c")


def scored(log: pl.DataFrame, seed: int = 0, *, noise: float = 0.1) -> pl.DataFrame:
    """With the probabilities of a model that knows the users, `prod`."""
    knows = 0.2 + 0.5 * (log["user_id"].to_numpy() % 2)
    drawn = np.random.default_rng(seed).normal(size=len(log))
    return log.with_columns(prod=pl.Series((knows + noise * drawn).clip(0.01, 0.99)))


@pytest.fixture(autouse=True)
def _log(rows) -> None:
    scored(rows()).write_parquet("log.parquet")
    scored(rows(300, seed=1)).write_parquet("test.parquet")


def results() -> dict[str, Any]:
    found = json.loads(Path("c/results.json").read_text())
    assert isinstance(found, dict)
    return found


def row(name: str) -> dict[str, Any]:
    found = next(model for model in results()["models"] if model["model"] == name)
    assert isinstance(found, dict)
    return found


def test_a_column_of_scores_is_a_row_of_the_table_and_no_feature(masknet) -> None:
    flags = ("--baseline-score", "prod", "--test", "test.parquet", "--slice", "site")
    result = masknet("compare", "log.parquet", *QUICK, *LR, *flags)
    assert result.code == 0, result.err
    assert row("prod")["baseline"] is True
    assert row("prod")["metrics"]["auc"]["value"] > 0.6
    assert set(row("prod")["metrics"]) >= {"log_loss", "calibration_ratio"}
    assert "prod (baseline)" in result.out
    schema = json.loads(Path("c/models/lr-0.masknet/encoding.json").read_text())
    assert "prod" not in {field["name"] for field in schema["schema"]["fields"]}
    assert results()["best"] == "lr"  # of those that can replace it
    against = row("lr")["against"]["prod"]
    assert against["value"] == pytest.approx(
        row("lr")["metrics"]["auc"]["value"] - row("prod")["metrics"]["auc"]["value"]
    )
    assert against["comparisons"] == 1
    assert against["slices"]["site"]
    first = result.out.splitlines()[0]
    assert first == results()["verdict"][0]
    assert first.startswith(("No: ", "Not enough rows", "Yes, "))
    said = " ".join(results()["verdict"])
    for part in ("before it was", "microseconds a row", "300 test rows with ", "4 of 5 such comparisons", "slice"):
        assert part in said


def test_a_better_model_replaces_a_poor_one_and_a_worse_one_does_not(masknet, rows, monkeypatch) -> None:
    many = rows(4000, seed=2)
    coin = np.random.default_rng(3).random(4000)
    many.with_columns(prod=pl.Series(coin)).write_parquet("many.parquet")
    flags = ("--baseline-score", "prod", "--epochs", 5)
    assert masknet("compare", "many.parquet", *QUICK, *LR, *flags).code == 0
    assert results()["verdict"][0].startswith("Yes, replace prod by lr: it ranks better, +0.")
    told = many["click"].to_numpy() * 0.5 + coin * 0.5
    many.with_columns(prod=pl.Series(told)).write_parquet("many.parquet")
    assert masknet("compare", "many.parquet", *QUICK, "--models", "lr", "--out", "d", *flags).code == 0
    verdict = json.loads(Path("d/results.json").read_text())["verdict"]
    assert verdict[0].startswith("No: keep prod; lr, the best of the others, ranks worse, -0.")


def test_scores_that_are_no_probabilities_are_ranked_alone(masknet, rows) -> None:
    frame = scored(rows())
    frame.with_columns(prod=(pl.col("prod") / (1 - pl.col("prod"))).log() * 7).write_parquet("log.parquet")
    refused = masknet("compare", "log.parquet", *QUICK, *LR, "--baseline-score", "prod").error
    assert "the scores of a baseline are probabilities; row " in refused
    assert "pass --baseline-is score" in refused
    flags = ("--baseline-score", "prod", "--baseline-is", "score")
    assert masknet("compare", "log.parquet", *QUICK, *LR, *flags).code == 0
    assert set(row("prod")["metrics"]) <= {"auc", "pr_auc", "rela_imp"}
    assert "reliability" not in row("prod")
    assert "are no probabilities" in " ".join(results()["verdict"])
    as_scores = row("prod")["metrics"]["auc"]["value"]
    frame.write_parquet("log.parquet")
    assert masknet("compare", "log.parquet", *QUICK, "--models", "lr", "--out", "d", *flags[:2]).code == 0
    other = json.loads(Path("d/results.json").read_text())["models"][-1]["metrics"]["auc"]["value"]
    assert as_scores == pytest.approx(other)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (pl.lit(None, dtype=pl.Float64), "a baseline has a finite score for every test row; row "),
        (pl.lit(float("nan")), " of odd.parquet has none in column 'prod'"),
        (pl.lit(float("-inf")), " of odd.parquet has -inf in column 'prod'"),
        (pl.lit("high"), "the scores of a baseline are numbers; column 'prod' holds 'high' in row "),
        (
            pl.lit([0.5]).implode(),
            "are numbers; column 'prod' holds List(List(Float64)): name another --baseline-score",
        ),
        (pl.lit(-0.1), "has -0.1 in column 'prod'"),
    ],
)
def test_scores_that_are_none_are_refused_before_anything_is_trained(made: pl.Expr, said: str, masknet) -> None:
    pl.read_parquet("log.parquet").with_columns(prod=made).write_parquet("odd.parquet")
    assert said in masknet("compare", "odd.parquet", *QUICK, *LR, "--baseline-score", "prod").error
    assert not Path("c/models").exists()


def test_a_constant_ranks_nothing_and_that_is_said(masknet) -> None:
    pl.read_parquet("log.parquet").with_columns(prod=pl.lit(0.4)).write_parquet("flat.parquet")
    result = masknet("compare", "flat.parquet", *QUICK, *LR, "--baseline-score", "prod")
    assert result.code == 0
    assert row("prod")["metrics"]["auc"]["value"] == 0.5
    assert "prod gives all test rows one score: it ranks nothing" in result.out
    assert "lr gives" not in result.out


def test_a_column_that_is_not_there_or_is_the_label_is_refused(masknet) -> None:
    command = ("compare", "log.parquet", *QUICK, *LR)
    assert "log.parquet has no 'prd'" in masknet(*command, "--baseline-score", "prd").error
    assert "a baseline's score is no label" in masknet(*command, "--baseline-score", "click").error
    assert "name their column" in masknet(*command, "--baseline-is", "score").error
    assert "the network of a --baseline" in masknet(*command, "--trust-code").error
    for part in ("weight", "numeric", "categorical", "time"):
        error = masknet(*command, f"--{part}", "prod", "--baseline-score", "prod").error
        assert f"a column plays one part; 'prod' is given to --{part} and --baseline-score: keep one" in error
    pl.read_parquet("test.parquet").drop("prod").write_parquet("bare.parquet")
    lacking = masknet(*command, "--baseline-score", "prod", "--test", "bare.parquet").error
    assert "column 'prod' is missing from bare.parquet; --baseline-score names it" in lacking


def test_an_artifact_is_a_row_of_the_table_with_its_cost(masknet, rows) -> None:
    rows(300, seed=7).write_parquet("older.parquet")
    train = ("train", "older.parquet", "--label", "click", "--ignore", "seconds", "--threads", 1, "--epochs", 1)
    assert masknet(*train, "--model", "fm", "--members", 1, "--out", "old.masknet").code == 0
    flags = ("--baseline", "old.masknet", "--ignore", "prod")
    result = masknet("compare", "log.parquet", *QUICK, *LR, *flags)
    assert result.code == 0, result.err
    found = row("old.masknet")
    assert found["baseline"] is True
    assert found["parameters"] > 0
    assert found["bytes"] > 0
    assert "old.masknet" in results()["verdict"][0]


def test_an_artifact_that_has_seen_the_test_rows_is_refused_and_they_are_counted(masknet, rows) -> None:
    rows().write_parquet("log.parquet")
    train = ("train", "log.parquet", "--label", "click", "--threads", 1, "--epochs", 1)
    assert masknet(*train, "--model", "lr", "--out", "old.masknet").code == 0
    quick = ("--label", "click", *QUICK[4:])
    own = masknet("compare", "log.parquet", *quick, *LR, "--baseline", "old.masknet").error
    assert "old.masknet was trained on log.parquet, of which the test rows are a tenth: name other rows" in own
    shutil.copy("log.parquet", "copy.parquet")  # the same rows by another name
    copied = masknet("compare", "copy.parquet", *quick, *LR, "--baseline", "old.masknet").error
    assert "40 of the 40 test rows (100 %) are in log.parquet" in copied
    flags = ("--baseline", "old.masknet", "--test", "test.parquet")
    rows(300, seed=1).write_parquet("test.parquet")
    result = masknet("compare", "log.parquet", *quick, *LR, *flags)
    assert result.code == 0, result.err
    assert "have seen" not in result.err
    Path("old.masknet/run.json").write_text("{}")  # damaged, which is told as ever
    assert "damaged" in masknet("compare", "log.parquet", *quick, *LR, *flags).error


def test_an_artifact_whose_rows_are_gone_is_measured_with_a_warning(masknet, rows) -> None:
    rows(300, seed=7).write_parquet("older.parquet")
    train = ("train", "older.parquet", "--label", "click", "--ignore", "seconds", "--threads", 1, "--epochs", 1)
    assert masknet(*train, "--model", "lr", "--out", "old.masknet").code == 0
    Path("older.parquet").unlink()
    result = masknet("compare", "log.parquet", *QUICK, *LR, "--baseline", "old.masknet")
    assert result.code == 0
    assert "the rows that old.masknet was trained on are not found" in result.err


def test_an_artifact_of_another_label_is_refused(masknet, rows) -> None:
    rows(300, seed=7).rename({"click": "buy"}).write_parquet("older.parquet")
    train = ("train", "older.parquet", "--label", "buy", "--ignore", "seconds", "--threads", 1, "--epochs", 1)
    assert masknet(*train, "--model", "lr", "--out", "old.masknet").code == 0
    error = masknet("compare", "log.parquet", *QUICK, *LR, "--baseline", "old.masknet").error
    assert "that of old.masknet is 'buy', asked for is 'click'" in error
