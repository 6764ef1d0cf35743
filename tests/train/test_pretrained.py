"""Pretrained vectors: which file gives which row, what is frozen, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from masknet.cli.settings import given
from masknet.config import RunConfig, read_run_file
from masknet.encode import Encoder
from masknet.errors import ConfigError, DataError, MasknetError
from masknet.manifest import read_manifest
from masknet.progress import LogProgress
from masknet.train import Interrupted, train

Run = Callable[..., RunConfig]
ITEMS = [str(number) for number in range(1, 9)]
VECTORS = {item: [float(item), 0.25 * float(item), -1.5] for item in ITEMS[:6]}  # exact in float32, and in any text
PLAIN: dict[str, Any] = {
    "members": 1,
    "evaluations": 1,
    "patience": 2,
    "schedule": "plateau",
    "average_weights": 0.0,
    "embedding_l2": 0.0,
    "numeric_encoding": "linear",
    "unseen_rate": 0.001,
}
"""One network and one evaluation an epoch, whatever the defaults are."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    rng = np.random.default_rng(0)
    item, color = rng.integers(1, 9, 600), rng.choice(["red", "deep blue", "Grün"], 600)
    click = (rng.random(600) < 0.2 + 0.6 * (item % 2)).astype(np.int64)
    frame = pl.DataFrame({"item": item, "color": color, "price": rng.random(600).round(3), "click": click})
    frame.write_parquet(home / "log.parquet")
    return home


@pytest.fixture
def run(home: Path, tmp_path: Path) -> Run:
    def run(**settings: Any) -> RunConfig:
        given: dict[str, Any] = PLAIN | {
            "data": home / "log.parquet",
            "label": "click",
            "categorical": ["item"],
            "cache_dir": home / "cache",
            "out": tmp_path / "ads.masknet",
            "set": {"embedding_dim": 3, "block_dims": [6], "top_dims": [7]},
            "batch_size": 64,
            "learning_rate": 0.01,
            "epochs": 2,
            "threads": 1,
            "device": "cpu",
        }
        return RunConfig(**given | settings)

    return run


class Hears(LogProgress):
    def __init__(self, after: int | None = None) -> None:
        self.after, self.batches = after, 0
        self.notes: list[str] = []

    def stopping(self) -> bool:
        self.batches += 1
        return self.batches == self.after

    def note(self, text: str) -> None:
        self.notes.append(text)


def lists(folder: Path, vectors: dict[str, list[float]] | None = None) -> Path:
    vectors = VECTORS if vectors is None else vectors
    frame = pl.DataFrame({"item": [float(item) for item in vectors], "vector": list(vectors.values())})
    frame.write_parquet(folder / "vectors.parquet")
    return folder / "vectors.parquet"


def arrays(folder: Path) -> Path:
    frame = pl.DataFrame({"item": list(VECTORS), "vector": list(VECTORS.values())})
    frame.cast({"vector": pl.Array(pl.Float32, 3)}).write_parquet(folder / "arrays.parquet")
    return folder / "arrays.parquet"


def columns(folder: Path, separator: str = ",") -> Path:
    path = folder / f"vectors.{'csv' if separator == ',' else 'tsv'}"
    rows = [separator.join(map(str, [f"{item}.0", *vector])) for item, vector in VECTORS.items()]
    path.write_text("\n".join([separator.join(["item", "a", "b", "c"]), *rows]) + "\n")
    return path


def text(folder: Path, *, head: bool) -> Path:
    rows = [f"{item} {' '.join(map(str, vector))}" for item, vector in VECTORS.items()]
    path = folder / ("vectors.vec" if head else "glove.txt")
    path.write_text("\n".join([*([f"{len(rows)} 3"] if head else []), "the 1 2 3", *rows, "1 9 9 9"]) + "\n")
    return path


FILES: dict[str, Callable[[Path], Path]] = {
    "lists": lists,
    "arrays": arrays,
    "columns": columns,
    "tabs": lambda folder: columns(folder, "\t"),
    "word2vec": lambda folder: text(folder, head=True),
    "glove": lambda folder: text(folder, head=False),
}


def rows_of(config: RunConfig, field: str = "item", table: str = "embedding.table.weight") -> dict[str, list[float]]:
    from safetensors.torch import load_file

    weight = load_file(Path(str(config.out), "weights.safetensors"))[table]
    encoder = Encoder.load(Path(str(config.out)))
    vocabulary = encoder.encodings[encoder.schema.field_names.index(field)].vocabulary
    return {value: weight[id_].tolist() for value, id_ in zip(vocabulary.values, vocabulary.id_array, strict=True)}


@pytest.mark.parametrize(("form", "updates"), [*((form, "dense") for form in FILES), ("lists", "sparse")])
def test_frozen_rows_are_those_of_the_file_to_the_last_bit(run: Run, tmp_path: Path, form: str, updates: str) -> None:
    config = run(
        pretrained={"item": FILES[form](tmp_path)},
        freeze="item",
        embedding_l2=0.1,
        network_l2=0.1,
        clip=0.5,
        average_weights=0.9,
        unseen_rate=0.2,
        embedding_updates=updates,
    )
    progress = Hears()
    train(config, progress)
    rows = rows_of(config)
    assert set(rows) == set(ITEMS)
    assert {item: rows[item] for item in VECTORS} == VECTORS
    assert all(abs(number) < 0.5 for item in ITEMS[6:] for number in rows[item])  # drawn as ever, and trained
    said = f"pretrained: 6 of the 8 values of 'item' have a vector in {FILES[form](tmp_path).name}, and are not trained"
    assert said in progress.notes
    kept = read_manifest(str(config.out)).training["pretrained"]["item"]
    assert (kept["values"], kept["of"], kept["width"], kept["frozen"]) == (6, 8, 3, True)
    assert len(kept["sha256"]) == 64


def test_rows_that_are_not_frozen_start_there_and_are_trained(run: Run, tmp_path: Path) -> None:
    config = run(pretrained={"item": lists(tmp_path)}, epochs=1)
    train(config, LogProgress())
    for item, vector in VECTORS.items():
        found = np.array(rows_of(config)[item])
        assert (found != vector).any()
        np.testing.assert_allclose(found, vector, atol=0.11)  # 9 steps of 0.01


def test_every_member_and_the_refit_start_from_the_vectors(run: Run, tmp_path: Path) -> None:
    config = run(pretrained={"item": lists(tmp_path)}, freeze=["item"], members=2, refit=True, epochs=1)
    train(config, LogProgress())
    for member in (0, 1):
        rows = rows_of(config, table=f"members.{member}.embedding.table.weight")
        assert {item: rows[item] for item in VECTORS} == VECTORS


def test_values_with_blanks_are_matched_in_text_and_damaged_ones_are_passed_over(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "colors.vec"
    path.write_bytes(
        "2 3\ndeep blue 1 2 3 \n\xa0 4 5 6\n".encode() + b"\xff\xfe 7 8 9\n" + "Grün\t1e-1\t0 0\n".encode()
    )
    config = run(pretrained={"color": path}, freeze="color")
    train(config, LogProgress())
    rows = rows_of(config, "color")
    assert rows["deep blue"] == [1.0, 2.0, 3.0]
    assert rows["Grün"] == [np.float32(0.1), 0.0, 0.0]


def test_a_resumed_run_keeps_the_vectors_and_its_bits(run: Run, tmp_path: Path) -> None:
    settings = {"pretrained": {"item": lists(tmp_path)}, "freeze": ["item"], "average_weights": 0.9, "refit": True}
    whole = run(**settings, out=tmp_path / "whole.masknet")
    train(whole, LogProgress())
    stopped = run(**settings)
    with pytest.raises(Interrupted):
        train(stopped, Hears(12))
    before = lists(tmp_path).read_bytes()
    lists(tmp_path, {item: [0.0, 0.0, 1.0] for item in VECTORS})
    with pytest.raises(ConfigError, match="a resumed run keeps its vectors; those of --pretrained have changed"):
        train(stopped.replace(resume=True), LogProgress())
    elsewhere = tmp_path / "moved.parquet"
    elsewhere.write_bytes(before)
    train(stopped.replace(resume=True, pretrained={"item": elsewhere}), LogProgress())
    weights = [Path(str(config.out), "weights.safetensors").read_bytes() for config in (whole, stopped)]
    assert weights[0] == weights[1]


def frame_file(folder: Path, **columns: Any) -> Path:
    pl.DataFrame(columns, strict=False).write_parquet(folder / "bad.parquet")
    return folder / "bad.parquet"


def text_file(folder: Path, content: str) -> Path:
    (folder / "bad.vec").write_text(content)
    return folder / "bad.vec"


REFUSED: dict[str, tuple[str, Callable[[Path], Path], type[MasknetError], str]] = {
    "no file": ("item", lambda at: at / "none.vec", ConfigError, "there is none at '"),
    "an unknown field": ("itme", lists, ConfigError, "unknown field 'itme'; did you mean 'item'?"),
    "a number": ("price", lists, ConfigError, "the field 'price' is numeric and has none"),
    "another width": (
        "item",
        lambda at: frame_file(at, item=[1], v=[[1.0, 2.0]]),
        ConfigError,
        "'item' have 2 numbers, and no table has: pass --set embedding_dim=2",
    ),
    "no value": ("color", lists, DataError, "vectors.parquet holds none of the 3 of 'color'"),
    "no numbers": ("item", lambda at: frame_file(at, item=[1]), DataError, "bad.parquet has one column"),
    "a text": (
        "item",
        lambda at: frame_file(at, item=[9, 1], a=["1", "2"], b=["0", "x"]),
        DataError,
        "column 'b' holds 'x' in row 2 of bad.parquet",
    ),
    "a gap": ("item", lambda at: frame_file(at, item=[1], v=[[1.0, None, 2.0]]), DataError, "holds None in row 1"),
    "lists of two lengths": (
        "item",
        lambda at: frame_file(at, item=[1, 9, 2], v=[[1.0], [1.0], [1.0, 2.0]]),
        DataError,
        "that in row 3 of bad.parquet has 2 numbers, the first 1",
    ),
    "infinite": (
        "item",
        lambda at: frame_file(at, item=[1, 2], v=[[1.0], [1e300]]),
        DataError,
        "that in row 2 of bad.parquet is not",
    ),
    "a short line": (
        "item",
        lambda at: text_file(at, "1 1 2 3\n2 1 2\n"),
        DataError,
        "that in line 2 of bad.vec has 2 numbers, the first 3",
    ),
    "a word for a number": ("item", lambda at: text_file(at, "2 3\n1 1 2 y\n"), DataError, "line 2 of bad.vec is not"),
    "an empty file": ("item", lambda at: text_file(at, ""), DataError, "the first one of bad.vec has no number"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused_with_a_sentence(run: Run, tmp_path: Path, case: str) -> None:
    field, make, kind, sentence = REFUSED[case]
    config = run(pretrained={field: make(tmp_path)})
    with pytest.raises(kind) as caught:
        train(config, LogProgress())
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not Path(f"{config.out}.run").exists()


def test_only_pretrained_fields_are_frozen() -> None:
    with pytest.raises(ConfigError, match="freeze names fields with pretrained vectors; 'user' has none"):
        RunConfig(pretrained={"item": "a.vec"}, freeze="item,user")


def test_flags_and_run_files_name_the_same_files(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text(
        json.dumps({"pretrained": {"item": "v.vec", "user": "/u.vec"}, "freeze": "item"})
    )
    found = RunConfig(**read_run_file(tmp_path / "run.yaml"))
    assert found.pretrained == {"item": str(tmp_path / "v.vec"), "user": "/u.vec"}
    flags = given({"pretrained": ["item=a=b.vec", "user=007"]})
    assert RunConfig(**flags).pretrained == {"item": "a=b.vec", "user": "007"}
    with pytest.raises(ConfigError, match="a --pretrained is FIELD=FILE; got 'item'"):
        RunConfig(**given({"pretrained": ["item"]}))


def test_the_table_of_logistic_regression_takes_vectors_of_one_number(run: Run, tmp_path: Path) -> None:
    path = frame_file(tmp_path, item=[1, 2], weight=[0.5, -0.5])
    config = run(pretrained={"item": path}, freeze="item", model="lr", set={})
    train(config, LogProgress())
    assert {item: rows_of(config, table="table.weight")[item] for item in ("1", "2")} == {"1": [0.5], "2": [-0.5]}
