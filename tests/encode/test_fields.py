"""Each kind of field against a slow copy of itself, cell by cell, and what it keeps of its training."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils import murmurhash3_32

from masknet.encode import Counts, Encoder, EncoderLearner, Shown
from masknet.encode.fields import BagEncoding, CategoricalEncoding, DatetimeEncoding, EncodedRows
from masknet.encode.vocabulary import Vocabulary
from masknet.errors import ConfigError
from masknet.schema import Bag, Categorical, Datetime, Dense, FieldSchema, Numeric, Schema
from masknet.table import Chunk

Columns = dict[str, Any]


def chunk_of(columns: Columns) -> Chunk:
    return Chunk(pl.DataFrame(columns, strict=False), "the frame", first_row=1)


def fit(*fields: FieldSchema, rows: Columns, **options: Any) -> Encoder:
    learning = EncoderLearner(Schema(label=None, fields=fields), **options)
    learning.add(chunk_of(rows))
    return learning.finish()


def encode(encoder: Encoder, rows: Columns) -> EncodedRows:
    return encoder.encode(chunk_of(rows))


def words_of(encoder: Encoder, field: str) -> dict[int, str]:
    """What the ids of a field say: its values, and its two reserved ids; 0 is padding."""
    encoding = encoder.encodings[encoder.schema.field_names.index(field)]
    assert isinstance(encoding, CategoricalEncoding | BagEncoding)
    assert isinstance(encoding.vocabulary, Vocabulary)
    known = dict(zip(encoding.vocabulary.id_array.tolist(), encoding.vocabulary.values, strict=True))
    return {0: ".", encoding.missing: "missing", encoding.unseen: "unseen"} | known


def said(encoder: Encoder, field: str, rows: Columns) -> list[list[str]]:
    """The slots of a table of one field in words."""
    words = words_of(encoder, field)
    return [[words[i] for i in row] for row in encode(encoder, rows).ids.tolist()]


# Bags


def test_missing_and_unseen_values_of_a_bag() -> None:
    encoder = fit(Bag(name="b"), rows={"b": [["x", "y"], None, ["x"]]})
    assert said(encoder, "b", {"b": [["x", "zzz"], [], ["", None], ["zzz"], ["y", "", "x"]]}) == [
        ["x", "unseen"], ["missing", "."], ["missing", "."], ["unseen", "."], ["y", "x"],
    ]  # fmt: skip
    assert encoder.layout.fixed_ids.tolist() == [-1, -1]
    assert encoder.layout.unit_values.tolist() == [True, True]
    assert encoder.shown == (Shown(2, unseen=2, missing=1, counts=Counts(rows=3, missing=1, values=3)),)
    assert [f.kind for f in encoder.space.fields] == ["bag"]


def test_a_bag_never_empty_in_training_reads_an_empty_one_as_unseen() -> None:
    encoder = fit(Bag(name="b"), rows={"b": [["x"], ["x", "y"]]})
    assert encode(encoder, {"b": [[], ["zzz"]]}).ids.tolist() == [[2, 0], [2, 0]]


def test_slots_are_those_of_the_longest_bag_of_training_and_max_length_at_most() -> None:
    rows = {"b": [list("abc"), list("abcdefgh")]}
    assert fit(Bag(name="b"), rows=rows).space.num_slots == 8
    encoder = fit(Bag(name="b", max_length=3, ordered=True, pooling="sum"), rows=rows)
    assert said(encoder, "b", rows) == [["a", "b", "c"], ["f", "g", "h"]]
    space = encoder.space.fields[0]
    assert (space.slots, space.ordered, space.pooling) == (3, True, "sum")
    shorter = fit(Bag(name="b"), rows={"b": [["a", "b"]]})
    assert said(shorter, "b", {"b": [list("xab")]}) == [["a", "b"]], "the last values of longer ones are kept"
    assert fit(Bag(name="b"), rows={"b": [None, []]}).space.num_slots == 1


def test_a_bag_without_a_limit_is_kept_whole() -> None:
    values = [str(i) for i in range(1000)]
    encoder = fit(
        Bag(name="b", weighted=True), rows={"b": [[{"v": v, "w": 1.0} for v in values], [{"v": "7", "w": 1.0}]]}
    )
    assert encoder.space.num_slots == 1000
    assert encoder.rows_at_once == (1 << 25) // 1000


def test_every_value_of_a_bag_counts_though_it_is_cut_off() -> None:
    encoder = fit(Bag(name="b", max_length=1), rows={"b": [["x", "y"], ["x", "y"], ["z", "x"]]}, min_count=2)
    assert said(encoder, "b", {"b": [["x"], ["y"], ["z"]]}) == [["x"], ["y"], ["unseen"]]
    assert encoder.shown == (Shown(1, unseen=2, counts=Counts(rows=3, values=6, rare=1)),)
    assert words_of(fit(Bag(name="b"), rows={"b": [list("aab")]}, max_vocabulary=1), "b")[3] == "a"


def test_only_kept_rows_teach_a_bag() -> None:
    learning = EncoderLearner(Schema(label=None, fields=(Bag(name="b"),)))
    rows = {"b": [["x"], None, ["y", "z"]]}
    learning.add(chunk_of(rows), np.array([True, False, False]))
    assert encode(learning.finish(), rows).ids.tolist() == [[3], [2], [2]]


bags = st.lists(st.lists(st.sampled_from(["a", "b", "c", "d", ""]), max_size=5) | st.none(), min_size=1, max_size=8)


@given(bags, bags, st.integers(1, 6), st.integers(1, 3), st.sampled_from([None, 1, 2]))
def test_bags_against_a_slow_copy(train: Any, later: Any, most: int, min_count: int, top: int | None) -> None:
    kind = {"schema": {"b": pl.List(pl.String)}}
    learning = EncoderLearner(
        Schema(label=None, fields=(Bag(name="b", max_length=most),)), min_count=min_count, max_vocabulary=top
    )
    learning.add(Chunk(pl.DataFrame({"b": train}, **kind), "the frame", 1))
    encoder = learning.finish()
    read = [[word for word in cell or () if word] for cell in train]
    counts = Counter(word for cell in read for word in cell)
    kept = sorted((word for word in counts if counts[word] >= min_count), key=lambda word: (-counts[word], word))[:top]
    slots = max(1, min(most, max(len(cell) for cell in read)))
    missing = 1 if any(not cell for cell in read) else 2
    for cells in (train, later):
        expected = []
        for cell in cells:
            ids = [3 + kept.index(w) if w in kept else 2 for w in cell or () if w] or [missing]
            expected.append([*ids[-slots:], *[0] * (slots - len(ids))])
        found = encoder.encode(Chunk(pl.DataFrame({"b": cells}, **kind), "the frame", 1))
        assert found.ids.tolist() == expected
        assert (found.values == 1).all()
    assert encoder.space.num_ids == 3 + len(kept)


# Shared vocabularies, and hashing


def test_sharing_fields_count_together_whichever_comes_first() -> None:
    rows = {"item": ["a", "b", "c", None], "seen": [["b"], ["b", "d"], ["a"], ["d"]], "last": ["d", "b", "e", "e"]}
    item = Categorical(name="item")
    for fields in (
        (item, Bag(name="seen", shares="item"), Categorical(name="last", shares="item")),
        (Categorical(name="last", shares="item"), Bag(name="seen", shares="item"), item),
    ):
        encoder = fit(*fields, rows=rows, min_count=2)
        for name, missing in (("item", "missing"), ("seen", "unseen"), ("last", "unseen")):
            words = words_of(encoder, name)
            assert [word for i, word in words.items() if i > 6] == ["b", "d", "a", "e"], (
                "4 times, 3 times, twice, twice"
            )
            slot = encoder.space.slot_fields.index(encoder.schema.field_names.index(name))
            empty = {"item": [None], "seen": [[]], "last": [None]}
            assert words[encode(encoder, empty).ids[0, slot]] == missing
        assert encoder.space.num_ids == 1 + 6 + 4
        rare = [e.counts.rare for e in encoder.encodings]  # type: ignore[union-attr]
        assert rare == [{"item": 1, "seen": 0, "last": 0}[name] for name in encoder.schema.field_names], "c is rare"


def test_hashed_fields_learn_nothing_but_whether_values_are_missing() -> None:
    rows = {"user": [7, None], "tags": [["x", "y"], ["z"]]}
    fields = (Categorical(name="user", values="integer", buckets=10), Bag(name="tags", buckets=1000))
    encoder = fit(*fields, rows=rows, min_count=9, max_vocabulary=1)
    assert encoder.space.num_ids == 1 + 4 + 1010
    later = {"user": [8.0, None, 7.0], "tags": [["x", "new"], [], ["日本"]]}
    number, tag = ([murmurhash3_32(text, positive=True) for text in texts] for texts in ("87", ["x", "new", "日本"]))
    assert encode(encoder, later).ids.tolist() == [
        [5 + number[0] % 10, 15 + tag[0] % 1000, 15 + tag[1] % 1000],
        [1, 4, 0],
        [5 + number[1] % 10, 15 + tag[2] % 1000, 0],
    ]


TWO = Counts(rows=2, values=2)
HALF = Counts(rows=2, missing=1, values=1)


def test_a_hashed_field_shows_its_unseen_id_only_where_it_may_return_it() -> None:
    """No value is unseen to it; a missing value reads as unseen where none was missing in training."""
    fields = (Categorical(name="user", buckets=10), Bag(name="tags", buckets=10))
    whole = fit(*fields, rows={"user": ["a", "b"], "tags": [["x"], ["y"]]})
    assert whole.shown == (Shown(unseen=2, counts=TWO), Shown(unseen=4, counts=TWO))
    assert encode(whole, {"user": [None], "tags": [[]]}).ids.tolist() == [[2, 4]]
    holes = fit(*fields, rows={"user": ["a", None], "tags": [["x"], []]})
    assert holes.shown == (Shown(missing=1, counts=HALF), Shown(missing=3, counts=HALF))


def test_a_field_may_share_the_buckets_of_another() -> None:
    fields = (Bag(name="seen", shares="item"), Categorical(name="item", buckets=50))
    encoder = fit(*fields, rows={"item": ["a"], "seen": [["b"]]})
    ids = encode(encoder, {"item": ["q"], "seen": [["q"]]}).ids
    assert ids[0, 0] == ids[0, 1] == 5 + murmurhash3_32("q", positive=True) % 50
    assert encoder.space.num_ids == 1 + 4 + 50


# Moments


START = dt.datetime(2026, 1, 1)
moments_of = st.lists(
    st.datetimes(START, START + dt.timedelta(days=9)).map(lambda at: at.replace(microsecond=0)) | st.none(),
    min_size=1,
    max_size=12,
)


@given(moments_of, moments_of)
def test_moments_against_a_slow_copy(train: Any, later: Any) -> None:
    kind = {"schema": {"t": pl.Datetime("us")}}
    learning = EncoderLearner(Schema(label=None, fields=(Datetime(name="t"),)))
    learning.add(Chunk(pl.DataFrame({"t": train}, **kind), "the frame", 1))
    encoder = learning.finish()
    encoding = encoder.encodings[0]
    assert isinstance(encoding, DatetimeEncoding)
    known = [at for at in train if at is not None]
    latest = max(known, default=dt.datetime(1970, 1, 1))
    ages = np.array([(latest - at).total_seconds() / 86400 for at in known] or [0.0])
    parts = {"hour": lambda at: str(at.hour), "weekday": lambda at: str(at.weekday())}
    for cells in (train, later):
        found = encoder.encode(Chunk(pl.DataFrame({"t": cells}, **kind), "the frame", 1))
        assert found.ids.shape == found.values.shape == (len(cells), 3)
        for slot, (name, part) in enumerate(parts.items()):
            own = getattr(encoding, name)
            counts = Counter(part(at) for at in known)
            order = sorted(counts, key=lambda word: (-counts[word], word))
            ids = dict(zip(order, own.vocabulary.id_array.tolist(), strict=True))
            missing = own.missing if None in train else own.unseen
            expected = [missing if at is None else ids.get(part(at), own.unseen) for at in cells]
            assert found.ids[:, slot].tolist() == expected
            assert (found.values[:, slot] == 1).all()
        for at, i, x in zip(cells, found.ids[:, 2], found.values[:, 2], strict=True):
            if at is None:
                assert (i, x) == ((encoding.age.missing, 1) if None in train else (encoding.age.value, 0))  # type: ignore[union-attr]
            else:
                age = np.clip((latest - at).total_seconds() / 86400, ages.min(), ages.max())
                assert i == encoding.age.value  # type: ignore[union-attr]
                assert x == pytest.approx((age - ages.mean()) / (ages.std() or 1.0), abs=1e-3)


@pytest.mark.parametrize("form", ["linear", "knots"])
def test_whatever_is_later_than_training_is_of_age_zero(form: Any) -> None:
    rows = {"t": [START, START + dt.timedelta(days=2), START + dt.timedelta(days=5)]}
    encoder = fit(Datetime(name="t", encoding=form), rows=rows)
    latest, later, earlier, first = (
        (found.ids[0, 2:].tolist(), found.values[0, 2:].tolist())
        for found in (encode(encoder, {"t": [START + dt.timedelta(days=days)]}) for days in (5, 50, -50, 0))
    )
    assert later == latest
    assert earlier == first != latest
    assert "2026-01-06" in encoder.encodings[0].known


# Vectors and knots


def test_a_vector_is_columns_of_dense_beside_the_others() -> None:
    fields = (Dense(name="v", width=2), Numeric(name="n"), Dense(name="w", width=1, projected=True))
    rows = {"v": [[1.0, 2.0], None], "n": [1.0, 3.0], "w": ["[0.5]", ""]}
    encoder = fit(*fields, rows=rows)
    found = encode(encoder, rows)
    assert found.dense.tolist() == [[1, 2, 0.5], [0, 0, 0]]
    assert found.dense.dtype == np.float32
    assert found.ids.shape == (2, 1)
    assert [(f.name, f.slots, f.width, f.projected) for f in encoder.space.fields] == [
        ("v", 0, 2, False), ("n", 1, 0, False), ("w", 0, 1, True),
    ]  # fmt: skip
    assert encoder.space.num_ids == 3, "a vector takes no id"


def test_knots_have_an_id_each_behind_the_reserved_ones() -> None:
    fields = (Numeric(name="n", encoding="knots"), Categorical(name="c"), Numeric(name="m", encoding="knots"))
    rows = {"n": [0.0, 10.0, 20.0, None], "c": ["x"] * 4, "m": [5.0, 5.0, 5.0, 5.0]}
    encoder = fit(*fields, rows=rows)
    found = encode(encoder, {"n": [2.5, 20.0, None, -7.0], "c": ["x"] * 4, "m": [5.0, 9.0, None, -1.0]})
    assert found.ids.tolist() == [[7, 8, 10, 11, 0], [8, 9, 10, 11, 0], [2, 0, 10, 11, 0], [7, 0, 10, 11, 0]]
    assert found.values[:, :2].tolist() == [[0.75, 0.25], [0, 1], [1, 0], [1, 0]]
    assert found.values[:, 3:].tolist() == [[1, 0]] * 4
    assert encoder.space.num_ids == 12
    assert encoder.layout.id_columns.tolist() == [True, False, True, True, False]


# Kept, and learned later


EVERY: tuple[FieldSchema, ...] = (
    Categorical(name="user", values="integer"),
    Categorical(name="item"),
    Bag(name="seen", shares="item", max_length=2, ordered=True),
    Bag(name="weighed", separator=";", weighted=True, pooling="sum"),
    Bag(name="hashed", buckets=9),
    Categorical(name="device", buckets=5),
    Numeric(name="linear"),
    Numeric(name="knots", encoding="knots"),
    Dense(name="v", width=2, projected=True),
    Datetime(name="at"),
    Datetime(name="then", form="yyyymmdd", encoding="knots"),
)
ROWS: Columns = {
    "user": [7, None, 8, 7],
    "item": ["a", "b", None, "🙂"],
    "seen": [["a", "c", "b"], None, ["d"], ["a"]],
    "weighed": ["x:2;y:0.5", "x:-1", "", None],
    "hashed": [["p"], ["q", "r"], [], ["p"]],
    "device": ["one", "two", None, "three"],
    "linear": [0.5, None, 3.0, 4.0],
    "knots": [1.0, 2.0, None, 4.0],
    "v": [[0.5, 1.0], None, [2.0, 3.0], [4.0, 5.0]],
    "at": [START, None, START + dt.timedelta(hours=30), START],
    "then": [20260101, 20260105, None, 20260103],
}
LATER: Columns = ROWS | {"user": [99, 7, None, 8], "item": ["zz", "c", "a", None], "seen": [["zz"], ["a"], [], ["c"]]}


def same(own: EncodedRows, other: EncodedRows) -> bool:
    pairs = [(getattr(own, part.name), getattr(other, part.name)) for part in dataclasses.fields(EncodedRows)]
    return all(np.array_equal(a, b) for a, b in pairs if not (a is None and b is None))


def test_every_kind_survives_the_disk(tmp_path: Path) -> None:
    encoder = fit(*EVERY, rows=ROWS)
    encoder.save(tmp_path)
    again = Encoder.load(tmp_path)
    assert (again.schema, again.space, again.layout) == (encoder.schema, encoder.space, encoder.layout)
    assert again.shown == encoder.shown
    assert [e.known for e in again.encodings] == [e.known for e in encoder.encodings]
    for rows in (ROWS, LATER):
        assert same(encode(again, rows), encode(encoder, rows))
    (tmp_path / "again").mkdir()
    again.save(tmp_path / "again")
    for name in ("encoding.json", "vocabulary.parquet"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / name).read_bytes()


def test_what_an_encoder_promises_of_its_slots_holds_in_every_row() -> None:
    encoder = fit(*EVERY, rows=ROWS)
    for rows in (ROWS, LATER):
        found, layout = encode(encoder, rows), encoder.layout
        assert found.ids.min() >= 0
        assert found.ids.max() < encoder.space.num_ids
        fixed = layout.fixed_ids >= 0
        assert (found.ids[:, fixed] == layout.fixed_ids[fixed]).all()
        assert (found.values[:, layout.unit_values] == 1).all()


@pytest.mark.parametrize("field", ["item", "seen", "user", "weighed"])
def test_values_learned_later_move_no_row(field: str, tmp_path: Path) -> None:
    """The weights of all old ids stay where they are; the new ids come behind them, in the order of the values."""
    encoder = fit(*EVERY, rows=ROWS)
    known = {"item": "a", "seen": "a", "user": "7.0", "weighed": "x"}[field]
    fresh = ["zz", "zy"] if field != "user" else ["99", "98"]
    grown = encoder.extended(field, [known, fresh[0], "", fresh[1], fresh[0]])
    assert grown.space.num_ids == encoder.space.num_ids + 2
    counted = {f.name: f.num_values for f in grown.space.fields}
    assert counted[field] == 2 + next(f.num_values for f in encoder.space.fields if f.name == field)
    assert [replace(f, num_values=0) for f in grown.space.fields] == [
        replace(f, num_values=0) for f in encoder.space.fields
    ]
    assert same(encode(grown, ROWS), encode(encoder, ROWS))
    before, after = encode(encoder, LATER).ids, encode(grown, LATER).ids
    moved = before != after
    unseen = {e.unseen for e in encoder.encodings if isinstance(e, CategoricalEncoding | BagEncoding)}
    assert set(before[moved].tolist()) <= unseen, "only what was unseen has another id"
    assert (after[moved] >= encoder.space.num_ids).all()
    assert moved.any() == (field != "weighed")
    words = words_of(grown, field)
    assert [words[encoder.space.num_ids + i] for i in (0, 1)] == fresh
    assert ("zz" in words_of(grown, "item").values()) == (field in ("item", "seen"))
    assert words_of(grown, "item") == {**words_of(encoder, "item")} | (
        {encoder.space.num_ids + i: word for i, word in enumerate(fresh)} if field in ("item", "seen") else {}
    )
    grown.save(tmp_path)
    again = Encoder.load(tmp_path)
    assert again.space.num_ids == grown.space.num_ids
    assert same(encode(again, LATER), encode(grown, LATER))
    twice = again.extended(field, ["7777"])
    assert words_of(twice, field)[grown.space.num_ids] == "7777"
    assert encoder.extended(field, [known, None]).space == encoder.space  # type: ignore[list-item]


@pytest.mark.parametrize("field", ["device", "hashed", "linear", "knots", "v", "at", "itm"])
def test_a_field_without_a_vocabulary_learns_no_values(field: str) -> None:
    with pytest.raises(ConfigError, match="did you mean 'item'" if field == "itm" else f"'{field}' keeps none"):
        fit(*EVERY, rows=ROWS).extended(field, ["x"])
