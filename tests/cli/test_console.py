from __future__ import annotations

import errno
import io
import os
import re
import signal
from collections.abc import Callable, Iterator
from typing import Annotated

import pytest
import typer
from rich.console import Console

from masknet.cli.console import ConsoleProgress, print_columns, slices_table, states_errors
from masknet.encode import ColumnReport
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
    lines = ["encode: 10,000 of 25,000 rows, 14 s left", "encode: 20,000 of 25,000 rows, 9 rows/s"]
    assert capsys.readouterr().err.splitlines() == lines


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], ConsoleProgress]:
    """A terminal of so many columns, on which a progress draws once it is left."""
    monkeypatch.setattr("masknet.cli.console.Live.start", lambda live: None)
    monkeypatch.setattr("masknet.cli.console.Live.stop", lambda live: live.console.print(live.get_renderable()))
    return lambda columns: _of_width(monkeypatch, columns)


def _of_width(monkeypatch: pytest.MonkeyPatch, columns: int) -> ConsoleProgress:
    for name, value in (("FORCE_COLOR", "1"), ("COLUMNS", str(columns)), ("TERM", "xterm")):
        monkeypatch.setenv(name, value)
    return ConsoleProgress()


DETAIL = "auc 0.6845, 3 of 8 without better, 4 min at most"


@pytest.mark.parametrize(
    ("columns", "bar", "lines"),
    [(80, True, 1), (70, False, 2), (120, True, 1)],
)
def test_on_a_terminal_one_line_tells_what_is_done(columns: int, bar: bool, lines: int, terminal, capsys) -> None:
    with terminal(columns) as progress:
        progress.track("member 2/4, epoch 3/20", 4_416, 5_400, DETAIL)
    shown = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().err)
    assert ("\N{BOX DRAWINGS HEAVY HORIZONTAL}" in shown) == bar
    assert len(shown.splitlines()) == lines
    assert max(len(line.rstrip()) for line in shown.splitlines()) <= columns
    assert " ".join(re.sub("[\N{BOX DRAWINGS HEAVY HORIZONTAL}\N{BOX DRAWINGS HEAVY LEFT}:]", "", shown).split()) == (
        f"member 2/4, epoch 3/20 {DETAIL}"
    )


def test_without_more_to_say_the_line_has_rows_and_the_time_of_the_phase(terminal, capsys, monkeypatch) -> None:
    now = [0.0]
    monkeypatch.setattr("masknet.cli.console.time.monotonic", lambda: now[0])
    with terminal(80) as progress:
        progress.track("encode", 1, 1_000_000)
        now[0] = 100.0
        progress.track("encode", 500_000, 1_000_000)
    assert "500,000 of 1,000,000 rows, 2 min left" in capsys.readouterr().err


def test_a_long_name_of_a_column_leaves_room_for_the_rest() -> None:
    said = io.StringIO()
    why = "integers, under 50 distinct"
    print_columns(Console(width=80, file=said), [ColumnReport("x" * 100, "categorical", why, 1_234, 1_000_000)])
    lines = said.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert "categorical" in lines[1]
    assert lines[1].split()[-2:] == ["1,234", "1,000,000"]
    assert sum(line.count("x") for line in lines) == 100


def test_slices_fit_80_columns() -> None:
    estimate = {"value": 0.71234, "low": 0.71179, "high": 0.71289}
    measured = dict.fromkeys(("auc", "log_loss", "calibration_ratio"), estimate)
    part = {"value": "a-site-of-a-long-name-" * 3, "rows": 1_234_567, "metrics": measured, "below_overall": True}
    said = io.StringIO()
    Console(width=80, file=said).print(slices_table([part], most=16))
    lines = said.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[-1].split()[1:] == ["1,234,567", "0.7123", "0.7118", "to", "0.7129", "*", "0.7123", "0.7123"]


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
