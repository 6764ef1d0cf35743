"""What the stages ask of masknet, by the names that commit 0aeded6 had for it; see `today.py`, whose face it has."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

import masknet
from masknet import metrics
from masknet.artifact import load_artifact
from masknet.batches import Batch, shuffled_batches
from masknet.config import RunConfig
from masknet.encode import EncodedSet, Prepared, prepare
from masknet.models import build_network, resolve_settings
from masknet.predict import evaluate_table, predict_file
from masknet.progress import LogProgress, Progress
from masknet.table import open_table
from masknet.train import fit, train
from masknet.train.defaults import network_defaults, resolved
from masknet.train.run import encoding_plan
from masknet.train.trainer import Trainer


class Masknet:
    auc, grouped_auc = staticmethod(metrics.auc), staticmethod(metrics.grouped_auc)
    load = staticmethod(masknet.load)

    def __init__(self, cache: Path) -> None:
        self.cache = cache

    def begin(self) -> None:
        pass

    def encoded(
        self,
        data: str,
        settings: dict[str, Any],
        *,
        into: Path | None = None,
        progress: Progress | None = None,
    ) -> Prepared:
        plan = encoding_plan(RunConfig(**settings))
        return prepare(open_table(data), None, plan, progress or LogProgress(), cache=into or self.cache)

    def decided(self, settings: dict[str, Any], rows: int, device: str = "cpu") -> RunConfig:
        return resolved(RunConfig(**settings, device=device), rows=rows, by_time=False)[0]

    def steps(self, prepared: Prepared, config: RunConfig, device: str) -> Callable[[int], float]:
        settings = resolve_settings(config.model, network_defaults(config.model) | config.set)
        torch.manual_seed(0)
        trainer = Trainer(
            build_network(config.model, prepared.encoder.space, settings).to(device),
            train=prepared.train,
            valid=prepared.valid,
            config=config,
            monitor="auc",
            progress=LogProgress(),
        )
        batches, place = self._batches(prepared.train, config), torch.device(device)

        def take(count: int) -> float:
            trainer._loss_sum.zero_()
            rows = 0
            for batch in itertools.islice(batches, count):
                trainer._step(batch.to(place))
                trainer.state.step += 1
                rows += len(batch)
            return float(trainer._loss_sum) / rows

        return take

    def _batches(self, rows: EncodedSet, config: RunConfig) -> Iterator[Batch]:
        assert config.batch_size is not None
        size, share = config.batch_size, config.unseen_rate
        for epoch in itertools.count():
            for batch in shuffled_batches(rows, batch_size=size, seed=0, epoch=epoch, unseen_rate=share):
                if len(batch) == size:
                    yield batch

    def run(
        self, data: str, settings: dict[str, Any], *, out: Path | None = None, into: Path | None = None
    ) -> list[dict[str, Any]]:
        config = RunConfig(**settings, cache_dir=str(into or self.cache))
        valid = None if config.valid is None else open_table(config.valid)
        fitted = fit(config, open_table(data), valid, LogProgress())
        if out is not None:
            fitted.save(out, overwrite=True)
        return fitted.history

    def first_step(self, data: str, settings: dict[str, Any]) -> None:
        step = Trainer._step

        def only(self: Trainer, batch: Batch) -> None:
            step(self, batch)
            raise _FirstStepDone

        Trainer._step = only  # type: ignore[method-assign]
        places = {"data": data, "cache_dir": str(self.cache), "out": str(self.cache / "first.masknet")}
        try:
            train(RunConfig(**settings, **places, overwrite=True), LogProgress())
        except _FirstStepDone:
            return
        raise RuntimeError("the run ended before its first step")

    def of_file(self, work: str, model: Path, data: str) -> Callable[[], object]:
        artifact, table = load_artifact(model), open_table(data)
        if work == "evaluate":
            return lambda: evaluate_table(artifact, table, progress=LogProgress())
        out = self.cache / "scores.parquet"
        return lambda: predict_file(artifact, table, out, overwrite=True, progress=LogProgress())


class _FirstStepDone(Exception):  # noqa: N818 - no error: it ends a run that has been measured
    pass
