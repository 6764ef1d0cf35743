"""How good the probabilities are: every metric exact, weighted, with an interval where theory gives one.

Rows are sorted by probability once and those of equal probability are merged; all metrics but the grouped ones are sums
over that short table, so ties are never split and the order of the rows does not matter. (The AUC alone, of rows
without weights, needs no table: `placements.py`.) A row of weight 0 is as if absent. A weight says how much a row
counts, not how often it was seen: intervals take a weighted row for one observation. A resample is the same sorted rows
with other weights: how often each row, or its group, was drawn.

NOTE[perf]: without weights all running totals are whole numbers in float64, hence exact. With weights they are summed
in blocks: the relative error stays below `2 sqrt(n) 2^-53`, 7e-13 for 10 million rows in the worst case, and was 2e-15
for 2 million (`np.cumsum`: 1e-13); the grouped AUC, which subtracts such totals, was off by 2e-14.
"""

from masknet.metrics.estimate import Estimate
from masknet.metrics.grouped import grouped_auc, ndcg
from masknet.metrics.monitors import FEW_CLICKS, MONITORS, Monitor, doubts
from masknet.metrics.probability import calibration_ratio, expected_calibration_error, log_loss, normalized_entropy
from masknet.metrics.ranking import auc, pr_auc, rela_imp
from masknet.metrics.sample import Sample, evaluate, evaluate_tasks

__all__ = [
    "FEW_CLICKS",
    "MONITORS",
    "Estimate",
    "Monitor",
    "Sample",
    "auc",
    "calibration_ratio",
    "doubts",
    "evaluate",
    "evaluate_tasks",
    "expected_calibration_error",
    "grouped_auc",
    "log_loss",
    "ndcg",
    "normalized_entropy",
    "pr_auc",
    "rela_imp",
]
