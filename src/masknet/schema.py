"""What each column means: the fields that a model reads, and the columns that play another part.

A schema is decided once, over all rows of the training table, and stored; scoring casts by it and never infers again.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from masknet.space import Pooling

ValueType = Literal["integer", "boolean", "float", "moment", "text"]
NumericEncodingName = Literal["linear", "knots"]
Decimal = Literal[".", ","]
BagForm = Literal["separated", "listed", "words"]
Label = str | tuple[str, ...] | None
"""The column to predict, or several; None where none is known."""
TimeForm = (
    Literal["iso", "yyyymmdd", "yymmddhh", "seconds", "milliseconds", "microseconds", "nanoseconds"]
    | Annotated[str, Field(pattern="%")]
)
"""How moments are written: by name, or as a format in strptime's notation says."""


UNKNOWN = 255
"""Among labels, which are 0 and 1: one that is not known, as it may be where there are several."""


def labels_of(label: Label) -> tuple[str, ...]:
    """The columns to predict, however many there are.

    >>> labels_of("click"), labels_of(("click", "like")), labels_of(None)
    (('click',), ('click', 'like'), ())
    """
    return () if label is None else (label,) if isinstance(label, str) else label


_WITH_FORMAT = re.compile(r"(.+?)=([^=]*%[A-Za-z].*)", re.DOTALL)


def moment_column(text: str) -> tuple[str, str | None]:
    """A column of moments, as it is said, and the format of its texts where one is said too.

    >>> moment_column("at"), moment_column("at=%b %d, %Y")
    (('at', None), ('at', '%b %d, %Y'))
    """
    found = _WITH_FORMAT.fullmatch(text)
    return (text, None) if found is None else (found[1], found[2])


class _Column(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str

    @model_serializer(mode="wrap")
    def _as_before(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without what came later, where it says nothing: what an older file said is written again as it was."""
        content: dict[str, Any] = dump(self)
        silent: dict[str, tuple[Any, ...]] = {"missing": ([], ()), "decimal": (".",), "form": ("separated",)}
        return {name: value for name, value in content.items() if value not in silent.get(name, ())}

    @property
    def described(self) -> str:
        """What it holds, in words."""
        kind, values = (getattr(self, name, "") for name in ("kind", "values"))
        return f"{kind} ({values})" if values else kind


class Categorical(_Column):
    """A field of values that are the same or different, and nothing else.

    Args:
        values: when two of them are the same: integers and floats compare as numbers (7, 7.0, "7" and "007" are one
            value), moments as instants, booleans as true and false, texts letter by letter.
        buckets: hash the values into so many ids, at least 1, and keep no vocabulary; None keeps one.
        shares: the field whose vocabulary this one reads; None where it has its own.
    """

    kind: Literal["categorical"] = "categorical"
    values: ValueType = "text"
    buckets: int | None = Field(default=None, ge=1)
    shares: str | None = None


class Numeric(_Column):
    """A field of quantities.

    Args:
        encoding: "linear" is one slot, the scaled number times the field's vector; "knots" is two slots, the
            neighbouring quantile knots of training, weighted `1 - w` and `w`.
        missing: texts that are a missing number, beside the usual ones.
        decimal: what stands before the decimals in texts.
    """

    kind: Literal["numeric"] = "numeric"
    encoding: NumericEncodingName = "linear"
    missing: tuple[str, ...] = ()
    decimal: Decimal = "."


class Bag(_Column):
    """A field of several values a row: a list, or a text with a separator; weighted or not.

    Args:
        values, buckets, shares: as in `Categorical`, of each value.
        separator: what stands between the values where a cell is a text; None where cells are lists.
        form: how such a text is read: "separated" at the separator, "listed" too, without the brackets and quotes of a
            written list, and "words" in lower case at whatever is no letter or digit.
        weighted: whether each value has a weight: `value:weight` in a text, a pair in a list.
        ordered: whether the order of the values carries meaning, the last being the latest.
        max_length: values a row at most, at least 1; the last are kept. None keeps all.
        pooling: how the values become one embedding: their weighted sum, or that over the sum of weights.
    """

    kind: Literal["bag"] = "bag"
    values: ValueType = "text"
    buckets: int | None = Field(default=None, ge=1)
    shares: str | None = None
    separator: str | None = Field(default=None, min_length=1)
    form: BagForm = "separated"
    weighted: bool = False
    ordered: bool = False
    max_length: int | None = Field(default=None, ge=1)
    pooling: Pooling = "mean"


class Dense(_Column):
    """A vector a row: a list of `width` finite numbers, or a text of them.

    Args:
        width: numbers a row, at least 1.
        projected: whether it enters the network through a learned projection, and not as it is.
    """

    kind: Literal["dense"] = "dense"
    width: int = Field(ge=1)
    projected: bool = False


class Datetime(_Column):
    """A moment, read as three fields: the hour and the weekday (Monday is 0), and the age in days.

    The age is counted back from the latest moment of training; whatever is later counts as that.

    Args:
        form: how the moments are written: "iso" (dates and times, typed or as ISO texts), "yyyymmdd" (20141021),
            "yymmddhh" (14102100), seconds, milliseconds, microseconds or nanoseconds since 1970, or a format in
            strptime's notation ("%m/%d/%Y"); all lie in the years 1 to 9999.
        zoned: whether those of training name their zone, as all others then must or must not; None where it is not
            known.
        missing: texts that are a missing moment, beside those that are a missing number.
        encoding: of the age, as in `Numeric`.
    """

    kind: Literal["datetime"] = "datetime"
    form: TimeForm = "iso"
    zoned: bool | None = None
    missing: tuple[str, ...] = ()
    encoding: NumericEncodingName = "linear"

    @property
    def parts(self) -> tuple[str, str, str]:
        """The names of the fields that it is read as."""
        return f"{self.name}.hour", f"{self.name}.weekday", f"{self.name}.age"


FieldSchema = Annotated[Categorical | Numeric | Bag | Dense | Datetime, Field(discriminator="kind")]


class Schema(BaseModel):
    """The parts that the columns of a table play.

    >>> schema = Schema(label="click", fields=(Categorical(name="user", values="integer"), Numeric(name="price")))
    >>> schema.field_names
    ('user', 'price')
    >>> Schema.model_validate_json(schema.model_dump_json()) == schema
    True

    Args:
        label: the column to predict, 0 or 1; of several, which may be unknown too, all.
        fields: what the model reads, in the order of their slots.
        positive: for labels that are not written as 0 and 1 the text of a click.
        weight: the column of sample weights.
        group: the column of groups for the grouped AUC.
        time: the column of time.
        ignored: columns of the training table that no model sees.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    label: Label
    fields: tuple[FieldSchema, ...]
    weight: str | None = None
    group: str | None = None
    time: str | None = None
    ignored: tuple[str, ...] = ()
    positive: dict[str, str] = {}

    @model_serializer(mode="wrap")
    def _as_before(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """As of the columns: what came later and says nothing is left out."""
        content: dict[str, Any] = dump(self)
        return {name: value for name, value in content.items() if name != "positive" or value}

    @model_validator(mode="after")
    def _distinct(self) -> Schema:
        weight = () if self.weight is None else (self.weight,)
        names = [*self.field_names, *self.labels, *weight, *self.ignored]
        twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
        if twice:
            raise ValueError(f"a column plays one part; '{twice[0]}' plays two: keep one")
        return self

    @model_validator(mode="after")
    def _parts_differ(self) -> Schema:
        plain = {field.name for field in self.fields if not isinstance(field, Datetime)}
        for moment in (field for field in self.fields if isinstance(field, Datetime)):
            taken = [part for part in moment.parts if part in plain]
            if taken:
                raise ValueError(
                    f"a moment is read as three fields, named after it; '{taken[0]}' would be one of '{moment.name}' "
                    f"and a field of its own: rename one of them, or leave one out"
                )
        return self

    @model_validator(mode="after")
    def _shared(self) -> Schema:
        owners = {f.name: f for f in self.fields if isinstance(f, Categorical | Bag) and f.shares is None}
        for field in self.fields:
            if not isinstance(field, Categorical | Bag) or field.shares is None:
                continue
            owner = owners.get(field.shares)
            if owner is None:
                raise ValueError(
                    f"a field shares the vocabulary of a categorical field or a bag that has its own; '{field.name}' "
                    f"is to share that of '{field.shares}': name such a field"
                )
            if owner.values != field.values or field.buckets is not None:
                raise ValueError(
                    f"fields that share a vocabulary hold one type of values and say their buckets once; "
                    f"'{field.name}' ({field.values}) differs from '{owner.name}' ({owner.values})"
                )
        return self

    @property
    def labels(self) -> tuple[str, ...]:
        """The columns to predict, one a task."""
        return labels_of(self.label)

    @property
    def field_names(self) -> tuple[str, ...]:
        """The input columns that scoring needs."""
        return tuple(field.name for field in self.fields)

    @property
    def role_names(self) -> tuple[str, ...]:
        """The columns beside the fields that evaluation needs, where they are named: labels, weight, group."""
        others = (name for name in (self.weight, self.group) if name is not None)
        return tuple(dict.fromkeys((*self.labels, *others)))
