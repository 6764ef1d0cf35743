"""The whole comparison: every model trained on the same rows, scored on others, and told apart where rows can tell."""

from __future__ import annotations

import re
import shlex
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from pydantic_core import to_json

from masknet.artifact import Artifact, load_artifact
from masknet.compare.baseline import of_artifact, of_column, require_unseen, score_rows
from masknet.compare.entries import Entry
from masknet.compare.equal_size import at_equal_size
from masknet.compare.folder import REPORT, CompareFolder
from masknet.compare.report import report_html
from masknet.compare.results import Measured, results_of
from masknet.compare.rows import MeasuredRows, held_out, overlap, read_test
from masknet.compare.table import csv_text, markdown, next_steps
from masknet.compare.telling import Left, OfOne, Once
from masknet.config import RunConfig, Said
from masknet.encode import Prepared, prepare
from masknet.errors import ArtifactError, ConfigError, DataError, MasknetError
from masknet.figures import in_time, metric_name
from masknet.manifest import installed_versions
from masknet.metrics import auc
from masknet.models import is_code
from masknet.progress import Progress
from masknet.table import Table, open_table
from masknet.train import Interrupted, absolute_paths, declared_of, encoding_plan, fit
from masknet.tune import RESULTS, Budget, in_gain, json_of, parted, require_optuna, search
from masknet.work_folder import read_whole

__all__ = ["NEEDS", "Asked", "compare"]

NEEDS = "a comparison", "masknet compare DATA --label COLUMN --models all"
"""What asks for rows and a label, and a command that names both."""

_FEW_ROWS = 200_000
"""Up to so many rows a model is trained from three seeds."""

_FREE = (
    "data",
    "valid",
    "model",
    "set",
    "seed",
    "cache_dir",
    "verify",
    "out",
    "json",
    "resume",
    "overwrite",
    "verbose",
)
"""Of the settings that all share, what changes no figure, or is told apart by what it holds."""

_VERSIONS = ("numpy", "torch")


@dataclass(frozen=True)
class Asked:
    """What to compare.

    Args:
        config: the settings that all models share; `model`, `set` and `out` are not read, `seed` is the first one.
        entries: the models.
        out: the folder of the comparison.
        seeds: how many each model is trained from; None decides by the rows.
        test: the rows to measure on; None holds a tenth of the data out.
        slices: columns by whose values to measure too, as `Said` takes them.
        resamples: from which variances are, 0 for DeLong's; of groups there are 1,000 where nothing is said.
        baseline_score: a column of the scores of a model in production.
        baseline_is: what they are; of scores that are no probabilities only the order means something.
        baseline: an artifact to measure too.
        overwrite: begin anew where the folder holds another comparison.
        trust_code: import the network of the baseline where it is not masknet's.
        tuned: minutes that the settings of each model are searched for first; None takes the defaults.
    """

    config: RunConfig
    entries: tuple[Entry, ...]
    out: Path
    seeds: int | None = None
    test: str | None = None
    slices: tuple[str, ...] = ()
    resamples: int = 0
    baseline_score: str | None = None
    baseline_is: Literal["probability", "score"] = "probability"
    baseline: Path | None = None
    overwrite: bool = False
    trust_code: bool = False
    tuned: float | None = None


def compare(
    asked: Asked, progress: Progress, *, on_prepared: Callable[[Prepared], None] = lambda prepared: None
) -> dict[str, Any]:
    """Train what is not trained yet, measure everything, and say what the rows tell.

    Args:
        asked: what to compare.
        progress: who hears how it goes.
        on_prepared: called once the columns are decided and the rows encoded, before anything is trained.

    Returns:
        What `results.json` holds.

    Raises:
        ConfigError: a setting is wrong, or the folder holds another comparison.
        DataError: the tables are not what a comparison needs.
        ArtifactError: another comparison writes to the folder now, or no model finished.
        Interrupted: the user stopped it; what was finished stays.
    """
    asked.config.require_named(*NEEDS)
    if asked.tuned is not None:  # found out now rather than after the rows are encoded
        Budget(minutes=asked.tuned)
        require_optuna()
    folder = CompareFolder(asked.out)
    with folder.alone():
        return _Run(asked, folder, progress).results(on_prepared)


class _Run:
    """One comparison, from its tables to its results."""

    def __init__(self, asked: Asked, folder: CompareFolder, progress: Progress) -> None:
        self.asked, self.folder, self.progress, self.entries = asked, folder, progress, asked.entries
        config = asked.config
        opened = partial(open_table, columns=config.columns, form=config.form)
        assert config.data is not None
        self.data = opened(config.data)
        config = config.of_table(self.data.columns)
        if asked.baseline_score is not None:
            config = self._without(asked.baseline_score, config)
        self.config = config
        self.valid = None if config.valid is None else opened(config.valid)
        self.train, self.test = self.data, self.data
        if asked.test is not None:
            self.test = opened(asked.test)

    def _without(self, column: str, config: RunConfig) -> RunConfig:
        """The settings, with the scores of a baseline left out: what it knows is no model's to know."""
        if len(config.labels) > 1:
            raise ConfigError(
                f"a column of scores is of one label; there are {' and '.join(config.labels)}: leave --baseline-score "
                f"out, or compare once for each label"
            )
        if column in config.labels:
            raise ConfigError(f"a baseline's score is no label; '{column}' is both: name another --baseline-score")
        if column not in self.data.columns:
            if self.asked.test is not None:  # whose rows have it, or else that is told
                return config
            raise DataError(
                f"the scores of a baseline are a column of the rows; {self.data.name} has no '{column}': name another "
                f"--baseline-score",
                file=self.data.name,
                column=column,
            )
        declared = declared_of(config)
        others = {"weight": declared.weight, "time": declared.time_column}
        part = declared.kind_of(column) or next((part for part, name in others.items() if name == column), None)
        if part is not None:
            raise ConfigError(
                f"a column plays one part; '{column}' is given to --{part} and --baseline-score: keep one"
            )
        return config if column in config.ignore else config.replace(ignore=[*config.ignore, column])

    def results(self, on_prepared: Callable[[Prepared], None]) -> dict[str, Any]:
        """Do what is not done yet, and write what all of it comes to."""
        asked, config, progress = self.asked, self.config, self.progress
        if asked.test is None:
            self.train, self.test = held_out(self.data, config, progress)
        cache = None if config.cache_dir is None else Path(config.cache_dir)
        prepared = prepare(self.train, self.valid, encoding_plan(config), progress, cache=cache, verify=config.verify)
        self.entries = at_equal_size(asked.entries, prepared.encoder.space, config.members or 1)
        rows = read_test(
            self.test,
            prepared.encoder,
            config,
            slices=Said(asked.slices).names(self.test.columns),
            baseline=asked.baseline_score,
            probabilities=asked.baseline_is == "probability",
        )
        all_rows = prepared.inspection.rows + (len(rows) if asked.test is None else 0)
        seeds = asked.seeds or (3 if all_rows <= _FEW_ROWS else 1)
        once = Once(progress)
        baselines = self._baselines(rows, once)
        self.folder.begin(self._identity(seeds), overwrite=asked.overwrite)
        on_prepared(prepared)
        warnings = list(prepared.warnings)
        if asked.test is not None:
            warnings += filter(None, [overlap(prepared, self.test, config.limit_rows)])
        for warning in warnings:
            once.warn(warning)
        measured = [*self._measured(prepared, rows, seeds, once), *baselines]
        results = results_of(
            measured,
            rows,
            labels=config.labels,
            resamples=asked.resamples,
            seeds=seeds,
            about={
                "data": {"name": self.data.name, "train": len(prepared.train), "valid": len(prepared.valid or ())},
                "test": {"name": self.test.name, "rows": len(rows), "held_out": self._held_out},
                "warnings": warnings,
                **({} if asked.tuned is None else {"tuned": {"minutes": asked.tuned}}),
            },
            progress=progress,
        )
        self._write(results)
        return results

    def _write(self, results: dict[str, Any]) -> None:
        self.folder.write("results.json", to_json(results, indent=1, inf_nan_mode="null"))
        self.folder.write("results.csv", csv_text(results).encode())
        self.folder.write("results.md", markdown(results).encode())
        steps = next_steps(results, self.asked.out, self.asked.test or str(self.config.data), "scores.parquet")
        try:
            page = report_html(results, [shlex.join(["masknet", *words]) for words in steps])
        except ConfigError as error:  # an optional package: all but the page is worth having without it
            self.progress.warn(str(error))
        else:
            self.folder.write(REPORT, page.encode())

    def _baselines(self, rows: MeasuredRows, progress: Progress) -> list[Measured]:
        """What is there already, as rows of the table."""
        asked, found = self.asked, []
        if asked.baseline_score is not None:
            found.append(of_column(asked.baseline_score, rows, probabilities=asked.baseline_is == "probability"))
        if asked.baseline is not None:
            artifact = load_artifact(asked.baseline, device=self.config.device, trust_code=asked.trust_code)
            require_unseen(artifact, self.config, self.data, self.test, apart=asked.test is not None, progress=progress)
            scores, seconds = score_rows(artifact, self.test, self.config.limit_rows, progress)
            found.append(of_artifact(artifact, scores, seconds))
        taken = {entry.name for entry in asked.entries}
        for one in found:
            if one.name in taken:
                raise ConfigError(
                    f"each row of the table has its own name; the baseline is '{one.name}' too: rename it"
                )
            taken.add(one.name)
        return found

    @property
    def _held_out(self) -> str | None:
        """How the test rows were held out of the data; None of a table of their own."""
        if self.asked.test is not None:
            return None
        return "random tenth" if self.config.time is None else "last tenth by time"

    def _identity(self, seeds: int) -> dict[str, Any]:
        """What makes two comparisons the same: settings, tables, versions."""
        config, asked = self.config, self.asked
        fingerprint = partial(Table.fingerprint, verify=config.verify)
        settings = {
            "baseline_score": asked.baseline_score,
            "models": [entry.name for entry in self.entries],
            "kinds": {entry.name: entry.kind for entry in self.entries if entry.name != entry.kind} or None,
            "seeds": seeds,
            "seed": config.seed,
            "set": {entry.name: dict(entry.settings) for entry in self.entries if entry.settings},
            "run": {entry.name: dict(entry.run) for entry in self.entries if entry.run} or None,
            "test": asked.test is not None,
            "tuned": asked.tuned,
            **{name: value for name, value in config.settings().items() if name not in _FREE},
        }
        return {
            "settings": settings,
            "data": fingerprint(self.data),
            "valid": None if self.valid is None else fingerprint(self.valid),
            "test": None if asked.test is None else fingerprint(self.test),
            "versions": {name: installed_versions()[name] for name in _VERSIONS}
            | ({} if asked.tuned is None else {"optuna": require_optuna().__version__}),
        }

    def _measured(self, prepared: Prepared, rows: MeasuredRows, seeds: int, once: Once) -> list[Measured]:
        """The models' rows of the table, in the order of the entries."""
        skipped = {e.name: e.why_skipped(self.config, prepared.encoder.space) for e in self.entries}
        to_do = [name for name, why in skipped.items() if why is None]
        left, found = Left(seeds * len(to_do)), []
        for entry in self.entries:
            why = skipped[entry.name]
            if why is not None:
                self.progress.note(f"{entry.name} is skipped: {why}")
                found.append(Measured(entry.name, "skipped", why, entry=entry))
                continue
            place = f"{entry.name} (model {to_do.index(entry.name) + 1} of {len(to_do)})"
            found.append(self._of_entry(entry, place, rows, seeds, left, once))
        if not any(one.status == "ok" for one in found):
            reasons = "; ".join(f"{one.name}: {one.reason}" for one in found)
            raise ArtifactError(f"a comparison needs a model that can be trained; none could: {reasons}")
        return found

    def _of_entry(self, entry: Entry, place: str, rows: MeasuredRows, seeds: int, left: Left, once: Once) -> Measured:
        """A model's row of the table: its settings searched for where that is asked, then trained from each seed."""
        tuned = None
        if self.asked.tuned is not None:
            try:
                results = self._search(entry, place, once)
            except (OSError, Interrupted):
                raise
            except Exception as error:  # noqa: BLE001 - as in `_one`
                reason = f"the search of its settings: {_reason(error)}"
                once.warn(f"{entry.name} failed, {reason}")
                left.give_up(seeds)
                return Measured(entry.name, "failed", reason, entry=entry)
            entry, tuned = _as_found(entry, results)
        records = self._runs(entry, place, rows, seeds, left, once)
        failed = next((record for record in records if record["status"] != "ok"), None)
        if failed is not None:
            reason = f"seed {failed['seed']}: {failed['reason']}"
            return Measured(entry.name, "failed", reason, entry=entry, records=tuple(records), tuned=tuned)
        scores = tuple(self.folder.scores(entry.stem, record["seed"]) for record in records)
        if any(len(one) != len(rows) for one in scores):
            raise ArtifactError(
                f"the scores of {entry.name} in '{self.folder.path}' are of other rows: begin anew with --overwrite"
            )
        return Measured(entry.name, "ok", entry=entry, records=tuple(records), scores=scores, tuned=tuned)

    def _search(self, entry: Entry, place: str, once: Once) -> dict[str, Any]:
        """What the search of a model's settings came to; one that ended is not gone on with."""
        folder = self.folder.tuned(entry.stem)
        if (folder / RESULTS).exists():
            return read_whole(folder / RESULTS)
        config, _ = entry.config(self.config, self.config.seed)
        budget = Budget(minutes=self.asked.tuned)
        found = search(config, self.train, self.valid, folder, budget, OfOne(once, f"{place}, tuning"))
        results = json_of(found, entry.model)
        self.folder.write(str((folder / RESULTS).relative_to(self.folder.path)), to_json(results, indent=1))
        once.note(f"{entry.name}: {in_gain(results)}")
        return results

    def _runs(
        self, entry: Entry, place: str, rows: MeasuredRows, seeds: int, left: Left, once: Once
    ) -> list[dict[str, Any]]:
        """A record for each seed of a model, up to the first that fails; what is finished is not done again."""
        records: list[dict[str, Any]] = []
        for i, seed in enumerate(range(self.config.seed, self.config.seed + seeds)):
            record = self.folder.record(entry.stem, seed)
            if record is not None and record["status"] == "ok":
                records.append(record)
                left.give_up(1)
                continue
            started = time.monotonic()
            record = self._one(entry, seed, OfOne(once, f"{place}, seed {i + 1} of {seeds}{left}"))
            records.append(record)
            if record["status"] != "ok":
                once.warn(f"{entry.name} failed with seed {seed}: {record['reason']}")
                left.give_up(seeds - i)
                break
            left.done(time.monotonic() - started)
            self._tell(entry, seed, record, rows)
        return records

    def _tell(self, entry: Entry, seed: int, record: dict[str, Any], rows: MeasuredRows) -> None:
        scores = self.folder.scores(entry.stem, seed)
        shown = []
        for task, label in enumerate(self.config.labels):
            known = rows.known(task)
            weights = None if rows.weights is None else rows.weights[known]
            value = auc(rows.labels[known, task], scores[known, task], weights).value
            of_label = f" of {label}" if len(self.config.labels) > 1 else ""
            shown.append(f"{metric_name('auc')}{of_label} {value:.4f}")
        self.progress.note(f"{entry.name}, seed {seed}: test {', '.join(shown)}; {in_time(record['seconds'])}")

    def _one(self, entry: Entry, seed: int, progress: OfOne) -> dict[str, Any]:
        """Train and score a model; what fails is told in its record."""
        config, left_out = entry.config(self.config, seed)
        try:
            return self._trained(entry, config, left_out, progress)
        except (OSError, Interrupted):  # a full disk, or a wish to stop, is nothing of the model's
            raise
        except Exception as error:  # noqa: BLE001 - whatever a network raises: it failed, and the others go on
            record = {"seed": seed, "status": "failed", "reason": _reason(error), "left_out": list(left_out)}
            if not isinstance(error, MasknetError):  # a bug, of ours or of the network's
                record["traceback"] = traceback.format_exception(error)
            self.folder.keep(entry.stem, seed, record, None)
            return record

    def _trained(self, entry: Entry, config: RunConfig, left_out: Sequence[str], progress: OfOne) -> dict[str, Any]:
        seed, place = config.seed, self.folder.model(entry.stem, config.seed)
        record = self.folder.record(entry.stem, seed)
        artifact = None
        if record is not None and record["status"] == "trained" and place.exists():  # killed before it was scored
            artifact = load_artifact(place, device=config.device, trust_code=is_code(entry.model))
        if artifact is None:
            watched = _forget_peak()
            fitted = fit(config.replace(**absolute_paths(config)), self.train, self.valid, progress)
            record = {"seed": seed, "status": "trained", "peak_bytes": _peak() if watched else None}
            self.folder.keep(entry.stem, seed, record, None)
            artifact = self._as_run(fitted).save(place, overwrite=True)
        assert record is not None
        scores, seconds = score_rows(artifact, self.test, self.config.limit_rows, progress)
        manifest = artifact.manifest
        record = record | {
            "status": "ok",
            "left_out": list(left_out),
            "members": manifest.members,
            "parameters": sum(manifest.num_parameters.values()),
            "seconds": manifest.training["seconds"],
            "scoring_seconds": seconds,
            "bytes": sum(file.stat().st_size for file in place.iterdir()),
            "model": str(place.relative_to(self.folder.path)),
            "curve": _curve(artifact.history),
        }
        self.folder.keep(entry.stem, seed, record, scores)
        return record

    def _as_run(self, artifact: Artifact) -> Artifact:
        """With what trains it again; of rows that were split off the data no command can name them."""
        return artifact if self._held_out is None else replace(artifact, run=artifact.run | {"data": None})


def _as_found(entry: Entry, results: dict[str, Any]) -> tuple[Entry, dict[str, Any]]:
    """A model with the best settings of its search, and what is told of them."""
    changes = results["best"]["changes"]
    own, network = parted(changes)
    told = {"settings": changes, "trials": len(results["trials"]), "gain": results["gain"]}
    found = replace(entry, run=own, settings={**entry.settings, **network})
    return found, told | {"seconds": results["seconds"]}


def _reason(error: Exception) -> str:
    """What went wrong, in one line."""
    said = " ".join(str(error).split())
    return said if isinstance(error, MasknetError) else f"{type(error).__name__}: {said}"


def _curve(history: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The validation metrics of the first member's evaluations, by epoch; nothing of what has no epochs."""
    return [
        {"epoch": record["epoch"], **{name: record["valid"].get(name) for name in ("auc", "log_loss")}}
        for record in history
        if "epoch" in record and "valid" in record and record.get("member", 1) == 1 and not record.get("stage")
    ]


def _forget_peak() -> bool:
    """Let the peak of memory begin anew; whether the system can."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:  # no Linux, or a system without it
        return False
    return True


def _peak() -> int | None:
    """The most memory that the process held since then, in bytes."""
    found = re.search(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(encoding="ascii"), flags=re.M)
    return None if found is None else 1024 * int(found[1])
