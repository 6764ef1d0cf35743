"""No setting without effect: what a model that no gradient moves leaves of a run's settings is refused."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from masknet.config import RunConfig
from masknet.errors import ConfigError

__all__ = ["BY_ROW_LEAVES_OUT", "TREES_LEAVE_OUT", "require_effect"]

_OF_GRADIENTS = (
    *("embedding_l2", "network_l2", "clip", "average_weights", "schedule", "members", "pretrained", "freeze"),
    "embedding_updates",
)

BY_ROW_LEAVES_OUT: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "is moved by no gradient": ("learning_rate", "precision", *_OF_GRADIENTS),
        "learns from each row once": ("epochs",),
        "learns from whole rows": ("weight", "negative_rate"),
    }
)
"""What does not concern a network that learns by row, by the reason."""

TREES_LEAVE_OUT: Mapping[str, tuple[str, ...]] = MappingProxyType(
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


def require_effect(config: RunConfig, left_out: Mapping[str, tuple[str, ...]]) -> None:
    """Refuse a setting that would change nothing.

    Args:
        config: the settings as they were given.
        left_out: the names of those without effect, by the reason.

    Raises:
        ConfigError: one of them is set.
    """
    for reason, names in left_out.items():
        for name in names:
            value = getattr(config, name)
            if value not in (RunConfig.model_fields[name].default, _HARMLESS.get(name)):
                flag = "--" + name.replace("_", "-")
                raise ConfigError(f"a setting has an effect; {config.model} {reason}: leave {flag} out")
