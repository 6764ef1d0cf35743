from __future__ import annotations

from typing import Any

import pytest

from masknet.compare.verdict import verdict_of


def model(name: str, *, to: str, tie: bool = True, value: float = -0.01, **others: Any) -> dict[str, Any]:
    auc = {"value": 0.7, "low": 0.68, "high": 0.72}
    ratio = {"value": 1.02, "low": 0.95, "high": 1.1}
    return {
        "model": name,
        "status": "ok",
        "metrics": {"auc": auc, "calibration_ratio": ratio},
        "difference": {"to": to, "tie": tie, "value": 0.0 if to == name else value, "detectable": 0.0123},
        "scoring_seconds": 0.002,
        "bytes": 400_000,
        **others,
    }


def results(*models: dict[str, Any], seeds: int = 3) -> dict[str, Any]:
    best = next(one["model"] for one in models if not one.get("baseline"))
    return {
        "labels": ["click"],
        "seeds": seeds,
        "best": best,
        "rows": 1000,
        "clicks": 200,
        "test": {"rows": 1000},
        "tests": {"level": 0.05},
        "models": list(models),
    }


def against(value: float, low: float | None, high: float | None, *, tie: bool) -> dict[str, Any]:
    return {"prod": {"value": value, "low": low, "high": high, "tie": tie, "detectable": 0.0123}}


def test_a_tie_is_called_a_tie() -> None:
    told = verdict_of(results(model("a", to="a"), model("b", to="a"), model("c", to="a", tie=False)))
    assert told[0] == "a ranks best, but the rows do not tell it from b: its AUC is 0.700 (0.680 to 0.720)."
    assert told[1] == "It is better than c."
    assert told[2] == "a costs 2 microseconds a row to encode and score here, and 0.4 MB."
    assert told[3].startswith("There were 1,000 test rows with 200 clicks: a difference of 0.012 in AUC would be found")
    assert len(told) == 4


def test_a_plain_best_and_one_alone() -> None:
    told = verdict_of(results(model("a", to="a"), model("b", to="a", tie=False)))
    assert told[0].startswith("a ranks best, and the rows tell it from all others")
    alone = verdict_of(results(model("a", to="a")))
    assert alone[0].startswith("a is the one model here")
    assert len(alone) == 2


def test_a_value_of_a_column_does_not_command_a_terminal() -> None:
    difference = against(-0.1, -0.2, -0.01, tie=False)
    part = {"value": "\x1b[1mbold\nx", "difference": -0.2, "p_corrected": 0.001}
    difference["prod"]["slices"] = {"site": [part]}
    told = verdict_of(results(model("a", to="prod", against=difference), model("prod", to="prod", baseline=True)))
    assert "It ranks worse in these slices: site \ufffd[1mbold\ufffdx (-0.2000)." in told


def test_one_seed_asks_for_more() -> None:
    assert verdict_of(results(model("a", to="a"), seeds=1))[-1].endswith("pass --seeds 3.")


@pytest.mark.parametrize(
    ("difference", "said"),
    [
        ((0.02, 0.01, 0.03, False), "Yes, replace prod by a: it ranks better, +0.0200 in AUC (+0.0100 to +0.0300)."),
        ((-0.02, -0.03, -0.01, False), "No: keep prod; a, the best of the others, ranks worse, -0.0200 in AUC"),
        ((0.01, -0.01, 0.03, True), "Not enough rows to say: a against prod is +0.0100 in AUC"),
        ((-0.01, -0.03, 0.01, True), "No: nothing here ranks better than prod; a against it is -0.0100 in AUC"),
        ((-0.01, None, None, True), "Not enough rows to say: a against prod is -0.0100 in AUC, which may be chance."),
    ],
)
def test_what_is_there_is_replaced_or_not(difference: tuple[Any, ...], said: str) -> None:
    value, low, high, tie = difference
    new = model("a", to="a", against=against(value, low, high, tie=tie))
    old = model("prod", to="a", baseline=True)
    del old["metrics"]["calibration_ratio"]
    told = verdict_of(results(new, old))
    assert told[0].startswith(said)
    assert told[1].endswith("what the baseline gives are no probabilities.")


def test_the_slices_where_the_new_one_is_worse_are_named() -> None:
    difference = against(0.02, 0.01, 0.03, tie=False)
    part = {"value": "x", "rows": 100, "difference": -0.04, "p_corrected": 0.01}
    others = [{**part, "value": "y", "p_corrected": 0.3}, {**part, "value": "z", "difference": 0.1}, {"value": "w"}]
    difference["prod"]["slices"] = {"site": [part, *others]}
    told = verdict_of(results(model("a", to="a", against=difference), model("prod", to="a", baseline=True)))
    assert "It ranks worse in these slices: site x (-0.0400)." in told
    difference["prod"]["slices"] = {"site": others}
    told = verdict_of(results(model("a", to="a", against=difference), model("prod", to="a", baseline=True)))
    assert "In no slice by site is it told worse." in told
