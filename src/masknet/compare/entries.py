"""What is compared: the rows of the table by their names, and what each makes of the settings that all share."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from masknet.config import RunConfig, parse_setting
from masknet.errors import ConfigError, unknown
from masknet.gbdt import TREES, tree_settings
from masknet.models import MODELS, is_code, learns_by_row, network_class, resolve_settings
from masknet.space import FeatureSpace
from masknet.train import network_defaults
from masknet.train.effect import idle

__all__ = ["Entry", "EqualParameters", "entries_of", "entry_of", "has_members", "with_own"]

ALL = "all"

_OF_ROWS = ("weight", "negative_rate")
"""Settings that decide which rows are learned from, and how much each counts: without them a model has other rows."""


@dataclass(frozen=True)
class EqualParameters:
    """That a row is to have as many parameters as another one, as near as one width of its layers comes.

    Args:
        to: the name of the other row.
        by: the keyword that lists the widths of its layers: as many of them stay, all of the width that is found.
    """

    to: str
    by: str


@dataclass(frozen=True)
class Entry:
    """One row of the table.

    Args:
        name: what it is called: as its model was asked for, or as an experiment says, `without mask`.
        model: `parallel-masknet`.
        members: those that `parallel-masknet+4` asks for; None leaves them to the run.
        settings: keywords of its constructor: its own, those of `--set`, and those that a search found.
        run: settings of its run that the others do not have, its own and those that a search found.
        equal: what decides widths among `settings` once the rows are known; None where they are said.
    """

    name: str
    model: str
    members: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    run: Mapping[str, Any] = field(default_factory=dict)
    equal: EqualParameters | None = None

    @property
    def kind(self) -> str:
        """What it is a row of, as it is asked for: `parallel-masknet` or `parallel-masknet+4`."""
        return self.model if self.members is None else f"{self.model}+{self.members}"

    @property
    def stem(self) -> str:
        """What its files are called, without the seed.

        >>> Entry("k = 10, no mask", "fm").stem, Entry("nets:Mine", "nets:Mine").stem
        ('k-10-no-mask', 'nets.Mine')
        """
        return re.sub(r"[^\w.+-]+", "-", self.name.replace(":", "."))

    def config(self, shared: RunConfig, seed: int) -> tuple[RunConfig, tuple[str, ...]]:
        """The settings of its run of a seed, and the names of those that all share and it cannot have.

        >>> shared = RunConfig(label="click", epochs=3)
        >>> config, left_out = Entry("gbdt", "gbdt").config(shared, seed=0)
        >>> config.epochs, left_out
        (None, ('epochs',))
        """
        config = shared.replace(model=self.model, set=dict(self.settings), seed=seed, **self.run)
        left_out = tuple(idle(config))
        defaults = {name: RunConfig.model_fields[name].default for name in left_out}
        members = self.members or config.members or 1
        return config.replace(**({"members": members} if has_members(self.model) else {}), **defaults), left_out

    def why_skipped(self, shared: RunConfig, space: FeatureSpace) -> str | None:
        """Why it has no place in this comparison; None where it has one.

        Args:
            shared: the settings of all.
            space: what a model may know of the rows.
        """
        if not has_members(self.model) and space.num_tasks > 1:
            return f"{self.model} learns one label, and there are {space.num_tasks}"
        if self.model == "latent-cross" and not any(field.ordered for field in space.fields):
            return "latent-cross reads a sequence, and no bag is said to be one with --ordered"
        _, left_out = self.config(shared, 0)
        rows = next((name for name in _OF_ROWS if name in left_out), None)
        if rows is not None:
            return f"{self.model} learns from whole rows, and --{rows.replace('_', '-')} makes others of them"
        return None


def entries_of(
    models: Sequence[str], settings: Sequence[str] = (), said: Mapping[str, Mapping[str, Any]] | None = None
) -> tuple[Entry, ...]:
    """The rows of the table, in their order.

    >>> [(entry.name, entry.members) for entry in entries_of(["fm", "dnn+4"])]
    [('fm', None), ('dnn+4', 4)]
    >>> entries_of(["fm", "dnn"], ["fm.embedding_dim=4"])[0].settings
    {'embedding_dim': 4}
    >>> entries_of(["fm", "dn"])
    Traceback (most recent call last):
    masknet.errors.ConfigError: unknown model 'dn'; did you mean 'dnn'?

    Args:
        models: names, `all` for each that there is; `+4` behind one asks for an ensemble of so many.
        settings: texts `MODEL.KEY=VALUE`, MODEL being a name as it stands in `models`.
        said: keywords by model, as a run file has them; `settings` win over them.

    Raises:
        ConfigError: there is no such model or setting, or a name stands twice.
    """
    names = [name for given in models for name in ((*MODELS, *TREES) if given == ALL else (given,))]
    if not names:
        raise ConfigError("a comparison is of models; none is named: --models all, or some, --models lr,fm,dnn")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ConfigError(f"each model is compared once; '{twice}' stands twice in --models: leave one out")
    entries = tuple(entry_of(name, name) for name in names)
    entries = tuple(replace(entry, settings=(said or {}).get(entry.model, {})) for entry in entries)
    return with_own(entries, settings, "model of --models")


def entry_of(name: str, kind: str, settings: Mapping[str, Any] | None = None) -> Entry:
    """A row of its own name.

    Args:
        name: what it is called.
        kind: its model, with `+4` behind it for an ensemble.
        settings: keywords of the model's constructor, looked at by `with_own`.

    Raises:
        ConfigError: there is no such model, or it has no members.
    """
    ensemble = re.fullmatch(r"(.+)\+([0-9]+)", kind)
    model, members = (kind, None) if ensemble is None else (ensemble[1], int(ensemble[2]))
    if not is_code(model) and model not in (*MODELS, *TREES):
        raise ConfigError(unknown("model", model, (*MODELS, *TREES)))
    if members is not None and not has_members(model):
        raise ConfigError(f"an ensemble is of networks that a gradient moves; {model} is none: write it without +")
    if members is not None and not 1 <= members <= 1000:
        raise ConfigError(f"an ensemble has 1 to 1,000 members; '{kind}' asks for {members:,}: write {model}+4")
    return Entry(name, model, members, settings or {})


def with_own(entries: Sequence[Entry], settings: Sequence[str], what: str) -> tuple[Entry, ...]:
    """The rows with what `--set` says of each, and every keyword known to its model.

    Args:
        entries: the rows.
        settings: texts `NAME.KEY=VALUE`, NAME being that of a row.
        what: such a name is, in words.

    Raises:
        ConfigError: there is no such row or keyword.
    """
    names = [entry.name for entry in entries]
    own: dict[str, dict[str, Any]] = {entry.name: dict(entry.settings) for entry in entries}
    for text in settings:
        subject, equals, value = text.partition("=")
        name = max((name for name in names if subject.startswith(f"{name}.")), key=len, default=None)
        key = "" if name is None else subject[len(name) + 1 :]
        if name is None or not equals or not key:
            if equals and "." in subject and name is None:
                raise ConfigError(f"--set {text}: {unknown(what, subject.rpartition('.')[0], names)}")
            raise ConfigError(f"a --set of a comparison is MODEL.KEY=VALUE; got '{text}'")
        own[name][key] = parse_setting(value)
    return tuple(replace(entry, settings=_known(entry.model, own[entry.name])) for entry in entries)


def has_members(model: str) -> bool:
    """Whether it is a network that a gradient moves; such a one learns several labels too."""
    return model not in TREES and not learns_by_row(model)


def _known(model: str, settings: dict[str, Any]) -> dict[str, Any]:
    """The keywords of a model as JSON holds them, each known to it."""
    settings = RunConfig(model=model, set=settings).set
    if model in TREES:
        if settings:
            tree_settings(model, settings)
    else:
        network_class(model)
        resolve_settings(model, network_defaults(model, settings) | settings)
    return settings
