"""What a search moves, and within what: what stands in a model's recipe, less what the run sets itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from masknet.config import RunConfig
from masknet.errors import ConfigError
from masknet.gbdt import OF_LIGHTGBM, SEARCH, TREES, by_own_names
from masknet.models import as_lists, recipe_of, resolve_settings
from masknet.models.recipe import TRAINING
from masknet.ranges import Drawn, OneOf, Range
from masknet.train import network_defaults
from masknet.train.effect import without_effect

__all__ = ["holding", "moved", "parted", "space_of", "starting_point"]

_OF_A_RUN = (*TRAINING, "average_weights", "clip", "unseen_rate")
"""The settings of a run that a search may move: no other changes how a network learns from the same rows."""


def space_of(config: RunConfig) -> dict[str, Range]:
    """By name within what each setting is moved.

    >>> list(space_of(RunConfig(model="lr"))), list(space_of(RunConfig(model="lr", learning_rate=0.1)))
    (['learning_rate', 'embedding_l2', 'batch_size'], ['embedding_l2', 'batch_size'])

    Args:
        config: the run; what it sets stays as it is.

    Raises:
        ConfigError: there is no such model, its recipe names what cannot be moved, or nothing is left.
    """
    model, space = config.model, _declared(config)
    said = by_own_names(model, config.set) if model in TREES else config.set
    given = {name for name in _OF_A_RUN if getattr(config, name) != RunConfig.model_fields[name].default}
    free = {name: within for name, within in space.items() if name not in {*said, *given, *without_effect(model)}}
    if not free:
        raise ConfigError(f"a search needs a setting to move; of {model} all are set: leave one out")
    return free


def _declared(config: RunConfig) -> Mapping[str, Range]:
    """What stands beside the model; every name of it is one that a search may move."""
    model = config.model
    if model in TREES:
        return SEARCH
    space = recipe_of(model).search
    keywords = resolve_settings(model, network_defaults(model, config.set) | config.set)
    stray = next((name for name in space if name not in keywords and name not in _OF_A_RUN), None)
    if stray is not None:
        raise ConfigError(
            f"a search moves keywords of a network's constructor, and of a run {', '.join(_OF_A_RUN)}; that of {model} "
            f"names '{stray}': take it out of its recipe's search"
        )
    return space


def starting_point(space: Mapping[str, Range], run: Mapping[str, Any]) -> dict[str, Any]:
    """What a trained run set of all that is searched.

    Args:
        space: what is searched.
        run: all settings of the run, as its artifact keeps them.
    """
    beside = OF_LIGHTGBM if run["model"] in TREES else {}
    return {name: run[name] if name in _OF_A_RUN else {**beside, **run["set"]}[name] for name in space}


def holding(space: Mapping[str, Range], start: Mapping[str, Any]) -> dict[str, Drawn]:
    """A space in which the starting point lies, and whose values are as JSON holds them.

    Raises:
        ConfigError: what is declared cannot hold its default.
    """
    found: dict[str, Drawn] = {}
    for name, within in space.items():
        listed = OneOf(tuple(map(as_lists, within.values))) if isinstance(within, OneOf) else within
        try:
            found[name] = listed.holding(start[name])
        except (TypeError, ValueError) as error:
            raise ConfigError(
                f"what a search moves holds its default; {name} is {start[name]!r}, and {within} cannot ({error}): "
                f"declare it otherwise in the recipe's search"
            ) from None
    return found


def moved(config: RunConfig, changes: Mapping[str, Any]) -> RunConfig:
    """The settings with those of a trial.

    >>> config = moved(RunConfig(model="fm"), {"learning_rate": 0.01, "embedding_dim": 4})
    >>> config.learning_rate, config.set
    (0.01, {'embedding_dim': 4})

    Args:
        config: of the run.
        changes: what it is moved to, by name.
    """
    own, network = parted(changes)
    return config.replace(**own, set={**config.set, **network})


def parted(changes: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Of what a trial moves, the settings of the run, and what `--set` sets.

    >>> parted({"learning_rate": 0.01, "embedding_dim": 4})
    ({'learning_rate': 0.01}, {'embedding_dim': 4})
    """
    own = {name: value for name, value in changes.items() if name in _OF_A_RUN}
    return own, {name: value for name, value in changes.items() if name not in _OF_A_RUN}
