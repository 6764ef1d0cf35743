"""`masknet data`: example data, and the cache."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from masknet.cli.console import ConsoleProgress, fail, print_json, states_errors

command = typer.Typer(no_args_is_help=True)

CacheDir = Annotated[str | None, typer.Option(help="The cache (default: the user's cache).")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")]


@command.command("list")
@states_errors
def list_sets(json: Json = False) -> None:
    """List the sets that can be fetched, and their terms."""
    from masknet.datasets import DATASETS

    if json:
        print_json([{"name": d.name, "description": d.description, "terms": d.terms} for d in DATASETS.values()])
        return
    out = Console(highlight=False)
    for dataset in DATASETS.values():
        out.print(f"{dataset.name}: {dataset.description}\n  terms: {dataset.terms}\n", markup=False)


@command.command()
@states_errors
def fetch(
    name: Annotated[str, typer.Argument(help="A set that `masknet data list` names.")],
    cache_dir: CacheDir = None,
    json: Json = False,
) -> None:
    """Fetch a set into the cache and say where it lies."""
    from masknet.datasets import DATASETS
    from masknet.datasets import fetch as fetch_set
    from masknet.errors import unknown

    if name not in DATASETS:
        fail(unknown("data set", name, DATASETS))
    with ConsoleProgress() as progress:
        progress.note(f"terms of {name}: {DATASETS[name].terms}")
        files = fetch_set(name, None if cache_dir is None else Path(cache_dir), progress=progress)
    paths = {part: str(getattr(files, part)) for part in ("train", "valid", "test")}
    if json:
        print_json(paths)
    else:
        for part, path in paths.items():
            typer.echo(f"{part}: {path}")


@command.command()
@states_errors
def clean(cache_dir: CacheDir = None, json: Json = False) -> None:
    """Empty the cache: encoded tables and fetched sets. They are made again when they are needed."""
    from masknet.encode import default_cache

    cache = default_cache() if cache_dir is None else Path(cache_dir)
    freed = 0
    for folder in (cache / "encoded", cache / "datasets"):  # nothing else that lies there is ours
        if folder.is_dir():
            freed += sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
            shutil.rmtree(folder)
    if json:
        print_json({"freed_bytes": freed, "cache": str(cache)})
    else:
        typer.echo(f"{freed / 1e6:,.1f} MB freed in {cache}")
