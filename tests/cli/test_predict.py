from __future__ import annotations

import gzip
import json
import shlex
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from masknet.manifest import read_manifest, write_checksums
from masknet.table import open_table


@pytest.fixture(autouse=True)
def _today(rows) -> None:
    rows(200, seed=3).drop("click").write_csv("today.csv")
    rows(200, seed=3).drop("click").write_parquet("today.parquet")


def probabilities(file: str) -> np.ndarray:
    frame = pl.read_parquet(file) if file.endswith("parquet") else pl.read_csv(file)
    return frame["probability"].to_numpy()


def test_unlabelled_rows_to_parquet(masknet, trained: Path) -> None:
    result = masknet("predict", trained, "today.csv", "--out", "scores.parquet", "--threads", 1)
    frame = pl.read_parquet("scores.parquet")
    rate = read_manifest(trained).data["click_rate"]
    mean = frame["probability"].mean()
    assert result.code == 0
    assert result.out == (
        f"200 probabilities lie in scores.parquet\n"
        f"mean probability {mean:.5f}; the click rate of training was {rate:.5f}\n"
    )
    assert frame.columns == ["probability"]
    assert len(frame) == 200
    assert frame["probability"].is_between(0, 1).all()
    assert frame["probability"].n_unique() > 50


def test_json_is_one_object(masknet, trained: Path) -> None:
    result = masknet("predict", trained, "today.csv", "--out", "scores.csv", "--threads", 1, "--json")
    rate = read_manifest(trained).data["click_rate"]
    mean = pytest.approx(probabilities("scores.csv").mean(), abs=1e-12)
    told = {"skew": [], "mean_probability": mean, "train_click_rate": rate}
    assert (result.code, result.json) == (0, {"rows": 200, "out": "scores.csv", **told})


SKEW = "user_id: 100 % of the values were never seen in training (0 % in validation), e.g. 'u7'"


@pytest.fixture
def _written_otherwise() -> None:
    today = pl.read_csv("today.csv", infer_schema=False)
    today.with_columns(user_id="u" + pl.col("user_id"), price=pl.lit("")).with_columns(
        user_id=pl.when(pl.int_range(pl.len()) == 0).then(pl.lit("u7")).otherwise("user_id")
    ).write_csv("skewed.csv")


@pytest.mark.usefixtures("_written_otherwise")
def test_values_that_training_never_saw_are_told(masknet, trained: Path) -> None:
    result = masknet("predict", trained, "skewed.csv", "--out", "scores.csv", "--threads", 1, "--json")
    assert result.code == 0
    assert f"warning: {SKEW}\n" in result.err
    unseen, missing = result.json["skew"]
    shares = read_manifest(trained).fields["user_id"]
    assert unseen == {
        "field": "user_id", "kind": "unseen", "share": 1.0, "train": shares["train"]["unseen"],
        "valid": shares["valid"]["unseen"], "example": "u7",
    }  # fmt: skip
    assert (missing["field"], missing["kind"], missing["share"], missing["example"]) == ("price", "missing", 1.0, None)
    assert "warning" not in masknet("predict", trained, "today.csv", "--out", "same.csv", "--threads", 1).err


@pytest.mark.usefixtures("_written_otherwise")
def test_strict_makes_a_skew_an_error_and_writes_nothing(masknet, trained: Path) -> None:
    before = sorted(Path().iterdir())
    result = masknet("predict", trained, "skewed.csv", "--out", "scores.csv", "--threads", 1, "--strict")
    assert result.error == f"{SKEW}: write them as the training table does, or leave out --strict"
    assert sorted(Path().iterdir()) == before
    assert masknet("predict", trained, "today.csv", "--out", "scores.csv", "--threads", 1, "--strict").code == 0


def test_strict_needs_to_know_what_was_usual(masknet, copied: Path) -> None:
    manifest = read_manifest(copied).model_copy(update={"format": 2, "fields": {}})
    (copied / "manifest.json").write_text(manifest.model_dump_json(), encoding="utf-8")
    write_checksums(copied)
    result = masknet("predict", copied, "today.csv", "--out", "scores.csv", "--threads", 1, "--strict")
    assert result.error.startswith("--strict compares the rows with those of training; this model, of format 2, does")
    assert masknet("predict", copied, "today.csv", "--out", "scores.csv", "--threads", 1).code == 0


def test_padded_ids_are_the_ids(masknet, trained: Path) -> None:
    pl.read_csv("today.csv", infer_schema=False).with_columns(pl.col("user_id").str.zfill(6)).write_csv("padded.csv")
    for data in ("today.csv", "padded.csv"):
        assert masknet("predict", trained, data, "--out", f"of-{data}", "--threads", 1, "--strict").code == 0
    assert Path("of-padded.csv").read_bytes() == Path("of-today.csv").read_bytes()


@pytest.mark.parametrize("out", ["scores.csv", "scores.tsv", "scores.csv.gz"])
def test_text_out(out: str, masknet, trained: Path) -> None:
    assert masknet("predict", trained, "today.parquet", "--out", out, "--append", "seconds", "--threads", 1).code == 0
    content = Path(out).read_bytes()
    lines = (gzip.decompress(content) if out.endswith(".gz") else content).decode().splitlines()
    separator = "\t" if out.endswith(".tsv") else ","
    assert lines[0] == f"seconds{separator}probability"
    assert len(lines) == 201
    assert lines[1].split(separator)[0] == "1700000000"


def test_the_order_and_the_appended_columns_are_kept(masknet, trained: Path) -> None:
    arguments = ("--append", "seconds,site", "--append", "user_id", "--threads", 1)
    assert masknet("predict", trained, "today.parquet", "--out", "scores.parquet", *arguments).code == 0
    frame = pl.read_parquet("scores.parquet")
    assert frame.columns == ["seconds", "site", "user_id", "probability"]
    today = pl.read_parquet("today.parquet")
    assert frame.drop("probability").rows() == today.select("seconds", "site", "user_id").rows()


def test_columns_in_another_order_and_extra_ones(masknet, trained: Path) -> None:
    today = pl.read_csv("today.csv", infer_schema=False)
    shuffled = today.select(pl.lit("x").alias("extra"), "price", "site", "user_id", pl.lit("7").alias("more"))
    shuffled.write_csv("shuffled.csv")
    for data, out in (("today.csv", "a.csv"), ("shuffled.csv", "b.csv")):
        assert masknet("predict", trained, data, "--out", out, "--threads", 1).code == 0
    assert Path("a.csv").read_bytes() == Path("b.csv").read_bytes()


def test_csv_and_parquet_score_alike(masknet, trained: Path) -> None:
    for data, out in (("today.csv", "a.csv"), ("today.parquet", "b.csv")):
        assert masknet("predict", trained, data, "--out", out, "--threads", 1).code == 0
    assert Path("a.csv").read_bytes() == Path("b.csv").read_bytes()


def test_values_never_seen_and_missing_ones(masknet, trained: Path) -> None:
    Path("new.csv").write_text("user_id,site,price\n99999999999999999999,Mars,1e30\n,,\nabc,07,-inf\n")
    assert masknet("predict", trained, "new.csv", "--out", "scores.csv", "--threads", 1).code == 0
    assert np.isfinite(probabilities("scores.csv")).all()


def test_a_glob_and_a_folder_of_shards(masknet, trained: Path) -> None:
    today = pl.read_csv("today.csv", infer_schema=False)
    Path("shards").mkdir()
    today.head(120).write_csv("shards/a.csv")
    today.tail(80).write_csv("shards/b.csv")
    for data, out in (("today.csv", "whole.csv"), ("shards", "folder.csv"), ("shards/*.csv", "glob.csv")):
        assert masknet("predict", trained, data, "--out", out, "--threads", 1).code == 0
    assert Path("whole.csv").read_bytes() == Path("folder.csv").read_bytes() == Path("glob.csv").read_bytes()


def test_limit_rows(masknet, trained: Path) -> None:
    masknet("predict", trained, "today.csv", "--out", "scores.csv", "--limit-rows", 7, "--threads", 1)
    assert len(probabilities("scores.csv")) == 7


def test_no_rows_are_no_error(masknet, trained: Path) -> None:
    Path("none.csv").write_text("user_id,site,price\n")
    assert masknet("predict", trained, "none.csv", "--out", "scores.csv", "--threads", 1, "--json").json["rows"] == 0
    assert Path("scores.csv").read_text() == "probability\n"


def test_a_result_is_not_overwritten_without_being_told(masknet, trained: Path) -> None:
    Path("scores.csv").write_text("dear\n")
    arguments = ("predict", trained, "today.csv", "--out", "scores.csv", "--threads", 1)
    refused = masknet(*arguments)
    assert "'scores.csv' exists" in refused.error
    assert "--overwrite" in refused.error
    assert Path("scores.csv").read_text() == "dear\n"
    assert masknet(*arguments, "--overwrite").code == 0
    assert len(probabilities("scores.csv")) == 200


BAD = {
    "no model": (["nowhere", "today.csv", "--out", "s.csv"], "no artifact at 'nowhere'"),
    "no table": (["MODEL", "tody.csv", "--out", "s.csv"], "did you mean 'today.csv'?"),
    "a missing column": (["MODEL", "narrow.csv", "--out", "s.csv"], "column 'price' is missing from narrow.csv"),
    "an unknown column": (["MODEL", "today.csv", "--out", "s.csv", "--append", "sit"], "did you mean 'site'?"),
    "another ending": (["MODEL", "today.csv", "--out", "s.xls"], "'s.xls'"),
    "text for a number": (["MODEL", "text.csv", "--out", "s.csv"], "column 'price' holds 'dear' in row 2 of text.csv"),
    "ragged": (["MODEL", "ragged.csv", "--out", "s.csv"], "row 3 of ragged.csv"),
    "not UTF-8": (["MODEL", "latin.csv", "--out", "s.csv"], "row 3 of latin.csv"),
    "half a file": (["MODEL", "cut.parquet", "--out", "s.csv"], "cut.parquet is not a whole Parquet file"),
    "below a file": (["MODEL", "today.csv", "--out", "today.csv/s.csv"], "today.csv"),
    "an unknown device": (["MODEL", "today.csv", "--out", "s.csv", "--device", "gpu"], "gpu"),
    "the probability": (["MODEL", "today.csv", "--out", "s.csv", "--append", "probability"], "'probability'"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_sentence_and_leaves_nothing(case: str, masknet, trained: Path, rows, left_behind) -> None:
    lines = Path("today.csv").read_text().splitlines()[:11]
    dear = [
        ",".join([*line.split(",")[:2], "dear" if i == 2 else "1", line.split(",")[3]]) for i, line in enumerate(lines)
    ]
    Path("text.csv").write_text("\n".join([lines[0], *dear[1:]]))
    Path("ragged.csv").write_text("\n".join([*lines[:3], lines[3] + ",1", *lines[4:]]))
    Path("latin.csv").write_bytes("\n".join([*lines[:3], "7,Köln,1,1", *lines[4:]]).encode("latin-1"))
    Path("narrow.csv").write_text("user_id,site\n7,north\n")
    Path("cut.parquet").write_bytes(Path("today.parquet").read_bytes()[:-100])
    before = left_behind()
    arguments, named = BAD[case]
    result = masknet("predict", *(str(trained) if word == "MODEL" else word for word in arguments), "--threads", 1)
    assert named in result.error
    assert left_behind() == before


def test_a_bad_row_leaves_no_new_folder(masknet, trained: Path) -> None:
    Path("x.csv").write_text("user_id,site,price\n7,north,dear\n")
    assert "'dear' in row 1" in masknet("predict", trained, "x.csv", "--out", "new/s.csv", "--threads", 1).error
    assert not Path("new").exists()


def test_a_bad_row_far_down_leaves_no_half_file(masknet, trained: Path, left_behind) -> None:
    # Further down than one chunk, so that rows were written before it was met.
    Path("long.csv").write_text("user_id,site,price\n" + "7,north,1\n" * 70_000 + "7,north,dear\n")
    before = left_behind()
    result = masknet("predict", trained, "long.csv", "--out", "scores.csv", "--threads", 1)
    assert "column 'price' holds 'dear' in row 70001 of long.csv" in result.error
    assert left_behind() == before


@pytest.fixture
def _spoiled() -> None:
    """Today's rows with a price that is no number, a row that is none, and one that is not UTF-8; the third is kept."""
    lines = Path("today.csv").read_bytes().splitlines()[:41]
    lines[2], lines[5], lines[9] = b"7,north,dear,1", b"7,north", "7,Köln,1,1".encode("latin-1")
    Path("spoiled.csv").write_bytes(b"\n".join(lines))


QUARANTINE = ("--bad-rows", "quarantine", "--threads", 1)


@pytest.mark.usefixtures("_spoiled")
@pytest.mark.parametrize("out", ["scores.csv", "scores.parquet", "scores.csv.gz"])
def test_bad_rows_are_set_aside_and_rows_stay_aligned(out: str, masknet, trained: Path) -> None:
    assert "row 5 of spoiled.csv" in masknet("predict", trained, "spoiled.csv", "--out", out, "--threads", 1).error
    result = masknet("predict", trained, "spoiled.csv", "--out", out, *QUARANTINE, "--append", "seconds,site")
    assert result.code == 0, result.err
    assert (
        result.out.splitlines()[:3]
        == [
            f"37 probabilities lie in {out}",
            "3 of 40 rows of spoiled.csv are bad and were set aside in scores.bad_rows.csv: 2 as a whole, 1 in column "
            "'price'",
            "in their rows of the output the probability is empty",
        ]
        or "1 in column" in result.out
    )
    read = pl.read_parquet if out.endswith("parquet") else pl.read_csv
    found, today = read(out), pl.read_csv("today.csv").head(40)
    bad = [1, 4, 8]
    assert [i for i, one in enumerate(found["probability"].to_list()) if one is None] == bad
    kept = [i for i in range(40) if i not in bad]
    assert found["seconds"].cast(pl.Int64).gather(kept).to_list() == today["seconds"].gather(kept).to_list()
    assert found["seconds"].cast(pl.Int64).gather(bad).to_list() == [1, None, None]
    assert found["site"].gather(bad).to_list() == ["north", None, None]
    assert masknet("predict", trained, "today.csv", "--out", "whole.csv", "--limit-rows", 40, "--threads", 1).code == 0
    expected = probabilities("whole.csv")[kept].tolist()
    assert found["probability"].gather(kept).to_list() == pytest.approx(expected, abs=1e-7)
    aside = pl.read_csv("scores.bad_rows.csv")
    assert aside.select("table", "source", "row").rows() == [("scored", "spoiled.csv", row) for row in (2, 5, 9)]
    assert aside["column"].to_list()[:2] == ["price", None]
    assert aside["reason"][0].startswith("a numeric column holds numbers; column 'price' holds 'dear' in row 2 of")
    assert [len(json.loads(cells)) for cells in aside["cells"]] == [4, 2, 4]


@pytest.mark.usefixtures("_spoiled")
def test_bad_rows_are_told_in_json_and_counted_by_the_limit(masknet, trained: Path) -> None:
    command = ("predict", trained, "spoiled.csv", "--out", "s.csv", *QUARANTINE, "--json")
    told = masknet(*command, "--limit-rows", 7).json
    assert (told["rows"], told["bad_rows"], told["bad_rows_file"]) == (7, 2, "s.bad_rows.csv")
    assert len(Path("s.csv").read_text().splitlines()) == 8
    assert Path("s.csv").read_text().splitlines()[2] == '""', "a blank line is no row to pandas"
    assert open_table("s.csv").count_rows() == 7
    assert "'s.csv' exists already" in masknet(*command).error
    Path("s.csv").unlink()
    assert "'s.bad_rows.csv' exists already" in masknet(*command).error
    told = masknet(*command, "--limit-rows", 1, "--overwrite").json
    assert (told["rows"], told["bad_rows"], told["bad_rows_file"]) == (1, 0, None)
    assert not Path("s.bad_rows.csv").exists(), "of the run before"


def test_a_table_that_is_mostly_bad_is_no_table_of_the_model(masknet, trained: Path, left_behind) -> None:
    Path("bad.csv").write_text("user_id,site,price\n7,north,dear\n7,north,cheap\n7,north,1\n")
    before = left_behind()
    error = masknet("predict", trained, "bad.csv", "--out", "s.csv", *QUARANTINE).error
    assert "more than half of the first 3 rows of bad.csv are bad (2 in column 'price')" in error
    assert left_behind() == before


def test_bad_rows_of_several_files(masknet, trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("masknet.table.table.ROWS", 4)
    Path("shards").mkdir()
    for name in ("a", "b"):
        rows = [f"7,{name}{i},{'dear' if i == 5 else i}" for i in range(10)]
        Path(f"shards/{name}.csv").write_text("\n".join(["user_id,site,price", *rows, "7"]))
    command = ("predict", trained, "shards", "--out", "s.parquet", *QUARANTINE, "--append", "site", "--json")
    assert masknet(*command).json["bad_rows"] == 4
    found = pl.read_parquet("s.parquet")
    assert found["site"].to_list() == [f"{name}{i}" if i < 10 else None for name in "ab" for i in range(11)]
    assert [i for i, one in enumerate(found["probability"].to_list()) if one is None] == [5, 10, 16, 21]
    aside = pl.read_csv("s.bad_rows.csv")
    assert aside.select("source", "row").rows() == [("a.csv", 6), ("a.csv", 11), ("b.csv", 6), ("b.csv", 11)]


def test_probabilities_on_standard_output(masknet, trained: Path, left_behind) -> None:
    before = left_behind()
    result = masknet("predict", trained, "today.csv", "--out", "-", "--append", "seconds", "--threads", 1)
    assert result.code == 0
    assert left_behind() == before
    assert "200 probabilities lie in the standard output\nmean probability" in result.err
    assert masknet("predict", trained, "today.csv", "--out", "s.csv", "--append", "seconds", "--threads", 1).code == 0
    assert result.out == Path("s.csv").read_text()


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--json"], "--out - and --json both print to standard output: name a file with --out, or leave --json out"),
        (QUARANTINE, "bad rows are set aside in a file beside --out, and --out - is none: name a file with --out"),
    ],
)
def test_what_standard_output_cannot_hold(flags: list[str], sentence: str, masknet, trained: Path) -> None:
    assert masknet("predict", trained, "today.csv", "--out", "-", *flags).error == sentence


@pytest.mark.parametrize("data", ["today.csv", "today.parquet"])
def test_how_far_it_is_shows_from_the_start(data: str, masknet, trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[int, int | None]] = []
    track = lambda self, phase, done, total, *rest: told.append((done, total))  # noqa: E731
    monkeypatch.setattr("masknet.cli.console.ConsoleProgress.track", track)
    monkeypatch.setattr("masknet.table.table.ROWS", 80)
    for flags in ((), QUARANTINE[:2]):
        told.clear()
        assert masknet("predict", trained, data, "--out", f"s{len(flags)}.csv", "--threads", 1, *flags).code == 0
        assert told == [(done, 200) for done in (0, 80, 160, 200)]


def test_the_rows_to_score_are_not_written_over(masknet, trained: Path) -> None:
    before = Path("today.csv").read_bytes()
    Path("link.csv").symlink_to("today.csv")
    for out in ("today.csv", "./today.csv", "link.csv"):
        error = masknet("predict", trained, "today.csv", "--out", out, "--overwrite").error
        assert error.endswith(f"'{out}' holds them: name another")
    assert Path("today.csv").read_bytes() == before


def test_neither_are_files_of_the_model(masknet, trained: Path) -> None:
    for out in (f"{trained}/golden.parquet", f"{trained}/new/s.csv"):
        error = masknet("predict", trained, "today.csv", "--out", out, "--overwrite").error
        assert error == f"a model's folder holds nothing but the model; '{out}' lies in '{trained}': name another"
    assert masknet("check", trained).code == 0


def test_nor_by_the_bad_rows_of_another_output(masknet, trained: Path) -> None:
    before = Path("today.csv").rename("s.bad_rows.csv").read_bytes()
    arguments = ("--out", "s.parquet", *QUARANTINE, "--overwrite")
    error = masknet("predict", trained, "s.bad_rows.csv", *arguments).error
    assert error.endswith("'s.bad_rows.csv' holds them: name another")
    assert Path("s.bad_rows.csv").read_bytes() == before


@pytest.mark.parametrize("data", ["today.csv", "shards", "sha*/*.csv"])
def test_a_model_and_rows_that_changed_places_are_told(data: str, masknet, trained: Path) -> None:
    Path("shards").mkdir()
    Path("shards/a.csv").write_bytes(Path("today.csv").read_bytes())
    for verb, *flags in (("predict", "--out", "s.csv"), ("evaluate",)):
        error = masknet(verb, data, trained, *flags).error
        assert error == (
            f"the model comes first, then the rows; '{trained}' is the model: masknet {verb} {trained} "
            f"{shlex.quote(data)}"
        )
        error = masknet(verb, trained, trained, *flags).error
        assert error == f"the model comes first, then the rows; '{trained}' is a model too: name a table"
    assert masknet("check", "today.csv").error.endswith("'today.csv' is a file: name a model")


def test_a_link_to_nothing_does_not_suggest_itself(masknet, trained: Path) -> None:
    Path("dangling.parquet").symlink_to("nothing.parquet")
    error = masknet("predict", trained, "dangling.parquet", "--out", "s.csv").error
    assert error.endswith("no file at 'dangling.parquet': it is a link to 'nothing.parquet', which is not there")
    assert "dangling" not in masknet("predict", trained, "danglin.parquet", "--out", "s.csv").error.partition(";")[2]
