"""The settings of a run, typed: one frozen object that the flags, the run file and the Python face all fill.

A run file is flat YAML (JSON is YAML too): the flags' names with underscores, `data` for the positional argument, `set`
a mapping of the network's constructor keywords. An unknown key is an error that names the nearest one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from masknet.errors import ConfigError, unknown
from masknet.schema import Decimal, Label, labels_of

__all__ = ["RunConfig", "parse_pairs", "parse_setting", "read_run_file"]

_BY_MODEL = "(default: by the model)"
_BY_ROWS = "(default: by model and rows)"
_MODELS = (
    "parallel-masknet, serial-masknet, lr, poly2, fm, ffm, mf, dnn, fnn, afm, wide-deep, deepfm, xdeepfm, dcn, dcnv2, "
    "autoint, fibinet, finalmlp, adpredictor, latent-cross, mmoe, multitask-masknet, gbdt, gbdt-lr"
)
_MONITORS = "auc, log_loss, normalized_entropy, expected_calibration_error, pr_auc, grouped_auc"
"""Their modules are too heavy for a line of help: a test holds them equal."""
DATA, MODEL, OUTPUT = "Data", "Model and training", "Output"


def _names(value: object) -> object:
    """Accept `a,b` and `[a, "b,c"]` alike: column names, repeated or comma-separated."""
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list | tuple) or not all(isinstance(item, str) for item in items):
        return value
    return tuple(name.strip() for item in items for name in item.split(",") if name.strip())


def _texts(value: object) -> object:
    """Accept one text and several, each as it is; YAML and Python have numbers for some of them."""
    several = list(value) if isinstance(value, list | tuple) else [value]
    return tuple(str(one) if type(one) in (int, float) else one for one in several)


def _path(value: object) -> object:
    return str(value) if isinstance(value, Path) else value


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


Names = Annotated[tuple[str, ...], BeforeValidator(_names)]
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
    time: str | None = _setting(DATA, "The column of time; the last tenth by time then is the validation part.")
    categorical: Names = _setting(DATA, "Columns that are categorical (repeatable, or comma-separated).", ())
    numeric: Names = _setting(DATA, "Columns that are numeric (repeatable, or comma-separated).", ())
    bag: Names = _setting(
        DATA, "Columns of several values a row: lists, or texts with a separator (repeatable, or comma-separated).", ()
    )
    dense: Names = _setting(DATA, "Columns of vectors, all of one width (repeatable, or comma-separated).", ())
    datetime: Names = _setting(
        DATA, "Columns of moments: they become hour, weekday and age (repeatable, or comma-separated).", ()
    )
    ignore: Names = _setting(DATA, "Columns that no model may see (repeatable, or comma-separated).", ())
    columns: Names = _setting(
        DATA, "Names for a file without a header (a,b,c or criteo); of libsvm, fields by ids (user=0-942).", ()
    )
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
    embedding_updates: Literal["dense"] = _setting(MODEL, "dense: Adam moves every row at every step.", "dense")
    refit: bool = _setting(MODEL, "Train once more on training and validation rows for the epochs found.", False)
    seed: int = _setting(MODEL, "Fixes the initial weights, the order of rows and dropout.", 0, ge=0, lt=2**63)
    precision: Literal["fp32"] | None = _setting(MODEL, "The arithmetic of the network.")
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
        try:
            super().__init__(**settings)
        except ValidationError as error:
            raise ConfigError(_sentence(error)) from None

    @property
    def labels(self) -> tuple[str, ...]:
        """The columns to predict, one a task."""
        return labels_of(self.label)

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
            return {**settings, "positive": parse_pairs("positive", texts, "LABEL=VALUE")}
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


def parse_pairs(name: str, texts: Sequence[str], form: str = "FIELD=VALUE") -> dict[str, str]:
    """Read the pairs that a repeatable flag gives; of a key that is given twice, the last holds.

    >>> parse_pairs("hash", ["user=1000", "ad=500"])
    {'user': '1000', 'ad': '500'}

    Raises:
        ConfigError: a text is no pair.
    """
    parted = [text.partition("=") for text in texts]
    wrong = next((text for text, (key, equals, _) in zip(texts, parted, strict=True) if not (key and equals)), None)
    if wrong is not None:
        raise ConfigError(f"a --{name.replace('_', '-')} is {form}; got '{wrong}'")
    return {key.strip(): value for key, _, value in parted}


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


def read_run_file(path: str | Path) -> dict[str, Any]:
    """The settings in a run file; relative paths in it are relative to the file.

    Raises:
        ConfigError: the file is not there, is not YAML, or is not a flat mapping of known settings.
    """
    file = Path(path)
    try:
        content = _load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"no run file at '{path}'") from None
    except ConfigError:  # a key given twice
        raise
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the run file '{path}' cannot be read: {error}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f" (line {mark.line + 1})" if mark else ""
        why = " ".join(str(getattr(error, "problem", error)).split())
        raise ConfigError(f"the run file '{path}' is not YAML{place}: {why}") from None
    if not isinstance(content, Mapping) or not all(isinstance(key, str) for key in content):
        raise ConfigError(f"a run file is a mapping of settings to values; '{path}' is not")
    settings = dict(content)
    for name in ("data", "valid", "out", "cache_dir", "tensorboard"):
        if isinstance(settings.get(name), str):
            settings[name] = str(file.parent.absolute() / settings[name])
    if isinstance(settings.get("pretrained"), dict):
        vectors = settings["pretrained"].items()
        settings["pretrained"] = {k: str(file.parent.absolute() / v) if isinstance(v, str) else v for k, v in vectors}
    return settings
