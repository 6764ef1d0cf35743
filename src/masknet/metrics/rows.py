"""What metrics take, checked: rows of positive weight, by rising probability."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from masknet.errors import DataError

__all__ = ["Floats", "Rows", "checked_rows"]


Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Rows:
    """Checked rows of positive weight, by rising probability."""

    given: int  # rows before those of weight 0 were dropped
    positive: NDArray[np.bool_]
    probabilities: Floats
    weights: Floats | None
    groups: NDArray[Any] | None
    eps: float  # of the dtype in which the probabilities came
    unit: NDArray[np.intp]  # the row's place among those kept, as they were given


def checked_rows(
    labels: ArrayLike, probabilities: ArrayLike, weights: ArrayLike | None, groups: ArrayLike | None = None
) -> Rows:
    """Check what a metric is given, drop rows of weight 0, and sort the others by probability.

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
    _require((p >= 0) & (p <= 1), p, "probabilities lie in [0, 1]", "apply the sigmoid to logits, drop what is missing")
    eps = float(np.finfo(p.dtype).eps) if p.dtype in (np.float16, np.float32) else float(np.finfo(np.float64).eps)
    p = p.astype(np.float64, copy=False)
    w, g = given.get("weights"), given.get("groups")
    if w is not None:
        _require((w >= 0) & np.isfinite(w), w, "weights are finite and not negative", "use 0 to leave a row out")
        w = w.astype(np.float64, copy=False)
        # By a power of two, which changes no digit: squares of 1e-200 or 1e160 are no numbers.
        w = np.ldexp(w, -int(np.frexp(w.max(initial=0.0))[1]))
        kept = np.flatnonzero(w)
        unit = np.argsort(p[kept])
        order = kept[unit]
        w = w[order]
    else:
        order = unit = np.argsort(p)
    return Rows(
        given=len(y),
        positive=positive[order],
        probabilities=p[order],
        weights=w,
        groups=None if g is None else g[order],
        eps=eps,
        unit=unit,
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


def _require(valid: NDArray[np.bool_], values: NDArray[Any], rule: str, way_out: str) -> None:
    if not valid.all():
        row = int(np.argmin(valid))
        raise DataError(f"{rule}; row {row} (the first is 0) has {values[row]}; {way_out}")
