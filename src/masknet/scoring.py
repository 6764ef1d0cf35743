"""What a trained thing scores with, and its logits of encoded rows, however many."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from masknet.encode import EncodedRows, EncodedSet
from masknet.errors import ArtifactError, ConfigError, unknown
from masknet.manifest import MANIFEST_FILE, Manifest, damaged
from masknet.models import MODELS, build_network, is_code, network_class
from masknet.models.undrawn import undrawn
from masknet.nn.ensemble import as_one
from masknet.nn.id_table import id_tables
from masknet.space import FeatureSpace
from masknet.tensors import storable

__all__ = ["NetworkScorer", "Scorer", "load_network", "probabilities_of", "resolve_device", "score"]

BATCH_ROWS = 8192
"""Rows that are scored at once at most, and between two words on how far it is."""

_NUMBERS_AT_ONCE, _LEAST_ROWS = 1_600_000, 1024
"""NOTE[perf]: what a layer makes of the rows shall still be in the cache when the next one reads it, but not for less
than so many rows. With 39 fields that is 2,048 rows of the paper's parallel network, 3,072 of the defaults, 4,096 of
factorization machines, and all 8,192 of logistic regression, which scores a sixth more of them in a second so than by
2,048; the paper's scores 2 % fewer by 8,192."""

_CONSTANTS = 1 << 22
"""Numbers that a network may make beside 8 times its weights: constants, and what its initial weights are made of."""

_SLOTS_AT_ONCE = 1 << 22  # a bag may have thousands, and each slot becomes a vector


class Scorer(Protocol):
    """Turns encoded rows into log-odds: what a network, trees, or a model that learns online have in common."""

    def logits(self, rows: EncodedRows) -> NDArray[np.float32]:
        """The logit of each row, `[rows]`; of each row and task, `[rows, tasks]`, where there are several."""

    def files(self) -> dict[str, bytes]:
        """What is saved of it, by the names of the files: plain data, nothing that is unpickled or evaluated."""


class NetworkScorer:
    """A network as a scorer: on the device where its weights are, in eval mode, some thousand rows at a time.

    Args:
        network: scores; it is left in the mode that it was in.
    """

    file: ClassVar = "weights.safetensors"

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self._modules = tuple(network.modules())  # NOTE[perf]: to find them takes a tenth of what a row takes
        tables = id_tables(network)
        layers = [w for name, w in network.named_parameters() if name not in tables and w.dim() > 1]
        self._slot_width = max((table.embedding_dim for table in tables.values()), default=1)
        self._layer_width = max((len(weight) for weight in layers), default=1)

    def files(self) -> dict[str, bytes]:
        """The network's state; equal weights give equal bytes."""
        # Not `save_file`: it writes a file that only its user may read, and a full disk is no OSError to it.
        return {self.file: safetensors.torch.save(storable(self.network.state_dict()))}

    def logits(self, rows: EncodedRows) -> NDArray[np.float32]:
        """The network's logits, `[rows]` or `[rows, tasks]`."""
        device = next(self.network.parameters()).device

        def moved(array: NDArray[np.generic]) -> Tensor:
            return torch.from_numpy(array).to(device, non_blocking=True)

        training = self.network.training
        if True in map(attrgetter("training"), self._modules):  # to switch it costs more than to score a row
            self.network.eval()
        parts, at_once = [], self._rows_at_once(rows.ids.shape[1], device)
        with torch.inference_mode():
            for start in range(0, max(len(rows), 1), at_once):  # of no rows too, which have a shape
                some = rows.some(slice(start, start + at_once))
                ids, dense = moved(some.ids), None if some.dense is None else moved(some.dense)
                values = moved(some.values).expand(ids.shape[0], -1)
                parts.append(self.network(ids, values, dense).float().cpu().numpy())
        if training:
            self.network.train()
        return np.concatenate(parts)

    def _rows_at_once(self, slots: int, device: torch.device) -> int:
        most = max(1, min(BATCH_ROWS, _SLOTS_AT_ONCE // max(1, slots)))
        if device.type != "cpu":
            return most
        widest = max(slots * self._slot_width, self._layer_width)
        return min(most, max(1, _NUMBERS_AT_ONCE // widest // _LEAST_ROWS) * _LEAST_ROWS)


def score(
    scorer: Scorer, rows: EncodedSet, *, advance: Callable[[int], None] = lambda done: None
) -> NDArray[np.float32]:
    """The logits of a whole set, in the rows' order: `[rows]`, or `[rows, tasks]` where there are several tasks."""
    if not len(rows):
        return scorer.logits(rows.take(slice(0)))  # which have a shape
    parts = []
    for start in range(0, len(rows), BATCH_ROWS):
        parts.append(scorer.logits(rows.take(slice(start, start + BATCH_ROWS))))
        advance(min(start + BATCH_ROWS, len(rows)))
    return np.concatenate(parts)


def load_network(
    folder: Path, manifest: Manifest, space: FeatureSpace, *, device: torch.device, trust_code: bool
) -> NetworkScorer:
    """The network that a manifest names, with the weights that lie in its folder.

    Raises:
        ArtifactError: there is no such network, its code is not trusted, or the weights do not fit it.
    """
    weights = safetensors.torch.load_file(folder / NetworkScorer.file)
    if manifest.members > max(1, len(weights)):
        raise damaged(folder, MANIFEST_FILE, f"tells of {manifest.members:,} members, more than there are weights")
    # Whoever alters a setting must not take the memory, or the time, of a network that the weights do not fit anyway.
    at_most = 8 * sum(tensor.numel() for tensor in weights.values()) + manifest.members * _CONSTANTS
    network = _build(folder, manifest, space, trust_code=trust_code, at_most=at_most)
    own = network.state_dict()
    for name in sorted(own.keys() | weights.keys()):
        found, expected = (list(state[name].shape) if name in state else "none" for state in (weights, own))
        if found != expected:
            raise ArtifactError(
                f"the weights of '{folder}' do not fit its network {manifest.model}: the shape of '{name}' is {found} "
                f"in {NetworkScorer.file}, {expected} in the network"
            )
        if weights[name].dtype != own[name].dtype:
            raise damaged(folder, NetworkScorer.file, f"keeps '{name}' as {weights[name].dtype}, not {own[name].dtype}")
        if weights[name].is_floating_point() and not weights[name].isfinite().all():
            raise damaged(folder, NetworkScorer.file, f"has NaN or an infinity in '{name}'")
    network.load_state_dict(weights)
    return NetworkScorer(network.to(device).eval())


def _build(folder: Path, manifest: Manifest, space: FeatureSpace, *, trust_code: bool, at_most: int) -> nn.Module:
    if is_code(manifest.model) and not trust_code:
        raise ArtifactError(
            f"the network of '{folder}' is the class {manifest.model}, code that loading would import: if you trust "
            f"it, pass --trust-code (in Python, trust_code=True)"
        )
    if not is_code(manifest.model) and manifest.model not in MODELS:
        raise ArtifactError(f"'{folder}' holds an {unknown('model', manifest.model, MODELS)}")
    try:
        network_class(manifest.model)
    except ConfigError as error:
        raise ArtifactError(f"the network of '{folder}' cannot be made again: {error}") from error
    try:
        members = range(manifest.members)
        with undrawn(at_most=at_most):
            return as_one([build_network(manifest.model, space, manifest.settings) for _ in members])
    except ConfigError as error:
        raise ArtifactError(f"the settings of '{folder}' do not fit its network {error}") from None


def resolve_device(name: str) -> torch.device:
    """The device that a setting names; `auto` takes a GPU where there is one.

    Raises:
        ConfigError: there is no such device, or this machine has none.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in ("cpu", "cuda"):
        raise ConfigError(f"a device is auto, cpu, cuda or cuda:0; got '{name}'")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(
            f"the device '{name}' is not there; this PyTorch sees {torch.cuda.device_count()} GPUs: pass --device cpu"
        )
    return device


def probabilities_of(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """`1 / (1 + exp(-logit))` in float64.

    >>> probabilities_of(np.array([0.0, -100.0], dtype=np.float32)).round(3)
    array([0.5, 0. ])
    """
    wide = logits.astype(np.float64)
    small = np.exp(-np.abs(wide))
    return np.where(wide >= 0, 1 / (1 + small), small / (1 + small))
