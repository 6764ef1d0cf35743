"""The behaviour that every network owes the engine, a user's own too: small checks, and one that runs them all.

    from masknet.testing import check_network

    def test_my_network() -> None:
        check_network(lambda space: MyNetwork(space, width=16))

Each check builds small networks with `build`, gives them weights far from their start (a start of zeros would hide most
faults) and raises AssertionError with one sentence. `CHECKS` lists them, for a test that is to be run once a check.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 -- the name by which all of PyTorch's users know it

from masknet.generator import own_draws
from masknet.nn import IdTable, id_tables
from masknet.space import FeatureSpace, FieldSpace

Build = Callable[[FeatureSpace], nn.Module]

_SPACE = FeatureSpace(
    num_ids=36,
    fields=(
        FieldSpace("user"),
        FieldSpace("price", kind="numeric"),
        FieldSpace("image", kind="dense", slots=0, width=3, projected=True),
        FieldSpace("tags", kind="bag", slots=3),
        FieldSpace("text", kind="dense", slots=0, width=2),
        FieldSpace("genres", kind="bag", slots=2, pooling="mean"),
        FieldSpace("history", kind="bag", slots=3, pooling="mean", ordered=True),
    ),
)
_WITHOUT_DENSE = FeatureSpace(_SPACE.num_ids, tuple(f for f in _SPACE.fields if not f.width))
_TWO_TASKS = replace(_SPACE, num_tasks=2)
_ROWS = 32

_Rows = tuple[Tensor, Tensor, Tensor]
"""The three arguments of a network."""


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
    """0, 1 and n rows give as many finite logits."""
    network = _network(build)
    for rows in (0, 1, _ROWS):
        logits = network(*_batch(rows))
        _expect(
            isinstance(logits, Tensor) and logits.shape == (rows,),
            f"{rows} rows must give logits of shape [{rows}]; got {getattr(logits, 'shape', type(logits).__name__)}",
        )
        _expect(logits.is_floating_point(), f"logits must be floating-point numbers; got {logits.dtype}")
        _expect(bool(logits.isfinite().all()), "logits must be finite; some are not")


def check_dense_is_none_without_dense_fields(build: Build) -> None:
    """Over a space without dense fields, the argument `dense` is None, or left out."""
    network = _network(build, space=_WITHOUT_DENSE)
    ids, values, _ = _batch(_ROWS)
    _expect(torch.equal(network(ids, values, None), network(ids, values)), "'dense' left out must be None; it is not")


def check_every_slot_is_read(build: Build) -> None:
    """Another id in a slot changes the logit."""
    network = _network(build)
    ids, values, dense = _batch(_ROWS)
    for slot in range(_SPACE.num_slots):
        other = ids.clone()
        other[:, slot] = _ids_of(_SPACE.slot_fields[slot])[0]
        changed = (network(ids, values, dense) != network(other, values, dense)).any()
        _expect(bool(changed), f"the logits must depend on every slot; those of slot {slot} change nothing")


def check_every_dense_column_is_read(build: Build) -> None:
    """Another number in a dense column changes the logit; rows without their dense columns are refused."""
    network = _network(build)
    ids, values, dense = _batch(_ROWS)
    for column in range(_SPACE.dense_width):
        other = dense.clone()
        other[:, column] += 1
        changed = (network(ids, values, dense) != network(ids, values, other)).any()
        _expect(bool(changed), f"the logits must depend on every dense column; column {column} changes nothing")
    try:
        network(ids, values, None)
    except ValueError:
        return
    raise AssertionError("over a space with dense fields, 'dense' given as None must be a ValueError; it is none")


def check_rows_are_apart(build: Build) -> None:
    """A row's logit does not depend on the other rows of its batch (when scoring)."""
    network = _network(build)
    rows = _batch(_ROWS)
    logits = network(*rows)
    alone = torch.cat([network(*(part[i : i + 1] for part in rows)) for i in range(_ROWS)])
    _expect_close(alone, logits, "a row's logit must not depend on the rows beside it")


def check_padding_is_invisible(build: Build) -> None:
    """Id 0 adds nothing, whatever its value, and its row of every table stays zero in training."""
    network = _network(build)
    ids, values, dense = _batch(_ROWS)
    padding = ids == 0
    for value in (-3.0, 7.0):
        logits = network(ids, values.masked_fill(padding, value), dense)
        message = f"padding must be invisible; its value {value} changed a logit"
        _expect_close(logits, network(ids, values, dense), message)
    network.train()
    if hasattr(network, "learn"):
        _learn(network)
    else:
        _descend(network)
    for name, table in _tables(network).items():
        _expect(not table.weight[0].any(), f"row 0 of a table must stay zero in training; that of '{name}' did not")


def check_bag_order(build: Build) -> None:
    """The order of the slots of an unordered field does not matter."""
    network = _network(build)
    ids, values, dense = _batch(_ROWS)
    for field, slots in zip(_SPACE.fields, _SPACE.field_slots, strict=True):
        if field.ordered:
            continue
        order = torch.arange(_SPACE.num_slots)
        order[slots.start : slots.stop] = order[slots.start : slots.stop].flip(0)
        _expect_close(
            network(ids[:, order], values[:, order], dense),
            network(ids, values, dense),
            f"the order of the slots of an unordered field must not matter; that of '{field.name}' did",
        )


def check_gradients(build: Build) -> None:
    """Every parameter gets a finite gradient that is not all zero; of a network that learns by row, each is moved."""
    network = _network(build).train()
    if hasattr(network, "learn"):
        before = {name: parameter.clone() for name, parameter in network.named_parameters()}
        _learn(network)
        for name, parameter in network.named_parameters():
            _expect(bool(parameter.isfinite().all()), f"what is learned must be finite; '{name}' is not")
            _expect(not torch.equal(parameter, before[name]), f"every parameter must be learned; '{name}' was not")
        return
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
    rows = _batch(_ROWS)
    _expect(
        torch.equal(network(*rows), copy(*rows)),
        "'state_dict' must hold all that the logits depend on; a network loaded from it gave others",
    )


def check_export(build: Build) -> None:
    """`torch.export` with a dynamic number of rows gives the same logits."""
    network = _network(build)
    rows = torch.export.Dim("rows", max=2**31 - 1)  # without a bound torch 2.6 refuses the largest int64
    try:
        program = torch.export.export(network, _batch(5), dynamic_shapes=({0: rows}, {0: rows}, {0: rows}))
    except Exception as error:
        raise AssertionError(
            f"'torch.export' must take the network with any number of rows; it said: {error}"
        ) from error
    for n in (1, 8):
        given = _batch(n)
        _expect_close(program.module()(*given), network(*given), f"exported, {n} rows must give equal logits")


def check_integer_types(build: Build) -> None:
    """Ids in 32 and in 64 bits give the same logits."""
    network = _network(build)
    ids, values, dense = _batch(_ROWS)
    _expect(
        torch.equal(network(ids.int(), values, dense), network(ids.long(), values, dense)),
        "ids in int32 and in int64 must give the same logits; they differ",
    )


def check_relabelling(build: Build) -> None:
    """Other ids for the same rows of the tables change nothing: an id means what its row holds, wherever it lies."""
    network = _network(build)
    ids, values, dense = _batch(_ROWS)
    expected = network(ids, values, dense)
    new_id = torch.cat(
        [torch.zeros(1, dtype=torch.long), 1 + torch.randperm(_SPACE.num_ids - 1, generator=_generator(2))]
    )
    with torch.no_grad():
        for table in _tables(network).values():
            table.weight[new_id] = table.weight.clone()
    message = "the place of an id in the table must mean nothing; it does"
    _expect_close(network(new_id[ids], values, dense), expected, message)


def check_inputs_are_kept(build: Build) -> None:
    """Neither scoring nor training writes into the rows."""
    network = _network(build)
    rows = _batch(_ROWS)
    for mode in (False, True):
        logits = _seeded(network.train(mode), rows)
        if hasattr(network, "learn"):
            learn: Any = network.learn
            learn(*rows, _labels())
        else:
            logits.sum().backward()  # type: ignore[no-untyped-call]
        for name, given, before in zip(("ids", "values", "dense"), rows, _batch(_ROWS), strict=True):
            _expect(torch.equal(given, before), f"the network must not write into '{name}'; it did")


def check_tasks(build: Build) -> None:
    """Over a space of two labels, n rows give `[n, 2]` finite logits; each label reads the rows, in its own way.

    It is none of `CHECKS`, since a network may be made for one label: a run of several asks it.
    """
    network = _network(build, space=_TWO_TASKS)
    for rows in (0, 1, _ROWS):
        logits = network(*_batch(rows))
        _expect(
            isinstance(logits, Tensor) and logits.shape == (rows, 2),
            f"over a space of 2 tasks, {rows} rows must give logits of shape [{rows}, 2]; got "
            f"{getattr(logits, 'shape', type(logits).__name__)}",
        )
        _expect(bool(logits.isfinite().all()), "logits must be finite; some are not")
    for task in range(2):
        _expect(
            bool((logits[:, task] != logits[0, task]).any()), f"every task must read the rows; task {task} does not"
        )
    _expect(not torch.equal(logits[:, 0], logits[:, 1]), "every task must have weights of its own; two of them are one")


CHECKS: tuple[Callable[[Build], None], ...] = (
    check_logits,
    check_dense_is_none_without_dense_fields,
    check_every_slot_is_read,
    check_every_dense_column_is_read,
    check_rows_are_apart,
    check_padding_is_invisible,
    check_bag_order,
    check_gradients,
    check_seed,
    check_state,
    check_integer_types,
    check_relabelling,
    check_inputs_are_kept,
    check_export,  # the slowest: a network that breaks another rule hears of that first
)


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _ids_of(field: int) -> Tensor:
    """The ids of a field, which lie between those of the others."""
    return torch.arange(1 + field, _SPACE.num_ids, _SPACE.num_fields)


def _batch(rows: int) -> _Rows:
    """The same rows every time; in the bags, about a third of the slots are padding: in any place, or last in order."""
    generator = _generator(1)
    ids = torch.zeros(rows, _SPACE.num_slots, dtype=torch.long)
    for slot, field in enumerate(_SPACE.slot_fields):
        known = _ids_of(field)
        ids[:, slot] = known[torch.randint(len(known), (rows,), generator=generator)]
        if _SPACE.fields[field].slots > 1:
            ids[:, slot] *= torch.rand(rows, generator=generator) > 0.3
    for bag, slots in zip(_SPACE.fields, _SPACE.field_slots, strict=True):
        if bag.ordered:  # its values stand side by side from its first slot on
            own = ids[:, slots.start : slots.stop]
            ids[:, slots.start : slots.stop] = own.gather(1, (own == 0).int().argsort(dim=1, stable=True))
    values = 0.5 + torch.rand(rows, _SPACE.num_slots, generator=generator)
    dense = torch.randn(rows, _SPACE.dense_width, generator=generator)
    return ids, values.masked_fill(ids == 0, 0), dense


def _built(build: Build, seed: int, space: FeatureSpace = _SPACE) -> nn.Module:
    with own_draws(seed):
        return build(space)


def _network(build: Build, seed: int = 0, space: FeatureSpace = _SPACE) -> nn.Module:
    """A network as training might leave it: every weight has moved, row 0 of the tables has not."""
    network = _built(build, seed, space)
    generator = _generator(seed)
    with torch.no_grad():
        padding = [table.weight[0].clone() for table in _tables(network).values()]
        for parameter in network.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.1)
        for table, row in zip(_tables(network).values(), padding, strict=True):
            table.weight[0] = row
    return network.eval()


def _tables(network: nn.Module) -> dict[str, IdTable]:
    tables = id_tables(network)
    _expect(
        bool(tables), "a network must keep its weights of ids in a 'masknet.nn.IdTable' of num_ids rows; it has none"
    )
    for name, table in tables.items():
        rows = table.num_embeddings
        _expect(rows == _SPACE.num_ids, f"an id table must have num_ids = {_SPACE.num_ids} rows; '{name}' has {rows}")
    return tables


def _loss(network: nn.Module) -> Tensor:
    return F.binary_cross_entropy_with_logits(_seeded(network, _batch(_ROWS)), _labels())


def _labels() -> Tensor:
    return torch.rand(_ROWS, generator=_generator(3)).round()


def _descend(network: nn.Module) -> None:
    optimiser = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(3):
        optimiser.zero_grad()
        _loss(network).backward()  # type: ignore[no-untyped-call]
        optimiser.step()


def _learn(network: nn.Module) -> None:
    learn: Any = network.learn
    learn(*_batch(_ROWS), _labels())


def _seeded(network: nn.Module, rows: _Rows) -> Tensor:
    """Dropout's draws, too, are the same every time, and leave the caller's generator alone."""
    with own_draws(0):
        logits: Tensor = network(*rows)
        return logits


def _expect(holds: bool, sentence: str) -> None:
    if not holds:  # not `assert`: the contract holds under `python -O` too
        raise AssertionError(sentence)


def _expect_close(actual: Tensor, expected: Tensor, sentence: str) -> None:
    """Equal but for the rounding of another order of sums."""
    room = 1e-4 * (1 + expected.abs().max()) if expected.numel() else 0
    _expect(bool(((actual - expected).abs() <= room).all()), sentence)
