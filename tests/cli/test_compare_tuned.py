"""`masknet compare --tuned`: the settings of each model are searched for first, in equal time, and told."""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from masknet.config import RunConfig
from masknet.manifest import read_manifest

pytest.importorskip("optuna")

QUICK = ("--label", "click", "--ignore", "seconds", "--epochs", 1, "--evaluations", 1, "--threads", 1)
COMMAND = ("compare", "log.parquet", *QUICK, "--seeds", 1, "--out", "c")


@pytest.fixture(autouse=True)
def _log(rows) -> None:
    rows().write_parquet("log.parquet")


@pytest.fixture(autouse=True)
def trials(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int | None]]:
    """The model and members of each trial; the clock goes on by a second with each look at it, which is one a step."""
    from masknet.tune import trials

    done, fit, seconds = [], trials.fit, itertools.count()

    def counted(config: RunConfig, *args: Any, **kwargs: Any) -> Any:
        done.append((config.model, config.members))
        return fit(config, *args, **kwargs)

    monkeypatch.setattr(trials, "fit", counted)
    monkeypatch.setattr(trials, "time", SimpleNamespace(monotonic=lambda: next(seconds)))
    return done


def models() -> dict[str, dict[str, Any]]:
    return {model["model"]: model for model in json.loads(Path("c/results.json").read_text())["models"]}


def test_each_model_is_trained_with_what_its_search_found(masknet, trials) -> None:
    result = masknet(*COMMAND, "--models", "lr,fm+2,fm", "--set", "fm.embedding_dim=3", "--tuned", 1)
    assert result.code == 0, result.err
    found = models()
    assert all(members == 1 for _, members in trials)  # ensembles are searched as one of them
    for name, model in found.items():
        tuned = model["tuned"]
        assert set(tuned) == {"settings", "trials", "gain", "seconds"}
        assert tuned["trials"] > 2
        assert tuned["seconds"] >= 60
        assert bool(tuned["settings"]) == (tuned["gain"] > 0)
        trained = f"c/models/{name}-0.masknet"
        run = json.loads(Path(trained, "run.json").read_text())
        said = {**run, **run["set"]}
        assert {setting: said[setting] for setting in tuned["settings"]} == tuned["settings"]
        searched = json.loads(Path(f"c/tuned/{name}/results.json").read_text())
        assert searched["best"]["changes"] == tuned["settings"]
        if name != "fm+2":  # of one member, what was chosen on the validation rows is what is trained
            assert read_manifest(trained).metrics["auc"]["value"] == searched["best"]["value"]
    assert any(model["tuned"]["settings"] for model in found.values())
    assert "embedding_dim" not in found["fm"]["tuned"]["settings"]
    assert read_manifest("c/models/fm-0.masknet").settings["embedding_dim"] == 3
    assert read_manifest("c/models/fm+2-0.masknet").members == 2
    assert json.loads(Path("c/results.json").read_text())["tuned"] == {"minutes": 1}
    for words in ("the settings of each model were searched for 1 min first", "fm+2, tuned in "):
        assert words in result.out
        assert words in Path("c/results.md").read_text()


def test_a_search_that_gains_nothing_leaves_the_defaults_and_says_so(masknet) -> None:
    result = masknet(*COMMAND, "--models", "lr", "--tuned", 0.001)
    assert result.code == 0, result.err
    tuned = models()["lr"]["tuned"]
    assert (tuned["settings"], tuned["trials"], tuned["gain"]) == ({}, 1, 0)
    assert "lr, tuned in 1 trial: the defaults were best" in result.out
    before = Path("c/models/lr-0.masknet/weights.safetensors").read_bytes()
    assert masknet(*COMMAND[:-1], "plain", "--models", "lr").code == 0
    assert Path("plain/models/lr-0.masknet/weights.safetensors").read_bytes() == before
    assert "tuned" not in Path("plain/results.json").read_text()


def test_a_finished_search_is_not_gone_on_with_and_a_stopped_one_is(masknet, trials, monkeypatch) -> None:
    from masknet.compare import run

    search = run.search

    def stopped(config: RunConfig, *args: Any, **kwargs: Any) -> Any:
        if config.model == "fm":
            raise KeyboardInterrupt
        return search(config, *args, **kwargs)

    command = (*COMMAND, "--models", "lr,fm", "--tuned", 1)
    with monkeypatch.context() as patch:
        patch.setattr(run, "search", stopped)
        assert masknet(*command).code == 130
    assert {model for model, _ in trials} == {"lr"}
    trials.clear()
    assert masknet(*command).code == 0
    assert {model for model, _ in trials} == {"fm"}
    trials.clear()
    before = models()
    assert masknet(*command).code == 0
    assert trials == []
    assert {name: model["tuned"] for name, model in models().items()} == {n: m["tuned"] for n, m in before.items()}


def test_another_budget_is_another_comparison(masknet) -> None:
    assert masknet(*COMMAND, "--models", "lr", "--tuned", 0.001).code == 0
    error = masknet(*COMMAND, "--models", "lr", "--tuned", 2).error
    assert error.startswith("a comparison keeps its settings; tuned was 0.001 and is 2.0: run the same command")
    assert "tuned was 0.001 and is not given" in masknet(*COMMAND, "--models", "lr").error
    assert masknet(*COMMAND, "--models", "lr", "--overwrite").code == 0
    assert not any(Path("c/tuned").iterdir())


def test_a_model_whose_search_fails_is_told_and_the_others_go_on(masknet) -> None:
    flags = ("--models", "dnn,lr", "--set", "dnn.dropout=2", "--tuned", 0.001)
    result = masknet(*COMMAND, *flags)
    assert result.code == 0, result.err
    assert models()["dnn"]["status"] == "failed"
    assert models()["dnn"]["reason"].startswith("the search of its settings: dnn: ")
    assert models()["lr"]["status"] == "ok"


@pytest.mark.parametrize("minutes", ["0", "-1", "nan", "inf"])
def test_no_time_is_one_sentence(minutes: str, masknet) -> None:
    error = masknet(*COMMAND, "--models", "lr", "--tuned", minutes).error
    assert error.startswith("the minutes of a search are a number above 0; got ")
    assert not Path("c").exists()


def test_without_the_extra_it_is_one_sentence(masknet, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    error = masknet(*COMMAND, "--models", "lr", "--tuned", 1).error
    assert error == "a search needs the package optuna, which is not installed: pip install 'masknet[tune]'"
    assert not Path("c").exists()
