"""The command line: a verb is a function in a module of its name, imported only when it is called."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

import typer

import masknet
from masknet.cli.help import Group, Verb
from masknet.heap import keep_freed_memory

VERBS = {
    "train": "Train a model on a click log.",
    "compare": "Compare models on the same rows, and with what is there.",
    "tune": "Search the settings of a model.",
    "evaluate": "Measure a model on labelled rows.",
    "predict": "Score rows, labelled or not.",
    "inspect": "Show what each column of a table is taken for.",
    "check": "See that a model is whole and still gives its golden probabilities.",
    "demo": "Compare MaskNet with two baselines on MovieLens-100K.",
    "data": "Fetch example data, or empty the cache.",
}

EXAMPLES = (
    "masknet inspect train.parquet --label click",
    "masknet train train.parquet --label click --ignore timestamp --out ads.masknet",
    "masknet predict ads.masknet today.csv --out scores.parquet",
)


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
    called = next((word for word in given or _to_complete() if not word.startswith("-")), None)
    app = typer.Typer(
        cls=Group,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["--help", "-h"]},
        epilog="\n".join(EXAMPLES),
    )
    app.callback()(_root)
    for verb, summary in VERBS.items():
        if verb != called:
            app.command(verb, cls=Verb, help=summary)(_not_called)
            continue
        keep_freed_memory()
        module = importlib.import_module(f"masknet.cli.{verb}")
        if isinstance(module.command, typer.Typer):
            app.add_typer(module.command, name=verb, help=summary)
        else:
            app.command(verb, cls=Verb, epilog="\n".join(module.EXAMPLES))(module.command)
    app(given, prog_name="masknet")


def _to_complete() -> list[str]:
    """The words behind `masknet` that a shell asks to complete, as the scripts of `--show-completion` give them."""
    return os.environ.get("COMP_WORDS", os.environ.get("_TYPER_COMPLETE_ARGS", "")).split()[1:]
