"""`masknet tune`: the search from the command line, its files, its resumes and its refusals."""

from __future__ import annotations

import csv
import io
import itertools
import json
import os
import shlex
import signal
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from filelock import FileLock

from masknet.cli.console import ConsoleProgress
from masknet.config import RunConfig, read_run_file

pytest.importorskip("optuna")

QUICK = ("--label", "click", "--ignore", "seconds", "--epochs", 2, "--evaluations", 1, "--threads", 1)


@pytest.fixture(autouse=True)
def _log(rows) -> None:
    rows().write_parquet("log.parquet")


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> list[RunConfig]:
    """The settings of each trial that is trained."""
    from masknet.tune import trials

    done, fit = [], trials.fit

    def counted(config: RunConfig, *args: Any, **kwargs: Any) -> Any:
        done.append(config)
        return fit(config, *args, **kwargs)

    monkeypatch.setattr(trials, "fit", counted)
    return done


def results(folder: str) -> dict[str, Any]:
    found = json.loads((Path(folder) / "results.json").read_text())
    assert isinstance(found, dict)
    return found


def figures(folder: str) -> list[Any]:
    """What does not depend on the clock."""
    found = results(folder)
    trials = [{n: v for n, v in trial.items() if n != "seconds"} for trial in found["trials"]]
    return [trials, *(found[name] for name in ("defaults", "best", "gain", "importance"))]


def test_it_searches_prints_what_it_found_and_writes_the_best_run_file(masknet, fits) -> None:
    result = masknet("tune", "log.parquet", *QUICK, "--model", "fm", "--trials", 4)
    assert result.code == 0, result.err
    found = results("log.tune")
    assert (found["model"], found["monitor"]) == ("fm", "auc")
    assert [trial["trial"] for trial in found["trials"]] == [0, 1, 2, 3]
    assert {trial["status"] for trial in found["trials"]} == {"ok"}
    names = {"learning_rate", "embedding_l2", "batch_size", "embedding_dim"}
    for trial in found["trials"]:
        assert set(trial["settings"]) == names
        assert trial["value"] == max(trial["curve"])
        assert trial["seconds"] > 0
    assert found["defaults"] == {name: found["trials"][0][name] for name in ("value", "settings")}
    assert found["defaults"]["settings"]["embedding_dim"] == 10
    best = max(found["trials"], key=lambda trial: trial["value"])
    assert found["best"]["trial"] == best["trial"]
    assert {name: found["best"][name] for name in ("value", "settings")} == {n: best[n] for n in ("value", "settings")}
    assert found["gain"] == best["value"] - found["defaults"]["value"] >= 0
    assert set(found["importance"]) == names
    assert sum(found["importance"].values()) == pytest.approx(1)
    assert all(config.members == 1 for config in fits)
    assert len({config.seed for config in fits}) == 1
    for words in ("trial", "the defaults", "what decided, of 4 trials a guess", "4 trials in", "embedding_dim"):
        assert words in result.out
    table = list(csv.DictReader(io.StringIO(Path("log.tune/trials.csv").read_text())))
    assert [float(row["auc"]) for row in table] == [trial["value"] for trial in found["trials"]]
    assert names <= set(table[0])
    command = shlex.split(result.out.splitlines()[-1])
    assert command[1:] == ["train", "--config", "log.tune/best.yaml", "--out", "log.masknet"]


def test_the_best_run_file_trains_what_the_trial_was(masknet) -> None:
    masknet("tune", "log.parquet", *QUICK, "--model", "fm", "--trials", 4, "--seed", 3)
    found, text = results("log.tune"), Path("log.tune/best.yaml").read_text()
    assert found["gain"] > 0
    assert text.startswith("# The best of 4 trials of `masknet tune` in ")
    assert (
        f"auc {found['best']['value']:.4f} with these settings, {found['defaults']['value']:.4f} with the def" in text
    )
    assert f"{found['gain']:.4f} better" in text
    assert "Of log.parquet, 360 rows were trained on, 40 validated on." in text
    said = read_run_file("log.tune/best.yaml")
    assert said["data"] == os.path.abspath("log.parquet")
    assert (said["model"], said["label"], said["ignore"], said["seed"]) == ("fm", "click", ["seconds"], 3)
    assert not {"members", "out", "json", "golden_rows"} & set(said)
    moved = {**said, **said.get("set", {})}
    for name, value in found["best"]["changes"].items():
        assert moved[name] == value
    trained = masknet("train", "--config", "log.tune/best.yaml", "--members", 1, "--json", "--out", "best.masknet").json
    assert trained["metrics"]["auc"]["value"] == found["best"]["value"]


def test_the_defaults_are_what_train_takes(masknet) -> None:
    masknet("tune", "log.parquet", *QUICK, "--model", "dnn", "--trials", 1)
    trained = masknet("train", "log.parquet", *QUICK, "--model", "dnn", "--members", 1, "--json").json
    found = results("log.tune")
    assert found["defaults"]["value"] == found["best"]["value"] == trained["metrics"]["auc"]["value"]
    assert (found["gain"], found["importance"], found["best"]["changes"]) == (0, {}, {})
    text = Path("log.tune/best.yaml").read_text()
    assert "with the defaults, and no other settings were better" in text
    assert "set" not in yaml.safe_load(text)


def test_what_is_set_stays_as_it_is(masknet, fits) -> None:
    flags = ("--model", "fm", "--trials", 3, "--learning-rate", 0.02, "--set", "embedding_dim=3")
    assert masknet("tune", "log.parquet", *QUICK, *flags).code == 0
    assert {(config.learning_rate, config.set["embedding_dim"]) for config in fits} == {(0.02, 3)}
    assert set(results("log.tune")["defaults"]["settings"]) == {"embedding_l2", "batch_size"}
    said = read_run_file("log.tune/best.yaml")
    assert (said["learning_rate"], said["set"]["embedding_dim"]) == (0.02, 3)


def test_the_same_command_trains_nothing_twice_and_a_larger_budget_goes_on(masknet, fits) -> None:
    command = ("tune", "log.parquet", *QUICK, "--model", "fm", "--out", "s", "--trials")
    assert masknet(*command, 2).code == 0
    before = figures("s")
    assert masknet(*command, 2, "--json").json == results("s")
    assert figures("s") == before
    assert len(fits) == 2
    assert masknet(*command, 4).code == 0
    assert len(fits) == 4
    assert masknet("tune", "log.parquet", *QUICK, "--model", "fm", "--out", "whole", "--trials", 4).code == 0
    assert figures("s") == figures("whole")


def test_ctrl_c_keeps_what_ended_and_the_same_command_finds_the_same(masknet, fits, monkeypatch) -> None:
    command = ("tune", "log.parquet", *QUICK, "--model", "fm", "--trials", 4, "--out")
    assert masknet(*command, "whole").code == 0
    fits.clear()
    track = ConsoleProgress.track

    def interrupting(self: ConsoleProgress, phase: str, *rest: Any, **named: Any) -> None:
        track(self, phase, *rest, **named)
        if phase == "trial 2, epoch 2/2" and not self.stopping():
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(ConsoleProgress, "track", interrupting)
        stopped = masknet(*command, "cut")
    assert stopped.code == 130
    assert stopped.err.splitlines()[-1] == (
        "stopped; the trials that ended lie in cut, and the same command goes on from there"
    )
    assert len(results("cut")["trials"]) == 2
    assert Path("cut/best.yaml").exists()
    gone_on = masknet(*command, "cut")
    assert gone_on.code == 0
    assert "going on after 2 trials" in gone_on.err
    assert figures("cut") == figures("whole")
    assert len(fits) == 3 + 2  # the third one was begun again, and nothing else


def test_minutes_end_the_trial_that_runs_and_not_the_defaults(masknet, fits, monkeypatch) -> None:
    from masknet.tune import trials

    seconds = (
        itertools.count()
    )  # one for each look at the clock, which is one a step in the defaults, and two later: 12 steps an epoch
    monkeypatch.setattr(trials, "time", SimpleNamespace(monotonic=lambda: next(seconds)))
    flags = (*QUICK, "--model", "fm", "--batch-size", 32)
    result = masknet("tune", "log.parquet", *flags, "--minutes", 0.1, "--out", "little")
    assert result.code == 0, result.err
    (defaults,) = results("little")["trials"]
    assert (defaults["status"], defaults["epochs"]) == ("ok", 2)
    assert len(fits) == 1
    command = ("tune", "log.parquet", *flags, "--minutes", (defaults["seconds"] + 36) / 60)
    result = masknet(*command)
    assert result.code == 0, result.err
    found = results("log.tune")
    assert [(trial["status"], trial["epochs"]) for trial in found["trials"]] == [("ok", 2), ("stopped", 1)]
    (reached,) = found["trials"][1]["curve"]
    assert found["trials"][1]["value"] == reached
    assert found["best"]["trial"] == int(reached > found["defaults"]["value"])  # it counts where it is better
    assert "stopped as the time was over" in result.err
    assert "(1 out of time)" in result.out
    assert masknet(*command).code == 0
    assert len(fits) == 3  # the time is that of all resumes


def test_trees_are_searched_too(masknet) -> None:
    pytest.importorskip("lightgbm")
    flags = ("--label", "click", "--ignore", "seconds", "--threads", 1, "--model", "gbdt", "--trials", 4)
    result = masknet("tune", "log.parquet", *flags, "--set", "num_iterations=20")
    assert result.code == 0, result.err
    found = results("log.tune")
    assert found["defaults"]["settings"]["num_leaves"] == 31
    assert all(len(trial["curve"]) == 2 for trial in found["trials"])  # ids as codes, and as categories
    trained = masknet("train", "--config", "log.tune/best.yaml", "--json", "--out", "best.masknet").json
    assert trained["metrics"]["auc"]["value"] == found["best"]["value"]


def test_several_labels_and_another_monitor(masknet, rows) -> None:
    rows().with_columns(like=rows(400, seed=1)["click"]).write_parquet("both.parquet")
    flags = ("--label", "click", "--label", "like", *QUICK[2:], "--model", "fm", "--trials", 3)
    assert masknet("tune", "both.parquet", *flags, "--monitor", "like.log_loss", "--out", "s").code == 0
    found = results("s")
    assert found["monitor"] == "like.log_loss"
    assert found["best"]["value"] == min(trial["value"] for trial in found["trials"])
    assert masknet("tune", "both.parquet", *flags, "--out", "mean").code == 0
    for trial in results("mean")["trials"]:
        assert trial["value"] == pytest.approx(max(trial["curve"]))


def test_a_network_of_ones_own_is_searched_over_settings_of_the_run(masknet) -> None:
    Path("own_net.py").write_text(
        "from masknet.nn import LinearTerm\n\n\nclass Own(LinearTerm):\n    '''Of one label.'''\n", encoding="utf-8"
    )
    result = masknet("tune", "log.parquet", *QUICK, "--model", "own_net:Own", "--trials", 2)
    assert result.code == 0, result.err
    found = results("log.tune")["defaults"]["settings"]
    assert set(found) == {"learning_rate", "embedding_l2", "network_l2", "batch_size"}


def test_a_trial_that_fails_is_told_and_the_others_go_on(masknet) -> None:
    Path("odd_net.py").write_text(
        "from masknet.models import Recipe\nfrom masknet.nn import LinearTerm\nfrom masknet.ranges import OneOf\n\n\n"
        "class Odd(LinearTerm):\n    recipe = Recipe(search={'width': OneOf((1, -1, -2, -3))})\n\n"
        "    def __init__(self, space, *, width: int = 1) -> None:\n        super().__init__(space)\n"
        "        if width < 1:\n            raise ValueError(f'width is at least 1; got {width}')\n",
        encoding="utf-8",
    )
    result = masknet("tune", "log.parquet", *QUICK, "--model", "odd_net:Odd", "--trials", 4)
    assert result.code == 0, result.err
    found = results("log.tune")
    failed = [trial for trial in found["trials"] if trial["status"] == "failed"]
    assert failed
    assert failed[0]["value"] is None
    assert failed[0]["reason"].startswith("odd_net:Odd: width is at least 1; got -")
    assert found["best"]["trial"] == 0
    assert "failed" in result.out


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ((), "a search has one budget, --trials N or --minutes M; got neither: name one of them"),
        (
            ("--trials", 5, "--minutes", 2),
            "a search has one budget, --trials N or --minutes M; got 5 trials and 2 minutes: name one of them",
        ),
        (("--trials", 0), "a search has 1 trial or more, the defaults; got --trials 0"),
        (("--minutes", 0), "the minutes of a search are a number above 0; got 0: name more"),
        (("--minutes", "nan"), "the minutes of a search are a number above 0; got nan: name more"),
        (("--trials", 2, "--model", "paralel-masknet"), "unknown model 'paralel-masknet'; did you mean"),
        (("--trials", 2, "--model", "fm", "--set", "embeding_dim=3"), "unknown option of fm 'embeding_dim'; did you"),
        (("--trials", 2, "--model", "dnn", "--set", "dropout=2"), "dnn: "),
        (("--trials", 2, "--monitor", "acu"), "unknown metric 'acu'; did you mean 'auc'?"),
        (("--trials", 2, "--model", "gbdt", "--embedding-l2", 0.1), "a setting has an effect; gbdt"),
        (("--trials", 2, "--valid", "-"), "a search reads its rows several times, and standard input is read once"),
    ],
)
def test_what_is_wrong_is_one_sentence(flags: tuple[object, ...], sentence: str, masknet) -> None:
    own = QUICK if "gbdt" not in flags else QUICK[:4]
    assert masknet("tune", "log.parquet", *own, *flags).error.startswith(sentence)


def test_without_a_label_it_says_how_to_name_one(masknet) -> None:
    assert masknet("tune", "log.parquet", "--trials", 2).error.startswith("a search needs --label, the column to")


def test_another_search_in_the_folder_is_refused_with_the_difference(masknet, rows, fits) -> None:
    command = ("tune", "log.parquet", *QUICK, "--out", "s", "--trials", 2)
    assert masknet(*command, "--model", "fm").code == 0
    said = 'a search keeps its settings; model was "fm" and is "lr": run the same command, name another --out, or'
    assert masknet(*command, "--model", "lr").error.startswith(said)
    assert "seed was 0 and is 1" in masknet(*command, "--model", "fm", "--seed", 1).error
    rows(seed=5).write_parquet("log.parquet")
    assert "the data table was changed, or its files written again" in masknet(*command, "--model", "fm").error
    assert len(fits) == 2
    assert masknet(*command, "--model", "lr", "--overwrite").code == 0
    assert results("s")["model"] == "lr"
    assert len(fits) == 4


def test_a_folder_that_is_no_search_is_refused(masknet) -> None:
    Path("mine").mkdir()
    Path("mine/notes.txt").write_text("mine", encoding="utf-8")
    command = ("tune", "log.parquet", *QUICK, "--model", "lr", "--trials", 2, "--out", "mine")
    sentence = "a search has a folder of its own; 'mine' holds something else: name another --out"
    assert masknet(*command).error == sentence
    assert masknet(*command, "--overwrite").error == sentence
    assert [file.name for file in Path("mine").iterdir()] == ["notes.txt"]


def test_where_not_even_the_defaults_train_nothing_is_left_and_other_settings_may_begin(masknet) -> None:
    command = ("tune", "log.parquet", *QUICK, "--model", "dnn", "--trials", 1)
    assert masknet(*command, "--set", "dropout=2").error.startswith("dnn: ")
    assert not Path("log.tune").exists()
    assert masknet(*command).code == 0


def test_one_search_at_a_time_writes_to_a_folder(masknet) -> None:
    with FileLock(".log.tune.lock"):
        error = masknet("tune", "log.parquet", *QUICK, "--model", "lr", "--trials", 1).error
    assert error.startswith("one search at a time writes to a folder; another writes to 'log.tune' now: wait")


@pytest.mark.parametrize("out", ["", ".", "/"])
def test_a_search_has_a_folder_of_its_own(out: str, masknet) -> None:
    error = masknet("tune", "log.parquet", *QUICK, "--model", "lr", "--trials", 1, "--out", out).error
    assert error.startswith(f"a search has a folder of its own; --out is '{Path(out)}': name one, such as ads.tune")


def test_shards_that_a_glob_names_give_their_folder_s_name(masknet, rows) -> None:
    Path("logs").mkdir()
    for seed in range(2):
        rows(200, seed=seed).write_parquet(f"logs/{seed}.parquet")
    assert masknet("tune", "logs/*.parquet", *QUICK, "--model", "lr", "--trials", 1).code == 0
    assert Path("logs.tune/best.yaml").exists()


def test_a_file_in_the_place_of_the_folder_is_one_sentence(masknet) -> None:
    error = masknet("tune", "log.parquet", *QUICK, "--model", "lr", "--trials", 1, "--out", "log.parquet").error
    assert error.startswith("a file stands where a folder is needed at 'log.parquet'")


def test_damaged_trials_are_one_sentence(masknet) -> None:
    command = ("tune", "log.parquet", *QUICK, "--model", "lr", "--trials", 2, "--out", "s")
    assert masknet(*command).code == 0
    Path("s/trials.sqlite").write_bytes(b"damaged" * 100)
    error = masknet(*command).error
    assert error.startswith("the trials in 's/trials.sqlite' can be neither read nor written (file is not a database")
    assert error.endswith("make room, or begin anew with --overwrite")
    assert masknet(*command, "--overwrite").code == 0


def test_without_the_extra_it_is_one_sentence_before_anything_is_read(masknet, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    result = masknet("tune", "log.parquet", *QUICK, "--model", "lr", "--trials", 2)
    assert result.error == "a search needs the package optuna, which is not installed: pip install 'masknet[tune]'"
    assert not Path("log.tune").exists()


def test_what_a_run_file_sets_stays(masknet, fits) -> None:
    said = {"data": "log.parquet", "label": "click", "ignore": ["seconds"], "epochs": 2, "evaluations": 1, "threads": 1}
    network = {"model": "fm", "set": {"embedding_dim": 3}, "members": 2, "out": "elsewhere.masknet"}
    Path("run.yaml").write_text(yaml.safe_dump({**said, **network, "learning_rate": 0.01}))
    result = masknet("tune", "--config", "run.yaml", "--learning-rate", 0.02, "--trials", 2)
    assert result.code == 0, result.err
    assert set(results("log.tune")["trials"][1]["settings"]) == {"batch_size", "embedding_l2"}
    for trial in fits:
        assert (trial.learning_rate, trial.set, trial.members) == (0.02, {"embedding_dim": 3}, 1)
    best = read_run_file("log.tune/best.yaml")
    assert {name: best[name] for name in ("learning_rate", "set", "members")} == {
        "learning_rate": 0.02,
        "set": {"embedding_dim": 3},
        "members": 2,
    }
    assert not Path("elsewhere.masknet").exists()
    Path("refit.yaml").write_text("refit: true\n")
    refused = masknet("tune", "log.parquet", *QUICK, "--config", "refit.yaml", "--trials", 1)
    assert "a search does without refit, which refit.yaml sets: leave it out of the file" in refused.error


@pytest.mark.parametrize("verb", [("tune", "--trials", 1), ("compare", "--models", "lr", "--seeds", 1)])
def test_a_table_that_is_read_whole_for_its_fields_is_read_so_once(verb, masknet, rows, monkeypatch) -> None:
    from masknet.table.table import JsonLines

    rows().write_ndjson("log.jsonl")
    opened, read = [], JsonLines.open

    def counted(*args: Any, **kwargs: Any) -> Any:
        opened.append(args)
        return read(*args, **kwargs)

    monkeypatch.setattr(JsonLines, "open", counted)
    assert masknet(verb[0], "log.jsonl", *QUICK, *verb[1:]).code == 0
    assert len(opened) == 1
