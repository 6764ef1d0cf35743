"""The linear part of a model: one weight an id, one a dense column, and a bias."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from masknet.nn.embedding import require_rows
from masknet.nn.id_table import IdTable
from masknet.space import FeatureSpace


class LinearTerm(nn.Module):
    """Add up one weight an id: `w_0 + sum_i w_i x_i`, what stands in the sigmoid of eq. 17.

    It reads slots, not fields, so a field's pooling does not concern it, nor whether a dense field is projected. A task
    has one weight an id, padding included, one a dense column, and its bias.

    >>> from masknet.space import FieldSpace
    >>> fields = (FieldSpace("user"), FieldSpace("item"))
    >>> ids, values = torch.tensor([[1, 5], [2, 6]]), torch.ones(2, 2)
    >>> LinearTerm(FeatureSpace(9, fields))(ids, values).tolist()
    [0.0, 0.0]
    >>> LinearTerm(FeatureSpace(9, fields, num_tasks=2))(ids, values).tolist()
    [[0.0, 0.0], [0.0, 0.0]]
    """

    of_slots: Tensor
    of_columns: Tensor

    def __init__(self, space: FeatureSpace, *, bias: bool = True) -> None:
        """Start with all weights zero: alone it is a convex problem, so nothing needs breaking.

        Args:
            space: the ids, the slots of each field, the columns of each dense one, and the tasks.
            bias: whether it has `w_0`; beside a `Head`, which has one, a second would say the same.
        """
        super().__init__()
        self._num_slots, self._dense_width = space.num_slots, space.dense_width
        tasks = () if space.num_tasks == 1 else (space.num_tasks,)
        self.table = IdTable(space.num_ids, space.num_tasks, std=0.0)
        self.bias = nn.Parameter(torch.zeros(tasks)) if bias else None
        if space.dense_width:
            self.dense = nn.Parameter(torch.zeros(space.dense_width, *tasks))
        self._num_fields = space.num_fields
        columns = [i for i, f in enumerate(space.fields) for _ in range(f.width)]
        for name, fields in (("of_slots", space.slot_fields), ("of_columns", columns)):
            self.register_buffer(name, torch.tensor(fields, dtype=torch.long), persistent=False)

    def forward(
        self,
        ids: Int[Tensor, "batch slots"],
        values: Float[Tensor, "batch slots"],
        dense: Float[Tensor, "batch dense"] | None = None,
    ) -> Float[Tensor, "batch *tasks"]:
        """Return `[batch]` for one task, `[batch, tasks]` for several.

        Raises:
            ValueError: where the rows are not of the space.
        """
        require_rows(ids, values, dense, num_slots=self._num_slots, dense_width=self._dense_width)
        logits = self.table.summed(ids, values).squeeze(1)  # [batch, tasks], or [batch] of one
        if self.bias is not None:
            logits = logits + self.bias
        return logits if dense is None else logits + dense @ self.dense

    def by_field(
        self,
        ids: Int[Tensor, "batch slots"],
        values: Float[Tensor, "batch slots"],
        dense: Float[Tensor, "batch dense"] | None = None,
    ) -> Float[Tensor, "batch parts tasks"]:
        """Return what the term adds up: its bias, where it has one, and then what each field contributes.

        Raises:
            ValueError: where the rows are not of the space.
        """
        require_rows(ids, values, dense, num_slots=self._num_slots, dense_width=self._dense_width)
        weighted = self.table.scaled(ids, values)
        parts = weighted.new_zeros(ids.shape[0], self._num_fields, self.table.embedding_dim)
        # [batch, slots, tasks] -> [batch, fields, tasks]: each slot, or column, is added to its field.
        parts = parts.index_add(1, self.of_slots, weighted)
        if dense is not None:
            columns = dense.unsqueeze(2) * self.dense.reshape(self._dense_width, -1)
            parts = parts.index_add(1, self.of_columns, columns)
        if self.bias is None:
            return parts
        return torch.cat([self.bias.reshape(1, 1, -1).expand(ids.shape[0], 1, -1), parts], dim=1)
