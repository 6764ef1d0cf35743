"""How a comparison tells where it is: which run of how many, in one line, and each warning once."""

from __future__ import annotations

from masknet.figures import in_time
from masknet.progress import Progress

__all__ = ["Left", "OfOne", "Once"]


class Left:
    """How many runs are left, and about how long they take; in words behind a run's name."""

    def __init__(self, runs: int) -> None:
        self._runs, self._done, self._seconds = runs, 0, 0.0

    def done(self, seconds: float) -> None:
        self._runs, self._done, self._seconds = self._runs - 1, self._done + 1, self._seconds + seconds

    def give_up(self, runs: int) -> None:
        self._runs -= runs

    def __str__(self) -> str:
        if self._runs < 2:
            return ", the last run"
        time_left = f", about {in_time(self._runs * self._seconds / self._done)}" if self._done else ""
        return f", {self._runs} runs left{time_left}"


class Once:
    """Tells each warning once, however many models meet it."""

    def __init__(self, progress: Progress) -> None:
        self._progress, self._told = progress, set[str]()
        self.note, self.track = progress.note, progress.track
        self.holding_interrupts, self.stopping = progress.holding_interrupts, progress.stopping

    def warn(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self._progress.warn(text)


class OfOne:
    """Tells how far one run is, behind which model it is of; its notes are left out, its warnings are told."""

    def __init__(self, progress: Progress, turn: str) -> None:
        self._progress, self._turn = progress, turn
        self.warn, self.stopping = progress.warn, progress.stopping
        self.holding_interrupts = progress.holding_interrupts

    def note(self, text: str) -> None:
        pass

    def track(self, phase: str, done: int, total: int | None, detail: str = "", unit: str = "rows") -> None:
        self._progress.track(f"{self._turn}: {phase}", done, total, detail, unit)
