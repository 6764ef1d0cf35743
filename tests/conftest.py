"""What all tests share."""

from typing import Any

import pytest
from hypothesis import settings

# How long an example takes is the machine's business: a busy one must not fail a test.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def small() -> dict[str, dict[str, Any]]:
    """For each model the settings of a network that is quick to build, to train and to export."""
    return {
        "serial-masknet": {"embedding_dim": 4, "block_dims": (16, 12)},
        "parallel-masknet": {"embedding_dim": 4, "block_dims": (16, 12), "top_dims": (16,)},
        "lr": {},
    }
