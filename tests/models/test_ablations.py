"""The paper's ablations as settings: their widths and their counts (their equations are in the oracle)."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from masknet.models import LogisticRegression, ParallelMaskNet, SerialMaskNet
from masknet.nn import FieldLayerNorm, InstanceGuidedMask
from masknet.space import FeatureSpace, FieldSpace

F, K = 3, 4
M = F * K
SPACE = FeatureSpace(20, tuple(FieldSpace(f"f{i}") for i in range(F)))
IDS = torch.randint(1, 20, (5, F), generator=torch.Generator().manual_seed(0))
VALUES = torch.ones(5, F)


def dense_count(network: nn.Module) -> int:
    return sum(p.numel() for name, p in network.named_parameters() if not name.startswith("embedding."))


def mask(z: int) -> int:
    t = 2 * z
    return M * t + t + t * z + z


def has(network: nn.Module, kind: type[nn.Module]) -> bool:
    return any(isinstance(module, kind) for module in network.modules())


def test_serial_without_mask() -> None:
    network = SerialMaskNet(SPACE, embedding_dim=K, block_dims=(8, 6), reduction=None)
    assert dense_count(network) == 2 * M + (M * 8 + 16) + (8 * 6 + 12) + 7
    assert not has(network, InstanceGuidedMask)
    logits, masks = network.forward_with_masks(IDS, VALUES)
    assert torch.equal(logits, network(IDS, VALUES))
    assert masks == ()


def test_parallel_without_mask() -> None:
    network = ParallelMaskNet(SPACE, embedding_dim=K, block_dims=(8, 6), top_dims=(5,), reduction=None)
    assert dense_count(network) == 2 * M + (M * 8 + 16) + (M * 6 + 12) + (14 * 5 + 5) + 6
    assert not has(network, InstanceGuidedMask)
    assert network.forward_with_masks(IDS, VALUES)[1] == ()


def test_serial_without_feed_forward_keeps_the_width_of_the_embedding() -> None:
    network = SerialMaskNet(SPACE, embedding_dim=K, block_dims=(None, None, None))
    assert dense_count(network) == 2 * M + 3 * (mask(M) + 2 * M) + M + 1
    assert [m.shape for m in network.forward_with_masks(IDS, VALUES)[1]] == [(5, M)] * 3


def test_parallel_without_feed_forward_merges_blocks_as_wide_as_the_embedding() -> None:
    network = ParallelMaskNet(SPACE, embedding_dim=K, block_dims=(None, None, None), top_dims=(5,))
    assert dense_count(network) == 2 * M + 3 * (mask(M) + 2 * M) + (3 * M * 5 + 5) + 6
    assert [m.shape for m in network.forward_with_masks(IDS, VALUES)[1]] == [(5, M)] * 3


def test_one_block_alone_may_lack_its_feed_forward_layer() -> None:
    network = SerialMaskNet(SPACE, embedding_dim=K, block_dims=(8, None, 6))
    blocks = (mask(M) + M * 8 + 16) + (mask(8) + 16) + (mask(8) + 8 * 6 + 12)
    assert dense_count(network) == 2 * M + blocks + 7
    assert [m.shape for m in network.forward_with_masks(IDS, VALUES)[1]] == [(5, M), (5, 8), (5, 8)]


@pytest.mark.parametrize("model", [SerialMaskNet, ParallelMaskNet])
def test_without_layer_norm(model: type[nn.Module]) -> None:
    def network(embedding_norm: bool, hidden_norm: bool) -> nn.Module:
        return model(SPACE, embedding_dim=K, block_dims=(8, 6), embedding_norm=embedding_norm, hidden_norm=hidden_norm)

    assert not has(network(False, False), FieldLayerNorm)
    assert not has(network(False, False), nn.LayerNorm)
    full = dense_count(network(True, True))
    assert full - dense_count(network(False, True)) == 2 * M
    assert full - dense_count(network(True, False)) == 2 * (8 + 6)


def test_a_block_with_nothing_left_is_refused() -> None:
    for model in (SerialMaskNet, ParallelMaskNet):
        with pytest.raises(ValueError, match="a block must have a mask or a feed-forward layer"):
            model(SPACE, block_dims=(8, None), reduction=None)


def test_a_model_without_masks_does_not_offer_them() -> None:
    assert not hasattr(LogisticRegression(SPACE), "forward_with_masks")
