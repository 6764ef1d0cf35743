"""Draw the pictures of a terminal that the docs show: what masknet prints on one of 80 columns, on a made log.

    python scripts/terminal_pictures.py

The commands run as they are, each on a terminal of its own, in a folder that is thrown away. Seconds differ from one
machine to the next, and with them the pictures.
"""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import shlex
import struct
import subprocess
import sys
import tempfile
import termios
from collections.abc import Iterator
from pathlib import Path

import polars as pl
from rich.console import Console
from rich.text import Text

from masknet.datasets import planted_log

DOCS = Path(__file__).resolve().parents[1] / "docs"
COLUMNS = 80
INSPECT = "masknet inspect log.parquet --label click"
TRAIN = "masknet train log.parquet --label click --ignore timestamp --bag topics --out ads.masknet"


def made_log() -> pl.DataFrame:
    """A planted log with some columns as people have them: texts of several values, a price with gaps, an id a row."""
    log, _ = planted_log(6000, seed=0)
    row = pl.int_range(pl.len())
    topics = pl.format("topic-{}|topic-{}", pl.col("ad") % 7, pl.col("ad") % 11)
    price = pl.when(row % 500 == 7).then(pl.lit("n.a.")).otherwise(pl.col("price").round(2).cast(pl.String))
    return log.with_columns(topics=topics, price=price, request=pl.format("r-{}", row))


class Screen:
    """The lines that a terminal shows of what was written to it; enough of one for what Rich writes.

    >>> screen = Screen()
    >>> screen.write("done\\n50 %\\r\\x1b[2K75 %")
    >>> screen.lines
    ['done', '75 %']
    """

    def __init__(self) -> None:
        self.lines = [""]
        self._at = 0

    def write(self, text: str) -> None:
        """Write text and controls: colours stay in their line, a line may be wiped, and the cursor go up."""
        for token in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|\n|[^\x1b\r\n]+", text):
            if token == "\n":
                self._at += 1
                self.lines += [""] * (self._at + 1 - len(self.lines))
            elif token == "\x1b[2K":
                self.lines[self._at] = ""
            elif up := re.fullmatch(r"\x1b\[(\d+)A", token):
                self._at -= int(up[1])
            elif not token.startswith("\x1b") or token.endswith("m"):
                self.lines[self._at] += token


def screens(command: str, folder: Path) -> Iterator[list[str]]:
    """What a terminal shows, time and again, while a command runs on it in a folder."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, COLUMNS, 0, 0))
    beside = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    environment = os.environ | {"TERM": "xterm-256color", "PATH": beside, "XDG_CACHE_HOME": str(folder / "cache")}
    words = shlex.split(command)
    screen = Screen()
    with subprocess.Popen(words, stdout=theirs, stderr=theirs, stdin=theirs, env=environment, cwd=folder) as process:
        os.close(theirs)
        try:
            while said := os.read(ours, 1 << 16):
                screen.write(said.decode())
                yield list(screen.lines)
        except OSError:  # the other end is closed
            pass
    os.close(ours)
    if process.returncode:
        raise RuntimeError(f"{command} failed: {screen.lines[-1]}")


def draw(name: str, lines: list[str]) -> None:
    """Write a picture of some lines to docs/terminal-NAME.svg; long ones are broken where a terminal does."""
    console = Console(width=COLUMNS, file=io.StringIO(), record=True, force_terminal=True, color_system="truecolor")
    for line in lines:
        text = Text.from_ansi(line)
        for part in text.divide(range(COLUMNS, len(text), COLUMNS)):
            console.print(part)
    (DOCS / f"terminal-{name}.svg").write_text(console.export_svg(title=""), encoding="utf-8")


def main() -> None:
    """Draw all three."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        made_log().write_parquet(folder / "log.parquet")
        *_, inspected = screens(INSPECT, folder)
        draw("inspect", [f"$ {INSPECT}", *inspected])
        midway: list[str] = []
        for shown in screens(TRAIN, folder):
            begun = any(line.startswith("member 3/4, epoch") and "at most" in line for line in shown)
            if begun and not any(line.startswith("member 3/4, valid") for line in shown):
                midway = shown
        ends = next(i for i, line in enumerate(shown) if Text.from_ansi(line).plain.startswith("metric "))
        draw("train", [f"$ {TRAIN}", *midway])
        draw("end", shown[ends:])


if __name__ == "__main__":
    main()
