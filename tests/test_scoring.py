"""Encoded rows to logits."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from masknet import scoring
from masknet.encode import Column, EncodedSet, Layout
from masknet.nn.id_table import IdTable
from masknet.scoring import NetworkScorer, probabilities_of, score


class Sums(nn.Module):
    """The logit is what the row's ids and values sum up to: 10 id + value, over the slots."""

    def __init__(self, p: float = 0.0) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.dropout = nn.Dropout(p)

    def forward(self, ids: Tensor, values: Tensor, dense: Tensor | None = None) -> Tensor:
        return self.dropout(self.scale * (10.0 * ids + values).sum(dim=1))


def rows(count: int) -> EncodedSet:
    """Two slots: a categorical one, and a numeric one whose id is 3 in every row and so is not stored."""
    return EncodedSet(
        ids=np.arange(count, dtype=np.int32)[:, None],
        values=np.linspace(0, 1, count, dtype=np.float32)[:, None],
        labels=np.zeros((count, 1), dtype=np.uint8),
        weights=None,
        groups=None,
        layout=Layout((Column(), Column(fixed_id=3, scaled=True))),
    )


@pytest.mark.parametrize("count", [0, 1, 8, 9, 24])
def test_every_row_has_its_logit_in_order(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(scoring, "BATCH_ROWS", 8)
    done: list[int] = []
    logits = score(NetworkScorer(Sums()), rows(count), advance=done.append)
    expected = 10.0 * np.arange(count) + 1 + 30 + np.linspace(0, 1, count)
    np.testing.assert_allclose(logits, expected, atol=1e-5)
    assert logits.dtype == np.float32
    assert done == [min(8 * (batch + 1), count) for batch in range(math.ceil(count / 8))]


class Wide(Sums):
    """As wide as its layer, or its rows of ids; it notes how many rows it is given."""

    def __init__(self, layer: int, table: int) -> None:
        super().__init__()
        self.layer, self.table = nn.Linear(1, layer), IdTable(9, table)
        self.given: list[int] = []

    def forward(self, ids: Tensor, values: Tensor, dense: Tensor | None = None) -> Tensor:
        self.given.append(len(ids))
        return super().forward(ids, values, dense)


@pytest.mark.parametrize(
    ("layer", "table", "at_once"), [(1, 1, 8192), (400, 1, 3072), (1, 390, 2048), (780, 1, 2048), (9000, 1, 1024)]
)
def test_a_wide_network_is_given_fewer_rows_at_once(layer: int, table: int, at_once: int) -> None:
    network = Wide(layer, table)
    logits = score(NetworkScorer(network), rows(9000))
    assert max(network.given) == at_once
    assert np.array_equal(logits, score(NetworkScorer(Sums()), rows(9000)))


def test_long_bags_are_few_at_once_and_a_gpu_takes_many_rows() -> None:
    scorer = NetworkScorer(Wide(780, 10))
    assert scorer._rows_at_once(100_000, torch.device("cpu")) == 41
    assert scorer._rows_at_once(39, torch.device("cuda")) == 8192


@pytest.mark.parametrize("training", [True, False])
def test_scoring_drops_nothing_and_leaves_the_network_as_it_was(training: bool) -> None:
    network = Sums(p=0.9).train(training)
    assert np.array_equal(score(NetworkScorer(network), rows(20)), score(NetworkScorer(Sums()), rows(20)))
    assert network.training is training
    assert network.dropout.training is training
    assert network.scale.grad is None


def test_probabilities_are_the_logistic_function_at_full_precision() -> None:
    logits = np.array([0.0, 1.0, -1.0, 40.0, -40.0, 700.0, -700.0, 3e38, -3e38], dtype=np.float32)
    probabilities = probabilities_of(logits)
    exact = [0.5] + [1 / (1 + math.exp(-x)) for x in (1.0, -1.0, 40.0, -40.0, 700.0, -700.0)]
    np.testing.assert_allclose(probabilities, [*exact, 1.0, 0.0], rtol=1e-15)
    assert probabilities.dtype == np.float64
    assert probabilities[4] > 0  # float32 would not tell it from none
