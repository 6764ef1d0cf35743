"""The state of a run on disk: whole or not at all, whatever goes wrong while it is written."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError
from torch import nn

from masknet.errors import ArtifactError
from masknet.train import checkpoint as module
from masknet.train.checkpoint import Checkpoint, RunFolder


def state(number: int) -> Checkpoint:
    tensors = {
        "network:head.weight": torch.full((2, 3), float(number)),
        "adam:head.weight/step": torch.tensor(float(number)),
        "loss_sum:": torch.tensor(0.1 * number, dtype=torch.float64),
        "average:none": torch.empty(0),
    }
    return Checkpoint({"trainer": {"step": number, "learning_rate": 0.1 / 3, "history": [{"auc": None}]}}, tensors)


def assert_same(found: Checkpoint, expected: Checkpoint) -> None:
    assert found.state == expected.state
    assert found.tensors.keys() == expected.tensors.keys()
    for name, tensor in expected.tensors.items():
        assert found.tensors[name].dtype == tensor.dtype
        assert torch.equal(found.tensors[name], tensor), name


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "ads.masknet.run")
    folder.begin({"label": "click"})
    return folder


def test_a_state_comes_back_as_it_was(folder: RunFolder) -> None:
    assert folder.load() == {}
    folder.save(state(1))
    folder.save(state(2))
    found = folder.load()[1]
    assert_same(found, state(2))
    assert found.part("network").keys() == {"head.weight"}
    assert found.part("adam").keys() == {"head.weight/step"}
    assert sorted(os.listdir(folder.path)) == ["checkpoint-1.safetensors", "run.json"]


def test_what_was_loaded_does_not_change_with_the_file(folder: RunFolder) -> None:
    folder.save(state(1))
    found = folder.load()[1]
    file = folder.path / "checkpoint-1.safetensors"
    file.write_bytes(bytes(file.stat().st_size))
    assert_same(found, state(1))


def test_a_view_or_a_transposed_tensor_is_kept_by_its_values(folder: RunFolder) -> None:
    whole = torch.arange(6.0).reshape(2, 3)
    folder.save(Checkpoint({}, {"t": whole.T, "row": whole[1]}))
    found = folder.load()[1]
    assert torch.equal(found.tensors["t"], whole.T)
    assert torch.equal(found.tensors["row"], whole[1])


def test_a_weight_that_two_modules_share_is_kept_under_both_names(folder: RunFolder) -> None:
    def tied(value: float) -> nn.ModuleDict:
        modules = nn.ModuleDict({"reads": nn.Linear(3, 3), "writes": nn.Linear(3, 3)})
        modules["writes"].weight = modules["reads"].weight
        nn.init.constant_(modules["reads"].weight, value)
        return modules

    network = tied(2.0)
    folder.save(Checkpoint({}, {f"network:{name}": t for name, t in network.state_dict().items()}))
    found = folder.load()[1]
    assert found.part("network").keys() == network.state_dict().keys()
    again = tied(0.0)
    again.load_state_dict(found.part("network"))
    assert again["writes"].weight is again["reads"].weight
    assert torch.equal(again["reads"].weight, network["reads"].weight)


def half_written(tensors: Any, path: Path, metadata: Any) -> None:
    path.write_bytes(b"half")
    raise KeyboardInterrupt


def half_renamed(tensors: Any, path: Path, metadata: Any) -> None:
    (path.parent / ".tmp123").write_bytes(b"half")  # as safetensors does before it renames
    raise OSError(errno.EIO, "the disk broke")


def full_disk(tensors: Any, path: Path, metadata: Any) -> None:
    raise SafetensorError(f'Error while serializing: I/O error: No space left on device (os error 28) at path "{path}"')


def no_rename(source: Path, target: Path) -> None:
    raise OSError(errno.EIO, "the disk broke")


@pytest.mark.parametrize(
    ("place", "failing", "error"),
    [
        ("save_file", half_written, KeyboardInterrupt),
        ("save_file", half_renamed, OSError),
        ("save_file", full_disk, OSError),
        ("os.replace", no_rename, OSError),
    ],
)
def test_the_last_state_outlives_whatever_stops_the_next(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, place: str, failing: Any, error: type[BaseException]
) -> None:
    folder.save(state(1))
    with monkeypatch.context() as patched:
        patched.setattr(f"{module.__name__}.{place}", failing)
        with pytest.raises(error):
            folder.save(state(2))
    assert_same(folder.load()[1], state(1))
    assert sorted(os.listdir(folder.path)) == ["checkpoint-1.safetensors", "run.json"]
    folder.save(state(3))
    assert_same(folder.load()[1], state(3))


def test_a_full_disk_is_an_error_of_the_system(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "save_file", full_disk)
    with pytest.raises(OSError, match="No space left") as caught:
        folder.save(state(1))
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == str(folder.path / "checkpoint-1.safetensors")


def test_what_a_killed_process_left_half_written_is_swept_away(folder: RunFolder) -> None:
    def killed() -> None:
        (folder.path / "writing").mkdir(exist_ok=True)
        (folder.path / "writing" / ".tmpAbC").write_bytes(b"half")

    killed()
    folder.save(state(1))
    assert sorted(os.listdir(folder.path)) == ["checkpoint-1.safetensors", "run.json"]
    killed()
    folder.finish()
    assert os.listdir(folder.path) == []


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "no state", "no JSON"])
def test_a_damaged_state_is_refused_with_a_sentence(folder: RunFolder, damage: str) -> None:
    folder.save(state(1))
    file = folder.path / "checkpoint-1.safetensors"
    content = file.read_bytes()
    if damage in ("no state", "no JSON"):
        metadata = {"other": "{}"} if damage == "no state" else {"state": "{"}
        module.save_file({"a": torch.zeros(1)}, file, metadata=metadata)
    else:
        file.write_bytes({"cut": content[:-1], "empty": b"", "text": b"not a checkpoint"}[damage])
    with pytest.raises(ArtifactError, match=r"'.*checkpoint-1\.safetensors' is damaged .*--overwrite") as caught:
        folder.load()
    assert "\n" not in str(caught.value)


def test_a_run_is_unfinished_from_its_beginning_to_its_end(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "deep" / "ads.masknet.run")
    assert not folder.unfinished
    assert folder.load() == {}
    folder.begin({"label": "click", "unicode": "é"})
    assert folder.unfinished
    assert json.loads((folder.path / "run.json").read_text(encoding="utf-8")) == {"label": "click", "unicode": "é"}
    folder.save(state(1))
    folder.append_log({"epoch": 1})
    folder.finish()
    assert not folder.unfinished
    assert os.listdir(folder.path) == ["log.jsonl"]
    folder.finish()  # as after a kill halfway


def test_a_new_run_forgets_the_old_one(folder: RunFolder) -> None:
    folder.save(state(1))
    folder.append_log({"epoch": 1})
    folder.begin({"label": "sale"})
    assert folder.load() == {}
    assert sorted(os.listdir(folder.path)) == ["log.jsonl", "run.json"]  # the log is cut back when training begins


def test_the_log_grows_by_lines_and_is_cut_back(folder: RunFolder) -> None:
    log = folder.path / "log.jsonl"
    for epoch in (1, 2, 3):
        folder.append_log({"epoch": epoch, "auc": None})
    lines = log.read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2, 3]
    folder.reset_log([{"epoch": 1}])
    folder.append_log({"epoch": 2})
    assert log.read_text() == '{"epoch": 1}\n{"epoch": 2}\n'
    folder.reset_log([])
    assert log.read_text() == ""


def test_all_checkpoints_together_need_room(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = namedtuple("disk", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: disk(0, 0, 99))
    with pytest.raises(
        ArtifactError, match=r"need 0\.0 MB; the disk of .* has 0\.0 MB free: make room, or name another"
    ):
        folder.require_room(100)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: disk(0, 0, 100))
    folder.require_room(100)
    folder.save(state(1))
    lies = (folder.path / "checkpoint-1.safetensors").stat().st_size
    monkeypatch.setattr(shutil, "disk_usage", lambda _: disk(0, 0, 3000 - lies))
    folder.require_room(3000)
    with pytest.raises(ArtifactError):
        folder.require_room(3001)
