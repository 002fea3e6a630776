"""What calendars admit: hours of the week, without days that are taken out.

The one rule it keeps: several calendars admit what each of them admits, each in its own time zone. What is admitted
is given as stretches of time in UTC, so that an hour lasts an hour on a night when the clocks change.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise

from orchestrator.core.schedules import Calendar, Days, Hours
from orchestrator.drills.times import CalendarUnknown, instant, zone

DAY_S = 86400
Stretch = tuple[datetime, datetime]


def admits(calendars: Sequence[Calendar], moment: datetime) -> bool:
    """Whether all of them admit this moment."""
    return all(_admits(x, moment.astimezone(zone(x.time_zone))) for x in calendars)


def _admits(calendar: Calendar, local: datetime) -> bool:
    if is_out(calendar, local.date()):
        return False
    time_s = local.hour * 3600 + local.minute * 60 + local.second
    return not calendar.windows or any(_open(x, local.weekday(), time_s) for x in calendar.windows)


def _open(hours: Hours, weekday: int, time_s: int) -> bool:
    opens, closes = hours.opens_s, hours.closes_s
    if opens < closes:
        return weekday in hours.days and opens <= time_s < closes
    return (weekday in hours.days and time_s >= opens) or ((weekday - 1) % 7 in hours.days and time_s < closes)


def is_out(calendar: Calendar, day: date) -> bool:
    """Whether this day is taken out as a whole."""
    return any(_covers(x, day) for x in calendar.blackout) or bool(
        calendar.holidays and holiday(calendar.holidays, day)
    )


def _covers(days: Days, day: date) -> bool:
    if len(days.first) > len("12-24"):
        return days.first <= day.isoformat() <= days.last
    this = day.isoformat()[5:]
    if days.first <= days.last:
        return days.first <= this <= days.last
    return this >= days.first or this <= days.last  # over the turn of the year


def holiday(where: str, day: date) -> str:
    """The public holiday of that day, in its country's language; empty: it is none. Raises CalendarUnknown."""
    return _holidays(where, day.year).get(day, "")


@lru_cache(maxsize=256)
def _holidays(where: str, year: int) -> dict[date, str]:
    from holidays import country_holidays  # half a second, and few schedules keep them

    country, _, part = where.partition("-")
    try:
        return dict(country_holidays(country, subdiv=part or None, years=year))
    except NotImplementedError:
        raise CalendarUnknown(f"this machine knows no public holidays of {where!r}") from None


def stretches(calendars: Sequence[Calendar], start: datetime, end: datetime) -> list[Stretch]:
    """What all of them admit between these two, in order."""
    edges = sorted({start, end, *(x for calendar in calendars for x in _edges(calendar, start, end))})
    found: list[Stretch] = []
    for opens, closes in pairwise(edges):
        if not admits(calendars, opens):
            continue
        if found and found[-1][1] == opens:
            found[-1] = found[-1][0], closes
        else:
            found.append((opens, closes))
    return found


def _edges(calendar: Calendar, start: datetime, end: datetime) -> list[datetime]:
    """Every instant between these two at which what it admits may change."""
    if not (calendar.windows or calendar.blackout or calendar.holidays):
        return []
    where = zone(calendar.time_zone)
    day, last = start.astimezone(where).date(), end.astimezone(where).date()
    times = {0, *(t for x in calendar.windows for t in (x.opens_s, x.closes_s))}
    found: list[datetime] = []
    while day <= last:
        midnight = datetime(day.year, day.month, day.day)  # noqa: DTZ001 -- local time, of `where`
        for time_s in times:
            local = midnight + timedelta(seconds=time_s)
            again = local.replace(tzinfo=where, fold=1).astimezone(UTC)  # where the clocks repeat it
            found += [x for x in (instant(local, where), again) if start < x < end]
        day += timedelta(days=1)
    return found
