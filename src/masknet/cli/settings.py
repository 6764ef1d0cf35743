"""The settings of `RunConfig` as flags: a command takes some of them, or all."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Literal

import typer
from pydantic.fields import FieldInfo

from masknet.config import NAMES, PAIRS, RunConfig, Said, read_run_file
from masknet.errors import ConfigError

__all__ = ["flags", "given", "over", "shared_settings", "takes", "takes_besides"]


_SPLITS = ("valid", "valid_fraction", "valid_after")
"""The settings that say which the validation rows are."""

_OF_THE_ARTIFACT = ("out", "overwrite", "resume")
"""What a run file says of where its own model goes."""

_OF_ONE_RUN = ("refit", "tensorboard", "bad_rows")
"""What a run file may not ask of a work of several runs."""

_METAVARS = {"columns": "NAMES", "missing": "TEXT", "positive": "VALUE"}


def _flag(name: str, annotation: Any, help_text: str, panel: str) -> tuple[Any, Any]:
    """The type and the option of one setting; None means that it was not given."""
    option = "--" + name.replace("_", "-")
    kinds = [kind for kind in typing.get_args(annotation) if kind is not types.NoneType] or [annotation]
    choices = next((typing.get_args(one) for one in (annotation, *kinds) if typing.get_origin(one) is Literal), ())
    kind: Any = next((k for k in (bool, int, float) if k in kinds), str)
    metavar = _METAVARS.get(name, {bool: None, int: "N", float: "NUMBER"}.get(kind, "|".join(choices) or "TEXT"))
    if name in PAIRS:
        kind, metavar = list[str], PAIRS[name]
    elif name in ("label", "positive") or typing.get_origin(annotation) is tuple:
        kind, metavar = list[str], _METAVARS.get(name, "COLUMN")
    if kind is bool and name != "json" and not name.startswith("no_"):
        option = f"{option}/--no-{option[2:]}"
    return kind | None, typer.Option(option, help=help_text, metavar=metavar, rich_help_panel=panel)


def _help(field: FieldInfo) -> str:
    """The description, with the default where it does not tell it."""
    text = str(field.description)
    told = field.default in (None, (), {}, False) or "(default: " in text
    return text if told else f"{text} (default: {field.default})"


def takes(
    command: Callable[..., None], names: Iterable[str], first: Iterable[inspect.Parameter] = ()
) -> Callable[..., None]:
    """Give a command the flags of these settings, behind its own parameters; None stands for what was not given."""
    parameters = list(first)
    for name in names:
        field = RunConfig.model_fields[name]
        extra = typing.cast(dict[str, str], field.json_schema_extra)
        kind, option = _flag(field.alias or name, field.annotation, _help(field), extra["panel"])
        parameters.append(
            inspect.Parameter(
                field.alias or name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind, option]
            )
        )
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    return command


def takes_besides(command: Callable[..., None], names: Iterable[str]) -> Callable[..., None]:
    """Give a command the flags of these settings beside those of its own signature, in place of its `**`."""
    hints = typing.get_type_hints(command, include_extras=True)
    own = inspect.signature(command).parameters.values()
    return takes(command, names, [p.replace(annotation=hints[p.name]) for p in own if p.kind is not p.VAR_KEYWORD])


def flags(run: RunConfig, names: Iterable[str]) -> list[str]:
    """The words that say these settings of a run on a command line; none for those that have their default.

    >>> flags(RunConfig(label="click", ignore=["day", "hour"], hash={"user": 100}), ["label", "ignore", "hash", "time"])
    ['--label', 'click', '--ignore', 'day', '--ignore', 'hour', '--hash', 'user=100']
    """
    words: list[str] = []
    for name in names:
        value, field = getattr(run, name), RunConfig.model_fields[name]
        option = f"--{(field.alias or name).replace('_', '-')}"
        if value == field.default:
            continue
        if isinstance(value, bool):
            words.append(option if value else f"--no-{option[2:]}")
            continue
        if isinstance(value, dict):
            value = [f"{key}={entry}" for key, entry in value.items()]
        for one in value if isinstance(value, list | tuple) else (value,):
            words += [option, str(one)]
    return words


def given(said: dict[str, Any], beside: Mapping[str, Any] = types.MappingProxyType({})) -> dict[str, Any]:
    """The settings that were given, as `RunConfig` takes them; pairs are added to those of `beside`, a run file's."""
    found = {name: value for name, value in said.items() if value not in (None, [])}
    for name in found.keys() & {*NAMES, *PAIRS}:
        pairs = beside.get(name)
        found[name] = Said(tuple(found[name]), pairs if name in PAIRS and isinstance(pairs, dict) else {})
    return found


def over(from_file: Mapping[str, Any], said: dict[str, Any], data: str | None) -> dict[str, Any]:
    """The settings of a run file under those that were given as flags, as `RunConfig` takes them.

    The validation rows are said once: a flag that says them wins over each way in which the file does.

    >>> over({"valid": "valid.csv", "epochs": 9}, {"valid_fraction": 0.2, "epochs": None}, "log.csv")
    {'epochs': 9, 'valid_fraction': 0.2, 'data': 'log.csv'}
    """
    flagged = given(said, from_file)
    dropped = _SPLITS if any(name in flagged for name in _SPLITS) else ()
    kept = {name: value for name, value in from_file.items() if name not in dropped}
    return {**kept, **flagged, **({} if data is None else {"data": data})}


def shared_settings(file: str | None, work: str) -> dict[str, Any]:
    """Of the settings of a run file those that a work of several runs takes; none without a file.

    Args:
        file: its path.
        work: `a comparison`, for a message.

    Raises:
        ConfigError: there is no such file, it is no run file, or it sets what only one run does.
    """
    settings = {} if file is None else read_run_file(file)
    for name in _OF_ONE_RUN:
        if settings.get(name) not in (None, RunConfig.model_fields[name].default):
            raise ConfigError(f"{work} does without {name}, which {file} sets: leave it out of the file")
    return {name: value for name, value in settings.items() if name not in (*_OF_THE_ARTIFACT, *_OF_ONE_RUN)}
