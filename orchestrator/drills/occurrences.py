"""The times of a schedule: when something may begin, or lasts.

The one rule it keeps: the same schedule has the same times, whoever asks, from whatever moment on. Each has one name,
the instant that the schedule itself gives, in UTC.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache

from cronsim import CronSim, CronSimError

from orchestrator.core.schedules import Calendar, Schedule
from orchestrator.drills import calendars as c
from orchestrator.drills.times import instant, written, zone

BEFORE = timedelta(hours=3)  # local clocks are put on or back by less
FIELDS = 5
EVER = timedelta(days=366 * 9)  # 29 February may be eight years off, over 2100


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One time of a schedule. `named_at`: by which it is known; between `opens` and `closes` it may begin, or lasts."""

    named_at: datetime
    opens: datetime
    closes: datetime

    @property
    def name(self) -> str:
        """As records have it."""
        return written(self.named_at)


def occurrences(
    schedule: Schedule, also: Sequence[Calendar], after: datetime, until: datetime, *, whole: bool = False
) -> Iterator[Occurrence]:
    """Its times that are named after the one and up to the other.

    Cron's times count where the calendars admit them, and close with the calendars at the latest. `whole`: what is
    admitted of the length after them counts (a surprise is drawn from it). The same where a schedule has no cron: at
    each day's first opening.
    """
    calendars, length = [*schedule.calendars, *also], timedelta(seconds=schedule.length_s)
    for named_at in named(schedule, calendars, after, until, whole=whole):
        if whole or not schedule.cron:
            found = c.stretches(calendars, named_at, named_at + length)
            if found:
                yield Occurrence(named_at, found[0][0], found[-1][1] if whole else found[0][1])
        elif c.admits(calendars, named_at):
            yield Occurrence(named_at, named_at, c.stretches(calendars, named_at, named_at + length)[0][1])


def named(
    schedule: Schedule, calendars: Sequence[Calendar], after: datetime, until: datetime, *, whole: bool = False
) -> Iterator[datetime]:
    """The instants that it names, without those of days that are taken out; of each but the first."""
    where, own = zone(schedule.time_zone), calendars[0]
    local = after.astimezone(where).replace(tzinfo=None) - BEFORE
    last = after
    while True:
        for at_local in _local_times(schedule, local):
            at = instant(at_local, where)
            if at > until:
                return
            if at <= last:  # before, or one instant by two names
                continue
            if not whole and c.is_out(own, at_local.date()):
                local = _next_day_in(own, at_local.date(), until.date())
                break
            last = at
            yield at
        else:
            return


def _next_day_in(calendar: Calendar, day: date, last: date) -> datetime:
    """Just before the next day that is not taken out."""
    day += timedelta(days=1)
    while c.is_out(calendar, day) and day <= last:
        day += timedelta(days=1)
    return datetime(day.year, day.month, day.day) - timedelta(seconds=1)  # noqa: DTZ001 -- local time


def _local_times(schedule: Schedule, after: datetime) -> Iterator[datetime]:
    """In order, without a zone, after this one."""
    if schedule.cron:
        try:
            yield from CronSim(schedule.cron, after)
        except CronSimError:
            return  # 30 February: nothing more, or never
        return
    windows, day = schedule.calendars[0].windows, after.replace(hour=0, minute=0, second=0)
    for _ in range(EVER.days):
        opens = [x.opens_s for x in windows if day.weekday() in x.days]
        if opens and (at := day + timedelta(seconds=min(opens))) > after:
            yield at
        day += timedelta(days=1)


def wrong_cron(text: str) -> str:
    """What is wrong with this expression, in a few words; empty: nothing."""
    if len(text.split()) != FIELDS:
        return "it has not five fields: minute, hour, day of month, month, day of week"
    try:
        CronSim(text, datetime(2024, 1, 1))  # noqa: DTZ001 -- local time
    except CronSimError as error:
        minute, hour, day, month, weekday = text.split()
        if month != "*" and not wrong_cron(f"{minute} {hour} {day} * {weekday}"):
            try:
                CronSim(f"{minute} {hour} * {month} {weekday}", datetime(2024, 1, 1))  # noqa: DTZ001 -- local time
            except CronSimError as other:
                return str(other).lower()
            return ""  # 30 February: it is sound, and never comes
        return str(error).lower()
    return ""


@lru_cache(maxsize=1024)
def next_after(schedule: Schedule, also: tuple[Calendar, ...], after: datetime, whole: bool = False) -> datetime | None:
    """The name of its next time; None: it has none any more, as far as one can say."""
    found = next(occurrences(schedule, also, after, after + EVER, whole=whole), None)
    return found.named_at if found is not None else None
