"""What of a run's settings decides how its tables are read, encoded and split."""

from __future__ import annotations

from dataclasses import fields

from masknet.config import RunConfig
from masknet.encode import Declared, EncodingPlan

__all__ = ["declared_of", "encoding_plan"]


def declared_of(config: RunConfig) -> Declared:
    """What is said of the columns."""
    return Declared(**{part.name: getattr(config, part.name) for part in fields(Declared)})


def encoding_plan(config: RunConfig) -> EncodingPlan:
    """Those of a run's settings that decide how its tables are encoded and split."""
    return EncodingPlan(
        declared=declared_of(config),
        valid_fraction=config.valid_fraction,
        valid_after=config.valid_after,
        min_count=config.min_count,
        max_vocabulary=config.max_vocabulary,
        numeric_encoding=config.numeric_encoding,
        negative_rate=config.negative_rate,
        limit_rows=config.limit_rows,
        bad_rows=config.bad_rows,
    )
