"""adPredictor as a run trains it: one pass in the order of the log, or of its times, and its belief in the artifact."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from masknet.artifact import Artifact, load_artifact
from masknet.batches import ordered_batches
from masknet.config import RunConfig
from masknet.encode import prepare
from masknet.errors import ConfigError
from masknet.metrics import evaluate
from masknet.models import AdPredictor
from masknet.predict import predict_frame
from masknet.progress import LogProgress
from masknet.table import open_table
from masknet.train import train
from masknet.train.plan import encoding_plan

ROWS = 20_000


def planted(rows: int = ROWS, seed: int = 0) -> tuple[pl.DataFrame, dict[str, np.ndarray], np.ndarray]:
    """A log whose clicks are a probit of one weight an id: what adPredictor assumes. The weights, and the truth."""
    rng = np.random.default_rng(seed)
    weights = {
        name: np.random.default_rng(7 + i).normal(size=20) * 0.7 for i, name in enumerate(("user", "ad", "page"))
    }
    codes = {name: rng.integers(0, 20, rows) for name in weights}
    score = sum(weights[name][codes[name]] for name in weights) - 0.8
    truth = np.array([0.5 * math.erfc(-s / math.sqrt(2)) for s in score])
    frame = pl.DataFrame(
        {"click": (rng.random(rows) < truth).astype(int)}
        | {name: [f"{name}{code}" for code in codes[name]] for name in weights}
        | {"at": rng.permutation(rows)}
    )
    return frame, weights, truth


def fitted(home: Path, frame: pl.DataFrame, **more: Any) -> Artifact:
    frame.write_parquet(home / "log.parquet")
    given: dict[str, Any] = {
        "data": home / "log.parquet",
        "label": "click",
        "model": "adpredictor",
        "ignore": ["at"],
        "cache_dir": home / "cache",
        "out": home / "m.masknet",
        "overwrite": True,
        "threads": 1,
    }
    _, trained = train(RunConfig(**given | more), LogProgress())
    assert trained is not None
    return trained


def means_of(trained: Artifact, field: str) -> np.ndarray:
    network = trained.network
    assert isinstance(network, AdPredictor)
    names = trained.encoder.schema.field_names
    vocabulary = trained.encoder.encodings[names.index(field)].vocabulary
    order = np.argsort([int(value.removeprefix(field)) for value in vocabulary.values])
    return network.means.weight.numpy()[vocabulary.id_array[order], 0]


def test_it_recovers_the_weights_of_a_planted_log_and_is_calibrated(tmp_path: Path) -> None:
    frame, weights, _ = planted()
    trained = fitted(tmp_path, frame)
    for name, of_field in weights.items():
        assert np.corrcoef(means_of(trained, name), of_field)[0, 1] > 0.95, name
    fresh, _, truth = planted(seed=1)
    found = predict_frame(load_artifact(tmp_path / "m.masknet"), fresh)
    assert evaluate(fresh["click"].to_numpy(), found)["calibration_ratio"].value == pytest.approx(1, abs=0.03)
    assert np.corrcoef(found, truth)[0, 1] > 0.98
    assert np.abs(found - truth).mean() < 0.03
    assert trained.manifest.training["epochs"] == 1
    assert trained.manifest.members == 1


def test_its_uncertainty_is_to_be_had_and_falls_with_what_was_seen(tmp_path: Path) -> None:
    frame, _, _ = planted()
    frame = pl.concat([frame, frame.head(3).with_columns(user=pl.lit("rare"))])
    trained = fitted(tmp_path, frame, min_count=1)
    network = trained.network
    assert isinstance(network, AdPredictor)
    rows = pl.DataFrame({"user": ["user1", "rare"], "ad": ["ad1"] * 2, "page": ["page1"] * 2})
    encoded = trained.encoder.encode(next(open_table(rows).chunks(trained.encoder.schema.field_names)))
    values = torch.from_numpy(encoded.values).expand(2, -1)
    score, variance = network.belief(torch.from_numpy(encoded.ids), values)
    assert 10 * variance[0] < variance[1]
    probability = [0.5 * math.erfc(-s / math.sqrt(1 + v) / math.sqrt(2)) for s, v in zip(score, variance, strict=True)]
    assert predict_frame(trained, rows).tolist() == pytest.approx(probability, abs=1e-6)


def test_rows_are_learned_in_the_order_of_the_log_or_of_its_times(tmp_path: Path) -> None:
    frame, _, _ = planted(2000)
    by_log = fitted(tmp_path, frame, unseen_rate=0.0)
    config = RunConfig(**by_log.run)
    rows = prepare(
        open_table(tmp_path / "log.parquet"),
        None,
        encoding_plan(config),
        LogProgress(),
        cache=tmp_path / "cache",
    )
    network = AdPredictor(rows.encoder.space, prior_variance=0.1)  # as its recipe has it
    for batch in ordered_batches(rows.train, batch_size=100):
        network.learn(batch.ids, batch.values, batch.dense, batch.labels[:, 0])
    for name, tensor in by_log.network.state_dict().items():
        assert torch.allclose(tensor, network.state_dict()[name], atol=1e-6), name
    shuffled = fitted(tmp_path, frame.sample(fraction=1.0, shuffle=True, seed=3), unseen_rate=0.0)
    assert not np.allclose(means_of(by_log, "user"), means_of(shuffled, "user"), atol=1e-4)
    # By time the order of the file means nothing.
    timed = {"ignore": [], "time": "at", "unseen_rate": 0.0}
    first = fitted(tmp_path, frame, **timed)
    second = fitted(tmp_path, frame.sample(fraction=1.0, shuffle=True, seed=4), **timed)
    np.testing.assert_allclose(means_of(first, "user"), means_of(second, "user"), atol=1e-6)


def test_an_order_that_the_cache_has_lost_is_made_again(tmp_path: Path) -> None:
    frame, _, _ = planted(1000)
    timed = {"ignore": [], "time": "at"}
    first = means_of(fitted(tmp_path, frame, **timed), "user")
    (lost,) = (tmp_path / "cache").glob("encoded/*/train/order.npy")
    lost.unlink()
    assert np.array_equal(means_of(fitted(tmp_path, frame, **timed), "user"), first)


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"epochs": 2}, "adpredictor learns from each row once: leave --epochs out"),
        ({"learning_rate": 0.1}, "adpredictor is moved by no gradient: leave --learning-rate out"),
        ({"members": 3}, "leave --members out"),
        ({"precision": "bf16"}, "adpredictor is moved by no gradient: leave --precision out"),
        ({"embedding_updates": "sparse"}, "adpredictor is moved by no gradient: leave --embedding-updates out"),
        ({"negative_rate": 0.5}, "adpredictor learns from whole rows: leave --negative-rate out"),
        ({"set": {"prior": 2.0}}, "unknown option of adpredictor 'prior'; known: forgetting, prior_variance"),
        ({"set": {"prior_variance": 0.0}}, "'prior_variance' must be a finite number above 0"),
    ],
)
def test_what_means_nothing_to_it_is_refused(more: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    frame, _, _ = planted(200)
    with pytest.raises(ConfigError, match=sentence):
        fitted(tmp_path, frame, **more)
