"""The plain feed-forward network, and how every dense layer here starts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal, get_args

from jaxtyping import Float
from torch import Tensor, nn

from masknet.nn.dense import Linear
from masknet.nn.norm import BatchNorm, hidden_norm
from masknet.nn.rules import require_count, require_one_of, require_share, require_widths

NormName = Literal["batch", "layer"]
"""What may stand between a dense layer and its activation."""

Activation = Literal["relu", "tanh"]

_NORMS: dict[NormName, Callable[[int], nn.Module]] = {"batch": BatchNorm, "layer": hidden_norm}


def glorot_linear(d_in: int, d_out: int, *, bias: bool = True, relu: bool = False) -> Linear:
    """Build a linear layer with a Glorot normal kernel and a zero bias, and with a ReLU where asked.

    NOTE[paper]: the paper names no initialisation; the authors' lab uses this one in its other models.

    >>> glorot_linear(3, 2).bias.tolist()
    [0.0, 0.0]
    """
    layer = Linear(d_in, d_out, bias=bias, relu=relu)
    nn.init.xavier_normal_(layer.weight)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


class MLP(nn.Module):
    """Apply `H_l = ReLU(W_l H_{l-1} + b_l)` layer after layer, eq. 16, with a norm before the ReLU where one is named.

    NOTE[paper]: bias and ReLU as eq. 16 prints them, where there is no norm.

    >>> import torch
    >>> MLP(6, (8, 4))(torch.randn(2, 6)).shape
    torch.Size([2, 4])
    """

    def __init__(
        self,
        d_in: int,
        dims: Sequence[int],
        *,
        norm: NormName | None = None,
        dropout: float = 0.0,
        activation: Activation = "relu",
    ) -> None:
        """Build one layer an entry of `dims`.

        Args:
            d_in: width of the input, at least 1.
            dims: width of each layer, at least one of them, each at least 1.
            norm: what stands before each activation: "batch", "layer", or None for nothing.
            dropout: share of entries dropped after each activation in training, in [0, 1).
            activation: "relu", or "tanh" for networks whose paper has it.

        Raises:
            ValueError: where a number is out of its range.
        """
        super().__init__()
        require_share("dropout", dropout)
        require_one_of("activation", activation, get_args(Activation))
        require_one_of("norm", norm, (*get_args(NormName), None))
        require_count("d_in", d_in)
        require_widths("dims", dims)
        self.d_out = dims[-1]
        in_layer = norm is None and activation == "relu"
        self.layers = nn.ModuleList(glorot_linear(a, b, relu=in_layer) for a, b in pairwise((d_in, *dims)))
        self.norms = nn.ModuleList(nn.Identity() if norm is None else _NORMS[norm](width) for width in dims)
        self.activation = nn.Identity() if in_layer else nn.ReLU() if activation == "relu" else nn.Tanh()
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Float[Tensor, "batch hidden"]) -> Float[Tensor, "batch out"]:
        """Pass the rows through the layers."""
        for layer, norm in zip(self.layers, self.norms, strict=True):
            hidden = self.dropout(self.activation(norm(layer(hidden))))
        return hidden
