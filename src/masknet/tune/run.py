"""The whole search: from the tables of a run to the best run file in a folder that the same command goes on with."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from masknet.config import RunConfig
from masknet.encode import Prepared
from masknet.manifest import installed_versions
from masknet.progress import Progress
from masknet.table import Table, open_table
from masknet.train import absolute_paths
from masknet.tune.results import BEST, FILES, RESULTS, best_run, csv_text, json_of
from masknet.tune.space import space_of
from masknet.tune.study import require_optuna
from masknet.tune.trials import TRIALS, Budget, Found, found_in, search
from masknet.work_folder import WorkFolder

__all__ = ["NEEDS", "ToTune", "tune"]

NEEDS = "a search", "masknet tune DATA --label COLUMN --model MODEL --trials N"
"""What asks for rows and a label, and a command that names both."""

_FREE = ("data", "valid", "cache_dir", "verify", "out", "json", "resume", "overwrite", "verbose", "members")
"""Of the settings of a run, what changes no figure, or is told apart by what it holds."""

_VERSIONS = ("numpy", "torch")


@dataclass(frozen=True)
class ToTune:
    """What to search.

    Args:
        config: the run; what it sets stays as it is, `members` and `out` are not read.
        out: the folder of the search.
        budget: what it may take; a larger one goes on with the same trials.
        overwrite: begin anew where the folder holds another search.
    """

    config: RunConfig
    out: Path
    budget: Budget
    overwrite: bool = False


def tune(
    asked: ToTune, progress: Progress, *, on_prepared: Callable[[Prepared], None] = lambda prepared: None
) -> dict[str, Any]:
    """Search a model's settings, and write the best run file.

    Args:
        asked: what to search.
        progress: who hears how it goes.
        on_prepared: called once the rows are encoded, before anything is trained.

    Returns:
        What `results.json` holds.

    Raises:
        ConfigError: a setting is wrong, the folder holds another search, or Optuna is not installed.
        DataError: the tables are not what training needs.
        ArtifactError: another search writes to the folder now, or its trials are damaged.
        Interrupted: the user stopped it; the trials that ended stay.
    """
    asked.config.require_named(*NEEDS)
    require_optuna()
    folder = WorkFolder(asked.out, work="search", verb="tune", files=(TRIALS, *FILES))
    with folder.alone():
        return _tune(asked, folder, progress, on_prepared)


def _tune(
    asked: ToTune, folder: WorkFolder, progress: Progress, on_prepared: Callable[[Prepared], None]
) -> dict[str, Any]:
    """What `tune` does with a folder that is its own."""
    opened = partial(open_table, columns=asked.config.columns, form=asked.config.form)
    assert asked.config.data is not None
    table = opened(asked.config.data)
    config = asked.config.of_table(table.columns)
    valid = None if config.valid is None else opened(config.valid)
    folder.begin(_identity(config, table, valid), overwrite=asked.overwrite)
    try:
        found = search(config, table, valid, asked.out, asked.budget, progress, on_prepared=on_prepared)
    except (Exception, KeyboardInterrupt):
        reached = found_in(asked.out, config.seed)
        if reached is None:
            folder.leave()
        else:
            _written(reached, folder, config, table)
        raise
    return _written(found, folder, config, table)


def _identity(config: RunConfig, table: Table, valid: Table | None) -> dict[str, Any]:
    """What makes two searches the same: settings, what is searched, tables, versions."""
    fingerprint = partial(Table.fingerprint, verify=config.verify)
    return {
        "settings": {
            **{name: value for name, value in config.settings().items() if name not in _FREE},
            "space": {name: str(within) for name, within in space_of(config).items()},
        },
        "data": fingerprint(table),
        "valid": None if valid is None else fingerprint(valid),
        "versions": {name: installed_versions()[name] for name in _VERSIONS} | {"optuna": require_optuna().__version__},
    }


def _written(found: Found, folder: WorkFolder, config: RunConfig, table: Table) -> dict[str, Any]:
    """What `results.json` holds, once it and the other files are written."""
    results = json_of(found, config.model)
    rows = f"Of {table.name}, {found.rows['train']:,} rows were trained on, {found.rows['valid']:,} validated on."
    run = config.replace(**absolute_paths(config))
    folder.write("trials.csv", csv_text(found).encode())
    folder.write(BEST, best_run(found, run, rows=rows).encode())
    folder.write(RESULTS, json.dumps(results, indent=1, ensure_ascii=False).encode())
    return results
