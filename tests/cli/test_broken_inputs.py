"""The inputs of `benchmarks/broken_inputs.py` in this process: each prints what the docs say, and leaves nothing."""

from __future__ import annotations

import json
import runpy
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

SCRIPT = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "broken_inputs.py")))
RECORDS = json.loads(SCRIPT.RESULT.read_text(encoding="utf-8"))
# The processes of the script limit themselves to a full disk; test_bad_input.py holds what then happens here.
CASES = {case.what: case for case in SCRIPT.CASES if case.disk != "full"}


@pytest.fixture
def _own_modules(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a case imports from its folder, and the path to it, are forgotten."""
    known = set(sys.modules)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    for name in set(sys.modules) & {"mine", "ours"} - known:
        del sys.modules[name]


@pytest.mark.usefixtures("_own_modules")
@pytest.mark.parametrize("what", CASES)
def test_a_broken_input(what: str, masknet: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    case = CASES[what]
    case.write()
    *first, last = case.arguments()
    for arguments in first:
        assert masknet(*arguments).code == 0
    before = SCRIPT.files()
    if case.disk == "short":
        monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=100))
    result = masknet(*last)
    found = SCRIPT.record(case, result.code, result.out, result.err, SCRIPT.files() - before)
    (expected,) = (record for record in RECORDS if record["input"] == what)
    if result.code == 2:  # after the flag that it is about, a sentence is typer's own, and changes with its versions
        assert found["printed"].split(": ")[0] == expected["printed"].split(": ")[0]
        expected = expected | {"printed": found["printed"]}
    assert found == expected, "run python benchmarks/broken_inputs.py where this is right"
    if case.read:
        assert case.read in found["printed"]
    elif result.code == 1:
        assert result.error
        assert found["left"] == []


def test_the_page_is_made_from_the_results_of_these_cases() -> None:
    assert [record["input"] for record in RECORDS] == [case.what for case in SCRIPT.CASES]
    assert len(RECORDS) >= 36
    assert SCRIPT.PAGE.read_text(encoding="utf-8") == SCRIPT.markdown(RECORDS)
    assert all(record["exit"] == 0 or not record["left"] for record in RECORDS)
