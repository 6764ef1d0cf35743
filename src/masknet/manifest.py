"""What a trained thing is, without torch: the manifest of an artifact, and the checksums of its files.

Checksums guard against damage (a torn copy, a bad disk), not against an attacker: whoever can write the files can write
their checksums too.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import platform
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
)

from masknet import __version__
from masknet.errors import ArtifactError
from masknet.own_files import UnsoundError, is_count, is_finite, parse_json

__all__ = [
    "FORMAT",
    "MANIFEST_FILE",
    "Manifest",
    "damaged",
    "installed_versions",
    "read_manifest",
    "verify",
    "write_checksums",
]

FORMAT = 4
"""Raised whenever an older masknet could not read, or would misread, what is written."""

MANIFEST_FILE, CHECKSUMS_FILE = "manifest.json", "checksums.json"

_FILES = (
    *("manifest.json", "encoding.json", "vocabulary.parquet", "run.json", "metrics.json", "golden.parquet"),
    *("weights.safetensors", "trees.txt", "trees.json"),
)
"""What is read, so that a list of checksums without one of them is no proof."""

_MOST_SAID = 300

_LIBRARIES = ("numpy", "polars", "pyarrow", "pydantic", "safetensors", "torch")


class Manifest(BaseModel):
    """What was trained, on what, how, and how good it was.

    Args:
        format: of the artifact's files.
        masknet: the version that wrote them.
        created: in UTC, ISO 8601, to the second.
        model: a name in `masknet.models.MODELS` or `masknet.gbdt.TREES`, or `package.module:Class`.
        settings: every keyword of that network's constructor; of trees what was set of LightGBM's.
        members: how many such networks there are; their probabilities are averaged.
        num_parameters: of the id tables (`embedding`) and of all else (`network`), in all members together.
        precision, threads, device, seed: what the numbers depend on beside data and settings.
        versions: of Python and the libraries.
        data: name, rows, click rate (of several labels one each, by its name), fingerprint, ... of the training table.
        training: epochs, seconds, monitor, ... of the run.
        metrics: on the validation rows, each as `Estimate.to_json` gives it; none where there are several labels.
        tasks: of several labels, each its `metrics` and the `rows` where it is known.
        rows: how many validation rows there were.
        fields: by field, then `train` and `valid`: the shares of `missing` cells and of `unseen` values; what is scored
            is compared with them.
    """

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    format: int = FORMAT
    masknet: str
    created: str
    model: str
    settings: dict[str, Any]
    members: int = Field(default=1, ge=1, le=10_000)
    num_parameters: dict[str, Annotated[int, Field(ge=0, lt=2**63)]]
    precision: str
    threads: int
    device: str
    seed: int
    versions: dict[str, str]
    data: dict[str, Any]
    training: dict[str, Any]
    metrics: dict[str, dict[str, Any]]
    tasks: dict[str, dict[str, Any]] = {}
    rows: int = Field(ge=0)
    fields: dict[str, dict[str, dict[str, float]]] = {}

    @field_validator("data")
    @classmethod
    def _data_that_scoring_reads(cls, data: dict[str, Any]) -> dict[str, Any]:
        classes, rates = data.get("classes"), data.get("click_rate")
        if classes is not None and not (
            isinstance(classes, list) and len(classes) == 2 and all(isinstance(c, str | int | float) for c in classes)
        ):
            raise ValueError("classes are two values")
        for width in (data.get("columns_without_names"), data.get("columns_of_matrix")):
            if width is not None and not is_count(width, least=1):
                raise ValueError("an array has columns")
        for rate in rates.values() if isinstance(rates, dict) else () if rates is None else (rates,):
            if not (is_finite(rate) and 0 <= rate <= 1):
                raise ValueError("a click rate lies between 0 and 1")
        return data

    @model_serializer(mode="wrap")
    def _as_if_alone(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """With one label, as if there could be no others; of an older format, as if fields had no shares."""
        content: dict[str, Any] = serialize(self)
        return {name: value for name, value in content.items() if value or name not in ("tasks", "fields")}

    @property
    def results(self) -> dict[str, Any]:
        """The metrics as JSON tells of them: those of the one label, or a table of tasks."""
        return {"tasks": self.tasks} if self.tasks else {"metrics": self.metrics}

    @property
    def subject(self) -> dict[str, Any]:
        """What every table of results names, so that an ensemble is not compared with one network in silence."""
        return {"name": self.model, "members": self.members, "parameters": sum(self.num_parameters.values())}

    @property
    def headline(self) -> str:
        """The subject in words: `parallel-masknet, 4 members, 2,276,000 parameters`."""
        members = f"{self.members} member" + ("s" if self.members > 1 else "")
        return f"{self.model}, {members}, {sum(self.num_parameters.values()):,} parameters"


def installed_versions() -> dict[str, str]:
    """The versions of Python and of the libraries that a result may depend on, without importing them.

    >>> list(installed_versions())[:2]
    ['python', 'numpy']
    """
    return {"python": platform.python_version()} | {name: metadata.version(name) for name in _LIBRARIES}


def read_manifest(folder: str | Path) -> Manifest:
    """The manifest of the artifact in `folder`; its other files are not looked at.

    Raises:
        ArtifactError: there is no artifact, its manifest is damaged, or a newer masknet wrote it.
    """
    folder = Path(folder)
    _require_artifact(folder)
    content = _read(folder, MANIFEST_FILE)
    # A newer masknet may keep other checksums or none; ours, where they are whole, tell a newer format from a damaged
    # digit.
    known = _parse_checksums(_read(folder, CHECKSUMS_FILE)) if (folder / CHECKSUMS_FILE).is_file() else None
    if known is not None and MANIFEST_FILE in known:
        _require_same(folder, MANIFEST_FILE, known[MANIFEST_FILE])
    try:
        fields = parse_json(content)
        number = fields["format"]
    except (UnsoundError, KeyError):
        raise damaged(folder, MANIFEST_FILE, "is not readable") from None
    if type(number) is not int or number < 1:
        raise damaged(folder, MANIFEST_FILE, "has no valid 'format'")
    if number > FORMAT:
        raise ArtifactError(
            f"'{folder}' was written by masknet {fields.get('masknet')} in format {number}; this masknet {__version__} "
            f"reads format {FORMAT}: update masknet"
        )
    try:
        return Manifest.model_validate(fields)
    except ValidationError as error:
        place = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise damaged(folder, MANIFEST_FILE, f"has no valid '{place}'") from None


def verify(folder: str | Path) -> None:
    """Compare every file of the artifact with its checksum; this finds damage, not malice.

    Raises:
        ArtifactError: a file is missing, was cut, has grown or changed; the sentence names it.
    """
    folder = Path(folder)
    known = _parse_checksums(_read(folder, CHECKSUMS_FILE))
    if known is None:
        raise damaged(folder, CHECKSUMS_FILE, "is not as it was written")
    for file in sorted(folder.iterdir()):
        if file.name in _FILES and file.name not in known:
            raise damaged(folder, CHECKSUMS_FILE, f"tells nothing of {file.name}")
    for name, expected in known.items():
        _require_same(folder, name, expected)


def write_checksums(folder: Path) -> None:
    """List size and SHA-256 of every file in `folder`; the list guards itself too. Write it last."""
    files = {
        file.name: {"bytes": file.stat().st_size, "sha256": _sha256(file)}
        for file in sorted(folder.iterdir())
        if file.name != CHECKSUMS_FILE
    }
    (folder / CHECKSUMS_FILE).write_bytes(_checksums_text(files))


def damaged(folder: Path, name: str, how: str) -> ArtifactError:
    """The sentence for a file of an artifact that is not as it was written; a long story is cut."""
    how = how if len(how) <= _MOST_SAID else f"{how[:_MOST_SAID]}..."
    return ArtifactError(f"the artifact '{folder}' is damaged: {name} {how}; copy it anew, or train again")


def is_artifact(place: str | Path) -> bool:
    """Whether a model lies there, damaged or not."""
    return any((Path(place) / name).is_file() for name in (MANIFEST_FILE, CHECKSUMS_FILE))


def _require_artifact(folder: Path) -> None:
    if is_artifact(folder):
        return
    if folder.is_dir():
        raise ArtifactError(f"an artifact is a folder with a {MANIFEST_FILE}; '{folder}' has none: name another")
    if folder.exists():
        raise ArtifactError(
            f"an artifact is a folder, as `masknet train` writes it; '{folder}' is a file: name a model"
        )
    parent = folder.absolute().parent
    beside = [other.parent.name for other in parent.glob(f"*/{MANIFEST_FILE}")] if parent.is_dir() else []
    near = difflib.get_close_matches(folder.name, beside, n=1)
    way_out = f"did you mean '{folder.with_name(near[0])}'?" if near else "`masknet train` makes one"
    raise ArtifactError(f"there is no artifact at '{folder}'; {way_out}")


def _read(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except FileNotFoundError:
        raise damaged(folder, name, "is missing") from None
    except OSError as error:
        raise damaged(folder, name, f"cannot be read ({error.strerror})") from None


def _require_same(folder: Path, name: str, expected: dict[str, Any]) -> None:
    file = folder / name
    try:
        size = file.stat().st_size
        if size != expected["bytes"]:
            change = "was cut" if size < expected["bytes"] else "has grown"
            raise damaged(folder, name, f"{change} from {expected['bytes']:,} to {size:,} bytes")
        if _sha256(file) != expected["sha256"]:
            raise damaged(folder, name, "is not as it was written")
    except FileNotFoundError:
        raise damaged(folder, name, "is missing") from None
    except OSError as error:
        raise damaged(folder, name, f"cannot be read ({error.strerror})") from None


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _checksums_text(files: dict[str, dict[str, Any]]) -> bytes:
    own = hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
    return json.dumps({"files": files, "sha256_of_files": own}, indent=1).encode()


def _parse_checksums(content: bytes) -> dict[str, dict[str, Any]] | None:
    """The checksums, or None where they are not byte for byte what `write_checksums` writes."""
    try:
        files: dict[str, dict[str, Any]] = parse_json(content)["files"]
        sound = all(Path(name).name == name and {*entry} == {"bytes", "sha256"} for name, entry in files.items())
        sound = sound and all(is_count(entry["bytes"], most=2**63 - 1) for entry in files.values())
        return files if sound and _checksums_text(files) == content else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
