"""A side of a stage, in a process of its own: it prepares once, then measures whenever it is told to.

    python -m stages.child '{"work": "stages.ranking:sort", "given": {"rows": 1000}, "engine": null, "threads": 2}'

A line that it reads holds the figures that other sides gave in this repeat, as JSON; a line that it writes holds its
own. Whatever else is printed goes to the standard error. Nothing heavy is imported here: some sides time their imports.
"""

import importlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

Measure = Callable[[dict[str, Any]], dict[str, Any]]
"""What a side prepares: it measures once, is given the figures of others in this repeat, and gives its own."""


def main() -> None:
    told = json.loads(sys.argv[1])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(told["threads"])
    engine = [] if told["engine"] is None else [engine_of(**told["engine"])]  # before what imports PyTorch
    module, _, name = told["work"].partition(":")
    measure = getattr(importlib.import_module(module), name)(*engine, **told["given"])
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(measure(json.loads(line))), file=answers, flush=True)


def threads() -> int:
    """As many as the process was told to use."""
    return int(os.environ["OMP_NUM_THREADS"])


def engine_of(*, source: str, module: str, cache: str) -> Any:
    """A masknet, by the module that knows its names, as its command line begins."""
    require(source)
    engine = importlib.import_module(module).Masknet(Path(cache))
    engine.begin()
    return engine


def require(source: str) -> None:
    """Import masknet, and end where it is not the one whose packages lie there."""
    found = str(importlib.import_module("masknet").__file__)
    if not found.startswith(source):
        sys.exit(f"this side measures the masknet of {source}; imported was {found}")


if __name__ == "__main__":
    main()
