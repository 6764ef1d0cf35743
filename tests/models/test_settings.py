"""A constructor's signature is the configuration: what a JSON or YAML file may hold, and what is refused."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest
import torch
from torch import nn

from masknet.models import MODELS, LogisticRegression, ParallelMaskNet, SerialMaskNet
from masknet.space import FeatureSpace, FieldSpace

SPACE = FeatureSpace(20, (FieldSpace("a"), FieldSpace("b")))


@pytest.mark.parametrize("model", MODELS.values())
def test_settings_are_keyword_only_with_immutable_defaults(model: type[nn.Module]) -> None:
    first, *others = inspect.signature(model).parameters.values()
    assert first.name == "space"
    assert first.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    assert first.default is inspect.Parameter.empty
    for parameter in others:
        assert parameter.kind is inspect.Parameter.KEYWORD_ONLY
        hash(parameter.default)  # a list or a dict has none
        assert parameter.default is not inspect.Parameter.empty


def test_defaults_are_the_papers() -> None:
    shared = {
        "embedding_dim": 10,
        "block_dims": (400, 400, 400),
        "reduction": 2.0,
        "max_mask_weights": None,
        "embedding_norm": True,
        "hidden_norm": True,
        "dropout": 0.0,
    }
    for model, more in ((SerialMaskNet, {}), (ParallelMaskNet, {"top_dims": (400, 400, 400)})):
        parameters = list(inspect.signature(model).parameters.values())[1:]
        assert {parameter.name: parameter.default for parameter in parameters} == shared | more


def test_lists_are_as_good_as_tuples() -> None:
    def weights(block_dims: Any, top_dims: Any) -> dict[str, torch.Tensor]:
        torch.manual_seed(0)
        return ParallelMaskNet(SPACE, block_dims=block_dims, top_dims=top_dims).state_dict()

    from_lists, from_tuples = weights([8, None], [6]), weights((8, None), (6,))
    assert list(from_lists) == list(from_tuples)
    assert all(torch.equal(from_lists[name], from_tuples[name]) for name in from_lists)


@pytest.mark.parametrize("model", [SerialMaskNet, ParallelMaskNet])
@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ({"embedding_dim": 0}, "'embedding_dim' must be an int of at least 1; got 0"),
        ({"embedding_dim": 4.0}, "'embedding_dim' must be an int of at least 1; got 4.0"),
        ({"embedding_dim": 1}, "'embedding_dim' must be at least 2 under a layer norm; got 1"),
        (
            {"block_dims": ()},
            "'block_dims' must be a list of at least one entry, each an int of at least 1 or None; got ()",
        ),
        ({"block_dims": 400}, "'block_dims' must be a list of at least one entry"),
        ({"block_dims": (8, -1)}, "each an int of at least 1 or None; got (8, -1)"),
        ({"block_dims": (1,)}, "must be at least 2 under a layer norm; got 1"),
        ({"reduction": 0}, "'reduction' must be a finite number above 0; got 0"),
        ({"reduction": 0.001}, "'reduction' times the masked width must round to at least 1; got 0.001 * 20"),
        ({"embedding_norm": "off"}, "'embedding_norm' must be True or False; got 'off'"),
        ({"hidden_norm": 0}, "'hidden_norm' must be True or False; got 0"),
        ({"dropout": 1.0}, "'dropout' must be a number in [0, 1); got 1.0"),
        ({"dropout": -0.1}, "'dropout' must be a number in [0, 1); got -0.1"),
    ],
)
def test_a_setting_out_of_range_is_refused(model: type[nn.Module], setting: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        model(SPACE, **setting)


def test_the_layers_above_the_blocks_have_widths() -> None:
    with pytest.raises(
        ValueError, match="'top_dims' must be a list of at least one entry, each an int of at least 1; got"
    ):
        ParallelMaskNet(SPACE, top_dims=(400, None))


def test_the_smallest_settings_build() -> None:
    network = SerialMaskNet(SPACE, embedding_dim=1, block_dims=(1,), embedding_norm=False, hidden_norm=False)
    assert network(torch.tensor([[1, 2]]), torch.ones(1, 2)).shape == (1,)


@pytest.mark.parametrize("model", [model for name, model in MODELS.items() if name != "latent-cross"])
def test_rows_of_another_space_are_refused(model: type[nn.Module]) -> None:
    network = model(SPACE)
    ids, values = torch.ones(3, 2, dtype=torch.long), torch.ones(3, 2)
    with pytest.raises(ValueError, match="this space has no dense columns; got 4 of them"):
        network(ids, values, torch.ones(3, 4))
    with pytest.raises(ValueError, match="a row of this space has 2 slots; got 2 ids and 1 values"):
        network(ids, values[:, :1])


def test_more_pairs_than_memory_holds_are_refused() -> None:
    bag = FeatureSpace(20, (FieldSpace("words", kind="bag", slots=300),))
    with pytest.raises(ValueError, match="at most 20,000 pairs of ids to weigh; here it has 44,850: bound the"):
        MODELS["poly2"](bag)


@pytest.mark.parametrize("model", [SerialMaskNet, ParallelMaskNet])
def test_dropout_follows_every_block_and_every_layer_above(model: type[nn.Module]) -> None:
    torch.manual_seed(0)
    network = model(SPACE, block_dims=(40, 40), dropout=0.5)
    plain = model(SPACE, block_dims=(40, 40))
    plain.load_state_dict(network.state_dict())
    ids, values = torch.randint(1, 20, (64, 2)), torch.ones(64, 2)
    assert torch.equal(network.eval()(ids, values), plain.eval()(ids, values))
    assert not torch.equal(network.train()(ids, values), plain.train()(ids, values))

    def given(name: str) -> torch.Tensor:
        """The share of zeros in the input of a module: half after a ReLU, three quarters after dropout too."""
        seen: list[torch.Tensor] = []
        hook = network.get_submodule(name).register_forward_hook(lambda _m, given, _out: seen.append(given[0]))
        network(ids, values)
        hook.remove()
        return (seen[0] == 0).float().mean()

    after = {SerialMaskNet: ["blocks.1", "head"], ParallelMaskNet: ["top", "top.layers.1", "top.layers.2", "head"]}
    for name in after[model]:
        assert given(name) == pytest.approx(0.75, abs=0.08), name
    assert given("blocks.0") == 0


def test_logistic_regression_starts_at_even_odds() -> None:
    network = LogisticRegression(SPACE)
    assert not network(torch.tensor([[1, 2]]), torch.ones(1, 2)).any()
