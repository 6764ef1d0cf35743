"""The scikit-learn face: `fit`, `predict_proba`, `save` and `load` on the engine of the command line."""

from __future__ import annotations

import html
import inspect
import itertools
import json
import os
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted
from torch import nn

from masknet import train
from masknet.arrays import (
    array_of,
    classes_of,
    codes_of,
    column_of,
    free_name,
    label_name,
    matrix_width,
    require_weights,
    require_width,
    width_of,
)
from masknet.artifact import Artifact, load_artifact
from masknet.config import NAMES, OF_FILES, RunConfig
from masknet.encode import Encoder, Prepared
from masknet.errors import ConfigError, DataError, errors_said, settings_said, unknown
from masknet.figures import metric_name, shown
from masknet.model import Model, of_file
from masknet.models import model_name, network_class
from masknet.progress import LogProgress, VerboseProgress
from masknet.table import Source, Table, open_table, with_columns
from masknet.threads import require_threads

__all__ = ["CTRClassifier"]


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
        model: a name in `masknet.models.MODELS` or `masknet.gbdt.TREES`, or a network of your own: its class, or
            "package.module:Class".
        model_settings: keywords of the network's constructor, `{"reduction": 4.0}`; the `set` of a run file. Each is a
            setting of its own too, `model__reduction`, for `set_params` and the grid of a search.
        SETTINGS: all others are those of a run, see `masknet train --help`; this list is made from them.

    Attributes:
        network_: the trained network, in eval mode; absent where what scores is none.
        metrics_: by name, what it reached on the validation rows: `{"auc": {"value": ...}, ...}`; of several labels
            `{label: {"metrics": {"auc": ...}, "rows": ...}}`.
        history_: a record an evaluation; of trees one for each way to read ids.
        classes_: the two values of the label, the second is the click.
        feature_names_in_: the columns that the network reads; absent where X was an array or a sparse matrix, whose
            columns have no names.
        n_features_in_: how many those are; of an array or a sparse matrix, how many columns it has.
    """

    network_: nn.Module
    metrics_: dict[str, dict[str, Any]]
    history_: list[dict[str, Any]]
    classes_: NDArray[Any]
    feature_names_in_: NDArray[np.object_]
    n_features_in_: int

    def __init__(
        self,
        model: str | type[nn.Module] = "parallel-masknet",
        *,
        model_settings: Mapping[str, Any] | None = None,
        categorical: str | Sequence[str] = (),
        numeric: str | Sequence[str] = (),
        bag: str | Sequence[str] = (),
        dense: str | Sequence[str] = (),
        datetime: str | Sequence[str] | Mapping[str, str | None] = (),
        ignore: str | Sequence[str] = (),
        separator: Mapping[str, str] | None = None,
        weighted: str | Sequence[str] = (),
        ordered: str | Sequence[str] = (),
        max_length: Mapping[str, int] | None = None,
        pooling: Mapping[str, str] | None = None,
        share: Mapping[str, str] | None = None,
        hash: Mapping[str, int] | None = None,  # noqa: A002 -- the setting's name everywhere
        project: str | Sequence[str] = (),
        positive: str | Mapping[str, str] | None = None,
        missing: str | Sequence[str] = (),
        decimal: Literal[".", ","] = ".",
        columns: str | Sequence[str] = (),
        format: Literal["csv", "tsv", "jsonl", "libsvm", "libffm", "parquet"] | None = None,  # noqa: A002 -- as hash
        delimiter: str | None = None,
        quote: Literal['"', "none"] | None = None,
        escape: str | None = None,
        encoding: str | None = None,
        no_header: bool = False,
        weight: str | None = None,
        group: str | None = None,
        time: str | None = None,
        valid_fraction: float | None = None,
        valid_after: str | None = None,
        min_count: int = 2,
        max_vocabulary: int | None = None,
        numeric_encoding: Literal["linear", "knots"] = "knots",
        negative_rate: float = 1.0,
        unseen_rate: float = 0.01,
        bad_rows: Literal["refuse", "quarantine"] = "refuse",
        limit_rows: int | None = None,
        cache_dir: str | Path | None = None,
        verify: bool = False,
        epochs: int | None = None,
        evaluations: int | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        embedding_l2: float | None = None,
        network_l2: float = 0.0,
        clip: float | None = 10.0,
        monitor: str = "auc",
        task_weight: Mapping[str, float] | None = None,
        patience: int | None = None,
        schedule: Literal["plateau", "constant"] | None = None,
        average_weights: float | None = None,
        members: int | None = None,
        pretrained: Mapping[str, str | Path] | None = None,
        freeze: str | Sequence[str] = (),
        embedding_updates: Literal["dense", "sparse"] = "dense",
        refit: bool = False,
        seed: int = 0,
        precision: Literal["bf16", "fp32"] | None = None,
        device: str = "auto",
        threads: int | None = None,
        golden_rows: int = 8,
        verbose: bool = False,
    ) -> None:
        self.model = model
        self.model_settings = model_settings
        self.categorical = categorical
        self.numeric = numeric
        self.bag = bag
        self.dense = dense
        self.datetime = datetime
        self.ignore = ignore
        self.separator = separator
        self.weighted = weighted
        self.ordered = ordered
        self.max_length = max_length
        self.pooling = pooling
        self.share = share
        self.hash = hash
        self.project = project
        self.positive = positive
        self.missing = missing
        self.decimal = decimal
        self.columns = columns
        self.format = format
        self.delimiter = delimiter
        self.quote = quote
        self.escape = escape
        self.encoding = encoding
        self.no_header = no_header
        self.weight = weight
        self.group = group
        self.time = time
        self.valid_fraction = valid_fraction
        self.valid_after = valid_after
        self.min_count = min_count
        self.max_vocabulary = max_vocabulary
        self.numeric_encoding = numeric_encoding
        self.negative_rate = negative_rate
        self.unseen_rate = unseen_rate
        self.bad_rows = bad_rows
        self.limit_rows = limit_rows
        self.cache_dir = cache_dir
        self.verify = verify
        self.epochs = epochs
        self.evaluations = evaluations
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.embedding_l2 = embedding_l2
        self.network_l2 = network_l2
        self.clip = clip
        self.monitor = monitor
        self.task_weight = task_weight
        self.patience = patience
        self.schedule = schedule
        self.average_weights = average_weights
        self.members = members
        self.pretrained = pretrained
        self.freeze = freeze
        self.embedding_updates = embedding_updates
        self.refit = refit
        self.seed = seed
        self.precision = precision
        self.device = device
        self.threads = threads
        self.golden_rows = golden_rows
        self.verbose = verbose

    def fit(
        self,
        X: Source,  # noqa: N803
        y: ArrayLike | None = None,
        *,
        eval_set: Source | tuple[Source, ArrayLike] | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> CTRClassifier:
        """Train on a table; how it goes is told to the `masknet` logger, or with `verbose` on the screen.

        Args:
            X: a path, a glob or a folder of files, or a Polars, pandas or Arrow frame, a list of dicts, an array, or a
                sparse matrix of SciPy, which is read as a libsvm file of it.
            y: the name of the label's column in X, which holds 0 and 1; or the labels, any two values, one a row. A
                tuple of names makes one network for several labels, each of which may be missing in some rows.
            eval_set: the table to validate on, with the label's column, or a pair of a table and its labels; without
                one, a part of X is split off.
            sample_weight: a weight a row of X, at least 0; the rows of an `eval_set` then weigh 1 each.

        Raises:
            ConfigError: a setting is unknown, out of range, or contradicts another.
            DataError: a table, a column or a value is not what the rule asks for.
        """
        with errors_said(_in_keywords):
            return self._fit(X, y, eval_set, sample_weight)

    def _fit(
        self,
        X: Source,  # noqa: N803
        y: ArrayLike | None,
        eval_set: Source | tuple[Source, ArrayLike] | None,
        sample_weight: ArrayLike | None,
    ) -> CTRClassifier:
        require_threads()
        if y is None:
            raise ConfigError(
                "training requires y to be passed, but the target y is None: name the label's column, or give the "
                "labels, one a row"
            )
        if eval_set is not None and (self.valid_fraction is not None or self.valid_after is not None):
            raise ConfigError("the validation rows are said once; got eval_set beside a split of X: keep one of them")
        if sample_weight is not None and self.weight is not None:
            raise ConfigError(f"the weights are said once; got sample_weight and weight='{self.weight}': keep one")
        said = self._said_of_files()
        array = None if isinstance(y, str) else array_of(X)
        table = open_table(X, **said) if array is None else open_table(array)
        named = _names_of_labels(y, table) if array is None else ()
        if self.positive and not named:
            raise ConfigError("positive names the value of a click in a column of X; y is given apart: leave it out")
        classes = np.array([0, 1]) if named else classes_of(y)
        labels = named or (label_name(y, table),)
        weight = self.weight if sample_weight is None else free_name("sample_weight", (*table.columns, *labels))
        joined = {} if named else {labels[0]: codes_of(y, "y", classes)}
        if sample_weight is not None:
            weights = column_of(sample_weight, "sample_weight")
            require_weights(weights, joined.get(labels[0]))
            joined[cast("str", weight)] = weights
        valid = None
        if eval_set is not None:
            width, of_matrix = width_of(array), matrix_width(X)
            valid = _eval_table(eval_set, labels, classes, said, width=width, of_matrix=of_matrix)
            if sample_weight is not None:
                valid = _join(valid, {cast("str", weight): np.ones(valid.count_rows())})
        progress = _KeywordProgress(VerboseProgress() if self.verbose else LogProgress())
        config = self._config(_paths(X, eval_set) if not joined else {}, labels=labels, weight=weight)
        config = config.of_table(table.columns)
        if config.model.startswith("__main__:"):
            progress.warn(f"{config.model} lies in no module: a model saved with it loads nowhere but here")

        def tell(prepared: Prepared) -> None:
            for report in prepared.inspection.reports:
                if report.flagged:
                    otherwise = ", or pass " + " and ".join(itertools.starmap(_keyword, report.hint))
                    progress.warn(
                        f"'{report.column}' is taken for {report.kind} ({report.why}): look whether it is"
                        + (otherwise if report.hint else "")
                    )

        model = train.fit(config, _join(table, joined) if joined else table, valid, progress, on_prepared=tell)
        encoder = model.encoder
        if sample_weight is not None:  # no table has the column, so no evaluation may ask for it
            schema = encoder.schema.model_copy(update={"weight": None})
            encoder = Encoder(schema, encoder.encodings, encoder.space.num_ids, raw_numbers=encoder.raw_numbers)
        data: dict[str, Any] = dict(model.manifest.data)
        if not named:
            data["classes"] = classes.tolist()
        if array is not None:
            data["columns_without_names"] = width_of(array)
        if matrix_width(X) is not None:
            data["columns_of_matrix"] = matrix_width(X)
        manifest = model.manifest.model_copy(update={"data": data})
        self._adopt(replace(model, manifest=manifest, encoder=encoder, run={**model.run, "weight": self.weight}))
        return self

    def _said_of_files(self) -> dict[str, Any]:
        """What the settings say of how files are written, as `open_table` takes it."""
        said = RunConfig(**{name: getattr(self, name) for name in OF_FILES})
        return {"columns": said.columns, "form": said.form}

    def _config(self, paths: dict[str, str], *, labels: tuple[str, ...], weight: str | None) -> RunConfig:
        settings = self.get_params(deep=False)
        settings["set"] = settings.pop("model_settings")
        for name, field in RunConfig.model_fields.items():
            if field.default == {} and settings[name] is None:  # here None, since a default must not be written into
                settings[name] = {}
        settings = {name: _plain(value) for name, value in settings.items()}
        settings["pretrained"] = {name: os.path.abspath(path) for name, path in settings["pretrained"].items()}
        if inspect.isclass(self.model):
            settings["model"] = model_name(self.model)
        if self.cache_dir is not None:
            settings["cache_dir"] = os.path.abspath(self.cache_dir)
        return RunConfig(**{**settings, **paths, "label": labels, "weight": weight})

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The settings by name; with `deep`, the network's keywords too, each as `model__<keyword>`.

        >>> CTRClassifier("serial-masknet", model_settings={"reduction": 4.0}).get_params()["model__reduction"]
        4.0
        """
        params: dict[str, Any] = super().get_params(deep=False)
        if deep:
            defaults = {n: p.default for n, p in (_keywords(self.model) or {}).items() if p.default is not p.empty}
            given = self.model_settings if isinstance(self.model_settings, Mapping) else {}
            params |= {f"model__{name}": value for name, value in {**defaults, **given}.items()}
        return params

    def set_params(self, **params: Any) -> CTRClassifier:
        """Change settings, among them `model__<keyword>`, which is the entry `<keyword>` of `model_settings`.

        >>> CTRClassifier().set_params(seed=1, model__reduction=4.0).model_settings
        {'reduction': 4.0}

        Raises:
            ConfigError: there is no such setting, or the network has no such keyword.
        """
        nested = {name.removeprefix("model__"): params[name] for name in params if name.startswith("model__")}
        own = {name: value for name, value in params.items() if not name.startswith("model__")}
        for name in own:
            if name not in self._get_param_names():
                raise ConfigError(unknown("setting", name, self._get_param_names()))
        model = own.get("model", self.model)
        known = _keywords(model)
        wrong = [] if known is None else [name for name in nested if name not in known]
        if wrong:
            raise ConfigError(unknown(f"option of {model}", wrong[0], known) if known else f"{model} has no options")
        for name, value in own.items():
            setattr(self, name, value)
        if nested:
            self.model_settings = {**(self.model_settings or {}), **nested}
        return self

    def _adopt(self, model: Artifact) -> None:
        self._model, face = model, Model(model)
        self.metrics_, self.history_, self.classes_ = face.metrics_, face.history_, face.classes_
        self.n_features_in_ = face.n_features_in_
        for name in ("network_", "feature_names_in_"):  # which some have not, and an earlier fit may have had
            self.__dict__.pop(name, None)
            if hasattr(face, name):
                setattr(self, name, getattr(face, name))

    def predict_proba(self, X: Source) -> NDArray[np.float64]:  # noqa: N803
        """The probabilities of `classes_`, `[rows, 2]`; the second column is that of a click.

        Of several labels the probability that each is 1, `[rows, labels]`, in their order.

        X needs the columns of `feature_names_in_`, in any order; others are not read. An array or a sparse matrix needs
        as many columns as that of the training. Missing values, and values never seen in training, are scored too;
        where a field has far more of them than in training and validation, a UserWarning names it.

        Raises:
            DataError: a column is missing, or a cell cannot be what its column means.
        """
        check_is_fitted(self)
        return Model(self._model).predict_proba(X, **self._said_of_files())

    def predict(self, X: Source) -> NDArray[Any]:  # noqa: N803
        """The more probable of `classes_`, `[rows]`, or `[rows, labels]`; the first where both are equally so.

        Raises:
            DataError: as in `predict_proba`.
        """
        check_is_fitted(self)
        return Model(self._model).predict(X, **self._said_of_files())

    @property
    def feature_importances_(self) -> NDArray[np.float64]:
        """None: what a network has learned of a column is not in one number.

        Raises:
            AttributeError: always, with what to do instead.
        """
        raise AttributeError(
            "a network has no feature_importances_; sklearn.inspection.permutation_importance measures what each "
            "column gives"
        )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        tags.input_tags.sparse = True
        return tags

    def _repr_html_inner(self) -> str:
        return f"{super()._repr_html_inner()}{self._facts()}"

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, str]:
        bundle: dict[str, str] = super()._repr_mimebundle_(**kwargs)
        if "text/html" in bundle:
            bundle["text/html"] += self._facts()
        return bundle

    def _facts(self) -> str:
        """What was trained and how good it is, for a notebook; nothing before `fit`."""
        if not hasattr(self, "_model"):
            return ""
        manifest = self._model.manifest
        count = manifest.num_parameters
        facts = {
            "model": manifest.model,
            "members": f"{manifest.members}",
            "parameters": f"{sum(count.values()):,} ({', '.join(f'{n:,} in the {part}' for part, n in count.items())})",
            "columns": f"{len(self._model.encoder.schema.field_names):,}",
            "rows": f"{manifest.data['rows']:,} to train on, {manifest.rows:,} to validate on",
        }
        if "epochs" in manifest.training:
            epochs, best = (_listed(manifest.training[name]) for name in ("epochs", "best_epoch"))
            facts["epochs"] = f"{epochs}, the best {best}"
        else:
            facts["trees"] = f"{manifest.training['trees']:,}, on {manifest.training['ids']}"
        tables = {f" of {label}": task["metrics"] for label, task in manifest.tasks.items()} or {"": manifest.metrics}
        for of_label, name in itertools.product(tables, ("auc", "log_loss")):
            value, interval = shown(tables[of_label][name])
            facts[f"valid {metric_name(name)}{of_label}"] = value + (f" ({interval})" if interval else "")
        rows = "".join(
            f'<tr><th style="text-align: left">{html.escape(name)}</th>'
            f'<td style="text-align: left">{html.escape(text)}</td></tr>'
            for name, text in facts.items()
        )
        return f'<table class="masknet-facts">{rows}</table>'

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the model to the folder `path`, whole or not at all; `load` and the command line read it.

        Raises:
            ArtifactError: something lies at `path`, and it is no model or may not be overwritten.
        """
        check_is_fitted(self)
        self._model.save(path, overwrite=overwrite)

    @classmethod
    def load(cls, path: str | Path, *, trust_code: bool = False) -> CTRClassifier:
        """The trained classifier that `save` or `masknet train` wrote to the folder `path`.

        It has the settings that it was trained with, so `fit` trains a like one. `masknet.load` gives what only
        scores, which is sooner there.

        Args:
            path: the folder.
            trust_code: import the module of a network that is none of ours, which runs whatever that module holds.

        Raises:
            ArtifactError: there is no model, a file of it is damaged, a newer masknet wrote it, or its network is code
                that is not trusted.
        """
        model = load_artifact(path, trust_code=trust_code)
        run = model.run
        settings: dict[str, Any] = {
            name: tuple(run[name]) if isinstance(run[name], list) else None if run[name] == {} else run[name]
            for name in inspect.signature(cls).parameters
            if name in run
        }
        settings["pretrained"] = run.get("pretrained") or None
        classifier = cls(**settings, model_settings=run.get("set") or None)
        classifier._adopt(model)
        return classifier


class _KeywordProgress(LogProgress):
    """Tells what the command line does, in keywords and not in flags.

    Args:
        told: hears it.
    """

    def __init__(self, told: LogProgress) -> None:
        self._told = told

    def note(self, text: str) -> None:
        self._told.note(_in_keywords(text))

    def warn(self, text: str) -> None:
        self._told.warn(_in_keywords(text))


_KEYWORDS = {"set": "model_settings", "label": "y", "valid": "eval_set"}
"""What is called otherwise here than in a run file."""


def _in_keywords(sentence: str) -> str:
    """A sentence of the engine as `fit` says it: `ignore=["dwell"]`, and not `--ignore dwell`."""
    return settings_said(sentence, _keyword)


def _keyword(name: str, value: str | None = None) -> str:
    keyword = _KEYWORDS.get(name, name)
    if value is None:
        return keyword
    return f"{keyword}={json.dumps([value] if name in (*NAMES, 'missing') else value, ensure_ascii=False)}"


def _settings_text() -> str:
    """What `RunConfig` says of each setting of the constructor, in the words of Python and not of flags."""
    lines = []
    for name in list(inspect.signature(CTRClassifier).parameters)[2:]:  # after the model and its settings
        text = str(RunConfig.model_fields[name].description)
        text = re.sub(r"\((?:repeatable|or comma-separated)[^);]*(; )?", "(", text).replace(" ()", "")
        text = re.sub(r"--([a-z][a-z-]*)", lambda flag: flag[1].replace("-", "_"), text)
        lines += textwrap.wrap(f"{name}: {text}", 116, initial_indent=" " * 8, subsequent_indent=" " * 12)
    return "\n".join(lines)


CTRClassifier.__doc__ = re.sub(r" +SETTINGS: .*", lambda _: _settings_text(), str(CTRClassifier.__doc__))


def _listed(numbers: int | list[int]) -> str:
    """One number, or one a member."""
    return str(numbers) if isinstance(numbers, int) else ", ".join(map(str, numbers))


def _plain(value: Any) -> Any:
    """Python's own numbers for NumPy's, which a random search draws."""
    if isinstance(value, Mapping):
        return {name: _plain(entry) for name, entry in value.items()}
    return value.item() if isinstance(value, np.generic) else value


def _keywords(model: object) -> dict[str, inspect.Parameter] | None:
    """The keywords of a network's constructor; None where there is no such network, which `fit` will say."""
    try:
        network = model if inspect.isclass(model) else network_class(model) if isinstance(model, str) else None
    except ConfigError:
        return None
    return None if network is None else dict([*inspect.signature(network).parameters.items()][1:])


# Arrays that the caller gives beside a table


def _join(table: Table, arrays: Mapping[str, NDArray[Any]]) -> Table:
    rows = table.count_rows()
    for name, array in arrays.items():
        if len(array) != rows:
            raise DataError(
                f"labels and weights are one a row; '{name}' has {len(array):,}, {table.name} {rows:,} rows",
                file=table.name,
                column=name,
            )
    return with_columns(table, pl.DataFrame(dict(arrays)))


def _names_of_labels(y: object, table: Table) -> tuple[str, ...]:
    """The columns of the table that hold the labels; none where `y` holds the labels themselves."""
    if isinstance(y, str):
        return (y,)
    is_names = isinstance(y, tuple) and all(isinstance(name, str) for name in y)
    return y if isinstance(y, tuple) and is_names and set(y) & set(table.columns) else ()


def _eval_table(
    eval_set: Source | tuple[Source, ArrayLike],
    of_training: tuple[str, ...],
    classes: NDArray[Any],
    said: Mapping[str, Any],
    *,
    width: int | None,
    of_matrix: int | None,
) -> Table:
    given = eval_set if isinstance(eval_set, tuple) and len(eval_set) == 2 else (eval_set, of_training)
    pair: tuple[Any, Any] = given if not isinstance(given[1], str) else (given[0], (given[1],))
    array, labels = array_of(pair[0]) if width is not None else None, pair[1]
    if array is not None:
        require_width(array, cast("int", width))
    if of_matrix is not None and matrix_width(pair[0]) is not None:
        require_width(pair[0], of_matrix)
    table = open_table(pair[0], **of_file(pair[0], **said)) if array is None else open_table(array)
    if not (isinstance(labels, tuple) and all(isinstance(name, str) for name in labels)):
        return _join(table, {of_training[0]: codes_of(labels, "eval_set", classes)})
    lacking = [name for name in of_training if name not in table.columns]
    if labels != of_training or lacking:
        label = lacking[0] if lacking else of_training[0]
        raise ConfigError(
            f"an eval_set has its labels in the column '{label}', or beside it as in eval_set=(X_valid, y_valid); "
            + (f"'{labels[0]}' is another column" if labels != of_training else f"{table.name} has no such column")
        )
    return table


def _paths(source: Source, eval_set: object) -> dict[str, str]:
    """The settings that let a run file train again; none where a frame in memory would be needed for it."""
    sources = {"data": source} if eval_set is None else {"data": source, "valid": eval_set}
    paths = {name: os.fspath(s) for name, s in sources.items() if isinstance(s, str | os.PathLike)}
    return {name: os.path.abspath(path) for name, path in paths.items()} if len(paths) == len(sources) else {}
