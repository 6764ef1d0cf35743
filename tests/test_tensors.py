"""Tensors as a file takes them: what safetensors refuses or writes wrongly never reaches it."""

from __future__ import annotations

import safetensors.torch
import torch

from masknet.tensors import storable


def test_shared_memory_in_every_guise_comes_back_by_its_values() -> None:
    whole = torch.arange(12.0).reshape(3, 4).requires_grad_()
    tensors = {
        "whole": whole,
        "the same": whole,
        "a view": whole.view(4, 3),
        "a row": whole[1],
        "turned": whole.T,
        "expanded": whole[:1].expand(5, 4),
        "empty": torch.empty(0, 4),
        "empty too": torch.empty(0, 4),
    }
    found = safetensors.torch.load(safetensors.torch.save(storable(tensors)))
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert torch.equal(found[name], tensor), name


def test_a_tensor_that_a_file_takes_as_it_is_is_not_copied() -> None:
    tensors = {"a": torch.ones(2, 3), "b": torch.ones(4)}
    assert {name: t.data_ptr() for name, t in storable(tensors).items()} == {
        name: t.data_ptr() for name, t in tensors.items()
    }
