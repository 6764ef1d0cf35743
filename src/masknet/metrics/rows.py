"""What metrics take, checked: rows of positive weight."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from masknet.errors import DataError
from masknet.metrics.order import ranks_of

__all__ = ["Floats", "Rows", "checked_rows"]


Floats = NDArray[np.float64]

_GROUPS_A_ROW = 16
"""Groups that are numbers up to so many times their rows are taken as they are: to rank them costs a sort."""


@dataclass(frozen=True)
class Rows:
    """Checked rows of positive weight, in the order in which they were given.

    Args:
        given: how many rows there were before those of weight 0 were dropped.
        positive: whether a row is, `[rows]`.
        probabilities: float32 where they came so, else float64, `[rows]`.
        weights: `[rows]`; None where all weigh alike.
        groups: the row's group as a number from 0 up, in the order of the groups, `[rows]`.
        eps: of the dtype in which the probabilities came.
    """

    given: int
    positive: NDArray[np.bool_]
    probabilities: NDArray[np.floating[Any]]
    weights: Floats | None
    groups: NDArray[np.uint64] | None
    eps: float

    def __len__(self) -> int:
        """How many there are."""
        return len(self.positive)

    @property
    def why_empty(self) -> str | None:
        """Why no metric has a value."""
        if len(self):
            return None
        return f"all {self.given} rows have weight 0" if self.given else "there are no rows"

    @cached_property
    def why_one_class(self) -> str | None:
        """Why a metric that compares classes has no value."""
        if self.why_empty:
            return self.why_empty
        if not self.positive.any():
            return f"all {len(self)} rows are negatives"
        return f"all {len(self)} rows are positives" if self.positive.all() else None


def checked_rows(
    labels: ArrayLike, probabilities: ArrayLike, weights: ArrayLike | None, groups: ArrayLike | None = None
) -> Rows:
    """Check what a metric is given, and drop rows of weight 0.

    Raises:
        DataError: an array breaks the rules that `auc` tells.
    """
    given: dict[str, NDArray[Any]] = {
        "labels": _numbers("labels", labels),
        "probabilities": _numbers("probabilities", probabilities),
    }
    if weights is not None:
        given["weights"] = _numbers("weights", weights)
    if groups is not None:
        given["groups"] = _group_codes(groups)
    if len({len(values) for values in given.values()}) > 1:
        counts = ", ".join(f"{len(values)} {name}" for name, values in given.items())
        raise DataError(
            f"a metric takes one entry a row from each array; there are {counts}; give arrays of one length"
        )

    y, p = given["labels"], given["probabilities"]
    positive = y == 1
    _require(positive | (y == 0), y, "labels are 0 or 1", "map them first")
    if len(p) and not (p.min() >= 0 and p.max() <= 1):  # NaN is neither
        way_out = "apply the sigmoid to logits, drop what is missing"
        _require((p >= 0) & (p <= 1), p, "probabilities lie in [0, 1]", way_out)
    eps = float(np.finfo(p.dtype).eps) if p.dtype in (np.float16, np.float32) else float(np.finfo(np.float64).eps)
    p = p.astype(np.float32 if p.dtype in (np.float16, np.float32) else np.float64, copy=False)
    w, g = given.get("weights"), given.get("groups")
    if w is not None:
        _require((w >= 0) & np.isfinite(w), w, "weights are finite and not negative", "use 0 to leave a row out")
        w = w.astype(np.float64, copy=False)
        # By a power of two, which changes no digit: squares of 1e-200 or 1e160 are no numbers.
        w = np.ldexp(w, -int(np.frexp(w.max(initial=0.0))[1]))
        if not w.all():
            kept = np.flatnonzero(w)
            positive, p, w = positive[kept], p[kept], w[kept]
            g = None if g is None else g[kept]
    return Rows(
        given=len(y), positive=positive, probabilities=p, weights=w, groups=None if g is None else _from_0(g), eps=eps
    )


def _numbers(name: str, values: ArrayLike) -> NDArray[Any]:
    array = np.asarray(values)
    if array.ndim != 1 or array.dtype.kind not in "biuf":
        found = f"an array of {array.dtype} and shape {array.shape}"
        raise DataError(f"{name} are a one-dimensional array of numbers; got {found}; flatten or convert it")
    return array


def _group_codes(groups: ArrayLike) -> NDArray[Any]:
    array = np.asarray(groups)
    if array.ndim != 1:
        raise DataError(f"groups are a one-dimensional array; got the shape {array.shape}; flatten it")
    if array.dtype.kind in "biu":
        return array
    try:
        return np.unique(array, return_inverse=True)[1]
    except TypeError as error:
        raise DataError(f"groups must be comparable with each other; sorting them said: {error}; fill nulls") from error


def _from_0(groups: NDArray[Any]) -> NDArray[np.uint64]:
    """Small numbers in the order of the groups: the groups less the least of them, or their ranks."""
    if not len(groups):
        return np.empty(0, dtype=np.uint64)
    least, most = int(groups.min()), int(groups.max())
    wide = groups.astype(np.uint64)  # modulo 2^64, so that the difference of two is right whatever their sign
    wide -= np.uint64(least % 2**64)
    return wide if most - least < _GROUPS_A_ROW * len(groups) else ranks_of(wide)


def _require(valid: NDArray[np.bool_], values: NDArray[Any], rule: str, way_out: str) -> None:
    if not valid.all():
        row = int(np.argmin(valid))
        raise DataError(f"{rule}; row {row} (the first is 0) has {values[row]}; {way_out}")
