"""Members that are trained at the same time: each is what it would be alone, whatever becomes of the others."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from masknet.artifact import Artifact
from masknet.config import RunConfig
from masknet.errors import ConfigError
from masknet.models import MODELS, build_network, learns_by_row
from masknet.progress import LogProgress
from masknet.space import FeatureSpace, FieldSpace
from masknet.train import Interrupted, run, train
from masknet.train.checkpoint import RunFolder
from masknet.train.lanes import Lanes, draws, in_lanes, lanes_of
from masknet.train.members import member_seed
from masknet.train.standing import Board, Standing, Turn, line_of
from masknet.train.step import NetworkStep

CPU = torch.device("cpu")
SMALL: dict[str, Any] = {"embedding_dim": 3, "block_dims": [6, 5], "top_dims": [7]}
GIVEN: dict[str, Any] = {
    "label": "click",
    "set": SMALL,
    "batch_size": 64,
    "learning_rate": 0.02,
    "epochs": 4,
    "evaluations": 2,
    "patience": 2,
    "schedule": "plateau",
    "unseen_rate": 0.01,
    "numeric_encoding": "linear",
    "device": "cpu",
}
THREE: dict[str, Any] = {"members": 3, "threads": 2, "average_weights": 0.9, "clip": 0.5, "embedding_l2": 0.01}
Make = Callable[..., RunConfig]


@pytest.fixture
def make(home: Path, tmp_path: Path) -> Make:
    def make(name: str = "ads", **settings: Any) -> RunConfig:
        places = {"data": home / "log.parquet", "cache_dir": home / "cache", "out": tmp_path / f"{name}.masknet"}
        return RunConfig(**GIVEN | places | settings)

    return make


def trained(config: RunConfig, progress: LogProgress | None = None) -> Artifact:
    fitted = train(config, progress or LogProgress())[1]
    assert fitted is not None
    return fitted


def timeless(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in record.items() if "seconds" not in key} for record in records]


def log_of(config: RunConfig) -> list[dict[str, Any]]:
    return timeless([json.loads(line) for line in Path(f"{config.out}.run", "log.jsonl").read_text().splitlines()])


def weights_of(config: RunConfig) -> bytes:
    return Path(str(config.out), "weights.safetensors").read_bytes()


class Hears(LogProgress):
    def __init__(self, stop_after: int | None = None) -> None:
        self.stop_after, self.steps = stop_after, 0
        self.notes: list[str] = []
        self.phases: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def track(self, phase: str, done: int, total: int | None, detail: str = "", unit: str = "rows") -> None:
        self.phases.append(phase)

    def stopping(self) -> bool:
        self.steps += 1
        return self.steps == self.stop_after


@pytest.fixture
def two_meet(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """The first steps wait until two threads are in one at the same time; the set holds all threads that made steps."""
    barrier, met, steps = threading.Barrier(2), set(), NetworkStep.__call__

    def meeting(step: NetworkStep, *args: Any) -> Tensor:
        if threading.get_ident() not in met and len(met) < 2:
            met.add(threading.get_ident())
            barrier.wait(timeout=60)
        return steps(step, *args)

    monkeypatch.setattr(NetworkStep, "__call__", meeting)
    return met


# --- the same members


NETWORKS: dict[str, dict[str, Any]] = {
    "parallel": {},
    "serial": {"model": "serial-masknet", "set": {"block_dims": [6, 5]}},
    "fm": {"model": "fm", "set": {"embedding_dim": 3}},
    "deepfm": {"model": "deepfm", "set": {"embedding_dim": 3, "hidden_dims": [6], "dropout": 0.0}},
    "dcnv2": {"model": "dcnv2", "set": {"embedding_dim": 3, "hidden_dims": [6], "dropout": 0.0}},
    "batch norm": {"model": "dnn", "set": {"hidden_dims": [6], "dropout": 0.0, "norm": "batch"}},
    "pretraining": {"model": "fnn", "set": {"embedding_dim": 3, "hidden_dims": [6], "dropout": 0.0}},
    "refit": {"refit": True},
}


@pytest.mark.parametrize("network", NETWORKS)
def test_each_member_is_what_it_is_alone_with_as_many_threads(make: Make, two_meet: set[int], network: str) -> None:
    settings = THREE | NETWORKS[network]
    together = trained(make(**settings))
    assert len(two_meet) == 2
    lengths = set()
    for number, member in enumerate(together.network.members):
        alone = trained(make(f"{number}", **settings | {"members": 1, "threads": 1, "seed": member_seed(0, number)}))
        found, expected = member.state_dict(), alone.network.state_dict()
        assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
        of_this = [record for record in together.history if record["member"] == number + 1]
        assert timeless(of_this) == [{"member": number + 1} | record for record in timeless(alone.history)]
        lengths.add(len(of_this))
    if network == "parallel":
        assert len(lengths) > 1, "all stop at the same evaluation: it tries too little"
    log = log_of(make())
    assert log[: len(together.history)] == timeless(together.history)
    assert [record["member"] for record in log if "refit" in record] == sorted(
        record["member"] for record in log if "refit" in record
    )


def test_with_as_many_threads_as_the_run_alone_the_weights_differ_by_rounding_alone(make: Make) -> None:
    """100 steps: in a run of its own a member has both threads, beside others one."""
    settings = THREE | {"epochs": 12, "patience": 30, "evaluations": 1, "schedule": "constant", "clip": None}
    together = trained(make(**settings))
    alone = trained(make("alone", **settings | {"members": 1}))
    assert alone.history[-1]["step"] >= 100
    found, expected = together.network.members[0].state_dict(), alone.network.state_dict()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=1e-3)


def test_fewer_at_once_where_memory_does_not_suffice_give_the_same_bits(
    make: Make, monkeypatch: pytest.MonkeyPatch, two_meet: set[int]
) -> None:
    both, hears = make("both", **THREE), Hears()
    train(both, hears)
    assert any(note.startswith("3 members, 2 at a time, each ") for note in hears.notes)
    met = set(two_meet)
    sizes = iter(range(10))
    real = run.size_of

    def size_of(*args: Any, at_once: int, **kwargs: Any) -> Any:
        next(sizes)
        size = real(*args, at_once=at_once, **kwargs)
        monkeypatch.setattr(run, "free_memory", lambda: 0)
        return size if at_once == 1 else type(size)(size.parameters, 10**18)

    monkeypatch.setattr(run, "size_of", size_of)
    monkeypatch.setattr(run, "free_memory", lambda: 10**15)
    one, hears = make("one", **THREE), Hears()
    train(one, hears)
    assert any(note.startswith("3 members, each ") for note in hears.notes)
    assert two_meet == met
    assert weights_of(one) == weights_of(both)


# --- which networks


HISTORY = FieldSpace("history", kind="bag", slots=2, ordered=True)
SPACE = FeatureSpace(9, (FieldSpace("user"), FieldSpace("item"), HISTORY))


@pytest.mark.parametrize(
    ("model", "settings", "draw"),
    [
        ("parallel-masknet", {}, False),
        ("parallel-masknet", {"dropout": 0.1}, True),
        ("dnn", {"norm": "batch", "dropout": 0.0}, False),
        ("afm", {"attention_dropout": 0.2}, True),
        ("fnn", {}, False),
    ],
)
def test_networks_with_dropout_draw(model: str, settings: dict[str, Any], draw: bool) -> None:
    network = build_network(model, SPACE, settings)
    assert draws(model, network) is draw
    lanes = lanes_of(model, network, members=4, threads=2, device=CPU)
    assert lanes == (Lanes(1, 2) if draw else Lanes(2, 1))


@pytest.mark.parametrize("model", [model for model in MODELS if not learns_by_row(model)])
def test_what_is_said_to_draw_nothing_draws_nothing(model: str, small: dict[str, dict[str, Any]]) -> None:
    network = build_network(model, SPACE, small[model]).train()
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    assert not draws(model, network)
    before = torch.get_rng_state()
    network(torch.tensor([[1, 5, 2, 0], [2, 6, 3, 4], [3, 7, 8, 0]]), torch.ones(3, 4)).sum().backward()
    assert torch.equal(torch.get_rng_state(), before)


def test_of_a_users_network_nothing_is_known() -> None:
    assert draws("my.module:Network", nn.Linear(2, 1))


@pytest.mark.parametrize(
    ("members", "threads", "device", "lanes"),
    [
        (1, 8, "cpu", Lanes(1, 8)),
        (4, 1, "cpu", Lanes(1, 1)),
        (4, 3, "cpu", Lanes(3, 1)),
        (4, 16, "cpu", Lanes(4, 4)),
        (2, 7, "cpu", Lanes(2, 3)),
        (4, 16, "cuda", Lanes(1, 16)),
    ],
)
def test_members_share_the_processors(members: int, threads: int, device: str, lanes: Lanes) -> None:
    network = nn.Linear(2, 1)
    assert lanes_of("lr", network, members=members, threads=threads, device=torch.device(device)) == lanes


def test_what_draws_is_trained_one_after_the_other_with_all_threads(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, steps = set(), NetworkStep.__call__

    def noting(step: NetworkStep, *args: Any) -> Tensor:
        seen.add((threading.current_thread(), torch.get_num_threads()))
        return steps(step, *args)

    monkeypatch.setattr(NetworkStep, "__call__", noting)
    train(make(members=2, threads=2, epochs=1, set=SMALL | {"dropout": 0.2}), LogProgress())
    assert seen == {(threading.main_thread(), 2)}


# --- stopped, killed, failed


class Killed(BaseException):
    """Nobody catches it."""


class KilledIn(Hears):
    """Dies at the given report of a step or a validation."""

    def __init__(self, time: int) -> None:
        super().__init__()
        self.time = time

    def track(self, phase: str, done: int, total: int | None, detail: str = "", unit: str = "rows") -> None:
        self.time -= phase.startswith("member")
        if self.time == 0:
            raise Killed


RESUMED: dict[str, Any] = THREE | {"learning_rate": 0.005, "epochs": 3, "refit": True}


@pytest.fixture(scope="module")
def whole(home: Path) -> RunConfig:
    """The run that nothing stopped."""
    places = {"data": home / "log.parquet", "cache_dir": home / "cache", "out": home / "whole.masknet"}
    config = RunConfig(**GIVEN | RESUMED | places)
    train(config, LogProgress())
    return config


@pytest.mark.parametrize("minutes", [0.0, 1e6])
@pytest.mark.parametrize("time", [3, 17, 40, 64, 85, 100, 112])
def test_killed_at_any_time_it_ends_with_the_same_bits(make: Make, whole: RunConfig, time: int, minutes: float) -> None:
    config = make(**RESUMED)
    with pytest.raises(Killed):
        train(config.replace(checkpoint_minutes=minutes), KilledIn(time))
    hears = Hears()
    train(config.replace(resume=True), hears)
    assert any("resume" in note for note in hears.notes)
    assert weights_of(config) == weights_of(whole)
    assert log_of(config) == log_of(whole)


def test_stopped_again_and_again_it_ends_with_the_same_bits(make: Make, whole: RunConfig) -> None:
    config, stops = make(**RESUMED), 0
    while True:
        try:
            train(config.replace(resume=stops > 0), Hears(stop_after=9))
        except Interrupted:
            stops += 1
            assert stops < 100, "it does not move on"
        else:
            break
    assert stops > 5
    assert weights_of(config) == weights_of(whole)
    assert log_of(config) == log_of(whole)


def test_where_it_was_stopped_and_goes_on_is_told_of_each_member(make: Make, two_meet: set[int]) -> None:
    config, hears = make(**THREE | {"patience": 9}), Hears(stop_after=8)
    told = r"^stopped in member 1/3, epoch 1, after \d+ steps; in member 2/3, epoch 1, after \d+ steps$"
    with pytest.raises(Interrupted, match=told) as stopped:
        train(config, hears)
    assert len(stopped.value.where) == 2
    assert any(phase == "members 1 and 2 of 3, epoch 1/4" for phase in hears.phases)
    states = RunFolder(Path(f"{config.out}.run")).load()
    steps = {member: checkpoint.state["trainer"]["step"] for member, checkpoint in states.items()}
    again = Hears()
    train(config.replace(resume=True), again)
    assert f"resumed after {steps[1]} steps of member 1/3 and {steps[2]} steps of member 2/3" in again.notes


def test_a_member_that_fails_ends_the_run_with_its_error(make: Make) -> None:
    with pytest.raises(ConfigError, match=r"^training needs finite numbers; in member [12]/3, epoch 1 "):
        train(make(**THREE | {"learning_rate": 1e30, "clip": None}), LogProgress())


def test_the_others_leave_at_their_next_step_and_no_new_one_begins() -> None:
    began: list[int] = []
    failed = threading.Event()

    def member(number: int, board: Board) -> None:
        began.append(number)
        if number == 0:
            failed.set()
            raise ConfigError("it fails")
        failed.wait(60)
        while True:
            board.stopping()

    with pytest.raises(ConfigError, match="it fails"):
        in_lanes(member, members=4, lanes=Lanes(2, 1), progress=LogProgress())
    assert set(began) <= {0, 1}


def test_what_members_return_comes_in_their_order_and_the_threads_are_as_before() -> None:
    before = torch.get_num_threads()
    second = threading.Event()

    def member(number: int, board: Board) -> tuple[int, int]:
        if number:
            second.set()
        second.wait(60)
        return number, torch.get_num_threads()

    found = in_lanes(member, members=3, lanes=Lanes(2, 1), progress=LogProgress())
    assert found == [(0, 1), (1, 1), (2, 1)]
    assert torch.get_num_threads() == before


# --- one line for all


def test_trainings_at_different_places_are_told_apart() -> None:
    far = {"done": 10, "total": 40, "patience": "0 of 8 without better"}
    told = line_of(
        [
            Standing(Turn(1, 4), "epoch 2/9", pace=100.0, best=("auc", 0.75), left=50.0, **far),
            Standing(Turn(2, 4), "validate", pace=100.0, left=90.0, **far),
            Standing(Turn(4, 4), "epoch 2/9", pace=100.0, **far),
        ]
    )
    assert told == ("members 1 and 4 of 4, epoch 2/9; member 2/4, validate", 30, 120, "auc 0.7500, 2 min at most")
