"""The settings that decide how tables are read are said once: whoever takes them has the names of `RunConfig`."""

from __future__ import annotations

from dataclasses import fields

from masknet.cli import inspect as verb
from masknet.config import RunConfig
from masknet.encode import Declared, EncodingPlan
from masknet.train.plan import declared_of, encoding_plan

SETTINGS = RunConfig.model_fields


def test_what_is_declared_are_settings_with_their_defaults() -> None:
    for part in fields(Declared):
        assert part.name in SETTINGS
    assert declared_of(RunConfig()) == Declared()


def test_inspect_takes_all_that_is_declared() -> None:
    assert set(verb._DECLARED) == {part.name for part in fields(Declared)}


def test_a_plan_is_made_of_settings_but_for_what_a_model_asks_for() -> None:
    names = {part.name for part in fields(EncodingPlan)} - {"declared", "raw_numbers", "by_time"}
    assert names <= set(SETTINGS)
    plan = encoding_plan(RunConfig())
    assert {name: getattr(plan, name) for name in names} == {name: SETTINGS[name].default for name in names}
    # A plan of its own merges nothing that is rare and keeps a number one slot; a run's defaults are those of a run.
    differ = {name for name in names if getattr(EncodingPlan(Declared()), name) != getattr(plan, name)}
    assert differ == {"min_count", "numeric_encoding"}
