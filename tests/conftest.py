"""What all tests share."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# What a run draws and how long it takes to draw it must not fail a change that is sound: every run tries the same
# examples, whatever the machine is busy with. `pytest --hypothesis-profile explore` tries others, and more of them.
settings.register_profile("explore", deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("same", settings.get_profile("explore"), max_examples=30, derandomize=True)
settings.load_profile("same")


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
        "poly2": {"buckets": 1000},
        "fm": {"embedding_dim": 4},
        "ffm": {"embedding_dim": 3},
        "mf": {"embedding_dim": 4},
        "fnn": {"embedding_dim": 4, "hidden_dims": (16, 12)},
        "adpredictor": {},
        "dnn": {"embedding_dim": 4, "hidden_dims": (16, 12)},
        "afm": {"embedding_dim": 4, "attention_dim": 6},
        "wide-deep": {"embedding_dim": 4, "hidden_dims": (16, 12)},
        "deepfm": {"embedding_dim": 4, "hidden_dims": (16, 12)},
        "xdeepfm": {"embedding_dim": 4, "hidden_dims": (16, 12), "cin_dims": (5, 4), "cin_bias": True},
        "dcn": {"embedding_dim": 4, "hidden_dims": (16, 12), "cross_layers": 2},
        "dcnv2": {"embedding_dim": 4, "hidden_dims": (16, 12), "cross_layers": 2},
        "autoint": {"embedding_dim": 4, "attention_dim": 8, "attention_layers": 2, "hidden_dims": (16,)},
        "fibinet": {"embedding_dim": 4, "hidden_dims": (16, 12)},
        "finalmlp": {"embedding_dim": 4, "first_dims": (16,), "second_dims": (12,), "gate_dim": 6, "num_heads": 2},
        "latent-cross": {"embedding_dim": 4, "state_dim": 8},
        "mmoe": {"embedding_dim": 4, "num_experts": 3, "expert_dims": (16,), "tower_dims": (12,)},
        "multitask-masknet": {
            "embedding_dim": 4,
            "block_dims": (16, 12),
            "top_dims": (16,),
            "tower_dims": (8,),
        },
    }
