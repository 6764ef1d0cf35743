"""Layer norm: over one field's embedding, or over a hidden layer."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 -- the name by which all of PyTorch's users know it

# NOTE[paper]: the paper names no epsilon. Embeddings start at N(0, 0.01), a variance of 1e-4: PyTorch's default of 1e-5
# would shrink them visibly, and a smaller start would not be normalised at all.
EPSILON = 1e-6


class FieldLayerNorm(nn.Module):
    """Normalise each field's embedding by itself: concat(LN(e_1) .. LN(e_f)), the paper's LN_EMB, eq. 9.

    NOTE[paper]: statistics, gain and bias are all per field ("each feature's embedding as a layer"), which makes
    `2 * f * k` parameters.

    >>> norm = FieldLayerNorm(num_fields=3, embedding_dim=4)
    >>> norm(torch.randn(2, 3, 4)).shape
    torch.Size([2, 3, 4])
    """

    def __init__(self, num_fields: int, embedding_dim: int) -> None:
        """Start with gain 1 and bias 0.

        Args:
            num_fields: the paper's `f`, at least 1.
            embedding_dim: the paper's `k`, at least 2.
        """
        super().__init__()
        _require_layer("embedding_dim", embedding_dim)
        self.eps = EPSILON
        self.gain = nn.Parameter(torch.ones(num_fields, embedding_dim))
        self.bias = nn.Parameter(torch.zeros(num_fields, embedding_dim))

    def forward(self, embedding: Float[Tensor, "batch fields emb"]) -> Float[Tensor, "batch fields emb"]:
        """Normalise the last axis, then scale and shift each field by its own gain and bias."""
        return torch.addcmul(self.bias, F.layer_norm(embedding, embedding.shape[-1:], eps=self.eps), self.gain)


def hidden_norm(width: int, *, on: bool = True) -> nn.Module:
    """Build the layer norm of a hidden layer, eq. 8, or the identity where it is switched off.

    >>> hidden_norm(8), hidden_norm(8, on=False)
    (LayerNorm((8,), eps=1e-06, elementwise_affine=True...), Identity())

    Args:
        width: entries of the layer, at least 2 where the norm is on.
        on: whether to normalise.
    """
    if not on:
        return nn.Identity()
    _require_layer("width", width)
    return nn.LayerNorm(width, eps=EPSILON)


def _require_layer(name: str, width: int) -> None:
    if width < 2:  # the norm of a single number is 0 whatever the number: the network would be a constant
        raise ValueError(
            f"'{name}' must be at least 2 under a layer norm; got {width}: widen it, or switch the norm off"
        )
