"""Ages of data by the hour: never understated, and the same however they were counted together."""

from __future__ import annotations

from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.ages import STEP, Ages, edge_s, outside_s, step_of, together

AGES = st.lists(st.floats(0.0, 1e7), min_size=1, max_size=60)


def counted(ages: list[float], rpo_s: float | None = 30.0) -> Ages:
    found = Ages()
    for n, age_s in enumerate(ages):
        found.note(age_s, rpo_s, 1000.0 + n)
    return found


@given(AGES)
def test_no_age_is_understated_and_none_by_more_than_a_step(ages: list[float]) -> None:
    found, ranked = counted(ages), sorted(ages)
    assert (found.least_s, found.most_s, found.count) == (ranked[0], ranked[-1], len(ages))
    assert found.outside == sum(x > 30.0 for x in ages)
    for share in (0.5, 0.99):
        exact, told = ranked[ceil(share * len(ages)) - 1], found.at(share)
        assert told is not None
        assert exact * (1 - 1e-9) <= told <= max(exact * STEP, 0.001) * (1 + 1e-9)


@given(AGES, AGES)
def test_counts_of_two_runs_of_a_controller_are_those_of_one(first: list[float], second: list[float]) -> None:
    one = counted([*first, *second])
    two = together([counted(first), counted(second)])
    assert (two.count, two.outside, two.steps, two.most_s, two.p99_s) == (
        one.count, one.outside, one.steps, one.most_s, one.p99_s,
    )  # fmt: skip


def test_an_answer_that_tells_no_age_is_counted_as_that() -> None:
    found = counted([1.0, 2.0])
    found.note(None, 30.0, 1002.0)
    found.note(float("nan"), 30.0, 1002.0)
    assert (found.count, found.unmeasured, found.share_outside) == (2, 2, 0.0)
    assert Ages().median_s is None


def test_how_long_it_was_outside_is_a_share_of_the_time_in_which_answers_came() -> None:
    found = counted([1.0] * 75 + [40.0] * 25)
    assert outside_s([found]) == pytest.approx(0.25 * 99.0)
    assert edge_s(step_of(40.0)) >= 40.0
