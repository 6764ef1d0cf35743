"""A comparison as data: rows with names of their own, the keywords of each, and how all are trained."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from masknet.compare.entries import Entry, EqualParameters, entry_of, has_members, with_own
from masknet.config import RunConfig, read_mapping
from masknet.errors import ConfigError, unknown
from masknet.train.effect import require_effect

__all__ = ["EXPERIMENTS", "Experiment", "read_experiment"]

_FOLDER = Path(__file__).parent / "experiments"

EXPERIMENTS = tuple(sorted(file.stem for file in _FOLDER.glob("*.yaml")))
"""The names of those that come with the package."""

_MOST_BYTES = 200
"""Of what a row's files are called, so that there is room for a seed and an ending in the 255 that systems allow."""

_ENDINGS = (".yaml", ".yml", ".json")

_TRAINING = (
    *("epochs", "evaluations", "batch_size", "learning_rate", "embedding_l2", "network_l2", "clip", "monitor"),
    *("patience", "schedule", "average_weights", "members", "embedding_updates", "precision"),
)
"""The settings of a run that an experiment may say, of all of its rows or of one: those of no data and no machine."""


@dataclass(frozen=True)
class Experiment:
    """The rows of a comparison, and how they are trained where the user does not say it.

    Args:
        entries: the rows.
        settings: of a run, under their names there.
    """

    entries: tuple[Entry, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)


def read_experiment(name: str, settings: Sequence[str] = ()) -> Experiment:
    """An experiment that comes with the package, or one of the user's own.

    >>> [entry.name for entry in read_experiment("table2").entries][-2:]
    ['serial-masknet', 'parallel-masknet']
    >>> read_experiment("tabel3")
    Traceback (most recent call last):
    masknet.errors.ConfigError: unknown experiment 'tabel3'; did you mean 'table3'? ...

    Args:
        name: one of `EXPERIMENTS`, or the path of a file that ends in .yaml, .yml or .json.
        settings: texts `ROW.KEY=VALUE`, which reach one row.

    Raises:
        ConfigError: there is no such experiment, or its file is none.
    """
    own = name.lower().endswith(_ENDINGS)
    if not own and name not in EXPERIMENTS:
        raise ConfigError(f"{unknown('experiment', name, EXPERIMENTS)} (one of your own is a file that ends in .yaml)")
    content = read_mapping(name if own else _FOLDER / f"{name}.yaml", "file of an experiment")
    try:
        experiment = _experiment(content)
    except ConfigError as error:
        raise ConfigError(f"the experiment '{name}': {error}") from None
    entries = with_own(experiment.entries, settings, f"row of {name}")
    for entry in entries:
        if entry.equal is not None:
            _require_widths(entry, entry.equal.by)
    return replace(experiment, entries=entries)


def _experiment(content: Mapping[str, Any]) -> Experiment:
    _require_keys(content, ("rows", "settings"), "key of an experiment")
    settings = _training(content)
    RunConfig(**settings)
    rows = content.get("rows")
    if not isinstance(rows, list) or not rows:
        raise ConfigError(f"an experiment lists its rows, at least one, under 'rows'; got {rows!r}")
    entries = tuple(_row(row, i) for i, row in enumerate(rows, 1))
    _require_own_names(entries)
    for entry in entries:
        if entry.equal is not None:
            _require_equal(entry, entry.equal, {other.name: other for other in entries})
    return Experiment(entries, settings)


def _row(row: Any, place: int) -> Entry:
    if not isinstance(row, dict):
        raise ConfigError(f"a row is a mapping with a 'model'; row {place} is {row!r}")
    try:
        _require_keys(row, ("name", "model", "set", "settings", "equal_parameters"), "key of a row")
        if not isinstance(row.get("model"), str):
            raise ConfigError(f"a row names its model; got {row.get('model')!r}")
        entry = entry_of(row["model"], row["model"], _mapping(row, "set"))
        (entry,) = with_own([entry], (), "row")
        entry = replace(entry, name=_name(row.get("name", row["model"])), run=_training(row))
        _require_short(entry)
        require_effect(RunConfig(model=entry.model, **entry.run))
        if entry.members is not None and "members" in entry.run:
            raise ConfigError(
                f"the members of a row are said once; it is {entry.kind}, and has {entry.run['members']} under "
                f"'settings': leave one out"
            )
        if "equal_parameters" not in row:
            return entry
        equal = _mapping(row, "equal_parameters")
        if set(equal) != {"to", "by"} or not all(isinstance(value, str) for value in equal.values()):
            raise ConfigError(
                f"'equal_parameters' names another row and the keyword whose widths are found, as {{to: ROW, by: "
                f"KEYWORD}}; got {equal!r}"
            )
        return replace(entry, equal=EqualParameters(**equal))
    except ConfigError as error:
        raise ConfigError(f"row {place}: {error}") from None


def _name(name: Any) -> str:
    if not isinstance(name, str) or not name.isprintable() or "=" in name or name != name.strip() or not name:
        raise ConfigError(f"a row's name is a text of one line without =; got {name!r}")
    return name


def _require_short(entry: Entry) -> None:
    taken = len(os.fsencode(entry.stem))
    if taken > _MOST_BYTES:
        raise ConfigError(
            f"a row's files are named by it, in at most {_MOST_BYTES} bytes; '{entry.name[:40]}...' takes {taken}: "
            f"shorten it"
        )


def _require_own_names(entries: Sequence[Entry]) -> None:
    names, stems = set[str](), dict[str, str]()
    for entry in entries:
        if entry.name in names:
            raise ConfigError(f"each row has a name of its own; '{entry.name}' stands twice: rename one of them")
        names.add(entry.name)
        other = stems.setdefault(entry.stem.casefold(), entry.name)
        if other != entry.name:
            raise ConfigError(
                f"a row's files are named by it; those of '{other}' and of '{entry.name}' would have one name: rename "
                f"one of them"
            )


def _require_equal(entry: Entry, equal: EqualParameters, entries: Mapping[str, Entry]) -> None:
    """Refuse an equal that cannot be made: parameters are counted of networks, and of one whose widths are said."""
    if equal.to not in entries:
        raise ConfigError(f"row '{entry.name}' is to equal another one: {unknown('row', equal.to, entries)}")
    if equal.to == entry.name or entries[equal.to].equal is not None:
        raise ConfigError(f"row '{entry.name}' is to equal a row whose widths are said; '{equal.to}' is none")
    for model in (entry.model, entries[equal.to].model):
        if not has_members(model):
            raise ConfigError(f"row '{entry.name}' and '{equal.to}' are to have equal parameters; {model} has none")
    _require_widths(entry, equal.by)


def _require_widths(entry: Entry, by: str) -> None:
    widths = entry.settings.get(by)
    if not isinstance(widths, list) or not widths:
        raise ConfigError(
            f"row '{entry.name}' lists under 'set' as many widths of '{by}' as it is to have layers, such as "
            f"[400, 400, 400]; got {widths!r}"
        )


def _mapping(content: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = content.get(key, {})
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise ConfigError(f"'{key}' is a mapping of names to values; got {value!r}")
    return value


def _training(content: Mapping[str, Any]) -> dict[str, Any]:
    settings = _mapping(content, "settings")
    _require_keys(settings, _TRAINING, "setting of an experiment")
    return settings


def _require_keys(content: Mapping[str, Any], known: Collection[str], what: str) -> None:
    for name in content:
        if name not in known:
            raise ConfigError(unknown(what, name, known))
