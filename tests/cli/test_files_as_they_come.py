"""Files as somebody has them, trained on and scored with one command each."""

from __future__ import annotations

import gzip
import io
import os
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from masknet import CTRClassifier, load
from masknet.table import Form

Rows = Callable[..., pl.DataFrame]


def scores(file: str = "scores.csv") -> list[float]:
    return pl.read_csv(file)["probability"].to_list()


def test_flags_of_texts_are_the_models_defaults(rows: Rows, masknet, tiny) -> None:
    written = {"separator": "\x01", "quote_style": "never"}
    Path("train.dat").write_bytes(rows().write_csv(**written).encode("latin-1"))
    flags = ("--delimiter", r"\x01", "--quote", "none", "--encoding", "latin-1")
    result = masknet("train", "train.dat", "--label", "click", "--ignore", "seconds", *flags, *tiny)
    assert result.code == 0, result.err
    test = rows(100, seed=5)
    Path("same.dat").write_bytes(test.write_csv(**written).encode("latin-1"))
    test.write_csv("other.csv")
    test.write_csv("semicolon.csv", separator=";")
    told = {"same.dat": "", "other.csv": "',' stands between", "semicolon.csv": "';' stands between"}
    found = []
    for name, note in told.items():
        result = masknet("predict", "train.masknet", name, "--out", "scores.csv", "--overwrite", "--threads", 1)
        assert result.code == 0, result.err
        assert (note in result.err) if note else ("stands between" not in result.err)
        found.append(scores())
        assert masknet("evaluate", "train.masknet", name, "--threads", 1).code == 0
        assert load("train.masknet").predict_proba(name)[:, 1] == pytest.approx(found[-1], abs=1e-7)
    assert found[0] == found[1] == found[2]
    again = masknet("predict", "train.masknet", "semicolon.csv", "--delimiter", ";", "--out", "a.csv", "--threads", 1)
    assert again.code == 0
    assert "stands between" not in again.err
    assert scores("a.csv") == found[0]


def test_without_a_header(rows: Rows, masknet, tiny) -> None:
    rows().write_csv("train.csv", include_header=False)
    result = masknet("train", "train.csv", "--no-header", "--label", "x0", "--ignore", "x4", *tiny)
    assert result.code == 0, result.err
    rows(50, seed=5).write_csv("test.csv", include_header=False)
    lacking = masknet("predict", "train.masknet", "test.csv", "--out", "scores.csv")
    assert lacking.error.endswith("where it has no header, as the training table, say so with --no-header")
    assert masknet("predict", "train.masknet", "test.csv", "--out", "scores.csv", "--no-header").code == 0
    assert load("train.masknet").predict_proba("test.csv")[:, 1] == pytest.approx(scores(), abs=1e-6)


def test_a_run_file_says_how_files_are_written(rows: Rows, masknet, tiny) -> None:
    Path("part-00000").write_text(rows().write_csv(separator="|"))
    said = "format: csv\ndelimiter: '|'\nquote: none\n"
    Path("run.yaml").write_text(f"data: part-00000\nlabel: click\n{said}out: a.masknet\n")
    assert masknet("train", "--config", "run.yaml", *tiny).code == 0
    assert masknet("train", "--config", "a.masknet/run.json", "--out", "b.masknet").code == 0
    weights = [Path(f"{name}.masknet/weights.safetensors").read_bytes() for name in "ab"]
    assert weights[0] == weights[1]
    assert "must be 'csv', 'tsv'" in masknet("train", "part-00000", "--label", "click", "--format", "xls").error


class _Input:
    def __init__(self, data: bytes) -> None:
        self.buffer = io.BytesIO(data)


def test_standard_input(rows: Rows, masknet, tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = rows()
    frame.write_csv("log.csv")
    monkeypatch.setattr(sys, "stdin", _Input(gzip.compress(frame.write_csv().encode())))
    result = masknet("train", "-", "--label", "click", "--ignore", "seconds", *tiny)
    assert result.code == 0, result.err
    assert masknet("train", "log.csv", "--label", "click", "--ignore", "seconds", *tiny).code == 0
    weights = [Path(f"{name}.masknet/weights.safetensors").read_bytes() for name in ("stdin", "log")]
    assert weights[0] == weights[1]
    monkeypatch.setattr(sys, "stdin", _Input(frame.write_ndjson().encode()))
    assert masknet("predict", "log.masknet", "-", "--out", "a.csv", "--threads", 1).code == 0
    assert masknet("predict", "log.masknet", "log.csv", "--out", "b.csv", "--threads", 1).code == 0
    assert scores("a.csv") == scores("b.csv")
    assert "standard input is read once" in masknet("train", "-", "--valid", "-", "--label", "click").error


def test_the_users_folder(rows: Rows, masknet, tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", os.getcwd())
    rows().write_csv("log.csv")
    result = masknet("train", "~/log.csv", "--label", "click", "--out", "~/m.masknet", *tiny)
    assert result.code == 0, result.err
    assert Path("m.masknet").is_dir()
    Path("run.yaml").write_text("data: ~/log.csv\nlabel: click\nout: ~/n.masknet\n")
    assert masknet("train", "--config", "run.yaml", *tiny).code == 0
    assert Path("n.masknet").is_dir()
    assert masknet("predict", "~/m.masknet", "~/log.csv", "--out", "~/scores.csv").code == 0
    assert Path("scores.csv").is_file()


def test_the_estimator_reads_them_too(rows: Rows, tmp_path: Path) -> None:
    path = tmp_path / "log.dat"
    path.write_bytes(rows().write_csv(separator=";").encode("latin-1"))
    settings = {"epochs": 1, "members": 1, "threads": 1, "cache_dir": tmp_path / "cache"}
    model = CTRClassifier(delimiter=";", encoding="latin-1", ignore="seconds", **settings).fit(str(path), "click")
    plain = CTRClassifier(ignore="seconds", **settings).fit(rows(), "click")
    frame = rows(20, seed=5)
    other = tmp_path / "other.dat"
    other.write_bytes(frame.write_csv(separator=";").encode("latin-1"))
    assert (model.predict_proba(str(other)) == model.predict_proba(frame)).all()  # a frame has no delimiter
    assert (model.predict_proba(frame) == plain.predict_proba(frame)).all()
    assert load(_saved(model, tmp_path)).predict_proba(str(other), form=Form(delimiter=";")).shape == (20, 2)


def _saved(model: CTRClassifier, folder: Path) -> Path:
    model.save(folder / "m.masknet")
    return folder / "m.masknet"
