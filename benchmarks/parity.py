"""Parity with FuxiCTR's MaskNet: its weights copied into ours, then the same batches and dense Adam for both.

    FUXICTR=CHECKOUT python benchmarks/parity.py --out benchmarks/results/parity.json

CHECKOUT is a clone of github.com/reczoo/FuxiCTR; nothing of it is kept here. What runs of it is its whole MaskNet
(model_zoo/MaskNet/src/MaskNet.py) with its FeatureMap, FeatureEmbedding, blocks and norms, and its own `train_step`:
the sigmoid, the cross entropy of probabilities, `torch.optim.Adam`, and a bound on the gradient's norm, infinite here.
Its data pipeline and its `fit` do not run: h5py, tqdm and keras_preprocessing, which it imports for them, need not be
installed. What runs of ours is the network, `NetworkStep`, and `Optimizer` without penalties, clipping or an average;
the epsilon of our norms is set to FuxiCTR's, and nothing else is changed.

The rows are made: categories, some of them absent (its padding and ours), and numbers, with a planted rule. Each
network starts twice: as FuxiCTR starts it, with embeddings of 1e-4; and redrawn, with embeddings of 0.01 and every gain
and bias off its 1 or 0, so that one in a wrong place shows.

In float64 all losses must be within the limits. In float32 so must all until a number lies so near to zero that a ReLU
passes it in one network and stops it in the other: from there on the gradients are others, by more than a rounding. How
far the losses of all steps part is recorded too, and beside it how far FuxiCTR parts from itself where its Adam is the
fused kernel, by rounding alone. The first logits must be within their limit in both. Otherwise the exit code is 1.
"""

from __future__ import annotations

import argparse
import copy
import importlib
import importlib.util
import itertools
import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

import masknet
from machine import commit, hardware
from masknet.batches import Batch
from masknet.models import ParallelMaskNet, SerialMaskNet
from masknet.nn.mask import MaskBlock
from masknet.nn.norm import FieldLayerNorm
from masknet.space import FeatureSpace, FieldSpace
from masknet.train.optim import Optimizer
from masknet.train.step import NetworkStep

EPSILON = 1e-5
"""Of FuxiCTR's layer norms: PyTorch's default."""

ROWS, BATCH, STEPS, RATE = 4096, 256, 100, 1e-3
CATEGORICAL = {f"c{i}": vocabulary for i, vocabulary in enumerate((2, 5, 11, 24, 50, 100, 200, 400))}
"""The values of each categorical field, absent ones not counted."""
NUMERIC = ("n0", "n1")
NAMES = (*CATEGORICAL, *NUMERIC)
DIM, REDUCTION, BLOCKS, TOP = 10, 2, (64, 64, 64), (64, 32)

FIRST_LOGITS = 1e-6
LOSSES = {"parallel": 1e-5, "serial": 1e-4}


@dataclass(frozen=True)
class Rows:
    """Made rows: by field the number of the value, 0 where absent, or a number; and the labels."""

    columns: dict[str, Tensor]
    labels: Tensor

    def __getitem__(self, rows: Tensor) -> Rows:
        return Rows({name: column[rows] for name, column in self.columns.items()}, self.labels[rows])

    def theirs(self) -> dict[str, Tensor]:
        """As a batch of FuxiCTR."""
        return self.columns | {"label": self.labels}

    def ours(self, dtype: torch.dtype) -> Batch:
        """As a batch of masknet: absent values are padding, and a field's numbers share an id."""
        ids, values = [], []
        for name, first in FIRST_IDS.items():
            column = self.columns[name]
            if name in NUMERIC:
                ids.append(torch.full_like(column, first, dtype=torch.long))
                values.append(column.to(dtype))
            else:
                ids.append(torch.where(column == 0, 0, column + first - 1))
                values.append(torch.ones_like(column, dtype=dtype))
        labels = self.labels.to(dtype).unsqueeze(1)
        return Batch(torch.stack(ids, 1), torch.stack(values, 1), dense=None, labels=labels, weights=None)


def first_ids() -> tuple[dict[str, int], int]:
    """The first id of each field, and how many there are: 0 is padding, and a field of numbers has one id."""
    firsts, end = {}, 1
    for name in NAMES:
        firsts[name] = end
        end += CATEGORICAL.get(name, 1)
    return firsts, end


FIRST_IDS, NUM_IDS = first_ids()


def made_rows(seed: int) -> Rows:
    """Rows of a planted rule: an effect of every value, and a product of two fields' vectors."""
    draw = torch.Generator().manual_seed(seed)
    columns: dict[str, Tensor] = {}
    logit = torch.zeros(ROWS)
    vectors = []
    for name, vocabulary in CATEGORICAL.items():
        skewed = torch.rand(ROWS, generator=draw) ** 2
        present = torch.rand(ROWS, generator=draw) > 0.03
        columns[name] = torch.where(present, 1 + (skewed * vocabulary).long(), 0)
        logit += 0.5 * torch.randn(vocabulary + 1, generator=draw)[columns[name]]
        vectors.append(torch.randn(vocabulary + 1, 4, generator=draw)[columns[name]])
    for name in NUMERIC:
        columns[name] = torch.randn(ROWS, generator=draw)
        logit += 0.5 * columns[name]
    logit += 0.5 * (vectors[2] * vectors[3]).sum(1) - 1
    return Rows(columns, (torch.rand(ROWS, generator=draw) < logit.sigmoid()).float())


def batches(rows: Rows, seed: int) -> Iterator[Rows]:
    """As many batches as there are steps, epoch after epoch in another order."""
    draw = torch.Generator().manual_seed(seed)
    order = torch.empty(0, dtype=torch.long)
    for _ in range(STEPS):
        if len(order) < BATCH:
            order = torch.randperm(ROWS, generator=draw)
        yield rows[order[:BATCH]]
        order = order[BATCH:]


# FuxiCTR


@dataclass(frozen=True)
class Library:
    """FuxiCTR's classes, and the commit that they are of."""

    masknet: Any
    feature_map: Any
    commit: str


def library() -> Library:
    """FuxiCTR, imported from its checkout."""
    place = os.environ.get("FUXICTR", "")
    source = Path(place, "model_zoo", "MaskNet", "src")
    if not place or not (source / "MaskNet.py").is_file():
        raise SystemExit("set FUXICTR to a checkout of github.com/reczoo/FuxiCTR, whose MaskNet this benchmark runs")
    empty = {
        name: ModuleType(name) for name in _OF_ITS_PIPELINE if importlib.util.find_spec(name.partition(".")[0]) is None
    }
    for name, module in empty.items():
        for function in _OF_ITS_PIPELINE[name]:
            setattr(module, function, None)
    sys.modules.update(empty)
    sys.path[:0] = [place, str(source)]
    masknet_class = importlib.import_module("MaskNet").MaskNet
    feature_map_class = importlib.import_module("fuxictr.features").FeatureMap
    for name in empty:  # PyTorch looks for some of them too, and must not find these
        del sys.modules[name]
    found = subprocess.run(["git", "-C", place, "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return Library(masknet_class, feature_map_class, found.stdout.strip() or "unknown")


_OF_ITS_PIPELINE = {
    "h5py": (),
    "tqdm": ("tqdm",),
    "keras_preprocessing": (),
    "keras_preprocessing.sequence": ("pad_sequences",),
}
"""What it imports at once and calls only to read data, and the functions that it names."""


def their_network(fuxictr: Library, kind: str, seed: int) -> Any:
    """FuxiCTR's MaskNet, with its own start."""
    feature_map = fuxictr.feature_map("made", "")
    for name in NAMES:
        feature_map.features[name] = {"source": "", "type": "numeric"}
        if name in CATEGORICAL:  # as its FeatureProcessor describes one
            feature_map.features[name] |= {
                "type": "categorical",
                "padding_idx": 0,
                "vocab_size": CATEGORICAL[name] + 1,
            }
    feature_map.num_fields, feature_map.labels = len(NAMES), ["label"]
    torch.manual_seed(seed)
    network = fuxictr.masknet(
        feature_map,
        model_type={"parallel": "ParallelMaskNet", "serial": "SerialMaskNet"}[kind],
        learning_rate=RATE,
        embedding_dim=DIM,
        dnn_hidden_units=list(TOP if kind == "parallel" else BLOCKS),
        parallel_num_blocks=len(BLOCKS),
        parallel_block_dim=BLOCKS[0],
        reduction_ratio=REDUCTION,
        optimizer="adam",
        loss="binary_crossentropy",
        metrics=["logloss"],
        model_root="",
        verbose=0,
    )
    network._max_gradient_norm = math.inf  # what its `fit` would set
    return network


def redraw(network: Any) -> None:
    """Embeddings that its norms see, and gains and biases of which no two are the same."""
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Embedding):
                module.weight[1:].normal_(std=0.01)
        for parameter in network.parameters():
            if parameter.dim() == 1:
                parameter.add_(torch.randn_like(parameter), alpha=0.1)


def in_float64(network: Any) -> None:
    """Undo the two places where it asks for float32: the labels, and the input of a field of numbers."""
    network.double()
    network.get_labels = lambda batch: batch["label"].double().view(-1, 1)
    for name in NUMERIC:
        layer = network.embedding_layer.embedding_layer.embedding_layers[name]
        layer.register_forward_pre_hook(lambda _, inputs: (inputs[0].double(),))


def their_logits(network: Any, rows: Rows) -> Tensor:
    """What its last sigmoid is given."""
    seen: list[Tensor] = []
    (sigmoid,) = (module for module in network.modules() if isinstance(module, nn.Sigmoid))
    hook = sigmoid.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        network(rows.theirs())
    hook.remove()
    return seen[0].squeeze(1)


# Ours


def our_network(kind: str) -> ParallelMaskNet | SerialMaskNet:
    """The same network, without weights."""
    fields = tuple(FieldSpace(name, kind="numeric" if name in NUMERIC else "categorical") for name in NAMES)
    space = FeatureSpace(NUM_IDS, fields)
    network: ParallelMaskNet | SerialMaskNet
    if kind == "parallel":
        network = ParallelMaskNet(space, embedding_dim=DIM, block_dims=BLOCKS, top_dims=TOP, reduction=REDUCTION)
    else:
        network = SerialMaskNet(space, embedding_dim=DIM, block_dims=BLOCKS, reduction=REDUCTION)
    for module in network.modules():
        if isinstance(module, FieldLayerNorm | nn.LayerNorm):
            module.eps = EPSILON
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(math.nan)  # so that one that is not copied is seen
    return network


def copy_weights(theirs: Any, ours: ParallelMaskNet | SerialMaskNet) -> None:
    """Put every weight of theirs into its place in ours."""
    tables = theirs.embedding_layer.embedding_layer.embedding_layers
    with torch.no_grad():
        ours.embedding.table.weight[0] = 0
        for name, first in FIRST_IDS.items():
            rows = tables[name].weight.T if name in NUMERIC else tables[name].weight[1:]
            ours.embedding.table.weight[first : first + len(rows)] = rows
        assert isinstance(ours.norm, FieldLayerNorm)
        ours.norm.gain.copy_(torch.stack([norm.weight for norm in theirs.emb_norm]))
        ours.norm.bias.copy_(torch.stack([norm.bias for norm in theirs.emb_norm]))
    same: list[tuple[nn.Module, nn.Module]] = []
    for their_block, block in zip(theirs.mask_net.mask_blocks, ours.blocks, strict=True):
        assert isinstance(block, MaskBlock)
        same += zip(
            (their_block.mask_layer[0], their_block.mask_layer[2], *their_block.hidden_layer[:2]),
            (block.mask.aggregation, block.mask.projection, block.mix, block.norm),
            strict=True,
        )
    above = theirs.mask_net.dnn.mlp if isinstance(ours, ParallelMaskNet) else theirs.mask_net.fc
    layers = [*ours.top.layers, ours.head] if isinstance(ours, ParallelMaskNet) else [ours.head]
    same += zip((layer for layer in above if isinstance(layer, nn.Linear)), layers, strict=True)
    for their_layer, layer in same:
        layer.load_state_dict(their_layer.state_dict())
    assert all(parameter.isfinite().all() for parameter in ours.parameters())
    padding = DIM * (len(CATEGORICAL) - 1)  # theirs has a row of it a categorical field, ours one
    assert weights(theirs) - padding == weights(ours)


def weights(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def our_logits(network: nn.Module, batch: Batch) -> Tensor:
    with torch.no_grad():
        logits: Tensor = network(batch.ids, batch.values)
    return logits


# Both


class Signs:
    """Which of all numbers before a ReLU are above zero in the latest batch, ReLU by ReLU in the order of both."""

    def __init__(self) -> None:
        self._seen: list[Tensor] = []

    def of_theirs(self, network: Any) -> Signs:
        for module in network.modules():
            if isinstance(module, nn.ReLU):
                module.register_forward_pre_hook(lambda _, inputs: self._seen.append(inputs[0] > 0))
        return self

    def of_ours(self, network: ParallelMaskNet | SerialMaskNet) -> Signs:
        before: list[nn.Module] = []
        for block in network.blocks:
            assert isinstance(block, MaskBlock)
            before += [block.mask.aggregation, block.norm]
        if isinstance(network, ParallelMaskNet):
            before += network.top.layers
        for module in before:
            module.register_forward_hook(lambda _, __, output: self._seen.append(output > 0))
        return self

    def take(self) -> list[Tensor]:
        seen, self._seen = self._seen, []
        return seen


def difference(theirs: Tensor, ours: Tensor) -> float:
    return float((theirs.double() - ours.double()).abs().max())


def compare(fuxictr: Library, kind: str, start: str, seed: int, dtype: torch.dtype) -> dict[str, Any]:
    """Train both, and FuxiCTR's once more with another kernel of Adam, and record where they part."""
    rows = made_rows(seed)
    theirs, ours = their_network(fuxictr, kind, seed), our_network(kind)
    if start == "redrawn":
        redraw(theirs)
    if dtype == torch.float64:
        in_float64(theirs)
        ours.double()
    copy_weights(theirs, ours)
    twin = copy.deepcopy(theirs)
    twin.optimizer = torch.optim.Adam(twin.parameters(), lr=RATE, fused=True)
    step = NetworkStep(ours, optimizer=Optimizer(ours, learning_rate=RATE, embedding_l2=0, network_l2=0, clip=None))
    first = their_logits(theirs, rows), our_logits(ours, rows.ours(dtype))
    their_signs, our_signs = Signs().of_theirs(theirs), Signs().of_ours(ours)
    losses, apart, of_twin = [], [], []
    steps_alike, alike = 0, True
    for number, batch in enumerate(batches(rows, seed)):
        loss = theirs.train_step(batch.theirs()).detach()
        losses.append(float(loss))
        apart.append(difference(loss, step(batch.ours(dtype), number)))
        of_twin.append(difference(loss, twin.train_step(batch.theirs()).detach()))
        signs = zip(their_signs.take(), our_signs.take(), strict=True)
        alike = alike and all(torch.equal(*of_relu) for of_relu in signs)
        steps_alike += alike
    before_parting = max(apart[: steps_alike + 1])  # the loss of the step itself is of weights that are still alike
    first_logits = difference(*first)
    return {
        "model": kind,
        "start": start,
        "seed": seed,
        "dtype": str(dtype).removeprefix("torch."),
        "first_loss": losses[0],
        "last_loss": losses[-1],
        "first_logits_std": float(first[0].std()),
        "first_logits": first_logits,
        "losses": max(apart),
        "steps_of_same_signs": steps_alike,
        "losses_of_same_signs": before_parting,
        "losses_of_itself": max(of_twin),
        "met": first_logits <= FIRST_LOGITS
        and (max(apart) if dtype == torch.float64 else before_parting) <= LOSSES[kind],
    }


def summary(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The largest differences of each model in each precision, and in how many runs all losses are within the limit."""
    lines = []
    for kind, limit in LOSSES.items():
        for dtype in ("float32", "float64"):
            own = [run for run in runs if (run["model"], run["dtype"]) == (kind, dtype)]
            figures = ("first_logits", "losses_of_same_signs", "losses", "losses_of_itself")
            lines.append(
                {"model": kind, "dtype": dtype, "runs": len(own)}
                | {name: max(run[name] for run in own) for name in figures}
                | {
                    "all_losses_within": sum(run["losses"] <= limit for run in own),
                    "all_losses_of_itself_within": sum(run["losses_of_itself"] <= limit for run in own),
                }
            )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "parity.json")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    given = parser.parse_args()
    fuxictr = library()
    torch.set_num_threads(1)
    runs = []
    for kind, start, seed in itertools.product(LOSSES, ("its own", "redrawn"), given.seeds):
        for dtype in (torch.float32, torch.float64):
            run = compare(fuxictr, kind, start, seed, dtype)
            figures = f"first logits {run['first_logits']:.0e}, losses {run['losses']:.0e}"
            alike = f"{run['losses_of_same_signs']:.0e} in {run['steps_of_same_signs']} steps of the same signs"
            verdict = "" if run["met"] else ": beyond the limits"
            print(f"{kind:8} {start:7} {seed} {run['dtype']}: {figures}, {alike}{verdict}", flush=True)
            runs.append(run)
    report: dict[str, Any] = {
        "benchmark": "parity",
        "masknet": masknet.__version__,
        "commit": commit(),
        "fuxictr": fuxictr.commit,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "hardware": hardware(1),
        "rows": ROWS,
        "batch_size": BATCH,
        "steps": STEPS,
        "learning_rate": RATE,
        "limits": {"first_logits": FIRST_LOGITS, "losses": LOSSES},
        "summary": summary(runs),
        "runs": runs,
    }
    for line in report["summary"]:
        print(line)
    given.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    if not all(run["met"] for run in runs):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
