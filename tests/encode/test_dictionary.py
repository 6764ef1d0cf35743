"""The texts of a column, numbered over the whole table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_series_equal

from masknet.encode import Declared, EncodingPlan, kept, prepare
from masknet.encode.cells import reader
from masknet.encode.coded import Coded, CodedChunk
from masknet.encode.dictionary import Dictionary, Known, PerCell, Times
from masknet.encode.kept import KeptRows
from masknet.encode.values import BadCellsError
from masknet.progress import LogProgress
from masknet.schema import Bag, Categorical, Numeric
from masknet.table import open_table


def test_a_text_keeps_its_number() -> None:
    dictionary = Dictionary()
    first = dictionary.numbers(pl.Series(["b", "", "a long text that is no view of few bytes"]))
    for texts in (["a", None, "b"], ["", "b"], ["a"], []):
        numbers = dictionary.numbers(pl.Series(texts, dtype=pl.String))
        assert dictionary.texts[numbers].to_list() == texts
    assert dictionary.texts[first].to_list() == ["b", "", "a long text that is no view of few bytes"]
    assert len(dictionary) == len(dictionary.texts) == 5
    assert len(Dictionary()) == 1, "another column has texts of its own"


def test_what_is_read_of_a_dictionary_is_read_again_once_it_has_grown() -> None:
    dictionary, read = Dictionary(), reader(Numeric(name="x"))
    assert isinstance(read, PerCell)
    for texts in (["7", "8"], ["9", "7"]):
        known = Known(dictionary, dictionary.numbers(pl.Series(texts)), np.array([0, 1]))
        found = known.found(read)
        assert found is not None
        assert found.tolist() == [float(text) for text in texts]


def test_a_bag_is_read_from_its_own_cells() -> None:
    assert isinstance(reader(Categorical(name="x")), PerCell)
    assert not isinstance(reader(Bag(name="x")), PerCell)


def test_times_are_those_of_the_rows() -> None:
    dictionary, draws = Dictionary(), np.random.default_rng(1)
    rows = [pl.Series("x", draws.integers(0, high, 300)).cast(pl.String) for high in (9, 90)]
    keep = draws.random(300) < 0.5
    columns = [Coded.of(column) for column in rows]
    known = [Known(dictionary, dictionary.numbers(c.cells), c.codes) for c in columns if c.codes is not None]
    times = Times(dictionary)
    times.add(known[0])
    times.add(known[1], keep)
    expected = pl.concat([rows[0], rows[1].filter(pl.Series(keep))]).value_counts(sort=True)
    found = dict(zip(dictionary.texts.to_list(), times.of_each.tolist(), strict=True))
    assert {text: count for text, count in found.items() if count} == dict(expected.iter_rows())


@pytest.mark.parametrize("room", [0, 1, 1 << 27])
def test_rows_come_back_whether_their_texts_are_numbered_or_not(
    room: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "_DICTIONARY_BYTES", room)
    columns = [pl.Series("x", texts * 9) for texts in (["a", "b", None], ["b", "", "c"])]
    rows = KeptRows(tmp_path / "rows")
    for column in columns:
        rows.add(CodedChunk({"x": Coded.of(column)}, "ads.csv", 1))
    found = list(rows.chunks(["x"], at_most=10))
    assert_series_equal(pl.concat([chunk.columns["x"].rows() for chunk in found]), pl.concat(columns))
    numbered = [chunk.columns["x"].known is not None for chunk in found]
    assert numbered == [room > 0] * 3 + [room > 1] * 3


def test_a_cell_that_is_refused_is_refused_where_it_stands(tmp_path: Path) -> None:
    rows = KeptRows(tmp_path / "rows")
    for first, texts in ((1, ["7", "8"]), (11, ["8", "x"])):
        rows.add(CodedChunk({"price": Coded.of(pl.Series("price", texts * 5))}, "ads.csv", first))
    good, bad = rows.chunks(["price"], at_most=100)
    read = reader(Numeric(name="price"))
    assert good.read("price", read)[0].tolist() == [7.0, 8.0]
    with pytest.raises(BadCellsError, match=r"holds 'x' in row 12 of ads\.csv"):
        bad.read("price", read)


def test_a_set_is_the_same_without_dictionaries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draws, rows = np.random.default_rng(2), 900
    file = tmp_path / "log.csv"
    frame = pl.DataFrame(
        {
            "click": draws.integers(0, 2, rows),
            "user_id": draws.zipf(1.5, rows) % 70,
            "city": [("Ulm", "Bonn", "")[i] for i in draws.integers(0, 3, rows)],
            "price": [("", "$1,2", "7.50", f"{i}")[i % 4] for i in draws.integers(0, 200, rows)],
            "tags": ["|".join(f"t{i}" for i in range(n)) for n in draws.integers(0, 4, rows)],
        }
    )
    frame.write_csv(file)
    plan = EncodingPlan(
        Declared(label="click", bag=("tags",), hash={"city": 10}, numeric=("price",), missing=("$1,2",)),
        min_count=2,
        numeric_encoding="knots",
    )
    monkeypatch.setattr("masknet.encode.coded.ROWS", 200)  # so that there are several chunks

    def written(cache: Path) -> dict[str, bytes]:
        made = prepare(open_table(file), None, plan, LogProgress(), cache=cache)
        folder = cache / "encoded" / made.fingerprint[:40]
        return {str(one.relative_to(folder)): one.read_bytes() for one in folder.rglob("*") if one.is_file()}

    numbered = written(tmp_path / "numbered")
    monkeypatch.setattr(kept, "_DICTIONARY_BYTES", 0)
    assert numbered == written(tmp_path / "not")
