"""A made click log whose true click probabilities are known, so that a model can be held against the best one.

Most of the signal is in products: whether a user clicks depends on the user's taste times the ad's topic, and so on.
A model that only adds fields up sees little of it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Float, Int

from masknet.datasets.dataset import Dataset, write_split
from masknet.progress import Progress

_START = 1_750_000_000  # 15 June 2025, Unix seconds
_DAYS = 14


def planted_log(rows: int, seed: int) -> tuple[pl.DataFrame, Float[np.ndarray, "row"]]:
    """Draw a click log, and the probability with which each of its clicks was drawn.

    The columns: `click` (0 or 1), `user`, `ad` (integers, skewed as ids are), `site`, `device` (text), `hour` (0 to
    23), `position` (1 to 5), `price` (log-normal, one in twenty missing), `match` (normal), `timestamp` (Unix
    seconds, rising). The same seed gives the same log.

    Args:
        rows: how many, 0 or more.
        seed: of the world (who likes what) and of the draws alike.

    >>> log, probability = planted_log(1000, seed=0)
    >>> log.shape, probability.shape
    ((1000, 10), (1000,))
    """
    rng = np.random.default_rng(seed)
    user, taste = _field(rng, rows, 300)
    ad, topic = _field(rng, rows, 120)
    site, tone = _field(rng, rows, 40)
    device, habit = _field(rng, rows, 6)
    position = rng.integers(5, size=rows)
    timestamp = np.sort(_START + rng.integers(_DAYS * 86_400, size=rows))
    hour = timestamp // 3600 % 24
    daylight = np.sin(2 * np.pi * np.arange(24) / 24) * np.sqrt(2)
    price = rng.lognormal(1.0, 0.8, size=rows)
    dear = (np.log(price) - 1.0) / 0.8
    missing = rng.random(rows) < 0.05
    match = rng.normal(size=rows)

    logit = (
        -1.6
        + 1.3 * taste[user] * topic[ad]
        + 0.8 * tone[site] * topic[ad]
        + 0.7 * habit[device] * daylight[hour]
        + 0.4 * taste[user] * np.where(missing, 0.0, dear)
        + 0.3 * match
        - 0.15 * position
    )
    probability = 1 / (1 + np.exp(-logit))
    log = pl.DataFrame(
        {
            "click": (rng.random(rows) < probability).astype(np.int8),
            "user": user,
            "ad": ad,
            "site": np.char.add("site-", site.astype(str)),
            "device": np.array(["phone", "desktop", "tablet", "tv", "console", "watch"])[device],
            "hour": hour,
            "position": position + 1,
            "price": price,
            "match": match,
            "timestamp": timestamp,
        }
    ).with_columns(price=pl.when(pl.Series(~missing)).then("price"))
    return log, probability


def _field(rng: np.random.Generator, rows: int, size: int) -> tuple[Int[np.ndarray, "row"], Float[np.ndarray, "id"]]:
    """Draw ids whose frequency falls with their rank, and a factor of mean square 1 for each id."""
    frequency = 1 / np.arange(2, size + 2) ** 0.7
    ids = rng.choice(size, size=rows, p=frequency / frequency.sum())
    factor = rng.normal(size=size)
    return ids, factor / np.sqrt(np.mean(factor**2))


def _build(folder: Path, progress: Progress) -> None:
    progress.note(f"making {PLANTED.rows:,} rows of a planted click log")
    log, _ = planted_log(PLANTED.rows, seed=0)
    write_split(log, folder, seed=0)


PLANTED = Dataset(
    name="planted",
    description="100 000 made clicks whose true probabilities are known; most of the signal is in products of fields",
    rows=100_000,
    terms="The planted log is made on this machine and holds nobody's data: do with it what you like.",
    label="click",
    categorical=("user", "ad", "site", "device", "hour", "position"),
    numeric=("price", "match"),
    ignore=("timestamp",),
    time="timestamp",
    build=_build,
)
