"""No setting without effect: what a model that no gradient moves leaves of a run's settings is refused."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from masknet.config import RunConfig
from masknet.errors import ConfigError
from masknet.gbdt import TREES
from masknet.models import learns_by_row

__all__ = ["idle", "require_effect", "without_effect"]

_OF_GRADIENTS = (
    *("embedding_l2", "network_l2", "clip", "average_weights", "schedule", "members", "pretrained", "freeze"),
    "embedding_updates",
)

_BY_ROW: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "is moved by no gradient": ("learning_rate", "precision", *_OF_GRADIENTS),
        "learns from each row once": ("epochs",),
        "learns from whole rows": ("weight", "negative_rate"),
    }
)
"""What does not concern a network that learns by row, by the reason."""

_TREES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "reads numbers as they are": ("numeric_encoding",),
        "grows trees on the processor": ("device",),
        "grows trees": ("epochs", "evaluations", "batch_size", "unseen_rate", "precision", "tensorboard"),
        "is moved by no gradient": _OF_GRADIENTS,
        "keeps no weights that could be trained on": ("refit", "checkpoint_minutes"),
    }
)
"""What does not concern trees, by the reason."""

_HARMLESS = {"epochs": 1, "members": 1, "device": "cpu"}


def idle(config: RunConfig) -> dict[str, str]:
    """The settings that would change nothing of the run's model, by their names, and why.

    >>> idle(RunConfig(model="gbdt", epochs=3))
    {'epochs': 'gbdt grows trees'}

    Args:
        config: the settings as they were given.

    Raises:
        ConfigError: there is no such model.
    """
    return {
        name: f"{config.model} {reason}"
        for reason, names in _left_out(config.model).items()
        for name in names
        if getattr(config, name) != RunConfig.model_fields[name].default
    }


def require_effect(config: RunConfig) -> None:
    """Refuse a setting that would change nothing, unless it says what is so anyway.

    Raises:
        ConfigError: one of those that were given does.
    """
    for name, reason in idle(config).items():
        if getattr(config, name) != _HARMLESS.get(name):
            raise ConfigError(f"a setting has an effect; {reason}: leave --{name.replace('_', '-')} out")


def without_effect(model: str) -> frozenset[str]:
    """The settings of a run that change nothing of a model, whatever they are.

    >>> "epochs" in without_effect("gbdt"), without_effect("fm")
    (True, frozenset())

    Args:
        model: its name.

    Raises:
        ConfigError: there is no such model.
    """
    return frozenset(name for names in _left_out(model).values() for name in names)


def _left_out(model: str) -> Mapping[str, tuple[str, ...]]:
    if model in TREES:
        return _TREES
    return _BY_ROW if learns_by_row(model) else {}
