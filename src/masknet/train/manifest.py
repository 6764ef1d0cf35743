"""What a run tells of itself in the model's manifest."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

import numpy as np
from torch import nn

import masknet
from masknet.config import RunConfig
from masknet.encode import Prepared
from masknet.gbdt import LeafRegression, Trees
from masknet.manifest import Manifest, installed_versions
from masknet.nn.id_table import id_tables
from masknet.schema import UNKNOWN
from masknet.train.members import Job, Search
from masknet.train.monitor import Watched
from masknet.train.pretrained import Vectors

__all__ = ["manifest_of", "manifest_of_trees"]


def _epochs(search: Search, watched: Watched) -> dict[str, Any]:
    """How long was trained, a list where several members were; then also what each of them reached alone."""
    members = search.members
    epochs, best_epoch = [member.history[-1]["epoch"] for member in members], [m.best["epoch"] for m in members]
    shifts = [member.shifts for member in members]
    if len(members) == 1:
        return {"epochs": epochs[0], "best_epoch": best_epoch[0], "bias_shifts": shifts[0]}
    alone = [watched.value(member.best) for member in members]
    return {"epochs": epochs, "best_epoch": best_epoch, "bias_shifts": shifts, "members_alone": alone}


def manifest_of(
    job: Job,
    network: nn.Module,
    prepared: Prepared,
    search: Search,
    vectors: Sequence[Vectors],
    *,
    data_name: str,
    seconds: float,
) -> Manifest:
    """The manifest of what a job trained.

    Args:
        job: what was asked for.
        network: what came of it.
        prepared: the rows that it was trained and measured on.
        search: what it found, on the rows that it was measured on.
        vectors: what some rows of its tables started from.
        data_name: of the training table.
        seconds: of training.
    """
    tables = id_tables(network)
    sizes = {name: p.numel() for name, p in network.named_parameters()}
    return Manifest(
        **_common(job.config, prepared, job.identity["machine"], search.metrics, data_name),
        settings=job.settings,
        members=job.members,
        num_parameters={
            "embedding": sum(size for name, size in sizes.items() if name in tables),
            "network": sum(size for name, size in sizes.items() if name not in tables),
        },
        training={
            **_epochs(search, job.watched),
            "seconds": round(seconds, 3),
            "monitor": str(job.watched),
            "refit": job.config.refit,
            "average_weights": job.config.average_weights,
            **({"embedding_updates": "sparse"} if job.config.embedding_updates == "sparse" else {}),
            **({"pretrained": {given.field: given.to_json() for given in vectors}} if vectors else {}),
        },
    )


def manifest_of_trees(
    config: RunConfig,
    scorer: Trees | LeafRegression,
    prepared: Prepared,
    of_tasks: Sequence[dict[str, Any]],
    *,
    settings: dict[str, Any],
    machine: dict[str, Any],
    training: dict[str, Any],
    data_name: str,
) -> Manifest:
    """The manifest of trees.

    Args:
        config: what was asked for.
        scorer: what came of it.
        prepared: the rows that it was trained and measured on.
        of_tasks: the metrics of the one task, as JSON.
        settings: LightGBM's.
        machine: what the numbers depend on.
        training: what is told of it.
        data_name: of the training table.
    """
    common = _common(config, prepared, machine, of_tasks, data_name) | {"device": "cpu"}
    common["precision"] = "fp64" if isinstance(scorer, Trees) else "fp32"
    common["versions"]["lightgbm"] = metadata.version("lightgbm")
    return Manifest(
        **common,
        settings=settings,
        num_parameters=scorer.num_parameters,
        training=training,
    )


def _common(
    config: RunConfig,
    prepared: Prepared,
    machine: dict[str, Any],
    of_tasks: Sequence[dict[str, Any]],
    data_name: str,
) -> dict[str, Any]:
    """What a manifest tells whatever was trained."""
    valid_rows = len(prepared.valid or ())
    return {
        "masknet": masknet.__version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "model": config.model,
        **{name: machine[name] for name in ("precision", "threads", "device")},
        "seed": config.seed,
        "versions": installed_versions(),
        "data": {
            "name": data_name,
            "rows": len(prepared.train),
            "valid_rows": valid_rows,
            "click_rate": _click_rate(prepared),
            "bad_rows": len(prepared.bad_rows or ()),
            "fingerprint": prepared.fingerprint,
        },
        **_results(prepared, of_tasks),
        "rows": valid_rows,
        "fields": prepared.shares,
    }


def _click_rate(prepared: Prepared) -> float | dict[str, float]:
    """The share of clicks among the training rows, weighted where they are; of several labels each one's, by name."""
    rates = prepared.train.click_rates.tolist()
    return rates[0] if len(rates) == 1 else dict(zip(prepared.encoder.schema.labels, rates, strict=True))


def _results(prepared: Prepared, of_tasks: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The metrics of the one task, or of each by its label."""
    if len(of_tasks) == 1:
        return {"metrics": of_tasks[0]}
    labels = prepared.encoder.schema.labels
    rows = np.count_nonzero(np.asarray(prepared.valid.labels) != UNKNOWN, axis=0) if prepared.valid is not None else []
    tasks = {
        label: {"metrics": of_task, "rows": int(known)}
        for label, of_task, known in zip(labels, of_tasks, rows, strict=True)
    }
    return {"metrics": {}, "tasks": tasks}
