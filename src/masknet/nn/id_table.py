"""The rows of the ids: one vector an id of the space, and which weights of a network they are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 -- the name by which all of PyTorch's users know it

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
        self._taken: tuple[Tensor, Tensor] | None = None

    def forward(self, ids: Tensor) -> Tensor:
        """The rows of some ids.

        Raises:
            ValueError: an id is none of the table, or none of those that are taken out of it; said where PyTorch itself
                finds out, which is on a processor.
        """
        try:
            if self._taken is None:
                return super().forward(ids)
            rows, place = self._taken
            return F.embedding(place.index_select(0, ids.reshape(-1)).reshape(ids.shape), rows, padding_idx=0)
        except IndexError:
            extremes = (int(ids.max()), int(ids.min()))
            worst = next((number for number in extremes if not 0 <= number < self.num_embeddings), None)
            if worst is None:
                raise ValueError(
                    "while some rows are taken out of a table, as in a step with sparse updates, no others are looked "
                    "up; an id that is none of the batch was: train with --embedding-updates dense"
                ) from None
            raise ValueError(
                f"an id of this space lies between 0 and {self.num_embeddings - 1:,}; got {worst:,}: encode the rows "
                f"with the encoder of the same space, or build the network for one of more ids"
            ) from None

    @contextmanager
    def lending(self, rows: Tensor, place: Tensor) -> Iterator[None]:
        """While it lasts, look ids up in `rows` and not in the table, and let them have the gradient.

        >>> table = IdTable(num_ids=9, embedding_dim=4)
        >>> place = torch.full((9,), -1).index_copy(0, torch.tensor([0, 5]), torch.tensor([0, 1]))
        >>> with table.lending(torch.tensor([[0.0] * 4, [1.0] * 4]), place):
        ...     table(torch.tensor([5])).tolist()
        [[1.0, 1.0, 1.0, 1.0]]

        Args:
            rows: those of some ids, `[n, width]`, the first one that of padding.
            place: for every id of the table the number of its row, or -1 where it has none.
        """
        self._taken = (rows, place)
        try:
            yield
        finally:
            self._taken = None


def id_tables(network: nn.Module) -> dict[str, IdTable]:
    """The id tables of a network, by the name that their weight has in `named_parameters`.

    Tables that share a weight are one. `name in id_tables(network)` says whether a parameter is rows of ids.

    >>> list(id_tables(nn.ModuleDict({"of_ids": IdTable(9, 4), "of_positions": nn.Embedding(3, 4)})))
    ['of_ids.weight']
    """
    tables = {id(module.weight): module for module in network.modules() if isinstance(module, IdTable)}
    return {name: tables[id(weight)] for name, weight in network.named_parameters() if id(weight) in tables}
