"""What all MaskNets share: the embedding, plain for the masks and normalised for what they multiply."""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor, nn

from masknet.nn.dense import lowered
from masknet.nn.embedding import FieldEmbedding
from masknet.nn.mask import Keep, drop
from masknet.nn.norm import FieldLayerNorm
from masknet.nn.rules import require_switch
from masknet.space import FeatureSpace


class MaskNetwork(nn.Module):
    """An embedding and its layer norm, eq. 9; a subclass builds blocks and head on them, and says what they make."""

    def __init__(self, space: FeatureSpace, *, embedding_dim: int, embedding_norm: bool) -> None:
        """Build the embedding; the arguments are those of `masknet.models.ParallelMaskNet`.

        Raises:
            ValueError: where a setting is out of its range.
        """
        super().__init__()
        require_switch("embedding_norm", embedding_norm)
        self.embedding = FieldEmbedding(space, embedding_dim)
        self.norm = (
            FieldLayerNorm(self.embedding.num_vectors, embedding_dim, self.embedding.plain_widths)
            if embedding_norm
            else nn.Identity()
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
        embedding = lowered(self.embedding.flat(ids, values, dense))
        return self._logits(self.norm(embedding), embedding, drop)

    def forward_with_masks(
        self,
        ids: Int[Tensor, "batch slots"],
        values: Float[Tensor, "batch slots"],
        dense: Float[Tensor, "batch dense"] | None = None,
    ) -> tuple[Float[Tensor, "batch *tasks"], tuple[Float[Tensor, "batch _"], ...]]:
        """Return the logits, and the masks that made them: `[B, z]` each, block by block; none where there are none."""
        masks: list[Tensor] = []
        embedding = lowered(self.embedding.flat(ids, values, dense))
        logits = self._logits(self.norm(embedding), embedding, masks.append)
        return logits, tuple(masks)

    def _logits(self, hidden: Tensor, embedding: Tensor, keep: Keep) -> Tensor:
        """The logits of what the masks multiply first and of what guides them, each mask kept as it is made."""
        raise NotImplementedError
