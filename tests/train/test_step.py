"""What a batch does to a network: the loss over tasks against a slow copy, draws, and the average in place."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from masknet.batches import Batch
from masknet.encode import EncodedRows
from masknet.models import LogisticRegression, ParallelMaskNet
from masknet.nn import Head
from masknet.space import FeatureSpace, FieldSpace
from masknet.train.checkpoint import Checkpoint
from masknet.train.optim import Optimizer, WeightAverage
from masknet.train.step import NetworkStep, loss_over_tasks, start_at

NAN = float("nan")


def drawn(rows: int, tasks: int, unknown: float = 0.3) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(rows)
    labels = torch.rand(rows, tasks, generator=generator).round()
    labels[torch.rand(rows, tasks, generator=generator) < unknown] = NAN
    weights = torch.rand(rows, generator=generator) * 3
    return 3 * torch.randn(rows, tasks, generator=generator), labels, weights


# --- the loss


def slow_loss(logits: Tensor, labels: Tensor, weights: Tensor | None) -> float:
    """Task by task and row by row, in float64."""
    total = 0.0
    for task in range(labels.shape[1]):
        losses = []
        for row, label in enumerate(labels[:, task].tolist()):
            if label == label:
                logit = float(logits[row, task])
                loss = np.log1p(np.exp(-logit if label == 1 else logit))
                losses.append(loss * (1.0 if weights is None else float(weights[row])))
        total += sum(losses) / len(losses) if losses else 0.0
    return total


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("tasks", [1, 2, 5])
def test_the_loss_is_its_slow_copy(tasks: int, weighted: bool) -> None:
    logits, labels, weights = drawn(40, tasks)
    given = weights if weighted else None
    assert float(loss_over_tasks(logits, labels, given)) == pytest.approx(slow_loss(logits, labels, given), rel=1e-6)


def test_unknown_entries_have_a_gradient_of_zero_and_the_others_that_of_their_rows_mean() -> None:
    logits, labels, weights = drawn(40, 3)
    logits.requires_grad_()
    loss_over_tasks(logits, labels, weights).backward()
    assert logits.grad is not None
    known = ~labels.isnan()
    expected = weights[:, None] * (logits.sigmoid() - labels) / known.sum(0)
    assert not logits.grad[~known].any()
    torch.testing.assert_close(logits.grad[known], expected[known].detach())


@pytest.mark.parametrize("tasks", [1, 2])
def test_a_task_that_is_unknown_in_a_whole_batch_adds_nothing(tasks: int) -> None:
    logits, labels, _ = drawn(8, tasks, unknown=0.0)
    labels[:, -1] = NAN
    logits.requires_grad_()
    loss = loss_over_tasks(logits, labels, None)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(slow_loss(logits.detach(), labels, None))
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    assert not logits.grad[:, -1].any()


@pytest.mark.parametrize("rows", [1, 2, 3, 7, 16, 100, 255, 1024, 4097])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_loss_of_one_task_is_pytorchs_mean_bit_for_bit(rows: int, weighted: bool) -> None:
    logits, labels, weights = drawn(rows, 1, unknown=0.0)
    given = weights if weighted else None
    for shape in ((rows,), (rows, 1)):
        loss = loss_over_tasks(logits.reshape(shape), labels, given)
        assert torch.equal(loss, F.binary_cross_entropy_with_logits(logits[:, 0], labels[:, 0], weight=given))


# --- the step


class Drops(nn.Module):
    """Two logits a row, with dropout and batch norm between them and the values."""

    def __init__(self, rate: float = 0.5) -> None:
        super().__init__()
        self.rate = rate
        self.norm = nn.BatchNorm1d(3)
        self.head = nn.Linear(3, 2)

    def forward(self, ids: Tensor, values: Tensor, dense: Tensor | None = None) -> Tensor:
        return self.head(F.dropout(self.norm(values), self.rate, self.training))


def network() -> Drops:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Drops()


def batch(seed: int, rows: int = 16) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.rand(rows, 2, generator=generator).round()
    labels[0, 1] = NAN
    values = torch.randn(rows, 3, generator=generator)
    return Batch(ids=torch.ones(rows, 3, dtype=torch.int32), values=values, dense=None, labels=labels, weights=None)


def step_of(network: nn.Module, *, clip: float | None = None, decay: float | None = 0.5, seed: int = 1) -> NetworkStep:
    return NetworkStep(
        network,
        optimizer=Optimizer(network, learning_rate=0.05, embedding_l2=0.0, network_l2=0.0, clip=clip),
        average=None if decay is None else WeightAverage(network, decay=decay),
        seed=seed,
    )


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(t, other[name]) for name, t in one.items())


def trained(numbers: range, step: NetworkStep) -> dict[str, Tensor]:
    for number in numbers:
        step(batch(number), number)
    return {name: t.clone() for name, t in step.state().items()}


def test_what_a_step_draws_depends_on_its_seed_and_number_alone() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    once = trained(range(4), step_of(network()))
    assert torch.equal(torch.get_rng_state(), before)  # the caller's draws stay
    torch.rand(7)
    assert equal(once, trained(range(4), step_of(network())))
    assert not equal(once, trained(range(4), step_of(network(), seed=2)))
    same, other = step_of(network()), step_of(network())
    assert torch.equal(same(batch(0), 0), once_more := step_of(network())(batch(0), 0))
    assert not torch.equal(other(batch(0), 1), once_more)


def test_the_loss_that_is_told_is_the_mean_over_tasks_in_float64() -> None:
    rows, net, copy = batch(0), Drops(rate=0.0), Drops(rate=0.0).train()
    copy.load_state_dict(net.state_dict())
    told = step_of(net)(rows, 0)
    assert told.dtype == torch.float64
    assert not told.requires_grad
    logits = copy(rows.ids, rows.values).detach()
    assert float(told) == pytest.approx(slow_loss(logits, rows.labels, None) / 2, rel=1e-6)


def test_a_step_of_which_nothing_but_its_state_is_left_goes_on_with_the_same_bits() -> None:
    whole = trained(range(8), step_of(network()))
    half = trained(range(4), step_of(network()))
    again = step_of(Drops())
    again.restore(Checkpoint({}, half | {"best:head.bias": torch.zeros(2), "loss_sum:": torch.zeros(())}))
    assert equal(whole, trained(range(4, 8), again))
    assert {name.partition(":")[0] for name in whole} == {"network", "adam", "average"}


def test_what_is_evaluated_and_kept_is_the_average_of_the_weights_with_its_buffers() -> None:
    net = network()
    step = step_of(net)
    trained(range(6), step)
    own = {name: t.clone() for name, t in net.state_dict().items()}
    with step.evaluating() as scorer:
        kept = step.kept()
        scored = scorer.logits(EncodedRows(batch(9).ids.numpy(), batch(9).values.numpy()))
    assert equal(own, net.state_dict())
    for name in ("norm.weight", "norm.running_mean", "norm.running_var", "head.weight"):
        assert not torch.equal(kept[name], own[name]), name
    finished = Drops()
    step_of(finished).finish(kept)
    assert not finished.training
    with torch.no_grad():
        found = finished(batch(9).ids, batch(9).values).numpy()
    np.testing.assert_array_equal(found, scored)


def test_weights_that_are_not_finite_are_told_with_the_way_out() -> None:
    net = network()
    step = step_of(net, clip=2.0)
    assert step.finite()
    with torch.no_grad():
        net.head.bias[0] = float("inf")
    assert not step.finite()
    assert step.advice() == "lower --learning-rate (now 0.05) or --clip (now 2)"
    assert step_of(net).advice() == "lower --learning-rate (now 0.05) or set --clip"


# --- the start


@pytest.mark.parametrize("tasks", [1, 2])
@pytest.mark.parametrize("model", [LogisticRegression, ParallelMaskNet])
def test_the_first_guess_is_the_click_rate_of_each_task(model: type[nn.Module], tasks: int) -> None:
    network = model(FeatureSpace(9, (FieldSpace("user"),), num_tasks=tasks))
    rates = np.array([0.016, 0.4])[:tasks]
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    start_at(network, rates)
    changed = [name for name, p in network.named_parameters() if not torch.equal(p, before[name])]
    (bias,) = changed
    assert bias in ("term.bias", "head.bias", "linear.bias", "bias")
    nothing = torch.zeros(1, 1, dtype=torch.int32), torch.ones(1, 1)
    moved = network(*nothing).detach().double().sigmoid().numpy().reshape(-1)
    if model is LogisticRegression:
        np.testing.assert_allclose(moved, rates, rtol=1e-6)


def test_towers_have_a_bias_each_and_other_networks_are_left_as_they_are() -> None:
    towers = nn.ModuleList([Head(3), Head(4)])
    start_at(towers, np.array([0.2, 0.7]))
    np.testing.assert_allclose([tower.bias.detach().sigmoid().item() for tower in towers], [0.2, 0.7], rtol=1e-6)
    plain = nn.Sequential(nn.Linear(3, 1))
    state = {name: t.clone() for name, t in plain.state_dict().items()}
    start_at(plain, np.array([0.2]))
    assert all(torch.equal(state[name], t) for name, t in plain.state_dict().items())
    before = [tower.bias.item() for tower in towers]
    start_at(towers, np.array([0.2]))
    assert [tower.bias.item() for tower in towers] == before
    head = Head(3)
    for rate in (0.0, 1.0, NAN):
        start_at(head, np.array([rate]))
        assert head.bias.item() == 0
