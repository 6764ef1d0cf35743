"""What the command line prints: results on standard output, everything else on standard error."""

from __future__ import annotations

import errno
import functools
import inspect
import json
import os
import re
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from typer.models import OptionInfo

from masknet.errors import ConfigError, MasknetError, settings_of_training

if TYPE_CHECKING:
    from masknet.encode import ColumnReport, Inspection

P = ParamSpec("P")

STRICT = "Fail where a field is missing, or unseen, far more often than in training."
THREADS = "Processor threads (default: all that the process may use)."

_DRAW_SECONDS = 0.1
_PLAIN_SECONDS = 10.0
_UNBOUNDED = 10_000
_CALLED: ContextVar[Callable[..., None] | None] = ContextVar("called", default=None)
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def screen(*, stderr: bool = False) -> Console:
    """Where text is printed as it is: brackets and colons mean nothing, and a file or a pipe has no right edge."""
    console = Console(stderr=stderr, markup=False, emoji=False, highlight=False)
    if not console.is_terminal:
        console.width = _UNBOUNDED
    return console


class ConsoleProgress:
    """Draws a bar on a terminal; elsewhere prints a line now and then. Use it as a context."""

    def __init__(self) -> None:
        self.console = screen(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.completed:,.0f}/{task.total:,.0f} {task.fields[unit]}"),
            TextColumn("{task.fields[detail]}", markup=False),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        self._task: TaskID | None = None
        self._phase = ""
        self._began = self._drawn = self._printed = time.monotonic()
        self._stopping = False

    def __enter__(self) -> ConsoleProgress:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if not self._bar.disable:  # rich before 14.3 ends even a bar that it never drew with an empty line
            self._bar.stop()

    def note(self, text: str) -> None:
        """Print a line."""
        self.console.print(in_own_flags(text))

    def warn(self, text: str) -> None:
        """Print a line that stands out."""
        self.console.print(f"warning: {in_own_flags(text)}", style="yellow")

    def track(self, phase: str, done: int, total: int | None, detail: str = "", unit: str = "rows") -> None:
        """Move the bar, at most ten times a second."""
        now = time.monotonic()
        if phase == self._phase and done != total and now - self._drawn < _DRAW_SECONDS:
            return
        self._drawn = now
        fresh = phase != self._phase
        if fresh:
            self._phase, self._began = phase, now
        if self.console.is_terminal:
            if fresh or self._task is None:
                if self._task is not None:
                    self._bar.remove_task(self._task)
                self._task = self._bar.add_task(phase, total=total or done, detail=detail, unit=unit)
            self._bar.update(self._task, completed=done, total=total or done, detail=detail)
        elif now - self._printed >= _PLAIN_SECONDS:
            self._printed = now
            left = f", {(now - self._began) / done * (total - done):,.0f} s left" if total and done else ""
            self.note(f"{phase}: {done:,}{f' of {total:,}' if total else ''} {unit} {detail}".rstrip() + left)

    def stopping(self) -> bool:
        """Whether Ctrl-C was pressed."""
        return self._stopping

    @contextmanager
    def _hold(self) -> Iterator[None]:
        def once(number: int, frame: FrameType | None) -> None:
            if self._stopping:
                raise KeyboardInterrupt
            self._stopping = True
            self.note("stopping: the state is being written (Ctrl-C again gives it up)")

        before = signal.signal(signal.SIGINT, once)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def holding_interrupts(self) -> AbstractContextManager[None]:
        """Within it, the first Ctrl-C is kept for `stopping`, the second breaks in."""
        return self._hold()


def states_errors(command: Callable[P, None]) -> Callable[P, None]:
    """Make a user's error one sentence and exit code 1, and Ctrl-C exit code 130; a bug keeps its traceback."""

    @functools.wraps(command)
    def stated(*args: P.args, **kwargs: P.kwargs) -> None:
        called = _CALLED.set(stated)
        try:
            command(*args, **kwargs)
        except MasknetError as error:
            fail(str(error))
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader left: nobody hears the rest
            raise typer.Exit(1) from None
        except OSError as error:
            fail(_of_the_system(error))
        except KeyboardInterrupt:
            stop("stopped before the end")
        except Exception as error:
            if not _full(error):
                raise
            fail(_of_the_system(OSError(str(error))))
        finally:
            _CALLED.reset(called)

    return stated


def _flags() -> frozenset[str] | None:
    """Those of the verb that runs, as settings; None where none does."""
    verb = _CALLED.get()
    if verb is None:
        return None
    names = set()
    for name, parameter in inspect.signature(verb, eval_str=True).parameters.items():
        for option in getattr(parameter.annotation, "__metadata__", ()):
            if isinstance(option, OptionInfo):
                declared = option.param_decls or (f"--{name}",)
                names |= {one.lstrip("-").replace("-", "_") for each in declared for one in each.split("/")}
    return frozenset(names)


def in_own_flags(sentence: str) -> str:
    """A sentence of the engine, which names flags of `masknet train`, in those of the verb that runs."""
    flags = _flags()
    return sentence if flags is None else settings_of_training(sentence, flags)


def import_from_here() -> None:
    """Let modules be imported from the current folder too, after all that is installed: a user's own network."""
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())


def require_order(verb: str, model: str, data: str) -> None:
    """Refuse a model in the place of the rows.

    Raises:
        ConfigError: the two changed places, or both are models.
    """
    from masknet.manifest import is_artifact

    if is_artifact(data) and not is_artifact(model):
        swapped = shlex.join([verb, data, model])
        raise ConfigError(f"the model comes first, then the rows; '{data}' is the model: masknet {swapped}")
    if is_artifact(data):
        raise ConfigError(f"the model comes first, then the rows; '{data}' is a model too: name a table")


def use_threads(threads: int | None) -> None:
    """Let PyTorch score with so many threads, or with all that the process may use."""
    import torch

    from masknet.threads import available_processors

    torch.set_num_threads(threads or min(torch.get_num_threads(), available_processors()))


def fail(sentence: str) -> NoReturn:
    """Print what was wrong, in one line whatever stands in the data, and leave with 1."""
    line = re.sub(r"[\x00-\x1f\x7f-\x9f]", lambda found: repr(found[0])[1:-1], in_own_flags(sentence))
    screen(stderr=True).print(f"error: {line}", style="red")
    raise typer.Exit(1)


def stop(sentence: str) -> NoReturn:
    """Print how far it came and leave with 130, as whatever is stopped by Ctrl-C does."""
    screen(stderr=True).print(sentence)
    raise typer.Exit(130)


def _full(error: Exception) -> bool:
    """Whether the disk is full; Polars, Arrow and safetensors wrap what the system said in classes of their own."""
    return getattr(error, "errno", None) in _FULL or any(os.strerror(number) in str(error) for number in _FULL)


def _of_the_system(error: OSError) -> str:
    where = f" at '{error.filename}'" if error.filename else ""
    flags = _flags()
    places = [f"--{name.replace('_', '-')}" for name in ("out", "cache_dir") if name in (flags or ())]
    elsewhere = f" ({', '.join(places)})" if places else ""
    if _full(error):
        return f"the disk is full{where}: make room, or write elsewhere{elsewhere}"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"there is no permission to read or write{where}: change it, or name another place{elsewhere}"
    if error.errno in (errno.EEXIST, errno.ENOTDIR):
        return f"a file stands where a folder is needed{where}: name another place{elsewhere}"
    why = error.strerror or error
    return f"the system cannot read or write{where} ({why}): name another place{elsewhere}"


def print_json(result: object) -> None:
    """Print one object on standard output."""
    typer.echo(json.dumps(result, allow_nan=False, ensure_ascii=False))


def print_inspection(console: Console, inspection: Inspection, title: str) -> None:
    """Say what was decided about each column."""
    table = Table(box=None, pad_edge=False)
    for heading in ("column", "kind", "why"):
        table.add_column(heading)
    for heading in ("distinct", "missing"):
        table.add_column(heading, justify="right")
    for report in inspection.reports:
        table.add_row(
            report.column,
            f"{report.kind}{' ?' if report.flagged else ''}",
            report.why,
            *_counts(report),
            style="yellow" if report.flagged else "",
        )
    console.print(title)
    console.print(table)
    if any(report.flagged for report in inspection.reports):
        console.print("? please look: --categorical, --numeric and --ignore say it otherwise", style="yellow")
    print_hints(console, inspection)


def _counts(report: ColumnReport) -> tuple[str, str]:
    """How many distinct values, and rows without one; nothing of a column that was not read."""
    if report.missing is None:
        return "", ""
    return ">10,000" if report.distinct is None else f"{report.distinct:,}", f"{report.missing:,}"


def print_hints(console: Console, inspection: Inspection) -> None:
    """Say how to follow all hints of an inspection, where there are some."""
    if inspection.hints:
        console.print(f"to follow all hints: {inspection.hints}", style="yellow", highlight=False, soft_wrap=True)


def metrics_table(metrics: dict[str, dict[str, Any]]) -> Table:
    """Metrics with their intervals, for people."""
    table = Table(box=None, pad_edge=False)
    table.add_column("metric")
    table.add_column("value", justify="right")
    table.add_column("95 % interval")
    for name, estimate in metrics.items():
        if estimate["value"] is None:
            table.add_row(name.replace("_", " "), "undefined", estimate["why"])
            continue
        low, high = estimate.get("low"), estimate.get("high")
        interval = "" if low is None or high is None else f"{low:.5f} to {high:.5f}"
        table.add_row(name.replace("_", " "), f"{estimate['value']:.5f}", interval)
    return table


def slices_table(parts: list[dict[str, Any]], *, most: int | None = None) -> Table:
    """The slices of a column in their order, for people; a star marks one that is worse than the whole."""
    table = Table(box=None, pad_edge=False)
    table.add_column("value", no_wrap=True, overflow="ellipsis", max_width=most)
    for heading in ("rows", "auc"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("95 % interval")
    for heading in ("log loss", "pred/obs"):
        table.add_column(heading, justify="right", no_wrap=True)
    for part in parts:
        auc, loss, ratio = (part["metrics"][name] for name in ("auc", "log_loss", "calibration_ratio"))
        interval = auc.get("why") or ("" if auc["low"] is None else f"{auc['low']:.4f} to {auc['high']:.4f}")
        table.add_row(
            "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in part["value"]),
            f"{part['rows']:,}",
            "undefined" if auc["value"] is None else f"{auc['value']:.4f}",
            f"{interval} *" if part["below_overall"] else interval,
            *(
                "" if estimate["value"] is None else f"{estimate['value']:.{digits}f}"
                for estimate, digits in ((loss, 4), (ratio, 3))
            ),
            style="yellow" if part["below_overall"] else "",
        )
    return table
