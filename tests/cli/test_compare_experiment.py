"""`masknet compare` of the rows of an experiment, and with the settings of a run file."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from masknet.manifest import read_manifest

QUICK = ("--label", "click", "--ignore", "seconds", "--epochs", 1, "--evaluations", 1, "--threads", 1, "--seeds", 1)
MASKS: dict[str, Any] = {"embedding_dim": 2, "block_dims": [6], "reduction": 1, "top_dims": [4]}
ROWS: list[dict[str, Any]] = [
    {"name": "pairs", "model": "fm", "set": {"embedding_dim": 2}},
    {"name": "full", "model": "parallel-masknet", "set": MASKS},
    {"name": "without mask", "model": "parallel-masknet", "set": {**MASKS, "reduction": None}},
    {
        "name": "as large",
        "model": "dnn",
        "set": {"embedding_dim": 2, "hidden_dims": [1, 1], "norm": "layer"},
        "equal_parameters": {"to": "full", "by": "hidden_dims"},
    },
]


@pytest.fixture(autouse=True)
def _log(rows) -> None:
    rows().write_parquet("log.parquet")
    write({"rows": ROWS})


def write(content: dict[str, Any], name: str = "mine.yaml") -> None:
    Path(name).write_text(yaml.safe_dump(content))


def by_name(folder: str) -> dict[str, dict[str, Any]]:
    return {model["model"]: model for model in json.loads((Path(folder) / "results.json").read_text())["models"]}


def settings_of(folder: str, stem: str) -> dict[str, Any]:
    found = json.loads((Path(folder) / "models" / f"{stem}-0.masknet" / "run.json").read_text())
    assert isinstance(found, dict)
    return found


def test_its_rows_have_names_of_their_own_and_one_is_as_large_as_another(masknet) -> None:
    command = ("compare", "log.parquet", *QUICK, "--experiment", "mine.yaml", "--out", "c")
    result = masknet(*command, "--set", "without mask.top_dims=[3]")
    assert result.code == 0, result.err
    found = by_name("c")
    assert list(found) == ["pairs", "full", "without mask", "as large"]
    assert [model["kind"] for model in found.values()] == ["fm", "parallel-masknet", "parallel-masknet", "dnn"]
    assert found["without mask"]["set"] == {**MASKS, "reduction": None, "top_dims": [3]}
    assert found["full"]["metrics"]["rela_imp"]["value"] is not None  # over the row that is an FM
    manifest = read_manifest("c/models/without-mask-0.masknet")
    assert (manifest.subject["name"], manifest.settings["reduction"]) == ("parallel-masknet", None)
    large, full = found["as large"], found["full"]
    assert large["equal_parameters"] == {"to": "full", "by": "hidden_dims"}
    assert large["parameters"] == pytest.approx(full["parameters"], rel=0.02)
    first, second = large["set"]["hidden_dims"]
    assert first == second == read_manifest("c/models/as-large-0.masknet").settings["hidden_dims"][0]
    assert f"as large has hidden_dims of {first}, the width that comes nearest to full" in result.out
    assert f"{large['parameters']:,} parameters for {full['parameters']:,}" in result.out
    for line in result.out.splitlines()[-3:]:
        assert masknet(*shlex.split(line)[1:]).code == 0
    again = masknet(*command, "--set", "without mask.top_dims=[3]")
    assert again.code == 0
    assert "test auc" not in again.err  # nothing is trained twice
    assert "set was " in masknet(*command).error
    write({"rows": [{**ROWS[0], "model": "mf"}, *ROWS[1:]]})
    assert "kinds was " in masknet(*command, "--set", "without mask.top_dims=[3]").error


def test_a_flag_wins_over_the_run_file_and_that_over_the_experiment(masknet) -> None:
    training = {"batch_size": 64, "learning_rate": 0.02, "schedule": "plateau", "patience": 2}
    write({"settings": training, "rows": [ROWS[0], {**ROWS[0], "name": "slow", "settings": {"learning_rate": 1e-4}}]})
    write({"label": "click", "ignore": ["seconds"], "learning_rate": 0.03, "schedule": "constant"}, "run.yaml")
    flags = ("--config", "run.yaml", "--schedule", "plateau", "--epochs", 1, "--seeds", 1, "--out", "c")
    result = masknet("compare", "log.parquet", "--experiment", "mine.yaml", *flags)
    assert result.code == 0, result.err
    run = settings_of("c", "pairs")
    found = {name: run[name] for name in (*training, "epochs")}
    assert found == {**training, "learning_rate": 0.03, "epochs": 1}
    assert settings_of("c", "slow")["learning_rate"] == 1e-4  # its own is what it is there for
    assert [model["run"] for model in by_name("c").values()] == [{}, {"learning_rate": 1e-4}]
    assert "run.yaml" not in result.err


def test_what_a_row_cannot_have_of_its_settings_is_listed(masknet) -> None:
    trees = {"name": "trees", "model": "gbdt", "set": {"num_iterations": 2}}
    write({"settings": {"embedding_l2": 0.1}, "rows": [ROWS[0], trees]})
    assert masknet("compare", "log.parquet", *QUICK, "--experiment", "mine.yaml", "--out", "c").code == 0
    assert set(by_name("c")["trees"]["left_out"]) == {"embedding_l2", "epochs", "evaluations"}


def test_a_run_file_says_what_all_models_share_and_the_keywords_of_its_own(masknet) -> None:
    said = {"data": "log.parquet", "label": "click", "ignore": ["seconds"], "valid_fraction": 0.2, "epochs": 1}
    write({**said, "model": "fm", "set": {"embedding_dim": 3}, "out": "elsewhere.masknet", "members": 2}, "run.yaml")
    flags = ("--models", "fm,mf", "--seeds", 1, "--out", "c", "--members", 1)
    result = masknet("compare", "--config", "run.yaml", *flags, "--set", "mf.embedding_dim=4")
    assert result.code == 0, result.err
    assert [model["set"] for model in by_name("c").values()] == [{"embedding_dim": 3}, {"embedding_dim": 4}]
    assert json.loads(Path("c/results.json").read_text())["data"]["valid"] == 72
    assert [model["members"] for model in by_name("c").values()] == [1, 1]
    assert not Path("elsewhere.masknet").exists()
    other = masknet("compare", "--config", "run.yaml", "--models", "lr", "--seeds", 1, "--out", "d")
    assert "run.yaml has keywords of fm, which is not compared; they are left out" in other.err
    planned = masknet("compare", "--config", "run.yaml", "--experiment", "mine.yaml", "--seeds", 1, "--out", "f")
    assert "the rows of mine.yaml have their own keywords; those of run.yaml are left out" in planned.err
    run_json = ("--config", "c/models/fm-0.masknet/run.json")  # a model is compared by its own file too
    assert masknet("compare", "log.parquet", *run_json, "--models", "fm", "--seeds", 1, "--out", "e").code == 0
    assert by_name("e")["fm"]["aucs"]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ((), "of --models or of the rows of an --experiment; neither is given"),
        (("--models", "fm", "--experiment", "table2"), "of --models or of the rows of an --experiment; both are given"),
        (("--experiment", "tabel2"), "unknown experiment 'tabel2'; did you mean 'table2'?"),
        (
            ("--experiment", "mine.yaml", "--set", "ful.reduction=1"),
            "unknown row of mine.yaml 'ful'; did you mean",
        ),
        (("--experiment", "mine.yaml", "--set", "full.reducton=1"), "did you mean 'reduction'?"),
        (("--experiment", "mine.yaml", "--config", "none.yaml"), "no run file at 'none.yaml'"),
        (("--models", "fm", "--config", "refit.yaml"), "a comparison does without refit, which refit.yaml sets"),
        (("--models", "fm", "--config", "wrong.yaml"), "unknown option 'batch'; did you mean 'batch_size'?"),
    ],
)
def test_what_is_refused(flags: tuple[str, ...], said: str, masknet) -> None:
    write({"refit": True}, "refit.yaml")
    write({"batch": 3}, "wrong.yaml")
    error = masknet("compare", "log.parquet", *QUICK, *flags, "--out", "c").error
    assert said in error
    assert "of the training" not in error  # each flag that it names is one of this verb
    assert not Path("c").exists()


def test_rows_that_are_to_be_counted_say_what_is_wrong_before_anything_is_trained(masknet) -> None:
    write({"rows": [{**ROWS[1], "set": {**MASKS, "block_dims": [0]}}, ROWS[3]]})
    result = masknet("compare", "log.parquet", *QUICK, "--experiment", "mine.yaml", "--out", "c")
    assert "block_dims" in result.error


def test_the_data_stand_somewhere(masknet) -> None:
    assert "a comparison needs data" in masknet("compare", "--label", "click", "--models", "fm").error
