"""`masknet demo`: a few models compared on a public click log."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from masknet.cli.compare import print_comparison, tell_prepared
from masknet.cli.console import THREADS, ConsoleProgress, print_json, screen, states_errors, stop, use_threads

if TYPE_CHECKING:
    from masknet.datasets import Dataset, DatasetFiles

_MODELS = ("lr", "gbdt", "parallel-masknet")

EXAMPLES = (
    "masknet demo",
    "masknet demo --rows 5000 --epochs 1",
)


@states_errors
def command(
    out: Annotated[
        str | None,
        typer.Option(help="The folder of the comparison (default: demo.compare, an older one is replaced)."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a comparison that lies at --out.")] = False,
    cache_dir: Annotated[str | None, typer.Option(help="The cache (default: the user's cache).")] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="The first seed of each model.", min=0)] = 0,
    seeds: Annotated[int, typer.Option(metavar="N", help="Train each model so often.", min=1)] = 3,
    epochs: Annotated[
        int | None, typer.Option(metavar="N", help="Passes over the training rows, at most.", min=1)
    ] = None,
    rows: Annotated[int | None, typer.Option(metavar="N", help="Read only the first so many rows.", min=1)] = None,
    threads: Annotated[int | None, typer.Option(metavar="N", help=THREADS, min=1)] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
) -> None:
    """Compare MaskNet with logistic regression and LightGBM on MovieLens-100K."""
    from masknet.compare import Asked, compare, entries_of
    from masknet.config import RunConfig
    from masknet.train import Interrupted

    place = Path(out or "demo.compare")
    use_threads(threads)
    try:
        with ConsoleProgress() as progress:
            dataset, files = _click_log(progress, cache_dir)
            config = RunConfig(  # all that is left open is a default
                data=files.train,
                valid=files.valid,
                label=dataset.label,
                categorical=dataset.categorical,
                numeric=dataset.numeric,
                ignore=dataset.ignore,
                cache_dir=cache_dir,
                seed=seed,
                epochs=epochs,
                limit_rows=rows,
                threads=threads,
            )
            asked = Asked(
                config=config,
                entries=entries_of(_MODELS),
                out=place,
                seeds=seeds,
                test=str(files.test),
                overwrite=overwrite or out is None,
            )
            results = compare(asked, progress, on_prepared=partial(tell_prepared, progress))
    except (Interrupted, KeyboardInterrupt):
        stop("stopped; masknet demo begins anew")
    if json:
        print_json({"out": str(place), "dataset": dataset.name, **results})
        return
    screen().print(f"{dataset.name}, test rows that no model has seen")
    print_comparison(results, place, str(files.test))


def _click_log(progress: ConsoleProgress, cache_dir: str | None) -> tuple[Dataset, DatasetFiles]:
    """MovieLens-100K, or without a network a planted log of our own."""
    from masknet.datasets import DATASETS, fetch
    from masknet.errors import DataError

    cache = None if cache_dir is None else Path(cache_dir) / "datasets"
    try:
        dataset = DATASETS["movielens-100k"]
        files = fetch(dataset.name, cache, progress=progress)
        progress.note(f"terms of {dataset.name}: {' '.join(dataset.terms.split())}")
    except DataError as error:
        progress.warn(f"{error} -- the demo goes on with a planted log of our own: its figures are not MovieLens's")
        dataset = DATASETS["planted"]
        files = fetch(dataset.name, cache, progress=progress)
    return dataset, files
