"""`masknet train`: its flags are the settings of `RunConfig`, made from them."""

from __future__ import annotations

import inspect
import types
import typing
from typing import Annotated, Any, Literal

import typer
from pydantic.fields import FieldInfo

from masknet.cli.console import (
    ConsoleProgress,
    import_from_here,
    metrics_table,
    print_inspection,
    print_json,
    screen,
    states_errors,
    stop,
)
from masknet.config import RunConfig, parse_pairs, parse_setting, read_run_file
from masknet.errors import ConfigError

_MAPPINGS = [name for name, field in RunConfig.model_fields.items() if typing.get_origin(field.annotation) is dict]
"""The settings of which each flag adds a pair."""
_PAIRS = {"set": "KEY=VALUE", "pretrained": "FIELD=FILE", "share": "FIELD=OTHER", "hash": "FIELD=BUCKETS"}


def _flag(name: str, annotation: Any, help_text: str, panel: str) -> tuple[Any, Any]:
    """The type and the option of one setting; None means that it was not given."""
    option = "--" + name.replace("_", "-")
    kinds = [kind for kind in typing.get_args(annotation) if kind is not types.NoneType] or [annotation]
    kind: Any = next((k for k in (bool, int, float) if k in kinds), str)
    metavar = None
    if name in _MAPPINGS:
        kind, metavar = list[str], _PAIRS.get(name, "FIELD=VALUE")
    elif name == "label" or typing.get_origin(annotation) is tuple:
        kind, metavar = list[str], "COLUMN"
    if kind is bool and name != "json":
        option = f"{option}/--no-{option[2:]}"
    return kind | None, typer.Option(option, help=help_text, metavar=metavar, rich_help_panel=panel)


def _help(field: FieldInfo) -> str:
    """The description, with the words to choose from and the default; in square brackets they would be markup."""
    text = str(field.description)
    words = " or ".join(typing.get_args(field.annotation)) if typing.get_origin(field.annotation) is Literal else ""
    if field.default in (None, (), {}, False) or "(default: " in text:
        return text
    return f"{text} ({words}; default: {field.default})" if " " in words else f"{text} (default: {field.default})"


def _parameters() -> list[inspect.Parameter]:
    keyword = inspect.Parameter.KEYWORD_ONLY
    data = Annotated[str | None, typer.Argument(help=RunConfig.model_fields["data"].description)]
    config = Annotated[str | None, typer.Option("--config", help="A run file (YAML); flags win over it.")]
    parameters = [
        inspect.Parameter("data", inspect.Parameter.POSITIONAL_OR_KEYWORD, default=None, annotation=data),
        inspect.Parameter("config", keyword, default=None, annotation=config),
    ]
    for name, field in RunConfig.model_fields.items():
        if name == "data":
            continue
        extra = typing.cast(dict[str, str], field.json_schema_extra)
        kind, option = _flag(field.alias or name, field.annotation, _help(field), extra["panel"])
        parameters.append(
            inspect.Parameter(field.alias or name, keyword, default=None, annotation=Annotated[kind, option])
        )
    return parameters


def _given(flags: dict[str, Any]) -> dict[str, Any]:
    given = {name: value for name, value in flags.items() if value not in (None, [])}
    if "label" in given:
        if len(given["label"]) > 1:
            raise ConfigError(f"a run learns one label; got {' and '.join(given['label'])}: train one model a label")
        given["label"] = given["label"][0]
    for name in _MAPPINGS:
        if name in given:
            pairs = parse_pairs(name, given[name])
            given[name] = {k: parse_setting(v) for k, v in pairs.items()} if name == "set" else pairs
    return given


@states_errors
def command(data: str | None = None, *, config: str | None = None, **flags: Any) -> None:
    """Train a model on a click log."""
    from_file = {} if config is None else read_run_file(config)
    given = _given(flags)
    if any(name in given for name in ("valid", "valid_fraction", "valid_after")):
        from_file = {k: v for k, v in from_file.items() if k not in ("valid", "valid_fraction", "valid_after")}
    for name in _MAPPINGS:
        if name in given and isinstance(from_file.get(name), dict):
            given[name] = from_file[name] | given[name]
    run = RunConfig(**{**from_file, **given, **({} if data is None else {"data": data})})

    if ":" in run.model:
        import_from_here()

    from masknet.encode import Prepared
    from masknet.train import Interrupted, train

    try:
        with ConsoleProgress() as progress:

            def show(prepared: Prepared) -> None:
                title = f"{prepared.inspection.rows:,} rows; the columns are taken for"
                print_inspection(progress.console, prepared.inspection, title)
                progress.note(
                    f"{len(prepared.train):,} rows to train on, {len(prepared.valid or ()):,} to validate on; "
                    f"{prepared.encoder.space.num_ids:,} ids"
                )

            path, fitted = train(run, progress, on_prepared=show)
    except Interrupted as stopped:
        stop(f"{stopped}; the same command with --resume goes on from there")
    if run.json_output:
        result: dict[str, Any] = {"out": str(path)}
        if fitted is not None:
            manifest = fitted.manifest
            result |= {"model": manifest.subject, "metrics": manifest.metrics}
            result |= {"rows": manifest.rows, "training": manifest.training}
        print_json(result)
    elif fitted is not None:
        out = screen()
        out.print(metrics_table(fitted.manifest.metrics))
        out.print(fitted.manifest.headline)
        out.print(f"the model, measured on {fitted.manifest.rows:,} validation rows, lies in {path}")


command.__signature__ = inspect.Signature(_parameters())  # type: ignore[attr-defined]
command.__annotations__ = {p.name: p.annotation for p in _parameters()}
