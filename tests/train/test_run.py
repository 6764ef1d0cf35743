"""The whole job: what it refuses, what it says, what it leaves behind."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor, nn

import masknet
from masknet.artifact import Artifact
from masknet.config import RunConfig
from masknet.datasets import planted_log
from masknet.encode import Prepared, prepare
from masknet.errors import ArtifactError, ConfigError, DataError, MasknetError
from masknet.manifest import read_manifest
from masknet.models import build_network
from masknet.nn import FieldEmbedding
from masknet.progress import LogProgress
from masknet.space import FeatureSpace
from masknet.table import open_table
from masknet.train import Interrupted, fit, train
from masknet.train.checkpoint import Checkpoint, RunFolder
from masknet.train.level import move_biases
from masknet.train.members import network_step
from masknet.train.monitor import Watched
from masknet.train.plan import encoding_plan
from masknet.train.standing import Board
from masknet.train.trainer import Trainer

SMALL = {"embedding_dim": 3, "block_dims": [6], "top_dims": [7]}
Run = Callable[..., RunConfig]
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


@pytest.fixture
def run(home: Path, tmp_path: Path) -> Run:
    """Settings of a quick run, not yet begun."""

    def run(**settings: Any) -> RunConfig:
        given: dict[str, Any] = PLAIN | {
            "data": home / "log.parquet",
            "label": "click",
            "cache_dir": home / "cache",
            "out": tmp_path / "ads.masknet",
            "set": SMALL,
            "batch_size": 64,
            "learning_rate": 0.01,
            "epochs": 2,
            "threads": 1,
            "device": "cpu",
        }
        return RunConfig(**given | settings)

    return run


class Hears(LogProgress):
    """Keeps what is said; asks to stop after so many batches."""

    def __init__(self, after: int | None = None) -> None:
        self.after, self.batches = after, 0
        self.notes: list[str] = []
        self.warnings: list[str] = []

    def stopping(self) -> bool:
        self.batches += 1
        return self.batches == self.after

    def note(self, text: str) -> None:
        self.notes.append(text)

    def warn(self, text: str) -> None:
        self.warnings.append(text)


def trained(config: RunConfig, progress: Hears | None = None) -> Artifact:
    _, fitted = train(config, progress or Hears())
    assert fitted is not None
    return fitted


def stopped(config: RunConfig, after: int = 3) -> RunConfig:
    with pytest.raises(Interrupted):
        train(config, Hears(after))
    return config


def weights_of(config: RunConfig) -> bytes:
    return Path(str(config.out), "weights.safetensors").read_bytes()


def refusal(config: RunConfig, kind: type[MasknetError] = ConfigError) -> str:
    """The one sentence with which this run is refused; nothing at the output changes."""
    out = Path(str(config.out))

    def lies_there() -> dict[str, bytes]:
        return {str(file): file.read_bytes() for file in sorted(out.parent.rglob("*")) if file.is_file()}

    before = lies_there()
    with pytest.raises(kind) as caught:
        train(config, Hears())
    assert lies_there() == before
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- seeds and splits


def test_the_seed_decides_the_weights_and_not_the_split(run: Run, tmp_path: Path) -> None:
    splits: list[Prepared] = []
    files = []
    for number, seed in enumerate((1, 1, 2)):
        config = run(seed=seed, out=tmp_path / f"{number}.masknet")
        train(config, Hears(), on_prepared=splits.append)
        files.append(weights_of(config))
    assert files[0] == files[1]
    assert files[0] != files[2]
    assert splits[0].valid is not None
    for other in splits[1:]:
        assert other.valid is not None
        assert np.array_equal(splits[0].valid.ids, other.valid.ids)
        assert np.array_equal(splits[0].train.labels, other.train.labels)


def test_a_file_of_validation_rows_is_all_that_validates(run: Run, home: Path, tmp_path: Path) -> None:
    pl.read_parquet(home / "log.parquet").tail(50).write_parquet(tmp_path / "valid.parquet")
    seen: list[Prepared] = []
    train(run(valid=tmp_path / "valid.parquet"), Hears(), on_prepared=seen.append)
    assert (len(seen[0].train), len(seen[0].valid or ())) == (600, 50)


# --- what success leaves


def test_success_leaves_the_model_and_the_log(run: Run, tmp_path: Path) -> None:
    fitted = trained(run(checkpoint_minutes=0.0))
    assert sorted(os.listdir(tmp_path)) == ["ads.masknet", "ads.masknet.run"]
    assert os.listdir(tmp_path / "ads.masknet.run") == ["log.jsonl"]
    log = [json.loads(line) for line in (tmp_path / "ads.masknet.run" / "log.jsonl").read_text().splitlines()]
    assert log == fitted.history
    facts = fitted.manifest
    assert (facts.threads, facts.device, facts.precision, facts.seed) == (1, "cpu", "fp32", 0)
    assert facts.training["epochs"] == 2
    assert facts.training["seconds"] >= log[-1]["seconds"]
    assert facts.metrics["auc"]["value"] == max(record["valid"]["auc"] for record in log)
    assert (facts.data["rows"], facts.data["valid_rows"], facts.rows) == (540, 60, 60)
    assert not fitted.network.training


@pytest.mark.parametrize(("processor", "said"), [(False, ["this processor does not multiply in bf16"]), (True, [])])
def test_the_precision_is_recorded_and_told(
    run: Run, processor: bool, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("masknet.train.run.has_bf16", lambda device: processor)
    heard = Hears()
    config = run(precision="bf16")
    fitted = trained(config, heard)
    assert (fitted.manifest.precision, fitted.run["precision"]) == ("bf16", "bf16")
    assert "- precision: bf16\n" in Path(str(config.out), "README.md").read_text()
    assert [note.partition(":")[0] for note in heard.notes if "does not multiply" in note] == said
    assert any(note.startswith("it trains in bf16 for 2 epochs at most") for note in heard.notes)
    assert {tensor.dtype for tensor in fitted.network.state_dict().values()} == {torch.float32}


def test_without_a_wish_the_precision_is_fp32_and_the_run_says_so(run: Run) -> None:
    heard = Hears()
    fitted = trained(run(), heard)
    assert (fitted.manifest.precision, fitted.run["precision"]) == ("fp32", "fp32")
    assert any(note.startswith("it trains in fp32 for 2 epochs at most") for note in heard.notes)


def test_a_resumed_run_keeps_the_precision_that_it_began_with(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    config = stopped(run(precision="bf16"))
    monkeypatch.setattr("masknet.train.precision.has_bf16", lambda device: False)
    fitted = trained(config.replace(resume=True, precision=None))
    assert (fitted.manifest.precision, fitted.run["precision"]) == ("bf16", "bf16")


def test_the_model_is_named_after_the_data_unless_told_otherwise(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path, _ = train(run(out=None), Hears())
    assert path == Path("log.masknet")
    saved = json.loads((tmp_path / "log.masknet" / "run.json").read_text())
    assert saved["out"] == str(tmp_path / "log.masknet")


def test_frames_are_trained_on_without_a_folder_and_threads_are_left_alone(run: Run, home: Path) -> None:
    config = run(data=None, out=None)
    before = torch.get_num_threads()
    fitted = fit(config.replace(threads=before + 1), open_table(pl.read_parquet(home / "log.parquet")), None, Hears())
    assert torch.get_num_threads() == before
    assert fitted.manifest.threads == before + 1
    assert len(fitted.golden if fitted.golden is not None else ()) == 8


def test_without_threads_it_takes_the_processors_it_may_use(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 5, 7}, raising=False)
    assert trained(run(threads=None, model="lr", set={})).manifest.threads == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    assert trained(run(threads=None, model="lr", set={}, overwrite=True)).manifest.threads == 2


# --- what lies at the output


def test_a_model_is_not_overwritten_without_a_word(run: Run) -> None:
    config = run()
    train(config, Hears())
    first = weights_of(config)
    assert "--overwrite" in refusal(config.replace(seed=1), ArtifactError)
    train(config.replace(seed=1, overwrite=True), Hears())
    assert weights_of(config) != first


@pytest.mark.parametrize("flags", [{}, {"overwrite": True}, {"resume": True}])
def test_nothing_but_a_model_is_overwritten(run: Run, flags: dict[str, Any]) -> None:
    config = run(**flags)
    Path(str(config.out)).mkdir()
    Path(str(config.out), "thesis.txt").write_text("years of work")
    assert "--out" in refusal(config, ArtifactError)


def test_a_folder_that_cannot_be_written_is_found_out_at_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def untouched(*_: Any) -> None:
        raise AssertionError("it began to read")

    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(PermissionError):
        train(run(), Hears(), on_prepared=untouched)


# --- resuming


def test_a_finished_run_says_so(run: Run) -> None:
    config = run()
    train(config, Hears())
    before = weights_of(config)
    for flags in ({"resume": True}, {"resume": True, "overwrite": True}, {"resume": True, "seed": 7}):
        progress = Hears()
        assert train(config.replace(**flags), progress) == (Path(str(config.out)), None)
        assert progress.notes == [f"the run of {config.out} is finished: there is nothing to resume"]
    assert weights_of(config) == before


def test_a_finished_run_that_was_killed_while_it_tidied_up_is_tidied_up(run: Run, tmp_path: Path) -> None:
    config = run()
    train(config, Hears())
    left = tmp_path / "ads.masknet.run" / "checkpoint-1.safetensors"
    left.write_bytes(b"left over")
    train(config.replace(resume=True), Hears())
    assert not left.exists()


def test_without_a_state_it_starts_afresh_and_says_so(run: Run) -> None:
    progress = Hears()
    trained(run(resume=True), progress)
    assert any(note.endswith("to resume: the run starts afresh") for note in progress.notes)


def test_killed_before_the_first_checkpoint_it_starts_afresh_and_says_so(run: Run) -> None:
    config = run()
    RunFolder(Path(f"{config.out}.run")).begin(config.settings())
    progress = Hears()
    trained(config.replace(resume=True), progress)
    assert any(note.endswith("to resume: the run starts afresh") for note in progress.notes)


def test_an_unfinished_run_is_not_overwritten_without_a_word(run: Run, tmp_path: Path) -> None:
    whole = run(out=tmp_path / "whole.masknet")
    train(whole, Hears())
    config = stopped(run())
    said = refusal(config, ArtifactError)
    assert "--resume" in said
    assert "--overwrite" in said
    assert "ads.masknet.run" in said
    progress = Hears()
    train(config.replace(overwrite=True), progress)
    assert not any("resume" in note for note in progress.notes)
    assert weights_of(config) == weights_of(whole)


@pytest.mark.parametrize("slip", [{"model": "paralel-masknet"}, {"monitor": "acu"}, {"device": "gpu"}])
def test_a_slip_in_the_settings_does_not_cost_the_unfinished_run_its_state(run: Run, slip: dict[str, Any]) -> None:
    config = stopped(run())
    refusal(config.replace(**slip, overwrite=True))
    progress = Hears()
    trained(config.replace(resume=True), progress)
    assert "resumed after 3 steps" in progress.notes


@pytest.mark.parametrize("model_there", [False, True])
def test_the_same_command_with_resume_goes_on_whether_it_overwrites_or_not(
    run: Run, tmp_path: Path, model_there: bool
) -> None:
    whole = run(out=tmp_path / "whole.masknet")
    train(whole, Hears())
    config = run(overwrite=True)
    if model_there:
        train(config.replace(seed=9), Hears())
        older = weights_of(config)
    stopped(config)
    if model_there:
        assert weights_of(config) == older  # until the new one is done
    progress = Hears()
    train(config.replace(resume=True), progress)
    assert "resumed after 3 steps" in progress.notes
    assert weights_of(config) == weights_of(whole)


@pytest.mark.parametrize(
    "change",
    [
        {"batch_size": 32},
        {"seed": 1},
        {"learning_rate": 0.02},
        {"model": "lr", "set": {}},
        {"set": SMALL | {"dropout": 0.5}},
        {"average_weights": 0.9},
        {"embedding_updates": "sparse"},
        {"verify": True},
        {"epochs": 3},
    ],
)
def test_other_settings_are_refused(run: Run, change: dict[str, Any]) -> None:
    config = stopped(run())
    name, value = next(iter(change.items()))
    said = refusal(config.replace(**change, resume=True))
    assert f"{name} was {config.settings()[name]!r} and is {value!r}" in said
    assert "--overwrite and not --resume" in said
    assert said == refusal(config.replace(**change, resume=True, overwrite=True))  # the run is not lost by a slip


def test_sparse_updates_are_told_and_dense_ones_are_not(run: Run) -> None:
    for updates in ("dense", "sparse"):
        config, progress = run(embedding_updates=updates, epochs=1, overwrite=True), Hears()
        train(config, progress)
        told = [note for note in progress.notes if note.endswith("GB of memory; sparse updates of the tables")]
        assert len(told) == (updates == "sparse")
        kept = read_manifest(str(config.out)).training
        assert kept.get("embedding_updates") == ("sparse" if updates == "sparse" else None)


def rewrite(config: RunConfig, change: Callable[[dict[str, Any]], None]) -> None:
    """Make the checkpoint one that began otherwise."""
    folder = RunFolder(Path(f"{config.out}.run"))
    checkpoint = folder.load()[1]
    change(checkpoint.state)
    folder.save(Checkpoint(checkpoint.state, checkpoint.tensors))


@pytest.mark.parametrize(
    ("name", "began", "asked"), [("threads", 2, 1), ("precision", "bf16", "fp32"), ("device", "meta", "cpu")]
)
def test_another_machine_is_refused_and_without_a_wish_the_old_one_is_kept(
    run: Run, name: str, began: Any, asked: Any
) -> None:
    config = stopped(run())
    rewrite(config, lambda state: state["machine"].update({name: began}))
    said = refusal(config.replace(**{name: asked}, resume=True))
    assert f"keeps its {name}" in said
    assert f"began with {began}, --{name} is {asked}" in said


def test_threads_come_from_the_checkpoint(run: Run) -> None:
    config = stopped(run())
    fitted = trained(config.replace(resume=True, threads=None, device="auto"))
    assert (fitted.manifest.threads, fitted.manifest.device) == (1, "cpu")


def test_a_run_of_other_versions_is_refused(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    config = stopped(run())
    version = masknet.__version__
    with monkeypatch.context() as patched:
        patched.setattr(masknet, "__version__", "99.0")
        assert f"began with masknet {version}, this is 99.0" in refusal(config.replace(resume=True))
    rewrite(config, lambda state: state["versions"].update(torch="0.4"))
    assert "began with torch 0.4" in refusal(config.replace(resume=True))


def test_changed_data_are_refused_and_moved_data_are_not(run: Run, home: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere.parquet"
    shutil.copy2(home / "log.parquet", moved)
    config = stopped(run())
    changed = tmp_path / "changed.parquet"
    pl.read_parquet(home / "log.parquet").reverse().write_parquet(changed)
    assert "the tables have changed" in refusal(config.replace(data=changed, resume=True))
    progress = Hears()
    trained(config.replace(data=moved, checkpoint_minutes=3.0, golden_rows=0, resume=True), progress)
    assert "resumed after 3 steps" in progress.notes


def test_a_damaged_checkpoint_is_one_sentence(run: Run) -> None:
    config = stopped(run())
    file = Path(f"{config.out}.run", "checkpoint-1.safetensors")
    file.write_bytes(file.read_bytes()[:-7])
    assert "is damaged" in refusal(config.replace(resume=True), ArtifactError)


class KilledError(BaseException):
    pass


def test_a_kill_while_an_overwriting_run_encodes_does_not_bring_the_older_run_back(run: Run, tmp_path: Path) -> None:
    def killed(_: Prepared) -> None:
        raise KilledError

    whole = run(out=tmp_path / "whole.masknet", seed=2)
    train(whole, Hears())
    stopped(run(seed=1))
    config = run(seed=2, overwrite=True)
    with pytest.raises(KilledError):
        train(config, Hears(), on_prepared=killed)
    progress = Hears()
    train(config.replace(resume=True), progress)
    assert any(note.endswith("the run starts afresh") for note in progress.notes)
    assert weights_of(config) == weights_of(whole)


# --- a refit


def test_a_refit_trains_on_all_rows_for_the_epochs_and_with_the_rates_found(run: Run, home: Path) -> None:
    progress = Hears()
    paper = SMALL | {"reduction": 2.0, "embedding_norm": True}
    config = run(refit=True, epochs=6, patience=9, learning_rate=0.3, monitor="log_loss", set=paper)
    fitted = trained(config, progress)
    best = fitted.manifest.training["best_epoch"]
    rates = [record["learning_rate"] for record in fitted.history[:best]]
    assert best < 6  # or the case shows nothing; that a refit takes rates that fall is shown in test_trainer.py
    assert f"refit on training and validation rows; epochs: {best}" in progress.notes

    table = open_table(home / "log.parquet")
    rows = prepare(table, None, encoding_plan(config), Hears(), cache=Path(str(config.cache_dir)), join=True)
    assert len(rows.train) == 600
    torch.manual_seed(config.seed)
    network = build_network(config.model, rows.encoder.space, {**SMALL})
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    step = network_step(network, config, sample_weights=rows.train.weights, click_rates=rows.train.click_rates)
    Trainer(
        step,
        train=rows.train,
        valid=None,
        config=config,
        watched=Watched("log_loss"),
        board=Board(Hears()),
        rates=rates,
    ).run()
    torch.set_num_threads(before)
    move_biases(network, fitted.manifest.training["bias_shifts"])  # what the validation rows of the search told
    for name, weight in fitted.network.state_dict().items():
        assert torch.equal(weight, network.state_dict()[name]), name
    # The figures are those of the rows that the first fit had not seen, and so of the first fit.
    assert fitted.manifest.metrics["log_loss"]["value"] == pytest.approx(fitted.history[best - 1]["valid"]["log_loss"])


# --- what is refused or said before, in one sentence


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"model": "paralel-masknet"}, "unknown model 'paralel-masknet'; did you mean 'parallel-masknet'?"),
        ({"set": {"reducton": 2}}, "unknown option of parallel-masknet 'reducton'; did you mean 'reduction'?"),
        ({"monitor": "acu"}, "unknown metric 'acu'; did you mean 'auc'?"),
        ({"monitor": "grouped_auc"}, "the metric grouped_auc needs groups; name their column with --group"),
        ({"set": {"reduction": -1}}, "parallel-masknet: 'reduction' must be"),
        ({"device": "gpu"}, "a device is auto, cpu, cuda or cuda:0; got 'gpu'"),
        ({"data": None}, "training needs data"),
        ({"label": None}, "training needs --label, the column to predict"),
    ],
)
def test_a_wrong_setting_is_one_sentence_and_leaves_no_run(run: Run, settings: dict[str, Any], sentence: str) -> None:
    assert refusal(run(**settings)).startswith(sentence)
    assert not Path(f"{run().out}.run").exists()


def with_column(home: Path, file: Path, column: pl.Series) -> Path:
    pl.read_parquet(home / "log.parquet").with_columns(column).write_parquet(file)
    return file


def test_a_column_named_like_the_predictions_is_refused(run: Run, home: Path, tmp_path: Path) -> None:
    data = with_column(home, tmp_path / "log.parquet", pl.Series("probability", np.linspace(0, 1, 600)))
    assert "--ignore probability" in refusal(run(data=data), DataError)
    trained(run(data=data, ignore=["probability"]))


def test_weights_of_zero_are_refused_and_leave_no_run(run: Run, home: Path, tmp_path: Path) -> None:
    data = with_column(home, tmp_path / "log.parquet", pl.Series("w", np.zeros(600)))
    assert "at least one sample weight is above zero" in refusal(run(data=data, weight="w"), DataError)
    assert not Path(f"{run().out}.run").exists()
    valid = with_column(home, tmp_path / "valid.parquet", pl.Series("w", np.ones(600)))
    assert "at least one sample weight is above zero" in refusal(run(data=data, valid=valid, weight="w"), DataError)
    assert "all 600 rows have weight 0" in refusal(run(data=valid, valid=data, weight="w"), DataError)
    trained(run(data=data, ignore=["w"]))


@pytest.mark.parametrize("monitor", ["auc", "pr_auc", "normalized_entropy", "grouped_auc"])
@pytest.mark.parametrize("by", ["label", "weight"])
def test_a_monitor_that_valid_leaves_undefined_becomes_log_loss_and_says_so(
    run: Run, home: Path, tmp_path: Path, monitor: str, by: str
) -> None:
    clicks = pl.read_parquet(home / "log.parquet")["click"].to_numpy()
    data = with_column(home, tmp_path / "log.parquet", pl.Series("w", np.ones(600)))
    valid = with_column(home, tmp_path / "valid.parquet", pl.Series("w", 1.0 - clicks))
    if by == "label":
        pl.read_parquet(valid).filter(pl.col("click") == 0).write_parquet(valid)
    progress = Hears()
    fitted = trained(run(data=data, valid=valid, weight="w", monitor=monitor, group="user"), progress)
    said = [text for text in progress.warnings if text.endswith("log loss monitors instead")]
    assert len(said) == 1
    assert said[0].startswith(f"{monitor} is undefined on the validation rows (")
    assert fitted.manifest.training["monitor"] == "log_loss"
    assert fitted.manifest.metrics["auc"]["value"] is None
    losses = [record["valid"]["log_loss"] for record in fitted.history]
    assert fitted.manifest.training["best_epoch"] == 1 + int(np.argmin(losses))


def test_the_label_under_another_name_is_told(run: Run, home: Path, tmp_path: Path) -> None:
    clicks = pl.read_parquet(home / "log.parquet")["click"]
    data = with_column(home, tmp_path / "log.parquet", clicks.cast(pl.String).alias("sold"))
    progress = Hears()
    trained(run(data=data), progress)
    assert [text for text in progress.warnings if "alone tells the label" in text and "--ignore sold" in text]
    assert not [text for text in progress.warnings if "'user' alone" in text]


def test_validation_rows_that_training_has_are_told(run: Run, home: Path, tmp_path: Path) -> None:
    progress = Hears()
    fitted = trained(run(valid=home / "log.parquet"), progress)
    assert [text for text in progress.warnings if text.startswith("the validation rows are the training rows: log.pa")]
    user = fitted.manifest.fields["user"]
    assert user["train"]["unseen"] == user["valid"]["unseen"] > 0  # rare ones
    log = pl.read_parquet(home / "log.parquet")
    assert fitted.manifest.data["click_rate"] == pytest.approx(log["click"].mean(), abs=1e-12)
    other = with_column(home, tmp_path / "valid.parquet", log["user"].cast(pl.String) + "x")
    trained(run(valid=other, out=tmp_path / "other.masknet"), progress)
    assert [text for text in progress.warnings if text.startswith("user: 100 % of the values were never seen in")]


def test_weights_that_do_not_fit_in_memory_are_one_sentence(run: Run) -> None:
    assert "must fit in memory" in refusal(run(set={"block_dims": [10**14]}))


def test_a_loss_that_is_no_longer_finite_is_one_sentence(run: Run) -> None:
    said = ""
    with pytest.raises(ConfigError) as caught:
        train(run(learning_rate=1e30, clip=None), Hears())
    said = str(caught.value)
    assert "--learning-rate (now 1e+30) or set --clip" in said
    assert "\n" not in said


# --- bad rows


def torn(home: Path, tmp_path: Path) -> tuple[Path, Path]:
    """The log as a file with bad rows, and as one without them."""
    lines = pl.read_parquet(home / "log.parquet").write_csv().encode().split(b"\n")
    bad = list(lines)
    bad[1], bad[90] = b"1,2", b"maybe" + lines[90][1:]
    bad[300] = lines[300] + b"\xff"
    clean = [line for line, was in zip(bad, lines, strict=True) if line == was]
    (tmp_path / "torn.csv").write_bytes(b"\n".join(bad))
    (tmp_path / "clean.csv").write_bytes(b"\n".join(clean))
    return tmp_path / "torn.csv", tmp_path / "clean.csv"


@pytest.mark.parametrize("refit", [False, True])
def test_bad_rows_set_aside_leave_the_model_of_the_others(refit: bool, run: Run, home: Path, tmp_path: Path) -> None:
    bad, clean = torn(home, tmp_path)
    one, other = run(data=bad, bad_rows="quarantine", refit=refit), run(data=clean, out=tmp_path / "b", refit=refit)
    says = Hears()
    fitted, on_clean = trained(one, says), trained(other)
    assert weights_of(one) == weights_of(other)
    assert fitted.golden is not None
    assert on_clean.golden is not None
    assert fitted.golden.equals(on_clean.golden)
    assert (fitted.manifest.data["bad_rows"], on_clean.manifest.data["bad_rows"]) == (3, 0)
    kept = tmp_path / "ads.masknet.run" / "bad_rows.csv"
    assert kept.read_text().startswith("table,source,row,column,reason,cells\ntrain,torn.csv,1,,")
    assert sorted(file.name for file in kept.parent.iterdir()) == ["bad_rows.csv", "log.jsonl"]
    said = [note for note in says.notes if "are bad" in note]
    assert said == [
        f"3 of 600 rows of torn.csv are bad and were set aside in {kept}: 1 as a whole, "
        f"1 in column 'click', 1 in column 'match'"
    ]
    again = Hears()
    trained(one.replace(overwrite=True, seed=1), again)
    assert [note for note in again.notes if "are bad" in note] == said
    trained(other.replace(out=one.out, overwrite=True))
    assert not kept.exists()


def test_bad_rows_are_refused_unless_told_otherwise(run: Run, home: Path, tmp_path: Path) -> None:
    bad, _ = torn(home, tmp_path)
    assert "row 1 of torn.csv has 2, the header" in refusal(run(data=bad), DataError)


def test_a_run_that_set_rows_aside_is_resumed(run: Run, home: Path, tmp_path: Path) -> None:
    bad, clean = torn(home, tmp_path)
    config = stopped(run(data=bad, bad_rows="quarantine"))
    shutil.rmtree(home / "cache")
    says = Hears()
    trained(config.replace(resume=True), says)
    assert [note for note in says.notes if note.startswith("3 of 600 rows of torn.csv are bad")]
    assert (tmp_path / "ads.masknet.run" / "bad_rows.csv").exists()
    other = run(data=clean, out=tmp_path / "b")
    trained(other)
    assert weights_of(config) == weights_of(other)
    assert "bad_rows was 'quarantine' and is 'refuse'" in refusal(
        stopped(config.replace(overwrite=True)).replace(bad_rows="refuse", overwrite=False, resume=True)
    )


# --- a share of the negatives


@pytest.mark.parametrize(("weight", "refit"), [(None, False), ("w", True)])
def test_probabilities_from_a_tenth_of_the_negatives_stay_calibrated(
    weight: str | None, refit: bool, run: Run, tmp_path: Path
) -> None:
    log, _ = planted_log(24_000, seed=7)
    log = log.drop("timestamp", "user", "ad").with_columns(w=1.0 + 2.0 * (pl.col("device") == "phone"))
    rare = log.filter((pl.col("click") == 0) | (pl.int_range(pl.len()) % 4 == 0))  # as in a real log: few clicks
    rare.write_parquet(tmp_path / "rare.parquet")
    settings: dict[str, Any] = {
        "data": tmp_path / "rare.parquet", "model": "lr", "set": {}, "epochs": 8, "valid_fraction": 0.5,
        "learning_rate": 0.02, "ignore": ("w",) if weight is None else (), "weight": weight, "refit": refit,
        "monitor": "log_loss",
    }  # fmt: skip
    full = trained(run(**settings))
    thin = trained(run(**settings, negative_rate=0.1, out=tmp_path / "thin.masknet"))
    ratios = [fitted.manifest.metrics["calibration_ratio"]["value"] for fitted in (full, thin)]
    # About a thousand negatives stay, so their weight is that of all to some hundredths. Unweighted, it is a tenth.
    assert ratios == pytest.approx([1, 1], abs=0.07)
    for name in ("log_loss", "auc"):
        assert thin.manifest.metrics[name]["value"] == pytest.approx(full.manifest.metrics[name]["value"], abs=0.02)
    assert thin.manifest.rows == full.manifest.rows, "validation is left alone"
    assert thin.manifest.data["rows"] < 0.3 * full.manifest.data["rows"]


def test_what_is_left_out_is_said_and_is_no_setting_of_a_resumed_run(run: Run) -> None:
    says = Hears()
    trained(run(negative_rate=0.5), says)
    (said,) = [note for note in says.notes if "left out of training" in note]
    assert said.endswith("negatives are left out of training; each that stays weighs 2")
    config = stopped(run(negative_rate=0.5, overwrite=True))
    assert "negative_rate was 0.5 and is 1.0" in refusal(config.replace(resume=True, negative_rate=1.0))


# Several at once


class Reaches(Hears):
    """Says when the training has begun, and goes on when it may."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.may_go_on = threading.Event(), threading.Event()

    def stopping(self) -> bool:
        self.begun.set()
        assert self.may_go_on.wait(60)
        return False


def test_a_second_run_on_the_same_output_is_refused_and_the_first_goes_on(run: Run) -> None:
    first, config = Reaches(), run()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(train, config, first)
        assert first.begun.wait(60)
        for settings in ({}, {"overwrite": True}, {"resume": True}):
            with pytest.raises(ArtifactError, match=r"another trains to '.*ads\.masknet' now: wait until it has ended"):
                train(config.replace(**settings), Hears())
        first.may_go_on.set()
        path, _ = running.result()
    assert masknet.load(path).predict(pl.read_parquet(config.data).head(3)).shape == (3,)
    assert not [name for name in os.listdir(path.parent) if name.endswith(".lock")]
    assert trained(config.replace(overwrite=True))


class Dropping(nn.Module):
    """A network that draws at every step."""

    def __init__(self, space: FeatureSpace) -> None:
        super().__init__()
        self.embed = FieldEmbedding(space, 3)
        self.body = nn.Sequential(nn.Dropout(0.3), nn.Linear(self.embed.d_out, 1))

    def forward(self, ids: Tensor, values: Tensor, dense: Tensor | None = None) -> Tensor:
        logits: Tensor = self.body(self.embed.flat(ids, values, dense))
        return logits.squeeze(1)


def test_fits_in_threads_equal_those_one_after_the_other(run: Run) -> None:
    def weights(number: int) -> list[Tensor]:
        model = ("parallel-masknet", f"{__name__}:Dropping")[number % 2]
        settings = {"set": {"embedding_dim": 3, "dropout": 0.2}} if number % 2 == 0 else {"set": {}}
        config = run(model=model, seed=number, epochs=1, **settings)
        fitted = fit(config, open_table(config.data), None, Hears())
        return list(fitted.network.state_dict().values())

    before, threads = torch.random.get_rng_state(), torch.get_num_threads()
    alone = [weights(number) for number in range(8)]
    with ThreadPoolExecutor(4) as pool:
        beside = list(pool.map(weights, range(8)))
    assert all(all(map(torch.equal, *pair)) for pair in zip(beside, alone, strict=True))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.get_num_threads() == threads


def test_a_network_without_an_output_bias_is_left_as_it_is_and_that_is_told(run: Run) -> None:
    config, hears = run(model=f"{__name__}:Dropping", set={}, epochs=1, members=2), Hears()
    fit(config, open_table(config.data), None, hears)
    told = [note for note in hears.notes if "begins with a guess of its own, not with the click rate" in note]
    assert len(told) == 1
    fit(run(epochs=1), open_table(config.data), None, hears)
    assert [note for note in hears.notes if "guess of its own" in note] == told


def test_the_number_of_threads_is_the_callers_again(run: Run) -> None:
    before = torch.get_num_threads()
    config = run(threads=before + 1, epochs=1)
    fit(config, open_table(config.data), None, Hears())
    assert torch.get_num_threads() == before


# Weights


def test_what_is_left_to_learn_of_the_weights_must_have_both_classes(run: Run, tmp_path: Path) -> None:
    log = pl.read_parquet(run().data)
    for name, weight, said in (
        ("clicks", pl.col("click"), "whose sample weight is above zero hold 1 class, 1 in column 'click'"),
        ("others", 1 - pl.col("click"), "whose sample weight is above zero hold 1 class, 0 in column 'click'"),
        (
            "none",
            pl.lit(0),
            "one sample weight is above zero; all of the training rows are zero in column 'w'",
        ),
    ):
        path = tmp_path / f"{name}.parquet"
        log.with_columns(w=weight).write_parquet(path)
        with pytest.raises(DataError, match=said):
            train(run(data=path, weight="w"), Hears())
