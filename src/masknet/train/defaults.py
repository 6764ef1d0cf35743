"""What a run does where its settings leave it open, and why: chosen once, on validation rows of four public sets.

`docs/defaults.md` shows the candidates and their figures. What concerns one network is the recipe beside it; what
depends on the data is chosen here, and knows its rows, and whether it is split by time, but no data set. The classes of
the networks keep the paper's defaults: the widths of a recipe are settings of the run.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from masknet.config import RunConfig
from masknet.models import as_lists, learns_by_row, recipe_of

__all__ = ["MANY_ROWS", "network_defaults", "resolved"]

MANY_ROWS = 1_000_000
"""From so many training rows on, steps are larger: an epoch has enough of them, and each costs less a row."""

_LEAST_STEPS, _LEAST_BATCH = 64, 32

_MEMBERS = ((500_000, 4), (2_000_000, 2))
"""Members up to so many training rows; beyond, one. Training and scoring cost as many times as much."""

_OF_A_RECIPE = ("epochs", "evaluations", "patience", "schedule", "embedding_l2", "average_weights")


@dataclass(frozen=True)
class _Choice:
    value: Any
    why: str = ""

    def __str__(self) -> str:
        value = f"{self.value:,}" if isinstance(self.value, int) else str(self.value)
        return value + (f" ({self.why})" if self.why else "")


def network_defaults(model: str, given: Collection[str] = ()) -> dict[str, Any]:
    """The constructor's keywords that a run of this model sets where nothing is said of them.

    >>> network_defaults("serial-masknet")["block_dims"]
    [64, 64, 64]

    Args:
        model: its name.
        given: the keywords that the run sets itself; some defaults yield to some of them.

    Raises:
        ConfigError: there is no such model.
    """
    recipe = recipe_of(model)
    return {name: as_lists(value) for name, value in recipe.network.items() if recipe.yields_to.get(name) not in given}


def resolved(config: RunConfig, *, rows: int, by_time: bool) -> tuple[RunConfig, str]:
    """The settings with every open one decided, and a line that tells of those.

    >>> config, line = resolved(RunConfig(batch_size=512), rows=80_000, by_time=False)
    >>> config.batch_size, config.members
    (512, 4)
    >>> line
    'defaults: members 4 (up to 500,000 rows), learning rate 0.001, epochs 20, evaluations 4, ...'

    Args:
        config: the settings of the run.
        rows: of training.
        by_time: whether the validation rows are the latest ones.

    Raises:
        ConfigError: there is no such model.
    """
    choices = _choices(config.model, rows, by_time)
    left_open = {name: choice for name, choice in choices.items() if getattr(config, name) is None}
    of_network = network_defaults(config.model, config.set)
    widths = {name: value for name, value in of_network.items() if name not in config.set}
    told = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in (left_open | widths).items())
    changes = {name: choice.value for name, choice in left_open.items()}
    return config.replace(**changes), f"defaults: {told}" if told else ""


def _choices(model: str, rows: int, by_time: bool) -> dict[str, _Choice]:
    recipe = recipe_of(model)
    if learns_by_row(model):  # what else there is concerns gradients
        return {"members": _Choice(1), "batch_size": _batch_size(rows), "epochs": _Choice(1)} | {
            name: _Choice(getattr(recipe, name)) for name in ("evaluations", "patience")
        }
    return {
        "members": _members(rows) if recipe.several_members else _Choice(1),
        "batch_size": _batch_size(rows),
        "learning_rate": _learning_rate(by_time) if recipe.learning_rate is None else _Choice(recipe.learning_rate),
        **{name: _Choice(getattr(recipe, name)) for name in _OF_A_RECIPE},
    }


def _batch_size(rows: int) -> _Choice:
    if rows >= MANY_ROWS:
        return _Choice(4096, f"from {MANY_ROWS:,} rows")
    size = 1024
    while size > _LEAST_BATCH and rows < _LEAST_STEPS * size:
        size //= 2
    why = f"below {MANY_ROWS:,} rows" if size == 1024 else f"so that an epoch has about {_LEAST_STEPS} steps"
    return _Choice(size, why)


def _learning_rate(by_time: bool) -> _Choice:
    # Where tomorrow is predicted, what an id did yesterday helps little, and a slower start remembers less of it.
    return _Choice(2e-4, "validated on the latest rows") if by_time else _Choice(1e-3)


def _members(rows: int) -> _Choice:
    for most, members in _MEMBERS:
        if rows <= most:
            return _Choice(members, f"up to {most:,} rows")
    return _Choice(1, f"above {_MEMBERS[-1][0]:,} rows")
