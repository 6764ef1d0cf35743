"""The files of one comparison in its folder: what was asked for, and what each run of a model came to.

compare.json            what was asked for           results.json, .csv, .md  the table
models/MODEL-SEED.masknet  each trained model         report.html              the page
tuned/MODEL/            the search of its settings
runs/MODEL-SEED.json    what its training took       scores/MODEL-SEED.npy    its probabilities of the test rows

A run is finished once its record lies in `runs/`, which is written last and whole.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from masknet.errors import ArtifactError
from masknet.own_files import UnsoundError, read_json
from masknet.work_folder import WorkFolder

__all__ = ["REPORT", "RESULTS", "CompareFolder"]

REPORT = "report.html"
RESULTS = ("results.json", "results.csv", "results.md", REPORT)
"""What a comparison comes to."""

_OF_STATUS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "failed": ("reason",),
        "trained": ("peak_bytes",),
        "ok": ("left_out", "members", "parameters", "seconds", "scoring_seconds", "bytes", "model", "curve"),
    }
)
"""What the record of a run holds beside its seed and its status."""

_PARTS = ("runs", "scores", "models", "tuned")


class CompareFolder:
    """The files of a comparison.

    Args:
        path: the folder; made by `begin`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._folder = WorkFolder(path, work="comparison", verb="compare", parts=_PARTS, files=RESULTS)
        self.alone, self.begin, self.write = self._folder.alone, self._folder.begin, self._folder.write

    def model(self, stem: str, seed: int) -> Path:
        """Where a trained model lies."""
        return self.path / "models" / f"{stem}-{seed}.masknet"

    def tuned(self, stem: str) -> Path:
        """Where the search of a model's settings lies."""
        return self.path / "tuned" / stem

    def record(self, stem: str, seed: int) -> dict[str, Any] | None:
        """What a run came to; None where it did not end.

        Raises:
            ArtifactError: its file is damaged.
        """
        file = self._record(stem, seed)
        if not file.exists():
            return None
        try:
            found = read_json(file)
        except UnsoundError as error:
            raise self._damaged(file, str(error), stem, seed) from None
        needed = _OF_STATUS.get(str(found.get("status")))
        if needed is None or not {"seed", *needed} <= found.keys():
            raise self._damaged(file, "it is no record of a run", stem, seed)
        return found

    def scores(self, stem: str, seed: int) -> NDArray[np.float64]:
        """The probabilities of the test rows, `[rows, labels]`.

        Raises:
            ArtifactError: their file is gone or damaged.
        """
        file = self.path / "scores" / f"{stem}-{seed}.npy"
        try:
            with file.open("rb") as opened:
                found: NDArray[np.float64] = np.lib.format.read_array(opened, allow_pickle=False)
        except FileNotFoundError:
            raise self._damaged(file, "it is gone", stem, seed) from None
        except ValueError:
            raise self._damaged(file, "it holds no array of numbers", stem, seed) from None
        return found

    def _record(self, stem: str, seed: int) -> Path:
        return self.path / "runs" / f"{stem}-{seed}.json"

    def _damaged(self, file: Path, why: str, stem: str, seed: int) -> ArtifactError:
        return ArtifactError(
            f"'{file}' is damaged ({why}): remove '{self._record(stem, seed)}', and the same command does this run "
            f"again"
        )

    def keep(self, stem: str, seed: int, record: Mapping[str, Any], scores: NDArray[np.float64] | None) -> None:
        """Write what a run came to: its probabilities first, its record last."""
        if scores is not None:
            content = io.BytesIO()
            np.save(content, scores, allow_pickle=False)
            self.write(f"scores/{stem}-{seed}.npy", content.getvalue())
        self.write(f"runs/{stem}-{seed}.json", json.dumps(record, indent=1).encode())
