"""The parameter counts of published runs, to the last parameter."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from masknet.models import MODELS, LogisticRegression, ParallelMaskNet, SerialMaskNet
from masknet.nn import id_tables
from masknet.space import FeatureSpace, FieldSpace


def space(num_fields: int, num_ids: int = 2, num_tasks: int = 1) -> FeatureSpace:
    return FeatureSpace(num_ids, tuple(FieldSpace(f"f{i}") for i in range(num_fields)), num_tasks)


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def dense_count(network: nn.Module) -> int:
    tables = sum(table.weight.numel() for table in id_tables(network).values())
    return count(network) - tables


@pytest.mark.parametrize(
    ("model", "num_fields", "settings", "expected"),
    [
        (
            ParallelMaskNet,
            10,
            {"block_dims": (50,) * 3, "top_dims": (400,) * 3, "reduction": 2, "embedding_norm": False},
            517_801,
        ),
        (SerialMaskNet, 3, {"block_dims": (400,) * 3, "reduction": 4, "embedding_norm": False}, 1_722_151),
        (SerialMaskNet, 39, {"block_dims": (400,) * 3, "reduction": 0.2, "embedding_norm": False}, 667_469),
        (SerialMaskNet, 22, {"block_dims": (400,) * 3, "reduction": 2}, 1_599_901),
        (
            ParallelMaskNet,
            39,
            {
                "embedding_dim": 16,
                "block_dims": (500,) * 2,
                "top_dims": (1000,) * 5,
                "reduction": 0.1,
                "embedding_norm": False,
                "hidden_norm": False,
            },
            5_786_125,
        ),
        (
            ParallelMaskNet,
            24,
            {
                "embedding_dim": 16,
                "block_dims": (500,) * 6,
                "top_dims": (2000,) * 3,
                "reduction": 0.8,
                "embedding_norm": False,
                "hidden_norm": False,
            },
            16_578_803,
        ),
    ],
)
def test_dense_parameters_of_published_runs(
    model: type[nn.Module], num_fields: int, settings: dict[str, Any], expected: int
) -> None:
    with torch.device("meta"):  # the shapes alone
        assert dense_count(model(space(num_fields), **settings)) == expected


def test_total_on_frappe() -> None:
    network = ParallelMaskNet(space(10, 5_389), block_dims=(50, 50, 50), embedding_norm=False)
    assert count(network) == 571_691


def test_total_on_movielens_latest() -> None:
    network = SerialMaskNet(space(3, 90_239), reduction=4.0, embedding_norm=False)
    assert count(network) == 2_624_541


BOARD = {"embedding_dim": 10, "hidden_dims": (400, 400, 400), "norm": "batch"}


@pytest.mark.parametrize(
    ("model", "settings", "expected"),
    [
        ("lr", {}, 5_390),
        ("fm", {"embedding_dim": 10}, 59_280),
        ("ffm", {"embedding_dim": 10}, 490_400),
        ("afm", {"attention_dim": 128}, 60_826),
        ("wide-deep", BOARD, 423_280),
        ("deepfm", BOARD, 423_280),
        ("xdeepfm", BOARD | {"cin_dims": (64,), "cin_bias": True}, 429_809),
        ("dcn", BOARD | {"cross_layers": 3}, 418_591),
        ("dcnv2", BOARD | {"cross_layers": 4}, 458_391),
        (
            "autoint",
            {"attention_dim": 128, "attention_layers": 6, "num_heads": 4, "project_residual": False},
            306_051,
        ),
        ("fibinet", BOARD | {"reduction": 2, "bilinear": "all"}, 743_480),
    ],
)
def test_totals_of_the_published_runs_on_frappe(model: str, settings: dict[str, Any], expected: int) -> None:
    assert count(MODELS[model](space(10, 5_389), **settings)) == expected


def test_totals_on_frappe_that_count_otherwise() -> None:
    # The public run of this network counts its feed-forward layers twice: 417,891 + 364,001 = 781,892.
    dnn = MODELS["dnn"](space(10, 5_389), **BOARD)
    layers = sum(p.numel() for name, p in dnn.named_parameters() if not name.startswith("embedding"))
    assert (count(dnn), count(dnn) + layers) == (417_891, 781_892)
    # The gates' own vectors of two fields have 5,050 ids there; a table of ours is over all 5,389.
    final = MODELS["finalmlp"](
        FeatureSpace(5_389, tuple(FieldSpace(name) for name in ("user", "item", *"abcdefgh"))),
        first_dims=(400,),
        second_dims=(100,),
        norm="batch",
        num_heads=5,
        gate_dim=400,
        first_context=("user",),
        second_context=("item",),
    )
    assert count(final) == 253_392 + (2 * 5_389 - 5_050) * 10 - 1  # and one bias of the two streams is enough


def test_the_body_of_the_heavy_ranker_that_was_published() -> None:
    fields = (FieldSpace("all", kind="dense", slots=0, width=2776),)
    with torch.device("meta"):
        network = MODELS["multitask-masknet"](
            FeatureSpace(1, fields, num_tasks=10),
            block_dims=(1024,) * 4,
            top_dims=(2048,),
            tower_dims=(256, 128),
            reduction=1024 / 2776,
            embedding_norm=False,
        )
        assert network.blocks[0].mask.aggregation.out_features == 1024
        # Its mixing layers have a bias, which eq. 14 has not: 4 * 1,024 more are 48,105,322.
        assert dense_count(network) == 48_101_226


def test_logistic_regression_has_a_weight_an_id_and_a_bias() -> None:
    assert count(LogisticRegression(space(10, 5_389))) == 5_390


@pytest.mark.parametrize("num_tasks", [2, 5])
def test_a_task_more_costs_a_head_more(num_tasks: int) -> None:
    more = num_tasks - 1
    serial = {"block_dims": (8, 6)}
    assert (
        count(SerialMaskNet(space(3, 9, num_tasks), **serial)) == count(SerialMaskNet(space(3, 9), **serial)) + 7 * more
    )
    parallel = {"block_dims": (8, 6), "top_dims": (5, 4)}
    one = count(ParallelMaskNet(space(3, 9), **parallel))
    assert count(ParallelMaskNet(space(3, 9, num_tasks), **parallel)) == one + 5 * more
    assert count(LogisticRegression(space(3, 9, num_tasks))) == (9 + 1) * num_tasks
    assert dense_count(LogisticRegression(space(3, 9, num_tasks))) == num_tasks


def test_bags_and_values_cost_no_dense_parameter() -> None:
    bags = FeatureSpace(2, (FieldSpace("a", slots=7), FieldSpace("b", kind="numeric"), FieldSpace("c", pooling="mean")))
    assert dense_count(SerialMaskNet(bags)) == dense_count(SerialMaskNet(space(3)))


def test_a_dense_field_costs_its_columns_and_a_projected_one_its_projection() -> None:
    fields = (FieldSpace("a"), FieldSpace("b"))
    projected = FieldSpace("p", kind="dense", slots=0, width=64, projected=True)
    as_it_is = FieldSpace("d", kind="dense", slots=0, width=30)
    base = dense_count(SerialMaskNet(FeatureSpace(2, (*fields, FieldSpace("c")))))
    assert dense_count(SerialMaskNet(FeatureSpace(2, (*fields, projected)))) == base + 64 * 10
    # m = 20 + 30 = 50: the same network as five fields of k = 10, whichever way the columns come.
    five = tuple(FieldSpace(name) for name in "abcde")
    assert dense_count(SerialMaskNet(FeatureSpace(2, (*fields, as_it_is)))) == dense_count(
        SerialMaskNet(FeatureSpace(2, five))
    )
    assert count(LogisticRegression(FeatureSpace(2, (*fields, projected, as_it_is)))) == 2 + 1 + 64 + 30
