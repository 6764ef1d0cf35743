"""Golden rows: a few rows of the data kept in the model with their probabilities, for `masknet check`."""

from __future__ import annotations

import polars as pl

from masknet.artifact import probability_columns
from masknet.config import RunConfig
from masknet.encode import Encoder
from masknet.encode.sift import declared_checks, sift
from masknet.scoring import Scorer, probabilities_of
from masknet.table import Table
from masknet.train.plan import declared_of

__all__ = ["golden_rows"]


def golden_rows(table: Table, encoder: Encoder, scorer: Scorer, config: RunConfig) -> pl.DataFrame | None:
    """The raw fields of the first good rows of a table with their probabilities; None where none are to be kept."""
    rows = config.golden_rows
    if rows == 0:
        return None
    if config.bad_rows == "quarantine":
        declared = declared_of(config)
        table = sift(table, declared_checks(declared), but=declared.unread, limit=rows)
    chunk = next(table.chunks(encoder.schema.field_names, limit=rows))
    names = probability_columns(encoder.schema.labels)
    found = probabilities_of(scorer.logits(encoder.encode(chunk))).reshape(len(chunk), len(names))
    return chunk.frame.with_columns(pl.Series(name, column) for name, column in zip(names, found.T, strict=True))
