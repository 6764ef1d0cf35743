"""The arrays of encoded rows: what is stored, and that rows are taken as the encoder gives them."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from masknet.encode import Declared, EncodedRows, EncodedSet, Encoder, EncodingPlan, Prepared, prepare
from masknet.encode.fields import KnotEncoding
from masknet.encode.numeric import Knots
from masknet.encode.shown import Counts
from masknet.encode.split import random_rows
from masknet.encode.store import SetWriter
from masknet.progress import LogProgress
from masknet.schema import Numeric, Schema
from masknet.table import Chunk, open_table


def log_of(rows: int = 40) -> pl.DataFrame:
    """A small click log with every kind of column."""
    n = np.arange(rows)
    return pl.DataFrame(
        {
            "click": (n % 4 == 0).astype(np.int64),
            "user": [None if i % 7 == 0 else f"u{i % 5}" for i in n],
            "item_id": n % 6,
            "price": np.where(n % 5 == 0, np.nan, n * 0.5 + 0.25),
            "age": n * 1.5,
            "w": 1.0 + n % 3,
            "session": [f"s{i % 3}" for i in n],
            "at": n // 2,
        }
    )


def run(cache: Path, source: Any, plan: EncodingPlan | None = None, valid: Any = None) -> Prepared:
    plan = EncodingPlan(Declared(label="click")) if plan is None else plan
    tables = open_table(source), None if valid is None else open_table(valid)
    return prepare(*tables, plan, LogProgress(), cache=cache)


def arrays_of(rows: EncodedRows) -> list[np.ndarray]:
    found = [rows.ids, rows.values, rows.dense, rows.numbers]
    return [array for array in found if array is not None]


def kinds_of(rows: int = 60) -> pl.DataFrame:
    """A click log with each kind of field, and with each reason for a slot not to be stored as a column."""
    n = np.arange(rows)
    return pl.DataFrame(
        {
            "click": (n % 3 == 0).astype(np.int64),
            "tags": ["|".join("abcde"[: (7 * i) % 5]) for i in n],
            "price": [None if i % 9 == 4 else i % 13 + 0.5 for i in n],
            "seen": pl.Series([[f"i{k % 6}" for k in range(i, i + i % 4)] for i in n], dtype=pl.List(pl.String)),
            "weighed": [";".join(f"w{k}:{k - 1.5}" for k in range(i % 3)) for i in n],
            "item": [f"i{i % 6}" for i in n],
            "vector": [None if i % 11 == 3 else [i / 4, -i / 2, 1.0] for i in n],
            "at": [None if i % 8 == 5 else 1_700_000_000 + 5000 * i for i in n],
        }
    )


KINDS = Declared(
    label="click",
    bag=("tags", "weighed"),
    weighted=("weighed",),
    datetime=("at",),
    share={"seen": "item"},
    hash={"tags": 40},
    max_length={"seen": 2},
)


@pytest.mark.parametrize("encoding", ["linear", "knots"])
def test_rows_of_every_kind_are_taken_as_the_encoder_gives_them(encoding: Any, tmp_path: Path) -> None:
    frame = kinds_of()
    plan = EncodingPlan(KINDS, valid_fraction=0.3, numeric_encoding=encoding, min_count=2)
    for prepared in (run(tmp_path, frame, plan), run(tmp_path, frame, plan)):
        encoded = prepared.encoder.encode(next(open_table(frame).chunks()))
        assert encoded.dense is not None
        assert len({f.kind for f in prepared.encoder.space.fields}) == 4
        chosen = random_rows(frame.select(pl.col("click").cast(pl.UInt8)).to_numpy(), 0.3)
        for rows, mask in ((prepared.train, ~chosen), (prepared.valid, chosen)):
            assert rows is not None
            all_of_them = np.arange(len(rows))
            for index in (slice(None), slice(3, 7), slice(0, 0), all_of_them[::-1], np.array([5, 5, 0]), np.array([2])):
                own = rows.take(index)
                assert own.dense is not None
                np.testing.assert_array_equal(own.ids, encoded.ids[mask][index])
                # What padding weighs is nobody's business: its embedding is zero.
                shown = np.where(own.ids == 0, 0, own.values)
                expected = np.where(encoded.ids == 0, 0, encoded.values)
                np.testing.assert_array_equal(shown, expected[mask][index])
                np.testing.assert_array_equal(own.dense, encoded.dense[mask][index])
                assert (own.ids.dtype, own.values.dtype, own.dense.dtype) == (np.int32, np.float32, np.float32)
                assert own.numbers is None


def test_bags_are_stored_ragged_and_mapped(tmp_path: Path) -> None:
    frame = kinds_of(2000)
    train = run(tmp_path, frame, EncodingPlan(KINDS, valid_fraction=0.5, numeric_encoding="knots")).train
    half = frame.filter(pl.Series(~random_rows(frame.select(pl.col("click").cast(pl.UInt8)).to_numpy(), 0.5)))
    lengths = {
        "tags": half["tags"].str.split("|").list.len().clip(1),
        "seen": half["seen"].list.len().clip(1, 2),
        "weighed": half["weighed"].str.split(";").list.len().clip(1),
    }
    assert [len(bag.ids) for bag in train.bags] == [int(lengths[name].sum()) for name in lengths]
    assert [bag.values is None for bag in train.bags] == [True, True, False]
    assert train.ids.shape[1] == 5, "price, item, hour, weekday and age: no bag, nor the upper of two knots"
    assert train.values.shape[1] == 2, "price and age"
    arrays = [train.ids, train.values, train.dense, *(bag.ids for bag in train.bags), *(bag.ends for bag in train.bags)]
    for array in arrays:
        assert isinstance(array, np.memmap)
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_what_is_taken_is_a_copy(tmp_path: Path) -> None:
    train = run(tmp_path, kinds_of(), EncodingPlan(KINDS, numeric_encoding="knots", raw_numbers=True)).train
    before, spoilt = arrays_of(train.take(slice(None))), arrays_of(train.take(slice(None)))
    for array in spoilt:
        array[...] = 7
    for own, other in zip(arrays_of(train.take(slice(None))), before, strict=True):
        np.testing.assert_array_equal(own, other)


def test_bags_that_are_empty_in_a_chunk_or_everywhere_are_stored(tmp_path: Path) -> None:
    frame = pl.DataFrame({"click": [0, 1] * 70_000, "b": [[]] * 100_000 + [["x", "y"]] * 39_999 + [[]]})
    prepared = run(tmp_path, frame, valid=frame.head(5))
    ids = prepared.train.take(np.array([0, 99_999, 100_000, 139_998, 139_999])).ids
    assert ids.tolist() == [[1, 0], [1, 0], [3, 4], [3, 4], [1, 0]]
    assert prepared.valid is not None
    assert prepared.valid.take(slice(None)).ids.tolist() == [[1, 0]] * 5


def test_constant_ids_and_values_are_not_stored(tmp_path: Path) -> None:
    prepared = run(tmp_path, log_of().drop("w", "session", "at"))
    # Four fields: two categorical, `price` with a missing id, `age` with one id in every row.
    assert prepared.train.ids.shape == (36, 3)
    assert prepared.train.values.shape == (36, 2)
    assert prepared.train.layout.fixed_ids.tolist() == [-1, -1, -1, 7]
    assert prepared.train.layout.unit_values.tolist() == [True, True, False, False]


def test_fields_of_one_kind_alone_can_be_stored(tmp_path: Path) -> None:
    texts = run(tmp_path, log_of().select("click", "user"))
    assert texts.train.values.shape == (36, 0)
    taken = texts.train.take(slice(None))
    assert (taken.ids.shape, taken.values.tolist()) == ((36, 1), [[1.0]])
    numbers = run(tmp_path, log_of().select("click", "age"))
    assert numbers.train.ids.shape == (36, 0)
    taken = numbers.train.take(slice(None))
    assert set(taken.ids.ravel().tolist()) == {1}
    assert len(np.unique(taken.values)) == 36


def test_arrays_are_mapped_and_cannot_be_written(tmp_path: Path) -> None:
    train = run(
        tmp_path, log_of(), EncodingPlan(Declared(label="click", weight="w", group="session", ignore=("at",)))
    ).train
    for array in (train.ids, train.values, train.labels, train.weights, train.groups):
        assert isinstance(array, np.memmap)
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


# Knots whose ids lie anywhere


def scattered() -> Encoder:
    """Two numbers by knots, whose ids are neither neighbours nor rising, nor apart from those of the other."""
    knots = Knots(at=(0.0, 10.0, 20.0, 30.0))
    schema = Schema(label="click", fields=(Numeric(name="a", encoding="knots"), Numeric(name="b", encoding="knots")))
    numbers = [
        KnotEncoding(field, missing, ids, knots, Counts())  # type: ignore[arg-type]
        for field, missing, ids in zip(schema.fields, (2, None), ((90, 7, 41, 8), (9, 40, 6, 91)), strict=True)
    ]
    return Encoder(schema, numbers, num_ids=92)


NUMBERS: dict[str, list[Any]] = {
    "a": [0.0, 2.5, 10.0, 14.0, 29.0, 30.0, 99.0, -5.0, None],
    "b": [30.0, 29.0, 15.0, 10.0, 5.0, 0.0, None, 20.0, 1.0],
}


def written(encoder: Encoder, rows: EncodedRows, folder: Path) -> EncodedSet:
    labels = np.zeros((len(rows), 1), dtype=np.uint8)
    with SetWriter(folder, encoder, weighted=False, grouped=False) as writer:
        writer.add(rows, {"labels": labels}, np.ones(len(rows), dtype=np.bool_))
    return EncodedSet.open(folder, encoder)


def test_the_upper_knot_is_looked_up_by_the_id_of_the_lower(tmp_path: Path) -> None:
    encoder = scattered()
    rows = encoder.encode(Chunk(pl.DataFrame(NUMBERS), "the frame", 1))
    assert rows.ids[:, :2].tolist() == [
        [90, 0], [90, 7], [7, 0], [7, 41], [41, 8], [41, 8], [41, 8], [90, 0], [2, 0],
    ]  # fmt: skip
    assert rows.ids[:, 2:].tolist() == [
        [6, 91], [6, 91], [40, 6], [40, 0], [9, 40], [9, 0], [40, 0], [6, 0], [9, 40],
    ]  # fmt: skip
    stored = written(encoder, rows, tmp_path / "set")
    assert stored.ids.shape == stored.values.shape == (9, 2)
    for index in (slice(None), np.array([8, 3, 3, 0])):
        np.testing.assert_array_equal(stored.take(index).ids, rows.ids[index])
        np.testing.assert_array_equal(stored.take(index).values, rows.values[index])


def test_knots_are_kept_by_their_first_id_or_where_they_lie_apart_by_all(tmp_path: Path) -> None:
    encoder = scattered()
    assert encoder.encodings[0].to_json()["knot_ids"] == [90, 7, 41, 8]
    encoder.save(tmp_path)
    assert Encoder.load(tmp_path).encodings == encoder.encodings
    beside = KnotEncoding(Numeric(name="a", encoding="knots"), None, (5, 6, 7), Knots(at=(0.0, 1.0, 2.0)), Counts())
    assert set(beside.to_json()) == {"missing", "first_knot", "knots"}


# Numbers as they were read


def numbered(rows: int = 60) -> pl.DataFrame:
    start = dt.datetime(2026, 1, 1)
    return kinds_of(rows).with_columns(  # moments, typed
        at=pl.Series([None if i % 8 == 5 else start + dt.timedelta(hours=7 * i) for i in range(rows)])
    )


@pytest.mark.parametrize("encoding", ["linear", "knots"])
def test_numbers_are_kept_as_they_were_read_where_that_is_asked_for(encoding: Any, tmp_path: Path) -> None:
    frame = numbered()
    plan = EncodingPlan(KINDS, valid_fraction=0.3, numeric_encoding=encoding, raw_numbers=True)
    chosen = random_rows(frame.select(pl.col("click").cast(pl.UInt8)).to_numpy(), 0.3)
    latest = frame.filter(~pl.Series(chosen))["at"].max()
    ages = [None if at is None else (latest - at).total_seconds() / 86_400 for at in frame["at"]]
    clock = [[None, None] if at is None else [at.hour, at.weekday()] for at in frame["at"]]
    columns = [[price, *wall, age] for price, wall, age in zip(frame["price"], clock, ages, strict=True)]
    expected = np.array(columns, dtype=np.float64)
    for prepared in (run(tmp_path, frame, plan), run(tmp_path, frame, plan)):  # made, and from the cache
        assert prepared.encoder.raw_numbers
        names = [prepared.encoder.space.fields[i].name for i in prepared.encoder.space.numbered_fields]
        assert names == ["price", "at.hour", "at.weekday", "at.age"]
        encoded = prepared.encoder.encode(next(open_table(frame).chunks()))
        assert encoded.numbers is not None
        assert encoded.numbers.dtype == np.float64
        np.testing.assert_allclose(encoded.numbers, expected, atol=1e-9)
        np.testing.assert_array_equal(encoded.numbers[:, 0], expected[:, 0])
        for rows, mask in ((prepared.train, ~chosen), (prepared.valid, chosen)):
            assert rows is not None
            for index in (slice(None), np.array([5, 0, 5])):
                np.testing.assert_array_equal(rows.take(index).numbers, encoded.numbers[mask][index])
        assert prepared.encoder.extended("item", ["new"]).raw_numbers


def test_a_table_without_numbers_has_none_to_keep(tmp_path: Path) -> None:
    plan = EncodingPlan(Declared(label="click"), raw_numbers=True)
    numbers = run(tmp_path, log_of().select("click", "user"), plan).train.take(slice(0, 4)).numbers
    assert numbers is not None
    assert numbers.shape == (4, 0)


def test_nothing_is_kept_of_numbers_unless_it_is_asked_for(tmp_path: Path) -> None:
    run(tmp_path, log_of())
    (encoding,) = tmp_path.rglob("encoding.json")
    assert "raw_numbers" not in encoding.read_text(encoding="utf-8")
    assert not list(tmp_path.rglob("numbers.npy"))
