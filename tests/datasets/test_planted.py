from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.preprocessing import OneHotEncoder

from masknet.datasets import DATASETS, fetch, planted_log

PLANTED = DATASETS["planted"]


def test_same_seed_same_log() -> None:
    log, probability = planted_log(500, seed=3)
    again, probability_again = planted_log(500, seed=3)
    assert log.equals(again)
    assert (probability == probability_again).all()
    assert not log.equals(planted_log(500, seed=4)[0])


@pytest.mark.parametrize("rows", [0, 1])
def test_few_rows(rows: int) -> None:
    log, probability = planted_log(rows, seed=0)
    assert log.height == len(probability) == rows
    assert log.schema == planted_log(100, seed=0)[0].schema


def test_clicks_are_drawn_from_the_probability() -> None:
    log, probability = planted_log(50_000, seed=0)
    click = log["click"].to_numpy()
    assert abs((click - probability).mean()) < 4 * np.sqrt((probability * (1 - probability)).mean() / len(click))
    high = probability > np.median(probability)
    for part in (high, ~high):  # not only on the whole
        assert abs((click - probability)[part].mean()) < 4 * 0.5 / np.sqrt(part.sum())


def test_adding_fields_up_sees_little_of_the_signal() -> None:
    log, probability = planted_log(30_000, seed=0)
    click = log["click"].to_numpy()
    fields = OneHotEncoder(handle_unknown="ignore").fit_transform(log.select(PLANTED.categorical).to_numpy())
    linear = LogisticRegression(C=0.1, max_iter=200).fit(fields[:24_000], click[:24_000])
    best = roc_auc_score(click[24_000:], probability[24_000:])
    assert best > 0.8
    assert roc_auc_score(click[24_000:], linear.predict_proba(fields[24_000:])[:, 1]) < best - 0.1
    assert log_loss(click, probability) < log_loss(click, np.full(len(click), click.mean())) - 0.05


def test_the_columns_are_those_that_the_data_set_declares() -> None:
    log, _ = planted_log(20_000, seed=0)
    assert log.columns == [PLANTED.label, *PLANTED.categorical, *PLANTED.numeric, *PLANTED.ignore]
    assert set(log["click"]) == {0, 1}
    assert set(log["hour"]) == set(range(24))
    assert set(log["position"]) == {1, 2, 3, 4, 5}
    assert log["timestamp"].is_sorted()
    assert 0.04 < log["price"].null_count() / log.height < 0.06
    assert log.drop("price").null_count().sum_horizontal().item() == 0


def test_ids_are_skewed() -> None:
    counts = planted_log(20_000, seed=0)[0]["user"].value_counts()["count"].sort(descending=True)
    assert counts[0] > 10 * counts[-1]


def test_fetch_makes_the_rows_that_it_announces(tmp_path: Path) -> None:
    files = fetch("planted", tmp_path)
    parts = [pl.read_parquet(file) for file in (files.train, files.valid, files.test)]
    assert [part.height for part in parts] == [80_000, 10_000, 10_000]
    assert sum(part.height for part in parts) == PLANTED.rows
    assert pl.concat(parts).sort("timestamp")["timestamp"].equals(planted_log(100_000, seed=0)[0]["timestamp"])
