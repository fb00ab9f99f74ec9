"""Wilson intervals and slices."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardsvc.evaluation.court import Flag
from guardsvc.evaluation.tally import Tally, wilson


@pytest.mark.parametrize(
    ("flagged", "n", "low", "high"),
    [
        (0, 0, 0.0, 1.0),
        (0, 10, 0.0, 0.27753),
        (10, 10, 0.72247, 1.0),
        (5, 10, 0.23659, 0.76341),
        (62, 70, 0.79036, 0.94094),
        (1, 3386, 0.00005, 0.00167),
    ],
)
def test_interval(flagged: int, n: int, low: float, high: float) -> None:
    assert wilson(flagged, n) == pytest.approx((low, high), abs=5e-6)


@given(st.integers(1, 5000), st.data())
def test_the_interval_has_the_rate_in_it(n: int, data: st.DataObject) -> None:
    flagged = data.draw(st.integers(0, n))
    low, high = wilson(flagged, n)

    assert 0 <= low <= flagged / n <= high <= 1


def test_slices_are_counted_at_both_levels() -> None:
    tally = Tally("f")
    tally.count(("source:z", "all"), Flag(denied=True, reviewed=True, rules=()))
    tally.count(("all",), Flag(denied=False, reviewed=True, rules=()))

    assert [(rate.slice, rate.n, rate.flagged) for rate in tally.rates()] == [
        ("all", 2, 1),
        ("source:z", 1, 1),
        ("all, review", 2, 2),
        ("source:z, review", 1, 1),
    ]
