"""From slots to fields: one table over the one id space, and the pooling of a field's slots."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from masknet.nn.rules import require_count, require_positive
from masknet.space import FeatureSpace


class FieldEmbedding(nn.Module):
    """Embed each field of a row: `value * table[id]` for each slot, pooled over the field's slots, eq. 2 to 4.

    A slot knows its field, an id does not: a field's ids may lie anywhere, and fields may share them. Row 0, padding,
    is zero and gets no gradient. A sum adds up a field's slots; a mean divides that by the sum of the field's values,
    padding not counted (where they sum to 0, by 1).

    >>> from masknet.space import FieldSpace
    >>> embed = FieldEmbedding(FeatureSpace(9, (FieldSpace("user"), FieldSpace("tags", slots=2))), embedding_dim=4)
    >>> embed(torch.tensor([[1, 5, 0]]), torch.ones(1, 3)).shape
    torch.Size([1, 2, 4])
    """

    slot_fields: Tensor
    averaged: Tensor

    def __init__(self, space: FeatureSpace, embedding_dim: int, *, std: float = 0.01) -> None:
        """Draw the table from N(0, std).

        Args:
            space: the ids, and the slots of each field.
            embedding_dim: the paper's `k`, at least 1.
            std: standard deviation of the rows at the start, above 0. NOTE[paper]: the paper names none; 0.01 is what
                the authors' lab uses elsewhere, and what the layer norm's epsilon is fit for.

        Raises:
            ValueError: where a number is out of its range.
        """
        super().__init__()
        require_count("embedding_dim", embedding_dim)
        require_positive("std", std)
        self.table = id_table(torch.randn(space.num_ids, embedding_dim).mul_(std))
        self.num_fields = space.num_fields
        # Constants of the space, not state: they follow the module to its device, and stay out of what is saved.
        self.register_buffer("slot_fields", torch.tensor(space.slot_fields), persistent=False)
        self.register_buffer("averaged", torch.tensor([f.pooling == "mean" for f in space.fields]), persistent=False)
        self._has_mean = any(f.pooling == "mean" for f in space.fields)
        self._is_pooled = self._has_mean or space.num_slots > space.num_fields

    def forward(
        self,
        ids: Int[Tensor, "batch slots"],
        values: Float[Tensor, "batch slots"],
        dense: Float[Tensor, "batch dense"] | None = None,
    ) -> Float[Tensor, "batch fields emb"]:
        """Return the paper's `V_emb`, not yet flattened.

        Raises:
            ValueError: where the rows are not of this space.
        """
        require_rows(ids, values, dense, num_slots=len(self.slot_fields))
        slots: Tensor = self.table(ids) * values.unsqueeze(2)
        if not self._is_pooled:
            return slots
        fields = slots.new_zeros(ids.shape[0], self.num_fields, slots.shape[2]).index_add(1, self.slot_fields, slots)
        if not self._has_mean:
            return fields
        counted = values.masked_fill(ids == 0, 0)
        weight = values.new_zeros(ids.shape[0], self.num_fields).index_add(1, self.slot_fields, counted)
        return fields / weight.where(self.averaged & (weight != 0), 1).unsqueeze(2)


def id_table(rows: Float[Tensor, "ids emb"]) -> nn.Embedding:
    """Turn `rows`, one an id, into a trainable table (not a copy) in which row 0, padding, is zero and stays zero.

    >>> id_table(torch.ones(3, 1)).weight.tolist()
    [[0.0], [1.0], [1.0]]
    """
    rows[0] = 0
    num_ids, width = rows.shape
    return nn.Embedding(num_ids, width, padding_idx=0, _weight=rows)


def require_rows(ids: Tensor, values: Tensor, dense: Tensor | None, *, num_slots: int) -> None:
    """Refuse rows of another space; values of another shape would be broadcast without a word."""
    if ids.shape[1] != num_slots or values.shape[1] != num_slots:
        raise ValueError(
            f"a row of this space has {num_slots} slots; got {ids.shape[1]} ids and {values.shape[1]} values a row"
        )
    if dense is not None:
        raise ValueError(f"this space has no dense columns; got {dense.shape[1]} of them: pass None")
