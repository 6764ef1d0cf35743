from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

from masknet import metrics
from masknet.artifact import Artifact
from masknet.encode import EncoderLearner
from masknet.errors import ConfigError, DataError
from masknet.evaluate import Evaluation, evaluate_table
from masknet.manifest import Manifest
from masknet.metrics import Estimate
from masknet.models import MODELS
from masknet.predict import predict_frame
from masknet.progress import LogProgress
from masknet.schema import Categorical, Numeric, Schema
from masknet.scoring import NetworkScorer
from masknet.table import Table, open_table


class Seen(LogProgress):
    """Keeps what was reported."""

    def __init__(self) -> None:
        self.tracks: list[tuple[str, int, int | None]] = []

    def track(self, phase: str, done: int, total: int | None, detail: str = "") -> None:
        self.tracks.append((phase, done, total))


def rows(n: int, *, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    user = rng.integers(40, size=n)
    return pl.DataFrame(
        {
            "row": np.arange(n),
            "click": rng.random(n) < 0.2 + 0.4 * (user % 2),
            "user": pl.Series(user).set(pl.Series(rng.random(n) < 0.1), None),
            "city": pl.Series(rng.choice(["Ulm", "Köln", 'a "b", c', "07"], n)).set(pl.Series(rng.random(n) < 0.1), ""),
            "price": pl.Series(rng.lognormal(size=n)).set(pl.Series(rng.random(n) < 0.1), None),
            "weight": rng.random(n),
        }
    ).with_columns(pl.col("click").cast(pl.Int64))


def trained(model: str = "lr", *, weight: str | None = None, group: str | None = None, seed: int = 0) -> Artifact:
    """A fitted encoder and a network of random weights: scoring does not care how good they are."""
    fields = (Categorical(name="user", values="integer"), Categorical(name="city"), Numeric(name="price"))
    fit = EncoderLearner(Schema(label="click", fields=fields, weight=weight, group=group))
    for chunk in open_table(rows(500)).chunks():
        fit.add(chunk)
    encoder = fit.finish()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        settings = {"embedding_dim": 4, "block_dims": (8, 6), "top_dims": (5,)} if model != "lr" else {}
        network = MODELS[model](encoder.space, **settings)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(0.3 * torch.randn(parameter.shape))
    return Artifact(Manifest.model_construct(model=model, data={}), encoder, NetworkScorer(network.eval()))


def evaluated(artifact: Artifact, table: Table, **options: Any) -> Evaluation:
    """Of a model of one label, which most here are."""
    (only,) = evaluate_table(artifact, table, **options).values()
    return only


def test_an_evaluation_is_that_of_the_predictions() -> None:
    artifact, frame = trained("parallel-masknet", weight="weight", group="user"), rows(2000, seed=1)
    seen = Seen()
    evaluation = evaluated(artifact, open_table(frame), progress=seen)
    assert [track for track in seen.tracks if track[0] == "evaluate"][-1] == ("evaluate", 2000, 2000)
    p = predict_frame(artifact, frame)
    y, w = frame["click"].to_numpy(), frame["weight"].to_numpy()
    value = {name: estimate.value for name, estimate in evaluation.metrics.items()}
    assert value["auc"] == pytest.approx(roc_auc_score(y, p, sample_weight=w), abs=1e-12)
    assert value["log_loss"] == pytest.approx(log_loss(y, p, sample_weight=w), abs=1e-12)
    assert value["pr_auc"] == pytest.approx(average_precision_score(y, p, sample_weight=w), abs=1e-12)
    by_user = metrics.grouped_auc(y, p, frame["user"].fill_null(-1).to_numpy(), w)
    assert value["grouped_auc"] == pytest.approx(by_user.value, abs=1e-12)
    assert evaluation.rows == 2000
    plain = evaluated(trained("parallel-masknet"), open_table(frame), progress=LogProgress())
    assert plain.metrics["auc"].value == pytest.approx(roc_auc_score(y, p), abs=1e-12)
    assert "grouped_auc" not in plain.metrics


def test_an_evaluation_as_json_has_exactly_metrics_rows_and_clicks() -> None:
    found = evaluated(trained(), open_table(rows(300)), progress=LogProgress()).to_json()
    assert found.keys() - {"warnings"} == {"metrics", "rows", "clicks"}
    assert found["clicks"] == int(rows(300)["click"].sum())
    assert found["rows"] == 300
    assert found["metrics"]["auc"].keys() == {"value", "low", "high"}


def test_a_baseline_is_scored_on_the_same_rows() -> None:
    artifact, baseline, table = trained("parallel-masknet"), trained("lr", seed=5), open_table(rows(2000))
    found = evaluated(artifact, table, baseline=baseline, progress=LogProgress()).metrics
    alone = evaluated(baseline, table, progress=LogProgress()).metrics
    assert found["baseline_auc"] == alone["auc"]
    assert found["auc"] != alone["auc"]
    expected = metrics.rela_imp(found["auc"].value or 0, alone["auc"].value or 0)
    assert found["rela_imp"] == Estimate(expected)
    same = evaluated(artifact, table, baseline=artifact, progress=LogProgress()).metrics
    assert same["rela_imp"].value == 0


@pytest.mark.parametrize(
    ("change", "why"),
    [(lambda frame: frame.with_columns(click=1), "positives"), (lambda frame: frame.head(0), "no rows")],
)
def test_what_is_undefined_says_why(change: Callable[[pl.DataFrame], pl.DataFrame], why: str) -> None:
    table = open_table(change(rows(20)))
    found = evaluated(trained(), table, baseline=trained(), progress=LogProgress())
    for name in ("auc", "rela_imp", "baseline_auc"):
        assert found.metrics[name].value is None
        assert why in str(found.metrics[name].why)
    assert found.to_json()["metrics"]["rela_imp"].keys() == {"value", "why"}


def test_a_baseline_that_ranks_like_chance_has_no_relaimp() -> None:
    chance = trained()
    with torch.no_grad():
        for parameter in chance.network.parameters():
            parameter.zero_()
    found = evaluated(trained(), open_table(rows(200)), baseline=chance, progress=LogProgress()).metrics
    assert found["baseline_auc"].value == 0.5
    assert found["rela_imp"] == Estimate(None, why="the baseline's AUC is 0.5")


@pytest.mark.parametrize(
    ("parts", "group", "dropped", "reason"),
    [
        ({}, None, "click", "compares probabilities with the labels"),
        ({"weight": "weight"}, None, "weight", "trained with this column of weights"),
        ({"group": "row"}, None, "row", "grouped metrics"),
        ({}, "row", "row", "grouped metrics"),
    ],
)
def test_an_evaluation_without_its_columns_is_refused(
    parts: dict[str, str], group: str | None, dropped: str, reason: str
) -> None:
    artifact, frame = trained(**parts), rows(20)
    evaluated(artifact, open_table(frame), group=group, progress=LogProgress())
    with pytest.raises(DataError, match=rf"column '{dropped}' is missing from the frame; .*{reason}"):
        evaluated(artifact, open_table(frame.drop(dropped)), group=group, progress=LogProgress())


def test_a_limit_reads_the_first_rows() -> None:
    assert evaluated(trained(), open_table(rows(50)), limit=7, progress=LogProgress()).rows == 7


def test_a_missing_field_is_refused_by_name() -> None:
    with pytest.raises(DataError, match=r"column 'price' is missing from the frame; the model was trained with 3"):
        evaluated(trained(), open_table(rows(5).drop("price")), progress=LogProgress())


def test_another_group_may_be_asked_for() -> None:
    artifact, frame = trained(), rows(400)
    found = evaluated(artifact, open_table(frame), group="city", progress=LogProgress()).metrics["grouped_auc"]
    by_city = metrics.grouped_auc(frame["click"].to_numpy(), predict_frame(artifact, frame), frame["city"].to_list())
    assert found.value == pytest.approx(by_city.value, abs=1e-12)


def test_a_label_that_is_none_is_refused_with_its_row() -> None:
    frame = rows(20).with_columns(click=pl.when(pl.col("row") == 6).then(2).otherwise(pl.col("click")))
    with pytest.raises(DataError, match=r"column 'click' holds '2' in row 7 of the frame"):
        evaluated(trained(), open_table(frame), progress=LogProgress())


def test_a_baseline_of_another_label_is_refused() -> None:
    artifact = trained("lr")
    encoder = copy.copy(artifact.encoder)
    encoder.schema = encoder.schema.model_copy(update={"label": "bought"})
    other = dataclasses.replace(artifact, encoder=encoder)
    with pytest.raises(ConfigError, match="a baseline predicts the same label"):
        evaluated(artifact, open_table(rows(50)), baseline=other, progress=LogProgress())


# Slices, groups, resamples


def test_a_slice_is_the_evaluation_of_its_rows() -> None:
    artifact, frame = trained("parallel-masknet", weight="weight"), rows(3000, seed=2)
    found = evaluated(artifact, open_table(frame), slices=["city", "row"], progress=LogProgress())
    assert list(found.slices) == ["city", "row"]
    by_city = found.slices["city"]
    assert sum(part.rows for part in by_city) == found.rows == 3000
    assert {part.value for part in by_city} == {"Ulm", "Köln", 'a "b", c', "07", "missing"}
    y, p, w = frame["click"].to_numpy(), predict_frame(artifact, frame), frame["weight"].to_numpy()
    for part in by_city:
        at = (frame["city"] == ("" if part.value == "missing" else part.value)).to_numpy()
        assert part.rows == at.sum()
        assert part.metrics == metrics.evaluate(y[at], p[at], w[at])
    aucs = [part.metrics["auc"].value for part in by_city]
    assert aucs == sorted(aucs)
    assert sorted(part.value for part in found.slices["row"])[:2] == ["0 to 299", "1200 to 1499"]
    plain = evaluated(artifact, open_table(frame), progress=LogProgress())
    assert plain.metrics == found.metrics


def test_slices_without_an_auc_come_last_with_their_reason() -> None:
    frame = rows(900).with_columns(part=pl.col("row") % 3)
    frame = frame.with_columns(click=pl.when(pl.col("part") == 1).then(0).otherwise("click"))
    parts = evaluated(trained(), open_table(frame), slices=["part"], progress=LogProgress()).slices["part"]
    assert parts[-1].value == "1"
    assert parts[-1].to_json() == {
        "value": "1",
        "rows": 300,
        "metrics": {name: estimate.to_json() for name, estimate in parts[-1].metrics.items()},
        "below_overall": False,
    }
    assert parts[-1].metrics["auc"].why == "all 300 rows are negatives"
    assert parts[-1].metrics["log_loss"].value is not None


def test_a_slice_that_is_surely_worse_than_the_whole_is_told() -> None:
    artifact, frame = trained(), rows(4000)
    p = predict_frame(artifact, frame)
    right = p > np.median(p)
    frame = frame.with_columns(part=pl.col("row") % 4, click=pl.Series(right).cast(pl.Int64))
    noise = pl.Series(np.random.default_rng(0).integers(0, 2, 4000))
    frame = frame.with_columns(click=pl.when(pl.col("part") == 2).then(noise).otherwise("click"))
    parts = evaluated(artifact, open_table(frame), slices=["part"], progress=LogProgress()).slices["part"]
    assert [part.value for part in parts if part.below_overall] == [parts[0].value] == ["2"]


def test_grouped_metrics_have_intervals_from_resampled_groups() -> None:
    artifact, frame = trained(), rows(2000)
    found = evaluated(artifact, open_table(frame), group="user", slices=["city"], progress=LogProgress())
    codes = frame["user"].fill_null(-1).hash(0).to_numpy()
    sample = metrics.Sample(frame["click"].to_numpy(), predict_frame(artifact, frame), groups=codes)
    for name in ("grouped_auc", "ndcg_at_5", "ndcg_at_10"):
        assert found.metrics[name].value == pytest.approx(sample.estimates[name].value)
        theory = sample.estimates[name]
        assert found.metrics[name].low == pytest.approx(theory.low, abs=0.02)
        assert found.metrics[name].low != theory.low
        assert all(name in part.metrics for part in found.slices["city"])
    assert found.metrics["auc"] == sample.estimates["auc"]
    assert found.to_json()["groups"] == {
        "column": "user",
        "count": 41,
        "one_class": sample.groups_of_one_class,
        "without_positive": sample.groups_without_positive,
        "interval": {"kind": "bootstrap", "resamples": 1000, "unit": "group"},
    }
    assert "interval" not in found.to_json()


@pytest.mark.parametrize("group", [None, "user"])
def test_a_bootstrap_makes_all_intervals(group: str | None) -> None:
    artifact, baseline, table = trained("parallel-masknet"), trained(seed=5), open_table(rows(500))

    def run(seed: int) -> object:
        return evaluated(
            artifact, table, baseline=baseline, group=group, bootstrap=40, seed=seed, progress=LogProgress()
        )

    found = run(3)
    assert found.to_json()["interval"] == {"kind": "bootstrap", "resamples": 40, "unit": "group" if group else "row"}
    assert all(estimate.low < estimate.high for estimate in found.metrics.values())
    assert run(3) == found
    assert run(4) != found


def test_a_difference_of_aucs_is_told_beside_a_baseline() -> None:
    artifact, baseline, table = trained("parallel-masknet"), trained("lr", seed=5), open_table(rows(2000))
    found = evaluated(artifact, table, baseline=baseline, progress=LogProgress()).metrics
    difference = found["auc_difference"]
    assert difference.value == found["auc"].value - found["baseline_auc"].value
    assert difference.low < difference.value < difference.high


def test_a_column_to_slice_by_must_be_there() -> None:
    with pytest.raises(DataError, match="a slice is by a column of the frame: unknown column 'cities'; did you mean"):
        evaluated(trained(), open_table(rows(20)), slices=["cities"], progress=LogProgress())


def test_no_rows_have_no_slices() -> None:
    found = evaluated(
        trained(), open_table(rows(0)), slices=["city"], group="user", bootstrap=10, progress=LogProgress()
    )
    assert found.slices == {"city": []}
    assert found.groups is not None
    assert found.groups.count == 0
    assert found.metrics["ndcg_at_5"].why == "there are no rows"
