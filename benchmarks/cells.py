"""What benchmarks of many runs share: made clicks of a given rate, and a file from which an interrupted one goes on."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from machine import commit, hardware
from masknet.config import RunConfig
from masknet.progress import LogProgress
from masknet.train import train


def shift_to_rate(logit: NDArray[np.float64], rate: float) -> float:
    """What all logits are moved by, so that the mean of their probabilities is the rate."""
    low, high = -20.0, 20.0
    for _ in range(60):
        shift = (low + high) / 2
        low, high = (shift, high) if (1 / (1 + np.exp(-logit - shift))).mean() < rate else (low, shift)
    return shift


def probabilities_of_rate(logit: NDArray[np.float64], rate: float) -> NDArray[np.float64]:
    """The probabilities of logits that are all moved alike, so that their mean is the rate."""
    return 1 / (1 + np.exp(-logit - shift_to_rate(logit, rate)))


def with_table(page: str, title: str, table: str) -> str:
    """The page with a table, whose lines all end, in the place of what stands between its marks."""
    begin, end = f"<!-- {title} -->\n", "<!-- end -->"
    start = page.index(begin) + len(begin)
    return page[:start] + table + page[page.index(end, start) :]


def trained(config: RunConfig) -> dict[str, Any]:
    """What a run reached on its validation rows, and how large and how long it was; its model is not kept."""
    with tempfile.TemporaryDirectory() as at:
        started = time.perf_counter()
        _, model = train(config.replace(out=str(Path(at, "m.masknet"))), LogProgress())
        seconds = time.perf_counter() - started
    assert model is not None  # nothing is resumed
    manifest = model.manifest
    return {
        **{name: manifest.metrics[name]["value"] for name in ("auc", "log_loss")},
        "parameters": sum(manifest.num_parameters.values()),
        **{name: manifest.training[name] for name in ("epochs", "best_epoch")},
        "seconds": round(seconds, 1),
    }


def measured(
    out: Path, cells: Iterable[dict[str, Any]], measure: Callable[..., dict[str, Any]]
) -> list[dict[str, Any]]:
    """The runs of all cells; those that the file has are not made again, and each new one is written at once.

    Args:
        out: the JSON file.
        cells: what each run is called with, by name; its record has them too.
        measure: makes a run and gives the rest of its record.
    """
    runs = json.loads(out.read_text())["runs"] if out.exists() else []
    for cell in cells:
        if not any(cell.items() <= run.items() for run in runs):
            runs.append(cell | measure(**cell))
            content = {"commit": commit(), "hardware": hardware(1), "runs": runs}
            out.write_text(json.dumps(content, indent=1) + "\n")
            print(runs[-1], flush=True)
    return runs
