"""What a run of `benchmarks/speed.py` has at hand: made logs, checkouts with their interpreters, and processes."""

from __future__ import annotations

import atexit
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import made_log
from machine import family, resident
from made_log import CATEGORICAL, LABEL, NUMERIC, MadeLog, write
from masknet import _WAITING
from masknet.threads import available_processors

ROOT = Path(__file__).parents[2]
BASE = "0aeded6"
"""The commit of ours that later ones are held against."""

_WATCH_SECONDS = 0.05


@dataclass(frozen=True)
class Checkout:
    """A masknet to measure: where its packages lie, who runs it, and the module that knows its names."""

    source: Path
    python: str
    engine: str
    cache: Path

    def told(self) -> dict[str, str]:
        """As a process is told of it."""
        return {"source": str(self.source), "module": self.engine, "cache": str(self.cache)}


@dataclass(frozen=True)
class Side:
    """What is measured in a process of its own.

    Args:
        work: `module:function`, which prepares and gives what measures.
        given: its keywords.
        checkout: whose masknet it is about; None where it is about none.
        python: the interpreter.
        paths: where packages are looked for before those of the interpreter.
        fresh: whether each repeat has a new process.
        watched: whether its memory is measured too, as `anonymous_mib`.
    """

    work: str
    given: Mapping[str, Any]
    checkout: Checkout | None = None
    python: str = sys.executable
    paths: tuple[Path, ...] = ()
    fresh: bool = False
    watched: bool = False


@dataclass(frozen=True)
class Claim:
    """A line of the table: what one side must reach, told by another one.

    Args:
        stage: what is measured, in words.
        ours, baseline: the two sides.
        figure, unit: which figure of theirs, and its unit.
        must: what ours over the baseline must be, at least; None where it is only recorded.
        aim: what is aimed for, in words.
        at_most: whether less is better, and `must` an upper limit.
        bound: the side that tells what the machine allows, if there is one.
    """

    stage: str
    ours: str
    baseline: str
    must: float | None
    aim: str = ""
    figure: str = "rows_per_second"
    unit: str = "rows/s"
    at_most: bool = False
    bound: str | None = None


@dataclass(frozen=True)
class Plan:
    """Sides that are measured in turn, as often as there are repeats, and what is claimed of them.

    Args:
        at: the sizes, in words.
        sides: by name; in the place of one that cannot be had, why.
        claims: the lines of the table.
        repeats: of each side.
        discard: how many are made before, and do not count.
    """

    at: str
    sides: Mapping[str, Side | str]
    claims: tuple[Claim, ...]
    repeats: int = 3
    discard: int = 0


@dataclass(frozen=True)
class Log:
    """A made log on disk: its rows twice, and a tenth as many others to validate on, as CSV."""

    rows: int
    csv: str
    parquet: str
    valid: str


class Bench:
    """Sizes, places and checkouts.

    Args:
        form: `full`, the sizes that ratios are claimed for; `short`, those of minutes; or `tiny`, which only shows that
            all sides run.
        device: where networks train and score.
        kept: the folder of made logs, which stay there, and of all else while the run lasts.
    """

    def __init__(self, *, form: str, device: str, kept: Path = ROOT / "build" / "speed") -> None:
        self.form, self.device, self.kept = form, device, kept
        self.threads = available_processors()
        self.kept.mkdir(parents=True, exist_ok=True)
        held = tempfile.TemporaryDirectory(dir=self.kept, prefix="run-")
        atexit.register(held.cleanup)
        self.folder = Path(held.name)
        self.today = Checkout(ROOT / "src", sys.executable, "stages.today", self._place("today"))

    def size(self, short: int, full: int) -> int:
        """The one or the other; a tenth of the first where it is tiny."""
        return {"full": full, "short": short, "tiny": max(1, short // 10)}[self.form]

    def _place(self, name: str) -> Path:
        place = self.folder / name
        place.mkdir()
        return place

    def log(self, rows: int, vocabulary: int) -> Log:
        """A log of so many rows, with others to validate on; made once, since its files stay for the next run."""
        made_by = hashlib.sha256(Path(made_log.__file__).read_bytes()).hexdigest()[:8]
        stem = self.kept / f"log-{made_by}-{rows}-{vocabulary}"
        paths = {kind: stem.with_name(f"{stem.name}.{kind}") for kind in ("csv", "parquet", "valid.csv")}
        if not all(path.exists() for path in paths.values()):
            print(f"  making a log of {rows:,} rows", flush=True)
            made = [path.with_name(f"part-{path.name}") for path in paths.values()]
            log = MadeLog(vocabulary=vocabulary)
            write(log, rows, *made[:2])
            write(log, rows // 10, made[2], first=100_000)
            for part, path in zip(made, paths.values(), strict=True):
                part.replace(path)
        return Log(rows, *(str(path) for path in paths.values()))

    def of(self, checkout: Checkout | str, work: str, /, **given: Any) -> Side | str:
        """A side of a checkout's masknet; where there is none, why."""
        if isinstance(checkout, str):
            return checkout
        return Side(work, given, checkout, checkout.python, (checkout.source,))

    def imports(self, checkout: Checkout | str, work: str, /, **given: Any) -> Side | str:
        """A side of a checkout that imports its masknet itself, in a new process each time."""
        if isinstance(checkout, str):
            return checkout
        work = f"stages.imports:{work}"
        return Side(work, given, python=checkout.python, paths=(checkout.source,), fresh=True)

    def beside(self, work: str, /, **given: Any) -> Side:
        """A side that measures no masknet; it may import that of this checkout."""
        return Side(work, given, paths=(self.today.source,))

    def fuxictr(self, work: str, /, *, data: str, **given: Any) -> Side | str:
        """A side of FuxiCTR, where there is one."""
        place = os.environ.get("FUXICTR", "")
        if not place or not (Path(place) / "fuxictr").is_dir():
            return "no checkout of FuxiCTR: $FUXICTR names none"
        of_log = {"data": data, "label": LABEL, "numeric": list(NUMERIC), "categorical": list(CATEGORICAL)}
        given = of_log | {"cache": str(self.folder)} | given
        python = os.environ.get("FUXICTR_PYTHON", sys.executable)
        return Side(f"stages.fuxictr:{work}", given, python=python, paths=(Path(place),))

    @cached_property
    def base(self) -> Checkout | str:
        """The commit that later ones are held against, checked out; without history, why it is not."""
        tree = self.folder / BASE
        git = ["git", "-C", str(ROOT)]
        made = subprocess.run(
            [*git, "worktree", "add", "--detach", str(tree), BASE], capture_output=True, text=True, check=False
        )
        if made.returncode:
            return f"no commit {BASE} to run beside: {made.stderr.strip().splitlines()[-1]}"
        atexit.register(subprocess.run, [*git, "worktree", "remove", "--force", str(tree)], capture_output=True)
        python = sys.executable
        if (tree / "constraints.txt").read_bytes() != (ROOT / "constraints.txt").read_bytes():
            python = _environment(tree)
        return Checkout(tree / "src", python, f"stages.at_{BASE}", self._place(f"cache-{BASE}"))


def _environment(tree: Path) -> str:
    """An environment of its own for a checkout whose pins are others; its interpreter."""
    place = tree.with_name(f"{tree.name}-venv")
    subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
    python = str(place / "bin" / "python")
    pins = {"PIP_CONSTRAINT": str(tree / "constraints.txt")}
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", f"{tree}[trees,pandas]"], check=True, env=os.environ | pins
    )
    return python


class SideError(RuntimeError):
    """A process of a side ended before it had answered."""


class Child:
    """The process of a side, ready to measure."""

    def __init__(self, side: Side, threads: int, errors: IO[bytes]) -> None:
        self._side, self._errors = side, errors
        told: dict[str, Any] = {"work": side.work, "given": side.given, "engine": None, "threads": threads}
        if side.checkout is not None:
            told["engine"] = side.checkout.told()
        environment = {name: value for name, value in os.environ.items() if name not in _WAITING}
        environment["PYTHONPATH"] = os.pathsep.join(map(str, (*side.paths, ROOT / "benchmarks")))
        environment["PYTHONWARNINGS"] = "ignore"
        self._process = subprocess.Popen(
            [side.python, "-m", "stages.child", json.dumps(told)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=environment,
        )
        self._answer()

    def measure(self, seen: Mapping[str, Any]) -> dict[str, Any]:
        """Its figures, once more; `seen` are those of other sides in this repeat."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(seen) + "\n")
        self._process.stdin.flush()
        if not self._side.watched:
            return dict(json.loads(self._answer()))
        with _Watch(self._process.pid) as watch:
            found = dict(json.loads(self._answer()))
        return found | {"anonymous_mib": watch.most}

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.communicate()
            self._errors.seek(0)
            said = self._errors.read().decode(errors="replace").strip().splitlines()
            raise SideError(f"{self._side.work} ended with {self._process.returncode}: {' / '.join(said[-3:])}")
        return line

    def end(self) -> None:
        """Let it go, whatever it does."""
        self._process.terminate()
        self._process.communicate()


class _Watch:
    """The most anonymous memory that a process and all that it started had while this lasted, in MiB."""

    def __init__(self, pid: int) -> None:
        self._pid, self._over = pid, threading.Event()
        self.most = 0
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> _Watch:
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(_WATCH_SECONDS):
            try:
                self.most = max(self.most, sum(resident(pid, "RssAnon") for pid in family(self._pid)))
            except (FileNotFoundError, ProcessLookupError):  # one of them has just ended
                time.sleep(0)
