"""The errors a user can meet: one tree, one sentence each.

A message states the rule, then the value that broke it, then the way out. The command line prints it and exits with 1;
in Python it is raised. Anything else that escapes is a bug of ours and keeps its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class MasknetError(Exception):
    """A rule that the caller can meet was broken."""


class DataError(MasknetError, ValueError):
    """A table, a column or a value is not what the rule asks for; a ValueError too, as scikit-learn's tools expect."""


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
