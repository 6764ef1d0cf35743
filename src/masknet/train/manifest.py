"""What a run tells of itself in the model's manifest."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from torch import nn

import masknet
from masknet.encode import Prepared
from masknet.manifest import Manifest, installed_versions
from masknet.nn.id_table import id_tables
from masknet.schema import UNKNOWN
from masknet.train.members import Job, Search
from masknet.train.pretrained import Vectors

__all__ = ["click_rate", "manifest_of"]


def _epochs(search: Search, monitor: str) -> dict[str, Any]:
    """How long was trained, a list where several members were; then also what each of them reached alone."""
    members = search.members
    epochs, best_epoch = [member.history[-1]["epoch"] for member in members], [m.best["epoch"] for m in members]
    if len(members) == 1:
        return {"epochs": epochs[0], "best_epoch": best_epoch[0]}
    alone = [member.best["valid"][monitor] for member in members]
    return {"epochs": epochs, "best_epoch": best_epoch, "members_alone": alone}


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
    machine = job.identity["machine"]
    tables = id_tables(network)
    sizes = {name: p.numel() for name, p in network.named_parameters()}
    valid_rows = len(prepared.valid or ())
    return Manifest(
        masknet=masknet.__version__,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        model=job.config.model,
        settings=job.settings,
        members=job.members,
        num_parameters={
            "embedding": sum(size for name, size in sizes.items() if name in tables),
            "network": sum(size for name, size in sizes.items() if name not in tables),
        },
        precision=machine["precision"],
        threads=machine["threads"],
        device=machine["device"],
        seed=job.config.seed,
        versions=installed_versions(),
        data={
            "name": data_name,
            "rows": len(prepared.train),
            "valid_rows": valid_rows,
            "click_rate": click_rate(prepared),
            "bad_rows": len(prepared.bad_rows or ()),
            "fingerprint": prepared.fingerprint,
        },
        training={
            **_epochs(search, job.monitor),
            "seconds": round(seconds, 3),
            "monitor": job.monitor,
            "refit": job.config.refit,
            "average_weights": job.config.average_weights,
            **({"pretrained": {given.field: given.to_json() for given in vectors}} if vectors else {}),
        },
        **_results(prepared, search.metrics),
        rows=valid_rows,
        fields=prepared.shares,
    )


def click_rate(prepared: Prepared) -> float | dict[str, float]:
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
