"""Which weights of a network are added to its logits as they are."""

from __future__ import annotations

from torch import nn

from masknet.nn.head import Head
from masknet.nn.linear_term import LinearTerm


def output_biases(network: nn.Module, num_tasks: int = 1) -> tuple[nn.Parameter, ...]:
    """The biases of the logits, one number a task in the order of the tasks; none where they are not to be told.

    They are those of the heads; where there is no `Head`, those of the linear terms. A network whose last layer is
    another one has none.

    >>> [bias.shape for bias in output_biases(nn.Sequential(nn.Linear(8, 4), Head(4)))]
    [torch.Size([1])]
    >>> output_biases(nn.Linear(8, 1))
    ()

    Args:
        network: any.
        num_tasks: that it predicts.
    """
    for kind in (Head, LinearTerm):
        found = (module.bias for module in network.modules() if isinstance(module, kind))
        biases = tuple(bias for bias in found if bias is not None)
        if biases:
            return biases if sum(bias.numel() for bias in biases) == num_tasks else ()
    return ()
