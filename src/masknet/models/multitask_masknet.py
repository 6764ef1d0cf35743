"""The parallel MaskNet with a tower a task."""

from __future__ import annotations

from masknet.models.recipe import of_masks
from masknet.nn.parallel_masks import ParallelMasks
from masknet.nn.tower import Towers
from masknet.ranges import OneOf
from masknet.space import FeatureSpace


class MultitaskMaskNet(ParallelMasks):
    """Parallel mask blocks and a feed-forward network that all tasks share, and a feed-forward network a task above it.

    The parallel MaskNet with a tower a task in the place of eq. 17; the heavy ranker that X published is one of its
    configurations.

    >>> import torch
    >>> from masknet.space import FieldSpace
    >>> space = FeatureSpace(num_ids=9, fields=(FieldSpace("user"), FieldSpace("item")), num_tasks=2)
    >>> net = MultitaskMaskNet(space, embedding_dim=4, block_dims=(8, 8), top_dims=(8,), tower_dims=(4,))
    >>> net(torch.tensor([[1, 5], [2, 6]]), torch.ones(2, 2)).shape
    torch.Size([2, 2])
    """

    paper = "Wang et al., DLP-KDD 2021"

    recipe = of_masks(
        top_dims=(128,),
        tower_dims=(64,),
        search={"top_dims": OneOf(((64,), (128,), (256,))), "tower_dims": OneOf(((32,), (64,), (64, 32)))},
    )

    def __init__(
        self,
        space: FeatureSpace,
        *,
        embedding_dim: int = 10,
        block_dims: tuple[int | None, ...] = (400, 400, 400),
        top_dims: tuple[int, ...] = (400, 400),
        tower_dims: tuple[int, ...] = (256, 128),
        reduction: float | None = 2.0,
        max_mask_weights: int | None = None,
        embedding_norm: bool = True,
        hidden_norm: bool = True,
        dropout: float = 0.0,
    ) -> None:
        """Build the shared body, and one tower a task.

        Args:
            space: the ids, the slots of each field, the columns of each dense one, and the tasks.
            tower_dims: width of each layer of a task's tower, at least one of them.
            dropout: share of entries dropped after each block and each layer above them in training, in [0, 1).
            embedding_dim, block_dims, top_dims, reduction, max_mask_weights, embedding_norm, hidden_norm: see
                `ParallelMaskNet`; its top is what the towers share.

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
        self.head = Towers(self.top.d_out, tower_dims, num_tasks=space.num_tasks, dropout=dropout)
