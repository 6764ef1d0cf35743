"""Bad input to `masknet train`: one sentence with the place and the way out, exit code 1, nothing half-written."""

from __future__ import annotations

import gc
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pytest

COMMON = ("--label", "click", "--cache-dir", "kept", "--out", "o.masknet")


@pytest.fixture(autouse=True)
def _log(rows) -> None:
    rows().write_parquet("log.parquet")
    rows().write_csv("log.csv")


@pytest.fixture
def refused(masknet, tiny, left_behind) -> Callable[..., str]:
    """Train, see that it is refused and that nothing is left; give the sentence."""

    def run(*arguments: object) -> str:
        before = left_behind()
        sentence = masknet("train", *COMMON, *tiny, *arguments).error
        assert left_behind() == before
        return str(sentence)

    return run


def edited(row: int, edit: Callable[[str], str]) -> str:
    lines = Path("log.csv").read_text().splitlines()
    lines[row] = edit(lines[row])
    return "\n".join(lines) + "\n"


def where(row: int, column: str, value: object) -> pl.DataFrame:
    """The log with another value in one row, counted from 1."""
    frame = pl.read_parquet("log.parquet")
    return frame.with_columns(pl.when(pl.int_range(400) == row - 1).then(pl.lit(value)).otherwise(column).alias(column))


def log() -> pl.DataFrame:
    return pl.read_parquet("log.parquet")


FILES: dict[str, tuple[str, Callable[[Path], Any], str]] = {
    "empty": ("a.csv", lambda p: p.touch(), "a.csv is empty"),
    "empty Parquet": ("a.parquet", lambda p: p.touch(), "a.parquet is empty"),
    "blank": ("a.csv", lambda p: p.write_text("\n\n"), "a.csv is blank"),
    "header only": ("a.csv", lambda p: p.write_text("click,user_id,seconds\n"), "a.csv has a header and none"),
    "header only, Parquet": ("a.parquet", lambda p: log().head(0).write_parquet(p), "a.parquet has a header and none"),
    "too many values": ("a.csv", lambda p: p.write_text(edited(17, lambda r: r + ",9")), "row 17 of a.csv has 6"),
    "too few values": ("a.csv", lambda p: p.write_text(edited(17, lambda r: "1,2")), "row 17 of a.csv has 2"),
    "a quote never closed": ("a.csv", lambda p: p.write_text(edited(17, lambda r: '1,2,"n,1,5')), "a.csv"),
    "not UTF-8": ("a.csv", lambda p: p.write_bytes(edited(17, lambda r: "1,2,Köln,1,5").encode("latin-1")), "a.csv"),
    "a cut Parquet file": (
        "a.parquet",
        lambda p: p.write_bytes(Path("log.parquet").read_bytes()[:-50]),
        "a.parquet is not a whole Parquet file",
    ),
    "no Parquet": (
        "a.parquet",
        lambda p: p.write_text("click,user_id\n1,2\n"),
        "a.parquet is not a whole Parquet file",
    ),
    "a cut gzip file": ("a.csv.gz", lambda p: p.write_bytes(b"\x1f\x8b\x08\x00junk"), "a.csv.gz"),
    "a name twice": (
        "a.csv",
        lambda p: p.write_text(edited(0, lambda r: r.replace("site", "price"))),
        "repeats 'price'",
    ),
    "another ending": ("a.xlsx", lambda p: p.write_text("x"), "a.xlsx"),
    "no label": ("a.csv", lambda p: log().drop("click").write_csv(p), "unknown column 'click'"),
    "a label near by": ("a.csv", lambda p: log().rename({"click": "clicks"}).write_csv(p), "did you mean 'clicks'?"),
    "a label of 2": ("a.parquet", lambda p: where(9, "click", 2).write_parquet(p), "'2' in row 9 of a.parquet"),
    "a label of text": (
        "a.csv",
        lambda p: p.write_text(edited(9, lambda r: "good" + r[1:])),
        "'good' in row 9 of a.csv",
    ),
    "a label missing": ("a.parquet", lambda p: where(9, "click", None).write_parquet(p), "row 9 of a.parquet"),
    "a label missing in text": ("a.csv", lambda p: where(9, "click", None).write_csv(p), "row 9 of a.csv"),
    "one class": ("a.csv", lambda p: log().with_columns(click=pl.lit(1)).write_csv(p), "column 'click'"),
    "digits lost": (
        "a.parquet",
        lambda p: log().with_columns(user_id=pl.col("user_id") + 2.0**60).write_parquet(p),
        "column 'user_id' holds 1.152921504606847e+18 in row 1 of a.parquet",
    ),
}


@pytest.mark.parametrize("case", FILES)
def test_a_bad_table(case: str, refused) -> None:
    name, write, named = FILES[case]
    write(Path(name))
    sentence = refused(name)
    assert named in sentence
    assert name in sentence


@pytest.mark.parametrize("case", [case for case in FILES if case != "one class"])
def test_a_bad_table_to_validate_on(case: str, refused) -> None:
    name, write, _ = FILES[case]
    write(Path(name))
    assert name in refused("log.parquet", "--valid", name)


def test_text_in_a_numeric_column(refused) -> None:
    Path("a.csv").write_text(edited(17, lambda row: "1,2,north,dear,5"))
    assert "column 'price' holds 'dear' in row 17 of a.csv" in refused("a.csv", "--numeric", "price")
    assert "column 'price' holds 'dear' in row 17 of a.csv" in refused("log.csv", "--valid", "a.csv")


SETTINGS = {
    "no such file": (["logs.csv"], "did you mean 'log.csv'?"),
    "no such folder": (["logs/a.csv"], "there is no folder 'logs'"),
    "a glob of nothing": (["logs-*.csv"], "'logs-*.csv'"),
    "no such valid": (["log.csv", "--valid", "lug.parquet"], "did you mean 'log.parquet'?"),
    "no such run file": (["log.csv", "--config", "run.yaml"], "'run.yaml'"),
    "a model": (["log.csv", "--model", "paralel-masknet"], "did you mean 'parallel-masknet'?"),
    "an option of the model": (["log.csv", "--set", "reducton=2"], "did you mean 'reduction'?"),
    "an option that lr has not": (["log.csv", "--model", "lr"], "lr"),
    "an option out of range": (["log.csv", "--set", "dropout=2"], "dropout"),
    "an option of another type": (["log.csv", "--set", "embedding_dim=many"], "embedding_dim"),
    "an option without a value": (["log.csv", "--set", "dropout"], "KEY=VALUE"),
    "an option like a broken list": (["log.csv", "--set", "dropout=[1"], "'[1'"),
    "a categorical column": (["log.csv", "--categorical", "sight"], "did you mean 'site'?"),
    "a numeric column": (["log.csv", "--numeric", "site,prise"], "did you mean 'price'?"),
    "an ignored column": (["log.csv", "--ignore", "user"], "did you mean 'user_id'?"),
    "a weight": (["log.csv", "--weight", "pricy"], "did you mean 'price'?"),
    "a group": (["log.csv", "--group", "user"], "did you mean 'user_id'?"),
    "a time": (["log.csv", "--time", "second"], "did you mean 'seconds'?"),
    "two parts": (["log.csv", "--weight", "price", "--numeric", "price"], "'price' is given to --weight and --numeric"),
    "a second label that is none": (["log.csv", "--label", "site"], "column 'site' holds"),
    "a label twice": (["log.csv", "--label", "click"], "'click' is said twice"),
    "a metric": (["log.csv", "--monitor", "acu"], "did you mean 'auc'?"),
    "a metric without its groups": (["log.csv", "--monitor", "grouped_auc"], "--group"),
    "a schedule": (["log.csv", "--schedule", "plato"], "'plateau' or 'constant'"),
    "a device": (["log.csv", "--device", "gpu"], "'gpu'"),
    "no rows a step": (["log.csv", "--batch-size", "0"], "'batch_size'"),
    "a share above 1": (["log.csv", "--valid-fraction", "1.5"], "'valid_fraction'"),
    "infinity": (["log.csv", "--learning-rate", "inf"], "'learning_rate'"),
    "two splits": (["log.csv", "--valid", "log.csv", "--valid-fraction", "0.2"], "valid and valid_fraction"),
    "a time to split by, without the time": (["log.csv", "--valid-after", "2026-01-01"], "time"),
    "nothing after it": (["log.csv", "--time", "seconds", "--valid-after", "2e9"], "2e9"),
    "a loss that is lost": (["log.csv", "--learning-rate", "1e30", "--set", "embedding_norm=false"], "--learning-rate"),
    "an output below a file": (["log.csv", "--out", "log.csv/o.masknet"], "log.csv"),
    "an output that is a file": (["log.csv", "--out", "log.csv"], "'log.csv'"),
    "an output that is here": (["log.csv", "--out", "."], "--out"),
    "a cache below a file": (["log.csv", "--cache-dir", "log.csv/cache"], "log.csv/cache"),
    "an output where nobody can write": (["log.csv", "--out", "/proc/o.masknet"], "/proc"),
    "a cache where nobody can write": (["log.csv", "--cache-dir", "/proc/cache"], "/proc/cache"),
}


@pytest.mark.parametrize("case", SETTINGS)
def test_bad_settings(case: str, refused) -> None:
    arguments, named = SETTINGS[case]
    assert named in refused(*arguments)


@pytest.mark.parametrize("case", ["a model", "a metric without its groups", "a loss that is lost"])
def test_after_a_refusal_the_next_attempt_is_free(case: str, refused, masknet, tiny) -> None:
    """Refused before the table is read, once its rows are encoded, and in the middle of training."""
    refused(*SETTINGS[case][0])
    assert masknet("train", "log.parquet", *COMMON, *tiny).code == 0


@contextmanager
def disk_of(size: int) -> Iterator[None]:
    """Let no file grow beyond `size` bytes: the system then refuses to write as it does on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        gc.collect()  # so that a file left open is laid to the test that left it


@pytest.mark.parametrize("size", [500, 1_000, 2_000])
def test_a_disk_that_is_full_while_encoding(size: int, masknet, tiny, left_behind) -> None:
    before = left_behind()
    with disk_of(size):
        assert "the disk is full" in masknet("train", "log.parquet", *COMMON, *tiny).error
    assert left_behind() == before
    assert masknet("train", "log.parquet", *COMMON, *tiny).code == 0


def test_a_disk_that_is_full_before_the_first_checkpoint(masknet, tiny, left_behind) -> None:
    assert masknet("train", "log.parquet", *COMMON, *tiny, "--out", "first").code == 0  # the cache holds the rows now
    before = left_behind()
    with disk_of(2_500):
        assert "the disk is full" in masknet("train", "log.parquet", *COMMON, *tiny).error
    assert left_behind() == before
    assert masknet("train", "log.parquet", *COMMON, *tiny).code == 0


def test_a_disk_that_is_full_when_the_model_is_written(masknet, tiny, rows, left_behind) -> None:
    rows(4000).write_parquet("log.parquet")
    golden = (*tiny, "--golden-rows", 4000)  # the largest of all files
    assert masknet("train", "log.parquet", *COMMON, *tiny, "--out", "first").code == 0
    before = left_behind()
    with disk_of(30_000):
        assert "the disk is full" in masknet("train", "log.parquet", *COMMON, *golden).error
    # What was reached is kept, to go on from when there is room; nothing else is.
    run = {f"o.masknet.run/{name}" for name in ("run.json", "log.jsonl", "checkpoint-1.safetensors")}
    assert set(left_behind()) - set(before) == run
    assert masknet("train", "log.parquet", *COMMON, *golden, "--resume").code == 0
    assert masknet("check", "o.masknet").code == 0


@pytest.mark.parametrize("out", ["scores.csv", "scores.parquet", "scores.csv.gz"])
def test_a_disk_that_is_full_while_predicting(out: str, masknet, trained: Path, rows, left_behind) -> None:
    rows(3000).write_csv("today.csv")
    before = left_behind()
    with disk_of(3_000):
        assert "the disk is full" in masknet("predict", trained, "today.csv", "--out", out, "--threads", 1).error
    assert left_behind() == before


def test_a_disk_that_is_full_while_fetching(masknet, left_behind) -> None:
    before = left_behind()
    with disk_of(3_000):
        assert masknet("data", "fetch", "planted", "--cache-dir", "kept").error
    assert left_behind() == before
