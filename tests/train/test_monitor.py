"""Of several labels the mean is watched, or one label's metric; and a label's loss may count more than another's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from masknet.artifact import Artifact
from masknet.config import RunConfig
from masknet.errors import ConfigError
from masknet.progress import LogProgress
from masknet.train import train
from masknet.train.step import loss_over_tasks

SMALL = {"embedding_dim": 3, "block_dims": [6]}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    rng = np.random.default_rng(3)
    user, item = rng.integers(0, 30, 1500), rng.integers(0, 30, 1500)
    pl.DataFrame(
        {
            "click": (rng.random(1500) < 0.1 + 0.8 * (user % 2)).astype(int),
            "my.like": (rng.random(1500) < 0.1 + 0.8 * (item % 2)).astype(int),
            "user": [f"u{i}" for i in user],
            "item": [f"i{i}" for i in item],
        }
    ).write_parquet(home / "log.parquet")
    return home


def trained(home: Path, out: Path, **more: Any) -> Artifact:
    given: dict[str, Any] = {
        "data": home / "log.parquet",
        "label": ["click", "my.like"],
        "model": "serial-masknet",
        "set": SMALL,
        "cache_dir": home / "cache",
        "out": out,
        "epochs": 6,
        "evaluations": 1,
        "members": 1,
        "patience": 6,
        "batch_size": 256,
        "learning_rate": 0.02,
        "average_weights": 0.0,
        "threads": 1,
        "device": "cpu",
    }
    _, model = train(RunConfig(**given | more), LogProgress())
    assert model is not None
    return model


@pytest.mark.parametrize(
    ("monitor", "value"),
    [
        ("auc", lambda record: record["valid"]["auc"]),
        ("my.like.auc", lambda record: record["tasks"]["my.like"]["auc"]),
        ("click.log_loss", lambda record: -record["tasks"]["click"]["log_loss"]),
    ],
)
def test_the_kept_weights_are_the_best_by_what_is_watched(monitor: str, value: Any, home: Path, tmp_path: Path) -> None:
    model = trained(home, tmp_path / "m.masknet", monitor=monitor)
    best = max(model.history, key=value)
    kept = [record for record in model.history if record["best"]][-1]
    assert value(kept) == value(best)
    assert model.manifest.training["monitor"] == monitor


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"monitor": "clic.auc"}, "unknown label 'clic'; did you mean 'click'"),
        ({"monitor": "click.auk"}, "unknown metric 'auk'; did you mean 'auc'"),
        ({"task_weight": {"clic": 2}}, "unknown label 'clic'; did you mean 'click'"),
        ({"task_weight": {"click": 0}}, "task_weight.click' setting must be greater than 0"),
        ({"label": "click", "ignore": ["my.like"], "task_weight": {"click": 2}}, "there is one: leave it out"),
    ],
)
def test_a_slip_is_one_sentence(more: dict[str, Any], sentence: str, home: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=sentence):
        trained(home, tmp_path / "m.masknet", **more)


def test_the_label_alone_may_be_named_too(home: Path, tmp_path: Path) -> None:
    model = trained(home, tmp_path / "m.masknet", label="click", ignore=["my.like"], monitor="click.auc", epochs=1)
    assert model.manifest.training["monitor"] == "auc"


def test_a_label_that_weighs_much_is_learned_first(home: Path, tmp_path: Path) -> None:
    settings = {"epochs": 1, "batch_size": 128}
    heavy, light = (
        trained(home, tmp_path / f"{weight}.masknet", task_weight={"my.like": weight}, **settings)
        for weight in (30.0, 1 / 30)
    )
    losses = [model.manifest.tasks["my.like"]["metrics"]["log_loss"]["value"] for model in (heavy, light)]
    assert losses[0] < losses[1]
    losses = [model.manifest.tasks["click"]["metrics"]["log_loss"]["value"] for model in (heavy, light)]
    assert losses[0] > losses[1]


def test_the_loss_is_the_weighted_sum() -> None:
    logits, labels = torch.tensor([[0.3, -1.0], [2.0, 0.5]]), torch.tensor([[1.0, 0.0], [0.0, float("nan")]])
    click, like = (loss_over_tasks(logits[:, [i]], labels[:, [i]]) for i in range(2))
    found = loss_over_tasks(logits, labels, None, torch.tensor([1.0, 3.0]))
    assert found.item() == pytest.approx((click + 3 * like).item(), rel=1e-6)
