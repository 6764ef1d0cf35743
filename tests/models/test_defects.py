"""The defects of public implementations, each as a test that fails where the defect is."""

from __future__ import annotations

import inspect

import pytest
import torch
from torch import Tensor, nn

from masknet.models import MODELS, ParallelMaskNet, SerialMaskNet
from masknet.space import FeatureSpace, FieldSpace

SPACE = FeatureSpace(30, tuple(FieldSpace(f"f{i}") for i in range(3)))
IDS = torch.randint(1, 30, (64, 3), generator=torch.Generator().manual_seed(0))
VALUES = torch.ones(64, 3)
MASKNETS = [SerialMaskNet, ParallelMaskNet]


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def traffic(network: nn.Module, values: Tensor = VALUES) -> dict[str, tuple[tuple[Tensor, ...], Tensor]]:
    """What went into and came out of every module, by name; copies, since a block's ReLU is taken in place."""
    seen: dict[str, tuple[tuple[Tensor, ...], Tensor]] = {}

    def see(name: str, given: tuple[Tensor, ...], out: Tensor) -> None:
        seen[name] = (tuple(one.clone() if isinstance(one, Tensor) else one for one in given), out.clone())

    hooks = [
        module.register_forward_hook(lambda _m, given, out, name=name: see(name, given, out))
        for name, module in network.named_modules()
    ]
    network(IDS, values)
    for hook in hooks:
        hook.remove()
    return seen


def test_1_each_later_serial_block_reads_the_block_before() -> None:
    seen = traffic(SerialMaskNet(SPACE, embedding_dim=4, block_dims=(12, 12, 12)))  # 12 = f * k: any wiring would run
    assert torch.equal(seen["blocks.0"][0][0], seen["norm"][1].flatten(1))
    assert torch.equal(seen["blocks.1"][0][0], seen["blocks.0"][1])
    assert torch.equal(seen["blocks.2"][0][0], seen["blocks.1"][1])
    assert torch.equal(seen["head"][0][0], seen["blocks.2"][1])


def test_2_every_parallel_block_reaches_the_logit() -> None:
    network = ParallelMaskNet(SPACE, embedding_dim=4, block_dims=(8, 8, 8), top_dims=(16,))
    before = network(IDS, VALUES)
    for block in network.blocks:
        with torch.no_grad():
            block.norm.bias.add_(1.0)
            assert not torch.allclose(network(IDS, VALUES), before)
            block.norm.bias.sub_(1.0)
    seen = traffic(network)
    assert torch.equal(seen["top"][0][0], torch.cat([seen[f"blocks.{i}"][1] for i in range(3)], dim=1))


@pytest.mark.parametrize("model", MASKNETS)
def test_3_every_mask_reads_the_raw_embedding(model: type[nn.Module]) -> None:
    network = model(SPACE, embedding_dim=4, block_dims=(12, 12))
    seen = traffic(network)
    for i in range(2):
        (given,) = seen[f"blocks.{i}.mask"][0]
        assert torch.equal(given, seen["embedding"][1].flatten(1))
        assert not torch.equal(given, seen["norm"][1].flatten(1))
    louder = network.forward_with_masks(IDS, 10 * VALUES)[1]  # no bias yet: a mask grows with its input
    for mask, quiet in zip(louder, network.forward_with_masks(IDS, VALUES)[1], strict=True):
        torch.testing.assert_close(mask, 10 * quiet)


@pytest.mark.parametrize("model", MASKNETS)
def test_4_each_field_is_normalised_by_itself_with_its_own_gain_and_bias(model: type[nn.Module]) -> None:
    network = model(SPACE, embedding_dim=4, block_dims=(12,))
    assert network.norm.gain.shape == network.norm.bias.shape == (3, 4)

    def normed(values: Tensor = VALUES) -> Tensor:
        return traffic(network, values)["norm"][1].unflatten(1, (3, 4))

    before = normed()
    after = normed(torch.tensor([[1.0, 100.0, 1.0]]).expand(64, 3))
    assert torch.equal(before[:, [0, 2]], after[:, [0, 2]])
    with torch.no_grad():
        network.norm.gain[1] = 3.0
        network.norm.bias[1] = 0.5
    after = normed()
    torch.testing.assert_close(after[:, 1], 3 * before[:, 1] + 0.5)
    assert torch.equal(before[:, [0, 2]], after[:, [0, 2]])


@pytest.mark.parametrize("model", MASKNETS)
@pytest.mark.parametrize("settings", [{}, {"reduction": None}, {"block_dims": (None, None)}, {"hidden_norm": False}])
def test_5_relu_stands_after_the_norm_of_every_block(model: type[nn.Module], settings: dict[str, object]) -> None:
    seen = traffic(model(SPACE, **{"embedding_dim": 4, "block_dims": (12, 12), **settings}))
    for i in range(2):
        out, normed = seen[f"blocks.{i}"][1], seen[f"blocks.{i}.norm"][1]
        assert (normed < 0).any()
        assert torch.equal(out, normed.clamp(min=0))


@pytest.mark.parametrize("model", MASKNETS)
def test_6_masks_are_signed(model: type[nn.Module]) -> None:
    _, masks = model(SPACE, embedding_dim=4, block_dims=(12, 12)).forward_with_masks(IDS, VALUES)
    for mask in masks:
        assert 0.3 < (mask < 0).float().mean() < 0.7


@pytest.mark.parametrize("model", MASKNETS)
def test_7_the_norm_is_of_layers_not_of_batches(model: type[nn.Module]) -> None:
    network = model(SPACE, embedding_dim=4, block_dims=(12, 12)).train()
    alone = torch.cat([network(IDS[i : i + 1], VALUES[i : i + 1]) for i in range(8)])
    torch.testing.assert_close(network(IDS, VALUES)[:8], alone)
    assert not any("running" in name for name, _ in network.named_buffers())


@pytest.mark.parametrize("model", MASKNETS)
def test_8_one_knob_sets_the_aggregation_width_and_it_works(model: type[nn.Module]) -> None:
    knobs = set(inspect.signature(model).parameters)
    assert knobs - {"top_dims"} == {
        "space",
        "embedding_dim",
        "block_dims",
        "reduction",
        "max_mask_weights",
        "embedding_norm",
        "hidden_norm",
        "dropout",
    }
    for reduction, units in ((2.0, 24), (0.5, 6)):
        network = model(SPACE, embedding_dim=4, block_dims=(12, 12), reduction=reduction)
        assert [block.mask.aggregation.out_features for block in network.blocks] == [units, units]


def test_9_a_misspelt_name_or_setting_builds_nothing() -> None:
    with pytest.raises(KeyError):
        MODELS["paralel-masknet"]
    for model in MODELS.values():
        with pytest.raises(TypeError, match="unexpected keyword argument 'redution'"):
            model(SPACE, redution=2.0)
