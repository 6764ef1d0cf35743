"""The last layer of a network: one logit a task."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from masknet.nn.rules import require_count


class Head(nn.Linear):
    """Turn a hidden vector into logits, `w_t . h + b_t` for task `t`: one for one task, eq. 17 without the sigmoid.

    Every task starts as it would alone: with a Glorot normal kernel of one output, and a zero bias.

    >>> import torch
    >>> Head(8)(torch.randn(4, 8)).shape, Head(8, num_tasks=2)(torch.randn(4, 8)).shape
    (torch.Size([4]), torch.Size([4, 2]))
    """

    def __init__(self, d_in: int, num_tasks: int = 1) -> None:
        """Build one output a task.

        Args:
            d_in: width of the input, at least 1.
            num_tasks: labels that are predicted, at least 1; a `FeatureSpace` knows them.

        Raises:
            ValueError: where a number is out of its range.
        """
        require_count("d_in", d_in)
        require_count("num_tasks", num_tasks)
        super().__init__(d_in, num_tasks)
        nn.init.normal_(self.weight, std=math.sqrt(2 / (d_in + 1)))
        nn.init.zeros_(self.bias)

    def forward(self, hidden: Float[Tensor, "batch hidden"]) -> Float[Tensor, "batch *tasks"]:
        """Return `[batch]` logits for one task, `[batch, tasks]` for several; autocast does not lower them."""
        device = hidden.device.type
        if torch.is_autocast_enabled(device):
            with torch.autocast(device, enabled=False):
                return self.forward(hidden.to(self.weight.dtype))
        return super().forward(hidden).squeeze(1)  # [batch, 1] -> [batch]; [batch, tasks] stays
