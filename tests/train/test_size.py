"""How large a network is, told before it is built."""

from __future__ import annotations

from pathlib import Path

import pytest

from masknet.errors import ConfigError
from masknet.models import build_network
from masknet.space import FeatureSpace, FieldSpace
from masknet.train.defaults import network_defaults
from masknet.train.size import Size, checkpoint_bytes, free_memory, require_memory, size_of

SPACE = FeatureSpace(200, (FieldSpace("user"), FieldSpace("tags", kind="bag", slots=5)))


@pytest.mark.parametrize("model", ["lr", "serial-masknet", "parallel-masknet"])
def test_the_parameters_are_those_of_the_network(model: str) -> None:
    settings = network_defaults(model)
    built = build_network(model, SPACE, settings)
    size = size_of(model, SPACE, settings, members=2, batch_size=100)
    assert size.parameters == sum(p.numel() for p in built.parameters())
    width = 1 if model == "lr" else 10
    assert size.num_bytes == 4 * (8 * size.parameters + 4 * 100 * 6 * width)


def test_members_that_are_trained_at_once_need_memory_and_disk_for_each() -> None:
    size = size_of("lr", SPACE, {}, members=4, batch_size=100, at_once=3)
    assert size.num_bytes == 4 * (3 * (7 * 201 + 4 * 100 * 6) + 201)
    # A fourth checkpoint is written beside those of three; the finished member keeps its best weights alone.
    assert checkpoint_bytes(size, members=4, at_once=3, average=False, steps=0) == 4 * 201 * (4 * 4 + 1)
    assert checkpoint_bytes(size, members=4, at_once=3, average=True, steps=0) == 4 * 201 * (4 * 5 + 1)
    assert checkpoint_bytes(size, members=1, at_once=1, average=False, steps=0) == 4 * 201 * 8
    assert checkpoint_bytes(size, members=1, at_once=1, average=False, steps=9) == 4 * (201 * 8 + 2 * 9)


def test_sparse_updates_need_no_gradient_of_a_table() -> None:
    many = FeatureSpace(10_000_000, SPACE.fields)
    dense, sparse = (
        size_of("deepfm", many, {"embedding_dim": 20}, members=1, batch_size=100, sparse=sparse)
        for sparse in (False, True)
    )
    assert dense.parameters == sparse.parameters
    saved = 4 * (21 - 2) * 10_000_000  # a number of each entry, for two integers of each row
    assert 0 < sparse.num_bytes - (dense.num_bytes - saved) < 40e6  # what is computed of the rows that are read


def test_weights_that_no_memory_could_hold_are_counted() -> None:
    wide = FeatureSpace(10**9, tuple(FieldSpace(f"f{i}") for i in range(300)))
    size = size_of("parallel-masknet", wide, {"reduction": 20.0}, members=1, batch_size=1)
    assert size.parameters > 10**10 + 3 * 2 * 20 * 3000**2


def test_what_does_not_fit_is_refused_with_the_ways_out() -> None:
    require_memory(Size(10, 4000), "lr", 4000)
    require_memory(Size(10, 4000), "lr", None)
    sentence = (
        r"training takes place in memory; lr has 2,000,000,000 parameters a member here and needs about 56 GB, of "
        r"which 8 GB are free: leave columns out with --ignore, .*--max-vocabulary.*--set.*--batch-size"
    )
    with pytest.raises(ConfigError, match=sentence):
        require_memory(Size(2_000_000_000, 56_000_000_000), "lr", 8_000_000_000)


def test_free_memory_is_the_systems_or_the_containers(tmp_path: Path) -> None:
    proc, cgroup = tmp_path / "proc", tmp_path / "cgroup"
    assert free_memory(cgroup, cgroup) is None or free_memory(cgroup, cgroup) > 0  # type: ignore[operator]
    proc.mkdir()
    (proc / "meminfo").write_text("MemTotal: 99 kB\nMemAvailable:       8 kB\n")
    assert free_memory(proc, cgroup) == 8192
    cgroup.mkdir()
    (cgroup / "memory.max").write_text("max\n")
    (cgroup / "memory.current").write_text("1000\n")
    assert free_memory(proc, cgroup) == 8192
    (cgroup / "memory.max").write_text("5000\n")
    assert free_memory(proc, cgroup) == 4000
