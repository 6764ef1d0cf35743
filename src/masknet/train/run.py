"""The whole job: settings and tables in, a trained model out."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import nn

import masknet
from masknet import metrics
from masknet.artifact import PROBABILITY, save_artifact
from masknet.config import RunConfig
from masknet.encode import Declared, EncodedSet, Encoder, EncodingPlan, Inspection, Prepared, prepare
from masknet.errors import ArtifactError, ConfigError, DataError, unknown
from masknet.manifest import MANIFEST_FILE, Manifest
from masknet.models import build_network, resolve_settings
from masknet.progress import Progress
from masknet.scoring import probabilities_of, score
from masknet.table import Table, open_table
from masknet.train.checkpoint import Checkpoint, RunFolder
from masknet.train.optim import embedding_parameters
from masknet.train.trainer import Trainer

__all__ = ["Fitted", "fit", "train"]

# What may differ between a run and its resumption: none of it changes a weight.
_FREE_ON_RESUME = ("resume", "overwrite", "json", "checkpoint_minutes", "verify", "cache_dir", "threads", "precision")
_LEAK_AUC = 0.999
_LEAK_ROWS = 200_000


@dataclass(frozen=True)
class Fitted:
    """A trained network with all that an artifact keeps."""

    network: nn.Module
    encoder: Encoder
    manifest: Manifest
    inspection: Inspection
    golden: pl.DataFrame | None
    history: list[dict[str, Any]]
    run: dict[str, Any]

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the artifact.

        Raises:
            ArtifactError: something lies at `path` already.
        """
        save_artifact(
            Path(path),
            network=self.network,
            encoder=self.encoder,
            manifest=self.manifest,
            run=self.run,
            golden=self.golden,
            history=self.history,
            overwrite=overwrite,
        )


def train(
    config: RunConfig, progress: Progress, *, on_prepared: Callable[[Prepared], None] = lambda prepared: None
) -> tuple[Path, Fitted | None]:
    """Train as `masknet train` does: from the paths in `config` to the artifact at `config.out`.

    Args:
        config: the settings.
        progress: who hears how it goes.
        on_prepared: called once the columns are decided and the rows encoded, before training.

    Returns:
        The artifact's path and what was fitted; None where `resume` found the run finished.

    Raises:
        MasknetError: the settings, the tables, or what lies at the output, do not allow it.
    """
    if config.data is None or config.label is None:
        raise ConfigError(f"training needs {'data' if config.data is None else '--label, the column to predict'}")
    table = open_table(config.data)
    valid = None if config.valid is None else open_table(config.valid)
    out = Path(config.out) if config.out is not None else Path(f"{_stem(table.name)}.masknet")
    config = config.replace(**_absolute(config), out=str(out.absolute()))
    folder = RunFolder(out.with_name(f"{out.name}.run"))
    if config.resume and out.exists() and not folder.unfinished:
        progress.note(f"the run of {out} is finished: there is nothing to resume")
        return out, None
    _check_output(config, out, folder)
    checkpoint = folder.load() if config.resume and folder.unfinished else None
    if config.resume and checkpoint is None:
        progress.note(f"no checkpoint of {out} to resume: the run starts afresh")
    fitted = fit(config, table, valid, progress, folder=folder, checkpoint=checkpoint, on_prepared=on_prepared)
    fitted.save(out, overwrite=config.overwrite or config.resume)
    folder.finish()
    return out, fitted


def _stem(name: str) -> str:
    first = Path(name.rstrip("/*")).name.split("*")[0].rstrip("-_.")
    return first.split(".")[0] or "model"


def _absolute(config: RunConfig) -> dict[str, str]:
    """Paths as they are from anywhere, so that the run kept in the artifact can be run again."""
    paths = {name: getattr(config, name) for name in ("data", "valid", "cache_dir")}
    return {name: os.path.abspath(path) for name, path in paths.items() if path is not None}


def _check_output(config: RunConfig, out: Path, folder: RunFolder) -> None:
    if out.exists() and not (config.overwrite or config.resume):
        raise ArtifactError(f"a model is not overwritten by chance; '{out}' exists: pass --overwrite, or another --out")
    if out.exists() and not (out / MANIFEST_FILE).is_file():
        raise ArtifactError(f"only a model is overwritten; '{out}' is something else: pass another --out")
    if folder.unfinished and not (config.resume or config.overwrite):
        raise ArtifactError(
            f"an unfinished run is not overwritten by chance; one lies in '{folder.path}': pass --resume to go on with "
            f"it, or --overwrite to begin anew"
        )
    # Found out now rather than after hours of training.
    out.parent.mkdir(parents=True, exist_ok=True)
    if not os.access(out.parent, os.W_OK):
        raise PermissionError(13, "Permission denied", str(out.parent))


def fit(
    config: RunConfig,
    table: Table,
    valid: Table | None,
    progress: Progress,
    *,
    folder: RunFolder | None = None,
    checkpoint: Checkpoint | None = None,
    on_prepared: Callable[[Prepared], None] = lambda prepared: None,
) -> Fitted:
    """Encode, train, refit where asked, and evaluate.

    Args:
        config: the settings; `data`, `valid` and `out` are not read.
        table: the training rows.
        valid: the validation rows, or None to split some off.
        folder: where to keep checkpoints.
        checkpoint: the state to go on from.
        on_prepared: called before training, as in `train`.
    """
    settings = resolve_settings(config.model, config.set)
    if PROBABILITY in table.columns and PROBABILITY not in config.ignore:
        raise DataError(
            f"'{PROBABILITY}' is the column that predictions are written to; {table.name} has one of that name: rename "
            f"it, or leave it out with --ignore {PROBABILITY}"
        )
    if config.monitor not in metrics.MONITORS:
        raise ConfigError(unknown("metric", config.monitor, metrics.MONITORS))
    if config.monitor == "grouped_auc" and config.group is None:
        raise ConfigError("the metric grouped_auc needs groups; name their column with --group")
    machine = _machine(config, checkpoint)
    torch.set_num_threads(machine["threads"])
    prepared = prepare(
        table,
        valid,
        _plan(config),
        progress,
        cache=None if config.cache_dir is None else Path(config.cache_dir),
        verify=config.verify,
    )
    assert prepared.valid is not None
    on_prepared(prepared)
    for warning in (*prepared.inspection.warnings, *_leaks(prepared)):
        progress.warn(warning)
    monitor = _monitor(config, prepared.valid, progress)
    identity = {"settings": _identity(config), "fingerprint": prepared.fingerprint, "machine": machine, "fit": None}
    if checkpoint is not None:
        _check_same(identity, checkpoint)
        progress.note(f"resumed after {checkpoint.state['trainer']['step']:,} steps")
    elif folder is not None:
        folder.begin(config.settings())
    device = torch.device(machine["device"])
    started = time.monotonic()

    in_refit = checkpoint is not None and checkpoint.state["fit"] is not None
    if checkpoint is not None and in_refit:
        found: dict[str, Any] = checkpoint.state["fit"]
    else:
        network = _initial_network(config, settings, prepared, device)
        trainer = Trainer(
            network,
            train=prepared.train,
            valid=prepared.valid,
            config=config,
            monitor=monitor,
            progress=progress,
            folder=folder,
            identity=identity,
        )
        if checkpoint is not None:
            trainer.restore(checkpoint)
        state = trainer.run()
        found = {
            "history": state.history,
            "best_epoch": state.best_epoch,
            "seconds": state.seconds,
            "metrics": _final_metrics(network, prepared.valid, device),
            "rows": len(prepared.train),
            "valid_rows": len(prepared.valid),
        }
    encoder = prepared.encoder
    if config.refit:
        everything = prepare(
            table,
            valid,
            _plan(config),
            progress,
            cache=None if config.cache_dir is None else Path(config.cache_dir),
            verify=config.verify,
            join=True,
        )
        rates = [record["learning_rate"] for record in found["history"][: found["best_epoch"]]]
        progress.note(f"refit on training and validation rows, {len(rates)} epochs")
        network = _initial_network(config, settings, everything, device)
        trainer = Trainer(
            network,
            train=everything.train,
            valid=None,
            config=config,
            monitor=monitor,
            progress=progress,
            rates=rates,
            folder=folder,
            identity=identity | {"fit": found},
        )
        if checkpoint is not None and in_refit:
            trainer.restore(checkpoint)
        refit_state = trainer.run()
        found = found | {"seconds": found["seconds"] + refit_state.seconds}
        encoder = everything.encoder
    network = network.cpu()
    manifest = _manifest(config, settings, network, prepared, found, monitor, machine, table.name)
    progress.note(f"trained in {time.monotonic() - started:.0f} s")
    return Fitted(
        network=network,
        encoder=encoder,
        manifest=manifest,
        inspection=prepared.inspection,
        golden=_golden(table, encoder, network, config.golden_rows),
        history=found["history"],
        run={**config.settings(), "resume": False, "overwrite": False},
    )


def _plan(config: RunConfig) -> EncodingPlan:
    return EncodingPlan(
        declared=Declared(
            label=config.label,
            weight=config.weight,
            group=config.group,
            time=config.time,
            categorical=config.categorical,
            numeric=config.numeric,
            ignore=config.ignore,
        ),
        valid_fraction=config.valid_fraction,
        valid_after=config.valid_after,
        min_count=config.min_count,
        max_vocabulary=config.max_vocabulary,
        limit_rows=config.limit_rows,
    )


def _machine(config: RunConfig, checkpoint: Checkpoint | None) -> dict[str, Any]:
    """Threads, precision and device: other ones give other bits, so a resumed run keeps those it began with."""
    if checkpoint is None:
        return {
            "threads": config.threads or len(os.sched_getaffinity(0)),
            "precision": config.precision or "fp32",
            "device": _device(config.device),
        }
    kept: dict[str, Any] = checkpoint.state["machine"]
    asked = {
        "threads": config.threads,
        "precision": config.precision,
        "device": None if config.device == "auto" else config.device,
    }
    for name, value in asked.items():
        if value is not None and value != kept[name]:
            raise ConfigError(
                f"a resumed run keeps its {name}, since other ones give other weights; it began with {kept[name]}, "
                f"--{name} is {value}: leave --{name} out, or begin anew with --overwrite"
            )
    return kept


def _device(name: str) -> str:
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"a device is auto, cpu, cuda or cuda:0; got '{name}'") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"the device '{name}' is not there: this PyTorch sees no GPU; pass --device cpu")
    return name


def _identity(config: RunConfig) -> dict[str, Any]:
    return {name: value for name, value in config.settings().items() if name not in _FREE_ON_RESUME}


def _check_same(identity: dict[str, Any], checkpoint: Checkpoint) -> None:
    before = checkpoint.state["settings"]
    for name, value in identity["settings"].items():
        if before.get(name) != value:
            raise ConfigError(
                f"a resumed run keeps its settings; {name} was {before.get(name)!r} and is {value!r}: run the same "
                f"command, or begin anew with --overwrite"
            )
    if identity["fingerprint"] != checkpoint.state["fingerprint"]:
        raise ConfigError("a resumed run keeps its data; the tables have changed since: begin anew with --overwrite")


def _initial_network(
    config: RunConfig, settings: dict[str, Any], prepared: Prepared, device: torch.device
) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return build_network(config.model, prepared.encoder.space, settings).to(device)


def _monitor(config: RunConfig, valid: EncodedSet, progress: Progress) -> str:
    """The metric asked for, or log loss where validation rows of one class leave it undefined."""
    names = {"groups": valid.groups} if config.monitor == "grouped_auc" else {}
    trial = metrics.MONITORS[config.monitor].function(valid.labels, np.full(len(valid), 0.5), **names)
    if trial.value is None:
        progress.warn(f"{config.monitor} is undefined on the validation rows ({trial.why}): log loss monitors instead")
        return "log_loss"
    return config.monitor


def _final_metrics(network: nn.Module, valid: EncodedSet, device: torch.device) -> dict[str, dict[str, Any]]:
    probabilities = probabilities_of(score(network, valid, device=device))
    estimates = metrics.evaluate(valid.labels, probabilities, valid.weights, valid.groups)
    return {name: estimate.to_json() for name, estimate in estimates.items()}


def _leaks(prepared: Prepared) -> Iterable[str]:
    """Fields that rank the label almost perfectly on their own: likely the label under another name."""
    rows = prepared.train
    some = slice(0, min(len(rows), _LEAK_ROWS))
    labels = np.array(rows.labels[some])
    if labels.all() or not labels.any():
        return
    ids, values = rows.expand(np.array(rows.ids[some]), np.array(rows.values[some]))
    for slot, field in enumerate(prepared.encoder.schema.fields):
        if field.kind == "numeric":
            column = values[:, slot].astype(np.float64)
            judged = labels
        else:
            column, judged = _held_out_rates(ids[:, slot], labels)
        if judged.all() or not judged.any() or column.max() == column.min():
            continue
        ranks = (column - column.min()) / (column.max() - column.min())
        value = metrics.auc(judged, ranks).value
        if value is not None and max(value, 1 - value) > _LEAK_AUC:
            yield (
                f"column '{field.name}' alone tells the label (AUC {max(value, 1 - value):.4f}): if it is the label "
                f"under another name, leave it out with --ignore {field.name}"
            )


def _held_out_rates(ids: NDArray[np.int32], labels: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Each odd row's click rate of its value among the even rows, so that a value seen once tells nothing."""
    size = int(ids.max()) + 1
    counts = np.bincount(ids[::2], minlength=size)
    clicks = np.bincount(ids[::2], weights=labels[::2], minlength=size)
    rates = (clicks + labels.mean()) / (counts + 1.0)
    return rates[ids[1::2]], labels[1::2]


def _golden(table: Table, encoder: Encoder, network: nn.Module, rows: int) -> pl.DataFrame | None:
    if rows == 0:
        return None
    chunk = next(table.chunks(encoder.schema.field_names, limit=rows))
    ids, values = encoder.encode(chunk)
    network.eval()
    with torch.inference_mode():
        logits = network(torch.from_numpy(ids), torch.from_numpy(values), None)
    return chunk.frame.with_columns(pl.Series(PROBABILITY, probabilities_of(logits.numpy())))


def _manifest(
    config: RunConfig,
    settings: dict[str, Any],
    network: nn.Module,
    prepared: Prepared,
    found: dict[str, Any],
    monitor: str,
    machine: dict[str, Any],
    data_name: str,
) -> Manifest:
    tables = embedding_parameters(network)
    sizes = {name: p.numel() for name, p in network.named_parameters()}
    return Manifest(
        masknet=masknet.__version__,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        model=config.model,
        settings=settings,
        num_parameters={
            "embedding": sum(size for name, size in sizes.items() if name in tables),
            "network": sum(size for name, size in sizes.items() if name not in tables),
        },
        precision=machine["precision"],
        threads=machine["threads"],
        device=machine["device"],
        seed=config.seed,
        versions={
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in ("torch", "numpy", "polars", "pyarrow")},
        },
        data={
            "name": data_name,
            "rows": found["rows"],
            "valid_rows": found["valid_rows"],
            "fingerprint": prepared.fingerprint,
        },
        training={
            "epochs": len(found["history"]),
            "best_epoch": found["best_epoch"],
            "seconds": round(found["seconds"], 3),
            "monitor": monitor,
            "refit": config.refit,
            "average_weights": config.average_weights,
        },
        metrics=found["metrics"],
        rows=found["valid_rows"],
    )
