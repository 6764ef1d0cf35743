"""The linear term against eq. 17, written out slot by slot."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from masknet.nn import LinearTerm
from masknet.space import FeatureSpace, FieldSpace

FIELDS = (FieldSpace("a"), FieldSpace("m", slots=3, pooling="mean"))
DENSE = (
    *FIELDS,
    FieldSpace("d", kind="dense", slots=0, width=2),
    FieldSpace("p", kind="dense", slots=0, width=1, projected=True),
)


def shaken(term: nn.Module) -> nn.Module:
    with torch.no_grad():
        for parameter in term.double().parameters():
            parameter.normal_()
        term.table.weight[0] = 0
    return term


@pytest.mark.parametrize("fields", [FIELDS, DENSE, DENSE[2:]])
@pytest.mark.parametrize("num_tasks", [1, 2])
def test_every_task_is_a_sum_of_its_own_weights(fields: tuple[FieldSpace, ...], num_tasks: int) -> None:
    torch.manual_seed(0)
    space = FeatureSpace(6, fields, num_tasks=num_tasks)
    term = shaken(LinearTerm(space))
    ids = torch.randint(0, 6, (9, space.num_slots))
    values = torch.rand(9, space.num_slots, dtype=torch.float64)
    dense = torch.randn(9, space.dense_width, dtype=torch.float64) if space.dense_width else None
    table = term.table.weight.detach().numpy()
    bias = term.bias.detach().numpy().reshape(num_tasks)
    of_dense = term.dense.detach().numpy().reshape(-1, num_tasks) if space.dense_width else np.empty((0, num_tasks))
    expected = np.zeros((9, num_tasks))
    for row in range(9):
        for task in range(num_tasks):
            expected[row, task] = bias[task]
            for slot in range(space.num_slots):
                if ids[row, slot]:
                    expected[row, task] += values[row, slot].item() * table[ids[row, slot], task]
            for column in range(space.dense_width):
                expected[row, task] += dense[row, column].item() * of_dense[column, task]
    found = term(ids, values, dense)
    assert found.shape == ((9,) if num_tasks == 1 else (9, num_tasks))
    np.testing.assert_allclose(found.detach().numpy().reshape(9, num_tasks), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("num_tasks", [1, 2])
def test_it_starts_at_zero_and_draws_nothing(num_tasks: int) -> None:
    before = torch.random.get_rng_state()
    term = LinearTerm(FeatureSpace(6, DENSE, num_tasks=num_tasks))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert not any(parameter.any() for parameter in term.parameters())
    assert sum(parameter.numel() for parameter in term.parameters()) == num_tasks * (6 + 1 + 3)


def test_the_weights_of_one_task_have_the_names_and_shapes_that_saved_models_have() -> None:
    state = LinearTerm(FeatureSpace(6, DENSE)).state_dict()
    assert {name: tuple(tensor.shape) for name, tensor in state.items()} == {
        "table.weight": (6, 1),
        "bias": (),
        "dense": (3,),
    }


def test_rows_of_another_space_are_refused() -> None:
    term = LinearTerm(FeatureSpace(6, DENSE))
    ids, values = torch.ones(2, 4, dtype=torch.long), torch.ones(2, 4)
    with pytest.raises(ValueError, match="has 3 dense columns; got None"):
        term(ids, values)
    with pytest.raises(ValueError, match="has 4 slots; got 4 ids and 1 values a row"):
        term(ids, values[:, :1], torch.ones(2, 3))
