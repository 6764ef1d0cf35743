"""Where the trainings of a run stand, and the one line that tells the reader of it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from masknet.errors import MasknetError
from masknet.figures import in_time, metric_name
from masknet.progress import Progress

__all__ = ["Board", "Interrupted", "Standing", "Turn", "line_of"]


class Interrupted(MasknetError):  # noqa: N818 - no error: the user's wish
    """The user stopped the run; what was reached is in its checkpoints.

    >>> str(Interrupted("in epoch 1, after 3 steps")), str(Interrupted())
    ('stopped in epoch 1, after 3 steps', 'stopped')

    Args:
        where: of each training that was stopped, where.
    """

    def __init__(self, *where: str) -> None:
        super().__init__(" ".join(filter(None, ("stopped", "; ".join(where)))))
        self.where = where


@dataclass(frozen=True)
class Turn:
    """Which of a run's members is trained, and how it is called before the reader of the run.

    >>> str(Turn(2, 4)), str(Turn()), str(Turn(stage="pretraining"))
    ('member 2/4, ', '', 'pretraining, ')

    Args:
        member: from 1 on.
        of: members in all.
        stage: what is trained of it; "" for the whole.
        to_come: how many trainings like this one the run has still to do after it, where it is done.
    """

    member: int = 1
    of: int = 1
    stage: str = ""
    to_come: int = 0

    def __str__(self) -> str:
        """What every report begins with; nothing where there is one member, and it is trained as a whole."""
        return (f"member {self.member}/{self.of}, " if self.of > 1 else "") + (f"{self.stage}, " if self.stage else "")


@dataclass(frozen=True)
class Standing:
    """How far one training is.

    Args:
        turn: whose it is.
        work: what is done now: "epoch 3/20", "validate".
        done, total: rows of it.
        pace: rows a second so far.
        patience: how much of it is used up, in words.
        best: the metric that decides, and its best value so far; None before the first evaluation.
        left: seconds to the end of the run, at most; None while nothing is known of them.
        is_refit: whether its length is known, so that `left` is a guess and no bound.
    """

    turn: Turn
    work: str
    done: int
    total: int
    pace: float
    patience: str
    best: tuple[str, float] | None = None
    left: float | None = None
    is_refit: bool = False


def line_of(trainings: Sequence[Standing]) -> tuple[str, int, int, str]:
    """What is told of trainings that go on at the same time, or of one: phase, rows done, rows in all, and the rest.

    >>> far = {"work": "epoch 3/20", "done": 512, "total": 2048, "pace": 9000.0, "patience": "0 of 8 without better"}
    >>> first, second = (Standing(Turn(n, 4), **far, best=("auc", 0.7 + n / 100), left=40.0) for n in (1, 2))
    >>> line_of([first])
    ('member 1/4, epoch 3/20', 512, 2048, 'auc 0.7100, 0 of 8 without better, 40 s at most')
    >>> line_of([first, second])
    ('members 1 and 2 of 4, epoch 3/20', 1024, 4096, 'auc 0.7100 and 0.7200, 40 s at most')
    """
    phases: dict[tuple[str, str], list[Turn]] = {}
    for training in trainings:
        phases.setdefault((training.turn.stage, training.work), []).append(training.turn)
    phase = "; ".join(f"{_called(turns)}{work}" for (_, work), turns in phases.items())
    said = []
    if best := [training.best for training in trainings if training.best is not None]:
        said.append(f"{metric_name(best[0][0])} {_listed([f'{value:.4f}' for _, value in best])}")
        said += [trainings[0].patience] if len(trainings) == 1 else []
    if left := [training.left for training in trainings if training.left is not None]:
        time = in_time(max(left))
        said.append(f"about {time} left" if trainings[0].is_refit else f"{time} at most")
    pace = sum(training.pace for training in trainings)
    done, total = (sum(numbers) for numbers in zip(*((t.done, t.total) for t in trainings), strict=True))
    return phase, done, total, ", ".join(said) or f"{pace:,.0f} rows/s"


def _called(turns: Sequence[Turn]) -> str:
    """What a report of some members, all of them in the same stage, begins with."""
    if len(turns) == 1:
        return str(turns[0])
    stage = f"{turns[0].stage}, " if turns[0].stage else ""
    return f"members {_listed([str(turn.member) for turn in turns])} of {turns[0].of}, {stage}"


def _listed(words: Sequence[str]) -> str:
    *others, last = words
    return f"{', '.join(others)} and {last}" if others else last


class Board:
    """What the trainings of a run tell, and are told, of the progress.

    Args:
        progress: who hears of them.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def note(self, text: str) -> None:
        """Say something that the reader of the run wants to know."""
        self._progress.note(text)

    def tell(self, standing: Standing) -> None:
        """Say how far a training is."""
        self._progress.track(*line_of([standing]))

    def stopping(self) -> bool:
        """Whether the user asked to stop at the next safe point."""
        return self._progress.stopping()

    def holding_interrupts(self) -> AbstractContextManager[None]:
        """Within it, a wish to stop is kept for `stopping`."""
        return self._progress.holding_interrupts()
