"""The shapes written in the annotations are true: every call here runs with jaxtyping and beartype checking them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType

import pytest
import torch
from jaxtyping import TypeCheckError, install_import_hook

import masknet
from masknet.space import FeatureSpace, FieldSpace

SPACE = FeatureSpace(
    9, (FieldSpace("a"), FieldSpace("bag", kind="bag", slots=3, pooling="mean", ordered=True), FieldSpace("b"))
)
IDS = torch.tensor([[1, 4, 0, 0, 2], [3, 5, 6, 0, 8]])
VALUES = torch.ones(2, 5)


@pytest.fixture(scope="module")
def checked() -> Iterator[tuple[ModuleType, ModuleType]]:
    """A second copy of the two packages, imported with checks; the first, which other tests hold, is put back."""
    packages = ("masknet.nn", "masknet.models")
    before = {name: sys.modules.pop(name) for name in list(sys.modules) if name.startswith(packages)}
    attributes = {name: vars(masknet)[name] for name in ("nn", "models") if name in vars(masknet)}
    try:
        with install_import_hook(list(packages), "beartype.beartype"):
            yield import_module("masknet.nn"), import_module("masknet.models")
    finally:
        for name in [name for name in sys.modules if name.startswith(packages)]:
            del sys.modules[name]
        sys.modules.update(before)
        for name, module in attributes.items():
            setattr(masknet, name, module)


def test_every_model_keeps_its_annotated_shapes(checked: tuple[ModuleType, ModuleType]) -> None:
    _, models = checked
    for name, model in models.MODELS.items():
        network = model(SPACE)
        assert network(IDS, VALUES).shape == (2,), name
        assert network(IDS.int(), VALUES, None).shape == (2,), name
    dense = FieldSpace("x", kind="dense", slots=0, width=3)
    projected = FieldSpace("p", kind="dense", slots=0, width=4, projected=True)
    with_dense = FeatureSpace(9, (*SPACE.fields, dense, projected))
    for name, model in models.MODELS.items():
        assert model(with_dense)(IDS, VALUES, torch.ones(2, 7)).shape == (2,), name
    for model in (models.SerialMaskNet, models.ParallelMaskNet):
        for settings in ({"block_dims": (None, 7)}, {"reduction": None}, {"embedding_norm": False}):
            logits, masks = model(SPACE, **settings).forward_with_masks(IDS, VALUES)
            assert logits.shape == (2,)
            assert isinstance(masks, tuple)


@pytest.mark.parametrize(
    ("ids", "values"),
    [(IDS, VALUES[:1]), (IDS.float(), VALUES), (IDS, VALUES.long()), (IDS[0], VALUES[0]), (IDS, VALUES[..., None])],
)
def test_a_wrong_shape_or_type_is_caught(
    checked: tuple[ModuleType, ModuleType], ids: torch.Tensor, values: torch.Tensor
) -> None:
    _, models = checked
    for model in models.MODELS.values():
        with pytest.raises(TypeCheckError):
            model(SPACE)(ids, values)


def test_layers_are_checked_too(checked: tuple[ModuleType, ModuleType]) -> None:
    nn, _ = checked
    with pytest.raises(TypeCheckError):
        nn.FieldLayerNorm(3, 4)(torch.ones(2, 3, 4))
    with pytest.raises(TypeCheckError):
        nn.MaskBlock(d_embedding=6, d_hidden=5, d_out=4)(torch.ones(2, 5), torch.ones(3, 6))
    assert nn.MaskBlock(d_embedding=6, d_hidden=5, d_out=4)(torch.ones(2, 5), torch.ones(2, 6)).shape == (2, 4)
