"""The whole job: settings and tables in, a trained model out."""

from __future__ import annotations

import importlib.metadata
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import nn

import masknet
from masknet import metrics
from masknet.artifact import PROBABILITY, check_free, save_artifact
from masknet.config import RunConfig
from masknet.draws import keyed_uniform
from masknet.encode import Declared, EncodedSet, Encoder, EncodingPlan, Inspection, NumericEncoding, Prepared, prepare
from masknet.encode.sift import declared_checks, sift
from masknet.errors import ArtifactError, ConfigError, DataError, unknown
from masknet.manifest import Manifest, installed_versions
from masknet.models import is_code, resolve_settings
from masknet.progress import Progress
from masknet.scoring import NetworkScorer, probabilities_of, resolve_device, score
from masknet.table import Table, open_table
from masknet.train.checkpoint import Checkpoint, RunFolder
from masknet.train.contract import require_contract
from masknet.train.defaults import network_defaults, resolved
from masknet.train.members import Job, Search, whereabouts
from masknet.train.optim import embedding_parameters
from masknet.train.pretrained import Vectors, digests, read_vectors
from masknet.train.tracking import summary_writer
from masknet.train.trainer import Interrupted

__all__ = ["Fitted", "encoding_plan", "fit", "train"]

# What may differ between a run and its resumption, since it changes no weight: tables and vectors are known by their
# content, wherever they lie, and the machine's settings come from the checkpoint.
_OF_THE_MACHINE = ("threads", "precision", "device")
_OF_THE_OUTPUT = ("out", "overwrite", "resume", "checkpoint_minutes", "golden_rows", "tensorboard", "json")
_FREE_ON_RESUME = ("data", "valid", "pretrained", "cache_dir", *_OF_THE_MACHINE, *_OF_THE_OUTPUT)
_ANEW = "to begin anew, pass --overwrite and not --resume"
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
        lacking = "data" if config.data is None else "--label, the column to predict"
        raise ConfigError(f"training needs {lacking}: masknet train DATA --label COLUMN")
    table = open_table(config.data, columns=config.columns)
    valid = None if config.valid is None else open_table(config.valid, columns=config.columns)
    out = Path(f"{_stem(table.name)}.masknet" if config.out is None else config.out)
    if not out.name:
        raise ConfigError(f"a model is a folder of its own; --out is '{config.out}': name one, such as ads.masknet")
    config = config.replace(**_absolute(config), out=str(out.absolute()))
    folder = RunFolder(out.with_name(f"{out.name}.run"))
    check_free(out, overwrite=config.overwrite or config.resume)
    if config.resume and out.exists() and not folder.unfinished:
        folder.finish()  # once more: it may have been killed halfway
        progress.note(f"the run of {out} is finished: there is nothing to resume")
        return out, None
    _check_begin(config, out, folder)
    checkpoint = folder.load() if config.resume and folder.unfinished else None
    if checkpoint is None:
        if config.resume:
            progress.note(f"no checkpoint of {out} to resume: the run starts afresh")
        _network_settings(config, table)  # a slip of the pen must not cost an older run its state
        resolve_device(config.device)
        folder.begin(config.settings())  # from here on a kill leaves a run that is known to be unfinished
    try:
        fitted = fit(config, table, valid, progress, folder=folder, checkpoint=checkpoint, on_prepared=on_prepared)
        fitted.save(out, overwrite=config.overwrite or config.resume)
    except (Exception, KeyboardInterrupt) as error:
        if not folder.resumable:
            folder.discard()  # nothing to go on with: the next attempt begins anew without being asked
        elif isinstance(error, KeyboardInterrupt):
            raise Interrupted("stopped") from None  # outside the training loop, which stops in its own time
        raise
    folder.finish()
    return out, fitted


def _stem(name: str) -> str:
    first = Path(name.rstrip("/*")).name.split("*")[0].rstrip("-_.")
    return first.split(".")[0] or "model"


def _absolute(config: RunConfig) -> dict[str, Any]:
    """Paths as they are from anywhere, so that the run kept in the artifact can be run again."""
    paths = {name: getattr(config, name) for name in ("data", "valid", "cache_dir", "tensorboard")}
    vectors = {field: os.path.abspath(path) for field, path in config.pretrained.items()}
    return {"pretrained": vectors} | {n: os.path.abspath(path) for n, path in paths.items() if path is not None}


def _check_begin(config: RunConfig, out: Path, folder: RunFolder) -> None:
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
    settings = _network_settings(config, table)
    machine = _machine(config, checkpoint)
    identity = {"settings": _identity(config), "machine": machine, "versions": _versions()}
    identity["pretrained"] = digests(config.pretrained)
    if checkpoint is not None:
        _check_same_run(identity, checkpoint)
    started = time.monotonic()
    with _threads(machine["threads"]):
        cache = None if config.cache_dir is None else Path(config.cache_dir)
        encode = partial(prepare, table, valid, encoding_plan(config), progress, cache=cache, verify=config.verify)
        prepared = encode()
        on_prepared(prepared)
        _tell_bad_rows(prepared, folder, progress)
        for warning in (*prepared.inspection.warnings, *_leaks(prepared)):
            progress.warn(warning)
        by_time = valid is None and config.time is not None and config.valid_fraction is None
        config, line = resolved(config, rows=len(prepared.train), by_time=by_time)
        if line:
            progress.note(line)
        if checkpoint is not None:
            _check_same_data(prepared, checkpoint)
            progress.note(f"resumed {whereabouts(checkpoint, config.members or 1)}")
        assert prepared.valid is not None
        job = Job(
            config=config,
            settings=settings,
            monitor=_monitor(config, prepared.valid, progress),
            device=torch.device(machine["device"]),
            identity=identity | {"fingerprint": prepared.fingerprint},
            progress=progress,
            folder=folder,
            checkpoint=checkpoint,
        )
        encoder = prepared.encoder
        search = job.finished_search
        if search is None:
            vectors = read_vectors(config, encoder, progress)
            network, outcomes = job.search(prepared, vectors)
            search = Search(outcomes, _final_metrics(network, prepared.valid, job.device))
        seconds = sum(member.seconds for member in search.members)
        if config.refit:
            epochs = ", ".join(str(member.best["epoch"]) for member in search.members)
            progress.note(f"refit on training and validation rows; epochs: {epochs}")
            everything = encode(join=True)
            encoder = everything.encoder
            vectors = read_vectors(config, encoder, progress)
            network, outcomes = job.refit(everything, vectors, search)
            seconds += sum(member.seconds for member in outcomes)
        progress.note(f"trained in {time.monotonic() - started:.0f} s")
        return Fitted(
            network=network,
            encoder=encoder,
            manifest=_manifest(job, network, prepared, search, machine, vectors, data_name=table.name, seconds=seconds),
            inspection=prepared.inspection,
            golden=_golden(table, encoder, network, config),
            history=search.history,
            run={**config.settings(), "set": settings, "resume": False, "overwrite": False},
        )


def _network_settings(config: RunConfig, table: Table) -> dict[str, Any]:
    """The network's settings, once all that can be known before the table is read is known to be right."""
    settings = resolve_settings(config.model, network_defaults(config.model) | config.set)
    if is_code(config.model):
        require_contract(config.model, settings)
    if PROBABILITY in table.columns and PROBABILITY not in config.ignore:
        raise DataError(
            f"'{PROBABILITY}' is the column that predictions are written to; {table.name} has one of that name: rename "
            f"it, or leave it out with --ignore {PROBABILITY}"
        )
    if config.monitor not in metrics.MONITORS:
        raise ConfigError(unknown("metric", config.monitor, metrics.MONITORS))
    if config.monitor == "grouped_auc" and config.group is None:
        raise ConfigError("the metric grouped_auc needs groups; name their column with --group")
    digests(config.pretrained)
    if config.tensorboard is not None:
        summary_writer()
    return settings


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Let PyTorch use so many threads, and leave its setting to the caller as it was."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def encoding_plan(config: RunConfig) -> EncodingPlan:
    """Those of a run's settings that decide how its tables are encoded and split."""
    return EncodingPlan(
        declared=Declared(**{part.name: getattr(config, part.name) for part in fields(Declared)}),
        valid_fraction=config.valid_fraction,
        valid_after=config.valid_after,
        min_count=config.min_count,
        max_vocabulary=config.max_vocabulary,
        numeric_encoding=config.numeric_encoding,
        negative_rate=config.negative_rate,
        limit_rows=config.limit_rows,
        bad_rows=config.bad_rows,
    )


def _machine(config: RunConfig, checkpoint: Checkpoint | None) -> dict[str, Any]:
    """Threads, precision and device: other ones give other bits, so a resumed run keeps those it began with."""
    if checkpoint is None:
        return {
            "threads": config.threads or _cores(),
            "precision": config.precision or "fp32",
            "device": str(resolve_device(config.device)),
        }
    kept: dict[str, Any] = checkpoint.state["machine"]
    for name in _OF_THE_MACHINE:
        value = getattr(config, name)
        if value not in (None, "auto", kept[name]):
            raise ConfigError(
                f"a resumed run keeps its {name}, since other ones give other weights; it began with {kept[name]}, "
                f"--{name} is {value}: leave --{name} out; {_ANEW}"
            )
    resolve_device(kept["device"])
    return kept


def _cores() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _versions() -> dict[str, str]:
    """Of what draws the numbers and does the sums."""
    return {
        "masknet": masknet.__version__,
        **{name: importlib.metadata.version(name) for name in ("torch", "numpy")},
    }


def _identity(config: RunConfig) -> dict[str, Any]:
    return {name: value for name, value in config.settings().items() if name not in _FREE_ON_RESUME}


def _check_same_run(identity: dict[str, Any], checkpoint: Checkpoint) -> None:
    before = checkpoint.state["settings"]
    for name, value in identity["settings"].items():
        if before.get(name) != value:
            raise ConfigError(
                f"a resumed run keeps its settings; {name} was {before.get(name)!r} and is {value!r}: run the same "
                f"command; {_ANEW}"
            )
    if identity["pretrained"] != checkpoint.state["pretrained"]:
        raise ConfigError(
            f"a resumed run keeps its vectors; those of --pretrained have changed: bring them back; {_ANEW}"
        )
    for name, version in identity["versions"].items():
        began = checkpoint.state["versions"][name]
        if began != version:
            raise ConfigError(
                f"a resumed run keeps its versions, since other ones may give other weights; it began with {name} "
                f"{began}, this is {version}: install that one; {_ANEW}"
            )


def _check_same_data(prepared: Prepared, checkpoint: Checkpoint) -> None:
    if prepared.fingerprint != checkpoint.state["fingerprint"]:
        raise ConfigError(f"a resumed run keeps its data; the tables have changed since: bring them back; {_ANEW}")


def _monitor(config: RunConfig, valid: EncodedSet, progress: Progress) -> str:
    """The metric asked for, or log loss where validation rows of one class leave it undefined."""
    trial = metrics.evaluate_tasks(valid.labels, np.full(valid.labels.shape, 0.5), valid.weights, valid.groups)[0]
    if trial["log_loss"].value is None:
        raise DataError(f"validation needs rows that weigh something; {trial['log_loss'].why}: choose other ones")
    asked = trial[config.monitor]
    if asked.value is None:
        progress.warn(f"{config.monitor} is undefined on the validation rows ({asked.why}): log loss monitors instead")
        return "log_loss"
    return config.monitor


def _final_metrics(network: nn.Module, valid: EncodedSet, device: torch.device) -> dict[str, dict[str, Any]]:
    probabilities = probabilities_of(score(NetworkScorer(network.to(device)), valid))
    network.cpu()
    estimates = metrics.evaluate_tasks(valid.labels, probabilities, valid.weights, valid.groups)[0]
    return {name: estimate.to_json() for name, estimate in estimates.items()}


def _leaks(prepared: Prepared) -> Iterable[str]:
    """Fields that rank the label almost perfectly on their own: likely the label under another name."""
    rows = prepared.train
    some = np.unique(np.linspace(0, len(rows) - 1, _LEAK_ROWS).astype(np.int64))
    labels = rows.labels[some, 0]
    taken = rows.take(some)
    ids, values = taken.ids, taken.values
    slot = 0
    for field, encoding in zip(prepared.encoder.schema.fields, prepared.encoder.encodings, strict=True):
        own = range(slot, slot + len(encoding.fixed_ids))
        slot += len(own)
        if not own:
            continue
        # Of a scaled number this is its being missing; of a bag, its first value.
        found = max(_ranking(*_held_out_rates(ids[:, s], labels)) for s in own[: 1 if field.kind == "bag" else None])
        if isinstance(encoding, NumericEncoding):
            known = ids[:, own[0]] == encoding.value
            found = max(found, _ranking(values[known, own[0]].astype(np.float64), labels[known]))
        if found > _LEAK_AUC:
            yield (
                f"column '{field.name}' alone tells the label (AUC {found:.4f}): if it is the label under another "
                f"name, leave it out with --ignore {field.name}"
            )


def _ranking(column: NDArray[np.float64], labels: NDArray[np.uint8]) -> float:
    """The AUC of a column's values, or of their negatives; 0.5 where it is undefined or the column is constant."""
    if not len(column) or column.max() == column.min():
        return 0.5
    value = metrics.auc(labels, (column - column.min()) / (column.max() - column.min())).value
    return 0.5 if value is None else max(value, 1 - value)


def _held_out_rates(ids: NDArray[np.int32], labels: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """The click rate of a row's value among other rows, for a random half: a value seen once tells nothing."""
    held = keyed_uniform(_LEAK_ROWS, np.arange(len(ids))) < 0.5
    size = int(ids.max()) + 1
    counts = np.bincount(ids[~held], minlength=size)
    clicks = np.bincount(ids[~held], weights=labels[~held], minlength=size)
    rates = (clicks + labels.mean()) / (counts + 1.0)
    return rates[ids[held]], labels[held]


def _tell_bad_rows(prepared: Prepared, folder: RunFolder | None, progress: Progress) -> None:
    """Say what was set aside, and keep it beside the log where there is one."""
    bad = prepared.bad_rows
    file = None if bad is None or not len(bad) else bad.file
    if folder is not None:
        kept = folder.keep_bad_rows(file)
        file = None if file is None else kept
    if bad is not None and file is not None:
        for sentence in bad.sentences(file):
            progress.note(sentence)


def _golden(table: Table, encoder: Encoder, network: nn.Module, config: RunConfig) -> pl.DataFrame | None:
    rows = config.golden_rows
    if rows == 0:
        return None
    if config.bad_rows == "quarantine":
        table = sift(table, declared_checks(encoding_plan(config).declared), limit=rows)
    chunk = next(table.chunks(encoder.schema.field_names, limit=rows))
    probabilities = probabilities_of(NetworkScorer(network.eval()).logits(encoder.encode(chunk)))
    return chunk.frame.with_columns(pl.Series(PROBABILITY, probabilities))


def _epochs(search: Search, monitor: str) -> dict[str, Any]:
    """How long was trained, a list where several members were; then also what each of them reached alone."""
    members = search.members
    epochs, best_epoch = [member.history[-1]["epoch"] for member in members], [m.best["epoch"] for m in members]
    if len(members) == 1:
        return {"epochs": epochs[0], "best_epoch": best_epoch[0]}
    alone = [member.best["valid"][monitor] for member in members]
    return {"epochs": epochs, "best_epoch": best_epoch, "members_alone": alone}


def _manifest(
    job: Job,
    network: nn.Module,
    prepared: Prepared,
    search: Search,
    machine: dict[str, Any],
    vectors: Sequence[Vectors],
    *,
    data_name: str,
    seconds: float,
) -> Manifest:
    tables = embedding_parameters(network)
    sizes = {name: p.numel() for name, p in network.named_parameters()}
    valid_rows = len(prepared.valid or ())
    return Manifest(
        masknet=masknet.__version__,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        model=job.config.model,
        settings=job.settings,
        members=job.members,
        num_parameters={
            "embedding": sum(size for name, size in sizes.items() if name in tables),
            "network": sum(size for name, size in sizes.items() if name not in tables),
        },
        precision=machine["precision"],
        threads=machine["threads"],
        device=machine["device"],
        seed=job.config.seed,
        versions=installed_versions(),
        data={
            "name": data_name,
            "rows": len(prepared.train),
            "valid_rows": valid_rows,
            "bad_rows": len(prepared.bad_rows or ()),
            "fingerprint": prepared.fingerprint,
        },
        training={
            **_epochs(search, job.monitor),
            "seconds": round(seconds, 3),
            "monitor": job.monitor,
            "refit": job.config.refit,
            "average_weights": job.config.average_weights,
            **({"pretrained": {given.field: given.to_json() for given in vectors}} if vectors else {}),
        },
        metrics=search.metrics,
        rows=valid_rows,
    )
