"""DeepFM: a factorization machine and a feed-forward network on the same embeddings."""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor, nn

from masknet.models.recipe import of_layers
from masknet.nn.embedding import FieldEmbedding
from masknet.nn.head import Head
from masknet.nn.linear_term import LinearTerm
from masknet.nn.mlp import MLP, NormName
from masknet.nn.pairs import pooled_products
from masknet.space import FeatureSpace


class DeepFM(nn.Module):
    """A linear term, the products of all pairs of fields, and a feed-forward network, all on one embedding.

    Guo, Tang, Ye, Li and He, "DeepFM" (IJCAI 2017), eq. 1 to 4. The products are of the fields' vectors, a bag's slots
    pooled, so that both parts read the same embedding; the products belong to all tasks alike.

    >>> import torch
    >>> from masknet.space import FieldSpace
    >>> space = FeatureSpace(num_ids=9, fields=(FieldSpace("user"), FieldSpace("item")))
    >>> DeepFM(space, embedding_dim=4, hidden_dims=(8,))(torch.tensor([[1, 5], [2, 6]]), torch.ones(2, 2)).shape
    torch.Size([2])
    """

    paper = "Guo et al., IJCAI 2017"

    recipe = of_layers()

    def __init__(
        self,
        space: FeatureSpace,
        *,
        embedding_dim: int = 10,
        hidden_dims: tuple[int, ...] = (400, 400, 400),
        norm: NormName | None = None,
        dropout: float = 0.0,
    ) -> None:
        """Build both parts.

        Args:
            space: the ids, the slots of each field, the columns of each dense one, and the tasks.
            embedding_dim: entries of a field's vector, at least 1.
            hidden_dims: width of each layer, at least one of them.
            norm: what stands before each ReLU: "batch", "layer", or None for nothing.
            dropout: share of entries dropped after each layer in training, in [0, 1).

        Raises:
            ValueError: where a number is out of its range.
        """
        super().__init__()
        self.linear = LinearTerm(space, bias=False)
        self.embedding = FieldEmbedding(space, embedding_dim)
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
        logits: Tensor = self.head(self.deep(self.embedding.beside(vectors, dense)))
        products = pooled_products(vectors).sum(1)
        of_tasks = products if logits.ndim == 1 else products.unsqueeze(1)
        linear: Tensor = self.linear(ids, values, dense)
        return logits + linear + of_tasks
