"""What each column means: the fields that a model reads, and the columns that play another part.

A schema is decided once, over all rows of the training table, and stored; scoring casts by it and never infers again.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

ValueType = Literal["integer", "boolean", "text"]


class Categorical(BaseModel):
    """A field of values that are the same or different, and nothing else.

    `values` says when two of them are the same: integers compare as numbers (7, 7.0 and "7" are one value), booleans
    in any case, texts letter by letter.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: Literal["categorical"] = "categorical"
    values: ValueType = "text"


class Numeric(BaseModel):
    """A field of quantities."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: Literal["numeric"] = "numeric"


FieldSchema = Annotated[Categorical | Numeric, Field(discriminator="kind")]


class Schema(BaseModel):
    """The parts that the columns of a table play.

    >>> schema = Schema(label="click", fields=(Categorical(name="user", values="integer"), Numeric(name="price")))
    >>> schema.field_names
    ('user', 'price')
    >>> Schema.model_validate_json(schema.model_dump_json()) == schema
    True

    Args:
        label: the column to predict, 0 or 1.
        fields: what the model reads, in the order of their slots.
        weight: the column of sample weights.
        group: the column of groups for the grouped AUC.
        time: the column of time.
        ignored: columns of the training table that no model sees.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    label: str | None
    fields: tuple[FieldSchema, ...]
    weight: str | None = None
    group: str | None = None
    time: str | None = None
    ignored: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _distinct(self) -> Schema:
        names = [*self.field_names, *(name for name in (self.label, self.weight) if name is not None), *self.ignored]
        twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
        if twice:
            raise ValueError(f"a column plays one part; '{twice[0]}' plays two: keep one")
        return self

    @property
    def field_names(self) -> tuple[str, ...]:
        """The input columns that scoring needs."""
        return tuple(field.name for field in self.fields)

    @property
    def role_names(self) -> tuple[str, ...]:
        """The columns beside the fields that evaluation needs, where they are named: label, weight, group."""
        return tuple(dict.fromkeys(name for name in (self.label, self.weight, self.group) if name is not None))
