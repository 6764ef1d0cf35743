"""Trees on the rows of a run: encoded, measured and kept as a network is."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import masknet
from masknet import metrics
from masknet.artifact import Artifact
from masknet.config import RunConfig
from masknet.encode import prepare
from masknet.errors import ConfigError
from masknet.gbdt import Trees, train_trees
from masknet.manifest import Manifest, installed_versions
from masknet.progress import Progress
from masknet.scoring import probabilities_of, score
from masknet.table import Table
from masknet.train.golden import golden_rows
from masknet.train.identity import machine_of
from masknet.train.manifest import click_rate
from masknet.train.plan import encoding_plan

__all__ = ["fit_trees"]


def fit_trees(config: RunConfig, table: Table, valid: Table | None, progress: Progress) -> Artifact:
    """Train LightGBM on a table, with the settings of a run that concern the data, the seed and the threads.

    Args:
        config: the settings; those of networks are not read.
        table: the training rows.
        valid: the rows that decide when to stop, or None to split some off.
        progress: who hears how it goes.

    Raises:
        ConfigError: LightGBM is not installed, or there are several labels.
        DataError: a table, a column or a value is not what the rule asks for.
    """
    if len(config.labels) != 1:
        raise ConfigError(f"trees learn one label; got {' and '.join(config.labels)}: train them once for each")
    started = time.monotonic()
    machine = machine_of(config, None)
    plan = replace(encoding_plan(config), raw_numbers=True)
    cache = None if config.cache_dir is None else Path(config.cache_dir)
    prepared = prepare(table, valid, plan, progress, cache=cache, verify=config.verify)
    assert prepared.valid is not None
    space, rows = prepared.encoder.space, prepared.valid
    settings = {"num_leaves": 31, "learning_rate": 0.05, "patience": 50}
    trees = train_trees(space, prepared.train, rows, seed=config.seed, threads=machine["threads"], **settings)
    (found,) = metrics.evaluate_tasks(rows.labels, probabilities_of(score(trees, rows)), rows.weights, rows.groups)
    seconds = time.monotonic() - started
    manifest = Manifest(
        masknet=masknet.__version__,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        model=Trees.name,
        settings=settings,
        num_parameters={"leaves": trees.model.num_leaves},
        precision="fp64",
        threads=machine["threads"],
        device="cpu",
        seed=config.seed,
        versions=installed_versions(),
        data={
            "name": table.name,
            "rows": len(prepared.train),
            "valid_rows": len(rows),
            "click_rate": click_rate(prepared),
            "bad_rows": len(prepared.bad_rows or ()),
            "fingerprint": prepared.fingerprint,
        },
        training={"trees": trees.model.rounds, "seconds": round(seconds, 3), "monitor": "log_loss"},
        metrics={name: estimate.to_json() for name, estimate in found.items()},
        rows=len(rows),
        fields=prepared.shares,
    )
    return Artifact(
        manifest=manifest,
        encoder=prepared.encoder,
        scorer=trees,
        run={**config.settings(), "model": Trees.name, "set": settings},
        golden=golden_rows(table, prepared.encoder, trees, config),
    )
