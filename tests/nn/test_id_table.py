"""The table of the ids: its start, its padding row, and which weights of a network are such rows."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from masknet.nn import IdTable, LinearTerm, id_tables
from masknet.space import FeatureSpace, FieldSpace


def test_rows_start_at_the_given_scale_and_padding_at_zero() -> None:
    torch.manual_seed(0)
    table = IdTable(5001, 10, std=0.02)
    assert list(table.state_dict()) == ["weight"]
    assert table.weight.shape == (5001, 10)
    assert table.weight.requires_grad
    assert not table.weight[0].any()
    assert table.weight[1:].std().item() == pytest.approx(0.02, rel=0.02)
    assert table.weight[1:].mean().item() == pytest.approx(0, abs=5e-4)


@pytest.mark.parametrize("num_ids", [1, 3, 40])
def test_a_seed_gives_the_bits_that_it_always_gave(num_ids: int) -> None:
    torch.manual_seed(0)
    table = IdTable(num_ids, 3, std=0.3)
    torch.manual_seed(0)
    expected = torch.randn(num_ids, 3).mul_(0.3)
    expected[0] = 0
    assert torch.equal(table.weight, expected)


def test_a_start_at_zero_draws_nothing() -> None:
    before = torch.random.get_rng_state()
    assert not IdTable(9, 4, std=0).weight.any()
    assert torch.equal(torch.random.get_rng_state(), before)


def test_padding_gets_no_gradient() -> None:
    table = IdTable(4, 2)
    table(torch.tensor([0, 1, 0, 3])).sum().backward()
    assert table.weight.grad is not None
    assert table.weight.grad.tolist() == [[0, 0], [1, 1], [0, 0], [1, 1]]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"num_ids": 0}, "'num_ids' must be an int of at least 1; got 0"),
        ({"embedding_dim": 0}, "'embedding_dim' must be an int of at least 1; got 0"),
        ({"std": -1.0}, "'std' must be a finite number of at least 0; got -1.0"),
        ({"std": math.inf}, "'std' must be a finite number of at least 0; got inf"),
    ],
)
def test_what_is_out_of_range_is_refused(settings: dict[str, float], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        IdTable(**{"num_ids": 9, "embedding_dim": 4, **settings})


@pytest.mark.parametrize(("ids", "worst"), [([[1, 9]], "9"), ([[1, -2]], "-2"), ([[1_000_000, 3]], "1,000,000")])
def test_an_id_past_the_table_is_refused_in_a_sentence(ids: list[list[int]], worst: str) -> None:
    with pytest.raises(ValueError, match=rf"^an id of this space lies between 0 and 8; got {worst}: encode the rows "):
        IdTable(9, 4)(torch.tensor(ids))
    space = FeatureSpace(9, (FieldSpace("user"), FieldSpace("ad")))
    with pytest.raises(ValueError, match=f"got {worst}: encode the rows"):
        LinearTerm(space)(torch.tensor(ids), torch.ones(1, 2))


def test_tables_are_found_by_the_names_of_their_weights_and_positions_are_none() -> None:
    network = nn.ModuleDict({"deep": nn.Sequential(IdTable(9, 4)), "place": nn.Embedding(9, 4), "wide": IdTable(9, 1)})
    assert id_tables(network) == {"deep.0.weight": network["deep"][0], "wide.weight": network["wide"]}
    assert list(id_tables(IdTable(3, 2))) == ["weight"]
    assert id_tables(nn.Linear(3, 2)) == {}


def test_a_weight_that_two_modules_share_is_one_table_under_the_name_of_the_parameter() -> None:
    network = nn.ModuleList([nn.Linear(4, 9, bias=False), IdTable(9, 4), IdTable(9, 4)])
    network[2].weight = network[1].weight
    assert list(id_tables(network)) == ["1.weight"]
    network[0].weight = network[1].weight
    assert list(id_tables(network)) == ["0.weight"]
