"""Every model passes every check of `masknet.testing`; and every check catches the fault that it is for."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from masknet import testing
from masknet.models import MODELS
from masknet.nn import FieldEmbedding, Head, IdTable, id_tables
from masknet.space import FeatureSpace, FieldSpace
from masknet.testing import CHECKS, check_network, check_tasks
from masknet.train.optim import Optimizer

Build = Callable[[FeatureSpace], nn.Module]

Small = dict[str, dict[str, Any]]

ABLATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "serial-without-mask": ("serial-masknet", {"reduction": None}),
    "serial-without-feed-forward": ("serial-masknet", {"block_dims": (None, None)}),
    "parallel-without-feed-forward": ("parallel-masknet", {"block_dims": (None, None)}),
    "wide-deep with crosses": ("wide-deep", {"crosses": (("user", "tags"), ("price", "user")), "buckets": 500}),
    "dnn-with-batch-norm": ("dnn", {"norm": "batch"}),
    "dnn-with-layer-norm": ("dnn", {"norm": "layer"}),
    "finalmlp-with-context": ("finalmlp", {"first_context": ("user",), "second_context": ("tags", "genres")}),
    "parallel-without-norms": ("parallel-masknet", {"embedding_norm": False, "hidden_norm": False, "dropout": 0.1}),
}
"""What differs from the small network of that model."""


def builder(variant: str, small: Small) -> Build:
    name, settings = ABLATIONS.get(variant, (variant, {}))
    return lambda space: MODELS[name](space, **{**small[name], **settings})


def test_every_model_has_small_settings(small: Small) -> None:
    assert set(small) == set(MODELS)


# What hashes the ids themselves gives a pair another weight where its ids have other numbers.
HASHES = ("poly2", "wide-deep with crosses")


BY_DESIGN: dict[tuple[str, Callable[[Build], None]], tuple[type[Exception], str]] = {
    **{
        (model, testing.check_relabelling): (AssertionError, "the place of an id in the table must mean nothing")
        for model in HASHES
    },
    ("mf", testing.check_every_slot_is_read): (AssertionError, "the logits must depend on every slot"),
    ("mf", testing.check_every_dense_column_is_read): (AssertionError, "the logits must depend on every dense column"),
    ("adpredictor", check_tasks): (ValueError, "it learns one label; got 2"),
}
"""What a model breaks because its paper does: it reads two fields, or learns one label."""


@pytest.mark.parametrize("check", [*CHECKS, check_tasks], ids=lambda check: check.__name__)
@pytest.mark.parametrize("model", MODELS)
def test_every_network_keeps_the_contract(model: str, check: Callable[[Build], None], small: Small) -> None:
    if (model, check) in BY_DESIGN:
        kind, why = BY_DESIGN[model, check]
        with pytest.raises(kind, match=why):
            check(builder(model, small))
        return
    check(builder(model, small))


@pytest.mark.parametrize("variant", ABLATIONS)
def test_every_ablation_keeps_the_contract(variant: str, small: Small) -> None:
    skipped = [testing.check_export, *([testing.check_relabelling] if variant in HASHES else [])]
    for check in (*CHECKS, check_tasks):
        if check not in skipped:  # an export takes seconds, and an ablation leaves out what its model exports
            check(builder(variant, small))


def test_all_checks_are_listed() -> None:
    named = {check for name, check in vars(testing).items() if name.startswith("check_")}
    assert named - {check_network, check_tasks} == set(CHECKS)  # of several labels a network need not know


# Faulty networks: a sound one (LR with a hidden layer's worth of freedom), and one fault each.


class Sound(nn.Module):
    def __init__(self, space: FeatureSpace) -> None:
        super().__init__()
        self.space = space
        self.table = IdTable(space.num_ids, 4, std=1.0)
        self.head = nn.Linear(4 + space.dense_width, 1)

    def forward(self, ids: Tensor, values: Tensor, dense: Tensor | None = None) -> Tensor:
        if dense is None and self.space.dense_width:
            raise ValueError("dense columns are missing")
        pooled = (self.table(ids) * values.unsqueeze(2)).sum(1)
        return self.head(pooled if dense is None else torch.cat([pooled, dense], dim=1)).squeeze(1)


class ColumnOfLogits(Sound):
    def forward(self, ids: Tensor, values: Tensor, dense: Tensor | None = None) -> Tensor:
        return super().forward(ids, values, dense).unsqueeze(1)


class Infinite(Sound):
    def forward(self, ids: Tensor, values: Tensor, dense: Tensor | None = None) -> Tensor:
        return super().forward(ids, values, dense) / 0


class LastSlotForgotten(Sound):
    def forward(self, ids: Tensor, values: Tensor, dense: Tensor | None = None) -> Tensor:
        return super().forward(ids[:, :-1], values[:, :-1], dense)


class DenseForgotten(Sound):
    def forward(self, ids: Tensor, values: Tensor, dense: Tensor | None = None) -> Tensor:
        return super().forward(ids, values, None if dense is None else dense * torch.tensor([1.0, 1, 1, 1, 0]))


class DenseTakenForZero(Sound):
    def forward(self, ids: Tensor, values: Tensor, dense: Tensor | None = None) -> Tensor:
        none = values.new_zeros(len(values), self.space.dense_width)
        return super().forward(ids, values, none if dense is None else dense)


class BatchCentred(Sound):
    def forward(self, ids: Tensor, values: Tensor, dense: Tensor | None = None) -> Tensor:
        logits = super().forward(ids, values, dense)
        return logits - logits.sum() / max(logits.shape[0], 1)


class PaddingTrained(Sound):
    def __init__(self, space: FeatureSpace) -> None:
        super().__init__(space)
        self.table.padding_idx = None
        nn.init.normal_(self.table.weight)


class PaddingStartsZeroButIsTrained(PaddingTrained):
    def __init__(self, space: FeatureSpace) -> None:
        super().__init__(space)
        nn.init.zeros_(self.table.weight[0].detach())

    def forward(self, ids: Tensor, values: Tensor, dense: Tensor | None = None) -> Tensor:
        return super().forward(
            ids, values.where((ids != 0) | self.training, values.new_zeros(())) + 1.0 * self.training, dense
        )


class PaddingCounted(Sound):
    def forward(self, ids: Tensor, values: Tensor, dense: Tensor | None = None) -> Tensor:
        return super().forward(ids, values, dense) + values.sum(1)


class OrderRead(Sound):
    def forward(self, ids: Tensor, values: Tensor, dense: Tensor | None = None) -> Tensor:
        return super().forward(ids, values * torch.arange(1, ids.shape[1] + 1), dense)


class Unused(Sound):
    def __init__(self, space: FeatureSpace) -> None:
        super().__init__(space)
        self.spare = nn.Linear(3, 3)


class OwnSeed(Sound):
    counter = itertools.count()

    def __init__(self, space: FeatureSpace) -> None:
        super().__init__(space)
        torch.nn.init.normal_(self.head.bias, generator=torch.Generator().manual_seed(next(self.counter)))


class HiddenState(Sound):
    def __init__(self, space: FeatureSpace) -> None:
        super().__init__(space)
        self.scale = torch.rand(())  # neither parameter nor buffer

    def forward(self, ids: Tensor, values: Tensor, dense: Tensor | None = None) -> Tensor:
        return super().forward(ids, values, dense) * self.scale


class ValueAsBranch(Sound):
    def forward(self, ids: Tensor, values: Tensor, dense: Tensor | None = None) -> Tensor:
        logits = super().forward(ids, values, dense)
        return logits if logits.sum().item() > 0 else -logits


class RowsFixed(Sound):
    def forward(self, ids: Tensor, values: Tensor, dense: Tensor | None = None) -> Tensor:
        return (
            super().forward(ids, values, dense) + torch.zeros(len(ids)).tolist()[-1] if len(ids) else ids.sum(1).float()
        )


class WideIdsOnly(Sound):
    def forward(self, ids: Tensor, values: Tensor, dense: Tensor | None = None) -> Tensor:
        return super().forward(ids, values, dense) * (1 if ids.dtype == torch.int64 else 2)


class ByPlace(Sound):
    def forward(self, ids: Tensor, values: Tensor, dense: Tensor | None = None) -> Tensor:
        return super().forward(ids, values, dense) + (ids * 0.01).sum(1)


class Writing(Sound):
    def forward(self, ids: Tensor, values: Tensor, dense: Tensor | None = None) -> Tensor:
        return super().forward(ids, values.mul_(1.5), dense)


class NoTable(nn.Module):
    def __init__(self, space: FeatureSpace) -> None:
        super().__init__()
        self.rows = nn.Parameter(torch.zeros(space.num_ids))

    def forward(self, ids: Tensor, values: Tensor, dense: Tensor | None = None) -> Tensor:
        return (self.rows[ids] * values).sum(1)


def test_the_sound_network_passes() -> None:
    check_network(Sound)


@pytest.mark.parametrize(
    ("network", "check", "sentence"),
    [
        (ColumnOfLogits, testing.check_logits, r"must give logits of shape \[0\]"),
        (Infinite, testing.check_logits, "logits must be finite"),
        (LastSlotForgotten, testing.check_every_slot_is_read, "those of slot 9 change nothing"),
        (DenseForgotten, testing.check_every_dense_column_is_read, "column 4 changes nothing"),
        (DenseTakenForZero, testing.check_every_dense_column_is_read, "given as None must be a ValueError"),
        (BatchCentred, testing.check_rows_are_apart, "must not depend on the rows beside it"),
        (PaddingTrained, testing.check_padding_is_invisible, "padding must be invisible"),
        (PaddingStartsZeroButIsTrained, testing.check_padding_is_invisible, "that of 'table.weight' did not"),
        (PaddingCounted, testing.check_padding_is_invisible, "padding must be invisible"),
        (OrderRead, testing.check_bag_order, "that of 'tags' did"),
        (Unused, testing.check_gradients, "'spare.weight' got none"),
        (OwnSeed, testing.check_seed, "'head.bias' differs"),
        (HiddenState, testing.check_state, "must hold all that the logits depend on"),
        (ValueAsBranch, testing.check_export, "'torch.export' must take the network"),
        (RowsFixed, testing.check_export, "'torch.export' must take the network"),
        (WideIdsOnly, testing.check_integer_types, "they differ"),
        (ByPlace, testing.check_relabelling, "must mean nothing"),
        (Writing, testing.check_inputs_are_kept, "must not write into 'values'"),
        (NoTable, testing.check_relabelling, "must keep its weights of ids in a 'masknet.nn.IdTable'"),
    ],
)
def test_a_fault_is_caught_by_its_check(network: Build, check: Callable[[Build], None], sentence: str) -> None:
    with pytest.raises(AssertionError, match=sentence):
        check(network)
    with pytest.raises(AssertionError):
        check_network(network)


def test_checks_leave_the_global_generator_alone(small: Small) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    for check in CHECKS:
        if check is not testing.check_export:
            check(builder("parallel-without-norms", small))  # dropout draws too
    assert torch.equal(torch.rand(3), expected)


# Several labels


class OneHeadForAll(Sound):
    """Every label gets the logit of the first."""

    def forward(self, ids: Tensor, values: Tensor, dense: Tensor | None = None) -> Tensor:
        logits = super().forward(ids, values, dense)
        return logits.unsqueeze(1).expand(-1, self.space.num_tasks)


class SecondTaskBlind(Sound):
    """The second label is a constant."""

    def forward(self, ids: Tensor, values: Tensor, dense: Tensor | None = None) -> Tensor:
        logits = super().forward(ids, values, dense)
        return torch.stack([logits, torch.ones_like(logits)], dim=1)


class Several(Sound):
    def __init__(self, space: FeatureSpace) -> None:
        super().__init__(space)
        self.head = Head(4 + space.dense_width, space.num_tasks)

    def forward(self, ids: Tensor, values: Tensor, dense: Tensor | None = None) -> Tensor:
        pooled = (self.table(ids) * values.unsqueeze(2)).sum(1)
        return self.head(pooled if dense is None else torch.cat([pooled, dense], dim=1))


@pytest.mark.parametrize(
    ("network", "sentence"),
    [
        (Sound, r"32 rows must give logits of shape \[32, 2\]|must give logits of shape \[0, 2\]"),
        (OneHeadForAll, "weights of its own"),
        (SecondTaskBlind, "task 1 does not"),
    ],
)
def test_a_fault_with_several_labels_is_caught(network: Build, sentence: str) -> None:
    with pytest.raises(AssertionError, match=sentence):
        check_tasks(network)


def test_a_network_for_several_labels_passes() -> None:
    check_tasks(Several)


class Tied(Sound):
    """Two modules share a weight."""

    def __init__(self, space: FeatureSpace) -> None:
        super().__init__(space)
        self.again = nn.Linear(4 + space.dense_width, 1)
        self.again.weight = self.head.weight

    def forward(self, ids: Tensor, values: Tensor, dense: Tensor | None = None) -> Tensor:
        pooled = (self.table(ids) * values.unsqueeze(2)).sum(1)
        plain = super().forward(ids, values, dense)  # which refuses rows without their dense columns
        row = pooled if dense is None else torch.cat([pooled, dense], dim=1)
        return plain + self.again(row.tanh()).squeeze(1)


class WithPositions(nn.Module):
    """Reads the order of the ordered bag: a table of positions beside that of the ids, which is no id table."""

    def __init__(self, space: FeatureSpace) -> None:
        super().__init__()
        self.embedding = FieldEmbedding(space, 4)
        ((self.bag, slots),) = [(f.name, f.slots) for f in space.fields if f.ordered]
        self.positions = nn.Embedding(slots, 4)
        self.head = Head(self.embedding.d_out + 4, space.num_tasks)

    def forward(self, ids: Tensor, values: Tensor, dense: Tensor | None = None) -> Tensor:
        vectors, _ = self.embedding.slots_of(self.bag, ids, values)
        placed = (vectors * self.positions.weight).sum(1)
        return self.head(torch.cat([self.embedding.flat(ids, values, dense), placed], dim=1))


@pytest.mark.parametrize("network", [Tied, WithPositions])
def test_a_shared_weight_and_a_table_of_positions_are_allowed(network: Build) -> None:
    check_network(network)


def test_positions_are_penalised_and_counted_as_the_network_is() -> None:
    space = FeatureSpace(9, (FieldSpace("a"), FieldSpace("h", kind="bag", slots=3, ordered=True)))
    network = WithPositions(space)
    assert list(id_tables(network)) == ["embedding.table.weight"]
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    optimizer = Optimizer(network, learning_rate=0.05, embedding_l2=0.5, network_l2=0.0, clip=None)
    optimizer.step(0.0 * sum(p.sum() for p in network.parameters()))  # the penalty alone
    moved = [name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])]
    assert moved == ["embedding.table.weight"]
