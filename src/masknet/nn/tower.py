"""What stands on a shared body for one task: layers of its own, and its logit."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from masknet.nn.head import Head
from masknet.nn.mlp import MLP, NormName


class Tower(nn.Module):
    """A feed-forward network and a logit.

    >>> Tower(8, (4,))(torch.randn(3, 8)).shape
    torch.Size([3])
    """

    def __init__(self, d_in: int, dims: Sequence[int], *, norm: NormName | None = None, dropout: float = 0.0) -> None:
        """Build the layers; the arguments are those of `MLP`."""
        super().__init__()
        self.layers = MLP(d_in, dims, norm=norm, dropout=dropout)
        self.head = Head(self.layers.d_out)

    def forward(self, hidden: Float[Tensor, "batch hidden"]) -> Float[Tensor, " batch"]:
        """Return the logits of the task."""
        logits: Tensor = self.head(self.layers(hidden))
        return logits


class Towers(nn.ModuleList):
    """A tower a task, all on the same hidden vector.

    >>> Towers(8, (4,), num_tasks=2)(torch.randn(3, 8)).shape
    torch.Size([3, 2])
    """

    def __init__(self, d_in: int, dims: Sequence[int], *, num_tasks: int, dropout: float = 0.0) -> None:
        """Build one tower a task; the other arguments are those of `MLP`."""
        super().__init__(Tower(d_in, dims, dropout=dropout) for _ in range(num_tasks))

    def forward(self, hidden: Float[Tensor, "batch hidden"]) -> Float[Tensor, "batch *tasks"]:
        """Return `[batch]` logits for one task, `[batch, tasks]` for several."""
        return logits_of([tower(hidden) for tower in self])


def logits_of(towers: Sequence[Tensor]) -> Float[Tensor, "batch *tasks"]:
    """Put the logits of the tasks side by side: `[batch, tasks]`, or `[batch]` of one.

    >>> logits_of([torch.zeros(3)]).shape, logits_of([torch.zeros(3), torch.ones(3)]).shape
    (torch.Size([3]), torch.Size([3, 2]))
    """
    return towers[0] if len(towers) == 1 else torch.stack(list(towers), dim=1)
