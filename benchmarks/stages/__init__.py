"""The sides that the stages of `benchmarks/speed.py` measure; each runs in a process of its own, `child.py`."""

import time

STARTED = time.perf_counter()
"""Of the process, but for Python's own start: nothing else is imported before."""
