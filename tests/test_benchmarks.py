"""What the benchmarks hold ours against is honest: the same equations, and rows that nobody had to keep."""

from __future__ import annotations

import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import torch
from torch import nn

from masknet.models import FactorizationMachine, ParallelMaskNet, SerialMaskNet
from masknet.space import FeatureSpace, FieldSpace

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
FIELDS, IDS, DIM, BLOCKS, TOP = 5, 40, 4, (16, 12), (8, 6)
SPACE = FeatureSpace(IDS, tuple(FieldSpace(f"f{i}") for i in range(FIELDS)))


def script(name: str, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return SimpleNamespace(**runpy.run_path(str(BENCHMARKS / f"{name}.py")))


def moved(network: nn.Module) -> nn.Module:
    """Gains off 1 and biases off 0, so that one in a wrong place shows."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return network.eval()


def weights_of_masknet(network: ParallelMaskNet | SerialMaskNet) -> dict[str, torch.Tensor]:
    """The weights of ours by the names of the conventional one."""
    ours = network.state_dict()
    named = {"embedding.table.weight": ours["embedding.table.weight"]}
    for field in range(FIELDS):
        named[f"norms.norms.{field}.weight"] = ours["norm.gain"][field]
        named[f"norms.norms.{field}.bias"] = ours["norm.bias"][field]
    parts = {"mask.0": "mask.aggregation", "mask.2": "mask.projection", "hidden.0": "mix", "hidden.1": "norm"}
    for block in range(len(BLOCKS)):
        for theirs, own in parts.items():
            for kind in ("weight", "bias"):
                if f"blocks.{block}.{own}.{kind}" in ours:
                    named[f"blocks.{block}.{theirs}.{kind}"] = ours[f"blocks.{block}.{own}.{kind}"]
    if isinstance(network, ParallelMaskNet):
        for layer in range(len(TOP)):
            for kind in ("weight", "bias"):
                named[f"top.{2 * layer}.{kind}"] = ours[f"top.layers.{layer}.{kind}"]
    return named | {f"head.{kind}": ours[f"head.{kind}"] for kind in ("weight", "bias")}


def test_the_conventional_networks_give_our_logits(monkeypatch: pytest.MonkeyPatch) -> None:
    conventional = script("conventional", monkeypatch)
    torch.manual_seed(0)
    ids, values = torch.randint(0, IDS, (64, FIELDS)), torch.randn(64, FIELDS)
    parallel = moved(ParallelMaskNet(SPACE, embedding_dim=DIM, block_dims=BLOCKS, top_dims=TOP))
    serial = moved(SerialMaskNet(SPACE, embedding_dim=DIM, block_dims=BLOCKS))
    fm = moved(FactorizationMachine(SPACE, embedding_dim=DIM))
    size = {"dim": DIM, "blocks": BLOCKS, "reduction": 2.0}
    pairs = [
        (parallel, conventional.ParallelMaskNet(IDS, FIELDS, **size, top=TOP), weights_of_masknet(parallel)),
        (serial, conventional.SerialMaskNet(IDS, FIELDS, **size), weights_of_masknet(serial)),
        (
            fm,
            conventional.FactorizationMachine(IDS, dim=DIM),
            {
                "weights.table.weight": fm.linear.table.weight,
                "factors.table.weight": fm.factors.weight,
                "bias": fm.linear.bias,
            },
        ),
    ]
    for ours, theirs, weights in pairs:
        theirs.load_state_dict(weights)  # strictly: none is left out
        assert sum(p.numel() for p in theirs.parameters()) == sum(p.numel() for p in ours.parameters())
        torch.testing.assert_close(theirs(ids, values), ours(ids, values), atol=1e-5, rtol=1e-5)


def test_a_made_log_is_the_same_in_any_chunks_and_hides_a_rule(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made = script("made_log", monkeypatch)
    log = made.MadeLog(vocabulary=2000, seed=3)
    made.write(log, 3000, tmp_path / "log.csv", tmp_path / "log.parquet")
    read = pl.read_parquet(tmp_path / "log.parquet")
    texts = dict.fromkeys(made.CATEGORICAL, pl.String)
    numbers = dict.fromkeys(made.NUMERIC, pl.Float64)
    schema = {made.LABEL: pl.Int8, **numbers, **texts}
    assert read.equals(pl.read_csv(tmp_path / "log.csv", schema_overrides=schema))
    assert read.equals(pl.concat(made.MadeLog(vocabulary=2000, seed=3).chunks(3000)))
    assert sum(log.sizes) == 2000
    assert len(read.columns) == 1 + 13 + 26
    assert 0.2 < read[made.LABEL].mean() < 0.3
    assert all(read[name].n_unique() <= size + 1 for name, size in zip(made.CATEGORICAL, log.sizes, strict=True))
    assert sum(read.null_count().row(0)) > 0
    other = pl.concat(log.chunks(3000, first=1))
    assert not read.equals(other)
    shares = other.group_by("C3").agg(pl.col(made.LABEL).mean(), pl.len()).filter(pl.col("len") > 100)[made.LABEL]
    assert np.ptp(shares.to_numpy()) > 0.02
