"""Names of columns that hold commas, blanks, equals signs, or nothing: said verbatim wherever columns are named."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import yaml

from masknet.encode import Encoder

ODD = ("price, EUR", " device", "", "a=b")
TRAIN = ("train", "log.csv", "--label", "click", "--out", "ads.masknet")


@pytest.fixture(autouse=True)
def _log(rows: Callable[..., pl.DataFrame]) -> None:
    log = rows().select("click", "user_id", pl.col("price").alias("price, EUR"), pl.col("site").alias(" device"))
    log = log.with_columns(pl.Series("", [i % 9 for i in range(400)]), pl.Series("a=b", [i % 7 for i in range(400)]))
    log.write_csv("log.csv")


def kinds(schema: dict) -> dict[str, str]:
    return {field["name"]: field["kind"] for field in schema["fields"]}


@pytest.mark.parametrize("name", ODD)
def test_a_flag_whose_text_is_a_name_means_that_column(name: str, masknet) -> None:
    schema = masknet("inspect", "log.csv", "--label", "click", "--ignore", name, "--json").json["schema"]
    assert schema["ignored"] == [name]
    schema = masknet("inspect", "log.csv", "--label", "click", "--ignore", "user_id,a=b", "--json").json["schema"]
    assert schema["ignored"] == ["user_id", "a=b"]


def test_training_keeps_them_and_repeats_them(masknet, tiny) -> None:
    flags = ("--ignore", "", "--categorical", "price, EUR", "--categorical", "a=b,user_id")
    flags += ("--hash", " device=10", "--hash", "a=b=20")
    assert masknet(*TRAIN, *tiny, *flags).code == 0
    schema = Encoder.load(Path("ads.masknet")).schema
    assert schema.ignored == ("",)
    assert schema.field_names == ("user_id", "price, EUR", " device", "a=b")
    assert [getattr(field, "buckets", None) for field in schema.fields] == [None, None, 10, 20]
    run = json.loads(Path("ads.masknet/run.json").read_text())
    assert (run["ignore"], run["categorical"]) == ([""], ["price, EUR", "a=b", "user_id"])
    assert masknet("train", "--config", "ads.masknet/run.json", "--out", "again.masknet").code == 0
    one, other = (Path(model, "weights.safetensors").read_bytes() for model in ("ads.masknet", "again.masknet"))
    assert one == other


def test_a_run_file_lists_them_as_they_are(masknet, tiny) -> None:
    run = {"data": "log.csv", "label": "click", "ignore": ["", " device"], "categorical": "price, EUR"}
    Path("run.yaml").write_text(yaml.safe_dump(run | {"hash": {"a=b": 30}}))
    assert masknet("train", "--config", "run.yaml", *tiny, "--hash", "user_id=50", "--out", "ads.masknet").code == 0
    schema = Encoder.load(Path("ads.masknet")).schema
    assert schema.field_names == ("user_id", "price, EUR", "a=b")
    assert [getattr(field, "buckets", None) for field in schema.fields] == [50, None, 30]


def test_a_resumed_run_means_the_same(masknet, tiny, ctrl_c) -> None:
    flags = ("--ignore", "price, EUR", "--hash", "a=b=20", "--epochs", 2)
    with ctrl_c("epoch 2/2", 360):
        assert masknet(*TRAIN, *tiny, *flags).code == 130
    resumed = masknet(*TRAIN, *tiny, *flags, "--resume")
    assert (resumed.code, "resumed after" in resumed.err) == (0, True)
    assert masknet(*TRAIN, *tiny, *flags, "--out", "whole.masknet").code == 0
    one, other = (Path(model, "weights.safetensors").read_bytes() for model in ("ads.masknet", "whole.masknet"))
    assert one == other


def test_slices_and_appended_columns(masknet, tiny) -> None:
    assert masknet(*TRAIN, *tiny).code == 0
    flags = ("--slice", "price, EUR", "--slice", "", "--slice", "user_id, a=b", "--threads", 1, "--json")
    slices = masknet("evaluate", "ads.masknet", "log.csv", *flags).json["slices"]
    assert list(slices) == ["price, EUR", "", "user_id", "a=b"]
    flags = ("--append", "price, EUR", "--append", " device", "--append", "", "--append", "click,a=b")
    assert masknet("predict", "ads.masknet", "log.csv", "--out", "s.parquet", *flags, "--threads", 1).code == 0
    assert pl.read_parquet("s.parquet").columns == ["price, EUR", " device", "", "click", "a=b", "probability"]


def test_hints_are_flags_that_say_these_names(masknet) -> None:
    pl.DataFrame({"click": [0, 1] * 60, "size, net": range(0, 240, 2), "in $": range(5, 365, 3)}).write_csv("n.csv")
    pl.read_csv("n.csv").with_columns(pl.Series("o", range(7, 127))).write_csv("n.csv")
    shown = masknet("inspect", "n.csv", "--label", "click").out.splitlines()[-1]
    assert shown == "to follow all hints: --categorical 'in $,o' --categorical 'size, net'"
    flags = shlex.split(shown.removeprefix("to follow all hints: "))
    schema = masknet("inspect", "n.csv", "--label", "click", *flags, "--json").json["schema"]
    assert kinds(schema) == dict.fromkeys(["size, net", "in $", "o"], "categorical")


def test_what_is_no_name_gets_the_nearest(masknet) -> None:
    error = masknet("inspect", "log.csv", "--label", "click", "--ignore", "device").error
    assert error == "--ignore names a column of log.csv: unknown column 'device'; did you mean ' device'?"
    error = masknet("inspect", "log.csv", "--label", "click", "--hash", "a=c=5").error
    assert error == "--hash names a column of log.csv: unknown column 'a=c'; did you mean 'a=b'?"
