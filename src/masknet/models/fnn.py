"""FNN: a feed-forward network that starts from a factorization machine."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from masknet.models.recipe import of_layers
from masknet.nn.embedding import FieldEmbedding
from masknet.nn.head import Head
from masknet.nn.linear_term import LinearTerm
from masknet.nn.mlp import MLP, NormName
from masknet.nn.pairs import pooled_products
from masknet.space import FeatureSpace


class FNN(nn.Module):
    """Layers on what a factorization machine learned before: of each field its weight and its vector, `[w_i, v_i]`.

    Zhang, Du and Wang, "Deep learning over multi-field categorical data" (ECIR 2016), eq. 2 to 8. A run trains the
    machine, `pretraining()`, to its end first, and then the whole, in which all that the machine learned is moved on.

    NOTE[paper]: `w_0` and the parts that dense columns have in the machine's linear term are inputs too, so that
    nothing that was learned is dropped. A field's `w_i` is its part of the linear term: of several slots their sum.
    With several tasks each has a linear term of its own, and the vectors are shared.

    >>> from masknet.space import FieldSpace
    >>> space = FeatureSpace(num_ids=9, fields=(FieldSpace("user"), FieldSpace("item")))
    >>> network = FNN(space, embedding_dim=4, hidden_dims=(8,))
    >>> rows = torch.tensor([[1, 5], [2, 6]]), torch.ones(2, 2)
    >>> network(*rows).shape, network.pretraining()(*rows).shape
    (torch.Size([2]), torch.Size([2]))
    """

    paper = "Zhang et al., ECIR 2016"

    recipe = of_layers(norm="batch")

    def __init__(
        self,
        space: FeatureSpace,
        *,
        embedding_dim: int = 10,
        hidden_dims: tuple[int, ...] = (400, 400, 400),
        norm: NormName | None = None,
        dropout: float = 0.0,
    ) -> None:
        """Build the machine's tables and the layers.

        Args:
            space: the ids, the slots of each field, the columns of each dense one, and the tasks.
            embedding_dim: entries of a field's vector, at least 1.
            hidden_dims: width of each layer, at least one of them.
            norm: what stands before each tanh: "batch", "layer", or None for nothing.
            dropout: share of entries dropped after each layer in training, in [0, 1).

        Raises:
            ValueError: where a number is out of its range.
        """
        super().__init__()
        self.linear = LinearTerm(space)
        self.embedding = FieldEmbedding(space, embedding_dim)
        d_in = space.num_tasks * (1 + space.num_fields) + self.embedding.d_out
        self.deep = MLP(d_in, hidden_dims, norm=norm, dropout=dropout, activation="tanh")
        self.head = Head(self.deep.d_out, space.num_tasks)

    def pretraining(self) -> FieldwiseFM:
        """The factorization machine whose weights are this network's own: what is trained of it is trained here."""
        return FieldwiseFM(self.linear, self.embedding)

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
        weights = self.linear.by_field(ids, values, dense).flatten(1)  # [batch, 1 + fields, tasks] side by side
        hidden = torch.cat([weights, self.embedding.flat(ids, values, dense)], dim=1)
        logits: Tensor = self.head(self.deep(hidden))
        return logits


class FieldwiseFM(nn.Module):
    """A factorization machine over fields: a linear term, and the products of the vectors of two fields.

    NOTE[paper]: of pairs of fields, which is what the layers read afterwards, and not of pairs of slots as in `fm`; the
    two are the same where each field has one slot.

    Args:
        linear: its linear term.
        embedding: the vector of each field; a dense field that enters as it is has none, and only its weights.
    """

    def __init__(self, linear: LinearTerm, embedding: FieldEmbedding) -> None:
        super().__init__()
        self.linear, self.embedding = linear, embedding

    def forward(
        self,
        ids: Int[Tensor, "batch slots"],
        values: Float[Tensor, "batch slots"],
        dense: Float[Tensor, "batch dense"] | None = None,
    ) -> Float[Tensor, "batch *tasks"]:
        """Return the logits: `[batch]` for one task, `[batch, tasks]` for several, of which all share the products."""
        linear: Tensor = self.linear(ids, values, dense)
        products = pooled_products(self.embedding(ids, values, dense)).sum(1)
        return linear + products.reshape(-1, *(1,) * (linear.dim() - 1))
