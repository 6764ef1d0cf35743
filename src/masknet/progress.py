"""How long work tells its caller how it goes: the engine reports, the command line draws, no other prints unasked."""

from __future__ import annotations

import logging
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

_log = logging.getLogger("masknet")


class Progress(Protocol):
    """What the engine calls."""

    def note(self, text: str) -> None:
        """Say something that the reader of a run wants to know."""

    def warn(self, text: str) -> None:
        """Say something that may be wrong with the data or the settings; the run goes on."""

    def track(self, phase: str, done: int, total: int | None, detail: str = "", unit: str = "rows") -> None:
        """Report `done` of `total` rows, or of another unit, of `phase` ("encode", "epoch 3"); None where unknown.

        `detail` is what else is known, the time that is left too; without it, that of the phase is guessed.
        """

    def holding_interrupts(self) -> AbstractContextManager[None]:
        """Within it, a wish to stop (Ctrl-C) is kept for `stopping` to tell, and does not break in."""

    def stopping(self) -> bool:
        """Whether the user asked the work to stop at the next safe point."""


class LogProgress:
    """The default in Python: notes and warnings go to the `masknet` logger."""

    def note(self, text: str) -> None:
        _log.info(text)

    def warn(self, text: str) -> None:
        _log.warning(text)

    def track(self, phase: str, done: int, total: int | None, detail: str = "", unit: str = "rows") -> None:
        pass

    def holding_interrupts(self) -> AbstractContextManager[None]:
        return nullcontext()

    def stopping(self) -> bool:
        return False


class VerboseProgress(LogProgress):
    """What `verbose` asks for in Python: notes that the logger does not take are printed, as warnings are."""

    def note(self, text: str) -> None:
        if _log.isEnabledFor(logging.INFO):
            _log.info(text)
        else:
            print(text, file=sys.stderr)
