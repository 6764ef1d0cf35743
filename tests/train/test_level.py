"""After training the mean prediction lies near the click rate of rows that moved no weight, and not by chance."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import brentq
from torch import Tensor, nn

from masknet.encode import EncodedSet
from masknet.encode.storage import Column, Layout
from masknet.nn import Head, IdTable
from masknet.schema import UNKNOWN
from masknet.train.level import level_of, move_biases


class Odds(nn.Module):
    """Log-odds that are those of the id, one column a task."""

    def __init__(self, odds: np.ndarray) -> None:
        super().__init__()
        tasks = odds.shape[1]
        self.table = IdTable(len(odds), tasks)
        self.head = Head(tasks, tasks)
        with torch.no_grad():
            self.table.weight.copy_(torch.from_numpy(odds))
            self.head.weight.copy_(torch.eye(tasks))
            self.head.bias.zero_()

    def forward(self, ids: Tensor, values: Tensor, dense: Tensor | None = None) -> Tensor:
        logits: Tensor = self.head(self.table(ids[:, 0]))
        return logits


def rows_of(count: int, tasks: int = 1, seed: int = 0, *, off: float = 0.0) -> tuple[nn.Module, EncodedSet]:
    """Rows whose clicks have the log-odds of the network, moved by `off`."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(-1, 1, (51, tasks))
    ids = rng.integers(1, 51, (count, 1))
    labels = (rng.random((count, tasks)) < 1 / (1 + np.exp(-odds[ids[:, 0]] - off))).astype(np.uint8)
    rows = EncodedSet(
        ids=ids.astype(np.int32),
        values=np.empty((count, 0), dtype=np.float32),
        labels=labels,
        weights=None,
        groups=None,
        layout=Layout((Column(),)),
    )
    return Odds(odds).eval(), rows


def test_it_is_the_shift_of_the_mean_times_the_trust_in_it() -> None:
    """Against a root finder, and the variance of a fitted intercept."""
    network, rows = rows_of(4000, off=-0.2)
    logits = network(torch.from_numpy(rows.ids), torch.ones(4000, 1)).double().detach().numpy()
    clicks = rows.labels[:, 0]
    shift = brentq(lambda d: (1 / (1 + np.exp(-logits - d))).mean() - clicks.mean(), -5, 5, xtol=1e-12)
    p = 1 / (1 + np.exp(-logits - shift))
    variance = 1 / (p * (1 - p)).sum()
    (found,) = level_of(network, rows, rows.click_rates)
    assert found == pytest.approx(shift * 0.01 / (0.01 + variance), rel=1e-6)
    assert -0.25 < found < -0.1


def test_few_clicks_move_little_and_many_move_all() -> None:
    found = [level_of(*pair, pair[1].click_rates)[0] for pair in (rows_of(40, off=0.3), rows_of(100_000, off=0.3))]
    assert abs(found[0]) < 0.1
    assert found[1] == pytest.approx(0.3, abs=0.03)


def test_weights_weigh_the_mean_and_equal_ones_are_none() -> None:
    network, rows = rows_of(500, off=-0.4)
    heavy = np.random.default_rng(2).integers(1, 4, 500).astype(np.float64)
    p = 1 / (1 + np.exp(-network.table.weight.detach().numpy()[rows.ids[:, 0], 0]))
    for weights in (heavy, np.full(500, 7.0)):
        weighted = EncodedSet(rows.ids, rows.values, rows.labels, weights, None, rows.layout)
        found = level_of(network, weighted, weighted.click_rates)[0]
        clicks = weights @ rows.labels[:, 0] / weights.sum()
        logits = np.log(p) - np.log1p(-p)
        shift = brentq(lambda d, w=weights, c=clicks, o=logits: w @ (1 / (1 + np.exp(-o - d))) / w.sum() - c, -5, 5)
        q = 1 / (1 + np.exp(-logits - shift))
        information = (weights @ (q * (1 - q))) ** 2 / (weights**2 @ (q * (1 - q)))
        assert found == pytest.approx(shift * 0.01 / (0.01 + 1 / information), rel=1e-4)
    assert found == pytest.approx(level_of(network, rows, rows.click_rates)[0], rel=1e-9)


def test_each_task_has_its_own_and_unknown_labels_say_nothing() -> None:
    network, rows = rows_of(20_000, tasks=2, off=0.25)
    labels = rows.labels.copy()
    labels[10_000:, 1] = UNKNOWN
    both = EncodedSet(rows.ids, rows.values, labels, None, None, rows.layout)
    shifts = level_of(network, both, both.click_rates)
    assert shifts == pytest.approx([0.25, 0.25], abs=0.06)
    move_biases(network, shifts)
    assert network.head.bias.tolist() == pytest.approx(shifts, rel=1e-6)
    assert level_of(network, both, both.click_rates) == pytest.approx([0, 0], abs=0.02)


@pytest.mark.parametrize("clicks", [0, 1])
def test_rows_of_one_class_move_nothing(clicks: int) -> None:
    network, rows = rows_of(300)
    same = EncodedSet(rows.ids, rows.values, np.full_like(rows.labels, clicks), None, None, rows.layout)
    assert level_of(network, same, rows.click_rates) == [0.0]


def test_rows_of_another_click_rate_move_nothing() -> None:
    """Validation rows of which somebody drew as many clicks as others say nothing of the level."""
    network, rows = rows_of(5000)
    clicks = np.flatnonzero(rows.labels[:, 0])
    index = np.concatenate([clicks, np.flatnonzero(rows.labels[:, 0] == 0)[: len(clicks)]])
    balanced = EncodedSet(rows.ids[index], rows.values[index], rows.labels[index], None, None, rows.layout)
    assert level_of(network, balanced, rows.click_rates) == [0.0]
    assert level_of(network, balanced, balanced.click_rates) != [0.0]


def test_a_network_without_such_a_bias_is_left_as_it_is() -> None:
    class Bare(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = IdTable(60, 1)

        def forward(self, ids: Tensor, values: Tensor, dense: Tensor | None = None) -> Tensor:
            return self.table(ids[:, 0])[:, 0]

    _, rows = rows_of(300)
    assert level_of(Bare().eval(), rows, rows.click_rates) == []
