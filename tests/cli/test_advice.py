"""What a verb advises, it can do: no message names a flag that the verb at hand does not have."""

from __future__ import annotations

import re
import typing
from collections.abc import Callable
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from masknet import errors
from masknet.cli import VERBS

FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]*[a-z]")
TODAY = "user_id,site,price\n"


@pytest.fixture
def flags(masknet: typing.Any) -> Callable[[str], set[str]]:
    """Those that the help of a verb lists."""
    return lambda verb: set(FLAG.findall(masknet(verb, "--help").out))


def _text(name: str, text: str) -> Callable[[], object]:
    return lambda: Path(name).write_bytes(text.encode("latin-1"))


def _parquet(**columns: object) -> Callable[[], object]:
    def write() -> None:
        frame = pl.read_parquet("log.parquet").head(20)
        frame.with_columns(**{name: pl.Series([cell] * 20) for name, cell in columns.items()}).write_parquet(
            "x.parquet"
        )

    return write


FAULTS: dict[str, tuple[str, Callable[[], object]]] = {
    "a text for a number": ("x.csv", _text("x.csv", f"click,{TODAY}1,7,north,dear\n0,7,north,1\n")),
    "lists for texts": ("x.parquet", _parquet(site=["a"])),
    "structs for numbers": ("x.parquet", _parquet(price={"a": 1})),
    "days for numbers": ("x.parquet", _parquet(price=date(2026, 1, 31))),
    "no column": ("x.csv", _text("x.csv", "click,user_id,price\n1,7,1\n")),
    "no header": ("x.csv", _text("x.csv", "1,7,north,2\n0,7,north,2\n")),
    "a name twice": ("x.csv", _text("x.csv", "click,user_id,site,site,price\n1,7,n,n,1\n")),
    "too many values": ("x.csv", _text("x.csv", f"click,{TODAY}1,7,north,1,5\n")),
    "not UTF-8": ("x.csv", _text("x.csv", f"click,{TODAY}1,7,K\xf6ln,1\n")),
    "an integer that lost its digits": ("x.parquet", _parquet(user_id=2.0**60)),
    "a label that is none": ("x.csv", _text("x.csv", f"click,{TODAY}good,7,north,1\n")),
    "grades": ("x.csv", _text("x.csv", f"click,{TODAY}" + "".join(f"{i},7,north,1\n" for i in range(1, 6)))),
    "a label that is missing": ("x.csv", _text("x.csv", f"click,{TODAY},7,north,1\n")),
    "nothing": ("nowhere.csv", lambda: None),
    "no rows": ("x.csv", _text("x.csv", f"click,{TODAY}")),
    "empty": ("x.csv", _text("x.csv", "")),
    "another ending": ("x.xlsx", _text("x.xlsx", "x")),
    "skewed": ("x.csv", _text("x.csv", f"click,{TODAY}" + "".join(f"{i % 2},u{i},,\n" for i in range(300)))),
    "libsvm": ("x.libsvm", _text("x.libsvm", "1 1:1 2:1\n0 1:1 x\n")),
    "a model": ("ads.masknet", lambda: None),
}
USES: dict[str, tuple[object, ...]] = {
    "predict": ("MODEL", "DATA", "--out", "s.csv"),
    "predict --strict": ("MODEL", "DATA", "--out", "s.csv", "--strict"),
    "predict --bad-rows": ("MODEL", "DATA", "--out", "s.csv", "--bad-rows", "quarantine"),
    "predict --append": ("MODEL", "DATA", "--out", "s.csv", "--append", "site,sight"),
    "predict --columns": ("MODEL", "DATA", "--out", "s.csv", "--columns", "click,user_id,site,price"),
    "predict below a file": ("MODEL", "DATA", "--out", "log.parquet/s.csv"),
    "predict swapped": ("DATA", "MODEL", "--out", "s.csv"),
    "evaluate": ("MODEL", "DATA"),
    "evaluate --slice": ("MODEL", "DATA", "--slice", "site", "--group", "user_id"),
    "evaluate swapped": ("DATA", "MODEL"),
    "check": ("DATA",),
    "inspect": ("DATA", "--label", "click"),
    "inspect declared": ("DATA", "--label", "click", "--numeric", "price", "--categorical", "site", "--bag", "user_id"),
    "inspect --columns": ("DATA", "--label", "click", "--columns", "click,user_id,site,price"),
}


@pytest.mark.parametrize("use", USES)
def test_no_advice_names_a_flag_that_the_verb_lacks(use: str, masknet, trained: Path, rows, flags) -> None:
    rows().write_parquet("log.parquet")
    verb = use.split()[0]
    known = flags(verb)
    assert {"--json", "--help"} <= known
    for fault, (data, write) in FAULTS.items():
        write()
        words = {"MODEL": trained, "DATA": trained if fault == "a model" else data}
        result = masknet(verb, *(words.get(str(word), word) for word in USES[use]))
        assert set(FLAG.findall(result.out + result.err)) <= known, f"{fault}: {result.err}"
        for left in Path().glob("[sx].*"):
            left.unlink()


def test_a_setting_of_the_training_is_called_so(masknet, trained: Path) -> None:
    Path("x.csv").write_text("user_id,site,price\n7,north,dear\n")
    assert masknet("predict", trained, "x.csv", "--out", "s.csv").error == (
        "a numeric column holds numbers; column 'price' holds 'dear' in row 1 of x.csv: mend the value, or train with "
        "missing 'dear' where it stands for none, or the column in categorical or ignore (missing, categorical and "
        "ignore are settings of the training)"
    )
    Path("x.csv").write_text("user_id,site,site\n7,north,1\n")
    assert masknet("predict", trained, "x.csv", "--out", "s.csv").error.endswith(
        "write another name for each in its first line, or name them with --columns where that line is a row"
    )


def test_every_flag_in_a_message_is_one_of_some_verb(masknet, flags) -> None:
    known = set().union(*(flags(verb) for verb in VERBS))
    sources = [p for p in Path(errors.__file__).parent.rglob("*.py") if p.parent.name not in ("cli", "datasets")]
    named = {flag: path.name for path in sources for flag in FLAG.findall(path.read_text(encoding="utf-8"))}
    of_others = {"--preload"}  # gunicorn's
    assert {flag: file for flag, file in named.items() if flag not in known | of_others} == {}
    assert "--ignore" in named
