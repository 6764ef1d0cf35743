"""A network of the user's own must keep the contract of `masknet.testing` before a row is read."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from masknet.errors import ConfigError
from masknet.testing import CHECKS, check_export
from masknet.train import contract
from masknet.train.contract import require_contract

MODULE = """
import torch

from masknet.models import LogisticRegression

built = 0


class Good(LogisticRegression):
    def __init__(self, space, *, width: int = 3):
        global built
        built += 1
        super().__init__(space)
        if width < 1:
            raise ValueError(f"'width' must be at least 1; got {width}")


class SeesOthers(LogisticRegression):
    def forward(self, ids, values, dense=None):
        logits = super().forward(ids, values, dense)
        return logits - logits.sum() / max(len(logits), 1)


class Sigmoid(LogisticRegression):
    def forward(self, ids, values, dense=None):
        return super().forward(ids, values, dense).unsqueeze(1)


class Crashes(LogisticRegression):
    def forward(self, ids, values, dense=None):
        raise KeyError("user")
"""


@pytest.fixture(autouse=True)
def _module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_contract.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "own_contract", raising=False)
    # An export takes longer than all other checks together, and says nothing of what is asked here.
    monkeypatch.setattr(contract, "CHECKS", tuple(check for check in CHECKS if check is not check_export))


def test_a_good_network_is_checked_once_for_its_settings_and_draws_nothing() -> None:
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    require_contract("own_contract:Good", {"width": 3})
    assert torch.equal(torch.random.get_rng_state(), before)
    built = sys.modules["own_contract"].built
    assert built > 0
    require_contract("own_contract:Good", {"width": 3})
    assert sys.modules["own_contract"].built == built
    require_contract("own_contract:Good", {"width": 4})
    assert sys.modules["own_contract"].built > built


@pytest.mark.parametrize(
    ("model", "settings", "message"),
    [
        ("SeesOthers", {}, "breaks check_rows_are_apart: a row's logit must not depend on the rows beside it"),
        ("Sigmoid", {}, r"breaks check_logits: 0 rows must give logits of shape \[0\]"),
        ("Crashes", {}, "raised KeyError in check_logits: 'user'"),
        ("Good", {"width": 0}, "own_contract:Good: 'width' must be at least 1; got 0"),
    ],
)
def test_a_broken_rule_is_named(model: str, settings: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as raised:
        require_contract(f"own_contract:{model}", settings)
    assert "\n" not in str(raised.value)
