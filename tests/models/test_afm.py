"""AFM's attention, some pairs at a time: the numbers and gradients of all pairs at once."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch

from masknet.models import afm
from masknet.models.afm import AttentionalFM
from masknet.space import FeatureSpace, FieldSpace

SPACE = FeatureSpace(num_ids=50, fields=tuple(FieldSpace(name) for name in "abcde"))


@pytest.fixture
def network() -> AttentionalFM:
    torch.manual_seed(0)
    network = AttentionalFM(SPACE, embedding_dim=10, attention_dim=24, dropout=0.2, attention_dropout=0.2)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return network


def trained(network: AttentionalFM, dtype: torch.dtype, rows: int) -> list[torch.Tensor]:
    """The logits, and the gradient of each parameter, under the same dropout."""
    own, draws = deepcopy(network).to(dtype), torch.Generator().manual_seed(rows)
    ids = torch.randint(1, 50, (rows, 5), generator=draws)
    values, clicks = torch.rand(rows, 5, generator=draws), torch.rand(rows, generator=draws).round()
    torch.manual_seed(1)
    logits = own(ids, values.to(dtype))
    torch.nn.functional.binary_cross_entropy_with_logits(logits, clicks.to(dtype)).backward()
    return [logits.detach(), *(parameter.grad for parameter in own.parameters() if parameter.grad is not None)]


@pytest.mark.parametrize("rows", [64, 100, 103, 333])  # of 10 pairs: less than is taken at once, and several times that
def test_pairs_that_are_taken_some_at_a_time_give_what_all_at_once_do(
    network: AttentionalFM, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = trained(network, torch.float32, rows)
    with monkeypatch.context() as patch:
        patch.setattr(afm, "_PAIRS_AT_ONCE", 0)  # which no split can be by
        exact = trained(network, torch.float64, rows)
        with pytest.raises(RuntimeError, match="split"):
            trained(network, torch.float32, rows)
    assert len(found) == len(exact) == 1 + len(list(network.parameters()))
    for ours, true in zip(found, exact, strict=True):
        torch.testing.assert_close(ours.double(), true, rtol=1e-5, atol=1e-5 * float(true.abs().max()))


def test_scoring_takes_pairs_some_at_a_time_too(network: AttentionalFM, monkeypatch: pytest.MonkeyPatch) -> None:
    network.eval()
    ids, values = torch.randint(1, 50, (333, 5)), torch.rand(333, 5)
    with torch.inference_mode():
        found = network(ids, values)
        monkeypatch.setattr(afm, "is_ours", lambda _: False)
        torch.testing.assert_close(network(ids, values), found, rtol=1e-5, atol=1e-5)
