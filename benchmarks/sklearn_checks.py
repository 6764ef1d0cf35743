"""scikit-learn's checks of an estimator, run on `CTRClassifier`: how many ran, passed, and fail as expected and why.

    SCIPY_ARRAY_API=1 python benchmarks/sklearn_checks.py

prints a table and writes `benchmarks/results/sklearn_checks.json`. `tests/test_sklearn.py` runs the same checks, on the
same estimators, with the same expectations.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import sklearn
from sklearn.utils.estimator_checks import check_estimator

import masknet
from masknet import CTRClassifier

QUICK = {"epochs": 10, "batch_size": 16, "threads": 1, "device": "cpu"}
SMALL = {"embedding_dim": 4, "block_dims": [8, 8], "top_dims": [8], "reduction": 1.0}

ESTIMATORS = {
    "lr": CTRClassifier("lr", learning_rate=0.1, **QUICK),
    "serial-masknet": CTRClassifier(
        "serial-masknet", model_settings={"embedding_dim": 4, "block_dims": [16, 16]}, learning_rate=0.03, **QUICK
    ),
    "parallel-masknet": CTRClassifier("parallel-masknet", model_settings=SMALL, learning_rate=0.01, **QUICK),
}

_OF_WEIGHTS = (
    "a weight counts in the loss and in every metric, but a row of weight 3 stands in one batch where three rows "
    "stand in several, is validated or trained on as a whole, and counts once for a vocabulary and a scale"
)
EXPECTED_FAILURES = {
    "check_sample_weight_equivalence_on_dense_data": _OF_WEIGHTS,
    "check_sample_weight_equivalence_on_sparse_data": _OF_WEIGHTS,
}


def markdown(result: dict[str, Any]) -> str:
    """The table of the docs."""
    lines = [
        f"With scikit-learn {result['versions']['scikit-learn']}:",
        "",
        "| network | ran | passed | expected failures | failed | skipped |",
        "|---|---|---|---|---|---|",
    ]
    for name, count in result["counts"].items():
        numbers = [count.get(status, 0) for status in ("passed", "xfail", "failed", "skipped")]
        lines.append(f"| {name} | {sum(numbers[:3])} | {' | '.join(map(str, numbers))} |")
    lines += ["", "| check | outcome | why |", "|---|---|---|"]
    words = {"xfail": "expected failure"}
    for check, status, why in sorted({(o["check"], o["status"], o["why"]) for o in result["others"]}):
        lines.append(f"| `{check}` | {words.get(status, status)} | {why} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    logging.getLogger("masknet").addHandler(logging.NullHandler())
    found = {}
    with tempfile.TemporaryDirectory() as cache:
        os.environ["XDG_CACHE_HOME"] = cache
        for name, estimator in ESTIMATORS.items():
            found[name] = check_estimator(
                estimator, expected_failed_checks=EXPECTED_FAILURES, on_skip=None, on_fail=None
            )
    counts = {name: Counter(result["status"] for result in results) for name, results in found.items()}
    others = [
        {
            "estimator": name,
            "check": result["check_name"],
            "status": result["status"],
            "why": EXPECTED_FAILURES.get(result["check_name"], str(result["exception"])),
        }
        for name, results in found.items()
        for result in results
        if result["status"] != "passed"
    ]
    path = Path(__file__).parent / "results" / "sklearn_checks.json"
    path.parent.mkdir(exist_ok=True)
    versions = {
        "masknet": masknet.__version__,
        "scikit-learn": sklearn.__version__,
        "python": platform.python_version(),
    }
    result = {"versions": versions, "counts": {name: dict(count) for name, count in counts.items()}, "others": others}
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(markdown(result), end="")


if __name__ == "__main__":
    main()
