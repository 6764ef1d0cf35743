"""A trained thing, whoever made it, and the folder that it is saved to: plain files, nothing is unpickled.

manifest.json        what it is                   run.json         the run's settings: `masknet train --config` it
weights.safetensors  the network's state, or      metrics.json     the validation metrics, every evaluation
trees.txt, .json     trees, how they read rows    README.md        the model card
encoding.json        schema, reserved ids, scales golden.parquet   a few rows with their probabilities
vocabulary.parquet   field, value, id             checksums.json   against damage, not malice
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic_core import to_json
from torch import nn

from masknet.card import model_card
from masknet.encode import Count, Encoder
from masknet.errors import ArtifactError, MasknetError
from masknet.gbdt import TREES
from masknet.manifest import MANIFEST_FILE, Manifest, damaged, read_manifest, write_checksums
from masknet.manifest import verify as verify_files
from masknet.own_files import UnsoundError, read_frame, read_json
from masknet.places import REPLACED, temporary_folder
from masknet.scoring import NetworkScorer, Scorer, load_network, probabilities_of, resolve_device
from masknet.table import Chunk, Form, open_table
from masknet.threads import require_threads

__all__ = [
    "Artifact",
    "CheckResult",
    "check",
    "check_free",
    "load_artifact",
    "probabilities",
    "probability_columns",
]

_RUN_FILE, _METRICS_FILE, _GOLDEN_FILE = "run.json", "metrics.json", "golden.parquet"

_SAID_OF_TEXTS = ("delimiter", "quote", "escape", "encoding")

_TOLERANCE = 1e-6  # float32 logits differ by about this much between machines


@dataclass(frozen=True)
class Artifact:
    """A trained thing: what `fit`, `load` and the command line hold. It scores, is changed, and saved anywhere.

    `dataclasses.replace` changes a part of it: `replace(artifact, run={...}).save("other.masknet")`.

    Args:
        manifest: what it is.
        encoder: turns raw rows into what the scorer reads.
        scorer: turns encoded rows into logits.
        run: the settings of the run, as resolved.
        history: a record an evaluation.
        golden: raw values of the fields of a few rows, and their probabilities; None keeps none.
        path: the folder where it lies; None where it was never saved.
    """

    manifest: Manifest
    encoder: Encoder
    scorer: Scorer
    run: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    golden: pl.DataFrame | None = None
    path: Path | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """The columns that it predicts, one a task."""
        return self.encoder.schema.labels

    @property
    def form(self) -> Form:
        """How the texts that it was trained on are written, as far as that was said; texts to score are so too."""
        said: dict[str, Any] = {name: self.run.get(name) for name in _SAID_OF_TEXTS}
        return Form(**said)

    @property
    def number_texts(self) -> dict[str, Any]:
        """How the training says that numbers are written in texts: `missing`, and `decimal`."""
        return {"missing": tuple(self.run.get("missing") or ()), "decimal": self.run.get("decimal") or "."}

    @property
    def network(self) -> nn.Module:
        """The network that scores.

        Raises:
            AttributeError: what scores is none, but trees, say.
        """
        if isinstance(self.scorer, NetworkScorer):
            return self.scorer.network
        raise AttributeError(f"what scores here is no network but {type(self.scorer).__name__}")

    def save(self, path: str | Path, *, overwrite: bool = False) -> Artifact:
        """Write it to a folder, whole or not at all.

        Equal weights give byte-equal files of weights: they hold no time and no path.

        Args:
            path: the new folder.
            overwrite: replace an artifact that lies there.

        Returns:
            the same, lying there.

        Raises:
            ArtifactError: something lies at `path`, and it is no artifact or may not be overwritten.
            OSError: the disk is full, or the place not writable; then nothing was changed.
        """
        place = Path(path).expanduser().absolute()
        check_free(place, overwrite=overwrite)
        place.parent.mkdir(parents=True, exist_ok=True)
        with temporary_folder(place) as temporary:
            made, replaced = temporary / place.name, temporary / REPLACED
            made.mkdir()  # inside, since the temporary folder itself is closed to all but its user
            try:
                _write_files(made, self)
            except pl.exceptions.ComputeError as error:  # what Polars makes of a full disk
                raise OSError(f"'{place}' cannot be written: {error}") from error
            for file in (*made.iterdir(), made):
                sync(file)
            if place.is_dir():
                place.rename(replaced)
            try:
                made.rename(place)
            except BaseException:
                if replaced.exists():
                    replaced.rename(place)
                raise
        sync(place.parent)
        return dataclasses.replace(self, path=Path(path))


def probability_columns(labels: Sequence[str]) -> list[str]:
    """What the columns of probabilities are called, in golden rows and in what `masknet predict` writes.

    >>> probability_columns(["click"]), probability_columns(["click", "like"])
    (['probability'], ['probability_click', 'probability_like'])
    """
    return ["probability"] if len(labels) < 2 else [f"probability_{label}" for label in labels]


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


def probabilities(artifact: Artifact, chunk: Chunk, *counts: Count) -> NDArray[np.float64]:
    """The probability of each row of a chunk that has the schema's fields, in [0, 1]: `[rows]`, or `[rows, tasks]`.

    Args:
        artifact: scores.
        chunk: raw rows.
        counts: are told of the cells and ids of each field.

    Raises:
        DataError: a cell cannot be what its column means.
        ArtifactError: what scores gives NaN.
    """
    require_threads()
    encoder, scorer = artifact.encoder, artifact.scorer
    parts = [scorer.logits(encoder.encode(piece, *counts)) for piece in chunk.pieces(encoder.rows_at_once)]
    found = probabilities_of(parts[0] if len(parts) == 1 else np.concatenate(parts))
    lacking = np.isnan(found).reshape(len(found), -1).any(axis=1)
    if lacking.any():
        place = chunk.place(int(lacking.argmax()))
        raise ArtifactError(
            f"a probability is a number; {artifact.manifest.model} gives NaN for {place}: its weights are damaged, or "
            f"grew without bounds in training; copy the model anew, or train again"
        )
    return found


def check(artifact: Artifact) -> CheckResult:
    """Score the golden rows anew and compare.

    Raises:
        ArtifactError: they are not the rows that were kept.
    """
    golden, names = artifact.golden, probability_columns(artifact.labels)
    if golden is None:
        return CheckResult(rows=0, difference=None)
    with _reading(artifact.path or Path(), _GOLDEN_FILE):
        expected = golden.select(names).to_numpy()
        table = open_table(golden.drop(names))
        found = [probabilities(artifact, chunk) for chunk in table.chunks(artifact.encoder.schema.field_names)]
    difference = np.abs(np.concatenate(found).reshape(expected.shape) - expected)
    return CheckResult(rows=len(golden), difference=float(difference.max()))


def load_artifact(path: str | Path, *, device: str = "cpu", verify: bool = True, trust_code: bool = False) -> Artifact:
    """Read what `Artifact.save` wrote.

    Args:
        path: the folder.
        device: where a network shall be.
        verify: read every file whole and compare its checksum first.
        trust_code: import the module of a network that is none of ours, which runs whatever that module holds.

    Raises:
        ArtifactError: there is no artifact, a file of it is damaged, a newer masknet wrote it, or its network is code
            that is not trusted.
        ConfigError: there is no such device.
    """
    require_threads()
    place = resolve_device(device)
    folder = Path(path).expanduser()
    manifest = read_manifest(folder)
    if verify or manifest.model in TREES:  # LightGBM must not read a text that is not as it was written
        verify_files(folder)
    with _reading(folder, "encoding.json or vocabulary.parquet"):
        encoder = Encoder.load(folder)
    with _reading(folder, _RUN_FILE):
        run = read_json(folder / _RUN_FILE)
        for setting in ("columns", "missing"):
            texts = run.get(setting) or []
            if not (isinstance(texts, list) and all(isinstance(text, str) for text in texts)):
                raise UnsoundError(f"its '{setting}' are {texts!r}")
        if run.get("decimal", ".") not in (".", ","):
            raise UnsoundError(f"its 'decimal' is {run['decimal']!r}")
        if not all(isinstance(run.get(name), str | None) for name in _SAID_OF_TEXTS):
            raise UnsoundError("what it says of texts is no text")
    with _reading(folder, _METRICS_FILE):
        history = read_json(folder / _METRICS_FILE)["history"]
        if not (isinstance(history, list) and all(isinstance(record, dict) for record in history)):
            raise UnsoundError("its 'history' is no list of records")
    with _reading(folder, _GOLDEN_FILE):
        golden = _golden(folder / _GOLDEN_FILE, encoder) if (folder / _GOLDEN_FILE).is_file() else None
    scorer: Scorer
    if manifest.model in TREES:
        with _reading(folder, "trees.txt or trees.json"):
            scorer = TREES[manifest.model].load(folder, encoder.space)
    else:
        with _reading(folder, NetworkScorer.file):
            scorer = load_network(folder, manifest, encoder.space, device=place, trust_code=trust_code)
    return Artifact(manifest, encoder, scorer, run, history, golden, folder)


@contextmanager
def _reading(folder: Path, name: str) -> Iterator[None]:
    """Make an ArtifactError of whatever the readers of our own files say about a damaged one."""
    try:
        yield
    except MasknetError:  # which says it better
        raise
    except UnsoundError as error:
        raise damaged(folder, name, f"holds what masknet never writes: {error}") from error
    except Exception as error:  # several libraries read it, each with errors of its own
        raise damaged(folder, name, f"cannot be read ({type(error).__name__})") from error


def _golden(file: Path, encoder: Encoder) -> pl.DataFrame:
    frame = read_frame(file)
    if frame.is_empty():
        raise UnsoundError("it has no rows")
    for name in probability_columns(encoder.schema.labels):
        if name not in frame.columns or frame.schema[name] != pl.Float64 or not frame[name].is_between(0, 1).all():
            raise UnsoundError(f"its column '{name}' holds no probabilities")
        if frame[name].null_count():
            raise UnsoundError(f"its column '{name}' has nulls")
    return frame


def check_free(path: str | Path, *, overwrite: bool) -> None:
    """Say now, before the long work, whether saving will refuse this place.

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


def _write_files(folder: Path, artifact: Artifact) -> None:
    manifest, golden = artifact.manifest, artifact.golden
    (folder / MANIFEST_FILE).write_text(manifest.model_dump_json(indent=1), encoding="utf-8")
    for name, content in artifact.scorer.files().items():
        (folder / name).write_bytes(content)
    artifact.encoder.save(folder)
    _write_json(folder / _RUN_FILE, artifact.run)
    _write_json(folder / _METRICS_FILE, manifest.results | {"rows": manifest.rows, "history": artifact.history})
    if golden is not None:
        golden.write_parquet(folder / _GOLDEN_FILE)
    card = model_card(
        folder.name,
        manifest,
        artifact.encoder,
        golden_rows=0 if golden is None else len(golden),
        repeatable=artifact.run.get("data") is not None,  # not of frames, which no command can name
    )
    (folder / "README.md").write_text(card, encoding="utf-8")
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
