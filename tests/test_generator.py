"""Draws from PyTorch's global generator: the caller's stays as it was, and threads take turns."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from masknet.generator import own_draws


def drawn(seed: int | None) -> list[float]:
    with own_draws(seed):
        numbers = []
        for _ in range(3):
            numbers.append(torch.rand(1).item())
            time.sleep(0.001)
        return numbers


def test_the_same_seed_draws_the_same_and_the_callers_draws_go_on() -> None:
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    assert drawn(7) == drawn(7) != drawn(8)
    assert drawn(None) == torch.rand(3).tolist()
    torch.random.set_rng_state(before)
    expected = torch.rand(1)
    torch.random.set_rng_state(before)
    with pytest.raises(RuntimeError, match="within"), own_draws(7):
        raise RuntimeError("within")
    assert torch.equal(torch.rand(1), expected)


def test_threads_draw_what_they_would_draw_alone() -> None:
    alone = [drawn(seed) for seed in range(24)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(drawn, range(24))) == alone
