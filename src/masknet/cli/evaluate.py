"""`masknet evaluate`: a model's metrics on labelled rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from masknet.cli.console import (
    STRICT,
    THREADS,
    ConsoleProgress,
    import_from_here,
    print_json,
    print_metrics,
    require_order,
    screen,
    slices_table,
    states_errors,
    use_threads,
)
from masknet.cli.settings import given, takes_besides
from masknet.config import OF_FILES, RunConfig, Said
from masknet.errors import ConfigError
from masknet.figures import shown

if TYPE_CHECKING:
    from masknet.evaluate import Evaluation

EXAMPLES = (
    "masknet evaluate ads.masknet valid.parquet",
    "masknet evaluate ads.masknet valid.parquet --baseline linear.masknet --slice site",
)


@states_errors
def command(
    model: Annotated[str, typer.Argument(help="A trained model.")],
    data: Annotated[str, typer.Argument(help="Labelled rows: a file, a glob or a folder of shards.")],
    baseline: Annotated[
        str | None, typer.Option(help="A second model on the same rows; prints RelaImp and the difference of AUCs.")
    ] = None,
    group: Annotated[str | None, typer.Option(help="The column of groups for the grouped AUC and NDCG.")] = None,
    slices: Annotated[
        list[str] | None,
        typer.Option(
            "--slice",
            metavar="COLUMN",
            help="A column by whose values to measure too, the worst first (repeatable, or comma-separated).",
        ),
    ] = None,
    bootstrap: Annotated[
        int | None,
        typer.Option(metavar="N", help="Make all intervals from N resamples of rows, or of groups.", min=2),
    ] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Of the resamples (default: 0).", min=0)] = None,
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
    """Measure a model on labelled rows."""
    from masknet.artifact import load_artifact
    from masknet.evaluate import evaluate_table, evaluation_json
    from masknet.predict import Watch
    from masknet.table import open_table

    require_order("evaluate", model, data)
    if trust_code:
        import_from_here()
    use_threads(threads)
    run = RunConfig(**given(of_files))
    artifact = load_artifact(model, device=device, trust_code=trust_code)
    if seed is not None and not bootstrap and group is None and artifact.encoder.schema.group is None:
        raise ConfigError("a --seed is of resamples, and nothing is resampled: add --bootstrap N or --group COLUMN")
    other = None if baseline is None else load_artifact(baseline, device=device, trust_code=trust_code)
    table = open_table(data, columns=run.columns, form=run.form, usual=artifact.form)
    watch = Watch(artifact, strict=strict)
    with ConsoleProgress() as progress:
        tasks = evaluate_table(
            artifact,
            table,
            baseline=other,
            group=group,
            slices=Said(tuple(slices or ())).names(table.columns),
            bootstrap=bootstrap or 0,
            seed=seed or 0,
            limit=limit_rows,
            watch=watch,
            progress=progress,
        )
    if json:
        result = {"model": artifact.manifest.subject, **evaluation_json(tasks), **watch.to_json()}
        if other is not None:
            result["baseline"] = other.manifest.subject
        print_json(result)
        return
    out = screen()
    subjects = [artifact.manifest.headline] + ([] if other is None else [f"baseline: {other.manifest.headline}"])
    subjects += watch.sentence.splitlines()
    for label, evaluation in tasks.items():
        _print(out, evaluation, data, subjects if len(tasks) == 1 else [f"the label is {label}"])
    if len(tasks) > 1:
        out.print("\n".join(subjects))


takes_besides(command, OF_FILES)


def _print(out: Console, evaluation: Evaluation, data: str, subjects: list[str]) -> None:
    """The metrics of one label, whose they are, where their intervals are from, and the slices."""
    found = evaluation.to_json()
    print_metrics(out, found["metrics"])
    out.print("\n".join(subjects))
    groups, resamples = evaluation.groups, evaluation.resamples
    if resamples:
        out.print(f"intervals: bootstrap, {resamples:,} resamples of {'rows' if groups is None else 'groups'}")
    elif groups is not None:
        out.print(f"intervals of grouped auc and ndcg: bootstrap, {groups.resamples:,} resamples of groups")
    if groups is not None:
        out.print(
            f"{groups.count:,} groups of '{groups.column}'; left out: {groups.one_class:,} of one class (grouped "
            f"auc), {groups.without_positive:,} without a positive (ndcg)"
        )
    out.print(f"{evaluation.rows:,} rows of {data}, {evaluation.clicks:,} clicks")
    for doubt in evaluation.doubts:
        out.print(f"warning: {doubt}", style="yellow")
    for name, parts in found.get("slices", {}).items():
        out.print(f"\nby '{name}', the worst auc first")
        out.print(slices_table(parts, most=16 if out.is_terminal else None))
        if any(part["below_overall"] for part in parts):
            out.print(f"* the whole interval lies below the auc of all rows, {shown(found['metrics']['auc'])[0]}")
