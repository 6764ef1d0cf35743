"""Products of pairs against their sum, pair by pair, and their gradients against PyTorch's own."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch

from masknet.nn import pooled_products


@pytest.mark.parametrize("fields", [1, 2, 6])
def test_pooled_products_and_their_gradients_are_those_of_all_pairs(fields: int) -> None:
    generator = torch.Generator().manual_seed(fields)
    vectors = torch.randn(9, fields, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    factor = torch.randn(9, 4, generator=generator, dtype=torch.float64)
    slow = sum((vectors[:, i] * vectors[:, j] for i, j in combinations(range(fields), 2)), 0 * vectors[:, 0])
    found = pooled_products(vectors)
    torch.testing.assert_close(found, slow)
    (gradient,) = torch.autograd.grad((found * factor).sum(), vectors)
    (expected,) = torch.autograd.grad((slow * factor).sum(), vectors)
    torch.testing.assert_close(gradient, expected)
    with torch.no_grad():
        assert torch.equal(pooled_products(vectors), found)
