"""The feed-forward network against eq. 16, and the start of every dense layer."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from masknet.nn.mlp import MLP, glorot_linear


def test_equals_relu_of_matrix_and_bias_layer_by_layer() -> None:
    mlp = MLP(5, [4, 3]).double()
    for parameter in mlp.parameters():
        parameter.data = torch.randn_like(parameter)
    state = {name: tensor.numpy() for name, tensor in mlp.state_dict().items()}
    hidden = torch.randn(7, 5, dtype=torch.float64)
    expected = hidden.numpy()
    for i in range(2):
        weight, bias = state[f"layers.{i}.weight"], state[f"layers.{i}.bias"]
        expected = np.array(
            [[max(0.0, sum(w * row) + b) for w, b in zip(weight, bias, strict=True)] for row in expected]
        )
    np.testing.assert_allclose(mlp(hidden).detach().numpy(), expected, rtol=0, atol=1e-10)
    assert len(state) == 4
    assert mlp.d_out == 3


def test_dense_layers_start_glorot_normal_with_zero_bias() -> None:
    torch.manual_seed(0)
    layer = glorot_linear(300, 500)
    std = math.sqrt(2 / 800)
    assert layer.weight.std().item() == pytest.approx(std, rel=0.01)
    assert layer.weight.abs().max() > 3.5 * std  # normal, not uniform
    assert not layer.bias.any()
    assert glorot_linear(3, 2, bias=False).bias is None


def test_dropout_works_in_training_only() -> None:
    torch.manual_seed(0)
    mlp = MLP(50, (1000,), dropout=0.4)
    hidden = torch.randn(20, 50)
    kept = mlp.eval()(hidden)
    assert torch.equal(kept, mlp(hidden))
    trained = mlp.train()(hidden)
    dropped = (trained == 0) & (kept > 0)
    assert dropped.sum() / (kept > 0).sum() == pytest.approx(0.4, abs=0.02)
    torch.testing.assert_close(trained[trained > 0] * 0.6, kept[trained > 0])


@pytest.mark.parametrize("dims", [(), (0,), (4, None), (2.0,), 4, "44", (True,)])
def test_widths_that_are_none_are_refused(dims: object) -> None:
    with pytest.raises(ValueError, match="'dims' must be a list of at least one entry, each an int of at least 1; got"):
        MLP(3, dims)


@pytest.mark.parametrize("dropout", [-0.1, 1.0, math.nan, "0.1", True])
def test_dropout_out_of_range_is_refused(dropout: float) -> None:
    with pytest.raises(ValueError, match=r"'dropout' must be a number in \[0, 1\); got"):
        MLP(3, (2,), dropout=dropout)
