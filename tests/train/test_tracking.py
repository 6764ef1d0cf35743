"""The curves for TensorBoard, written to a stand-in for its writer: each epoch once, also where a run is resumed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from masknet.config import RunConfig, read_run_file
from masknet.datasets import planted_log
from masknet.errors import ConfigError
from masknet.progress import LogProgress
from masknet.train import Interrupted, train
from masknet.train.tracking import Tracker

Run = Callable[..., RunConfig]
PLAIN: dict[str, Any] = {
    "members": 1,
    "evaluations": 1,
    "patience": 2,
    "schedule": "plateau",
    "average_weights": 0.0,
    "learning_rate": 1e-3,
    "embedding_l2": 0.0,
    "numeric_encoding": "linear",
    "unseen_rate": 0.001,
}
"""One network and one evaluation an epoch, whatever the defaults are."""


@pytest.fixture
def run(tmp_path: Path) -> Run:
    planted_log(600, seed=4)[0].drop("timestamp").write_parquet(tmp_path / "log.parquet")

    def run(**settings: Any) -> RunConfig:
        given: dict[str, Any] = PLAIN | {
            "data": tmp_path / "log.parquet",
            "label": "click",
            "cache_dir": tmp_path / "cache",
            "out": tmp_path / "ads.masknet",
            "set": {"embedding_dim": 3, "block_dims": [6], "top_dims": [7]},
            "batch_size": 64,
            "epochs": 3,
            "patience": 9,
            "threads": 1,
            "device": "cpu",
        }
        return RunConfig(**given | settings)

    return run


@pytest.fixture
def writers(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """All writers that were made, in place of TensorBoard's."""
    made: list[Any] = []

    class Writer:
        def __init__(self, log_dir: str, purge_step: int) -> None:
            self.folder, self.purge_step, self.closed = log_dir, purge_step, False
            self.points: list[tuple[str, float, int]] = []
            made.append(self)

        def add_scalar(self, tag: str, value: float, step: int) -> None:
            assert not self.closed
            self.points.append((tag, value, step))

        def flush(self) -> None:
            pass

        def close(self) -> None:
            self.closed = True

    module = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Writer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    return made


class Stops(LogProgress):
    def __init__(self, after: int) -> None:
        self.after = after

    def stopping(self) -> bool:
        self.after -= 1
        return self.after == 0


def test_each_epoch_has_its_scalars(run: Run, writers: list[Any], tmp_path: Path) -> None:
    fitted = train(run(tensorboard=tmp_path / "curves"), LogProgress())[1]
    assert fitted is not None
    (writer,) = writers
    assert (writer.folder, writer.closed) == (str(tmp_path / "curves"), True)
    points = {(tag, step): value for tag, value, step in writer.points}
    assert len(points) == len(writer.points)
    for record in fitted.history:
        step = record["epoch"]
        assert points.pop(("train_log_loss", step)) == record["train_log_loss"]
        assert points.pop(("learning_rate", step)) == record["learning_rate"]
        for name, value in record["valid"].items():
            assert points.pop((f"valid/{name}", step)) == value
    assert points == {}


def test_of_several_labels_each_has_its_own_curves_beside_the_means(writers: list[Any], tmp_path: Path) -> None:
    tracker = Tracker(tmp_path)
    tasks = {"click": {"auc": 0.5, "log_loss": 0.25}, "like": {"auc": None, "log_loss": 0.75}}
    losses = {"train_log_loss": 0.6, "learning_rate": None}  # of a model that has none
    tracker.write({"epoch": 2} | losses | {"valid": {"auc": 0.5, "log_loss": 0.5}, "tasks": tasks})
    assert writers[0].points == [
        ("train_log_loss", 0.6, 2),
        ("valid/auc", 0.5, 2),
        ("valid/log_loss", 0.5, 2),
        ("valid/click/auc", 0.5, 2),
        ("valid/click/log_loss", 0.25, 2),
        ("valid/like/log_loss", 0.75, 2),
    ]


def test_a_resumed_run_writes_no_step_twice_and_may_begin_to_write(
    run: Run, writers: list[Any], tmp_path: Path
) -> None:
    with pytest.raises(Interrupted):
        train(run(tensorboard=tmp_path / "curves"), Stops(9 + 4))
    train(run(tensorboard=tmp_path / "curves", resume=True), LogProgress())
    first, second = writers
    assert first.closed
    assert second.purge_step == 2
    steps = [step for writer in writers for tag, _, step in writer.points if tag == "train_log_loss"]
    assert steps == [1, 2, 3]
    drawn = Path(str(run().out), "weights.safetensors").read_bytes()
    with pytest.raises(Interrupted):
        train(run(out=tmp_path / "plain.masknet"), Stops(5))
    train(run(out=tmp_path / "plain.masknet", resume=True, tensorboard=tmp_path / "other"), LogProgress())
    assert (tmp_path / "plain.masknet" / "weights.safetensors").read_bytes() == drawn


def test_members_and_refits_have_curves_of_their_own(run: Run, writers: list[Any], tmp_path: Path) -> None:
    train(run(tensorboard=tmp_path / "curves", members=2, refit=True, epochs=1), LogProgress())
    folders = [Path(writer.folder).relative_to(tmp_path / "curves").as_posix() for writer in writers]
    assert folders == ["member-1", "member-2", "member-1/refit", "member-2/refit"]
    assert [tag for tag, _, _ in writers[-1].points] == ["train_log_loss", "learning_rate"]


def test_without_the_package_it_is_refused_before_anything_begins(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ConfigError, match=r"is not installed: pip install 'masknet\[tensorboard\]'$"):
        train(run(tensorboard=tmp_path / "curves"), LogProgress())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.parquet"]
    train(run(epochs=1), LogProgress())  # nobody else needs it


def test_a_folder_in_a_run_file_is_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("tensorboard: curves\n")
    assert read_run_file(tmp_path / "run.yaml")["tensorboard"] == str(tmp_path / "curves")
