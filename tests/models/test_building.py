"""From a name and settings to a network: what reaches the constructor, and what loading does not draw."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from masknet.errors import ConfigError
from masknet.models import MODELS, as_lists, build_network, resolve_settings
from masknet.models.undrawn import undrawn
from masknet.space import FeatureSpace, FieldSpace
from masknet.train.contract import require_contract

SPACE = FeatureSpace(
    11,
    (
        FieldSpace("a"),
        FieldSpace("m", kind="bag", slots=2, pooling="mean"),
        FieldSpace("p", kind="dense", slots=0, width=3, projected=True),
        FieldSpace("d", kind="dense", slots=0, width=2),
    ),
)
MODULE = """
import torch
from torch import nn

from masknet.models import LogisticRegression
from masknet.nn import IdTable

seen = []


class Records(LogisticRegression):
    def __init__(self, space, *, widths=(4, (2, 3)), named=None):
        super().__init__(space)
        seen.append((widths, named))


class Buffers(nn.Module):
    def __init__(self, space):
        super().__init__()
        own = torch.Generator().manual_seed(3)
        self.table = IdTable(space.num_ids, 4)
        self.linear = nn.Linear(4, 4)
        nn.init.orthogonal_(self.linear.weight)
        self.cell = nn.GRU(4, 4)
        self.own = nn.Parameter(torch.empty(4))
        nn.init.normal_(self.own, generator=own)
        self.register_buffer("steps", torch.arange(5.0), persistent=False)
        self.register_buffer("drawn", torch.rand(5, generator=own), persistent=False)
        self.register_buffer("saved", torch.full((3,), 7.0))
        self.largest = self.steps.max().item()
"""


class Draws(TorchDispatchMode):
    """Counts the operations that draw from a generator."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += torch.Tag.nondeterministic_seeded in func.tags
        return func(*args, **(kwargs or {}))


@pytest.fixture(autouse=True)
def _module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "own_built.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("own_built", None)


# --- settings


def test_lists_reach_a_constructor_as_tuples_at_any_depth() -> None:
    settings = resolve_settings("own_built:Records", {"named": {"deep": [1, [2]]}})
    assert settings == {"widths": [4, [2, 3]], "named": {"deep": [1, [2]]}}
    read = json.loads(json.dumps(settings))
    for given in (settings, read, {"widths": (4, (2, 3)), "named": {"deep": (1, (2,))}}):
        for drawing in (nullcontext(), undrawn()):
            with drawing:
                build_network("own_built:Records", SPACE, given)
            assert sys.modules["own_built"].seen[-1] == ((4, (2, 3)), {"deep": (1, (2,))})
    require_contract("own_built:Records", settings)
    assert {repr(seen) for seen in sys.modules["own_built"].seen} == {"((4, (2, 3)), {'deep': (1, (2,))})"}
    assert settings["widths"] == [4, [2, 3]]  # those that were given stay as they are


def test_what_is_no_sequence_is_no_list() -> None:
    for value in (None, 3, 0.5, "text", True):
        assert as_lists(value) is value


# --- without draws


@pytest.mark.parametrize("model", MODELS)
def test_what_will_be_loaded_is_not_drawn(model: str, small: dict[str, dict[str, Any]]) -> None:
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    space = SPACE
    if model == "latent-cross":  # it reads a sequence
        space = replace(SPACE, fields=tuple(replace(f, ordered=f.name == "m") for f in SPACE.fields))
    with Draws() as draws, undrawn():
        built = build_network(model, space, small[model])
    assert draws.count == 0
    assert torch.equal(torch.random.get_rng_state(), before)
    drawn = build_network(model, space, small[model])
    built.load_state_dict(drawn.state_dict())
    rows = torch.tensor([[1, 4, 0], [3, 5, 6]]), torch.tensor([[1.0, 2.0, 0.0], [1.0, 0.5, 3.0]]), torch.randn(2, 5)
    assert torch.equal(built(*rows), drawn(*rows))
    assert all(parameter.requires_grad for parameter in built.parameters()) or model == "adpredictor"


def test_the_counter_counts() -> None:
    with Draws() as draws:
        build_network("serial-masknet", SPACE, {"block_dims": [4]})
    assert draws.count > 5


def test_buffers_have_their_values_and_a_generator_of_its_own_draws() -> None:
    state = torch.random.get_rng_state()
    drawn = build_network("own_built:Buffers", SPACE, {})
    assert not torch.equal(torch.random.get_rng_state(), state)
    state = torch.random.get_rng_state()
    with undrawn():
        built = build_network("own_built:Buffers", SPACE, {})
    assert torch.equal(torch.random.get_rng_state(), state)
    for (name, expected), (_, found) in zip(drawn.named_buffers(), built.named_buffers(), strict=True):
        assert torch.equal(found, expected), name
    assert torch.equal(built.own, drawn.own)
    assert built.largest == 4
    for network in (built.table, built.cell):  # an orthogonal matrix is drawn elsewhere, and then copied
        assert not any(parameter.any() for parameter in network.parameters())
    assert isinstance(built.table.weight, nn.Parameter)


@pytest.mark.parametrize("draw", [True, False])
@pytest.mark.parametrize(
    ("model", "settings", "sentence"),
    [
        ("paralel-masknet", {}, "unknown model 'paralel-masknet'; did you mean 'parallel-masknet'?"),
        ("serial-masknet", {"reduction": -1}, "serial-masknet: 'reduction' must be a finite number above 0; got -1"),
        ("serial-masknet", {"redution": 1}, "serial-masknet: SerialMaskNet.__init__() got an unexpected keyword"),
        ("serial-masknet", {"block_dims": [10**14]}, "the weights of serial-masknet must fit in memory"),
    ],
)
def test_what_cannot_be_built_is_refused(model: str, settings: dict[str, Any], sentence: str, draw: bool) -> None:
    state = torch.random.get_rng_state()
    with pytest.raises(ConfigError, match="^" + re.escape(sentence)), nullcontext() if draw else undrawn():
        build_network(model, SPACE, settings)
    if not draw:
        assert torch.equal(torch.random.get_rng_state(), state)
