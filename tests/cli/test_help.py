from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import masknet as package
from masknet.cli import VERBS
from masknet.config import RunConfig

HEAVY = ("torch", "polars", "pyarrow", "numpy", "sklearn", "lightgbm", "pandas")
VERB_WORDS = [[verb] for verb in VERBS] + [["data", "list"], ["data", "fetch"], ["data", "clean"]]


def run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from masknet.cli import main; main()", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=os.environ | {"COLUMNS": "100"})


def test_help_names_every_verb() -> None:
    result = run("--help")
    assert (result.returncode, result.stderr) == (0, "")
    for verb, summary in VERBS.items():
        assert verb in result.stdout
        assert summary in result.stdout


@pytest.mark.parametrize("words", [[], *VERB_WORDS], ids=" ".join)
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    code = (
        "import sys\n"
        "from masknet.cli import main\n"
        "try: main()\n"
        f"finally: sys.stderr.write(' '.join(m for m in {HEAVY} if m in sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", code, *words, "--help"], capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stderr) == (0, "")
    assert "Usage: masknet" in result.stdout


def test_help_is_fast() -> None:
    # Half a second is promised; a busy machine is forgiven twice that. Of the processor, not of the clock on the wall:
    # how long a command waits for its turn says nothing of it.
    times = []
    for _ in range(5):
        before = os.times()
        run("--help")
        after = os.times()
        times.append(after.children_user + after.children_system - before.children_user - before.children_system)
    assert 0 < min(times) < 1.0


def test_every_setting_is_a_flag_with_its_default_told(masknet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "250")
    shown = " ".join(masknet("train", "--help").out.split())
    for name, field in RunConfig.model_fields.items():
        if name == "data":
            continue
        assert f" --{(field.alias or name).replace('_', '-')} " in shown
        assert str(field.description) in shown
        if field.default not in (None, (), {}, False):
            assert f"default: {field.default:g}" if name == "clip" else f"default: {field.default})" in shown


def test_a_word_to_choose_is_told(masknet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "250")
    assert "(linear or knots; default: knots)" in masknet("train", "--help").out


def test_version(masknet) -> None:
    result = masknet("--version")
    assert (result.code, result.out, result.err) == (0, f"masknet {package.__version__}\n", "")


WRONG_USAGE = {
    "no verb": ([], "Usage: masknet"),
    "an unknown verb": (["trian"], "Did you mean 'train'?"),
    "an unknown flag": (["train", "a.csv", "--lable", "click"], "--label"),
    "a word for a number": (["train", "a.csv", "--batch-size", "abc"], "'--batch-size'"),
    "a flag without its value": (["train", "a.csv", "--label"], "--label"),
    "two tables": (["train", "a.csv", "b.csv"], "b.csv"),
    "predict without --out": (["predict", "ads.masknet", "a.csv"], "--out"),
    "evaluate without data": (["evaluate", "ads.masknet"], "argument 'data'"),
    "one resample": (["evaluate", "ads.masknet", "a.csv", "--bootstrap", "1"], "--bootstrap"),
    "data without a verb": (["data"], "fetch"),
    "no rows at all": (["predict", "ads.masknet", "a.csv", "--out", "b.csv", "--limit-rows", "0"], "--limit-rows"),
}


@pytest.mark.parametrize("case", WRONG_USAGE)
def test_wrong_usage_exits_with_2(case: str, masknet, left_behind) -> None:
    arguments, named = WRONG_USAGE[case]
    result = masknet(*arguments)
    assert result.code == 2
    assert named.lower() in (result.out + result.err).lower()  # some versions of typer name an argument in capitals
    assert "Traceback" not in result.err
    assert left_behind() == []


def test_exit_codes_of_the_process(tmp_path: Path) -> None:
    # As the shell sees them; the other tests call the command within their own process.
    assert run("--version").returncode == 0
    assert run("train", "a.csv", "--lable", "x").returncode == 2
    refused = run("inspect", str(tmp_path / "nothing.csv"))
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("error: no file at ")
    assert refused.stderr.count("\n") == 1
