"""`masknet train`: its flags are the settings of `RunConfig`, made from them."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from masknet.cli.console import (
    ConsoleProgress,
    command_line,
    free_place,
    import_from_here,
    print_columns,
    print_hints,
    print_json,
    print_metrics,
    print_next,
    screen,
    states_errors,
    stop,
)
from masknet.cli.inspect import SETTINGS
from masknet.cli.settings import flags, over, takes
from masknet.config import RunConfig, read_run_file

if TYPE_CHECKING:
    from masknet.artifact import Artifact
    from masknet.encode import Prepared
    from masknet.manifest import Manifest

EXAMPLES = (
    "masknet train train.parquet --label click --ignore timestamp --out ads.masknet",
    "masknet train train.parquet --label click --time timestamp --model lr --out linear.masknet",
    "masknet train --config ads.masknet/run.json --out again.masknet",
)


@states_errors
def command(data: str | None = None, *, config: str | None = None, **options: Any) -> None:
    """Train a model on a click log."""
    from_file = {} if config is None else read_run_file(config)
    run = RunConfig(**over(from_file, options, data))

    if ":" in run.model:
        import_from_here()

    from masknet.train import Interrupted, logistic_regression, train

    seen: list[Prepared] = []
    linear: dict[str, dict[str, Any]] | None = None
    try:
        with ConsoleProgress() as progress:

            def show(prepared: Prepared) -> None:
                seen.append(prepared)
                if not run.resume:
                    _print_surprises(progress, run, prepared)

            path, trained = train(run, progress, on_prepared=show)
            if trained is not None and not run.json_output:
                linear = logistic_regression(run, seen[0], progress)
    except Interrupted as stopped:
        stop(f"{stopped}; the same command with --resume goes on from there")
    if run.json_output:
        print_json(_as_json(path, trained))
    elif trained is not None:
        _print_end(run, path, trained.manifest, linear)
        print_hints(screen(), seen[0].inspection)


def _print_surprises(progress: ConsoleProgress, run: RunConfig, prepared: Prepared) -> None:
    """Of the columns only what nobody asked for, and how to see them all."""
    inspection = prepared.inspection
    all_of_them = command_line("inspect", str(run.data), *flags(run, SETTINGS))
    progress.note(f"{inspection.rows:,} rows, {inspection.summary}; `{all_of_them}` shows all")
    if inspection.surprises:
        print_columns(progress.console, inspection.surprises)
    progress.note(
        f"{len(prepared.train):,} rows to train on, {len(prepared.valid or ()):,} to validate on; "
        f"{prepared.encoder.space.num_ids:,} ids"
    )


def _as_json(path: Path, trained: Artifact | None) -> dict[str, Any]:
    result: dict[str, Any] = {"out": str(path)}
    if trained is not None:
        manifest = trained.manifest
        result |= {"model": manifest.subject, **manifest.results, "rows": manifest.rows, "training": manifest.training}
    return result


def _print_end(run: RunConfig, path: Path, manifest: Manifest, linear: dict[str, dict[str, Any]] | None) -> None:
    """How good the model is, beside logistic regression where that was trained too, and what to do with it."""
    out = screen()
    for label, task in manifest.tasks.items():
        out.print(f"{label}, known in {task['rows']:,} rows")
        print_metrics(out, task["metrics"])
    if not manifest.tasks:
        print_metrics(out, manifest.metrics, {} if linear is None else {"logistic regression": linear})
    out.print(manifest.headline)
    out.print(f"the model, measured on {manifest.rows:,} validation rows, lies in {path}")
    out.print("\nNext, best with rows that it has not seen:")
    model, rows, trust = str(path), str(run.valid or run.data), ["--trust-code"] if ":" in run.model else []
    named = flags(run, ["columns", "format", "no_header"])  # the rest is the model's default
    print_next(
        out,
        ("predict", model, rows, "--out", free_place("scores.parquet"), *named, *trust),
        ("evaluate", model, rows, *named, *trust),
        ("check", model, *trust),
    )


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
