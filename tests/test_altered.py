"""Artifacts that somebody altered, with right checksums: one sentence, whatever it was, before anything is used."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import safetensors.torch
import torch

from masknet.artifact import Artifact, check, load_artifact
from masknet.config import RunConfig
from masknet.errors import ArtifactError
from masknet.manifest import _checksums_text, write_checksums
from masknet.predict import predict_frame
from masknet.progress import LogProgress
from masknet.table import open_table
from masknet.train import fit


def log(rows: int = 60) -> pl.DataFrame:
    rng = np.random.default_rng(0)
    return pl.DataFrame(
        {
            "user": [f"u{i}" for i in rng.integers(0, 9, rows)],
            "price": rng.lognormal(0, 1, rows),
            "tags": [[f"w{i}" for i in rng.integers(0, 5, n)] for n in rng.integers(0, 4, rows)],
            "seen": 1_700_000_000 + rng.integers(0, 10**6, rows),
            "hashed": [f"h{i}" for i in rng.integers(0, 99, rows)],
            "click": rng.integers(0, 2, rows),
        }
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    config = RunConfig(
        label="click",
        model="parallel-masknet",
        members=2,
        epochs=1,
        threads=1,
        datetime=("seen",),
        hash={"hashed": 50},
        cache_dir=str(folder / "cache"),
        set={"embedding_dim": 2, "block_dims": [3], "top_dims": [3]},
    )
    fit(config, open_table(log()), None, LogProgress()).save(folder / "ads.masknet")
    return folder / "ads.masknet"


@pytest.fixture
def altered(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "ads.masknet"))


def refused(folder: Path) -> str:
    """The sentence, checksums having been written anew."""
    (folder / "checksums.json").unlink(missing_ok=True)
    write_checksums(folder)
    with pytest.raises(ArtifactError) as caught:
        used(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def used(folder: Path) -> Artifact:
    artifact = load_artifact(folder)
    check(artifact)
    assert np.isfinite(predict_frame(artifact, log(3).drop("click"))).all()
    return artifact


def put(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """Put a value at a place in JSON."""

    def change(content: dict[str, Any]) -> None:
        holder: Any = content
        *way, last = path.split("/")
        for step in way:
            holder = holder[int(step) if isinstance(holder, list) else step]
        assert last in holder, list(holder)
        holder[last] = value

    return change


def test_a_whole_one_is_used(altered: Path) -> None:
    write_checksums(altered)
    assert used(altered).manifest.members == 2


ENCODING = {
    "an id above all": put("fields/user/missing", 10**12),
    "padding as an id": put("fields/user/unseen", 0),
    "a text as an id": put("fields/user/unseen", "7"),
    "True as an id": put("fields/user/unseen", True),
    "no ids": put("num_ids", 0),
    "a trillion ids": put("num_ids", 10**12),
    "a trillion slots": put("fields/tags/slots", 10**12),
    "half a slot": put("fields/tags/slots", 0.5),
    "another number of values": put("fields/user/vocabulary", 10**12),
    "a trillion buckets": put("fields/hashed/vocabulary", 10**12),
    "buckets beyond the ids": put("fields/hashed/first_bucket", 500),
    "no knots": put("fields/price/knots", {"at": []}),
    "knots that fall": put("fields/price/knots/at", [3.0, 2.0]),
    "knots without a number": put("fields/price/knots/at", [float("nan")]),
    "knots elsewhere": put("fields/price/first_knot", 10**12),
    "a day without end": put("fields/seen/latest", 1e300),
    "a count below 0": put("fields/user/rows", -1),
    "no fields": put("schema/fields", []),
    "fields of nothing": put("fields", {}),
    "a width without end": put("schema/fields", [{"name": "user", "kind": "dense", "width": 10**12}]),
    "no schema": put("schema", None),
}


@pytest.mark.parametrize("case", ENCODING)
def test_an_altered_encoding(altered: Path, case: str) -> None:
    file = altered / "encoding.json"
    content = json.loads(file.read_text())
    ENCODING[case](content)
    file.write_text(json.dumps(content))
    assert "is damaged: encoding.json or vocabulary.parquet" in refused(altered)


MANIFEST = {
    "no members": put("members", 0),
    "a trillion members": put("members", 10**12),
    "a thousand members": put("members", 1000),
    "rows below 0": put("rows", -1),
    "one class": put("data", {"classes": [1]}),
    "no columns": put("data", {"columns_without_names": 0}),
    "a click rate above 1": put("data", {"click_rate": 1e12}),
    "parameters without end": put("num_parameters", {"network": 10**400}),
    "a trillion widths": put("settings/embedding_dim", 10**12),
    "a wide mask": put("settings/block_dims", [10**12]),
    "widths that are none": put("settings/block_dims", {"a": 1}),
}


@pytest.mark.parametrize("case", MANIFEST)
def test_an_altered_manifest(altered: Path, case: str) -> None:
    file = altered / "manifest.json"
    content = json.loads(file.read_text())
    MANIFEST[case](content)
    file.write_text(json.dumps(content))
    sentence = refused(altered)
    assert "is damaged: manifest.json" in sentence or "do not fit its network parallel-masknet" in sentence, sentence


@pytest.mark.parametrize("setting", ["columns", "missing", "decimal"])
def test_an_altered_run(altered: Path, setting: str) -> None:
    file = altered / "run.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {setting: [7]}))
    assert f"is damaged: run.json holds what masknet never writes: its '{setting}'" in refused(altered)


@pytest.mark.parametrize("name", ["manifest.json", "encoding.json", "run.json", "metrics.json", "checksums.json"])
@pytest.mark.parametrize("depth", [1, 1_000_000])
def test_json_that_is_nested_or_no_table(altered: Path, name: str, depth: int) -> None:
    (altered / name).write_text("[" * depth + "]" * depth)
    if name != "checksums.json":
        assert f"is damaged: {name}" in refused(altered)
        return
    with pytest.raises(ArtifactError, match=r"is damaged: checksums\.json"):
        load_artifact(altered)


def test_a_long_value_is_not_told_whole(altered: Path) -> None:
    file = altered / "encoding.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    content["fields"]["user"]["rows"] = "é" * 5000
    file.write_text(json.dumps(content), encoding="utf-8")
    sentence = refused(altered)
    assert "its count of rows is 'éé" in sentence
    assert len(sentence) < 1000


VOCABULARY: dict[str, Callable[[pl.DataFrame], pl.DataFrame]] = {
    "repeated": lambda frame: pl.concat([frame, frame]),
    "a value twice": lambda frame: frame.with_columns(value=pl.lit("u1")),
    "an id twice": lambda frame: frame.with_columns(id=pl.lit(7, dtype=pl.Int32)),
    "ids beyond": lambda frame: frame.with_columns(id=pl.col("id") + 1000),
    "ids below": lambda frame: frame.with_columns(id=-pl.col("id")),
    "nulls": lambda frame: frame.with_columns(value=pl.lit(None, dtype=pl.String)),
    "wide ids": lambda frame: frame.with_columns(id=pl.col("id").cast(pl.Int64)),
    "no values": lambda frame: frame.drop("value"),
    "empty": lambda frame: frame.clear(),
    "of another field": lambda frame: frame.with_columns(field=pl.lit("other")),
}


@pytest.mark.parametrize("case", VOCABULARY)
def test_an_altered_vocabulary(altered: Path, case: str) -> None:
    file = altered / "vocabulary.parquet"
    VOCABULARY[case](pl.read_parquet(file)).write_parquet(file)
    assert "is damaged: encoding.json or vocabulary.parquet holds what masknet never writes" in refused(altered)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.1, 1.5, None])
def test_golden_rows_without_probabilities(altered: Path, value: float | None) -> None:
    file = altered / "golden.parquet"
    frame = pl.read_parquet(file)
    frame.with_columns(probability=pl.lit(value, dtype=pl.Float64)).write_parquet(file)
    assert "is damaged: golden.parquet holds what masknet never writes" in refused(altered)
    frame.clear().write_parquet(file)
    assert "it has no rows" in refused(altered)


WEIGHTS: dict[str, tuple[Callable[[torch.Tensor], torch.Tensor], str]] = {
    "NaN": (lambda tensor: tensor * float("nan"), "has NaN or an infinity in"),
    "infinite": (lambda tensor: tensor + float("inf"), "has NaN or an infinity in"),
    "double": (lambda tensor: tensor.double(), "keeps .* as torch.float64, not torch.float32"),
    "whole numbers": (lambda tensor: tensor.int(), "keeps .* as torch.int32, not torch.float32"),
    "another shape": (lambda tensor: tensor.reshape(-1, 1, 1), "do not fit its network parallel-masknet: the shape"),
    "without bounds": (lambda tensor: tensor * 0 + 3e38, "gives NaN for row 1 of the frame"),
}


@pytest.mark.parametrize("case", WEIGHTS)
def test_altered_weights(altered: Path, case: str) -> None:
    file = altered / "weights.safetensors"
    change, said = WEIGHTS[case]
    safetensors.torch.save_file({name: change(own) for name, own in safetensors.torch.load_file(file).items()}, file)
    (altered / "golden.parquet").unlink()
    (altered / "checksums.json").unlink()
    write_checksums(altered)
    with pytest.raises(ArtifactError, match=said):
        used(altered)


@pytest.mark.parametrize("left_out", ["all", "weights.safetensors", "manifest.json", "vocabulary.parquet"])
def test_a_list_of_checksums_that_lacks_a_file_is_no_proof(altered: Path, left_out: str) -> None:
    file = altered / "checksums.json"
    files = json.loads(file.read_text())["files"]
    file.write_bytes(_checksums_text({n: own for n, own in files.items() if left_out not in ("all", n)}))
    with pytest.raises(ArtifactError, match=r"is damaged: checksums.json tells nothing of "):
        load_artifact(altered)


def test_checksums_of_what_lies_elsewhere_are_not_looked_at(altered: Path) -> None:
    file = altered / "checksums.json"
    files = json.loads(file.read_text())["files"]
    file.write_bytes(_checksums_text(files | {"../../../../../../dev/zero": {"bytes": 0, "sha256": ""}}))
    with pytest.raises(ArtifactError, match=r"is damaged: checksums.json is not as it was written"):
        load_artifact(altered)
