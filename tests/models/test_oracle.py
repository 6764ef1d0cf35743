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

from masknet.models import MODELS, LogisticRegression, ParallelMaskNet, SerialMaskNet
from masknet.nn import id_tables
from masknet.space import FeatureSpace, FieldSpace
from masknet.train.optim import Optimizer

State = dict[str, np.ndarray]

PLAIN = FeatureSpace(11, (FieldSpace("a"), FieldSpace("x", kind="numeric"), FieldSpace("b")))
BAGS = FeatureSpace(11, (FieldSpace("s", slots=3), FieldSpace("a"), FieldSpace("m", slots=2, pooling="mean")))
DENSE = FeatureSpace(
    11,
    (
        FieldSpace("p", kind="dense", slots=0, width=3, projected=True),
        FieldSpace("a"),
        FieldSpace("d", kind="dense", slots=0, width=2),
        FieldSpace("m", slots=2, pooling="mean"),
        FieldSpace("q", kind="dense", slots=0, width=1, projected=True),
        FieldSpace("e", kind="dense", slots=0, width=4),
    ),
)
DENSE_ONLY = FeatureSpace(1, (FieldSpace("d", kind="dense", slots=0, width=3),))
SPACES = {"plain": PLAIN, "bags": BAGS, "dense": DENSE, "dense only": DENSE_ONLY}
SPACES |= {"two tasks": FeatureSpace(11, DENSE.fields, num_tasks=2)}
WIDTHS = [(7, 6, 5), (None, None), (7, None, 5), (6,)]
EPSILON = 1e-6


def shaken(network: nn.Module) -> nn.Module:
    """Every parameter drawn anew, so that no bias is 0 and no gain 1; padding stays zero."""
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in network.double().parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
        for table in id_tables(network).values():
            table.weight[0] = 0
    return network.eval()


def batch(space: FeatureSpace, rows: int = 6) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    generator = torch.Generator().manual_seed(3)
    ids = torch.randint(0, space.num_ids, (rows, space.num_slots), generator=generator)
    values = 0.2 + torch.rand(rows, space.num_slots, generator=generator, dtype=torch.float64)
    dense = torch.randn(rows, space.dense_width, generator=generator, dtype=torch.float64)
    return ids, values, dense if space.dense_width else None


def numpy_rows(rows: tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]) -> list[tuple[np.ndarray, ...]]:
    ids, values, dense = rows
    arrays = [ids.numpy(), values.numpy(), np.empty((len(ids), 0)) if dense is None else dense.numpy()]
    return list(zip(*arrays, strict=True))


def relu(x: np.ndarray) -> np.ndarray:
    return np.where(x > 0, x, 0.0)


def layer_norm(x: np.ndarray, gain: np.ndarray, bias: np.ndarray) -> np.ndarray:
    mu = sum(x) / len(x)
    sigma = math.sqrt(sum((entry - mu) ** 2 for entry in x) / len(x) + EPSILON)
    return gain * (x - mu) / sigma + bias


def embeddings(
    state: State, space: FeatureSpace, ids: np.ndarray, values: np.ndarray, dense: np.ndarray
) -> list[np.ndarray]:
    """Eq. 2 and 3 for one row, each field's slots pooled; dense fields times a matrix, or at the end as they are."""
    out, plain, slot, column, projection = [], [], 0, 0, 0
    for field in space.fields:
        if field.kind == "dense":
            x = dense[column : column + field.width]
            column += field.width
            if field.projected:
                out.append(state[f"embedding.projections.{projection}.weight"] @ x)
                projection += 1
            else:
                plain.append(x)
            continue
        total, weight = np.zeros(state["embedding.table.weight"].shape[1]), 0.0
        for s in range(slot, slot + field.slots):
            if ids[s]:
                total = total + values[s] * state["embedding.table.weight"][ids[s]]
                weight += values[s]
        out.append(total / weight if field.pooling == "mean" and weight else total)
        slot += field.slots
    return out + plain


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
        gains, biases = list(state["norm.gain"]), list(state["norm.bias"])
        plain = np.cumsum([len(e) for e in fields[len(gains) :]])[:-1]
        gains += np.split(state["norm.plain_gain"], plain) if "norm.plain_gain" in state else []
        biases += np.split(state["norm.plain_bias"], plain) if "norm.plain_bias" in state else []
        fields = [layer_norm(*parts) for parts in zip(fields, gains, biases, strict=True)]
    return np.concatenate(fields)


def head(state: State, hidden: np.ndarray) -> list[float]:
    """Eq. 17 before the sigmoid, for each task."""
    return [float(w @ hidden + b) for w, b in zip(state["head.weight"], state["head.bias"], strict=True)]


def serial(state: State, fields: list[np.ndarray], num_blocks: int) -> tuple[list[float], list[np.ndarray]]:
    hidden, raw, masks = layer_1(state, fields), np.concatenate(fields), []
    for i in range(num_blocks):
        hidden = block(state, f"blocks.{i}", hidden, raw, masks)
    return head(state, hidden), masks


def parallel(state: State, fields: list[np.ndarray], num_blocks: int) -> tuple[list[float], list[np.ndarray]]:
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


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
@pytest.mark.parametrize(("model", "oracle"), [(SerialMaskNet, serial), (ParallelMaskNet, parallel)])
def test_equals_the_equations(model: type[nn.Module], oracle: Any, space: FeatureSpace) -> None:
    extra = {"top_dims": (8, 4)} if model is ParallelMaskNet else {}
    given = batch(space)
    for chosen in settings() if space.num_tasks == 1 else settings()[:3]:  # tasks concern the head alone
        network = shaken(model(space, embedding_dim=4, **chosen, **extra))
        state = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
        rows = [oracle(state, embeddings(state, space, *row), len(chosen["block_dims"])) for row in numpy_rows(given)]
        with torch.no_grad():
            logits, masks = network.forward_with_masks(*given)
            assert torch.equal(logits, network(*given))
        expected = np.array([of_tasks if space.num_tasks > 1 else of_tasks[0] for of_tasks, _ in rows])
        np.testing.assert_allclose(logits.numpy(), expected, rtol=1e-10, atol=1e-10, err_msg=str(chosen))
        assert len(masks) == (0 if chosen["reduction"] is None else len(chosen["block_dims"]))
        for i, mask in enumerate(masks):
            of_rows = np.array([row_masks[i] for _, row_masks in rows])
            np.testing.assert_allclose(mask.numpy(), of_rows, rtol=1e-10, atol=1e-10, err_msg=str(chosen))


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_logistic_regression_equals_equation_17(space: FeatureSpace) -> None:
    network = shaken(LogisticRegression(space))
    state = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    given = batch(space)
    of_dense = state.get("dense", np.empty((0, space.num_tasks)))
    expected = [
        state["bias"] + sum(v * state["table.weight"][i] for i, v in zip(ids, values, strict=True) if i) + x @ of_dense
        for ids, values, x in numpy_rows(given)
    ]
    if space.num_tasks == 1:
        expected = [logits.item() for logits in expected]
    np.testing.assert_allclose(network(*given).detach().numpy(), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("model", MODELS)
def test_dense_fields_alone_can_be_trained(model: str, small: dict[str, dict[str, Any]]) -> None:
    torch.manual_seed(0)
    network = MODELS[model](DENSE_ONLY, **small[model])
    optimizer = Optimizer(network, learning_rate=0.03, embedding_l2=0.1, network_l2=0.0, clip=1.0)
    ids, values, dense = torch.zeros(64, 0, dtype=torch.int32), torch.ones(64, 0), torch.randn(64, 3)
    losses = []
    for _ in range(30):
        loss = nn.functional.binary_cross_entropy_with_logits(network(ids, values, dense), (dense[:, 1] > 0).float())
        optimizer.step(loss)
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
