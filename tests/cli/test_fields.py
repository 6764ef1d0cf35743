"""Every kind of field on the command line, from the raw log to the model card."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import load_file

from masknet.encode import Encoder

ITEMS = [f"i{k}" for k in range(12)]
FLAGS = (
    "--bag", "tags", "--weighted", "tags", "--dense", "text", "--datetime", "hour", "--hash", "device=64",
    "--share", "seen=item", "--max-length", "seen=3", "--ordered", "seen", "--pooling", "seen=sum", "--project", "text",
    "--numeric-encoding", "knots",
)  # fmt: skip
COMMAND = ("train", "log.parquet", "--label", "click", *FLAGS)


def log(rows: int = 400) -> pl.DataFrame:
    """Bags with and without weights, two vectors, moments typed and as numbers, ids without end, a number."""
    rng = np.random.default_rng(1)
    start = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    seen = [rng.choice(ITEMS, n).tolist() for n in rng.integers(0, 6, rows)]
    pulled = np.array([sum(int(item[1:]) % 3 == 0 for item in cell[-3:]) for cell in seen])
    return pl.DataFrame(
        {
            "click": (rng.random(rows) < 0.15 + 0.25 * pulled).astype(np.int64),
            "item": rng.choice(ITEMS, rows),
            "seen": pl.Series(seen, dtype=pl.List(pl.String)),
            "tags": ["" if i % 7 == 0 else f"a:{i % 3};b:{i % 5 / 4}" for i in range(rows)],
            "image": rng.normal(size=(rows, 3)).round(3).tolist(),
            "text": [f"[{x}, {y}]" for x, y in rng.integers(-9, 9, (rows, 2))],
            "at": [start + dt.timedelta(minutes=37 * i) for i in range(rows)],
            "hour": [14102100 + i % 24 for i in range(rows)],
            "device": rng.integers(0, 2**62, rows),
            "price": pl.Series(rng.lognormal(size=rows).round(2)).set(pl.Series(np.arange(rows) % 11 == 0), None),
        }
    )


@pytest.fixture
def fields(masknet, tiny) -> dict[str, Any]:
    """What the model that was trained on the log reads, by name."""
    log().write_parquet("log.parquet")
    result = masknet(*COMMAND, *tiny, "--out", "ads.masknet")
    assert result.code == 0, result.err
    return {field.name: field for field in Encoder.load(Path("ads.masknet")).schema.fields}


def test_the_flags_reach_the_fields(fields: dict[str, Any]) -> None:
    kinds = {name: field.kind for name, field in fields.items()}
    assert kinds == {
        "item": "categorical", "seen": "bag", "tags": "bag", "image": "dense", "text": "dense", "at": "datetime",
        "hour": "datetime", "device": "categorical", "price": "numeric",
    }  # fmt: skip
    seen, tags = fields["seen"], fields["tags"]
    assert (seen.shares, seen.max_length, seen.ordered, seen.pooling, seen.weighted) == ("item", 3, True, "sum", False)
    assert (tags.separator, tags.weighted, tags.pooling) == (";", True, "sum")
    assert (fields["device"].buckets, fields["device"].values) == (64, "integer")
    assert [(fields[name].width, fields[name].projected) for name in ("image", "text")] == [(3, False), (2, True)]
    assert [(fields[name].form, fields[name].zoned) for name in ("at", "hour")] == [("iso", True), ("yymmddhh", None)]
    assert {fields[name].encoding for name in ("at", "hour", "price")} == {"knots"}


@pytest.mark.usefixtures("fields")
def test_it_is_evaluated_checked_and_scores_a_csv_as_it_scores_parquet(masknet) -> None:
    assert masknet("check", "ads.masknet").code == 0
    found = masknet("evaluate", "ads.masknet", "log.parquet", "--threads", 1, "--json").json
    assert found["rows"] == 400
    assert found["metrics"]["log_loss"]["value"] > 0
    frame = log().drop("click")
    image = pl.col("image").cast(pl.List(pl.String)).list.join(" ")
    text = frame.with_columns(pl.col("seen").list.join("|"), image, pl.col("at").cast(pl.String))
    text.write_csv("today.csv")
    frame.with_columns(pl.col("seen").cast(pl.List(pl.Categorical))).write_parquet("today.parquet")
    scores = []
    for name in ("today.csv", "today.parquet"):
        assert masknet("predict", "ads.masknet", name, "--out", f"{name}.scores.csv", "--threads", 1).code == 0
        scores.append(pl.read_csv(f"{name}.scores.csv")["probability"].to_numpy())
    np.testing.assert_array_equal(scores[0], scores[1])
    assert ((scores[0] > 0) & (scores[0] < 1)).all()


@pytest.mark.usefixtures("fields")
def test_new_and_missing_values_are_scored_and_bad_ones_are_named(masknet) -> None:
    few = log(4).drop("click")
    nothing = few.with_columns(pl.lit(None).alias(name) for name in few.columns)
    later = few.with_columns(
        seen=pl.Series([["zz"], ["i1"] * 9, [None, "i2"], []]), tags=pl.lit("zz:1e3;a:-1"), price=pl.lit(float("inf")),
        at=pl.col("at") + pl.duration(days=999), hour=pl.lit(30010100), device=pl.lit(-7),
    )  # fmt: skip
    for name, frame in {"nothing": nothing, "later": later}.items():
        frame.write_parquet(f"{name}.parquet")
        result = masknet("predict", "ads.masknet", f"{name}.parquet", "--out", f"{name}.csv", "--threads", 1)
        assert result.code == 0, result.err
        scores = pl.read_csv(f"{name}.csv")["probability"]
        assert scores.is_finite().all()
        # Equal rows of a batch may differ in their last bits: some kernels take rows in fours, and the rest otherwise.
        assert (float(scores.max()) - float(scores.min()) < 1e-6) == (name == "nothing")
    wrong = {
        "image": (pl.lit([1.0, 2.0]), "have 3 numbers, that in row 1 of bad.parquet has 2"),
        "tags": (pl.lit("a"), "column 'tags' gives 'a' none in row 1 of bad.parquet"),
        "hour": (pl.lit(14109900), "column 'hour' holds '14109900' in row 1 of bad.parquet"),
        "at": (pl.col("at").dt.replace_time_zone(None), "unlike those of training"),
        "price": (pl.lit("dear"), "column 'price' holds 'dear' in row 1 of bad.parquet"),
        "seen": (pl.lit([[["a"]]]), "the values of a bag are plain"),
    }
    for name, (cells, sentence) in wrong.items():
        few.with_columns(cells.alias(name)).write_parquet("bad.parquet")
        error = masknet("predict", "ads.masknet", "bad.parquet", "--out", "bad.csv", "--threads", 1).error
        assert sentence in error, name
        assert not Path("bad.csv").exists()


@pytest.mark.usefixtures("fields")
def test_the_model_card_says_what_is_known_of_each_field() -> None:
    card = Path("ads.masknet/README.md").read_text(encoding="utf-8")
    for line in (
        "| item | categorical (text) | 12 values |",
        "| seen | bag (text) | 12 values, at most 3 a row |",
        "| tags | bag (text) | 2 values, at most 2 a row |",
        "| image | dense | 3 numbers |",
        "| text | dense | 2 numbers |",
        "| at | datetime | until 2026-01-1",
        "| hour | datetime | until 2014-10-21 |",
        "| device | categorical (integer) | 64 buckets |",
        "| price | numeric | ",
    ):
        assert line in card, line
    kept = json.loads(Path("ads.masknet/run.json").read_text())
    assert (kept["share"], kept["hash"], kept["weighted"]) == ({"seen": "item"}, {"device": 64}, ["tags"])


@pytest.mark.usefixtures("fields")
def test_the_run_file_trains_the_same_model_again(masknet) -> None:
    assert masknet("train", "--config", "ads.masknet/run.json", "--out", "again.masknet").code == 0
    weights = [Path(f"{name}.masknet/weights.safetensors").read_bytes() for name in ("ads", "again")]
    assert weights[0] == weights[1]


def test_inspect_takes_the_same_flags(fields: dict[str, Any], masknet) -> None:
    shown = masknet("inspect", "log.parquet", "--label", "click", *FLAGS, "--json").json
    assert [field["name"] for field in shown["schema"]["fields"]] == list(fields)
    assert shown["schema"]["fields"] == [field.model_dump(mode="json") for field in fields.values()]
    table = masknet("inspect", "log.parquet", "--label", "click", *FLAGS).out
    assert {line.split()[1] for line in table.splitlines()[2:]} >= {
        "bag",
        "dense",
        "datetime",
        "categorical",
        "numeric",
    }


def test_a_stopped_run_goes_on_to_the_same_weights(masknet, tiny, ctrl_c) -> None:
    log().write_parquet("log.parquet")
    flags = ("--negative-rate", 0.5, "--batch-size", 16, "--epochs", 2)
    assert masknet(*COMMAND, *tiny, *flags, "--out", "whole").code == 0
    with ctrl_c("epoch 2/2", 48):
        assert masknet(*COMMAND, *tiny, *flags, "--out", "cut").code == 130
    resumed = masknet(*COMMAND, *tiny, *flags, "--out", "cut", "--resume")
    assert "resumed after" in resumed.err
    assert Path("cut/weights.safetensors").read_bytes() == Path("whole/weights.safetensors").read_bytes()


@pytest.mark.parametrize("field", ["item", "seen"])
def test_vectors_are_read_into_a_shared_vocabulary(field: str, masknet, tiny) -> None:
    log().write_parquet("log.parquet")
    vectors = pl.DataFrame({"item": [*ITEMS[:8], "nobody"], "v": [[float(k), -k / 4] for k in range(9)]})
    vectors.write_parquet("vectors.parquet")
    flags = ("--pretrained", f"{field}=vectors.parquet", "--freeze", field)
    result = masknet(*COMMAND, *tiny, *flags, "--out", "ads.masknet")
    assert result.code == 0, result.err
    assert f"8 of the 12 values of '{field}' have a vector in vectors.parquet, and are not trained" in result.err
    encoder = Encoder.load(Path("ads.masknet"))
    vocabulary = encoder.encodings[0].vocabulary  # type: ignore[union-attr]
    ids = dict(zip(vocabulary.values, vocabulary.id_array.tolist(), strict=True))
    weights = load_file("ads.masknet/weights.safetensors")
    (table,) = (array for array in weights.values() if array.shape == (encoder.space.num_ids, 2))
    assert table[[ids[item] for item in ITEMS[:8]]].tolist() == vectors["v"].to_list()[:8]


def test_a_hashed_field_takes_no_vectors(masknet, tiny) -> None:
    log().write_parquet("log.parquet")
    pl.DataFrame({"item": ["7"], "v": [[1.0, 2.0]]}).write_parquet("vectors.parquet")
    error = masknet(*COMMAND, *tiny, "--pretrained", "device=vectors.parquet").error
    assert "the field 'device' is hashed and has none: name another, or leave it out of --hash" in error


def test_bad_rows_of_every_kind_are_set_aside(masknet, tiny) -> None:
    frame = log().with_row_index("n")

    def spoil(column: str, row: int, cell: Any) -> pl.Expr:
        return pl.when(pl.col("n") == row).then(pl.lit(cell)).otherwise(pl.col(column)).alias(column)

    bad = frame.with_columns(
        spoil("tags", 3, "a"), spoil("text", 5, "[1, 2, 3]"), spoil("hour", 8, 14109999), spoil("image", 10, [1.0])
    ).drop("n")
    bad.write_parquet("log.parquet")
    command = (*COMMAND, *tiny, "--dense", "image", "--out", "ads.masknet")
    assert "in row 9 of log.parquet" in masknet(*command).error, "moments are read before all others"
    result = masknet(*command, "--bad-rows", "quarantine")
    assert result.code == 0, result.err
    assert "4 of 400 rows of log.parquet are bad" in result.err
    kept = pl.read_csv("ads.masknet.run/bad_rows.csv")
    assert kept.select("row", "column").rows() == [(4, "tags"), (6, "text"), (9, "hour"), (11, "image")]


@pytest.mark.parametrize("encoding", ["linear", "knots"])
def test_a_bag_is_learned_from(encoding: str, masknet) -> None:
    """The clicks follow the last three items that were seen, and nothing else."""
    log(3000).select("click", "seen", "price").write_parquet("log.parquet")
    flags = ("--model", "lr", "--epochs", 15, "--learning-rate", 0.05, "--threads", 1, "--numeric-encoding", encoding)
    result = masknet("train", "log.parquet", "--label", "click", *flags, "--max-length", "seen=3",
                     "--pooling", "seen=sum", "--json")  # fmt: skip
    assert result.json["metrics"]["auc"]["low"] > 0.55
