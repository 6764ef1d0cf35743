"""What a batch does to a model: the face that the trainer knows of it, and the step of a network.

The trainer walks through the epochs; whatever learns from a batch, keeps what it learned, and scores, stands behind
`Step`: a network moved by a gradient, or a model that is none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from masknet.batches import Batch
from masknet.draws import keyed_number
from masknet.errors import DataError
from masknet.generator import own_draws
from masknet.nn import output_biases
from masknet.scoring import NetworkScorer, Scorer
from masknet.train.checkpoint import Checkpoint, prefixed
from masknet.train.optim import Optimizer, Rated, WeightAverage
from masknet.train.sparse import SparseOptimizer

__all__ = ["LearnsByRow", "NetworkStep", "OnlineStep", "Step", "loss_over_tasks", "start_at"]


class Step(Rated, Protocol):
    """Learns from one batch after another. All of its state is tensors: it draws by key, and remembers nothing else."""

    @property
    def shuffles(self) -> bool:
        """Whether an epoch's rows come in an order that is drawn, or in that of the log."""

    def __call__(self, batch: Batch, number: int) -> Float[Tensor, ""]:
        """Learn from a batch.

        Args:
            batch: on the processor.
            number: of steps before this one; what is drawn in it is drawn by it.

        Returns:
            The mean log loss of the rows as they were met, over tasks too, by their weights: float64, on any device, so
            that nobody has to wait for it.
        """

    def evaluating(self) -> AbstractContextManager[Scorer]:
        """While it lasts, the model as it would be kept: it scores, and `kept` gives it."""

    def kept(self) -> dict[str, Tensor]:
        """Copies, on the processor, of all that the model needs to score."""

    def finish(self, kept: dict[str, Tensor]) -> None:
        """Training has ended: be, from now on, the model that `kept` gave once."""

    def finite(self) -> bool:
        """Whether all numbers of the model are."""

    def advice(self) -> str:
        """What to change where they are not: the end of a sentence, such as "lower --learning-rate"."""

    def state(self) -> dict[str, Tensor]:
        """All that the next step depends on, each tensor as `part:name`; `best` and `loss_sum` are no parts of it."""

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint that holds, among other tensors, what `state` gave."""


class NetworkStep:
    """The step of a network: the log loss over tasks, the optimizer's move, and the average of the weights.

    Args:
        network: on its device, with its initial weights.
        optimizer: moves its weights.
        average: of its weights, which is what is evaluated and kept; None for the weights themselves.
        seed: of dropout.
        draws: whether a step draws from PyTorch's generator; those that do not wait for no other thread's draws.
        sample_weights: of all training rows, whose mean counts as 1; None where they have none.
        task_weights: of each task's loss; None for 1 each.
        lowered: whether the network goes forward and back in bf16. Its weights, their gradients, its logits and the
            loss are in fp32 all the same.

    Raises:
        DataError: the training rows weigh nothing.
    """

    shuffles = True

    def __init__(
        self,
        network: nn.Module,
        *,
        optimizer: Optimizer | SparseOptimizer,
        average: WeightAverage | None = None,
        seed: int = 0,
        draws: bool = True,
        sample_weights: NDArray[np.float64] | None = None,
        task_weights: Sequence[float] | None = None,
        lowered: bool = False,
    ) -> None:
        self._network, self._lowered = network.train(), lowered
        self._optimizer, self._average, self._seed, self._draws = optimizer, average, seed, draws
        self._device = next(network.parameters()).device
        self._mean_weight = None if sample_weights is None else _mean_weight(sample_weights).to(self._device)
        self._task_weights = None if task_weights is None else torch.tensor(task_weights, device=self._device)

    @property
    def learning_rate(self) -> float:
        """The optimizer's."""
        return self._optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, rate: float) -> None:
        self._optimizer.learning_rate = rate

    def __call__(self, batch: Batch, number: int) -> Float[Tensor, ""]:
        """One move against the gradient of the batch's loss; dropout is drawn by (seed, number)."""
        batch = batch.to(self._device)
        # Shares of the mean, divided and not scaled by its inverse: equal weights are 1, and change no bit.
        weights = None if batch.weights is None or self._mean_weight is None else batch.weights / self._mean_weight
        drawing = own_draws(keyed_number(self._seed, number), self._device) if self._draws else nullcontext()
        with drawing, self._optimizer.reading(batch.ids):
            with torch.autocast(self._device.type, torch.bfloat16, enabled=self._lowered):
                logits = self._network(batch.ids, batch.values, batch.dense)
            if self._lowered:
                logits = logits.float()
            loss = loss_over_tasks(logits, batch.labels, weights, self._task_weights)
            self._optimizer.step(loss)
        if self._average is not None:
            self._average.update(number)
        in_all = batch.labels.shape[1] if self._task_weights is None else self._task_weights.double().sum()
        return loss.detach().double() / in_all

    @contextmanager
    def evaluating(self) -> Iterator[Scorer]:
        """The network with its average in place, where it has one."""
        self._optimizer.settle()
        with nullcontext() if self._average is None else self._average.applied():
            yield NetworkScorer(self._network)

    def kept(self) -> dict[str, Tensor]:
        """The network's state."""
        return {name: t.detach().cpu().clone() for name, t in self._network.state_dict().items()}

    def finish(self, kept: dict[str, Tensor]) -> None:
        """Load the state, and leave the network in eval mode."""
        self._network.load_state_dict(kept)
        self._network.eval()

    def finite(self) -> bool:
        """Whether all weights are."""
        return all(bool(p.isfinite().all()) for p in self._network.parameters())

    def advice(self) -> str:
        """Smaller steps, by the one setting or the other."""
        clip = self._optimizer.clip
        return f"lower --learning-rate (now {self.learning_rate:g}) or " + (
            "set --clip" if clip is None else f"--clip (now {clip:g})"
        )

    def state(self) -> dict[str, Tensor]:
        """The network's state, the optimizer's, and the average."""
        parts = prefixed("network", self._network.state_dict()) | prefixed("adam", self._optimizer.state())
        return parts if self._average is None else parts | prefixed("average", self._average.tensors)

    def restore(self, checkpoint: Checkpoint) -> None:
        """The inverse of `state`."""
        self._network.load_state_dict(checkpoint.part("network"))
        self._optimizer.restore(checkpoint.part("adam"))
        if self._average is not None:
            self._average.restore(checkpoint.part("average"))


@runtime_checkable
class LearnsByRow(Protocol):
    """A network that no gradient moves: it learns from rows itself, in their order, on the processor."""

    def learn(
        self,
        ids: Int[Tensor, "batch slots"],
        values: Float[Tensor, "batch slots"],
        dense: Float[Tensor, "batch dense"] | None,
        labels: Float[Tensor, " batch"],
    ) -> Float[Tensor, ""]:
        """Learn from one row after the other, and return the mean log loss of the rows as they were met, float64."""


class OnlineStep:
    """The step of a network that learns by row: it has no rate, no average, and draws nothing.

    Args:
        network: an `nn.Module`; moved to the processor.
    """

    shuffles = False
    learning_rate: float | None = None

    def __init__(self, network: LearnsByRow) -> None:
        assert isinstance(network, nn.Module)
        self._network, self._learn = network.cpu().eval(), network.learn

    def __call__(self, batch: Batch, number: int) -> Float[Tensor, ""]:
        """Let the network learn."""
        return self._learn(batch.ids, batch.values, batch.dense, batch.labels[:, 0])

    @contextmanager
    def evaluating(self) -> Iterator[Scorer]:
        """The network."""
        yield NetworkScorer(self._network)

    def kept(self) -> dict[str, Tensor]:
        """The network's state."""
        return {name: t.detach().clone() for name, t in self._network.state_dict().items()}

    def finish(self, kept: dict[str, Tensor]) -> None:
        """Load the state."""
        self._network.load_state_dict(kept)

    def finite(self) -> bool:
        """Whether all that it learned is."""
        return all(bool(t.isfinite().all()) for t in self._network.state_dict().values())

    def advice(self) -> str:
        """What its numbers come from."""
        return "look for very large numbers in the columns"

    def state(self) -> dict[str, Tensor]:
        """The network's state."""
        return prefixed("network", self._network.state_dict())

    def restore(self, checkpoint: Checkpoint) -> None:
        """The inverse of `state`."""
        self._network.load_state_dict(checkpoint.part("network"))


def start_at(network: nn.Module, click_rates: NDArray[np.float64]) -> None:
    """Let the network's first guess be the click rate: the biases of its logits start at the log-odds of each task's.

    NOTE[paper]: none says where the bias starts. From zero, what is stopped early predicts too many clicks: the weights
    that lower the mean are learned while those that rank are done.

    Args:
        network: changed in place, if `masknet.nn.output_biases` finds such biases.
        click_rates: one a task; those that are not between 0 and 1 change nothing.
    """
    biases = output_biases(network, len(click_rates))
    some = (click_rates > 0) & (click_rates < 1)
    if biases and some.all():
        odds = np.log(click_rates) - np.log1p(-click_rates)
        ends = np.cumsum([bias.numel() for bias in biases])[:-1]
        with torch.no_grad():
            for bias, own in zip(biases, np.split(odds, ends), strict=True):
                bias.copy_(torch.from_numpy(own).reshape(bias.shape))


def loss_over_tasks(
    logits: Float[Tensor, "batch *tasks"],
    labels: Float[Tensor, "batch tasks"],
    weights: Float[Tensor, " batch"] | None = None,
    task_weights: Float[Tensor, " tasks"] | None = None,
) -> Float[Tensor, ""]:
    """The sum over tasks of the mean log loss of the rows whose label is known, eq. 18.

    Args:
        logits: of one task also `[batch]`.
        labels: 0, 1, or NaN where unknown.
        weights: a factor for each row, or None.
        task_weights: a factor for each task, or None.
    """
    known = ~labels.isnan()
    counted = known if weights is None else weights.unsqueeze(1) * known
    losses = F.binary_cross_entropy_with_logits(
        logits.reshape(labels.shape), labels.nan_to_num(), weight=counted, reduction="none"
    )
    of_tasks = losses.sum(0) / known.sum(0).clamp(min=1)
    return (of_tasks if task_weights is None else of_tasks * task_weights).sum()


def _mean_weight(weights: NDArray[np.float64]) -> Tensor:
    mean = torch.tensor(float(np.mean(weights)), dtype=torch.float32)
    if not (mean > 0 and mean.isfinite()):
        raise DataError(
            f"the sample weights of the training rows have a mean above 0 that float32 can hold; that of these "
            f"{len(weights):,} rows is {np.mean(weights):g}: scale the column of --weight, or name another"
        )
    return mean
