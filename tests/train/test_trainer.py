"""The training loop on hand-made rows: the loss and its weights, what is kept, when it stops."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from masknet import metrics
from masknet.batches import Batch, EpochOrder
from masknet.config import RunConfig
from masknet.encode import Column, EncodedSet, Layout
from masknet.errors import ConfigError, DataError
from masknet.models import AdPredictor, ParallelMaskNet
from masknet.progress import LogProgress
from masknet.schema import UNKNOWN
from masknet.space import FeatureSpace, FieldSpace
from masknet.train.checkpoint import Checkpoint, RunFolder
from masknet.train.members import network_step
from masknet.train.monitor import Watched
from masknet.train.standing import Board, Interrupted, Turn
from masknet.train.step import OnlineStep, Step
from masknet.train.trainer import State, Trainer

IDS = 12
SPACE = FeatureSpace(num_ids=IDS, fields=(FieldSpace("user"), FieldSpace("ad")))
Weights = NDArray[np.float64] | None
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


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def encoded(ids: NDArray[np.int32], labels: NDArray[np.uint8], weights: Weights = None) -> EncodedSet:
    """Of one task, or of several where the labels have columns."""
    return EncodedSet(
        ids=ids,
        values=np.empty((len(ids), 0), dtype=np.float32),
        labels=labels.reshape(len(ids), -1),
        weights=weights,
        groups=None,
        layout=Layout((Column(), Column())),
    )


def drawn(rows: int, seed: int = 0, weights: Weights = None) -> EncodedSet:
    rng = np.random.default_rng(seed)
    ids = rng.integers(1, IDS, size=(rows, 2)).astype(np.int32)
    labels = ((ids.sum(axis=1) % 2 == 0) ^ (rng.random(rows) < 0.2)).astype(np.uint8)
    return encoded(ids, labels, weights)


def flipped(rows: EncodedSet) -> EncodedSet:
    """The same rows with the other labels: the better on these, the worse on those."""
    return encoded(np.array(rows.ids), 1 - np.array(rows.labels))


def masknet(dropout: float = 0.0, seed: int = 0) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ParallelMaskNet(SPACE, embedding_dim=4, block_dims=(6,), top_dims=(6,), dropout=dropout)


def begun(path: Path) -> RunFolder:
    """The folder of a run that has begun."""
    folder = RunFolder(path)
    folder.begin({})
    return folder


class Notes(LogProgress):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.details: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def track(self, phase: str, done: int, total: int | None, detail: str = "", unit: str = "rows") -> None:
        self.details.append(detail)


class Trained:
    """A finished training run: the network, where it ended, its trainer."""

    def __init__(
        self,
        train: EncodedSet,
        valid: EncodedSet | None = None,
        *,
        network: nn.Module | None = None,
        progress: Any = None,
        monitor: str = "log_loss",
        rates: list[float] | None = None,
        folder: RunFolder | None = None,
        turn: Turn | None = None,
        goes_on: Callable[[dict[str, Any]], bool] = lambda record: True,
        **settings: Any,
    ) -> None:
        self.network = masknet() if network is None else network
        config = RunConfig(
            **PLAIN
            | {"epochs": 2, "batch_size": 16, "learning_rate": 0.02, "clip": None, "unseen_rate": 0.0}
            | settings
        )
        trainer = Trainer(
            network_step(self.network, config, sample_weights=train.weights),
            train=train,
            valid=valid,
            config=config,
            watched=Watched(monitor),
            board=Board(progress or LogProgress()),
            rates=[0.02] * config.epochs if valid is None and rates is None else rates,
            folder=folder,
            turn=turn or Turn(),
            goes_on=goes_on,
        )
        self.state: State = trainer.run()

    @property
    def weights(self) -> dict[str, Tensor]:
        return {name: p.detach().clone() for name, p in self.network.named_parameters()}


def same(a: Trained | dict[str, Tensor], b: Trained | dict[str, Tensor]) -> bool:
    left, right = (x.weights if isinstance(x, Trained) else x for x in (a, b))
    return all(torch.equal(left[name], right[name]) for name in right)


def log_losses(network: nn.Module, rows: EncodedSet) -> NDArray[np.float64]:
    """A slow copy of the loss, row by row."""
    network.eval()
    with torch.no_grad():
        logits = network(torch.from_numpy(rows.ids), torch.ones(len(rows), 2), None).double().numpy()
    sign = np.where(rows.labels[:, 0] == 1, 1.0, -1.0)
    return np.log1p(np.exp(-sign * logits))


# --- the loss and its weights


@pytest.mark.parametrize("weighted", [False, True])
def test_the_training_loss_is_the_weighted_mean(weighted: bool) -> None:
    weights = np.random.default_rng(1).exponential(3.0, size=50) if weighted else None
    rows = drawn(50, weights=weights)
    start = masknet()
    trained = Trained(rows, network=copy.deepcopy(start), rates=[1e-12, 1e-12])
    expected = np.average(log_losses(start, rows), weights=weights)
    assert [record["train_log_loss"] for record in trained.state.history] == pytest.approx([expected] * 2, abs=1e-6)


def test_a_whole_weight_is_a_row_given_so_often() -> None:
    """Both see, at every step, the mean over the same rows, so both move alike."""
    weights = np.random.default_rng(2).integers(0, 4, size=40).astype(float)
    weighted = drawn(40, weights=weights)
    repeated = encoded(
        np.repeat(weighted.ids, weights.astype(int), axis=0), np.repeat(weighted.labels, weights.astype(int))
    )
    one = Trained(weighted, batch_size=10_000, epochs=3)
    other = Trained(repeated, batch_size=10_000, epochs=3)
    unweighted = Trained(drawn(40), batch_size=10_000, epochs=3)
    for name, weight in one.weights.items():
        torch.testing.assert_close(weight, other.weights[name], rtol=0, atol=2e-4)
    gap = max(float((w - unweighted.weights[name]).abs().max()) for name, w in one.weights.items())
    assert gap > 1e-2


@pytest.mark.parametrize("weight", [1.0, 2.0, 0.1, 41.0, 1e-3, 1e30, 1e-30])
def test_equal_weights_are_no_weights_bit_for_bit(weight: float) -> None:
    none, equal = Trained(drawn(100)), Trained(drawn(100, weights=np.full(100, weight)))
    assert same(none, equal)
    assert none.state.history[-1]["train_log_loss"] == equal.state.history[-1]["train_log_loss"]


@pytest.mark.parametrize(("weight", "shown"), [(0.0, "is 0"), (1e-60, "is 1e-60"), (1e60, r"is 1e\+60")])
def test_weights_that_weigh_nothing_or_no_number_are_refused(weight: float, shown: str) -> None:
    with pytest.raises(DataError, match=f"mean above 0 .*these 10 rows {shown}.*--weight"):
        Trained(drawn(10, weights=np.full(10, weight)))


def test_a_batch_that_weighs_nothing_moves_nothing() -> None:
    """16 rows a batch, and only one row of all weighs: most steps are of no weight, and none of them is NaN."""
    weights = np.zeros(64)
    weights[3] = 1.0
    trained = Trained(drawn(64, weights=weights), epochs=1)
    assert all(bool(w.isfinite().all()) for w in trained.weights.values())
    assert not same(trained, {name: p.detach() for name, p in masknet().named_parameters()})


# --- seeds


def test_the_same_seed_gives_the_same_bits_and_another_one_others() -> None:
    rows, valid = drawn(100), drawn(40, seed=9)
    settings: dict[str, Any] = {"average_weights": 0.9}
    once, again, other = (
        Trained(rows, valid, network=masknet(dropout=0.3), seed=seed, **settings) for seed in (5, 5, 6)
    )
    assert same(once, again)
    assert not same(once, other)
    assert not same(Trained(rows, seed=5), Trained(rows, seed=6))  # the order of the rows, not dropout alone


def test_what_was_drawn_before_changes_nothing_and_the_callers_draws_stay() -> None:
    rows = drawn(100)
    torch.manual_seed(1)
    first = torch.rand(3)
    torch.manual_seed(1)
    once = Trained(rows, network=masknet(dropout=0.3))
    assert torch.equal(torch.rand(3), first)
    torch.manual_seed(2)
    assert same(once, Trained(rows, network=masknet(dropout=0.3)))


def test_dropout_is_drawn_anew_at_every_step() -> None:
    seen = []

    class Drops(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bias = nn.Parameter(torch.zeros(()))

        def forward(self, ids: Tensor, values: Tensor, dense: Tensor | None = None) -> Tensor:
            drawn = nn.functional.dropout(torch.ones(len(ids)), 0.5, self.training)
            if self.training:
                seen.append(tuple(drawn.tolist()))
            return drawn * self.bias

    Trained(drawn(64), network=Drops(), epochs=2)
    assert len(seen) == 8
    assert len(set(seen)) == 8


# --- what is kept (defect 12)


def best_first(**settings: Any) -> Trained:
    """Trained on rows, validated on those with the labels flipped: the first epoch is the best, the last the worst."""
    rows = drawn(200)
    return Trained(rows, flipped(rows), patience=9, schedule="constant", **settings)


@pytest.mark.parametrize("settings", [{}, {"average_weights": 0.9}])
def test_the_best_epochs_weights_are_kept_not_the_lasts(settings: dict[str, Any]) -> None:
    trained = best_first(epochs=4, **settings)
    losses = [record["valid"]["log_loss"] for record in trained.state.history]
    assert losses == sorted(losses)
    assert (trained.state.best_evaluation, trained.state.epoch) == (1, 4)
    assert [record["best"] for record in trained.state.history] == [True, False, False, False]
    assert same(trained, best_first(epochs=1, **settings))
    assert not same(trained, Trained(drawn(200), epochs=4, **settings))
    kept = float(log_losses(trained.network, flipped(drawn(200))).mean())
    assert kept == pytest.approx(losses[0], abs=1e-6)
    assert not trained.network.training


class Recorder(LogProgress):
    """Notes the weights after each step, as they are when the step is reported."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self.steps: list[dict[str, NDArray[np.float64]]] = []

    def track(self, phase: str, done: int, total: int | None, detail: str = "") -> None:
        if phase.startswith("epoch"):
            own = self.network.named_parameters()
            self.steps.append({name: p.detach().double().numpy().copy() for name, p in own})


@pytest.mark.parametrize("validated", [False, True])
def test_the_average_of_all_steps_is_evaluated_and_kept(validated: bool) -> None:
    network = masknet()
    recorder = Recorder(network)
    average = {name: p.detach().double().numpy().copy() for name, p in network.named_parameters()}
    rows = drawn(100)
    valid = drawn(50, seed=1) if validated else None
    trained = Trained(rows, valid, network=network, progress=recorder, average_weights=0.8, epochs=1)
    assert len(recorder.steps) == 7
    for number, weights in enumerate(recorder.steps):
        kept = min(0.8, (1 + number) / (10 + number))
        average = {name: kept * average[name] + (1 - kept) * weight for name, weight in weights.items()}
    for name, weight in trained.weights.items():
        np.testing.assert_allclose(weight.numpy(), average[name], atol=1e-6, err_msg=name)
    assert any(np.abs(average[name] - w).max() > 1e-3 for name, w in recorder.steps[-1].items())
    if valid is not None:
        loss = float(log_losses(trained.network, valid).mean())
        assert trained.state.history[0]["valid"]["log_loss"] == pytest.approx(loss, abs=1e-6)


# --- when it stops


def test_patience_ends_it_and_each_evaluation_without_a_better_one_cuts_the_rate() -> None:
    rows = drawn(200)
    trained = Trained(rows, flipped(rows), epochs=20, patience=3, schedule="plateau")
    assert [record["learning_rate"] for record in trained.state.history] == pytest.approx([0.02, 0.02, 0.002, 0.0002])
    assert [record["epoch"] for record in trained.state.history] == [1, 2, 3, 4]
    assert trained.state.done
    assert trained.state.best_evaluation == 1


def test_whoever_is_told_of_the_evaluations_may_end_it_and_the_best_weights_are_kept() -> None:
    rows, valid, told = drawn(200), drawn(100, seed=1), []

    def goes_on(record: dict[str, Any]) -> bool:
        told.append(record)
        return len(told) < 2

    trained = Trained(rows, valid, epochs=9, evaluations=2, patience=9, goes_on=goes_on)
    assert trained.state.history == told  # whole, with what the validation rows say
    assert [record["epoch"] for record in told] == [0.5, 1]
    assert trained.state.done
    whole = Trained(rows, valid, epochs=1, evaluations=2, patience=9)
    assert same(trained, whole)


def test_of_a_refit_nobody_is_asked() -> None:
    trained = Trained(drawn(100), rates=[0.02, 0.02, 0.002], goes_on=lambda record: False)
    assert len(trained.state.history) == 3


def test_a_refit_takes_the_rates_given_and_keeps_the_last_weights() -> None:
    rows = drawn(100)
    trained = Trained(rows, rates=[0.02, 0.02, 0.002])
    assert [record["learning_rate"] for record in trained.state.history] == [0.02, 0.02, 0.002]
    assert [record["best"] for record in trained.state.history] == [False, False, True]
    assert all("valid" not in record and record["refit"] for record in trained.state.history)
    assert not same(trained, Trained(rows, rates=[0.02, 0.02]))
    assert not same(trained, Trained(rows, rates=[0.02, 0.02, 0.02]))


@pytest.mark.parametrize("minutes", [0.0, 1e6])
def test_numbers_that_are_no_longer_finite_are_one_sentence_and_never_kept(tmp_path: Path, minutes: float) -> None:
    folder = begun(tmp_path / "run")
    rows = drawn(200)
    with pytest.raises(
        ConfigError, match=r"finite .* epoch 1 .*--learning-rate \(now 1e\+30\) or set --clip"
    ) as caught:
        Trained(rows, drawn(50), learning_rate=1e30, folder=folder, checkpoint_minutes=minutes)
    assert "\n" not in str(caught.value)
    kept = folder.load()
    assert all(bool(t.isfinite().all()) for c in kept.values() for t in c.part("network").values())


def test_a_network_that_breaks_only_when_it_scores_is_the_same_sentence() -> None:
    class Breaks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bias = nn.Parameter(torch.zeros(()))

        def forward(self, ids: Tensor, values: Tensor, dense: Tensor | None = None) -> Tensor:
            return self.bias + torch.full((len(ids),), 0.0 if self.training else float("nan"))

    with pytest.raises(ConfigError, match=r"finite .* or --clip \(now 10\)"):
        Trained(drawn(30), drawn(30), network=Breaks(), clip=10.0)


# --- evaluations within an epoch

LAST_OF_PART = [3, 5, 7, 10, 12, 14]
"""Steps after which two epochs of 7 batches, in 3 parts each, are evaluated."""


def test_an_epoch_is_evaluated_at_the_ends_of_its_parts_and_the_last_ends_it() -> None:
    network, valid = masknet(), drawn(50, seed=1)
    recorder = Recorder(network)
    trained = Trained(drawn(100), valid, network=network, progress=recorder, evaluations=3, patience=9)
    history = trained.state.history
    assert [record["step"] for record in history] == LAST_OF_PART
    assert [record["epoch"] for record in history] == [0.3333, 0.6667, 1, 1.3333, 1.6667, 2]
    assert [type(record["epoch"]) for record in history[2::3]] == [int, int]
    assert (trained.state.epoch, trained.state.batch, trained.state.step) == (2, 0, 14)
    then = masknet()
    for record in history:
        weights = recorder.steps[record["step"] - 1]
        then.load_state_dict({name: torch.from_numpy(w) for name, w in weights.items()})
        assert record["valid"]["log_loss"] == pytest.approx(float(log_losses(then, valid).mean()), abs=1e-6)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_training_loss_of_a_part_is_that_of_its_rows(weighted: bool) -> None:
    weights = np.random.default_rng(1).exponential(3.0, size=100) if weighted else None
    rows, start = drawn(100, weights=weights), masknet()
    trained = Trained(rows, network=copy.deepcopy(start), evaluations=3, rates=[1e-12] * 6, seed=3)
    losses = log_losses(start, rows)
    if weights is not None:
        losses = losses * weights / weights.mean()
    expected = []
    for epoch in range(2):
        order = EpochOrder(100, seed=3, epoch=epoch)
        expected += [losses[order[slice(*span)]].mean() for span in ((0, 48), (48, 80), (80, 100))]
    assert [record["train_log_loss"] for record in trained.state.history] == pytest.approx(expected, abs=1e-6)
    assert np.ptp(expected) > 1e-3


@pytest.mark.parametrize(
    ("batches", "evaluations", "steps"),
    [(4, 2, [2, 4]), (4, 3, [2, 3, 4]), (4, 4, [1, 2, 3, 4]), (3, 10, [1, 2, 3]), (1, 4, [1])],
)
def test_there_are_as_many_evaluations_as_asked_and_at_most_one_a_batch(
    batches: int, evaluations: int, steps: list[int]
) -> None:
    trained = Trained(drawn(16 * batches - 9), drawn(20), epochs=2, evaluations=evaluations, patience=99)
    expected = steps + [batches + step for step in steps]
    assert [record["step"] for record in trained.state.history] == expected
    assert [record["epoch"] for record in trained.state.history][len(steps) - 1 :: len(steps)] == [1, 2]


@pytest.mark.parametrize("validated", [False, True])
@pytest.mark.parametrize("evaluations", [3, 99])
def test_how_often_is_evaluated_changes_no_weight(validated: bool, evaluations: int) -> None:
    """Validated on the training rows, where the last weights are the best."""
    rows, settings = drawn(100), {"average_weights": 0.8, "schedule": "constant", "patience": 99, "epochs": 3}
    valid = rows if validated else None
    parts = 3 * min(evaluations, 7)
    once = Trained(rows, valid, network=masknet(dropout=0.1), **settings)
    often = Trained(
        rows,
        valid,
        network=masknet(dropout=0.1),
        evaluations=evaluations,
        rates=None if validated else [0.02] * parts,
        **settings,
    )
    assert len(often.state.history) == often.state.best_evaluation == parts
    assert once.state.best_evaluation == 3
    assert same(once, often)


def test_patience_and_the_schedule_count_evaluations() -> None:
    rows = drawn(200)  # 13 batches: parts of 5, 4 and 4
    trained = Trained(rows, flipped(rows), epochs=20, evaluations=3, patience=2, schedule="plateau")
    history, state = trained.state.history, trained.state
    assert [record["step"] for record in history] == [5, 9, 13, 18, 22]
    assert [record["best"] for record in history] == [True, True, True, False, False]
    assert [record["learning_rate"] for record in history] == pytest.approx([0.02] * 4 + [0.002])
    assert (state.best_evaluation, state.since_best, state.done) == (3, 2, True)
    assert (state.epoch, state.batch) == (1, 9)  # it ends within its second epoch
    assert same(trained, Trained(rows, flipped(rows), epochs=1, evaluations=3, patience=99))


def test_a_refit_stops_at_the_part_of_its_last_rate() -> None:
    rows = drawn(100)
    trained = Trained(rows, evaluations=3, rates=[0.02, 0.02, 0.02, 0.002])
    history = trained.state.history
    assert [record["step"] for record in history] == LAST_OF_PART[:4]
    assert [record["learning_rate"] for record in history] == [0.02, 0.02, 0.02, 0.002]
    assert [record["best"] for record in history] == [False, False, False, True]
    assert not same(trained, Trained(rows, evaluations=3, rates=[0.02] * 4))
    network = masknet()
    recorder = Recorder(network)
    Trained(rows, network=network, progress=recorder, evaluations=3, rates=[0.02, 0.02, 0.02, 0.002, 0.02])
    tenth = recorder.steps[9]
    assert all(np.array_equal(w.double().numpy(), tenth[name]) for name, w in trained.weights.items())


# --- what it tells


def test_progress_hears_of_every_row_and_interrupts_are_held_while_it_trains() -> None:
    class Hears(Notes):
        def __init__(self) -> None:
            super().__init__()
            self.heard: list[tuple[str, int, int | None]] = []
            self.held = 0

        def track(self, phase: str, done: int, total: int | None, detail: str = "", unit: str = "rows") -> None:
            super().track(phase, done, total, detail, unit)
            self.heard.append((phase, done, total))

        def holding_interrupts(self) -> AbstractContextManager[None]:
            self.held += 1
            return nullcontext()

    hears = Hears()
    Trained(drawn(40), drawn(20), epochs=2, progress=hears)
    one = [("epoch 1/2", 16, 40), ("epoch 1/2", 32, 40), ("epoch 1/2", 40, 40), ("validate", 20, 20)]
    assert hears.heard == one + [(phase.replace("1/", "2/"), done, total) for phase, done, total in one]
    assert hears.held == 1
    assert all(detail.endswith("rows/s") for detail in hears.details[:4])
    assert all(re.fullmatch(r"log loss 0\.\d{4}, [01] of 2 without better", detail) for detail in hears.details[4:])
    (outcome,) = hears.notes
    assert re.fullmatch(r"valid auc 0\.\d{4}, log loss \d\.\d{4}, best in epoch [12] of 2; 0 s", outcome)


def test_each_evaluation_is_told_where_that_is_asked_for() -> None:
    hears = Notes()
    Trained(drawn(40), drawn(20), epochs=2, progress=hears, verbose=True)
    assert [note.partition(":")[0] for note in hears.notes[:-1]] == ["epoch 1", "epoch 2"]
    assert all("; valid auc 0." in note for note in hears.notes[:-1])


def _a_second_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Trainer, "_seconds", lambda trainer: float(trainer.state.step))


def test_the_time_that_is_left_is_that_of_all_epochs_and_trainings(monkeypatch: pytest.MonkeyPatch) -> None:
    _a_second_a_step(monkeypatch)
    alone, first, anew = Notes(), Notes(), Notes()
    Trained(drawn(48), drawn(20), epochs=3, patience=9, progress=alone)
    Trained(drawn(48), drawn(20), epochs=3, patience=9, progress=first, turn=Turn(1, 2, to_come=1))
    Trained(drawn(48), epochs=3, rates=[0.02, 0.02], progress=anew)
    of_nine = [detail.rpartition(", ")[2] for detail in alone.details]
    assert of_nine[:4] == ["16 rows/s", "7 s at most", "6 s at most", "6 s at most"]
    assert of_nine[-2:] == ["0 s at most", "0 s at most"]
    assert first.details[1] == "16 s at most"
    assert anew.details[1] == "about 4 s left"


def test_while_a_stage_is_trained_the_time_of_the_whole_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    _a_second_a_step(monkeypatch)
    stage, last = Notes(), Notes()
    Trained(drawn(48), drawn(20), progress=stage, turn=Turn(stage="pretraining", to_come=1))
    Trained(drawn(48), drawn(20), progress=last, turn=Turn(stage="regression on leaves"))
    assert not any("at most" in detail for detail in stage.details)
    assert "at most" in last.details[1]


def test_the_log_has_a_line_an_evaluation_as_the_history_tells_it(tmp_path: Path) -> None:
    folder = begun(tmp_path / "run")
    trained = Trained(drawn(40), drawn(20), epochs=3, folder=folder)
    lines = [json.loads(line) for line in (folder.path / "log.jsonl").read_text().splitlines()]
    assert lines == trained.state.history
    assert len(lines) == 3
    assert set(lines[0]) == {
        *("epoch", "step", "learning_rate", "train_log_loss", "train_seconds", "valid", "best", "seconds")
    }
    assert set(lines[0]["valid"]) >= {"auc", "log_loss", "normalized_entropy", "pr_auc"}
    assert [line["step"] for line in lines] == [3, 6, 9]
    assert 0 <= lines[1]["train_seconds"] <= lines[1]["seconds"]


@pytest.mark.parametrize(("minutes", "saves"), [(0.0, 6), (1e6, 2)])
def test_a_checkpoint_is_written_when_due_and_at_each_evaluation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, minutes: float, saves: int
) -> None:
    folder = begun(tmp_path / "run")
    steps: list[int] = []
    real: Callable[..., None] = folder.save
    monkeypatch.setattr(folder, "save", lambda c: (steps.append(c.state["trainer"]["step"]), real(c)))
    Trained(drawn(40), drawn(20), epochs=2, folder=folder, checkpoint_minutes=minutes)
    assert steps == ([1, 2, 3, 4, 5, 6] if saves == 6 else [3, 6])
    steps.clear()
    Trained(drawn(40), drawn(20), epochs=2, folder=folder, checkpoint_minutes=minutes, evaluations=2, patience=9)
    assert steps == ([1, 2, 3, 4, 5, 6] if saves == 6 else [2, 3, 5, 6])


# --- several labels


class Towers(nn.Module):
    """A logit for each of two tasks: the values of a table, summed."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(IDS, 2)
        nn.init.zeros_(self.table.weight)

    def forward(self, ids: Tensor, values: Tensor, dense: Tensor | None = None) -> Tensor:
        return self.table(ids).sum(1)


TASKS: dict[str, Any] = {"label": ("click", "like")}


def two_tasks(rows: int, seed: int = 0, *, known: float = 0.7) -> EncodedSet:
    one = drawn(rows, seed)
    rng = np.random.default_rng(seed + 100)
    like = np.where(rng.random(rows) < known, rng.random(rows) < 0.4, UNKNOWN).astype(np.uint8)
    return encoded(np.array(one.ids), np.stack([one.labels[:, 0], like], axis=1))


def test_of_several_labels_the_means_monitor_and_each_label_is_told(tmp_path: Path) -> None:
    hears = Notes()
    folder = begun(tmp_path / "run")
    valid = two_tasks(60, seed=1)
    asked: dict[str, Any] = TASKS | {"monitor": "auc", "verbose": True}
    trained = Trained(two_tasks(100), valid, network=Towers(), progress=hears, folder=folder, **asked)
    for record, note in zip(trained.state.history, hears.notes[:-1], strict=True):
        assert list(record["tasks"]) == ["click", "like"]
        for name, value in record["valid"].items():
            of_tasks = [record["tasks"][label][name] for label in TASKS["label"]]
            assert value == pytest.approx(np.mean(of_tasks), rel=1e-12)
        assert f"; valid mean of 2 labels: auc {record['valid']['auc']:.4f}, log loss" in note
    assert trained.state.best == max(record["valid"]["auc"] for record in trained.state.history)
    lines = [json.loads(line) for line in (folder.path / "log.jsonl").read_text().splitlines()]
    assert lines == trained.state.history
    final = trained.state.history[-1]
    assert final["best"]
    known = valid.labels[:, 1] != UNKNOWN
    like = encoded(valid.ids[known], valid.labels[known, 1])
    probabilities = trained.network(torch.from_numpy(like.ids), torch.ones(len(like), 2))[:, 1].sigmoid()
    auc = metrics.auc(like.labels[:, 0], probabilities.detach().double().numpy()).value
    assert final["tasks"]["like"]["auc"] == pytest.approx(auc, abs=1e-6)


def test_a_metric_that_is_undefined_for_a_task_is_the_mean_of_the_others() -> None:
    valid = two_tasks(60, seed=1)
    never = np.array(valid.labels)
    never[:, 1] = np.where(never[:, 1] == 1, UNKNOWN, never[:, 1])
    trained = Trained(two_tasks(100), encoded(np.array(valid.ids), never), network=Towers(), monitor="auc", **TASKS)
    for record in trained.state.history:
        assert record["tasks"]["like"]["auc"] is None
        assert record["valid"]["auc"] == record["tasks"]["click"]["auc"]
        assert record["valid"]["log_loss"] != record["tasks"]["click"]["log_loss"]


def test_the_training_loss_of_several_labels_is_their_mean() -> None:
    rows = two_tasks(64, known=1.0)
    trained = Trained(rows, network=Towers(), rates=[1e-12], **TASKS)
    assert trained.state.history[0]["train_log_loss"] == pytest.approx(np.log(2))  # of logits of 0, in either task


def test_what_is_unknown_teaches_nothing() -> None:
    rows = two_tasks(100, known=0.0)
    trained = Trained(rows, network=Towers(), **TASKS)
    moved = trained.network.table.weight
    assert not moved[:, 1].any()
    alone = Trained(encoded(np.array(rows.ids), rows.labels[:, :1]), network=First())
    assert torch.equal(alone.network.towers.table.weight, moved)


class First(nn.Module):
    """The first of two towers."""

    def __init__(self) -> None:
        super().__init__()
        self.towers = Towers()

    def forward(self, ids: Tensor, values: Tensor, dense: Tensor | None = None) -> Tensor:
        return self.towers(ids, values, dense)[:, 0]


# --- a run that is stopped and resumed, of networks of every sort and of a model that is none


class StopsAfter(LogProgress):
    def __init__(self, batches: int) -> None:
        self.left = batches

    def stopping(self) -> bool:
        self.left -= 1
        return self.left == 0


class Normed(nn.Module):
    """Batch norm keeps statistics of its batches, which belong to the weights of then."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(IDS, 3)
        self.norm = nn.BatchNorm1d(6)
        self.head = nn.Linear(6, 1)

    def forward(self, ids: Tensor, values: Tensor, dense: Tensor | None = None) -> Tensor:
        return self.head(self.norm(self.table(ids).flatten(1))).squeeze(1)


class Tied(nn.Module):
    """Two modules that share one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(IDS, 4)
        self.reads, self.writes = nn.Linear(4, 4), nn.Linear(4, 4)
        self.writes.weight = self.reads.weight

    def forward(self, ids: Tensor, values: Tensor, dense: Tensor | None = None) -> Tensor:
        return self.writes(self.reads(self.table(ids)).tanh()).sum((1, 2))


class CountsClicks:
    """Learns online and without a gradient: the mean over slots of each id's smoothed log-odds of a click."""

    learning_rate = None
    shuffles = True

    def __init__(self) -> None:
        self.counts = torch.ones(IDS, 2, dtype=torch.float64)

    def __call__(self, batch: Batch, number: int) -> Tensor:
        ids, labels = batch.ids.numpy(), batch.labels[:, 0].long()
        loss = nn.functional.binary_cross_entropy_with_logits(torch.from_numpy(self._odds(ids)), labels.double())
        for slot in batch.ids.long().T:
            self.counts.index_put_((slot, labels), torch.ones(len(slot), dtype=torch.float64), accumulate=True)
        return loss

    def _odds(self, ids: NDArray[np.int32]) -> NDArray[np.float64]:
        odds: NDArray[np.float64] = (self.counts[:, 1] / self.counts[:, 0]).log().numpy()[ids].mean(axis=1)
        return odds

    def logits(self, rows: EncodedRows) -> NDArray[np.float32]:
        return self._odds(rows.ids).astype(np.float32)

    def evaluating(self) -> AbstractContextManager[CountsClicks]:
        return nullcontext(self)

    def kept(self) -> dict[str, Tensor]:
        return {"counts": self.counts.clone()}

    def finish(self, kept: dict[str, Tensor]) -> None:
        self.counts = kept["counts"]

    def finite(self) -> bool:
        return bool(self.counts.isfinite().all())

    def advice(self) -> str:
        return "count less"

    def state(self) -> dict[str, Tensor]:
        return {"clicks:counts": self.counts}

    def restore(self, checkpoint: Checkpoint) -> None:
        self.counts = checkpoint.part("clicks")["counts"]


def seeded(network: Callable[[], nn.Module]) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return network()


CONFIG = RunConfig(
    **PLAIN | {"epochs": 3, "batch_size": 16, "learning_rate": 0.02, "average_weights": 0.8, "unseen_rate": 0.0}
)
STEPS: dict[str, Callable[[], Step]] = {
    "batch norm": lambda: network_step(seeded(Normed), CONFIG, sample_weights=None),
    "tied weights": lambda: network_step(seeded(Tied), CONFIG, sample_weights=None),
    "no network": CountsClicks,
    "learns by row": lambda: OnlineStep(AdPredictor(SPACE)),
}


def ended(step: Step, folder: RunFolder, stop_after: int = 0, *, resume: bool = False) -> dict[str, Tensor]:
    """What is kept of a run, which may be stopped, and of which but the folder is left then."""
    trainer = Trainer(
        step,
        train=drawn(100),
        valid=drawn(50, seed=1),
        config=CONFIG,
        watched=Watched("log_loss"),
        board=Board(StopsAfter(stop_after)),
        folder=folder,
    )
    if resume:
        trainer.restore(folder.load()[1])
    trainer.run()
    return step.kept()


@pytest.mark.parametrize("after", [1, 9, 14, 18])
@pytest.mark.parametrize("kind", STEPS)
def test_whatever_the_step_a_run_that_was_stopped_ends_with_the_same_bits(
    tmp_path: Path, kind: str, after: int
) -> None:
    whole, stopped = begun(tmp_path / "whole"), begun(tmp_path / "stopped")
    expected = ended(STEPS[kind](), whole)
    with pytest.raises(Interrupted):
        ended(STEPS[kind](), stopped, after)
    found = ended(STEPS[kind](), stopped, resume=True)
    assert found.keys() == expected.keys()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in found.items())
    records = [
        [
            {name: value for name, value in json.loads(line).items() if "seconds" not in name}
            for line in (folder.path / "log.jsonl").read_text().splitlines()
        ]
        for folder in (whole, stopped)
    ]
    assert records[0] == records[1]


def test_statistics_that_are_evaluated_and_kept_are_those_of_the_averaged_weights() -> None:
    """They lag behind those of the last batches as the averaged weights do."""
    network, valid = seeded(Normed), drawn(50, seed=1)
    trained = Trained(drawn(100), valid, network=network, average_weights=0.95, epochs=1)
    without = Trained(drawn(100), valid, network=seeded(Normed), epochs=1)  # the average changes no step
    last, kept = without.network.state_dict(), trained.network.state_dict()
    for name in ("norm.running_mean", "norm.running_var"):
        assert not torch.allclose(kept[name], last[name], rtol=1e-2), name
    assert kept["norm.num_batches_tracked"] == last["norm.num_batches_tracked"]
    loss = float(log_losses(trained.network, valid).mean())
    assert trained.state.history[0]["valid"]["log_loss"] == pytest.approx(loss, abs=1e-6)


def test_a_model_that_is_no_network_learns_and_is_told_without_a_learning_rate(tmp_path: Path) -> None:
    folder = begun(tmp_path / "run")
    step = CountsClicks()
    ended(step, folder)
    first, *_, last = [json.loads(line) for line in (folder.path / "log.jsonl").read_text().splitlines()]
    assert first["learning_rate"] is None
    assert last["train_log_loss"] < first["train_log_loss"]
    assert not torch.equal(step.counts, torch.ones(IDS, 2, dtype=torch.float64))


def test_numbers_of_any_model_that_are_no_longer_finite_are_told_with_its_own_way_out(tmp_path: Path) -> None:
    step = CountsClicks()
    step.counts[3] = float("inf")
    with pytest.raises(ConfigError, match=r"^training needs finite numbers; in epoch 1 .* not a number: count less$"):
        ended(step, begun(tmp_path / "run"))
