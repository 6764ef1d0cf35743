"""The mean of probabilities against float64 written out, where it is easy and where it is not; and the contract."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from masknet.models import MODELS, LogisticRegression
from masknet.nn import MeanProbability
from masknet.nn.ensemble import as_one
from masknet.space import FeatureSpace, FieldSpace
from masknet.testing import CHECKS, Build, check_tasks


class Says(nn.Module):
    """Gives the same logits whatever it is asked."""

    def __init__(self, *logits: float | list[float]) -> None:
        super().__init__()
        self.logits = torch.tensor(logits)

    def forward(self, ids: Tensor, values: Tensor, dense: Tensor | None = None) -> Tensor:
        return self.logits


def mean(*logits: float) -> float:
    return float(MeanProbability([Says(logit) for logit in logits])(torch.empty(1, 0), torch.empty(1, 0)))


@pytest.mark.parametrize("check", [*CHECKS, check_tasks], ids=lambda check: check.__name__)
def test_two_small_networks_keep_the_contract(check: Callable[[Build], None], small: dict[str, dict[str, Any]]) -> None:
    check(lambda space: MeanProbability([MODELS[name](space, **small[name]) for name in ("serial-masknet", "lr")]))


@given(st.lists(st.floats(-25, 25, width=32), min_size=1, max_size=6))
def test_it_is_the_log_odds_of_the_mean_of_the_probabilities(logits: list[float]) -> None:
    yes = math.fsum(1 / (1 + math.exp(-logit)) for logit in logits)
    no = math.fsum(1 / (1 + math.exp(logit)) for logit in logits)
    assert mean(*logits) == pytest.approx(math.log(yes) - math.log(no), abs=3e-6)


def test_each_task_has_its_own_mean() -> None:
    network = MeanProbability([Says([0.0, 4.0], [1.0, -2.0]), Says([4.0, 4.0], [1.0, 3.0])])
    found = network(torch.empty(2, 0), torch.empty(2, 0))
    assert found.shape == (2, 2)
    assert found.tolist() == [[mean(0.0, 4.0), mean(4.0, 4.0)], [mean(1.0, 1.0), mean(-2.0, 3.0)]]


def test_certain_members_stay_certain_and_finite() -> None:
    assert mean(200.0, 200.0) == pytest.approx(200)
    assert mean(-1000.0, -1000.0, -1000.0) == pytest.approx(-1000)
    assert mean(500.0, -500.0) == 0  # one is sure of a click, the other of none: even odds
    assert mean(-500.0, 0.0) == pytest.approx(math.log(0.25 / 0.75))


def test_the_mean_is_of_probabilities_and_not_of_logits() -> None:
    assert mean(0.0, 4.0) == pytest.approx(math.log(0.5 + 0.982014) - math.log(0.5 + 0.017986), abs=1e-5)
    assert mean(0.0, 4.0) < 1.9


def test_members_are_kept_and_named() -> None:
    space = FeatureSpace(4, (FieldSpace("a"),))
    members = [LogisticRegression(space), LogisticRegression(space)]
    network = as_one(members)
    assert isinstance(network, MeanProbability)
    assert list(network.members) == members
    assert list(network.state_dict()) == [f"members.{i}.{name}" for i in (0, 1) for name in members[0].state_dict()]
    assert as_one(members[:1]) is members[0]
    with pytest.raises(ValueError, match="at least one member"):
        MeanProbability([])
