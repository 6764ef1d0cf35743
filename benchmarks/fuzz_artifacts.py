"""Artifacts that somebody altered, with right checksums: each is refused in one sentence, or scores as numbers do.

    python benchmarks/fuzz_artifacts.py --alterations 2000 --out benchmarks/results/fuzz_artifacts.json

Every alteration begins with a whole artifact, made of a planted log with fields of all kinds. One value of a JSON file,
one column of a Parquet file, one tensor, or some bytes of a file are made something else, drawn by the seed; checksums
are written anew. Then it is loaded, checked and used. Anything but a sentence or finite probabilities counts as broken,
and so does whatever takes longer than ten seconds.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import safetensors.torch
import torch

import masknet
from machine import commit, hardware
from masknet.artifact import check, load_artifact
from masknet.config import RunConfig
from masknet.errors import MasknetError
from masknet.manifest import write_checksums
from masknet.progress import LogProgress
from masknet.table import open_table
from masknet.train import fit

SECONDS = 10
MEMORY = 8 << 30
WRONG: tuple[Any, ...] = (
    None, True, -1, 0, 1, 7, 10**6, 10**12, 2**31, 2**63, -(2**31), 10**400, 0.5, -1e300, 1e12, float("nan"),
    float("inf"), "", "x", "7", "\0", "é" * 5000, [], {}, [None], [[]], {"a": 1},
)  # fmt: skip


def rows_of_all_kinds(count: int, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    words = np.array([f"w{i}" for i in range(12)])
    return pl.DataFrame(
        {
            "user": [f"u{i}" for i in rng.integers(0, 30, count)],
            "ad": pl.Series(rng.integers(0, 9, count)).set(pl.Series(rng.random(count) < 0.1), None),
            "price": pl.Series(rng.lognormal(0, 1, count)).set(pl.Series(rng.random(count) < 0.1), None),
            "tags": [words[rng.integers(0, 12, n)].tolist() for n in rng.integers(0, 4, count)],
            "image": rng.normal(size=(count, 2)).tolist(),
            "seen": pl.Series(1_700_000_000 + rng.integers(0, 10**6, count)),
            "hashed": [f"h{i}" for i in rng.integers(0, 99, count)],
            "click": rng.integers(0, 2, count),
        }
    )


def make(folder: Path) -> list[Path]:
    """Whole artifacts to alter."""
    made = []
    for model, encoding, members in (
        ("parallel-masknet", "knots", 2),
        ("serial-masknet", "linear", 1),
        ("lr", "knots", 1),
    ):
        config = RunConfig(
            label="click",
            model=model,
            members=members,
            epochs=1,
            numeric_encoding=encoding,
            dense=("image",),
            datetime=("seen",),
            hash={"hashed": 50},
            cache_dir=str(folder / "cache"),
            threads=1,
            set={} if model == "lr" else {"embedding_dim": 3, "block_dims": [4, 4]},
        )
        path = folder / f"{model}.masknet"
        fit(config, open_table(rows_of_all_kinds(300)), None, LogProgress()).save(path)
        made.append(path)
    return made


def places(content: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to each value of JSON."""
    if path:
        yield path
    for key in content if isinstance(content, dict) else range(len(content)) if isinstance(content, list) else ():
        yield from places(content[key], (*path, key))


def alter_json(file: Path, draw: random.Random) -> str:
    content = json.loads(file.read_text())
    *way, last = draw.choice(list(places(content)))
    holder = content
    for key in way:
        holder = holder[key]
    kind = draw.choice(["set"] * 6 + ["delete", "double", "nest"])
    if kind == "delete":
        del holder[last]
        value: Any = "deleted"
    elif kind == "double" and isinstance(holder, list):
        holder.insert(last, holder[last])
        value = "doubled"
    elif kind == "nest":
        value = "nested"
        holder[last] = "NEST"
    else:
        value = holder[last] = draw.choice(WRONG)
    text = json.dumps(content)
    if kind == "nest":
        depth = draw.choice([50, 5000, 200_000])
        text = text.replace('"NEST"', "[" * depth + "]" * depth)
    file.write_text(text)
    return f"{file.name} {'.'.join(map(str, (*way, last)))} = {str(value)[:30]!r}"


def alter_parquet(file: Path, draw: random.Random) -> str:
    frame = pl.read_parquet(file)
    name = draw.choice(frame.columns)
    column = frame[name]
    kind = draw.choice(
        ["drop", "rename", "null", "cast", "shift", "first", "negative", "empty", "repeat", "reverse", "nan"]
    )
    if kind == "drop":
        frame = frame.drop(name)
    elif kind == "rename":
        frame = frame.rename({name: "other"})
    elif kind == "null":
        frame = frame.with_columns(pl.lit(None, dtype=column.dtype).alias(name))
    elif kind == "empty":
        frame = frame.clear()
    elif kind == "repeat":
        frame = pl.concat([frame, frame])
    elif kind == "reverse":
        frame = frame.with_columns(column.reverse())
    elif kind == "cast":
        frame = frame.with_columns(pl.lit(draw.choice([7, "x", 0.5])).alias(name))
    elif column.dtype.is_numeric():
        change = {"shift": column + 10**6, "negative": -column, "nan": column * float("nan")}
        frame = frame.with_columns(change.get(kind, pl.Series(name, [column[0]] * len(column))).alias(name))
    else:
        frame = frame.with_columns(pl.lit(draw.choice(["", "x", "\0"])).alias(name))
    frame.write_parquet(file)
    return f"{file.name} {name} {kind}"


def alter_weights(file: Path, draw: random.Random) -> str:
    weights = safetensors.torch.load_file(file)
    name = draw.choice(sorted(weights))
    tensor = weights[name].clone()
    kind = draw.choice(["nan", "inf", "double", "half", "int", "drop", "shape", "extra", "wide", "huge"])
    if kind in ("nan", "inf"):
        tensor.view(-1)[draw.randrange(tensor.numel())] = float(kind)
    elif kind == "huge":
        tensor.fill_(3e38)
    elif kind in ("double", "half", "int"):
        tensor = tensor.to({"double": torch.float64, "half": torch.float16, "int": torch.int64}[kind])
    elif kind == "shape":
        tensor = tensor.reshape(-1, 1)
    elif kind == "wide":
        tensor = torch.cat([tensor.view(-1), tensor.view(-1)])
    weights[name] = tensor
    if kind == "drop":
        del weights[name]
    elif kind == "extra":
        weights["other"] = tensor.clone()
    safetensors.torch.save_file(weights, file)
    return f"{file.name} {name} {kind}"


def alter_bytes(file: Path, draw: random.Random) -> str:
    content = bytearray(file.read_bytes())
    kind = draw.choice(["flip", "flip", "cut", "grow", "empty"])
    if kind == "flip":
        for _ in range(draw.choice([1, 4, 64])):
            content[draw.randrange(len(content))] = draw.randrange(256)
    elif kind == "cut":
        del content[draw.randrange(len(content)) :]
    else:
        content = bytearray() if kind == "empty" else content + bytes(draw.randrange(1, 4096))
    file.write_bytes(content)
    return f"{file.name} bytes {kind}"


def alter_checksums(file: Path, draw: random.Random) -> str:
    from masknet.manifest import _checksums_text

    files = json.loads(file.read_text())["files"]
    kind = draw.choice(["empty", "one less", "elsewhere", "a size"])
    name = draw.choice(sorted(files))
    if kind == "empty":
        files = {}
    elif kind == "one less":
        del files[name]
    elif kind == "elsewhere":
        files["../../../dev/zero"] = {"bytes": 0, "sha256": ""}
    else:
        files[name]["bytes"] = draw.choice(WRONG[:10])
    file.write_bytes(_checksums_text(files))
    return f"{file.name} {name} {kind}"


BY_SUFFIX: dict[str, Callable[[Path, random.Random], str]] = {
    ".json": alter_json,
    ".parquet": alter_parquet,
    ".safetensors": alter_weights,
}


def alter(folder: Path, draw: random.Random) -> str:
    file = draw.choice(sorted(f for f in folder.iterdir() if f.suffix in BY_SUFFIX))
    if file.name == "checksums.json":
        return alter_checksums(file, draw)
    change = alter_bytes if draw.random() < 0.2 else BY_SUFFIX[file.suffix]
    said = change(file, draw)
    (folder / "checksums.json").unlink()
    write_checksums(folder)
    return said


def use(folder: Path, rows: pl.DataFrame) -> str:
    """What came of it; raises what nobody should see."""

    def too_long(*_: object) -> None:
        raise TimeoutError(f"longer than {SECONDS} s")

    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(SECONDS)
    try:
        artifact = load_artifact(folder)
        check(artifact)
        model = masknet.load(folder)
        repr(model), model.metrics_, model.classes_, model.n_features_in_
        found = np.asarray(model.predict_proba(rows))
    except MasknetError as error:
        if "\n" in str(error) or len(str(error)) > 2000:
            raise RuntimeError(f"no sentence: {error}") from error
        return "refused"
    finally:
        signal.alarm(0)
    if not np.isfinite(found).all():
        raise RuntimeError("a probability is no number")
    return "scored"


def fuzz(alterations: int, seed: int) -> tuple[Counter[str], list[dict[str, Any]]]:
    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    found: Counter[str] = Counter()
    broken = []
    rows = rows_of_all_kinds(5, seed=1).drop("click")
    with tempfile.TemporaryDirectory() as name:
        whole = make(Path(name))
        for artifact in whole:
            assert use(artifact, rows) == "scored"
        for number in range(alterations):
            draw = random.Random(seed * 1_000_003 + number)
            folder = Path(name) / "altered.masknet"
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(draw.choice(whole), folder)
            said = alter(folder, draw)
            started = time.monotonic()
            try:
                found[use(folder, rows)] += 1
            except BaseException as error:  # whatever it is, it is what we look for
                if isinstance(error, KeyboardInterrupt):
                    raise
                found["broken"] += 1
                broken.append({"number": number, "alteration": said, "error": f"{type(error).__name__}: {error}"[:300]})
                print(broken[-1], flush=True)
            found["slow"] += time.monotonic() - started > SECONDS
    return found, broken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--alterations", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    found, broken = fuzz(options.alterations, options.seed)
    print(dict(found))
    if options.out is not None:
        report = {"commit": commit(), "hardware": hardware(1), "seed": options.seed, **found, "cases": broken}
        options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    raise SystemExit(1 if broken else 0)


if __name__ == "__main__":
    main()
