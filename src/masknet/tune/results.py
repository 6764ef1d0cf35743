"""What a search found, for programs and people: JSON, CSV, and the run file of the best trial."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Any

import yaml

from masknet.config import RunConfig
from masknet.figures import in_time, metric_name
from masknet.tune.space import moved
from masknet.tune.study import Trial
from masknet.tune.trials import Found

__all__ = ["BEST", "FILES", "RESULTS", "best_run", "csv_text", "in_gain", "json_of"]

BEST = "best.yaml"
RESULTS = "results.json"
FILES = (BEST, "trials.csv", RESULTS)
"""What a search comes to."""

_OF_A_PLACE = ("out", "json", "resume", "overwrite", "verbose")
"""Settings that say nothing of the model."""


def json_of(found: Found, model: str) -> dict[str, Any]:
    """What `results.json` holds."""
    return {
        "model": model,
        "monitor": found.monitor,
        "defaults": _of_trial(found.defaults),
        "best": {**_of_trial(found.best), "changes": found.changes, "trial": found.best.number},
        "gain": found.gain,
        "seconds": round(found.seconds, 3),
        "trials": [
            {
                "trial": trial.number,
                "status": trial.status,
                "reason": trial.reason,
                **_of_trial(trial),
                "epochs": trial.epochs,
                "seconds": trial.seconds,
                "curve": list(trial.curve),
            }
            for trial in found.trials
        ],
        "importance": found.importance,
    }


def _of_trial(trial: Trial) -> dict[str, Any]:
    return {"value": trial.value, "settings": dict(trial.settings)}


def in_gain(results: Mapping[str, Any]) -> str:
    """How many trials there were, how long they took, and what the best one gained, in words.

    >>> best = {"value": 0.75, "changes": {"dropout": 0.2}}
    >>> in_gain({"trials": [{"status": "ok"}] * 3, "seconds": 60, "monitor": "auc", "gain": 0.01, "best": best})
    '3 trials in 60 s; the best is 0.0100 better than the defaults by valid auc'
    """
    status = [trial["status"] for trial in results["trials"]]
    words = {"pruned": "ended early", "stopped": "out of time", "failed": "failed"}
    told = ", ".join(f"{status.count(one)} {word}" for one, word in words.items() if one in status)
    count = f"{len(status):,} trial" + ("s" if len(status) > 1 else "") + f" in {in_time(results['seconds'])}"
    name = metric_name(results["monitor"])
    if results["best"]["changes"]:
        gained = f"the best is {results['gain']:.4f} better than the defaults by valid {name}"
    else:
        gained = f"none is better than the defaults by valid {name}"
    return f"{count}{f' ({told})' if told else ''}; {gained}"


def csv_text(found: Found) -> str:
    """The trials as CSV, a row each, unrounded."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = list(found.defaults.settings)
    writer.writerow(["trial", "status", found.monitor, "epochs", "seconds", "reason", *names])
    for trial in found.trials:
        told = [trial.number, trial.status, trial.value, trial.epochs, trial.seconds, trial.reason]
        writer.writerow([*told, *(trial.settings[name] for name in names)])
    return text.getvalue()


def best_run(found: Found, config: RunConfig, *, rows: str) -> str:
    """The run file of the best trial, which tells at its head what it gained.

    Args:
        found: by the search.
        config: its settings, with paths that hold from anywhere.
        rows: what was trained and measured on, in words.
    """
    name, best, defaults = metric_name(found.monitor), found.best, found.defaults
    if found.changes:
        gained = (
            f"{best.value:.4f} with these settings, {defaults.value:.4f} with the defaults: {found.gain:.4f} better"
        )
    else:
        gained = f"{defaults.value:.4f} with the defaults, and no other settings were better"
    count = f"{len(found.trials):,} trial" + ("s" if len(found.trials) > 1 else "")
    head = [
        f"The best of {count} of `masknet tune` in {in_time(found.seconds)}, one member each, seed {config.seed}:",
        f"on the validation rows {name} {gained}.",
        f"These rows chose it, so others say less. {rows}",
    ]
    run = moved(config, found.changes).settings()
    unsaid = {field.alias or name: field.default for name, field in RunConfig.model_fields.items()}
    said = {n: v for n, v in run.items() if n not in _OF_A_PLACE and v not in (None, unsaid[n]) and v not in ([], {})}
    text: str = yaml.safe_dump(said | {"model": config.model}, sort_keys=False, allow_unicode=True, width=120)
    return "".join(f"# {line}\n" for line in head) + text
