"""The threads that a table is encoded by: one to a column at a time, and one that reads the rows to come."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from types import TracebackType
from typing import TypeAlias, TypeVar

from masknet.threads import available_processors

__all__ = ["Each", "Workers", "ahead", "in_turn"]

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

Each: TypeAlias = Callable[[Callable[[int], None], range], object]
"""Calls a function with each of some numbers, one after the other or several at once."""


def in_turn(function: Callable[[int], None], numbers: range) -> None:
    """One after the other.

    >>> in_turn(print, range(2))
    0
    1
    """
    for number in numbers:
        function(number)


class Workers:
    """As many threads as there are processors; Polars, NumPy and Arrow leave Python's lock to each other."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(available_processors(), "encode")

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._pool.shutdown(cancel_futures=True)

    def each(self, function: Callable[[_Item], _Result], items: Iterable[_Item]) -> list[_Result]:
        """What the function makes of each item, in the order of the items; so does the first error come.

        >>> with Workers() as workers:
        ...     workers.each(abs, [-3, 2])
        [3, 2]
        """
        futures = [self._pool.submit(function, item) for item in items]
        wait(futures)
        return [future.result() for future in futures]


def ahead(items: Iterator[_Item]) -> Generator[_Item, None, None]:
    """The items, each made by a thread while the one before is worked on; errors come where the items would.

    >>> list(ahead(iter("ab")))
    ['a', 'b']
    """
    with ThreadPoolExecutor(1, "read") as pool:
        following = pool.submit(_next, items)
        while (item := following.result()) is not None:
            following = pool.submit(_next, items)
            yield item[0]


def _next(items: Iterator[_Item]) -> tuple[_Item] | None:
    for item in items:
        return (item,)
    return None
