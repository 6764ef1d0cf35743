"""`--model package.module:Class`: a user's own network by the same commands, loaded only where its code is trusted."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from masknet import ArtifactError, ConfigError, CTRClassifier, load

MODULE = """
from masknet.models import LogisticRegression

imported = True


class Own(LogisticRegression):
    def __init__(self, space, *, power: int = 1):
        super().__init__(space)
        self.power = power

    def forward(self, ids, values, dense=None):
        return super().forward(ids, values, dense) * self.power


class Bad(LogisticRegression):
    def forward(self, ids, values, dense=None):
        return super().forward(ids, values, dense) - super().forward(ids, values, dense).sum()
"""
Run = Callable[..., Any]


@pytest.fixture(autouse=True)
def _module(_somewhere: None, rows: Callable[..., pl.DataFrame], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    Path("own_cli.py").write_text(MODULE)
    rows().write_parquet("train.parquet")
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    forget()


def forget() -> None:
    """As in a new process: neither the module nor the folder is known."""
    sys.modules.pop("own_cli", None)
    sys.path[:] = [path for path in sys.path if Path(path) != Path.cwd()]


@pytest.fixture
def own(masknet: Run) -> str:
    flags = ["--label", "click", "--epochs", 1, "--threads", 1, "--set", "power=2", "--out", "own.masknet"]
    result = masknet("train", "train.parquet", *flags, "--model", "own_cli:Own", "--json")
    assert result.code == 0, result.err
    forget()
    return "own.masknet"


def test_it_trains_and_is_used_where_it_is_trusted(masknet: Run, own: str) -> None:
    manifest = json.loads(Path(own, "manifest.json").read_text())
    assert (manifest["model"], manifest["settings"]) == ("own_cli:Own", {"power": 2})
    assert "masknet check own.masknet --trust-code" in Path(own, "README.md").read_text()
    for command in (
        ("check", own, "--trust-code", "--json"),
        ("evaluate", own, "train.parquet", "--baseline", own, "--trust-code", "--json"),
        ("predict", own, "train.parquet", "--out", "scores.csv", "--trust-code", "--json"),
    ):
        result = masknet(*command)
        assert result.code == 0, result.err
        forget()
    again = masknet("train", "--config", f"{own}/run.json", "--out", "again.masknet")
    assert again.code == 0, again.err
    weights = [Path(name, "weights.safetensors").read_bytes() for name in (own, "again.masknet")]
    assert weights[0] == weights[1]


def test_nothing_is_imported_unless_told(masknet: Run, own: str) -> None:
    sys.path.append(str(Path.cwd()))  # even where it would be found
    for command in (
        ("check", own),
        ("evaluate", own, "train.parquet"),
        ("predict", own, "train.parquet", "--out", "scores.csv"),
    ):
        error = masknet(*command).error
        assert "'own.masknet' is the class own_cli:Own, code that loading would import" in error
        assert "--trust-code" in error
    with pytest.raises(ArtifactError, match="trust_code=True"):
        load(own)
    assert "own_cli" not in sys.modules
    assert not Path("scores.csv").exists()


def test_code_that_is_gone_or_has_changed_is_said(masknet: Run, own: str) -> None:
    Path("own_cli.py").write_text(MODULE.replace("*, power: int = 1", "*, strength: int = 1"))
    assert (
        "the settings of 'own.masknet' do not fit its network own_cli:Own"
        in masknet("check", own, "--trust-code").error
    )
    forget()
    Path("own_cli.py").unlink()
    error = masknet("check", own, "--trust-code").error
    assert "the network of 'own.masknet' cannot be made again: " in error
    assert "there is no module 'own_cli'" in error


def test_a_network_that_breaks_the_contract_does_not_train(masknet: Run) -> None:
    error = masknet(
        "train", "train.parquet", "--label", "click", "--model", "own_cli:Bad", "--out", "bad.masknet"
    ).error
    assert "own_cli:Bad breaks check_rows_are_apart" in error
    assert not list(Path().glob("bad.masknet*"))
    error = masknet("train", "train.parquet", "--label", "click", "--model", "own_cli:Owl").error
    assert "did you mean 'Own'" in error


def test_the_class_itself_trains_in_python(tmp_path: Path) -> None:
    sys.path.append(str(Path.cwd()))
    import own_cli  # type: ignore[import-not-found]

    settings: dict[str, Any] = {"epochs": 1, "threads": 1, "device": "cpu", "cache_dir": tmp_path}
    rows = pl.read_parquet("train.parquet")
    by_class = CTRClassifier(own_cli.Own, **settings).set_params(model__power=3).fit(rows, "click")
    by_name = CTRClassifier("own_cli:Own", model_settings={"power": 3}, **settings).fit(rows, "click")
    assert type(by_class.network_) is type(by_name.network_) is own_cli.Own
    assert by_class.get_params()["model__power"] == 3
    expected = by_class.predict_proba(rows).tolist()
    assert by_name.predict_proba(rows).tolist() == expected
    by_class.save("m")
    loaded = CTRClassifier.load("m", trust_code=True)
    assert loaded.model == "own_cli:Own"
    assert loaded.predict_proba(rows).tolist() == expected
    with pytest.raises(ConfigError, match="breaks check_rows_are_apart"):
        CTRClassifier(own_cli.Bad, **settings).fit(rows, "click")


def test_one_of_ours_as_a_class_needs_no_trust(tmp_path: Path) -> None:
    from masknet.models import LogisticRegression

    classifier = CTRClassifier(LogisticRegression, epochs=1, threads=1, cache_dir=tmp_path)
    classifier.fit(pl.read_parquet("train.parquet"), "click").save("m")
    assert load("m").artifact.manifest.model == "lr"
