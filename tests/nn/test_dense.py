"""The dense layer against `torch.nn.functional.linear` in float64, in every kernel that may compute it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from masknet.nn import dense as dense_module
from masknet.nn.dense import Linear, dense, lowered
from masknet.nn.mlp import MLP, glorot_linear

KERNELS = {"PyTorch's product": False}
if torch.backends.mkldnn.is_available():
    KERNELS["oneDNN's"] = True
TYPES = {torch.float32: 1e-5, torch.bfloat16: 2e-2}
"""What may be lost, relative to the largest result."""


@pytest.fixture(params=KERNELS.values(), ids=KERNELS)
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setattr(dense_module, "ONEDNN", request.param)
    return bool(request.param)


@pytest.fixture(params=[False, True], ids=["as they are", "lifted"])
def lifted(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setattr(dense_module, "LIFTED", request.param)
    return bool(request.param)


def drawn(rows: int, d_in: int, d_out: int, bias: bool) -> tuple[Tensor, Tensor, Tensor | None]:
    generator = torch.Generator().manual_seed(0)
    shapes = [(rows, d_in), (d_out, d_in), *([(d_out,)] if bias else [])]
    made = [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]
    return made[0], made[1], made[2] if bias else None


def close(actual: Tensor | None, expected: Tensor | None, room: float) -> None:
    assert actual is not None
    assert expected is not None
    assert actual.shape == expected.shape
    largest = float(expected.detach().abs().max()) if expected.numel() else 0.0
    torch.testing.assert_close(actual.double(), expected, rtol=0, atol=room * largest)


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("rows", [0, 1, 64, 200])
def test_results_and_gradients_are_those_of_the_equation(
    rows: int, bias: bool, relu: bool, dtype: torch.dtype, kernel: bool, lifted: bool
) -> None:
    if kernel and dtype == torch.bfloat16 and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        pytest.skip("oneDNN has no bf16 on this processor")
    given = drawn(rows, 39, 78, bias)
    exact = [None if t is None else t.to(dtype).double().requires_grad_() for t in given]
    ours = [None if t is None else t.to(dtype).requires_grad_() for t in given]
    expected = F.linear(*exact)
    expected = expected.relu() if relu else expected
    found = dense(*ours, relu=relu)
    assert found.dtype == dtype
    close(found, expected, TYPES[dtype])
    weights = torch.linspace(-1, 1, 78)
    expected.mul(weights).sum().backward()
    found.mul(weights.to(dtype)).sum().backward()
    for actual, right in zip(ours, exact, strict=True):
        if actual is not None:
            assert actual.grad.dtype == dtype
            close(actual.grad, right.grad, TYPES[dtype])


def test_only_the_gradients_that_are_asked_for_are_computed(kernel: bool) -> None:
    rows, weight, bias = (t.float() for t in drawn(64, 17, 19, bias=True))
    dense(rows, weight.requires_grad_(), bias).sum().backward()
    assert (rows.grad, bias.grad) == (None, None)
    torch.testing.assert_close(weight.grad, rows.sum(0).expand(19, 17))


def test_rows_and_gradients_may_lie_anyhow_in_memory(kernel: bool) -> None:
    wide = torch.randn(17, 64)
    weight = torch.randn(19, 17, requires_grad=True)
    found = dense(wide.t(), weight)
    torch.testing.assert_close(found, F.linear(wide.t(), weight))
    found.t().contiguous().t().sum().backward()  # every number of the gradient is one and the same in memory
    torch.testing.assert_close(weight.grad, wide.sum(1).expand(19, 17))


def test_a_result_may_be_written_to(kernel: bool) -> None:
    """As a ReLU in place does."""
    rows, weight = torch.randn(64, 17, requires_grad=True), torch.randn(19, 17)
    dense(rows, weight).relu_().sum().backward()
    torch.testing.assert_close(rows.grad, (F.linear(rows, weight) > 0).float() @ weight)


def test_equal_inputs_give_equal_bits(kernel: bool) -> None:
    rows, weight, bias = (t.float() for t in drawn(100, 39, 78, bias=True))
    assert torch.equal(dense(rows, weight, bias, relu=True), dense(rows, weight, bias, relu=True))


def test_more_dimensions_than_two_are_those_of_the_linear_layer() -> None:
    layer, rows = Linear(5, 3, relu=True), torch.randn(70, 4, 5)
    torch.testing.assert_close(layer(rows), F.linear(rows, layer.weight, layer.bias).relu())


@pytest.mark.parametrize("layer", [Linear(5, 3), glorot_linear(5, 3), *MLP(5, (3,)).layers])
def test_it_keeps_what_a_linear_layer_keeps(layer: Linear) -> None:
    assert isinstance(layer, Linear)
    assert list(layer.state_dict()) == list(nn.Linear(5, 3).state_dict())


def test_transforms_of_functions_see_a_linear_layer() -> None:
    weights, rows = torch.randn(2, 19, 17), torch.randn(64, 17)

    def loss(weight: Tensor) -> Tensor:
        return dense(rows, weight, relu=True).square().sum()

    found = torch.func.vmap(torch.func.grad(loss))(weights)
    for of_one, weight in zip(found, weights, strict=True):
        torch.testing.assert_close(of_one, torch.func.grad(loss)(weight))


def test_an_export_holds_no_operator_but_pytorch_s() -> None:
    program = torch.export.export(nn.Sequential(Linear(17, 19)), (torch.randn(64, 17),))
    targets = {str(node.target) for node in program.graph.nodes if node.op == "call_function"}
    assert targets == {"aten.linear.default"}


def test_a_lifted_product_is_rounded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dense_module, "ONEDNN", False)
    monkeypatch.setattr(dense_module, "LIFTED", True)
    rows, weight, bias = (t.bfloat16() for t in drawn(64, 39, 78, bias=True))
    expected = F.linear(rows.float(), weight.float(), bias.float()).bfloat16()
    assert torch.equal(dense(rows, weight, bias), expected)


def test_under_autocast_the_products_are_in_its_type_and_the_gradients_in_that_of_the_weights(kernel: bool) -> None:
    if kernel and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        pytest.skip("oneDNN has no bf16 on this processor")
    layer, rows = Linear(39, 78, relu=True), torch.randn(64, 39)
    with torch.autocast("cpu", torch.bfloat16):
        found = layer(rows)
        assert lowered(rows).dtype == torch.bfloat16
    assert found.dtype == torch.bfloat16
    assert lowered(rows) is rows
    found.float().sum().backward()
    assert layer.weight.grad.dtype == layer.bias.grad.dtype == torch.float32
    close(found, F.linear(rows, layer.weight, layer.bias).relu().detach().double(), 2e-2)
