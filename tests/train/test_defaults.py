"""What a run does where its settings leave it open: each rule, the line that tells, and that a run can be repeated."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from masknet.artifact import Artifact
from masknet.cli import main
from masknet.config import RunConfig
from masknet.datasets import DATASETS, planted_log
from masknet.errors import ConfigError
from masknet.models import MODELS, Recipe, build_network
from masknet.models.undrawn import undrawn
from masknet.nn import InstanceGuidedMask
from masknet.progress import LogProgress
from masknet.space import FeatureSpace, FieldSpace
from masknet.train import defaults as rules
from masknet.train import train
from masknet.train.defaults import network_defaults, resolved

OWN = "own_networks:Network"
OPEN: dict[str, Any] = {
    "members": 3,
    "batch_size": 100,
    "learning_rate": 0.5,
    "epochs": 7,
    "evaluations": 5,
    "patience": 1,
    "schedule": "plateau",
    "embedding_l2": 0.0,
    "average_weights": 0.0,
}
"""All settings that a run decides where they are open, each with a value that no rule gives."""


class Network(nn.Module):
    """One of a user's own, without a recipe."""

    def __init__(self, space: FeatureSpace) -> None:
        super().__init__()


class Trained(nn.Module):
    """One of a user's own, with a recipe of its own."""

    recipe = Recipe(network={"widths": (8, (4, 2))}, several_members=True, learning_rate=0.02, epochs=3)

    def __init__(self, space: FeatureSpace, *, widths: tuple[Any, ...] = (32,)) -> None:
        super().__init__()


class Inherits(Trained):
    """A subclass is another network: its recipe is the general one."""


class Wrong(nn.Module):
    """What it calls a recipe is none."""

    recipe = 3

    def __init__(self, space: FeatureSpace) -> None:
        super().__init__()


@pytest.fixture(autouse=True, scope="module")
def _own_networks() -> Iterator[None]:
    module = ModuleType("own_networks")
    for network in (Network, Trained, Inherits, Wrong):
        setattr(module, network.__name__, network)
    sys.modules["own_networks"] = module
    yield
    del sys.modules["own_networks"]


def decided(rows: int = 100_000, by_time: bool = False, **settings: Any) -> RunConfig:
    return resolved(RunConfig(**settings), rows=rows, by_time=by_time)[0]


def line(rows: int = 100_000, by_time: bool = False, **settings: Any) -> str:
    return resolved(RunConfig(**settings), rows=rows, by_time=by_time)[1]


# --- the rules


@pytest.mark.parametrize("model", ["parallel-masknet", "serial-masknet"])
@pytest.mark.parametrize(
    ("rows", "members"), [(1, 4), (500_000, 4), (500_001, 2), (2_000_000, 2), (2_000_001, 1), (10**9, 1)]
)
def test_a_masknet_has_several_members_while_rows_are_few(model: str, rows: int, members: int) -> None:
    assert decided(rows, model=model).members == members


@pytest.mark.parametrize("model", ["lr", OWN])
@pytest.mark.parametrize("rows", [1, 1_000_000, 10**9])
def test_any_other_model_has_one_member(model: str, rows: int) -> None:
    assert decided(rows, model=model).members == 1


@pytest.mark.parametrize(
    ("rows", "size"),
    [(1, 32), (4_095, 32), (4_096, 64), (65_535, 512), (65_536, 1024), (999_999, 1024), (1_000_000, 4096)],
)
@pytest.mark.parametrize("model", ["parallel-masknet", "lr", OWN])
def test_steps_are_larger_where_rows_are_many(rows: int, size: int, model: str) -> None:
    assert decided(rows, model=model).batch_size == size


@given(st.integers(1, 999_999))
def test_an_epoch_has_64_steps_or_the_smallest_ones(rows: int) -> None:
    size = decided(rows).batch_size
    assert size in (32, 64, 128, 256, 512, 1024)
    assert size == 32 or rows >= 64 * size
    assert size == 1024 or rows < 64 * 2 * size


@pytest.mark.parametrize(
    ("model", "by_time", "rate"),
    [
        ("parallel-masknet", False, 1e-3),
        ("parallel-masknet", True, 2e-4),
        ("serial-masknet", True, 2e-4),
        (OWN, False, 1e-3),
        (OWN, True, 2e-4),
        ("lr", False, 1e-2),
        ("lr", True, 1e-2),
    ],
)
def test_the_start_is_slower_where_the_latest_rows_validate(model: str, by_time: bool, rate: float) -> None:
    assert decided(model=model, by_time=by_time).learning_rate == rate


@pytest.mark.parametrize("model", ["parallel-masknet", "serial-masknet", OWN])
def test_networks_are_evaluated_in_parts_penalised_and_averaged(model: str) -> None:
    config = decided(model=model)
    assert (config.epochs, config.evaluations, config.patience, config.schedule) == (20, 4, 8, "constant")
    assert (config.embedding_l2, config.average_weights) == (0.03, 0.999)


def test_logistic_regression_is_trained_to_its_optimum_alone() -> None:
    config = decided(model="lr")
    assert (config.epochs, config.evaluations, config.patience, config.schedule) == (50, 1, 2, "plateau")
    assert (config.embedding_l2, config.average_weights) == (0.0, 0.0)


def test_a_run_has_smaller_networks_than_the_papers_which_the_classes_keep() -> None:
    small = {"embedding_dim": 10, "block_dims": [64] * 3, "reduction": 1.0, "embedding_norm": False}
    small |= {"max_mask_weights": 2_000_000}
    assert network_defaults("serial-masknet") == small
    assert network_defaults("parallel-masknet") == small | {"top_dims": [128]}
    assert network_defaults("lr") == network_defaults(OWN) == {}
    for name in ("serial-masknet", "parallel-masknet"):
        keywords = inspect.signature(MODELS[name]).parameters
        assert network_defaults(name).keys() <= keywords.keys()
        assert keywords["block_dims"].default == (400, 400, 400)
        assert (keywords["reduction"].default, keywords["embedding_norm"].default) == (2.0, True)


@pytest.mark.parametrize("model", ["parallel-masknet", "serial-masknet"])
def test_the_masks_of_a_run_are_bounded_but_not_where_their_width_is_given(model: str) -> None:
    assert "max mask weights 2000000" in line(1000, model=model)
    assert "max_mask_weights" not in network_defaults(model, {"reduction": 3})
    assert "max mask weights" not in line(1000, model=model, set={"reduction": 3})
    assert inspect.signature(MODELS[model]).parameters["max_mask_weights"].default is None

    def masks(fields: int, settings: dict[str, Any]) -> list[tuple[int, int]]:
        space = FeatureSpace(3, tuple(FieldSpace(f"f{i}") for i in range(fields)))
        with undrawn(lambda parameter: parameter):  # no memory
            network = build_network(model, space, settings)
        pairs = [(m.aggregation, m.projection) for m in network.modules() if isinstance(m, InstanceGuidedMask)]
        return [(first.out_features, first.weight.numel() + last.weight.numel()) for first, last in pairs]

    bounded = network_defaults(model)
    free = {name: value for name, value in bounded.items() if name != "max_mask_weights"}
    for fields in (1, 39, 100):
        assert masks(fields, bounded) == masks(fields, free), "up to 100 fields nothing changes"
    for fields in (101, 500, 2000):
        assert max(weights for _, weights in masks(fields, bounded)) <= 2_000_000
    assert masks(500, network_defaults(model, {"reduction": 1}) | {"reduction": 1})[0] == (5000, 2 * 5000 * 5000)
    assert [width for width, _ in masks(2000, bounded)][-1] == (64 if model == "serial-masknet" else 50)


def test_a_network_of_ones_own_may_have_a_recipe() -> None:
    config = decided(rows=1000, model="own_networks:Trained")
    assert (config.members, config.learning_rate, config.epochs, config.patience) == (4, 0.02, 3, 8)
    assert network_defaults("own_networks:Trained") == {"widths": [8, [4, 2]]}
    assert line(1000, model="own_networks:Trained").endswith("widths [8, [4, 2]]")
    config = decided(rows=1000, model="own_networks:Inherits")
    assert (config.members, config.learning_rate, config.epochs) == (1, 1e-3, 20)
    assert network_defaults("own_networks:Inherits") == {}
    with pytest.raises(ConfigError, match=r"a network's recipe is a masknet.models.Recipe; that of .*:Wrong is 3"):
        network_defaults("own_networks:Wrong")


def test_the_defaults_of_a_network_are_not_shared() -> None:
    network_defaults("serial-masknet")["reduction"] = 9
    assert network_defaults("serial-masknet")["reduction"] == 1.0


# --- what is said is kept


def test_what_is_open_is_all_that_is_decided() -> None:
    before, after = RunConfig().settings(), decided().settings()
    assert {name for name in before if before[name] != after[name]} == OPEN.keys()
    assert {name for name in OPEN if before[name] is not None} == set()


@given(
    st.sets(st.sampled_from(list(OPEN))).map(lambda some: {name: OPEN[name] for name in some}),
    st.sampled_from(["parallel-masknet", "serial-masknet", "lr", OWN]),
    st.integers(1, 3_000_000),
    st.booleans(),
)
def test_what_is_given_is_kept_and_not_told(given: dict[str, Any], model: str, rows: int, by_time: bool) -> None:
    config, told = resolved(RunConfig(model=model, **given), rows=rows, by_time=by_time)
    free = resolved(RunConfig(model=model), rows=rows, by_time=by_time)[0]
    expected = {name: given.get(name, getattr(free, name)) for name in OPEN}
    assert {name: getattr(config, name) for name in OPEN} == expected
    for name in OPEN:
        assert (f"{name.replace('_', ' ')} " in told) is (name not in given)
    assert resolved(config, rows=1, by_time=not by_time)[0] == config  # decided once, decided for good


@pytest.mark.parametrize("name", ["embedding_dim", "block_dims", "reduction", "embedding_norm"])
def test_a_width_that_is_given_is_not_told(name: str) -> None:
    words = name.replace("_", " ")
    assert words in line(model="serial-masknet")
    assert words not in line(model="serial-masknet", set={name: 3})
    assert decided(model="serial-masknet", set={name: 3}).set == {name: 3}


def test_no_rule_knows_the_data() -> None:
    for by_time in (False, True):
        named = [
            resolved(RunConfig(data=data, label=label), rows=80_000, by_time=by_time)
            for data, label in (("avazu.csv", "click"), ("frappe/train.csv", "label"), ("a.parquet", "y"))
        ]
        assert len({told for _, told in named}) == 1
        assert len({tuple(getattr(config, name) for name in OPEN) for config, _ in named}) == 1
    source = inspect.getsource(rules).casefold()
    for name in (*DATASETS, "frappe", "criteo", "avazu", "movielens"):
        assert name.casefold() not in source


# --- what is told


def test_the_line_says_what_was_decided_and_why() -> None:
    assert line(80_000, by_time=True) == (
        "defaults: members 4 (up to 500,000 rows), batch size 1,024 (below 1,000,000 rows), "
        "learning rate 0.0002 (validated on the latest rows), epochs 20, evaluations 4, patience 8, schedule constant, "
        "embedding l2 0.03, average weights 0.999, embedding dim 10, reduction 1.0, max mask weights 2000000, "
        "embedding norm False, block dims [64, 64, 64], top dims [128]"
    )
    assert line(3_000_000, model="lr") == (
        "defaults: members 1, batch size 4,096 (from 1,000,000 rows), learning rate 0.01, epochs 50, evaluations 1, "
        "patience 2, schedule plateau, embedding l2 0.0, average weights 0.0"
    )
    assert "members 2 (up to 2,000,000 rows)" in line(600_000)
    assert "members 1 (above 2,000,000 rows)" in line(2_000_001)
    assert "batch size 64 (so that an epoch has about 64 steps)" in line(5_000)


def test_nothing_is_told_where_nothing_is_open() -> None:
    assert line(**OPEN, set=network_defaults("parallel-masknet")) == ""
    assert line(**OPEN, model="lr") == ""


# --- in a run

Run = Callable[..., RunConfig]
TINY = {"block_dims": [4], "top_dims": [4]}


class Hears(LogProgress):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    planted_log(400, seed=4)[0].write_parquet(home / "log.parquet")
    return home


@pytest.fixture
def run(home: Path, tmp_path: Path) -> Run:
    def run(**settings: Any) -> RunConfig:
        given: dict[str, Any] = {
            "data": home / "log.parquet",
            "label": "click",
            "cache_dir": home / "cache",
            "out": tmp_path / "ads.masknet",
            "set": TINY,
            "epochs": 1,
            "threads": 1,
            "device": "cpu",
        }
        return RunConfig(**given | settings)

    return run


def trained(config: RunConfig) -> tuple[Artifact, list[str]]:
    progress = Hears()
    fitted = train(config, progress)[1]
    assert fitted is not None
    return fitted, [note for note in progress.notes if note.startswith("defaults: ")]


def test_a_run_tells_its_defaults_keeps_them_and_is_repeated_from_them(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fitted, told = trained(run(ignore=["timestamp"]))
    assert told == [line(360, set=TINY, epochs=1)]
    assert fitted.manifest.members == 4
    kept = json.loads((tmp_path / "ads.masknet" / "run.json").read_text(encoding="utf-8"))
    expected = decided(360, set=TINY, epochs=1)
    assert {name: kept[name] for name in OPEN} == {name: getattr(expected, name) for name in OPEN}
    paper = {"hidden_norm": True, "dropout": 0.0}
    assert kept["set"] == network_defaults("parallel-masknet") | paper | TINY
    again = tmp_path / "again.masknet"
    with pytest.raises(SystemExit) as left:
        main(["train", "--config", str(tmp_path / "ads.masknet" / "run.json"), "--out", str(again)])
    said = capsys.readouterr().err
    assert left.value.code == 0, said
    assert "defaults: " not in said  # all is said in the file
    weights = [(out / "weights.safetensors").read_bytes() for out in (tmp_path / "ads.masknet", again)]
    assert weights[0] == weights[1]
    assert json.loads((again / "run.json").read_text(encoding="utf-8")) == kept | {"out": str(again)}


@pytest.mark.parametrize(
    ("settings", "by_time"),
    [
        ({"ignore": ["timestamp"]}, False),
        ({"time": "timestamp"}, True),
        ({"time": "timestamp", "valid_after": "MIDDLE"}, True),
        ({"time": "timestamp", "valid_fraction": 0.3}, False),
        ({"time": "timestamp", "valid": "VALID"}, False),
    ],
)
def test_the_rate_is_that_of_the_split(run: Run, home: Path, settings: dict[str, Any], by_time: bool) -> None:
    log = planted_log(400, seed=4)[0]
    if "valid" in settings:
        log[:100].write_parquet(home / "valid.parquet")
        settings = settings | {"valid": home / "valid.parquet"}
    if "valid_after" in settings:
        settings = settings | {"valid_after": str(log["timestamp"].sort()[300])}
    fitted, told = trained(run(members=1, evaluations=1, **settings))
    assert fitted.run["learning_rate"] == (2e-4 if by_time else 1e-3)
    assert [("validated on the latest rows" in text) for text in told] == [by_time]


def test_a_run_that_says_all_is_told_nothing(run: Run) -> None:
    said = OPEN | {"members": 1, "epochs": 1, "set": network_defaults("parallel-masknet") | TINY}
    fitted, told = trained(run(ignore=["timestamp"], **said))
    assert told == []
    assert {name: fitted.run[name] for name in OPEN} == {name: said[name] for name in OPEN}
