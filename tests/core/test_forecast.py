"""Forecasts by order statistics: what a few runs can show, and what they cannot."""

from __future__ import annotations

import random
from fractions import Fraction
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.forecast import below, forecast, runs_needed


def test_of_nothing_nothing_is_said() -> None:
    assert forecast([]) is None


def test_a_few_runs_bound_the_90th_percentile_by_their_largest_and_say_how_surely() -> None:
    found = forecast([60.0 * n for n in range(1, 8)])
    assert found is not None
    assert str(found) == (
        "at most 7:00 (the largest of 7 runs: bounds the 90th percentile with 52%, 22 runs missing for 95%)"
    )
    one = forecast([30.0])
    assert one is not None
    assert str(one) == "at most 30s (1 run: bounds the 90th percentile with 10%, 28 runs missing for 95%)"


@pytest.mark.parametrize(
    ("runs", "rank"),  # the k-th smallest is a 95 % bound of the 90th percentile
    [(29, 29), (45, 45), (46, 45), (60, 59), (100, 96)],
)
def test_enough_runs_bound_it_with_95_percent(runs: int, rank: int) -> None:
    found = forecast([float(n) for n in range(1, runs + 1)])
    assert found is not None
    assert (found.bound_s, found.missing) == (float(rank), 0)
    exact = sum(Fraction(comb(runs, i)) * Fraction(9, 10) ** i * Fraction(1, 10) ** (runs - i) for i in range(rank))
    assert found.confidence == pytest.approx(float(exact))


def test_29_runs_are_needed_and_28_do_not_do() -> None:
    assert runs_needed() == 29
    assert below(29, 0.9, 29) >= 0.95 > below(28, 0.9, 28)
    almost = forecast([float(n) for n in range(28)])
    assert almost is not None
    assert almost.basis.endswith("with 94%, 1 run missing for 95%")


@given(st.lists(st.floats(0.0, 1e6), min_size=1, max_size=50), st.integers(0, 2**32))
def test_it_is_one_of_the_durations_whatever_their_order(durations: list[float], seed: int) -> None:
    found = forecast(durations)
    shuffled = durations[:]
    random.Random(seed).shuffle(shuffled)
    assert found is not None
    assert found == forecast(shuffled)
    assert found.bound_s in durations
    assert found.usual_s <= found.bound_s
