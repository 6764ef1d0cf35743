"""What a comparison found, as JSON holds it: a row a model, each metric the mean over seeds, and what is a tie."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from masknet.compare.entries import Entry
from masknet.compare.rows import MeasuredRows
from masknet.compare.statistics import LEVEL, Comparison, holm, over_seeds
from masknet.compare.verdict import verdict_of
from masknet.metrics import Estimate, Sample, doubts
from masknet.metrics.ranking import rela_imp
from masknet.progress import Progress

__all__ = ["Measured", "results_of"]

_GROUP_RESAMPLES = 1000
"""Of groups, where nothing is said."""

_OVER = ("fm", "lr")
"""What RelaImp is over: the first of them that ran."""

_RANKING = ("auc", "pr_auc", "grouped_auc", "ndcg_at_5", "ndcg_at_10")
"""The metrics that mean something of scores that are no probabilities."""

_BINS = 10


@dataclass(frozen=True)
class Measured:
    """A row of the table: a model and its runs.

    Args:
        name: of the model.
        status: ok, failed or skipped.
        reason: why it is not ok.
        records: of its runs, one a seed.
        scores: of the test rows, `[rows, labels]`, one a seed.
        in_production: whether it is a baseline, which was not trained here.
        calibrated: whether its scores are probabilities.
        entry: what it was asked for as; None of a baseline.
        tuned: what the search of its settings came to, where there was one.
    """

    name: str
    status: str
    reason: str | None = None
    records: tuple[dict[str, Any], ...] = ()
    scores: tuple[NDArray[np.float64], ...] = ()
    in_production: bool = False
    calibrated: bool = True
    entry: Entry | None = None
    tuned: dict[str, Any] | None = None


def results_of(
    measured: Sequence[Measured],
    rows: MeasuredRows,
    *,
    labels: Sequence[str],
    resamples: int,
    seeds: int,
    about: Mapping[str, Any],
    progress: Progress,
) -> dict[str, Any]:
    """What `results.json` holds: `models`, a table a model, and what all of them share.

    With several labels `tasks` stands in the place of a model's `metrics`, `difference` and `slices`.

    Args:
        measured: the rows of the table.
        rows: what they were measured on.
        labels: the columns that were predicted.
        resamples: as for `Comparison`; where there are groups, 0 stands for 1,000.
        seeds: of each model.
        about: of the data, to be told beside.
        progress: told how far resampling is.
    """
    ran = [one for one in measured if one.status == "ok"]
    over = next((one.name for kind in _OVER for one in ran if one.entry and one.entry.kind == kind), None)
    models = [_of_runs(one) for one in measured]
    of_labels = [_OfLabel(ran, rows, task, resamples, over, progress) for task in range(len(labels))]
    by_name = {model["model"]: model for model in models}
    for one in ran:
        tasks = {label: found.model(one) for label, found in zip(labels, of_labels, strict=True)}
        by_name[one.name] |= next(iter(tasks.values())) if len(labels) == 1 else {"tasks": tasks}
    trained = [one.name for one in ran if not one.in_production]
    best = max(trained, key=lambda name: float(np.mean([found.comparison.auc(name) for found in of_labels])))
    summaries = {label: found.summary() for label, found in zip(labels, of_labels, strict=True)}
    results = {
        **about,
        "labels": list(labels),
        "seeds": seeds,
        "best": best,
        "rela_imp_over": over,
        "tests": {
            "variance": of_labels[0].variance,
            "level": LEVEL,
            "correction": "Holm, all pairs",
            "of": "models" if seeds > 1 else "trained networks",
        },
        **(next(iter(summaries.values())) if len(labels) == 1 else {"tasks": summaries}),
        "models": models,
    }
    return {"verdict": verdict_of(results), **results}


def _of_runs(one: Measured) -> dict[str, Any]:
    """What a model took, over its seeds; nothing of a baseline but that it is one."""
    found: dict[str, Any] = {"model": one.name, "status": one.status, "reason": one.reason}
    if one.in_production:
        found["baseline"] = True
    if one.entry is not None:
        found |= {"kind": one.entry.kind, "set": dict(one.entry.settings), "run": dict(one.entry.run)}
        if one.entry.equal is not None:
            found["equal_parameters"] = {"to": one.entry.equal.to, "by": one.entry.equal.by}
    if one.tuned is not None:
        found["tuned"] = one.tuned
    done = [record for record in one.records if record["status"] == "ok"]
    found["runs"] = [
        {name: record[name] for name in ("seed", "status", "seconds", "model") if name in record}
        for record in one.records
    ]
    if not done:
        return found
    mean = {name: float(np.mean([record[name] for record in done])) for name in ("seconds", "scoring_seconds")}
    peaks = [record["peak_bytes"] for record in done if record.get("peak_bytes") is not None]
    return found | {
        "members": done[0]["members"],
        "parameters": round(float(np.mean([record["parameters"] for record in done]))),
        "seconds": round(mean["seconds"], 3),
        "scoring_seconds": mean["scoring_seconds"],
        "peak_bytes": max(peaks) if peaks else None,
        "bytes": round(float(np.mean([record["bytes"] for record in done]))),
        "left_out": done[0]["left_out"],
        "curve": done[0]["curve"],
    }


@dataclass(frozen=True)
class _SliceFigures:
    """The rows of a slice, and the models compared on them; None where they have one class."""

    value: str
    rows: int
    comparison: Comparison | None


class _OfLabel:
    """The models' figures of one label."""

    def __init__(
        self,
        ran: Sequence[Measured],
        rows: MeasuredRows,
        task: int,
        resamples: int,
        over: str | None,
        progress: Progress,
    ) -> None:
        self._over, self._asked, self._progress = over, resamples, progress
        self._resamples = resamples or (0 if rows.groups is None else _GROUP_RESAMPLES)
        self._known = rows.known(task)
        self._labels = rows.labels[self._known, task]
        self._weights = None if rows.weights is None else rows.weights[self._known]
        self._groups = None if rows.groups is None else rows.groups[self._known]
        self._ran, self._rows = ran, rows
        self._scores = {one.name: [scores[self._known, task] for scores in one.scores] for one in ran}
        self.comparison = Comparison(
            self._labels,
            self._scores,
            weights=self._weights,
            groups=self._groups,
            resamples=self._resamples,
            progress=progress,
        )
        self._metrics = {one.name: self._metrics_of(one) for one in ran}
        self._slices = self._sliced()

    @property
    def variance(self) -> str:
        """Where that of the rows is from, in words."""
        if not self._resamples:
            return "DeLong"
        return f"{self._resamples:,} resamples of {'rows' if self._groups is None else 'groups'}"

    def summary(self) -> dict[str, Any]:
        """What the models share."""
        clicks = int((self._labels == 1).sum())
        found: dict[str, Any] = {"rows": len(self._labels), "clicks": clicks}
        best = self.comparison.best
        if told := doubts(self._metrics[best] | _lacking(self._metrics[best]), clicks):
            found["doubts"] = told
        return found

    def model(self, one: Measured) -> dict[str, Any]:
        """What is told of one model."""
        metrics = dict(self._metrics[one.name])
        if self._over is not None:
            metrics["rela_imp"] = self._rela_imp(one.name)
        difference = self.comparison.difference(one.name)
        found: dict[str, Any] = {
            "metrics": {name: estimate.to_json() for name, estimate in metrics.items()},
            "aucs": self.comparison.aucs[one.name],
            "difference": {"to": self.comparison.best, **difference.to_json()},
        }
        if flat := sum(np.ptp(scores) == 0 for scores in self._scores[one.name]):
            found["flat"] = int(flat)  # of the runs, those that give every row one score
        if one.calibrated:
            found["reliability"] = _reliability(self._labels, self._scores[one.name][0], self._weights)
        if self._slices:
            found["slices"] = self._slices_to(one.name, self.comparison.best)
        baselines = [other.name for other in self._ran if other.in_production]
        if baselines and not one.in_production:
            found["against"] = {name: self._against(one.name, name) for name in baselines}
        return found

    def _slices_to(self, model: str, other: str) -> dict[str, list[dict[str, Any]]]:
        return {column: self._slice_differences(parts, model, other) for column, parts in self._slices.items()}

    def _against(self, model: str, baseline: str) -> dict[str, Any]:
        """The difference to a baseline, corrected for the models that were trained to be better than it."""
        trained = sum(not one.in_production for one in self._ran)
        raw = self.comparison.difference(model, baseline)
        corrected = None if raw.p is None else min(1.0, raw.p * trained)
        difference = replace(raw, corrected=corrected, comparisons=trained)
        low, high = difference.interval(LEVEL / trained) or (None, None)
        found = difference.to_json() | {"low": low, "high": high}
        return found | ({"slices": self._slices_to(model, baseline)} if self._slices else {})

    def _metrics_of(self, one: Measured) -> dict[str, Estimate]:
        seeds = []
        for scores in self._scores[one.name]:
            sample = Sample(self._labels, scores, self._weights, self._groups)
            if self._asked:
                seeds.append(sample.bootstrap(self._asked, progress=self._progress))
            else:
                grouped = sample.bootstrap(_GROUP_RESAMPLES, only_grouped=True, progress=self._progress)
                seeds.append(sample.estimates | grouped)
        names = [name for name in seeds[0] if one.calibrated or name in _RANKING]
        return {
            name: over_seeds([found[name] for found in seeds], most=1.0 if name in _RANKING else math.inf)
            for name in names
        }

    def _rela_imp(self, name: str) -> Estimate:
        """Of the mean AUCs: the quotient of each seed's is far off where the other model hardly ranks."""
        assert self._over is not None
        value = rela_imp(self.comparison.auc(name), self.comparison.auc(self._over))
        return Estimate(value, why=f"the AUC of {self._over} is 0.5" if value is None else None)

    def _sliced(self) -> dict[str, list[_SliceFigures]]:
        """By column its slices, each with a comparison of its rows."""
        found: dict[str, list[_SliceFigures]] = {}
        places = np.cumsum(self._known) - 1  # of a row among those whose label is known
        for column, parts in self._rows.slices.items():
            found[column] = []
            for part in parts:
                own = places[part.rows[self._known[part.rows]]]
                heavy = own if self._weights is None else own[self._weights[own] > 0]
                both = len(np.unique(self._labels[heavy])) == 2
                found[column].append(_SliceFigures(part.value, len(own), self._part(own) if both else None))
        return found

    def _slice_differences(self, parts: Sequence[_SliceFigures], model: str, other: str) -> list[dict[str, Any]]:
        """The difference of two models in each slice of a column, corrected for all of them."""
        told = {part.value: part.comparison.difference(model, other) for part in parts if part.comparison is not None}
        corrected = holm({value: difference.p for value, difference in told.items()})
        found: list[dict[str, Any]] = []
        for part in parts:
            record: dict[str, Any] = {"value": part.value, "rows": part.rows}
            if part.comparison is None:
                found.append(record | {"auc": None, "why": "its rows have one class"})
                continue
            difference = told[part.value]
            low, high = difference.interval() or (None, None)
            record |= {"auc": part.comparison.auc(model), "difference": difference.value, "low": low, "high": high}
            found.append(record | {"p_corrected": corrected[part.value]})
        return found

    def _part(self, own: NDArray[np.intp]) -> Comparison:
        return Comparison(
            self._labels[own],
            {name: [scores[own] for scores in seeds] for name, seeds in self._scores.items()},
            weights=None if self._weights is None else self._weights[own],
            groups=None if self._groups is None else self._groups[own],
            resamples=self._resamples,
            progress=self._progress,
        )


def _lacking(metrics: Mapping[str, Estimate]) -> dict[str, Estimate]:
    """What `doubts` reads, where scores are no probabilities."""
    lacks = "normalized_entropy" not in metrics
    return {"normalized_entropy": Estimate(None, why="the scores are no probabilities")} if lacks else {}


def _reliability(
    labels: NDArray[np.uint8], scores: NDArray[np.float64], weights: NDArray[np.float64] | None
) -> list[dict[str, float]]:
    """What was predicted and what came, in bins of as many rows each, by rising probability."""
    found = []
    weights = np.ones(len(labels)) if weights is None else weights
    for part in np.array_split(np.argsort(scores, kind="stable"), min(_BINS, len(labels))):
        total = float(weights[part].sum())
        if total:
            found.append(
                {
                    "predicted": float(weights[part] @ scores[part] / total),
                    "observed": float(weights[part] @ (labels[part] == 1) / total),
                    "rows": len(part),
                }
            )
    return found
