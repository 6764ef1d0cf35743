"""What a step does to the weights, against slow copies of the formulas in float64 NumPy."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression as SklearnRegression
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from masknet.models import MODELS, LogisticRegression
from masknet.nn import IdTable, id_tables
from masknet.space import FeatureSpace, FieldSpace
from masknet.train.optim import Optimizer, Plateau, WeightAverage

Arrays = dict[str, NDArray[np.float64]]


class Net(nn.Module):
    """`logit = table[id] . head + bias`: small enough for a gradient by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.table = IdTable(7, 3, std=1).double()
        self.head = nn.Linear(3, 1, dtype=torch.float64)

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.table(ids)).squeeze(1)


def network(seed: int = 0) -> Net:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Net()


def batches(count: int) -> list[tuple[NDArray[np.int64], NDArray[np.float64]]]:
    rng = np.random.default_rng(3)
    return [(rng.integers(0, 7, size=5), rng.integers(2, size=5).astype(float)) for _ in range(count)]


def step(optimizer: Optimizer, net: Net, ids: NDArray[np.int64], labels: NDArray[np.float64]) -> None:
    optimizer.step(F.binary_cross_entropy_with_logits(net(torch.from_numpy(ids)), torch.from_numpy(labels)))


def arrays(net: nn.Module) -> Arrays:
    return {name: p.detach().numpy().copy() for name, p in net.named_parameters()}


class Oracle:
    """Adam with penalties and clipping, written from its paper and from `0.5 lambda ||theta||^2`."""

    def __init__(self, net: Net, *, embedding_l2: float, network_l2: float, clip: float | None) -> None:
        self.weights = arrays(net)
        self.l2 = {name: embedding_l2 if name == "table.weight" else network_l2 for name in self.weights}
        self.clip = clip
        self.m: Arrays = {name: np.zeros_like(w) for name, w in self.weights.items()}
        self.v: Arrays = {name: np.zeros_like(w) for name, w in self.weights.items()}
        self.t = 0
        self.norms: list[float] = []

    def gradient(self, ids: NDArray[np.int64], labels: NDArray[np.float64]) -> Arrays:
        table, head, bias = (self.weights[name] for name in ("table.weight", "head.weight", "head.bias"))
        rows = table[ids]
        error = (1 / (1 + np.exp(-(rows @ head[0] + bias))) - labels) / len(ids)
        of_table = np.zeros_like(table)
        for row, i in enumerate(ids):
            if i != 0:  # padding is not trained
                of_table[i] += error[row] * head[0]
        return {"table.weight": of_table, "head.weight": (error @ rows)[None], "head.bias": error.sum(keepdims=True)}

    def step(self, ids: NDArray[np.int64], labels: NDArray[np.float64], rate: float) -> None:
        gradient = self.gradient(ids, labels)
        gradient = {name: g + self.l2[name] * self.weights[name] for name, g in gradient.items()}
        self.norms.append(math.sqrt(sum(float((g**2).sum()) for g in gradient.values())))
        if self.clip is not None:
            gradient = {name: g * min(1.0, self.clip / (self.norms[-1] + 1e-6)) for name, g in gradient.items()}
        self.t += 1
        for name, g in gradient.items():
            self.m[name] = 0.9 * self.m[name] + 0.1 * g
            self.v[name] = 0.999 * self.v[name] + 0.001 * g**2
            mean, square = self.m[name] / (1 - 0.9**self.t), self.v[name] / (1 - 0.999**self.t)
            self.weights[name] = self.weights[name] - rate * mean / (np.sqrt(square) + 1e-8)


@pytest.mark.parametrize(
    ("embedding_l2", "network_l2", "clip"),
    [(0.0, 0.0, None), (0.3, 0.0, None), (0.0, 0.2, None), (0.3, 0.2, None), (0.0, 0.0, 0.25), (0.3, 0.2, 1.1)],
)
def test_steps_equal_the_oracle(embedding_l2: float, network_l2: float, clip: float | None) -> None:
    net = network()
    settings: dict[str, Any] = {"embedding_l2": embedding_l2, "network_l2": network_l2, "clip": clip}
    oracle = Oracle(net, **settings)
    optimizer = Optimizer(net, learning_rate=0.05, **settings)
    for number, (ids, labels) in enumerate(batches(12)):
        optimizer.learning_rate = rate = 0.05 if number < 6 else 0.005
        step(optimizer, net, ids, labels)
        oracle.step(ids, labels, rate)
        for name, weight in arrays(net).items():
            np.testing.assert_allclose(weight, oracle.weights[name], rtol=0, atol=1e-12, err_msg=f"{name}, {number}")
    if clip is not None:  # the case was one: some gradients were longer, some not
        assert min(oracle.norms) < clip < max(oracle.norms)
    assert not net.table.weight[0].any()


def test_the_penalties_fall_on_tables_and_network_apart() -> None:
    net = network()
    before = arrays(net)
    optimizer = Optimizer(net, learning_rate=0.05, embedding_l2=0.5, network_l2=0.0, clip=None)
    optimizer.step(0.0 * sum(p.sum() for p in net.parameters()))  # the penalty alone
    moved = {name for name, weight in arrays(net).items() if (weight != before[name]).any()}
    assert moved == {"table.weight"}
    assert (np.abs(arrays(net)["table.weight"][1:]) < np.abs(before["table.weight"][1:])).all()


HISTORY = FieldSpace("history", kind="bag", slots=2, ordered=True)


@pytest.mark.parametrize("model", sorted(MODELS))
def test_the_tables_of_every_model_are_known(model: str) -> None:
    space = FeatureSpace(num_ids=11, fields=(FieldSpace("user"), FieldSpace("ad"), HISTORY))
    network = MODELS[model](space)
    tables = id_tables(network).keys()
    per_id = {name for name, p in network.named_parameters() if p.shape[:1] == (11,)}
    assert tables == per_id
    assert tables


def test_a_restored_optimizer_goes_on_with_the_same_bits() -> None:
    settings: dict[str, Any] = {"learning_rate": 0.05, "embedding_l2": 0.1, "network_l2": 0.1, "clip": 1.0}
    whole, data = network(), batches(8)
    optimizer = Optimizer(whole, **settings)
    for ids, labels in data[:4]:
        step(optimizer, whole, ids, labels)
    halted = network(seed=1)
    halted.load_state_dict(whole.state_dict())
    resumed = Optimizer(halted, **settings)
    resumed.restore({name: value.clone() for name, value in optimizer.state().items()})
    for ids, labels in data[4:]:
        step(optimizer, whole, ids, labels)
        step(resumed, halted, ids, labels)
    for name, weight in arrays(whole).items():
        assert np.array_equal(weight, arrays(halted)[name]), name
    assert {key.rpartition("/")[2] for key in optimizer.state()} == {"step", "exp_avg", "exp_avg_sq"}


@pytest.mark.parametrize("decay", [0.3, 0.999])
def test_the_average_follows_its_formula(decay: float) -> None:
    net = network()
    average = WeightAverage(net, decay=decay)
    optimizer = Optimizer(net, learning_rate=0.05, embedding_l2=0.0, network_l2=0.0, clip=None)
    expected = arrays(net)
    for number, (ids, labels) in enumerate(batches(9)):
        step(optimizer, net, ids, labels)
        average.update(number)
        kept = min(decay, (1 + number) / (10 + number))
        expected = {name: kept * expected[name] + (1 - kept) * w for name, w in arrays(net).items()}
    for name, weight in average.tensors.items():
        np.testing.assert_allclose(weight.numpy(), expected[name], rtol=0, atol=1e-14, err_msg=name)


def test_the_average_takes_the_networks_place_for_a_while_and_whatever_happens() -> None:
    net = network()
    average, own = WeightAverage(net, decay=0.9), arrays(net)
    for weight in average.tensors.values():
        weight.add_(1.0)

    def fail_within() -> None:
        with average.applied():
            for name, weight in arrays(net).items():
                assert np.array_equal(weight, own[name] + 1.0), name
            raise KeyError

    with pytest.raises(KeyError):
        fail_within()
    for name, weight in arrays(net).items():
        assert np.array_equal(weight, own[name]), name


def test_the_average_takes_the_weights_place_without_a_copy() -> None:
    net = nn.Linear(3, 1)
    average = WeightAverage(net, decay=0.9)
    own, averaged = net.weight.data_ptr(), average.tensors["weight"].data_ptr()
    with average.applied():
        assert (net.weight.data_ptr(), average.tensors["weight"].data_ptr()) == (averaged, own)
    assert (net.weight.data_ptr(), average.tensors["weight"].data_ptr()) == (own, averaged)


def test_a_restored_average_goes_on_with_the_same_bits() -> None:
    net = network()
    optimizer = Optimizer(net, learning_rate=0.05, embedding_l2=0.0, network_l2=0.0, clip=None)
    average = WeightAverage(net, decay=0.9)
    data = batches(6)
    for number, (ids, labels) in enumerate(data[:3]):
        step(optimizer, net, ids, labels)
        average.update(number)
    resumed = WeightAverage(net, decay=0.9)
    resumed.restore({name: w.clone() for name, w in average.tensors.items()})
    for number, (ids, labels) in enumerate(data[3:], start=3):
        step(optimizer, net, ids, labels)
        average.update(number)
        resumed.update(number)
    for name, weight in average.tensors.items():
        assert torch.equal(weight, resumed.tensors[name]), name


# --- the average of what a network keeps of its batches


class WithBuffers(nn.Module):
    """Batch norm, whose statistics belong to its weights, beside buffers of every other sort."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(2)
        self.register_buffer("mask", torch.tensor([0.0, -math.inf]))
        self.register_buffer("scratch", torch.zeros(2), persistent=False)
        self.register_buffer("replaced", torch.zeros(2))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.replaced = x.detach().amax(0)  # another tensor in its place, as many networks do
            self.scratch.add_(1.0)
        return self.norm(x)


def test_buffers_are_averaged_as_the_weights_are_and_counts_are_not() -> None:
    net = WithBuffers().train()
    average = WeightAverage(net, decay=0.8)
    names = ("norm.running_mean", "norm.running_var", "replaced")
    expected = {name: net.state_dict()[name].double().numpy() for name in names}
    generator = torch.Generator().manual_seed(0)
    for number in range(9):
        net(torch.randn(5, 2, generator=generator) * 3 + number)
        average.update(number)
        kept = min(0.8, (1 + number) / (10 + number))
        now = {name: net.state_dict()[name].double().numpy() for name in names}
        expected = {name: kept * expected[name] + (1 - kept) * now[name] for name in names}
    own = {name: t.clone() for name, t in net.state_dict().items()}
    with average.applied():
        within = net.state_dict()
        for name in names:
            np.testing.assert_allclose(within[name].numpy(), expected[name], rtol=1e-5, err_msg=name)
            assert not torch.allclose(within[name], own[name], rtol=1e-2), name
        assert torch.equal(within["mask"], own["mask"])  # a constant, infinite as it is
        assert within["norm.num_batches_tracked"] == 9
        assert torch.equal(net.scratch, torch.full((2,), 9.0))
    assert all(torch.equal(t, own[name]) for name, t in net.state_dict().items())


def larger(value: float, best: float) -> bool:
    return value > best


def optimizer_of_one() -> Optimizer:
    return Optimizer(nn.Linear(1, 1), learning_rate=1.0, embedding_l2=0.0, network_l2=0.0, clip=None)


def test_each_evaluation_without_a_better_one_cuts_the_learning_rate_to_a_tenth() -> None:
    optimizer, plateau = optimizer_of_one(), Plateau(larger, patience=3, drop=True)
    seen = []
    for value in (0.5, 0.5, 0.6, 0.4, 0.55, 0.6):
        best = plateau.update(value, 1.0, optimizer)
        seen.append((best, round(optimizer.learning_rate, 9), plateau.since_best, plateau.exhausted))
    assert seen == [
        (True, 1.0, 0, False),
        (False, 0.1, 1, False),  # as good is no better
        (True, 0.1, 0, False),  # a better one does not raise it again
        (False, 0.01, 1, False),
        (False, 0.001, 2, False),  # better than the last, but not than the best
        (False, 0.0001, 3, True),
    ]
    assert plateau.best == 0.6


def test_patience_counts_where_there_is_no_learning_rate() -> None:
    class Unrated:
        learning_rate = None

    plateau = Plateau(larger, patience=2, drop=True)
    assert [plateau.update(value, 1.0, Unrated()) for value in (0.5, 0.4, 0.3)] == [True, False, False]
    assert plateau.exhausted


def test_a_constant_learning_rate_stays_and_patience_counts_all_the_same() -> None:
    optimizer, plateau = optimizer_of_one(), Plateau(larger, patience=2, drop=False)
    assert [plateau.update(value, 1.0, optimizer) for value in (0.5, 0.4)] == [True, False]
    assert not plateau.exhausted
    assert not plateau.update(0.3, 1.0, optimizer)
    assert plateau.exhausted
    assert optimizer.learning_rate == 1.0


def test_of_equal_values_the_lower_log_loss_is_the_better() -> None:
    plateau = Plateau(larger, patience=2, drop=False)
    seen = [(1.0, 0.5), (1.0, 0.3), (1.0, 0.3), (0.9, 0.1), (1.0, 0.2)]
    assert [plateau.update(*both, optimizer_of_one()) for both in seen] == [True, True, False, False, True]
    assert (plateau.best, plateau.best_log_loss, plateau.since_best) == (1.0, 0.2, 0)


def test_the_smaller_may_be_the_better() -> None:
    plateau = Plateau(lambda value, best: value < best, patience=1, drop=False)
    assert [plateau.update(value, 1.0, optimizer_of_one()) for value in (0.5, 0.4, 0.45)] == [True, True, False]


def test_logistic_regression_ends_where_scikit_learns_does() -> None:
    """Ours is the mean loss plus half l2 times the squares, theirs C times the sum of losses plus half the squares."""
    rng = np.random.default_rng(0)
    rows, l2 = 500, 0.01
    users, items = rng.integers(0, 20, rows), rng.integers(0, 8, rows)
    clicks = (rng.random(rows) < 1 / (1 + np.exp(-(users % 3 - 1 + items % 2)))).astype(np.float32)
    network = LogisticRegression(FeatureSpace(29, (FieldSpace("user"), FieldSpace("item"))))
    optimizer = Optimizer(network, learning_rate=0.05, embedding_l2=l2, network_l2=0.0, clip=None)
    ids, labels = torch.from_numpy(np.stack([1 + users, 21 + items], axis=1)), torch.from_numpy(clicks)
    for step in range(1500):
        optimizer.learning_rate = 0.05 * 0.995**step
        logits = network(ids, torch.ones(rows, 2))
        optimizer.step(torch.nn.functional.binary_cross_entropy_with_logits(logits, labels))
    one_hot = np.eye(28)[users] + np.eye(28)[20 + items]
    theirs = SklearnRegression(C=1 / (l2 * rows), tol=1e-10, max_iter=10_000).fit(one_hot, clicks)
    np.testing.assert_allclose(network.table.weight[1:, 0].detach().numpy(), theirs.coef_[0], atol=2e-4)
    assert network.bias is not None
    assert network.bias.item() == pytest.approx(theirs.intercept_[0], abs=2e-4)


def test_a_step_is_that_of_pytorchs_adam_bit_for_bit() -> None:
    ours, theirs = network(), network()
    optimizer = Optimizer(ours, learning_rate=0.01, embedding_l2=0.0, network_l2=0.0, clip=None)
    adam = torch.optim.Adam(theirs.parameters(), lr=0.01, fused=True)
    for number, (ids, labels) in enumerate(batches(20)):
        if number == 10:
            optimizer.learning_rate = adam.param_groups[0]["lr"] = 0.001
        losses = [F.mse_loss(net(torch.from_numpy(ids)), torch.from_numpy(labels)) for net in (ours, theirs)]
        optimizer.step(losses[0])
        adam.zero_grad()
        losses[1].backward()
        adam.step()
    for name, p in theirs.named_parameters():
        assert torch.equal(p, ours.get_parameter(name))
        for key, value in adam.state[p].items():
            assert torch.equal(value, optimizer.state()[f"{name}/{key}"])


def test_to_train_imports_no_compiler() -> None:
    program = """
import sys, torch
from masknet.train.optim import Optimizer
net = torch.nn.Linear(2, 1)
optimizer = Optimizer(net, learning_rate=0.1, embedding_l2=0.0, network_l2=0.1, clip=1.0)
optimizer.step(net(torch.ones(3, 2)).sum())
sys.exit("torch._dynamo" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
