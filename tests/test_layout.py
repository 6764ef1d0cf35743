"""What holds the project together: pins, targets, and what may be imported without torch."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import masknet

ROOT = Path(__file__).parents[1]


def pins(file: str = "constraints.txt") -> dict[str, str]:
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pairs}


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_every_declared_package_is_pinned_within_its_range() -> None:
    declared = project()["project"]
    extras = declared["optional-dependencies"]
    wanted = [*declared["dependencies"], *(requirement for extra in extras.values() for requirement in extra)]
    wanted += project()["build-system"]["requires"]
    pinned = pins()
    for requirement in map(Requirement, wanted):
        assert pinned[canonicalize_name(requirement.name)] in requirement.specifier, requirement


def test_the_lowest_versions_are_those_that_the_wheel_declares() -> None:
    declared = project()["project"]
    extras = declared["optional-dependencies"]
    wanted = [*declared["dependencies"], *(one for name in extras if name != "dev" for one in extras[name])]
    pinned = pins("constraints-lowest.txt")
    for requirement in map(Requirement, wanted):
        lowest = f">={pinned[canonicalize_name(requirement.name)]}"
        assert lowest in str(requirement.specifier).split(","), f"{requirement}: python scripts/test_versions.py write"


def test_torch_is_pinned_without_a_local_label() -> None:
    assert re.fullmatch(r"[0-9.]+", pins()["torch"]), "a label such as +cpu is found in no index but its own"


def test_the_changelog_knows_this_version() -> None:
    assert f"\n## {masknet.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert project()["project"]["version"] == masknet.__version__


def test_make_lists_its_targets() -> None:
    listed = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    targets = re.findall(r"^  ([\w-]+) +\S", listed, flags=re.MULTILINE)
    assert {"setup", "demo", "test", "test-versions", "check", "bench", "docs"} <= set(targets)


def test_tables_to_manifests_run_without_torch() -> None:
    # import-linter reads our own imports; this one also sees a package of somebody else's that loads torch.
    program = """
import importlib, pkgutil, sys
import masknet
for name in ("table", "schema", "config", "encode", "datasets", "manifest"):
    module = importlib.import_module("masknet." + name)
    for inner in pkgutil.iter_modules(getattr(module, "__path__", [])):
        importlib.import_module(f"masknet.{name}.{inner.name}")
        print(name, inner.name)
sys.exit("torch" in sys.modules)
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "datasets movielens" in result.stdout
