"""The scikit-learn face: `fit`, `predict_proba`, `save` and `load` on the engine of the command line."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted
from torch import nn

from masknet import train
from masknet.artifact import GOLDEN_FILE, Artifact, load_artifact, save_artifact
from masknet.config import RunConfig
from masknet.encode import Encoder
from masknet.errors import ConfigError, DataError
from masknet.predict import predict_frame
from masknet.progress import LogProgress
from masknet.table import Source, Table, open_table

__all__ = ["CTRClassifier", "load"]


class CTRClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A network that gives the probability of a click for raw rows.

    The settings are those of a run file, by the same names and with the same defaults; `fit` checks them.

    >>> import tempfile
    >>> from masknet.datasets import planted_log
    >>> log, _ = planted_log(1000, seed=0)
    >>> with tempfile.TemporaryDirectory() as cache:
    ...     clf = CTRClassifier("lr", epochs=1, ignore=["timestamp"], cache_dir=cache).fit(log, "click")
    >>> clf.predict_proba(log)[:, 1].shape
    (1000,)
    >>> clf
    CTRClassifier(cache_dir=..., epochs=1, ignore=['timestamp'], model='lr')

    Args:
        model: a name in `masknet.models.MODELS`.
        model_settings: keywords of the network's constructor, `{"reduction": 4.0}`; the `set` of a run file.
        categorical, numeric, ignore: columns of that kind; the kind of all others is inferred.
        weight, group, time: the columns of sample weights, of groups for the grouped AUC, and of time.
        valid_fraction: validate on a random part of this size, in (0, 1); None for a tenth.
        valid_after: validate on the rows whose `time` is later than this.
        min_count: values seen in fewer training rows than this share the unseen row.
        max_vocabulary: keep at most this many values of a field, the commonest.
        unseen_rate: the share of values shown as unseen in training, in fields where nothing is rare; in [0, 1).
        bad_rows: "refuse" them, or "quarantine": set them aside in a file in the cache, and train on the others.
        limit_rows: read only the first so many rows of a table.
        cache_dir: where encoded sets are kept; None for the user's cache.
        verify: read data files whole to see whether they changed.
        epochs: passes over the training rows, at most.
        batch_size: rows a step.
        learning_rate: Adam's step size at the start.
        embedding_l2, network_l2: half this times the squared norm of the tables, of all else, is added to the loss.
        clip: the largest norm of a gradient; None does not clip.
        monitor: the validation metric that picks the best weights.
        patience: stop after this many evaluations in a row without a better one.
        schedule: "plateau" divides the learning rate by ten after each of those, "constant" does not.
        average_weights: the decay of the moving average of the weights that is evaluated and kept; in (0, 1).
        members: train so many networks, each from other draws, and average their probabilities.
        refit: train once more on training and validation rows for the epochs found.
        seed: fixes the initial weights, the order of rows and dropout.
        device: "auto", "cpu", "cuda", "cuda:1", ...; scoring is on the processor.
        threads: of the processor; None for all cores.
        golden_rows: rows of the data kept in a saved model with their probabilities, for `masknet check`.

    Attributes:
        network_: the trained network, in eval mode.
        metrics_: by name, what the network reached on the validation rows: `{"auc": {"value": ...}, ...}`.
        history_: a record an epoch.
        classes_: the two values of the label, the second is the click.
        feature_names_in_, n_features_in_: the columns that the network reads.
    """

    network_: nn.Module
    metrics_: dict[str, dict[str, Any]]
    history_: list[dict[str, Any]]
    classes_: NDArray[Any]
    feature_names_in_: NDArray[np.object_]
    n_features_in_: int

    def __init__(
        self,
        model: str = "parallel-masknet",
        *,
        model_settings: Mapping[str, Any] | None = None,
        categorical: str | Sequence[str] = (),
        numeric: str | Sequence[str] = (),
        ignore: str | Sequence[str] = (),
        weight: str | None = None,
        group: str | None = None,
        time: str | None = None,
        valid_fraction: float | None = None,
        valid_after: str | None = None,
        min_count: int = 2,
        max_vocabulary: int | None = None,
        unseen_rate: float = 0.001,
        bad_rows: Literal["refuse", "quarantine"] = "refuse",
        limit_rows: int | None = None,
        cache_dir: str | Path | None = None,
        verify: bool = False,
        epochs: int = 50,
        batch_size: int = 1024,
        learning_rate: float = 1e-3,
        embedding_l2: float = 0.0,
        network_l2: float = 0.0,
        clip: float | None = 10.0,
        monitor: str = "auc",
        patience: int = 2,
        schedule: Literal["plateau", "constant"] = "plateau",
        average_weights: float | None = None,
        members: int = 1,
        refit: bool = False,
        seed: int = 0,
        device: str = "auto",
        threads: int | None = None,
        golden_rows: int = 8,
    ) -> None:
        self.model = model
        self.model_settings = model_settings
        self.categorical = categorical
        self.numeric = numeric
        self.ignore = ignore
        self.weight = weight
        self.group = group
        self.time = time
        self.valid_fraction = valid_fraction
        self.valid_after = valid_after
        self.min_count = min_count
        self.max_vocabulary = max_vocabulary
        self.unseen_rate = unseen_rate
        self.bad_rows = bad_rows
        self.limit_rows = limit_rows
        self.cache_dir = cache_dir
        self.verify = verify
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.embedding_l2 = embedding_l2
        self.network_l2 = network_l2
        self.clip = clip
        self.monitor = monitor
        self.patience = patience
        self.schedule = schedule
        self.average_weights = average_weights
        self.members = members
        self.refit = refit
        self.seed = seed
        self.device = device
        self.threads = threads
        self.golden_rows = golden_rows

    def fit(
        self,
        X: Source,  # noqa: N803
        y: ArrayLike | None = None,
        *,
        eval_set: Source | tuple[Source, ArrayLike] | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> CTRClassifier:
        """Train on a table; how it goes is told to the `masknet` logger.

        Args:
            X: a path, a glob or a folder of files, or a Polars, pandas or Arrow frame, or a list of dicts.
            y: the name of the label's column in X, which holds 0 and 1; or the labels, any two values, one a row.
            eval_set: the table to validate on, with the label's column, or a pair of a table and its labels; without
                one, a part of X is split off.
            sample_weight: a weight a row of X, at least 0; the rows of an `eval_set` then weigh 1 each.

        Raises:
            ConfigError: a setting is unknown, out of range, or contradicts another.
            DataError: a table, a column or a value is not what the rule asks for.
        """
        if y is None:
            raise ConfigError("training needs y: the name of the label's column, or the labels, one a row")
        if eval_set is not None and (self.valid_fraction is not None or self.valid_after is not None):
            raise ConfigError("the validation rows are said once; got eval_set beside a split of X: keep one of them")
        if sample_weight is not None and self.weight is not None:
            raise ConfigError(f"the weights are said once; got sample_weight and weight='{self.weight}': keep one")
        table = open_table(X)
        classes = np.array([0, 1]) if isinstance(y, str) else _classes(y)
        label = y if isinstance(y, str) else _label_name(y, table)
        weight = self.weight if sample_weight is None else _free_name("sample_weight", (*table.columns, label))
        joined = {} if isinstance(y, str) else {label: _codes(y, "y", classes)}
        if sample_weight is not None:
            joined[cast("str", weight)] = _array(sample_weight, "sample_weight")
        valid = None
        if eval_set is not None:
            valid = _eval_table(eval_set, label, classes)
            if sample_weight is not None:
                valid = _join(valid, {cast("str", weight): np.ones(_num_rows(valid))})
        fitted = train.fit(
            self._config(_paths(X, eval_set) if not joined else {}, label=label, weight=weight),
            _join(table, joined) if joined else table,
            valid,
            LogProgress(),
        )
        encoder, manifest = fitted.encoder, fitted.manifest
        if sample_weight is not None:  # no table has the column, so no evaluation may ask for it
            schema = encoder.schema.model_copy(update={"weight": None})
            encoder = Encoder(schema, encoder.encodings, encoder.space.num_ids)
        if not isinstance(y, str):
            manifest = manifest.model_copy(update={"data": {**manifest.data, "classes": classes.tolist()}})
        model = Artifact(path=Path(), manifest=manifest, encoder=encoder, network=fitted.network.eval())
        self._adopt(model, run={**fitted.run, "weight": self.weight}, golden=fitted.golden, history=fitted.history)
        return self

    def _config(self, paths: dict[str, str], *, label: str, weight: str | None) -> RunConfig:
        settings = self.get_params(deep=False)
        settings["set"] = settings.pop("model_settings") or {}
        if self.cache_dir is not None:
            settings["cache_dir"] = os.path.abspath(self.cache_dir)
        return RunConfig(**{**settings, **paths, "label": label, "weight": weight})

    def _adopt(
        self, model: Artifact, *, run: dict[str, Any], golden: pl.DataFrame | None, history: list[dict[str, Any]]
    ) -> None:
        self._model, self._run, self._golden = model, run, golden
        self.network_ = model.network
        self.metrics_ = model.manifest.metrics
        self.history_ = history
        self.classes_ = np.array(model.manifest.data.get("classes", [0, 1]))
        self.feature_names_in_ = np.array(model.encoder.schema.field_names, dtype=object)
        self.n_features_in_ = len(self.feature_names_in_)

    def predict_proba(self, X: Source) -> NDArray[np.float64]:  # noqa: N803
        """The probabilities of `classes_`, `[rows, 2]`; the second column is that of a click.

        X needs the columns of `feature_names_in_`, in any order; others are not read. Missing values, and values never
        seen in training, are scored too.

        Raises:
            DataError: a column is missing, or a cell cannot be what its column means.
        """
        check_is_fitted(self)
        click = predict_frame(self._model, X)
        return np.column_stack([1 - click, click])

    def predict(self, X: Source) -> NDArray[Any]:  # noqa: N803
        """The more probable of `classes_`, `[rows]`; the first where both are equally so.

        Raises:
            DataError: as in `predict_proba`.
        """
        click = self.predict_proba(X)[:, 1]
        return self.classes_[(click > 0.5).astype(np.intp)]

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the model to the folder `path`, whole or not at all; `load` and the command line read it.

        Raises:
            ArtifactError: something lies at `path`, and it is no model or may not be overwritten.
        """
        check_is_fitted(self)
        save_artifact(
            path,
            network=self._model.network,
            encoder=self._model.encoder,
            manifest=self._model.manifest,
            run=self._run,
            golden=self._golden,
            history=self.history_,
            overwrite=overwrite,
        )


def load(path: str | Path) -> CTRClassifier:
    """The trained classifier that `CTRClassifier.save` or `masknet train` wrote to the folder `path`.

    It has the settings that it was trained with, so `fit` trains a like one.

    Raises:
        ArtifactError: there is no model, a file of it is damaged, or a newer masknet wrote it.
    """
    folder = Path(path)
    model = load_artifact(folder)  # which has compared every file with its checksum
    run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    history = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))["history"]
    golden = pl.read_parquet(folder / GOLDEN_FILE) if (folder / GOLDEN_FILE).is_file() else None
    settings: dict[str, Any] = {
        name: tuple(run[name]) if isinstance(run[name], list) else run[name]
        for name in inspect.signature(CTRClassifier).parameters
        if name in run
    }
    classifier = CTRClassifier(**settings, model_settings=run["set"] or None)
    classifier._adopt(model, run=run, golden=golden, history=history)
    return classifier


# Arrays that the caller gives beside a table


@dataclass(frozen=True)
class _Joined:
    """A table with more columns beside its own, or in their place where the names are the same."""

    table: Table
    beside: pl.DataFrame

    @property
    def name(self) -> str:
        return self.table.name

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.table.columns, *self.beside.columns)))

    @property
    def num_rows(self) -> int:
        return len(self.beside)

    @property
    def num_bytes(self) -> int:
        return self.table.num_bytes + int(self.beside.estimated_size())

    def estimated_rows(self) -> int:
        return self.num_rows

    def frames(self, names: list[str]) -> Iterator[pl.DataFrame]:
        own = [name for name in names if name not in self.beside.columns]
        if not own:
            yield self.beside.select(names)
            return
        beside = self.beside.select(name for name in names if name in self.beside.columns)
        row = 0
        for chunk in self.table.chunks(own):
            rows = len(chunk.frame)
            yield chunk.frame.with_columns(beside.slice(row, rows).get_columns()).select(names)
            row += rows

    def digest(self, *, verify: bool) -> bytes:
        both = self.table.fingerprint(verify=verify) + open_table(self.beside).fingerprint()
        return hashlib.sha256(both.encode()).digest()


def _join(table: Table, arrays: Mapping[str, NDArray[Any]]) -> Table:
    rows = _num_rows(table)
    for name, array in arrays.items():
        if len(array) != rows:
            raise DataError(
                f"labels and weights are one a row; '{name}' has {len(array):,}, {table.name} {rows:,} rows"
            )
    return Table(table.name, table.typed, parts=(_Joined(table, pl.DataFrame(dict(arrays))),))


def _num_rows(table: Table) -> int:
    if table.num_rows is not None:
        return table.num_rows
    return sum(len(chunk.frame) for chunk in table.chunks(table.columns[:1]))


def _eval_table(eval_set: Source | tuple[Source, ArrayLike], label: str, classes: NDArray[Any]) -> Table:
    pair: tuple[Any, Any] = eval_set if isinstance(eval_set, tuple) and len(eval_set) == 2 else (eval_set, label)
    table, labels = open_table(pair[0]), pair[1]
    if not isinstance(labels, str):
        return _join(table, {label: _codes(labels, "eval_set", classes)})
    if labels != label or label not in table.columns:
        raise ConfigError(
            f"an eval_set has its labels in the column '{label}', or beside it as in eval_set=(X_valid, y_valid); "
            + (f"'{labels}' is another column" if labels != label else f"{table.name} has no such column")
        )
    return table


def _paths(source: Source, eval_set: object) -> dict[str, str]:
    """The settings that let a run file train again; none where a frame in memory would be needed for it."""
    sources = {"data": source} if eval_set is None else {"data": source, "valid": eval_set}
    paths = {name: os.fspath(s) for name, s in sources.items() if isinstance(s, str | os.PathLike)}
    return {name: os.path.abspath(path) for name, path in paths.items()} if len(paths) == len(sources) else {}


def _label_name(labels: object, table: Table) -> str:
    """What to call the labels: the series' own name, else one that no column has."""
    name = getattr(labels, "name", None)
    if not isinstance(name, str) or not name:
        return _free_name("label", table.columns)
    if name in table.columns:
        raise DataError(f"X holds no labels where y does; '{name}' is in both: drop it from X, or pass y='{name}'")
    return name


def _free_name(name: str, taken: Sequence[str]) -> str:
    while name in taken:
        name += "_"
    return name


def _array(values: ArrayLike, what: str) -> NDArray[Any]:
    """One value a row, as an array of numbers, booleans or texts."""
    array = np.asarray(values)
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


def _classes(labels: ArrayLike) -> NDArray[Any]:
    classes: NDArray[Any] = np.unique(_array(labels, "y"))
    if len(classes) != 2:
        shown = ", ".join(map(repr, classes[:3].tolist())) + (", ..." if len(classes) > 3 else "")
        raise DataError(f"a classifier learns two classes; y holds {len(classes):,} ({shown})")
    return classes


def _codes(labels: ArrayLike, what: str, classes: NDArray[Any]) -> NDArray[np.uint8]:
    """0 for the first of the classes, 1 for the second."""
    array = _array(labels, what)
    codes: NDArray[np.bool_] = array == classes[1]
    wrong = ~(codes | (array == classes[0]))
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(
            f"a label is {classes[0].item()!r} or {classes[1].item()!r}; {what} holds {array[row].item()!r} in row "
            f"{row + 1}"
        )
    return codes.astype(np.uint8)
