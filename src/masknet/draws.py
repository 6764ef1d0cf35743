"""Random draws that depend on what they are for, not on when they are made: the key is hashed, no state is kept."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["keyed_uniform"]


def keyed_uniform(*keys: int | NDArray[np.int64]) -> NDArray[np.float64]:
    """Uniform numbers in [0, 1), one for each combination of the broadcast keys (splitmix64, Steele et al., 2014).

    >>> keyed_uniform(7, np.arange(3)).round(3)
    array([0.722, 0.239, 0.276])
    """
    state = np.zeros(1, dtype=np.uint64)
    with np.errstate(over="ignore"):  # the arithmetic is modulo 2^64 by intent
        for key in keys:
            state = _mix(state ^ np.asarray(key).astype(np.uint64))
    return (state >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
