"""Training: the loop, what a step does, the state of a run, and the whole job."""

from masknet.train.run import fit, logistic_regression, train
from masknet.train.standing import Interrupted

__all__ = ["Interrupted", "fit", "logistic_regression", "train"]
