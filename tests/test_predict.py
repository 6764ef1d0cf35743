from __future__ import annotations

import copy
import dataclasses
import gzip
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

import masknet.scoring
import masknet.table
from masknet import metrics
from masknet.artifact import Artifact
from masknet.encode import EncoderLearner
from masknet.errors import ConfigError, DataError
from masknet.manifest import Manifest
from masknet.metrics import Estimate
from masknet.models import MODELS
from masknet.predict import Evaluation, evaluate_table, predict_file, predict_frame, probabilities
from masknet.progress import LogProgress
from masknet.schema import Categorical, Numeric, Schema
from masknet.scoring import NetworkScorer
from masknet.table import Chunk, Table, open_table
from masknet.table import table as table_module


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
    return Artifact(Manifest.model_construct(model=model), encoder, NetworkScorer(network.eval()))


def evaluated(artifact: Artifact, table: Table, **options: Any) -> Evaluation:
    """Of a model of one label, which most here are."""
    (only,) = evaluate_table(artifact, table, **options).values()
    return only


def written(
    artifact: Artifact, source: object, out: Path, *, text: tuple[str, ...] = (), **options: object
) -> pl.DataFrame:
    count = predict_file(artifact, open_table(source), out, progress=LogProgress(), **options)
    frame = (
        pl.read_parquet(out)
        if out.suffix == ".parquet"
        else pl.read_csv(out, schema_overrides=dict.fromkeys(text, pl.String))
    )
    assert len(frame) == count
    return frame


# Probabilities


def test_a_probability_is_the_sigmoid_of_the_logit_in_float64() -> None:
    artifact = trained("parallel-masknet")
    chunk = next(open_table(rows(50)).chunks())
    encoded = artifact.encoder.encode(chunk)
    with torch.no_grad():
        logits = (
            artifact.network(torch.from_numpy(encoded.ids), torch.from_numpy(encoded.values), None)
            .numpy()
            .astype(np.float64)
        )
    found = probabilities(artifact, chunk)
    assert found.dtype == np.float64
    assert len(set(found.round(6))) > 20
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-logits)), rtol=1e-15)


def test_many_rows_are_scored_in_small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    artifact = trained("parallel-masknet")
    expected = predict_frame(artifact, rows(23))
    sizes: list[int] = []
    artifact.network.register_forward_pre_hook(lambda network, inputs: sizes.append(len(inputs[0])))
    monkeypatch.setattr(masknet.scoring, "BATCH_ROWS", 10)
    np.testing.assert_allclose(predict_frame(artifact, rows(23)), expected, atol=1e-7)
    assert sizes == [10, 10, 3]


def test_five_readers_give_the_same_probabilities(tmp_path: Path) -> None:
    artifact, frame = trained("parallel-masknet"), rows(300)
    frame.write_csv(tmp_path / "rows.csv")
    frame.write_parquet(tmp_path / "rows.parquet")
    pandas = frame.to_pandas()
    assert pandas["user"].dtype == np.float64
    assert pandas["user"].isna().any()
    expected = predict_frame(artifact, frame)
    assert len(set(expected)) > 100
    sources = {
        "CSV": tmp_path / "rows.csv",
        "Parquet": str(tmp_path / "rows.parquet"),
        "pandas": pandas,
        "Arrow": frame.to_arrow(),
        "JSON": [{k: v for k, v in row.items() if v is not None} for row in frame.to_dicts()],
    }
    for name, source in sources.items():
        assert predict_frame(artifact, source).tolist() == expected.tolist(), name
    assert isinstance(pandas, pd.DataFrame)


def test_the_order_of_columns_and_other_columns_do_not_matter() -> None:
    artifact, frame = trained(), rows(60)
    expected = predict_frame(artifact, frame.select("user", "city", "price")).tolist()
    assert predict_frame(artifact, frame.select(frame.columns[::-1])).tolist() == expected


def test_columns_that_are_not_asked_for_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    artifact = trained()
    read: list[tuple[str, ...]] = []
    chunks = Table.chunks

    def watched(self: Table, columns: tuple[str, ...], *, limit: int | None = None) -> object:
        read.append(tuple(columns))
        return chunks(self, columns, limit=limit)

    monkeypatch.setattr(Table, "chunks", watched)
    written(artifact, rows(5), tmp_path / "out.csv", append=["row"])
    assert read == [("user", "city", "price", "row")]


def test_values_unseen_and_missing_are_scored() -> None:
    artifact = trained()
    known = {"user": 3, "city": "Ulm", "price": 1.0}
    strange = [
        known,
        known | {"user": 10**30},
        known | {"user": None},
        known | {"city": "Atlantis"},
        known | {"price": float("inf")},
        known | {"price": None},
        {"user": None, "city": None, "price": None},
    ]
    found = predict_frame(artifact, strange)
    assert np.isfinite(found).all()
    assert len(set(found.tolist())) == len(strange)
    unseen = predict_frame(artifact, [known | {"city": "Atlantis"}, known | {"city": "Lemuria"}])
    assert unseen[0] == unseen[1]


@pytest.mark.parametrize(
    ("kept", "sentence"),
    [
        (["user", "city"], "column 'price' is missing from today.csv; the model was trained with 3 columns, of which "
         "this file has 2"),
        (["city"], "columns 'user', 'price' are missing from today.csv; the model was trained with 3 columns, of which "
         "this file has 1"),
    ],
)  # fmt: skip
def test_a_missing_column_is_refused_by_name_before_anything_is_written(
    tmp_path: Path, kept: list[str], sentence: str
) -> None:
    artifact, path = trained(), tmp_path / "today.csv"
    rows(5).select("click", *kept).write_csv(path)
    for use in (
        lambda: predict_frame(artifact, path),
        lambda: predict_file(artifact, open_table(path), tmp_path / "new" / "out.csv", progress=LogProgress()),
        lambda: evaluated(artifact, open_table(path), progress=LogProgress()),
    ):
        with pytest.raises(DataError, match=re.escape(sentence)) as caught:
            use()
        assert (caught.value.file, caught.value.column) == ("today.csv", "price" if "user" in kept else "user")
    assert os.listdir(tmp_path) == ["today.csv"]
    with pytest.raises(DataError, match=r"missing from the frame; .* of which it has"):
        predict_frame(artifact, rows(5).select(kept))


# Files


@pytest.mark.parametrize("name", ["out.parquet", "out.csv", "out.tsv", "out.csv.gz", "OUT.CSV"])
def test_every_kind_of_file_holds_the_same_numbers(tmp_path: Path, name: str) -> None:
    artifact, frame, out = trained(), rows(200), tmp_path / name
    seen = Seen()
    append = ["row", "city", "price"]
    assert predict_file(artifact, open_table(frame), out, append=append, progress=seen) == 200
    assert seen.tracks[-1] == ("predict", 200, 200)
    if name == "out.parquet":
        found = pl.read_parquet(out)
    else:
        found = pl.read_csv(out, separator="\t" if "tsv" in name else ",")
    assert found.columns == [*append, "probability"]
    assert found["probability"].to_list() == predict_frame(artifact, frame).tolist()
    # An empty text and a null are one thing, and the reader of this test makes them one.
    assert found.select(append).with_columns(pl.col("city").fill_null("")).equals(frame.select(append))
    assert os.listdir(tmp_path) == [name]


def test_only_the_probability_is_written_unless_more_is_asked_for(tmp_path: Path) -> None:
    found = written(trained(), rows(4), tmp_path / "new" / "out.csv")
    assert found.columns == ["probability"]
    assert written(trained(), rows(4), tmp_path / "b.csv", append=["city", "row", "city"]).columns == [
        "city",
        "row",
        "probability",
    ]


def test_the_same_rows_give_the_same_gzip_file(tmp_path: Path) -> None:
    for name in ("a.csv.gz", "b.csv.gz"):
        predict_file(trained(), open_table(rows(9)), tmp_path / name, progress=LogProgress())
    assert (tmp_path / "a.csv.gz").read_bytes() == (tmp_path / "b.csv.gz").read_bytes()
    assert gzip.decompress((tmp_path / "a.csv.gz").read_bytes()).startswith(b"probability\n")


@pytest.mark.parametrize("name", ["out.parquet", "out.csv"])
def test_the_order_is_kept_across_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    artifact, frame = trained(), rows(1000)
    expected = predict_frame(artifact, frame).tolist()
    frame[:700].write_parquet(tmp_path / "a.parquet")
    frame[700:].write_parquet(tmp_path / "b.parquet")
    monkeypatch.setattr(table_module, "ROWS", 64)
    seen = Seen()
    shards = open_table([tmp_path / "a.parquet", tmp_path / "b.parquet"])
    predict_file(artifact, shards, tmp_path / name, append=["row"], progress=seen)
    found = pl.read_parquet(tmp_path / name) if name == "out.parquet" else pl.read_csv(tmp_path / name)
    assert len(seen.tracks) > 10
    assert found["row"].to_list() == list(range(1000))
    assert found["probability"].to_list() == pytest.approx(expected, abs=1e-7)
    assert predict_frame(artifact, frame).tolist() == pytest.approx(expected, abs=1e-7)


def test_a_limit_reads_the_first_rows(tmp_path: Path) -> None:
    found = written(trained(), rows(50), tmp_path / "out.csv", append=["row"], limit=7)
    assert found["row"].to_list() == list(range(7))
    assert evaluated(trained(), open_table(rows(50)), limit=7, progress=LogProgress()).rows == 7


@pytest.mark.parametrize("name", ["out.parquet", "out.csv"])
def test_no_rows_give_a_file_of_no_rows(tmp_path: Path, name: str) -> None:
    (tmp_path / "in.csv").write_text("price,city,user\n")
    found = written(trained(), tmp_path / "in.csv", tmp_path / name, append=["city"])
    assert found.columns == ["city", "probability"]
    assert len(found) == 0
    if name == "out.parquet":
        assert found.schema == {"city": pl.String, "probability": pl.Float64}
    assert predict_frame(trained(), tmp_path / "in.csv").shape == (0,)


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ({"out": "out.xlsx"}, ConfigError, r"ends in \.parquet, \.csv, \.tsv, .*; got 'out\.xlsx'"),
        ({"out": "out"}, ConfigError, "; got 'out'"),
        ({"append": ["rwo"]}, DataError, "unknown column 'rwo'; did you mean 'row'"),
        ({"append": ["row", "probability"]}, ConfigError, "last column written is 'probability'"),
    ],
)
def test_a_wrong_request_is_refused_and_nothing_written(
    tmp_path: Path, options: dict[str, object], error: type[Exception], sentence: str
) -> None:
    options = {"out": "out.csv"} | options
    out = tmp_path / str(options.pop("out"))
    table = open_table(rows(5).with_columns(probability=0.5))
    with pytest.raises(error, match=sentence):
        predict_file(trained(), table, out, progress=LogProgress(), **options)
    assert os.listdir(tmp_path) == []


def test_a_file_is_not_overwritten_unasked(tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    out.write_text("mine")
    with pytest.raises(ConfigError, match="exists already: replace it with --overwrite"):
        written(trained(), rows(5), out)
    assert out.read_text() == "mine"
    assert len(written(trained(), rows(5), out, overwrite=True)) == 5
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(ConfigError, match="exists already: name a file"):
        written(trained(), rows(5), tmp_path / "folder.csv", overwrite=True)


@pytest.mark.parametrize("name", ["out.parquet", "out.csv", "out.csv.gz"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), DataError("row 3 is wrong")])
def test_a_crash_in_the_middle_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, error: Exception
) -> None:
    artifact, out = trained(), tmp_path / name
    out.write_text("mine")
    calls: list[int] = []

    def crash(artifact: Artifact, chunk: Chunk) -> np.ndarray:
        calls.append(len(chunk.frame))
        if len(calls) == 3:
            raise error
        return probabilities(artifact, chunk)

    monkeypatch.setattr(table_module, "ROWS", 16)
    monkeypatch.setattr("masknet.predict.probabilities", crash)
    with pytest.raises(type(error), match=re.escape(str(error))):
        predict_file(artifact, open_table(rows(100)), out, overwrite=True, progress=LogProgress())
    assert calls == [16, 16, 16]
    assert os.listdir(tmp_path) == [name]
    assert out.read_text() == "mine"


def test_appended_columns_of_any_type_are_copied_or_refused(tmp_path: Path) -> None:
    frame = rows(4).with_columns(
        pl.Series("big", [10**30, 1, None, 2], dtype=pl.Int128),
        pl.Series("day", ["2026-01-31"] * 4).str.to_date(),
        pl.Series("tags", [[1], [], None, [2, 3]]),
        pl.Series("kind", ["a", "b", None, "a"], dtype=pl.Categorical),
    )
    append = ["big", "day", "tags", "kind"]
    found = written(trained(), frame, tmp_path / "out.parquet", append=append)
    assert found["big"].to_list() == [str(10**30), "1", None, "2"]
    assert found.select("day", "tags").equals(frame.select("day", "tags"))
    assert found["kind"].to_list() == ["a", "b", None, "a"]
    text = written(trained(), frame, tmp_path / "out.csv", append=["big", "day", "kind"], text=("big",))
    assert text["big"].to_list() == [str(10**30), "1", None, "2"]
    assert text["day"].to_list() == ["2026-01-31"] * 4
    with pytest.raises(DataError, match=r"column 'tags' holds List.*write \.parquet"):
        written(trained(), frame, tmp_path / "tags.csv", append=["tags"])


def test_an_appended_column_has_one_type_in_a_parquet_file(tmp_path: Path) -> None:
    frame = rows(4)
    frame.write_parquet(tmp_path / "a.parquet")
    frame.with_columns(pl.col("row").cast(pl.Int32)).write_parquet(tmp_path / "b.parquet")
    paths = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    assert written(trained(), paths, tmp_path / "out.parquet", append=["row"]).schema["row"] == pl.Int64
    frame.with_columns(row=pl.lit("seven")).write_parquet(tmp_path / "b.parquet")
    with pytest.raises(DataError, match="changes its type"):
        written(trained(), paths, tmp_path / "two.parquet", append=["row"])
    assert written(trained(), paths, tmp_path / "two.csv", append=["row"])["row"].to_list()[-1] == "seven"


# Evaluation


def test_an_evaluation_is_that_of_the_predictions(tmp_path: Path) -> None:
    artifact, frame = trained("parallel-masknet", weight="weight", group="user"), rows(2000, seed=1)
    seen = Seen()
    evaluation = evaluated(artifact, open_table(frame), progress=seen)
    assert [track for track in seen.tracks if track[0] == "evaluate"][-1] == ("evaluate", 2000, 2000)
    p = written(artifact, frame, tmp_path / "scores.csv")["probability"].to_numpy()
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


def test_an_evaluation_as_json_has_exactly_metrics_and_rows() -> None:
    found = evaluated(trained(), open_table(rows(300)), progress=LogProgress()).to_json()
    assert found.keys() == {"metrics", "rows"}
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
