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
from masknet.gbdt import TREES
from masknet.models import MODELS, learns_by_row
from masknet.progress import LogProgress, Progress
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


class Notes(LogProgress):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def run(
    home: Path, out: Path, model: str, settings: dict[str, Any], *, progress: Progress | None = None, **more: Any
) -> Artifact:
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
    _, fitted = train(RunConfig(**given | more), progress or LogProgress())
    assert fitted is not None
    return fitted


@pytest.mark.parametrize("model", [*MODELS, *TREES])
def test_a_model_is_trained_saved_and_scores_the_same(
    model: str, home: Path, tmp_path: Path, small: dict[str, dict[str, Any]]
) -> None:
    more = {"evaluations": None, "batch_size": None} if model in TREES else {}
    trained = run(home, tmp_path / "m.masknet", model, small.get(model, {"num_iterations": 5}), **more)
    rows = pl.read_parquet(home / "log.parquet").drop("click", "like")
    probabilities = masknet.load(tmp_path / "m.masknet").predict_proba(rows)
    assert probabilities.shape == (ROWS, 2)
    assert ((probabilities > 0) & (probabilities < 1)).all()
    np.testing.assert_allclose(probabilities.sum(1), 1)
    assert trained.manifest.model == model
    difference = check(load_artifact(tmp_path / "m.masknet")).difference
    assert difference is not None
    assert difference <= 1e-6


@pytest.mark.parametrize("model", [model for model in MODELS if not learns_by_row(model)])
def test_a_model_is_trained_on_two_labels(
    model: str, home: Path, tmp_path: Path, small: dict[str, dict[str, Any]]
) -> None:
    run(home, tmp_path / "m.masknet", model, small[model], label=["click", "like"], ignore=[])
    rows = pl.read_parquet(home / "log.parquet").drop("click", "like")
    probabilities = masknet.load(tmp_path / "m.masknet").predict_proba(rows)
    assert probabilities.shape == (ROWS, 2)
    assert not np.allclose(*probabilities.T)


@pytest.mark.parametrize("model", ["adpredictor", *TREES])
def test_a_model_of_one_output_refuses_several_labels(model: str, home: Path, tmp_path: Path) -> None:
    way_out = f"{model} learns one label; got click and like: train it once for each, or name another model"
    with pytest.raises(ConfigError, match=way_out):
        run(home, tmp_path / "m.masknet", model, {}, label=["click", "like"], evaluations=None, batch_size=None)


def test_matrix_factorization_says_which_fields_it_multiplies(home: Path, tmp_path: Path) -> None:
    progress = Notes()
    run(home, tmp_path / "m.masknet", "mf", {"embedding_dim": 2}, progress=progress)
    assert "mf: it multiplies 'user' and 'item', the fields of the most values" in progress.notes
    run(home, tmp_path / "n.masknet", "mf", {"embedding_dim": 2, "fields": ["history", "user"]}, progress=progress)
    assert progress.notes[-1] != progress.notes[0]
    with pytest.raises(ConfigError, match="mf: unknown field of values 'usr'; did you mean 'user'"):
        run(home, tmp_path / "o.masknet", "mf", {"fields": ["usr", "item"]})
    with pytest.raises(ConfigError, match=r"it multiplies two fields; fields is \('user',\)"):
        run(home, tmp_path / "o.masknet", "mf", {"fields": ["user"]})


def test_latent_cross_asks_for_a_sequence(home: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="latent-cross: it reads a sequence, and the log has none: name a bag"):
        run(home, tmp_path / "m.masknet", "latent-cross", {}, ordered=[], ignore=["like", "history"])


@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_a_last_batch_of_one_row_is_trained_on(norm: str, home: Path, tmp_path: Path) -> None:
    """Batch norm knows no deviation of one row."""
    settings = {"embedding_dim": 2, "hidden_dims": [4], "norm": norm}
    run(home, tmp_path / "m.masknet", "dnn", settings, valid_fraction=0.03, batch_size=29)  # 291 rows: ten and one


def test_latent_cross_reads_an_order_that_a_pooled_bag_cannot_know(tmp_path: Path) -> None:
    """Every history holds the same films; which came last decides, and the context turns it round."""
    rng = np.random.default_rng(5)
    histories = rng.permuted(np.tile(np.array(["a", "b", "c", "d"]), (4000, 1)), axis=1)
    evening = rng.integers(0, 2, 4000)
    wish = np.isin(histories[:, -1], ["a", "b"]) ^ (evening == 1)
    log = pl.DataFrame(
        {
            "click": (rng.random(4000) < np.where(wish, 0.8, 0.2)).astype(int),
            "history": pl.Series(histories.tolist(), dtype=pl.List(pl.String)),
            "evening": [f"e{i}" for i in evening],
        }
    )
    log[:3000].write_parquet(tmp_path / "log.parquet")
    log[3000:].write_parquet(tmp_path / "valid.parquet")
    aucs = {}
    for model, settings in (("latent-cross", {"state_dim": 16}), ("dnn", {"hidden_dims": [16]})):
        trained = run(
            tmp_path,
            tmp_path / f"{model}.masknet",
            model,
            {"embedding_dim": 8, **settings},
            ignore=[],
            valid=tmp_path / "valid.parquet",
            epochs=8,
            learning_rate=0.01,
            embedding_l2=0.0,
            average_weights=0.0,
        )
        aucs[model] = trained.manifest.metrics["auc"]["value"]
    assert aucs["latent-cross"] > 0.75
    assert aucs["latent-cross"] > aucs["dnn"] + 0.05
