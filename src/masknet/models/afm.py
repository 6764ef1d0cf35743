"""AFM: a factorization machine whose pairs are weighed by attention."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from masknet.models.recipe import FACTORS, OF_FACTORS
from masknet.nn.dense import is_ours
from masknet.nn.embedding import FieldEmbedding
from masknet.nn.linear_term import LinearTerm
from masknet.nn.mlp import glorot_linear
from masknet.nn.pairs import pairs_of
from masknet.nn.rules import require_count, require_share
from masknet.ranges import Floats, Ints
from masknet.space import FeatureSpace

_PAIRS_AT_ONCE = 1024
"""Of so many the hidden layer stays in the processor's cache."""


class AttentionalFM(nn.Module):
    """A linear term and the products of all pairs of fields, each weighed by attention, eq. 2 to 6.

    Xiao et al., "Attentional factorization machines" (IJCAI 2017): of `e_ij = v_i * v_j`,
    `a = softmax_ij(h^T ReLU(W e_ij + b))`, and the logit is `w_0 + sum_i w_i x_i + p^T sum_{i<j} a_ij e_ij`. A dense
    field that enters as it is has no vector, and no part in the products.

    >>> import torch
    >>> from masknet.space import FieldSpace
    >>> space = FeatureSpace(num_ids=9, fields=(FieldSpace("user"), FieldSpace("item")))
    >>> net = AttentionalFM(space, embedding_dim=4, attention_dim=3)
    >>> net(torch.tensor([[1, 5], [2, 6]]), torch.ones(2, 2)).shape
    torch.Size([2])
    """

    paper = "Xiao et al., IJCAI 2017"

    recipe = replace(
        FACTORS,
        search={
            **OF_FACTORS,
            "attention_dim": Ints(8, 256, log=True),
            "attention_dropout": Floats(0.0, 0.5),
            "dropout": Floats(0.0, 0.5),
        },
    )

    left: Tensor
    right: Tensor

    def __init__(
        self,
        space: FeatureSpace,
        *,
        embedding_dim: int = 10,
        attention_dim: int = 128,
        attention_dropout: float = 0.0,
        dropout: float = 0.0,
    ) -> None:
        """Build the attention.

        Args:
            space: the ids, the slots of each field, the columns of each dense one, and the tasks.
            embedding_dim: entries of a field's vector, at least 1.
            attention_dim: width of the attention's hidden layer, the paper's `t`.
            attention_dropout: share of the attention's weights dropped in training, in [0, 1).
            dropout: share of the entries of the weighed sum dropped in training, in [0, 1).

        Raises:
            ValueError: where a number is out of its range, or the space has not two fields with a vector.
        """
        super().__init__()
        require_count("attention_dim", attention_dim)
        require_share("attention_dropout", attention_dropout)
        require_share("dropout", dropout)
        self.linear = LinearTerm(space)
        self.embedding = FieldEmbedding(space, embedding_dim)
        self.embedding.require_vectors(2)
        self.hidden = glorot_linear(embedding_dim, attention_dim, relu=True)
        self.score = glorot_linear(attention_dim, 1, bias=False)
        self.weighing = glorot_linear(embedding_dim, space.num_tasks, bias=False)
        self.attention_dropout, self.dropout = nn.Dropout(attention_dropout), nn.Dropout(dropout)
        for name, index in zip(("left", "right"), pairs_of(self.embedding.num_vectors), strict=True):
            self.register_buffer(name, index, persistent=False)

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
        products = vectors[:, self.left] * vectors[:, self.right]  # [batch, pairs, emb]
        attention = self._scores(products).softmax(1)  # [batch, pairs, 1]
        pooled = (self.attention_dropout(attention) * products).sum(1)
        weighed: Tensor = self.weighing(self.dropout(pooled)).squeeze(1)  # [batch, tasks], or [batch] of one
        linear: Tensor = self.linear(ids, values, dense)
        return weighed + linear

    def _scores(self, products: Float[Tensor, "batch pairs emb"]) -> Float[Tensor, "batch pairs 1"]:
        if not is_ours(products) or torch.is_autocast_enabled(products.device.type):
            plain: Tensor = self.score(self.hidden(products))
            return plain
        rows, hidden = products.flatten(0, 1), self.hidden
        scores: Tensor = _Scores.apply(rows, hidden.weight, hidden.bias, self.score.weight)  # type: ignore[no-untyped-call]
        return scores.view(*products.shape[:2], 1)


class _Scores(torch.autograd.Function):
    """`h^T ReLU(W e + b)` of many vectors, some at a time; the hidden layer is made anew on the way back.

    NOTE[perf]: of all pairs at once it is 388 MB for 1,024 rows of 39 fields, and goes through the memory ten times: a
    step took 2.4 s of one processor, and takes .5. Of the short side of a product its result has rows, not columns: a
    fifth of the time.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, bias: Tensor, score: Tensor) -> Tensor:
        ctx.save_for_backward(rows, weight, bias, score)
        return torch.cat([_hidden(some, weight, bias) @ score[0] for some in torch.split(rows, _PAIRS_AT_ONCE)])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        rows, weight, bias, score = ctx.saved_tensors
        turned = weight.t().contiguous()
        of_rows, of_turned, of_bias, of_score = map(torch.zeros_like, (rows, turned, bias, score))
        parts = (torch.split(tensor, _PAIRS_AT_ONCE) for tensor in (rows, gradient, of_rows))
        for some, of_some, into in zip(*parts, strict=True):
            hidden = _hidden(some, weight, bias)
            of_score[0].addmv_(hidden.t(), of_some)
            of_hidden = torch.ops.aten.threshold_backward(torch.outer(of_some, score[0]), hidden, 0)
            of_turned.addmm_(some.t(), of_hidden)
            of_bias.add_(of_hidden.sum(0))
            into.copy_(torch.mm(turned, of_hidden.t()).t())
        return of_rows, of_turned.t(), of_bias, of_score


def _hidden(rows: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return torch.addmm(bias, rows, weight.t()).relu_()
