from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from masknet.cli import main
from masknet.cli.console import ConsoleProgress

TINY = (
    "--set",
    "embedding_dim=2",
    "--set",
    "block_dims=[4]",
    "--set",
    "top_dims=[4]",
    "--epochs",
    "1",
    "--members",
    "1",
    "--evaluations",
    "1",
    "--threads",
    "1",
)
LEARNS = ("--epochs", "4", "--batch-size", "32", "--learning-rate", "0.02", "--average-weights", "0")
"""What 400 rows need to tell the users who click."""


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What stands on standard output, which must be one JSON object and nothing else."""
        value = json.loads(self.out)
        assert isinstance(value, dict)
        return value

    @property
    def error(self) -> str:
        """The one sentence of a user's error: exit code 1, the last line, no traceback, nothing on standard output."""
        assert self.code == 1, self.err
        assert self.out == ""
        assert "Traceback" not in self.err
        lines = self.err.splitlines()
        assert [line.startswith("error: ") for line in lines] == [False] * (len(lines) - 1) + [True], self.err
        return lines[-1].removeprefix("error: ")


Masknet = Callable[..., Result]


@pytest.fixture(autouse=True)
def _somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test has a folder and a cache of its own, and no terminal."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("GITHUB_ACTIONS", "FORCE_COLOR", "PY_COLORS", "TTY_COMPATIBLE", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def masknet(capsys: pytest.CaptureFixture[str]) -> Masknet:
    """Runs the command in this process."""

    def run(*arguments: object) -> Result:
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main([str(argument) for argument in arguments])
        seen = capsys.readouterr()
        return Result(int(left.value.code or 0), seen.out, seen.err)

    return run


@pytest.fixture
def ctrl_c(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int], contextlib.AbstractContextManager[None]]:
    """Within `ctrl_c("epoch 2/2", 48)` a run is interrupted once it has told that so many rows of a phase are done."""

    @contextlib.contextmanager
    def at(phase: str, done: int) -> Iterator[None]:
        track = ConsoleProgress.track

        def interrupting(
            self: ConsoleProgress, now: str, rows: int, total: int | None, detail: str = "", unit: str = "rows"
        ) -> None:
            track(self, now, rows, total, detail, unit)
            if (now, rows) == (phase, done):
                os.kill(os.getpid(), signal.SIGINT)

        with monkeypatch.context() as patch:
            patch.setattr(ConsoleProgress, "track", interrupting)
            yield

    return at


@pytest.fixture
def tiny() -> tuple[str, ...]:
    """Flags of a run that takes a moment."""
    return TINY


@pytest.fixture(scope="session")
def rows() -> Callable[..., pl.DataFrame]:
    """Draws a click log: 40 users, half of whom click often, texts with a gap, log-normal prices with gaps, a time."""

    def draw(n: int = 400, *, seed: int = 0) -> pl.DataFrame:
        rng = np.random.default_rng(seed)
        user = rng.integers(40, size=n)
        price = rng.lognormal(size=n).round(3)
        return pl.DataFrame(
            {
                "click": (rng.random(n) < 0.2 + 0.5 * (user % 2)).astype(np.int64),
                "user_id": user,
                "site": pl.Series(rng.choice(["north", "south", "Köln", "07"], n)).set(pl.Series(user == 7), None),
                "price": pl.Series(price).set(pl.Series(rng.random(n) < 0.1), None),
                "seconds": np.arange(n) * 60 + 1_700_000_000,
            }
        )

    return draw


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, rows: Callable[..., pl.DataFrame]) -> Path:
    """A trained model, made once; a test that changes it copies it first."""
    folder = tmp_path_factory.mktemp("trained")
    rows().write_parquet(folder / "train.parquet")
    arguments = [str(folder / "train.parquet"), "--label", "click", "--ignore", "seconds", *TINY, *LEARNS]
    arguments += ["--out", str(folder / "ads.masknet"), "--cache-dir", str(folder / "cache")]
    with (
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()) as said,
        pytest.raises(SystemExit) as left,
    ):
        main(["train", *arguments])
    assert not left.value.code, said.getvalue()
    return folder / "ads.masknet"


@pytest.fixture
def copied(trained: Path, tmp_path: Path) -> Path:
    """The trained model, to be damaged."""
    return Path(shutil.copytree(trained, tmp_path / "copy.masknet"))


@pytest.fixture
def left_behind() -> Callable[[], list[str]]:
    """All files in the current folder, hidden ones too, but for the whole encoded sets of a cache."""

    def look() -> list[str]:
        found = sorted(os.path.relpath(os.path.join(at, n)) for at, _, names in os.walk(".") for n in names)
        return [path for path in found if not re.match(r"\w+/encoded/[0-9a-f]{40}/", path)]

    return look
