"""A trained network as a folder: weights in safetensors, all else JSON, Parquet or Markdown; nothing is unpickled.

manifest.json        what it is                   run.json         the run's settings: `masknet train --config` it
weights.safetensors  the network's state          metrics.json     the validation metrics, every evaluation
encoding.json        schema, reserved ids, scales golden.parquet   a few rows with their probabilities
vocabulary.parquet   field, value, id             README.md        the model card
checksums.json       against damage, not malice
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import safetensors.torch
import torch
from numpy.typing import NDArray
from pydantic_core import to_json
from safetensors import SafetensorError
from torch import nn

from masknet.encode import Encoder
from masknet.errors import ArtifactError, ConfigError, unknown
from masknet.manifest import MANIFEST_FILE, Manifest, damaged, read_manifest, write_checksums
from masknet.manifest import verify as verify_files
from masknet.models import MODELS, is_code, network_class
from masknet.nn.ensemble import as_one
from masknet.schema import Bag, Categorical
from masknet.scoring import NetworkScorer, probabilities_of, resolve_device
from masknet.table import Chunk, open_table

__all__ = [
    "PROBABILITY",
    "Artifact",
    "CheckResult",
    "check",
    "check_free",
    "load_artifact",
    "probabilities",
    "save_artifact",
]

PROBABILITY = "probability"
"""The column of probabilities, in golden rows and in what `masknet predict` writes."""

WEIGHTS_FILE, GOLDEN_FILE = "weights.safetensors", "golden.parquet"

_TOLERANCE = 1e-6  # float32 logits differ by about this much between machines


@dataclass(frozen=True)
class Artifact:
    """A trained network, ready to score.

    Args:
        path: where it lies.
        manifest: what it is.
        encoder: turns raw rows into what the network reads.
        network: in eval mode, on its device.
    """

    path: Path
    manifest: Manifest
    encoder: Encoder
    network: nn.Module


@dataclass(frozen=True)
class CheckResult:
    """What recomputing the golden rows gave.

    >>> CheckResult(rows=8, difference=0.25).sentence
    'the 8 golden rows do NOT give their probabilities again: they differ by up to 0.25 (at most 1e-06 is allowed)'

    Args:
        rows: golden rows; 0 where the artifact keeps none.
        difference: the largest absolute difference of a probability; None without rows.
    """

    rows: int
    difference: float | None

    @property
    def ok(self) -> bool:
        """Whether nothing differs by more than rounding; without golden rows nothing does."""
        return self.difference is None or self.difference <= _TOLERANCE

    @property
    def sentence(self) -> str:
        """The result in words."""
        if self.difference is None:
            return "the artifact keeps no golden rows, so no probability was recomputed"
        if self.ok:
            return (
                f"the {self.rows} golden rows give their probabilities again (largest difference {self.difference:.1g})"
            )
        return (
            f"the {self.rows} golden rows do NOT give their probabilities again: they differ by up to "
            f"{self.difference:.2g} (at most {_TOLERANCE:.0e} is allowed)"
        )


def probabilities(artifact: Artifact, chunk: Chunk) -> NDArray[np.float64]:
    """The probability of each row of a chunk that has the schema's fields, `[rows]` in [0, 1].

    Raises:
        DataError: a cell cannot be what its column means.
    """
    return probabilities_of(NetworkScorer(artifact.network).logits(artifact.encoder.encode(chunk)))


def check(artifact: Artifact) -> CheckResult:
    """Score the golden rows anew and compare.

    Raises:
        ArtifactError: the golden rows cannot be read.
    """
    file = artifact.path / GOLDEN_FILE
    if not file.is_file():
        return CheckResult(rows=0, difference=None)
    with _reading(artifact.path, GOLDEN_FILE):
        golden = pl.read_parquet(file)
        expected = golden[PROBABILITY].to_numpy()
        table = open_table(golden.drop(PROBABILITY))
        found = [probabilities(artifact, chunk) for chunk in table.chunks(artifact.encoder.schema.field_names)]
    return CheckResult(rows=len(golden), difference=float(np.abs(np.concatenate(found) - expected).max()))


def load_artifact(path: str | Path, *, device: str = "cpu", verify: bool = True, trust_code: bool = False) -> Artifact:
    """Read what `save_artifact` wrote.

    Args:
        path: the folder.
        device: where the network shall be.
        verify: read every file whole and compare its checksum first.
        trust_code: import the module of a network that is none of ours, which runs whatever that module holds.

    Raises:
        ArtifactError: there is no artifact, a file of it is damaged, a newer masknet wrote it, or its network is code
            that is not trusted.
        ConfigError: there is no such device.
    """
    place = resolve_device(device)
    folder = Path(path)
    manifest = read_manifest(folder)
    if verify:
        verify_files(folder)
    with _reading(folder, "encoding.json or vocabulary.parquet"):
        encoder = Encoder.load(folder)
    with _reading(folder, WEIGHTS_FILE):
        weights = safetensors.torch.load_file(folder / WEIGHTS_FILE)
    network = _build(folder, manifest, encoder, trust_code=trust_code)
    own = network.state_dict()
    for name in sorted(own.keys() | weights.keys()):
        found, expected = (list(state[name].shape) if name in state else "none" for state in (weights, own))
        if found != expected:
            raise ArtifactError(
                f"the weights of '{folder}' do not fit its network {manifest.model}: the shape of '{name}' is {found} "
                f"in {WEIGHTS_FILE}, {expected} in the network"
            )
    network.load_state_dict(weights)
    return Artifact(path=folder, manifest=manifest, encoder=encoder, network=network.to(place).eval())


def _build(folder: Path, manifest: Manifest, encoder: Encoder, *, trust_code: bool) -> nn.Module:
    if is_code(manifest.model) and not trust_code:
        raise ArtifactError(
            f"the network of '{folder}' is the class {manifest.model}, code that loading would import: if you trust "
            f"it, pass --trust-code (in Python, trust_code=True)"
        )
    if not is_code(manifest.model) and manifest.model not in MODELS:
        raise ArtifactError(f"'{folder}' holds an {unknown('model', manifest.model, MODELS)}")
    try:
        network = network_class(manifest.model)
    except ConfigError as error:
        raise ArtifactError(f"the network of '{folder}' cannot be made again: {error}") from error
    settings = {key: tuple(v) if isinstance(v, list) else v for key, v in manifest.settings.items()}
    try:
        with torch.random.fork_rng(devices=[]):  # initial weights are drawn and overwritten; the caller's draws stay
            return as_one([network(encoder.space, **settings) for _ in range(manifest.members)])
    except (TypeError, ValueError) as error:
        raise ArtifactError(f"the settings of '{folder}' do not fit its network {manifest.model}: {error}") from None


@contextmanager
def _reading(folder: Path, name: str) -> Iterator[None]:
    """Make an ArtifactError of whatever the readers of our own files say about a damaged one."""
    try:
        yield
    except (OSError, ValueError, LookupError, TypeError, AttributeError, SafetensorError) as error:
        raise damaged(folder, name, f"cannot be read ({type(error).__name__})") from error
    except pl.exceptions.PolarsError as error:
        raise damaged(folder, name, f"cannot be read ({type(error).__name__})") from error


def check_free(path: str | Path, *, overwrite: bool) -> None:
    """Say now, before the long work, whether `save_artifact` will refuse this place.

    Raises:
        ArtifactError: something lies there, and it is no artifact or may not be overwritten.
    """
    path = Path(path)
    if not os.path.lexists(path):
        return
    if not (path / MANIFEST_FILE).is_file():
        kind = f"a folder without a {MANIFEST_FILE}" if path.is_dir() else "a file"
        raise ArtifactError(f"a model replaces nothing but a model; '{path}' is {kind}: name another place with --out")
    if not overwrite:
        raise ArtifactError(f"'{path}' holds a model already: replace it with --overwrite, or name another with --out")


def save_artifact(
    path: str | Path,
    *,
    network: nn.Module,
    encoder: Encoder,
    manifest: Manifest,
    run: dict[str, Any],
    golden: pl.DataFrame | None,
    history: list[dict[str, Any]],
    overwrite: bool = False,
) -> None:
    """Write a trained network to the folder `path`, whole or not at all.

    Equal weights give byte-equal files of weights: they hold no time and no path.

    Args:
        path: the new folder.
        network: of the class and settings that the manifest names.
        encoder: what the network's ids mean.
        manifest: what was trained.
        run: the settings of the run, as resolved.
        golden: raw values of the fields of a few rows, and their `probability`; None keeps none.
        history: a record an evaluation.
        overwrite: replace an artifact that lies there.

    Raises:
        ArtifactError: something lies at `path`, and it is no artifact or may not be overwritten.
        OSError: the disk is full, or the place not writable; then nothing was changed.
    """
    path = Path(path).absolute()
    check_free(path, overwrite=overwrite)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as temporary:
        made, replaced = Path(temporary) / path.name, Path(temporary) / "replaced"
        made.mkdir()  # inside, since the temporary folder itself is closed to all but its user
        try:
            _write_files(made, network, encoder, manifest, run, golden, history)
        except pl.exceptions.ComputeError as error:  # what Polars makes of a full disk
            raise OSError(f"'{path}' cannot be written: {error}") from error
        for file in (*made.iterdir(), made):
            sync(file)
        if path.is_dir():
            path.rename(replaced)
        try:
            made.rename(path)
        except BaseException:
            if replaced.exists():
                replaced.rename(path)
            raise
    sync(path.parent)


def _write_files(
    folder: Path,
    network: nn.Module,
    encoder: Encoder,
    manifest: Manifest,
    run: dict[str, Any],
    golden: pl.DataFrame | None,
    history: list[dict[str, Any]],
) -> None:
    (folder / MANIFEST_FILE).write_text(manifest.model_dump_json(indent=1), encoding="utf-8")
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    # Not `save_file`: it writes a file that only its user may read, and a full disk is no OSError to it.
    (folder / WEIGHTS_FILE).write_bytes(safetensors.torch.save(weights))
    encoder.save(folder)
    _write_json(folder / "run.json", run)
    _write_json(folder / "metrics.json", {"metrics": manifest.metrics, "rows": manifest.rows, "history": history})
    golden_rows = 0 if golden is None else len(golden)
    if golden is not None and golden_rows:
        golden.write_parquet(folder / GOLDEN_FILE)
    (folder / "README.md").write_text(_model_card(folder.name, manifest, encoder, golden_rows, run), encoding="utf-8")
    write_checksums(folder)


def _write_json(file: Path, content: Any) -> None:
    file.write_bytes(to_json(content, indent=1, inf_nan_mode="null"))  # NaN is not JSON


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    if path.is_dir() and os.name == "nt":  # Windows cannot open a folder
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _model_card(name: str, manifest: Manifest, encoder: Encoder, golden_rows: int, run: dict[str, Any]) -> str:
    label = encoder.schema.label
    trust = " --trust-code" if is_code(manifest.model) else ""
    count = manifest.num_parameters
    parameters = ", ".join(f"{number:,} in the {part}" for part, number in count.items())
    kept = f"- `{GOLDEN_FILE}` holds {golden_rows} rows of the data.\n" if golden_rows else ""
    networks = "the network" if manifest.members == 1 else f"the mean of {manifest.members} networks"
    again = ""
    if run.get("data") is not None:  # not of frames, which no command can name
        again = f"; `masknet train --config {name}/run.json --out again.masknet` trains it again"
    judged = (
        "before the refit, which trained on those rows too"
        if manifest.training.get("refit")
        else "which also chose the weights: on new rows expect a little less"
    )
    return f"""# {name}

The probability of `{label}` = 1 for a row of raw columns, by {networks} `{manifest.model}`.
{manifest.headline} ({parameters}). Written by masknet {manifest.masknet} on {manifest.created}.

## Trained on

{_bullets(manifest.data)}

## How it was trained

{_bullets(manifest.training)}

The settings are in `run.json`{again}.

## What it reads

| column | kind | known from training |
|---|---|---|
{_field_rows(encoder)}

Columns may come in any order, others are ignored, and values never seen or missing are scored too.

## How good it was

On {manifest.rows:,} validation rows, {judged}.

| metric | value | 95% interval |
|---|---|---|
{_metric_rows(manifest.metrics)}

## How to use it

```sh
masknet check {name}{trust}
masknet evaluate {name} test.parquet{trust}
masknet predict {name} today.csv --out scores.parquet{trust}
```

## Limits

- The probabilities hold for rows like those it was trained on; traffic changes, so evaluate on fresh rows now and then.
- `vocabulary.parquet` lists values of the training data.
{kept}- `checksums.json` guards against damage, not against an attacker.
"""


def _bullets(facts: dict[str, Any]) -> str:
    return "\n".join(f"- {key.replace('_', ' ')}: {_number(value)}" for key, value in facts.items())


def _field_rows(encoder: Encoder) -> str:
    rows = []
    for field, encoding in zip(encoder.schema.fields, encoder.encodings, strict=True):
        kind = f"{field.kind} ({field.values})" if isinstance(field, Categorical | Bag) else field.kind
        known = encoding.known
        name = field.name.replace("|", "\\|").replace("\n", " ")
        rows.append(f"| {name} | {kind} | {known} |")
    return "\n".join(rows)


def _metric_rows(metrics: dict[str, dict[str, Any]]) -> str:
    rows = []
    for name, estimate in metrics.items():
        value, low = estimate["value"], estimate.get("low")
        shown = f"undefined: {estimate.get('why')}" if value is None else f"{value:.5f}"
        interval = "" if low is None else f"{low:.5f} to {estimate['high']:.5f}"
        rows.append(f"| {name.replace('_', ' ')} | {shown} | {interval} |")
    return "\n".join(rows)


def _number(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.6g}"
