"""The trials of a search as Optuna keeps them, in SQLite: texts of JSON and numbers, of which nothing is unpickled."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from masknet.draws import keyed_number
from masknet.errors import ArtifactError, ConfigError
from masknet.ranges import Drawn, Floats, Ints, OneOf

__all__ = ["Running", "Study", "Trial", "require_optuna"]

_NAME = "masknet"
_OF_SEARCH = 0x74756E65  # apart from the keys of all other draws
_DRAWN_FIRST = 8
"""Trials before what they came to decides where to look."""
_JUDGE_AFTER, _JUDGED_BY = 4, 4
"""No trial is stopped in its first evaluations, nor before so many have reached as far."""
_DIGITS = 4
"""Of a drawn number: others change nothing that rows can tell, and nobody reads them."""


@dataclass(frozen=True)
class Trial:
    """A trial that has ended.

    Args:
        number: from 0 on, which is the one of the defaults.
        status: ok; pruned, when others were better as early; stopped, when the time was over; failed.
        value: the best that it reached, of the metric that is watched; None of one that reached nothing.
        settings: what it was of all that is searched.
        seconds: that it took.
        epochs: that it trained; None of what has none.
        reason: why it failed.
        curve: the metric, by evaluation.
    """

    number: int
    status: str
    value: float | None
    settings: Mapping[str, Any]
    seconds: float
    epochs: float | None = None
    reason: str | None = None
    curve: tuple[float, ...] = ()


class Study:
    """The trials of one search, of one process at a time. The same trials, seed and number draw the same settings.

    Args:
        study: Optuna's; `begin` makes it, and `open` reads it.
        seed: of the search.
    """

    def __init__(self, study: Any, seed: int) -> None:
        self._optuna = require_optuna()
        self._study, self._seed = study, seed
        self.about: dict[str, Any] = study.user_attrs["about"]
        """What `begin` was told."""
        for left in self._of_state("RUNNING"):  # it was killed: what is drawn next is the same again
            study.tell(left.number, state=self._optuna.trial.TrialState.FAIL)

    @staticmethod
    def begin(
        file: Path, space: Mapping[str, Drawn], first: Trial, *, about: Mapping[str, Any], maximise: bool
    ) -> None:
        """Make the file of a search, whole or not at all.

        Args:
            file: where it will lie.
            space: by name within what each setting is moved; each holds what it is in `first`.
            first: the trial of the defaults.
            about: what to keep beside the trials, JSON-ready.
            maximise: whether larger values are better.
        """
        optuna = require_optuna()
        made = file.with_name(f"{file.name}.writing")
        made.unlink(missing_ok=True)
        with _stored(made) as storage:
            study = optuna.create_study(
                storage=storage, study_name=_NAME, direction="maximize" if maximise else "minimize"
            )
            study.set_user_attr("about", dict(about))
            study.add_trial(
                optuna.trial.create_trial(
                    value=first.value,
                    params={name: _as_stored(space[name], value) for name, value in first.settings.items()},
                    distributions=_distributions(space),
                    user_attrs={"trial": asdict(first)},
                    intermediate_values=dict(enumerate(first.curve)),
                )
            )
        os.replace(made, file)

    @staticmethod
    @contextmanager
    def open(file: Path, seed: int) -> Iterator[Study]:
        """The search in a file.

        Raises:
            ArtifactError: the file is damaged, or cannot be written.
        """
        with _stored(file) as storage:
            try:
                study = Study(require_optuna().load_study(study_name=_NAME, storage=storage), seed)
            except KeyError as error:
                raise ArtifactError(f"'{file}' holds no search ({error}): begin anew with --overwrite") from None
            yield study

    @property
    def trials(self) -> list[Trial]:
        """Those that have ended, in their order."""
        kept = [trial.user_attrs["trial"] for trial in self._of_state("COMPLETE", "PRUNED")]
        return [Trial(**{**one, "curve": tuple(one["curve"])}) for one in kept]

    @property
    def seconds(self) -> float:
        """That all trials took, with those of killed ones up to what they told last."""
        killed = [trial.user_attrs.get("seconds", 0.0) for trial in self._of_state("FAIL")]
        return math.fsum([*(trial.seconds for trial in self.trials), *killed])

    @property
    def best(self) -> Trial:
        """The best of those that ended, or were stopped and better all the same; of equal ones the first."""
        found: dict[str, Any] = self._study.best_trial.user_attrs["trial"]
        return next(trial for trial in self.trials if trial.number == found["number"])

    def ask(self, space: Mapping[str, Drawn]) -> Running:
        """The next trial.

        Args:
            space: as for `begin`.
        """
        optuna, number = self._optuna, len(self.trials)
        self._study.sampler = optuna.samplers.TPESampler(
            seed=keyed_number(self._seed, _OF_SEARCH, number) % 2**32,
            n_startup_trials=_DRAWN_FIRST,
            multivariate=True,
            constant_liar=False,
        )
        self._study.pruner = optuna.pruners.MedianPruner(
            n_startup_trials=_JUDGED_BY, n_warmup_steps=_JUDGE_AFTER, n_min_trials=_JUDGED_BY
        )
        asked = self._study.ask(_distributions(space))
        settings = {name: _as_meant(within, asked.params[name]) for name, within in space.items()}
        return Running(self._study, asked, number, settings)

    def importance(self) -> dict[str, float]:
        """What share of what the trials came to each setting decides, the largest first; empty of too few trials."""
        optuna = self._optuna
        values = {trial.value for trial in self._of_state("COMPLETE")}
        if len(values) < 2:
            return {}
        evaluator = optuna.importance.PedAnovaImportanceEvaluator()
        found = optuna.importance.get_param_importances(self._study, evaluator=evaluator)
        return dict(sorted(found.items(), key=lambda entry: (-entry[1], entry[0])))

    def _of_state(self, *names: str) -> list[Any]:
        states = tuple(self._optuna.trial.TrialState[name] for name in names)
        return list(self._study.get_trials(deepcopy=False, states=states))


class Running:
    """A trial that goes on.

    Args:
        study, asked: Optuna's.
        number: of the trial.
        settings: what it is to be trained with.
    """

    def __init__(self, study: Any, asked: Any, number: int, settings: dict[str, Any]) -> None:
        self._study, self._asked = study, asked
        self.number, self.settings = number, settings
        self._evaluations = 0

    def goes_on(self, value: float, seconds: float) -> bool:
        """Note an evaluation; whether the trial is as good as others were so early.

        Args:
            value: of the metric that is watched.
            seconds: that the trial took so far.
        """
        self._asked.report(value, step=self._evaluations)
        self._evaluations += 1
        self._asked.set_user_attr("seconds", seconds)
        return not self._asked.should_prune()

    def end(self, trial: Trial, *, counts: bool) -> None:
        """Keep what came of it.

        Args:
            trial: what is told of it.
            counts: whether it may be the best, and be what others are judged by.
        """
        self._asked.set_user_attr("trial", asdict(trial))  # which counts only once Optuna knows that it ended
        state = require_optuna().trial.TrialState
        if counts:
            self._study.tell(self._asked, trial.value)
        else:
            self._study.tell(self._asked, state=state.PRUNED)


def require_optuna() -> ModuleType:
    """Optuna, silent.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise ConfigError(
            "a search needs the package optuna, which is not installed: pip install 'masknet[tune]'"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


@contextmanager
def _stored(file: Path) -> Iterator[Any]:
    """Optuna's storage in a file, closed afterwards."""
    optuna = require_optuna()
    from sqlalchemy import URL
    from sqlalchemy.exc import SQLAlchemyError

    address = URL.create("sqlite", database=str(file)).render_as_string(hide_password=False)
    storage = None
    try:
        storage = optuna.storages.RDBStorage(address)
        yield storage
    except (SQLAlchemyError, optuna.exceptions.OptunaError) as error:
        why = " ".join(str(error.__cause__ or error).split())
        raise ArtifactError(
            f"the trials in '{file}' can be neither read nor written ({why}): make room, or begin anew with --overwrite"
        ) from error
    finally:
        if storage is not None:
            storage.remove_session()
            storage.engine.dispose()


def _distributions(space: Mapping[str, Drawn]) -> dict[str, Any]:
    return {name: _distribution(within) for name, within in space.items()}


def _distribution(within: Drawn) -> Any:
    distributions = require_optuna().distributions
    if isinstance(within, Floats):
        return distributions.FloatDistribution(within.low, within.high, log=within.log)
    if isinstance(within, Ints):
        return distributions.IntDistribution(within.low, within.high, log=within.log)
    return distributions.CategoricalDistribution([json.dumps(value) for value in within.values])


def _as_stored(within: Drawn, value: Any) -> Any:
    """A setting as Optuna keeps it, which knows no lists."""
    return json.dumps(next(one for one in within.values if one == value)) if isinstance(within, OneOf) else value


def _as_meant(within: Drawn, kept: Any) -> Any:
    """A setting as a run takes it: the inverse, but for the digits of a number that nobody reads."""
    if isinstance(within, OneOf):
        return json.loads(kept)
    if isinstance(within, Floats):
        return min(max(float(f"{kept:.{_DIGITS}g}"), within.low), within.high)
    return kept
