"""The errors a user can meet: one tree, one sentence each.

A message states the rule, then the value that broke it, then the way out. The command line prints it and exits with 1;
in Python it is raised. Anything else that escapes is a bug of ours and keeps its traceback.

The engine calls a setting by the flag of `masknet train`, `--ignore`; a face that knows it otherwise says it in its own
words, with `settings_said`.
"""

from __future__ import annotations

import difflib
import re
import shlex
import sys
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

# A value stands behind its flag in quotes, as a shell reads them, or ends the sentence. A cell, in quotes, is no flag.
_SETTING = re.compile(r"""(?<![\w'-])--([a-z][a-z-]*[a-z])(?: ('[^']*'(?:"'"'[^']*')*|[^\s'"-]\S*$))?""")


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


def flag(setting: str, value: str) -> str:
    """A setting and its value, as a shell reads them and `settings_said` finds them.

    >>> flag("ignore", "price, EUR")
    "--ignore 'price, EUR'"
    """
    return f"--{setting.replace('_', '-')} {shlex.quote(value)}"


def settings_said(sentence: str, say: Callable[[str, str | None], str | None]) -> str:
    """A sentence with its settings in other words.

    >>> settings_said("declare it with --bag, or pass --ignore 'a b'", lambda name, value: f"{name}={value}")
    'declare it with bag=None, or pass ignore=a b'

    Args:
        sentence: of the engine.
        say: what to call a setting, given its name in a run file and the value that is proposed, if one is; None
            leaves it as it is.
    """

    def said(found: re.Match[str]) -> str:
        value = shlex.split(found[2])[0] if found[2] else None
        words = say(found[1].replace("-", "_"), value)
        return found[0] if words is None else words

    return _SETTING.sub(said, sentence)


def settings_of_training(sentence: str, known: Collection[str] = ()) -> str:
    """A sentence for whoever uses a model, who has none of the settings of its training but those that are `known`.

    >>> settings_of_training("leave it out with --ignore, or name the columns with --columns", known=["columns"])
    'leave it out with ignore, or name the columns with --columns (ignore is a setting of the training)'
    """
    others: dict[str, None] = {}

    def say(name: str, value: str | None) -> str | None:
        if name in known:
            return None
        others[name] = None
        return name if value is None else f"{name} '{value}'"

    said = settings_said(sentence, say)
    if not others:
        return said
    *first, last = others
    which = f"{', '.join(first)} and {last} are settings" if first else f"{last} is a setting"
    return f"{said} ({which} of the training)"


@contextmanager
def errors_said(say: Callable[[str], str]) -> Iterator[None]:
    """Let the errors that pass speak in other words."""
    try:
        yield
    except MasknetError as error:
        error.args = (say(str(error)),)
        raise


def warn_user(sentence: str, category: type[Warning] = UserWarning) -> None:
    """Warn as if the user's own line had: of all that lead here, the last outside this package."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and str(frame.f_globals.get("__name__", "")).partition(".")[0] == "masknet":
        frame, level = frame.f_back, level + 1
    warnings.warn(sentence, category, stacklevel=level)
