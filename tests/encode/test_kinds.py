"""Every kind of field together: one table through all readers, what is stored, what is learned later."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils import murmurhash3_32

from masknet.batches import EpochOrder, ordered_batches, training_batches
from masknet.encode import Declared, Encoder, EncoderLearner, EncodingPlan, Prepared, inspect_table, prepare
from masknet.encode.murmur import murmur3
from masknet.encode.numeric import Knots, KnotSample
from masknet.errors import ConfigError
from masknet.progress import LogProgress
from masknet.schema import Bag, Categorical, Schema
from masknet.table import Chunk, open_table

ROWS = 400
PICKED = np.array([5, 0, 17])
LISTS = pl.List(pl.String)
DECLARED = Declared(
    label="click",
    bag=("tags", "weights"),
    weighted=("weights",),
    hash={"device": 50},
    share={"seen": "item"},
    max_length={"seen": 3},
    ordered=("seen",),
)


def log() -> pl.DataFrame:
    rng = np.random.default_rng(0)
    items = np.array([f"i{k}" for k in range(20)])
    start = dt.datetime(2026, 1, 1)
    return pl.DataFrame(
        {
            "click": (rng.random(ROWS) < 0.3).astype(np.int64),
            "item": rng.choice(items, ROWS),
            "seen": pl.Series([rng.choice(items, rng.integers(0, 6)).tolist() for _ in range(ROWS)], dtype=LISTS),
            "tags": ["|".join(rng.choice(list("abc"), rng.integers(1, 4))) for _ in range(ROWS)],
            "weights": [f"{rng.choice(['x', 'y'])}:{rng.integers(1, 9) / 4};z:0.5" for _ in range(ROWS)],
            "vector": [(rng.integers(-8, 8, 3) / 4).tolist() for _ in range(ROWS)],
            "at": [None if i % 50 == 7 else start + dt.timedelta(minutes=37 * i) for i in range(ROWS)],
            "price": [None if i % 40 == 3 else float(x) for i, x in enumerate(rng.integers(0, 500, ROWS) / 4)],
            "device": rng.integers(10**12, 10**15, ROWS),
        }
    )  # fmt: skip


def as_text(frame: pl.DataFrame) -> pl.DataFrame:
    """What a file without types holds."""
    vector = pl.col("vector").cast(pl.List(pl.String)).list.join(" ")
    return frame.with_columns(pl.col("seen").list.join("|"), vector)


def fitted(source: Any, declared: Declared, encoding: Any = "knots") -> Encoder:
    table = open_table(source)
    schema = inspect_table(table, declared, LogProgress(), numeric_encoding=encoding).schema
    learning = EncoderLearner(schema)
    for chunk in table.chunks(schema.field_names):
        learning.add(chunk)
    return learning.finish()


def encoded(encoder: Encoder, source: Any) -> list[np.ndarray]:
    parts = [encoder.encode(chunk) for chunk in open_table(source).chunks(encoder.schema.field_names)]
    return [np.concatenate([getattr(part, name) for part in parts]) for name in ("ids", "values", "dense")]


@pytest.mark.parametrize("encoding", ["knots", "linear"])
def test_every_reader_gives_the_same_rows(tmp_path: Path, encoding: str) -> None:
    frame = log()
    frame.write_parquet(tmp_path / "a.parquet")
    as_text(frame).write_csv(tmp_path / "a.csv")
    pandas = frame.to_pandas()
    pandas["seen"] = pd.Series([list(cell) for cell in frame["seen"]], dtype=object)
    objects = json.loads(json.dumps(frame.to_dicts(), default=str))
    by_columns = frame.select("click", *(c for c in frame.columns if c != "click"))
    as_texts = dataclasses.replace(DECLARED, bag=("tags", "weights", "seen"), dense=("vector",))
    typed, texts = fitted(tmp_path / "a.parquet", DECLARED, encoding), fitted(tmp_path / "a.csv", as_texts, encoding)
    expected = encoded(typed, frame)
    for encoder in (typed, texts):
        files = tmp_path / "a.parquet", tmp_path / "a.csv"
        for source in (frame, *files, by_columns, frame.to_arrow(), pandas, objects):
            for found, right in zip(encoded(encoder, source), expected, strict=True):
                np.testing.assert_array_equal(found, right)
    assert expected[2].shape == (ROWS, 3)
    np.testing.assert_array_equal(expected[2], np.array(frame["vector"].to_list(), dtype=np.float32))


def test_what_is_saved_is_what_was_learned(tmp_path: Path) -> None:
    frame = log()
    encoder = fitted(frame, DECLARED)
    encoder.save(tmp_path)
    again = Encoder.load(tmp_path)
    assert again.schema == encoder.schema
    assert again.space == encoder.space
    for found, right in zip(encoded(again, frame), encoded(encoder, frame), strict=True):
        np.testing.assert_array_equal(found, right)


def prepared(tmp_path: Path, frame: pl.DataFrame, **plan: Any) -> Prepared:
    options = {"declared": DECLARED, "valid_fraction": 0.25, "numeric_encoding": "knots"} | plan
    return prepare(open_table(frame), None, EncodingPlan(**options), LogProgress(), cache=tmp_path)


@pytest.mark.parametrize("encoding", ["knots", "linear"])
def test_what_is_stored_is_what_the_encoder_gives(tmp_path: Path, encoding: str) -> None:
    frame = log()
    made = prepared(tmp_path, frame, numeric_encoding=encoding)
    assert made.valid is not None
    ids, values, dense = encoded(made.encoder, frame)
    rows = np.concatenate([np.asarray(part.labels) for part in (made.train, made.valid)])
    assert len(rows) == ROWS
    for part in (made.train, made.valid):
        taken, some = part.take(slice(None)), part.take(PICKED)
        assert taken.dense is not None
        assert some.dense is not None
        # Each stored row is one of the table's, so all of it must be found there again.
        whole = {tuple(row) for row in np.hstack([ids, np.where(ids == 0, 0, values), dense]).tolist()}
        own = np.hstack([taken.ids, np.where(taken.ids == 0, 0, taken.values), taken.dense])
        assert all(tuple(row) in whole for row in own.tolist())
        np.testing.assert_array_equal(some.ids, taken.ids[PICKED])
        np.testing.assert_array_equal(some.values, taken.values[PICKED])
        np.testing.assert_array_equal(some.dense, taken.dense[PICKED])
    bag = made.train.bags[0]
    assert len(bag.ids) < len(made.train) * 3, "ragged: no padding is stored"
    batch = next(ordered_batches(made.train, batch_size=7))
    assert (batch.ids.shape[0], batch.dense.shape) == (7, (7, 3))  # type: ignore[union-attr]


def test_padding_is_never_shown_as_unseen(tmp_path: Path) -> None:
    made = prepared(tmp_path, log())
    order, done = EpochOrder(len(made.train), seed=0, epoch=0), 0
    assert (made.train.take(slice(0, len(made.train))).ids == 0).any()
    for batch in training_batches(made.train, batch_size=64, seed=0, epoch=0, unseen_rate=0.9):
        padding = made.train.take(order[done : done + len(batch)]).ids == 0
        assert not batch.ids.numpy()[padding].any(), "in each row, what is padding stays so"
        done += len(batch)
    assert done == len(made.train)


def bag_of(cells: list[Any], **options: Any) -> tuple[Encoder, np.ndarray, np.ndarray]:
    schema = Schema(label=None, fields=(Bag(name="b", **options),))
    chunk = Chunk(pl.DataFrame({"b": cells}), "the frame", 1)
    learning = EncoderLearner(schema)
    learning.add(chunk)
    encoder = learning.finish()
    found = encoder.encode(chunk)
    return encoder, found.ids, found.values


def test_the_last_values_of_a_bag_are_kept_in_their_order() -> None:
    encoder, ids, _ = bag_of([["a", "b", "c"], ["c"], []], max_length=2, ordered=True)
    place = dict(zip(encoder.encodings[0].vocabulary.values, encoder.encodings[0].vocabulary.id_array, strict=True))
    assert ids.tolist() == [[place["b"], place["c"]], [place["c"], 0], [1, 0]]
    assert encoder.space.fields[0].ordered


def test_weights_of_a_bag_stay_with_their_values() -> None:
    encoder, ids, values = bag_of(["a:2|b:0.5", "b:-3", ""], weighted=True, separator="|", pooling="sum")
    place = dict(zip(encoder.encodings[0].vocabulary.values, encoder.encodings[0].vocabulary.id_array, strict=True))
    assert ids.tolist() == [[place["a"], place["b"]], [place["b"], 0], [1, 0]]
    assert values.tolist() == [[2.0, 0.5], [-3.0, 0.0], [1.0, 0.0]]


def test_fields_that_share_a_vocabulary_count_together() -> None:
    schema = Schema(label=None, fields=(Categorical(name="item"), Bag(name="seen", shares="item")))
    chunk = Chunk(pl.DataFrame({"item": ["a", "b", "c"], "seen": [["b"], ["b", "d"], ["a"]]}), "the frame", 1)
    learning = EncoderLearner(schema, min_count=2)
    learning.add(chunk)
    encoder = learning.finish()
    ids = encoder.encode(chunk).ids
    assert ids[1, 0] == ids[0, 1], "one value, one id"
    assert encoder.encodings[0].vocabulary.values.to_list() == ["b", "a"]
    assert encoder.space.num_ids == 1 + 4 + 2
    assert ids[2, 0] == 2, "a rare item is the item's unseen"
    assert ids[1, 2] == 4, "a rare seen one is the bag's"


def test_ids_are_added_behind_all_others(tmp_path: Path) -> None:
    frame = log()
    encoder = fitted(frame, DECLARED)
    before = encoded(encoder, frame)
    grown = encoder.extended("item", ["i3", "new", "newer", "new"])
    for found, right in zip(encoded(grown, frame), before, strict=True):
        np.testing.assert_array_equal(found, right)
    assert grown.space.num_ids == encoder.space.num_ids + 2
    later = frame.head(1).with_columns(item=pl.lit("newer"), seen=pl.Series([["new", "i3"]]))
    ids = encoded(grown, later)[0][0]
    assert encoder.space.num_ids + 1 in ids, "the field knows the new value"
    assert encoder.space.num_ids in ids, "and so does the bag that shares its vocabulary"
    grown.save(tmp_path)
    np.testing.assert_array_equal(encoded(Encoder.load(tmp_path), later)[0][0], ids)
    with pytest.raises(ConfigError, match="'device' keeps none"):
        encoder.extended("device", ["1"])
    with pytest.raises(ConfigError, match="did you mean 'item'"):
        encoder.extended("itm", ["1"])


def test_a_moment_is_hour_weekday_and_age() -> None:
    frame = log()
    encoder = fitted(
        frame, Declared(label="click", ignore=("seen", "vector", "tags", "weights", "device", "price", "item"))
    )
    assert [f.name for f in encoder.space.fields] == ["at.hour", "at.weekday", "at.age"]
    moment = encoder.encodings[0]
    found = encoder.encode(next(open_table(frame).chunks()))
    ids, values = found.ids, found.values
    known = [at for at in frame["at"] if at is not None]
    hours = dict(zip(moment.hour.vocabulary.id_array.tolist(), moment.hour.vocabulary.values, strict=True))  # type: ignore[union-attr]
    assert [int(hours[i]) for i, at in zip(ids[:, 0], frame["at"], strict=True) if at is not None] == [
        at.hour for at in known
    ]
    days = dict(zip(moment.weekday.vocabulary.id_array.tolist(), moment.weekday.vocabulary.values, strict=True))  # type: ignore[union-attr]
    assert [int(days[i]) for i, at in zip(ids[:, 1], frame["at"], strict=True) if at is not None] == [
        at.weekday() for at in known
    ]
    ages = np.array([(max(known) - at).total_seconds() / 86400 for at in known])
    knots = np.array(moment.age.knots.at)  # type: ignore[union-attr]
    lower = ids[:, 2][frame["at"].is_not_null().to_numpy()] - moment.age.ids[0]  # type: ignore[union-attr]
    weight = values[:, 3][frame["at"].is_not_null().to_numpy()]
    upper = np.minimum(lower + 1, len(knots) - 1)
    np.testing.assert_allclose((1 - weight) * knots[lower] + weight * knots[upper], ages, atol=1e-4)


@given(st.lists(st.text(max_size=40), min_size=1, max_size=20))
def test_the_hash_is_the_one_of_scikit_learn(texts: list[str]) -> None:
    texts = [text.encode("utf-8", "ignore").decode() for text in texts]
    assert murmur3(pl.Series(texts)).tolist() == [murmurhash3_32(text, seed=0, positive=True) for text in texts]
    assert murmur3(pl.Series(["x", *texts]).slice(1)).tolist() == murmur3(pl.Series(texts)).tolist()


numbers = st.floats(-1e6, 1e6).map(lambda x: round(x, 3))


@given(st.lists(numbers, min_size=1, max_size=90), st.lists(numbers | st.just(np.inf), max_size=20))
def test_two_knots_give_the_number_back(seen: list[float], asked: list[float]) -> None:
    sample = KnotSample()
    sample.add(np.array(seen))
    knots = sample.knots(min(seen), max(seen), most=16)
    at = np.array(knots.at)
    assert len(at) <= 18
    assert (np.diff(at) > 0).all()
    if len(set(seen)) <= 16:
        assert sorted({x + 0.0 for x in seen}) == at.tolist(), "every value is a knot"
    index, weight = knots.apply(np.array(asked))
    expected = np.clip(asked, at[0], at[-1])
    upper = np.minimum(index + 1, len(at) - 1)
    np.testing.assert_allclose(
        at[index] + weight.astype(float) * (at[upper] - at[index]), expected, rtol=1e-5, atol=1e-3 * np.ptp(at) + 1e-9
    )


def test_the_knots_do_not_depend_on_how_a_reader_cut_the_stream() -> None:
    numbers = np.random.default_rng(0).lognormal(size=250_000)
    whole, cut = KnotSample(), KnotSample()
    whole.add(numbers)
    for part in np.array_split(numbers, 7):
        cut.add(part)
    assert whole.knots(0.0, 99.0) == cut.knots(0.0, 99.0)
    assert Knots(at=(1.0,)).apply(np.array([5.0, np.nan]))[0].tolist() == [0, 0]


def test_a_share_of_the_negatives_is_weighted_back(tmp_path: Path) -> None:
    frame = log()
    whole, part = prepared(tmp_path, frame), prepared(tmp_path, frame, negative_rate=0.25)
    assert part.valid is not None
    assert part.train.weights is not None
    assert part.valid.weights is None
    assert len(part.valid) == len(whole.valid or ())
    labels, weights = np.asarray(part.train.labels)[:, 0], np.asarray(part.train.weights)
    assert (labels == 1).sum() == (whole.train.labels == 1).sum(), "every positive stays"
    kept = (labels == 0).sum() / (whole.train.labels == 0).sum()
    assert 0.15 < kept < 0.35
    assert set(weights[labels == 1]) == {1.0}
    assert set(weights[labels == 0]) == {4.0}
    again = prepared(tmp_path / "other", frame, negative_rate=0.25)
    np.testing.assert_array_equal(again.train.ids, part.train.ids)


def test_the_encoding_is_readable(tmp_path: Path) -> None:
    fitted(log(), DECLARED).save(tmp_path)
    content = json.loads((tmp_path / "encoding.json").read_text())
    assert content["fields"]["at"]["age"]["knots"]["at"]
    assert content["fields"]["device"]["first_bucket"] > 0
