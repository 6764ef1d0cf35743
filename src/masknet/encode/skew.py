"""How often each field is missing or unseen, in training and in what is scored, and when the two are not alike.

One rule says when a share is far above the usual one, here and for validation rows that training has too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, Literal, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from masknet.encode.bags import BagCells
from masknet.encode.cells import Cells
from masknet.encode.dictionary import times_of
from masknet.encode.fields import BagEncoding, CategoricalEncoding, Encoding
from masknet.encode.moments import Moments
from masknet.encode.values import short
from masknet.table import Codes, null_mask

__all__ = ["LEAST_VALUES", "Count", "FieldCount", "FieldSkew", "Shares", "ValueCounts", "far_above", "percent"]

Count: TypeAlias = Callable[[Encoding, Cells, NDArray[np.int32], Codes | None], None]
"""Is told of each field's cells, their ids, and which cell each row has, while they are encoded."""

Shares: TypeAlias = Mapping[str, Mapping[str, Mapping[str, float]]]
"""By field, then `train` and `valid`: the shares `missing` and, where values can be unseen, `unseen`."""

LEAST_VALUES = 20
"""Values that a share is judged by, at least: a row that is scored by itself is no sign of anything."""


def far_above(share: float, usual: float) -> bool:
    """Whether a share is at least 10 percentage points and 5 times the odds above the usual one.

    >>> far_above(0.11, 0.01), far_above(0.09, 0.0), far_above(0.6, 0.3), far_above(1.0, 0.3)
    (True, False, False, True)
    """
    return share - usual >= 0.1 and share * (1 - usual) >= 5 * usual * (1 - share)


def percent(share: float) -> str:
    """A share in words.

    >>> percent(1.0), percent(0.0125), percent(0.0)
    ('100 %', '1.25 %', '0 %')
    """
    return f"{100 * share:.3g} %"


@dataclass
class FieldCount:
    """What was met of one field.

    Args:
        rows: cells.
        missing: cells without a value.
        values: values in the others, of a bag all of them.
        unseen: those that training did not keep; None where a field has no such values.
        example: one of these.
        kept, cut: of a bag's values those that have a slot, and the others, since a row keeps its last ones.
        slots: of a bag; None of another kind.
    """

    rows: int = 0
    missing: int = 0
    values: int = 0
    unseen: int | None = None
    example: str | None = None
    kept: int = 0
    cut: int = 0
    slots: int | None = None

    @property
    def shares(self) -> dict[str, float]:
        """`missing` of the cells, and `unseen` of the values where there can be some."""
        found = {"missing": self.missing / max(1, self.rows)}
        return found if self.unseen is None else {"unseen": self.unseen / max(1, self.values)} | found


@dataclass(frozen=True)
class FieldSkew:
    """A field that is far more often missing, or unseen, than it was.

    Args:
        field: its name.
        kind: "unseen" or "missing".
        share: of the values (unseen) or of the rows (missing).
        train, valid: the shares that training and validation had; None where that is not known.
        example: a value that was never seen.
    """

    field: str
    kind: Literal["unseen", "missing"]
    share: float
    train: float | None = None
    valid: float | None = None
    example: str | None = None

    @property
    def sentence(self) -> str:
        """What to tell.

        >>> FieldSkew("user_id", "unseen", 1.0, train=0.02, valid=0.01, example="000007").sentence
        "user_id: 100 % of the values were never seen in training (1 % in validation), e.g. '000007'"
        """
        usual = [
            f"{percent(s)} in {n}" for n, s in (("validation", self.valid), ("training", self.train)) if s is not None
        ]
        beside = f" ({usual[0]})" if usual else ""
        if self.kind == "missing":
            return f"{self.field}: {percent(self.share)} of the values are missing{beside}"
        example = "" if self.example is None else f", e.g. '{self.example}'"
        return f"{self.field}: {percent(self.share)} of the values were never seen in training{beside}{example}"

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready copy."""
        return asdict(self)


@dataclass
class ValueCounts:
    """Counts the fields of rows while these are encoded, by `where`.

    Args:
        fields: the count of each field, by its name.
    """

    fields: dict[str, FieldCount] = field(default_factory=dict)

    def where(self, keep: NDArray[np.bool_] | None = None) -> Count:
        """What counts a chunk's rows, or those of them that `keep` marks."""
        return partial(self._add, keep)

    def _add(
        self,
        keep: NDArray[np.bool_] | None,
        encoding: Encoding,
        cells: Cells,
        ids: NDArray[np.int32],
        codes: Codes | None,
    ) -> None:
        own = self.fields.setdefault(encoding.field.name, FieldCount())
        if keep is not None and not keep.any():
            return
        times = _times(keep, codes, len(ids))
        absent = _absent(cells)
        own.rows += int(times.sum())
        own.missing += int(times[absent].sum())
        if isinstance(encoding, BagEncoding):
            own.slots = encoding.slots
            lengths = cells.lengths  # type: ignore[union-attr]
            own.kept += int((times * np.minimum(lengths, encoding.slots)).sum())
            own.cut += int((times * np.maximum(lengths - encoding.slots, 0)).sum())
        if not isinstance(encoding, CategoricalEncoding | BagEncoding) or not encoding.vocabulary.has_unseen:
            return
        times[absent] = 0
        own.values += int((times * np.count_nonzero(ids, axis=1)).sum())  # 0 is padding
        met = int((times * np.count_nonzero(ids == encoding.unseen, axis=1)).sum())
        own.unseen = (own.unseen or 0) + met
        if own.example is None and met:
            own.example = _example(encoding, cells, None if keep is None else np.flatnonzero(keep), codes)

    def shares(self) -> dict[str, dict[str, float]]:
        """Those of each field."""
        return {name: count.shares for name, count in self.fields.items()}

    def skews(self, usual: Shares) -> Iterator[FieldSkew]:
        """The fields whose shares are far above the usual ones, in their order; a field that has none is passed over.

        Args:
            usual: what is compared with: the greater of training's and validation's share.
        """
        for name, count in self.fields.items():
            parts = usual.get(name, {})
            for kind, share in count.shares.items():
                before = {part: shares[kind] for part, shares in parts.items() if kind in shares}
                least = count.rows if kind == "missing" else count.values
                if before and least >= LEAST_VALUES and far_above(share, max(before.values())):
                    example = count.example if kind == "unseen" else None
                    yield FieldSkew(name, kind, share, before.get("train"), before.get("valid"), example)  # type: ignore[arg-type]

    def cuts(self) -> Iterator[str]:
        """What to tell of each bag whose rows were longer than what is kept of them."""
        for name, count in self.fields.items():
            if count.cut:
                share = count.cut / (count.cut + count.kept)
                yield (
                    f"{name}: {percent(share)} of the values are cut off, since a row keeps its last {count.slots}; "
                    f"--max-length {name}=N keeps more"
                )

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready copy."""
        return {name: asdict(count) for name, count in self.fields.items()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ValueCounts:
        """The inverse of `to_json`."""
        return cls({name: FieldCount(**count) for name, count in data.items()})


def _absent(cells: Cells) -> NDArray[np.bool_]:
    """The rows without a value. A vector's cannot be told from one of zeros, and counts as there."""
    found: NDArray[np.bool_]
    if isinstance(cells, BagCells):
        found = cells.lengths == 0
    elif isinstance(cells, Moments | pl.Series):
        series = cells.wall if isinstance(cells, Moments) else cells
        found = null_mask(series)
    else:
        found = np.isnan(cells) if cells.ndim == 1 else np.zeros(len(cells), dtype=np.bool_)
    return found


def _times(keep: NDArray[np.bool_] | None, codes: Codes | None, cells: int) -> NDArray[np.int64]:
    """How many of the rows have each of the cells."""
    if codes is not None:
        return times_of(codes, keep, cells)
    return np.ones(cells, dtype=np.int64) if keep is None else keep.astype(np.int64)


def _cells_of(rows: NDArray[np.intp] | None, codes: Codes | None) -> NDArray[np.integer]:
    """Which cell each of the rows has; one of the two is given."""
    if codes is None:
        assert rows is not None
        return rows
    return codes if rows is None else codes.take(rows)


def _example(
    encoding: CategoricalEncoding | BagEncoding, cells: Cells, rows: NDArray[np.intp] | None, codes: Codes | None
) -> str | None:
    """The first unseen value of the rows."""
    assert isinstance(cells, BagCells | pl.Series)
    size = cells.rows if isinstance(cells, BagCells) else len(cells)
    text, cell = (cells.text, cells.row) if isinstance(cells, BagCells) else (cells, np.arange(size))
    unseen = np.flatnonzero(encoding.vocabulary.ids(text, missing=0, unseen=-1) == -1)
    of_rows = np.arange(size) if rows is None and codes is None else _cells_of(rows, codes)
    first = of_rows[np.isin(of_rows, cell[unseen])][:1]
    return short(text[int(unseen[np.searchsorted(cell[unseen], first[0])])]) if len(first) else None
