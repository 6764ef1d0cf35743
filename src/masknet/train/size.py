"""How large a network is before it is built: its parameters, and the memory and disk that its training will take."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from masknet.errors import ConfigError
from masknet.models import build_network
from masknet.models.undrawn import undrawn
from masknet.nn import id_tables
from masknet.space import FeatureSpace
from masknet.train.sparse import SWEPT_ROWS

__all__ = ["Size", "checkpoint_bytes", "free_memory", "outline", "require_memory", "size_of"]

_COPIES = 7
"""Of the weights while one member is trained: itself, gradient, Adam's two moments and its work, average, best."""

_WORK_COPIES = 24
"""Of the rows that a sparse step, or a sweep, brings up to date: what is computed of them."""

_SLOT_COPIES = 4
"""Of what a batch reads of a table: the rows, their products with the values, and the gradients of both."""

_FEW_IDS = 2


@dataclass(frozen=True)
class Size:
    """What training takes.

    Args:
        parameters: of one member.
        num_bytes: of memory, about, for the weights and what a batch reads of the tables.
    """

    parameters: int
    num_bytes: int

    def __str__(self) -> str:
        return f"{self.parameters:,} parameters; training takes about {self.num_bytes / 1e9:.2g} GB of memory"


def outline(model: str, space: FeatureSpace, settings: dict[str, Any]) -> nn.Module:
    """The network with tables over two ids, and other weights that were never written to and so take no memory.

    Raises:
        ConfigError: there is no such model, or a setting is out of range.
    """
    with undrawn(lambda parameter: parameter):
        return build_network(model, replace(space, num_ids=_FEW_IDS), settings)


def size_of(
    model: str,
    space: FeatureSpace,
    settings: dict[str, Any],
    *,
    members: int,
    batch_size: int,
    at_once: int = 1,
    sparse: bool = False,
) -> Size:
    """The size of a network, without the memory of its weights.

    >>> from masknet.space import FieldSpace
    >>> size_of("lr", FeatureSpace(9, (FieldSpace("user"),)), {}, members=1, batch_size=100).parameters
    10

    Args:
        model: its name.
        space: the ids and slots.
        settings: keywords of its constructor.
        members: how many are trained; each finished one is kept.
        batch_size: rows a step.
        at_once: how many of them are trained at the same time.
        sparse: whether a step touches the rows of its ids alone.

    Raises:
        ConfigError: there is no such model, or a setting is out of range.
    """
    network = outline(model, space, settings)
    width = sum(table.embedding_dim for table in id_tables(network).values())
    parameters = sum(p.numel() for p in network.parameters()) + width * (space.num_ids - _FEW_IDS)
    slots = batch_size * space.num_slots
    training = _COPIES * parameters + _SLOT_COPIES * slots * width
    if sparse:  # a gradient of the rows that are read alone, and two integers an id
        read = min(space.num_ids, max(slots, SWEPT_ROWS))
        training += (2 - width) * space.num_ids + _WORK_COPIES * read * width
    return Size(parameters, 4 * (at_once * training + (members - at_once) * parameters))


def checkpoint_bytes(size: Size, *, members: int, at_once: int, average: bool, steps: int) -> int:
    """About what the checkpoints of a run take on the disk while a new one is written beside the others.

    Args:
        size: of the network.
        members, at_once: as for `size_of`.
        average: whether an average of the weights is kept.
        steps: how many rows keep the step that last read them, in sparse updates.
    """
    # Of a member that is trained: its weights, Adam's two moments, the best weights, the average; then the best alone.
    of_weights = ((at_once + 1) * (4 + average) + members - at_once) * size.parameters
    return 4 * (of_weights + (at_once + 1) * steps)


def require_memory(size: Size, model: str, free: int | None) -> None:
    """Refuse what does not fit.

    Raises:
        ConfigError: with the ways out.
    """
    if free is not None and size.num_bytes > free:
        raise ConfigError(
            f"training takes place in memory; {model} has {size.parameters:,} parameters a member here and needs about "
            f"{size.num_bytes / 1e9:.2g} GB, of which {free / 1e9:.2g} GB are free: leave columns out with --ignore, "
            f"bound the ids with --min-count, --max-vocabulary or --hash, or bags with --max-length, make the "
            f"network smaller with --set, or the batch with --batch-size"
        )


def free_memory(proc: Path = Path("/proc"), cgroup: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Bytes that this process may still take: what the system has left, or its container; None where neither tells.

    Args:
        proc, cgroup: where Linux tells of memory; elsewhere there is neither.
    """
    found = []
    try:
        lines = (proc / "meminfo").read_text(encoding="ascii").splitlines()
        found += [1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
    except OSError:
        if hasattr(os, "sysconf") and "SC_AVPHYS_PAGES" in os.sysconf_names:
            found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES"))
    try:
        most = (cgroup / "memory.max").read_text(encoding="ascii").strip()
        used = int((cgroup / "memory.current").read_text(encoding="ascii"))
    except OSError:
        return min(found, default=None)
    return min([*found, *([] if most == "max" else [max(0, int(most) - used)])], default=None)
