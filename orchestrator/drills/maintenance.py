"""Announced work by the calendar: which windows are open now.

The one rule it keeps: a window is a state. It is open from its beginning to its end by the wall clock, whenever one
looks; a controller that starts in its middle announces what is left of it. Each time of a window has a name of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from orchestrator.core import events as e
from orchestrator.core.schedules import MaintenancePlan
from orchestrator.drills.occurrences import EVER, Occurrence, occurrences
from orchestrator.drills.times import FAILURES, at, why_not

AGAIN = timedelta(minutes=5)  # a plan that cannot be worked out is tried again


@dataclass(slots=True)
class Windows:
    """What is to be told the core now, and the wall time at which to look again."""

    events: list[e.Event] = field(default_factory=list)
    again_at: float = float("inf")
    unknown: dict[str, str] = field(default_factory=dict)  # plans that cannot be worked out here, and why


def look(announced: Mapping[str, float], plans: Mapping[str, MaintenancePlan], wall: float, axis: float) -> Windows:
    """What opens and closes now. `announced`: as `Decided.maintenance`; what is of a calendar has a `#` in its name."""
    found, now, wanted = Windows(), at(wall), dict[str, tuple[str, str, float]]()
    held: set[tuple[str, str]] = set()  # what is open of a plan that cannot be worked out is open to its announced end
    for name_of, plan in plans.items():
        try:
            times = list(around(plan, now))
        except FAILURES as unknown:
            found.unknown[name_of] = why_not(unknown)
            found.again_at = min(found.again_at, (now + AGAIN).timestamp())
            held |= {(subject, plan.name) for subject in plan.subjects}
            continue
        for one in times:
            if one.opens <= now < one.closes:
                name = f"{plan.name}@{one.name}"
                ends_at = axis + (one.closes - now).total_seconds()
                wanted |= {f"{subject}#{name}": (subject, name, ends_at) for subject in plan.subjects}
            found.again_at = min(found.again_at, (one.closes if one.opens <= now else one.opens).timestamp())
    for key in [x for x in announced if "#" in x and x not in wanted]:
        subject, _, window = key.partition("#")
        if (subject, window.rpartition("@")[0]) in held and announced[key] > axis:
            continue
        found.events.append(e.MaintenanceEnded(subject, window))
    for key, (subject, window, ends_at) in wanted.items():
        if key not in announced:
            found.events.append(e.MaintenanceBegan(subject, window, ends_at))
    return found


def around(plan: MaintenancePlan, now: datetime) -> Iterator[Occurrence]:
    """The one that is open, and the next one."""
    after = now - timedelta(seconds=plan.schedule.length_s)
    for one in occurrences(plan.schedule, (), after, now + EVER):
        if one.closes <= now:
            continue
        yield one
        if one.opens > now:
            return
