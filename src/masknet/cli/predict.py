"""`masknet predict`: probabilities for rows, labelled or not."""

from __future__ import annotations

from typing import Annotated

import typer

from masknet.cli.console import (
    COLUMNS,
    STRICT,
    THREADS,
    ConsoleProgress,
    import_from_here,
    print_json,
    screen,
    states_errors,
    use_threads,
)

EXAMPLES = (
    "masknet predict ads.masknet today.csv --out scores.parquet",
    "masknet predict ads.masknet today.csv --out scores.csv --append user,ad",
)


@states_errors
def command(
    model: Annotated[str, typer.Argument(help="A trained model.")],
    data: Annotated[str, typer.Argument(help="Rows to score: a file, a glob or a folder of shards.")],
    out: Annotated[str, typer.Option(help="Where to write: .parquet, .csv, .tsv, or .csv.gz.")],
    append: Annotated[
        list[str] | None,
        typer.Option(help="An input column to write before the probability (repeatable, or comma-separated)."),
    ] = None,
    columns: Annotated[list[str] | None, typer.Option(help=COLUMNS, metavar="NAMES")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file at --out.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help=STRICT)] = False,
    limit_rows: Annotated[
        int | None, typer.Option(metavar="N", help="Read only the first so many rows.", min=1)
    ] = None,
    threads: Annotated[int | None, typer.Option(metavar="N", help=THREADS, min=1)] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, ...")] = "cpu",
    trust_code: Annotated[bool, typer.Option("--trust-code", help="Import a network that is not masknet's.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
) -> None:
    """Score rows, labelled or not."""
    from masknet.artifact import load_artifact
    from masknet.config import RunConfig
    from masknet.predict import Watch, predict_file
    from masknet.table import open_table

    if trust_code:
        import_from_here()
    use_threads(threads)
    appended = [name.strip() for text in append or [] for name in text.split(",") if name.strip()]
    names = RunConfig(columns=columns or ()).columns
    watch = Watch(load_artifact(model, device=device, trust_code=trust_code), strict=strict)
    with ConsoleProgress() as progress:
        rows = predict_file(
            watch.artifact,
            open_table(data, columns=names),
            out,
            append=appended,
            overwrite=overwrite,
            limit=limit_rows,
            watch=watch,
            progress=progress,
        )
    if json:
        print_json({"rows": rows, "out": out, **watch.to_json()})
    else:
        screen().print(f"{rows:,} probabilities lie in {out}")
        if rows:
            screen().print(watch.sentence)
