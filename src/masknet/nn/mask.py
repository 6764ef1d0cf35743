"""The instance-guided mask, the block built on it, and the paper's two ablations of that block.

Every block is called as `block(hidden, embedding)` and has a `d_out`, so that a model may be built of any of them. A
mask is handed to `keep` as it is made: who wants the masks passes a list's `append`, and nobody else pays for them.

NOTE[perf]: the last ReLU of a block is taken in place, and in inference mode the product with the mask, so a hook that
keeps what stood before it keeps a copy.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from masknet.nn.mlp import glorot_linear
from masknet.nn.norm import hidden_norm
from masknet.nn.rules import require_count, require_positive, require_switch

Keep = Callable[[Tensor], None]


def drop(mask: Tensor) -> None:
    """Keep no mask."""


def _gated(mask: Tensor, hidden: Tensor, keep: Keep) -> Tensor:
    """What the mask lets through; where rows are only scored it takes the place of a mask that nobody keeps.

    NOTE[perf]: the paper's parallel network scores 1 to 4 % more rows so, to the last bit the same.
    """
    keep(mask)
    if keep is drop and torch.is_inference_mode_enabled() and mask.dtype == hidden.dtype:
        return mask.mul_(hidden)
    return mask * hidden


class InstanceGuidedMask(nn.Module):
    """Compute one weight for each hidden entry from the row itself: W_2 ReLU(W_1 v + b_1) + b_2, eq. 5.

    The mask is linear in its last layer: signed and unbounded, as the paper's figure 5 shows it.

    >>> import torch
    >>> mask = InstanceGuidedMask(12, 8)
    >>> mask(torch.randn(4, 12)).shape
    torch.Size([4, 8])
    """

    def __init__(
        self, d_embedding: int, d_hidden: int, *, reduction: float = 2.0, max_mask_weights: int | None = None
    ) -> None:
        """Build the two layers; `t = round(reduction * d_hidden)` units lie between them, or fewer.

        Args:
            d_embedding: width of the raw embedding that guides the mask, the paper's `m`.
            d_hidden: width of what the mask multiplies, the paper's `z`.
            reduction: the paper's `r = t / z`, above 0. NOTE[paper]: it is relative to `z`, so blocks of other widths
                have other `t`; the published configurations use .1 to 4.
            max_mask_weights: the most weights of both layers, biases aside: `t` is as much smaller as they ask for, and
                at least 1. None for no bound. NOTE[paper]: the paper has none, and its masks grow with the square of
                the fields.

        Raises:
            ValueError: where a number is out of its range, or `t` would be 0.
        """
        super().__init__()
        require_count("d_embedding", d_embedding)
        require_count("d_hidden", d_hidden)
        require_positive("reduction", reduction)
        if max_mask_weights is not None:
            require_count("max_mask_weights", max_mask_weights)
        d_aggregation = round(reduction * d_hidden)
        if d_aggregation < 1:
            raise ValueError(
                f"'reduction' times the masked width must round to at least 1; got {reduction} * {d_hidden}: raise it"
            )
        if max_mask_weights is not None:
            d_aggregation = min(d_aggregation, max(1, max_mask_weights // (d_embedding + d_hidden)))
        self.aggregation = glorot_linear(d_embedding, d_aggregation, relu=True)
        self.projection = glorot_linear(d_aggregation, d_hidden)

    def forward(self, embedding: Float[Tensor, "batch emb"]) -> Float[Tensor, "batch hidden"]:
        """Return the mask; NOTE[paper]: `embedding` is the raw `V_emb`, never the normalised one (eq. 5 and 11)."""
        mask: Tensor = self.projection(self.aggregation(embedding))
        return mask


class MaskBlock(nn.Module):
    """Gate a hidden vector by the row's own mask, then mix it: ReLU(LN(W (mask * hidden))), eq. 12 and 14.

    >>> import torch
    >>> block = MaskBlock(d_embedding=12, d_hidden=12, d_out=8)
    >>> block(torch.randn(4, 12), torch.randn(4, 12)).shape
    torch.Size([4, 8])
    """

    def __init__(
        self,
        *,
        d_embedding: int,
        d_hidden: int,
        d_out: int,
        reduction: float = 2.0,
        max_mask_weights: int | None = None,
        norm: bool = True,
    ) -> None:
        """Build the mask and the feed-forward layer.

        Args:
            d_embedding: width of the raw embedding, the paper's `m`.
            d_hidden: width of what is masked, the paper's `z`.
            d_out: width of the output, the paper's `q`.
            reduction, max_mask_weights: see `InstanceGuidedMask`.
            norm: whether layer norm (the paper's LN_HID) stands before the ReLU.

        Raises:
            ValueError: where a number is out of its range.
        """
        super().__init__()
        require_count("d_out", d_out)
        require_switch("norm", norm)
        self.d_out = d_out
        self.mask = InstanceGuidedMask(d_embedding, d_hidden, reduction=reduction, max_mask_weights=max_mask_weights)
        # NOTE[paper]: eq. 12 and 14 print no bias, and the counts of runs published without the norm have none.
        self.mix = glorot_linear(d_hidden, d_out, bias=False)
        self.norm = hidden_norm(d_out, on=norm)

    def forward(
        self, hidden: Float[Tensor, "batch hidden"], embedding: Float[Tensor, "batch emb"], keep: Keep = drop
    ) -> Float[Tensor, "batch out"]:
        """Mask and mix `hidden`; `embedding` is the raw `V_emb`."""
        mixed: Tensor = self.norm(self.mix(_gated(self.mask(embedding), hidden, keep)))
        return mixed.relu_()


class MasklessBlock(nn.Module):
    """Mix a hidden vector without gating it: ReLU(LN(W hidden)), the paper's ablation "without mask".

    >>> import torch
    >>> MasklessBlock(d_hidden=12, d_out=8)(torch.randn(4, 12), torch.randn(4, 12)).shape
    torch.Size([4, 8])
    """

    def __init__(self, *, d_hidden: int, d_out: int, norm: bool = True) -> None:
        """Build the feed-forward layer; the arguments are those of `MaskBlock`."""
        super().__init__()
        require_count("d_out", d_out)
        require_switch("norm", norm)
        self.d_out = d_out
        self.mix = glorot_linear(d_hidden, d_out, bias=False)
        self.norm = hidden_norm(d_out, on=norm)

    def forward(
        self, hidden: Float[Tensor, "batch hidden"], embedding: Float[Tensor, "batch emb"], keep: Keep = drop
    ) -> Float[Tensor, "batch out"]:
        """Mix `hidden`; the embedding is not read, and there is no mask to keep."""
        mixed: Tensor = self.norm(self.mix(hidden))
        return mixed.relu_()


class MaskOnlyBlock(nn.Module):
    """Gate a hidden vector without mixing it: ReLU(LN(mask * hidden)), the paper's ablation "without feed-forward".

    >>> import torch
    >>> MaskOnlyBlock(d_embedding=6, d_hidden=12)(torch.randn(4, 12), torch.randn(4, 6)).shape
    torch.Size([4, 12])
    """

    def __init__(
        self,
        *,
        d_embedding: int,
        d_hidden: int,
        reduction: float = 2.0,
        max_mask_weights: int | None = None,
        norm: bool = True,
    ) -> None:
        """Build the mask; the arguments are those of `MaskBlock`, and the output is as wide as the input."""
        super().__init__()
        require_switch("norm", norm)
        self.d_out = d_hidden
        self.mask = InstanceGuidedMask(d_embedding, d_hidden, reduction=reduction, max_mask_weights=max_mask_weights)
        self.norm = hidden_norm(d_hidden, on=norm)

    def forward(
        self, hidden: Float[Tensor, "batch hidden"], embedding: Float[Tensor, "batch emb"], keep: Keep = drop
    ) -> Float[Tensor, "batch hidden"]:
        """Mask `hidden`; `embedding` is the raw `V_emb`."""
        gated: Tensor = self.norm(_gated(self.mask(embedding), hidden, keep))
        return gated.relu_()


def build_block(
    *,
    d_embedding: int,
    d_hidden: int,
    d_out: int | None,
    reduction: float | None,
    max_mask_weights: int | None = None,
    norm: bool,
) -> MaskBlock | MasklessBlock | MaskOnlyBlock:
    """Build the block, or the ablation of it, that the settings of a model describe.

    >>> type(build_block(d_embedding=6, d_hidden=6, d_out=None, reduction=2.0, norm=True)).__name__
    'MaskOnlyBlock'

    Args:
        d_embedding: width of the raw embedding.
        d_hidden: width of the block's input.
        d_out: width of its output; None leaves the feed-forward layer out, and the output is as wide as the input.
        reduction: see `InstanceGuidedMask`; None leaves the mask out.
        max_mask_weights: see `InstanceGuidedMask`.
        norm: whether layer norm stands before the ReLU.

    Raises:
        ValueError: where a number is out of its range, or neither mask nor feed-forward layer is left.
    """
    if d_out is None:
        if reduction is None:
            raise ValueError(
                "a block must have a mask or a feed-forward layer; got None for both 'reduction' and width"
            )
        return MaskOnlyBlock(
            d_embedding=d_embedding,
            d_hidden=d_hidden,
            reduction=reduction,
            max_mask_weights=max_mask_weights,
            norm=norm,
        )
    if reduction is None:
        return MasklessBlock(d_hidden=d_hidden, d_out=d_out, norm=norm)
    return MaskBlock(
        d_embedding=d_embedding,
        d_hidden=d_hidden,
        d_out=d_out,
        reduction=reduction,
        max_mask_weights=max_mask_weights,
        norm=norm,
    )
