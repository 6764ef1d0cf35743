"""`masknet tune`: the settings of one model that the validation rows like best."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from masknet.cli.compare import tell_prepared
from masknet.cli.console import (
    ConsoleProgress,
    free_place,
    import_from_here,
    print_json,
    print_next,
    screen,
    states_errors,
    stop,
)
from masknet.cli.settings import over, shared_settings, takes_besides
from masknet.config import RunConfig
from masknet.errors import ConfigError
from masknet.figures import in_time, metric_name

_OWN = (
    *("data", "out", "overwrite", "resume"),  # said otherwise, or not at all
    *("members", "refit", "tensorboard", "golden_rows", "checkpoint_minutes", "bad_rows"),  # matters of one run
)
"""The settings of a run that a search does not take."""

_SHOWN, _BAR = 10, 30
_FEW = 10
"""Trials below which what decides is a guess."""

EXAMPLES = (
    "masknet tune train.parquet --label click --model fm --trials 3",
    "masknet tune train.parquet --label click --ignore timestamp --model dnn --minutes 0.1 --out search",
)


@states_errors
def command(
    data: Annotated[
        str | None, typer.Argument(help="The table: a file, a glob or a folder of shards.", show_default=False)
    ] = None,
    config: Annotated[
        str | None, typer.Option("--config", help="A run file (YAML) whose settings stay; flags win over it.")
    ] = None,
    trials: Annotated[
        int | None, typer.Option(metavar="N", help="Train so often, the defaults first; a larger N goes on.")
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(metavar="M", help="Train for so long, in all; the defaults are trained to their end."),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(help="The folder of the search; the same command goes on (default: the data's name + .tune)."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Begin anew where --out holds another search.")
    ] = False,
    **shared: Any,
) -> None:
    """Search a model's settings: what is set here stays, what is left open is moved."""
    from masknet.places import stem_of
    from masknet.table import table_name
    from masknet.train import Interrupted
    from masknet.tune import BEST, NEEDS, Budget, ToTune, tune

    run = RunConfig(**over(shared_settings(config, "a search"), shared, data))
    if "-" in (run.data, run.valid):
        raise ConfigError("a search reads its rows several times, and standard input is read once: name a file")
    if ":" in run.model:
        import_from_here()
    run.require_named(*NEEDS)
    assert run.data is not None
    stem = stem_of(table_name(run.data, run.form))
    place = Path(f"{stem}.tune" if out is None else out)
    asked = ToTune(run, place, Budget(trials, minutes), overwrite)
    try:
        with ConsoleProgress() as progress:
            results = tune(asked, progress, on_prepared=lambda prepared: tell_prepared(progress, prepared))
    except (Interrupted, KeyboardInterrupt):
        stop(f"stopped; the trials that ended lie in {place}, and the same command goes on from there")
    if run.json_output:
        print_json(results)
        return
    console = screen()
    _print_trials(console, results)
    _print_importance(console, results)
    console.print(f"\nresults.json and trials.csv lie in {place}\nNext, the best settings, and a test on other rows:")
    print_next(console, ("train", "--config", str(place / BEST), "--out", free_place(f"{stem}.masknet")))


takes_besides(command, (name for name in RunConfig.model_fields if name not in _OWN))


def _print_trials(console: Console, results: dict[str, Any]) -> None:
    """The best trials, and what they moved; the defaults among them whatever they reached."""
    from masknet.tune import in_gain

    defaults, name = results["defaults"], metric_name(results["monitor"])
    order = sorted(
        (trial for trial in results["trials"] if trial["value"] is not None),
        key=lambda trial: abs(trial["value"] - results["best"]["value"]),
    )
    table = Table(box=None, pad_edge=False)
    for heading in ("trial", f"valid {name}", "epochs", "time"):
        table.add_column(heading.replace(" ", "\n"), justify="right", no_wrap=True)
    table.add_column("moved from the defaults")
    for trial in [*order[:_SHOWN], *(one for one in order[_SHOWN:] if one["trial"] == 0)]:
        settings = trial["settings"]
        changes = [f"{n} {json.dumps(v)}" for n, v in settings.items() if v != defaults["settings"][n]]
        table.add_row(
            str(trial["trial"]),
            f"{trial['value']:.4f}",
            "" if trial["epochs"] is None else f"{trial['epochs']:g}",
            in_time(trial["seconds"]),
            ", ".join(changes) or ("the defaults" if trial["trial"] == 0 else "nothing"),
        )
    console.print(table)
    chosen = ", which chose it: other rows gain less" if results["best"]["changes"] else ""
    console.print(f"\n{in_gain(results)}{chosen}")


def _print_importance(console: Console, results: dict[str, Any]) -> None:
    """A bar for each setting: how much of what the trials came to it decides."""
    importance = results["importance"]
    if not importance:
        return
    few = f", of {len(results['trials'])} trials a guess" if len(results["trials"]) < _FEW else ""
    console.print(f"\nwhat decided{few}:")
    width = max(map(len, importance))
    for name, share in importance.items():
        console.print(f"{name:<{width}} {100 * share:3.0f} % {'#' * round(_BAR * share)}".rstrip())
