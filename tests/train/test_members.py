"""Members: independent runs in one, whose probabilities are averaged, in one artifact."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from masknet.artifact import Artifact, check, load_artifact
from masknet.config import RunConfig
from masknet.errors import ArtifactError
from masknet.manifest import Manifest, read_manifest
from masknet.nn import MeanProbability
from masknet.predict import predict_frame
from masknet.progress import LogProgress
from masknet.scoring import NetworkScorer
from masknet.train import train
from masknet.train.checkpoint import Checkpoint, RunFolder
from masknet.train.members import member_seed
from masknet.train.step import NetworkStep

SMALL = {"embedding_dim": 3, "block_dims": [6], "top_dims": [7]}
Run = Callable[..., RunConfig]
PLAIN: dict[str, Any] = {
    "members": 1,
    "evaluations": 1,
    "patience": 2,
    "schedule": "plateau",
    "average_weights": 0.0,
    "embedding_l2": 0.0,
    "numeric_encoding": "linear",
    "unseen_rate": 0.001,
}
"""One network and one evaluation an epoch, whatever the defaults are."""


@pytest.fixture
def run(home: Path, tmp_path: Path) -> Run:
    def run(**settings: Any) -> RunConfig:
        given: dict[str, Any] = PLAIN | {
            "data": home / "log.parquet",
            "label": "click",
            "cache_dir": home / "cache",
            "out": tmp_path / "ads.masknet",
            "set": SMALL | {"dropout": 0.2},
            "batch_size": 64,
            "learning_rate": 0.01,
            "epochs": 4,
            "patience": 1,
            "threads": 1,
            "device": "cpu",
        }
        return RunConfig(**given | settings)

    return run


class Hears(LogProgress):
    def __init__(self) -> None:
        self.notes: list[str] = []
        self.phases: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def track(self, phase: str, done: int, total: int | None, detail: str = "") -> None:
        if phase not in self.phases:
            self.phases.append(phase)


def trained(config: RunConfig, progress: LogProgress | None = None) -> Artifact:
    fitted = train(config, progress or LogProgress())[1]
    assert fitted is not None
    return fitted


def equal(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    one, other = a.state_dict(), b.state_dict()
    return one.keys() == other.keys() and all(torch.equal(t, other[name]) for name, t in one.items())


def timeless(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in record.items() if "seconds" not in key} for record in records]


def test_the_seeds_of_members_are_fixed_and_apart() -> None:
    assert [member_seed(0, member) for member in range(3)] == [0, 2170836782702555, 3990606167996088]
    many = {member_seed(seed, member) for seed in range(50) for member in range(50)}
    assert len(many) == 2500
    assert all(0 <= seed < 2**63 for seed in many)


@pytest.mark.parametrize(("refit", "updates"), [(False, "dense"), (True, "dense"), (False, "sparse")])
def test_each_member_is_the_run_of_its_own_seed(run: Run, tmp_path: Path, refit: bool, updates: str) -> None:
    shared = {"refit": refit, "embedding_updates": updates, "average_weights": 0.9, "unseen_rate": 0.1}
    both = trained(run(members=2, **shared))
    assert isinstance(both.network, MeanProbability)
    for number, member in enumerate(both.network.members):
        alone = trained(run(**shared, seed=member_seed(0, number), out=tmp_path / f"{number}.masknet"))
        assert equal(member, alone.network)
        of_this = [record for record in both.history if record["member"] == number + 1]
        assert [record | {"member": number + 1} for record in timeless(alone.history)] == timeless(of_this)


def test_one_artifact_gives_the_mean_of_the_members_probabilities(run: Run, home: Path) -> None:
    progress = Hears()
    fitted = trained(run(members=3), progress)
    artifact = load_artifact(str(run().out))
    assert artifact.manifest.members == 3
    assert isinstance(artifact.network, MeanProbability)
    assert check(artifact).ok
    log = pl.read_parquet(home / "log.parquet")
    found = predict_frame(artifact, log)
    single = [
        predict_frame(dataclasses.replace(artifact, scorer=NetworkScorer(member)), log)
        for member in artifact.network.members
    ]
    np.testing.assert_allclose(found, np.mean(single, axis=0), rtol=0, atol=1e-6)
    assert np.abs(single[0] - single[1]).max() > 1e-3

    sizes = [sum(p.numel() for p in member.parameters()) for member in artifact.network.members]
    subject = {"name": "parallel-masknet", "members": 3, "parameters": 3 * sizes[0]}
    assert artifact.manifest.subject == subject
    assert artifact.manifest.headline == f"parallel-masknet, 3 members, {3 * sizes[0]:,} parameters"
    assert artifact.manifest.headline in Path(str(run().out), "README.md").read_text()

    # The final metrics are the ensemble's; each member's own best is told, and kept.
    alone = artifact.manifest.training["members_alone"]
    epochs = artifact.manifest.training["epochs"]
    assert len(alone) == len(epochs) == 3
    assert sum(epochs) == len(fitted.history)
    assert fitted.manifest.metrics["auc"]["value"] not in alone
    for number, best in enumerate(alone):
        assert any(note.startswith(f"member {number + 1}/3, valid auc {best:.4f}") for note in progress.notes)
    assert {"member 2/3, epoch 1/4", "member 3/3, validate"} <= set(progress.phases)
    log_lines = Path(f"{run().out}.run", "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["member"] for line in log_lines] == [record["member"] for record in fitted.history]


def test_a_single_member_is_not_wrapped_and_an_older_manifest_is_read(run: Run) -> None:
    fitted = trained(run(epochs=1))
    assert not isinstance(fitted.network, MeanProbability)
    assert "member" not in fitted.history[0]
    content = read_manifest(str(run().out)).model_dump()
    del content["members"]
    assert Manifest.model_validate(content).headline.startswith("parallel-masknet, 1 member, ")


def test_members_of_any_network(run: Run) -> None:
    fitted = trained(run(members=2, model="lr", set={}, epochs=1))
    first, second = fitted.network.members
    assert not equal(first, second)  # LR starts at zero: the order of rows alone makes the difference


@pytest.mark.parametrize("threads", [1, 2])
def test_the_room_asked_for_is_what_the_checkpoints_take_while_one_is_written(
    run: Run, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    asked: list[int] = []
    lies: dict[int, int] = {}
    peaks: list[int] = []
    require_room, save = RunFolder.require_room, RunFolder.save

    def asking(folder: RunFolder, num_bytes: int) -> None:
        asked.append(num_bytes)
        require_room(folder, num_bytes)

    def saving(folder: RunFolder, checkpoint: Checkpoint) -> None:
        size = sum(tensor.nbytes for tensor in checkpoint.tensors.values())
        peaks.append(sum(lies.values()) + size)
        save(folder, checkpoint)
        lies[checkpoint.member] = size

    monkeypatch.setattr(RunFolder, "require_room", asking)
    monkeypatch.setattr(RunFolder, "save", saving)
    train(run(members=3, epochs=3, patience=9, average_weights=0.9, threads=threads, set=SMALL), LogProgress())
    assert len(asked) == 1
    assert 0.5 * asked[0] < max(peaks) < 1.02 * asked[0]
    if threads == 1:  # otherwise it is a matter of who writes first
        assert asked[0] * 0.98 < max(peaks)


def test_a_disk_without_room_for_the_checkpoints_is_found_before_training(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = namedtuple("disk", "total used free")
    of_output = tmp_path / "ads.masknet.run"
    monkeypatch.setattr(shutil, "disk_usage", lambda path: disk(0, 0, 999 if Path(path) == of_output else 10**9))
    stepped = []
    monkeypatch.setattr(NetworkStep, "__call__", lambda step, batch, number: stepped.append(batch))
    with pytest.raises(ArtifactError, match=r"MB free: make room, or name another place with --out$"):
        train(run(), LogProgress())
    assert not stepped
    assert not of_output.exists(), "nothing of it is left"
