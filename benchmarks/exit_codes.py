"""A refused file ends the process with code 1, each time: no reader outlives the error and aborts it.

    python benchmarks/exit_codes.py --out benchmarks/results/exit_codes.json

`masknet inspect` on a ragged file 100 times, and every refused case of the table of broken inputs 5 times, each in a
process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from broken_inputs import CASES, ROOT, run
from machine import commit, hardware

RAGGED = "click,user,site\n" + "".join(f"{i % 2},{i},north\n" for i in range(200_000)) + "1,2\n" + "0,1,south\n" * 9
INSPECT = "from masknet.cli import main; main(['inspect', 'ragged.csv', '--label', 'click'])"


def ragged(folder: Path, times: int, processes: int) -> Counter[int]:
    (folder / "ragged.csv").write_text(RAGGED)

    def code(_: int) -> int:
        return subprocess.run([sys.executable, "-c", INSPECT], cwd=folder, capture_output=True, check=False).returncode

    with ThreadPoolExecutor(processes) as pool:
        return Counter(pool.map(code, range(times)))


def refused(folder: Path, times: int) -> dict[str, Counter[int]]:
    found = {}
    for number, case in enumerate(case for case in CASES if not case.read):
        codes: Counter[int] = Counter()
        for repeat in range(times):
            own = folder / f"{number}-{repeat}"
            own.mkdir()
            codes[run(case, own, folder / "cache")["exit"]] += 1
        found[case.what] = codes
        print(case.what, dict(codes), flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--ragged", type=int, default=100)
    parser.add_argument("--cases", type=int, default=5, help="times that every refused case is run; 0 for none")
    options = parser.parse_args()
    processes, out = len(os.sched_getaffinity(0)), options.out and options.out.absolute()
    with tempfile.TemporaryDirectory() as folder:
        codes = ragged(Path(folder), options.ragged, processes)
        print("ragged", dict(codes), flush=True)
        cases = refused(Path(folder), options.cases) if options.cases else {}
        os.chdir(ROOT)
    if out is not None:
        report = {"commit": commit(), "hardware": hardware(processes), "ragged": codes, "cases": cases}
        out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    # Wrong usage is 2; an abort would be -6.
    raise SystemExit(set(codes) != {1} or any(set(own) - {1, 2} or len(own) > 1 for own in cases.values()))


if __name__ == "__main__":
    main()
