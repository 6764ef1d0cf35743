"""What a row costs: products and bytes as a function of the network's shape, and what follows for machines.

    python benchmarks/cost_model.py    # puts the tables, with the rates of results/latest.json, into docs/cost.md

Nothing is measured here. The formulas are held to the networks by tests; the rates of this machine are those of
`make bench`, those of others are named with their source.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from cells import with_table

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "cost.md"
LATEST = ROOT / "benchmarks" / "results" / "latest.json"

FP32, BF16 = 4, 2
MOVES_OF_A_WEIGHT = 13
"""A step reads it forward and back, writes its gradient, and moves 7 numbers in Adam and 3 in the average."""

MOVES_OF_A_TABLE = 12
"""A dense step moves so many for each number of a table: gradient and norm 2, Adam 7, the average 3."""

MOVES_OF_A_READ_ROW = 14
"""A sparse step moves for each number of a row that the batch reads: 4 to read and to gather, 7 and 3 as above."""


@dataclass(frozen=True)
class Shape:
    """A MaskNet in the paper's letters.

    >>> Shape(f=39, k=10, r=2, q=400, u=3, top=(400, 400, 400)).weights
    3093600

    Args:
        f, k: fields, and the width of an embedding.
        r: the aggregation of a mask in units of what it multiplies.
        q, u: the width of a block, and how many there are.
        top: the layers on the merged blocks; None for the serial network, whose blocks stand on each other.
        batch: rows a step.
    """

    f: int
    k: int
    r: float
    q: int
    u: int
    top: tuple[int, ...] | None
    batch: int = 2_000

    @property
    def inputs(self) -> list[int]:
        """What each block masks, the paper's `z`."""
        m = self.f * self.k
        return [m] * self.u if self.top is not None else [m, *[self.q] * (self.u - 1)]

    @property
    def layers(self) -> list[int]:
        """The widths from what the blocks give to the logit."""
        return [self.q, 1] if self.top is None else [self.u * self.q, *self.top, 1]

    @property
    def weights(self) -> int:
        """Of all dense layers, without biases and norms."""
        m = self.f * self.k
        blocks = sum(m * (t := round(self.r * z)) + t * z + z * self.q for z in self.inputs)
        return blocks + sum(a * b for a, b in pairwise(self.layers))

    @property
    def numbers(self) -> int:
        """That the forward pass of a row reads and writes between its layers."""
        m = self.f * self.k
        embedding = 2 * m + 2 * m  # gathered, and normalised
        # read V_emb, aggregation written and read, mask written, product of two, mix, norm and ReLU
        blocks = sum(m + 2 * round(self.r * z) + 5 * z + 5 * self.q for z in self.inputs)
        return embedding + blocks + sum(a + 2 * b for a, b in pairwise(self.layers))

    @property
    def forward_flops(self) -> int:
        """Of a row: a product and a sum a weight."""
        return 2 * self.weights

    @property
    def train_flops(self) -> int:
        """Of a row: forward, and back once for the inputs and once for the weights."""
        return 3 * self.forward_flops

    def train_bytes(self, size: int = FP32) -> float:
        """Of a row: what lies between layers, forward and twice as much back, and the weights' share of a step."""
        return 3 * size * self.numbers + MOVES_OF_A_WEIGHT * FP32 * self.weights / self.batch

    def table_bytes(self, ids: int) -> float:
        """Of a row: the share of a dense step over a whole id table."""
        return MOVES_OF_A_TABLE * FP32 * ids * self.k / self.batch

    def sparse_bytes(self, distinct: float) -> float:
        """Of a row: that of a sparse step over the distinct ids of a batch, so many a row."""
        return MOVES_OF_A_READ_ROW * FP32 * distinct * self.k


PAPER = Shape(f=39, k=10, r=2, q=400, u=3, top=(400, 400, 400))
SERIAL = replace(PAPER, top=None)
DEFAULTS = Shape(f=39, k=10, r=1, q=64, u=3, top=(128,), batch=1_024)
SHAPES = {
    "parallel, 3 x 400, top 3 x 400, r 2": PAPER,
    "serial, 3 x 400, r 2": SERIAL,
    "the defaults: parallel, 3 x 64, top 128, r 1": DEFAULTS,
    "the defaults with 10 fields": replace(DEFAULTS, f=10),
    "the defaults with 100 fields": replace(DEFAULTS, f=100),
}


@dataclass(frozen=True)
class Unit:
    """Arithmetic and memory of a machine: GFLOP/s and GB/s of all of it, and the bytes of a number between layers."""

    gflops: float
    gbytes: float
    size: int


# The rates of other machines: GEMM of these shapes as measured on two cores each, by their owners' bandwidth; the last
# one by its data sheet.
UNITS = {
    "2 cores, AVX2, fp32": Unit(165, 25, FP32),
    "2 cores, AVX-512, fp32": Unit(180, 25, FP32),
    "2 cores, AVX-512 BF16": Unit(353, 25, BF16),
    "2 cores, AMX, fp32": Unit(350, 25, FP32),
    "2 cores, AMX, bf16": Unit(2_700, 25, BF16),
    "a GPU of 989 TFLOP/s and 4.8 TB/s, bf16": Unit(989_000, 4_800, BF16),
}


def _short(number: float) -> str:
    for limit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= limit:
            return f"{number / limit:.3g} {name}"
    return f"{number:.3g} "


def shapes() -> str:
    """What a row of each network costs."""
    lines = [
        "| network, 39 fields, k 10 | weights | FLOP a row, scoring | training | bytes a row, training fp32 | bf16 | "
        "FLOP a byte, fp32 | bf16 |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, shape in SHAPES.items():
        of_sizes = [shape.train_bytes(size) for size in (FP32, BF16)]
        flops = [f"{_short(count)}" for count in (shape.forward_flops, shape.train_flops)]
        counted = " | ".join([*flops, *(f"{_short(count)}B" for count in of_sizes)])
        ratios = " | ".join(f"{shape.train_flops / count:.0f}" for count in of_sizes)
        lines.append(f"| {name} | {shape.weights:,} | {counted} | {ratios} |")
    return "\n".join(lines) + "\n"


def units() -> str:
    """Which resource bounds which network where, and from how many ids on a dense step's sweep takes half of it."""
    lines = [
        "| machine | FLOP a byte that it can | rows/s by arithmetic: paper's parallel | by memory | defaults, by "
        "arithmetic | by memory | ids from which a dense step sweeps for longer than it computes: paper's | defaults |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, unit in UNITS.items():
        cells = [f"{unit.gflops / unit.gbytes:,.0f}"]
        for shape in (PAPER, DEFAULTS):
            cells.append(f"{1e9 * unit.gflops / shape.train_flops:,.0f}")
            cells.append(f"{1e9 * unit.gbytes / shape.train_bytes(unit.size):,.0f}")
        for shape in (PAPER, DEFAULTS):
            seconds = max(shape.train_flops / unit.gflops, shape.train_bytes(unit.size) / unit.gbytes)  # of 10^9 rows
            cells.append(f"{_short(seconds * unit.gbytes / shape.table_bytes(1))}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def tables() -> dict[str, Callable[[], str]]:
    """Those of the page, by their marks."""
    return {"shapes": shapes, "units": units, "epoch": epoch}


CRITEO, DAY = 45_840_617, 1_000_000_000
TOLD = ("CSV", "Parquet", "training, parallel", "training, the network", "training, LR")


def epoch() -> str:
    """What the measured rates make of Criteo's rows, and of a billion a day."""
    latest = json.loads(LATEST.read_text(encoding="utf-8"))
    rates = {stage["stage"]: stage["value"] for stage in latest["stages"] if stage["unit"] == "rows/s"}
    machine = f"{latest['hardware']['processor']}, {latest['hardware']['threads']} threads"
    told = sorted(name for name in rates if rates[name] and name.startswith(TOLD))
    lines = [
        f"| measured on {machine} | rows/s | Criteo's 45.8 million rows | a billion rows |",
        "|---|---:|---:|---:|",
    ]
    lines += [
        f"| {name} | {rates[name]:,.0f} | {CRITEO / rates[name] / 3600:,.1f} h | {DAY / rates[name] / 3600:,.1f} h |"
        for name in told
    ]
    return "\n".join(lines) + "\n"


def with_tables(page: str) -> str:
    """The page with each table between its marks."""
    for title, table in tables().items():
        page = with_table(page, title, table())
    return page


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
