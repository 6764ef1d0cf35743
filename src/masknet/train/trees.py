"""Trees on the rows of a run: encoded, measured and kept as a network is."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from masknet import metrics
from masknet.config import RunConfig
from masknet.encode import EncodedSet, Prepared
from masknet.encode.storage import Column, Layout
from masknet.figures import metric_name
from masknet.gbdt import LeafRegression, TreeColumns, TreeModel, Trees, train_lightgbm
from masknet.generator import own_draws
from masknet.models import build_network
from masknet.nn import LinearTerm
from masknet.progress import Progress
from masknet.scoring import Scorer, probabilities_of, score
from masknet.train.defaults import resolved
from masknet.train.members import network_step
from masknet.train.monitor import Watched
from masknet.train.standing import Board, Interrupted, Turn
from masknet.train.trainer import Trainer

__all__ = ["grow"]

_L2 = 0.01
"""On the weights of leaves, which were grown on the same rows: the best of 0, 1e-4, 1e-3 and 1e-2."""

_ROWS_AT_ONCE = 65_536
_FORMS = {False: "ordered codes", True: "native categories"}


def grow(
    config: RunConfig,
    settings: dict[str, Any],
    prepared: Prepared,
    *,
    watched: Watched,
    threads: int,
    progress: Progress,
    goes_on: Callable[[dict[str, Any]], bool] = lambda record: True,
) -> tuple[Trees | LeafRegression, dict[str, Any], list[dict[str, Any]]]:
    """Grow trees on encoded rows, with ids as codes and as categories, and keep what the validation rows like better.

    Args:
        config: the settings of the run, its rate and patience decided.
        settings: LightGBM's, by its own names.
        prepared: the rows, their raw numbers kept.
        watched: which metric on the validation rows decides between the two.
        threads: of LightGBM.
        progress: who hears how it goes.
        goes_on: told the record of each form, where that is the model; whether to grow the next one.

    Returns:
        What scores, what the manifest tells of the training, and a record of each form, and of the regression's epochs.

    Raises:
        ConfigError: LightGBM is not installed, or refuses a setting.
        Interrupted: the progress asked to stop; nothing is kept.
    """
    assert prepared.valid is not None
    train, valid = prepared.train, prepared.valid
    codes = TreeColumns.of(prepared.encoder.space, train)
    forms = [codes] + ([native] if (native := replace(codes, native=True)).categories else [])
    x, x_valid = _matrix(codes, train), _matrix(codes, valid)
    rounds = settings["num_iterations"]
    assert config.learning_rate is not None
    assert config.patience is not None
    started, history, best = time.monotonic(), [], None
    for columns in forms:
        form = _FORMS[columns.native]

        def tell(done: int, form: str = form) -> None:
            progress.track(f"boosting on {form}", done, rounds, unit="trees")
            if progress.stopping():
                raise Interrupted(f"after {done:,} trees on {form}")

        model = train_lightgbm(
            x,
            train.labels[:, 0].astype(np.int64),
            valid=(x_valid, valid.labels[:, 0].astype(np.int64)),
            weights=train.weights,
            valid_weights=valid.weights,
            learning_rate=config.learning_rate,
            patience=config.patience,
            categorical=columns.categories,
            seed=config.seed,
            threads=threads,
            settings=settings,
            on_round=tell,
        )
        trees = Trees(columns, model)
        record: dict[str, Any] = {"ids": form, "trees": model.rounds, "valid": _metrics(trees, valid)}
        record["seconds"] = round(time.monotonic() - started, 3)
        history.append(record)
        value = watched.value(record)
        progress.note(f"{model.rounds} trees on {form}: valid {metric_name(watched.metric)} {value:.4f}")
        if best is None or watched.better(value, best[0]):
            best = value, trees, record
        if config.model == Trees.name and not goes_on(record):
            break
    assert best is not None
    _, trees, record = best
    if len(history) > 1:
        progress.note(f"kept: the trees on {record['ids']}")
    for of_form in history:
        of_form["best"] = of_form is record
    training = {"ids": record["ids"], "trees": trees.model.rounds}
    if config.model == Trees.name:
        return trees, training, history
    leaves, leaves_valid = _leaves(trees.model, x, train), _leaves(trees.model, x_valid, valid)
    regression, epochs = _regression(trees, leaves, leaves_valid, config, watched, progress)
    return regression, training, [*history, *epochs]


def _matrix(columns: TreeColumns, rows: EncodedSet) -> NDArray[np.float64]:
    matrix = np.empty((len(rows), columns.width))
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        span = slice(start, start + _ROWS_AT_ONCE)
        matrix[span] = columns.matrix(rows.take(span))
    return matrix


def _metrics(scorer: Scorer, valid: EncodedSet) -> dict[str, float | None]:
    (found,) = metrics.evaluate_tasks(valid.labels, probabilities_of(score(scorer, valid)), valid.weights, valid.groups)
    return {name: estimate.value for name, estimate in found.items()}


def _regression(
    trees: Trees, train: EncodedSet, valid: EncodedSet, config: RunConfig, watched: Watched, progress: Progress
) -> tuple[LeafRegression, list[dict[str, Any]]]:
    """Logistic regression on rows of leaves, trained as the model `lr` is, with a penalty of its own."""
    own, _ = resolved(
        RunConfig(model="lr", embedding_l2=_L2, seed=config.seed, unseen_rate=0.0, label=config.label, members=1),
        rows=len(train),
        by_time=False,
    )
    space = LeafRegression.leaf_space(trees.model)
    with own_draws(own.seed):
        network = build_network("lr", space, {})
    assert isinstance(network, LinearTerm)
    assert network.bias is not None
    trainer = Trainer(
        network_step(network, own, sample_weights=train.weights, click_rates=train.click_rates),
        train=train,
        valid=valid,
        config=own,
        watched=watched,
        board=Board(progress),
        turn=Turn(stage="regression on leaves"),
    )
    try:
        history = trainer.run().history
    except Interrupted:  # there is no state to go on from
        raise KeyboardInterrupt from None
    weights = network.table.weight.detach().numpy()[:, 0].copy()
    return LeafRegression(trees.columns, trees.model, weights, np.float32(network.bias.item())), history


def _leaves(model: TreeModel, x: NDArray[np.float64], rows: EncodedSet) -> EncodedSet:
    """The rows as the leaves that they fall in, one id a tree; `x` is their matrix."""
    ids = LeafRegression.leaf_ids(model, x)
    return EncodedSet(
        ids=ids,
        values=np.empty((len(rows), 0), dtype=np.float32),
        labels=rows.labels,
        weights=rows.weights,
        groups=rows.groups,
        layout=Layout((Column(),) * ids.shape[1]),
    )
