"""Threads that change nothing but the time it takes."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from masknet.encode.workers import Workers, ahead


def test_the_first_error_is_that_of_the_first_item() -> None:
    later = threading.Event()

    def fail(number: int) -> None:
        if number == 0:
            later.wait(0.2)  # the other one fails before, where there are two processors
        else:
            later.set()
        raise ValueError(number)

    with Workers() as workers, pytest.raises(ValueError, match="0"):
        workers.each(fail, [0, 1])


def test_what_is_made_ahead_keeps_its_order_and_its_error() -> None:
    def items() -> Iterator[int]:
        yield from range(3)
        raise ValueError("the fourth")

    made = ahead(items())
    assert [next(made) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="the fourth"):
        next(made)


def test_the_next_item_is_made_while_one_is_worked_on() -> None:
    made = [threading.Event() for _ in range(3)]

    def items() -> Iterator[int]:
        for number, event in enumerate(made):
            event.set()
            yield number

    for number in ahead(items()):
        assert made[min(number + 1, 2)].wait(5)


def test_who_stops_early_leaves_no_thread() -> None:
    before = threading.active_count()
    items = ahead(iter(range(9)))
    assert next(items) == 0
    items.close()
    assert threading.active_count() == before
