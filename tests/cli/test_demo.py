from __future__ import annotations

import dataclasses
import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from masknet import datasets
from masknet.datasets import planted_log
from masknet.datasets.dataset import write_split
from masknet.errors import ConfigError, DataError
from masknet.progress import Progress
from masknet.train import trees

SMALL = ("--epochs", 1, "--threads", 1, "--seeds", 1)
MODELS = ["lr", "gbdt", "parallel-masknet"]


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(folder: Path, progress: Progress) -> None:
        raise DataError("MovieLens-100K is fetched by pip, which failed: no network")

    def build(folder: Path, progress: Progress) -> None:
        write_split(planted_log(2000, seed=0)[0], folder, seed=0)

    movielens, planted = (datasets.DATASETS[name] for name in ("movielens-100k", "planted"))
    monkeypatch.setitem(datasets.DATASETS, "movielens-100k", dataclasses.replace(movielens, build=refuse))
    monkeypatch.setitem(datasets.DATASETS, "planted", dataclasses.replace(planted, build=build))


def test_without_a_network_it_says_so_and_compares_on_the_planted_log(masknet) -> None:
    result = masknet("demo", "--cache-dir", "kept", *SMALL)
    assert result.code == 0, result.err
    assert "no network" in result.err
    assert "not MovieLens's" in result.err
    lines = result.out.splitlines()
    assert "planted" in lines[0]
    found = json.loads(Path("demo.compare/results.json").read_text())
    assert lines[1] == found["verdict"][0]
    assert [model["model"] for model in found["models"]] == MODELS
    assert all(model["status"] == "ok" for model in found["models"])
    assert "lie in demo.compare" in result.out
    commands = [shlex.split(line) for line in lines[-3:]]
    assert [words[1] for words in commands] == ["predict", "evaluate", "check"]
    assert all("kept/datasets" in words[3] for words in commands[:2])
    for words in commands:  # the next three commands to try do what they say
        assert masknet(*words[1:]).code == 0
    assert Path("scores.parquet").is_file()

    again = masknet("demo", "--cache-dir", "kept", *SMALL, "--rows", 900, "--json")  # replaces the demo's own
    assert again.json["out"] == "demo.compare"
    assert again.json["dataset"] == "planted"
    assert again.json["data"]["train"] == 900
    assert again.json["models"] == json.loads(Path("demo.compare/results.json").read_text())["models"]


def test_a_folder_of_the_users_own_is_not_replaced(masknet, copied: Path) -> None:
    kept = (copied / "manifest.json").read_bytes()
    for flags in ((), ("--overwrite",)):
        refused = masknet("demo", "--cache-dir", "kept", *SMALL, "--out", copied, *flags)
        assert "holds something else" in refused.error
        assert (copied / "manifest.json").read_bytes() == kept


def test_without_lightgbm_the_rest_is_shown(masknet, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*arguments: Any, **options: Any) -> None:
        raise ConfigError("the LightGBM baseline needs the package lightgbm")

    monkeypatch.setattr(trees, "train_lightgbm", missing)
    result = masknet("demo", "--cache-dir", "kept", *SMALL, "--json")
    assert [model["status"] for model in result.json["models"]] == ["ok", "failed", "ok"]
    assert "needs the package lightgbm" in result.err
