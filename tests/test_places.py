"""Places that are written to: one process at a time, and what a killed one left is swept away."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from masknet.errors import ArtifactError
from masknet.places import REPLACED, locked, sweep, temporary_folder


def killed(program: str) -> None:
    """Run a program that kills itself."""
    head = "import os, signal; from pathlib import Path; from masknet.places import *\n"
    tail = "\n    os.kill(os.getpid(), signal.SIGKILL)"
    found = subprocess.run([sys.executable, "-c", head + program + tail], capture_output=True, text=True, check=False)
    assert found.returncode == -9, found.stderr


def test_a_temporary_folder_is_hidden_and_leaves_nothing(tmp_path: Path) -> None:
    place = tmp_path / "ads.masknet"
    with temporary_folder(place) as made:
        assert made.name.startswith(".writing-ads.masknet-")
        (made / "half").write_text("half")
    assert os.listdir(tmp_path) == []


def test_what_a_killed_process_left_is_swept_by_the_next_write_there_alone(tmp_path: Path) -> None:
    for name in ("ads.masknet", "ads"):
        killed(
            f"with temporary_folder(Path({str(tmp_path / name)!r})) as made:\n    (made / 'half').write_text('half')"
        )
    assert len(os.listdir(tmp_path)) == 2
    with temporary_folder(tmp_path / "ads"):
        pass
    assert [name.startswith(".writing-ads.masknet-") for name in os.listdir(tmp_path)] == [True]
    with temporary_folder(tmp_path / "ads.masknet"):
        assert len(os.listdir(tmp_path)) == 1
    assert os.listdir(tmp_path) == []


def test_a_folder_that_is_swept_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, real = [], tempfile.mkdtemp

    def swept(**where: Any) -> str:
        made.append(real(**where))
        if len(made) == 1:
            shutil.rmtree(made[0])
        return made[-1]

    monkeypatch.setattr(tempfile, "mkdtemp", swept)
    with temporary_folder(tmp_path / "ads") as found:
        (found / "half").write_text("half")
    assert os.listdir(tmp_path) == []


def test_the_folder_of_a_living_process_is_left_alone(tmp_path: Path) -> None:
    place = tmp_path / "ads.masknet"
    with temporary_folder(place) as first:
        (first / "half").write_text("half")
        with temporary_folder(place) as second:
            assert second != first
        sweep(tmp_path)
        assert (first / "half").read_text() == "half"


def test_the_only_copy_of_what_was_replaced_is_kept_until_another_stands(tmp_path: Path) -> None:
    place = tmp_path / "ads.masknet"
    killed(f"with temporary_folder(Path({str(place)!r})) as made:\n    (made / REPLACED).mkdir()")
    sweep(tmp_path, place.name)
    (left,) = tmp_path.iterdir()
    assert (left / REPLACED).is_dir()
    with temporary_folder(place):
        place.mkdir()
    assert os.listdir(tmp_path) == ["ads.masknet"]


def test_a_folder_without_a_lock_is_swept_after_a_day(tmp_path: Path) -> None:
    old, young = tmp_path / ".writing-ads-abcdefgh", tmp_path / ".writing-ads-hgfedcba"
    for folder in (old, young):
        folder.mkdir()
    os.utime(old, (time.time() - 2 * 86400,) * 2)
    sweep(tmp_path)
    assert os.listdir(tmp_path) == [young.name]


def test_a_name_as_long_as_names_can_be_has_a_temporary_folder(tmp_path: Path) -> None:
    with temporary_folder(tmp_path / ("a" * 255)) as made:
        assert made.is_dir()
    assert os.listdir(tmp_path) == []


def test_one_holds_a_lock_and_a_killed_one_holds_none(tmp_path: Path) -> None:
    path = tmp_path / ".lock"

    def busy() -> None:
        raise ArtifactError("busy")

    with locked(path, busy):
        with pytest.raises(ArtifactError, match="busy"), locked(path, busy):
            pass
        assert path.exists()
    assert os.listdir(tmp_path) == []
    killed(f"with locked(Path({str(path)!r}), print):\n    pass")
    assert path.exists()
    with locked(path, busy):
        pass
    assert os.listdir(tmp_path) == []
