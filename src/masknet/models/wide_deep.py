"""Wide & Deep: a linear model that remembers, beside a network that generalises."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from masknet.errors import unknown
from masknet.models.recipe import of_layers
from masknet.nn.embedding import FieldEmbedding
from masknet.nn.head import Head
from masknet.nn.linear_term import LinearTerm
from masknet.nn.mlp import MLP, NormName
from masknet.nn.pairs import HashedPairs
from masknet.space import FeatureSpace


class WideDeep(nn.Module):
    """A linear term, with crossed fields where some are named, and a feed-forward network: their logits are added.

    Cheng et al., "Wide & deep learning for recommender systems" (DLRS 2016), eq. 3. NOTE[paper]: both parts are trained
    by the run's optimizer; the paper trains the wide one by FTRL and the deep one by AdaGrad.

    >>> from masknet.space import FieldSpace
    >>> space = FeatureSpace(num_ids=9, fields=(FieldSpace("user"), FieldSpace("item")))
    >>> net = WideDeep(space, embedding_dim=4, hidden_dims=(8,), crosses=(("user", "item"),))
    >>> net(torch.tensor([[1, 5], [2, 6]]), torch.ones(2, 2)).shape
    torch.Size([2])
    """

    paper = "Cheng et al., DLRS 2016"

    recipe = of_layers()

    def __init__(
        self,
        space: FeatureSpace,
        *,
        embedding_dim: int = 10,
        hidden_dims: tuple[int, ...] = (400, 400, 400),
        norm: NormName | None = None,
        dropout: float = 0.0,
        crosses: tuple[tuple[str, str], ...] = (),
        buckets: int = 1_000_000,
    ) -> None:
        """Build both parts.

        Args:
            space: the ids, the slots of each field, the columns of each dense one, and the tasks.
            embedding_dim: entries of a field's vector, at least 1.
            hidden_dims: width of each layer, at least one of them.
            norm: what stands before each ReLU: "batch", "layer", or None for nothing.
            dropout: share of entries dropped after each layer in training, in [0, 1).
            crosses: pairs of names of fields whose ids are crossed, each product a feature of the wide part, hashed.
            buckets: weights of the crosses, at least 1; without crosses there are none.

        Raises:
            ValueError: where a number is out of its range, or a cross is not of two fields that have ids.
        """
        super().__init__()
        self.wide = LinearTerm(space, bias=False)
        self.crosses = (
            HashedPairs(*_slots_of(space, crosses), buckets=buckets, num_tasks=space.num_tasks) if crosses else None
        )
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
        logits = logits + self.wide(ids, values, dense)
        return logits if self.crosses is None else logits + self.crosses(ids, values)


def _slots_of(space: FeatureSpace, crosses: tuple[tuple[str, str], ...]) -> tuple[Tensor, Tensor]:
    """The pairs of slots of the pairs of fields."""
    known = {f.name: slots for f, slots in zip(space.fields, space.field_slots, strict=True) if slots}
    pairs = []
    for cross in crosses:
        if isinstance(cross, str) or len(cross) != 2 or cross[0] == cross[1]:
            raise ValueError(f"'crosses' must be pairs of two fields, as [[user, item], [user, hour]]; got {cross!r}")
        for name in cross:
            if name not in known:
                raise ValueError(unknown("field of ids in 'crosses'", name, known))
        pairs += [(s, t) for s in known[cross[0]] for t in known[cross[1]]]
    left, right = torch.tensor(pairs).unbind(1)
    return left, right
