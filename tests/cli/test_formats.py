"""Files without a header, partitioned folders and labels of -1, on the command line."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import polars as pl
import pytest

from masknet.datasets import planted_log
from masknet.table import open_table

PAGE = Path(__file__).parents[2] / "docs" / "formats.md"

NAMES = "click,user_id,site,price,seconds"


def bare(frame: pl.DataFrame, path: str) -> None:
    frame.write_csv(path, include_header=False, separator="\t")


@pytest.fixture
def headerless(rows, masknet, tiny) -> None:
    bare(rows(), "train.txt")
    result = masknet("train", "train.txt", "--label", "click", "--columns", NAMES, "--ignore", "seconds", *tiny)
    assert result.code == 0, result.err


@pytest.mark.usefixtures("headerless")
def test_a_file_without_a_header_trains_and_is_scored(rows, masknet) -> None:
    flags = ("--columns", NAMES, "--threads", 1)
    bare(rows(100, seed=5), "test.tsv")
    assert masknet("evaluate", "train.masknet", "test.tsv", *flags, "--json").json["rows"] == 100
    assert masknet("predict", "train.masknet", "test.tsv", "--out", "a.csv", *flags).code == 0
    rows(100, seed=5).write_parquet("test.parquet")  # the names are the model's, whoever wrote the rows
    assert masknet("predict", "train.masknet", "test.parquet", "--out", "b.csv", "--threads", 1).code == 0
    assert Path("a.csv").read_bytes() == Path("b.csv").read_bytes()
    listed = masknet("inspect", "test.tsv", "--columns", NAMES, "--label", "click", "--json").json
    assert [column["column"] for column in listed["columns"]] == NAMES.split(",")


@pytest.mark.usefixtures("headerless")
def test_the_names_are_kept_and_offered(rows, masknet) -> None:
    again = ("train", "--config", "train.masknet/run.json", "--out", "again.masknet")
    assert masknet(*again).code == 0
    weights = [Path(f"{name}.masknet/weights.safetensors").read_bytes() for name in ("train", "again")]
    assert weights[0] == weights[1]
    bare(rows(100, seed=5), "test.tsv")
    for verb in (("evaluate",), ("predict", "--out", "a.csv")):
        error = masknet(verb[0], "train.masknet", "test.tsv", *verb[1:]).error
        assert error.endswith(f"where it has no header, name its columns with --columns {NAMES}")
    rows(100, seed=5).write_parquet("test.parquet")
    error = masknet("evaluate", "train.masknet", "test.parquet", "--columns", NAMES).error
    assert "test.parquet is Parquet, which has names: leave --columns out" in error


def test_a_partitioned_log_with_labels_of_minus_one(rows, masknet, tiny) -> None:
    log = rows().with_columns(click=pl.col("click") * 2 - 1)
    for site, part in log.with_columns(pl.col("site").fill_null("none")).partition_by("site", as_dict=True).items():
        folder = Path(f"log/site={site[0]}")
        folder.mkdir(parents=True)
        part.drop("site").write_parquet(folder / "part-0.parquet")
    result = masknet("train", "log", "--label", "click", "--ignore", "seconds", *tiny)
    assert result.code == 0, result.err
    found = masknet("evaluate", "log.masknet", "log/site=[ns]*", "--threads", 1, "--json").json
    assert 0 < found["rows"] < 400
    assert 0 < found["metrics"]["auc"]["value"] < 1


@pytest.fixture
def page() -> list[list[str]]:
    """The commands of the page, and the files that they name."""
    log, _ = planted_log(300, 0)
    bare(log.select("click", "user", "ad", price=pl.lit(1)), "clicks.tsv")
    bare(log.select("click", "user", "ad", price=pl.lit(1)), "today.tsv")
    codes = (pl.col("ad").alias(f"C{i}") for i in (14, 17, 19, 20, 21))
    log.with_row_index("id").with_columns(*codes, hour=14102100 + pl.col("hour")).write_csv("train.csv")
    criteo = [log["click"], *[pl.Series(f"I{i}", [i, None] * 150) for i in range(13)]]
    criteo += [log["ad"].alias(f"C{i}") for i in range(26)]
    bare(pl.DataFrame(criteo), "train.txt")
    bare(pl.DataFrame(criteo[1:]), "test.txt")
    for day in ("01", "02", "10"):
        folder = Path(f"log/day=2026-01-{day}")
        folder.mkdir(parents=True)
        log.write_parquet(folder / "part-0.parquet")
    Path("frappe.libsvm").write_text("1 451:1 4149:1 5041:1\n0 7:1 1000:1\n" * 50)
    ratings = log.select("user", "ad", rating=3 + 2 * pl.col("click"))
    Path("ratings.dat").write_text("".join("::".join(map(str, row)) + "\n" for row in ratings.rows()))
    Path("ads.libffm").write_text("1 0:5:1 1:6:1 9:7:0.5\n0 0:5:1\n" * 50)
    blocks = re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(encoding="utf-8"), flags=re.M | re.S)
    return [shlex.split(line)[1:] for block in blocks for line in block.splitlines()]


def test_the_commands_of_the_page_run(page: list[list[str]], masknet, tiny) -> None:
    assert len(page) == 13
    for arguments in page:
        result = masknet(*arguments, *(tiny if arguments[0] == "train" else ("--threads", 1)))
        assert result.code == 0, (arguments, result.err)


def test_the_sparse_tables_of_the_page_have_its_columns(page: list[list[str]]) -> None:
    seen = []
    for arguments in page:
        if "lib" in arguments[1]:
            names = arguments[arguments.index("--columns") + 1].split(",") if "--columns" in arguments else []
            table = open_table(arguments[1], columns=names)
            assert sum(len(chunk.frame) for chunk in table.chunks()) == 100
            seen.append(table.columns[1:])
    assert seen == [("features",), ("user", "item", "context"), ("field_0", "field_1", "field_9"), seen[1]]


def test_a_scored_libffm_file_may_lack_a_field_and_have_another(page: list[list[str]], masknet, tiny) -> None:
    assert page
    result = masknet("train", "ads.libffm", "--label", "label", "--min-count", 1, *tiny)
    assert result.code == 0, result.err
    Path("few.ffm").write_text("0:5:1 7:1:1\n0:5:1 1:6:1 9:7:0.5\n")
    Path("all.ffm").write_text("0:5:1\n0:5:1 1:6:1 9:7:0.5\n")
    for name in ("few", "all"):
        assert masknet("predict", "ads.masknet", f"{name}.ffm", "--out", f"{name}.csv", "--threads", 1).code == 0
    assert Path("few.csv").read_bytes() == Path("all.csv").read_bytes()
    Path("one.ffm").write_text("0:5:1\n" * 2)  # as many rows as the other, since a batch of one sums in another order
    assert masknet("predict", "ads.masknet", "one.ffm", "--out", "one.csv", "--threads", 1).code == 0
    assert Path("one.csv").read_text().splitlines()[:2] == Path("all.csv").read_text().splitlines()[:2]


def test_lines_that_are_no_rows_of_libsvm_are_set_aside(masknet, tiny) -> None:
    good = ["1 3:1 14:2", "0 4:1 12:1", "0 3:1 13:1"] * 40
    Path("good.libsvm").write_text("\n".join(good))
    Path("torn.libsvm").write_text("\n".join([*good[:50], "1 3:x", *good[50:], "1 2:1:1"]))
    for name in ("good", "torn"):
        result = masknet("train", f"{name}.libsvm", "--label", "label", "--bad-rows", "quarantine", *tiny)
        assert result.code == 0, result.err
    assert "2 of 122 rows of torn.libsvm are bad and were set aside in" in result.err
    kept = pl.read_csv("torn.masknet.run/bad_rows.csv")
    assert kept.select("source", "row", "cells").rows() == [
        ("torn.libsvm", 51, '["1", "3:x"]'),
        ("torn.libsvm", 122, '["1", "2:1:1"]'),
    ]
    for name in ("good", "torn"):
        assert masknet("predict", f"{name}.masknet", "good.libsvm", "--out", f"{name}.csv", "--threads", 1).code == 0
    assert Path("good.csv").read_bytes() == Path("torn.csv").read_bytes()
