"""`masknet data`: example data, and the cache."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer
from rich.padding import Padding

from masknet.cli.console import ConsoleProgress, print_json, screen, states_errors
from masknet.cli.help import Group, Verb

command = typer.Typer(cls=Group, no_args_is_help=True, epilog="masknet data list\nmasknet data fetch planted")

CacheDir = Annotated[str | None, typer.Option(help="The cache (default: the user's cache).")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")]


@command.command("list", cls=Verb, epilog="masknet data list")
@states_errors
def list_sets(json: Json = False) -> None:
    """List the sets that can be fetched, and their terms."""
    from masknet.datasets import DATASETS

    if json:
        sets = [{"name": d.name, "description": d.description, "terms": d.terms} for d in DATASETS.values()]
        print_json({"data_sets": sets})
        return
    for dataset in DATASETS.values():
        screen().print(f"{dataset.name}: {dataset.description}")
        screen().print(Padding(" ".join(dataset.terms.split()), (0, 0, 1, 2), expand=False))


@command.command(cls=Verb, epilog="masknet data fetch planted")
@states_errors
def fetch(
    name: Annotated[str, typer.Argument(help="A set that `masknet data list` names.")],
    cache_dir: CacheDir = None,
    json: Json = False,
) -> None:
    """Fetch a set into the cache and say where it lies."""
    from masknet.datasets import DATASETS
    from masknet.datasets import fetch as fetch_set
    from masknet.errors import ConfigError, unknown

    if name not in DATASETS:
        raise ConfigError(unknown("data set", name, DATASETS))
    with ConsoleProgress() as progress:
        progress.note(f"terms of {name}: {' '.join(DATASETS[name].terms.split())}")
        # Below the cache, where `clean` looks.
        files = fetch_set(name, None if cache_dir is None else Path(cache_dir) / "datasets", progress=progress)
    paths = {part: str(getattr(files, part)) for part in ("train", "valid", "test")}
    if json:
        print_json(paths)
    else:
        for part, path in paths.items():
            typer.echo(f"{part}: {path}")


@command.command(cls=Verb, epilog="masknet data clean")
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
