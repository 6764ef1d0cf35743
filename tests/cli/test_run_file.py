from __future__ import annotations

import json
from pathlib import Path

import pytest

RUN = """
data: data/log.parquet
label: click
ignore: [seconds]
model: serial-masknet
set:
  embedding_dim: 2
  block_dims: [4, 3]
epochs: 1
learning_rate: 1e-2
threads: 1
out: made/ads.masknet
cache_dir: kept
"""


@pytest.fixture(autouse=True)
def _folder(rows) -> None:
    """A run file and its data in a folder of their own, which is not the current one."""
    Path("project/data").mkdir(parents=True)
    rows().write_parquet("project/data/log.parquet")
    rows(100, seed=1).write_parquet("project/data/valid.parquet")
    rows(300, seed=2).write_parquet("other.parquet")
    Path("project/run.yaml").write_text(RUN)


def kept(model: str, file: str = "run.json") -> dict:
    return json.loads((Path(model) / file).read_text())


def test_paths_in_a_run_file_are_relative_to_it(masknet, left_behind) -> None:
    result = masknet("train", "--config", "project/run.yaml")
    assert result.code == 0
    run = kept("project/made/ads.masknet")
    assert (run["learning_rate"], run["set"]["block_dims"], run["ignore"]) == (0.01, [4, 3], ["seconds"])
    assert kept("project/made/ads.masknet", "manifest.json")["model"] == "serial-masknet"
    assert Path("project/kept/encoded").is_dir()
    assert {Path(path).parts[0] for path in left_behind()} == {"project", "other.parquet"}


def test_flags_win_and_a_positional_argument_is_the_data(masknet) -> None:
    flags = ("--model", "parallel-masknet", "--seed", 5, "--set", "embedding_dim=3", "--set", "top_dims=[4]")
    result = masknet("train", "other.parquet", "--config", "project/run.yaml", *flags, "--out", "mine.masknet")
    assert result.code == 0
    assert "lies in mine.masknet" in result.out
    run = kept("mine.masknet")
    assert run["data"] == str(Path("other.parquet").absolute())
    given = {"embedding_dim": 3, "block_dims": [4, 3], "top_dims": [4]}
    left_open = {"reduction": 1.0, "max_mask_weights": 2_000_000}
    left_open |= {"embedding_norm": False, "hidden_norm": True, "dropout": 0.0}
    assert run["set"] == given | left_open  # as resolved
    assert (run["model"], run["seed"], run["learning_rate"]) == ("parallel-masknet", 5, 0.01)
    assert kept("mine.masknet", "manifest.json")["data"]["rows"] == 270
    assert not Path("project/made").exists()


def test_a_flag_for_the_validation_rows_replaces_what_the_file_says_of_them(masknet) -> None:
    with Path("project/run.yaml").open("a") as file:
        file.write("valid: data/valid.parquet\n")
    run = ("train", "--config", "project/run.yaml", "--json", "--overwrite")
    assert masknet(*run).json["rows"] == 100
    assert masknet(*run, "--valid-fraction", 0.2).json["rows"] == 80
    assert masknet(*run, "--valid", "other.parquet").json["rows"] == 300


def test_a_switch_of_the_file_is_turned_off_by_a_flag(masknet) -> None:
    with Path("project/run.yaml").open("a") as file:
        file.write("overwrite: true\n")
    assert masknet("train", "--config", "project/run.yaml").code == 0
    assert masknet("train", "--config", "project/run.yaml").code == 0
    assert "--overwrite" in masknet("train", "--config", "project/run.yaml", "--no-overwrite").error


def test_names_as_a_list_or_comma_separated(masknet) -> None:
    text = RUN.replace("ignore: [seconds]", "ignore: seconds, site\ncategorical: [price]")
    Path("project/run.yaml").write_text(text)
    assert masknet("train", "--config", "project/run.yaml").code == 0
    schema = kept("project/made/ads.masknet", "encoding.json")["schema"]
    assert [field["name"] for field in schema["fields"]] == ["user_id", "price"]
    assert {field["kind"] for field in schema["fields"]} == {"categorical"}


def test_the_run_kept_in_the_artifact_runs_again_with_the_same_weights(masknet) -> None:
    assert masknet("train", "--config", "project/run.yaml").code == 0
    again = masknet("train", "--config", "project/made/ads.masknet/run.json", "--out", "again.masknet")
    assert again.code == 0
    one, other = (Path(model) / "weights.safetensors" for model in ("project/made/ads.masknet", "again.masknet"))
    assert one.read_bytes() == other.read_bytes()


def test_json_may_be_asked_for_in_the_file(masknet) -> None:
    with Path("project/run.yaml").open("a") as file:
        file.write("json: true\n")
    assert masknet("train", "--config", "project/run.yaml").json["rows"] == 40


BAD = {
    "an unknown key": ("batch_sise: 3", "did you mean 'batch_size'?"),
    "a flag's spelling": ("batch-size: 3", "did you mean 'batch_size'?"),
    "a value out of range": ("batch_size: 0", "'batch_size'"),
    "a word for a number": ("batch_size: many", "'batch_size'"),
    "a word that is none of the choices": ("schedule: plato", "'plateau' or 'constant'"),
    "a list for a path": ("valid: [a, b]", "'valid'"),
    "a key given twice": ("threads: 2", "'threads' stands twice (again in line 14)"),
    "no YAML": ("clip: [1, 2", "is not YAML"),
    "a tab": ("\tclip: 1", "is not YAML"),
    "two splits": ("valid_fraction: 0.1\nvalid_after: 2026-01-01\ntime: seconds", "valid_fraction and valid_after"),
    "an unknown option of the model": ("", "did you mean 'reduction'?"),
    "an unknown column": ("time: secnds", "did you mean 'seconds'?"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_run_file_is_one_sentence_and_leaves_nothing(case: str, masknet, left_behind) -> None:
    line, named = BAD[case]
    text = RUN if line else RUN.replace("embedding_dim: 2", "reducton: 2")
    Path("project/run.yaml").write_text(f"{text}{line}\n")
    before = left_behind()
    assert named in masknet("train", "--config", "project/run.yaml").error
    assert left_behind() == before


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (None, "no run file at 'bad.yaml'"),
        (b"", "'bad.yaml'"),
        (b"just words", "'bad.yaml'"),
        (b"- a\n- b\n", "'bad.yaml'"),
        (b"label: K\xf6ln", "'bad.yaml'"),
        (b"? [a, b]\n: 1\n", "'bad.yaml'"),
    ],
    ids=["none", "empty", "words", "list", "latin-1", "a list as key"],
)
def test_what_is_no_run_file(content: bytes | None, named: str, masknet) -> None:
    if content is not None:
        Path("bad.yaml").write_bytes(content)
    assert named in masknet("train", "other.parquet", "--label", "click", "--config", "bad.yaml").error


def test_a_folder_is_no_run_file(masknet) -> None:
    assert "'project'" in masknet("train", "--config", "project").error


@pytest.mark.parametrize(("text", "named"), [("epochs: 1\nlabel: click", "data"), ("data: log.csv", "--label")])
def test_data_and_label_are_needed(text: str, named: str, masknet) -> None:
    Path("bad.yaml").write_text(text)
    assert named in masknet("train", "--config", "bad.yaml").error
