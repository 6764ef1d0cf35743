"""MaskNet: click-through-rate ranking with instance-guided masks.

The public names are loaded when they are first asked for, so that `import masknet` costs nothing.
"""

# NOTE[perf]: each import takes a tenth of a millisecond, that of `__future__` or of a module of our own too.
import os
import sys

TYPE_CHECKING = False  # as type checkers read it, without `typing`

_WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "KMP_LIBRARY")
"""What users say with how PyTorch's threads shall wait: OpenMP's own name, GNU's, and those of Intel's and LLVM's."""

# Unless the user said it, the threads sleep soon when they wait for each other. GNU's OpenMP, which PyTorch's builds
# for Linux bring, by default spins for milliseconds at the end of every layer. The runtime reads the environment when
# it is loaded, with torch; child processes inherit it; other runtimes know the policy alone.
# NOTE[perf]: on a shared machine it spins while the thread that it waits for has no processor. Threads that sleep at
# once lose on an idle machine, where each layer of a small network wakes them anew. 2,000 turns, some 20
# microseconds, outlast the way from layer to layer and little else: on two cores an epoch of the defaults took 1.4 s
# idle and 3.2 s beside two busy loops, where PyTorch's own way took 1.1 and 4.7 to 97 s, sleeping at once 2.3 and 2.3
# s; the weights were equal to the last bit (benchmarks/busy_machine.py).
if "torch" not in sys.modules and not any(name in os.environ for name in _WAITING):
    os.environ["OMP_WAIT_POLICY"] = "passive"
    os.environ["GOMP_SPINCOUNT"] = "2000"

__version__ = "0.1.0"

__all__ = [
    "ArtifactError",
    "CTRClassifier",
    "ConfigError",
    "DataError",
    "MasknetError",
    "__version__",
    "load",
]

if TYPE_CHECKING:
    from masknet.errors import ArtifactError, ConfigError, DataError, MasknetError
    from masknet.estimator import CTRClassifier
    from masknet.model import load
else:  # hidden from type checkers, which would take any name for one of ours
    _HOMES = {
        "ArtifactError": "masknet.errors",
        "CTRClassifier": "masknet.estimator",
        "ConfigError": "masknet.errors",
        "DataError": "masknet.errors",
        "MasknetError": "masknet.errors",
        "load": "masknet.model",
    }

    def __getattr__(name):
        if name not in _HOMES:
            raise AttributeError(f"module 'masknet' has no attribute '{name}'")
        import importlib

        return getattr(importlib.import_module(_HOMES[name]), name)

    def __dir__():
        return sorted({*globals(), *__all__})
