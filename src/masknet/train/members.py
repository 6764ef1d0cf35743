"""The members of a run: independent networks, trained one after the other, whose probabilities are averaged.

Member 1 draws from the run's seed, so a run of several begins with the run of one. Each other member has a seed of its
own, derived from it: for its initial weights, the order of rows, dropout, and what is shown as unseen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from masknet.config import RunConfig
from masknet.draws import keyed_uniform
from masknet.encode import Prepared
from masknet.models import build_network
from masknet.nn.ensemble import as_one
from masknet.progress import Progress
from masknet.train.checkpoint import Checkpoint, RunFolder
from masknet.train.pretrained import Vectors, start_from
from masknet.train.tracking import Tracker
from masknet.train.trainer import Trainer, Turn

__all__ = ["Fit", "Found", "Job", "member_seed", "whereabouts"]

_OF_MEMBERS = 0x6D656D62  # apart from the keys of all other draws


def member_seed(seed: int, member: int) -> int:
    """The seed of a member, counted from 0, in a run of that seed.

    >>> member_seed(7, 0), member_seed(7, 1)
    (7, 5264374937946303)
    """
    return seed if member == 0 else int(keyed_uniform(seed, _OF_MEMBERS, member)[0] * 2**53)


@dataclass(frozen=True)
class Fit:
    """What training one member gave beside its weights."""

    history: list[dict[str, Any]]
    best_evaluation: int
    evaluations: int
    """An epoch: fewer than were asked for where it has fewer batches."""
    seconds: float

    @property
    def best(self) -> dict[str, Any]:
        """The record of the evaluation whose weights are kept."""
        return self.history[self.best_evaluation - 1]


@dataclass(frozen=True)
class Found:
    """What the fits on the training rows found: all that a refit needs, and that is told of them."""

    fits: list[Fit]
    metrics: list[dict[str, dict[str, Any]]]
    """Of each task, as JSON."""

    @property
    def history(self) -> list[dict[str, Any]]:
        """The records of all members."""
        return [record for fit in self.fits for record in fit.history]

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Found:
        """The inverse of `asdict`."""
        return cls(_fits(content["fits"]), content["metrics"])


@dataclass(frozen=True)
class Job:
    """What the fits of a run share, and the checkpoint that belongs to one of them."""

    config: RunConfig
    settings: dict[str, Any]
    monitor: str
    device: torch.device
    identity: dict[str, Any]
    progress: Progress
    folder: RunFolder | None
    checkpoint: Checkpoint | None

    @property
    def members(self) -> int:
        """How many networks are trained."""
        return self.config.members or 1

    def fit(
        self, rows: Prepared, vectors: Sequence[Vectors], found: Found | None = None
    ) -> tuple[nn.Module, list[Fit]]:
        """Train all members from their initial weights; with what earlier fits found, each for its own epochs.

        Args:
            rows: to train on, and without `found` to validate on.
            vectors: what some rows of every member's tables start from.
            found: what the fits on the training rows found, or None to find it.

        Returns:
            The members as one network, in eval mode on the processor, and what each fit gave.
        """
        checkpoint = self.checkpoint
        if checkpoint is not None and (checkpoint.state["found"] is None) != (found is None):
            checkpoint = None  # of the other fit
        fits = [] if checkpoint is None else _fits(checkpoint.state["fits"])
        members: list[nn.Module] = []
        for number in range(self.members):
            network = self._initial_network(rows, number)
            if number == 0 and self.folder is not None:
                self.folder.require_room(self._largest_checkpoint(network))
            frozen = start_from(vectors, network)
            if checkpoint is not None and number < len(fits):
                network.load_state_dict(checkpoint.part(_prefix(number)))
                members.append(network.eval())
                continue
            network.to(self.device)
            trainer = self._trainer(network, rows, found, members, fits, frozen)
            if checkpoint is not None:
                trainer.restore(checkpoint)
                checkpoint = None
            state, evaluations = trainer.run(), trainer.evaluations
            del trainer  # and with it Adam's memory, before the next one has its own
            network.zero_grad(set_to_none=True)
            assert state.best_evaluation is not None  # the first evaluation is the best so far
            fits.append(Fit(state.history, state.best_evaluation, evaluations, state.seconds))
            members.append(network.cpu())
            if found is None and self.members > 1:
                best = fits[-1].best
                self.progress.note(
                    f"{Turn(number + 1, self.members)}alone: {self.monitor.replace('_', ' ')} "
                    f"{best['valid'][self.monitor]:.4f} in epoch {best['epoch']}"
                )
        return as_one(members).eval(), fits

    def _trainer(
        self,
        network: nn.Module,
        rows: Prepared,
        found: Found | None,
        members: Sequence[nn.Module],
        fits: Sequence[Fit],
        frozen: dict[str, Tensor],
    ) -> Trainer:
        number = len(members)
        config = self.config.model_copy(update={"seed": member_seed(self.config.seed, number)})
        rates = None
        if found is not None:
            of_this = found.fits[number]
            config = config.model_copy(update={"evaluations": of_this.evaluations})
            rates = [record["learning_rate"] for record in of_this.history[: of_this.best_evaluation]]
        tracker = None
        if self.config.tensorboard is not None:
            of_member = [f"member-{number + 1}"] if self.members > 1 else []
            of_refit = [] if found is None else ["refit"]
            tracker = Tracker(Path(self.config.tensorboard, *of_member, *of_refit))
        # Earlier members lie in every checkpoint: one file is whole or not there, and a run is rarely of many.
        beside = Checkpoint(
            self.identity | {"found": None if found is None else asdict(found), "fits": [asdict(fit) for fit in fits]},
            {f"{_prefix(i)}:{name}": t for i, m in enumerate(members) for name, t in m.state_dict().items()},
        )
        return Trainer(
            network,
            train=rows.train,
            valid=rows.valid,
            config=config,
            monitor=self.monitor,
            progress=self.progress,
            rates=rates,
            frozen=frozen,
            turn=Turn(number + 1, self.members),
            folder=self.folder,
            beside=beside,
            earlier=[*([] if found is None else found.history), *(record for fit in fits for record in fit.history)],
            tracker=tracker,
        )

    def _largest_checkpoint(self, network: nn.Module) -> int:
        """Bytes of the last member's checkpoints, given one member: all others lie in it, finished."""
        size: int = sum(t.nbytes for t in network.state_dict().values())
        # Its weights, Adam's two moments, the best weights; the average where one is kept.
        return size * (4 + bool(self.config.average_weights) + self.members - 1)

    def _initial_network(self, rows: Prepared, number: int) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(member_seed(self.config.seed, number))
            return build_network(self.config.model, rows.encoder.space, self.settings)


def whereabouts(checkpoint: Checkpoint, members: int) -> str:
    """Where in its run a checkpoint was written, in words: `after 1,200 steps of member 2/4`."""
    turn = f" of member {len(checkpoint.state['fits']) + 1}/{members}" if members > 1 else ""
    return f"after {checkpoint.state['trainer']['step']:,} steps{turn}"


def _prefix(number: int) -> str:
    return f"member {number}"


def _fits(contents: list[dict[str, Any]]) -> list[Fit]:
    return [Fit(**content) for content in contents]
