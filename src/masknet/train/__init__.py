"""Training: the loop, what a step does, the state of a run, and the whole job."""

from masknet.train.defaults import network_defaults
from masknet.train.plan import declared_of, encoding_plan
from masknet.train.run import absolute_paths, fit, logistic_regression, train
from masknet.train.standing import Interrupted

__all__ = [
    "Interrupted",
    "absolute_paths",
    "declared_of",
    "encoding_plan",
    "fit",
    "logistic_regression",
    "network_defaults",
    "train",
]
