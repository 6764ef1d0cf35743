"""The cases of docs/broken-inputs.md, each in one process with the test."""

from __future__ import annotations

import runpy
import shlex
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = runpy.run_path(str(ROOT / "benchmarks" / "broken_inputs.py"))
PAGE = (ROOT / "docs" / "broken-inputs.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("case", SCRIPT["CASES"], ids=lambda case: case.what)
def test_a_broken_input(case: Any, masknet: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "1000")
    case.make()
    result = masknet(*shlex.split(case.command))
    assert result.code == case.code, result.err
    assert case.says in result.out + result.err
    if case.code == 1:
        assert "\n" not in result.error, "one sentence"
        assert not Path("m.masknet").exists()


def test_the_page_has_every_case_once() -> None:
    assert len(SCRIPT["CASES"]) >= 30
    for case in SCRIPT["CASES"]:
        assert PAGE.count(f"| {case.what} | ") == 1
