from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable, Iterator
from typing import Annotated

import pytest
import typer

from masknet.cli.console import ConsoleProgress, states_errors
from masknet.errors import DataError

Out = Annotated[str, typer.Option(help="Where to write.")]


def said(error: BaseException, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    @states_errors
    def command(out: Out = "", cache_dir: Out = "") -> None:
        raise error

    with pytest.raises(typer.Exit) as left:
        command()
    shown = capsys.readouterr()
    assert shown.out == ""
    return left.value.exit_code, shown.err


SYSTEM = {
    errno.ENOSPC: "the disk is full at 'ads.masknet'",
    errno.EDQUOT: "the disk is full at 'ads.masknet'",
    errno.EFBIG: "the disk is full at 'ads.masknet'",
    errno.EACCES: "there is no permission to read or write at 'ads.masknet'",
    errno.EROFS: "there is no permission to read or write at 'ads.masknet'",
    errno.ENOTDIR: "a file stands where a folder is needed at 'ads.masknet'",
    errno.EIO: "the system cannot read or write at 'ads.masknet' (Input/output error)",
}


@pytest.mark.parametrize("number", SYSTEM)
def test_what_the_system_refuses_is_one_sentence_with_a_way_out(number: int, capsys) -> None:
    code, shown = said(OSError(number, os.strerror(number), "ads.masknet"), capsys)
    assert code == 1
    assert shown.startswith(f"error: {SYSTEM[number]}: ")
    assert "--out" in shown
    assert shown.count("\n") == 1


def test_a_full_disk_in_the_words_of_a_library(capsys) -> None:
    error = RuntimeError(f"parquet: underlying IO error: {os.strerror(errno.ENOSPC)} (os error 28)")
    code, shown = said(error, capsys)
    assert (code, shown) == (1, "error: the disk is full: make room, or write elsewhere (--out, --cache-dir)\n")


def test_a_verb_that_writes_nowhere_names_no_place_to_write(capsys) -> None:
    @states_errors
    def command(model: str = "", limit_rows: Annotated[int, typer.Option("--limit-rows")] = 1) -> None:
        ConsoleProgress().warn("see --limit-rows, --categorical")
        raise PermissionError(errno.EACCES, "", "ads.masknet")

    with pytest.raises(typer.Exit):
        command()
    told, error = capsys.readouterr().err.splitlines()
    assert told == "warning: see --limit-rows, categorical (categorical is a setting of the training)"
    assert error.endswith("at 'ads.masknet': change it, or name another place")


def test_our_own_errors_are_told_as_they_are(capsys) -> None:
    assert said(DataError("[b]column 'a:b:c'[/b] is missing"), capsys) == (
        1,
        "error: [b]column 'a:b:c'[/b] is missing\n",
    )


def test_an_error_is_one_line_whatever_the_data_hold(capsys) -> None:
    assert said(DataError("column 'a\nb' holds '\x1b[31m\t\x00\U0001f600'"), capsys) == (
        1,
        r"error: column 'a\nb' holds '\x1b[31m\t\x00" + "\U0001f600'\n",
    )


def test_ctrl_c_is_no_error(capsys) -> None:
    assert said(KeyboardInterrupt(), capsys) == (130, "stopped before the end\n")


def test_a_bug_keeps_its_traceback() -> None:
    @states_errors
    def command() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        command()


def test_elsewhere_than_on_a_terminal_progress_is_a_line_now_and_then(capsys, monkeypatch) -> None:
    now = [0.0]
    monkeypatch.setattr("masknet.cli.console.time.monotonic", lambda: now[0])
    with ConsoleProgress() as progress:
        for second in range(1, 26):
            now[0] = float(second)
            progress.track("encode", second * 1000, 25_000, "9 rows/s" if second == 20 else "")
    lines = ["encode: 10,000 of 25,000 rows, 14 s left", "encode: 20,000 of 25,000 rows 9 rows/s, 5 s left"]
    assert capsys.readouterr().err.splitlines() == lines


def test_notes_and_warnings(capsys) -> None:
    with ConsoleProgress() as progress:
        progress.note("[red]12 rows[/red]")
        progress.warn("column 'x' is constant")
    assert capsys.readouterr().err == "[red]12 rows[/red]\nwarning: column 'x' is constant\n"


def test_the_first_ctrl_c_is_kept_the_second_breaks_in(capsys, interrupt: Callable[[], None]) -> None:
    progress = ConsoleProgress()
    with progress.holding_interrupts():
        assert not progress.stopping()
        interrupt()
        assert progress.stopping()
        with pytest.raises(KeyboardInterrupt):
            interrupt()
    with pytest.raises(KeyboardInterrupt):
        interrupt()
    assert "stopping" in capsys.readouterr().err


@pytest.fixture
def interrupt() -> Iterator[Callable[[], None]]:
    # Python's own handler: a process that was started in the background ignores the signal.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield lambda: signal.raise_signal(signal.SIGINT)
    signal.signal(signal.SIGINT, before)
