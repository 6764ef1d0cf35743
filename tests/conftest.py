"""What all tests share."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings

# How long an example takes is the machine's business: a busy one must not fail a test. Every run draws others.
settings.register_profile("untimed", deadline=None, max_examples=30)
settings.load_profile("untimed")


@pytest.fixture(scope="session", autouse=True)
def _no_waiting_for_the_disk() -> Iterator[None]:
    """A loss of power is not what tests try; a killed process loses nothing that it gave to the system."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


@pytest.fixture(scope="session")
def small() -> dict[str, dict[str, Any]]:
    """For each model the settings of a network that is quick to build, to train and to export."""
    return {
        "serial-masknet": {"embedding_dim": 4, "block_dims": (16, 12)},
        "parallel-masknet": {"embedding_dim": 4, "block_dims": (16, 12), "top_dims": (16,)},
        "lr": {},
    }
