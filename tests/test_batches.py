from __future__ import annotations

import dataclasses
import tracemalloc
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from masknet import batches
from masknet.batches import Batch, EpochOrder, num_batches, ordered_batches, training_batches
from masknet.encode import Column, Counts, EncodedSet, Layout, Shown, StandIns
from masknet.encode.storage import Knotted, Ragged, Vector
from masknet.encode.store import StoredBag
from masknet.schema import UNKNOWN

UNSEEN = 2
HALF = Counts(rows=20_000, values=20_000, rare=10_000)


def encoded(rows: int, *, weights: bool = False) -> EncodedSet:
    """Three slots: an id a row whose unseen row is untrained, one whose unseen row is trained, a number."""
    n = np.arange(rows)
    return EncodedSet(
        ids=np.stack([n + 100, n % 5 + 50], axis=1).astype(np.int32),
        values=n[:, None].astype(np.float32),
        labels=(n % 3 == 0).astype(np.uint8)[:, None],
        weights=n / 2 if weights else None,
        groups=None,
        layout=Layout((Column(), Column(), Column(fixed_id=5, scaled=True))),
        shown=(Shown(unseen=UNSEEN), Shown(unseen=UNSEEN, counts=HALF), Shown()),
    )


@pytest.fixture
def small_buffers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Blocks of 7 rows, buffers of 3 blocks."""
    with monkeypatch.context() as patch:
        patch.setattr(batches, "BLOCK_ROWS", 7)
        patch.setattr(batches, "BUFFER_BLOCKS", 3)
        yield


def rows_of(stream: Iterator[Batch]) -> list[int]:
    """Which rows came, told by the number in the third slot."""
    return [int(row) for batch in stream for row in batch.values[:, 2]]


def same(own: Batch, other: Batch) -> bool:
    return (
        torch.equal(own.ids, other.ids)
        and torch.equal(own.values, other.values)
        and torch.equal(own.labels, other.labels)
        and (own.weights is other.weights is None or torch.equal(own.weights, other.weights))  # type: ignore[arg-type]
    )


# The order


@pytest.mark.usefixtures("small_buffers")
@given(rows=st.integers(1, 100), size=st.integers(1, 110), seed=st.integers(0, 2**63 - 1), epoch=st.integers(0, 5))
def test_every_row_comes_once_an_epoch(rows: int, size: int, seed: int, epoch: int) -> None:
    stream = list(training_batches(encoded(rows), batch_size=size, seed=seed, epoch=epoch))
    assert sorted(rows_of(iter(stream))) == list(range(rows))
    assert len(stream) == num_batches(rows, size)
    assert [len(batch) for batch in stream[:-1]] == [size] * (len(stream) - 1)
    assert len(stream[-1]) == rows - size * (len(stream) - 1)


@pytest.mark.usefixtures("small_buffers")
@given(rows=st.integers(1, 100), span=st.tuples(st.integers(0, 99), st.integers(1, 30)))
def test_any_part_of_an_order_is_had_without_what_is_before(rows: int, span: tuple[int, int]) -> None:
    start, stop = span[0] % rows, span[0] % rows + span[1]
    whole = EpochOrder(rows, seed=3, epoch=1)[0:rows]
    np.testing.assert_array_equal(EpochOrder(rows, seed=3, epoch=1)[start:stop], whole[start:stop])


@pytest.mark.usefixtures("small_buffers")
@pytest.mark.parametrize("size", [1, 10, 21, 100])
def test_the_order_depends_on_seed_and_epoch_alone(size: int) -> None:
    first = rows_of(training_batches(encoded(100), batch_size=size, seed=0, epoch=0))
    assert first == EpochOrder(100, seed=0, epoch=0)[0:100].tolist()
    assert first != rows_of(training_batches(encoded(100), batch_size=size, seed=1, epoch=0))
    assert first != rows_of(training_batches(encoded(100), batch_size=size, seed=0, epoch=1))


def test_a_small_table_is_shuffled_as_a_whole() -> None:
    order = EpochOrder(10_000, seed=0, epoch=0)[0:10_000]
    tenths = order[:1000] // 1000
    assert np.bincount(tenths, minlength=10).min() > 60
    assert abs(np.corrcoef(order, np.arange(10_000))[0, 1]) < 0.05


@pytest.mark.usefixtures("small_buffers")
def test_a_large_table_is_shuffled_by_blocks_then_within_buffers() -> None:
    order = EpochOrder(210, seed=0, epoch=0)[0:210]
    for buffer in order.reshape(10, 21):
        blocks, counts = np.unique(buffer // 7, return_counts=True)
        assert counts.tolist() == [7, 7, 7], "a buffer holds whole blocks, so that few rows are near at a time"
        assert (np.diff(buffer) < 0).any()
        assert len(blocks) == 3
    # Neither the blocks of a buffer nor the order within them repeat from buffer to buffer or epoch to epoch.
    other = EpochOrder(210, seed=0, epoch=1)[0:210]
    buffers = [*order.reshape(10, 21), *other.reshape(10, 21)]
    assert len({tuple(np.unique(buffer // 7)) for buffer in buffers}) == 20
    assert len({tuple(np.argsort(buffer)) for buffer in buffers}) == 20


@pytest.mark.usefixtures("small_buffers")
@pytest.mark.parametrize("weights", [False, True])
@pytest.mark.parametrize("skipped", [0, 1, 4, 9, 10])
def test_skipped_batches_change_nothing_in_those_that_follow(skipped: int, weights: bool) -> None:
    rows = encoded(97, weights=weights)
    whole = list(training_batches(rows, batch_size=10, seed=5, epoch=2, unseen_rate=0.3))
    rest = list(training_batches(rows, batch_size=10, seed=5, epoch=2, unseen_rate=0.3, start=skipped))
    assert len(rest) == 10 - skipped
    assert all(same(own, other) for own, other in zip(rest, whole[skipped:], strict=True))


@pytest.mark.parametrize("by_time", [False, True])
def test_rows_come_in_the_order_of_the_log_or_of_its_times(by_time: bool) -> None:
    times = np.random.default_rng(0).permutation(50)
    rows = dataclasses.replace(encoded(50), order=times if by_time else None)
    stream = training_batches(rows, batch_size=8, seed=0, epoch=0, start=2, shuffled=False)
    assert rows_of(stream) == (times if by_time else np.arange(50)).tolist()[16:]


@pytest.mark.parametrize("shuffled", [False, True])
def test_an_epoch_of_more_rows_takes_no_more_memory(shuffled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "BUFFER_BLOCKS", 4)

    def peak(rows: EncodedSet) -> int:
        tracemalloc.start()
        try:
            for _ in training_batches(rows, batch_size=4096, seed=0, epoch=0, unseen_rate=0.01, shuffled=shuffled):
                pass
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(encoded(400_000)) < 1.1 * peak(encoded(50_000))


# The rows


def test_a_batch_holds_what_the_set_holds() -> None:
    rows = encoded(30, weights=True)
    for batch in training_batches(rows, batch_size=8, seed=0, epoch=0):
        n = batch.values[:, 2].long()
        assert torch.equal(batch.ids, torch.stack([n + 100, n % 5 + 50, torch.full_like(n, 5)], dim=1).int())
        assert torch.equal(batch.values[:, :2], torch.ones(len(batch), 2))
        assert torch.equal(batch.labels, (n % 3 == 0).float().unsqueeze(1))
        assert batch.weights is not None
        assert torch.equal(batch.weights, n.float() / 2)
        assert batch.dense is None
        assert (batch.ids.dtype, batch.values.dtype, batch.labels.dtype) == (torch.int32, torch.float32, torch.float32)
        assert batch.weights.dtype == torch.float32


@pytest.mark.parametrize("size", [1, 7, 30, 100])
def test_ordered_batches_keep_the_order(size: int) -> None:
    rows = encoded(30, weights=True)
    stream = list(ordered_batches(rows, batch_size=size))
    assert rows_of(iter(stream)) == list(range(30))
    assert sum(len(batch) for batch in stream) == 30
    by_row = {int(b.values[i, 2]): b.ids[i] for b in stream for i in range(len(b))}
    assert by_row[7].tolist() == [107, 52, 5]


def test_no_rows_are_no_batches() -> None:
    assert list(ordered_batches(encoded(0), batch_size=4)) == []
    assert list(training_batches(encoded(0), batch_size=4, seed=0, epoch=0)) == []


def test_values_that_are_one_everywhere_need_no_memory() -> None:
    rows = encoded(10)
    texts = EncodedSet(
        ids=rows.ids,
        values=np.empty((10, 0), dtype=np.float32),
        labels=rows.labels,
        weights=None,
        groups=None,
        layout=Layout((Column(), Column())),
    )
    for stream in (training_batches(texts, batch_size=4, seed=0, epoch=0), ordered_batches(texts, batch_size=4)):
        for batch in stream:
            assert torch.equal(batch.values, torch.ones(len(batch), 2))
            assert batch.values.untyped_storage().nbytes() == 8
            assert torch.equal(batch.ids[:, 1] - 50, (batch.ids[:, 0] - 100) % 5)


def test_a_batch_moves_whole() -> None:
    batch = next(ordered_batches(encoded(3, weights=True), batch_size=3))
    moved = batch.to(torch.device("meta"))
    assert moved.weights is not None
    assert {t.device.type for t in (moved.ids, moved.values, moved.labels, moved.weights)} == {"meta"}
    assert len(moved) == 3


def test_batches_leave_the_set_as_it_is() -> None:
    rows = encoded(40)
    before = rows.ids.copy()
    for stream in (
        training_batches(rows, batch_size=7, seed=0, epoch=0, unseen_rate=0.9),
        ordered_batches(rows, batch_size=7),
    ):
        for batch in stream:
            batch.ids.zero_()
    np.testing.assert_array_equal(rows.ids, before)


# The unseen rate


def hidden_rows(rows: EncodedSet, rate: float, *, size: int = 64, seed: int = 0, epoch: int = 0) -> set[int]:
    stream = training_batches(rows, batch_size=size, seed=seed, epoch=epoch, unseen_rate=rate)
    return {int(b.values[i, 2]) for b in stream for i in torch.nonzero(b.ids[:, 0] == UNSEEN).ravel().tolist()}


def test_a_share_of_values_is_shown_as_unseen_where_nothing_is_rare() -> None:
    rows = encoded(20_000)
    share = len(hidden_rows(rows, 0.05)) / 20_000
    assert share == pytest.approx(0.05, abs=0.008)
    assert hidden_rows(rows, 0.0) == set()
    for batch in training_batches(rows, batch_size=5000, seed=0, epoch=0, unseen_rate=0.5):
        n = batch.values[:, 2].long()
        assert torch.equal(batch.ids[:, 1].long(), n % 5 + 50), "a field with rare values is left alone"
        seen = batch.ids[:, 0] != UNSEEN
        assert torch.equal(batch.ids[seen, 0].long(), n[seen] + 100)


def test_what_is_hidden_depends_on_seed_epoch_row_and_field() -> None:
    rows = encoded(2000)
    hidden = hidden_rows(rows, 0.1)
    assert hidden == hidden_rows(rows, 0.1, size=7)
    assert hidden != hidden_rows(rows, 0.1, seed=1)
    assert hidden != hidden_rows(rows, 0.1, epoch=1)
    assert hidden < hidden_rows(rows, 0.2)


def test_fields_are_hidden_independently() -> None:
    n = np.arange(20_000)
    rows = EncodedSet(
        ids=np.stack([n + 100, n + 100], axis=1).astype(np.int32),
        values=np.empty((20_000, 0), dtype=np.float32),
        labels=np.zeros(20_000, dtype=np.uint8),
        weights=None,
        groups=None,
        layout=Layout((Column(), Column())),
        shown=(Shown(unseen=2), Shown(unseen=4)),
    )
    ids = torch.cat([b.ids for b in training_batches(rows, batch_size=5000, seed=0, epoch=0, unseen_rate=0.1)])
    first, second = ids[:, 0] == 2, ids[:, 1] == 4
    assert (first & second).float().mean().item() == pytest.approx(0.01, abs=0.004)


def shown_ids(fields: tuple[Shown, ...], ids: list[int], values: NDArray[np.float32], rate: float) -> NDArray[np.int32]:
    """What the stand-ins make of 20,000 rows of the same ids; the values are changed in place."""
    made = np.repeat(np.array([ids], dtype=np.int32), 20_000, axis=0)
    StandIns(fields, rate).show(made, values, seed=0, epoch=0, numbers=np.arange(20_000))
    return made


def test_what_rows_have_of_themselves_is_topped_up_to_the_share() -> None:
    fields = (
        Shown(unseen=2, counts=Counts(values=100_000, rare=3000)),
        Shown(unseen=4, counts=Counts(values=100_000, rare=20_000)),
        Shown(missing=5, counts=Counts(rows=100_000, missing=6000)),
    )
    made = shown_ids(fields, [100, 101, 102], np.ones((1, 3), dtype=np.float32), 0.1)
    shares = (made == [[2, 4, 5]]).mean(axis=0)
    np.testing.assert_allclose(shares, [0.07, 0.0, 0.04], atol=0.006)


@pytest.mark.parametrize(("rare", "share_of_them"), [(1, 1 / 51), (50, 0.5), (5000, 1.0)])
def test_a_few_real_ones_are_mostly_padding_and_the_share_is_kept(rare: int, share_of_them: float) -> None:
    counts = Counts(rows=100_000, values=100_000, missing=rare, rare=rare)
    fields = (Shown(unseen=2, missing=1, counts=counts), Shown(slots=2, missing=3, counts=counts))
    values = np.ones((20_000, 3), dtype=np.float32)
    unseen = shown_ids(fields, [2, 100, 101], values, 0.1)
    kept = unseen[:, 0] == 2
    assert set(unseen[~kept, 0].tolist()) <= {0, 1}
    assert (unseen[:, 0] != 0).mean() == pytest.approx(share_of_them, abs=0.12)
    assert (values[unseen[:, 0] == 0, 0] == 0).all()
    missing = shown_ids(fields, [1, 3, 0], np.ones((1, 3), dtype=np.float32), 0.1)
    for slot, own in ((0, 1), (1, 3)):
        assert (missing[:, slot] == own).mean() == pytest.approx(share_of_them, abs=0.01), (
            "missing, and so never unseen"
        )
    common = shown_ids(fields, [100, 200, 0], np.ones((1, 3), dtype=np.float32), 0.1)
    topped_up = 0.1 - share_of_them * rare / 100_000
    assert (common[:, 1] == 3).mean() == pytest.approx(topped_up, abs=0.008)


def test_without_a_share_nothing_is_changed() -> None:
    fields = (Shown(unseen=2, missing=1, counts=Counts(rows=9, values=8, missing=1, rare=1)),)
    assert {row[0] for row in shown_ids(fields, [2], np.ones((1, 1), dtype=np.float32), 0.0).tolist()} == {2}


def test_a_missing_number_or_bag_is_one_id_with_value_1_and_nothing_else() -> None:
    fields = (Shown(slots=2, missing=7), Shown(slots=3, missing=9, unseen=10))
    values = np.full((20_000, 5), 0.25, dtype=np.float32)
    made = shown_ids(fields, [100, 101, 102, 103, 0], values, 0.1)
    number, bag = made[:, 0] == 7, made[:, 2] == 9
    assert {tuple(row) for row in made[number, :2].tolist()} == {(7, 0)}
    assert {tuple(row) for row in values[number, :2].tolist()} == {(1.0, 0.0)}
    assert {tuple(row) for row in made[bag, 2:].tolist()} == {(9, 0, 0)}
    assert {tuple(row) for row in values[bag, 2:].tolist()} == {(1.0, 0.0, 0.0)}
    assert (values[~number, :2] == 0.25).all()
    np.testing.assert_allclose([number.mean(), bag.mean()], 0.1, atol=0.008)
    assert (number & bag).mean() == pytest.approx(0.01, abs=0.004)
    assert (made[:, 4] == 0).all(), "the padding of a bag is no value"
    assert (made[~bag, 2] == 10).mean() == pytest.approx(0.1, abs=0.008)


# The bits


def plain_uniform(*keys: int | NDArray[np.int64]) -> NDArray[np.float64]:
    """Draws by key, step by step."""
    state = np.zeros(1, dtype=np.uint64)
    for key in keys:
        x = (state ^ np.asarray(key).astype(np.uint64)) + np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state = x ^ (x >> np.uint64(31))
    return (state >> np.uint64(11)).astype(np.float64) * 2.0**-53


def plain_rows(rows: EncodedSet, picked: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Ids and values of some rows, one slot after the other, put together from what is kept of each."""
    ids = np.repeat(rows.layout.fixed_ids[None, :], len(picked), axis=0)
    ids[:, rows.layout.id_columns] = rows.ids[picked]
    values = np.ones(ids.shape, dtype=np.float32)
    values[:, rows.layout.value_columns] = rows.values[picked]
    for storage, span in zip(rows.layout.storages, rows.layout.spans, strict=True):
        if isinstance(storage, Knotted):
            weight = values[:, span.start + 1]
            values[:, span.start] = 1 - weight
            above = [dict(pairwise(storage.ids)).get(int(own), 0) for own in ids[:, span.start]]
            ids[:, span.start + 1] = np.where(weight > 0, above, 0)
    for bag in rows.bags:
        ids[:, bag.slots] = 0
        for at, row in enumerate(picked):
            span = slice(bag.ends[row], bag.ends[row + 1])
            places = slice(bag.slots.start, bag.slots.start + span.stop - span.start)
            ids[at, places] = bag.ids[span]
            if bag.values is not None:
                values[at, bag.slots] = 0
                values[at, places] = bag.values[span]
    return ids, values


def plain_stand_ins(
    fields: tuple[Shown, ...],
    share: float,
    ids: NDArray[np.int32],
    values: NDArray[np.float32],
    key: tuple[int, int],
    numbers: NDArray[np.int64],
) -> None:
    """Row by row, and slot by slot: first what is unseen, then what is missing."""

    def chance(count: int) -> float:
        return 1.0 if count / (count + 50) >= 0.95 else count / (count + 50)

    start = 0
    for own in fields:
        slots, start = range(start, start + own.slots), start + own.slots
        left, real = chance(own.counts.rare), own.counts.rare_share
        for slot in slots if own.unseen >= 0 and (left < 1 or real < share) else ():
            for at, drawn in enumerate(plain_uniform(*key, numbers, slot)):
                if ids[at, slot] == own.unseen:
                    if drawn >= left:
                        ids[at, slot] = values[at, slot] = 0
                elif ids[at, slot] not in (0, own.missing) and drawn < share - left * real:
                    ids[at, slot] = own.unseen
        left, real = chance(own.counts.missing), own.counts.missing_share
        if own.missing >= 0 and (left < 1 or real < share):
            for at, drawn in enumerate(plain_uniform(*key, numbers, slots.start, 0x6D697373)):
                is_missing = ids[at, slots.start] == own.missing
                if drawn >= left if is_missing else drawn < share - left * real:
                    ids[at, slots] = values[at, slots] = 0
                    if not is_missing:
                        ids[at, slots.start], values[at, slots.start] = own.missing, 1


def of_every_kind(rows: int) -> EncodedSet:
    """A set with each way of keeping a field, two tasks, weights, and stand-ins that are common, rare, and absent."""
    drawn = np.random.default_rng(rows)
    storages = (
        Column(),
        Column(scaled=True),
        Knotted(ids=(11, 12, 13, 14)),
        Knotted(ids=(15, 18, 16)),
        Ragged(slots=4),
        Vector(width=2),
        Column(fixed_id=19, scaled=True),
        Ragged(slots=3, weighted=True),
        Column(),
    )
    counts = Counts(rows=rows, missing=rows // 8, values=rows, rare=rows // 8)
    few = Counts(rows=rows, missing=10, values=rows, rare=20)
    shown = (
        Shown(unseen=1, missing=2, counts=few),
        Shown(missing=3, counts=few),
        Shown(slots=2, missing=4, counts=Counts(rows=rows, values=rows)),
        Shown(slots=2),
        Shown(slots=4, unseen=5, missing=6, counts=few),
        Shown(slots=0),
        Shown(),
        Shown(slots=3, unseen=7, missing=8, counts=counts),
        Shown(unseen=9, missing=10, counts=counts),
    )
    layout = Layout(storages)
    bags = []
    for (storage, slots), common in zip(layout.bags, ((5, 6), (7, 8)), strict=True):
        ends = np.concatenate([[0], np.cumsum(drawn.integers(1, storage.slots + 1, rows))])
        ids = drawn.choice(np.array([*common, 21, 22, 23], dtype=np.int32), ends[-1])
        weights = drawn.normal(size=ends[-1]).astype(np.float32) if storage.weighted else None
        bags.append(StoredBag(slots, ends, ids, weights))
    columns = [(1, 2, 30, 31), (3, 32), (4, 11, 12, 13, 14), (15, 18, 16), (9, 10, 33, 34)]
    return EncodedSet(
        ids=np.stack([drawn.choice(np.array(own, dtype=np.int32), rows) for own in columns], axis=1),
        values=np.where(drawn.random((rows, 4)) < 0.2, 0, drawn.random((rows, 4))).astype(np.float32),
        labels=drawn.choice(np.array([0, 1, UNKNOWN], dtype=np.uint8), (rows, 2)),
        weights=drawn.random(rows),
        groups=None,
        layout=layout,
        shown=shown,
        bags=tuple(bags),
        dense=drawn.normal(size=(rows, 2)).astype(np.float32),
    )


@pytest.mark.parametrize("rate", [0.0, 0.2])
@pytest.mark.parametrize(("rows", "size", "start"), [(500, 64, 0), (500, 64, 3), (37, 37, 0), (301, 100, 1)])
def test_batches_are_their_slow_plain_copy_to_the_bit(
    rows: int, size: int, start: int, rate: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "_CHUNK_ROWS", 200)
    monkeypatch.setattr("masknet.encode.shown._ROWS_AT_ONCE", 90)
    whole = of_every_kind(rows)
    assert whole.weights is not None
    assert whole.dense is not None
    order = EpochOrder(rows, seed=7, epoch=3)
    stream = list(training_batches(whole, batch_size=size, seed=7, epoch=3, start=start, unseen_rate=rate))
    assert len(stream) == num_batches(rows, size) - start
    for index, batch in enumerate(stream, start):
        picked = order[index * size : (index + 1) * size]
        ids, values = plain_rows(whole, picked)
        if rate:
            before = ids.copy()
            plain_stand_ins(whole.shown, rate, ids, values, (7, 3), picked)
            assert (ids != before).mean() > 0.05
        labels = np.where(whole.labels[picked] == UNKNOWN, np.nan, whole.labels[picked])
        np.testing.assert_array_equal(batch.ids.numpy(), ids)
        np.testing.assert_array_equal(batch.values.numpy(), values)
        np.testing.assert_array_equal(batch.labels.numpy(), labels.astype(np.float32))
        assert batch.weights is not None
        np.testing.assert_array_equal(batch.weights.numpy(), whole.weights[picked].astype(np.float32))
        assert batch.dense is not None
        np.testing.assert_array_equal(batch.dense.numpy(), whole.dense[picked])
