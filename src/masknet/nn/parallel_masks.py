"""What the parallel MaskNets share: blocks side by side on the embedding, and the layers that merge them."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from masknet.nn.embedding import FieldEmbedding
from masknet.nn.mask import Keep, build_block, drop
from masknet.nn.mlp import MLP
from masknet.nn.norm import FieldLayerNorm
from masknet.nn.rules import require_share, require_switch, require_widths
from masknet.space import FeatureSpace


class ParallelMasks(nn.Module):
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
        super().__init__()
        require_widths("block_dims", block_dims, or_none=True)
        require_switch("embedding_norm", embedding_norm)
        require_switch("hidden_norm", hidden_norm)
        require_widths("top_dims", top_dims)
        require_share("dropout", dropout)
        self.embedding = FieldEmbedding(space, embedding_dim)
        self.norm = (
            FieldLayerNorm(self.embedding.num_vectors, embedding_dim, self.embedding.plain_widths)
            if embedding_norm
            else nn.Identity()
        )
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
        return self._logits(ids, values, dense, drop)

    def forward_with_masks(
        self,
        ids: Int[Tensor, "batch slots"],
        values: Float[Tensor, "batch slots"],
        dense: Float[Tensor, "batch dense"] | None = None,
    ) -> tuple[Float[Tensor, "batch *tasks"], tuple[Float[Tensor, "batch _"], ...]]:
        """Return the logits, and the masks that made them: `[B, z]` each, block by block; none where there are none."""
        masks: list[Tensor] = []
        logits = self._logits(ids, values, dense, masks.append)
        return logits, tuple(masks)

    def _logits(self, ids: Tensor, values: Tensor, dense: Tensor | None, keep: Keep) -> Tensor:
        embedding = self.embedding.flat(ids, values, dense)
        hidden = self.norm(embedding)
        merged = torch.cat([block(hidden, embedding, keep) for block in self.blocks], dim=1)
        logits: Tensor = self.head(self.top(self.dropout(merged)))
        return logits
