"""Kill a training process (`kill -9`) at random moments, resume it each time, and compare the weights byte for byte.

    python benchmarks/kill_and_resume.py --kills 10 --seed 0 --model parallel-masknet

Moments of three kinds take turns, in a random order. *epoch*: a random time after the process has begun to train.
*evaluation*: a random time after it has begun one of its next validations. *checkpoint*: as soon as a half-written
one is seen on the disk. Each process tells its phases on standard error, so that the table says where it really died:
a kill meant for a validation or a half-written checkpoint that came too late does not count, and is tried again.
A model that learns by row has one epoch and one validation, and is killed in the other moments alone.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from safetensors import safe_open

import masknet
from machine import commit, hardware
from masknet.datasets import planted_log

# `masknet train`, and a line each time that its progress enters another phase.
CHILD = """
import sys
from masknet.cli import main
from masknet.cli.console import ConsoleProgress

def told(self, phase, done, total, detail="", unit="rows", track=ConsoleProgress.track):
    if phase != getattr(self, "told", None):
        self.told = phase
        print("phase:", phase, file=sys.stderr, flush=True)
    track(self, phase, done, total, detail, unit)

ConsoleProgress.track = told
main(sys.argv[1:])
"""
KINDS = ("epoch", "evaluation", "checkpoint")
MODELS: dict[str, dict[str, Any]] = {
    "parallel-masknet": {"set": {"block_dims": [64, 64], "top_dims": [64], "dropout": 0.1}},
    "ffm": {"set": {"embedding_dim": 4}},
    "fnn": {"set": {"hidden_dims": [64], "dropout": 0.1}},
    "multitask-masknet": {
        "set": {"block_dims": [64, 64], "top_dims": [64], "tower_dims": [16], "dropout": 0.1},
        "label": ["click", "like"],
        "ignore": ["timestamp"],
        "monitor": "like.auc",
    },
    "adpredictor": {"set": {}, "ignore": ["timestamp", "like"]}
    | dict.fromkeys(("batch_size", "epochs", "patience", "average_weights")),
}
"""What differs from the settings of all."""
EVALUATION_SECONDS = 0.1  # less than one takes
CHECKPOINT_SECONDS = 0.5


class Run:
    """One run of `masknet train`, in as many processes as it takes."""

    def __init__(self, data: Path, out: Path, model: str, *, epochs: int, threads: int) -> None:
        self.out, self.folder = out, Path(f"{out}.run")
        settings = {
            "data": str(data),
            "label": "click",
            "ignore": ["timestamp", "like"],
            "model": model,
            "members": 1,
            "valid_fraction": 0.4,
            "cache_dir": str(data.parent / "cache"),
            "out": str(out),
            "batch_size": 256,
            "epochs": epochs,
            "patience": epochs,
            "average_weights": 0.99,
            "refit": True,
            "threads": threads,
            "device": "cpu",
            "checkpoint_minutes": CHECKPOINT_SECONDS / 60,
        } | MODELS[model]
        self.file = out.with_suffix(".json")
        self.file.write_text(json.dumps(settings))

    def start(self, *flags: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", CHILD, "train", "--config", str(self.file), *flags]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def finish(self, *flags: str) -> None:
        process = self.start(*flags)
        _, said = process.communicate()
        if process.returncode != 0:
            raise SystemExit(f"the run did not end well:\n{said}")

    def half_written(self) -> bool:
        writing = self.folder / "writing"
        try:
            return any(file.name != "log.jsonl" and file.name != "run.json" for file in os.scandir(writing))
        except FileNotFoundError:
            return False

    def step(self) -> str:
        """The step of the last whole checkpoint, as "120", or "refit 7"; "none" before the first."""
        file = self.folder / "checkpoint-1.safetensors"
        if not file.exists():
            return "none"
        with safe_open(file, framework="np") as opened:
            state = json.loads(opened.metadata()["state"])
        return f"{'refit ' if state['found'] else ''}{state['trainer']['step']}"

    def weights(self) -> bytes:
        return (self.out / "weights.safetensors").read_bytes()

    def log(self) -> list[dict[str, Any]]:
        records = [json.loads(line) for line in (self.folder / "log.jsonl").read_text().splitlines()]
        return [{key: value for key, value in record.items() if "seconds" not in key} for record in records]


def phases(process: subprocess.Popen[str]) -> Iterator[str]:
    """The phases that a process tells, as they come."""
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("phase: "):
            yield line.removeprefix("phase: ").strip()


def kill_once(run: Run, kind: str, draws: random.Random, *, longest: float, resume: bool) -> dict[str, Any]:
    """Go on with the run and kill it at a moment of this kind, `longest` seconds after it went on at most."""
    process = run.start(*(["--resume"] if resume else []))
    told = phases(process)
    phase = next((phase for phase in told if "epoch" in phase), None)
    if kind == "epoch":
        time.sleep(draws.uniform(0, longest))
    elif kind == "evaluation":
        for _ in range(draws.randint(1, 3)):
            phase = next((phase for phase in told if phase.endswith("validate")), phase)
        time.sleep(draws.uniform(0, EVALUATION_SECONDS))
    else:
        while process.poll() is None and not run.half_written():
            time.sleep(0.0002)
    process.kill()
    for phase in told:  # noqa: B007 - the last one, in which it died
        pass
    process.wait()
    if process.returncode != -signal.SIGKILL:
        raise SystemExit("the run was done before all kills: give it more rows, or fewer kills")
    return {"moment": kind, "died_in": phase, "half_written": run.half_written(), "checkpoint": run.step()}


def kill_again_and_again(
    run: Run, kills: int, seed: int, longest: float, moments: Sequence[str]
) -> list[dict[str, Any]]:
    draws = random.Random(seed)
    kinds = [moments[number % len(moments)] for number in range(kills)]
    draws.shuffle(kinds)
    done: list[dict[str, Any]] = []
    resume = False
    for number, kind in enumerate(kinds):
        while True:
            kill = kill_once(run, kind, draws, longest=longest, resume=resume)
            resume = True
            validates = str(kill["died_in"]).endswith("validate")
            if {"epoch": True, "evaluation": validates, "checkpoint": kill["half_written"]}[kind]:
                break  # it died where it was meant to
        done.append(kill)
        half = "a half-written checkpoint is left" if kill["half_written"] else ""
        print(f"{number + 1:>4}  {kind:12}{kill['died_in']!s:14}{kill['checkpoint']:>12}  {half}", flush=True)
    return done


def main() -> None:
    parser = argparse.ArgumentParser(description="Kill training at random moments, resume, compare the weights.")
    parser.add_argument("--model", choices=MODELS, default="parallel-masknet")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="(default: benchmarks/results/kill_and_resume-MODEL.json)")
    given = parser.parse_args()
    out = given.out or Path(__file__).parent / "results" / f"kill_and_resume-{given.model}.json"
    moments = ("epoch", "checkpoint") if given.model == "adpredictor" else KINDS
    epochs = 3 * given.kills + 2  # a kill moves the run on by about one, and some are tried again
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "log.parquet"
        log, _ = planted_log(given.rows, seed=0)
        like = pl.Series("like", np.random.default_rng(1).integers(0, 2, len(log)))
        log.with_columns(like).write_parquet(data)
        whole, killed = (
            Run(data, Path(folder) / f"{name}.masknet", given.model, epochs=epochs, threads=given.threads)
            for name in ("whole", "killed")
        )
        started = time.perf_counter()
        whole.finish()
        seconds = time.perf_counter() - started
        print(f"the run that is not killed took {seconds:.0f} s\n")
        print(f"kill  {'moment':12}{'died in':14}{'checkpoint':>12}")
        kills = kill_again_and_again(killed, given.kills, given.seed, seconds / given.kills, moments)
        killed.finish("--resume")
        equal = killed.weights() == whole.weights()
        same_log = killed.log() == whole.log()
    report = {
        "benchmark": "kill_and_resume",
        "model": given.model,
        "rows": given.rows,
        "epochs": epochs,
        "seed": given.seed,
        "seconds_of_the_whole_run": round(seconds, 1),
        "masknet": masknet.__version__,
        "commit": commit(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "hardware": hardware(given.threads),
        "kills": kills,
        "weights_equal": equal,
        "logs_equal": same_log,
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(report, indent=1) + "\n")
    print(f"\nweights after {len(kills)} kills: {'equal, byte for byte' if equal else 'DIFFERENT'}")
    print(f"written to {out}")
    if not (equal and same_log):
        raise SystemExit("the killed run ended otherwise than the one that was not killed")


if __name__ == "__main__":
    main()
