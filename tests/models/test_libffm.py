"""Rows as libffm has them, `field:feature:value`, scored by FM and FFM as the formulas say triple by triple."""

from __future__ import annotations

import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest

SCRIPT = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "libffm.py")))
FILES = {
    "one feature a field": "1 0:0:0.5 1:4:0.25 2:7:1\n0 0:1:0.5 2:8:2\n1 1:5:-1 2:7:0.5\n",
    "several of a field": "1 0:0:0.5 0:1:0.25 3:7:1 3:8:0.5\n0 3:7:2\n0 0:2:1 1:4:1 1:5:1 1:6:0.5\n",
}


@pytest.mark.parametrize("what", FILES)
def test_they_equal_the_formulas(what: str, tmp_path: Path) -> None:
    (tmp_path / "rows.ffm").write_text(FILES[what], encoding="utf-8")
    rows = SCRIPT.read(tmp_path / "rows.ffm")
    assert rows[0][0] == (0, 0, 0.5)
    found = SCRIPT.differences(tmp_path / "rows.ffm")
    assert set(found) == {"fm", "ffm"}
    assert max(found.values()) < 1e-12
