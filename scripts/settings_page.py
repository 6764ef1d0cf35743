"""Write docs/settings.md: every setting of a run, as `masknet train --help` tells of it.

    python scripts/settings_page.py

A test holds the page equal to what this makes.
"""

from __future__ import annotations

from pathlib import Path

import typer
from typer.main import get_command

from masknet.cli.train import command

PAGE = Path(__file__).resolve().parents[1] / "docs" / "settings.md"
HEAD = """\
# Every setting of a run

Each is a flag of `masknet train`, a line of a run file (`batch_size: 512` for `--batch-size 512`; a list for what is
repeatable, a mapping for pairs), and, but for those of places and of the screen, a keyword of `CTRClassifier`. Flags
win over the run file of `--config`. The run file of a finished run lies in the model, as `run.json`.
`masknet --install-completion` makes your shell complete verbs and flags; `--show-completion` prints the script.

This page is made by `python scripts/settings_page.py`.
"""


def page() -> str:
    """The text of the page."""
    sections: dict[str, list[str]] = {}
    app = typer.Typer(add_completion=False)
    app.command()(command)
    for option in get_command(app).params:
        if option.rich_help_panel is None:  # the table itself, the run file, and the help
            continue
        names = (*option.opts, *option.secondary_opts)
        flag = " or ".join(f"`{name}{f' {option.metavar}' if option.metavar else ''}`" for name in names)
        row = f"| {_cell(flag)} | {_cell(option.help)} |"
        sections.setdefault(option.rich_help_panel, ["| flag | what it does |", "|---|---|"]).append(row)
    return "\n".join([HEAD, *(f"## {name}\n\n" + "\n".join(rows) + "\n" for name, rows in sections.items())])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
