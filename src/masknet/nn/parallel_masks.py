"""What the parallel MaskNets share: blocks side by side on the embedding, and the layers that merge them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from masknet.nn.mask import Keep, build_block
from masknet.nn.mask_network import MaskNetwork
from masknet.nn.mlp import MLP
from masknet.nn.rules import require_share, require_switch, require_widths
from masknet.space import FeatureSpace


class ParallelMasks(MaskNetwork):
    """A network of parallel mask blocks and the feed-forward network that merges them, eq. 15 and 16, without its head.

    A subclass sets `head`, which turns `[batch, top.d_out]` into logits, as the last thing in its constructor.

    All blocks stand on the same normalised embedding, and their masks on the raw one. NOTE[paper]: figure 4 draws a
    layer norm of the embedding for each block; ours is one, shared.
    """

    head: nn.Module

    def __init__(
        self,
        space: FeatureSpace,
        *,
        embedding_dim: int,
        block_dims: tuple[int | None, ...],
        top_dims: tuple[int, ...],
        reduction: float | None,
        max_mask_weights: int | None,
        embedding_norm: bool,
        hidden_norm: bool,
        dropout: float,
    ) -> None:
        """Build one block an entry of `block_dims`, and one layer above them an entry of `top_dims`.

        The arguments are those of `masknet.models.ParallelMaskNet`.

        Raises:
            ValueError: where a setting is out of its range, or a block would have neither mask nor feed-forward layer.
        """
        require_widths("block_dims", block_dims, or_none=True)
        require_switch("hidden_norm", hidden_norm)
        require_widths("top_dims", top_dims)
        require_share("dropout", dropout)
        super().__init__(space, embedding_dim=embedding_dim, embedding_norm=embedding_norm)
        width = self.embedding.d_out
        blocks = [
            build_block(
                d_embedding=width,
                d_hidden=width,
                d_out=d_out,
                reduction=reduction,
                max_mask_weights=max_mask_weights,
                norm=hidden_norm,
            )
            for d_out in block_dims
        ]
        self.blocks = nn.ModuleList(blocks)
        self.dropout = nn.Dropout(dropout)
        self.top = MLP(sum(block.d_out for block in blocks), top_dims, dropout=dropout)

    def _logits(self, hidden: Tensor, embedding: Tensor, keep: Keep) -> Tensor:
        merged = torch.cat([block(hidden, embedding, keep) for block in self.blocks], dim=1)
        logits: Tensor = self.head(self.top(self.dropout(merged)))
        return logits
