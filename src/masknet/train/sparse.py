"""Steps whose cost does not grow with the vocabulary: they touch the rows of the batch's ids, and no others.

What Adam and the average would have done to a row in the steps that did not read it is done when it is next read, and
for all rows before a model is evaluated: so a rate that changes then is that of all steps before.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor, nn

from masknet.errors import ConfigError
from masknet.nn import IdTable, id_tables
from masknet.train.adam import BETAS, EPSILON, Adam
from masknet.train.coasting import Rows, coasted
from masknet.train.optim import WeightAverage

__all__ = ["SWEPT_ROWS", "SparseAverage", "SparseOptimizer"]

SWEPT_ROWS = 1 << 14
"""Of a sweep over a table, at once: what is computed of them takes memory."""


class SparseAverage(WeightAverage):
    """The average of the weights whose tables move with the rows that are read; all else is averaged as ever.

    NOTE[perf]: over the steps that did not read a row its weights count as constant, as their mean over these steps:
    then the average comes as near to it as the product of the decays says.

    Args:
        network: whose weights are averaged, from those that it has.
        decay: as of `WeightAverage`.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        super().__init__(network, decay)
        tables = id_tables(network)
        self._weights = [name for name in self._weights if name not in tables]

    def pass_over(
        self, name: str, at: Tensor, rested: Tensor, *, since: Tensor, until: int, moved: Tensor | None = None
    ) -> None:
        """Take in the steps that did not read some rows of a table, and the one that then did.

        Args:
            name: of the table's weight.
            at: which rows.
            rested: the mean of their weights over the steps that did not, `[n, width]`.
            since: how many steps the average of each row has taken in, `[n]`.
            until: how many there are, without the one that read them.
            moved: their weights after that one; None where there was none.
        """
        average = self.tensors[name].index_select(0, at)
        average.lerp_(rested, (1 - self._kept(since.double(), until)).to(average.dtype).unsqueeze(1))
        if moved is not None:
            average.lerp_(moved, self._share(until))
        self.tensors[name].index_copy_(0, at, average)

    def _kept(self, since: Tensor, until: int) -> Tensor:
        """The product of the decays of the steps `since` to `until - 1`, in float64.

        While they warm up they are `(1 + s) / (10 + s)`, of which nine factors are left above and nine below.
        """
        warm = max(0, math.ceil((10 * self._decay - 1) / (1 - self._decay)))  # the first step that is
        above, below, begin, end = torch.ones_like(since), 1.0, since.clamp(max=warm), min(until, warm)
        for factor in range(1, 10):
            above, below = above * (begin + factor), below * (end + factor)
        steps = max(until, warm) - since.clamp(min=warm)
        return above / below * torch.exp(math.log(self._decay) * steps)


@dataclass(frozen=True)
class _Table:
    """A table, the modules that look ids up in it, and all that is kept of its rows."""

    modules: tuple[IdTable, ...]
    rows: Rows
    frozen: Tensor | None
    """Which of them never move, `[num_ids]`."""


class SparseOptimizer:
    """Adam as `Optimizer` is it, of which a step touches the rows of the batch's ids alone; see `coasted`.

    NOTE[perf]: the norm that `clip` bounds is that of the rows of the batch and of all that is no table: the penalty of
    the other rows is not in it.

    Args:
        network: as for `Optimizer`; all its tables have rows for the same ids.
        learning_rate: as for `Optimizer`; it may be set anew between `settle` and the next step.
        embedding_l2, network_l2, clip, frozen: as for `Optimizer`.
        average: of the weights of the network: the rows that it has of tables are kept up to date here.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        learning_rate: float,
        embedding_l2: float,
        network_l2: float,
        clip: float | None,
        frozen: Mapping[str, Tensor] = MappingProxyType({}),
        average: SparseAverage | None = None,
    ) -> None:
        self.clip = clip
        self._embedding_l2, self._network_l2, self._average = embedding_l2, network_l2, average
        tables = id_tables(network)
        self._tables = {name: _table(network, table.weight, frozen.get(name)) for name, table in tables.items()}
        self._others = {name: p for name, p in network.named_parameters() if p.requires_grad and name not in tables}
        self._adam = Adam(self._others, learning_rate=learning_rate)
        (num_ids,) = {table.num_embeddings for table in tables.values()}
        device = next(iter(tables.values())).weight.device
        self._steps = 0
        self._last = torch.zeros(num_ids, dtype=torch.int32, device=device)
        """The number of the step that read each row last."""
        self._place = torch.full((num_ids,), -1, dtype=torch.int32, device=device)
        """Of each row among those that are read; -1 of the others."""
        self._ids = torch.empty(0, dtype=torch.int64, device=device)
        self._read: dict[str, tuple[Rows, Tensor]] = {}

    @property
    def learning_rate(self) -> float:
        """Adam's step size."""
        return self._adam.learning_rate

    @learning_rate.setter
    def learning_rate(self, rate: float) -> None:
        self._adam.learning_rate = rate

    @contextmanager
    def reading(self, ids: Tensor) -> Iterator[None]:
        """While it lasts, the network may look up these ids and no others, and `step` be called."""
        # Padding is the first of them, whether or not it is there.
        self._ids = torch.unique(torch.cat([ids.new_zeros(1), ids.flatten()])).long()
        self._read = {name: self._caught_up(table, self._ids) for name, table in self._tables.items()}
        self._place[self._ids] = torch.arange(len(self._ids), dtype=torch.int32, device=self._ids.device)
        try:
            with ExitStack() as lent:
                for name, table in self._tables.items():
                    weight = self._read[name][0].weight.requires_grad_()
                    for module in table.modules:
                        lent.enter_context(module.lending(weight, self._place))
                yield
        finally:
            self._place[self._ids] = -1
            self._read = {}

    def step(self, loss: Tensor) -> None:
        """Move the weights against the gradient of `loss` and the penalties.

        Raises:
            ConfigError: the network reads a table otherwise than by looking ids up.
        """
        self._adam.forget_gradients()
        loss.backward()  # type: ignore[no-untyped-call]
        weights = [self._with_penalty(name) for name in self._tables]
        others = [p for p in self._others.values() if p.grad is not None]
        if self._network_l2 > 0:
            for p in others:
                assert p.grad is not None
                p.grad.add_(p.detach(), alpha=self._network_l2)
        if self.clip is not None:
            nn.utils.clip_grad_norm_([*others, *weights], self.clip)
        self._adam.move()
        for name in self._tables:
            self._move(name)
        self._steps += 1
        self._last[self._ids] = self._steps

    def settle(self) -> None:
        """Bring all rows to where they are now: a sweep over the tables."""
        for some in torch.split(torch.arange(len(self._last), device=self._last.device), SWEPT_ROWS):
            for name, table in self._tables.items():
                rows, rested = self._caught_up(table, some)
                _put(table, some, rows)
                if self._average is not None:
                    self._average.pass_over(name, some, rested, since=self._last[some], until=self._steps)
        self._last.fill_(self._steps)

    def state(self) -> dict[str, Tensor]:
        """All that Adam remembers, by parameter and quantity, and the steps of the rows."""
        remembered = self._adam.state()
        for name, table in self._tables.items():
            remembered |= {f"{name}/exp_avg": table.rows.mean, f"{name}/exp_avg_sq": table.rows.square}
        return remembered | {"/step": torch.tensor(self._steps), "/last": self._last}

    def restore(self, state: dict[str, Tensor]) -> None:
        """The inverse of `state`."""
        self._steps = int(state["/step"])
        self._last.copy_(state["/last"])
        for name, table in self._tables.items():
            table.rows.mean.copy_(state[f"{name}/exp_avg"])
            table.rows.square.copy_(state[f"{name}/exp_avg_sq"])
        self._adam.restore(state)

    def _caught_up(self, table: _Table, at: Tensor) -> tuple[Rows, Tensor]:
        """Copies of some rows as they are now, and the mean of their weights over the steps that did not read them."""
        since = self._last[at]
        gap = self._steps - since
        if table.frozen is not None:
            gap = gap.masked_fill(table.frozen[at], 0)  # no step ever moves them
        rows = Rows(*(tensor.detach().index_select(0, at) for tensor in table.rows))
        return coasted(rows, since=since, gap=gap, rate=self.learning_rate, l2=self._embedding_l2)

    def _with_penalty(self, name: str) -> Tensor:
        """The rows that are read of a table, with the gradient of the loss and of the penalty."""
        table, weight = self._tables[name], self._read[name][0].weight
        if table.rows.weight.grad is not None:
            raise ConfigError(
                f"sparse updates move the rows that are looked up; the network uses the weights of the table '{name}' "
                f"beside that: train it with --embedding-updates dense"
            )
        if weight.grad is None:  # the loss of this batch does not depend on it
            weight.grad = torch.zeros_like(weight)
        weight.grad.add_(weight.detach(), alpha=self._embedding_l2)
        if table.frozen is not None:
            weight.grad.masked_fill_(table.frozen[self._ids].unsqueeze(1), 0)
        return weight

    def _move(self, name: str) -> None:
        """Adam's step of the rows that are read of a table, and the average's."""
        (leaf, mean, square), rested = self._read[name]
        gradient, weight, number = leaf.grad, leaf.detach(), self._steps + 1
        assert gradient is not None
        mean.lerp_(gradient, 1 - BETAS[0])
        square.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
        root = (square / (1 - BETAS[1] ** number)).sqrt_().add_(EPSILON)
        weight.addcdiv_(mean, root, value=-self.learning_rate / (1 - BETAS[0] ** number))
        _put(self._tables[name], self._ids, Rows(weight, mean, square))
        if self._average is not None:
            since = self._last[self._ids]
            self._average.pass_over(name, self._ids, rested, since=since, until=self._steps, moved=weight)


def _table(network: nn.Module, weight: Tensor, frozen: Tensor | None) -> _Table:
    modules = tuple(module for module in network.modules() if isinstance(module, IdTable) and module.weight is weight)
    never = None
    if frozen is not None:
        never = torch.zeros(len(weight), dtype=torch.bool, device=weight.device)
        never[frozen.to(weight.device)] = True
    return _Table(modules, Rows(weight, torch.zeros_like(weight.detach()), torch.zeros_like(weight.detach())), never)


def _put(table: _Table, at: Tensor, rows: Rows) -> None:
    for tensor, values in zip(table.rows, rows, strict=True):
        tensor.detach().index_copy_(0, at, values)
