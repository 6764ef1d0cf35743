"""The search itself: one trial after the other on the same rows, the defaults first, until the budget is spent."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from masknet.artifact import Artifact
from masknet.config import RunConfig
from masknet.encode import Prepared
from masknet.errors import ConfigError, MasknetError
from masknet.figures import in_time, metric_name
from masknet.metrics import MONITORS
from masknet.progress import Progress
from masknet.ranges import Range
from masknet.table import Table
from masknet.train import Interrupted, fit
from masknet.train.monitor import Watched, parse_monitor
from masknet.tune.space import holding, moved, space_of, starting_point
from masknet.tune.study import Running, Study, Trial, require_optuna

__all__ = ["TRIALS", "Budget", "Found", "found_in", "search"]

TRIALS = "trials.sqlite"
"""The file of the trials in a search's folder."""


@dataclass(frozen=True)
class Budget:
    """What a search may take: so many trials, or so much time, however often it is stopped and goes on.

    >>> str(Budget(trials=20)), str(Budget(minutes=1.5))
    ('20 trials', '1.5 minutes')

    Args:
        trials: the defaults among them; at least 1.
        minutes: of training; above 0. The defaults are trained to their end.

    Raises:
        ConfigError: not one of the two is given, or it is out of range.
    """

    trials: int | None = None
    minutes: float | None = None

    def __post_init__(self) -> None:
        """Check that it is one of the two."""
        if (self.trials is None) == (self.minutes is None):
            said = "neither" if self.trials is None else f"{self.trials} trials and {self.minutes:g} minutes"
            raise ConfigError(f"a search has one budget, --trials N or --minutes M; got {said}: name one of them")
        if self.trials is not None and self.trials < 1:
            raise ConfigError(f"a search has 1 trial or more, the defaults; got --trials {self.trials}")
        if self.minutes is not None and not (self.minutes > 0 and math.isfinite(self.minutes)):
            raise ConfigError(f"the minutes of a search are a number above 0; got {self.minutes:g}: name more")

    def __str__(self) -> str:
        """In words."""
        if self.trials is not None:
            return f"{self.trials:,} trials" if self.trials > 1 else "1 trial"
        return f"{self.minutes:g} minute" + ("" if self.minutes == 1 else "s")

    def spent(self, trials: int, seconds: float) -> bool:
        """Whether nothing is left of it."""
        return trials >= self.trials if self.trials is not None else self.seconds_left(seconds) <= 0

    def seconds_left(self, seconds: float) -> float:
        """What is left of the time; without end where trials are counted."""
        return math.inf if self.minutes is None else 60 * self.minutes - seconds


@dataclass(frozen=True)
class Found:
    """What a search came to.

    Args:
        trials: all that ended, the defaults first.
        best: the best of them.
        monitor: what was watched on the validation rows.
        importance: by setting what share it decides of what trials came to; empty of too few.
        seconds: of training, with those of trials that were killed.
        rows: how many there were to train on, and to validate on.
    """

    trials: tuple[Trial, ...]
    best: Trial
    monitor: str
    importance: dict[str, float]
    seconds: float
    rows: dict[str, int]

    @property
    def defaults(self) -> Trial:
        """The trial of the defaults."""
        return self.trials[0]

    @property
    def changes(self) -> dict[str, Any]:
        """The best settings, where they differ from the defaults."""
        return {name: v for name, v in self.best.settings.items() if v != self.defaults.settings[name]}

    @property
    def gain(self) -> float:
        """How much better the best is than the defaults, whichever way is better; 0 or above."""
        assert self.best.value is not None
        assert self.defaults.value is not None
        return abs(self.best.value - self.defaults.value)


def search(
    config: RunConfig,
    table: Table,
    valid: Table | None,
    place: Path,
    budget: Budget,
    progress: Progress,
    *,
    on_prepared: Callable[[Prepared], None] = lambda prepared: None,
) -> Found:
    """Search a model's settings, or go on with it.

    Trial 0 are the defaults. Each later one is drawn from what the earlier ones came to, and from the seed and its
    number, so that a search of so many trials which was killed finds what it would have found undisturbed.

    Args:
        config: the run; what it sets is not searched. One member is trained, whatever it says of them.
        table: the training rows.
        valid: the validation rows, or None to split some off.
        place: the folder of the trials; made where it is not there.
        budget: what the search may take.
        progress: who hears how it goes.
        on_prepared: called once the rows are encoded, before anything is trained.

    Raises:
        ConfigError: the settings do not allow it, or Optuna is not installed.
        ArtifactError: the file of the trials is damaged.
        Interrupted: the user stopped it; the trials that ended stay.
    """
    require_optuna()
    space = space_of(config)
    place.mkdir(parents=True, exist_ok=True)
    file = place / TRIALS
    job = _Job(config.replace(members=1), table, valid, budget, progress)
    resumed = file.exists()
    if not resumed:
        first, about = job.defaults(space, on_prepared)
        maximise = MONITORS[parse_monitor(about["monitor"], config.labels).metric].direction == "max"
        Study.begin(file, holding(space, first.settings), first, about=about, maximise=maximise)
    with Study.open(file, config.seed) as study:
        if resumed and not budget.spent(len(study.trials), study.seconds):
            progress.note(f"going on after {len(study.trials):,} trials, {in_time(study.seconds)}")
        while not budget.spent(len(study.trials), study.seconds):
            job.trial(study, study.ask(holding(space, study.trials[0].settings)))
        return _found(study)


def found_in(place: Path, seed: int) -> Found | None:
    """What a search came to so far; None where not even the defaults are trained.

    Args:
        place: its folder.
        seed: of it.

    Raises:
        ArtifactError: the file of the trials is damaged.
    """
    if not (place / TRIALS).exists():
        return None
    with Study.open(place / TRIALS, seed) as study:
        return _found(study)


def _found(study: Study) -> Found:
    about = study.about
    rows = {name: about[name] for name in ("train", "valid")}
    return Found(tuple(study.trials), study.best, about["monitor"], study.importance(), study.seconds, rows)


class _Job:
    """What all trials of a search share."""

    def __init__(
        self, config: RunConfig, table: Table, valid: Table | None, budget: Budget, progress: Progress
    ) -> None:
        self._config, self._table, self._valid = config, table, valid
        self._budget, self._progress = budget, progress
        self._warned = set[str]()

    def defaults(
        self, space: Mapping[str, Range], on_prepared: Callable[[Prepared], None]
    ) -> tuple[Trial, dict[str, Any]]:
        """The trial of the defaults, which tells what they are, since the rows decide too; and what is watched."""
        clock = _Clock(self._progress, self._warned, "the defaults")
        records: list[dict[str, Any]] = []
        about: dict[str, Any] = {}

        def prepared(rows: Prepared) -> None:
            on_prepared(rows)
            about.update(train=len(rows.train), valid=len(rows.valid or ()))
            clock.begin(math.inf)

        def goes_on(record: dict[str, Any]) -> bool:
            records.append(record)
            return True

        artifact = fit(self._config, self._table, self._valid, clock, on_prepared=prepared, goes_on=goes_on)
        watched = parse_monitor(artifact.manifest.training["monitor"], self._config.labels)
        start = starting_point(space, artifact.run)
        curve = _Curve(watched)
        for record in records:
            curve.add(record)
        trial = Trial(0, "ok", _value(artifact, watched), start, clock.seconds, curve.epochs, None, tuple(curve.values))
        self._progress.note(f"the defaults: {_said(trial, watched)}")
        return trial, about | {"monitor": str(watched)}

    def trial(self, study: Study, running: Running) -> None:
        """Train with what is drawn, up to where the study or the time ends it, and keep what came of it."""
        watched, start = parse_monitor(study.about["monitor"], self._config.labels), study.trials[0].settings
        best, number = study.best.value, running.number
        assert best is not None
        changes = {name: value for name, value in running.settings.items() if value != start[name]}
        clock = _Clock(
            self._progress,
            self._warned,
            f"trial {number}",
            f"best {metric_name(str(watched))} {best:.4f}{self._to_go(study)}",
        )
        curve, pruned, reason, value = _Curve(watched), False, None, None
        clock.begin(self._budget.seconds_left(study.seconds))

        def goes_on(record: dict[str, Any]) -> bool:
            nonlocal pruned
            pruned = curve.add(record) and not running.goes_on(curve.values[-1], clock.seconds)
            return not pruned

        try:
            artifact = fit(moved(self._config, changes), self._table, self._valid, clock, goes_on=goes_on)
            status, value = "pruned" if pruned else "ok", _value(artifact, watched)
        except (Interrupted, KeyboardInterrupt):
            if not clock.is_over:
                raise
            status, value = "stopped", curve.best
        except OSError:  # a full disk is nothing of the trial's
            raise
        except Exception as error:  # noqa: BLE001 - whatever these settings make of a network: the others go on
            status, reason = "failed", " ".join(f"{type(error).__name__}: {error}".split())
            reason = str(error) if isinstance(error, MasknetError) else reason
        trial = Trial(number, status, value, running.settings, clock.seconds, curve.epochs, reason, tuple(curve.values))
        better = value is not None and watched.better(value, best)
        running.end(trial, counts=status == "ok" or (status == "stopped" and better))
        shown = ", ".join(f"{name} {json.dumps(value)}" for name, value in changes.items()) or "as the defaults"
        mark = " (best so far)" if better and status != "pruned" else ""
        self._progress.note(f"trial {number}: {_said(trial, watched)}{mark}: {shown}")

    def _to_go(self, study: Study) -> str:
        """How many trials are left, in words; of a time the clock says it."""
        if self._budget.trials is None:
            return ""
        done = study.trials
        left, each = self._budget.trials - len(done), math.fsum(trial.seconds for trial in done) / len(done)
        return f", {left} to go, about {in_time(left * each)}"


class _Curve:
    """What the evaluations of a trial come to; those of a stage before the whole are none."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched
        self.values: list[float] = []
        self.epochs: float | None = None

    def add(self, record: dict[str, Any]) -> bool:
        """Take an evaluation; whether it is one of the whole."""
        if record.get("stage"):
            return False
        self.values.append(self._watched.value(record))
        self.epochs = record.get("epoch")
        return True

    @property
    def best(self) -> float | None:
        """The best of them; None where there is none yet."""
        found = None
        for value in self.values:
            found = value if found is None or self._watched.better(value, found) else found
        return found


class _Clock:
    """Tells how far one trial is, behind which it is, and stops it where its time is over; its notes are left out.

    Args:
        progress: who hears of it.
        warned: what was warned of by other trials.
        turn: which trial it is.
        detail: what else is told, in the place of what the training tells.
    """

    def __init__(self, progress: Progress, warned: set[str], turn: str, detail: str = "") -> None:
        self._progress, self._warned, self._turn, self._detail = progress, warned, turn, detail
        self._began = self._ends = math.inf
        self.is_over = False

    def begin(self, seconds: float) -> None:
        """From now on the time runs; it may take so long."""
        self._began = time.monotonic()
        self._ends = self._began + seconds

    @property
    def seconds(self) -> float:
        """Since it began; 0 before."""
        return max(0.0, round(time.monotonic() - self._began, 3))

    def note(self, text: str) -> None:
        pass

    def warn(self, text: str) -> None:
        if text not in self._warned:
            self._warned.add(text)
            self._progress.warn(text)

    def track(self, phase: str, done: int, total: int | None, detail: str = "", unit: str = "rows") -> None:
        turn = "" if self._began == math.inf else f"{self._turn}, "
        left = "" if self._ends == math.inf else f", {in_time(max(0, self._ends - time.monotonic()))} left"
        self._progress.track(f"{turn}{phase}", done, total, f"{self._detail or detail}{left}", unit)

    def holding_interrupts(self) -> AbstractContextManager[None]:
        return self._progress.holding_interrupts()

    def stopping(self) -> bool:
        if self._progress.stopping():
            return True
        self.is_over = self.is_over or time.monotonic() >= self._ends
        return self.is_over


def _value(artifact: Artifact, watched: Watched) -> float:
    """What a trained model reached on the validation rows, as its training tells of it."""
    manifest = artifact.manifest
    if not manifest.tasks:
        found: float = manifest.metrics[watched.metric]["value"]
        return found
    of_tasks = [
        task["metrics"][watched.metric]["value"]
        for label, task in manifest.tasks.items()
        if watched.label in (None, label)
    ]
    values = [value for value in of_tasks if value is not None]
    return math.fsum(values) / len(values)


def _said(trial: Trial, watched: Watched) -> str:
    """What a trial came to, in words."""
    if trial.status == "failed":
        return f"failed, {trial.reason}"
    name = metric_name(str(watched))
    reached = f"nothing of {name} yet" if trial.value is None else f"valid {name} {trial.value:.4f}"
    early = {"pruned": ", stopped as others were better so early", "stopped": ", stopped as the time was over"}
    epochs = "" if trial.epochs is None else f", {trial.epochs:g} epoch" + ("" if trial.epochs == 1 else "s")
    return f"{reached}{epochs}, {in_time(trial.seconds)}{early.get(trial.status, '')}"
