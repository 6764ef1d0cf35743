"""How processor threads wait for each other: `import masknet` imports it first, so it imports next to nothing."""

from __future__ import annotations

import os
from collections.abc import MutableMapping

__all__ = ["wait_briefly"]

# What users say it with: the first is OpenMP's own, the others are those of GNU's runtime and of Intel's and LLVM's.
WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "KMP_LIBRARY")

BRIEFLY = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "2000"}


def wait_briefly(environment: MutableMapping[str, str] = os.environ) -> None:
    """Let PyTorch's threads sleep soon when they wait for each other, unless the user said how they shall wait.

    GNU's OpenMP, which PyTorch's builds for Linux bring, by default spins for milliseconds at the end of every layer.
    NOTE[perf]: on a shared machine it spins while the thread that it waits for has no processor. Threads that sleep at
    once lose on an idle machine, where each layer of a small network wakes them anew. 2,000 turns, some 20
    microseconds, outlast the way from layer to layer and little else: on two cores an epoch of the defaults took 1.4 s
    idle and 3.2 s beside two busy loops, where PyTorch's own way took 1.1 and 4.7 to 97 s, sleeping at once 2.3 and
    2.3 s; the weights were equal to the last bit (benchmarks/busy_machine.py). Other runtimes know the policy alone.

    The runtime reads the environment when it is loaded, so this has no effect once torch is imported.

    >>> said = {"OMP_NUM_THREADS": "2"}
    >>> wait_briefly(said); said
    {'OMP_NUM_THREADS': '2', 'OMP_WAIT_POLICY': 'passive', 'GOMP_SPINCOUNT': '2000'}

    Args:
        environment: is changed; child processes inherit it.
    """
    if not any(name in environment for name in WAITING):
        environment.update(BRIEFLY)
