"""What is there already: a column of scores, or an artifact, that the new models have to be better than."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from masknet.artifact import Artifact, probabilities
from masknet.compare.results import Measured
from masknet.compare.rows import MeasuredRows, Seen, table_hashes
from masknet.config import OF_FILES, RunConfig
from masknet.encode.skew import percent
from masknet.errors import ConfigError, MasknetError
from masknet.predict import require_columns, tracked
from masknet.progress import Progress
from masknet.table import Table, open_table

__all__ = ["of_artifact", "of_column", "require_unseen", "score_rows"]


def of_column(column: str, rows: MeasuredRows, *, probabilities: bool) -> Measured:
    """The scores of a model in production as a row of the table.

    Args:
        column: its name.
        rows: with the scores.
        probabilities: whether they are; of other scores only the order means something.
    """
    assert rows.baseline is not None
    scores = rows.baseline
    if not probabilities:
        _, ranks = np.unique(scores, return_inverse=True)
        scores = ranks / max(1, int(ranks.max()))
    return Measured(column, "ok", scores=(scores[:, None],), in_production=True, calibrated=probabilities)


def of_artifact(artifact: Artifact, scores: NDArray[np.float64], seconds: float) -> Measured:
    """An artifact as a row of the table.

    Args:
        artifact: lies in a folder.
        scores: of the test rows.
        seconds: that they took.
    """
    assert artifact.path is not None
    manifest = artifact.manifest
    record: dict[str, Any] = {
        "seed": manifest.seed,
        "status": "ok",
        "members": manifest.members,
        "parameters": sum(manifest.num_parameters.values()),
        "seconds": manifest.training.get("seconds", 0.0),
        "scoring_seconds": seconds,
        "bytes": sum(file.stat().st_size for file in artifact.path.iterdir()),
        "model": str(artifact.path),
        "left_out": [],
        "curve": [],
    }
    return Measured(artifact.path.name, "ok", records=(record,), scores=(scores,), in_production=True)


def score_rows(
    artifact: Artifact, table: Table, limit: int | None, progress: Progress
) -> tuple[NDArray[np.float64], float]:
    """The probabilities of a table's rows, `[rows, labels]`, and the seconds that encoding and scoring took."""
    require_columns(artifact, table)
    parts, seconds = [np.empty((0, len(artifact.labels)))], 0.0
    for chunk in tracked(table, artifact.encoder.schema.field_names, "score the test rows", progress, limit=limit):
        started = time.perf_counter()
        parts.append(probabilities(artifact, chunk).reshape(len(chunk), -1))
        seconds += time.perf_counter() - started
    return np.concatenate(parts), seconds


def require_unseen(
    artifact: Artifact, config: RunConfig, data: Table, test: Table, *, apart: bool, progress: Progress
) -> None:
    """Refuse an artifact that learned from the rows that it is to be measured on.

    Args:
        artifact: the baseline.
        config: the settings of the comparison.
        data: what the models learn from.
        test: what all are measured on.
        apart: whether that is a table of its own.
        progress: warned where it cannot be told, or where few rows are shared.

    Raises:
        ConfigError: it did, or it predicts another label.
    """
    assert artifact.path is not None
    name = artifact.path.name
    if artifact.labels != config.labels:
        own, asked = (" and ".join(f"'{label}'" for label in labels) for labels in (artifact.labels, config.labels))
        raise ConfigError(f"a baseline predicts the same label; that of {name} is {own}, asked for is {asked}")
    own_table = _own_table(artifact)
    known = artifact.manifest.data
    same_name = known.get("name") == data.name and _all_rows(known) == data.count_rows()
    if not apart and (same_name or (own_table is not None and own_table.fingerprint() == data.fingerprint())):
        raise ConfigError(
            f"a baseline is measured on rows that it has not seen; {name} was trained on {data.name}, of which the "
            f"test rows are a tenth: name other rows with --test"
        )
    if own_table is None:
        progress.warn(f"the rows that {name} was trained on are not found, so it may have seen test rows")
        return
    try:
        hashes = [table_hashes(artifact.encoder, one, config.limit_rows) for one in (own_table, test)]
    except MasknetError as error:
        progress.warn(f"whether {name} has seen test rows cannot be told: {error}")
        return
    seen = Seen.of(*hashes)
    if seen.plain:
        raise ConfigError(
            f"a baseline is measured on rows that it has not seen; {seen.rows:,} of the {len(hashes[1]):,} test rows "
            f"({percent(seen.share)}) are in {own_table.name}, on which {name} was trained: name other rows with --test"
        )
    if seen.rows:
        progress.warn(
            f"{seen.rows:,} test rows ({percent(seen.share)}) are alike to rows that {name} was trained on, of which "
            f"{percent(seen.twice)} come twice"
        )


def _all_rows(known: dict[str, Any]) -> int:
    return int(known.get("rows", 0)) + int(known.get("valid_rows", 0))


def _own_table(artifact: Artifact) -> Table | None:
    """The table that it was trained on, where it still lies there."""
    path = artifact.run.get("data")
    if not isinstance(path, str) or not Path(path).exists():
        return None
    said = {name: artifact.run[name] for name in OF_FILES if artifact.run.get(name) is not None}
    try:
        run = RunConfig(**said)
        return open_table(path, columns=run.columns, form=run.form)
    except MasknetError:  # it is another file now
        return None
