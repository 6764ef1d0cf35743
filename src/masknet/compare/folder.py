"""The files of one comparison in its folder: what was asked for, and what each run of a model came to.

compare.json            what was asked for           results.json, .csv, .md  the table
models/MODEL-SEED.masknet  each trained model         report.html              the page
runs/MODEL-SEED.json    what its training took       scores/MODEL-SEED.npy    its probabilities of the test rows

A run is finished once its record lies in `runs/`, which is written last and whole.
"""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from masknet.artifact import sync
from masknet.errors import ArtifactError, ConfigError
from masknet.own_files import UnsoundError, read_json

__all__ = ["REPORT", "RESULTS", "CompareFolder"]

_ASKED = "compare.json"

REPORT = "report.html"
RESULTS = ("results.json", "results.csv", "results.md", REPORT)
"""What a comparison comes to."""

_PARTS = ("runs", "scores", "models")
_WRITING = ".writing"
_WAYS_OUT = "name another --out, or begin anew with --overwrite"


class CompareFolder:
    """The files of a comparison.

    Args:
        path: the folder; made by `begin`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def begin(self, asked: Mapping[str, Any], *, overwrite: bool = False) -> None:
        """Note what was asked for, or hold it against what was asked for before.

        Args:
            asked: JSON-ready; `settings` by their names, and `data`, `test` and `versions`.
            overwrite: forget the comparison that lies here.

        Raises:
            ConfigError: it was something else, or the folder is none of a comparison.
        """
        file = self.path / _ASKED
        if file.exists() and not overwrite:
            self._require_same(_read(file), asked)
        else:
            self._begin_anew(file, asked)
        for part in _PARTS:
            (self.path / part).mkdir(exist_ok=True)

    def _begin_anew(self, file: Path, asked: Mapping[str, Any]) -> None:
        if not file.exists() and self.path.is_dir() and any(f.suffix != _WRITING for f in self.path.iterdir()):
            raise ConfigError(
                f"a comparison has a folder of its own; '{self.path}' holds something else: name another --out"
            )
        for part in _PARTS:
            shutil.rmtree(self.path / part, ignore_errors=True)
        for name in RESULTS:
            (self.path / name).unlink(missing_ok=True)
        self.path.mkdir(parents=True, exist_ok=True)
        _write(file, json.dumps(asked, indent=1).encode())

    def _require_same(self, before: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
        for name, value in asked["settings"].items():
            was = before.get("settings", {}).get(name)
            if was != value:
                raise ConfigError(
                    f"a comparison keeps its settings; {name} was {_said(was)} and is {_said(value)}: run the same "
                    f"command, {_WAYS_OUT}"
                )
        for name in ("data", "valid", "test"):
            if before.get(name) != asked[name]:
                raise ConfigError(
                    f"a comparison keeps its rows; those of the {name} table have changed since it began: bring them "
                    f"back, {_WAYS_OUT}"
                )
        for name, version in asked["versions"].items():
            began = before.get("versions", {}).get(name)
            if began != version:
                raise ConfigError(
                    f"a comparison keeps its versions, since other ones may give other weights; it began with {name} "
                    f"{began}, this is {version}: install that one, {_WAYS_OUT}"
                )

    def model(self, stem: str, seed: int) -> Path:
        """Where a trained model lies."""
        return self.path / "models" / f"{stem}-{seed}.masknet"

    def record(self, stem: str, seed: int) -> dict[str, Any] | None:
        """What a run came to; None where it did not end."""
        file = self.path / "runs" / f"{stem}-{seed}.json"
        return _read(file) if file.exists() else None

    def scores(self, stem: str, seed: int) -> NDArray[np.float64]:
        """The probabilities of the test rows, `[rows, labels]`."""
        file = self.path / "scores" / f"{stem}-{seed}.npy"
        try:
            found: NDArray[np.float64] = np.load(file, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise ArtifactError(f"'{file}' cannot be read ({error}): begin anew with --overwrite") from None
        return found

    def keep(self, stem: str, seed: int, record: Mapping[str, Any], scores: NDArray[np.float64] | None) -> None:
        """Write what a run came to: its probabilities first, its record last."""
        if scores is not None:
            content = io.BytesIO()
            np.save(content, scores, allow_pickle=False)
            _write(self.path / "scores" / f"{stem}-{seed}.npy", content.getvalue())
        _write(self.path / "runs" / f"{stem}-{seed}.json", json.dumps(record, indent=1).encode())

    def write(self, name: str, content: bytes) -> None:
        """Write a file of results."""
        _write(self.path / name, content)


def _write(file: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    made = file.with_name(f"{file.name}{_WRITING}")
    made.write_bytes(content)
    sync(made)
    os.replace(made, file)
    sync(file.parent)


def _read(file: Path) -> dict[str, Any]:
    try:
        return read_json(file)
    except UnsoundError as error:
        raise ArtifactError(f"'{file}' is damaged ({error}): begin anew with --overwrite") from None


def _said(value: Any) -> str:
    return "not given" if value is None else json.dumps(value, ensure_ascii=False)
