"""`masknet inspect`: what each column is taken for, before anything is trained."""

from __future__ import annotations

import inspect
from typing import Annotated, Any

import typer

from masknet.cli.console import ConsoleProgress, print_inspection, print_json, screen, states_errors
from masknet.cli.settings import given, takes
from masknet.config import OF_FILES, RunConfig

# fmt: off
_DECLARED = (  # the fields of `Declared`, whose import is too heavy for a line of help: a test holds them equal
    "label", "weight", "group", "time", "categorical", "numeric", "bag", "dense", "datetime", "ignore", "separator",
    "weighted", "ordered", "max_length", "pooling", "share", "hash", "project", "positive",
    "missing", "decimal",
)
# fmt: on

SETTINGS = (*_DECLARED, *OF_FILES, "numeric_encoding", "limit_rows")
"""What of a run decides how its columns are read."""

EXAMPLES = (
    "masknet inspect train.parquet --label click",
    "masknet inspect train.parquet --label click --categorical hour --ignore timestamp --json",
)


@states_errors
def command(data: str, **flags: Any) -> None:
    """Show what each column of a table is taken for, and why."""
    from masknet.encode import Declared, inspect_table
    from masknet.table import open_table

    run = RunConfig(**given(flags))
    table = open_table(data, columns=run.columns, form=run.form)
    run = run.of_table(table.columns)
    with ConsoleProgress() as progress:
        table.tell(progress)
        inspection = inspect_table(
            table,
            Declared(**{name: getattr(run, name) for name in _DECLARED}),
            progress,
            limit=run.limit_rows,
            numeric_encoding=run.numeric_encoding,
        )
        for warning in inspection.warnings:
            progress.warn(warning)
    if run.json_output:
        print_json(inspection.to_json())
    else:
        print_inspection(screen(), inspection, f"{table.name}: {inspection.rows:,} rows")


_DATA = inspect.Parameter(
    "data",
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
    annotation=Annotated[str, typer.Argument(help="A table: a file, a glob or a folder of shards.")],
)
takes(command, [*SETTINGS, "json_output"], [_DATA])
