"""`masknet train`: its flags are the settings of `RunConfig`, made from them."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Annotated, Any

import typer

from masknet.cli.console import (
    ConsoleProgress,
    import_from_here,
    metrics_table,
    print_hints,
    print_inspection,
    print_json,
    screen,
    states_errors,
    stop,
)
from masknet.cli.settings import given, takes
from masknet.config import RunConfig, read_run_file

if TYPE_CHECKING:
    from masknet.encode import Inspection, Prepared


@states_errors
def command(data: str | None = None, *, config: str | None = None, **flags: Any) -> None:
    """Train a model on a click log."""
    from_file = {} if config is None else read_run_file(config)
    said = given(flags, from_file)
    if any(name in said for name in ("valid", "valid_fraction", "valid_after")):
        from_file = {k: v for k, v in from_file.items() if k not in ("valid", "valid_fraction", "valid_after")}
    run = RunConfig(**{**from_file, **said, **({} if data is None else {"data": data})})

    if ":" in run.model:
        import_from_here()

    from masknet.train import Interrupted, train

    inspections: list[Inspection] = []
    try:
        with ConsoleProgress() as progress:

            def show(prepared: Prepared) -> None:
                inspections.append(prepared.inspection)
                title = f"{prepared.inspection.rows:,} rows; the columns are taken for"
                print_inspection(progress.console, prepared.inspection, title)
                progress.note(
                    f"{len(prepared.train):,} rows to train on, {len(prepared.valid or ()):,} to validate on; "
                    f"{prepared.encoder.space.num_ids:,} ids"
                )

            path, trained = train(run, progress, on_prepared=show)
    except Interrupted as stopped:
        stop(f"{stopped}; the same command with --resume goes on from there")
    if run.json_output:
        result: dict[str, Any] = {"out": str(path)}
        if trained is not None:
            manifest = trained.manifest
            result |= {"model": manifest.subject, **manifest.results, "rows": manifest.rows}
            result |= {"training": manifest.training}
        print_json(result)
    elif trained is not None:
        out, manifest = screen(), trained.manifest
        for label, task in manifest.tasks.items():
            out.print(f"{label}, known in {task['rows']:,} rows")
            out.print(metrics_table(task["metrics"]))
        if not manifest.tasks:
            out.print(metrics_table(manifest.metrics))
        out.print(manifest.headline)
        out.print(f"the model, measured on {manifest.rows:,} validation rows, lies in {path}")
        for inspection in inspections:
            print_hints(out, inspection)


_FIRST = (
    inspect.Parameter(
        "data",
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        default=None,
        annotation=Annotated[str | None, typer.Argument(help=RunConfig.model_fields["data"].description)],
    ),
    inspect.Parameter(
        "config",
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[str | None, typer.Option("--config", help="A run file (YAML); flags win over it.")],
    ),
)
takes(command, (name for name in RunConfig.model_fields if name != "data"), _FIRST)
