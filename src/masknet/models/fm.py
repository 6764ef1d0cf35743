"""Factorization machine: a weight for each id, and a vector for its pairs."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from masknet.models.recipe import FACTORS
from masknet.nn.id_table import IdTable
from masknet.nn.linear_term import LinearTerm
from masknet.nn.pairs import pooled_products
from masknet.space import FeatureSpace


class FactorizationMachine(nn.Module):
    """A linear term and all products of two slots: `w_0 + sum_i w_i x_i + sum_{i<j} <v_i, v_j> x_i x_j`.

    Rendle, "Factorization machines" (ICDM 2010), eq. 1. It reads slots with their raw values, whatever a field's
    pooling, and each dense column as one more feature. Each task has weights and vectors of its own.

    >>> from masknet.space import FieldSpace
    >>> space = FeatureSpace(num_ids=9, fields=(FieldSpace("user"), FieldSpace("item")))
    >>> FactorizationMachine(space, embedding_dim=4)(torch.tensor([[1, 5], [2, 6]]), torch.ones(2, 2)).shape
    torch.Size([2])
    """

    paper = "Rendle, ICDM 2010"

    recipe = FACTORS

    def __init__(self, space: FeatureSpace, *, embedding_dim: int = 10) -> None:
        """Draw the vectors from N(0, 0.01); the linear term starts at zero.

        Args:
            space: the ids, the slots of each field, the columns of each dense one, and the tasks.
            embedding_dim: entries of a vector, the paper's `k`, at least 1.

        Raises:
            ValueError: where a number is out of its range.
        """
        super().__init__()
        self.linear = LinearTerm(space)
        self._num_tasks, self._width = space.num_tasks, embedding_dim
        self.factors = IdTable(space.num_ids, embedding_dim * space.num_tasks)
        if space.dense_width:
            self.dense = nn.Parameter(torch.empty(space.dense_width, embedding_dim * space.num_tasks))
            nn.init.normal_(self.dense, std=0.01)

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
        linear: Tensor = self.linear(ids, values, dense)
        vectors = self.factors.scaled(ids, values)  # [batch, slots, tasks * emb]
        if dense is not None:
            vectors = torch.cat([vectors, dense.unsqueeze(2) * self.dense], dim=1)
        products = pooled_products(vectors).reshape(ids.shape[0], self._num_tasks, self._width)
        return linear + products.sum(2).squeeze(1)  # [batch, tasks, emb] -> [batch, tasks], or [batch] of one
