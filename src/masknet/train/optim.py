"""What a step does to the weights: Adam, the two penalties, clipping, the schedule, and the average of the weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import MappingProxyType
from typing import Protocol

import torch
from torch import Tensor, nn

from masknet.nn import id_tables
from masknet.train.adam import Adam

__all__ = ["Optimizer", "Plateau", "Rated", "WeightAverage"]

PLATEAU_FACTOR = 0.1


class Optimizer:
    """Adam on `loss + 0.5 * embedding_l2 * ||tables||^2 + 0.5 * network_l2 * ||others||^2` (eq. 19), clipped by norm.

    NOTE[paper]: eq. 19 prints the unsquared norm of all parameters under one lambda.

    Args:
        network: whose parameters are moved.
        learning_rate: Adam's step size; it may be set anew between steps.
        embedding_l2, network_l2: the two lambdas.
        clip: the largest norm of the whole gradient, penalties included; None for no bound.
        frozen: for some parameters the rows that never move.
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
    ) -> None:
        self.clip = clip
        tables = id_tables(network)
        self._named = {name: p for name, p in network.named_parameters() if p.requires_grad}
        self._penalties = [
            (l2, [p for name, p in self._named.items() if (name in tables) == of_tables])
            for l2, of_tables in ((embedding_l2, True), (network_l2, False))
            if l2 > 0
        ]
        self._frozen = [(self._named[name], ids.to(self._named[name].device)) for name, ids in frozen.items()]
        self._adam = Adam(self._named, learning_rate=learning_rate)

    @property
    def learning_rate(self) -> float:
        """Adam's step size."""
        return self._adam.learning_rate

    @learning_rate.setter
    def learning_rate(self, rate: float) -> None:
        self._adam.learning_rate = rate

    def reading(self, ids: Tensor) -> AbstractContextManager[None]:
        """While it lasts, the network may look up these ids, and `step` be called."""
        return nullcontext()

    def settle(self) -> None:
        """Bring all weights to where they are now: they are there."""

    def step(self, loss: Tensor) -> None:
        """Move the weights against the gradient of `loss` and the penalties."""
        self._adam.forget_gradients()
        loss.backward()  # type: ignore[no-untyped-call]
        for l2, parameters in self._penalties:
            for p in parameters:
                if p.grad is not None:
                    p.grad.add_(p.detach(), alpha=l2)
        for p, ids in self._frozen:
            if p.grad is not None:
                p.grad.index_fill_(0, ids, 0)  # Adam that has only seen zeros moves nothing, to the last bit
        if self.clip is not None:
            nn.utils.clip_grad_norm_(self._named.values(), self.clip)
        self._adam.move()

    def state(self) -> dict[str, Tensor]:
        """All that Adam remembers, by parameter and quantity."""
        return self._adam.state()

    def restore(self, state: dict[str, Tensor]) -> None:
        """The inverse of `state`."""
        self._adam.restore(state)


class Rated(Protocol):
    """Something with a learning rate, which a schedule may set between steps; or without one, for good."""

    @property
    def learning_rate(self) -> float | None:
        """The rate of the next step, or None."""

    @learning_rate.setter
    def learning_rate(self, rate: float) -> None: ...


class Plateau:
    """Counts evaluations without a better one; with `drop`, each of them cuts the learning rate to a tenth.

    Args:
        better: whether a value of the monitored metric beats another one.
        patience: how many without a better one end the training.
        drop: whether they cut the rate.
    """

    def __init__(self, better: Callable[[float, float], bool], *, patience: int, drop: bool) -> None:
        self._better = better
        self._patience = patience
        self._drop = drop
        self.best: float | None = None
        self.best_log_loss: float | None = None
        self.since_best = 0

    def update(self, value: float, log_loss: float, rated: Rated) -> bool:
        """Take in an evaluation and say whether it is the best so far; of equal values the lower log loss decides."""
        if self._is_best(value, log_loss):
            self.best, self.best_log_loss, self.since_best = value, log_loss, 0
            return True
        self.since_best += 1
        if self._drop and rated.learning_rate is not None:
            rated.learning_rate *= PLATEAU_FACTOR
        return False

    def _is_best(self, value: float, log_loss: float) -> bool:
        if self.best is None or self._better(value, self.best):
            return True
        return value == self.best and self.best_log_loss is not None and log_loss < self.best_log_loss

    @property
    def exhausted(self) -> bool:
        """Whether patience has run out."""
        return self.since_best >= self._patience


class WeightAverage:
    """An exponential moving average of the weights, its decay warmed up as `min(decay, (1 + step) / (10 + step))`.

    What a network keeps of its batches beside them, such as the mean and variance of batch norm, belongs to the weights
    it was computed with: floating-point buffers of the state are averaged alike. Integer ones, which count, are not.

    Args:
        network: whose weights are averaged, from those that it has.
        decay: the share that the average keeps at each step, once it is warm.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self._network = network
        self._decay = decay
        stored = network.state_dict().keys()
        self._buffers = [name for name, b in network.named_buffers() if name in stored and b.is_floating_point()]
        self.tensors = {name: t.detach().clone() for name, t in self._current().items()}
        self._weights = [name for name in self.tensors if name not in self._buffers]

    def _current(self) -> dict[str, Tensor]:
        # Looked up anew each time: a module may put another tensor in a buffer's place.
        buffers = dict(self._network.named_buffers())
        return dict(self._network.named_parameters()) | {name: buffers[name] for name in self._buffers}

    def update(self, step: int) -> None:
        """Take in the weights after a step; `step` is how many there were before it."""
        share, current = self._share(step), {name: t.detach() for name, t in self._current().items()}
        averaged, weights = ([tensors[name] for name in self._weights] for tensors in (self.tensors, current))
        if weights:
            torch._foreach_lerp_(averaged, weights, share)
        for name in self._buffers:
            mean = self.tensors[name].lerp(current[name], share)
            # A constant may be infinite, as a mask of attention is: its average is no number, and it is its own.
            self.tensors[name].copy_(mean.where(mean.isfinite(), current[name]))

    def _share(self, step: int) -> float:
        """Of the weights after a step in the average, where there were `step` before it."""
        return 1.0 - min(self._decay, (1 + step) / (10 + step))

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Go on from what `tensors` was."""
        for name, tensor in tensors.items():
            self.tensors[name].copy_(tensor)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Put the average in the network's place for a while; meanwhile the network's own weights lie in `tensors`."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        # Places are exchanged, not numbers: a copy of a table of millions of ids is one too many.
        for name, tensor in self._current().items():
            tensor.data, self.tensors[name] = self.tensors[name], tensor.data
