"""The rows of the ids: one vector an id of the space, and which weights of a network they are."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from masknet.nn.rules import require_count, require_not_negative


class IdTable(nn.Embedding):
    """One trainable vector an id; row 0, padding, is zero, gets no gradient, and so stays zero.

    Whatever concerns "the rows of the ids" (their L2 penalty, pretrained vectors, a count) concerns the tables of this
    class. Any other `nn.Embedding`, as one of positions, is a weight of the network like all others.

    >>> table = IdTable(num_ids=9, embedding_dim=4)
    >>> table(torch.tensor([[1, 5, 0]])).shape, table.weight[0].tolist()
    (torch.Size([1, 3, 4]), [0.0, 0.0, 0.0, 0.0])
    """

    def __init__(self, num_ids: int, embedding_dim: int, *, std: float = 0.01) -> None:
        """Draw the rows from N(0, std).

        Args:
            num_ids: how many ids the space has, padding included, at least 1.
            embedding_dim: the width of a row, the paper's `k`, at least 1.
            std: standard deviation of the rows at the start, at least 0; with 0 all of them start at zero, and nothing
                is drawn. NOTE[paper]: the paper names none; 0.01 is what the authors' lab uses elsewhere, and what the
                layer norm's epsilon is fit for.

        Raises:
            ValueError: where a number is out of its range.
        """
        require_count("num_ids", num_ids)
        require_count("embedding_dim", embedding_dim)
        require_not_negative("std", std)
        super().__init__(num_ids, embedding_dim, padding_idx=0, _weight=torch.zeros(num_ids, embedding_dim))
        if std > 0:
            with torch.no_grad():
                self.weight.normal_().mul_(std)
                self.weight[0] = 0

    def forward(self, ids: Tensor) -> Tensor:
        """The rows of some ids.

        Raises:
            ValueError: an id is none of the table; said where PyTorch itself finds out, which is on a processor.
        """
        try:
            return super().forward(ids)
        except IndexError:
            worst = next(number for number in (int(ids.max()), int(ids.min())) if not 0 <= number < self.num_embeddings)
            raise ValueError(
                f"an id of this space lies between 0 and {self.num_embeddings - 1:,}; got {worst:,}: encode the rows "
                f"with the encoder of the same space, or build the network for one of more ids"
            ) from None


def id_tables(network: nn.Module) -> dict[str, IdTable]:
    """The id tables of a network, by the name that their weight has in `named_parameters`.

    Tables that share a weight are one. `name in id_tables(network)` says whether a parameter is rows of ids.

    >>> list(id_tables(nn.ModuleDict({"of_ids": IdTable(9, 4), "of_positions": nn.Embedding(3, 4)})))
    ['of_ids.weight']
    """
    tables = {id(module.weight): module for module in network.modules() if isinstance(module, IdTable)}
    return {name: tables[id(weight)] for name, weight in network.named_parameters() if id(weight) in tables}
