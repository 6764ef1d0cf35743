"""The behaviour that every network owes the engine, a user's own too: small checks, and one that runs them all.

    from masknet.testing import check_network

    def test_my_network() -> None:
        check_network(lambda space: MyNetwork(space, width=16))

Each check builds small networks with `build`, gives them weights far from their start (a start of zeros would hide most
faults) and raises AssertionError with one sentence. `CHECKS` lists them, for a test that is to be run once a check.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 -- the name by which all of PyTorch's users know it

from masknet.space import FeatureSpace, FieldSpace

Build = Callable[[FeatureSpace], nn.Module]

_SPACE = FeatureSpace(
    num_ids=29,
    fields=(
        FieldSpace("user"),
        FieldSpace("price", kind="numeric"),
        FieldSpace("tags", slots=3),
        FieldSpace("genres", slots=2, pooling="mean"),
    ),
)
_ROWS = 32


def check_network(build: Build) -> None:
    """Run every check on the networks that `build` makes.

    >>> from masknet.models import LogisticRegression
    >>> check_network(LogisticRegression)

    Args:
        build: makes a network for a space, with weights drawn from PyTorch's global generator.

    Raises:
        AssertionError: with the first rule that is broken.
    """
    for check in CHECKS:
        check(build)


def check_logits(build: Build) -> None:
    """0, 1 and n rows give as many finite logits, with or without the argument `dense`."""
    network = _network(build)
    for rows in (0, 1, _ROWS):
        ids, values = _batch(rows)
        logits = network(ids, values, None)
        _expect(
            isinstance(logits, Tensor) and logits.shape == (rows,),
            f"{rows} rows must give logits of shape [{rows}]; got {getattr(logits, 'shape', type(logits).__name__)}",
        )
        _expect(logits.is_floating_point(), f"logits must be floating-point numbers; got {logits.dtype}")
        _expect(bool(logits.isfinite().all()), "logits must be finite; some are not")
        _expect(torch.equal(logits, network(ids, values)), "'dense' must be None unless given; None gave other logits")


def check_every_slot_is_read(build: Build) -> None:
    """Another id in a slot changes the logit."""
    network = _network(build)
    ids, values = _batch(_ROWS)
    for slot in range(_SPACE.num_slots):
        other = ids.clone()
        other[:, slot] = _ids_of(_SPACE.slot_fields[slot])[0]
        changed = (network(ids, values) != network(other, values)).any()
        _expect(bool(changed), f"the logits must depend on every slot; those of slot {slot} change nothing")


def check_rows_are_apart(build: Build) -> None:
    """A row's logit does not depend on the other rows of its batch (when scoring)."""
    network = _network(build)
    ids, values = _batch(_ROWS)
    logits = network(ids, values)
    alone = torch.cat([network(ids[i : i + 1], values[i : i + 1]) for i in range(_ROWS)])
    _expect_close(alone, logits, "a row's logit must not depend on the rows beside it")


def check_padding_is_invisible(build: Build) -> None:
    """Id 0 adds nothing, whatever its value, and its row of every table stays zero in training."""
    network = _network(build)
    ids, values = _batch(_ROWS)
    padding = ids == 0
    for value in (-3.0, 7.0):
        logits = network(ids, values.masked_fill(padding, value))
        _expect_close(logits, network(ids, values), f"padding must be invisible; its value {value} changed a logit")
    network.train()
    optimiser = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(3):
        optimiser.zero_grad()
        _loss(network).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    for name, table in _tables(network):
        _expect(not table.weight[0].any(), f"row 0 of a table must stay zero in training; that of '{name}' did not")


def check_bag_order(build: Build) -> None:
    """The order of the slots of an unordered field does not matter."""
    network = _network(build)
    ids, values = _batch(_ROWS)
    start = 0
    for field in _SPACE.fields:
        order = torch.arange(_SPACE.num_slots)
        order[start : start + field.slots] = order[start : start + field.slots].flip(0)
        start += field.slots
        _expect_close(
            network(ids[:, order], values[:, order]),
            network(ids, values),
            f"the order of the slots of an unordered field must not matter; that of '{field.name}' did",
        )


def check_gradients(build: Build) -> None:
    """Every parameter gets a finite gradient that is not all zero."""
    network = _network(build).train()
    _loss(network).backward()  # type: ignore[no-untyped-call]
    for name, parameter in network.named_parameters():
        _expect(
            parameter.grad is not None and bool(parameter.grad.any()),
            f"every parameter must get a gradient; '{name}' got none",
        )
        _expect(
            parameter.grad is not None and bool(parameter.grad.isfinite().all()),
            f"gradients must be finite; that of '{name}' is not",
        )


def check_seed(build: Build) -> None:
    """The same seed gives the same weights."""
    first, second = _built(build, seed=0).state_dict(), _built(build, seed=0).state_dict()
    _expect(list(first) == list(second), "two networks must have the same names of weights; they differ")
    for name, tensor in first.items():
        _expect(torch.equal(tensor, second[name]), f"the same seed must give the same weights; '{name}' differs")


def check_state(build: Build) -> None:
    """A network with another's `state_dict` gives the other's logits, bit for bit."""
    network, copy = _network(build, seed=0), _network(build, seed=1)
    copy.load_state_dict({name: tensor.clone() for name, tensor in network.state_dict().items()})
    ids, values = _batch(_ROWS)
    _expect(
        torch.equal(network(ids, values), copy(ids, values)),
        "'state_dict' must hold all that the logits depend on; a network loaded from it gave others",
    )


def check_export(build: Build) -> None:
    """`torch.export` with a dynamic number of rows gives the same logits."""
    network = _network(build)
    rows = torch.export.Dim("rows")
    try:
        program = torch.export.export(network, _batch(5), dynamic_shapes=({0: rows}, {0: rows}))
    except Exception as error:
        raise AssertionError(
            f"'torch.export' must take the network with any number of rows; it said: {error}"
        ) from error
    for n in (1, 8):
        ids, values = _batch(n)
        _expect_close(program.module()(ids, values), network(ids, values), f"exported, {n} rows must give equal logits")


def check_integer_types(build: Build) -> None:
    """Ids in 32 and in 64 bits give the same logits."""
    network = _network(build)
    ids, values = _batch(_ROWS)
    _expect(
        torch.equal(network(ids.int(), values), network(ids.long(), values)),
        "ids in int32 and in int64 must give the same logits; they differ",
    )


def check_relabelling(build: Build) -> None:
    """Other ids for the same rows of the tables change nothing: an id means what its row holds, wherever it lies."""
    network = _network(build)
    ids, values = _batch(_ROWS)
    expected = network(ids, values)
    new_id = torch.cat(
        [torch.zeros(1, dtype=torch.long), 1 + torch.randperm(_SPACE.num_ids - 1, generator=_generator(2))]
    )
    with torch.no_grad():
        for _, table in _tables(network):
            table.weight[new_id] = table.weight.clone()
    _expect_close(network(new_id[ids], values), expected, "the place of an id in the table must mean nothing; it does")


def check_inputs_are_kept(build: Build) -> None:
    """Neither scoring nor training writes into the rows."""
    network = _network(build)
    ids, values = _batch(_ROWS)
    for mode in (False, True):
        _seeded(network.train(mode), ids, values).sum().backward()  # type: ignore[no-untyped-call]
        before_ids, before_values = _batch(_ROWS)
        _expect(torch.equal(ids, before_ids), "the network must not write into 'ids'; it did")
        _expect(torch.equal(values, before_values), "the network must not write into 'values'; it did")


CHECKS: tuple[Callable[[Build], None], ...] = (
    check_logits,
    check_every_slot_is_read,
    check_rows_are_apart,
    check_padding_is_invisible,
    check_bag_order,
    check_gradients,
    check_seed,
    check_state,
    check_export,
    check_integer_types,
    check_relabelling,
    check_inputs_are_kept,
)


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _ids_of(field: int) -> Tensor:
    """The ids of a field, which lie between those of the others."""
    return torch.arange(1 + field, _SPACE.num_ids, _SPACE.num_fields)


def _batch(rows: int) -> tuple[Tensor, Tensor]:
    """The same rows every time; in the bags, about a third of the slots are padding, in any place."""
    generator = _generator(1)
    ids = torch.zeros(rows, _SPACE.num_slots, dtype=torch.long)
    for slot, field in enumerate(_SPACE.slot_fields):
        known = _ids_of(field)
        ids[:, slot] = known[torch.randint(len(known), (rows,), generator=generator)]
        if _SPACE.fields[field].slots > 1:
            ids[:, slot] *= torch.rand(rows, generator=generator) > 0.3
    values = 0.5 + torch.rand(rows, _SPACE.num_slots, generator=generator)
    return ids, values.masked_fill(ids == 0, 0)


def _built(build: Build, seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build(_SPACE)


def _network(build: Build, seed: int = 0) -> nn.Module:
    """A network as training might leave it: every weight has moved, row 0 of the tables has not."""
    network = _built(build, seed)
    generator = _generator(seed)
    with torch.no_grad():
        padding = [table.weight[0].clone() for _, table in _tables(network)]
        for parameter in network.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.1)
        for (_, table), row in zip(_tables(network), padding, strict=True):
            table.weight[0] = row
    return network.eval()


def _tables(network: nn.Module) -> list[tuple[str, nn.Embedding]]:
    tables = [(name, m) for name, m in network.named_modules() if isinstance(m, nn.Embedding)]
    tables = [(name, table) for name, table in tables if table.num_embeddings == _SPACE.num_ids]
    _expect(
        bool(tables), "a network must keep its weights of ids in a 'torch.nn.Embedding' of num_ids rows; it has none"
    )
    return tables


def _loss(network: nn.Module) -> Tensor:
    ids, values = _batch(_ROWS)
    labels = torch.rand(_ROWS, generator=_generator(3)).round()
    return F.binary_cross_entropy_with_logits(_seeded(network, ids, values), labels)


def _seeded(network: nn.Module, ids: Tensor, values: Tensor) -> Tensor:
    """Dropout's draws, too, are the same every time, and leave the caller's generator alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        logits: Tensor = network(ids, values)
        return logits


def _expect(holds: bool, sentence: str) -> None:
    if not holds:  # not `assert`: the contract holds under `python -O` too
        raise AssertionError(sentence)


def _expect_close(actual: Tensor, expected: Tensor, sentence: str) -> None:
    """Equal but for the rounding of another order of sums."""
    room = 1e-4 * (1 + expected.abs().max()) if expected.numel() else 0
    _expect(bool(((actual - expected).abs() <= room).all()), sentence)
