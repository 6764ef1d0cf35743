"""Deep & Cross: explicit products of bounded order beside a feed-forward network."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from masknet.models.recipe import of_layers
from masknet.nn.embedding import FieldEmbedding
from masknet.nn.head import Head
from masknet.nn.mlp import MLP, NormName, glorot_linear
from masknet.nn.rules import require_count
from masknet.ranges import Ints
from masknet.space import FeatureSpace


class CrossLayer(nn.Module):
    """Multiply the input by a weighing of itself: `x_0 (x_l . w) + b + x_l`, eq. 3 of the paper.

    >>> CrossLayer(3)(torch.ones(2, 3), torch.ones(2, 3)).shape
    torch.Size([2, 3])
    """

    def __init__(self, width: int) -> None:
        """Start with a Glorot normal weight and a bias of zero; `width` is that of the input."""
        super().__init__()
        self.weight = glorot_linear(width, 1, bias=False)
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(
        self, first: Float[Tensor, "batch width"], crossed: Float[Tensor, "batch width"]
    ) -> Float[Tensor, "batch width"]:
        """Return the next `x`, of `x_0` and the last one."""
        weighed: Tensor = self.weight(crossed)
        return first * weighed + self.bias + crossed


class DCN(nn.Module):
    """Cross layers on the embedding, beside a feed-forward network; one layer weighs both, eq. 1 to 6.

    Wang, Fu, Fu and Wang, "Deep & cross network for ad click predictions" (ADKDD 2017).

    >>> from masknet.space import FieldSpace
    >>> space = FeatureSpace(num_ids=9, fields=(FieldSpace("user"), FieldSpace("item")))
    >>> DCN(space, embedding_dim=4, hidden_dims=(8,))(torch.tensor([[1, 5], [2, 6]]), torch.ones(2, 2)).shape
    torch.Size([2])
    """

    paper = "Wang et al., ADKDD 2017"

    recipe = of_layers(search={"cross_layers": Ints(1, 5)})

    def __init__(
        self,
        space: FeatureSpace,
        *,
        embedding_dim: int = 10,
        cross_layers: int = 3,
        hidden_dims: tuple[int, ...] = (400, 400, 400),
        norm: NormName | None = None,
        dropout: float = 0.0,
    ) -> None:
        """Build both parts.

        Args:
            space: the ids, the slots of each field, the columns of each dense one, and the tasks.
            embedding_dim: entries of a field's vector, at least 1.
            cross_layers: how many there are, at least 1.
            hidden_dims: width of each layer, at least one of them.
            norm: what stands before each ReLU: "batch", "layer", or None for nothing.
            dropout: share of entries dropped after each layer in training, in [0, 1).

        Raises:
            ValueError: where a number is out of its range.
        """
        super().__init__()
        require_count("cross_layers", cross_layers)
        self.embedding = FieldEmbedding(space, embedding_dim)
        self.cross = nn.ModuleList(CrossLayer(self.embedding.d_out) for _ in range(cross_layers))
        self.deep = MLP(self.embedding.d_out, hidden_dims, norm=norm, dropout=dropout)
        self.head = Head(self.embedding.d_out + self.deep.d_out, space.num_tasks)

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
        logits: Tensor = self.head(torch.cat([crossed, self.deep(first)], dim=1))
        return logits
