"""Every model in the numbers that it may be trained in: fp32 on a processor's fast path, and bf16."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from masknet import testing
from masknet.batches import Batch
from masknet.config import RunConfig
from masknet.models import MODELS, learns_by_row
from masknet.nn import Head, LinearTerm
from masknet.train.members import network_step

ROWS = 128
BF16 = 0.03
"""What logits in bf16 may differ by from fp32, on the mean, in units of their deviation; bf16 has 8 binary digits."""

BY_GRADIENT = [model for model in MODELS if not learns_by_row(model)]


def wide(model: str, small: dict[str, dict[str, Any]]) -> nn.Module:
    """The small network, its layers as wide as the fast path asks for."""
    widths = {"dims": (32, 24), "dim": 16}
    settings = {
        name: widths.get(name.rpartition("_")[2], value) if name != "cin_dims" else value
        for name, value in small[model].items()
    }
    return testing._network(lambda space: MODELS[model](space, **settings))


def logits_of(network: nn.Module, dtype: torch.dtype = torch.float32) -> Tensor:
    ids, values, dense = testing._batch(ROWS)
    return network(ids, values.to(dtype), dense.to(dtype))


@pytest.mark.parametrize("model", MODELS)
def test_fp32_is_the_equation_to_five_digits(model: str, small: dict[str, dict[str, Any]]) -> None:
    """In float64, which is held against each paper's equation, no product takes the fast path."""
    network = wide(model, small)
    exact = logits_of(copy.deepcopy(network).double(), torch.float64)
    room = 1e-5 * float(exact.detach().abs().max())
    torch.testing.assert_close(logits_of(network).double(), exact, rtol=0, atol=room)


@pytest.mark.parametrize("model", BY_GRADIENT)
def test_bf16_gives_the_logits_of_fp32_within_its_bound(model: str, small: dict[str, dict[str, Any]]) -> None:
    network = wide(model, small)
    expected = logits_of(network).detach()
    with torch.autocast("cpu", torch.bfloat16):
        found = logits_of(network).detach()
    assert (found.float() - expected).square().mean().sqrt() < BF16 * expected.std()
    if any(isinstance(module, Head | LinearTerm) for module in network.modules()):
        assert found.dtype == torch.float32
        assert len(found.unique()) > ROWS / 2


@pytest.mark.parametrize("model", BY_GRADIENT)
def test_a_network_is_trained_in_bf16_and_its_weights_stay_fp32(model: str, small: dict[str, dict[str, Any]]) -> None:
    losses = {}
    ids, values, dense = testing._batch(ROWS)
    labels = (torch.rand(ROWS, 1, generator=torch.Generator().manual_seed(0)) < 0.3).float()
    for precision in ("fp32", "bf16"):
        network = wide(model, small)
        before = {name: p.detach().clone() for name, p in network.named_parameters()}
        config = RunConfig(label="y", precision=precision, learning_rate=0.003, embedding_l2=0.0, average_weights=0.5)
        step = network_step(network, config, sample_weights=None)
        losses[precision] = [float(step(Batch(ids, values, dense, labels, None), number)) for number in range(20)]
        for name, parameter in network.named_parameters():
            assert parameter.dtype == parameter.grad.dtype == torch.float32
            assert parameter.isfinite().all()
            assert not torch.equal(parameter, before[name]), name
        with step.evaluating() as scorer:
            assert scorer.network(ids, values, dense).dtype == torch.float32
    assert losses["bf16"][-1] < losses["bf16"][0]
    torch.testing.assert_close(losses["bf16"][-1], losses["fp32"][-1], rtol=0.1, atol=0.02)
