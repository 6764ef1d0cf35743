"""How much memory `masknet train` takes, phase by phase, as JSON with hardware and commit; on Linux.

    python benchmarks/memory.py shards/ --flags "--set block_dims=[64,64,64]" --out benchmarks/results/memory.json

One epoch from the tables to the artifact, in a process of its own and with an empty cache. What counts is anonymous
memory, that of the process and of its children: `RssAnon` in /proc/PID/status. Pages of files, the encoded rows and the
libraries, are not in it, since the kernel drops them when others need the room. The data are shards of a click log; the
figure in the docs is of 10 million rows.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import masknet
from machine import commit, family, hardware, resident
from masknet.table import open_table

EVERY_SECONDS = 0.1
# `masknet`, telling its progress often enough to know the phase that a sample belongs to.
COMMAND = (
    "import masknet.cli.console as console; console._PLAIN_SECONDS = 0.1; from masknet.cli import main; main()",
    "train",
)
TRAINING = re.compile(r"(?:member \d+/\d+, )?epoch \d+/\d+")
PHASE = re.compile(rf"(inspect|learn the vocabulary|encode|(?:.*, )?validate|{TRAINING.pattern}): ([\d,]+)")


class Watch:
    """Peaks and time by phase of a running `masknet train`, whose progress is heard on its standard error."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.phases: dict[str, dict[str, Any]] = {}
        self.said: list[str] = []
        self._process = process
        self._began = time.monotonic()
        self._enter("start")
        listener = threading.Thread(target=self._listen)
        listener.start()
        while process.poll() is None:
            self._sample()
            time.sleep(EVERY_SECONDS)
        listener.join()
        self._leave()

    def _enter(self, phase: str) -> None:
        self._phase = phase
        self._since = time.monotonic()
        self.phases.setdefault(phase, {"seconds": 0.0, "rows": 0, "anonymous_mib": 0, "of_files_mib": 0})

    def _leave(self) -> None:
        self.phases[self._phase]["seconds"] += time.monotonic() - self._since

    def _listen(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            found = PHASE.match(line)
            phase = self._phase
            if found is None:
                self.said.append(line.rstrip())
                print(line, end="", file=sys.stderr)
                if re.match(r"(member \d+/\d+, )?epoch \d+: ", line):
                    phase = "finish"
                elif "MB in the cache, about" in line:
                    phase = "learn the vocabulary"
            else:
                phase = "train" if TRAINING.fullmatch(found[1]) else found[1].rpartition(", ")[2]
            if phase != self._phase:
                self._leave()
                self._enter(phase)
            if found is not None:
                self.phases[phase]["rows"] = max(self.phases[phase]["rows"], int(found[2].replace(",", "")))

    def _sample(self) -> None:
        kinds = {"anonymous_mib": "RssAnon", "of_files_mib": "RssFile"}
        try:
            members = list(family(self._process.pid))
            found = {name: sum(resident(pid, kind) for pid in members) for name, kind in kinds.items()}
        except (FileNotFoundError, ProcessLookupError):  # one of them has just ended
            return
        phase = self.phases[self._phase]
        for name, size in found.items():
            phase[name] = max(phase[name], size)


def markdown(report: dict[str, Any]) -> str:
    """The figures as `docs/memory.md` shows them."""
    machine, parameters = report["hardware"], report["num_parameters"]
    lines = [
        f"**{report['peak_anonymous_mib']:,} MiB** at most: {report['rows']:,} rows ({report['data_mb']:,} MB of "
        f"files, {report['encoded_mb']:,} MB encoded), one epoch in {report['seconds'] / 60:,.0f} min; "
        f"{parameters['embedding']:,} parameters in tables, {parameters['network']:,} in the network; valid AUC "
        f"{report['metrics']['auc']:.4f}. {machine['processor']}, {machine['threads']} threads, "
        f"{machine['memory_gib']:.0f} GiB; Python {machine['python']}, PyTorch {machine['torch']}; "
        f"{report['commit']}, {report['date'][:10]}. Flags: `{shlex.join(report['flags'])}`.",
        "",
        "| phase | anonymous MiB | pages of files, MiB | seconds | rows a second |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, phase in report["phases"].items():
        rate = "" if phase["rows_per_second"] is None else f"{phase['rows_per_second']:,}"
        sizes = f"{phase['anonymous_mib']:,} | {phase['of_files_mib']:,}"
        lines.append(f"| {name} | {sizes} | {phase['seconds']:,.1f} | {rate} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="How much memory `masknet train` takes, phase by phase.")
    parser.add_argument("data", help="the table, or a folder of shards")
    parser.add_argument("--label", default="label")
    parser.add_argument("--valid-fraction", type=float, default=0.01)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--flags", default="", help="more flags of masknet train, in one text")
    parser.add_argument("--folder", type=Path, help="where the cache and the artifact lie meanwhile")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "memory.json")
    given = parser.parse_args()
    if sys.platform != "linux":
        sys.exit("anonymous memory is read from /proc, which Linux has; this is another system: run it on Linux")
    flags = ["--label", given.label, "--valid-fraction", str(given.valid_fraction), "--epochs", "1"]
    flags += ["--threads", str(given.threads), *shlex.split(given.flags)]
    table = open_table(given.data)
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        places = ["--cache-dir", f"{folder}/cache", "--out", f"{folder}/log.masknet", "--json"]
        started = time.monotonic()
        with subprocess.Popen(
            [sys.executable, "-c", *COMMAND, given.data, *flags, *places],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            watch = Watch(process)
            assert process.stdout is not None
            printed = process.stdout.read()
        seconds = time.monotonic() - started
        if process.returncode:
            sys.exit(f"masknet train failed with {process.returncode}: {watch.said[-1:]}")
        manifest = json.loads(Path(folder, "log.masknet", "manifest.json").read_text())
        cache = sum(file.stat().st_size for file in Path(folder, "cache").rglob("*") if file.is_file())
    for phase in watch.phases.values():
        phase["rows_per_second"] = round(phase["rows"] / phase["seconds"]) if phase["rows"] else None
        phase["seconds"] = round(phase["seconds"], 1)
    peak = max(watch.phases.values(), key=lambda phase: phase["anonymous_mib"])["anonymous_mib"]
    report = {
        "benchmark": "memory",
        "masknet": masknet.__version__,
        "commit": commit(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "hardware": hardware(given.threads),
        "flags": flags,
        "rows": table.num_rows or manifest["data"]["rows"] + manifest["data"]["valid_rows"],
        "data_mb": round(table.num_bytes / 1e6),
        "encoded_mb": round(cache / 1e6),
        "num_parameters": manifest["num_parameters"],
        "metrics": {name: json.loads(printed)["metrics"][name]["value"] for name in ("auc", "log_loss")},
        "seconds": round(seconds, 1),
        "peak_anonymous_mib": peak,
        "phases": watch.phases,
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(report, indent=1) + "\n")
    print(f"{markdown(report)}\n\nwritten to {given.out}")


if __name__ == "__main__":
    main()
