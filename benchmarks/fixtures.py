"""Real files of every format, as they are: one command trains an epoch, one scores.

    python benchmarks/fixtures.py FOLDER      # prints a table; --out benchmarks/results/fixtures.json keeps it

FOLDER holds the files named below. Nothing is preprocessed: what a file needs is said in flags.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

FIXTURES: dict[str, tuple[str, ...]] = {
    # Each of its rows stands there six times, so that training knows the validation rows.
    "avazu_tr.rx.csv": (
        "--label", "click", "--ignore", "id", "--datetime", "hour", "--categorical", "C14,C17,C19,C20,C21",
    ),
    "criteo_kaggle2014_train.tiny.csv": ("--label", "Label", "--ignore", "Id"),
    "deepctr_criteo_sample.csv": ("--label", "label"),
    "aliccp_train_sample.csv": ("--label", "click", "--ignore", "purchase"),
    "aliexpress_train_sample.csv": ("--label", "click", "--ignore", "conversion,search_id"),
    "frappe_head500.libfm": ("--label", "label"),
    "frappe_head500.libsvm": ("--label", "label"),
    "xlearn_criteo_small_train.libffm": ("--label", "label"),
}  # fmt: skip
"""Each file, and what is said of it; it is scored by its own model."""
SCORED_BY = {"criteo_kaggle2014_test.tiny.csv": "criteo_kaggle2014_train.tiny.csv"}
"""Labels that are all 0: scored only, by the model of another file."""


def masknet(*arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-c", "from masknet.cli import main; main()", *arguments, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"masknet {shlex.join(arguments)}: {done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def measure(folder: Path) -> list[dict[str, Any]]:
    found = []
    with tempfile.TemporaryDirectory() as work:
        for name, flags in FIXTURES.items():
            model, scores = f"{work}/{name}.masknet", f"{work}/{name}.parquet"
            said = ("--epochs", "1", "--cache-dir", f"{work}/cache", "--out", model)
            trained = masknet("train", str(folder / name), *flags, *said)
            scored = masknet("predict", model, str(folder / name), "--out", scores)
            found.append(
                {
                    "file": name,
                    "train": shlex.join(("masknet", "train", name, *flags, "--epochs", "1")),
                    "score": f"masknet predict MODEL {name} --out scores.parquet",
                    "members": trained["model"]["members"],
                    "parameters": trained["model"]["parameters"],
                    "valid_rows": trained["rows"],
                    "valid_auc": trained["metrics"]["auc"]["value"],
                    "scored_rows": scored["rows"],
                }
            )
        for name, of in SCORED_BY.items():
            scored = masknet("predict", f"{work}/{of}.masknet", str(folder / name), "--out", f"{work}/{name}.parquet")
            found.append({"file": name, "score": f"masknet predict MODEL {name}", "scored_rows": scored["rows"]})
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    found = measure(arguments.folder)
    for line in found:
        auc = f"{line['valid_auc']:.3f}" if line.get("valid_auc") else "-"
        print(f"{line['file']:36} valid AUC {auc:>6}  scored {line['scored_rows']:>6,} rows  {line.get('train', '')}")
    if arguments.out is not None:
        arguments.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
