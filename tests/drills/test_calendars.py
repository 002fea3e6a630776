"""What calendars admit, and the times of schedules: windows, days taken out, holidays, in several zones at once."""

from __future__ import annotations

import pytest

from orchestrator.core.schedules import Calendar, Days, Hours, Schedule
from orchestrator.drills import judging
from orchestrator.drills.calendars import admits, stretches
from orchestrator.drills.occurrences import occurrences
from tests.drills.plans import NIGHTS, moment

PARIS = "Europe/Paris"
WORKDAYS = (0, 1, 2, 3, 4)


def times(schedule: Schedule, after: str, until: str, *also: Calendar) -> list[tuple[str, str]]:
    """Name and closing of each."""
    found = occurrences(schedule, also, moment(after), moment(until))
    return [(x.name, f"{x.closes:%Y-%m-%dT%H:%M}") for x in found]


def test_a_window_over_midnight_belongs_to_the_day_on_which_it_opens() -> None:
    fridays = Calendar("UTC", (Hours((4,), 20 * 3600, 6 * 3600),))
    assert admits((fridays,), moment("2026-11-06T23:00"))
    assert admits((fridays,), moment("2026-11-07T05:59"))
    assert not admits((fridays,), moment("2026-11-07T06:00"))
    assert not admits((fridays,), moment("2026-11-06T05:00"))


def test_what_may_begin_closes_with_its_window() -> None:
    evenings = Schedule("0 22 * * *", 6 * 3600.0, (Calendar("UTC", (Hours(WORKDAYS, 20 * 3600, 24 * 3600 % 86400),)),))
    assert times(evenings, "2026-11-05T00:00", "2026-11-09T00:00") == [
        ("2026-11-05T22:00:00Z", "2026-11-06T00:00"),
        ("2026-11-06T22:00:00Z", "2026-11-07T00:00"),
    ]


def test_days_taken_out_each_year_go_over_its_turn() -> None:
    closed = Calendar("UTC", (), (Days("12-20", "01-03"),))
    daily = Schedule("0 12 * * *", 3600.0, (closed,))
    names = [name for name, _ in times(daily, "2026-12-18T00:00", "2027-01-05T00:00")]
    assert names == ["2026-12-18T12:00:00Z", "2026-12-19T12:00:00Z", "2027-01-04T12:00:00Z"]


def test_public_holidays_are_kept_by_country_and_part() -> None:
    daily = Schedule("0 12 * * *", 3600.0, (Calendar(PARIS, (), (), "FR"),))
    found = [name[:10] for name, _ in times(daily, "2026-12-23T00:00", "2026-12-28T00:00")]
    assert found == ["2026-12-23", "2026-12-24", "2026-12-26", "2026-12-27"]
    alsace = Schedule("0 12 * * *", 3600.0, (Calendar(PARIS, (), (), "FR-57"),))
    found = [name[:10] for name, _ in times(alsace, "2026-12-23T00:00", "2026-12-28T00:00")]
    assert found == ["2026-12-23", "2026-12-24", "2026-12-27"]


def test_each_calendar_binds_in_its_own_time_zone() -> None:
    """An owner in Sydney sleeps while Paris works."""
    owner = Calendar("Australia/Sydney", (Hours((0, 1, 2, 3, 4, 5, 6), 8 * 3600, 18 * 3600),))
    nightly = Schedule("0 23 * * *", 4 * 3600.0, (Calendar(PARIS),))
    assert times(nightly, "2026-11-03T00:00", "2026-11-04T00:00", owner) == [
        ("2026-11-03T22:00:00Z", "2026-11-04T02:00")
    ]
    early = Schedule("0 20 * * *", 4 * 3600.0, (Calendar(PARIS),))
    assert times(early, "2026-11-03T00:00", "2026-11-04T00:00", owner) == []


@pytest.mark.parametrize(("day", "hours"), [("2026-03-28", 9), ("2026-10-24", 11), ("2026-11-03", 10)])
def test_a_night_is_as_long_as_the_clocks_make_it(day: str, hours: int) -> None:
    found = stretches(
        (Calendar(PARIS, (NIGHTS,)),), moment(f"{day}T12:00"), moment(f"{day}T12:00").replace(day=int(day[-2:]) + 1)
    )
    assert [(b - a).total_seconds() / 3600 for a, b in found] == [hours]


def test_a_length_is_a_length_on_a_night_when_the_clocks_change() -> None:
    for day in ("2026-03-28", "2026-10-24"):
        late = Schedule("30 1 * * *", 3600.0, (Calendar(PARIS),))
        one = next(occurrences(late, (), moment(f"{day}T12:00"), moment("2027-01-01T00:00")))
        assert (one.closes - one.opens).total_seconds() == 3600


def test_without_cron_it_is_the_first_opening_of_each_day() -> None:
    twice = Calendar("UTC", (Hours(WORKDAYS, 22 * 3600, 6 * 3600), Hours(WORKDAYS, 12 * 3600, 13 * 3600)))
    assert times(Schedule("", 8 * 3600.0, (twice,)), "2026-11-06T00:00", "2026-11-10T00:00") == [
        ("2026-11-06T12:00:00Z", "2026-11-06T13:00"),
        ("2026-11-09T12:00:00Z", "2026-11-09T13:00"),
    ]


def test_a_leap_day_comes_every_four_years() -> None:
    assert not judging.never_runs(Schedule("0 12 29 2 *", 3600.0))
    assert judging.never_runs(Schedule("0 12 30 2 *", 3600.0))
    assert not judging.wrong_cron("0 12 30 2 *")
    assert judging.wrong_cron("0 12 32 2 *")
