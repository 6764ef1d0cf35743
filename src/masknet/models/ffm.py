"""Field-aware factorization machine: a vector for each id and field that it may meet."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from masknet.models.recipe import FACTORS
from masknet.nn.id_table import IdTable
from masknet.nn.linear_term import LinearTerm
from masknet.nn.pairs import pairs_of
from masknet.nn.rules import require_count
from masknet.space import FeatureSpace


class FieldAwareFactorizationMachine(nn.Module):
    """A linear term and all products of two slots, each by the vector for the other's field.

    `w_0 + sum_i w_i x_i + sum_{i<j} <v_{i,f_j}, v_{j,f_i}> x_i x_j`: Juan, Zhuang, Chin and Lin, "Field-aware
    factorization machines for CTR prediction" (RecSys 2016), eq. 4. NOTE[paper]: the paper's has no linear term; its
    authors' library and every published count have one. It reads slots with their raw values; a field of several slots,
    or of several dense columns, meets itself too, and then every id has a vector for each field and not one less.

    >>> from masknet.space import FieldSpace
    >>> space = FeatureSpace(num_ids=9, fields=(FieldSpace("user"), FieldSpace("item")))
    >>> FieldAwareFactorizationMachine(space, embedding_dim=4)(torch.tensor([[1, 5], [2, 6]]), torch.ones(2, 2)).shape
    torch.Size([2])
    """

    paper = "Juan et al., RecSys 2016"

    recipe = FACTORS

    own: Tensor
    left: Tensor
    right: Tensor
    seen_by_left: Tensor
    seen_by_right: Tensor
    feature_fields: Tensor

    def __init__(self, space: FeatureSpace, *, embedding_dim: int = 4) -> None:
        """Draw the vectors from N(0, 0.01); the linear term starts at zero.

        Args:
            space: the ids, the slots of each field, the columns of each dense one, and the tasks.
            embedding_dim: entries of a vector, the paper's `k`, at least 1.

        Raises:
            ValueError: where a number is out of its range.
        """
        super().__init__()
        require_count("embedding_dim", embedding_dim)
        self.linear = LinearTerm(space)
        fields, tasks = space.num_fields, space.num_tasks
        own = [i for i, f in enumerate(space.fields) if f.slots > 1 or f.width > 1]
        # Of one field alone no id meets another; a table of no columns would be none.
        met = fields if own or fields == 1 else fields - 1
        self._shape = (met, tasks, embedding_dim)
        self._num_fields = fields
        self.vectors = IdTable(space.num_ids, met * tasks * embedding_dim)
        if space.dense_width:
            self.dense = nn.Parameter(torch.empty(space.dense_width, met * tasks * embedding_dim))
            nn.init.normal_(self.dense, std=0.01)
        left, right = pairs_of(fields)
        passed_over = met < fields  # a field has no vector for itself, and those after it move up
        columns = [i for i, f in enumerate(space.fields) for _ in range(f.width)]
        constants = {
            "own": torch.tensor(own, dtype=torch.long),
            "left": left,
            "right": right,
            "seen_by_left": right - int(passed_over),
            "seen_by_right": left,
            "feature_fields": torch.tensor([*space.slot_fields, *columns], dtype=torch.long),
        }
        for name, constant in constants.items():
            self.register_buffer(name, constant, persistent=False)

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
        vectors = self.vectors(ids) * values.unsqueeze(2)  # [batch, slots, met * tasks * emb]
        if dense is not None:
            vectors = torch.cat([vectors, dense.unsqueeze(2) * self.dense], dim=1)
        fields = self._by_field(vectors)
        products = (fields[:, self.left, self.seen_by_left] * fields[:, self.right, self.seen_by_right]).sum(1)
        if len(self.own):
            squares = self._by_field(vectors.square())
            within = fields[:, self.own, self.own].square() - squares[:, self.own, self.own]
            products = products + within.sum(1) / 2
        logits: Tensor = linear + products.sum(2).squeeze(1)  # [batch, tasks, emb] -> [batch, tasks], or [batch] of one
        return logits

    def _by_field(self, vectors: Tensor) -> Tensor:
        """Add up what each field holds for the fields that it meets: `[batch, fields, met, tasks, emb]`."""
        rows = vectors.shape[0]
        sums = vectors.new_zeros(rows, self._num_fields, vectors.shape[2]).index_add(1, self.feature_fields, vectors)
        return sums.reshape(rows, self._num_fields, *self._shape)
