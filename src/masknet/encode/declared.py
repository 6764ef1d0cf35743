"""What the user said about the columns of a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from masknet.encode.moment_texts import check_format
from masknet.errors import DataError, unknown
from masknet.schema import Decimal, Label, labels_of, moment_column
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
        label, weight, group, time: columns that play these parts; that of time with a format as those of `datetime`.
        categorical, numeric, bag, dense, datetime, ignore: columns of that kind; of moments `FIELD=FORMAT` too.
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

    @property
    def time_column(self) -> str | None:
        """The column of time."""
        return None if self.time is None else moment_column(self.time)[0]

    @property
    def _moments(self) -> list[tuple[str, str | None]]:
        return [moment_column(text) for text in (*self.datetime, *(() if self.time is None else (self.time,)))]

    @property
    def moments(self) -> dict[str, str | None]:
        """The columns of moments, that of time among them, and the format of each for which one is said.

        >>> Declared(datetime=("at", "seen=%d.%m.%Y"), time="at=%m/%d/%Y").moments
        {'at': '%m/%d/%Y', 'seen': '%d.%m.%Y'}
        """
        found: dict[str, str | None] = {}
        for name, form in self._moments:
            found[name] = found.get(name) or form
        return found

    def _named(self, kind: str) -> tuple[str, ...]:
        names: tuple[str, ...] = getattr(self, kind)
        return tuple(moment_column(name)[0] for name in names) if kind == "datetime" else names

    def kind_of(self, name: str) -> str | None:
        """The kind that a column is declared to be; None where it is not."""
        return next((kind for kind in _DECLARED_KINDS if name in self._named(kind)), None)

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
        roles: list[tuple[str | None, str]] = [*((name, "label") for name in self.labels), (self.weight, "weight")]
        fields = [(name, kind) for kind in _DECLARED_KINDS for name in self._named(kind)]
        beside = [(self.time_column, "time"), (self.group, "group")]
        for name, part in (*roles, *fields, *beside):
            if name is None:
                continue
            if name not in table.columns:
                raise DataError(
                    f"--{part} names a column of {table.name}: {unknown('column', name, table.columns)}",
                    file=table.name,
                    column=name,
                )
            # A group and a time may be fields too: a user is both, and so is the hour of a click.
            taken = ("label", "weight") if part == "group" else ("label", "weight", "ignore")
            if name in parts and (part not in ("group", "time") or parts[name] in taken):
                raise DataError(
                    f"a column plays one part; '{name}' is given to --{parts[name]} and --{part}: keep one",
                    column=name,
                )
            parts.setdefault(name, part)
        for name, form in self._moments:
            if form is not None:
                check_format(form)
                if form != self.moments[name]:
                    raise DataError(
                        f"the moments of a column are written in one form; '{name}' is given '{self.moments[name]}' "
                        f"in --datetime and '{form}' in --time: keep one",
                        column=name,
                    )

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
