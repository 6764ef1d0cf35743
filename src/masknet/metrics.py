"""How good the probabilities are: every metric exact, weighted, with an interval where theory gives one.

Rows are sorted by probability once and those of equal probability are merged; all metrics but the grouped one are sums
over that short table, so ties are never split and the order of the rows does not matter. A row of weight 0 is as if
absent. A weight says how much a row counts, not how often it was seen: intervals take a weighted row for one
observation.

NOTE[perf]: without weights all running totals are whole numbers in float64, hence exact. With weights they are summed
in blocks: the relative error stays below `2 sqrt(n) 2^-53`, 7e-13 for 10 million rows in the worst case, and was 2e-15
for 2 million (`np.cumsum`: 1e-13); the grouped AUC, which subtracts such totals, was off by 2e-14.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from masknet.errors import ConfigError, DataError

Floats = NDArray[np.float64]

_Z95 = 1.959963984540054  # the normal distribution's 97.5 % quantile


@dataclass(frozen=True)
class Estimate:
    """A metric's value with its 95 % interval, or the reason why it has no value.

    >>> Estimate(0.7, 0.6, 0.8).to_json()
    {'value': 0.7, 'low': 0.6, 'high': 0.8}
    >>> Estimate(None, why="there are no rows").to_json()
    {'value': None, 'why': 'there are no rows'}

    Args:
        value: the metric; None where it is undefined.
        low: the interval's lower end; None where there is no interval.
        high: its upper end.
        why: why the metric is undefined, a fragment of a sentence.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    why: str | None = None

    def __post_init__(self) -> None:
        if (self.value is None) != (self.why is not None):
            raise ValueError(f"an estimate has a value or a reason why not; value is {self.value}, why is {self.why}")

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready copy."""
        if self.value is None:
            return {"value": None, "why": self.why}
        return {"value": self.value, "low": self.low, "high": self.high}


def auc(labels: ArrayLike, probabilities: ArrayLike, weights: ArrayLike | None = None) -> Estimate:
    """The share of (positive, negative) pairs ranked rightly, ties counted half, each pair weighing `w_i w_j`.

    The interval is DeLong's (DeLong, DeLong and Clarke-Pearson, Biometrics 1988), from the variance of the weighted
    placement values. There is none at 0 or 1, where that variance collapses, or with a single row of a class.

    >>> auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]).value
    0.75

    Args:
        labels: 0 or 1 (int, bool or float), shape `[rows]`.
        probabilities: in [0, 1], shape `[rows]`.
        weights: finite and not negative, shape `[rows]`; None weighs all rows alike.

    Raises:
        DataError: an array breaks these rules. The same holds for every metric here.
    """
    return _auc(_tally(_rows(labels, probabilities, weights)))


def log_loss(labels: ArrayLike, probabilities: ArrayLike, weights: ArrayLike | None = None) -> Estimate:
    """The weighted mean of `-log p` over positives and `-log(1 - p)` over negatives, in nats; arguments as for `auc`.

    Probabilities are clipped to `[eps, 1 - eps]`, eps being that of their own dtype, as scikit-learn does.

    >>> round(log_loss([0, 1], [0.5, 0.5]).value, 6)
    0.693147
    """
    return _log_loss(_tally(_rows(labels, probabilities, weights)))


def normalized_entropy(labels: ArrayLike, probabilities: ArrayLike, weights: ArrayLike | None = None) -> Estimate:
    """Log loss over the entropy of the weighted base rate: 1 is what predicting the base rate earns; as for `auc`.

    He et al., Practical Lessons from Predicting Clicks on Ads at Facebook, ADKDD 2014, eq. 1. The interval is that of
    the log loss, the base rate taken as known.

    >>> round(normalized_entropy([0, 0, 0, 1], [0.25, 0.25, 0.25, 0.25]).value, 12)
    1.0
    """
    tally = _tally(_rows(labels, probabilities, weights))
    return _normalized_entropy(tally, _log_loss(tally))


def calibration_ratio(labels: ArrayLike, probabilities: ArrayLike, weights: ArrayLike | None = None) -> Estimate:
    """Predicted over observed positives, 1 when calibrated on the whole; arguments as for `auc`.

    The interval is the delta method's for a ratio of means.

    >>> calibration_ratio([0, 0, 0, 1], [0.5, 0.5, 0.5, 0.5]).value
    2.0
    """
    return _calibration_ratio(_tally(_rows(labels, probabilities, weights)))


def expected_calibration_error(
    labels: ArrayLike, probabilities: ArrayLike, weights: ArrayLike | None = None, *, bins: int = 20
) -> Estimate:
    """The weighted mean, over bins of equal mass, of `|mean probability - mean label|`; no interval; as for `auc`.

    Rows of equal probability share a bin, that of the middle of their mass, so a bin can be heavier or empty.

    >>> round(expected_calibration_error([0, 1, 1, 1], [0.2, 0.2, 0.9, 0.9], bins=2).value, 12)
    0.2

    Raises:
        ConfigError: `bins` is below 1.
    """
    return _expected_calibration_error(_tally(_rows(labels, probabilities, weights)), bins=bins)


def pr_auc(labels: ArrayLike, probabilities: ArrayLike, weights: ArrayLike | None = None) -> Estimate:
    """Average precision, the sum over thresholds of the step in recall times the precision; arguments as for `auc`.

    As scikit-learn's `average_precision_score`: no interpolation. No interval.

    >>> round(pr_auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]).value, 12)
    0.833333333333
    """
    return _pr_auc(_tally(_rows(labels, probabilities, weights)))


def grouped_auc(
    labels: ArrayLike, probabilities: ArrayLike, groups: ArrayLike, weights: ArrayLike | None = None
) -> Estimate:
    """The mean of the groups' AUCs, each weighing what its rows weigh; groups of one class are left out.

    With users as groups, the GAUC of Zhou et al., KDD 2018, section 6.2. The interval is the normal approximation for
    a weighted mean over groups; there is none with a single group.

    >>> grouped_auc([0, 1, 0, 1, 1], [0.1, 0.2, 0.9, 0.8, 0.7], ["a", "a", "b", "b", "c"]).value
    0.5

    Args:
        labels: as for `auc`.
        probabilities: as for `auc`.
        groups: each row's group, shape `[rows]`: integers, texts, anything NumPy can sort.
        weights: as for `auc`.
    """
    return _grouped_auc(_rows(labels, probabilities, weights, groups))


def rela_imp(auc_value: float, base_auc: float) -> float | None:
    """The paper's RelaImp, `(AUC - 0.5) / (base AUC - 0.5) - 1`; None where the base ranks like chance.

    >>> round(rela_imp(0.8124, 0.7895), 4)
    0.0791
    """
    return None if base_auc == 0.5 else (auc_value - 0.5) / (base_auc - 0.5) - 1


def evaluate(
    labels: ArrayLike,
    probabilities: ArrayLike,
    weights: ArrayLike | None = None,
    groups: ArrayLike | None = None,
) -> dict[str, Estimate]:
    """Every metric by its name, from one sort; `grouped_auc` is among them where `groups` is given.

    >>> list(evaluate([0, 1], [0.2, 0.7]))[:3]
    ['auc', 'log_loss', 'normalized_entropy']
    """
    rows = _rows(labels, probabilities, weights, groups)
    tally = _tally(rows)
    loss = _log_loss(tally)
    metrics = {
        "auc": _auc(tally),
        "log_loss": loss,
        "normalized_entropy": _normalized_entropy(tally, loss),
        "calibration_ratio": _calibration_ratio(tally),
        "expected_calibration_error": _expected_calibration_error(tally, bins=20),
        "pr_auc": _pr_auc(tally),
    }
    if groups is not None:
        metrics["grouped_auc"] = _grouped_auc(rows)
    return metrics


@dataclass(frozen=True)
class Monitor:
    """A metric that can choose the best epoch.

    Args:
        function: the metric; its first arguments are labels and probabilities.
        direction: whether the best value is the largest or the smallest.
    """

    function: Callable[..., Estimate]
    direction: Literal["max", "min"]

    def better(self, value: float, best: float) -> bool:
        """Whether `value` beats `best`.

        >>> MONITORS["log_loss"].better(0.4, 0.5)
        True
        """
        return value > best if self.direction == "max" else value < best


# The calibration ratio is best at 1, neither at its largest nor at its smallest: it monitors nothing.
MONITORS: dict[str, Monitor] = {
    "auc": Monitor(auc, "max"),
    "log_loss": Monitor(log_loss, "min"),
    "normalized_entropy": Monitor(normalized_entropy, "min"),
    "expected_calibration_error": Monitor(expected_calibration_error, "min"),
    "pr_auc": Monitor(pr_auc, "max"),
    "grouped_auc": Monitor(grouped_auc, "max"),
}


@dataclass(frozen=True)
class _Rows:
    """Checked rows of positive weight, by rising probability."""

    given: int  # rows before those of weight 0 were dropped
    positive: NDArray[np.bool_]
    probabilities: Floats
    weights: Floats | None
    groups: NDArray[Any] | None
    eps: float  # of the dtype in which the probabilities came


def _rows(
    labels: ArrayLike, probabilities: ArrayLike, weights: ArrayLike | None, groups: ArrayLike | None = None
) -> _Rows:
    given: dict[str, NDArray[Any]] = {
        "labels": _numbers("labels", labels),
        "probabilities": _numbers("probabilities", probabilities),
    }
    if weights is not None:
        given["weights"] = _numbers("weights", weights)
    if groups is not None:
        given["groups"] = _group_codes(groups)
    if len({len(values) for values in given.values()}) > 1:
        counts = ", ".join(f"{len(values)} {name}" for name, values in given.items())
        raise DataError(
            f"a metric takes one entry a row from each array; there are {counts}; give arrays of one length"
        )

    y, p = given["labels"], given["probabilities"]
    positive = y == 1
    _require(positive | (y == 0), y, "labels are 0 or 1", "map them first")
    _require((p >= 0) & (p <= 1), p, "probabilities lie in [0, 1]", "apply the sigmoid to logits, drop what is missing")
    eps = float(np.finfo(p.dtype).eps) if p.dtype in (np.float16, np.float32) else float(np.finfo(np.float64).eps)
    p = p.astype(np.float64, copy=False)
    w, g = given.get("weights"), given.get("groups")
    if w is not None:
        _require((w >= 0) & np.isfinite(w), w, "weights are finite and not negative", "use 0 to leave a row out")
        w = w.astype(np.float64, copy=False)
        kept = np.flatnonzero(w)
        order = kept[np.argsort(p[kept])]
        w = w[order]
    else:
        order = np.argsort(p)
    return _Rows(
        given=len(y),
        positive=positive[order],
        probabilities=p[order],
        weights=w,
        groups=None if g is None else g[order],
        eps=eps,
    )


def _numbers(name: str, values: ArrayLike) -> NDArray[Any]:
    array = np.asarray(values)
    if array.ndim != 1 or array.dtype.kind not in "biuf":
        found = f"an array of {array.dtype} and shape {array.shape}"
        raise DataError(f"{name} are a one-dimensional array of numbers; got {found}; flatten or convert it")
    return array


def _group_codes(groups: ArrayLike) -> NDArray[Any]:
    array = np.asarray(groups)
    if array.ndim != 1:
        raise DataError(f"groups are a one-dimensional array; got the shape {array.shape}; flatten it")
    if array.dtype.kind in "biu":
        return array
    try:
        return np.unique(array, return_inverse=True)[1]
    except TypeError as error:
        raise DataError(f"groups must be comparable with each other; sorting them said: {error}; fill nulls") from error


def _require(valid: NDArray[np.bool_], values: NDArray[Any], rule: str, way_out: str) -> None:
    if not valid.all():
        row = int(np.argmin(valid))
        raise DataError(f"{rule}; row {row} (the first is 0) has {values[row]}; {way_out}")


@dataclass(frozen=True)
class _Tally:
    """What the rows of one probability weigh together, by rising probability: all that ungrouped metrics need."""

    given: int
    kept: int
    eps: float
    probability: Floats
    positive: Floats  # sum of w over positives
    negative: Floats
    positive_squares: Floats  # sum of w^2 over positives: the intervals need it
    negative_squares: Floats

    @cached_property
    def total(self) -> float:
        return _sum(self.positive + self.negative)

    @cached_property
    def squares(self) -> float:
        return _sum(self.positive_squares + self.negative_squares)

    @property
    def why_empty(self) -> str | None:
        if self.kept:
            return None
        return f"all {self.given} rows have weight 0" if self.given else "there are no rows"

    @property
    def why_one_class(self) -> str | None:
        if self.why_empty:
            return self.why_empty
        if not self.positive.any():
            return f"all {self.kept} rows are negatives"
        if not self.negative.any():
            return f"all {self.kept} rows are positives"
        return None


def _tally(rows: _Rows) -> _Tally:
    starts = _starts(rows.probabilities)
    positive, negative = _masses(rows.positive, rows.weights, starts)
    positive_squares, negative_squares = positive, negative
    if rows.weights is not None:
        positive_squares, negative_squares = _masses(rows.positive, rows.weights**2, starts)
    return _Tally(
        given=rows.given,
        kept=len(rows.probabilities),
        eps=rows.eps,
        probability=rows.probabilities[starts],
        positive=positive,
        negative=negative,
        positive_squares=positive_squares,
        negative_squares=negative_squares,
    )


def _starts(*keys: NDArray[Any]) -> NDArray[np.intp]:
    """Where, in rows sorted by these keys, a new combination of them begins."""
    new = np.zeros(len(keys[0]), dtype=bool)
    new[:1] = True
    for key in keys:
        new[1:] |= key[1:] != key[:-1]
    return np.flatnonzero(new)


def _masses(positive: NDArray[np.bool_], weights: Floats | None, starts: NDArray[np.intp]) -> tuple[Floats, Floats]:
    """What the positives and the negatives of each run of rows weigh."""
    if weights is None:
        positives = np.add.reduceat(positive, starts, dtype=np.float64)
        return positives, np.diff(starts, append=len(positive)) - positives
    return (
        np.add.reduceat(np.where(positive, weights, 0.0), starts),
        np.add.reduceat(np.where(positive, 0.0, weights), starts),
    )


def _running(values: Floats) -> Floats:
    """Running totals, summed in about sqrt(n) blocks: `np.cumsum` alone would err by up to `n 2^-53`."""
    width = math.isqrt(len(values)) + 1
    blocks = np.zeros((width, width))
    blocks.reshape(-1)[: len(values)] = values
    np.cumsum(blocks, axis=1, out=blocks)
    blocks[1:] += np.cumsum(blocks[:-1, -1])[:, None]
    return blocks.reshape(-1)[: len(values)]


def _variance_of_mean(total: float, squares: float, spread: float) -> float:
    """The variance of a weighted mean from `sum w`, `sum w^2` and `sum w^2 d^2`, `d` the deviations from the mean.

    It is `spread / total^2`, times `n / (n - 1)` with `n = total^2 / squares` the effective number of rows (Kish), so
    that equal weights give the textbook's formula. NaN where a single row carries all the weight.
    """
    share = squares / total**2
    return spread / total**2 / (1 - share) if share < 1 else math.nan


def _estimate(value: float, variance: float, *, highest: float = math.inf) -> Estimate:
    """The value with the normal interval, cut to [0, highest], or with none where the variance is NaN."""
    if math.isnan(variance):
        return Estimate(value)
    half = _Z95 * math.sqrt(variance)
    return Estimate(value, max(value - half, 0.0), min(value + half, highest))


def _auc(tally: _Tally) -> Estimate:
    if tally.why_one_class:
        return Estimate(None, why=tally.why_one_class)
    negatives_below, positives_below = _running(tally.negative), _running(tally.positive)
    negatives, positives = float(negatives_below[-1]), float(positives_below[-1])
    negatives_below -= tally.negative / 2
    positives_below -= tally.positive / 2
    value = min(_sum(tally.positive * negatives_below) / (positives * negatives), 1.0)
    if not 1e-12 < value < 1 - 1e-12:
        return Estimate(value)
    above = negatives_below / negatives - value  # of a positive's share of wins
    below = 1 - positives_below / positives - value  # of a negative's
    variance = _variance_of_mean(
        positives, _sum(tally.positive_squares), _sum(tally.positive_squares * above**2)
    ) + _variance_of_mean(negatives, _sum(tally.negative_squares), _sum(tally.negative_squares * below**2))
    return _estimate(value, variance, highest=1.0)


def _log_loss(tally: _Tally) -> Estimate:
    if tally.why_empty:
        return Estimate(None, why=tally.why_empty)
    p = np.clip(tally.probability, tally.eps, 1 - tally.eps)
    of_positive, of_negative = -np.log(p), -np.log1p(-p)
    value = _sum(tally.positive * of_positive + tally.negative * of_negative) / tally.total
    spread = tally.positive_squares * (of_positive - value) ** 2 + tally.negative_squares * (of_negative - value) ** 2
    return _estimate(value, _variance_of_mean(tally.total, tally.squares, _sum(spread)))


def _normalized_entropy(tally: _Tally, loss: Estimate) -> Estimate:
    if tally.why_one_class or loss.value is None:
        return Estimate(None, why=tally.why_one_class)
    shares = (_sum(tally.positive) / tally.total, _sum(tally.negative) / tally.total)
    entropy = -sum(share * math.log(share) for share in shares)
    return Estimate(
        value=loss.value / entropy,
        low=None if loss.low is None else loss.low / entropy,
        high=None if loss.high is None else loss.high / entropy,
    )


def _calibration_ratio(tally: _Tally) -> Estimate:
    if not tally.positive.any():
        return Estimate(None, why=tally.why_one_class)
    p, clicks = tally.probability, _sum(tally.positive)
    value = _sum((tally.positive + tally.negative) * p) / clicks
    spread = tally.positive_squares * (p - value) ** 2 + tally.negative_squares * p**2
    variance = _variance_of_mean(tally.total, tally.squares, _sum(spread))
    return _estimate(value, variance * (tally.total / clicks) ** 2)


def _expected_calibration_error(tally: _Tally, bins: int) -> Estimate:
    if bins < 1:
        raise ConfigError(f"calibration error needs at least 1 bin; bins is {bins}; 20 is the default")
    if tally.why_empty:
        return Estimate(None, why=tally.why_empty)
    mass = tally.positive + tally.negative
    running = _running(mass)
    starts = _starts(np.floor((running - mass / 2) * (bins / running[-1])))
    gaps = np.add.reduceat(mass * tally.probability - tally.positive, starts)
    return Estimate(_sum(np.abs(gaps)) / tally.total)


def _pr_auc(tally: _Tally) -> Estimate:
    if tally.why_one_class:
        return Estimate(None, why=tally.why_one_class)
    falling = tally.positive[::-1]
    above = _running(falling)
    precision = above / (above + _running(tally.negative[::-1]))
    return Estimate(min(_sum(falling * precision) / float(above[-1]), 1.0))


def _grouped_auc(rows: _Rows) -> Estimate:
    if not len(rows.probabilities):
        return Estimate(None, why=_tally(rows).why_empty)
    assert rows.groups is not None
    order = np.argsort(rows.groups, kind="stable")  # keeps the order by probability inside each group
    groups, probabilities = rows.groups[order], rows.probabilities[order]
    weights = None if rows.weights is None else rows.weights[order]
    starts = _starts(groups, probabilities)
    positive, negative = _masses(rows.positive[order], weights, starts)
    firsts = _starts(groups[starts])
    sizes = np.diff(firsts, append=len(starts))
    positives, negatives = np.add.reduceat(positive, firsts), np.add.reduceat(negative, firsts)
    negatives_below = _running(negative)
    negatives_below -= np.repeat(negatives_below[firsts] - negative[firsts], sizes) + negative / 2
    wins = np.add.reduceat(positive * negatives_below, firsts)

    both = (positives > 0) & (negatives > 0)
    if not both.any():
        return Estimate(None, why=f"none of the {len(firsts)} groups has both classes")
    aucs = wins[both] / (positives[both] * negatives[both])
    mass = positives[both] + negatives[both]
    total = _sum(mass)
    value = min(_sum(mass * aucs) / total, 1.0)
    variance = _variance_of_mean(total, _sum(mass**2), _sum((mass * (aucs - value)) ** 2))
    return _estimate(value, variance, highest=1.0)


def _sum(values: Floats) -> float:
    return float(values.sum())  # pairwise: the error grows with log n
