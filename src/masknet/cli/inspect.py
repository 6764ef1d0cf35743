"""`masknet inspect`: what each column is taken for, before anything is trained."""

from __future__ import annotations

from typing import Annotated

import typer

from masknet.cli.console import COLUMNS, ConsoleProgress, print_inspection, print_json, screen, states_errors

Names = Annotated[list[str] | None, typer.Option(help="Declared so (repeatable, or comma-separated).")]
Name = Annotated[str | None, typer.Option(help="The column of this part.")]


@states_errors
def command(
    data: Annotated[str, typer.Argument(help="A table: a file, a glob or a folder of shards.")],
    label: Name = None,
    weight: Name = None,
    group: Name = None,
    time: Name = None,
    categorical: Names = None,
    numeric: Names = None,
    ignore: Names = None,
    columns: Annotated[list[str] | None, typer.Option(help=COLUMNS, metavar="NAMES")] = None,
    limit_rows: Annotated[int | None, typer.Option(help="Read only the first so many rows.", min=1)] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
) -> None:
    """Show what each column of a table is taken for, and why."""
    from masknet.config import RunConfig
    from masknet.encode import Declared, inspect_table
    from masknet.table import open_table

    # Checked as in a run, so that names may be comma-separated here too.
    run = RunConfig(categorical=categorical or (), numeric=numeric or (), ignore=ignore or (), columns=columns or ())
    declared = Declared(label, weight, group, time, run.categorical, run.numeric, run.ignore)
    table = open_table(data, columns=run.columns)
    with ConsoleProgress() as progress:
        inspection = inspect_table(table, declared, progress, limit=limit_rows)
        for warning in inspection.warnings:
            progress.warn(warning)
    if json:
        print_json(inspection.to_json())
    else:
        print_inspection(screen(), inspection, f"{table.name}: {inspection.rows:,} rows")
