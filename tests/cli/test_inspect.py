from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import polars as pl
import pytest

COMMAND = [sys.executable, "-c", "from masknet.cli import main; main()", "inspect"]


@pytest.fixture(autouse=True)
def _log(rows) -> None:
    rows().write_parquet("log.parquet")
    rows().write_csv("log.csv")


def table(out: str) -> dict[str, list[str]]:
    """The words of each line, by the column that it is about."""
    return {line.split()[0]: line.split() for line in out.splitlines() if line.strip()}


@pytest.mark.parametrize("data", ["log.parquet", "log.csv"])
def test_each_column_its_kind_why_distinct_and_missing(data: str, masknet, tmp_path: Path, left_behind) -> None:
    before = left_behind()
    result = masknet("inspect", data, "--label", "click")
    assert result.code == 0
    assert result.out.splitlines()[0] == f"{data}: 400 rows"
    shown = table(result.out)
    assert shown["column"] == ["column", "kind", "why", "distinct", "missing"]
    missing = pl.read_parquet("log.parquet").null_count().row(0, named=True)
    kinds = ("label", "categorical", "categorical", "numeric", "numeric")
    for column, kind in zip(missing, kinds, strict=True):
        assert shown[column][1] == kind
        assert shown[column][-1] == str(missing[column])
    assert shown["user_id"][-2] == "40"
    assert "id" in shown["user_id"]
    assert left_behind() == before
    assert not (tmp_path / "cache").exists()


def test_what_to_look_at_is_marked(masknet) -> None:
    result = masknet("inspect", "log.parquet", "--label", "click")
    shown = table(result.out)
    assert shown["seconds"][2] == "?"
    assert shown["price"][2] != "?"
    assert "please look" in result.out
    settled = masknet("inspect", "log.parquet", "--label", "click", "--ignore", "seconds")
    assert "please look" not in settled.out


def test_json_is_one_object(masknet) -> None:
    result = masknet("inspect", "log.parquet", "--label", "click", "--ignore", "seconds", "--json")
    assert result.code == 0
    assert result.json["rows"] == 400
    kinds = {column["column"]: column["kind"] for column in result.json["columns"]}
    assert (kinds["click"], kinds["user_id"], kinds["seconds"]) == ("label", "categorical", "ignored")
    assert set(result.json["columns"][0]) >= {"column", "kind", "why", "distinct", "missing"}
    assert result.json["schema"]["label"] == "click"


def test_declared_columns_are_repeated_or_comma_separated(masknet) -> None:
    flags = ("--label", "click", "--categorical", "price,seconds", "--numeric", "user_id")
    shown = table(masknet("inspect", "log.csv", *flags).out)
    for column, kind in (("price", "categorical"), ("seconds", "categorical"), ("user_id", "numeric")):
        assert shown[column][1:3] == [kind, "declared"]


def test_limit_rows(masknet) -> None:
    assert masknet("inspect", "log.csv", "--limit-rows", 10, "--json").json["rows"] == 10


def test_warnings_go_to_standard_error(masknet, rows) -> None:
    rows().with_columns(same=pl.lit("x")).write_parquet("same.parquet")
    result = masknet("inspect", "same.parquet", "--label", "click")
    assert result.code == 0
    assert "warning: column 'same' is constant" in result.err
    assert "warning" not in result.out


def test_names_are_shown_as_they_are(masknet) -> None:
    # Square brackets and colons mean something to the library that prints.
    pl.DataFrame({"[red]a": ["x", "y"], ":smile:": ["u", "v"], "[/]": ["p", "q"]}).write_parquet("[b].parquet")
    result = masknet("inspect", "[b].parquet")
    assert result.code == 0
    assert [line.split()[0] for line in result.out.splitlines()[2:]] == ["[red]a", ":smile:", "[/]"]
    assert result.out.startswith("[b].parquet: 2 rows")


def test_a_pipe_has_no_right_edge(rows) -> None:
    wide = {f"a_long_name_of_a_column_number_{i}_" + "x" * 60: [1.5, 2.5] for i in range(3)}
    pl.DataFrame(wide).write_parquet("wide.parquet")
    result = subprocess.run([*COMMAND, "wide.parquet"], capture_output=True, text=True, timeout=60, check=True)
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines[2:]] == list(wide)
    assert all(line.split()[-2:] == ["2", "0"] for line in lines[2:])


@pytest.mark.parametrize("verb", ["inspect", "train"])
def test_a_terminal_of_80_columns_is_not_overrun(verb: str, tiny) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 80, 0, 0))
    command = [*COMMAND[:-1], verb, "log.parquet", "--label", "click", *(tiny if verb == "train" else ())]
    environment = os.environ | {"TERM": "xterm-256color"}
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, stdin=theirs, env=environment) as process:
        os.close(theirs)
        shown = b"".join(iter(lambda: _read(ours), b"")).decode()
    os.close(ours)
    assert process.returncode == 0
    # What stays in each line, once the colours are taken out and what was wiped or overwritten is gone.
    lines = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line).split("\r")[-1] for line in shown.split("\r\n")]
    assert max(map(len, lines)) <= 80
    kinds = {"user_id": "categorical", "price": "numeric", "seconds": "numeric"}
    if verb == "train":
        kinds = {"seconds": "numeric"}  # the others surprise nobody
    assert {line.split()[0]: line.split()[1] for line in lines if line.startswith(tuple(kinds))} == kinds


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # the other end is closed
        return b""


def test_a_reader_who_leaves_is_no_error_of_ours() -> None:
    # More than a pipe holds.
    pl.DataFrame({f"column_{i}_" + "x" * 4000: ["x", "y"] for i in range(50)}).write_parquet("broad.parquet")
    with subprocess.Popen([*COMMAND, "broad.parquet"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""


@pytest.mark.parametrize("encoding", ["knots", "linear"])
def test_a_number_that_is_the_label_under_another_name_is_told(encoding: str, masknet) -> None:
    log = pl.read_parquet("log.parquet")
    dwell = pl.when(pl.col("click") == 1).then(1.5 + pl.int_range(400)).otherwise(0.0)
    log.with_columns(dwell_seconds=dwell).write_csv("leak.csv")
    sentence = (
        "column 'dwell_seconds' alone tells the label (AUC 1.0000): if it is the label under another name, leave it "
        "out with --ignore dwell_seconds"
    )
    result = masknet("inspect", "leak.csv", "--label", "click", "--numeric-encoding", encoding, "--json")
    assert result.json["warnings"] == [sentence]
    assert f"warning: {sentence}\n" in result.err
    assert "alone" not in masknet("inspect", "leak.csv", "--label", "click", "--ignore", "dwell_seconds").err
    assert "alone" not in masknet("inspect", "leak.csv").err
