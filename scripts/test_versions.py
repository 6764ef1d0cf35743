"""Run the tests against the wheel, with the lowest versions that it declares and with the pinned ones.

    python scripts/test_versions.py                    both, each in an empty environment under build/versions
    python scripts/test_versions.py lowest -x tests    one of them; what follows its name goes to pytest
    python scripts/test_versions.py write              constraints-lowest.txt anew, after a change of pyproject.toml

The sources are out of the way: what is tested is what a user installs. Lowest are the declared packages; what those
need in turn is what pip chose on the day of `write`. PyTorch below the pinned version is the registry's, which for
Linux means several GB of CUDA libraries.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "versions"
FILES = {"lowest": ROOT / "constraints-lowest.txt", "pinned": ROOT / "constraints.txt"}
TOOLS = ("beartype", "hypothesis", "packaging", "pytest", "pytest-xdist")  # those that tests import, and their runner
HEAD = """\
# The lowest versions that pyproject.toml declares, and what pip chose for the rest: the other end of the ranges, tested
# by `make test-versions`. Made by `python scripts/test_versions.py write` when a bound is changed; not to be edited.
"""


def main(arguments: list[str]) -> int:
    mode, *rest = arguments or ["both"]
    if mode not in (*FILES, "both", "write"):
        sys.exit(f"error: the first argument must be lowest, pinned, both or write, not {mode!r}")
    lowest = project()["requires-python"].split(",")[0].removeprefix(">=")
    if mode != "pinned" and not sys.version.startswith(f"{lowest}."):
        sys.exit(
            f"error: the lowest versions have wheels for Python {lowest}, not {sys.version.split()[0]}: run it there"
        )
    if mode == "write":
        write()
        return 0
    if any(line not in pins("lowest") for line in floors()):
        sys.exit(
            "error: constraints-lowest.txt is not that of pyproject.toml: run python scripts/test_versions.py write"
        )
    wheel = build()
    names = list(FILES) if mode == "both" else [mode]
    return max([test(name, wheel, rest) for name in names])


def project() -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return found


def floors() -> list[str]:
    """Pins of the declared packages, those of all extras but `dev` too, at their lower bounds."""
    extras = project()["optional-dependencies"]
    declared = [*project()["dependencies"], *(one for name in extras if name != "dev" for one in extras[name])]
    return sorted({re.sub(r"^([\w.-]+)\s*>=\s*([\w.]+).*", r"\1==\2", one) for one in declared})


def pins(name: str) -> list[str]:
    return [line for line in FILES[name].read_text(encoding="utf-8").splitlines() if not line.startswith("#")]


def build() -> str:
    """The wheel, with all extras but `dev`, as a requirement."""
    python = environment("build")
    for old in BUILD.glob("*.whl"):
        old.unlink()
    # In the environment, unlike on the command line, a constraint also reaches what the build itself needs.
    pip(python, "wheel", "--no-deps", "--wheel-dir", str(BUILD), str(ROOT), PIP_CONSTRAINT=str(FILES["pinned"]))
    (wheel,) = BUILD.glob("*.whl")
    return f"{wheel}[{','.join(name for name in project()['optional-dependencies'] if name != 'dev')}]"


def environment(name: str) -> Path:
    """The interpreter of an empty environment."""
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(BUILD / name)], check=True)
    return BUILD / name / ("Scripts" if os.name == "nt" else "bin") / "python"


def pip(python: Path, *arguments: str, **settings: str) -> str:
    command = [str(python), "-m", "pip", "--disable-pip-version-check", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=clean() | settings).stdout


def clean() -> dict[str, str]:
    """The surroundings, without what would let the sources be found, or change a sum."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"OMP_NUM_THREADS": "1"}


def test(name: str, wheel: str, arguments: list[str]) -> int:
    python = environment(name)
    print(f"installing the {name} versions", flush=True)
    pip(python, "install", "--constraint", str(FILES[name]), wheel, *TOOLS)
    # -P: the current folder holds no module of ours, and is to stay so. Without arguments the doctests run as well.
    where = arguments or ["tests", "--pyargs", "masknet"]
    print(f"testing with the {name} versions", flush=True)
    return subprocess.run([str(python), "-P", "-m", "pytest", *where], cwd=ROOT, env=clean(), check=False).returncode


def write() -> None:
    wheel = build()
    tools = [line for line in pins("pinned") if line.split("==")[0] in TOOLS]
    wanted = BUILD / "wanted.txt"
    wanted.write_text("\n".join([*floors(), *tools, ""]), encoding="utf-8")
    python = environment("lowest")
    pip(python, "install", "--constraint", str(wanted), wheel, *TOOLS)
    chosen = {line.split("+")[0] for line in pip(python, "freeze").splitlines() if "==" in line}
    named = {key(line) for line in floors()}
    # What PyTorch for CUDA brings is pinned by PyTorch itself, and differs between systems.
    others = {line for line in chosen if key(line) not in named and not re.match("nvidia|triton", line)}
    lines = sorted([*floors(), *others], key=key)
    FILES["lowest"].write_text(HEAD + "\n".join([*lines, ""]), encoding="utf-8")


def key(pin: str) -> str:
    return re.sub(r"[-_.]+", "-", pin.split("==")[0]).lower()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
