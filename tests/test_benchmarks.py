"""What the benchmarks hold ours against is honest: the same equations, and rows that nobody had to keep."""

from __future__ import annotations

import json
import runpy
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from torch import nn

from masknet.compare.folder import CompareFolder
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


@pytest.mark.parametrize("base", ["no history", None])
def test_every_claim_is_of_sides_that_its_stage_measures(
    base: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    speed = script("speed", monkeypatch)
    bench = speed.Bench(form="tiny", device="cpu", kept=tmp_path)
    bench.base = bench.today if base is None else base
    monkeypatch.setattr(speed.Bench, "log", lambda self, rows, vocabulary: SimpleNamespace(rows=rows, **FILES))
    for stage in speed.STAGES.values():
        plan = stage(bench)
        for claim in plan.claims:
            assert {claim.ours, claim.baseline, claim.bound or claim.ours} <= plan.sides.keys()
            assert claim.unit in ("rows/s", "s", "ms", "MiB")


FILES = {"csv": "log.csv", "parquet": "log.parquet", "valid": "valid.csv"}


def test_a_side_measures_in_a_process_of_its_own_and_one_that_fails_says_why(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    speed = script("speed", monkeypatch)
    bench = speed.Bench(form="short", device="cpu", kept=tmp_path)
    sides = {
        "sort": bench.beside("stages.ranking:sort", rows=1000),
        "no work": bench.beside("stages.ranking:search", rows=1000),
        "no checkout": "none is there",
    }
    figures, whys = speed.measured(speed.Plan("", sides, (), repeats=2), bench)
    assert [figure["seconds"] > 0 for figure in figures["sort"]] == [True, True]
    assert figures.keys() == {"sort"}
    assert whys.keys() == {"no work", "no checkout"}
    assert whys["no work"].endswith("module 'stages.ranking' has no attribute 'search'")


def test_a_line_is_met_missed_or_says_why_neither(monkeypatch: pytest.MonkeyPatch) -> None:
    speed = script("speed", monkeypatch)
    faster = speed.Claim("training", "ours", "theirs", must=2.0, bound="products")
    plan = speed.Plan("10 rows", {}, (faster,))
    figures = {
        name: [{"rows_per_second": rate + i} for i in (0, -9, 9)] for name, rate in (("ours", 80), ("theirs", 40))
    }
    found = speed.line(faster, plan, figures | {"products": [{"rows_per_second": 100}]}, {})
    expected = {"value": 80, "low": 71, "high": 89, "baseline_value": 40, "ratio": 2.0, "met": True, "why": None}
    assert expected.items() <= found.items()
    assert (found["share_of_bound"], found["bound"]) == (0.8, "products")
    slower = speed.Claim("training", "theirs", "ours", must=2.0)
    assert speed.line(slower, plan, figures, {})["met"] is False
    fewer = speed.Claim("training", "theirs", "ours", must=0.5, at_most=True)
    assert speed.line(fewer, plan, figures, {})["met"] is True
    alone = speed.line(faster, plan, {"ours": figures["ours"]}, {"theirs": "no history"})
    assert {"value": 80, "ratio": None, "met": None, "why": "no history"}.items() <= alone.items()
    never = {"ours": [{"rows_per_second": None, "why": "too far"}], "theirs": figures["theirs"]}
    assert {"met": False, "why": "too far"}.items() <= speed.line(faster, plan, never, {}).items()


def test_lines_of_another_commit_say_so_and_those_of_another_machine_go(monkeypatch: pytest.MonkeyPatch) -> None:
    speed = script("speed", monkeypatch)
    old = {"commit": "a", "hardware": {"cores": 2}, "date": "then", "profiles": [{"name": "a CSV, encoded"}]}
    old["stages"] = [{"name": "csv", "ratio": 1}, {"name": "rows", "ratio": 1}, {"name": "small", "commit": "0"}]
    new = {"commit": "b", "hardware": {"cores": 2}, "date": "now", "stages": [{"name": "rows", "ratio": 2}]}
    merged = speed.merged(old, new)
    assert merged["stages"] == [
        {"name": "csv", "ratio": 1, "commit": "a"},
        {"name": "rows", "ratio": 2},
        {"name": "small", "commit": "0"},
    ]
    assert merged["profiles"] == [{"name": "a CSV, encoded", "commit": "a"}]
    assert (merged["commit"], merged["date"]) == ("b", "now")
    back = speed.merged(merged, {**new, "commit": "a", "stages": []})
    assert back["stages"][0] == {"name": "csv", "ratio": 1}
    assert back["stages"][1] == {"name": "rows", "ratio": 2, "commit": "b"}
    elsewhere = speed.merged(merged, {**new, "hardware": {"cores": 4}})
    assert (elsewhere["stages"], elsewhere["profiles"]) == ([{"name": "rows", "ratio": 2}], [])


def test_a_checkout_is_changed_by_its_code_and_not_by_the_results_written_into_it(tmp_path: Path) -> None:
    written = [tmp_path / name for name in ("benchmarks/results/latest.json", "docs/speed.md", "docs/log.md")]
    for file in written:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("old")
    copied = shutil.copy(BENCHMARKS / "machine.py", tmp_path / "benchmarks")
    commit = runpy.run_path(copied)["commit"]
    assert commit() == "unknown"
    mine = ["-c", "user.name=someone", "-c", "user.email=someone@example.org"]
    for told in (["init", "-q"], ["add", "."], [*mine, "commit", "-qm", "All"]):
        subprocess.run(["git", *told], cwd=tmp_path, check=True)
    clean = commit()
    for file in written[:2]:
        file.write_text("new")
    assert commit() == clean != "unknown"
    written[2].write_text("new")
    assert commit() == f"{clean}-dirty"


def test_a_network_is_told_apart_from_its_variants_by_the_same_rows(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    boards = script("leaderboard", monkeypatch)
    board = next(board for board in boards.boards() if board.name == "frappe-ablations")
    (tmp_path / "frappe").mkdir()
    (tmp_path / "frappe" / "schema.json").write_text('{"label": "click", "extra": []}')
    draws = np.random.default_rng(0)
    clicks = draws.integers(2, size=3_000)
    pl.DataFrame({"click": clicks}).write_parquet(tmp_path / "frappe" / "valid.parquet")
    folder = CompareFolder(tmp_path / board.name)
    for within in ("runs", "scores"):
        (folder.path / within).mkdir(parents=True)
    told = {"serial": 0.4, "serial without mask": 0.1, "dnn as large as serial": 0.4, "parallel": 0.4}
    for name, share in told.items():
        for seed in range(3):
            scores = share * clicks + (1 - share) * draws.random(3_000)
            folder.keep(name.replace(" ", "-"), seed, {"seed": seed, "status": "ok"}, scores[:, None])
    models = [{"model": name, "status": "ok"} for name in told]
    parts = boards._parts(board, models, tmp_path, tmp_path)
    assert [(part["of"], part["variant"]) for part in parts] == [("serial", name) for name in list(told)[1:3]]
    assert parts[0]["low"] > 0.1
    assert parts[0]["p"] < parts[0]["p_corrected"] < 1e-3
    assert parts[1]["low"] < 0 < parts[1]["high"]
    monkeypatch.setitem(boards.of_parts.__globals__, "RESULTS", tmp_path)
    board.results.write_text(json.dumps({"parts": parts}))
    assert [line.split(" | ")[-1] for line in boards.of_parts(board).splitlines()[2:]] == ["yes |", "no |"]


def test_a_leaderboard_names_what_was_not_run_and_ranks_what_was(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Rows are in the order of their AUC, ties are called ties, and ranks are means over the sets that ended."""
    boards = script("leaderboard", monkeypatch)
    monkeypatch.setitem(boards.of_ranks.__globals__, "RESULTS", tmp_path)
    page = "".join(f"<!-- {board.name} -->\n<!-- end -->\n" for board in boards.boards())
    page += "".join(f"<!-- parts of {name}-ablations -->\n<!-- end -->\n" for name in ("frappe", "nycflights13"))
    page += "<!-- ranks -->\n<!-- end -->\n"
    kinds = [kind for own in boards.PAGES.values() for kind in own]
    assert {board.kind for board in boards.boards()} == set(kinds)
    assert boards.page(page, kinds).count("Not run to its end yet: `python benchmarks/leaderboard.py run DATA") == 13
    tuned = [board for board in boards.boards() if board.kind == "tuned"]

    def model(name: str, auc: float, tie: bool) -> dict[str, Any]:
        estimate = {"value": auc, "low": auc - 0.01, "high": auc + 0.01}
        metrics = dict.fromkeys(("auc", "log_loss"), estimate)
        difference = {"to": "dnn", "value": auc - 0.8, "tie": tie}
        ran = {"model": name, "status": "ok", "parameters": 1200, "aucs": [auc, auc + 0.001], "difference": difference}
        return {**ran, "metrics": metrics}

    for board, best in zip(tuned[:2], (0.8, 0.7), strict=True):
        models = [model("gbdt", 0.75, True), model("dnn", best, False), {"model": "finalmlp", "status": "failed"}]
        board.results.write_text(
            json.dumps(
                {"models": models, "test": {"rows": 500}, "seeds": 2, "command": "masknet compare", "commit": "1"}
            )
        )
    table = boards.of_board(tuned[0])
    assert table.index("`dnn` | 0.8000 | 0.7900 to 0.8100 | 0.0010 | best |") < table.index("`gbdt`")
    assert "-0.0500 tie" in table
    assert "500 test rows, 2 seeds, one member each; `finalmlp` failed" in table
    ranks = boards.of_ranks(tuned).splitlines()
    assert ranks[0] == "| model | mean rank | frappe | movielens-100k |"
    assert {"| `dnn` | 1.5 | 1 | 2 |", "| `gbdt` | 1.5 | 2 | 1 |"} == set(ranks[2:])
