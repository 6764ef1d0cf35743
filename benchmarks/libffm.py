"""FM and FFM on the rows of a libffm file, against the formulas applied to its triples one by one.

    python benchmarks/libffm.py FILE

Each line of a libffm file is a label and `field:feature:value` triples. The rows are laid out as slots of their
fields, as the encoder does with a weighted bag, and both models score them in float64; beside them stand the sums over
all pairs of triples, as the papers write them, in plain Python. Prints the largest difference; more than 1e-9 is a
fault.
"""

from __future__ import annotations

import argparse
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from masknet.models import FactorizationMachine, FieldAwareFactorizationMachine
from masknet.space import FeatureSpace, FieldSpace

Triple = tuple[int, int, float]
DIM = 3


def read(file: Path) -> list[list[Triple]]:
    rows = []
    for line in file.read_text(encoding="utf-8").splitlines():
        parts = (word.split(":") for word in line.split()[1:])
        rows.append([(int(field), int(feature), float(value)) for field, feature, value in parts])
    return rows


def laid_out(rows: list[list[Triple]]) -> tuple[FeatureSpace, torch.Tensor, torch.Tensor]:
    """The space, ids and values: as many slots a field as the row that has most of it."""
    fields = sorted({field for row in rows for field, _, _ in row})
    slots = [max(1, *(sum(f == field for f, _, _ in row) for row in rows)) for field in fields]
    num_ids = 2 + max(feature for row in rows for _, feature, _ in row)
    space = FeatureSpace(
        num_ids,
        tuple(FieldSpace(f"f{field}", kind="bag", slots=n) for field, n in zip(fields, slots, strict=True)),
    )
    ids = torch.zeros(len(rows), space.num_slots, dtype=torch.long)
    values = torch.zeros(len(rows), space.num_slots, dtype=torch.float64)
    for at, row in enumerate(rows):
        for place, own in enumerate(space.field_slots):
            held = [(feature, value) for field, feature, value in row if field == fields[place]]
            for slot, (feature, value) in zip(own, held, strict=False):
                ids[at, slot], values[at, slot] = 1 + feature, value
    return space, ids, values


def by_hand(
    rows: list[list[Triple]], state: dict[str, NDArray[Any]], space: FeatureSpace, *, aware: bool
) -> list[float]:
    """The linear term, and the product of the vectors of each two triples: FFM's are those for the other's field."""
    fields = sorted({field for row in rows for field, _, _ in row})
    met = state["vectors.weight"].shape[1] // DIM if aware else 0
    found = []
    for row in rows:
        total = float(state["linear.bias"])
        for _, feature, value in row:
            total += value * state["linear.table.weight"][1 + feature, 0]
        for (f, i, x), (g, j, y) in combinations(row, 2):
            if aware:
                v, w = (state["vectors.weight"][1 + one].reshape(met, DIM) for one in (i, j))
                # Where no field meets itself, a feature has no vector for its own field.
                f, g = fields.index(f), fields.index(g)
                for_g, for_f = (g, f) if met == len(fields) else (g - (g > f), f - (f > g))
                total += x * y * float(v[for_g] @ w[for_f])
            else:
                total += x * y * float(state["factors.weight"][1 + i] @ state["factors.weight"][1 + j])
        found.append(total)
    return found


def differences(file: Path) -> dict[str, float]:
    """The largest of each model."""
    rows = read(file)
    space, ids, values = laid_out(rows)
    found = {}
    for name, model, aware in (
        ("fm", FactorizationMachine, False),
        ("ffm", FieldAwareFactorizationMachine, True),
    ):
        torch.manual_seed(0)
        network = model(space, embedding_dim=DIM).double()
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.normal_()
            for table in (module for module in network.modules() if isinstance(module, torch.nn.Embedding)):
                table.weight[0] = 0
            logits = network(ids, values).numpy()
        state = {key: tensor.numpy() for key, tensor in network.state_dict().items()}
        expected = np.array(by_hand(rows, state, space, aware=aware))
        found[name] = float(np.abs(logits - expected).max() / max(1.0, np.abs(expected).max()))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    options = parser.parse_args()
    for name, difference in differences(options.file).items():
        print(f"{name}: {difference:.1e}")
        if difference > 1e-9:
            raise SystemExit(1)


if __name__ == "__main__":
    main()
