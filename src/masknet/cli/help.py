"""What `--help` prints: options by their kinds, as wide as the terminal is, and examples that run."""

from __future__ import annotations

from typing import Any

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text
from typer.core import TyperCommand, TyperGroup

__all__ = ["Group", "Verb"]

_BESIDE_FROM, _NAMES = 80, 32
"""From so many columns on what an option does stands beside its name, which has at most so many; else below it."""


class Verb(TyperCommand):
    """A command with our `--help`; its `epilog` holds examples, one a line."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        _print_help(self, ctx, {})


class Group(TyperGroup):
    """Commands with our `--help`."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        found = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        _print_help(self, ctx, {name: command.help or "" for name, command in found.items() if command is not None})


def _print_help(command: Verb | Group, ctx: Any, verbs: dict[str, str]) -> None:
    console = Console(markup=False, emoji=False, highlight=False)
    sections: dict[str, dict[str, str]] = {}
    for parameter in command.get_params(ctx):
        section = _section(parameter)
        sections.setdefault(section, {})[_names(parameter)] = _what(parameter)
    if verbs:
        sections["Commands"] = verbs
    console.print(Text(f"Usage: {ctx.command_path} {' '.join(command.collect_usage_pieces(ctx))}"), soft_wrap=True)
    console.print(f"\n{command.help}")
    for heading, entries in sections.items():
        console.print()
        console.print(Rule(heading, align="left", style="dim"))
        for line in _lines(entries, beside=console.width >= _BESIDE_FROM):
            console.print(line)
    if command.epilog:
        console.print()
        console.print(Rule("Examples", align="left", style="dim"))
        for example in command.epilog.splitlines():
            console.print(example, soft_wrap=True)  # to be copied as one line


def _lines(entries: dict[str, str], *, beside: bool) -> list[RenderableType]:
    if not beside:
        return [part for n, text in entries.items() for part in (Text(n, style="bold"), Padding(text, (0, 0, 0, 4)))]
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(max_width=_NAMES, style="bold")
    table.add_column()
    for entry in entries.items():
        table.add_row(*entry)
    return [table]


def _section(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return "Arguments"
    return parameter.rich_help_panel or "Options"


def _names(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return str(parameter.name)
    names = ", ".join((*sorted(parameter.opts, key=len), *parameter.secondary_opts))
    return names if parameter.is_flag else f"{names} {parameter.metavar or 'TEXT'}"


def _what(parameter: Any) -> str:
    """What it does, with the default where the words do not say it."""
    text = parameter.help or ""
    if parameter.required:
        return f"{text} (required)"
    told = parameter.default in (None, False) or "(default: " in text
    return text if told else f"{text} (default: {parameter.default})"
