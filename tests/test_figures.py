from __future__ import annotations

from typing import Any

import pytest

from masknet import metrics
from masknet.figures import in_words, metric_rows, shown


def estimate(value: float, low: float | None = None, high: float | None = None) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high}


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (0.1, 0.9, ("0.50", "0.10 to 0.90")),
        (0.45, 0.55, ("0.50", "0.45 to 0.55")),
        (0.4954, 0.5047, ("0.5001", "0.4954 to 0.5047")),
        (0.5000999, 0.5001001, ("0.500100", "0.500100 to 0.500100")),
        (0.5, 0.5, ("0.5001", "0.5000 to 0.5000")),
        (None, None, ("0.5001", "")),
        (-0.2, 30.0, ("0.50", "-0.20 to 30.00")),
    ],
)
def test_an_interval_decides_the_digits(low: float | None, high: float | None, text: tuple[str, str]) -> None:
    assert shown(estimate(0.5001, low, high)) == text


def test_what_has_no_interval_has_the_digits_of_the_auc() -> None:
    found = metrics.evaluate([0, 1] * 50, [0.1 + 0.008 * i for i in range(100)])
    rows = {name: value for name, value, _ in metric_rows({n: e.to_json() for n, e in found.items()})}
    assert list(rows)[:4] == ["auc", "log loss", "normalized entropy", "calibration ratio"]
    assert len(rows["pr auc"]) == len(rows["auc"]) == len("0.50")
    assert "undefined" in shown(metrics.evaluate([1], [0.5])["auc"].to_json())


WORDS = {
    (0.954, 1.0): "log loss 4.6 % below predicting the click rate; clicks predicted as they came",
    (1.031, 0.94): "log loss 3.1 % above predicting the click rate; clicks predicted 6.0 % low",
    (1.0, 1.06): "log loss no lower than predicting the click rate; clicks predicted 6.0 % high",
    (0.954, None): "log loss 4.6 % below predicting the click rate",
    (None, None): "",
}


@pytest.mark.parametrize("values", WORDS)
def test_figures_in_words(values: tuple[float | None, float | None]) -> None:
    names = ("normalized_entropy", "calibration_ratio")
    found = {
        n: {"value": None, "why": "no clicks"} if v is None else estimate(v) for n, v in zip(names, values, strict=True)
    }
    assert in_words(found) == WORDS[values]
    assert in_words({}) == ""


def test_the_interval_decides_the_digits_of_percents_too() -> None:
    wide = {"normalized_entropy": estimate(0.954, 0.7, 1.3), "calibration_ratio": estimate(0.9996, 0.9, 1.1)}
    assert in_words(wide) == "log loss 5 % below predicting the click rate; clicks predicted as they came"
    narrow = {"normalized_entropy": estimate(0.95412, 0.954, 0.9543)}
    assert in_words(narrow) == "log loss 4.59 % below predicting the click rate"
