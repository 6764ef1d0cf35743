from __future__ import annotations

import datetime as dt
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from masknet.encode import Counts, Declared, EncodedRows, Encoder, EncoderLearner, Shown, inspect_table
from masknet.encode.fields import CategoricalEncoding, NumericEncoding
from masknet.errors import DataError
from masknet.progress import LogProgress
from masknet.schema import Categorical, Numeric, Schema
from masknet.table import Chunk, open_table

Columns = dict[str, list[Any]]


def arrays_of(rows: EncodedRows) -> list[np.ndarray]:
    return [array for array in (rows.ids, rows.values, rows.dense) if array is not None]


def chunk_of(columns: Mapping[str, Any]) -> Chunk:
    return Chunk(pl.DataFrame(columns, strict=False), "the frame", first_row=1)


def fit(schema: Schema, columns: Mapping[str, Any], **options: Any) -> Encoder:
    learning = EncoderLearner(schema, **options)
    learning.add(chunk_of(columns))
    return learning.finish()


def ids_of(encoder: Encoder, columns: Mapping[str, Any]) -> list[Any]:
    return encoder.encode(chunk_of(columns)).ids.squeeze(1).tolist()


USER = Schema(label=None, fields=(Categorical(name="user"),))
PRICE = Schema(label=None, fields=(Numeric(name="price"),))


# One table, five readers


def readers(columns: Columns, folder: Path) -> dict[str, Any]:
    """The table as every reader gives it; pandas widens integers to floats where a value is missing."""
    polars = pl.DataFrame([pl.Series(name, cells, dtype=TYPES[name]) for name, cells in columns.items()])
    pandas = pd.DataFrame({n: np.array(c, dtype=object) if n in OBJECTS else pd.Series(c) for n, c in columns.items()})
    polars.write_parquet(folder / "polars.parquet")
    polars.write_csv(folder / "polars.csv")
    pandas.to_csv(folder / "pandas.csv", index=False)
    return {
        "Parquet": folder / "polars.parquet",
        "CSV": folder / "polars.csv",
        "CSV by pandas": folder / "pandas.csv",
        "pandas": pandas,
        "Polars": polars,
        "JSON rows": json.loads(json.dumps([{name: columns[name][i] for name in columns} for i in range(len(polars))])),
    }


TYPES = {
    "user_id": pl.Int64,
    "shop": pl.Float64,
    "device": pl.Int128,
    "code": pl.String,
    "flag": pl.Boolean,
    "price": pl.Float64,
    "count": pl.Int64,
}
OBJECTS = ("device", "code", "flag")
DECLARED = Declared(categorical=("user_id", "shop", "device", "code", "flag"), numeric=("price", "count"))
ROWS: Columns = {
    "user_id": [7, None, 8, 7, -1, 2**53],
    "shop": [7.0, 8.0, None, 0.0, -0.0, 2.0**53],
    "device": [2**63, 2**63 + 1, None, 2**100, 7, -(2**100)],
    "code": ["07", "7", "7.0", "nan", "None", "a\0🙂, \"'\n;"],
    "flag": [True, False, None, True, True, False],
    "price": [0.1, None, float("inf"), -1e300, 1e-300, 2.5],
    "count": [1, 2, None, 4, 2**60 + 1, 6],
}


def fit_on(source: Any) -> Encoder:
    table = open_table(source)
    schema = inspect_table(table, DECLARED, LogProgress()).schema
    learning = EncoderLearner(schema)
    for chunk in table.chunks(schema.field_names):
        learning.add(chunk)
    return learning.finish()


def encode_all(encoder: Encoder, source: Any) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    parts = [encoder.encode(chunk) for chunk in open_table(source).chunks(encoder.schema.field_names)]
    return np.concatenate([p.ids for p in parts]), np.concatenate([p.values for p in parts])


def test_fit_on_each_of_five_readers_and_score_with_each(tmp_path: Path) -> None:
    sources = readers(ROWS, tmp_path)
    encoders = {name: fit_on(source) for name, source in sources.items()}
    expected_ids, expected_values = encode_all(encoders["Polars"], sources["Polars"])
    assert [f.values for f in encoders["Polars"].schema.fields if isinstance(f, Categorical)] == [
        "integer", "integer", "integer", "text", "boolean",
    ]  # fmt: skip
    for fitted, encoder in encoders.items():
        for scored, source in sources.items():
            ids, values = encode_all(encoder, source)
            np.testing.assert_array_equal(ids, expected_ids, err_msg=f"fitted on {fitted}, scored with {scored}")
            np.testing.assert_array_equal(values, expected_values, err_msg=f"fitted on {fitted}, scored with {scored}")
    columns = dict(zip(ROWS, expected_ids.T, strict=True))
    assert [len(set(ids.tolist())) for ids in columns.values()] == [5, 5, 6, 6, 3, 2, 2]
    assert columns["shop"][3] == columns["shop"][4], "0.0 and -0.0 are one value"


cells = {
    "user_id": st.integers(-(2**53), 2**53) | st.sampled_from([0, 7]),
    "shop": st.sampled_from([0.0, -0.0, 7.0, -7.0, 2.0**53]),
    "device": st.integers(-(2**127), 2**127 - 1) | st.sampled_from([7, 2**63, 2**63 + 1]),
    "code": st.text(st.sampled_from("07.-é\0🙂,\"'\n "), max_size=4)
    | st.sampled_from(["7", "7.0", "07", "nan", "None", "true", "TRUE", "1e3"]),
    "flag": st.booleans(),
    "price": st.floats(allow_nan=False),
    "count": st.integers(-(2**53), 2**53),
}
tables = st.integers(1, 6).flatmap(
    lambda rows: st.fixed_dictionaries(
        {name: st.lists(cell | st.none(), min_size=rows, max_size=rows) for name, cell in cells.items()}
    )
)


@settings(max_examples=10)
@given(tables)
def test_every_table_is_the_same_to_five_readers(columns: Columns) -> None:
    with tempfile.TemporaryDirectory() as folder:
        sources = readers(columns, Path(folder))
        encoders = {name: fit_on(source) for name, source in sources.items()}
        expected = encoders["Polars"]
        ids, values = encode_all(expected, sources["Polars"])
        for name, source in sources.items():
            encoder = encoders[name]
            assert encoder.schema == expected.schema, name
            for own, other in zip(encoder.encodings, expected.encodings, strict=True):
                assert own.to_json() == other.to_json(), name
                if isinstance(own, CategoricalEncoding) and isinstance(other, CategoricalEncoding):
                    assert own.vocabulary.values.to_list() == other.vocabulary.values.to_list(), name
            scored_ids, scored_values = encode_all(expected, source)
            np.testing.assert_array_equal(scored_ids, ids, err_msg=name)
            np.testing.assert_array_equal(scored_values, values, err_msg=name)


words = st.text(st.sampled_from("ab07.é🙂 "), max_size=3)
lists = {
    "tags": (st.lists(words, max_size=3), pl.List(pl.String)),
    "ids": (st.lists(st.integers(-(2**62), 2**62), max_size=3), pl.List(pl.Int64)),
    "vector": (st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=2), pl.List(pl.Float64)),
    "naive": (st.datetimes(dt.datetime(1970, 1, 2), dt.datetime(2200, 1, 1)), pl.Datetime("us")),
    "zoned": (
        st.datetimes(dt.datetime(1970, 1, 2), dt.datetime(2200, 1, 1), timezones=st.just(dt.UTC)),
        pl.Datetime("us", "UTC"),
    ),
    "day": (st.dates(dt.date(1970, 1, 2), dt.date(2200, 1, 1)), pl.Date()),
    "seconds": (st.integers(0, 2**33), pl.Int64()),
}
nested = st.integers(2, 5).flatmap(
    lambda rows: st.fixed_dictionaries(
        {name: st.lists(cell | st.none(), min_size=rows, max_size=rows) for name, (cell, _) in lists.items()}
    )
)


def nested_readers(columns: Columns, folder: Path) -> dict[str, Any]:
    """As `readers`; what is a list elsewhere is a text with a separator in a CSV file."""
    polars = pl.DataFrame({name: pl.Series(cells, dtype=lists[name][1]) for name, cells in columns.items()})
    parts = {"tags": "|", "ids": "|", "vector": " "}
    texts = polars.with_columns(pl.col(n).cast(pl.List(pl.String)).list.join(s) for n, s in parts.items())
    pandas = pd.DataFrame(
        {n: pd.Series(c, dtype=object if n in parts or n == "seconds" else None) for n, c in columns.items()}
    )
    moments = pandas.assign(**{n: texts[n].to_pandas() for n in parts})
    polars.write_parquet(folder / "polars.parquet")
    texts.write_csv(folder / "polars.csv")
    moments.to_csv(folder / "pandas.csv", index=False)
    rows = [{name: columns[name][i] for name in columns} for i in range(len(polars))]
    return {
        "Parquet": folder / "polars.parquet",
        "CSV": folder / "polars.csv",
        "CSV by pandas": folder / "pandas.csv",
        "pandas": pandas,
        "Polars": polars,
        "JSON rows": json.loads(json.dumps(rows, default=lambda moment: moment.isoformat())),
    }  # fmt: skip


@settings(max_examples=10)
@given(nested)
def test_bags_vectors_and_moments_are_the_same_to_five_readers(columns: Columns) -> None:
    columns["tags"][0], columns["vector"][0], columns["ids"][0] = ["a", "7"], [0.5, 1.0], [7, 8]
    columns["naive"][0], columns["zoned"][0] = dt.datetime(2026, 1, 1, 12), dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
    columns["day"][0], columns["seconds"][0] = dt.date(2026, 1, 1), 1_700_000_000
    declared = Declared(
        bag=("tags", "ids"),
        dense=("vector",),
        datetime=("naive", "zoned", "day", "seconds"),
        separator={},
        hash={"ids": 1000},
    )
    with tempfile.TemporaryDirectory() as folder:
        sources = nested_readers(columns, Path(folder))
        expected = fitted = None
        for name, source in sources.items():
            table = open_table(source)
            schema = inspect_table(table, declared, LogProgress(), numeric_encoding="knots").schema
            learning = EncoderLearner(schema)
            for chunk in table.chunks(schema.field_names):
                learning.add(chunk)
            encoder = learning.finish()
            own = [encoding.to_json() for encoding in encoder.encodings]
            fitted = fitted or own
            assert own == fitted, name
            for other, rows in sources.items() if expected is None else [(name, source)]:
                parts = [encoder.encode(chunk) for chunk in open_table(rows).chunks(schema.field_names)]
                found = [np.concatenate(arrays) for arrays in zip(*map(arrays_of, parts), strict=True)]
                expected = expected or found
                for one, right in zip(found, expected, strict=True):
                    np.testing.assert_array_equal(one, right, err_msg=f"fitted on {name}, scored with {other}")


@pytest.mark.parametrize("kind", ["pandas", "Parquet"])
def test_an_id_whose_digits_are_lost_is_named_with_row_and_source(kind: str, tmp_path: Path) -> None:
    frame = pd.DataFrame({"user_id": [1, None, 2**53 + 2]})
    assert frame["user_id"].dtype == np.float64
    frame.to_parquet(tmp_path / "ads.parquet")
    source = frame if kind == "pandas" else tmp_path / "ads.parquet"
    where = "the frame" if kind == "pandas" else r"ads\.parquet"
    encoder = fit(Schema(label=None, fields=(Categorical(name="user_id", values="integer"),)), {"user_id": [1]})
    with pytest.raises(DataError, match=rf"above 2\^53 .* 'user_id' holds 9007199254740994\.0 in row 3 of {where}"):
        encode_all(encoder, source)


# The id space


def test_reserved_rows_come_first_then_the_vocabularies_the_commonest_first() -> None:
    schema = Schema(label=None, fields=(Categorical(name="a"), Numeric(name="n"), Categorical(name="b")))
    columns = {"a": ["x", "y", "y", None], "n": [1.0, 2.0, None, 4.0], "b": ["q", "p", "p", "q"]}
    encoder = fit(schema, columns)
    found = encoder.encode(chunk_of(columns))
    ids, values = found.ids, found.values
    assert ids.tolist() == [[8, 3, 10], [7, 3, 9], [7, 4, 9], [1, 3, 10]]
    assert encoder.space.num_ids == 11
    assert [(f.name, f.kind, f.slots) for f in encoder.space.fields] == [
        ("a", "categorical", 1), ("n", "numeric", 1), ("b", "categorical", 1),
    ]  # fmt: skip
    assert values[:, 0].tolist() == values[:, 2].tolist() == [1, 1, 1, 1]
    assert values[2, 1] == 1, "a missing number has an id of its own, and the value 1"
    assert (ids.dtype, values.dtype) == (np.int32, np.float32)


def test_missing_and_unseen_are_two_ids() -> None:
    encoder = fit(USER, {"user": ["a", None]})
    missing, unseen = ids_of(encoder, {"user": [None, "zzz"]})
    assert (missing, unseen) == (1, 2)
    assert ids_of(encoder, {"user": ["", "a"]}) == [1, 3]


def test_a_field_never_missing_in_training_reads_a_missing_value_as_unseen() -> None:
    encoder = fit(USER, {"user": ["a", "b"]})
    assert ids_of(encoder, {"user": [None, "zzz"]}) == [2, 2]


def test_rare_values_are_read_as_unseen_and_train_it() -> None:
    encoder = fit(USER, {"user": ["a", "a", "b", None]}, min_count=2)
    assert ids_of(encoder, {"user": ["a", "b", "zzz", None]}) == [3, 2, 2, 1]
    assert encoder.shown == (Shown(1, unseen=2, missing=1, counts=Counts(rows=4, missing=1, values=3, rare=1)),)
    assert encoder.space.num_ids == 4


ONE = Counts(rows=1, values=1)
NONE = Counts(rows=2, missing=2)


def test_what_was_rare_or_missing_is_counted_for_training_to_top_it_up() -> None:
    schema = Schema(label=None, fields=(Categorical(name="a"), Numeric(name="n"), Categorical(name="b")))
    columns = {"a": ["x", "x", None, None], "n": [1, 2, 3, None], "b": ["p", "q", "r", "r"]}
    a, n, b = fit(schema, columns, min_count=2).shown
    assert a == Shown(1, unseen=2, missing=1, counts=Counts(rows=4, missing=2, values=2))
    assert n == Shown(1, missing=4, counts=Counts(rows=4, missing=1, values=3))
    assert b == Shown(1, unseen=6, counts=Counts(rows=4, values=4, rare=2))
    assert fit(schema, {"a": ["x"], "n": [1], "b": ["p"]}).shown == (
        Shown(unseen=2, counts=ONE),
        Shown(counts=ONE),
        Shown(unseen=6, counts=ONE),
    )


def test_the_commonest_values_are_kept() -> None:
    encoder = fit(USER, {"user": ["c"] * 3 + ["b"] * 2 + ["a"] * 2 + ["d"]}, max_vocabulary=2)
    assert ids_of(encoder, {"user": ["c", "a", "b", "d"]}) == [3, 4, 2, 2]  # of equals the first in order
    assert encoder.shown == (Shown(unseen=2, counts=Counts(rows=8, values=8, rare=3)),)


def test_only_kept_rows_are_learned_from() -> None:
    schema = Schema(label=None, fields=(Categorical(name="user"), Numeric(name="price")))
    learning = EncoderLearner(schema)
    rows = {"user": ["a", "b", None], "price": [1.0, 1000.0, None]}
    learning.add(chunk_of(rows), np.array([True, False, False]))
    found = learning.finish().encode(chunk_of(rows))
    ids, values = found.ids, found.values
    assert ids.tolist() == [[5, 3], [2, 3], [2, 3]]
    assert values[:, 1].tolist() == [0, 0, 0]


def test_a_missing_number_is_the_mean_where_none_was_missing_in_training() -> None:
    encoder = fit(PRICE, {"price": [1.0, 3.0]})
    found = encoder.encode(chunk_of({"price": [3.0, None, float("nan")]}))
    ids, values = found.ids, found.values
    assert ids.tolist() == [[1], [1], [1]]
    assert values.tolist() == [[1], [0], [0]]
    assert encoder.layout.fixed_ids.tolist() == [1]
    assert encoder.layout.unit_values.tolist() == [False]
    assert fit(PRICE, {"price": [1.0, None]}).layout.fixed_ids.tolist() == [-1]


def test_a_field_that_is_missing_everywhere_can_be_encoded() -> None:
    schema = Schema(label=None, fields=(Categorical(name="a"), Numeric(name="n")))
    encoder = fit(schema, {"a": [None, None], "n": [None, None]})
    found = encoder.encode(chunk_of({"a": [None, "x"], "n": [None, 5.0]}))
    ids, values = found.ids, found.values
    assert ids.tolist() == [[1, 4], [2, 3]]
    assert values.tolist() == [[1, 1], [1, 0]]
    assert encoder.shown == (Shown(unseen=2, missing=1, counts=NONE), Shown(missing=4, counts=NONE))


def test_columns_are_found_by_name_and_others_are_not_read() -> None:
    schema = Schema(label=None, fields=(Categorical(name="a"), Numeric(name="n")))
    columns = {"a": ["x", "y"], "n": [1.0, 2.0]}
    encoder = fit(schema, columns)
    turned = {"extra": [[1], [2]], "n": columns["n"], "a": columns["a"]}
    both = (arrays_of(encoder.encode(chunk_of(given))) for given in (columns, turned))
    for own, other in zip(*both, strict=True):
        np.testing.assert_array_equal(own, other)


def test_no_rows_are_encoded_as_none() -> None:
    schema = Schema(label=None, fields=(Categorical(name="a"), Numeric(name="n")))
    encoder = fit(schema, {"a": ["x"], "n": [1.0]})
    found = encoder.encode(chunk_of({"a": [], "n": []}))
    ids, values = found.ids, found.values
    assert ids.shape == values.shape == (0, 2)


def test_encoding_leaves_the_rows_as_they_are() -> None:
    chunk = chunk_of({"price": [1.0, None, 3.0]})
    before = chunk.frame.clone()
    fit(PRICE, {"price": [1.0, None]}).encode(chunk)
    assert chunk.frame.equals(before)


# On disk


def test_an_encoder_survives_the_disk(tmp_path: Path) -> None:
    schema = Schema(
        label="click",
        fields=(
            Categorical(name="a"),
            Categorical(name="empty"),
            Numeric(name="n"),
            Categorical(name='quote " 🙂', values="integer"),
        ),
    )
    columns = {
        "a": ["\0", "🙂", None, "nan"],
        "empty": [None] * 4,
        "n": [0.1, None, 1e300, float("inf")],
        'quote " 🙂': [7, 7, 8, 2**62],
    }
    encoder = fit(schema, columns, min_count=1)
    encoder.save(tmp_path)
    loaded = Encoder.load(tmp_path)
    assert loaded.schema == schema
    assert loaded.space == encoder.space
    assert loaded.shown == encoder.shown
    assert loaded.layout.fixed_ids.tolist() == encoder.layout.fixed_ids.tolist()
    both = (arrays_of(one.encode(chunk_of(columns))) for one in (encoder, loaded))
    for own, other in zip(*both, strict=True):
        np.testing.assert_array_equal(own, other)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["encoding.json", "vocabulary.parquet"]


def test_a_person_can_read_the_encoding(tmp_path: Path) -> None:
    fit(USER, {"user": ["é", None]}).save(tmp_path)
    assert '"user": {' in (tmp_path / "encoding.json").read_text(encoding="utf-8")
    assert pl.read_parquet(tmp_path / "vocabulary.parquet").rows() == [("user", "é", 3)]


def test_a_table_of_numbers_alone_has_an_empty_vocabulary(tmp_path: Path) -> None:
    encoder = fit(PRICE, {"price": [1.0, 2.0]})
    encoder.save(tmp_path)
    encoding = Encoder.load(tmp_path).encodings[0]
    assert isinstance(encoding, NumericEncoding)
    assert encoding.scale.mean == 1.5
    assert Encoder.load(tmp_path).space.num_ids == 3


def test_ids_may_lie_anywhere(tmp_path: Path) -> None:
    """Growth appends ids: those of a field need not be neighbours."""
    schema = Schema(label=None, fields=(Categorical(name="a"), Categorical(name="b")))
    fit(schema, {"a": ["x", "x", "y"], "b": ["p", "p", "p"]}).save(tmp_path)
    grown = pl.DataFrame(
        {"field": ["b", "a", "a", "a", "b"], "value": ["p", "y", "x", "new", "x"], "id": [7, 6, 5, 8, 9]},
        schema_overrides={"id": pl.Int32},
    )
    grown.write_parquet(tmp_path / "vocabulary.parquet")
    content = json.loads((tmp_path / "encoding.json").read_text(encoding="utf-8"))
    for name, values in (("a", 3), ("b", 2)):
        content["fields"][name]["vocabulary"] = values
    (tmp_path / "encoding.json").write_text(json.dumps(content | {"num_ids": 10}), encoding="utf-8")
    encoder = Encoder.load(tmp_path)
    ids = encoder.encode(chunk_of({"a": ["x", "y", "new", "p"], "b": ["p", "x", "new", "y"]})).ids
    assert ids.tolist() == [[5, 7], [6, 9], [8, 4], [2, 4]]
    assert encoder.space.num_ids == 10
