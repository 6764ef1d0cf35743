"""The state of an unfinished run in its folder, `OUT.run/`: written whole or not at all.

`run.json` marks the run as unfinished, `checkpoint.safetensors` holds the last state (tensors, and JSON in the file's
header), `log.jsonl` one line an evaluation. Success removes the first two.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from masknet.errors import ArtifactError

__all__ = ["Checkpoint", "RunFolder"]


@dataclass(frozen=True)
class Checkpoint:
    """Everything that a run needs to go on as if it had never stopped."""

    state: dict[str, Any]
    tensors: dict[str, Tensor]

    def part(self, prefix: str) -> dict[str, Tensor]:
        """The tensors below `prefix:`, without it."""
        return {name[len(prefix) + 1 :]: t for name, t in self.tensors.items() if name.startswith(f"{prefix}:")}


class RunFolder:
    """The files of one run.

    Args:
        path: the folder, `OUT.run`; made when the run begins.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._marker = path / "run.json"
        self._checkpoint = path / "checkpoint.safetensors"
        self._log = path / "log.jsonl"

    @property
    def unfinished(self) -> bool:
        """Whether a run began here and did not end."""
        return self._marker.exists()

    def begin(self, settings: dict[str, Any]) -> None:
        """Mark a new run, and forget what an older one left."""
        self.path.mkdir(parents=True, exist_ok=True)
        self._checkpoint.unlink(missing_ok=True)
        self._log.unlink(missing_ok=True)
        _write_whole(self._marker, json.dumps(settings, indent=1).encode())

    def finish(self) -> None:
        """The run ended well: only its log stays. The mark goes first, so that no half-finished state is resumed."""
        self._marker.unlink(missing_ok=True)
        self._checkpoint.unlink(missing_ok=True)

    def save(self, checkpoint: Checkpoint) -> None:
        """Replace the last state by this one."""
        temporary = self._checkpoint.with_suffix(".writing")
        try:
            tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in checkpoint.tensors.items()}
            save_file(tensors, temporary, metadata={"state": json.dumps(checkpoint.state)})
            _sync(temporary)
            os.replace(temporary, self._checkpoint)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync(self.path)

    def load(self) -> Checkpoint | None:
        """The last state, or None where the run was stopped before its first.

        Raises:
            ArtifactError: the file is damaged.
        """
        if not self._checkpoint.exists():
            return None
        try:
            with safe_open(self._checkpoint, framework="pt") as file:
                state = json.loads(file.metadata()["state"])
                return Checkpoint(state, {name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
        except (SafetensorError, ValueError, KeyError, TypeError) as error:
            raise ArtifactError(
                f"a checkpoint is one whole file; '{self._checkpoint}' is damaged ({error}): begin anew, --overwrite"
            ) from None

    def append_log(self, record: dict[str, Any]) -> None:
        """Add one evaluation to the log."""
        with self._log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def reset_log(self, records: list[dict[str, Any]]) -> None:
        """Cut the log back to these evaluations."""
        _write_whole(self._log, "".join(json.dumps(record) + "\n" for record in records).encode())


def _write_whole(path: Path, content: bytes) -> None:
    temporary = path.with_name(path.name + ".writing")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
