"""What is ahead, as a calendar file (RFC 5545) that any calendar program reads.

The one rule it keeps: every time in it is a time in UTC, worked out here: no rule of recurrence is handed on, because
programs do not agree on what an hour lasts on a night when the clocks change. A surprise is in no calendar.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from icalendar import Calendar as Ics
from icalendar import Event

from orchestrator.core.schedules import DrillPlan, MaintenancePlan
from orchestrator.drills.due import everybodys
from orchestrator.drills.occurrences import occurrences

PRODUCT = "-//bascule//schedules//EN"


@dataclass(frozen=True, slots=True)
class Ahead:
    """One time of a schedule: of a drill, or of announced work."""

    schedule: str
    opens: datetime
    closes: datetime
    summary: str
    description: str
    drill: bool


def ahead(
    drills: Mapping[str, DrillPlan], work: Mapping[str, MaintenancePlan], after: datetime, until: datetime
) -> list[Ahead]:
    """Every time of every schedule between these two, but of surprises, the earliest first."""
    found = [*_drills(drills, after, until), *_work(work, after, until)]
    return sorted(found, key=lambda x: (x.opens, x.schedule))


def _drills(drills: Mapping[str, DrillPlan], after: datetime, until: datetime) -> Iterator[Ahead]:
    for plan in drills.values():
        if plan.surprise:
            continue
        what = [f"{x.move} of {x.service}" for x in plan.of]
        summary = f"Drill {plan.id}: {what[0]}" if len(what) == 1 else f"Drill {plan.id}: one of {len(what)}"
        told = f"{plan.kind.value}; it may begin between these two times: {', '.join(what)}"
        for one in occurrences(plan.schedule, everybodys(plan), after, until):
            yield Ahead(plan.id, one.opens, one.closes, summary, told, True)


def _work(work: Mapping[str, MaintenancePlan], after: datetime, until: datetime) -> Iterator[Ahead]:
    for plan in work.values():
        told = f"announced for {', '.join(plan.subjects)}: nothing is done automatically"
        for one in occurrences(plan.schedule, (), after, until):
            yield Ahead(plan.id, one.opens, one.closes, f"Maintenance {plan.id}", told, False)


def written(found: list[Ahead], made_at: datetime) -> bytes:
    """The calendar file of these."""
    calendar = Ics()
    calendar.add("prodid", PRODUCT)
    calendar.add("version", "2.0")
    for one in found:
        event = Event()
        event.add(
            "uid", f"{one.opens:%Y%m%dT%H%M%SZ}-{one.schedule.replace('/', '.')}-{'d' if one.drill else 'm'}@bascule"
        )
        event.add("dtstamp", made_at)
        event.add("dtstart", one.opens)
        event.add("dtend", one.closes)
        event.add("summary", one.summary)
        event.add("description", one.description)
        event.add("transp", "TRANSPARENT")
        calendar.add_component(event)
    file: bytes = calendar.to_ical()
    return file
