"""The whole job: settings and tables in, a trained model out."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn

import numpy as np
import torch

from masknet import metrics
from masknet.artifact import Artifact, check_free, probability_columns
from masknet.config import RunConfig
from masknet.encode import EncodedSet, Prepared, prepare
from masknet.errors import ArtifactError, ConfigError, DataError, flag, unknown
from masknet.figures import metric_name
from masknet.gbdt import LEARNING_RATE, PATIENCE, TREES, tree_settings
from masknet.models import MODELS, is_code, learns_by_row, resolve_settings
from masknet.places import locked, stem_of
from masknet.progress import Progress
from masknet.scoring import NetworkScorer, Scorer, probabilities_of, resolve_device, score
from masknet.table import Table, open_table
from masknet.threads import available_processors, require_threads
from masknet.train.checkpoint import Checkpoint, RunFolder
from masknet.train.contract import require_contract
from masknet.train.defaults import network_defaults, resolved
from masknet.train.effect import require_effect
from masknet.train.golden import golden_rows
from masknet.train.identity import identity_of, machine_of, require_same_data, require_same_run
from masknet.train.lanes import Lanes, lanes_of
from masknet.train.manifest import manifest_of, manifest_of_trees
from masknet.train.members import Job, Search, whereabouts
from masknet.train.monitor import Watched, parse_monitor
from masknet.train.plan import encoding_plan
from masknet.train.precision import has_bf16
from masknet.train.pretrained import digests, read_vectors
from masknet.train.size import checkpoint_bytes, free_memory, outline, require_memory, size_of
from masknet.train.standing import Interrupted
from masknet.train.tracking import summary_writer
from masknet.train.trees import grow

__all__ = ["absolute_paths", "fit", "logistic_regression", "train"]

_QUICK = 2_000_000
"""Cells, rows times slots, up to which logistic regression takes seconds on one processor."""


def train(
    config: RunConfig, progress: Progress, *, on_prepared: Callable[[Prepared], None] = lambda prepared: None
) -> tuple[Path, Artifact | None]:
    """Train as `masknet train` does: from the paths in `config` to the artifact at `config.out`.

    Args:
        config: the settings.
        progress: who hears how it goes.
        on_prepared: called once the columns are decided and the rows encoded, before training.

    Returns:
        The artifact's path and the artifact; None where `resume` found the run finished.

    Raises:
        MasknetError: the settings, the tables, or what lies at the output, do not allow it.
    """
    config.require_named("training", "masknet train DATA --label COLUMN")
    assert config.data is not None
    opened = partial(open_table, columns=config.columns, form=config.form)
    table = opened(config.data)
    config = config.of_table(table.columns)
    valid = None if config.valid is None else opened(config.valid)
    out = Path(f"{stem_of(table.name)}.masknet" if config.out is None else config.out)
    if not out.name:
        raise ConfigError(f"a model is a folder of its own; --out is '{config.out}': name one, such as ads.masknet")
    config = config.replace(**absolute_paths(config), out=str(out.absolute()))
    folder = RunFolder(out.with_name(f"{out.name}.run"))
    # Found out now rather than after hours of training.
    out.parent.mkdir(parents=True, exist_ok=True)
    if not os.access(out.parent, os.W_OK):
        raise PermissionError(13, "Permission denied", str(out.parent))
    with locked(out.with_name(f".{folder.path.name}.lock"), partial(_refuse_second, out)):
        return _train(config, table, valid, out, folder, progress, on_prepared)


def _refuse_second(out: Path) -> NoReturn:
    raise ArtifactError(
        f"one run at a time writes to an output; another trains to '{out}' now: wait until it has ended, or name "
        f"another output with --out"
    )


def _train(
    config: RunConfig,
    table: Table,
    valid: Table | None,
    out: Path,
    folder: RunFolder,
    progress: Progress,
    on_prepared: Callable[[Prepared], None],
) -> tuple[Path, Artifact | None]:
    """What `train` does with an output that is its own."""
    check_free(out, overwrite=config.overwrite or config.resume)
    if config.resume and out.exists() and not folder.unfinished:
        folder.finish()  # once more: it may have been killed halfway
        progress.note(f"the run of {out} is finished: there is nothing to resume")
        return out, None
    _check_begin(config, folder)
    checkpoints = folder.load() if config.resume and folder.unfinished else {}
    if not checkpoints:
        if config.resume:
            progress.note(f"no checkpoint of {out} to resume: the run starts afresh")
        _model_settings(config, table)  # a slip of the pen must not cost an older run its state
        resolve_device(config.device)
        folder.begin(config.settings())  # from here on a kill leaves a run that is known to be unfinished
    try:
        trained = fit(config, table, valid, progress, folder=folder, checkpoints=checkpoints, on_prepared=on_prepared)
        trained = trained.save(out, overwrite=config.overwrite or config.resume)
    except (Exception, KeyboardInterrupt) as error:
        if not folder.resumable:
            folder.discard()  # nothing to go on with: the next attempt begins anew without being asked
        elif isinstance(error, KeyboardInterrupt):
            raise Interrupted from None  # outside the training loop, which stops in its own time
        raise
    folder.finish()
    return out, trained


def absolute_paths(config: RunConfig) -> dict[str, Any]:
    """The settings that are paths, as they are from anywhere, so that the run can be run again."""
    paths = {name: getattr(config, name) for name in ("data", "valid", "cache_dir", "tensorboard")}
    vectors = {field: os.path.abspath(path) for field, path in config.pretrained.items()}
    return {"pretrained": vectors} | {n: os.path.abspath(path) for n, path in paths.items() if path not in (None, "-")}


def _check_begin(config: RunConfig, folder: RunFolder) -> None:
    if folder.unfinished and not (config.resume or config.overwrite):
        raise ArtifactError(
            f"an unfinished run is not overwritten by chance; one lies in '{folder.path}': pass --resume to go on with "
            f"it, or --overwrite to begin anew"
        )


def fit(
    config: RunConfig,
    table: Table,
    valid: Table | None,
    progress: Progress,
    *,
    folder: RunFolder | None = None,
    checkpoints: Mapping[int, Checkpoint] = MappingProxyType({}),
    on_prepared: Callable[[Prepared], None] = lambda prepared: None,
    goes_on: Callable[[dict[str, Any]], bool] = lambda record: True,
) -> Artifact:
    """Encode, train, refit where asked, and evaluate.

    Args:
        config: the settings; `data`, `valid` and `out` are not read.
        table: the training rows.
        valid: the validation rows, or None to split some off.
        folder: where to keep checkpoints.
        checkpoints: the states to go on from, by member.
        on_prepared: called before training, as in `train`.
        goes_on: told the record of each evaluation, of trees that of each form; whether to train on after it.
    """
    require_threads()
    checkpoint = next(iter(checkpoints.values()), None)  # all of them tell of the same run
    settings = _model_settings(config, table)
    by_row = config.model not in TREES and learns_by_row(config.model)
    machine = machine_of(config, checkpoint)
    identity = identity_of(config, machine)
    if checkpoint is not None:
        require_same_run(identity, checkpoint)
    started = time.monotonic()
    with _THREADS.set(machine["threads"]):
        cache = None if config.cache_dir is None else Path(config.cache_dir)
        plan = replace(
            encoding_plan(config),
            raw_numbers=config.model in TREES,
            by_time=config.time is not None and by_row,
        )
        encode = partial(prepare, table, valid, plan, progress, cache=cache, verify=config.verify)
        prepared = encode()
        on_prepared(prepared)
        _tell_bad_rows(prepared, folder, progress)
        for warning in prepared.warnings:
            progress.warn(warning)
        assert prepared.valid is not None
        watched = _watched(config, prepared.valid, progress)
        if config.model in TREES:
            return _fit_trees(config, settings, table, prepared, watched, machine, progress, goes_on)
        by_time = _by_time(config, split=valid is None)
        config, line = resolved(config, rows=len(prepared.train), by_time=by_time)
        if line:
            progress.note(line)
        if not by_row:
            config = config.replace(precision=machine["precision"])
            if config.precision == "bf16" and not has_bf16(torch.device(machine["device"])):
                progress.note("this processor does not multiply in bf16: it trains faster with --precision fp32")
        if checkpoint is not None:
            require_same_data(prepared.fingerprint, checkpoint)
            progress.note(f"resumed {whereabouts(checkpoints, config.members or 1)}")
        lanes = _lanes(config, settings, prepared, machine, folder, progress)
        progress.note(_length(config, watched))
        job = Job(
            config=config,
            settings=settings,
            watched=watched,
            device=torch.device(machine["device"]),
            identity=identity | {"fingerprint": prepared.fingerprint},
            progress=progress,
            folder=folder,
            checkpoints=checkpoints,
            lanes=lanes,
            goes_on=goes_on,
        )
        encoder = prepared.encoder
        search = job.finished_search
        if search is None:
            vectors = read_vectors(config, encoder, progress)
            network, outcomes = job.search(prepared, vectors)
            scorer = NetworkScorer(network.to(job.device))
            search = Search(outcomes, _final_metrics(scorer, prepared.valid, progress))
            network.cpu()
        seconds = job.seconds(search.fits)
        if config.refit:
            epochs = ", ".join(str(member.best["epoch"]) for member in search.members)
            progress.note(f"refit on training and validation rows; epochs: {epochs}")
            everything = encode(join=True)
            encoder = everything.encoder
            vectors = read_vectors(config, encoder, progress)
            network, outcomes = job.refit(everything, vectors, search)
            seconds += job.seconds(outcomes)
        progress.note(f"trained in {time.monotonic() - started:.0f} s")
        scorer = NetworkScorer(network)
        return Artifact(
            manifest=manifest_of(job, network, prepared, search, vectors, data_name=table.name, seconds=seconds),
            encoder=encoder,
            scorer=scorer,
            run={**config.settings(), "set": settings, "resume": False, "overwrite": False},
            history=search.history,
            golden=golden_rows(table, encoder, scorer, config),
        )


def logistic_regression(config: RunConfig, prepared: Prepared, progress: Progress) -> dict[str, dict[str, Any]] | None:
    """The metrics of logistic regression on the same rows, as `--model lr` trains it: what a model has to answer to.

    It is trained beside a run, of which it changes nothing.

    Args:
        config: the settings of the run.
        prepared: its rows.
        progress: who hears how far it is.

    Returns:
        As JSON, by name; None where the run is of logistic regression itself or of several labels, where the rows are
        so many that it takes more than seconds, and where the user stops it.
    """
    space = prepared.encoder.space
    cells = len(prepared.train) * (space.num_slots + space.dense_width)
    if config.model == "lr" or len(config.labels) > 1 or cells > _QUICK:
        return None
    assert prepared.valid is not None
    own = RunConfig(
        model="lr", label=config.label, monitor=config.monitor, seed=config.seed, unseen_rate=config.unseen_rate
    )
    own, _ = resolved(own, rows=len(prepared.train), by_time=_by_time(config, split=config.valid is None))
    quiet = _OnlyTracks(progress, "logistic regression beside it, ")
    job = Job(
        config=own,
        settings=resolve_settings("lr", {}),
        watched=_watched(own, prepared.valid, quiet),
        device=torch.device("cpu"),
        identity={},
        progress=quiet,
        folder=None,
        checkpoints={},
        lanes=Lanes(1, config.threads or available_processors()),
    )
    with _THREADS.set(config.threads or available_processors()):
        try:
            network, _ = job.search(prepared, [])
        except Interrupted:
            return None
        return _final_metrics(NetworkScorer(network), prepared.valid, quiet)[0]


class _OnlyTracks:
    """Tells how far some work beside a run is, and nothing else of it."""

    def __init__(self, progress: Progress, what: str) -> None:
        self._progress, self._what = progress, what
        self.holding_interrupts, self.stopping = progress.holding_interrupts, progress.stopping

    def note(self, text: str) -> None:
        pass

    def warn(self, text: str) -> None:
        pass

    def track(self, phase: str, done: int, total: int | None, detail: str = "", unit: str = "rows") -> None:
        self._progress.track(f"{self._what}{phase}", done, total, detail, unit=unit)


def _by_time(config: RunConfig, *, split: bool) -> bool:
    """Whether the validation rows are the latest of the training table, where they are split off it."""
    return split and config.time is not None and config.valid_fraction is None


def _fit_trees(
    config: RunConfig,
    settings: dict[str, Any],
    table: Table,
    prepared: Prepared,
    watched: Watched,
    machine: dict[str, Any],
    progress: Progress,
    goes_on: Callable[[dict[str, Any]], bool],
) -> Artifact:
    started = time.monotonic()
    assert prepared.valid is not None
    rates = {"learning_rate": config.learning_rate or LEARNING_RATE, "patience": config.patience or PATIENCE}
    config = config.replace(**rates)
    scorer, training, history = grow(
        config,
        settings,
        prepared,
        watched=watched,
        threads=machine["threads"],
        progress=progress,
        goes_on=goes_on,
    )
    seconds = time.monotonic() - started
    progress.note(f"trained in {seconds:.0f} s")
    return Artifact(
        manifest=manifest_of_trees(
            config,
            scorer,
            prepared,
            _final_metrics(scorer, prepared.valid, progress),
            settings=settings,
            machine=machine,
            training={**training, "seconds": round(seconds, 3), "monitor": str(watched)},
            data_name=table.name,
        ),
        encoder=prepared.encoder,
        scorer=scorer,
        run={**config.settings(), "set": settings, "resume": False, "overwrite": False},
        history=history,
        golden=golden_rows(table, prepared.encoder, scorer, config),
    )


def _model_settings(config: RunConfig, table: Table) -> dict[str, Any]:
    """The model's settings, once all that can be known before the table is read is known to be right."""
    if not is_code(config.model) and config.model not in (*MODELS, *TREES):
        raise ConfigError(unknown("model", config.model, (*MODELS, *TREES)))
    if config.model in TREES:
        require_effect(config)
        settings = tree_settings(config.model, config.set)
    else:
        settings = resolve_settings(config.model, network_defaults(config.model, config.set) | config.set)
        require_effect(config)
    if len(config.labels) > 1 and (config.model in TREES or learns_by_row(config.model)):
        raise ConfigError(
            f"{config.model} learns one label; got {' and '.join(config.labels)}: train it once for each, or name "
            f"another model"
        )
    if is_code(config.model):
        require_contract(config.model, settings, num_tasks=len(config.labels) or 1)
    for name in probability_columns(config.labels):
        if name in table.columns and name not in config.ignore:
            raise DataError(
                f"'{name}' is the column that predictions are written to; {table.name} has one of that name: rename "
                f"it, or leave it out with {flag('ignore', name)}",
                file=table.name,
                column=name,
            )
    if parse_monitor(config.monitor, config.labels).metric == "grouped_auc" and config.group is None:
        raise ConfigError("the metric grouped_auc needs groups; name their column with --group")
    digests(config.pretrained)
    if config.tensorboard is not None:
        summary_writer()
    return settings


def _lanes(
    config: RunConfig,
    settings: dict[str, Any],
    prepared: Prepared,
    machine: dict[str, Any],
    folder: RunFolder | None,
    progress: Progress,
) -> Lanes:
    """How many members are trained at once; says how large they are, and refuses what neither memory nor disk hold."""
    assert config.members is not None
    assert config.batch_size is not None
    space, members, free = prepared.encoder.space, config.members, free_memory()
    network = outline(config.model, space, settings)
    device = torch.device(machine["device"])
    lanes = lanes_of(config.model, network, members=members, threads=machine["threads"], device=device)
    sparse = config.embedding_updates == "sparse"
    of_space = partial(size_of, config.model, space, settings, batch_size=config.batch_size)
    size_in = partial(of_space, members=members, sparse=sparse)
    size = size_in(at_once=lanes.at_once)
    while lanes.at_once > 1 and free is not None and size.num_bytes > free:
        lanes = replace(lanes, at_once=lanes.at_once - 1)
        size = size_in(at_once=lanes.at_once)
    together = f"{lanes.at_once} at a time, " if lanes.at_once > 1 else ""
    updates = "; sparse updates of the tables" if sparse else ""
    progress.note((f"{members} members, {together}each {size}" if members > 1 else str(size)) + updates)
    require_memory(size, config.model, free)
    if folder is not None:
        num_bytes = checkpoint_bytes(
            size,
            members=members,
            at_once=lanes.at_once,
            average=bool(config.average_weights),
            steps=space.num_ids if sparse else 0,
        )
        folder.require_room(num_bytes)
    return lanes


def _length(config: RunConfig, watched: Watched) -> str:
    """How long is trained, in words."""
    each = "each of them trains" if (config.members or 1) > 1 else "it trains"
    parts = config.evaluations or 1
    epochs = "1 epoch" if config.epochs == 1 else f"{config.epochs} epochs"
    looks = f" with {parts} evaluations each" if parts > 1 else ""
    numbers = "" if config.precision is None else f" in {config.precision}"
    return (
        f"{each}{numbers} for {epochs} at most{looks}, and stops after {config.patience} evaluations in a row "
        f"without a better {metric_name(str(watched))}"
    )


class _Threads:
    """How many threads PyTorch uses: each thread has a number of its own, which at first is the last that any set."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._fits = 0
        self._before = 0

    @contextmanager
    def set(self, count: int) -> Iterator[None]:
        """Let this thread use so many, and leave the setting as it was before the first of the fits that now run."""
        with self._lock:
            if not self._fits:
                self._before = torch.get_num_threads()
            self._fits += 1
            torch.set_num_threads(count)
        try:
            yield
        finally:
            with self._lock:
                self._fits -= 1
                torch.set_num_threads(self._before)


_THREADS = _Threads()


def _watched(config: RunConfig, valid: EncodedSet, progress: Progress) -> Watched:
    """The metric asked for, or log loss where validation rows of one class leave it undefined."""
    asked = parse_monitor(config.monitor, config.labels)
    tasks = metrics.evaluate_tasks(valid.labels, np.full(valid.labels.shape, 0.5), valid.weights, valid.groups)
    for label, trial in zip(config.labels, tasks, strict=True):
        if trial["log_loss"].value is None:
            of_label = f" of '{label}'" if len(tasks) > 1 else ""
            raise DataError(
                f"validation needs rows{of_label} that weigh something; {trial['log_loss'].why}: choose other ones"
            )
    of_labels = zip(config.labels, tasks, strict=True)
    estimates = [trial[asked.metric] for label, trial in of_labels if asked.label in (None, label)]
    if all(estimate.value is None for estimate in estimates):
        why = estimates[0].why
        progress.warn(f"{asked} is undefined on the validation rows ({why}): log loss monitors instead")
        return Watched("log_loss", asked.label)
    return asked


def _final_metrics(scorer: Scorer, valid: EncodedSet, progress: Progress) -> list[dict[str, dict[str, Any]]]:
    """Those of each task, as JSON; what to know before they are believed is told."""
    probabilities = probabilities_of(score(scorer, valid))
    tasks = metrics.evaluate_tasks(valid.labels, probabilities, valid.weights, valid.groups)
    for estimates, labels in zip(tasks, np.asarray(valid.labels).T, strict=True):
        for doubt in metrics.doubts(estimates, int((labels == 1).sum())):
            progress.note(f"on the validation rows, {doubt}")
    return [{name: estimate.to_json() for name, estimate in estimates.items()} for estimates in tasks]


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
