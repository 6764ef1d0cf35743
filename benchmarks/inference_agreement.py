"""How often the inferred kind of a column is the one that the makers of a data set declared.

    python benchmarks/inference_agreement.py FOLDER [FOLDER ...]

Each folder holds `train.parquet` and `schema.json` with the keys `label`, `categorical`, `numeric` and `extra`
(columns that are no fields, which are not counted).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from masknet.encode import Declared, inspect_table
from masknet.progress import LogProgress
from masknet.table import open_table


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare inferred kinds with declared ones.")
    parser.add_argument("folders", nargs="+", type=Path)
    for folder in parser.parse_args().folders:
        schema = json.loads((folder / "schema.json").read_text())
        declared = {name: kind for kind in ("categorical", "numeric") for name in schema[kind]}
        table = open_table(str(folder / "train.parquet"))
        inspection = inspect_table(table, Declared(label=schema["label"]), LogProgress())
        reports = {report.column: report for report in inspection.reports if report.column in declared}
        misses = [report for report in reports.values() if report.kind != declared[report.column]]
        print(f"{folder.name}: {len(reports) - len(misses)} of {len(reports)} columns as declared")
        for report in misses:
            print(f"  {report.column}: {report.kind} ({report.why}), declared {declared[report.column]}")


if __name__ == "__main__":
    main()
