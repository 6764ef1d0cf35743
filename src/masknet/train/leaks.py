"""Fields that rank a label almost perfectly on their own: likely the label under another name."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from masknet import metrics
from masknet.draws import keyed_uniform
from masknet.encode import EncodedRows, Prepared
from masknet.encode.storage import Storage
from masknet.schema import UNKNOWN

__all__ = ["leaks"]

_AUC = 0.999
_ROWS = 200_000
_KEY = 200_000  # fixed: the same rows are held out in every run


def leaks(prepared: Prepared) -> Iterator[str]:
    """A warning for each field that alone tells a label, found on some of the training rows."""
    schema, rows = prepared.encoder.schema, prepared.train
    some = np.unique(np.linspace(0, len(rows) - 1, _ROWS).astype(np.int64))
    taken = rows.take(some)
    for label, of_task in zip(schema.labels, rows.labels[some].T, strict=True):
        known = of_task != UNKNOWN
        which = "the label" if len(schema.labels) == 1 else f"the label '{label}'"
        for field, auc in _rankings(prepared, taken, known, of_task[known]).items():
            if auc > _AUC:
                yield (
                    f"column '{field}' alone tells {which} (AUC {auc:.4f}): if it is the label under another name, "
                    f"leave it out with --ignore {field}"
                )


def _rankings(
    prepared: Prepared, rows: EncodedRows, known: NDArray[np.bool_], labels: NDArray[np.uint8]
) -> dict[str, float]:
    """For each field how well it ranks the rows whose label is known, by whichever of its slots does best."""
    encoder, layout = prepared.encoder, prepared.train.layout
    owners = [encoding.field.name for encoding in encoder.encodings for _ in encoding.storages]
    best = dict.fromkeys(owners, 0.5)
    for owner, storage, slots in zip(owners, layout.storages, layout.spans, strict=True):
        ids = rows.ids[known, slots]
        values = np.broadcast_to(rows.values, rows.ids.shape)[known, slots]
        best[owner] = max([best[owner], *_slot_rankings(storage, ids, values, labels)])
    return best


def _slot_rankings(
    storage: Storage, ids: NDArray[np.int32], values: NDArray[np.float32], labels: NDArray[np.uint8]
) -> Iterator[float]:
    for slot in range(storage.telling_slots):
        yield _ranking(*_held_out_rates(ids[:, slot], labels))
    if storage.scaled:  # a number ranks the rows in which it is not missing, where its id is another
        for id_ in np.unique(ids[:, 0]):
            same = ids[:, 0] == id_
            yield _ranking(values[same, 0].astype(np.float64), labels[same])


def _ranking(column: NDArray[np.float64], labels: NDArray[np.uint8]) -> float:
    """The AUC of a column's values, or of their negatives; 0.5 where it is undefined or the column is constant."""
    if not len(column) or column.max() == column.min():
        return 0.5
    value = metrics.auc(labels, (column - column.min()) / (column.max() - column.min())).value
    return 0.5 if value is None else max(value, 1 - value)


def _held_out_rates(ids: NDArray[np.int32], labels: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """The click rate of a row's value among other rows, for a random half: a value seen once tells nothing."""
    held = keyed_uniform(_KEY, np.arange(len(ids))) < 0.5
    size = int(ids.max(initial=0)) + 1
    counts = np.bincount(ids[~held], minlength=size)
    clicks = np.bincount(ids[~held], weights=labels[~held], minlength=size)
    rates = (clicks + labels.mean()) / (counts + 1.0)
    return rates[ids[held]], labels[held]
