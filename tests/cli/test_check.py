from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from masknet.manifest import write_checksums


def test_a_whole_model(masknet, trained: Path) -> None:
    result = masknet("check", trained)
    assert result.code == 0
    assert "every file is whole; the 8 golden rows give their probabilities again" in result.out


def test_json_is_one_object(masknet, trained: Path) -> None:
    result = masknet("check", trained, "--json")
    assert result.code == 0
    assert result.json == {"ok": True, "golden_rows": 8, "difference": 0.0}


def test_a_damaged_file_is_named(masknet, copied: Path) -> None:
    weights = bytearray((copied / "weights.safetensors").read_bytes())
    weights[-1] ^= 1
    (copied / "weights.safetensors").write_bytes(weights)
    assert "weights.safetensors" in masknet("check", copied).error


def test_other_probabilities_are_told(masknet, copied: Path) -> None:
    golden = pl.read_parquet(copied / "golden.parquet")
    golden.with_columns(pl.col("probability") / 2).write_parquet(copied / "golden.parquet")
    write_checksums(copied)
    assert "do NOT give their probabilities again" in masknet("check", copied).error
    result = masknet("check", copied, "--json")
    assert result.code == 1
    assert result.json["ok"] is False
    assert result.json["difference"] == pytest.approx(golden["probability"].max() / 2, abs=1e-6)


def test_a_model_without_golden_rows(masknet, copied: Path) -> None:
    (copied / "golden.parquet").unlink()
    write_checksums(copied)
    result = masknet("check", copied)
    assert result.code == 0
    assert "no golden rows" in result.out


def test_no_model(masknet, trained: Path) -> None:
    assert "no artifact at 'nowhere'" in masknet("check", "nowhere").error
    near = masknet("check", trained.with_name("ad.masknet")).error
    assert "did you mean" in near
    assert "ads.masknet" in near
