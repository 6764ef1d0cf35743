"""DCN V2: cross layers with a matrix, beside or below a feed-forward network."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from masknet.models.recipe import of_layers
from masknet.nn.embedding import FieldEmbedding
from masknet.nn.head import Head
from masknet.nn.mlp import MLP, NormName, glorot_linear
from masknet.nn.rules import require_count, require_one_of
from masknet.ranges import Ints, OneOf
from masknet.space import FeatureSpace


class MatrixCrossLayer(nn.Module):
    """Multiply the input entry by entry: `x_0 * (W x_l + b) + x_l`, eq. 1, or with `W = U V^T` of low rank, eq. 2.

    >>> MatrixCrossLayer(3)(torch.ones(2, 3), torch.ones(2, 3)).shape
    torch.Size([2, 3])
    """

    def __init__(self, width: int, rank: int | None = None) -> None:
        """Build the matrix; `rank` is that of `W`, None for a full one."""
        super().__init__()
        self.down = nn.Identity() if rank is None else glorot_linear(width, rank, bias=False)
        self.up = glorot_linear(width if rank is None else rank, width)

    def forward(
        self, first: Float[Tensor, "batch width"], crossed: Float[Tensor, "batch width"]
    ) -> Float[Tensor, "batch width"]:
        """Return the next `x`, of `x_0` and the last one."""
        weighed: Tensor = self.up(self.down(crossed))
        return first * weighed + crossed


class DCNv2(nn.Module):
    """Cross layers with a matrix on the embedding, and a feed-forward network beside them or on top of them.

    Wang et al., "DCN V2" (WWW 2021), figure 1. NOTE[paper]: its mixture of low-rank experts is left out.

    >>> from masknet.space import FieldSpace
    >>> space = FeatureSpace(num_ids=9, fields=(FieldSpace("user"), FieldSpace("item")))
    >>> DCNv2(space, embedding_dim=4, hidden_dims=(8,))(torch.tensor([[1, 5], [2, 6]]), torch.ones(2, 2)).shape
    torch.Size([2])
    """

    paper = "Wang et al., WWW 2021"

    recipe = of_layers(
        search={"cross_layers": Ints(1, 5), "rank": OneOf((None, 16, 64)), "structure": OneOf(("parallel", "stacked"))}
    )

    def __init__(
        self,
        space: FeatureSpace,
        *,
        embedding_dim: int = 10,
        cross_layers: int = 3,
        rank: int | None = None,
        structure: Literal["parallel", "stacked"] = "parallel",
        hidden_dims: tuple[int, ...] = (400, 400, 400),
        norm: NormName | None = None,
        dropout: float = 0.0,
    ) -> None:
        """Build both parts.

        Args:
            space: the ids, the slots of each field, the columns of each dense one, and the tasks.
            embedding_dim: entries of a field's vector, at least 1.
            cross_layers: how many there are, at least 1.
            rank: of their matrices, at least 1; None for full ones.
            structure: whether the feed-forward network reads the embedding ("parallel") or what the layers crossed
                ("stacked").
            hidden_dims: width of each layer, at least one of them.
            norm: what stands before each ReLU: "batch", "layer", or None for nothing.
            dropout: share of entries dropped after each layer in training, in [0, 1).

        Raises:
            ValueError: where a number is out of its range.
        """
        super().__init__()
        require_count("cross_layers", cross_layers)
        require_one_of("structure", structure, ("parallel", "stacked"))
        if rank is not None:
            require_count("rank", rank)
        self.embedding = FieldEmbedding(space, embedding_dim)
        width = self.embedding.d_out
        self.cross = nn.ModuleList(MatrixCrossLayer(width, rank) for _ in range(cross_layers))
        self.deep = MLP(width, hidden_dims, norm=norm, dropout=dropout)
        self._stacked = structure == "stacked"
        self.head = Head(self.deep.d_out + (0 if self._stacked else width), space.num_tasks)

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
        first = crossed = self.embedding.flat(ids, values, dense)
        for layer in self.cross:
            crossed = layer(first, crossed)
        hidden = self.deep(crossed) if self._stacked else torch.cat([crossed, self.deep(first)], dim=1)
        logits: Tensor = self.head(hidden)
        return logits
