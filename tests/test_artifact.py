from __future__ import annotations

import dataclasses
import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor, nn

import masknet.artifact
from masknet import __version__
from masknet.artifact import Artifact, CheckResult, check, check_free, load_artifact, probabilities
from masknet.config import RunConfig
from masknet.encode import EncodedRows, Encoder, EncoderLearner
from masknet.errors import ArtifactError
from masknet.manifest import FORMAT, Manifest, installed_versions, write_checksums
from masknet.models import MODELS
from masknet.nn import FieldEmbedding
from masknet.predict import predict_frame
from masknet.progress import LogProgress
from masknet.schema import Categorical, Numeric, Schema
from masknet.scoring import NetworkScorer
from masknet.space import FeatureSpace
from masknet.table import open_table
from masknet.train import fit

ROWS = pl.DataFrame(
    {
        "user": [1, 2, 3, 1, 2, 3, 1, None],
        "city": ["Ulm", "Bonn", "Ulm", "Köln", "a|b", "", "Ulm", "Bonn"],
        "price": [1.0, 2.5, None, 4.0, 100.0, 0.1, 7.0, 3.0],
    }
)
SETTINGS = {
    "lr": {},
    "serial-masknet": {"embedding_dim": 4, "block_dims": (8, None), "reduction": 1.5, "dropout": 0.1},
    "parallel-masknet": {"embedding_dim": 4, "block_dims": (8, 6), "top_dims": (5,), "reduction": None},
}
FILES = {
    "README.md",
    "checksums.json",
    "encoding.json",
    "golden.parquet",
    "manifest.json",
    "metrics.json",
    "run.json",
    "vocabulary.parquet",
    "weights.safetensors",
}


def fitted() -> Encoder:
    fields = (Categorical(name="user", values="integer"), Categorical(name="city"), Numeric(name="price"))
    fit = EncoderLearner(Schema(label="click", fields=fields))
    for chunk in open_table(ROWS).chunks():
        fit.add(chunk)
    return fit.finish()


def built(model: str, encoder: Encoder, seed: int = 0) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = MODELS[model](encoder.space, **SETTINGS[model])
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(0.3 * torch.randn(parameter.shape))
    return network


def described(model: str) -> Manifest:
    facts = {
        "masknet": __version__,
        "created": "2026-01-31T12:00:00+00:00",
        "model": model,
        "settings": SETTINGS.get(model, {}),
        "num_parameters": {"embedding": 1200, "network": 34},
        "precision": "fp32",
        "threads": 2,
        "device": "cpu",
        "seed": 0,
        "versions": installed_versions(),
        "data": {"name": "clicks.parquet", "rows": 7000, "valid_rows": 800},
        "training": {"epochs": 3, "best_epoch": 2, "seconds": 1.25, "refit": False},
        "metrics": {"auc": {"value": 0.75, "low": 0.7, "high": 0.8}, "pr_auc": {"value": None, "why": "one class"}},
        "rows": 800,
    }
    return Manifest.model_validate(facts)


def scored(model: str, encoder: Encoder, network: nn.Module) -> pl.DataFrame:
    """Golden rows: raw values and what the network gives for them before it is saved."""
    unsaved = Artifact(described(model), encoder, NetworkScorer(network.eval()))
    chunk = next(open_table(ROWS).chunks())
    return ROWS.with_columns(pl.Series("probability", probabilities(unsaved, chunk)))


def saved(path: Path, model: str = "parallel-masknet", *, golden: bool = True, overwrite: bool = False) -> Path:
    encoder = fitted()
    network = built(model, encoder)
    artifact = Artifact(
        described(model),
        encoder,
        NetworkScorer(network),
        run={"data": "clicks.parquet", "label": "click", "clip": None},
        golden=scored(model, encoder, network) if golden else None,
        history=[{"epoch": 1, "auc": 0.7, "loss": float("nan")}],
    )
    artifact.save(path, overwrite=overwrite)
    return path


@pytest.mark.parametrize("model", sorted(SETTINGS))
def test_a_network_comes_back_with_the_same_weights_and_scores(tmp_path: Path, model: str) -> None:
    artifact = load_artifact(saved(tmp_path / "ads.masknet", model))
    expected = built(model, fitted()).state_dict()
    assert {name: t.tolist() for name, t in artifact.network.state_dict().items()} == {
        name: t.tolist() for name, t in expected.items()
    }
    assert type(artifact.network) is MODELS[model]
    assert not artifact.network.training
    assert artifact.manifest == described(model).model_copy(update={"settings": artifact.manifest.settings})
    result = check(artifact)
    assert (result.ok, result.rows, result.difference) == (True, 8, 0.0)
    assert result.sentence.startswith("the 8 golden rows give their probabilities again")


def test_the_folder_holds_its_files_and_anyone_may_read_them(tmp_path: Path) -> None:
    path = saved(tmp_path / "new" / "ads.masknet")
    assert {file.name for file in path.iterdir()} == FILES
    probe = tmp_path / "probe"
    probe.mkdir()
    assert path.stat().st_mode == probe.stat().st_mode
    (probe / "file").touch()
    assert {file.stat().st_mode for file in path.iterdir()} == {(probe / "file").stat().st_mode}
    assert json.loads((path / "run.json").read_text()) == {"data": "clicks.parquet", "label": "click", "clip": None}
    metrics = json.loads((path / "metrics.json").read_text())
    assert metrics["metrics"]["auc"]["value"] == 0.75
    assert metrics["rows"] == 800
    assert metrics["history"] == [{"epoch": 1, "auc": 0.7, "loss": None}]
    assert os.listdir(path.parent) == ["ads.masknet"]


def test_equal_weights_are_equal_files_and_other_weights_are_not(tmp_path: Path) -> None:
    first, second = saved(tmp_path / "a.masknet"), saved(tmp_path / "sub" / "b.masknet")
    weights = (first / "weights.safetensors").read_bytes()
    assert weights == (second / "weights.safetensors").read_bytes()
    encoder = fitted()
    other = NetworkScorer(built("parallel-masknet", encoder, seed=1))
    Artifact(described("parallel-masknet"), encoder, other).save(tmp_path / "c.masknet")
    assert weights != (tmp_path / "c.masknet" / "weights.safetensors").read_bytes()


def test_loading_leaves_the_callers_random_numbers_alone(tmp_path: Path) -> None:
    path = saved(tmp_path / "ads.masknet")
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    load_artifact(path)
    assert torch.equal(torch.rand(4), expected)


def test_without_golden_rows_the_check_says_so(tmp_path: Path) -> None:
    path = saved(tmp_path / "ads.masknet", golden=False)
    assert not (path / "golden.parquet").exists()
    result = check(load_artifact(path))
    assert (result.ok, result.rows, result.difference) == (True, 0, None)
    assert "no golden rows" in result.sentence
    assert "golden" not in (path / "README.md").read_text()


def test_a_check_finds_another_probability(tmp_path: Path) -> None:
    path = saved(tmp_path / "ads.masknet")
    golden = pl.read_parquet(path / "golden.parquet")
    probability = golden["probability"].to_numpy().copy()
    probability[5] += 1e-3
    golden.with_columns(probability=probability).write_parquet(path / "golden.parquet")
    result = check(load_artifact(path, verify=False))
    assert not result.ok
    assert result.difference == pytest.approx(1e-3)
    assert "do NOT give" in result.sentence
    assert not CheckResult(rows=1, difference=float("nan")).ok


def test_the_card_says_what_it_is(tmp_path: Path) -> None:
    card = (saved(tmp_path / "ads.masknet") / "README.md").read_text(encoding="utf-8")
    for line in (
        "# ads.masknet",
        "- rows: 7,000",
        "- best epoch: 2",
        "- refit: False",
        "| user | categorical (integer) | 3 values |",
        "| price | numeric | 0.1 to 100 |",
        "| auc | 0.75 | 0.70 to 0.80 |",
        "| pr auc | undefined | one class |",
        "masknet predict ads.masknet today.csv --out scores.parquet",
    ):
        assert line in card.splitlines(), line
    assert "1,234 parameters (1,200 in the embedding, 34 in the network)" in card
    assert "golden.parquet` holds 8 rows" in card
    assert "which also chose the weights" in card


# Damage


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("whole") / "ads.masknet", "lr")


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_flipped_byte_or_a_cut_is_always_refused_with_the_files_name(whole: Path, tmp_path: Path, name: str) -> None:
    path = tmp_path / "ads.masknet"
    shutil.copytree(whole, path)
    content = (path / name).read_bytes()
    rng = np.random.default_rng(len(content))
    for place in rng.integers(len(content), size=25):
        flipped = bytearray(content)
        flipped[place] ^= int(rng.integers(1, 256))
        (path / name).write_bytes(flipped)
        with pytest.raises(ArtifactError, match=rf"is damaged: {name} ") as caught:
            load_artifact(path)
        assert "\n" not in str(caught.value)
    for size in (0, 1, len(content) // 2, len(content) - 1):
        (path / name).write_bytes(content[:size])
        with pytest.raises(ArtifactError, match=rf"is damaged: {name} "):
            load_artifact(path)
    (path / name).unlink()
    with pytest.raises(ArtifactError, match=rf"is damaged: {name} is missing"):
        load_artifact(path)
    (path / name).write_bytes(content)
    load_artifact(path)


@pytest.mark.parametrize(
    "name", ["manifest.json", "weights.safetensors", "encoding.json", "vocabulary.parquet", "golden.parquet"]
)
def test_unverified_damage_is_refused_too_where_it_is_met(whole: Path, tmp_path: Path, name: str) -> None:
    path = tmp_path / "ads.masknet"
    shutil.copytree(whole, path)
    content = (path / name).read_bytes()
    (path / "checksums.json").unlink()
    for damage in (b"", b"[]", content[: len(content) // 2], content[::-1]):
        (path / name).write_bytes(damage)
        with pytest.raises(ArtifactError, match=rf"is damaged: .*{name}"):
            check(load_artifact(path, verify=False))


def test_a_newer_format_is_refused(whole: Path, tmp_path: Path) -> None:
    path = tmp_path / "ads.masknet"
    shutil.copytree(whole, path)
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps(manifest | {"format": FORMAT + 1, "masknet": "9.0"}))
    (path / "weights.safetensors").unlink()
    write_checksums(path)
    with pytest.raises(ArtifactError, match=rf"by masknet 9\.0 in format {FORMAT + 1}; .* update masknet"):
        load_artifact(path)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"model": "paralel-masknet"}, "unknown model 'paralel-masknet'; did you mean 'parallel-masknet'"),
        ({"model": "serial-masknet"}, "the weights of .* do not fit its network serial-masknet: the shape of"),
        ({"settings": {"widht": 3}}, "the settings of .* do not fit its network lr: .*'widht'"),
        ({"model": "serial-masknet", "settings": {"reduction": -1}}, "do not fit its network serial-masknet: 'reduct"),
    ],
)
def test_a_manifest_that_does_not_fit_the_weights_is_refused(
    whole: Path, tmp_path: Path, changes: dict[str, object], sentence: str
) -> None:
    path = tmp_path / "ads.masknet"
    shutil.copytree(whole, path)
    (path / "manifest.json").write_text(described("lr").model_copy(update=changes).model_dump_json())
    write_checksums(path)
    with pytest.raises(ArtifactError, match=sentence):
        load_artifact(path)


# Where it is written


def test_nothing_is_overwritten_unasked(tmp_path: Path) -> None:
    path = saved(tmp_path / "ads.masknet")
    before = {file.name: file.read_bytes() for file in path.iterdir()}
    with pytest.raises(ArtifactError, match=r"ads\.masknet' holds a model already: replace it with --overwrite"):
        saved(path, "lr")
    assert {file.name: file.read_bytes() for file in path.iterdir()} == before
    saved(path, "lr", overwrite=True)
    assert load_artifact(path).manifest.model == "lr"
    assert os.listdir(tmp_path) == ["ads.masknet"]


def test_what_is_no_artifact_is_never_replaced(tmp_path: Path) -> None:
    folder, file = tmp_path / "folder", tmp_path / "file"
    folder.mkdir()
    (folder / "thesis.tex").write_text("years of work")
    file.write_text("more of it")
    for overwrite in (False, True):
        with pytest.raises(ArtifactError, match=r"folder' is a folder without a manifest\.json"):
            saved(folder, overwrite=overwrite)
        with pytest.raises(ArtifactError, match="file' is a file"):
            saved(file, overwrite=overwrite)
        with pytest.raises(ArtifactError, match="file' is a file"):
            check_free(file, overwrite=overwrite)
    assert (folder / "thesis.tex").read_text() == "years of work"
    assert file.read_text() == "more of it"
    check_free(tmp_path / "free", overwrite=False)


@pytest.mark.parametrize("fails", ["write_checksums", "model_card", "sync"])
def test_a_crash_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str) -> None:
    old = saved(tmp_path / "old.masknet", "lr")

    def crash(*arguments: object, **keywords: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(masknet.artifact, fails, crash)
    with pytest.raises(OSError, match="No space left"):
        saved(tmp_path / "new.masknet")
    with pytest.raises(OSError, match="No space left"):
        saved(old, overwrite=True)
    assert os.listdir(tmp_path) == ["old.masknet"]
    assert load_artifact(old).manifest.model == "lr"


def test_a_full_disk_met_by_polars_is_an_oserror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(encoder: Encoder, folder: Path) -> None:
        raise pl.exceptions.ComputeError("underlying IO error: No space left on device")

    monkeypatch.setattr(Encoder, "save", full)
    with pytest.raises(OSError, match="No space left"):
        saved(tmp_path / "new.masknet")
    assert os.listdir(tmp_path) == []


def test_the_old_artifact_comes_back_where_the_new_one_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path / "ads.masknet", "lr")
    rename = Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if self.name == "ads.masknet" and self != path:
            raise OSError(5, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(OSError, match="Input/output"):
        saved(path, overwrite=True)
    assert load_artifact(path).manifest.model == "lr"
    assert os.listdir(tmp_path) == ["ads.masknet"]


# One trained thing: changed, saved again, saved elsewhere, whatever it scores with


def test_it_is_changed_and_saved_elsewhere(tmp_path: Path) -> None:
    artifact = load_artifact(saved(tmp_path / "ads.masknet"))
    changed = dataclasses.replace(artifact, run={**artifact.run, "notes": "of another run"})
    elsewhere = changed.save(tmp_path / "elsewhere.masknet")
    assert elsewhere.path == tmp_path / "elsewhere.masknet"
    again = load_artifact(elsewhere.path)
    assert again.run["notes"] == "of another run"
    assert "notes" not in load_artifact(tmp_path / "ads.masknet").run
    assert (again.history, again.manifest) == (artifact.history, artifact.manifest)
    assert check(again).ok


class Constant:
    """What scores need not be a network: every row has one logit."""

    def logits(self, rows: EncodedRows) -> np.ndarray:
        return np.full(len(rows), 1.5, dtype=np.float32)

    def files(self) -> dict[str, bytes]:
        return {"constant.txt": b"1.5"}


def test_what_scores_need_not_be_a_network(tmp_path: Path) -> None:
    artifact = Artifact(described("lr"), fitted(), Constant())
    chunk = next(open_table(ROWS).chunks())
    assert probabilities(artifact, chunk).round(4).tolist() == [0.8176] * len(ROWS)
    folder = artifact.save(tmp_path / "constant.masknet").path
    assert folder is not None
    assert (folder / "constant.txt").read_bytes() == b"1.5"
    with pytest.raises(AttributeError, match="what scores here is no network but Constant"):
        _ = artifact.network


class Tied(nn.Module):
    """Both towers read one weight."""

    def __init__(self, space: FeatureSpace) -> None:
        super().__init__()
        self.embedding = FieldEmbedding(space, 4)
        self.first = nn.Linear(self.embedding.d_out, 1)
        self.second = nn.Linear(self.embedding.d_out, 1)
        self.second.weight = self.first.weight

    def forward(self, ids: Tensor, values: Tensor, dense: Tensor | None = None) -> Tensor:
        row = self.embedding.flat(ids, values, dense)
        return (self.first(row) + self.second(row).tanh()).squeeze(1)


def test_a_weight_that_two_modules_share_is_saved_and_shared_again(tmp_path: Path) -> None:
    encoder = fitted()
    manifest = described("lr").model_copy(update={"model": f"{Tied.__module__}:Tied", "settings": {}})
    artifact = Artifact(manifest, encoder, NetworkScorer(Tied(encoder.space).eval()))
    sys.modules.setdefault(Tied.__module__, sys.modules[__name__])
    again = load_artifact(artifact.save(tmp_path / "tied.masknet").path or "", trust_code=True)
    assert again.network.first.weight is again.network.second.weight
    chunk = next(open_table(ROWS).chunks())
    assert np.array_equal(probabilities(again, chunk), probabilities(artifact, chunk))


def test_trees_are_an_artifact_too(tmp_path: Path) -> None:
    log = pl.concat([ROWS] * 40).with_columns(click=pl.int_range(320) // 40 % 2)
    log.write_parquet(tmp_path / "log.parquet")
    config = RunConfig(
        data=tmp_path / "log.parquet", label="click", model="gbdt", cache_dir=tmp_path / "cache", threads=1
    )
    trees = fit(config, open_table(log), None, LogProgress())
    folder = trees.save(tmp_path / "trees.masknet").path
    assert folder is not None
    assert {file.name for file in folder.iterdir()} == FILES - {"weights.safetensors"} | {"trees.txt", "trees.json"}
    again = load_artifact(folder)
    assert check(again).ok
    assert np.array_equal(predict_frame(again, log), predict_frame(trees, log))
    assert again.manifest.subject["name"] == "gbdt"
    (folder / "trees.txt").write_text("no trees")
    with pytest.raises(ArtifactError, match=r"trees\.txt was cut"):
        load_artifact(folder, verify=False)  # what LightGBM would read is verified all the same


def test_trees_read_numbers_as_they_were(tmp_path: Path) -> None:
    """Knots would clip 1e9 to the largest number of training, and a missing one to the median: a tree sees both."""
    x = np.where(np.arange(400) % 5 == 0, np.nan, np.arange(400.0))
    click = (np.isnan(x) | (x > 300)).astype(int)
    log = pl.DataFrame({"x": pl.Series(x, nan_to_null=True), "click": click})
    config = RunConfig(label="click", model="gbdt", numeric=("x",), cache_dir=tmp_path / "cache", threads=1)
    trees = fit(config, open_table(log), open_table(log), LogProgress())
    rows = trees.encoder.encode(next(open_table(log).chunks(["x"])))
    assert rows.numbers is not None
    np.testing.assert_array_equal(rows.numbers[:, 0], x)
    found = predict_frame(trees, pl.DataFrame({"x": [10.0, 350.0, 1e9, None]}))
    assert (found > 0.5).tolist() == [False, True, True, True]
