"""A run that was stopped, at whatever moment, ends with the bits of the run that was not."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from masknet.artifact import Artifact
from masknet.config import RunConfig
from masknet.datasets import planted_log
from masknet.progress import LogProgress
from masknet.train import Interrupted, train
from masknet.train.checkpoint import RunFolder

SMALL = {"embedding_dim": 3, "block_dims": [6, 5], "top_dims": [7]}
WIDE = {"embedding_dim": 9, "block_dims": [33, 17], "top_dims": [19]}  # so that products take the processor's fast path
BATCHES = 9  # of 64 rows, in an epoch of 540 training rows
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "lr": {"model": "lr", "set": {}},
    "dropout": {"model": "serial-masknet", "set": {"dropout": 0.3, "block_dims": [6, 5]}, "unseen_rate": 0.2},
    "average": {"average_weights": 0.9},
    "wide layers": {"set": WIDE},
    "bf16": {"precision": "bf16", "average_weights": 0.9, "set": WIDE | {"dropout": 0.3}},
    "penalties": {"embedding_l2": 0.01, "network_l2": 0.001, "clip": 0.1},
    "weights": {"weight": "w", "ignore": ["timestamp"], "monitor": "log_loss"},
    "constant": {"schedule": "constant", "learning_rate": 0.05, "patience": 9},
    "refit": {"refit": True},
    "members": {"members": 2, "average_weights": 0.9},
    "two tables": {"model": "ffm", "set": {"embedding_dim": 2}},
    "pretraining": {"model": "fnn", "set": {"embedding_dim": 3, "hidden_dims": [6]}},
    "two labels": {
        "model": "multitask-masknet",
        "label": ["click", "like"],
        "set": SMALL | {"tower_dims": [4]},
        "task_weight": {"like": 2.0},
        "monitor": "like.auc",
    },
    "by row": {
        "model": "adpredictor",
        "set": {},
        "time": "timestamp",
        "valid_fraction": 0.1,
        "ignore": ["w"],
        **dict.fromkeys(("learning_rate", "embedding_l2", "average_weights", "schedule", "members", "epochs")),
    },
    "sparse": {"embedding_updates": "sparse", "average_weights": 0.9, "embedding_l2": 0.01, "unseen_rate": 0.1},
    "sparse alone": {"embedding_updates": "sparse", "learning_rate": 0.05},
    "sparse tables": {
        "model": "fnn",
        "set": {"embedding_dim": 3, "hidden_dims": [6]},
        "embedding_updates": "sparse",
        "average_weights": 0.99,
        "embedding_l2": 0.01,
        "clip": 0.1,
        "members": 2,
        "refit": True,
        "epochs": 1,
    },
    "all": {
        "set": SMALL | {"dropout": 0.2},
        "average_weights": 0.8,
        "embedding_l2": 0.01,
        "weight": "w",
        "ignore": ["timestamp"],
        "unseen_rate": 0.1,
        "refit": True,
    },
}


REFIT: dict[str, Any] = {"refit": True, "patience": 9}
Run = Callable[..., RunConfig]
PLAIN: dict[str, Any] = {
    "members": 1,
    "evaluations": 1,
    "patience": 2,
    "schedule": "plateau",
    "average_weights": 0.0,
    "embedding_l2": 0.0,
    "numeric_encoding": "linear",
    "unseen_rate": 0.001,
}
"""One network and one evaluation an epoch, whatever the defaults are."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    home = tmp_path_factory.mktemp("home")
    log, _ = planted_log(600, seed=4)
    weights = pl.Series("w", np.random.default_rng(0).exponential(2.0, size=600))
    log = log.with_columns(weights)
    log.write_parquet(home / "log.parquet")
    like = pl.Series("like", np.random.default_rng(1).integers(0, 2, 600)).set(
        pl.arange(600, eager=True) % 5 == 0, None
    )
    log.with_columns(like).write_parquet(home / "both.parquet")
    before = torch.get_num_threads()
    yield home
    assert torch.get_num_threads() == before  # a run leaves its caller's threads alone


def settings_of_a_run(home: Path, out: Path, **settings: Any) -> RunConfig:
    given: dict[str, Any] = PLAIN | {
        "data": home / ("both.parquet" if "label" in settings else "log.parquet"),
        "label": "click",
        "ignore": ["timestamp", "w"],
        "cache_dir": home / "cache",
        "out": out,
        "set": SMALL,
        "batch_size": 64,
        "learning_rate": 0.01,
        "epochs": 3,
        "threads": 1,
        "device": "cpu",
    }
    return RunConfig(**given | settings)


@pytest.fixture
def run(home: Path, tmp_path: Path) -> Callable[..., RunConfig]:
    """A run, not yet begun."""
    return lambda **settings: settings_of_a_run(home, tmp_path / "ads.masknet", **settings)


@pytest.fixture(scope="module")
def whole(home: Path) -> Callable[..., RunConfig]:
    """The finished run of these settings, which nothing stopped."""
    finished: dict[str, RunConfig] = {}

    def whole(**settings: Any) -> RunConfig:
        key = json.dumps(settings, sort_keys=True)
        if key not in finished:
            config = settings_of_a_run(home, home / f"{len(finished)}.masknet", **settings)
            train(config, LogProgress())
            finished[key] = config
        return finished[key]

    return whole


class Stops(LogProgress):
    """Asks to stop after so many batches; counts them, and all evaluations."""

    def __init__(self, after: int | None = None) -> None:
        self.after, self.batches = after, 0
        self.notes: list[str] = []

    def stopping(self) -> bool:
        self.batches += 1
        return self.batches == self.after

    def note(self, text: str) -> None:
        self.notes.append(text)


def finish(config: RunConfig, after: int) -> int:
    """Stop after so many batches, resume, stop, ... to the end; says how often it was stopped."""
    stopped = 0
    while True:
        try:
            train(config.replace(resume=stopped > 0), Stops(after))
        except Interrupted:
            stopped += 1
            assert stopped < 100, "it does not move on"
            assert not Path(str(config.out)).exists()
            assert RunFolder(Path(f"{config.out}.run")).load()
        else:
            return stopped


def timeless(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in record.items() if "seconds" not in key} for record in records]


def log_of(config: RunConfig) -> list[dict[str, Any]]:
    lines = Path(f"{config.out}.run", "log.jsonl").read_text().splitlines()
    return timeless([json.loads(line) for line in lines])


def weights_of(config: RunConfig) -> bytes:
    return Path(str(config.out), "weights.safetensors").read_bytes()


def assert_same_run(config: RunConfig, whole: RunConfig) -> None:
    assert weights_of(config) == weights_of(whole)
    found, expected = (
        json.loads(Path(str(c.out), "metrics.json").read_text(encoding="utf-8")) for c in (config, whole)
    )
    assert timeless(found.pop("history")) == timeless(expected.pop("history"))
    assert found == expected
    assert log_of(config) == log_of(whole)
    assert os.listdir(f"{config.out}.run") == ["log.jsonl"]


# --- stopped between two batches


@pytest.mark.parametrize("variant", VARIANTS)
def test_stopped_again_and_again_it_ends_with_the_same_bits(run: Run, whole: Run, variant: str) -> None:
    stopped, expected = run(**VARIANTS[variant]), whole(**VARIANTS[variant])
    history = json.loads(Path(str(expected.out), "metrics.json").read_text())["history"]
    refitted = 1 + int(np.argmax([record["best"] for record in history[::-1]]))
    refitted = len(history) + 1 - refitted if expected.refit else 0
    # One line an evaluation, and one for each epoch of the refit, which has all 600 rows.
    assert len(log_of(expected)) == len(history) + refitted
    assert finish(stopped, after=4) == (len(history) * BATCHES + refitted * 10) // 4
    assert_same_run(stopped, expected)


def test_stopped_after_each_batch_it_ends_with_the_same_bits(run: Run, whole: Run) -> None:
    """First, middle and last batch of an epoch, and of the refit."""
    settings = VARIANTS["all"] | {"epochs": 1}
    stopped = run(**settings)
    assert finish(stopped, after=1) == BATCHES + 10
    assert_same_run(stopped, whole(**settings))


def test_stopped_in_any_stage_of_any_member_it_ends_with_the_same_bits(run: Run, whole: Run) -> None:
    settings = VARIANTS["pretraining"] | {"members": 2, "refit": True, "epochs": 2, "average_weights": 0.9}
    stopped, expected = run(**settings), whole(**settings)
    assert (
        finish(stopped, after=7) == (2 * 2 * 2 * BATCHES + sum("refit" in line for line in log_of(expected)) * 10) // 7
    )
    assert_same_run(stopped, expected)
    stages = [(line["member"], line.get("stage")) for line in log_of(expected)]
    assert list(dict.fromkeys(stages)) == [(1, "pretraining"), (1, None), (2, "pretraining"), (2, None)]


def test_trees_begin_anew_and_say_so(run: Run) -> None:
    gone = dict.fromkeys(("learning_rate", "embedding_l2", "average_weights", "schedule", "members", "epochs"))
    gone |= dict.fromkeys(("evaluations", "batch_size"))
    killed = run(model="gbdt", set={"num_iterations": 30}, unseen_rate=0.01, numeric_encoding="knots", **gone)
    with pytest.raises(Killed):
        train(killed, KilledIn("boosting", 9))
    progress = Stops()
    train(killed.replace(resume=True), progress)
    assert f"no checkpoint of {killed.out} to resume: the run starts afresh" in progress.notes
    assert Path(str(killed.out), "trees.txt").is_file()
    assert not Path(f"{killed.out}.run", "run.json").exists()


@pytest.mark.parametrize("after", [1, 5, BATCHES, BATCHES + 1, 3 * BATCHES, 3 * BATCHES + 1, 3 * BATCHES + 10])
def test_stopped_once_it_says_where_and_ends_with_the_same_bits(run: Run, whole: Run, after: int) -> None:
    stopped = run(**REFIT)
    with pytest.raises(Interrupted, match=r"^stopped in epoch \d, after \d+ steps$"):
        train(stopped, Stops(after))
    progress = Stops()
    train(stopped.replace(resume=True), progress)
    in_fit = after if after <= 3 * BATCHES else after - 3 * BATCHES
    assert f"resumed after {in_fit} steps" in progress.notes
    assert_same_run(stopped, whole(**REFIT))


def test_the_variants_are_different_runs(whole: Run) -> None:
    """Otherwise a setting without effect would make the tests above empty."""
    assert len({weights_of(whole(**settings)) for settings in VARIANTS.values()}) == len(VARIANTS)


# --- stopped anywhere else: as a kill would, with no chance to write anything


class Killed(BaseException):
    """Nobody catches it."""


class KilledIn(Stops):
    """Dies when a phase is reported for the given time."""

    def __init__(self, phase: str, time: int) -> None:
        super().__init__()
        self.phase, self.time, self.seen = phase, time, 0

    def track(self, phase: str, done: int, total: int | None, detail: str = "", unit: str = "rows") -> None:
        self.seen += phase.startswith(self.phase)
        if self.seen == self.time:
            self.seen += 1
            raise Killed


@pytest.mark.parametrize(
    ("phase", "time", "minutes", "resumed"),
    [
        ("learn", 1, 1e6, None),  # the run has not begun
        ("epoch", 1, 1e6, None),
        ("epoch", 4, 0.0, 3),
        ("epoch", 2 * BATCHES, 1e6, BATCHES),
        ("validate", 1, 1e6, None),
        ("validate", 1, 0.0, BATCHES - 1),
        ("validate", 2, 1e6, BATCHES),
        ("encode", 2, 1e6, 3 * BATCHES),  # for the refit
        ("epoch", 3 * BATCHES + 4, 1e6, 3 * BATCHES),  # in the refit
        ("epoch", 3 * BATCHES + 4, 0.0, 3),
    ],
)
def test_killed_in_any_phase_it_ends_with_the_same_bits(
    run: Run, whole: Run, tmp_path: Path, phase: str, time: int, minutes: float, resumed: int | None
) -> None:
    cache = {"cache_dir": tmp_path / "cache"} if phase in ("learn", "encode") else {}
    killed = run(**REFIT, **cache, checkpoint_minutes=minutes)
    with pytest.raises(Killed):
        train(killed, KilledIn(phase, time))
    progress = Stops()
    train(killed.replace(resume=True), progress)
    said = f"resumed after {resumed} steps" if resumed else f"no checkpoint of {killed.out} to resume"
    assert [note for note in progress.notes if "resume" in note] == [
        said + ("" if resumed else ": the run starts afresh")
    ]
    assert_same_run(killed, whole(**REFIT))


@pytest.mark.parametrize(
    ("owner", "method", "time", "after"),
    [
        (RunFolder, "begin", 1, False),
        (RunFolder, "begin", 1, True),
        (RunFolder, "save", 2, False),  # an evaluation is done, its checkpoint not yet written
        (RunFolder, "append_log", 2, False),  # ... written, and the log not yet
        (RunFolder, "append_log", 4, True),  # in the refit
        (Artifact, "save", 1, False),  # trained, the artifact not yet written
        (Artifact, "save", 1, True),  # ... written, the checkpoint still there
        (RunFolder, "finish", 2, True),  # ... removed (`begin` calls it too)
    ],
)
def test_killed_before_or_after_any_write_it_ends_with_the_same_bits(
    run: Run, whole: Run, monkeypatch: pytest.MonkeyPatch, owner: Any, method: str, time: int, after: bool
) -> None:
    killed = run(**REFIT)
    real, calls = getattr(owner, method), []

    def dying(*args: Any, **kwargs: Any) -> None:
        calls.append(args)
        if len(calls) == time and not after:
            raise Killed
        real(*args, **kwargs)
        if len(calls) == time:
            raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(owner, method, dying)
        with pytest.raises(Killed):
            train(killed, Stops())
    progress = Stops()
    train(killed.replace(resume=True), progress)
    assert_same_run(killed, whole(**REFIT))
    finished = f"the run of {killed.out} is finished: there is nothing to resume"
    assert (progress.notes == [finished]) is (method == "finish")


# Two members of 3 epochs each at most, then the refit of both.
MEMBERS: dict[str, Any] = REFIT | {"members": 2, "average_weights": 0.9, "set": SMALL | {"dropout": 0.2}, "epochs": 2}


@pytest.mark.parametrize(
    ("phase", "time", "minutes", "resumed"),
    [
        ("member 1/2, epoch", 2 * BATCHES, 1e6, f"{BATCHES} steps of member 1/2"),
        ("member 2/2, epoch", 1, 1e6, f"{2 * BATCHES} steps of member 1/2"),  # between the members
        ("member 2/2, epoch", 4, 0.0, "3 steps of member 2/2"),
        ("member 2/2, epoch", BATCHES + 1, 1e6, f"{BATCHES} steps of member 2/2"),
        ("member 2/2, validate", 2, 1e6, f"{BATCHES} steps of member 2/2"),
        ("member 1/2, epoch", 2 * BATCHES + 3, 0.0, "2 steps of member 1/2"),  # in the refit
        ("member 2/2, epoch", 2 * BATCHES + 3, 0.0, "2 steps of member 2/2"),
    ],
)
def test_killed_in_any_member_it_ends_with_the_same_bits(
    run: Run, whole: Run, phase: str, time: int, minutes: float, resumed: str
) -> None:
    killed = run(**MEMBERS, checkpoint_minutes=minutes)
    with pytest.raises(Killed):
        train(killed, KilledIn(phase, time))
    progress = Stops()
    train(killed.replace(resume=True), progress)
    assert [note for note in progress.notes if "resume" in note] == [f"resumed after {resumed}"]
    assert_same_run(killed, whole(**MEMBERS))


def test_members_stopped_again_and_again_end_with_the_same_bits(run: Run, whole: Run) -> None:
    stopped = run(**MEMBERS)
    with pytest.raises(Interrupted, match=r"^stopped in member 2/2, epoch 1, after 3 steps$"):
        train(stopped, Stops(2 * BATCHES + 3))
    while True:
        try:
            train(stopped.replace(resume=True), Stops(7))
        except Interrupted:
            continue
        break
    assert_same_run(stopped, whole(**MEMBERS))


def test_members_killed_before_and_after_every_checkpoint_end_with_the_same_bits(
    run: Run, whole: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed, real = run(**MEMBERS), RunFolder.save
    fits = len(log_of(whole(**MEMBERS)))  # one checkpoint an epoch
    for after in (False, True):
        died, config = 0, killed.replace(overwrite=True)
        while True:
            calls: list[Any] = []

            def dying(*args: Any, calls: list[Any] = calls, after: bool = after) -> None:
                calls.append(args)
                if len(calls) == 2 and not after:
                    raise Killed
                real(*args)
                if after:
                    raise Killed

            with monkeypatch.context() as patched:
                patched.setattr(RunFolder, "save", dying)
                try:
                    train(config, Stops())
                except Killed:
                    died, config = died + 1, killed.replace(resume=True)
                else:
                    break
        assert died >= fits - 1
        assert_same_run(killed, whole(**MEMBERS))


# --- evaluations within an epoch: of 9 batches after 3, 5, 7 and 9; in the refit of 10 after 3, 5, 8 and 10

# Of this seed, the best ones are the 5th of member 1 and the 2nd of member 2: none ends an epoch, and a refit goes
# beyond the first part of one.
PARTS: dict[str, Any] = MEMBERS | {"evaluations": 4, "unseen_rate": 0.1, "patience": 8, "seed": 33}
ENDS = [3, 5, 8, 10, 13, 15, 18, 20]
"""Steps after which the two epochs of a refit are cut."""


@pytest.mark.parametrize(
    ("phase", "time", "minutes", "resumed"),
    [
        ("member 1/2, epoch", 5, 1e6, "3 steps of member 1/2"),  # in the middle of the second part
        ("member 1/2, epoch", 5, 0.0, "4 steps of member 1/2"),
        ("member 1/2, epoch", 6, 0.0, "5 steps of member 1/2"),  # the second part is evaluated
        ("member 1/2, validate", 3, 1e6, "5 steps of member 1/2"),  # the third part is trained
        ("member 1/2, validate", 3, 0.0, "6 steps of member 1/2"),
        ("member 2/2, epoch", BATCHES + 5, 1e6, f"{BATCHES + 3} steps of member 2/2"),
        ("member 2/2, epoch", BATCHES + 5, 0.0, f"{BATCHES + 4} steps of member 2/2"),
        ("member 1/2, epoch", 2 * BATCHES + 5, 0.0, "4 steps of member 1/2"),  # in the refit
        ("member 2/2, epoch", 2 * BATCHES + 5, 1e6, "3 steps of member 2/2"),
        ("member 2/2, epoch", 2 * BATCHES + 5, 0.0, "4 steps of member 2/2"),
    ],
)
def test_killed_within_a_part_of_an_epoch_it_ends_with_the_same_bits(
    run: Run, whole: Run, phase: str, time: int, minutes: float, resumed: str
) -> None:
    killed = run(**PARTS, checkpoint_minutes=minutes)
    with pytest.raises(Killed):
        train(killed, KilledIn(phase, time))
    progress = Stops()
    train(killed.replace(resume=True), progress)
    assert [note for note in progress.notes if "resume" in note] == [f"resumed after {resumed}"]
    assert_same_run(killed, whole(**PARTS))


def test_parts_stopped_again_and_again_end_with_the_same_bits(run: Run, whole: Run) -> None:
    stopped, expected = run(**PARTS), whole(**PARTS)
    steps = sum(2 * BATCHES if "valid" in record else record["step"] for record in log_of(expected) if ends(record))
    assert finish(stopped, after=2) == steps // 2
    assert_same_run(stopped, expected)


def ends(record: dict[str, Any]) -> bool:
    """Whether a record is the last of its fit."""
    return bool(record["best"] if "refit" in record else record["step"] == 2 * BATCHES)


def test_a_refit_trains_the_parts_until_the_best_evaluation_and_no_more(whole: Run) -> None:
    log = log_of(whole(**PARTS))
    lengths = []
    for member in (1, 2):
        found = [record for record in log if record["member"] == member and "valid" in record]
        refitted = [record for record in log if record["member"] == member and "refit" in record]
        best = max(number for number, record in enumerate(found, 1) if record["best"])
        lengths.append(best)
        assert [record["step"] for record in refitted] == ENDS[:best]
        assert [record["epoch"] for record in refitted] == [record["epoch"] for record in found[:best]]
        assert [record["learning_rate"] for record in refitted] == [r["learning_rate"] for r in found[:best]]
        assert [record["best"] for record in refitted] == [False] * (best - 1) + [True]
    assert all(length % 4 for length in lengths), "a best one ends an epoch: this tries nothing"
    assert max(lengths) > 4


def test_a_refit_cuts_an_epoch_as_the_search_did_where_that_had_fewer_batches_than_evaluations(run: Run) -> None:
    config = run(refit=True, evaluations=4, patience=8, batch_size=180)  # 3 batches of 540 rows, 4 of all 600
    train(config, Stops())
    log = log_of(config)
    found = [record for record in log if "valid" in record]
    refitted = [record for record in log if "refit" in record]
    assert [record["epoch"] for record in found[:3]] == [0.3333, 0.6667, 1]
    assert [record["epoch"] for record in refitted] == [record["epoch"] for record in found[: len(refitted)]]
    assert [record["step"] for record in refitted][:3] == [2, 3, 4][: len(refitted)]


def test_the_log_is_cut_back_to_the_checkpoint(run: Run, whole: Run) -> None:
    stopped = run()
    with pytest.raises(Interrupted):
        train(stopped, Stops(BATCHES + 3))
    with Path(f"{stopped.out}.run", "log.jsonl").open("a") as file:
        file.write('{"epoch": 2, "what a kill": "left over"}\n{"half a li')
    train(stopped.replace(resume=True), Stops())
    assert_same_run(stopped, whole())


@pytest.mark.parametrize("place", ["validate", "save"])
def test_ctrl_c_outside_a_batch_leaves_a_resumable_run_and_says_so(
    run: Run, whole: Run, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    def interrupt(*args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt

    stopped, progress = run(), Stops()
    with monkeypatch.context() as patched:
        if place == "validate":  # the second one breaks in; the first epoch's state is there to go on from
            state = RunFolder(Path(f"{stopped.out}.run"))
            patched.setattr(progress, "track", lambda at, *_: interrupt() if at == place and state.resumable else None)
        else:
            patched.setattr(Artifact, "save", interrupt)
        with pytest.raises(Interrupted, match=r"^stopped$"):
            train(stopped, progress)
    train(stopped.replace(resume=True), Stops())
    assert_same_run(stopped, whole())


def test_ctrl_c_before_the_run_began_leaves_nothing_to_resume(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*args: Any) -> None:
        raise KeyboardInterrupt

    progress = Stops()
    monkeypatch.setattr(progress, "track", interrupt)
    with pytest.raises(KeyboardInterrupt):
        train(run(cache_dir=tmp_path / "cache"), progress)
    assert sorted(os.listdir(tmp_path)) == ["cache"]


# --- real processes


# A checkpoint at every step: 3 epochs of 17 of them, and a refit.
STEPWISE: dict[str, Any] = REFIT | {"batch_size": 32, "average_weights": 0.9, "checkpoint_minutes": 0.0}
AT_ONCE: dict[str, Any] = STEPWISE | {"members": 2, "threads": 2}


class Command:
    """`masknet train` in a process of its own, forked from one that has imported it and done nothing else."""

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["masknet.cli", "masknet.train"])

    def __init__(self, config: RunConfig) -> None:
        self.run_file = Path(f"{config.out}.yaml")
        self.run_file.write_text(json.dumps(config.settings()))
        self.checkpoint = Path(f"{config.out}.run", "checkpoint-1.safetensors")
        self.printed, self.said = (Path(f"{config.out}.{name}") for name in ("stdout", "stderr"))

    def start(self, *flags: str) -> BaseProcess:
        streams = [f"os.dup2(os.open({str(to)!r}, os.O_CREAT | os.O_TRUNC | os.O_WRONLY), {number})"
                   for number, to in ((1, self.printed), (2, self.said))]  # fmt: skip
        command = f"main(['train', '--config', {str(self.run_file)!r}, *{flags}])"
        program = "; ".join(["import os; from masknet.cli import main", *streams, command])
        process = self.context.Process(target=exec, args=(program,))
        process.start()
        return process

    def start_training(self, *flags: str) -> BaseProcess:
        """As `start`, and wait until this process has written a checkpoint."""
        written = self._written()
        process = self.start(*flags)
        while self._written() == written:
            assert process.is_alive(), self.said.read_text()
            time.sleep(0.002)
        return process

    def _written(self) -> int:
        return self.checkpoint.stat().st_mtime_ns if self.checkpoint.exists() else 0


@pytest.mark.parametrize(
    "settings",
    [
        STEPWISE | {"embedding_l2": 0.01},
        STEPWISE | {"embedding_l2": 0.01, "embedding_updates": "sparse", "precision": "bf16"},
        AT_ONCE,
        AT_ONCE | {"embedding_l2": 0.01, "embedding_updates": "sparse", "precision": "bf16"},
    ],
    ids=["dense", "sparse in bf16", "two at once", "two at once, sparse in bf16"],
)
def test_killed_at_random_moments_it_ends_with_the_bits_of_another_process(
    run: Run, whole: Run, settings: dict[str, Any]
) -> None:
    killed, moments = run(**settings), random.Random(0)
    command = Command(killed)
    for number in range(3):
        process = command.start_training(*(["--resume"] if number else []))
        time.sleep(moments.uniform(0, 0.1))
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL, "the run was done before it was killed"
    process = command.start("--resume")
    process.join()
    assert process.exitcode == 0, command.said.read_text()
    assert "resumed after" in command.said.read_text()
    assert_same_run(killed, whole(**settings))


@pytest.mark.parametrize(
    ("settings", "said_last"), [(STEPWISE, "stopped in epoch 1, after "), (AT_ONCE, "stopped in member 1/2, epoch 1, ")]
)
def test_ctrl_c_leaves_a_resumable_run_and_says_so(
    run: Run, whole: Run, settings: dict[str, Any], said_last: str
) -> None:
    stopped = run(**settings)
    command = Command(stopped)
    process = command.start_training()
    assert process.pid
    os.kill(process.pid, signal.SIGINT)
    process.join()
    said = command.said.read_text()
    assert (process.exitcode, command.printed.read_text()) == (130, ""), said
    assert "Traceback" not in said
    assert said.splitlines()[-1].startswith(said_last)
    assert said.splitlines()[-1].endswith("; the same command with --resume goes on from there")
    assert not Path(str(stopped.out)).exists()
    progress = Stops()
    train(stopped.replace(resume=True), progress)
    assert any(note.startswith("resumed after") for note in progress.notes)
    assert_same_run(stopped, whole(**settings))
