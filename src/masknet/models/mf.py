"""Matrix factorization: the dot product of two fields."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from masknet.errors import unknown
from masknet.models.recipe import OF_FACTORS, Recipe
from masknet.nn.embedding import require_rows
from masknet.nn.id_table import IdTable
from masknet.nn.linear_term import LinearTerm
from masknet.nn.rules import require_count
from masknet.space import FeatureSpace


class MatrixFactorization(nn.Module):
    """The biases of two fields and the product of their vectors, `mu + b_u + b_i + <p_u, q_i>`.

    Koren, Bell and Volinsky, "Matrix factorization techniques for recommender systems" (IEEE Computer 2009), eq. 4,
    with the logistic loss in the place of the squared one. It reads nothing else of a row. The vector of a field of
    several slots is their weighted sum. Each task has biases and vectors of its own.

    >>> from masknet.space import FieldSpace
    >>> fields = (FieldSpace("hour", num_values=24), FieldSpace("user", num_values=90), FieldSpace("ad", num_values=50))
    >>> network = MatrixFactorization(FeatureSpace(num_ids=165, fields=fields), embedding_dim=4)
    >>> network.note
    "it multiplies 'user' and 'ad', the fields of the most values"
    >>> network(torch.tensor([[1, 30, 120]]), torch.ones(1, 3)).shape
    torch.Size([1])

    Attributes:
        note: which fields it multiplies, in a sentence.
    """

    paper = "Koren et al., IEEE Computer 2009"

    recipe = Recipe(embedding_l2=1e-5, several_members=True, search=OF_FACTORS)

    picked: Tensor

    def __init__(self, space: FeatureSpace, *, embedding_dim: int = 16, fields: tuple[str, str] | None = None) -> None:
        """Draw the vectors from N(0, 0.01); the biases start at zero.

        Args:
            space: the ids, the slots of each field, and the tasks.
            embedding_dim: entries of a vector, at least 1.
            fields: the names of the two fields, categorical ones or bags; None takes the two of the most values.

        Raises:
            ValueError: where a number is out of its range, or there are no two such fields.
        """
        super().__init__()
        require_count("embedding_dim", embedding_dim)
        chosen = ""
        eligible = {f.name: i for i, f in enumerate(space.fields) if f.kind in ("categorical", "bag")}
        if fields is None:
            if len(eligible) < 2:
                raise ValueError(
                    f"it multiplies two fields of values, such as a user and an item; the log has {len(eligible)} "
                    f"(categorical fields and bags): name another model"
                )
            most = sorted(eligible, key=lambda name: -space.fields[eligible[name]].num_values)
            fields = most[0], most[1]
            chosen = ", the fields of the most values"
        elif not (isinstance(fields, tuple | list) and len(fields) == 2 and fields[0] != fields[1]):
            raise ValueError(f"it multiplies two fields; fields is {fields!r}: name two, as in fields=[user,item]")
        for name in fields:
            if not isinstance(name, str) or name not in eligible:
                raise ValueError(unknown("field of values", str(name), eligible))
        self.note = f"it multiplies '{fields[0]}' and '{fields[1]}'{chosen}"
        self._num_slots, self._dense_width = space.num_slots, space.dense_width
        self._num_tasks, self._width = space.num_tasks, embedding_dim
        own = [space.fields[eligible[name]] for name in fields]
        self._slots = own[0].slots, own[1].slots
        picked = [slot for name in fields for slot in space.field_slots[eligible[name]]]
        self.register_buffer("picked", torch.tensor(picked, dtype=torch.long), persistent=False)
        self.linear = LinearTerm(replace(space, fields=tuple(own)))
        self.factors = IdTable(space.num_ids, embedding_dim * space.num_tasks)

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
        require_rows(ids, values, dense, num_slots=self._num_slots, dense_width=self._dense_width)
        ids, values = ids[:, self.picked], values[:, self.picked]
        linear: Tensor = self.linear(ids, values)
        left, right = torch.split(self.factors.scaled(ids, values), list(self._slots), dim=1)
        products = (left.sum(1) * right.sum(1)).reshape(ids.shape[0], self._num_tasks, self._width)
        logits: Tensor = linear + products.sum(2).squeeze(1)  # [batch, tasks, emb] -> [batch, tasks], or [batch] of one
        return logits
