"""The parallel MaskNet: blocks side by side on the embedding, merged by a feed-forward network."""

from __future__ import annotations

from masknet.models.recipe import LAYERS, of_masks
from masknet.nn.head import Head
from masknet.nn.parallel_masks import ParallelMasks
from masknet.space import FeatureSpace


class ParallelMaskNet(ParallelMasks):
    """Look at the embedding through several masks at once, then mix what they saw, eq. 15 and 16 (ParaMaskNet).

    All blocks stand on the same normalised embedding, and their masks on the raw one. NOTE[paper]: figure 4 draws a
    layer norm of the embedding for each block; ours is one, shared.

    >>> import torch
    >>> from masknet.space import FieldSpace
    >>> space = FeatureSpace(num_ids=9, fields=(FieldSpace("user"), FieldSpace("item")))
    >>> net = ParallelMaskNet(space, embedding_dim=4, block_dims=(16, 16, 16), top_dims=(8,))
    >>> logits, masks = net.forward_with_masks(torch.tensor([[1, 5], [2, 6]]), torch.ones(2, 2))
    >>> logits.shape, [mask.shape for mask in masks]
    (torch.Size([2]), [torch.Size([2, 8]), torch.Size([2, 8]), torch.Size([2, 8])])
    """

    paper = "Wang et al., DLP-KDD 2021"

    recipe = of_masks(top_dims=(128,), search={"top_dims": LAYERS})

    def __init__(
        self,
        space: FeatureSpace,
        *,
        embedding_dim: int = 10,
        block_dims: tuple[int | None, ...] = (400, 400, 400),
        top_dims: tuple[int, ...] = (400, 400, 400),
        reduction: float | None = 2.0,
        max_mask_weights: int | None = None,
        embedding_norm: bool = True,
        hidden_norm: bool = True,
        dropout: float = 0.0,
    ) -> None:
        """Build one block an entry of `block_dims`, and one layer above them an entry of `top_dims`.

        Args:
            space: the ids, the slots of each field, the columns of each dense one, and the tasks.
            embedding_dim: the paper's `k`, at least 1, and at least 2 with `embedding_norm`.
            block_dims: the paper's `q` of each block; None leaves that block's feed-forward layer out (the ablation
                "without feed-forward"), and its output is as wide as the embedding.
            top_dims: width of each layer of the feed-forward network on the merged blocks.
            reduction: the paper's `r`, a mask's aggregation width in units of what it multiplies, above 0; None leaves
                all masks out (the ablation "without mask").
            max_mask_weights: the most weights of one mask, None for as many as `reduction` makes; see
                `masknet.nn.InstanceGuidedMask`. A run bounds them where no `reduction` is given.
            embedding_norm: whether the blocks read layer-normalised embeddings (the paper's LN_EMB).
            hidden_norm: whether each block has layer norm before its ReLU (the paper's LN_HID).
            dropout: share of entries dropped after each block and each layer above them in training, in [0, 1).
                NOTE[paper]: the paper has none; this is where the tuned public configurations put it.

        Raises:
            ValueError: where a setting is out of its range, or a block would have neither mask nor feed-forward layer.
        """
        super().__init__(
            space,
            embedding_dim=embedding_dim,
            block_dims=block_dims,
            top_dims=top_dims,
            reduction=reduction,
            max_mask_weights=max_mask_weights,
            embedding_norm=embedding_norm,
            hidden_norm=hidden_norm,
            dropout=dropout,
        )
        self.head = Head(self.top.d_out, space.num_tasks)
