"""What the command line prints: results on standard output, everything else on standard error."""

from __future__ import annotations

import errno
import functools
import inspect
import itertools
import json
import os
import re
import shlex
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec

import typer
from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text
from typer.models import OptionInfo

from masknet.errors import ConfigError, MasknetError, settings_of_training
from masknet.figures import in_time, in_words, metric_name, metric_rows, printable, shown

if TYPE_CHECKING:
    from masknet.encode import ColumnReport, Inspection

P = ParamSpec("P")

STRICT = "Fail where a field is missing, or unseen, far more often than in training."
THREADS = "Processor threads (default: all that the process may use)."

_DRAW_SECONDS = 0.1
_LEAST_BAR, _MOST_BAR = 4, 40
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


@dataclass(frozen=True)
class _Work:
    """What is done now, in one line: a bar takes the room that the words leave, or there is none."""

    phase: str
    done: int
    total: int | None
    unit: str
    detail: str
    left: str

    @property
    def count(self) -> str:
        return f"{self.done:,}{f' of {self.total:,}' if self.total else ''} {self.unit}"

    def __str__(self) -> str:
        return ", ".join(filter(None, (f"{self.phase}: {self.count}", self.detail or self.left)))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        words = self.detail or ", ".join(filter(None, (self.count, self.left)))
        room = options.max_width - len(self.phase) - len(words) - 2
        if room < _LEAST_BAR:
            yield Text(f"{self.phase}: {words}")
            return
        line = Table.grid(padding=(0, 1))
        bar = ProgressBar(self.total or self.done, self.done, width=min(room, _MOST_BAR))
        line.add_row(Text(self.phase), bar, Text(words))
        yield line


class ConsoleProgress:
    """Keeps a line of what is done now on a terminal; elsewhere prints one now and then. Use it as a context."""

    def __init__(self) -> None:
        self.console = screen(stderr=True)
        self._work: _Work | None = None
        self._live = Live(get_renderable=lambda: self._work or Group(), console=self.console, transient=True)
        self._phase = ""
        self._began = self._drawn = self._printed = time.monotonic()
        self._stopping = False

    def __enter__(self) -> ConsoleProgress:
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.console.is_terminal:
            self._live.stop()

    def note(self, text: str) -> None:
        """Print a line."""
        self.console.print(in_own_flags(text))

    def warn(self, text: str) -> None:
        """Print a line that stands out."""
        self.console.print(f"warning: {in_own_flags(text)}", style="yellow")

    def track(self, phase: str, done: int, total: int | None, detail: str = "", unit: str = "rows") -> None:
        """Say how far it is, at most ten times a second."""
        now = time.monotonic()
        if phase == self._phase and done != total and now - self._drawn < _DRAW_SECONDS:
            return
        self._drawn = now
        if phase != self._phase:
            self._phase, self._began = phase, now
        left = f"{in_time((now - self._began) / done * (total - done))} left" if total and done else ""
        self._work = _Work(phase, done, total, unit, detail, left)
        if not self.console.is_terminal and now - self._printed >= _PLAIN_SECONDS:
            self._printed = now
            self.note(str(self._work))

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
                first = option.default  # where typer keeps the first of an annotation's flags
                flags = [first] if isinstance(first, str) and first.startswith("--") else []
                declared = [*flags, *(option.param_decls or ())] or [f"--{name}"]
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


def print_next(console: Console, *commands: Sequence[str]) -> None:
    """Print commands to try, each as it can be copied."""
    for words in commands:
        console.print(f"  {command_line(*words)}", soft_wrap=True)


def command_line(*words: str) -> str:
    """A command of ours as it can be copied, wherever masknet lies."""
    program = "masknet" if shutil.which("masknet") else sys.argv[0]  # a fresh .venv is not on the path
    return shlex.join((program, *words))


def free_place(name: str) -> str:
    """A place of that name where nothing lies yet, for a command that does not overwrite: `scores-2.parquet`."""
    path = Path(name)
    others = (f"{path.stem}-{number}{path.suffix}" for number in itertools.count(2))
    return next(place for place in itertools.chain([name], others) if not Path(place).exists())


def print_inspection(console: Console, inspection: Inspection, title: str) -> None:
    """Say what was decided about each column, and how to follow all hints."""
    console.print(title)
    print_columns(console, inspection.reports)
    print_hints(console, inspection)


def print_columns(console: Console, reports: Sequence[ColumnReport]) -> None:
    """Say what was decided about some columns; those that are flagged stand out."""
    table = Table(box=None, pad_edge=False)
    table.add_column("column", overflow="fold", max_width=console.width // 3)  # a long name leaves room for the rest
    table.add_column("kind", no_wrap=True)
    table.add_column("why")
    for heading in ("distinct", "missing"):
        table.add_column(heading, justify="right", no_wrap=True)
    for report in reports:
        table.add_row(
            report.column,
            f"{report.kind}{' ?' if report.flagged else ''}",
            report.why,
            *_counts(report),
            style="yellow" if report.flagged else "",
        )
    console.print(table)
    if any(report.flagged for report in reports):
        console.print("? please look: --categorical, --numeric and --ignore say it otherwise", style="yellow")


def _counts(report: ColumnReport) -> tuple[str, str]:
    """How many distinct values, and rows without one; nothing of a column that was not read."""
    if report.missing is None:
        return "", ""
    return ">10,000" if report.distinct is None else f"{report.distinct:,}", f"{report.missing:,}"


def print_hints(console: Console, inspection: Inspection) -> None:
    """Say how to follow all hints of an inspection, where there are some."""
    if inspection.hints:
        console.print(f"to follow all hints: {inspection.hints}", style="yellow", highlight=False, soft_wrap=True)


def print_metrics(
    console: Console, metrics: dict[str, dict[str, Any]], beside: Mapping[str, dict[str, dict[str, Any]]] | None = None
) -> None:
    """Print metrics with their intervals, and what they say in words.

    Args:
        console: where.
        metrics: by name, as JSON tells of them.
        beside: by its name, the same metrics of another model.
    """
    others = beside or {}
    table = Table(box=None, pad_edge=False)
    table.add_column("metric")
    table.add_column("value", justify="right")
    table.add_column("95 % interval")
    for other in others:
        table.add_column(other, justify="right")
    columns = [[value for _, value, _ in metric_rows(of_other, like=metrics)] for of_other in others.values()]
    for row, *of_others in zip(metric_rows(metrics), *columns, strict=True):
        table.add_row(*row, *of_others)
    console.print(table)
    if words := in_words(metrics):
        console.print(words)


def slices_table(parts: list[dict[str, Any]], *, most: int | None = None) -> Table:
    """The slices of a column in their order, for people; a star marks one that is worse than the whole."""
    table = Table(box=None, pad_edge=False)
    table.add_column("value", no_wrap=True, overflow="ellipsis", max_width=most)
    for heading in ("rows", "auc"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("95 % interval", min_width=16)
    beside = ("log_loss", "calibration_ratio")
    for name in beside:
        table.add_column(metric_name(name).replace(" ", "\n"), justify="right", no_wrap=True)  # to fit 80 columns
    for part in parts:
        auc, interval = shown(part["metrics"]["auc"])
        table.add_row(
            printable(part["value"]),
            f"{part['rows']:,}",
            auc,
            f"{interval} *" if part["below_overall"] else interval,
            *("" if (e := part["metrics"][name])["value"] is None else shown(e)[0] for name in beside),
            style="yellow" if part["below_overall"] else "",
        )
    return table
