"""AutoInt: fields attend to each other."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from masknet.models.recipe import IN_LAYERS, LAYERS, TRAINING, Recipe
from masknet.nn.embedding import FieldEmbedding
from masknet.nn.head import Head
from masknet.nn.mlp import MLP, NormName, glorot_linear
from masknet.nn.rules import require_count, require_switch
from masknet.ranges import Ints, OneOf
from masknet.space import FeatureSpace


class FieldAttention(nn.Module):
    """Let every field attend to all fields, in several heads: `ReLU(concat_h(sum_k a^h_mk W_V^h e_k) + W_Res e_m)`.

    Eq. 5 to 8 of the paper; `a^h_mk` is the softmax over `k` of `<W_Q^h e_m, W_K^h e_k>`.

    >>> FieldAttention(4, 6, num_heads=2)(torch.randn(2, 3, 4)).shape
    torch.Size([2, 3, 6])
    """

    def __init__(
        self, d_in: int, d_out: int, *, num_heads: int, scaled: bool = False, project_residual: bool = True
    ) -> None:
        """Build the four maps.

        Args:
            d_in: width of a field's vector.
            d_out: width of what comes out, all heads together.
            num_heads: heads, of which `d_out` is a multiple.
            scaled: whether the products are divided by the root of a head's width.
            project_residual: whether `W_Res` stands where the widths are equal too.
        """
        super().__init__()
        self._num_heads = num_heads
        self._scale = 1 / math.sqrt(d_out // num_heads) if scaled else 1.0
        self.query, self.key, self.value = (glorot_linear(d_in, d_out, bias=False) for _ in range(3))
        projected = project_residual or d_in != d_out
        self.residual = glorot_linear(d_in, d_out, bias=False) if projected else nn.Identity()

    def forward(self, fields: Float[Tensor, "batch fields in"]) -> Float[Tensor, "batch fields out"]:
        """Return one vector a field."""
        # [batch, heads, fields, out / heads]
        query, key, value = (
            layer(fields).unflatten(2, (self._num_heads, -1)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        attention = (query @ key.transpose(2, 3) * self._scale).softmax(3)
        heads = (attention @ value).transpose(1, 2).flatten(2)
        attended: Tensor = (heads + self.residual(fields)).relu()
        return attended


class AutoInt(nn.Module):
    """Layers of attention between the fields' vectors, weighed into the logit, eq. 9; AutoInt+ with a network beside.

    Song et al., "AutoInt" (CIKM 2019). The columns of a dense field that enters as it is, which has
    no vector, are weighed beside them.

    >>> from masknet.space import FieldSpace
    >>> space = FeatureSpace(num_ids=9, fields=(FieldSpace("user"), FieldSpace("item")))
    >>> net = AutoInt(space, embedding_dim=4, attention_dim=4, num_heads=2)
    >>> net(torch.tensor([[1, 5], [2, 6]]), torch.ones(2, 2)).shape
    torch.Size([2])
    """

    paper = "Song et al., CIKM 2019"

    recipe = Recipe(
        network={"attention_dim": 32, "attention_layers": 3, "hidden_dims": (128, 64), "norm": "layer"},
        several_members=True,
        search={
            **TRAINING,
            **IN_LAYERS,
            "hidden_dims": LAYERS,
            "attention_dim": OneOf((16, 32, 64, 128)),
            "attention_layers": Ints(1, 4),
        },
    )

    def __init__(
        self,
        space: FeatureSpace,
        *,
        embedding_dim: int = 10,
        attention_dim: int = 64,
        attention_layers: int = 3,
        num_heads: int = 2,
        scaled: bool = False,
        project_residual: bool = True,
        hidden_dims: tuple[int, ...] | None = None,
        norm: NormName | None = None,
        dropout: float = 0.0,
    ) -> None:
        """Build the layers.

        Args:
            space: the ids, the slots of each field, the columns of each dense one, and the tasks.
            embedding_dim: entries of a field's vector, at least 1.
            attention_dim: width of a layer's vectors, all heads together; a multiple of `num_heads`.
            attention_layers: how many there are, at least 1.
            num_heads: heads of each, at least 1.
            scaled: whether the products of a head are divided by the root of its width. NOTE[paper]: the
                paper's are not.
            project_residual: whether the residual is projected where the widths are equal too, as in the paper.
            hidden_dims: width of each layer of the feed-forward network beside the attention; None for none.
            norm: what stands before each of its ReLUs: "batch", "layer", or None for nothing.
            dropout: share of entries dropped after each of its layers in training, in [0, 1).

        Raises:
            ValueError: where a number is out of its range, or the space has no field with a vector.
        """
        super().__init__()
        for name, count in (
            ("attention_dim", attention_dim),
            ("attention_layers", attention_layers),
            ("num_heads", num_heads),
        ):
            require_count(name, count)
        if attention_dim % num_heads:
            raise ValueError(f"'attention_dim' must be a multiple of 'num_heads'; got {attention_dim} and {num_heads}")
        require_switch("scaled", scaled)
        require_switch("project_residual", project_residual)
        self.embedding = FieldEmbedding(space, embedding_dim)
        self.embedding.require_vectors(1)
        self.attention = nn.Sequential(
            *(
                FieldAttention(
                    attention_dim if layer else embedding_dim,
                    attention_dim,
                    num_heads=num_heads,
                    scaled=scaled,
                    project_residual=project_residual,
                )
                for layer in range(attention_layers)
            )
        )
        self.deep = None if hidden_dims is None else MLP(self.embedding.d_out, hidden_dims, norm=norm, dropout=dropout)
        plain = sum(self.embedding.plain_widths.values())
        attended = self.embedding.num_vectors * attention_dim
        self.head = Head(attended + plain + (0 if self.deep is None else self.deep.d_out), space.num_tasks)

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
        vectors = self.embedding(ids, values, dense)
        hidden = self.embedding.beside(self.attention(vectors), dense)
        if self.deep is not None:
            hidden = torch.cat([hidden, self.deep(self.embedding.beside(vectors, dense))], dim=1)
        logits: Tensor = self.head(hidden)
        return logits
