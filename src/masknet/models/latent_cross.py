"""Latent Cross: a recurrent network whose state the context multiplies."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from masknet.errors import unknown
from masknet.models.recipe import TRAINING, Recipe
from masknet.nn.embedding import FieldEmbedding
from masknet.nn.head import Head
from masknet.nn.rules import require_count
from masknet.ranges import Ints
from masknet.space import FeatureSpace


class LatentCross(nn.Module):
    """A GRU over one ordered bag, whose last state is multiplied by `1 + w`, `w` the sum of the context's vectors.

    Beutel et al., "Latent cross: making use of context in recurrent recommender systems" (WSDM 2018), section 5.2. The
    context are all other fields, each mapped to a vector as wide as the state. NOTE[paper]: the paper predicts the next
    item of many; here the state's logit is that of the row. A row without history has a learned state.

    >>> from masknet.space import FieldSpace
    >>> fields = (FieldSpace("item"), FieldSpace("history", kind="bag", slots=3, ordered=True))
    >>> net = LatentCross(FeatureSpace(num_ids=9, fields=fields), embedding_dim=4, state_dim=6)
    >>> net(torch.tensor([[1, 5, 2, 0], [2, 6, 0, 0]]), torch.ones(2, 4)).shape
    torch.Size([2])
    """

    paper = "Beutel et al., WSDM 2018"

    recipe = Recipe(
        several_members=True,
        search={**TRAINING, "embedding_dim": Ints(4, 32, log=True), "state_dim": Ints(16, 256, log=True)},
    )

    others: Tensor

    def __init__(
        self, space: FeatureSpace, *, sequence: str | None = None, embedding_dim: int = 10, state_dim: int = 64
    ) -> None:
        """Build the network.

        Args:
            space: the ids, the slots of each field, the columns of each dense one, and the tasks.
            sequence: the name of an ordered bag; None for the only one.
            embedding_dim: entries of an id's vector, at least 1.
            state_dim: entries of the state, at least 1.

        Raises:
            ValueError: where a number is out of its range, or there is no such bag, or not one alone.
        """
        super().__init__()
        require_count("state_dim", state_dim)
        ordered = [f.name for f in space.fields if f.ordered]
        if not ordered:
            raise ValueError(
                "it reads a sequence, and the log has none: name a bag whose values lie in the order of time with "
                "--ordered"
            )
        if sequence is None and len(ordered) > 1:
            raise ValueError(f"it reads one sequence; set sequence to one of {', '.join(ordered)}")
        if sequence is not None and sequence not in ordered:
            raise ValueError(unknown("sequence", sequence, ordered))
        self.sequence = sequence or ordered[0]
        self.embedding = FieldEmbedding(space, embedding_dim)
        own = self.embedding.columns[self.sequence]
        others = [c for c in range(self.embedding.d_out) if c not in own]
        self.register_buffer("others", torch.tensor(others, dtype=torch.long), persistent=False)
        self.cell = nn.GRUCell(embedding_dim, state_dim)
        self.start = nn.Parameter(torch.empty(state_dim))
        nn.init.normal_(self.start, std=0.1)
        self.context = nn.Linear(len(others), state_dim, bias=False) if others else None
        self.head = Head(state_dim, space.num_tasks)

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
        vectors, present = self.embedding.slots_of(self.sequence, ids, values)
        state = self.start.expand(ids.shape[0], -1)
        for slot in range(present.shape[1]):
            state = torch.where(present[:, slot : slot + 1], self.cell(vectors[:, slot], state), state)
        if self.context is not None:
            state = state * (1 + self.context(embedding[:, self.others]))
        logits: Tensor = self.head(state)
        return logits
