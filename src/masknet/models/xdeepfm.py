"""xDeepFM: a compressed interaction network beside a linear term and a feed-forward network."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from masknet.models.recipe import of_layers
from masknet.nn.embedding import FieldEmbedding
from masknet.nn.head import Head
from masknet.nn.linear_term import LinearTerm
from masknet.nn.mlp import MLP, NormName, glorot_linear
from masknet.nn.rules import require_switch, require_widths
from masknet.ranges import OneOf
from masknet.space import FeatureSpace


class XDeepFM(nn.Module):
    """A linear term, products of fields of growing order, vector by vector, and a feed-forward network.

    Lian et al., "xDeepFM" (KDD 2018). Map `h` of layer `l` of the compressed interaction network is
    `X^l_h = sum_ij W^{l,h}_ij (X^{l-1}_i * X^0_j)`, eq. 6, of the fields' vectors `X^0`; the sums of the maps' entries,
    eq. 8, are weighed into the logit. A dense field that enters as it is has no vector, and no part in the products.

    >>> from masknet.space import FieldSpace
    >>> space = FeatureSpace(num_ids=9, fields=(FieldSpace("user"), FieldSpace("item")))
    >>> net = XDeepFM(space, embedding_dim=4, hidden_dims=(8,), cin_dims=(3,))
    >>> net(torch.tensor([[1, 5], [2, 6]]), torch.ones(2, 2)).shape
    torch.Size([2])
    """

    paper = "Lian et al., KDD 2018"

    recipe = of_layers(cin_dims=(32,), search={"cin_dims": OneOf(((16,), (32,), (64,), (32, 32)))})

    def __init__(
        self,
        space: FeatureSpace,
        *,
        embedding_dim: int = 10,
        cin_dims: tuple[int, ...] = (64,),
        cin_bias: bool = False,
        hidden_dims: tuple[int, ...] = (400, 400, 400),
        norm: NormName | None = None,
        dropout: float = 0.0,
    ) -> None:
        """Build the three parts.

        Args:
            space: the ids, the slots of each field, the columns of each dense one, and the tasks.
            embedding_dim: entries of a field's vector, at least 1.
            cin_dims: maps of each layer of the compressed interaction network, the paper's `H_l`.
            cin_bias: whether each map, and their weighing, has a bias. NOTE[paper]: eq. 6 prints none; the published
                configurations have them.
            hidden_dims: width of each layer, at least one of them.
            norm: what stands before each ReLU: "batch", "layer", or None for nothing.
            dropout: share of entries dropped after each layer in training, in [0, 1).

        Raises:
            ValueError: where a number is out of its range, or the space has no field with a vector.
        """
        super().__init__()
        require_widths("cin_dims", cin_dims)
        require_switch("cin_bias", cin_bias)
        self.linear = LinearTerm(space, bias=False)
        self.embedding = FieldEmbedding(space, embedding_dim)
        self.embedding.require_vectors(1)
        vectors = self.embedding.num_vectors
        self.maps = nn.ModuleList(
            glorot_linear(vectors * before, maps, bias=cin_bias)
            for before, maps in zip((vectors, *cin_dims), cin_dims, strict=False)
        )
        self.weighing = glorot_linear(sum(cin_dims), space.num_tasks, bias=cin_bias)
        self.deep = MLP(self.embedding.d_out, hidden_dims, norm=norm, dropout=dropout)
        self.head = Head(self.deep.d_out, space.num_tasks)

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
        vectors = self.embedding(ids, values, dense)
        first = vectors.transpose(1, 2)  # [batch, emb, vectors]
        maps, sums = first, []
        for layer in self.maps:
            products = maps.unsqueeze(3) * first.unsqueeze(2)  # [batch, emb, maps, vectors]
            maps = layer(products.flatten(2))
            sums.append(maps.sum(1))
        logits: Tensor = self.head(self.deep(self.embedding.beside(vectors, dense)))
        weighed: Tensor = self.weighing(torch.cat(sums, dim=1)).squeeze(1)  # [batch, tasks], or [batch] of one
        linear: Tensor = self.linear(ids, values, dense)
        return logits + weighed + linear
