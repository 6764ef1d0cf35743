"""Sides of FuxiCTR, in the interpreter that has it: its files to ids, and steps of its MaskNet, by its own classes.

A checkout of github.com/reczoo/FuxiCTR is expected at `$FUXICTR`, and an interpreter with what it needs (polars < 2,
h5py, keras_preprocessing and others) at `$FUXICTR_PYTHON`. Its FeatureProcessor, its loader and its `train_step` run as
they are; nothing of it is kept here.
"""

from __future__ import annotations

import importlib
import logging
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from stages.child import Measure, threads

logging.disable(logging.WARNING)


def settings(data: str, label: str, numeric: list[str], categorical: list[str], place: Path) -> dict[str, Any]:
    """What its parts are told of the data: numbers scaled, and every category known."""
    numbers = {"name": numeric, "active": True, "dtype": "float", "type": "numeric", "fill_na": 0.0}
    texts = {"name": categorical, "active": True, "dtype": "str", "type": "categorical", "fill_na": ""}
    return {
        "dataset_id": place.name,
        "data_root": str(place.parent),
        "data_format": Path(data).suffix[1:],
        "train_data": data,
        "feature_cols": [numbers | {"normalizer": "StandardScaler"}, texts],
        "label_col": {"name": label, "dtype": "float"},
        "min_categr_count": 1,
        "use_features": None,
        "feature_specs": None,
    }


def built(told: dict[str, Any]) -> str:
    """Ids and numbers in Parquet, where its loader finds them."""
    preprocess = importlib.import_module("fuxictr.preprocess")
    return str(preprocess.build_dataset(preprocess.FeatureProcessor(**told), **told)[0])


def encode(*, data: str, cache: str, label: str, numeric: list[str], categorical: list[str], rows: int) -> Measure:
    """Rows a second from the file to ids on disk."""
    importlib.import_module("fuxictr.preprocess")

    def measure(seen: dict[str, Any]) -> dict[str, Any]:
        place = Path(tempfile.mkdtemp(dir=cache))
        started = time.perf_counter()
        built(settings(data, label, numeric, categorical, place / "set"))
        seconds = time.perf_counter() - started
        shutil.rmtree(place)
        return {"rows_per_second": rows / seconds}

    return measure


def steps(
    *,
    data: str,
    cache: str,
    label: str,
    numeric: list[str],
    categorical: list[str],
    kind: str,
    network: dict[str, Any],
    batch_size: int,
    learning_rate: float,
    count: int,
    warmup: int,
    device: str = "cpu",
) -> Measure:
    """Rows a second of its `train_step`, the wait for its loader included."""
    torch.set_num_threads(threads())
    place = Path(cache, "fuxictr")
    told = settings(data, label, numeric, categorical, place)
    file = built(told)
    features = importlib.import_module("fuxictr.features").FeatureMap(place.name, str(place))
    features.load(str(place / "feature_map.json"), told)
    sys.path.append(os.path.join(os.environ["FUXICTR"], "model_zoo", "MaskNet", "src"))
    model = importlib.import_module("MaskNet").MaskNet(
        features,
        model_type={"parallel": "ParallelMaskNet", "serial": "SerialMaskNet"}[kind],
        gpu=-1 if device == "cpu" else 0,
        learning_rate=learning_rate,
        embedding_dim=network["dim"],
        dnn_hidden_units=list(network["top"] if kind == "parallel" else network["blocks"]),
        dnn_hidden_activations="relu",
        parallel_num_blocks=len(network["blocks"]),
        parallel_block_dim=network["blocks"][0],
        reduction_ratio=network["reduction"],
        optimizer="adam",
        loss="binary_crossentropy",
        metrics=["logloss"],
        task="binary_classification",
        model_root=str(place / "checkpoints"),
        verbose=0,
    )
    model._max_gradient_norm = 10.0  # as its `fit` has it
    model.train()
    loaders = importlib.import_module("fuxictr.pytorch.dataloaders")
    train, _ = loaders.RankDataLoader(
        features, stage="train", train_data=file, batch_size=batch_size, data_format="parquet", num_workers=1
    ).make_iterator()
    batches = _without_end(train, batch_size, label)
    take = lambda count: [model.train_step(next(batches)).item() for _ in range(count)]  # noqa: E731
    take(warmup)

    def measure(seen: dict[str, Any]) -> dict[str, Any]:
        started = time.perf_counter()
        losses = take(count)
        seconds = time.perf_counter() - started
        return {"rows_per_second": count * batch_size / seconds, "loss": sum(losses) / count}

    return measure


def _without_end(loader: Any, batch_size: int, label: str) -> Iterator[Any]:
    while True:
        for batch in loader:
            if len(batch[label]) == batch_size:
                yield batch
