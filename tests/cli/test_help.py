from __future__ import annotations

import dataclasses
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import masknet as package
from masknet import datasets
from masknet.cli import VERBS
from masknet.config import RunConfig
from masknet.datasets import planted_log
from masknet.datasets.dataset import write_split
from masknet.gbdt import TREES
from masknet.metrics import MONITORS
from masknet.models import MODELS
from masknet.progress import Progress

HEAVY = ("torch", "polars", "pyarrow", "numpy", "sklearn", "lightgbm", "pandas")
VERB_WORDS = [[verb] for verb in VERBS] + [["data", "list"], ["data", "fetch"], ["data", "clean"]]


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from masknet.cli import main; main()", *words]
    known = os.environ | {"COLUMNS": "100"} | environment
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=known)


def _examples(shown: str) -> list[str]:
    """Of a `--help`."""
    return shown.partition("\nExamples ")[2].strip().splitlines()[1:]


def _small(folder: Path, progress: Progress) -> None:
    write_split(planted_log(600, seed=0)[0], folder, seed=0)


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
        assert re.search(rf" --{(field.alias or name).replace('_', '-')}[ ,]", shown)
        assert str(field.description) in shown
        if field.default not in (None, (), {}, False):
            assert f"default: {field.default:g}" if name == "clip" else f"default: {field.default})" in shown


CHOICES = (
    "--numeric-encoding linear|knots",
    "--schedule plateau|constant",
    "--precision bf16|fp32",
    "--pooling FIELD=mean|sum",
)


@pytest.mark.parametrize("choice", CHOICES)
def test_words_to_choose_from_are_told(choice: str, masknet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    assert f"\n{choice}\n" in masknet("train", "--help").out


def test_every_model_and_every_monitor_is_told() -> None:
    fields = RunConfig.model_fields
    told = {name: str(fields[name].description) for name in ("model", "monitor")}
    assert set(told["model"].partition("one of ")[2].partition(";")[0].split(", ")) == {*MODELS, *TREES}
    assert told["monitor"].partition("one of ")[2].partition(";")[0].split(", ") == list(MONITORS)


@pytest.mark.parametrize("words", [[], *VERB_WORDS], ids=" ".join)
def test_every_help_fits_a_narrow_terminal_and_ends_with_examples(
    words: list[str], masknet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    shown = masknet(*words, "-h").out
    assert shown == masknet(*words, "--help").out
    above = shown.partition("\nExamples ")[0]
    assert max(map(len, above.splitlines())) <= 60
    assert "…" not in above
    assert _examples(shown)
    assert all(line.startswith("masknet ") for line in _examples(shown))


def test_the_examples_run(masknet, monkeypatch: pytest.MonkeyPatch) -> None:
    planted = dataclasses.replace(datasets.DATASETS["planted"], build=_small)
    monkeypatch.setitem(datasets.DATASETS, "planted", planted)
    for network in MODELS.values():
        monkeypatch.setattr(network, "recipe", dataclasses.replace(network.recipe, epochs=1))
    log, _ = planted_log(600, 0)
    log.write_parquet("train.parquet")
    log.write_parquet("valid.parquet")
    log.drop("click").write_csv("today.csv")
    examples = [line for words in ([], *VERB_WORDS) for line in _examples(masknet(*words, "-h").out)]
    verbs = ("inspect", "train", "check", "evaluate", "predict", "compare", "tune", "data", "demo")
    order = {verb: i for i, verb in enumerate(verbs)}
    for line in sorted(dict.fromkeys(examples), key=lambda line: order[line.split()[1]]):
        words = shlex.split(line)[1:]
        if words[0] != "demo":  # which fetches what a test must not
            assert masknet(*words).code == 0, line


def test_a_shell_completes_verbs_and_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    script = run("--show-completion", "bash", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert (script.returncode, script.stderr) == (0, "")
    assert "complete -o default -F _masknet_completion masknet" in script.stdout
    for typed, at, found in (("masknet pre", 1, ["predict"]), ("masknet train --lab", 2, ["--label"])):
        asked = {"_MASKNET_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(at)}
        assert run(**asked).stdout.split() == found


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
