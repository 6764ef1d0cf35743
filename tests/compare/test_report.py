"""The page: what it holds, that it asks no other host, and that its charts are Vega-Lite's."""

from __future__ import annotations

import itertools
import json
import re
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from masknet.compare.entries import Entry
from masknet.compare.report import charts, report_html
from masknet.compare.results import Measured, results_of
from masknet.compare.rows import MeasuredRows
from masknet.compare.table import markdown
from masknet.progress import LogProgress
from masknet.slices import Slice

vl_convert = pytest.importorskip("vl_convert")

RECORD = {
    "status": "ok",
    "members": 1,
    "parameters": 100,
    "seconds": 61.5,
    "scoring_seconds": 0.01,
    "bytes": 20_000,
    "peak_bytes": None,
    "model": "models/fm-0.masknet",
    "left_out": ["epochs"],
    "curve": [{"epoch": 1, "auc": 0.6, "log_loss": 0.5}, {"epoch": 2, "auc": 0.65, "log_loss": 0.4}],
}
NASTY = "</script><b>@title@"


def results(*, labels: tuple[str, ...] = ("click",)) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    known = (rng.random((200, len(labels))) < 0.4).astype(np.uint8)
    noise = rng.random((3, 200, len(labels)))
    rows = MeasuredRows(
        labels=known,
        weights=None,
        groups=None,
        slices={"site": [Slice(NASTY, np.arange(120)), Slice("b", np.arange(120, 200))]},
        baseline=None,
    )
    measured = [
        Measured("fm", "ok", None, ({**RECORD, "seed": 0},), (0.3 * known + 0.7 * noise[0],), entry=Entry("fm", "fm")),
        Measured("lr", "ok", None, ({**RECORD, "seed": 0},), (noise[1],), entry=Entry("lr", "lr")),
        Measured("prod", "ok", None, (), (noise[2],), in_production=True),
        Measured("gbdt", "failed", "seed 0: <no> luck"),
    ]
    about = {
        "data": {"name": "log & co.csv", "train": 900, "valid": 100},
        "test": {"name": "t.csv", "rows": 200, "held_out": None},
        "warnings": ["look <here>"],
    }
    return results_of(measured, rows, labels=labels, resamples=0, seeds=1, about=about, progress=LogProgress())


class _Page(HTMLParser):
    """What is in the page: each tag's attributes, and the text of each script."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self._within = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._within = tag

    def handle_endtag(self, tag: str) -> None:
        self._within = ""

    def handle_data(self, data: str) -> None:
        self.texts.append((self._within, data))


@pytest.fixture(scope="module")
def page() -> str:
    return report_html(results(), ["masknet check models/fm-0.masknet"])


def test_it_asks_no_other_host(page: str) -> None:
    tags = _Page(page).tags
    for _, attributes in tags:
        assert not {"src", "srcset", "data"} & set(attributes)
        assert str(attributes.get("href", "#")).startswith("#")
    (policy,) = (a["content"] for t, a in tags if t == "meta" and "http-equiv" in a)
    assert str(policy).startswith("default-src 'none'")
    assert "http" not in str(policy)


def test_it_holds_the_verdict_first_then_the_table_and_the_charts(page: str) -> None:
    found = _Page(page)
    text = " ".join(data for within, data in found.texts if within not in ("script", "style"))
    places = [text.index(part) for part in (results()["verdict"][0], "The models", "RelaImp over fm", "Reliability")]
    assert places == sorted(places)
    for said in ("seed 0: <no> luck", "look <here>", "masknet check models/fm-0.masknet", "log & co.csv"):
        assert said in text
    headings = [data for within, data in found.texts if within == "h3"]
    assert headings == ["AUC", "AUC against cost", "Learning curves", "Reliability", "Difference to the best by site"]


def test_what_a_value_holds_is_text(page: str) -> None:
    (specs,) = re.findall(r'<script type="application/json" id="specs">(.*?)</script>', page, flags=re.S)
    values = [row["value"] for row in json.loads(specs)["chart-4"]["data"]["values"]]
    assert NASTY in values
    assert page.count("</script>") == 3
    assert "@" not in re.sub(r"@media|@title@", "", page[: page.index("<script")])


def test_a_name_is_taken_for_nothing_else() -> None:
    found = results()
    for model in found["models"]:
        model["model"] = {"lr": "best", "gbdt": "<i> *a*|[b](c)"}.get(model["model"], model["model"])
    page = report_html(found, [])
    assert page.count('<tr class="best">') == 1
    assert re.search(r'<tr class="best"><td>fm</td>', page)
    assert "| \\<i> \\*a\\*\\|\\[b](c) | failed |" in markdown(found)
    assert "\n- \\<i> \\*a\\*\\|\\[b](c), failed: seed 0: \\<no> luck\n" in markdown(found)


def test_the_table_can_be_sorted_by_every_column(page: str) -> None:
    tags = _Page(page).tags
    headings = [a for t, a in tags if t == "th"]
    assert len(headings) == 13
    assert all(a == {"scope": "col"} or a.get("class") == "number" for a in headings)
    assert 'data-value="61.5"' in page
    assert len([t for t, a in tags if t == "button"]) == 14


def test_every_chart_is_vega_lite_and_told_in_words() -> None:
    for chart in charts.charts_of(results(), "click"):
        assert chart.text
        assert chart.spec["description"]
        vl_convert.vegalite_to_vega({**chart.spec, "width": 400})


@pytest.mark.parametrize("count", [10, 12])
def test_of_many_models_those_that_no_cheaper_one_equals_are_named(count: int) -> None:
    found = results()
    of_fm = next(model for model in found["models"] if model["model"] == "fm")
    places = [(1, 0.6), (2, 0.55), (3, 0.7), (4, 0.65), (5, 0.69)] + [(6 + i, 0.5 + i / 100) for i in range(count - 5)]
    found["models"] = [
        {
            **of_fm,
            "model": f"m{cost}",
            "scoring_seconds": cost / 1e3,
            "metrics": {"auc": of_fm["metrics"]["auc"] | {"value": auc}},
        }
        for cost, auc in places
    ]
    (chart,) = (chart for chart in charts.charts_of(found, "click") if chart.title == "AUC against cost")
    drawn = re.findall(r">(m[0-9]+)<", vl_convert.vegalite_to_svg({**chart.spec, "width": 400}))
    assert sorted(drawn) == (sorted(f"m{cost}" for cost, _ in places) if count == 10 else ["m1", "m3"])
    assert ("Named are those that no cheaper one equals" in chart.text) == (count > 10)
    by_auc = sorted(chart.spec["data"]["values"], key=lambda row: -row["auc"])
    assert all(one["below"] != other["below"] for one, other in itertools.pairwise(by_auc)), "names of neighbours part"


def test_of_several_labels_each_has_its_charts() -> None:
    page = report_html(results(labels=("click", "like")), [])
    headings = [data for within, data in _Page(page).texts if within == "h2"]
    assert headings == ["The models", "click", "like", "The best model, next"]
    assert page.count("Reliability</h3>") == 2
