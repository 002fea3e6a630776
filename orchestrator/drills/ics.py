"""What is ahead, as a calendar file (RFC 5545) that any calendar program reads.

The one rule it keeps: every time in it is a time in UTC, worked out here: no rule of recurrence is handed on, because
programs do not agree on what an hour lasts on a night when the clocks change. A surprise is in no calendar.

The same thing has the same UID in every file, and no other thing has it, also in a file of another workspace: a program
that reads the file again moves what it has, and doubles nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial

from icalendar import Calendar as Ics
from icalendar import Event

from orchestrator.core.outside import visible
from orchestrator.core.schedules import DrillPlan, MaintenancePlan
from orchestrator.drills.due import everybodys
from orchestrator.drills.occurrences import occurrences
from orchestrator.drills.times import FAILURES, why_not

PRODUCT = "-//bascule//schedules//EN"
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Ahead:
    """One event. `id`: its own within the workspace. `kind`: drill, maintenance, or what else comes to its day."""

    id: str
    opens: datetime
    closes: datetime
    summary: str
    description: str
    kind: str


def ahead(
    drills: Mapping[str, DrillPlan],
    work: Mapping[str, MaintenancePlan],
    after: datetime,
    until: datetime,
    upto: Mapping[str, str] | None = None,
) -> tuple[list[Ahead], dict[str, str]]:
    """Every time of every schedule that is not over at `after` and opens by `until`, but of surprises.

    Beside them the schedules that cannot be worked out here, each with why.

    `upto`: the latest time of each that was dealt with: it began, was missed, or the schedule came into force later.
    """
    found: list[Ahead] = []
    unknown: dict[str, str] = {}
    times = {
        **{name: partial(_drill, plan, after, until, (upto or {}).get(name, "")) for name, plan in drills.items()},
        **{name: partial(_work, plan, after, until) for name, plan in work.items()},
    }
    for name, of in times.items():
        try:
            found += list(of())
        except FAILURES as why:
            unknown[name] = why_not(why)
    return found, unknown


def day_long(id_: str, day: date, summary: str, description: str, kind: str) -> Ahead:
    """What comes to its day: the whole of it, in UTC."""
    opens = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return Ahead(id_, opens, opens + DAY, summary, description, kind)


def _drill(plan: DrillPlan, after: datetime, until: datetime, upto: str) -> Iterator[Ahead]:
    if plan.surprise:
        return
    what = [f"{x.move} of {x.service}" for x in plan.of]
    summary = f"Drill {plan.id}: {what[0]}" if len(what) == 1 else f"Drill {plan.id}: one of {len(what)}"
    told = f"{plan.kind.value}; it may begin between these two times: {', '.join(what)}"
    began = after - timedelta(seconds=plan.schedule.length_s)
    for one in occurrences(plan.schedule, everybodys(plan), began, until):
        if one.closes > after and one.name > upto:
            yield Ahead(_named(one.opens, plan.id, "d"), one.opens, one.closes, summary, told, "drill")


def _work(plan: MaintenancePlan, after: datetime, until: datetime) -> Iterator[Ahead]:
    told = f"announced for {', '.join(plan.subjects)}: nothing is done automatically"
    summary = f"Maintenance {plan.id}"
    for one in occurrences(plan.schedule, (), after - timedelta(seconds=plan.schedule.length_s), until):
        if one.closes > after:
            yield Ahead(_named(one.opens, plan.id, "m"), one.opens, one.closes, summary, told, "maintenance")


def _named(opens: datetime, schedule: str, letter: str) -> str:
    return f"{opens:%Y%m%dT%H%M%SZ}-{schedule.replace('/', '.')}-{letter}"


def written(found: Iterable[Ahead], made_at: datetime, workspace: str = "") -> bytes:
    """The calendar file of these, the earliest first. `workspace`: what tells it from every other one."""
    calendar = Ics()
    calendar.add("prodid", PRODUCT)
    calendar.add("version", "2.0")
    for one in sorted(found, key=lambda x: (x.opens, x.id)):
        event = Event()
        event.add("uid", f"{one.id}@{f'{workspace}.' if workspace else ''}bascule")
        event.add("dtstamp", made_at)
        event.add("dtstart", one.opens)
        event.add("dtend", one.closes)
        event.add("summary", visible(one.summary))
        event.add("description", visible(one.description, keep="\n"))
        event.add("categories", [one.kind])
        event.add("transp", "TRANSPARENT")
        calendar.add_component(event)
    file: bytes = calendar.to_ical()
    return file
