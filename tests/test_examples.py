"""The run files in `examples/`: they say all that a run would else decide, and build the published networks."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from masknet.config import RunConfig, read_run_file
from masknet.models import MODELS, build_network
from masknet.nn import id_tables
from masknet.space import FeatureSpace, FieldSpace
from masknet.train.defaults import network_defaults, resolved

EXAMPLES = Path(__file__).parent.parent / "examples"
PAPERS = ("paper-parallel", "paper-serial", "criteo", "avazu", "malware")
"""Those that have the networks and the training of the paper."""

PUBLISHED = ("frappe", "movielens-latest", *PAPERS)
SPARSE = ("criteo", "avazu", "malware")
"""Those whose tables are too large for dense updates; the steps are the same."""
ALL = sorted(path.stem for path in EXAMPLES.glob("*.yaml"))


def run_file(name: str) -> dict[str, Any]:
    return read_run_file(EXAMPLES / f"{name}.yaml")


def network_of(name: str, num_fields: int, num_ids: int) -> nn.Module:
    config = RunConfig(**run_file(name))
    fields = tuple(FieldSpace(f"f{i}") for i in range(num_fields))
    with torch.device("meta"):  # the shapes alone
        return build_network(
            config.model, FeatureSpace(num_ids, fields), network_defaults(config.model, config.set) | config.set
        )


def dense_count(network: nn.Module) -> int:
    tables = sum(table.weight.numel() for table in id_tables(network).values())
    return sum(parameter.numel() for parameter in network.parameters()) - tables


def test_the_published_ones_are_there() -> None:
    assert set(PUBLISHED) <= set(ALL)


@pytest.mark.parametrize("name", ALL)
def test_every_setting_that_a_run_would_decide_is_said(name: str) -> None:
    given = run_file(name)
    open_ones, filled = RunConfig(), resolved(RunConfig(), rows=1000, by_time=False)[0]
    decided = [key for key in RunConfig.model_fields if getattr(open_ones, key) != getattr(filled, key)]
    assert len(decided) == 9
    assert [key for key in decided if given.get(key) is None] == []
    model = given["model"]
    assert [key for key in inspect.signature(MODELS[model]).parameters if key not in given["set"]] == ["space"]
    config = RunConfig(**given)
    for rows in (1000, 700_000, 50_000_000):
        for by_time in (False, True):
            assert resolved(config, rows=rows, by_time=by_time) == (config, "")


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_ones_are_one_network_trained_as_it_was(name: str) -> None:
    config = RunConfig(**run_file(name))
    assert (config.members, config.average_weights, config.evaluations) == (1, 0.0, 1)
    updates = "sparse" if name in SPARSE else "dense"
    assert (config.numeric_encoding, config.unseen_rate, config.embedding_updates) == ("linear", 0.001, updates)
    assert (config.min_count, config.refit, config.network_l2) == (1, False, 0.0)
    # What these settings leave to a default that is no choice of the rows is written down here, should it ever move.
    assert (config.clip, config.negative_rate, config.monitor) == (10.0, 1.0, "auc")


@pytest.mark.parametrize("name", PAPERS)
def test_the_papers_are_trained_as_section_4_says(name: str) -> None:
    config = RunConfig(**run_file(name))
    assert (config.batch_size, config.learning_rate, config.schedule, config.embedding_l2) == (
        1024,
        1e-4,
        "constant",
        0.0,
    )


def test_frappe_is_the_published_network() -> None:
    network = network_of("frappe", 10, 5_389)
    assert sum(parameter.numel() for parameter in network.parameters()) == 571_691
    assert dense_count(network) == 517_801
    config = RunConfig(**run_file("frappe"))
    assert (config.batch_size, config.learning_rate, config.embedding_l2, config.schedule) == (
        4096,
        1e-3,
        0.1,
        "plateau",
    )
    assert {m.p for m in network.modules() if isinstance(m, nn.Dropout)} == {0.1}


def test_movielens_is_the_published_network() -> None:
    network = network_of("movielens-latest", 3, 90_239)
    assert sum(parameter.numel() for parameter in network.parameters()) == 2_624_541
    assert dense_count(network) == 1_722_151
    config = RunConfig(**run_file("movielens-latest"))
    assert (config.batch_size, config.learning_rate, config.embedding_l2, config.schedule, config.patience) == (
        4096,
        1e-3,
        0.005,
        "plateau",
        2,
    )
    assert {m.p for m in network.modules() if isinstance(m, nn.Dropout)} == {0.5}


@pytest.mark.parametrize("name", SPARSE)
def test_a_comparison_splits_the_papers_sets_as_it_did(name: str) -> None:
    config = RunConfig(**run_file(name))
    assert config.valid_fraction is not None
    assert 0.9 * config.valid_fraction == pytest.approx(0.1, abs=1e-6)


@pytest.mark.parametrize(("name", "dense"), [("paper-parallel", 1_651_221), ("paper-serial", 1_599_901)])
def test_the_papers_networks_have_its_sizes(name: str, dense: int) -> None:
    """Of 22 fields. Parallel, by hand: 3 blocks of 283,060, the perceptron's 801,601, a layer norm a field (440)."""
    assert dense_count(network_of(name, 22, 2)) == dense


@pytest.mark.parametrize("name", PAPERS)
def test_the_papers_files_say_what_the_classes_have_by_themselves(name: str) -> None:
    """A class without keywords is the paper's network, whatever a run's defaults are."""
    given = run_file(name)
    own = {key: p.default for key, p in inspect.signature(MODELS[given["model"]]).parameters.items() if key != "space"}
    assert {key: tuple(v) if isinstance(v, list) else v for key, v in given["set"].items()} == own
