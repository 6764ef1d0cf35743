"""How large a network is before it is built: its parameters, and the memory that its training will take."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from masknet.errors import ConfigError
from masknet.models import build_network
from masknet.models.undrawn import undrawn
from masknet.nn import id_tables
from masknet.space import FeatureSpace
from masknet.train.sparse import SWEPT_ROWS

__all__ = ["Size", "free_memory", "require_memory", "size_of"]

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


def size_of(
    model: str,
    space: FeatureSpace,
    settings: dict[str, Any],
    *,
    members: int,
    batch_size: int,
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
        members: how many are trained, one after the other; each finished one is kept.
        batch_size: rows a step.
        sparse: whether a step touches the rows of its ids alone.

    Raises:
        ConfigError: there is no such model, or a setting is out of range.
    """
    # Its tables over two ids, and its other weights never written to: what is not written to takes no memory.
    with undrawn(lambda parameter: parameter):
        network = build_network(model, replace(space, num_ids=_FEW_IDS), settings)
    width = sum(table.embedding_dim for table in id_tables(network).values())
    parameters = sum(p.numel() for p in network.parameters()) + width * (space.num_ids - _FEW_IDS)
    slots = batch_size * space.num_slots
    numbers = (_COPIES + members - 1) * parameters + _SLOT_COPIES * slots * width
    if sparse:  # a gradient of the rows that are read alone, and two integers an id
        read = min(space.num_ids, max(slots, SWEPT_ROWS))
        numbers += (2 - width) * space.num_ids + _WORK_COPIES * read * width
    return Size(parameters, 4 * numbers)


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
