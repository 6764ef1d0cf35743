"""A MaskNet is second order in the scale of its embedding: started too small, it starts as a constant."""

from __future__ import annotations

import pytest
import torch

from masknet.models import ParallelMaskNet, SerialMaskNet
from masknet.space import FeatureSpace, FieldSpace

SPACE = FeatureSpace(2000, tuple(FieldSpace(f"f{i}") for i in range(39)))  # as many fields as Criteo
NEAR = 0.02
"""PyTorch's epsilon of 1e-5 gives .94 and .76, half the start .97 and .90 at the first and at the last norm."""


def scales(network: torch.nn.Module) -> list[float]:
    """Standard deviation of what the embedding's norm and each block's norm put out."""
    out: list[float] = []
    norms = [network.norm, *(block.norm for block in network.blocks)]
    for norm in norms:
        norm.register_forward_hook(lambda _module, _input, output: out.append(output.std().item()))
    ids = torch.randint(1, SPACE.num_ids, (1024, 39), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        network(ids, torch.ones(1024, 39))
    return out


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def test_serial_starts_at_unit_scale() -> None:
    assert scales(SerialMaskNet(SPACE)) == pytest.approx([0.99, 0.99, 0.98, 0.98], abs=NEAR)


def test_parallel_starts_at_unit_scale() -> None:
    assert scales(ParallelMaskNet(SPACE)) == pytest.approx([0.99] * 4, abs=NEAR)


def test_serial_without_embedding_norm_recovers_block_by_block() -> None:
    measured = scales(SerialMaskNet(SPACE, embedding_norm=False))
    assert measured == pytest.approx([0.01, 0.07, 0.30, 0.80], rel=0.15)


def test_a_smaller_start_and_a_larger_epsilon_would_collapse() -> None:
    network = SerialMaskNet(SPACE)
    with torch.no_grad():
        network.embedding.table.weight.mul_(1e-2)  # N(0, 1e-4)
    for norm in [network.norm, *(block.norm for block in network.blocks)]:
        assert norm.eps == 1e-6
        norm.eps = 1e-5
    assert scales(network) == pytest.approx([0.03, 6e-4, 9e-6, 1e-7], rel=0.4)
