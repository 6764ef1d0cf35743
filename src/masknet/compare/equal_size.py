"""How wide a network has to be to have as many parameters as another one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from masknet.compare.entries import Entry
from masknet.errors import ConfigError
from masknet.space import FeatureSpace
from masknet.train import network_defaults
from masknet.train.size import size_of

__all__ = ["at_equal_size", "nearest_width"]

_NARROWEST = 2
"""What a layer norm can stand under."""


def at_equal_size(entries: Sequence[Entry], space: FeatureSpace, members: int = 1) -> tuple[Entry, ...]:
    """The rows with every width said: of those that are to equal another one, the width that comes nearest to it.

    >>> from masknet.compare.entries import EqualParameters
    >>> from masknet.space import FieldSpace
    >>> masknet = Entry("masknet", "serial-masknet", settings={"block_dims": [64], "reduction": 2})
    >>> dnn = Entry("dnn", "dnn", settings={"hidden_dims": [0, 0]}, equal=EqualParameters("masknet", "hidden_dims"))
    >>> at_equal_size([masknet, dnn], FeatureSpace(9, (FieldSpace("user"), FieldSpace("item"))))[1].settings
    {'hidden_dims': [44, 44]}

    Args:
        entries: the rows.
        space: what a model may know of the data.
        members: of the rows that do not say how many they have; the parameters of all of a row's members count.

    Raises:
        ConfigError: a setting of such a row, or of the one that it is to equal, is out of range.
    """
    by_name = {entry.name: entry for entry in entries}
    return tuple(
        entry if entry.equal is None else _as_large(entry, entry.equal.by, by_name[entry.equal.to], space, members)
        for entry in entries
    )


def _as_large(entry: Entry, by: str, other: Entry, space: FeatureSpace, members: int) -> Entry:
    def at(width: int) -> Entry:
        return replace(entry, settings={**entry.settings, by: [width] * len(entry.settings[by])})

    def parameters(width: int) -> int:
        return _parameters(at(width), space, members)

    try:
        return at(nearest_width(parameters, _parameters(other, space, members)))
    except ConfigError as error:
        raise ConfigError(f"row '{entry.name}' is to equal row '{other.name}': {error}") from None


def nearest_width(parameters: Callable[[int], int], wanted: int) -> int:
    """The width, at least 2, at which a network has the number of parameters nearest to the one that is wanted.

    >>> nearest_width(lambda width: width * width, 20), nearest_width(lambda width: 100 + width, 20)
    (4, 2)

    Args:
        parameters: how many there are at a width; they grow with it.
        wanted: how many there should be.
    """
    low = high = _NARROWEST
    while parameters(high) < wanted:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if parameters(middle) < wanted else (low, middle)
    return min(low, high, key=lambda width: abs(parameters(width) - wanted))


def _parameters(entry: Entry, space: FeatureSpace, members: int) -> int:
    own: int = entry.members or entry.run.get("members") or members
    settings = dict(entry.settings)
    settings = network_defaults(entry.model, settings) | settings
    return own * size_of(entry.model, space, settings, members=1, batch_size=1).parameters
