"""Products of pairs: of the fields' vectors, and of the ids themselves, hashed."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from masknet.nn.backward import own_backward
from masknet.nn.rules import require_count

_MOST_PAIRS = 20_000
"""A row's, each of which takes dozens of bytes a row of a batch."""


def pooled_products(vectors: Float[Tensor, "batch vectors emb"]) -> Float[Tensor, "batch emb"]:
    """Add up the entrywise products of all pairs, `sum_{i<j} v_i * v_j`, in linear time (Rendle, ICDM 2010, lemma 3.1).

    >>> pooled_products(torch.tensor([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]])).tolist()
    [[23.0, 44.0]]
    """
    if own_backward(vectors):
        pooled: Tensor = _PooledProducts.apply(vectors)  # type: ignore[no-untyped-call]
        return pooled
    return _products(vectors, vectors.sum(1))


def _products(vectors: Tensor, summed: Tensor) -> Tensor:
    return (summed.square() - vectors.square().sum(1)) / 2


class _PooledProducts(torch.autograd.Function):
    """The gradient of a vector is that of the row, times the sum of the other vectors."""

    @staticmethod
    def forward(ctx: Any, vectors: Tensor) -> Tensor:
        summed = vectors.sum(1)
        ctx.save_for_backward(vectors, summed)
        return _products(vectors, summed)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        vectors, summed = ctx.saved_tensors
        others: Tensor = summed.unsqueeze(1) - vectors
        return others.mul_(gradient.unsqueeze(1))


def pairs_of(count: int) -> tuple[Tensor, Tensor]:
    """The indices of all pairs `i < j` below a count.

    >>> [index.tolist() for index in pairs_of(3)]
    [[0, 0, 1], [1, 2, 2]]
    """
    left, right = torch.triu_indices(count, count, offset=1)
    return left, right


class HashedPairs(nn.Module):
    """Weigh pairs of ids, `sum_{s<t} w_h(i_s, i_t) x_s x_t`, `h` a hash into a table (Chang et al., JMLR 2010).

    The hash is of the two ids, whichever comes first, so the order of a bag means nothing; pairs that meet in a bucket
    share its weight. A pair with padding is none.

    >>> pairs = HashedPairs(*pairs_of(2), buckets=100)
    >>> pairs(torch.tensor([[1, 5], [2, 6]]), torch.ones(2, 2)).tolist()
    [0.0, 0.0]
    """

    left: Tensor
    right: Tensor

    def __init__(
        self, left: Int[Tensor, " pairs"], right: Int[Tensor, " pairs"], *, buckets: int, num_tasks: int = 1
    ) -> None:
        """Start with all weights zero.

        Args:
            left, right: the slots of each pair.
            buckets: weights a task, at least 1.
            num_tasks: labels that are predicted, at least 1.

        Raises:
            ValueError: where a number is out of its range, or there are more than 20,000 pairs.
        """
        super().__init__()
        require_count("buckets", buckets)
        if len(left) > _MOST_PAIRS:
            raise ValueError(
                f"a row may have at most {_MOST_PAIRS:,} pairs of ids to weigh; here it has {len(left):,}: bound the "
                f"bags with --max-length, leave columns out with --ignore, or cross fewer fields"
            )
        self.weight = nn.Parameter(torch.zeros(buckets, num_tasks))
        # Constants of the space, not state.
        self.register_buffer("left", left, persistent=False)
        self.register_buffer("right", right, persistent=False)

    def forward(
        self, ids: Int[Tensor, "batch slots"], values: Float[Tensor, "batch slots"]
    ) -> Float[Tensor, "batch *tasks"]:
        """Return `[batch]` for one task, `[batch, tasks]` for several."""
        ids = ids.long()
        first, second = ids[:, self.left], ids[:, self.right]
        present = (first != 0) & (second != 0)
        products = (values[:, self.left] * values[:, self.right]).masked_fill(~present, 0)
        bucket = _hashed(torch.minimum(first, second), torch.maximum(first, second)) % len(self.weight)
        weighed = self.weight[bucket] * products.unsqueeze(2)  # [batch, pairs, tasks]
        return weighed.sum(1).squeeze(1)  # [batch, tasks], or [batch] of one


def _hashed(low: Tensor, high: Tensor) -> Tensor:
    """Mix two numbers into one of 62 bits, so that neighbours fall apart: multiply, and fold the high bits down."""
    mixed = low * 0x1E3779B97F4A7C15 + high * 0x3F58476D1CE4E5B9
    mixed = (mixed ^ (mixed >> 29)) * 0x14D049BB133111EB
    return (mixed ^ (mixed >> 32)) & 0x3FFFFFFFFFFFFFFF
