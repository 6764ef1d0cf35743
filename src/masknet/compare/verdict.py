"""What a comparison comes to, in plain words: whether to replace what is there, or which model is best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from masknet.figures import printable, shown

__all__ = ["verdict_of"]

_MOST = 5
"""Names, or slices, that are told."""


def verdict_of(results: Mapping[str, Any]) -> list[str]:
    """The verdict, a sentence each, the most important first.

    Args:
        results: as `results_of` gives them.
    """
    labels = results["labels"]
    sentences = []
    for label in labels:
        said = _of_label(results, label)
        sentences += said if len(labels) == 1 else [f"{label}: {sentence}" for sentence in said]
    if results["seeds"] == 1:
        sentences.append(
            "With one seed this compares two trained networks, and not two models: another seed may turn it; pass "
            "--seeds 3."
        )
    return [printable(sentence) for sentence in sentences]


def _task(results: Mapping[str, Any], of: Mapping[str, Any], label: str) -> Mapping[str, Any]:
    """What is told of a label."""
    found: Mapping[str, Any] = of if len(results["labels"]) == 1 else of["tasks"][label]
    return found


def _of_label(results: Mapping[str, Any], label: str) -> list[str]:
    models = {model["model"]: model for model in results["models"] if model["status"] == "ok"}
    best = results["best"]
    summary = _task(results, results, label)
    sentences = []
    baselines = [name for name, model in models.items() if model.get("baseline")]
    for baseline in baselines:
        sentences += _against(results, label, models, baseline)
    if not baselines:
        sentences += _without(results, label, models)
    cost = models[best]
    micros = 1e6 * cost["scoring_seconds"] / max(1, results["test"]["rows"])
    sentences.append(
        f"{best} costs {micros:,.3g} microseconds a row to encode and score here, and {cost['bytes'] / 1e6:,.2g} MB."
    )
    rows = f"There were {summary['rows']:,} test rows with {summary['clicks']:,} clicks"
    found = _detectable(results, label, models, baselines)
    if found:
        sentences.append(
            f"{rows}: a difference of {found} in AUC would be found in 4 of 5 such comparisons, a smaller one less "
            f"often."
        )
    elif len(models) > 1:
        sentences.append(f"{rows}, which is too few to tell any difference.")
    return sentences


def _detectable(
    results: Mapping[str, Any], label: str, models: Mapping[str, Mapping[str, Any]], baselines: Sequence[str]
) -> str:
    """The difference to a baseline, or between the best model and another, that the test finds; the median of these."""
    best = _task(results, models[results["best"]], label)
    if baselines:
        values = [best["against"][name]["detectable"] for name in baselines]
    else:
        tasks = {name: _task(results, model, label) for name, model in models.items()}
        values = [task["difference"]["detectable"] for name, task in tasks.items() if task["difference"]["to"] != name]
    known = sorted(value for value in values if value)
    return f"{known[len(known) // 2]:.2g}" if known else ""


def _without(results: Mapping[str, Any], label: str, models: Mapping[str, Mapping[str, Any]]) -> list[str]:
    tasks = {name: _task(results, model, label) for name, model in models.items()}
    best = next(iter(tasks.values()))["difference"]["to"]
    value, interval = shown(tasks[best]["metrics"]["auc"])
    auc = f"its AUC is {value}" + (f" ({interval})" if interval else "")
    ties = [name for name, task in tasks.items() if name != best and task["difference"]["tie"]]
    behind = [name for name in tasks if name != best and name not in ties]
    if len(tasks) == 1:
        return [f"{best} is the one model here: {auc}."]
    if not ties:
        return [f"{best} ranks best, and the rows tell it from all others: {auc}."]
    sentences = [f"{best} ranks best, but the rows do not tell it from {_listed(ties)}: {auc}."]
    if behind:
        sentences.append(f"It is better than {_listed(behind)}.")
    return sentences


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return ", ".join(names[:_MOST]) + more


def _against(
    results: Mapping[str, Any], label: str, models: Mapping[str, Mapping[str, Any]], baseline: str
) -> list[str]:
    best = results["best"]
    new, old = _task(results, models[best], label), _task(results, models[baseline], label)
    difference = new["against"][baseline]
    gain = f"{difference['value']:+.4f} in AUC"
    if difference["low"] is not None:
        gain += f" ({difference['low']:+.4f} to {difference['high']:+.4f})"
    sentences = [_answer(best, baseline, difference, gain)]
    after, before = (_calibration(task["metrics"]) for task in (new, old))
    if after is not None:
        was = "what the baseline gives are no probabilities" if before is None else f"before it was {before}"
        sentences.append(f"Clicks predicted over clicks that came, 1 where they agree: {after}; {was}.")
    if "slices" in difference:
        worse = [
            f"{column} {part['value']} ({part['difference']:+.4f})"
            for column, parts in difference["slices"].items()
            for part in parts
            if part.get("p_corrected") is not None and part["p_corrected"] < results["tests"]["level"]
            if part["difference"] < 0
        ]
        names = " and ".join(difference["slices"])
        sentences.append(
            f"It ranks worse in these slices: {_listed(worse)}."
            if worse
            else f"In no slice by {names} is it told worse."
        )
    return sentences


def _answer(best: str, baseline: str, difference: Mapping[str, Any], gain: str) -> str:
    if difference["tie"]:
        if difference["value"] > 0 or difference["low"] is None:
            return f"Not enough rows to say: {best} against {baseline} is {gain}, which may be chance."
        return f"No: nothing here ranks better than {baseline}; {best} against it is {gain}, which may be chance."
    if difference["value"] > 0:
        return f"Yes, replace {baseline} by {best}: it ranks better, {gain}."
    return f"No: keep {baseline}; {best}, the best of the others, ranks worse, {gain}."


def _calibration(metrics: Mapping[str, Any]) -> str | None:
    ratio = metrics.get("calibration_ratio")
    if ratio is None or ratio["value"] is None:
        return None
    value, interval = shown(ratio)
    return f"{value} ({interval})" if interval else value
