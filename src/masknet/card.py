"""The model card: what a saved model is, for a person who opens its folder."""

from __future__ import annotations

from typing import Any

from masknet.encode import Encoder
from masknet.manifest import Manifest
from masknet.models import is_code

__all__ = ["model_card"]


def model_card(name: str, manifest: Manifest, encoder: Encoder, *, golden_rows: int, repeatable: bool) -> str:
    """The text of the card.

    Args:
        name: of the folder.
        manifest: what was trained.
        encoder: what it reads.
        golden_rows: how many rows of the data are kept.
        repeatable: whether the settings of the run name its data, so that a command trains it again.
    """
    labels = " and of ".join(f"`{label}` = 1" for label in encoder.schema.labels)
    trust = " --trust-code" if is_code(manifest.model) else ""
    count = manifest.num_parameters
    parameters = ", ".join(f"{number:,} in the {part}" for part, number in count.items())
    kept = f"- `golden.parquet` holds {golden_rows} rows of the data.\n" if golden_rows else ""
    networks = "the model" if manifest.members == 1 else f"the mean of {manifest.members} networks"
    again = ""
    if repeatable:
        again = f"; `masknet train --config {name}/run.json --out again.masknet` trains it again"
    judged = (
        "before the refit, which trained on those rows too"
        if manifest.training.get("refit")
        else "which also chose the weights: on new rows expect a little less"
    )
    return f"""# {name}

The probability of {labels} for a row of raw columns, by {networks} `{manifest.model}`.
{manifest.headline} ({parameters}). Written by masknet {manifest.masknet} on {manifest.created}.

## Trained on

{_bullets(manifest.data)}

## How it was trained

{_bullets(manifest.training)}

The settings are in `run.json`{again}.

## What it reads

| column | kind | known from training |
|---|---|---|
{_field_rows(encoder)}

Columns may come in any order, others are ignored, and values never seen or missing are scored too.

## How good it was

On {manifest.rows:,} validation rows, {judged}.

{_metric_tables(manifest)}

## How to use it

```sh
masknet check {name}{trust}
masknet evaluate {name} test.parquet{trust}
masknet predict {name} today.csv --out scores.parquet{trust}
```

## Limits

- The probabilities hold for rows like those it was trained on; traffic changes, so evaluate on fresh rows now and then.
- `vocabulary.parquet` lists values of the training data.
{kept}- `checksums.json` guards against damage, not against an attacker.
"""


def _bullets(facts: dict[str, Any]) -> str:
    return "\n".join(f"- {key.replace('_', ' ')}: {_number(value)}" for key, value in facts.items())


def _field_rows(encoder: Encoder) -> str:
    rows = []
    for field, encoding in zip(encoder.schema.fields, encoder.encodings, strict=True):
        known = encoding.known
        name = field.name.replace("|", "\\|").replace("\n", " ")
        rows.append(f"| {name} | {field.described} | {known} |")
    return "\n".join(rows)


def _metric_tables(manifest: Manifest) -> str:
    """A table of the one task, or one for each, below its label."""
    head = "| metric | value | 95% interval |\n|---|---|---|\n"
    if not manifest.tasks:
        return head + _metric_rows(manifest.metrics)
    return "\n\n".join(
        f"Of `{label}`, where it is known ({task['rows']:,} rows):\n\n{head}{_metric_rows(task['metrics'])}"
        for label, task in manifest.tasks.items()
    )


def _metric_rows(metrics: dict[str, dict[str, Any]]) -> str:
    rows = []
    for name, estimate in metrics.items():
        value, low = estimate["value"], estimate.get("low")
        shown = f"undefined: {estimate.get('why')}" if value is None else f"{value:.5f}"
        interval = "" if low is None else f"{low:.5f} to {estimate['high']:.5f}"
        rows.append(f"| {name.replace('_', ' ')} | {shown} | {interval} |")
    return "\n".join(rows)


def _number(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.6g}"
