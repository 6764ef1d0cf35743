"""Sparse matrices of SciPy: the table of a libsvm file of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import scipy.sparse as sp
from sklearn.datasets import dump_svmlight_file
from sklearn.feature_extraction import DictVectorizer, FeatureHasher
from sklearn.preprocessing import OneHotEncoder

from masknet.errors import DataError
from masknet.table import open_table


def matrix(rows: int = 300) -> Any:
    """A CSR matrix with zeros that are stored, columns that a row has twice, in any order, and rows without any."""
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 6, rows)
    counts[:3] = (0, 6, 0)
    starts = np.concatenate([[0], np.cumsum(counts)])
    stored = rng.integers(-20, 20, starts[-1]) / 8  # a file has 16 digits
    stored[::7] = 0
    return sp.csr_matrix((stored, rng.integers(0, 9, starts[-1]), starts), shape=(rows, 9))


def bags(source: Any) -> pl.Series:
    return pl.concat([chunk.frame["features"] for chunk in open_table(source).chunks(["features"])])


def of_libsvm(given: Any, folder: Path) -> pl.Series:
    dump_svmlight_file(given, np.zeros(given.shape[0], dtype=int), str(folder / "x.libsvm"))
    return bags(folder / "x.libsvm")


@pytest.mark.parametrize("form", ["csr", "csc", "coo", "lil", "dok", "bsr"])
@pytest.mark.parametrize("make", [sp.csr_matrix, sp.csr_array])
def test_a_matrix_is_the_libsvm_file_of_it(form: str, make: Any, tmp_path: Path) -> None:
    given = make(matrix()).asformat(form)
    before = given.copy()
    table = open_table(given)
    assert (table.columns, table.num_rows, table.name) == (("features",), 300, "the frame")
    found = bags(given)
    assert found.dtype == pl.List(pl.Struct({"value": pl.String, "weight": pl.Float64}))
    assert found.equals(of_libsvm(given, tmp_path))
    assert found[0] is None
    assert (given != before).nnz == 0


def test_zeros_and_repeated_columns_that_are_stored_stay() -> None:
    given = sp.csr_matrix(([1.0, 0.0, 2.0], [4, 4, 0], [0, 3]), shape=(1, 5))
    assert bags(given).to_list() == [[{"value": v, "weight": w} for v, w in (("0", 2.0), ("4", 1.0), ("4", 0.0))]]


@pytest.mark.parametrize("dtype", [np.bool_, np.int8, np.int64, np.uint32, np.float32])
def test_entries_of_any_number_type(dtype: Any) -> None:
    given = sp.csr_array(np.array([[0, 1], [1, 0]]).astype(dtype))
    assert [[(p["value"], p["weight"]) for p in bag] for bag in bags(given)] == [[("1", 1.0)], [("0", 1.0)]]


def test_what_scikit_learn_makes(tmp_path: Path) -> None:
    rows = [{"city": "Ulm", "price": 2.5}, {"city": "Köln"}, {}]
    for given in (
        OneHotEncoder().fit_transform([["a"], ["b"], ["a"]]),
        DictVectorizer().fit_transform(rows),
        FeatureHasher(n_features=16).transform(rows),
    ):
        assert bags(given).equals(of_libsvm(given, tmp_path))


def test_long_matrices_come_in_chunks_and_are_known_by_their_entries() -> None:
    given = sp.csr_array((np.ones(150_000), (np.arange(150_000), np.arange(150_000) % 11)), shape=(150_000, 11))
    chunks = [chunk.frame["features"] for chunk in open_table(given).chunks()]
    assert [len(chunk) for chunk in chunks] == [65_536, 65_536, 18_928]
    assert pl.concat(chunks).list.get(0).struct.field("value").to_list() == [str(i % 11) for i in range(150_000)]
    assert open_table(given).fingerprint() == open_table(given.tocoo()).fingerprint()
    assert open_table(given).fingerprint() != open_table(given * 2).fingerprint()


@pytest.mark.parametrize("given", [sp.csr_array(np.array([[1j]])), sp.coo_array(np.ones(3))], ids=["complex", "1-d"])
def test_matrices_that_are_no_table(given: Any) -> None:
    with pytest.raises(
        DataError, match=r"a sparse matrix is a table if it is \[rows, columns\] of numbers; it was given"
    ):
        open_table(given)


def test_scipy_is_not_imported_to_ask() -> None:
    code = "import sys, masknet.table; masknet.table.open_table([{'a': 1}]); print('scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
