"""What makes two runs the same run: settings, machine, versions, vectors, data. A resumed run keeps them all."""

from __future__ import annotations

import importlib.metadata
from typing import Any

import masknet
from masknet.config import RunConfig
from masknet.errors import ConfigError
from masknet.scoring import resolve_device
from masknet.threads import available_processors
from masknet.train.checkpoint import Checkpoint
from masknet.train.precision import default_precision
from masknet.train.pretrained import digests

__all__ = ["identity_of", "machine_of", "require_same_data", "require_same_run"]

# What may differ between a run and its resumption, since it changes no weight: tables and vectors are known by their
# content, wherever they lie, and the machine's settings come from the checkpoint.
_OF_THE_MACHINE = ("threads", "precision", "device")
_OF_THE_OUTPUT = ("out", "overwrite", "resume", "checkpoint_minutes", "golden_rows", "tensorboard", "verbose", "json")
_FREE_ON_RESUME = ("data", "valid", "pretrained", "cache_dir", *_OF_THE_MACHINE, *_OF_THE_OUTPUT)
_ANEW = "to begin anew, pass --overwrite and not --resume"


def identity_of(config: RunConfig, machine: dict[str, Any]) -> dict[str, Any]:
    """What a checkpoint keeps of the run that it belongs to, but for the data.

    Args:
        config: the settings as they were given.
        machine: as `machine_of` says.

    Raises:
        ConfigError: a file of vectors is not there.
    """
    settings = {name: value for name, value in config.settings().items() if name not in _FREE_ON_RESUME}
    return {
        "settings": settings,
        "machine": machine,
        "versions": _versions(),
        "pretrained": digests(config.pretrained),
    }


def machine_of(config: RunConfig, checkpoint: Checkpoint | None) -> dict[str, Any]:
    """Threads, precision and device: other ones give other bits, so a resumed run keeps those it began with."""
    if checkpoint is None:
        device = resolve_device(config.device)
        return {
            "threads": config.threads or available_processors(),
            "precision": config.precision or default_precision(config.model, device),
            "device": str(device),
        }
    kept: dict[str, Any] = checkpoint.state["machine"]
    for name in _OF_THE_MACHINE:
        value = getattr(config, name)
        if value not in (None, "auto", kept[name]):
            raise ConfigError(
                f"a resumed run keeps its {name}, since other ones give other weights; it began with {kept[name]}, "
                f"--{name} is {value}: leave --{name} out, and it goes on with {kept[name]}; {_ANEW}"
            )
    resolve_device(kept["device"])
    return kept


def _versions() -> dict[str, str]:
    """Of what draws the numbers and does the sums."""
    return {
        "masknet": masknet.__version__,
        **{name: importlib.metadata.version(name) for name in ("torch", "numpy")},
    }


def require_same_run(identity: dict[str, Any], checkpoint: Checkpoint) -> None:
    """Refuse to go on from the checkpoint of a run with another identity.

    Raises:
        ConfigError: with what differs.
    """
    before = checkpoint.state["settings"]
    for name, value in identity["settings"].items():
        if before.get(name) != value:
            raise ConfigError(
                f"a resumed run keeps its settings; {name} was {before.get(name)!r} and is {value!r}: run the same "
                f"command; {_ANEW}"
            )
    if identity["pretrained"] != checkpoint.state["pretrained"]:
        raise ConfigError(
            f"a resumed run keeps its vectors; those of --pretrained have changed: bring them back; {_ANEW}"
        )
    for name, version in identity["versions"].items():
        began = checkpoint.state["versions"][name]
        if began != version:
            raise ConfigError(
                f"a resumed run keeps its versions, since other ones may give other weights; it began with {name} "
                f"{began}, this is {version}: install that one; {_ANEW}"
            )


def require_same_data(fingerprint: str, checkpoint: Checkpoint) -> None:
    """Refuse to go on over tables that have changed since the checkpoint.

    Raises:
        ConfigError: they have.
    """
    if fingerprint != checkpoint.state["fingerprint"]:
        raise ConfigError(f"a resumed run keeps its data; the tables have changed since: bring them back; {_ANEW}")
