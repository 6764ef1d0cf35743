"""MMoE: shared experts, which each task mixes by a gate of its own."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from masknet.models.recipe import IN_LAYERS, TRAINING, Recipe
from masknet.nn.embedding import FieldEmbedding
from masknet.nn.mlp import MLP, NormName, glorot_linear
from masknet.nn.rules import require_count
from masknet.nn.tower import Tower, logits_of
from masknet.ranges import Ints, OneOf
from masknet.space import FeatureSpace


class MMoE(nn.Module):
    """Experts on the embedding; task `t` reads `sum_i g^t_i f_i(x)`, `g^t = softmax(W^t x)`, under a tower of its own.

    Ma et al., "Modeling task relationships in multi-task learning with multi-gate mixture-of-experts" (KDD 2018), eq. 6
    and 7. With one task it is a mixture of experts.

    >>> from masknet.space import FieldSpace
    >>> space = FeatureSpace(num_ids=9, fields=(FieldSpace("user"), FieldSpace("item")))
    >>> net = MMoE(space, embedding_dim=4, num_experts=2, expert_dims=(8,), tower_dims=(4,))
    >>> net(torch.tensor([[1, 5], [2, 6]]), torch.ones(2, 2)).shape
    torch.Size([2])
    """

    paper = "Ma et al., KDD 2018"

    recipe = Recipe(
        network={"expert_dims": (64,), "tower_dims": (32,), "norm": "layer"},
        several_members=True,
        search={
            **TRAINING,
            **IN_LAYERS,
            "num_experts": Ints(2, 16, log=True),
            "expert_dims": OneOf(((32,), (64,), (128,), (128, 64))),
            "tower_dims": OneOf(((16,), (32,), (64,), (64, 32))),
        },
    )

    def __init__(
        self,
        space: FeatureSpace,
        *,
        embedding_dim: int = 10,
        num_experts: int = 8,
        expert_dims: tuple[int, ...] = (128, 64),
        tower_dims: tuple[int, ...] = (32,),
        norm: NormName | None = None,
        dropout: float = 0.0,
    ) -> None:
        """Build experts, gates and towers.

        Args:
            space: the ids, the slots of each field, the columns of each dense one, and the tasks.
            embedding_dim: entries of a field's vector, at least 1.
            num_experts: how many there are, at least 1.
            expert_dims: width of each layer of an expert.
            tower_dims: width of each layer of a task's tower.
            norm: what stands before each ReLU of both: "batch", "layer", or None for nothing.
            dropout: share of entries dropped after each layer in training, in [0, 1).

        Raises:
            ValueError: where a number is out of its range.
        """
        super().__init__()
        require_count("num_experts", num_experts)
        self.embedding = FieldEmbedding(space, embedding_dim)
        width = self.embedding.d_out
        self.experts = nn.ModuleList(MLP(width, expert_dims, norm=norm, dropout=dropout) for _ in range(num_experts))
        self.gates = nn.ModuleList(glorot_linear(width, num_experts, bias=False) for _ in range(space.num_tasks))
        self.towers = nn.ModuleList(
            Tower(expert_dims[-1], tower_dims, norm=norm, dropout=dropout) for _ in range(space.num_tasks)
        )

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
        embedding = self.embedding.flat(ids, values, dense)
        experts = torch.stack([expert(embedding) for expert in self.experts], dim=1)  # [batch, experts, width]
        mixed = [(gate(embedding).softmax(1).unsqueeze(2) * experts).sum(1) for gate in self.gates]
        return logits_of([tower(hidden) for tower, hidden in zip(self.towers, mixed, strict=True)])
