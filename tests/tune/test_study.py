"""The trials in their file: drawn by seed and number alone, whole after a kill, judged by their curves."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from masknet.errors import ArtifactError, ConfigError
from masknet.ranges import Drawn, Floats, Ints, OneOf
from masknet.tune.study import Study, Trial, require_optuna

SPACE: dict[str, Drawn] = {
    "rate": Floats(1e-4, 1e-2, log=True),
    "dim": Ints(2, 64),
    "dims": OneOf(([64], [128, 64], None)),
}
DEFAULTS = {"rate": 1e-3, "dim": 10, "dims": [128, 64]}


def begin(file: Path, *, maximise: bool = True) -> None:
    first = Trial(0, "ok", 0.5, DEFAULTS, 2.0, 1.0, None, (0.4, 0.5))
    Study.begin(file, SPACE, first, about={"monitor": "auc"}, maximise=maximise)


def value_of(settings: dict[str, Any]) -> float:
    return float(settings["dim"]) / 100 + settings["rate"]


def go_on(study: Study, trials: int, value: Callable[[dict[str, Any]], float] = value_of) -> None:
    while len(study.trials) < trials:
        running = study.ask(SPACE)
        reached = value(running.settings)
        assert running.goes_on(reached, 1.0)
        running.end(Trial(running.number, "ok", reached, running.settings, 1.0, 1.0, None, (reached,)), counts=True)


def test_what_is_kept_is_what_is_read(tmp_path: Path) -> None:
    begin(tmp_path / "trials.sqlite")
    with Study.open(tmp_path / "trials.sqlite", seed=3) as study:
        assert study.about == {"monitor": "auc"}
        assert study.trials == [Trial(0, "ok", 0.5, DEFAULTS, 2.0, 1.0, None, (0.4, 0.5))]
        assert study.best.number == 0
        assert study.importance() == {}  # of one trial nothing can be said
        go_on(study, 12)
        trials = study.trials
        assert [trial.number for trial in trials] == list(range(12))
        assert study.best == max(trials, key=lambda trial: trial.value)
        assert study.seconds == 13.0
        for trial in trials:
            assert 1e-4 <= trial.settings["rate"] <= 1e-2
            assert float(f"{trial.settings['rate']:.4g}") == trial.settings["rate"]
            assert trial.settings["dims"] in SPACE["dims"].values
        importance = study.importance()
        assert next(iter(importance)) == "dim"
        assert sum(importance.values()) == pytest.approx(1)
    with Study.open(tmp_path / "trials.sqlite", seed=3) as study:
        assert study.trials == trials


def test_less_can_be_better(tmp_path: Path) -> None:
    begin(tmp_path / "t.sqlite", maximise=False)
    with Study.open(tmp_path / "t.sqlite", seed=0) as study:
        go_on(study, 12)
        assert study.best == min(study.trials, key=lambda trial: trial.value)


def test_a_draw_depends_on_the_seed_the_number_and_the_trials_before_and_on_no_kill(tmp_path: Path) -> None:
    for name in ("whole", "cut", "other"):
        begin(tmp_path / name)
    with Study.open(tmp_path / "whole", seed=0) as study:
        go_on(study, 16)
        whole = study.trials
    for at in (1, 5, 12, 16):
        with Study.open(tmp_path / "cut", seed=0) as study:
            go_on(study, at)
            left = study.ask(SPACE)  # and then it is killed
            left.goes_on(0.9, 1.5)
    with Study.open(tmp_path / "cut", seed=0) as study:
        assert study.trials == whole
        assert study.seconds == 17.0 + 4 * 1.5  # what the killed ones took counts
    with Study.open(tmp_path / "other", seed=1) as study:
        go_on(study, 3)
        assert study.trials[1:] != whole[1:3]


def test_a_kill_between_what_is_told_of_a_trial_and_its_end_begins_it_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(tmp_path / "t.sqlite")
    optuna = require_optuna()

    def killed(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    with Study.open(tmp_path / "t.sqlite", seed=0) as study, monkeypatch.context() as patch:
        patch.setattr(optuna.study.Study, "tell", killed)
        with pytest.raises(KeyboardInterrupt):
            go_on(study, 2, lambda settings: 0.9)
    with Study.open(tmp_path / "t.sqlite", seed=0) as study:
        assert len(study.trials) == 1
        assert study.best.number == 0
        assert study.seconds == 3.0
        go_on(study, 2, lambda settings: 0.9)
        assert study.best == study.trials[1]


def test_a_kill_9_in_the_middle_of_a_trial_leaves_a_whole_file(tmp_path: Path) -> None:
    begin(tmp_path / "t.sqlite")
    program = f"""
import os, signal
from pathlib import Path
from masknet.ranges import Floats, Ints, OneOf
from masknet.tune.study import Study
space = {SPACE!r}
with Study.open(Path({str(tmp_path / "t.sqlite")!r}), seed=0) as study:
    running = study.ask(space)
    running.goes_on(0.7, 3.0)
    print(running.settings, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=os.environ, check=False
    )
    assert killed.returncode == -9, killed.stderr
    with Study.open(tmp_path / "t.sqlite", seed=0) as study:
        assert len(study.trials) == 1
        assert study.seconds == 5.0
        assert str(study.ask(SPACE).settings) == killed.stdout.strip()


def test_a_trial_that_is_worse_than_most_by_then_does_not_go_on(tmp_path: Path) -> None:
    begin(tmp_path / "t.sqlite")
    with Study.open(tmp_path / "t.sqlite", seed=0) as study:
        for _ in range(6):
            running = study.ask(SPACE)
            curve = tuple(0.5 + 0.01 * step for step in range(1, 9))
            assert all(running.goes_on(value, 1.0) for value in curve)
            running.end(Trial(running.number, "ok", curve[-1], running.settings, 1.0, 2.0, None, curve), counts=True)
        running = study.ask(SPACE)
        went_on = [running.goes_on(0.3, 1.0) for _ in range(8)]
        assert went_on[:4] == [True] * 4  # the first evaluations say little
        assert not went_on[4]
        running.end(Trial(running.number, "pruned", 0.3, running.settings, 1.0, 2.0, None, (0.3,) * 5), counts=False)
        assert study.trials[-1].status == "pruned"
        assert study.best.value == pytest.approx(0.58)


def test_what_does_not_count_is_never_the_best(tmp_path: Path) -> None:
    begin(tmp_path / "t.sqlite")
    with Study.open(tmp_path / "t.sqlite", seed=0) as study:
        for status, value in (("failed", None), ("stopped", 0.4)):
            running = study.ask(SPACE)
            running.end(Trial(running.number, status, value, running.settings, 1.0, None, "why"), counts=False)
        assert [trial.status for trial in study.trials] == ["ok", "failed", "stopped"]
        assert study.best.number == 0
        go_on(study, 14)  # they stand in nobody's way


def test_the_file_holds_texts_and_numbers_and_no_pickle(tmp_path: Path) -> None:
    begin(tmp_path / "t.sqlite")
    with Study.open(tmp_path / "t.sqlite", seed=0) as study:
        go_on(study, 3)
    connection = sqlite3.connect(tmp_path / "t.sqlite")
    names = [name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")]
    cells = [cell for name in names for row in connection.execute(f"select * from {name}") for cell in row]
    connection.close()
    assert len(cells) > 50
    assert {type(cell) for cell in cells} <= {str, int, float, type(None)}


def test_a_damaged_file_is_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "t.sqlite"
    file.write_bytes(b"no database " * 100)
    with pytest.raises(ArtifactError, match=r"the trials in '.*t.sqlite' can be neither read nor written"):
        Study.open(file, seed=0).__enter__()
    file.write_bytes(b"")
    with pytest.raises(ArtifactError, match=r"t.sqlite' holds no search"):
        Study.open(file, seed=0).__enter__()


@pytest.mark.parametrize("name", ["a b", "100%", "who?", "#1", "Köln", "x@y:z"])
def test_a_folder_may_be_called_anything(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    begin(tmp_path / name / "t.sqlite")
    with Study.open(tmp_path / name / "t.sqlite", seed=0) as study:
        go_on(study, 2)
    assert [file.name for file in (tmp_path / name).iterdir()] == ["t.sqlite"]


def test_without_the_extra_it_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ConfigError, match=r"a search needs the package optuna, .*: pip install 'masknet\[tune\]'"):
        require_optuna()
