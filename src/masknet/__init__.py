"""MaskNet: click-through-rate ranking with instance-guided masks.

The public names are loaded when they are first asked for, so that `import masknet` costs nothing.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

from masknet.waiting import wait_briefly

if "torch" not in sys.modules:  # which reads it when it is imported, as the modules below do
    wait_briefly()

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
        return getattr(importlib.import_module(_HOMES[name]), name)

    def __dir__():
        return sorted({*globals(), *__all__})
