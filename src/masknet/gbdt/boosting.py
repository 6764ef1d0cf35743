"""LightGBM on arrays, by its own names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
from jaxtyping import Float, Integer, Shaped

from masknet.errors import ConfigError, unknown
from masknet.own_files import is_count
from masknet.ranges import Floats, Ints, OneOf, Range

__all__ = [
    "LEARNING_RATE",
    "OF_LIGHTGBM",
    "PATIENCE",
    "SEARCH",
    "TreeModel",
    "by_own_names",
    "train_lightgbm",
    "tree_settings",
]

NUM_LEAVES, LEARNING_RATE, ROUNDS, PATIENCE = 31, 0.05, 2000, 50
"""Of a run that says nothing."""

SEARCH: Mapping[str, Range] = MappingProxyType(
    {
        "learning_rate": Floats(0.01, 0.2, log=True),
        "num_leaves": Ints(4, 256, log=True),
        "min_data_in_leaf": Ints(5, 500, log=True),
        "lambda_l2": OneOf((0.0, 0.1, 1.0, 10.0, 100.0)),
        "feature_fraction": Floats(0.4, 1.0),
        "cat_smooth": Floats(1.0, 100.0, log=True),
        "cat_l2": Floats(1.0, 100.0, log=True),
    }
)
"""Within what `masknet tune` moves them; ids enter as codes and as categories each time, and early stopping counts."""

OF_LIGHTGBM: Mapping[str, Any] = MappingProxyType(
    {"min_data_in_leaf": 20, "lambda_l2": 0.0, "feature_fraction": 1.0, "cat_smooth": 10.0, "cat_l2": 10.0}
)
"""LightGBM's own defaults of those of them that a run leaves to it."""

Labels = Integer[np.ndarray, "row"] | Float[np.ndarray, "row"]


@dataclass(frozen=True)
class TreeModel:
    """Trained trees; `rounds` is how many of them early stopping kept."""

    rounds: int
    _booster: Any = field(repr=False)

    def predict_proba(self, x: Float[np.ndarray, "row field"]) -> Float[np.ndarray, "row"]:
        """The click probability of each row, float64."""
        margins = self.margins(x)
        return np.asarray(1 / (1 + np.exp(-margins)))

    def margins(self, x: Float[np.ndarray, "row field"]) -> Float[np.ndarray, "row"]:
        """The log-odds of each row, float64: what the trees add up to."""
        if len(x) == 0:
            return np.empty(0)
        return np.asarray(self._booster.predict(x, num_iteration=self.rounds, raw_score=True), dtype=np.float64)

    @cached_property
    def leaves(self) -> tuple[int, ...]:
        """How many leaves each of the trees that were kept has."""
        dumped = self._booster.dump_model(num_iteration=self.rounds)
        return tuple(int(tree["num_leaves"]) for tree in dumped["tree_info"])

    @property
    def num_columns(self) -> int:
        """How many columns the trees read."""
        return int(self._booster.num_feature())

    def leaf_indices(self, x: Float[np.ndarray, "row field"]) -> Integer[np.ndarray, "row tree"]:
        """For each row the leaf that it falls in of each tree."""
        if len(x) == 0:
            return np.empty((0, len(self.leaves)), dtype=np.int32)
        found = self._booster.predict(x, num_iteration=self.rounds, pred_leaf=True)
        return np.asarray(found, dtype=np.int32).reshape(len(x), -1)

    def to_text(self) -> str:
        """LightGBM's own text of the trees that were kept, read back by `from_text`."""
        return str(self._booster.model_to_string(num_iteration=self.rounds))

    @classmethod
    def from_text(cls, text: str) -> TreeModel:
        """The inverse of `to_text`.

        Raises:
            ConfigError: LightGBM is not installed.
            ValueError: the text holds no trees.
        """
        lightgbm = _lightgbm()
        try:
            booster = lightgbm.Booster(model_str=text)
        except lightgbm.basic.LightGBMError as error:
            raise ValueError(f"no trees: {error}") from error
        return cls(rounds=booster.current_iteration(), _booster=booster)


_OWN_FLAGS = {
    "learning_rate": "set it with --learning-rate",
    "early_stopping_round": "set it with --patience",
    "seed": "set it with --seed",
    "num_threads": "set it with --threads",
    "boosting": "it is gbdt here: of a forest, or of dart, the validation rows could not tell where to stop",
    "sigmoid": "it is 1 here",
    "objective": "it is the log loss here",
    "metric": "it is the log loss here",
    "categorical_feature": "both ways are tried, and the better one is kept",
    "weight_column": "name the column with --weight",
    "label_column": "name the column with --label",
    "ignore_column": "leave columns out with --ignore",
}
"""What a run says otherwise, and how."""

_WITHOUT_EFFECT = (
    *("config", "task", "data", "valid", "header", "group_column", "two_round", "save_binary", "parser_config_file"),
    *("input_model", "output_model", "output_result", "snapshot_freq", "convert_model", "convert_model_language"),
    *("machines", "machine_list_filename", "local_listen_port", "num_machines", "forcedsplits_filename"),
    *("forcedbins_filename", "verbosity", "num_class", "pre_partition", "precise_float_parser", "time_out", "top_k"),
    *("num_iteration_predict", "start_iteration_predict", "predict_raw_score", "predict_leaf_index", "predict_contrib"),
    *("predict_disable_shape_check", "pred_early_stop", "pred_early_stop_freq", "pred_early_stop_margin"),
    *("saved_feature_importance_type", "early_stopping_min_delta", "first_metric_only", "metric_freq", "eval_at"),
    *("is_provide_training_metric", "multi_error_top_k", "auc_mu_weights", "label_gain", "objective_seed"),
    *("lambdarank_norm", "lambdarank_position_bias_regularization", "lambdarank_truncation_level", "bagging_by_query"),
    *("alpha", "fair_c", "poisson_max_delta_step", "tweedie_variance_power", "reg_sqrt", "refit_decay_rate"),
    *("drop_rate", "drop_seed", "max_drop", "skip_drop", "uniform_drop", "xgboost_dart_mode"),
)
"""What concerns LightGBM's own program, its files and machines, and other tasks: it has no effect here."""


def tree_settings(model: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """What `--set` says to LightGBM, under the names that LightGBM itself gives them, and the defaults of a run.

    >>> tree_settings("gbdt", {"num_leaf": 255})
    {'num_leaves': 255, 'num_iterations': 2000}

    Args:
        model: who asks, for the sentence.
        given: the settings by any name that LightGBM knows.

    Raises:
        ConfigError: as `by_own_names` does.
    """
    settings = {"num_leaves": NUM_LEAVES, "num_iterations": ROUNDS} | by_own_names(model, given)
    if not is_count(settings["num_iterations"], least=1):
        raise ConfigError(f"num_iterations of {model} is an int of at least 1; got {settings['num_iterations']!r}")
    return settings


def by_own_names(model: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Settings under the names that LightGBM itself gives them.

    >>> by_own_names("gbdt", {"min_child_samples": 5})
    {'min_data_in_leaf': 5}
    >>> by_own_names("gbdt", {"num_leafs": 255})
    Traceback (most recent call last):
    masknet.errors.ConfigError: unknown option of gbdt 'num_leafs'; did you mean 'num_leaves'?
    >>> by_own_names("gbdt", {"eta": 0.1})
    Traceback (most recent call last):
    masknet.errors.ConfigError: 'eta' is LightGBM's learning_rate, which is said once: set it with --learning-rate

    Args:
        model: who asks, for the sentence.
        given: the settings by any name that LightGBM knows.

    Raises:
        ConfigError: LightGBM is not installed, knows no such setting, or a run says it otherwise.
    """
    _lightgbm()
    from lightgbm.basic import _ConfigAliases  # no public name tells the names

    of_alias: dict[str, str] = {}
    for name, aliases in _ConfigAliases._get_all_param_aliases().items():
        of_alias |= dict.fromkeys((name, *aliases), name)
    settings: dict[str, Any] = {}
    for name, value in given.items():
        known = of_alias.get(name)
        if known is None or known in _WITHOUT_EFFECT:
            raise ConfigError(
                unknown(f"option of {model}", name, sorted({*of_alias.values()} - {*_WITHOUT_EFFECT, *_OWN_FLAGS}))
            )
        if known in _OWN_FLAGS:
            also = f" is LightGBM's {known}, which" if name != known else ""
            raise ConfigError(f"'{name}'{also} is said once: {_OWN_FLAGS[known]}")
        if known in settings:
            raise ConfigError(f"a setting is given once; '{known}' of {model} stands twice, also as '{name}'")
        settings[known] = value
    return settings


def train_lightgbm(
    x: Float[np.ndarray, "row field"],
    y: Labels,
    *,
    valid: tuple[Float[np.ndarray, "row_valid field"], Shaped[np.ndarray, "row_valid"]],
    weights: Float[np.ndarray, "row"] | None = None,
    valid_weights: Float[np.ndarray, "row_valid"] | None = None,
    num_leaves: int = NUM_LEAVES,
    learning_rate: float = LEARNING_RATE,
    max_rounds: int = ROUNDS,
    patience: int = PATIENCE,
    categorical: Sequence[int] = (),
    seed: int = 0,
    threads: int = 1,
    settings: Mapping[str, Any] = MappingProxyType({}),
    on_round: Callable[[int], None] = lambda done: None,
) -> TreeModel:
    """Train LightGBM until its log loss on `valid` has not fallen for `patience` rounds.

    Categorical fields enter as integer codes, split like ordered numbers: with many ids this is LightGBM's stronger
    mode, and the one that the tables call "integer-coded categoricals"; or natively, as sets of values, where
    `categorical` names their columns. Same arrays, seed and threads: same trees.

    Args:
        x: a column a field: codes of categoricals, raw numerics, NaN where a numeric is missing.
        y: the clicks, 0 or 1.
        valid: `x` and `y` of the rows that decide when to stop.
        weights: of the rows of `x`, at least 0; all 1 unless given.
        valid_weights: of the rows of `valid`.
        num_leaves: of a tree, at least 2.
        learning_rate: the share of each tree that is added, in (0, 1].
        max_rounds: trees at most.
        patience: rounds without a gain, at least 1.
        categorical: the columns of `x` that hold codes of values without an order.
        seed: of LightGBM's draws.
        threads: of LightGBM.
        settings: further ones, by LightGBM's own names; of a name that is an argument here, they hold.
        on_round: told how many trees there are, after each.

    Raises:
        ConfigError: LightGBM is not installed, or refuses a setting.

    >>> x = np.arange(400.0)[:, None]
    >>> trees = train_lightgbm(x, (x[:, 0] > 150) * 1, valid=(x, (x[:, 0] > 150) * 1), max_rounds=40)
    >>> trees.predict_proba(np.array([[10.0], [390.0]])).round()
    array([0., 1.])
    """
    lightgbm = _lightgbm()
    if not 0 < learning_rate <= 1:
        raise ConfigError(f"the learning rate of trees is a number in (0, 1]; got {learning_rate:g}")
    parameters = {
        "objective": "binary",
        "metric": "binary_logloss",
        "num_leaves": num_leaves,
        "learning_rate": learning_rate,
        "seed": seed,
        "num_threads": threads,
        "deterministic": True,
        "force_row_wise": True,  # otherwise LightGBM times both layouts and takes the faster, which may change the sums
        "verbosity": -1,
        "num_iterations": max_rounds,
        **settings,
    }
    # Its verbosity holds for one thread, and the warnings of the others go to standard output: they bin in one.
    alone = parameters | {"num_threads": 1}
    native = list(categorical)
    train = lightgbm.Dataset(x, y, weight=weights, categorical_feature=native, params=alone)
    held_out = lightgbm.Dataset(*valid, weight=valid_weights, reference=train, categorical_feature=native, params=alone)
    try:
        train.construct()
        held_out.construct()
        booster = lightgbm.train(
            {name: value for name, value in parameters.items() if name != "num_iterations"},
            train,
            num_boost_round=parameters["num_iterations"],
            valid_sets=[held_out],
            callbacks=[
                lightgbm.early_stopping(patience, verbose=False),
                lambda state: on_round(state.iteration + 1),
            ],
        )
    except (lightgbm.basic.LightGBMError, TypeError, ValueError) as error:
        raise ConfigError(f"LightGBM refuses its settings: {' '.join(str(error).split())}") from error
    return TreeModel(rounds=booster.best_iteration or booster.current_iteration(), _booster=booster)


def _lightgbm() -> Any:
    try:
        import lightgbm
    except ImportError as error:
        raise ConfigError(
            "the LightGBM baseline needs the package lightgbm, which is not installed: pip install 'masknet[trees]'"
        ) from error
    return lightgbm
