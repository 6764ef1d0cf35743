from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import polars as pl
import pytest

from masknet.cli.console import ConsoleProgress


@pytest.fixture(autouse=True)
def _log(rows) -> None:
    rows().write_parquet("log.parquet")
    rows().write_csv("log.v2.csv")
    rows(200, seed=1).write_parquet("valid.parquet")


COMMON = ("--label", "click", "--ignore", "seconds")


def manifest(model: str) -> dict:
    return json.loads((Path(model) / "manifest.json").read_text())


def files(model: str) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in Path(model).iterdir()}


def test_only_data_and_label_are_required(masknet, tiny) -> None:
    result = masknet("train", "log.parquet", "--label", "click", "--epochs", 1, "--threads", 1)
    assert result.code == 0
    assert manifest("log.masknet")["model"] == "parallel-masknet"
    assert manifest("log.masknet")["data"]["rows"] == 360
    assert manifest("log.masknet")["rows"] == 40


def test_results_on_stdout_and_all_else_on_stderr(masknet, tiny) -> None:
    result = masknet("train", "log.parquet", *COMMON, *tiny)
    assert result.code == 0
    for shown in ("95 % interval", "calibration ratio", "40 validation rows, lies in log.masknet", "clicks predicted"):
        assert shown in result.out
        assert shown not in result.err
    for told in ("about 400 rows", "in the cache", "360 rows to train on, 40 to validate on", "valid auc 0."):
        assert told in result.err
        assert told not in result.out
    assert len(result.err.splitlines()) == 10


def test_of_the_columns_only_surprises_are_shown_and_a_command_shows_all(masknet, tiny, rows) -> None:
    odd = rows(1000).with_columns(
        same=pl.lit(3),
        gone=pl.lit(None, dtype=pl.Float64),
        row=pl.format("r-{}", pl.int_range(1000)),
        told=pl.lit(9),
    )
    odd.write_parquet("odd one.parquet")
    flags = ("--label", "click", "--ignore", "told", "--numeric", "user_id", "--categorical", "seconds")
    result = masknet("train", "odd one.parquet", *flags, *tiny)
    lines = result.err.splitlines()
    kinds = {"user_id", "site", "price", "seconds", "same", "gone", "row", "told", "click"}
    assert {line.split()[0] for line in lines if line.split()[0] in kinds} == {"same", "gone", "row"}
    (said,) = (line for line in lines if line.startswith("1,000 rows, 9 columns: "))
    assert "1 label" in said
    program, *words = shlex.split(said.partition("`")[2].partition("`")[0])
    assert program
    shown = masknet(*words).out
    assert {line.split()[0] for line in shown.splitlines()} >= kinds
    assert re.search(r"^user_id +numeric +declared", shown, flags=re.M)


def test_a_resumed_run_shows_no_columns(masknet, tiny) -> None:
    assert "columns: " not in masknet("train", "log.parquet", *COMMON, *tiny, "--resume").err


def test_each_evaluation_is_logged_and_told_only_where_that_is_asked_for(masknet, tiny) -> None:
    command = ("train", "log.parquet", *COMMON, *tiny, "--epochs", 2, "--evaluations", 2, "--patience", 9)
    quiet = masknet(*command, "--out", "quiet")
    told = masknet(*command, "--out", "told", "--verbose")
    assert not re.search(r"^epoch ", quiet.err, flags=re.M)
    assert re.findall(r"^epoch ([\d.]+): train log loss", told.err, flags=re.M) == ["0.5", "1", "1.5", "2"]
    assert "taken from the cache" in told.err
    assert len(Path("quiet.run/log.jsonl").read_text().splitlines()) == 4
    assert files("quiet")["weights.safetensors"] == files("told")["weights.safetensors"]


def test_whether_evaluations_are_told_is_free_on_resume(masknet, tiny, ctrl_c) -> None:
    command = ("train", "log.parquet", *COMMON, *tiny, "--epochs", 2, "--batch-size", 32, "--out", "cut")
    with ctrl_c("epoch 2/2", 96):
        assert masknet(*command).code == 130
    resumed = masknet(*command, "--resume", "--verbose")
    assert (resumed.code, "epoch 2: train log loss" in resumed.err) == (0, True)


def test_it_ends_with_logistic_regression_beside_it_and_commands_that_run(masknet, tiny) -> None:
    result = masknet("train", "log.parquet", *COMMON, *tiny, "--out", "a model")
    lines = result.out.splitlines()
    assert lines[0].split() == ["metric", "value", "95", "%", "interval", "logistic", "regression"]
    assert re.search(r"log loss .* predicting the click rate; clicks predicted ", result.out)
    own = masknet("train", "log.parquet", "--label", "click", "--ignore", "seconds", "--model", "lr", "--out", "lr")
    assert "logistic regression" not in own.out
    beside = next(line.split()[-1] for line in lines if line.startswith("log loss"))
    alone = next(line.split()[2] for line in own.out.splitlines() if line.startswith("log loss"))
    assert float(beside) == pytest.approx(float(alone), abs=10.0 ** -len(beside.partition(".")[2]))
    commands = [shlex.split(line) for line in lines if line.startswith("  ")]
    assert [words[1] for words in commands] == ["predict", "evaluate", "check"]
    for words in commands:
        assert masknet(*words[1:]).code == 0, words
    again = masknet("train", "log.parquet", *COMMON, *tiny, "--out", "b")
    assert "--out scores-2.parquet" in again.out


def test_the_next_commands_are_of_the_validation_table_and_its_names(masknet, tiny, rows) -> None:
    for name, seed in (("a.csv", 0), ("b.csv", 1)):
        rows(seed=seed).drop("seconds").write_csv(name, include_header=False)
    flags = ("--label", "click", "--columns", "click,user_id,site,price", "--valid", "b.csv")
    result = masknet("train", "a.csv", *flags, *tiny)
    commands = [shlex.split(line) for line in result.out.splitlines() if line.startswith("  ")]
    assert all("b.csv" in words for words in commands[:2])
    for words in commands:
        assert masknet(*words[1:]).code == 0, words


def test_where_logistic_regression_would_take_long_it_is_left_out(masknet, tiny, monkeypatch) -> None:
    monkeypatch.setattr("masknet.train.run._QUICK", 100)
    assert "logistic regression" not in masknet("train", "log.parquet", *COMMON, *tiny).out


def test_a_ctrl_c_while_logistic_regression_is_trained_leaves_the_end_of_the_run(masknet, tiny, ctrl_c) -> None:
    with ctrl_c("logistic regression beside it, epoch 1/50", 360):
        result = masknet("train", "log.parquet", *COMMON, *tiny)
    assert result.code == 0
    assert "logistic regression" not in result.out
    assert "lies in log.masknet" in result.out


def test_json_is_one_object_and_nothing_else(masknet, tiny) -> None:
    result = masknet("train", "log.parquet", *COMMON, *tiny, "--json")
    assert result.code == 0
    assert result.json["out"] == "log.masknet"
    assert result.json["rows"] == 40
    assert set(result.json["metrics"]["auc"]) >= {"value", "low", "high"}
    assert result.json["metrics"] == manifest("log.masknet")["metrics"]
    assert result.out.count("\n") == 1


@pytest.mark.parametrize(
    ("data", "model"),
    [("log.v2.csv", "log.masknet"), ("shards", "shards.masknet"), ("shards/part-*.parquet", "part.masknet")],
)
def test_the_model_is_named_after_the_data_and_lies_here(data: str, model: str, masknet, tiny, rows) -> None:
    Path("shards").mkdir()
    rows(200).write_parquet("shards/part-0.parquet")
    rows(200, seed=1).write_parquet("shards/part-1.parquet")
    result = masknet("train", data, *COMMON, *tiny, "--json")
    assert result.json["out"] == model
    assert (Path(model) / "manifest.json").is_file()


def test_a_model_is_not_overwritten_without_being_told(masknet, tiny) -> None:
    assert masknet("train", "log.parquet", *COMMON, *tiny, "--out", "a.masknet").code == 0
    before = files("a.masknet")
    refused = masknet("train", "log.parquet", *COMMON, *tiny, "--out", "a.masknet", "--seed", 1)
    assert "'a.masknet'" in refused.error
    assert "--overwrite" in refused.error
    assert files("a.masknet") == before
    assert masknet("train", "log.parquet", *COMMON, *tiny, "--out", "a.masknet", "--seed", 1, "--overwrite").code == 0
    assert manifest("a.masknet")["seed"] == 1


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_only_a_model_is_ever_replaced(kind: str, masknet, tiny) -> None:
    if kind == "file":
        Path("mine").write_text("dear")
    else:
        Path("mine").mkdir()
        Path("mine/diary.txt").write_text("dear")
    assert "'mine'" in masknet("train", "log.parquet", *COMMON, *tiny, "--out", "mine", "--overwrite").error
    assert Path("mine" if kind == "file" else "mine/diary.txt").read_text() == "dear"


def test_settings_reach_the_network_and_the_artifact(masknet, tiny) -> None:
    given = ("--model", "serial-masknet", "--set", "block_dims=[5,3]", "--set", "reduction=1.5", "--batch-size", 64)
    args = ("--epochs", 1, "--threads", 1, "--seed", 3, "--golden-rows", 0, "--set", "embedding_dim=2")
    assert masknet("train", "log.parquet", *COMMON, *given, *args).code == 0
    kept = manifest("log.masknet")
    assert kept["model"] == "serial-masknet"
    assert (kept["settings"]["block_dims"], kept["settings"]["reduction"]) == ([5, 3], 1.5)
    assert (kept["threads"], kept["seed"]) == (1, 3)
    assert not Path("log.masknet/golden.parquet").exists()
    run = json.loads(Path("log.masknet/run.json").read_text())
    assert (run["batch_size"], run["set"]["block_dims"], run["ignore"]) == (64, [5, 3], ["seconds"])


def test_columns_are_declared_repeated_or_comma_separated(masknet, tiny) -> None:
    flags = ("--label", "click", "--categorical", "price,site", "--categorical", "user_id", "--ignore", "seconds")
    assert masknet("train", "log.parquet", *flags, *tiny).code == 0
    schema = json.loads(Path("log.masknet/encoding.json").read_text())["schema"]
    assert {f["name"]: f["kind"] for f in schema["fields"]} == dict.fromkeys(
        ("user_id", "site", "price"), "categorical"
    )


def test_limit_rows(masknet, tiny) -> None:
    assert masknet("train", "log.parquet", *COMMON, *tiny, "--limit-rows", 100, "--valid", "valid.parquet").code == 0
    assert manifest("log.masknet")["data"]["rows"] == 100


def test_valid_from_a_file_a_fraction_and_a_time(masknet, tiny) -> None:
    def rows_of(*flags: object) -> int:
        return masknet("train", "log.parquet", "--label", "click", *tiny, "--json", "--overwrite", *flags).json["rows"]

    assert rows_of("--valid", "valid.parquet", "--ignore", "seconds") == 200
    assert rows_of("--valid-fraction", 0.25, "--ignore", "seconds") == 100
    assert rows_of("--time", "seconds") == 40
    assert rows_of("--time", "seconds", "--valid-after", 1_700_000_000 + 379 * 60) == 20


def test_the_cache_is_told_and_used_again(masknet, tiny) -> None:
    assert masknet("train", "log.parquet", *COMMON, *tiny, "--cache-dir", "kept", "--out", "a").code == 0
    assert len(list(Path("kept/encoded").iterdir())) == 1
    again = masknet("train", "log.parquet", *COMMON, *tiny, "--cache-dir", "kept", "--out", "b")
    assert "taken from the cache" in again.err
    assert files("a")["weights.safetensors"] == files("b")["weights.safetensors"]
    other = masknet(
        "train", "log.parquet", "--label", "click", "--ignore", "seconds,site", *tiny, "--cache-dir", "kept"
    )
    assert "taken from the cache" not in other.err


def test_csv_and_parquet_train_the_same_weights(masknet, tiny) -> None:
    assert masknet("train", "log.parquet", *COMMON, *tiny, "--out", "a").code == 0
    assert masknet("train", "log.v2.csv", *COMMON, *tiny, "--out", "b").code == 0
    assert files("a")["weights.safetensors"] == files("b")["weights.safetensors"]


def test_resume_without_a_state_starts_afresh_and_with_a_finished_run_does_nothing(masknet, tiny) -> None:
    fresh = masknet("train", "log.parquet", *COMMON, *tiny, "--resume")
    assert fresh.code == 0
    assert "starts afresh" in fresh.err
    before = files("log.masknet")
    again = masknet("train", "log.parquet", *COMMON, *tiny, "--resume", "--json")
    assert (again.code, again.json) == (0, {"out": "log.masknet"})
    assert "finished" in again.err
    assert files("log.masknet") == before


def test_ctrl_c_leaves_a_run_to_resume_and_says_so(masknet, tiny, ctrl_c) -> None:
    command = ("train", "log.parquet", *COMMON, *tiny, "--epochs", 4, "--batch-size", 32, "--patience", 9)
    assert masknet(*command, "--out", "whole").code == 0
    with ctrl_c("epoch 3/4", 96):
        stopped = masknet(*command, "--out", "cut")
    assert (stopped.code, stopped.out) == (130, "")
    assert "Traceback" not in stopped.err
    assert "--resume" in stopped.err.splitlines()[-1]
    assert not stopped.err.splitlines()[-1].startswith("error")
    assert not Path("cut").exists()

    refused = masknet(*command, "--out", "cut")
    assert "cut.run" in refused.error
    assert "--resume" in refused.error
    resumed = masknet(*command, "--out", "cut", "--resume")
    assert resumed.code == 0
    assert "resumed after" in resumed.err
    assert files("cut")["weights.safetensors"] == files("whole")["weights.safetensors"]
    assert [p.name for p in Path("cut.run").iterdir()] == ["log.jsonl"]
    assert [json.loads(line)["epoch"] for line in Path("cut.run/log.jsonl").read_text().splitlines()] == [1, 2, 3, 4]


def test_ctrl_c_before_training_is_no_traceback(masknet, tiny, monkeypatch: pytest.MonkeyPatch, left_behind) -> None:
    def interrupting(
        self: ConsoleProgress, phase: str, done: int, total: int | None, detail: str = "", unit: str = ""
    ) -> None:
        raise KeyboardInterrupt

    before = left_behind()
    monkeypatch.setattr(ConsoleProgress, "track", interrupting)
    result = masknet("train", "log.parquet", *COMMON, *tiny, "--cache-dir", "kept")
    assert (result.code, result.out) == (130, "")
    assert "Traceback" not in result.err
    assert left_behind() == before


def test_weights_groups_and_a_monitor(masknet, tiny, rows) -> None:
    rows().with_columns(weight=pl.lit(0.5), day=pl.int_range(400) % 5).write_parquet("weighted.parquet")
    flags = (*COMMON, "--weight", "weight", "--group", "day", "--monitor", "grouped_auc", "--json")
    result = masknet("train", "weighted.parquet", *flags, *tiny)
    assert result.json["training"]["monitor"] == "grouped_auc"
    assert "grouped_auc" in result.json["metrics"]


def test_a_monitor_that_is_undefined_on_valid_becomes_log_loss(masknet, tiny, rows) -> None:
    rows(50).with_columns(click=pl.lit(0)).write_parquet("no-click.parquet")
    result = masknet("train", "log.parquet", *COMMON, *tiny, "--valid", "no-click.parquet", "--json")
    assert result.json["training"]["monitor"] == "log_loss"
    assert "warning: auc is undefined on the validation rows" in result.err
    assert result.json["metrics"]["auc"]["value"] is None
    assert result.json["metrics"]["auc"]["why"]


def test_warnings_are_told_and_the_run_goes_on(masknet, tiny, rows) -> None:
    odd = rows().with_columns(
        same=pl.lit(3),
        gone=pl.lit(None, dtype=pl.Float64),
        ratio=pl.when(pl.int_range(400) == 9).then(float("inf")).otherwise(pl.int_range(400) / 7),
        clicked=pl.col("click").replace_strict({0: "no", 1: "yes"}),
    )
    odd.write_parquet("odd.parquet")
    result = masknet("train", "odd.parquet", *COMMON, *tiny)
    assert result.code == 0
    warnings = [line for line in result.err.splitlines() if line.startswith("warning: ")]
    for column, word in (("same", "constant"), ("gone", "missing"), ("ratio", "infinite"), ("clicked", "label")):
        assert [w for w in warnings if f"'{column}'" in w and word in w], (column, warnings)
    assert len(warnings) == 4
    again = masknet("train", "odd.parquet", *COMMON, *tiny, "--overwrite")
    assert [line for line in again.err.splitlines() if line.startswith("warning: ")] == warnings
