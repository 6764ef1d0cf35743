"""`masknet check`: is the model whole, and does it still say what it said?"""

from __future__ import annotations

from typing import Annotated

import typer

from masknet.cli.console import fail, import_from_here, print_json, screen, states_errors

EXAMPLES = ("masknet check ads.masknet",)


@states_errors
def command(
    model: Annotated[str, typer.Argument(help="A trained model.")],
    trust_code: Annotated[bool, typer.Option("--trust-code", help="Import a network that is not masknet's.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
) -> None:
    """See that a model is whole and still gives its golden probabilities."""
    from masknet.artifact import check, load_artifact

    if trust_code:
        import_from_here()
    result = check(load_artifact(model, trust_code=trust_code))
    if json:
        print_json({"ok": result.ok, "golden_rows": result.rows, "difference": result.difference})
    elif result.ok:
        screen().print(f"{model}: every file is whole; {result.sentence}")
    if not result.ok:
        fail(f"{model}: {result.sentence}")
