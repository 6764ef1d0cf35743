"""`masknet predict`: probabilities for rows, labelled or not."""

from __future__ import annotations

import sys
from typing import Annotated, Any, Literal

import typer

from masknet.cli.console import (
    STRICT,
    THREADS,
    ConsoleProgress,
    import_from_here,
    print_json,
    require_order,
    screen,
    states_errors,
    use_threads,
)
from masknet.cli.settings import given, takes_besides
from masknet.config import OF_FILES, RunConfig, Said
from masknet.errors import ConfigError

EXAMPLES = (
    "masknet predict ads.masknet today.csv --out scores.parquet",
    "masknet predict ads.masknet today.csv --out scores.csv --append user,ad",
)


@states_errors
def command(
    model: Annotated[str, typer.Argument(help="A trained model.")],
    data: Annotated[str, typer.Argument(help="Rows to score: a file, a glob or a folder of shards.")],
    out: Annotated[
        str, typer.Option(help="Where to write: .parquet, .csv, .tsv, .csv.gz; - is standard output, as CSV.")
    ],
    append: Annotated[
        list[str] | None,
        typer.Option(help="An input column to write before the probability (repeatable, or comma-separated)."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file at --out.")] = False,
    bad_rows: Annotated[
        Literal["refuse", "quarantine"],
        typer.Option(
            help="quarantine: leave the probability of a bad row empty, and write its place and the reason to a file "
            "beside --out."
        ),
    ] = "refuse",
    strict: Annotated[bool, typer.Option("--strict", help=STRICT)] = False,
    limit_rows: Annotated[
        int | None, typer.Option(metavar="N", help="Read only the first so many rows.", min=1)
    ] = None,
    threads: Annotated[int | None, typer.Option(metavar="N", help=THREADS, min=1)] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, ...")] = "cpu",
    trust_code: Annotated[bool, typer.Option("--trust-code", help="Import a network that is not masknet's.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
    **of_files: Any,
) -> None:
    """Score rows, labelled or not."""
    from masknet.artifact import load_artifact
    from masknet.predict import Watch, predict_file, predict_stream
    from masknet.table import open_table

    if out == "-" and json:
        raise ConfigError(
            "--out - and --json both print to standard output: name a file with --out, or leave --json out"
        )
    if out == "-" and bad_rows == "quarantine":
        raise ConfigError("bad rows are set aside in a file beside --out, and --out - is none: name a file with --out")
    require_order("predict", model, data)
    if trust_code:
        import_from_here()
    use_threads(threads)
    run = RunConfig(**given(of_files))
    watch = Watch(load_artifact(model, device=device, trust_code=trust_code), strict=strict)
    table = open_table(data, columns=run.columns, form=run.form, usual=watch.artifact.form)
    appended = Said(tuple(append or ())).names(table.columns)
    with ConsoleProgress() as progress:
        about: dict[str, Any] = {"append": appended, "limit": limit_rows, "watch": watch, "progress": progress}
        if out == "-":
            written = predict_stream(watch.artifact, table, sys.stdout.buffer, **about)
        else:
            written = predict_file(watch.artifact, table, out, overwrite=overwrite, bad_rows=bad_rows, **about)
    bad = written.bad
    if json:
        aside = {} if bad is None else {"bad_rows": len(bad), "bad_rows_file": str(bad.file) if bad else None}
        print_json({"rows": written.rows, "out": out, **aside, **watch.to_json()})
        return
    told = screen(stderr=out == "-")
    told.print(f"{written.rows - len(bad or ()):,} probabilities lie in {'the standard output' if out == '-' else out}")
    if bad:
        told.print("\n".join(bad.sentences(bad.file)))
        told.print("in their rows of the output the probability is empty")
    if written.rows:
        told.print(watch.sentence)


takes_besides(command, OF_FILES)
