"""Members that are trained at the same time: each in a thread with processors of its own.

NOTE[perf]: one batched product for all members was measured too, and is slower on processors (docs/decisions/0006): the
products are as fast one by one, and what lies between them no longer fits the caches. What is gained here is that no
layer waits for threads to meet: a member uses few, and the others are busy with another one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import copy_context
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import nn

from masknet.models import is_code
from masknet.progress import Progress
from masknet.train.standing import Board, Interrupted, Standing, line_of

__all__ = ["Lanes", "draws", "in_lanes", "lanes_of"]

T = TypeVar("T")


@dataclass(frozen=True)
class Lanes:
    """How the members of a run share its processors.

    Args:
        at_once: how many are trained at the same time.
        threads: of each. Fixed by the run's settings alone, since other numbers of threads give other bits: where the
            memory does not suffice, fewer are trained at once, each with as many threads as before.
    """

    at_once: int
    threads: int

    def lasted(self, seconds: Sequence[float]) -> float:
        """How long the members took together, given how long each took, in their order.

        >>> Lanes(at_once=2, threads=1).lasted([10.0, 8.0, 7.0, 6.0])
        16.0
        """
        lanes = [0.0] * self.at_once
        for of_member in seconds:  # the next one begins where a lane is free first
            lanes[lanes.index(min(lanes))] += of_member
        return max(lanes)


def lanes_of(model: str, network: nn.Module, *, members: int, threads: int, device: torch.device) -> Lanes:
    """The lanes of a run, as far as its memory suffices.

    Members are trained one after the other where the network draws in its steps, since all draw from one generator;
    and on a GPU, which threads of Python cannot share.

    >>> lanes_of("lr", nn.Linear(2, 1), members=4, threads=8, device=torch.device("cpu"))
    Lanes(at_once=4, threads=2)
    >>> lanes_of("lr", nn.Dropout(0.1), members=4, threads=8, device=torch.device("cpu"))
    Lanes(at_once=1, threads=8)

    Args:
        model: its name.
        network: one like the members, whatever its weights.
        members, threads: of the run.
        device: where it is trained.
    """
    alone = device.type != "cpu" or draws(model, network)
    at_once = 1 if alone else min(members, threads)
    return Lanes(at_once, threads // at_once)


def draws(model: str, network: nn.Module) -> bool:
    """Whether the steps of a network may draw from PyTorch's generator; of a user's own network nothing is known."""
    return is_code(model) or any(isinstance(module, nn.Dropout) and module.p > 0 for module in network.modules())


def in_lanes(train: Callable[[int, Board], T], *, members: int, lanes: Lanes, progress: Progress) -> list[T]:
    """What `train` returns for each member, in their order; the next one begins where one has ended.

    Args:
        train: trains a member, counted from 0, and tells the board how it goes.
        members: how many.
        lanes: how many at once.
        progress: who hears of them; never from two threads at a time.

    Raises:
        Interrupted: the progress asked to stop, and each has written its state.
    """
    if lanes.at_once == 1:
        with _threads(lanes.threads):
            return [train(number, Board(progress)) for number in range(members)]
    board = _SharedBoard(progress)

    def in_lane(number: int) -> T:
        board.require_going_on()
        try:
            with _threads(lanes.threads):
                return train(number, board)
        except Interrupted:
            raise
        except BaseException:
            board.given_up = True
            raise
        finally:
            board.forget(number + 1)

    with progress.holding_interrupts(), ThreadPoolExecutor(lanes.at_once) as pool:
        # With the context of this thread: by it the command line knows which flags a note may name.
        futures = [pool.submit(copy_context().run, in_lane, number) for number in range(members)]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
            pool.shutdown(cancel_futures=True)
        except BaseException:  # Ctrl-C again: nobody waits for what is still trained
            board.given_up = True
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    _raise_first(futures)
    return [future.result() for future in futures]


class _GivenUp(BaseException):
    """Another member failed: nothing more is to be done."""


def _raise_first(futures: Sequence[Future[T]]) -> None:
    """Raise what ended the training of a member, if anything did: where all were stopped, once for all."""
    errors = [error for future in futures if not future.cancelled() and (error := future.exception()) is not None]
    stopped = [error for error in errors if isinstance(error, Interrupted)]
    for error in errors:
        if not isinstance(error, Interrupted | _GivenUp):
            raise error
    if stopped:
        raise Interrupted(*(where for error in stopped for where in error.where))


class _SharedBoard(Board):
    """The board of several members: one line for all, and one voice at a time."""

    def __init__(self, progress: Progress) -> None:
        super().__init__(progress)
        self.given_up = False
        self._stopping = False
        self._turn = threading.RLock()
        self._now: dict[int, Standing] = {}

    def require_going_on(self) -> None:
        """Begin no training once the others stop."""
        if self.given_up or self._stopping:
            raise _GivenUp

    def _leave_if_given_up(self) -> None:
        if self.given_up:
            raise _GivenUp

    def note(self, text: str) -> None:
        with self._turn:
            super().note(text)

    def tell(self, standing: Standing) -> None:
        self._leave_if_given_up()
        with self._turn:
            self._now[standing.turn.member] = standing
            now = [self._now[member] for member in sorted(self._now)]
            self._progress.track(*line_of(now))

    def forget(self, member: int) -> None:
        """Its training has ended."""
        with self._turn:
            self._now.pop(member, None)

    def stopping(self) -> bool:
        self._leave_if_given_up()
        with self._turn:
            self._stopping = self._stopping or super().stopping()  # the user says it once, and each is told
        return self._stopping

    def holding_interrupts(self) -> AbstractContextManager[None]:
        return nullcontext()  # the thread that waits for all holds them


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Let PyTorch use so many threads in this one."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
