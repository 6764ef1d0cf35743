from __future__ import annotations

import re
from pathlib import Path

import polars as pl
import pytest
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

from masknet.manifest import read_manifest

METRICS = {"auc", "log_loss", "normalized_entropy", "calibration_ratio", "expected_calibration_error", "pr_auc"}


@pytest.fixture(autouse=True)
def _log(rows) -> None:
    rows(300, seed=5).write_parquet("test.parquet")
    rows(300, seed=5).write_csv("test.csv")


ALWAYS = {"model", "metrics", "rows", "clicks", "skew", "mean_probability", "train_click_rate"}


def test_one_json_object_as_the_contract_says(masknet, trained: Path) -> None:
    result = masknet("evaluate", trained, "test.parquet", "--threads", 1, "--json")
    assert result.code == 0
    assert set(result.json) - {"warnings"} == ALWAYS
    assert result.json["clicks"] == pl.read_parquet("test.parquet")["click"].sum()
    assert result.json["model"] == read_manifest(trained).subject
    assert set(result.json["model"]) == {"name", "members", "parameters"}
    assert result.json["rows"] == 300
    assert set(result.json["metrics"]) == METRICS
    auc = result.json["metrics"]["auc"]
    assert auc["low"] < auc["value"] < auc["high"]


def test_it_is_what_scikit_learn_says_of_the_predictions(masknet, trained: Path) -> None:
    assert masknet("predict", trained, "test.csv", "--out", "p.parquet", "--threads", 1).code == 0
    found = masknet("evaluate", trained, "test.csv", "--threads", 1, "--json").json["metrics"]
    labels = pl.read_parquet("test.parquet")["click"].to_numpy()
    probability = pl.read_parquet("p.parquet")["probability"].to_numpy()
    assert found["auc"]["value"] == pytest.approx(roc_auc_score(labels, probability), abs=1e-12)
    assert found["log_loss"]["value"] == pytest.approx(log_loss(labels, probability), abs=1e-12)
    assert found["pr_auc"]["value"] == pytest.approx(average_precision_score(labels, probability), abs=1e-12)


def test_a_table_for_people(masknet, trained: Path) -> None:
    result = masknet("evaluate", trained, "test.parquet", "--threads", 1)
    assert result.code == 0
    lines = result.out.splitlines()
    assert lines[0].split() == ["metric", "value", "95", "%", "interval"]
    mean = r"mean probability 0\.\d{5}; the click rate of training was 0\.\d{5}"
    for pattern in (r"parallel-masknet, 1 member, [\d,]+ parameters", mean):
        assert [bool(re.fullmatch(pattern, line)) for line in lines].count(True) == 1, result.out
    assert f"300 rows of test.parquet, {pl.read_parquet('test.parquet')['click'].sum()} clicks" in lines
    assert lines[1].startswith("auc ")
    assert " to " in lines[1]
    assert "auc" not in result.err


def test_values_that_training_never_saw_are_told(masknet, trained: Path) -> None:
    pl.read_parquet("test.parquet").with_columns(user_id=pl.col("user_id") + 1000).write_parquet("new.parquet")
    result = masknet("evaluate", trained, "new.parquet", "--baseline", trained, "--threads", 1, "--json")
    (skew,) = result.json["skew"]
    assert (skew["field"], skew["kind"], skew["share"]) == ("user_id", "unseen", 1.0)
    sentence = f"user_id: 100 % of the values were never seen in training (0 % in validation), e.g. '{skew['example']}'"
    assert f"warning: {sentence}\n" in result.err
    assert f"warning: the baseline: {sentence}\n" in result.err
    assert masknet("evaluate", trained, "new.parquet", "--threads", 1, "--strict").error.startswith(sentence)
    assert masknet("evaluate", trained, "test.parquet", "--threads", 1, "--strict").code == 0


def test_a_baseline_on_the_same_rows(masknet, trained: Path, tiny) -> None:
    result = masknet("evaluate", trained, "test.parquet", "--baseline", trained, "--threads", 1, "--json").json
    assert result["metrics"]["rela_imp"]["value"] == pytest.approx(0)
    assert result["baseline"] == result["model"]
    shown = masknet("evaluate", trained, "test.parquet", "--baseline", trained, "--threads", 1).out
    assert "rela imp" in shown
    assert "baseline auc" in shown
    assert "baseline: parallel-masknet, 1 member, " in shown


def test_groups(masknet, trained: Path) -> None:
    result = masknet("evaluate", trained, "test.parquet", "--group", "site", "--threads", 1, "--json")
    assert 0 < result.json["metrics"]["grouped_auc"]["value"] < 1


def test_limit_rows(masknet, trained: Path) -> None:
    assert masknet("evaluate", trained, "test.csv", "--limit-rows", 50, "--threads", 1, "--json").json["rows"] == 50


def test_an_undefined_metric_says_why(masknet, trained: Path, rows) -> None:
    rows(50).with_columns(click=pl.lit(1)).write_parquet("clicks.parquet")
    result = masknet("evaluate", trained, "clicks.parquet", "--threads", 1, "--json")
    assert (result.code, result.json["rows"]) == (0, 50)
    assert result.json["metrics"]["auc"]["value"] is None
    assert "50 rows are positives" in result.json["metrics"]["auc"]["why"]
    assert isinstance(result.json["metrics"]["log_loss"]["value"], float)
    shown = masknet("evaluate", trained, "clicks.parquet", "--threads", 1).out
    assert [line.split()[:2] for line in shown.splitlines()][1] == ["auc", "undefined"]


def test_slices_are_shown_worst_first(masknet, trained: Path) -> None:
    arguments = ["evaluate", trained, "test.csv", "--threads", 1, "--slice", "site, price", "--slice", "user_id"]
    found = masknet(*arguments, "--json").json
    assert set(found) - {"warnings"} == ALWAYS | {"slices"}
    assert list(found["slices"]) == ["site", "price", "user_id"]
    assert {part["value"] for part in found["slices"]["site"]} == {"north", "south", "Köln", "07", "missing"}
    for parts in found["slices"].values():
        assert sum(part["rows"] for part in parts) == 300
        aucs = [part["metrics"]["auc"]["value"] for part in parts]
        defined = [value for value in aucs if value is not None]
        assert aucs == sorted(defined) + [None] * (len(aucs) - len(defined))
        assert set(parts[0]) == {"value", "rows", "metrics", "below_overall"}
        assert set(parts[0]["metrics"]) == METRICS
    shown = masknet(*arguments).out
    start = shown.index("by 'site', the worst auc first")
    lines = shown[start:].splitlines()
    assert lines[1].split() == ["log", "calibration"]
    assert lines[2].split() == ["value", "rows", "auc", "95", "%", "interval", "loss", "ratio"]
    assert [line.split()[0] for line in lines[3:8]] == [part["value"] for part in found["slices"]["site"]]


def test_a_slice_without_an_auc_says_why_and_one_below_has_a_star(masknet, trained: Path, rows) -> None:
    labels = pl.when(pl.col("site") == "07").then(1).otherwise(pl.col("click"))
    contrary = pl.when(pl.col("site") == "Köln").then(1 - pl.col("user_id") % 2).otherwise(labels)
    rows(4000).with_columns(click=contrary).write_parquet("odd.parquet")
    shown = masknet("evaluate", trained, "odd.parquet", "--slice", "site", "--threads", 1).out
    lines = shown[shown.index("by 'site'") :].splitlines()
    last = next(line for line in lines if line.startswith("07"))
    assert "undefined" in last
    assert "rows are positives" in last
    assert lines.index(last) == 7
    assert lines[3].startswith("Köln")
    assert " *" in lines[3]
    assert lines[-1].startswith("* the whole interval lies below the auc of all rows")


def test_what_a_terminal_cannot_show_is_replaced(masknet, trained: Path, rows) -> None:
    rows(60).with_columns(place=pl.lit("New\n\x1b[31mYork [b]")).write_parquet("places.parquet")
    result = masknet("evaluate", trained, "places.parquet", "--slice", "place", "--threads", 1)
    assert "\x1b" not in result.out
    assert "New\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}[31mYork [b]" in result.out


def test_groups_and_bootstrap_say_what_was_resampled(masknet, trained: Path) -> None:
    arguments = ["evaluate", trained, "test.csv", "--threads", 1]
    by_group = masknet(*arguments, "--group", "user_id").out
    assert "intervals of grouped auc and ndcg: bootstrap, 1,000 resamples of groups" in by_group
    assert "40 groups of 'user_id'; left out:" in by_group
    assert "ndcg at 10" in by_group
    assert "intervals: bootstrap, 50 resamples of rows" in masknet(*arguments, "--bootstrap", 50).out
    both = masknet(*arguments, "--bootstrap", 50, "--group", "user_id")
    assert "intervals: bootstrap, 50 resamples of groups" in both.out
    found = [masknet(*arguments, "--bootstrap", 50, "--seed", seed, "--json").json for seed in (0, 0, 1)]
    assert found[0] == found[1]
    assert found[0]["interval"] == {"kind": "bootstrap", "resamples": 50, "unit": "row"}
    assert found[0]["metrics"]["auc"]["value"] == found[2]["metrics"]["auc"]["value"]
    assert found[0]["metrics"]["auc"]["low"] != found[2]["metrics"]["auc"]["low"]
    assert found[0]["metrics"]["pr_auc"]["low"] is not None


BAD = {
    "an unknown slice": (["MODEL", "test.csv", "--slice", "sit"], "unknown column 'sit'; did you mean 'site'?"),
    "a seed of nothing": (["MODEL", "test.csv", "--seed", "1"], "add --bootstrap N or --group COLUMN"),
    "no model": (["nowhere.masknet", "test.csv"], "no artifact at 'nowhere.masknet'"),
    "no table": (["MODEL", "tests.csv"], "did you mean 'test.csv'?"),
    "no baseline": (["MODEL", "test.csv", "--baseline", "lr"], "no artifact at 'lr'"),
    "unlabelled": (["MODEL", "unlabelled.csv"], "column 'click' is missing from unlabelled.csv"),
    "an unknown group": (["MODEL", "test.csv", "--group", "sit"], "'sit'"),
    "a field missing": (["MODEL", "narrow.csv"], "column 'price' is missing from narrow.csv"),
    "a label that is none": (["MODEL", "three.csv"], "column 'click' holds '2' in row 3 of three.csv"),
    "a label missing": (["MODEL", "null.csv"], "column 'click' is missing in row 4 of null.csv"),
    "an unknown device": (["MODEL", "test.csv", "--device", "gpu"], "gpu"),
    "text for a number": (["MODEL", "text.csv"], "column 'price' holds 'dear' in row 2 of text.csv"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_sentence(case: str, masknet, trained: Path, rows) -> None:
    table = rows(10)
    table.drop("click").write_csv("unlabelled.csv")
    table.drop("price").write_csv("narrow.csv")
    place = pl.int_range(10)
    table.with_columns(click=pl.when(place == 2).then(2).otherwise("click")).write_csv("three.csv")
    table.with_columns(click=pl.when(place == 3).then(None).otherwise("click")).write_csv("null.csv")
    dear = pl.when(place == 1).then(pl.lit("dear")).otherwise(pl.col("price").cast(pl.String))
    table.with_columns(price=dear).write_csv("text.csv")
    arguments, named = BAD[case]
    result = masknet("evaluate", *(str(trained) if word == "MODEL" else word for word in arguments), "--threads", 1)
    assert named in result.error


def test_a_slice_by_a_column_that_the_model_ignores_reads_numbers_as_the_model_does(masknet, tiny, rows) -> None:
    depth = pl.Series(["0,5", "1,5", "gone", "2,5"] * 75)
    rows(300).with_columns(depth=depth).write_csv("depth.csv")
    flags = ("--label", "click", "--ignore", "depth", "--decimal", ",", "--missing", "gone")
    assert masknet("train", "depth.csv", *flags, *tiny, "--out", "m.masknet").code == 0
    slices = masknet("evaluate", "m.masknet", "depth.csv", "--slice", "depth", "--threads", 1, "--json").json["slices"]
    assert {part["value"]: part["rows"] for part in slices["depth"]} == dict.fromkeys(
        ["0.5", "1.5", "2.5", "missing"], 75
    )
