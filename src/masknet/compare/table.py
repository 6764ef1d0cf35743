"""The table of a comparison for people: for a terminal, as Markdown and as CSV."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from masknet.figures import in_time, metric_name, shown

__all__ = ["Cell", "Column", "columns_of", "csv_text", "footnotes", "markdown", "next_steps", "rows_of"]


TO_BEST = "to the best"
BEST = "best"
"""The heading of what tells how a model stands beside the best one, and what stands there of that one itself."""


@dataclass(frozen=True)
class Cell:
    """What stands in a cell, and what it is sorted by where the text does not tell."""

    text: str
    value: float | None = None


@dataclass(frozen=True)
class Column:
    """A heading, whether numbers stand below it, and whether it is of the second half where there are two."""

    name: str
    number: bool = True
    second: bool = False


_METRICS = ("auc", "log_loss", "normalized_entropy", "calibration_ratio", "rela_imp")


def _tasks(model: Mapping[str, Any], labels: Sequence[str]) -> list[tuple[str, Mapping[str, Any]]]:
    """By label what is told of a model; of one label the model itself."""
    if len(labels) == 1:
        return [(labels[0], model)]
    return [(label, model["tasks"][label]) for label in labels] if "tasks" in model else [(labels[0], model)]


def columns_of(results: Mapping[str, Any]) -> list[Column]:
    """The headings of the table."""
    several = len(results["labels"]) > 1
    over = results["rela_imp_over"]
    auc, loss, entropy, ratio, _ = (metric_name(name) for name in _METRICS)
    return [
        Column("model", number=False),
        *([Column("label", number=False)] if several else []),
        Column("members"),
        Column(auc),
        Column("95 % interval", number=False),
        Column(TO_BEST, number=False),
        Column(loss),
        Column(entropy, second=True),
        Column(ratio),
        *([Column(f"RelaImp over {over}", second=True)] if over else []),
        *(Column(name, second=True) for name in ("parameters", "training", "rows/s", "memory")),
    ]


def rows_of(results: Mapping[str, Any]) -> list[list[Cell]]:
    """The cells of the table, the best model first, what failed or was skipped last."""
    ok = [model for model in results["models"] if model["status"] == "ok"]
    others = [model for model in results["models"] if model["status"] != "ok"]
    labels, width = results["labels"], len(columns_of(results))
    ok.sort(key=lambda model: -sum(task["metrics"]["auc"]["value"] for _, task in _tasks(model, labels)))
    found = [_cells(results, model, label, task) for model in ok for label, task in _tasks(model, labels)]
    rest = [""] * (width - 2)
    return found + [[Cell(text) for text in (model["model"], model["status"], *rest)] for model in others]


def _cells(results: Mapping[str, Any], model: Mapping[str, Any], label: str, task: Mapping[str, Any]) -> list[Cell]:
    metrics = task["metrics"]
    auc, interval = shown(metrics["auc"])
    values = []
    for name in _METRICS[1:] if results["rela_imp_over"] else _METRICS[1:-1]:
        estimate = metrics.get(name)
        if estimate is None or estimate["value"] is None:
            values.append("")
        elif name == "rela_imp":
            values.append(f"{100 * estimate['value']:+.1f} %")
        else:
            values.append(shown(estimate, like=metrics["auc"])[0])
    rows, seconds = results["test"]["rows"], model.get("scoring_seconds")
    peak, trained = model.get("peak_bytes"), model.get("seconds")
    cells = [
        model["model"] + (" (baseline)" if model.get("baseline") else ""),
        *([label] if len(results["labels"]) > 1 else []),
        "" if "members" not in model else str(model["members"]),
        auc,
        interval,
        _to_best(task["difference"], model["model"]),
        *values,
        "" if "parameters" not in model else f"{model['parameters']:,}",
        Cell("") if trained is None else Cell(in_time(trained), trained),
        "" if not seconds else f"{rows / seconds:,.0f}",
        "" if peak is None else f"{peak / 1e6:,.0f} MB",
    ]
    return [cell if isinstance(cell, Cell) else Cell(cell) for cell in cells]


def _to_best(difference: Mapping[str, Any], name: str) -> str:
    if difference["to"] == name:
        return BEST
    value, _ = shown({"value": difference["value"], "low": difference["low"], "high": difference["high"]})
    return f"{value} tie" if difference["tie"] else value


def footnotes(results: Mapping[str, Any]) -> list[str]:
    """What to know of the table: what was measured on, how it was tested, and which settings a model did without."""
    test, tests = results["test"], results["tests"]
    where = f"the {test['held_out']} of {test['name']}, held out" if test["held_out"] else test["name"]
    seeds = results["seeds"]
    each = f"the mean over {seeds} seeds" if seeds > 1 else "of one seed"
    found = [
        f"measured on {test['rows']:,} test rows ({where}); each figure is {each}; training time and peak memory are "
        f"of one run, rows/s of encoding and scoring",
        f"to the best: the AUC less the best one's; a tie is what the rows do not tell apart ({tests['variance']}, "
        f"{tests['correction']}, at {tests['level']})",
    ]
    if tuned := results.get("tuned"):
        found.append(
            f"the settings of each model were searched for {tuned['minutes']:g} min first, from its defaults on, with "
            f"one network and the validation rows alone"
        )
    if any(model.get("baseline") for model in results["models"]):
        found.append(
            "the verdict asks of each model whether it is better than the baseline, and is corrected for these alone"
        )
    if seeds == 1:
        found.append("one seed compares two trained networks, and not two models: --seeds 3 does")
    for model in results["models"]:
        if model["status"] != "ok":
            found.append(f"{model['model']}, {model['status']}: {model['reason']}")
        if "equal_parameters" in model and "parameters" in model:
            found.append(_equal_parameters(model, results["models"]))
        if "tuned" in model:
            found.append(f"{model['model']}, tuned in {_trials(model['tuned'])}")
        if model.get("left_out"):
            flags = ", ".join(f"--{name.replace('_', '-')}" for name in model["left_out"])
            found.append(f"{model['model']} did without {flags}, which it cannot have")
        for label, task in _tasks(model, results["labels"]):
            if "flat" in task:
                found.append(_ranks_nothing(model["model"], task, f" of {label}" if len(results["labels"]) > 1 else ""))
    return found


def _ranks_nothing(name: str, task: Mapping[str, Any], of_label: str) -> str:
    """That a row of the table ranks nothing, and with how many of its seeds where some do rank."""
    flat, seeds = task["flat"], len(task["aucs"])
    of_seeds = f" with {flat} of {seeds} seeds" if flat < seeds else ""
    return f"{name} gives all test rows one score{of_label}{of_seeds}: it ranks nothing"


def _equal_parameters(model: Mapping[str, Any], models: Sequence[Mapping[str, Any]]) -> str:
    """How near a row comes to the number of parameters that it was to have."""
    equal = model["equal_parameters"]
    other = next(one for one in models if one["model"] == equal["to"])
    width = model["set"][equal["by"]][0]
    found = f"{model['model']} has {equal['by']} of {width:,}, the width that comes nearest to {other['model']}"
    if "parameters" not in other:
        return found
    return f"{found}: {model['parameters']:,} parameters for {other['parameters']:,}"


def _trials(tuned: Mapping[str, Any]) -> str:
    """How many trials a search had, and what it moved."""
    count = f"{tuned['trials']:,} trial" + ("s" if tuned["trials"] > 1 else "")
    moved = ", ".join(f"{name} {json.dumps(value)}" for name, value in tuned["settings"].items())
    return f"{count}: {moved}" if moved else f"{count}: the defaults were best"


def markdown(results: Mapping[str, Any]) -> str:
    """The table in Markdown, with its footnotes."""
    columns = columns_of(results)
    lines = [
        "| " + " | ".join(_plain(column.name) for column in columns) + " |",
        "|" + "|".join(" ---: " if column.number else " --- " for column in columns) + "|",
        *("| " + " | ".join(_plain(cell.text) for cell in row) + " |" for row in rows_of(results)),
    ]
    verdict, notes = map(_plain, results["verdict"]), (f"- {_plain(note)}" for note in footnotes(results))
    return "\n".join([*verdict, "", *lines, "", *notes, ""])


def _plain(text: str) -> str:
    """A text of which Markdown makes nothing: a name may hold what is a tag, a link or a border there.

    >>> print(_plain("a|b <i> *c*"))
    a\\|b \\<i> \\*c\\*
    """
    return re.sub(r"[\\`*\[<|]", r"\\\g<0>", text)


def csv_text(results: Mapping[str, Any]) -> str:
    """Every figure, unrounded, as CSV: a row a model, and label where there are several."""
    labels = results["labels"]
    records: list[dict[str, Any]] = []
    for model in results["models"]:
        for label, task in _tasks(model, labels):
            record: dict[str, Any] = {"model": model["model"], "status": model["status"], "reason": model["reason"]}
            record["label"] = label
            for name, estimate in task.get("metrics", {}).items():
                record |= {name: estimate["value"], f"{name}_low": estimate.get("low")}
                record[f"{name}_high"] = estimate.get("high")
            for name in ("value", "low", "high", "p", "p_corrected", "tie", "detectable"):
                record[f"difference_{name}" if name != "tie" else "tie"] = task.get("difference", {}).get(name)
            for name in ("members", "parameters", "seconds", "scoring_seconds", "peak_bytes", "bytes"):
                record[name] = model.get(name)
            records.append(record)
    names = list(dict.fromkeys(name for record in records for name in record))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()


def next_steps(results: Mapping[str, Any], place: Path, rows: str, scores: str) -> list[list[str]]:
    """The words of commands that use the best model.

    Args:
        results: of the comparison.
        place: its folder.
        rows: a table to score.
        scores: where to write the scores.
    """
    best = next(model for model in results["models"] if model["model"] == results["best"])
    model = str(place / best["runs"][0]["model"])
    trust = ["--trust-code"] if ":" in best["kind"] else []
    return [
        ["predict", model, rows, "--out", scores, *trust],
        ["evaluate", model, rows, *trust],
        ["check", model, *trust],
    ]
