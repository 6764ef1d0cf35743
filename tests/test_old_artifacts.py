"""Artifacts that older code wrote are read, are whole, and score as they did: one folder for each format.

`tests/artifacts/format-2` was written by masknet 0.1.0 at commit 0aeded6: a made log with every kind of field, and
beside each model the probabilities that it gave there for some rows, values never seen and missing ones among them.
`format-3` was written by the first masknet that reads values in another dress: floats, moments, booleans and integers
as categories, and rows that write them otherwise than training did. `format-4` was written by the first one that reads
numbers with decimal commas and markers of their own, the words of titles, and lists as Python writes them.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from masknet import load
from masknet.artifact import check, load_artifact
from masknet.manifest import FORMAT

ARTIFACTS = Path(__file__).parent / "artifacts"
MODELS = sorted(path.relative_to(ARTIFACTS).as_posix() for path in ARTIFACTS.glob("format-*/*.masknet"))


def test_every_format_is_kept() -> None:
    kept = {model.partition("/")[0] for model in MODELS}
    assert kept == {f"format-{number}" for number in range(2, FORMAT + 1)}


@pytest.mark.parametrize("model", MODELS)
def test_it_is_whole_and_scores_as_it_did(model: str) -> None:
    assert check(load_artifact(ARTIFACTS / model)).difference == pytest.approx(0, abs=1e-6)
    kept = json.loads(((ARTIFACTS / model).with_suffix(".scores.json")).read_text(encoding="utf-8"))
    found = load(ARTIFACTS / model).predict_proba(kept["rows"])[:, 1]
    np.testing.assert_allclose(found, kept["probabilities"], rtol=0, atol=1e-6)


@pytest.mark.parametrize("model", MODELS)
def test_saved_again_it_is_the_same_to_the_byte(model: str, tmp_path: Path) -> None:
    """But for the card, whose words may change, and the checksums, the card's among them."""
    old = Path(shutil.copytree(ARTIFACTS / model, tmp_path / Path(model).name))
    again = load_artifact(old).save(tmp_path / "again" / old.name)
    assert again.path is not None
    assert {file.name for file in again.path.iterdir()} == {file.name for file in old.iterdir()}
    for file in old.iterdir():
        if file.name not in ("README.md", "checksums.json", "golden.parquet", "vocabulary.parquet"):
            assert (again.path / file.name).read_bytes() == file.read_bytes(), file.name
