"""Threads: how many, how they wait, and that a fork of a process whose threads were at work never hangs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from masknet.threads import available_processors

WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "KMP_LIBRARY")


def run(program: str, at: Path | None = None, **environment: str) -> str:
    inherited = {name: value for name, value in os.environ.items() if name not in WAITING}
    result = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        cwd=at,
        env=inherited | environment,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def groups(root: Path, of_process: str, **files: str) -> str:
    (root / "proc" / "self").mkdir(parents=True)
    (root / "proc" / "self" / "cgroup").write_text(of_process)
    for name, text in files.items():
        file = root / "sys" / "fs" / "cgroup" / name.replace("__", "/").replace("_us", "").replace("cpu_", "cpu.")
        file = file.with_name(file.name + "_us") if name.endswith("_us") else file
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return str(root)


@pytest.fixture(autouse=True)
def _eight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)


# How many


@pytest.mark.parametrize(
    ("quota", "processors"), [("max 100000", 8), ("200000 100000", 2), ("150000 100000", 2), ("5000 100000", 1)]
)
def test_the_quota_of_the_group_counts_rounded_up(tmp_path: Path, quota: str, processors: int) -> None:
    assert available_processors(groups(tmp_path, "0::/\n", cpu_max=f"{quota}\n")) == processors


def test_the_least_quota_above_a_group_counts(tmp_path: Path) -> None:
    root = groups(
        tmp_path, "0::/pod/box\n", cpu_max="max 100000", pod__cpu_max="300000 100000", pod__box__cpu_max="600000 100000"
    )
    assert available_processors(root) == 3


def test_version_1_of_control_groups_counts_too(tmp_path: Path) -> None:
    mount = tmp_path / "sys" / "fs" / "cgroup" / "cpu,cpuacct" / "docker" / "ab"
    mount.mkdir(parents=True)
    (mount / "cpu.cfs_quota_us").write_text("400000\n")
    (mount / "cpu.cfs_period_us").write_text("100000\n")
    (mount.parent / "cpu.cfs_quota_us").write_text("-1\n")
    (mount.parent / "cpu.cfs_period_us").write_text("100000\n")
    assert available_processors(groups(tmp_path, "9:cpuset:/\n1:cpu,cpuacct:/docker/ab\n")) == 4


def test_a_path_of_the_host_leads_to_the_mount_itself(tmp_path: Path) -> None:
    mount = tmp_path / "sys" / "fs" / "cgroup" / "cpu"
    mount.mkdir(parents=True)
    (mount / "cpu.cfs_quota_us").write_text("200000\n")
    (mount / "cpu.cfs_period_us").write_text("100000\n")
    assert available_processors(groups(tmp_path, "1:cpu:/docker/of-the-host\n0::/../..\n")) == 2


@pytest.mark.parametrize("quota", ["", "what", "0 0", "100000", "-1 100000"])
def test_what_is_no_quota_bounds_nothing(tmp_path: Path, quota: str) -> None:
    assert available_processors(groups(tmp_path, "0::/\n", cpu_max=quota)) == 8


def test_the_affinity_bounds_a_larger_quota(tmp_path: Path) -> None:
    assert available_processors(groups(tmp_path, "0::/\n", cpu_max="9900000 100000")) == 8
    assert available_processors(str(tmp_path / "nothing")) == 8


# How they wait


SAID = f"*map(os.environ.get, {WAITING})"


def test_threads_wait_briefly_and_then_sleep_which_is_said_before_torch_is_there() -> None:
    program = f"import sys, os, masknet; print('torch' in sys.modules, {SAID})"
    assert run(program) == "False passive 2000 None None\n"


@pytest.mark.parametrize("name", WAITING)
def test_what_the_user_said_of_waiting_is_left_alone(name: str) -> None:
    said = ["200" if other == name else "None" for other in WAITING]
    assert run(f"import os, masknet; print({SAID})", **{name: "200"}) == f"{' '.join(said)}\n"


def test_after_torch_nothing_is_said_that_would_have_no_effect() -> None:
    assert run("import sys, os; sys.modules['torch'] = os; import masknet; print('OMP_WAIT_POLICY' in os.environ)") == (
        "False\n"
    )


# Forks

FORKS = """
import contextlib, json, os, signal, sys, time
import polars as pl
import torch
from masknet.errors import MasknetError
from masknet import CTRClassifier, load
from masknet.predict import predict_frame

rows = [{"user": i % 7, "click": i % 2} for i in range(60)]
fit = lambda: CTRClassifier("lr", cache_dir="cache", epochs=1, threads=1, members=1).fit(rows, "click")

def forked(work):
    child = os.fork()
    if not child:
        work()
        sys.stdout.flush()
        os._exit(0)
    for _ in range(900):
        if os.waitpid(child, os.WNOHANG)[0]:
            return
        time.sleep(0.1)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    print(json.dumps("it hangs"))

def case(name, before, within):
    def worker(state):
        try:
            print(json.dumps([name, list(within(state).shape)]))
        except MasknetError as error:
            print(json.dumps([name, f"{type(error).__name__}: {error}"]))
    def server():
        state = before()
        forked(lambda: worker(state))
    forked(server)

def with_torch():
    torch.set_num_threads(2)
    return torch.ones(999, 999) @ torch.ones(999, 999)

forked(lambda: fit().save("m"))  # this process itself stays as it was
scores = lambda clf: clf.predict_proba(rows)
case("score", lambda: load("m"), scores)
case("score a frame", lambda: load("m").artifact, lambda model: predict_frame(model, rows))
case("load again", lambda: load("m"), lambda _: scores(load("m")))
case("fit again", fit, lambda clf: scores(clf.fit(rows, "click")))
case("polars before", lambda: pl.DataFrame(rows).select(pl.col("user").sum(), pl.col("click").n_unique()),
     lambda _: scores(load("m")))
case("load in the worker", lambda: None, lambda _: scores(load("m")))
case("torch before", with_torch, lambda _: scores(load("m")))
"""
REFUSED = "ArtifactError: a forked process lacks the threads that score, and would wait for them for ever; "


@pytest.fixture(scope="module")
def forks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What each case said; all from one process, since an import takes longer than all the rest."""
    if not Path("/proc/self/task").is_dir():
        pytest.skip("forks, and the threads of others, are seen on Linux")
    return dict(map(json.loads, run(FORKS, at=tmp_path_factory.mktemp("forks")).splitlines()))


@pytest.mark.parametrize("case", ["score", "score a frame", "load again", "fit again", "polars before"])
def test_a_fork_of_a_process_that_worked_is_refused_and_does_not_hang(forks: dict[str, Any], case: str) -> None:
    assert forks[case].startswith(REFUSED), forks
    assert "was loaded before a fork: load in the worker and nowhere before, or spawn" in forks[case]


@pytest.mark.parametrize("case", ["load in the worker", "torch before"])
def test_a_worker_that_loads_the_model_itself_scores(forks: dict[str, Any], case: str) -> None:
    assert forks[case] == [60, 2], forks
