"""How right the probabilities themselves are: losses and calibration."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from masknet.errors import ConfigError
from masknet.intervals import positive_interval
from masknet.metrics.estimate import Estimate, estimate_of
from masknet.metrics.rows import checked_rows
from masknet.metrics.tally import Tally, running_totals, starts_of, sum_of, tally_of, variance_of_mean

__all__ = [
    "calibration_ratio",
    "calibration_ratio_of",
    "entropy_of",
    "expected_calibration_error",
    "expected_calibration_error_of",
    "log_loss",
    "log_loss_of",
    "log_loss_value",
    "normalized_entropy",
    "normalized_entropy_of",
    "predicted_of",
]


def log_loss(labels: ArrayLike, probabilities: ArrayLike, weights: ArrayLike | None = None) -> Estimate:
    """The weighted mean of `-log p` over positives and `-log(1 - p)` over negatives, in nats; arguments as for `auc`.

    Probabilities are clipped to `[eps, 1 - eps]`, eps being that of their own dtype, as scikit-learn does.

    >>> round(log_loss([0, 1], [0.5, 0.5]).value, 6)
    0.693147
    """
    return log_loss_of(tally_of(checked_rows(labels, probabilities, weights)))


def normalized_entropy(labels: ArrayLike, probabilities: ArrayLike, weights: ArrayLike | None = None) -> Estimate:
    """Log loss over the entropy of the weighted base rate: 1 is what predicting the base rate earns; as for `auc`.

    He et al., Practical Lessons from Predicting Clicks on Ads at Facebook, ADKDD 2014, eq. 1. The interval is the delta
    method's for a ratio: a sample of more clicks has a higher log loss, and a higher entropy with it.

    >>> round(normalized_entropy([0, 0, 0, 1], [0.25, 0.25, 0.25, 0.25]).value, 12)
    1.0
    """
    tally = tally_of(checked_rows(labels, probabilities, weights))
    return normalized_entropy_of(tally, log_loss_of(tally))


def calibration_ratio(labels: ArrayLike, probabilities: ArrayLike, weights: ArrayLike | None = None) -> Estimate:
    """Predicted over observed positives, 1 when calibrated on the whole; arguments as for `auc`.

    The interval is the delta method's for a ratio of means, on a log scale.

    >>> calibration_ratio([0, 0, 0, 1], [0.5, 0.5, 0.5, 0.5]).value
    2.0
    """
    return calibration_ratio_of(tally_of(checked_rows(labels, probabilities, weights)))


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
    return expected_calibration_error_of(tally_of(checked_rows(labels, probabilities, weights)), bins=bins)


def log_loss_value(tally: Tally) -> float:
    """As `log_loss`, without an interval; of rows that weigh something."""
    of_positive, of_negative = tally.scores.losses
    return sum_of(tally.positive * of_positive + tally.negative * of_negative) / tally.total


def log_loss_of(tally: Tally) -> Estimate:
    """As `log_loss`."""
    if tally.rows.why_empty:
        return Estimate(None, why=tally.rows.why_empty)
    of_positive, of_negative = tally.scores.losses
    value = log_loss_value(tally)
    spread = tally.positive_squares * (of_positive - value) ** 2 + tally.negative_squares * (of_negative - value) ** 2
    variance = variance_of_mean(tally.total, tally.squares, sum_of(spread))
    return estimate_of(value, positive_interval(value, variance, tally.freedom))


def entropy_of(tally: Tally) -> float:
    """The entropy of the weighted click rate, in nats; of two classes."""
    shares = (sum_of(tally.positive) / tally.total, sum_of(tally.negative) / tally.total)
    return -sum(share * math.log(share) for share in shares)


def normalized_entropy_of(tally: Tally, loss: Estimate) -> Estimate:
    """As `normalized_entropy`, given the log loss of the same rows."""
    if tally.rows.why_one_class or loss.value is None:
        return Estimate(None, why=tally.rows.why_one_class)
    entropy = entropy_of(tally)
    value = loss.value / entropy
    of_positive, of_negative = tally.scores.losses
    clicks = sum_of(tally.positive) / tally.total
    spread = tally.positive_squares * (of_positive + value * math.log(clicks)) ** 2
    spread += tally.negative_squares * (of_negative + value * math.log1p(-clicks)) ** 2
    variance = variance_of_mean(tally.total, tally.squares, sum_of(spread)) / entropy**2
    return estimate_of(value, positive_interval(value, variance, tally.freedom))


def predicted_of(tally: Tally) -> float:
    """How many positives the probabilities promise."""
    return sum_of((tally.positive + tally.negative) * tally.scores.probability)


def calibration_ratio_of(tally: Tally) -> Estimate:
    """As `calibration_ratio`."""
    if not tally.positive.any():
        return Estimate(None, why=tally.rows.why_one_class)
    p, clicks = tally.scores.probability, sum_of(tally.positive)
    value = predicted_of(tally) / clicks
    spread = tally.positive_squares * (p - value) ** 2 + tally.negative_squares * p**2
    variance = variance_of_mean(tally.total, tally.squares, sum_of(spread))
    return estimate_of(value, positive_interval(value, variance * (tally.total / clicks) ** 2, tally.freedom))


def expected_calibration_error_of(tally: Tally, bins: int) -> Estimate:
    """As `expected_calibration_error`."""
    if bins < 1:
        raise ConfigError(f"calibration error needs at least 1 bin; bins is {bins}; 20 is the default")
    if tally.rows.why_empty:
        return Estimate(None, why=tally.rows.why_empty)
    mass = tally.positive + tally.negative
    running = running_totals(mass)
    starts = starts_of(np.floor((running - mass / 2) * (bins / running[-1])))
    gaps = np.add.reduceat(mass * tally.scores.probability - tally.positive, starts)
    return Estimate(sum_of(np.abs(gaps)) / tally.total)
