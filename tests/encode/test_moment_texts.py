"""Formats of moments, before any is read; what is read by them stands in `test_moments.py`."""

from __future__ import annotations

import pytest

from masknet.encode.moment_texts import check_format
from masknet.errors import ConfigError


@pytest.mark.parametrize(
    "form", ["%H:%M", "%d.%m.", "%Q", "%", "100%", "%Y-%m-%d %H:%M:%S,%f", "%m/%d/%Y %H:%M:%S %f", "%d"]
)
def test_a_format_without_a_year_or_a_meaning_is_refused(form: str) -> None:
    with pytest.raises(ConfigError, match=r"a format of moments names the year, .*; '.*' does not"):
        check_format(form)


@pytest.mark.parametrize(
    "form",
    [
        "%m/%d/%Y", "%d.%m.%Y %H:%M:%S.%f", "%d-%b-%y", "%b %d, %Y", "%B %d, %Y %I:%M %p", "%Y%m%d%H", "%Y-%j", "%Y-%m",
        "%a %b %d %H:%M:%S %z %Y", "%d/%b/%Y:%H:%M:%S %z", "%H:%M:%S%z %d.%m.%Y",
    ],
)  # fmt: skip
def test_a_format_that_says_when_is_taken(form: str) -> None:
    check_format(form)
