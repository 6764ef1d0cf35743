"""The commands and code blocks of the README and of the pages in `docs/` run, in their order, on a made log."""

from __future__ import annotations

import dataclasses
import html
import json
import os
import re
import runpy
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from masknet.cli import main
from masknet.compare import read_experiment
from masknet.datasets import planted_log
from masknet.gbdt import TREES
from masknet.models import MODELS
from masknet.testing import CHECKS, check_export, check_tasks

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"


def _blocks(language: str, page: Path = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.M | re.S)


def _run(commands: list[str]) -> None:
    for command in commands:
        program, *arguments = shlex.split(command)
        assert program == "masknet"
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 0, command


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("readme")
    log, _ = planted_log(1200, 0)
    log[:900].write_parquet(path / "train.parquet")
    log[900:].write_parquet(path / "valid.parquet")
    log[900:].drop("click").write_csv(path / "today.csv")
    liked = (pl.int_range(pl.len()) % 3).replace({2: None}).alias("like")  # of each third row nobody knows
    log[:900].with_columns(liked).write_parquet(path / "both.parquet")
    log[900:].with_columns(liked).write_parquet(path / "both-valid.parquet")
    return path


@pytest.fixture(autouse=True)
def _there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    for network in MODELS.values():  # what a page says does not depend on how long a network trains
        monkeypatch.setattr(network, "recipe", dataclasses.replace(network.recipe, epochs=2))


def test_the_commands_run(folder: Path) -> None:
    commands = [line for block in _blocks("sh") for line in block.splitlines()]
    assert len(commands) == 5
    _run(commands)
    scores = pl.read_parquet(folder / "scores.parquet")
    assert scores.columns == ["user", "ad", "probability"]
    assert len(scores) == 300


def test_the_python_blocks_run(folder: Path) -> None:
    blocks = _blocks("python")
    assert len(blocks) == 2
    for block in blocks:
        (folder / "block.py").write_text(block, encoding="utf-8")
        names = runpy.run_path("block.py")
        assert "probabilities" in names or "masks" in names


def test_the_page_on_evaluation_runs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = README.parent / "docs" / "evaluation.md"
    commands = [line for block in _blocks("sh", page) for line in block.splitlines()]
    assert len(commands) == 8
    _run(commands)
    shown = capsys.readouterr().out
    for words in ("by 'site', the worst auc first", "ndcg at 5", "auc difference", "1,000 resamples of groups"):
        assert words in shown
    for block in _blocks("python", page):
        (folder / "block.py").write_text(block, encoding="utf-8")
        assert "interval" in runpy.run_path("block.py")


def test_the_repeat_of_a_run_gives_the_same_weights(folder: Path) -> None:
    assert "`masknet train --config ads.masknet/run.json --out again.masknet`" in README.read_text(encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        main(["train", "--config", "ads.masknet/run.json", "--out", "again.masknet"])
    assert ended.value.code == 0
    weights = [(folder / name / "weights.safetensors").read_bytes() for name in ("ads.masknet", "again.masknet")]
    assert weights[0] == weights[1]


def test_every_path_named_in_the_map_exists() -> None:
    text = README.read_text(encoding="utf-8")
    section = text[text.index("## Where things are") :]
    named = re.findall(r"`([\w/.]+(?:/|\.py|\.md))`", section)
    assert len(named) > 15
    root = README.parent
    for name in named:
        assert (root / name).exists() or (root / "src" / "masknet" / name).exists(), name


@pytest.mark.parametrize(
    "page", ["own-network.md", "scikit-learn.md", "several-labels.md", "serving.md", "tuning.md", "types.md"]
)
def test_a_page_runs_from_top_to_bottom(page: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Python block whose first line is `# name.py` is that file; the others are run, and so is each command."""
    monkeypatch.syspath_prepend(str(folder))
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```(python|sh)\n(.*?)^```", text, flags=re.M | re.S)
    assert blocks
    for language, block in blocks:
        if language == "python":
            named = re.match(r"# (\w+\.py)\n", block)
            file = folder / (named[1] if named else "block.py")
            file.write_text(block, encoding="utf-8")
            if not named:
                runpy.run_path(str(file))
            continue
        _run(block.splitlines())


def test_the_table_of_checks_is_the_measured_one() -> None:
    script = runpy.run_path(str(ROOT / "benchmarks" / "sklearn_checks.py"))
    result = json.loads((ROOT / "benchmarks" / "results" / "sklearn_checks.json").read_text(encoding="utf-8"))
    assert script["markdown"](result) in (ROOT / "docs" / "scikit-learn.md").read_text(encoding="utf-8")


def test_the_page_on_fields_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    items, rows = np.array(["a", "b", "c", "d"]), 300
    pl.DataFrame(
        {
            "click": rng.integers(0, 2, rows),
            "item": rng.choice(items, rows),
            "seen": pl.Series(
                [rng.choice(items, n).tolist() for n in rng.integers(0, 4, rows)], dtype=pl.List(pl.String)
            ),
            "tags": ["|".join(rng.choice(items, 2)) for _ in range(rows)],
            "image": rng.normal(size=(rows, 3)).tolist(),
            "at": [20260100 + int(day) for day in rng.integers(1, 29, rows)],
            "price": rng.lognormal(size=rows),
            "device": rng.integers(0, 10**12, rows).astype(str),
        }
    ).write_parquet(tmp_path / "log.parquet")
    monkeypatch.chdir(tmp_path)
    page = ROOT / "docs" / "fields.md"
    commands = [line for block in _blocks("sh", page) for line in block.splitlines()]
    assert len(commands) == 4
    _run([f"{c} --epochs 1 --members 1 --threads 1" if " train " in c else c for c in commands])


def test_the_tables_of_defaults_are_the_measured_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))  # as when the script is run
    page = (ROOT / "docs" / "defaults.md").read_text(encoding="utf-8")
    assert runpy.run_path(str(ROOT / "benchmarks" / "defaults.py"))["with_tables"](page) == page
    small = runpy.run_path(str(ROOT / "benchmarks" / "small_sets.py"))
    assert small["with_table"](page, "small sets", small["table"]()) == page


def test_the_tables_of_quality_are_the_measured_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))  # as when the script is run
    script = runpy.run_path(str(ROOT / "benchmarks" / "quality.py"))
    for way, path in script["PAGES"].items():
        page = path.read_text(encoding="utf-8")
        assert script["with_table"](page, f"quality of {way}", script["table"](way)) == page


def test_the_tables_of_real_files_are_the_measured_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))  # as when the script is run
    script = runpy.run_path(str(ROOT / "benchmarks" / "real_files.py"))
    page = script["PAGE"].read_text(encoding="utf-8")
    assert script["with_tables"](page) == page


def test_the_figures_of_memory_are_the_measured_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))  # as when the script is run
    script = runpy.run_path(str(ROOT / "benchmarks" / "memory.py"))
    result = json.loads((ROOT / "benchmarks" / "results" / "memory.json").read_text(encoding="utf-8"))
    assert script["markdown"](result) in (ROOT / "docs" / "memory.md").read_text(encoding="utf-8")


def test_the_tables_of_speed_are_the_measured_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))  # as when the script is run
    script = runpy.run_path(str(ROOT / "benchmarks" / "speed.py"))
    page = script["PAGE"].read_text(encoding="utf-8")
    assert script["with_tables"](page) == page


def test_the_page_on_comparisons_runs_and_its_table_is_the_measured_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))  # as when the script is run
    page = ROOT / "docs" / "comparison.md"
    script = runpy.run_path(str(ROOT / "benchmarks" / "comparison_size.py"))
    result = json.loads((ROOT / "benchmarks" / "results" / "comparison_size.json").read_text(encoding="utf-8"))
    assert script["markdown"](result) in page.read_text(encoding="utf-8")
    assert not any(map(script["broken"], result["records"]))
    commands = [line for block in _blocks("sh", page) for line in block.splitlines()]
    assert len(commands) == 4
    _run(commands)
    shown = capsys.readouterr().out
    assert "95 % interval" in shown
    assert "parameters for" in shown
    Path("mine.yaml").write_text(_blocks("yaml", page)[0], encoding="utf-8")
    assert [entry.name for entry in read_experiment("mine.yaml").entries] == [
        *("fm", "with masks", "without masks, as large")
    ]
    assert "production.masknet" in shown


def test_the_page_of_settings_is_made_from_them() -> None:
    script = runpy.run_path(str(ROOT / "scripts" / "settings_page.py"))
    assert script["PAGE"].read_text(encoding="utf-8") == script["page"]()


PICTURES = {
    "inspect": ("$ masknet inspect log.parquet --label click", "to follow all hints: "),
    "train": ("$ masknet train log.parquet", "member 3/4, epoch ", "of 8 without better, "),
    "end": ("logistic regression", "predicting the click rate; clicks predicted ", "masknet check ads.masknet"),
}


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_of_the_terminal_shows_what_its_page_says(name: str) -> None:
    drawn = (ROOT / "docs" / f"terminal-{name}.svg").read_text(encoding="utf-8")
    shown = html.unescape(" ".join(re.findall(r"<text [^>]*>([^<]*)</text>", drawn))).replace("\N{NO-BREAK SPACE}", " ")
    for words in PICTURES[name]:
        assert words in shown
    assert f"(terminal-{name}.svg)" in (ROOT / "docs" / "first-run.md").read_text(encoding="utf-8")


def test_the_pictures_are_of_what_stays_on_a_terminal() -> None:
    screen = runpy.run_path(str(ROOT / "scripts" / "terminal_pictures.py"))["Screen"]()
    screen.write("read\r\n\x1b[?25l\x1b[2K25 %\n2 lines\r\x1b[2K\x1b[1A\x1b[2K\x1b[33m75 %\x1b[0m\r\n\x1b[2Kdone")
    assert screen.lines == ["read", "\x1b[33m75 %\x1b[0m", "done"]


def test_the_table_of_models_is_that_of_the_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    script = runpy.run_path(str(ROOT / "benchmarks" / "models.py"))
    page = script["PAGE"].read_text(encoding="utf-8")
    assert script["with_table"](page, "models", script["table"]()) == page
    assert script["table"]().count("\n| `") == len(MODELS) + len(TREES)


def test_the_network_of_the_page_on_models_keeps_the_contract() -> None:
    (block,) = _blocks("python", ROOT / "docs" / "models.md")
    names: dict[str, Any] = {}
    exec(block, names)
    build = lambda space: names["NeuralFM"](space, embedding_dim=4, hidden_dims=(16,))  # noqa: E731
    for check in (*CHECKS, check_tasks):
        if check is not check_export:
            check(build)
