"""`masknet compare`: several models on the same rows, and whether one is better than what is there."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.cells import cell_len
from rich.table import Table

from masknet.cli.console import (
    ConsoleProgress,
    free_place,
    import_from_here,
    print_json,
    print_next,
    screen,
    states_errors,
    stop,
    use_threads,
)
from masknet.cli.settings import flags, over, shared_settings, takes_besides
from masknet.config import RunConfig, Said
from masknet.errors import ConfigError

if TYPE_CHECKING:
    from masknet.encode import Prepared

_OWN = (
    *(
        "data",
        "model",
        "set",
        "out",
        "overwrite",
        "resume",
        "verbose",
        "seed",
        "members",
    ),  # said otherwise, or not at all
    *("refit", "tensorboard", "golden_rows", "checkpoint_minutes", "bad_rows"),  # matters of one run
)
"""The settings of a run that a comparison does not take."""

_LEAST_NAME, _GAP = 12, 2
"""Letters of a row's name in a line where a terminal is narrow, and between two columns."""

EXAMPLES = (
    "masknet compare train.parquet --label click --models lr,fm,parallel-masknet",
    "masknet compare train.parquet --label click --test valid.parquet --models fm+2,dnn+2 --out ensembles",
)


@states_errors
def command(
    data: Annotated[
        str | None, typer.Argument(help="The table: a file, a glob or a folder of shards.", show_default=False)
    ] = None,
    models: Annotated[
        list[str] | None,
        typer.Option(
            help="The models (repeatable, or comma-separated), or all; +4 behind a name asks for an ensemble of 4."
        ),
    ] = None,
    experiment: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="In the place of --models: the rows of a table of the paper, table2 to table6, or of a YAML file.",
        ),
    ] = None,
    config: Annotated[
        str | None, typer.Option("--config", help="A run file (YAML) of settings that all share; flags win over it.")
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            help="The folder of the comparison; the same command goes on (default: the data's name + .compare)."
        ),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(metavar="N", help="Train each model so often (default: 3 up to 200,000 rows, else 1).", min=1),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(metavar="N", help="The first seed of each model (default: 0).", min=0)
    ] = None,
    members: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Let each network be so many, averaged, but those with a + (default: 1).", min=1
        ),
    ] = None,
    test: Annotated[
        str | None,
        typer.Option(help="The rows to measure on (default: a tenth of DATA, the last by --time or a random one)."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="MODEL.KEY=VALUE",
            help="A keyword of one model's constructor, or of that of a row of the experiment (repeatable).",
        ),
    ] = None,
    slices: Annotated[
        list[str] | None,
        typer.Option(
            "--slice",
            metavar="COLUMN",
            help="A column by whose values to measure too (repeatable, or comma-separated).",
        ),
    ] = None,
    bootstrap: Annotated[
        int | None,
        typer.Option(metavar="N", help="Test by N resamples of rows, or of groups, and not by theory.", min=2),
    ] = None,
    tuned: Annotated[
        float | None,
        typer.Option(metavar="MINUTES", help="Search the settings of each model for so long first (masknet tune)."),
    ] = None,
    baseline_score: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="The scores of the model in production; no model sees this column."),
    ] = None,
    baseline_is: Annotated[
        Literal["probability", "score"],
        typer.Option(
            metavar="probability|score",
            help="What those are; of scores that are no probabilities only the order is measured.",
        ),
    ] = "probability",
    baseline: Annotated[
        str | None, typer.Option(metavar="ARTIFACT", help="A trained model to be measured too.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Begin anew where --out holds another comparison.")
    ] = False,
    trust_code: Annotated[
        bool, typer.Option("--trust-code", help="Import a --baseline's network that is not masknet's.")
    ] = False,
    **shared: Any,
) -> None:
    """Train several models on the same rows, and say which is better, by how much and at what cost."""
    from masknet.compare import NEEDS, Asked, Experiment, compare, entries_of, read_experiment
    from masknet.places import stem_of
    from masknet.table import table_name
    from masknet.train import Interrupted

    if bool(models) == (experiment is not None):
        lacking = "both are given" if models else "neither is given"
        raise ConfigError(
            f"a comparison is of --models or of the rows of an --experiment; {lacking}: --models all, or --experiment "
            f"table2"
        )
    names = Said(tuple(models or ())).names()
    if trust_code or experiment is not None or any(":" in name for name in names):
        import_from_here()
    planned = Experiment(()) if experiment is None else read_experiment(experiment, settings or ())
    from_file = shared_settings(config, "a comparison")
    said = {**shared, "seed": seed, "members": members}
    run = RunConfig(**over({**planned.settings, **from_file}, said, data))
    if "-" in (run.data, run.valid, test):
        raise ConfigError("a comparison reads its rows several times, and standard input is read once: name a file")
    if baseline_is != "probability" and baseline_score is None:
        raise ConfigError(
            "--baseline-is says what the scores of --baseline-score are: name their column, or leave it out"
        )
    if trust_code and baseline is None:
        raise ConfigError("--trust-code is for the network of a --baseline: name one, or leave it out")
    entries = planned.entries or entries_of(names, settings or (), {run.model: run.set})
    run.require_named(*NEEDS)
    assert run.data is not None
    use_threads(run.threads)
    place = Path(f"{stem_of(table_name(run.data, run.form))}.compare" if out is None else out)
    asked = Asked(
        config=run,
        entries=entries,
        out=place,
        seeds=seeds,
        test=test,
        slices=tuple(slices or ()),
        resamples=bootstrap or 0,
        baseline_score=baseline_score,
        baseline_is=baseline_is,
        baseline=None if baseline is None else Path(baseline),
        overwrite=overwrite,
        trust_code=trust_code,
        tuned=tuned,
    )
    try:
        with ConsoleProgress() as progress:
            if run.set and planned.entries:
                progress.note(f"the rows of {experiment} have their own keywords; those of {config} are left out")
            elif run.set and all(entry.model != run.model for entry in entries):
                progress.note(f"{config} has keywords of {run.model}, which is not compared; they are left out")
            results = compare(asked, progress, on_prepared=partial(tell_prepared, progress))
    except (Interrupted, KeyboardInterrupt):
        stop(f"stopped; what is finished lies in {place}, and the same command goes on from there")
    if run.json_output:
        print_json(results)
        return
    print_comparison(results, place, test or run.data, flags(run, ["columns", "format", "no_header"]))


takes_besides(command, (name for name in RunConfig.model_fields if name not in _OWN))


def tell_prepared(progress: ConsoleProgress, prepared: Prepared) -> None:
    """Say how many rows there are."""
    progress.note(
        f"{len(prepared.train):,} rows to train on, {len(prepared.valid or ()):,} to validate on; "
        f"{prepared.encoder.space.num_ids:,} ids"
    )


def print_comparison(results: dict[str, Any], place: Path, rows: str, named: Sequence[str] = ()) -> None:
    """Print the verdict, the table, and what to do with the best model.

    Args:
        results: of the comparison.
        place: its folder.
        rows: a table to score.
        named: flags that say how that is written.
    """
    from masknet.compare import REPORT
    from masknet.compare import table as of_models

    console = screen()
    for sentence in results["verdict"]:
        console.print(sentence)
    columns, rows_of_models = of_models.columns_of(results), of_models.rows_of(results)
    headings = [column.name.replace(" ", "\n") if column.number else column.name for column in columns]
    widths = [
        max(cell_len(line) for line in (*heading.split("\n"), *(cells[i].text for cells in rows_of_models)))
        for i, heading in enumerate(headings)
    ]
    for second in (False, True):  # two halves, to fit 80 columns
        half = [i for i, column in enumerate(columns) if i and column.second == second]
        for chosen in _fitting(half, widths, console.width):
            table = Table(box=None, pad_edge=False)
            table.add_column(headings[0], overflow="fold")  # a row's name may be long
            for i in chosen:
                table.add_column(headings[i], justify="right" if columns[i].number else "left", no_wrap=True)
            for cells in rows_of_models:
                table.add_row(*(cells[i].text for i in (0, *chosen)))
            console.print()
            console.print(table)
    console.print()
    for note in of_models.footnotes(results):
        console.print(note)
    page = place / REPORT
    console.print(f"\nresults.json, .csv and .md lie in {place}" + (f"; the page is {page}" if page.exists() else ""))
    console.print("The best model, next:")
    steps = of_models.next_steps(results, place, rows, free_place("scores.parquet"))
    print_next(console, *(words if words[0] == "check" else [*words, *named] for words in steps))


def _fitting(columns: Sequence[int], widths: Sequence[int], room: int) -> list[list[int]]:
    """The columns of each table that fits beside the models' names, which take as little as they can be read in.

    >>> _fitting([1, 2, 3], [20, 7, 5, 14], 40), _fitting([1, 2, 3], [20, 7, 5, 14], 80)
    ([[1, 2], [3]], [[1, 2, 3]])
    """
    tables: list[list[int]] = [[]]
    names = left = room - min(widths[0], _LEAST_NAME)
    for i in columns:
        if tables[-1] and widths[i] + _GAP > left:
            tables.append([])
            left = names
        tables[-1].append(i)
        left -= widths[i] + _GAP
    return tables
