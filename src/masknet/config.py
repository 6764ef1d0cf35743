"""The settings of a run, typed: one frozen object that the flags, the run file and the Python face all fill.

A run file is flat YAML (JSON is YAML too): the flags' names with underscores, `data` for the positional argument, `set`
a mapping of the network's constructor keywords. An unknown key is an error that names the nearest one.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, ValidationError, model_validator

from masknet.errors import ConfigError, unknown
from masknet.schema import Decimal, Label, labels_of, moment_column

if TYPE_CHECKING:
    from masknet.table import Form

__all__ = ["NAMES", "OF_FILES", "PAIRS", "RunConfig", "Said", "parse_setting", "read_mapping", "read_run_file"]

_BY_MODEL = "(default: by the model)"
_BY_ROWS = "(default: by model and rows)"
_MODELS = (
    "parallel-masknet, serial-masknet, lr, poly2, fm, ffm, mf, dnn, fnn, afm, wide-deep, deepfm, xdeepfm, dcn, dcnv2, "
    "autoint, fibinet, finalmlp, adpredictor, latent-cross, mmoe, multitask-masknet, gbdt, gbdt-lr"
)
_MONITORS = "auc, log_loss, normalized_entropy, expected_calibration_error, pr_auc, grouped_auc"
"""Their modules are too heavy for a line of help: a test holds them equal."""
DATA, MODEL, OUTPUT = "Data", "Model and training", "Output"


OF_FILES = ("columns", "format", "delimiter", "quote", "escape", "encoding", "no_header")
"""The settings that say how files are written, for whoever reads some."""

PAIRS = {
    "separator": "FIELD=VALUE",
    "max_length": "FIELD=VALUE",
    "pooling": "FIELD=mean|sum",
    "share": "FIELD=OTHER",
    "hash": "FIELD=BUCKETS",
    "set": "KEY=VALUE",
    "task_weight": "LABEL=WEIGHT",
    "pretrained": "FIELD=FILE",
}
"""The settings that are mappings, beside `positive` of several labels, and what a text of each looks like."""

_TEXT_VALUES = ("separator", "share", "set", "pretrained", "positive")
"""Of these a value may hold a `=`; of the others it is a number or a word."""

_NAMES_OF_COLUMNS = "names of columns"


@dataclass(frozen=True)
class Said:
    """What a person says of columns in texts, as flags do, until the table tells what is a name.

    Args:
        texts: each is a name, or several with commas between; of a setting that is a mapping, a pair `FIELD=VALUE`.
        beside: pairs that a run file says already; a text wins over them.
    """

    texts: tuple[str, ...]
    beside: Mapping[str, Any] = field(default_factory=dict)

    def names(self, columns: Collection[str] = ()) -> tuple[str, ...]:
        """The names: a text is one where it is a column's, verbatim, or says a format; others are parted at commas.

        >>> Said(("price, EUR", "user, ad")).names(["user", "ad", "price, EUR"])
        ('price, EUR', 'user', 'ad')
        """
        return tuple(
            name
            for text in self.texts
            for name in ((text,) if text in columns or moment_column(text)[1] is not None else _parted(text))
        )

    def pairs(self, setting: str, columns: Collection[str] = ()) -> dict[str, Any]:
        """The pairs by their key, which is the longest name of a column that a text begins with; the last one holds.

        Where there is none, the key ends before the first `=`, or before the last where a value cannot hold one.

        >>> Said(("user=1000", "a=b=500")).pairs("hash", ["user", "a=b"])
        {'user': '1000', 'a=b': '500'}

        Raises:
            ConfigError: a text is no pair.
        """
        pairs = dict(self.beside)
        for text in self.texts:
            named = max((name for name in columns if text.startswith(f"{name}=")), key=len, default=None)
            part = str.partition if setting in _TEXT_VALUES else str.rpartition
            key, equals, value = part(text, "=") if named is None else (named, "=", text[len(named) + 1 :])
            if not equals:
                form = PAIRS.get(setting, "LABEL=VALUE")
                raise ConfigError(f"a --{setting.replace('_', '-')} is {form}; got '{text}'")
            pairs[key.strip() if named is None else key] = parse_setting(value) if setting == "set" else value
        return pairs


def _parted(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _written(value: object) -> object:
    """Columns of moments: `{"at": "%m/%d/%Y", "seen": None}` says what `["at=%m/%d/%Y", "seen"]` says."""
    if not isinstance(value, Mapping):
        return value
    return [f"{name}={form}" if form is not None else name for name, form in value.items()]


def _texts(value: object) -> object:
    """Accept one text and several, each as it is; YAML and Python have numbers for some of them."""
    several = list(value) if isinstance(value, list | tuple) else [value]
    return tuple(str(one) if type(one) in (int, float) else one for one in several)


def _path(value: object) -> object:
    """A text, in which `~` is the user's folder."""
    return os.path.expanduser(value) if isinstance(value, str | Path) else value


def _moment(value: object) -> object:
    """YAML reads 20140921 as a number and 2014-09-21 as a date; here both are texts, as on the command line."""
    return str(value) if isinstance(value, int | float | date) and not isinstance(value, bool) else value


def _json_ready(value: object) -> object:
    """A copy that is the same after a journey through JSON: tuples become lists."""
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError, RecursionError):
        raise ValueError("made of finite numbers, texts, true, false, null and lists") from None


def _label(value: object) -> object:
    """One label is a text, alone in a list too: a run of one label reads as if there could be no others."""
    if not (value is None or isinstance(value, str) or (isinstance(value, list | tuple) and value)):
        raise ValueError("a valid string")
    several = tuple(value) if isinstance(value, list | tuple) else value
    if isinstance(several, tuple) and not all(isinstance(name, str) for name in several):
        raise ValueError("a valid string, or several")
    return several[0] if isinstance(several, tuple) and len(several) == 1 else several


Names = Annotated[tuple[str, ...], _NAMES_OF_COLUMNS]
Texts = Annotated[tuple[str, ...], BeforeValidator(_texts)]
Pooling = Literal["sum", "mean"]
FieldNumbers = dict[str, Annotated[int, Field(ge=1)]]
FieldTexts = dict[str, Annotated[str, Field(min_length=1)]]
FieldPoolings = dict[str, Pooling]
LabelWeights = dict[str, Annotated[float, Field(gt=0)]]
PathText = Annotated[str, BeforeValidator(_path)]
MomentText = Annotated[str, BeforeValidator(_moment)]
Keywords = Annotated[dict[str, Any], BeforeValidator(_json_ready)]


def _setting(panel: str, text: str, default: Any = None, **limits: Any) -> Any:
    return Field(default=default, description=text, json_schema_extra={"panel": panel}, **limits)


class RunConfig(BaseModel):
    """Every setting of one training run, checked when built.

    >>> RunConfig(data="clicks.parquet", label="click").model
    'parallel-masknet'
    >>> RunConfig(data="clicks.parquet", label="click", batch_sise=512)
    Traceback (most recent call last):
    masknet.errors.ConfigError: unknown option 'batch_sise'; did you mean 'batch_size'?

    Raises:
        ConfigError: a setting is unknown, out of range, or contradicts another.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    _said: dict[str, Said] = PrivateAttr(default_factory=dict)

    data: PathText | None = _setting(DATA, "The training table: a file, a glob or a folder of shards.")
    label: Annotated[Label, BeforeValidator(_label)] = _setting(
        DATA, "The column to predict: 0 or 1 (repeatable: one network for several labels, which may be unknown)."
    )
    valid: PathText | None = _setting(DATA, "A table to validate on, instead of a part of the training table.")
    valid_fraction: float | None = _setting(
        DATA, "Validate on a random part of this size, stratified by label (default: a tenth).", gt=0, lt=1
    )
    valid_after: MomentText | None = _setting(DATA, "Validate on the rows whose --time is later than this.")
    weight: str | None = _setting(DATA, "The column of sample weights.")
    group: str | None = _setting(DATA, "The column of groups (a user, a session) for the grouped AUC.")
    time: str | None = _setting(
        DATA, "The column of time, or FIELD=FORMAT; the last tenth by time then is the validation part."
    )
    categorical: Names = _setting(DATA, "Columns that are categorical (repeatable, or comma-separated).", ())
    numeric: Names = _setting(DATA, "Columns that are numeric (repeatable, or comma-separated).", ())
    bag: Names = _setting(
        DATA, "Columns of several values a row: lists, or texts with a separator (repeatable, or comma-separated).", ()
    )
    dense: Names = _setting(DATA, "Columns of vectors, all of one width (repeatable, or comma-separated).", ())
    datetime: Annotated[Names, BeforeValidator(_written)] = _setting(
        DATA,
        "Columns of moments: they become hour, weekday and age (repeatable; FIELD=FORMAT as strptime has it, "
        "at=%m/%d/%Y, where they are no ISO dates).",
        (),
    )
    ignore: Names = _setting(DATA, "Columns that no model may see (repeatable, or comma-separated).", ())
    columns: Names = _setting(
        DATA, "Names for a file without a header (a,b,c or criteo); of libsvm, fields by ids (user=0-942).", ()
    )
    format: Literal["csv", "tsv", "jsonl", "libsvm", "libffm", "parquet"] | None = _setting(
        DATA, "What the files are, where their names do not end so."
    )
    delimiter: str | None = _setting(
        DATA, "What stands between the values of a text (default: found; tab, \\x01 and :: are understood)."
    )
    quote: Literal['"', "none"] | None = _setting(
        DATA, "Whether values of a text stand in quotes, or a quote is a character like any other."
    )
    escape: str | None = _setting(DATA, "What stands before a quote in a value of a text: a backslash in Spark's.")
    encoding: str | None = _setting(DATA, "The encoding of a text, such as latin-1 (default: UTF-8, or as marked).")
    no_header: bool = _setting(DATA, "The first row of a text is a row: the columns are called x0, x1, ...", False)
    separator: FieldTexts = _setting(
        DATA, "What separates the values of a bag of texts (repeatable; default: what stands there of | ; , blank).", {}
    )
    weighted: Names = _setting(DATA, "Bags whose texts are value:weight (repeatable, or comma-separated).", ())
    ordered: Names = _setting(DATA, "Bags whose order carries meaning (repeatable, or comma-separated).", ())
    max_length: FieldNumbers = _setting(
        DATA, "Keep a bag's last so many values (repeatable; default: 50, of a weighted bag all).", {}
    )
    pooling: FieldPoolings = _setting(
        DATA, "How a bag becomes one vector: mean, or sum (repeatable; default: sum where weighted, else mean).", {}
    )
    share: FieldTexts = _setting(DATA, "FIELD=OTHER: FIELD reads the vocabulary of OTHER (repeatable).", {})
    hash: FieldNumbers = _setting(DATA, "Hash a field's values into so many buckets, for ids without end.", {})
    project: Names = _setting(
        DATA, "Dense columns that enter through a learned projection (repeatable, or comma-separated).", ()
    )
    positive: FieldTexts = _setting(
        DATA, "The value of a click, where the label is not 0 and 1; LABEL=VALUE where there are several.", {}
    )
    missing: Texts = _setting(
        DATA, "A text that is a missing number beside the usual ones, NA, null, ? and the like (repeatable).", ()
    )
    decimal: Decimal = _setting(DATA, "What stands before the decimals of numbers in texts: . or a comma.", ".")
    min_count: int = _setting(DATA, "Values seen in fewer training rows than this share the unseen row.", 2, ge=1)
    max_vocabulary: int | None = _setting(DATA, "Keep at most this many values of a field, the commonest.", ge=1)
    numeric_encoding: Literal["linear", "knots"] = _setting(
        DATA, "How a numeric field enters: scaled, or as its two neighbouring quantile knots.", "knots"
    )
    negative_rate: float = _setting(
        DATA, "Train on this share of the negatives, weighted back to all of them.", 1.0, gt=0, le=1
    )
    unseen_rate: float = _setting(
        DATA,
        "The share of values that training shows as unseen, and as missing, those that are so included.",
        0.01,
        ge=0,
        lt=1,
    )
    bad_rows: Literal["refuse", "quarantine"] = _setting(
        DATA, "quarantine: set bad rows aside in a file, with place and reason, and train on the others.", "refuse"
    )
    limit_rows: int | None = _setting(DATA, "Read only the first so many rows of a table.", ge=1)
    cache_dir: PathText | None = _setting(DATA, "Where encoded sets are kept (default: the user's cache).")
    verify: bool = _setting(DATA, "Read data files whole to see whether they changed.", False)

    model: str = _setting(
        MODEL, f"The network, one of {_MODELS}; one of your own is package.module:Class.", "parallel-masknet"
    )
    set: Keywords = _setting(
        MODEL,
        "A keyword of the network's constructor, or of trees a setting of LightGBM's, as KEY=VALUE (repeatable).",
        {},
    )
    epochs: int | None = _setting(MODEL, f"Passes over the training rows, at most {_BY_MODEL}.", ge=1)
    evaluations: int | None = _setting(MODEL, f"Evaluations an epoch; patience counts them {_BY_MODEL}.", ge=1)
    batch_size: int | None = _setting(MODEL, f"Rows a step {_BY_ROWS}.", ge=1)
    learning_rate: float | None = _setting(MODEL, f"Adam's step size at the start {_BY_ROWS}.", gt=0)
    embedding_l2: float | None = _setting(
        MODEL, f"L2 on the embedding tables: half this times their squared norm {_BY_MODEL}.", ge=0
    )
    network_l2: float = _setting(MODEL, "L2 on all other parameters.", 0.0, ge=0)
    clip: float | None = _setting(MODEL, "Clip the gradient's norm to this (default: 10).", 10.0, gt=0)
    monitor: str = _setting(
        MODEL,
        f"The validation metric that picks the best weights, one of {_MONITORS}; with several labels, the mean, or "
        f"LABEL.METRIC.",
        "auc",
    )
    task_weight: LabelWeights = _setting(
        MODEL, "LABEL=WEIGHT: what a label's loss counts beside that of the others (repeatable; default: 1).", {}
    )
    patience: int | None = _setting(
        MODEL, f"Stop after this many evaluations in a row without a better one {_BY_MODEL}.", ge=1
    )
    schedule: Literal["plateau", "constant"] | None = _setting(
        MODEL,
        f"constant, or plateau: a tenth of the rate after each evaluation without a better one {_BY_MODEL}.",
    )
    average_weights: float | None = _setting(
        MODEL,
        f"Evaluate and save an exponential moving average of the weights, with this decay; 0 for none {_BY_MODEL}.",
        ge=0,
        lt=1,
    )
    members: int | None = _setting(
        MODEL, f"Train so many networks, each from other draws, and average their probabilities {_BY_ROWS}.", ge=1
    )
    pretrained: dict[str, PathText] = _setting(
        MODEL,
        "Vectors that a field's rows start from, as FIELD=FILE (repeatable): Parquet, CSV, or word2vec's text.",
        {},
    )
    freeze: Names = _setting(MODEL, "Fields whose pretrained rows are not trained (repeatable).", ())
    embedding_updates: Literal["dense", "sparse"] = _setting(
        MODEL,
        "dense: Adam moves every row of a table at every step; sparse: those of the batch's ids, and makes up for the "
        "steps that they missed.",
        "dense",
    )
    refit: bool = _setting(MODEL, "Train once more on training and validation rows for the epochs found.", False)
    seed: int = _setting(MODEL, "Fixes the initial weights, the order of rows and dropout.", 0, ge=0, lt=2**63)
    precision: Literal["bf16", "fp32"] | None = _setting(
        MODEL, "The numbers that a network is trained in; it is evaluated, and scores, in fp32 (default: fp32)."
    )
    device: str = _setting(MODEL, "cpu, cuda, cuda:1, ...; auto takes a GPU where there is one.", "auto")
    threads: int | None = _setting(MODEL, "Processor threads (default: all that the process may use).", ge=1)
    checkpoint_minutes: float = _setting(MODEL, "Write the state of the run every so many minutes.", 10.0, ge=0)

    out: PathText | None = _setting(OUTPUT, "The folder of the trained model (default: the data's name + .masknet).")
    overwrite: bool = _setting(OUTPUT, "Replace a model, or an unfinished run, that lies at --out.", False)
    resume: bool = _setting(OUTPUT, "Go on with the unfinished run at --out.", False)
    golden_rows: int = _setting(
        OUTPUT, "Rows of your data kept in the model with their probabilities, for `masknet check`.", 8, ge=0
    )
    tensorboard: PathText | None = _setting(
        OUTPUT, "A folder for TensorBoard's curves, a point an epoch (needs the extra of that name)."
    )
    verbose: bool = _setting(OUTPUT, "Tell each evaluation, and not only what each member came to.", False)
    json_output: bool = Field(
        default=False,
        alias="json",
        description="Print the result as one JSON object.",
        json_schema_extra={"panel": OUTPUT},
    )

    def __init__(self, **settings: Any) -> None:
        known = {field.alias or name for name, field in type(self).model_fields.items()}
        for name in settings:
            if name not in known:
                raise ConfigError(unknown("option", name, known))
        said = {name: value for name, value in settings.items() if isinstance(value, Said)}
        said |= {name: Said((value,)) for name, value in settings.items() if isinstance(value, str) and name in NAMES}
        try:
            super().__init__(**{**settings, **_taken_apart(said)})
        except ValidationError as error:
            raise ConfigError(_sentence(error)) from None
        self._said = {name: value for name, value in said.items() if name != "columns"}

    @property
    def labels(self) -> tuple[str, ...]:
        """The columns to predict, one a task."""
        return labels_of(self.label)

    @property
    def form(self) -> Form:
        """What is said of how the files are written.

        Raises:
            ConfigError: no text can be written so.
        """
        from masknet.table import Form  # not before it is needed: it imports what reads tables

        said = {name: getattr(self, name) for name in OF_FILES if name not in ("columns", "no_header")}
        return Form(**said, header=not self.no_header)

    def require_named(self, work: str, command: str) -> None:
        """Refuse work on rows that are not named, or on no label.

        >>> RunConfig(data="ads.csv").require_named("training", "masknet train DATA --label COLUMN")
        Traceback (most recent call last):
        masknet.errors.ConfigError: training needs --label, the column to predict: masknet train DATA --label COLUMN

        Args:
            work: in words.
            command: which names both.

        Raises:
            ConfigError: one of them is not named.
        """
        if self.data is None or not self.labels:
            lacking = "data" if self.data is None else "--label, the column to predict"
            raise ConfigError(f"{work} needs {lacking}: {command}")

    def of_table(self, columns: Collection[str]) -> RunConfig:
        """A checked copy for a table with these columns: now it is known which texts are names as they stand.

        >>> config = RunConfig(label="click", ignore="price, EUR")
        >>> config.ignore, config.of_table(["click", "price, EUR"]).ignore
        (('price', 'EUR'), ('price, EUR',))
        """
        return self.replace(**_taken_apart(self._said, columns))

    @model_validator(mode="before")
    @classmethod
    def _positives(cls, settings: Any) -> Any:
        """A click's value alone is that of the one label; texts of several are pairs."""
        said = settings.get("positive") if isinstance(settings, dict) else None
        if said is None or isinstance(said, dict):
            return settings
        texts = list(_texts(said))  # type: ignore[call-overload]
        if not all(isinstance(text, str) for text in texts):
            return settings  # refused by its type
        labels = labels_of(_label(settings.get("label")))  # type: ignore[arg-type]
        if len(labels) != 1:
            return {**settings, "positive": Said(tuple(texts)).pairs("positive", labels)}
        if len(texts) > 1:
            raise ValueError(f"positive is said once where there is one label; got {' and '.join(map(repr, texts))}")
        return {**settings, "positive": {labels[0]: texts[0].removeprefix(f"{labels[0]}=")} if texts else {}}

    @model_validator(mode="after")
    def _consistent(self) -> RunConfig:
        twice = next((name for name in self.labels if self.labels.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"each label is said once; '{twice}' is said twice: name another, or leave it out")
        splits = [name for name in ("valid", "valid_fraction", "valid_after") if getattr(self, name) is not None]
        if len(splits) > 1:
            raise ValueError(f"the validation rows are said once; got {' and '.join(splits)}; keep one of them")
        if self.data == self.valid == "-":
            raise ValueError("standard input is read once; data and valid both are '-': name a file for one of them")
        if self.valid_after is not None and self.time is None:
            raise ValueError("valid_after needs time, the column that it is compared with; name it")
        loose = next((name for name in self.freeze if name not in self.pretrained), None)
        if loose is not None:
            raise ValueError(
                f"freeze names fields with pretrained vectors; '{loose}' has none: pretrained names its file"
            )
        stray = next((name for name in self.task_weight if name not in self.labels), None)
        if stray is not None:
            raise ValueError(unknown("label", stray, self.labels))
        stray = next((name for name in self.positive if name not in self.labels), None)
        if stray is not None:
            raise ValueError(f"positive: {unknown('label', stray, self.labels)}")
        if self.task_weight and len(self.labels) < 2:
            raise ValueError("task_weight weighs several labels against each other; there is one: leave it out")
        return self

    def settings(self) -> dict[str, Any]:
        """All settings as JSON-ready values, under the names of the run file."""
        return self.model_dump(mode="json", by_alias=True)

    def replace(self, **changes: Any) -> RunConfig:
        """A checked copy with some settings changed."""
        return RunConfig(**{**self.settings(), **changes})


NAMES = tuple(name for name, setting in RunConfig.model_fields.items() if _NAMES_OF_COLUMNS in setting.metadata)
"""The settings that are names of columns."""


def _taken_apart(said: Mapping[str, Said], columns: Collection[str] = ()) -> dict[str, Any]:
    """Names, and pairs, by their settings."""
    return {n: one.names(columns) if n in NAMES else one.pairs(n, columns) for n, one in said.items()}


def _sentence(error: ValidationError) -> str:
    first = error.errors()[0]
    if not first["loc"]:
        return first["msg"].removeprefix("Value error, ")
    name = ".".join(str(part) for part in first["loc"])
    rule = re.sub("^Value error, ", "be ", first["msg"])
    return f"the '{name}' setting must {re.sub('^(Input|String) should ', '', rule)}; got {first['input']!r}"


class _Loader(yaml.SafeLoader):
    """YAML as people expect it: 1e-3 is a number, and a key given twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """A mapping, refused where a key stands twice."""
        scalars = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        seen = set()
        for key in scalars:
            if (key.tag, key.value) in seen:
                raise ConfigError(_twice(key.value, f" (again in line {key.start_mark.line + 1})"))
            seen.add((key.tag, key.value))
        return super().construct_mapping(node, deep=deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)$"), list("-+0123456789.")
)


def _twice(key: str, place: str = "") -> str:
    return f"a setting is given once; '{key}' stands twice{place}"


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    if len(set(keys)) < len(keys):
        raise ConfigError(_twice(next(key for key in keys if keys.count(key) > 1)))
    return dict(pairs)


def _load(text: str) -> Any:
    try:
        # JSON is YAML but for tabs and for characters that it escapes as two halves.
        return json.loads(text, object_pairs_hook=_once)
    except json.JSONDecodeError:
        return yaml.load(text, Loader=_Loader)


def parse_setting(text: str) -> Any:
    """Read the VALUE of `--set KEY=VALUE`: a number, true, false, null, a list, or else a text.

    >>> parse_setting("[400, 400]"), parse_setting("1e-3"), parse_setting("null"), parse_setting("max")
    ([400, 400], 0.001, None, 'max')
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except ConfigError:  # a key given twice
        raise
    except (yaml.YAMLError, ValueError, RecursionError):  # ValueError: 2026-02-30, which looks like a date
        raise ConfigError(
            f"the value of a --set is a number, true, false, null, a list or a word; got '{text}'"
        ) from None


def read_mapping(path: str | Path, what: str) -> dict[str, Any]:
    """The mapping that a YAML file holds; JSON is YAML too.

    Args:
        path: of the file.
        what: it is, in words.

    Raises:
        ConfigError: the file is not there, is not YAML, or holds no mapping of names.
    """
    try:
        content = _load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"no {what} at '{path}'") from None
    except ConfigError:  # a key given twice
        raise
    except OSError as error:
        raise ConfigError(f"the {what} '{path}' cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"a {what} is a text in UTF-8; '{path}' is not, from its byte {error.start:,} on: save it so"
        ) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f" (line {mark.line + 1})" if mark else ""
        why = " ".join(str(getattr(error, "problem", error)).split())
        raise ConfigError(f"the {what} '{path}' is not YAML{place}: {why}") from None
    if not isinstance(content, Mapping) or not all(isinstance(key, str) for key in content):
        raise ConfigError(f"a {what} is a mapping of settings to values; '{path}' is not")
    return dict(content)


def read_run_file(path: str | Path) -> dict[str, Any]:
    """The settings in a run file; relative paths in it are relative to the file.

    Raises:
        ConfigError: the file is not there, is not YAML, or is not a flat mapping of known settings.
    """
    file = Path(path)
    content = read_mapping(path, "run file")
    settings = dict(content)
    for name in ("data", "valid", "out", "cache_dir", "tensorboard"):
        settings[name] = _beside(file, settings.get(name))
    if isinstance(settings.get("pretrained"), dict):
        settings["pretrained"] = {name: _beside(file, path) for name, path in settings["pretrained"].items()}
    return {name: value for name, value in settings.items() if name in content}


def _beside(file: Path, path: object) -> object:
    """A path of a run file from where the file lies; `-`, an address and the user's folder are no such paths."""
    if not isinstance(path, str) or path == "-" or path.startswith("~") or "://" in path:
        return path
    return str(file.parent.absolute() / path)
