"""Every model against the equations of its paper, written out in float64 NumPy; both MaskNets in all combinations.

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
from masknet.models import adpredictor as adpredictor_module
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


# The other systems, each from its own paper


class Row:
    """One row as the papers see it: features with a field, an id and a value, and the fields' vectors."""

    def __init__(self, state: State, space: FeatureSpace, ids: np.ndarray, values: np.ndarray, dense: np.ndarray):
        self.state, self.space, self.dense = state, space, dense
        self.features = [
            (f, i, x) for f, i, x in zip(space.slot_fields, ids.tolist(), values.tolist(), strict=True) if i
        ]
        self.columns = [(f, c) for f, columns in enumerate(space.field_columns) for c in columns]
        if "embedding.table.weight" in state:
            parts = embeddings(state, space, ids, values, dense)
            plain = sum(f.kind == "dense" and not f.projected for f in space.fields)
            self.parts, self.vectors, self.flat = parts, parts[: len(parts) - plain], np.concatenate(parts)
            self.plain = np.concatenate([np.empty(0), *parts[len(parts) - plain :]])

    def linear(self, name: str) -> np.ndarray:
        """`w_0 + sum_i w_i x_i`, a number a task."""
        total = np.zeros(self.space.num_tasks)
        for _, i, x in self.features:
            total = total + x * self.state[f"{name}.table.weight"][i]
        for _, c in self.columns:
            total = total + self.dense[c] * self.state[f"{name}.dense"][c]
        return total + self.state.get(f"{name}.bias", 0.0)

    def features_by(self, table: str, dense: str, *shape: int) -> list[tuple[int, np.ndarray]]:
        """The field of every feature, and its vector times its value."""
        found = [(f, x * self.state[table][i].reshape(shape)) for f, i, x in self.features]
        return found + [(f, self.dense[c] * self.state[dense][c].reshape(shape)) for f, c in self.columns]

    def layers(self, name: str, hidden: np.ndarray, activation: Any = relu) -> np.ndarray:
        for layer in itertools.count():
            if f"{name}.layers.{layer}.weight" not in self.state:
                return hidden
            hidden = self.affine(f"{name}.layers.{layer}", hidden)
            if f"{name}.norms.{layer}.running_mean" in self.state:
                mean, var, gain, bias = (
                    self.state[f"{name}.norms.{layer}.{part}"]
                    for part in ("running_mean", "running_var", "weight", "bias")
                )
                hidden = gain * (hidden - mean) / np.sqrt(var + 1e-5) + bias
            elif f"{name}.norms.{layer}.weight" in self.state:
                hidden = layer_norm(
                    hidden, self.state[f"{name}.norms.{layer}.weight"], self.state[f"{name}.norms.{layer}.bias"]
                )
            hidden = activation(hidden)
        raise AssertionError

    def affine(self, name: str, hidden: np.ndarray) -> np.ndarray:
        return self.state[f"{name}.weight"] @ hidden + self.state.get(f"{name}.bias", 0.0)

    def head(self, hidden: np.ndarray) -> np.ndarray:
        return np.array(head(self.state, hidden))


def softmax(x: np.ndarray) -> np.ndarray:
    return np.exp(x) / np.exp(x).sum()


def poly2(row: Row) -> np.ndarray:
    total, weights = row.linear("linear"), row.state["pairs.weight"]
    for (_, i, x), (_, j, y) in itertools.combinations(row.features, 2):
        mixed = (min(i, j) * 0x1E3779B97F4A7C15 + max(i, j) * 0x3F58476D1CE4E5B9) % 2**64
        signed = mixed - 2**64 if mixed >= 2**63 else mixed
        mixed = ((signed ^ (signed >> 29)) * 0x14D049BB133111EB) % 2**64
        signed = mixed - 2**64 if mixed >= 2**63 else mixed
        bucket = ((signed ^ (signed >> 32)) & 0x3FFFFFFFFFFFFFFF) % len(weights)
        total = total + weights[bucket] * x * y
    return total


def fm(row: Row) -> np.ndarray:
    found = row.features_by("factors.weight", "dense", row.space.num_tasks, -1)
    pairs = itertools.combinations([vector for _, vector in found], 2)
    return row.linear("linear") + sum((v * w).sum(1) for v, w in pairs)


def mf(row: Row, fields: tuple[str, str]) -> np.ndarray:
    """Koren et al. (2009), eq. 4: two biases and a product; all else of a row is passed over."""
    names, tasks = [f.name for f in row.space.fields], row.space.num_tasks
    total, vectors = np.array(row.state["linear.bias"]), []
    for name in fields:
        own = [(i, x) for f, i, x in row.features if names[f] == name]
        total = total + sum(x * row.state["linear.table.weight"][i] for i, x in own)
        zero = np.zeros(row.state["factors.weight"].shape[1])
        vectors.append(sum((x * row.state["factors.weight"][i] for i, x in own), zero).reshape(tasks, -1))
    return total + (vectors[0] * vectors[1]).sum(1)


def fnn(row: Row) -> np.ndarray:
    """Zhang et al. (2016), eq. 2 to 5: `z = (w_0, w_1, .., v_1, ..)`, then tanh after tanh."""
    weights = np.zeros((row.space.num_fields, row.space.num_tasks))
    for f, i, x in row.features:
        weights[f] += x * row.state["linear.table.weight"][i]
    for f, c in row.columns:
        weights[f] += row.dense[c] * row.state["linear.dense"][c]
    z = np.concatenate([row.state["linear.bias"].reshape(-1), weights.ravel(), row.flat])
    return row.head(row.layers("deep", z, np.tanh))


def normal_share(t: float) -> float:
    return math.erfc(-t / math.sqrt(2)) / 2


def as_features(row: Row) -> dict[Any, float]:
    """What a row has of each feature: an id, a dense column, or the bias."""
    x: dict[Any, float] = {"bias": 1.0} | {("column", c): row.dense[c] for _, c in row.columns}
    for _, i, value in row.features:
        x[i] = x.get(i, 0.0) + value
    return x


def adpredictor_beliefs(state: State) -> tuple[dict[Any, float], dict[Any, float]]:
    return tuple(
        dict(enumerate(state[f"{name}s.weight"][:, 0]))
        | {("column", c): value for c, value in enumerate(state[f"other_{name}s"][:-1])}
        | {"bias": state[f"other_{name}s"][-1]}
        for name in ("mean", "variance")
    )


def adpredictor(row: Row) -> np.ndarray:
    mu, variance = adpredictor_beliefs(row.state)
    x = as_features(row)
    t = sum(mu[i] * v for i, v in x.items()) / math.sqrt(1 + sum(variance[i] * v * v for i, v in x.items()))
    return np.array([math.log(normal_share(t)) - math.log(normal_share(-t))])


def ffm(row: Row) -> np.ndarray:
    fields = row.space.num_fields
    met = fields if any(f.slots > 1 or f.width > 1 for f in row.space.fields) else fields - 1
    total = row.linear("linear")
    found = row.features_by("vectors.weight", "dense", met, row.space.num_tasks, -1)
    for (f, v), (g, w) in itertools.combinations(found, 2):
        for_g, for_f = (g, f) if met == fields else (g - (g > f), f - (f > g))
        total = total + (v[for_g] * w[for_f]).sum(1)
    return total


def dnn(row: Row) -> np.ndarray:
    return row.head(row.layers("deep", row.flat))


def afm(row: Row) -> np.ndarray:
    products = [v * w for v, w in itertools.combinations(row.vectors, 2)]
    scores = np.concatenate([row.affine("score", relu(row.affine("hidden", product))) for product in products])
    pooled = sum(a * product for a, product in zip(softmax(scores), products, strict=True))
    return row.linear("linear") + row.affine("weighing", pooled)


def wide_deep(row: Row) -> np.ndarray:
    return row.linear("wide") + dnn(row)


def deepfm(row: Row) -> np.ndarray:
    return row.linear("linear") + dnn(row) + sum(v @ w for v, w in itertools.combinations(row.vectors, 2))


def xdeepfm(row: Row) -> np.ndarray:
    maps, sums = row.vectors, []
    for layer in itertools.count():
        if f"maps.{layer}.weight" not in row.state:
            break
        weights = row.state[f"maps.{layer}.weight"].reshape(-1, len(maps), len(row.vectors))
        bias = row.state.get(f"maps.{layer}.bias", np.zeros(len(weights)))
        maps = [
            bias[h] + sum(w[i, j] * maps[i] * row.vectors[j] for i, j in np.ndindex(w.shape))
            for h, w in enumerate(weights)
        ]
        sums += [x.sum() for x in maps]
    return row.linear("linear") + dnn(row) + row.affine("weighing", np.array(sums))


def dcn(row: Row) -> np.ndarray:
    x = row.flat
    for layer in range(2):
        x = row.flat * (row.state[f"cross.{layer}.weight.weight"] @ x) + row.state[f"cross.{layer}.bias"] + x
    return row.head(np.concatenate([x, row.layers("deep", row.flat)]))


def dcnv2(row: Row, structure: str = "parallel") -> np.ndarray:
    x = row.flat
    for layer in range(2):
        below = row.state[f"cross.{layer}.down.weight"] @ x if f"cross.{layer}.down.weight" in row.state else x
        x = row.flat * row.affine(f"cross.{layer}.up", below) + x
    if structure == "stacked":
        return row.head(row.layers("deep", x))
    return row.head(np.concatenate([x, row.layers("deep", row.flat)]))


def autoint(row: Row, num_heads: int = 2) -> np.ndarray:
    fields = row.vectors
    for layer in range(2):
        name = f"attention.{layer}"
        q, k, v = (
            [np.split(row.affine(f"{name}.{part}", e), num_heads) for e in fields] for part in ("query", "key", "value")
        )
        residual = [row.affine(f"{name}.residual", e) if f"{name}.residual.weight" in row.state else e for e in fields]
        out = []
        for m, _ in enumerate(fields):
            heads = []
            for h in range(num_heads):
                attention = softmax(np.array([q[m][h] @ k[n][h] for n, _ in enumerate(fields)]))
                heads.append(sum(a * v[n][h] for n, a in enumerate(attention)))
            out.append(relu(np.concatenate(heads) + residual[m]))
        fields = out
    hidden = np.concatenate([*fields, row.plain])
    return row.head(
        np.concatenate([hidden, row.layers("deep", row.flat)]) if "deep.layers.0.weight" in row.state else hidden
    )


def fibinet(row: Row, bilinear: str = "interaction") -> np.ndarray:
    squeezed = np.array([v.mean() for v in row.vectors])
    weights = relu(row.affine("excitation.excite", relu(row.affine("excitation.squeeze", squeezed))))
    hidden: list[np.ndarray] = []
    for fields in (row.vectors, [a * v for a, v in zip(weights, row.vectors, strict=True)]):
        for pair, (i, j) in enumerate(itertools.combinations(range(len(fields)), 2)):
            matrix = row.state["products.matrices"][{"all": 0, "each": i, "interaction": pair}[bilinear]]
            hidden.append((fields[i] @ matrix) * fields[j])
    return row.linear("linear") + row.head(row.layers("deep", np.concatenate([*hidden, row.plain])))


def finalmlp(row: Row) -> np.ndarray:
    streams = []
    for name in ("first", "second"):
        gate = row.affine(f"{name}_gate.gate", row.layers(f"{name}_gate.layers", row.state[f"{name}_gate.constant"]))
        streams.append(row.layers(name, 2 / (1 + np.exp(-gate)) * row.flat))
    total, (first, second) = row.head(np.concatenate(streams)), streams
    for task, matrices in enumerate(row.state["fusion.matrices"]):
        heads = zip(np.split(first, len(matrices)), matrices, np.split(second, len(matrices)), strict=True)
        total[task] += sum(a @ matrix @ b for a, matrix, b in heads)
    return total


def mmoe(row: Row) -> np.ndarray:
    experts = [row.layers(f"experts.{i}", row.flat) for i in range(3)]
    logits = []
    for task in range(row.space.num_tasks):
        gate = softmax(row.affine(f"gates.{task}", row.flat))
        mixed = sum(g * expert for g, expert in zip(gate, experts, strict=True))
        logits += row.affine(f"towers.{task}.head", row.layers(f"towers.{task}.layers", mixed)).tolist()
    return np.array(logits)


def multitask_masknet(row: Row) -> np.ndarray:
    hidden = layer_1(row.state, row.parts)
    merged = np.concatenate([block(row.state, f"blocks.{i}", hidden, row.flat, []) for i in range(2)])
    shared = row.layers("top", merged)
    return np.concatenate(
        [
            row.affine(f"head.{task}.head", row.layers(f"head.{task}.layers", shared))
            for task in range(row.space.num_tasks)
        ]
    )


def latent_cross(row: Row) -> np.ndarray:
    """The GRU of Cho et al. (2014) over the bag's ids, oldest first; then the context."""
    (at,) = [i for i, f in enumerate(row.space.fields) if f.ordered]
    names = [f.name for f in row.space.fields if f.kind != "dense" or f.projected]
    place = names.index(row.space.fields[at].name)
    h = row.state["start"]
    for field, i, x in row.features:
        if field == at:
            given = (
                row.state["cell.weight_ih"] @ (x * row.state["embedding.table.weight"][i]) + row.state["cell.bias_ih"]
            )
            kept = row.state["cell.weight_hh"] @ h + row.state["cell.bias_hh"]
            (r, z, n), (hr, hz, hn) = np.split(given, 3), np.split(kept, 3)
            reset, update = 1 / (1 + np.exp(-(r + hr))), 1 / (1 + np.exp(-(z + hz)))
            h = (1 - update) * np.tanh(n + reset * hn) + update * h
    context = np.concatenate([v for i, v in enumerate(row.vectors) if i != place] + [row.plain])
    return row.head(h * (1 + row.state["context.weight"] @ context))


HISTORY = FeatureSpace(
    11,
    (
        FieldSpace("a"),
        FieldSpace("h", kind="bag", slots=4, pooling="mean", ordered=True),
        FieldSpace("d", kind="dense", slots=0, width=2),
    ),
)
ORACLES: dict[str, Any] = {
    "poly2": poly2,
    "fm": fm,
    "ffm": ffm,
    "mf": mf,
    "dnn": dnn,
    "fnn": fnn,
    "adpredictor": adpredictor,
    "afm": afm,
    "wide-deep": wide_deep,
    "deepfm": deepfm,
    "xdeepfm": xdeepfm,
    "dcn": dcn,
    "dcnv2": dcnv2,
    "autoint": autoint,
    "fibinet": fibinet,
    "finalmlp": finalmlp,
    "latent-cross": latent_cross,
    "mmoe": mmoe,
    "multitask-masknet": multitask_masknet,
}
VARIANTS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    *((model, {}, {}) for model in ORACLES if model != "mf"),
    ("mf", {"fields": ("m", "a")}, {"fields": ("m", "a")}),
    ("dnn", {"norm": "batch"}, {}),
    ("dnn", {"norm": "layer"}, {}),
    ("xdeepfm", {"cin_bias": False}, {}),
    ("dcnv2", {"structure": "stacked"}, {"structure": "stacked"}),
    ("dcnv2", {"rank": 3}, {}),
    ("autoint", {"hidden_dims": None, "project_residual": False}, {}),
    ("fibinet", {"bilinear": "all"}, {"bilinear": "all"}),
    ("fibinet", {"bilinear": "each"}, {"bilinear": "each"}),
    ("multitask-masknet", {"embedding_norm": False}, {}),
]


def test_every_model_has_an_oracle() -> None:
    assert {"lr", "serial-masknet", "parallel-masknet", *ORACLES} == set(MODELS)


@pytest.mark.parametrize(("model", "changes", "arguments"), VARIANTS)
def test_another_system_equals_its_paper(
    model: str, changes: dict[str, Any], arguments: dict[str, Any], small: dict[str, dict[str, Any]]
) -> None:
    spaces = [PLAIN, BAGS, DENSE, SPACES["two tasks"]]
    if model == "mf":
        spaces = [BAGS, DENSE, SPACES["two tasks"]]
    if model == "adpredictor":
        spaces = spaces[:3]
    if model == "latent-cross":
        spaces = [HISTORY, FeatureSpace(11, HISTORY.fields, num_tasks=2)]
    for space in spaces:
        network = shaken(MODELS[model](space, **small[model] | changes))
        with torch.no_grad():
            for name, buffer in network.named_buffers():
                if name.endswith("running_var"):
                    buffer.uniform_(0.5, 2, generator=torch.Generator().manual_seed(4))
            for name, weight in network.named_parameters():
                if "variances" in name:
                    weight.abs_()
        state = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
        given = batch(space)
        expected = np.array([ORACLES[model](Row(state, space, *row), **arguments) for row in numpy_rows(given)])
        found = network(*given).detach().numpy().reshape(expected.shape)
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


def test_latent_cross_reads_the_order_and_a_row_without_history(small: dict[str, dict[str, Any]]) -> None:
    network = shaken(MODELS["latent-cross"](HISTORY, **small["latent-cross"]))
    ids = torch.tensor([[1, 2, 3, 0, 0], [1, 3, 2, 0, 0], [1, 0, 0, 0, 0]])
    logits = network(ids, torch.ones(3, 5).double(), torch.ones(3, 2).double())
    assert len(set(logits.tolist())) == 3


@pytest.mark.parametrize("space", [PLAIN, BAGS, DENSE, SPACES["two tasks"]])
def test_the_machine_that_fnn_starts_from(space: FeatureSpace, small: dict[str, dict[str, Any]]) -> None:
    """Zhang et al. (2016), eq. 6: a factorization machine over the vectors that the layers read."""
    network = shaken(MODELS["fnn"](space, **small["fnn"]))
    state = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    given, expected = batch(space), []
    for ids, values, dense in numpy_rows(given):
        row = Row(state, space, ids, values, dense)
        expected.append(row.linear("linear") + sum(v @ w for v, w in itertools.combinations(row.vectors, 2)))
    found = network.pretraining()(*given).detach().numpy()
    np.testing.assert_allclose(found, np.array(expected).reshape(found.shape), rtol=1e-9, atol=1e-9)
    shared = {id(parameter) for parameter in network.parameters()}
    assert {id(parameter) for parameter in network.pretraining().parameters()} < shared


@pytest.mark.parametrize("forgetting", [0.0, 0.1])
@pytest.mark.parametrize("space", [PLAIN, BAGS, DENSE])
def test_adpredictor_learns_as_its_paper_says(space: FeatureSpace, forgetting: float) -> None:
    """Graepel et al. (2010), eq. 4 to 10, row by row in float64; the forgetting is Bayes' rule with the prior."""
    prior = 0.5
    network = MODELS["adpredictor"](space, prior_variance=prior, forgetting=forgetting)
    ids, values, dense = batch(space, rows=40)
    values, dense = values.float(), None if dense is None else dense.float()
    labels = (torch.arange(40) % 3 == 0).float()
    state = {name: tensor.double().numpy().copy() for name, tensor in network.state_dict().items()}
    mu, variance = adpredictor_beliefs(state)
    losses = []
    for given, label in zip(numpy_rows((ids, values, dense)), labels.tolist(), strict=True):
        x, y = as_features(Row(state, space, *given)), 1 if label else -1
        for i in x:
            precision = (1 - forgetting) / variance[i] + forgetting / prior
            mu[i] *= (1 - forgetting) / variance[i] / precision
            variance[i] = 1 / precision
        s = math.sqrt(1 + sum(variance[i] * v * v for i, v in x.items()))
        t = y * sum(mu[i] * v for i, v in x.items()) / s
        losses.append(-math.log(normal_share(t)))
        hazard = math.exp(-t * t / 2) / math.sqrt(2 * math.pi) / normal_share(t)
        for i, v in x.items():
            mu[i] += y * v * variance[i] / s * hazard
            variance[i] *= 1 - v * v * variance[i] / s**2 * hazard * (hazard + t)
    loss = network.learn(ids, values, dense, labels)
    assert loss.item() == pytest.approx(sum(losses) / 40, rel=1e-6)
    found = adpredictor_beliefs({name: tensor.numpy() for name, tensor in network.state_dict().items()})
    for expected, of_network in zip((mu, variance), found, strict=True):
        for i in expected:
            assert of_network[i] == pytest.approx(expected[i], rel=2e-6, abs=1e-7), i


def test_adpredictor_takes_in_a_click_that_it_held_impossible() -> None:
    """Where the normal distribution's share underflows, its series goes on; the two agree where they meet."""
    for t in (-34.999999, -35.000001, -40.0, -1e4, -1e8):
        v, w, loss = adpredictor_module._moves(t)
        assert -t < v <= -t * 1.001
        assert 1 - 1 / t**2 <= w < 1 or t < -1e7
        assert w <= 1
        assert loss == pytest.approx(t * t / 2 + math.log(-t) + math.log(2 * math.pi) / 2, rel=1e-5)
    above, below = (adpredictor_module._moves(-35 + side) for side in (1e-9, -1e-9))
    assert above == pytest.approx(below, rel=1e-8)
    network = MODELS["adpredictor"](PLAIN)
    rows = torch.tensor([[1, 2, 3]]), torch.ones(1, 3)
    with torch.no_grad():
        network.means.weight[1:] = -40.0
        network.variances.weight[1:] = 0.01
        network.other_variances.fill_(0.01)
    before = network.means.weight.clone()
    assert network.learn(*rows, None, torch.ones(1)).item() == pytest.approx(120**2 / 1.04 / 2, rel=1e-2)
    assert (network.means.weight[1:4] > before[1:4]).all()
    assert network.means.weight.isfinite().all()
    assert (network.variances.weight[1:] > 0).all()


def test_crossed_fields_are_the_pairs_of_their_slots() -> None:
    wide = {"embedding_dim": 4, "hidden_dims": (5,), "buckets": 1000}
    network = shaken(MODELS["wide-deep"](BAGS, **wide, crosses=(("s", "m"), ("a", "m"))))
    assert sorted(zip(network.crosses.left.tolist(), network.crosses.right.tolist(), strict=True)) == [
        *((s, m) for s in (0, 1, 2) for m in (4, 5)),
        (3, 4),
        (3, 5),
    ]
    ids, values, _ = batch(BAGS)
    before = network(ids, values)
    with torch.no_grad():
        network.crosses.weight.zero_()
    assert (network(ids, values) != before).any()
    with pytest.raises(ValueError, match=r"unknown field of ids in 'crosses' 'b'; known: a, m, s"):
        MODELS["wide-deep"](BAGS, crosses=(("s", "b"),))
    with pytest.raises(ValueError, match="must be pairs of two fields"):
        MODELS["wide-deep"](BAGS, crosses=("sm",))


NEED_VECTORS = dict.fromkeys(("afm", "xdeepfm", "autoint", "fibinet"), "multiplies the vectors of fields") | {
    "latent-cross": "reads a sequence, and the log has none",
    "mf": "multiplies two fields of values, such as a user and an item; the log has 0",
}


@pytest.mark.parametrize("model", MODELS)
def test_dense_fields_alone_can_be_trained(model: str, small: dict[str, dict[str, Any]]) -> None:
    if model in NEED_VECTORS:
        with pytest.raises(ValueError, match=NEED_VECTORS[model]):
            MODELS[model](DENSE_ONLY, **small[model])
        return
    torch.manual_seed(0)
    network = MODELS[model](DENSE_ONLY, **small[model])
    if model == "adpredictor":
        ids, values, dense = torch.zeros(64, 0, dtype=torch.int32), torch.ones(64, 0), torch.randn(64, 3)
        losses = [network.learn(ids, values, dense, (dense[:, 1] > 0).float()).item() for _ in range(3)]
        assert losses[-1] < 0.8 * losses[0]
        assert network(ids, values, dense).std() > 0.1
        return
    optimizer = Optimizer(network, learning_rate=0.03, embedding_l2=0.1, network_l2=0.0, clip=1.0)
    ids, values, dense = torch.zeros(64, 0, dtype=torch.int32), torch.ones(64, 0), torch.randn(64, 3)
    losses = []
    for _ in range(30):
        loss = nn.functional.binary_cross_entropy_with_logits(network(ids, values, dense), (dense[:, 1] > 0).float())
        optimizer.step(loss)
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
