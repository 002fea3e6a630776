"""Durations as they are written and read."""

from __future__ import annotations

import pytest

from orchestrator.core.durations import numeral, parse_duration, show_bound, show_duration
from orchestrator.reports.incident_text import offset
from orchestrator.reports.text import precise


@pytest.mark.parametrize(
    ("seconds", "shown", "in_an_account"),
    [
        (0.0, "0.0s", "0.0s"),
        (9.94, "9.9s", "9.9s"),
        (9.96, "10s", "10.0s"),
        (59.96, "1:00", "1:00.0"),
        (119.96, "2:00", "2:00"),
        (744.5, "12:24", "12:24"),
        (3599.6, "1:00:00", "1:00:00"),
        (-75.25, "-1:15", "-1:15.2"),
        (-0.04, "0.0s", "0.0s"),
        (-0.06, "-0.1s", "-0.1s"),
    ],
)
def test_no_duration_is_shown_with_sixty_seconds(seconds: float, shown: str, in_an_account: str) -> None:
    assert show_duration(seconds) == shown
    assert precise(seconds) == in_an_account


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.0, "+0:00.0"),
        (-0.04, "+0:00.0"),
        (59.96, "+1:00.0"),
        (-59.96, "-1:00.0"),
        (3599.97, "+1:00:00.0"),
        (45296.04, "+12:34:56.0"),
    ],
)
def test_nor_is_an_instant(seconds: float, shown: str) -> None:
    assert offset(seconds) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(2e6, "2000000"), (123456789.0, "123456789"), (12.5, "12.5"), (0.004, "0.004"), (5.05221, "5.052"), (-0.0, "0")],
)
def test_a_number_is_written_as_a_person_writes_it(value: float, shown: str) -> None:
    assert numeral(value) == shown


def test_two_sums_of_the_same_parts_are_shown_alike() -> None:
    """An outage is one difference of two times, and its phases are many of them."""
    assert show_duration(744.5 - 1e-10) == show_duration(744.5 + 1e-10)
    assert precise(0.25 - 1e-10) == precise(0.25 + 1e-10)


@pytest.mark.parametrize("text", ["5", "5 m 3", "m", "-3s", "1h 2 parsecs"])
def test_what_is_no_duration_names_the_units(text: str) -> None:
    with pytest.raises(ValueError, match="write a number with a unit"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.0, "0.0s"), (0.2, "0.2s"), (0.21, "0.3s"), (5.0000001, "5.0s"), (9.92, "10s"), (10.4, "11s"), (41.0, "41s"),
        (59.1, "1:00"), (60.4, "1:01"), (250.0, "4:10"), (3599.2, "1:00:00"),
    ],
)  # fmt: skip
def test_a_bound_is_never_shown_as_less_than_it_is(seconds: float, shown: str) -> None:
    assert show_bound(seconds) == shown
