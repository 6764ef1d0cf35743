"""Moments on the command line, from the texts of a log that somebody has to the scores."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import polars as pl
import pytest

from masknet.encode import Encoder

FORMAT = "%m/%d/%Y %H:%M"
COMMAND = ("train", "log.csv", "--label", "click", "--model", "lr")


@pytest.fixture(autouse=True)
def _log(rows) -> None:
    at = [dt.datetime(2016, 6, 9) + dt.timedelta(minutes=97 * i) for i in range(400)]
    cells = [f"{one.month}/{one.day}/{one.year} {one.hour}:{one.minute:02}" for one in at]
    frame = rows().drop("seconds").with_columns(at=pl.Series(cells))
    frame.write_csv("log.csv")
    frame.with_columns(at=pl.Series(at)).write_parquet("log.parquet")


@pytest.fixture
def quick() -> tuple[str, ...]:
    return ("--epochs", "1", "--members", "1", "--evaluations", "1", "--threads", "1", "--out", "ads.masknet")


def test_a_format_belongs_to_the_model_and_holds_for_what_it_scores(masknet, quick) -> None:
    result = masknet(*COMMAND, *quick, "--datetime", f"at={FORMAT}")
    assert result.code == 0, result.err
    field = Encoder.load(Path("ads.masknet")).schema.fields[-1]
    assert field.model_dump(mode="json") == {
        "name": "at", "kind": "datetime", "form": FORMAT, "zoned": False, "encoding": "knots",
    }  # fmt: skip
    scores = []
    for name in ("log.csv", "log.parquet"):
        assert masknet("predict", "ads.masknet", name, "--out", "scores.csv", "--overwrite").code == 0
        scores.append(Path("scores.csv").read_text())
        assert masknet("evaluate", "ads.masknet", name, "--json").json["rows"] == 400
    assert scores[0] == scores[1]
    pl.read_csv("log.csv").with_columns(at=pl.lit("NA")).write_csv("unknown.csv")
    assert masknet("predict", "ads.masknet", "unknown.csv", "--out", "unknown.scores.csv").code == 0
    pl.read_csv("log.csv").with_columns(at=pl.lit("2016-06-09 00:00")).write_csv("other.csv")
    for verb in (("predict", "--out", "others.csv"), ("evaluate",)):
        error = masknet(verb[0], "ads.masknet", "other.csv", *verb[1:]).error
        assert f"here as {FORMAT}; column 'at' holds '2016-06-09 00:00' in row 1 of other.csv" in error


def test_inspect_marks_other_dates_and_what_it_says_can_be_followed(masknet) -> None:
    shown = masknet("inspect", "log.csv", "--label", "click")
    (line,) = [line for line in shown.out.splitlines() if line.startswith("at ")]
    assert line.split()[:3] == ["at", "categorical", "?"]
    hints = f"--datetime 'at={FORMAT}' --time 'at={FORMAT}'"
    assert f"to follow all hints: {hints}" in shown.out.splitlines()
    flags = ("--datetime", f"at={FORMAT}", "--time", f"at={FORMAT}")
    followed = masknet("inspect", "log.csv", "--label", "click", *flags)
    assert "to follow all hints" not in followed.out
    assert masknet("inspect", "log.csv", "--label", "click", *flags, "--json").json["schema"]["time"] == "at"


@pytest.mark.parametrize("flag", ["--datetime", "--time"])
def test_inspect_refuses_what_training_would(flag: str, masknet, quick) -> None:
    sentences = {
        masknet("inspect", "log.csv", "--label", "click", flag, "at").error,
        masknet(*COMMAND, *quick, flag, "at").error,
    }
    (sentence,) = sentences
    assert "column 'at' holds '6/9/2016 0:00' in row 1 of log.csv: mend the cell" in sentence
    assert masknet("inspect", "log.csv", "--label", "click", flag, "at=%H:%M").error == (
        "a format of moments names the year, in strptime's notation, as %m/%d/%Y %H:%M:%S.%f does; '%H:%M' does not"
    )


def test_training_ends_with_the_hint_at_time_where_the_split_is_random(masknet, quick) -> None:
    Path("valid.csv").write_text(Path("log.csv").read_text())
    hint = "to follow all hints: --time at"
    command = (*COMMAND, *quick, "--overwrite", "--datetime", f"at={FORMAT}")
    assert masknet(*command).out.splitlines()[-1] == hint
    for otherwise in (
        ("--time", "at"),
        ("--time", "at", "--valid-after", "7/1/2016 12:00"),
        ("--time", "at", "--valid-after", "2016-07-01"),
        ("--valid", "valid.csv"),
        ("--valid-fraction", "0.2"),
    ):
        result = masknet(*command, *otherwise)
        assert result.code == 0, result.err
        assert "to follow all hints" not in result.out
    last = masknet(*command, "--time", "at", "--valid-after", "7/1/2016 12:00", "--json").json
    at = pl.read_parquet("log.parquet")["at"]
    assert last["rows"] == (at > dt.datetime(2016, 7, 1, 12)).sum()
    error = masknet(*command, "--time", "at", "--valid-after", "yesterday").error
    assert error == (
        f"--valid-after is a moment, as {FORMAT} or an ISO date or time (2026-01-31, 2026-01-31 12:00:00, "
        "2026-01-31T12:00:00+01:00); got 'yesterday'"
    )


def test_a_run_file_says_formats_as_a_list_or_as_a_mapping(masknet, quick) -> None:
    models = []
    for said in (f"[at={FORMAT}]", f"{{at: '{FORMAT}'}}"):
        Path("run.yaml").write_text(f"data: log.csv\nlabel: click\nmodel: lr\ndatetime: {said}\ntime: at\n")
        result = masknet("train", "--config", "run.yaml", *quick, "--overwrite")
        assert result.code == 0, result.err
        models.append(Path("ads.masknet/weights.safetensors").read_bytes())
        assert json.loads(Path("ads.masknet/run.json").read_text())["datetime"] == [f"at={FORMAT}"]
    assert models[0] == models[1]


def test_bad_moments_of_a_format_are_set_aside(masknet, quick) -> None:
    frame = pl.read_csv("log.csv")
    frame.with_columns(at=pl.Series(["2016-06-09", "NA", *frame["at"][2:]])).write_csv("log.csv")
    result = masknet(*COMMAND, *quick, "--datetime", f"at={FORMAT}", "--bad-rows", "quarantine")
    assert result.code == 0, result.err
    bad = pl.read_csv("ads.masknet.run/bad_rows.csv")
    assert bad["row"].to_list() == [1]
    assert f"here as {FORMAT}; column 'at' holds '2016-06-09' in row 1" in bad["reason"][0]
