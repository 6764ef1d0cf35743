"""The members of a run: independent networks, several of them trained at once, whose probabilities are averaged.

Member 1 draws from the run's seed, so a run of several begins with the run of one. Each other member has a seed of its
own, derived from it: for its initial weights, the order of rows, dropout, and what is shown as unseen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from masknet.config import RunConfig
from masknet.draws import keyed_number
from masknet.encode import Prepared
from masknet.generator import own_draws
from masknet.models import build_network
from masknet.nn import output_biases
from masknet.nn.ensemble import as_one
from masknet.progress import Progress
from masknet.train.checkpoint import Checkpoint, RunFolder
from masknet.train.lanes import Lanes, draws, in_lanes
from masknet.train.level import level_of, move_biases
from masknet.train.monitor import Watched
from masknet.train.optim import Optimizer, WeightAverage
from masknet.train.pretrained import Vectors, start_from
from masknet.train.sparse import SparseAverage, SparseOptimizer
from masknet.train.standing import Board, Turn
from masknet.train.step import LearnsByRow, NetworkStep, OnlineStep, Step, start_at
from masknet.train.tracking import Tracker
from masknet.train.trainer import Trainer

__all__ = ["Job", "Outcome", "Search", "member_seed", "network_step", "whereabouts"]

_OF_MEMBERS = 0x6D656D62  # apart from the keys of all other draws


def member_seed(seed: int, member: int) -> int:
    """The seed of a member, counted from 0, in a run of that seed.

    >>> member_seed(7, 0), member_seed(7, 1)
    (7, 5264374937946303)
    """
    return seed if member == 0 else keyed_number(seed, _OF_MEMBERS, member)


@dataclass(frozen=True)
class Outcome:
    """What training one member gave beside its weights."""

    history: list[dict[str, Any]]
    best_evaluation: int
    evaluations: int
    """An epoch: fewer than were asked for where it has fewer batches."""
    seconds: float
    stage: str = ""
    """What of the member was trained; "" for the whole."""
    shifts: list[float] = field(default_factory=list)
    """What the biases of the logits were moved by afterwards, one a task."""

    @property
    def best(self) -> dict[str, Any]:
        """The record of the evaluation whose weights are kept."""
        return self.history[self.best_evaluation - 1]

    @property
    def rates(self) -> list[float | None]:
        """The learning rates that led to it, one an evaluation."""
        return [record["learning_rate"] for record in self.history[: self.best_evaluation]]


@dataclass(frozen=True)
class Search:
    """A finished search: how long, and at which rates, each member is best trained; and how good all were then.

    Args:
        fits: what each training gave, in their order: one a member, or one a stage of it.
        metrics: of all as one on the validation rows, as JSON: one table a task.
    """

    fits: list[Outcome]
    metrics: list[dict[str, dict[str, Any]]]

    @property
    def members(self) -> list[Outcome]:
        """What training each member as a whole gave."""
        return [fit for fit in self.fits if not fit.stage]

    @property
    def history(self) -> list[dict[str, Any]]:
        """The records of all."""
        return [record for fit in self.fits for record in fit.history]

    def to_json(self) -> dict[str, Any]:
        """As a checkpoint keeps it."""
        return {"fits": [asdict(fit) for fit in self.fits], "metrics": self.metrics}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Search:
        """The inverse of `to_json`."""
        return cls(_outcomes(content), content["metrics"])


@dataclass(frozen=True)
class _Phase:
    """What the search and the refit of a run do not share.

    Args:
        search: what each checkpoint keeps of the finished search; None while it lasts.
        earlier: the records of what was trained before.
        evaluations: for each training those of an epoch; None for those of the settings.
        rates: for each training the learning rates between them; None where the validation rows decide.
        shifts: for each training what its biases are moved by afterwards; None where the validation rows tell.
        curves: the folder of each member's curves, below that of the member.
    """

    search: dict[str, Any] | None
    earlier: Sequence[dict[str, Any]]
    evaluations: Sequence[int] | None
    rates: Sequence[Sequence[float | None]] | None
    shifts: Sequence[list[float]] | None
    curves: str


@dataclass(frozen=True)
class Job:
    """What all training of a run shares, and the checkpoints to go on from, one a member that has one.

    A run is a search, on the training rows and judged by the validation rows; and where asked a refit, on all rows for
    as long as the search found best.
    """

    config: RunConfig
    settings: dict[str, Any]
    watched: Watched
    device: torch.device
    identity: dict[str, Any]
    progress: Progress
    folder: RunFolder | None
    checkpoints: Mapping[int, Checkpoint]
    lanes: Lanes
    goes_on: Callable[[dict[str, Any]], bool] = lambda record: True
    """Told the record of each evaluation; whether to train on after it."""

    @property
    def members(self) -> int:
        """How many networks are trained."""
        return self.config.members or 1

    @property
    def finished_search(self) -> Search | None:
        """The search, where a checkpoint is of its refit."""
        found = [c.state["found"] for c in self.checkpoints.values() if c.state["found"] is not None]
        return Search.from_json(found[0]) if found else None

    def seconds(self, fits: Sequence[Outcome]) -> float:
        """How long all members took, given what each of their trainings gave."""
        stages = len(fits) // self.members
        members = [fits[first : first + stages] for first in range(0, len(fits), stages)]
        return self.lanes.lasted([sum(fit.seconds for fit in of_member) for of_member in members])

    def search(self, rows: Prepared, vectors: Sequence[Vectors]) -> tuple[nn.Module, list[Outcome]]:
        """Train all members on the training rows, each until the validation rows have seen its best.

        Args:
            rows: to train on, and to validate on.
            vectors: what some rows of every member's tables start from.

        Returns:
            The members as one network, in eval mode on the processor, and what training each gave.
        """
        phase = _Phase(
            search=None,
            earlier=[],
            evaluations=None,
            rates=None,
            shifts=None,
            curves="",
        )
        return self._train(rows, vectors, phase)

    def refit(self, rows: Prepared, vectors: Sequence[Vectors], search: Search) -> tuple[nn.Module, list[Outcome]]:
        """Train all members anew on all rows, each as its search found best.

        Args:
            rows: to train on.
            vectors: as for `search`.
            search: the finished one.

        Returns:
            As `search` does.
        """
        phase = _Phase(
            search=search.to_json(),
            earlier=search.history,
            evaluations=[fit.evaluations for fit in search.fits],
            rates=[fit.rates for fit in search.fits],
            shifts=[fit.shifts for fit in search.fits],
            curves="refit",
        )
        return self._train(rows, vectors, phase)

    def _train(self, rows: Prepared, vectors: Sequence[Vectors], phase: _Phase) -> tuple[nn.Module, list[Outcome]]:
        checkpoints = {
            member: checkpoint
            for member, checkpoint in self.checkpoints.items()
            if (checkpoint.state["found"] is None) == (phase.search is None)  # or it is of the other phase
        }
        if self.folder is not None:
            reached = [record for checkpoint in checkpoints.values() for record in _records(checkpoint)]
            self.folder.reset_log([*phase.earlier, *reached])

        def member(number: int, board: Board) -> tuple[nn.Module, list[Outcome]]:
            return self._train_member(number, rows, vectors, phase, checkpoints.get(number + 1), board)

        trained = in_lanes(member, members=self.members, lanes=self.lanes, progress=self.progress)
        outcomes = [outcome for _, of_member in trained for outcome in of_member]
        if self.folder is not None:  # in the order of the members, whoever was first
            records = [record for outcome in outcomes for record in outcome.history]
            self.folder.reset_log([*phase.earlier, *records])
        return as_one([network for network, _ in trained]).eval(), outcomes

    def _train_member(
        self,
        number: int,
        rows: Prepared,
        vectors: Sequence[Vectors],
        phase: _Phase,
        checkpoint: Checkpoint | None,
        board: Board,
    ) -> tuple[nn.Module, list[Outcome]]:
        """A member, trained through all its stages, on the processor; and what each of them gave."""
        network = self._initial_network(rows, number, board)
        frozen = start_from(vectors, network)
        network.to(self.device)
        stages = _stages(network)
        outcomes = [] if checkpoint is None else _outcomes(checkpoint.state)
        for stage, module in list(stages.items())[len(outcomes) :]:
            own = {id(p): frozen[name] for name, p in network.named_parameters() if name in frozen}
            fixed = {name: own[id(p)] for name, p in module.named_parameters() if id(p) in own}
            fit = number * len(stages) + len(outcomes)
            turn = Turn(number + 1, self.members, stage, self._to_come(number, len(outcomes), len(stages), phase))
            trainer = self._trainer(module, turn, rows, phase, fit, outcomes, fixed, board)
            if checkpoint is not None:
                trainer.restore(checkpoint)
                checkpoint = None
            state, evaluations = trainer.run(), trainer.evaluations
            del trainer  # and with it Adam's memory, before the next one has its own
            network.zero_grad(set_to_none=True)
            assert state.best_evaluation is not None  # the first evaluation is the best so far
            shifts = [] if stage else self._level(network, rows, phase, fit)
            outcomes.append(Outcome(state.history, state.best_evaluation, evaluations, state.seconds, stage, shifts))
        return network.cpu(), outcomes

    def _to_come(self, number: int, stage: int, stages: int, phase: _Phase) -> int:
        """How many trainings, one after the other, follow on this one where it is done."""
        lanes = self.lanes.at_once
        to_come = (stages - stage - 1) + stages * ((self.members - number - 1) // lanes)
        if phase.search is None and self.config.refit:
            to_come += stages * -(-self.members // lanes)
        return to_come

    def _level(self, network: nn.Module, rows: Prepared, phase: _Phase, fit: int) -> list[float]:
        """Move the biases of a trained network, and say by how much; of a refit, as its search found."""
        if phase.shifts is not None:
            shifts = phase.shifts[fit]
        else:
            assert rows.valid is not None
            shifts = level_of(network, rows.valid, rows.train.click_rates)
        if shifts:
            move_biases(network, shifts)
        return shifts

    def _trainer(
        self,
        network: nn.Module,
        turn: Turn,
        rows: Prepared,
        phase: _Phase,
        fit: int,
        outcomes: Sequence[Outcome],
        frozen: dict[str, Tensor],
        board: Board,
    ) -> Trainer:
        """Of the next stage of a member, after those that `outcomes` tell of; `fit` counts those of all members."""
        number = turn.member - 1
        evaluations = self.config.evaluations if phase.evaluations is None else phase.evaluations[fit]
        config = self.config.model_copy(
            update={"seed": member_seed(self.config.seed, number), "evaluations": evaluations}
        )
        tracker = None
        if self.config.tensorboard is not None:
            of_member = f"member-{turn.member}" if self.members > 1 else ""
            tracker = Tracker(Path(self.config.tensorboard, of_member, phase.curves, turn.stage))
        step: Step
        if isinstance(network, LearnsByRow):
            step = OnlineStep(network)
        else:
            step = network_step(
                network,
                config,
                sample_weights=rows.train.weights,
                click_rates=rows.train.click_rates,
                frozen=frozen,
            )
        return Trainer(
            step,
            train=rows.train,
            valid=rows.valid,
            config=config,
            watched=self.watched,
            board=board,
            rates=None if phase.rates is None else phase.rates[fit],
            turn=turn,
            folder=self.folder,
            beside=self.identity | {"found": phase.search, "fits": [asdict(outcome) for outcome in outcomes]},
            tracker=tracker,
            goes_on=self.goes_on,
        )

    def _initial_network(self, rows: Prepared, number: int, board: Board) -> nn.Module:
        space = rows.encoder.space
        with own_draws(member_seed(self.config.seed, number)):
            network = build_network(self.config.model, space, self.settings)
        if number == 0 and (note := getattr(network, "note", None)) is not None:
            board.note(f"{self.config.model}: {note}")
        if number == 0 and not (isinstance(network, LearnsByRow) or output_biases(network, space.num_tasks)):
            board.note(
                f"{self.config.model} begins with a guess of its own, not with the click rate: it adds no bias of "
                f"masknet.nn's Head or LinearTerm to its logits"
            )
        return network


def network_step(
    network: nn.Module,
    config: RunConfig,
    *,
    sample_weights: NDArray[np.float64] | None,
    click_rates: NDArray[np.float64] | None = None,
    frozen: Mapping[str, Tensor] = MappingProxyType({}),
) -> NetworkStep:
    """The step of a network by the settings of a run.

    Args:
        network: on its device, with its initial weights.
        config: the settings, all of them decided.
        sample_weights: of all training rows, or None.
        click_rates: of each task, which the biases of the network's logits start from; None for zero, as it was built.
        frozen: for some parameters the rows that are not trained.

    Raises:
        DataError: the training rows weigh nothing.
    """
    assert config.learning_rate is not None
    assert config.embedding_l2 is not None
    if click_rates is not None:
        start_at(network, click_rates)
    settings: dict[str, Any] = {
        "learning_rate": config.learning_rate,
        "embedding_l2": config.embedding_l2,
        "network_l2": config.network_l2,
        "clip": config.clip,
        "frozen": frozen,
    }
    decay = config.average_weights
    optimizer: Optimizer | SparseOptimizer
    average: WeightAverage | None
    if config.embedding_updates == "sparse":
        average = of_rows = SparseAverage(network, decay) if decay else None
        optimizer = SparseOptimizer(network, average=of_rows, **settings)
    else:
        average = WeightAverage(network, decay) if decay else None
        optimizer = Optimizer(network, **settings)
    return NetworkStep(
        network,
        optimizer=optimizer,
        average=average,
        seed=config.seed,
        draws=draws(config.model, network),
        sample_weights=sample_weights,
        task_weights=[config.task_weight.get(label, 1.0) for label in config.labels] if config.task_weight else None,
        lowered=config.precision == "bf16",
    )


def _stages(network: nn.Module) -> dict[str, nn.Module]:
    """What is trained of a network, one after the other: what it names `pretraining()`, if it does, then the whole."""
    pretraining = getattr(network, "pretraining", None)
    return {"": network} if pretraining is None else {"pretraining": pretraining(), "": network}


def whereabouts(checkpoints: Mapping[int, Checkpoint], members: int) -> str:
    """Where in a run its checkpoints were written, in words: `after 1,200 steps of member 2/4`."""
    refitted = [c for c in checkpoints.values() if c.state["found"] is not None]
    of_phase = refitted or list(checkpoints.values())
    going_on = [c for c in of_phase if not c.state["trainer"]["done"]] or of_phase[-1:]
    of_member = [f" of member {c.member}/{members}" if members > 1 else "" for c in going_on]
    return "after " + " and ".join(
        f"{c.state['trainer']['step']:,} steps{turn}" for c, turn in zip(going_on, of_member, strict=True)
    )


def _records(checkpoint: Checkpoint) -> list[dict[str, Any]]:
    """Those of a member's evaluations until a checkpoint."""
    earlier = [record for outcome in _outcomes(checkpoint.state) for record in outcome.history]
    return [*earlier, *checkpoint.state["trainer"]["history"]]


def _outcomes(content: dict[str, Any]) -> list[Outcome]:
    return [Outcome(**member) for member in content["fits"]]
