"""What a setting of a network may be: each rule with its sentence, so that a bad one never builds something else."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import TypeGuard


def _require(holds: bool, name: str, rule: str, value: object) -> None:
    if not holds:
        raise ValueError(f"'{name}' must be {rule}; got {value!r}")


def require_count(name: str, value: object) -> None:
    """Refuse anything but an int of at least 1.

    >>> require_count("embedding_dim", 0)
    Traceback (most recent call last):
    ValueError: 'embedding_dim' must be an int of at least 1; got 0
    """
    _require(_is_count(value), name, "an int of at least 1", value)


def require_positive(name: str, value: object) -> None:
    """Refuse anything but a finite number above 0.

    >>> require_positive("reduction", -2.0)
    Traceback (most recent call last):
    ValueError: 'reduction' must be a finite number above 0; got -2.0
    """
    _require(_is_number(value) and value > 0, name, "a finite number above 0", value)


def require_not_negative(name: str, value: object) -> None:
    """Refuse anything but a finite number of at least 0.

    >>> require_not_negative("std", -0.01)
    Traceback (most recent call last):
    ValueError: 'std' must be a finite number of at least 0; got -0.01
    """
    _require(_is_number(value) and value >= 0, name, "a finite number of at least 0", value)


def require_share(name: str, value: object) -> None:
    """Refuse anything but a number from 0 to below 1.

    >>> require_share("dropout", 1.0)
    Traceback (most recent call last):
    ValueError: 'dropout' must be a number in [0, 1); got 1.0
    """
    _require(_is_number(value) and 0 <= value < 1, name, "a number in [0, 1)", value)


def require_switch(name: str, value: object) -> None:
    """Refuse anything but True and False; the text "off" would otherwise switch something on.

    >>> require_switch("embedding_norm", "off")
    Traceback (most recent call last):
    ValueError: 'embedding_norm' must be True or False; got 'off'
    """
    _require(isinstance(value, bool), name, "True or False", value)


def require_one_of(name: str, value: object, known: Collection[object]) -> None:
    """Refuse anything but one of a few values.

    >>> require_one_of("norm", "batsh", ("batch", "layer", None))
    Traceback (most recent call last):
    ValueError: 'norm' must be 'batch', 'layer' or None; got 'batsh'
    """
    *others, last = map(repr, known)
    _require(value in known, name, f"{', '.join(others)} or {last}", value)


def require_widths(name: str, value: object, *, or_none: bool = False) -> None:
    """Refuse anything but a list of widths, each an int of at least 1, or None where that is allowed.

    >>> require_widths("top_dims", (400, 0))
    Traceback (most recent call last):
    ValueError: 'top_dims' must be a list of at least one entry, each an int of at least 1; got (400, 0)
    """
    holds = (
        isinstance(value, list | tuple)
        and len(value) > 0
        and all(_is_count(entry) or (or_none and entry is None) for entry in value)
    )
    either = " or None" if or_none else ""
    _require(holds, name, f"a list of at least one entry, each an int of at least 1{either}", value)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
