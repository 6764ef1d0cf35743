"""The serial MaskNet: blocks in a row, each masked anew by the raw embedding."""

from __future__ import annotations

from torch import Tensor, nn

from masknet.models.recipe import of_masks
from masknet.nn.head import Head
from masknet.nn.mask import Keep, build_block
from masknet.nn.mask_network import MaskNetwork
from masknet.nn.rules import require_share, require_switch, require_widths
from masknet.space import FeatureSpace


class SerialMaskNet(MaskNetwork):
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

    recipe = of_masks()

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
        require_widths("block_dims", block_dims, or_none=True)
        require_switch("hidden_norm", hidden_norm)
        require_share("dropout", dropout)
        super().__init__(space, embedding_dim=embedding_dim, embedding_norm=embedding_norm)
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

    def _logits(self, hidden: Tensor, embedding: Tensor, keep: Keep) -> Tensor:
        for block in self.blocks:
            hidden = self.dropout(block(hidden, embedding, keep))
        logits: Tensor = self.head(hidden)
        return logits
