"""Random draws that depend on what they are for, not on when they are made: the key is hashed, no state is kept."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["Draws", "keyed_number", "keyed_uniform"]


class Draws:
    """One draw for each combination of the broadcast keys (splitmix64, Steele et al., 2014); draws of further keys.

    Draws that share their first keys share the work for them. Blocks of some thousand draws stay in a processor's
    cache, and cost half of what a million at once cost.

    >>> rows = Draws(7, np.arange(3))
    >>> rows.uniform().round(3)
    array([0.722, 0.239, 0.276])
    >>> rows.below(0.25).tolist()
    [False, True, False]
    >>> bool((rows.of(5).uniform() == keyed_uniform(7, np.arange(3), 5)).all())
    True
    """

    def __init__(self, *keys: int | NDArray[np.int64]) -> None:
        state = np.zeros(1, dtype=np.uint64)
        for key in keys:
            state = _hashed(state, key)
        self._state = state

    def of(self, key: int | NDArray[np.int64]) -> Draws:
        """The draws of one more key."""
        further = Draws.__new__(Draws)
        further._state = _hashed(self._state, key)
        return further

    def at(self, index: NDArray[np.int64]) -> Draws:
        """Some of the draws, by their places."""
        some = Draws.__new__(Draws)
        some._state = self._state[index]
        return some

    def uniform(self) -> NDArray[np.float64]:
        """Uniform numbers in [0, 1)."""
        return (self._state >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def below(self, share: float) -> NDArray[np.bool_]:
        """Whether each uniform number is below a share, to the last bit, without making it."""
        if not 0 < share < 1:
            return np.full(self._state.shape, share >= 1)
        # Scaling by a power of two is exact, and what lies below a share is a whole number of 2^-53.
        return self._state < np.uint64(math.ceil(share * 2.0**53) << 11)


def keyed_uniform(*keys: int | NDArray[np.int64]) -> NDArray[np.float64]:
    """Uniform numbers in [0, 1), one for each combination of the broadcast keys.

    >>> keyed_uniform(7, np.arange(3)).round(3)
    array([0.722, 0.239, 0.276])
    """
    return Draws(*keys).uniform()


def keyed_number(*keys: int) -> int:
    """A whole number of 53 bits, `keyed_uniform` times 2^53, without an array: to seed what draws by itself.

    >>> keyed_number(7, 1), int(keyed_uniform(7, 1)[0] * 2**53)
    (2155282925591136, 2155282925591136)
    """
    state = 0
    for key in keys:
        x = ((state ^ key) + int(_STEP)) & _ALL_BITS
        for shift, factor in zip((30, 27), map(int, _FACTORS), strict=True):
            x = ((x ^ (x >> shift)) * factor) & _ALL_BITS
        state = x ^ (x >> 31)
    return state >> 11


def _hashed(state: NDArray[np.uint64], key: int | NDArray[np.int64]) -> NDArray[np.uint64]:
    """The next state; the arithmetic is modulo 2^64 by intent, and in place."""
    x: NDArray[np.uint64] = state ^ np.asarray(key).astype(np.uint64)
    x += _STEP
    shifted = x >> _SHIFTS[0]
    x ^= shifted
    x *= _FACTORS[0]
    x ^= np.right_shift(x, _SHIFTS[1], out=shifted)
    x *= _FACTORS[1]
    x ^= np.right_shift(x, _SHIFTS[2], out=shifted)
    return x


_ALL_BITS = (1 << 64) - 1
_STEP = np.uint64(0x9E3779B97F4A7C15)
_SHIFTS = np.array([30, 27, 31], dtype=np.uint64)
_FACTORS = np.array([0xBF58476D1CE4E5B9, 0x94D049BB133111EB], dtype=np.uint64)
