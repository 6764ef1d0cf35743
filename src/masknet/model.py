"""What `masknet.load` returns: a trained model that scores, and imports no more than scoring needs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from masknet.arrays import array_of, matrix_width, require_width
from masknet.artifact import Artifact, load_artifact
from masknet.encode import FieldSkew
from masknet.encode.skew import LEAST_VALUES
from masknet.errors import DataError, errors_said, settings_of_training, settings_said, warn_user
from masknet.predict import Watch, predict_frame
from masknet.schema import Bag
from masknet.table import Form, Source

__all__ = ["Model", "load"]

_OF_FORM = ("no_header", *(field.name for field in fields(Form)))


class Model:
    """A trained model that scores raw rows; `CTRClassifier` scores through it, and is what scikit-learn's tools take.

    It is no estimator: it cannot be fitted or cloned, and has no settings.

    Args:
        artifact: the trained thing.
    """

    def __init__(self, artifact: Artifact) -> None:
        self.artifact = artifact

    def __repr__(self) -> str:
        """What it is: `Model('ads.masknet': parallel-masknet, 4 members, 2,276,000 parameters)`."""
        place = "" if self.artifact.path is None else f"'{self.artifact.path}': "
        return f"Model({place}{self.artifact.manifest.headline})"

    @property
    def network_(self) -> nn.Module:
        """The network, in eval mode.

        Raises:
            AttributeError: what scores is none, but trees, say.
        """
        return self.artifact.network

    @property
    def metrics_(self) -> dict[str, dict[str, Any]]:
        """By name, what it reached on the validation rows; of several labels, by the label."""
        return self.artifact.manifest.tasks or self.artifact.manifest.metrics

    @property
    def history_(self) -> list[dict[str, Any]]:
        """A record an evaluation."""
        return self.artifact.history

    @property
    def classes_(self) -> NDArray[Any]:
        """The two values of the label, `[2]`; the second is the click."""
        return np.array(self.artifact.manifest.data.get("classes", [0, 1]))

    @property
    def n_features_in_(self) -> int:
        """How many columns it reads; of an array or a sparse matrix, how many it has."""
        return self._width or self._matrix_width or len(self.artifact.encoder.schema.fields)

    @property
    def feature_names_in_(self) -> NDArray[np.object_]:
        """The columns that it reads.

        Raises:
            AttributeError: it was trained on an array or a sparse matrix, whose columns have no names.
        """
        if self._width or self._matrix_width:
            raise AttributeError("the model was trained on an array, whose columns have no names")
        return np.array(self.artifact.encoder.schema.field_names, dtype=object)

    @property
    def _width(self) -> int | None:
        return self.artifact.manifest.data.get("columns_without_names")

    @property
    def _matrix_width(self) -> int | None:
        return self.artifact.manifest.data.get("columns_of_matrix")

    def predict_proba(
        self,
        X: Source,  # noqa: N803
        *,
        columns: Sequence[str] | None = None,
        form: Form | None = None,
    ) -> NDArray[np.float64]:
        """The probabilities of `classes_`, `[rows, 2]`; the second column is that of a click.

        Of several labels the probability that each is 1, `[rows, labels]`, in their order. (A multi-label classifier of
        scikit-learn gives the same, one whose label may have more than two classes a list of arrays.)

        X needs the columns that the model reads, in any order; others are not read. An array or a sparse matrix needs
        as many columns as that of the training. Missing values, and values never seen in training, are scored too.

        Args:
            X: a path, a glob or a folder of files, or a Polars, pandas or Arrow frame, a list of dicts, an array, or a
                sparse matrix of SciPy.
            columns: names for a text file without a header; None takes those of the training.
            form: what is said of how a file is written; None takes it as that of the training was, unless it differs.

        Warns:
            UserWarning: a column is far more often missing, or unseen, than it was in training.

        Raises:
            DataError: a column is missing, or a cell cannot be what its column means.
        """
        with errors_said(_in_keywords):
            click, skews = self._click_probabilities(X, columns, form)
        if skews:
            warn_user("\n".join(skew.sentence for skew in skews))
        return click if click.ndim == 2 else np.column_stack([1 - click, click])

    def _click_probabilities(
        self, rows: Source, columns: Sequence[str] | None, form: Form | None
    ) -> tuple[NDArray[np.float64], Sequence[FieldSkew]]:
        array = array_of(rows)
        if array is None and self._are_few(rows):
            return predict_frame(self.artifact, rows), ()
        watch = Watch(self.artifact)
        if array is None:
            self._check_matrix(rows)
            named = tuple(self.artifact.run.get("columns") or ()) if columns is None else columns
            headed = bool(named) or not self.artifact.run.get("no_header")
            form = Form(header=headed) if form is None else form
            said = of_file(rows, columns=named, form=form)
            return predict_frame(self.artifact, rows, watch=watch, **said), watch.skews
        if self._matrix_width is not None:
            raise DataError(
                "the model was trained on a sparse matrix, and X is a dense array: give it as one, "
                "scipy.sparse.csr_array(X)"
            )
        if self._width is None:
            names = self.artifact.encoder.schema.field_names
            raise DataError(
                f"the model finds its columns by their names, and those of an array have none: give X as a frame "
                f"with the columns {', '.join(names[:5])}" + (", ..." if len(names) > 5 else "")
            )
        require_width(array, self._width)
        return predict_frame(self.artifact, array, watch=watch), watch.skews

    def _are_few(self, rows: Source) -> bool:
        """Whether the rows are dicts, and so few that no share of them could be a skew. A bag may hold many values.

        NOTE[perf]: to count the values of a row takes a tenth of what scores it.
        """
        few = isinstance(rows, list) and 0 < len(rows) < LEAST_VALUES and isinstance(rows[0], Mapping)
        return few and not any(isinstance(field, Bag) for field in self.artifact.encoder.schema.fields)

    def _check_matrix(self, rows: Source) -> None:
        """Refuse a sparse matrix that is unlike what was trained on; a libsvm file has no width, and takes any."""
        width = matrix_width(rows)
        if width is None:
            return
        if self._width is not None:
            raise DataError("the model was trained on a dense array, and X is a sparse matrix: give it as X.toarray()")
        require_width(rows, self._matrix_width or width)

    def predict(
        self,
        X: Source,  # noqa: N803
        *,
        columns: Sequence[str] | None = None,
        form: Form | None = None,
    ) -> NDArray[Any]:
        """The more probable of `classes_`, `[rows]`, or `[rows, labels]`; the first where both are equally so.

        Raises:
            DataError: as in `predict_proba`.
        """
        found = self.predict_proba(X, columns=columns, form=form)
        click = found if len(self.artifact.labels) > 1 else found[:, 1]
        return self.classes_[(click > 0.5).astype(np.intp)]

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write it to the folder `path`, whole or not at all.

        Raises:
            ArtifactError: something lies at `path`, and it is no model or may not be overwritten.
        """
        self.artifact.save(path, overwrite=overwrite)


def _in_keywords(sentence: str) -> str:
    """A sentence of the engine in the words of `predict_proba`, which knows `columns` and `form`."""

    def say(name: str, value: str | None) -> str:
        if name == "columns":
            return name if value is None else f"{name}={value.split(',')}"
        return (
            f"form=Form({'header=False' if name == 'no_header' else f'{name}={value!r}' if value else f'{name}=...'})"
        )

    return settings_said(settings_of_training(sentence, known=("columns", *_OF_FORM)), say)


def of_file(source: object, **said: Any) -> dict[str, Any]:
    """What is said of a file, where the source is one; what lies in memory has names of its own, and no form."""
    first = source[0] if isinstance(source, list) and source else source
    return said if isinstance(first, str | os.PathLike) else {}


def load(path: str | Path, *, trust_code: bool = False) -> Model:
    """The trained model that `masknet train` or `CTRClassifier.save` wrote to the folder `path`, ready to score.

    It imports no scikit-learn, SciPy or pandas; `CTRClassifier.load` gives it as an estimator.

    >>> load("nowhere.masknet")
    Traceback (most recent call last):
    masknet.errors.ArtifactError: there is no artifact at 'nowhere.masknet'; `masknet train` makes one

    Args:
        path: the folder.
        trust_code: import the module of a network that is none of ours, which runs whatever that module holds.

    Raises:
        ArtifactError: there is no model, a file of it is damaged, a newer masknet wrote it, or its network is code that
            is not trusted.
    """
    return Model(load_artifact(path, trust_code=trust_code))
