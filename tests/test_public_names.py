"""What `import masknet` gives, and what it does not load."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import masknet

NAMES = {"CTRClassifier", "load", "MasknetError", "DataError", "ConfigError", "ArtifactError", "__version__"}


def run(program: str) -> str:
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_the_public_names_are_these() -> None:
    assert set(masknet.__all__) == NAMES
    assert set(dir(masknet)) >= NAMES


def test_every_public_name_is_the_one_of_its_module() -> None:
    from masknet import errors, estimator, model

    for name in NAMES - {"__version__"}:
        home = {"CTRClassifier": estimator, "load": model}.get(name, errors)
        assert getattr(masknet, name) is getattr(home, name)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'masknet' has no attribute 'CTRClasifier'"):
        _ = masknet.CTRClasifier  # type: ignore[attr-defined]


@pytest.mark.parametrize("module", ["models", "nn", "space"])
def test_the_researchers_doors_open(module: str) -> None:
    assert importlib.import_module(f"masknet.{module}")


def test_import_masknet_loads_nothing_of_weight() -> None:
    loaded = set(run("import sys, masknet; print(*(name.split('.')[0] for name in sys.modules))").split())
    assert "masknet" in loaded
    assert not loaded & {"torch", "polars", "numpy", "pyarrow", "pydantic", "sklearn", "pandas"}


def test_the_errors_come_without_the_engine() -> None:
    assert run("import sys; from masknet import DataError; print('torch' in sys.modules)") == "False\n"


def test_to_load_and_score_takes_no_scikit_learn_and_no_compiler() -> None:
    program = """
import json, sys
from pathlib import Path
from masknet import load
folder = Path(sys.argv[1])
rows = json.loads((folder / "parallel-kinds.scores.json").read_text(encoding="utf-8"))["rows"]
load(folder / "parallel-kinds.masknet").predict_proba(rows[:1])
heavy = ("pandas", "scipy", "sklearn", "torch._dynamo", "sympy", "pyarrow.compute")
print([name for name in heavy if name in sys.modules])
"""
    folder = Path(__file__).parent / "artifacts" / "format-2"
    result = subprocess.run([sys.executable, "-c", program, folder], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout == "[]\n"
