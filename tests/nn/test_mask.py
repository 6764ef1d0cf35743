"""The mask and the blocks against eq. 5, 12 and 14 and the two ablations, written out entry by entry."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from masknet.nn import InstanceGuidedMask, MaskBlock, MasklessBlock, MaskOnlyBlock
from masknet.nn.mask import build_block

State = dict[str, np.ndarray]


def shaken(module: nn.Module) -> nn.Module:
    """Every parameter drawn anew, so that no bias is 0 and no gain 1."""
    generator = torch.Generator().manual_seed(1)
    for parameter in module.double().parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return module


def state_of(module: nn.Module) -> State:
    return {name: tensor.numpy() for name, tensor in module.state_dict().items()}


def times(matrix: np.ndarray, vector: np.ndarray) -> np.ndarray:
    return np.array([sum(w * x for w, x in zip(line, vector, strict=True)) for line in matrix])


def relu(vector: np.ndarray) -> np.ndarray:
    return np.array([max(0.0, x) for x in vector])


def mask_oracle(state: State, embedding: np.ndarray, prefix: str = "") -> np.ndarray:
    aggregated = relu(times(state[prefix + "aggregation.weight"], embedding) + state[prefix + "aggregation.bias"])
    return times(state[prefix + "projection.weight"], aggregated) + state[prefix + "projection.bias"]


def norm_oracle(state: State, x: np.ndarray) -> np.ndarray:
    if "norm.weight" not in state:
        return x
    mu = sum(x) / len(x)
    variance = sum((x - mu) ** 2) / len(x)
    return state["norm.weight"] * (x - mu) / math.sqrt(variance + 1e-6) + state["norm.bias"]


def test_mask_equals_equation_5() -> None:
    mask = shaken(InstanceGuidedMask(6, 4, reduction=1.5))
    state = state_of(mask)
    assert state["aggregation.weight"].shape == (6, 6)
    assert state["projection.weight"].shape == (4, 6)
    embedding = torch.randn(9, 6, dtype=torch.float64)
    expected = [mask_oracle(state, row) for row in embedding.numpy()]
    np.testing.assert_allclose(mask(embedding).detach().numpy(), expected, rtol=0, atol=1e-10)
    assert np.min(expected) < 0 < np.max(expected)


@pytest.mark.parametrize(("reduction", "units"), [(2.0, 20), (4, 40), (0.2, 2), (0.06, 1), (0.34, 3), (0.36, 4)])
def test_aggregation_width_is_reduction_times_what_is_masked(reduction: float, units: int) -> None:
    mask = InstanceGuidedMask(7, 10, reduction=reduction)
    assert mask.aggregation.out_features == mask.projection.in_features == units


def mask_block(state: State, hidden: np.ndarray, embedding: np.ndarray) -> np.ndarray:
    mixed = times(state["mix.weight"], mask_oracle(state, embedding, "mask.") * hidden)
    return relu(norm_oracle(state, mixed))


def maskless_block(state: State, hidden: np.ndarray, embedding: np.ndarray) -> np.ndarray:
    return relu(norm_oracle(state, times(state["mix.weight"], hidden)))


def mask_only_block(state: State, hidden: np.ndarray, embedding: np.ndarray) -> np.ndarray:
    return relu(norm_oracle(state, mask_oracle(state, embedding, "mask.") * hidden))


@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.parametrize(
    ("build", "oracle", "d_out"),
    [
        (lambda norm: MaskBlock(d_embedding=6, d_hidden=5, d_out=4, reduction=0.6, norm=norm), mask_block, 4),
        (lambda norm: MasklessBlock(d_hidden=5, d_out=4, norm=norm), maskless_block, 4),
        (lambda norm: MaskOnlyBlock(d_embedding=6, d_hidden=5, reduction=3, norm=norm), mask_only_block, 5),
    ],
)
def test_blocks_equal_their_equations(
    build: Callable[[bool], nn.Module],
    oracle: Callable[[State, np.ndarray, np.ndarray], np.ndarray],
    d_out: int,
    norm: bool,
) -> None:
    block = shaken(build(norm))
    hidden, embedding = torch.randn(9, 5, dtype=torch.float64), torch.randn(9, 6, dtype=torch.float64)
    expected = [oracle(state_of(block), h, e) for h, e in zip(hidden.numpy(), embedding.numpy(), strict=True)]
    actual = block(hidden, embedding)
    assert actual.shape == (9, d_out) == (9, block.d_out)
    np.testing.assert_allclose(actual.detach().numpy(), expected, rtol=0, atol=1e-10)


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("norm", [True, False])
def test_blocks_have_exactly_the_parameters_of_the_formula(norm: bool) -> None:
    m, z, q, t = 6, 5, 4, 10
    mask = m * t + t + t * z + z
    assert count(MaskBlock(d_embedding=m, d_hidden=z, d_out=q, norm=norm)) == mask + z * q + 2 * q * norm
    assert count(MasklessBlock(d_hidden=z, d_out=q, norm=norm)) == z * q + 2 * q * norm
    assert count(MaskOnlyBlock(d_embedding=m, d_hidden=z, norm=norm)) == mask + 2 * z * norm


@pytest.mark.parametrize("d_out", [8, None])
def test_a_block_scores_what_it_learned_and_leaves_its_input_and_the_masks_that_are_kept(d_out: int | None) -> None:
    block = build_block(d_embedding=6, d_hidden=12, d_out=d_out, reduction=2.0, norm=True)
    hidden, embedding = torch.randn(70, 12), torch.randn(70, 6)
    given, masks = hidden.clone(), []
    expected = block(hidden, embedding, masks.append)
    with torch.inference_mode():
        assert torch.equal(block(hidden, embedding), expected)
        assert torch.equal(block(hidden, embedding, masks.append), expected)
    assert torch.equal(hidden, given)
    assert torch.equal(*masks)


def test_a_block_hands_over_the_mask_that_it_used() -> None:
    hidden, embedding = torch.randn(9, 5), torch.randn(9, 6)
    for block in (MaskBlock(d_embedding=6, d_hidden=5, d_out=4), MaskOnlyBlock(d_embedding=6, d_hidden=5)):
        masks: list[torch.Tensor] = []
        kept = block(hidden, embedding, masks.append)
        assert torch.equal(kept, block(hidden, embedding))
        assert len(masks) == 1
        assert torch.equal(masks[0], block.mask(embedding))
    none: list[torch.Tensor] = []
    MasklessBlock(d_hidden=5, d_out=4)(hidden, embedding, none.append)
    assert none == []


@pytest.mark.parametrize(
    ("d_out", "reduction", "kind"),
    [(4, 2.0, MaskBlock), (4, None, MasklessBlock), (None, 2.0, MaskOnlyBlock)],
)
def test_build_block_chooses_by_what_is_left_out(d_out: int | None, reduction: float | None, kind: type) -> None:
    assert type(build_block(d_embedding=6, d_hidden=5, d_out=d_out, reduction=reduction, norm=False)) is kind


def test_a_block_with_neither_mask_nor_feed_forward_is_refused() -> None:
    with pytest.raises(ValueError, match="a block must have a mask or a feed-forward layer; got None for both"):
        build_block(d_embedding=6, d_hidden=5, d_out=None, reduction=None, norm=True)


@pytest.mark.parametrize("reduction", [0, -1.0, math.inf, math.nan, "2", True])
def test_a_reduction_out_of_range_is_refused(reduction: float) -> None:
    with pytest.raises(ValueError, match="'reduction' must be a finite number above 0; got"):
        InstanceGuidedMask(6, 5, reduction=reduction)


def test_a_reduction_that_leaves_no_unit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"must round to at least 1; got 0.04 \* 5"):
        InstanceGuidedMask(6, 5, reduction=0.04)


def test_widths_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="'d_out' must be an int of at least 1; got 0"):
        MaskBlock(d_embedding=6, d_hidden=5, d_out=0)
    with pytest.raises(ValueError, match="'d_embedding' must be an int of at least 1; got -6"):
        InstanceGuidedMask(-6, 5)
    with pytest.raises(ValueError, match="'norm' must be True or False; got 'off'"):
        MaskBlock(d_embedding=6, d_hidden=5, d_out=4, norm="off")
