"""What is scored held against training: shares of missing and of unseen values, and rows that both have."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import polars as pl
import pytest

from masknet.encode import Encoder, EncoderLearner, ValueCounts
from masknet.encode.fields import EncodedRows
from masknet.encode.overlap import Overlap
from masknet.encode.skew import FieldSkew, far_above
from masknet.schema import Bag, Categorical, Datetime, Dense, FieldSchema, Numeric, Schema
from masknet.table import open_table


def learned(field: FieldSchema, cells: Any) -> Encoder:
    learner = EncoderLearner(Schema(label=None, fields=(field,)))
    for chunk in open_table(pl.DataFrame({field.name: cells})).chunks():
        learner.add(chunk)
    return learner.finish()


def counted(field: FieldSchema, train: Any, scored: Any, keep: list[int] | None = None) -> ValueCounts:
    encoder, counts = learned(field, train), ValueCounts()
    for chunk in open_table(pl.DataFrame({field.name: scored})).chunks():
        marks = None if keep is None else np.isin(np.arange(len(chunk.frame)), keep)
        encoder.encode(chunk, counts.where(marks))
    return counts


def test_what_a_bag_is_cut_by_is_told() -> None:
    bag = Bag(name="tags", max_length=2)
    counts = counted(bag, [["a", "b"]], [["a", "b", "a"], ["a"], [], list("abcab")])
    (count,) = counts.fields.values()
    assert (count.kept, count.cut, count.slots) == (5, 4, 2)
    (sentence,) = counts.cuts()
    assert sentence == (
        "tags: 44.4 % of the values are cut off, since a row keeps its last 2; --max-length tags=N keeps more"
    )
    hashed = counted(bag.model_copy(update={"buckets": 9}), [["a", "b"]], [["x", "y", "z"]])
    assert next(hashed.cuts()).startswith("tags: 33.3 % of the values")
    assert list(counted(bag, [["a"]], [["b"]]).cuts()) == []


def numbers(counts: ValueCounts) -> tuple[int, int, int, int | None, str | None]:
    (one,) = counts.fields.values()
    return one.rows, one.missing, one.values, one.unseen, one.example


TEXT = Categorical(name="c")


@pytest.mark.parametrize(
    ("field", "train", "scored", "expected"),
    [
        (TEXT, ["a", "b", None], ["a", "z", "", "y"], (4, 1, 3, 2, "z")),
        (TEXT, ["a", "b"], ["a", "", None], (3, 2, 1, 0, None)),  # never missing in training, and not unseen
        (Categorical(name="c", values="integer"), ["7", "8"], ["007", "9"], (2, 0, 2, 1, "9")),
        (Categorical(name="c", buckets=5), ["a", "b"], ["z", ""], (2, 1, 0, None, None)),
        (Numeric(name="c"), [1.0, 2.0], [5.0, float("nan"), None], (3, 2, 0, None, None)),
        (Numeric(name="c", encoding="knots"), [1.0, 2.0], [5.0, float("nan"), None], (3, 2, 0, None, None)),
        (Bag(name="c"), [["a", "b"], ["a"]], [["a", "z"], [], None, ["y", "y"]], (4, 2, 4, 3, "z")),
        (Bag(name="c", separator="|", weighted=True), ["a:1|b:2"], ["a:1|z:2", ""], (2, 1, 2, 1, "z")),
        (Datetime(name="c"), ["2026-01-01", "2026-01-02"], ["2027-01-01", ""], (2, 1, 0, None, None)),
        (Dense(name="c", width=2), [[1.0, 2.0]], [[1.0, 2.0], None], (2, 0, 0, None, None)),
    ],
)
def test_each_kind_of_field_is_counted(field: FieldSchema, train: Any, scored: Any, expected: Any) -> None:
    counts = counted(field, train, scored)
    assert numbers(counts) == expected
    assert ValueCounts.from_json(json.loads(json.dumps(counts.to_json()))) == counts


def test_rows_that_are_marked_are_counted() -> None:
    assert numbers(counted(TEXT, ["a"], ["x", "a", "y", ""], keep=[1, 2])) == (2, 0, 2, 1, "y")
    assert numbers(counted(Bag(name="c"), [["a", "b"]], [["x"], ["a"], ["b", "y"], []], keep=[2, 3])) == (
        2, 1, 2, 1, "y",
    )  # fmt: skip
    assert numbers(counted(TEXT, ["a"], ["x"], keep=[])) == (0, 0, 0, None, None)


def test_a_share_is_far_above_by_points_and_by_odds() -> None:
    assert far_above(0.11, 0.0)
    assert not far_above(0.09, 0.0)
    assert not far_above(0.5, 0.3)
    assert far_above(1.0, 0.3)
    assert not far_above(1.0, 0.95)
    assert not far_above(0.0, 0.5)


def told(train: float, valid: float | None, share: float, rows: int = 1000) -> list[FieldSkew]:
    unseen = round(share * rows)
    counts = counted(TEXT, ["a"], ["z"] * unseen + ["a"] * (rows - unseen))
    usual = {"train": {"unseen": train, "missing": 0.0}} | ({} if valid is None else {"valid": {"unseen": valid}})
    return list(counts.skews({"c": usual}))


def test_a_skew_is_told_with_what_was_usual() -> None:
    (skew,) = told(0.0, 0.01, 1.0)
    assert skew.sentence == "c: 100 % of the values were never seen in training (1 % in validation), e.g. 'z'"
    assert skew.to_json() == {
        "field": "c", "kind": "unseen", "share": 1.0, "train": 0.0, "valid": 0.01, "example": "z",
    }  # fmt: skip
    (skew,) = told(0.002, None, 0.5)
    assert skew.sentence == "c: 50 % of the values were never seen in training (0.2 % in training), e.g. 'z'"
    (missing,) = counted(Numeric(name="x"), [1.0], [None] * 60 + [1.0] * 40).skews(
        {"x": {"train": {"missing": 0.05}, "valid": {"missing": 0.04}}}
    )
    assert missing.sentence == "x: 60 % of the values are missing (4 % in validation)"


def test_what_is_usual_is_no_skew() -> None:
    assert told(0.0, 0.3, 0.35) == []
    assert told(0.3, 0.0, 0.35) == []  # the greater of both
    assert told(0.0, 0.01, 0.05) == []
    assert told(0.0, 0.01, 1.0, rows=19) == []  # too few to judge
    assert told(0.0, 0.01, 1.0, rows=20) != []
    assert list(counted(TEXT, ["a"], ["z"] * 100).skews({})) == []  # an old artifact knows of none


def rows(ids: Any) -> EncodedRows:
    ids = np.asarray(ids, dtype=np.int32)
    return EncodedRows(ids, np.ones(ids.shape, dtype=np.float32))


def overlapping(train: Any, valid: Any, *, total: int = 100) -> str | None:
    overlap = Overlap(total)
    for part, ids in (("train", train), ("valid", valid)):
        labels = np.zeros((len(ids), 1), dtype=np.uint8)
        overlap.add(part, rows(ids), labels, np.ones(len(ids), dtype=np.bool_))
    return overlap.sentence()


def test_validation_rows_that_training_has_are_told() -> None:
    rng = np.random.default_rng(0)
    train, fresh = rng.integers(1, 1000, (5000, 3)), rng.integers(1, 1000, (1000, 3))
    assert overlapping(train, fresh) is None
    half = overlapping(train, np.vstack([fresh[:500], train[:500]]))
    assert half is not None
    assert half.startswith("50 % of the validation rows are training rows too, label and all fields alike")
    assert overlapping(train, np.vstack([fresh[:900], train[:100]])) is None


def test_rows_that_are_alike_by_chance_are_not_told() -> None:
    rng = np.random.default_rng(0)
    assert overlapping(rng.integers(1, 9, (5000, 2)), rng.integers(1, 9, (1000, 2))) is None
    some = rng.integers(1, 40, (5000, 2))  # most have a twin
    assert overlapping(some, rng.integers(1, 40, (1000, 2))) is None


def test_of_many_rows_a_share_is_kept_of_both_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("masknet.encode.overlap._ROWS", 1000)
    train = np.random.default_rng(0).integers(1, 1000, (5000, 3))
    assert str(overlapping(train, train[1000:3000], total=7000)).startswith("100 % of the validation rows")


def test_rows_differ_in_values_vectors_and_labels() -> None:
    ids = np.arange(1, 61, dtype=np.int32).reshape(30, 2)
    values = np.random.default_rng(0).random((30, 2)).astype(np.float32)
    dense = np.random.default_rng(1).random((30, 2)).astype(np.float32)
    zeros, all_rows = np.zeros((30, 1), dtype=np.uint8), np.ones(30, dtype=np.bool_)
    same = (EncodedRows(ids, values, dense), zeros)
    for other, is_same in (
        (same, True),
        ((EncodedRows(ids + 1, values, dense), zeros), False),
        ((EncodedRows(ids, values + 1, dense), zeros), False),
        ((EncodedRows(ids, values, dense + 1), zeros), False),
        ((EncodedRows(ids, values, dense), zeros + 1), False),
        ((EncodedRows(ids[:, ::-1], values, dense), zeros), False),
    ):
        overlap = Overlap(60)
        overlap.add("train", *same, all_rows)
        overlap.add("valid", *other, all_rows)
        assert (overlap.sentence() is not None) == is_same
