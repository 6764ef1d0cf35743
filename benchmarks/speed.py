"""How fast: the stages, each beside its baseline and its bound in the same run, as ratios; `make bench` runs it.

    python benchmarks/speed.py                          # all stages, in sizes that take minutes
    python benchmarks/speed.py --form full              # in the sizes that the ratios are claimed for
    python benchmarks/speed.py --form tiny              # to see that all sides run; it says nothing, and writes nothing
    python benchmarks/speed.py --stage csv --stage small
    python benchmarks/speed.py profile                  # where each per cent of a step, and of encoding, goes
    python benchmarks/speed.py page                     # docs/speed.md anew from the JSON

Each side runs in a process of its own; sides are measured in turn, as often as there are repeats, and their medians
are compared. A stage that was run replaces its lines in benchmarks/results/latest.json; those of others stay, and name
their commit where it is another one; those of another machine are dropped. What is held against:

* the conventional implementation, benchmarks/conventional.py;
* commit 0aeded6 of this repository, in a worktree with the packages that it pins;
* FuxiCTR, where $FUXICTR names a checkout of it, and $FUXICTR_PYTHON an interpreter that has what it needs.

A line without its baseline, or the hardware, has `"met": null`, and a `"why"`.
"""

from __future__ import annotations

import argparse
import json
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cost_model
from cells import with_table
from machine import bf16_unit, commit, hardware
from stages.bench import Bench, Child, Claim, Plan, Side, SideError
from stages.table import COLUMNS, STAGES, VOCABULARY, paper

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "latest.json"
ON_GPU = RESULTS.with_name("latest-gpu.json")
PAGE = ROOT / "docs" / "speed.md"
DIGITS = 3
PROFILES = ("parallel 3 x 400, batch 2,000", "the network of the defaults, batch 1,024", "a CSV, encoded")

Figures = Mapping[str, Sequence[Mapping[str, Any]]]


def measured(plan: Plan, bench: Bench) -> tuple[dict[str, list[dict[str, Any]]], dict[str, str]]:
    """What each side gave in each repeat, and why those that gave nothing did not."""
    whys = {name: side for name, side in plan.sides.items() if isinstance(side, str)}
    sides = {name: side for name, side in plan.sides.items() if isinstance(side, Side)}
    figures: dict[str, list[dict[str, Any]]] = {name: [] for name in sides}
    repeats = 1 if bench.form == "tiny" else plan.repeats
    with tempfile.TemporaryFile() as errors:
        children: dict[str, Child] = {}
        try:
            for repeat in range(-plan.discard, repeats):
                seen: dict[str, Any] = {}
                for name in list(sides):
                    print(f"  {repeat + 1}/{repeats} {name}", flush=True)
                    try:
                        if name not in children:
                            children[name] = Child(sides[name], bench.threads, errors)
                        seen[name] = children[name].measure(seen)
                        if sides[name].fresh:
                            children.pop(name).end()
                    except SideError as failed:
                        whys[name] = f"it failed: {failed}"
                        del sides[name], figures[name]
                        children.pop(name, None)
                        continue
                    if repeat >= 0:
                        figures[name].append(seen[name])
        finally:
            for child in children.values():
                child.end()
    for name in whys:
        print(f"  {name}: {whys[name]}", flush=True)
    return figures, whys


def line(claim: Claim, plan: Plan, figures: Figures, whys: Mapping[str, str]) -> dict[str, Any]:
    """A claim as the JSON has it."""
    ours, baseline = (_summary(claim, name, figures) for name in (claim.ours, claim.baseline))
    why = next((whys[name] for name in (claim.ours, claim.baseline) if name in whys), None)
    record: dict[str, Any] = {"stage": claim.stage, "at": plan.at, "unit": claim.unit}
    record |= {"value": ours["value"], "low": ours["low"], "high": ours["high"], "baseline": claim.baseline}
    record |= {f"baseline_{name}": number for name, number in baseline.items()}
    record |= {"ratio": None, "must": claim.must, "better": "lower" if claim.at_most else "higher", "aim": claim.aim}
    met: bool | None = None
    if why is None and ours["value"] is None:  # it was measured, and did not get there
        met, why = False, next(figure["why"] for figure in figures[claim.ours] if "why" in figure)
    elif why is None:
        record["ratio"] = _rounded(ours["value"] / baseline["value"])
        if claim.must is None:
            why = "recorded, nothing is asked for"
        else:
            met = record["ratio"] <= claim.must if claim.at_most else record["ratio"] >= claim.must
    record |= {"met": met, "why": why}
    if claim.bound is not None and claim.bound in figures and ours["value"] is not None:
        bound = _summary(claim, claim.bound, figures)
        record |= {"bound": claim.bound, "bound_value": bound["value"]}
        record["share_of_bound"] = _rounded(ours["value"] / bound["value"])
    return record


def _summary(claim: Claim, name: str, figures: Figures) -> dict[str, float | None]:
    """The median of a side's repeats, the least and the most."""
    values = [figure[claim.figure] for figure in figures.get(name, ())]
    if not values or None in values:
        return dict.fromkeys(("value", "low", "high"))
    parts = {"value": statistics.median(values), "low": min(values), "high": max(values)}
    return {part: _rounded(number, 4) for part, number in parts.items()}


def _rounded(number: float, digits: int = DIGITS) -> float:
    return float(f"{number:.{digits}g}")


def result(path: Path) -> dict[str, Any]:
    """What a JSON holds; nothing where there is none."""
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


def merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """The result with new records in the place of those of the same names; others say which commit they are of.

    Those of another machine are left out.

    Args:
        old: the result before.
        new: `commit`, `hardware` and `date` of now, and records under `stages` or `profiles`.
    """
    content = {name: new[name] for name in ("commit", "hardware", "date")}
    of_here = old if old.get("hardware") == new["hardware"] else {}
    for part, order in (("stages", list(STAGES)), ("profiles", list(PROFILES))):
        records = list(new.get(part, ()))
        names = {record["name"] for record in records}
        for record in of_here.get(part, ()):
            if record["name"] not in names:
                of = record.get("commit", old["commit"])
                plain = {name: value for name, value in record.items() if name != "commit"}
                records.append(plain if of == new["commit"] else plain | {"commit": of})
        known = [record for record in records if record["name"] in order]
        content[part] = sorted(known, key=lambda record: order.index(record["name"]))
    return content


def write(new: dict[str, Any], path: Path) -> None:
    """Put new records into a JSON, and its tables into the pages."""
    path.write_text(json.dumps(merged(result(path), new), indent=1) + "\n", encoding="utf-8")
    write_pages()


def write_pages() -> None:
    """What the results say of speed, and of the cost of many rows."""
    for page, tables in ((PAGE, with_tables), (cost_model.PAGE, cost_model.with_tables)):
        page.write_text(tables(page.read_text(encoding="utf-8")), encoding="utf-8")


def stamp(bench: Bench) -> dict[str, Any]:
    machine = hardware(bench.threads) | {"bf16": bf16_unit(bench.device), "device": bench.device}
    return {"commit": commit(), "hardware": machine, "date": datetime.now(UTC).isoformat(timespec="seconds")}


def run_stages(bench: Bench, names: Sequence[str], out: Path) -> bool:
    """Measure some stages, and write each as soon as it is done. Whether all sides did their work."""
    began, sound = time.perf_counter(), True
    for number, name in enumerate(names, start=1):
        spent = time.perf_counter() - began
        print(f"stage {number}/{len(names)} {name}, after {spent / 60:.1f} min", flush=True)
        plan = STAGES[name](bench)
        figures, whys = measured(plan, bench)
        records = [{"name": name, "form": bench.form} | line(claim, plan, figures, whys) for claim in plan.claims]
        if bench.form != "tiny":
            write(stamp(bench) | {"stages": records}, out)
        for record in records:
            print(f"  {record['stage']}: {told(record)}", flush=True)
        sound = sound and not any(why.startswith("it failed") for why in whys.values())
    where = "nothing is written" if bench.form == "tiny" else f"written to {out}, {PAGE} and {cost_model.PAGE}"
    print(f"{where}; {(time.perf_counter() - began) / 60:.1f} min")
    return sound


def run_profiles(bench: Bench, out: Path) -> None:
    """Find where the time goes, and write it."""
    log = bench.log(bench.size(200_000, 1_000_000), VOCABULARY)
    of_step = {"data": log.csv, "cache": str(bench.today.cache), "warmup": 3, "device": bench.device}
    sides: dict[str, Side | str] = {
        PROFILES[0]: bench.beside("stages.profile:step", **of_step, settings=paper("parallel"), count=15),
        PROFILES[1]: bench.beside(
            "stages.profile:step", **of_step, settings=COLUMNS | {"members": 1, "batch_size": 1024}, count=60
        ),
        PROFILES[2]: bench.of(
            bench.today, "stages.encoding:phases", data=log.csv, settings={"label": "label"}, rows=log.rows
        ),
    }
    figures, whys = measured(Plan("", sides, (), repeats=1), bench)
    if whys:
        sys.exit("; ".join(whys.values()))
    records = [
        {"name": name, "shares": {part: _rounded(share) for part, share in sorted_shares(found[0]["shares"])}}
        for name, found in figures.items()
    ]
    write(stamp(bench) | {"profiles": records}, out)
    print(profile_table(result(out)))


def sorted_shares(shares: Mapping[str, float]) -> list[tuple[str, float]]:
    return sorted(shares.items(), key=lambda part: -part[1])


def number(value: float | None) -> str:
    """With as many digits as it says something by."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def told(record: Mapping[str, Any]) -> str:
    """A line of the table in words."""
    if record["ratio"] is None:
        return f"{number(record['value'])} {record['unit']}; {record['why']}"
    met = {True: "met", False: "not met", None: record["why"]}[record["met"]]
    limit = "" if record["must"] is None else f" (must be {limit_of(record)})"
    return (
        f"{number(record['value'])} {record['unit']}, {record['ratio']:g}x of {record['baseline']} at "
        f"{number(record['baseline_value'])}{limit}: {met}"
    )


def limit_of(record: Mapping[str, Any]) -> str:
    if record["must"] is None:
        return "-"
    return f"{'at most' if record['better'] == 'lower' else 'at least'} {record['must']:g}"


def stage_table(content: Mapping[str, Any]) -> str:
    """The stages as the page shows them."""
    machine = content["hardware"]
    units = "no unit for bf16" if machine["bf16"] is None else f"bf16 in the {machine['bf16']}"
    forms = sorted({record["form"] for record in content["stages"]})
    lines = [
        f"{machine['processor']}, {machine['threads']} threads, {units}, {machine['memory_gib']:.0f} GiB; Python "
        f"{machine['python']}, PyTorch {machine['torch']}; {machine['gpu'] or 'no GPU'}; device {machine['device']}; "
        f"commit {content['commit']}, {content['date'][:10]}; the {' and the '.join(forms)} form.",
        "",
        "| stage | sizes | masknet | baseline | ratio | must be | aimed for | met | share of the bound |",
        "|---|---|---:|---|---:|---|---|---|---|",
    ]
    for record in content["stages"]:
        met = {True: "yes", False: "no", None: "-"}[record["met"]]
        reason = f": {record['why']}" if record["why"] else ""
        of_bound = f"{100 * record['share_of_bound']:.0f} % ({record['bound']})" if "share_of_bound" in record else ""
        another = f" (commit {record['commit']})" if "commit" in record else ""
        ratio = "-" if record["ratio"] is None else f"{record['ratio']:g}"
        lines.append(
            f"| {record['stage']}{another} | {record['at']} | {number(record['value'])} {record['unit']} | "
            f"{record['baseline']}: {number(record['baseline_value'])} | {ratio} | {limit_of(record)} | "
            f"{record['aim']} | {met}{reason} | {of_bound} |"
        )
    return "\n".join(lines) + "\n"


def profile_table(content: Mapping[str, Any]) -> str:
    """Where the time goes, as the page shows it."""
    lines = ["| of | spent on |", "|---|---|"]
    for record in content["profiles"]:
        shares = ", ".join(f"{part} {100 * share:.0f} %" for part, share in record["shares"].items() if share >= 0.005)
        another = f" (commit {record['commit']})" if "commit" in record else ""
        lines.append(f"| {record['name']}{another} | {shares} |")
    return "\n".join(lines) + "\n"


def with_tables(page: str) -> str:
    """The page with the tables of the two results."""
    for title, path in (("", RESULTS), (" on a GPU", ON_GPU)):
        content = result(path)
        tables = [content and stage_table(content), content.get("profiles") and profile_table(content)]
        for verb, table in zip(("", " profile"), tables, strict=True):
            page = with_table(page, f"made by benchmarks/speed.py{verb}{title}", table or "Not measured.\n")
    return page


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", nargs="?", choices=("stages", "profile", "page"), default="stages")
    parser.add_argument("--form", choices=("tiny", "short", "full"), default="short")
    parser.add_argument("--stage", choices=tuple(STAGES), action="append", help="only this one (repeatable)")
    parser.add_argument("--device", default="cpu", help="where networks train and score: cpu, cuda")
    parser.add_argument("--out", type=Path, help=f"the JSON (default: {RESULTS.name}; on a GPU {ON_GPU.name})")
    given = parser.parse_args()
    if given.verb == "page":
        write_pages()
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was made for this run is removed
    bench = Bench(form=given.form, device=given.device)
    out = given.out or (RESULTS if given.device == "cpu" else ON_GPU)
    if given.verb == "profile":
        run_profiles(bench, out)
    elif not run_stages(bench, given.stage or list(STAGES), out):
        sys.exit("a side failed; its line of the table says how")


if __name__ == "__main__":
    main()
