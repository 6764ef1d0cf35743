"""XOR of two fields: what a sum of weights cannot say, and every network must."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from masknet.models import MODELS
from masknet.space import FeatureSpace, FieldSpace

SPACE = FeatureSpace(5, (FieldSpace("a"), FieldSpace("b")))
IDS = torch.tensor([[1, 3], [1, 4], [2, 3], [2, 4]])
LABELS = torch.tensor([0.0, 1.0, 1.0, 0.0])
Small = dict[str, dict[str, Any]]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Four rows are no work to share: on a busy machine, threads that wait for each other take most of the time."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def trained_loss(name: str, seed: int, small: Small) -> float:
    torch.manual_seed(seed)
    network = MODELS[name](SPACE, **small[name])
    rows = IDS, torch.ones(4, 2)
    if name == "adpredictor":
        for _ in range(200):
            network.learn(*rows, None, LABELS)
        return F.binary_cross_entropy_with_logits(network(*rows), LABELS).item()
    stages = [network.pretraining(), network] if name == "fnn" else [network]
    for stage in stages:
        optimiser = torch.optim.Adam(stage.parameters(), lr=0.01)
        for _ in range(STEPS.get(name, 200)):
            optimiser.zero_grad()
            loss = F.binary_cross_entropy_with_logits(stage(*rows), LABELS)
            loss.backward()
            optimiser.step()
    return loss.item()


LINEAR = ("lr", "adpredictor")
STEPS = {"poly2": 800}
"""Its weights start at zero and are all that it has: a step moves each by the rate, and no further."""
NEED_A_SEQUENCE = ("latent-cross",)


@pytest.mark.parametrize("name", [name for name in MODELS if name not in (*LINEAR, *NEED_A_SEQUENCE)])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_network_learns_xor(name: str, seed: int, small: Small) -> None:
    assert trained_loss(name, seed, small) < 0.05


@pytest.mark.parametrize("name", LINEAR)
def test_a_linear_model_cannot(name: str, small: Small) -> None:
    assert trained_loss(name, 0, small) == pytest.approx(0.6931, abs=1e-2)


def test_matrix_factorization_cannot_of_fields_that_it_does_not_read() -> None:
    """Of the two that it multiplies it can: that is what a product says."""
    torch.manual_seed(0)
    space = FeatureSpace(9, (*SPACE.fields, FieldSpace("user", num_values=2), FieldSpace("item", num_values=2)))
    network = MODELS["mf"](space, embedding_dim=4)
    rows = torch.cat([IDS, torch.tensor([[5, 7], [5, 7], [5, 7], [5, 7]])], dim=1), torch.ones(4, 4)
    optimiser = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(200):
        optimiser.zero_grad()
        loss = F.binary_cross_entropy_with_logits(network(*rows), LABELS)
        loss.backward()
        optimiser.step()
    assert loss.item() == pytest.approx(0.6931, abs=1e-2)
