from __future__ import annotations

import csv
import io
import json
import os
import re
import shlex
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from masknet.manifest import read_manifest

QUICK = ("--label", "click", "--ignore", "seconds", "--epochs", 1, "--evaluations", 1, "--threads", 1)


@pytest.fixture(autouse=True)
def _log(rows) -> None:
    rows().write_parquet("log.parquet")
    rows(200, seed=1).write_parquet("test.parquet")


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """The model and seed of each that is trained."""
    from masknet.compare import run

    done, fit = [], run.fit

    def counted(config: Any, *args: Any, **kwargs: Any) -> Any:
        done.append((config.model, config.seed))
        return fit(config, *args, **kwargs)

    monkeypatch.setattr(run, "fit", counted)
    return done


def results(folder: str) -> dict[str, Any]:
    found = json.loads((Path(folder) / "results.json").read_text())
    assert isinstance(found, dict)
    return found


def by_name(folder: str) -> dict[str, dict[str, Any]]:
    return {model["model"]: model for model in results(folder)["models"]}


def figures(folder: str) -> list[Any]:
    """What does not depend on the clock or the memory."""
    return [
        {name: value for name, value in model.items() if name in ("model", "status", "metrics", "difference", "aucs")}
        for model in results(folder)["models"]
    ]


def test_it_trains_each_model_and_prints_the_table_the_verdict_and_how_to_use_the_best(masknet) -> None:
    result = masknet("compare", "log.parquet", *QUICK, "--models", "lr,fm", "--seeds", 2, "--slice", "site")
    assert result.code == 0, result.err
    found = results("log.compare")
    assert [model["model"] for model in found["models"]] == ["lr", "fm"]
    assert found["test"] == {"name": "log.parquet", "rows": 40, "held_out": "random tenth"}
    assert found["data"] == {"name": "log.parquet", "train": 324, "valid": 36}
    for model in found["models"]:
        assert model["status"] == "ok"
        assert model["reason"] is None
        assert model["metrics"]["auc"]["value"] == pytest.approx(np.mean(model["aucs"]))
        assert {"log_loss", "normalized_entropy", "calibration_ratio", "rela_imp"} <= set(model["metrics"])
        assert model["members"] == 1
        assert [run["seed"] for run in model["runs"]] == [0, 1]
        assert model["peak_bytes"] is None or model["peak_bytes"] > 1e7
        assert model["slices"]["site"]
    assert found["rela_imp_over"] == "fm"
    assert by_name("log.compare")["fm"]["metrics"]["rela_imp"]["value"] == pytest.approx(0)
    for seed in (0, 1):
        assert read_manifest(f"log.compare/models/fm-{seed}.masknet").seed == seed
    for sentence in found["verdict"]:
        assert sentence in result.out
    lines = result.out.splitlines()
    tables = [i for i, line in enumerate(lines) if line.startswith("model ")]
    assert len(tables) == 2
    for place in tables:
        assert max(map(len, lines[place - 2 : place + 3])) <= 80
        assert {line.split()[0] for line in lines[place + 1 : place + 3]} == {"lr", "fm"}
    commands = [shlex.split(line) for line in lines[-3:]]
    assert [words[1] for words in commands] == ["predict", "evaluate", "check"]
    assert f"log.compare/models/{found['best']}-0.masknet" in commands[0]
    for words in commands:
        assert masknet(*words[1:]).code == 0
    table = list(csv.DictReader(io.StringIO(Path("log.compare/results.csv").read_text())))
    assert [row["model"] for row in table] == ["lr", "fm"]
    assert float(table[0]["auc"]) == found["models"][0]["metrics"]["auc"]["value"]
    assert Path("log.compare/results.md").read_text().count("\n| ") == 4


def test_what_it_measures_is_what_evaluate_measures(masknet) -> None:
    masknet("compare", "log.parquet", *QUICK, "--test", "test.parquet", "--models", "lr", "--out", "c", "--seeds", 1)
    found = by_name("c")["lr"]["metrics"]
    found.pop("rela_imp")
    assert found == masknet("evaluate", "c/models/lr-0.masknet", "test.parquet", "--json").json["metrics"]


def test_the_json_is_the_file(masknet) -> None:
    flags = ("--models", "lr", "--seeds", 1, "--json", "--out", "c")
    assert masknet("compare", "log.parquet", *QUICK, *flags).json == results("c")


def test_a_held_out_row_is_neither_trained_nor_validated_on(masknet, rows) -> None:
    rows().with_columns(split=pl.int_range(400)).write_parquet("marked.parquet")
    flags = ("--models", "lr", "--seeds", 1, "--out", "c", "--time", "seconds")
    result = masknet("compare", "marked.parquet", "--label", "click", "--ignore", "split", *QUICK[4:], *flags)
    assert result.code == 0, result.err
    assert results("c")["test"] == {"name": "marked.parquet", "rows": 40, "held_out": "last tenth by time"}
    # Trained on the rows before the last tenth alone, the same model comes out.
    rows()[:360].write_parquet("before.parquet")
    rows()[360:].write_parquet("after.parquet")
    own = ("--label", "click", "--time", "seconds", "--model", "lr", *QUICK[4:], "--out", "lr.masknet")
    assert masknet("train", "before.parquet", *own).code == 0
    weights = [(Path(place) / "weights.safetensors").read_bytes() for place in ("c/models/lr-0.masknet", "lr.masknet")]
    assert weights[0] == weights[1]
    evaluated = masknet("evaluate", "lr.masknet", "after.parquet", "--json").json["metrics"]["auc"]
    assert by_name("c")["lr"]["metrics"]["auc"] == evaluated


def test_a_finished_model_is_never_trained_twice(masknet, fits) -> None:
    command = ("compare", "log.parquet", *QUICK, "--models", "lr,fm", "--seeds", 2, "--out", "c")
    assert masknet(*command).code == 0
    assert fits == [("lr", 0), ("lr", 1), ("fm", 0), ("fm", 1)]
    before = figures("c")
    again = masknet(*command)
    assert again.code == 0
    assert len(fits) == 4
    assert figures("c") == before


def test_ctrl_c_loses_the_model_that_runs_and_no_other(masknet, fits, ctrl_c) -> None:
    command = ("compare", "log.parquet", *QUICK, "--models", "lr,fm", "--seeds", 1, "--batch-size", 32)
    assert masknet(*command, "--out", "whole").code == 0
    with ctrl_c("fm (model 2 of 2), seed 1 of 1, the last run: epoch 1/1", 64):
        stopped = masknet(*command, "--out", "cut")
    assert stopped.code == 130
    assert "the same command goes on from there" in stopped.err
    assert not Path("cut/results.json").exists()
    fits.clear()
    assert masknet(*command, "--out", "cut").code == 0
    assert fits == [("fm", 0)]
    assert figures("cut") == figures("whole")


def test_a_kill_between_training_and_scoring_loses_nothing(masknet, fits, monkeypatch: pytest.MonkeyPatch) -> None:
    from masknet.compare import run

    command = ("compare", "log.parquet", *QUICK, "--models", "lr", "--seeds", 1, "--out", "c")

    def killed(*_: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(run, "score_rows", killed)
        assert masknet(*command).code == 130
    assert masknet(*command).code == 0
    assert fits == [("lr", 0)]


def test_other_settings_in_the_same_folder_are_refused_with_the_difference(masknet, rows) -> None:
    command = ("compare", "log.parquet", *QUICK, "--models", "lr", "--seeds", 1, "--out", "c")
    assert masknet(*command).code == 0
    for other, said in (
        (("--batch-size", 64), "batch_size was not given and is 64"),
        (("--seeds", 2), "seeds was 1 and is 2"),
        (("--models", "fm"), 'models was ["lr"] and is ["lr", "fm"]'),
        (("--set", "lr.bias=false"), ""),
        (("--test", "test.parquet"), "test was false and is true"),
    ):
        assert said in masknet(*command, *other).error, other
    rows(seed=3).write_parquet("log.parquet")
    assert "the data table was changed, or its files written again" in masknet(*command).error
    assert masknet(*command, "--overwrite").code == 0  # begins anew
    assert masknet(*command).code == 0
    Path("mine").mkdir()
    Path("mine/notes.txt").touch()
    assert "holds something else" in masknet(*command[:-1], "mine").error


@pytest.mark.parametrize("out", ["", ".", "/"])
def test_a_comparison_has_a_folder_of_its_own(out: str, masknet) -> None:
    error = masknet("compare", "log.parquet", *QUICK, "--models", "lr", "--seeds", 1, "--out", out).error
    assert f"--out is '{Path(out)}': name one, such as ads.compare" in error


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("runs/lr-0.json", b"{", "it is no JSON"),
        ("runs/lr-0.json", b"{}", "it is no record of a run"),
        ("runs/lr-0.json", b'{"status": ["ok"]}', "it is no record of a run"),
        ("runs/lr-0.json", b'{"status": "ok", "seed": 0}', "it is no record of a run"),
        ("scores/lr-0.npy", b"PK", "it holds no array of numbers"),
        ("scores/lr-0.npy", None, "it is gone"),
    ],
)
def test_of_a_damaged_run_the_sentence_says_how_it_is_done_again(
    file: str, content: bytes | None, said: str, masknet, fits
) -> None:
    command = ("compare", "log.parquet", *QUICK, "--models", "fm,lr", "--seeds", 1, "--out", "c")
    assert masknet(*command).code == 0
    before = figures("c")
    (Path("c") / file).unlink()
    if content is not None:
        (Path("c") / file).write_bytes(content)
    error = masknet(*command).error
    assert f"'c/{file}' is damaged ({said}" in error
    assert "remove 'c/runs/lr-0.json', and the same command does this run again" in error
    Path("c/runs/lr-0.json").unlink()
    fits.clear()
    assert masknet(*command).code == 0
    assert fits == [("lr", 0)]
    assert figures("c") == before


@pytest.mark.parametrize("content", ["[]", "{}", '{"settings": 3, "versions": {}}'])
def test_a_folder_that_does_not_say_what_was_asked_for_is_damaged(content: str, masknet) -> None:
    Path("c").mkdir()
    Path("c/compare.json").write_text(content)
    command = ("compare", "log.parquet", *QUICK, "--models", "lr", "--seeds", 1, "--out", "c")
    assert "'c/compare.json' is damaged" in masknet(*command).error
    assert masknet(*command, "--overwrite").code == 0


def test_one_that_fails_is_reported_and_the_others_go_on(masknet, fits, monkeypatch: pytest.MonkeyPatch) -> None:
    from masknet.compare import run

    fit = run.fit

    def failing(config: Any, *args: Any, **kwargs: Any) -> Any:
        if (config.model, config.seed) == ("fm", 1):
            raise RuntimeError("no luck\nat all")
        return fit(config, *args, **kwargs)

    command = ("compare", "log.parquet", *QUICK, "--models", "fm,lr", "--seeds", 3, "--out", "c")
    with monkeypatch.context() as patch:
        patch.setattr(run, "fit", failing)
        result = masknet(*command)
    assert result.code == 0
    assert "fm failed with seed 1: RuntimeError: no luck at all" in result.err
    found = by_name("c")
    assert found["fm"]["status"] == "failed"
    assert found["fm"]["reason"] == "seed 1: RuntimeError: no luck at all"
    assert "metrics" not in found["fm"]
    assert found["lr"]["status"] == "ok"
    assert results("c")["best"] == "lr"
    fits.clear()
    assert masknet(*command).code == 0  # what failed is tried again
    assert fits == [("fm", 1), ("fm", 2)]
    assert by_name("c")["fm"]["status"] == "ok"


def test_where_none_can_be_trained_it_fails(masknet) -> None:
    result = masknet("compare", "log.parquet", *QUICK, "--models", "latent-cross", "--seeds", 1, "--out", "c")
    assert "none could: latent-cross: latent-cross reads a sequence" in result.error


def test_what_a_model_cannot_have_is_listed_and_who_has_no_place_is_skipped(masknet) -> None:
    flags = ("--models", "gbdt,latent-cross", "--seeds", 1, "--out", "c", "--set", "gbdt.num_iterations=3")
    result = masknet("compare", "log.parquet", *QUICK, *flags)
    assert result.code == 0, result.err
    found = by_name("c")
    assert found["gbdt"]["left_out"] == ["epochs", "evaluations"]
    assert "gbdt did without --epochs, --evaluations" in result.out
    assert found["latent-cross"]["status"] == "skipped"
    assert found["latent-cross"]["reason"] in result.out


def test_one_model_has_its_own_settings_and_its_own_members(masknet) -> None:
    flags = ("--models", "fm,fm+2", "--seeds", 1, "--out", "c", "--set", "fm.embedding_dim=3")
    assert masknet("compare", "log.parquet", *QUICK, *flags).code == 0
    alone, ensemble = (read_manifest(f"c/models/{name}-0.masknet") for name in ("fm", "fm+2"))
    assert (alone.members, ensemble.members) == (1, 2)
    assert alone.settings["embedding_dim"] == 3
    assert ensemble.settings["embedding_dim"] != 3
    assert [by_name("c")[name]["members"] for name in ("fm", "fm+2")] == [1, 2]


def test_several_labels_have_tasks_in_the_place_of_metrics(masknet, rows) -> None:
    liked = rows().with_columns(like=(pl.int_range(400) % 3).replace({2: None}))
    liked.write_parquet("both.parquet")
    flags = ("--label", "like", "--models", "fm,gbdt", "--seeds", 2, "--out", "c")
    result = masknet("compare", "both.parquet", *QUICK, *flags)
    assert result.code == 0, result.err
    found = by_name("c")
    assert set(found["fm"]["tasks"]) == {"click", "like"}
    assert "metrics" not in found["fm"]
    assert found["gbdt"]["status"] == "skipped"
    assert re.search(r"^model +label +members", result.out, flags=re.M)


def test_one_seed_compares_trained_networks_and_says_so(masknet) -> None:
    result = masknet("compare", "log.parquet", *QUICK, "--models", "lr,fm", "--seeds", 1, "--out", "c")
    assert "two trained networks, and not two models" in result.out
    assert "--seeds 3" in results("c")["verdict"][-1]
    assert results("c")["tests"]["of"] == "trained networks"


def test_three_seeds_are_the_default_where_rows_are_few(masknet, fits) -> None:
    assert masknet("compare", "log.parquet", *QUICK, "--models", "lr", "--out", "c").code == 0
    assert fits == [("lr", 0), ("lr", 1), ("lr", 2)]


def test_groups_are_resampled_and_rows_on_demand(masknet) -> None:
    flags = ("--models", "lr,fm", "--seeds", 1, "--bootstrap", 20)
    assert masknet("compare", "log.parquet", *QUICK, *flags, "--out", "rows").code == 0
    assert results("rows")["tests"]["variance"] == "20 resamples of rows"
    assert masknet("compare", "log.parquet", *QUICK, *flags, "--group", "user_id", "--out", "groups").code == 0
    assert results("groups")["tests"]["variance"] == "20 resamples of groups"
    assert by_name("groups")["fm"]["metrics"]["grouped_auc"]["value"] is not None


def test_test_rows_of_one_class_are_refused_before_anything_is_trained(masknet, fits, rows) -> None:
    rows().filter(pl.col("click") == 0).write_parquet("zeros.parquet")
    command = ("compare", "log.parquet", *QUICK, "--models", "lr", "--out", "c", "--test", "zeros.parquet")
    error = masknet(*command).error
    assert "a comparison needs test rows of both classes; of 'click' in zeros.parquet all " in error
    assert fits == []


def test_test_rows_that_weigh_nothing_are_told_to(masknet, fits, rows) -> None:
    rows().with_columns(w=pl.lit(1.0)).write_parquet("log.parquet")
    rows(100, seed=1).with_columns(w=pl.lit(0.0)).write_parquet("test.parquet")
    flags = ("--models", "lr", "--weight", "w", "--out", "c", "--test", "test.parquet")
    error = masknet("compare", "log.parquet", *QUICK, *flags).error
    assert "of 'click' in test.parquet there is none with a weight above 0" in error
    assert not fits


def test_test_rows_that_are_training_rows_are_told_with_their_share(masknet, rows) -> None:
    pl.concat([rows()[:100], rows(200, seed=9)]).write_parquet("mixed.parquet")
    command = ("compare", "log.parquet", *QUICK[:2], *QUICK[4:], "--models", "lr", "--seeds", 1)
    result = masknet(*command, "--out", "c", "--test", "mixed.parquet")
    assert "33.3 % of the test rows are training or validation rows too" in result.err
    assert "33.3 % of the test rows" in results("c")["warnings"][0]
    assert "test rows are" not in masknet(*command, "--out", "d", "--test", "test.parquet").err


def test_a_full_disk_stops_it_and_it_goes_on_later(masknet, fits, monkeypatch: pytest.MonkeyPatch) -> None:
    from masknet.artifact import Artifact

    command = ("compare", "log.parquet", *QUICK, "--models", "lr,fm", "--seeds", 1, "--out", "c")
    save = Artifact.save

    def full(self: Artifact, path: Path, **kwargs: Any) -> Artifact:
        if "fm" in str(path):
            raise OSError(28, os.strerror(28), str(path))
        return save(self, path, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(Artifact, "save", full)
        assert "the disk is full" in masknet(*command).error
    fits.clear()
    assert masknet(*command).code == 0
    assert fits == [("fm", 0)]


def test_results_that_a_full_disk_cut_short_leave_nothing(masknet, fits, monkeypatch: pytest.MonkeyPatch) -> None:
    from masknet import work_folder

    sync = work_folder.sync

    def full(place: Path) -> None:
        if "results.csv" in place.name:
            raise OSError(28, os.strerror(28))
        sync(place)

    command = ("compare", "log.parquet", *QUICK, "--models", "lr", "--seeds", 1, "--out", "c")
    with monkeypatch.context() as patch:
        patch.setattr(work_folder, "sync", full)
        assert "the disk is full" in masknet(*command).error
    assert not list(Path("c").rglob("*.writing"))
    fits.clear()
    assert masknet(*command).code == 0
    assert not fits
    assert Path("c/results.csv").exists()


def test_in_a_narrow_terminal_every_figure_can_be_read(masknet, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "a row of a name that is longer than the terminal is wide"
    rows = [{"name": name, "model": "fm", "set": {"embedding_dim": 2}}, {"name": "lr", "model": "lr"}]
    Path("rows.yaml").write_text(json.dumps({"rows": rows}))
    command = ("compare", "log.parquet", *QUICK, "--experiment", "rows.yaml", "--seeds", 1, "--out", "c")
    wide = masknet(*command).out
    for variable, value in (("FORCE_COLOR", "1"), ("COLUMNS", "40"), ("TERM", "xterm")):
        monkeypatch.setenv(variable, value)
    narrow = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", masknet(*command).out)
    lines = [line for line in narrow.splitlines() if not line.startswith("  ")]  # but for commands to be copied
    assert max(map(len, lines)) <= 40
    assert "\N{HORIZONTAL ELLIPSIS}" not in narrow
    found = [line for line in wide.splitlines() if line.startswith("lr   ")]
    assert len(found) == 2  # halves
    for line in found:
        for figure in re.split(" {2,}", line):
            assert figure in narrow


def test_what_it_needs(masknet) -> None:
    command = ("--models", "lr", "--out", "c")
    assert "a comparison needs --label" in masknet("compare", "log.parquet", *command).error
    assert "standard input is read once" in masknet("compare", "-", "--label", "click", *command).error
    wrong = masknet("compare", "log.parquet", *QUICK, *command, "--slice", "sight").error
    assert "unknown column 'sight'; did you mean 'site'?" in wrong
    assert "neither is given" in masknet("compare", "log.parquet", "--label", "click").error


def test_two_at_once_do_not_share_a_folder(masknet) -> None:
    from masknet.places import locked

    with locked(Path(".c.lock"), lambda: None):
        result = masknet("compare", "log.parquet", *QUICK, "--models", "lr", "--out", "c")
    assert "one comparison at a time" in result.error


def test_a_network_of_ones_own_is_compared_too(masknet) -> None:
    Path("nets.py").write_text(
        "from masknet.models import FactorizationMachine\n\n\nclass Mine(FactorizationMachine):\n    pass\n"
    )
    flags = ("--models", "nets:Mine,fm", "--seeds", 1, "--out", "c", "--set", "nets:Mine.embedding_dim=3")
    result = masknet("compare", "log.parquet", *QUICK, *flags)
    assert result.code == 0, result.err
    assert read_manifest("c/models/nets.Mine-0.masknet").settings["embedding_dim"] == 3


def test_without_the_extra_all_but_the_page_is_written(masknet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    result = masknet("compare", "log.parquet", *QUICK, "--models", "lr", "--seeds", 1, "--out", "c")
    assert result.code == 0
    assert "pip install 'masknet[report]'" in result.err
    assert not Path("c/report.html").exists()
    assert results("c")["best"] == "lr"


def test_the_page_lies_in_the_folder_and_is_named(masknet) -> None:
    pytest.importorskip("vl_convert")
    result = masknet("compare", "log.parquet", *QUICK, "--models", "lr", "--seeds", 1, "--out", "c")
    assert "the page is c/report.html" in result.out
    page = Path("c/report.html").read_text()
    assert results("c")["verdict"][0] in page
    assert "masknet predict c/models/lr-0.masknet log.parquet --out scores.parquet" in page


def test_with_groups_and_weights_its_figures_are_those_of_evaluate(masknet, rows) -> None:
    for name, seed in (("log.parquet", 0), ("test.parquet", 1)):
        frame = rows(300, seed=seed)
        frame.with_columns(w=0.5 + pl.col("user_id") % 3).write_parquet(name)
    flags = (
        "--models",
        "lr,adpredictor",
        "--seeds",
        1,
        "--group",
        "user_id",
        "--weight",
        "w",
        "--test",
        "test.parquet",
    )
    for bootstrap in ((), ("--bootstrap", 50)):
        result = masknet("compare", "log.parquet", *QUICK, *flags, *bootstrap, "--out", "c")
        assert result.code == 0, result.err
        found = by_name("c")["lr"]["metrics"]
        found.pop("rela_imp")
        own = masknet("evaluate", "c/models/lr-0.masknet", "test.parquet", *bootstrap, "--json").json["metrics"]
        assert found == own
    assert by_name("c")["adpredictor"]["status"] == "skipped"


def test_a_model_of_a_comparison_with_its_own_test_rows_can_be_trained_again(masknet) -> None:
    flags = ("--models", "fm", "--seeds", 1, "--test", "test.parquet", "--valid", "test.parquet", "--out", "c")
    assert masknet("compare", "log.parquet", *QUICK, *flags).code == 0
    assert masknet("train", "--config", "c/models/fm-0.masknet/run.json", "--out", "again.masknet").code == 0
    weights = [(Path(at) / "weights.safetensors").read_bytes() for at in ("c/models/fm-0.masknet", "again.masknet")]
    assert weights[0] == weights[1]


def test_a_refused_comparison_leaves_no_folder_that_was_not_there(masknet) -> None:
    Path("there").mkdir()
    for out in ("new/deeper/ads.compare", "there/ads.compare"):
        refused = masknet("compare", "none.csv", "--label", "click", "--models", "lr", "--out", out)
        assert refused.code == 1
    assert not Path("new").exists()
    assert list(Path("there").iterdir()) == []
