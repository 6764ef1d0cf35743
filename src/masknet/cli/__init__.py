"""The command line: a verb is a function in a module of its name, imported only when it is called."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

import typer

import masknet

VERBS = {
    "train": "Train a model on a click log.",
    "evaluate": "Measure a model on labelled rows.",
    "predict": "Score rows, labelled or not.",
    "inspect": "Show what each column of a table is taken for.",
    "check": "See that a model is whole and still gives its golden probabilities.",
    "demo": "Train on MovieLens-100K and compare with four baselines.",
    "data": "Fetch example data, or empty the cache.",
}


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"masknet {masknet.__version__}")
        raise typer.Exit


def _root(
    version: bool = typer.Option(False, "--version", help="Print the version.", callback=_version, is_eager=True),
) -> None:
    """Click-through-rate ranking with instance-guided masks (MaskNet)."""


def _not_called() -> None:
    """Stand in for a verb that is listed and not called, so that nothing heavy is imported for it."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `masknet ARGUMENTS`; by default those of the process."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    called = next((word for word in given if not word.startswith("-")), None)
    app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
    app.callback()(_root)
    for verb, summary in VERBS.items():
        command = importlib.import_module(f"masknet.cli.{verb}").command if verb == called else _not_called
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=verb, help=summary)
        else:
            app.command(verb, help=summary if command is _not_called else None)(command)
    app(given, prog_name="masknet")
