"""How moments are likely to be written, as their cells tell."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from masknet.encode.moment_forms import DateTexts, Epoch
from masknet.encode.moments import MomentReader
from masknet.schema import TimeForm


@pytest.mark.parametrize(
    ("cells", "form"),
    [
        ([1.7e9, 1.6e9], "seconds"),
        ([1.7e12], "milliseconds"),
        ([1.7e15], "microseconds"),
        ([1.7e18, 1.6e18], "nanoseconds"),
        (["1700000000000000000"], "nanoseconds"),
        ([20260131, 20251231], "yyyymmdd"),
        ([14102100], "yymmddhh"),
        ([2026013112, 2025123100], "%Y%m%d%H"),
        ([20260131120000], "%Y%m%d%H%M%S"),
        ([0.0, 0.0, 0.0, 1.7e12], "milliseconds"),
        ([1.7e9, 1.7e9, 1e18], "seconds"),
        ([20260131, 20251231, 20261399], "yyyymmdd"),
        ([10_000_000, 10_010_100, 10_500_000, 10_999_999], "seconds"),
        (["NA", "2026-01-31"], "iso"),
        ([3, 1], "seconds"),
        (["2026-01-31"], "iso"),
    ],
)
def test_the_form_of_moments_is_told_by_their_size(cells: list[Any], form: TimeForm) -> None:
    epoch = Epoch()
    epoch.add(pl.Series("t", cells))
    assert epoch.form == form


# Dates in other forms


@pytest.mark.parametrize(
    ("cells", "form", "either"),
    [
        (["6/9/2016 21:43", "6/19/2016 1:02"], "%m/%d/%Y %H:%M", None),
        (["6/9/2016", "19/6/2016"], "%d/%m/%Y", None),
        (["6/9/2016", "7/9/2016"], "%m/%d/%Y", "%d/%m/%Y"),
        (["31-Jul-18", "1-Aug-18"], "%d-%b-%y", None),
        (["31.12.2019 14:05", "01.01.2020 00:00"], "%d.%m.%Y %H:%M", None),
        (["03.02.2019", "01.01.2020"], "%d.%m.%Y", "%m.%d.%Y"),
        (["31.12.19", "01.01.20"], "%d.%m.%y", None),
        (["2016/06/09", "2016/6/10"], "%Y/%m/%d", None),
        (["Jun 9, 2016", "Jul 10, 2016"], "%b %d, %Y", None),
        (["June 9, 2016", "July 10, 2016"], "%B %d, %Y", None),
        (["31 Jul 2018", "1 Aug 2018"], "%d %b %Y", None),
        (["6/19/2016 9:43 PM"], "%m/%d/%Y %I:%M %p", None),
        (["6/19/2016 9:43:01.25 UTC"], "%m/%d/%Y %H:%M:%S.%f", None),
        (["19-06-2016 21:43:00"], "%d-%m-%Y %H:%M:%S", None),
        (["Thu Jun 09 21:43:00 +0000 2016"], "%a %b %d %H:%M:%S %z %Y", None),
        (["Thu, 09 Jun 2016 21:43:00 GMT"], "%a, %d %b %Y %H:%M:%S", None),
        (["09/Jun/2016:21:43:00 +0200"], "%d/%b/%Y:%H:%M:%S", None),
        (["2016-06-09", "2016-06-09T21:43"], "iso", None),
    ],
)
def test_the_form_of_dates_in_texts_is_found(cells: list[str], form: str, either: str | None) -> None:
    texts = DateTexts()
    for cell in [*cells, "NA", " "]:
        texts.add(pl.Series([cell]))
    found = texts.found
    assert found is not None
    assert (found.form, found.either, found.share, found.other) == (form, either, 1.0, None)
    read = MomentReader(form)
    assert read(pl.Series("at", cells), "row {}".format).wall.null_count() == 0


@pytest.mark.parametrize(
    "cells",
    [
        ["10.4.11", "9.3.12"], ["10.0.3.7", "10.1.200.9"], ["555-12-2019"], ["May the 4th", "Mar 10 tools"],
        ["1/2", "3/4"], ["12:30:00"], ["7", "1.5"], ["ad-1-2", "ad-3-4"], ["", "NA"], ["banner"], ["2016-06"],
        ["6/9/2016", "red", "green"],
    ],
)  # fmt: skip
def test_what_is_no_date_is_taken_for_none(cells: list[str]) -> None:
    texts = DateTexts()
    texts.add(pl.Series(cells))
    assert texts.found is None


def test_what_most_are_is_found_with_the_commonest_other() -> None:
    texts = DateTexts(missing=("never",))
    texts.add(pl.Series(["31.12.2019"] * 80 + ["n.v."] * 12 + ["x"] * 8 + ["never"] * 50 + ["NULL"] * 50))
    found = texts.found
    assert found is not None
    assert (found.form, found.share, found.other) == ("%d.%m.%Y", 0.8, "n.v.")
    texts.add(pl.Series(["x"] * 10))
    assert texts.found is None


def test_only_recent_numbers_look_like_moments() -> None:
    for cells, form in (
        ([1769860800, 1700000000], "seconds"),
        ([1769860800000], "milliseconds"),
        (["1769860800000000", "NA"], "microseconds"),
        ([1769860800 * 10**9], "nanoseconds"),
        ([20160609], "yyyymmdd"),
        ([2016060921], "%Y%m%d%H"),
        ([1769860800, 0], None),
        ([1769860800, 7], None),
        ([86400], None),
        (["1769860800", "soon"], None),
        ([], None),
    ):
        epoch = Epoch()
        epoch.add(pl.Series(cells))
        assert epoch.likely == form
