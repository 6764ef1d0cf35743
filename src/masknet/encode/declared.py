"""What the user said about the columns of a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from masknet.errors import DataError, unknown
from masknet.schema import Decimal, Label, labels_of
from masknet.space import Pooling
from masknet.table import Table

__all__ = ["Declared"]

_OPTIONS = ("hash", "share", "separator", "max_length", "pooling", "weighted", "ordered", "project")
"""How a column is read as a field."""

_DECLARED_KINDS = ("categorical", "numeric", "bag", "dense", "datetime", "ignore")


@dataclass(frozen=True)
class Declared:
    """What the user said about the columns, under the names of the settings of a run; everything else is inferred.

    Args:
        label, weight, group, time: columns that play these parts.
        categorical, numeric, bag, dense, datetime, ignore: columns of that kind.
        separator: what stands between the values of a bag whose cells are texts.
        weighted: bags whose texts are `value:weight`.
        ordered: bags whose order carries meaning.
        max_length: values of a bag that are kept in a row, the last ones.
        pooling: how the values of a bag become one embedding.
        share: fields that read the vocabulary of another one.
        hash: fields without a vocabulary, and how many buckets they have.
        project: dense fields that enter through a learned projection.
        positive: for labels that are not written as 0 and 1 the text of a click.
        missing: texts that are a missing number, beside the usual ones.
        decimal: what stands before the decimals in texts.
    """

    label: Label = None
    weight: str | None = None
    group: str | None = None
    time: str | None = None
    categorical: tuple[str, ...] = ()
    numeric: tuple[str, ...] = ()
    bag: tuple[str, ...] = ()
    dense: tuple[str, ...] = ()
    datetime: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    separator: Mapping[str, str] = field(default_factory=dict)
    weighted: tuple[str, ...] = ()
    ordered: tuple[str, ...] = ()
    max_length: Mapping[str, int] = field(default_factory=dict)
    pooling: Mapping[str, Pooling] = field(default_factory=dict)
    share: Mapping[str, str] = field(default_factory=dict)
    hash: Mapping[str, int] = field(default_factory=dict)
    project: tuple[str, ...] = ()
    positive: Mapping[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    decimal: Decimal = "."

    @property
    def labels(self) -> tuple[str, ...]:
        """The columns to predict, one a task."""
        return labels_of(self.label)

    def kind_of(self, name: str) -> str | None:
        """The kind that a column is declared to be; None where it is not."""
        return next((kind for kind in _DECLARED_KINDS if name in getattr(self, kind)), None)

    @property
    def unread(self) -> tuple[str, ...]:
        """The columns that are left out, and so never read; a group is read, a field or none."""
        return tuple(name for name in self.ignore if name != self.group)

    def options_of(self, name: str) -> list[str]:
        """The flags that say how a column is read as a field.

        >>> Declared(ignore=("tags",), max_length={"tags": 5}, share={"seen": "tags"}).options_of("tags")
        ['--max-length', '--share']
        """
        named = {option: tuple(getattr(self, option)) for option in _OPTIONS}
        named["share"] += tuple(self.share.values())
        return [f"--{option.replace('_', '-')}" for option, names in sorted(named.items()) if name in names]

    def check(self, table: Table) -> None:
        """Refuse names that the table does not have, and columns with two parts.

        Raises:
            DataError: a column is not there, is given two parts that exclude each other, or is to be left out and read
                in some way.
        """
        for option in _OPTIONS:
            for name in getattr(self, option):
                if name not in table.columns:
                    flag = option.replace("_", "-")
                    raise DataError(
                        f"--{flag} names a column of {table.name}: {unknown('column', name, table.columns)}",
                        file=table.name,
                        column=name,
                    )
        for name in self.ignore:
            self.refuse_options(name, "it is given to --ignore")
        parts: dict[str, str] = {}
        roles = [(name, "label") for name in self.labels] + [(self.weight, "weight"), (self.time, "time")]
        fields = [(name, kind) for kind in _DECLARED_KINDS for name in getattr(self, kind)]
        group = [(self.group, "group")]
        for name, part in [pair for pair in roles + fields + group if pair[0] is not None]:
            if name not in table.columns:
                raise DataError(
                    f"--{part} names a column of {table.name}: {unknown('column', name, table.columns)}",
                    file=table.name,
                    column=name,
                )
            # A group may be a field too: a user is both.
            if name in parts and (part != "group" or parts[name] in ("label", "weight")):
                raise DataError(
                    f"a column plays one part; '{name}' is given to --{parts[name]} and --{part}: keep one",
                    column=name,
                )
            parts.setdefault(name, part)

    def refuse_options(self, name: str, why: str) -> None:
        """Refuse what would say how a column is read that is left out.

        Args:
            name: of the column.
            why: it is left out.

        Raises:
            DataError: a flag names it.
        """
        for flag in self.options_of(name)[:1]:
            raise DataError(
                f"{flag} is for columns that are read; '{name}' is left out ({why}): take it out of {flag}, or read "
                f"the column",
                column=name,
            )
