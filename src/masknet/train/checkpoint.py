"""The state of an unfinished run in its folder, `OUT.run/`: written whole or not at all.

`run.json` marks the run as unfinished, `checkpoint-1.safetensors` holds the last state of member 1 (tensors, and JSON
in the file's header), and so on; `log.jsonl` one line an evaluation. Members know nothing of each other, so a run goes
on from whatever state each of them was in. What is being written lies in `writing/` until it is whole. Success leaves
the log, and `bad_rows.csv` where rows were set aside.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from masknet.artifact import sync
from masknet.errors import ArtifactError
from masknet.tensors import storable

__all__ = ["Checkpoint", "RunFolder", "prefixed"]


@dataclass(frozen=True)
class Checkpoint:
    """Everything that a member of a run needs to go on as if it had never stopped.

    Args:
        state: what is no tensor, as JSON.
        tensors: by names that say whose they are; see `prefixed`.
        member: whose it is, from 1 on.
    """

    state: dict[str, Any]
    tensors: dict[str, Tensor]
    member: int = 1

    def part(self, prefix: str) -> dict[str, Tensor]:
        """The tensors below `prefix:`, without it: the inverse of `prefixed`."""
        return {name[len(prefix) + 1 :]: t for name, t in self.tensors.items() if name.startswith(f"{prefix}:")}


def prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of one part of a checkpoint, by names that no other part has.

    >>> import torch
    >>> prefixed("network", {"bias": torch.zeros(1)})
    {'network:bias': tensor([0.])}
    """
    return {f"{prefix}:{name}": tensor for name, tensor in tensors.items()}


class RunFolder:
    """The files of one run; its members may write at the same time.

    Args:
        path: the folder, `OUT.run`; made when the run begins.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._marker = path / "run.json"
        self._log = path / "log.jsonl"
        self._writing = path / "writing"
        self._turn = threading.Lock()

    @property
    def unfinished(self) -> bool:
        """Whether a run began here and did not end."""
        return self._marker.exists()

    @property
    def resumable(self) -> bool:
        """Whether there is a state to go on from."""
        return bool(self._checkpoints())

    def _checkpoints(self) -> dict[int, Path]:
        """The file of each member that has one."""
        found = {path: re.fullmatch(r"checkpoint-([0-9]+)\.safetensors", path.name) for path in self.path.glob("*")}
        return dict(sorted((int(match[1]), path) for path, match in found.items() if match))

    def _checkpoint(self, member: int) -> Path:
        return self.path / f"checkpoint-{member}.safetensors"

    def begin(self, settings: dict[str, Any]) -> None:
        """Mark a new run, and forget the state of an older one; its log stays until training begins."""
        self.path.mkdir(parents=True, exist_ok=True)
        self.finish()
        with self._replacing(self._marker) as made:
            made.write_text(json.dumps(settings, indent=1), encoding="utf-8")

    def finish(self) -> None:
        """The run ended, or was given up: only its log stays. The mark goes first, so that no half of it is resumed."""
        self._marker.unlink(missing_ok=True)
        for checkpoint in self._checkpoints().values():
            checkpoint.unlink()
        shutil.rmtree(self._writing, ignore_errors=True)

    def discard(self) -> None:
        """The run failed before its first state: leave nothing of it."""
        self.finish()
        if self._log.exists() and not self._log.stat().st_size:
            self._log.unlink()
        if not any(self.path.iterdir()):
            self.path.rmdir()

    def require_room(self, num_bytes: int) -> None:
        """Refuse where the disk cannot hold checkpoints of so many bytes together, those that lie there counted.

        Raises:
            ArtifactError: it cannot.
        """
        need = num_bytes - sum(file.stat().st_size for file in self._checkpoints().values())
        free = shutil.disk_usage(self.path).free
        if need > free:
            raise ArtifactError(
                f"the checkpoints of this run need {need / 1e6:,.1f} MB; the disk of {self.path} has {free / 1e6:,.1f} "
                f"MB free: make room, or name another place with --out"
            )

    def save(self, checkpoint: Checkpoint) -> None:
        """Replace the last state of its member by this one.

        Raises:
            OSError: the disk is full, or the place not writable; then the last state is still there.
        """
        tensors, place = storable(checkpoint.tensors), self._checkpoint(checkpoint.member)
        with self._replacing(place) as made:
            try:
                save_file(tensors, made, metadata={"state": json.dumps(checkpoint.state)})
            except SafetensorError as error:  # what safetensors makes of a full disk
                number = re.search(r"(?:os error|code:) (\d+)", str(error))
                raise OSError(int(number[1]) if number else None, str(error), str(place)) from error

    def load(self) -> dict[int, Checkpoint]:
        """The last state of each member that has one.

        Raises:
            ArtifactError: a file is damaged.
        """
        return {member: self._read(member, path) for member, path in self._checkpoints().items()}

    @staticmethod
    def _read(member: int, path: Path) -> Checkpoint:
        try:
            with safe_open(path, framework="pt") as file:
                state = json.loads(file.metadata()["state"])
                # Copies: the file is about to be replaced, and a view of it would keep the old one on the disk.
                tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, ValueError, KeyError, TypeError) as error:
            raise ArtifactError(
                f"a checkpoint is one whole file; '{path}' is damaged ({error}): to begin anew, pass --overwrite and "
                f"not --resume"
            ) from None
        return Checkpoint(state, tensors, member)

    def keep_bad_rows(self, file: Path | None) -> Path:
        """Copy the rows that were set aside beside the log; where there are none, an older run's are dropped."""
        kept = self.path / "bad_rows.csv"
        if file is None:
            kept.unlink(missing_ok=True)
        else:
            with self._replacing(kept) as made:
                shutil.copyfile(file, made)
        return kept

    def append_log(self, record: dict[str, Any]) -> None:
        """Add one evaluation to the log."""
        with self._turn, self._log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def reset_log(self, records: list[dict[str, Any]]) -> None:
        """Let the log hold these evaluations and no others."""
        with self._replacing(self._log) as made:
            made.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")

    @contextmanager
    def _replacing(self, path: Path) -> Iterator[Path]:
        """A place to write a file in, which then takes the place of `path` at once.

        The place is a folder of a fixed name, since `save_file` too writes under a name of its own first: what a killed
        process left half-written is swept away, and does not pile up.
        """
        with self._turn:
            shutil.rmtree(self._writing, ignore_errors=True)
            self._writing.mkdir()
            try:
                made = self._writing / path.name
                yield made
                sync(made)
                os.replace(made, path)
            finally:
                shutil.rmtree(self._writing, ignore_errors=True)
            sync(self.path)
