"""Both models, in every combination of their switches, against the equations written out in float64 NumPy.

The oracle takes the weights by name from `state_dict` and shares no code with the networks.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from masknet.models import LogisticRegression, ParallelMaskNet, SerialMaskNet
from masknet.space import FeatureSpace, FieldSpace

State = dict[str, np.ndarray]

PLAIN = FeatureSpace(11, (FieldSpace("a"), FieldSpace("x", kind="numeric"), FieldSpace("b")))
BAGS = FeatureSpace(11, (FieldSpace("s", slots=3), FieldSpace("a"), FieldSpace("m", slots=2, pooling="mean")))
WIDTHS = [(7, 6, 5), (None, None), (7, None, 5), (6,)]
EPSILON = 1e-6


def shaken(network: nn.Module) -> nn.Module:
    """Every parameter drawn anew, so that no bias is 0 and no gain 1; padding stays zero."""
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in network.double().parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
        for module in network.modules():
            if isinstance(module, nn.Embedding):
                module.weight[0] = 0
    return network.eval()


def batch(space: FeatureSpace, rows: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    ids = torch.randint(0, space.num_ids, (rows, space.num_slots), generator=generator)
    return ids, 0.2 + torch.rand(rows, space.num_slots, generator=generator, dtype=torch.float64)


def relu(x: np.ndarray) -> np.ndarray:
    return np.where(x > 0, x, 0.0)


def layer_norm(x: np.ndarray, gain: np.ndarray, bias: np.ndarray) -> np.ndarray:
    mu = sum(x) / len(x)
    sigma = math.sqrt(sum((entry - mu) ** 2 for entry in x) / len(x) + EPSILON)
    return gain * (x - mu) / sigma + bias


def embeddings(state: State, space: FeatureSpace, ids: np.ndarray, values: np.ndarray) -> list[np.ndarray]:
    """Eq. 2 and 3 for one row, each field's slots pooled."""
    out, slot = [], 0
    for field in space.fields:
        total, weight = np.zeros(state["embedding.table.weight"].shape[1]), 0.0
        for s in range(slot, slot + field.slots):
            if ids[s]:
                total = total + values[s] * state["embedding.table.weight"][ids[s]]
                weight += values[s]
        out.append(total / weight if field.pooling == "mean" and weight else total)
        slot += field.slots
    return out


def block(state: State, name: str, hidden: np.ndarray, raw: np.ndarray, masks: list[np.ndarray]) -> np.ndarray:
    """Eq. 5, then 12 or 14, or what an ablation leaves of them."""
    if f"{name}.mask.aggregation.weight" in state:
        inner = relu(state[f"{name}.mask.aggregation.weight"] @ raw + state[f"{name}.mask.aggregation.bias"])
        mask = state[f"{name}.mask.projection.weight"] @ inner + state[f"{name}.mask.projection.bias"]
        masks.append(mask)
        hidden = mask * hidden
    if f"{name}.mix.weight" in state:
        hidden = state[f"{name}.mix.weight"] @ hidden
    if f"{name}.norm.weight" in state:
        hidden = layer_norm(hidden, state[f"{name}.norm.weight"], state[f"{name}.norm.bias"])
    return relu(hidden)


def layer_1(state: State, fields: list[np.ndarray]) -> np.ndarray:
    """Eq. 9, or eq. 4 where the norm is off."""
    if "norm.gain" in state:
        fields = [layer_norm(e, state["norm.gain"][i], state["norm.bias"][i]) for i, e in enumerate(fields)]
    return np.concatenate(fields)


def head(state: State, hidden: np.ndarray) -> float:
    return float(state["head.weight"][0] @ hidden + state["head.bias"][0])


def serial(state: State, fields: list[np.ndarray], num_blocks: int) -> tuple[float, list[np.ndarray]]:
    hidden, raw, masks = layer_1(state, fields), np.concatenate(fields), []
    for i in range(num_blocks):
        hidden = block(state, f"blocks.{i}", hidden, raw, masks)
    return head(state, hidden), masks


def parallel(state: State, fields: list[np.ndarray], num_blocks: int) -> tuple[float, list[np.ndarray]]:
    hidden, raw, masks = layer_1(state, fields), np.concatenate(fields), []
    merged = np.concatenate([block(state, f"blocks.{i}", hidden, raw, masks) for i in range(num_blocks)])
    for i in range(2):
        merged = relu(state[f"top.layers.{i}.weight"] @ merged + state[f"top.layers.{i}.bias"])
    return head(state, merged), masks


def settings() -> list[dict[str, Any]]:
    every = itertools.product(WIDTHS, [2.0, 0.3, None], [True, False], [True, False])
    return [
        {"block_dims": widths, "reduction": reduction, "embedding_norm": embedding_norm, "hidden_norm": hidden_norm}
        for widths, reduction, embedding_norm, hidden_norm in every
        if not (reduction is None and None in widths)
    ]


@pytest.mark.parametrize("space", [PLAIN, BAGS], ids=["plain", "bags"])
@pytest.mark.parametrize(("model", "oracle"), [(SerialMaskNet, serial), (ParallelMaskNet, parallel)])
def test_equals_the_equations(model: type[nn.Module], oracle: Any, space: FeatureSpace) -> None:
    extra = {"top_dims": (8, 4)} if model is ParallelMaskNet else {}
    ids, values = batch(space)
    for chosen in settings():
        network = shaken(model(space, embedding_dim=4, **chosen, **extra))
        state = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
        rows = [
            oracle(state, embeddings(state, space, i, v), len(chosen["block_dims"]))
            for i, v in zip(ids.numpy(), values.numpy(), strict=True)
        ]
        with torch.no_grad():
            logits, masks = network.forward_with_masks(ids, values)
            assert torch.equal(logits, network(ids, values))
        expected = np.array([logit for logit, _ in rows])
        np.testing.assert_allclose(logits.numpy(), expected, rtol=1e-10, atol=1e-10, err_msg=str(chosen))
        assert len(masks) == (0 if chosen["reduction"] is None else len(chosen["block_dims"]))
        for i, mask in enumerate(masks):
            of_rows = np.array([row_masks[i] for _, row_masks in rows])
            np.testing.assert_allclose(mask.numpy(), of_rows, rtol=1e-10, atol=1e-10, err_msg=str(chosen))


@pytest.mark.parametrize("space", [PLAIN, BAGS], ids=["plain", "bags"])
def test_logistic_regression_equals_equation_17(space: FeatureSpace) -> None:
    network = shaken(LogisticRegression(space))
    weights, bias = network.table.weight.detach().numpy(), network.bias.item()
    ids, values = batch(space)
    expected = [
        bias + sum(v * weights[i, 0] for i, v in zip(row_ids, row_values, strict=True) if i)
        for row_ids, row_values in zip(ids.numpy(), values.numpy(), strict=True)
    ]
    np.testing.assert_allclose(network(ids, values).detach().numpy(), expected, rtol=0, atol=1e-10)
