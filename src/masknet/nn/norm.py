"""Layer norm, over one field's embedding or over a hidden layer, and batch norm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F  # noqa: N812 -- the name by which all of PyTorch's users know it

from masknet.nn.dense import is_ours, lowered

# NOTE[paper]: the paper names no epsilon. Embeddings start at N(0, 0.01), a variance of 1e-4: PyTorch's default of 1e-5
# would shrink them visibly, and a smaller start would not be normalised at all.
EPSILON = 1e-6


class FieldLayerNorm(nn.Module):
    """Normalise each field's embedding by itself: concat(LN(e_1) .. LN(e_f)), the paper's LN_EMB, eq. 9.

    NOTE[paper]: statistics, gain and bias are all per field ("each feature's embedding as a layer"), which makes
    `2 * f * k` parameters. A dense field that enters as it is is a layer of its own width.

    >>> norm = FieldLayerNorm(num_fields=3, embedding_dim=4, plain_widths={"image": 7})
    >>> norm(torch.randn(2, 3 * 4 + 7)).shape
    torch.Size([2, 19])
    """

    def __init__(self, num_fields: int, embedding_dim: int, plain_widths: Mapping[str, int] | None = None) -> None:
        """Start with gain 1 and bias 0.

        Args:
            num_fields: the paper's `f`: how many vectors of width `k` there are.
            embedding_dim: the paper's `k`, at least 2.
            plain_widths: the dense fields whose columns follow the vectors as they are, each at least 2 wide.

        Raises:
            ValueError: where a layer would be a single number.
        """
        super().__init__()
        _require_layer("embedding_dim", embedding_dim)
        self._plain_widths = list((plain_widths or {}).values())
        for name, width in (plain_widths or {}).items():
            if width < 2:
                raise ValueError(
                    f"a dense field must be at least 2 wide under a layer norm; '{name}' has {width} column: make it "
                    f"numeric, project it, or switch the norm off with embedding_norm=False"
                )
        self.eps = EPSILON
        self.gain = nn.Parameter(torch.ones(num_fields, embedding_dim))
        self.bias = nn.Parameter(torch.zeros(num_fields, embedding_dim))
        if self._plain_widths:
            self.plain_gain = nn.Parameter(torch.ones(sum(self._plain_widths)))
            self.plain_bias = nn.Parameter(torch.zeros(sum(self._plain_widths)))

    def forward(self, embedding: Float[Tensor, "batch emb"]) -> Float[Tensor, "batch emb"]:
        """Normalise each field of the flat `V_emb`, then scale and shift it by its own gain and bias."""
        num_fields, width = self.gain.shape
        vectors = embedding[:, : num_fields * width].reshape(embedding.shape[0], num_fields, width)
        normed = self._of_vectors(vectors).flatten(1)
        if not self._plain_widths:
            return normed
        plain = [
            F.layer_norm(part, part.shape[1:], eps=self.eps)
            for part in torch.split(embedding[:, num_fields * width :], self._plain_widths, dim=1)
        ]
        scaled = torch.addcmul(lowered(self.plain_bias), torch.cat(plain, dim=1), lowered(self.plain_gain))
        return torch.cat([normed, scaled], dim=1)

    def _of_vectors(self, vectors: Float[Tensor, "batch vectors emb"]) -> Float[Tensor, "batch vectors emb"]:
        if is_ours(vectors):
            normed: Tensor = _VectorNorm.apply(vectors, self.gain, self.bias, self.eps)  # type: ignore[no-untyped-call]
            return normed
        of_unit = F.layer_norm(vectors, vectors.shape[2:], eps=self.eps)
        return torch.addcmul(lowered(self.bias), of_unit, lowered(self.gain))


class _VectorNorm(torch.autograd.Function):
    """Layer norm of many short vectors, computed in fp32.

    NOTE[perf]: PyTorch's takes one vector after the other; here a mean is a product with a constant. Of 2,000 rows of
    39 vectors of 10 numbers, gain and bias included, forward and back take 5.6 ms, not 7.0 in fp32 and 24.4 in bf16.
    """

    @staticmethod
    def forward(ctx: Any, vectors: Tensor, gain: Tensor, bias: Tensor, eps: float) -> Tensor:
        with torch.autocast(vectors.device.type, enabled=False):
            rows = vectors.float().flatten(0, 1)
            each = rows.new_full(rows.shape[1:], 1 / rows.shape[1])
            centred = rows - torch.mv(rows, each).unsqueeze(1)
            scale = torch.mv(centred.square(), each).add_(eps).rsqrt_().unsqueeze(1)
            of_unit = centred.mul_(scale).view(vectors.shape)
            ctx.save_for_backward(of_unit, scale, each, gain)
            ctx.dtype = vectors.dtype
            return torch.addcmul(bias, of_unit, gain).to(vectors.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        of_unit, scale, each, gain = ctx.saved_tensors
        gradient = gradient.float()
        rows, units = (gradient * gain).flatten(0, 1), of_unit.flatten(0, 1)
        along = torch.mv(rows * units, each).unsqueeze(1)
        across = (rows - torch.mv(rows, each).unsqueeze(1)).addcmul_(units, along, value=-1)
        of_vectors = across.mul_(scale).view(of_unit.shape).to(ctx.dtype)
        return of_vectors, (gradient * of_unit).sum(0), gradient.sum(0), None


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


class BatchNorm(nn.BatchNorm1d):
    """Normalise each entry of a hidden layer over the rows of a batch; a batch of one row by the running statistics.

    The last batch of an epoch may be a single row, which has no deviation, and which PyTorch's own layer refuses.

    >>> BatchNorm(3)(torch.randn(1, 3)).shape
    torch.Size([1, 3])
    """

    def forward(self, hidden: Float[Tensor, "batch hidden"]) -> Float[Tensor, "batch hidden"]:
        """Normalise, scale and shift."""
        if self.training and hidden.shape[0] < 2:
            return F.batch_norm(hidden, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        return super().forward(hidden)


def _require_layer(name: str, width: int) -> None:
    if width < 2:  # the norm of a single number is 0 whatever the number: the network would be a constant
        raise ValueError(
            f"'{name}' must be at least 2 under a layer norm; got {width}: widen it, or switch the norm off"
        )
