"""Write the table of docs/models.md from the registry of models.

python scripts/models_page.py
"""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path

import torch

from masknet.models import MODELS, build_network
from masknet.space import FeatureSpace, FieldSpace
from masknet.train.defaults import network_defaults

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "models.md"
ONE_EPOCH = ROOT / "benchmarks" / "results" / "models.json"
FRAPPE = FeatureSpace(5_389, tuple(FieldSpace(name) for name in "abcdefghij"))
START, END = "<!-- models -->\n", "<!-- end -->"


def parameters(model: str) -> str:
    try:
        with torch.device("meta"):  # the shapes alone
            network = build_network(model, FRAPPE, network_defaults(model))
    except ValueError:
        return "needs a sequence"
    return f"{sum(parameter.numel() for parameter in network.parameters()):,}"


def table() -> str:
    runs = json.loads(ONE_EPOCH.read_text(encoding="utf-8"))["runs"]
    after_an_epoch = {run["model"]: f"{run['auc']:.4f}" for run in runs}
    rows = ["| `--model` | from | what it is | parameters on Frappe | one epoch |", "|---|---|---|---|---|"]
    for name, network in MODELS.items():
        summary = inspect.getdoc(network).splitlines()[0].removesuffix(".").replace("|", "\\|")
        rows.append(f"| `{name}` | {network.paper} | {summary} | {parameters(name)} | {after_an_epoch.get(name, '')} |")
    return "\n".join(rows) + "\n"


def with_table(page: str) -> str:
    return re.sub(f"(?<={re.escape(START)}).*?(?={END})", lambda _: table(), page, count=1, flags=re.S)


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
