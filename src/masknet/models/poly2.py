"""Poly2: a weight for each pair of ids."""

from __future__ import annotations

from dataclasses import replace

from jaxtyping import Float, Int
from torch import Tensor, nn

from masknet.models.recipe import CONVEX
from masknet.nn.linear_term import LinearTerm
from masknet.nn.pairs import HashedPairs, pairs_of
from masknet.space import FeatureSpace


class Poly2(nn.Module):
    """Logistic regression on all ids and all pairs of ids, hashed: `w_0 + sum_s w_s x_s + sum_{s<t} w_h(s,t) x_s x_t`.

    Chang, Hsieh, Chang, Ringgaard and Lin, "Training and testing low-degree polynomial data mappings via linear SVM"
    (JMLR 2010), as Juan et al. (RecSys 2016, eq. 2) hash it. The pairs are of slots, so those within a bag are pairs
    too; a dense column has its weight, and no pairs.

    >>> import torch
    >>> from masknet.space import FieldSpace
    >>> space = FeatureSpace(num_ids=9, fields=(FieldSpace("user"), FieldSpace("item")))
    >>> Poly2(space, buckets=100)(torch.tensor([[1, 5], [2, 6]]), torch.ones(2, 2)).shape
    torch.Size([2])
    """

    paper = "Chang et al., JMLR 2010"

    recipe = replace(CONVEX, learning_rate=1e-3)

    def __init__(self, space: FeatureSpace, *, buckets: int = 1_000_000) -> None:
        """Start with all weights zero.

        Args:
            space: the ids, the slots of each field, the columns of each dense one, and the tasks.
            buckets: weights of the pairs, at least 1.

        Raises:
            ValueError: where a number is out of its range.
        """
        super().__init__()
        self.linear = LinearTerm(space)
        self.pairs = HashedPairs(*pairs_of(space.num_slots), buckets=buckets, num_tasks=space.num_tasks)

    def forward(
        self,
        ids: Int[Tensor, "batch slots"],
        values: Float[Tensor, "batch slots"],
        dense: Float[Tensor, "batch dense"] | None = None,
    ) -> Float[Tensor, "batch *tasks"]:
        """Return the logits: `[batch]` for one task, `[batch, tasks]` for several.

        Raises:
            ValueError: where the rows are not of the space.
        """
        logits: Tensor = self.linear(ids, values, dense) + self.pairs(ids, values)
        return logits
