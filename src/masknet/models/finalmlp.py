"""FinalMLP: two feed-forward networks, each on its own reading of the fields, and their bilinear fusion."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from masknet.errors import unknown
from masknet.models.recipe import IN_LAYERS, LAYERS, TRAINING, Recipe
from masknet.nn.embedding import FieldEmbedding
from masknet.nn.head import Head
from masknet.nn.mlp import MLP, NormName, glorot_linear
from masknet.nn.rules import require_count
from masknet.ranges import Ints
from masknet.space import FeatureSpace


class FeatureGate(nn.Module):
    """Weigh every entry of the embedding by what a few fields say: `2 sigmoid(MLP(c)) * e`, eq. 3 and 4.

    The few fields have vectors of their own. Where none are named, `c` is one learned vector for all rows.
    """

    slots: Tensor
    columns: Tensor

    def __init__(
        self, space: FeatureSpace, context: tuple[str, ...], *, embedding_dim: int, width: int, hidden_dim: int
    ) -> None:
        """Build the gate for an embedding of `width` entries."""
        super().__init__()
        known = {f.name: i for i, f in enumerate(space.fields)}
        for name in context:
            if name not in known:
                raise ValueError(unknown("field", name, known))
        own = [known[name] for name in context]
        self.embedding = None
        if context:
            fields = tuple(space.fields[i] for i in own)
            self.embedding = FieldEmbedding(FeatureSpace(space.num_ids, fields), embedding_dim)
        else:
            self.constant = nn.Parameter(torch.empty(embedding_dim))
            nn.init.normal_(self.constant, std=0.1)
        slots, columns = ([at for i in own for at in places[i]] for places in (space.field_slots, space.field_columns))
        self.register_buffer("slots", torch.tensor(slots, dtype=torch.long), persistent=False)
        self.register_buffer("columns", torch.tensor(columns, dtype=torch.long), persistent=False)
        self.layers = MLP(embedding_dim if self.embedding is None else self.embedding.d_out, (hidden_dim,))
        self.gate = glorot_linear(hidden_dim, width)

    def forward(
        self,
        ids: Int[Tensor, "batch slots"],
        values: Float[Tensor, "batch slots"],
        dense: Float[Tensor, "batch dense"] | None,
        embedding: Float[Tensor, "batch width"],
    ) -> Float[Tensor, "batch width"]:
        """Return the weighed embedding."""
        if self.embedding is None:
            context = self.constant.unsqueeze(0)
        else:
            of_context = dense[:, self.columns] if dense is not None and len(self.columns) else None
            context = self.embedding.flat(ids[:, self.slots], values[:, self.slots], of_context)
        gate: Tensor = self.gate(self.layers(context))
        return 2 * gate.sigmoid() * embedding


class BilinearFusion(nn.Module):
    """Multiply the streams head by head: `sum_h o_1h^T W_h o_2h`, the last term of eq. 7, for each task.

    >>> BilinearFusion(8, 4, num_heads=2, num_tasks=3)(torch.randn(5, 8), torch.randn(5, 4)).shape
    torch.Size([5, 3])
    """

    def __init__(self, d_first: int, d_second: int, *, num_heads: int, num_tasks: int) -> None:
        """Draw the matrices, Glorot normal; both widths are multiples of `num_heads`."""
        super().__init__()
        self.matrices = nn.Parameter(torch.empty(num_tasks, num_heads, d_first // num_heads, d_second // num_heads))
        nn.init.normal_(self.matrices, std=math.sqrt(2 / sum(self.matrices.shape[2:])))  # Glorot's, of each

    def forward(
        self, first: Float[Tensor, "batch first"], second: Float[Tensor, "batch second"]
    ) -> Float[Tensor, "batch tasks"]:
        """Return one number a task."""
        _, heads, d_first, d_second = self.matrices.shape
        of_first = first.reshape(first.shape[0], heads, d_first)
        of_second = second.reshape(second.shape[0], heads, d_second)
        return torch.einsum("bhi,thij,bhj->bt", of_first, self.matrices, of_second)


class FinalMLP(nn.Module):
    """Two streams, each gated by its own fields, and `b + w_1 o_1 + w_2 o_2 + sum_h o_1h^T W_h o_2h`, eq. 7.

    Mao et al., "FinalMLP: an enhanced two-stream MLP model for CTR prediction" (AAAI 2023).

    >>> from masknet.space import FieldSpace
    >>> space = FeatureSpace(num_ids=9, fields=(FieldSpace("user"), FieldSpace("item")))
    >>> net = FinalMLP(space, embedding_dim=4, first_dims=(8,), second_dims=(4,), num_heads=2)
    >>> net(torch.tensor([[1, 5], [2, 6]]), torch.ones(2, 2)).shape
    torch.Size([2])
    """

    paper = "Mao et al., AAAI 2023"

    recipe = Recipe(
        network={"first_dims": (128,), "second_dims": (64,), "gate_dim": 64, "norm": "layer", "dropout": 0.1},
        several_members=True,
        search={
            **TRAINING,
            **IN_LAYERS,
            "first_dims": LAYERS,
            "second_dims": LAYERS,
            "gate_dim": Ints(16, 256, log=True),
        },
    )

    def __init__(
        self,
        space: FeatureSpace,
        *,
        embedding_dim: int = 10,
        first_dims: tuple[int, ...] = (400, 400, 400),
        second_dims: tuple[int, ...] = (400, 400, 400),
        first_context: tuple[str, ...] = (),
        second_context: tuple[str, ...] = (),
        gate_dim: int = 400,
        num_heads: int = 1,
        norm: NormName | None = None,
        dropout: float = 0.0,
    ) -> None:
        """Build both streams.

        Args:
            space: the ids, the slots of each field, the columns of each dense one, and the tasks.
            embedding_dim: entries of a field's vector, at least 1.
            first_dims, second_dims: width of each layer of a stream; the last of each is a multiple of `num_heads`.
            first_context, second_context: the fields that gate a stream; none for a gate that is the same for all rows.
            gate_dim: width of a gate's hidden layer, at least 1.
            num_heads: heads of the fusion, at least 1.
            norm: what stands before each ReLU of the streams: "batch", "layer", or None for nothing.
            dropout: share of entries dropped after each layer in training, in [0, 1).

        Raises:
            ValueError: where a number is out of its range, or a field is not there.
        """
        super().__init__()
        require_count("gate_dim", gate_dim)
        require_count("num_heads", num_heads)
        self.embedding = FieldEmbedding(space, embedding_dim)
        width = self.embedding.d_out
        self.first, self.second = (MLP(width, dims, norm=norm, dropout=dropout) for dims in (first_dims, second_dims))
        if first_dims[-1] % num_heads or second_dims[-1] % num_heads:
            raise ValueError(
                f"the last width of both streams must be a multiple of 'num_heads'; got {first_dims[-1]} and "
                f"{second_dims[-1]}, and {num_heads}"
            )
        self.first_gate, self.second_gate = (
            FeatureGate(space, context, embedding_dim=embedding_dim, width=width, hidden_dim=gate_dim)
            for context in (first_context, second_context)
        )
        self.head = Head(first_dims[-1] + second_dims[-1], space.num_tasks)
        self.fusion = BilinearFusion(first_dims[-1], second_dims[-1], num_heads=num_heads, num_tasks=space.num_tasks)

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
        embedding = self.embedding.flat(ids, values, dense)
        first = self.first(self.first_gate(ids, values, dense, embedding))
        second = self.second(self.second_gate(ids, values, dense, embedding))
        logits: Tensor = self.head(torch.cat([first, second], dim=1))
        fused: Tensor = self.fusion(first, second)
        return logits + fused.squeeze(1)  # [batch, 1] -> [batch]; [batch, tasks] stays
