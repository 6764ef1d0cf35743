"""`masknet evaluate`: a model's metrics on labelled rows."""

from __future__ import annotations

from typing import Annotated

import typer

from masknet.cli.console import COLUMNS, ConsoleProgress, metrics_table, print_json, screen, states_errors


@states_errors
def command(
    model: Annotated[str, typer.Argument(help="A trained model.")],
    data: Annotated[str, typer.Argument(help="Labelled rows: a file, a glob or a folder of shards.")],
    baseline: Annotated[
        str | None, typer.Option(help="A second model on the same rows; prints RelaImp against it.")
    ] = None,
    group: Annotated[str | None, typer.Option(help="The column of groups for the grouped AUC.")] = None,
    columns: Annotated[list[str] | None, typer.Option(help=COLUMNS, metavar="NAMES")] = None,
    limit_rows: Annotated[int | None, typer.Option(help="Read only the first so many rows.", min=1)] = None,
    threads: Annotated[int | None, typer.Option(help="Processor threads (default: all cores).", min=1)] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, ...")] = "cpu",
    json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
) -> None:
    """Measure a model on labelled rows."""
    import torch

    from masknet.artifact import load_artifact
    from masknet.config import RunConfig
    from masknet.predict import evaluate_table
    from masknet.table import open_table

    if threads is not None:
        torch.set_num_threads(threads)
    names = RunConfig(columns=columns or ()).columns
    artifact = load_artifact(model, device=device)
    other = None if baseline is None else load_artifact(baseline, device=device)
    with ConsoleProgress() as progress:
        evaluation = evaluate_table(
            artifact, open_table(data, columns=names), baseline=other, group=group, limit=limit_rows, progress=progress
        )
    result = {"model": artifact.manifest.subject, **evaluation.to_json()}
    if other is not None:
        result["baseline"] = other.manifest.subject
    if json:
        print_json(result)
    else:
        out = screen()
        out.print(metrics_table(result["metrics"]))
        out.print(artifact.manifest.headline)
        if other is not None:
            out.print(f"baseline: {other.manifest.headline}")
        out.print(f"{evaluation.rows:,} rows of {data}")
