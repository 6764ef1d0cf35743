"""The errors a user can meet: one tree, one sentence each.

A message states the rule, then the value that broke it, then the way out. The command line prints it and exits with 1;
in Python it is raised. Anything else that escapes is a bug of ours and keeps its traceback.
"""

from __future__ import annotations

import difflib
import sys
import warnings
from collections.abc import Iterable
from typing import Any


class Where(str):
    """A place in words, for a sentence, that also knows which file and row it means, for a program.

    >>> at = Where("row", 17, "ads.csv")
    >>> at, at.file, at.row
    ('row 17 of ads.csv', 'ads.csv', 17)

    Args:
        unit: what is counted: "row", or "line".
        row: its number, from 1.
        file: the file's name, or "the frame".
    """

    __slots__ = ("file", "row")

    file: str
    row: int

    def __new__(cls, unit: str, row: int, file: str) -> Where:
        place = super().__new__(cls, f"{unit} {row} of {file}")
        place.file, place.row = file, row
        return place

    def __reduce__(self) -> tuple[type[Where], tuple[str, int, str]]:
        return type(self), (self.split(" ", 1)[0], self.row, self.file)


class MasknetError(Exception):
    """A rule that the caller can meet was broken."""


class DataError(MasknetError, ValueError):
    """A table, a column or a value is not what the rule asks for; a ValueError too, as scikit-learn's tools expect.

    What the sentence tells of the place is told apart too, each None where it is no matter of one: a server names them.

    >>> error = DataError("a label is 0 or 1; ...", file="ads.csv", column="click", row=17, value="7")
    >>> str(error), error.file, error.column, error.row, error.value
    ('a label is 0 or 1; ...', 'ads.csv', 'click', 17, '7')

    Args:
        sentence: the rule, the value that broke it, the way out.
        file: the name of the table or file.
        column: the column's name.
        row: its number there, from 1 without the header and blank lines.
        value: the cell, as it was read.
    """

    def __init__(
        self,
        sentence: str = "",
        *,
        file: str | None = None,
        column: str | None = None,
        row: int | None = None,
        value: Any = None,
    ) -> None:
        super().__init__(sentence)
        self.file, self.column, self.row, self.value = file, column, row, value


class ConfigError(MasknetError, ValueError):
    """A setting is unknown, out of range, or contradicts another; a ValueError too, as scikit-learn's tools expect."""


class ArtifactError(MasknetError):
    """A saved model cannot be read, or does not fit what is asked of it."""


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """Say that `name` is no known `kind`, and offer the nearest known one.

    >>> unknown("model", "paralel-masknet", ["parallel-masknet", "lr"])
    "unknown model 'paralel-masknet'; did you mean 'parallel-masknet'?"
    >>> unknown("model", "zzz", ["lr"])
    "unknown model 'zzz'; known: lr"
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if near:
        return f"unknown {kind} '{name}'; did you mean '{near[0]}'?"
    return f"unknown {kind} '{name}'; known: {', '.join(names)}"


def warn_user(sentence: str, category: type[Warning] = UserWarning) -> None:
    """Warn as if the user's own line had: of all that lead here, the last outside this package."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and str(frame.f_globals.get("__name__", "")).partition(".")[0] == "masknet":
        frame, level = frame.f_back, level + 1
    warnings.warn(sentence, category, stacklevel=level)
