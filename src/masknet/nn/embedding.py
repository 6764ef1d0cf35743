"""From a row to its fields: the id table, the pooling of a field's slots, and dense columns."""

from __future__ import annotations

from itertools import accumulate, pairwise

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from masknet.errors import unknown
from masknet.nn.id_table import IdTable
from masknet.nn.rules import require_count, require_positive
from masknet.space import FeatureSpace

_LONG = 64
"""Slots of a bag from which on those that no row of a batch fills are passed over: few rows may be far longer."""


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
    >>> embed.columns
    {'user': range(0, 4), 'tags': range(4, 8), 'image': range(8, 15)}
    >>> vectors, present = embed.slots_of("tags", ids, values)
    >>> vectors.shape, present.tolist()
    (torch.Size([1, 2, 4]), [[True, False]])

    Attributes:
        columns: which columns of `flat` are whose, by the field's name, in the order of the columns.
        d_out: the width of `flat`, the paper's `m`.
        num_vectors: how many fields have an embedding, the paper's `f`.
        plain_widths: the width of each dense field that enters as it is, by its name.
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
            std: standard deviation of the rows at the start, above 0; see `IdTable`.

        Raises:
            ValueError: where a number is out of its range.
        """
        super().__init__()
        require_count("embedding_dim", embedding_dim)
        require_positive("std", std)
        self.table = IdTable(space.num_ids, embedding_dim, std=std)
        embedded = [f for f in space.fields if f.kind != "dense" or f.projected]
        # As many modules as projected fields, in their order; a space without them has none of their names.
        projections = [nn.Linear(f.width, embedding_dim, bias=False) for f in embedded if f.kind == "dense"]
        for projection in projections:
            nn.init.normal_(projection.weight, std=std)
        self.projections = nn.ModuleList(projections)
        self.num_vectors = len(embedded)
        self.plain_widths = {f.name: f.width for f in space.fields if f.kind == "dense" and not f.projected}
        widths = dict.fromkeys((f.name for f in embedded), embedding_dim) | self.plain_widths
        ends = list(accumulate(widths.values(), initial=0))
        self.columns = {name: range(*span) for name, span in zip(widths, pairwise(ends), strict=True)}
        self.d_out = ends[-1]
        self._num_slots, self._dense_width = space.num_slots, space.dense_width
        names = [f.name for f in space.fields]
        self._slots = {name: slots for name, slots in zip(names, space.field_slots, strict=True) if slots}
        dense_columns = dict(zip(names, space.field_columns, strict=True))
        self._projected_columns = [dense_columns[f.name] for f in embedded if f.kind == "dense"]
        # Constants of the space, not state: they follow the module to its device, and stay out of what is saved.
        constants = {
            "slot_vectors": torch.tensor([i for i, f in enumerate(embedded) for _ in range(f.slots)], dtype=torch.long),
            "averaged": torch.tensor([f.pooling == "mean" for f in embedded], dtype=torch.bool),
            "projected": torch.tensor([i for i, f in enumerate(embedded) if f.kind == "dense"], dtype=torch.long),
            "plain": torch.tensor([c for name in self.plain_widths for c in dense_columns[name]], dtype=torch.long),
        }
        for name, constant in constants.items():
            self.register_buffer(name, constant, persistent=False)
        self._has_long_bag = any(f.slots > _LONG for f in embedded)
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
        of_slots = self.slot_vectors
        if self._has_long_bag:
            filled = torch.nonzero((ids != 0).any(0)).squeeze(1)
            ids, values, of_slots = ids[:, filled], values[:, filled], of_slots[filled]
        slots = self._rows(ids, values)
        if not self._is_pooled:
            return slots
        fields = slots.new_zeros(ids.shape[0], self.num_vectors, slots.shape[2])
        # [batch, slots, emb] -> [batch, vectors, emb]: each slot is added to the vector of its field.
        fields = fields.index_add(1, of_slots, slots)
        if dense is not None and len(self.projections) > 0:
            made = [
                project(dense[:, columns.start : columns.stop])
                for project, columns in zip(self.projections, self._projected_columns, strict=True)
            ]
            # [batch, projections, emb] -> [batch, vectors, emb]: each stands in the place of its field, zero until now.
            fields = fields.index_add(1, self.projected, torch.stack(made, dim=1).to(fields.dtype))
        if not self._has_mean:
            return fields
        counted = values.masked_fill(ids == 0, 0)
        weight = values.new_zeros(ids.shape[0], self.num_vectors)
        # [batch, slots] -> [batch, vectors]: the sum of each field's values.
        weight = weight.index_add(1, of_slots, counted)
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
        return self.beside(self(ids, values, dense), dense)

    def beside(
        self, vectors: Float[Tensor, "batch vectors emb"], dense: Float[Tensor, "batch dense"] | None
    ) -> Float[Tensor, "batch out"]:
        """Return vectors side by side, whatever a network made of them, and then the columns that have none."""
        side_by_side = vectors.flatten(1)  # [batch, vectors, emb] -> [batch, vectors * emb]
        if dense is None or not self.plain_widths:
            return side_by_side
        return torch.cat([side_by_side, dense[:, self.plain]], dim=1)

    def require_vectors(self, least: int) -> None:
        """Refuse a space of fewer embedded fields than a network needs.

        Raises:
            ValueError: with how many there are.
        """
        if self.num_vectors < least:
            raise ValueError(
                f"this network multiplies the vectors of fields, and needs {least} or more; the log has "
                f"{self.num_vectors}: a dense field has one where it is projected"
            )

    def slots_of(
        self, name: str, ids: Int[Tensor, "batch slots"], values: Float[Tensor, "batch slots"]
    ) -> tuple[Float[Tensor, "batch of_field emb"], Bool[Tensor, "batch of_field"]]:
        """Return the vectors of one field's slots before they are pooled, and which of them hold something.

        A row of a bag is left-aligned, the oldest value first: of `n` values the newest stands in slot `n - 1`, and
        zeros follow. (`present` may have gaps where a bag without an order was put together by hand.)

        Raises:
            ValueError: where the space has no such field of slots, or the rows are not of this space.
        """
        if name not in self._slots:
            raise ValueError(unknown("field of slots", name, self._slots))
        require_rows(ids, values, None, num_slots=self._num_slots, dense_width=0)
        own = slice(self._slots[name].start, self._slots[name].stop)
        return self._rows(ids[:, own], values[:, own]), ids[:, own] != 0

    def _rows(
        self, ids: Int[Tensor, "batch slots"], values: Float[Tensor, "batch slots"]
    ) -> Float[Tensor, "batch slots emb"]:
        return self.table.scaled(ids, values)


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
