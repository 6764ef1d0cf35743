"""What was decided about the columns of a table, and why: for the screen, for JSON and for the cache."""

from __future__ import annotations

import shlex
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from masknet.schema import Schema, TimeForm, moment_column

__all__ = ["ColumnReport", "Inspection"]


def _is_said_alone(option: str, value: str) -> bool:
    """Whether a flag of this option takes one text, or this one cannot stand among several with commas between."""
    among = value != "" and value == value.strip() and "," not in value and moment_column(value)[1] is None
    return option in ("missing", "decimal", "time") or not among


@dataclass(frozen=True)
class ColumnReport:
    """What was decided about one column, and why.

    Args:
        column: its name.
        kind: categorical, numeric, bag, dense, datetime, label, weight, group, time or ignored.
        why: the reason in a few words.
        distinct: distinct values, missing not counted; exact up to 10,000, else None (and None for lists and the like).
        missing: rows without a value; None of a column that was not read.
        flagged: whether the user should look at the decision.
        hint: the settings that would decide otherwise, pairs of a setting's name and what to give it.
    """

    column: str
    kind: str
    why: str
    distinct: int | None
    missing: int | None
    flagged: bool = False
    hint: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Inspection:
    """The schema of a table, a report on each column, and what must be known of all rows before they are split."""

    schema: Schema
    reports: tuple[ColumnReport, ...]
    rows: int
    warnings: tuple[str, ...] = ()
    labels: NDArray[np.uint8] | None = field(default=None, repr=False, compare=False)
    """`[rows, tasks]`."""
    times: NDArray[np.float64] | None = field(default=None, repr=False, compare=False)
    time_form: TimeForm | None = field(default=None, repr=False, compare=False)
    """How the times are written."""
    lengths: dict[str, float] = field(default_factory=dict, repr=False, compare=False)
    """The mean number of values a row, of each column that may be a bag."""

    @property
    def hints(self) -> str:
        """The flags that would follow all hints; empty where there are none.

        >>> report = ColumnReport("ip", "numeric", "integers", 70, 0, flagged=True, hint=(("categorical", "ip"),))
        >>> Inspection(Schema(label="click", fields=()), (report,), rows=100).hints
        '--categorical ip'
        """
        asked: dict[str, dict[str, None]] = {}
        for option, value in (pair for report in self.reports for pair in report.hint):
            asked.setdefault(option, {})[value] = None
        lines = []
        for option, values_of in asked.items():
            together = [value for value in values_of if not _is_said_alone(option, value)]
            texts = [",".join(together)] if together else []
            texts += [value for value in values_of if value not in together]
            lines += [f"--{option.replace('_', '-')} {shlex.quote(text)}" for text in texts]
        return " ".join(lines)

    @property
    def surprises(self) -> tuple[ColumnReport, ...]:
        """What nobody asked for: the flagged, those left out of themselves, and the fields that a warning names."""
        fields = set(self.schema.field_names)

        def surprises(report: ColumnReport) -> bool:
            if report.flagged or report.kind == "ignored":
                return report.why != "declared"
            return report.column in fields and any(f"'{report.column}'" in warning for warning in self.warnings)

        return tuple(filter(surprises, self.reports))

    @property
    def summary(self) -> str:
        """How many columns of each kind there are.

        >>> reports = [ColumnReport(name, "numeric", "numbers", 70, 0) for name in "ab"]
        >>> Inspection(Schema(label="click", fields=()), (*reports, ColumnReport("y", "label", "", 2, 0)), 9).summary
        '3 columns: 2 numeric, 1 label'
        """
        kinds = Counter(report.kind for report in self.reports)
        return f"{len(self.reports):,} columns: {', '.join(f'{n:,} {kind}' for kind, n in kinds.most_common())}"

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready copy, without the rows."""
        return {
            "rows": self.rows,
            "schema": self.schema.model_dump(mode="json"),
            "columns": [asdict(report) for report in self.reports],
            "warnings": list(self.warnings),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Inspection:
        """The inverse of `to_json`."""
        return cls(
            schema=Schema.model_validate(data["schema"]),
            reports=tuple(ColumnReport(**{**r, "hint": tuple(map(tuple, r.get("hint", ())))}) for r in data["columns"]),
            rows=data["rows"],
            warnings=tuple(data["warnings"]),
        )
