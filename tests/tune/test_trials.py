"""The search from Python: its budget, what is told, and trials that end early."""

from __future__ import annotations

from pathlib import Path

import pytest

from masknet.config import RunConfig
from masknet.datasets import planted_log
from masknet.errors import ConfigError
from masknet.progress import LogProgress
from masknet.table import open_table
from masknet.tune import Budget, Found, search
from masknet.tune import study as of_study

pytest.importorskip("optuna")


class Told(LogProgress):
    def __init__(self) -> None:
        self.notes: list[str] = []
        self.warnings: list[str] = []
        self.tracked: list[tuple[str, str]] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def track(self, phase: str, done: int, total: int | None, detail: str = "", unit: str = "rows") -> None:
        self.tracked.append((phase, detail))


def searched(folder: Path, told: Told, trials: int, **more: object) -> Found:
    planted_log(600, 0)[0].write_parquet(folder / "log.parquet")
    settings = {"label": "click", "ignore": "timestamp", "model": "fm", "threads": 1, "epochs": 4, "evaluations": 1}
    config = RunConfig(**{**settings, "cache_dir": folder / "cache", **more})
    table = open_table(folder / "log.parquet")
    return search(config, table, None, folder / "s", Budget(trials=trials), told)


def test_a_budget_is_spent_by_trials_or_by_time() -> None:
    trials, minutes = Budget(trials=3), Budget(minutes=0.5)
    assert [trials.spent(done, 1e9) for done in (2, 3)] == [False, True]
    assert [minutes.spent(10**6, seconds) for seconds in (29.9, 30.0)] == [False, True]
    assert (str(Budget(trials=1)), str(minutes), str(Budget(minutes=1))) == ("1 trial", "0.5 minutes", "1 minute")
    with pytest.raises(ConfigError, match="a search has one budget"):
        Budget()


def test_what_is_told_is_which_trial_how_good_the_best_is_and_how_much_is_left(tmp_path: Path) -> None:
    told = Told()
    found = searched(tmp_path, told, 3)
    phases = dict.fromkeys(phase for phase, _ in told.tracked)
    assert {"the defaults, epoch 1/4", "trial 1, epoch 4/4", "trial 2, validate"} <= set(phases)
    detail = next(detail for phase, detail in told.tracked if phase == "trial 1, epoch 1/4")
    assert detail.startswith(f"best auc {found.defaults.value:.4f}, 2 to go, about ")
    assert told.notes[0].startswith(f"the defaults: valid auc {found.defaults.value:.4f}, ")
    assert [note.split(":")[0] for note in told.notes[1:]] == ["trial 1", "trial 2"]
    assert len(told.warnings) == len(set(told.warnings))
    assert found.rows == {"train": 540, "valid": 60}


def test_a_trial_that_does_not_go_on_ends_there_and_is_not_the_best(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on = of_study.Running.goes_on

    def judged(self: of_study.Running, value: float, seconds: float) -> bool:
        goes_on(self, value, seconds)
        return self.number != 2 or self._evaluations < 2

    monkeypatch.setattr(of_study.Running, "goes_on", judged)
    told = Told()
    found = searched(tmp_path, told, 4)
    assert [trial.status for trial in found.trials] == ["ok", "ok", "pruned", "ok"]
    pruned = found.trials[2]
    assert (len(pruned.curve), pruned.epochs, pruned.value) == (2, 2, max(pruned.curve))
    assert found.best.number != 2
    assert "stopped as others were better so early" in told.notes[2]


def test_where_less_is_better_the_least_is_the_best(tmp_path: Path) -> None:
    found = searched(tmp_path, Told(), 3, monitor="log_loss")
    values = [trial.value for trial in found.trials]
    assert found.monitor == "log_loss"
    assert found.best.value == min(values)
    assert found.gain == found.defaults.value - min(values)
