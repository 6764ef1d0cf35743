"""The model card: what a saved model is, for a person who opens its folder."""

from __future__ import annotations

from typing import Any

from masknet.encode import Encoder
from masknet.figures import in_words, metric_rows
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

{_bullets(manifest.training | {"precision": manifest.precision})}

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
    if not manifest.tasks:
        return _metric_table(manifest.metrics)
    return "\n\n".join(
        f"Of `{label}`, where it is known ({task['rows']:,} rows):\n\n{_metric_table(task['metrics'])}"
        for label, task in manifest.tasks.items()
    )


def _metric_table(metrics: dict[str, dict[str, Any]]) -> str:
    rows = "\n".join(f"| {' | '.join(row)} |" for row in metric_rows(metrics))
    words = in_words(metrics)
    said = f"\n\nIn words: {words}." if words else ""
    return f"| metric | value | 95 % interval |\n|---|---|---|\n{rows}{said}"


def _number(value: Any) -> str:
    """A number with the digits that mean something, and each of several."""
    if isinstance(value, list):
        return ", ".join(_number(one) for one in value)
    if isinstance(value, dict):
        return ", ".join(f"{key} {_number(one)}" for key, one in value.items())
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
