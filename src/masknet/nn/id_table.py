"""The rows of the ids: one vector an id of the space, and which weights of a network they are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F  # noqa: N812 -- the name by which all of PyTorch's users know it

from masknet.nn.backward import gradient_of_rows, own_backward
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

    def forward(self, ids: Int[Tensor, "*shape"]) -> Float[Tensor, "*shape width"]:
        """The rows of some ids.

        Raises:
            ValueError: an id is none of the table, or none of those that are taken out of it; said where PyTorch itself
                finds out, which is on a processor.
        """
        rows, at = self._places(ids)
        with self._known(ids):
            if self._by_hand(rows):
                found: Tensor = _LookUp.apply(rows, at)  # type: ignore[no-untyped-call]
                return found
            return F.embedding(at, rows, padding_idx=self.padding_idx)

    def scaled(
        self, ids: Int[Tensor, "batch slots"], values: Float[Tensor, "batch slots"]
    ) -> Float[Tensor, "batch slots width"]:
        """The row of each slot, times its value.

        >>> table = IdTable(num_ids=9, embedding_dim=4)
        >>> table.scaled(torch.tensor([[1, 5, 0]]), torch.ones(1, 3)).shape
        torch.Size([1, 3, 4])

        Raises:
            ValueError: as in `forward`.
        """
        found: Tensor = self(ids)
        if self._by_hand(found) and not values.requires_grad and _are_ones(values):
            return found
        return found * values.unsqueeze(2)

    def summed(
        self, ids: Int[Tensor, "batch slots"], values: Float[Tensor, "batch slots"]
    ) -> Float[Tensor, "batch width"]:
        """The sum over its slots of what `scaled` gives of a row.

        Raises:
            ValueError: as in `forward`.
        """
        rows, at = self._places(ids)
        if not self._by_hand(rows) or values.requires_grad:
            return self.scaled(ids, values).sum(1)
        with self._known(ids):
            weighed = None if _are_ones(values) else values.to(rows.dtype)
            found: Tensor = _Sum.apply(rows, at, weighed)  # type: ignore[no-untyped-call]
            return found

    def _places(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Where ids are looked up: in the table, or in the rows that are taken out of it, and at which of them."""
        if self._taken is None:
            return self.weight, ids
        rows, place = self._taken
        with self._known(ids):
            return rows, place.index_select(0, ids.reshape(-1)).reshape(ids.shape)

    def _by_hand(self, leads_to: Tensor) -> bool:
        return self.padding_idx == 0 and own_backward(leads_to)

    @contextmanager
    def _known(self, ids: Tensor) -> Iterator[None]:
        try:
            yield
        except (IndexError, RuntimeError):
            worst = next((one for one in (int(ids.max()), int(ids.min())) if not 0 <= one < self.num_embeddings), None)
            if worst is None and self._taken is None:
                raise
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


class _LookUp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, ids: Tensor) -> Tensor:
        ctx.save_for_backward(ids)
        ctx.num_rows = len(weight)
        return F.embedding(ids, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (ids,) = ctx.saved_tensors
        return gradient_of_rows(gradient.reshape(-1, gradient.shape[-1]), ids.reshape(-1), ctx.num_rows), None


class _Sum(torch.autograd.Function):
    """The vectors of a row's slots are nowhere apart on the way there; values of None are 1."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, ids: Tensor, values: Tensor | None) -> Tensor:
        ctx.save_for_backward(ids, values)
        ctx.num_rows = len(weight)
        if not ids.shape[1]:
            return weight.new_zeros(len(ids), weight.shape[1])
        return F.embedding_bag(ids, weight, mode="sum", per_sample_weights=values)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        ids, values = ctx.saved_tensors
        of_slots = gradient.unsqueeze(1).expand(*ids.shape, -1)
        if values is not None:
            of_slots = of_slots * values.unsqueeze(2)
        return gradient_of_rows(of_slots.reshape(-1, gradient.shape[1]), ids.reshape(-1), ctx.num_rows), None, None


def _are_ones(values: Tensor) -> bool:
    """Whether one row of ones stands for all, as in the batches of a set whose values are all 1."""
    return values.stride(0) == 0 and bool((values[:1] == 1).all())


def id_tables(network: nn.Module) -> dict[str, IdTable]:
    """The id tables of a network, by the name that their weight has in `named_parameters`.

    Tables that share a weight are one. `name in id_tables(network)` says whether a parameter is rows of ids.

    >>> list(id_tables(nn.ModuleDict({"of_ids": IdTable(9, 4), "of_positions": nn.Embedding(3, 4)})))
    ['of_ids.weight']
    """
    tables = {id(module.weight): module for module in network.modules() if isinstance(module, IdTable)}
    return {name: tables[id(weight)] for name, weight in network.named_parameters() if id(weight) in tables}
