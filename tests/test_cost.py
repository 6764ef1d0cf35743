"""The cost model of docs/cost.md counts what the networks have."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from masknet.models import build_network
from masknet.nn import id_tables
from masknet.space import FeatureSpace, FieldSpace

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(
    ("model", "reduction", "top"), [("parallel-masknet", 2.0, (7, 5)), ("serial-masknet", 0.5, None)]
)
def test_the_cost_model_counts_the_weights_of_the_network(
    model: str, reduction: float, top: tuple[int, ...] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))  # as when the script is run
    shape = runpy.run_path(str(ROOT / "benchmarks" / "cost_model.py"))["Shape"]
    space = FeatureSpace(40, tuple(FieldSpace(f"field {i}") for i in range(5)))
    settings = {"embedding_dim": 4, "block_dims": (8, 8, 8), "reduction": reduction, "embedding_norm": False}
    network = build_network(model, space, settings | ({} if top is None else {"top_dims": top}))
    named = {name: p for name, p in network.named_parameters() if name not in id_tables(network)}
    matrices = sum(p.numel() for p in named.values() if p.dim() == 2)
    assert shape(f=5, k=4, r=reduction, q=8, u=3, top=top).weights == matrices


def test_the_tables_of_the_page_are_those_of_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))  # as when the script is run
    script = runpy.run_path(str(ROOT / "benchmarks" / "cost_model.py"))
    page = script["PAGE"].read_text(encoding="utf-8")
    assert script["with_tables"](page) == page
