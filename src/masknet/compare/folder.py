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
from typing import Any

import numpy as np
from numpy.typing import NDArray

from masknet.errors import ArtifactError
from masknet.work_folder import WorkFolder, read_whole

__all__ = ["REPORT", "RESULTS", "CompareFolder"]

_ASKED = "compare.json"

REPORT = "report.html"
RESULTS = ("results.json", "results.csv", "results.md", REPORT)
"""What a comparison comes to."""

_PARTS = ("runs", "scores", "models", "tuned")


class CompareFolder:
    """The files of a comparison.

    Args:
        path: the folder; made by `begin`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._folder = WorkFolder(path, work="comparison", asked=_ASKED, parts=_PARTS, files=RESULTS)
        self.begin, self.write = self._folder.begin, self._folder.write

    def model(self, stem: str, seed: int) -> Path:
        """Where a trained model lies."""
        return self.path / "models" / f"{stem}-{seed}.masknet"

    def tuned(self, stem: str) -> Path:
        """Where the search of a model's settings lies."""
        return self.path / "tuned" / stem

    def record(self, stem: str, seed: int) -> dict[str, Any] | None:
        """What a run came to; None where it did not end."""
        file = self.path / "runs" / f"{stem}-{seed}.json"
        return read_whole(file) if file.exists() else None

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
            self.write(f"scores/{stem}-{seed}.npy", content.getvalue())
        self.write(f"runs/{stem}-{seed}.json", json.dumps(record, indent=1).encode())
