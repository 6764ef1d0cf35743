"""How good the probabilities are: every metric exact, weighted, with an interval where theory gives one.

Rows are sorted by probability once and those of equal probability are merged; all metrics but the grouped ones are sums
over that short table, so ties are never split and the order of the rows does not matter. A row of weight 0 is as if
absent. A weight says how much a row counts, not how often it was seen: intervals take a weighted row for one
observation. A resample is the same sorted rows with other weights: how often each row, or its group, was drawn.

NOTE[perf]: without weights all running totals are whole numbers in float64, hence exact. With weights they are summed
in blocks: the relative error stays below `2 sqrt(n) 2^-53`, 7e-13 for 10 million rows in the worst case, and was 2e-15
for 2 million (`np.cumsum`: 1e-13); the grouped AUC, which subtracts such totals, was off by 2e-14.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from masknet.errors import ConfigError, DataError
from masknet.intervals import Interval, auc_interval, normal_interval, positive_interval
from masknet.progress import LogProgress, Progress
from masknet.schema import UNKNOWN

Floats = NDArray[np.float64]

_NDCG_AT = (5, 10)

FEW_CLICKS = 30
"""Below so many clicks intervals are told to be rough."""


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

    The interval is that of `masknet.intervals.auc_interval`: Newcombe's, with the variance of the weighted placement
    values (DeLong, DeLong and Clarke-Pearson, Biometrics 1988).

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

    He et al., Practical Lessons from Predicting Clicks on Ads at Facebook, ADKDD 2014, eq. 1. The interval is the delta
    method's for a ratio: a sample of more clicks has a higher log loss, and a higher entropy with it.

    >>> round(normalized_entropy([0, 0, 0, 1], [0.25, 0.25, 0.25, 0.25]).value, 12)
    1.0
    """
    tally = _tally(_rows(labels, probabilities, weights))
    return _normalized_entropy(tally, _log_loss(tally))


def calibration_ratio(labels: ArrayLike, probabilities: ArrayLike, weights: ArrayLike | None = None) -> Estimate:
    """Predicted over observed positives, 1 when calibrated on the whole; arguments as for `auc`.

    The interval is the delta method's for a ratio of means, on a log scale.

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
    return _grouped_auc(_groups(_rows(labels, probabilities, weights, groups), ()))


def ndcg(
    labels: ArrayLike, probabilities: ArrayLike, groups: ArrayLike, weights: ArrayLike | None = None, *, k: int = 10
) -> Estimate:
    """The mean over groups of `DCG@k / ideal DCG@k`, where DCG sums `1 / log2(place + 1)` over the clicks in the top k.

    Rows of equal probability share the mean gain of their places, as in scikit-learn's `ndcg_score`. Groups without a
    positive have no ideal and are left out. All groups weigh alike, or, with weights, what their rows weigh together;
    inside a group weights play no part. The interval is the grouped AUC's.

    >>> ndcg([0, 1, 1, 0, 0], [0.9, 0.8, 0.3, 0.1, 0.1], ["a", "a", "b", "b", "c"], k=1).value
    0.5

    Args:
        labels: as for `auc`.
        probabilities: as for `auc`.
        groups: as for `grouped_auc`.
        weights: as for `auc`.
        k: how many places count.

    Raises:
        ConfigError: `k` is below 1.
    """
    if k < 1:
        raise ConfigError(f"NDCG looks at the first place at least; k is {k}; 10 is the default")
    return _ndcg(_groups(_rows(labels, probabilities, weights, groups), (k,)), k)


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
    """Every metric by its name; with `groups`, `grouped_auc`, `ndcg_at_5` and `ndcg_at_10` too.

    >>> list(evaluate([0, 1], [0.2, 0.7]))[:3]
    ['auc', 'log_loss', 'normalized_entropy']
    """
    return Sample(labels, probabilities, weights, groups).estimates


def evaluate_tasks(
    labels: NDArray[np.uint8],
    probabilities: Floats,
    weights: Floats | None = None,
    groups: NDArray[Any] | None = None,
) -> list[dict[str, Estimate]]:
    """Every metric of each task, over the rows whose label of that task is known.

    >>> labels = np.array([[0, 1], [1, UNKNOWN], [1, 0]], dtype=np.uint8)
    >>> [found["auc"].value for found in evaluate_tasks(labels, np.array([[0.2, 0.9], [0.7, 0.1], [0.8, 0.3]]))]
    [1.0, 1.0]

    Args:
        labels: 0, 1 or `UNKNOWN`, shape `[rows, tasks]`.
        probabilities: in [0, 1], of the same shape; of one task also `[rows]`.
        weights: as for `auc`, of the rows.
        groups: as for `grouped_auc`, of the rows.
    """
    found = []
    for of_task, given in zip(labels.T, probabilities.reshape(labels.shape).T, strict=True):
        known = of_task != UNKNOWN
        beside = [None if of_row is None else of_row[known] for of_row in (weights, groups)]
        found.append(evaluate(of_task[known], given[known], *beside))
    return found


class Sample:
    """Labelled probabilities, checked and sorted once: every metric of them, and its interval by resampling.

    >>> sample = Sample([0, 0, 1, 1] * 5, [0.1, 0.4, 0.35, 0.8] * 5)
    >>> sample.estimates["pr_auc"].low is None
    True
    >>> sample.bootstrap(200)["pr_auc"].low < sample.estimates["pr_auc"].value
    True

    Args:
        labels: as for `auc`.
        probabilities: as for `auc`.
        weights: as for `auc`.
        groups: as for `grouped_auc`; adds the grouped metrics, and makes groups what is resampled.
        baseline: another model's probabilities of the same rows; adds its AUC, `baseline_auc`, and `rela_imp` and
            `auc_difference` against it.
    """

    def __init__(
        self,
        labels: ArrayLike,
        probabilities: ArrayLike,
        weights: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        *,
        baseline: ArrayLike | None = None,
    ) -> None:
        self._model = _ranking(_rows(labels, probabilities, weights, groups))
        self._groups = None if groups is None else _groups(self._model.rows, _NDCG_AT)
        self._baseline = None if baseline is None else _ranking(_rows(labels, baseline, weights))

    @property
    def num_groups(self) -> int:
        """How many groups have rows that weigh something; 0 without groups."""
        return 0 if self._groups is None else len(self._groups.mass)

    @property
    def groups_of_one_class(self) -> int:
        """How many groups the grouped AUC leaves out."""
        return 0 if self._groups is None else int(np.isnan(self._groups.auc).sum())

    @property
    def groups_without_positive(self) -> int:
        """How many groups NDCG leaves out."""
        return 0 if self._groups is None else int(np.isnan(self._groups.ndcg[_NDCG_AT[0]]).sum())

    @cached_property
    def estimates(self) -> dict[str, Estimate]:
        """Every metric by its name, with the interval that theory gives."""
        tally = self._model.tally
        loss = _log_loss(tally)
        found = {
            "auc": _auc(tally),
            "log_loss": loss,
            "normalized_entropy": _normalized_entropy(tally, loss),
            "calibration_ratio": _calibration_ratio(tally),
            "expected_calibration_error": _expected_calibration_error(tally, bins=20),
            "pr_auc": _pr_auc(tally),
        }
        if self._groups is not None:
            found["grouped_auc"] = _grouped_auc(self._groups)
            found |= {f"ndcg_at_{k}": _ndcg(self._groups, k) for k in _NDCG_AT}
        if self._baseline is not None:
            base = _auc(self._baseline.tally)
            found |= {
                "rela_imp": _rela_imp(found["auc"], base),
                "baseline_auc": base,
                "auc_difference": _auc_difference(self._model, self._baseline),
            }
        return found

    def bootstrap(
        self, resamples: int, *, seed: int = 0, only_grouped: bool = False, progress: Progress | None = None
    ) -> dict[str, Estimate]:
        """The same metrics; an interval is from the 2.5 % to the 97.5 % quantile of the metric over resamples.

        A resample draws as many rows as there are, with replacement, or as many groups, each with all its rows; model
        and baseline see the same draws. There is no interval where the resamples do not differ, or where the metric is
        undefined in more than one of twenty.

        Args:
            resamples: how many, at least 2; 1,000 is usual.
            seed: of the draws; equal seeds give equal intervals.
            only_grouped: only the grouped metrics, which cost a draw of groups and no pass over the rows.
            progress: told of the rows done.

        Raises:
            ConfigError: fewer than 2 resamples.
        """
        if resamples < 2:
            raise ConfigError(f"a bootstrap compares resamples; {resamples} were asked for: take 1000")
        kept = len(self._model.rows.unit)
        units = kept if self._groups is None else self.num_groups
        wanted = {n: e for n, e in self.estimates.items() if not only_grouped or n.startswith(("grouped_auc", "ndcg"))}
        if not units or not wanted:
            return wanted
        rng, progress, values = np.random.default_rng(seed), progress or LogProgress(), np.empty((resamples, 0))
        for done in range(resamples):
            counts = np.bincount(rng.integers(units, size=units), minlength=units).astype(np.float64)
            drawn = self._resample(counts, only_grouped=only_grouped)
            if not done:
                values = np.empty((resamples, len(drawn)))
            values[done] = list(drawn.values())
            progress.track("bootstrap", (done + 1) * kept, resamples * kept)
        column = dict(zip(drawn, values.T, strict=True))
        return {name: _percentiles(estimate, column[name]) for name, estimate in wanted.items()}

    def _resample(self, counts: Floats, *, only_grouped: bool) -> dict[str, float]:
        """Every metric where row i, or group i, is there `counts[i]` times; NaN where it is undefined."""
        found: dict[str, float] = {}
        groups = self._groups
        if not only_grouped:
            of_rows = counts if groups is None else counts[groups.codes]
            found = _values(self._model.counted(of_rows))
        if groups is not None:
            found |= groups.counted(counts)
        if self._baseline is not None and not only_grouped:
            value, base = found["auc"], _auc_value(self._baseline.counted(of_rows))
            gain = rela_imp(value, base)
            found |= {"rela_imp": math.nan if gain is None else gain, "baseline_auc": base}
            found["auc_difference"] = value - base
        return found


def _percentiles(estimate: Estimate, values: Floats) -> Estimate:
    defined = values[~np.isnan(values)]
    if estimate.value is None or len(defined) < 0.95 * len(values) or np.ptp(defined) < 1e-12:
        return Estimate(estimate.value, why=estimate.why)
    low, high = np.quantile(defined, (0.025, 0.975))
    return Estimate(estimate.value, float(low), float(high))


@dataclass(frozen=True)
class Monitor:
    """A metric that can choose the best epoch.

    Args:
        direction: whether the best value is the largest or the smallest.
    """

    direction: Literal["max", "min"]

    def better(self, value: float, best: float) -> bool:
        """Whether `value` beats `best`.

        >>> MONITORS["log_loss"].better(0.4, 0.5)
        True
        """
        return value > best if self.direction == "max" else value < best


# The calibration ratio is best at 1, neither at its largest nor at its smallest: it monitors nothing.
MONITORS: dict[str, Monitor] = {
    "auc": Monitor("max"),
    "log_loss": Monitor("min"),
    "normalized_entropy": Monitor("min"),
    "expected_calibration_error": Monitor("min"),
    "pr_auc": Monitor("max"),
    "grouped_auc": Monitor("max"),
}


def doubts(estimates: Mapping[str, Estimate], clicks: int) -> list[str]:
    """What the reader of an evaluation should know before its numbers are believed, a sentence each.

    >>> doubts({"normalized_entropy": Estimate(1.02)}, clicks=7)[0]
    'there are 7 clicks, and below 30 an interval is a rough guess: measure on more rows'

    Args:
        estimates: by name, as `evaluate` gives them.
        clicks: how many rows are positive.
    """
    found = []
    if clicks < FEW_CLICKS:
        some = "is 1 click" if clicks == 1 else f"are {clicks} clicks"
        found.append(f"there {some}, and below {FEW_CLICKS} an interval is a rough guess: measure on more rows")
    entropy = estimates["normalized_entropy"].value
    if entropy is not None and entropy >= 1:
        found.append(
            f"the normalized entropy is {entropy:.4f}: the probabilities are no better than predicting the click rate "
            f"for everybody"
        )
    return found


@dataclass(frozen=True)
class _Rows:
    """Checked rows of positive weight, by rising probability."""

    given: int  # rows before those of weight 0 were dropped
    positive: NDArray[np.bool_]
    probabilities: Floats
    weights: Floats | None
    groups: NDArray[Any] | None
    eps: float  # of the dtype in which the probabilities came
    unit: NDArray[np.intp]  # the row's place among those kept, as they were given


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
        # By a power of two, which changes no digit: squares of 1e-200 or 1e160 are no numbers.
        w = np.ldexp(w, -int(np.frexp(w.max(initial=0.0))[1]))
        kept = np.flatnonzero(w)
        unit = np.argsort(p[kept])
        order = kept[unit]
        w = w[order]
    else:
        order = unit = np.argsort(p)
    return _Rows(
        given=len(y),
        positive=positive[order],
        probabilities=p[order],
        weights=w,
        groups=None if g is None else g[order],
        eps=eps,
        unit=unit,
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
class _Scores:
    """The distinct probabilities, rising, and what a click and none cost at each: the same in every resample."""

    probability: Floats
    eps: float

    @cached_property
    def losses(self) -> tuple[Floats, Floats]:
        p = np.clip(self.probability, self.eps, 1 - self.eps)
        return -np.log(p), -np.log1p(-p)


@dataclass(frozen=True)
class _Tally:
    """What the rows of one probability weigh together, by rising probability: all that ungrouped metrics need."""

    given: int
    kept: int
    scores: _Scores
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

    @cached_property
    def effective(self) -> tuple[float, float]:
        """How many positives and negatives count, `(sum w)^2 / sum w^2` (Kish); 0 of a class that is absent."""
        sums = ((self.positive, self.positive_squares), (self.negative, self.negative_squares))
        found = [(_sum(weights), _sum(squares)) for weights, squares in sums]
        positives, negatives = (total**2 / squares if squares else 0.0 for total, squares in found)
        return positives, negatives

    @property
    def freedom(self) -> float:
        """How well a spread is known: the rows of the rarer class less one, of all where there is one class."""
        return (min(self.effective) or max(self.effective)) - 1

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
    return _ranking(rows).tally


def _ranking(rows: _Rows) -> _Ranking:
    starts = _starts(rows.probabilities)
    positive, negative = _masses(rows.positive, rows.weights, starts)
    positive_squares, negative_squares = positive, negative
    if rows.weights is not None:
        positive_squares, negative_squares = _masses(rows.positive, rows.weights**2, starts)
    tally = _Tally(
        given=rows.given,
        kept=len(rows.probabilities),
        scores=_Scores(rows.probabilities[starts], rows.eps),
        positive=positive,
        negative=negative,
        positive_squares=positive_squares,
        negative_squares=negative_squares,
    )
    return _Ranking(rows, starts, tally)


@dataclass(frozen=True)
class _Ranking:
    """Rows, where the next probability begins among them, and their tally."""

    rows: _Rows
    starts: NDArray[np.intp]
    tally: _Tally

    def counted(self, counts: Floats) -> _Tally:
        """The tally where the kept row i is there `counts[i]` times; the squares, which intervals read, stay."""
        weights = counts[self.rows.unit]
        if self.rows.weights is not None:
            weights *= self.rows.weights
        positive, negative = _masses(self.rows.positive, weights, self.starts)
        return replace(self.tally, positive=positive, negative=negative)

    def by_row(self, of_positive: Floats, of_negative: Floats) -> Floats:
        """What the tally says of the class of each row, in the order in which the rows were given."""
        sizes = np.diff(self.starts, append=len(self.rows.positive))
        found = np.empty(len(self.rows.positive))
        found[self.rows.unit] = np.where(
            self.rows.positive, np.repeat(of_positive, sizes), np.repeat(of_negative, sizes)
        )
        return found


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


def _estimate(value: float, interval: Interval) -> Estimate:
    return Estimate(value) if interval is None else Estimate(value, *interval)


def _values(tally: _Tally) -> dict[str, float]:
    """The metrics without their intervals, NaN where undefined."""
    both = bool(tally.positive.any()) and bool(tally.negative.any())
    loss = _log_loss_value(tally)
    return {
        "auc": _auc_value(tally),
        "log_loss": loss,
        "normalized_entropy": loss / _entropy(tally) if both else math.nan,
        "calibration_ratio": _predicted(tally) / _sum(tally.positive) if tally.positive.any() else math.nan,
        "expected_calibration_error": _expected_calibration_error(tally, bins=20).value or 0.0,
        "pr_auc": _pr_auc_value(tally) if both else math.nan,
    }


def _auc_value(tally: _Tally) -> float:
    positives, negatives = _sum(tally.positive), _sum(tally.negative)
    if not positives or not negatives:
        return math.nan
    negatives_below = _running(tally.negative)
    negatives_below -= tally.negative / 2
    return min(_sum(tally.positive * negatives_below) / (positives * negatives), 1.0)


def _placements(tally: _Tally, value: float) -> tuple[Floats, Floats]:
    """At each probability, a positive's share of wins and a negative's of losses, less their mean, the AUC."""
    negatives_below, positives_below = _running(tally.negative), _running(tally.positive)
    negatives, positives = float(negatives_below[-1]), float(positives_below[-1])
    negatives_below -= tally.negative / 2
    positives_below -= tally.positive / 2
    return negatives_below / negatives - value, 1 - positives_below / positives - value


def _auc(tally: _Tally) -> Estimate:
    if tally.why_one_class:
        return Estimate(None, why=tally.why_one_class)
    value = _auc_value(tally)
    variance = math.nan if _is_end(value) else _delong(tally, value)
    return _estimate(value, auc_interval(value, variance, *tally.effective))


def _delong(tally: _Tally, value: float) -> float:
    """The variance of an AUC, from the weighted placement values."""
    above, below = _placements(tally, value)
    return _variance_of_mean(
        _sum(tally.positive), _sum(tally.positive_squares), _sum(tally.positive_squares * above**2)
    ) + _variance_of_mean(_sum(tally.negative), _sum(tally.negative_squares), _sum(tally.negative_squares * below**2))


def _is_end(auc_value: float) -> bool:
    """Whether DeLong's variance collapses there."""
    return not 1e-12 < auc_value < 1 - 1e-12


def _auc_difference(model: _Ranking, baseline: _Ranking) -> Estimate:
    """The model's AUC less the baseline's, with DeLong's interval for two rankings of the same rows."""
    why = model.tally.why_one_class
    if why:
        return Estimate(None, why=why)
    value, base = _auc_value(model.tally), _auc_value(baseline.tally)
    if _is_end(value) or _is_end(base):
        return Estimate(value - base)
    gap = model.by_row(*_placements(model.tally, value)) - baseline.by_row(*_placements(baseline.tally, base))
    gap = gap[model.rows.unit]
    variance = 0.0
    for of_class in (model.rows.positive, ~model.rows.positive):
        d = gap[of_class]
        w = np.ones(len(d)) if model.rows.weights is None else model.rows.weights[of_class]
        variance += _variance_of_mean(_sum(w), _sum(w**2), _sum((w * d) ** 2))
    if variance < 1e-24:
        return Estimate(value - base)
    return _estimate(value - base, normal_interval(value - base, variance, low=-1.0, high=1.0))


def _rela_imp(auc_estimate: Estimate, base: Estimate) -> Estimate:
    if auc_estimate.value is None or base.value is None:
        return Estimate(None, why=auc_estimate.why or base.why)
    value = rela_imp(auc_estimate.value, base.value)
    return Estimate(value, why="the baseline's AUC is 0.5" if value is None else None)


def _log_loss_value(tally: _Tally) -> float:
    of_positive, of_negative = tally.scores.losses
    return _sum(tally.positive * of_positive + tally.negative * of_negative) / tally.total


def _log_loss(tally: _Tally) -> Estimate:
    if tally.why_empty:
        return Estimate(None, why=tally.why_empty)
    of_positive, of_negative = tally.scores.losses
    value = _log_loss_value(tally)
    spread = tally.positive_squares * (of_positive - value) ** 2 + tally.negative_squares * (of_negative - value) ** 2
    variance = _variance_of_mean(tally.total, tally.squares, _sum(spread))
    return _estimate(value, positive_interval(value, variance, tally.freedom))


def _entropy(tally: _Tally) -> float:
    shares = (_sum(tally.positive) / tally.total, _sum(tally.negative) / tally.total)
    return -sum(share * math.log(share) for share in shares)


def _normalized_entropy(tally: _Tally, loss: Estimate) -> Estimate:
    if tally.why_one_class or loss.value is None:
        return Estimate(None, why=tally.why_one_class)
    entropy = _entropy(tally)
    value = loss.value / entropy
    of_positive, of_negative = tally.scores.losses
    clicks = _sum(tally.positive) / tally.total
    spread = tally.positive_squares * (of_positive + value * math.log(clicks)) ** 2
    spread += tally.negative_squares * (of_negative + value * math.log1p(-clicks)) ** 2
    variance = _variance_of_mean(tally.total, tally.squares, _sum(spread)) / entropy**2
    return _estimate(value, positive_interval(value, variance, tally.freedom))


def _predicted(tally: _Tally) -> float:
    """How many positives the probabilities promise."""
    return _sum((tally.positive + tally.negative) * tally.scores.probability)


def _calibration_ratio(tally: _Tally) -> Estimate:
    if not tally.positive.any():
        return Estimate(None, why=tally.why_one_class)
    p, clicks = tally.scores.probability, _sum(tally.positive)
    value = _predicted(tally) / clicks
    spread = tally.positive_squares * (p - value) ** 2 + tally.negative_squares * p**2
    variance = _variance_of_mean(tally.total, tally.squares, _sum(spread))
    return _estimate(value, positive_interval(value, variance * (tally.total / clicks) ** 2, tally.freedom))


def _expected_calibration_error(tally: _Tally, bins: int) -> Estimate:
    if bins < 1:
        raise ConfigError(f"calibration error needs at least 1 bin; bins is {bins}; 20 is the default")
    if tally.why_empty:
        return Estimate(None, why=tally.why_empty)
    mass = tally.positive + tally.negative
    running = _running(mass)
    starts = _starts(np.floor((running - mass / 2) * (bins / running[-1])))
    gaps = np.add.reduceat(mass * tally.scores.probability - tally.positive, starts)
    return Estimate(_sum(np.abs(gaps)) / tally.total)


def _pr_auc_value(tally: _Tally) -> float:
    falling = tally.positive[::-1]
    above = _running(falling)
    every = above + _running(tally.negative[::-1])
    precision = np.divide(above, every, out=np.zeros(len(every)), where=every > 0)  # a resample may lack the topmost
    return min(_sum(falling * precision) / float(above[-1]), 1.0)


def _pr_auc(tally: _Tally) -> Estimate:
    return Estimate(None, why=tally.why_one_class) if tally.why_one_class else Estimate(_pr_auc_value(tally))


@dataclass(frozen=True)
class _Groups:
    """What each group says, by rising group: all that grouped metrics need."""

    why_empty: str | None
    codes: NDArray[np.intp]  # the group of each row, in the order in which the rows were given
    mass: Floats  # of a group's rows: its weight in the grouped AUC
    importance: Floats  # its weight in NDCG
    auc: Floats  # NaN where a class is absent
    ndcg: dict[int, Floats]  # by k; NaN where there is no positive

    @cached_property
    def _sums(self) -> Floats:
        """Of each group a row: each metric times its weight, and the weight, both 0 where it is undefined."""
        pairs = [(self.auc, self.mass), *((values, self.importance) for values in self.ndcg.values())]
        columns = [np.stack([mass * values, mass]) * ~np.isnan(values) for values, mass in pairs]
        return np.ascontiguousarray(np.nan_to_num(np.concatenate(columns)).T)

    def counted(self, counts: Floats) -> dict[str, float]:
        """The grouped metrics where group i is there `counts[i]` times."""
        sums: Floats = counts @ self._sums
        names = ["grouped_auc", *(f"ndcg_at_{k}" for k in self.ndcg)]
        return dict(zip(names, _ratio(sums[::2], sums[1::2]).tolist(), strict=True))


def _groups(rows: _Rows, ks: tuple[int, ...]) -> _Groups:
    assert rows.groups is not None
    order = np.argsort(rows.groups, kind="stable")  # keeps the order by probability inside each group
    groups, probabilities, is_positive = rows.groups[order], rows.probabilities[order], rows.positive[order]
    weights = None if rows.weights is None else rows.weights[order]
    starts = _starts(groups, probabilities)
    positive, negative = _masses(is_positive, weights, starts)
    firsts = _starts(groups[starts])
    runs = np.diff(firsts, append=len(starts))
    positives, negatives = np.add.reduceat(positive, firsts), np.add.reduceat(negative, firsts)
    negatives_below = _running(negative)
    negatives_below -= np.repeat(negatives_below[firsts] - negative[firsts], runs) + negative / 2
    wins = np.add.reduceat(positive * negatives_below, firsts)
    pairs = positives * negatives

    # For NDCG rows are counted, not weighed. A run of equal probability takes the places from `above` to `below`.
    sizes = np.diff(starts, append=len(order))
    ends = np.append(starts[firsts[1:]], len(order))[: len(firsts)]
    above = np.repeat(ends, runs) - starts - sizes
    below = above + sizes
    clicks = positive if weights is None else np.add.reduceat(is_positive, starts, dtype=np.float64)
    clicked = np.add.reduceat(clicks, firsts).astype(np.intp)
    ndcg: dict[int, Floats] = {}
    for k in ks:
        gains = np.append(0.0, np.cumsum(1 / np.log2(np.arange(2.0, k + 2))))
        gained = clicks / sizes * (gains[np.minimum(below, k)] - gains[np.minimum(above, k)])
        ndcg[k] = _ratio(np.add.reduceat(gained, firsts), gains[np.minimum(clicked, k)])

    mass = positives + negatives
    codes = np.empty(len(order), dtype=np.intp)
    codes[rows.unit[order]] = np.repeat(np.arange(len(firsts)), np.add.reduceat(sizes, firsts))
    return _Groups(
        why_empty=None if len(order) else _tally(rows).why_empty,
        codes=codes,
        mass=mass,
        importance=np.ones(len(mass)) if weights is None else mass,
        auc=_ratio(wins, pairs),
        ndcg=ndcg,
    )


def _ratio(above: Floats, below: Floats) -> Floats:
    """The quotient, NaN where it is one by 0."""
    quotient = np.full(len(below), math.nan)
    np.divide(above, below, out=quotient, where=below > 0)
    return quotient


def _grouped_auc(groups: _Groups) -> Estimate:
    return _mean_of_groups(groups, groups.auc, groups.mass, "has both classes")


def _ndcg(groups: _Groups, k: int) -> Estimate:
    return _mean_of_groups(groups, groups.ndcg[k], groups.importance, "has a positive")


def _mean_of_groups(groups: _Groups, values: Floats, mass: Floats, rule: str) -> Estimate:
    if groups.why_empty:
        return Estimate(None, why=groups.why_empty)
    defined = ~np.isnan(values)
    if not defined.any():
        return Estimate(None, why=f"none of the {len(values)} groups {rule}")
    mass, values = mass[defined], values[defined]
    value = min(_sum(mass * values) / _sum(mass), 1.0)
    variance = _variance_of_mean(_sum(mass), _sum(mass**2), _sum((mass * (values - value)) ** 2))
    return _estimate(value, normal_interval(value, variance, low=0.0, high=1.0))


def _sum(values: Floats) -> float:
    return float(values.sum())  # pairwise: the error grows with log n
