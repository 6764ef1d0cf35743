"""scikit-learn's checks of an estimator, run on `CTRClassifier`: how many ran, passed, and fail as expected and why.

    python benchmarks/sklearn_checks.py

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

EXPECTED_FAILURES = {
    "check_sample_weight_equivalence_on_dense_data": (
        "a weight counts in the loss and in every metric, but a row of weight 3 stands in one batch where three rows "
        "stand in several, is validated or trained on as a whole, and counts once for a vocabulary and a scale"
    ),
    "check_sample_weight_equivalence_on_sparse_data": (
        "sparse matrices are refused, as the tag says; scikit-learn 1.6 asks all the same"
    ),
}


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
    print(f"scikit-learn {sklearn.__version__}, masknet {masknet.__version__}")
    print(f"{'network':<18}{'ran':>5}{'passed':>8}{'expected failures':>19}{'failed':>8}{'skipped':>9}")
    for name, count in counts.items():
        ran = count.total() - count["skipped"]
        print(f"{name:<18}{ran:>5}{count['passed']:>8}{count['xfail']:>19}{count['failed']:>8}{count['skipped']:>9}")
    for check, status, why in sorted({(other["check"], other["status"], other["why"]) for other in others}):
        print(f"{status}: {check}: {why}")
    path = Path(__file__).parent / "results" / "sklearn_checks.json"
    path.parent.mkdir(exist_ok=True)
    versions = {
        "masknet": masknet.__version__,
        "scikit-learn": sklearn.__version__,
        "python": platform.python_version(),
    }
    result = {"versions": versions, "counts": {name: dict(count) for name, count in counts.items()}, "others": others}
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
