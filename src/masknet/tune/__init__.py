"""The search of a model's settings: what is moved, the trials, and what the best ones gain over the defaults."""

from masknet.tune.results import BEST, RESULTS, in_gain, json_of
from masknet.tune.run import NEEDS, ToTune, tune
from masknet.tune.space import parted
from masknet.tune.study import require_optuna
from masknet.tune.trials import Budget, Found, search

__all__ = [
    "BEST",
    "NEEDS",
    "RESULTS",
    "Budget",
    "Found",
    "ToTune",
    "in_gain",
    "json_of",
    "parted",
    "require_optuna",
    "search",
    "tune",
]
