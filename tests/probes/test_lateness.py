"""How late questions went out: shares are upper bounds, the largest is exact, a minute is forgotten."""

from __future__ import annotations

import random

import pytest

from orchestrator.probes.lateness import SPAN_S, Lateness


def test_shares_are_bounds_that_are_at_most_a_quarter_too_large() -> None:
    luck, lateness, values = random.Random(5), Lateness(), []
    for _ in range(2000):
        value = luck.expovariate(100.0)
        values.append(value)
        lateness.note(value, 1.0)
    values.sort()
    told = lateness.ever()
    assert (told.count, told.max_s) == (2000, values[-1])
    for share, bound in ((0.5, told.p50_s), (0.99, told.p99_s)):
        true = values[int(share * 2000) - 1]
        assert true <= bound <= true * 1.26


def test_the_last_minute_forgets_what_came_before_it() -> None:
    lateness = Lateness()
    lateness.note(5.0, 1.0)
    lateness.note(0.001, 1.0 + SPAN_S)
    assert lateness.lately(1.0 + SPAN_S).max_s == 5.0
    lateness.note(0.001, 1.0 + 2 * SPAN_S)
    assert lateness.lately(1.0 + 2 * SPAN_S).max_s == 0.001
    assert lateness.ever().max_s == 5.0
    assert lateness.lately(1.0 + 9 * SPAN_S).count == 0
    assert lateness.ever().count == 3


def test_nothing_asked_is_nothing_late() -> None:
    assert Lateness().ever().max_s == pytest.approx(0.0)
    assert Lateness().lately(0.0).count == 0
