from __future__ import annotations

import gzip
import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch

import masknet.scoring
import masknet.table
from masknet.artifact import Artifact
from masknet.encode import Count, EncoderLearner
from masknet.errors import ConfigError, DataError
from masknet.manifest import Manifest
from masknet.models import MODELS
from masknet.predict import Written, predict_file, predict_frame, probabilities
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
    return Artifact(Manifest.model_construct(model=model, data={}), encoder, NetworkScorer(network.eval()))


def written(
    artifact: Artifact, source: object, out: Path, *, text: tuple[str, ...] = (), **options: object
) -> pl.DataFrame:
    count = predict_file(artifact, open_table(source), out, progress=LogProgress(), **options).rows
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
         "this file has 2: add it, or train again without it"),
        (["city"], "columns 'user', 'price' are missing from today.csv; the model was trained with 3 columns, of which "
         "this file has 1: add them, or train again without them"),
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
    assert predict_file(artifact, open_table(frame), out, append=append, progress=seen) == Written(200)
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

    def crash(artifact: Artifact, chunk: Chunk, *counts: Count) -> np.ndarray:
        calls.append(len(chunk.frame))
        if len(calls) == 3:
            raise error
        return probabilities(artifact, chunk, *counts)

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
