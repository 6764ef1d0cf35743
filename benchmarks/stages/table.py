"""The stages: what is measured beside what, at which sizes, and what each must reach."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from machine import bf16_unit
from made_log import CATEGORICAL, LABEL, NUMERIC
from stages import today
from stages.bench import BASE, Bench, Checkout, Claim, Plan, Side

COLUMNS = {"label": LABEL, "numeric": list(NUMERIC), "categorical": list(CATEGORICAL)}
BLOCKS, TOP = [400, 400, 400], [400, 400, 400]
FIELDS, DIM = len(NUMERIC) + len(CATEGORICAL), 10
VOCABULARY = 115_000
"""Of which some 100 thousand categories occur in the rows."""

PLAIN: dict[str, Any] = COLUMNS | {
    "numeric_encoding": "linear",
    "min_count": 1,
    "unseen_rate": 0.0,
    "embedding_l2": 0.0,
    "average_weights": 0.0,
    "clip": None,
    "members": 1,
    "batch_size": 2000,
    "learning_rate": 1e-3,
}
"""A slot a field, and nothing beside the gradient: what the conventional implementation does too."""

KINDS: dict[str, dict[str, Any]] = {
    "parallel": {"embedding_dim": DIM, "block_dims": BLOCKS, "top_dims": TOP},
    "serial": {"embedding_dim": DIM, "block_dims": BLOCKS},
}
CONVENTIONAL: dict[str, dict[str, Any]] = {
    "parallel": {"dim": DIM, "blocks": BLOCKS, "top": TOP, "reduction": 2.0},
    "serial": {"dim": DIM, "blocks": BLOCKS, "reduction": 2.0},
}
PRODUCTS: dict[str, dict[str, Any]] = {
    kind: {"kind": kind, "width": FIELDS * DIM, "blocks": BLOCKS, "top": top, "reduction": 2.0}
    for kind, top in (("parallel", TOP), ("serial", []))
} | {"defaults": {"kind": "parallel", "width": FIELDS * DIM, "blocks": [64, 64, 64], "top": [128], "reduction": 1.0}}
"""What `stages.bounds` is told of a network."""


def _products(bench: Bench, network: str, batch: int, *, dtype: str = "fp32", backward: bool = True) -> Side:
    """The products of a step, or of a forward pass, alone."""
    given = PRODUCTS[network] | {"batch": batch, "dtype": dtype, "backward": backward, "device": bench.device}
    return bench.beside("stages.bounds:products", **given)


def paper(kind: str, **settings: Any) -> dict[str, Any]:
    """The settings of one of the paper's networks."""
    network = KINDS[kind] | {"reduction": 2.0, "embedding_norm": True, "hidden_norm": True}
    return PLAIN | {"model": f"{kind}-masknet", "set": network} | settings


def reading(ending: str, bench: Bench) -> Plan:
    log = bench.log(bench.size(200_000, 1_000_000), VOCABULARY)
    given = {"data": getattr(log, ending), "rows": log.rows}
    settings = {"label": LABEL}
    name = {"csv": "CSV with 39 columns to an encoded set", "parquet": "Parquet to an encoded set"}[ending]
    claim = Claim(name, "masknet", BASE, must=4.0, aim={"csv": "6x", "parquet": "8x"}[ending], bound="Polars reads it")
    sides = {
        "masknet": bench.of(bench.today, "stages.encoding:encode", **given, settings=settings),
        BASE: bench.of(bench.base, "stages.encoding:encode", **given, settings=settings),
        "Polars reads it": bench.beside("stages.encoding:read", **given),
    }
    if ending == "parquet":
        return Plan(f"{log.rows:,} rows", sides, (claim,))
    sides["FuxiCTR"] = bench.fuxictr("encode", **given)
    return Plan(f"{log.rows:,} rows", sides, (claim, replace(claim, baseline="FuxiCTR", must=8.0, aim="12x")))


def training(kind: str, bench: Bench) -> Plan:
    log = bench.log(bench.size(200_000, 1_000_000), VOCABULARY)
    common = {"data": log.csv, "count": bench.size(20, 100), "warmup": 3, "device": bench.device}
    settings = paper(kind)
    steps = "stages.training:steps"
    unit = bf16_unit(bench.device)
    if unit is None:
        bf16: Side | str = "the processor multiplies bf16 no faster than fp32: it has neither AVX-512 BF16 nor AMX"
    elif not today.knows(precision="bf16"):
        bf16 = "this version trains in fp32 alone"
    else:
        bf16 = bench.of(bench.today, steps, **common, settings=settings | {"precision": "bf16"})
    sides = {
        "masknet": bench.of(bench.today, steps, **common, settings=settings | {"precision": "fp32"}),
        "masknet in bf16": bf16,
        "conventional": bench.beside(
            "stages.by_convention:steps",
            **common,
            cache=str(bench.today.cache),
            settings=settings,
            kind=kind,
            network=CONVENTIONAL[kind],
        ),
        "FuxiCTR": bench.fuxictr(
            "steps",
            **common,
            kind=kind,
            network=CONVENTIONAL[kind],
            batch_size=settings["batch_size"],
            learning_rate=settings["learning_rate"],
        ),
        "products in fp32": _products(bench, kind, settings["batch_size"]),
        "products in bf16": _products(bench, kind, settings["batch_size"], dtype="bf16")
        if unit
        else "no bf16 products here",
    }
    name = f"training, {kind} 3 x 400"
    of_bf16 = Claim(
        f"{name}, bf16",
        "masknet in bf16",
        "conventional",
        must=3.0 if unit == "matrix unit" else 2.3,
        aim="5x" if unit == "matrix unit" else "2.7x, and 60 % of the products",
        bound="products in bf16",
    )
    claims = [
        of_bf16,
        replace(of_bf16, baseline="FuxiCTR", must=3.0 if unit == "matrix unit" else None, aim=""),
        Claim(f"{name}, fp32", "masknet", "conventional", must=1.1, aim="1.7x", bound="products in fp32"),
        Claim(f"{name}, fp32", "masknet", "FuxiCTR", must=None, bound="products in fp32"),
    ]
    return Plan(f"k {DIM}, f {FIELDS}, r 2, some 100,000 ids, batch 2,000", sides, tuple(claims))


def defaults(bench: Bench) -> Plan:
    log = bench.log(bench.size(200_000, 1_000_000), VOCABULARY)
    settings = COLUMNS | {"members": 1, "batch_size": 1024}
    given = {
        "data": log.csv,
        "settings": settings,
        "count": bench.size(60, 300),
        "warmup": 5,
        "device": bench.device,
    }
    sides = {
        "masknet": bench.of(bench.today, "stages.training:steps", **given),
        BASE: bench.of(bench.base, "stages.training:steps", **given),
        "products in fp32": _products(bench, "defaults", 1024),
    }
    claim = Claim("training, the network of the defaults", "masknet", BASE, 2.0, aim="3x", bound="products in fp32")
    return Plan("3 x 64, top 128, r 1, batch 1,024, weight average on", sides, (claim,))


def members(bench: Bench) -> Plan:
    log = bench.log(bench.size(30_000, 200_000), 20_000)
    epoch = COLUMNS | {"batch_size": 1024, "epochs": 1, "evaluations": 1, "device": bench.device}
    given = {"data": log.csv, "kept": True, "rows": 4 * log.rows}
    alone = [epoch | {"members": 1, "seed": seed} for seed in range(4)]
    sides = {
        "one run": bench.of(bench.today, "stages.training:runs", **given, settings=[epoch | {"members": 4}]),
        "four runs": bench.of(bench.today, "stages.training:runs", **given, settings=alone),
        "products in fp32": _products(bench, "defaults", 1024),
    }
    claim = Claim(
        "training, four members of the defaults in one run",
        "one run",
        "four runs",
        1.5,
        aim="2.5x",
        bound="products in fp32",
    )
    return Plan(f"{log.rows:,} encoded rows, an epoch of each member, whole runs", sides, (claim,), repeats=2)


def lightgbm(bench: Bench) -> Plan:
    log = bench.log(bench.size(100_000, 1_000_000), VOCABULARY)
    given = {"data": log.csv, "valid": log.valid}
    settings = COLUMNS | {"members": 1, "evaluations": 8, "device": bench.device}
    sides = {
        "lightgbm": bench.beside("stages.lightgbm_trees:reached", **given, label=LABEL, texts=list(CATEGORICAL)),
        "masknet": bench.of(bench.today, "stages.training:until", **given, settings=settings),
    }
    claim = Claim(
        "time from the CSV to LightGBM's AUC", "masknet", "lightgbm", 1.0, "half", "seconds", "s", at_most=True
    )
    return Plan(f"{log.rows:,} rows, the defaults with one member", sides, (claim,), repeats=bench.size(1, 3))


def vocabulary(bench: Bench) -> Plan:
    log = bench.log(bench.size(200_000, 1_000_000), VOCABULARY)
    given = {"data": log.csv, "warmup": 2, "device": bench.device}
    settings = paper("parallel", average_weights=0.999)
    small = settings | {"batch_size": 1024}

    def sparse(times: int, settings: dict[str, Any], count: int) -> Side | str:
        if not today.knows(embedding_updates="sparse"):
            return "this version has no --embedding-updates sparse"
        settings = settings | {"embedding_updates": "sparse"}
        return bench.of(bench.today, "stages.training:steps", **given, settings=settings, count=count, times=times)

    sizes = {"100 thousand ids": 1, "1 million ids": 10, "10 million ids": 100}
    sides = {name: sparse(times, settings, bench.size(10, 50)) for name, times in sizes.items()}
    sides["batches of 1,024"] = sparse(100, small, bench.size(20, 100))
    sides["conventional"] = bench.beside(
        "stages.by_convention:steps",
        **given,
        cache=str(bench.today.cache),
        settings=small,
        kind="parallel",
        network=CONVENTIONAL["parallel"],
        count=bench.size(3, 10),
        times=100,
    )
    sides["products in fp32"] = _products(bench, "parallel", small["batch_size"])
    grown = Claim("", "", "100 thousand ids", must=None, figure="ms", unit="ms", at_most=True)
    claims = (
        replace(grown, stage="a step with 1 million ids, sparse", ours="1 million ids"),
        replace(grown, stage="a step with 10 million ids, sparse", ours="10 million ids", must=1.5, aim="1.15x"),
        Claim(
            "training with 10 million ids, sparse, batch 1,024",
            "batches of 1,024",
            "conventional",
            must=8.0,
            bound="products in fp32",
        ),
    )
    at = "parallel 3 x 400, weight average on, batch 2,000; the same rows, their ids spread"
    return Plan(at, sides, claims)


def growth(bench: Bench) -> Plan:
    sizes = (bench.size(100_000, 1_000_000), bench.size(400_000, 10_000_000))
    epoch = COLUMNS | {"model": "lr", "batch_size": 4096, "epochs": 1, "evaluations": 1}
    names = [f"{rows:,} rows" for rows in sizes]
    sides: dict[str, Side | str] = {}
    for name, rows in zip(names, sizes, strict=True):
        log = bench.log(rows, 20_000)
        side = bench.of(bench.today, "stages.training:runs", data=log.csv, settings=[epoch], kept=False, rows=rows)
        sides[name] = side if isinstance(side, str) else replace(side, fresh=True, watched=True)
    linear = Claim("growth with rows, the rate", names[1], names[0], 0.9, "1x")
    flat = Claim("growth with rows, memory", names[1], names[0], 1.1, "1x", "anonymous_mib", "MiB", at_most=True)
    return Plan("a CSV to a model of logistic regression, one epoch", sides, (linear, flat), repeats=bench.size(2, 3))


def small(bench: Bench) -> Plan:
    log = bench.log(bench.size(200_000, 1_000_000), VOCABULARY)
    lr, fm = (PLAIN | {"batch_size": 4096, "model": model} for model in ("lr", "fm"))
    defaults = COLUMNS | {"batch_size": 4096, "model": "lr"}
    common = {"data": log.csv, "warmup": 5}
    count = bench.size(60, 300)

    def steps(checkout: Checkout | str, settings: dict[str, Any]) -> Side | str:
        given = common | {"count": count, "device": bench.device}
        return bench.of(checkout, "stages.training:steps", **given, settings=settings)

    slots = 8 * FIELDS + 4
    sides = {
        "LR": steps(bench.today, lr),
        f"LR at {BASE}": steps(bench.base, lr),
        "LR, defaults": steps(bench.today, defaults),
        f"LR, defaults, at {BASE}": steps(bench.base, defaults),
        "FM": steps(bench.today, fm),
        "conventional FM": bench.beside(
            "stages.by_convention:steps",
            **common,
            cache=str(bench.today.cache),
            settings=fm,
            kind="fm",
            network={"dim": DIM},
            count=count // 3,
            device=bench.device,
        ),
        "batches": bench.of(bench.today, "stages.training:pipeline", **common, settings=lr, count=count),
        "memory copy": bench.beside("stages.bounds:copy", row_bytes=slots, megabytes=256),
    }
    claims = (
        Claim("training, LR", "LR", f"LR at {BASE}", 3.0, aim="1 million rows/s", bound="batches"),
        Claim(
            "training, LR of the defaults: knots, values shown as unseen",
            "LR, defaults",
            f"LR, defaults, at {BASE}",
            3.0,
        ),
        Claim("training, FM", "FM", "conventional FM", 2.0, aim="250 thousand rows/s", bound="batches"),
        Claim("input pipeline alone", "batches", "LR", 5.0, aim="4 million rows/s", bound="memory copy"),
    )
    return Plan(f"some 100,000 ids, {FIELDS} slots but for the defaults, batch 4,096", sides, claims)


def scoring(bench: Bench) -> Plan:
    log = bench.log(bench.size(200_000, 1_000_000), VOCABULARY)
    given = {"data": log.csv, "settings": paper("parallel"), "device": bench.device}
    sides = {
        "masknet": bench.of(bench.today, "stages.scoring:rows", **given),
        "conventional": bench.beside(
            "stages.by_convention:scores", **given, cache=str(bench.today.cache), network=CONVENTIONAL["parallel"]
        ),
        "products in fp32": _products(bench, "parallel", 8192, backward=False),
    }
    claim = Claim(
        "evaluation and batch prediction, parallel 3 x 400, fp32",
        "masknet",
        "conventional",
        1.3,
        "85 % of the products",
        bound="products in fp32",
    )
    return Plan(f"{log.rows // 10:,} encoded rows", sides, (claim,))


def files(bench: Bench) -> Plan:
    log, some = bench.log(bench.size(200_000, 1_000_000), VOCABULARY), bench.log(10_000, 20_000)
    settings = COLUMNS | {"members": 1, "epochs": 1, "evaluations": 1}
    given = {"data": log.parquet, "settings": settings, "trained_on": some.csv, "rows": log.rows}
    sides: dict[str, Side | str] = {}
    claims = []
    for work, name in (("evaluate", "evaluation of a Parquet file"), ("predict", "prediction, Parquet to Parquet")):
        sides[work] = bench.of(bench.today, "stages.scoring:file", **given, work=work)
        sides[f"{work} at {BASE}"] = bench.of(bench.base, "stages.scoring:file", **given, work=work)
        claims.append(Claim(name, work, f"{work} at {BASE}", must=None))
    return Plan(f"{log.rows:,} rows, the defaults with one member", sides, tuple(claims), repeats=2)


def one_row(bench: Bench) -> Plan:
    log = bench.log(10_000, 20_000)
    settings = COLUMNS | {"members": 4, "epochs": 1, "evaluations": 1, "threads": 1}
    given = {"data": log.parquet, "settings": settings, "count": bench.size(200, 1000)}
    sides = {
        "masknet": bench.of(bench.today, "stages.scoring:one_row", **given),
        BASE: bench.of(bench.base, "stages.scoring:one_row", **given),
    }
    claim = Claim("`predict_proba` of one row, p50", "masknet", BASE, 0.333, "1.5 ms", "ms", "ms", at_most=True)
    return Plan(f"{FIELDS} fields, four members, one thread", sides, (claim,))


def ranking(bench: Bench) -> Plan:
    rows, grouped = bench.size(2_000_000, 10_000_000), bench.size(200_000, 1_000_000)
    sides = {
        "AUC": bench.of(bench.today, "stages.ranking:auc", rows=rows),
        "sort": bench.beside("stages.ranking:sort", rows=rows),
        "grouped AUC": bench.of(bench.today, "stages.ranking:grouped_auc", rows=grouped, groups=grouped // 20),
        "sort of fewer": bench.beside("stages.ranking:sort", rows=grouped),
    }
    claims = (
        Claim(f"exact AUC of {rows:,} rows", "AUC", "sort", 2.5, "2 s", "seconds", "s", at_most=True),
        Claim(
            f"grouped AUC of {grouped:,} rows in {grouped // 20:,} groups",
            "grouped AUC",
            "sort of fewer",
            4.0,
            "1 s",
            "seconds",
            "s",
            at_most=True,
        ),
    )
    return Plan("beside one np.sort of as many float64", sides, claims, repeats=5)


def start(bench: Bench) -> Plan:
    log = bench.log(bench.size(30_000, 200_000), 20_000)
    settings = COLUMNS | {"batch_size": 1024}
    sides: dict[str, Side | str] = {"torch": bench.imports(bench.today, "torch")}
    for name, checkout in (("masknet", bench.today), (BASE, bench.base)):
        if isinstance(checkout, str):
            sides |= {f"first step of {name}": checkout, f"import of {name}": checkout}
            continue
        told = checkout.told()
        given = {"source": told["source"], "engine": told["module"], "cache": told["cache"]}
        sides[f"first step of {name}"] = bench.imports(checkout, "first_step", **given, data=log.csv, settings=settings)
        sides[f"import of {name}"] = bench.imports(checkout, "masknet", source=told["source"])
    claims = (
        Claim(
            "first step of a run whose set is encoded, beyond importing torch",
            "first step of masknet",
            f"first step of {BASE}",
            0.5,
            "1.5 s",
            "seconds",
            "s",
            at_most=True,
        ),
        Claim("`import masknet`", "import of masknet", f"import of {BASE}", 1.0, "100 ms", "ms", "ms", at_most=True),
    )
    return Plan(f"{log.rows:,} encoded rows, the defaults", sides, claims, repeats=bench.size(5, 9), discard=1)


STAGES: dict[str, Callable[[Bench], Plan]] = {
    "csv": partial(reading, "csv"),
    "parquet": partial(reading, "parquet"),
    "parallel": partial(training, "parallel"),
    "serial": partial(training, "serial"),
    "defaults": defaults,
    "members": members,
    "lightgbm": lightgbm,
    "vocabulary": vocabulary,
    "rows": growth,
    "small": small,
    "scoring": scoring,
    "files": files,
    "one-row": one_row,
    "ranking": ranking,
    "start": start,
}
"""By the name that `--stage` takes; a stage may have several lines in the table."""
