from __future__ import annotations

import pytest

from masknet.ranges import Floats, Ints, OneOf, Times


def test_a_range_is_made_wide_enough_for_its_default() -> None:
    assert Floats(0.1, 0.5).holding(0.2) == Floats(0.1, 0.5)
    assert Floats(0.1, 0.5).holding(0.05) == Floats(0.05, 0.5)
    assert Ints(2, 8, log=True).holding(16) == Ints(2, 16, log=True)
    assert OneOf((0.0, 1.0)).holding(1.0) == OneOf((0.0, 1.0))
    assert OneOf(("layer", "batch")).holding(None) == OneOf((None, "layer", "batch"))
    assert Times((0.5, 1, 2)).holding(1024) == OneOf((512, 1024, 2048))


def test_a_factor_of_a_small_default_makes_no_zero_and_nothing_twice() -> None:
    assert Times((0.25, 0.5, 1, 2)).holding(1) == OneOf((1, 2))


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: Floats(1.0, 1.0), "a range runs from a smaller number to a larger one; got 1.0 to 1.0"),
        (lambda: Floats(0.0, float("inf")), "a range runs from a smaller number"),
        (lambda: Floats(0.0, 1.0, log=True), r"a range of orders of magnitude begins above 0; got 0\.0"),
        (lambda: Ints(8, 2), "a range runs from a smaller number to a larger one; got 8 to 2"),
        (lambda: OneOf((1,)), r"a search has two values to choose from, or more; got \(1,\)"),
        (lambda: Times((0.5, 2)), "factors of a default are above 0, and 1 is one of them"),
        (lambda: Times((-1, 1)), "factors of a default are above 0"),
    ],
)
def test_what_is_no_range_is_refused_where_it_is_declared(make, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        make()


def test_a_default_that_a_range_of_magnitudes_cannot_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="begins above 0"):
        Floats(1e-4, 1e-2, log=True).holding(0.0)
