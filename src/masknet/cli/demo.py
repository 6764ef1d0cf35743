"""`masknet demo`: the main job on a public click log, beside four baselines on the same rows."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table as RichTable

from masknet.cli.console import (
    THREADS,
    ConsoleProgress,
    free_place,
    print_json,
    print_next,
    screen,
    states_errors,
    stop,
)
from masknet.figures import metric_name, shown

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from masknet.artifact import Artifact
    from masknet.config import RunConfig
    from masknet.datasets import Dataset, DatasetFiles


_BASELINES = {"lr": "logistic regression", "gbdt": "LightGBM", "gbdt-lr": "LightGBM + regression"}
"""What the network has to answer to, by the model's name."""

EXAMPLES = (
    "masknet demo",
    "masknet demo --rows 5000 --epochs 1",
)


@states_errors
def command(
    out: Annotated[
        str | None, typer.Option(help="Where the model goes (default: demo.masknet, an older one is replaced).")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a model that lies at --out.")] = False,
    cache_dir: Annotated[str | None, typer.Option(help="The cache (default: the user's cache).")] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Fixes the training runs.", min=0)] = 0,
    epochs: Annotated[
        int | None, typer.Option(metavar="N", help="Passes over the training rows, at most.", min=1)
    ] = None,
    rows: Annotated[int | None, typer.Option(metavar="N", help="Train on only the first so many rows.", min=1)] = None,
    threads: Annotated[int | None, typer.Option(metavar="N", help=THREADS, min=1)] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
) -> None:
    """Train on MovieLens-100K and compare with click rate, logistic regression and LightGBM."""
    from masknet.artifact import check_free
    from masknet.config import RunConfig
    from masknet.errors import ConfigError
    from masknet.train import Interrupted, train

    overwrite = overwrite or out is None
    out = out or "demo.masknet"
    places = {model: str(Path(out).parent / f"{Path(out).stem}-{model}.masknet") for model in _BASELINES}
    for place in places.values():
        check_free(place, overwrite=overwrite)
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
                out=out,
                overwrite=overwrite,
            )
            progress.note(f"ParallelMaskNets on {dataset.name}")
            started = time.monotonic()
            _, network = train(config, progress)
            seconds = time.monotonic() - started
            trained = {}
            for model, name in _BASELINES.items():
                progress.note(f"{name} on the same rows")
                own_epochs = epochs if model == "lr" else None  # trees have none
                try:
                    _, trained[name] = train(
                        config.replace(model=model, epochs=own_epochs, out=places[model]), progress
                    )
                except ConfigError as error:  # an optional package: the rest of the demo is worth seeing without it
                    if model == "lr":
                        raise
                    progress.warn(str(error))
            results, subjects = _compare(config, files, trained | {"ParallelMaskNet": network})
    except Interrupted as stopped:
        stop(f"{stopped}; masknet demo --overwrite begins anew")
    if json:
        metrics = {name: {k: e.to_json() for k, e in result.items()} for name, result in results.items()}
        print_json(
            {"out": out, "data": dataset.name, "seconds": round(seconds, 1), "models": subjects, "test": metrics}
        )
        return
    console = screen()
    console.print(f"{dataset.name}, test rows that no model has seen")
    console.print(_results_table(results, subjects))
    console.print(f"\ntrained in {seconds:.0f} s; the model lies in {out}. Next:")
    appended = ",".join(dataset.categorical[:2])
    print_next(
        console,
        ("evaluate", out, str(files.test), "--baseline", places["lr"]),
        ("predict", out, str(files.test), "--out", free_place("scores.parquet"), "--append", appended),
        ("check", out),
    )


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


def _compare(
    config: RunConfig, files: DatasetFiles, trained: dict[str, Artifact | None]
) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    """Each model's metrics on the test rows, and what each model is: its members and parameters."""
    import numpy as np

    from masknet import metrics
    from masknet.encode import values
    from masknet.predict import predict_frame
    from masknet.table import open_table

    def clicks(path: Path, limit: int | None = None) -> NDArray[np.uint8]:
        chunks = open_table(path).chunks(config.labels, limit=limit)
        return np.concatenate([values.all_labels(chunk, config.labels)[:, 0] for chunk in chunks])

    labels = clicks(files.test)
    scored = {"click rate": np.full(len(labels), clicks(files.train, config.limit_rows).mean())}
    subjects: dict[str, dict[str, Any]] = {"click rate": {"members": 1, "parameters": 1}}
    for name, model in trained.items():
        assert model is not None  # nothing is resumed
        scored[name] = predict_frame(model, files.test)
        subjects[name] = model.manifest.subject
    return {name: metrics.evaluate(labels, probabilities) for name, probabilities in scored.items()}, subjects


def _results_table(results: dict[str, dict[str, Any]], subjects: dict[str, dict[str, Any]]) -> RichTable:
    table = RichTable(box=None, pad_edge=False)
    table.add_column("model", no_wrap=True)
    for heading in ("parameters", "auc", "95 % interval"):
        table.add_column(heading, justify="right", no_wrap=True)
    for metric in ("log_loss", "calibration_ratio"):
        table.add_column(metric_name(metric).replace(" ", "\n"), justify="right", no_wrap=True)  # to fit 80 columns
    for name, metrics in results.items():
        found = {metric: metrics[metric].to_json() for metric in ("auc", "log_loss", "calibration_ratio")}
        auc, loss, ratio = (shown(estimate) for estimate in found.values())
        members, parameters = subjects[name]["members"], subjects[name]["parameters"]
        table.add_row(
            name if members == 1 else f"{members} {name}s", f"{parameters:,}", auc[0], auc[1], loss[0], ratio[0]
        )
    return table
