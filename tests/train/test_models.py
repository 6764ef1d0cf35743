"""Every model is trained, saved, loaded and scored by the same calls, over ids, numbers, a history and a vector."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import masknet
from masknet.artifact import Artifact, check, load_artifact
from masknet.config import RunConfig
from masknet.errors import ConfigError
from masknet.models import MODELS
from masknet.progress import LogProgress
from masknet.train import train

ROWS = 300


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    rng = np.random.default_rng(3)
    histories = [rng.choice(["a", "b", "c", "d"], n).tolist() for n in rng.integers(0, 4, ROWS)]
    pl.DataFrame(
        {
            "click": rng.integers(0, 2, ROWS),
            "like": pl.Series(rng.integers(0, 2, ROWS)).set(pl.Series(rng.random(ROWS) < 0.3), None),
            "user": rng.choice([f"u{i}" for i in range(20)], ROWS),
            "item": rng.choice(["a", "b", "c", "d"], ROWS),
            "price": rng.lognormal(size=ROWS),
            "history": pl.Series(histories, dtype=pl.List(pl.String)),
            "image": pl.Series(rng.normal(size=(ROWS, 2)).tolist(), dtype=pl.List(pl.Float64)),
        }
    ).write_parquet(home / "log.parquet")
    return home


def run(home: Path, out: Path, model: str, settings: dict[str, Any], **more: Any) -> Artifact:
    given: dict[str, Any] = {
        "data": home / "log.parquet",
        "label": "click",
        "ignore": ["like"],
        "ordered": ["history"],
        "cache_dir": home / "cache",
        "out": out,
        "model": model,
        "set": settings,
        "epochs": 1,
        "evaluations": 1,
        "members": 1,
        "batch_size": 64,
        "threads": 1,
        "device": "cpu",
        "golden_rows": 20,
    }
    _, fitted = train(RunConfig(**given | more), LogProgress())
    assert fitted is not None
    return fitted


@pytest.mark.parametrize("model", MODELS)
def test_a_model_is_trained_saved_and_scores_the_same(
    model: str, home: Path, tmp_path: Path, small: dict[str, dict[str, Any]]
) -> None:
    trained = run(home, tmp_path / "m.masknet", model, small[model])
    rows = pl.read_parquet(home / "log.parquet").drop("click", "like")
    probabilities = masknet.load(tmp_path / "m.masknet").predict_proba(rows)
    assert probabilities.shape == (ROWS, 2)
    assert ((probabilities > 0) & (probabilities < 1)).all()
    np.testing.assert_allclose(probabilities.sum(1), 1)
    assert trained.manifest.model == model
    difference = check(load_artifact(tmp_path / "m.masknet")).difference
    assert difference is not None
    assert difference <= 1e-6


@pytest.mark.parametrize("model", MODELS)
def test_a_model_is_trained_on_two_labels(
    model: str, home: Path, tmp_path: Path, small: dict[str, dict[str, Any]]
) -> None:
    run(home, tmp_path / "m.masknet", model, small[model], label=["click", "like"], ignore=[])
    rows = pl.read_parquet(home / "log.parquet").drop("click", "like")
    probabilities = masknet.load(tmp_path / "m.masknet").predict_proba(rows)
    assert [of_label.shape for of_label in probabilities] == [(ROWS, 2)] * 2
    assert not np.allclose(*probabilities)


def test_latent_cross_asks_for_a_sequence(home: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="latent-cross: it reads a sequence, and the log has none: name a bag"):
        run(home, tmp_path / "m.masknet", "latent-cross", {}, ordered=[], ignore=["like", "history"])


@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_a_last_batch_of_one_row_is_trained_on(norm: str, home: Path, tmp_path: Path) -> None:
    """Batch norm knows no deviation of one row."""
    settings = {"embedding_dim": 2, "hidden_dims": [4], "norm": norm}
    run(home, tmp_path / "m.masknet", "dnn", settings, valid_fraction=0.03, batch_size=29)  # 291 rows: ten and one
