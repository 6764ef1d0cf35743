"""The run files of the published sets, and the commands of their page, on made files of the same form."""

from __future__ import annotations

import gzip
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from masknet.artifact import load_artifact
from masknet.compare import read_experiment
from masknet.config import read_run_file

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "published-sets.md"
ROWS = 300
TINY = {
    **dict.fromkeys(("block_dims", "top_dims", "hidden_dims", "cin_dims"), "[4]"),
    **{"embedding_dim": "2", "attention_dim": "2"},
}
"""Keywords that make any network small."""

HEX = np.array([f"{i:08x}" for i in range(40)])


@pytest.fixture(autouse=True)
def _examples() -> None:
    Path("examples").symlink_to(ROOT / "examples")


def draw(seed: int, n: int) -> tuple[np.random.Generator, np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """A generator, some ids, and labels that depend on them."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(40, size=n)
    return rng, ids, (rng.random(n) < 0.2 + 0.5 * (ids % 2)).astype(np.int64)


def criteo(n: int = ROWS, seed: int = 0) -> pl.DataFrame:
    """The label, 13 counts, of which some are missing or below 0, and 26 categories, of which some are missing."""
    rng, ids, label = draw(seed, n)
    columns: dict[str, Any] = {"label": label}
    for i in range(1, 14):
        counts = pl.Series(rng.poisson(3 * i, n) - (i == 2))
        columns[f"I{i}"] = counts.set(pl.Series(rng.random(n) < 0.2), None)
    for i in range(1, 27):
        texts = pl.Series(HEX[ids] if i == 1 else rng.choice(HEX, n))
        columns[f"C{i}"] = texts.set(pl.Series(rng.random(n) < 0.1), None)
    return pl.DataFrame(columns)


def avazu(n: int = ROWS, seed: int = 0) -> pl.DataFrame:
    rng, ids, label = draw(seed, n)
    named = ("site_id", "site_domain", "site_category", "app_id", "app_domain", "app_category")
    named += ("device_id", "device_ip", "device_model")
    return pl.DataFrame(
        {
            "id": [str(10**18 + 7 * i) for i in range(n)],
            "click": label,
            "hour": [f"1410{day:02}{hour:02}" for day, hour in rng.integers((21, 0), (31, 24), size=(n, 2))],
            "C1": rng.choice([1005, 1002, 1010], n),
            "banner_pos": rng.integers(3, size=n),
            **{name: HEX[ids] if name == "site_id" else rng.choice(HEX, n) for name in named},
            "device_type": rng.integers(3, size=n),
            "device_conn_type": rng.integers(4, size=n),
            **{f"C{i}": rng.integers(20, size=n) - (i == 20) for i in range(14, 22)},
        }
    )


def malware(n: int = ROWS, seed: int = 0) -> pl.DataFrame:
    """Columns as the run file names them: codes, versions, sizes, and gaps."""
    rng, ids, label = draw(seed, n)
    names = read_run_file(ROOT / "examples" / "malware.yaml")["categorical"]
    columns: dict[str, Any] = {"MachineIdentifier": [f"{seed:016x}{i:016x}" for i in range(n)]}
    for i, name in enumerate(names):
        codes = ids if name == "AVProductStatesIdentifier" else rng.integers(30, size=n)
        values = pl.Series([f"1.1.{code}.0" for code in codes] if "Version" in name else codes * (1.0 + 0.5 * (i % 2)))
        columns[name] = values.set(pl.Series(rng.random(n) < 0.1), None)
    return pl.DataFrame({**columns, "HasDetections": label})


def of_leaderboard(*names: str) -> Callable[..., pl.DataFrame]:
    """The label, as a number with a point, and ids."""

    def made(n: int = ROWS, seed: int = 0) -> pl.DataFrame:
        rng, ids, label = draw(seed, n)
        others = {name: rng.integers(40, size=n) for name in names[1:]}
        return pl.DataFrame({names[0]: ids, **others, "label": label.astype(np.float64)})

    return made


FRAPPE = ("user", "item", "daytime", "weekday", "isweekend", "homework", "cost", "weather", "country", "city")
MADE: dict[str, Callable[..., pl.DataFrame]] = {
    "criteo": criteo,
    "avazu": avazu,
    "malware": malware,
    "frappe": of_leaderboard(*FRAPPE),
    "movielens-latest": of_leaderboard("user_id", "item_id", "tag_id"),
}


def write(name: str) -> None:
    """The files that the page's commands read, in their own form."""
    made = MADE[name]
    if name == "criteo":
        made().write_csv("train.txt", separator="\t", include_header=False)
        return
    for i, file in enumerate(("train.csv", "valid.csv", "test.csv")):
        made(seed=i).write_csv(file)


def commands(name: str) -> list[list[str]]:
    """The page's commands that use a run file, or the model that it made."""
    text = PAGE.read_text(encoding="utf-8")
    lines = [line for block in re.findall(r"^```sh\n(.*?)^```", text, flags=re.M | re.S) for line in block.splitlines()]
    own = f"{name.partition('-')[0]}.masknet"
    words = [shlex.split(line) for line in lines]
    return [said[1:] for said in words if f"examples/{name}.yaml" in said or own in said]


def small(words: list[str]) -> list[str]:
    """The same command with flags that make it take a moment."""
    quick = ["--epochs", "1", "--threads", "1"]
    if words[0] == "train":
        run = read_run_file(ROOT / words[words.index("--config") + 1])
        sets = [f"{key}={value}" for key, value in TINY.items() if key in run["set"]]
    elif words[0] == "compare":
        entries = read_experiment(words[words.index("--experiment") + 1]).entries
        sets = [f"{e.name}.{key}={value}" for e in entries for key, value in TINY.items() if key in e.settings]
        quick += ["--seeds", "1"]
    else:
        return words
    return [*words, *quick, *(word for text in sets for word in ("--set", text))]


def test_the_page_has_commands_for_each_of_them() -> None:
    for name in MADE:
        assert [words[0] for words in commands(name)].count("train") == 1
        assert any(words[0] == "compare" for words in commands(name))
        for words in commands(name):
            if words[0] == "compare":
                assert read_experiment(words[words.index("--experiment") + 1]).entries


@pytest.mark.parametrize("name", MADE)
def test_a_run_file_trains_on_its_set_as_it_comes(name: str, masknet) -> None:
    write(name)
    for words in commands(name):
        if words[0] != "compare":
            result = masknet(*small(words))
            assert result.code == 0, result.err
    artifact = load_artifact(Path(f"{name.partition('-')[0]}.masknet"))
    given = read_run_file(ROOT / "examples" / f"{name}.yaml")
    kinds = {field.name: field.kind for field in artifact.encoder.schema.fields}
    said = {kind: given.get(kind, ()) for kind in ("categorical", "numeric", "datetime")}
    assert kinds == {column: kind for kind, columns in said.items() for column in columns}
    assert set(MADE[name]().columns) == {*kinds, given["label"], *given.get("ignore", ())}


def test_a_command_of_the_page_compares_the_papers_ablations(masknet) -> None:
    write("criteo")
    words = next(words for words in commands("criteo") if "table3" in words)
    result = masknet(*small(words), "--json")
    assert result.code == 0, result.err
    found = {model["model"]: model for model in result.json["models"]}
    assert list(found) == [entry.name for entry in read_experiment("table3").entries]
    assert {model["status"] for model in found.values()} == {"ok"}
    assert result.json["test"]["rows"] == ROWS // 10
    assert result.json["data"] == {"name": "train.txt", "train": ROWS * 8 // 10, "valid": ROWS // 10}


def test_the_leaderboards_form_of_criteo_is_read_by_what_the_page_says(masknet) -> None:
    for i, file in enumerate(("train.csv", "valid.csv")):
        criteo(seed=i).rename({"label": "Label"}).with_row_index("Id", 10_000_000).write_csv(file)
    text = (ROOT / "examples" / "criteo.yaml").read_text(encoding="utf-8")
    Path("mine.yaml").write_text(
        text.replace("columns: [criteo]", "ignore: [Id]").replace("label: label", "label: Label")
    )
    sets = [word for key in ("embedding_dim=2", "block_dims=[4]", "top_dims=[4]") for word in ("--set", key)]
    flags = ("--config", "mine.yaml", "--valid", "valid.csv", "--min-count", 10, "--epochs", 1, "--threads", 1)
    result = masknet("train", "train.csv", *flags, *sets, "--out", "x4.masknet", "--json")
    assert result.code == 0, result.err
    assert result.json["rows"] == ROWS  # of validation


@pytest.mark.parametrize(("name", "file"), [("criteo", "train.txt"), ("avazu", "train.csv"), ("malware", "train.csv")])
def test_packed_it_is_the_same_set(name: str, file: str, masknet) -> None:
    write(name)
    Path(f"{file}.gz").write_bytes(gzip.compress(Path(file).read_bytes()))
    columns = []
    for path in (file, f"{file}.gz"):
        said = read_run_file(ROOT / "examples" / f"{name}.yaml")
        flags = [
            word for key in ("ignore", "datetime", "columns") for v in said.get(key, ()) for word in (f"--{key}", v)
        ]
        columns.append(masknet("inspect", path, "--label", said["label"], *flags, "--json").json["columns"])
    assert columns[0] == columns[1]
