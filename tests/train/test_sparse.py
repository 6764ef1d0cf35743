"""Sparse updates: against slow copies of their formulas in float64, and against dense updates."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from masknet.batches import Batch
from masknet.config import RunConfig
from masknet.errors import ConfigError
from masknet.models import MODELS, learns_by_row
from masknet.nn import IdTable
from masknet.space import FeatureSpace, FieldSpace
from masknet.train.checkpoint import Checkpoint
from masknet.train.coasting import Rows, coasted
from masknet.train.members import network_step
from masknet.train.optim import Optimizer, WeightAverage
from masknet.train.sparse import SparseAverage, SparseOptimizer

IDS = 12
SETTINGS: dict[str, Any] = {"learning_rate": 0.05, "embedding_l2": 0.0, "network_l2": 0.0, "clip": None}


class Net(nn.Module):
    """Two tables, as a linear term and vectors: `logit = sum_s linear[id_s] + (sum_s vectors[id_s]) . head`."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.vectors = IdTable(IDS, 1, std=1).double(), IdTable(IDS, 3, std=1).double()
        self.head = nn.Linear(3, 1, dtype=torch.float64)

    def forward(self, ids: Tensor, values: Tensor | None = None, dense: Tensor | None = None) -> Tensor:
        return (self.linear(ids).sum(1) + self.head(self.vectors(ids).sum(1))).squeeze(1)


def network(seed: int = 0) -> Net:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Net()


def batches(count: int, rows: int = 3) -> list[tuple[Tensor, Tensor]]:
    """Of few rows of two slots, so that most ids are missing in each."""
    rng = np.random.default_rng(3)
    return [
        (torch.from_numpy(rng.integers(0, IDS, (rows, 2)).astype(np.int32)), torch.from_numpy(rng.random(rows).round()))
        for _ in range(count)
    ]


def step(optimizer: Optimizer | SparseOptimizer, net: nn.Module, ids: Tensor, labels: Tensor) -> None:
    with optimizer.reading(ids):
        optimizer.step(F.binary_cross_entropy_with_logits(net(ids), labels))


def arrays(net: nn.Module) -> dict[str, NDArray[np.float64]]:
    return {name: p.detach().numpy().copy() for name, p in net.named_parameters()}


# --- the slow copy


class SlowRow:
    """One number of a row: Adam's steps with a gradient, and all those without one by the power of a matrix."""

    def __init__(self, weight: float) -> None:
        self.weight = self.average = weight
        self.m = self.v = 0.0
        self.last = 0

    def coast(self, now: int, rate: float, l2: float, decays: list[float] | None) -> None:
        gap, since = now - self.last, self.last
        if gap == 0:
            return
        soon = min(max(gap / 2, 0.5), 10.0)
        pull = l2 * self.weight
        square = 0.999**soon * self.v + (1 - 0.999**soon) * pull**2
        scale = rate / (math.sqrt(square / (1 - 0.999 ** (since + soon))) + 1e-8)
        k = min(0.1 * l2 * scale, 1.9)
        mean = pull + (self.m - (1 - 0.9**since) * pull) / (1 - 0.9 ** (since + soon))
        state, over = np.array([self.weight, scale * mean]), 0.0
        step = np.array([[1 - k, -0.9], [k, 0.9]])  # w - (0.9 p + k w), and 0.9 p + k w
        for _ in range(gap):
            state = step @ state
            over += state[0] / gap
        faded = max(gap * min(k / 0.1, -math.log(0.9) / 2), 1e-12)
        kept = 0.999**gap
        self.v = kept * self.v + (1 - kept) * pull**2 * -math.expm1(-2 * faded) / (2 * faded)
        self.weight, self.m, self.last = float(state[0]), float(state[1] / scale) * (1 - 0.9**now), now
        if decays is not None:
            left = math.prod(decays[since:now])
            self.average = left * self.average + (1 - left) * over

    def move(self, gradient: float, rate: float, decay: float) -> None:
        self.last += 1
        self.m, self.v = 0.9 * self.m + 0.1 * gradient, 0.999 * self.v + 0.001 * gradient**2
        mean, square = self.m / (1 - 0.9**self.last), self.v / (1 - 0.999**self.last)
        self.weight -= rate * mean / (math.sqrt(square) + 1e-8)
        self.average = decay * self.average + (1 - decay) * self.weight


class SlowTable:
    """A table of such rows."""

    def __init__(self, weight: NDArray[np.float64]) -> None:
        self.rows = [[SlowRow(float(number)) for number in row] for row in weight]

    def take(self, what: str) -> NDArray[np.float64]:
        return np.array([[getattr(number, what) for number in row] for row in self.rows])


@pytest.mark.parametrize("decay", [0.3, 0.99])
@pytest.mark.parametrize(
    ("embedding_l2", "network_l2", "clip"),
    [(0.0, 0.0, None), (1e-9, 0.0, None), (1e-3, 0.0, None), (0.3, 0.2, None), (0.3, 0.2, 0.7), (0.0, 0.0, 0.3)],
)
def test_steps_and_averages_equal_the_slow_copy(
    embedding_l2: float, network_l2: float, clip: float | None, decay: float
) -> None:
    net = network()
    settings = SETTINGS | {"embedding_l2": embedding_l2, "network_l2": network_l2, "clip": clip}
    average = SparseAverage(net, decay)
    optimizer = SparseOptimizer(net, **settings, average=average)
    names = ("linear.weight", "vectors.weight")
    slow = {name: SlowTable(arrays(net)[name]) for name in names}
    data = batches(60)
    decays = [min(decay, (1 + number) / (10 + number)) for number in range(len(data))]
    norms = []
    for number, (ids, labels) in enumerate(data):
        optimizer.learning_rate = rate = 0.05 if number < 30 else 0.005
        read = sorted({0, *ids.flatten().tolist()})
        for table in slow.values():
            for i in range(IDS) if number == 30 else read:
                for row in table.rows[i]:
                    row.coast(number, 0.05 if number == 30 else rate, embedding_l2, decays)
        if number == 30:
            optimizer.learning_rate = 0.05
            optimizer.settle()
            optimizer.learning_rate = rate
        # The gradient by PyTorch, of a dense network with the slow weights.
        copy = network()
        copy.load_state_dict(net.state_dict() | {name: torch.from_numpy(slow[name].take("weight")) for name in names})
        F.binary_cross_entropy_with_logits(copy(ids), labels).backward()
        gradients = {name: p.grad for name, p in copy.named_parameters() if p.grad is not None}
        for name, p in copy.named_parameters():
            gradients[name] = gradients[name] + (embedding_l2 if name in names else network_l2) * p.detach()
        norm = math.sqrt(sum(float((g[read] if name in names else g).square().sum()) for name, g in gradients.items()))
        norms.append(norm)
        factor = 1.0 if clip is None else min(1.0, clip / (norm + 1e-6))
        for name in names:
            for i in read:
                for entry, row in enumerate(slow[name].rows[i]):
                    row.move(float(gradients[name][i, entry]) * factor, rate, decays[number])
        with optimizer.reading(ids):
            optimizer.step(F.binary_cross_entropy_with_logits(net(ids), labels))
        average.update(number)
        for name in names:
            weight, averaged = arrays(net)[name][read], average.tensors[name].numpy()[read]
            message = f"{name}, {number}"
            np.testing.assert_allclose(weight, slow[name].take("weight")[read], rtol=0, atol=1e-6, err_msg=message)
            np.testing.assert_allclose(averaged, slow[name].take("average")[read], rtol=0, atol=1e-6, err_msg=message)
    optimizer.settle()
    for name in names:
        for rows in slow[name].rows:
            for row in rows:
                row.coast(len(data), rate, embedding_l2, decays)
        np.testing.assert_allclose(arrays(net)[name], slow[name].take("weight"), rtol=0, atol=1e-6)
        np.testing.assert_allclose(average.tensors[name].numpy(), slow[name].take("average"), rtol=0, atol=1e-6)
        assert not arrays(net)[name][0].any()
    if clip is not None:
        assert min(norms) < clip < max(norms)


# --- against dense updates


def test_where_every_row_is_in_every_batch_sparse_is_dense() -> None:
    dense_net, net = network(), network()
    settings = SETTINGS | {"embedding_l2": 0.3, "network_l2": 0.2, "clip": 1.1}
    dense, dense_average = Optimizer(dense_net, **settings), WeightAverage(dense_net, 0.9)
    average = SparseAverage(net, 0.9)
    sparse = SparseOptimizer(net, **settings, average=average)
    ids = torch.arange(IDS).reshape(-1, 2)
    for number in range(20):
        labels = (torch.arange(IDS // 2) + number).remainder(2).double()
        step(dense, dense_net, ids, labels)
        dense_average.update(number)
        step(sparse, net, ids, labels)
        average.update(number)
    for name, weight in arrays(dense_net).items():
        np.testing.assert_allclose(arrays(net)[name], weight, rtol=0, atol=1e-13, err_msg=name)
        np.testing.assert_allclose(average.tensors[name], dense_average.tensors[name], rtol=0, atol=1e-13, err_msg=name)


@pytest.mark.parametrize("l2", [0.0, 1e-4, 0.03])
def test_rows_that_are_seldom_read_end_near_those_of_dense_updates(l2: float) -> None:
    """Adam that only forgets what it remembers of such rows would move them a tenth as far."""
    rng = np.random.default_rng(0)
    count, steps, rate = 300, 600, 1e-3
    start = rng.normal(0, 0.05, (count, 1))
    gradients = 3e-3 * (rng.normal(size=count) + rng.normal(size=(steps, count)))
    read = rng.random((steps, count)) < 0.02
    w, m, v, average = start.copy(), np.zeros((count, 1)), np.zeros((count, 1)), start.copy()
    rows = Rows(*(torch.from_numpy(a.copy()) for a in (start, m, v)))
    mean, last = torch.from_numpy(start.copy()), torch.zeros(count)
    for t in range(1, steps + 1):
        g = np.where(read[t - 1], gradients[t - 1], 0)[:, None] + l2 * w
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        w = w - rate * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        average += w / steps
        at = torch.from_numpy(np.flatnonzero(read[t - 1]))
        now, over = coasted(Rows(*(x[at] for x in rows)), since=last[at], gap=t - 1 - last[at], rate=rate, l2=l2)
        g_now = torch.from_numpy(gradients[t - 1])[at, None] + l2 * now.weight
        now_m, now_v = 0.9 * now.mean + 0.1 * g_now, 0.999 * now.square + 0.001 * g_now**2
        moved = now.weight - rate * (now_m / (1 - 0.9**t)) / ((now_v / (1 - 0.999**t)).sqrt() + 1e-8)
        mean[at] += ((t - 1 - last[at])[:, None] * over + moved) / steps
        for whole, part in zip(rows, (moved, now_m, now_v), strict=True):
            whole[at] = part
        last[at] = float(t)
    rows, over = coasted(rows, since=last, gap=steps - last, rate=rate, l2=l2)
    mean += (steps - last)[:, None] * over / steps
    for found, expected in ((rows.weight.numpy(), w), (mean.numpy(), average)):
        assert np.sqrt(np.mean((found - expected) ** 2)) < 0.06 * np.sqrt(np.mean(expected**2))


def test_a_row_that_missed_no_step_is_left_to_the_last_bit() -> None:
    rows = Rows(torch.randn(5, 3), torch.randn(5, 3), torch.rand(5, 3))
    now, over = coasted(rows, since=torch.arange(5), gap=torch.zeros(5), rate=0.1, l2=0.03)
    assert all(torch.equal(new, old) for new, old in zip((*now, over), (*rows, rows.weight), strict=True))


@pytest.mark.parametrize("l2", [0.0, 1e-12, 1e-6, 0.03, 10.0, 1e6])
def test_gaps_of_any_length_give_finite_numbers(l2: float) -> None:
    gaps = torch.tensor([1, 2, 10, 1000, 10**6, 10**9]).repeat(4)
    generator = torch.Generator().manual_seed(0)
    size = torch.tensor([0.0, 1e-12, 1.0, 1e6]).repeat_interleave(6).unsqueeze(1)
    weight, mean = (torch.randn(24, 2, generator=generator) * size for _ in range(2))
    rows = Rows(weight, mean, mean.square())
    for dtype in (torch.float32, torch.float64):
        now, over = coasted(Rows(*(x.to(dtype) for x in rows)), since=gaps, gap=gaps, rate=1e-3, l2=l2)
        assert all(bool(x.isfinite().all()) for x in (*now, over))
        assert (now.square >= 0).all()


# --- what is kept


def trained(numbers: range, optimizer: SparseOptimizer, average: SparseAverage, net: nn.Module) -> None:
    data = batches(20)
    for number in numbers:
        step(optimizer, net, *data[number])
        average.update(number)
        if number % 5 == 4:
            optimizer.settle()


def test_a_restored_one_goes_on_with_the_same_bits() -> None:
    settings = SETTINGS | {"embedding_l2": 0.1, "network_l2": 0.1, "clip": 1.0}
    whole, halted = network(), network(seed=1)
    average = SparseAverage(whole, 0.9)
    optimizer = SparseOptimizer(whole, **settings, average=average)
    trained(range(7), optimizer, average, whole)  # within a gap of some rows
    halted.load_state_dict(whole.state_dict())
    resumed_average = SparseAverage(halted, 0.9)
    resumed = SparseOptimizer(halted, **settings, average=resumed_average)
    resumed.restore({name: value.clone() for name, value in optimizer.state().items()})
    resumed_average.restore({name: value.clone() for name, value in average.tensors.items()})
    trained(range(7, 20), optimizer, average, whole)
    trained(range(7, 20), resumed, resumed_average, halted)
    for name, weight in arrays(whole).items():
        assert np.array_equal(weight, arrays(halted)[name]), name
        assert torch.equal(average.tensors[name], resumed_average.tensors[name]), name
    assert optimizer.state().keys() == resumed.state().keys()
    assert all(torch.equal(value, resumed.state()[name]) for name, value in optimizer.state().items())


def test_frozen_rows_never_move_and_the_others_do() -> None:
    net = network()
    before = arrays(net)["vectors.weight"]
    average = SparseAverage(net, 0.5)
    settings = SETTINGS | {"embedding_l2": 0.3}
    optimizer = SparseOptimizer(net, **settings, average=average, frozen={"vectors.weight": torch.tensor([2, 5])})
    trained(range(20), optimizer, average, net)
    frozen = np.isin(np.arange(IDS), [0, 2, 5])
    for after in (arrays(net)["vectors.weight"], average.tensors["vectors.weight"].numpy()):
        assert np.array_equal(after[frozen], before[frozen])
        assert (after[~frozen] != before[~frozen]).all()


# --- what a network may do


def test_only_the_ids_of_the_batch_are_looked_up() -> None:
    net = network()
    optimizer = SparseOptimizer(net, **SETTINGS)
    sentence = "no others are looked up; an id that is none of the batch was: train with --embedding-updates dense$"
    with optimizer.reading(torch.tensor([[1, 5]])):
        net(torch.tensor([[5, 5], [0, 1]]))
        with pytest.raises(ValueError, match=sentence):
            net(torch.tensor([[1, 6]]))
        with pytest.raises(ValueError, match="between 0 and 11; got 12"):
            net(torch.tensor([[1, 12]]))
    net(torch.tensor([[1, 6]]))


def test_a_network_that_uses_the_weights_of_a_table_as_a_whole_is_refused() -> None:
    net = network()
    optimizer = SparseOptimizer(net, **SETTINGS)
    ids = torch.tensor([[1, 5]])
    with optimizer.reading(ids), pytest.raises(ConfigError, match=r"the table 'vectors.weight' beside that: train it"):
        optimizer.step(net(ids).sum() + net.vectors.weight.square().sum())


def test_two_names_of_one_table_are_one() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.other = IdTable(IDS, 1), IdTable(IDS, 1)
            self.other.weight = self.one.weight

        def forward(self, ids: Tensor) -> Tensor:
            return (self.one(ids) + 2 * self.other(ids)).sum((1, 2))

    nets = []
    for kind in (Optimizer, SparseOptimizer):
        torch.manual_seed(0)
        nets.append(net := Twice())
        step(kind(net, **SETTINGS), net, torch.tensor([[1, 5], [2, 5]]), torch.tensor([0.0, 1.0]))
    torch.testing.assert_close(nets[0].one.weight, nets[1].one.weight, rtol=0, atol=1e-7)


# --- the models

PAIR = FeatureSpace(60, (FieldSpace("user"), FieldSpace("ad")))
SPACE = FeatureSpace(
    60,
    (
        *PAIR.fields,
        FieldSpace("history", kind="bag", slots=3, ordered=True),
        FieldSpace("image", kind="dense", slots=0, width=2),
    ),
)


def rows(seed: int, *, every: bool, space: FeatureSpace = SPACE) -> Batch:
    """Rows of a space; with `every`, all of its ids are among them."""
    rng, slots = np.random.default_rng(seed), space.num_slots
    ids = np.resize(rng.permutation(60), (60, slots)) if every else rng.integers(1, 60, (4, slots))
    values = rng.random(ids.shape).astype(np.float32)
    dense = rng.normal(size=(len(ids), space.dense_width)).astype(np.float32)
    return Batch(
        ids=torch.from_numpy(ids.astype(np.int32)),
        values=torch.from_numpy(np.where(ids == 0, 0, values)),
        dense=torch.from_numpy(dense) if space.dense_width else None,
        labels=torch.from_numpy(rng.integers(0, 2, (len(ids), 1)).astype(np.float32)),
        weights=None,
    )


@pytest.mark.parametrize("model", sorted(name for name in MODELS if not learns_by_row(name)))
def test_every_model_trains_as_with_dense_updates(model: str) -> None:
    """Those too that do more with ids than look them up: `poly2` hashes pairs of them."""
    states: dict[str, dict[str, Tensor]] = {}
    space = PAIR if model == "mf" else SPACE
    for updates in ("dense", "sparse"):
        config = RunConfig(
            label="click", embedding_updates=updates, learning_rate=1e-3, embedding_l2=1e-3, average_weights=0.9
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            taught = network_step(MODELS[model](space), config, sample_weights=None)
        for number in range(4):
            taught(rows(number, every=True, space=space), number)
        with taught.evaluating():
            states[updates] = taught.kept()
    for name, tensor in states["dense"].items():
        difference = (states["sparse"][name] - tensor).abs().max()
        assert difference < 2e-5, f"{name}: {difference}"


def test_what_is_evaluated_is_where_all_rows_are_now_and_a_resumed_step_goes_on_with_the_same_bits() -> None:
    config = RunConfig(
        label="click", embedding_updates="sparse", learning_rate=1e-3, embedding_l2=1e-2, average_weights=0.9
    )

    def built() -> Any:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return network_step(MODELS["deepfm"](SPACE), config, sample_weights=None)

    whole, first = built(), built()
    for number in range(9):
        for taught in (whole, first) if number < 5 else (whole,):
            taught(rows(number, every=False), number)
            if number == 2:
                with taught.evaluating():
                    pass
    resumed = built()
    resumed.restore(Checkpoint({}, {name: tensor.clone() for name, tensor in first.state().items()}))
    for number in range(5, 9):
        resumed(rows(number, every=False), number)
    with whole.evaluating(), resumed.evaluating():
        kept, again = whole.kept(), resumed.kept()
    assert all(torch.equal(tensor, again[name]) for name, tensor in kept.items())
    before, after = built().state(), whole.state()
    for name in ("network:embedding.table.weight", "average:embedding.table.weight"):
        moved = (after[name] != before[name]).any(1)
        assert moved[1:].all(), name  # the penalty's steps too, of rows that no batch has read
