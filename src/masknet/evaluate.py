"""An artifact and a labelled table: how good its probabilities are, of all rows, of groups, of slices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from masknet.artifact import Artifact
from masknet.encode import read_roles
from masknet.errors import ConfigError, DataError, unknown
from masknet.metrics import Estimate, Sample, doubts
from masknet.predict import Watch, no_rows, require_columns, tracked
from masknet.progress import Progress
from masknet.schema import UNKNOWN, Schema
from masknet.slices import SliceColumn
from masknet.table import Table
from masknet.threads import require_threads

__all__ = ["Evaluation", "GroupCounts", "SliceEvaluation", "evaluate_table", "evaluation_json"]

_GROUP_RESAMPLES = 1000


@dataclass(frozen=True)
class SliceEvaluation:
    """How good the probabilities of the rows of one value are.

    Args:
        value: the value, a range of numbers, "missing" or "other values".
        rows: how many.
        metrics: by name.
        below_overall: whether the whole interval of the AUC lies below the AUC of all rows.
    """

    value: str
    rows: int
    metrics: dict[str, Estimate]
    below_overall: bool

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready copy."""
        return {
            "value": self.value,
            "rows": self.rows,
            "metrics": _to_json(self.metrics),
            "below_overall": self.below_overall,
        }


@dataclass(frozen=True)
class GroupCounts:
    """The groups of an evaluation.

    Args:
        column: of the groups.
        count: how many groups there are.
        one_class: how many of them the grouped AUC leaves out.
        without_positive: how many of them NDCG leaves out.
        resamples: of groups, from which the intervals of the grouped metrics are.
    """

    column: str
    count: int
    one_class: int
    without_positive: int
    resamples: int

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready copy."""
        return {
            "column": self.column,
            "count": self.count,
            "one_class": self.one_class,
            "without_positive": self.without_positive,
            "interval": {"kind": "bootstrap", "resamples": self.resamples, "unit": "group"},
        }


@dataclass(frozen=True)
class Evaluation:
    """How good the probabilities of one label are.

    Args:
        rows: of the table whose label is known.
        clicks: those of them whose label is 1.
        metrics: by name.
        resamples: from which all intervals are, of groups where there are groups, else of rows; 0: theory's intervals.
        groups: where the rows have groups.
        slices: by column, in each the worst AUC first, where it is undefined last.
    """

    rows: int
    clicks: int
    metrics: dict[str, Estimate]
    resamples: int = 0
    groups: GroupCounts | None = None
    slices: dict[str, list[SliceEvaluation]] = field(default_factory=dict)

    @property
    def doubts(self) -> list[str]:
        """What to know before the numbers are believed."""
        return doubts(self.metrics, self.clicks)

    def to_json(self) -> dict[str, Any]:
        """What `masknet evaluate --json` prints of the one label, or of each."""
        found: dict[str, Any] = {"metrics": _to_json(self.metrics), "rows": self.rows, "clicks": self.clicks}
        if self.doubts:
            found["warnings"] = self.doubts
        if self.resamples:
            unit = "row" if self.groups is None else "group"
            found["interval"] = {"kind": "bootstrap", "resamples": self.resamples, "unit": unit}
        if self.groups is not None:
            found["groups"] = self.groups.to_json()
        if self.slices:
            found["slices"] = {name: [part.to_json() for part in parts] for name, parts in self.slices.items()}
        return found


def _to_json(found: dict[str, Estimate]) -> dict[str, Any]:
    return {name: estimate.to_json() for name, estimate in found.items()}


def evaluate_table(
    artifact: Artifact,
    table: Table,
    *,
    baseline: Artifact | None = None,
    group: str | None = None,
    slices: Sequence[str] = (),
    bootstrap: int = 0,
    seed: int = 0,
    limit: int | None = None,
    watch: Watch | None = None,
    progress: Progress,
) -> dict[str, Evaluation]:
    """Score a labelled table and hold the probabilities against its labels; label and weight are those of training.

    Each label is measured on the rows where it is known: one for each of them, by its name.

    The intervals of grouped metrics are from resampled groups, 1,000 of them unless `bootstrap` says otherwise.

    Args:
        artifact: scores.
        table: rows with the fields, the label, and the weight and group where the model was trained with them.
        baseline: another model that scores the same rows; adds its AUC, `baseline_auc`, and `rela_imp` and
            `auc_difference` against it.
        group: the column of groups for the grouped metrics, instead of that of training.
        slices: columns by whose values the rows are evaluated too, fields or not.
        bootstrap: make all intervals from so many resamples, of groups where there are groups, else of rows; those of
            a slice from resamples of the slice.
        seed: of the resamples.
        limit: read only the first so many rows.
        watch: knows afterwards how far the rows are from those of training; a strict one makes that an error.
        progress: told of the rows done, and warned of skews.

    Raises:
        ConfigError: the baseline predicts another label, or one resample is asked for.
        DataError: a column is missing, a cell cannot be what its column means, or a strict watch found a skew.
    """
    require_threads()
    schema = artifact.encoder.schema
    if group is not None:
        schema = schema.model_copy(update={"group": group})
    if baseline is not None and baseline.labels != artifact.labels:
        own, other_labels = (" and ".join(f"'{label}'" for label in one.labels) for one in (artifact, baseline))
        raise ConfigError(
            f"a baseline predicts the same label; the model's is {own}, the baseline's {other_labels}: name another "
            f"--baseline"
        )
    scorers = [artifact] if baseline is None else [artifact, baseline]
    for scorer in scorers:
        require_columns(scorer, table)
    _require_roles(schema, table)
    for name in slices:
        if name not in table.columns:
            raise DataError(f"a slice is by a column of {table.name}: {unknown('column', name, table.columns)}")
    by_name = {field.name: field for field in schema.fields}
    cut = {name: SliceColumn(name, by_name.get(name), **artifact.number_texts) for name in slices}

    fields = [name for scorer in scorers for name in scorer.encoder.schema.field_names]
    roles: dict[str, list[NDArray[Any]]] = {"labels": [np.empty((0, len(schema.labels)), dtype=np.uint8)]}
    if schema.group is not None:
        roles["groups"] = [np.empty(0, dtype=np.uint64)]
    watches = [Watch(artifact) if watch is None else watch]
    watches += [Watch(scorer, name="the baseline") for scorer in scorers[1:]]
    scores = [[no_rows(scorer)] for scorer in scorers]
    table.tell(progress)
    for chunk in tracked(table, (*fields, *schema.role_names, *cut), "evaluate", progress, limit=limit):
        for name, array in read_roles(chunk, schema).items():
            roles.setdefault(name, []).append(array)
        for kept, watched in zip(scores, watches, strict=True):
            kept.append(watched.probabilities(chunk))
        for column in cut.values():
            column.add(chunk)
    for watched in watches:
        watched.tell(progress)

    columns = {name: np.concatenate(parts) for name, parts in roles.items()}
    labels = columns.pop("labels")
    of_tasks = [np.concatenate(kept).reshape(labels.shape) for kept in scores]
    sliced = {name: column.slices() for name, column in cut.items()}

    def measure(sample: Sample) -> dict[str, Estimate]:
        if bootstrap:
            return sample.bootstrap(bootstrap, seed=seed, progress=progress)
        return sample.estimates | sample.bootstrap(_GROUP_RESAMPLES, seed=seed, only_grouped=True, progress=progress)

    def of_task(task: int) -> Evaluation:
        known = labels[:, task] != UNKNOWN
        all_columns = columns | {"labels": labels[:, task], "probabilities": of_tasks[0][:, task]}
        own = {name: array[known] for name, array in all_columns.items()}
        sample = Sample(**own, baseline=None if baseline is None else of_tasks[1][known, task])
        found = measure(sample)
        groups = None
        if schema.group is not None:
            groups = GroupCounts(
                column=schema.group,
                count=sample.num_groups,
                one_class=sample.groups_of_one_class,
                without_positive=sample.groups_without_positive,
                resamples=bootstrap or _GROUP_RESAMPLES,
            )
        slices = {}
        for name, parts in sliced.items():
            measured = []
            for part in parts:
                rows = part.rows[known[part.rows]]
                of_part = measure(Sample(**{role: array[rows] for role, array in all_columns.items()}))
                high, overall = of_part["auc"].high, found["auc"].value
                below = high is not None and overall is not None and high < overall
                measured.append(SliceEvaluation(part.value, len(rows), of_part, below))
            slices[name] = sorted(measured, key=_worst_first)
        clicks = int((own["labels"] == 1).sum())
        return Evaluation(len(own["labels"]), clicks, found, bootstrap, groups, slices)

    return {label: of_task(task) for task, label in enumerate(schema.labels)}


def evaluation_json(tasks: Mapping[str, Evaluation]) -> dict[str, Any]:
    """What `masknet evaluate --json` prints: of one label its evaluation, of several `{"tasks": {label: ...}}`."""
    if len(tasks) == 1:
        return next(iter(tasks.values())).to_json()
    return {"tasks": {label: evaluation.to_json() for label, evaluation in tasks.items()}}


def _worst_first(part: SliceEvaluation) -> tuple[bool, float, int]:
    value = part.metrics["auc"].value
    return value is None, value or 0.0, -part.rows


def _require_roles(schema: Schema, table: Table) -> None:
    if not schema.labels:
        raise DataError("an evaluation needs a label; this model was trained without naming one")
    reasons = dict.fromkeys(schema.labels, "an evaluation compares probabilities with the labels") | {
        schema.weight: "the model was trained with this column of weights, and its evaluation reads it",
        schema.group: "the grouped metrics read it",
    }
    for name, reason in reasons.items():
        if name is not None and name not in table.columns:
            raise DataError(
                f"column '{name}' is missing from {table.name}; {reason}: name a table that has it",
                file=table.name,
                column=name,
            )
