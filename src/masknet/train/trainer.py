"""The training loop: single-device in its logic, resumable at any batch with the same bits.

Nothing random outlives a step: rows are ordered by (seed, epoch), and a step draws by (seed, step). So what the step
keeps, the best model and a few counters are the whole state.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from masknet import metrics
from masknet.batches import num_batches, training_batches
from masknet.config import RunConfig
from masknet.encode import EncodedSet
from masknet.errors import ConfigError
from masknet.figures import in_time
from masknet.scoring import Scorer, probabilities_of, score
from masknet.train.checkpoint import Checkpoint, RunFolder, prefixed
from masknet.train.monitor import Watched
from masknet.train.optim import Plateau
from masknet.train.standing import Board, Interrupted, Standing, Turn
from masknet.train.step import Step
from masknet.train.tracking import Tracker

__all__ = ["State", "Trainer"]


_ALONE = Turn()

_TELL_AFTER_SECONDS = 2.0
"""Sooner, the pace of the first steps says little of the others."""


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
    best_log_loss: float | None = None
    best_evaluation: int | None = None
    since_best: int = 0
    learning_rate: float | None = None
    seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)


class Trainer:
    """Trains one model: owns epochs, evaluations, checkpoints and reports, and leaves what a batch does to a step.

    Args:
        step: learns from the batches; it holds the model.
        train: the rows to learn from.
        valid: the rows that tell which evaluation was the best, and when to stop; None for a refit.
        config: the settings of the run, all of them decided.
        watched: which metric on the validation rows decides.
        board: hears how it goes.
        rates: for a refit, the learning rate between one evaluation and the next: all of them are trained, and the last
            model is kept. Else None.
        turn: which member of the run it is.
        folder: where checkpoints and the log go, or None to keep none.
        beside: what each checkpoint keeps beside this training: of which run it is, and what was trained before.
        tracker: who draws the curves, or None.
        goes_on: told the record of each evaluation; whether to train on after it.
    """

    def __init__(
        self,
        step: Step,
        *,
        train: EncodedSet,
        valid: EncodedSet | None,
        config: RunConfig,
        watched: Watched,
        board: Board,
        rates: Sequence[float | None] | None = None,
        turn: Turn = _ALONE,
        folder: RunFolder | None = None,
        beside: Mapping[str, Any] = MappingProxyType({}),
        tracker: Tracker | None = None,
        goes_on: Callable[[dict[str, Any]], bool] = lambda record: True,
    ) -> None:
        assert (valid is None) != (rates is None)
        assert config.patience is not None
        assert config.batch_size is not None
        self._step = step
        self._train, self._valid = train, valid
        self._config, self._watched, self._board = config, watched, board
        self._rates, self._turn, self._folder, self._beside = rates, turn, folder, beside
        self._tracker, self._goes_on = tracker, goes_on
        self._batch_size = config.batch_size
        batches = num_batches(len(train), self._batch_size)
        parts = min(config.evaluations or 1, batches)
        self._ends = [-(-batches * (part + 1) // parts) for part in range(parts)]
        self._plateau = Plateau(watched.better, patience=config.patience, drop=config.schedule == "plateau")
        self._loss_sum = torch.zeros((), dtype=torch.float64)
        self._best: dict[str, Tensor] = {}
        self.state = State(learning_rate=step.learning_rate)

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
        """Train to the end and leave the best model in the step.

        Raises:
            ConfigError: the loss or a weight is no longer finite.
            Interrupted: the progress asked to stop; the checkpoint has all.
        """
        self._started = self._saved = time.monotonic()
        closing = nullcontext() if self._tracker is None else contextlib.closing(self._tracker)
        with closing, self._board.holding_interrupts():
            while not self.state.done:
                self._train_part()
                self._end_part()
        self._step.finish(self._best)
        self.state.seconds = self._seconds()
        self._board.note(self._outcome())
        return self.state

    def _train_part(self) -> None:
        """Train to the next evaluation, a step a batch."""
        state = self.state
        if self._rates is not None:
            self._set_rate(self._rates[len(state.history)])
        batches = training_batches(
            self._train,
            batch_size=self._batch_size,
            seed=self._config.seed,
            epoch=state.epoch,
            start=state.batch,
            unseen_rate=self._config.unseen_rate,
            shuffled=self._step.shuffles,
        )
        end = self._ends[self._part()]
        for batch in itertools.islice(batches, end - state.batch):
            # A new sum and not an old one added to: the loss is where the step's device is, and is not waited for.
            self._loss_sum = self._loss_sum + self._step(batch, state.step) * len(batch)
            state.batch += 1
            state.step += 1
            rows = len(self._train)
            self._tell(f"epoch {state.epoch + 1}/{self.epochs}", min(state.batch * self._batch_size, rows), rows)
            self._checkpoint_if_due(end)

    def _end_part(self) -> None:
        """Evaluate, keep the model if it is the best, and write down where the run stands."""
        state = self.state
        self._require_finite()
        record = self._record()
        with self._step.evaluating() as scorer:
            kept = self._judge(scorer, record)
            if kept:
                self._best = self._step.kept()
                state.best_evaluation = len(state.history) + 1
        record |= {"best": kept, "seconds": round(self._seconds(), 3)}
        if self._part() + 1 == self.evaluations:
            state.epoch, state.batch = state.epoch + 1, 0
        state.history.append(record)
        plateau = self._plateau
        state.best, state.best_log_loss, state.since_best = plateau.best, plateau.best_log_loss, plateau.since_best
        if self._valid is None:
            state.done = kept
        else:
            state.done = not self._goes_on(record) or state.epoch == self.epochs or plateau.exhausted
        self._loss_sum = torch.zeros_like(self._loss_sum)
        self._save()
        if self._folder is not None:
            self._folder.append_log(record)
        if self._tracker is not None:
            self._tracker.write(record)
        if self._config.verbose:
            self._board.note(f"{self._turn}{_line(record, self._watched)}")

    def _judge(self, scorer: Scorer, record: dict[str, Any]) -> bool:
        """Whether the model of now is the best so far; what the validation rows say of it goes into the record."""
        if self._valid is None:  # a refit: its search found how long
            assert self._rates is not None
            return len(self.state.history) + 1 == len(self._rates)
        record |= self._evaluate(scorer, self._valid)
        log_loss = Watched("log_loss", self._watched.label)  # of equal values it decides
        return self._plateau.update(self._watched.value(record), log_loss.value(record), self._step)

    def _record(self) -> dict[str, Any]:
        """What is known of a part of an epoch before it is evaluated."""
        state, part = self.state, self._part()
        whole = part + 1 == self.evaluations
        begin = self._ends[part - 1] if part else 0
        rows = min(state.batch * self._batch_size, len(self._train)) - begin * self._batch_size
        trained = self._seconds() - (state.history[-1]["seconds"] if state.history else 0.0)
        record: dict[str, Any] = {"member": self._turn.member} if self._turn.of > 1 else {}
        record |= {"stage": self._turn.stage} if self._turn.stage else {}
        record |= {
            "epoch": state.epoch + 1 if whole else round(state.epoch + (part + 1) / self.evaluations, 4),
            "step": state.step,
            "learning_rate": self._step.learning_rate,
            "train_log_loss": float(self._loss_sum) / rows,
            "train_seconds": round(trained, 3),
        }
        return record if self._rates is None else record | {"refit": True}

    def _evaluate(self, scorer: Scorer, valid: EncodedSet) -> dict[str, Any]:
        """The validation metrics: of several tasks their means, then each task's own by its label."""
        logits = score(
            scorer,
            valid,
            advance=lambda done: self._tell("validate", done, len(valid)),
        )
        self._require_finite(logits)
        of_tasks = metrics.evaluate_tasks(valid.labels, probabilities_of(logits), valid.weights, valid.groups)
        values = [{name: estimate.value for name, estimate in of_task.items()} for of_task in of_tasks]
        if len(values) == 1:
            return {"valid": values[0]}
        return {"valid": _means(values), "tasks": dict(zip(self._config.labels, values, strict=True))}

    def _require_finite(self, *logits: NDArray[np.float32]) -> None:
        """Refuse to go on with, or to keep, a state from which no training leads anywhere."""
        scored = all(bool(np.isfinite(some).all()) for some in logits)
        if not (scored and bool(self._loss_sum.isfinite()) and self._step.finite()):
            raise ConfigError(
                f"training needs finite numbers; in {self._turn}epoch {self.state.epoch + 1} the loss or a weight "
                f"became infinite or not a number: {self._step.advice()}"
            )

    def _set_rate(self, rate: float | None) -> None:
        if rate is not None:
            self._step.learning_rate = rate

    def _seconds(self) -> float:
        """Of the whole training, those before a kill included."""
        return self.state.seconds + time.monotonic() - self._started

    def _part(self) -> int:
        """Which of the parts that an epoch's evaluations cut it into is trained: each ends with a record."""
        return len(self.state.history) % self.evaluations

    def _outcome(self) -> str:
        """What came of the training, in one line."""
        state = self.state
        assert state.best_evaluation is not None  # the first evaluation is the best so far
        best, epochs = state.history[state.best_evaluation - 1], state.history[-1]["epoch"]
        took = in_time(state.seconds)
        if self._valid is None:
            return f"{self._turn}trained anew for {epochs} epochs; {took}"
        return f"{self._turn}valid {self._watched.said(best)}, best in epoch {best['epoch']} of {epochs}; {took}"

    def _tell(self, work: str, done: int, total: int) -> None:
        """Report where the training stands, how good the best evaluation is, and how long all may take.

        Patience may end it sooner, so the time is the longest; of a refit, whose length is known, it is a guess. While
        a stage is trained before the whole, nothing is known of the time that the whole takes.
        """
        state, seconds = self.state, self._seconds()
        left = None
        if seconds >= _TELL_AFTER_SECONDS and not (self._turn.stage and self._turn.to_come):
            left = seconds / state.step * (self._steps() * (1 + self._turn.to_come) - state.step)
        self._board.tell(
            Standing(
                self._turn,
                work,
                done,
                total,
                pace=state.step * self._batch_size / max(seconds, 1e-9),
                patience=f"{state.since_best} of {self._config.patience} without better",
                best=None if state.best is None else (str(self._watched), state.best),
                left=left,
                is_refit=self._rates is not None,
            )
        )

    def _steps(self) -> int:
        """Of the whole training, at most."""
        if self._rates is None:
            return self.epochs * self._ends[-1]
        whole, parts = divmod(len(self._rates), self.evaluations)
        return whole * self._ends[-1] + (self._ends[parts - 1] if parts else 0)

    def _checkpoint_if_due(self, end: int) -> None:
        if self._board.stopping():
            self._save()
            raise Interrupted(f"in {self._turn}epoch {self.state.epoch + 1}, after {self.state.step:,} steps")
        due = self._saved + 60 * self._config.checkpoint_minutes
        if time.monotonic() >= due and self.state.batch < end:  # the evaluation that follows writes one anyway
            self._save()

    def _save(self) -> None:
        self._saved = time.monotonic()
        if self._folder is None:
            return
        self._require_finite()
        state = dataclasses.replace(self.state, learning_rate=self._step.learning_rate, seconds=self._seconds())
        tensors = prefixed("best", self._best)
        if not state.done:  # what is done needs no more than its best, and makes room for others
            tensors |= self._step.state() | {"loss_sum:": self._loss_sum}
        self._folder.save(
            Checkpoint({"trainer": dataclasses.asdict(state), **self._beside}, tensors, self._turn.member)
        )

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint of the same training, of this process or of one before."""
        self.state = state = State(**checkpoint.state["trainer"])
        self._best = checkpoint.part("best")
        if state.done:
            return
        self._step.restore(checkpoint)
        self._set_rate(state.learning_rate)
        self._loss_sum = checkpoint.tensors["loss_sum:"]
        plateau = self._plateau
        plateau.best, plateau.best_log_loss, plateau.since_best = state.best, state.best_log_loss, state.since_best


def _means(of_tasks: Sequence[dict[str, float | None]]) -> dict[str, float | None]:
    """Each metric's mean over the tasks where it is defined, None where it is in none.

    >>> _means([{"auc": 0.5, "ndcg": None}, {"auc": 0.75, "ndcg": None}])
    {'auc': 0.625, 'ndcg': None}
    """
    defined = {name: [v for task in of_tasks if (v := task[name]) is not None] for name in of_tasks[0]}
    return {name: sum(values) / len(values) if values else None for name, values in defined.items()}


def _line(record: dict[str, Any], watched: Watched) -> str:
    text = f"epoch {record['epoch']}: train log loss {record['train_log_loss']:.4f}"
    if "valid" in record:
        text += f"; valid {watched.said(record)}" + (" (best)" if record["best"] else "")
    return f"{text}; {record['seconds']:.0f} s"
