"""The table of the ids: its start, its padding row, and which weights of a network are such rows."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

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


def drawn(width: int, ids: torch.dtype) -> tuple[IdTable, Tensor, Tensor]:
    """A table of 50 rows, and 700 rows of 5 slots, padding among them, some ids in most rows and some in none."""
    generator = torch.Generator().manual_seed(width)
    table = IdTable(50, width, std=1.0).double()
    chosen = (torch.rand(700, 5, generator=generator) ** 3 * 40).to(ids)
    return table, chosen, torch.rand(700, 5, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("ids", [torch.int32, torch.int64])
@pytest.mark.parametrize("width", [1, 3, 10])
def test_the_gradients_of_rows_are_pytorchs_own(width: int, ids: torch.dtype) -> None:
    table, chosen, values = drawn(width, ids)
    generator = torch.Generator().manual_seed(1)
    ones = torch.ones(1, 5, dtype=torch.float64).expand(700, -1)
    equal = torch.full((1, 5), 0.5, dtype=torch.float64).expand(700, -1)
    for weighed in (values, ones, equal):
        plain = table.weight.detach().clone().requires_grad_()
        expected = nn.functional.embedding(chosen, plain, padding_idx=0) * weighed.unsqueeze(2)
        factor = torch.randn(700, 5, width, generator=generator, dtype=torch.float64)
        for found, own, by in (
            (table.scaled(chosen, weighed), expected, factor),
            (table.summed(chosen, weighed), expected.sum(1), factor[:, 0]),
        ):
            torch.testing.assert_close(found, own, rtol=0, atol=1e-12)
            (gradient,) = torch.autograd.grad((found * by).sum(), table.weight)
            (its_own,) = torch.autograd.grad((own * by).sum(), plain, retain_graph=True)
            torch.testing.assert_close(gradient, its_own, rtol=0, atol=1e-12)
            assert not gradient[0].any()
            with torch.no_grad():  # where nothing is trained, the sums are PyTorch's to the bit
                assert torch.equal(table.summed(chosen, weighed), (table(chosen) * weighed.unsqueeze(2)).sum(1))


@pytest.mark.parametrize("width", [1, 10])
def test_gradients_have_the_same_bits_whatever_the_threads(width: int) -> None:
    threads = torch.get_num_threads()
    generator = torch.Generator().manual_seed(0)
    ids = (torch.rand(300, 200, generator=generator) ** 4 * 5000).int()
    by = torch.randn(300, 200, width, generator=generator)
    table = IdTable(5000, width, std=1.0)
    found = []
    try:
        for number in (1, 2, 3, 2):
            torch.set_num_threads(number)
            (scaled,) = torch.autograd.grad((table.scaled(ids, torch.ones(300, 200)) * by).sum(), table.weight)
            (summed,) = torch.autograd.grad((table.summed(ids, by[:, :, 0]) * by[:, 0]).sum(), table.weight)
            found.append((scaled, summed))
    finally:
        torch.set_num_threads(threads)
    for scaled, summed in found[1:]:
        assert torch.equal(scaled, found[0][0])
        assert torch.equal(summed, found[0][1])


@pytest.mark.parametrize("shape", [(0, 3), (4, 0)])
def test_nothing_is_summed_of_no_rows_or_no_slots(shape: tuple[int, int]) -> None:
    table = IdTable(9, 2)
    summed = table.summed(torch.zeros(shape, dtype=torch.int32), torch.ones(shape))
    assert summed.tolist() == [[0.0, 0.0]] * shape[0]
    summed.sum().backward()
    assert table.weight.grad is not None
    assert not table.weight.grad.any()
    assert table.scaled(torch.zeros(shape, dtype=torch.int32), torch.ones(1, shape[1]).expand(shape)).shape == (
        *shape,
        2,
    )


def test_values_that_require_a_gradient_have_one() -> None:
    table, values = IdTable(9, 2, std=1.0), torch.ones(3, 2, requires_grad=True)
    for made in (table.scaled, table.summed):
        (gradient,) = torch.autograd.grad(made(torch.full((3, 2), 4), values).sum(), values)
        torch.testing.assert_close(gradient, table.weight[4].sum().detach().expand(3, 2))
    ones = torch.ones(1, 2, requires_grad=True)
    (gradient,) = torch.autograd.grad(table.scaled(torch.full((3, 2), 4), ones.expand(3, -1)).sum(), ones)
    torch.testing.assert_close(gradient, 3 * table.weight[4].sum().detach().expand(1, 2))
