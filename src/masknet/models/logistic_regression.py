"""Logistic regression: the baseline that any network must beat."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from masknet.nn.embedding import id_table, require_rows
from masknet.space import FeatureSpace


class LogisticRegression(nn.Module):
    """Add up one weight an id: `w_0 + sum_s value_s * w[id_s]`, eq. 17 without the sigmoid.

    It reads slots, not fields, so a field's pooling does not concern it, nor whether a dense field is projected. It has
    one weight an id, padding included, one a dense column, and the bias.

    >>> from masknet.space import FieldSpace
    >>> net = LogisticRegression(FeatureSpace(num_ids=9, fields=(FieldSpace("user"), FieldSpace("item"))))
    >>> net(torch.tensor([[1, 5], [2, 6]]), torch.ones(2, 2)).tolist()
    [0.0, 0.0]
    """

    def __init__(self, space: FeatureSpace) -> None:
        """Start with all weights zero: the problem is convex, so nothing needs breaking.

        Args:
            space: the ids, the slots of each field, and the columns of each dense one.
        """
        super().__init__()
        self._num_slots, self._dense_width = space.num_slots, space.dense_width
        self.table = id_table(torch.zeros(space.num_ids, 1))
        self.bias = nn.Parameter(torch.zeros(()))
        if space.dense_width:
            self.dense = nn.Parameter(torch.zeros(space.dense_width))

    def forward(
        self,
        ids: Int[Tensor, "batch slots"],
        values: Float[Tensor, "batch slots"],
        dense: Float[Tensor, "batch dense"] | None = None,
    ) -> Float[Tensor, " batch"]:
        """Return one logit a row.

        Raises:
            ValueError: where the rows are not of the space.
        """
        require_rows(ids, values, dense, num_slots=self._num_slots, dense_width=self._dense_width)
        weights: Tensor = self.table(ids).squeeze(2)
        logits = (weights * values).sum(1) + self.bias
        return logits if dense is None else logits + dense @ self.dense
