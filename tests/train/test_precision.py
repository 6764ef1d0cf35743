"""Which numbers a network is trained in where nobody says."""

from __future__ import annotations

import platform

import pytest
import torch

from masknet.train import precision
from masknet.train.precision import default_precision, has_bf16

CPU = torch.device("cpu")


@pytest.mark.parametrize(("avx512", "amx", "found"), [(0, 0, False), (1, 0, True), (0, 1, True)])
def test_bf16_is_a_unit_of_the_processor(avx512: int, amx: int, found: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: bool(avx512))
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: bool(amx))
    assert has_bf16(CPU) is found


def test_a_gpu_is_asked_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: not including_emulation)
    assert has_bf16(torch.device("cuda"))


@pytest.mark.parametrize(
    ("model", "allowed", "there", "expected"),
    [
        ("dnn", True, True, "bf16"),
        ("dnn", True, False, "fp32"),
        ("dnn", False, True, "fp32"),
        ("adpredictor", True, True, "fp32"),
        ("gbdt", True, True, "fp32"),
    ],
)
def test_the_default_needs_the_unit_a_gradient_and_the_proof_of_quality(
    model: str, allowed: bool, there: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "_BF16_BY_DEFAULT", allowed)
    monkeypatch.setattr(precision, "has_bf16", lambda device: there)
    assert default_precision(model, CPU) == expected
