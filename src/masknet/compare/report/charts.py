"""The charts of a comparison, as Vega-Lite reads them; colours of text and lines are the page's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Chart", "charts_of"]

_STANDS = ("best", "tie", "behind", "baseline")
_COLOURS = ("#1b7f5a", "#3b6fb6", "#b0662a", "#8a4fa3")
_SHAPES = ("circle", "triangle-up", "square", "diamond")
_STEP = 22

_ALL_NAMED = 10
"""Points that have room for their names beside each other."""

_UNEQUALLED = [
    {
        "window": [{"op": "max", "field": "auc", "as": "reached"}],
        "sort": [{"field": "cost"}, {"field": "auc", "order": "descending"}],
        "frame": [None, 0],
    },
    {"filter": "datum.auc >= datum.reached"},
]
"""The rows that rank at least as well as all that cost no more."""


@dataclass(frozen=True)
class Chart:
    """A chart and what it shows.

    Args:
        title: its heading.
        text: what to see in it, a sentence or two.
        spec: in Vega-Lite, without its looks.
    """

    title: str
    text: str
    spec: dict[str, Any]


def charts_of(results: Mapping[str, Any], label: str) -> list[Chart]:
    """The charts of one label that there is something to draw in.

    Args:
        results: as `results_of` gives them.
        label: of them.
    """
    several = len(results["labels"]) > 1
    ran = [model for model in results["models"] if model["status"] == "ok"]
    models = [{**model, **(model["tasks"][label] if several else {})} for model in ran]
    models.sort(key=lambda model: -model["metrics"]["auc"]["value"])
    drawn = (_aucs(models), _costs(results, models), _curves(models), _reliability(models), *_slices(models))
    return [chart for chart in drawn if chart is not None]


def _stands(model: Mapping[str, Any]) -> str:
    if model.get("baseline"):
        return "baseline"
    if model["difference"]["to"] == model["model"]:
        return "best"
    return "tie" if model["difference"]["tie"] else "behind"


def _by_stand(models: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A colour and a shape for how a model stands beside the best, the same in each chart."""
    met = {_stands(model) for model in models}
    known = [i for i, stand in enumerate(_STANDS) if stand in met]
    field = {"field": "stands", "type": "nominal", "title": None, "legend": {"orient": "top"}}
    domain = [_STANDS[i] for i in known]
    return {
        "color": {**field, "scale": {"domain": domain, "range": [_COLOURS[i] for i in known]}},
        "shape": {**field, "scale": {"domain": domain, "range": [_SHAPES[i] for i in known]}},
    }


def _names(models: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {"field": "model", "type": "nominal", "sort": [model["model"] for model in models], "title": None}


def _by_model(models: Sequence[Mapping[str, Any]], known: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A colour for each model, the same in each chart; those that are not picked stand back."""
    scale = {"domain": [model["model"] for model in models], "scheme": "tableau20"}
    legend = {"orient": "bottom", "columns": 2, "values": [model["model"] for model in known]}
    return {
        "color": {**_names(models), "scale": scale, "legend": legend},
        "opacity": {"condition": {"param": "picked", "value": 1}, "value": 0.12},
    }


def _picked(known: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One model, or all of them, chosen by hand or by keyboard."""
    names = [model["model"] for model in known]
    bind = {"input": "select", "options": [None, *names], "labels": ["all", *names], "name": "model: "}
    return {"name": "picked", "select": {"type": "point", "fields": ["model"]}, "bind": bind}


def _aucs(models: Sequence[Mapping[str, Any]]) -> Chart:
    rows = [
        {"model": model["model"], "stands": _stands(model), **_interval(model["metrics"]["auc"])} for model in models
    ]
    y = {**_names(models), "axis": {"labelLimit": 160}}
    stands = _by_stand(models)
    tooltip = [{"field": name, "type": "quantitative", "format": ".4f"} for name in ("auc", "low", "high")]
    return Chart(
        "AUC",
        "Each model's AUC on the test rows, with its 95 % interval. Intervals of models measured on the same rows may "
        "overlap where the models are told apart: the colour says which are.",
        {
            "description": "AUC of each model with its interval",
            "height": {"step": _STEP},
            "data": {"values": rows},
            "layer": [
                {
                    "mark": {"type": "rule", "strokeWidth": 2},
                    "encoding": {
                        "x": {**_auc("low"), "title": "AUC"},
                        "x2": {"field": "high"},
                        "y": y,
                        "color": stands["color"],
                    },
                },
                {
                    "mark": {"type": "point", "filled": True, "size": 80, "opacity": 1},
                    "encoding": {
                        "x": {**_auc("auc"), "title": "AUC"},
                        "y": y,
                        **stands,
                        "tooltip": [{"field": "model"}, *tooltip],
                    },
                },
            ],
        },
    )


def _auc(field: str) -> dict[str, Any]:
    return {"field": field, "type": "quantitative", "scale": {"zero": False, "nice": True}}


def _interval(estimate: Mapping[str, Any]) -> dict[str, Any]:
    return {"auc": estimate["value"], "low": estimate.get("low"), "high": estimate.get("high")}


def _costs(results: Mapping[str, Any], models: Sequence[Mapping[str, Any]]) -> Chart | None:
    names: dict[str, Callable[[Mapping[str, Any]], float]] = {
        "microseconds a row to score": lambda model: 1e6 * model["scoring_seconds"] / max(1, results["test"]["rows"]),
        "seconds to train": lambda model: model["seconds"],
        "parameters": lambda model: model["parameters"],
        "megabytes on disk": lambda model: model["bytes"] / 1e6,
    }
    known = [model for model in models if "scoring_seconds" in model]
    if not known:
        return None
    rows = [
        {"model": model["model"], "stands": _stands(model), "auc": model["metrics"]["auc"]["value"]}
        | {name: max(cost(model), 1e-9) for name, cost in names.items()}
        for model in known
    ]
    for place, row in enumerate(sorted(rows, key=lambda row: -row["auc"])):
        row["below"] = bool(place % 2)  # neighbours by AUC, which may lie upon each other, have names on two sides
    first, all_named = next(iter(names)), len(known) <= _ALL_NAMED
    bind = {"input": "select", "options": list(names), "name": "cost: "}
    shared = {
        "x": {"field": "cost", "type": "quantitative", "scale": {"type": "log", "nice": True}, "title": "cost"},
        "y": {**_auc("auc"), "title": "AUC"},
    }
    named: list[dict[str, Any]] = [
        {
            "transform": [*([] if all_named else _UNEQUALLED), {"filter": f"{sign}datum.below"}],
            "mark": {"type": "text", "dy": away, "fontSize": 10, "limit": 120},
            "encoding": shared | {"text": {"field": "model", "type": "nominal"}},
        }
        for sign, away in (("!", -10), ("", 14))
    ]
    tooltip = [{"field": "model"}, {"field": "auc", "type": "quantitative", "format": ".4f"}]
    tooltip += [{"field": name, "type": "quantitative", "format": ",.4~g"} for name in names]
    return Chart(
        "AUC against cost",
        "Up and to the left is better: more for less. The cost is on a logarithmic scale, and is that of this machine."
        f"{'' if all_named else ' Named are those that no cheaper one equals; point at another to see which it is.'}",
        {
            "description": "AUC of each model against its cost",
            "height": 300,
            "params": [{"name": "by", "value": first, "bind": bind}],
            "data": {"values": rows},
            "transform": [{"calculate": "datum[by]", "as": "cost"}],
            "layer": [
                {
                    "mark": {"type": "point", "filled": True, "size": 90, "opacity": 1},
                    "encoding": {
                        **shared,
                        **_by_stand(known),
                        "tooltip": tooltip,
                    },
                },
                *named,
            ],
        },
    )


def _curves(models: Sequence[Mapping[str, Any]]) -> Chart | None:
    known = [model for model in models if len(model.get("curve", ())) > 1]
    rows = [
        {"model": model["model"], "epoch": record["epoch"], "auc": record["auc"]}
        for model in known
        for record in model["curve"]
        if record["auc"] is not None
    ]
    if not rows:
        return None
    return Chart(
        "Learning curves",
        "The AUC on the validation rows after each evaluation, of the first seed (of the first member of an ensemble, "
        "and the mean over labels where there are several).",
        {
            "description": "validation AUC of each model by epoch",
            "height": 280,
            "params": [_picked(known)],
            "data": {"values": rows},
            "mark": {"type": "line", "point": True},
            "encoding": {
                "x": {"field": "epoch", "type": "quantitative", "title": "epoch", "axis": {"tickMinStep": 1}},
                "y": {**_auc("auc"), "title": "validation AUC"},
                **_by_model(models, known),
                "tooltip": [{"field": "model"}, {"field": "epoch"}, {"field": "auc", "format": ".4f"}],
            },
        },
    )


def _reliability(models: Sequence[Mapping[str, Any]]) -> Chart | None:
    known = [model for model in models if model.get("reliability")]
    rows = [{"model": model["model"], **part} for model in known for part in model["reliability"]]
    if not rows:
        return None
    most = max(max(row["predicted"], row["observed"]) for row in rows)
    ends = [{"predicted": 0, "observed": 0}, {"predicted": most, "observed": most}]
    x = {"field": "predicted", "type": "quantitative", "title": "predicted", "axis": {"format": "~%"}}
    y = {"field": "observed", "type": "quantitative", "title": "clicks that came", "axis": {"format": "~%"}}
    return Chart(
        "Reliability",
        "Tenths of the test rows by rising probability: what was predicted, and what came, of the first seed. On the "
        "dashed line both agree.",
        {
            "description": "predicted and observed click rates of each model",
            "height": 300,
            "layer": [
                {
                    "data": {"values": ends},
                    "mark": {"type": "line", "strokeDash": [4, 4], "color": "#888"},
                    "encoding": {"x": x, "y": y},
                },
                {
                    "params": [_picked(known)],
                    "data": {"values": rows},
                    "mark": {"type": "line", "point": True},
                    "encoding": {
                        "x": x,
                        "y": y,
                        **_by_model(models, known),
                        "tooltip": [
                            {"field": "model"},
                            {"field": "predicted", "format": ".4f"},
                            {"field": "observed", "format": ".4f"},
                            {"field": "rows"},
                        ],
                    },
                },
            ],
        },
    )


def _slices(models: Sequence[Mapping[str, Any]]) -> Iterator[Chart]:
    best = next(iter(model["difference"]["to"] for model in models))
    others = [model for model in models if model["model"] != best and "slices" in model]
    if not others:
        return
    first = next((model for model in others if model.get("baseline")), others[0])["model"]
    for column in others[0]["slices"]:
        rows = [
            {"model": model["model"], "value": part["value"], "rows": part["rows"]}
            | {name: part.get(name) for name in ("difference", "low", "high")}
            for model in others
            for part in model["slices"][column]
            if part.get("difference") is not None
        ]
        if not rows:
            continue
        order = [part["value"] for part in others[0]["slices"][column]]
        y = {"field": "value", "type": "nominal", "sort": order, "title": column, "axis": {"labelLimit": 160}}
        x = {"type": "quantitative", "title": f"AUC less that of {best}"}
        bind = {"input": "select", "options": [model["model"] for model in others], "name": "model: "}
        numbers = [{"field": name, "format": "+.4f"} for name in ("difference", "low", "high")]
        yield Chart(
            f"Difference to the best by {column}",
            f"In each slice a model's AUC less that of {best}, with its 95 % interval; left of the line it is worse. "
            f"Of many intervals some miss 0 by chance.",
            {
                "description": f"difference of AUC to the best model by {column}",
                "height": {"step": _STEP},
                "params": [{"name": "one", "value": first, "bind": bind}],
                "data": {"values": rows},
                "transform": [{"filter": "datum.model == one"}],
                "layer": [
                    {
                        "mark": {"type": "rule", "strokeWidth": 2, "color": _COLOURS[1]},
                        "encoding": {"x": {**x, "field": "low"}, "x2": {"field": "high"}, "y": y},
                    },
                    {
                        "mark": {"type": "point", "filled": True, "size": 80, "opacity": 1, "color": _COLOURS[1]},
                        "encoding": {
                            "x": {**x, "field": "difference"},
                            "y": y,
                            "tooltip": [{"field": "value"}, {"field": "rows", "format": ","}, *numbers],
                        },
                    },
                    {
                        "mark": {"type": "rule", "strokeDash": [4, 4], "color": "#888"},
                        "encoding": {"x": {"datum": 0, "type": "quantitative"}},
                    },
                ],
            },
        )
