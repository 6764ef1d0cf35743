"""What the tests of whole runs share."""

from __future__ import annotations

from pathlib import Path

import pytest

from masknet.datasets import planted_log


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `log.parquet`, 600 rows whose clicks follow planted weights."""
    home = tmp_path_factory.mktemp("home")
    planted_log(600, seed=4)[0].drop("timestamp").write_parquet(home / "log.parquet")
    return home
