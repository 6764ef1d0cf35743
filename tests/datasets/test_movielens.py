from __future__ import annotations

import hashlib
import subprocess
import zipfile
from pathlib import Path

import polars as pl
import pytest

from masknet.datasets import DATASETS, fetch, movielens
from masknet.datasets.movielens import click_log
from masknet.errors import DataError

RATINGS = """\
user_id:token\titem_id:token\trating:float\ttimestamp:float
2\t11\t3\t881250949
1\t10\t4\t874724710
1\t12\t5\t874724711
"""
USERS = """\
user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token
1\t19\tM\tstudent\t08544
2\t53\tF\tother\tV3N4P
"""
ITEMS = """\
item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq
10\tA "Film\t1995\tAnimation Children's Comedy
11\tÉté\t1931\tDrama
12\tFilm V: Part (1995)\tV\tAction
"""


def log(ratings: str = RATINGS) -> pl.DataFrame:
    return click_log(ratings.encode(), USERS.encode(), ITEMS.encode())


def make_wheel(folder: Path) -> Path:
    wheel = folder / movielens.WHEEL
    with zipfile.ZipFile(wheel, "w") as archive:
        for part, text in (("inter", RATINGS), ("user", USERS), ("item", ITEMS)):
            archive.writestr(zipfile.ZipInfo(movielens.MEMBER + part), text)  # without the time of day
    return wheel


def test_a_rating_becomes_a_row() -> None:
    assert log().row(0, named=True) == {
        "label": 1,
        "user_id": 1,
        "item_id": 10,
        "age_bucket": 1,
        "gender": "M",
        "occupation": "student",
        "zip3": "085",
        "genres": "Animation Children's Comedy",
        "first_genre": "Animation",
        "release_year": "1995",
        "weekday": 5,  # 1997-09-20, a Saturday
        "hour": 3,
        "timestamp": 874724710,
    }


def test_rows_are_in_order_of_time_and_a_click_is_a_rating_of_at_least_4() -> None:
    table = log()
    assert table["timestamp"].is_sorted()
    assert table["label"].to_list() == [1, 1, 0]
    assert table["label"].dtype == pl.Int8


def test_a_year_that_is_a_word_is_missing() -> None:
    assert log()["release_year"].to_list() == ["1995", None, "1931"]


def test_the_columns_are_those_that_the_data_set_declares() -> None:
    dataset = DATASETS["movielens-100k"]
    assert log().columns == [dataset.label, *dataset.categorical, *dataset.numeric, *dataset.ignore]
    assert dataset.time in dataset.ignore


@pytest.mark.parametrize("row", ["3\t10\t4\t874724712\n", "1\t99\t4\t874724712\n"])
def test_a_rating_of_a_stranger_is_refused(row: str) -> None:
    with pytest.raises(DataError, match="known user and film"):
        log(RATINGS + row)


def test_fetch_reads_the_wheel_and_writes_three_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(movielens, "_download", make_wheel)
    monkeypatch.setattr(movielens, "SHA256", hashlib.sha256(make_wheel(tmp_path).read_bytes()).hexdigest())
    files = fetch("movielens-100k", tmp_path / "cache")
    parts = pl.concat([pl.read_parquet(file) for file in (files.train, files.valid, files.test)])
    assert parts.sort("timestamp").equals(log())


def test_another_checksum_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(movielens, "_download", make_wheel)
    with pytest.raises(DataError, match=f"should have the SHA-256 {movielens.SHA256[:12]}"):
        fetch("movielens-100k", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_package_client_is_asked_for_the_pinned_wheel_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def run(command: list[str], **settings: object) -> None:
        asked.append((command, (tmp_path / "wanted.txt").read_text(), settings))

    monkeypatch.setattr(subprocess, "run", run)
    assert movielens._download(tmp_path) == tmp_path / movielens.WHEEL
    [(command, wanted, settings)] = asked
    assert wanted == f"recbole==1.2.1 --hash=sha256:{movielens.SHA256}\n"
    assert {"--no-deps", "--only-binary=:all:", "--require-hashes", "--no-input"} <= set(command)
    assert "shell" not in settings
    assert settings["timeout"] == movielens.SECONDS


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (subprocess.CalledProcessError(1, "pip", stderr="WARNING: Retrying\nERROR: No match\n"), "failed: No match;"),
        (subprocess.CalledProcessError(2, "pip", stderr=""), "failed: exit code 2;"),
        (subprocess.TimeoutExpired("pip", 120), "no answer within 120 seconds"),
    ],
)
def test_no_network_is_one_sentence_with_a_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: Exception, said: str
) -> None:
    def run(command: list[str], **settings: object) -> None:
        raise failure

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(DataError, match=said) as error:
        fetch("movielens-100k", tmp_path)
    assert "'planted', which needs none" in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_the_terms_name_the_collector_and_where_they_stand() -> None:
    terms = DATASETS["movielens-100k"].terms
    assert "GroupLens" in terms
    assert "grouplens.org" in terms
