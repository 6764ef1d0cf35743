"""Layer norm against eq. 8 and 9, written out entry by entry."""

from __future__ import annotations

import copy
import itertools

import numpy as np
import pytest
import torch

from masknet.nn.norm import FieldLayerNorm, hidden_norm


def oracle(entries: np.ndarray, gain: np.ndarray, bias: np.ndarray) -> np.ndarray:
    mu = sum(entries) / len(entries)
    variance = sum((entry - mu) ** 2 for entry in entries) / len(entries)
    return gain * (entries - mu) / np.sqrt(variance + 1e-6) + bias


def shaken(module: torch.nn.Module) -> torch.nn.Module:
    generator = torch.Generator().manual_seed(0)
    for parameter in module.double().parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return module


def test_each_field_is_a_layer_with_its_own_statistics_gain_and_bias() -> None:
    norm = shaken(FieldLayerNorm(3, 4))
    assert {name: tensor.shape for name, tensor in norm.state_dict().items()} == {"gain": (3, 4), "bias": (3, 4)}
    embedding = torch.randn(5, 3, 4, dtype=torch.float64) * torch.tensor([1.0, 0.01, 100.0]).view(1, 3, 1)
    gain, bias = norm.gain.detach().numpy(), norm.bias.detach().numpy()
    expected = [np.concatenate([oracle(row[i], gain[i], bias[i]) for i in range(3)]) for row in embedding.numpy()]
    np.testing.assert_allclose(norm(embedding.flatten(1)).detach().numpy(), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("num_fields", [3, 0])
def test_a_dense_field_is_a_layer_of_its_own_width(num_fields: int) -> None:
    norm = shaken(FieldLayerNorm(num_fields, 4, {"image": 2, "text": 5}))
    shapes = {name: tuple(tensor.shape) for name, tensor in norm.state_dict().items()}
    assert shapes == {"gain": (num_fields, 4), "bias": (num_fields, 4), "plain_gain": (7,), "plain_bias": (7,)}
    embedding = torch.randn(6, 4 * num_fields + 7, dtype=torch.float64) * 0.01
    gain, bias = (
        torch.cat([of_fields.flatten(), of_plain]).detach().numpy()
        for of_fields, of_plain in ((norm.gain, norm.plain_gain), (norm.bias, norm.plain_bias))
    )
    edges = [*range(0, 4 * num_fields + 1, 4), 4 * num_fields + 2, 4 * num_fields + 7]
    expected = [
        np.concatenate([oracle(row[a:b], gain[a:b], bias[a:b]) for a, b in itertools.pairwise(edges)])
        for row in embedding.numpy()
    ]
    np.testing.assert_allclose(norm(embedding).detach().numpy(), expected, rtol=0, atol=1e-10)


def test_starts_with_gain_1_and_bias_0() -> None:
    norm = FieldLayerNorm(3, 4)
    assert (norm.gain == 1).all()
    assert (norm.bias == 0).all()


def test_hidden_norm_is_layer_norm_over_the_whole_layer() -> None:
    norm = shaken(hidden_norm(6))
    hidden = torch.randn(5, 6, dtype=torch.float64) * 0.002  # small enough for epsilon to matter
    gain, bias = norm.weight.detach().numpy(), norm.bias.detach().numpy()
    expected = [oracle(row, gain, bias) for row in hidden.numpy()]
    np.testing.assert_allclose(norm(hidden).detach().numpy(), expected, rtol=0, atol=1e-10)


def test_hidden_norm_switched_off_is_the_identity() -> None:
    hidden = torch.randn(5, 1)
    assert hidden_norm(1, on=False)(hidden) is hidden


def test_the_norm_of_a_single_number_is_refused() -> None:
    with pytest.raises(ValueError, match="'embedding_dim' must be at least 2 under a layer norm; got 1"):
        FieldLayerNorm(3, 1)
    with pytest.raises(ValueError, match="at least 2 wide under a layer norm; 'price' has 1 column: make it numeric"):
        FieldLayerNorm(3, 4, {"image": 2, "price": 1})
    with pytest.raises(ValueError, match="must be at least 2 under a layer norm; got 1"):
        hidden_norm(1)


@pytest.mark.parametrize(("dtype", "room"), [(torch.float32, 1e-5), (torch.bfloat16, 1e-2)])
@pytest.mark.parametrize("plain", [{}, {"image": 5}])
def test_many_rows_are_normalised_as_few_are(plain: dict[str, int], dtype: torch.dtype, room: float) -> None:
    """Those are computed otherwise: held against float64, gradients included."""
    exact = shaken(FieldLayerNorm(3, 4, plain))
    norm = copy.deepcopy(exact).float()
    rows = (torch.randn(100, 12 + sum(plain.values()), generator=torch.Generator().manual_seed(1)) * 0.01).to(dtype)
    given, of_double = rows.clone().requires_grad_(), rows.double().requires_grad_()
    expected = exact(of_double)
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        found = norm(given)
    weights = torch.linspace(-1, 1, rows.shape[1])
    (expected * weights).square().sum().backward()
    (found.float() * weights).square().sum().backward()
    pairs = [(found, expected), (given.grad, of_double.grad)]
    pairs += [(a.grad, b.grad) for a, b in zip(norm.parameters(), exact.parameters(), strict=True)]
    assert found.dtype == given.grad.dtype == dtype
    for actual, right in pairs:
        largest = float(right.detach().abs().max())
        torch.testing.assert_close(actual.detach().double(), right.detach(), rtol=0, atol=room * largest)
