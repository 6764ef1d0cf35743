from __future__ import annotations

from pathlib import Path

import polars as pl


def test_list_names_the_sets_and_their_terms(masknet) -> None:
    result = masknet("data", "list")
    assert result.code == 0
    for shown in ("movielens-100k", "planted", "GroupLens", "commercial"):
        assert shown in result.out
    assert {each["name"] for each in masknet("data", "list", "--json").json["data_sets"]} == {
        "movielens-100k",
        "planted",
    }


def test_fetch_says_where_it_lies_and_clean_empties_the_cache(masknet, rows, tiny) -> None:
    rows().write_parquet("log.parquet")
    train = ("train", "log.parquet", "--label", "click", "--ignore", "seconds", *tiny, "--cache-dir", "kept")
    assert masknet(*train, "--out", "a").code == 0
    fetched = masknet("data", "fetch", "planted", "--cache-dir", "kept", "--json")
    assert fetched.code == 0
    assert set(fetched.json) == {"train", "valid", "test"}
    assert len(pl.read_parquet(fetched.json["test"])) == 10_000
    assert "terms of planted" in fetched.err
    again = masknet("data", "fetch", "planted", "--cache-dir", "kept")
    assert again.out.splitlines()[0] == f"train: {fetched.json['train']}"

    Path("kept/mine.txt").write_text("dear")
    held = sum(file.stat().st_size for file in Path("kept").rglob("*") if file.is_file()) - 4
    cleaned = masknet("data", "clean", "--cache-dir", "kept", "--json")
    assert cleaned.json == {"freed_bytes": held, "cache": "kept"}
    assert [path.name for path in Path("kept").iterdir()] == ["mine.txt"]
    assert "taken from the cache" not in masknet(*train, "--out", "b").err


def test_the_users_own_cache_is_the_default(masknet, tmp_path: Path) -> None:
    (tmp_path / "cache/masknet/encoded/x").mkdir(parents=True)
    (tmp_path / "cache/masknet/encoded/x/ids.npy").write_bytes(b"0" * 1_500_000)
    result = masknet("data", "clean")
    assert (result.code, result.out) == (0, f"1.5 MB freed in {tmp_path}/cache/masknet\n")
    assert list((tmp_path / "cache/masknet").iterdir()) == []
    assert masknet("data", "clean", "--json").json["freed_bytes"] == 0


def test_an_unknown_set(masknet) -> None:
    assert masknet("data", "fetch", "plantd").error == "unknown data set 'plantd'; did you mean 'planted'?"


def test_a_cache_that_cannot_be(masknet) -> None:
    Path("file").write_text("x")
    assert "file/datasets" in masknet("data", "fetch", "planted", "--cache-dir", "file").error
