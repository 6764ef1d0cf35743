"""Which rows validate: a random part, stratified by label, or the latest part."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from masknet.draws import keyed_uniform
from masknet.encode.moments import bound
from masknet.errors import DataError
from masknet.schema import TimeForm

__all__ = ["latest_rows", "random_rows"]

_SPLIT_KEY = 20210215  # fixed: runs of several seeds are compared on one split
_BLOCK = 1 << 18


def random_rows(labels: NDArray[np.uint8], fraction: float) -> NDArray[np.bool_]:
    """Mark `fraction` of the rows of each class, and at least one row; the same rows in every run over the same table.

    Of several labels, `[rows, tasks]`, rows that have all of them alike are a class; unknown is alike too.

    >>> random_rows(np.array([[0], [0], [0], [0], [1], [1]], dtype=np.uint8), 0.5).sum()
    np.int64(3)
    """
    classes = _classes(labels)
    chosen = np.zeros(len(labels), dtype=np.bool_)
    sizes = {int(one): np.count_nonzero(classes == one) for one in np.unique(classes)}
    for one in sizes:
        chosen[_lowest_keys(classes, one, fraction)] = True
    if not chosen.any() and sizes:  # so few rows; the commonest class gives one of them, if it keeps another
        commonest = np.flatnonzero(classes == max(sizes, key=lambda one: sizes[one]))
        chosen[commonest[: len(commonest) > 1]] = True
    return _both_parts(chosen, "a random part")


def _classes(labels: NDArray[np.uint8]) -> NDArray[np.integer]:
    """A small number for each row: equal where all labels are."""
    if labels.shape[1] == 1:
        return labels[:, 0]
    return np.unique(labels, axis=0, return_inverse=True)[1].reshape(-1)


def _lowest_keys(labels: NDArray[np.integer], label: int, fraction: float) -> NDArray[np.intp]:
    """The rows of a class whose keys are the lowest `fraction`; of equal keys the earlier row."""
    count = round(fraction * np.count_nonzero(labels == label))
    keys, rows = np.empty(0), np.empty(0, dtype=np.intp)
    # In blocks, since keys are eight times the labels and hashing them takes as much again, several times. Rows stay in
    # their order, so the choice is that of all keys at once.
    size = max(_BLOCK, count)
    for start in range(0, len(labels), size):
        fresh = start + np.flatnonzero(labels[start : start + size] == label)
        keys = np.concatenate([keys, keyed_uniform(_SPLIT_KEY, fresh)])
        rows = np.concatenate([rows, fresh])
        if len(keys) > count:
            lowest = _lowest(keys, count)
            keys, rows = keys[lowest], rows[lowest]
    return rows


def _lowest(keys: NDArray[np.float64], count: int) -> NDArray[np.intp]:
    """Where the lowest so many of more keys stand, in their order; of equal ones the first.

    >>> _lowest(np.array([0.3, 0.1, 0.3, 0.2]), 3).tolist()
    [0, 1, 3]
    """
    if not count:
        return np.empty(0, dtype=np.intp)
    # NOTE[perf]: to find the last of them takes a tenth of the time of sorting all.
    last = np.partition(keys, count - 1)[count - 1]
    below = np.flatnonzero(keys <= last)
    surplus = len(below) - count
    return below if not surplus else np.delete(below, np.flatnonzero(keys[below] == last)[-surplus:])


def latest_rows(
    times: NDArray[np.float64], *, after: str | None = None, form: TimeForm = "iso", share: float = 0.1
) -> NDArray[np.bool_]:
    """Mark the rows later than `after`, or the last `share` of them; rows of one time stay together.

    >>> latest_rows(np.array([1e6, 3e6, 2e6]), after="1970-01-01 00:00:02").tolist()
    [False, True, False]

    Args:
        times: of each row the microseconds since 1970.
        after: a moment; see `moments.bound`.
        form: how the column of time is written.
        share: of the rows, where nothing is said.

    Raises:
        DataError: `after` is no time, or one of the two parts is empty.
    """
    if after is not None:
        return _both_parts(times > bound(after, form), f"the part after {after}")
    at = min(int((1 - share) * len(times)), len(times) - 1)
    cut = np.partition(times, at)[at]
    return _both_parts(times >= cut if cut > times.min() else times > cut, "the last tenth by time")


def _both_parts(chosen: NDArray[np.bool_], what: str) -> NDArray[np.bool_]:
    if chosen.all() or not chosen.any():
        held = "all rows" if len(chosen) and chosen.all() else "no row"
        raise DataError(
            f"training and validation need rows each; {what} holds {held} of {len(chosen)}: pass --valid FILE, or "
            f"another --valid-fraction or --valid-after"
        )
    return chosen
