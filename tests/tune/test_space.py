"""Every model can be searched: its space names what there is, holds its defaults, and what is drawn from it builds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from torch import nn

from masknet.config import RunConfig
from masknet.errors import ConfigError
from masknet.gbdt import SEARCH, TREES
from masknet.models import MODELS, Recipe, as_lists, build_network, learns_by_row, recipe_of, resolve_settings
from masknet.nn import LinearTerm
from masknet.ranges import Drawn, Floats, Ints, OneOf, Times
from masknet.space import FeatureSpace, FieldSpace
from masknet.train import network_defaults
from masknet.train.defaults import resolved
from masknet.tune.space import holding, moved, space_of, starting_point

SPACE = FeatureSpace(
    num_ids=40,
    fields=(
        FieldSpace("user"),
        FieldSpace("item"),
        FieldSpace("history", kind="bag", slots=3, ordered=True),
        FieldSpace("price", kind="numeric"),
    ),
)
EVERY = (*MODELS, *TREES)


class Plain(LinearTerm):
    """One of a user's own, without a recipe."""


class Labelled(LinearTerm):
    """One that would have the label searched."""

    recipe = Recipe(search={"label": OneOf(("click", "like")), "learning_rate": Floats(1e-3, 1e-2)})


class Held(LinearTerm):
    """One whose defaults lie outside what it declares."""

    recipe = Recipe(embedding_l2=0.5, learning_rate=0.2)


def run_of(config: RunConfig, rows: int = 3000) -> dict[str, Any]:
    """The settings of a trained run, as its artifact keeps them."""
    model = config.model
    if model in TREES:
        return {**config.settings(), "learning_rate": 0.05, "set": {"num_leaves": 31, "num_iterations": 2000}}
    settings = resolve_settings(model, network_defaults(model, config.set) | config.set)
    config, _ = resolved(config, rows=rows, by_time=False)
    return {**config.settings(), "set": settings}


def held(config: RunConfig) -> dict[str, Drawn]:
    space = space_of(config)
    return holding(space, starting_point(space, run_of(config)))


def draw(within: Drawn, rng: np.random.Generator) -> Any:
    if isinstance(within, OneOf):
        return within.values[rng.integers(len(within.values))]
    low, high = (np.log(within.low), np.log(within.high)) if within.log else (within.low, within.high)
    value = rng.uniform(low, high)
    value = float(np.exp(value) if within.log else value)
    return round(value) if isinstance(within, Ints) else min(max(value, within.low), within.high)


@pytest.mark.parametrize("model", EVERY)
def test_a_space_holds_the_defaults_as_it_is_declared(model: str) -> None:
    declared = SEARCH if model in TREES else recipe_of(model).search
    config = RunConfig(model=model)
    assert set(held(config)) == set(declared)
    for name, within in held(config).items():
        if isinstance(declared[name], OneOf):
            assert within.values == tuple(map(as_lists, declared[name].values)), name
        elif not isinstance(declared[name], Times):
            assert within == declared[name], name


@pytest.mark.parametrize("model", MODELS)
def test_what_is_drawn_builds(model: str) -> None:
    config, rng = RunConfig(model=model), np.random.default_rng(0)
    for _ in range(6):
        drawn = moved(config, {name: draw(within, rng) for name, within in held(config).items()})
        settings = resolve_settings(model, network_defaults(model, drawn.set) | drawn.set)
        assert isinstance(build_network(model, SPACE, settings), nn.Module)


def test_what_the_run_sets_is_not_searched() -> None:
    config = RunConfig(model="dnn", learning_rate=0.01, set={"dropout": 0.0})
    assert set(space_of(RunConfig(model="dnn"))) - set(space_of(config)) == {"learning_rate", "dropout"}


def test_of_trees_it_is_so_by_any_name_of_lightgbm() -> None:
    space = space_of(RunConfig(model="gbdt", set={"min_child_samples": 20}, learning_rate=0.1))
    assert set(SEARCH) - set(space) == {"min_data_in_leaf", "learning_rate"}


def test_where_all_is_set_nothing_is_searched() -> None:
    config = RunConfig(model="lr", learning_rate=0.01, embedding_l2=0.1, batch_size=64)
    with pytest.raises(ConfigError, match="a search needs a setting to move; of lr all are set: leave one out"):
        space_of(config)


def test_a_network_of_ones_own_without_a_recipe_is_searched_over_settings_of_the_run() -> None:
    space = space_of(RunConfig(model=f"{__name__}:Plain"))
    assert list(space) == ["learning_rate", "embedding_l2", "network_l2", "batch_size"]


def test_the_label_is_nothing_that_a_search_moves() -> None:
    with pytest.raises(ConfigError, match=r"that of .*:Labelled names 'label': take it out of its recipe's search"):
        space_of(RunConfig(model=f"{__name__}:Labelled"))


def test_defaults_outside_of_what_is_declared_are_inside_of_what_is_searched() -> None:
    space = held(RunConfig(model=f"{__name__}:Held"))
    assert space["learning_rate"] == Floats(1e-4, 0.2, log=True)
    assert 0.5 in space["embedding_l2"].values


def test_what_does_not_concern_a_model_is_not_searched() -> None:
    assert learns_by_row("adpredictor")
    assert list(space_of(RunConfig(model="adpredictor"))) == ["prior_variance", "forgetting"]
    assert not {"epochs", "embedding_l2"} & set(space_of(RunConfig(model="gbdt")))


def test_the_defaults_are_those_of_the_rows() -> None:
    space = space_of(RunConfig(model="fm"))
    few, many = (starting_point(space, run_of(RunConfig(model="fm"), rows)) for rows in (3000, 2_000_000))
    assert (few["batch_size"], many["batch_size"]) == (32, 4096)
    assert holding(space, many)["batch_size"] == OneOf((4096, 8192, 16384))


@pytest.mark.parametrize("default", [0.0, None])
def test_a_default_that_cannot_be_held_is_told(default: float | None) -> None:
    with pytest.raises(ConfigError, match=f"what a search moves holds its default; x is {default}, and Floats"):
        holding({"x": Floats(1e-3, 1.0, log=True)}, {"x": default})
