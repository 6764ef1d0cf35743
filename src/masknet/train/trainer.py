"""The training loop: single-device in its logic, resumable at any batch with the same bits.

Nothing random outlives a step: rows are ordered by (seed, epoch), dropout is seeded by (seed, step). So weights, Adam's
memory and a few counters are the whole state.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from masknet import metrics
from masknet.batches import Batch, num_batches, shuffled_batches
from masknet.config import RunConfig
from masknet.draws import keyed_uniform
from masknet.encode import EncodedSet
from masknet.errors import ConfigError, DataError, MasknetError
from masknet.progress import Progress
from masknet.scoring import NetworkScorer, probabilities_of, score
from masknet.train.checkpoint import Checkpoint, RunFolder
from masknet.train.optim import Optimizer, Plateau, WeightAverage
from masknet.train.tracking import Tracker

__all__ = ["Interrupted", "State", "Trainer", "Turn"]


_TELL_AFTER_SECONDS = 2.0


class Interrupted(MasknetError):  # noqa: N818 - no error: the user's wish
    """The user stopped the run; what was reached is in its checkpoint."""


@dataclass(frozen=True)
class Turn:
    """Which of a run's members is trained, and how it is called before the reader of the run.

    >>> str(Turn(2, 4)), str(Turn())
    ('member 2/4, ', '')

    Args:
        member: from 1 on.
        of: members in all.
    """

    member: int = 1
    of: int = 1

    def __str__(self) -> str:
        """What every report begins with; nothing where there is one member."""
        return f"member {self.member}/{self.of}, " if self.of > 1 else ""


@dataclass
class State:
    """Where a run stands; with the tensors beside it in a checkpoint, all of it.

    `epoch` and `batch` say what is done next; `history` holds a record an evaluation, `best_evaluation` counts them.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    done: bool = False
    best: float | None = None
    best_evaluation: int | None = None
    since_best: int = 0
    learning_rate: float = 0.0
    seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)


class Trainer:
    """Trains one network on encoded rows.

    Args:
        network: on its device, with its initial weights.
        train, valid: encoded rows; without `valid` all of `rates` is trained and the last weights are kept.
        config: the settings of the run, all of them decided.
        monitor: the validation metric, a name in `metrics.MONITORS`.
        rates: for a refit, the learning rate between one evaluation and the next; else None.
        frozen: for some parameters the rows that are not trained.
        turn: which member of the run it is.
        folder: where checkpoints and the log go, or None to keep none.
        beside: what each checkpoint keeps beside this fit: whose it is, and what the run has trained before.
        earlier: records of the fits before this one in the same run; they stay in the log.
        tracker: who draws the curves, or None.

    Raises:
        DataError: the training rows weigh nothing.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        train: EncodedSet,
        valid: EncodedSet | None,
        config: RunConfig,
        monitor: str,
        progress: Progress,
        rates: Sequence[float] | None = None,
        frozen: Mapping[str, Tensor] = MappingProxyType({}),
        turn: Turn = Turn(),
        folder: RunFolder | None = None,
        beside: Checkpoint | None = None,
        earlier: Sequence[dict[str, Any]] = (),
        tracker: Tracker | None = None,
    ) -> None:
        self.network = network
        self._train, self._valid = train, valid
        self._config, self._monitor, self._progress = config, monitor, progress
        self._rates, self._turn, self._folder, self._earlier = rates, turn, folder, earlier
        self._tracker = tracker
        self._beside = Checkpoint({}, {}) if beside is None else beside
        self._device = next(network.parameters()).device
        rate, patience, size = config.learning_rate, config.patience, config.batch_size
        assert rate is not None
        assert patience is not None
        assert size is not None
        assert config.embedding_l2 is not None
        self._batch_size = size
        batches = num_batches(len(train), size)
        parts = min(config.evaluations or 1, batches)
        self._ends = [-(-batches * (part + 1) // parts) for part in range(parts)]
        self._optimizer = Optimizer(
            network,
            learning_rate=rate,
            embedding_l2=config.embedding_l2,
            network_l2=config.network_l2,
            clip=config.clip,
            frozen=frozen,
        )
        self._plateau = Plateau(metrics.MONITORS[monitor].better, patience=patience, drop=config.schedule == "plateau")
        self._average = None if not config.average_weights else WeightAverage(network, decay=config.average_weights)
        self._mean_weight = None if train.weights is None else _mean_weight(train.weights).to(self._device)
        self._loss_sum = torch.zeros((), dtype=torch.float64, device=self._device)
        self._best: dict[str, Tensor] = {}
        self.state = State(learning_rate=rate)

    @property
    def epochs(self) -> int:
        """Epochs at most."""
        if self._rates is not None:
            return -(-len(self._rates) // self.evaluations)
        assert self._config.epochs is not None
        return self._config.epochs

    @property
    def evaluations(self) -> int:
        """Evaluations an epoch, no more than it has batches."""
        return len(self._ends)

    def run(self) -> State:
        """Train to the end and leave the kept weights in the network.

        Raises:
            ConfigError: the loss or a weight is no longer finite.
            Interrupted: the progress asked to stop; the checkpoint has all.
        """
        state = self.state
        self._started = self._saved = time.monotonic()
        if self._folder is not None:
            self._folder.reset_log([*self._earlier, *state.history])
        devices = [self._device] if self._device.type == "cuda" else []
        closing = nullcontext() if self._tracker is None else contextlib.closing(self._tracker)
        with closing, self._progress.holding_interrupts(), torch.random.fork_rng(devices=devices):
            while not state.done:
                self._train_part()
                self._end_part()
        self.network.load_state_dict(self._best)
        self.network.eval()
        state.seconds = self._seconds()
        return state

    def _seconds(self) -> float:
        """Of the whole fit, those before a kill included."""
        return self.state.seconds + time.monotonic() - self._started

    def _part(self) -> int:
        """Which of the parts that an epoch's evaluations cut it into is trained: each ends with a record."""
        return len(self.state.history) % self.evaluations

    def _train_part(self) -> None:
        state, config = self.state, self._config
        if self._rates is not None:
            self._optimizer.learning_rate = self._rates[len(state.history)]
        rows, size = len(self._train), self._batch_size
        end = self._ends[self._part()]
        batches = shuffled_batches(
            self._train,
            batch_size=size,
            seed=config.seed,
            epoch=state.epoch,
            start=state.batch,
            unseen_rate=config.unseen_rate,
        )
        self.network.train()
        started, first, told = time.monotonic(), state.batch, False
        for batch in itertools.islice(batches, end - first):
            self._step(batch.to(self._device))
            state.batch += 1
            state.step += 1
            elapsed = time.monotonic() - started
            rate = (state.batch - first) * size / max(elapsed, 1e-9)
            if state.epoch == 0 and not told and elapsed > _TELL_AFTER_SECONDS:
                told = True
                left = self._turn.of - self._turn.member + 1
                each = f" for each of {left} members" if left > 1 else ""
                longest = left * self.epochs * rows / rate / 60
                self._progress.note(
                    f"an epoch takes about {rows / rate:,.0f} s; {self.epochs} epochs at most{each}, {longest:,.0f} min"
                )
            self._progress.track(
                f"{self._turn}epoch {state.epoch + 1}/{self.epochs}",
                min(state.batch * size, rows),
                rows,
                f"{rate:,.0f} rows/s",
            )
            self._checkpoint_if_due(end)

    def _step(self, batch: Batch) -> None:
        # One generator state a step: what dropout draws does not depend on what was drawn before.
        torch.manual_seed(int(keyed_uniform(self._config.seed, self.state.step)[0] * 2**53))
        logits = self.network(batch.ids, batch.values, batch.dense)
        # Shares of the mean, divided and not scaled by its inverse: equal weights are 1, and change no bit.
        weights = None if batch.weights is None or self._mean_weight is None else batch.weights / self._mean_weight
        loss = _log_loss(logits, batch.labels, weights)
        self._optimizer.step(loss)
        if self._average is not None:
            self._average.update()
        self._loss_sum += loss.detach().double() * len(batch)

    def _checkpoint_if_due(self, end: int) -> None:
        if self._progress.stopping():
            self._save()
            raise Interrupted(f"stopped in {self._turn}epoch {self.state.epoch + 1}, after {self.state.step:,} steps")
        due = self._saved + 60 * self._config.checkpoint_minutes
        if time.monotonic() >= due and self.state.batch < end:  # the evaluation that follows writes one anyway
            self._save()

    def _end_part(self) -> None:
        state = self.state
        self._require_finite()
        part = self._part()
        begin = self._ends[part - 1] if part else 0
        rows = min(state.batch * self._batch_size, len(self._train)) - begin * self._batch_size
        whole = part + 1 == self.evaluations
        trained = self._seconds() - (state.history[-1]["seconds"] if state.history else 0.0)
        record: dict[str, Any] = {"member": self._turn.member} if self._turn.of > 1 else {}
        record |= {
            "epoch": state.epoch + 1 if whole else round(state.epoch + (part + 1) / self.evaluations, 4),
            "step": state.step,
            "learning_rate": self._optimizer.learning_rate,
            "train_log_loss": float(self._loss_sum) / rows,
            "train_seconds": round(trained, 3),
        }
        if self._rates is not None:
            record["refit"] = True
        with_average = self._average.applied if self._average is not None else nullcontext
        with with_average():
            if self._valid is None:
                kept = self._rates is not None and len(state.history) + 1 == len(self._rates)
            else:
                record["valid"] = self._evaluate()
                kept = self._plateau.update(record["valid"][self._monitor], self._optimizer)
            if kept:
                self._best = {name: t.detach().cpu().clone() for name, t in self.network.state_dict().items()}
                state.best_evaluation = len(state.history) + 1
        record["best"] = kept
        record["seconds"] = round(self._seconds(), 3)
        state.history.append(record)
        state.best, state.since_best = self._plateau.best, self._plateau.since_best
        if whole:
            state.epoch, state.batch = state.epoch + 1, 0
        if self._valid is None:
            state.done = kept
        else:
            state.done = state.epoch == self.epochs or self._plateau.exhausted
        self._loss_sum.zero_()
        self._save()
        if self._folder is not None:
            self._folder.append_log(record)
        if self._tracker is not None:
            self._tracker.write(record)
        self._progress.note(f"{self._turn}{_line(record, self._monitor)}")

    def _evaluate(self) -> dict[str, float | None]:
        valid = self._valid
        assert valid is not None
        logits = score(
            NetworkScorer(self.network),
            valid,
            advance=lambda done: self._progress.track(f"{self._turn}validate", done, len(valid)),
        )
        self._require_finite(torch.from_numpy(logits))
        estimates = metrics.evaluate_tasks(valid.labels, probabilities_of(logits), valid.weights, valid.groups)[0]
        return {name: estimate.value for name, estimate in estimates.items()}

    def _require_finite(self, *more: Tensor) -> None:
        """Refuse to go on with, or to keep, a state from which no training leads anywhere."""
        if not all(bool(t.isfinite().all()) for t in (self._loss_sum, *self.network.parameters(), *more)):
            clip = self._config.clip
            raise ConfigError(
                f"training needs finite numbers; in {self._turn}epoch {self.state.epoch + 1} the loss or a weight "
                f"became infinite or not a number: lower --learning-rate (now {self._optimizer.learning_rate:g}) or "
                + ("set --clip" if clip is None else f"--clip (now {clip:g})")
            )

    def _save(self) -> None:
        self._saved = time.monotonic()
        if self._folder is None:
            return
        self._require_finite()
        state = dataclasses.replace(self.state, learning_rate=self._optimizer.learning_rate, seconds=self._seconds())
        tensors = dict(self._beside.tensors)
        tensors |= {f"network:{name}": t for name, t in self.network.state_dict().items()}
        tensors |= {f"adam:{name}": t for name, t in self._optimizer.state().items()}
        tensors |= {f"best:{name}": t for name, t in self._best.items()}
        tensors["loss_sum:"] = self._loss_sum
        if self._average is not None:
            tensors |= {f"average:{name}": t for name, t in self._average.weights.items()}
        self._folder.save(Checkpoint({"trainer": dataclasses.asdict(state), **self._beside.state}, tensors))

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint of the same fit, of this process or of one before."""
        self.state = state = State(**checkpoint.state["trainer"])
        self.network.load_state_dict(checkpoint.part("network"))
        self._optimizer.restore(checkpoint.part("adam"))
        self._optimizer.learning_rate = state.learning_rate
        self._best = checkpoint.part("best")
        self._loss_sum.copy_(checkpoint.tensors["loss_sum:"])
        self._plateau.best, self._plateau.since_best = state.best, state.since_best
        if self._average is not None:
            self._average.restore(checkpoint.part("average"), state.step)


def _log_loss(
    logits: Float[Tensor, "batch *tasks"], labels: Float[Tensor, "batch tasks"], weights: Float[Tensor, " batch"] | None
) -> Float[Tensor, ""]:
    """The sum over tasks of the mean log loss of the rows whose label is known, eq. 18."""
    known = ~labels.isnan()
    losses = F.binary_cross_entropy_with_logits(logits.reshape(labels.shape), labels.nan_to_num(), reduction="none")
    if weights is not None:
        losses = losses * weights.unsqueeze(1)
    return (losses.where(known, 0).sum(0) / known.sum(0).clamp(min=1)).sum()


def _mean_weight(weights: NDArray[np.float64]) -> Tensor:
    mean = torch.tensor(float(np.mean(weights)), dtype=torch.float32)
    if not (mean > 0 and mean.isfinite()):
        raise DataError(
            f"the sample weights of the training rows have a mean above 0 that float32 can hold; that of these "
            f"{len(weights):,} rows is {np.mean(weights):g}: scale the column of --weight, or name another"
        )
    return mean


def _line(record: dict[str, Any], monitor: str) -> str:
    text = f"epoch {record['epoch']}: train log loss {record['train_log_loss']:.4f}"
    if "valid" in record:
        valid = record["valid"]
        names = dict.fromkeys(("auc", "log_loss", monitor))
        shown = [f"{name.replace('_', ' ')} {valid[name]:.4f}" for name in names if valid.get(name) is not None]
        text += f"; valid {', '.join(shown)}" + (" (best)" if record["best"] else "")
    return f"{text}; {record['seconds']:.0f} s"
