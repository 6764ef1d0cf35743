"""Several models on the same rows: trained, measured, and told apart where the rows can tell."""

from masknet.compare.entries import Entry, entries_of
from masknet.compare.experiment import EXPERIMENTS, Experiment, read_experiment
from masknet.compare.folder import REPORT
from masknet.compare.run import NEEDS, Asked, compare

__all__ = [
    "EXPERIMENTS",
    "NEEDS",
    "REPORT",
    "Asked",
    "Entry",
    "Experiment",
    "compare",
    "entries_of",
    "read_experiment",
]
