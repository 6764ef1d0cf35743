"""Training: the loop, what a step does, the state of a run, and the whole job."""

from masknet.train.run import fit, train
from masknet.train.trainer import Interrupted

__all__ = ["Interrupted", "fit", "train"]
