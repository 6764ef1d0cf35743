"""The folder of long work that the same command goes on with: it keeps what was asked for, and refuses all else."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from masknet.artifact import sync
from masknet.errors import ArtifactError, ConfigError
from masknet.own_files import UnsoundError, read_json
from masknet.places import locked

__all__ = ["WorkFolder", "read_whole"]

_WRITING = ".writing"
_WAYS_OUT = "name another --out, or begin anew with --overwrite"


class WorkFolder:
    """A folder, and what was asked of it.

    Args:
        path: the folder; made by `begin`.
        work: what is done in it, for sentences: "comparison".
        verb: of the command line, by which the file is called that keeps what was asked for: "compare".
        parts: folders in it, made by `begin`.
        files: what else lies in it, and goes with `overwrite`.
    """

    def __init__(self, path: Path, *, work: str, verb: str, parts: Sequence[str] = (), files: Sequence[str]) -> None:
        self.path = path
        self._work, self._verb, self._parts, self._files = work, verb, parts, files
        self._asked = path / f"{verb}.json"

    @contextmanager
    def alone(self) -> Iterator[None]:
        """While it lasts, no other process works in the folder.

        Raises:
            ConfigError: the path names no folder of its own.
            ArtifactError: another process works in it.
        """
        if not self.path.name:
            raise ConfigError(
                f"a {self._work} has a folder of its own; --out is '{self.path}': name one, such as ads.{self._verb}"
            )
        made = [folder for folder in self.path.parents if not folder.exists()]  # the innermost first
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with locked(self.path.with_name(f".{self.path.name}.lock"), self._refuse_second):
                yield
        finally:
            for folder in made:
                with suppress(OSError):  # what has come to lie in it stays
                    folder.rmdir()

    def _refuse_second(self) -> NoReturn:
        raise ArtifactError(
            f"one {self._work} at a time writes to a folder; another writes to '{self.path}' now: wait until it has "
            f"ended, or name another --out"
        )

    def begin(self, asked: Mapping[str, Any], *, overwrite: bool = False) -> None:
        """Note what was asked for, or hold it against what was asked for before.

        Args:
            asked: JSON-ready; `settings` by their names, `versions`, and by their names fingerprints of tables.
            overwrite: forget what lies here.

        Raises:
            ConfigError: it was something else, or the folder is none of such work.
        """
        if self._asked.exists() and not overwrite:
            self._require_same(self._asked_before(), asked)
        else:
            self._begin_anew(asked)
        for part in self._parts:
            (self.path / part).mkdir(exist_ok=True)

    def _begin_anew(self, asked: Mapping[str, Any]) -> None:
        if not self._asked.exists() and self.path.is_dir() and any(f.suffix != _WRITING for f in self.path.iterdir()):
            raise ConfigError(
                f"a {self._work} has a folder of its own; '{self.path}' holds something else: name another --out"
            )
        self.path.mkdir(parents=True, exist_ok=True)
        for part in self._parts:
            shutil.rmtree(self.path / part, ignore_errors=True)
        for name in self._files:
            (self.path / name).unlink(missing_ok=True)
        self.write(self._asked.name, json.dumps(asked, indent=1).encode())

    def _require_same(self, before: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
        for name, value in asked["settings"].items():
            was = before["settings"].get(name)
            if was != value:
                raise ConfigError(
                    f"a {self._work} keeps its settings; {name} was {_said(was)} and is {_said(value)}: run the same "
                    f"command, {_WAYS_OUT}"
                )
        for name in (name for name in asked if name not in ("settings", "versions")):
            if before.get(name) != asked[name]:
                raise ConfigError(
                    f"a {self._work} keeps its rows; the {name} table was changed, or its files written again, since "
                    f"it began: bring them back, time of change included, {_WAYS_OUT}"
                )
        for name, version in asked["versions"].items():
            began = before["versions"].get(name)
            if began != version:
                raise ConfigError(
                    f"a {self._work} keeps its versions, since other ones may give other weights; it began with {name} "
                    f"{began}, this is {version}: install that one, {_WAYS_OUT}"
                )

    def _asked_before(self) -> dict[str, Any]:
        found = read_whole(self._asked)
        if not all(isinstance(found.get(name), dict) for name in ("settings", "versions")):
            raise ArtifactError(
                f"'{self._asked}' is damaged (it does not say what was asked for): begin anew with --overwrite"
            )
        return found

    def leave(self) -> None:
        """Take `begin` back, where nothing came of it: other settings are free to begin here."""
        self._asked.unlink(missing_ok=True)
        with suppress(OSError):  # something else lies in it
            self.path.rmdir()

    def write(self, name: str, content: bytes) -> None:
        """Write a file of the folder whole or not at all.

        Args:
            name: below the folder.
            content: of the file.
        """
        file = self.path / name
        made = file.with_name(f"{file.name}{_WRITING}")
        try:
            made.write_bytes(content)
            sync(made)
        except OSError:  # a full disk: what was begun takes no room of it
            made.unlink(missing_ok=True)
            raise
        os.replace(made, file)
        sync(file.parent)


def read_whole(file: Path) -> dict[str, Any]:
    """The table in a file of JSON that `WorkFolder.write` wrote.

    Raises:
        ArtifactError: somebody else wrote there too.
    """
    try:
        return read_json(file)
    except UnsoundError as error:
        raise ArtifactError(f"'{file}' is damaged ({error}): begin anew with --overwrite") from None


def _said(value: Any) -> str:
    return "not given" if value is None else json.dumps(value, ensure_ascii=False)
