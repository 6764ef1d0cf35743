"""Several networks as one: the mean of their probabilities, told as a logit."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 -- the name by which all of PyTorch's users know it


class MeanProbability(nn.Module):
    """Average the members' probabilities: the log-odds of `mean_i sigmoid(logit_i)`.

    Computed from the logarithms of both sides, so that neither a certain yes nor a certain no overflows or is rounded
    away. A member is reached as `members[i]`, its masks too.

    >>> from masknet.models import LogisticRegression
    >>> from masknet.space import FeatureSpace, FieldSpace
    >>> space = FeatureSpace(num_ids=9, fields=(FieldSpace("user"), FieldSpace("item")))
    >>> net = MeanProbability([LogisticRegression(space), LogisticRegression(space)])
    >>> net(torch.tensor([[1, 5], [2, 6]]), torch.ones(2, 2)).tolist()
    [0.0, 0.0]
    """

    def __init__(self, members: Sequence[nn.Module]) -> None:
        """Keep the members as they are, not copies.

        Args:
            members: networks over one space, at least one, each of its tasks.

        Raises:
            ValueError: where there is none.
        """
        super().__init__()
        if not members:
            raise ValueError("a mean needs at least one member; it was given none")
        self.members = nn.ModuleList(members)

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
        # [members, batch], or [members, batch, tasks]
        logits = torch.stack([member(ids, values, dense) for member in self.members])
        # log(sum p) - log(sum (1 - p)): the number of members cancels.
        return F.logsigmoid(logits).logsumexp(0) - F.logsigmoid(-logits).logsumexp(0)


def as_one(members: Sequence[nn.Module]) -> nn.Module:
    """The mean of the members' probabilities; a single member is itself.

    >>> as_one([nn.Identity()])
    Identity()
    """
    return members[0] if len(members) == 1 else MeanProbability(members)
