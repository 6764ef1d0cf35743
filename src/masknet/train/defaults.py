"""What a run does where its settings leave it open, and why: chosen once, on validation rows of four public sets.

`docs/defaults.md` shows the candidates and their figures. No choice knows a data set; those that depend on the data
know its rows, and whether it is split by time. The classes of the networks keep the paper's defaults: these widths are
settings of the run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from masknet.config import RunConfig

__all__ = ["MANY_ROWS", "network_defaults", "resolved"]

MANY_ROWS = 1_000_000
"""From so many training rows on, steps are larger: an epoch has enough of them, and each costs less a row."""

_LEAST_STEPS, _LEAST_BATCH = 64, 32

_MEMBERS = ((500_000, 4), (2_000_000, 2))
"""Members of a MaskNet up to so many training rows; beyond, one. Training and scoring cost as many times as much."""

_SMALL = {"embedding_dim": 10, "reduction": 1.0, "embedding_norm": False}
_NETWORKS: dict[str, dict[str, Any]] = {
    "parallel-masknet": {**_SMALL, "block_dims": [64, 64, 64], "top_dims": [128]},
    "serial-masknet": {**_SMALL, "block_dims": [64, 64, 64]},
}

_TRAINING: dict[str, Any] = {
    "epochs": 20,
    "evaluations": 4,
    "patience": 8,
    "schedule": "constant",
    "embedding_l2": 0.03,
    "average_weights": 0.999,
}
# It is convex, and starts from zero: members would be one, and its weights need no average.
_LINEAR: dict[str, Any] = {
    "epochs": 50,
    "evaluations": 1,
    "patience": 2,
    "schedule": "plateau",
    "embedding_l2": 0.0,
    "average_weights": 0.0,
    "learning_rate": 1e-2,
}


@dataclass(frozen=True)
class _Choice:
    value: Any
    why: str = ""

    def __str__(self) -> str:
        value = f"{self.value:,}" if isinstance(self.value, int) else str(self.value)
        return value + (f" ({self.why})" if self.why else "")


def network_defaults(model: str) -> dict[str, Any]:
    """The constructor's keywords that a run of this model sets where nothing is said of them.

    >>> network_defaults("serial-masknet")["block_dims"]
    [64, 64, 64]
    """
    return dict(_NETWORKS.get(model, {}))


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
    """
    choices = _choices(config.model, rows, by_time)
    left_open = {name: choice for name, choice in choices.items() if getattr(config, name) is None}
    widths = {name: value for name, value in network_defaults(config.model).items() if name not in config.set}
    told = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in (left_open | widths).items())
    changes = {name: choice.value for name, choice in left_open.items()}
    return config.replace(**changes), f"defaults: {told}" if told else ""


def _choices(model: str, rows: int, by_time: bool) -> dict[str, _Choice]:
    choices = {
        "members": _members(model, rows),
        "batch_size": _batch_size(rows),
        # Where tomorrow is predicted, what an id did yesterday helps little, and a slower start remembers less of it.
        "learning_rate": _Choice(2e-4, "validated on the latest rows") if by_time else _Choice(1e-3),
    }
    recipe = _LINEAR if model == "lr" else _TRAINING
    return choices | {name: _Choice(value) for name, value in recipe.items()}


def _batch_size(rows: int) -> _Choice:
    if rows >= MANY_ROWS:
        return _Choice(4096, f"from {MANY_ROWS:,} rows")
    size = 1024
    while size > _LEAST_BATCH and rows < _LEAST_STEPS * size:
        size //= 2
    why = f"below {MANY_ROWS:,} rows" if size == 1024 else f"so that an epoch has about {_LEAST_STEPS} steps"
    return _Choice(size, why)


def _members(model: str, rows: int) -> _Choice:
    if model not in _NETWORKS:
        return _Choice(1)
    for most, members in _MEMBERS:
        if rows <= most:
            return _Choice(members, f"up to {most:,} rows")
    return _Choice(1, f"above {_MEMBERS[-1][0]:,} rows")
