"""Memory that was freed, and is kept for what is made next."""

from __future__ import annotations

import ctypes
import os
import sys

__all__ = ["keep_freed_memory"]

_ARRAY, _KEPT = 32 << 20, 64 << 20
"""Bytes up to which an array lies on the heap, and up to which a heap keeps what is free at its end. glibc begins with
128 KiB of both, and comes to these two by itself once an array of 32 MiB is freed: so no process holds more than it
might have anyway. NOTE[perf]: 128 and 256 MiB saved no more of the faults below."""

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # as malloc.h numbers them
_SAID = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")


def keep_freed_memory() -> bool:
    """Let this process keep the memory of arrays that it freed, 64 MiB a heap at most; whether it does from now on.

    NumPy and PyTorch ask the C library for every array, and glibc gives some MB back to the system as soon as they are
    free: the next array then gets its pages one by one, each by a fault, and zeroed. Where the C library is another
    one, as on macOS, Windows and Alpine, or the user has set glibc's own variables, nothing is done.

    The command line calls it before a verb. `import masknet`, the estimator and a loaded model do not: how a process
    that is somebody else's treats its memory is for them to say, and they gain little by it.

    NOTE[perf]: without and with it, in processor time: the grouped AUC of 200,000 rows 11.0 and 7.5 ms, with groups by
    hashes 28 and 17 ms, a step of factorization machines at batch 4,096 27 and 22 ms, one of the defaults at batch
    1,024 132 and 125 ms, a batch of 4,096 rows by the input pipeline .83 and .75 ms; a step has no fault left where it
    had 400 to 1,200. Whole runs, most of which is encoding, hardly change: of 200,000 rows by logistic regression 9.5
    and 8.6 s, of 20,000 by factorization machines 7.4 and 7.2 s, by the defaults 12.6 and 13.1 s. One row is scored no
    faster: its arrays are small.

    >>> keep_freed_memory() in (True, False)
    True
    """
    if sys.platform != "linux" or any(name in os.environ for name in _SAID):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and bool(mallopt(_MMAP_THRESHOLD, _ARRAY) and mallopt(_TRIM_THRESHOLD, _KEPT))
