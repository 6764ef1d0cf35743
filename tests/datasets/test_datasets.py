from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from masknet import datasets
from masknet.datasets import DATASETS, DatasetFiles, fetch
from masknet.datasets.dataset import write_split
from masknet.errors import ConfigError, DataError
from masknet.progress import Progress


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Replace the planted log by a tiny one, and record the folders that it is built in."""
    folders: list[Path] = []

    def build(folder: Path, progress: Progress) -> None:
        folders.append(folder)
        write_split(pl.DataFrame({"click": [0, 1] * 10}), folder, seed=0)

    monkeypatch.setitem(DATASETS, "planted", replace(DATASETS["planted"], build=build))
    return folders


def rows(files: DatasetFiles) -> list[int]:
    return [pl.read_parquet(file).height for file in (files.train, files.valid, files.test)]


def test_every_name_is_its_key() -> None:
    assert set(DATASETS) == {"movielens-100k", "planted"}
    assert all(name == dataset.name for name, dataset in DATASETS.items())


def test_a_second_fetch_finds_the_first(tmp_path: Path, builds: list[Path]) -> None:
    first = fetch("planted", tmp_path / "new" / "cache")
    assert fetch("planted", tmp_path / "new" / "cache") == first
    assert len(builds) == 1
    assert rows(first) == [16, 2, 2]


def test_nothing_but_the_data_set_is_left(tmp_path: Path, builds: list[Path]) -> None:
    files = fetch("planted", tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [files.train.parent.name]


def test_another_revision_is_another_copy(tmp_path: Path, builds: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    first = fetch("planted", tmp_path)
    monkeypatch.setitem(DATASETS, "planted", replace(DATASETS["planted"], revision=2))
    assert fetch("planted", tmp_path) != first


def test_a_copy_that_lost_a_file_is_made_again(tmp_path: Path, builds: list[Path]) -> None:
    fetch("planted", tmp_path).valid.unlink()
    assert rows(fetch("planted", tmp_path)) == [16, 2, 2]
    assert len(builds) == 2


def test_a_copy_that_another_process_made_meanwhile_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def build(folder: Path, progress: Progress) -> None:
        winner = tmp_path / f"planted-{DATASETS['planted'].revision}"
        for place, size in ((winner, 100), (folder, 10)):
            place.mkdir(exist_ok=True)
            write_split(pl.DataFrame({"click": [0] * size}), place, seed=0)

    monkeypatch.setitem(DATASETS, "planted", replace(DATASETS["planted"], build=build))
    assert rows(fetch("planted", tmp_path)) == [80, 10, 10]


def test_a_build_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def build(folder: Path, progress: Progress) -> None:
        (folder / "train.parquet").touch()
        raise DataError("no network")

    monkeypatch.setitem(DATASETS, "planted", replace(DATASETS["planted"], build=build))
    with pytest.raises(DataError, match="no network"):
        fetch("planted", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, builds: list[Path]) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="file cannot be"):
        fetch("planted", tmp_path / "file")


def test_the_cache_is_the_users_own_unless_given(
    tmp_path: Path, builds: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets, "user_cache_path", lambda name: tmp_path / name)
    assert fetch("planted").train.is_relative_to(tmp_path / "masknet")


def test_an_unknown_name_offers_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'movielens-100k'"):
        fetch("movielens100k")


def test_the_split_deals_every_row_once_and_keeps_their_order(tmp_path: Path) -> None:
    log = pl.DataFrame({"row": range(1003)})
    write_split(log, tmp_path, seed=0)
    files = DatasetFiles.under(tmp_path)
    parts = [pl.read_parquet(file)["row"].to_list() for file in (files.train, files.valid, files.test)]
    assert [len(part) for part in parts] == [803, 100, 100]
    assert sorted(parts[0] + parts[1] + parts[2]) == log["row"].to_list()
    assert all(part == sorted(part) for part in parts)
    assert max(parts[1]) > 803  # dealt, not cut


def test_fetching_needs_no_torch() -> None:
    program = "import sys, masknet.datasets; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
