"""FiBiNET: fields re-weighed by the whole row, and bilinear products of pairs."""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from masknet.models.recipe import of_layers
from masknet.nn.embedding import FieldEmbedding
from masknet.nn.head import Head
from masknet.nn.linear_term import LinearTerm
from masknet.nn.mlp import MLP, NormName, glorot_linear
from masknet.nn.pairs import pairs_of
from masknet.nn.rules import require_one_of, require_positive
from masknet.ranges import OneOf
from masknet.space import FeatureSpace

BilinearName = Literal["all", "each", "interaction"]
"""Whose the matrix of a product is: of all fields, of the left field of the pair, or of the pair."""


class SqueezeExcitation(nn.Module):
    """Weigh each field by a glance at all of them: `v_i = a_i e_i`, `a = ReLU(W_2 ReLU(W_1 z))`, eq. 3 to 6.

    `z_i` is the mean of the entries of `e_i`.

    >>> SqueezeExcitation(4)(torch.randn(2, 4, 3)).shape
    torch.Size([2, 4, 3])
    """

    def __init__(self, num_fields: int, reduction: float = 3.0) -> None:
        """Build the two layers; `max(1, num_fields / reduction)` units lie between them, rounded down."""
        super().__init__()
        require_positive("reduction", reduction)
        width = max(1, int(num_fields / reduction))
        self.squeeze = glorot_linear(num_fields, width, bias=False, relu=True)
        self.excite = glorot_linear(width, num_fields, bias=False, relu=True)

    def forward(self, fields: Float[Tensor, "batch fields emb"]) -> Float[Tensor, "batch fields emb"]:
        """Return the re-weighed vectors."""
        weights = self.excite(self.squeeze(fields.mean(2)))
        weighed: Tensor = fields * weights.unsqueeze(2)
        return weighed


class BilinearProducts(nn.Module):
    """Multiply the fields pair by pair, the left one turned by a matrix: `(v_i W) * v_j`, eq. 8 to 10.

    >>> BilinearProducts(4, 3)(torch.randn(2, 4, 3)).shape
    torch.Size([2, 6, 3])
    """

    left: Tensor
    right: Tensor
    matrix_of_pair: Tensor

    def __init__(self, num_fields: int, embedding_dim: int, kind: BilinearName = "interaction") -> None:
        """Draw the matrices, Glorot normal; `kind` says whose they are."""
        super().__init__()
        require_one_of("bilinear", kind, get_args(BilinearName))
        left, right = pairs_of(num_fields)
        of_pair = {"all": torch.zeros_like(left), "each": left, "interaction": torch.arange(len(left))}[kind]
        count = {"all": 1, "each": num_fields - 1, "interaction": len(left)}[kind]
        self.matrices = nn.Parameter(torch.empty(count, embedding_dim, embedding_dim))
        nn.init.normal_(self.matrices, std=math.sqrt(1 / embedding_dim))  # Glorot's, of each
        for name, index in (("left", left), ("right", right), ("matrix_of_pair", of_pair)):
            self.register_buffer(name, index, persistent=False)

    def forward(self, fields: Float[Tensor, "batch fields emb"]) -> Float[Tensor, "batch pairs emb"]:
        """Return one vector a pair."""
        turned = torch.einsum("bpk,pkl->bpl", fields[:, self.left], self.matrices[self.matrix_of_pair])
        return turned * fields[:, self.right]


class FiBiNET(nn.Module):
    """Bilinear products of the fields' vectors, plain and re-weighed, under a feed-forward network; and a linear term.

    Huang, Zhang and Zhang, "FiBiNET" (RecSys 2019). NOTE[paper]: one bilinear layer serves both, as in the published
    counts. A dense field that enters as it is has no vector: its columns reach the feed-forward network.

    >>> from masknet.space import FieldSpace
    >>> space = FeatureSpace(num_ids=9, fields=(FieldSpace("user"), FieldSpace("item")))
    >>> FiBiNET(space, embedding_dim=4, hidden_dims=(8,))(torch.tensor([[1, 5], [2, 6]]), torch.ones(2, 2)).shape
    torch.Size([2])
    """

    paper = "Huang et al., RecSys 2019"

    recipe = of_layers(search={"reduction": OneOf((1.0, 2.0, 3.0)), "bilinear": OneOf(("all", "each", "interaction"))})

    def __init__(
        self,
        space: FeatureSpace,
        *,
        embedding_dim: int = 10,
        reduction: float = 3.0,
        bilinear: BilinearName = "interaction",
        hidden_dims: tuple[int, ...] = (400, 400, 400),
        norm: NormName | None = None,
        dropout: float = 0.0,
    ) -> None:
        """Build the parts.

        Args:
            space: the ids, the slots of each field, the columns of each dense one, and the tasks.
            embedding_dim: entries of a field's vector, at least 1.
            reduction: the paper's `r`, above 0: by how much the squeezed layer is narrower than the fields.
            bilinear: whose the matrix of a product is: one for "all" fields, one for "each" left field, or one for each
                "interaction".
            hidden_dims: width of each layer, at least one of them.
            norm: what stands before each ReLU: "batch", "layer", or None for nothing.
            dropout: share of entries dropped after each layer in training, in [0, 1).

        Raises:
            ValueError: where a number is out of its range, or the space has not two fields with a vector.
        """
        super().__init__()
        self.linear = LinearTerm(space, bias=False)
        self.embedding = FieldEmbedding(space, embedding_dim)
        self.embedding.require_vectors(2)
        fields = self.embedding.num_vectors
        self.excitation = SqueezeExcitation(fields, reduction)
        self.products = BilinearProducts(fields, embedding_dim, bilinear)
        width = fields * (fields - 1) * embedding_dim + sum(self.embedding.plain_widths.values())
        self.deep = MLP(width, hidden_dims, norm=norm, dropout=dropout)
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
        pairs = torch.cat([self.products(vectors), self.products(self.excitation(vectors))], dim=1)
        logits: Tensor = self.head(self.deep(self.embedding.beside(pairs, dense)))
        linear: Tensor = self.linear(ids, values, dense)
        return logits + linear
