"""From a row to its fields: one table over the one id space, the pooling of a field's slots, and dense columns."""

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
    padding not counted (where they sum to 0, by 1). A projected dense field is `W x`, eq. 3 for several numbers. One
    that enters as it is has no embedding: only `flat`, the whole of `V_emb`, holds its columns.

    >>> from masknet.space import FieldSpace
    >>> fields = (FieldSpace("user"), FieldSpace("tags", slots=2), FieldSpace("image", kind="dense", slots=0, width=7))
    >>> embed = FieldEmbedding(FeatureSpace(9, fields), embedding_dim=4)
    >>> ids, values, dense = torch.tensor([[1, 5, 0]]), torch.ones(1, 3), torch.ones(1, 7)
    >>> embed(ids, values, dense).shape, embed.flat(ids, values, dense).shape
    (torch.Size([1, 2, 4]), torch.Size([1, 15]))
    """

    slot_vectors: Tensor
    averaged: Tensor
    projected: Tensor
    plain: Tensor

    def __init__(self, space: FeatureSpace, embedding_dim: int, *, std: float = 0.01) -> None:
        """Draw the table, and the projections of dense fields, from N(0, std).

        Args:
            space: the ids, the slots of each field, and the columns of each dense one.
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
        columns, embedded = dense_columns(space), [f for f in space.fields if f.kind != "dense" or f.projected]
        # As many modules as projected fields, in their order; a space without them has none of their names.
        projections = [nn.Linear(f.width, embedding_dim, bias=False) for f in embedded if f.kind == "dense"]
        for projection in projections:
            nn.init.normal_(projection.weight, std=std)
        self.projections = nn.ModuleList(projections)
        self._spans = [columns[field.name] for field in embedded if field.kind == "dense"]
        self.num_vectors = len(embedded)
        self.plain_widths = {f.name: f.width for f in space.fields if f.kind == "dense" and not f.projected}
        self.d_out = self.num_vectors * embedding_dim + sum(self.plain_widths.values())
        self._num_slots, self._dense_width = space.num_slots, space.dense_width
        # Constants of the space, not state: they follow the module to its device, and stay out of what is saved.
        constants = {
            "slot_vectors": torch.tensor([i for i, f in enumerate(embedded) for _ in range(f.slots)], dtype=torch.long),
            "averaged": torch.tensor([f.pooling == "mean" for f in embedded], dtype=torch.bool),
            "projected": torch.tensor([i for i, f in enumerate(embedded) if f.kind == "dense"], dtype=torch.long),
            "plain": torch.tensor([c for name in self.plain_widths for c in columns[name]], dtype=torch.long),
        }
        for name, constant in constants.items():
            self.register_buffer(name, constant, persistent=False)
        self._has_mean = any(f.pooling == "mean" for f in embedded)
        self._is_pooled = self._has_mean or any(f.slots != 1 for f in embedded)

    def forward(
        self,
        ids: Int[Tensor, "batch slots"],
        values: Float[Tensor, "batch slots"],
        dense: Float[Tensor, "batch dense"] | None = None,
    ) -> Float[Tensor, "batch vectors emb"]:
        """Return one vector a field but for the dense ones that enter as they are, in the order of the fields.

        Raises:
            ValueError: where the rows are not of this space.
        """
        require_rows(ids, values, dense, num_slots=self._num_slots, dense_width=self._dense_width)
        slots: Tensor = self.table(ids) * values.unsqueeze(2)
        if not self._is_pooled:
            return slots
        fields = slots.new_zeros(ids.shape[0], self.num_vectors, slots.shape[2]).index_add(1, self.slot_vectors, slots)
        if dense is not None and len(self.projections) > 0:
            made = [
                project(dense[:, span.start : span.stop])
                for project, span in zip(self.projections, self._spans, strict=True)
            ]
            fields = fields.index_add(1, self.projected, torch.stack(made, dim=1))
        if not self._has_mean:
            return fields
        counted = values.masked_fill(ids == 0, 0)
        weight = values.new_zeros(ids.shape[0], self.num_vectors).index_add(1, self.slot_vectors, counted)
        return fields / weight.where(self.averaged & (weight != 0), 1).unsqueeze(2)

    def flat(
        self,
        ids: Int[Tensor, "batch slots"],
        values: Float[Tensor, "batch slots"],
        dense: Float[Tensor, "batch dense"] | None = None,
    ) -> Float[Tensor, "batch out"]:
        """Return the paper's `V_emb`: the vectors side by side, then the dense columns that enter as they are.

        Raises:
            ValueError: where the rows are not of this space.
        """
        vectors: Tensor = self(ids, values, dense).flatten(1)
        if dense is None or not self.plain_widths:
            return vectors
        return torch.cat([vectors, dense[:, self.plain]], dim=1)


def dense_columns(space: FeatureSpace) -> dict[str, range]:
    """The columns of `dense` that each dense field owns.

    >>> from masknet.space import FieldSpace
    >>> fields = (FieldSpace("a", kind="dense", slots=0, width=2), FieldSpace("b", kind="dense", slots=0, width=1))
    >>> dense_columns(FeatureSpace(1, fields))
    {'a': range(0, 2), 'b': range(2, 3)}
    """
    columns, start = {}, 0
    for field in space.fields:
        if field.kind == "dense":
            columns[field.name] = range(start, start + field.width)
            start += field.width
    return columns


def id_table(rows: Float[Tensor, "ids emb"]) -> nn.Embedding:
    """Turn `rows`, one an id, into a trainable table (not a copy) in which row 0, padding, is zero and stays zero.

    >>> id_table(torch.ones(3, 1)).weight.tolist()
    [[0.0], [1.0], [1.0]]
    """
    rows[0] = 0
    num_ids, width = rows.shape
    return nn.Embedding(num_ids, width, padding_idx=0, _weight=rows)


def require_rows(ids: Tensor, values: Tensor, dense: Tensor | None, *, num_slots: int, dense_width: int) -> None:
    """Refuse rows of another space; values of another shape would be broadcast without a word."""
    if ids.shape[1] != num_slots or values.shape[1] != num_slots:
        raise ValueError(
            f"a row of this space has {num_slots} slots; got {ids.shape[1]} ids and {values.shape[1]} values a row"
        )
    if dense is None:
        if dense_width:
            raise ValueError(f"a row of this space has {dense_width} dense columns; got None: pass them")
    elif not dense_width:
        raise ValueError(f"this space has no dense columns; got {dense.shape[1]} of them: pass None")
    elif dense.shape[1] != dense_width:
        raise ValueError(f"a row of this space has {dense_width} dense columns; got {dense.shape[1]} of them")
