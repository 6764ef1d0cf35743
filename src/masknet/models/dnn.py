"""DNN: a feed-forward network on the embedding."""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor, nn

from masknet.models.recipe import of_layers
from masknet.nn.embedding import FieldEmbedding
from masknet.nn.head import Head
from masknet.nn.mlp import MLP, NormName
from masknet.space import FeatureSpace


class DNN(nn.Module):
    """A feed-forward network on the fields' embeddings side by side, the baseline "DNN" of the paper's table 2.

    With `norm="layer"` it has what MaskNet's blocks have beside the mask, so that the two can be compared at equal
    parameters.

    >>> import torch
    >>> from masknet.space import FieldSpace
    >>> space = FeatureSpace(num_ids=9, fields=(FieldSpace("user"), FieldSpace("item")))
    >>> DNN(space, embedding_dim=4, hidden_dims=(8,))(torch.tensor([[1, 5], [2, 6]]), torch.ones(2, 2)).shape
    torch.Size([2])
    """

    paper = "Covington et al., RecSys 2016"

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
        """Build the layers.

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
        logits: Tensor = self.head(self.deep(self.embedding.flat(ids, values, dense)))
        return logits
