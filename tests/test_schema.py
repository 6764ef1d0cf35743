from __future__ import annotations

import pytest
from pydantic import ValidationError

from masknet.schema import Categorical, Datetime, Numeric, Schema

SCHEMA = Schema(
    label="click",
    fields=(Categorical(name="user", values="integer"), Numeric(name="price"), Categorical(name="city 🙂")),
    weight="w",
    group="user",
    time="at",
    ignored=("junk",),
)


def test_a_schema_survives_json() -> None:
    assert Schema.model_validate_json(SCHEMA.model_dump_json()) == SCHEMA
    assert Schema.model_validate(SCHEMA.model_dump(mode="json")) == SCHEMA


def test_what_scoring_and_evaluation_need() -> None:
    assert SCHEMA.field_names == ("user", "price", "city 🙂")
    assert SCHEMA.role_names == ("click", "w", "user")
    assert Schema(label=None, fields=(Numeric(name="x"),)).role_names == ()
    assert Schema(label="y", fields=(Numeric(name="x"),), group="y").role_names == ("y",)


def test_a_schema_does_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        SCHEMA.label = "other"  # type: ignore[misc]
    with pytest.raises(ValidationError, match="frozen"):
        SCHEMA.fields[0].name = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    "wrong",
    [
        {"label": "y", "fields": [{"name": "x", "kind": "picture"}]},
        {"label": "y", "fields": [{"name": "x"}]},
        {"label": "y", "fields": [{"name": "x", "kind": "categorical", "values": "complex"}]},
        {"label": "y", "fields": [{"name": "x", "kind": "numeric", "values": "integer"}]},
        {"label": "y", "fields": [], "lable": "z"},
        {"fields": []},
    ],
    ids=["unknown kind", "no kind", "unknown values", "values of a number", "misspelt", "no label"],
)
def test_what_is_no_schema_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Schema.model_validate(wrong)


@pytest.mark.parametrize(
    ("parts", "name"),
    [
        ({"fields": (Numeric(name="x"), Categorical(name="x"))}, "x"),
        ({"fields": (Numeric(name="y"),)}, "y"),
        ({"fields": (Numeric(name="x"),), "weight": "x"}, "x"),
        ({"fields": (Numeric(name="x"),), "ignored": ("x",)}, "x"),
    ],
)
def test_a_column_plays_one_part(parts: dict[str, object], name: str) -> None:
    with pytest.raises(ValidationError, match=f"a column plays one part; '{name}' plays two"):
        Schema.model_validate({"label": "y", **parts})


def test_a_field_is_not_named_as_a_part_of_a_moment_is() -> None:
    moment = Datetime(name="ts")
    assert moment.parts == ("ts.hour", "ts.weekday", "ts.age")
    for part in moment.parts:
        with pytest.raises(ValidationError, match=f"'{part}' would be one of 'ts' and a field of its own"):
            Schema(label=None, fields=(moment, Categorical(name=part)))
    Schema(label=None, fields=(moment, Categorical(name="ts.minute"), Datetime(name="ts.hour")))
