from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from masknet.draws import keyed_uniform
from masknet.encode import split
from masknet.encode.split import latest_rows, random_rows
from masknet.errors import DataError


@given(st.integers(2, 300), st.integers(2, 300), st.floats(0.05, 0.95))
def test_a_random_part_is_stratified_exactly(clicks: int, others: int, fraction: float) -> None:
    labels = np.array([1] * clicks + [0] * others, dtype=np.uint8)
    wanted = (round(fraction * clicks), round(fraction * others))
    if sum(wanted) == 0:
        assert random_rows(labels[:, None], fraction).sum() == 1
        return
    if sum(wanted) == len(labels):
        with pytest.raises(DataError):
            random_rows(labels[:, None], fraction)
        return
    chosen = random_rows(labels[:, None], fraction)
    assert (int(chosen[labels == 1].sum()), int(chosen[labels == 0].sum())) == wanted


def test_a_random_part_is_the_same_every_time_and_scattered() -> None:
    labels = (np.arange(10_000) % 5 == 0).astype(np.uint8)
    chosen = random_rows(labels[:, None], 0.1)
    np.testing.assert_array_equal(chosen, random_rows(labels[:, None], 0.1))
    assert chosen.sum() == 1000
    tenths = chosen.reshape(10, -1).sum(axis=1)
    assert tenths.min() > 60, "rows from everywhere, not a stretch of the table"


@given(st.lists(st.integers(0, 1), min_size=4, max_size=200), st.floats(0.2, 0.8), st.integers(1, 60))
def test_a_random_part_is_that_of_one_sort_however_it_is_cut_in_blocks(
    labels: list[int], fraction: float, block: int
) -> None:
    y = np.array([0, 0, 1, 1, *labels], dtype=np.uint8)
    whole = np.zeros(len(y), dtype=np.bool_)
    for label in (0, 1):
        rows = np.flatnonzero(y == label)
        order = np.argsort(keyed_uniform(split._SPLIT_KEY, rows), kind="stable")
        whole[rows[order[: round(fraction * len(rows))]]] = True
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(split, "_BLOCK", block)
        if whole.any() and not whole.all():
            np.testing.assert_array_equal(random_rows(y[:, None], fraction), whole)


def test_rows_of_equal_keys_go_by_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(split, "keyed_uniform", lambda key, rows: np.zeros(len(rows)))
    monkeypatch.setattr(split, "_BLOCK", 3)
    chosen = random_rows(np.array([[0], [1]] * 10, dtype=np.uint8), 0.2)
    assert np.flatnonzero(chosen).tolist() == [0, 1, 2, 3]


def test_choosing_a_random_part_takes_memory_for_a_block_and_not_for_all_keys() -> None:
    rows = 3_000_000
    labels = (np.arange(rows) % 4 == 0).astype(np.uint8)
    tracemalloc.start()
    try:
        random_rows(labels[:, None], 0.01)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * rows, "less than one number a row"


@pytest.mark.parametrize(("rows", "fraction", "held"), [(2, 0.1, "no row of 2"), (4, 0.99, "all rows of 4")])
def test_a_part_without_rows_is_refused(rows: int, fraction: float, held: str) -> None:
    with pytest.raises(DataError, match=f"a random part holds {held}: pass --valid FILE"):
        random_rows(np.arange(rows, dtype=np.uint8)[:, None] % 2, fraction)


def test_the_last_tenth_by_time() -> None:
    times = np.random.default_rng(0).permutation(1000).astype(np.float64)
    np.testing.assert_array_equal(latest_rows(times), times >= 900)


@given(st.lists(st.integers(0, 5), min_size=2, max_size=60).map(np.array))
def test_rows_of_one_time_stay_together(times: np.ndarray) -> None:
    if len(set(times)) == 1:
        with pytest.raises(DataError, match="the last tenth by time holds no row"):
            latest_rows(times.astype(np.float64))
        return
    chosen = latest_rows(times.astype(np.float64))
    assert times[chosen].min() > times[~chosen].max()
    assert chosen.sum() >= len(times) // 10 or (times == times.min()).sum() > 0.9 * len(times)


@pytest.mark.parametrize(("after", "later"), [("2", [3.0]), ("1.5", [2.0, 3.0]), ("-1e3", None), ("3", None)])
def test_rows_after_a_number(after: str, later: list[float] | None) -> None:
    times = np.array([3.0, 1.0, 2.0])
    if later is None:
        with pytest.raises(DataError, match=rf"the part after {after} holds .* of 3"):
            latest_rows(1e6 * times, after=after, form="seconds")
    else:
        assert sorted(times[latest_rows(1e6 * times, after=after, form="seconds")]) == later


@pytest.mark.parametrize("form", ["iso", "seconds", "%d.%m.%Y"])
@pytest.mark.parametrize("after", ["2026-01-31", "2026-01-31T00:00:00Z", "2026-01-31 01:00:00 +0100", "1769817600000"])
def test_rows_after_a_date(after: str, form: str) -> None:
    midnight = 1769817600e6
    times = np.array([midnight, midnight + 1, midnight - 1])
    if after.isdigit() and form == "seconds":
        after = after[:-3]
    assert latest_rows(times, after=after, form=form).tolist() == [False, True, False]
    assert latest_rows(times, after="31.01.2026", form="%d.%m.%Y").tolist() == [False, True, False]


def test_a_bound_that_is_no_time_is_refused() -> None:
    with pytest.raises(DataError, match=r"--valid-after is a moment, an ISO date or time .*; got 'yesterday'"):
        latest_rows(np.array([1.0, 2.0]), after="yesterday")
