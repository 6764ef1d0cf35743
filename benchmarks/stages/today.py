"""What the stages ask of masknet, by the names that this checkout has for it."""

from __future__ import annotations

import contextlib
import itertools
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

import masknet
from masknet import metrics
from masknet.artifact import load_artifact
from masknet.batches import Batch, training_batches
from masknet.config import RunConfig
from masknet.encode import EncodedSet, Prepared, prepare
from masknet.errors import ConfigError
from masknet.evaluate import evaluate_table
from masknet.heap import keep_freed_memory
from masknet.models import build_network, resolve_settings
from masknet.predict import predict_file
from masknet.progress import LogProgress, Progress
from masknet.scoring import NetworkScorer, score
from masknet.table import open_table
from masknet.train import fit, train
from masknet.train.defaults import network_defaults, resolved
from masknet.train.identity import machine_of
from masknet.train.members import network_step
from masknet.train.plan import encoding_plan
from masknet.train.step import NetworkStep
from masknet.train.trainer import Interrupted


def knows(**settings: Any) -> bool:
    """Whether runs have these settings."""
    try:
        RunConfig(**settings)
    except ConfigError:
        return False
    return True


class Masknet:
    """The engine.

    Args:
        cache: the folder of encoded sets; all else that is written lies there too.
    """

    auc, grouped_auc = staticmethod(metrics.auc), staticmethod(metrics.grouped_auc)
    load = staticmethod(masknet.load)

    def __init__(self, cache: Path) -> None:
        self.cache = cache

    def begin(self) -> None:
        """What the command line does before a verb."""
        keep_freed_memory()

    def encoded(
        self,
        data: str,
        settings: dict[str, Any],
        *,
        into: Path | None = None,
        progress: Progress | None = None,
    ) -> Prepared:
        """The encoded rows, made or from the cache."""
        plan = encoding_plan(RunConfig(**settings))
        return prepare(open_table(data), None, plan, progress or LogProgress(), cache=into or self.cache)

    def decided(self, settings: dict[str, Any], rows: int, device: str = "cpu") -> RunConfig:
        """The settings with all that they leave open, as a run of so many rows decides it."""
        config = resolved(RunConfig(**settings, device=device), rows=rows, by_time=False)[0]
        return config.replace(precision=machine_of(config, None)["precision"])

    def batches(self, rows: EncodedSet, config: RunConfig) -> Iterator[Batch]:
        """Those of one epoch after the other, but for short ones."""
        assert config.batch_size is not None
        size, share = config.batch_size, config.unseen_rate
        for epoch in itertools.count():
            for batch in training_batches(rows, batch_size=size, seed=0, epoch=epoch, unseen_rate=share):
                if len(batch) == size:
                    yield batch

    def network(self, prepared: Prepared, config: RunConfig, device: str, times: int = 1) -> nn.Module:
        """A network as a run begins with it, for so many times the ids of the rows."""
        settings = resolve_settings(config.model, network_defaults(config.model, config.set) | config.set)
        space = replace(prepared.encoder.space, num_ids=times * prepared.encoder.space.num_ids)
        torch.manual_seed(0)
        return build_network(config.model, space, settings).to(device)

    def steps(self, prepared: Prepared, config: RunConfig, device: str, times: int = 1) -> Callable[[int], float]:
        """Takes so many more steps, and gives their mean loss; ids are moved apart where there are more of them."""
        network = self.network(prepared, config, device, times)
        step = network_step(network, config, sample_weights=None, click_rates=prepared.train.click_rates)
        batches, number = self.batches(prepared.train, config), itertools.count()

        def take(count: int) -> float:
            loss = torch.zeros((), dtype=torch.float64)
            for batch in itertools.islice(batches, count):
                spread = batch if times == 1 else replace(batch, ids=batch.ids * times)
                loss = loss + step(spread, next(number))
            return float(loss) / count

        return take

    def scoring(self, network: nn.Module, rows: EncodedSet) -> Callable[[], object]:
        """Scores all rows."""
        scorer = NetworkScorer(network)
        return lambda: score(scorer, rows)

    def run(
        self, data: str, settings: dict[str, Any], *, out: Path | None = None, into: Path | None = None
    ) -> list[dict[str, Any]]:
        """A whole run; its model is saved where that is asked for. The records of its evaluations."""
        config = RunConfig(**settings, cache_dir=str(into or self.cache))
        valid = None if config.valid is None else open_table(config.valid)
        trained = fit(config, open_table(data), valid, LogProgress())
        if out is not None:
            trained.save(out, overwrite=True)
        return trained.history

    def until(self, data: str, settings: dict[str, Any], goal: float, into: Path) -> tuple[float | None, float]:
        """Seconds of a whole run until the validation rows show an AUC, None where they never do; and the best one."""
        out = into / "until.masknet"
        watch = _Until(out.with_name(f"{out.name}.run") / "log.jsonl", goal)
        with contextlib.suppress(Interrupted):
            train(RunConfig(**settings, data=data, cache_dir=str(into), out=str(out)), watch)
            watch.stopping()  # its last evaluation, after which nobody asks
        return watch.seconds, watch.best

    def first_step(self, data: str, settings: dict[str, Any]) -> None:
        """A run up to its first step."""
        step = NetworkStep.__call__

        def only(self: NetworkStep, batch: Batch, number: int) -> torch.Tensor:
            step(self, batch, number)
            raise _FirstStepDone

        NetworkStep.__call__ = only  # type: ignore[method-assign]
        places = {"data": data, "cache_dir": str(self.cache), "out": str(self.cache / "first.masknet")}
        try:
            train(RunConfig(**settings, **places, overwrite=True), LogProgress())
        except _FirstStepDone:
            return
        raise RuntimeError("the run ended before its first step")

    def of_file(self, work: str, model: Path, data: str) -> Callable[[], object]:
        """`evaluate` or `predict`: a file by a saved model."""
        artifact, table = load_artifact(model), open_table(data)
        if work == "evaluate":
            return lambda: evaluate_table(artifact, table, progress=LogProgress())
        out = self.cache / "scores.parquet"
        return lambda: predict_file(artifact, table, out, overwrite=True, progress=LogProgress())


class _Until(LogProgress):
    """Stops a run as soon as its log tells of an AUC."""

    def __init__(self, log: Path, goal: float) -> None:
        self._log, self._goal, self._read = log, goal, 0
        self._started = time.perf_counter()
        self.seconds: float | None = None
        self.best = 0.0

    def stopping(self) -> bool:
        if self._log.exists() and self._log.stat().st_size > self._read:
            lines = self._log.read_text(encoding="utf-8").splitlines()
            self._read = self._log.stat().st_size
            self.best = max(self.best, *(json.loads(line)["valid"]["auc"] for line in lines))
            if self.best >= self._goal:
                self.seconds = time.perf_counter() - self._started
        return self.seconds is not None


class _FirstStepDone(Exception):  # noqa: N818 - no error: it ends a run that has been measured
    pass
