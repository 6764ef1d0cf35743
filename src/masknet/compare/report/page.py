"""The page: verdict, table, charts, and all that they need within it. The one file that imports vl-convert."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from masknet.compare.report.charts import Chart, charts_of
from masknet.compare.table import BEST, TO_BEST, Cell, columns_of, footnotes, rows_of
from masknet.errors import ConfigError

__all__ = ["report_html"]


def report_html(results: Mapping[str, Any], commands: Sequence[str]) -> str:
    """One file that opens from disk and asks no other host.

    Args:
        results: as `results_of` gives them.
        commands: how to use the best model.

    Raises:
        ConfigError: vl-convert is not installed.
    """
    drawn = [(label, chart) for label in results["labels"] for chart in charts_of(results, label)]
    ids = {f"chart-{i}": chart.spec for i, (_, chart) in enumerate(drawn)}
    sections, last = [], results["labels"][0] if len(results["labels"]) == 1 else None
    for place, (label, chart) in zip(ids, drawn, strict=True):
        if label != last:
            sections.append(f"<h2>{html.escape(label)}</h2>")
            last = label
        sections.append(_figure(place, chart))
    parts = {
        "title": f"Which model ranks best on {html.escape(results['data']['name'])}",
        "style": _text("page.css"),
        "verdict": "\n".join(f"<p>{html.escape(sentence)}</p>" for sentence in results["verdict"]),
        "table": _table(results),
        "notes": "\n".join(f"<li>{html.escape(note)}</li>" for note in [*footnotes(results), *results["warnings"]]),
        "charts": "\n".join(sections),
        "next": html.escape("\n".join(commands)),
        "specs": json.dumps(ids, allow_nan=False).replace("<", "\\u003c"),
        "runtime": _runtime(),
        "script": _text("page.js"),
    }
    # In one pass over the page's own text: what a name or a value holds is never taken for a place.
    return re.sub(r"@(\w+)@", lambda found: parts[found[1]], _text("page.html"))


def _text(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _runtime() -> str:
    """Vega, Vega-Lite and what embeds them, as one script."""
    try:
        import vl_convert
    except ImportError as error:
        raise ConfigError(
            "report.html needs the package vl-convert-python, which is not installed: pip install 'masknet[report]'"
        ) from error
    return str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")).replace("</script", "<\\/script")


def _figure(place: str, chart: Chart) -> str:
    return (
        f'<section><h3 id="{place}-heading">{html.escape(chart.title)}</h3>\n'
        f'<figure aria-labelledby="{place}-heading"><figcaption>{html.escape(chart.text)}</figcaption>\n'
        f'<div class="chart" id="{place}"></div></figure></section>'
    )


def _table(results: Mapping[str, Any]) -> str:
    columns = columns_of(results)
    stands = next(place for place, column in enumerate(columns) if column.name == TO_BEST)
    head = "".join(
        f'<th scope="col"{_class(column.number)}><button type="button">{html.escape(column.name)}</button></th>'
        for column in columns
    )
    lines = []
    gone = {model["model"] for model in results["models"] if model["status"] != "ok"}
    for cells in rows_of(results):
        inner = "".join(
            f"<td{_class(column.number)}{_value(cell)}>{html.escape(cell.text)}</td>"
            for cell, column in zip(cells, columns, strict=True)
        )
        is_best = cells[stands].text == BEST
        lines.append(f"<tr{_class(cells[0].text in gone, 'gone') or _class(is_best, 'best')}>{inner}</tr>")
    body = "\n".join(lines)
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"


def _class(has: bool, name: str = "number") -> str:
    return f' class="{name}"' if has else ""


def _value(cell: Cell) -> str:
    """What a cell is sorted by, where its text does not tell."""
    return "" if cell.value is None else f' data-value="{cell.value}"'
