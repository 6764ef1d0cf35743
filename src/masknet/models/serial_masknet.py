"""The serial MaskNet: blocks in a row, each masked anew by the raw embedding."""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor, nn

from masknet.models.recipe import MASKS, Recipe
from masknet.nn.embedding import FieldEmbedding
from masknet.nn.head import Head
from masknet.nn.mask import Keep, build_block, drop
from masknet.nn.norm import FieldLayerNorm
from masknet.nn.rules import require_share, require_switch, require_widths
from masknet.space import FeatureSpace


class SerialMaskNet(nn.Module):
    """Refine one hidden vector block after block; the head reads the last block's output (the paper's SerMaskNet).

    Block 1 stands on the normalised embedding, each later one on the block before, with no norm between them; every
    mask is made from the raw embedding (NOTE[paper]: eq. 11 and 13).

    >>> import torch
    >>> from masknet.space import FieldSpace
    >>> space = FeatureSpace(num_ids=9, fields=(FieldSpace("user"), FieldSpace("item")))
    >>> net = SerialMaskNet(space, embedding_dim=4, block_dims=(16, 8))
    >>> logits, masks = net.forward_with_masks(torch.tensor([[1, 5], [2, 6]]), torch.ones(2, 2))
    >>> logits.shape, [mask.shape for mask in masks]
    (torch.Size([2]), [torch.Size([2, 8]), torch.Size([2, 16])])
    """

    paper = "Wang et al., DLP-KDD 2021"

    recipe = Recipe(network=MASKS, yields_to={"max_mask_weights": "reduction"}, several_members=True)

    def __init__(
        self,
        space: FeatureSpace,
        *,
        embedding_dim: int = 10,
        block_dims: tuple[int | None, ...] = (400, 400, 400),
        reduction: float | None = 2.0,
        max_mask_weights: int | None = None,
        embedding_norm: bool = True,
        hidden_norm: bool = True,
        dropout: float = 0.0,
    ) -> None:
        """Build one block an entry of `block_dims`.

        Args:
            space: the ids, the slots of each field, the columns of each dense one, and the tasks.
            embedding_dim: the paper's `k`, at least 1, and at least 2 with `embedding_norm`.
            block_dims: the paper's `q` of each block; None leaves that block's feed-forward layer out (the ablation
                "without feed-forward"), and its output is as wide as its input.
            reduction: the paper's `r`, a mask's aggregation width in units of what it multiplies, above 0; None leaves
                all masks out (the ablation "without mask").
            max_mask_weights: the most weights of one mask, None for as many as `reduction` makes; see
                `masknet.nn.InstanceGuidedMask`. A run bounds them where no `reduction` is given.
            embedding_norm: whether block 1 reads layer-normalised embeddings (the paper's LN_EMB).
            hidden_norm: whether each block has layer norm before its ReLU (the paper's LN_HID).
            dropout: share of entries dropped after each block in training, in [0, 1). NOTE[paper]: the paper has none;
                this is where the tuned public configurations put it.

        Raises:
            ValueError: where a setting is out of its range, or a block would have neither mask nor feed-forward layer.
        """
        super().__init__()
        require_widths("block_dims", block_dims, or_none=True)
        require_switch("embedding_norm", embedding_norm)
        require_switch("hidden_norm", hidden_norm)
        require_share("dropout", dropout)
        self.embedding = FieldEmbedding(space, embedding_dim)
        self.norm = (
            FieldLayerNorm(self.embedding.num_vectors, embedding_dim, self.embedding.plain_widths)
            if embedding_norm
            else nn.Identity()
        )
        self.blocks = nn.ModuleList()
        width = d_embedding = self.embedding.d_out
        for d_out in block_dims:
            block = build_block(
                d_embedding=d_embedding,
                d_hidden=width,
                d_out=d_out,
                reduction=reduction,
                max_mask_weights=max_mask_weights,
                norm=hidden_norm,
            )
            self.blocks.append(block)
            width = block.d_out
        self.dropout = nn.Dropout(dropout)
        self.head = Head(width, space.num_tasks)

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
        for block in self.blocks:
            hidden = self.dropout(block(hidden, embedding, keep))
        logits: Tensor = self.head(hidden)
        return logits
