"""Arrays, lists and series that a caller gives where the command line has tables and names of columns.

scikit-learn's tools pass arrays `[rows, columns]`, whose columns have no names and count by their place, and labels and
weights beside them, one a row. Here they are checked, and become what the engine reads.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from masknet.errors import DataError, warn_user
from masknet.table import Table, is_matrix

# Arrays in the place of tables: their columns have no names, so that they count by their place


def array_of(rows: Any) -> NDArray[Any] | None:
    """The rows as an array `[rows, columns]`, where they are one, or lists, or a frame without names of columns."""
    if is_matrix(rows):
        return None  # whose rows are bags
    if type(rows).__module__.startswith("pandas") and not hasattr(rows, "columns"):
        return None  # a series, which no table is either
    names: Any = getattr(rows, "columns", None)
    if names is not None or hasattr(rows, "__arrow_c_stream__") or hasattr(rows, "__dataframe__"):
        if not type(rows).__module__.startswith("pandas") or any(isinstance(name, str) for name in names):
            return None
        array = rows.to_numpy(dtype=object) if len(set(rows.dtypes)) > 1 else rows.to_numpy()
    elif isinstance(rows, list | tuple) and len(rows) and not isinstance(rows[0], str | os.PathLike | Mapping):
        try:
            array = np.asarray(rows)
        except ValueError:
            raise DataError("the rows of an array have equally many columns; those of X do not") from None
        array = np.asarray(rows, dtype=object) if array.dtype.kind in "US" else array  # 1 beside "a" is no "1"
    elif hasattr(rows, "__array__"):
        array = rows if isinstance(rows, np.ndarray) else np.asarray(rows)
    else:
        return None
    if array.dtype.names:
        return None  # a structured array, whose columns have names
    if array.ndim != 2:
        raise DataError(
            f"an array is [rows, columns]; X has the shape {array.shape}: Reshape your data with .reshape(-1, 1) if it "
            f"is one column, with .reshape(1, -1) if it is one row"
        )
    if array.dtype.kind == "c":
        raise DataError(f"Complex data not supported: a value is a number, a text or a time; X holds {array.dtype}")
    if array.shape[1] == 0:
        raise DataError(f"X has 0 feature(s) (shape={array.shape}) while a minimum of 1 is required.")
    return cast("NDArray[Any]", array)


def width_of(array: NDArray[Any] | None) -> int | None:
    """How many columns an array has; None where there is none."""
    return None if array is None else int(array.shape[1])


def matrix_width(rows: Any) -> int | None:
    """How many columns a sparse matrix has; None where the rows are none."""
    return int(rows.shape[1]) if is_matrix(rows) and rows.ndim == 2 else None


def require_width(array: Any, width: int) -> None:
    """Refuse an array, or a sparse matrix, of another width than that of the training.

    The words are those that scikit-learn's checks look for.
    """
    if array.shape[1] != width:
        raise DataError(f"X has {array.shape[1]} features, but CTRClassifier is expecting {width} features as input")


# Labels and weights, one a row


def free_name(name: str, taken: Sequence[str]) -> str:
    """The name, with as many underscores behind it as make it one that is not taken."""
    while name in taken:
        name += "_"
    return name


def label_name(labels: object, table: Table) -> str:
    """What to call the labels: the series' own name, else one that no column has."""
    name = getattr(labels, "name", None)
    if not isinstance(name, str) or not name:
        return free_name("label", table.columns)
    if name in table.columns:
        raise DataError(f"X holds no labels where y does; '{name}' is in both: drop it from X, or pass y='{name}'")
    return name


def column_of(values: ArrayLike, what: str) -> NDArray[Any]:
    """One value a row, as an array of numbers, booleans or texts."""
    array = np.asarray(values)
    if array.ndim == 2 and array.shape[1] == 1:
        from sklearn.exceptions import DataConversionWarning  # here, since it is heavy, and who scores needs it not

        warn_user(
            f"A column-vector {what} was passed when a 1d array was expected; pass {what}.ravel()",
            DataConversionWarning,
        )
        array = array[:, 0]
    if array.ndim != 1:
        raise DataError(f"{what} has one value a row; it was given in the shape {array.shape}")
    if array.dtype.kind == "O":
        missing = np.array([type(v).__name__ in ("NoneType", "NAType", "NaTType") or v != v for v in array], dtype=bool)
        array = array if missing.any() else np.array(array.tolist())
    else:
        missing = np.isnan(array) if array.dtype.kind == "f" else np.zeros(len(array), dtype=bool)
    if missing.any():
        raise DataError(f"{what} has one value a row; none is in row {int(missing.argmax()) + 1}: drop such rows")
    if array.dtype.kind not in "biufU":
        raise DataError(f"{what} holds numbers, booleans or texts; it was given {array.dtype}")
    return array


def classes_of(labels: ArrayLike) -> NDArray[Any]:
    """The two values of the labels, rising.

    Raises:
        DataError: there are not two.
    """
    classes: NDArray[Any] = np.unique(column_of(labels, "y"))
    if len(classes) != 2:
        shown = ", ".join(map(repr, classes[:3].tolist())) + (", ..." if len(classes) > 3 else "")
        if len(classes) < 2:
            raise DataError(f"a classifier learns two classes; y holds {'1 class' if len(classes) else '0'} ({shown})")
        if classes.dtype.kind == "f" and (classes % 1).any():
            raise DataError(f"Unknown label type: a classifier learns two classes, and y is continuous ({shown})")
        click = f": make a click of them, such as y >= {classes[3 * len(classes) // 5].item()!r}"
        way_out = click if classes.dtype.kind in "iuf" else ""
        raise DataError(f"Only binary classification is supported; y holds {len(classes):,} classes ({shown}){way_out}")
    return classes


def require_weights(weights: NDArray[Any], codes: NDArray[Any] | None) -> None:
    """Refuse weights that leave nothing to tell apart."""
    some = weights != 0
    if not some.any():
        raise DataError("at least one sample weight is above zero; all of them are zero")
    if codes is not None and len(codes) == len(weights) and len(np.unique(codes[some])) < 2:
        raise DataError("a classifier learns two classes; the rows whose sample weight is above zero hold 1 class")


def codes_of(labels: ArrayLike, what: str, classes: NDArray[Any]) -> NDArray[np.uint8]:
    """0 for the first of the classes, 1 for the second."""
    array = column_of(labels, what)
    codes: NDArray[np.bool_] = array == classes[1]
    wrong = ~(codes | (array == classes[0]))
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(
            f"a label is {classes[0].item()!r} or {classes[1].item()!r}; {what} holds {array[row].item()!r} in row "
            f"{row + 1}"
        )
    return codes.astype(np.uint8)
