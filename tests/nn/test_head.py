"""The head against eq. 17 for each task, and its start."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from masknet.nn import Head
from masknet.nn.mlp import glorot_linear


@pytest.mark.parametrize(("num_tasks", "shape"), [(1, (7,)), (2, (7, 2)), (3, (7, 3))])
def test_each_task_has_a_weight_an_entry_and_a_bias(num_tasks: int, shape: tuple[int, ...]) -> None:
    head = Head(5, num_tasks).double()
    torch.nn.init.normal_(head.bias)
    state = {name: tensor.numpy() for name, tensor in head.state_dict().items()}
    assert {name: array.shape for name, array in state.items()} == {"weight": (num_tasks, 5), "bias": (num_tasks,)}
    hidden = torch.randn(7, 5, dtype=torch.float64)
    expected = [
        [sum(w * row) + b for w, b in zip(state["weight"], state["bias"], strict=True)] for row in hidden.numpy()
    ]
    found = head(hidden)
    assert found.shape == shape
    np.testing.assert_allclose(found.detach().numpy().reshape(7, num_tasks), expected, rtol=0, atol=1e-12)


def test_no_rows_keep_their_shape() -> None:
    assert Head(5)(torch.empty(0, 5)).shape == (0,)
    assert Head(5, 2)(torch.empty(0, 5)).shape == (0, 2)
    assert Head(5)(torch.ones(1, 5)).shape == (1,)


def test_every_task_starts_glorot_normal_as_one_output() -> None:
    torch.manual_seed(0)
    head = Head(400, 50)
    assert head.weight.std().item() == pytest.approx(math.sqrt(2 / 401), rel=0.02)
    assert not head.bias.any()
    torch.manual_seed(1)
    one = Head(400)
    torch.manual_seed(1)
    linear = glorot_linear(400, 1)
    assert torch.equal(one.weight, linear.weight)


def test_what_is_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="'d_in' must be an int of at least 1; got 0"):
        Head(0)
    with pytest.raises(ValueError, match="'num_tasks' must be an int of at least 1; got 0"):
        Head(3, 0)
