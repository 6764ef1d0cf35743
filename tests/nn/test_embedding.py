"""The embedding layer against eq. 2 to 4, written out slot by slot."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from masknet.nn import FieldEmbedding
from masknet.space import FeatureSpace, FieldSpace

ONE_SLOT = (FieldSpace("a"), FieldSpace("x", kind="numeric"), FieldSpace("b"))
BAGS = (FieldSpace("a"), FieldSpace("s", slots=3), FieldSpace("m", slots=4, pooling="mean"), FieldSpace("b"))
ONE_SLOT_MEAN = (FieldSpace("a"), FieldSpace("m", pooling="mean"))


def batch(space: FeatureSpace, rows: int = 17, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, space.num_ids, (rows, space.num_slots), generator=generator)
    values = torch.rand(rows, space.num_slots, generator=generator, dtype=torch.float64) + 0.2
    return ids, values


def oracle(space: FeatureSpace, table: np.ndarray, ids: np.ndarray, values: np.ndarray) -> np.ndarray:
    out = np.zeros((len(ids), space.num_fields, table.shape[1]))
    for row in range(len(ids)):
        slot = 0
        for i, field in enumerate(space.fields):
            total = 0.0
            for _ in range(field.slots):
                if ids[row, slot] != 0:
                    out[row, i] += values[row, slot] * table[ids[row, slot]]
                    total += values[row, slot]
                slot += 1
            if field.pooling == "mean" and total != 0:
                out[row, i] /= total
    return out


@pytest.mark.parametrize("filled", [0, 1, 70, 90])
def test_slots_of_a_long_bag_that_no_row_fills_are_passed_over(filled: int) -> None:
    fields = (FieldSpace("a"), FieldSpace("m", slots=90, pooling="mean"), FieldSpace("b"), FieldSpace("s", slots=70))
    space = FeatureSpace(50, fields)
    layer = FieldEmbedding(space, 3, std=0.5).double()
    ids, values = batch(space)
    ids[:, 1 + filled : 91], ids[:, 92 + filled // 2 :] = 0, 0
    read: list[int] = []
    layer.table.register_forward_hook(lambda _, given, __: read.append(given[0].shape[1]))
    expected = oracle(space, layer.table.weight.detach().numpy(), ids.numpy(), values.numpy())
    np.testing.assert_allclose(layer(ids, values).detach().numpy(), expected, rtol=0, atol=1e-13)
    assert read == [2 + filled + filled // 2]


@pytest.mark.parametrize("fields", [ONE_SLOT, BAGS, ONE_SLOT_MEAN])
def test_equals_the_sum_and_the_weighted_mean_of_each_fields_slots(fields: tuple[FieldSpace, ...]) -> None:
    space = FeatureSpace(6, fields)  # few ids: padding stands in any slot, and fields share ids
    layer = FieldEmbedding(space, 5).double()
    ids, values = batch(space)
    assert (ids == 0).any()
    expected = oracle(space, layer.table.weight.detach().numpy(), ids.numpy(), values.numpy())
    np.testing.assert_allclose(layer(ids, values).detach().numpy(), expected, rtol=0, atol=1e-10)


def dense(name: str, width: int, *, projected: bool = False) -> FieldSpace:
    return FieldSpace(name, kind="dense", slots=0, width=width, projected=projected)


AMONG = (dense("p", 3, projected=True), *BAGS[:2], dense("x", 2), BAGS[2], dense("q", 1, projected=True))


@pytest.mark.parametrize("fields", [AMONG, (dense("p", 3, projected=True), dense("x", 2)), (dense("x", 2),)])
def test_dense_fields_are_projected_in_their_place_or_stand_as_they_are_at_the_end(
    fields: tuple[FieldSpace, ...],
) -> None:
    space = FeatureSpace(6, fields)
    layer = FieldEmbedding(space, 5).double()
    ids, values = batch(space)
    x = torch.randn(17, space.dense_width, dtype=torch.float64)
    state = {name: tensor.numpy() for name, tensor in layer.state_dict().items()}
    of_slots = FeatureSpace(6, (*(f for f in fields if f.kind != "dense"), FieldSpace("none")))
    pooled = oracle(of_slots, state["table.weight"], np.pad(ids.numpy(), ((0, 0), (0, 1))), values.numpy())
    vectors, plain, start, slot_field, projection = [], [], 0, 0, 0
    for field in fields:
        columns = x[:, start : start + field.width].numpy()
        start += field.width
        if field.kind != "dense":
            vectors.append(pooled[:, slot_field])
            slot_field += 1
        elif field.projected:
            vectors.append(columns @ state[f"projections.{projection}.weight"].T)
            projection += 1
        else:
            plain.append(columns)
    found = layer(ids, values, x).detach().numpy()
    assert found.shape == (17, len(vectors), 5)
    np.testing.assert_allclose(found, np.stack(vectors, 1) if vectors else found, rtol=0, atol=1e-10)
    flat = layer.flat(ids, values, x).detach().numpy()
    assert flat.shape == (17, layer.d_out)
    np.testing.assert_allclose(flat, np.concatenate([*vectors, *plain], axis=1), rtol=0, atol=1e-10)


def test_a_projection_starts_like_the_vector_of_a_number() -> None:
    torch.manual_seed(0)
    layer = FieldEmbedding(FeatureSpace(1, (dense("p", 300, projected=True),)), 100, std=0.02)
    assert layer.projections[0].bias is None
    assert layer.projections[0].weight.std().item() == pytest.approx(0.02, rel=0.02)


def test_a_bag_of_padding_only_is_zero() -> None:
    layer = FieldEmbedding(FeatureSpace(6, BAGS), 5)
    out = layer(torch.zeros(1, 9, dtype=torch.long), torch.ones(1, 9))
    assert out.shape == (1, 4, 5)
    assert not out.any()


def test_the_value_of_padding_does_not_weigh_in_a_mean() -> None:
    space = FeatureSpace(6, (FieldSpace("m", slots=2, pooling="mean"),))
    layer = FieldEmbedding(space, 5)
    alone = layer(torch.tensor([[3, 0]]), torch.tensor([[2.0, 9.0]]))
    torch.testing.assert_close(alone[0, 0], layer.table.weight[3])


def test_the_table_is_all_that_it_keeps_and_starts_at_the_given_scale() -> None:
    torch.manual_seed(0)
    layer = FieldEmbedding(FeatureSpace(5001, ONE_SLOT), 10, std=0.02)
    assert list(layer.state_dict()) == ["table.weight"]
    assert layer.table.weight[1:].std().item() == pytest.approx(0.02, rel=0.02)


def test_padding_gets_no_gradient() -> None:
    layer = FieldEmbedding(FeatureSpace(6, BAGS), 5)
    ids, values = batch(FeatureSpace(6, BAGS))
    layer(ids, values.float()).square().sum().backward()
    assert layer.table.weight.grad is not None
    assert not layer.table.weight.grad[0].any()
    assert layer.table.weight.grad[1:].any(dim=1).all()


def test_ids_beyond_the_exact_range_of_float32_stay_apart() -> None:
    torch.manual_seed(0)
    space = FeatureSpace(2**24 + 3, (FieldSpace("a"),))  # as float32, 2^24 + 1 is 2^24
    layer = FieldEmbedding(space, 1)
    ids = torch.tensor([[2**24], [2**24 + 1], [2**24 + 2]])
    for kind in (torch.int32, torch.int64):
        out = layer(ids.to(kind), torch.ones(3, 1)).flatten()
        assert torch.equal(out, layer.table.weight[2**24 :].flatten())
        assert out.unique().numel() == 3


def test_float_ids_are_refused() -> None:
    layer = FieldEmbedding(FeatureSpace(6, ONE_SLOT), 5)
    with pytest.raises(RuntimeError, match="indices"):
        layer(torch.ones(2, 3), torch.ones(2, 3))


def test_rows_of_another_space_are_refused_with_a_sentence() -> None:
    layer = FieldEmbedding(FeatureSpace(6, ONE_SLOT), 5)
    ids, values = torch.ones(2, 3, dtype=torch.long), torch.ones(2, 3)
    with pytest.raises(ValueError, match="has 3 slots; got 3 ids and 1 values a row"):
        layer(ids, values[:, :1])  # would be broadcast
    with pytest.raises(ValueError, match="has 3 slots; got 2 ids and 3 values a row"):
        layer(ids[:, :2], values)
    with pytest.raises(ValueError, match="no dense columns; got 4 of them"):
        layer(ids, values, torch.ones(2, 4))
    with_dense = FieldEmbedding(FeatureSpace(6, (*ONE_SLOT, dense("d", 2))), 5)
    with pytest.raises(ValueError, match="has 2 dense columns; got None: pass them"):
        with_dense(ids, values)
    with pytest.raises(ValueError, match="has 2 dense columns; got 3 of them"):
        with_dense(ids, values, torch.ones(2, 3))


def test_settings_out_of_range_are_refused() -> None:
    space = FeatureSpace(6, ONE_SLOT)
    with pytest.raises(ValueError, match="'embedding_dim' must be an int of at least 1; got 0"):
        FieldEmbedding(space, 0)
    with pytest.raises(ValueError, match="'std' must be a finite number above 0; got 0"):
        FieldEmbedding(space, 5, std=0)


WITH_HISTORY = (dense("y", 2), FieldSpace("a"), FieldSpace("h", kind="bag", slots=3, ordered=True), *AMONG[-3:])


def test_a_fields_slots_come_in_their_order_before_they_are_pooled() -> None:
    space = FeatureSpace(6, WITH_HISTORY)
    layer = FieldEmbedding(space, 5).double()
    ids, values = batch(space)
    table = layer.table.weight.detach()
    for field, slots in zip(space.fields, space.field_slots, strict=True):
        if field.kind == "dense":
            continue
        vectors, present = layer.slots_of(field.name, ids, values)
        assert vectors.shape == (17, field.slots, 5)
        assert torch.equal(present, ids[:, slots] != 0)
        for place, slot in enumerate(slots):
            expected = values[:, slot, None] * table[ids[:, slot]]
            torch.testing.assert_close(vectors[:, place], expected, rtol=0, atol=1e-12)
        assert not vectors[~present].any()


def test_the_slots_of_a_sum_add_up_to_its_field() -> None:
    space = FeatureSpace(6, WITH_HISTORY)
    layer = FieldEmbedding(space, 5).double()
    ids, values = batch(space)
    pooled = layer(ids, values, torch.randn(17, space.dense_width, dtype=torch.float64))
    torch.testing.assert_close(layer.slots_of("h", ids, values)[0].sum(1), pooled[:, 1], rtol=0, atol=1e-12)


def test_the_slots_of_no_field_are_refused() -> None:
    layer = FieldEmbedding(FeatureSpace(6, WITH_HISTORY), 5)
    ids, values = torch.ones(2, 8, dtype=torch.long), torch.ones(2, 8)
    with pytest.raises(ValueError, match="unknown field of slots 'y'; known: a, h, m"):
        layer.slots_of("y", ids, values)
    with pytest.raises(ValueError, match="has 8 slots; got 7 ids and 8 values a row"):
        layer.slots_of("h", ids[:, 1:], values)


@pytest.mark.parametrize("fields", [ONE_SLOT, AMONG, WITH_HISTORY, (dense("x", 2), dense("y", 1))])
def test_every_column_of_the_flat_embedding_has_a_field(fields: tuple[FieldSpace, ...]) -> None:
    space = FeatureSpace(6, fields)
    layer = FieldEmbedding(space, 5)
    assert sorted(layer.columns) == sorted(field.name for field in fields)
    assert [column for columns in layer.columns.values() for column in columns] == list(range(layer.d_out))
    ids, values = batch(space)
    x = torch.randn(17, space.dense_width) if space.dense_width else None
    before = layer.flat(ids, values.float(), x)
    for field, slots, columns in zip(fields, space.field_slots, space.field_columns, strict=True):
        other_values, other_x = values.float().clone(), None if x is None else x.clone()
        other_values[:, slots] *= -torch.rand(17, len(slots)) - 0.5
        if other_x is not None:
            other_x[:, columns] += 1
        changed = (layer.flat(ids, other_values, other_x) != before).any(0)
        assert changed.nonzero().flatten().tolist() == list(layer.columns[field.name])
