from __future__ import annotations

import json
from dataclasses import FrozenInstanceError

import pytest

from masknet.space import FeatureSpace, FieldSpace

SPACE = FeatureSpace(
    num_ids=30,
    fields=(
        FieldSpace("user"),
        FieldSpace("genres", slots=3, pooling="mean", ordered=True),
        FieldSpace("price", kind="numeric", slots=2),
    ),
)


def test_slots_know_their_field() -> None:
    assert (SPACE.num_fields, SPACE.num_slots) == (3, 6)
    assert SPACE.slot_fields == (0, 1, 1, 1, 2, 2)


def test_a_space_survives_json() -> None:
    assert FeatureSpace.from_json(json.loads(json.dumps(SPACE.to_json()))) == SPACE
    SPACE.to_json()["fields"][0]["name"] = "other"
    assert SPACE.fields[0].name == "user"


def test_a_space_does_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        SPACE.num_ids = 31  # type: ignore[misc]
    assert len({SPACE, FeatureSpace.from_json(SPACE.to_json())}) == 1


@pytest.mark.parametrize(
    ("num_ids", "names", "sentence"),
    [
        (0, ("a",), "at least the padding id; num_ids is 0"),
        (5, (), "needs at least one field"),
        (5, ("a", "b", "a"), r"field names must differ; they are \['a', 'b', 'a'\]"),
    ],
)
def test_impossible_spaces_are_refused(num_ids: int, names: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        FeatureSpace(num_ids=num_ids, fields=tuple(map(FieldSpace, names)))


def test_a_field_owns_a_slot() -> None:
    with pytest.raises(ValueError, match="at least 1 slot; field 'x' was given 0"):
        FieldSpace("x", slots=0)
